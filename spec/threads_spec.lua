local t = require "spec.support"

-- Every thread makes, enters, lists, runs in and deletes namespaces of its own,
-- and must be where it was after each step, whatever the others do.
local script = [[
  local netns = require "netns"
  local core = require "netns.core"
  local home = core.readlink "/proc/thread-self/ns/net"
  local function at_home()
    assert(core.readlink "/proc/thread-self/ns/net" == home)
  end
  -- half of the threads have moved to a namespace of their own
  local function work()
    home = core.readlink "/proc/thread-self/ns/net"
    for i = 1, %d do
      local name = ("thread-%%d-%%d"):format(arg.thread, i)
      local ns = assert(netns.add(name))
      at_home()
      ns:call(function()
        assert(netns.current() == ns)
        local inner = assert(netns.new())
        assert(netns.current() == ns)
        inner:close()
      end)
      at_home()
      assert(not pcall(ns.call, ns, error))
      at_home()
      assert(ns:socket("inet", "dgram")):close()
      assert(ns:sysctl("net.ipv4.ip_forward", 1))
      at_home()
      assert(ns:exec({ "true" }, { mounts = i %% 2 == 0 }))
      at_home()
      assert(ns:set(ns, 5))
      assert(ns:id(ns) == 5)
      assert(#netns.list() > 0)
      assert(netns.delete(name))
      at_home()
      ns:close()
    end
  end
  if arg.thread %% 2 == 0 then
    assert(netns.new()):call(work)
  else
    work()
  end
]]

describe("eight threads with a Lua state each", function()
  t.guard(before_each, after_each)

  it("work side by side, and end where they started", function()
    assert.equal("", (t.script(script:format(25), nil, t.host .. " 8")))
  end)
end)
