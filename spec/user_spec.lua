local netns = require "netns"
local t = require "spec.support"

describe("an ordinary user", function()
  t.guard(before_each, after_each)

  it("reads what everyone may read", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    assert(netns.set(ns, 9))
    local output = t.script([[
      local netns = require "netns"
      for _, entry in ipairs(assert(netns.list())) do
        print(entry.name, entry.id, entry.inode)
      end
      print(#assert(netns.names()), #assert(netns.identify()))
      print(netns.id(netns.names()[1]), netns.list_id()[1].nsid)
      local ns = assert(netns.open(netns.names()[1]))
      print(ns:inode() == netns.inode(netns.names()[1]))
    ]], t.nobody)
    assert.equal(("%s\t9\t%d\n1\t0\n9\t9\ntrue")
      :format(name, ns:inode()), output)
    assert(netns.delete(name))
  end)

  it("is told EPERM or EACCES by name, and nothing is lost", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local output = t.script(([[
      local netns = require "netns"
      local core = require "netns.core"
      local name = %q
      local home = core.readlink "/proc/thread-self/ns/net"
      for what, call in pairs {
        add = function() return netns.add "mine" end,
        attach = function()
          return netns.attach("mine", "/proc/self/ns/net")
        end,
        delete = function() return netns.delete(name) end,
        ["delete wait"] = function()
          return netns.delete(name, { wait = 1 })
        end,
        new = netns.new,
        exec = function() return netns.exec(name, { "true" }) end,
        call = function() return netns.call(name, print) end,
        socket = function() return netns.socket(name, "inet", "dgram") end,
        sysctl = function()
          return netns.sysctl(name, "net.ipv4.ip_forward")
        end,
        set = function() return netns.set(name, 9) end,
        pid = function() return netns.open(1) end,
        kill = function()
          return netns.delete(name, { kill = true })
        end,
      } do
        local ok, message, errno = call()
        print(what, ok, errno == core.errno.EPERM or errno == core.errno.EACCES,
          tostring(errno):match "^%%d+$" ~= nil, type(message))
        assert(home == core.readlink "/proc/thread-self/ns/net")
      end
    ]]):format(name), t.nobody)
    local count = 0
    for line in output:gmatch "[^\n]+" do
      assert.matches("^[%a ]+\tnil\ttrue\ttrue\tstring$", line)
      count = count + 1
    end
    assert.equal(12, count)
    assert.same({ name }, netns.names())
    assert(netns.delete(name))
  end)

  it("may monitor names", function()
    local name = t.name()
    local reader = t.background([[
      local netns = require "netns"
      local mon = assert(netns.monitor { timeout = 60 })
      print "ready"
      io.stdout:flush()
      for _ = 1, 2 do
        local event = assert(mon:read())
        print(event.action, event.name)
        io.stdout:flush()
      end
    ]], t.nobody)
    assert.equal("ready", reader:read())
    assert(netns.add(name)):close()
    assert.equal("add\t" .. name, reader:read())
    assert(netns.delete(name))
    assert.equal("delete\t" .. name, reader:read())
    assert.is_true(reader:close())
  end)
end)
