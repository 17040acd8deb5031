-- Two namespaces with names made, linked, entered, listed, watched and taken
-- away again. Needs root; the machine's own network is not touched.
--
--   lua5.4 examples/tour.lua

local netns = require "netns"

local function step(text, ...)
  print(("\n-- " .. text):format(...))
end

-- Names that two tours at once do not share.
local suffix = ("-%d"):format(netns.current():cookie() % 1000 + os.time() % 1e6)
local names = { left = "left" .. suffix, right = "right" .. suffix }

local monitor = assert(netns.monitor { timeout = 0 })

local function tour(left, right)
  print(left, right)

  step "link them, give them addresses, and ping from one to the other"
  assert(left:link_add { name = "eth0", kind = "veth",
    peer = { name = "eth0", ns = right } })
  local addresses = { [left] = "10.0.0.1/24", [right] = "10.0.0.2/24" }
  for ns, address in pairs(addresses) do
    assert(ns:addr_add("eth0", address))
    assert(ns:link_set("lo", { up = true }))
    assert(ns:link_set("eth0", { up = true }))
  end
  print((([[
    +------------------+                +------------------+
    | %-16s |                | %-16s |
    |             eth0 +----------------+ eth0             |
    |      10.0.0.1/24 |                | 10.0.0.2/24      |
    +------------------+                +------------------+
]]):format(names.left, names.right)))
  assert(left:wait_link("eth0", { running = true, timeout = 5 }))
  assert(left:exec { "ping", "-c", "2", "-i", "0.2", "10.0.0.2" })

  step "enter one: this thread looks around inside, and is back"
  left:call(function()
    print("inside", netns.current() == left)
    for line in io.lines "/proc/thread-self/net/dev" do
      local link = line:match "^%s*([%w.-]+):"
      if link then print("", link) end
    end
  end)
  print("outside", netns.current() ~= left)

  step "give them ids, and list all there are"
  assert(netns.all.set("auto", { only = suffix:gsub("%-", "%%-") .. "$" }))
  for _, entry in ipairs(assert(netns.list())) do
    print(entry.name, "id " .. (entry.id or "-"), "inode " .. entry.inode)
  end
end

local function print_events()
  for event in monitor do print("event", event.action, event.name) end
end

step "make two namespaces, and watch the names"
local left = assert(netns.add(names.left))
local right = assert(netns.add(names.right))
print_events()
local ok, message = pcall(tour, left, right)

step "take them away"
left:close()
right:close()
for _, name in pairs(names) do assert(netns.delete(name, { wait = 5 })) end
print_events()
monitor:close()

assert(ok, message)
