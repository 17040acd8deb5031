--- A node of a lab: a handle, with the methods of every handle and these.
-- @classmod netns.topology.node

local check = require "netns.check"
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

-- Whether its link is up, as far as lab:link has a say in it.
local function is_up(interface)
  return not (interface.cable and interface.cable.down)
end

local function shares_subnet(address, model)
  for _, interface in ipairs(model.interfaces) do
    if interface.name ~= "lo" and is_up(interface) then
      for _, own in ipairs(interface.addresses) do
        if ip.inside(address.bytes, ip.subnet(own)) then return true end
      end
    end
  end
end

-- What is said of it: best an address of a link that is up, and of those one in
-- a subnet that both have; the first, if there is more than one.
local function said(from, to, family)
  local best, best_rank
  for _, interface in ipairs(to.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if address.family == family then
        local rank = (is_up(interface) and 2 or 0)
          + (shares_subnet(address, from) and 1 or 0)
        if not best or rank > best_rank then
          best, best_rank = address.plain, rank
        end
      end
    end
  end
  return best
end

--- The address by which a node reaches another, whose handle is `ns`; nil if
-- there is none of the family. One of which none is said may have got it, as
-- by DHCP.
-- @local
function node.address(from, to, ns, family)
  local address = said(from, to, family)
  if address then return address end
  for _, addr in ipairs(ns:addrs { family = family } or {}) do
    if addr.scope == "global" then return addr["local"] end
  end
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
  local address = node.address(from, to, target, family or "inet")
    or not family and node.address(from, to, target, "inet6")
  if not address then
    return nil, ("ping %s: %s has no address%s"):format(core.label(self),
      to.name, family and " of " .. family or ""), core.errno.EADDRNOTAVAIL
  end
  return core.methods.ping(self, address, options)
end

check.numbers("", Node, { ping = 3 })

return node
