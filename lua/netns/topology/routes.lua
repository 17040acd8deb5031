-- Routes: static ones along shortest paths, for the nodes of which none are
-- said. Routers forward, hosts do not. Of paths that are equally short a node
-- takes the one by its first interface, and there by the first router of the
-- segment, so that the same description always has the same routes.
--
-- Each route leaves by one interface of its node, route.interface.

local ip = require "netns.topology.ip"
local reader = require "netns.topology.reader"

local mistake = reader.mistake

local routes = {}

local FAMILIES = { "inet", "inet6" }

-- Whether an address is that of an interface alone, in no subnet with others.
local function is_alone(address)
  return address.length == ip.bits(address.family)
end

local function subnet_text(bytes, length)
  return ip.text(ip.network(bytes, length), length)
end

-- Calls `fn(address, interface)` for each of a node's addresses of a family
-- that others may reach from afar.
local function each_address(node, family, fn)
  for _, interface in ipairs(node.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if address.family == family and not ip.is_link_local(address)
        and not ip.is_loopback(address) then
        fn(address, interface)
      end
    end
  end
end

-- Ways ------------------------------------------------------------------------

-- All subnets of a family, in the order of the nodes' interfaces, with the
-- nodes that are in them.
local function destinations(self, family)
  local list, known = {}, {}
  for _, node in ipairs(self.nodes) do
    each_address(node, family, function(address)
      local text = subnet_text(address.bytes, address.length)
      local entry = known[text]
      if not entry then
        entry = {
          to = ip.subnet(address), nodes = {}, is = {},
          single = is_alone(address),
        }
        known[text], list[#list + 1] = entry, entry
      end
      if not entry.is[node] then
        entry.is[node] = true
        entry.nodes[#entry.nodes + 1] = node
      end
    end)
  end
  return list
end

-- The subnets of a segment: by their texts, the interfaces that have them; and
-- the lengths that there are.
local function subnets_on(segment, family)
  local found, lengths = {}, {}
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if address.family == family and not is_alone(address)
        and not ip.is_link_local(address) then
        local text = subnet_text(address.bytes, address.length)
        found[text] = found[text] or { members = {} }
        lengths[address.length] = true
        if not found[text].members[interface] then
          found[text].members[interface] = true
          table.insert(found[text].members, interface)
        end
      end
    end
  end
  return found, lengths
end

-- From each interface to the subnets of its segment that it is a member of, and
-- to those in which it has an address, so that members reach it; and to its
-- place on the segment.
local function look_round(self, family)
  local view = { member_of = {}, is_in = {}, position = {} }
  for _, segment in ipairs(self.segments) do
    local found, lengths = subnets_on(segment, family)
    for position, interface in ipairs(segment.interfaces) do
      local set = {}
      for _, address in ipairs(interface.addresses) do
        for length in pairs(address.family == family and lengths or {}) do
          local subnet = found[subnet_text(address.bytes, length)]
          if subnet then set[subnet] = true end
        end
      end
      view.is_in[interface], view.member_of[interface] = set, {}
      view.position[interface] = position
    end
    for _, subnet in pairs(found) do
      for _, interface in ipairs(subnet.members) do
        view.member_of[interface][subnet] = true
      end
    end
  end
  return view
end

-- Whether what is for a destination may be sent to a node: to a router, or to
-- the owner of an address that is alone, as lo has them.
local function takes(node, destination)
  return node.kind == "router" or destination.single and destination.is[node]
end

-- Hosts come after all routers.
local function position_of(view, interface)
  return view.position[interface]
    + (interface.node.kind == "router" and 0 or 2 ^ 32)
end

-- How many nodes away each node is from a destination; those to which no way
-- leads are left out. And for each subnet the interface to which its members
-- send: of those that are nearest the first.
local function spread(destination, view)
  local distance, queue, hops = {}, {}, {}
  for i, node in ipairs(destination.nodes) do
    distance[node], queue[i] = 0, node
  end
  local i = 1
  while queue[i] do
    local node = queue[i]
    for _, own in ipairs(takes(node, destination) and node.interfaces or {}) do
      for subnet in pairs(view.is_in[own] or {}) do
        local hop, position = hops[subnet], position_of(view, own)
        if not hop then
          for _, member in ipairs(subnet.members) do
            if not distance[member.node] then
              distance[member.node] = distance[node] + 1
              queue[#queue + 1] = member.node
            end
          end
        end
        if not hop or hop.distance == distance[node]
          and position < hop.position then
          hops[subnet] =
            { to = own, distance = distance[node], position = position }
        end
      end
    end
    i = i + 1
  end
  return distance, hops
end

-- The address by which `from` reaches the interface `to` on the same segment.
local function reached_by(from, to, family)
  for _, address in ipairs(to.addresses) do
    if address.family == family and not ip.is_link_local(address) then
      for _, own in ipairs(from.addresses) do
        if ip.inside(address.bytes, ip.subnet(own)) then return address end
      end
    end
  end
end

-- The address of the next node on the way from one that is `away` so far, and
-- the interface by which it is reached.
local function next_hop(node, away, family, hops, view)
  for _, own in ipairs(node.interfaces) do
    local best
    for subnet in pairs(view.member_of[own] or {}) do
      local hop = hops[subnet]
      if hop and hop.distance == away - 1
        and not (best and best.position < hop.position) then
        best = hop
      end
    end
    if best then return reached_by(own, best.to, family), own end
  end
end

-- A host all of whose ways begin in the same place needs but a default route.
local function shorten(node, list)
  if node.kind ~= "host" or #list == 0 then return list end
  for _, route in ipairs(list) do
    if route.via.bytes ~= list[1].via.bytes then return list end
  end
  local first = list[1]
  return { { to = "default", via = first.via, interface = first.interface } }
end

local function work_out(self, node_list)
  for _, family in ipairs(FAMILIES) do
    local of, own, view = {}, {}, look_round(self, family)
    for _, node in ipairs(node_list) do
      of[node], own[node] = {}, {}
      each_address(node, family, function(address)
        own[node][address.bytes] = true
      end)
    end
    for _, destination in ipairs(destinations(self, family)) do
      local distance, hops = spread(destination, view)
      for _, node in ipairs(node_list) do
        local away = distance[node] or 0
        local is_own = destination.single and own[node][destination.to.bytes]
        if away > 0 and not is_own then
          local via, interface = next_hop(node, away, family, hops, view)
          if via and not own[node][via.bytes] then
            table.insert(of[node],
              { to = destination.to, via = via, interface = interface })
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

-- What is said ----------------------------------------------------------------

-- The addresses of a node, by their bytes; its subnets, by their texts, each
-- with the address it is of and the first interface that has it; and the
-- lengths that there are.
local function index(node)
  local own, subnets, lengths = {}, {}, {}
  for _, interface in ipairs(node.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if not ip.is_link_local(address) then
        local text = subnet_text(address.bytes, address.length)
        own[address.bytes] = address
        subnets[text] = subnets[text]
          or { address = address, interface = interface }
        lengths[address.length] = true
      end
    end
  end
  return own, subnets, lengths
end

-- The interface by which a node sends to an address on one of its links, and
-- the subnet that both are in.
local function link_of(via, subnets, lengths)
  for length in pairs(lengths) do
    local fits = length < ip.bits(via.family)
    local found = fits and subnets[subnet_text(via.bytes, length)]
    if found and found.interface.name ~= "lo"
      and found.address.family == via.family then
      return found.interface, ip.subnet(found.address)
    end
  end
end

-- Whether an interface on a segment has an address.
local function has_address(segment, bytes)
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if address.bytes == bytes then return true end
    end
  end
  return false
end

-- The interface of the next hop of a route; nil and why there is none.
local function leave_by(node, via, own, subnets, lengths)
  if via.link then
    local interface = node.interface[via.link]
    if interface and interface.cable then return interface end
    return nil, ("is on %s, and %s has no such link"):format(via.link,
      node.name)
  end
  local interface, subnet = link_of(via, subnets, lengths)
  if own[via.bytes] then
    return nil, ("is an address of %s itself"):format(node.name)
  elseif not interface then
    return nil, ("is on no subnet of %s"):format(node.name)
  elseif via.bytes == ip.broadcast(subnet) then
    return nil, "is the broadcast address of its subnet"
  elseif via.bytes == subnet.bytes and ip.bits(via.family) - subnet.length > 1
    and not has_address(interface.segment, via.bytes) then
    return nil, "is the subnet itself"
  end
  return interface
end

-- The next hop of a route that is said has to be on a segment of the node, and
-- its destination elsewhere.
local function check(self, node)
  local own, subnets, lengths = index(node)
  for _, route in ipairs(node.routes) do
    local to, via = route.to, route.via
    local interface, problem = leave_by(node, via, own, subnets, lengths)
    route.interface = interface
    if problem then mistake(self, via.path, "%s %s", via.plain, problem) end
    local known = to ~= "default" and subnets[ip.text(to.bytes, to.length)]
    if known then
      mistake(self, via.path, "%s is in it already, by %s", node.name,
        known.address.path)
    elseif to ~= "default" and is_alone(to) and own[to.bytes] then
      mistake(self, via.path, "it is an address of %s itself", node.name)
    end
  end
end

--- The destination of a route, as it is written.
function routes.text(route)
  local to = route.to
  return to == "default" and to or ip.text(to.bytes, to.length)
end

--- The next hop of a route, as it is written in a description.
function routes.hop(route)
  local via = route.via
  return via.link and ("%s%%%s"):format(via.plain, via.link) or via.plain
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
  if rest[1] then work_out(self, rest) end
end

return routes
