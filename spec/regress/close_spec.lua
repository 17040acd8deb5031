-- The end of programs, labs and Lua states.

local netns = require "netns"
local t = require "spec.support"
local topology = require "netns.topology"

local errno = netns.errno

-- Calls of libc that a filter of system calls would refuse with `err`: those
-- that signal, by pidfd_send_signal(2), and if `all` by kill(2).
local function refusing(err, all)
  return ([[
    #include <errno.h>
    #include <signal.h>
    #include <stdarg.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    #include <dlfcn.h>
    long syscall(long number, ...) {
      static long (*real)(long, ...);
      va_list list;
      long a[6];
      if (real == NULL)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
      va_start(list, number);
      for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
      va_end(list);
      if (number == SYS_pidfd_send_signal) {
        errno = %s;
        return -1;
      }
      return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    #if %d
    int kill(pid_t pid, int signal) {
      errno = %s;
      return -1;
    }
    #endif
  ]]):format(err, all and 1 or 0, err)
end

local ENDS = [[
  local netns = require "netns"
  local topology = require "netns.topology"
  local lab = assert(topology.build { links = { "a -- b" }, ipv6 = false })
  local inside = assert(lab.a:spawn { "sleep", "1000" })
  assert(lab:close())
  assert(select(3, inside:wait()) == "signal")
  assert(inside:close())
  local ns = assert(netns.new())
  -- one that TERM does not end
  local process = assert(ns:spawn({ "sh", "-c",
    "trap '' TERM; echo ready; sleep 1000 & wait; wait" }, { log = true }))
  assert(process:wait_log "ready")
  assert(process:close())
  local result = assert(ns:capture({ "sleep", "1000" }, { timeout = 0.1 }))
  assert(result.how == "timeout")
  print "all ended"
]]

describe("where signals are refused #novalgrind", function()
  t.guard(before_each, after_each)

  for _, err in ipairs { "ENOSYS", "EPERM" } do
    it("programs and labs end by kill(2): " .. err, function()
      assert.equal("all ended", (t.with_calls(refusing(err), ENDS)))
    end)

    it("programs and labs end without any: " .. err, function()
      assert.equal("all ended", (t.with_calls(refusing(err, true), ENDS)))
    end)
  end

  it("no call waits forever for a program that nothing ends", function()
    assert.equal("ok", (t.with_calls(refusing("EPERM", true), [[
      local netns = require "netns"
      local ns = assert(netns.new())
      -- which has nothing that ties it to this process
      local process = assert(ns:spawn({ "sleep", "1000" },
        { detach = true, timeout = 0 }))
      local ok, message, errno = process:wait()
      assert(ok == nil and errno == netns.errno.ETIMEDOUT)
      assert(message:find "sleep: SIGKILL does not end it$", message)
      assert(select(3, process:wait()) == errno)
      assert(process:fd())
      os.execute(("env -u LD_PRELOAD sh -c 'kill -9 %d'"):format(process.pid))
      assert(select(3, process:wait()) == errno) -- of its timeout
      assert(process:close())
      print "ok"
    ]])))
  end)
end)

describe("the programs of a lab #novalgrind", function()
  t.guard(before_each, after_each)

  it("are kept without anything in PATH", function()
    assert.equal("true\ttrue\ttrue", (t.script([[
      local lab = assert(require "netns.topology".build {
        links = { "a -- b" }, ipv6 = false })
      local process = assert(lab.a:spawn { "/bin/sleep", "1000" })
      print((lab.a:exec { "/bin/true" }),
        assert(lab.a:capture { "/bin/true" }).ok, process:close())
      lab:close()
    ]], "sh -c 'lua=$(command -v \"$1\"); shift; "
      .. "exec env PATH=/nope \"$lua\" \"$@\"' -")))
  end)

  it("say so if they cannot be kept", function()
    assert.equal("exec\nspawn\ncapture\nok", (t.script([[
      local netns = require "netns"
      local lab = assert(require "netns.topology".build {
        links = { "a -- b" }, ipv6 = false })
      for _, call in ipairs { "exec", "spawn", "capture" } do
        local ok, message, errno = lab.a[call](lab.a, { "/bin/true" })
        assert(ok == nil and errno == netns.errno.EACCES, message)
        assert(message == call .. ' a: cannot start /bin/sh to keep the '
          .. "programs: Permission denied", message)
        print(call)
      end
      assert(lab:close())
      print "ok"
    ]], "unshare -m sh -c 'touch /run/plain; chmod 644 /run/plain; "
      .. "mount --bind /run/plain /bin/sh; exec \"$@\"' -")))
  end)
end)

describe("a named lab #novalgrind", function()
  t.guard(before_each, after_each)

  local function build()
    local a, b = t.name(), t.name()
    return assert(topology.build { named = true, ipv6 = false,
      links = { a .. " -- " .. b } }), a, b
  end

  it("that cannot take its names away has them taken away", function()
    assert.equal("0", (t.with_calls([[
      #include <errno.h>
      #include <sys/mount.h>
      int umount2(const char *path, int flags) {
        errno = EPERM;
        return -1;
      }
    ]], [[
      local lab = assert(require "netns.topology".build {
        links = { "a -- b" }, ipv6 = false, named = true })
      assert(lab:close())
      print(#require "netns".names())
    ]])))
  end)

  it("says that names are left, and is closed again", function()
    local lab, a, b = build()
    t.must "mount -o remount,ro /run/netns"
    local ok, message, number = lab:close()
    t.must "mount -o remount,rw /run/netns"
    assert.is_nil(ok)
    assert.is_true(message:find(a, 1, true) ~= nil
      or message:find(b, 1, true) ~= nil, message)
    assert.is_true(t.is_integer(number))
    assert.is_true(#netns.names() > 0)
    assert.is_true(lab:close())
    assert.same({}, netns.names())
  end)

  it("leaves a name that is another's meanwhile", function()
    local lab, a = build()
    assert(netns.delete(a))
    local other = t.keep(assert(netns.add(a)))
    assert.is_true(lab:close())
    assert.is_true(assert(netns.open(a)) == other)
    assert(netns.delete(a))
  end)
end)

describe("a process group #novalgrind", function()
  t.guard(before_each, after_each)

  -- A program that has started another, in its group, and the pid of that.
  local function pair(ns, script)
    local process = t.keep(assert(ns:spawn({ "sh", "-c", script },
      { log = true })))
    return process, tonumber((assert(process:wait_log("(%d+)\n", 60))))
  end

  local function gone(pid)
    return t.eventually(function() return not t.runs(pid) end)
  end

  it("gets a signal", function()
    local ns = t.keep(assert(netns.new()))
    local process, child = pair(ns, "sleep 1000 & echo $!; wait")
    assert.is_true(process:kill("USR1", { group = true }))
    assert.same({ "signal", 10 }, { select(3, process:wait()) })
    gone(child)
    local ok, message, number = process:kill("USR1", { group = true })
    assert.same({ nil, errno.ESRCH }, { ok, number })
    assert.equal(("kill process group %d: No such process")
      :format(process.pid), message)
  end)

  it("gets a signal after the end of the program", function()
    if t.kernel() < 6.09 then
      return pending "a pidfd means a group from Linux 6.9 on"
    end
    local ns = t.keep(assert(netns.new()))
    local process, child = pair(ns, "sleep 1000 & echo $!")
    assert.is_true(process:wait())
    assert.is_true(t.runs(child))
    assert.equal(errno.ESRCH, select(3, process:kill "USR1"))
    assert.is_true(process:kill("USR1", { group = true }))
    gone(child)
  end)

  it("ends with close also when the program has ended before", function()
    local ns = t.keep(assert(netns.new()))
    local process, child = pair(ns, "sleep 1000 & echo $!")
    assert.is_true(process:wait())
    assert.is_true(t.runs(child))
    assert.is_true(process:close())
    gone(child)
  end)

  it("lives on after exec and capture", function()
    local ns = t.keep(assert(netns.new()))
    local child = tonumber(assert(ns:capture { "sh", "-c",
      "exec 2>&-; sleep 1000 >&- & echo $!" }).stdout)
    collectgarbage()
    assert.is_true(t.runs(child))
    t.stop(child)
  end)
end)

describe("a Lua state that is closed #novalgrind", function()
  t.guard(before_each, after_each)

  it("leaves no zombie of a program that nobody has waited for", function()
    local output = t.script([[
      local text = ("package.path, package.cpath = %q, %q\n")
        :format(package.path, package.cpath) .. [=[
        local netns = require "netns"
        local ns = assert(netns.new())
        local running = assert(ns:spawn { "sleep", "1000" })
        local over = assert(ns:spawn({ "true" }, { stdout = "pipe" }))
        assert(over.stdout:read "*a" == "") -- it has ended, or is about to
        local shell = assert(ns:spawn({ "sh", "-c",
          "trap '' TERM HUP; echo; sleep 1000 & wait" }, { stdout = "pipe" }))
        shell.stdout:read()
        local lab = assert(require "netns.topology".build {
          links = { "a -- b" }, ipv6 = false })
        assert(lab.a:spawn { "sleep", "1000" })
      ]=]
      for _ = 1, 3 do host.state(text) end
      local file = assert(io.open "/proc/thread-self/children")
      print(file:read "*a")
    ]], nil, t.host .. " 0")
    assert.equal("", output)
  end)
end)
