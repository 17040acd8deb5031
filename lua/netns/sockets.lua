--- Sockets of a namespace, and waiting for one that listens.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"
local inside = require "netns.inside"

local sockets = {}

local PROTOCOLS = { "raw", "tcp", "udp" }
local FAMILIES = { "inet", "inet6" }

-- Ports are numbers, but for those that are not there.
local function earlier(a, b)
  if a.protocol ~= b.protocol then return a.protocol < b.protocol end
  if a.family ~= b.family then return a.family < b.family end
  local left, right = a.port or 0, b.port or 0
  if left ~= right then return left < right end
  if a.address ~= b.address then return a.address < b.address end
  left, right = a.peer_address or "", b.peer_address or ""
  if left ~= right then return left < right end
  left, right = a.peer_port or 0, b.peer_port or 0
  if left ~= right then return left < right end
  return a.cookie < b.cookie
end

-- What of `all` is wanted: one, or all of them for nil; nil if it has no such
-- one.
local function choose(all, one)
  if one == nil then return all end
  for _, each in ipairs(all) do
    if each == one:lower() then return { each } end
  end
end

-- Raw sockets are the only ones that a usual kernel may be unable to list, and
-- are left out then, unless they were asked for.
local function collect(ns, filter, protocols, families)
  local found = {}
  for _, protocol in ipairs(protocols) do
    for _, family in ipairs(families) do
      local list, message, errno = core.sockets(ns, filter, protocol, family)
      if list then
        for _, socket in ipairs(list) do found[#found + 1] = socket end
      elseif errno ~= core.errno.EOPNOTSUPP or protocol ~= "raw"
        or filter and filter.protocol then
        return nil, message, errno
      end
    end
  end
  table.sort(found, earlier)
  return found
end

--- The sockets of a namespace: `ss -N NAME -tuwan`.
-- The processes that have them need not be in it. It needs no privilege, once
-- the handle has been used for it. What changes meanwhile may be missing, or be
-- told twice, as with ss.
-- @function sockets
-- @param NS
-- @tparam[opt] table filter fields that a socket has to have, such as
-- `{ protocol = "tcp", state = "listen", port = 80 }`. The kernel looks at
-- `protocol`, `family`, `state`, `port` and `peer_port` itself, so that with
-- these it is fast.
-- @treturn[1] {table,...} sorted by protocol, family, port and address:
-- `protocol` (`tcp`, `udp`, `raw`); `family` (`inet`, `inet6`); `state`
-- (`listen`, `established`, `syn-sent`, `syn-recv`, `fin-wait-1`, `fin-wait-2`,
-- `time-wait`, `close-wait`, `last-ack`, `closing`, `unconnected`); `address`
-- and `port`, of a raw socket the number of its protocol; `peer_address` and
-- `peer_port`, if it has a peer; `link`, if it is bound to one; `recv_queue`
-- and `send_queue`, bytes, of a TCP socket that listens the connections that
-- wait and how many may; `uid` and `inode`, if a process has it; `cookie`, the
-- kernel's number of it, which is never used again; `v6only`, of IPv6 sockets
-- that have no peer; for TCP `congestion`, and if a timer runs `timer` (`on`,
-- `keepalive`, `timewait`, `persist`), `expires`, in seconds, and `retransmits`
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: EINVAL for a protocol, family or state that there
-- is not; EOPNOTSUPP if the kernel cannot list that protocol
function sockets.sockets(NS, filter)
  check.namespace("sockets", NS)
  check.filter("sockets", filter)
  local wanted = filter or {}
  for _, field in ipairs { "protocol", "family", "state" } do
    if wanted[field] ~= nil then
      check.string("sockets", field, wanted[field])
    end
  end
  local protocols = choose(PROTOCOLS, wanted.protocol)
  local families = choose(FAMILIES, wanted.family)
  if not (protocols and families) then
    return nil, ('sockets: %s "%s": Invalid argument'):format(
      protocols and "family" or "protocol",
      protocols and wanted.family or wanted.protocol), core.errno.EINVAL
  end
  return inside(NS, "sockets", function(ns)
    return collect(ns, filter, protocols, families)
  end)
end

-- 80, "80/tcp", "53/udp": the protocol, and the port; nil if it is none.
local function parse(port)
  local protocol = "tcp"
  if type(port) == "string" then
    port, protocol = port:match "^(%d+)/(%l+)$"
    port = tonumber(port)
  end
  if port and port % 1 == 0 and port >= 1 and port <= 65535
    and (protocol == "tcp" or protocol == "udp") then
    return protocol, math.floor(port) -- an integer
  end
end

local SHORTEST, LONGEST = 0.0005, 0.02 -- seconds from one look to the next

-- Looks until a socket listens. What is there already is seen by the first
-- look, and a program that starts mostly by one of the next.
local function await(ns, wait)
  local pause = SHORTEST
  local deadline = wait.timeout and core.now() + wait.timeout
  while true do
    local list, message, errno =
      collect(ns, wait.filter, { wait.filter.protocol }, FAMILIES)
    if not list then return nil, "wait_listen: " .. message, errno end
    if list[1] then return list[1] end
    local left = deadline and deadline - core.now()
    if left and left <= 0 then
      return nil, wait.label .. ": timed out, nothing listens",
        core.errno.ETIMEDOUT
    end
    if left then pause = math.min(pause, math.max(left, SHORTEST)) end
    core.pause(pause)
    pause = math.min(2 * pause, LONGEST)
  end
end

--- Waits until a socket listens: of TCP, or of UDP one that is bound and has no
-- peer, on any address. The kernel has no event for that (sock_diag(7) tells of
-- the end of sockets only), so it looks at intervals that grow from 0.5 to 20
-- milliseconds.
-- @function wait_listen
-- @param NS
-- @tparam integer|string port of TCP; or `"80/tcp"`, `"53/udp"`
-- @tparam[opt] number timeout seconds; without it for ever
-- @treturn[1] table the socket, as from @{sockets}: the first, if there are
-- several
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ETIMEDOUT; EINVAL
function sockets.wait_listen(NS, port, timeout)
  check.namespace("wait_listen", NS)
  if type(port) ~= "number" and type(port) ~= "string" then
    check.expected("wait_listen", "port", "port", port)
  end
  check.seconds("wait_listen", timeout)
  local protocol, number = parse(port)
  if not protocol then
    return nil, ('wait_listen: "%s": Invalid argument'):format(port),
      core.errno.EINVAL
  end
  local wait = {
    timeout = timeout,
    label = ("wait_listen %s: %d/%s"):format(core.label(NS), number, protocol),
    filter = {
      protocol = protocol, port = number,
      state = protocol == "tcp" and "listen" or "unconnected",
    },
  }
  return inside(NS, "wait_listen", function(ns) return await(ns, wait) end)
end

return sockets
