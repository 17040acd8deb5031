-- Messages of netlink that the kernel has not sent.

local netns = require "netns"
local t = require "spec.support"

-- attacker.py PORTS TIMES MESSAGE…: sends messages to all groups of events, or
-- to ports (with a comma between them) alone, and prints "sent" or the name of
-- the errno, for each port once.
local ATTACKER = [[
import errno, socket, struct, sys
def attr(kind, data): return struct.pack("=HH", 4 + len(data), kind) + data
def link(index, name):
    return struct.pack("=BxHiII", 0, 1, index, 1, 0) + attr(3, name)
address = bytes([192, 0, 2, 1])
messages = {
    "link": (16, 1, link(77, b"forged".ljust(16, b"\0"))),
    "no link": (17, 1, link(1, b"lo".ljust(16, b"\0"))),
    "addr": (20, 5, struct.pack("=BBBBI", 2, 32, 0, 0, 1) + attr(2, address)),
    "route": (24, 7, struct.pack("=8BI", 2, 32, 0, 0, 254, 3, 0, 1, 0)
        + attr(1, address)),
    "id": (88, 28, struct.pack("=B3x", 0) + attr(1, struct.pack("=i", 77))),
}
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
s.bind((0, 0))
for port in map(int, sys.argv[1].split(",")):
    result = "sent"
    for _ in range(int(sys.argv[2])):
        for name in sys.argv[3:]:
            kind, group, data = messages[name]
            head = struct.pack("=IHHII", 16 + len(data), kind, 0, 0, 0)
            try: s.sendto(head + data, (port, 0 if port else 1 << group - 1))
            except OSError as e: result = errno.errorcode[e.errno]
    print(result)
]]

-- The command of an attack from inside of a namespace.
local function attack(name, ports, times, messages)
  return ("nsenter --net=%s/%s python3 -c %s %s %d %s"):format(netns.run_dir,
    name, t.quote(ATTACKER), ports, times, messages)
end

local function space()
  local name = t.name()
  local ns = assert(netns.add(name))
  t.keep { close = function()
    ns:close()
    assert(netns.delete(name))
  end }
  return ns, name
end

-- The ports of the sockets of rtnetlink in a namespace.
local function ports_in(name)
  local list = {}
  local text = t.must("nsenter --net=%s/%s cat /proc/net/netlink",
    netns.run_dir, name)
  for protocol, port in text:gmatch "\n%x+%s+(%d+)%s+(%d+)" do
    if protocol == "0" and port ~= "0" then list[#list + 1] = port end
  end
  return list
end

describe("a message that the kernel has not sent", function()
  t.guard(before_each, after_each)

  it("is no event of a link, an address or a route", function()
    local ns, name = space()
    local monitor = t.keep(assert(ns:monitor_links()))
    assert.equal("sent",
      t.must(attack(name, 0, 1, "link 'no link' addr route")))
    assert(ns:link_set("lo", { mtu = 1400 })) -- the attack came before it
    local event = assert(monitor:read(60))
    assert.equal("change lo", ("%s %s"):format(event.action,
      event.link and event.link.name))
    assert.is_nil((monitor:read(0)))
  end)

  it("is no event of an id", function()
    local ns, name = space()
    local monitor = t.keep(ns:call(function()
      return assert(netns.monitor { ids = true })
    end))
    assert.equal("sent", t.must(attack(name, 0, 1, "id")))
    local other = t.keep(assert(netns.new()))
    assert(ns:set(other, 5))
    local event = assert(monitor:read(60))
    assert.same({ "add-id", 5 }, { event.action, event.nsid })
    assert.is_nil((monitor:read(0)))
  end)

  it("is refused by the kernel where it is for a single socket of ours",
    function()
      local ns, name = space()
      local monitor = t.keep(assert(ns:monitor_links()))
      assert(ns:links()) -- and the socket of the handle
      local ports = ports_in(name)
      assert.is_true(#ports >= 3)
      assert.equal(("ECONNREFUSED\n"):rep(#ports), t.must(
        attack(name, table.concat(ports, ","), 1, "link")) .. "\n")
      assert.is_nil((monitor:read(0)))
    end)

  it("does not end a wait, nor hold up one beyond its timeout", function()
    local _, name = space()
    local monitor = t.keep(assert(netns.monitor_links(name)))
    local flood = t.start("exec " .. attack(name, 0, 1e9, "link"))
    for _ = 1, 20 do
      local event, message, errno = monitor:read(0.02)
      -- the kernel drops events when too many come, whoever sends them
      assert.is_true(event and event.action == "resync"
        or errno == netns.errno.ETIMEDOUT, message)
    end
    local found, _, errno = netns.wait_link(name, "forged", { timeout = 0.1 })
    assert.is_nil(found)
    assert.equal(netns.errno.ETIMEDOUT, errno)
    t.stop(flood)
  end)
end)
