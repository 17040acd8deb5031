-- Labs: topologies that are built.

local netns = require "netns"
local core = require "netns.core"
local topology = require "netns.topology"
local t = require "spec.support"

local errno = netns.errno

local function build(description)
  return t.keep(assert(topology.build(description)))
end

-- Seconds for a reply to what is not lost: who asks for a neighbour again does
-- that after a second. An emulated machine may need that long for the reply.
local SOON = 0.9 * t.slow

local SMALL = {
  routers = { "r" }, links = { "client -- r", "r -- server" },
}

-- Whether a queue can be had from this kernel.
local function has_queue(kind, options)
  local ns = assert(netns.new())
  options.kind = kind
  local ok, _, code = ns:qdisc_add("lo", options)
  ns:close()
  return ok or code ~= errno.EOPNOTSUPP
end

-- The process ids of programs that were started as `sleep SECONDS`.
local function sleepers(seconds)
  local list = {}
  for _, entry in ipairs(assert(core.readdir "/proc")) do
    local file = entry:find "^%d+$" and io.open("/proc/" .. entry .. "/cmdline")
    if file then
      if file:read "*a" == ("sleep\0%s\0"):format(seconds) then
        list[#list + 1] = tonumber(entry)
      end
      file:close()
    end
  end
  return list
end

-- Nobody's: process 1 reaps what is orphaned, but not at once.
local function assert_no_zombies()
  t.eventually(function() return not t.sh "ps -eo stat=":find "Z" end)
end

local count = 0
local function seconds() -- that no other test sleeps
  count = count + 1
  return tostring(900000 + count)
end

-- Starts one program of each sort; returns the number of those that sleep.
local function populate(node, duration)
  t.keep(assert(node:spawn { "sleep", duration }))
  assert(node:exec({ "sh", "-c",
    ("(setsid sh -c 'sleep %s & exec sleep %s' >/dev/null 2>&1 &) ; exit 0")
      :format(duration, duration) }))
  assert(node:spawn({ "sh", "-c",
    ("trap '' HUP TERM; exec sleep %s"):format(duration) }, { detach = true }))
  t.eventually(function() return #sleepers(duration) == 4 end)
end

local function assert_all_reach(lab, family)
  local matrix = assert(lab:reach { family = family, timeout = SOON })
  for from, row in pairs(matrix) do
    for to, rtt in pairs(row) do
      assert.is_truthy(rtt, ("%s does not reach %s (%s)")
        :format(from, to, family or "inet"))
    end
  end
end

describe("a lab #novalgrind", function()
  t.guard(before_each, after_each)

  it("is two hosts and a router in four lines, pinged", function()
    local lab = build {
      routers = { "r" },
      links = {
        "client -- r", { "r -- server", rate = "100mbit", mtu = 1400 },
      },
    }
    assert.equal("10.0.1.2", assert(lab.client:ping(lab.server)).address)
    assert.equal("fd00:0:0:1::2",
      assert(lab.client:ping(lab.server, { family = "inet6" })).address)
    assert.is_true(lab.client:exec({ "ping", "-c1", "-W5", "10.0.1.2" },
      { stdout = "null" }))
    assert.equal(1400, lab.server:link("eth0").mtu)
    assert.equal("tbf", lab.server:qdiscs({ link = "eth0" })[1].kind)
    assert.same({}, lab:diff())
  end)

  it("can be used at once when it is built, every time", function()
    for _ = 1, t.many(30) do
      local lab = assert(topology.build(SMALL))
      for _, family in ipairs { "inet", "inet6" } do
        for from, to in pairs { client = "r", r = "server", server = "r" } do
          assert(lab[from]:ping(lab[to], { family = family, timeout = SOON }))
        end
      end
      lab:close()
    end
  end)

  it("has switches, of which several can be one", function()
    local lab = build {
      switches = { left = { "a", "b" }, right = { "c", "d" } },
      links = { "left -- right" },
    }
    assert_all_reach(lab)
    assert_all_reach(lab, "inet6")
    assert.same({ "10.0.0.4" }, { lab.d.addresses.eth0[1] })
    assert.equal("bridge", lab.nodes.left:link("br0").kind)
    assert.same({}, lab.nodes.left:addrs({ link = "br0" }))
  end)

  it("never touches the caller's network", function()
    local here = t.keep(assert(netns.current()))
    local links, ids = here:links(), netns.list_id()
    local lab = build {
      switches = { lan = { "a", "b" } }, links = { "a -- c" },
    }
    assert.same(#links, #here:links())
    assert.same(ids, netns.list_id())
    for _, node in pairs(lab.nodes) do assert.is_false(node == here) end
  end)

  it("has routers that forward, and hosts that do not", function()
    local lab = build { routers = { "r" }, links = { "a -- r", "r -- b" } }
    for name, value in pairs { a = "0", r = "1", b = "0" } do
      assert.equal(value, lab[name]:sysctl "net.ipv4.ip_forward")
      assert.equal(value, lab[name]:sysctl "net.ipv6.conf.all.forwarding")
      assert.equal("0", lab[name]:sysctl "net.ipv4.conf.eth0.rp_filter")
    end
    local chain = build { links = { "a -- h", "h -- b" }, nodes = {
      a = { routes = { default = "10.0.0.2" } },
      b = { routes = { default = "10.0.1.1" } } } }
    assert.is_nil((chain.a:ping("10.0.1.2", { timeout = 0.2 })))
  end)

  it("has the sysctls that are said", function()
    local lab = build { links = { "a -- b" }, nodes = { a = { sysctl = {
      ["net.ipv4.tcp_ecn"] = 1, ["net.ipv4.conf.eth0.arp_ignore"] = "2",
      ["net/ipv4/conf/all/accept_local"] = true } } } }
    assert.equal("1", lab.a:sysctl "net.ipv4.tcp_ecn")
    assert.equal("2", lab.a:sysctl "net.ipv4.conf.eth0.arp_ignore")
    assert.equal("1", lab.a:sysctl "net.ipv4.conf.all.accept_local")
    assert.same({}, lab:diff())
  end)

  it("is built of a plan, too", function()
    local plan = assert(topology.plan(SMALL))
    local lab = t.keep(assert(plan:build()))
    assert.same(plan, lab.plan)
    assert_all_reach(lab)
  end)

  it("has nodes that are handles", function()
    local lab = build(SMALL)
    local client = lab.client
    assert.equal(client, lab.nodes.client)
    local other = t.keep(assert(netns.open(client)))
    assert.is_true(client == other and other == client)
    assert.is_nil(client:name())
    assert.matches("^netns%.ns %(client, fd %d+, net:%[%d+%]%)$",
      tostring(client))
    assert.same({ "10.0.0.1", "fd00::1", eth0 = { "10.0.0.1", "fd00::1" } },
      client.addresses)
    assert.is_true(client:call(function()
      return netns.current() == client
    end))
    assert.equal("eth0", netns.link(client, "eth0").name)
    local _, message =
      client:exec({ "no-such-program" }, { env = { PATH = "/bin" } })
    assert.equal("exec client: no-such-program: No such file or directory",
      message)
    assert.error_matches(function() client:ping(nil) end, "bad argument")
    assert.error_matches(function()
      client:ping(lab.server, { family = "unix" })
    end, "bad argument 'family' to 'ping'")
  end)

  it("says what it cannot ping", function()
    local lab = build { ipv6 = false, routers = { "r" },
      links = { "a -- r", "b -- c" } }
    local nothing, message, code = lab.a:ping(lab.r, { family = "inet6" })
    assert.is_nil(nothing)
    assert.equal("ping a: r has no address of inet6", message)
    assert.equal(errno.EADDRNOTAVAIL, code)
    nothing, message, code = lab.a:ping(lab.b)
    assert.is_nil(nothing)
    assert.matches("^ping a: 10%.0%.1%.1: Network is unreachable$", message)
    assert.equal(errno.ENETUNREACH, code)
  end)

  it("has no trace of itself left when nobody uses it any more", function()
    for _ = 1, 3 do
      local lab = assert(topology.build(SMALL))
      assert(lab.client:exec { "true" }) -- starts its keeper
    end
    collectgarbage()
    collectgarbage() -- the guard counts descriptors
  end)

  it("tells of one that is closed", function()
    local lab = build(SMALL)
    assert.equal("netns.lab (3 nodes)", tostring(lab))
    assert.is_true(lab:close())
    assert.is_true(lab:close())
    assert.equal("netns.lab (closed)", tostring(lab))
    for _, method in ipairs { "link", "reach", "diff", "eventually" } do
      assert.has_error(function() lab[method](lab) end,
        ("bad argument 'lab' to '%s' (lab is closed)"):format(method))
    end
    assert.error_matches(function() lab.client:ping "10.0.0.1" end, "closed")
  end)

  it("is one of many side by side", function()
    local labs = {}
    for i = 1, 10 do labs[i] = build(SMALL) end
    for _, lab in ipairs(labs) do assert_all_reach(lab) end
  end)

  it("asks for no router, unless it is told to", function()
    local function solicitations(node)
      local text = assert(node:capture { "cat", "/proc/net/snmp6" }).stdout
      return tonumber(text:match "Icmp6OutRouterSolicits%s+(%d+)")
    end
    local eth0 = "net.ipv6.conf.eth0.router_solicitation"
    local lab = build {
      links = { "a -- b" },
      nodes = {
        a = { sysctl = { [eth0 .. "_delay"] = 0 } },
        b = { sysctl = { [eth0 .. "_delay"] = 0, [eth0 .. "s"] = -1 } },
      },
    }
    t.eventually(function() return solicitations(lab.b) > 0 end)
    assert.equal(0, solicitations(lab.a))
  end)

  it("may be large", function()
    local members = {}
    for i = 1, t.many(1000) do members[i] = "h" .. i end
    local lab = build { switches = { lan = members } }
    assert(lab.h1:ping(lab[members[#members]]))
    assert(lab.h1:ping(lab[members[#members]], { family = "inet6" }))
    lab:close()
  end)
end)

describe("a lab that cannot be built #novalgrind", function()
  t.guard(before_each, after_each)

  it("is no lab if its description has mistakes", function()
    local lab, message, code, list =
      topology.build { links = { "a -- a", "b" } }
    assert.is_nil(lab)
    assert.equal(errno.EINVAL, code)
    assert.equal(2, #list)
    assert.equal("links[1]: a is linked to itself\n"
      .. 'links[2]: "a -- b", or two ends expected, got "b"', message)
  end)

  it("says where, in the kernel's words", function()
    local lab, message, code = topology.build {
      links = { "a -- b" },
      nodes = { b = { sysctl = { ["net.ipv4.no_such_thing"] = 1 } } },
    }
    assert.is_nil(lab)
    assert.equal('nodes.b.sysctl.net.ipv4.no_such_thing: sysctl b '
      .. '"net.ipv4.no_such_thing": No such file or directory', message)
    assert.equal(errno.ENOENT, code)
  end)

  it("for lack of a queue is EOPNOTSUPP, naming it", function()
    if has_queue("netem", {}) then return pending "this kernel has netem" end
    local lab, message, code =
      topology.build { links = { { "a -- b", delay = "1ms" } } }
    assert.is_nil(lab)
    assert.matches("^links%[1%]: qdisc_set a: eth0 %(netem%): ", message)
    assert.equal(errno.EOPNOTSUPP, code)
  end)

  -- Has the n-th call of what changes something fail; true if it was made.
  local function failing(n, fn)
    local calls, originals = 0, {}
    local function wrap(where, name)
      local original = where[name]
      originals[#originals + 1] = { where, name, original }
      where[name] = function(...)
        calls = calls + 1
        if calls == n then return nil, name .. " was made to fail", 5 end
        return original(...)
      end
    end
    for _, name in ipairs { "link_add", "link_set", "addr_add", "route_add",
      "sysctl", "qdisc_set" } do
      wrap(core.methods, name)
    end
    for _, name in ipairs { "new", "attach", "keeper" } do wrap(core, name) end
    local ok, problem = pcall(fn)
    for _, entry in ipairs(originals) do entry[1][entry[2]] = entry[3] end
    assert(ok, problem)
    return calls >= n
  end

  it("leaves nothing, whichever step fails #anykernel", function()
    local description = {
      named = true, routers = { "r" },
      nodes = { a = { lo = "192.0.2.1/32",
        sysctl = { ["net.ipv4.tcp_ecn"] = 1 } } },
      links = { { "a -- r", rate = "10mbit" } }, switches = { lan = { "r" } },
    }
    local n, built = 0, false
    repeat
      n = n + 1
      local before = #core.readdir "/proc/self/fd"
      local made = failing(n, function()
        local lab, message, code = topology.build(description)
        if lab then
          built = true
          return lab:close()
        end
        assert.equal(5, code, message)
        assert.matches("^%S+: .*was made to fail$", message)
        -- reading a sysctl may fail: then there is none to set
      end)
      collectgarbage()
      assert.equal(before, #core.readdir "/proc/self/fd")
      assert.same({}, netns.names())
    until not made
    assert_no_zombies()
    assert.is_true(built)
    assert.is_true(n > 20)
  end)
end)

describe("a lab's programs #novalgrind", function()
  t.guard(before_each, after_each)

  it("have a process namespace of their own, with its /proc", function()
    local lab = build(SMALL)
    local result = assert(lab.client:capture { "sh", "-c",
      "echo $$; readlink /proc/self; ls /proc | grep -c '^[0-9]'" })
    local pid, own, processes = result.stdout:match "^(%d+)\n(%d+)\n(%d+)\n$"
    assert.is_true(tonumber(pid) < 10, pid)
    assert.is_true(tonumber(own) < 10, own)
    assert.is_true(tonumber(processes) < 10, processes)
    for _, mounts in ipairs { "shared", false } do
      assert.is_true(lab.client:exec({ "sh", "-c", "[ $$ -lt 20 ]" },
        { mounts = mounts }))
    end
  end)

  it("are seen from outside by their own numbers", function()
    local lab = build(SMALL)
    local process = t.keep(assert(lab.r:spawn { "sleep", seconds() }))
    assert.same({ process.pid }, netns.pids(lab.r))
    assert.is_true(t.runs(process.pid))
  end)

  it("are all gone when it is closed, daemons too", function()
    local lab, duration = build(SMALL), seconds()
    local process = t.keep(assert(lab.client:spawn { "sleep", seconds() }))
    populate(lab.client, duration)
    local start = core.now()
    lab:close()
    assert.is_true(core.now() - start < 3)
    assert.same({}, sleepers(duration))
    assert.same({ "signal", 9 }, { select(3, process:wait()) })
  end)

  it("leave no zombies, neither in it nor with us", function()
    local lab = build(SMALL)
    for _ = 1, 20 do
      assert(lab.client:exec { "sh", "-c", "(sleep 0.01 &) ; (true &)" })
    end
    assert_no_zombies()
    assert.equal("", t.read "/proc/thread-self/children")
  end)

  for how, ending in pairs {
    ["a SIGKILL"] = "io.popen('kill -9 $PPID'):read()",
    ["os.exit"] = "os.exit(0)",
    ["an error"] = "error 'enough'",
    ["its end"] = "",
  } do
    it("do not outlive " .. how .. " of their starter", function()
      local duration, gate = seconds(), os.tmpname()
      t.must("rm %s && mkfifo %s", gate, gate)
      local host = t.background(([[
        local topology = require "netns.topology"
        lab = assert(topology.build { links = { "a -- b" } })
        process = assert(lab.a:spawn { "sleep", "%s" })
        assert(lab.b:exec { "sh", "-c",
          "(setsid sh -c 'sleep %s & exec sleep %s' >/dev/null 2>&1 &)" })
        print "built"
        io.stdout:flush()
        io.open("%s"):read()
        %s
      ]]):format(duration, duration, duration, gate, ending),
        "exec 2>/dev/null;") -- which would tell of the error
      assert.equal("built", host:read())
      t.eventually(function() return #sleepers(duration) == 3 end)
      t.write(gate, "go on\n")
      host:close()
      os.remove(gate)
      t.eventually(function() return #sleepers(duration) == 0 end)
    end)
  end

  it("are waited for until they listen, and tell so in their log", function()
    local lab = build(SMALL)
    local server = t.keep(assert(lab.server:spawn({ "python3", "-u", "-m",
      "http.server", "--bind", "::", "8000", "--directory", "/proc/self/fdinfo"
    }, { log = true })))
    local listening, message = lab.server:wait_listen(8000, 60)
    assert.is_truthy(listening, message)
    assert.is_string(server:wait_log("Serving HTTP on .- port 8000", 60))
    local got = assert(lab.client:capture { "python3", "-c", [[
import sys, urllib.request
print(urllib.request.urlopen("http://" + sys.argv[1] + ":8000/").status)]],
      lab.server.addresses[1] })
    assert.equal("200\n", got.stdout, got.stderr)
  end)
end)

describe("a lab with names #novalgrind", function()
  t.guard(before_each, after_each)

  local function named(prefix)
    return {
      named = true, routers = { prefix .. "r" },
      links = { prefix .. "a -- " .. prefix .. "r" },
    }
  end

  it("is seen by ip, and its names go with it", function()
    local prefix = t.name() .. "-"
    local lab = build(named(prefix))
    assert.same({ prefix .. "a", prefix .. "r" }, netns.names())
    assert.equal(prefix .. "a", lab[prefix .. "a"]:name())
    assert.matches("inet 10%.0%.0%.1/24",
      t.must("ip -n %sa address show dev eth0", prefix))
    t.must("ip netns exec %sa ping -c1 -W5 10.0.0.2", prefix)
    lab:close()
    assert.same({}, netns.names())
  end)

  it("is not built if one of its names is taken", function()
    local prefix = t.name() .. "-"
    t.keep(assert(netns.add(prefix .. "r")))
    local lab, message, code = topology.build(named(prefix))
    assert.is_nil(lab)
    assert.equal(errno.EEXIST, code)
    assert.matches('^routers%[1%]: attach "[^"]+": File exists$',
      (message:gsub("^[^:]+:", "routers[1]:")))
    assert.same({ prefix .. "r" }, netns.names())
    assert(netns.delete(prefix .. "r"))
  end)

  it("does not take a name away that has become another's", function()
    local prefix = t.name() .. "-"
    local lab = build(named(prefix))
    assert(netns.delete(prefix .. "a"))
    t.keep(assert(netns.add(prefix .. "a")))
    lab:close()
    assert.same({ prefix .. "a" }, netns.names())
    assert(netns.delete(prefix .. "a"))
  end)

  it("leaves none when its host is killed", function()
    local prefix = t.name() .. "-"
    local host = t.background((([[
      local netns = require "netns"
      lab = assert(require "netns.topology".build {
        named = true, links = { "%sa -- %sb", "%sb -- %sc" } })
      print "built"
      io.stdout:flush()
      io.popen "kill -9 $PPID":read()
    ]]):gsub("%%s", prefix)), "exec 2>/dev/null;")
    assert.equal("built", host:read())
    host:close()
    t.eventually(function() return #netns.names() == 0 end)
    t.eventually(function()
      return t.read "/proc/thread-self/children" == ""
    end)
  end)
end)

describe("a link of a lab", function()
  t.guard(before_each, after_each)

  it("is taken down and up again, with its addresses and routes", function()
    local lab = build(SMALL)
    local link = assert(lab:link("client", lab.r))
    assert.equal("netns.link (client:eth0 -- r:eth0)", tostring(link))
    assert.is_true(link:set { up = false })
    assert.is_nil((lab.client:ping(lab.server, { timeout = 0.1 })))
    assert.is_true(lab:reach { timeout = 0.9 }.r.server ~= false)
    assert.same({}, lab:diff())
    assert.is_true(link:set { up = true })
    assert_all_reach(lab)
    assert_all_reach(lab, "inet6")
    assert.same({}, lab:diff())
    for _ = 1, t.many(20) do -- at once usable, every time
      assert(link:set { up = false })
      assert(link:set { up = true })
      assert(lab.client:ping(lab.server, { timeout = SOON }))
      assert(lab.client:ping(lab.server, { family = "inet6", timeout = SOON }))
    end
  end)

  it("limits what passes, and does so no more", function()
    local lab = build { switches = { lan = { "a", "b" } } }
    local link = assert(lab:link("b", "lan"))
    assert.is_true(link:set { rate = "10mbit" })
    assert.same({}, lab:diff())
    for _, node in ipairs { lab.b, lab.nodes.lan } do
      local found
      for _, queue in ipairs(node:qdiscs()) do
        found = found or queue.kind == "tbf" and queue.rate
      end
      assert.equal(10e6, found)
    end
    assert.is_true(link:set { rate = 20e6 })
    assert.equal(20e6, lab.b:qdiscs({ kind = "tbf" })[1].rate)
    for _, rate in ipairs { 8, 1e18 } do -- as far as a description may go
      assert(link:set { rate = rate })
    end
    assert.is_true(link:set { rate = false })
    assert.same({}, lab.b:qdiscs { kind = "tbf" })
    assert.same({}, lab:diff())
  end)

  it("has the delay and the loss that are asked for", function()
    if not has_queue("netem", {}) then
      return pending "this kernel has no netem"
    end
    local lab = build { links = { { "a -- b", delay = "20ms" } } }
    local rtt = assert(lab.a:ping(lab.b, { count = 3, timeout = 5 })).rtt
    assert.is_true(rtt.min >= 0.04, rtt.min)
    local link = assert(lab:link("a", "b"))
    assert.is_true(link:set { delay = 0, loss = "100%" })
    assert.is_nil((lab.a:ping(lab.b, { timeout = 0.2 })))
    assert.same({}, lab:diff())
    assert.is_true(link:set { loss = false })
    assert(lab.a:ping(lab.b))
    assert.is_true(link:set { rate = "50mbit", delay = "1ms", jitter = "1ms",
      duplicate = 0.1, corrupt = "1%", reorder = "10%", limit = 500 })
    assert.same({}, lab:diff())
  end)

  it("stays as it is if a change is refused", function()
    local lab = build { links = { { "a -- b", rate = "10mbit" } } }
    local link = assert(lab:link("b:eth0", "a:eth0"))
    local ok, message, code = link:set { loss = 2, delay = "x", up = false }
    assert.is_nil(ok)
    assert.equal("set a:eth0 -- b:eth0: delay: seconds, or a time such as "
      .. '"20ms", expected, got "x"; loss: 2 is not within 0 and 100 %',
      message)
    assert.equal(errno.EINVAL, code)
    if not has_queue("netem", {}) then
      ok, message, code = link:set { delay = "1ms" }
      assert.is_nil(ok)
      assert.matches("netem", message)
      assert.equal(errno.EOPNOTSUPP, code)
    end
    assert.same({}, lab:diff())
    assert(lab.a:ping(lab.b))
    assert.has_error(function() link:set { speed = 1 } end,
      "unknown key 'speed' in 'set'")
    assert.has_error(function() link:set { up = 1 } end,
      "bad argument 'up' to 'set' (boolean expected, got number)")
    assert.has_error(function() link:set "down" end,
      "bad argument 'changes' to 'set' (table expected, got string)")
  end)

  it("is one that there is", function()
    local lab = build(SMALL)
    local link, message, code = lab:link("client", "server")
    assert.is_nil(link)
    assert.equal("link: there is none between client and server", message)
    assert.equal(errno.ENOENT, code)
    assert.error_matches(function() lab:link("client") end,
      "node or name expected, got nil")
  end)
end)

describe("what is there #novalgrind", function()
  t.guard(before_each, after_each)

  it("is told in a matrix", function()
    local lab = build { routers = { "r" }, links = { "a1 -- r", "r -- a10" },
      nodes = { a2 = {} } }
    local matrix = assert(lab:reach { timeout = 0.9 })
    assert.is_number(matrix.a1.a10)
    assert.is_false(matrix.a1.a2)
    assert.is_nil(matrix.a1.a1)
    assert.equal(table.concat({
      "      a1  a2 a10   r",
      "  a1   .   - yes yes",
      "  a2   -   .   -   -",
      " a10 yes   -   . yes",
      "   r yes   - yes   .",
    }, "\n"), tostring(matrix))
    assert.error_matches(function() lab:reach { family = "unix" } end,
      "bad argument 'family' to 'reach'")
  end)

  it("is told where it differs from what was asked for", function()
    local lab = build {
      routers = { "r" }, switches = { lan = { "x" } },
      nodes = { a = { sysctl = { ["net.ipv4.tcp_ecn"] = 1 } } },
      links = { { "a -- r", mtu = 1400 }, { "r -- b", rate = "1mbit" } },
    }
    assert.same({}, lab:diff())
    assert(lab.a:link_set("eth0", { mtu = 1300 }))
    assert(lab.a:addr_add("eth0", "192.0.2.9/24"))
    assert(lab.a:sysctl("net.ipv4.tcp_ecn", 0))
    assert(lab.r:route_add { to = "198.51.100.0/24", via = "10.0.0.1" })
    assert(lab.r:link_add { name = "extra", kind = "ifb" })
    assert(lab.b:route_delete { to = "default", via = "10.0.1.1" })
    assert(lab.b:addr_delete("eth0", "fd00:0:0:1::2/64"))
    assert(lab.b:qdisc_delete("eth0"))
    assert(lab.nodes.lan:link_set("port1", { master = false, up = false }))
    assert(lab.x:qdisc_add("eth0", { kind = "tbf", rate = "1mbit",
      burst = "16kb", latency = "50ms" }))
    assert.same({
      "nodes.a.eth0: address 192.0.2.9/24 was not asked for",
      "nodes.a.eth0: its MTU is 1300 instead of 1400",
      "nodes.a.sysctl.net.ipv4.tcp_ecn: it is 0 instead of 1",
      "nodes.b.eth0: address fd00:0:0:1::2/64 is missing",
      "nodes.b.eth0: its queue is no tbf",
      "nodes.b: route default via 10.0.1.1 is missing",
      "nodes.r: link extra was not asked for",
      "nodes.r: route 198.51.100.0/24 via 10.0.0.1 was not asked for",
      "nodes.x.eth0: a queue tbf was not asked for",
      "switches.lan.port1: it is down",
      "switches.lan.port1: it is no port of br0",
    }, lab:diff())
    assert(lab.a:link_delete "eth0")
    assert.is_truthy(table.concat(lab:diff(), "\n")
      :find("nodes.a.eth0: it is missing", 1, true))
  end)

  it("is what the commands of :sh() make", function()
    local prefix = t.name() .. "-"
    local description = {
      routers = { prefix .. "r" },
      nodes = { [prefix .. "a"] = { lo = "192.0.2.1/32",
        sysctl = { ["net.ipv4.tcp_ecn"] = 1,
          ["net.ipv4.tcp_rmem"] = "4096 131072 6291456" } } },
      switches = { [prefix .. "s"] = { prefix .. "x", prefix .. "r:up",
        rate = "10mbit" } },
      links = { { prefix .. "a -- " .. prefix .. "r:e$'x", mtu = 1400 } },
    }
    if has_queue("netem", {}) then
      description.links[1].delay, description.links[1].jitter = "5ms", "1ms"
      description.links[1].loss, description.links[1].reorder = "0.5%", "1%"
      description.links[1].rate, description.links[1].limit = "10mbit", 100
    end
    local plan = assert(topology.plan(description))
    local path = os.tmpname()
    t.write(path, plan:sh())
    t.must("sh %s", path)
    os.remove(path)
    -- a lab of the same description, whose handles are led to what sh has made
    local lab = build(description)
    local function features(of)
      local all = {}
      for name in pairs(lab.nodes) do
        local ns = t.keep(assert(netns.open(of(name))))
        local list = {}
        for _, link in ipairs(assert(ns:links())) do
          list[#list + 1] = ("link %s %s %s %s %d"):format(link.name,
            tostring(link.kind), tostring(link.up), tostring(link.master),
            link.mtu)
        end
        for _, addr in ipairs(assert(ns:addrs())) do
          if addr.scope ~= "link" then
            list[#list + 1] = ("addr %s %s/%d"):format(addr.link, addr["local"],
              addr.prefixlen)
          end
        end
        for _, route in ipairs(assert(ns:routes())) do
          if not route.to:find "^fe80" then
            list[#list + 1] = ("route %s %s %s"):format(route.to,
              tostring(route.via), tostring(route.link))
          end
        end
        for _, queue in ipairs(assert(ns:qdiscs())) do
          list[#list + 1] = ("queue %s %s %s %s %s"):format(queue.link,
            queue.kind, tostring(queue.rate), tostring(queue.delay),
            tostring(queue.loss))
        end
        for _, key in ipairs { "ip_forward", "tcp_ecn", "tcp_rmem",
          "conf/all/rp_filter" } do
          list[#list + 1] = key .. " " .. ns:sysctl("net/ipv4/" .. key)
        end
        list[#list + 1] = ns:sysctl "net.ipv6.conf.all.forwarding"
        table.sort(list)
        all[name] = table.concat(list, "\n")
      end
      return all
    end
    local ours = features(function(name) return lab.nodes[name] end)
    local theirs = features(function(name) return name end)
    assert.same(ours, theirs)
    t.must("ip netns exec %sa ping -c1 -W5 %s", prefix,
      lab[prefix .. "x"].addresses[1])
    for name in pairs(lab.nodes) do assert(netns.delete(name)) end
  end)

  it("is waited for until it is so", function()
    local lab = build(SMALL)
    local tries = 0
    local a, b, c = lab:eventually(function()
      tries = tries + 1
      if tries == 3 then return "x", nil, 3 end
    end)
    assert.same({ "x", nil, 3 }, { a, b, c })
    local route = { to = "198.51.100.0/24", via = "10.0.0.2" }
    t.keep(assert(lab.client:spawn { "sh", "-c",
      "sleep 0.2; ip route add 198.51.100.0/24 via 10.0.0.2" }))
    assert.is_truthy(lab:eventually(function()
      return lab.client:routes({ to = route.to })[1]
    end, 60))
    local nothing, message, code = lab:eventually(function()
      return nil, "not yet"
    end, 0.1)
    assert.is_nil(nothing)
    assert.equal("eventually: not so after 0.1 s: not yet", message)
    assert.equal(errno.ETIMEDOUT, code)
    assert.has_error(function()
      lab:eventually(function() error("wrong", 0) end)
    end, "wrong")
    assert.error_matches(function() lab:eventually(3) end, "function expected")
    assert.error_matches(function() lab:eventually(print, -1) end, "timeout")
  end)

  it("wakes who waits by an event, not by the clock", function()
    local lab = build(SMALL)
    local looks, least = 0, math.huge
    -- each look changes something, so that the next need not wait for the tick
    local start = core.now()
    lab:eventually(function()
      looks = looks + 1
      lab.client:link_set("eth0", { alias = "look " .. looks })
      if looks == 20 then return true end
    end, 60)
    least = math.min(least, core.now() - start)
    assert.is_true(least < 20 * 0.05, least)
  end)
end)
