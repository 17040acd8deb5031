-- Errors of programming: where they point, and in which words.

local core = require "netns.core"
local netns = require "netns"
local t = require "spec.support"

require "netns.topology"

local HERE = "^%.?/?spec/regress/errors_spec%.lua:%d+: "

local function message_of(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return message
end

local function descriptors() return #core.readdir "/proc/self/fd" end

describe("an error of programming", function()
  local here
  t.guard(before_each, after_each)
  before_each(function() here = t.keep(assert(netns.current())) end)

  it("begins at the caller's line, through wrappers and tail calls", function()
    local line = debug.getinfo(1, "l").currentline
    local message = message_of(function()
      local result = here:links { foo = 1 }
      return result
    end)
    assert.equal(line + 2, tonumber(message:match ":(%d+): "))
    for _, call in ipairs {
      function() return here:link_add { kind = "bridge", foo = 1 } end,
      function() return here:link_add { kind = "tun", name = {} } end,
      function() return here:sockets { foo = 1 } end,
      function() return netns.spawn(1.5, { "true" }) end,
      function() return netns.set(1.5, 3) end,
      function() return netns.all.set(5) end,
      function() return here.fd() end,
    } do
      assert.matches(HERE, message_of(call))
      assert.matches(HERE, message_of(coroutine.wrap(function()
        local result = call()
        return result
      end)))
    end
    assert.matches(HERE, message_of(netns.open))
    assert.matches(HERE, message_of(string.gsub, "x", "x", netns.set))
  end)

  it("has no position where no line of Lua has called", function()
    local thread = coroutine.create(netns.open)
    local ok, message = coroutine.resume(thread)
    assert.is_false(ok)
    assert.matches("^bad argument 'NS' to 'open' ", message)
  end)

  it("of a function that call runs is raised again as it is", function()
    local problem = {}
    assert.equal(problem, message_of(here.call, here, error, problem))
    assert.equal("mine", message_of(here.call, here, error, "mine", 0))
  end)

  it("leaves no descriptor of what was opened for the call", function()
    local name = t.name()
    t.keep(assert(netns.add(name)))
    collectgarbage()
    collectgarbage "stop"
    local before = descriptors()
    for _, call in ipairs {
      function() return netns.links(name, { foo = 1 }) end,
      function() return netns.sockets(name, { foo = 1 }) end,
      function() return netns.route_add(name, { foo = 1 }) end,
      function() return netns.link_add(name, { kind = "veth", foo = 1 }) end,
    } do
      local ok = pcall(call)
      assert.is_false(ok)
      assert.equal(before, descriptors())
    end
    collectgarbage "restart"
    assert(netns.delete(name))
  end)

  it("points out of the library whatever files that is loaded from", function()
    local files = t.must "find lua -name '*.lua'"
    for file in files:gmatch "[^\n]+" do
      local name = file:match "^lua/(.*)%.lua$":gsub("/", ".")
        :gsub("%.init$", "")
      require(name)
      assert.is_true(core.owns("@./" .. file) or core.owns("@" .. file), file)
    end
  end)

  it("points to a program that is stored in the library's folder", function()
    local folder = t.must "mktemp -d"
    t.must("cp -r lua/netns %s/netns", folder)
    t.write(folder .. "/netns/program.lua", [[
      local netns = require "netns"
      print(select(2, pcall(function()
        local ns = netns.open {}
        return ns
      end)))]])
    local output = t.script(([[
      package.path = "%s/?.lua;%s/?/init.lua"
      dofile "%s/netns/program.lua"]]):format(folder, folder, folder))
    t.must("rm -r %s", folder)
    assert.matches("netns/program%.lua:3: bad argument 'NS'", output)
  end)

  it("points out of a library that was compiled, or preloaded", function()
    for _, strip in ipairs { "true", "false" } do
      local output = t.script(([[
        for file in io.popen "find lua -name '*.lua'":lines() do
          local name = file:match "^lua/(.*)%%.lua$"
            :gsub("/", "."):gsub("%%.init$", "")
          local chunk = assert(loadfile(file))
          package.preload[name] = assert((loadstring or load)(
            string.dump(chunk, %s), "=netns"))
        end
        local netns = require "netns"
        print(select(2, pcall(function()
          local ns = netns.all.set(5)
          return ns
        end)))]]):format(strip))
      assert.matches("^/tmp/[^\n:]*:%d+: bad argument 'id' to 'all.set'",
        output)
    end
  end)
end)

describe("an unknown key", function()
  local here
  t.guard(before_each, after_each)
  before_each(function() here = t.keep(assert(netns.current())) end)

  it("is refused with what it is called here, or the nearest", function()
    for hint, call in pairs {
      ["unknown key 'gateway' in 'route_add' %(here it is 'via'%)$"] =
        function() return here:route_add { gateway = "10.0.0.1" } end,
      ["unknown key 'timeuot' in 'exec' %(did you mean 'timeout'%?%)$"] =
        function() return here:exec({ "true" }, { timeuot = 1 }) end,
      ["unknown key 'prio' in 'rules' %(did you mean 'priority'%?%)$"] =
        function() return here:rules { prio = 1 } end,
      ["unknown key 'colour' in 'links'$"] =
        function() return here:links { colour = 1 } end,
      ["unknown key 'x%?y' in 'monitor'$"] =
        function() return netns.monitor { ["x\0y"] = 1 } end,
      ["unknown key 'x+%.%.%.' in 'monitor'$"] =
        function() return netns.monitor { [("x"):rep(1e6)] = 1 } end,
      ["unknown key of type table in 'links'$"] =
        function() return here:links { [{}] = 1 } end,
      ["unknown key 'word' in 'argv' of 'exec'$"] =
        function() return here:exec { "true", word = "x" } end,
      ["unknown key 'x' in 'handle'$"] = function() here.x = 1 end,
    } do
      local message = message_of(call)
      assert.matches(HERE, message)
      assert.matches(hint, message)
    end
  end)

  it("is not read by way of a metatable", function()
    local hidden = setmetatable({}, { __index = error, __pairs = error,
      __len = error })
    t.keep(assert(netns.monitor(hidden)))
    assert.matches("a program expected", message_of(here.exec, here, hidden))
  end)

  it("may be an argument too many, but for nil", function()
    assert.matches("too many arguments to 'delete' %(at most 2 expected, got 3",
      message_of(netns.delete, "x", {}, true))
    t.keep(assert(netns.current(nil, nil)))
    local monitor = t.keep(assert(netns.monitor()))
    assert.matches("too many arguments to 'read'",
      message_of(monitor.read, monitor, 0, 0))
  end)
end)
