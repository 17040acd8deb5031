local netns = require "netns"
local core = require "netns.core"
local json = require "spec.json"
local t = require "spec.support"

local errno = core.errno

-- A namespace with a name, for `ip`, and in it a veth, a0 and a1, up but for
-- the second end.
local function new_ns()
  local name = t.name()
  local ns = assert(netns.add(name))
  t.must("ip -n %s link add a0 type veth peer name a1", name)
  t.must("ip -n %s link set a0 up", name)
  t.eventually(function() -- the kernel looks at the carrier a little later
    return ns:link "a0".operstate == "lowerlayerdown"
  end)
  return ns, name
end

local function done(ns, name)
  ns:close()
  assert(netns.delete(name))
end

-- As t.guard, which looks when `finish` has been called.
local function guard(before_each, after_each, finish)
  t.guard(before_each, function(look)
    after_each(function()
      finish()
      look()
    end)
  end)
end

-- A shell command that is run after a while: it is to be waited for.
local function later(command, ...)
  return t.start(("sleep 0.2; " .. command):format(...))
end

local function elapsed(fn, ...)
  local before = core.now()
  fn(...)
  return core.now() - before
end

describe("wait_link", function()
  local ns, name
  guard(before_each, after_each, function() done(ns, name) end)
  before_each(function() ns, name = new_ns() end)

  it("returns the link at once when it is as asked", function()
    assert.same(ns:link "a0", assert(ns:wait_link "a0"))
    local link = assert(ns:wait_link("a0", { up = true, running = false }))
    assert.equal("a0", link.name)
    assert.is_true(link.up)
    assert.is_false(link.running)
    assert.equal("a1", netns.wait_link(name, "a1", { up = false }).name)
    assert.equal(1, select("#", ns:wait_link("a1", { timeout = 0 })))
  end)

  it("waits for what ip makes in another process", function()
    later("ip -n %s link add new type veth peer name other", name)
    local link = assert(ns:wait_link("new", { timeout = 60 }))
    assert.equal(json.decode(t.must("ip -n %s -j link show new", name))[1]
      .ifindex, link.index)
  end)

  it("waits for what we make in another process", function()
    local other = t.background(([[
      local netns = require "netns"
      os.execute "sleep 0.2"
      assert(netns.link_set(%q, "a1", { up = true }))
    ]]):format(name))
    assert.is_true(
      ns:wait_link("a0", { running = true, timeout = 60 }).running)
    assert.is_true(ns:wait_link("a1", { up = true, timeout = 60 }).up)
    assert(other:close())
  end)

  it("waits for links to go up and down, and for the carrier", function()
    later("ip -n %s link set a1 up", name)
    assert.is_true(ns:wait_link("a0", { up = true, running = true }).running)
    later("ip -n %s link set a1 down", name)
    local link = assert(ns:wait_link("a0", { running = false, timeout = 60 }))
    assert.is_true(link.up)
    assert.is_false(link.running)
    assert.equal("DOWN", json.decode(
      t.must("ip -n %s -j link show a1", name))[1].operstate)
    later("ip -n %s link set a0 down", name)
    assert.is_false(ns:wait_link("a0", { up = false, timeout = 60 }).up)
  end)

  it("waits for a name that a link gets, and for a link that comes", function()
    later("ip -n %s link set a1 name b1", name)
    assert.equal("b1", ns:wait_link("b1", { timeout = 60 }).name)
    local other, other_name = new_ns()
    t.must("ip -n %s link set a1 name moved", other_name)
    later("ip -n %s link set moved netns %s", other_name, name)
    assert.equal("moved", ns:wait_link("moved", { timeout = 60 }).name)
    assert.equal(errno.ETIMEDOUT,
      select(3, other:wait_link("moved", { timeout = 0 })))
    done(other, other_name)
  end)

  it("says after the timeout what the link still lacks", function()
    local function lacks(link, opts)
      opts.timeout = 0.1
      local nothing, message, code
      local took = elapsed(function()
        nothing, message, code = ns:wait_link(link, opts)
      end)
      assert.is_nil(nothing)
      assert.equal(errno.ETIMEDOUT, code)
      assert.is_true(took > 0.099)
      local prefix = ("wait_link %s: %s: timed out, it ")
        :format(core.label(ns), link)
      assert.equal(prefix, message:sub(1, #prefix))
      return message:sub(#prefix + 1)
    end
    assert.equal("is not there", lacks("none", {}))
    assert.equal("is not running", lacks("a0", { up = true, running = true }))
    assert.equal("is up", lacks("a0", { up = false }))
    assert.equal("is not up and is not running",
      lacks("a1", { up = true, running = true }))
  end)

  it("sleeps, and does not look at intervals", function()
    local path = os.tmpname()
    local output = t.script(([[
      local netns = require "netns"
      assert(netns.wait_link(%q, "none", { timeout = 1 }) == nil)
      print "over"
    ]]):format(name), "env ASAN_OPTIONS=detect_leaks=0 strace -f -o " .. path
      .. " -e trace=poll,sendto,nanosleep,clock_nanosleep,select")
    local calls = select(2, t.must("cat %s", path):gsub("%f[%a]%a+%(", ""))
    os.remove(path)
    assert.equal("over", output)
    assert.is_true(calls >= 1 and calls < 10, tostring(calls))
  end)

  it("is not woken in vain by a burst, nor kept by one", function()
    local batch = os.tmpname()
    t.must("for i in $(seq 3000); do echo link set a1 mtu $((1300 + i %% 9));"
      .. " done > %s", batch)
    local pid = t.start(("while :; do ip -n %s -batch %s; done")
      :format(name, batch))
    t.eventually(function() return ns:link "a1".mtu ~= 1500 end)
    local took = elapsed(function()
      assert.is_nil(ns:wait_link("none", { timeout = 0.5 }))
    end)
    assert.is_true(took < 60)
    later("ip -n %s link set a1 up", name)
    assert(ns:wait_link("a0", { running = true, timeout = 60 }))
    t.stop(pid)
    os.remove(batch)
  end)

  it("goes on after a signal", function()
    local output = t.script(([[
      local netns = require "netns"
      os.execute "{ sleep 0.3; ip -n %s link set a1 up; } &"
      print(assert(netns.wait_link(%q, "a0", { running = true })).name)
    ]]):format(name, name), t.failing("poll", "EINTR", "1..2"))
    assert.equal("a0", output)
  end)

  it("gives way to Ctrl-C, and leaves nothing behind", function()
    if os.getenv "NETNS_SPEC_LUA" then
      return pending "only lua itself makes an error of Ctrl-C"
    end
    local script = t.background(([[
      local netns = require "netns"
      local core = require "netns.core"
      local before = #core.readdir "/proc/self/fd"
      print((core.readlink "/proc/self"))
      io.stdout:flush()
      local ok, message = pcall(netns.wait_link, %q, "none")
      print(ok, message)
      collectgarbage()
      collectgarbage()
      print(#core.readdir "/proc/self/fd" - before)
    ]]):format(name))
    local pid = tonumber(script:read "*l")
    t.sh "sleep 0.2"
    t.must("kill -INT %d", pid)
    assert.matches("^false\t.*interrupted!", script:read "*l")
    assert.equal("0", script:read "*l")
    assert(script:close())
  end)

  it("refuses what can never be there, and what is no namespace", function()
    local nothing, message, code = ns:wait_link(("x"):rep(16))
    assert.is_nil(nothing)
    assert.matches("^wait_link: .*xxx", message)
    assert.equal(errno.ENODEV, code)
    assert.equal(errno.EINVAL, select(3, ns:wait_link ""))
    nothing, message, code = netns.wait_link("none", "a0")
    assert.is_nil(nothing)
    assert.equal('wait_link "none": No such file or directory', message)
    assert.equal(errno.ENOENT, code)
  end)

  it("refuses wrong arguments", function()
    assert.error_matches(function() ns:wait_link(1) end,
      "bad argument 'name' to 'wait_link'")
    assert.error_matches(function() ns:wait_link("a0", { carrier = true }) end,
      "unknown key 'carrier' in 'wait_link'")
    assert.error_matches(function() ns:wait_link("a0", { up = 2 }) end,
      "bad argument 'up' to 'wait_link'")
    assert.error_matches(function() netns.wait_link(nil, "a0") end,
      "bad argument 'NS' to 'wait_link'")
  end)
end)

describe("wait_addr", function()
  local ns, name
  guard(before_each, after_each, function() done(ns, name) end)
  before_each(function() ns, name = new_ns() end)

  local function ip_addr(address)
    local links = json.decode(t.must("ip -n %s -j addr show to %s", name,
      address))
    for _, link in ipairs(links) do
      if link.addr_info and link.addr_info[1] then return link.addr_info[1] end
    end
  end

  it("returns an IPv4 address when it is there", function()
    later("ip -n %s addr add 10.0.0.1/24 dev a0", name)
    local addr = assert(ns:wait_addr("10.0.0.1", { timeout = 60 }))
    assert.equal("10.0.0.1", addr["local"])
    assert.equal(24, addr.prefixlen)
    assert.equal("a0", addr.link)
    assert.same(addr, netns.wait_addr(name, "10.0.0.1/24", { link = "a0" }))
  end)

  it("wants the length of the prefix and the link that are said", function()
    assert(ns:addr_add("a0", "10.0.0.1/24"))
    local function lacks(...)
      local nothing, message, code = ns:wait_addr(...)
      assert.is_nil(nothing)
      assert.equal(errno.ETIMEDOUT, code)
      return message:match "timed out, it (.*)$"
    end
    assert.equal("is not there", lacks("10.0.0.1/25", { timeout = 0.05 }))
    assert.equal("is not there", lacks("10.0.0.2", { timeout = 0.05 }))
    assert.equal("is not there",
      lacks("10.0.0.1", { timeout = 0.05, link = "a1" }))
    assert.equal("has no link none",
      lacks("10.0.0.1", { timeout = 0.05, link = "none" }))
  end)

  it("waits for the link that is to have it", function()
    later("sh -c 'ip -n %s link add new type veth && "
      .. "ip -n %s addr add 10.0.0.1 dev new'", name, name)
    assert.equal("new", ns:wait_addr("10.0.0.1",
      { link = "new", timeout = 60 }).link)
  end)

  it("waits until duplicate address detection is over", function()
    t.must("ip -n %s link set a1 up", name)
    assert(ns:wait_link("a0", { running = true, timeout = 60 }))
    t.must("ip -n %s addr add fd00::1/64 dev a0", name)
    assert.is_true(ip_addr "fd00::1".tentative)
    local _, message = ns:wait_addr("fd00::1", { timeout = 0 })
    assert.matches("timed out, it is tentative$", message)
    local addr = assert(ns:wait_addr("FD00:0:0::1/64", { timeout = 60 }))
    assert.equal("fd00::1", addr["local"])
    assert.is_nil(ip_addr "fd00::1".tentative)
    -- it can be bound to
    t.must("ip -n %s link set lo up", name)
    t.must("ip netns exec %s ping -c1 -W5 -I fd00::1 fd00::1", name)
  end)

  it("waits for a link to come up, without which there is no detection",
    function()
      t.must("ip -n %s addr add fd00::1/64 dev a1", name)
      assert.equal(errno.ETIMEDOUT,
        select(3, ns:wait_addr("fd00::1", { timeout = 0.1 })))
      later("ip -n %s link set a1 up", name)
      assert.equal("a1", ns:wait_addr("fd00::1", { timeout = 60 }).link)
    end)

  it("does not wait where there is no detection", function()
    t.must("ip -n %s link set a1 up", name)
    t.must("ip -n %s addr add fd00::1/64 dev a0 nodad", name)
    assert(ns:wait_addr("fd00::1", { timeout = 0.5 }))
  end)

  it("fails when another on the link has the address", function()
    local other, other_name = new_ns()
    t.must("ip -n %s link add b0 type veth peer name b1 netns %s", name,
      other_name)
    t.must("ip -n %s link set b1 up", other_name)
    t.must("ip -n %s addr add fd00::1/64 dev b1 nodad", other_name)
    t.must("ip -n %s link set b0 up", name)
    assert(ns:wait_link("b0", { running = true, timeout = 60 }))
    assert(other:wait_addr("fd00::1", { timeout = 60 }))
    t.must("ip -n %s addr add fd00::1/64 dev b0", name)
    local nothing, message, code = ns:wait_addr("fd00::1", { timeout = 60 })
    assert.is_nil(nothing)
    assert.equal(errno.EADDRINUSE, code)
    assert.matches("^wait_addr .*: fd00::1: another on the link has it$",
      message)
    assert.is_true(ip_addr "fd00::1".dadfailed)
    -- another link's is as good
    t.must("ip -n %s addr add fd00::1/64 dev a0 nodad", name)
    t.must("ip -n %s link set a1 up", name)
    assert.equal("a0", ns:wait_addr("fd00::1", { timeout = 60 }).link)
    assert.equal(errno.EADDRINUSE,
      select(3, ns:wait_addr("fd00::1", { link = "b0" })))
    done(other, other_name)
  end)

  it("refuses what is no address", function()
    for _, address in ipairs { "", "10.0.0", "10.0.0.1/33", "fd00::g" } do
      local nothing, message, code = ns:wait_addr(address)
      assert.is_nil(nothing)
      assert.matches('^wait_addr: address "', message)
      assert.is_truthy(code == errno.EINVAL or address:find "/33")
    end
    assert.error_matches(function() ns:wait_addr(1) end,
      "bad argument 'address' to 'wait_addr'")
    assert.error_matches(function() ns:wait_addr("::1", { up = true }) end,
      "unknown key 'up' in 'wait_addr'")
  end)
end)

local function describe_event(event)
  local object = event.type and event[event.type]
  return event.action .. (not object and "" or " " .. event.type .. " "
    .. (event.type == "link" and object.name
      or event.type == "addr" and object["local"] .. " " .. object.link
      or object.to .. " " .. object.link))
end

-- All events there are, but for routes, as lines.
local function events(mon, what)
  local list = {}
  while true do
    local event, message, code = mon:read(0.05)
    if not event then
      assert.equal(errno.ETIMEDOUT, code, message)
      return list
    end
    if not what or event.type == what then
      list[#list + 1] = describe_event(event)
    end
  end
end

-- What a listener knows who notes every event, and complains of those that do
-- not fit.
local function new_state()
  local state = { link = {}, addr = {}, resyncs = 0 }
  function state.note(event)
    local what = event.type
    if event.action == "resync" then state.resyncs = state.resyncs + 1 end
    if not state[what] then return end
    local object = event[what]
    local key = what == "link" and object.index
      or object.index .. " " .. object["local"]
    assert.equal(event.action == "add", state[what][key] == nil,
      describe_event(event))
    state[what][key] = event.action ~= "delete" and object or nil
  end
  function state.read(mon, timeout)
    for event in function() return (mon:read(timeout)) end do
      state.note(event)
    end
  end
  -- Whether that is what is there.
  function state.check(ns)
    local links, addrs = 0, 0
    for _, link in ipairs(assert(ns:links())) do
      local known = state.link[link.index]
      links = links + 1
      assert.is_truthy(known, link.name)
      for field, value in pairs(link) do
        if field ~= "stats" then assert.same(value, known[field], field) end
      end
    end
    for _, addr in ipairs(assert(ns:addrs())) do
      local known = state.addr[addr.index .. " " .. addr["local"]]
      addrs = addrs + 1
      assert.is_truthy(known, addr["local"])
      assert.same(addr, known)
    end
    for _ in pairs(state.link) do links = links - 1 end
    for _ in pairs(state.addr) do addrs = addrs - 1 end
    assert.equal(0, links)
    assert.equal(0, addrs)
  end
  return state
end

describe("monitor_links", function()
  local ns, name, mon
  guard(before_each, after_each, function()
    mon:close()
    done(ns, name)
  end)
  before_each(function()
    ns, name = new_ns()
    ns:sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    ns:sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    mon = assert(ns:monitor_links())
    assert.same({}, events(mon))
  end)

  it("tells of links that ip makes, changes and deletes", function()
    t.must("ip -n %s link add b0 type veth peer name b1", name)
    -- the kernel tells of one before it has a peer
    local first, second = assert(mon:read(60)).link, assert(mon:read(60)).link
    assert.same({ second.index, first.index },
      { first.peer_index, second.peer_index })
    local list = { first.name, second.name }
    table.sort(list)
    assert.same({ "b0", "b1" }, list)
    assert.same({}, events(mon))
    t.must("ip -n %s link set b0 mtu 1400", name)
    local event = assert(mon:read(60))
    assert.equal("change link b0", describe_event(event))
    assert.equal(1400, event.link.mtu)
    assert.same({}, events(mon))
    t.must("ip -n %s link set b0 mtu 1400", name)
    assert.same({}, events(mon))
    t.must("ip -n %s link delete b0", name)
    list = events(mon)
    table.sort(list)
    assert.same({ "delete link b0", "delete link b1" }, list)
  end)

  it("gives the same tables as links and addrs", function()
    assert(ns:link_set("a0", { alias = "x" }))
    local event = assert(mon:read(60))
    event.link.stats = nil
    local link = assert(ns:link "a0")
    link.stats = nil
    assert.same(link, event.link)
    assert(ns:addr_add("a0", "10.0.0.1/24"))
    event = assert(mon:read(60))
    assert.equal("add addr 10.0.0.1 a0", describe_event(event))
    assert.same(ns:addrs()[1], event.addr)
    events(mon)
  end)

  it("tells of up, down and the carrier", function()
    local state = new_state()
    state.link[ns:link "a0".index] = ns:link "a0"
    state.link[ns:link "a1".index] = ns:link "a1"
    state.link[1] = ns:link "lo"
    t.must("ip -n %s link set a1 up", name)
    t.eventually(function()
      state.read(mon, 0.1)
      return state.link[ns:link "a0".index].running
    end)
    t.must("ip -n %s link set a1 down", name)
    t.eventually(function()
      state.read(mon, 0.1)
      return not state.link[ns:link "a0".index].running
    end)
    state.read(mon, 0.2)
    state.check(ns)
  end)

  it("tells of addresses that ip and we add and delete", function()
    t.must("ip -n %s addr add 10.0.0.1/24 dev a0", name)
    assert(ns:addr_add("a1", "10.0.1.1/24"))
    assert.same({ "add addr 10.0.0.1 a0", "add addr 10.0.1.1 a1" },
      events(mon, "addr"))
    -- two of one link that differ only by their peers
    t.must("ip -n %s addr add 10.0.2.1 peer 10.0.2.2 dev a0", name)
    t.must("ip -n %s addr add 10.0.2.1 peer 10.0.2.3 dev a0", name)
    assert.same({ "add addr 10.0.2.1 a0", "add addr 10.0.2.1 a0" },
      events(mon, "addr"))
    t.must("ip -n %s addr change 10.0.0.1/24 dev a0 valid_lft 1000"
      .. " preferred_lft 500", name)
    local event = assert(mon:read(60))
    assert.equal("change addr 10.0.0.1 a0", describe_event(event))
    assert.equal(1000, event.addr.valid_life_time)
    assert(ns:addr_delete("a1", "10.0.1.1/24"))
    t.must("ip -n %s addr flush dev a0", name)
    local list = events(mon, "addr")
    table.sort(list)
    assert.same({ "delete addr 10.0.0.1 a0", "delete addr 10.0.1.1 a1",
      "delete addr 10.0.2.1 a0", "delete addr 10.0.2.1 a0" }, list)
  end)

  it("tells of the end of duplicate address detection", function()
    ns:sysctl("net.ipv6.conf.a0.disable_ipv6", 0)
    t.must("ip -n %s link set a1 up", name)
    t.must("ip -n %s addr add fd00::1/64 dev a0", name)
    local seen = {}
    t.eventually(function()
      local event = mon:read(5)
      if event and event.type == "addr" and event.addr["local"] == "fd00::1"
      then
        seen[#seen + 1] = event.action
          .. (event.addr.tentative and " tentative" or "")
      end
      return seen[#seen] == "change"
    end)
    assert.equal("add tentative", seen[1])
    assert.equal(2, #seen)
  end)

  it("tells of routes, as the kernel does", function()
    assert(ns:addr_add("a0", "10.0.0.1/24"))
    events(mon)
    t.must("ip -n %s route add 10.9.0.0/16 via 10.0.0.2", name)
    local event = assert(mon:read(60))
    assert.equal("add route 10.9.0.0/16 a0", describe_event(event))
    assert.same(ns:routes { to = "10.9.0.0/16" }[1], event.route)
    t.must("ip -n %s route replace 10.9.0.0/16 via 10.0.0.3", name)
    event = assert(mon:read(60))
    assert.equal("change route 10.9.0.0/16 a0", describe_event(event))
    assert.equal("10.0.0.3", event.route.via)
    assert(ns:route_delete { to = "10.9.0.0/16" })
    assert.same({ "delete route 10.9.0.0/16 a0" }, events(mon))
  end)

  it("tells of a new name, also of what is on the link", function()
    assert(ns:addr_add("a1", "10.0.0.1/24"))
    assert(ns:link_add { name = "m1", kind = "macvlan", link = "a1" })
    events(mon)
    t.must("ip -n %s link set a1 name b1", name)
    local list = events(mon)
    table.sort(list)
    assert.same({ "change addr 10.0.0.1 b1", "change link b1",
      "change link m1" }, list)
    t.must("ip -n %s link delete m1", name)
    assert.same({ "delete link m1" }, events(mon, "link"))
  end)

  it("tells of links that are moved away and come back", function()
    local index = ns:link "a1".index
    assert(ns:addr_add("a1", "10.0.0.1/24"))
    events(mon)
    local other, other_name = new_ns()
    t.must("ip -n %s link delete a0", other_name)
    t.must("ip -n %s link set a1 netns %s", name, other_name)
    assert.same({ "delete addr 10.0.0.1 a1", "delete route 10.0.0.1 a1",
      "delete link a1" }, events(mon))
    t.must("ip -n %s link set a1 netns %s", other_name, name)
    local state = new_state()
    state.read(mon, 0.1)
    assert.equal("a1", state.link[index].name)
    done(other, other_name)
  end)

  it("does not take a port that leaves its bridge for deleted", function()
    t.must("ip -n %s link add br0 type bridge", name)
    t.must("ip -n %s link set a1 master br0", name)
    events(mon)
    t.must("ip -n %s link set a1 nomaster", name)
    for _, line in ipairs(events(mon)) do
      assert.is_nil(line:find "^delete link")
      assert.is_nil(line:find "^add link")
    end
  end)

  it("reports what exists when asked, without a gap", function()
    local writer = t.start(("for i in $(seq 60); do "
      .. "ip -n %s link add v$((i %% 7)) type veth; "
      .. "ip -n %s addr add 10.1.$((i %% 9)).1/24 dev v$((i %% 7)); "
      .. "ip -n %s addr add fd01::$i/64 nodad dev a0; "
      .. "ip -n %s link delete v$(((i * 3) %% 7)); done")
      :format(name, name, name, name))
    while t.runs(writer) do
      local all = assert(netns.monitor_links(name, { existing = true }))
      local state = new_state()
      for _ = 1, 20 do
        local event = all:read(0.2)
        if event then state.note(event) end
      end
      -- what the first look told is not told again
      if not t.runs(writer) then
        state.read(all, 0.3)
        state.check(ns)
      end
      all:close()
    end
    local all = assert(netns.monitor_links(name, { existing = true }))
    local state = new_state()
    state.read(all, 0.1)
    state.check(ns)
    all:close()
    events(mon)
  end)

  it("keeps in step with many changes", function()
    local all = assert(ns:monitor_links { existing = true })
    local state = new_state()
    local writers = {}
    for i = 1, 2 do
      writers[i] = t.background(([[
        local netns = require "netns"
        local ns, i = assert(netns.open(%q)), %d
        math.randomseed(i)
        for n = 1, 150 do
          local name = "r" .. i .. math.random(3)
          local what = math.random(5)
          if what == 1 then
            ns:link_add { name = name, kind = "veth" }
          elseif what == 2 then
            ns:link_delete(name)
          elseif what == 3 then
            ns:link_set(name, { up = math.random(2) == 1 })
          elseif what == 4 then
            ns:link_set(name, { up = false })
            ns:link_set(name, { rename = "r" .. i .. math.random(3) })
          else
            ns:addr_add(name, ("10.%%d.%%d.1/24"):format(i, math.random(5)))
          end
        end
      ]]):format(name, i))
    end
    state.read(all, 1)
    for _, writer in ipairs(writers) do assert(writer:close()) end
    state.read(all, 1)
    state.check(ns)
    assert.equal(0, state.resyncs)
    all:close()
  end)

  it("resyncs when the kernel drops events", function()
    t.must("ip -n %s addr add 10.0.0.1/24 dev a0", name)
    t.must("ip -n %s addr add 10.0.0.2/32 dev a0", name)
    t.must("ip -n %s link add gone type veth peer name gone1", name)
    local all = assert(ns:monitor_links { existing = true })
    local state = new_state()
    state.read(all, 0.1)
    state.check(ns)
    local batch = os.tmpname()
    t.must("for i in $(seq 9000); do echo link set a1 mtu $((1300 + i %% 9));"
      .. " done > %s", batch)
    t.must("ip -n %s -batch %s", name, batch)
    os.remove(batch)
    t.must("ip -n %s addr delete 10.0.0.2/32 dev a0", name)
    t.must("ip -n %s addr add 10.0.0.3/32 dev a1", name)
    t.must("ip -n %s link delete gone", name)
    t.must("ip -n %s link add new type veth peer name new1", name)
    t.must("ip -n %s link set a1 name b1 mtu 1234", name)
    t.must("ip -n %s route add 10.5.0.0/16 dev a0", name)
    local routed = 0
    for event in function() return (all:read(0.2)) end do
      state.note(event)
      if event.type == "route" and event.route.to == "10.5.0.0/16" then
        assert.equal("add", event.action)
        assert.is_true(state.resyncs > 0)
        routed = routed + 1
      end
    end
    assert.is_true(state.resyncs > 0)
    assert.is_true(routed > 0)
    state.check(ns)
    -- and hears again of what comes
    t.must("ip -n %s link delete new", name)
    assert.equal(2, #events(all))
    all:close()
  end)

  it("looks again when it could not after events were lost", function()
    local output = t.script(([[
      local netns = require "netns"
      local mon = assert(netns.monitor_links(%q, { timeout = 0.1 }))
      os.execute "ip -n %s link add new type veth peer name new1"
      local core = require "netns.core"
      local scan, events, times = core.net_scan, core.net_events, 0
      core.net_events = function(...)
        core.net_events = events
        events(...)
        events(...)
        return {}, true
      end
      core.net_scan = function()
        core.net_scan = scan
        return nil, "no memory", core.errno.ENOMEM
      end
      while true do
        local event, message = mon:read()
        print(event and event.action or message,
          event and event.link and event.link.name)
        if message and message:find "no event" then break end
      end
    ]]):format(name, name))
    assert.equal("no memory\tnil\nresync\tnil\nadd\tnew1\nadd\tnew\n"
      .. "monitor_links: no event\tnil", output)
    events(mon)
  end)

  it("is one descriptor to poll, readable while there are events", function()
    local outer = core.gate "test"
    assert(outer:add(mon:fd(), "test"))
    assert.is_false(outer:wait(0))
    t.must("ip -n %s link add b0 type veth peer name b1", name)
    assert.is_true(outer:wait(1))
    assert.equal("add", mon:read(0).action)
    assert.is_true(outer:wait(0))
    assert.equal("add", mon:read(0).action)
    assert.is_nil(mon:read(0))
    assert.is_false(outer:wait(0))
    -- those that come from looking wait in the queue
    local all = assert(ns:monitor_links { existing = true })
    assert(outer:add(all:fd(), "test"))
    assert.is_true(outer:wait(0))
    assert(all:read(0))
    assert.is_true(outer:wait(0))
    events(all)
    assert.is_false(outer:wait(0))
    all:close()
    outer:close()
  end)

  it("ends when nothing happens for its timeout", function()
    local list = {}
    for event in ns:monitor_links { existing = true, timeout = 0.05 } do
      list[#list + 1] = describe_event(event)
    end
    assert.same({ "add link lo", "add link a1", "add link a0" }, list)
    local before = os.clock()
    local nothing, message, code = mon:read(1)
    assert.is_nil(nothing)
    assert.equal("monitor_links: no event", message)
    assert.equal(errno.ETIMEDOUT, code)
    assert.is_true(os.clock() - before < 0.5)
  end)

  it("goes on after a signal", function()
    local output = t.script(([[
      local netns = require "netns"
      local mon = assert(netns.monitor_links(%q))
      os.execute "{ sleep 0.3; ip -n %s link set a1 up; } &"
      print(assert(mon:read()).link.name)
    ]]):format(name, name), t.failing("epoll_wait", "EINTR", "1..2"))
    assert.matches("^a[01]$", output)
    events(mon)
  end)

  it("outlives the handle and the name", function()
    local unnamed = assert(netns.new())
    local its = assert(unnamed:monitor_links())
    local pid = t.sleeper(("/proc/%s/fd/%d")
      :format(core.readlink "/proc/self", unnamed:fd()))
    unnamed:close()
    t.must("nsenter --net=/proc/%d/ns/net ip link add x0 type veth", pid)
    assert.equal(2, #events(its))
    t.stop(pid)
    assert.same({}, events(its))
    its:close()
  end)

  it("closes twice, and with the loop that uses it", function()
    local fds = #core.readdir "/proc/self/fd"
    if t.version >= 5.4 then
      for _ in ns:monitor_links { existing = true } do break end -- luacheck: ignore
      assert.equal(fds, #core.readdir "/proc/self/fd")
    end
    assert.is_true(mon:close())
    assert.is_true(mon:close())
    assert.error_matches(function() mon:read(0) end, "monitor is closed")
    assert.error_matches(function() mon:fd() end, "monitor is closed")
  end)

  it("refuses what is no namespace, and unknown options", function()
    local nothing, message, code = netns.monitor_links "none"
    assert.is_nil(nothing)
    assert.equal('monitor_links "none": No such file or directory', message)
    assert.equal(errno.ENOENT, code)
    assert.error_matches(function() ns:monitor_links { ids = true } end,
      "unknown key 'ids' in 'monitor_links'")
    assert.error_matches(function() netns.monitor_links() end,
      "bad argument 'NS' to 'monitor_links'")
  end)
end)
