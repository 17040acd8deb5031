--- A plan: a description of which everything is said, in the same language. It
-- is a plain table, and so can be stored; planned again, it stays as it is.
-- @classmod netns.topology.plan

local addresses = require "netns.topology.addresses"
local check = require "netns.check"
local core = require "netns.core"
local dot = require "netns.topology.dot"
local ip = require "netns.topology.ip"
local mermaid = require "netns.topology.mermaid"
local model = require "netns.topology.model"
local nodes = require "netns.topology.nodes"
local routes = require "netns.topology.routes"
local sh = require "netns.topology.sh"
local svg = require "netns.topology.svg"

local plan = {}

local Plan = {}
Plan.__index = Plan
plan.methods = Plan

-- Plans are tables that anybody may have changed, or stored and loaded: so each
-- use of one reads it again.
local function model_of(self, what)
  check.table(what, "plan", self)
  local read, message = plan.model(self)
  if not read then check.problem(what, "plan", "%s", message) end
  return read
end

--- A text for Graphviz: `dot -Tsvg`.
-- @treturn string the same for the same plan, to the byte, as the others are
function Plan:dot()
  return dot(plan.say(model_of(self, "dot")))
end

--- A flowchart for Mermaid, as GitHub and others show it in Markdown.
-- @treturn string
function Plan:mermaid()
  return mermaid(plan.say(model_of(self, "mermaid")))
end

--- A picture, laid out by ourselves: for up to some thirty nodes.
-- @treturn string an SVG document
function Plan:svg()
  return svg(plan.say(model_of(self, "svg")))
end

--- The commands of ip(8) and tc(8) that make the same network, for a shell.
-- @treturn string
function Plan:sh()
  return sh(model_of(self, "sh"))
end

--- Builds it, as @{netns.topology.build} does.
function Plan:build()
  return require "netns.topology".build(self)
end

check.numbers("", Plan, { dot = 1, mermaid = 1, svg = 1, sh = 1, build = 1 })

--- Reads and completes a description: a model, or nil, message, errno, and an
-- array of the mistakes.
-- @local
function plan.model(description)
  local self = model.read(description)
  addresses.complete(self)
  -- of what is not all there, routes would be wrong
  if not self.broken then routes.complete(self) end
  if self.mistakes[1] then
    local mistakes = model.mistakes(self)
    return nil, table.concat(mistakes, "\n"), core.errno.EINVAL, mistakes
  end
  return self
end

local function texts(list)
  local out = {}
  for i, address in ipairs(list) do
    out[i] = ip.text(address.bytes, address.length)
  end
  return out
end

local function say_routes(node)
  local said = {}
  for _, route in ipairs(node.routes) do
    local to = routes.text(route)
    said[to] = said[to] or {}
    table.insert(said[to], routes.hop(route))
  end
  for to, via in pairs(said) do
    if #via == 1 then said[to] = via[1] end
  end
  return said
end

local function say_node(node)
  local said = { routes = say_routes(node) }
  if node.kind == "router" then said.router = true end
  for _, entry in ipairs(node.sysctl) do
    said.sysctl = said.sysctl or {}
    said.sysctl[entry.key] = entry.value
  end
  for _, interface in ipairs(node.interfaces) do
    local name, list = interface.name, texts(interface.addresses)
    if nodes.is_option(name) then
      said.interfaces = said.interfaces or {}
      said.interfaces[name] = list
    else
      said[name] = list
    end
  end
  return said
end

local function say_options(cable, said)
  said.mtu = cable.mtu
  for name, value in pairs(cable.effects) do said[name] = value end
  return said
end

local function say_end(interface)
  return ("%s:%s"):format(interface.node.name, interface.name)
end

--- The plan of a model.
-- @local
function plan.say(self)
  local said = { nodes = {}, switches = {}, links = {} }
  if self.named then said.named = true end
  for _, node in ipairs(self.nodes) do
    if node.kind == "switch" then
      said.switches[node.name] = {}
    else
      said.nodes[node.name] = say_node(node)
    end
  end
  for _, cable in ipairs(self.cables) do
    local a, b = cable.ends[1], cable.ends[2]
    local switch = cable.member and said.switches[b.node.name]
    if switch then
      table.insert(switch, say_end(a))
      say_options(cable, switch)
    else
      table.insert(said.links, say_options(cable, { say_end(a), say_end(b) }))
    end
  end
  return setmetatable(said, Plan)
end

return plan
