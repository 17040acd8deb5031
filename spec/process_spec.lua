-- What spawn gives: a program that runs.

local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno
local LONG = 300 -- seconds that only a program which hangs takes

-- What Lua lacks: fork, poll, and a thread that ends while its state goes on.
local HELPER = [[
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "compat.h"

static int l_fork(lua_State *L) {
  lua_pushinteger(L, fork());
  return 1;
}

static int l_exit(lua_State *L) {
  _exit((int)luaL_checkinteger(L, 1));
}

static int l_wait(lua_State *L) {
  int status = -1;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushinteger(L, status);
  return 1;
}

static int l_poll(lua_State *L) {
  struct pollfd slot = {(int)luaL_checkinteger(L, 1), POLLIN, 0};
  lua_pushboolean(L, poll(&slot, 1, (int)luaL_checkinteger(L, 2)) == 1);
  return 1;
}

static void *run(void *L) {
  return lua_pcall(L, 0, 0, 0) == LUA_OK ? NULL : L;
}

static int l_thread(lua_State *L) {
  pthread_t thread;
  void *failed;
  lua_settop(L, 1);
  if (pthread_create(&thread, NULL, run, L) != 0)
    return luaL_error(L, "no thread");
  pthread_join(thread, &failed);
  return failed != NULL ? lua_error(L) : 0;
}

__attribute__((visibility("default"))) int luaopen_helper(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"fork", l_fork}, {"exit", l_exit},     {"wait", l_wait},
      {"poll", l_poll}, {"thread", l_thread}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
]]

local function descriptors()
  return #assert(core.readdir "/proc/self/fd")
end

-- Calls a function of whose values nothing but the results stays anywhere: on
-- this stack, the collector would still see some.
local function apart(fn)
  local results = t.pack(coroutine.wrap(fn)())
  collectgarbage()
  collectgarbage()
  return t.unpack(results, 1, results.n)
end

-- The letter of a process's state, as in ps(1); nil if there is none.
local function state(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return nil end
  local letter = file:read "*a":match "^.*%) (%a)"
  file:close()
  return letter
end

-- Checks that a function written on one line raises an error, at that line.
local function raises(expected, fn)
  local info = debug.getinfo(fn, "S")
  local ok, message = pcall(fn)
  assert.is_false(ok, expected)
  local place = ("%s:%d: "):format(info.short_src, info.linedefined)
  assert.equal(place, message:sub(1, #place), message)
  assert(message:find(expected, #place, true), message)
end

-- Around the handle that every test gets.
t.guard(before_each, after_each)

describe("a process #novalgrind", function()
  local dir, helper

  setup(function()
    dir = t.must "mktemp -d"
    local file = assert(io.open(dir .. "/helper.c", "w"))
    file:write(HELPER)
    file:close()
    t.must("cc -shared -fPIC -pthread %s -o %s/helper.so %s/helper.c",
      t.cflags, dir, dir)
    helper = assert(package.loadlib(dir .. "/helper.so", "luaopen_helper"))()
  end)

  teardown(function() t.must("rm -r %s", dir) end)

  local ns

  before_each(function() ns = assert(netns.new()) end)

  after_each(function() ns:close() end)

  -- Starts a program, quickly.
  local function spawn(argv, opts)
    opts = opts or {}
    opts.mounts = false
    if type(argv) == "string" then argv = { "sh", "-c", argv } end
    return assert(ns:spawn(argv, opts))
  end

  local function sleep() return spawn { "sleep", "1000" } end

  local function script(text, before)
    return t.script(([[
      local netns = require "netns"
      local core = require "netns.core"
      local helper = package.loadlib(%q, "luaopen_helper")()
      local ns = assert(netns.new())
    ]]):format(dir .. "/helper.so") .. text, before)
  end

  describe("that was started", function()
    it("has a pid, and runs in the namespace", function()
      for _, mounts in ipairs { true, false, "shared" } do
        local process = t.keep(assert(ns:spawn({ "sh", "-c",
          "echo $$; read x" },
          { stdin = "pipe", stdout = "pipe", mounts = mounts })))
        assert.is_true(t.is_integer(process.pid))
        assert.equal(process.pid, process.stdout:read "*n")
        assert.equal(("net:[%d]"):format(ns:inode()),
          core.readlink(("/proc/%d/ns/net"):format(process.pid)))
        assert.is_nil(process.stderr)
      end
    end)

    it("has streams only where they were asked for", function()
      local process = t.keep(spawn({ "true" }, { stdout = "null" }))
      assert.same({}, { process.stdin, process.stdout, process.stderr })
      local other = t.keep(spawn({ "true" }, { stderr = "pipe" }))
      assert.same({}, { other.stdin, other.stdout })
      assert.equal("file", io.type(other.stderr))
    end)

    it("could be, or there is a message", function()
      local process, message, number = ns:spawn({ "no-such-program" },
        { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
      assert.is_nil(process)
      assert.equal(("spawn net:[%d]: no-such-program: "
        .. "No such file or directory"):format(ns:inode()), message)
      assert.equal(errno.ENOENT, number)
      local name = t.name()
      process, message, number = netns.spawn(name, { "true" })
      assert.is_nil(process)
      assert.equal(('spawn "%s": No such file or directory'):format(name),
        message)
      assert.equal(errno.ENOENT, number)
    end)

    it("has a descriptor that tells when it has ended", function()
      local process = t.keep(spawn("read x", { stdin = "pipe" }))
      assert.is_true(t.is_integer(process:fd()))
      assert.equal("anon_inode:[pidfd]",
        core.readlink("/proc/self/fd/" .. process:fd()))
      assert.is_false(helper.poll(process:fd(), 0))
      process.stdin:close()
      assert.is_true(helper.poll(process:fd(), LONG * 1000))
      local fd = process:fd()
      assert(process:wait() == nil)
      assert.equal(fd, process:fd())
      assert.is_true(helper.poll(fd, 0))
    end)

    it("says what it is doing as a string", function()
      local function text(state_text, pid)
        return ("netns.process (%d, %s)"):format(pid, state_text)
      end
      for argv, expected in pairs { ["exit 0"] = "exit 0",
        ["exit 7"] = "exit 7", ["kill -9 $$"] = "signal 9" } do
        local process = t.keep(spawn("read x; " .. argv, { stdin = "pipe" }))
        local pid = process.pid
        assert.equal(text("running", pid), tostring(process))
        process.stdin:close()
        -- also before it is waited for
        helper.poll(process:fd(), LONG * 1000)
        assert.equal(text(expected, pid), tostring(process))
        process:wait()
        assert.equal(text(expected, pid), tostring(process))
        process:close()
        assert.matches("^netns%.process %(" .. pid .. ", ", tostring(process))
      end
      local detached = assert(ns:spawn({ "sleep", "1000" }, { detach = true }))
      local pid = detached.pid
      detached:close()
      assert.equal(text("closed", pid), tostring(detached))
      t.must("kill -9 %d", pid)
      t.eventually(function()
        ns:exec({ "true" }, { mounts = false }) -- reaps on the way
        return not state(pid)
      end)
    end)
  end)

  describe("wait", function()
    it("tells the end as os.execute does, as often as it is asked", function()
      for _, command in ipairs { "exit 0", "exit 1", "exit 255",
        "kill -9 $$", "kill -TERM $$" } do
        local expected = t.pack(t.execute(command))
        local process = t.keep(spawn(command))
        assert.same(expected, t.pack(t.ended(process:wait())))
        assert.same(expected, t.pack(t.ended(process:wait())))
        assert.same(expected, t.pack(t.ended(process:wait(0))))
        assert.same(expected, t.pack(t.ended(process:wait(math.huge))))
        assert.same(expected, t.pack(t.ended(process:wait(1e300))))
      end
    end)

    it("waits for some seconds", function()
      local process = t.keep(spawn({ "cat" }, { stdin = "pipe" }))
      for _, seconds in ipairs { 0, 0.01, 0.2 } do
        local before = core.now()
        local result, message, number = process:wait(seconds)
        assert(core.now() - before >= seconds - 0.001)
        assert.is_nil(result)
        assert.equal(("spawn net:[%d]: cat: still runs"):format(ns:inode()),
          message)
        assert.equal(errno.ETIMEDOUT, number)
      end
      process.stdin:close()
      assert.same({ true, "exit", 0 }, { process:wait(LONG) })
    end)

    it("wants seconds", function()
      local process = t.keep(sleep())
      raises("bad argument 'timeout' to 'wait' (seconds expected, got \"1\")",
        function() process:wait "1" end)
      for _, value in ipairs { -1, 0 / 0, -math.huge } do
        raises("bad argument 'timeout' to 'wait' (seconds expected, got ",
          function() process:wait(value) end)
      end
    end)

    it("does not need anyone to read what the program writes", function()
      local process = t.keep(spawn("echo some; exit 3", { stdout = "pipe" }))
      assert.same({ "exit", 3 }, { select(3, process:wait(LONG)) })
      assert.equal("some\n", process.stdout:read "*a")
    end)
  end)

  describe("kill", function()
    it("takes the names and the numbers of signals", function()
      for _, case in ipairs {
        { nil, 15 }, { "TERM", 15 }, { "SIGTERM", 15 }, { "term", 15 },
        { "sigKill", 9 }, { "HUP", 1 }, { "INT", 2 }, { "USR1", 10 },
        { "PIPE", 13 }, { 15, 15 }, { 9, 9 }, { 12.0, 12 }, { 34, 34 },
        { 64, 64 },
      } do
        local process = t.keep(sleep())
        assert.is_true(process:kill(case[1]))
        assert.same({ "signal", case[2] }, { select(3, process:wait(LONG)) })
      end
    end)

    it("stops a program and lets it go on", function()
      local process = t.keep(sleep())
      assert.is_true(process:kill "STOP")
      t.eventually(function() return state(process.pid) == "T" end)
      assert.equal(errno.ETIMEDOUT, select(3, process:wait(0)))
      assert.matches("running", tostring(process))
      assert.is_true(process:kill "CONT")
      t.eventually(function() return state(process.pid) == "S" end)
      assert.is_true(process:kill(0)) -- only looks whether it could
      assert.equal(errno.ETIMEDOUT, select(3, process:wait(0)))
    end)

    it("refuses what is no signal", function()
      local process = t.keep(sleep())
      for _, signal in ipairs { "NOPE", "", "SIG", "SIGSIGTERM", "TERM ",
        "15", 65, 999, -1, 2 ^ 31, 2 ^ 40, 2 ^ 63, -2 ^ 63,
        math.maxinteger, math.mininteger }
      do
        local ok, message, number = process:kill(signal)
        assert.is_nil(ok)
        assert.is_string(message)
        assert.equal(errno.EINVAL, number)
      end
      assert.equal(errno.ETIMEDOUT, select(3, process:wait(0)))
      for signal, kind in pairs { [1.5] = "1.5", [1 / 0] = "inf",
        [{}] = "table", [true] = "boolean" } do
        raises(("bad argument 'signal' to 'kill' (name or number expected, "
          .. "got %s)"):format(kind), function() process:kill(signal) end)
      end
    end)

    it("tells when the program has ended", function()
      local waited = t.keep(sleep())
      local looked = t.keep(sleep())
      waited:kill "KILL"
      waited:wait()
      looked:kill "KILL"
      helper.poll(looked:fd(), LONG * 1000)
      for _, process in ipairs { waited, looked } do
        for _ = 1, 2 do
          local ok, message, number = process:kill()
          assert.is_nil(ok)
          assert.equal(("kill process %d: No such process")
            :format(process.pid), message)
          assert.equal(errno.ESRCH, number)
          assert.same({ "signal", 9 }, { select(3, process:wait()) })
          process:close() -- and so when closed
        end
      end
    end)

    it("does not reach the children of the program", function()
      local process = t.keep(spawn("sleep 1000 & echo $!; wait",
        { stdout = "pipe" }))
      local child = process.stdout:read "*n"
      process:kill "KILL"
      process:wait()
      assert.is_true(t.runs(child))
      t.stop(child)
    end)
  end)

  describe("closing", function()
    it("ends the program, all of its group, and the streams", function()
      for _, command in ipairs {
        "sleep 1000 & echo $$ $!; wait",
        "trap '' TERM; sleep 1000 & echo $$ $!; wait; wait",
      } do
        local before = descriptors()
        local process = spawn(command,
          { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
        local pid, child = process.stdout:read("*n", "*n")
        assert.is_true(process:close())
        assert.is_false(t.runs(pid))
        t.eventually(function() return not t.runs(child) end)
        for _, name in ipairs { "stdin", "stdout", "stderr" } do
          assert.equal("closed file", io.type(process[name]))
        end
        assert(descriptors() <= before + 2) -- what is kept for the next one
        assert.is_true(process:close())
      end
    end)

    it("lets the program clean up", function()
      local file = t.keep(assert(io.tmpfile()))
      local process = spawn(
        "trap 'echo cleaned; exit' TERM; echo ready >&2; sleep 1000 & wait",
        { stdout = file, stderr = "pipe" })
      assert.equal("ready", process.stderr:read "*l")
      process:close()
      file:seek "set"
      assert.equal("cleaned\n", file:read "*a")
    end)

    it("happens at the end of a scope, and by an error", function()
      local run = t.load [[
        local sleep, fail = ...
        local process <close> = sleep()
        if fail then error(process.pid, 0) end
        return process.pid
      ]]
      if not run then return pending "this Lua has no <close>" end
      for _, fail in ipairs { false, true } do
        local ok, pid = pcall(run, sleep, fail)
        assert.equal(not fail, ok)
        assert.is_nil(state(pid))
      end
    end)

    it("leaves alone what a program with detach left behind", function()
      local process = spawn("sleep 1000 & echo $!",
        { stdout = "pipe", detach = true })
      local child = process.stdout:read "*n"
      assert.is_true(process:wait(LONG))
      process:close()
      local marks = spawn { "true" } -- time enough for a signal
      assert.is_true(marks:wait(LONG))
      marks:close()
      assert.is_true(t.runs(child))
      t.stop(child)
    end)

    it("takes files along that were closed before", function()
      local process = spawn({ "cat" }, { stdin = "pipe", stdout = "pipe" })
      process.stdin:close()
      process.stdout:close()
      assert.is_true(process:close())
    end)

    it("leaves no descriptor, whether it has ended or not", function()
      spawn({ "true" }):close()
      for _, detach in ipairs { false, true } do
        local before = descriptors()
        local process = spawn({ "true" }, { detach = detach, stdin = "pipe" })
        process:wait()
        process:close()
        assert.equal(before, descriptors(), tostring(detach))
      end
    end)

    it("makes the rest an error, at the caller's line", function()
      local ended = spawn { "true" }
      ended:wait()
      ended:close()
      raises("process is closed", function() local _ = ended:fd() end)
      local detached = spawn({ "sleep", "1000" }, { detach = true })
      local pid = detached.pid
      detached:close()
      raises("process is closed", function() local _ = detached:fd() end)
      raises("process is closed", function() local _ = detached:wait() end)
      raises("process is closed", function() local _ = detached:kill() end)
      assert.is_true(t.runs(pid))
      t.must("kill -9 %d", pid)
      t.eventually(function()
        ns:exec({ "true" }, { mounts = false }) -- reaps on the way
        return not state(pid)
      end)
    end)
  end)

  describe("the streams", function()
    it("are Lua files", function()
      local process = t.keep(spawn(
        "echo 42 -3.5 0x10 rest of it; echo one; echo two; printf three; "
        .. "printf 'e\\0r\\nr' >&2", { stdout = "pipe", stderr = "pipe" }))
      local out = process.stdout
      assert.equal("file", io.type(out))
      assert.matches("^file %(", tostring(out))
      assert.same({ 42, -3.5, 16 }, { out:read("*n", "*n", "*n") })
      assert.equal(" rest of it", out:read "*l")
      assert.equal("o", out:read(1))
      local lines = {}
      for line in out:lines() do lines[#lines + 1] = line end
      assert.same({ "ne", "two", "three" }, lines)
      assert.is_nil(out:read "*l")
      assert.equal("", out:read "*a")
      assert.equal("e\0r\nr", process.stderr:read "*a")
      assert.is_true(out:close())
      assert.equal("closed file", io.type(out))
      assert.is_false(pcall(out.read, out, "a"))
    end)

    it("give a program what is written, line by line", function()
      -- which would be read for ever if it did not get through
      local process = t.keep(spawn({ "timeout", "100", "cat" },
        { stdin = "pipe", stdout = "pipe" }))
      local stdin, stdout = process.stdin, process.stdout
      assert.equal("file", io.type(stdin))
      for i = 1, 3 do
        assert.is_truthy(stdin:write("line ", i, "\n")) -- not flushed
        assert.equal("line " .. i, stdout:read "*l")
      end
      stdin:write "no line"
      assert(stdin:flush())
      assert.equal("no line", stdout:read(7))
      assert(stdin:setvbuf "no")
      stdin:write "x"
      assert.equal("x", stdout:read(1))
      assert(stdin:setvbuf "full")
      stdin:write "a\0b\n"
      assert.is_nil((stdin:seek "cur"))
      assert.is_true(stdin:close()) -- writes the rest
      assert.equal("a\0b\n", stdout:read "*a")
      assert.same({ true, "exit", 0 }, { process:wait(LONG) })
    end)

    it("carry as much as one likes", function()
      local process = t.keep(spawn({ "sh", "-c", "wc -c; head -c 3000000 "
        .. "/dev/zero" }, { stdin = "pipe", stdout = "pipe" }))
      for _ = 1, 30 do assert(process.stdin:write(("x"):rep(100001))) end
      assert(process.stdin:close())
      assert.equal(3000030, process.stdout:read "*n")
      assert.equal("\n" .. ("\0"):rep(3000000), process.stdout:read "*a")
    end)

    it("may be closed by either side", function()
      local writer = t.keep(spawn({ "yes" }, { stdout = "pipe" }))
      assert.equal("y", writer.stdout:read "*l")
      writer.stdout:close()
      assert.same({ "signal", 13 }, { select(3, writer:wait(LONG)) })
      local closer = t.keep(spawn("exec >&-; read x",
        { stdin = "pipe", stdout = "pipe" }))
      assert.equal("", closer.stdout:read "*a")
      closer.stdin:write "go on\n"
      assert.is_true(closer:wait(LONG))
    end)

    it("outlive the object", function()
      local stdin, stdout = apart(function()
        local process = spawn("cat; echo end",
          { stdin = "pipe", stdout = "pipe" })
        return process.stdin, process.stdout
      end)
      stdin:write "still\n"
      stdin:close()
      assert.equal("still\nend\n", stdout:read "*a")
      stdout:close()
      t.eventually(function()
        ns:exec({ "true" }, { mounts = false }) -- reaps on the way
        return t.read "/proc/thread-self/children" == ""
      end)
    end)

    it("fail when the program is gone, and do not end the host", function()
      for before, pending in pairs {
        ["env --default-signal=PIPE"] = 0, ["env --ignore-signal=PIPE"] = 0,
        ["env --default-signal=PIPE --block-signal=PIPE"] = 0,
        -- one that was on its way before stays so
        ["env --default-signal=PIPE --block-signal=PIPE "
          .. "sh -c 'kill -PIPE $$; exec \"$@\"' -"] = 0x1000,
      } do
        local output = script([[
          for _, text in ipairs { "line\n", ("x"):rep(1000000) } do
            local process = assert(ns:spawn({ "true" },
              { stdin = "pipe", mounts = false }))
            process:wait()
            print("write", process.stdin:write(text))
            process:close()
          end
          local process = assert(ns:spawn({ "true" },
            { stdin = "pipe", mounts = false }))
          process:wait()
          process.stdin:write "x"
          print("flush", process.stdin:flush())
          assert(io.type(process.stdin) == "file")
          process:close()
          -- nothing was done to the signal
          local status = io.open "/proc/self/status":read "*a"
          local thread, shared = status:match "SigPnd:%s*(%x+)",
            status:match "ShdPnd:%s*(%x+)"
          -- in both it is the same one, or none
          print("pending",
            math.max(tonumber(thread, 16), tonumber(shared, 16)))
        ]], before)
        local failed = "\tnil\tBroken pipe\t32\n"
        assert.equal("write" .. failed .. "write" .. failed .. "flush" .. failed
          .. "pending\t" .. pending, output, before)
      end
    end)

    it("may have input that the program does not take, in exec", function()
      assert.equal("true\texit\t0", script([[
        print(ns:exec({ "true" }, { input = ("x"):rep(1000000) }))
      ]], "env --default-signal=PIPE"))
    end)
  end)

  describe("whose object is dropped", function()
    it("leaves nothing if it has ended, though nobody has waited", function()
      spawn({ "true" }):close()
      for _, look in ipairs { tostring, function(process) process:kill() end,
        function(process) process:wait(0) end } do
        local before = descriptors()
        for _ = 1, 5 do
          apart(function()
            local process = spawn { "true" }
            helper.poll(process:fd(), LONG * 1000)
            look(process)
          end)
        end
        collectgarbage() -- what finalizers have let go
        assert.equal(before, descriptors())
      end
    end)

    it("runs on, and is no zombie in the end", function()
      for _, opts in ipairs { {}, { detach = true },
        { stdin = "pipe", stdout = "pipe" } } do
        local pid = apart(function()
          return spawn({ "sleep", "1000" }, opts).pid
        end)
        assert.equal(errno.ETIMEDOUT,
          select(3, ns:exec({ "sleep", "1000" }, { timeout = 0.1 })))
        assert.is_true(t.runs(pid))
        t.must("kill -9 %d", pid)
        t.eventually(function()
          ns:exec({ "true" }, { mounts = false }) -- reaps on the way
          return not state(pid)
        end)
      end
    end)

    it("ends with the host", function()
      local output = script [[
        local opts = { stdout = "null", stderr = "null" }
        coroutine.wrap(function()
          print(assert(ns:spawn({ "sleep", "1000" }, opts)).pid)
        end)()
        collectgarbage()
        collectgarbage()
        assert(ns:exec { "true" })
      ]]
      local pid = assert(tonumber(output), output)
      t.eventually(function() return not t.runs(pid) end)
    end)
  end)

  -- Starts a program in a host that ends in one way or another. The program
  -- puts the pids of its processes, all of which are `sleep` in the end, into
  -- a file; they are returned when the host is gone.
  local function orphans(count, command, ending, opts)
    local file = os.tmpname()
    local output = script(([[
      local count, file = %d, %q
      local process = assert(ns:spawn({ "sh", "-c", %q },
        { stdin = "null", stdout = "null", stderr = "null", %s }))
      local pids
      repeat
        pids = {}
        for line in io.lines(file) do
          local comm = io.open("/proc/" .. line .. "/comm")
          if comm and comm:read "*l" == "sleep" then
            pids[#pids + 1] = line
          end
          if comm then comm:close() end
        end
        assert(not process:wait(0.01))
      until #pids == count
      io.stdout:write(table.concat(pids, " "), "\n")
      io.stdout:flush()
      local function leave() %s end
      leave()
    ]]):format(count, file, command:gsub("FILE", file), opts or "",
      ending))
    os.remove(file)
    local pids = {}
    for pid in output:match "^[^\n]*":gmatch "%d+" do
      pids[#pids + 1] = tonumber(pid)
    end
    assert.equal(count, #pids, output)
    return pids
  end

  local ENDINGS = {
    "os.execute 'kill -9 $PPID'", "os.execute 'kill -TERM $PPID'",
    "os.exit(0)", "os.exit(0, true)", "helper.exit(0)", "error 'on purpose'",
    "process = nil",
  }

  describe("of a host that ends in any way", function()
    local ONE = "echo $$ >FILE; exec sleep 1000"

    local function all_end(count, command, opts)
      for _, ending in ipairs(ENDINGS) do
        for _, pid in ipairs(orphans(count, command, ending, opts)) do
          t.eventually(function() return not t.runs(pid) end)
        end
      end
    end

    it("ends, however its mounts are", function()
      all_end(1, ONE)
      all_end(1, ONE, "mounts = false")
      all_end(1, ONE, "mounts = 'shared'")
    end)

    it("ends with the children in its group", function()
      all_end(4, "for i in 1 2 3; do sleep 1000 & echo $! >>FILE; done; "
        .. "echo $$ >>FILE; exec sleep 1000", "mounts = false")
    end)

    it("ends when it ignores all that can be ignored", function()
      all_end(1, "trap '' HUP INT TERM PIPE IO; " .. ONE, "mounts = false")
    end)

    it("ends when it has become another user", function()
      all_end(1, "echo $$ >FILE; exec setpriv --reuid 65534 --regid 65534 "
        .. "--clear-groups sleep 1000", "mounts = false")
    end)

    it("runs on if it was started with detach", function()
      for _, ending in ipairs(ENDINGS) do
        for _, mounts in ipairs { "false", "'shared'" } do
          local pids = orphans(1, ONE, ending, "detach = true, mounts = "
            .. mounts)
          assert.is_true(t.runs(pids[1]), ending)
          -- still, after everything that its end may have set off
          ns:exec({ "sleep", "0.2" }, { mounts = false })
          assert.is_true(t.runs(pids[1]), ending)
          t.stop(pids[1])
        end
      end
    end)
  end)

  it("goes on when the thread that started it ends", function()
    for _, detach in ipairs { false, true } do
      local process
      helper.thread(function() process = sleep({ detach = detach }) end)
      assert.equal(errno.ETIMEDOUT, select(3, process:wait(0.3)))
      -- another thread still, and none of them minds
      helper.thread(function()
        assert(process:kill "USR1")
        assert.same({ "signal", 10 }, { select(3, process:wait(LONG)) })
      end)
      assert.same({ "signal", 10 }, { select(3, process:wait()) })
      process:close()
    end
  end)

  it("is not ended by what a forked child of the host does", function()
    for _, deed in ipairs { "", "process:close()", "os.exit(0, true)",
      "process = nil; collectgarbage(); collectgarbage()",
      "assert(ns:exec { 'true' })", "helper.exit(0)" } do
      local output = script(([[
        local process = assert(ns:spawn({ "cat" },
          { stdin = "pipe", stdout = "pipe", mounts = false }))
        local pid = helper.fork()
        if pid == 0 then
          %s
          os.exit(0, true)
        end
        print(helper.wait(pid))
        print(select(3, process:wait(0.2)))
        process.stdin:write "through\n"
        print(process.stdout:read "*l")
        process.stdin:close()
        print(process:wait())
        process:close()
      ]]):format(deed))
      assert.equal(("0\n%d\nthrough\ntrue\texit\t0"):format(errno.ETIMEDOUT),
        output, deed)
    end
  end)

  it("is started by a forked child, and ends with that", function()
    local output = script [[
      -- the parent has started some before, and goes on with it
      assert(ns:exec({ "true" }, { mounts = false }))
      local ours = assert(ns:spawn({ "sleep", "1000" }, { mounts = false }))
      local child = helper.fork()
      if child == 0 then
        local opts = { mounts = false, stdout = "null", stderr = "null" }
        print(assert(ns:spawn({ "sleep", "1000" }, opts)).pid)
        io.stdout:flush()
        os.execute "kill -9 $PPID"
      end
      assert(helper.wait(child) == 9)
      assert(select(3, ours:wait(0.2)) == core.errno.ETIMEDOUT)
      ours:close()
    ]]
    local pid = assert(tonumber(output), output)
    t.eventually(function() return not t.runs(pid) end)
  end)

  it("leaves neither descriptors nor memory, often", function()
    -- what was freed is kept back by the address sanitizer, to find its use
    local output = script([[
      local function start(i)
        local opts = { mounts = false }
        if i % 2 == 0 then opts.stdin, opts.stdout = "pipe", "pipe" end
        local process = assert(ns:spawn({ "true" }, opts))
        local how = i % 5
        if how == 0 then return end -- dropped while it may run
        assert(process:wait())
        if how < 4 then process:close() end -- else dropped now
      end
      local function measure()
        -- those that were dropped
        repeat
          collectgarbage()
          collectgarbage()
          assert(ns:exec({ "true" }, { mounts = false }))
          local file = io.open "/proc/thread-self/children"
          local children = file:read "*a"
          file:close()
        until children == ""
        local status = io.open "/proc/self/status"
        local size = tonumber(status:read "*a":match "VmRSS:%s*(%d+) kB")
        status:close()
        return #core.readdir "/proc/self/fd", size
      end
      for i = 1, ]] .. t.many(1000) .. [[ do start(i) end
      local descriptors, size = measure()
      for i = 1, ]] .. t.many(10000) .. [[ do start(i) end
      local now_descriptors, now_size = measure()
      print(now_descriptors - descriptors, now_size - size)
    ]], "env ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=1:"
      .. "thread_local_quarantine_size_kb=64")
    local more, grown = output:match "^(%-?%d+)\t(%-?%d+)$"
    assert.is_truthy(more, output)
    assert.equal("0", more)
    assert(tonumber(grown) < 1024, grown .. " kB more")
  end)
end)
