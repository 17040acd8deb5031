--- Links of a namespace; most of what concerns them is in C.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local links = {}

local function earlier(a, b) return a.index < b.index end

-- By their indexes; older kernels tell them in another order.
local function in_order(list)
  for i = 2, #list do
    if list[i].index < list[i - 1].index then
      table.sort(list, earlier)
      break
    end
  end
  return list
end

--- The links of a namespace: `ip -n NAME -details -statistics link`.
-- @function links
-- @param NS
-- @tparam[opt] table filter fields that a link has to have, such as
-- `{ kind = "veth", up = true }`; not those that are tables
-- @treturn[1] {table,...} in the order of their indexes, with the names of
-- `ip -details -json link`: `name`, `index`, `kind`, `up`, `running`, `mtu`,
-- `address`, `master`, `alias`, `group`, `link` (what it sits on), or for a
-- veth `peer_index` and `peer_nsid`, `stats`, …, the fields of its kind, and as
-- `port` those that its bridge, bond or VRF has for it. One that was moved away
-- from the link it sits on has `link_index` and `link_netnsid`, as with ip, and
-- what else tells of links there are indexes.
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function links.links(NS, filter)
  check.namespace("links", NS)
  check.filter("links", filter)
  local list, message, errno = core.links(NS, filter)
  if not list then return nil, message, errno end
  return in_order(list)
end

-- The kinds of links that Linux has, in its own tree, and tap, which
-- is a tun to the kernel.
local KINDS = {}
for kind in ([[
  amt bareudp batadv bond bridge caif can dsa dummy erspan geneve gre gretap gtp
  hsr ifb ip6erspan ip6gre ip6gretap ip6tnl ipip ipoib ipvlan ipvtap lowpan
  macsec macvlan macvtap netdevsim netkit nlmon ovpn pfcp rmnet sit tap team tun
  vcan veth virt_wifi vlan vrf vsockmon vti vti6 vxcan vxlan wireguard wwan xfrm
]]):gmatch "%S+" do KINDS[kind] = true end

-- What a link can only be given once it is there.
local LATER = {
  alias = true, proto_down = true, inet6_addr_gen_mode = true, port = true,
  carrier = true,
}

-- What a bond is made with, if the rest is refused: the kernel has EPERM and
-- EACCES for options that depend on another, even if they would change nothing.
local OF_BOND = {
  name = true, kind = true, mode = true, ns = true, index = true,
}
local IN_ORDER = { [core.errno.EPERM] = true, [core.errno.EACCES] = true }

-- These take no address for none.
local TAPS = { gretap = true, erspan = true, ip6gretap = true }

-- What is said of a link in the request that makes it, and what can only be
-- said once it is there. A new bond has no ports, and so no active one.
local function split(link)
  local first, later = {}, {}
  for field, value in next, link do
    if LATER[field] then
      later[field] = value
    elseif field ~= "altnames"
      and not (field == "active_slave" and link.kind == "bond")
      and not (field == "remote" and value == "any" and TAPS[link.kind]) then
      first[field] = value
    end
  end
  return first, later
end

-- What only TUNSETIFF and its like set.
local OF_TUN = {
  "index", "pi", "vnet_hdr", "multi_queue", "user", "user_group",
}

-- Takes what link_add has made away again, in the namespace where it is.
local function take_back(NS, link)
  core.link_delete(link.ns or NS, link.name)
end

-- Gives a new link what it was not made with. One that cannot be as it was
-- asked for is taken away again.
local function complete(NS, link, later, altnames)
  local place = link.ns or NS
  local fine, ok, message, errno = true, true, nil, nil
  if next(later) then
    fine, ok, message, errno = pcall(core.link_complete, place, link.name,
      later)
  end
  if fine and ok and altnames and next(altnames) then
    fine, ok, message, errno = pcall(core.altname_add, place, link.name,
      altnames)
  end
  if fine and ok then return true end
  take_back(NS, link)
  if not fine then error(ok, 0) end
  return nil, message, errno
end

-- rtnetlink cannot make these: first the link, then what is said of it.
local function add_tun(NS, link)
  check.string("link_add", "name", link.name)
  local changes, opts = {}, {}
  for field, value in next, link do changes[field] = value end
  changes.name, changes.kind, changes.altnames = nil, nil, nil
  for _, field in ipairs(OF_TUN) do
    opts[field], changes[field] = changes[field], nil
  end
  local ok, message, errno = core.tun_add(NS, link.name, link.kind, opts)
  if not ok then return nil, message, errno end
  return complete(NS, { name = link.name }, changes, link.altnames)
end

-- A bridge passes over options that the kernel lacks.
local function check_bridge(NS, link)
  if link.kind ~= "bridge" or type(link.name) ~= "string" then return true end
  local lacking, message, errno = core.link_lacks(link.ns or NS, link)
  if not lacking and not errno then return true end
  take_back(NS, link)
  if errno then return nil, message, errno end
  return nil, ("link_add %s: %s (bridge): %s: this kernel's bridges lack it: "
    .. "Operation not supported"):format(core.label(NS), link.name, lacking),
    core.errno.EOPNOTSUPP
end

-- The options of bridges that are bits, by their numbers.
local BITS = {
  [0] = "no_linklocal_learn", "mcast_vlan_snooping", "mst_enabled",
  "mdb_offload_fail_notification", "fdb_local_vlan_0",
}

-- The kernel refuses bits that it does not know, by their numbers.
local function name_bit(link, message, errno)
  local bit = link.kind == "bridge" and errno == core.errno.EINVAL
    and BITS[tonumber(message:match "Unknown boolean option (%d+)" or "")]
  if not bit then return message, errno end
  return ("%s: %s"):format((message:gsub("Invalid argument",
    "Operation not supported")), bit), core.errno.EOPNOTSUPP
end

-- The results of core.link_add, called protected, for a kind that is none.
local function refuse_kind(NS, link)
  local nearest = core.nearest(link.kind, KINDS)
  return nil, ("link_add %s: %s (%s): Invalid argument (no kind of link%s)")
    :format(core.label(NS), link.name or "?", link.kind,
      nearest and ("; did you mean %q?"):format(nearest) or ""),
    core.errno.EINVAL
end

--- Makes a link: `ip -n NAME link add …`.
-- @function link_add
-- @param NS
-- @tparam table link `name`; `kind`; the fields of that kind; `index`, `up`,
-- `arp`, `multicast`, `allmulticast`, `promisc`, `mtu`, `address`, `master`,
-- `group`, `txqlen`, `alias`, `altnames`, `port`, …; `link`, what it sits on;
-- `ns`, another namespace for it to be in, with its `master`; of a veth `peer`,
-- a table with `name`, `ns`, `address`, `mtu`, `group`, `txqlen` for the other
-- end; for a tun or tap `pi`, `vnet_hdr`, `multi_queue`, and `user` and
-- `user_group`, numbers. A row of @{links} makes the like again.
-- @treturn[1] boolean true
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: EEXIST, ENODEV; EOPNOTSUPP if the kernel lacks the
-- kind, or an option of a bridge; EINVAL for a kind that Linux does not have
function links.link_add(NS, link)
  check.namespace("link_add", NS)
  check.table("link_add", "link", link)
  if link.kind == "tun" or link.kind == "tap" then
    return add_tun(NS, link)
  end
  local first, later = split(link)
  local fine, ok, message, errno = pcall(core.link_add, NS, first)
  if not (fine and ok) and type(link.kind) == "string" and not KINDS[link.kind]
    and (not fine or errno == core.errno.EOPNOTSUPP) then
    return refuse_kind(NS, link)
  end
  if not fine then error(ok, 0) end
  if not ok and link.kind == "bond" and link.name and IN_ORDER[errno] then
    for field, value in next, first do
      if not OF_BOND[field] then later[field] = value end
    end
    ok, message, errno = core.link_add(NS, { name = link.name, kind = "bond",
      mode = link.mode, ns = link.ns, index = link.index })
  end
  if not ok then return nil, name_bit(link, message, errno) end
  ok, message, errno = check_bridge(NS, link)
  if not ok then return nil, message, errno end
  if not next(later) and not link.altnames then return true end
  check.string("link_add", "name", link.name)
  return complete(NS, link, later, link.altnames)
end

return links
