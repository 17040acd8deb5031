-- Events of links, addresses and routes.

local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local function space()
  local ns = t.keep(assert(netns.new()))
  ns:sysctl("net.ipv6.conf.default.disable_ipv6", 1) -- if there is IPv6
  assert(ns:link_set("lo", { up = true }))
  return ns
end

-- The next event of which `is(event)` is true.
local function await(monitor, is)
  while true do
    local event = assert(monitor:read(60 * t.slow))
    if is(event) then return event end
  end
end

local function route_of(to, action)
  return function(event)
    return event.type == "route" and event.route.to == to
      and event.action == (action or "add")
  end
end

-- A veth whose ends are up, and their indexes.
local function veth(ns, a, b)
  assert(ns:link_add { name = a, kind = "veth", peer = { name = b } })
  assert(ns:link_set(b, { up = true }))
  assert(ns:link_set(a, { up = true }))
  return assert(ns:link(a)).index, assert(ns:link(b)).index
end

-- The events that there are, without waiting.
local function drain(monitor)
  local list = {}
  for event in function() return (monitor:read(0)) end do
    list[#list + 1] = event
  end
  return list
end

-- Has a monitor take it that the kernel dropped events.
local function lose(fn)
  local events = core.net_events
  core.net_events = function(...)
    core.net_events = events
    while events(...) do end
    return {}, true
  end
  local ok, problem = pcall(fn)
  core.net_events = events
  assert(ok, problem)
end

describe("an event", function()
  t.guard(before_each, after_each)

  it("of a route names the link as it was called then, and has its index",
    function()
      local ns = space()
      local index = veth(ns, "a0", "a1")
      local monitor = t.keep(assert(ns:monitor_links()))
      assert(ns:route_add { to = "192.0.2.0/24", link = "a0" })
      assert(ns:link_set("a0", { up = false }))
      assert(ns:link_set("a0", { rename = "b0" }))
      local other = veth(ns, "a0", "c1") -- another one is called so now
      assert(ns:route_add { to = "198.51.100.0/24", link = "a0" })
      local first = await(monitor, route_of "192.0.2.0/24").route
      assert.same({ "a0", index }, { first.link, first.index })
      local second = await(monitor, route_of "198.51.100.0/24").route
      assert.same({ "a0", other }, { second.link, second.index })
    end)

  it("of a route over several links names each of them", function()
    local ns = space()
    veth(ns, "a0", "a1")
    assert(ns:addr_add("a0", "10.0.0.1/24"))
    assert(ns:addr_add("a1", "10.0.1.1/24"))
    local monitor = t.keep(assert(ns:monitor_links()))
    assert(ns:route_add { to = "192.0.2.0/24", nexthops = {
      { via = "10.0.0.2" }, { via = "10.0.1.2" } } })
    local hops = await(monitor, route_of "192.0.2.0/24").route.nexthops
    assert.same({ "a0", "a1" }, { hops[1].link, hops[2].link })
  end)

  it("of an address names the link as it was called then", function()
    local ns = space()
    veth(ns, "a0", "a1")
    local monitor = t.keep(assert(ns:monitor_links()))
    assert(ns:addr_add("a0", "192.0.2.1/24"))
    assert(ns:link_set("a0", { up = false }))
    assert(ns:link_set("a0", { rename = "b0" }))
    local names = {}
    for _, event in ipairs(drain(monitor)) do
      if event.type == "addr" then names[#names + 1] = event.addr.link end
    end
    assert.same({ "a0", "b0" }, names)
  end)

  it("comes of the settings of a bridge's port whose link is down", function()
    local ns = space()
    veth(ns, "a0", "a1")
    assert(ns:link_add { name = "br0", kind = "bridge" })
    assert(ns:link_set("a0", { master = "br0", up = false }))
    local monitor = t.keep(assert(ns:monitor_links()))
    assert(ns:link_set("a0", { port = { cost = 77 } }))
    local event = await(monitor, function(event)
      return event.type == "link" and event.link.name == "a0"
    end)
    assert.equal("change", event.action)
    assert.equal(77, event.link.port.cost)
    -- a port that leaves is not taken for a link that has gone
    assert(ns:link_set("a0", { master = false }))
    for _, each in ipairs(drain(monitor)) do
      assert.not_equal("delete", each.action)
    end
  end)

  it("of a new name makes only those links be looked at that have it",
    function()
      local ns = space()
      local COUNT = 50
      for i = 1, COUNT do
        assert(ns:link_add { name = "x" .. i, kind = "veth",
          peer = { name = "y" .. i } })
      end
      local monitor = t.keep(assert(ns:monitor_links()))
      local scan, look, scans, looks = core.net_scan, core.net_look, 0, 0
      core.net_scan = function(...)
        scans = scans + 1
        return scan(...)
      end
      core.net_look = function(...)
        looks = looks + 1
        return look(...)
      end
      for i = 1, COUNT do
        assert(ns:link_set("x" .. i, { rename = "z" .. i }))
      end
      local list = drain(monitor)
      core.net_scan, core.net_look = scan, look
      assert.equal(0, scans)
      assert.is_true(looks <= 2 * COUNT, looks)
      local names = {}
      for _, event in ipairs(list) do names[event.link.name] = event.link end
      for i = 1, COUNT do
        assert.is_table(names["z" .. i])
        assert.equal("z" .. i, names["y" .. i].link) -- its other end
      end
    end)
end)

describe("a resync", function()
  t.guard(before_each, after_each)

  local function count_routes(list)
    local counts = { add = 0, delete = 0, change = 0, resync = 0 }
    for _, event in ipairs(list) do
      if event.type == "route" or event.action == "resync" then
        counts[event.action] = counts[event.action] + 1
      end
    end
    return counts
  end

  it("reports each route once, however many there are", function()
    local ns = space()
    veth(ns, "a0", "a1")
    local COUNT = t.many(1000)
    for i = 1, COUNT do
      assert(ns:route_add {
        to = ("10.%d.%d.0/24"):format(math.floor(i / 250), i % 250),
        link = "a0",
      })
    end
    local monitor = t.keep(assert(ns:monitor_links()))
    local first
    for i = 1, 5 do
      lose(function()
        local counts = count_routes(drain(monitor))
        first = first or counts.add
        assert.same({ add = i == 1 and first or 0, delete = 0, change = 0,
          resync = 1 }, counts)
      end)
    end
    assert.is_true(first >= COUNT)
    -- those that were reported at the start are known
    local other = t.keep(assert(ns:monitor_links { existing = true }))
    assert.equal(first, count_routes(drain(other)).add)
    lose(function() assert.equal(0, count_routes(drain(other)).add) end)
  end)

  it("reports the routes that came and went meanwhile", function()
    local ns = space()
    veth(ns, "a0", "a1")
    assert(ns:addr_add("a0", "10.0.0.1/24"))
    assert(ns:route_add { to = "192.0.2.0/24", via = "10.0.0.2" })
    assert(ns:route_add { to = "198.51.100.0/24", via = "10.0.0.2" })
    assert(ns:route_add { to = "203.0.113.0/24", link = "a1" })
    local monitor = t.keep(assert(ns:monitor_links { existing = true }))
    drain(monitor)
    assert(ns:route_delete { to = "192.0.2.0/24" })
    assert(ns:route_delete { to = "198.51.100.0/24" })
    assert(ns:route_add { to = "198.51.100.0/24", via = "10.0.0.3" })
    assert(ns:route_add { to = "203.0.113.0/24", via = "10.0.0.4",
      metric = 7 })
    lose(function()
      local list = {}
      for _, event in ipairs(drain(monitor)) do
        local route = event.route
        list[#list + 1] = route and ("%s %s %s"):format(event.action, route.to,
          route.via or route.link) or event.action
      end
      assert.same({
        "resync", "delete 192.0.2.0/24 10.0.0.2",
        "delete 198.51.100.0/24 10.0.0.2", "add 198.51.100.0/24 10.0.0.3",
        "add 203.0.113.0/24 10.0.0.4",
      }, list)
    end)
  end)

  it("reports what the kernel removed with its link without a word", function()
    local ns = space()
    veth(ns, "a0", "a1")
    assert(ns:route_add { to = "192.0.2.0/24", link = "a0" })
    local monitor = t.keep(assert(ns:monitor_links { existing = true }))
    drain(monitor)
    assert(ns:link_set("a0", { up = false }))
    assert(ns:link_set("a0", { up = true }))
    assert(ns:route_add { to = "192.0.2.0/24", link = "a0", metric = 5 })
    assert.equal(1, count_routes(drain(monitor)).add)
    lose(function()
      local list = drain(monitor)
      assert.equal(1, count_routes(list).delete)
      for _, event in ipairs(list) do
        if event.action == "delete" then
          assert.equal("192.0.2.0/24", event.route.to)
          assert.is_nil(event.route.metric)
        end
      end
    end)
  end)
end)
