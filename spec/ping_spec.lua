local core = require "netns.core"
local netns = require "netns"
local ping = require "netns.ping"
local t = require "spec.support"

local E = netns.errno

-- What a test has opened, closed in the end, in the reverse order.
local opened = {}

local function keep(thing)
  opened[#opened + 1] = thing
  return thing
end

local function close_all()
  for i = #opened, 1, -1 do opened[i]:close() end
  opened = {}
end

local function new()
  local ns = keep(assert(netns.new()))
  assert(ns:sysctl("net.ipv6.conf.default.accept_dad", 0))
  assert(ns:link_set("lo", { up = true }))
  return ns
end

-- Waits until all that have an IPv6 address listen to who looks for it: the
-- kernel joins the group for that by and by, also without duplicate address
-- detection, and who has asked too early asks again only after a second.
local function await_groups(ns, link)
  for _, addr in ipairs(assert(ns:addrs { link = link, family = "inet6" })) do
    local tail = ("0000" .. addr["local"]:match "[^:]*$"):sub(-4)
    t.eventually(function()
      return assert(ns:capture { "cat", "/proc/net/igmp6" }).stdout
        :find(link .. " +ff0200000000000000000001ff%x%x" .. tail)
    end)
  end
end

-- A veth between two namespaces, up, with an address of each family.
local function join(a, a_link, a_host, b, b_link, b_host)
  assert(a:link_add { name = a_link, kind = "veth",
    peer = { name = b_link, ns = b } })
  for _, is in ipairs { { a, a_link, a_host }, { b, b_link, b_host } } do
    assert(is[1]:link_set(is[2], { up = true }))
    assert(is[1]:addr_add(is[2], "10.0." .. is[3] .. "/24"))
    assert(is[1]:addr_add(is[2], "fd00:0:0:" .. is[3]:gsub("%.", "::")
      .. "/64", { nodad = true }))
  end
  for ns, link in pairs { [a] = a_link, [b] = b_link } do
    assert(ns:wait_link(link, { running = true, timeout = 60 }))
    await_groups(ns, link)
  end
end

-- 10.0.0.1 and fd00::1 on v, and on the other side .2.
local function pair()
  local a, b = new(), new()
  join(a, "v", "0.1", b, "v", "0.2")
  return a, b
end

-- client 10.0.1.1 -- 10.0.1.2 router 10.0.2.1 -- 10.0.2.2 server
local function chain()
  local client, router, server = new(), new(), new()
  join(client, "v", "1.1", router, "left", "1.2")
  join(router, "right", "2.1", server, "v", "2.2")
  assert(router:sysctl("net.ipv4.ip_forward", 1))
  assert(router:sysctl("net.ipv6.conf.all.forwarding", 1))
  for via, ns in pairs { ["1.2"] = client, ["2.1"] = server } do
    assert(ns:route_add { to = "default", via = "10.0." .. via })
    assert(ns:route_add { to = "::/0",
      via = "fd00:0:0:" .. via:gsub("%.", "::") })
  end
  return client, router, server
end

local function refused(code, pattern, result, message, number)
  assert.is_nil(result)
  assert.matches(pattern, message)
  assert.equal(code, number, message)
end

-- Counters of /proc/net/snmp, or of snmp6: how often something was seen.
local function count(ns, name)
  local text = assert(ns:capture { "cat", "/proc/net/snmp6" }).stdout
  local value = text:match("\n" .. name .. "%s+(%d+)")
  if value then return tonumber(value) end
  text = assert(ns:capture { "cat", "/proc/net/snmp" }).stdout
  local names, values = text:match "\nIcmp: (%u[^\n]+)\nIcmp: ([^\n]+)"
  local next_value = values:gmatch "%d+"
  for word in names:gmatch "%S+" do
    value = next_value()
    if word == name then return tonumber(value) end
  end
end

-- A host that does not answer, in the kernel.
local function hush(ns)
  assert(ns:sysctl("net.ipv4.icmp_echo_ignore_all", 1))
  assert(ns:sysctl("net.ipv6.icmp.echo_ignore_all", 1))
end

-- Answers in its stead, well or badly: one way for each request, then as last.
local RESPONDER = [[
import socket, struct, sys, time
modes, v6 = sys.argv[1].split(","), sys.argv[2] == "inet6"
family = socket.AF_INET6 if v6 else socket.AF_INET
me, other = ("fd00::2", "fd00::3") if v6 else ("10.0.0.2", "10.0.0.3")
protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
sock = socket.socket(family, socket.SOCK_RAW, protocol)
sock.bind((me, 0))
false_one = socket.socket(family, socket.SOCK_RAW, protocol)
if "source" in modes:
    false_one.bind((other, 0))

def whole(data):
    if v6:
        return data # the kernel's work
    data = data[:2] + b"\0\0" + data[4:]
    even = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(even) // 2), even))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return data[:2] + struct.pack("!H", ~total & 0xffff) + data[4:]

def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]

print("ready", flush=True)
number = 0
while True:
    data, peer = sock.recvfrom(65536)
    head = b""
    if not v6:
        size = (data[0] & 15) * 4
        head, data = data[:size], data[size:]
    if data[0] != (128 if v6 else 8):
        continue
    if v6:
        head = struct.pack("!IHBB", 0x60000000, len(data), 58, 64) \
            + socket.inet_pton(family, peer[0]) + socket.inet_pton(family, me)
    number += 1
    mode = modes[min(number, len(modes)) - 1]
    reply = bytes([129 if v6 else 0]) + data[1:]
    refusal = (b"\1\4" if v6 else b"\3\3") + b"\0" * 6
    send = sock.sendto
    if mode == "short":
        reply = reply[:4]
    elif mode == "headless":
        reply = reply[:8]
    elif mode == "cut":
        reply = reply[:12]
    elif mode == "identifier":
        reply = flip(reply, 5)
    elif mode == "sequence":
        reply = flip(reply, 6)
    elif mode == "cookie":
        reply = flip(reply, 15)
    elif mode == "source":
        send = false_one.sendto
    elif mode == "refuse":
        reply = refusal + head + data
    elif mode == "refuse in short":
        reply = refusal + head + data[:8]
    elif mode == "refuse another":
        reply = refusal + head + flip(data, 4)
    elif mode == "refuse another's":
        reply = refusal + head + flip(data, 8)
    elif mode == "late":
        time.sleep(0.3)
    elif mode == "every other" and number % 2 == 0:
        continue
    send(whole(reply), peer)
    if mode == "twice":
        send(whole(reply), peer)
]]

local function respond(ns, modes, family)
  hush(ns)
  local program = keep(assert(ns:spawn({ "python3", "-c", RESPONDER, modes,
    family or "inet" }, { stdout = "pipe" })))
  assert.equal("ready", program.stdout:read())
end

local FAMILIES = { inet = "10.0.0.2", inet6 = "fd00::2" }

describe("ping", function()
  after_each(close_all)
  t.guard(before_each, after_each)

  it("has a reply from others, itself, and on one link #novalgrind", function()
    local a, b = pair()
    local addresses = { "10.0.0.2", "fd00::2", "10.0.0.1", "fd00::1",
      "127.0.0.1", "127.1.2.3", "::1" }
    for _, addr in ipairs(b:addrs { link = "v", family = "inet6" }) do
      if addr.scope == "link" then
        addresses[#addresses + 1] = addr["local"] .. "%v"
      end
    end
    assert.equal(8, #addresses)
    for _, address in ipairs(addresses) do
      local result = assert(a:ping(address))
      local time = result.rtt.avg
      assert.is_true(time > 0 and time < 1)
      assert.same({ address = address, sent = 1, received = 1, loss = 0,
        rtt = { min = time, avg = time, max = time } }, result)
    end
  end)

  it("is a function of names, too", function()
    local name = t.name()
    local ns = keep(assert(netns.add(name)))
    assert(ns:link_set("lo", { up = true }))
    assert.equal(1, assert(netns.ping(name, "127.0.0.1")).received)
    assert(netns.delete(name))
    refused(E.ENOENT, ('^ping "%s": No such file or directory$')
      :format(name:gsub("%-", "%%-")), netns.ping(name, "127.0.0.1"))
  end)

  it("takes an address however it is written", function()
    local a = pair()
    assert.equal(1, assert(a:ping "FD00:0:0:0::0.0.0.2").received)
  end)

  it("sends as many as it is told, at the interval", function()
    local a, b = pair()
    for family, seen in pairs {
      inet = "InEchos", inet6 = "Icmp6InEchos",
    } do
      local before, start = count(b, seen), core.now()
      local result = assert(a:ping(FAMILIES[family],
        { count = 5, interval = 0.05 }))
      local took = core.now() - start
      assert.equal(5, result.sent)
      assert.equal(5, result.received)
      assert.equal(0, result.loss)
      assert.is_true(result.rtt.min <= result.rtt.avg)
      assert.is_true(result.rtt.avg <= result.rtt.max)
      assert.equal(before + 5, count(b, seen))
      assert.is_true(took >= 0.199, took) -- and does not wait after the last
    end
  end)

  it("does not wait for more than the replies", function()
    local a = pair()
    local start = core.now()
    assert(a:ping("10.0.0.2", { count = 300, interval = 0, timeout = 60 }))
    assert.is_true(core.now() - start < 30)
  end)

  it("is timed right by who is stopped while it looks at the clocks", function()
    local output = t.with_calls([[
      #include <sys/syscall.h>
      #include <time.h>
      #include <unistd.h>
      static int stopped; /* before it looks at the wall clock, now and then */
      int clock_gettime(clockid_t id, struct timespec *now) {
        if (id == CLOCK_REALTIME && stopped++ % 3 == 0)
          usleep(500000);
        return (int)syscall(SYS_clock_gettime, id, now);
      }
    ]], [[
      local ns = assert(require "netns".new())
      assert(ns:link_set("lo", { up = true }))
      for _ = 1, 3 do
        local rtt = assert(ns:ping("127.0.0.1", { timeout = 60 })).rtt.max
        if rtt <= 0 or rtt > 0.4 then print(rtt) end
      end
    ]])
    assert.equal("", output)
  end)

  it("sends as many bytes as ping", function()
    local a = pair()
    local function sent() -- by IPv4
      local text = assert(a:capture { "cat", "/proc/net/netstat" }).stdout
      local names, values = text:match "\nIpExt: (%u[^\n]+)\nIpExt: ([^\n]+)"
      local value = values:gmatch "%d+"
      for name in names:gmatch "%S+" do
        local number = value()
        if name == "OutOctets" then return tonumber(number) end
      end
    end
    local function bytes(fn)
      local before = sent()
      fn()
      return sent() - before
    end
    for _, size in ipairs { 0, 1, 7, 8, 9, 56, 1400, 1473, 20000 } do
      local theirs = bytes(function()
        assert(a:exec({ "ping", "-c1", "-s" .. size, "10.0.0.2" },
          { stdout = "null" }))
      end)
      assert.is_true(theirs >= 28 + size)
      assert.equal(theirs,
        bytes(function() assert(a:ping("10.0.0.2", { size = size })) end))
    end
    assert.equal(
      bytes(function() assert(a:ping "10.0.0.2") end),
      bytes(function() assert(a:ping("10.0.0.2", { size = 56 })) end))
  end)

  it("can send what a packet can hold, and no more", function()
    local a = pair()
    for address, most in pairs { ["10.0.0.2"] = 65507, ["fd00::2"] = 65527 } do
      assert(a:ping(address, { size = most }))
      for _, size in ipairs { most + 1, 0x7fffffff } do
        refused(E.EMSGSIZE, "^ping net:%[%d+%]: .*Message too long$",
          a:ping(address, { size = size }))
      end
    end
  end)

  it("says what is too long for a link on the way", function()
    local client, router, server = chain()
    assert(router:link_set("right", { mtu = 1400 }))
    assert(server:link_set("v", { mtu = 1400 }))
    refused(E.EMSGSIZE, ": 10.0.2.2: Message too long %(from 10.0.1.2%)$",
      client:ping("10.0.2.2", { size = 1450 }))
    refused(E.EMSGSIZE, ": fd00:0:0:2::2: Message too long %(from .*::2%)$",
      client:ping("fd00:0:0:2::2", { size = 1450 }))
    -- after that, the kernel knows
    assert(client:ping("10.0.2.2", { size = 1450 }))
    assert(client:ping("fd00:0:0:2::2", { size = 1450 }))
  end)

  it("goes through a router", function()
    local client, router, server = chain()
    for _, address in ipairs { "10.0.2.2", "fd00:0:0:2::2" } do
      assert.equal(1, assert(client:ping(address)).received)
    end
    assert(server:ping "fd00:0:0:1::1")
    assert(router:sysctl("net.ipv4.ip_forward", 0))
    refused(E.ETIMEDOUT, "^ping net:%[%d+%]: 10.0.2.2: no reply within 0.1 s$",
      client:ping("10.0.2.2", { timeout = 0.1 }))
  end)

  it("agrees with ping about who can be reached", function()
    local client, router = chain()
    assert(router:route_add { to = "10.8.0.0/16", type = "unreachable" })
    for _, address in ipairs { "10.0.2.2", "10.8.0.1", "10.9.0.1",
      "127.0.0.1", "fd00:0:0:2::2", "fd00:0:0:2::1", "fd88::1" } do
      local theirs = client:exec({ "ping", "-c1", "-W1", address },
        { stdout = "null", stderr = "null" })
      assert.equal(theirs, client:ping(address) and true, address)
    end
  end)

  it("tells why a request could not be sent, at once", function()
    local a = pair()
    assert(a:route_add { to = "10.5.0.0/16", type = "unreachable" })
    assert(a:route_add { to = "10.6.0.0/16", type = "prohibit" })
    local start = core.now()
    for address, is in pairs {
      ["10.9.0.1"] = { E.ENETUNREACH, "Network is unreachable" },
      ["fd99::1"] = { E.ENETUNREACH, "Network is unreachable" },
      ["10.5.0.1"] = { E.EHOSTUNREACH, "No route to host" },
      ["10.6.0.1"] = { E.EACCES, "Permission denied" },
    } do
      refused(is[1], ("^ping net:%%[%%d+%%]: %s: %s$"):format(address, is[2]),
        a:ping(address, { count = 1000, timeout = 60 }))
    end
    assert.is_true(core.now() - start < 30)
  end)

  it("tells what a router says, and which", function()
    local client, router = chain()
    assert(router:route_add { to = "10.8.0.0/16", type = "unreachable" })
    assert(router:route_add { to = "fd88::/16", type = "prohibit" })
    local start = core.now()
    for address, is in pairs {
      ["10.9.0.1"] = { E.ENETUNREACH, "Network is unreachable" },
      ["10.8.0.1"] = { E.EHOSTUNREACH, "No route to host" },
      ["fd99::1"] = { E.ENETUNREACH, "Network is unreachable" },
      ["fd88::1"] = { E.EACCES, "Permission denied" },
    } do
      refused(is[1], (": %s: %s %%(from %s%%)$"):format(address, is[2],
        address:find ":" and "fd00:0:0:1::2" or "10.0.1.2"),
        client:ping(address, { timeout = 60 }))
    end
    assert.is_true(core.now() - start < 30)
  end)

  it("tells of a loop", function()
    local client, router, server = chain()
    assert(server:sysctl("net.ipv4.ip_forward", 1))
    assert(server:sysctl("net.ipv6.conf.all.forwarding", 1))
    assert(router:route_add { to = "10.9.0.0/16", via = "10.0.2.2" })
    assert(router:route_add { to = "fd99::/16", via = "fd00:0:0:2::2" })
    refused(E.EHOSTUNREACH, ": 10.9.0.1: Time to live exceeded %(from 10.0.",
      client:ping("10.9.0.1", { timeout = 60 }))
    refused(E.EHOSTUNREACH, ": fd99::1: Time to live exceeded %(from fd00:",
      client:ping("fd99::1", { timeout = 60 }))
  end)

  it("tells of a host that is not on the link", function()
    local a = pair()
    for family, address in pairs {
      ipv4 = "10.0.0.7", ipv6 = "fd00::7",
    } do
      local key = ("net.%s.neigh.v."):format(family)
      refused(E.ETIMEDOUT, ": no reply within 0 s$",
        a:ping(address .. "8", { timeout = 0 })) -- it takes 3 s to find out
      assert(a:sysctl(key .. "retrans_time_ms", 10))
      assert(a:sysctl(key .. "mcast_solicit", 1))
      refused(E.EHOSTUNREACH, ("%s: No route to host %%(from %s%%)$")
        :format(address, family == "ipv4" and "10.0.0.1" or "fd00::1"),
        a:ping(address, { timeout = 60 }))
    end
  end)

  it("waits for a reply as long as it is told", function()
    local a, b = pair()
    hush(b)
    for _, address in pairs(FAMILIES) do
      for _, timeout in ipairs { 0, 0.15 } do
        local start = core.now()
        refused(E.ETIMEDOUT, ("^ping net:%%[%%d+%%]: %s: no reply within %g s$")
          :format(address, timeout), a:ping(address, { timeout = timeout }))
        assert.is_true(core.now() - start >= timeout - 0.001)
      end
    end
    local start = core.now()
    refused(E.ETIMEDOUT, "no reply within 1 s$", a:ping "10.0.0.2")
    assert.is_true(core.now() - start >= 0.999)
    -- from the last
    start = core.now()
    refused(E.ETIMEDOUT, "no reply within 0.2 s$", a:ping("10.0.0.2",
      { count = 3, interval = 0.1, timeout = 0.2 }))
    assert.is_true(core.now() - start >= 0.399)
  end)

  it("does not count a reply that comes too late", function()
    local a, b = pair()
    respond(b, "late")
    refused(E.ETIMEDOUT, "no reply within 0.1 s$", a:ping("10.0.0.2",
      { count = 5, interval = 0.2, timeout = 0.1 }))
    local result = assert(a:ping("10.0.0.2", { timeout = 60 }))
    assert.is_true(result.rtt.min >= 0.3)
  end)

  it("tells how many were lost", function()
    for family, address in pairs(FAMILIES) do
      local a, b = pair()
      respond(b, "every other", family)
      local result = assert(a:ping(address,
        { count = 4, interval = 0.02 }))
      assert.equal(4, result.sent)
      assert.equal(2, result.received)
      assert.equal(0.5, result.loss)
    end
  end)

  it("counts those as lost that cannot be sent any more", function()
    local a = pair()
    local program = keep(assert(a:spawn {
      "sh", "-c", "sleep 0.1; ip link set v down" }))
    local result = assert(a:ping("10.0.0.2",
      { count = 150, interval = 0.1 / t.many(10) }))
    assert.equal(150, result.sent)
    assert.is_true(result.received > 0 and result.received < 150)
    assert.equal((150 - result.received) / 150, result.loss)
    assert(program:wait())
    refused(E.ENETUNREACH, "Network is unreachable$", a:ping "10.0.0.2")
  end)

  it("takes only the reply to its own request", function()
    for family, address in pairs(FAMILIES) do
      local a, b = pair()
      assert(b:addr_add("v", family == "inet" and "10.0.0.3/24"
        or "fd00::3/64", family == "inet6" and { nodad = true } or nil))
      local modes = { "short", "headless", "cut", "identifier", "sequence",
        "cookie", "source", "refuse another", "refuse another's" }
      respond(b, table.concat(modes, ",") .. ",well", family)
      local seen = family == "inet" and "InMsgs" or "Icmp6InMsgs"
      for _, mode in ipairs(modes) do
        local before = count(a, seen)
        local result, _, errno = a:ping(address, { timeout = 0.2 })
        assert.is_nil(result, mode)
        assert.equal(E.ETIMEDOUT, errno, mode)
        t.eventually(function() return count(a, seen) > before end)
      end
      assert.equal(1, assert(a:ping(address, { timeout = 60 })).received)
    end
  end)

  it("does not count a reply twice", function()
    local a, b = pair()
    respond(b, "twice")
    local result = assert(a:ping("10.0.0.2",
      { count = 10, interval = 0.01, timeout = 60 }))
    assert.equal(10, result.received)
    assert.equal(20, count(a, "InEchoReps"))
  end)

  it("tells that a host refuses, however much of the request it gives back",
  function()
    for family, address in pairs(FAMILIES) do
      local a, b = pair()
      respond(b, "refuse,refuse in short", family)
      for _ = 1, 2 do
        refused(E.ECONNREFUSED,
          ("^ping net:%%[%%d+%%]: %s: Connection refused %%(from %s%%)$")
            :format(address, address), a:ping(address, { timeout = 60 }))
      end
    end
  end)

  it("is not disturbed by others in the same namespace", function()
    local a, b = pair()
    local program = keep(assert(a:spawn({ "ping", "-i0.002", "10.0.0.2" },
      { stdout = "null" })))
    t.eventually(function() return count(b, "InEchos") > 10 end)
    local result = assert(a:ping("10.0.0.2", { count = 50, interval = 0.005 }))
    assert.equal(50, result.received)
    -- nor by the errors that they cause
    local other = keep(assert(a:spawn({ "ping", "-i0.002", "10.0.0.77" },
      { stdout = "null" })))
    assert(a:sysctl("net.ipv4.neigh.v.retrans_time_ms", 10))
    t.eventually(function() return count(a, "InDestUnreachs") > 10 end)
    result = assert(a:ping("10.0.0.2", { count = 50, interval = 0.005 }))
    assert.equal(50, result.received)
    assert.is_true(program:kill() and other:kill())
  end)

  it("refuses what is not the address of a host", function()
    local a = pair()
    for _, target in ipairs { "", "10.0.0", "10.0.0.2/24", "10.0.0.256",
      " 10.0.0.2", "host", "10.0.0.2%v", "fd00::2%v", "fd00::2\0", "fe80::1%",
      "fe80::1%" .. ("v"):rep(16), "%v", ("1"):rep(100),
      "0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1%v" } do
      local result, message, errno = a:ping(target)
      assert.is_nil(result)
      assert.equal(("ping %s: %s: Invalid argument"):format(core.label(a),
        (target:gsub("%z.*", ""))), (message:gsub("%z", "")))
      assert.equal(E.EINVAL, errno)
    end
    refused(E.ENODEV, ": fe80::1%%w: No such device$", a:ping "fe80::1%w")
    refused(E.EACCES, ": 10.0.0.255: Permission denied$", a:ping "10.0.0.255")
  end)

  it("raises an error for what is wrong as a program", function()
    local a = new()
    for pattern, arguments in pairs {
      ["bad argument 'target' to 'ping' %(string expected, got nil%)$"] = { a },
      ["bad argument 'target' to 'ping' %(string expected, got number%)$"] =
        { a, 10 },
      ["bad argument 'opts' to 'ping' %(table expected, got number%)$"] =
        { a, "::1", 1 },
      ["bad argument 'NS' to 'ping' %(namespace .* expected, got table%)$"] =
        { {}, "::1" },
      ["unknown key 'counts' in 'ping' %(did you mean 'count'%?%)$"] =
        { a, "::1", { counts = 1 } },
      ["bad argument 'count' to 'ping' %(positive integer expected, got 0"] =
        { a, "::1", { count = 0 } },
      ["bad argument 'interval' to 'ping' %(seconds expected, got %-1%)$"] =
        { a, "::1", { interval = -1 } },
      ["bad argument 'timeout' to 'ping' %(seconds expected, got \"1\"%)$"] =
        { a, "::1", { timeout = "1" } },
      ["bad argument 'size' to 'ping' %(non%-negative integer expected"] =
        { a, "::1", { size = 1.5 } },
    } do
      local ok, message = pcall(netns.ping, arguments[1], arguments[2],
        arguments[3])
      assert.is_false(ok)
      assert.matches(pattern, message)
    end
    assert.has_error(function() a:ping("::1", { size = -1 }) end)
    assert.has_error(function() a:ping("::1", { count = 1.5 }) end)
    local closed = assert(netns.new())
    closed:close()
    local ok, message = pcall(closed.ping, closed, "::1")
    assert.is_false(ok)
    assert.matches("bad argument 'NS' to 'ping' %(handle is closed%)$", message)
  end)

  it("needs privilege", function()
    local name = t.name()
    keep(assert(netns.add(name)))
    local script = ([[
      local netns = require "netns"
      for _, NS in ipairs { %q, assert(netns.current()) } do
        print(netns.ping(NS, "127.0.0.1"))
      end
    ]]):format(name)
    local output = t.script(script, t.nobody)
    assert.matches(('^nil\tping "%s": Operation not permitted\t1\n'
      .. "nil\tping net:%%[%%d+%%]: Operation not permitted\t1$")
      :format((name:gsub("%-", "%%-"))), output)
    -- may enter, but not make the sockets
    output = t.script(script,
      "setpriv --bounding-set -net_raw --inh-caps -net_raw")
    assert.matches(('^nil\tping "%s": Operation not permitted\t1\n')
      :format((name:gsub("%-", "%%-"))), output)
    assert(netns.delete(name))
  end)

  it("does without IPv6 where there is none", function()
    local output, code = t.script([[
      local netns = require "netns"
      local ns = assert(netns.new())
      assert(ns:link_set("lo", { up = true }))
      print(ns:ping("127.0.0.1").received)
      print(ns:ping "::1")
      print(ns:ping "fe80::1%lo")
    ]], t.failing("socket", "EAFNOSUPPORT", "3+2"))
    assert.equal(0, code, output)
    local words = "Address family not supported by protocol\t" .. E.EAFNOSUPPORT
    assert.matches("^1\nnil\tping net:%[%d+%]: ::1: " .. words
      .. "\nnil\tping net:%[%d+%]: fe80::1%%lo: " .. words .. "$", output)
  end)

  it("leaves nothing if something cannot be had", function()
    for _, call in ipairs { "epoll_create1", "eventfd2", "epoll_ctl" } do
      for when = 1, call == "epoll_ctl" and 3 or 1 do
        local output = t.script([[
          local core = require "netns.core"
          local netns = require "netns"
          local ns = assert(netns.new())
          local before = #core.readdir "/proc/self/fd"
          print(ns:ping "127.0.0.1")
          print(#core.readdir "/proc/self/fd" - before)
        ]], t.failing(call, "ENOMEM", when))
        assert.matches("^nil\tping.*: Cannot allocate memory\t12\n0$", output)
      end
    end
  end)
end)

-- Namespaces on a bridge, with the addresses 10.0.0.N and fd00::N.
local function switch(number)
  local hub, nodes = new(), {}
  assert(hub:link_add { name = "bridge", kind = "bridge" })
  assert(hub:link_set("bridge", { up = true }))
  for i = 1, number do
    local ns = new()
    assert(ns:link_add { name = "v", kind = "veth",
      peer = { name = "p" .. i, ns = hub } })
    assert(hub:link_set("p" .. i, { master = "bridge", up = true }))
    assert(ns:link_set("v", { up = true }))
    assert(ns:addr_add("v", ("10.0.0.%d/24"):format(i)))
    assert(ns:addr_add("v", ("fd00::%d/64"):format(i), { nodad = true }))
    nodes[i] = ns
  end
  for _, ns in ipairs(nodes) do
    assert(ns:wait_link("v", { running = true, timeout = 60 }))
    await_groups(ns, "v")
  end
  return nodes
end

describe("many pings at once", function()
  after_each(close_all)
  t.guard(before_each, after_each)

  it("are all answered, from 20 namespaces to each other", function()
    local probes, nodes = {}, switch(20)
    for i, ns in ipairs(nodes) do
      for j = 1, #nodes do
        for _, form in ipairs { "10.0.0.%d", "fd00::%d" } do
          probes[#probes + 1] = { ns = ns, address = form:format(j),
            mute = i == 7 and j ~= 7 or j == 7 and i ~= 7 }
        end
      end
    end
    assert.equal(800, #probes)
    local start = core.now()
    assert.is_true(ping.all(probes, 60))
    assert.is_true(core.now() - start < 30)
    for _, probe in ipairs(probes) do
      assert.is_nil(probe.message)
      assert.is_true(probe.rtt > 0 and probe.rtt < 30)
    end
    -- and one that is cut off, by and by
    assert(nodes[7]:addr_flush("v"))
    assert(nodes[7]:addr_add("v", "10.1.0.7/24"))
    assert.is_true(ping.all(probes, 2))
    for _, probe in ipairs(probes) do
      local own = probe.ns == nodes[7] and probe.address:find "7$"
      assert.equal(not (probe.mute or own), probe.rtt ~= nil, probe.address)
      assert.equal(probe.rtt == nil, probe.errno ~= nil)
      if probe.mute and probe.ns == nodes[7] then
        assert.equal(E.ENETUNREACH, probe.errno)
        assert.equal(("ping %s: %s: Network is unreachable")
          :format(core.label(nodes[7]), probe.address), probe.message)
      elseif probe.mute then
        assert.equal(E.ETIMEDOUT, probe.errno)
        assert.equal(("ping %s: %s: no reply within 2 s")
          :format(core.label(probe.ns), probe.address), probe.message)
      end
    end
  end)

  it("are told each for itself", function()
    local client, router = chain()
    local name = t.name()
    assert(router:route_add { to = "10.8.0.0/16", type = "unreachable" })
    local probes = {
      { ns = client, address = "10.0.2.2" },
      { ns = name, address = "10.0.2.2" },
      { ns = client, address = "10.8.0.1" },
      { ns = client, address = "nowhere" },
      { ns = router, address = "fd00:0:0:2::2" },
      { ns = router, address = "10.9.0.1" },
      { ns = client, address = "10.9.0.1" },
      { ns = client, address = "10.0.2.2" }, -- after an error of another
    }
    local start = core.now()
    assert.is_true(ping.all(probes, 60))
    assert.is_true(core.now() - start < 30)
    local codes = {}
    for i, probe in ipairs(probes) do codes[i] = probe.errno or "rtt" end
    assert.same({ "rtt", E.ENOENT, E.EHOSTUNREACH, E.EINVAL, "rtt",
      E.ENETUNREACH, E.ENETUNREACH, "rtt" }, codes)
    assert.equal(('ping "%s": No such file or directory'):format(name),
      probes[2].message)
    assert.matches("^ping net:%[%d+%]: 10.9.0.1: Network is unreachable "
      .. "%(from 10.0.1.2%)$", probes[7].message)
    assert.is_nil(probes[1].message)
    assert.is_nil(probes[3].rtt)
  end)

  it("are answered although no more than one waits for a neighbour", function()
    local client, router, server = chain()
    local key = "net/ipv4/neigh/v/"
    assert(client:sysctl(key .. "unres_qlen_bytes", 1))
    assert(client:sysctl(key .. "retrans_time_ms", 10))
    assert(client:sysctl(key .. "mcast_solicit", 100000))
    -- it does not tell where it is, for a while
    assert(router:sysctl("net.ipv4.conf.left.arp_ignore", 8))
    local probes = {}
    for i = 1, 20 do
      local address = ("10.0.2.%d"):format(100 + i)
      assert(server:addr_add("v", address .. "/24"))
      probes[i] = { ns = client, address = address }
    end
    local program = keep(assert(router:spawn { "sh", "-c",
      "sleep 0.1; echo 0 > /proc/sys/net/ipv4/conf/left/arp_ignore" }))
    assert.is_true(ping.all(probes, 60))
    assert(program:wait())
    for _, probe in ipairs(probes) do assert.is_nil(probe.message) end
  end)

  it("may be more than a socket has room for", function()
    local client, router, server = chain()
    assert(server:route_add { to = "10.5.0.0/16", link = "lo", type = "local" })
    assert(router:route_add { to = "10.5.0.0/16", via = "10.0.2.2" })
    assert(client:ping "10.5.0.1")
    local probes = {}
    for i = 1, t.many(5000) do
      probes[i] = { ns = client,
        address = ("10.5.%d.%d"):format(math.floor(i / 256), i % 256) }
    end
    assert.is_true(ping.all(probes, 60))
    for _, probe in ipairs(probes) do assert.is_nil(probe.message) end
    if #probes == 5000 then -- none was lost, as on a slow machine it may be
      assert.equal(1 + #probes, count(server, "InEchos"))
    end
  end)

  it("end when the time is up", function()
    local a, b = pair()
    hush(b)
    local probes = {
      { ns = a, address = "10.0.0.2" }, { ns = a, address = "10.0.0.1" },
    }
    for timeout, most in pairs { [0] = 1, [1] = 6 } do -- asks each 0.2 s
      local before, start = count(b, "InEchos"), core.now()
      assert.is_true(ping.all(probes, timeout))
      assert.is_true(core.now() - start >= timeout - 0.001)
      assert.equal(E.ETIMEDOUT, probes[1].errno)
      assert.is_nil(probes[2].errno)
      local asked = count(b, "InEchos") - before
      assert(asked >= math.min(2, most) and asked <= most, asked)
    end
    -- what was told the last time is forgotten
    assert(b:sysctl("net.ipv4.icmp_echo_ignore_all", 0))
    assert.is_true(ping.all(probes, 60))
    assert.is_nil(probes[1].errno)
    assert.is_nil(probes[1].message)
    assert.is_true(ping.all({}, 60))
  end)
end)
