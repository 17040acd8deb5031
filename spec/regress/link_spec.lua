-- Links: each as it is listed, and given back as it was listed.

local netns = require "netns"
local json = require "spec.json"
local t = require "spec.support"

local errno = netns.errno
local FAR, FAR6 = "192.0.2.2", "2001:db8::2"

-- One of each kind; the kernel may lack some.
local KINDS = {
  { kind = "bridge", ageing_time = 1000, stp_state = 1, priority = 8192 },
  { kind = "dummy", mtu = 1400, arp = false },
  { kind = "veth", peer = { name = "y" }, alias = "one end" },
  { kind = "ifb", txqlen = 7 },
  { kind = "tun", user = 5, multi_queue = true },
  { kind = "tap", vnet_hdr = true, pi = true, user_group = 7 },
  { kind = "wireguard" },
  { kind = "vlan", link = "low", id = 5, gvrp = true,
    egress_qos = { { from = 1, to = 3 } } },
  { kind = "vxlan", id = 7, remote = FAR, link = "low", dstport = 4789 },
  { kind = "macvlan", link = "low", mode = "bridge", promisc = true },
  { kind = "macvtap", link = "low2", mode = "vepa" },
  { kind = "ipvlan", link = "low", mode = "l3" },
  { kind = "vrf", table = 10 },
  { kind = "bond", mode = "active-backup", miimon = 100, updelay = 200 },
  { kind = "gre", remote = FAR, ttl = 9, ikey = 7, seq = true },
  { kind = "gretap", ["local"] = FAR },
  { kind = "erspan", remote = FAR, key = 7, erspan_ver = 1, seq = true },
  { kind = "ip6gre", remote = FAR6, encap_limit = 3, tclass = 16 },
  { kind = "ip6gretap" },
  { kind = "sit", remote = FAR, ttl = 9, prefix = "2001:db8::",
    prefixlen = 32 },
  { kind = "ipip", remote = FAR, ttl = 9 },
  { kind = "ip6tnl", remote = FAR6, flowlabel = 5 },
  { kind = "geneve", id = 7, remote = FAR, ttl = 9, df = "set" },
}

-- What the kernel works out, or counts.
local STATE = {
  stats = true, operstate = true, flags = true, running = true,
  peer_index = true, permaddr = true, tso_max_size = true, gc_timer = true,
  bridge_id = true, root_id = true,
}

local function settings(link)
  local copy = {}
  for key, value in pairs(link) do
    if not STATE[key] then copy[key] = value end
  end
  return copy
end

local function copy(link)
  local result = {}
  for key, value in pairs(link) do result[key] = value end
  return result
end

local function space()
  local ns = t.keep(assert(netns.new()))
  assert(ns:link_add { name = "low", kind = "veth",
    peer = { name = "low2" } })
  return ns
end

-- Makes a link, or skips the test if the kernel lacks the kind.
local function add(ns, link)
  local ok, message, code = ns:link_add(link)
  if code == errno.EOPNOTSUPP then
    pending("this kernel has no links of kind " .. link.kind)
  end
  assert(ok, message)
end

describe("a listed link", function()
  t.guard(before_each, after_each)

  for _, case in ipairs(KINDS) do
    it("has its kind, nothing unknown, and is given back: " .. case.kind,
      function()
        local ns = space()
        local made = copy(case)
        made.name, made.altnames = "x", { "an-alternative-name-of-x" }
        add(ns, made)
        local row = assert(ns:link "x")
        assert.equal(case.kind, row.kind)
        assert.is_nil(row.unknown)
        assert.is_true(assert(ns:link_set(row)))
        assert.same(settings(row), settings(assert(ns:link "x")))
        assert.is_true(assert(ns:link_set("x", row)))
        assert.is_true(assert(ns:link_delete(row)))
        assert.is_nil(ns:link "x")
        assert.is_true(assert(ns:link_add(row)))
        local again = assert(ns:link "x")
        if case.kind == "bridge" then again.address = row.address end
        assert.same(settings(row), settings(again))
      end)
  end

  it("is made again with its port", function()
    local ns = space()
    assert(ns:link_add { name = "br0", kind = "bridge" })
    assert(ns:link_add { name = "p0", kind = "veth", peer = { name = "p1" },
      master = "br0", port = { isolated = true, cost = 9 } })
    local row = assert(ns:link "p0")
    assert.same({ true, 9 }, { row.port.isolated, row.port.cost })
    assert(ns:link_delete(row))
    assert(ns:link_add(row))
    assert.same(row.port, ns:link "p0".port)
  end)

  it("is not another link of its name or of its index", function()
    local ns = space()
    assert(ns:link_add { name = "x", kind = "bridge" })
    local row = assert(ns:link "x")
    assert(ns:link_delete "x")
    assert(ns:link_add { name = "x", kind = "bridge",
      index = row.index + 10 })
    assert(ns:link_add { name = "z", kind = "ifb", index = row.index })
    for _, verb in ipairs { "link_delete", "link_set" } do
      local ok, message, code = ns[verb](ns, row)
      assert.is_nil(ok)
      assert.equal(errno.ENODEV, code, message)
    end
    row.index = nil
    assert(ns:link_set(row))
    assert(ns:link_delete(row))
    assert.is_truthy(ns:link "z")
  end)

  it("with what is unknown or for good is refused by name", function()
    local ns = space()
    assert(ns:link_add { name = "x", kind = "ifb" })
    local row = assert(ns:link "x")
    row.name, row.index = "w", nil
    row.unknown = { [99] = "00" }
    local ok, message, code = ns:link_add(row)
    assert.is_nil(ok)
    assert.equal(errno.EOPNOTSUPP, code)
    assert.matches("99", message)
    assert.is_nil(ns:link "w")
    for key, value in pairs { kind = "dummy", num_tx_queues = 9,
      altnames = { "other" } } do
      ok, message, code = ns:link_set("x", { [key] = value })
      assert.is_nil(ok)
      assert.equal(errno.EINVAL, code)
      assert.matches(key, message)
    end
  end)

  it("has all fields that Debian 13's ip shows", function()
    local root = "/var/tmp/netns-trixie-root"
    if not io.open(root .. ".ready") then
      return pending("Debian 13 is not installed at " .. root)
    end
    local ns = space()
    local name = t.name()
    local named = t.keep(assert(netns.attach(name, ns)))
    t.keep { close = function() assert(netns.delete(name)) end }
    assert(ns:link_add { name = "br0", kind = "bridge" })
    assert(ns:link_set("low", { master = "br0" }))
    for i, case in ipairs(KINDS) do
      local link = copy(case)
      link.name = "x" .. i
      if case.link then
        link.link = "low" .. i
        assert(ns:link_add { name = link.link, kind = "veth",
          peer = { name = "end" .. i } })
      end
      if link.peer then link.peer = { name = "peer" } end
      local ok, message, code = ns:link_add(link)
      assert(ok or code == errno.EOPNOTSUPP, message)
    end
    local other = { -- by other names, or in other words
      ifname = "name", ifindex = "index", ifalias = "alias",
      link_pointtopoint = false, bridge = false, group_fwd_mask_str = false,
      user = "user", remote6 = "remote", local6 = "local", group6 = "remote",
      port = "dstport",
    }
    local lacking = {}
    local function compare(ours, theirs, kind)
      for key in pairs(theirs) do
        local our = other[key]
        if our == nil then our = key end
        if our and ours[our] == nil and key ~= "flags" and not key:find "_str$"
          and not (kind == "veth" and key == "link") then
          lacking[#lacking + 1] = ("%s %s"):format(kind, key)
        end
      end
    end
    local text = t.must("nsenter --net=%s/%s chroot %s ip -j -d link",
      netns.run_dir, name, root)
    for _, theirs in ipairs(json.decode(text)) do
      local ours = assert(named:link(theirs.ifname))
      local info = theirs.linkinfo or {}
      theirs.linkinfo = nil
      compare(ours, theirs, ours.kind or "lo")
      compare(ours, info.info_data or {}, ours.kind)
      compare(ours.port or {}, info.info_slave_data or {}, "port")
    end
    assert.same({}, lacking)
  end)
end)

describe("a name of a link", function()
  t.guard(before_each, after_each)

  local LONG = ("GigabitEthernet-0/0"):gsub("/", ".") .. ("x"):rep(108)

  it("may be an alternative one, of up to 127 bytes, everywhere", function()
    local ns = space()
    assert.equal(127, #LONG)
    assert.is_true(assert(ns:altname_add("low", { LONG, "short" })))
    for _, name in ipairs { LONG, "short", ns:link "low".index } do
      assert.equal("low", assert(ns:link(name)).name)
      assert(ns:link_set(name, { up = true, mtu = 1400 }))
      assert(ns:link_set(name, { alias = "x" }))
      assert(ns:addr_add(name, "10.0.0.1/24"))
      assert.equal(1, #assert(ns:addrs { link = name, family = "inet" }))
      assert(ns:route_add { to = "192.0.2.0/24", link = name })
      assert.equal(1, #assert(ns:routes { link = name, to = "192.0.2.0/24" }))
      assert(ns:route_delete { to = "192.0.2.0/24", link = name })
      local neigh = { dst = "10.0.0.9", link = name,
        lladdr = "02:00:00:00:00:01" }
      assert(ns:neigh_add(neigh))
      assert(ns:neigh_delete(neigh))
      assert(ns:qdisc_add(name, { kind = "htb", handle = "1:" }))
      assert(ns:class_add(name, { kind = "htb", parent = "1:",
        classid = "1:1", rate = "1mbit" }))
      assert.equal(1, #assert(ns:classes { link = name }))
      assert(ns:qdisc_delete(name))
      if type(name) == "string" then
        assert.equal("low", assert(ns:wait_link(name,
          { up = true, timeout = 5 })).name)
      end
      assert.is_true(#assert(ns:sockets { link = name }) == 0)
      assert(ns:addr_delete(name, "10.0.0.1/24"))
    end
    assert(ns:altname_delete("low", LONG))
    assert.equal(errno.ENODEV, select(3, ns:link(LONG)))
    assert.equal(errno.EEXIST, select(3, ns:altname_add("low2", "short")))
    assert.equal(errno.EINVAL, select(3, ns:altname_add("low", LONG .. "x")))
  end)
end)

describe("a kind", function()
  t.guard(before_each, after_each)

  it("that Linux does not have is EINVAL, with the one that was meant",
    function()
      local ns = space()
      for kind, meant in pairs { brige = "bridge", vxlna = "vxlan",
        dumy = "dummy", wiregard = "wireguard" } do
        local ok, message, code = ns:link_add { name = "x", kind = kind,
          colour = "red" }
        assert.is_nil(ok)
        assert.equal(errno.EINVAL, code)
        assert.matches(("%q"):format(meant), message)
      end
      assert.equal(errno.EINVAL,
        select(3, ns:link_add { name = "x", kind = "nosuch" }))
    end)
end)

describe("an option of a bridge", function()
  t.guard(before_each, after_each)

  it("that the kernel lacks is named, and there is no bridge", function()
    local ns = space()
    assert(ns:link_add { name = "br0", kind = "bridge" })
    local row, lacking = assert(ns:link "br0"), nil
    for _, option in ipairs { "vlan_filtering", "fdb_max_learned",
      "fdb_local_vlan_0", "mcast_snooping" } do
      if row[option] == nil then lacking = option end
    end
    if not lacking then
      return pending "this kernel's bridges lack nothing"
    end
    for _, call in ipairs {
      function() return ns:link_set("br0", { [lacking] = 1 }) end,
      function()
        return ns:link_add { name = "br1", kind = "bridge", [lacking] = 1 }
      end,
    } do
      local ok, message, code = call()
      assert.is_nil(ok)
      assert.equal(errno.EOPNOTSUPP, code, message)
      assert.matches(lacking, message)
    end
    assert.is_nil(ns:link "br1")
  end)
end)
