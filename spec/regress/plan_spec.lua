-- Plans that are accepted are right, and accepted again; routes of a
-- description; what a plan writes as a script.

local netns = require "netns"
local topology = require "netns.topology"
local random = require "spec.random_topologies"
local t = require "spec.support"

local function plan(description) return assert(topology.plan(description)) end

local function mistakes(description)
  local nothing, _, _, list = topology.plan(description)
  assert.is_nil(nothing)
  return list
end

local function build(description)
  return t.keep(assert(topology.build(description)))
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not is_same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- How many of random descriptions; more by hand.
local MANY = tonumber(os.getenv "NETNS_SPEC_MANY") or 1000

describe("a plan that is accepted", function()
  t.guard(before_each, after_each)

  it("is accepted again, and stays as it is: random descriptions", function()
    local accepted = 0
    for seed = 1, MANY do
      local made = topology.plan(random.description(seed, seed % 2 == 0))
      if made then
        accepted = accepted + 1
        local again, message = topology.plan(made)
        assert(again, ("seed %d: %s"):format(seed, tostring(message)))
        assert(is_same(made, again), ("seed %d: it changes"):format(seed))
      end
    end
    assert.is_true(accepted > MANY / 4, accepted)
  end)

  it("has no subnets of a node that overlap, on two links", function()
    assert.same({
      "links[1].ipv4: 10.5.0.0/24 overlaps 10.5.0.0/24 at links[2].ipv4, and r "
        .. "is in both",
      "links[2].ipv4: 10.5.0.0/24 overlaps 10.5.0.0/24 at links[1].ipv4, and r "
        .. "is in both",
    }, mistakes { routers = { "r" }, links = {
      { "r -- a", ipv4 = "10.5.0.0/24" }, { "b -- r", ipv4 = "10.5.0.0/24" },
    } })
    assert.same({
      "links[1].ipv4: 10.5.0.0/16 overlaps 10.5.7.0/24 at links[2].ipv4, and r "
        .. "is in both",
      "links[2].ipv4: 10.5.7.0/24 overlaps 10.5.0.0/16 at links[1].ipv4, and r "
        .. "is in both",
    }, mistakes { routers = { "r" }, links = {
      { "a -- r", ipv4 = "10.5.0.0/16" }, { "r -- b", ipv4 = "10.5.7.0/24" },
    } })
    assert.same({
      "nodes.a.lo: 10.5.0.0/24 overlaps 10.5.0.0/24 at nodes.a.eth0, and a is "
        .. "in both",
      "nodes.a.eth0: 10.5.0.0/24 overlaps 10.5.0.0/24 at nodes.a.lo, and a is "
        .. "in both",
    }, mistakes { links = { "a -- b" }, nodes = {
      a = { lo = "10.5.0.9/24", eth0 = "10.5.0.1/24" } } })
  end)

  it("may have a subnet twice where no node joins the two", function()
    local first = { "a -- b", ipv4 = "10.5.0.0/24" }
    for _, description in ipairs {
      { links = { first, { "c -- d", ipv4 = "10.5.0.0/24" } } },
      { routers = { "b", "c" },
        links = { first, "b -- c", { "c -- d", ipv4 = "10.5.0.0/24" } } },
    } do
      local made = plan(description)
      assert.equal("10.5.0.1/24", made.nodes.a.eth0[1])
      assert.equal("10.5.0.2/24", made.nodes.d.eth0[1])
      assert.same(made, plan(made))
    end
  end)

  it("has one length of a prefix on a link", function()
    assert.same({
      "nodes.a.eth0: the subnet is 10.5.0.0/16, and 10.5.0.0/24 at "
        .. "nodes.b.eth0, on one link",
      "nodes.b.eth0: the subnet is 10.5.0.0/24, and 10.5.0.0/16 at "
        .. "nodes.a.eth0, on one link",
    }, mistakes { links = { "a -- b" }, nodes = {
      a = { eth0 = "10.5.0.1/16" }, b = { eth0 = "10.5.0.2/24" } } })
    assert.same({
      "nodes.a.eth0: the subnet is 10.5.0.0/25, and 10.5.0.0/24 at "
        .. "links[1].ipv4, on one link",
      "links[1].ipv4: the subnet is 10.5.0.0/24, and 10.5.0.0/25 at "
        .. "nodes.a.eth0, on one link",
    }, mistakes { nodes = { a = { eth0 = "10.5.0.1/25" } },
      links = { { "a -- b", ipv4 = "10.5.0.0/24" } } })
  end)

  it("has no IPv6 on small links, whoever asks for it", function()
    assert.same({ "links[1].ipv6: IPv6 wants an MTU of 1280 at least" },
      mistakes { links = { { "a -- b", mtu = 576, ipv6 = "fd00::/64" } } })
    assert.same({ "switches.s.ipv6: IPv6 wants an MTU of 1280 at least" },
      mistakes { switches = { s = { "a", ipv6 = "fd00::/64" }, u = { "b" } },
        links = { { "s -- u", mtu = 576 } } })
  end)

  it("has an address that two have on a link at both places", function()
    assert.same({
      "nodes.a.eth0: 10.5.0.1 is that of nodes.b.eth0, too",
      "nodes.b.eth0: 10.5.0.1 is that of nodes.a.eth0, too",
    }, mistakes { links = { "a -- b" }, nodes = {
      a = { eth0 = "10.5.0.1/24" }, b = { eth0 = "10.5.0.1/24" } } })
  end)

  it("hands out no address that a node of the link has on lo", function()
    local made = plan { nodes = { b = { lo = "192.0.2.1/32" } },
      links = { { "a -- b", ipv4 = "192.0.2.0/24" } } }
    assert.same("192.0.2.2/24", made.nodes.a.eth0[1])
  end)

  it("takes the addresses that Linux takes for a host, and no others",
    function()
      local function is_taken(address, interface)
        return (topology.plan { links = { "a -- b" },
          nodes = { a = { [interface or "eth0"] = address } } }) ~= nil
      end
      for _, good in ipairs { "240.1.2.1/24", "0.1.2.17/24", "255.255.3.1/16",
        "192.0.2.0/31", "255.255.255.254/24", "128.0.0.1/1", "10.0.0.255/32",
        "10.0.0.255/16", "169.254.1.1/16", "2001:db8::/64", "2001:db8::/127",
        "fe80::1/64", "::2/64", "4000::1/64" } do
        assert.is_true(is_taken(good), good)
      end
      for _, bad in ipairs { "10.0.0.255/24", "10.0.0.0/24", "224.0.0.1/24",
        "255.255.255.255/8", "255.255.255.255/32", "0.0.0.0/31", "0.0.0.5/24",
        "1.0.0.1/1", "127.1.0.1/24", "10.0.0.1/0", "::/64", "::1/64",
        "ff02::1/64", "fd00::1/0" } do
        assert.is_false(is_taken(bad), bad)
      end
      for _, good in ipairs { "10.7.0.255/24", "10.7.0.0/24", "127.5.0.1/8",
        "::1/128", "0.0.0.7/32" } do
        assert.is_true(is_taken(good, "lo"), good)
      end
      assert.is_false(is_taken("127.255.255.255/8", "lo"))
    end)

  it("has the first address of an IPv6 subnet where there is no other router",
    function()
      local first = { "2001:db8::/64" }
      local function description(routers, length)
        return { routers = routers, links = { "a -- b" }, nodes = {
          a = { eth0 = length or first } } }
      end
      assert(plan(description {}))
      assert(plan(description { "a" }))
      assert(plan(description({ "b" }, "2001:db8::/127")))
      assert.same({ "nodes.a.eth0: 2001:db8::/64 means the routers of its "
        .. "subnet, as b" }, mistakes(description { "b" }))
    end)

  it("is planned again in the time that its size asks for", function()
    -- counted, not timed: what is done for each of twice as many is done twice
    local function instructions(hosts)
      local members, count = {}, 0
      for i = 1, hosts do members[i] = "h" .. i end
      local made = plan { switches = { lan = members } }
      debug.sethook(function() count = count + 1 end, "", 1000)
      local ok, message = topology.plan(made)
      debug.sethook()
      assert(ok, message)
      return count
    end
    local jit = t.luajit and require "jit"
    if jit then -- what is compiled is not counted
      jit.off()
      jit.flush()
    end
    local small, large = instructions(200), instructions(800)
    if jit then jit.on() end
    assert.is_true(large < 6 * small, ("%d and %d"):format(small, large))
  end)
end)

describe("routes of a description", function()
  t.guard(before_each, after_each)

  local function description(routes)
    return { ipv6 = false, links = { "a -- b" }, nodes = {
      a = { eth0 = "10.0.0.1/24", routes = routes },
      b = { router = true, eth0 = "10.0.0.2/24" } } }
  end

  it("call 0.0.0.0/0 and ::/0 what it is: default", function()
    local made = plan { links = { "a -- b" }, nodes = { a = {
      eth0 = { "10.0.0.1/24", "fd00::1/64" },
      routes = { ["0.0.0.0/0"] = "10.0.0.2", ["::/0"] = "fd00::2" } } } }
    assert.same({ default = { "10.0.0.2", "fd00::2" } }, made.nodes.a.routes)
    assert.same({ "nodes.a.routes.::/0: 10.0.0.2 is of the other family" },
      mistakes(description { ["::/0"] = "10.0.0.2" }))
  end)

  for what, case in pairs {
    ["in two spellings"] = {
      { ["0.0.0.0/0"] = "10.0.0.2", default = "10.0.0.2" },
      "nodes.a.routes.default: it is a route to the same (default) as "
        .. "nodes.a.routes.0.0.0.0/0",
      "nodes.a.routes.0.0.0.0/0: it is a route to the same (default) as "
        .. "nodes.a.routes.default" },
    ["of an address in two spellings"] = {
      { ["192.0.2.1"] = "10.0.0.2", ["192.0.2.1/32"] = "10.0.0.2" },
      "nodes.a.routes.192.0.2.1/32: it is a route to the same (192.0.2.1/32) "
        .. "as nodes.a.routes.192.0.2.1",
      "nodes.a.routes.192.0.2.1: it is a route to the same (192.0.2.1/32) as "
        .. "nodes.a.routes.192.0.2.1/32" },
    ["to a subnet of the node"] = { { ["10.0.0.0/24"] = "10.0.0.2" },
      "nodes.a.routes.10.0.0.0/24: a is in it already, by nodes.a.eth0" },
    ["to the node itself"] = { { ["10.0.0.1"] = "10.0.0.2" },
      "nodes.a.routes.10.0.0.1: it is an address of a itself" },
    ["by the node itself"] = { { default = "10.0.0.1" },
      "nodes.a.routes.default: 10.0.0.1 is an address of a itself" },
    ["by the subnet"] = { { default = "10.0.0.0" },
      "nodes.a.routes.default: 10.0.0.0 is the subnet itself" },
    ["by all on the subnet"] = { { default = "10.0.0.255" },
      "nodes.a.routes.default: 10.0.0.255 is the broadcast address of its "
        .. "subnet" },
    ["by a link-local address without its link"] = { { default = "fe80::1" },
      "nodes.a.routes.default: fe80::1 is of one link: name it, as in "
        .. '"fe80::1%eth0"' },
    ["by a link that is not there"] = { { default = "fe80::1%eth7" },
      "nodes.a.routes.default: fe80::1 is on eth7, and a has no such link" },
  } do
    it("are a mistake " .. what, function()
      local found = mistakes(description(case[1]))
      table.sort(found)
      local wanted = {}
      for i = 2, #case do wanted[i - 1] = case[i] end
      table.sort(wanted)
      assert.same(wanted, found)
    end)
  end

  it("may lead by a link-local address, with its link", function()
    local lab = build { ipv4 = false, links = { "a -- b", "a -- c" }, nodes = {
      a = { routes = { default = "fe80::b%eth1" } },
      c = { router = true, eth0 = { "fd00:c::1/64", "fe80::b/64" } } } }
    local route = assert(lab.nodes.a:routes { to = "default" })[1]
    assert.equal("fe80::b eth1", ("%s %s"):format(route.via, route.link))
    assert.same({}, lab:diff())
    assert.same({ default = "fe80::b%eth1" }, lab.plan.nodes.a.routes)
  end)

  it("leave by one interface, of two on a segment too", function()
    local lab = build { routers = { "r" },
      switches = { lan = { "a", "a", "r" } }, links = { "r -- b" } }
    local function default()
      local links = {}
      for _, route in ipairs(assert(lab.nodes.a:routes { to = "default" })) do
        links[#links + 1] = route.link
      end
      return table.concat(links, " ")
    end
    assert.equal("eth0 eth0", default())
    assert.same({}, lab:diff())
    for _, name in ipairs { "a:eth0", "a:eth1" } do
      local link = assert(lab:link(name, "lan"))
      assert(link:set { up = false })
      assert(link:set { up = true })
      assert(link:set { up = true })
      assert.equal("eth0 eth0", default())
      assert.same({}, lab:diff())
    end
    assert(lab.nodes.a:link_set("eth0", { up = false }))
    assert(lab.nodes.a:link_set("eth0", { up = true }))
    assert(lab.nodes.a:route_add { to = "default",
      via = lab.nodes.r.addresses.eth1[1], link = "eth1" })
    local text = table.concat(lab:diff(), "\n")
    assert.matches("nodes%.a: route default via %S+ leaves by eth1 instead of "
      .. "eth0", text)
  end)
end)

describe("the script of a plan", function()
  t.guard(before_each, after_each)

  it("writes no sysctl that build does not write", function()
    for _, key in ipairs { "net/../../../../tmp/owned", "net/..", "net/./x",
      "net.ipv4/../../kernel/hostname", "net/../kernel/core_pattern",
      "net.ipv4..x", "net//x", "net", "net.", "kernel.hostname", "net./..x",
      ".net.ipv4.x", "/net/ipv4/x", "net.ipv4.x\0" } do
      local found = mistakes { links = { "a -- b" },
        nodes = { a = { sysctl = { [key] = "x" } } } }
      assert.matches("no sysctl of a network namespace", found[1])
    end
  end)

  it("quotes what a shell would understand", function()
    local evil = "$(touch /tmp/owned)`id`'\"; #\\"
    local made = plan { links = { "a:x'$(id) -- b:#;&|<>" }, nodes = {
      a = { sysctl = { ["net.ipv4.tcp_ecn"] = evil } } } }
    local script = made:sh():gsub("^#!.-\nset %-e\n", "")
    local bare = script:gsub("'\\''", ""):gsub("'[^']*'", "")
    assert.is_nil(bare:find "[^%w%s%-_./:@%%+]")
    assert.is_truthy(script:find(t.quote(evil), 1, true))
  end)

  -- What a namespace has, but what comes with time, as link-local addresses.
  local function features(ns)
    local list = {}
    local function add(text, ...) list[#list + 1] = text:format(...) end
    for _, link in ipairs(assert(ns:links())) do
      add("link %s %s %s %s %d", link.name, tostring(link.kind),
        tostring(link.up), tostring(link.master), link.mtu)
    end
    for _, addr in ipairs(assert(ns:addrs())) do
      if addr.scope ~= "link" then
        add("addr %s %s/%d", addr.link, addr["local"], addr.prefixlen)
      end
    end
    for _, route in ipairs(assert(ns:routes())) do
      if not route.to:find "^fe80" then
        add("route %s %s %s", route.to, tostring(route.via),
          tostring(route.link))
      end
    end
    for _, queue in ipairs(assert(ns:qdiscs())) do
      add("queue %s %s %s", queue.link, queue.kind, tostring(queue.rate))
    end
    for _, key in ipairs { "ipv4/ip_forward", "ipv4/tcp_ecn", "ipv4/tcp_rmem",
      "ipv4/ip_local_reserved_ports", "ipv4/conf/all/rp_filter",
      "ipv6/conf/all/forwarding", "ipv6/conf/all/disable_ipv6" } do
      add("%s %s", key, ns:sysctl("net/" .. key))
    end
    table.sort(list)
    return table.concat(list, "\n")
  end

  -- What the script of a plan makes, by the names of the nodes; and what is
  -- wrong with it. All names are taken away again.
  local function run(made, names)
    local path, theirs = os.tmpname(), {}
    t.write(path, made:sh())
    local output, code = t.sh("sh %s", path)
    os.remove(path)
    local opened = {} -- all are looked at before the first takes its links away
    for name in pairs(names) do
      opened[name] = netns.open(name)
    end
    for name, ns in pairs(opened) do
      theirs[name] = code == 0 and features(ns) or nil
    end
    for name, ns in pairs(opened) do
      ns:close()
      assert(netns.delete(name))
    end
    return theirs, code ~= 0 and output or nil
  end

  it("makes what build makes: random descriptions #novalgrind", function()
    local seed, wanted = 0, t.many(MANY / 10)
    while wanted > 0 do
      seed = seed + 1
      local made = topology.plan(random.description(seed, false))
      if made then
        wanted = wanted - 1
        local where = ("seed %d"):format(seed)
        local lab = assert(topology.build(made))
        local ours, differences = {}, lab:diff()
        for name, ns in pairs(lab.nodes) do ours[name] = features(ns) end
        local theirs, problem = run(made, lab.nodes)
        lab:close()
        assert.same({}, differences, where)
        assert.is_nil(problem, where)
        assert.same(ours, theirs, where)
      end
    end
  end)
end)
