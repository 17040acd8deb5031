-- The examples that are specs themselves, run as a project would run its own.

local t = require "spec.support"

local paths = ("env LUA_PATH=%s LUA_CPATH=%s")
  :format(t.quote(package.path), t.quote(package.cpath))

-- Why an example cannot run here, if it cannot.
local function lacks(programs)
  for _, program in ipairs(programs) do
    if select(2, t.sh("%s", program)) ~= 0 then
      return ("%s fails (make deps GROUPS=examples)"):format(program)
    end
  end
end

-- Runs busted on it; what it printed. All that it makes for itself has to be
-- gone then.
local function run(path)
  local directory = t.must "mktemp -d"
  finally(function() t.must("rm -rf %s", directory) end)
  local output, status = t.sh("%s TMPDIR=%s %s /usr/bin/busted %s", paths,
    directory, t.lua, path)
  assert.equal(0, status, output)
  assert.matches("[1-9]%d* success.* / 0 failures / 0 errors / 0 pending",
    output)
  assert.equal("", t.must("ls -A %s", directory))
end

describe("the example of busted with", function()
  t.guard(before_each, after_each)

  for path, programs in pairs {
    ["examples/routing"] = { "bird --version" },
    ["examples/dhcp"] = { "dnsmasq --version", "busybox udhcpc --help" },
  } do
    it(("%s passes"):format(programs[1]:match "%a+"), function()
      local lack = lacks(programs)
      if lack then return pending(lack) end
      run(path)
    end)

    it(("%s says so where it cannot have a lab"):format(path), function()
      local output, status = t.sh("%s %s %s /usr/bin/busted %s", t.nobody,
        paths, t.lua, path)
      assert.equal(0, status, output)
      assert.matches(" 0 failures / 0 errors / [1-9]%d* pending", output)
      assert.matches("Operation not permitted", output)
    end)
  end
end)
