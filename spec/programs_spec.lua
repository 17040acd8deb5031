-- The options of exec, capture and spawn.

local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno
local MODES = { true, false, "shared" } -- of the option `mounts`

-- A program that is to end in time, but would hang if there were a defect.
local HANG = 300

local root = t.must "pwd"

-- In front of a script: the library is found from any working directory.
local anywhere = ("package.path, package.cpath = %q, %q\n"):format(
  root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua",
  root .. "/" .. t.host:match "(.*)/host" .. "/?.so")
local anywhere_lua = t.lua:gsub("^(%.?%.?[%w_-]+/)", root .. "/%1")

-- In front of a command: runs shell commands first, then it.
local function after(commands)
  return ("sh -c %s -"):format(t.quote(commands .. '; exec "$@"'))
end

local function descriptors()
  return #assert(core.readdir "/proc/self/fd")
end

-- Checks that a function written on one line raises an error, at that line.
local function raises(expected, fn)
  local info = debug.getinfo(fn, "S")
  local ok, message = pcall(fn)
  assert.is_false(ok, expected)
  assert.equal(("%s:%d: %s"):format(info.short_src, info.linedefined, expected),
    message)
end

local function finds(text, what)
  assert(text:find(what, 1, true), ("%q is not in %q"):format(what, text))
end

describe("the environment of a program #novalgrind", function()
  t.guard(before_each, after_each)

  it("is the one of the host without env, and else replaced", function()
    local ns = t.keep(assert(netns.new()))
    local function env(value)
      return assert(ns:capture({ "env" }, { env = value })).stdout
    end
    finds(env(nil), "PATH=" .. os.getenv "PATH" .. "\n")
    assert.equal("", env {})
    local lines = {}
    for line in env({ A = "1", B = "x=y z", EMPTY = "", N = 5,
      ["odd name"] = "\1\255" }):gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({ "A=1", "B=x=y z", "EMPTY=", "N=5", "odd name=\1\255" }, lines)
  end)

  it("has the PATH in which the program is looked up", function()
    local ns = t.keep(assert(netns.new()))
    local dir = t.must "mktemp -d"
    t.must("mkdir %s/bin %s/5; printf '#!/bin/sh\\necho \"$PATH\"\\n' "
      .. ">%s/bin/netns-prog; chmod 755 %s/bin/netns-prog; "
      .. "cp %s/bin/netns-prog %s/5", dir, dir, dir, dir, dir, dir)
    local function run(path)
      return ns:capture({ "netns-prog" }, { env = { PATH = path }, cwd = dir })
    end
    assert.equal(dir .. "/bin\n", assert(run(dir .. "/bin")).stdout)
    -- relative to the directory that the program starts in, as for env(1)
    assert.equal("/no:bin\n", assert(run "/no:bin").stdout)
    assert.equal("5\n", assert(run(5)).stdout)
    for _, path in ipairs { "/no/such", "", "bin/no" } do
      local result, message, number = run(path)
      assert.is_nil(result)
      finds(message, "netns-prog: No such file or directory")
      assert.equal(errno.ENOENT, number)
    end
    -- the host's PATH does not count then
    assert.equal(errno.ENOENT, select(3, ns:exec({ "true" },
      { env = { PATH = "/no" } })))
    -- it does when env has none
    assert.is_true(ns:exec({ "true" }, { env = {} }))
    t.must("rm -r %s", dir)
  end)
end)

describe("the working directory of a program #novalgrind", function()
  t.guard(before_each, after_each)

  it("is the host's without cwd, and else cwd, however mounts are", function()
    local ns = t.keep(assert(netns.new()))
    local dir = t.must "mktemp -d"
    t.must("mkdir %s/sub; printf '#!/bin/sh\\npwd -P\\n' >%s/prog; "
      .. "cp %s/prog %s/sub; chmod 755 %s/prog %s/sub/prog",
      dir, dir, dir, dir, dir, dir)
    for _, mounts in ipairs(MODES) do
      local function run(argv, cwd)
        local result, message = ns:capture(argv, { cwd = cwd, mounts = mounts })
        return result and result.stdout or message
      end
      assert.equal(root .. "\n", run({ "pwd", "-P" }))
      assert.equal(dir .. "\n", run({ "pwd", "-P" }, dir))
      assert.equal(root .. "/spec\n", run({ "pwd", "-P" }, "spec"))
      -- a relative path of a program is relative to it
      assert.equal(dir .. "\n", run({ "./prog" }, dir))
      assert.equal(dir .. "\n", run({ "sub/../prog" }, dir))
      assert.equal(dir .. "/sub\n", run({ "../sub/prog" }, dir .. "/sub"))
      -- and to that of a host that has another one
      local output = t.script(anywhere .. ([[
        local netns = require "netns"
        print(netns.exec("/proc/self/ns/net", { "./prog" }, { mounts = %s }))
        print(netns.exec("/proc/self/ns/net", { "./prog" },
          { mounts = %s, cwd = "sub" }))
        print(select(3, netns.exec("/proc/self/ns/net", { "./no" },
          { mounts = %s, cwd = "sub" })))
      ]]):gsub("%%s", mounts == "shared" and '"shared"' or tostring(mounts)),
        after("cd " .. dir), anywhere_lua)
      assert.equal(("%s\ntrue\texit\t0\n%s/sub\ntrue\texit\t0\n2")
        :format(dir, dir), output)
    end
    t.must("rm -r %s", dir)
  end)

  it("is named by the message when it cannot be changed to", function()
    local ns = t.keep(assert(netns.new()))
    for _, mounts in ipairs(MODES) do
      for cwd, code in pairs {
        ["/no/such"] = "ENOENT", ["no/such"] = "ENOENT", [""] = "ENOENT",
        ["/etc/passwd"] = "ENOTDIR", [("x"):rep(300)] = "ENAMETOOLONG",
      } do
        for _, call in ipairs { "exec", "capture", "spawn" } do
          local result, message, number =
            ns[call](ns, { "true" }, { cwd = cwd, mounts = mounts })
          assert.is_nil(result)
          assert.equal(('%s net:[%d]: cannot change the directory to "%s": ')
            :format(call, ns:inode(), cwd),
            message:match '^.*cannot change the directory to ".*": ')
          assert.equal(errno[code] or number, number)
        end
      end
    end
  end)
end)

describe("the streams of a program #novalgrind", function()
  t.guard(before_each, after_each)

  -- Runs a script whose stderr goes to a file; what it printed, and what is
  -- in the file.
  local function script(text, before)
    local file = os.tmpname()
    local output = t.script([[
      local netns = require "netns"
      local NS = "/proc/self/ns/net"
      local shout = { "sh", "-c", "echo out; echo err >&2" }
    ]] .. text, after(("exec 2>%s; %s"):format(file, before or ":")))
    local text_of = t.read(file)
    os.remove(file)
    return output, (text_of:gsub("\n$", ""))
  end

  it("are those of the host by default, and with \"inherit\"", function()
    for _, options in ipairs { "nil",
      "{ stdin = 'inherit', stdout = 'inherit', stderr = 'inherit' }" } do
      local out, err = script(([[
        netns.exec(NS, { "sh", "-c", "read x; echo out $x; echo err >&2" }, %s)
      ]]):format(options), "exec </proc/version")
      assert.matches("^out Linux", out)
      assert.equal("err", err)
    end
  end)

  it("may be /dev/null", function()
    local ns = t.keep(assert(netns.new()))
    local result = assert(ns:capture({ "sh", "-c",
      "readlink /proc/$$/fd/0 /proc/$$/fd/2; cat" },
      { stdin = "null", stderr = "null" }))
    assert.equal("/dev/null\n/dev/null\n", result.stdout)
    assert.is_nil(result.stderr)
    assert.is_true(ns:exec({ "sh", "-c",
      "test $(readlink /proc/$$/fd/1) = /dev/null; echo lost" },
      { stdout = "null" }))
  end)

  it("may be a Lua file, where the host has got to with it", function()
    local ns = t.keep(assert(netns.new()))
    local file = t.keep(assert(io.tmpfile()))
    file:write "before\n" -- still in the buffer
    assert(ns:exec({ "echo", "program" }, { stdout = file }))
    file:write "after\n"
    assert(ns:exec({ "sh", "-c", "echo error >&2" }, { stderr = file }))
    file:seek "set"
    assert.equal("before\nprogram\nafter\nerror\n", file:read "*a")

    file:seek "set"
    assert.equal("before", file:read "*l") -- reads ahead
    local argv = { "sh", "-c", "read x; echo $x" }
    assert.equal("program\n", assert(ns:capture(argv, { stdin = file })).stdout)
    assert.equal("after", file:read "*l")
    assert.equal("error\n",
      assert(ns:capture({ "cat" }, { stdin = file })).stdout)
    assert.is_nil(file:read "*l")
  end)

  it("may be one Lua file for two of them", function()
    local ns = t.keep(assert(netns.new()))
    local file = t.keep(assert(io.tmpfile()))
    local argv = { "sh", "-c", "echo out; echo err >&2; echo out" }
    assert(ns:exec(argv, { stdout = file, stderr = file }))
    assert(ns:exec(argv, { stdout = file, stderr = "stdout" }))
    file:seek "set"
    assert.equal(("out\nerr\nout\n"):rep(2), file:read "*a")
  end)

  it("may be streams of other programs", function()
    local ns = t.keep(assert(netns.new()))
    local first = t.keep(assert(ns:spawn({ "echo", "through" },
      { stdout = "pipe" })))
    assert.equal("through\n",
      assert(ns:capture({ "cat" }, { stdin = first.stdout })).stdout)
    local last = t.keep(assert(ns:spawn({ "cat" },
      { stdin = "pipe", stdout = "pipe" })))
    local ok, message = ns:exec({ "echo", "to it" }, { stdout = last.stdin })
    assert.is_true(ok, message)
    last.stdin:close()
    assert.equal("to it\n", last.stdout:read "*a")
    local pipe = t.keep(assert(io.popen "echo popen"))
    assert.equal("popen\n",
      assert(ns:capture({ "cat" }, { stdin = pipe })).stdout)
  end)

  it("may be descriptors", function()
    local file = os.tmpname()
    local output = script([[
      for _, number in ipairs { 5, 5.0 } do
        netns.exec(NS, { "echo", "to 5" }, { stdout = number })
      end
      netns.exec(NS, shout, { stdout = "null", stderr = 5 })
      netns.exec(NS, { "cat" }, { stdin = 6 })
      print(netns.capture(NS, { "cat" }, { stdin = 6 }).stdout == "")
    ]], ("exec 5>%s 6</proc/sys/kernel/ostype"):format(file))
    assert.equal("Linux\ntrue", output)
    assert.equal("to 5\nto 5\nerr\n", t.read(file))
    os.remove(file)
  end)

  it("may be 0, 1 and 2 of the host, in any order", function()
    for options, expected in pairs {
      ["{ stdout = 2, stderr = 1 }"] = { "err", "out" },
      ["{ stdout = 1, stderr = 2 }"] = { "out", "err" },
      ["{ stdout = 2 }"] = { "", "out\nerr" },
      ["{ stderr = 1 }"] = { "out\nerr", "" },
      ["{ stdout = 2, stderr = 'stdout' }"] = { "", "out\nerr" },
      ["{ stdout = 2, stderr = 1, mounts = 'shared' }"] = { "err", "out" },
      ["{ stdout = io.stderr, stderr = io.stdout }"] = { "err", "out" },
      -- no. 0 of the host is no. 1 of the program and the other way round
      ["{ stdin = 1, stdout = 0, stderr = 1 }"] = { "err", "" },
    } do
      local out, err = script(("assert(netns.exec(NS, shout, %s))")
        :format(options), "exec 0<>/dev/null")
      assert.same(expected, { out, err }, options)
    end
  end)

  it("are named by the message when they are not open", function()
    local ns = t.keep(assert(netns.new()))
    for _, call in ipairs { "exec", "capture", "spawn" } do
      for _, stream in ipairs { "stdin", "stdout", "stderr" } do
        local result, message, number =
          ns[call](ns, { "true" }, { [stream] = 987654 })
        assert.is_nil(result)
        assert.equal(("%s net:[%d]: %s: Bad file descriptor")
          :format(call, ns:inode(), stream), message)
        assert.equal(errno.EBADF, number)
      end
    end
    assert.is_nil(ns:exec({ "true" },
      { stdin = "null", stdout = "null", stderr = 987654 })) -- leaves nothing
  end)

  it("work in a host that starts without some of 0, 1 and 2", function()
    local file = os.tmpname()
    for closed = 1, 7 do
      local redirections = {}
      for fd = 0, 2 do
        if math.floor(closed / 2 ^ fd) % 2 == 1 then
          redirections[#redirections + 1] = fd .. ">&-"
        end
      end
      t.script(([[
        local lines = {}
        local function print(...)
          lines[#lines + 1] = table.concat({ ... }, " ")
        end
        local function try(what, fn)
          local ok, err = pcall(fn)
          print(what, ok and "well" or tostring(err))
        end
        local netns = require "netns"
        local closed = %d
        local argv = { "sh", "-c", "cat; echo err >&2" }
        local ns = assert(netns.new())
        for _, NS in ipairs { ns, "/proc/self/ns/net" } do
          for _, mounts in ipairs { true, false, "shared" } do
            local mode = ("%%s %%s"):format(type(NS), tostring(mounts))
            try(mode .. " capture", function()
              local result = assert(netns.capture(NS, argv,
                { mounts = mounts, input = "in\n" }))
              assert(result.ok and result.stdout == "in\n"
                and result.stderr == "err\n")
            end)
            try(mode .. " stdout", function()
              local result = assert(netns.capture(NS, argv,
                { mounts = mounts, stdin = "null", stderr = "stdout" }))
              assert(result.ok and result.stdout == "err\n")
            end)
            try(mode .. " spawn", function()
              local process = assert(netns.spawn(NS, argv, { mounts = mounts,
                stdin = "pipe", stdout = "pipe", stderr = "pipe" }))
              process.stdin:write "line\n"
              process.stdin:close()
              assert(process.stdout:read "*a" == "line\n")
              assert(process.stderr:read "*a" == "err\n")
              assert(process:wait())
              process:close()
            end)
            for fd = 0, 2 do
              local shut = math.floor(closed / 2 ^ fd) %% 2 == 1
              try(mode .. " inherited " .. fd, function()
                -- nothing of the library's gets there
                local stream =
                  fd == 0 and "stdin" or fd == 1 and "stdout" or "stderr"
                local ok, message, how = netns.exec(NS,
                  { "sh", "-c", "test -e /proc/$$/fd/" .. fd .. " && exit 1; "
                  .. "exit 0" }, { mounts = mounts })
                assert(ok or not shut and how == "exit", message)
                local errno
                ok, message, errno = netns.exec(NS, { "true" },
                  { [stream] = fd, mounts = mounts })
                if shut then
                  assert(not ok and errno == 9, "not refused")
                  assert(message:find(stream .. ": Bad file desc", 1, true))
                else
                  assert(ok, message)
                end
              end)
            end
          end
        end
        ns:close()
        local output = assert(io.open(%q, "w"))
        output:write(table.concat(lines, "\n"), "\n")
        output:close()
      ]]):format(closed, file),
        after("exec " .. table.concat(redirections, " ")))
      local lines = 0
      for line in t.read(file):gmatch "[^\n]+" do
        lines = lines + 1
        assert.matches(" well$", line,
          table.concat(redirections, " ") .. ": " .. line)
      end
      assert.equal(2 * 3 * 6, lines)
    end
    os.remove(file)
  end)

  it("may be the same for stdout and stderr", function()
    local ns = t.keep(assert(netns.new()))
    local result = assert(ns:capture(
      { "sh", "-c", "echo 1; echo 2 >&2; echo 3" }, { stderr = "stdout" }))
    assert.equal("1\n2\n3\n", result.stdout)
    assert.is_nil(result.stderr)
    local process = t.keep(assert(ns:spawn(
      { "sh", "-c", "echo 1; echo 2 >&2; echo 3" },
      { stdout = "pipe", stderr = "stdout" })))
    assert.equal("1\n2\n3\n", process.stdout:read "*a")
    assert.is_nil(process.stderr)
  end)
end)

describe("the input of a program #novalgrind", function()
  t.guard(before_each, after_each)

  it("may have any size and any bytes", function()
    local ns = t.keep(assert(netns.new()))
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes)
    for _, input in ipairs { "", "small", ("x"):rep(65536), ("x"):rep(65537),
      "\0", all, all:rep(4097) } do
      local result = assert(ns:capture({ "cat" },
        { input = input, timeout = HANG }))
      assert.is_true(result.ok)
      assert.is_true(result.stdout == input, #input .. " bytes")
      assert.equal("", result.stderr)
      assert.is_true(ns:exec({ "sh", "-c", "test $(wc -c) = " .. #input },
        { input = input, timeout = HANG }))
    end
  end)

  it("may stay unread", function()
    local ns = t.keep(assert(netns.new()))
    local input = ("x"):rep(10000000)
    for _, command in ipairs { "exit 3", "exec <&-; exit 3",
      "head -c 5 >/dev/null; exit 3" } do
      assert.same({ "exit", 3 }, { select(3, ns:exec({ "sh", "-c", command },
        { input = input, timeout = HANG })) })
    end
    local result = assert(ns:capture({ "head", "-c", "5" },
      { input = input, timeout = HANG }))
    assert.same({ ok = true, how = "exit", code = 0, stdout = "xxxxx",
      stderr = "" }, result)
  end)

  it("is 100 MB while 100 MB come out on stdout and on stderr", function()
    local ns = t.keep(assert(netns.new()))
    local size = 100 * 1000 * 1000
    local input = ("0123456789abcdef\0\n\r\255"):rep(math.floor(size / 20))
    assert.equal(size, #input)
    local result = assert(ns:capture({ "tee", "/dev/stderr" },
      { input = input, timeout = HANG }))
    assert.is_true(result.ok)
    assert.is_true(result.stdout == input)
    assert.is_true(result.stderr == input)
  end)

  it("is not for a program that has a stdin already", function()
    raises("keys 'input' and 'stdin' in 'exec' exclude each other",
      function() netns.exec(1, { "true" }, { input = "", stdin = "null" }) end)
    raises("keys 'input' and 'stdin' in 'capture' exclude each other",
      function() netns.capture(1, { "cat" }, { input = "", stdin = 0 }) end)
  end)
end)

describe("capture #novalgrind", function()
  t.guard(before_each, after_each)

  it("gives what was written, and how the program has ended", function()
    local ns = t.keep(assert(netns.new()))
    for command, expected in pairs {
      ["exit 0"] = { ok = true, how = "exit", code = 0, stdout = "",
        stderr = "" },
      ["printf 'a\\0b'; printf '\\0' >&2; exit 7"] = { ok = false, how = "exit",
        code = 7, stdout = "a\0b", stderr = "\0" },
      ["echo partly; kill -9 $$"] = { ok = false, how = "signal", code = 9,
        stdout = "partly\n", stderr = "" },
      -- it ends long after it has closed what it writes to
      ["echo early; exec >&- 2>&-; sleep 0.3; exit 4"] = { ok = false,
        how = "exit", code = 4, stdout = "early\n", stderr = "" },
    } do
      local result = assert(ns:capture { "sh", "-c", command })
      assert.same(expected, result, command)
    end
  end)

  it("leaves alone the streams that go elsewhere", function()
    local ns = t.keep(assert(netns.new()))
    local file = t.keep(assert(io.tmpfile()))
    local argv = { "sh", "-c", "echo out; echo err >&2" }
    local result = assert(ns:capture(argv, { stdout = file }))
    assert.is_nil(result.stdout)
    assert.equal("err\n", result.stderr)
    result = assert(ns:capture(argv, { stderr = "null", stdout = "pipe" }))
    assert.is_nil(result.stderr)
    assert.equal("out\n", result.stdout)
    file:seek "set"
    assert.equal("out\n", file:read "*a")
  end)

  it("does not wait for a child that the program leaves behind", function()
    local ns = t.keep(assert(netns.new()))
    local before = core.now()
    local result = assert(ns:capture { "sh", "-c",
      "sleep 1000 & echo $!; echo err >&2; exit 5" })
    assert(core.now() - before < 100)
    local pid = tonumber(result.stdout)
    assert.is_true(t.runs(pid)) -- it was not asked to end
    t.stop(pid)
    assert.equal("err\n", result.stderr)
    assert.equal(5, result.code)
  end)

  it("fails as exec does when the program cannot be started", function()
    local ns = t.keep(assert(netns.new()))
    local result, message, number = ns:capture { "no-such-program" }
    assert.is_nil(result)
    assert.equal(("capture net:[%d]: no-such-program: "
      .. "No such file or directory"):format(ns:inode()), message)
    assert.equal(errno.ENOENT, number)
    result, message, number = netns.capture("no-such-name", { "true" })
    assert.is_nil(result)
    assert.equal('capture "no-such-name": No such file or directory', message)
    assert.equal(errno.ENOENT, number)
  end)
end)

describe("a timeout #novalgrind", function()
  t.guard(before_each, after_each)

  -- Runs a program by exec, capture or spawn, whose stdout goes to a file;
  -- what was in it, then the results.
  local function run(ns, call, command, opts)
    local file = t.keep(assert(io.tmpfile()))
    opts.stdout = file
    local argv = { "sh", "-c", command }
    local results
    if call == "spawn" then
      local process = t.keep(assert(ns:spawn(argv, opts)))
      results = t.pack(process:wait())
      assert.same(results, t.pack(process:wait())) -- and again
    else
      opts.check = true -- so that capture tells a failure as the others
      results = t.pack(ns[call](ns, argv, opts))
    end
    file:seek "set"
    return file:read "*a", t.unpack(results, 1, results.n)
  end

  it("gives nil, a message and ETIMEDOUT", function()
    local ns = t.keep(assert(netns.new()))
    for _, call in ipairs { "exec", "capture", "spawn" } do
      for _, seconds in ipairs { 0, 0.25 } do
        local _, result, message, number =
          run(ns, call, "exec sleep 1000", { timeout = seconds })
        assert.is_nil(result)
        assert.equal(("%s net:[%d]: sh: ended after %g s")
          :format(call, ns:inode(), seconds), message)
        assert.equal(errno.ETIMEDOUT, number)
      end
    end
  end)

  it("lets a program that ends in time be", function()
    local ns = t.keep(assert(netns.new()))
    local output, ok, _, how, code = run(ns, "exec", "echo a; exit 3",
      { timeout = HANG })
    assert.same({ "a\n", nil, "exit", 3 }, { output, ok, how, code })
    output, ok, _, how, code = run(ns, "spawn", "echo a; kill -2 $$",
      { timeout = 1e300 })
    assert.same({ "a\n", nil, "signal", 2 }, { output, ok, how, code })
    local result = assert(ns:capture({ "echo", "b" }, { timeout = math.huge }))
    assert.equal("b\n", result.stdout)
  end)

  it("sends TERM first, so that a program may clean up", function()
    local ns = t.keep(assert(netns.new()))
    for _, call in ipairs { "exec", "capture", "spawn" } do
      local output, result, _, number = run(ns, call,
        "trap 'echo cleaned; exit 0' TERM; echo ready; sleep 1000 & wait",
        { timeout = 2 })
      assert.equal("ready\ncleaned\n", output)
      assert.is_nil(result) -- though it exited with 0
      assert.equal(errno.ETIMEDOUT, number)
    end
  end)

  it("ends all of the process group, by KILL if TERM is ignored", function()
    local ns = t.keep(assert(netns.new()))
    for _, call in ipairs { "exec", "capture", "spawn" } do
      local output, result, _, number = run(ns, call,
        "trap '' TERM; sleep 1000 & echo $! $$; wait; wait", { timeout = 2 })
      assert.is_nil(result)
      assert.equal(errno.ETIMEDOUT, number)
      local child, pid = output:match "^(%d+) (%d+)\n$"
      assert.is_truthy(pid, output)
      t.eventually(function()
        return not t.runs(tonumber(child)) and not t.runs(tonumber(pid))
      end)
    end
  end)

  it("ends children that ignore TERM, too, when the program itself does not",
    function()
      local ns = t.keep(assert(netns.new()))
      local output, result = run(ns, "exec",
        "sh -c \"trap '' TERM; echo \\$\\$; sleep 1000; sleep 1000\" & wait",
        { timeout = 2 })
      assert.is_nil(result)
      local child = assert(tonumber(output), output)
      t.eventually(function() return not t.runs(child) end)
    end)

  it("gives what capture has got until then", function()
    local ns = t.keep(assert(netns.new()))
    assert.same({ ok = false, how = "timeout", stdout = "first\nlast\n",
      stderr = "err\n" },
      ns:capture({ "sh", "-c", "trap 'echo last; exit' TERM; echo first; "
        .. "echo err >&2; sleep 1000 & wait" },
        { timeout = 2, input = ("x"):rep(1000000) }))
    assert.same({ ok = false, how = "timeout", stdout = "x\n" },
      ns:capture({ "sh", "-c", "echo x; exec sleep 1000" },
        { timeout = 2, stderr = "stdout" }))
  end)
end)

describe("the mounts of a program #novalgrind", function()
  t.guard(before_each, after_each)

  local function out(ns, mounts, command, ...)
    local result = assert(ns:capture({ "sh", "-c", command:format(...) },
      { mounts = mounts, stderr = "stdout" }))
    return (result.stdout:gsub("\n$", ""))
  end

  it("are the host's with mounts=false", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    t.must("mkdir -p /etc/netns/%s; touch /etc/netns-x; "
      .. "echo bound >/etc/netns/%s/netns-x", name, name)
    assert.equal(core.readlink "/proc/self/ns/mnt",
      out(ns, false, "readlink /proc/self/ns/mnt"))
    assert.equal("", out(ns, false, "cat /etc/netns-x"))
    t.must("rm -r /etc/netns-x /etc/netns/%s", name)
    assert(netns.delete(name))
  end)

  it("show the /sys of the namespace, and the files of /etc/netns", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    t.must("ip -n %s link add veth0 type veth peer name veth1; "
      .. "mkdir -p /etc/netns/%s; touch /etc/netns-x; "
      .. "echo bound >/etc/netns/%s/netns-x", name, name, name)
    for _, mounts in ipairs { true, "shared" } do
      for _ = 1, 2 do -- from the template that was made, too
        assert.equal("lo\nveth0\nveth1", out(ns, mounts, "ls /sys/class/net"))
        assert.equal("bound", out(ns, mounts, "cat /etc/netns-x"))
        finds(out(ns, mounts, "grep ' /sys ' /proc/mounts"), name .. " /sys ")
        assert.equal(("net:[%d]"):format(ns:inode()),
          out(ns, mounts, "readlink /proc/self/ns/net"))
        assert.not_equal(core.readlink "/proc/self/ns/mnt",
          out(ns, mounts, "readlink /proc/self/ns/mnt"))
      end
    end
    assert.equal("", t.read "/etc/netns-x")
    t.must("rm -r /etc/netns-x /etc/netns/%s", name)
    assert(netns.delete(name))
  end)

  it("are a program's own", function()
    local ns = t.keep(assert(netns.new()))
    local dir = t.must "mktemp -d"
    for _, mounts in ipairs { true, "shared" } do
      local process = t.keep(assert(ns:spawn({ "sh", "-c",
        ("mount -t tmpfs x %s && touch %s/mine && echo ready; read x; ls %s")
        :format(dir, dir, dir) },
        { mounts = mounts, stdin = "pipe", stdout = "pipe" })))
      assert.equal("ready", process.stdout:read "*l")
      assert.equal("", out(ns, mounts, "ls %s", dir))
      -- nor in the template, for those that come later
      assert.equal("other", out(ns, mounts,
        "mount -t tmpfs y %s; touch %s/other; ls %s", dir, dir, dir))
      assert.equal("", out(ns, mounts, "ls %s", dir))
      assert.equal("", t.must("ls %s", dir))
      process.stdin:write "go on\n"
      assert.equal("mine\n", process.stdout:read "*a")
    end
    t.must("rmdir %s", dir)
  end)

  it("propagate nothing to a host that shares its own", function()
    local dir = t.must "mktemp -d"
    local output = t.script(([[
      local netns = require "netns"
      local ns = assert(netns.new())
      local dir = %q
      for _, mounts in ipairs { true, "shared" } do
        local before = io.open "/proc/self/mountinfo":read "*a"
        assert(ns:exec({ "mount", "-t", "tmpfs", "x", dir },
          { mounts = mounts }))
        assert(io.open "/proc/self/mountinfo":read "*a" == before)
      end
      -- what the host mounts later is seen, and what it unmounts
      os.execute("mount -t tmpfs x " .. dir .. " && touch " .. dir .. "/later")
      for _, mounts in ipairs { true, "shared" } do
        assert(ns:exec({ "ls", dir }, { mounts = mounts }))
      end
      os.execute("umount " .. dir)
      assert(ns:exec({ "ls", dir }, { mounts = "shared" }))
    ]]):format(dir), "unshare -m --propagation shared")
    assert.equal("later\nlater", output)
    t.must("rmdir %s", dir)
  end)

  it("have no names with mounts=\"shared\"", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    local command = ("nsenter --net=/run/netns/%s true && echo resolves")
      :format(name)
    assert.equal("resolves", out(ns, true, command))
    assert.not_equal("resolves", out(ns, "shared", command))
    -- all the others are there
    assert.equal(t.must "ls /etc", out(ns, "shared", "ls /etc"))
    assert(netns.delete(name))
  end)

  it("are below the root of a host that has changed it", function()
    local dir = t.must "mktemp -d"
    local output = t.script(anywhere .. [[
      local netns = require "netns"
      local ns = assert(netns.new())
      for _, mounts in ipairs { true, false, "shared", "shared" } do
        print(ns:exec({ "sh", "-c", "ls /mnt; pwd; ls -d lo* 2>/dev/null" },
          { mounts = mounts, cwd = "/sys/class/net" }))
        assert(ns:exec({ "./marker" }, { mounts = mounts, cwd = "mnt" }))
        assert(ns:exec({ "mnt/marker" }, { mounts = mounts }))
      end
    ]], ("unshare -m %s chroot %s"):format(after((
      "mount --rbind / %s; mount -t tmpfs x %s/mnt; "
      .. "cp /bin/true %s/mnt/marker"):format(dir, dir, dir)), dir),
      anywhere_lua)
    assert.equal(("marker\n/sys/class/net\nlo\ntrue\texit\t0\n"):rep(4),
      output .. "\n")
    t.must("rmdir %s", dir)
  end)

  -- What a program says of the working directory, in each of the modes.
  local function lost_directory(before)
    return t.script(anywhere .. [[
      local netns = require "netns"
      local ns = assert(netns.new())
      for _, mounts in ipairs { true, false, "shared" } do
        local opts = { mounts = mounts }
        local result, message, errno =
          ns:capture({ "sh", "-c", "readlink /proc/$$/cwd" }, opts)
        print(mounts, result and result.stdout:gsub("\n", "")
          or message:gsub("^.*%]: ", ""), errno)
        opts.cwd = "/tmp" -- what it can do without
        assert(ns:exec({ "sh", "-c", "test $(pwd -P) = /tmp" }, opts))
      end
    ]], before, anywhere_lua)
  end

  it("are no reason to start elsewhere when the working directory is deleted",
    function()
      local dir = t.must "mktemp -d"
      local output = lost_directory(after(("cd %s && rmdir %s")
        :format(dir, dir)))
      local deleted = dir .. " (deleted)"
      assert.equal(deleted, output:match "^true\t([^\t\n]*)")
      assert.equal(deleted, output:match "\nfalse\t([^\t\n]*)")
      local shared = assert(output:match "\nshared\t([^\n]*)$", output)
      assert(shared:find(deleted, 1, true)
        or shared:find "^cannot change the directory.*\t2$", shared)
    end)

  it("are no reason to start elsewhere when it cannot be reached", function()
    local dir = t.must "mktemp -d"
    local output = lost_directory(("unshare -m %s"):format(after((
      "mount -t tmpfs x %s && mkdir %s/sub && cd %s/sub && umount -l %s")
      :format(dir, dir, dir, dir))))
    assert.equal("/sub", output:match "^true\t([^\t\n]*)")
    assert.equal("/sub", output:match "\nfalse\t([^\t\n]*)")
    local shared = assert(output:match "\nshared\t([^\n]*)$", output)
    assert(shared:find "^/sub"
      or shared:find "^cannot change the directory.*\t2$", shared)
    t.must("rmdir %s", dir)
  end)

  it("have a template that is kept with the handle, and closed with it",
    function()
      local name = t.name()
      assert(netns.add(name)):close()
      collectgarbage()
      collectgarbage()
      local before = descriptors()
      local opts = { mounts = "shared" }
      local ns = assert(netns.open(name))
      for _ = 1, 5 do assert(ns:exec({ "true" }, opts)) end
      local kept = descriptors() - before
      assert(kept > 1 and kept < 5, kept .. " descriptors")
      ns:close()
      assert.equal(before, descriptors())
      -- a name is a handle for as long as the call
      assert(netns.exec(name, { "true" }, opts))
      assert.equal(before, descriptors())
      ns = assert(netns.open(name))
      assert(ns:exec({ "true" }, opts))
      ns = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.equal(before, descriptors())
      assert(netns.delete(name))
    end)

  it("are named by the message when they cannot be made", function()
    local text = [[
      local netns = require "netns"
      local core = require "netns.core"
      local ns = assert(netns.open "/proc/self/ns/net")
      local before = #core.readdir "/proc/self/fd"
      for _, call in ipairs { "exec", "capture", "spawn" } do
        local ok, message, errno = ns[call](ns, { "true" },
          { mounts = "shared" })
        print(ok, message:gsub("net:%b[]", "NS"), errno)
      end
      assert(#core.readdir "/proc/self/fd" == before
        or "kept" == arg[1], "descriptors are left")
    ]]
    local keep = "env ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null "
      .. "-P /proc/thread-self/ns/mnt -e inject=openat,open:error=ENOMEM"
    for _, case in ipairs {
      { t.failing("setns", "ENOMEM"), "cannot enter the network namespace" },
      { t.failing("unshare", "ENOMEM"), "cannot make a mount namespace" },
      { t.failing("mount", "ENOMEM"), "cannot make / a slave mount" },
      { t.failing("fsopen", "ENOMEM"), "cannot mount /sys" },
      { keep, "cannot keep the shared mount namespace" },
      -- the second of a process: not of the one that makes the template
      { t.failing("setns", "ENOMEM", 2),
        "cannot copy the shared mount namespace", true },
    } do
      local expected = {}
      for i, call in ipairs { "exec", "capture", "spawn" } do
        expected[i] = ("nil\t%s NS: %s: Cannot allocate memory\t%d")
          :format(call, case[2], errno.ENOMEM)
      end
      assert.equal(table.concat(expected, "\n"),
        (t.script(case[3] and text:gsub("arg%[1%]", '"kept"') or text,
          case[1])))
    end
  end)
end)

describe("detach #novalgrind", function()
  t.guard(before_each, after_each)

  it("starts the program in a session of its own", function()
    local ns = t.keep(assert(netns.new()))
    local argv = { "sh", "-c", "echo $$; cut -d' ' -f5,6 /proc/$$/stat" }
    for _, mounts in ipairs(MODES) do
      local output = assert(ns:capture(argv,
        { detach = true, mounts = mounts })).stdout
      local pid, group, session = output:match "^(%d+)\n(%d+) (%d+)\n$"
      assert.is_truthy(pid, output)
      assert.same({ pid, pid }, { group, session })
      output = assert(ns:capture(argv, { mounts = mounts })).stdout
      pid, group, session = output:match "^(%d+)\n(%d+) (%d+)\n$"
      assert.equal(pid, group)
      assert.not_equal(pid, session)
    end
    assert.same({ "exit", 3 },
      { select(3, ns:exec({ "sh", "-c", "exit 3" }, { detach = true })) })
    assert.equal(errno.ETIMEDOUT,
      select(3, ns:exec({ "sleep", "1000" }, { detach = true, timeout = 0 })))
  end)
end)

describe("a wrong argument #novalgrind", function()
  t.guard(before_each, after_each)

  it("raises an error that names it, where the function was called", function()
    local ns = t.keep(assert(netns.new()))
    local closed = assert(netns.new())
    closed:close()
    for _, name in ipairs { "exec", "capture", "spawn" } do
      local call = netns[name]
      for _, case in ipairs {
        { nil, "table expected, got nil" },
        { "true", "table expected, got string" },
        { {}, "a program expected" },
        { { true }, "element 1: string or number expected, got boolean" },
        { { "true", {} }, "element 2: string or number expected, got table" },
        { { "true", "a\0b" }, "element 2 has a NUL byte" },
      } do
        local text = ("bad argument 'argv' to '%s' (%s)"):format(name, case[2])
        raises(text, function() call(ns, case[1]) end)
        raises(text, function() ns[name](ns, case[1]) end)
      end
      raises(("bad argument 'opts' to '%s' (table expected, got string)")
        :format(name), function() call(ns, { "true" }, "opts") end)
      for _, NS in ipairs { true, {}, closed, io.stdout } do
        local ok, message = pcall(function()
          call(NS, { "true" })
        end)
        assert.is_false(ok)
        assert.matches("^%S*spec/programs_spec%.lua:%d+: bad argument 'NS' to '"
          .. name .. "'", message)
      end
    end
  end)

  local BASE = '"inherit", "null", '
  local LAST = "file or descriptor"
  local EXPECTED = {
    exec = { stdin = BASE .. LAST, stdout = BASE .. LAST,
      stderr = BASE .. '"stdout", ' .. LAST },
    capture = { stdin = BASE .. LAST, stdout = BASE .. '"pipe", ' .. LAST,
      stderr = BASE .. '"stdout", "pipe", ' .. LAST },
    spawn = { stdin = BASE .. '"pipe", ' .. LAST,
      stdout = BASE .. '"pipe", ' .. LAST,
      stderr = BASE .. '"stdout", "pipe", ' .. LAST },
  }

  local PLAIN = { input = true, detach = true }

  local function shown(key, value)
    if PLAIN[key] then return type(value) end
    if type(value) == "number" then return ("%.14g"):format(value) end
    return type(value) == "string" and ("%q"):format(value) or type(value)
  end

  it("is an option of another kind", function()
    local ns = t.keep(assert(netns.new()))
    local shut = assert(io.tmpfile())
    shut:close()
    local cases = {
      env = { "table from names to strings", "A=1", 5 },
      cwd = { "string without NUL", 5, {}, true, "a\0b" },
      timeout = { "seconds", "5", -1, 0 / 0, -math.huge, {}, true },
      mounts = { 'boolean or "shared"', "private", 1, {} },
      detach = { "boolean", 2, "true", {} },
      input = { "string", 5, true, {} },
      stdin = { false, "", "in", "stdout", "stdin", -1, 1.5, 2 ^ 31, 1 / 0,
        0 / 0, true, {}, shut, ns },
      stdout = { false, "", "stdout", "stderr", -1, 1.5, 2 ^ 31, true, {},
        shut },
      stderr = { false, "", "stderr", -1, 1.5, 2 ^ 31, true, {}, shut },
    }
    for name, expected in pairs(EXPECTED) do
      local call = netns[name]
      for key, values in pairs(cases) do
        if name ~= "spawn" or key ~= "input" then
          for i = 2, #values do
            local value = values[i]
            raises(("bad argument '%s' to '%s' (%s expected, got %s)"):format(
              key, name, expected[key] or values[1],
              shown(key, value)),
              function() call(ns, { "true" }, { [key] = value }) end)
          end
        end
      end
    end
    for problem, env in pairs {
      ['"1" is no name of a variable'] = { "A=1" },
      ['"" is no name of a variable'] = { [""] = "x" },
      ['"A=B" is no name of a variable'] = { ["A=B"] = "x" },
      [("%q is no name of a variable"):format "A\0B"] = { ["A\0B"] = "x" },
      ["'A': string or number expected, got boolean"] = { A = true },
      ["'A': string or number expected, got table"] = { A = {} },
      ["'A' has a NUL byte"] = { A = "a\0b" },
    } do
      raises(("bad argument 'env' to 'exec' (%s)"):format(problem),
        function() netns.exec(ns, { "true" }, { env = env }) end)
    end
    -- nobody would read or write it
    for _, key in ipairs { "stdin", "stdout", "stderr" } do
      raises(("bad argument '%s' to 'exec' (%s expected, got \"pipe\")")
        :format(key, EXPECTED.exec[key]),
        function() netns.exec(ns, { "true" }, { [key] = "pipe" }) end)
    end
    raises(("bad argument 'stdin' to 'capture' (%s expected, got \"pipe\")")
      :format(EXPECTED.capture.stdin),
      function() netns.capture(ns, { "true" }, { stdin = "pipe" }) end)
  end)

  it("is an option that is not known", function()
    local ns = t.keep(assert(netns.new()))
    for _, name in ipairs { "exec", "capture", "spawn" } do
      for _, key in ipairs { "shell", "jobs", "only", "quiet", 1, true } do
        raises(("unknown key '%s' in '%s'"):format(tostring(key), name),
          function() netns[name](ns, { "true" }, { [key] = true }) end)
      end
    end
    raises("unknown key 'input' in 'spawn'",
      function() ns:spawn({ "cat" }, { input = "x" }) end)
  end)
end)
