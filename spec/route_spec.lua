local netns = require "netns"
local core = require "netns.core"
local json = require "spec.json"
local t = require "spec.support"

local errno = core.errno
local ENODEV, ERANGE, ENETUNREACH, EHOSTUNREACH = 19, 34, 101, 113

-- Two links with addresses of both families, in a namespace of its own that
-- `ip` knows by name.
local function lab()
  local name = t.name()
  local ns = assert(netns.add(name))
  local function ip(...)
    return t.must("ip -n " .. name .. " " .. table.concat({ ... }, " "))
  end
  ip "link set lo up"
  ip("link add va address 02:00:00:00:00:0a type veth",
    "peer name vb address 02:00:00:00:00:0b")
  for link, n in pairs { va = 1, vb = 2 } do
    ip("link set", link, "addrgenmode none up")
    ip(("addr add 192.0.%d.1/24 dev %s"):format(n, link))
    ip(("addr add 2001:db8:%d::1/64 dev %s nodad"):format(n, link))
  end
  -- the kernel adds the last routes when it has noticed the carrier
  t.eventually(function()
    return #assert(ns:links { operstate = "up" }) == 2
      and #assert(ns:routes { table = "local", type = "multicast" }) == 2
      and #assert(ns:routes { table = "all", linkdown = true }) == 0
  end)
  return ns, ip, name
end

local function done(ns)
  local name = ns:name()
  ns:close()
  assert(netns.delete(name))
end

-- What `ip -json` prints, with our names.
local function flags(into, from)
  local ours = { onlink = true, linkdown = true, dead = true }
  for _, flag in ipairs(from) do into[flag] = ours[flag] end
  return into
end

local function way(route)
  return flags({
    via = route.via and route.via.host or route.gateway,
    link = route.dev,
  }, route.flags)
end

local function ours(route, family)
  local result = way(route)
  result.family, result.type, result.to = family, route.type, route.dst
  result.src, result.metric = route.prefsrc, route.metric
  result.pref, result.uid = route.pref, route.uid
  for _, field in ipairs { "table", "protocol", "scope" } do
    result[field] = tonumber(route[field]) or route[field]
  end
  if route.metrics then result.mtu = route.metrics[1].mtu end
  if route.nexthops then
    result.nexthops = {}
    for i, hop in ipairs(route.nexthops) do
      result.nexthops[i] = way(hop)
      result.nexthops[i].weight = hop.weight
    end
  end
  return result
end

-- Routes without the index of their link, which has to be that of the link,
-- and which `ip` does not print.
local function without_index(ns, routes)
  local index = {}
  for _, link in ipairs(assert(ns:links())) do index[link.name] = link.index end
  for _, route in ipairs(routes) do
    assert.equal(index[route.link], route.index)
    route.index = nil
  end
  return routes
end

-- All routes as we see them.
local function our_routes(ns)
  return without_index(ns, assert(ns:routes { table = "all" }))
end

-- All routes as `ip` sees them.
local function ip_routes(ip)
  local all = {}
  for _, family in ipairs { "inet", "inet6" } do
    local text = ip("-j -d -family", family, "route show table all")
    for _, route in ipairs(json.decode(text)) do
      all[#all + 1] = ours(route, family)
    end
  end
  return all
end

local function fails(code, pattern, result, message, number)
  assert.is_nil(result)
  assert.is_truthy(message:find(pattern, 1, true), message)
  assert.equal(code, number)
end

-- A route for us, and for `ip`.
local samples = {
  { { to = "default", via = "192.0.1.2" }, "default via 192.0.1.2" },
  { { to = "0.0.0.0/0", via = "192.0.1.2", metric = 7 },
    "0.0.0.0/0 via 192.0.1.2 metric 7" },
  { { to = "default", link = "va" }, "default dev va" },
  { { to = "10.0.0.0/8", via = "192.0.2.9" }, "10.0.0.0/8 via 192.0.2.9" },
  { { to = "10.1.2.3", via = "192.0.2.9", link = "vb" },
    "10.1.2.3 via 192.0.2.9 dev vb" },
  { { to = "10.1.2.3/32", link = "vb" }, "10.1.2.3 dev vb" },
  { { to = "10.2.0.0/16", link = "va", scope = "global" },
    "10.2.0.0/16 dev va scope global" },
  { { to = "10.3.0.0/16", link = "va", scope = "host" },
    "10.3.0.0/16 dev va scope host" },
  { { to = "10.3.0.0/16", via = "192.0.1.4", scope = 66, protocol = 77 },
    "10.3.0.0/16 via 192.0.1.4 scope 66 proto 77" },
  { { to = "10.4.0.0/16", via = "192.0.1.2", src = "192.0.2.1",
      metric = 4294967295, protocol = "static", mtu = 1400, table = 100 },
    "10.4.0.0/16 via 192.0.1.2 src 192.0.2.1 metric 4294967295 proto static "
      .. "mtu 1400 table 100" },
  { { to = "10.5.0.0/16", via = "100.64.0.1", link = "va", onlink = true },
    "10.5.0.0/16 via 100.64.0.1 dev va onlink" },
  { { to = "10.6.0.0/16", via = "2001:db8:1::9", link = "va" },
    "10.6.0.0/16 via inet6 2001:db8:1::9 dev va" },
  { { to = "10.7.0.0/16", via = "192.0.1.2", table = 1000000 },
    "10.7.0.0/16 via 192.0.1.2 table 1000000" },
  { { to = "10.7.0.0/16", via = "192.0.1.2", table = "default" },
    "10.7.0.0/16 via 192.0.1.2 table default" },
  { { to = "10.7.0.0/16", via = "192.0.1.2", table = "main" },
    "10.7.0.0/16 via 192.0.1.2 table main" },
  { { to = "10.8.0.0/16", nexthops = {
      { via = "192.0.1.2", weight = 3 },
      { via = "192.0.2.2", link = "vb", weight = 256 },
      { link = "va" },
      { via = "100.64.0.1", link = "vb", onlink = true },
      { via = "2001:db8:1::9", link = "va" },
    } },
    "10.8.0.0/16 nexthop via 192.0.1.2 weight 3 "
      .. "nexthop via 192.0.2.2 dev vb weight 256 nexthop dev va "
      .. "nexthop via 100.64.0.1 dev vb onlink "
      .. "nexthop via inet6 2001:db8:1::9 dev va" },
  { { to = "default", metric = 3, nexthops = { { via = "192.0.1.2" } } },
    "default metric 3 nexthop via 192.0.1.2" },
  { { to = "10.9.0.0/16", type = "blackhole" }, "blackhole 10.9.0.0/16" },
  { { to = "10.9.0.0/16", type = "unreachable", metric = 9 },
    "unreachable 10.9.0.0/16 metric 9" },
  { { to = "10.9.0.0/16", type = "prohibit" }, "prohibit 10.9.0.0/16" },
  { { to = "10.9.0.0/16", type = "throw", table = 7 },
    "throw 10.9.0.0/16 table 7" },
  { { to = "default", type = "unreachable" }, "unreachable default" },
  { { to = "10.10.0.0/16", type = "local", link = "lo" },
    "local 10.10.0.0/16 dev lo" },
  { { to = "10.11.0.0/16", type = "broadcast", link = "va" },
    "broadcast 10.11.0.0/16 dev va" },
  { { to = "232.0.0.0/8", type = "multicast", link = "va" },
    "multicast 232.0.0.0/8 dev va" },

  { { to = "default", via = "2001:db8:1::2" }, "-6 default via 2001:db8:1::2" },
  { { to = "::/0", via = "2001:db8:1::2" }, "-6 ::/0 via 2001:db8:1::2" },
  { { to = "default", link = "va", family = "inet6" }, "-6 default dev va" },
  { { to = "default", nexthops = { { via = "2001:db8:1::2", weight = 2 },
      { via = "2001:db8:2::2" } } },
    "-6 default nexthop via 2001:db8:1::2 weight 2 "
      .. "nexthop via 2001:db8:2::2" },
  { { to = "2001:db8:a::/48", via = "2001:db8:1::2", metric = 5 },
    "-6 2001:db8:a::/48 via 2001:db8:1::2 metric 5" },
  { { to = "2001:DB8:B:0::77/48", link = "va" },
    "-6 2001:db8:b::77/48 dev va" },
  { { to = "2001:db8:c::1", via = "fe80::1", link = "vb", onlink = true },
    "-6 2001:db8:c::1 via fe80::1 dev vb onlink" },
  { { to = "2001:db8:d::/48", via = "2001:db8:1::2", src = "2001:db8:2::1",
      mtu = 1300, protocol = "bgp", table = 300, pref = "high" },
    "-6 2001:db8:d::/48 via 2001:db8:1::2 src 2001:db8:2::1 mtu 1300 "
      .. "proto bgp table 300 pref high" },
  { { to = "2001:db8:e::/48", nexthops = {
      { via = "2001:db8:1::2", weight = 3 },
      { via = "2001:db8:2::2", link = "vb", weight = 5 } } },
    "-6 2001:db8:e::/48 nexthop via 2001:db8:1::2 weight 3 "
      .. "nexthop via 2001:db8:2::2 dev vb weight 5" },
  { { to = "2001:db8:f::/48", type = "blackhole" },
    "-6 blackhole 2001:db8:f::/48" },
  { { to = "2001:db8:f::/48", type = "unreachable", metric = 9 },
    "-6 unreachable 2001:db8:f::/48 metric 9" },
  { { to = "2001:db8:f::/48", type = "prohibit" },
    "-6 prohibit 2001:db8:f::/48" },
  { { to = "2001:db8:f::/48", type = "throw" }, "-6 throw 2001:db8:f::/48" },
  { { to = "default", type = "unreachable", family = "inet6" },
    "-6 unreachable default" },
  { { to = "2001:db8:1::77", type = "anycast", link = "va" },
    "-6 anycast 2001:db8:1::77 dev va" },
  { { to = "ff05::/16", type = "multicast", link = "va" },
    "-6 multicast ff05::/16 dev va" },
}

local function ip_route(ip, action, text)
  local family, rest = text:match "^(%-6) (.*)$"
  return ip(family or "", "route", action, rest or text)
end

describe("routes", function()
  t.guard(before_each, after_each)

  it("are those of a fresh namespace", function()
    local ns, ip = lab()
    local expected = ip_routes(ip)
    assert.is_true(#expected > 10)
    assert.same(expected, our_routes(ns))
    assert.same(expected, without_index(ns,
      assert(netns.routes(ns:name(), { table = "all" }))))
    done(ns)
  end)

  it("that ip makes are seen, every field of them", function()
    for _, sample in ipairs(samples) do
      local ns, ip = lab()
      local before = #ip_routes(ip)
      ip_route(ip, "add", sample[2])
      local expected = ip_routes(ip)
      assert.equal(before + 1, #expected, sample[2])
      assert.same(expected, our_routes(ns), sample[2])
      assert.is_true(ns:route_delete(sample[1]), sample[2])
      assert.equal(before, #ip_routes(ip), sample[2])
      done(ns)
    end
  end)

  it("that we make are seen by ip as if it had made them", function()
    for _, sample in ipairs(samples) do
      local ns, ip = lab()
      local other, other_ip = lab()
      local before = ip_routes(ip)
      assert(ns:route_add(sample[1]))
      ip_route(other_ip, "add", sample[2])
      assert.same(ip_routes(other_ip), ip_routes(ip), sample[2])
      ip_route(ip, "del", sample[2])
      assert.same(before, ip_routes(ip), sample[2])
      done(ns)
      done(other)
    end
  end)

  it("can be deleted and made again as they are listed", function()
    local ns, ip = lab()
    for _, sample in ipairs(samples) do
      if not sample[1].type or sample[1].metric then
        ns:route_add(sample[1])
      end
    end
    local before = ip_routes(ip)
    for _, route in ipairs(ns:routes { table = "all", protocol = "boot" }) do
      assert(ns:route_delete(route))
      assert(ns:route_add(route))
    end
    assert.same(#before, #ip_routes(ip))
    local seen = {}
    for _, route in ipairs(before) do seen[#seen + 1] = route.to end
    local again = {}
    for _, route in ipairs(ip_routes(ip)) do again[#again + 1] = route.to end
    table.sort(seen)
    table.sort(again)
    assert.same(seen, again)
    done(ns)
  end)

  it("show a link that is down, and one whose other end is", function()
    local ns, ip = lab()
    assert(ns:route_add { to = "10.0.0.0/8", nexthops = {
      { via = "192.0.1.2" }, { via = "192.0.2.2" } } })
    ip "route add 10.1.0.0/16 via 192.0.1.2"
    ip "-6 route add 2001:db8:a::/48 via 2001:db8:1::2"
    ip "link set vb down"
    local expected = ip_routes(ip)
    assert.same(expected, our_routes(ns))
    local route = ns:routes { to = "10.1.0.0/16" }[1]
    assert.is_true(route.linkdown)
    assert.is_nil(route.dead)
    route = ns:routes { to = "10.0.0.0/8" }[1]
    assert.is_true(route.nexthops[2].dead)
    done(ns)
  end)

  it("are selected by family, table and any field", function()
    local ns, ip = lab()
    ip "route add 10.0.0.0/8 via 192.0.1.2 table 100"
    ip "-6 route add 2001:db8:a::/48 via 2001:db8:1::2 table 100"
    local function to(filter)
      local list = {}
      for _, route in ipairs(assert(ns:routes(filter))) do
        list[#list + 1] = route.to
      end
      return list
    end
    assert.same({ "192.0.1.0/24", "192.0.2.0/24", "2001:db8:1::/64",
      "2001:db8:2::/64" }, to())
    assert.same(to(), to {})
    assert.same(to(), to { table = "main" })
    assert.same(to(), to { table = 254 })
    assert.same({ "192.0.1.0/24", "192.0.2.0/24" }, to { family = "inet" })
    assert.same({ "2001:db8:1::/64", "2001:db8:2::/64" },
      to { family = "inet6" })
    assert.same({ "10.0.0.0/8", "2001:db8:a::/48" }, to { table = 100 })
    assert.same({ "2001:db8:a::/48" }, to { table = 100, family = "inet6" })
    assert.same({ "192.0.1.0/24", "2001:db8:1::/64" }, to { link = "va" })
    assert.same({ "192.0.1.0/24" }, to { link = "va", src = "192.0.1.1" })
    assert.same({}, to { table = 4321 })
    assert.same({}, to { table = 4321, family = "inet6" })
    assert.same({}, to { link = "nowhere" })
    assert.same({}, to { onlink = true })
    assert.same(to(), to { onlink = false })
    assert.same({}, to { table = "default" })
    assert.is_true(#to { table = "local" } > 6)
    assert.equal(#ip_routes(ip), #to { table = "all" })
    done(ns)
  end)

  it("are not selected by what is no family or table", function()
    local ns = t.keep(assert(netns.new()))
    fails(errno.EINVAL, 'routes: family "inet7"',
      ns:routes { family = "inet7" })
    fails(errno.EINVAL, 'routes: table "mine"', ns:routes { table = "mine" })
    fails(ERANGE, 'routes: table "-1"', ns:routes { table = -1 })
    assert.error_matches(function() ns:routes { family = 2 } end,
      "bad argument 'family' to 'routes' %(string expected, got number%)")
    assert.error_matches(function() ns:routes { table = true } end,
      "bad argument 'table' to 'routes'")
    assert.error_matches(function() ns:routes "main" end,
      "table expected, got string")
    assert.error_matches(function() ns:routes { dev = "lo" } end,
      "unknown key 'dev' in 'routes'")
    assert.error_matches(function() netns.routes({}) end,
      "namespace %(handle, name, path or process id%) expected, got table")
    fails(errno.ENOENT, "nowhere", netns.routes "nowhere")
  end)

  it("are listed completely when there are 2000 of each family", function()
    local ns, ip, name = lab()
    local batch = os.tmpname()
    local file = assert(io.open(batch, "w"))
    for i = 0, 1999 do
      file:write(("route add 10.%d.%d.0/24 via 192.0.1.2\n")
        :format(math.floor(i / 256), i % 256))
      file:write(("route add 2001:db8:a:%x::/64 via 2001:db8:1::2\n")
        :format(i))
    end
    file:close()
    t.must("ip -n %s -batch %s", name, batch)
    os.remove(batch)
    assert.equal(2000, #ns:routes { family = "inet", via = "192.0.1.2" })
    assert.equal(2000, #ns:routes { family = "inet6", via = "2001:db8:1::2" })
    assert.same(ip_routes(ip), our_routes(ns))
    done(ns)
  end)

  -- Of IPv4: the kernel (and so `ip`) begins a dump of IPv6 anew when something
  -- changes, passing over as many as it has told, and does not say so.
  it("are listed completely while others come and go", function()
    local ns, _, name = lab()
    for i = 0, 999 do
      assert(ns:route_add {
        to = ("10.1.%d.%d"):format(math.floor(i / 256), i % 256),
        via = "192.0.1.2" })
    end
    local batch = os.tmpname()
    local file = assert(io.open(batch, "w"))
    for _, action in ipairs { "add", "del" } do
      for i = 0, 255 do
        file:write(("route %s 10.0.%d.0/24 via 192.0.1.3\n"):format(action, i))
      end
    end
    file:close()
    local pid = t.start(("exec ip netns exec %s timeout 600 sh -c 'while ip "
      .. "-batch %s; do :; done'"):format(name, batch))
    for _ = 1, 50 do
      local seen, count = {}, 0
      for _, route in ipairs(assert(ns:routes())) do
        assert.is_nil(seen[route.to], route.to)
        seen[route.to] = true
        if route.via == "192.0.1.2" then
          count = count + 1
        end
      end
      assert.equal(1000, count)
    end
    t.stop(pid)
    assert.is_true(ns:routes { via = "192.0.1.2" }[1] ~= nil)
    for _, other in ipairs(ns:pids()) do t.stop(other) end
    os.remove(batch)
    done(ns)
  end)
end)

describe("route_get", function()
  t.guard(before_each, after_each)

  it("says what ip route get says", function()
    local ns, ip = lab()
    ip "route add default via 192.0.1.2 mtu 1234"
    ip "route add 10.0.0.0/8 via 192.0.2.2 src 192.0.1.1 table 100"
    ip "rule add to 10.0.0.0/8 lookup 100"
    ip "-6 route add default via 2001:db8:2::2 metric 12"
    for _, address in ipairs {
      "192.0.1.77", "192.0.1.1", "192.0.1.255", "127.0.0.1", "203.0.113.1",
      "10.1.2.3", "224.0.0.1", "2001:db8:1::77", "2001:db8:1::1", "::1",
      "2001:db8:a::1", "ff02::1",
    } do
      local answer = json.decode(ip("-j -d route get", address))[1]
      local family = address:find ":" and "inet6" or "inet"
      local route = assert(ns:route_get(address))
      assert.same(route, netns.route_get(ns:name(), address))
      assert.same(ours(answer, family), without_index(ns, { route })[1])
      assert.equal(address, route.to)
    end
    assert.equal("192.0.2.2", ns:route_get "10.1.2.3".via)
    assert.equal(100, ns:route_get "10.1.2.3".table)
    done(ns)
  end)

  it("says why there is none, as the kernel does", function()
    local ns, ip, name = lab()
    fails(ENETUNREACH, ("route_get %q: 203.0.113.1: Network is unreachable")
      :format(name), ns:route_get "203.0.113.1")
    fails(ENETUNREACH, "2001:db8:f::1", ns:route_get "2001:db8:f::1")
    for kind, code in pairs {
      unreachable = EHOSTUNREACH, prohibit = errno.EACCES,
      blackhole = errno.EINVAL, throw = ENETUNREACH,
    } do
      ip("route add", kind, "10.0.0.0/8")
      ip("-6 route add", kind, "2001:db8:f::/48")
      fails(code, "10.0.0.1", ns:route_get "10.0.0.1")
      fails(code, "2001:db8:f::1", ns:route_get "2001:db8:f::1")
      ip("route del 10.0.0.0/8")
      ip("-6 route del 2001:db8:f::/48")
    end
    done(ns)
  end)

  it("refuses what is no address", function()
    local ns = t.keep(assert(netns.new()))
    for _, text in ipairs {
      "", "10.0.0.0/8", "default", "host", "1.2.3", "1.2.3.4\0", "::g",
    } do
      fails(errno.EINVAL, "route_get: address", ns:route_get(text))
    end
    assert.error_matches(function() ns:route_get() end, "string expected")
    assert.error_matches(function() ns:route_get {} end, "string expected")
  end)
end)

describe("route_add and route_delete", function()
  t.guard(before_each, after_each)

  it("refuse a value that is none, and change nothing", function()
    local ns, ip = lab()
    local before = ip_routes(ip)
    for _, try in ipairs {
      { errno.EINVAL, 'to ""', { to = "", link = "va" } },
      { ERANGE, 'to "10.0.0.0/33"', { to = "10.0.0.0/33", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0/", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0/-1", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0/ 8", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0/0008", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0/8x", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0/8/8", link = "va" } },
      { errno.EINVAL, "to", { to = "10/8", link = "va" } },
      { errno.EINVAL, "to", { to = "/8", link = "va" } },
      { errno.EINVAL, "to", { to = "10.0.0.0\0/8", link = "va" } },
      { ERANGE, "to", { to = "::/129", link = "va" } },
      { errno.EINVAL, "to", { to = ("1"):rep(5000) .. "/8", link = "va" } },
      { errno.EINVAL, "to", { to = "Default", link = "va" } },
      { errno.EINVAL, "to",
        { to = "10.0.0.0/8", family = "inet6", link = "va" } },
      { errno.EINVAL, 'via "gw"', { to = "default", via = "gw" } },
      { errno.EINVAL, 'src "10.0.0.0/8"',
        { to = "default", via = "192.0.1.2", src = "10.0.0.0/8" } },
      { errno.EINVAL, 'src "2001:db8:1::1"',
        { to = "10.0.0.0/8", via = "192.0.1.2", src = "2001:db8:1::1" } },
      { errno.EINVAL, 'family "ipx"', { to = "default", family = "ipx" } },
      { errno.EINVAL, 'type "wormhole"',
        { to = "default", type = "wormhole" } },
      { ERANGE, 'type "300"', { to = "default", type = 300 } },
      { errno.EINVAL, 'scope "world"',
        { to = "default", link = "va", scope = "world" } },
      { errno.EINVAL, 'protocol "x"',
        { to = "default", link = "va", protocol = "x" } },
      { errno.EINVAL, 'table "all"',
        { to = "default", link = "va", table = "all" } },
      { ERANGE, 'metric "-1"', { to = "default", link = "va", metric = -1 } },
      { errno.EINVAL, 'metric "1.5"',
        { to = "default", link = "va", metric = 1.5 } },
      { ERANGE, 'mtu "4294967296"',
        { to = "default", link = "va", mtu = 0x100000000 } },
      { ENODEV, 'link "nowhere"', { to = "default", link = "nowhere" } },
      { ENODEV, 'link "nowhere"', { to = "default", nexthops = {
        { via = "192.0.1.2" }, { link = "nowhere" } } } },
      { ERANGE, 'weight "0"', { to = "default", nexthops = {
        { link = "va", weight = 0 } } } },
      { ERANGE, 'weight "257"', { to = "default", nexthops = {
        { link = "va", weight = 257 } } } },
      { ERANGE, 'weight "1.5"', { to = "default", nexthops = {
        { link = "va", weight = 1.5 } } } },
      { errno.EINVAL, 'via "x"', { to = "default", nexthops = {
        { link = "va" }, { via = "x" } } } },
      { errno.EINVAL, "nexthops", { to = "default", nexthops = {} } },
    } do
      fails(try[1], "route_add: " .. try[2], ns:route_add(try[3]))
      fails(try[1], "route_delete: " .. try[2], ns:route_delete(try[3]))
    end
    assert.same(before, ip_routes(ip))
    done(ns)
  end)

  it("refuse more nexthops than a message holds", function()
    local ns, ip = lab()
    local before, hops = ip_routes(ip), {}
    for i = 1, 3000 do hops[i] = { via = "192.0.1.2", link = "va" } end
    local result, message, code =
      ns:route_add { to = "10.0.0.0/8", nexthops = hops }
    assert.is_nil(result)
    assert.equal(90, code) -- EMSGSIZE
    assert.is_truthy(message:find("route_add", 1, true))
    assert.same(before, ip_routes(ip))
    done(ns)
  end)

  it("raise an error for what is wrong as a program", function()
    local ns, ip = lab()
    local before = ip_routes(ip)
    for _, call in ipairs { "route_add", "route_delete" } do
      local function raises(pattern, ...)
        local args = t.pack(...)
        assert.error_matches(function()
          ns[call](ns, t.unpack(args, 1, args.n))
        end, pattern)
      end
      raises "table expected"
      raises("table expected", "default")
      raises("bad argument 'to' to '" .. call .. "' %(string expected, got nil",
        { via = "192.0.1.2" })
      raises("bad argument 'to' .*got number", { to = 10 })
      raises("bad argument 'via' .*got table", { to = "default", via = {} })
      raises("bad argument 'src' .*got number", { to = "default", src = 1 })
      raises("bad argument 'link' .*name, index or false",
        { to = "default", link = true })
      raises("bad argument 'metric' .*integer expected, got string",
        { to = "default", link = "va", metric = "5" })
      raises("bad argument 'onlink' .*boolean expected",
        { to = "default", link = "va", onlink = 2 })
      raises("bad argument 'nexthops' .*table expected, got string",
        { to = "default", nexthops = "192.0.1.2" })
      raises("bad argument 'nexthops' .*element 2: table expected, got string",
        { to = "default", nexthops = { { link = "va" }, "192.0.1.2" } })
      raises("bad argument 'weight' .*integer expected, got string",
        { to = "default", nexthops = { { link = "va", weight = "2" } } })
      raises("unknown key 'gateway' in '" .. call .. "'",
        { to = "default", gateway = "192.0.1.2" })
      raises("unknown key 'dst'", { dst = "default" })
      raises("unknown key '1'", { "default" })
      raises("unknown key 'wieght' in '" .. call .. "'",
        { to = "default", nexthops = { { link = "va", wieght = 2 } } })
      assert.error_matches(function() netns[call]({}, { to = "default" }) end,
        "namespace %(handle, name, path or process id%) expected, got table")
      fails(errno.ENOENT, "nowhere", netns[call]("nowhere", { to = "default" }))
    end
    assert.same(before, ip_routes(ip))
    done(ns)
  end)

  it("report the kernel's errno and its words", function()
    local ns, ip, name = lab()
    local before = ip_routes(ip)
    local _, message, code = ns:route_add { to = "10.0.0.0/8", via = "9.9.9.9" }
    assert.equal(("route_add %q: 10.0.0.0/8: Network is unreachable "
      .. "(Nexthop has invalid gateway)"):format(name), message)
    assert.equal(ENETUNREACH, code)
    fails(EHOSTUNREACH, "No route to host",
      ns:route_add { to = "2001:db8:a::/48", via = "2001:db8:99::1" })
    fails(errno.EINVAL, "Invalid prefix for given prefix length",
      ns:route_add { to = "10.1.2.3/8", via = "192.0.1.2" })
    fails(ENETUNREACH, "Nexthop has invalid gateway", ns:route_add {
      to = "10.0.0.0/8",
      nexthops = { { via = "192.0.1.2" }, { via = "9.9.9.9" } } })
    fails(errno.EINVAL, "IPv6 does not support RTA_VIA attribute",
      ns:route_add { to = "2001:db8:a::/48", via = "192.0.1.2", link = "va" })
    assert.same(before, ip_routes(ip))
    done(ns)
  end)

  it("refuse what exists, and the deleting of what does not", function()
    local ns, ip = lab()
    for to, via in pairs {
      ["10.0.0.0/8"] = "192.0.1.2", ["2001:db8:a::/48"] = "2001:db8:1::2",
    } do
      local route, other = { to = to, via = via }, via:gsub("2$", "3")
      fails(errno.ESRCH, to, ns:route_delete(route))
      assert(ns:route_add(route))
      local before = ip_routes(ip)
      fails(errno.EEXIST, to .. ": File exists", ns:route_add(route))
      fails(errno.EEXIST, to, ns:route_add { to = to, via = other })
      fails(errno.ESRCH, to, ns:route_delete { to = to, via = via, metric = 9 })
      fails(errno.ESRCH, to, ns:route_delete { to = to, table = 9 })
      fails(errno.ESRCH, to, ns:route_delete { to = to, link = "vb" })
      fails(errno.ESRCH, to,
        ns:route_delete { to = to, protocol = "static" })
      assert.same(before, ip_routes(ip))
      assert.is_true(ns:route_delete { to = to })
      fails(errno.ESRCH, to, ns:route_delete(route))
    end
    done(ns)
  end)

  it("refuse with EPERM who may not, who can still list", function()
    local ns, ip, name = lab()
    local before = ip_routes(ip)
    local script = [[
      local netns = require "netns"
      local ns = assert(netns.current())
      for _, call in ipairs { "route_add", "route_delete" } do
        local result, message, errno =
          ns[call](ns, { to = "10.0.0.0/8", via = "192.0.1.2" })
        assert(result == nil and errno == netns.errno.EPERM, message)
        print(message)
      end
    ]]
    local inside = ("nsenter --net=/run/netns/%s "):format(name)
    local output, code = t.script(script, inside .. t.nobody)
    assert.equal(0, code, output)
    -- the verdict is the kernel's, if it lets the socket be opened
    output, code = t.script(script .. [[
      print(#assert(ns:routes { table = "all" }))
      print(assert(ns:route_get "192.0.1.9").link)
    ]], inside .. "setpriv --bounding-set -net_admin --inh-caps -net_admin")
    assert.equal(0, code, output)
    assert.is_truthy(output:find("10.0.0.0/8: Operation not permitted", 1,
      true), output)
    assert.is_truthy(output:find("\n" .. #before .. "\nva", 1, true), output)
    assert.same(before, ip_routes(ip))
    done(ns)
  end)
end)

describe("packets", function()
  t.guard(before_each, after_each)

  it("flow through a router, and not when the route is gone", function()
    local a = t.keep(assert(netns.new()))
    local r = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    for i, node in ipairs { a, b } do
      assert(r:link_add { name = "r" .. i, kind = "veth", up = true,
        peer = { name = "eth0", ns = node } })
      assert(node:link_set("eth0", { up = true }))
      for address, ns in pairs { [1] = r, [2] = node } do
        local link = ns == r and "r" .. i or "eth0"
        assert(ns:exec { "ip", "addr", "add",
          ("192.0.%d.%d/24"):format(i, address), "dev", link })
        assert(ns:exec { "ip", "addr", "add",
          ("2001:db8:%d::%d/64"):format(i, address), "dev", link, "nodad" })
      end
    end
    assert(r:sysctl("net.ipv4.ip_forward", 1))
    assert(r:sysctl("net.ipv6.conf.all.forwarding", 1))
    local function ping(address)
      return a:capture { "ping", "-n", "-c", "1", "-W", "1", address }.ok
    end
    -- the first packets of a new link may be lost
    local function reaches(address)
      return t.eventually(function() return ping(address) end)
    end
    assert.is_falsy(ping "192.0.2.2")
    assert(a:route_add { to = "192.0.2.0/24", via = "192.0.1.1" })
    assert.is_falsy(ping "192.0.2.2") -- it does not know the way back
    assert(b:route_add { to = "default", via = "192.0.2.1" })
    assert.is_true(reaches "192.0.2.2")
    assert(a:route_add { to = "default", via = "2001:db8:1::1" })
    assert(b:route_add { to = "2001:db8:1::/64", via = "2001:db8:2::1" })
    assert.is_true(reaches "2001:db8:2::2")
    assert(r:route_add { to = "192.0.2.2", type = "blackhole" })
    assert.is_falsy(ping "192.0.2.2")
    assert(r:route_delete { to = "192.0.2.2" })
    assert.is_true(reaches "192.0.2.2")
    assert(a:route_delete { to = "default", via = "2001:db8:1::1" })
    assert.is_falsy(ping "2001:db8:2::2")
  end)
end)
