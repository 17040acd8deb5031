-- What lab:diff() compares: all that a description says or implies.

local netns = require "netns"
local topology = require "netns.topology"
local t = require "spec.support"

local function build(description)
  return t.keep(assert(topology.build(description)))
end

local PAIR = { routers = { "r" }, links = { "a -- r", "r -- b" } }

describe("the differences of a lab #novalgrind", function()
  t.guard(before_each, after_each)

  -- One lab for all: each case is undone, and then there is no difference.
  for what, case in pairs {
    ["forwarding that is off"] = {
      function(lab) return lab.nodes.r:sysctl("net.ipv4.ip_forward", 0) end,
      function(lab) return lab.nodes.r:sysctl("net.ipv4.ip_forward", 1) end,
      "nodes.r.sysctl.net.ipv4.conf.all.forwarding: it is 0 instead of 1" },
    ["forwarding that is off on one interface"] = {
      function(lab)
        return lab.nodes.r:sysctl("net.ipv4.conf.eth1.forwarding", 0)
      end,
      function(lab)
        return lab.nodes.r:sysctl("net.ipv4.conf.eth1.forwarding", 1)
      end,
      "nodes.r.sysctl.net.ipv4.conf.eth1.forwarding: it is 0 instead of 1" },
    ["forwarding of IPv6 that is off"] = {
      function(lab)
        return lab.nodes.r:sysctl("net.ipv6.conf.all.forwarding", 0)
      end,
      function(lab)
        return lab.nodes.r:sysctl("net.ipv6.conf.all.forwarding", 1)
      end,
      "nodes.r.sysctl.net.ipv6.conf.all.forwarding: it is 0 instead of 1" },
    ["a host that forwards"] = {
      function(lab) return lab.nodes.a:sysctl("net.ipv4.ip_forward", 1) end,
      function(lab) return lab.nodes.a:sysctl("net.ipv4.ip_forward", 0) end,
      "nodes.a.sysctl.net.ipv4.conf.all.forwarding: it is 1 instead of 0" },
    ["a filter of sources"] = {
      function(lab)
        return lab.nodes.r:sysctl("net.ipv4.conf.eth0.rp_filter", 1)
      end,
      function(lab)
        return lab.nodes.r:sysctl("net.ipv4.conf.eth0.rp_filter", 0)
      end,
      "nodes.r.sysctl.net.ipv4.conf.eth0.rp_filter: it is 1 instead of 0" },
    ["a rule"] = {
      function(lab)
        return lab.nodes.a:rule_add { priority = 10, action = "unreachable" }
      end,
      function(lab)
        return lab.nodes.a:rule_delete { priority = 10,
          action = "unreachable" }
      end,
      "nodes.a: inet rule 10 %(.*unreachable.*%) was not asked for" },
    ["a rule that is missing"] = {
      function(lab)
        return lab.nodes.a:rule_delete { priority = 32766, table = "main",
          family = "inet" }
      end,
      function(lab)
        return lab.nodes.a:rule_add { priority = 32766, table = "main",
          family = "inet" }
      end,
      "nodes.a: inet rule 32766 %(.*main.*%) is missing" },
    ["a permanent neighbour"] = {
      function(lab)
        return lab.nodes.a:neigh_add { dst = "10.0.0.2", link = "eth0",
          lladdr = "02:00:00:00:00:09" }
      end,
      function(lab)
        return lab.nodes.a:neigh_delete { dst = "10.0.0.2", link = "eth0" }
      end,
      "nodes.a.eth0: the permanent neighbour 10.0.0.2 was not asked for" },
    ["a route of no return"] = {
      function(lab)
        return lab.nodes.a:route_add { to = "10.0.1.2/32", type = "blackhole" }
      end,
      function(lab)
        return lab.nodes.a:route_delete { to = "10.0.1.2/32",
          type = "blackhole" }
      end,
      "nodes.a: route 10.0.1.2/32 via nothing %(blackhole%) was not asked for",
    },
    ["the route to a subnet of its own"] = {
      function(lab)
        return lab.nodes.a:exec { "ip", "route", "del", "10.0.0.0/24" }
      end,
      function(lab)
        return lab.nodes.a:exec { "ip", "route", "add", "10.0.0.0/24", "dev",
          "eth0", "proto", "kernel", "scope", "link", "src", "10.0.0.1" }
      end,
      "nodes.a.eth0: the route to its subnet 10.0.0.0/24 is missing" },
    ["an MTU of which nothing is said"] = {
      function(lab) return lab.nodes.b:link_set("eth0", { mtu = 1300 }) end,
      function(lab) return lab.nodes.b:link_set("eth0", { mtu = 1500 }) end,
      "nodes.b.eth0: its MTU is 1300 instead of 1500" },
    ["a queue of any kind"] = {
      function(lab)
        return lab.nodes.b:exec { "tc", "qdisc", "add", "dev", "eth0", "root",
          "pfifo", "limit", "1" }
      end,
      function(lab)
        return lab.nodes.b:exec { "tc", "qdisc", "del", "dev", "eth0", "root" }
      end,
      "nodes.b.eth0: a queue pfifo was not asked for" },
  } do
    it("have " .. what, function()
      local lab = build(PAIR)
      assert.same({}, lab:diff())
      assert(case[1](lab))
      local differences = assert(lab:diff())
      assert.matches("^" .. case[3] .. "$", differences[1])
      assert.equal(1, #differences, table.concat(differences, "\n"))
      assert(case[2](lab))
      assert.same({}, lab:diff())
    end)
  end

  it("have none of what the description says otherwise", function()
    local lab = build { links = { "a -- b", "a -- c" }, nodes = { a = {
      sysctl = { ["net.ipv4.conf.all.forwarding"] = true,
        ["net.ipv4.conf.eth1.forwarding"] = 0,
        ["net.ipv6.conf.all.disable_ipv6"] = 0,
        ["net.ipv4.conf.all.rp_filter"] = 2,
        ["net/ipv4/conf/eth0/rp_filter"] = 1,
        ["net.ipv4.ip_local_reserved_ports"] = "9148,8080",
        ["net.ipv4.tcp_rmem"] = "4096 131072  6291456\n",
        ["net.ipv4.tcp_fin_timeout"] = 2 ^ 5 } } } }
    assert.equal("1", lab.nodes.a:sysctl "net.ipv4.ip_forward")
    assert.equal("0", lab.nodes.a:sysctl "net.ipv4.conf.eth1.forwarding")
    assert.same({}, lab:diff())
    assert(lab.nodes.a:sysctl("net.ipv4.ip_local_reserved_ports", ""))
    assert.same({ "nodes.a.sysctl.net.ipv4.ip_local_reserved_ports: it is  "
      .. "instead of 8080,9148" }, lab:diff())
  end)

  it("have none of what the kernel makes of a small rate", function()
    for _, rate in ipairs { 8, 500, 1001, "10mbit", 12345678901 } do
      local lab = build { links = { { "a -- b", rate = rate } } }
      assert.same({}, lab:diff(), tostring(rate))
    end
  end)

  it("have none of what daemons bring to interfaces left open", function()
    local lab = build { nodes = { a = { eth0 = {} },
      b = { eth0 = "10.0.0.2/24" } }, links = { "a -- b" } }
    local a, b = lab.nodes.a, lab.nodes.b
    assert(a:addr_add("eth0", "10.0.0.7/24", { valid_life_time = 3600,
      preferred_life_time = 3600 })) -- as a client of DHCP does
    assert(a:addr_add("eth0", "fd00:7::1/64"))
    assert(a:route_add { to = "default", via = "10.0.0.2", link = "eth0",
      protocol = "dhcp" })
    assert(a:route_add { to = "192.0.2.0/24", via = "10.0.0.2", link = "eth0" })
    -- nothing is said of its IPv6
    assert(b:addr_add("eth0", "fd00:7::2/64", { valid_life_time = 3600,
      preferred_life_time = 3600 }))
    assert(b:route_add { to = "fd00:9::/64", via = "fd00:7::1", link = "eth0",
      protocol = "ra" })
    for _, protocol in ipairs { "ospf", "bgp", "zebra" } do
      assert(b:route_add { to = "198.51.100.0/24", via = "10.0.0.7",
        metric = #protocol, link = "eth0", protocol = protocol })
    end
    assert.same({}, lab:diff())
    -- but of what is said
    assert(b:addr_add("eth0", "10.0.0.8/24", { valid_life_time = 3600,
      preferred_life_time = 3600 }))
    assert(b:route_add { to = "203.0.113.0/24", via = "10.0.0.7",
      link = "eth0", protocol = "dhcp" })
    assert.same({ "nodes.b.eth0: address 10.0.0.8/24 was not asked for",
      "nodes.b: route 203.0.113.0/24 via 10.0.0.7 was not asked for" },
      lab:diff())
  end)

  it("have effects that were added to those of the description", function()
    local probe = t.keep(assert(netns.new()))
    if not probe:qdisc_add("lo", { kind = "netem" }) then
      return pending "this kernel has no netem"
    end
    local lab = build { links = { { "a -- b", delay = "1ms" } } }
    assert.same({}, lab:diff())
    assert(lab.nodes.a:exec { "tc", "qdisc", "change", "dev", "eth0", "root",
      "netem", "delay", "1ms", "loss", "100%" })
    assert.same({ "nodes.a.eth0: loss is 1 and was not asked for" },
      assert(lab:diff()))
  end)
end)

describe("a lab on a machine that does not let all be written #novalgrind",
  function()
    t.guard(before_each, after_each)

    local READ_ONLY = "unshare -m sh -c 'mount --bind /proc/sys /proc/sys && "
      .. "mount -o remount,ro,bind /proc/sys && exec \"$@\"' -"

    local function try(description, before)
      return t.script(([[
        local topology = require "netns.topology"
        local lab, message, code = topology.build(%s)
        if not lab then return print(code, message) end
        for _, family in ipairs { "inet", "inet6" } do
          local ping = lab.nodes.a:ping(lab.nodes.b, { family = family })
          print(family, ping and "yes")
        end
        print(#lab:diff(), (lab:diff()[1]))
      ]]):format(description), before or READ_ONLY)
    end

    it("is built as far as its description needs", function()
      local forward = t.read "/proc/sys/net/ipv4/ip_forward"
      assert.equal("inet\tyes\ninet6\tyes\n0\tnil",
        (try '{ links = { "a -- b" } }'))
      assert.equal("inet\tyes\ninet6\tnil\n0\tnil",
        (try '{ ipv6 = false, links = { "a -- b" } }'))
      local output = try [[{ ipv6 = false, routers = { "r" },
        links = { "a -- r", "r -- b" } }]]
      if forward == "0\n" then
        assert.matches("^30\tnodes%.r: sysctl r .*: Read%-only file system$",
          output)
      end
    end)

    it("as without IPv6, of which nothing is said", function()
      local no_ipv6 = [[
        #include <dlfcn.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <stdarg.h>
        #include <string.h>
        int open(const char *path, int flags, ...) {
          int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
          va_list args;
          va_start(args, flags);
          int mode = flags & O_CREAT ? va_arg(args, int) : 0;
          va_end(args);
          if (strstr(path, "/sys/net/ipv6/") != NULL) {
            errno = ENOENT;
            return -1;
          }
          return real(path, flags, mode);
        }
      ]]
      local script = [[
        local topology = require "netns.topology"
        local lab = assert(topology.build { links = { "a -- b" } })
        assert(lab.nodes.a:ping(lab.nodes.b))
        print(#lab.nodes.a.addresses, #lab:diff(), lab.plan.nodes.a.eth0[2])
        print(select(2, topology.build {
          links = { { "a -- b", ipv6 = "fd00::/64" } } }))
        print(select(3, topology.build {
          links = { { "a -- b", ipv6 = "fd00::/64" } } }))
      ]]
      assert.equal("1\t0\tnil\nlinks[1].ipv6: fd00::1: this kernel has no "
        .. "IPv6\t95\n95", (t.with_calls(no_ipv6, script)))
    end)
  end)
