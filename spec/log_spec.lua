-- What spawn{log=true} keeps.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno

local function start(script, opts)
  local ns = t.keep(assert(netns.new()))
  opts = opts or {}
  opts.log = true
  return t.keep(assert(ns:spawn({ "sh", "-c", script }, opts)))
end

describe("a log", function()
  t.guard(before_each, after_each)

  it("has stdout and stderr in their order, also after the end", function()
    local process = start "echo one; echo two >&2; printf three"
    assert.is_true(process:wait())
    assert.equal("one\ntwo\nthree", process:log())
    process:close()
    assert.equal("one\ntwo\nthree", process:log())
    assert.equal("wo", process:wait_log "(w.)\n")
  end)

  it("is no pipe: a program writes on, however much it is", function()
    local process = start "head -c 10000000 /dev/zero; echo; echo end"
    assert.is_true(process:wait(60))
    assert.equal(10000005, #process:log())
  end)

  it("is waited for by events, and gives what string.match does", function()
    local process = start("read x; echo port 80 of $x; read x; echo bye",
      { stdin = "pipe" })
    local nothing, message, code = process:wait_log("port", 0.05)
    assert.is_nil(nothing)
    assert.equal(errno.ETIMEDOUT, code)
    assert.matches('sh: timed out waiting for "port"$', message)
    process.stdin:write "web\n"
    local port, name = process:wait_log("port (%d+) of (%a+)", 10)
    assert.same({ "80", "web" }, { port, name })
    -- again from the start
    assert.equal("port 80", process:wait_log("port %d+", 0))
    process.stdin:write "\n"
    assert.equal("bye", process:wait_log "bye")
  end)

  it("ends the waiting when the program has ended without", function()
    local process = start "echo started; sleep 0.1; exit 3"
    local nothing, message, code = process:wait_log("ready", 60)
    assert.is_nil(nothing)
    assert.equal(errno.ESRCH, code)
    assert.matches('it has ended without "ready"; it wrote last: started$',
      message)
    assert.same({ "exit", 3 }, { select(3, process:wait()) })
    assert.equal("started\n", process:log())
  end)

  it("is seen whole in the moment of the end", function()
    for _ = 1, t.many(100) do
      local process = start "echo done"
      assert.equal("done", process:wait_log("done", 60))
      process:close()
    end
  end)

  it("is not had of other processes, nor with other outputs", function()
    local ns = t.keep(assert(netns.new()))
    local process = t.keep(assert(ns:spawn { "true" }))
    for _, method in ipairs { "log", "wait_log" } do
      local ok, message = pcall(process[method], process, method == "wait_log"
        and "x" or nil)
      assert.is_false(ok)
      assert.matches(("bad argument 'process' to '%s' %%(a process of spawn "
        .. "with 'log' expected%%)$"):format(method), message)
    end
    for _, stream in ipairs { "stdout", "stderr" } do
      assert.error_matches(function()
        ns:spawn({ "true" }, { log = true, [stream] = "null" })
      end, ("'log' and '%s' in 'spawn' exclude each other"):format(stream))
    end
    assert.error_matches(function() ns:exec({ "true" }, { log = true }) end,
      "unknown key 'log' in 'exec'")
    local logged = start "true"
    assert.error_matches(function() logged:wait_log "[" end, "malformed")
    assert.error_matches(function() logged:wait_log("x", -1) end, "timeout")
  end)

  it("is gone with what could not be started #novalgrind", function()
    local ns = t.keep(assert(netns.new()))
    local nothing, _, code = ns:spawn({ "no-such-program" }, { log = true })
    assert.is_nil(nothing)
    assert.equal(errno.ENOENT, code)
  end)
end)
