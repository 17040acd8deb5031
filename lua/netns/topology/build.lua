-- Builds what a model describes: namespaces without names, veth pairs whose
-- ends are both in their places at once, bridges in namespaces of their own.
-- What fails is raised as { place, message, errno }; whoever called takes all
-- away.

local core = require "netns.core"
local effects = require "netns.topology.effects"
local found = require "netns.topology.found"
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

-- A new namespace -------------------------------------------------------------

-- An errno for what this machine does not let anybody write.
local REFUSED = {
  [core.errno.EROFS] = true, [core.errno.EACCES] = true,
  [core.errno.EPERM] = true,
}

-- What a namespace has as it is made: all of one build have the same. A sysctl
-- is nil where there is none, as without IPv6.
local function look_at(place, ns)
  local fresh = { sysctls = {}, rules = try(place, found.rules(ns)) }
  for _, entry in ipairs(sysctls.of "host") do
    local value, message, errno = ns:sysctl(entry.key)
    if not value and errno ~= core.errno.ENOENT then
      try(place, value, message, errno)
    end
    fresh.sysctls[entry.key] = value
  end
  return fresh
end

-- What cannot be written, and the node can do without, is left as it is.
local function set_base(ns, node, old)
  for _, entry in ipairs(sysctls.of(node.kind)) do
    local value = old[entry.key]
    if value and value ~= entry.value then
      local ok, message, errno = ns:sysctl(entry.key, entry.value)
      if not ok and REFUSED[errno] and not entry.needs(node) then
        node.unwritten = node.unwritten or {}
        node.unwritten[entry.key] = true
      else
        try(node.place, ok, message, errno)
      end
    end
  end
end

-- A kernel without IPv6: the addresses that nobody has asked for are left out,
-- and those that are said cannot be had.
local function do_without_ipv6(self)
  for _, node in ipairs(self.nodes) do
    for _, interface in ipairs(node.interfaces) do
      local kept = {}
      for _, address in ipairs(interface.addresses) do
        if address.family == "inet" then
          kept[#kept + 1] = address
        elseif not address.by_default then
          try(address.path, nil, ("%s: this kernel has no IPv6"):format(
            address.plain), core.errno.EOPNOTSUPP)
        end
      end
      interface.addresses = kept
    end
    local kept = {}
    for _, route in ipairs(node.routes) do
      if route.via.family == "inet" then kept[#kept + 1] = route end
    end
    node.routes = kept
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

local function add_address(ns, interface, address)
  try(address.path, ns:addr_add(interface.name,
    ip.text(address.bytes, address.length)))
end

local function add_route(ns, node, route)
  try(("%s.routes.%s"):format(node.place, routes.text(route)), ns:route_add {
    to = routes.text(route), via = route.via.plain,
    link = route.interface.name,
  })
end

-- Gives a new interface its addresses, and has it up.
local function raise(ns, interface)
  for _, address in ipairs(interface.addresses) do
    add_address(ns, interface, address)
  end
  try(interface.path, ns:link_set(interface.name, { up = true }))
end

--- Has an interface up again, with its addresses of the description: with its
-- link it has lost those of IPv6. What is there stays.
function build.raise_again(ns, interface)
  local has = {}
  for _, addr in ipairs(try(interface.path,
    found.addresses(ns, interface.name))) do
    has[addr.text] = true
  end
  for _, address in ipairs(interface.addresses) do
    if not has[ip.text(address.bytes, address.length)] then
      add_address(ns, interface, address)
    end
  end
  try(interface.path, ns:link_set(interface.name, { up = true }))
end

--- Adds the routes of the description that leave by an interface, and that are
-- not there: they go with their link.
function build.route_again(ns, interface)
  local node, has = interface.node, {}
  for _, route in ipairs(try(interface.path, found.routes(ns))) do
    if route.link == interface.name then has[route.text] = true end
  end
  for _, route in ipairs(node.routes) do
    local text = found.route_text(routes.text(route), route.via.plain)
    if route.interface == interface and not has[text] then
      add_route(ns, node, route)
    end
  end
end

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

-- All is written before it is read what the kernel has made of it: one may be
-- for several.
local function set_sysctls(ns, node)
  for _, entry in ipairs(node.sysctl) do
    try(entry.place, ns:sysctl(entry.key, entry.value))
  end
  for _, entry in ipairs(node.sysctl) do
    local value, _, errno = ns:sysctl(entry.key)
    entry.made = value
    if not value and not REFUSED[errno] then -- some can only be written
      try(entry.place, ns:sysctl(entry.key))
    end
  end
end

local function configure(ns, node)
  set_sysctls(ns, node)
  if not node.interface.lo then
    try(node.place, ns:link_set("lo", { up = true }))
  end
  for _, interface in ipairs(node.interfaces) do raise(ns, interface) end
end

--- The namespaces of all nodes, in lab.of[node]: what `new()` gives, and then
-- `make(ns, node)` of it; lab.fresh is what a new one has.
function build.namespaces(lab, new, make)
  for _, node in ipairs(lab.model.nodes) do
    local ns = try(node.place, new())
    lab.of[node] = ns
    lab.fresh = lab.fresh or look_at(node.place, ns)
  end
  if not lab.fresh then return end -- a lab of nobody
  if not lab.fresh.sysctls["net.ipv6.conf.all.forwarding"] then
    do_without_ipv6(lab.model)
  end
  for _, node in ipairs(lab.model.nodes) do
    lab.of[node] = make(lab.of[node], node)
    set_base(lab.of[node], node, lab.fresh.sysctls)
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
    for _, route in ipairs(node.routes) do
      add_route(lab.of[node], node, route)
    end
  end
  for _, cable in ipairs(self.cables) do
    for _, interface in ipairs(cable.ends) do
      try(cable.path, effects.apply(lab.of[interface.node], interface.name,
        cable))
    end
  end
  for _, node in ipairs(self.nodes) do
    build.settle(lab.of[node], node, node.interfaces)
  end
end

return build
