local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

describe("open", function()
  t.guard(before_each, after_each)

  it("takes a handle, a name, a path and a process id", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    local pid = t.sleeper("/run/netns/" .. name)
    for _, NS in ipairs {
      ns, name, "/run/netns/" .. name, ("/proc/%d/ns/net"):format(pid), pid,
      ("/proc/self/fd/%d"):format(ns:fd()),
    } do
      local other = t.keep(assert(netns.open(NS)))
      assert.is_true(other == ns)
      assert.not_equal(other:fd(), ns:fd())
    end
    t.stop(pid)
    assert(netns.delete(name))
  end)

  it("knows the name of a path below the directory of names", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local ns = t.keep(assert(netns.open("/run/netns/" .. name)))
    assert.equal(name, ns:name())
    assert(netns.delete(name))
  end)

  it("refuses a path that is no network namespace", function()
    for _, path in ipairs {
      "/proc/self/ns/mnt", "/proc/self/ns/user", "/etc/passwd", "/dev/null",
      "/dev/zero", "/tmp/", "/", "./", "/proc/self/mem",
    } do
      local nothing, message, code = netns.open(path)
      assert.is_nil(nothing)
      assert.equal(('open "%s": it is not a network namespace')
        :format(path), message)
      assert.equal(errno.EINVAL, code)
    end
  end)

  it("does not wait for the writer of a pipe", function()
    local path = os.tmpname()
    t.must("rm %s && mkfifo %s", path, path)
    assert.equal(errno.EINVAL, (select(3, netns.open(path))))
    os.remove(path)
  end)

  it("says what is missing", function()
    local name = t.name()
    for NS, code in pairs {
      [name] = errno.ENOENT, ["/no/such/path"] = errno.ENOENT,
      [0x7ffffffe] = errno.ESRCH, [0] = errno.EINVAL, [-1] = errno.EINVAL,
      [0x10000000000] = errno.EINVAL, [""] = errno.EINVAL,
      [".."] = errno.EINVAL, ["a\0b"] = errno.EINVAL,
      ["/proc/self/ns/net\0"] = errno.EINVAL,
      [("n"):rep(256)] = errno.EINVAL, [("/n"):rep(5000)] = 36,
    } do
      local nothing, message, number = netns.open(NS)
      assert.is_nil(nothing)
      assert.matches("^open ", message)
      assert.equal(code, number)
    end
  end)

  it("raises an error for what cannot be a namespace", function()
    for _, value in ipairs { true, {}, print, io.stdout } do
      assert.error_matches(function() netns.open(value) end,
        "namespace %(handle, name, path or process id%) expected")
    end
    assert.has_error(function() netns.open() end)
    assert.error_matches(function() netns.open(1.5) end,
      "process id expected, got 1.5")
  end)
end)

describe("a handle", function()
  t.guard(before_each, after_each)

  it("of a new namespace has no name and is like no other", function()
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    local here = t.keep(assert(netns.current()))
    assert.is_nil(a:name())
    assert.same({}, assert(a:names()))
    assert.is_false(a == b)
    assert.is_false(a == here)
    assert.is_false(a == 5)
    assert.not_equal(a:cookie(), b:cookie())
    assert.equal(a:cookie(), netns.open(a):cookie())
  end)

  it("tells what the kernel tells", function()
    local here = t.keep(assert(netns.current()))
    local link = core.readlink "/proc/thread-self/ns/net"
    assert.equal(link, ("net:[%d]"):format(here:inode()))
    assert.equal(link, core.readlink("/proc/self/fd/" .. here:fd()))
    assert.is_true(t.is_integer(here:cookie()))
    assert.equal(here:inode(), netns.inode(here))
    assert.equal(here:cookie(), netns.cookie "/proc/self/ns/net")
  end)

  it("prints what it is", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    assert.equal(("netns.ns (%s, fd %d, net:[%d])")
      :format(name, ns:fd(), ns:inode()), tostring(ns))
    local new = t.keep(assert(netns.new()))
    assert.equal(("netns.ns (fd %d, net:[%d])"):format(new:fd(), new:inode()),
      tostring(new))
    ns:close()
    assert.equal("netns.ns (closed)", tostring(ns))
    assert(netns.delete(name))
  end)

  it("is close-on-exec", function()
    local ns = t.keep(assert(netns.new()))
    local flags = t.must("grep flags /proc/%s/fdinfo/%d",
      core.readlink "/proc/self", ns:fd()):match "%d+"
    assert.equal(1, math.floor(tonumber(flags, 8) / 2 ^ 19) % 2) -- O_CLOEXEC
  end)

  it("raises an error when it is closed, but closes twice", function()
    local ns = assert(netns.new())
    assert.is_true(ns:close())
    assert.is_true(ns:close())
    for _, method in ipairs {
      "fd", "name", "names", "inode", "cookie", "pids", "list_id",
    } do
      assert.error_matches(function() ns[method](ns) end, "handle is closed")
    end
    for _, call in ipairs {
      function() ns:call(print) end,
      function() ns:exec { "true" } end,
      function() ns:socket("inet", "dgram") end,
      function() ns:sysctl "net.ipv4.ip_forward" end,
      function() ns:set(1, 5) end,
      function() ns:id(1) end,
      function() netns.id(ns) end,
      function() netns.attach("x", ns) end,
    } do
      assert.error_matches(call, "handle is closed")
    end
    assert.is_false(ns == ns:close())
    assert.error_matches(function() netns.id(ns) end,
      "bad argument 'NS' to 'id' %(handle is closed%)")
  end)

  it("when collected closes its descriptor, and its namespace goes", function()
    local count = #core.readdir "/proc/self/fd"
    for _ = 1, 10 do assert(netns.new()) end
    collectgarbage()
    collectgarbage()
    assert.equal(count, #core.readdir "/proc/self/fd")
  end)

  it("works with <close>, also when an error is on its way", function()
    local run = t.load [[
      local new, take = ...
      local ns <close> = assert(new())
      take(ns)
      error "x"
    ]]
    if not run then return pending "this Lua has no <close>" end
    local taken
    assert.is_false(pcall(run, netns.new, function(ns) taken = ns end))
    assert.equal("netns.ns (closed)", tostring(taken))
  end)

  it("dies with its process, SIGKILL included, if it has no name", function()
    local output = t.script([[
      local netns = require "netns"
      local ns = assert(netns.new())
      assert(netns.set(ns, 4242))
      os.execute("kill -9 $PPID")
    ]])
    assert.is_string(output)
    -- (asked for by its id, one that is going is not there already)
    t.eventually(function()
      for _, entry in ipairs(assert(netns.list_id())) do
        if entry.nsid == 4242 then return false end
      end
      return true
    end)
  end)
end)

describe("the module", function()
  it("has what the contract names", function()
    for _, name in ipairs {
      "list", "names", "add", "attach", "delete", "set", "id", "list_id",
      "identify", "pids", "exec", "monitor", "open", "current", "new", "call",
      "socket", "sysctl", "inode", "cookie",
    } do
      assert.equal("function", type(netns[name]), name)
    end
    for _, name in ipairs { "exec", "delete", "call", "set", "pids" } do
      assert.equal("function", type(netns.all[name]), name)
    end
    assert.equal("/run/netns", netns.run_dir)
  end)

  it("loads from the shared object alone, as the core", function()
    local output = t.script [[
      package.path = ""
      local netns = require "netns"
      local ns = assert(netns.new())
      print(ns:call(function() return ns == netns.current() end))
      print(package.loaded["netns.ids"])
    ]]
    assert.equal("true\nnil", output)
  end)

  it("sets no global, and reads none that is unknown", function()
    local output = t.script [[
      setmetatable(_G, {
        __newindex = function(_, key) error("set " .. tostring(key)) end,
        __index = function(_, key) error("read " .. tostring(key)) end,
      })
      local netns = require "netns"
      assert(netns.new():exec { "true" })
      print(#netns.names() >= 0)
    ]]
    assert.equal("true", output)
  end)
end)
