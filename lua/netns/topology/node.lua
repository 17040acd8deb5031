--- A node of a lab: a handle, with the methods of every handle and these.
-- @classmod netns.topology.node

local check = require "netns.check"
local core = require "netns.core"
local ping = require "netns.ping"
local targets = require "netns.topology.targets"

local node = {}

local Node = setmetatable({}, { __index = core.methods })

local MODEL = {} -- a key that nobody else has

-- The addresses of a node: an array of them all but those of lo, without the
-- lengths of their prefixes, and an array for each of its interfaces.
local function addresses_of(model)
  local all = {}
  for _, interface in ipairs(model.interfaces) do
    local list = {}
    for i, address in ipairs(interface.addresses) do
      list[i] = address.plain
      if interface.name ~= "lo" then all[#all + 1] = address.plain end
    end
    all[interface.name] = list
  end
  return all
end

--- Makes a handle the node of a model. `keep` gives its programs their keeper,
-- see processes.start.
-- @local
function node.make(ns, model, keep)
  local fields = {
    addresses = addresses_of(model), keep = keep, [MODEL] = model,
  }
  return core.extend(ns, model.name, setmetatable(fields, { __index = Node }))
end

--- The model of what is a node, else nil.
-- @local
function node.model(value)
  return type(value) == "userdata" and core.ns_problem(value) == nil
    and value[MODEL] or nil
end

-- Its addresses that are to be asked, the best first; or nil, message, errno.
local function addresses(from, to, ns, family)
  local found, message, errno = targets.found(ns)
  if not found then return nil, message, errno end
  local of, list = targets.of(to, found), {}
  for _, each in ipairs(family and { family } or targets.FAMILIES) do
    for _, address in ipairs(targets.order(of[each], from)) do
      list[#list + 1] = address
    end
  end
  return list
end

-- The first that answers, of all addresses but the first; nil if none does, and
-- message and errno if one could not be asked.
local function find_answer(ns, list, timeout)
  local probes = {}
  for i = 2, #list do probes[i - 1] = { ns = ns, address = list[i] } end
  local ok, message, errno = ping.all(probes, timeout)
  if not ok then return nil, message, errno end
  for _, probe in ipairs(probes) do
    if probe.rtt then return probe.address end
  end
  for _, probe in ipairs(probes) do
    if probe.unasked then return nil, probe.message, probe.errno end
  end
end

--- Asks another node, or an address, for an echo, as @{netns.ping} does. A node
-- is asked by another of its addresses if the first does not answer.
-- @param target a node of the same lab, or an address
-- @tparam[opt] table opts those of @{netns.ping}, and `family`: `"inet"` or
-- `"inet6"`, which addresses of the node; by default all, those of IPv4 first
-- @treturn[1] table as of @{netns.ping}
-- @return[2] nil if no address of the node answers
-- @treturn[2] string message about the first address
-- @treturn[2] integer errno: EADDRNOTAVAIL if it has no address
function Node:ping(target, opts)
  local from, to = node.model(self), node.model(target)
  if not (from and to) then return core.methods.ping(self, target, opts) end
  if opts ~= nil then check.table("ping", "opts", opts) end
  local options = {}
  for key, value in next, opts or {} do options[key] = value end
  local family = options.family
  options.family = nil
  if family ~= nil and family ~= "inet" and family ~= "inet6" then
    check.expected("ping", "family", "\"inet\" or \"inet6\"", family)
  end
  local list, message, errno = addresses(from, to, target, family)
  if not list then return nil, message, errno end
  if not list[1] then
    return nil, ("ping %s: %s has no address%s"):format(core.label(self),
      to.name, family and " of " .. family or ""), core.errno.EADDRNOTAVAIL
  end
  local result
  result, message, errno = core.methods.ping(self, list[1], options)
  if result or not (list[2] and ping.is_answer(errno)) then
    return result, message, errno
  end
  local other, text, number = find_answer(self, list, options.timeout or 1)
  if other then return core.methods.ping(self, other, options) end
  if number then return nil, text, number end
  return nil, message, errno
end

check.numbers("", Node, { ping = 3 })

return node
