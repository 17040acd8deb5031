-- ours.lua: the library, driven as worker.h says.

local clock = require "clock" -- bench/clock.c
local netns = require "netns"

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
