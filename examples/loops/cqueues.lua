-- Three things of the library in one loop of cqueues: names as they come and
-- go, the links of a namespace, and a program in it. Each has one descriptor to
-- poll. Needs root. Ends when all three have had something to tell.
--
--   lua5.4 examples/loops/cqueues.lua

local cqueues = require "cqueues"
local netns = require "netns"

-- What cqueues polls is anything with these methods.
local function pollable(object)
  return {
    pollfd = function() return object:fd() end,
    events = function() return "r" end,
    timeout = function() end,
  }
end

-- All that a monitor has: read(0) never waits, and until it has told all its
-- descriptor stays readable.
local function each(monitor, fn)
  local ready = pollable(monitor)
  while true do
    local event = monitor:read(0)
    if not event then
      cqueues.poll(ready)
    elseif fn(event) then
      break
    end
  end
  cqueues.cancel(monitor:fd()) -- before the descriptor is another's
  monitor:close()
end

local name = ("loop%d"):format(os.time() % 1e6)
local loop = cqueues.new()
local names = assert(netns.monitor())
local ns = assert(netns.add(name))
local links = assert(ns:monitor_links())

loop:wrap(function()
  each(names, function(event)
    print("name", event.action, event.name == name)
    return event.action == "delete" and event.name == name
  end)
end)

loop:wrap(function()
  each(links, function(event)
    if event.type ~= "link" then return false end
    print("link", event.action, event.link.name)
    return event.action == "delete"
  end)
end)

loop:wrap(function()
  local process = assert(ns:spawn { "sh", "-c", "sleep 0.1; exit 3" })
  cqueues.poll(pollable(process))
  cqueues.cancel(process:fd())
  print("program", select(3, process:wait(0))) -- after nil and a message
  process:close()
  assert(ns:link_add { name = "br0", kind = "bridge" })
  assert(ns:link_delete "br0")
  assert(netns.delete(name))
end)

assert(loop:loop())
ns:close()
