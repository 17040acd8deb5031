local t = require "spec.support"

local function blocks()
  local list = {}
  for code in t.read "README.md":gmatch "\n```lua\n(.-)\n```" do
    list[#list + 1] = code
  end
  return list
end

-- What a block prints has to be what its comment says (--> …), where "…"
-- stands for anything and white space for white space.
local function expectations(code)
  local list = {}
  for line in code:gmatch "%-%->%s*([^\n]*)" do
    local pattern = line:gsub("%p", "%%%0"):gsub("…", ".*")
      :gsub("%s+", "%%s+")
    list[#list + 1] = pattern
  end
  return list
end

-- Runs a block, one with tests as busted does it; its output and status.
local function run(code)
  if not code:find "\ndescribe%(" then return t.script(code) end
  local directory = t.must "mktemp -d"
  finally(function() t.must("rm -r %s", directory) end)
  t.write(directory .. "/block_spec.lua", code)
  local paths = ("env LUA_PATH=%s LUA_CPATH=%s")
    :format(t.quote(package.path), t.quote(package.cpath))
  local output, status =
    t.sh("%s %s /usr/bin/busted %s", paths, t.lua, directory)
  assert.is_nil(output:find "0 successes / 0 failures / 0 errors / 0 pending")
  return output, status
end

describe("the README", function()
  t.guard(before_each, after_each)

  for i, code in ipairs(blocks()) do
    it(("block %d runs as it stands"):format(i), function()
      local _, problem = t.load(code)
      if problem and t.version < 5.4 then -- it has <close>
        return pending("this Lua cannot: " .. problem:gsub("\n", " "))
      end
      local output, status = run(code)
      assert.equal(0, status, output)
      for _, pattern in ipairs(expectations(code)) do
        assert.matches(pattern, output)
      end
    end)
  end

  it("has blocks", function()
    assert.is_true(#blocks() >= 4)
  end)
end)

describe("the examples", function()
  t.guard(before_each, after_each)

  local paths = ("env LUA_PATH=%s LUA_CPATH=%s %s ")
    :format(t.quote(package.path), t.quote(package.cpath), t.lua)

  it("lab.lua builds, pings and draws", function()
    local dir = t.must "mktemp -d"
    local output, status = t.sh("%s examples/lab.lua %s", paths, dir)
    assert.equal(0, status, output)
    assert.matches("10%.0%.2%.2 answers after", output)
    assert.matches("2 packets transmitted, 2 received", output)
    assert.matches("differences from the plan:%s+0", output)
    assert.equal("lab.dot\nlab.svg", t.must("ls %s", dir))
    t.must("rm -r %s", dir)
  end)

  it("tour.lua makes, links, pings and takes away", function()
    local output, status = t.sh("%s examples/tour.lua", paths)
    assert.equal(0, status, output)
    assert.matches("2 packets transmitted, 2 received", output)
    assert.matches("event\tdelete", output)
  end)

  it("monitor.lua prints what comes and goes", function()
    local name = t.name()
    t.must("ip netns add %s", name)
    local output, status = t.sh("%s examples/monitor.lua 0", paths)
    assert.equal(0, status, output)
    assert.matches("\tadd\t" .. name:gsub("%-", "%%-"), output)
    t.must("ip netns delete %s", name)
  end)
end)
