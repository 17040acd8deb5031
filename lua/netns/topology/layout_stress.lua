-- Positions in which distances on paper are like those in a graph, by stress
-- majorization. Every node moves at once, so what is symmetric stays so.

local max, min, sqrt = math.max, math.min, math.sqrt

-- Distances from one node to all, in edges; all must be connected.
local function distances_from(start, neighbours)
  local distance, queue, first = { [start] = 0 }, { start }, 1
  while queue[first] do
    local node = queue[first]
    first = first + 1
    for _, other in ipairs(neighbours[node]) do
      if not distance[other] then
        distance[other] = distance[node] + 1
        queue[#queue + 1] = other
      end
    end
  end
  return distance
end

-- A start on a circle, in the order of a walk in depth, which follows rings.
local function circle(neighbours)
  local n, order, seen, stack = #neighbours, {}, {}, { 1 }
  while #stack > 0 do
    local node = table.remove(stack)
    if not seen[node] then
      seen[node] = true
      order[#order + 1] = node
      local list = neighbours[node]
      for i = #list, 1, -1 do stack[#stack + 1] = list[i] end
    end
  end
  local x, y = {}, {}
  local radius = 0.5 / math.sin(math.pi / max(n, 2))
  for i, node in ipairs(order) do
    local angle = math.pi + (i - 1) * 2 * math.pi / n
    x[node], y[node] = radius * math.cos(angle), radius * math.sin(angle)
  end
  return x, y
end

local function normalize(vector)
  local sum = 0
  for i = 1, #vector do sum = sum + vector[i] * vector[i] end
  local length = max(sqrt(sum), 1e-12)
  for i = 1, #vector do vector[i] = vector[i] / length end
end

-- Double-centred squares of the distances to some of the nodes.
local function centred(distance, pivots)
  local n, rows, columns, all = #distance, {}, {}, 0
  for p = 1, #pivots do columns[p] = 0 end
  for i = 1, n do
    local row, sum = {}, 0
    for p = 1, #pivots do
      row[p] = distance[pivots[p]][i] ^ 2
      sum = sum + row[p]
      columns[p] = columns[p] + row[p] / n
    end
    row.mean = sum / #pivots
    rows[i], all = row, all + row.mean / n
  end
  for i = 1, n do
    local row = rows[i]
    for p = 1, #pivots do
      row[p] = -(row[p] - row.mean - columns[p] + all) / 2
    end
  end
  return rows
end

local function projected(rows, vector)
  local result = {}
  for i = 1, #rows do
    local row, sum = rows[i], 0
    for p = 1, #vector do sum = sum + row[p] * vector[p] end
    result[i] = sum
  end
  return result
end

-- The strongest direction of `rows` that is none of `before`.
local function direction(rows, count, before)
  local vector = {}
  for p = 1, count do vector[p] = 1 / p + (p % 3) / 7 end
  for _ = 1, 40 do
    for _, other in ipairs(before) do
      local dot = 0
      for p = 1, count do dot = dot + vector[p] * other[p] end
      for p = 1, count do vector[p] = vector[p] - dot * other[p] end
    end
    normalize(vector)
    local image, next_vector = projected(rows, vector), {}
    for p = 1, count do next_vector[p] = 0 end
    for i = 1, #rows do
      local row, weight = rows[i], image[i]
      for p = 1, count do
        next_vector[p] = next_vector[p] + row[p] * weight
      end
    end
    vector = next_vector
  end
  normalize(vector)
  return vector
end

-- A start by multidimensional scaling, which unfolds grids.
local function scaled(distance)
  local n, pivots = #distance, {}
  local count = min(n, 30)
  for p = 1, count do pivots[p] = math.floor((p - 1) * n / count) + 1 end
  local rows = centred(distance, pivots)
  local first = direction(rows, count, {})
  local second = direction(rows, count, { first })
  local x, y = projected(rows, first), projected(rows, second)
  local longest = 1e-12
  for i = 1, n do longest = max(longest, math.abs(x[i])) end
  for i = 1, n do -- none on top of another
    x[i] = x[i] / longest * sqrt(n) + i * 1e-4
    y[i] = y[i] / longest * sqrt(n) + (i * i % 97) * 1e-4
  end
  return x, y
end

local function moved(distance, x, y, i)
  local from, xi, yi = distance[i], x[i], y[i]
  local sx, sy, weights = 0, 0, 0
  for j = 1, #distance do
    if j ~= i then
      local d = from[j]
      local dx, dy = xi - x[j], yi - y[j]
      local stretch = d / max(sqrt(dx * dx + dy * dy), 1e-9)
      local weight = 1 / (d * d)
      sx = sx + weight * (x[j] + dx * stretch)
      sy = sy + weight * (y[j] + dy * stretch)
      weights = weights + weight
    end
  end
  return (xi + sx / weights) / 2, (yi + sy / weights) / 2
end

local function majorize(distance, x, y, rounds)
  for _ = 1, rounds do
    local u, v = {}, {}
    for i = 1, #distance do u[i], v[i] = moved(distance, x, y, i) end
    x, y = u, v
  end
  return x, y
end

local function stress(distance, x, y)
  local sum = 0
  for i = 1, #distance do
    for j = i + 1, #distance do
      local d = distance[i][j]
      local dx, dy = x[i] - x[j], y[i] - y[j]
      sum = sum + (1 - sqrt(dx * dx + dy * dy) / d) ^ 2
    end
  end
  return sum
end

local function centre(x, y)
  local n, cx, cy = #x, 0, 0
  for i = 1, n do cx, cy = cx + x[i] / n, cy + y[i] / n end
  for i = 1, n do x[i], y[i] = x[i] - cx, y[i] - cy end
end

-- Turns what is longer than broad to lie.
local function lay_down(x, y)
  local xx, xy, yy = 0, 0, 0
  for i = 1, #x do
    xx, xy, yy = xx + x[i] * x[i], xy + x[i] * y[i], yy + y[i] * y[i]
  end
  local difference = sqrt((xx - yy) ^ 2 + 4 * xy * xy)
  if difference < 0.15 * (xx + yy) then return end
  -- the square roots of half angles, for want of an atan2 in all versions
  local cos2, sin2 = (xx - yy) / difference, 2 * xy / difference
  local c, s = sqrt(max(0, (1 + cos2) / 2)), sqrt(max(0, (1 - cos2) / 2))
  if sin2 < 0 then s = -s end
  for i = 1, #x do
    x[i], y[i] = c * x[i] + s * y[i], c * y[i] - s * x[i]
  end
end

-- The first node comes left, and the first that is above or below comes above.
local function face(values)
  for i = 1, #values do
    if math.abs(values[i]) > 1e-3 then
      if values[i] > 0 then
        for j = 1, #values do values[j] = -values[j] end
      end
      return
    end
  end
end

-- What is nearly in one line comes into line.
local function align(values)
  local order = {}
  for i = 1, #values do order[i] = i end
  table.sort(order, function(a, b)
    if values[a] ~= values[b] then return values[a] < values[b] end
    return a < b
  end)
  local first = 1
  for k = 1, #order do
    local last = k == #order
    if last or values[order[k + 1]] - values[order[first]] > 0.2 then
      local sum = 0
      for m = first, k do sum = sum + values[order[m]] end
      for m = first, k do values[order[m]] = sum / (k - first + 1) end
      first = k + 1
    end
  end
end

-- Not so that one comes on the other.
local function aligned(x, y)
  local u, v, seen = {}, {}, {}
  for i = 1, #x do u[i], v[i] = x[i], y[i] end
  align(u)
  align(v)
  for i = 1, #u do
    local key = ("%.6f %.6f"):format(u[i], v[i])
    if seen[key] then return x, y end
    seen[key] = true
  end
  return u, v
end

--- Arrays x, y for a connected graph given as arrays of neighbours, an edge
-- being about 1 long.
return function(neighbours)
  local n, distance = #neighbours, {}
  for i = 1, n do distance[i] = distances_from(i, neighbours) end
  local rounds = max(6, min(200, math.floor(6e5 / (n * n))))
  local x, y = scaled(distance)
  x, y = majorize(distance, x, y, rounds)
  if n <= 200 then
    local u, v = circle(neighbours)
    u, v = majorize(distance, u, v, rounds)
    -- rather symmetric than a little nearer to the distances
    if stress(distance, u, v) < 1.2 * stress(distance, x, y) + 1e-6 then
      x, y = u, v
    end
  end
  centre(x, y)
  lay_down(x, y)
  face(x)
  face(y)
  return aligned(x, y)
end
