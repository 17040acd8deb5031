--- Taking names away, and waiting for the namespaces to go.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local names = {}

local DELETE = { kill = "boolean", wait = "seconds" }
local SHOWN = 10 -- of what holds a namespace
local PATIENCE = 10 -- seconds for killed processes to end

-- What keeps the namespace with this inode alive, as far as this process may
-- look: other names, processes, and descriptors of namespaces and sockets.
local function holders(inode)
  local found, link = {}, ("net:[%d]"):format(inode)
  for _, pid in ipairs(core.readdir "/proc" or {}) do
    local proc = "/proc/" .. pid
    if pid:find "^%d+$" then
      local comm = io.open(proc .. "/comm")
      local who = ("process %s (%s)")
        :format(pid, comm and comm:read() or "gone")
      if comm then comm:close() end
      if core.readlink(proc .. "/ns/net") == link then
        found[#found + 1] = who
      end
      for _, fd in ipairs(core.readdir(proc .. "/fd") or {}) do
        local held, how = core.held(tonumber(pid), tonumber(fd))
        if held == inode then
          found[#found + 1] = ("%s %s of %s"):format(how, fd, who)
        end
      end
    end
  end
  local mounts = io.open "/proc/thread-self/mountinfo"
  if mounts then
    for line in mounts:lines() do
      local root, point = line:match "^%S+ %S+ %S+ (%S+) (%S+)"
      if root == link then found[#found + 1] = "mount " .. point end
    end
    mounts:close()
  end
  return found
end

-- " by a, b and 7 more"
local function list(found)
  if not found[1] then return "" end
  local more = #found - SHOWN
  return " by " .. table.concat(found, ", ", 1, math.min(#found, SHOWN))
    .. (more > 0 and (" and %d more"):format(more) or "")
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
-- by a handle that the program has dropped and Lua has not collected yet.
local function await_end(rtnl, timeout)
  local soon = math.min(timeout, 0.05)
  local ended, message, errno = await_event(rtnl, soon)
  if ended ~= false then return ended, message, errno end
  collectgarbage()
  return await_event(rtnl, timeout - soon)
end

-- Takes the name away and waits for the end of its namespace.
local function remove_and_wait(name, NS, timeout)
  local inode = NS:inode()
  local rtnl, ok, message, errno
  rtnl, message, errno = watch_end(NS)
  NS:close()
  if not rtnl then return nil, message, errno end
  ok, message, errno = core.remove(name)
  if ok then ok, message, errno = await_end(rtnl, timeout) end
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
-- ETIMEDOUT if the namespace is still there, with what holds it
function names.delete(name, opts)
  check.name("delete", name)
  opts = check.options("delete", opts, DELETE)
  if not opts.kill and not opts.wait then return core.remove(name) end
  if name:find "/" then return core.remove(name) end -- no name
  local NS, message, errno = core.open(name)
  if not NS then
    local leftover = errno == core.errno.EINVAL or errno == core.errno.ENOENT
    if leftover then return core.remove(name) end
    return nil, message, errno
  end
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
