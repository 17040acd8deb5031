-- Builds what a model describes: namespaces without names, veth pairs whose
-- ends are both in their places at once, bridges in namespaces of their own.
-- What fails is raised as { place, message, errno }; whoever called takes all
-- away.

local core = require "netns.core"
local effects = require "netns.topology.effects"
local ip = require "netns.topology.ip"
local model = require "netns.topology.model"
local routes = require "netns.topology.routes"
local sysctls = require "netns.topology.sysctls"
local watch = require "netns.watch"

local build = {}

local BRIDGE = model.BRIDGE
local PATIENCE = 60 -- seconds: the kernel may have much else to do

-- The result of a step, unless it has failed.
local function try(place, result, message, errno)
  if result then return result end
  error({ place = place, message = message, errno = errno }, 0)
end

build.try = try

-- Sysctls ---------------------------------------------------------------------

-- What a namespace has as it is made: all of one build have the same.
local function inherited(ns)
  local values = {}
  for _, entry in ipairs(sysctls.of "host") do
    values[entry.key] = ns:sysctl(entry.key) -- nil where there is no IPv6
  end
  return values
end

local function set_base(ns, node, old)
  for _, entry in ipairs(sysctls.of(node.kind)) do
    if old[entry.key] and old[entry.key] ~= entry.value then
      try(node.place, ns:sysctl(entry.key, entry.value))
    end
  end
end

-- Cables ----------------------------------------------------------------------

local function is_port(interface) return interface.node.kind == "switch" end

local function lay(lab, cable)
  local a, b = cable.ends[1], cable.ends[2]
  if is_port(b) and not is_port(a) then a, b = b, a end
  try(cable.path, lab.of[a.node]:link_add {
    name = a.name, kind = "veth", mtu = cable.mtu,
    up = is_port(a), master = is_port(a) and BRIDGE or nil,
    peer = { name = b.name, ns = lab.of[b.node], mtu = cable.mtu },
  })
  if is_port(b) then
    try(cable.path,
      lab.of[b.node]:link_set(b.name, { master = BRIDGE, up = true }))
  end
end

local function add_routes(ns, interface)
  for _, route in ipairs(interface.node.routes) do
    if routes.leave_by(route, interface) then
      local ok, message, errno = ns:route_add {
        to = routes.text(route), via = route.via.plain, link = interface.name,
      }
      if errno ~= core.errno.EEXIST then
        try(interface.path, ok, message, errno)
      end
    end
  end
end

--- Gives an interface its addresses, and has it up, with the routes that leave
-- by it. What is there already stays.
function build.raise(ns, interface)
  for _, address in ipairs(interface.addresses) do
    local ok, message, errno =
      ns:addr_add(interface.name, ip.text(address.bytes, address.length))
    if errno ~= core.errno.EEXIST then
      try(address.path, ok, message, errno)
    end
  end
  try(interface.path, ns:link_set(interface.name, { up = true }))
end

build.add_routes = add_routes

local RUNNING = { up = true, running = true, timeout = PATIENCE }

--- Returns when the links of a node and their addresses can be used: the kernel
-- is not done with either when it has answered. (An IPv6 address is heard when
-- it is not tentative any more; one of "nodad" never is, and nobody knows
-- when.) Only those that are not ready are waited for.
function build.settle(ns, node, interfaces)
  local tentative = {}
  for _, addr in ipairs(try(node.place, ns:addrs { family = "inet6" })) do
    if addr.tentative then tentative[addr["local"]] = true end
  end
  for _, interface in ipairs(interfaces) do
    if not core.link_runs(ns, interface.name) then
      try(interface.path, watch.wait_link(ns, interface.name, RUNNING))
    end
    for _, address in ipairs(interface.addresses) do
      if tentative[address.plain] then
        try(address.path, watch.wait_addr(ns, address.plain,
          { link = interface.name, timeout = PATIENCE }))
      end
    end
  end
end

local function configure(ns, node)
  for _, entry in ipairs(node.sysctl) do
    try(("%s.sysctl.%s"):format(node.path, entry.key),
      ns:sysctl(entry.key, entry.value))
  end
  if not node.interface.lo then
    try(node.place, ns:link_set("lo", { up = true }))
  end
  for _, interface in ipairs(node.interfaces) do build.raise(ns, interface) end
end

--- The namespaces of all nodes, in lab.of[node].
function build.namespaces(lab, new)
  local old
  for _, node in ipairs(lab.model.nodes) do
    local ns = try(node.place, new(node))
    lab.of[node] = ns
    old = old or inherited(ns)
    set_base(ns, node, old)
  end
end

local function each_switch(lab, fn)
  for _, node in ipairs(lab.model.nodes) do
    if node.kind == "switch" then try(node.place, fn(lab.of[node])) end
  end
end

local function add_bridge(ns)
  return ns:link_add { name = BRIDGE, kind = "bridge" }
end

local function raise_bridge(ns) return ns:link_set(BRIDGE, { up = true }) end

--- All that is in them. A bridge is up when its hosts are: before, it would
-- bring all of them what each sends as it comes up, for nobody to hear.
function build.network(lab)
  local self = lab.model
  each_switch(lab, add_bridge)
  for _, cable in ipairs(self.cables) do lay(lab, cable) end
  for _, node in ipairs(self.nodes) do
    if node.kind ~= "switch" then configure(lab.of[node], node) end
  end
  each_switch(lab, raise_bridge)
  for _, node in ipairs(self.nodes) do
    for _, interface in ipairs(node.interfaces) do
      add_routes(lab.of[node], interface)
    end
  end
  for _, cable in ipairs(self.cables) do
    for _, interface in ipairs(cable.ends) do
      try(cable.path, effects.apply(lab.of[interface.node], interface.name,
        cable.effects))
    end
  end
  for _, node in ipairs(self.nodes) do
    build.settle(lab.of[node], node, node.interfaces)
  end
end

return build
