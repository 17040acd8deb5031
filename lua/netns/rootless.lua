--- An ordinary user's process that can do all of the library.
-- @module netns

local core = require "netns.core"

local e = core.errno

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text or ""
end

local function sysctl(name)
  return read("/proc/sys/" .. name:gsub("%.", "/")):match "%S+"
end

-- A process in a chroot at a plain directory sees no mount at /.
local function is_chrooted()
  local mounts = read "/proc/self/mountinfo"
  return mounts ~= "" and not mounts:find "^%S+ %S+ %S+ %S+ / "
    and not mounts:find "\n%S+ %S+ %S+ %S+ / "
end

-- Of the namespaces that a user may have.
local function limits()
  local found = {}
  for _, kind in ipairs { "user", "net", "mnt" } do
    local name = ("user.max_%s_namespaces"):format(kind)
    local value = sysctl(name)
    if value == "0" then return name .. " is 0" end
    found[#found + 1] = name .. (value and " = " .. value or "")
  end
  return "a limit is reached: " .. table.concat(found, ", ")
    .. ", or the depth of namespaces"
end

-- Why a user may not, as far as the system tells. The mapping and the mounts
-- are where AppArmor stops a process; the namespaces it may have.
local function refusal(step)
  if step == "namespaces" and is_chrooted() then
    return "the process is in a chroot"
  end
  for _, setting in ipairs {
    { "kernel.unprivileged_userns_clone", "0" },
    { "kernel.apparmor_restrict_unprivileged_userns", "1" },
  } do
    if sysctl(setting[1]) == setting[2] then
      return table.concat(setting, " is ")
    end
  end
  if step == "map" and read "/proc/self/status":find "\nUid:%s+%d+%s+0%s" then
    return "root needs CAP_SETFCAP for it"
  end
  local filtered = read "/proc/self/status":find "\nSeccomp:%s*[12]"
  return (filtered and "a seccomp filter, as containers have, or a "
    or "a chroot or a ") .. "security module forbids it"
end

local function reason(step, errno)
  if step == "threads" then
    local count = read "/proc/self/status":match "\nThreads:%s*(%d+)"
    return ("the process has %s threads, and may have one")
      :format(count or "several")
  elseif step == "not ours" then
    return "the process is not dumpable: it has changed its user, or its "
      .. "program may not be read; see PR_SET_DUMPABLE in prctl(2)"
  elseif step == "namespaces" and (errno == e.ENOSPC or errno == e.EUSERS) then
    return limits()
  elseif step == "namespaces" and not core.readlink "/proc/self/ns/user" then
    return "the kernel has no user namespaces"
  elseif errno == e.EPERM or errno == e.EACCES or errno == e.ENOSYS then
    return refusal(step)
  end
end

--- Makes the process able to do all of this without being root: it enters a
-- user, a network and a mount namespace of its own, in which it is root, `lo`
-- is up, and the directory of names is private and empty. There is no way back.
--
-- The process's own network is then an empty one; sockets that it has opened
-- before stay where they were. A handle that was opened before cannot be
-- entered any more, and a monitor that was goes on to watch the old directory.
-- Programs that the process starts are in these namespaces as well. Files that
-- it makes belong to the user outside; inside, user and group are 0, and there
-- are no others to change to. See user_namespaces(7).
--
-- A process that can do it all already is left as it is, so a program may call
-- it in any case.
-- @function rootless
-- @treturn[1] boolean true
-- @return[2] nil, and nothing has changed
-- @treturn[2] string message, with the setting that forbids it, if one does
-- @treturn[2] integer errno: EINVAL if the process has more than one thread;
-- EPERM, EACCES or ENOSYS if the system forbids it; ENOSPC at a limit
return function()
  if core.able() then return true end
  local ok, message, errno, step = core.rootless()
  if ok then return true end
  local why = reason(step, errno)
  return nil, why and ("%s (%s)"):format(message, why) or message, errno
end
