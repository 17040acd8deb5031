--- Classes of queues; what else concerns queues is in C.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local qdiscs = {}

-- The names of the links that have queues, in their order.
local function links_of(NS)
  local list, message, errno = core.qdiscs(NS)
  if not list then return nil, message, errno end
  local names, seen = {}, {}
  for _, qdisc in ipairs(list) do
    if not seen[qdisc.link] then
      seen[qdisc.link], names[#names + 1] = true, qdisc.link
    end
  end
  return names
end

--- The classes of queues: `tc -n NAME -details class show dev LINK`.
-- @function classes
-- @param NS
-- @tparam[opt] table filter fields that a class has to have, such as
-- `{ link = "eth0", kind = "htb" }`
-- @treturn[1] {table,...} `link`, `kind`, `classid` (`"1:10"`), `root=true` or
-- `parent` (`"1:1"`), `leaf` (the handle of the queue in it), and for htb the
-- options of @{class_add}: rates in bits a second, bursts in bytes; and `stats`
-- as in @{qdiscs}
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function qdiscs.classes(NS, filter)
  check.namespace("classes", NS)
  check.filter("classes", filter)
  if filter and filter.link then
    return core.classes(NS, filter.link, filter)
  end
  local names, message, errno = links_of(NS)
  if not names then return nil, message, errno end
  local found = {}
  for _, name in ipairs(names) do
    local list
    list, message, errno = core.classes(NS, name, filter)
    if list then
      for _, class in ipairs(list) do found[#found + 1] = class end
    elseif errno ~= core.errno.ENODEV then -- else it has just gone
      return nil, message, errno
    end
  end
  return found
end

return qdiscs
