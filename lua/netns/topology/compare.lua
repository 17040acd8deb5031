-- Compares the live network with the model: all that the description says, and
-- what it implies.

local core = require "netns.core"
local effects = require "netns.topology.effects"
local found = require "netns.topology.found"
local ip = require "netns.topology.ip"
local links = require "netns.links"
local model = require "netns.topology.model"
local routes_of = require "netns.topology.routes"
local sysctls = require "netns.topology.sysctls"

local compare = {}

-- Those that the drivers of tunnels have in every namespace.
local EVERYWHERE = {
  lo = true, tunl0 = true, gre0 = true, gretap0 = true, erspan0 = true,
  ip_vti0 = true, ip6_vti0 = true, sit0 = true, ip6tnl0 = true, ip6gre0 = true,
}

local MTU = 1500 -- of a veth of which nothing is said

local function note(list, place, text, ...)
  list[#list + 1] = ("%s: %s"):format(place, text:format(...))
end

local function is_down(interface)
  return interface.cable ~= nil and interface.cable.down == true
end

-- Whether the description leaves it to others, as a server of addresses or a
-- router, what addresses an interface has: of a family, or at all.
local function is_open(interface, family)
  for _, address in ipairs(interface.addresses) do
    if not family or address.family == family then return false end
  end
  return interface.cable ~= nil and interface.node.kind ~= "switch"
end

-- Links -----------------------------------------------------------------------

local function diff_port(list, interface, link)
  if link.master ~= model.BRIDGE then
    note(list, interface.path, "it is no port of %s", model.BRIDGE)
  elseif link.port and link.port.isolated then
    note(list, interface.path, "it is isolated from other ports")
  end
end

local function diff_link(list, interface, link)
  local cable = interface.cable
  if not link then return note(list, interface.path, "it is missing") end
  if link.kind ~= "veth" then
    note(list, interface.path, "it is a %s", link.kind or "link of no kind")
  end
  if link.up == is_down(interface) then
    note(list, interface.path, "it is %s", link.up and "up" or "down")
  end
  if link.mtu ~= (cable.mtu or MTU) then
    note(list, interface.path, "its MTU is %d instead of %d", link.mtu,
      cable.mtu or MTU)
  end
  if link.arp == false then
    note(list, interface.path, "it asks for no neighbours (arp is off)")
  end
  if interface.node.kind == "switch" then
    diff_port(list, interface, link)
  elseif link.master then
    note(list, interface.path, "it is a port of %s", link.master)
  end
end

local function diff_links(list, node, ns)
  local all, message, errno = links.links(ns)
  if not all then return nil, message, errno end
  local wanted, by_name = {}, {}
  for _, link in ipairs(all) do by_name[link.name] = link end
  for _, interface in ipairs(node.interfaces) do
    wanted[interface.name] = true
    if interface.cable then
      diff_link(list, interface, by_name[interface.name])
    end
  end
  for name in pairs(by_name) do
    local is_bridge = node.kind == "switch" and name == model.BRIDGE
    if not wanted[name] and not EVERYWHERE[name] and not is_bridge then
      note(list, node.place, "link %s was not asked for", name)
    end
  end
  local bridge = node.kind == "switch" and by_name[model.BRIDGE]
  if bridge == nil then
    note(list, node.place, "link %s is missing", model.BRIDGE)
  elseif bridge and not bridge.up then
    note(list, node.place, "link %s is down", model.BRIDGE)
  end
  return true
end

-- Addresses -------------------------------------------------------------------

-- What the kernel gives every interface.
local function is_own(addr)
  return addr.scope == "link" or addr.scope == "host"
end

local function is_passed_over(interface, addr)
  return is_own(addr) or is_open(interface)
    or addr.dynamic and is_open(interface, addr.family)
end

local function diff_interface(list, interface, addrs)
  local has, wants = {}, {}
  for _, addr in ipairs(addrs) do has[addr.text] = true end
  for _, address in ipairs(interface.addresses) do
    local text = ip.text(address.bytes, address.length)
    wants[text] = true
    -- a link that is down loses those of IPv6
    local is_lost = is_down(interface) and address.family == "inet6"
    if not has[text] and not is_lost then
      note(list, interface.path, "address %s is missing", text)
    end
  end
  for _, addr in ipairs(addrs) do
    if not wants[addr.text] and not is_passed_over(interface, addr) then
      note(list, interface.path, "address %s was not asked for", addr.text)
    elseif wants[addr.text] and addr.dadfailed then
      note(list, interface.path, "address %s is another's, too", addr.text)
    end
  end
end

-- The texts of the addresses of each link are a set, in `has`.
local function diff_addrs(list, node, ns, has)
  local addrs, message, errno = found.addresses(ns)
  if not addrs then return nil, message, errno end
  local by_link = {}
  for _, addr in ipairs(addrs) do
    by_link[addr.link] = by_link[addr.link] or {}
    table.insert(by_link[addr.link], addr)
    has[addr.link .. " " .. addr.text] = true
  end
  for _, interface in ipairs(node.interfaces) do
    diff_interface(list, interface, by_link[interface.name] or {})
    by_link[interface.name] = nil
  end
  for link, left in pairs(by_link) do
    for _, addr in ipairs(left) do
      if not is_own(addr) then
        note(list, node.place .. "." .. link, "address %s was not asked for",
          addr.text)
      end
    end
  end
  return true
end

-- Routes ----------------------------------------------------------------------

-- The subnets of the addresses that an interface has are reached by it.
local function diff_connected(list, interface, has, is_there)
  for _, address in ipairs(interface.addresses) do
    local text = ip.text(address.bytes, address.length)
    local subnet = ip.subnet(address)
    local to = ip.text(subnet.bytes, subnet.length)
    local name = interface.name
    if interface.cable and not is_down(interface)
      and address.length < ip.bits(address.family)
      and has[name .. " " .. text] and not is_there[name .. " " .. to] then
      note(list, interface.path, "the route to its subnet %s is missing", to)
    end
  end
end

local function is_left_open(node, route)
  local interface = node.interface[route.link or ""]
  return interface and (is_open(interface)
    or route.told and is_open(interface, route.family))
end

local function diff_routes(list, node, ns, has)
  local routes, message, errno = found.routes(ns)
  if not routes then return nil, message, errno end
  local links_by, connected, wanted = {}, {}, {}
  for _, route in ipairs(routes) do
    if route.own then
      connected[("%s %s"):format(route.link, route.text)] = true
    else
      links_by[route.text] = links_by[route.text] or {}
      links_by[route.text][route.link or ""] = true
    end
  end
  for _, interface in ipairs(node.interfaces) do
    diff_connected(list, interface, has, connected)
  end
  for _, route in ipairs(node.routes) do
    local text = found.route_text(routes_of.text(route), route.via.plain)
    local link = route.interface.name
    wanted[text] = wanted[text] or {}
    wanted[text][link] = true
    local by = links_by[text]
    if is_down(route.interface) or by and by[link] then -- luacheck: ignore 542
      -- it is lost with its link, or there
    elseif by then
      note(list, node.place, "route %s leaves by %s instead of %s", text,
        next(by), link)
    else
      note(list, node.place, "route %s is missing", text)
    end
  end
  for _, route in ipairs(routes) do
    local by = wanted[route.text]
    if not route.own and not by and not is_left_open(node, route) then
      note(list, node.place, "route %s was not asked for", route.text)
    elseif not route.own and by and not by[route.link or ""]
      and links_by[route.text][next(by)] then
      note(list, node.place, "route %s by %s was not asked for", route.text,
        tostring(route.link))
    end
  end
  return true
end

-- Rules and neighbours --------------------------------------------------------

-- `fresh` are those of a new namespace.
local function diff_rules(list, node, ns, _, fresh)
  local rules, message, errno = found.rules(ns)
  if not rules then return nil, message, errno end
  for text in pairs(fresh.rules) do
    if not rules[text] then note(list, node.place, "%s is missing", text) end
  end
  for text in pairs(rules) do
    if not fresh.rules[text] then
      note(list, node.place, "%s was not asked for", text)
    end
  end
  return true
end

local function diff_neighbours(list, node, ns)
  local neighbours, message, errno = ns:neighs()
  if not neighbours then return nil, message, errno end
  for _, neighbour in ipairs(neighbours) do
    if tostring(neighbour.state):upper() == "PERMANENT" then
      note(list, ("%s.%s"):format(node.place, neighbour.link or "?"),
        "the permanent neighbour %s was not asked for", neighbour.dst)
    end
  end
  return true
end

-- Queues ----------------------------------------------------------------------

-- The kernel counts in units of its own: bytes a second, parts of 2^32, ticks.
local UNIT = { rate = 8, limit = 0.5 }

local function near(name, a, b)
  return math.abs(a - b) <= math.max(UNIT[name] or 1e-6, math.abs(a) * 1e-3)
end

-- The same in every Lua, whether or not it is an integer there.
local function number_text(value)
  return type(value) == "number" and ("%.10g"):format(value)
    or tostring(value)
end

local LIMIT = 1000 -- packets: of a netem of which nothing is said

local function diff_effects(list, interface, queue)
  local wanted = interface.cable.effects
  for name in pairs(model.EFFECTS) do
    local value, is = wanted[name], queue[name]
    if value == nil then
      value = name == "limit" and queue.kind == "netem" and LIMIT or nil
    end
    if value and (type(is) ~= "number" or not near(name, value, is)) then
      note(list, interface.path, "%s is %s instead of %s", name,
        number_text(is), number_text(value))
    elseif not value and queue.kind == "netem" and type(is) == "number"
      and is > 0 then
      note(list, interface.path, "%s is %s and was not asked for", name,
        number_text(is))
    end
  end
end

local function diff_queues(list, node, ns)
  local queues, message, errno = ns:qdiscs()
  if not queues then return nil, message, errno end
  local roots, others = {}, {}
  for _, queue in ipairs(queues) do
    if queue.root then
      roots[queue.link] = queue
    else
      others[queue.link] = queue
    end
  end
  for _, interface in ipairs(node.interfaces) do
    local cable, name = interface.cable, interface.name
    local queue = roots[name] or { kind = "noqueue" }
    local wanted = cable and effects.queue(cable)
    if wanted and queue.kind ~= wanted.kind then
      note(list, interface.path, "its queue is no %s", wanted.kind)
    elseif wanted then
      diff_effects(list, interface, queue)
    elseif cable and queue.kind ~= "noqueue" then
      note(list, interface.path, "a queue %s was not asked for", queue.kind)
    end
    if cable and others[name] then
      note(list, interface.path, "a queue %s was not asked for",
        others[name].kind)
    end
  end
  return true
end

-- Sysctls ---------------------------------------------------------------------

local function is_same(a, b)
  a, b = a:gsub("%s+", " "), b:gsub("%s+", " ")
  return a == b or tonumber(a) ~= nil and tonumber(a) == tonumber(b)
end

local function diff_sysctls(list, node, ns)
  local live = {}
  for _, entry in ipairs(sysctls.wanted(node)) do
    local said = entry.said
    local key = said and said.key or entry.key
    local place = said and said.place
      or ("%s.sysctl.%s"):format(node.place, (key:gsub("/", ".")))
    local value, message, errno = ns:sysctl(key)
    live[entry.key] = value
    if not value and errno ~= core.errno.ENOENT then
      return nil, message, errno
    elseif not value and said then
      note(list, place, "it is missing")
    elseif value and not is_same(value, entry.value)
      and value ~= live[entry.of] then -- else that one is told already
      note(list, place, "it is %s instead of %s", value, entry.value)
    end
  end
  return true
end

-- All -------------------------------------------------------------------------

local looks = {
  diff_links, diff_addrs, diff_routes, diff_rules, diff_neighbours, diff_queues,
  diff_sysctls,
}

--- An array of differences; or nil, message, errno.
function compare.diff(inside)
  local list = {}
  for _, node in ipairs(inside.model.nodes) do
    local has = {}
    for _, look in ipairs(looks) do
      local ok, message, errno =
        look(list, node, inside.of[node], has, inside.fresh)
      if not ok then return nil, message, errno end
    end
  end
  table.sort(list)
  return list
end

return compare
