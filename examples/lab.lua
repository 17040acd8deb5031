-- What `make run` shows: a lab of two hosts and two routers, whose middle link
-- is limited, built as whoever runs it, pinged through, drawn, and gone.
--
--   lua5.4 examples/lab.lua [DIRECTORY]
--
-- It writes lab.svg and lab.dot to that directory, or to the working directory.

local netns = require "netns"
local topology = require "netns.topology"
local core = require "netns.core"

local unpack = table.unpack or unpack -- luacheck: ignore 113 143

local function step(text, ...)
  print(("\n-- " .. text):format(...))
end

-- Calls a function; its milliseconds, and what it returns.
local function timed(fn, ...)
  local start = core.now()
  local results = { fn(...) }
  return (core.now() - start) * 1000, unpack(results)
end

local function write(name, text)
  local file = assert(io.open((arg[1] or ".") .. "/" .. name, "w"))
  assert(file:write(text))
  file:close()
end

-- The links of a plan, a line each.
local function draw_text(plan)
  for _, link in ipairs(plan.links) do
    local sides = {}
    for i = 1, 2 do
      local name, interface = link[i]:match "^(.-):(.*)$"
      sides[i] = {
        name = name, interface = interface,
        address = plan.nodes[name][interface][1],
      }
    end
    local a, b = sides[1], sides[2]
    local rate = link.rate and ("%g mbit"):format(link.rate / 1e6) or ""
    print(("  %6s  %s %-11s  ---%s---  %11s %s  %s"):format(a.name,
      a.interface, a.address, (rate .. "----------"):sub(1, 10), b.address,
      b.interface, b.name))
  end
end

-- An ordinary user becomes root of namespaces of its own; root stays root.
assert(netns.rootless())

step "a plan: addresses and routes are worked out"
local planning, plan = timed(function()
  return assert(topology.plan {
    routers = { "r1", "r2" },
    links = {
      "client -- r1", { "r1 -- r2", rate = "10mbit" }, "r2 -- server",
    },
  })
end)
draw_text(plan)
write("lab.svg", plan:svg())
write("lab.dot", plan:dot())
print "\n  as a picture: lab.svg, and lab.dot for Graphviz; for Markdown:\n"
io.write(plan:mermaid())

step "built: four namespaces, three links, addresses, routes, queues"
local building, lab = timed(function() return assert(plan:build()) end)
print("", lab.client, lab.server)

step "the client pings the server, over both families"
for _, family in ipairs { "inet", "inet6" } do
  local reply = assert(lab.client:ping(lab.server, { family = family }))
  print(("  %s answers after %.3f ms"):format(reply.address,
    reply.rtt.avg * 1000))
end

step "who reaches whom"
local reaching, matrix = timed(function() return assert(lab:reach()) end)
print(matrix)

step "the middle link is taken down, and up again"
local middle = assert(lab:link("r1", "r2"))
assert(middle:set { up = false })
print("", select(2, lab.client:ping(lab.server)))
assert(middle:set { up = true })
print("", "and back:", assert(lab.client:ping(lab.server)).address)
print("", "differences from the plan:", #assert(lab:diff()))

step "a program on the client"
assert(lab.client:exec { "ping", "-c", "2", "-i", "0.2",
  lab.server.addresses[1] })

local closing = timed(function() lab:close() end)
step("planned in %.1f ms, built in %.1f ms, all pairs asked in %.1f ms, closed "
  .. "in %.1f ms", planning, building, reaching, closing)
