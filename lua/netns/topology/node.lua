--- A node of a lab: a handle, with the methods of every handle and these.
-- @classmod netns.topology.node

local core = require "netns.core"
local ip = require "netns.topology.ip"

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

local function shares_subnet(address, model)
  for _, interface in ipairs(model.interfaces) do
    for _, own in ipairs(interface.name ~= "lo" and interface.addresses or {})
    do
      if ip.inside(address.bytes, ip.subnet(own)) then return true end
    end
  end
end

--- The address by which a node reaches another: one in a subnet of its own, or
-- else the first; nil if there is none of the family.
-- @local
function node.address(from, to, family)
  local first
  for _, interface in ipairs(to.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if address.family == family then
        if shares_subnet(address, from) then return address.plain end
        first = first or address.plain
      end
    end
  end
  return first
end

--- Asks another node, or an address, for an echo, as @{netns.ping} does.
-- @param target a node of the same lab, or an address
-- @tparam[opt] table opts those of @{netns.ping}, and `family`: `"inet"` or
-- `"inet6"`, which address of the node; by default IPv4, if it has it
-- @treturn[1] table as of @{netns.ping}
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: EADDRNOTAVAIL if it has no address
function Node:ping(target, opts)
  local to = node.model(target)
  if not to then return core.methods.ping(self, target, opts) end
  local options = {}
  for key, value in pairs(opts or {}) do options[key] = value end
  local family = options.family
  options.family = nil
  if family ~= nil and family ~= "inet" and family ~= "inet6" then
    error("bad option 'family' to 'ping' (\"inet\" or \"inet6\" expected)", 2)
  end
  local from = self[MODEL]
  local address = node.address(from, to, family or "inet")
    or not family and node.address(from, to, "inet6")
  if not address then
    return nil, ("ping %s: %s has no address%s"):format(core.label(self),
      to.name, family and " of " .. family or ""), core.errno.EADDRNOTAVAIL
  end
  return core.methods.ping(self, address, options)
end

return node
