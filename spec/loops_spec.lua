local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

local function space()
  local name = t.name()
  local ns = assert(netns.add(name))
  t.keep { close = function()
    ns:close()
    core.remove(name)
  end }
  return ns, name
end

-- Whether a descriptor becomes readable within so many seconds.
local function readable(object, seconds)
  local gate = assert(core.gate "spec")
  assert(gate:add(object:fd(), "spec"))
  local ready = gate:wait(seconds or 0)
  gate:close()
  return ready
end

-- What read(0) gives until there is no more, without waiting.
local function drain(monitor)
  local list = {}
  repeat
    local from = core.now()
    local event, message, code = monitor:read(0)
    assert.is_true(core.now() - from < 1)
    assert(event or code == errno.ETIMEDOUT, message)
    list[#list + 1] = event
  until not event
  return list
end

describe("one descriptor to poll", function()
  t.guard(before_each, after_each)

  it("is what a monitor of names has", function()
    local monitor = t.keep(assert(netns.monitor { ids = true }))
    assert.is_false(readable(monitor))
    local ns = space()
    assert.is_true(readable(monitor, 9))
    drain(monitor)
    assert.is_false(readable(monitor))
    assert(netns.set(ns, 7))
    assert.is_true(readable(monitor, 9))
    assert.equal("add-id", drain(monitor)[1].action)
    assert.is_false(readable(monitor))
  end)

  it("stays readable while events wait that were read with others", function()
    local monitor = t.keep(assert(netns.monitor()))
    for _ = 1, 3 do space() end
    for i = 1, 3 do
      assert.is_true(readable(monitor, 9))
      assert.equal("add", assert(monitor:read(0)).action, i)
    end
    assert.is_false(readable(monitor))
  end)

  it("is what a monitor of links has", function()
    local ns = space()
    local monitor = t.keep(assert(ns:monitor_links()))
    assert.is_false(readable(monitor))
    assert(ns:link_add { name = "br0", kind = "bridge" })
    assert.is_true(readable(monitor, 9))
    assert.equal("br0", drain(monitor)[1].link.name)
    assert.is_false(readable(monitor))
    assert(ns:addr_add("br0", "192.0.2.1/24"))
    assert.is_true(readable(monitor, 9))
    drain(monitor)
    assert.is_false(readable(monitor))
  end)

  it("is what a program has", function()
    local ns = space()
    local process = t.keep(assert(ns:spawn({ "sh", "-c", "read x; exit 3" },
      { stdin = "pipe", mounts = false })))
    assert.is_false(readable(process))
    assert.equal(errno.ETIMEDOUT, select(3, process:wait(0)))
    process.stdin:write "\n"
    process.stdin:close()
    assert.is_true(readable(process, 9))
    assert.same({ "exit", 3 }, { select(3, process:wait(0)) })
  end)

  for _, loop in ipairs { "cqueues", "luv" } do
    it("is enough for " .. loop, function()
      if select(2, t.sh("%s -e 'require %q'", t.plain_lua, loop)) ~= 0 then
        return pending(("no %s for this Lua (make deps GROUPS=hosts)")
          :format(loop))
      end
      local output, code = t.sh(
        "env LUA_PATH=%s LUA_CPATH=%s timeout 60 %s examples/loops/%s.lua",
        t.quote(package.path), t.quote(package.cpath), t.lua, loop)
      assert.equal(0, code, output)
      local lines = {}
      for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
      table.sort(lines)
      assert.same({
        "link\tadd\tbr0", "link\tdelete\tbr0", "name\tadd\ttrue",
        "name\tdelete\ttrue", "program\texit\t3",
      }, lines)
    end)
  end
end)
