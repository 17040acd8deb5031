-- Trees: they grow to the left or to the right, a line for each edge, so that
-- the labels of an edge stand in a row on the level part of their line.

local max = math.max

local tree = {}

local PAD = 11    -- between the labels on a line, and around them
local ROW_GAP = 6 -- between two lines

-- What the labels of an edge need.
local function length_of(edge)
  local length = PAD
  for _, label in ipairs { edge.tail, edge.middle, edge.head } do
    if label.w > 0 then length = length + label.w + PAD end
  end
  return max(length, 40)
end

local function height_of(edge)
  return max(edge.tail.h, edge.middle.h, edge.head.h, 12) + ROW_GAP
end

-- The rows that the lines to one node take: the height of one, and of all.
local function rows_of(branch)
  local row = 0
  for _, edge in ipairs(branch.edges) do row = max(row, height_of(edge)) end
  return row, row * #branch.edges
end

-- `order` is the nodes under `root`, parents first; heights come from below.
local function measure(root, order, branches)
  for i = #order, 0, -1 do
    local branch = i > 0 and branches[order[i]] or root
    local sum = 0
    for _, child in ipairs(branch.children) do
      sum = sum + branches[child].height
    end
    branch.inner = sum
    if i > 0 then
      local row, rows = rows_of(branch)
      branch.row = row
      branch.height = max(sum, rows, branch.node.h + 2 * ROW_GAP)
    end
  end
end

-- The further lines go up or down, the more room they have for it.
local function fan(rise)
  return math.min(130, 24 + rise * 0.3)
end

local function spread(branch, branches, rise)
  local widest, top = 0, rise - branch.inner / 2
  for _, child in ipairs(branch.children) do
    local below = branches[child]
    local middle = top + below.height / 2
    local half = (#below.edges - 1) / 2 * below.row
    widest = max(widest, math.abs(middle) + half)
    top = top + below.height
  end
  return widest
end

-- Nodes of one depth stand in one column: where its lines and nodes begin.
local function columns(root, order, branches, shift)
  local list = {}
  local function note(depth, branch)
    local rise = spread(branch, branches, branch == root and shift or 0)
    local column = list[depth] or { fan = 0, length = 0, node = 0, turn = 0 }
    list[depth] = column
    column.fan = max(column.fan, rise < 1 and PAD or fan(rise))
    for _, child in ipairs(branch.children) do
      local below = branches[child]
      column.node = max(column.node, below.node.w)
      if #below.edges > 1 then
        column.turn = max(column.turn, fan(#below.edges * below.row / 2))
      end
      for _, edge in ipairs(below.edges) do
        column.length = max(column.length, length_of(edge))
      end
    end
  end
  root.depth = 0
  note(1, root)
  for _, index in ipairs(order) do
    local branch = branches[index]
    if #branch.children > 0 then note(branch.depth + 1, branch) end
  end
  local x = root.node.w / 2
  for _, column in ipairs(list) do
    column.lines = x + column.fan
    column.nodes = column.lines + column.length + column.turn
    x = column.nodes + column.node
  end
  return list
end

-- Puts labels on the line from (x, y) in the direction `side`: that of the
-- parent's end first, that of the child's last.
local function put_labels(edge, upwards, x, y, length, side)
  local near = upwards and edge.head or edge.tail
  local far = upwards and edge.tail or edge.head
  local from, to = PAD, length - PAD
  near.x, near.y = x + side * (from + near.w / 2), y
  far.x, far.y = x + side * (to - far.w / 2), y
  if near.w > 0 then from = from + near.w + PAD end
  if far.w > 0 then to = to - far.w - PAD end
  edge.middle.x, edge.middle.y = x + side * (from + to) / 2, y
end

local function curve(x, y, side, to_x, to_y)
  local dx = math.abs(to_x - x) * side
  return { x + dx * 0.35, y + (to_y - y) * 0.8, x + dx * 0.5, to_y, to_x, to_y }
end

-- From the parent's side to the level part and on to the child's side.
local function path_of(from_x, from_y, first, last, y, to_x, to_y, side)
  local path = { { from_x, from_y } }
  if y ~= from_y then
    path[2] = curve(from_x, from_y, side, first, y)
    path[3] = { last, y }
  end
  if y == to_y then
    path[#path > 1 and #path or 2] = { to_x, to_y }
  else
    local back = curve(to_x, to_y, -side, last, y)
    path[#path + 1] = { back[3], back[4], back[1], back[2], to_x, to_y }
  end
  return path
end

local function draw_edges(branch, parent, column, side)
  local node = branch.node
  local first = branch.root_x + side * column.lines
  local last = first + side * column.length
  for k, edge in ipairs(branch.edges) do
    local y = node.y + (k - (#branch.edges + 1) / 2) * branch.row
    put_labels(edge, edge.b ~= branch.index, first, y, column.length, side)
    edge.path = path_of(parent.x + side * parent.w / 2, parent.y, first, last,
      y, node.x - side * node.w / 2, node.y, side)
  end
end

local function place(root, order, branches, side, shift)
  local list = columns(root, order, branches, shift)
  local function below(branch)
    local top = branch.node.y - branch.inner / 2
    if branch == root then top = top + shift end
    local column = list[branch.depth + 1]
    for _, child in ipairs(branch.children) do
      local next_branch = branches[child]
      local node = next_branch.node
      node.x = root.node.x + side * (column.nodes + node.w / 2)
      node.y = top + next_branch.height / 2
      top = top + next_branch.height
      next_branch.root_x = root.node.x
      draw_edges(next_branch, branch.node, column, side)
    end
  end
  below(root)
  for _, index in ipairs(order) do below(branches[index]) end
end

-- The branches under some children of a node: a table from nodes to them, and
-- their order. edges_of(node) gives { other, edges } for each neighbour.
local function grow(graph, from, children, edges_of)
  local branches, order, parents = {}, {}, {}
  local function add(index, parent, depth, edges)
    branches[index] = { index = index, node = graph.nodes[index],
      depth = depth, edges = edges, children = {} }
    order[#order + 1], parents[index] = index, parent
  end
  for _, child in ipairs(children) do add(child[1], from, 1, child[2]) end
  local i = 1
  while order[i] do
    local branch = branches[order[i]]
    for _, next_one in ipairs(edges_of[branch.index]) do
      if next_one[1] ~= parents[branch.index] then
        branch.children[#branch.children + 1] = next_one[1]
        add(next_one[1], branch.index, branch.depth + 1, next_one[2])
      end
    end
    i = i + 1
  end
  return branches, order
end

--- Lays out what hangs on a node by `children`, an array of { node, edges }, to
-- one side (-1 or 1) of it, and lower by `shift`; its own place must be known.
-- Returns the height, and the nodes.
function tree.hang(graph, index, children, edges_of, side, shift)
  local branches, order = grow(graph, index, children, edges_of)
  local root = { node = graph.nodes[index], children = {} }
  for i, child in ipairs(children) do root.children[i] = child[1] end
  measure(root, order, branches)
  place(root, order, branches, side, shift or 0)
  return root.inner, order
end

return tree
