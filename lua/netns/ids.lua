--- The ids that a namespace has for others, as a viewpoint sees them: a handle,
-- or nil for the calling thread's namespace.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local ids = {}

local MAX = 0x7fffffff
-- How many ids in a row must be unassigned before the search behind a dump that
-- the kernel has cut gives up.
local MISSES = 1024

-- Calls fn(rtnl, ...) with a socket of the viewpoint, which is closed after it.
local function with(viewpoint, what, fn, ...)
  local rtnl, message, errno = core.rtnl(viewpoint, what)
  if not rtnl then return nil, message, errno end
  local function finish(ok, ...)
    rtnl:close()
    if not ok then error(..., 0) end
    return ...
  end
  return finish(pcall(fn, rtnl, ...))
end

--- Assigns an id to a namespace: `ip netns set NAME ID`. With a handle, as the
-- method `ns:set(NS, id)`, the id is the one that the handle's namespace knows.
-- @function set
-- @param NS
-- @tparam integer|string id 0 to 2^31-1, or `"auto"`
-- @treturn[1] integer the id
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: EEXIST if the namespace has an id, or another has
-- this one; EINVAL
function ids.set(viewpoint, NS, id)
  if viewpoint then check.namespace("set", viewpoint) end
  check.namespace("set", NS)
  if id == "auto" then
    id = -1
  elseif type(id) ~= "number" or id % 1 ~= 0 then
    check.expected("set", "id", "integer or \"auto\"", id)
  elseif id < 0 or id > MAX then
    return nil, ("set: id %.0f is not in 0 to %d"):format(id, MAX),
      core.errno.EINVAL
  end
  return with(viewpoint, "set", function(rtnl)
    local ok, message, errno = core.id_set(rtnl, NS, id)
    if not ok then return nil, message, errno end
    if id >= 0 then return math.floor(id) end
    -- the kernel tells its own choice only when asked
    id, message, errno = core.id_of(rtnl, NS, nil, "set")
    if id == false then return nil, "set: it went again", core.errno.ENODATA end
    return id, message, errno
  end)
end

--- The id of a namespace.
-- @function id
-- @param NS
-- @treturn[1] integer
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ENODATA if it has none
function ids.id(viewpoint, NS)
  if viewpoint then check.namespace("id", viewpoint) end
  check.namespace("id", NS)
  return with(viewpoint, "id", function(rtnl)
    local id, message, errno = core.id_of(rtnl, NS, nil, "id")
    if id == false then
      return nil, ("id %s: none is assigned"):format(core.label(NS)),
        core.errno.ENODATA
    end
    return id, message, errno
  end)
end

-- Adds { nsid, current_nsid, name } to found, an array that is also a map from
-- nsid to entry; an entry that is there keeps what it has.
local function note(found, nsid, current, name)
  local entry = found.by_id[nsid]
  if not entry then
    entry = { nsid = nsid }
    found.by_id[nsid] = entry
    found[#found + 1] = entry
  end
  entry.current_nsid = entry.current_nsid or current or nil
  entry.name = entry.name or name
end

-- What a process or a descriptor that has gone meanwhile fails with.
local GONE = { [core.errno.ENOENT] = true, [core.errno.ESRCH] = true }

--- As core.id_of; false also for a name that is stale, or has gone meanwhile.
-- @local
function ids.of_name(rtnl, name, target, what)
  local nsid, current, errno = core.id_of(rtnl, name, target, what)
  if nsid ~= nil then return nsid, current end
  if errno == core.errno.ENOENT or errno == core.errno.EINVAL then
    local inode, message, failure = core.mount_of(name)
    if failure then return nil, message, failure end
    if not inode then return false end
  end
  return nil, current, errno
end

-- Notes what became of asking for the id of a namespace. Remembers the one that
-- is the target itself.
local function note_namespace(found, target, NS, name, nsid, current)
  if nsid then note(found, nsid, current, name) end
  if target and current == target then found.target = NS end
end

local function note_names(rtnl, found, target)
  local names, message, errno = core.names()
  if not names then return nil, message, errno end
  for _, name in ipairs(names) do
    local nsid, current
    nsid, current, errno = ids.of_name(rtnl, name, target, "list_id")
    if nsid == nil then return nil, current, errno end
    note_namespace(found, target, name, name, nsid, current)
  end
  return true
end

-- The paths of the descriptors of this process that are of namespaces without
-- a process.
local function open_here(processes)
  local paths = {}
  local self, message, errno = core.readlink "/proc/self"
  if not self then return nil, message, errno end
  local fds
  fds, message, errno = core.readdir "/proc/self/fd"
  if not fds then return nil, message, errno end
  for _, fd in ipairs(fds) do
    local inode, text, failure = core.held(tonumber(self), tonumber(fd))
    if inode == nil then return nil, text, failure end
    if inode and not processes[inode] then
      paths[#paths + 1] = "/proc/self/fd/" .. fd
    end
  end
  return paths
end

-- The namespaces of all processes, and those this process has open.
local function note_users(rtnl, found, target)
  local processes, message, errno = core.net_inodes()
  if not processes then return nil, message, errno end
  local users
  users, message, errno = open_here(processes)
  if not users then return nil, message, errno end
  for _, pid in pairs(processes) do users[#users + 1] = pid end
  for _, NS in ipairs(users) do
    local nsid, current
    nsid, current, errno = core.id_of(rtnl, NS, target, "list_id")
    if nsid == nil and not GONE[errno] then return nil, current, errno end
    note_namespace(found, target, NS, nil, nsid, current)
  end
  return true
end

-- Asks for ids one by one, from `first` on and behind each that is known.
local function probe(rtnl, known, first)
  table.sort(known)
  local found, i = {}, 1
  while first <= MAX do
    local ok, message, errno = core.id_probe(rtnl, first, MAX, MISSES, found)
    if not ok then return nil, message, errno end
    local last = math.max(found[#found] or 0, first - 1) + MISSES
    while known[i] and known[i] <= last do i = i + 1 end
    if not known[i] then return found end
    first = known[i]
  end
  return found
end

-- The dump of a kernel from about 6.10 on ends, without a word, after the first
-- datagram. So one that came in a single datagram, and is not so short that any
-- datagram would hold it, is taken for a hint, and the rest is searched.
local SHORT = 64

local list_all

-- Finds what a dump left out: the ids that are reached by a namespace's name,
-- process or descriptor, and those that answer when they are asked for.
local function complete(rtnl, found, last)
  local ok, message, errno = note_users(rtnl, found)
  if not ok then return nil, message, errno end
  local known = {}
  for i, entry in ipairs(found) do known[i] = entry.nsid end
  local more
  more, message, errno = probe(rtnl, known, last + 1)
  if not more then return nil, message, errno end
  for _, nsid in ipairs(more) do note(found, nsid) end
  return true
end

-- The same for the ids of a target, which cannot be asked for from here: the
-- kernel only converts ours to the target's. So all of ours are converted, and
-- the target is looked at from inside if there is a way in.
local function complete_target(rtnl, found, target)
  local ok, message, errno = note_users(rtnl, found, target)
  if not ok then return nil, message, errno end
  local ours, theirs
  ours, message, errno = list_all(rtnl)
  if not ours then return nil, message, errno end
  for _, entry in ipairs(ours) do
    local nsid
    nsid, message, errno = core.id_at(rtnl, entry.nsid, target, "list_id")
    if nsid == nil and not GONE[errno] then return nil, message, errno end
    if nsid then note(found, nsid, entry.nsid) end
  end
  if not found.target then return true end
  theirs, message, errno = with(found.target, "list_id", list_all)
  if not theirs then return nil, message, errno end
  for _, entry in ipairs(theirs) do note(found, entry.nsid) end
  return true
end

function list_all(rtnl, target)
  local found = { by_id = {} }
  -- The names first: their answers also show the kernel that we take large
  -- datagrams, of which it then makes one for the dump.
  local ok, message, errno = note_names(rtnl, found, target)
  if not ok then return nil, message, errno end
  local what = "list_id" .. (target and ": target_nsid " .. target or "")
  local nsids, currents, single = core.id_dump(rtnl, target, what)
  if not nsids then return nil, currents, single end
  for i, nsid in ipairs(nsids) do note(found, nsid, currents[i]) end
  if single and #nsids > SHORT then
    if target then
      ok, message, errno = complete_target(rtnl, found, target)
    else
      ok, message, errno = complete(rtnl, found, nsids[#nsids])
    end
    if not ok then return nil, message, errno end
  end
  table.sort(found, function(a, b) return a.nsid < b.nsid end)
  found.by_id, found.target = nil, nil
  return found
end

ids.all = list_all -- for a socket that is open already

-- The namespace that has the id `nsid` here, with its id in the target.
local function list_one(rtnl, target, nsid)
  local id, current, errno =
    core.id_at(rtnl, nsid, target, ("list_id: nsid %d"):format(nsid))
  if id == nil then return nil, current, errno end
  local entry = { nsid = id or nil, current_nsid = current }
  local names, message
  names, message, errno = core.names()
  if not names then return nil, message, errno end
  for _, name in ipairs(names) do
    local own
    own, message, errno = ids.of_name(rtnl, name, nil, "list_id")
    if own == nil then return nil, message, errno end
    if own == nsid then
      entry.name = name
      break
    end
  end
  return { entry }
end

local LIST = { target_nsid = "id", nsid = "id" }

--- The ids that are assigned: `ip netns list-id [target-nsid T] [nsid N]`. With
-- a handle, as the method `ns:list_id{…}`, those that its namespace knows.
-- Complete also where the kernel's dump is not (Linux 6.10 and later).
-- @function list_id
-- @tparam[opt] table opts `target_nsid`: list what the namespace with this id
-- knows; `nsid`: only this id, converted to the target's if there is one
-- @treturn[1] {table,...} sorted by `nsid`: `nsid`; `current_nsid`, the id of
-- the same namespace here, where it has one and a target was given; `name`
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ENOENT, EINVAL if there is no such id
function ids.list(viewpoint, opts)
  if viewpoint then check.namespace("list_id", viewpoint) end
  opts = check.options("list_id", opts, LIST)
  return with(viewpoint, "list_id", function(rtnl)
    if opts.nsid then return list_one(rtnl, opts.target_nsid, opts.nsid) end
    return list_all(rtnl, opts.target_nsid)
  end)
end

return ids
