--- A link of a lab, to be changed while it is in use: what `lab:link(a, b)`
-- gives.
-- @classmod netns.topology.link

local build = require "netns.topology.build"
local check = require "netns.check"
local core = require "netns.core"
local effects = require "netns.topology.effects"
local model = require "netns.topology.model"

local link = {}

local KNOWN = { up = true } -- keys of set
for effect in pairs(model.EFFECTS) do KNOWN[effect] = true end

local Link = {}
Link.__index = Link

-- Its title in messages.
local function name_of(cable)
  local a, b = cable.ends[1], cable.ends[2]
  return ("%s:%s -- %s:%s"):format(a.node.name, a.name, b.node.name, b.name)
end

--- The link of a cable.
-- @local
function link.of(lab, cable)
  return setmetatable({ lab = lab, cable = cable }, Link)
end

function Link:__tostring()
  return ("netns.link (%s)"):format(name_of(self.cable))
end

-- The effects with the changes; nil and the mistakes if they are wrong.
local function merge(self, changes)
  local reader, merged = { mistakes = {} }, {}
  for name, value in pairs(self.cable.effects) do merged[name] = value end
  for name, value in next, changes do
    if model.EFFECTS[name] then
      merged[name] = nil
      if value then merged[name] = model.effect(reader, name, name, value) end
    elseif name ~= "up" then
      core.raise_key("set", name, KNOWN)
    end
  end
  model.check_effects(reader, "set", merged)
  if not reader.mistakes[1] then return merged end
  table.sort(reader.mistakes)
  return nil, table.concat(reader.mistakes, "; ")
end

-- At both ends, or at none.
local function apply(self, wanted)
  local cable = self.cable
  local old, new = cable.effects, { effects = wanted, mtu = cable.mtu }
  local function set(interface, to, had)
    return effects.apply(self.lab.of[interface.node], interface.name, to,
      next(had) ~= nil)
  end
  for i, interface in ipairs(cable.ends) do
    local ok, message, errno = set(interface, new, old)
    if not ok then
      if i == 2 then set(cable.ends[1], cable, wanted) end
      return nil, message, errno
    end
  end
  cable.effects = wanted
  return true
end

-- With a link its routes go, and its IPv6 addresses: so they are added again.
local function raise(self)
  for _, interface in ipairs(self.cable.ends) do
    build.raise_again(self.lab.of[interface.node], interface)
  end
  for _, interface in ipairs(self.cable.ends) do
    build.route_again(self.lab.of[interface.node], interface)
    build.settle(self.lab.of[interface.node], interface.node, { interface })
  end
  self.cable.down = nil
end

local function lower(self)
  for _, interface in ipairs(self.cable.ends) do
    build.try(interface.path, self.lab.of[interface.node]:link_set(
      interface.name, { up = false }))
  end
  self.cable.down = true
end

--- Changes a link, in both directions at once, and leaves what is not said as
-- it is. A link that is taken up again has its addresses and routes of the
-- description back.
-- @tparam table changes `up`: a boolean; `delay`, `jitter`, `loss`,
-- `duplicate`, `corrupt`, `reorder`, `rate`, `limit`: as in the description of
-- a link, or false for none
-- @treturn[1] boolean true
-- @return[2] nil, and the link is as it was, if it is a value or the queue that
-- is refused
-- @treturn[2] string message
-- @treturn[2] integer errno: EINVAL for a value; EOPNOTSUPP for a queue (netem)
-- that the kernel lacks
function Link:set(changes)
  check.table("set", "changes", changes)
  local up = rawget(changes, "up")
  if up ~= nil then check.boolean("set", "up", up) end
  if self.lab.closed then
    check.problem("set", "link", "its lab is closed")
  end
  local title = "set " .. name_of(self.cable)
  local merged, mistakes = merge(self, changes)
  if not merged then
    return nil, ("%s: %s"):format(title, mistakes), core.errno.EINVAL
  end
  local ok, message, errno = apply(self, merged)
  if not ok then return nil, ("%s: %s"):format(title, message), errno end
  if up == nil then return true end
  local fine, failure = pcall(up and raise or lower, self)
  if fine then return true end
  if type(failure) ~= "table" then error(failure, 0) end
  return nil, ("%s: %s"):format(title, failure.message), failure.errno
end

check.methods(Link, "link", { set = 1 })

return link
