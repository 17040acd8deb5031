local apart = require "netns.topology.layout_boxes"
local dot = require "netns.topology.dot"
local format = require "netns.topology.format"
local mermaid = require "netns.topology.mermaid"
local order = require "netns.topology.order"
local svg = require "netns.topology.svg"
local t = require "spec.support"

local slow = t.slow

local pictures = { dot = dot, mermaid = mermaid, svg = svg }

local small = {
  nodes = {
    client = { eth0 = { "10.0.0.1/24", "fd00::1/64" },
      routes = { default = { "10.0.0.2" } } },
    r = { router = true, eth0 = { "10.0.0.2/24" }, eth1 = {},
      lo = { "192.0.2.1/32" }, sysctl = { ["net.ipv4.ip_forward"] = 1 } },
    a = { up = { "10.0.1.9/24" } },
  },
  switches = { lan = { "r:eth1", "a:up", rate = 1e8 } },
  links = { { "client:eth0", "r:eth0", delay = 0.01, jitter = 0.002,
    loss = 0.001, mtu = 1400 } },
}

-- Names that mean something in one of the languages.
local hostile = { '"', "\\", "<b>", "&amp;", "#", ";", "]]", "|", "`x`",
  "--", "%d", "\1", "\200", "{}", "'" }

local function hostile_plan()
  local plan = { nodes = { ["end"] = {}, ["-.-"] = {}, node = {} }, links = {},
    switches = { graph = { "node:x", delay = 1 } } }
  plan.nodes.node.x = { "10.0.0.1/24" }
  for i, name in ipairs(hostile) do
    plan.nodes["end"][name] = { ("10.0.%d.1/24"):format(i) }
    plan.nodes["-.-"][name] = {}
    plan.links[i] = { "end:" .. name, "-.-:" .. name, mtu = 1280 }
  end
  return plan
end

-- Makes plans: link(a, b, options), lan(name, nodes, options), plan.
local function planner(prefix6)
  local plan, subnet, count = { nodes = {}, switches = {}, links = {} }, 0, {}
  local function plug(name, host)
    local node = plan.nodes[name] or { router = name:find "^r" and true or nil }
    plan.nodes[name] = node
    local interface = ("eth%d"):format(count[name] or 0)
    count[name] = (count[name] or 0) + 1
    node[interface] = { ("10.1.%d.%d/24"):format(subnet, host),
      ("%s:%x::%d/64"):format(prefix6 or "fd00", subnet, host) }
    return name .. ":" .. interface
  end
  local function copy(options)
    local link = {}
    for key, value in pairs(options or {}) do link[key] = value end
    return link
  end
  return {
    plan = plan,
    link = function(a, b, options)
      local link = copy(options)
      link[1], link[2] = plug(a, 1), plug(b, 2)
      plan.links[#plan.links + 1] = link
      subnet = subnet + 1
    end,
    lan = function(name, nodes, options)
      local switch = copy(options)
      for i, node in ipairs(nodes) do switch[i] = plug(node, i) end
      plan.switches[name] = switch
      subnet = subnet + 1
    end,
  }
end

local function n(letter, i) return letter .. ("%d"):format(i) end

local function names(letter, count)
  local list = {}
  for i = 1, count do list[i] = n(letter, i) end
  return list
end

local impaired = { delay = 0.01, jitter = 0.002, loss = 0.001, rate = 1e8,
  mtu = 1400 }

-- A plan with `count` routers, each but the first linked to one before it, and
-- `more` links at random, the same every time.
local function random_plan(seed, count, more)
  local state = seed
  local function random(limit)
    state = (state * 16807) % 2147483647
    return state % limit + 1
  end
  local p = planner()
  for i = 2, count do p.link(n("r", random(i - 1)), n("r", i)) end
  for _ = 1, more do
    local a, b = random(count), random(count)
    if a ~= b then p.link(n("r", a), n("r", b), impaired) end
  end
  return p.plan
end

local plans = {}

local function plan_of(name, prefix6, fn)
  local p = planner(prefix6)
  fn(p)
  plans[#plans + 1] = { name, p.plan }
end

plan_of("two hosts and a router", nil, function(p)
  p.link("client", "r", impaired)
  p.link("r", "server")
end)
plan_of("a chain", nil, function(p)
  for i = 1, 9 do p.link(n("r", i), n("r", i + 1), impaired) end
end)
plan_of("a ring with hosts", nil, function(p)
  for i = 1, 6 do p.link(n("r", i), n("r", i % 6 + 1)) end
  for i = 1, 6 do p.link(n("r", i), n("h", i)) end
end)
plan_of("a switch with 25 hosts", nil, function(p)
  p.lan("lan", names("h", 25), { rate = 1e9 })
end)
plan_of("a tree of 30", nil, function(p)
  for i = 1, 29 do
    p.link(n("n", i > 4 and (i - 1) % 4 + 1 or 0), n("n", i), impaired)
  end
end)
plan_of("a mesh of 6", nil, function(p)
  for i = 1, 6 do for j = i + 1, 6 do p.link(n("r", i), n("r", j)) end end
end)
plan_of("a fabric of two tiers", nil, function(p)
  for i = 1, 4 do
    for j = 1, 2 do p.link(n("spine", j), n("leaf", i), impaired) end
  end
  for i = 1, 20 do p.link(n("leaf", i % 4 + 1), n("h", i)) end
end)
plan_of("a grid", nil, function(p)
  for i = 0, 29 do
    if i % 6 < 5 then p.link(n("r", i), n("r", i + 1)) end
    if i < 24 then p.link(n("r", i), n("r", i + 6)) end
  end
end)
plan_of("links side by side", nil, function(p)
  for _ = 1, 3 do p.link("a", "b", impaired) end
  for _ = 1, 2 do p.link("b", "c") end
  p.link("c", "d", impaired)
  p.link("d", "b", impaired)
end)
plan_of("long names", "2001:db8:1234:5678:9abc", function(p)
  local ring = {}
  for i = 1, 4 do ring[i] = n("r-" .. ("long-name"):rep(3), i) end
  for i = 1, 4 do p.link(ring[i], ring[i % 4 + 1], impaired) end
  for i = 1, 4 do p.link(ring[i], n(("host-"):rep(6), i)) end
end)
plan_of("parts", nil, function(p)
  p.lan("lan", { "a", "b", "r1" })
  p.link("x", "y")
  p.link("r7", "r8")
  p.link("r8", "r9")
  p.link("r9", "r7", impaired)
  p.plan.nodes.alone = { lo = { "192.0.2.1/32" } }
end)
plan_of("a ring with large trees", nil, function(p)
  for i = 1, 4 do p.link(n("r", i), n("r", i % 4 + 1), impaired) end
  for i = 1, 4 do p.link(n("r", i), n("r", i + 4)) end
  for i = 1, 24 do p.link(n("r", i % 4 + 5), n("h", i)) end
end)
plan_of("a ring with two hosts each", nil, function(p)
  for i = 1, 10 do p.link(n("r", i), n("r", i % 10 + 1)) end
  for i = 1, 20 do p.link(n("r", i % 10 + 1), n(("host-"):rep(5), i)) end
end)
plan_of("nothing", nil, function() end)
for seed = 1, 12 do
  plans[#plans + 1] = { "at random " .. n("", seed),
    random_plan(seed, 4 + seed * 2, seed % 5 * 3) }
end

-- The SVG of one of the plans, which several tests look at.
local texts_of = {}
local function drawn(plan)
  texts_of[plan] = texts_of[plan] or svg(plan)
  return texts_of[plan]
end

-- The rectangles of a picture by class: { x1, y1, x2, y2 }.
local function rectangles(text)
  local list = {}
  for class, x, y, w, h in text:gmatch
    '<rect class="(%l+)" x="(%S+)" y="(%S+)" width="(%S+)" height="(%S+)"' do
    list[#list + 1] = { tonumber(x), tonumber(y), tonumber(x) + tonumber(w),
      tonumber(y) + tonumber(h), class = class }
  end
  return list
end

local function is_node(box)
  return box.class == "host" or box.class == "router" or box.class == "switch"
end

local function shared(a, b)
  return math.min(a[3] - b[1], b[3] - a[1], a[4] - b[2], b[4] - a[2])
end

local function count_of(map)
  local count = 0
  for _ in pairs(map) do count = count + 1 end
  return count
end

-- A file with a text, which the test removes.
local function with_file(text, fn)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local ok, err = pcall(fn, path)
  os.remove(path)
  if not ok then error(err, 0) end
end

-- What Python's parser says to some XML: an empty text if it is well-formed.
local function parse(path)
  return (t.sh("python3 -c 'import sys, xml.dom.minidom as d; "
    .. "d.parse(sys.argv[1])' %s", path))
end

describe("A picture of a plan", function()
  t.guard(before_each, after_each)

  it("in DOT has a table for each node, and edges between its rows", function()
    assert.same([[
graph topology {
  graph [rankdir=LR ranksep=0.8 nodesep=0.3 overlap=false];
  node [shape=plain fontname="sans-serif" fontsize=10];
  edge [fontname="sans-serif" fontsize=10];
  "a" [label=<
    <TABLE CELLSPACING="0" CELLPADDING="4" BORDER="1" CELLBORDER="0"
      STYLE="ROUNDED" BGCOLOR="#e3effb">
      <TR><TD><FONT POINT-SIZE="12"><B>a</B></FONT></TD></TR>
      <TR><TD PORT="i1">up<BR/>10.0.1.9/24</TD></TR>
    </TABLE>>];
  "client" [label=<
    <TABLE CELLSPACING="0" CELLPADDING="4" BORDER="1" CELLBORDER="0"
      STYLE="ROUNDED" BGCOLOR="#e3effb">
      <TR><TD><FONT POINT-SIZE="12"><B>client</B></FONT></TD></TR>
      <TR><TD PORT="i1">eth0<BR/>10.0.0.1/24<BR/>fd00::1/64</TD></TR>
    </TABLE>>];
  "r" [label=<
    <TABLE CELLSPACING="0" CELLPADDING="4" BORDER="2" CELLBORDER="1"
      BGCOLOR="#fdebd3">
      <TR><TD><FONT POINT-SIZE="12"><B>r</B></FONT></TD></TR>
      <TR><TD PORT="i1">eth0<BR/>10.0.0.2/24</TD></TR>
      <TR><TD PORT="i2">eth1</TD></TR>
      <TR><TD PORT="i3">lo<BR/>192.0.2.1/32</TD></TR>
    </TABLE>>];
  "lan" [shape=box3d style=filled fillcolor="#e6e6e6" fontsize=12];
  "client":i1 -- "r":i1 [label="10ms ±2ms, 0.1% loss, mtu 1400"];
  "lan" -- "r":i2 [label="100mbit"];
  "lan" -- "a":i1 [label="100mbit"];
}
]], dot(small))
  end)

  it("in Mermaid has addresses in nodes, and interfaces at edges", function()
    assert.same([=[
graph LR
  n1("a<br/>up 10.0.1.9/24")
  n2("client<br/>eth0 10.0.0.1/24 fd00::1/64")
  n3{{"r<br/>eth0 10.0.0.2/24<br/>eth1<br/>lo 192.0.2.1/32"}}
  n4[["lan"]]
  n2 ---|"eth0 – eth0<br/>10ms ±2ms<br/>0.1#37; loss<br/>mtu 1400"| n3
  n4 ---|"eth1<br/>100mbit"| n3
  n4 ---|"up<br/>100mbit"| n1
]=], mermaid(small))
  end)

  it("in SVG has everything as text", function()
    local text = svg(small)
    local seen = {}
    for word in text:gmatch ">([^<>]+)</text>" do
      seen[#seen + 1] = word
    end
    table.sort(seen)
    assert.same({ "10.0.0.1/24", "10.0.0.2/24", "10.0.1.9/24", "100mbit",
      "100mbit", "10ms ±2ms, 0.1% loss", "a", "client", "eth0", "eth0",
      "eth1", "fd00::1/64", "lan", "lo 192.0.2.1/32", "mtu 1400", "r",
      "up" }, seen)
    assert.truthy(text:find("<desc>4 nodes, 3 links</desc>", 1, true))
  end)

  it("in SVG is this, to the byte", function()
    local text = svg { nodes = { a = { eth0 = { "10.0.0.1/24" } },
      b = { router = true, x = {} } },
      links = { { "a:eth0", "b:x", delay = 0.5 } } }
    assert.same([[
<path class="link" d="M53.6 38L229.8 38"/>
<rect class="paper" x="75.6" y="26" width="63.7" height="24" rx="0"/>
<text class="strong" x="107.4" y="35.5">eth0</text>
<text x="107.4" y="47.5">10.0.0.1/24</text>
<rect class="paper" x="205.4" y="32" width="13.4" height="12" rx="0"/>
<text class="strong" x="212.1" y="41.5">x</text>
<rect class="middle" x="150.3" y="30" width="44.2" height="16" rx="5"/>
<text x="172.4" y="41.5">500ms</text>
<rect class="host" x="24" y="24" width="29.6" height="28" rx="5"/>
<text class="name" x="38.8" y="42.5">a</text>
<rect class="router" x="229.8" y="24" width="29.6" height="28" rx="14"/>
<text class="name" x="244.6" y="42.5">b</text>
</svg>
]], text:match "\n(<path.*)")
  end)

  it("names quantities as people do", function()
    local function texts(options) return format.impairments(options) end
    assert.same({}, texts {})
    assert.same({ "1.5s ±250us" }, texts { delay = 1.5, jitter = 250e-6 })
    assert.same({ "±2ms" }, texts { jitter = 0.002 })
    assert.same({ "0s", "100% loss", "1% duplicate", "0.01% corrupt",
      "25% reorder", "1.5gbit", "limit 1000", "mtu 65535" },
      texts { delay = 0, loss = 1, duplicate = 0.01, corrupt = 1e-4,
        reorder = 0.25, rate = 1.5e9, limit = 1000, mtu = 65535 })
    assert.same({ "0.5us" }, texts { delay = 5e-7 })
    assert.same("9.6kbit", format.rate(9600))
    assert.same("999bit", format.rate(999))
    assert.same("2tbit", format.rate(2e12))
  end)

  it("has names in the order in which people count", function()
    local function sorted(...)
      local map = {}
      for _, name in ipairs { ... } do map[name] = true end
      return order.names(map)
    end
    assert.same({ "a", "eth0", "eth2", "eth10", "lo" },
      sorted("eth10", "lo", "eth2", "a", "eth0"))
    assert.same({ "01", "1", "h1", "h1-2", "h1-10", "h2", "h010" },
      sorted("h010", "h2", "h1-10", "h1", "h1-2", "1", "01"))
  end)

  it("tells hosts, routers and switches apart", function()
    local kinds = {}
    for _, box in ipairs(rectangles(svg(small))) do
      if is_node(box) then kinds[#kinds + 1] = box.class end
    end
    table.sort(kinds)
    assert.same({ "host", "host", "router", "switch" }, kinds)
  end)

  it("does not change the plan, and is the same every time", function()
    for kind, draw in pairs(pictures) do
      for _, entry in ipairs(plans) do
        local first = draw(entry[2])
        assert.same(first, draw(entry[2]), kind .. ", " .. entry[1])
      end
    end
    local before = { small.nodes.r.eth0[1], small.links[1][1],
      count_of(small.nodes.r), count_of(small.links[1]) }
    svg(small)
    assert.same({ "10.0.0.2/24", "client:eth0", 5, 6 }, before)
    assert.same(before, { small.nodes.r.eth0[1], small.links[1][1],
      count_of(small.nodes.r), count_of(small.links[1]) })
  end)

  it("is the same in every Lua, whatever its hash seed", function()
    local script = [[
      local plan = { nodes = {}, links = {}, switches = {} }
      for i = 40, 1, -1 do
        plan.nodes["n" .. i] = { x = { "10.0.0.1/24" }, y = {}, z = {} }
      end
      for i = 1, 40 do
        plan.links[i] = { "n" .. i .. ":y", "n" .. i % 40 + 1 .. ":z",
          mtu = 99, delay = i / 7, loss = 1 / i }
      end
      for i = 10, 1, -1 do plan.switches["s" .. i] = { "n" .. i .. ":x" } end
      for _, kind in ipairs { "dot", "mermaid", "svg" } do
        io.write((require("netns.topology." .. kind)(plan)))
      end]]
    local first, code = t.script(script)
    assert.same(0, code, first)
    assert.truthy(first:find "</svg>$")
    for _, lua in ipairs { t.lua, "lua5.1", "lua5.2", "lua5.3", "luajit" } do
      if t.sh("command -v %s", lua) ~= "" then
        assert.same(first, (t.script(script, "", lua)), lua)
      end
    end
  end)
end)

describe("A picture in SVG", function()
  t.guard(before_each, after_each)

  it("is well-formed XML", function()
    local all = { { "hostile", hostile_plan() }, plans[6], plans[11] }
    for _, entry in ipairs(all) do
      with_file(svg(entry[2]), function(path)
        assert.same("", parse(path), entry[1])
      end)
    end
    with_file("<svg><text></svg>", function(path)
      assert.truthy(parse(path):find "mismatched tag")
    end)
  end)

  it("escapes names", function()
    local text = svg(hostile_plan())
    for _, name in ipairs { "&lt;b&gt;", "&amp;amp;", "&quot;" } do
      assert.truthy(text:find(">" .. name .. "<", 1, true), name)
    end
    assert.falsy(text:find "[%z\1-\9\11-\31\200]")
  end)

  for _, entry in ipairs(plans) do
    local name, plan = entry[1], entry[2]

    it("has no node on another, and nothing outside: " .. name, function()
      local text = drawn(plan)
      local width, height = text:match 'viewBox="0 0 (%S+) (%S+)"'
      width, height = tonumber(width), tonumber(height)
      local boxes, nodes = rectangles(text), {}
      for _, box in ipairs(boxes) do
        assert(box[1] >= 0 and box[2] >= 0 and box[3] <= width
          and box[4] <= height, name .. ": outside")
        if is_node(box) then nodes[#nodes + 1] = box end
      end
      assert.same(count_of(plan.nodes) + count_of(plan.switches), #nodes)
      for i, box in ipairs(boxes) do
        for j, node in ipairs(boxes) do
          if i ~= j and is_node(node) then
            assert(shared(box, node) <= 0.2, ("%s: %s on %s"):format(name,
              box.class, node.class))
          end
        end
      end
    end)

    it("has no label on another: " .. name, function()
      local boxes = rectangles(drawn(plan))
      for i, box in ipairs(boxes) do
        for j = i + 1, #boxes do
          assert(shared(box, boxes[j]) <= 0.2, name)
        end
      end
    end)
  end

  it("has what a link does between the labels of its ends", function()
    local found = 0
    for i = 1, 7 do
      local boxes = rectangles(drawn(plans[i][2]))
      for k = 3, #boxes do
        local tail, head, middle = boxes[k - 2], boxes[k - 1], boxes[k]
        if middle.class == "middle" and tail.class == "paper"
          and head.class == "paper" then
          local function way(from, to, side)
            return to[side] + to[side + 2] - from[side] - from[side + 2]
          end
          found = found + 1
          assert(way(tail, middle, 1) * way(middle, head, 1)
            + way(tail, middle, 2) * way(middle, head, 2) > 0, plans[i][1])
        end
      end
    end
    assert.same(1 + 9 + 29 + 8, found)
  end)

  it("has a chain in one line, from left to right", function()
    local boxes = rectangles(drawn(plans[2][2]))
    local last
    for _, box in ipairs(boxes) do
      if is_node(box) then
        assert.same(boxes[#boxes][2], box[2])
        assert(not last or box[1] > last[3])
        last = box
      end
    end
  end)

  it("has a path of its own for each of several links between two", function()
    local paths, seen = 0, {}
    for path in drawn(plans[9][2]):gmatch '<path class="link" d="([^"]+)"' do
      assert.falsy(seen[path])
      seen[path], paths = true, paths + 1
    end
    assert.same(7, paths)
  end)

  it("is soon there, also of a thousand nodes #novalgrind", function()
    local least = math.huge
    for _ = 1, 3 do -- others may be at work
      local start = os.clock()
      svg(random_plan(5, 30, 30))
      least = math.min(least, os.clock() - start)
    end
    assert(least < 0.3 * slow)
    local start = os.clock()
    svg(random_plan(7, 1000, 400))
    local p = planner()
    p.lan("lan", names("h", 1000))
    svg(p.plan)
    assert(os.clock() - start < 20 * slow)
  end)
end)

describe("Boxes on one another", function()
  t.guard(before_each, after_each)

  local function thing(x, y, w, h)
    return { x = x, y = y, left = w / 2, right = w / 2, up = h / 2,
      down = h / 2 }
  end

  local function none_shared(things)
    for i, a in ipairs(things) do
      for j = i + 1, #things do
        local b = things[j]
        assert(math.abs(a.x - b.x) > a.right + b.left - 0.1
          or math.abs(a.y - b.y) > a.down + b.up - 0.1)
      end
    end
  end

  it("come apart, and the others stay", function()
    local things = { thing(0, 0, 40, 20), thing(5, 15, 40, 20),
      thing(300, 0, 40, 20) }
    apart.separate(things)
    none_shared(things)
    assert.same({ 0, 5, 300, 0 },
      { things[1].x, things[2].x, things[3].x, things[3].y })
  end)

  it("come apart however many they are", function()
    local things = {}
    for i = 1, 60 do
      things[i] = thing(i % 7, i % 11, 30 + i % 5 * 20, 20 + i % 3 * 30)
    end
    apart.separate(things)
    none_shared(things)
  end)
end)

describe("A picture in DOT", function()
  t.guard(before_each, after_each)

  it("is drawn by Graphviz, with every name", function()
    if t.sh "command -v dot" == "" then
      return pending "Graphviz is not installed"
    end
    local all = { { "hostile", hostile_plan() }, { "small", small } }
    for _, entry in ipairs(plans) do all[#all + 1] = entry end
    for _, entry in ipairs(all) do
      with_file(dot(entry[2]), function(path)
        local output, code = t.sh("dot -Tsvg %s", path)
        assert.same(0, code, entry[1] .. ": " .. output)
        assert.falsy(output:find "Warning" or output:find "Error", output)
        local _, nodes = output:gsub('class="node"', "")
        local _, edges = output:gsub('class="edge"', "")
        local cables = #entry[2].links
        for _, switch in pairs(entry[2].switches) do
          cables = cables + #switch
        end
        assert.same({ count_of(entry[2].nodes) + count_of(entry[2].switches),
          cables }, { nodes, edges }, entry[1])
      end)
    end
  end)

  it("quotes names", function()
    local text = dot(hostile_plan())
    for _, name in ipairs { '"end"', '"-.-"', '"node"', '"graph"',
      ">&#60;b&#62;<",
      ">&#38;amp&#59;<", ">&#34;<" } do
      assert.truthy(text:find(name, 1, true), name)
    end
  end)
end)

describe("A picture in Mermaid", function()
  t.guard(before_each, after_each)

  it("has nothing in its labels that could be markup", function()
    local labels = 0
    for label in mermaid(hostile_plan()):gmatch '"([^\n]*)"' do
      labels = labels + 1
      local rest = label:gsub("<br/>", ""):gsub("#%d+;", "")
      assert.falsy(rest:find '["#;<>&|`*_%[%]{}%%]', label)
    end
    assert.same(4 + #hostile + 1, labels)
  end)

  it("has numbers for ids, as names could be words of the language", function()
    local text = mermaid(hostile_plan())
    for line in text:gmatch "\n  ([^\n]*)" do
      assert.truthy(line:find "^n%d+[%({%[ ]", line)
    end
    assert.truthy(text:find('n2("end', 1, true))
  end)
end)
