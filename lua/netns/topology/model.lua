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
--              sysctl      an array of { key, value }
--   interface  node, name, path, cable (but lo)
--              addresses   an array as of ip.parse; `said` if they are
--   cable      ends = { interface, interface }, path, mtu
--              effects = { delay=… }, of each direction
--              member = true if the switch at its second end is said to have it
--   segment    interfaces (of hosts and routers), path
--              said = { inet = subnet | false, inet6 = … }

local core = require "netns.core"
local ip = require "netns.topology.ip"
local order = require "netns.topology.order"

local model = {}

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

-- What a lab has besides its nodes: lab.lua.
local OF_LAB = {
  close = true, diff = true, eventually = true, link = true, nodes = true,
  plan = true, reach = true,
}

local MTU_MIN, MTU_MAX, MTU_IPV6 = 68, 65535, 1280
local NAME_MAX, INTERFACE_MAX = 255, 15
local BRIDGE = "br0" -- of a switch

model.EFFECTS, model.BRIDGE = EFFECTS, BRIDGE

local function mistake(self, path, text, ...)
  self.mistakes[#self.mistakes + 1] =
    path .. ": " .. (select("#", ...) > 0 and text:format(...) or text)
end

local function describe(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "number" then return tostring(value) end
  return type(value)
end

local function expected(self, path, what, value)
  mistake(self, path, "%s expected, got %s", what, describe(value))
end

local function is_integer(value, min, max)
  return type(value) == "number" and value % 1 == 0 and value >= min
    and value <= max
end

-- Names -----------------------------------------------------------------------

local function node_problem(name)
  if name == "" or #name > NAME_MAX or not name:find "^[%w_][%w_.-]*$"
    or name:find("--", 1, true) then
    return "is no name of a node (letters, digits, _ . -)"
  elseif OF_LAB[name] then
    return "is what every lab has: another name, please"
  end
end

local RESERVED = { ["."] = true, [".."] = true, all = true, default = true }

local function interface_problem(name)
  if #name > INTERFACE_MAX then
    return ("has more than %d bytes"):format(INTERFACE_MAX)
  elseif name == "" or RESERVED[name] or name:find "[/:%%%s%c]" then
    return "is no name of an interface"
  end
end

-- Values ----------------------------------------------------------------------

-- A prefix, whose bits behind it are 0; false for false; nil if it is wrong.
local function read_subnet(self, path, value, family)
  if value == false then return false end
  local subnet = type(value) == "string" and ip.parse(value)
  if not subnet or subnet.family ~= family or not subnet.prefixed then
    expected(self, path, family == "inet" and "an IPv4 subnet or false"
      or "an IPv6 subnet or false", value)
  elseif ip.network(subnet.bytes, subnet.length) ~= subnet.bytes then
    mistake(self, path, "%s has bits behind the prefix", value)
  elseif not ip.is_usable(subnet.bytes) then
    mistake(self, path, "%s is not for hosts", value)
  else
    return ip.subnet(subnet)
  end
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
      expected(self, path, "a positive integer", value)
      return nil
    end
    return value
  elseif type(value) == "string" then
    number = core.quantity(kind, value)
  end
  if type(number) ~= "number" or number ~= number then
    expected(self, path, KINDS[kind], value)
  elseif number < min or number > max then
    if kind == "fraction" then
      mistake(self, path, "%s is not within 0 and 100 %%", value)
    else
      mistake(self, path, "%s is out of range", value)
    end
  elseif number ~= 0 then
    return kind == "rate" and math.floor(number) or number
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

-- The effects, MTU and subnets among the options of a link or switch.
local function read_options(self, path, t)
  local options = { effects = {}, said = {} }
  for _, key in ipairs(order.names(t)) do
    local value, place = t[key], path .. "." .. key
    if EFFECTS[key] then
      options.effects[key] = model.effect(self, place, key, value)
    elseif FAMILIES[key] then
      options.said[FAMILIES[key]] =
        read_subnet(self, place, value, FAMILIES[key])
    elseif key ~= "mtu" then
      mistake(self, place, "no such option")
    elseif is_integer(value, MTU_MIN, MTU_MAX) then
      options.mtu = value
    else
      expected(self, place,
        ("an integer from %d to %d"):format(MTU_MIN, MTU_MAX), value)
    end
  end
  model.check_effects(self, path, options.effects)
  return options
end

-- Keys of an array that are none of 1 to `max`.
local function check_array(self, path, t, max)
  local count = 0
  for key in pairs(t) do
    if type(key) ~= "string" then
      count = count + 1
      if not is_integer(key, 1, max or math.huge) then
        mistake(self, ("%s[%s]"):format(path, tostring(key)), "unexpected")
      end
    end
  end
  for i = 1, count do -- not #t, which may count holes
    if t[i] == nil then return mistake(self, path, "has holes") end
  end
end

-- The keys of what is an array and nothing else.
local function check_list(self, path, t, max)
  check_array(self, path, t, max)
  for _, key in ipairs(order.names(t)) do
    mistake(self, path .. "." .. key, "unexpected")
  end
end

-- Nodes -----------------------------------------------------------------------

local function add_node(self, name, kind, path)
  local problem = node_problem(name)
  if problem then
    mistake(self, path, "%q %s", name, problem)
    return nil
  end
  local node = {
    name = name, kind = kind, path = path, interfaces = {}, interface = {},
    sysctl = {},
    place = (kind == "switch" and "switches." or "nodes.") .. name,
  }
  self.node[name] = node
  self.nodes[#self.nodes + 1] = node
  return node
end

local function read_addresses(self, path, interface, value)
  local list = {}
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" then
    expected(self, path, "an address or an array of them", value)
    return list
  end
  check_list(self, path, value)
  for i, text in ipairs(value) do
    local place = #value > 1 and ("%s[%d]"):format(path, i) or path
    local address = type(text) == "string" and ip.parse(text)
    if not address then
      expected(self, place, "an address such as \"10.0.0.1/24\"", text)
    elseif not address.prefixed then
      mistake(self, place, "%s has no length of a prefix (/24)", text)
    else
      local subnet = ip.subnet(address)
      if not ip.is_usable(address.bytes, interface) then
        mistake(self, place, "%s is not for a host", text)
      elseif address.family == "inet" and address.length < 31
        and address.bytes == subnet.bytes then
        mistake(self, place, "%s is the subnet itself", text)
      end
      address.path = place
      list[#list + 1] = address
    end
  end
  return list
end

local function read_routes(self, node, path, value)
  node.routes = {}
  if type(value) ~= "table" then
    return expected(self, path, "a table from destinations to addresses", value)
  end
  check_array(self, path, value, 0)
  for _, to in ipairs(order.names(value)) do
    local place, via = path .. "." .. to, value[to]
    local prefix = to ~= "default" and ip.parse(to)
    if to ~= "default" and not prefix then
      mistake(self, place, "%q is no destination (a prefix, or \"default\")",
        to)
    elseif prefix and ip.network(prefix.bytes, prefix.length) ~= prefix.bytes
    then
      mistake(self, place, "it has bits behind the prefix")
    end
    if type(via) == "string" then via = { via } end
    if type(via) ~= "table" or #via == 0 then
      expected(self, place, "an address or an array of them", value[to])
      via = {}
    end
    local seen = {}
    for _, text in ipairs(via) do
      local address = type(text) == "string" and ip.parse(text)
      if not address or address.prefixed then
        expected(self, place, "the address of a router", text)
      elseif prefix and prefix.family ~= address.family then
        mistake(self, place, "%s is of the other family", text)
      elseif seen[address.family] then
        mistake(self, place, "%s is the second of its family", text)
      else
        seen[address.family] = true
        address.path = place
        node.routes[#node.routes + 1] = {
          to = prefix and ip.subnet(prefix) or "default", via = address,
        }
      end
    end
  end
end

local function read_sysctl(self, node, path, value)
  if type(value) ~= "table" then
    return expected(self, path, "a table from keys to values", value)
  end
  check_array(self, path, value, 0)
  for _, key in ipairs(order.names(value)) do
    local place, v = path .. "." .. key, value[key]
    if type(v) == "boolean" then v = v and 1 or 0 end
    if not key:find "^net[./]" then
      mistake(self, place, "no sysctl of a network namespace (net.…)")
    elseif type(v) ~= "string" and type(v) ~= "number" then
      expected(self, place, "a string, number or boolean", v)
    else
      node.sysctl[#node.sysctl + 1] = { key = key, value = v }
    end
  end
end

local function read_node(self, name, t)
  local path = "nodes." .. name
  local node = add_node(self, name, "host", path)
  if not node then return end
  if type(t) ~= "table" then return expected(self, path, "a table", t) end
  check_array(self, path, t, 0)
  for _, key in ipairs(order.names(t)) do
    local place, value = path .. "." .. key, t[key]
    if key == "router" then
      if type(value) ~= "boolean" then
        expected(self, place, "a boolean", value)
      elseif value then
        node.kind = "router"
      end
    elseif key == "routes" then
      read_routes(self, node, place, value)
    elseif key == "sysctl" then
      read_sysctl(self, node, place, value)
    else
      local problem = interface_problem(key)
      if problem then mistake(self, place, "it %s", problem) end
      node.interface[key] = {
        node = node, name = key, path = place, said = true,
        addresses = read_addresses(self, place, key, value),
      }
    end
  end
end

local function read_nodes(self, spec)
  for _, name in ipairs(order.names(spec.nodes)) do
    read_node(self, name, spec.nodes[name])
  end
  check_array(self, "nodes", spec.nodes, 0)
  for _, name in ipairs(order.names(spec.switches)) do
    local path = "switches." .. name
    if self.node[name] then
      mistake(self, path, "there is a node of this name")
    else
      add_node(self, name, "switch", path)
    end
  end
  check_array(self, "switches", spec.switches, 0)
end

-- Those that are routers; the nodes of links are all known by now.
local function read_routers(self, spec)
  local seen = {}
  check_list(self, "routers", spec.routers)
  for i, name in ipairs(spec.routers) do
    local path = ("routers[%d]"):format(i)
    local node = type(name) == "string" and self.node[name]
    if type(name) ~= "string" then
      expected(self, path, "the name of a node", name)
    elseif not node then
      mistake(self, path, "no link and no switch has a node %q", name)
    elseif node.kind == "switch" then
      mistake(self, path, "%s is a switch", name)
    elseif seen[name] then
      mistake(self, path, "%s is named twice", name)
    else
      node.kind = "router"
    end
    seen[name] = true
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
    mistake(self, path, "%q is no end of a link (\"node\" or \"node:eth0\")",
      text)
    return nil
  end
  local problem = interface and interface_problem(interface)
  if problem or interface == "lo" then
    mistake(self, path, "%s %s", interface,
      problem or "is no interface for a link")
    interface = nil
  end
  return self.node[name] or add_node(self, name, "host", path), interface
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

local function read_link(self, path, link)
  if type(link) == "string" then link = { link } end
  if type(link) ~= "table" then
    return expected(self, path, "\"a -- b\", or a table", link)
  end
  check_array(self, path, link, 2)
  local a, b = link[1], link[2]
  if b == nil and type(a) == "string" then
    a, b = a:match "^(.-)%s*%-%-%s*(.*)$"
  end
  local options = read_options(self, path, link)
  if type(a) ~= "string" or type(b) ~= "string" then
    self.broken = true
    return expected(self, path, "\"a -- b\", or two ends", link[1])
  end
  add_cable(self, path, a, b, options)
end

local function read_switch(self, name, switch)
  local path, node = "switches." .. name, self.node[name]
  if type(switch) ~= "table" then
    return expected(self, path, "an array of nodes", switch)
  end
  check_array(self, path, switch)
  local options = read_options(self, path, switch)
  if not node or node.kind ~= "switch" then return end
  node.said = options.said
  for i, member in ipairs(switch) do
    local place = ("%s[%d]"):format(path, i)
    if type(member) == "string" then
      add_cable(self, place, member, name,
        { effects = options.effects, mtu = options.mtu, said = {} }, true)
    else
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
        or { node = node, name = name, addresses = {},
             path = ("%s.%s"):format(node.place, name) }
      interface.cable = cable
      cable.ends[i] = interface
      node.interface[name] = interface
      node.interfaces[#node.interfaces + 1] = interface
    end
  end
end

local function check_plugs(self)
  for _, node in ipairs(self.nodes) do
    for _, name in ipairs(order.names(node.interface)) do
      local interface = node.interface[name]
      if name == "lo" then
        table.insert(node.interfaces, 1, interface)
      elseif not interface.cable then
        mistake(self, interface.path, "no link and no switch has it")
      end
    end
  end
end

-- Segments --------------------------------------------------------------------

local function segment_of(self, switch)
  while switch.joined do switch = switch.joined end
  if not switch.segment then
    switch.segment = { interfaces = {}, said = {}, path = switch.path }
    self.segments[#self.segments + 1] = switch.segment
  end
  return switch.segment, switch
end

-- Two switches that are linked are one; linked twice, packets would go round
-- for ever.
local function join(self, cable, a, b)
  local into, root_a = segment_of(self, a)
  local from, root_b = segment_of(self, b)
  if into == from then
    return mistake(self, cable.path, "it closes a ring of switches")
  end
  root_b.joined = root_a
  for _, interface in ipairs(from.interfaces) do
    into.interfaces[#into.interfaces + 1] = interface
  end
  for i, segment in ipairs(self.segments) do
    if segment == from then table.remove(self.segments, i) end
  end
end

local function make_segments(self)
  for _, cable in ipairs(self.cables) do
    local a, b = cable.ends[1], cable.ends[2]
    local switch = a.node.kind == "switch" and a.node
      or b.node.kind == "switch" and b.node
    if a.node.kind == "switch" and b.node.kind == "switch" then
      join(self, cable, a.node, b.node)
    elseif switch then
      local segment = segment_of(self, switch)
      segment.interfaces[#segment.interfaces + 1] = a.node == switch and b or a
    else
      self.segments[#self.segments + 1] =
        { interfaces = { a, b }, said = cable.said, path = cable.path }
    end
    if switch and next(cable.said) ~= nil then
      mistake(self, cable.path, "a subnet is that of all on the switch: say it "
        .. "of %s", switch.name)
    end
  end
  for _, node in ipairs(self.nodes) do
    for _, key in ipairs(node.kind == "switch" and KEYS or {}) do
      local segment, subnet = segment_of(self, node), node.said[FAMILIES[key]]
      if subnet ~= nil and segment.said[FAMILIES[key]] ~= nil then
        mistake(self, ("%s.%s"):format(node.path, key),
          "another switch of the same segment has it, too")
      elseif subnet ~= nil then
        segment.said[FAMILIES[key]] = subnet
      end
    end
  end
  for _, segment in ipairs(self.segments) do
    for _, interface in ipairs(segment.interfaces) do
      interface.segment = segment
    end
  end
end

-- The MTU of each segment is told by its cables; IPv6 needs 1280.
local function check_mtu(self)
  for _, cable in ipairs(self.cables) do
    for _, interface in ipairs(cable.ends) do
      for _, address in ipairs(interface.addresses) do
        if address.family == "inet6" and (cable.mtu or MTU_IPV6) < MTU_IPV6 then
          mistake(self, address.path, "IPv6 wants an MTU of %d at least",
            MTU_IPV6)
        end
      end
      if (cable.mtu or MTU_IPV6) < MTU_IPV6 and interface.segment
        and interface.segment.said.inet6 == nil then
        interface.segment.said.inet6 = false
      end
    end
  end
end

--- Reads a description, a table. The model may have mistakes.
function model.read(description)
  local self = {
    nodes = {}, node = {}, cables = {}, segments = {}, mistakes = {},
    named = description.named == true,
  }
  local spec = { nodes = {}, routers = {}, switches = {}, links = {} }
  for _, key in ipairs(order.names(description)) do
    local kind, value = TOP[key], description[key]
    if kind == nil then
      mistake(self, key, "no such key")
    elseif kind ~= "subnet" and type(value) ~= kind then
      expected(self, key, "a " .. kind, value)
    else
      spec[key] = value
    end
  end
  check_array(self, "(the description)", description, 0)
  self.pools = {}
  for _, key in ipairs(KEYS) do
    local value = spec[key]
    if value == nil then value = POOLS[key] end
    self.pools[FAMILIES[key]] = read_subnet(self, key, value, FAMILIES[key])
  end
  read_nodes(self, spec)
  check_list(self, "links", spec.links)
  for i, link in ipairs(spec.links) do
    read_link(self, ("links[%d]"):format(i), link)
  end
  for _, name in ipairs(order.names(spec.switches)) do
    read_switch(self, name, spec.switches[name])
  end
  read_routers(self, spec)
  plug(self)
  check_plugs(self)
  make_segments(self)
  check_mtu(self)
  return self
end

--- Notes one more mistake.
model.mistake = mistake

return model
