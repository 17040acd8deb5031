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

local TUN = { tun = true, tap = true }

-- rtnetlink cannot make these: first the link, then what is said of it. One
-- that cannot be as it was asked for is taken away again.
local function add_tun(NS, link)
  check.string("link_add", "name", link.name)
  local changes = {}
  for field, value in pairs(link) do changes[field] = value end
  changes.name, changes.kind = nil, nil
  local ok, message, errno = core.tun_add(NS, link.name, link.kind)
  if not ok then return nil, message, errno end
  if not next(changes) then return true end
  local fine
  fine, ok, message, errno = pcall(core.tun_set, NS, link.name, changes)
  if fine and ok then return true end
  core.link_delete(NS, link.name)
  if not fine then error(ok, 0) end
  return nil, message, errno
end

function links.link_add(NS, link)
  if type(link) == "table" and TUN[link.kind] then return add_tun(NS, link) end
  return core.link_add(NS, link)
end

return links
