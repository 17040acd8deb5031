-- Fabrics of two tiers, where every leaf is linked to every spine: the spines
-- stand in a column, the leaves with their trees left and right of it.

local max = math.max

local tiers = {}

-- Those that are linked to just the same as `hub` is.
local function like(hub, hubs)
  local linked = {}
  for _, way in ipairs(hub.neighbours) do linked[way[1]] = true end
  local same, others = {}, {}
  for _, it in ipairs(hubs) do
    local list = linked[it.index] and others or same
    list[#list + 1] = it
  end
  return same, others
end

local function all_have(hubs, count)
  for _, it in ipairs(hubs) do
    if #it.neighbours ~= count then return false end
  end
  return true
end

local function any_children(hubs)
  for _, it in ipairs(hubs) do
    if #it.children > 0 then return true end
  end
  return false
end

local function linked_within(hubs)
  local here = {}
  for _, it in ipairs(hubs) do here[it.index] = true end
  for _, it in ipairs(hubs) do
    for _, way in ipairs(it.neighbours) do
      if here[way[1]] then return true end
    end
  end
  return false
end

--- The columns of a fabric, from left to right, or nil if it is none.
function tiers.columns(hubs)
  local spines, leaves = like(hubs[1], hubs)
  if any_children(spines) or #spines > #leaves and not any_children(leaves) then
    spines, leaves = leaves, spines
  end
  if #spines < 2 or #leaves < 3 or any_children(spines)
    or not all_have(spines, #leaves) or not all_have(leaves, #spines)
    or linked_within(spines) or linked_within(leaves) then
    return nil
  end
  local left, right = {}, {}
  for i, it in ipairs(leaves) do
    local list = i <= #leaves / 2 and left or right
    list[#list + 1] = it
  end
  return { left, spines, right }
end

-- The longest label of an edge between the hubs, and the highest.
local function largest(hubs)
  local w, h = 40, 24
  for _, it in ipairs(hubs) do
    for _, way in ipairs(it.neighbours) do
      for _, edge in ipairs(way[2]) do
        w = max(w, edge.tail.w + edge.head.w + edge.middle.w)
        h = max(h, edge.tail.h + edge.head.h)
      end
    end
  end
  return w, h
end

--- Gives x and y to the hubs; with a larger `scale` there is more room.
function tiers.place(columns, scale)
  local w, h = largest(columns[2])
  local gap = h * 0.5 * scale
  local height, heights = 0, {}
  for c, column in ipairs(columns) do
    local sum = gap * (#column - 1)
    for _, it in ipairs(column) do
      it.x = (c - 2) * (w + 80) * scale
      sum = sum + max(it.up + it.down, c == 2 and h or 0)
    end
    heights[c], height = sum, max(height, sum)
  end
  for c, column in ipairs(columns) do
    local more = (height - heights[c]) / #column
    local y = -height / 2
    for _, it in ipairs(column) do
      local own = max(it.up + it.down, c == 2 and h or 0) + more
      it.y = y + own / 2
      y = y + own + gap
    end
  end
end

return tiers
