-- What has rings: the nodes on rings are placed by their distances, the trees
-- on them grow to the sides, and all is made as large as the labels need.

local boxes = require "netns.topology.layout_boxes"
local labels = require "netns.topology.layout_labels"
local stress = require "netns.topology.layout_stress"
local tiers = require "netns.topology.layout_tiers"
local tree = require "netns.topology.layout_tree"

local abs, max, min, sqrt = math.abs, math.max, math.min, math.sqrt

local ASPECT = 1.5 -- labels are broad, so edges that lie need more room
local GAP = 24     -- between nodes
-- What is taken twice, in square pixels, that is rather borne than that all
-- becomes twice as large.
local SIZE_MATTERS = 12

-- What one of the nodes on rings is, with the trees that hang on it.
local function hub(graph, index, is_core, edges_of)
  local it = { index = index, node = graph.nodes[index], children = {},
    neighbours = {} }
  for _, way in ipairs(edges_of[index]) do
    local list = is_core[way[1]] and it.neighbours or it.children
    list[#list + 1] = way
  end
  return it
end

local function unit_positions(hubs, by_index)
  local neighbours = {}
  for i, it in ipairs(hubs) do
    neighbours[i] = {}
    for k, way in ipairs(it.neighbours) do
      neighbours[i][k] = by_index[way[1]].number
    end
  end
  local x, y = stress(neighbours)
  for i, it in ipairs(hubs) do it.unit_x, it.unit_y = x[i], y[i] end
end

-- How far from level the neighbour is that a tree to this side comes nearest,
-- and how many links there are to it.
local function clearance(it, by_index, side)
  local least, count = 1, 0
  for _, way in ipairs(it.neighbours) do
    local other = by_index[way[1]]
    local dx = (other.unit_x - it.unit_x) * ASPECT * side
    local dy = other.unit_y - it.unit_y
    local length = max(sqrt(dx * dx + dy * dy), 1e-6)
    if 1 - dx / length < least then
      least, count = 1 - dx / length, #way[2]
    end
  end
  return least, count
end

-- Trees grow to where there is room, which is mostly away from the middle.
local function choose_side(it, by_index)
  local right, to_right = clearance(it, by_index, 1)
  local left, to_left = clearance(it, by_index, -1)
  local more = right - left
  if abs(more) < 0.02 then more = to_left - to_right end
  if more == 0 then more = it.unit_x end
  it.side = more < -1e-6 and -1 or 1
  local lines = it.side == 1 and to_right or to_left
  it.in_the_way = (it.side == 1 and right or left) < 0.03 and lines or 0
end

-- A tree where a neighbour is on a level comes above or below its links.
local function shift_of(it, height, by_index)
  if it.in_the_way == 0 then return 0 end
  local below = 0
  for _, way in ipairs(it.neighbours) do
    below = below + by_index[way[1]].unit_y - it.unit_y
  end
  local shift = height / 2 + 4 + it.in_the_way * 22
  return below < -1e-6 and shift or -shift
end

local function measure(graph, it, edges_of, by_index)
  local node = it.node
  it.left, it.right = node.w / 2 + GAP, node.w / 2 + GAP
  it.up, it.down = node.h / 2 + GAP, node.h / 2 + GAP
  it.hanging, it.shift = {}, 0
  if #it.children == 0 then return end
  node.x, node.y = 0, 0
  local height =
    tree.hang(graph, it.index, it.children, edges_of, it.side)
  it.shift = shift_of(it, height, by_index)
  height, it.hanging =
    tree.hang(graph, it.index, it.children, edges_of, it.side, it.shift)
  it.up = max(it.up, height / 2 - it.shift + 8)
  it.down = max(it.down, height / 2 + it.shift + 8)
  for _, index in ipairs(it.hanging) do
    local other = graph.nodes[index]
    it.left = max(it.left, other.w / 2 - other.x + GAP)
    it.right = max(it.right, other.w / 2 + other.x + GAP)
  end
end

-- The edges between the hubs, each once, with its place among parallel ones;
-- the first of these knows all of them.
local function edges_between(hubs, by_index)
  local list = {}
  for _, it in ipairs(hubs) do
    for _, way in ipairs(it.neighbours) do
      if it.number < by_index[way[1]].number then
        local parallel = {}
        for k, edge in ipairs(way[2]) do
          parallel[k] = { edge = edge, from = it, to = by_index[way[1]],
            bend = k - (#way[2] + 1) / 2 }
          list[#list + 1] = parallel[k]
        end
        parallel[1].parallel = parallel
      end
    end
  end
  return list
end

-- What a unit must be for an edge to hold its labels.
local function scale_for(it)
  local dx = (it.to.unit_x - it.from.unit_x) * ASPECT
  local dy = it.to.unit_y - it.from.unit_y
  local length = max(sqrt(dx * dx + dy * dy), 0.05)
  local c, s = max(abs(dx) / length, 0.01), max(abs(dy) / length, 0.01)
  local need = 24
  for _, label in ipairs { it.edge.tail, it.edge.middle, it.edge.head } do
    need = need + min(label.w / c, label.h / s) + 6
  end
  for _, node in ipairs { it.from.node, it.to.node } do
    need = need + min(node.w / c, node.h / s) / 2 + 6
  end
  return need / length
end

-- What a unit must be for labels to cover no more than a quarter of all.
local function scale_for_all(between)
  local area, width, height = 0, 0.5, 0.5
  for _, it in ipairs(between) do
    for _, label in ipairs { it.edge.tail, it.edge.middle, it.edge.head } do
      area = area + label.w * label.h
    end
    width = max(width, 2 * abs(it.from.unit_x), 2 * abs(it.to.unit_x))
    height = max(height, 2 * abs(it.from.unit_y), 2 * abs(it.to.unit_y))
  end
  return sqrt(4 * area / (width * ASPECT * height))
end

-- The length of a unit to begin with, in which most labels have room.
local function first_scale(between)
  local scales = {}
  for i, it in ipairs(between) do scales[i] = scale_for(it) end
  table.sort(scales)
  return max(scales[math.ceil(#scales * 0.7)], scale_for_all(between))
end

-- A line from node to node, its middle moved aside by `offset`.
local function line(from, to, offset)
  local dx, dy = to.x - from.x, to.y - from.y
  if offset == 0 then return { { from.x, from.y }, { to.x, to.y } } end
  local length = max(sqrt(dx * dx + dy * dy), 1)
  local u, v = -dy / length * offset * 4 / 3, dx / length * offset * 4 / 3
  return { { from.x, from.y }, { from.x + dx / 3 + u, from.y + dy / 3 + v,
    to.x - dx / 3 + u, to.y - dy / 3 + v, to.x, to.y } }
end

-- What lines and labels keep clear of: nodes, and the labels in trees.
local function obstacles_of(graph, hubs)
  local obstacles = boxes.set()
  local function add(it, margin)
    local box = boxes.around(it.x, it.y, it.w, it.h, margin)
    obstacles.add(box)
    return box
  end
  for _, it in ipairs(hubs) do
    it.box = add(it.node, 2)
    for _, index in ipairs(it.hanging) do add(graph.nodes[index], 2) end
    for _, edge in ipairs(it.hung_edges) do
      for _, label in ipairs { edge.tail, edge.middle, edge.head } do
        if label.w > 0 then add(label, 0) end
      end
    end
  end
  return obstacles
end

-- How many points of a path lie in obstacles, but for the nodes at its ends.
local function crossings(path, obstacles, from, to)
  local count = 0
  for _, point in ipairs(labels.sample(path, 10)) do
    if obstacles.hit(point[1], point[2], from.box, to.box) then
      count = count + 1
    end
  end
  return count
end

-- The same path from its other end; it is a line or one curve.
local function reversed(path)
  local start, segment = path[1], path[2]
  local back = { start[1], start[2] }
  if #segment == 6 then
    back = { segment[3], segment[4], segment[1], segment[2], start[1],
      start[2] }
  end
  return { { segment[#segment - 1], segment[#segment] }, back }
end

local function distance_of(parallel)
  local height = 0
  for _, it in ipairs(parallel) do
    local edge = it.edge
    height = max(height, edge.tail.h, edge.middle.h, edge.head.h)
  end
  return height + 16
end

local ASIDE = { 0, 45, -45, 90, -90, 150, -150 }

-- Straight where it can be: parallel edges bend, and those around obstacles.
-- Returns how many points are in them all the same.
local function route(parallel, obstacles)
  local distance = distance_of(parallel)
  local least
  for _, aside in ipairs(ASIDE) do
    local paths, count = {}, 0
    for k, it in ipairs(parallel) do
      paths[k] = line(it.from, it.to, it.bend * distance + aside)
      count = count + crossings(paths[k], obstacles, it.from, it.to)
    end
    if not least or count < least then
      least = count
      for k, it in ipairs(parallel) do
        it.edge.path = it.edge.a == it.from.index and paths[k]
          or reversed(paths[k]) -- paths begin at a
      end
    end
    if least == 0 then break end
  end
  return least
end

local function hung_edges(it, edges_of)
  local list, seen = {}, {}
  for _, index in ipairs(it.hanging) do
    for _, way in ipairs(edges_of[index]) do
      for _, edge in ipairs(way[2]) do
        if not seen[edge] then
          seen[edge] = true
          list[#list + 1] = edge
        end
      end
    end
  end
  return list
end

-- Gives hubs their places by a function of a scale. Two ways to do so:
local function by_distance(hubs, by_index)
  unit_positions(hubs, by_index)
  return function(scale)
    for _, it in ipairs(hubs) do
      it.x, it.y = it.unit_x * scale * ASPECT, it.unit_y * scale
    end
    boxes.separate(hubs)
  end
end

local function in_columns(columns)
  for c, column in ipairs(columns) do
    for i, it in ipairs(column) do
      it.unit_x, it.unit_y = c - 2, i - (#column + 1) / 2
    end
  end
  return function(scale) tiers.place(columns, scale) end
end

-- Lays out all with the hubs where they are; how bad it is.
local function try(graph, hubs, between, edges_of)
  for _, it in ipairs(hubs) do
    it.node.x, it.node.y = it.x, it.y
    if #it.children > 0 then
      tree.hang(graph, it.index, it.children, edges_of, it.side, it.shift)
    end
  end
  local obstacles = obstacles_of(graph, hubs)
  local edges, crossed = {}, 0
  for i, it in ipairs(between) do
    if it.parallel then crossed = crossed + route(it.parallel, obstacles) end
    edges[i] = it.edge
  end
  return labels.place(edges, obstacles) + crossed * 8
end

--- Lays out a component whose nodes on rings are `core`, in order.
return function(graph, core, is_core, edges_of)
  local hubs, by_index = {}, {}
  for i, index in ipairs(core) do
    local it = hub(graph, index, is_core, edges_of)
    it.number = i
    hubs[i], by_index[index] = it, it
  end
  local columns = tiers.columns(hubs)
  local place = columns and in_columns(columns)
    or by_distance(hubs, by_index)
  for _, it in ipairs(hubs) do
    choose_side(it, by_index)
    measure(graph, it, edges_of, by_index)
    it.hung_edges = hung_edges(it, edges_of)
  end
  local between = edges_between(hubs, by_index)
  local scale = columns and 1 or first_scale(between)
  local tries = max(1, min(10, math.floor(450 / #between)))
  local best, least, growth = 1, math.huge, 1
  for _ = 1, tries do
    place(scale * growth)
    local bad = try(graph, hubs, between, edges_of)
    if bad == 0 or tries == 1 then return end
    bad = bad + SIZE_MATTERS * growth * growth
    if bad < least then best, least = growth, bad end
    growth = growth * 1.15
  end
  place(scale * best)
  try(graph, hubs, between, edges_of)
end
