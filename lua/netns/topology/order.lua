-- An order for what is keyed by names, the same every time and in every Lua.

local order = {}

-- Numbers in names count as numbers: eth2 comes before eth10.
local function key(name)
  return (name:gsub("%d+", function(digits)
    digits = digits:gsub("^0+", "")
    return ("%03d%s"):format(#digits, digits)
  end))
end

--- An array of the keys of a table that are strings, in order.
function order.names(t)
  local names, keys = {}, {}
  for name in pairs(t) do
    if type(name) == "string" then
      names[#names + 1] = name
      keys[name] = key(name)
    end
  end
  table.sort(names, function(a, b)
    if keys[a] ~= keys[b] then return keys[a] < keys[b] end
    return a < b
  end)
  return names
end

return order
