-- How quantities are written, for people, in all pictures: the same on every
-- version of Lua and in every locale.

local format = {}

-- The locale of the host may have a comma.
local function number(value)
  return (("%.6g"):format(value):gsub(",", "."))
end

-- A number with the largest of the units, which descend, that it fills.
local function in_units(value, units)
  for i = 1, #units - 2, 2 do
    if value >= units[i] then
      return number(value / units[i]) .. units[i + 1]
    end
  end
  return number(value / units[#units - 1]) .. units[#units]
end

local seconds = { 1, "s", 1e-3, "ms", 1e-6, "us" }
local bits = { 1e12, "tbit", 1e9, "gbit", 1e6, "mbit", 1e3, "kbit", 1, "bit" }

function format.time(value)
  return value == 0 and "0s" or in_units(value, seconds)
end

function format.rate(value)
  return in_units(value, bits)
end

function format.percent(value)
  return number(value * 100) .. "%"
end

local function delay(options)
  local words = {}
  if options.delay then words[1] = format.time(options.delay) end
  if options.jitter then
    words[#words + 1] = "±" .. format.time(options.jitter)
  end
  return #words > 0 and table.concat(words, " ") or nil
end

--- What a link does to its packets, as an array of texts.
function format.impairments(options)
  local texts = { delay(options) }
  for _, what in ipairs { "loss", "duplicate", "corrupt", "reorder" } do
    if options[what] then
      texts[#texts + 1] = format.percent(options[what]) .. " " .. what
    end
  end
  if options.rate then texts[#texts + 1] = format.rate(options.rate) end
  for _, what in ipairs { "limit", "mtu" } do
    if options[what] then
      texts[#texts + 1] = ("%s %.0f"):format(what, options[what])
    end
  end
  return texts
end

--- A text that is safe in every format but for its quoting: a name of an
-- interface may have any byte.
function format.printable(text)
  return (text:gsub("[^\32-\126]", "?"))
end

return format
