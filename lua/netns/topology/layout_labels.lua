-- Labels stand on the line of their edge, those of the ends as near to their
-- end as nothing is in the way.

local boxes = require "netns.topology.layout_boxes"

local labels = {}

local function bezier(x, y, segment, t)
  local s = 1 - t
  local a, b, c, d = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
  return a * x + b * segment[1] + c * segment[3] + d * segment[5],
    a * y + b * segment[2] + c * segment[4] + d * segment[6]
end

--- Points on a path, about `step` apart. A path is a point and segments: points
-- or cubic curves (two controls, then the point).
function labels.sample(path, step)
  local x, y = path[1][1], path[1][2]
  local points = { { x, y } }
  for i = 2, #path do
    local segment = path[i]
    local to_x, to_y = segment[#segment - 1], segment[#segment]
    local length = math.sqrt((to_x - x) ^ 2 + (to_y - y) ^ 2)
    local count = math.max(1, math.ceil(length / step))
    for k = 1, count do
      local t = k / count
      if #segment == 2 then
        points[#points + 1] = { x + (to_x - x) * t, y + (to_y - y) * t }
      else
        points[#points + 1] = { bezier(x, y, segment, t) }
      end
    end
    x, y = to_x, to_y
  end
  return points
end

-- The places that labels may take: not too many on a long line.
local function places(path)
  local first, last = path[1], path[#path]
  local length = math.sqrt((last[#last - 1] - first[1]) ^ 2
    + (last[#last] - first[2]) ^ 2)
  return labels.sample(path, math.max(6, length / 80))
end

local CELL = 32

-- Where the lines of all edges run.
local function map_of(samples)
  local map = {}
  for i, points in ipairs(samples) do
    for _, point in ipairs(points) do
      local cell = math.floor(point[1] / CELL) * 65536
        + math.floor(point[2] / CELL)
      local list = map[cell] or {}
      map[cell] = list
      list[#list + 1] = { point[1], point[2], i }
    end
  end
  return map
end

-- How many points of the lines of others a box would hide.
local function hidden(map, box, own)
  local count = 0
  for column = math.floor(box[1] / CELL), math.floor(box[3] / CELL) do
    for row = math.floor(box[2] / CELL), math.floor(box[4] / CELL) do
      for _, point in ipairs(map[column * 65536 + row] or {}) do
        if point[3] ~= own and point[1] > box[1] and point[1] < box[3]
          and point[2] > box[2] and point[2] < box[4] then
          count = count + 1
        end
      end
    end
  end
  return count
end

-- The best of `points` for a label of edge `own`: not on others, not on the
-- lines of others, and early. Its number, and the area that was taken there.
local function put(label, points, taken, map, own)
  local best, least, best_area, number
  for i, point in ipairs(points) do
    local box = boxes.around(point[1], point[2], label.w, label.h, 2)
    local area = taken.taken(box)
    local cost = area * 100 + i
    if not least or cost < least then
      cost = cost + hidden(map, box, own) * 3
      if not least or cost < least then
        best, least, best_area, number = box, cost, area, i
      end
    end
    if least <= i + 1 then break end -- what follows cannot be better
  end
  label.x, label.y = (best[1] + best[3]) / 2, (best[2] + best[4]) / 2
  taken.add(best)
  return number, best_area
end

-- The points from one end on, to less than the middle.
local function outer(points, from_head, share)
  local list, count = {}, #points
  for i = 1, math.max(1, math.floor(count * share)) do
    list[i] = points[from_head and count + 1 - i or i]
  end
  return list
end

-- The points between two of them, from their middle to both sides in turn.
local function inner(points, first, last)
  local half = math.floor((first + last) / 2)
  local list = { points[half] }
  for i = 1, last - half do
    list[#list + 1] = points[half + i]
    if half - i >= first then list[#list + 1] = points[half - i] end
  end
  return list
end

--- Gives places to the labels of edges with paths, in the order in which they
-- follow one another on the line. Returns the area that is taken twice all the
-- same. `taken` has the boxes of what is there.
function labels.place(edges, taken)
  local all, samples, ends = 0, {}, {}
  for i, edge in ipairs(edges) do samples[i] = places(edge.path) end
  local map = map_of(samples)
  local function put_end(label, i, from_head)
    if label.w == 0 then return 1 end
    local share = edges[i].middle.w > 0 and 0.42 or 0.5
    local number, area = put(label, outer(samples[i], from_head, share),
      taken, map, i)
    all = all + area
    return number
  end
  for i, edge in ipairs(edges) do
    ends[i] = { put_end(edge.tail, i, false),
      #samples[i] + 1 - put_end(edge.head, i, true) }
  end
  for i, edge in ipairs(edges) do
    if edge.middle.w > 0 then
      local points = inner(samples[i], ends[i][1], ends[i][2])
      local _, area = put(edge.middle, points, taken, map, i)
      all = all + area
    end
  end
  return all
end

return labels
