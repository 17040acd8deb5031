-- What is there against what was asked for.

local effects = require "netns.topology.effects"
local ip = require "netns.topology.ip"
local links = require "netns.links"
local model = require "netns.topology.model"
local routes_of = require "netns.topology.routes"

local compare = {}

-- Those that the drivers of tunnels have in every namespace.
local EVERYWHERE = {
  lo = true, tunl0 = true, gre0 = true, gretap0 = true, erspan0 = true,
  ip_vti0 = true, ip6_vti0 = true, sit0 = true, ip6tnl0 = true, ip6gre0 = true,
}

local function note(list, place, text, ...)
  list[#list + 1] = ("%s: %s"):format(place, text:format(...))
end

-- What an array of texts lacks, and has besides.
local function differ(list, place, what, wanted, found)
  local has, wants = {}, {}
  for _, text in ipairs(found) do has[text] = true end
  for _, text in ipairs(wanted) do
    if not has[text] then note(list, place, "%s %s is missing", what, text) end
    wants[text] = true
  end
  for _, text in ipairs(found) do
    if not wants[text] then
      note(list, place, "%s %s was not asked for", what, text)
    end
  end
end

-- Links -----------------------------------------------------------------------

local function diff_link(list, interface, link)
  local cable = interface.cable
  if not link then return note(list, interface.path, "it is missing") end
  if link.kind ~= "veth" then
    note(list, interface.path, "it is a %s", link.kind or "link of no kind")
  end
  if link.up == (cable.down == true) then
    note(list, interface.path, "it is %s", link.up and "up" or "down")
  end
  if cable.mtu and link.mtu ~= cable.mtu then
    note(list, interface.path, "its MTU is %d instead of %d", link.mtu,
      cable.mtu)
  end
  if interface.node.kind == "switch" and link.master ~= model.BRIDGE then
    note(list, interface.path, "it is no port of %s", model.BRIDGE)
  end
end

local function diff_links(list, node, found)
  local wanted = { [model.BRIDGE] = node.kind == "switch" or nil }
  for _, interface in ipairs(node.interfaces) do
    local name = interface.name
    if interface.cable then diff_link(list, interface, found[name]) end
    wanted[name] = true
  end
  for name in pairs(found) do
    if not wanted[name] and not EVERYWHERE[name] then
      note(list, node.place, "link %s was not asked for", name)
    end
  end
end

-- Addresses and routes --------------------------------------------------------

-- What the kernel gives every interface.
local function is_own(addr)
  return addr.scope == "link" or addr.scope == "host"
end

local function wanted_addrs(interface)
  local wanted, is_wanted = {}, {}
  for i, address in ipairs(interface and interface.addresses or {}) do
    wanted[i] = ip.text(address.bytes, address.length)
    is_wanted[wanted[i]] = true
  end
  return wanted, is_wanted
end

local function diff_addrs(list, node, ns)
  local found, message, errno = ns:addrs()
  if not found then return nil, message, errno end
  local by_link = {}
  for _, addr in ipairs(found) do
    local text = ("%s/%d"):format(addr["local"], addr.prefixlen)
    local _, is_wanted = wanted_addrs(node.interface[addr.link])
    if is_wanted[text] or not is_own(addr) then
      by_link[addr.link] = by_link[addr.link] or {}
      table.insert(by_link[addr.link], text)
    end
  end
  for _, interface in ipairs(node.interfaces) do
    local wanted = wanted_addrs(interface)
    -- a link that is down loses those of IPv6
    if not (interface.cable and interface.cable.down) then
      differ(list, interface.path, "address", wanted,
        by_link[interface.name] or {})
    end
    by_link[interface.name] = nil
  end
  for link, texts in pairs(by_link) do
    differ(list, node.place .. "." .. link, "address", {}, texts)
  end
  return true
end

-- Routes of any other protocol are a daemon's, or the kernel's own.
local BY_HAND = { boot = true, static = true }

local function route_text(to, via) return ("%s via %s"):format(to, via) end

local function diff_routes(list, node, ns)
  local wanted, found = {}, {}
  for _, route in ipairs(node.routes) do
    wanted[#wanted + 1] = route_text(routes_of.text(route), route.via.plain)
  end
  for _, interface in ipairs(node.interfaces) do
    if interface.cable and interface.cable.down then return true end
  end
  local routes, message, errno = ns:routes()
  if not routes then return nil, message, errno end
  for _, route in ipairs(routes) do
    if BY_HAND[route.protocol] then
      local to = route.to
      if to ~= "default" and not to:find("/", 1, true) then
        to = ("%s/%d"):format(to, ip.bits(route.family))
      end
      found[#found + 1] = route_text(to, route.via or "nothing")
    end
  end
  differ(list, node.place, "route", wanted, found)
  return true
end

-- Queues ----------------------------------------------------------------------

-- The kernel counts in units of its own, so that numbers are nearly equal.
local function near(a, b)
  return type(b) == "number"
    and math.abs(a - b) <= math.max(1e-6, math.abs(a) * 1e-3)
end

local function diff_queues(list, node, ns)
  local queues, message, errno = ns:qdiscs()
  if not queues then return nil, message, errno end
  local roots = {}
  for _, queue in ipairs(queues) do
    if queue.root then roots[queue.link] = queue end
  end
  for _, interface in ipairs(node.interfaces) do
    local cable = interface.cable
    local queue = roots[interface.name] or {}
    local wanted = cable and effects.queue(cable.effects)
    local is_effect = queue.kind == "netem" or queue.kind == "tbf"
    if wanted and queue.kind ~= wanted.kind then
      note(list, interface.path, "its queue is no %s", wanted.kind)
    elseif not wanted and is_effect then
      note(list, interface.path, "a queue %s was not asked for", queue.kind)
    elseif wanted then
      for name, value in pairs(cable.effects) do
        if not near(value, queue[name]) then
          note(list, interface.path, "%s is %s instead of %s", name,
            tostring(queue[name]), tostring(value))
        end
      end
    end
  end
  return true
end

local function diff_sysctl(list, node, ns)
  for _, entry in ipairs(node.sysctl) do
    local value, message, errno = ns:sysctl(entry.key)
    if not value then return nil, message, errno end
    local wanted = tostring(entry.value)
    if value:gsub("%s+", " ") ~= wanted:gsub("%s+", " ") then
      note(list, ("%s.sysctl.%s"):format(node.place, entry.key),
        "it is %s instead of %s", value, wanted)
    end
  end
  return true
end

local looks = { diff_addrs, diff_routes, diff_queues, diff_sysctl }

--- An array of differences; or nil, message, errno.
function compare.diff(inside)
  local list = {}
  for _, node in ipairs(inside.model.nodes) do
    local ns = inside.of[node]
    local all, message, errno = links.links(ns)
    if not all then return nil, message, errno end
    local found = {}
    for _, link in ipairs(all) do found[link.name] = link end
    diff_links(list, node, found)
    for _, look in ipairs(looks) do
      local ok
      ok, message, errno = look(list, node, ns)
      if not ok then return nil, message, errno end
    end
  end
  table.sort(list)
  return list
end

return compare
