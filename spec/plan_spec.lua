-- Descriptions of topologies and their plans: no privileges, no side effects.

local topology = require "netns.topology"
local t = require "spec.support"

local errno = require "netns".errno

local function plan(description) return assert(topology.plan(description)) end

local function mistakes(description)
  local nothing, message, code, list = topology.plan(description)
  assert.is_nil(nothing)
  assert.equal(errno.EINVAL, code)
  assert.equal(message, table.concat(list, "\n"))
  return list
end

-- A table without its metatable, to be compared.
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = plain(v) end
  return copy
end

local function assert_plan(wanted, description)
  assert.same(wanted, plain(plan(description)))
end

describe("a plan", function()
  t.guard(before_each, after_each)

  it("has addresses and routes of both families worked out", function()
    assert_plan({
      nodes = {
        client = {
          eth0 = { "10.0.0.1/24", "fd00::1/64" },
          routes = { default = { "10.0.0.2", "fd00::2" } },
        },
        r = {
          router = true, routes = {},
          eth0 = { "10.0.0.2/24", "fd00::2/64" },
          eth1 = { "10.0.1.1/24", "fd00:0:0:1::1/64" },
        },
        server = {
          eth0 = { "10.0.1.2/24", "fd00:0:0:1::2/64" },
          routes = { default = { "10.0.1.1", "fd00:0:0:1::1" } },
        },
      },
      switches = {},
      links = {
        { "client:eth0", "r:eth0" },
        { "r:eth1", "server:eth0", rate = 100e6, mtu = 1400 },
      },
    }, {
      routers = { "r" },
      links = {
        "client -- r", { "r -- server", rate = "100mbit", mtu = 1400 },
      },
    })
  end)

  it("keeps what is said, and gives the rest of a link its subnets", function()
    local made = plan {
      nodes = {
        client = {
          eth0 = { "192.0.2.2/24", "2001:db8::2/64" },
          routes = { default = "192.0.2.1" },
          sysctl = { ["net.ipv4.tcp_ecn"] = 1 },
        },
        r = { router = true, eth0 = "192.0.2.1/24" },
      },
      switches = { lan = { "a", "b", "c:uplink" } },
      links = {
        { "client:eth0", "r:eth0", delay = "10ms", loss = "0.1%" },
        { "client -- other", limit = 10 },
        "r:eth1 -- x",
      },
    }
    assert.same({
      eth0 = { "192.0.2.2/24", "2001:db8::2/64" },
      eth1 = { "10.0.0.1/24", "fd00::1/64" },
      routes = { default = "192.0.2.1" }, sysctl = { ["net.ipv4.tcp_ecn"] = 1 },
    }, made.nodes.client)
    assert.same({ "192.0.2.1/24" }, made.nodes.r.eth0)
    assert.same({ "10.0.2.3/24", "fd00:0:0:2::3/64" }, made.nodes.c.uplink)
    assert.same({ "client:eth0", "r:eth0", delay = 0.01, loss = 0.001 },
      made.links[1])
    assert.same({ "a:eth0", "b:eth0", "c:uplink" }, made.switches.lan)
    assert.equal(10, made.links[2].limit)
  end)

  it("gives an interface of which nothing is said the subnet of its peer",
    function()
      local made = plan {
        nodes = { a = { eth0 = { "192.0.2.1/29", "2001:db8::1/64" } },
          b = { eth0 = "198.51.100.1/31" } },
        links = { "a -- c", "b -- d" },
      }
      assert.same({ "192.0.2.2/29", "2001:db8::2/64" }, made.nodes.c.eth0)
      assert.same({ "198.51.100.0/31" }, made.nodes.d.eth0)
    end)

  it("takes an interface without addresses at its word", function()
    local made = plan {
      nodes = { a = { eth0 = {} }, b = { eth0 = "192.0.2.1/24" } },
      links = { "a -- b" },
    }
    assert.same({}, made.nodes.a.eth0)
  end)

  it("names interfaces in the order of the links, around those said", function()
    local made = plan {
      switches = { s = { "a" } },
      links = { "a -- b", "a:eth1 -- c", "a -- d", "s:eth5 -- e", "s -- f" },
    }
    assert.same({ "a:eth0", "b:eth0" }, made.links[1])
    assert.same({ "a:eth1", "c:eth0" }, made.links[2])
    assert.same({ "a:eth2", "d:eth0" }, made.links[3])
    assert.same({ "s:eth5", "e:eth0" }, made.links[4])
    assert.same({ "s:port1", "f:eth0" }, made.links[5])
    assert.same({ "a:eth3" }, made.switches.s)
    assert.same({ "10.0.3.3/24", "fd00:0:0:3::3/64" }, made.nodes.a.eth3)
  end)

  it("has no effect that is none", function()
    local made = plan {
      links = { { "a -- b", delay = "0ms", jitter = 0, loss = "0%" } },
    }
    assert.same({ "a:eth0", "b:eth0" }, made.links[1])
  end)

  it("planned again stays as it is, also stored and loaded", function()
    local description = {
      named = true, ipv4 = "172.16.0.0/12", routers = { "r1", "r2" },
      nodes = { h = { lo = { "192.0.2.1/32", "2001:db8::1/128" } } },
      switches = { lan = { "a", "b", "r1:uplink", loss = "1%" }, trunk = {} },
      links = { "r1 -- r2", { "r2 -- h", delay = "5ms", jitter = 0.001 },
        "lan -- trunk", "trunk -- x" },
    }
    local once = plan(description)
    assert_plan(plain(once), once)
    assert_plan(plain(once), plain(once))
  end)

  it("says the same every time, and nothing of the description changes",
    function()
      local description = { routers = { "r" }, links = { "a -- r", "r -- b" } }
      local before = plain(description)
      local first = plain(plan(description))
      for _ = 1, 20 do assert_plan(first, description) end
      assert.same(before, description)
    end)
end)

describe("subnets", function()
  t.guard(before_each, after_each)

  it("come from the pools, or not at all", function()
    local made = plan {
      ipv4 = "192.168.0.0/16", ipv6 = false, links = { "a -- b" },
    }
    assert.same({ "192.168.0.1/24" }, made.nodes.a.eth0)
    made = plan { ipv4 = false, ipv6 = "2001:db8::/32", links = { "a -- b" } }
    assert.same({ "2001:db8::1/64" }, made.nodes.a.eth0)
    made = plan { ipv4 = false, ipv6 = false, links = { "a -- b" } }
    assert.same({}, made.nodes.a.eth0)
  end)

  it("pass over what is said somewhere", function()
    local made = plan {
      nodes = { a = { eth0 = "10.0.0.1/24", lo = "10.0.2.1/23" } },
      links = { "a -- b", "b -- c", "c -- d", "d -- e" },
    }
    assert.same("10.0.1.1/24", made.nodes.b.eth1[1])
    assert.same("10.0.4.1/24", made.nodes.c.eth1[1])
    assert.same("10.0.5.1/24", made.nodes.d.eth1[1])
  end)

  it("can be said of a link or a switch", function()
    local made = plan {
      switches = { lan = { "a", "b", ipv4 = "192.0.2.0/28", ipv6 = false } },
      links = { { "c -- d", ipv4 = false, ipv6 = "2001:db8::/126" } },
    }
    assert.same({ "192.0.2.2/28" }, made.nodes.b.eth0)
    assert.same({ "2001:db8::2/126" }, made.nodes.d.eth0)
  end)

  it("are as large as a switch needs", function()
    local members = {}
    for i = 1, 1000 do members[i] = "h" .. i end
    local made = plan { switches = { lan = members }, links = { "x -- y" } }
    assert.same({ "10.0.4.1/22", "fd00:0:0:1::1/64" }, made.nodes.h1.eth0)
    assert.same({ "10.0.7.232/22", "fd00:0:0:1::3e8/64" },
      made.nodes.h1000.eth0)
  end)

  it("of IPv6 are not had by links that are too small for it", function()
    local made = plan { links = { { "a -- b", mtu = 1000 } } }
    assert.same({ "10.0.0.1/24" }, made.nodes.a.eth0)
  end)

  it("can be exhausted", function()
    assert.same({ 'links[3]: no subnet is left of ipv4 = "10.0.0.0/23"' },
      mistakes {
        ipv4 = "10.0.0.0/23", links = { "a -- b", "b -- c", "c -- d" },
      })
    assert.same({ "switches.lan: 192.0.2.0/30 has no more addresses" },
      mistakes {
        switches = { lan = { "a", "b", "c", ipv4 = "192.0.2.0/30" } },
      })
  end)
end)

describe("routes", function()
  t.guard(before_each, after_each)

  local function via(node, to)
    local found = node.routes[to]
    return type(found) == "table" and found[1] or found
  end

  it("take the shortest way, and of equal ones always the first", function()
    local made = plan {
      routers = { "r1", "r2", "r3", "r4" },
      links = { "r1 -- r2", "r2 -- r3", "r3 -- r4", "r4 -- r1", "r1 -- a",
        "r3 -- c" },
    }
    -- r3 is two away, by r2 (the first interface of r1) or r4
    assert.equal("10.0.0.2", via(made.nodes.r1, "10.0.5.0/24"))
    assert.equal("10.0.0.2", via(made.nodes.r1, "10.0.1.0/24"))
    assert.equal("10.0.3.1", via(made.nodes.r1, "10.0.2.0/24"))
    assert.equal("fd00::2", via(made.nodes.r1, "fd00:0:0:5::/64"))
    assert.equal("10.0.4.1", via(made.nodes.a, "default"))
  end)

  it("do not lead through hosts", function()
    local made = plan { links = { "a -- b", "b -- c" } }
    assert.same({}, made.nodes.a.routes)
    assert.same({}, made.nodes.b.routes)
  end)

  it("of a host with two ways out are one for each destination", function()
    local made = plan {
      routers = { "r1", "r2" },
      links = { "h -- r1", "h -- r2", "r1 -- x", "r2 -- y" },
    }
    assert.same({
      ["10.0.2.0/24"] = "10.0.0.2", ["10.0.3.0/24"] = "10.0.1.2",
      ["fd00:0:0:2::/64"] = "fd00::2",
      ["fd00:0:0:3::/64"] = "fd00:0:0:1::2",
    }, made.nodes.h.routes)
  end)

  it("lead to the addresses of lo, also those of hosts", function()
    local made = plan {
      ipv6 = false, routers = { "r" },
      nodes = { a = { lo = "192.0.2.1/32" }, b = { lo = "192.0.2.2/32" } },
      links = { "a -- r", "r -- b" },
    }
    assert.same({
      ["192.0.2.1/32"] = "10.0.0.1", ["192.0.2.2/32"] = "10.0.1.2",
    }, made.nodes.r.routes)
  end)

  it("that are said are all that a node has", function()
    local made = plan {
      routers = { "r" },
      nodes = { a = { routes = {} },
        b = { routes = { ["198.51.100.0/24"] = { "10.0.1.1" },
          default = { "10.0.1.1", "fd00:0:0:1::1" } } } },
      links = { "a -- r", "r -- b" },
    }
    assert.same({}, made.nodes.a.routes)
    assert.same({ ["198.51.100.0/24"] = "10.0.1.1",
      default = { "10.0.1.1", "fd00:0:0:1::1" } }, made.nodes.b.routes)
  end)
end)

describe("mistakes", function()
  t.guard(before_each, after_each)

  it("are told all at once, each with its place", function()
    assert.same({
      "speed: no such key",
      'ipv4: an IPv4 subnet or false expected, got "10.0.0.0"',
      'nodes.a.eth0: an address such as "10.0.0.1/24" expected, got '
        .. '"10.0.0.300/24"',
      "nodes.a.sysctl.kernel.x: no sysctl of a network namespace (net.…)",
      "switches.c: there is a node of this name",
      "links[1]: a is linked to itself",
      "links[2].bogus: no such option",
      'links[2].delay: seconds, or a time such as "20ms", expected, got "x"',
      "links[2].loss: 1.5 is not within 0 and 100 %",
      "links[2].mtu: an integer from 68 to 65535 expected, got 60",
      "links[2].reorder: it wants a delay",
      'links[3]: "a -- b", or a table expected, got 5',
      'routers[1]: no link and no switch has a node "nobody"',
    }, mistakes {
      speed = 1, ipv4 = "10.0.0.0",
      nodes = {
        a = { eth0 = "10.0.0.300/24", sysctl = { ["kernel.x"] = 1 } }, c = {},
      },
      routers = { "nobody" }, switches = { c = {} },
      links = {
        "a:eth0 -- a:eth1",
        { "a -- b", bogus = 1, delay = "x", loss = 1.5, mtu = 60,
          reorder = 0.5 },
        5,
      },
    })
  end)

  local cases = {
    { "an interface twice", "links[2]: a:eth0 is used twice",
      { links = { "a:eth0 -- b", "a:eth0 -- c" } } },
    { "an interface nowhere", "nodes.a.eth1: no link and no switch has it",
      { nodes = { a = { eth1 = "10.0.0.1/24" } }, links = { "a -- b" } } },
    { "a long name of an interface",
      "links[1]: sixteen-bytes-16 has more than 15 bytes",
      { links = { "a:sixteen-bytes-16 -- b" } } },
    { "lo in a link", "links[1]: lo is no interface for a link",
      { links = { "a:lo -- b" } } },
    { "an address twice", "nodes.b.eth0: 10.0.0.1 is that of nodes.a.eth0, too",
      { nodes = { a = { eth0 = "10.0.0.1/24" }, b = { eth0 = "10.0.0.1/24" } },
        links = { "a -- b" } } },
    { "an address outside of its subnet",
      "nodes.a.eth0: 10.0.0.1/24 is not in the subnet of 192.0.2.0/24",
      { nodes = { a = { eth0 = "10.0.0.1/24" } },
        links = { { "a -- b", ipv4 = "192.0.2.0/24" } } } },
    { "addresses apart", "nodes.a.eth0: 10.0.0.1/24 is not in the subnet of "
      .. "nodes.b.eth0",
      { nodes = { a = { eth0 = "10.0.0.1/24" }, b = { eth0 = "10.0.1.1/24" } },
        links = { "a -- b" } } },
    { "no length of a prefix",
      "nodes.a.eth0: 10.0.0.1 has no length of a prefix (/24)",
      { nodes = { a = { eth0 = "10.0.0.1" } }, links = { "a -- b" } } },
    { "the subnet as an address", "nodes.a.eth0: 10.0.0.0/24 is the subnet "
      .. "itself", { nodes = { a = { eth0 = "10.0.0.0/24" } },
      links = { "a -- b" } } },
    { "a multicast address", "nodes.a.eth0: 224.0.0.1/24 is not for a host",
      { nodes = { a = { eth0 = "224.0.0.1/24" } }, links = { "a -- b" } } },
    { "a loopback address", "nodes.a.eth0: ::1/64 is not for a host",
      { nodes = { a = { eth0 = "::1/64", lo = "::1/128" } },
        links = { "a -- b" } } },
    { "a multicast subnet", "links[1].ipv6: ff02::/64 is not for hosts",
      { links = { { "a -- b", ipv6 = "ff02::/64" } } } },
    { "a subnet with bits behind", "links[1].ipv4: 10.0.0.1/24 has bits behind "
      .. "the prefix", { links = { { "a -- b", ipv4 = "10.0.0.1/24" } } } },
    { "IPv6 on a small link",
      "nodes.a.eth0: IPv6 wants an MTU of 1280 at least",
      { nodes = { a = { eth0 = "2001:db8::1/64" } },
        links = { { "a -- b", mtu = 1200 } } } },
    { "a route to nowhere",
      "nodes.a.routes.default: 192.0.2.1 is on no subnet of a",
      { nodes = { a = { routes = { default = "192.0.2.1" } } },
        links = { "a -- b" } } },
    { "a route without destination", 'nodes.a.routes.x: "x" is no destination '
      .. '(a prefix, or "default")',
      { nodes = { a = { routes = { x = "10.0.0.2" } } },
        links = { "a -- b" } } },
    { "a route of two families",
      "nodes.a.routes.10.9.0.0/16: fd00::2 is of the other family",
      { nodes = { a = { routes = { ["10.9.0.0/16"] = "fd00::2" } } },
        links = { "a -- b" } } },
    { "a router twice", "routers[2]: r is named twice",
      { routers = { "r", "r" }, links = { "r -- a" } } },
    { "a switch as router", "routers[1]: s is a switch",
      { routers = { "s" }, switches = { s = { "a" } } } },
    { "a ring of switches", "links[2]: it closes a ring of switches",
      { switches = { s = {}, u = {} }, links = { "s -- u", "u -- s" } } },
    { "a subnet of a cable", "links[1]: a subnet is that of all on the switch: "
      .. "say it of s", { switches = { s = {} },
      links = { { "a -- s", ipv4 = "10.0.0.0/24" } } } },
    { "two subnets of a segment",
      "switches.u.ipv4: another switch of the same segment has it, too",
      { switches = { s = { ipv4 = "10.0.0.0/24" },
          u = { ipv4 = "10.1.0.0/24" } }, links = { "s -- u" } } },
    { "a name of a lab's own",
      'links[1]: "close" is what every lab has: another name, please',
      { links = { "close -- a" } } },
    { "a wild name", 'links[1]: "a$b" is no name of a node (letters, digits, '
      .. "_ . -)", { links = { "a$b -- c" } } },
    { "an end that is none",
      'links[1]: ":b" is no end of a link ("node" or "node:eth0")',
      { links = { ":b -- c" } } },
    { "a third end", "links[1][3]: unexpected",
      { links = { { "a", "b", "c" } } } },
    { "a key of an array", "links.x: unexpected",
      { links = { x = "a -- b" } } },
    { "no array", "links: a table expected, got \"a -- b\"",
      { links = "a -- b" } },
    { "a count that is none", "links[1].limit: a positive integer expected, "
      .. "got 0.5", { links = { { "a -- b", limit = 0.5 } } } },
    { "a negative time", "links[1].delay: -1 is out of range",
      { links = { { "a -- b", delay = -1 } } } },
    { "a fraction over all", "links[1].loss: 101% is not within 0 and 100 %",
      { links = { { "a -- b", loss = "101%" } } } },
  }

  for _, case in ipairs(cases) do
    it("have their place: " .. case[1], function()
      local text = "\n" .. table.concat(mistakes(case[3]), "\n") .. "\n"
      assert.is_truthy(text:find("\n" .. case[2] .. "\n", 1, true), text)
    end)
  end

  it("of the program are errors", function()
    for _, what in ipairs { "plan", "build" } do
      assert.error_matches(function() topology[what] "a -- b" end,
        ("bad argument 'description' to '%s' %%(table expected, got string%%)")
          :format(what))
    end
  end)
end)

describe("a plan's picture", function()
  t.guard(before_each, after_each)

  it("is of all that it says", function()
    local made = plan {
      routers = { "r" }, switches = { lan = { "r" } },
      links = { { "client -- r", delay = "10ms", loss = "0.1%" } },
    }
    for _, format in ipairs { "dot", "mermaid", "svg" } do
      local text = made[format](made)
      for _, word in ipairs { "client", "lan", "eth1", "10.0.0.2/24",
        "fd00::1/64", "10ms", "0.1%", "loss" } do
        local found = text:find(word, 1, true)
          or text:find((word:gsub("%%", "#37;")), 1, true)
        assert.is_truthy(found, format .. " has no " .. word)
      end
    end
  end)

  it("and its commands are not had of one that was spoiled", function()
    local made = plan { links = { "a -- b" } }
    made.links[1].speed = 1
    for _, method in ipairs { "dot", "mermaid", "svg", "sh" } do
      assert.has_error(function() made[method](made) end,
        ("bad argument 'plan' to '%s' (links[1].speed: no such option)")
          :format(method))
    end
    local lab, message = made:build()
    assert.is_nil(lab)
    assert.equal("links[1].speed: no such option", message)
  end)
end)
