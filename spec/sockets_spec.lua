local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

-- Runs a program in Python in a namespace, which has sockets from then on; what
-- it prints first. It ends when the test does.
local function python(finally, NS, code, opts)
  opts = opts or {}
  opts.mounts, opts.stdout = false, "pipe"
  local process = assert(netns.spawn(NS, { "python3", "-c", [[
import resource, socket, sys, time
from socket import *
kept = []
def make(family, type, where=None, wait=5, options=(), protocol=0):
    s = socket(family, type, protocol)
    kept.append(s)
    for level, option, value in options: s.setsockopt(level, option, value)
    if where: s.bind(where)
    if where and type == SOCK_STREAM and wait is not None: s.listen(wait)
    return s
def connect(*where):
    s = make(AF_INET6 if ':' in where[0] else AF_INET, SOCK_STREAM)
    s.connect(where)
    return s
def accept(s):
    s, _ = s.accept()
    kept.append(s)
    return s
]] .. code .. [[

print("ready", flush=True)
time.sleep(1000)
]] }, opts))
  finally(function() process:close() end)
  return assert(process.stdout:read "*l"), process
end

-- A namespace with a name, and lo up.
local function open(finally)
  local name = t.name()
  local ns = assert(netns.add(name))
  finally(function()
    ns:close()
    assert(netns.delete(name))
  end)
  assert(ns:link_set("lo", { up = true }))
  return ns, name
end

-- busted has one `finally` for a test.
local function test(title, fn)
  it(title, function()
    local actions = {}
    finally(function()
      for i = #actions, 1, -1 do actions[i]() end
    end)
    fn(function(action) actions[#actions + 1] = action end)
  end)
end

local STATES = {
  ESTAB = "established", ["SYN-SENT"] = "syn-sent", ["SYN-RECV"] = "syn-recv",
  ["FIN-WAIT-1"] = "fin-wait-1", ["FIN-WAIT-2"] = "fin-wait-2",
  ["TIME-WAIT"] = "time-wait", UNCONN = "unconnected",
  ["CLOSE-WAIT"] = "close-wait", ["LAST-ACK"] = "last-ack", LISTEN = "listen",
  CLOSING = "closing",
}

-- "[fe80::1]%eth0:53": the address, which is nil if it is any, port and link
local function split(text)
  local place, port = text:match "^(.*):([^:]*)$"
  local address, link = place:match "^%[?([^%]%%]+)%]?%%?(.*)$"
  return address, tonumber(port), link ~= "" and link or nil
end

-- The sockets as ss has them, with our names.
local function by_ss(name, what)
  local output = t.must("(ss -N %s -H --all --numeric --options "
    .. "--extended --oneline %s 2>/dev/null)", name, what or "--tcp --udp")
  local list = {}
  for line in output:gmatch "[^\n]+" do
    local netid, state, recv, send, here, there, rest =
      line:match "^(%S+)%s+(%S+)%s+(%d+)%s+(%d+)%s+(%S+)%s+(%S+)%s*(.*)$"
    assert.truthy(here, line)
    local socket = {
      -- of a raw one it is the name of its protocol, or "???"
      protocol = (netid == "tcp" or netid == "udp") and netid or "raw",
      state = STATES[state],
      recv_queue = tonumber(recv), send_queue = tonumber(send),
      family = here:find "^[%[*]" and "inet6" or "inet",
    }
    socket.address, socket.port, socket.link = split(here)
    socket.peer_address, socket.peer_port = split(there)
    if socket.address == "*" then socket.address = "::" end
    if not socket.peer_port
      and (socket.peer_address:gsub("[*:0.]", "") == "") then
      socket.peer_address = nil
    end
    local inode = tonumber((rest:match "ino:(%d+)"))
    if inode and inode > 0 then
      socket.inode, socket.uid = inode, tonumber(rest:match "uid:(%d+)" or 0)
    end
    socket.cookie = tonumber((rest:match "sk:(%x+)"), 16)
    if rest:find "v6only" then socket.v6only = rest:find "v6only:1" ~= nil end
    local timer, retransmits = rest:match "timer:%((%w+),[^,]*,(%d+)%)"
    socket.timer, socket.retransmits = timer, tonumber(retransmits)
    list[#list + 1] = socket
  end
  return list
end

-- Ours, without what is in other words in ss.
local function ours(ns, filter)
  local list = assert(ns:sockets(filter))
  for _, socket in ipairs(list) do
    socket.expires, socket.congestion = nil, nil
  end
  return list
end

-- A line for each.
local function text(list)
  local lines = {}
  for i, socket in ipairs(list) do
    local words = {}
    for key, value in pairs(socket) do
      words[#words + 1] = key .. "=" .. tostring(value)
    end
    table.sort(words)
    lines[i] = table.concat(words, " ")
  end
  table.sort(lines)
  return table.concat(lines, "\n")
end

-- Compares when nothing has changed meanwhile: a timer that fired.
local function agree(ns, filter, what)
  local list, theirs
  t.eventually(function()
    list = ours(ns, filter)
    theirs = by_ss(ns:name(), what)
    return text(list) == text(ours(ns, filter))
  end)
  assert.is_true(#list > 0)
  assert.equal(text(theirs), text(list))
  return list
end

-- Two namespaces with a link. What the second answers to 10.0.0.9 is lost.
local function open_two(finally)
  local a, a_name = open(finally)
  local b, b_name = open(finally)
  assert(a:link_add { name = "e0", kind = "veth",
    peer = { name = "e0", ns = b } })
  for ns, address in pairs { [a] = "10.0.0.1/24", [b] = "10.0.0.2/24" } do
    assert(ns:addr_add("e0", address))
    assert(ns:addr_add("e0", ns == a and "fe80::1/64" or "fe80::2/64",
      { nodad = true }))
    assert(ns:link_set("e0", { up = true }))
  end
  assert(a:addr_add("e0", "10.0.0.9/24"))
  assert(b:neigh_add { dst = "10.0.0.9", link = "e0",
    lladdr = "02:00:00:00:00:99" })
  return a, b, a_name, b_name
end

describe("sockets", function()
  t.guard(before_each, after_each)

  test("of TCP and UDP are those that ss sees", function(finally)
    local a, b = open_two(finally)
    python(finally, b, [[
l = make(AF_INET, SOCK_STREAM, ('', 80))
make(AF_INET6, SOCK_STREAM, ('fe80::2', 81, 0, 2), 7)
print("ready", flush=True)
accept(l)
x = accept(l)
x.shutdown(SHUT_WR)
time.sleep(1000)
]])
    local left = python(finally, a, [[
make(AF_INET, SOCK_STREAM, ('127.0.0.1', 80), 5)
l = make(AF_INET6, SOCK_STREAM, ('::', 81), 6)
make(AF_INET6, SOCK_STREAM, ('::1', 82), 7, [(IPPROTO_IPV6, IPV6_V6ONLY, 1)])
make(AF_INET6, SOCK_STREAM, ('::', 83), 7, [(IPPROTO_IPV6, IPV6_V6ONLY, 1)])
make(AF_INET, SOCK_STREAM, ('127.0.0.1', 84), None) # listens not
make(AF_INET, SOCK_STREAM) # is not bound
make(AF_INET, SOCK_STREAM, ('', 85), 0,
  [(SOL_SOCKET, SO_BINDTODEVICE, b'e0')])
for i in range(3): # only on one is there a peer
    s = make(AF_INET, SOCK_DGRAM, ('127.0.0.1', 53), None,
      [(SOL_SOCKET, SO_REUSEPORT, 1)])
s.connect(('127.0.0.1', 99))
make(AF_INET6, SOCK_DGRAM, ('::', 54))
make(AF_INET6, SOCK_DGRAM, ('::1', 56), None, [(IPPROTO_IPV6, IPV6_V6ONLY, 1)])
make(AF_INET6, SOCK_DGRAM, ('fe80::1', 55, 0, 2), None,
  [(SOL_SOCKET, SO_BINDTODEVICE, b'e0')])
c = connect('::1', 81) # established, with bytes that nobody reads
accept(l)
c.send(b'hello')
connect('::1', 81) # waits to be accepted
c = connect('10.0.0.2', 80)
c.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1) # a timer
c = connect('10.0.0.2', 80) # close-wait
c.recv(1)
c, d = connect('::ffff:127.0.0.1', 81), None # time-wait
l.accept()[0].close() # the one that waited
d = l.accept()[0]
c.close()
d.close()
s = make(AF_INET, SOCK_STREAM) # syn-sent, and syn-recv there
s.bind(('10.0.0.9', 0))
s.setblocking(False)
s.connect_ex(('10.0.0.2', 80))
]])
    assert.equal("ready", left)
    local seen = {}
    t.eventually(function()
      return b:sockets { state = "syn-recv" }[1]
    end)
    for _, ns in ipairs { a, b } do
      for _, socket in ipairs(agree(ns)) do seen[socket.state] = true end
    end
    for _, state in ipairs { "listen", "established", "syn-sent", "syn-recv",
      "close-wait", "fin-wait-2", "time-wait", "unconnected" } do
      assert.is_true(seen[state], state)
    end
    agree(a, { family = "inet" }, "--tcp --udp --ipv4")
    agree(a, { family = "inet6" }, "--tcp --udp --ipv6")
    agree(a, { link = "e0" }, "--tcp --udp 'dev = e0'")
    agree(a, { port = 80 }, "--tcp --udp 'sport = 80'")
    agree(b, { peer_address = "10.0.0.1" }, "--tcp --udp dst 10.0.0.1")
  end)

  test("are told with all that is known of them", function(finally)
    local ns = open(finally)
    local ready = python(finally, ns, [[
import os
os.setuid(65534)
l = make(AF_INET, SOCK_STREAM, ('127.0.0.1', 8080), 9, [(IPPROTO_TCP,
  TCP_CONGESTION, b'reno')])
c = connect('127.0.0.1', 8080)
c.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
make(AF_INET6, SOCK_DGRAM, ('::', 5353))
print(os.fstat(l.fileno()).st_ino, os.fstat(c.fileno()).st_ino,
  c.getsockname()[1], int.from_bytes(l.getsockopt(SOL_SOCKET, 57, 8),
  sys.byteorder), flush=True)
]])
    local inode, connected, port, cookie =
      ready:match "^(%d+) (%d+) (%d+) (%d+)$"
    local list = assert(ns:sockets())
    assert.same({
      protocol = "tcp", family = "inet", state = "listen",
      address = "127.0.0.1", port = 8080, recv_queue = 1, send_queue = 9,
      uid = 65534, inode = tonumber(inode), cookie = tonumber(cookie),
      congestion = "reno",
    }, list[1])
    -- the one that nobody has accepted has no inode
    assert.same({ "established", "127.0.0.1", tonumber(port) },
      { list[2].state, list[2].peer_address, list[2].peer_port })
    assert.is_nil(list[2].inode)
    assert.is_nil(list[2].uid)
    local client = list[3]
    assert.equal(tonumber(connected), client.inode)
    assert.equal(8080, client.peer_port)
    assert.equal("127.0.0.1", client.peer_address)
    assert.equal("keepalive", client.timer)
    assert.equal(0, client.retransmits)
    assert.is_true(client.expires > 7000 and client.expires <= 7200)
    assert.same({
      protocol = "udp", family = "inet6", state = "unconnected",
      address = "::", port = 5353, recv_queue = 0, send_queue = 0,
      uid = 65534, inode = list[4].inode, cookie = list[4].cookie,
      v6only = false,
    }, list[4])
    assert.equal(4, #list)
  end)

  test("are found by any field", function(finally)
    local ns = open(finally)
    python(finally, ns, [[
l = make(AF_INET, SOCK_STREAM, ('127.0.0.1', 80))
make(AF_INET6, SOCK_STREAM, ('::', 81))
make(AF_INET6, SOCK_STREAM, ('::', 82), 3, [(IPPROTO_IPV6, IPV6_V6ONLY, 1)])
make(AF_INET, SOCK_DGRAM, ('127.0.0.1', 80))
make(AF_INET, SOCK_DGRAM, ('', 81), None,
  [(SOL_SOCKET, SO_BINDTODEVICE, b'lo')])
connect('127.0.0.1', 80)
accept(l)
]])
    local all = assert(ns:sockets())
    assert.equal(7, #all)
    for _, case in ipairs {
      { {}, 7 }, { { protocol = "tcp" }, 5 }, { { protocol = "udp" }, 2 },
      { { family = "inet" }, 5 }, { { family = "inet6" }, 2 },
      { { state = "listen" }, 3 }, { { state = "established" }, 2 },
      { { state = "syn-sent" }, 0 }, { { state = "unconnected" }, 2 },
      { { port = 80 }, 3 }, { { port = 80, protocol = "tcp" }, 2 },
      { { protocol = "tcp", state = "listen", port = 80 }, 1 },
      { { port = 80, family = "inet6" }, 0 }, { { peer_port = 80 }, 1 },
      { { peer_port = 80, port = 80 }, 0 }, { { port = 1 }, 0 },
      { { port = 0 }, 0 },
      { { address = "::" }, 2 }, { { peer_address = "127.0.0.1" }, 2 },
      { { peer_address = false }, 5 }, { { link = "lo" }, 1 },
      { { link = false }, 6 }, { { v6only = true }, 1 },
      { { v6only = false }, 6 }, { { uid = 0 }, 7 }, { { uid = 1 }, 0 },
      { { inode = all[1].inode }, 1 }, { { cookie = all[2].cookie }, 1 },
      { { send_queue = 3 }, 1 }, { { recv_queue = 0 }, 7 },
      { { timer = "on" }, 0 }, { { congestion = all[1].congestion }, 5 },
      { { expires = 1 }, 0 }, { { retransmits = 3 }, 0 },
    } do
      local list = assert(ns:sockets(case[1]))
      local what = next(case[1]) or "all"
      assert.equal(case[2], #list, what)
      for _, socket in ipairs(list) do
        for field, value in pairs(case[1]) do
          if value and value ~= 0 then assert.equal(value, socket[field]) end
        end
      end
    end
  end)

  test("are the namespace's, whoever has them", function(finally)
    local ns, name = open(finally)
    local other = open(finally)
    local sock = assert(ns:socket("inet6", "stream"))
    finally(function() sock:close() end)
    assert.same({}, ns:sockets())
    -- bound and listening by a program that is elsewhere
    python(finally, other, [[
s = socket(fileno=0)
s.bind(('::', 8080))
s.listen(4)
]], { stdin = sock:fd() })
    local list = assert(ns:sockets())
    assert.equal(1, #list)
    assert.equal(8080, list[1].port)
    assert.same(list, netns.sockets(name))
    assert.same(list, netns.sockets("/run/netns/" .. name))
    assert.same(list, netns.sockets(name, { state = "listen" }))
    assert.same({}, other:sockets())
    -- for the thread that is in a third
    local here = assert(netns.current())
    finally(function() here:close() end)
    assert.same({}, here:sockets { port = 8080 })
    assert.same(list, here:call(function() return ns:sockets() end))
    assert.same(list, ns:call(function()
      local current = assert(netns.current())
      local found = current:sockets()
      current:close()
      return found
    end))
  end)

  test("are listed completely, and sorted, if they are many",
    function(finally)
      local ns, name = open(finally)
      local count = t.many(2000)
      python(finally, ns, ([[
resource.setrlimit(resource.RLIMIT_NOFILE, (10000, 10000))
for i in range(%d):
    make((AF_INET, AF_INET6)[i %% 2], (SOCK_STREAM, SOCK_DGRAM)[i // 2 %% 2],
      (('127.0.0.1', '::1')[i %% 2], 40000 - i))
]]):format(count))
      local list = assert(ns:sockets())
      assert.equal(count, #list)
      local ports = {}
      for i, socket in ipairs(list) do
        ports[socket.port] = true
        local before = list[i - 1]
        if before then
          local function key(one)
            return ("%s %-5s %5d"):format(one.protocol, one.family, one.port)
          end
          assert.is_true(key(before) < key(socket))
        end
      end
      for i = 0, count - 1 do assert.is_true(ports[40000 - i]) end
      assert.equal(text(by_ss(name)), text(ours(ns)))
      assert.equal(1, #ns:sockets { port = 40000 })
    end)

  test("of one address and port are sorted by their peer", function(finally)
    local ns = open(finally)
    python(finally, ns, [[
l = make(AF_INET, SOCK_STREAM, ('127.0.0.1', 80), 20)
m = make(AF_INET, SOCK_STREAM, ('127.0.0.2', 80), 20)
for host in '127.0.0.9', '127.0.0.3', '127.0.0.1':
  for port in 1009, 1003, 10000:
    s = make(AF_INET, SOCK_STREAM)
    s.bind((host, port))
    s.connect(('127.0.0.2', 80))
]])
    local peers = {}
    for i, socket in ipairs(assert(ns:sockets { port = 80 })) do
      peers[i] = ("%s %s %s"):format(socket.address,
        socket.peer_address or "-", socket.peer_port or "-")
    end
    assert.same({ "127.0.0.1 - -", "127.0.0.2 - -",
      "127.0.0.2 127.0.0.1 1003", "127.0.0.2 127.0.0.1 1009",
      "127.0.0.2 127.0.0.1 10000", "127.0.0.2 127.0.0.3 1003",
      "127.0.0.2 127.0.0.3 1009", "127.0.0.2 127.0.0.3 10000",
      "127.0.0.2 127.0.0.9 1003", "127.0.0.2 127.0.0.9 1009",
      "127.0.0.2 127.0.0.9 10000" }, peers)
  end)

  test("that are raw are listed, where the kernel can", function(finally)
    local ns, name = open(finally)
    python(finally, ns, [[
make(AF_INET, SOCK_RAW, None, None, (), 1)
make(AF_INET6, SOCK_RAW, ('::1', 0), None, (), 58)
s = make(AF_INET, SOCK_RAW, ('127.0.0.1', 0), None, (), 253)
s.connect(('127.0.0.9', 0))
make(AF_INET, SOCK_DGRAM, ('127.0.0.1', 53))
]])
    local list, message, code = ns:sockets { protocol = "raw" }
    if not list then
      assert.equal(('sockets "%s": raw: Operation not supported'):format(name),
        message)
      assert.equal(errno.EOPNOTSUPP, code)
      assert.equal(1, #ns:sockets())
      return
    end
    assert.equal(3, #list)
    assert.equal(4, #agree(ns, nil, "--raw --tcp --udp"))
    assert.same({ "raw", "inet", 1, "0.0.0.0" },
      { list[1].protocol, list[1].family, list[1].port, list[1].address })
    assert.same({ 253, "127.0.0.1", "127.0.0.9" },
      { list[2].port, list[2].address, list[2].peer_address })
    assert.is_nil(list[2].peer_port)
    assert.same({ "inet6", 58, "::1" },
      { list[3].family, list[3].port, list[3].address })
    assert.equal(1, #ns:sockets { protocol = "raw", port = 253 })
    assert.equal(1, #ns:sockets { protocol = "raw", state = "established" })
  end)

  it("do not keep a namespace that was asked for them", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    assert.same({}, ns:sockets())
    assert(ns:link "lo") -- a handle keeps one of each
    assert.same({}, ns:sockets())
    ns:close()
    assert.same({}, netns.sockets(name))
    assert.is_true(netns.delete(name, { wait = 30 }))
  end)

  it("are not asked for with wrong arguments", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    for _, case in ipairs {
      { { protocol = "sctp" }, 'protocol "sctp": Invalid argument', "EINVAL" },
      { { family = "unix" }, 'family "unix": Invalid argument', "EINVAL" },
      { { state = "listening" }, 'state "listening": Invalid argument',
        "EINVAL" },
      { { port = 65536 }, 'port "65536": Numerical result out of range',
        "ERANGE" },
      { { peer_port = -1 }, 'peer_port "-1": Numerical result out of range',
        "ERANGE" },
    } do
      local list, message, code = ns:sockets(case[1])
      assert.is_nil(list)
      assert.equal("sockets: " .. case[2], message)
      assert.equal(errno[case[3]], code)
    end
    for _, case in ipairs {
      { { protocol = 6 },
        "bad argument 'protocol' to 'sockets' %(string expected, got number" },
      { { family = false },
        "bad argument 'family' to 'sockets' %(string expected, got boolean%)" },
      { { state = {} },
        "bad argument 'state' to 'sockets' %(string expected, got table%)" },
      { { port = "80" },
        "bad argument 'port' to 'sockets' %(integer expected, got string%)" },
      { { pid = 1 }, "unknown key 'pid' in 'sockets'" },
      { { [1] = "tcp" }, "unknown key '1' in 'sockets'" },
      { "tcp", "bad argument 'filter' to 'sockets' %(table expected" },
    } do
      assert.error_matches(function() ns:sockets(case[1]) end, case[2])
      assert.error_matches(function() netns.sockets(name, case[1]) end, case[2])
    end
    assert.error_matches(function() netns.sockets() end,
      "bad argument 'NS' to 'sockets' %(namespace .* expected, got nil%)")
    assert(netns.delete(name))
    local list, message, code = netns.sockets(name)
    assert.is_nil(list)
    assert.equal(('sockets "%s": No such file or directory'):format(name),
      message)
    assert.equal(errno.ENOENT, code)
    ns:close()
    assert.error_matches(function() ns:sockets() end,
      "bad argument 'NS' to 'sockets' %(handle is closed%)")
  end)
end)

describe("wait_listen", function()
  t.guard(before_each, after_each)

  test("returns when a program that was started listens", function(finally)
    local ns, name = open(finally)
    assert.is_nil((ns:wait_listen(8080, 0)))
    local process = assert(ns:spawn({ "python3", "-c", [[
import socket, time
time.sleep(0.3)
s = socket.socket()
s.bind(('127.0.0.1', 8080)) # is not enough
time.sleep(0.3)
s.listen(3)
time.sleep(1000)
]] }, { mounts = false }))
    finally(function() process:close() end)
    local before = core.now()
    local found = assert(ns:wait_listen(8080, 60))
    assert.is_true(core.now() - before >= 0.5)
    assert.same(ns:sockets { protocol = "tcp" }, { found })
    assert.equal("listen", found.state)
    assert.equal(3, found.send_queue)
    -- what is there already is found at once
    for _, port in ipairs { 8080, 8080.0, "8080/tcp" } do
      assert.same(found, ns:wait_listen(port, 0))
      assert.same(found, netns.wait_listen(name, port))
    end
    assert.is_nil((ns:wait_listen("8080/udp", 0)))
  end)

  test("looks at both families, and at UDP that has no peer", function(finally)
    local ns = open(finally)
    python(finally, ns, [[
make(AF_INET6, SOCK_STREAM, ('::1', 80))
connect('::1', 80) # from a port that does not listen
make(AF_INET6, SOCK_DGRAM, ('::1', 53))
make(AF_INET, SOCK_DGRAM, ('127.0.0.1', 54)).connect(('127.0.0.1', 53))
]])
    assert.equal("::1", assert(ns:wait_listen(80, 0)).address)
    local connected = assert(ns:sockets { peer_port = 80 })[1]
    assert.is_nil((ns:wait_listen(connected.port, 0)))
    local found = assert(ns:wait_listen("53/udp", 0))
    assert.same({ "udp", "inet6", "unconnected" },
      { found.protocol, found.family, found.state })
    assert.is_nil((ns:wait_listen("54/udp", 0)))
    assert.is_nil((ns:wait_listen("53/tcp", 0)))
  end)

  test("gives up at its timeout", function(finally)
    local ns, name = open(finally)
    local before = core.now()
    local found, message, code = ns:wait_listen(80, 0.2)
    local took = core.now() - before
    assert.is_nil(found)
    assert.equal(('wait_listen "%s": 80/tcp: timed out, nothing listens')
      :format(name), message)
    assert.equal(errno.ETIMEDOUT, code)
    assert.is_true(took > 0.199 and took < 10)
    found, message, code = netns.wait_listen(name, "53/udp", 0)
    assert.is_nil(found)
    assert.equal(('wait_listen "%s": 53/udp: timed out, nothing listens')
      :format(name), message)
    assert.equal(errno.ETIMEDOUT, code)
  end)

  test("looks at intervals that grow", function(finally)
    local ns = open(finally)
    local pause, pauses = core.pause, {}
    finally(function() core.pause = pause end)
    core.pause = function(seconds)
      pauses[#pauses + 1] = seconds
      pause(seconds)
    end
    assert.is_nil((ns:wait_listen(80, 0.2)))
    for i, expected in ipairs { 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016 } do
      assert.equal(expected, pauses[i])
    end
    assert.is_true(#pauses >= 7 and #pauses < 20, table.concat(pauses, ' '))
    for i = 7, #pauses do assert.is_true(pauses[i] <= 0.02) end
  end)

  it("is not called with wrong arguments", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    for _, port in ipairs { 0, -1, 65536, 80.5, 0 / 0, 1 / 0, "80", "http",
      "80/sctp", "0/tcp", "65536/udp", "99999999999999999999/tcp", "/tcp",
      "80/", " 80/tcp", "" } do
      local found, message, code = ns:wait_listen(port, 0)
      assert.is_nil(found)
      assert.equal(('wait_listen: "%s": Invalid argument'):format(port),
        message)
      assert.equal(errno.EINVAL, code)
    end
    for _, port in ipairs { true, {}, print } do
      assert.error_matches(function() ns:wait_listen(port) end,
        "bad argument 'port' to 'wait_listen' %(port expected, got %l+%)")
    end
    for _, timeout in ipairs { "1", -1, 0 / 0, {} } do
      assert.error_matches(function() ns:wait_listen(80, timeout) end,
        "bad argument 'timeout' to 'wait_listen' %(seconds expected")
    end
    assert.error_matches(function() netns.wait_listen(nil, 80) end,
      "bad argument 'NS' to 'wait_listen'")
    ns:close()
    assert.error_matches(function() ns:wait_listen(80) end,
      "bad argument 'NS' to 'wait_listen' %(handle is closed%)")
    assert(netns.delete(name))
    local found, message, code = netns.wait_listen(name, 80)
    assert.is_nil(found)
    assert.equal(('wait_listen "%s": No such file or directory'):format(name),
      message)
    assert.equal(errno.ENOENT, code)
  end)
end)
