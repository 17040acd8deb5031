-- Names, and what is found below them.

local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = netns.errno

describe("a name #novalgrind", function()
  t.guard(before_each, after_each)

  it("that is stale is told as such by every call", function()
    local name = t.name()
    t.must("touch /run/netns/%s", name)
    for _, call in ipairs {
      "open", "inode", "cookie", "pids", "links", "addrs", "routes", "rules",
      "neighs", "qdiscs", "sockets", "id", "identify",
    } do
      local result, message, code = netns[call](name)
      assert.is_nil(result, call)
      assert.matches(('"%s": the name is stale, it is not a network namespace$')
        :format(name:gsub("%-", "%%-")), message)
      assert.equal(errno.EINVAL, code)
    end
    for _, call in ipairs {
      function() return netns.exec(name, { "true" }) end,
      function() return netns.call(name, print) end,
      function() return netns.attach(t.name(), name) end,
      function() return netns.set(name, 1) end,
      function() return netns.ping(name, "127.0.0.1") end,
      function() return netns.sysctl(name, "net.ipv4.ip_forward") end,
      function() return netns.open("/run/netns/" .. name) end,
    } do
      assert.matches("the name is stale, it is not a network namespace$",
        (select(2, call())))
    end
    assert(netns.delete(name))
  end)

  it("under which something else is mounted is opened by no look", function()
    local name, fifo = t.name(), os.tmpname()
    t.must("rm %s; mkfifo %s; touch /run/netns/%s", fifo, fifo, name)
    t.must("mount --bind %s /run/netns/%s", fifo, name)
    assert.equal("true", (t.script(([[
      local netns = require "netns"
      for _, entry in ipairs(assert(netns.list())) do
        if entry.name == %q then print(entry.stale) end
      end
      assert(netns.list_id())
      assert(netns.all.pids())
      assert(netns.monitor { existing = true }):close()
      assert(not netns.open(%q))
    ]]):format(name, name), "timeout 60")))
    t.must("umount /run/netns/%s; rm %s", name, fifo)
    assert(netns.delete(name))
  end)

  it("that cannot be looked at is not called stale", function()
    local name = t.name()
    t.must("mkdir -m 700 /run/closed; touch /run/closed/x")
    t.must("ln -s /run/closed/x /run/netns/%s", name)
    local script = [[
      local netns = require "netns"
      print(netns.list())
    ]]
    assert.matches("^nil\tlist: " .. name:gsub("%-", "%%-")
      .. ": Permission denied\t13$", (t.script(script, t.nobody)))
    t.must "rm -r /run/closed"
    -- now it is known
    assert.is_true(assert(netns.list())[1].stale)
    assert(netns.delete(name))
  end)
end)

describe("delete #novalgrind", function()
  t.guard(before_each, after_each)

  it("with wait tells at once that this process holds the namespace", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    local start = core.now()
    local ok, message, code = netns.delete(name, { wait = 1000 })
    assert.is_nil(ok)
    assert.is_true(core.now() - start < 500)
    assert.matches(("descriptor %d of process %%d+ %%(this process%%)")
      :format(ns:fd()), message)
    assert.equal(errno.ETIMEDOUT, code)
  end)

  it("with wait tells it of a socket, too", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    local sock = t.keep(assert(ns:socket("inet", "dgram")))
    ns:close()
    local _, message = netns.delete(name, { wait = 1000 })
    assert.matches(("socket %d of process %%d+ %%(this process%%)")
      :format(sock:fd()), message)
  end)

  it("leaves the mounts as they are when it fails", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local before = t.read "/proc/self/mountinfo"
    for _, call in ipairs { "statfs", "unlink", "umount2" } do
      local output = t.script(([[
        print(require "netns".delete(%q))
      ]]):format(name), t.failing(call, "EIO"))
      assert.matches("^nil\tdelete .*: Input/output error\t5$", output)
      local after = t.read "/proc/self/mountinfo"
      assert.equal(select(2, before:gsub("\n", "")),
        select(2, after:gsub("\n", "")))
    end
    assert(netns.delete(name))
  end)

  it("with kill fails if the namespace of a process cannot be told", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local pid = t.sleeper("/run/netns/" .. name)
    local output = t.script(([[
      print(require "netns".delete(%q, { kill = true }))
    ]]):format(name), t.failing("readlinkat", "EACCES", "2+"))
    assert.matches("^nil\tkill .*: Permission denied\t13$", output)
    assert.is_true(t.runs(pid))
    assert.is_true(netns.delete(name, { kill = true, wait = 60 }))
  end)
end)
