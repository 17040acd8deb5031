local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

describe("all", function()
  t.guard(before_each, after_each)

  local names

  -- A test with three names.
  local function test(title, body)
    it(title, function()
      names = { t.name(), t.name(), t.name() }
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
      message = 'exec "leftover": Invalid argument' }, results[1])
    assert.same({ name = names[1], ok = false, how = "exit", code = 3,
      message = "exit 3" }, results[2])
    assert.same({ name = names[2], ok = false, how = "signal", code = 9,
      message = "signal 9" }, results[3])
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
      local here <close> = netns.current()
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

  test("checks its options", function()
    assert.error_matches(function() netns.all.delete { kil = true } end,
      "unknown option 'kil' to 'all.delete'")
    assert.error_matches(
      function() netns.all.exec({ "true" }, { only = 5 }) end,
      "bad option 'only' to 'all.exec' %(pattern or function expected")
    assert.error_matches(function() netns.all.exec {} end,
      "bad argument 'argv' to 'all.exec' %(a program expected%)")
    assert.error_matches(function() netns.all.call() end,
      "bad argument 'fn' to 'all.call' %(function expected, got nil%)")
  end)
end)
