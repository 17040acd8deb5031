-- Who reaches whom: what reach() and ping() of a node once told wrongly.

local netns = require "netns"
local topology = require "netns.topology"
local t = require "spec.support"

local errno = netns.errno
local PATIENCE = 2 * t.slow -- seconds for what is to answer

local function build(spec) return t.keep(assert(topology.build(spec))) end

describe("reach #novalgrind", function()
  t.guard(before_each, after_each)

  it("says no only if no address answers, whatever the order of links",
    function()
      for _, links in ipairs {
        { "b -- c", "a -- r", "r -- c" }, { "a -- r", "r -- c", "b -- c" },
      } do
        local lab = build { routers = { "r" }, links = links }
        assert(lab.a:ping(lab.c, { timeout = PATIENCE }))
        for _, family in ipairs { "inet", "inet6" } do
          assert(lab.a:ping(lab.c, { timeout = PATIENCE, family = family }))
          local matrix =
            assert(lab:reach { timeout = PATIENCE, family = family })
          assert.is_number(matrix.a.c)
          assert.is_false(matrix.a.b)
        end
      end
    end)

  it("asks over every family that both have, and tells which is missing",
    function()
      local lab = build { links = { "a -- b" } }
      local matrix = assert(lab:reach { timeout = PATIENCE })
      assert.is_true(matrix.ok)
      assert.same({}, matrix.failures)
      assert.is_true(lab:reaches { timeout = PATIENCE })
      assert(lab.b:sysctl("net.ipv6.icmp.echo_ignore_all", 1))
      matrix = assert(lab:reach { timeout = PATIENCE })
      assert.is_number(matrix.a.b)
      assert.is_false(matrix.ok)
      assert.equal(1, #matrix.failures)
      local failure = matrix.failures[1]
      assert.same({ "a", "b", "inet6", errno.ETIMEDOUT },
        { failure.from, failure.to, failure.family, failure.errno })
      assert.matches("^a does not reach b: ping a: fd00.*: no reply within",
        failure.message)
      assert.equal(table.concat({
        "           a     b",
        "     a     .  inet",
        "     b   yes     .",
      }, "\n"), tostring(matrix))
      local names = {}
      for name in pairs(matrix) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "a", "b" }, names)
      local ok, message, code = lab:reaches { timeout = PATIENCE }
      assert.is_nil(ok)
      assert.equal(failure.message, message)
      assert.equal(errno.ETIMEDOUT, code)
      assert.is_true(lab:reaches { timeout = PATIENCE, family = "inet" })
    end)

  it("asks over IPv6 where there is no IPv4", function()
    local lab = build { ipv4 = false, switches = { lan = { "r", "h" } } }
    local matrix = assert(lab:reach { timeout = PATIENCE })
    assert.is_number(matrix.h.r)
    assert.is_true(matrix.ok)
  end)

  it("tells that there is no address from that there is no reply", function()
    local lab = build { ipv6 = false, links = { "a -- b" },
      nodes = { c = {}, ok = {} } }
    local matrix = assert(lab:reach { timeout = PATIENCE })
    assert.is_false(matrix.a.c)
    assert.is_number(matrix.a.b)
    local texts = {}
    for _, failure in ipairs(matrix.failures) do
      assert.equal(errno.EADDRNOTAVAIL, failure.errno)
      texts[failure.message] = true
    end
    assert.is_true(texts["a does not reach c: c has no address"])
    assert.is_true(texts["c does not reach a: c has no address"])
    assert.matches("has no address", (select(2, lab:reaches())))
    assert.matches("has no address of inet6$",
      (select(2, lab:reaches { family = "inet6" })):match "[^;]*")
  end)

  it("leaves the neighbours alone that were there before", function()
    local hosts = {}
    for i = 1, 26 do hosts[i] = "h" .. i end
    local lab = build { switches = { s = hosts }, ipv6 = false }
    local function permanent()
      local list = {}
      for _, neighbour in ipairs(assert(lab.h1:neighs())) do
        if neighbour.state:lower() == "permanent" then
          list[#list + 1] = neighbour.dst
        end
      end
      table.sort(list) -- the kernel lists them in no order
      return list
    end
    for _, dst in ipairs { "10.0.0.200", "10.0.0.2" } do -- one is a host's
      assert(lab.h1:neigh_add { dst = dst, link = "eth0",
        lladdr = assert(lab.h2:link "eth0").address })
    end
    local before = permanent()
    assert.equal(2, #before)
    assert(lab:reach { timeout = PATIENCE })
    assert.same(before, permanent())
  end)

  it("fails if a socket cannot be opened", function()
    local script = [[
      local netns = require "netns"
      local lab = assert(require "netns.topology".build {
        switches = { s = { "a", "b", "c", "d" } } })
      assert(lab:reach())
      local files, free = {}, %d
      for _ = 1, free and 1000 or 0 do
        files[#files + 1] = io.open "/dev/null"
      end
      for _ = 1, free or 0 do table.remove(files):close() end
      for _, call in ipairs { "reach", "reaches" } do
        local matrix, message, errno = lab[call](lab)
        print(matrix, type(message), errno)
      end
      lab:close()
    ]]
    local function expected(number)
      return (("nil\tstring\t%d\n"):format(number):rep(2):sub(1, -2))
    end
    -- none free for the pollset, for a socket, for one of several
    for _, free in ipairs { 0, 2, 4 } do
      assert.equal(expected(errno.EMFILE),
        (t.script(script:format(free), "prlimit --nofile=100:100")))
    end
    assert.equal(expected(errno.EPERM), (t.script(
      script:gsub("assert%(lab:reach%(%)%)", ""):gsub("%%d", "nil"),
      "setpriv --bounding-set=-net_raw")))
  end)

  it("of 60 hosts takes 160 descriptors, or fails for want of them", function()
    local script = [[
      local netns = require "netns"
      local hosts = {}
      for i = 1, 60 do hosts[i] = "h" .. i end
      local lab = assert(require "netns.topology".build {
        ipv6 = false, switches = { s = hosts } })
      print(lab:reaches { timeout = %d })
      lab:close()
    ]]
    script = script:format(5 * t.slow)
    -- a handle and a netlink socket for each of 61 nodes
    assert.equal("true", t.script(script, "prlimit --nofile=200:200"))
    local output = t.script(script, "prlimit --nofile=140:140")
    assert.matches("^nil\treach: .*Too many open files.*ulimit.*\t"
      .. errno.EMFILE .. "$", output)
  end)

  it("asks each address at most `count` times", function()
    local lab = build { ipv6 = false, links = { "a -- b" } }
    assert(lab.b:sysctl("net.ipv4.icmp_echo_ignore_all", 1))
    local function asked()
      local snmp = assert(lab.b:capture { "cat", "/proc/net/snmp" }).stdout
      local keys, values = snmp:match "Icmp: (InMsgs[^\n]*)\nIcmp: ([^\n]*)"
      local place, list = nil, {}
      for key in keys:gmatch "%S+" do
        list[#list + 1] = key
        if key == "InEchos" then place = #list end
      end
      local i = 0
      for value in values:gmatch "%S+" do
        i = i + 1
        if i == place then return tonumber(value) end
      end
    end
    local before = asked()
    assert.is_false(lab:reach({ count = 2, timeout = 1 }).a.b)
    assert.equal(2, asked() - before)
  end)
end)
