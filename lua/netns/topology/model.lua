-- A description as it is written, read into a model: nodes, their interfaces,
-- the cables between these, and the segments that cables and switches make. It
-- has no side effects. What is wrong is collected, with its place, so that all
-- mistakes are told at once.
--
--   model      nodes     an array in the order of names, and node by name
--              broken    true if a cable is missing, being wrong
--              cables    an array: the links, then those of the switches
--              segments  an array in the order of cables
--              mistakes  an array of strings
--   node       name, kind = "host" | "router" | "switch"
--              path, where it is named first; place, where it is described
--              interfaces  an array, and interface by name; lo is one of them
--              routes      an array of { to, via = {…} } if they are said
--              sysctl      an array of { key, value, path, place }
--   interface  node, name, path, cable (but lo), segment (of hosts, routers)
--              addresses   an array as of ip.parse; `said` if they are
--   cable      ends = { interface, interface }, path, mtu
--              effects = { delay=… }, of each direction
--              member = true if the switch at its second end is said to have it
--   segment    interfaces (of hosts and routers), path
--              said = { inet = subnet | false, inet6 = … }

local core = require "netns.core"
local ip = require "netns.topology.ip"
local nodes = require "netns.topology.nodes"
local order = require "netns.topology.order"
local reader = require "netns.topology.reader"
local segments = require "netns.topology.segments"

local model = {}

local mistake, expected = reader.mistake, reader.expected
local quote, place_of, unknown = reader.quote, reader.place, reader.unknown
local check_array, is_integer = reader.check_array, reader.is_integer
local integer = reader.integer

local FAMILIES = { ipv4 = "inet", ipv6 = "inet6" }
local KEYS = { "ipv4", "ipv6" } -- in their order
local POOLS = { ipv4 = "10.0.0.0/8", ipv6 = "fd00::/48" }

local TOP = {
  nodes = "table", routers = "table", switches = "table", links = "table",
  ipv4 = "subnet", ipv6 = "subnet", named = "boolean",
}

-- What a cable does to packets, in both directions: how a value is understood,
-- and its limits.
local EFFECTS = {
  delay = { "time", 0, 4294 },
  jitter = { "time", 0, 4294 },
  loss = { "fraction", 0, 1 },
  duplicate = { "fraction", 0, 1 },
  corrupt = { "fraction", 0, 1 },
  reorder = { "fraction", 0, 1 },
  rate = { "rate", 8, 1e18 },
  limit = { "count", 1, 0xffffffff },
}

local MTU_MIN, MTU_MAX = 68, 65535
local BRIDGE = "br0" -- of a switch
local PORTS_MAX = 1023 -- of a bridge of Linux

model.EFFECTS, model.BRIDGE = EFFECTS, BRIDGE

-- Values ----------------------------------------------------------------------

-- A prefix, whose bits behind it are 0; false for false; nil if it is wrong.
local function read_subnet(self, path, value, family)
  if value == false then return false end
  local subnet = type(value) == "string" and ip.parse(value)
  if not subnet or subnet.family ~= family or not subnet.prefixed then
    return expected(self, path, family == "inet" and "an IPv4 subnet or false"
      or "an IPv6 subnet or false", value)
  end
  local read = ip.subnet(subnet)
  if read.bytes ~= subnet.bytes then
    return mistake(self, path, "%s has bits behind the prefix", value)
  elseif not ip.is_for_hosts(read) then
    return mistake(self, path, "%s is not for hosts", value)
  end
  read.path = path
  return read
end

local KINDS = {
  time = "seconds, or a time such as \"20ms\",",
  fraction = "a fraction, or a percentage such as \"1%\",",
  rate = "bits a second, or a rate such as \"10mbit\",",
}

-- A number; nil if it is a mistake, or 0, which has no effect.
function model.effect(self, path, name, value)
  local kind, min, max = EFFECTS[name][1], EFFECTS[name][2], EFFECTS[name][3]
  local number = value
  if kind == "count" then
    if not is_integer(value, min, max) then
      return expected(self, path, "a positive integer", value)
    end
    return integer(value)
  elseif type(value) == "string" then
    number = core.quantity(kind, value)
  end
  if type(number) ~= "number" or number ~= number then
    expected(self, path, KINDS[kind], value)
  elseif number < min or number > max then
    mistake(self, path, kind == "fraction" and "%s is not within 0 and 100 %%"
      or "%s is out of range", value)
  elseif number ~= 0 then
    return kind == "rate" and integer(number) or number
  end
end

--- Checks effects that depend on each other.
function model.check_effects(self, path, effects)
  for _, key in ipairs { "jitter", "reorder" } do
    if effects[key] and effects[key] > 0 and (effects.delay or 0) == 0 then
      mistake(self, path .. "." .. key, "it wants a delay")
    end
  end
end

local OPTIONS = { mtu = true, ipv4 = true, ipv6 = true }
for name in pairs(EFFECTS) do OPTIONS[name] = true end

-- The effects, MTU and subnets among the options of a link or switch.
local function read_options(self, path, t)
  local options = { effects = {}, said = {} }
  for _, key in ipairs(order.names(t)) do
    local value, place = t[key], place_of(path, key)
    if EFFECTS[key] then
      options.effects[key] = model.effect(self, place, key, value)
    elseif FAMILIES[key] then
      options.said[FAMILIES[key]] =
        read_subnet(self, place, value, FAMILIES[key])
    elseif key ~= "mtu" then
      mistake(self, place, "%s", unknown(key, OPTIONS, "no such option"))
    elseif is_integer(value, MTU_MIN, MTU_MAX) then
      options.mtu = integer(value)
    else
      expected(self, place,
        ("an integer from %d to %d"):format(MTU_MIN, MTU_MAX), value)
    end
  end
  model.check_effects(self, path, options.effects)
  return options
end

local function add_nodes(self, spec)
  check_array(self, "nodes", spec.nodes, 0)
  for _, name in ipairs(order.names(spec.nodes)) do
    nodes.add(self, name, "host", place_of("nodes", name))
  end
  check_array(self, "switches", spec.switches, 0)
  for _, name in ipairs(order.names(spec.switches)) do
    local path = place_of("switches", name)
    if self.node[name] then
      mistake(self, path, "there is a node of this name")
    else
      nodes.add(self, name, "switch", path)
    end
  end
end

local function read_nodes(self, spec)
  for _, name in ipairs(order.names(spec.nodes)) do
    local node = self.node[name]
    if node then nodes.read(self, node, spec.nodes[name]) end
  end
end

-- Those that are routers; the nodes of links are all known by now.
local function read_routers(self, spec)
  local seen = {}
  for i, name in ipairs(spec.routers) do
    local path = place_of("routers", i)
    local node = type(name) == "string" and self.node[name]
    if type(name) ~= "string" then
      expected(self, path, "the name of a node", name)
    elseif not node then
      mistake(self, path, "no link and no switch has a node %s", quote(name))
    elseif node.kind == "switch" then
      mistake(self, path, "%s is a switch", name)
    elseif seen[name] then
      mistake(self, path, "%s is named twice", name)
    else
      node.kind, seen[name] = "router", true
    end
  end
end

-- Cables ----------------------------------------------------------------------

-- "client" or "client:eth0": the node, which is there from now on, and the name
-- of the interface or nil.
local function read_end(self, path, text)
  local name, interface = text:match "^%s*([^:%s]+)%s*$", nil
  if not name then
    name, interface = text:match "^%s*([^:%s]+):(%S+)%s*$"
  end
  if not name then
    return mistake(self, path,
      "%s is no end of a link (\"node\" or \"node:eth0\")", quote(text))
  end
  local problem = interface and nodes.interface_problem(interface)
  if problem or interface == "lo" then
    mistake(self, path, "%s %s", interface,
      problem or "is no interface for a link")
    interface = nil
  end
  return self.node[name] or nodes.add(self, name, "host", path), interface
end

local function add_cable(self, path, a, b, options, member)
  local node_a, name_a = read_end(self, path, a)
  local node_b, name_b = read_end(self, path, b)
  self.broken = self.broken or not node_a or not node_b or node_a == node_b
  if not node_a or not node_b then return end
  if node_a == node_b then
    return mistake(self, path, "%s is linked to itself", node_a.name)
  end
  self.cables[#self.cables + 1] = {
    path = path, effects = options.effects, mtu = options.mtu,
    said = options.said, member = member,
    ends = {
      { node = node_a, name = name_a }, { node = node_b, name = name_b },
    },
  }
end

local function read_link(self, path, value)
  local link = type(value) == "string" and { value }
    or reader.table(self, path, value, "\"a -- b\", or a table")
  if not link then
    self.broken = true
    return
  end
  check_array(self, path, link, 2)
  local a, b = link[1], link[2]
  if b == nil and type(a) == "string" then
    a, b = a:match "^(.-)%s*%-%-%s*(.*)$"
  end
  local options = read_options(self, path, link)
  if type(a) ~= "string" or type(b) ~= "string" then
    self.broken = true
    local wrong = link[1]
    if type(wrong) == "string" and link[2] ~= nil then wrong = link[2] end
    if wrong == nil then wrong = value end
    return expected(self, path, "\"a -- b\", or two ends", wrong)
  end
  add_cable(self, path, a, b, options)
end

local function read_switch(self, name, value)
  local path, node = place_of("switches", name), self.node[name]
  local switch = reader.table(self, path, value, "an array of nodes")
  if not switch then return end
  check_array(self, path, switch)
  local options = read_options(self, path, switch)
  if not node or node.kind ~= "switch" then return end
  node.said = options.said
  for i, member in ipairs(switch) do
    local place = place_of(path, i)
    if type(member) == "string" then
      add_cable(self, place, member, name,
        { effects = options.effects, mtu = options.mtu, said = {} }, true)
    else
      self.broken = true
      expected(self, place, "a node, or a node and an interface", member)
    end
  end
end

-- Gives each end of a cable its interface: those that are said, and then the
-- next of eth0, eth1 … for the others, or of port1, port2 … for switches.
local function plug(self)
  for _, cable in ipairs(self.cables) do
    for _, tip in ipairs(cable.ends) do
      local node, name = tip.node, tip.name
      node.taken = node.taken or {}
      if name and (node.taken[name]
        or node.kind == "switch" and name == BRIDGE) then
        mistake(self, cable.path, "%s:%s is used twice", node.name, name)
      end
      if name then node.taken[name] = true end
    end
  end
  for _, cable in ipairs(self.cables) do
    for i, tip in ipairs(cable.ends) do
      local node, name = tip.node, tip.name
      local prefix = node.kind == "switch" and "port" or "eth"
      while not name do
        node.next = node.next or (node.kind == "switch" and 1 or 0)
        name = ("%s%d"):format(prefix, node.next)
        node.next = node.next + 1
        if node.taken[name] then name = nil end
      end
      local interface = node.interface[name]
        or nodes.add_interface(node, name, ("%s.%s"):format(node.place, name))
      interface.cable = cable
      cable.ends[i] = interface
      node.interfaces[#node.interfaces + 1] = interface
    end
  end
end

local function check_ports(self)
  for _, node in ipairs(self.nodes) do
    if node.kind == "switch" and #node.interfaces > PORTS_MAX then
      mistake(self, node.path,
        "it has %d links, and a bridge of Linux takes %d at most",
        #node.interfaces, PORTS_MAX)
    end
  end
end

-- The parts of a description, as tables of one level each.
local function read_top(self, description)
  local spec = { nodes = {}, routers = {}, switches = {}, links = {} }
  local top = reader.table(self, "(the description)", description) or {}
  check_array(self, "(the description)", top, 0)
  for _, key in ipairs(order.names(top)) do
    local kind, value = TOP[key], top[key]
    if kind == nil then
      mistake(self, key, "%s", unknown(key, TOP, "no such key"))
    elseif kind == "table" then
      local is_list = key == "links" or key == "routers"
      spec[key] = (is_list and reader.list or reader.table)(self, key, value)
        or {}
    elseif kind ~= "subnet" and type(value) ~= kind then
      expected(self, key, "a " .. kind, value)
    else
      spec[key] = value
    end
  end
  self.named = spec.named == true
  self.pools = {}
  for _, key in ipairs(KEYS) do
    local value, family = spec[key], FAMILIES[key]
    if value == nil then value = POOLS[key] end
    self.pools[family] = read_subnet(self, key, value, family)
    if spec[key] == nil then self.pools[family].by_default = true end
  end
  return spec
end

--- Reads a description, a table. The model may have mistakes.
function model.read(description)
  local self = {
    nodes = {}, node = {}, cables = {}, segments = {}, mistakes = {},
  }
  local spec = read_top(self, description)
  add_nodes(self, spec)
  for i, link in ipairs(spec.links) do
    read_link(self, place_of("links", i), link)
  end
  for _, name in ipairs(order.names(spec.switches)) do
    read_switch(self, name, spec.switches[name])
  end
  plug(self)
  read_nodes(self, spec)
  read_routers(self, spec)
  check_ports(self)
  segments.make(self)
  return self
end

local SECTIONS = { nodes = 1, switches = 2, links = 3, routers = 4 }

--- The mistakes of a model, in the order of the parts of a description.
function model.mistakes(self)
  local parts = { [0] = {}, {}, {}, {}, {} }
  for _, text in ipairs(self.mistakes) do
    table.insert(parts[SECTIONS[text:match "^%a+"] or 0], text)
  end
  local list = {}
  for i = 0, #parts do
    for _, text in ipairs(parts[i]) do list[#list + 1] = text end
  end
  return list
end

return model
