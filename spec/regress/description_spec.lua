-- Descriptions of wrong types: mistakes with their places, never an error of
-- the library's own.

local netns = require "netns"
local topology = require "netns.topology"
local t = require "spec.support"

local EINVAL = netns.errno.EINVAL

-- What stands for anything: each is made anew, since some are changed.
local function odd_values()
  local cyclic = {}
  cyclic.a, cyclic[1], cyclic.routes = cyclic, cyclic, cyclic
  local function fails() error "a metamethod was called" end
  local hostile = {}
  for _, event in ipairs { "__index", "__newindex", "__len", "__pairs",
    "__ipairs", "__eq", "__lt", "__le", "__call", "__concat", "__tostring",
    "__name", "__mode", "__unm", "__mod", "__close" } do
    hostile[event] = fails
  end
  return {
    5, -1, 0.5, 2 ^ 60, 0 / 0, math.huge, "a", "", "\0", "\27[31m\r\n",
    "\255\254", ("x"):rep(1000), "%s%d", true, false, {}, { 1 }, { { {} } },
    { a = 1 }, { 0 / 0 }, { [1.5] = "a", [-1] = "b" }, { [1] = "a", [3] = "b" },
    { [true] = 1, [print] = 2, [{}] = 3 }, { "a", "a" }, { false },
    { { "a -- b" } }, { ["a\27[2J"] = { ["b\n"] = "\7" } }, cyclic,
    setmetatable({ 1, a = "x", routes = {} }, hostile),
    setmetatable({}, { __index = { "a -- b" } }),
    setmetatable({ "a" }, { __metatable = false }),
    setmetatable({ "a" }, { __metatable = "locked", __index = fails }),
    print, coroutine.create(print), io.stdout, netns.errno,
  }
end

-- A place of a description is where `put` puts a value.
local places = {}
local function place(name, put) places[#places + 1] = { name, put } end

for _, key in ipairs { "nodes", "switches", "links", "routers", "ipv4", "ipv6",
  "named", "bogus", "link\27s" } do
  place(key, function(d, value) d[key] = value end)
  place(key .. "[1]", function(d, value) d[key] = { value } end)
  place(key .. ".lan", function(d, value) d[key] = { lan = value } end)
  place(key .. "[1][1]", function(d, value) d[key] = { { value } } end)
  place(key .. "[1][2]", function(d, value) d[key] = { { "a", value } } end)
  place(key .. ".lan[1]", function(d, value)
    d[key] = { lan = { value, "b" } }
  end)
end
for _, key in ipairs { "eth0", "lo", "routes", "sysctl", "router", "interfaces",
  "bogus", "e\1" } do
  local function in_node(content) return { a = { [key] = content } } end
  place("nodes.a." .. key, function(d, value) d.nodes = in_node(value) end)
  place("nodes.a." .. key .. "[1]", function(d, value)
    d.nodes = in_node { value }
  end)
  for _, inner in ipairs { "default", "10.0.0.0/8", "net.ipv4.tcp_ecn", "eth0",
    "x" } do
    place(("nodes.a.%s.%s"):format(key, inner), function(d, value)
      d.nodes = in_node { [inner] = value }
    end)
    place(("nodes.a.%s.%s[1]"):format(key, inner), function(d, value)
      d.nodes = in_node { [inner] = { value } }
    end)
  end
end
for _, key in ipairs { "delay", "jitter", "loss", "duplicate", "corrupt",
  "reorder", "rate", "limit", "mtu", "ipv4", "ipv6", "bogus" } do
  place("links[1]." .. key, function(d, value)
    d.links = { { "a -- b", [key] = value } }
  end)
  place("switches.lan." .. key, function(d, value)
    d.switches = { lan = { "c", [key] = value } }
  end)
end

local function is_plain(text)
  return not text:find "[%z\1-\9\11-\31\127]" and not text:find "[\254\255]"
end

local function try(where, description)
  local ok, plan, message, errno, mistakes = pcall(topology.plan, description)
  assert(ok, ("%s: %s"):format(where, tostring(plan)))
  if plan then return end
  assert(errno == EINVAL and type(message) == "string"
    and type(mistakes) == "table" and #mistakes > 0
    and message == table.concat(mistakes, "\n"), where)
  assert(is_plain(message), ("%s: %q"):format(where, message))
  for _, mistake in ipairs(mistakes) do
    assert(mistake:find "^%S.-: .", ("%s: no place: %s"):format(where, mistake))
  end
end

describe("a description of wrong types", function()
  t.guard(before_each, after_each)

  it("has mistakes with their places, whatever stands wherever", function()
    for i = 1, #odd_values() do
      for _, entry in ipairs(places) do
        local description = { links = { "a -- b" } }
        entry[2](description, odd_values()[i])
        try(("%s = value %d"):format(entry[1], i), description)
      end
    end
  end)

  it("may be two wrong things at once", function()
    for seed = 1, 400 do
      local values = odd_values()
      local a = places[seed * 7 % #places + 1]
      local b = places[seed * 13 % #places + 1]
      local description = { links = { "a -- b" }, switches = { lan = { "c" } } }
      a[2](description, values[seed * 5 % #values + 1])
      b[2](description, values[seed * 11 % #values + 1])
      try(("%s and %s, seed %d"):format(a[1], b[1], seed), description)
    end
  end)

  it("may be any table", function()
    for i, value in ipairs(odd_values()) do
      if type(value) == "table" then try("value " .. i, value) end
    end
  end)

  it("is not taken for one of nothing if a metatable hides what it says",
    function()
      local hidden = setmetatable({}, { __index = { links = { "a -- b" } } })
      local plan, message = topology.plan(hidden)
      assert.is_nil(plan)
      assert.equal("(the description): its content is behind a metatable, "
        .. "which is not looked into", message)
    end)

  it("shows control characters escaped", function()
    local _, message = topology.plan { links = { "a\27[31m -- b:\1x" } }
    assert.equal('links[1]: "a\\x1b[31m" is no name of a node (letters, '
      .. "digits, _ . -)\nlinks[1]: \\x01x is no name of an interface", message)
    _, message = topology.plan { nodes = { ["\xc3\xa4\xff"] = {} } }
    assert.equal('nodes.\xc3\xa4\\xff: "\xc3\xa4\\xff" is no name of a node '
      .. "(letters, digits, _ . -)", message)
  end)

  it("names the key that was meant, of a node too", function()
    local _, message = topology.plan { links = { { "a -- b", dealy = 1 } },
      nods = {}, nodes = { a = { sysctls = {}, gateway = true } } }
    assert.equal(table.concat({
      "nods: no such key (did you mean 'nodes'?)",
      "nodes.a.gateway: no such key of a node, and no link and no switch has "
        .. "it",
      "nodes.a.sysctls: no link and no switch has it (did you mean 'sysctl'?)",
      "links[1].dealy: no such option (did you mean 'delay'?)",
    }, "\n"), message)
  end)

  it("has node names that others can resolve, of 63 bytes at most", function()
    for name, problem in pairs {
      [("n"):rep(64)] = "has more than 63 bytes",
      localhost = "is no name of a node (others resolve it)",
      ["10.0.0.1"] = "is no name of a node (others resolve it)",
    } do
      local _, message = topology.plan { nodes = { [name] = {} } }
      assert.equal(('nodes.%s: "%s" %s'):format(name, name, problem), message)
    end
    assert(topology.plan { nodes = { [("n"):rep(63)] = {} } })
  end)

  it("has interfaces named like options in `interfaces`", function()
    local plan = assert(topology.plan { ipv6 = false,
      nodes = { a = { interfaces = { routes = "10.9.0.1/24" } } },
      links = { "a:routes -- b:router" } })
    assert.same({ routes = { "10.9.0.1/24" } }, plan.nodes.a.interfaces)
    assert.same({ router = { "10.9.0.2/24" } }, plan.nodes.b.interfaces)
    assert.same(plan, assert(topology.plan(plan)))
    for _, format in ipairs { "dot", "mermaid", "svg" } do
      assert.is_truthy(plan[format](plan):find("10.9.0.2/24", 1, true), format)
    end
  end)

  it("has integral floats for integers", function()
    local plan = assert(topology.plan {
      links = { { "a -- b", mtu = 1400 / 1, limit = 2 ^ 4, rate = 1e6 } },
      nodes = { a = { sysctl = { ["net.ipv4.tcp_fin_timeout"] = 2 ^ 4 } } },
    })
    assert.is_true(t.is_integer(plan.links[1].mtu))
    assert.is_true(t.is_integer(plan.links[1].limit))
    assert.is_true(t.is_integer(
      plan.nodes.a.sysctl["net.ipv4.tcp_fin_timeout"]))
    assert.is_nil(plan:sh():find "16%.0")
  end)

  it("has no more members of a switch than a bridge takes", function()
    local members = {}
    for i = 1, 1023 do members[i] = "h" .. i end
    assert(topology.plan { switches = { lan = members } })
    local _, message = topology.plan { switches = { lan = members, up = {} },
      links = { "lan -- up" } }
    assert.equal("switches.lan: it has 1024 links, and a bridge of Linux takes "
      .. "1023 at most", message)
  end)
end)

describe("a node of a lab #novalgrind", function()
  t.guard(before_each, after_each)

  it("has no fields to set, nor has another handle", function()
    local ns = t.keep(assert(netns.new()))
    local lab = t.keep(assert(topology.build { links = { "a -- b" } }))
    for _, handle in ipairs { ns, lab.nodes.a } do
      assert.has_error(function() handle.x = 1 end,
        "unknown key 'x' in 'handle'")
      assert.has_error(function() handle[{}] = 1 end)
    end
  end)
end)
