local netns = require "netns"
local theirs = require "spec.ip_links"
local t = require "spec.support"

local errno = netns.errno
local ENODEV, ERANGE = 19, 34

-- --- namespaces and what ip says of them ------------------------------------

local made = {} -- name to handle

-- A namespace for one test, in which nothing is sent by itself.
local function space()
  local ns = assert(netns.add(t.name()))
  made[ns:name()] = ns
  for _, where in ipairs { "all", "default" } do
    assert(ns:sysctl(("net.ipv6.conf.%s.disable_ipv6"):format(where), "1"))
  end
  return ns, ns:name()
end

local function links_of(description, tests)
  describe(description, function()
    after_each(function()
      for name, ns in pairs(made) do
        netns.delete(name)
        ns:close()
      end
      made = {}
    end)
    t.guard(before_each, after_each)
    tests()
  end)
end

local ip, names, agree = theirs.ip, theirs.names, theirs.agree
local ip_link, ip_has = theirs.one, theirs.has

local function fails(code, pattern, result, message, number)
  assert.is_nil(result)
  assert.matches(pattern, message)
  assert.equal(code, number, message)
end

local function raises(pattern, fn, ...)
  local args = t.pack(...)
  assert.error_matches(function() fn(t.unpack(args, 1, args.n)) end,
    pattern)
end

-- --- reading ----------------------------------------------------------------

links_of("links made by ip", function()
  it("are read as ip reads them", function()
    local a, b = space(), space()
    local near, far = a:name(), b:name()
    for _, command in ipairs {
      "link set lo up",
      "link add v0 type veth peer name v1",
      "link add w0 type veth peer name w1 netns " .. far,
      "link add br0 type bridge",
      "link set v0 master br0 up",
      "link set v1 up",
      "link set br0 up",
      "link set v0 type bridge_slave isolated on hairpin on cost 7",
      "link set v1 alias 'hello \"there\"' group 5 txqueuelen 17 mtu 1400",
      "link add br1 type bridge stp_state 1 priority 4096 ageing_time 1000",
      "link add vx4 type vxlan id 42 remote 192.0.2.1 local 192.0.2.2 dev v1 "
        .. "dstport 4789",
      "link add vx6 type vxlan id 43 remote 2001:db8::1 local 2001:db8::2 "
        .. "dstport 4789",
      "link add vxm type vxlan id 44 group 239.1.1.1 dev v1 dstport 4790 "
        .. "ttl 5",
      "link add vxe type vxlan external dstport 4799",
      "link add vxo type vxlan id 50 remote 192.0.2.7 dstport 4791 tos 0x10 "
        .. "df set udp6zerocsumtx udp6zerocsumrx maxaddress 10 ageing 33 proxy "
        .. "rsc l2miss l3miss nolearning noudpcsum gbp",
      "link set vxo master br1",
      "link add mv0 link v1 type macvlan mode bridge bcqueuelen 500",
      "link add mv1 link v1 type macvlan mode source",
      "link set mv1 type macvlan macaddr add 52:54:00:12:34:56",
      "link add mv2 link v1 netns " .. far .. " type macvlan",
      "link add mt0 link v1 type macvtap mode private",
      "link add ifb0 numtxqueues 3 type ifb",
      "tuntap add tun0 mode tun",
      "tuntap add tap0 mode tap multi_queue",
    } do
      ip(a, "%s", command)
    end
    agree(a)
    agree(b)
    local index = a:link "v1".index
    assert.equal(index, a:link "v0".peer_index)
    assert.equal(b:link "w1".index, a:link "w0".peer_index)
    assert.equal(b:link "w1".peer_nsid, a:id(far) and b:id(near))
    assert.equal(index, b:link "mv2".link_index)
    assert.equal("v1", a:link "mv0".link)
    assert.equal("v1", a:link "vx4".link)
    assert.is_true(a:link "v0".port.isolated)
    -- both of a vxlan that is a port
    assert.equal(4791, a:link "vxo".dstport)
    assert.is_true(a:link "vxo".port.learning)
  end)

  it("are there with what was sent over them", function()
    local a, b = space(), space()
    assert(a:link_add { name = "v0", kind = "veth", up = true,
      peer = { name = "v1", ns = b } })
    assert(b:link_set("v1", { up = true }))
    ip(a, "address add 192.0.2.1/24 dev v0")
    ip(b, "address add 192.0.2.2/24 dev v1")
    t.must("ip netns exec %s ping -c 3 -i 0.01 192.0.2.2", a:name())
    agree(a)
    agree(b)
    local near, far = a:link "v0".stats, b:link "v1".stats
    assert.is_true(near.tx.packets >= 3 and near.rx.bytes > 200)
    assert.equal(near.tx.bytes, far.rx.bytes)
  end)

  it("pass through a filter", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    ip(a, "link add i0 type ifb")
    ip(a, "link set i0 up")
    local function found(filter)
      local list = {}
      for i, link in ipairs(assert(a:links(filter))) do list[i] = link.name end
      table.sort(list)
      return table.concat(list, " ")
    end
    assert.equal(#a:links(), #a:links {})
    assert.equal("v0 v1", found { kind = "veth", operstate = "down" })
    assert.equal("v0 v1", found { kind = "veth" })
    assert.equal("i0", found { up = true })
    assert.equal("", found { kind = "veth", up = true })
    assert.equal("v1", found { name = "v1" })
    for _, key in ipairs { "colour", "flags", "stats", "port", 1 } do
      raises(("unknown key '%s' in 'links'"):format(key), a.links, a,
        { [key] = "red" })
    end
    assert.equal("", found { active_slave = "v0" })
    assert.equal("lo", found { link_type = "loopback", running = false })
    for _, filter in ipairs { "veth", 5, true } do
      raises("bad argument 'filter' to 'links' %(table expected, got",
        netns.links, a, filter)
    end
    raises("bad argument 'NS' to 'links'", netns.links, {})
  end)

  it("are found by name, or are not there", function()
    local a, name = space()
    assert.equal(1, a:link "lo".index)
    assert.equal(1, netns.link(name, "lo").index)
    fails(ENODEV, '^link ".*": eth0: No such device', a:link "eth0")
    fails(ENODEV, "No such device", a:link(("x"):rep(16)))
    fails(errno.EINVAL, "Invalid argument", a:link "")
    fails(errno.EINVAL, "Invalid argument", a:link "l\0o")
    fails(errno.ENOENT, 'link "nosuch"', netns.link("nosuch", "lo"))
    fails(errno.ENOENT, 'links "nosuch"', netns.links "nosuch")
    assert.equal("lo", a:link(1).name)
    fails(ENODEV, "No such device", a:link(99))
    for _, value in ipairs { true, {} } do
      raises("expected, got", a.link, a, value)
      raises("expected, got", a.link_delete, a, value)
      raises("expected, got", a.link_set, a, value, {})
    end
    a:close()
    raises("handle is closed", a.link, a, "lo")
    raises("handle is closed", a.links, a)
  end)

  it("are listed completely, 1000 of them", function()
    local a = space()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    for i = 1, 500 do
      file:write(("link add v%d type veth peer name w%d\n"):format(i, i))
    end
    file:close()
    ip(a, "-batch %s", path)
    os.remove(path)
    local ours, list, found = assert(a:links()), theirs.list(a), {}
    assert.equal(1000, select(2, names(a):gsub("[vw]%d+", "")))
    for i, link in ipairs(list) do
      theirs.differences(ours[i], link, link.name, found)
    end
    assert.equal("", table.concat(found, "\n"))
  end)

  it("are listed while they come and go", function()
    local a = space()
    for i = 1, 60 do
      assert(a:link_add { name = "v" .. i, kind = "ifb" })
    end
    local other = t.background(([[
      local netns = require "netns"
      local ns = assert(netns.open %q)
      for i = 1, 200 do
        local name = "t" .. i
        assert(ns:link_add { name = name, kind = "ifb" })
        if i %% 2 == 0 then
          assert(ns:link_delete(name))
          assert(ns:link_delete("t" .. i - 1))
        end
      end
      assert(ns:link_set("lo", { alias = "done" }))
    ]]):format(a:name()))
    local rounds, sizes, list = 0, {}
    repeat
      list = assert(a:links())
      local seen, stable = {}, 0
      for _, link in ipairs(list) do
        assert.is_nil(seen[link.index])
        seen[link.index] = true
        if link.name:find "^v" then stable = stable + 1 end
      end
      assert.equal(60, stable)
      rounds, sizes[#list] = rounds + 1, true
    until list[1].alias == "done"
    assert.is_true(other:close())
    assert.is_true(rounds > 20)
    assert.is_truthy(next(sizes, next(sizes))) -- they did come and go
  end)
end)

-- --- making -----------------------------------------------------------------

links_of("link_add", function()
  local cases = {
    { kind = "ifb", mtu = 1400, address = "52:54:00:12:34:56", group = 7,
      txqlen = 11, up = true, num_tx_queues = 2, num_rx_queues = 3 },
    { kind = "bridge", ageing_time = 1200, stp_state = 1, priority = 4096,
      forward_delay = 400, hello_time = 100, max_age = 600,
      mcast_snooping = 0, mcast_querier = 0, mcast_hash_max = 512,
      mcast_membership_intvl = 12000, address = "52:54:00:00:00:09" },
    { kind = "vxlan", id = 7, remote = "192.0.2.1", ["local"] = "192.0.2.2",
      link = "v0", dstport = 4789, ttl = 3, learning = false, df = "set" },
    { kind = "vxlan", id = 8, remote = "2001:db8::1",
      ["local"] = "2001:db8::2", dstport = 4790, udp_csum = false,
      udp_zero_csum6_tx = true, ageing = 77, limit = 5, tos = 16,
      proxy = true, l2miss = true, l3miss = true, rsc = true },
    { kind = "vxlan", external = true, dstport = 4791, id = 0 },
    { kind = "macvlan", link = "v0", mode = "bridge", bcqueuelen = 300 },
    { kind = "macvlan", link = "v0", mode = "private" },
    { kind = "macvlan", link = "v0", mode = "vepa" },
    { kind = "macvlan", link = "v0", mode = "source" },
    { kind = "macvlan", link = "v1", mode = "passthru" },
    { kind = "macvtap", link = "v0", mode = "bridge" },
    { kind = "veth", mtu = 2000, address = "52:54:00:12:34:57", group = 9,
      txqlen = 5, master = "b0", num_tx_queues = 4, gso_max_size = 60000 },
  }

  it("makes links of every kind that ip sees as they were wanted", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    ip(a, "link add b0 type bridge")
    for i, case in ipairs(cases) do
      case.name = "made" .. i
      assert.is_true(assert(a:link_add(case)))
      ip_has(a, case.name, case)
    end
    agree(a)
    for _, case in ipairs(cases) do
      assert.is_true(assert(a:link_delete(case.name)))
      assert.is_nil(ip_link(a, case.name))
    end
  end)

  it("makes a veth with both ends in their places at once", function()
    local a, b = space(), space()
    for _, place in ipairs { b, b:name(), "/run/netns/" .. b:name() } do
      local near = { name = "x", mtu = 1400, address = "52:54:00:00:00:01",
        group = 3, txqlen = 10, up = true }
      local far = { name = "y", mtu = 1300, address = "52:54:00:00:00:02",
        group = 4, txqlen = 20, num_rx_queues = 2 }
      near.kind, near.peer, far.ns = "veth", far, place
      assert(a:link_add(near))
      near.peer, far.ns, far.up = nil, nil, false
      ip_has(a, "x", near)
      ip_has(b, "y", far)
      agree(a)
      agree(b)
      assert.equal(a:link "x".peer_index, b:link "y".index)
      assert.equal("lo y", names(b))
      assert(b:link_delete "y")
      assert.equal("lo", names(a))
    end
    -- seen from a third one: neither end stays there
    local c = space()
    assert(c:link_add { name = "x", kind = "veth", ns = a,
      peer = { name = "y", ns = b } })
    assert.equal("lo", names(c))
    assert.equal("lo x", names(a))
    assert.equal("lo y", names(b))
    -- and without a word about the other end, or its name
    assert(c:link_add { name = "one", kind = "veth" })
    assert(c:link_add { name = "two", kind = "veth", peer = {} })
    assert.matches("^lo %S+ one %S+ two$", names(c))
    agree(c)
  end)

  it("puts a peer into the namespace of a process", function()
    local a, b = space(), space()
    local pid = t.sleeper("/run/netns/" .. b:name())
    assert(a:link_add { name = "x", kind = "veth",
      peer = { name = "y", ns = pid } })
    assert.equal("lo y", names(b))
    t.stop(pid)
  end)

  it("leaves nothing when the other end cannot be", function()
    local a, b = space(), space()
    ip(b, "link add y type ifb")
    local function refused(code, pattern, peer)
      fails(code, pattern,
        a:link_add { name = "x", kind = "veth", peer = peer })
      assert.equal("lo", names(a))
      assert.equal("lo y", names(b))
    end
    refused(errno.EEXIST, "x %(veth%): File exists", { name = "y", ns = b })
    refused(errno.EEXIST, "File exists", { name = "x" })
    refused(errno.ENOENT, 'link_add "nosuch"', { name = "z", ns = "nosuch" })
    refused(errno.ESRCH, "link_add process", { name = "z", ns = 0x400000 })
    refused(errno.EINVAL, "x %(veth%)", { name = "z", ns = b, mtu = 10 })
    refused(errno.EINVAL, 'address "52:54:"', { address = "52:54:" })
    refused(ERANGE, 'mtu "%-1"', { mtu = -1 })
    raises("unknown key 'colour' in 'link_add'", a.link_add, a,
      { name = "x", kind = "veth", peer = { colour = "red" } })
    raises("bad argument 'peer' to 'link_add' %(table expected, got string%)",
      a.link_add, a, { name = "x", kind = "veth", peer = "y" })
    for _, key in ipairs { "up", "master", "alias", "peer", "kind" } do
      -- what the kernel would pass over, or refuse
      raises(("unknown key '%s' in 'link_add'"):format(key), a.link_add, a,
        { name = "x", kind = "veth", peer = { name = "z", [key] = true } })
    end
    assert.equal("lo", names(a))
  end)

  it("puts a link into another namespace, with its master there", function()
    local a, b = space(), space()
    for i = 1, 5 do ip(a, "link add pad%d type ifb", i) end
    ip(a, "link add br0 type bridge")
    ip(b, "link add br0 type bridge")
    assert(a:link_add { name = "x", kind = "veth", ns = b, master = "br0",
      peer = { name = "y" } })
    ip_has(b, "x", { master = "br0" })
    assert(a:link_add { name = "mv", kind = "macvlan", link = "pad1",
      ns = b:name() })
    assert.equal(a:link "pad1".index, b:link "mv".link_index)
    agree(a)
    agree(b)
    fails(errno.EEXIST, "File exists",
      a:link_add { name = "x", kind = "ifb", ns = b })
    fails(ENODEV, 'master "pad1": No such device',
      a:link_add { name = "z", kind = "ifb", ns = b, master = "pad1" })
    assert.equal("lo br0 x mv", names(b))
    assert.is_truthy(a:link "y")
  end)

  it("refuses a name that is there, and changes nothing", function()
    local a = space()
    assert(a:link_add { name = "x", kind = "ifb", mtu = 1400 })
    fails(errno.EEXIST, "x %(ifb%): File exists",
      a:link_add { name = "x", kind = "ifb", mtu = 1300 })
    ip_has(a, "x", { mtu = 1400 })
  end)

  it("names the kind that is not to be had", function()
    local a = space()
    for _, kind in ipairs { "nosuch", "" } do
      fails(errno.EINVAL, ("x %%(%s%%): Invalid argument"):format(kind),
        a:link_add { name = "x", kind = kind })
    end
    for _, case in ipairs {
      { kind = "dummy" }, { kind = "vlan", link = "v0", id = 5 },
      { kind = "vrf", table = 10 }, { kind = "bond", mode = "802.3ad" },
      { kind = "ipvlan", link = "v0", mode = "l3" },
    } do
      ip(a, "link add v0 type veth")
      case.name = "x"
      local ok, message, code = a:link_add(case)
      if ok then -- a kernel that has it
        ip_has(a, "x", case)
        agree(a)
        assert(a:link_delete "x")
      else
        fails(errno.EOPNOTSUPP, "x %(" .. case.kind .. "%): Operation not supp",
          ok, message, code)
      end
      assert(a:link_delete "v0")
      assert.equal("lo", names(a))
    end
    local ok, message, code =
      a:link_add { name = "x", kind = "bridge", vlan_filtering = 1 }
    if not ok then fails(errno.EOPNOTSUPP, "bridge", ok, message, code) end
  end)

  it("refuses values that are none, with nothing half done", function()
    local a = space()
    ip(a, "link add v0 type veth")
    local before = names(a)
    local function refused(code, pattern, link)
      link.kind = link.kind or "ifb"
      link.name = link.name or "x"
      fails(code, pattern, a:link_add(link))
      assert.equal(before, names(a))
    end
    for _, name in ipairs {
      "", ("x"):rep(16), "a/b", "a\0b", "a b", "a:b", "a\nb", ".", "..",
    } do
      refused(errno.EINVAL, '^link_add: name ".*": Invalid argument',
        { name = name })
      refused(errno.EINVAL, '^link_add: name ".*": Invalid argument',
        { kind = "veth", peer = { name = name } })
      fails(errno.EINVAL, '^link_set: rename ".*": Invalid argument',
        a:link_set("v0", { rename = name }))
    end
    for _, address in ipairs {
      "", "zz", "5", "52:54", "52:54:00:00:00:0", "52:54:00:00:00:00:",
      "52:54:00:00:00:00:00", "52-54-00-00-00-00", "52:54:00:00:00:0g",
      "52:54:00:00:00:00\0", (":00"):rep(40):sub(2), "ff:ff:ff:ff:ff:ff",
    } do
      local ok, message, code = a:link_set("v0", { address = address })
      assert.is_nil(ok, address)
      assert.matches("^link_set", message)
      assert.is_true(code == errno.EINVAL or code == 99, message)
    end
    refused(errno.EINVAL, 'address "52:5"', { address = "52:5" })
    for _, mtu in ipairs { -1, 0x100000000, -2 ^ 63 } do
      refused(ERANGE, "^link_add: mtu", { mtu = mtu })
    end
    for _, mtu in ipairs { 1.5, 0 / 0, math.huge } do
      refused(errno.EINVAL, "^link_add: mtu", { mtu = mtu })
    end
    refused(ERANGE, "group", { group = 0x100000000 })
    refused(errno.EINVAL, 'group "nosuch"', { group = "nosuch" })
    refused(ENODEV, 'master "nosuch": No such device', { master = "nosuch" })
    refused(ENODEV, 'link "nosuch": No such device',
      { kind = "macvlan", link = "nosuch" })
    refused(ENODEV, "", { kind = "macvlan", link = 4711 })
    refused(errno.EINVAL, 'mode "nosuch"',
      { kind = "macvlan", link = "v0", mode = "nosuch" })
    refused(ERANGE, 'dstport "65536"', { kind = "vxlan", dstport = 65536 })
    refused(ERANGE, "VXLAN ID must be lower",
      { kind = "vxlan", id = 0x1000000, dstport = 4789 })
    for _, address in ipairs {
      "", "1.2.3", "192.0.2.256", "2001:db8::g", "192.0.2.1/24", "1.2.3.4\0",
    } do
      refused(errno.EINVAL, "remote",
        { kind = "vxlan", id = 1, remote = address })
    end
    refused(ERANGE, 'ttl "256"', { kind = "vxlan", id = 1, ttl = 256 })
    refused(ERANGE, "priority", { kind = "bridge", priority = 65536 })
    refused(errno.ENOENT, 'link_add "nosuch"', { ns = "nosuch" })
    refused(errno.EINVAL, "link_add", { ns = "/etc/passwd" })
  end)

  it("raises an error for wrong types and unknown fields", function()
    local a = space()
    local function raised(pattern, link)
      link.kind = link.kind or "ifb"
      link.name = link.name or "x"
      raises(pattern, a.link_add, a, link)
    end
    raised("bad argument 'name' to 'link_add' %(string expected, got number%)",
      { name = 5 })
    raised("bad argument 'kind' to 'link_add' %(string expected, got number%)",
      { kind = 5 })
    raises("bad argument 'kind' to 'link_add' %(string expected, got nil%)",
      a.link_add, a, { name = "x" })
    raised("bad argument 'up' to 'link_add' %(boolean expected, got number%)",
      { up = 2 })
    raised("bad argument 'mtu' to 'link_add' %(integer expected, got string%)",
      { mtu = "1400" })
    raised("bad argument 'address' to 'link_add' %(string expected, got numb",
      { address = 5 })
    raised("bad argument 'master' to 'link_add' %(name, index or false exp",
      { master = true })
    raised("bad argument 'group' to 'link_add' %(", { group = {} })
    raised("bad argument 'ns' to 'link_add' %(.* expected, got boolean%)",
      { ns = true })
    raised("bad argument 'ns' to 'link_add' %(.* expected, got table%)",
      { kind = "veth", peer = { ns = {} } })
    raised("bad argument 'learning' to 'link_add' %(boolean expected",
      { kind = "vxlan", learning = 2 })
    raised("bad argument 'remote' to 'link_add' %(string expected, got numb",
      { kind = "vxlan", remote = 1 })
    raised("unknown key 'colour'", { colour = "red" })
    raised("unknown key '1'", { "red" })
    raised("unknown key 'true'", { [true] = 1 })
    raised("unknown key 'peer'", { peer = {} })
    raised("unknown key 'id'", { id = 5 })
    raised("bad argument 'alias'", { alias = 5 })
    raised("bad argument 'inet6_addr_gen_mode'",
      { inet6_addr_gen_mode = true })
    raised("bad argument 'proto_down'", { proto_down = "yes" })
    for _, value in ipairs { "x", 5, true } do
      raises("table expected, got", a.link_add, a, value)
      raises("table expected, got", a.link_set, a, "lo", value)
    end
    local closed = space()
    closed:close()
    raised("bad argument 'ns' to 'link_add' %(handle is closed%)",
      { ns = closed })
    raises("handle is closed", closed.link_add, closed,
      { name = "x", kind = "ifb" })
    assert.equal("lo", names(a))
  end)
end)

-- --- changing ---------------------------------------------------------------

links_of("link_set", function()
  it("changes what ip sees", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    ip(a, "link add br0 type bridge")
    for _, change in ipairs {
      { up = true }, { up = false }, { mtu = 1400 }, { txqlen = 55 },
      { address = "52:54:00:12:34:56" }, { alias = "hello" }, { group = 6 },
      { group = "default" }, { alias = ("x"):rep(255) }, { master = "br0" },
      { broadcast = "ff:ff:ff:ff:ff:fe" }, { gso_max_size = 50000 },
      { inet6_addr_gen_mode = "none" }, { inet6_addr_gen_mode = "eui64" },
      { mtu = 1500, up = true, alias = "all", txqlen = 1, group = 2 },
    } do
      assert.is_true(assert(a:link_set("v0", change)))
      ip_has(a, "v0", change)
    end
    agree(a)
    assert(a:link_set("v0", { master = false, alias = "" }))
    assert.is_nil(ip_link(a, "v0").master)
    assert.is_nil(ip_link(a, "v0").alias)
    assert(a:link_set("v0", { master = a:link "br0".index }))
    ip_has(a, "v0", { master = "br0" })
    assert(a:link_set("v0", {}))
    assert(a:link_set("lo", { up = true }))
    ip_has(a, "lo", { up = true })
    agree(a)
  end)

  it("renames", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    local index = a:link "v0".index
    assert(a:link_set("v0", { rename = "fifteen-letters", mtu = 1400 }))
    ip_has(a, "fifteen-letters", { index = index, mtu = 1400 })
    assert.is_nil(a:link "v0")
    fails(errno.EEXIST, "fifteen%-letters: File exists",
      a:link_set("fifteen-letters", { rename = "v1" }))
    fails(ENODEV, "^link_set .*: name: that is another link",
      a:link_set("v1", { name = "v2" }))
  end)

  it("moves to another namespace", function()
    local a, b = space(), space()
    local pid = t.sleeper("/run/netns/" .. b:name())
    for i, place in ipairs {
      b, b:name(), "/run/netns/" .. b:name(), pid,
    } do
      ip(a, "link add m%d type ifb", i)
      assert(a:link_set("m" .. i, { ns = place }))
      assert.is_nil(a:link("m" .. i))
      ip_has(b, "m" .. i, { kind = "ifb" })
    end
    t.stop(pid)
    -- with all that can be changed on the way, and a master that is there
    for i = 1, 5 do ip(a, "link add pad%d type ifb", i) end
    ip(a, "link add br0 type bridge")
    ip(b, "link add br0 type bridge")
    ip(a, "link add v0 type veth peer name v1")
    assert(a:link_set("v0", { ns = b, rename = "eth0", up = true, mtu = 1400,
      address = "52:54:00:12:34:56", master = "br0" }))
    ip_has(b, "eth0", { up = true, mtu = 1400, master = "br0",
      address = "52:54:00:12:34:56" })
    agree(a)
    agree(b)
    -- nor does it go where its name is taken
    ip(a, "link add m1 type ifb")
    fails(errno.EEXIST, "m1: File exists", a:link_set("m1", { ns = b }))
    assert.is_truthy(a:link "m1")
    fails(errno.ENOENT, 'link_set "nosuch"',
      a:link_set("m1", { ns = "nosuch" }))
    local ok, _, code = a:link_set("lo", { ns = b })
    assert.is_nil(ok)
    assert.equal(errno.EINVAL, code)
  end)

  it("changes what a link is to its bridge", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    ip(a, "link add br0 type bridge")
    assert(a:link_set("v0", { master = "br0" }))
    local changes = { isolated = true, hairpin = true, learning = false,
      flood = false, cost = 9, priority = 3, guard = true, root_block = true,
      fastleave = true, neigh_suppress = true, mcast_flood = false,
      bcast_flood = false, proxy_arp = true, multicast_router = 0 }
    assert(a:link_set("v0", { port = changes }))
    local port = ip_link(a, "v0").port
    for key, value in pairs(changes) do assert.equal(value, port[key], key) end
    agree(a)
    raises("unknown key 'colour' in 'link_set'", a.link_set, a, "v0",
      { port = { colour = 1 } })
    raises("bad argument 'isolated' to 'link_set' %(boolean expected",
      a.link_set, a, "v0", { port = { isolated = 2 } })
    raises("bad argument 'port' to 'link_set' %(table expected", a.link_set,
      a, "v0", { port = 5 })
    fails(ERANGE, 'priority "65536"',
      a:link_set("v0", { port = { priority = 65536 } }))
    fails(errno.EOPNOTSUPP, "port",
      a:link_set("v1", { port = { isolated = true } }))
    -- a vxlan has a port of another kind
    ip(a, "link add vx type vxlan id 5 dstport 4789")
    assert(a:link_set("vx", { master = "br0" }))
    assert(a:link_set("vx", { port = { isolated = true }, ageing = 44 }))
    local vx = a:link "vx"
    assert.same({ true, 4789, 44 }, { vx.port.isolated, vx.dstport, vx.ageing })
    agree(a)
  end)

  it("changes what is of a kind", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    ip(a, "link add br0 type bridge")
    ip(a, "link add mv type macvlan mode bridge 2>/dev/null || "
      .. "ip -n %s link add mv link v0 type macvlan mode bridge", a:name())
    ip(a, "link add vx type vxlan id 5 dstport 4789 dev v0")
    for name, changes in pairs {
      br0 = { ageing_time = 4400, stp_state = 1, priority = 8192, up = true },
      mv = { mode = "private", mtu = 1300 },
      vx = { ageing = 60, remote = "192.0.2.9" },
    } do
      assert(a:link_set(name, changes))
      ip_has(a, name, changes)
    end
    agree(a)
    raises("unknown key 'ageing_time' in 'link_set'", a.link_set, a, "v0",
      { ageing_time = 5 })
    raises("unknown key 'mode' in 'link_set'", a.link_set, a, "lo",
      { mode = "private" })
    local ok, message, code = a:link_set("vx", { id = 6 })
    assert.is_nil(ok)
    assert.matches("^link_set .*vx", message)
    assert.equal(errno.EOPNOTSUPP, code)
    fails(errno.EINVAL, "ageing", a:link_set("vx", { ageing = 1.5 }))
    assert(a:link_set("vx", { proto_down = true }))
    assert.is_true(ip_link(a, "vx").proto_down)
    agree(a)
  end)

  it("refuses what is wrong, and then changes nothing", function()
    local a = space()
    ip(a, "link add v0 type veth peer name v1")
    local before = ip_link(a, "v0")
    local function refused(code, pattern, change)
      change.alias, change.txqlen = change.alias or "changed", 99
      fails(code, pattern, a:link_set("v0", change))
      assert.same(before, ip_link(a, "v0"))
    end
    refused(ERANGE, '^link_set: mtu "%-1"', { mtu = -1 })
    refused(errno.EINVAL, '^link_set: address "5"', { address = "5" })
    refused(ENODEV, '^link_set: master "x"', { master = "x" })
    refused(errno.EINVAL, '^link_set: master ""', { master = "" })
    refused(errno.EINVAL, '^link_set: alias', { alias = "a\0b" })
    refused(errno.ENOENT, "^link_set", { ns = "nosuch" })
    refused(errno.EINVAL, "^link_set", { ns = "/etc/passwd" })
    for _, size in ipairs { 256, 1000, 32600, 32720, 32768, 70000 } do
      refused(ERANGE, "^link_set: alias", { alias = ("x"):rep(size) })
    end
    raises("unknown key 'colour'", a.link_set, a, "v0", { colour = 1 })
    raises("bad argument 'up'", a.link_set, a, "v0", { up = "yes" })
    raises("bad argument 'ns'", a.link_set, a, "v0", { ns = false })
    raises("bad argument 'rename'", a.link_set, a, "v0", { rename = 5 })
    raises("unknown key 'peer' in 'link_set'", a.link_set, a, "v0",
      { peer = {} })
    -- what it keeps may only be given as it is
    for key, value in pairs { num_tx_queues = 5, link = "lo", kind = "ifb" } do
      refused(errno.EINVAL, "^link_set .*" .. key, { [key] = value })
    end
    refused(ENODEV, "^link_set .*name", { name = "v1" })
    fails(ENODEV, "^link_set .*: x: No such device", a:link_set("x", {}))
    fails(errno.ENOENT, 'link_set "nosuch"', netns.link_set("nosuch", "x", {}))
  end)
end)

links_of("link_delete", function()
  it("takes away what ip then does not see", function()
    local a, name = space()
    ip(a, "link add v0 type veth peer name v1")
    assert.is_true(netns.link_delete(name, "v1"))
    assert.equal("lo", names(a))
    fails(ENODEV, '^link_delete ".*": v0: No such device',
      a:link_delete "v0")
    fails(errno.EOPNOTSUPP, "lo: Operation not supported", a:link_delete "lo")
    fails(errno.EINVAL, "Invalid argument", a:link_delete "")
    fails(ENODEV, "No such device", a:link_delete(("x"):rep(16)))
    fails(errno.ENOENT, 'link_delete "nosuch"',
      netns.link_delete("nosuch", "lo"))
    ip(a, "link add m0 type ifb")
    ip(a, "link delete m0")
    assert.is_nil(a:link "m0")
  end)
end)

links_of("the kinds that rtnetlink cannot make", function()
  it("are made, or not at all", function()
    local ns = space()
    assert.is_true(ns:link_add { name = "tun0", kind = "tun", mtu = 1400,
      up = true })
    assert.is_true(ns:link_add { name = "tap0", kind = "tap" })
    for name, kind in pairs { tun0 = "tun", tap0 = "tap" } do
      local link = assert(ns:link(name))
      assert.same({ kind, kind, name == "tun0" },
        { link.kind, link.type, link.up })
      assert.matches("tun type " .. kind .. " pi off vnet_hdr off persist on",
        t.must("ip -n %s -d link show %s", ns:name(), name))
    end
    assert.equal(1400, ns:link "tun0".mtu)
    for code, link in pairs {
      [errno.EEXIST] = { name = "tap0", kind = "tap" },
      [errno.EINVAL] = { name = "tap1", kind = "tap", mtu = 1000000 },
    } do
      fails(code, "^link_add .*: tap[01]", ns:link_add(link))
    end
    assert.equal(errno.EINVAL, select(3, ns:link_add { name = "",
      kind = "tun" }))
    assert.error_matches(function()
      ns:link_add { name = "tap1", kind = "tap", wrong = 1 }
    end, "unknown key 'wrong' in 'link_add'")
    assert.error_matches(function() ns:link_add { kind = "tap" } end,
      "bad argument 'name' to 'link_add'")
    assert.is_nil(ns:link "tap1")
    assert.is_true(ns:link_delete "tun0")
    assert.is_true(ns:link_delete "tap0")
  end)
end)

-- --- hosts ------------------------------------------------------------------

links_of("an ordinary user", function()
  it("reads the links of the own namespace, and changes none", function()
    local a, b = space(), space()
    local output = t.script(([[
      local netns = require "netns"
      local here = assert(netns.current())
      local function pack(...) return { ... } end
      print(#assert(here:links()), here:link "lo".index)
      for _, result in ipairs {
        pack(here:link_add { name = "x", kind = "ifb" }),
        pack(here:link_add { name = "x", kind = "veth",
          peer = { ns = %q } }),
        pack(here:link_set("lo", { up = true })),
        pack(here:link_set("lo", { ns = %q })),
        pack(here:link_delete "lo"),
        pack(netns.links(%q)),
        pack(netns.link(%q, "lo")),
        pack(netns.link_add(%q, { name = "x", kind = "ifb" })),
        pack(netns.link_set(1, "lo", { up = true })),
      } do
        print(result[1], result[3], result[2])
      end
    ]]):gsub("%%q", ("%q"):format(b:name())),
      ("ip netns exec %s %s"):format(a:name(), t.nobody))
    local lines = {}
    for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal(#a:links() .. "\t1", lines[1])
    for i, call in ipairs {
      "link_add", "link_add", "link_set", "link_set", "link_delete",
      "links", "link", "link_add", "link_set",
    } do
      assert.matches(("^nil\t1?[13]\t%s .*: %%u[%%l ]+"):format(call),
        lines[i + 1])
    end
    assert.equal(10, #lines, output)
    assert.equal("lo lo", names(a) .. " " .. names(b))
    assert.is_false(a:link "lo".up)
  end)
end)

links_of("the socket of a handle", function()
  local core = require "netns.core"

  local function sockets()
    local count = 0
    for _, fd in ipairs(assert(core.readdir "/proc/self/fd")) do
      local link = core.readlink("/proc/self/fd/" .. fd)
      if link and link:find "^socket:" then count = count + 1 end
    end
    return count
  end

  it("is opened once, and closed with the handle", function()
    local a, name = space()
    local before = sockets()
    for _ = 1, 3 do
      assert(a:links())
      assert(a:link "lo")
      assert(a:link_add { name = "x", kind = "ifb" })
      assert(a:link_delete "x")
      a:link_delete "x"
      assert.equal(before + 1, sockets())
    end
    assert(netns.links(name)) -- a handle of its own
    pcall(netns.link_add, name, { kind = "ifb", colour = 1 })
    netns.link_add(name, { kind = "ifb", mtu = -1 })
    netns.link_add(name, { kind = "veth", ns = name, peer = { ns = name } })
    collectgarbage()
    collectgarbage()
    assert.equal(before + 1, sockets())
    a:close()
    assert.equal(before, sockets())
    raises("handle is closed", a.links, a)
  end)

  it("keeps no namespace alive", function()
    local a, name = space()
    assert(a:links())
    a:close()
    assert.is_true(netns.delete(name, { wait = 10 }))
    -- nor do temporary handles
    local b, other = space()
    b:close()
    assert(netns.links(other))
    assert(netns.link_set(other, "lo", { up = true }))
    assert(netns.link_add(other, { name = "x", kind = "veth", ns = other,
      peer = { name = "y", ns = other } }))
    collectgarbage "stop"
    assert.is_true(netns.delete(other, { wait = 10 }))
    collectgarbage "restart"
  end)

  it("works on in a host without privileges and files", function()
    local a = space()
    ip(a, "link add v0 type veth")
    local all, peer = {}, a:link "v0".peer_index
    for i, link in ipairs(a:links()) do all[i] = link.name end
    local dir = t.must "mktemp -d"
    local file = assert(io.open(dir .. "/confine.c", "w"))
    file:write [[
      #include <lua.h>
      #include <sys/stat.h>
      #include <unistd.h>
      int confine(lua_State *L) {
        const char *dir = lua_tostring(L, 1);
        lua_pushboolean(L, chdir(dir) == 0 && mkdir("empty", 0755) == 0 &&
                               chroot("empty") == 0 && chdir("/") == 0 &&
                               setgid(65534) == 0 && setuid(65534) == 0);
        return 1;
      }
    ]]
    file:close()
    t.must("cc -shared -fPIC -o %s/confine.so %s/confine.c %s",
      dir, dir, t.cflags)
    local output = t.script(([[
      local netns = require "netns"
      local ns = assert(netns.open %q)
      assert(ns:links())
      local dir = %q
      assert(assert(package.loadlib(dir .. "/confine.so", "confine"))(dir))
      print(io.open "/etc/passwd")
      print(io.open "/proc/self/ns/net")
      for _, link in ipairs(assert(ns:links())) do print(link.name) end
      print(ns:link "v0".kind, ns:link "v0".peer_index)
      print(select("#", ns:link_set("v0", { mtu = 1400 })),
        select(3, ns:link_set("v0", { mtu = 1400 })))
    ]]):format(a:name(), dir), "env ASAN_OPTIONS=detect_leaks=0") -- no /proc
    t.must("rm -r %s", dir)
    assert.equal("nil\t/etc/passwd: No such file or directory\t2\n"
      .. "nil\t/proc/self/ns/net: No such file or directory\t2\n"
      .. table.concat(all, "\n") .. ("\nveth\t%d\n3\t1"):format(peer),
      output)
    ip_has(a, "v0", { mtu = 1500 })
  end)

  it("is not shared with a forked child", function()
    local a = space()
    ip(a, "link add v0 type veth")
    local output, code = t.script(([[
      local netns = require "netns"
      local core = require "netns.core"
      local function socket()
        for _, fd in ipairs(core.readdir "/proc/self/fd") do
          local link = core.readlink("/proc/self/fd/" .. fd) or ""
          if link:find "^socket:" then return link end
        end
      end
      local ns = assert(netns.open %q)
      assert(ns:links())
      local mine = socket()
      local pid = host.fork()
      for _ = 1, 500 do
        local links = assert(ns:links())
        assert(#links == %d and links[1].name == "lo")
        assert(ns:link "v0".kind == "veth")
      end
      if pid == 0 then
        assert(socket() ~= mine, "shared")
        os.exit(0)
      end
      assert(socket() == mine)
      print(host.wait(pid))
    ]]):format(a:name(), #a:links()), nil, t.host .. " 0")
    assert.equal("0", output)
    assert.equal(0, code)
  end)
end)
