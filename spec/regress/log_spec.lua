-- What `log` of spawn keeps, and how it is searched.

local netns = require "netns"
local core = require "netns.core"
local search = require "netns.search"
local t = require "spec.support"

local ETIMEDOUT = netns.errno.ETIMEDOUT

-- A program that writes what it is given.
local function echo(log)
  local process = t.keep(assert(netns.spawn(netns.current(), { "cat" },
    { log = log or true, stdin = "pipe", mounts = false })))
  process.stdin:setvbuf "no"
  return process
end

local function feed(process, text)
  local file = process.output.file
  local size, deadline = file:size "", core.now() + 60 * t.slow
  assert(process.stdin:write(text))
  while file:size "" < size + #text do
    core.pause(0.001)
    assert(core.now() < deadline)
  end
end

-- How many bytes are searched while `fn` runs.
local function searched(fn)
  local go, count = search.go, 0
  search.go = function(finder, text, start)
    count = count + #text
    return go(finder, text, start)
  end
  local ok, problem = pcall(fn)
  search.go = go
  assert(ok, problem)
  return count
end

describe("a log", function()
  t.guard(before_each, after_each)

  local LINE = "12:00:00 port 80 of web is not what is waited for\n"
  local CHUNK = LINE:rep(1000)

  for what, case in pairs {
    ["a word"] = { "ready", CHUNK, "ready", "ready" },
    ["captures"] = { "port (%d+) of (%a+) is up", CHUNK, "port 8080 of w is up",
      "8080" },
    ["two lines"] = { "first\nsecond", CHUNK .. "first\n", "second",
      "first\nsecond" },
    ["what begins with a repetition"] = { "%d+ bytes\n", CHUNK, "42 bytes\n",
      "42 bytes\n" },
    ["the end"] = { "prompt> $", CHUNK, "prompt> ", "prompt> " },
    ["anything after what is not there"] = { "started.*up", CHUNK,
      "started and up", "started and up" },
    ["a line without an end"] = { "x+ready", ("x-"):rep(20000), "xxready",
      "xxready" },
  } do
    it("is searched once for " .. what .. ", however often it is looked at",
      function()
        local pattern, chunk, last, expected = t.unpack(case)
        local process = echo()
        local count = searched(function()
          for _ = 1, 50 do
            feed(process, chunk)
            assert.equal(ETIMEDOUT, select(3, process:wait_log(pattern, 0)))
          end
          feed(process, last)
          assert.equal(expected, (process:wait_log(pattern, 0)))
        end)
        local size = #process:log()
        assert.is_true(count >= size)
        assert.is_true(count < 1.5 * size, count / size)
        -- and not again from the start when it is found
        assert.is_true(searched(function()
          assert.equal(expected, (process:wait_log(pattern, 0)))
        end) < 1000)
      end)
  end

  it("has a pattern found that what was written at several times is for",
    function()
      local process = echo()
      local parts = { "noise\nlist", "ening on", " [::", "]:80", "80\n" }
      for i, part in ipairs(parts) do
        feed(process, part)
        local port = process:wait_log("listening on %b[]:(%d+)\n", 0)
        assert.equal(i == 5 and "8080" or nil, port)
      end
    end)

  it("finds at any time what a search of all would find", function()
    math.randomseed(7)
    local random = math.random
    local singles = { "a", "b", "%d", ".", "%s", "[ab]", "[^a]", "[]a]", "\n",
      "%.", "[%d_]", "()" }
    local signs = { "", "", "", "*", "+", "-", "?" }
    local bytes = { "a", "b", "1", " ", "\n", ".", "_" }
    local function make()
      local parts, open = { random(12) == 1 and "^" or "" }, 0
      for _ = 1, random(5) do
        local kind = random(20)
        if kind == 1 then
          parts[#parts + 1] = "%bab"
        elseif kind == 2 then
          parts[#parts + 1] = "%f[%d]"
        elseif kind <= 4 then
          parts[#parts + 1], open = "(", open + 1
        else
          local single = singles[random(#singles)]
          parts[#parts + 1] = single
            .. (single == "()" and "" or signs[random(#signs)])
        end
      end
      parts[#parts + 1] = (")"):rep(open)
      if random(8) == 1 then parts[#parts + 1] = "$" end
      return table.concat(parts)
    end
    local found = 0
    for _ = 1, t.many(5000) do
      local pattern, text = make(), ""
      local finder = assert(search.new(pattern))
      for _ = 1, 5 do
        for _ = 1, random(0, 4) do text = text .. bytes[random(#bytes)] end
        local got
        if finder.from then
          local start = math.max(finder.from - 1, 1)
          got = search.go(finder, text:sub(start), start)
        end
        local expected = t.pack(text:match(pattern))
        if expected[1] == nil then
          assert.is_nil(got, ("%q in %q"):format(pattern, text))
        else
          assert(got, ("%q in %q"):format(pattern, text))
          assert.same(expected, got)
          found = found + 1
          break
        end
      end
    end
    assert.is_true(found > 1000 / t.slow)
  end)

  it("refuses a pattern that is malformed, whatever was written", function()
    local process = echo()
    for pattern, problem in pairs {
      ["a["] = "missing ']'", ["a[]"] = "missing ']'", ["x%"] = "ends with '%'",
      ["x%b("] = "missing arguments to '%b'", ["x(a"] = "unfinished capture",
      ["xa)"] = "invalid pattern capture", ["x%f"] = "missing '[' after '%f'",
      ["x%1"] = "invalid capture index", ["[a%"] = "missing ']'",
    } do
      assert.error_matches(function() process:wait_log(pattern, 0) end,
        "bad argument 'pattern' to 'wait_log' %(malformed pattern: "
          .. problem:gsub("%p", "%%%0"))
    end
    assert.error_matches(function() process:wait_log(7, 0) end,
      "bad argument 'pattern' to 'wait_log' %(string expected, got number%)")
  end)

  it("has the last bytes only, if that is asked for", function()
    local process = echo(1000)
    feed(process, "start\n")
    assert.equal("start\n", process:log())
    assert.equal("start", process:wait_log("^start", 0))
    feed(process, ("x"):rep(994))
    assert.equal("start\n" .. ("x"):rep(994), process:log())
    feed(process, "y")
    assert.equal("tart\n" .. ("x"):rep(994) .. "y", process:log())
    feed(process, ("z"):rep(2000))
    assert.equal(("z"):rep(1000), process:log())
    assert.equal(ETIMEDOUT, select(3, process:wait_log("^start", 0)))
    assert.equal(ETIMEDOUT, select(3, process:wait_log("y", 0)))
    feed(process, "ready 7\n")
    assert.equal("7", process:wait_log("ready (%d)", 0))
    process:close()
    assert.equal(("z"):rep(992) .. "ready 7\n", process:log())
    assert.equal("7", process:wait_log("ready (%d)", 0))
  end)

  it("with a bound has no more memory than that, and a little", function()
    local process = echo(100000)
    local path = ("/proc/self/fd/%s")
    local function memory() -- in bytes, of its file
      for _, fd in ipairs(core.readdir "/proc/self/fd") do
        if (core.readlink(path:format(fd)) or ""):find "memfd:netns log" then
          return t.must("stat -Lc %%b /proc/%s/fd/%s",
            core.readlink "/proc/self", fd) * 512
        end
      end
    end
    for _ = 1, 50 do
      feed(process, ("x"):rep(100000))
      netns.exec(netns.current(), { "true" }, { mounts = false })
      assert.is_true(memory() < 300000, memory())
    end
    assert.equal(100000, #process:log())
  end)

  it("takes a positive integer or a boolean", function()
    local ns = t.keep(netns.current())
    for _, log in ipairs { 0, -1, 1.5, "1000", {} } do
      assert.error_matches(function() ns:spawn({ "true" }, { log = log }) end,
        "'log' to 'spawn' %(boolean or positive integer expected")
    end
  end)
end)
