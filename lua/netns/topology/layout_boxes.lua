-- Boxes that must not lie on one another: a grid that finds those near, and
-- pushing them apart. A box is { x1, y1, x2, y2 }.

local floor, max, min = math.floor, math.max, math.min

local boxes = {}

function boxes.around(x, y, w, h, margin)
  margin = margin or 0
  return { x - w / 2 - margin, y - h / 2 - margin,
    x + w / 2 + margin, y + h / 2 + margin }
end

--- The area that two boxes share.
function boxes.overlap(a, b)
  local w = min(a[3], b[3]) - max(a[1], b[1])
  local h = min(a[4], b[4]) - max(a[2], b[2])
  return w > 0 and h > 0 and w * h or 0
end

local SIZE = 128

local function cells(box, fn)
  for column = floor(box[1] / SIZE), floor(box[3] / SIZE) do
    for row = floor(box[2] / SIZE), floor(box[4] / SIZE) do
      fn(column * 65536 + row)
    end
  end
end

--- A set of boxes that knows how much of a new one is taken.
function boxes.set()
  local grid, set = {}, {}

  function set.add(box)
    cells(box, function(cell)
      local list = grid[cell] or {}
      grid[cell] = list
      list[#list + 1] = box
    end)
  end

  --- The area that others have; one in several cells counts as often, which
  -- does not change whether there is one.
  function set.taken(box)
    local area = 0
    cells(box, function(cell)
      for _, other in ipairs(grid[cell] or {}) do
        area = area + boxes.overlap(box, other)
      end
    end)
    return area
  end

  --- Whether a point is in a box that is not one of these two.
  function set.hit(x, y, except, except_too)
    local list = grid[floor(x / SIZE) * 65536 + floor(y / SIZE)]
    for i = 1, list and #list or 0 do
      local box = list[i]
      if x > box[1] and x < box[3] and y > box[2] and y < box[4]
        and box ~= except and box ~= except_too then
        return true
      end
    end
    return false
  end

  return set
end

-- Moves two things apart along the shorter way.
local function push(a, b)
  local dx = min(a.x + a.right, b.x + b.right) - max(a.x - a.left, b.x - b.left)
  local dy = min(a.y + a.down, b.y + b.down) - max(a.y - a.up, b.y - b.up)
  if dx <= 0.01 or dy <= 0.01 then return false end
  if dx < dy then
    local shift = (dx + 0.02) / (a.x <= b.x and -2 or 2)
    a.x, b.x = a.x + shift, b.x - shift
  else
    local shift = (dy + 0.02) / (a.y <= b.y and -2 or 2)
    a.y, b.y = a.y + shift, b.y - shift
  end
  return true
end

--- Moves things { x, y, left, right, up, down } until none is on another. If
-- pushing comes to no end they all move away from the middle.
function boxes.separate(things)
  local rounds = max(4, min(60, floor(2e6 / (#things * #things + 1))))
  while true do
    for _ = 1, rounds do
      local pushed = false
      for i = 1, #things do
        for j = i + 1, #things do
          if push(things[i], things[j]) then pushed = true end
        end
      end
      if not pushed then return end
    end
    for _, thing in ipairs(things) do
      thing.x, thing.y = thing.x * 1.3, thing.y * 1.3
    end
  end
end

return boxes
