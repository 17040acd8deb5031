local t = require "spec.support"

-- As long as `make threads` and `make tsan` say; a short while in between.
local seconds = tonumber(os.getenv "NETNS_SPEC_SECONDS") or 3

describe("eight threads with a Lua state each", function()
  t.guard(before_each, after_each)

  it("do everything side by side, and leave nothing behind", function()
    local output, code = t.script(
      ("return assert(loadfile 'spec/threads.lua')(%d)"):format(seconds),
      ("timeout -s KILL %d"):format(seconds * 10 + 100), t.host .. " 8")
    assert.equal("", output)
    assert.equal(0, code)
  end)
end)
