--- Taking names away, and waiting for the namespaces to go.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local names = {}

local DELETE = { kill = "boolean", wait = "seconds" }
local SHOWN = 10 -- of what holds a namespace
local PATIENCE = 10 -- seconds for killed processes to end

-- Who a process is, in a message.
local function describe(pid)
  if pid == core.readlink "/proc/self" then
    return ("process %s (this process)"):format(pid)
  end
  local comm = io.open("/proc/" .. pid .. "/comm")
  local who = ("process %s (%s)"):format(pid, comm and comm:read() or "gone")
  if comm then comm:close() end
  return who
end

-- Remembers, for the message, that something could not be looked at. What has
-- gone meanwhile holds nothing.
local function miss(found, errno)
  if errno ~= core.errno.ENOENT and errno ~= core.errno.ESRCH then
    found.missed = found.missed + 1
  end
end

local function note_fds(found, inode, pid, who)
  local fds, _, errno = core.readdir(("/proc/%s/fd"):format(pid))
  if not fds then return miss(found, errno) end
  for _, fd in ipairs(fds) do
    local held, how, failure = core.held(tonumber(pid), tonumber(fd), true)
    if held == inode then
      found[#found + 1] = ("%s %s of %s"):format(how, fd, who)
    elseif held == nil then
      miss(found, failure)
    end
  end
end

-- A process, or a thread of one.
local function note_task(found, link, path, who)
  local target, _, errno = core.readlink(path .. "/ns/net")
  if target == link then
    found[#found + 1] = who
  elseif not target then
    miss(found, errno)
  end
end

local function note_mounts(found, link)
  local mounts = io.open "/proc/thread-self/mountinfo"
  if not mounts then return miss(found) end
  for line in mounts:lines() do
    local root, point = line:match "^%S+ %S+ %S+ (%S+) (%S+)"
    if root == link then found[#found + 1] = "mount " .. point end
  end
  mounts:close()
end

local function link_of(inode) return ("net:[%d]"):format(inode) end

-- Whether this process keeps the namespace with this inode alive; also false if
-- that cannot be told: then it is waited for.
local function is_held_here(inode)
  local found = { missed = 0 }
  for _, thread in ipairs(core.readdir "/proc/self/task" or {}) do
    note_task(found, link_of(inode), "/proc/self/task/" .. thread, "a thread")
  end
  local self = core.readlink "/proc/self"
  if self then note_fds(found, inode, self, "this process") end
  return found[1] ~= nil
end

-- What keeps it alive, as far as this process may look: processes, descriptors
-- of namespaces and sockets, and mounts, as of other names.
local function holders(inode)
  local found, link = { missed = 0 }, link_of(inode)
  local pids, _, errno = core.readdir "/proc"
  if not pids then miss(found, errno) end
  for _, pid in ipairs(pids or {}) do
    if pid:find "^%d+$" then
      local who = describe(pid)
      note_task(found, link, "/proc/" .. pid, who)
      note_fds(found, inode, pid, who)
    end
  end
  note_mounts(found, link)
  return found
end

-- " by a, b and 7 more"
local function list(found)
  local more = #found - SHOWN
  local text = found[1] and " by " .. table.concat(found, ", ", 1,
    math.min(#found, SHOWN)) or ""
  if more > 0 then text = text .. (" and %d more"):format(more) end
  if found.missed > 0 then
    text = text .. (" (%d processes or descriptors could not be looked at)")
      :format(found.missed)
  end
  return text
end

-- Something to wait for the end of a namespace with: a socket in a namespace of
-- its own, which gives it an id there and so is told when it goes. Neither the
-- id nor the helper is seen from anywhere else. It must not hold the namespace.
local function watch_end(NS)
  local helper, message, errno = core.new()
  if not helper then return nil, message, errno end
  local rtnl, ok
  rtnl, message, errno = core.rtnl(helper, "delete")
  helper:close()
  if not rtnl then return nil, message, errno end
  ok, message, errno = core.id_set(rtnl, NS, 0)
  if ok then ok, message, errno = core.id_listen(rtnl) end
  if ok then return rtnl end
  rtnl:close()
  return nil, message, errno
end

local function await_event(rtnl, timeout)
  local deadline = core.now() + timeout
  repeat
    local events, message, errno =
      core.id_events(rtnl, math.max(deadline - core.now(), 0))
    if not events then return nil, message, errno end
    for _, event in ipairs(events) do
      if event == -1 then return true end -- the id 0 is gone
    end
  until core.now() >= deadline
  return false
end

-- A namespace usually goes within milliseconds. One that does not may be held
-- by a handle that the program has dropped and Lua has not collected yet; or by
-- one that is in use, for which it would be waited in vain.
local function await_end(rtnl, inode, timeout)
  local soon = math.min(timeout, 0.05)
  local ended, message, errno = await_event(rtnl, soon)
  if ended ~= false then return ended, message, errno end
  collectgarbage()
  ended, message, errno = await_event(rtnl, math.min(timeout - soon, soon))
  if ended ~= false then return ended, message, errno end
  if is_held_here(inode) then return false end
  return await_event(rtnl, math.max(timeout - 2 * soon, 0))
end

-- Takes the name away and waits for the end of its namespace.
local function remove_and_wait(name, NS, timeout)
  local inode = NS:inode()
  local rtnl, ok, message, errno
  rtnl, message, errno = watch_end(NS)
  NS:close()
  if not rtnl then return nil, message, errno end
  ok, message, errno = core.remove(name)
  if ok then ok, message, errno = await_end(rtnl, inode, timeout) end
  rtnl:close()
  if ok ~= false then return ok, message, errno end
  return nil, ("delete %q: the name is gone, the namespace is still held%s")
    :format(name, list(holders(inode))), core.errno.ETIMEDOUT
end

--- Takes a name away: `ip netns delete NAME`. The namespace itself goes with
-- its last process, socket and descriptor. A leftover that is no namespace is
-- removed as well.
-- @function delete
-- @tparam string name
-- @tparam[opt] table opts `kill=true`: first kills the processes inside, but
-- neither the caller nor process 1; `wait`: seconds to wait until the kernel
-- has let go of the namespace
-- @treturn[1] boolean true
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ENOENT, EPERM; EBUSY if the caller is inside;
-- ETIMEDOUT if the namespace is still there, with what holds it; at once if
-- this process itself does, as by a handle
function names.delete(name, opts)
  check.name("delete", name)
  opts = check.options("delete", opts, DELETE)
  if not opts.kill and not opts.wait then return core.remove(name) end
  if name:find "/" then return core.remove(name) end -- no name
  local inode, message, errno = core.mount_of(name)
  if errno then return nil, ("delete %q: %s"):format(name, message), errno end
  if not inode then return core.remove(name) end -- a leftover, or none
  local NS
  NS, message, errno = core.open(name)
  if not NS then return nil, message, errno end
  local ok = true
  if opts.kill then
    ok, message, errno = core.kill(NS, opts.wait or PATIENCE)
  end
  if ok and opts.wait then return remove_and_wait(name, NS, opts.wait) end
  NS:close()
  if not ok then return nil, message, errno end
  return core.remove(name)
end

return names
