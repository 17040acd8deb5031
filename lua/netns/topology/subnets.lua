-- Sets of subnets, to be asked in the time of a search: two of them are apart,
-- or one is inside the other.

local ip = require "netns.topology.ip"

local subnets = {}

-- In hexadecimal, which every locale sorts as the bytes.
local function key(bytes)
  return ("%02x"):rep(#bytes):format(bytes:byte(1, -1))
end

local function sort(list)
  local sorted, keys = {}, {}
  for i, subnet in ipairs(list) do
    sorted[i], keys[subnet] = subnet, key(subnet.bytes)
  end
  table.sort(sorted, function(a, b)
    if keys[a] ~= keys[b] then return keys[a] < keys[b] end
    return a.length < b.length
  end)
  return sorted, keys
end

--- Calls `fn(outer, inner)` for each subnet of an array, all of one family,
-- that is inside another or equal to it: with the nearest one around it.
function subnets.each_overlap(list, fn)
  local around = {}
  for _, subnet in ipairs((sort(list))) do
    while around[1] and not ip.inside(subnet.bytes, around[#around]) do
      around[#around] = nil
    end
    if around[1] then fn(around[#around], subnet) end
    around[#around + 1] = subnet
  end
end

--- A set of an array of subnets, all of one family.
function subnets.set(list)
  local set = { keys = {} } -- in order, without those that are inside of others
  local sorted, keys = sort(list)
  for _, subnet in ipairs(sorted) do
    if not set[1] or not ip.inside(subnet.bytes, set[#set]) then
      set[#set + 1] = subnet
      set.keys[#set] = keys[subnet]
    end
  end
  return set
end

--- The subnet of a set that overlaps another; nil if there is none.
function subnets.overlapping(set, subnet)
  local wanted = key(subnet.bytes)
  local low, high = 1, #set -- `high` ends at the last that begins not after it
  while low <= high do
    local middle = math.floor((low + high) / 2)
    if set.keys[middle] <= wanted then
      low = middle + 1
    else
      high = middle - 1
    end
  end
  for i = math.max(high, 1), math.min(high + 1, #set) do
    if ip.overlap(subnet, set[i]) then return set[i] end
  end
end

return subnets
