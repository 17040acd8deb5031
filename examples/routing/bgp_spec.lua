-- A routing daemon under test: BIRD speaks BGP on three routers in a triangle,
-- with a host at two of them. The network, the daemons and their files are made
-- for the tests and are gone with them.
--
--   busted examples/routing
--
-- Wants bird2, and root (or netns.rootless).

local netns = require "netns"
local topology = require "netns.topology"

-- A node of which no routes are said would get static ones along shortest
-- paths. These have none: BIRD is to find the way. The hosts a and b get their
-- default route.
local ROUTER = { router = true, routes = {} }

local TRIANGLE = {
  nodes = { r1 = ROUTER, r2 = ROUTER, r3 = ROUTER },
  links = {
    "r1:to_r2 -- r2:to_r1",
    "r2:to_r3 -- r3:to_r2",
    "r1:to_r3 -- r3:to_r1",
    "a -- r1:hosts",
    "b -- r2:hosts",
  },
}

local ROUTERS = { "r1", "r2", "r3" }
local NUMBER = { r1 = 65001, r2 = 65002, r3 = 65003 } -- of autonomous systems
local FAMILIES = { "ipv4", "ipv6" } -- in the order of a node's addresses
local PATIENCE = 20 -- seconds for what takes one or two

-- BIRD ------------------------------------------------------------------------

local CONFIG = [[
log stderr all;
router id 10.255.0.ID;
protocol device { }
protocol direct { ipv4; ipv6; }
protocol kernel { ipv4 { export where source = RTS_BGP; }; }
protocol kernel { ipv6 { export where source = RTS_BGP; }; }
template bgp neighbour {
  local as AS;
  direct;
  hold time 3;
  keepalive time 1;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 1;
}
]]

local NEIGHBOUR = [[
protocol bgp NAME_FAMILY from neighbour {
  neighbor ADDRESS as AS;
  FAMILY { import IMPORT; export all; next hop self; };
}
]]

-- The text with its words in capitals replaced.
local function fill(text, words)
  return (text:gsub("%u+", words))
end

-- The configuration of a router. `import` has the filters for what it hears of
-- some neighbours.
local function configuration(lab, name, import)
  local parts = { fill(CONFIG, { ID = name:match "%d+", AS = NUMBER[name] }) }
  for _, other in ipairs(ROUTERS) do
    local addresses = lab[other].addresses["to_" .. name]
    for i, family in ipairs(addresses and FAMILIES or {}) do
      parts[#parts + 1] = fill(NEIGHBOUR, {
        NAME = other, FAMILY = family, ADDRESS = addresses[i],
        AS = NUMBER[other], IMPORT = import and import[other] or "all",
      })
    end
  end
  return table.concat(parts)
end

-- Starts BIRD on a router, with all of its files in a directory.
local function start_bird(lab, name, directory, import)
  local path = directory .. "/" .. name
  local file = assert(io.open(path .. ".conf", "w"))
  file:write(configuration(lab, name, import))
  file:close()
  local bird = assert(lab[name]:spawn({
    "bird", "-f", "-c", path .. ".conf", "-s", path .. ".ctl",
    "-P", path .. ".pid",
  }, { log = true }))
  assert(bird:wait_log("Started", PATIENCE))
  return bird
end

-- The lab ---------------------------------------------------------------------

-- What the tests run in: `lab`, the network; `bird`, the daemon of each router
-- that runs; `directory`, their files.
local function make()
  local self = { lab = assert(topology.build(TRIANGLE)), bird = {} }
  local pipe = assert(io.popen "mktemp -d")
  self.directory = pipe:read "*l"
  pipe:close()
  return self
end

-- `imports` has the filters of each router, if any.
local function start_all(self, imports)
  for _, name in ipairs(ROUTERS) do
    self.bird[name] = start_bird(self.lab, name, self.directory,
      imports and imports[name])
  end
end

local function unmake(self)
  self.lab:close() -- the daemons, too
  os.execute(("rm -r '%s'"):format(self.directory))
end

-- Why the tests cannot run here, if they cannot.
local function find_obstacle()
  local lab, message, errno = topology.build(TRIANGLE)
  if errno == netns.errno.EPERM or errno == netns.errno.EOPNOTSUPP then
    return message
  end
  assert(lab, message)
  local found = assert(lab.r1:capture { "sh", "-c", "command -v bird" }).ok
  lab:close()
  return not found and "bird is not installed" or nil
end

-- Assertions ------------------------------------------------------------------

-- Becomes true: what a node sends to the host b leaves by this link.
local function goes_by(self, name, link)
  for _, address in ipairs(self.lab.b.addresses) do
    assert(self.lab:eventually(function()
      local route, message = self.lab[name]:route_get(address)
      if not route then return nil, message end
      return route.link == link, address .. " by " .. route.link
    end, PATIENCE))
  end
end

-- Becomes true: each node reaches each other, in IPv4 and IPv6.
local function all_reached(self)
  for _, family in ipairs { "inet", "inet6" } do
    assert(self.lab:eventually(function()
      local matrix = assert(self.lab:reach { family = family })
      for from, row in pairs(matrix) do
        for to, reached in pairs(row) do
          if not reached then return nil, from .. " does not reach " .. to end
        end
      end
      return true
    end, PATIENCE))
  end
end

-- Tests -----------------------------------------------------------------------

local obstacle = find_obstacle()

describe("BGP in a triangle", function()
  if obstacle then return pending(obstacle) end
  local net -- one for all of these tests, which leave it as it was

  setup(function()
    net = make()
    start_all(net)
  end)

  teardown(function() unmake(net) end)

  it("has every node reach every other", function()
    all_reached(net)
  end)

  it("takes the direct way", function()
    goes_by(net, "r1", "to_r2")
    goes_by(net, "r3", "to_r2")
  end)

  it("leaves no route behind when it ends", function()
    goes_by(net, "r3", "to_r2")
    net.bird.r3:close()
    assert.same({}, net.lab.r3:routes { protocol = "bird" })
    net.bird.r3 = start_bird(net.lab, "r3", net.directory)
    goes_by(net, "r3", "to_r2")
  end)

  it("goes the other way round while a link is down", function()
    local link = assert(net.lab:link("r1", "r2"))
    finally(function() assert(link:set { up = true }) end)
    goes_by(net, "r1", "to_r2")
    assert(link:set { up = false })
    goes_by(net, "r1", "to_r3")
    all_reached(net)
    assert(link:set { up = true })
    goes_by(net, "r1", "to_r2")
    all_reached(net)
    assert.same({}, net.lab:diff())
  end)
end)

describe("BGP in a triangle of each test's own", function()
  if obstacle then return pending(obstacle) end

  local function begin(imports)
    local net = make()
    finally(function() unmake(net) end)
    start_all(net, imports)
    return net
  end

  it("follows the preferences of a router", function()
    local net =
      begin { r1 = { r3 = "filter { bgp_local_pref = 200; accept; }" } }
    goes_by(net, "r1", "to_r3")
    goes_by(net, "r3", "to_r2")
  end)

  it("gives a router up that is silent for the hold time", function()
    local net = begin()
    goes_by(net, "r1", "to_r2")
    assert(net.bird.r2:kill "STOP") -- its kernel still answers for it
    assert(net.bird.r1:wait_log("Hold timer expired", PATIENCE))
    assert(net.lab:eventually(function()
      return not net.lab.r1:route_get(net.lab.b.addresses[1])
    end, PATIENCE))
    assert(net.bird.r2:kill "CONT")
    goes_by(net, "r1", "to_r2")
  end)
end)
