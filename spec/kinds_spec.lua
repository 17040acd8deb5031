-- Every kind of link, against `ip`: the kernel may lack some.

local netns = require "netns"
local theirs = require "spec.ip_links"
local t = require "spec.support"

local errno = netns.errno
local ip, agree, has = theirs.ip, theirs.agree, theirs.has

local V4, V6 = "192.0.2.1", "2001:db8::1"
local FAR, FAR6 = "192.0.2.2", "2001:db8::2"

local made = {} -- name to handle

-- A namespace for one test, with links to sit on.
local function space()
  local ns = assert(netns.add(t.name()))
  made[ns:name()] = ns
  for _, where in ipairs { "all", "default" } do
    assert(ns:sysctl(("net.ipv6.conf.%s.disable_ipv6"):format(where), "1"))
  end
  ip(ns, "link add low type veth peer name low2")
  return ns
end

-- Of each kind: what we make; what `ip link add` is told for the like (the
-- kind alone by default); what is then changed, one after the other; `stays`
-- if the kernel has such links stay in their namespace.
local cases = {
  { kind = "dummy", add = { mtu = 1400 }, set = { { mtu = 1300 } } },
  { kind = "veth", add = { peer = { name = "y" } }, ip = "veth peer name y",
    set = { { address = "52:54:00:00:00:01" } } },
  { kind = "ifb", add = { num_tx_queues = 2 }, set = { { txqlen = 5 } } },
  { kind = "wireguard", add = { mtu = 1380 }, set = { { mtu = 1300 } } },
  { kind = "tun", tun = true, add = { mtu = 1300 }, set = { { mtu = 1200 } } },
  { kind = "tap", tun = true, add = { address = "52:54:00:00:00:02" },
    set = { { up = true } } },

  { kind = "bridge", stays = true,
    add = { ageing_time = 1000, no_linklocal_learn = 1, group_fwd_mask = 8 },
    ip = "bridge group_fwd_mask 0x10 mcast_querier 1",
    set = { { no_linklocal_learn = 0, mcast_snooping = 0 },
      { stp_state = 1 } } },
  { kind = "bridge", what = "with VLANs", stays = true,
    add = { vlan_filtering = 1, vlan_default_pvid = 7 },
    ip = "bridge vlan_filtering 1 vlan_protocol 802.1ad",
    set = { { vlan_filtering = 0 }, { vlan_protocol = "802.1ad" },
      { vlan_filtering = 1, vlan_stats_enabled = 1 } } },

  { kind = "vlan", add = { link = "low", id = 5 },
    ip = "vlan id 6 gvrp on ingress-qos-map 1:2 3:4 egress-qos-map 5:6",
    set = { { gvrp = true }, { gvrp = false, loose_binding = true },
      { egress_qos = { { from = 1, to = 3 } } } } },
  { kind = "vlan", what = "802.1ad", add = { link = "low", id = 4094,
      protocol = "802.1ad", reorder_hdr = false, mvrp = true,
      ingress_qos = { { from = 1, to = 2 }, { from = 3, to = 4 } } },
    ip = "vlan id 7 protocol 802.1ad reorder_hdr off" },

  { kind = "vxlan", add = { id = 7, remote = FAR, ["local"] = V4,
      link = "low", dstport = 4789, ttl = 3, learning = false, df = "set",
      port_range = { low = 1000, high = 2000 } },
    ip = "vxlan id 7 remote 192.0.2.2 dev low dstport 4789 srcport 1 2 tos 4",
    set = { { remote = "192.0.2.9" }, { ageing = 60, learning = true } } },
  { kind = "vxlan", what = "over IPv6", add = { id = 8, remote = FAR6,
      ["local"] = V6, dstport = 4790, udp_zero_csum6_tx = true },
    ip = "vxlan id 7 remote 2001:db8::2 dstport 4789 udp6zerocsumrx" },
  { kind = "vxlan", what = "to a group", add = { id = 9, remote = "239.1.1.1",
      link = "low", dstport = 4791 },
    ip = "vxlan id 9 group 239.1.1.2 dev low dstport 4791" },
  { kind = "vxlan", what = "external", add = { external = true, id = 0,
      dstport = 4792 }, ip = "vxlan external dstport 4792 gbp" },

  { kind = "macvlan", add = { link = "low", mode = "private" },
    ip = "macvlan mode private",
    set = { { mode = "bridge" }, { mode = "vepa" }, { bcqueuelen = 300 } } },
  { kind = "macvlan", what = "bridge", add = { link = "low",
      mode = "bridge" }, ip = "macvlan mode bridge" },
  { kind = "macvlan", what = "vepa", add = { link = "low", mode = "vepa" },
    ip = "macvlan mode vepa" },
  { kind = "macvlan", what = "passthru", add = { link = "low",
      mode = "passthru" }, ip = "macvlan mode passthru" },
  { kind = "macvlan", what = "source", add = { link = "low",
      mode = "source" }, ip = "macvlan mode source macaddr "
      .. "add 52:54:00:00:00:07" },

  { kind = "ipvlan", add = { link = "low", mode = "l2" },
    ip = "ipvlan mode l2",
    set = { { mode = "l3" }, { private = true }, { mode = "l2" },
      { private = false, vepa = true } } },
  { kind = "ipvlan", what = "l3, private", add = { link = "low", mode = "l3",
      private = true }, ip = "ipvlan mode l3 private" },
  { kind = "ipvlan", what = "l3s, vepa", add = { link = "low", mode = "l3s",
      vepa = true }, ip = "ipvlan mode l3s vepa" },

  { kind = "vrf", stays = true, add = { table = 10 }, ip = "vrf table 4711",
    set = { { up = true } } },

  { kind = "bond", stays = true, add = { mode = "active-backup", miimon = 100,
      updelay = 200, primary_reselect = "better", fail_over_mac = "active" },
    ip = "bond mode balance-rr arp_interval 100 arp_validate none "
      .. "arp_ip_target 192.0.2.1,192.0.2.2",
    set = { { mode = "balance-rr" }, { miimon = 50, updelay = 100 } } },
  { kind = "bond", what = "ARP", stays = true, add = { mode = "active-backup",
      arp_interval = 100, arp_ip_target = { "192.0.2.7", "192.0.2.8" } },
    ip = "bond mode broadcast",
    set = { { arp_ip_target = { "192.0.2.9" } }, { arp_validate = "all" } } },
  { kind = "bond", what = "802.3ad", stays = true, add = { mode = "802.3ad",
      miimon = 50, ad_lacp_rate = "fast", xmit_hash_policy = "layer3+4",
      ad_select = "bandwidth", min_links = 1, ad_actor_sys_prio = 5 },
    ip = "bond mode 802.3ad lacp_rate fast xmit_hash_policy encap2+3",
    set = { { ad_lacp_rate = "slow" } } },

  { kind = "gre", add = { ["local"] = V4, remote = FAR, ttl = 9, link = "low",
      ikey = "0.0.0.7", okey = "1.2.3.4", icsum = true, ocsum = true },
    ip = "gre local 192.0.2.1 remote 192.0.2.3 ikey 5 seq nopmtudisc tos 0x10",
    set = { { ttl = 5 }, { remote = "192.0.2.4", icsum = false },
      { pmtudisc = true }, { tos = 4 }, { fwmark = 7 },
      { okey = "0.0.0.8" }, { iseq = true } },
    drop = { ikey = false } },
  { kind = "gre", what = "external", add = { external = true },
    ip = "gre external" },
  { kind = "gretap", add = { ["local"] = V4, remote = FAR, pmtudisc = false,
      ignore_df = true, oseq = true },
    ip = "gretap local 192.0.2.1 remote 192.0.2.3 key 4294967295",
    set = { { ttl = 7, pmtudisc = false } } },
  { kind = "erspan", add = { ["local"] = V4, remote = FAR, key = 7,
      seq = true, erspan_ver = 1, erspan_index = 3 },
    ip = "erspan seq key 5 local 192.0.2.1 remote 192.0.2.5 erspan_ver 2 "
      .. "erspan_dir egress erspan_hwid 7", set = { { ttl = 7 } } },
  { kind = "ip6gre", add = { ["local"] = V6, remote = FAR6, ttl = 9,
      link = "low", okey = "0.0.0.7", encap_limit = 3, tclass = 16,
      flowlabel = 74565 },
    ip = "ip6gre local 2001:db8::1 remote 2001:db8::3 tclass inherit "
      .. "flowlabel inherit encaplimit none csum key 9",
    set = { { ttl = 5 }, { tclass = 32 }, { flowlabel = 5 },
      { ip6_tnl_f_rcv_dscp_copy = true } },
    drop = { tclass = false, flowlabel = false } },
  { kind = "sit", add = { ["local"] = V4, remote = FAR, ttl = 9,
      proto = "ip6ip", link = "low" },
    ip = "sit local 192.0.2.1 remote 192.0.2.3 mode any ttl 4",
    set = { { ttl = 5 }, { tos = 4 }, { remote = "192.0.2.4" },
      { ttl = 0, pmtudisc = false } } },
  { kind = "ipip", add = { ["local"] = V4, remote = FAR, ttl = 9,
      proto = "any", link = "low" },
    ip = "ipip local 192.0.2.1 remote 192.0.2.3 mode ipip tos 4",
    set = { { ttl = 5, tos = 8 }, { remote = "192.0.2.4" } } },
  { kind = "ip6tnl", add = { ["local"] = V6, remote = FAR6, ttl = 9,
      proto = "ip6ip6", link = "low", tclass = 4, flowlabel = 5 },
    ip = "ip6tnl local 2001:db8::1 remote 2001:db8::3 mode any "
      .. "encaplimit none dscp inherit fwmark 6",
    set = { { ttl = 5, proto = "any" }, { encap_limit = 2 },
      { ip6_tnl_f_allow_local_remote = true } },
    drop = { encap_limit = false, tclass = false } },

  { kind = "geneve", add = { id = 7, remote = FAR, ttl = 9, tos = 4,
      dstport = 6082, df = "set" },
    ip = "geneve id 5 remote 192.0.2.1 ttl 5 dstport 6083 noudpcsum",
    set = { { ttl = 5 }, { remote = "192.0.2.4", df = "unset" } } },
  { kind = "geneve", what = "over IPv6", add = { id = 8, remote = FAR6,
      label = 9, dstport = 6084 },
    ip = "geneve id 5 remote 2001:db8::1 flowlabel 7 udp6zerocsumrx" },
  { kind = "geneve", what = "external", add = { external = true, id = 0,
      dstport = 6085 }, ip = "geneve external" },
}

-- Makes a link as it is said, or nothing if the kernel lacks the kind, which ip
-- must find too.
local function add(ns, case, name)
  local link = { name = name, kind = case.kind }
  for key, value in pairs(case.add) do link[key] = value end
  local ok, message, code = ns:link_add(link)
  if ok then return true end
  assert.equal(errno.EOPNOTSUPP, code, message)
  assert.matches(("^link_add .*: %s %%(%s%%): Operation not supported")
    :format(name, case.kind), message)
  local said = t.sh("ip -n %s link add %s link low type %s", ns:name(), name,
    case.ip or case.kind)
  local what = case.kind
  if not said:find "Unknown device type" then
    assert.is_truthy(case.what and said:find "Operation not supported", said)
    what = what .. ", " .. case.what
  end
  pending("this kernel has no links of kind " .. what)
end

local function add_by_ip(ns, case, name)
  if case.tun then
    ip(ns, "tuntap add %s mode %s", name, case.kind)
  else
    local on = case.add.link and not (case.ip or ""):find " dev "
      and "link low" or ""
    ip(ns, "link add %s %s type %s", name, on, case.ip or case.kind)
  end
end

-- What ip has of a link.
local function expected(case, also)
  local fields = {}
  for key, value in pairs(case.add) do fields[key] = value end
  for key, value in pairs(also or {}) do fields[key] = value end
  fields.kind, fields.peer = case.kind, nil
  fields.type = case.tun and case.kind or nil
  fields.key, fields.seq = nil, nil -- ip has those of each direction
  for key, value in pairs(fields) do
    -- ip prints no false but of some fields, and no 0 of any tos
    if value == false then fields[key] = nil end
  end
  return fields
end

describe("links of every kind", function()
  after_each(function()
    for name, ns in pairs(made) do
      netns.delete(name)
      ns:close()
    end
    made = {}
  end)
  t.guard(before_each, after_each)

  for _, case in ipairs(cases) do
    local title = case.kind .. (case.what and ", " .. case.what or "")
    it("are made, read and changed: " .. title, function()
      local ns = space()
      add(ns, case, "x")
      agree(ns, "x", expected(case))
      -- nothing but what is asked for changes
      local now = {}
      for _, change in ipairs(case.set or {}) do
        assert.is_true(assert(ns:link_set("x", change)))
        for key, value in pairs(change) do now[key] = value end
        agree(ns, "x", expected(case, now))
      end
      for key, value in pairs(case.drop or {}) do
        assert(ns:link_set("x", { [key] = value }))
        assert.is_nil(agree(ns, "x")[key])
      end
      assert.is_true(assert(ns:link_delete "x"))
      add_by_ip(ns, case, "x")
      assert.equal(case.kind, agree(ns, "x").kind)
    end)
  end

  for _, case in ipairs(cases) do
    -- the variants of a kind move as the first of them
    if not case.what then it("are renamed and moved: " .. case.kind, function()
      local here, there = space(), space()
      add(here, case, "x")
      assert.is_true(assert(here:link_set("x", { rename = "z" })))
      assert.is_nil(here:link "x")
      local pid = t.sleeper("/run/netns/" .. there:name())
      local places = { there, here:name(), pid }
      for i, place in ipairs(places) do
        local from, to = here, there
        if i % 2 == 0 then from, to = there, here end
        local ok, message, code = from:link_set("z", { ns = place })
        if case.stays then
          assert.is_nil(ok)
          assert.equal(errno.EINVAL, code)
          assert.matches("^link_set .*: z: Invalid argument", message)
          break
        end
        assert.is_true(ok, message)
        assert.is_nil(from:link "z")
        local fields = expected(case)
        -- of its home: an index there
        if to == there then fields.link = nil end
        agree(to, "z", fields)
      end
      t.stop(pid)
      local last = case.stays and here or there
      assert(last:link_delete "z")
      assert.is_nil(theirs.one(last, "z"))
    end) end
  end

  it("keep, moved away, the index of what they sit on", function()
    local here, there = space(), space()
    local index = here:link "low".index
    for i, link in ipairs {
      { kind = "vxlan", id = 5, dstport = 4789 }, { kind = "macvlan" },
    } do
      link.name, link.link = "x" .. i, "low"
      assert(here:link_add(link))
      assert(here:link_set(link.name, { ns = there }))
      agree(there)
    end
    assert.equal(index, there:link "x1".link)
    local x2 = there:link "x2"
    assert.same({ index, nil }, { x2.link_index, x2.link })
    assert.equal(there:id(here), x2.link_netnsid)
  end)

  it("have the same key, sums and numbers both ways", function()
    local ns = space()
    add(ns, { kind = "gre", add = { key = 7, csum = true, seq = true } }, "x")
    has(ns, "x", { ikey = "0.0.0.7", okey = "0.0.0.7", icsum = true,
      ocsum = true, iseq = true, oseq = true })
    assert(ns:link_set("x", { key = false, csum = false, okey = 258 }))
    local link = theirs.one(ns, "x")
    assert.same({ nil, "0.0.1.2", nil, true }, { link.ikey, link.okey,
      link.icsum, link.iseq })
    agree(ns)
  end)

  it("are wrapped in UDP", function()
    local ns = space()
    local encap = { type = "gue", sport = 0, dport = 6080, csum = true,
      csum6 = false, remcsum = true }
    for _, kind in ipairs { "gre", "ipip", "sit" } do
      local case = { kind = kind, add = { remote = FAR, ["local"] = V4 } }
      add(ns, case, kind)
      t.sh "modprobe fou"
      local ok, message, code = ns:link_set(kind, { encap = encap })
      if not ok then
        assert.equal(errno.EINVAL, code, message)
        assert.matches("Invalid argument",
          t.sh("ip -n %s link add x type %s remote %s encap gue "
            .. "encap-dport 6080", ns:name(), kind, FAR))
        pending "this kernel has no module fou"
      end
      has(ns, kind, { encap = encap })
      agree(ns)
      assert(ns:link_set(kind, { encap = { type = "none" } }))
      assert.is_nil(theirs.one(ns, kind).encap)
      agree(ns)
    end
  end)

  it("refuse what is none of their values", function()
    local ns = space()
    for _, case in ipairs {
      { "remote", { kind = "gre", remote = V6 } },
      { "remote", { kind = "gre", remote = "1.2.3" } },
      { "local", { kind = "ip6gre", ["local"] = V4 } },
      { "ikey", { kind = "gre", ikey = "1.2.3" } },
      { "okey", { kind = "gre", okey = 0x100000000 } },
      { "ttl", { kind = "sit", ttl = 256 } },
      { "proto", { kind = "ipip", proto = "nosuch" } },
      { "tclass", { kind = "ip6gre", tclass = 256 } },
      { "flowlabel", { kind = "ip6tnl", flowlabel = 0x100000 } },
      { "target", { kind = "bond", arp_ip_target = { V6 } } },
      { "type", { kind = "gre", encap = { type = "nosuch" } } },
      { "label", { kind = "geneve", label = -1 } },
    } do
      local field, link = t.unpack(case)
      link.name = "x"
      local ok, message = ns:link_add(link)
      assert.is_nil(ok)
      assert.matches(("^link_add: %s \""):format(
        field == "target" and "arp_ip_target" or field), message)
      assert.is_nil(ns:link "x")
    end
    for pattern, link in pairs {
      ["unknown key 'wrong'"] = { kind = "gre", encap = { wrong = 1 } },
      ["bad argument 'encap'.*table"] = { kind = "gre", encap = 5 },
      ["bad argument 'arp_ip_target'.*table"] = { kind = "bond",
        arp_ip_target = V4 },
      ["bad argument 'icsum'.*boolean"] = { kind = "gre", icsum = 2 },
      ["bad argument 'ingress_qos'.*table"] = { kind = "vlan",
        ingress_qos = { 5 } },
      ["unknown key 'id'"] = { kind = "ipip", id = 1 },
    } do
      link.name = "x"
      assert.error_matches(function() ns:link_add(link) end, pattern)
    end
  end)

  it("have ports: those of a bond", function()
    local ns = space()
    add(ns, { kind = "bond", add = { mode = "active-backup", miimon = 100 } },
      "bond")
    for _, port in ipairs { "low", "low2" } do
      assert(ns:link_set(port, { master = "bond" }))
      has(ns, port, { master = "bond" })
    end
    assert(ns:link_set("bond", { up = true }))
    for _, port in ipairs { "low2", "low" } do
      t.eventually(function()
        return ns:link_set("bond", { active_slave = port })
      end)
      has(ns, "bond", { active_slave = port, mode = "active-backup" })
    end
    assert(ns:link_set("low", { port = { queue_id = 2 } }))
    assert.equal(2, theirs.one(ns, "low").port.queue_id)
    assert.equal("active", ns:link "low".port.state)
    assert.equal("backup", ns:link "low2".port.state)
    agree(ns)
    assert(ns:link_set("low", { master = false }))
    assert.is_nil(ns:link "low".port)
    agree(ns)
  end)

  it("have ports: those of a VRF, with its table", function()
    local ns = space()
    add(ns, { kind = "vrf", add = { table = 10 } }, "red")
    assert(ns:link_set("low", { master = "red", up = true }))
    assert(ns:link_set("low2", { up = true }))
    assert(ns:link_set("red", { up = true }))
    assert.same({ table = 10 }, ns:link "low".port)
    agree(ns)
    assert(ns:addr_add("low", "192.0.2.1/24"))
    t.eventually(function()
      return #ns:routes { table = 10, to = "192.0.2.0/24" } == 1
    end)
    assert.equal(0, #ns:routes { to = "192.0.2.0/24" })
    assert(ns:link_set("low", { master = false }))
    assert.is_nil(ns:link "low".port)
    local ok, message, code =
      ns:link_set("low", { port = { table = 5 } })
    assert.is_nil(ok)
    assert.equal(errno.EOPNOTSUPP, code)
    assert.matches("port", message)
  end)

  it("have ports: those of a bridge that filters VLANs", function()
    local ns = space()
    local ok, message, code = ns:link_add { name = "br", kind = "bridge",
      vlan_filtering = 1 }
    if not ok then
      assert.equal(errno.EOPNOTSUPP, code, message)
      pending "this kernel's bridges do not filter VLANs"
    end
    assert(ns:link_set("low", { master = "br", up = true }))
    assert(ns:link_set("low", { port = { isolated = true, cost = 9,
      group_fwd_mask = 8, learning = false } }))
    local port = theirs.one(ns, "low").port
    assert.same({ true, 9, false }, { port.isolated, port.cost,
      port.learning })
    agree(ns)
    has(ns, "br", { vlan_filtering = 1 })
  end)
end)
