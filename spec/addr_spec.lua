local netns = require "netns"
local json = require "spec.json"
local t = require "spec.support"

local errno = netns.errno
local FOREVER = 4294967295

-- A namespace with the ends of a veth in it, v0 and v1, both up. IPv6 makes no
-- addresses of its own there, unless `automatic`: then each end has one,
-- and none becomes something else later.
local function two_ends(automatic)
  local name = t.name()
  local ns = assert(netns.add(name))
  if automatic then
    assert(ns:sysctl("net.ipv6.conf.default.accept_dad", "0"))
  else
    assert(ns:sysctl("net.ipv6.conf.default.addr_gen_mode", "1"))
  end
  assert(ns:link_add { name = "v0", kind = "veth", peer = { name = "v1" } })
  assert(ns:link_set("v0", { up = true }))
  assert(ns:link_set("v1", { up = true }))
  t.eventually(function()
    return not automatic
      or not t.must("ip -n %s address show", name):find "tentative"
        and #ns:addrs() == 2
  end)
  return ns, name
end

-- In front of a command: an ordinary user who may enter namespaces, no more.
local enterer = t.nobody
  .. " --inh-caps +sys_admin --ambient-caps +sys_admin"

-- Addresses by link and prefix, as ip tells them, brought to our form.
local function ip_addrs(name, more)
  local found, count = {}, 0
  local text = t.must("ip -n %s -json address show %s", name, more or "")
  for _, link in ipairs(json.decode(text)) do
    for _, addr in ipairs(link.addr_info or {}) do
      addr.link, addr.index = link.ifname, link.ifindex
      addr.scope = tonumber(addr.scope) or addr.scope
      found[("%s %s/%d"):format(addr.link, addr["local"],
        addr.prefixlen)] = addr
      count = count + 1
    end
  end
  return found, count
end

local function our_addrs(ns, filter)
  local found, count = {}, 0
  for _, addr in ipairs(assert(ns:addrs(filter))) do
    found[("%s %s/%d"):format(addr.link, addr["local"], addr.prefixlen)] = addr
    count = count + 1
  end
  return found, count
end

-- Every field that either has is the same in the other; a second may pass, and
-- an address that was tentative may be so no more.
local function compare(ns, name, filter, more)
  local ours, our_count = our_addrs(ns, filter)
  local theirs, their_count = ip_addrs(name, more)
  assert.equal(their_count, our_count)
  for key, addr in pairs(theirs) do
    local our = assert(ours[key], key)
    for _, field in ipairs { "valid_life_time", "preferred_life_time" } do
      local a, b = our[field], addr[field]
      assert.is_true(a - b >= 0 and a - b < 60, key .. " " .. field)
      our[field], addr[field] = nil, nil
    end
    our.protocol = nil -- which ip tells from 6.4 on
    if not addr.tentative then our.tentative = nil end
    assert.same(addr, our)
  end
  return ours, our_count
end

-- The path of a file with commands for `ip -batch`.
local function write_batch(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function only(ns, filter)
  local list = assert(ns:addrs(filter))
  assert.equal(1, #list)
  return list[1]
end

local function refused(code, pattern, result, message, number)
  assert.is_nil(result)
  assert.matches(pattern, message)
  assert.equal(code, number)
end

-- What the kernel says of an address; older ones say nothing.
local function words(text)
  return t.kernel() >= 6.12 and (" %(" .. text .. "%)$") or "$"
end

describe("addrs", function()
  t.guard(before_each, after_each)

  it("agrees with ip, field by field, for what ip makes", function()
    local ns, name = t.keep(two_ends())
    for _, command in ipairs {
      "10.0.0.1/24 dev v0",
      "10.0.0.2/24 dev v0", -- secondary
      "10.0.1.1/24 broadcast + dev v0 label v0:one",
      "10.0.2.1 dev v1",
      "10.0.3.1 peer 10.0.3.2 dev v0",
      "10.0.4.1 peer 10.0.4.2/28 broadcast + dev v0 scope link metric 77",
      "10.0.5.1/24 broadcast 10.0.5.99 scope 77 dev v1 noprefixroute",
      "10.0.6.1/24 dev v1 valid_lft 1000 preferred_lft 500",
      "10.0.7.1/24 dev v1 valid_lft 1000 preferred_lft 0", -- deprecated
      "127.0.0.9/8 dev lo",
      "2001:db8::1/64 dev v0",
      "2001:db8::2/64 dev v0 nodad",
      "2001:db8::3/64 dev v1 nodad home noprefixroute metric 99",
      "2001:db8::4/64 dev v1 nodad valid_lft 2000 preferred_lft 1000",
      "2001:db8::5/64 dev v1 nodad valid_lft 2000 preferred_lft 0",
      "2001:db8:1::1 peer 2001:db8:1::2 dev v0",
      "2001:db8:1::3 peer 2001:db8:1::4/80 dev v0",
      "2001:db8:2::1/64 dev v1 mngtmpaddr nodad",
      "2001:db8:3::1 dev v1",
      "fe80::1/64 dev v0",
      "::1/128 dev lo",
    } do
      t.must("ip -n %s address add %s", name, command)
    end
    local addrs = compare(ns, name)
    assert.is_true(addrs["v0 10.0.0.2/24"].secondary)
    assert.equal("10.0.4.2", addrs["v0 10.0.4.1/28"].address)
    assert.equal(77, addrs["v1 10.0.5.1/24"].scope)
    assert.is_true(addrs["v1 10.0.7.1/24"].deprecated)
    assert.is_true(addrs["v1 10.0.7.1/24"].dynamic)
    assert.is_nil(addrs["v0 10.0.0.1/24"].dynamic)
    assert.equal("2001:db8:1::4", addrs["v0 2001:db8:1::3/80"].address)
    assert.is_nil(addrs["v0 2001:db8::1/64"].address)
    assert.equal("host", addrs["lo ::1/128"].scope)
    assert(netns.delete(name))
  end)

  it("agrees with ip on what the kernel makes", function()
    local ns, name = t.keep(two_ends(true))
    assert(ns:link_set("lo", { up = true }))
    ns:sysctl("net.ipv6.conf.v0.use_tempaddr", "2")
    t.must("ip -n %s address add 2001:db8:1::8/64 mngtmpaddr dev v0 "
      .. "valid_lft 100000 preferred_lft 50000", name)
    local addrs, count = compare(ns, name)
    assert.equal(6, count)
    local temporary
    for _, addr in pairs(addrs) do temporary = temporary or addr.temporary end
    assert.is_true(temporary)
    assert.is_truthy(addrs["lo 127.0.0.1/8"])
    assert(netns.delete(name))
  end)

  it("tells a failed duplicate address detection, as ip does", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "2001:db8::1/64", { nodad = true }))
    assert(ns:addr_add("v1", "2001:db8::1/64"))
    assert.is_true(only(ns, { link = "v1" }).tentative)
    t.eventually(function() return only(ns, { link = "v1" }).dadfailed end)
    compare(ns, name)
    assert(netns.delete(name))
  end)

  it("selects a link and a family", function()
    local ns, name = t.keep(two_ends())
    for _, link in ipairs { "v0", "v1" } do
      assert(ns:addr_add(link, "10.0.0.1/24"))
      assert(ns:addr_add(link, "2001:db8::1/64", { nodad = true }))
    end
    local index = assert(ns:link("v1")).index
    local _, count = compare(ns, name, { link = "v1" }, "dev v1")
    assert.equal(2, count)
    compare(ns, name, { link = index }, "dev v1")
    assert.equal(2, #ns:addrs { family = "inet" })
    assert.equal("inet6", only(ns, { family = "inet6", link = "v0" }).family)
    assert.equal("v0", only(ns, { family = "inet", link = "v0" }).link)
    assert.same({}, ns:addrs { link = "lo" })
    assert.equal(4, #netns.addrs(name))
    assert.equal(1, #netns.addrs(name, { link = "v1", family = "inet" }))
    assert(netns.delete(name))
  end)

  it("lists a link that has no IPv6", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "10.0.0.1/24"))
    assert(ns:link_set("v0", { mtu = 1000 }))
    assert.equal("10.0.0.1", only(ns, { link = "v0" })["local"])
    assert.same({}, ns:addrs { link = "v0", family = "inet6" })
    assert.equal(1, assert(ns:addr_flush("v0")))
    assert(netns.delete(name))
  end)

  it("lists 2000 addresses completely", function()
    local ns, name = t.keep(two_ends())
    local lines = {}
    for i = 1, 1000 do
      lines[i] = ("address add 10.1.%d.%d/16 dev v0\n"
        .. "address add 2001:db8::%x/64 nodad dev v1\n")
        :format(math.floor(i / 250), i % 250 + 1, i)
    end
    local batch = write_batch(table.concat(lines))
    t.must("ip -n %s -batch %s", name, batch)
    os.remove(batch)
    local _, count = compare(ns, name)
    assert.equal(2000, count)
    assert.equal(1000, #ns:addrs { link = "v1" })
    assert.equal(1000, ns:addr_flush("v0"))
    assert.equal(1000, #ns:addrs())
    assert.equal(1000, ns:addr_flush("v1"))
    assert.same({}, ns:addrs())
    assert(netns.delete(name))
  end)

  it("is complete while others change addresses", function()
    local ns, name = t.keep(two_ends())
    for i = 0, 999 do -- more than one datagram
      assert(ns:addr_add("v0",
        ("10.1.%d.%d/16"):format(math.floor(i / 250), i % 250 + 1)))
    end
    local batch = write_batch(("address add 10.9.9.9/24 dev v0\n"
      .. "address delete 10.9.9.9/24 dev v0\n"):rep(t.many(5000)))
    local pid = t.start(("exec ip -n %s -batch %s"):format(name, batch))
    repeat
      local count = 0
      for _, addr in ipairs(assert(ns:addrs { link = "v0" })) do
        if addr.prefixlen == 16 then count = count + 1 end
      end
      assert.equal(1000, count)
    until not t.runs(pid)
    assert.equal(1000, assert(ns:addr_flush("v0")))
    os.remove(batch)
    assert(netns.delete(name))
  end)

  it("refuses links and families that are not there", function()
    local ns, name = t.keep(two_ends())
    refused(errno.ENODEV, '^addrs: link "nope": No such device',
      ns:addrs { link = "nope" })
    refused(errno.ENODEV, "^addrs", ns:addrs { link = 4711 })
    refused(errno.EINVAL, '^addrs: family "inet5"',
      ns:addrs { family = "inet5" })
    refused(errno.ENOENT, "^addrs", netns.addrs(name .. "x"))
    assert(netns.delete(name))
  end)

  it("refuses unknown keys and wrong types", function()
    local ns, name = t.keep(two_ends())
    assert.error_matches(function() ns:addrs { dev = "v0" } end,
      "unknown key 'dev' in 'addrs'")
    assert.error_matches(function() ns:addrs { link = {} } end,
      "bad argument 'link' to 'addrs'")
    assert.error_matches(function() ns:addrs { family = true } end,
      "bad argument 'family' to 'addrs'")
    assert.error_matches(function() ns:addrs "v0" end, "table expected")
    assert.error_matches(function() netns.addrs(nil) end, "namespace")
    assert(netns.delete(name))
  end)
end)

describe("addr_add", function()
  t.guard(before_each, after_each)

  it("makes what ip sees, field by field", function()
    local ns, name = t.keep(two_ends())
    local made = {
      { "v0", "10.0.0.1/24" },
      { "v0", "10.0.0.2/24", nil, { secondary = true } },
      { "v0", "10.0.1.1/24", { broadcast = "+", label = "v0:one" },
        { broadcast = "10.0.1.255", label = "v0:one" } },
      { "v0", "10.0.2.1" },
      { "v0", "10.0.3.1", { peer = "10.0.3.2" }, { address = "10.0.3.2" } },
      { "v0", "10.0.4.1/28", { peer = "10.0.4.17/28", broadcast = "+",
        scope = "link", metric = 77 }, { address = "10.0.4.17",
        broadcast = "10.0.4.31", scope = "link", metric = 77 } },
      { "v0", "10.0.5.1/24", { broadcast = "10.0.5.99", scope = 77,
        noprefixroute = true }, { broadcast = "10.0.5.99", scope = 77,
        noprefixroute = true } },
      { "v1", "10.0.6.1/24", { valid_life_time = 1000,
        preferred_life_time = 500 }, { dynamic = true, valid = 1000,
        preferred = 500 } },
      { "v1", "10.0.7.1/24", { valid_life_time = 1000 },
        { dynamic = true, valid = 1000, preferred = 1000 } },
      { "v1", "10.0.8.1/24", { valid_life_time = "forever",
        preferred_life_time = 0 }, { deprecated = true } },
      { "v1", "10.0.9.1/31", { broadcast = "+" } },
      { "v1", "10.0.9.4/30", { broadcast = "+" }, { broadcast = "10.0.9.7" } },
      { "v1", "172.16.0.1/12", { broadcast = "+", nodad = false,
        scope = "site" }, { broadcast = "172.31.255.255", scope = "site" } },
      { "v1", "10.0.10.1/0", { noprefixroute = true },
        { noprefixroute = true } },
      { "lo", "127.0.0.9/8", nil, { scope = "host" } },
      { "v0", "2001:db8::1/64", { nodad = true }, { nodad = true } },
      { "v0", "2001:db8::2/64", { nodad = true, home = true, metric = 99,
        noprefixroute = true, mngtmpaddr = true }, { nodad = true,
        home = true, metric = 99, noprefixroute = true, mngtmpaddr = true } },
      { "v0", "2001:db8::3/64", { nodad = true, valid_life_time = 2000,
        preferred_life_time = 1000 }, { nodad = true, dynamic = true,
        valid = 2000, preferred = 1000 } },
      { "v1", "2001:db8::4/64", { nodad = true, valid_life_time = 2000,
        preferred_life_time = 0 }, { nodad = true, dynamic = true,
        deprecated = true, valid = 2000, preferred = 0 } },
      { "v1", "2001:db8:1::1/128", { nodad = true,
        peer = "2001:db8:1::2" }, { nodad = true,
        address = "2001:db8:1::2" } },
      { "v1", "2001:db8:3::1", { nodad = true }, { nodad = true } },
      { "v1", "fe80::1/64", { nodad = true }, { nodad = true,
        scope = "link" } },
    }
    for _, row in ipairs(made) do
      assert.is_true(assert(ns:addr_add(row[1], row[2], row[3])))
    end
    local theirs, count = ip_addrs(name)
    assert.equal(#made, count)
    for _, row in ipairs(made) do
      local link, prefix, expected = row[1], row[2], row[4] or {}
      local six = prefix:find ":" ~= nil
      if not prefix:find "/" then
        prefix = prefix .. (six and "/128" or "/32")
      end
      local addr = assert(theirs[link .. " " .. prefix], prefix)
      for _, which in ipairs { "valid", "preferred" } do
        local left = addr[which .. "_life_time"]
        local gone = (expected[which] or FOREVER) - left
        assert.is_true(gone >= 0 and gone < 60, prefix)
        addr[which .. "_life_time"], expected[which] = nil, nil
      end
      expected["local"], expected.prefixlen = prefix:match "(.*)/(.*)"
      expected.prefixlen = tonumber(expected.prefixlen)
      expected.family = six and "inet6" or "inet"
      expected.scope = expected.scope or "global"
      if not six then expected.label = expected.label or link end
      expected.link, expected.index = link, assert(ns:link(link)).index
      assert.same(expected, addr)
    end
    compare(ns, name)
    assert(netns.delete(name))
  end)

  it("takes for the length of a prefix that of the peer", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "10.0.0.1", { peer = "10.0.0.2/28" }))
    local addr = only(ns)
    assert.equal(28, addr.prefixlen)
    assert.equal("10.0.0.2", addr.address)
    assert(netns.delete(name))
  end)

  it("takes a link's index, and a namespace's name", function()
    local ns, name = t.keep(two_ends())
    local index = assert(ns:link("v1")).index
    assert(netns.addr_add(name, index, "10.0.0.1/24"))
    assert.equal("v1", only(ns).link)
    assert(netns.addr_delete(name, index, "10.0.0.1/24"))
    assert.same({}, netns.addrs(name))
    assert(netns.delete(name))
  end)

  it("passes over what IPv4 does not have, as ip does", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "10.0.0.1/24",
      { nodad = true, home = true, mngtmpaddr = true }))
    local addr = only(ns)
    assert.is_nil(addr.nodad)
    compare(ns, name)
    assert(netns.delete(name))
  end)

  it("reads back what it can write again", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "10.0.0.1/24",
      { broadcast = "+", scope = 77, metric = 5, label = "v0:x" }))
    local first = only(ns)
    assert(ns:addr_delete("v0", "10.0.0.1/24"))
    assert(ns:addr_add("v0", "10.0.0.1/24", {
      broadcast = first.broadcast, scope = first.scope, metric = first.metric,
      label = first.label, valid_life_time = first.valid_life_time,
      preferred_life_time = first.preferred_life_time,
    }))
    assert.same(first, only(ns))
    assert(netns.delete(name))
  end)

  it("with nodad makes an address that is not tentative", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "2001:db8::1/64"))
    assert.is_true(only(ns, { link = "v0" }).tentative)
    assert(ns:addr_add("v1", "2001:db8::2/64", { nodad = true }))
    local addr = only(ns, { link = "v1" })
    assert.is_true(addr.nodad)
    assert.is_nil(addr.tentative)
    assert(netns.delete(name))
  end)

  it("gives addresses that expire", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "2001:db8::1/64",
      { nodad = true, valid_life_time = 1 }))
    assert.is_true(only(ns).dynamic)
    t.eventually(function() return #ns:addrs() == 0 end)
    assert(netns.delete(name))
  end)

  it("gives addresses that work, between two namespaces", function()
    local one, two = t.name(), t.name()
    local a = t.keep(assert(netns.add(one)))
    local b = t.keep(assert(netns.add(two)))
    assert(a:link_add { name = "eth0", kind = "veth", up = true,
      peer = { name = "eth0", ns = b } })
    assert(b:link_set("eth0", { up = true }))
    assert(a:addr_add("eth0", "10.0.0.1/24"))
    assert(b:addr_add("eth0", "10.0.0.2/24"))
    assert(a:addr_add("eth0", "2001:db8::1/64", { nodad = true }))
    assert(b:addr_add("eth0", "2001:db8::2/64", { nodad = true }))
    t.must("ip netns exec %s ping -c1 -W5 10.0.0.2", one)
    t.must("ip netns exec %s ping -c1 -W5 2001:db8::1", two)
    assert.equal(2, #a:addrs { family = "inet6" }) -- and the link's own
    assert(b:addr_flush("eth0"))
    local _, code = t.sh("ip netns exec %s ping -c1 -W1 10.0.0.2", one)
    assert.equal(1, code)
    assert(netns.delete(one))
    assert(netns.delete(two))
  end)

  it("refuses what is there, with the kernel's words", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "10.0.0.1/24"))
    refused(errno.EEXIST,
      ('^addr_add "%s": v0 10.0.0.1/24: File exists'):format(
        name:gsub("%-", "%%-")) .. words "ipv4: Address already assigned",
      ns:addr_add("v0", "10.0.0.1/24"))
    assert(ns:addr_add("v0", "2001:db8::1/64"))
    refused(errno.EEXIST,
      "File exists" .. words "ipv6: address already assigned",
      ns:addr_add("v0", "2001:db8::1/64"))
    assert.equal(2, #ns:addrs())
    assert(netns.delete(name))
  end)

  it("refuses a link that is not there", function()
    local ns, name = t.keep(two_ends())
    for _, link in ipairs { "nope", ("x"):rep(300), 4711 } do
      refused(errno.ENODEV, "^addr_add .*: " .. link .. ".*: No such device",
        ns:addr_add(link, "10.0.0.1/24"))
    end
    refused(errno.EINVAL, "^addr_add", ns:addr_add("", "10.0.0.1/24"))
    refused(errno.EINVAL, "^addr_add", ns:addr_add("v0\0", "10.0.0.1/24"))
    assert(netns.delete(name))
  end)

  it("refuses text that is no address", function()
    local ns, name = t.keep(two_ends())
    for _, text in ipairs {
      "", "/", "/24", "1.2.3.4/", "1.2.3.4/x", "1.2.3.4/ 8", "1.2.3.4/+8",
      "1.2.3.4/-1", "1.2.3.4/08", "1.2.3.4/00", "1.2.3.4/8 ", "1.2.3.4/8/8",
      "1.2.3.4/0x8", "1.2.3.4/8.0", "1.2.3.4/255.0.0.0", "1.2.3", "1.2.3.4.5",
      "1.2.3.256", "01.2.3.4", "1.2.3.004", " 1.2.3.4", "1.2.3.4 ", "default",
      "1.2.3.4\0", "1.2.3.4\0/24", "1.2.3.4/24\0", "::1/", "::1/x", "::g",
      ":::", "1::2::3", "fe80::1%v0", "::1/064", "2001:db8::1/64/64",
      ("1"):rep(500), ("1"):rep(500) .. "/24", "10.0.0.1/24,10.0.0.2/24",
    } do
      refused(errno.EINVAL, "^addr_add: address \".*: Invalid argument$",
        ns:addr_add("v0", text))
      refused(errno.EINVAL, "^addr_delete: address \".*: Invalid argument$",
        ns:addr_delete("v0", text))
    end
    for _, text in ipairs {
      "1.2.3.4/33", "1.2.3.4/128", "1.2.3.4/4294967296",
      "1.2.3.4/18446744073709551617", "::1/129", "::1/" .. ("9"):rep(99),
    } do
      refused(errno.ERANGE, "^addr_add: address \"" .. text .. '"',
        ns:addr_add("v0", text))
    end
    assert.same({}, ns:addrs())
    assert(netns.delete(name))
  end)

  it("refuses options that say nothing, naming them", function()
    local ns, name = t.keep(two_ends())
    for _, case in ipairs {
      { "10.0.0.1/24", "peer", "x" }, { "10.0.0.1/24", "peer", "::1" },
      { "::1", "peer", "10.0.0.1" }, { "10.0.0.1/24", "peer", "10.0.0.2/" },
      { "10.0.0.1/24", "peer", "10.0.0.2/33", errno.ERANGE },
      { "10.0.0.1/24", "broadcast", "x" },
      { "10.0.0.1/24", "broadcast", "10.0.0.255\0" },
      { "10.0.0.1/24", "broadcast", "10.0.0.255/24" },
      { "10.0.0.1/24", "broadcast", "::1" },
      { "2001:db8::1/64", "broadcast", "+" },
      { "2001:db8::1/64", "broadcast", "10.0.0.1" },
      { "10.0.0.1/24", "scope", "galaxy" },
      { "10.0.0.1/24", "scope", 256, errno.ERANGE },
      { "10.0.0.1/24", "scope", -1, errno.ERANGE },
      { "10.0.0.1/24", "metric", -1, errno.ERANGE },
      { "10.0.0.1/24", "metric", 4294967296, errno.ERANGE },
      { "10.0.0.1/24", "metric", 0.5 },
      { "10.0.0.1/24", "label", "v0:\0x" },
      { "10.0.0.1/24", "valid_life_time", "never" },
      { "10.0.0.1/24", "valid_life_time", -1, errno.ERANGE },
      { "10.0.0.1/24", "valid_life_time", 0 / 0 },
      { "10.0.0.1/24", "preferred_life_time", 4294967296, errno.ERANGE },
    } do
      refused(case[4] or errno.EINVAL, "^addr_add.*: " .. case[2] .. ' ".*"',
        ns:addr_add("v0", case[1], { [case[2]] = case[3] }))
    end
    -- these the kernel refuses
    refused(errno.EINVAL, "Invalid argument" .. words ".*lifetime invalid",
      ns:addr_add("v0", "10.0.0.1/24",
        { valid_life_time = 5, preferred_life_time = 6 }))
    refused(errno.EINVAL, "Invalid argument" .. words ".*lifetime invalid",
      ns:addr_add("v0", "2001:db8::1/64", { valid_life_time = 0 }))
    local long = { label = ("x"):rep(40000) }
    assert.is_nil((ns:addr_add("v0", "10.0.0.1/24", long)))
    assert.same({}, ns:addrs())
    assert(netns.delete(name))
  end)

  it("refuses unknown keys and wrong types", function()
    local ns, name = t.keep(two_ends())
    local function wrong(pattern, ...)
      local args = t.pack(...)
      assert.error_matches(function()
        ns:addr_add(t.unpack(args, 1, args.n))
      end, pattern)
    end
    for _, key in ipairs { "brd", "tentative", 1 } do
      wrong("unknown key '" .. key .. "' in 'addr_add'", "v0",
        "10.0.0.1/24", { [key] = true })
    end
    for _, key in ipairs {
      "peer", "broadcast", "scope", "label", "metric", "valid_life_time",
      "preferred_life_time",
    } do
      wrong("bad argument '" .. key .. "' to 'addr_add' %(.* expected, got b",
        "v0", "10.0.0.1/24", { [key] = true })
    end
    for _, key in ipairs { "nodad", "home", "mngtmpaddr", "noprefixroute" } do
      wrong("bad argument '" .. key .. "' to 'addr_add' %(boolean expected",
        "v0", "10.0.0.1/24", { [key] = 1 })
    end
    wrong("string expected, got nil", "v0")
    wrong("string expected, got number", "v0", 10)
    wrong("string expected, got table", {}, "10.0.0.1/24")
    wrong("string expected, got nil", nil, "10.0.0.1/24")
    wrong("table expected, got string", "v0", "10.0.0.1/24", "+")
    assert.same({}, ns:addrs())
    assert(netns.delete(name))
  end)

  it("needs the privilege, for changes and not for reading", function()
    local output, code = t.script([[
      local netns = require "netns"
      local ns = assert(netns.current())
      print(#assert(ns:addrs()) == #assert(netns.addrs(ns, {})))
      print(ns:addr_add("lo", "127.0.0.9/8"))
      print(ns:addr_delete("lo", "127.0.0.9/8"))
    ]], enterer)
    assert.equal(0, code, output)
    local lines = {}
    for line in (output .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
    assert.equal("true", lines[1])
    assert.matches("^nil\taddr_add .*: lo 127.0.0.9/8: Operation not permitted"
      .. "\t1$", lines[2])
    assert.matches("^nil\taddr_delete .*: Operation not permitted\t1$",
      lines[3])
  end)
end)

describe("addr_delete", function()
  t.guard(before_each, after_each)

  it("takes away what ip has made", function()
    local ns, name = t.keep(two_ends())
    t.must("ip -n %s address add 10.0.0.1/24 dev v0", name)
    t.must("ip -n %s address add 10.0.0.1/16 dev v0", name)
    t.must("ip -n %s address add 10.0.2.2 peer 10.0.2.3/24 dev v0", name)
    t.must("ip -n %s address add 10.0.0.4 dev v0", name)
    t.must("ip -n %s address add 2001:db8::1/64 dev v0", name)
    t.must("ip -n %s address add 2001:db8::2 peer 2001:db8::3/64 dev v0", name)
    for _, row in ipairs {
      { "10.0.0.1/24" }, { "10.0.2.2", { peer = "10.0.2.3/24" } },
      { "10.0.0.4" }, { "2001:db8::1/64" }, { "2001:db8::2/64" },
    } do
      assert.is_true(assert(ns:addr_delete("v0", row[1], row[2])))
    end
    local left, count = ip_addrs(name)
    assert.equal(1, count)
    assert.is_truthy(left["v0 10.0.0.1/16"])
    assert(netns.delete(name))
  end)

  it("refuses what is not there, with the kernel's words", function()
    local ns, name = t.keep(two_ends())
    assert(ns:addr_add("v0", "10.0.0.1/24"))
    assert(ns:addr_add("v0", "2001:db8::1/64"))
    for text, says in pairs {
      ["10.0.0.2/24"] = "ipv4: Address not found",
      ["10.0.0.1/25"] = "ipv4: Address not found",
      ["10.0.0.1"] = "ipv4: Address not found",
      ["2001:db8::2/64"] = "ipv6: address not found",
      ["2001:db8::1"] = "ipv6: address not found",
    } do
      refused(errno.EADDRNOTAVAIL, "^addr_delete .*: v0 " .. text
        .. ": Cannot assign requested address" .. words(says),
        ns:addr_delete("v0", text))
    end
    refused(errno.EADDRNOTAVAIL, "", ns:addr_delete("v1", "10.0.0.1/24"))
    refused(errno.ENODEV, "No such device",
      ns:addr_delete("nope", "10.0.0.1/24"))
    assert.equal(2, #ns:addrs())
    assert(netns.delete(name))
  end)

  it("refuses unknown keys and wrong types", function()
    local ns, name = t.keep(two_ends())
    assert.error_matches(function()
      ns:addr_delete("v0", "10.0.0.1/24", { broadcast = "+" })
    end, "unknown key 'broadcast' in 'addr_delete'")
    assert.error_matches(function()
      ns:addr_delete("v0", "10.0.0.1/24", { peer = 5 })
    end, "bad argument 'peer' to 'addr_delete'")
    assert.error_matches(function() ns:addr_delete("v0") end,
      "string expected")
    assert(netns.delete(name))
  end)
end)

describe("addr_flush", function()
  t.guard(before_each, after_each)

  it("takes all addresses of one link away, and counts them", function()
    for _, promote in ipairs { "0", "1" } do
      local ns, name = t.keep(two_ends(true))
      ns:sysctl("net.ipv4.conf.v0.promote_secondaries", promote)
      ns:sysctl("net.ipv6.conf.v0.use_tempaddr", "2")
      for i = 1, 20 do
        t.must("ip -n %s address add 10.0.0.%d/24 dev v0", name, i)
      end
      t.must("ip -n %s address add 10.0.1.1 peer 10.0.1.2/24 dev v0", name)
      t.must("ip -n %s address add 10.0.2.1/24 label v0:x dev v0", name)
      t.must("ip -n %s address add 2001:db8::1/64 dev v0", name)
      t.must("ip -n %s address add 2001:db8:1::8/64 mngtmpaddr dev v0 "
        .. "valid_lft 100000 preferred_lft 50000", name)
      t.must("ip -n %s address add 10.0.3.1/24 dev v1", name)
      local _, count = ip_addrs(name, "dev v0")
      assert.equal(26, count) -- with the link's own, and a temporary one
      assert.equal(count, assert(ns:addr_flush("v0")))
      assert.equal(0, (select(2, ip_addrs(name, "dev v0"))))
      assert.equal(0, ns:addr_flush("v0"))
      assert.equal(2, (select(2, ip_addrs(name, "dev v1"))))
      assert.equal(2, netns.addr_flush(name, assert(ns:link("v1")).index))
      assert(netns.delete(name))
    end
  end)

  it("refuses a link that is not there, and wrong types", function()
    local ns, name = t.keep(two_ends())
    refused(errno.ENODEV, "^addr_flush .*: nope: No such device$",
      ns:addr_flush("nope"))
    refused(errno.ENODEV, "^addr_flush .*: 4711: No such device",
      ns:addr_flush(4711))
    assert.error_matches(function() ns:addr_flush() end, "string expected")
    assert.error_matches(function() ns:addr_flush {} end, "string expected")
    assert(netns.delete(name))
  end)

  it("needs the privilege", function()
    local output = t.script([[
      local netns = require "netns"
      local ns = assert(netns.current())
      print(ns:addr_flush("lo"))
    ]], "unshare -n sh -c 'ip address add 127.0.0.1/8 dev lo; exec \"$@\"' - "
      .. enterer)
    assert.matches("^nil\taddr_flush .*: lo: Operation not permitted\t1$",
      output)
  end)
end)
