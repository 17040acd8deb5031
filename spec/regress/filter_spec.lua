-- Filters of lists: values are understood as they are written, and what is not
-- understood is refused.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno

-- The number of rows, or an error.
local function count(ns, list, filter)
  return #assert(ns[list](ns, filter))
end

describe("a filter", function()
  local ns

  t.guard(before_each, after_each)

  before_each(function()
    ns = t.keep(assert(netns.new()))
    assert(ns:sysctl("net.ipv6.conf.default.addr_gen_mode", "1"))
    assert(ns:link_set("lo", { up = true }))
    assert(ns:link_add { name = "br0", kind = "bridge",
      address = "02:00:00:00:00:0a" })
    assert(ns:link_add { name = "v0", kind = "veth", up = true, mtu = 1400,
      master = "br0", address = "02:00:00:00:00:ab", peer = { name = "v1" } })
    assert(ns:link_set("v1", { up = true }))
    assert(ns:addr_add("v1", "10.0.0.1/24"))
    assert(ns:addr_add("v1", "fd00::1/64",
      { nodad = true, valid_life_time = 5000 }))
    assert(ns:neigh_add { dst = "fd00::9", link = "v1",
      lladdr = "02:00:00:00:00:cd", state = "permanent", router = true })
    assert(ns:neigh_add { dst = "10.0.0.9", link = "v1",
      lladdr = "02:00:00:00:00:ce", state = "stale" })
    assert(ns:route_add { to = "fd00:7::/64", via = "fd00::9" })
    assert(ns:route_add { to = "default", via = "10.0.0.9", metric = 7 })
    assert(ns:route_add { to = "::/0", via = "fd00::9" })
    assert(ns:rule_add { from = "fd00:8::/64", priority = 5, table = 9 })
    assert(ns:rule_add { fwmark = "0x10/0xff", priority = 6, ipproto = "udp" })
    assert(ns:qdisc_add("v1", { kind = "htb", handle = "1:" }))
    assert(ns:class_add("v1", { kind = "htb", parent = "1:", classid = "1:10",
      rate = "10mbit", ceil = "20mbit" }))
    assert(ns:qdisc_add("v0", { kind = "tbf", rate = "8mbit", burst = "32k",
      limit = "64k" }))
  end)

  it("takes words in either case, as they are listed", function()
    for list, filters in pairs {
      neighs = { { state = "permanent" }, { state = "PERMANENT" },
        { state = "Permanent", family = "INET6" }, { state = "Stale" } },
      routes = { { type = "UNICAST", family = "inet6", to = "default" } },
      rules = { { ipproto = "UDP" } },
      links = { { link_type = "LOOPBACK" }, { kind = "bridge",
        operstate = "DOWN" } },
    } do
      for _, filter in ipairs(filters) do
        assert.equal(1, count(ns, list, filter))
      end
    end
    assert.equal("permanent", ns:neighs { router = true }[1].state)
    assert.equal("up", ns:link "v0".operstate)
  end)

  it("takes another spelling of an address, a prefix or a hardware address",
    function()
      assert.equal(1, count(ns, "addrs", { ["local"] = "fd00:0::1" }))
      assert.equal(1, count(ns, "neighs", { dst = "fd00:0:0::0009" }))
      assert.equal(1, count(ns, "neighs", { lladdr = "02:00:00:00:00:CD" }))
      assert.equal(1, count(ns, "links", { address = "02:00:00:00:00:AB" }))
      assert.equal(1, count(ns, "routes", { to = "FD00:7:0::/64" }))
      assert.equal(2, count(ns, "routes", { via = "fd00:0::9" }))
      assert.equal(1, count(ns, "rules", { from = "fd00:8:0::/64" }))
    end)

  it("tells the default route of one family from that of another", function()
    assert.equal(2, count(ns, "routes", { to = "default" }))
    assert.equal("inet", ns:routes { to = "0.0.0.0/0" }[1].family)
    assert.equal("inet6", ns:routes { to = "::/0" }[1].family)
    for _, to in ipairs { "0.0.0.0/0", "::/0" } do
      assert.equal(1, count(ns, "routes", { to = to }))
    end
  end)

  it("takes quantities as tc spells them", function()
    assert.equal(1, count(ns, "classes", { rate = "10mbit", ceil = 20e6 }))
    assert.equal(1, count(ns, "classes", { rate = "1250kbps" }))
    assert.equal(1, count(ns, "qdiscs", { rate = "8000kbit" }))
    assert.equal(1, count(ns, "qdiscs", { limit = "64k" }))
    assert.equal(0, count(ns, "classes", { rate = "11mbit" }))
    assert.equal(1, count(ns, "classes", { classid = "01:0010" }))
    assert.equal(1, count(ns, "qdiscs", { handle = "1" }))
    assert.equal(2, count(ns, "qdiscs", { parent = "root" })
      - count(ns, "qdiscs", { parent = "ROOT", kind = "noqueue" }))
  end)

  it("takes integral floats, and 0 and 1 for booleans", function()
    assert.equal(1, count(ns, "links", { mtu = 1400.0, up = 1 }))
    assert.equal(1, count(ns, "links", { kind = "bridge", up = 0 }))
    assert.equal(1, count(ns, "neighs", { router = 1 }))
    assert.equal(1, count(ns, "neighs", { router = 0 }))
    assert.equal(1, count(ns, "addrs", { nodad = 1, prefixlen = 64.0 }))
    assert.equal(1, count(ns, "rules", { priority = 6.0, invert = 0 }))
    assert.equal(1, count(ns, "routes", { metric = 7.0, onlink = 0 }))
  end)

  it("takes a link by name or by index", function()
    local index = ns:link "v1".index
    assert.equal(2, count(ns, "neighs", { link = index }))
    assert.equal(count(ns, "routes", { link = "v1" }),
      count(ns, "routes", { link = index }))
    assert.equal(2, count(ns, "addrs", { link = index }))
    assert.equal(1, count(ns, "links", { master = ns:link "br0".index }))
    assert.equal(1, count(ns, "qdiscs", { link = index }))
    assert.equal(1, count(ns, "classes", { link = index }))
  end)

  it("takes any field of an address, and a mark with its mask", function()
    assert.equal(1, count(ns, "addrs", { scope = "host", family = "inet6" }))
    assert.equal(0, count(ns, "addrs", { tentative = true }))
    assert.equal(4, count(ns, "addrs", { dynamic = false })
      + count(ns, "addrs", { dynamic = true }))
    assert.equal(3, count(ns, "addrs", { valid_life_time = "forever" }))
    assert.equal(1, count(ns, "rules", { fwmark = "0x10/0xff" }))
    assert.equal(0, count(ns, "rules", { fwmark = "0x10/0xf0" }))
    assert.equal(1, count(ns, "rules", { fwmark = "16" }))
  end)

  local LISTS = { "links", "addrs", "routes", "rules", "neighs", "qdiscs",
    "classes", "sockets" }

  it("has no keys that the list does not know", function()
    for _, list in ipairs(LISTS) do
      for _, key in ipairs { "colour", 1, true, "nexthops" } do
        local ok, message = pcall(ns[list], ns, { [key] = 5 })
        assert.is_false(ok, list)
        assert.matches(("unknown [a-z]+ '%s' "):format(tostring(key)), message)
      end
    end
  end)

  it("has no values of a wrong type", function()
    for list, fields in pairs {
      links = { mtu = "1400", name = 5, up = "yes", master = true, kind = {},
        address = 5, operstate = true, id = "7", stp_state = true },
      addrs = { link = true, family = true, ["local"] = 5, nodad = "x",
        prefixlen = true, scope = {}, valid_life_time = {} },
      routes = { to = 5, via = {}, table = true, metric = "5", onlink = "x",
        family = {}, type = {}, mtu = "1400" },
      rules = { from = 5, priority = "5", table = {}, invert = "x",
        fwmark = {}, ipproto = true },
      neighs = { dst = 5, link = true, state = true, router = "yes",
        lladdr = 7, proxy = "no" },
      qdiscs = { link = true, kind = 5, handle = 1, parent = 1, rate = true,
        root = "x", limit = {}, ecn = "x" },
      classes = { link = true, classid = 5, rate = {}, prio = "1" },
      sockets = { port = "80", state = 5, protocol = 6, address = true,
        uid = "0", link = true, v6only = "x", expires = "1" },
    } do
      for key, value in pairs(fields) do
        local ok, message = pcall(ns[list], ns, { [key] = value })
        assert.is_false(ok, list .. " " .. key)
        assert.matches(("bad [a-z]+ '%s' "):format(key), message)
        assert.matches("expected, got", message)
      end
    end
  end)

  it("has no values that no row can have", function()
    for list, fields in pairs {
      links = { operstate = "nosuch", mtu = 1.5, address = "x" },
      addrs = { ["local"] = "10.0.0", scope = "nosuch", prefixlen = 1000 },
      routes = { to = "nosuch", via = "x", type = "nosuch" },
      rules = { from = "nosuch", fwmark = "1/x", table = "nosuch" },
      neighs = { state = "nosuch", dst = "x" },
      qdiscs = { handle = "x:", rate = "10mfurlongs", limit = -1 },
      classes = { classid = "", rate = -1 },
      sockets = { state = "nosuch", port = 65536, address = "x" },
    } do
      for key, value in pairs(fields) do
        local result, message, code = ns[list](ns, { [key] = value })
        assert.is_nil(result, list .. " " .. key)
        assert.matches(("^%s: %s "):format(list, key), message)
        assert.is_true(code == errno.EINVAL or code == errno.ERANGE)
      end
    end
  end)

  it("holds for waits, too", function()
    assert(ns:wait_link("v0", { up = 1, timeout = 5 }))
    local index = ns:link "v1".index
    assert(ns:wait_addr("FD00:0::1/64", { link = index, timeout = 5 }))
    assert.error_matches(function() ns:wait_link("v0", { up = "yes" }) end,
      "bad argument 'up'")
  end)
end)
