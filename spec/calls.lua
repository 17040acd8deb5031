-- Every public call, once, with arguments that work: for the specs that try all
-- of them where something is missing or wrong. `make lint` holds the list
-- against what there is (spec/calls_check.lua).
--
-- Each is an array of the parts of the fixture that it needs, and last a
-- function of the fixture that returns the function to call and its arguments:
--
--   local fixture = calls.fixture()
--   local fn, arguments = calls.prepare(fixture, "ns:exec")
--   local results = { fn(unpack(arguments, 1, arguments.n)) }
--   fixture:close()
--
-- The names are those of the manual: netns.exec, all.exec, topology.plan;
-- ns:exec for the methods of a handle, node:ping for those that only a node
-- has, and so on.

local netns = require "netns"
local topology = require "netns.topology"

local calls = {}

-- The fixture -----------------------------------------------------------------

local count = 0

-- A name that nobody else has used, which fits a link, too.
local function fresh()
  count = count + 1
  return ("c%d"):format(count)
end

local TRUE, SLEEP = { "true" }, { "sleep", "1000" }
local LAB = { routers = { "r" }, links = { "a -- r", "r -- b" } }

-- How each part is made; the fixture closes those that can be closed.
local parts = {}

function parts.ns() return assert(netns.add(fresh())) end

function parts.name(f) return f.ns:name() end

function parts.other() return assert(netns.add(fresh())) end

function parts.stray() -- the name of a namespace without a handle
  local ns = assert(netns.add(fresh()))
  local name = ns:name()
  ns:close()
  return name
end

function parts.up(f) -- lo is
  return assert(f.ns:link_set("lo", { up = true }))
end

function parts.bridge(f)
  local name = fresh()
  assert(f.ns:link_add { name = name, kind = "bridge", up = true })
  return name
end

function parts.addr(f)
  assert(f.ns:addr_add(f.bridge, "10.9.0.1/24"))
  return "10.9.0.1/24"
end

function parts.route(f)
  local route = { to = "10.8.0.0/24", via = "10.9.0.2" }
  assert(f.addr and f.ns:route_add(route))
  return route
end

function parts.neigh(f)
  local neigh = { link = f.bridge, dst = "10.9.0.3",
    lladdr = "02:00:00:00:00:03" }
  assert(f.addr and f.ns:neigh_add(neigh))
  return neigh
end

function parts.rule(f)
  local rule = { priority = 99, from = "10.7.0.0/24", table = 99 }
  assert(f.ns:rule_add(rule))
  return rule
end

function parts.tbf(f)
  local qdisc = { kind = "tbf", rate = "1mbit", burst = 10000, latency = 0.1 }
  assert(f.ns:qdisc_add(f.bridge, qdisc))
  return qdisc
end

function parts.htb(f)
  local qdisc = { kind = "htb", handle = "1:" }
  assert(f.ns:qdisc_add(f.bridge, qdisc))
  return qdisc
end

function parts.class(f)
  local class = { kind = "htb", classid = "1:1", rate = "1mbit" }
  assert(f.htb and f.ns:class_add(f.bridge, class))
  return class
end

function parts.listening(f) -- a program that listens
  local process = assert(f.ns:spawn { "python3", "-c", "import socket, time\n"
    .. "s = socket.create_server(('127.0.0.1', 7777))\ntime.sleep(1000)" })
  assert(f.up and f.ns:wait_listen(7777, 600))
  return process
end

function parts.socket(f) return assert(f.ns:socket("inet", "dgram")) end

function parts.process(f) return assert(f.ns:spawn(SLEEP, { log = true })) end

function parts.ended(f)
  local process = assert(f.ns:spawn({ "echo", "word" }, { log = true }))
  assert(process:wait(60))
  return process
end

function parts.monitor() return assert(netns.monitor { existing = true }) end

function parts.link_monitor(f)
  return assert(f.ns:monitor_links { existing = true })
end

function parts.plan() return assert(topology.plan(LAB)) end

function parts.lab() return assert(topology.build(LAB)) end

function parts.named_lab()
  local a, b = fresh(), fresh()
  return assert(topology.build { named = true, ipv6 = false,
    links = { ("%s -- %s"):format(a, b) } })
end

function parts.link(f) return assert(f.lab:link("a", "r")) end

local Fixture = {}

function Fixture.__index(self, part)
  local value = parts[part](self)
  self[part] = value
  self[#self + 1] = value
  return value
end

-- Closes what was made, the last first, and takes the names away.
local function close(self)
  for i = #self, 1, -1 do
    local part = self[i]
    if type(part) ~= "string" and type(part) ~= "number"
      and type(part) ~= "boolean" and part.close
    then
      part:close()
    end
  end
  for _, name in ipairs(assert(netns.names())) do
    if name:find "^c%d+$" then assert(netns.delete(name)) end
  end
end

--- Something to call everything with.
function calls.fixture()
  return setmetatable({ close = close, fresh = fresh }, Fixture)
end

local function pack(fn, ...)
  return fn, { n = select("#", ...), ... }
end

--- Makes the parts that a call needs. Returns the function to call, and an
-- array of its arguments with their number as `n`.
function calls.prepare(fixture, name)
  local call = calls.list[name]
  for i = 1, #call - 1 do
    assert(fixture[call[i]], call[i])
  end
  return pack(call[#call](fixture))
end

-- The calls -------------------------------------------------------------------

local list = {}
calls.list = list

-- A function whose first argument is a NS, and the method of handles.
local function both(name, ...)
  local entry = { ... }
  local arguments = table.remove(entry)
  local fn, method = { "name" }, { "ns" }
  for _, part in ipairs(entry) do
    fn[#fn + 1], method[#method + 1] = part, part
  end
  fn[#fn + 1] = function(f) return netns[name], f.name, arguments(f) end
  method[#method + 1] = function(f) return f.ns[name], f.ns, arguments(f) end
  list["netns." .. name], list["ns:" .. name] = fn, method
end

local function none() end

-- Names, ids and handles

list["netns.add"] = { function() return netns.add, fresh() end }
list["netns.new"] = { function() return netns.new end }
list["netns.current"] = { function() return netns.current end }
list["netns.open"] = { "name", function(f) return netns.open, f.name end }
list["netns.attach"] = { "ns", function(f)
  return netns.attach, fresh(), f.ns
end }
list["netns.delete"] = { "stray", function(f)
  return netns.delete, f.stray, { kill = true, wait = 60 }
end }
list["netns.list"] = { "name", function() return netns.list end }
list["netns.names"] = { "name", function() return netns.names end }
list["netns.identify"] = { "ns", function(f)
  return netns.identify, f.ns
end }
both("pids", none)
both("inode", none)
both("cookie", none)

list["netns.set"] = { "name", function(f)
  return netns.set, f.name, "auto"
end }
list["netns.id"] = { "name", function(f) return netns.id, f.name end }
list["netns.list_id"] = { "name", function() return netns.list_id end }
list["ns:set"] = { "ns", "other", function(f)
  return f.ns.set, f.ns, f.other, "auto"
end }
list["ns:id"] = { "ns", "other", function(f)
  return f.ns.id, f.ns, f.other
end }
list["ns:list_id"] = { "ns", function(f) return f.ns.list_id, f.ns end }

list["ns:fd"] = { "ns", function(f) return f.ns.fd, f.ns end }
list["ns:name"] = { "ns", function(f) return f.ns.name, f.ns end }
list["ns:names"] = { "ns", function(f) return f.ns.names, f.ns end }
list["ns:close"] = { "ns", function(f) return f.ns.close, f.ns end }

both("call", function() return function() return true end end)
both("socket", function() return "inet", "dgram" end)
both("sysctl", function() return "net.ipv4.ip_forward", "1" end)
list["socket:fd"] = { "socket", function(f) return f.socket.fd, f.socket end }
list["socket:close"] = { "socket", function(f)
  return f.socket.close, f.socket
end }
list["socket:detach"] = { "socket", function(f)
  return function(socket) -- nobody else closes what it gives
    local fd = f.socket.detach(socket)
    netns.exec("/proc/thread-self/ns/net", TRUE, { mounts = false, stdin = fd })
    return fd
  end, f.socket
end }

-- Programs

both("exec", function() return TRUE end)
both("capture", function() return { "echo", "word" } end)
both("spawn", function() return TRUE, { log = true } end)
list["process:fd"] = { "process", function(f)
  return f.process.fd, f.process
end }
list["process:wait"] = { "ended", function(f)
  return f.ended.wait, f.ended, 60
end }
list["process:kill"] = { "process", function(f)
  return f.process.kill, f.process, "HUP"
end }
list["process:log"] = { "ended", function(f) return f.ended.log, f.ended end }
list["process:wait_log"] = { "ended", function(f)
  return f.ended.wait_log, f.ended, "word", 60
end }
list["process:close"] = { "process", function(f)
  return f.process.close, f.process
end }

list["netns.printable"] = { function() return netns.printable, "a\n" end }

-- Links, addresses, routes and so on

both("links", none)
both("link", function() return "lo" end)
both("link_add", function() return { name = fresh(), kind = "bridge" } end)
both("link_set", function() return "lo", { up = true } end)
both("link_delete", "bridge", function(f) return f.bridge end)
both("altname_add", "bridge", function(f) return f.bridge, "another-name" end)
both("altname_delete", "bridge", function(f)
  assert(f.ns:altname_add(f.bridge, "another-name"))
  return f.bridge, "another-name"
end)
both("addrs", none)
both("addr_add", "bridge", function(f) return f.bridge, "10.9.0.9/24" end)
both("addr_delete", "addr", function(f) return f.bridge, f.addr end)
both("addr_flush", "addr", function(f) return f.bridge end)
both("routes", none)
both("route_add", "addr", function()
  return { to = "10.8.1.0/24", via = "10.9.0.2" }
end)
both("route_append", "addr", function()
  return { to = "10.8.1.0/24", via = "10.9.0.2" }
end)
both("route_delete", "route", function(f) return f.route end)
both("route_get", "up", function() return "127.0.0.1" end)
both("neighs", none)
both("neigh_add", "addr", function(f)
  return { link = f.bridge, dst = "10.9.0.4",
    lladdr = "02:00:00:00:00:04" }
end)
both("neigh_delete", "neigh", function(f) return f.neigh end)
both("rules", none)
both("rule_add", function()
  return { priority = 98, from = "10.7.1.0/24", table = 98 }
end)
both("rule_delete", "rule", function(f) return f.rule end)
both("qdiscs", none)
both("qdisc_add", "bridge", function(f)
  return f.bridge,
    { kind = "tbf", rate = "1mbit", burst = 10000, latency = 0.1 }
end)
both("qdisc_set", "tbf", function(f) return f.bridge, f.tbf end)
both("qdisc_delete", "tbf", function(f) return f.bridge end)
both("classes", "class", none)
both("class_add", "htb", function(f)
  return f.bridge, { kind = "htb", classid = "1:2", rate = "1mbit" }
end)
both("class_set", "class", function(f) return f.bridge, f.class end)
both("class_delete", "class", function(f)
  return f.bridge, f.class.classid
end)

-- Sockets, probes, monitors

both("sockets", none)
both("wait_listen", "listening", function() return 7777, 60 end)
both("wait_link", "up", function() return "lo", { timeout = 60 } end)
both("wait_addr", "addr", function() return "10.9.0.1", { timeout = 60 } end)
both("ping", "up", function() return "127.0.0.1", { timeout = 60 } end)
both("monitor_links", none)
list["link_monitor:read"] = { "link_monitor", function(f)
  return f.link_monitor.read, f.link_monitor, 60
end }
list["link_monitor:fd"] = { "link_monitor", function(f)
  return f.link_monitor.fd, f.link_monitor
end }
list["link_monitor:close"] = { "link_monitor", function(f)
  return f.link_monitor.close, f.link_monitor
end }
list["netns.monitor"] = { "name", function() return netns.monitor end }
list["monitor:read"] = { "name", "monitor", function(f)
  return f.monitor.read, f.monitor, 60
end }
list["monitor:fd"] = { "monitor", function(f)
  return f.monitor.fd, f.monitor
end }
list["monitor:close"] = { "monitor", function(f)
  return f.monitor.close, f.monitor
end }

list["netns.rootless"] = { function() return netns.rootless end }

-- All of them

list["all.exec"] = { "name", function()
  return netns.all.exec, TRUE, { quiet = true }
end }
list["all.capture"] = { "name", function() return netns.all.capture, TRUE end }
list["all.call"] = { "name", function()
  return netns.all.call, function() return true end
end }
list["all.delete"] = { "stray", function() return netns.all.delete end }
list["all.set"] = { "name", function() return netns.all.set, "auto" end }
list["all.pids"] = { "name", function() return netns.all.pids end }

-- Topologies

list["topology.plan"] = { function() return topology.plan, LAB end }
list["topology.build"] = { function() return topology.build, LAB end }
for _, method in ipairs { "dot", "mermaid", "svg", "sh", "build" } do
  list["plan:" .. method] = { "plan", function(f)
    return f.plan[method], f.plan
  end }
end
list["lab:link"] = { "lab", function(f) return f.lab.link, f.lab, "a", "r" end }
list["lab:reach"] = { "lab", function(f) return f.lab.reach, f.lab end }
list["lab:reaches"] = { "lab", function(f) return f.lab.reaches, f.lab end }
list["lab:diff"] = { "lab", function(f) return f.lab.diff, f.lab end }
list["lab:eventually"] = { "lab", function(f)
  return f.lab.eventually, f.lab, function() return true end
end }
list["lab:close"] = { "named_lab", function(f)
  return f.named_lab.close, f.named_lab
end }
list["node:ping"] = { "lab", function(f)
  return f.lab.nodes.a.ping, f.lab.nodes.a, f.lab.nodes.b, { timeout = 60 }
end }
-- the first program of a lab starts what keeps them
list["node:exec"] = { "lab", function(f)
  return f.lab.nodes.a.exec, f.lab.nodes.a, TRUE
end }
list["link:set"] = { "link", function(f)
  return f.link.set, f.link, { up = false }
end }

return calls
