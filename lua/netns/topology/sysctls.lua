-- The sysctls of each kind of node. A new namespace inherits some of the
-- machine's; here it is the description that counts.

local sysctls = {}

-- What a node has to do with: more than one link, and addresses of a family on
-- them.
local function uses(node, family)
  local links, has = 0, false
  for _, interface in ipairs(node.interfaces) do
    links = links + (interface.cable and 1 or 0)
    for _, address in ipairs(interface.cable and interface.addresses or {}) do
      has = has or address.family == family
    end
  end
  return has, links
end

-- It may be between others: what forwarding and filters do is seen.
local function is_between(family)
  return function(node)
    local has, links = uses(node, family)
    return has and (links > 1 or node.kind == "router")
  end
end

local function has_ipv6(node) return (uses(node, "inet6")) end

-- Each with the value of hosts, or of a kind; and whether a node cannot do
-- without: what is only better so may be left on a machine that does not let it
-- be written.
local ALL = {
  -- ways there and back differ
  { "net.ipv4.conf.all.rp_filter", host = "0", needs = is_between "inet" },
  { "net.ipv4.conf.default.rp_filter", host = "0", needs = is_between "inet" },
  { "net.ipv4.ip_forward", host = "0", router = "1",
    needs = is_between "inet" },
  { "net.ipv6.conf.all.forwarding", host = "0", router = "1",
    needs = is_between "inet6" },
  { "net.ipv6.conf.all.disable_ipv6", host = "0", switch = "1",
    needs = has_ipv6 },
  { "net.ipv6.conf.default.disable_ipv6", host = "0", switch = "1",
    needs = has_ipv6 },
  -- nobody else is on the links: no duplicate address has to be looked for
  { "net.ipv6.conf.default.accept_dad", host = "0" },
  -- nor a router: what 1000 hosts on a switch ask of one comes to each of them,
  -- and overflows queues of the kernel that all namespaces share
  { "net.ipv6.conf.default.router_solicitations", host = "0" },
}

local function never() return false end

local of = {}
for _, kind in ipairs { "host", "router", "switch" } do
  of[kind] = {}
  for i, entry in ipairs(ALL) do
    of[kind][i] = {
      key = entry[1], value = entry[kind] or entry.host,
      path = "/proc/sys/" .. entry[1]:gsub("%.", "/"),
      needs = entry.needs or never,
    }
  end
end

--- An array of { key, value, path, needs = function(node) } for a kind of node.
function sysctls.of(kind) return of[kind] end

--- What is written to one, or read of it, as a text.
function sysctls.text(value)
  if type(value) == "number" and value % 1 == 0 and math.abs(value) < 2 ^ 53
  then
    return ("%.0f"):format(value)
  end
  return tostring(value)
end

-- What is of all interfaces is written to each of them.
local function rank(path)
  if path:find "/conf/all/" or path:find "/ip_forward$" then return 0 end
  return path:find "/conf/default/" and 1 or 2
end

--- Sorts an array of { path } so that what is general comes first, and what is
-- said of one interface holds.
function sysctls.sort(list)
  local at = {}
  for i, entry in ipairs(list) do at[entry] = rank(entry.path) * #list + i end
  table.sort(list, function(a, b) return at[a] < at[b] end)
end

-- Those of all interfaces that the kernel copies to each.
local COPIED = {
  ["net/ipv4/conf/all/forwarding"] = true,
  ["net/ipv6/conf/all/forwarding"] = true,
  ["net/ipv6/conf/all/disable_ipv6"] = true,
}

local FORWARD = "net/ipv4/ip_forward"
local FORWARDING = "net/ipv4/conf/all/forwarding" -- the same

--- What the sysctls of a node are after all has been written: an array of
-- { key, value, said = entry, of = key }, of which `said` is what the
-- description says of it, and `of` the one of all interfaces that it follows.
function sysctls.wanted(node)
  local list, at, names = {}, {}, { "default" }
  for _, interface in ipairs(node.interfaces) do
    if interface.cable then names[#names + 1] = interface.name end
  end
  local function put(path, value, said, all)
    if path == FORWARD then path = FORWARDING end
    if not at[path] then
      at[path] = { key = path }
      list[#list + 1] = at[path]
    end
    at[path].value, at[path].said, at[path].of = value, said, all
    local head, field = path:match "^(.*/conf/)all/(.*)$"
    for _, name in ipairs(COPIED[path] and names or {}) do
      put(head .. name .. "/" .. field, value, nil, path)
    end
  end
  for _, entry in ipairs(of[node.kind]) do
    if not (node.unwritten and node.unwritten[entry.key]) then
      put(entry.path:sub(#"/proc/sys/" + 1), entry.value)
    end
  end
  for i = 2, #names do
    if at["net/ipv4/conf/default/rp_filter"] then
      put(("net/ipv4/conf/%s/rp_filter"):format(names[i]), "0")
    end
  end
  for _, entry in ipairs(node.sysctl) do
    put(entry.path:sub(#"/proc/sys/" + 1), entry.made
      or sysctls.text(entry.value), entry)
  end
  return list
end

return sysctls
