local netns = require "netns"
local core = require "netns.core"
local json = require "spec.json"
local t = require "spec.support"

local errno = core.errno
local LLADDR = "02:00:00:00:00:99"

-- The neighbours as `ip -json` has them, with our names.
local function by_ip(name, what)
  local output = t.must("ip -n %s -json neigh show %s", name, what or "")
  local list = json.decode((output:gsub(":null", ":true")))
  for _, neigh in ipairs(list) do
    neigh.link, neigh.dev = neigh.dev, nil
    if neigh.state then
      assert.equal(1, #neigh.state)
      neigh.state = neigh.state[1]:lower()
    elseif not neigh.proxy then
      neigh.state = "none"
    end
  end
  return list
end

local function sorted(list)
  table.sort(list, function(a, b)
    return a.dst .. a.link < b.dst .. b.link
  end)
  return list
end

-- Our neighbours, without the fields that ip does not have, which are checked.
local function ours(ns, filter)
  local list = assert(ns:neighs(filter))
  for _, neigh in ipairs(list) do
    assert.equal(neigh.dst:find ":" and "inet6" or "inet", neigh.family)
    assert.equal(assert(ns:link(neigh.link)).index, neigh.index)
    neigh.family, neigh.index = nil, nil
  end
  return list
end

local function agree(ns, filter, what)
  local list = ours(ns, filter)
  assert.same(sorted(by_ip(ns:name(), what)), sorted(list))
  return list
end

t.guard(before_each, after_each) -- around the handle that every test gets

describe("neighbours", function()
  local name, ns

  -- Two links that hear each other, of which nothing is sent by itself.
  before_each(function()
    name = t.name()
    ns = assert(netns.add(name))
    t.must([[
      ip netns exec %s sysctl -qw net.ipv6.conf.default.accept_dad=0 \
        net.ipv6.conf.default.router_solicitations=0
      ip -n %s link add e0 type veth peer name e1
      ip -n %s link set e0 up
      ip -n %s link set e1 up
      ip -n %s addr add 10.0.0.1/24 dev e0
      ip -n %s addr add 2001:db8::1/64 dev e0 nodad
    ]], name, name, name, name, name, name)
  end)

  after_each(function()
    ns:close()
    assert(netns.delete(name))
  end)

  it("that we tell of are those that ip sees", function()
    for i, neigh in ipairs {
      { dst = "10.0.0.2", lladdr = LLADDR },
      { dst = "2001:db8::2", lladdr = LLADDR },
      { dst = "10.0.0.3", lladdr = "02:0A:FF:00:00:01", state = "permanent" },
      { dst = "10.0.0.4", lladdr = LLADDR, state = "stale" },
      { dst = "2001:db8::3", lladdr = LLADDR, state = "reachable" },
      { dst = "2001:db8::4", lladdr = LLADDR, router = true },
      { dst = "10.0.0.5", lladdr = LLADDR, extern_learn = true,
        state = "stale" },
      { dst = "10.0.0.6", lladdr = LLADDR, protocol = "static" },
      { dst = "10.0.0.7", lladdr = LLADDR, protocol = 99, router = false,
        proxy = false, replace = false, family = "inet" },
    } do
      neigh.link = i % 2 == 0 and "e0" or "e1"
      assert.is_true(ns:neigh_add(neigh))
    end
    assert.equal(9, #agree(ns))
    local by_dst = {}
    for _, neigh in ipairs(by_ip(name)) do by_dst[neigh.dst] = neigh end
    assert.same({ dst = "10.0.0.2", link = "e1", lladdr = LLADDR,
      state = "permanent" }, by_dst["10.0.0.2"])
    assert.equal("02:0a:ff:00:00:01", by_dst["10.0.0.3"].lladdr)
    assert.equal("stale", by_dst["10.0.0.4"].state)
    assert.equal("reachable", by_dst["2001:db8::3"].state)
    assert.is_true(by_dst["2001:db8::4"].router)
    assert.is_true(by_dst["10.0.0.5"].extern_learn)
    assert.equal("static", by_dst["10.0.0.6"].protocol)
    assert.equal("openr", by_dst["10.0.0.7"].protocol)
    assert.is_nil(by_dst["10.0.0.7"].router)
  end)

  it("that ip tells of are those that we see", function()
    t.must([[
      n() { ip -n %s neigh add "$@"; }
      n 10.0.0.2 lladdr %s dev e0
      n 10.0.0.3 lladdr %s dev e1 nud stale router
      n 10.0.0.4 lladdr %s dev e1 nud stale extern_learn
      n 2001:db8::2 lladdr %s dev e0 protocol bird
      n 2001:db8::3 lladdr %s dev e1 nud reachable
      n 10.0.0.5 dev e0 nud failed
      n 10.0.0.6 lladdr %s dev e0 nud noarp
      n 10.0.0.7 dev e0 nud none
    ]], name, LLADDR, LLADDR, LLADDR, LLADDR, LLADDR, LLADDR)
    local list = agree(ns)
    assert.equal(6, #list)
    assert.same({ dst = "10.0.0.2", link = "e0", lladdr = LLADDR,
      state = "permanent" }, list[1])
    t.must("ip -n %s neigh delete 10.0.0.4 dev e1", name) -- is always shown
    agree(ns, { state = "noarp" }, "nud noarp")
    assert.same({ { dst = "10.0.0.7", link = "e0", state = "none" } },
      ours(ns, { state = "none" }))
  end)

  it("are found by any field", function()
    t.must([[
      n() { ip -n %s neigh add "$@" lladdr %s; }
      n 10.0.0.2 dev e0
      n 10.0.0.3 dev e0 router
      n 10.0.0.3 dev e1
      n 2001:db8::2 dev e1 nud stale
    ]], name, LLADDR)
    local e1 = assert(ns:link "e1").index
    for _, case in ipairs {
      { {}, 4 }, { { link = "e0" }, 2 }, { { link = "e1", index = e1 }, 2 },
      { { family = "inet6" }, 1 }, { { dst = "10.0.0.3" }, 2 },
      { { state = "stale" }, 1 }, { { router = true }, 1 },
      { { router = false }, 3 }, { { lladdr = LLADDR, proxy = false }, 4 },
      { { dst = "10.0.0.9" }, 0 }, { { link = "nowhere" }, 0 },
    } do
      assert.equal(case[2], #assert(ns:neighs(case[1])))
    end
  end)

  it("are in the namespace that is told, by handle or name", function()
    assert.is_true(netns.neigh_add(name,
      { dst = "10.0.0.2", link = "e0", lladdr = LLADDR }))
    assert.equal("10.0.0.2", assert(netns.neighs(name))[1].dst)
    assert.same({}, netns.neighs(assert(netns.current())))
    assert.is_true(netns.neigh_delete(name, { dst = "10.0.0.2", link = "e0" }))
    assert.same({}, netns.neighs(name, { family = "inet" }))
  end)

  it("are used: a permanent one without ARP, a wrong one in vain", function()
    local other = t.keep(assert(netns.new()))
    local pid = tonumber(core.readlink "/proc/self")
    t.must([[
      ip -n %s link set e1 netns /proc/%d/fd/%d
      nsenter --net=/proc/%d/fd/%d sh -e -c '
        ip link set e1 address 02:00:00:00:00:77 up
        ip addr add 10.0.0.2/24 dev e1
        ip addr add 2001:db8::2/64 dev e1 nodad
        ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:66 dev e1
        ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:66 dev e1'
      ip -n %s link set e0 arp off address 02:00:00:00:00:66
    ]], name, pid, other:fd(), pid, other:fd(), name)
    local function ping(address)
      return (ns:exec({ "ping", "-c1", "-W1", address },
        { stdout = "null", stderr = "null" }))
    end
    for _, dst in ipairs { "10.0.0.2", "2001:db8::2" } do
      local neigh = { dst = dst, link = "e0", lladdr = "02:00:00:00:00:77" }
      assert.is_true(ns:neigh_add(neigh))
      assert.is_true(ping(dst), dst)
      neigh.lladdr, neigh.replace = LLADDR, true
      assert.is_true(ns:neigh_add(neigh))
      assert.is_nil(ping(dst), dst)
      neigh.lladdr = "02:00:00:00:00:77"
      assert.is_true(ns:neigh_add(neigh))
      assert.is_true(ping(dst), dst)
    end
  end)

  for kind, case in pairs {
    gre = { "local 192.0.2.1", "10.0.0.9", "192.0.2.9" },
    ip6gre = { "local 2001:db8::1", "2001:db8:1::9", "2001:db8::9" },
  } do
    it("have IP addresses for hardware's behind a tunnel, " .. kind, function()
      local options, dst, lladdr = t.unpack(case)
      local output, code =
        t.sh("ip -n %s link add g0 type %s %s key 1", name, kind, options)
      if output:find "Unknown device type" then
        print("\nskipped: this kernel has no " .. kind)
        return pending("this kernel has no " .. kind)
      end
      assert.equal(0, code, output)
      t.must("ip -n %s link set g0 up", name)
      assert(ns:neigh_add { dst = dst, link = "g0", lladdr = lladdr })
      local theirs = json.decode(t.must("ip -n %s -j neigh show dev g0 %s",
        name, dst))
      assert.equal(lladdr, theirs[1].lladdr)
      assert.same({ "PERMANENT" }, theirs[1].state)
      local list = ns:neighs { link = "g0", dst = dst }
      assert.equal(lladdr, list[1].lladdr)
      assert(ns:neigh_delete(list[1]))
      assert(ns:neigh_add(list[1]))
      assert.same(list, ns:neighs { link = "g0", dst = dst })
      t.must("ip -n %s link delete g0", name)
    end)
  end

  it("are refused a hardware address that is too short for the link",
    function()
      local nothing, message, code = ns:neigh_add { dst = "10.0.0.2",
        link = "e0", lladdr = "192.0.2.9" }
      assert.is_nil(nothing)
      assert.matches("^neigh_add .*: 10.0.0.2 e0: Invalid argument", message)
      assert.equal(errno.EINVAL, code)
      assert.same({}, by_ip(name))
    end)

  it("are replaced only if that is asked for", function()
    local neigh = { dst = "10.0.0.2", link = "e0", lladdr = LLADDR }
    assert.is_true(ns:neigh_add(neigh))
    neigh.lladdr = "02:00:00:00:00:98"
    local nothing, message, code = ns:neigh_add(neigh)
    assert.is_nil(nothing)
    assert.equal(('neigh_add "%s": 10.0.0.2 e0: File exists'):format(name),
      message)
    assert.equal(errno.EEXIST, code)
    assert.equal(LLADDR, by_ip(name)[1].lladdr)
    neigh.replace, neigh.state = true, "stale"
    assert.is_true(ns:neigh_add(neigh))
    assert.same({ dst = "10.0.0.2", link = "e0", state = "stale",
      lladdr = "02:00:00:00:00:98" }, by_ip(name)[1])
    assert.is_true(ns:neigh_add { dst = "10.0.0.3", link = "e0",
      lladdr = LLADDR, replace = true })
    assert.equal(2, #agree(ns))
  end)

  it("are forgotten, ip's and ours, as they are listed", function()
    t.must("ip -n %s neigh add 10.0.0.2 lladdr %s dev e0", name, LLADDR)
    t.must("ip -n %s neigh add 10.0.0.2 lladdr %s dev e1", name, LLADDR)
    t.must("ip -n %s neigh add 2001:db8::2 lladdr %s dev e0 nud stale router",
      name, LLADDR)
    assert.is_true(ns:neigh_delete { dst = "10.0.0.2", link = "e1" })
    assert.equal(2, #agree(ns))
    for _, neigh in ipairs(ns:neighs()) do
      assert.is_true(ns:neigh_delete(neigh))
    end
    assert.same({}, by_ip(name))
    for _, proxy in ipairs { false, true } do
      for _, dst in ipairs { "10.0.0.2", "2001:db8::2" } do
        local nothing, message, code =
          ns:neigh_delete { dst = dst, link = "e0", proxy = proxy }
        assert.is_nil(nothing)
        assert.equal(('neigh_delete "%s": %s e0: No such file or directory')
          :format(name, dst), message)
        assert.equal(errno.ENOENT, code)
      end
    end
  end)

  it("may be proxies, which are listed only when asked for", function()
    assert.is_true(ns:neigh_add { dst = "10.0.0.9", link = "e0", proxy = true })
    assert.is_true(ns:neigh_add { dst = "10.0.0.9", link = "e0", proxy = true })
    assert.is_true(ns:neigh_add { dst = "2001:db8::9", link = "e1",
      proxy = true, router = true })
    t.must("ip -n %s neigh add proxy 10.0.0.8 dev e1", name)
    t.must("ip -n %s neigh add proxy 2001:db8::8 dev e0", name)
    assert.same({}, ns:neighs())
    local list = agree(ns, { proxy = true }, "proxy")
    assert.equal(4, #list)
    assert.same({ dst = "10.0.0.8", link = "e1", proxy = true }, list[1])
    assert.is_true(list[4].router)
    assert.equal(2, #assert(ns:neighs { proxy = true, link = "e0" }))
    for _, neigh in ipairs(ns:neighs { proxy = true }) do
      assert.is_true(ns:neigh_delete(neigh))
    end
    assert.same({}, by_ip(name, "proxy"))
  end)

  it("have answers from a proxy", function()
    local other = t.keep(assert(netns.new()))
    local pid = tonumber(core.readlink "/proc/self")
    t.must([[
      ip -n %s link set e1 netns /proc/%d/fd/%d
      nsenter --net=/proc/%d/fd/%d sh -e -c '
        ip link set e1 up; ip addr add 10.0.0.2/24 dev e1'
      ip netns exec %s sysctl -qw net.ipv4.ip_forward=1 \
        net.ipv4.neigh.e0.proxy_delay=0
      ip -n %s link add e2 type veth peer name e3
      ip -n %s link set e2 up; ip -n %s link set e3 up
      ip -n %s route add 10.0.0.9 dev e2
    ]], name, pid, other:fd(), pid, other:fd(), name, name, name, name, name)
    local function lladdr()
      other:exec({ "ping", "-c1", "-W1", "10.0.0.9" }, { stdout = "null" })
      local neigh = assert(other:neighs { dst = "10.0.0.9" })[1]
      return neigh and neigh.lladdr
    end
    assert.is_nil(lladdr())
    assert.is_true(ns:neigh_add { dst = "10.0.0.9", link = "e0", proxy = true })
    -- again, since a ping may end just before the kernel asks once more
    assert.equal(assert(ns:link "e0").address, t.eventually(lladdr))
  end)

  it("are refused with the errno and the field", function()
    local good = { dst = "10.0.0.2", link = "e0", lladdr = LLADDR }
    local ENODEV, ERANGE = 19, 34
    for _, case in ipairs {
      { "link", "nowhere", ENODEV }, { "link", "", errno.EINVAL },
      { "link", ("x"):rep(16), ENODEV }, { "link", 99999, ENODEV },
      { "dst", "10.0.0", errno.EINVAL }, { "dst", "", errno.EINVAL },
      { "dst", "10.0.0.2/24", errno.EINVAL }, { "dst", "::g", errno.EINVAL },
      { "dst", "10.0.0.2\0", errno.EINVAL },
      { "lladdr", "02:00", errno.EINVAL }, { "lladdr", "", errno.EINVAL },
      { "lladdr", "02:00:00:00:00:0g", errno.EINVAL },
      { "state", "perfect", errno.EINVAL }, { "state", 65536, ERANGE },
      { "family", "inet6", errno.EINVAL }, { "family", "ipx", errno.EINVAL },
      { "protocol", "nobody", errno.EINVAL }, { "protocol", 256, ERANGE },
    } do
      local neigh = {}
      for key, value in pairs(good) do neigh[key] = value end
      neigh[case[1]] = case[2]
      local nothing, message, code = ns:neigh_add(neigh)
      local text = ("%s=%s"):format(case[1], case[2])
      assert.is_nil(nothing, text)
      assert.matches("^neigh_add", message)
      assert.equal(case[3], code, text)
    end
    assert.equal('neigh_delete: link "nowhere": No such device',
      (select(2, ns:neigh_delete { dst = "10.0.0.2", link = "nowhere" })))
    assert.same({}, by_ip(name))
    assert.same({}, ns:neighs { state = "none" })
  end)

  it("raise an error for what is wrong as a program", function()
    local function raises(pattern, fn, ...)
      local ok, message = pcall(fn, ns, ...)
      assert.is_false(ok)
      assert.matches(pattern, message)
    end
    for key, value in pairs {
      dst = 5, link = true, lladdr = {}, state = true, proxy = 2,
      router = "yes", replace = "yes", family = {}, protocol = false,
    } do
      local neigh = { dst = "10.0.0.2", link = "e0", lladdr = LLADDR }
      neigh[key] = value
      raises(("bad argument '%s' to 'neigh_add'"):format(key), ns.neigh_add,
        neigh)
    end
    raises("bad argument 'dst' to 'neigh_add' %(string expected, got nil",
      ns.neigh_add, { link = "e0" })
    raises("bad argument 'link' to 'neigh_delete'", ns.neigh_delete,
      { dst = "10.0.0.2" })
    raises("bad argument 'lladdr' to 'neigh_add'", ns.neigh_add,
      { dst = "10.0.0.2", link = "e0" })
    assert.same({}, ns:neighs { state = "none" }) -- and nothing half done
    raises("unknown key 'dev' in 'neigh_add'", ns.neigh_add, { dev = "e0" })
    raises("unknown key 'replace' in 'neigh_delete'", ns.neigh_delete,
      { replace = true })
    raises("unknown key 'dev' in 'neighs'", ns.neighs, { dev = "e0" })
    raises("unknown key '1' in 'neighs'", ns.neighs, { "e0" })
    raises("table expected", ns.neighs, "e0")
    raises("table expected", ns.neigh_add)
    raises("table expected", ns.neigh_delete, "10.0.0.2")
  end)

  it("are not for an ordinary user to change", function()
    assert.is_true(ns:neigh_add { dst = "10.0.0.2", link = "e0",
      lladdr = LLADDR })
    local output = t.script(([[
      local netns = require "netns"
      local ns = assert(netns.current())
      local neigh = { dst = "10.0.0.2", link = "e0", lladdr = "%s" }
      print(ns:neigh_delete(neigh))
      neigh.dst = "10.0.0.3"
      print(ns:neigh_add(neigh))
    ]]):format(LLADDR), ("nsenter --net=/run/netns/%s %s")
      :format(name, t.nobody))
    assert.matches("^nil\tneigh_delete .*: Operation not permitted\t1\n"
      .. "nil\tneigh_add .*: Operation not permitted\t1$", output)
    assert.equal("10.0.0.2", by_ip(name)[1].dst)
    assert.is_nil(by_ip(name)[2])
  end)

  it("are listed completely, 1000 and more", function()
    local batch = os.tmpname()
    local file = assert(io.open(batch, "w"))
    for i = 0, 499 do
      file:write(("neigh add 10.0.%d.%d lladdr %s dev e0\n")
        :format(1 + math.floor(i / 250), i % 250, LLADDR))
    end
    file:close()
    t.must("ip -n %s -batch %s", name, batch)
    os.remove(batch)
    for i = 0, 499 do
      assert(ns:neigh_add { dst = ("2001:db8::1:%x"):format(i), link = "e1",
        lladdr = LLADDR })
      assert(ns:neigh_add {
        dst = ("10.1.%d.%d"):format(math.floor(i / 250), i % 250),
        link = "e1", lladdr = LLADDR, proxy = i % 2 == 0 })
    end
    assert.equal(1250, #agree(ns))
    assert.equal(250, #agree(ns, { proxy = true }, "proxy"))
  end)
end)
