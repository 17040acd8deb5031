-- Routes: each is listed with all that tells it from others, so that its listed
-- table deletes it and no other, and makes it again.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno
local EOPNOTSUPP = 95

-- Two links with addresses of both families.
local SETUP = [[
ip link set lo up
for l in a b; do
  ip link add v$l type veth peer name w$l
  ip link set v$l addrgenmode none; ip link set w$l addrgenmode none
  ip link set w$l up; ip link set v$l up
done
ip addr add 192.0.2.1/24 dev va; ip addr add 192.0.2.7/24 dev va
ip addr add 198.51.100.1/24 dev vb
ip addr add 2001:db8:a::1/64 dev va nodad
ip addr add 2001:db8:b::1/64 dev vb nodad
]]

local NEXTHOPS = [[
ip nexthop add id 7 via 192.0.2.2 dev va
ip nexthop add id 8 via 192.0.2.3 dev va
ip nexthop add id 9 group 7/8
ip nexthop add id 10 blackhole
ip nexthop add id 17 via 2001:db8:a::2 dev va
ip nexthop add id 18 via 2001:db8:a::3 dev va
]]

local function sh(ns, text, ...)
  local result = assert(ns:capture { "sh", "-ec", text:format(...) })
  if not result.ok then error(result.stderr, 2) end
  return result.stdout
end

local function lab()
  local ns = t.keep(assert(netns.new()))
  sh(ns, SETUP)
  t.eventually(function()
    return #assert(ns:links { operstate = "UP" }) == 4
      and #assert(ns:routes { table = "all", linkdown = true }) == 0
  end)
  return ns
end

-- The prefix of the nth route, which texts have as P.
local function prefix(family, n)
  return (family == "inet" and "10.%d.0.0/16" or "2001:db8:1%02x::/48")
    :format(n)
end

local PREFIX = { inet = "(10%.%d+%.0%.0/16)", inet6 = "(2001:db8:1%x%x::/48)" }

-- Has `ip` do something to routes; what it cannot do does not count if `force`.
local function batch(ns, family, lines, force)
  local result = assert(ns:capture({ "ip", force and "-force" or "-o",
    "-family", family, "-batch", "-" },
    { input = table.concat(lines, "\n") .. "\n" }))
  if not force and not result.ok then error(result.stderr, 2) end
end

-- The lines of `ip` by prefix, in the kernel's order; times that run are left
-- out.
local function lines_of(ns, family)
  local list = {}
  local text = sh(ns, "ip -family %s -o route show table all", family)
  for line in text:gmatch "[^\n]+" do
    local to = line:match(PREFIX[family])
    if to then
      list[to] = list[to] or {}
      table.insert(list[to], (line:gsub("expires %-?%d+sec", "expires")))
    end
  end
  return list
end

-- The same with the lines of each prefix sorted: a route that is made again is
-- behind its like.
local function sorted(lines)
  for _, list in pairs(lines) do table.sort(list) end
  return lines
end

-- The listed routes by prefix.
local function rows_of(ns, family)
  local list = {}
  for _, row in ipairs(assert(ns:routes { table = "all", family = family })) do
    if row.to:find("^" .. PREFIX[family]) then
      list[row.to] = list[row.to] or {}
      table.insert(list[row.to], row)
    end
  end
  return list
end

local function fails(code, pattern, result, message, number)
  assert.is_nil(result)
  assert.is_truthy(message:find(pattern, 1, true), message)
  assert.equal(code, number)
end

local function no_unknown(row)
  assert.is_nil(row.unknown)
  for _, hop in ipairs(row.nexthops or {}) do assert.is_nil(hop.unknown) end
end

-- Of each two routes that `ip` makes, the second behind the first, each is
-- deleted by its own listed table, also if it is not the first, and made again
-- by it.
local function tell_apart(ns, family, all)
  local add, texts = {}, {}
  for i, two in ipairs(all) do
    local to = prefix(family, i)
    texts[to] = table.concat(two, " | ")
    add[#add + 1] = "route add " .. two[1]:gsub("P", to, 1)
    add[#add + 1] = "route append " .. two[2]:gsub("P", to, 1)
  end
  batch(ns, family, add)
  for which = 1, 2 do
    local before, rows = lines_of(ns, family), rows_of(ns, family)
    local rest = {}
    for to, text in pairs(texts) do
      assert.equal(2, #(before[to] or {}), text)
      assert.equal(2, #rows[to], text)
      no_unknown(rows[to][which])
      local ok, message = ns:route_delete(rows[to][which])
      assert(ok, ("%s: %s"):format(message, text))
      rest[to] = { before[to][3 - which], text }
    end
    local after = lines_of(ns, family)
    for to, text in pairs(texts) do
      table.insert(after[to] or {}, text)
      fails(errno.ESRCH, "No such process", ns:route_delete(rows[to][which]))
    end
    assert.same(rest, after)
    for to, text in pairs(texts) do
      local ok, message = ns:route_append(rows[to][which])
      assert(ok, ("%s: %s"):format(message, text))
    end
    assert.same(sorted(before), sorted(lines_of(ns, family)))
  end
  for _, rows in pairs(rows_of(ns, family)) do
    for _, row in ipairs(rows) do assert(ns:route_delete(row)) end
  end
  assert.same({}, lines_of(ns, family))
end

-- The same, and with the second before the first.
local function both_orders(all)
  local list = {}
  for _, two in ipairs(all) do
    list[#list + 1] = two
    list[#list + 1] = { two[2], two[1] }
  end
  return list
end

-- What a route has, or another has instead; "" is the plain route.
local VIA = "P via 192.0.2.2 dev va "
local pairs4 = {
  tos = { "tos 0x10", "", "tos 0x08" },
  metric = { "metric 7", "", "metric 8" },
  table = { "table 100", "", "table 101" },
  protocol = { "proto static", "", "proto bgp" },
  src = { "src 192.0.2.7", "", "src 198.51.100.1" },
  onlink = { "onlink", "" },
  realms = { "realms 3", "", "realms 1/3", "realms 4" },
  mtu = { "mtu 1400", "", "mtu 1300" },
  ["lock of the mtu"] = { "mtu lock 1400", "mtu 1400", "" },
  window = { "window 2000", "", "window 3000" },
  rtt = { "rtt 300ms", "", "rtt 1ms" },
  rttvar = { "rttvar 300ms", "", "rttvar 1ms" },
  ssthresh = { "ssthresh 10", "", "ssthresh 11" },
  cwnd = { "cwnd lock 10", "", "cwnd lock 11", "cwnd 10" },
  advmss = { "advmss 1400", "", "advmss 1300" },
  reordering = { "reordering 10", "", "reordering 11" },
  hoplimit = { "hoplimit 9", "", "hoplimit 10" },
  initcwnd = { "initcwnd 20", "", "initcwnd 21" },
  initrwnd = { "initrwnd 20", "", "initrwnd 21" },
  features = { "features ecn", "" },
  rto_min = { "rto_min 300ms", "", "rto_min 3s" },
  quickack = { "quickack 1", "" },
  congctl = { "congctl reno", "", "congctl lock reno" },
  fastopen_no_cookie = { "fastopen_no_cookie 1", "" },
}

-- Whole routes that differ in one thing.
local others4 = {
  { "P via 192.0.2.2 dev va", "P via 192.0.2.3 dev va" },
  { "P dev va", "P dev vb" },
  { "P via 192.0.2.2 dev va", "P dev va" },
  { "P via 192.0.2.2 dev va",
    "P via inet6 2001:db8:a::2 dev va" },
  { "blackhole P", "unreachable P" },
  { "prohibit P", "throw P" },
  { VIA, "P nhid 7" }, { "P nhid 7", "P nhid 8" }, { "P nhid 7", "P nhid 9" },
  { "P nhid 7", "P nhid 10" },
  { "P nexthop via 192.0.2.2 dev va nexthop via 192.0.2.3 dev va",
    "P nexthop via 192.0.2.2 dev va weight 3 nexthop via 192.0.2.3 dev va" },
  { "P nexthop via 192.0.2.2 dev va nexthop via 192.0.2.3 dev va",
    "P nexthop via 192.0.2.3 dev va nexthop via 192.0.2.2 dev va" },
  { "P nexthop via 192.0.2.2 dev va nexthop via 192.0.2.3 dev va",
    "P nexthop via 192.0.2.2 dev va nexthop via 192.0.2.3 dev va "
      .. "nexthop via 192.0.2.4 dev va" },
  { "P nexthop via 192.0.2.2 dev va nexthop via 192.0.2.3 dev va",
    "P nexthop via 192.0.2.2 dev va onlink nexthop via 192.0.2.3 dev va" },
  { "P nexthop via 192.0.2.2 dev va realms 3 nexthop via 192.0.2.3 dev va",
    "P nexthop via 192.0.2.2 dev va realms 4 nexthop via 192.0.2.3 dev va" },
  { "P nexthop via 192.0.2.2 dev va nexthop via 192.0.2.3 dev va", "P nhid 9" },
}

local VIA6 = "P via 2001:db8:a::2 dev va "
local others6 = {
  { "P from 2001:db8:a::/64 via 2001:db8:a::2 dev va", VIA6 },
  { "P from 2001:db8:a::/64 via 2001:db8:a::2 dev va",
    "P from 2001:db8:a::1 via 2001:db8:a::2 dev va" },
  { VIA6 .. "metric 7", VIA6 .. "metric 8" },
  { VIA6 .. "metric 7", VIA6 },
  { VIA6 .. "table 100", VIA6 .. "table 101" },
  { VIA6, "P dev va" },
  { "P dev va", "P dev vb" },
  { VIA6, "P nhid 17" }, { "P dev va", "P nhid 17" },
  { "P nhid 17", "P nhid 18" },
  { "P nexthop via 2001:db8:a::2 dev va "
      .. "nexthop via 2001:db8:a::3 dev va", "P dev va" },
  { "P nexthop via 2001:db8:a::2 dev va "
      .. "nexthop via 2001:db8:a::3 dev va",
    "P metric 9 nexthop via 2001:db8:a::2 dev va "
      .. "nexthop via 2001:db8:a::3 dev va" },
  { "P nexthop via 2001:db8:a::2 dev va "
      .. "nexthop via 2001:db8:a::3 dev va", "P nhid 17" },
}

-- Forms of `ip route help` (of Debian 13) that a kernel may lack are in `rare`.
local forms = {
  inet = {
    "P via 192.0.2.2 dev va tos 0x10 table 100 proto static "
      .. "scope global metric 7 src 192.0.2.7 onlink realms 1/3 mtu lock 1400 "
      .. "advmss lock 1300 rtt 300ms rttvar 40ms reordering lock 9 window 2000 "
      .. "cwnd lock 10 initcwnd 20 ssthresh 30 rto_min 200ms hoplimit 9 "
      .. "initrwnd 21 features ecn quickack 1 congctl lock reno "
      .. "fastopen_no_cookie 1",
    "local P dev lo", "broadcast P dev va",
    "multicast P dev va", "throw P",
    "unreachable P", "prohibit P",
    "blackhole P", "P nhid 7", "P nhid 9",
    "P nhid 10", "P via inet6 2001:db8:a::2 dev va",
    "P nexthop via 192.0.2.2 dev va weight 3 realms 3 "
      .. "nexthop via 192.0.2.3 dev va onlink nexthop dev vb",
  },
  inet6 = {
    "P from 2001:db8:a::/64 via 2001:db8:a::2 dev va "
      .. "proto static metric 7 src 2001:db8:a::1 onlink mtu lock 1400 "
      .. "advmss 1300 hoplimit 9 initcwnd 20 congctl reno rto_min 3s "
      .. "pref high expires 600 table 100",
    "throw P", "unreachable P",
    "prohibit P", "blackhole P",
    "P nhid 17", "anycast P dev va",
    "local P dev lo", "multicast P dev va",
    "P via 2001:db8:a::2 pref low",
    "P nexthop via 2001:db8:a::2 dev va weight 3 "
      .. "nexthop via fe80::9 dev vb onlink",
  },
}

local rare = {
  inet = {
    "P encap mpls 100/200 ttl 9 via 192.0.2.2 dev va",
    "P encap ip id 7 src 192.0.2.1 dst 192.0.2.9 ttl 3 tos 4 "
      .. "via 192.0.2.2 dev va",
    "P encap ip6 id 7 dst 2001:db8:a::9 hoplimit 3 "
      .. "via 192.0.2.2 dev va",
    "P nexthop encap mpls 100 via 192.0.2.2 dev va "
      .. "nexthop via 192.0.2.3 dev va",
    "P encap seg6 mode encap segs 2001:db8::9 dev va",
  },
  inet6 = {
    "P encap seg6 mode encap segs 2001:db8::8,2001:db8::9 dev va",
    "P encap seg6 mode inline segs 2001:db8::9 dev va",
    "P encap seg6local action End dev va",
    "P encap ip6 id 7 dst 2001:db8:a::9 dev va",
    "P encap ioam6 trace prealloc type 0x800000 ns 1 size 12 "
      .. "dev va",
    "P encap rpl segs 2001:db8::9 dev va",
    "P encap xfrm if_id 9 dev va",
  },
}

local TO, TO6 = prefix("inet", 9), prefix("inet6", 9)

describe("a listed route", function()
  t.guard(before_each, after_each)

  it("of IPv4 is told from one that differs in one attribute", function()
    local ns, all = lab(), {}
    for _, values in pairs(pairs4) do
      for i = 2, #values do
        all[#all + 1] = { VIA .. values[1], VIA .. values[i] }
      end
    end
    all = both_orders(all)
    -- not the other way around: the kernel has it that this exists
    all[#all + 1] = { VIA .. "scope global", VIA .. "scope 77" }
    tell_apart(ns, "inet", all)
  end)

  it("of IPv4 is told from one with another nexthop or type", function()
    local ns = lab()
    sh(ns, NEXTHOPS)
    tell_apart(ns, "inet", both_orders(others4))
  end)

  it("of IPv6 is told from one that differs in one attribute", function()
    local ns = lab()
    sh(ns, NEXTHOPS)
    tell_apart(ns, "inet6", both_orders(others6))
  end)

  it("is made again as it was, with all that `ip route` writes", function()
    local ns = lab()
    sh(ns, NEXTHOPS)
    for family, list in pairs(forms) do
      local add = {}
      for i, form in ipairs(list) do
        add[i] = "route add " .. form:gsub("P", prefix(family, i), 1)
      end
      batch(ns, family, add)
      local before, rows = lines_of(ns, family), rows_of(ns, family)
      for i, form in ipairs(list) do
        local row = rows[prefix(family, i)][1]
        no_unknown(row)
        local ok, message = ns:route_delete(row)
        assert(ok, ("%s: %s"):format(message, form))
      end
      assert.same({}, lines_of(ns, family))
      for i, form in ipairs(list) do
        local row = rows[prefix(family, i)][1]
        local ok, message = ns:route_add(row)
        assert(ok, ("%s: %s"):format(message, form))
        fails(errno.EEXIST, "File exists", ns:route_add(row))
      end
      assert.same(before, lines_of(ns, family))
    end
  end)

  it("shows what its packets are wrapped in", function()
    local ns = lab()
    for family, list in pairs(rare) do
      local add = {}
      for i, form in ipairs(list) do
        add[i] = "route add " .. form:gsub("P", prefix(family, i), 1)
      end
      batch(ns, family, add, true) -- no kernel has all of them
      local rows = rows_of(ns, family)
      for i, form in ipairs(list) do
        for _, row in ipairs(rows[prefix(family, i)] or {}) do
          no_unknown(row)
          local encap = row.encap or row.nexthops[1].encap
          assert.equal(form:match "encap (%w+)", encap.type)
          assert.is_nil(encap.unknown, form)
          assert(ns:route_delete(row))
        end
      end
      assert.same({}, lines_of(ns, family))
    end
  end)

  it("with what can only be listed is refused by name, not made without it",
    function()
      local ns = lab()
      for name, value in pairs { encap = { type = "ip" },
        ttl_propagate = true } do
        fails(EOPNOTSUPP, "route_add: " .. name .. ", which can only be listed",
          ns:route_add { to = TO, link = "va", [name] = value })
      end
      fails(EOPNOTSUPP, "route_add: encap, which can only be listed",
        ns:route_add { to = TO, nexthops = {
          { link = "va", encap = { type = "ip" } } } })
      fails(EOPNOTSUPP, "route_add: attribute 99, which is unknown",
        ns:route_add { to = TO, link = "va",
          unknown = { [99] = "00" } })
      assert.same({}, lines_of(ns, "inet"))
    end)

  it("that is gone does not delete one like it, which stays", function()
    local ns = lab()
    local route = VIA:gsub("P", TO)
    sh(ns, "ip route add " .. route)
    local row = rows_of(ns, "inet")[TO][1]
    sh(ns, "ip route del " .. route)
    sh(ns, "ip route add " .. route .. "src 192.0.2.7 metric 5 mtu lock 1400")
    sh(ns, "ip route append " .. route .. "src 192.0.2.7 metric 5 mtu 1300")
    local before = lines_of(ns, "inet")
    fails(errno.ESRCH, "No such process", ns:route_delete(row))
    assert.same(before, lines_of(ns, "inet"))
  end)

  it("is deleted by one request if no other is like it", function()
    local ns = lab()
    local route = VIA:gsub("P", TO)
    sh(ns, "ip route add %s; ip route add %s", route, route .. "metric 9")
    local log = os.tmpname()
    local name = t.name()
    assert(netns.attach(name, ns)):close()
    local output, code = t.script(([[
      local netns = require "netns"
      local ns = assert(netns.open %q)
      local rows = assert(ns:routes { to = "10.9.0.0/16" })
      assert(ns:route_delete(rows[2]))
    ]]):format(name), "strace -f -e trace=sendto,sendmsg -o " .. log)
    assert(netns.delete(name))
    local text = t.read(log)
    os.remove(log)
    assert.equal(0, code, output)
    -- a strace that cannot tell the protocol has the number
    local _, count = text:gsub("RTM_DELROUTE", "")
    local _, more = text:gsub("nlmsg_type=0x19 ", "")
    count = count + more
    assert.equal(1, count, text)
    assert.equal(1, #lines_of(ns, "inet")[TO])
  end)
end)

describe("the times and lists of a route", function()
  t.guard(before_each, after_each)

  it("are seconds and names, and the same written and listed", function()
    local ns = lab()
    assert(ns:route_add { to = TO, via = "192.0.2.2", tos = 16,
      rtt = 0.3, rttvar = "40ms", rto_min = 0.2, lock = { "rto_min", "mtu" },
      mtu = 1400, features = { "ecn" }, realms = "1/3", quickack = 1,
      fastopen_no_cookie = true })
    local row = rows_of(ns, "inet")[TO][1]
    assert.same({ 16, 0.3, 0.04, 0.2, "1/3", true, true }, { row.tos, row.rtt,
      row.rttvar, row.rto_min, row.realms, row.quickack,
      row.fastopen_no_cookie })
    assert.same({ "mtu", "rto_min" }, row.lock)
    assert.same({ "ecn" }, row.features)
    local line = lines_of(ns, "inet")[TO][1]
    for _, text in ipairs { "tos 0x10", "rtt 300ms", "rttvar 40ms",
      "rto_min lock 200ms", "mtu lock 1400", "features ecn", "realms 1/3",
      "quickack 1", "fastopen_no_cookie 1" } do
      assert.is_truthy(line:gsub("realm ", "realms "):find(text, 1, true), line)
    end
  end)

  it("are refused where the route's family has none", function()
    local ns = lab()
    fails(errno.EINVAL, "expires", ns:route_add { to = TO,
      link = "va", expires = 9 })
    fails(errno.EINVAL, "from", ns:route_add { to = TO,
      link = "va", from = "10.0.0.0/8" })
    fails(errno.EINVAL, "realms", ns:route_add { to = TO6,
      link = "va", realms = 3 })
    for _, realms in ipairs { "", "x", "1/", "/1", "1/2/3", "65536" } do
      fails(errno.EINVAL, "realms", ns:route_add { to = TO,
        link = "va", realms = realms })
    end
    fails(errno.EINVAL, "lock", ns:route_add { to = TO,
      link = "va", lock = { "mtv" } })
    assert.same({}, lines_of(ns, "inet"))
  end)

  it("expire as the kernel counts", function()
    local ns = lab()
    assert(ns:route_add { to = TO6, via = "2001:db8:a::2",
      expires = 99.5 })
    local row = rows_of(ns, "inet6")[TO6][1]
    assert.is_true(row.expires > 90 and row.expires <= 100)
  end)
end)

describe("route_get", function()
  t.guard(before_each, after_each)

  it("asks for a packet like the given one", function()
    local ns = lab()
    sh(ns, [[ip route add table 100 default via 198.51.100.2
      ip rule add fwmark 7 lookup 100
      ip rule add ipproto tcp dport 80 lookup 100
      ip rule add uidrange 77-77 lookup 100; ip rule add tos 0x10 lookup 100
      ip route add %s mtu 1400 proto static
      ip -6 route add %s; ip -6 rule add from 2001:db8:b::1 blackhole]],
      VIA:gsub("P", TO), (VIA6:gsub("P", TO6)))
    local function link(opts)
      return assert(ns:route_get("10.9.0.1", opts)).link
    end
    assert.equal("va", link())
    assert.equal("va", link {})
    assert.equal("vb", link { mark = 7 })
    assert.equal("vb", link { uid = 77 })
    assert.equal("vb", link { tos = 16 })
    assert.equal("vb", link { ipproto = "tcp", dport = 80 })
    assert.equal("va", link { ipproto = "udp", sport = 5, dport = 80 })
    assert.equal("va", link { oif = "va" })
    assert.equal("va", link { from = "192.0.2.7" })
    local found = assert(ns:route_get("10.9.0.1", { fibmatch = true }))
    assert.same({ TO, "static", 1400 },
      { found.to, found.protocol, found.mtu })
    fails(errno.EINVAL, "2001:db8:109::1",
      ns:route_get("2001:db8:109::1", { from = "2001:db8:b::1" }))
    assert.equal(TO6,
      assert(ns:route_get("2001:db8:109::1", { fibmatch = true })).to)
    assert(ns:sysctl("net.ipv4.ip_forward", 1))
    assert(ns:sysctl("net.ipv4.conf.all.rp_filter", 0))
    assert(ns:sysctl("net.ipv4.conf.vb.rp_filter", 0))
    local forwarded = assert(ns:route_get("10.9.0.1",
      { from = "198.51.100.9", iif = "vb" }))
    assert.same({ "vb", "va" }, { forwarded.iif, forwarded.link })
  end)

  it("refuses an option that it does not know, and a wrong value", function()
    local ns = lab()
    assert.error_matches(function()
      ns:route_get("10.9.0.1", { nonsense = true })
    end, "unknown key 'nonsense' in 'route_get'")
    assert.error_matches(function() ns:route_get("10.9.0.1", 7) end,
      "table expected, got number")
    assert.error_matches(function()
      ns:route_get("10.9.0.1", { mark = "x" })
    end, "bad argument 'mark' to 'route_get'")
    fails(errno.EINVAL, "ipproto",
      ns:route_get("10.9.0.1", { ipproto = "icpm" }))
    fails(errno.EINVAL, "from", ns:route_get("10.9.0.1", { from = "::1" }))
    fails(19, "oif", ns:route_get("10.9.0.1", { oif = "nowhere" }))
  end)
end)
