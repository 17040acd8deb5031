local netns = require "netns"
local core = require "netns.core"
local json = require "spec.json"
local t = require "spec.support"

local errno = core.errno

local function prefix(address, length)
  return length and ("%s/%d"):format(address, length) or address or "all"
end

local function range(rule, key)
  local first, last = rule[key .. "_start"], rule[key .. "_end"]
  rule[key .. "_start"], rule[key .. "_end"] = nil, nil
  if first == last then return first end
  return ("%d-%d"):format(first, last)
end

-- A rule as `ip -details -json` has it, with our words.
local function translate(rule, family)
  rule.family = family
  rule.from, rule.src = prefix(rule.src, rule.srclen), nil
  rule.to, rule.dst = prefix(rule.dst, rule.dstlen), nil
  rule.srclen, rule.dstlen = nil, nil
  rule.table = tonumber(rule.table) or rule.table
  rule.fwmark, rule.fwmask = tonumber(rule.fwmark), tonumber(rule.fwmask)
  rule.tos = tonumber(rule.tos)
  if rule.ipproto then
    rule.ipproto = tonumber(rule.ipproto:match "^ipproto%-(%d+)$")
      or rule.ipproto
  end
  rule.sport = rule.sport or range(rule, "sport")
  rule.dport = rule.dport or range(rule, "dport")
  rule.uidrange, rule.uid_start, rule.uid_end = rule.uid_start
    and (rule.uid_start == rule.uid_end and rule.uid_start
      or ("%d-%d"):format(rule.uid_start, rule.uid_end)), nil, nil
  rule.suppress_prefixlength, rule.suppress_prefixlen =
    rule.suppress_prefixlen, nil
  rule.suppress_ifgroup = tonumber(rule.suppress_ifgroup)
    or rule.suppress_ifgroup
  rule.invert, rule["not"] = rule["not"], nil
  rule.target, rule["goto"] = rule["goto"], nil
  rule.action = rule.action or rule.target and "goto" or rule.nop and "nop"
    or "lookup"
  rule.nop = nil
  return rule
end

local function by_ip(name)
  local list = {}
  for option, family in pairs { ["-4"] = "inet", ["-6"] = "inet6" } do
    local output = t.must("ip -n %s -details -json %s rule", name, option)
    for _, rule in ipairs(json.decode((output:gsub(":null", ":true")))) do
      list[#list + 1] = translate(rule, family)
    end
  end
  table.sort(list, function(a, b)
    if a.family ~= b.family then return a.family < b.family end
    return a.priority < b.priority
  end)
  return list
end

local function agree(ns)
  local list = assert(ns:rules())
  assert.same(by_ip(ns:name()), list)
  return list
end

local function rule_at(list, priority)
  for _, rule in ipairs(list) do
    if rule.priority == priority then return rule end
  end
end

t.guard(before_each, after_each) -- around the handle that every test gets

describe("rules", function()
  local name, ns

  before_each(function()
    name = t.name()
    ns = assert(netns.add(name))
  end)

  after_each(function()
    ns:close()
    assert(netns.delete(name))
  end)

  -- Two links with a network each, and routes to the rest of the world that
  -- differ by table.
  local function lab()
    t.must([[
      set -e
      alias ip='ip -n %s'
      ip link add e0 type veth peer name p0
      ip link add e1 type veth peer name p1
      for link in lo e0 e1 p0 p1; do ip link set $link up; done
      ip addr add 10.0.0.1/24 dev e0
      ip addr add 10.0.1.1/24 dev e1
      ip addr add 2001:db8::1/64 dev e0 nodad
      ip addr add 2001:db8:1::1/64 dev e1 nodad
      ip route add default via 10.0.0.254
      ip route add default via 10.0.1.254 table 100
      ip route add default via 2001:db8::fe
      ip route add default via 2001:db8:1::fe table 100
      ip route add 192.0.2.0/24 via 10.0.1.254
    ]], name)
  end

  -- The device that the kernel chooses for a packet; nil, message if none.
  local function way(...)
    local output, code = t.sh("ip -n %s -json route get %s", name,
      (...):format(select(2, ...)))
    if code ~= 0 then return nil, output end
    return json.decode(output)[1].dev
  end

  it("are those of a new namespace at first", function()
    local list = agree(ns)
    assert.equal(5, #list)
    assert.same({ family = "inet", priority = 0, from = "all", to = "all",
      action = "lookup", table = "local", protocol = "kernel" }, list[1])
    assert.same({ family = "inet6", priority = 32766, from = "all", to = "all",
      action = "lookup", table = "main", protocol = "kernel" }, list[5])
  end)

  it("that we add are those that ip sees", function()
    for priority, rule in ipairs {
      { from = "10.0.0.1" },
      { from = "10.0.0.0/8", to = "192.0.2.0/24", table = 100 },
      { from = "10.1.2.3/8", table = 4294967295 },
      { to = "2001:db8::/32", table = "main" },
      { from = "2001:db8::1", to = "::/0", table = 1000 },
      { family = "inet6", from = "all", table = "local" },
      { fwmark = 1 }, { fwmark = "0x10/0xff", table = 7 },
      { fwmark = 255, fwmask = 15 }, { fwmark = "4294967295" },
      { fwmark = "0/1" },
      { iif = "lo", table = "default" }, { oif = "nowhere", table = 9 },
      { iif = "lo", oif = "lo", family = "inet6" },
      { action = "blackhole", from = "10.0.0.9" },
      { action = "unreachable", to = "2001:db8::9" },
      { action = "prohibit", fwmark = 5 },
      { action = "nop" },
      { action = "goto", target = 30 },
      { action = "goto", target = 1000, family = "inet6" },
      { tos = 16, table = 5 }, { ipproto = "tcp", table = 5 },
      { ipproto = "ipv6-icmp", family = "inet6" }, { ipproto = 200 },
      { ipproto = "udp", sport = 53, dport = "1000-2000" },
      { ipproto = "udp", sport = "1-65534", dport = "80", family = "inet6" },
      { uidrange = "0-1000" }, { uidrange = 65534, family = "inet6" },
      { suppress_prefixlength = 0, table = "main" },
      { suppress_ifgroup = "default", table = "main", family = "inet6" },
      { suppress_ifgroup = 7, suppress_prefixlength = 24 },
      { invert = true, from = "10.0.0.0/8" }, { invert = false, fwmark = 8 },
      { l3mdev = true }, { l3mdev = false, from = "10.0.0.33" },
      { protocol = "static", from = "10.0.0.44" },
      { protocol = 99, from = "2001:db8::99" },
    } do
      rule.priority = priority
      assert.is_truthy(ns:rule_add(rule))
      -- what was said is what is read, but for what reads otherwise
      local found = assert(ns:rules { priority = priority })
      assert.equal(1, #found)
      for key, value in pairs(rule) do
        if not (key:find "^fw" or key == "from" or key == "to"
          or key == "protocol") then
          assert.equal(tonumber(value) or value or nil, found[1][key], key)
        end
      end
    end
    local list = agree(ns)
    assert.equal(42, #list)
    assert.equal(37, #ns:rules { protocol = "unspec" }
      + #ns:rules { protocol = "static" } + #ns:rules { protocol = "openr" })
    for priority, fields in pairs {
      [1] = { from = "10.0.0.1", to = "all", table = "main" },
      [2] = { from = "10.0.0.0/8", to = "192.0.2.0/24", table = 100 },
      [3] = { from = "10.1.2.3/8", table = 4294967295 },
      [5] = { from = "2001:db8::1", to = "all", family = "inet6" },
      [8] = { fwmark = 16, fwmask = 255 },
      [10] = { fwmark = 4294967295 },
      [11] = { fwmark = 0, fwmask = 1 },
      [13] = { oif = "nowhere", oif_detached = true },
      [15] = { action = "blackhole", from = "10.0.0.9" },
      [19] = { action = "goto", target = 30, unresolved = true },
      [25] = { sport = 53, dport = "1000-2000", ipproto = "udp" },
      [26] = { sport = "1-65534", dport = 80 },
      [28] = { uidrange = 65534 },
      [31] = { suppress_ifgroup = 7, suppress_prefixlength = 24 },
      [32] = { invert = true }, [34] = { l3mdev = true },
    } do
      local rule = rule_at(by_ip(name), priority)
      for key, value in pairs(fields) do
        assert.equal(value, rule[key], priority .. " " .. key)
      end
    end
  end)

  it("that ip adds are those that we see", function()
    t.must([[
      set -e
      r() { ip -n %s rule add priority "$@"; }
      r6() { ip -n %s -6 rule add priority "$@"; }
      r 1 from 10.0.0.5
      r 2 from 10.0.0.0/8 to 192.0.2.7 lookup 100
      r 3 blackhole from 10.0.0.6
      r 4 unreachable to 10.0.0.7
      r 5 prohibit fwmark 1/0xff
      r 6 not from all tos 0x10 goto 100
      r 7 nop
      r 8 sport 80 dport 100-200 ipproto tcp uidrange 1-2 table 1000 \
        suppress_prefixlength 0 suppress_ifgroup 0
      r 9 iif lo oif nowhere from 0.0.0.0/0 table 7 protocol static
      r 10 l3mdev
      r 11 from 10.1.2.3/8 ipproto 200 protocol 99
      r6 12 from 2001:db8::/32 blackhole
      r6 13 from 2001:db8::1 to fe80::/10 ipproto udp dport 53 table 12
      r6 14 fwmark 0xffffffff iif lo not table local
      r6 15 uidrange 0-0 l3mdev
      r6 16 goto 20
      r6 20 prohibit sport 1-2
    ]], name, name)
    local list = agree(ns)
    assert.equal(22, #list)
    assert.same({ family = "inet", priority = 2, from = "10.0.0.0/8",
      to = "192.0.2.7", action = "lookup", table = 100, protocol = "unspec" },
      list[3])
    assert.same({ family = "inet", priority = 6, from = "all", to = "all",
      action = "goto", target = 100, unresolved = true, invert = true,
      tos = 16, protocol = "unspec" }, list[7])
  end)

  it("are found by any field", function()
    for _, rule in ipairs {
      { from = "10.0.0.0/8", table = 100 }, { fwmark = "1/3", table = 100 },
      { invert = true, iif = "lo" }, { from = "2001:db8::1", table = 100 },
    } do
      assert.is_truthy(ns:rule_add(rule))
    end
    for _, case in ipairs {
      { {}, 9 }, { { table = 100 }, 3 }, { { table = 100.0 }, 3 },
      { { family = "inet6" }, 3 }, { { family = "inet6", table = 100 }, 1 },
      { { from = "10.0.0.0/8" }, 1 }, { { to = "all" }, 9 },
      { { fwmark = 1 }, 1 }, { { fwmark = 1, fwmask = 7 }, 0 },
      { { fwmask = false }, 8 }, { { invert = true }, 1 },
      { { invert = false }, 8 }, { { priority = 0 }, 2 },
      { { iif = "lo", iif_detached = true }, 0 },
      { { action = "blackhole" }, 0 }, { { protocol = "kernel" }, 5 },
    } do
      assert.equal(case[2], #assert(ns:rules(case[1])))
    end
  end)

  it("are in the namespace that is told, by name", function()
    assert.is_truthy(netns.rule_add(name, { from = "10.0.0.1", priority = 5 }))
    assert.equal(1, #assert(netns.rules(name, { priority = 5 })))
    assert.same({}, assert(netns.rules(assert(netns.current()),
      { priority = 5 })))
    assert.is_true(netns.rule_delete(name, { priority = 5 }))
    assert.same({}, assert(netns.rules(name, { priority = 5 })))
  end)

  it("choose routes by source", function()
    lab()
    assert.equal("e0", way "198.51.100.1 from 10.0.1.1")
    assert.equal("e0", way "2001:db8:9::1 from 2001:db8:1::1")
    assert.is_truthy(ns:rule_add { from = "10.0.1.0/24", table = 100 })
    assert.is_truthy(ns:rule_add { from = "2001:db8:1::1", table = 100 })
    assert.equal("e1", way "198.51.100.1 from 10.0.1.1")
    assert.equal("e0", way "198.51.100.1 from 10.0.0.1")
    assert.equal("e1", way "2001:db8:9::1 from 2001:db8:1::1")
    assert.equal("e0", way "2001:db8:9::1 from 2001:db8::1")
    assert.is_true(ns:rule_delete { from = "10.0.1.0/24" })
    assert.equal("e0", way "198.51.100.1 from 10.0.1.1")
  end)

  it("choose routes by mark and mask", function()
    lab()
    assert.is_truthy(ns:rule_add { fwmark = "1/0xf", table = 100 })
    assert.is_truthy(ns:rule_add { fwmark = 2, table = 100, family = "inet6" })
    assert.equal("e0", way "198.51.100.1")
    assert.equal("e1", way "198.51.100.1 mark 1")
    assert.equal("e1", way "198.51.100.1 mark 0x21")
    assert.equal("e0", way "198.51.100.1 mark 2")
    assert.equal("e1", way "2001:db8:9::1 mark 2")
    assert.equal("e0", way "2001:db8:9::1 mark 0x22")
  end)

  it("choose routes by interface, protocol, port and user", function()
    lab()
    assert.is_true(ns:sysctl("net.ipv4.ip_forward", "1"))
    assert.is_truthy(ns:rule_add { iif = "e0", table = 100 })
    assert.is_truthy(ns:rule_add { oif = "e1", table = 100 })
    assert.is_truthy(ns:rule_add { ipproto = "udp", dport = "50-60",
      table = 100 })
    assert.is_truthy(ns:rule_add { uidrange = "1000-2000", table = 100 })
    assert.equal("e0", way "198.51.100.1")
    assert.equal("e1", way "198.51.100.1 from 10.0.0.7 iif e0")
    assert.equal("e0", way "198.51.100.1 from 10.0.1.7 iif e1")
    assert.equal("e1", way "198.51.100.1 oif e1")
    assert.equal("e1", way "198.51.100.1 ipproto udp dport 53")
    assert.equal("e0", way "198.51.100.1 ipproto udp dport 61")
    assert.equal("e0", way "198.51.100.1 ipproto tcp dport 53")
    assert.equal("e1", way "198.51.100.1 uid 1500")
    assert.equal("e0", way "198.51.100.1 uid 2001")
  end)

  it("refuse, pass over and go on as they are told", function()
    lab()
    local function refused(address, what)
      local link, message = way(address)
      assert.is_nil(link)
      assert.matches(what, message)
    end
    assert.is_truthy(ns:rule_add { to = "198.51.100.1", action = "prohibit" })
    assert(ns:rule_add { to = "198.51.100.2", action = "unreachable" })
    assert.is_truthy(ns:rule_add { to = "198.51.100.3", action = "blackhole" })
    refused("198.51.100.1", "Permission denied")
    refused("198.51.100.2", "Network is unreachable")
    refused("198.51.100.3", "Invalid argument")
    assert.equal("e0", way "198.51.100.4")
    -- the main table without its default route, then table 100, as wg-quick
    assert.is_truthy(ns:rule_add { table = 100, priority = 101 })
    assert.is_truthy(ns:rule_add { table = "main", suppress_prefixlength = 0,
      priority = 100 })
    assert.equal("e1", way "198.51.100.4")
    assert.equal("e0", way "10.0.0.9")
    assert(ns:rule_add { action = "goto", target = 32766, priority = 50,
      to = "198.51.100.4" })
    assert.equal("e0", way "198.51.100.4")
    assert.is_true(ns:rule_delete { priority = 50 })
    assert.is_truthy(ns:rule_add { to = "198.51.100.0/24", invert = true,
      priority = 51 })
    assert.equal("e1", way "198.51.100.5")
    assert.equal("e0", way "203.0.113.1")
  end)

  it("are taken away, ip's and ours, as they are listed", function()
    t.must([[
      ip -n %s rule add priority 3 not from 10.0.0.0/8 iif nowhere
      ip -n %s rule add priority 4 fwmark 1/3 goto 100
      ip -n %s -6 rule add priority 5 l3mdev
      ip -n %s -6 rule add priority 6 sport 1-2 blackhole
    ]], name, name, name, name)
    for _, rule in ipairs(ns:rules()) do
      assert.is_true(ns:rule_delete(rule))
      agree(ns)
    end
    assert.same({}, by_ip(name))
  end)

  it("are taken away one by one, by whatever tells them", function()
    for _, rule in ipairs {
      { from = "10.0.0.1", table = 5 }, { from = "10.0.0.1", table = 6 },
      { fwmark = "1/3", table = 7 }, { to = "2001:db8::/32" },
      { iif = "lo", table = 8 }, { action = "blackhole", tos = 4 },
      { uidrange = "0-0" }, { table = "main", suppress_prefixlength = 0 },
    } do
      assert.is_truthy(ns:rule_add(rule))
    end
    assert.equal(13, #agree(ns))
    for _, rule in ipairs {
      { from = "10.0.0.1", table = 6 }, { from = "10.0.0.1" },
      { fwmark = 1, fwmask = 3 }, { to = "2001:db8::/32" }, { iif = "lo" },
      { action = "blackhole" }, { uidrange = 0 },
      { suppress_prefixlength = 0 },
    } do
      local count = #ns:rules()
      assert.is_true(ns:rule_delete(rule))
      assert.equal(count - 1, #agree(ns))
      assert.equal(1, #ns:rules { family = "inet", priority = 0 })
      local nothing, message, code = ns:rule_delete(rule)
      assert.is_nil(nothing)
      assert.matches("^rule_delete \"" .. name:gsub("%-", "%%-")
        .. "\": %a+ .*: No such file or directory$", message)
      assert.equal(errno.ENOENT, code)
    end
    assert.equal(5, #agree(ns))
  end)

  it("are not taken away by what every rule agrees with", function()
    for _, rule in ipairs {
      {}, { family = "inet6" }, { from = "all" }, { from = "0.0.0.0/0" },
      { to = "::/0" }, { fwmark = 0 }, { fwmark = "0/0" }, { ipproto = 0 },
      { invert = true }, { target = 7 }, { protocol = "unspec" },
      { suppress_prefixlength = -1 }, { tos = 0 }, { l3mdev = false },
    } do
      local nothing, message, code = ns:rule_delete(rule)
      assert.is_nil(nothing)
      assert.equal("rule_delete: any rule: Invalid argument", message)
      assert.equal(errno.EINVAL, code)
    end
    assert.equal(5, #agree(ns))
  end)

  it("are refused with the errno and the field", function()
    local ERANGE, EINVAL = 34, errno.EINVAL
    for _, case in ipairs {
      { { from = "10.0.0" }, EINVAL, "from" },
      { { from = "" }, EINVAL, "from" }, { { to = "/8" }, EINVAL, "to" },
      { { from = "10.0.0.0/33" }, ERANGE, "from" },
      { { from = "2001:db8::/129" }, ERANGE, "from" },
      { { from = "10.0.0.0/" }, EINVAL, "from" },
      { { from = "10.0.0.0/-1" }, EINVAL, "from" },
      { { from = "10.0.0.0/8x" }, EINVAL, "from" },
      { { from = "10.0.0.0\0/8" }, EINVAL, "from" },
      { { from = "all\0" }, EINVAL, "from" },
      { { from = "10.0.0.1", to = "2001:db8::1" }, EINVAL, "to" },
      { { from = "10.0.0.1", family = "inet6" }, EINVAL, "from" },
      { { family = "ipx" }, EINVAL, "family" },
      { { fwmark = "1/" }, EINVAL, "fwmark" },
      { { fwmark = "/1" }, EINVAL, "fwmark" },
      { { fwmark = "" }, EINVAL, "fwmark" },
      { { fwmark = "-1" }, EINVAL, "fwmark" },
      { { fwmark = "1/2/3" }, EINVAL, "fwmark" },
      { { fwmark = "0x1ffffffff" }, EINVAL, "fwmark" },
      { { fwmark = "1\0" }, EINVAL, "fwmark" },
      { { fwmark = "1/2", fwmask = 2 }, EINVAL, "fwmark" },
      { { fwmark = -1 }, ERANGE, "fwmark" },
      { { fwmask = 0x100000000 }, ERANGE, "fwmask" },
      { { priority = 0x100000000 }, ERANGE, "priority" },
      { { priority = 1.5 }, EINVAL, "priority" },
      { { table = "mine" }, EINVAL, "table" },
      { { table = -1 }, ERANGE, "table" },
      { { action = "nat" }, EINVAL, "action" },
      { { ipproto = "xyz" }, EINVAL, "ipproto" },
      { { ipproto = 256 }, ERANGE, "ipproto" },
      { { tos = 256 }, ERANGE, "tos" },
      { { sport = 65536 }, ERANGE, "sport" },
      { { sport = "65536" }, EINVAL, "sport" },
      { { sport = "2-1" }, EINVAL, "sport" },
      { { dport = "1-" }, EINVAL, "dport" },
      { { dport = "-1" }, EINVAL, "dport" },
      { { dport = "1-2-3" }, EINVAL, "dport" },
      { { dport = "1\0" }, EINVAL, "dport" },
      { { uidrange = "0-4294967296" }, EINVAL, "uidrange" },
      { { iif = "" }, EINVAL, "iif" },
      { { oif = ("x"):rep(16) }, EINVAL, "oif" },
      { { suppress_ifgroup = "mine" }, EINVAL, "suppress_ifgroup" },
      { { protocol = "nobody" }, EINVAL, "protocol" },
    } do
      for _, call in ipairs { "rule_add", "rule_delete" } do
        local nothing, message, code = ns[call](ns, case[1])
        assert.is_nil(nothing, case[3])
        assert.matches(("^%s: %s \""):format(call, case[3]), message)
        assert.equal(case[2], code, message)
      end
    end
    assert.equal(5, #agree(ns))
  end)

  it("are refused with the kernel's own words", function()
    local nothing, message, code =
      ns:rule_add { priority = 10, action = "goto", target = 4 }
    assert.is_nil(nothing)
    assert.equal(('rule_add "%s": priority 10: Invalid argument '
      .. '(Backward goto not supported)'):format(name), message)
    assert.equal(errno.EINVAL, code)
    for _, rule in ipairs {
      { priority = 9, from = "10.0.0.0/8", fwmark = "1/3", table = 7 },
      { priority = 9, to = "2001:db8::1", iif = "lo" },
    } do
      assert.is_truthy(ns:rule_add(rule))
      nothing, message, code = ns:rule_add(rule)
      assert.is_nil(nothing)
      assert.matches("priority 9 .*: File exists$", message)
      assert.equal(errno.EEXIST, code)
    end
    assert.equal(7, #agree(ns))
  end)

  it("raise an error for what is wrong as a program", function()
    local function raises(pattern, fn, ...)
      local ok, message = pcall(fn, ns, ...)
      assert.is_false(ok)
      assert.matches(pattern, message)
    end
    for key, value in pairs {
      from = 10, to = true, fwmark = {}, fwmask = "1", priority = "5",
      table = true, action = {}, family = false, iif = 1, oif = {},
      tos = "16", ipproto = true, sport = {}, dport = true, uidrange = true,
      invert = 2, l3mdev = "yes", suppress_prefixlength = "0", target = "9",
      suppress_ifgroup = {}, protocol = {},
    } do
      for _, call in ipairs { "rule_add", "rule_delete" } do
        raises(("bad argument '%s' to '%s' "):format(key, call), ns[call],
          { [key] = value })
      end
    end
    for _, call in ipairs { "rules", "rule_add", "rule_delete" } do
      raises(("unknown key 'src' in '%s'"):format(call), ns[call],
        { src = "10.0.0.1" })
      raises(("unknown key '1' in '%s'"):format(call), ns[call], { "x" })
      raises("table expected", ns[call], "all")
    end
    raises("table expected", ns.rule_add)
    raises("table expected", ns.rule_delete)
    assert.equal(5, #agree(ns))
  end)

  it("find room for all their words on any Lua stack", function()
    local rule = { priority = 500, from = "10.0.0.0/8", to = "10.1.0.0/16",
      fwmark = 1, iif = "lo", oif = "lo", table = 100 }
    local function both() -- as many values below as there are arguments
      return ns:rule_add(rule) and ns:rule_delete(rule)
    end
    for count = 1, 200 do
      local change = coroutine.wrap(function(...)
        local result = both()
        return result, ...
      end)
      assert.is_true((change(t.unpack({}, 1, count))))
    end
  end)

  it("are not for an ordinary user to change", function()
    local output = t.script([[
      local netns = require "netns"
      local ns = assert(netns.current())
      print(ns:rule_add { from = "10.0.0.1" })
      print(ns:rule_delete { priority = 32766 })
    ]], ("nsenter --net=/run/netns/%s %s"):format(name, t.nobody))
    assert.matches("^nil\trule_add .*: Operation not permitted\t1\n"
      .. "nil\trule_delete .*: Operation not permitted\t1$", output)
    assert.equal(5, #agree(ns))
  end)

  it("are listed completely, 500 and more", function()
    local batch = os.tmpname()
    local file = assert(io.open(batch, "w"))
    for i = 1, 250 do
      file:write(("rule add priority %d from 10.0.0.%d to 10.0.0.0/8 "
        .. "table %d\n"):format(i, i, i + 1000))
    end
    file:close()
    t.must("ip -n %s -batch %s", name, batch)
    os.remove(batch)
    for i = 1, 250 do
      assert(ns:rule_add { priority = 250 + i, fwmark = i, table = i })
      assert(ns:rule_add { priority = i, from = ("2001:db8::%x"):format(i) })
    end
    assert.equal(755, #agree(ns))
  end)
end)
