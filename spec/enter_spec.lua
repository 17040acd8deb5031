local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

local function here()
  return core.readlink "/proc/thread-self/ns/net"
end

describe("call", function()
  t.guard(before_each, after_each)

  it("runs a function inside, and returns its results", function()
    local ns = t.keep(assert(netns.new()))
    local home = here()
    local results = t.pack(ns:call(function(...)
      return here(), select("#", ...), ...
    end, 1, nil, "x", nil))
    assert.equal(("net:[%d]"):format(ns:inode()), results[1])
    assert.equal(4, results[2])
    assert.same({ 1, nil, "x", n = 4 },
      { results[3], results[4], results[5], n = results.n - 2 })
    assert.equal(home, here())
    assert.equal(0, select("#", ns:call(function() end)))
  end)

  it("takes any NS, and leaves no descriptor of it", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    for _, NS in ipairs { name, "/run/netns/" .. name, ns } do
      assert.is_true(netns.call(NS, function()
        local current = t.keep(netns.current())
        return current == ns
      end))
    end
    assert(netns.delete(name))
    local nothing, message, code = netns.call(name, print)
    assert.is_nil(nothing)
    assert.equal(('call "%s": No such file or directory'):format(name), message)
    assert.equal(errno.ENOENT, code)
  end)

  it("raises an error of the function again when the thread is home", function()
    local ns = t.keep(assert(netns.new()))
    local home = here()
    for _, value in ipairs { "text", 5, {}, false } do
      local ok, err = pcall(ns.call, ns, function() error(value, 0) end)
      assert.is_false(ok)
      assert.equal(value, err)
      assert.equal(home, here())
    end
    assert.has_error(function() ns:call(5) end)
    assert.has_error(function() ns:call() end)
  end)

  it("refuses to yield, and the thread is home", function()
    local ns = t.keep(assert(netns.new()))
    local home = here()
    local ok, message = coroutine.resume(coroutine.create(function()
      ns:call(coroutine.yield)
    end))
    assert.is_false(ok)
    assert.matches("attempt to yield", message)
    assert.equal(home, here())
  end)

  it("runs in a coroutine, and coroutines run in it", function()
    local ns = t.keep(assert(netns.new()))
    local inside = ("net:[%d]"):format(ns:inode())
    assert.same({ inside, inside }, coroutine.wrap(function()
      return ns:call(function()
        local step = coroutine.wrap(function()
          coroutine.yield(here())
          coroutine.yield(here())
        end)
        return { step(), step() }
      end)
    end)())
  end)

  it("nests", function()
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    local home = here()
    local seen = {}
    a:call(function()
      b:call(function()
        seen[1] = netns.current() == b
        pcall(a.call, a, function() error "x" end)
        seen[2] = netns.current() == b
      end)
      seen[3] = netns.current() == a
    end)
    assert.same({ true, true, true }, seen)
    assert.equal(home, here())
  end)

  it("survives the handle's being closed inside", function()
    local ns = assert(netns.new())
    local home = here()
    ns:call(function() ns:close() end)
    assert.equal(home, here())
  end)

  it("says so when the thread cannot be brought back", function()
    -- two are for the new one (the way home is tried first), two for the call
    local output = t.script([[
      local netns = require "netns"
      local ns = assert(netns.new())
      print(pcall(ns.call, ns, function() return "result" end))
      print(pcall(netns.all.call, function() return "result" end))
    ]], t.failing("setns", "EPERM", 4))
    assert.matches("^false\t.*this thread could not be brought back to its "
      .. "network namespace and is in another one now: "
      .. "Operation not permitted", output)
  end)

  it("makes no namespace from which there would be no way home", function()
    local output = t.script([[
      local netns = require "netns"
      local home = netns.current()
      print(select(3, netns.new()), netns.current() == home)
    ]], "unshare --user --map-root-user")
    assert.equal("1\ttrue", output)
  end)

  it("goes home where /proc is not to be had", function()
    if t.kernel() < 6.11 then
      return pending "needs PIDFD_GET_NET_NAMESPACE of Linux 6.11"
    end
    local output = t.script([[
      local netns = require "netns"
      local core = require "netns.core"
      local ns = assert(netns.new())
      local home = netns.current()
      os.execute "while umount -l /proc; do :; done 2>/dev/null"
      print(core.readdir "/proc/self" == nil, ns:call(function()
        return netns.current() == ns
      end), netns.current() == home)
    ]], "env ASAN_OPTIONS=detect_leaks=0 unshare -m") -- leaks: needs /proc
    assert.equal("true\ttrue\ttrue", output)
  end)
end)

describe("socket", function()
  t.guard(before_each, after_each)

  it("lives in the namespace #novalgrind", function()
    local ns = t.keep(assert(netns.new()))
    local pid = tonumber(core.readlink "/proc/self")
    for _, case in ipairs {
      { "inet", "stream" }, { "inet", "dgram" }, { "inet6", "stream" },
      { "inet", "raw", 1 }, { "unix", "stream" }, { "unix", "dgram" },
      { "netlink", "raw" }, { "netlink", "dgram", 0 },
      { "packet", "raw", 0x0800 }, { "packet", "dgram" },
    } do
      local sock = assert(ns:socket(t.unpack(case)))
      assert.equal(ns:inode(), (core.held(pid, sock:fd())))
      assert.equal(("netns.socket (fd %d)"):format(sock:fd()), tostring(sock))
      assert.is_true(sock:close())
      assert.is_true(sock:close())
      assert.equal("netns.socket (closed)", tostring(sock))
      assert.error_matches(function() sock:fd() end, "socket is closed")
    end
  end)

  it("keeps its namespace alive", function()
    local ns = assert(netns.new())
    local other = t.keep(assert(netns.new()))
    assert(other:set(ns, 5))
    local sock = t.keep(assert(ns:socket("inet", "dgram")))
    ns:close()
    assert.is_truthy(other:list_id { nsid = 5 })
    sock:close()
    t.eventually(function() return #assert(other:list_id()) == 0 end)
  end)

  it("hands its descriptor over", function()
    -- in a process of its own, because plain Lua cannot close a descriptor
    local output = t.script [[
      local netns = require "netns"
      local core = require "netns.core"
      local sock = assert(netns.socket("/proc/self/ns/net", "inet", "dgram"))
      local fd = sock:detach()
      print(tostring(sock), pcall(sock.detach, sock))
      sock = nil
      collectgarbage()
      print(core.readlink("/proc/self/fd/" .. fd))
    ]]
    assert.matches("^netns.socket %(closed%)\tfalse\t.*socket is closed%)\n"
      .. "socket:%[%d+%]$", output)
  end)

  it("refuses what it does not know", function()
    local ns = t.keep(assert(netns.new()))
    assert.error_matches(function() ns:socket("ipx", "raw") end,
      "invalid option 'ipx'")
    assert.error_matches(function() ns:socket("inet", "tcp") end,
      "invalid option 'tcp'")
    assert.error_matches(function() ns:socket("inet", "raw", -1) end,
      "out of range")
    local nothing, message, code = ns:socket("inet", "stream", 999)
    assert.is_nil(nothing)
    assert.matches("^socket net:", message)
    assert.equal(errno.EINVAL, code)
  end)
end)

describe("sysctl", function()
  t.guard(before_each, after_each)

  it("reads and writes those of the namespace alone", function()
    local ns = t.keep(assert(netns.new()))
    local key = "net.ipv4.ip_forward"
    local mine = netns.sysctl("/proc/self/ns/net", key)
    assert.equal("0", ns:sysctl(key))
    assert.is_true(ns:sysctl(key, 1))
    assert.equal("1", ns:sysctl(key))
    assert.is_true(ns:sysctl(key, "0"))
    assert.equal("0", ns:sysctl(key))
    assert.equal(mine, netns.sysctl("/proc/self/ns/net", key))
    assert.matches("^%d+\t%d+$", ns:sysctl "net.ipv4.ip_local_port_range")
  end)

  it("agrees with sysctl(8) in the namespace, both spellings", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    t.must("ip -n %s link add eth0.7 type veth peer name p", name)
    for _, key in ipairs {
      "net.ipv4.ip_forward", "net/ipv4/conf/eth0.7/forwarding",
      "net/ipv4/conf/lo/forwarding", "net.ipv6.conf.all.forwarding",
    } do
      assert.is_true(ns:sysctl(key, 1))
      assert.equal("1", t.must("ip netns exec %s cat '/proc/sys/%s'", name,
        key:find "/" and key or key:gsub("%.", "/")))
    end
    assert(netns.delete(name))
  end)

  it("writes and reads values longer than a page whole", function()
    local ns = t.keep(assert(netns.new()))
    local ports = {}
    for i = 1, 8000 do ports[i] = tostring(i * 2) end
    local value = table.concat(ports, ",")
    assert.is_true(ns:sysctl("net.ipv4.ip_local_reserved_ports", value))
    assert.equal(value, ns:sysctl "net.ipv4.ip_local_reserved_ports")
  end)

  it("refuses keys that do not belong to a namespace", function()
    local ns = t.keep(assert(netns.new()))
    for _, key in ipairs {
      "kernel.hostname", "vm.swappiness", "", "net", "net.", "net..x",
      "net/../kernel/hostname", "net/./../kernel/hostname", "/etc/passwd",
      "net.\0", ("net."):rep(1000),
    } do
      local nothing, message, code = ns:sysctl(key)
      assert.is_nil(nothing, key)
      assert.matches("^sysctl net:", message)
      assert.is_truthy(code == errno.EINVAL or code == 21, key)
    end
  end)

  it("says what the kernel says", function()
    local ns = t.keep(assert(netns.new()))
    assert.equal(errno.ENOENT, (select(3, ns:sysctl "net.ipv4.no_such")))
    local nothing, message, code = ns:sysctl("net.ipv4.ip_forward", "x")
    assert.is_nil(nothing)
    assert.matches('"net.ipv4.ip_forward": Invalid argument', message)
    assert.equal(errno.EINVAL, code)
    assert.has_error(function() ns:sysctl() end)
    assert.has_error(function() ns:sysctl("net.ipv4.ip_forward", {}) end)
  end)
end)
