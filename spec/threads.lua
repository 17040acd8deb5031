-- What each thread of a host does, with a Lua state of its own: everything at
-- once for some seconds, on names of its own and on names that all fight for.
-- What is not as it should be is printed.

local netns = require "netns"
local core = require "netns.core"
local host = rawget(_G, "host")

local SECONDS = ...
local THREAD = arg.thread
local EEXIST, ENOENT, EINVAL =
  core.errno.EEXIST, core.errno.ENOENT, core.errno.EINVAL

local function read(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

-- Where the thread is ---------------------------------------------------------

local NET, MNT = "/proc/thread-self/ns/net", "/proc/thread-self/ns/mnt"

-- Runs `fn`, which has to leave the thread where it was.
local function stay(fn, ...)
  local net, mnt = core.readlink(NET), core.readlink(MNT)
  local function check(...)
    assert(core.readlink(NET) == net, "in another network namespace")
    assert(core.readlink(MNT) == mnt, "in another mount namespace")
    return ...
  end
  return check(fn(...))
end

-- What each does, in a namespace of its own -----------------------------------

local works = {}

function works.call(ns)
  ns:call(function(...)
    assert(netns.current() == ns and select("#", ...) == 2)
    local inner = assert(netns.new())
    inner:call(function() assert(netns.current() == inner) end)
    assert(netns.current() == ns)
    inner:close()
  end, 1, 2)
  assert(not pcall(ns.call, ns, error))
end

function works.socket(ns)
  local inode = ns:call(function() return netns.current():inode() end)
  assert(inode == ns:inode())
  assert(ns:socket("inet", "dgram")):close()
  assert(ns:sysctl("net.ipv4.ip_forward", 1))
  assert(ns:sysctl "net.ipv4.ip_forward" == "1")
end

function works.exec(ns)
  for _, mounts in ipairs { true, false, "shared" } do
    local ok, _, how, code = ns:exec({ "sh", "-c", "exit " .. THREAD },
      { mounts = mounts })
    assert(ok == nil and how == "exit" and code == THREAD)
  end
  assert(select(3, ns:exec { "/nowhere" }) == ENOENT)
end

function works.capture(ns)
  local result = assert(ns:capture { "readlink", "/proc/self/ns/net" })
  assert(result.stdout == ("net:[%.0f]\n"):format(ns:inode()))
end

function works.spawn(ns)
  local opts = { stdin = "pipe", stdout = "pipe", mounts = false }
  local process = assert(ns:spawn({ "cat" }, opts))
  local forgotten = assert(ns:spawn({ "sleep", "1000" }, { mounts = false }))
  assert(process.stdin:write("thread ", THREAD, "\n"))
  assert(process.stdout:read "*l" == "thread " .. THREAD)
  process.stdin:close()
  assert(process:wait())
  process:close()
  local _, _, errno = forgotten:wait(0)
  assert(errno == core.errno.ETIMEDOUT)
  assert(forgotten:kill "KILL")
  assert(select(4, forgotten:wait()) == 9)
  forgotten:close()
end

function works.links(ns)
  local other = assert(netns.new())
  assert(ns:link_add { name = "eth0", kind = "veth",
    peer = { name = "eth0", ns = other } })
  for i, each in ipairs { ns, other } do
    assert(each:addr_add("eth0", "192.0.2." .. i .. "/24"))
    assert(each:link_set("eth0", { up = true }))
  end
  assert(ns:wait_link("eth0", { up = true, running = true, timeout = 60 }))
  assert(#ns:links() >= 2)
  assert(ns:addrs({ link = "eth0", family = "inet" })[1]["local"]
    == "192.0.2.1")
  assert(other:route_get "192.0.2.1".link == "eth0")
  assert(ns:link_delete "eth0")
  assert(not other:link "eth0")
  other:close()
end

function works.ids(ns)
  local id = assert(ns:set(ns, "auto"))
  assert(ns:id(ns) == id)
  local found
  for _, entry in ipairs(assert(ns:list_id())) do
    found = found or entry.nsid == id and entry.name == ns:name()
  end
  assert(found)
end

-- Names of others come and go meanwhile.
function works.lists(ns)
  local found
  for _, entry in ipairs(assert(netns.list())) do
    found = found or entry.name == ns:name() and entry.inode == ns:inode()
  end
  assert(found)
  assert(ns:names()[1] == ns:name())
  assert(#assert(ns:pids()) == 0)
  ns:call(function()
    assert(netns.identify()[1] == ns:name())
  end)
end

function works.monitor(ns)
  local name = ns:name() .. "-more"
  local monitor = assert(netns.monitor { ids = true })
  local links = assert(ns:monitor_links())
  local function await(action)
    local event
    repeat
      event = assert(monitor:read(60))
      assert(event.action ~= "resync", "events were lost")
    until event.name == name and event.action == action
  end
  assert(netns.add(name)):close()
  await "add"
  assert(netns.delete(name))
  await "delete"
  assert(ns:link_set("lo", { up = true }))
  repeat
    local event = assert(links:read(60))
  until event.type == "link" and event.link.up
  links:close()
  monitor:close()
end

-- What they fight for ---------------------------------------------------------

-- What `fn(name)` returns; nil if it fails with one of the errnos.
local function try(fn, name, ...)
  local ok, message, errno = fn(name)
  if ok then return ok end
  for i = 1, select("#", ...) do
    if errno == select(i, ...) then return nil end
  end
  error(message, 2)
end

-- How often this thread has added more than it has deleted.
local balance = 0

-- Two names come and go at any time. Whoever has added one has a good handle.
-- One may be met whose file is there, and no more (EINVAL).
function works.fight(ns)
  for i = 1, 2 do
    local name = "fight-" .. i
    local added = try(netns.add, name, EEXIST)
    if added then
      balance = balance + 1
      assert(added ~= ns)
      added:call(function() assert(netns.current() == added) end)
      added:close()
    end
    local met = try(netns.open, name, ENOENT, EINVAL)
    if met then met:close() end
    if try(netns.delete, name, ENOENT) then balance = balance - 1 end
  end
end

-- All add, or delete, one name at once: one of them does.
local function duel(fn, errno)
  local ok, result = pcall(try, fn, "duel", errno)
  local winners = host.meet(ok and result and 1 or 0)
  if not ok then error(result, 0) end
  if type(result) == "userdata" then result:close() end
  if winners ~= 1 then error(winners .. " winners", 0) end
end

-- All of it -------------------------------------------------------------------

local order = {}
for name in pairs(works) do order[#order + 1] = name end
table.sort(order)

-- Each begins with another one.
local function work(round)
  local name = ("thread-%d-%d"):format(THREAD, round)
  local ns = assert(stay(netns.add, name))
  for i = 1, #order do
    stay(works[order[(i + THREAD) % #order + 1]], ns)
  end
  assert(stay(netns.delete, name))
  ns:close()
end

-- What this process has, while no thread does anything. The first of them
-- looks; the others get nil.
local function inventory()
  collectgarbage()
  collectgarbage()
  host.meet(0)
  local list = THREAD == 1 and {}
  if list then
    for _, fd in ipairs(core.readdir "/proc/self/fd") do
      local link = core.readlink("/proc/self/fd/" .. fd)
      if link and not link:find "/fd$" then
        list[#list + 1] = ("descriptor %s: %s"):format(fd, link)
      end
    end
    for _, tid in ipairs(core.readdir "/proc/self/task") do
      local task = "/proc/self/task/" .. tid
      list[#list + 1] = ("thread %s: %s %s, children: %s"):format(tid,
        core.readlink(task .. "/ns/net"), core.readlink(task .. "/ns/mnt"),
        read(task .. "/children"))
    end
    for _, name in ipairs(core.names()) do
      list[#list + 1] = "name " .. name
    end
    list[#list + 1] = read "/proc/thread-self/mountinfo"
    table.sort(list)
  end
  host.meet(0)
  return list and table.concat(list, "\n")
end

local function leaving_nothing(fn)
  local before = inventory()
  fn()
  local after = inventory()
  if before ~= after then
    print(("before:\n%s\nafter:\n%s"):format(before, after))
  end
end

-- They go on until the time is up, or one has failed.
local function go()
  local deadline, threads = core.now() + SECONDS, host.meet(1)
  local round, ok, message = 0, true, nil
  local function step(fn, ...)
    local good
    good, message = pcall(fn, ...)
    if not good then print(("thread %d: %s"):format(THREAD, message)) end
    ok = ok and good
  end
  repeat
    round = round + 1
    step(duel, netns.add, EEXIST)
    step(duel, netns.delete, ENOENT)
    step(work, round)
  until host.meet(ok and core.now() < deadline and 1 or 0) < threads
  local adds = host.meet(balance)
  if adds ~= 0 then print(("%d more adds than deletes"):format(adds)) end
end

-- Half of the threads live in a namespace of their own.
leaving_nothing(function()
  if THREAD % 2 == 1 then return leaving_nothing(go) end
  local home = assert(netns.new())
  home:call(leaving_nothing, go)
  home:close()
end)
