-- Programs: what was once told wrongly of their start and their end.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno

describe("a program that failed #novalgrind", function()
  t.guard(before_each, after_each)

  local ns
  before_each(function() ns = t.keep(assert(netns.new())) end)

  local function label(call)
    return ("%s net:[%d]: sh: "):format(call, ns:inode())
  end

  local ENDS = {
    ["exit 3"] = { "exited with status 3", "exit", 3 },
    ["kill -9 $$"] = { "killed by SIGKILL", "signal", 9 },
    ["kill -10 $$"] = { "killed by SIGUSR1", "signal", 10 },
    ["kill -36 $$"] = { "killed by SIGRTMIN+2", "signal", 36 },
  }

  it("is nil, a message, how and code of exec and wait", function()
    for command, expected in pairs(ENDS) do
      local text, how, code = t.unpack(expected)
      local argv = { "sh", "-c", command }
      assert.same({ nil, label "exec" .. text, how, code },
        { ns:exec(argv) })
      local process = t.keep(assert(ns:spawn(argv)))
      assert.same({ nil, label "spawn" .. text, how, code },
        { process:wait() })
    end
    assert.same({ true, "exit", 0 }, { ns:exec { "true" } })
  end)

  it("is told from one that was not started by the type of the third value",
    function()
      for _, argv in ipairs { { "/nowhere" }, { "sleep", "1000" } } do
        local ok, message, number = ns:exec(argv, { timeout = 0.1 })
        assert.is_nil(ok)
        assert.is_string(message)
        assert.is_true(t.is_integer(number))
      end
    end)

  it("has a table of capture in which ok is a boolean", function()
    for command, expected in pairs(ENDS) do
      assert.same({ ok = false, how = expected[2], code = expected[3],
        stdout = "x\n", stderr = "" },
        ns:capture { "sh", "-c", "echo x; " .. command })
    end
    assert.same({ ok = false, how = "timeout", stdout = "x\n", stderr = "" },
      ns:capture({ "sh", "-c", "echo x; exec sleep 1000" }, { timeout = 1 }))
  end)

  it("fails capture with check, with the last lines of its stderr", function()
    local function capture(script, opts)
      opts = opts or {}
      opts.check = true
      return ns:capture({ "sh", "-c", script }, opts)
    end
    assert.same({ nil, label "capture" .. "exited with status 4: why", "exit",
      4, { ok = false, how = "exit", code = 4, stdout = "x\n",
        stderr = "why\n" } }, { capture "echo x; echo why >&2; exit 4" })
    -- where stderr goes to stdout
    assert.equal(label "capture" .. "exited with status 1: why",
      select(2, capture("echo why >&2; exit 1", { stderr = "stdout" })))
    -- without any
    assert.equal(label "capture" .. "killed by SIGKILL",
      select(2, capture "kill -9 $$"))
    -- many
    local message = select(2, capture "seq 100 >&2; exit 1")
    assert.equal(label "capture" .. "exited with status 1:\n"
      .. "91\n92\n93\n94\n95\n96\n97\n98\n99\n100", message)
    -- long ones
    message = select(2, capture "printf %02000d 7 >&2; exit 1")
    assert.matches(": 0+7$", message)
    assert.is_true(#message < 1100)
    -- out of time
    local ok, text, number, code, result =
      capture("echo late >&2; exec sleep 1000", { timeout = 1 })
    assert.same({ nil, label "capture" .. "ended after 1 s: late",
      errno.ETIMEDOUT }, { ok, text, number, code })
    assert.same({ ok = false, how = "timeout", stdout = "",
      stderr = "late\n" }, result)
    -- not started
    assert.same({ 3, errno.ENOENT }, { select("#", ns:capture({ "/nowhere" },
      { check = true })), (select(3, ns:capture { "/nowhere" })) })
    assert.is_true(assert(capture "exit 0").ok)
  end)

  it("has ok, how, code and a message in the results of all", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local function only(other) return other == name end
    for command, expected in pairs(ENDS) do
      local text, how, code = t.unpack(expected)
      for _, call in ipairs { "exec", "capture" } do
        local result = assert(netns.all[call]({ "sh", "-c", command },
          { only = only, stdout = "null", check = true }))[1]
        result.stderr = nil
        assert.same({ name = name, ok = false, how = how, code = code,
          message = ("%s %q: sh: %s"):format(call, name, text) }, result)
      end
    end
    local result = assert(netns.all.capture({ "sleep", "1000" },
      { only = only, timeout = 0.1, stdout = "null" }))[1]
    assert.same({ name = name, ok = false, how = "timeout", stderr = "",
      errno = errno.ETIMEDOUT, message = ("capture %q: sleep: ended after "
      .. "0.1 s"):format(name) }, result)
    assert(netns.delete(name))
  end)
end)

describe("a signal", function()
  t.guard(before_each, after_each)

  it("has a name also if it is a real-time one", function()
    local ns = t.keep(assert(netns.new()))
    for name, number in pairs { RTMIN = 34, ["SIGRTMIN+2"] = 36,
      ["rtmax-1"] = 63 } do
      local process = t.keep(assert(ns:spawn { "sleep", "1000" }))
      assert.is_true(process:kill(name))
      assert.same({ "signal", number }, { select(3, process:wait()) })
    end
    local process = t.keep(assert(ns:spawn { "sleep", "1000" }))
    for _, name in ipairs { "RTMIN-1", "RTMAX+1", "RTMIN+", "HUP+1",
      "RTMIN+31", "RTM+1" } do
      assert.same({ nil, "kill: no signal " .. name, errno.EINVAL },
        { process:kill(name) })
    end
  end)
end)

describe("a program #novalgrind", function()
  t.guard(before_each, after_each)

  it("is not started with the machine's files if its own cannot be read",
    function()
      local name = t.name()
      local ns = t.keep(assert(netns.add(name)))
      local etc = "/etc/netns/" .. name
      local ERRNOS = { touch = 20, ["ln -s " .. name] = 40 } -- ENOTDIR, ELOOP
      for command, number in pairs(ERRNOS) do
        t.must("mkdir -p /etc/netns; %s %s", command, etc)
        for _, mounts in ipairs { true, "shared" } do
          local ok, message, err = ns:exec({ "true" }, { mounts = mounts })
          assert.is_nil(ok)
          assert.matches(("^exec %q: cannot read %s: "):format(name, etc)
            :gsub("%-", "%%-"), message)
          assert.equal(number, err)
        end
        assert.is_true(ns:exec({ "true" }, { mounts = false }))
        t.must("rm %s", etc)
      end
      assert.is_true(ns:exec { "true" })
      assert(netns.delete(name))
    end)

  it("starts on a thread with a small stack", function()
    assert.equal("ok", (t.script([[
      local netns = require "netns"
      local ns = assert(netns.new())
      for _, mounts in ipairs { true, false, "shared" } do
        assert(ns:exec({ "true" }, { mounts = mounts }))
      end
      local lab = assert(require "netns.topology".build {
        links = { "a -- b" }, ipv6 = false })
      assert(lab.a:exec { "true" })
      lab:close()
      print "ok"
    ]], "sh -c 'ulimit -s 64; exec \"$@\"' -")))
  end)

  it("gets numbers as text, in argv and in env", function()
    local ns = t.keep(assert(netns.new()))
    assert.equal("1 2 -3 1.5 1e+300 7 0.5\n", assert(ns:capture({ "sh", "-c",
      'echo "$@" $A $B', "-", 1, 2.0, -3, 1.5, 1e300 },
      { env = { A = 7.0, B = 0.5, PATH = os.getenv "PATH" } })).stdout)
  end)

  it("is told apart from a limit of processes", function()
    local output = t.with_calls([[
      #include <errno.h>
      int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) {
        errno = EAGAIN;
        return -1;
      }
    ]], [[
      local netns = require "netns"
      local _, message, errno = netns.exec("/proc/self/ns/net", { "true" })
      print(message:match ": (.*)", errno)
    ]])
    assert.equal("cannot start a process (a limit of processes is reached: "
      .. "that of the user, ulimit -u, or pids.max of the cgroup): Resource "
      .. "temporarily unavailable\t11", output)
  end)
end)
