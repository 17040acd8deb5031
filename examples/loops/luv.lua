-- Three things of the library in one loop of luv: names as they come and go,
-- the links of a namespace, and a program in it. Each has one descriptor to
-- poll. Needs root. Ends when all three have had something to tell.
--
--   lua5.4 examples/loops/luv.lua

local netns = require "netns"
local uv = require "luv"

-- Calls `fn` whenever there is something, until it returns true; then `done`.
local function on_readable(object, fn, done)
  local poll = assert(uv.new_poll(object:fd()))
  poll:start("r", function(problem)
    assert(not problem, problem)
    if not fn() then return end
    poll:stop() -- before the descriptor is another's
    poll:close()
    object:close()
    if done then done() end
  end)
end

-- All that a monitor has: read(0) never waits, and until it has told all its
-- descriptor stays readable.
local function each(monitor, fn)
  on_readable(monitor, function()
    local event = monitor:read(0)
    while event do
      if fn(event) then return true end
      event = monitor:read(0)
    end
  end)
end

local name = ("loop%d"):format(os.time() % 1e6)
local names = assert(netns.monitor())
local ns = assert(netns.add(name))
local links = assert(ns:monitor_links())

each(names, function(event)
  print("name", event.action, event.name == name)
  return event.action == "delete" and event.name == name
end)

each(links, function(event)
  if event.type ~= "link" then return false end
  print("link", event.action, event.link.name)
  return event.action == "delete"
end)

local process = assert(ns:spawn { "sh", "-c", "sleep 0.1; exit 3" })
on_readable(process, function()
  print("program", select(3, process:wait(0))) -- after nil and a message
  return true
end, function()
  assert(ns:link_add { name = "br0", kind = "bridge" })
  assert(ns:link_delete "br0")
  assert(netns.delete(name))
end)

uv.run()
ns:close()
