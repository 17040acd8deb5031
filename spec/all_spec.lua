local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno
local STALE = "the name is stale, it is not a network namespace"

describe("all #novalgrind", function()
  t.guard(before_each, after_each)

  local names

  -- A test with three names, or more.
  local function test(title, body, count)
    it(title, function()
      names = {}
      for i = 1, count or 3 do names[i] = t.name() end
      for _, name in ipairs(names) do assert(netns.add(name)):close() end
      table.sort(names)
      body()
      netns.all.delete()
    end)
  end

  test("exec goes on after a failure, a signal, and a leftover", function()
    local stale = "leftover"
    t.must("touch /run/netns/%s", stale)
    local results = assert(netns.all.exec({ "sh", "-c", ([[
      case $(ip netns identify $$) in
        %s) exit 3;; %s) kill -9 $$;; esac]]):format(names[1], names[2]) },
      { quiet = true }))
    assert.equal(4, #results)
    assert.same({ name = stale, ok = false, errno = errno.EINVAL,
      message = 'exec "leftover": ' .. STALE }, results[1])
    assert.same({ name = names[1], ok = false, how = "exit", code = 3,
      message = ('exec "%s": sh: exited with status 3'):format(names[1]) },
      results[2])
    assert.same({ name = names[2], ok = false, how = "signal", code = 9,
      message = ('exec "%s": sh: killed by SIGKILL'):format(names[2]) },
      results[3])
    assert.same({ name = names[3], ok = true, how = "exit", code = 0 },
      results[4])
  end)

  test("exec prints what ip -all prints", function()
    local script = [[
      require "netns".all.exec({ "readlink", "/proc/self/ns/net" }, %s)
    ]]
    -- ip lists in the order of the directory
    local function blocks(text)
      local list = {}
      for block in (text .. "\n"):gmatch "\nnetns: [^\n]*\n[^\n]*\n" do
        list[#list + 1] = block
      end
      table.sort(list)
      return list
    end
    local ours = blocks("\n" .. t.script(script:format "nil"))
    assert.equal(3, #ours)
    assert.same(blocks("\n"
      .. t.must "ip -all netns exec readlink /proc/self/ns/net"), ours)
    assert.not_matches("netns:", (t.script(script:format "{ quiet = true }")))
  end)

  test("call runs inside each, with a handle, and keeps errors", function()
    local results = assert(netns.all.call(function(ns)
      if ns:name() == names[2] then error({ "mine" }) end
      local here = t.keep(netns.current())
      return here == ns, nil, ns:name()
    end))
    assert.same({ name = names[1], ok = true, n = 3, true, nil, names[1] },
      results[1])
    assert.is_false(results[2].ok)
    assert.same({ "mine" }, results[2].message)
    assert.is_true(results[3].ok)
  end)

  test("call stops when the thread cannot be brought back", function()
    local output = t.script([[
      print(pcall(require "netns".all.call, function() end))
    ]], t.failing("setns", "EPERM", "2+"))
    assert.matches("^false\t.*this thread could not be brought back", output)
  end)

  test("set gives an id to each that has none", function()
    assert(netns.set(names[2], 500))
    local results = assert(netns.all.set "auto")
    for i, result in ipairs(results) do
      assert.is_true(result.ok)
      assert.equal(netns.id(names[i]), result.id)
    end
    assert.equal(500, results[2].id)
    assert.same(results, assert(netns.all.set "auto"))
    assert.has_error(function() netns.all.set(5) end)
  end)

  test("pids finds the processes of every name in one walk", function()
    local a, b = t.sleeper("/run/netns/" .. names[1]),
      t.sleeper("/run/netns/" .. names[3])
    local second = t.name()
    assert(netns.attach(second, names[3])):close()
    assert.same({
      [names[1]] = { a }, [names[2]] = {}, [names[3]] = { b }, [second] = { b },
    }, assert(netns.all.pids()))
    t.stop(a)
    t.stop(b)
  end)

  test("delete takes away all that are selected #novalgrind", function()
    t.must "touch /run/netns/leftover"
    local results = assert(netns.all.delete { only = "^left" })
    assert.same({ { name = "leftover", ok = true } }, results)
    results = assert(netns.all.delete {
      only = function(name) return name ~= names[2] end, wait = 60,
    })
    assert.same({ { name = names[1], ok = true },
      { name = names[3], ok = true } }, results)
    assert.same({ names[2] }, netns.names())
    local pid = t.sleeper("/run/netns/" .. names[2])
    assert.is_true(netns.all.delete({ kill = true, wait = 60 })[1].ok)
    t.eventually(function()
      return not t.runs(pid)
    end)
    assert.equal("", t.must "ip netns list")
  end)

  -- A directory in which the programs of a test meet.
  local function meeting(body)
    local dir = t.must "mktemp -d"
    local ok, err = pcall(body, dir)
    t.must("rm -r %s", dir)
    if not ok then error(err, 0) end
  end

  -- Runs a shell script in every namespace: $dir is where they meet, $me the
  -- name, $first and $last the first and the last of them, $next the one that
  -- comes after this, and `await FILE` waits.
  local function script(dir, text)
    return { "sh", "-c", ([[
      dir=%s me=$(ip netns identify $$) first=$1
      await() { while [ ! -e "$1" ]; do sleep 0.01; done; }
      for last; do :; done
      while [ "$1" != "$me" ]; do shift; done
      next=$2
    ]]):format(dir) .. text, "-", t.unpack(names) }
  end

  -- Each ends only when as many as `together`, from this one on, have started;
  -- and notes then how many run, once the host waits for them.
  local function rendezvous(dir, together)
    return script(dir, ([[
      mkdir $dir/runs-$me; touch $dir/started-$me
      if [ $# -gt %d ]; then shift %d; await $dir/started-$1
      else await $dir/started-$last; fi
      until grep -q 'State:.S' /proc/$PPID/status; do sleep 0.01; done
      set -- $dir/runs-*; echo $# >>$dir/counts
      rmdir $dir/runs-$me
    ]]):format(together, together - 1))
  end

  for _, what in ipairs { "exec", "capture" } do
    local run = netns.all[what]
    local function quiet(opts)
      opts.quiet = what == "exec" or nil
      return opts
    end

    for jobs = 1, 4 do
      test(("%s runs %d at a time, never more"):format(what, jobs), function()
        meeting(function(dir)
          local results = assert(run(rendezvous(dir, jobs),
            quiet { jobs = jobs, timeout = 120 }))
          assert.equal(6, #results)
          for i, result in ipairs(results) do
            assert.is_true(result.ok, result.message)
            assert.equal(names[i], result.name)
          end
          local most = 0
          for count in io.lines(dir .. "/counts", "*n") do
            most = math.max(most, count)
          end
          assert.equal(jobs, most)
        end)
      end, 6)
    end

    test(what .. " with three jobs does not run four", function()
      meeting(function(dir)
        local results = assert(run(rendezvous(dir, 4),
          quiet { jobs = 3, timeout = 0.5 }))
        assert.equal(errno.ETIMEDOUT, results[1].errno)
      end)
    end, 6)

    test(what .. " runs one at a time unless told otherwise", function()
      meeting(function(dir)
        local results = assert(run(rendezvous(dir, 1), quiet {}))
        for _, result in ipairs(results) do assert.is_true(result.ok) end
        assert.equal("1\n1\n1", t.must("cat %s/counts", dir))
      end)
    end)

    test(what .. " gives results in the order of the names, not of the ends",
      function()
        meeting(function(dir)
          local results = assert(run(script(dir, [[
            [ -z "$next" ] || await $dir/ended-$next
            echo $me >>$dir/order; touch $dir/ended-$me
            exit $#
          ]]), quiet { jobs = 100 }))
          for i, result in ipairs(results) do
            assert.equal(names[i], result.name)
            assert.equal(#names - i + 1, result.code)
          end
          local reverse = {}
          for i, name in ipairs(names) do reverse[#names - i + 1] = name end
          assert.equal(table.concat(reverse, "\n"), t.must("cat %s/order", dir))
        end)
      end, 4)

    for _, jobs in ipairs { 1, 2, 10 } do
      test(("%s goes on after what fails, %d at a time"):format(what, jobs),
        function()
          t.must("touch /run/netns/leftover; mkdir -p /etc/dir "
            .. "/etc/netns/%s/dir", names[3])
          t.write("/etc/dir/program", ([[#!/bin/sh
            case $(ip netns identify $$) in
              %s) exit 3;; %s) kill -9 $$;; %s) exec sleep 1000;;
            esac]]):format(names[1], names[2], names[5]))
          t.must "chmod 755 /etc/dir/program"
          local results = assert(run({ "/etc/dir/program" },
            quiet { jobs = jobs, timeout = 3, stdin = "null" }))
          for _, result in ipairs(results) do
            result.stdout, result.stderr = nil, nil
          end
          assert.same({
            { name = "leftover", ok = false, errno = errno.EINVAL,
              message = what .. ' "leftover": ' .. STALE },
            { name = names[1], ok = false, how = "exit", code = 3,
              message = ('%s "%s": /etc/dir/program: exited with status 3')
                :format(what, names[1]) },
            { name = names[2], ok = false, how = "signal", code = 9,
              message = ('%s "%s": /etc/dir/program: killed by SIGKILL')
                :format(what, names[2]) },
            { name = names[3], ok = false, errno = errno.ENOENT,
              message = ('%s "%s": /etc/dir/program: No such file or directory')
                :format(what, names[3]) },
            { name = names[4], ok = true, how = "exit", code = 0 },
            { name = names[5], ok = false, how = "timeout",
              errno = errno.ETIMEDOUT,
              message = ('%s "%s": /etc/dir/program: ended after 3 s')
                :format(what, names[5]) },
            { name = names[6], ok = true, how = "exit", code = 0 },
          }, results)
          t.must("rm -r /etc/dir /etc/netns/%s", names[3])
        end, 6)
    end

    test(what .. " counts the timeout of each from its own start", function()
      meeting(function(dir)
        local results = assert(run(script(dir, [[
          [ "$me" != "$first" ] || sleep 1000 & wait; sleep 0.1
        ]]), quiet { timeout = 3 }))
        assert.equal(errno.ETIMEDOUT, results[1].errno)
        assert.is_true(results[2].ok)
        assert.is_true(results[3].ok)
      end)
    end)

    test(what .. " hands its options to every program", function()
      meeting(function(dir)
        local here = core.readlink "/proc/self/ns/mnt"
        for _, mounts in ipairs { true, false, "shared" } do
          local results = assert(run({ "/bin/sh", "-c", [[
            [ "$A$PWD" = B/tmp ] && [ -z "$HOME" ] || exit 1
            me=$(readlink /proc/self/ns/net) # "shared" shows no names
            cat >$dir/input-$me
            readlink /proc/self/ns/mnt >$dir/mounts-$me
            out=$(readlink /proc/$$/fd/1) err=$(readlink /proc/$$/fd/2)
            [ "$out" = "$err" ]
          ]] }, quiet {
            jobs = 2, mounts = mounts, cwd = "/tmp", stderr = "stdout",
            stdout = what == "exec" and "null" or nil,
            env = { A = "B", dir = dir, PATH = os.getenv "PATH" },
            input = ("line\n"):rep(100000),
          }))
          for i, name in ipairs(names) do
            local ns = t.keep(assert(netns.open(name)))
            local me = ("net:[%d]"):format(ns:inode())
            assert.is_true(results[i].ok, results[i].message)
            assert.equal("500000", t.must("wc -c <'%s/input-%s'", dir, me))
            assert.equal(mounts == false,
              t.must("cat '%s/mounts-%s'", dir, me) == here)
          end
        end
      end)
    end)

    test(what .. " lets go of what is detached only when it has ended",
      function()
        meeting(function(dir)
          local results = assert(run(script(dir,
            "[ $(ps -o sid= -p $$) -eq $$ ] && touch $dir/ended-$me"),
            quiet { jobs = 2, detach = true }))
          for i, name in ipairs(names) do
            assert.is_true(results[i].ok)
            t.must("test -e %s/ended-%s", dir, name)
          end
        end)
      end)

    test(what .. " ends all that run when `only` raises an error", function()
      meeting(function(dir)
        local mine, calls = {}, 0
        local ok, err = pcall(run, script(dir, [[
          sleep 1000 & echo $$ $! >$dir/new-$me; mv $dir/new-$me $dir/pids-$me
          wait
        ]]), quiet { jobs = 3, only = function()
          calls = calls + 1
          if calls < 3 then return true end
          t.eventually(function()
            return t.must("ls %s", dir):find "pids[^\n]*\npids"
          end)
          error(mine)
        end })
        assert.is_false(ok)
        assert.equal(mine, err)
        local pids = t.must("cat %s/pids-*", dir)
        for pid in pids:gmatch "%d+" do
          t.eventually(function() return not t.runs(pid) end)
        end
        assert.equal(4, select(2, pids:gsub("%d+", "")))
      end)
    end)
  end

  test("capture never mixes what several write at once", function()
    meeting(function(dir)
      local results = assert(netns.all.capture(script(dir, [[
        touch $dir/started-$me
        await $dir/started-$last
        yes "$me out" | head -n 50000 &
        yes "$me err" | head -n 50000 >&2
        wait
      ]]), { jobs = 4 }))
      for i, name in ipairs(names) do
        assert.is_true(results[i].ok, results[i].message)
        assert.is_true((name .. " out\n"):rep(50000) == results[i].stdout)
        assert.is_true((name .. " err\n"):rep(50000) == results[i].stderr)
      end
      results = assert(netns.all.capture(script(dir,
        "echo $me out; echo $me err >&2; cat"),
        { jobs = 4, stderr = "stdout", input = ("x"):rep(1000000) }))
      for i, name in ipairs(names) do
        assert.is_true(("%s out\n%s err\n"):format(name, name)
          .. ("x"):rep(1000000) == results[i].stdout)
        assert.is_nil(results[i].stderr)
      end
    end)
  end, 4)

  test("capture keeps what was written until the time was up", function()
    local results = assert(netns.all.capture(
      { "sh", "-c", "echo out; echo err >&2; exec sleep 1000" },
      { jobs = 3, timeout = 3 }))
    for _, result in ipairs(results) do
      assert.equal(errno.ETIMEDOUT, result.errno)
      assert.equal("out\n", result.stdout)
      assert.equal("err\n", result.stderr)
    end
  end)

  test("exec prints names only before what writes to the same place", function()
    local output = t.script [[
      local netns = require "netns"
      local function run(opts)
        io.write "["
        io.flush()
        netns.all.exec({ "echo", "text" }, opts)
        io.write "]\n"
      end
      local null = io.open("/dev/null", "w")
      run { jobs = 1, stdout = "inherit" }
      run { jobs = 3, quiet = true }
      run { stdout = "null" }
      run { stdout = null }
    ]]
    local all = {}
    for i, name in ipairs(names) do
      all[i] = ("\nnetns: %s\ntext\n"):format(name)
    end
    assert.equal(("[%s]\n[text\ntext\ntext\n]\n[]\n[]")
      :format(table.concat(all)), output)
  end)

  -- Programs in a host of their own, two at a time, and each with a child.
  local function host(dir, what, program)
    return t.background(([[
      local netns = require "netns"
      print(io.open "/proc/self/stat":read "*n")
      io.stdout:flush()
      print(pcall(netns.all.%s, { "sh", "-c", %q, "-", %q },
        { jobs = 2, stdout = "null", stderr = "null"%s }))
      print(#netns.all.capture { "true" })
    ]]):format(what, program, dir, what == "exec" and ", quiet = true" or ""),
      -- the shell would tell that it was killed
      [[sh -c 'exec 2>/dev/null; timeout 300 setsid "$@"; exit' -]])
  end

  -- The sanitizers' host does nothing about SIGINT, which so ends it.
  local catches = t.lua == t.plain_lua

  local PROGRAMS = {
    ["that end"] = "",
    ["that clean up"] = "trap 'touch $1/cleaned-$$; exit' TERM;",
    ["that ignore signals"] = "trap '' TERM INT HUP;",
  }
  local SIGNALS = {
    ["SIGINT to the host"] = { "INT", "" },
    ["SIGINT to its group"] = { "INT", "-" },
    ["SIGTERM to the host"] = { "TERM", "" },
    ["SIGKILL to the host"] = { "KILL", "" },
  }
  for which, trap in pairs(PROGRAMS) do
    for how, signal in pairs(SIGNALS) do
      local title = ("%s ends all programs %s, and their children")
        :format(how, which)
      test(title, function()
        for _, what in ipairs { "exec", "capture" } do
          meeting(function(dir)
            local pipe = t.keep(host(dir, what, trap .. [[
              sleep 1000 & echo $$ $! >$1/new-$$; mv $1/new-$$ $1/pids-$$
              while :; do wait; done
            ]]))
            local pid = pipe:read("*n", "*l")
            t.keep { close = function()
              t.sh("kill -9 %d", pid) -- if the test has failed
            end }
            t.eventually(function()
              return t.must("ls %s", dir):find "pids[^\n]*\npids"
            end)
            t.eventually(function() -- it waits
              return select(2, t.sh("grep 'State:.S' /proc/%d/status", pid))
                == 0
            end)
            t.must("kill -s %s -- %s%d", signal[1], signal[2], pid)
            local output = pipe:read "*a"
            local pids = t.must("cat %s/pids-*", dir)
            for one in pids:gmatch "%d+" do
              t.eventually(function() return not t.runs(one) end)
            end
            assert.equal(4, select(2, pids:gsub("%d+", "")))
            if signal[1] == "INT" and catches then
              assert.matches("^false\t[^\n]*interrupted!\n3\n$", output)
              local _, cleaned = t.must("ls %s", dir):gsub("cleaned", "")
              assert.equal(which == "that clean up" and 2 or 0, cleaned)
            else
              assert.equal("", output)
            end
          end)
        end
      end)
    end
  end

  test("rejects a number of jobs that is none", function()
    for _, what in ipairs { "exec", "capture" } do
      for _, jobs in ipairs { 0, -1, 1.5, 0 / 0, math.huge, 2 ^ 40, "2", true,
        {} } do
        local ok, message = pcall(netns.all[what], { "true" }, { jobs = jobs })
        assert.is_false(ok)
        assert.matches(("bad argument 'jobs' to 'all.%s' %%(positive integer "
          .. "expected, got "):format(what), message)
      end
      assert.equal(3, #netns.all[what]({ "true" },
        { jobs = 2.0, only = "", quiet = what == "exec" or nil }))
    end
  end)

  test("checks its options", function()
    assert.error_matches(function() netns.all.delete { kil = true } end,
      "unknown key 'kil' in 'all.delete'")
    assert.error_matches(
      function() netns.all.exec({ "true" }, { only = 5 }) end,
      "bad argument 'only' to 'all.exec' %(pattern or function expected")
    assert.error_matches(function() netns.all.exec {} end,
      "bad argument 'argv' to 'all.exec' %(a program expected%)")
    assert.error_matches(function() netns.all.call() end,
      "bad argument 'fn' to 'all.call' %(function expected, got nil%)")
  end)
end)
