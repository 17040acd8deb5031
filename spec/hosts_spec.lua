local core = require "netns.core"
local t = require "spec.support"

-- Every script starts with these.
local prelude = [[
  local netns = require "netns"
  local core = require "netns.core"
  local ECHILD, ETIMEDOUT = core.errno.ECHILD, core.errno.ETIMEDOUT
  local here = "/proc/self/ns/net"
  local BARE = { mounts = false }

  local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
  end

  local function eventually(fn)
    local deadline = core.now() + 60
    repeat
      local result = fn()
      if result then return result end
      os.execute "sleep 0.01"
    until core.now() > deadline
    error("it did not come true", 2)
  end
]]

-- Runs a script in a host that behaves in this way; what it printed.
local function run(behaviour, text)
  local output, code = t.script(prelude .. text, "timeout -s KILL 200",
    t.host .. " " .. behaviour)
  return code == 0 and output or ("%s\n[exit status %d]"):format(output, code)
end

-- Several hundred programs that end in every way, in every way to run them, by
-- one thread. What is not as it should be is printed. A status that cannot be
-- known, which is then said, counts as right if `LOST` is true.
local statuses = [[
  local function disposition()
    return read "/proc/self/status":match "SigIgn:%s*(%x+)"
  end
  local before = disposition()

  local lost, known = 0, 0
  local function check(what, i, ok, message, how, code)
    if ok then
      how, code = message, how -- true, "exit", 0
    elseif not code then
      how, code = message, how -- nil, message, errno
    end
    local signal = i % 5 == 0 and (i % 2 == 0 and 9 or 15)
    local want = { not signal and i % 256 == 0 or nil,
      signal and "signal" or "exit", signal or i % 256 }
    if LOST and ok == nil and code == ECHILD and how:find "No child proc" then
      lost = lost + 1
    elseif ok ~= want[1] or how ~= want[2] or code ~= want[3] then
      print(what, i, "got", ok, how, code, "wanted", want[1], want[2], want[3])
    else
      known = known + 1
    end
  end
  local function program(i)
    return { "sh", "-c", i % 5 ~= 0 and "exit " .. i % 256
      or i % 2 == 0 and "kill -9 $$" or "kill -15 $$" }
  end

  local ns = assert(netns.new())
  local own = {} -- the host's own children, and how they end
  for i = 1, COUNT do
    own[host.child(i % 256)] = i % 256
    check("exec", i, ns:exec(program(i), i % 8 ~= 0 and BARE or nil))
    local result, message, how, code = ns:capture(program(i),
      { mounts = false, check = true })
    check("capture", i, result and result.ok, result and result.how or message,
      result and result.code or how, code)
    local processes = {}
    for k = 1, 4 do processes[k] = assert(ns:spawn(program(i + k), BARE)) end
    for k = 4, 1, -1 do -- the others are over, or not, meanwhile
      check("wait", i + k, processes[k]:wait())
      check("wait again", i + k, processes[k]:wait())
      processes[k]:close()
    end
  end

  -- the same program for all: it looks up how to end
  for _ = 1, ROUNDS do
    for _, result in ipairs(assert(netns.all.exec({ "sh", "-c",
      "i=$(cat /proc/sys/net/ipv4/ip_default_ttl); case $((i % 10)) in "
      .. "0) kill -9 $$;; 5) kill -15 $$;; *) exit $i; esac" },
      { jobs = 4, quiet = true, mounts = false })))
    do
      check("all.exec", tonumber(result.name:match "%d+$"),
        result.ok or nil, result.ok and result.how or result.message,
        result.ok and result.code or result.how or result.errno, result.code)
    end
  end

  for pid, code in pairs(own) do
    -- the host's handler or thread may be about to note it
    local got = host.wait(pid) or REAPED
      and eventually(function() return host.reaped(pid) end)
    if got ~= (not AUTOMATIC and code or nil) then
      print("the host's own child", got, "wanted", code)
    end
  end
  if before ~= disposition() then print("SigIgn", before, disposition()) end
  if LOST == "all" and known > 0 then print("known", known) end
]]

-- What the host shows afterwards that it did not before.
local leftovers = [[
  local function state()
    collectgarbage()
    collectgarbage()
    local list = {}
    for _, fd in ipairs(core.readdir "/proc/self/fd") do
      local link = core.readlink("/proc/self/fd/" .. fd) or "gone"
      list[#list + 1] = link:gsub("%d+", "N") -- one may be made anew
    end
    table.sort(list)
    for _, task in ipairs(core.readdir "/proc/self/task") do
      list[#list + 1] = "children: "
        .. read(("/proc/self/task/%s/children"):format(task))
    end
    return table.concat(list, "\n")
  end
  netns.exec(here, { "true" }) -- what is kept for the next program
  local first = state()
]]

-- A host alone, or with Lua in three threads besides the first.
local function statuses_script(threads, options)
  local alone = threads == 0
  return (alone and leftovers or "")
    .. ("local COUNT, ROUNDS = %d, %d\n"):format(alone and 60 or 25, 4)
    .. ("local LOST, REAPED, AUTOMATIC = %s, %s, %s\n")
      :format(options.lost or "nil", tostring(options.reaped),
        tostring(options.automatic))
    .. "do\n" .. statuses .. "\nend\n"
    .. (alone and [[
      collectgarbage()
      collectgarbage()
      if first ~= state() then print("left", state(), "before", first) end
    ]] or "")
end

describe("a host #novalgrind", function()
  t.guard(before_each, after_each)

  local hosts = {
    { "", "that does nothing special", {} },
    { "ignore", "that ignores SIGCHLD", { automatic = true } },
    { "nocldwait", "with SA_NOCLDWAIT", { automatic = true } },
    { "handler", "whose SIGCHLD handler reaps every child", { reaped = true } },
    { "reaper", "whose thread reaps every child", { reaped = true } },
  }

  -- A test with names whose namespaces tell a program how to end: by a TTL.
  local function test(title, body)
    it(title, function()
      local prefix = t.name()
      for _, i in ipairs { 1, 5, 10, 77, 250, 255 } do
        local ns = t.keep(assert(core.add(("%s-%d"):format(prefix, i))))
        assert(ns:sysctl("net.ipv4.ip_default_ttl", i))
      end
      finally(function()
        for _, name in ipairs(core.names()) do core.remove(name) end
      end)
      body()
    end)
  end

  for _, host in ipairs(hosts) do
    local behaviour, title, options = t.unpack(host)

    for _, threads in ipairs { 0, 3 } do
      test(("%s has the right statuses, in %s"):format(title,
        threads == 0 and "its first thread" or "three others"), function()
          if behaviour ~= "" and t.kernel() < 6.15 then
            return pending "the kernel does not tell the status: Linux 6.15"
          end
          assert.equal("", run(("%s %d"):format(behaviour, threads),
            statuses_script(threads, options)))
        end)
    end

    if behaviour ~= "" then
      test(title .. " is told so where the kernel does not know", function()
        local lost = options.automatic and '"all"' or "true"
        assert.equal("", run(("old %s 0"):format(behaviour),
          statuses_script(0, { lost = lost, reaped = options.reaped,
            automatic = options.automatic })))
      end)
    end
  end

  it("has its statuses right before Linux 6.15, if nobody else reaps",
    function()
      assert.equal("exit\t7\nsignal\t9", run("old 0", [[
        print(select(3, netns.exec(here, { "sh", "-c", "exit 7" })))
        print(select(3, netns.exec(here, { "sh", "-c", "kill -9 $$" })))
      ]]))
    end)

  it("hands no descriptor on, whatever it has open", function()
    assert.equal("", run("open 0", [[
      local count = #core.readdir "/proc/self/fd"
      if count < 103 then print("only open:", count) end
      local look = { "sh", "-c",
        "exec ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p'" }
      for _, mounts in ipairs { true, false, "shared" } do
        -- ls has 0, 1, 2 and the directory
        local opts = { mounts = mounts }
        local ns = assert(netns.new())
        local other = assert(ns:spawn({ "cat" }, { stdin = "pipe",
          stdout = "pipe", mounts = mounts })) -- its pipes are not for others
        for _ = 1, ]] .. t.many(100) .. [[ do
          local result = assert(ns:capture(look, opts))
          if result.stdout ~= "0\n1\n2\n3\n" or not result.ok then
            print(mounts, result.stdout, result.stderr)
          end
        end
        other.stdin:close()
        if not other:wait() then print("cat goes on") end
        other:close()
        ns:close()
      end
      assert(netns.exec(here, { "sh", "-c",
        "test \"$(ls /proc/self/fd | tr '\\n' ' ')\" = '0 1 2 3 '" }))
    ]]))
  end)

  it("has its signals reset in the program, whatever it ignores and blocks",
    function()
      assert.equal("", run("deaf 0", [[
        local function signals(text)
          return text:match "SigBlk:%s*%x+", text:match "SigIgn:%s*%x+"
        end
        local blocked, ignored = signals(read "/proc/thread-self/status")
        if ignored ~= "SigIgn:\tfffffffffffbfeff" then print(ignored) end
        -- all but KILL, STOP, and two that libc does not block
        if blocked ~= "SigBlk:\tfffffffe7ffbfeff" then print(blocked) end
        for _, mounts in ipairs { true, false, "shared" } do
          local ns = assert(netns.new())
          for _ = 1, ]] .. t.many(100) .. [[ do
            local result = assert(ns:capture({ "cat", "/proc/self/status" },
              { mounts = mounts }))
            local blk, ign = signals(result.stdout)
            if blk ~= "SigBlk:\t0000000000000000"
              or ign ~= "SigIgn:\t0000000000000000" then
              print(mounts, blk, ign)
            end
          end
          -- what is ignored here ends the program all the same
          local process = assert(ns:spawn({ "sleep", "1000" }))
          assert(process:kill "USR1")
          local _, _, how, code = process:wait(30)
          if how ~= "signal" or code ~= core.signals.USR1 then
            print(how, code)
          end
          process:close()
          ns:close()
        end
        local blocked_now, ignored_now = signals(read
          "/proc/thread-self/status")
        if blocked_now ~= blocked then print("mask lost", blocked_now) end
        if ignored_now ~= ignored then print("actions lost", ignored_now) end
      ]]))
    end)

  it("of 2 GiB starts programs as fast as one that is empty", function()
    local available = t.read "/proc/meminfo":match "MemAvailable:%s*(%d+)"
    local size = math.min(2048, math.floor(available / 1024 / 2))
    if size < 2048 then
      print(("only %d MiB: no more than half of what is free"):format(size))
    end
    local output = run("0", ("local SIZE = %d\n"):format(size) .. [[
      local function resident()
        return read "/proc/self/status":match "VmRSS:%s*(%d+)" / 1024
      end
      local function measure(times)
        for _ = 1, 50 do
          local from = core.now()
          assert(netns.exec(here, { "true" }, BARE))
          times[#times + 1] = core.now() - from
        end
      end
      local function median(times)
        table.sort(times)
        return times[math.floor(#times / 2)]
      end
      local empty, large = {}, {}
      measure {} -- warms up
      for _ = 1, 4 do -- by turns, so that both see the same machine
        measure(empty)
        local memory = host.grow(SIZE)
        if resident() < SIZE then print("resident only", resident()) end
        measure(large)
        host.shrink(memory, SIZE)
      end
      print(("%.3f"):format(median(large) / median(empty)))
    ]])
    local ratio = assert.is_number(tonumber(output), output)
    assert.is_true(ratio < 3, output)
  end)

  it("keeps a program when the thread that started it ends", function()
    assert.equal("true\texit\t0", run("1", [[
      local ns = assert(netns.new())
      local process = assert(ns:spawn({ "sh", "-c", "read x; exit $x" },
        { stdin = "pipe" }))
      local thread = core.readlink "/proc/thread-self"
      return function() -- in the first thread, when that one has ended
        assert(core.readlink "/proc/thread-self" ~= thread)
        eventually(function()
          return not core.readlink("/proc/" .. thread .. "/ns/net")
        end)
        for _ = 1, 300 do -- what others do does not end it
          assert(ns:exec({ "true" }, BARE))
        end
        local _, _, errno = process:wait(0)
        assert(errno == ETIMEDOUT)
        process.stdin:write "0\n"
        process.stdin:close()
        print(process:wait())
      end
    ]]))
  end)

  it("takes such a program with it at its own end", function()
    for _, last in ipairs { "kill -9 $PPID", "kill -15 $PPID" } do
      local output = run("1", [[
        local process = assert(netns.spawn(here, { "sleep", "1000" },
          { stdout = "null", stderr = "null" })) -- this one is read to its end
        return function()
          assert(select(3, process:wait(0)) == ETIMEDOUT)
          print(process.pid)
          io.stdout:flush()
          os.execute "]] .. last .. [["
        end
      ]])
      local pid = tonumber(output:match "^%d+")
      assert.is_number(pid, output)
      assert.matches("%[exit status %d+%]", output) -- it did not just return
      t.eventually(function() return not t.runs(pid) end)
    end
  end)

  -- A host that starts a program, and does something in a forked child.
  local forking = [[
    local process
    local function start(opts)
      process = assert(netns.spawn(here, { "sleep", "1000" }, opts))
    end
    local function in_child(what, fn)
      local pid = host.fork()
      if pid > 0 then
        local code = host.wait(pid)
        if code ~= 0 then print(what, "exit", code) end
        return
      end
      local ok, message = pcall(fn)
      if not ok then print(what, message) end
      os.exit(ok and 0 or 1, true)
    end
    local function is_over() -- and its status is still to be taken
      return read(("/proc/%d/stat"):format(process.pid)):find "%) Z"
    end
    local function stop(signal)
      process:kill(signal)
      local _, _, how, code = process:wait()
      if how ~= "signal" or code ~= core.signals[signal] then
        print("stop", how, code)
      end
      process:close()
    end
  ]]

  it("that has forked does nothing to the parent's program from the child",
    function()
      assert.equal("", run("0", forking .. [[
        for what, fn in pairs {
          ["end"] = function() end,
          close = function() assert(process:close()) end,
          gc = function()
            process = nil
            collectgarbage()
            collectgarbage()
            assert(netns.exec(here, { "true" })) -- looks after the dropped
          end,
          wait = function()
            local ok, message, errno = process:wait(0.1)
            assert(ok == nil and errno == ETIMEDOUT, message)
          end,
          ["programs of its own"] = function()
            for i = 1, 100 do
              local _, _, how, code = netns.exec(here,
                { "sh", "-c", "exit " .. i }, BARE)
              assert(how == "exit" and code == i)
            end
            assert(netns.spawn(here, { "sleep", "1000" })):close()
          end,
        } do
          for _, detach in ipairs { false, true } do
            start { detach = detach }
            in_child(what, fn)
            if is_over() then print(what, process) end
            stop "USR2"
          end
        end
      ]]))
    end)

  it("that has forked does not end the parent's program when its time is up",
    function()
      assert.equal("", run("0", forking .. [[
        start { timeout = 0.05 }
        in_child("wait", function()
          local ok, message, errno = process:wait(0.5)
          assert(ok == nil and errno == ETIMEDOUT, message)
        end)
        if is_over() then print "ended" end
        process:close()
      ]]))
    end)

  it("that has forked leaves the status to the parent", function()
    assert.equal("", run("0", forking .. [[
      start()
      process:kill "KILL"
      eventually(is_over)
      in_child("wait", function()
        local ok, message, errno = process:wait(60)
        assert(ok == nil and errno == ECHILD, message)
        assert(process:close())
      end)
      local _, _, how, code = process:wait()
      if how ~= "signal" or code ~= 9 then print("lost", how, code) end
      process:close()
    ]]))
  end)

  it("that has forked takes the programs of the child with the child",
    function()
      local output = run("0", [[
        local file = os.tmpname()
        local child = host.fork()
        if child == 0 then
          local process = assert(netns.spawn(here, { "sleep", "1000" },
            { stdout = "null", stderr = "null" }))
          local out = assert(io.open(file, "w"))
          out:write(process.pid)
          out:close()
          os.execute "kill -9 $PPID"
        end
        host.wait(child)
        local pid = tonumber(read(file))
        os.remove(file)
        eventually(function()
          return not core.readlink(("/proc/%d/ns/net"):format(pid))
        end)
      ]])
      assert.equal("", output)
    end)
end)
