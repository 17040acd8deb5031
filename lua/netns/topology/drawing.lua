-- What all pictures of a plan show, in the order in which they show it: an
-- array of nodes and one of edges, with their texts.

local format = require "netns.topology.format"
local order = require "netns.topology.order"

local printable, sorted = format.printable, order.names

local no_interface =
  { router = true, routes = true, sysctl = true, interfaces = true }

-- The addresses of each interface, by its name.
local function addresses_of(node)
  local by_name = {}
  for name, addresses in pairs(node) do
    if not no_interface[name] then by_name[name] = addresses end
  end
  for name, addresses in pairs(node.interfaces or {}) do
    by_name[name] = addresses
  end
  return by_name
end

local function interfaces(node)
  local list, by_name, addresses = {}, {}, addresses_of(node)
  for _, name in ipairs(sorted(addresses)) do
    local interface = { name = printable(name), addresses = {} }
    for i, address in ipairs(addresses[name]) do
      interface.addresses[i] = printable(address)
    end
    list[#list + 1], by_name[name] = interface, interface
  end
  return list, by_name
end

local function add_node(drawing, name, kind, node)
  local new = { name = printable(name), kind = kind }
  new.interfaces, new.by_name = interfaces(node)
  drawing.nodes[#drawing.nodes + 1] = new
  new.index = #drawing.nodes
  return new
end

-- One end of an edge, "node:interface": { node = index, interface = … }, whose
-- interface then counts as linked.
local function ending(by_name, text)
  local name, interface_name = text:match "^([^:]*):?(.*)$"
  local node = by_name[name]
  local interface = node.by_name[interface_name]
  if interface then
    interface.linked = true
  elseif interface_name ~= "" then
    interface = { name = printable(interface_name), addresses = {} }
  end
  return { node = node.index, interface = interface }
end

local function add_edge(drawing, a, b, options)
  drawing.edges[#drawing.edges + 1] =
    { a = a, b = b, impairments = format.impairments(options) }
end

--- The drawing of a plan. Edges are those of the links, then the cables of the
-- switches; an end at a switch has no interface.
return function(plan)
  local drawing = { nodes = {}, edges = {} }
  local nodes, switches = plan.nodes or {}, plan.switches or {}
  local by_name = {}
  for _, name in ipairs(sorted(nodes)) do
    local kind = nodes[name].router and "router" or "host"
    by_name[name] = add_node(drawing, name, kind, nodes[name])
  end
  for _, name in ipairs(sorted(switches)) do
    by_name[name] = add_node(drawing, name, "switch", {})
  end
  for _, link in ipairs(plan.links or {}) do
    add_edge(drawing, ending(by_name, link[1]), ending(by_name, link[2]), link)
  end
  for _, name in ipairs(sorted(switches)) do
    for _, port in ipairs(switches[name]) do
      add_edge(drawing, { node = by_name[name].index }, ending(by_name, port),
        switches[name])
    end
  end
  return drawing
end
