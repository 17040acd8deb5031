-- Where everything goes in a picture that we lay out ourselves. A graph has
-- nodes { w=, h= } and edges { a=, b=, tail=, middle=, head= }: the numbers of
-- two nodes, and the labels, { w=, h= } too (0 if there is none). Nodes and
-- labels get x and y, their centre; edges get a path; the graph w and h.

local labels = require "netns.topology.layout_labels"
local lay_out_core = require "netns.topology.layout_core"
local tree = require "netns.topology.layout_tree"

local max, min = math.max, math.min

local MARGIN = 24

-- For each node an array of { other node, edges }, in the order of the edges;
-- and all nodes in the order in which edges name them.
local function survey(graph)
  local edges_of, between, order, seen = {}, {}, {}, {}
  for i = 1, #graph.nodes do edges_of[i], between[i] = {}, {} end
  local function note(from, to, edge)
    local way = between[from][to]
    if not way then
      way = { to, {} }
      between[from][to] = way
      edges_of[from][#edges_of[from] + 1] = way
    end
    way[2][#way[2] + 1] = edge
    if not seen[from] then
      seen[from] = true
      order[#order + 1] = from
    end
  end
  for _, edge in ipairs(graph.edges) do
    note(edge.a, edge.b, edge)
    note(edge.b, edge.a, edge)
  end
  for i = 1, #graph.nodes do
    if not seen[i] then order[#order + 1] = i end
  end
  return edges_of, order
end

-- The nodes that hang together with `start`, parents first.
local function component(start, edges_of, seen)
  local list, parents, i = { start }, {}, 1
  seen[start] = true
  while list[i] do
    for _, way in ipairs(edges_of[list[i]]) do
      if not seen[way[1]] then
        seen[way[1]] = true
        parents[way[1]] = list[i]
        list[#list + 1] = way[1]
      end
    end
    i = i + 1
  end
  return list, parents
end

-- What is left when leaves are taken away again and again.
local function core_of(list, edges_of)
  local degree, queue, gone = {}, {}, {}
  for _, index in ipairs(list) do
    degree[index] = #edges_of[index]
    if degree[index] <= 1 then queue[#queue + 1] = index end
  end
  local i = 1
  while queue[i] do
    gone[queue[i]] = true
    for _, way in ipairs(edges_of[queue[i]]) do
      local other = way[1]
      degree[other] = degree[other] - 1
      if degree[other] == 1 and not gone[other] then
        queue[#queue + 1] = other
      end
    end
    i = i + 1
  end
  local core, is_core = {}, {}
  for _, index in ipairs(list) do
    if not gone[index] then
      core[#core + 1], is_core[index] = index, true
    end
  end
  return core, is_core
end

-- The node of a tree whose largest branch is smallest.
local function centre_of(list, parents)
  local size, largest = {}, {}
  for i = #list, 1, -1 do
    local index, parent = list[i], parents[list[i]]
    size[index] = (size[index] or 0) + 1
    largest[index] = max(largest[index] or 0, #list - size[index])
    if parent then
      size[parent] = (size[parent] or 0) + size[index]
      largest[parent] = max(largest[parent] or 0, size[index])
    end
  end
  local best = list[1]
  for _, index in ipairs(list) do
    if largest[index] < largest[best] then best = index end
  end
  return best
end

-- The first branches grow to the left, the others to the right.
local function lay_out_tree(graph, root, edges_of)
  local node, branches = graph.nodes[root], edges_of[root]
  node.x, node.y = 0, 0
  local heights, all = {}, 0
  for i, branch in ipairs(branches) do
    heights[i] = tree.hang(graph, root, { branch }, edges_of, 1)
    all = all + heights[i]
  end
  local left, count = 0, 0
  while count < #branches - 1
    and max(left + heights[count + 1], all - left - heights[count + 1])
      < max(left, all - left) do
    count = count + 1
    left = left + heights[count]
  end
  local sides = { [-1] = {}, [1] = {} }
  for i, branch in ipairs(branches) do
    local list = sides[i <= count and -1 or 1]
    list[#list + 1] = branch
  end
  for side = -1, 1, 2 do
    tree.hang(graph, root, sides[side], edges_of, side)
  end
end

local function things_of(graph, part)
  local list = {}
  for _, index in ipairs(part.nodes) do list[#list + 1] = graph.nodes[index] end
  for _, edge in ipairs(part.edges) do
    for _, label in ipairs { edge.tail, edge.middle, edge.head } do
      list[#list + 1] = label.w > 0 and label or nil
    end
  end
  return list
end

local function bounds(graph, part)
  local x1, y1, x2, y2 = math.huge, math.huge, -math.huge, -math.huge
  local function note(x, y, w, h)
    x1, x2 = min(x1, x - w / 2), max(x2, x + w / 2)
    y1, y2 = min(y1, y - h / 2), max(y2, y + h / 2)
  end
  for _, it in ipairs(things_of(graph, part)) do
    note(it.x, it.y, it.w, it.h)
  end
  for _, edge in ipairs(part.edges) do
    for _, point in ipairs(labels.sample(edge.path, 16)) do
      note(point[1], point[2], 2, 2)
    end
  end
  part.x, part.y, part.w, part.h = x1, y1, x2 - x1, y2 - y1
end

local function shift(graph, part, x, y)
  local dx, dy = x - part.x, y - part.y
  for _, it in ipairs(things_of(graph, part)) do
    it.x, it.y = it.x + dx, it.y + dy
  end
  for _, edge in ipairs(part.edges) do
    for _, segment in ipairs(edge.path) do
      for i = 1, #segment, 2 do
        segment[i], segment[i + 1] = segment[i] + dx, segment[i + 1] + dy
      end
    end
  end
end

-- In lines like text, about as broad as high or as broad as the broadest.
local function pack(graph, parts)
  local area, broadest = 0, 0
  for _, part in ipairs(parts) do
    area = area + (part.w + MARGIN) * (part.h + MARGIN)
    broadest = max(broadest, part.w)
  end
  local limit = max(broadest, math.sqrt(area) * 1.4)
  local x, y, height, width = MARGIN, MARGIN, 0, 0
  for _, part in ipairs(parts) do
    if x > MARGIN and x + part.w > limit + MARGIN + 1 then
      x, y, height = MARGIN, y + height + 2 * MARGIN, 0
    end
    shift(graph, part, x, y)
    x, height = x + part.w + 2 * MARGIN, max(height, part.h)
    width = max(width, x - MARGIN)
  end
  graph.w, graph.h = max(width, 2 * MARGIN), y + height + MARGIN
end

local function edges_within(list, edges_of)
  local edges = {}
  for _, index in ipairs(list) do
    for _, way in ipairs(edges_of[index]) do
      for _, edge in ipairs(way[2]) do
        if edge.a == index then edges[#edges + 1] = edge end
      end
    end
  end
  return edges
end

return function(graph)
  local edges_of, order = survey(graph)
  local parts, seen = {}, {}
  for _, start in ipairs(order) do
    if not seen[start] then
      local list, parents = component(start, edges_of, seen)
      local core, is_core = core_of(list, edges_of)
      if #core > 2 then
        lay_out_core(graph, core, is_core, edges_of)
      else
        lay_out_tree(graph, centre_of(list, parents), edges_of)
      end
      local part = { nodes = list, edges = edges_within(list, edges_of) }
      bounds(graph, part)
      parts[#parts + 1] = part
    end
  end
  pack(graph, parts)
end
