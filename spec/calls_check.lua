-- Holds spec/calls.lua against what there is: every public function is in the
-- list, and nothing else. Needs no privileges. `make lint` runs it.

local core = require "netns.core"
local netns = require "netns"
local processes = require "netns.process"
local topology = require "netns.topology"
local calls = require "spec.calls"

-- A class that only its module knows, by the variable of a function.
local function class(fn, variable)
  for i = 1, 255 do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    if name == variable then return value end
  end
  error("no class " .. variable)
end

local plan = require "netns.topology.plan"
local lab = require "netns.topology.lab"
local link = require "netns.topology.link"
local node = require "netns.topology.node"
local watch = require "netns.watch"

local tables = {
  ["netns."] = netns,
  ["all."] = netns.all,
  ["topology."] = topology,
  ["ns:"] = core.methods,
  ["socket:"] = debug.getregistry()["netns.socket"].__index,
  ["process:"] = class(processes.start, "Process"),
  ["monitor:"] = class(require "netns.monitor", "Monitor"),
  ["link_monitor:"] = class(watch.monitor_links, "Monitor"),
  ["plan:"] = class(plan.say, "Plan"),
  ["lab:"] = class(lab.build, "Lab"),
  ["link:"] = class(link.of, "Link"),
  ["node:"] = class(node.make, "Node"),
}

-- Other calls of which more than the one of the function they share matters.
local EXTRA = { ["node:exec"] = true }

local problems, there = {}, {}
for prefix, functions in pairs(tables) do
  for name, value in pairs(functions) do
    if type(value) == "function" and not name:find "^__" then
      there[prefix .. name] = true
      if not calls.list[prefix .. name] then
        problems[#problems + 1] = prefix .. name .. ": not in spec/calls.lua"
      end
    end
  end
end
for name in pairs(calls.list) do
  if not there[name] and not EXTRA[name] then
    problems[#problems + 1] = name .. ": in spec/calls.lua, but not there"
  end
end
table.sort(problems)
for _, problem in ipairs(problems) do io.stderr:write(problem, "\n") end
os.exit(problems[1] and 1 or 0)
