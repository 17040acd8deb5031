-- ours.lua: the library, driven as worker.h says.

local clock = require "clock" -- bench/clock.c
local netns = require "netns"
local topology = require "netns.topology"

local ops = {}

function ops.add(count)
  for i = 0, count - 1 do assert(netns.add("b" .. i)):close() end
end

function ops.delete(count)
  for i = 0, count - 1 do assert(netns.delete("b" .. i)) end
end

function ops.enter(count, name)
  local ns = assert(netns.open(name))
  local function nothing() end
  local start = clock()
  for _ = 1, count do ns:call(nothing) end
  local time = clock() - start
  ns:close()
  return 0, time
end

function ops.names(count)
  local found
  for _ = 1, count do found = assert(netns.names()) end
  return #found
end

function ops.list(count)
  local found
  for _ = 1, count do found = assert(netns.list()) end
  local ids = 0
  for _, entry in ipairs(found) do ids = ids + (entry.id and 1 or 0) end
  return ids
end

function ops.identify(count, pid)
  local found
  pid = math.tointeger(pid)
  for _ = 1, count do found = assert(netns.identify(pid)) end
  return #found
end

function ops.pids(count, name)
  local found
  for _ = 1, count do found = assert(netns.pids(name)) end
  return #found
end

ops["all-pids"] = function(count, name)
  local found
  for _ = 1, count do found = assert(netns.all.pids()) end
  return #found[name]
end

function ops.exec(count, program)
  local argv = { program }
  for _ = 1, count do assert(netns.exec("n0000", argv)) end
end

local handle -- opened once, since it keeps the shared mounts

ops["exec-shared"] = function(count, program)
  handle = handle or assert(netns.open "n0000")
  local argv, opts = { program }, { mounts = "shared" }
  for _ = 1, count do assert(handle:exec(argv, opts)) end
end

function ops.capture(count, program)
  local argv = { program }
  for _ = 1, count do assert(netns.capture("n0000", argv)) end
end

function ops.popen(count, program)
  local command = "ip netns exec n0000 " .. program
  for _ = 1, count do
    local pipe = assert(io.popen(command))
    pipe:read "a"
    assert(pipe:close())
  end
end

-- All names, one at a time and four.
for _, jobs in ipairs { 1, 4 } do
  ops["all-" .. jobs] = function(count, program)
    local results
    for _ = 1, count do
      results = netns.all.capture({ program }, { jobs = jobs })
      for _, result in ipairs(results) do assert(result.ok, result.message) end
    end
    return #results
  end
end

-- Namespaces, each with a veth to one bridge in one of its own. The handles are
-- closed by lab-down.
local lab

function ops.lab(count)
  local lan = assert(netns.new())
  assert(lan:link_add { name = "br0", kind = "bridge", up = true })
  lab = { [0] = lan }
  for i = 1, count do
    local host = assert(netns.new())
    lab[i] = host
    assert(lan:link_add {
      name = "p" .. i, kind = "veth", up = true, master = "br0",
      peer = { name = "eth0", ns = host },
    })
    assert(host:addr_add("eth0", ("10.0.%d.%d/16"):format(i >> 8, i & 255)))
    assert(host:link_set("eth0", { up = true }))
  end
end

ops["lab-down"] = function()
  for i = 0, #lab do lab[i]:close() end
end

-- The same, and more, by a description: built, and every address usable.
local function switch(count)
  local hosts = {}
  for i = 1, count do hosts[i] = "h" .. i end
  return { switches = { lan = hosts } }
end

function ops.switch(count)
  lab = assert(topology.build(switch(count)))
end

ops["switch-down"] = function() lab:close() end

-- These are done once, for COUNT hosts.
function ops.plan(count)
  assert(topology.plan(switch(count)))
end

function ops.reach(count)
  local found = assert(lab:reach())
  for i = 2, count do assert(found.h1["h" .. i]) end
end

function ops.ping(count)
  for _ = 1, count do
    lab = assert(topology.build {
      routers = { "r" }, links = { "client -- r", "r -- server" },
    })
    assert(lab.client:ping(lab.server))
  end
end

function ops.links(count)
  local found
  local here <close> = assert(netns.current())
  for _ = 1, count do found = assert(here:links()) end
  return #found
end

-- With an argument, a process of as many MiB.
local ballast = {} -- luacheck: ignore 241
for i = 1, (tonumber(arg[1]) or 0) // 64 do
  ballast[i] = (string.char(64 + i)):rep(64 << 20)
end

io.stdout:setvbuf "line"
print "ready"
for line in io.lines() do
  local op, count, argument = line:match "^(%S+) (%d+) ?(.*)$"
  count = math.tointeger(count)
  local start = clock()
  local result, time = ops[op](count, argument)
  time = time or clock() - start
  print(("%.3f %d"):format(time / count, result or 0))
end
