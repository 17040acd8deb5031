-- What is said of a node: its name, its kind, its interfaces with their
-- addresses, its routes and sysctls.

local core = require "netns.core"
local ip = require "netns.topology.ip"
local order = require "netns.topology.order"
local reader = require "netns.topology.reader"
local sysctls = require "netns.topology.sysctls"

local nodes = {}

local mistake, expected = reader.mistake, reader.expected
local quote, place_of, unknown = reader.quote, reader.place, reader.unknown
local check_array, integer = reader.check_array, reader.integer

-- What a lab has besides its nodes: lab.lua.
local OF_LAB = {
  close = true, diff = true, eventually = true, link = true, nodes = true,
  plan = true, reach = true,
}

local NAME_MAX, INTERFACE_MAX = 63, 15

-- Names -----------------------------------------------------------------------

local function node_problem(name)
  if not name:find "^[%w_][%w_.-]*$" or name:find "[\128-\255]"
    or name:find("--", 1, true) then
    return "is no name of a node (letters, digits, _ . -)"
  elseif #name > NAME_MAX then
    return ("has more than %d bytes"):format(NAME_MAX)
  elseif name:lower() == "localhost" or ip.parse(name) then
    return "is no name of a node (others resolve it)"
  elseif OF_LAB[name] then
    return "is what every lab has: another name, please"
  end
end

local RESERVED = { ["."] = true, [".."] = true, all = true, default = true }

--- Why an interface cannot have a name; nil if it can.
function nodes.interface_problem(name)
  if #name > INTERFACE_MAX then
    return ("has more than %d bytes"):format(INTERFACE_MAX)
  elseif name == "" or RESERVED[name] or name:find "[/:%%%s%c]"
    or name:find("\0", 1, true) then
    return "is no name of an interface"
  end
end

--- A new node.
function nodes.add(self, name, kind, path)
  local problem = node_problem(name)
  if problem then return mistake(self, path, "%s %s", quote(name), problem) end
  local node = {
    name = name, kind = kind, path = path, interfaces = {}, interface = {},
    sysctl = {}, said = {},
    place = (kind == "switch" and "switches." or "nodes.") .. name,
  }
  self.node[name] = node
  self.nodes[#self.nodes + 1] = node
  return node
end

local function read_address(self, place, interface, text)
  local address = type(text) == "string" and ip.parse(text)
  if not address then
    return expected(self, place, "an address such as \"10.0.0.1/24\"", text)
  elseif not address.prefixed then
    return mistake(self, place, "%s has no length of a prefix (/24)", text)
  end
  local problem = ip.problem(address, interface)
  if problem then return mistake(self, place, "%s %s", text, problem) end
  address.path = place
  return address
end

-- An array of what is one text or an array of them.
local function texts(self, path, value, what)
  if type(value) == "string" then return { value } end
  return reader.list(self, path, value, what) or {}
end

local function read_addresses(self, path, interface, value)
  local list = {}
  local said = texts(self, path, value, "an address or an array of them")
  for i, text in ipairs(said) do
    local place = #said > 1 and place_of(path, i) or path
    list[#list + 1] = read_address(self, place, interface, text)
  end
  return list
end

-- The address of a router: of one that only its link has, with the name of
-- that, "fe80::1%eth0".
local function read_hop(self, place, text)
  local plain, link = text, nil
  if type(text) == "string" and text:find("%", 1, true) then
    plain, link = text:match "^([^%%]*)%%(.*)$"
  end
  local address = type(plain) == "string" and ip.parse(plain)
  if not address or address.prefixed then
    return expected(self, place, "the address of a router", text)
  elseif ip.is_link_local(address) ~= (link ~= nil) then
    return mistake(self, place, link and "%s is not of one link: no %% there"
      or "%s is of one link: name it, as in \"fe80::1%%eth0\"", text)
  end
  address.path, address.link = place, link
  return address
end

-- Whether a route is the second to where it leads, in another spelling.
local function is_known(self, known, route)
  local to = route.to == "default" and "default" or ip.text(route.to.bytes,
    route.to.length)
  local key = ("%s %s"):format(route.via.family, to)
  local other = known[key]
  if not other then
    known[key] = route
    return false
  end
  local a, b = route.via.path, other.via.path
  local text = "it is a route to the same (%s) as %s"
  reader.conflict(self, a, b, text:format(to, b), text:format(to, a))
  return true
end

local function read_route(self, node, place, to, value)
  local prefix = to ~= "default" and ip.parse(to)
  if to ~= "default" and not prefix then
    mistake(self, place, "%s is no destination (a prefix, or \"default\")",
      quote(to))
  elseif prefix and ip.network(prefix.bytes, prefix.length) ~= prefix.bytes
  then
    mistake(self, place, "it has bits behind the prefix")
  end
  local said = texts(self, place, value, "an address or an array of them")
  if type(value) == "table" and next(value) == nil then
    expected(self, place, "an address or an array of them", value)
  end
  local seen = {}
  for _, text in ipairs(said) do
    local via = read_hop(self, place, text)
    if via and prefix and prefix.family ~= via.family then
      mistake(self, place, "%s is of the other family", text)
    elseif via and seen[via.family] then
      mistake(self, place, "%s is the second of its family", text)
    elseif via then
      seen[via.family] = true
      local route = { to = "default", via = via, said = true }
      if prefix and prefix.length > 0 then route.to = ip.subnet(prefix) end
      if not is_known(self, node.known, route) then
        node.routes[#node.routes + 1] = route
      end
    end
  end
end

local function read_routes(self, node, path, value)
  node.routes, node.known = {}, {}
  local t = reader.table(self, path, value,
    "a table from destinations to addresses")
  if not t then return end
  check_array(self, path, t, 0)
  for _, to in ipairs(order.names(t)) do
    read_route(self, node, place_of(path, to), to, t[to])
  end
end

-- What is written to a sysctl, a string or a number; nil if it is wrong.
local function sysctl_value(self, place, value)
  if type(value) == "boolean" then return value and 1 or 0 end
  if type(value) == "number" and value == value
    and value > -math.huge and value < math.huge then
    return value % 1 == 0 and math.abs(value) < 2 ^ 53 and integer(value)
      or value
  elseif type(value) ~= "string" then
    return expected(self, place, "a string, number or boolean", value)
  end
  local text = value:gsub("\n$", "") -- as it is read from its file
  if text:gsub("\t", ""):find "%c" or text:find("\0", 1, true) then
    return mistake(self, place, "%s has a control character", quote(value))
  end
  return text
end

local function read_sysctl(self, node, path, value)
  local t = reader.table(self, path, value, "a table from keys to values")
  if not t then return end
  check_array(self, path, t, 0)
  local known = {}
  for _, key in ipairs(order.names(t)) do
    local place = place_of(path, key)
    local file = core.sysctl_path(key)
    local content = sysctl_value(self, place, t[key])
    if not file then
      mistake(self, place, "no sysctl of a network namespace (net.…)")
    elseif known[file] then
      local text = "it is the same sysctl as %s"
      reader.conflict(self, place, known[file], text:format(known[file]),
        text:format(place))
    elseif content then
      node.sysctl[#node.sysctl + 1] =
        { key = key, value = content, path = file, place = place }
    end
    known[file or false] = file and place
  end
  sysctls.sort(node.sysctl)
end

local function read_router(self, node, path, value)
  if type(value) ~= "boolean" then
    expected(self, path, "a boolean", value)
  elseif value then
    node.kind = "router"
  end
end

--- A new interface of a node.
function nodes.add_interface(node, name, path)
  local interface = { node = node, name = name, addresses = {}, path = path }
  node.interface[name] = interface
  return interface
end

-- A key of a node that is no option of it, and no interface that a link or
-- switch has.
local function stray(self, path, name, value, known)
  local of_interface = type(value) == "string"
    or type(value) == "table" and type(next(value)) ~= "string"
  local text = unknown(name, known, "no link and no switch has it")
  if not of_interface then
    return mistake(self, path, "no such key of a node, and %s", text)
  end
  local problem = nodes.interface_problem(name)
  mistake(self, path, "%s", problem and "it " .. problem or text)
  read_addresses(self, path, name, value)
end

-- `known` are the words that its name may have been meant for.
local function read_interface(self, node, path, name, value, known)
  local interface = node.interface[name]
  if not interface and name == "lo" then
    interface = nodes.add_interface(node, name, path)
    table.insert(node.interfaces, 1, interface)
  elseif not interface then
    return stray(self, path, name, value, known)
  elseif interface.said then
    return mistake(self, path, "it is the same interface as %s",
      interface.path)
  end
  interface.path, interface.said = path, true
  interface.addresses = read_addresses(self, path, name, value)
end

-- The full form, for interfaces that are named like an option.
local function read_interfaces(self, node, path, value)
  local t = reader.table(self, path, value, "a table from names to addresses")
  if not t then return end
  check_array(self, path, t, 0)
  for _, name in ipairs(order.names(t)) do
    read_interface(self, node, place_of(path, name), name, t[name], {})
  end
end

local NODE = {
  router = read_router, routes = read_routes, sysctl = read_sysctl,
  interfaces = read_interfaces,
}

--- Whether a key of a node is none of its interfaces.
function nodes.is_option(key) return NODE[key] ~= nil end

--- Reads what is said of a node, once it is known which interfaces it has.
function nodes.read(self, node, value)
  local path = node.place
  local t = reader.table(self, path, value)
  if not t then return end
  check_array(self, path, t, 0)
  for _, key in ipairs(order.names(t)) do
    local read, place = NODE[key], place_of(path, key)
    if read then
      read(self, node, place, t[key])
    else
      read_interface(self, node, place, key, t[key], NODE)
    end
  end
end

return nodes
