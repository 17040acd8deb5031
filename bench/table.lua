-- table.lua: lets the workers (floor.c, links.c, ours.lua, ip.c, peers.py,
-- peers-mininet.py, peers.go; how they are driven is in worker.h) do the same
-- work in turns of some milliseconds, and prints the medians, over the rounds,
-- of the times and of the ratios within a round: what disturbs the machine for
-- longer than a round changes times, but not ratios. Turns are short because
-- the kernel goes on cleaning up after one turn while the next is on. Who goes
-- first changes from round to round, so that nobody always comes after the one
-- who leaves the caches cold.
--
-- An argument is a pattern that selects measurements by their title.

local build, only = arg[1], arg[2] or ""

local workers = {}

-- Starts a worker, or says why there is none.
local function start(name, command)
  local path = build .. "/" .. name .. ".in"
  assert(os.execute("mkfifo " .. path))
  local output = assert(io.popen(("exec %s <%s"):format(command, path)))
  local input = assert(io.open(path, "w"))
  os.remove(path)
  input:setvbuf "line"
  local first = output:read() or "it could not be built or started, see above"
  if first == "ready" then
    workers[name] = { input = input, output = output }
  else
    print(("%s: skipped, %s"):format(name, first))
  end
end

local function stop(name)
  workers[name].input:close()
  workers[name].output:close()
  workers[name] = nil
end

-- Has a worker do `count` of an operation: microseconds for one, and a result.
local function run(name, op, count, argument)
  local worker = workers[name]
  worker.input:write(("%s %d %s\n"):format(op, count, argument or ""))
  local answer = worker.output:read()
  local time, result = (answer or ""):match "^(%S+) (%S+)$"
  if not time then error(("%s: %s failed"):format(name, op)) end
  return tonumber(time), math.tointeger(result)
end

-- The median of what fn makes of each round that both took part in.
local function median(a, b, fn)
  local list = {}
  for round, time in pairs(a) do
    if b[round] then list[#list + 1] = fn(time, b[round]) end
  end
  table.sort(list)
  local half = #list // 2
  return #list % 2 == 1 and list[half + 1] or (list[half] + list[half + 1]) / 2
end

-- Contestants are { worker, count, operation … }, and `every=n` for one who
-- takes part in every n-th round only. Returns the times, an array over rounds
-- for each worker and operation joined, and checks that all come to the same
-- result. `after` is called when one of them has had its turn.
local function measure(rounds, argument, contestants, after)
  local times, results = {}, {}
  local function turn(round, who, op, count)
    local time, result = run(who, op, count, argument)
    local key = who .. " " .. op
    times[key] = times[key] or {}
    times[key][round] = time
    if who == "ip" then return end -- writes to /dev/null
    if results[op] and results[op] ~= result then
      print(("warning: %s: %s has %d, others %d")
        :format(op, who, result, results[op]))
    end
    results[op] = result
  end
  for round = 1, rounds do
    for i = 1, #contestants do
      local c = contestants[round % 2 == 1 and i or #contestants + 1 - i]
      if workers[c[1]] and round % (c.every or 1) == 0 then
        for k = 3, #c do turn(round, c[1], c[k], c[2]) end
        if after then after() end
      end
    end
  end
  return times
end

-- What adding and deleting took together.
local function sum(times, who, suffix)
  local add = times[who .. " add" .. (suffix or "")]
  local delete = times[who .. " delete" .. (suffix or "")]
  local both = {}
  for round, time in pairs(add or {}) do both[round] = time + delete[round] end
  return add and both
end

local LINE = "%-34s %-10s %10s %10s %8s  %-8s %s"

local function line(...)
  print((LINE:format(...):gsub("%s+$", "")))
end

local function first(a) return a end
local function quotient(a, b) return a / b end

-- What ours is compared with to see how much more it takes.
local ceilings = {
  floor = true, ours = true, ["1 job"] = true, ["10 names"] = true,
}

-- One comparison. Against those the target is the most that ours may take (a
-- ratio of 1.1: a tenth more), against others the least that they take.
-- Where that is missed, what the floor reaches shows whether it can be had.
local function row(what, against, theirs, ours, target, floor)
  local ceiling = ceilings[against]
  if not theirs then
    return line(what, against, "-", "-", "-", "", "skipped")
  end
  local ratio = ceiling and median(ours, theirs, quotient)
    or median(theirs, ours, quotient)
  local missed = target and (ceiling and ratio > target or
    not ceiling and ratio < target)
  line(what, against, ("%.2f"):format(median(theirs, ours, first)),
    ("%.2f"):format(median(ours, theirs, first)),
    ceiling and ("%.2f"):format(ratio) or ("%.1f x"):format(ratio),
    target and (ceiling and "<= %.2f" or ">= %g x"):format(target) or "",
    missed and (floor and ("MISSED (floor: %.1f x)")
      :format(median(theirs, floor, quotient)) or "MISSED") or "")
end

-- What is compared with nothing: microseconds for all `count` of it.
local function note(what, ours, count)
  local function whole(time) return time * count end
  line(what, "", "", ("%.2f"):format(median(ours, ours, whole)), "", "", "")
end

-- In the order of the numbers of names that they want, which only grow.
local measurements = {}

local function measurement(title, fn)
  measurements[#measurements + 1] = { title = title, fn = fn }
end

measurement("add", function()
  local t = measure(300, nil, {
    { "floor", 5, "add", "delete" },
    { "ours", 5, "add", "delete" },
    { "go", 5, "add", "delete", every = 15 },
    { "ip", 40, "add-batch", "delete-batch", every = 15 },
    { "ip", 5, "add", "delete", every = 15 },
    { "pyroute2", 5, "add", "delete", every = 15 },
  })
  row("add and delete a name", "floor", sum(t, "floor"), sum(t, "ours"), 1.1)
  row("add a name", "ip", t["ip add"], t["ours add"], 5, t["floor add"])
  row("add and delete a name", "ip", sum(t, "ip"), sum(t, "ours"))
  row("add and delete a name", "ip -batch", sum(t, "ip", "-batch"),
    sum(t, "ours"))
  row("add and delete a name", "go", sum(t, "go"), sum(t, "ours"))
  row("add and delete a name", "pyroute2", sum(t, "pyroute2"), sum(t, "ours"))
end)

measurement("enter", function()
  run("floor", "make", 1)
  local t = measure(200, "n0000", {
    { "floor", 1000, "enter", "enter-bare" },
    { "ours", 1000, "enter" },
    { "go", 1000, "enter" },
  })
  row("enter, run, return", "floor", t["floor enter"], t["ours enter"], 1.25)
  row("- two bare setns(2)", "floor", t["floor enter-bare"], t["ours enter"])
  row("enter, run, return", "go", t["go enter"], t["ours enter"])
end)

local tiny = build .. "/tiny"
local OURS = arg[-1] .. " bench/ours.lua"
local BIG = 2048 -- MiB

measurement("exec, capture", function()
  local title = "exec of a tiny program, 10 names"
  run("floor", "make", 10)
  start("big", OURS .. " " .. BIG)
  local t = measure(400, tiny, {
    { "floor", 3, "exec" },
    { "ours", 3, "exec" },
  })
  row(title, "floor", t["floor exec"], t["ours exec"], 1.1)
  t = measure(200, tiny, {
    { "ours", 3, "exec", "exec-shared", "capture" },
    { "big", 3, "exec" },
    { "floor", 3, "exec", every = 5 },
    { "ip", 3, "exec", every = 5 },
    { "ours", 3, "popen", every = 5 },
    { "pyroute2", 1, "exec", every = 5 },
  })
  stop "big"
  row(title, "ip", t["ip exec"], t["ours exec"], 8, t["floor exec"])
  row(title, "io.popen", t["ours popen"], t["ours exec"])
  row(title, "pyroute2", t["pyroute2 exec"], t["ours exec"])
  row("- mounts=\"shared\"", "ours", t["ours exec"], t["ours exec-shared"])
  row("- capture", "ours", t["ours exec"], t["ours capture"], 1.3)
  row(("- %d MiB resident"):format(BIG), "ours", t["ours exec"], t["big exec"],
    1.3)
end)

measurement("capture of all, 100 names", function()
  run("floor", "make", 100)
  local t = measure(30, tiny, { { "ours", 1, "all-1", "all-4" } })
  row("- 4 jobs, a tiny program", "1 job", t["ours all-1"], t["ours all-4"], 1)
  t = measure(10, build .. "/nap", { { "ours", 1, "all-1", "all-4" } })
  row("- 4 jobs, one that takes 10 ms", "1 job", t["ours all-1"],
    t["ours all-4"], 1)
end)

-- `count` makes a turn of some milliseconds.
local function list(names, count)
  local title = ("list with ids, %d names"):format(names)
  measurement(title, function()
    run("floor", "make", names)
    local t = measure(names < 1000 and 200 or 100, nil, {
      { "floor", count, "list" },
      { "ours", count, "list" },
      { "ip", names < 1000 and 3 or 1, "list", every = 7 },
      { "pyroute2", 1, "list", every = 7 },
    })
    row(title, "floor", t["floor list"], t["ours list"], 1.15)
    row(title, "ip", t["ip list"], t["ours list"], names == 100 and 8 or nil,
      t["floor list"])
    row(title, "pyroute2", t["pyroute2 list"], t["ours list"])
  end)
end

list(10, 100)
list(100, 10)

measurement("pids, 2000 processes", function()
  run("floor", "make", 100)
  run("floor", "sleep", 2000, "100")
  local t = measure(100, "n0050", {
    { "floor", 1, "pids" },
    { "ours", 1, "pids", "all-pids" },
    { "ip", 1, "pids", every = 7 },
  })
  run("floor", "wake", 1)
  row("pids of one, 2000 processes", "floor", t["floor pids"], t["ours pids"],
    1.2)
  row("pids of all, 100 names", "ours", t["ours pids"], t["ours all-pids"], 1.2)
  row("pids of one, 2000 processes", "ip", t["ip pids"], t["ours pids"])
end)

list(1000, 1)

measurement("names, 1000", function()
  run("floor", "make", 1000)
  local t = measure(200, nil, {
    { "floor", 20, "names" },
    { "ours", 20, "names" },
  })
  row("names, 1000", "floor", t["floor names"], t["ours names"], 1.5)
end)

measurement("identify, 1000 names", function()
  run("floor", "make", 1000)
  local _, pid = run("floor", "sleep", 1, "1")
  local t = measure(200, tostring(pid), {
    { "floor", 4, "identify" },
    { "ours", 4, "identify" },
    { "ip", 3, "identify", every = 5 },
    { "pyroute2", 3, "identify", every = 5 },
  })
  run("floor", "wake", 1)
  row("identify, 1000 names", "floor", t["floor identify"], t["ours identify"],
    1.2)
  row("identify, 1000 names", "ip", t["ip identify"], t["ours identify"], 4,
    t["floor identify"])
  row("identify, 1000 names", "pyroute2", t["pyroute2 identify"],
    t["ours identify"])
end)

-- The measured time is that of building. Each takes down what it built; the
-- kernel's part of that, which takes longer than the building, is waited for.
measurement("links, 100 namespaces", function()
  local title = "100 namespaces on a bridge"
  local function settle() run("links", "settle", 1) end
  settle()
  local t = measure(20, nil, {
    { "links", 100, "lab", "lab-down" },
    { "ours", 100, "lab", "lab-down" },
    { "go", 100, "lab", "lab-down", every = 2 },
    { "ip", 100, "lab-batch", "lab-down", every = 5 },
    { "pyroute2", 100, "lab", "lab-down", every = 5 },
    { "ip", 100, "lab", "lab-down", every = 5 },
  }, settle)
  local floor, ours = t["links lab"], t["ours lab"]
  row(title, "floor", floor, ours, 1.2)
  row(title, "go", t["go lab"], ours, 1, floor)
  row(title, "ip -batch", t["ip lab-batch"], ours, 3.5, floor)
  row(title, "pyroute2", t["pyroute2 lab"], ours, 8, floor)
  row(title, "ip", t["ip lab"], ours, 10, floor)
end)

-- Until all can be used, as ours sees to; of the others only the floor does.
local function switch(hosts, rounds)
  local title = ("a switch and %d hosts"):format(hosts)
  measurement("topology, " .. title, function()
    local function settle() run("links", "settle", 1) end
    settle()
    local t = measure(rounds, nil, {
      { "links", hosts, "switch", "switch-down" },
      { "ours", hosts, "switch", "switch-down" },
      { "ip", hosts, "switch", "switch-down", every = 2 },
      { "pyroute2", hosts, "switch", "switch-down", every = 2 },
      { "mininet", hosts, "switch", "switch-down", every = rounds // 5 },
    }, settle)
    local floor, ours = t["links switch"], t["ours switch"]
    row(title, "floor", floor, ours, 1.5)
    row(title, "mininet", t["mininet switch"], ours, 10, floor)
    row(title, "ip -batch", t["ip switch"], ours, 2, floor)
    row(title, "pyroute2", t["pyroute2 switch"], ours, nil, floor)
    note("- close() of all", t["ours switch-down"], hosts)
  end)
end

switch(10, 40)
switch(100, 15)

measurement("topology, other times", function()
  local function settle() run("links", "settle", 1) end
  settle()
  local t = measure(20, nil, { { "ours", 1, "ping", "switch-down" } }, settle)
  note("two hosts, a router, first ping", t["ours ping"], 1)
  t = measure(20, nil, { { "ours", 100, "plan" } })
  note("plan of a switch and 100 hosts", t["ours plan"], 100)
  t = measure(5, nil, { { "ours", 30, "switch", "reach", "switch-down" } },
    settle)
  note("reach(), 30 hosts: 870 pairs", t["ours reach"], 30)
end)

measurement("links, 1000 in one namespace", function()
  run("links", "ports", 499) -- with the other ends, the bridge and lo: 1000
  local t = measure(60, nil, {
    { "links", 1, "links" },
    { "ours", 1, "links" },
    { "ip", 1, "links", "links-all" },
  })
  run("links", "unports", 1)
  row("list 1000 links", "floor", t["links links"], t["ours links"])
  row("list 1000 links", "ip", t["ip links"], t["ours links"], 1,
    t["links links"])
  row("- with all of their fields", "ip -d -s", t["ip links-all"],
    t["ours links"])
end)

-- What `few` sees stays as it is when names are added, since it has a mount
-- namespace of its own.
measurement("exec, 5000 names", function()
  local title = "exec, shared, 5000 names"
  run("floor", "make", 10)
  start("few", "unshare -m " .. OURS)
  run("floor", "make", 5000)
  local t = measure(100, tiny, {
    { "few", 3, "exec-shared" },
    { "ours", 3, "exec-shared" },
    { "floor", 1, "exec", every = 10 },
    { "ours", 1, "exec", every = 10 },
    { "ip", 1, "exec", every = 10 },
  })
  stop "few"
  row(title, "10 names", t["few exec-shared"], t["ours exec-shared"], 1.15)
  row(title, "ip", t["ip exec"], t["ours exec-shared"], 20)
  row("exec, 5000 names", "floor", t["floor exec"], t["ours exec"])
  row("exec, 5000 names", "ip", t["ip exec"], t["ours exec"])
end)

local function output_of(command)
  local pipe <close> = io.popen(command)
  return pipe:read() or "?"
end

print(("netns, %s, Linux %s, %s cores, %s"):format(_VERSION,
  output_of "uname -r", output_of "nproc", os.date "%Y-%m-%d %H:%M"))
start("floor", build .. "/floor")
start("links", build .. "/links")
start("ours", OURS)
start("ip", build .. "/ip")
start("pyroute2", "/usr/bin/python3 bench/peers.py")
start("mininet", "/usr/bin/python3 bench/peers-mininet.py")
start("go", build .. "/peers-go")
print "Microseconds and ratios: medians of the rounds. Against the floor (and\
the library itself) the ratio is ours to theirs; else theirs to ours."
line("", "against", "theirs", "ours", "ratio", "target", "")
for _, m in ipairs(measurements) do
  if m.title:find(only) then m.fn() end
end
