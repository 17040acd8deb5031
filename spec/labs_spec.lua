-- Labs in tests, as the README shows them, and what is left of them.

local core = require "netns.core"
local netns = require "netns"
local t = require "spec.support"
local topology = require "netns.topology"

local E = netns.errno

local PAIR = { links = { "a -- r", "r -- b" }, routers = { "r" } }

describe("a lab of each test's own #novalgrind", function()
  t.guard(before_each, after_each)

  local function build(description)
    local lab = assert(topology.build(description or PAIR))
    finally(function() lab:close() end)
    return lab
  end

  it("is what the test has described", function()
    local lab = build()
    assert(lab.a:ping(lab.b))
    assert.same({}, lab:diff())
  end)

  it("is another one each time", function()
    local lab = build()
    assert(lab.a:link_delete "eth0")
    assert.is_nil(lab.a:ping(lab.b))
  end)

  it("has programs that end with it", function()
    local lab = build()
    local daemon = assert(lab.b:spawn({ "sh", "-c",
      "setsid sh -c 'echo $$; exec sleep 1000' & wait" }, { log = true }))
    assert(daemon:wait_log("%d+\n", 30))
    lab:close()
    local _, _, how, code = daemon:wait(30)
    assert.same({ "signal", core.signals.KILL }, { how, code })
    daemon:close()
  end)

  it("is gone when nobody has it any more, with its programs", function()
    local lab = assert(topology.build(PAIR))
    local daemon = assert(lab.b:spawn({ "sleep", "1000" }, { stdout = "null" }))
    local pid = daemon.pid
    lab = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.is_true(t.runs(pid)) -- who has the process has its lab
    daemon = nil -- luacheck: ignore 311
    t.eventually(function()
      collectgarbage()
      local state = t.sh("ps -o stat= -p %d", pid)
      return state == "" or state:find "^Z" -- its end is told only then
    end)
    assert(netns.exec(netns.current(), { "true" })) -- takes its status
  end)

  it("may be one of many", function()
    local labs = {}
    for i = 1, t.many(20) do labs[i] = build() end
    for _, lab in ipairs(labs) do assert(lab.a:ping(lab.b)) end
  end)

  it("may be built and used in a coroutine", function()
    local step = coroutine.wrap(function()
      local lab = build()
      coroutine.yield()
      coroutine.yield(lab:eventually(function() return lab.a:ping(lab.b) end))
    end)
    step()
    assert.is_table(step())
  end)
end)

describe("a lab that tests share #novalgrind", function()
  local lab

  setup(function()
    lab = assert(topology.build(PAIR))
    assert(lab.a:exec { "true" }) -- its keeper has started
  end)

  teardown(function() lab:close() end)

  t.guard(before_each, after_each)

  it("is changed by a test that puts it right again", function()
    local link = assert(lab:link("a", "r"))
    finally(function() assert(link:set { up = true }) end)
    assert(link:set { up = false })
    assert.is_nil(lab.a:ping(lab.b, { timeout = 0.1 }))
  end)

  it("is as it was for the next one", function()
    assert.same({}, lab:diff())
    assert(lab:eventually(function() return lab.a:ping(lab.b) end, 30))
  end)
end)

describe("in a lab #novalgrind", function()
  t.guard(before_each, after_each)

  local function build(description)
    return t.keep(assert(topology.build(description)))
  end

  it("a wait for a log tells what was written last", function()
    local lab = build(PAIR)
    for script, last in pairs {
      ["echo 1; echo 'bad line 7' >&2; echo"] = "; it wrote last: bad line 7",
      ["true"] = "",
    } do
      local process = t.keep(assert(lab.a:spawn({ "sh", "-c", script },
        { log = true })))
      local ok, message, errno = process:wait_log("ready", 30)
      assert.is_nil(ok)
      assert.equal(E.ESRCH, errno)
      assert.equal('spawn a: sh: it has ended without "ready"' .. last, message)
    end
    local process = t.keep(assert(lab.a:spawn({ "sh", "-c",
      "echo starting; exec sleep 1000" }, { log = true })))
    assert(process:wait_log("starting", 30))
    local _, message = process:wait_log("ready", 0.01)
    assert.matches('"ready"; it wrote last: starting$', message)
  end)

  it("a node is pinged by an address on a link that is up", function()
    local lab = build { links = { "a -- b", "a -- b" } }
    local first = lab.b.addresses.eth0[1]
    local second = lab.b.addresses.eth1[1]
    assert.equal(first, lab.a:ping(lab.b).address)
    local link = assert(lab:link("a:eth0", "b:eth0"))
    assert(link:set { up = false })
    assert.equal(second, lab.a:ping(lab.b).address)
    for _, family in ipairs { "inet", "inet6" } do
      assert.is_number(lab:reach({ family = family }).a.b)
    end
    assert(link:set { up = true })
    assert.equal(first, lab.a:ping(lab.b).address)
  end)

  it("a node is pinged by what it has got, where nothing is said", function()
    local lab = build {
      nodes = { a = { eth0 = "192.0.2.1/24" }, b = { eth0 = {} } },
      links = { "a:eth0 -- b:eth0" },
    }
    assert.equal(E.EADDRNOTAVAIL, select(3, lab.a:ping(lab.b)))
    assert.is_false(lab:reach({ timeout = 0 }).a.b)
    assert(lab.b:addr_add("eth0", "192.0.2.7/24"))
    assert.equal("192.0.2.7", lab.a:ping(lab.b).address)
    assert.is_number(lab:reach().a.b)
  end)

  it("the routes of daemons are no difference, others are", function()
    local lab = build(PAIR)
    local route = { to = "198.51.100.0/24", via = lab.a.addresses[1] }
    route.protocol = "bird"
    assert(lab.r:route_add(route))
    assert.same({}, lab:diff())
    route.protocol, route.to = "static", "203.0.113.0/24"
    assert(lab.r:route_add(route))
    assert.same({ ("nodes.r: route 203.0.113.0/24 via %s was not asked for")
      :format(route.via) }, lab:diff())
  end)

  it("an address of lo, or a link-local one, is found if asked for", function()
    local lab = build {
      nodes = { a = { lo = "127.0.0.1/8", eth0 = "fe80::1/64" } },
      links = { "a:eth0 -- b" },
    }
    assert.same({}, lab:diff())
    assert(lab.a:addr_delete("eth0", "fe80::1/64"))
    assert.same({ "nodes.a.eth0: address fe80::1/64 is missing" }, lab:diff())
  end)

  it("a link cannot be changed when the lab is closed", function()
    local lab = build(PAIR)
    local link = assert(lab:link("a", "r"))
    lab:close()
    local ok, message = pcall(link.set, link, { up = false })
    assert.is_false(ok)
    assert.matches("its lab is closed", message)
  end)
end)

describe("a description", function()
  local function mistakes(description)
    return select(4, topology.plan(description))
  end

  it("has no holes, behind which nothing would be built", function()
    assert.same({ "links: has holes" },
      mistakes { links = { "a -- b", nil, "c -- d" } })
  end)

  it("has one next hop of a family for a destination", function()
    local a = {
      eth0 = { "10.1.0.1/24", "fd01::1/64" },
      routes = { default = { "10.1.0.2", "fd01::2" } },
    }
    local description = { nodes = { a = a }, links = { "a:eth0 -- b" } }
    assert.is_nil(mistakes(description))
    a.routes.default[3] = "10.1.0.3"
    assert.same({
      "nodes.a.routes.default: 10.1.0.3 is the second of its family",
    }, mistakes(description))
  end)

  it("has no interface whose name is a pattern to the kernel", function()
    assert.same({ "links[1]: eth%d is no name of an interface" },
      mistakes { links = { "a:eth%d -- b" } })
  end)
end)

describe("a host with labs #novalgrind", function()
  t.guard(before_each, after_each)

  -- A lab with programs that would rather live on; their marker is $0.
  local script = [[
    local core = require "netns.core"
    local topology = require "netns.topology"
    local lab = assert(topology.build { named = NAMED, links = { "a -- b" } })
    assert(lab.a:spawn({ "sh", "-c",
      "setsid sh -c 'trap \"\" HUP TERM; sleep 1000; :' MARK & exit" }))
    assert(lab.b:spawn({ "setsid", "sh", "-c", "sleep 1000; :", "MARK" }))
  ]]

  local ends = {
    ["os.exit"] = "os.exit(0)",
    ["an error"] = "error 'boom'",
    ["an error in a coroutine"] = "coroutine.wrap(error) 'boom'",
    ["SIGKILL"] = "os.execute 'kill -9 $PPID'",
    ["SIGTERM"] = "os.execute 'kill -15 $PPID'",
  }

  for _, named in ipairs { false, true } do
    for title, code in pairs(ends) do
      it(("leaves nothing after %s%s"):format(title,
        named and ", with names" or ""), function()
          local mark = t.name()
          t.script((script .. code):gsub("%u%u%u%u+",
            { MARK = mark, NAMED = tostring(named) }))
          t.eventually(function()
            local _, running = t.sh("pgrep -f '[s]leep 1000; : %s'", mark)
            return running == 1 and #netns.names() == 0
          end)
        end)
    end
  end

  it("leaves no names when it is killed at any moment", function()
    for i = 1, t.many(20) do
      local building = t.background([[
        local topology = require "netns.topology"
        local links = {}
        for n = 1, 10 do links[n] = ("a%d -- r"):format(n) end
        print(io.open "/proc/self/stat":read "*n")
        io.stdout:flush()
        while true do
          assert(topology.build { links = links, named = true }):close()
        end
      ]], "exec 2>/dev/null;") -- whose shell would tell that it was killed
      local pid = building:read "*n"
      t.sh("sleep 0.%03d", i * 7 % 100 + 20) -- another moment each time
      t.stop(pid)
      building:close()
      t.eventually(function() return #netns.names() == 0 end)
    end
  end)
end)

describe("in a user namespace with the processes of all #novalgrind", function()
  t.guard(before_each, after_each)

  it("programs run in a lab, and the host's own go on outside", function()
    local output, status = t.script([[
      local topology = require "netns.topology"
      local lab = assert(topology.build { links = { "a -- b" } })
      for _ = 1, 3 do
        assert(lab.a:exec { "sh", "-c", "test $(ps -e | wc -l) -lt 10" })
      end
      print(lab.a:exec { "/no-such-program" })
      print(lab.a:ping(lab.b) ~= nil)
      assert(os.execute "test -d /proc/$PPID")
      lab:close()
      assert(os.execute "true")
      print "still here"
    ]], t.nobody .. " unshare --user --map-root-user --net --mount")
    assert.equal(0, status, output)
    assert.matches("/no%-such%-program: No such file or directory\t2\ntrue\n"
      .. "still here$", output)
  end)
end)
