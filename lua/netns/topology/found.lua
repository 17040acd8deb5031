-- What a namespace has, in the words of a description.

local ip = require "netns.topology.ip"

local found = {}

--- The addresses of a namespace, or of one of its links: an array of rows as of
-- @{netns.addrs}, each with `text`; or nil, message, errno.
function found.addresses(ns, link)
  local list, message, errno = ns:addrs(link and { link = link })
  if not list then return nil, message, errno end
  for _, addr in ipairs(list) do
    addr.text = ("%s/%d"):format(addr["local"], addr.prefixlen)
  end
  return list
end

-- Routes of any other protocol are a daemon's, or the kernel's own.
local BY_HAND = { boot = true, static = true }

-- What other nodes tell: a router in its advertisements, a server of addresses.
local TOLD = { ra = true, dhcp = true }

local function hop_of(route)
  if route.nexthops then
    local texts = {}
    for i, hop in ipairs(route.nexthops) do texts[i] = hop.via or hop.link end
    return table.concat(texts, " and ")
  end
  return route.via or "nothing"
end

--- The routes of a namespace, but those of daemons: an array of rows as of
-- @{netns.routes}, each with `text`, and `own` if it is the kernel's, `told` if
-- it came from another node; or nil, message, errno.
function found.routes(ns)
  local all, message, errno = ns:routes()
  if not all then return nil, message, errno end
  local list = {}
  for _, route in ipairs(all) do
    local to = route.to
    if to ~= "default" and not to:find("/", 1, true) then
      to = ("%s/%d"):format(to, ip.bits(route.family))
    end
    route.own, route.told = route.protocol == "kernel", TOLD[route.protocol]
    route.text = route.own and to
      or found.route_text(to, hop_of(route), route.type)
    if route.own or route.told or BY_HAND[route.protocol] then
      list[#list + 1] = route
    end
  end
  return list
end

--- How a route is called.
function found.route_text(to, via, kind)
  local text = ("%s via %s"):format(to, via)
  if kind and kind ~= "unicast" then text = ("%s (%s)"):format(text, kind) end
  return text
end

--- The rules of a namespace, as a set of texts; or nil, message, errno.
function found.rules(ns)
  local list, message, errno = ns:rules()
  if not list then return nil, message, errno end
  local set = {}
  for _, rule in ipairs(list) do
    local words = {}
    for field, value in pairs(rule) do
      local is_plain = type(value) ~= "table"
      if is_plain and field ~= "family" and field ~= "priority"
        and field ~= "protocol" then
        words[#words + 1] = ("%s %s"):format(field, tostring(value))
      end
    end
    table.sort(words)
    set[("%s rule %d (%s)"):format(rule.family, rule.priority,
      table.concat(words, ", "))] = true
  end
  return set
end

return found
