--- Networks of hosts, routers and switches, described in one table.
--
--    local topology = require "netns.topology"
--    local lab = assert(topology.build {
--      routers = { "r" },
--      links = { "client -- r", { "r -- server", rate = "100mbit" } },
--    })
--    assert(lab.client:ping(lab.server))
--    lab:close()
-- @module netns.topology

require "netns" -- which completes the methods of handles

local check = require "netns.check"
local core = require "netns.core"
local lab = require "netns.topology.lab"
local plan = require "netns.topology.plan"

local topology = {}

local function model_of(what, description)
  check.table(what, "description", description)
  return plan.model(description)
end

--- Checks a description and completes it, without privileges or side effects.
-- @tparam table description
-- @treturn[1] netns.topology.plan
-- @return[2] nil
-- @treturn[2] string message: every mistake, a line each, with its path
-- @treturn[2] integer errno: EINVAL
-- @treturn[2] {string,...} the mistakes
function topology.plan(description)
  local model, message, errno, mistakes = model_of("plan", description)
  if not model then return nil, message, errno, mistakes end
  return plan.say(model)
end

--- Builds what a description, or a plan, describes. Every link is up then, and
-- every address can be used.
-- @tparam table description
-- @treturn[1] netns.topology.lab
-- @return[2] nil, and nothing is left
-- @treturn[2] string message, with the place in the description
-- @treturn[2] integer errno: EINVAL for a mistake in the description;
-- EOPNOTSUPP if the kernel lacks something, which is named; EPERM
-- @treturn[2] {string,...} the mistakes, for EINVAL
function topology.build(description)
  local model, message, errno, mistakes = model_of("build", description)
  if not model then return nil, message, errno, mistakes end
  return lab.build(model)
end

check.numbers("", topology, { plan = 1, build = 1 })

core.own()

return topology
