-- Routes: static ones along shortest paths, for the nodes of which none are
-- said. Routers forward, hosts do not. Of paths that are equally short a node
-- takes the one by its first interface, and there by the first router of the
-- segment, so that the same description always has the same routes.

local ip = require "netns.topology.ip"
local mistake = require "netns.topology.model".mistake

local routes = {}

local FAMILIES = { "inet", "inet6" }

-- The address by which `from` reaches the interface `to` on the same segment.
local function reached_by(from, to, family)
  for _, address in ipairs(to.addresses) do
    if address.family == family then
      for _, own in ipairs(from.addresses) do
        if ip.inside(address.bytes, ip.subnet(own)) then return address end
      end
    end
  end
end

-- All subnets of a family, in the order of the nodes' interfaces, with the
-- nodes that are in them.
local function destinations(self, family)
  local list, known = {}, {}
  for _, node in ipairs(self.nodes) do
    for _, interface in ipairs(node.interfaces) do
      for _, address in ipairs(interface.addresses) do
        if address.family == family then
          local subnet = ip.subnet(address)
          local text = ip.text(subnet.bytes, subnet.length)
          local entry = known[text]
          if not entry then
            entry = {
              to = subnet, nodes = {}, is = {},
              single = subnet.length == ip.bits(family),
            }
            known[text] = entry
            list[#list + 1] = entry
          end
          if not entry.is[node] then
            entry.is[node] = true
            entry.nodes[#entry.nodes + 1] = node
          end
        end
      end
    end
  end
  return list
end

-- The interfaces of routers on each segment, in their order.
local function routers_on(self)
  local list = {}
  for _, segment in ipairs(self.segments) do
    list[segment] = {}
    for _, interface in ipairs(segment.interfaces) do
      if interface.node.kind == "router" then
        table.insert(list[segment], interface)
      end
    end
  end
  return list
end

-- Whether what is for a destination may be sent to a node: to a router, or to
-- the owner of an address that is alone, as lo has them.
local function takes(node, destination)
  return node.kind == "router" or destination.single and destination.is[node]
end

-- How many nodes away each node is from a destination; those to which no way
-- leads are left out.
local function distances(destination, family)
  local distance, queue = {}, {}
  for _, node in ipairs(destination.nodes) do
    distance[node] = 0
    queue[#queue + 1] = node
  end
  local i = 1
  while queue[i] do
    local node = queue[i]
    for _, own in ipairs(takes(node, destination) and node.interfaces or {}) do
      for _, other in ipairs(own.segment and own.segment.interfaces or {}) do
        if not distance[other.node] and reached_by(other, own, family) then
          distance[other.node] = distance[node] + 1
          queue[#queue + 1] = other.node
        end
      end
    end
    i = i + 1
  end
  return distance
end

-- The interfaces on a segment to which what is for a destination may be sent.
local function takers(segment, destination, routers)
  if not destination.single then return routers[segment] end
  local list = {}
  for _, interface in ipairs(routers[segment]) do
    list[#list + 1] = interface
  end
  for _, node in ipairs(destination.nodes) do
    for _, interface in ipairs(node.kind == "host" and node.interfaces or {}) do
      if interface.segment == segment then list[#list + 1] = interface end
    end
  end
  return list
end

-- The address of the next node on the way from one.
local function next_hop(node, destination, distance, routers)
  for _, own in ipairs(node.interfaces) do
    local list = own.segment and takers(own.segment, destination, routers) or {}
    for _, other in ipairs(list) do
      if other.node ~= node and distance[other.node] == distance[node] - 1 then
        local address = reached_by(own, other, destination.to.family)
        if address then return address end
      end
    end
  end
end

-- A host all of whose ways begin in the same place needs but a default route.
local function shorten(node, list)
  if node.kind ~= "host" or #list == 0 then return list end
  for _, route in ipairs(list) do
    if route.via.bytes ~= list[1].via.bytes then return list end
  end
  return { { to = "default", via = list[1].via } }
end

local function work_out(self, node_list, routers)
  for _, family in ipairs(FAMILIES) do
    local of = {}
    for _, node in ipairs(node_list) do of[node] = {} end
    for _, destination in ipairs(destinations(self, family)) do
      local distance = distances(destination, family)
      for _, node in ipairs(node_list) do
        if distance[node] and distance[node] > 0 then
          local via = next_hop(node, destination, distance, routers)
          if via then
            table.insert(of[node], { to = destination.to, via = via })
          end
        end
      end
    end
    for _, node in ipairs(node_list) do
      for _, route in ipairs(shorten(node, of[node])) do
        node.routes[#node.routes + 1] = route
      end
    end
  end
end

-- The next hop of a route that is said has to be on a segment of the node.
local function check(self, node)
  for _, route in ipairs(node.routes) do
    local found = false
    for _, interface in ipairs(node.interfaces) do
      found = found or routes.leave_by(route, interface)
    end
    if not found then
      mistake(self, route.via.path, "%s is on no subnet of %s", route.via.plain,
        node.name)
    end
  end
end

--- Whether a route of a node leaves by an interface.
function routes.leave_by(route, interface)
  for _, address in ipairs(interface.addresses) do
    if ip.inside(route.via.bytes, ip.subnet(address)) then return true end
  end
end

--- The destination of a route, as it is written.
function routes.text(route)
  local to = route.to
  return to == "default" and to or ip.text(to.bytes, to.length)
end

--- Checks the routes that are said, and works out the others.
function routes.complete(self)
  local rest = {}
  for _, node in ipairs(self.nodes) do
    if node.kind == "switch" then
      node.routes = {}
    elseif node.routes then
      check(self, node)
    else
      node.routes = {}
      rest[#rest + 1] = node
    end
  end
  if rest[1] then work_out(self, rest, routers_on(self)) end
end

return routes
