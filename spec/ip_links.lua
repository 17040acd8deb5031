-- What `ip` says of the links of a namespace, and in what we differ.

local assert = require "luassert"
local json = require "spec.json"
local t = require "spec.support"

local ip_links = {}

--- Runs `ip -n NAME …`, which must succeed.
function ip_links.ip(ns, command, ...)
  return t.must("ip -n %s " .. command, ns:name(), ...)
end

-- What `ip -details` shows and `links` does not: other words for what it has
-- (`flags`, `private`, `vepa`, numbers), and names of users.
local unread = {
  link_pointtopoint = true, bridge = true, group_fwd_mask_str = true,
  ad_actor_oper_port_state_str = true, ad_partner_oper_port_state_str = true,
  user = true,
}

-- What iproute2 6.1 does not show, or no ip where it is as usual.
local silent = {
  gso_ipv4_max_size = true, gro_ipv4_max_size = true, localbypass = true,
  fdb_max_learned = true, fdb_n_learned = true, mab = true, arp = true,
  multicast = true, neigh_vlan_suppress = true, mcast_n_groups = true,
  mcast_max_groups = true, mcast_eht_hosts_limit = true,
  mcast_eht_hosts_cnt = true, mrp_ring_open = true, mrp_in_open = true,
  reserved_bits = true, label_policy = true, mc_route = true, bclim = true,
  coupled_control = true, relay_prefix = true, prefix = true,
  prefixlen = true, user = true, user_group = true, port_range = true,
  broadcast_neighbor = true, actor_port_prio = true,
}

local renamed = {
  ifname = "name", ifindex = "index", ifalias = "alias", stats64 = "stats",
}
local renamed_in = {
  vxlan = {
    port = "dstport", remote6 = "remote", local6 = "local", group = "remote",
    group6 = "remote",
  },
  geneve = { port = "dstport", remote6 = "remote" },
}

-- Numbers that ip prints as text.
local hex = {
  tos = true, tclass = true, flowlabel = true, label = true, fwmark = true,
  group_fwd_mask = true, id = true, no = true, erspan_hwid = true,
}

-- Words that ip prints in capitals.
local words = { operstate = true, linkmode = true, mii_status = true }

local function copy(from, to, names)
  for key, value in pairs(from) do
    if hex[key] then value = tonumber(value) end
    if words[key] then value = value:lower() end
    if not unread[key] then to[names[key] or key] = value end
  end
  return to
end

-- Flags of a VLAN, as `ip link add` has them.
local function vlan(data)
  for _, flag in ipairs(data.flags or {}) do data[flag:lower()] = true end
  data.flags = nil
end

-- A link as ip has it, the way that `links` has it.
local function translate(link, index_of)
  local info = link.linkinfo or {}
  link.linkinfo = nil
  local result = copy(link, {}, renamed)
  local kind = info.info_kind
  result.kind = kind
  local flags = {}
  for i, flag in ipairs(link.flags) do
    flags[flag] = true
    -- the link that it sits on is down, which is not its own state
    if flag == "M-DOWN" then table.remove(link.flags, i) end
  end
  result.up = flags.UP or false
  result.running = result.up and not flags["NO-CARRIER"]
  result.arp = not flags.NOARP
  result.multicast = flags.MULTICAST or false
  result.promisc, result.allmulticast = flags.PROMISC, flags.ALLMULTI
  result.dynamic = flags.DYNAMIC
  result.group = tonumber(result.group) or result.group
  if kind == "veth" then
    result.peer_index = link.link_index or index_of[link.link]
    result.peer_nsid = link.link_netnsid
    result.link, result.link_index, result.link_netnsid = nil, nil, nil
  end
  if kind == "vlan" then vlan(info.info_data) end
  if kind == "bond" and not info.info_data.arp_validate then
    info.info_data.arp_validate = "none" -- null in iproute2 6.1
  end
  if info.info_data then
    copy(info.info_data, result, renamed_in[kind] or {})
  end
  if kind == "tun" and result.type == "tap" then result.kind = "tap" end
  if info.info_slave_data then
    result.port = copy(info.info_slave_data, {}, {})
    if result.port.state then result.port.state = result.port.state:lower() end
  end
  return result
end

--- All links of a namespace by ip, in the order of their indexes.
function ip_links.list(ns)
  local list =
    json.decode(ip_links.ip(ns, "-json -details -statistics link"))
  local index_of = {}
  for _, link in ipairs(list) do index_of[link.ifname] = link.ifindex end
  for i, link in ipairs(list) do list[i] = translate(link, index_of) end
  table.sort(list, function(a, b) return a.index < b.index end)
  return list
end

-- Every namespace has these, once the kernel has loaded their kinds.
local fallback = {
  gre0 = true, gretap0 = true, erspan0 = true, sit0 = true, tunl0 = true,
  ip6tnl0 = true, ip6gre0 = true, ip_vti0 = true, ip6_vti0 = true,
}

--- The names of the links that were made in a namespace, and `lo`.
function ip_links.names(ns)
  local list = {}
  for _, link in ipairs(ip_links.list(ns)) do
    if not fallback[link.name] then list[#list + 1] = link.name end
  end
  return table.concat(list, " ")
end

-- A timer goes on between two looks at it.
local function same(key, ours, theirs)
  if key:find "_timer$" and type(ours) == "number"
    and type(theirs) == "number" then
    return math.abs(ours - theirs) < 10
  end
  return ours == theirs
end

--- The ways in which a table of ours is not as that of ip. What ip leaves out
-- is nothing: false or 0.
function ip_links.differences(ours, theirs, where, found)
  local function unlike(key, ...)
    -- ip looks for its name in the wrong namespace
    if key ~= "link" or not theirs.link_netnsid then
      found[#found + 1] = ("%s.%s: %s, ip has %s"):format(where, key, ...)
    end
  end
  for key, value in pairs(theirs) do
    if type(value) == "table" and type(ours[key]) == "table" then
      ip_links.differences(ours[key], value, where .. "." .. key, found)
    elseif not same(tostring(key), ours[key], value) then
      unlike(key, tostring(ours[key]), tostring(value))
    end
  end
  for key, value in pairs(ours) do
    if theirs[key] == nil and value ~= false and value ~= 0
      and not silent[key] then
      unlike(key, tostring(value), "none")
    end
  end
  return found
end

local function compare(ns, list)
  local found = {}
  local ours = assert(ns:links())
  if #ours ~= #list then found[1] = #ours .. " links, not " .. #list end
  for i = 1, math.min(#ours, #list) do
    ip_links.differences(ours[i], list[i], list[i].name, found)
    local one = assert(ns:link(ours[i].name))
    ip_links.differences(one, list[i], "alone: " .. list[i].name, found)
  end
  return found
end

local function of_name(list, name)
  for _, link in ipairs(list) do
    if link.name == name then return link end
  end
end

function ip_links.one(ns, name)
  return of_name(ip_links.list(ns), name)
end

local function check(link, fields)
  assert.is_table(link)
  for key, value in pairs(fields) do assert.same(value, link[key], key) end
end

--- An error, unless we and ip come to agree: the state of a link settles a
-- little after a change. And unless ip has these fields of a link, if one is
-- named; which it returns.
function ip_links.agree(ns, name, fields)
  local found, list
  pcall(t.eventually, function()
    list = ip_links.list(ns)
    found = compare(ns, list)
    return #found == 0
  end, 10)
  assert.equal("", table.concat(found, "\n"))
  if name then check(of_name(list, name), fields or {}) end
  return name and of_name(list, name)
end

--- An error, unless ip has these fields of a link.
function ip_links.has(ns, name, fields)
  check(ip_links.one(ns, name), fields)
end

return ip_links
