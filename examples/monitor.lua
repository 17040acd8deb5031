-- Prints names and ids as they come and go, until it is interrupted.
--
--   lua5.4 examples/monitor.lua [SECONDS]     ends when nothing has happened
--                                             for so long

local netns = require "netns"

local monitor = assert(netns.monitor {
  existing = true, ids = true, timeout = tonumber(arg[1]),
})

for event in monitor do
  print(os.date "%H:%M:%S", event.action, netns.printable(event.name or "-"),
    event.nsid or "")
  io.stdout:flush()
end

monitor:close()
