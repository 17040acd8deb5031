-- What the specs share: unique names, shell commands, and a guard that fails a
-- test which leaves a descriptor, a name, a mount or a process behind.

local core = require "netns.core"

-- They write to /etc and take all names away: not those of the machine.
assert(os.getenv "NETNS_ISOLATED",
  "the specs want namespaces of their own: make test, or spec/isolated busted")

local support = {}

local count = 0
local random = assert(io.open "/proc/sys/kernel/random/uuid")
local prefix = "t" .. random:read(6) .. "-" -- a pid is not enough in a pidns
random:close()

--- A name that no other test, and no other run of the suite, uses.
function support.name()
  count = count + 1
  return ("%s%04d"):format(prefix, count) -- in the order of their making
end

-- As in Lua 5.2 and later. The library has to do without.
support.unpack = table.unpack or unpack -- luacheck: ignore 113
support.pack = table.pack or function(...)
  return { n = select("#", ...), ... }
end

--- Whether a number is an integer; all that look so where Lua has none.
function support.is_integer(value)
  if math.type then return math.type(value) == "integer" end
  return type(value) == "number" and value % 1 == 0
end

function support.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Runs a shell command; what it printed, and its exit status, which popen
-- does not tell everywhere.
function support.sh(command, ...)
  -- one shell for the command, and one that would tell of what is killed
  local shells = "exec 2>/dev/null; sh -c %s 2>&1; echo \"[$?]\""
  local pipe = assert(io.popen(shells:format(
    support.quote(command:format(...)))))
  local output, code = pipe:read "*a":match "^(.*)%[(%d+)%]\n$"
  pipe:close()
  return (output:gsub("\n$", "")), tonumber(code)
end

--- As os.execute of Lua 5.2 and later: true|nil, "exit"|"signal", code.
function support.execute(command)
  local status, how, code = os.execute(command)
  if how then return status, how, code end -- else as waitpid(2) has it
  local signal = status % 128
  if signal ~= 0 then return nil, "signal", signal end
  return status == 0 or nil, "exit", math.floor(status / 256)
end

--- The results of exec or wait as os.execute has them, without the message.
function support.ended(ok, message, how, code)
  if ok then return ok, message, how end -- true, "exit", 0
  assert(type(message) == "string", "no message")
  return nil, how, code
end

support.load = loadstring or load -- luacheck: ignore 113

--- All of a file.
function support.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

function support.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- What the test that runs has to close at its end.
local kept = {}

--- Closes an object at the end of the test, the last one first; returns its
-- arguments.
function support.keep(object, ...)
  kept[#kept + 1] = object
  return object, ...
end

local function close_kept()
  local problem
  while kept[1] do
    local object = table.remove(kept)
    local file = io.type(object)
    if file ~= "closed file" then
      local ok, message = pcall(object.close, object)
      if not ok then problem = problem or message end
    end
  end
  if problem then error(problem, 0) end
end

--- The same for a command that must succeed.
function support.must(command, ...)
  local output, code = support.sh(command, ...)
  if code ~= 0 then
    error(("%s: exit status %d: %s"):format(command, code, output), 2)
  end
  return output
end

--- The kernel's version, as a number: 6.01 is Linux 6.1, 6.18 is 6.18.
function support.kernel()
  local major, minor = support.must "uname -r":match "^(%d+)%.(%d+)"
  return tonumber(major) + tonumber(minor) / 100
end

-- Set by spec/vm, whose machine is about ten times slower than a real one.
local slow = os.getenv "NETNS_SPEC_SLOW" and 10 or 1
support.slow = slow

--- How many to take where many are wanted: fewer on a slow machine.
function support.many(number)
  return math.floor(number / slow)
end

--- Starts a program in the background; its pid. `support.stop` ends it.
function support.start(command)
  local pipe = assert(io.popen(("{ %s; } >/dev/null 2>&1 & echo $!")
    :format(command)))
  local pid = tonumber(pipe:read "*l")
  pipe:close()
  return pid
end

--- Whether a process is still in any namespace; a zombie is not.
function support.runs(pid)
  return core.readlink(("/proc/%d/ns/net"):format(pid)) ~= nil
end

--- Tries a function until it returns something true; fails after a while.
function support.eventually(fn, seconds)
  local deadline = core.now() + (seconds or 60) * slow
  repeat
    local result = fn()
    if result then return result end
    support.sh "sleep 0.01"
  until core.now() > deadline
  error("it did not come true", 2)
end

function support.stop(pid)
  support.sh("kill -9 %d", pid)
  support.eventually(function() return not support.runs(pid) end)
end

--- Starts `sleep` in a namespace; its pid, once it is inside.
function support.sleeper(NS)
  local pid = support.start(("exec nsenter --net=%s sleep 1000")
    :format(support.quote(NS)))
  support.eventually(function()
    return (core.readlink(("/proc/%d/exe"):format(pid)) or ""):find "sleep"
      or (core.readlink(("/proc/%d/exe"):format(pid)) or ""):find "busybox"
  end)
  return pid
end

-- The path of a new file with a Lua script, for whoever runs it to remove.
local function write_script(text)
  local path = os.tmpname()
  -- what it prints is flushed at once, as some Luas do by themselves
  support.write(path,
    ("package.path, package.cpath = %q, %q io.stdout:setvbuf 'line'\n")
      :format(package.path, package.cpath) .. text)
  support.must("chmod 644 %s", path)
  return path
end

local Background = {}
Background.__index = Background

function Background:read(...)
  return self.pipe:read(...)
end

-- True if it was a success.
function Background:close()
  if io.type(self.pipe) == "file" then
    self.pipe:close()
    self.status = tonumber(support.read(self.path))
    os.remove(self.path)
  end
  return self.status == 0
end

--- Starts a Lua script in a process of its own; something like a file with what
-- it prints, whose closing waits for it.
function support.background(text, before)
  local path = write_script(text)
  local pipe = assert(io.popen(("%s %s %s; echo $? >%s")
    :format(before or "", support.lua, path, path)))
  return setmetatable({ pipe = pipe, path = path }, Background)
end

--- Runs a Lua script in a process of its own; its output and status. `before`
-- is put in front of the command line, `lua` is what runs the script.
function support.script(text, before, lua)
  local path = write_script(text)
  local output, code =
    support.sh("%s %s %s", before or "", lua or support.lua, path)
  os.remove(path)
  return output, code
end

-- Compiles a C file for a test; the path of the shared object, in a directory
-- that the test removes.
function support.compile(dir, text)
  support.write(dir .. "/code.c", text)
  support.must("cc -D_GNU_SOURCE -shared -fPIC -o %s/code.so %s/code.c %s",
    dir, dir, support.cflags)
  return dir .. "/code.so"
end

-- Runs a script over the calls that the C in `text` puts in the place of
-- libc's; its output and status.
function support.with_calls(text, script)
  local dir = support.must "mktemp -d"
  local so = support.compile(dir, text)
  local output, code = support.script(script, "env LD_PRELOAD=" .. so
    .. " ASAN_OPTIONS=verify_asan_link_order=0")
  support.must("rm -r %s", dir)
  return output, code
end

-- In front of a command: a mount namespace without a directory of names.
support.no_names = "unshare -m sh -c 'umount -l /run/netns 2>/dev/null; "
  .. "mount -t tmpfs run /run; exec \"$@\"' -"

--- In front of a command: makes system calls of one kind fail, the `when`th
-- (as strace has it).
function support.failing(call, err, when)
  -- the leak sanitizer cannot work under ptrace
  return ("env ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null "
    .. "-e trace=%s -e inject=%s:error=%s:when=%s")
    :format(call, call, err, when or 1)
end

support.host = package.cpath:match "([^;]*)/%?%.so" .. "/host"
-- What runs Lua scripts: another program than the plain one for the sanitizers.
support.luajit = rawget(_G, "jit") ~= nil
support.version = tonumber(_VERSION:match "%d%.%d")
support.plain_lua = support.luajit and "luajit"
  or "lua" .. _VERSION:match "%d%.%d"
support.lua = os.getenv "NETNS_SPEC_LUA" or support.plain_lua

-- To compile C with Lua: its headers, and csrc/compat.h.
support.cflags = ("-Icsrc $(pkg-config --cflags %s)"):format(support.plain_lua)

-- In front of a command: runs it as an ordinary user.
support.nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups"

-- Everything that a test must leave as it was.
local function state()
  collectgarbage()
  collectgarbage()
  local fds = assert(core.readdir "/proc/self/fd")
  local children = support.read "/proc/thread-self/children"
  table.sort(fds)
  local links = {}
  for _, fd in ipairs(fds) do
    local link = core.readlink("/proc/self/fd/" .. fd)
    -- the one that reads the directory is gone again
    if link and not link:find "/fd$" then
      links[#links + 1] = fd .. " -> " .. link
    end
  end
  return {
    descriptors = table.concat(links, "\n"),
    names = table.concat(core.names(), "\n"),
    mounts = support.read "/proc/thread-self/mountinfo",
    processes = children,
    namespace = core.readlink "/proc/thread-self/ns/net",
    ["mount namespace"] = core.readlink "/proc/thread-self/ns/mnt",
  }
end

-- Whether the test that runs has failed: what it left is then no failure of its
-- own.
local failed
for _, event in ipairs { "failure", "error" } do
  require "busted".subscribe({ event, "it" }, function()
    failed = true
    return nil, true -- other listeners, too
  end)
end

--- Guards every test of a `describe` block. The arguments are busted's.
function support.guard(before_each, after_each)
  local before
  before_each(function()
    core.add(prefix .. "warm-up") -- the directory is made and shared only once
    core.remove(prefix .. "warm-up")
    before = state()
    failed = false
  end)
  after_each(function()
    close_kept()
    local after = state()
    -- so that a test which fails does not take the next ones with it
    for name in after.names:gmatch "[^\n]+" do
      if not ("\n" .. before.names .. "\n"):find("\n" .. name .. "\n", 1, true)
      then
        core.remove(name)
      end
    end
    if failed then return end
    for what, value in pairs(before) do
      if value ~= after[what] then
        error(("%s left behind or lost:\n%s\nbefore:\n%s")
          :format(what, after[what], value))
      end
    end
  end)
end

return support
