--- What `ip -json` prints, as Lua values: arrays and objects are tables, null
-- is nil (so an array with a null has a hole).
local json = {}

local escapes = {
  b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
}

local words = { ["true"] = true, ["false"] = false }

local function fail(text, at, what)
  error(("JSON: %s at byte %d: %q"):format(what, at, text:sub(at, at + 20)), 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

-- A character of the basic plane.
local function utf8_char(code)
  local function byte(mark, shift)
    return string.char(mark + math.floor(code / 2 ^ shift) % 64)
  end
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return byte(0xc0, 6) .. byte(0x80, 0) end
  return byte(0xe0, 12) .. byte(0x80, 6) .. byte(0x80, 0)
end

local function string_at(text, at)
  local parts = {}
  at = at + 1
  while true do
    local plain, stop = text:match('^([^"\\%c]*)()', at)
    parts[#parts + 1] = plain
    local mark = text:sub(stop, stop)
    if mark == '"' then return table.concat(parts), stop + 1 end
    if mark ~= "\\" then fail(text, stop, "unfinished string") end
    local hex = text:match("^u(%x%x%x%x)", stop + 1)
    local escape = escapes[text:sub(stop + 1, stop + 1)]
    if not hex and not escape then fail(text, stop, "bad escape") end
    parts[#parts + 1] = hex and utf8_char(tonumber(hex, 16)) or escape
    at = stop + (hex and 6 or 2)
  end
end

local value_at

-- The items between the bracket at `at` and `close`, each read by `item`.
local function items_at(text, at, close, item)
  local result, n = {}, 0
  at = skip(text, at + 1)
  if text:sub(at, at) == close then return result, at + 1 end
  while true do
    n = n + 1
    at = skip(text, item(result, n, at))
    local mark = text:sub(at, at)
    if mark == close then return result, at + 1 end
    if mark ~= "," then fail(text, at, "expected , or " .. close) end
    at = skip(text, at + 1)
  end
end

local function array_at(text, at)
  return items_at(text, at, "]", function(result, n, from)
    result[n], from = value_at(text, from)
    return from
  end)
end

local function object_at(text, at)
  return items_at(text, at, "}", function(result, _, from)
    if text:sub(from, from) ~= '"' then fail(text, from, "expected a key") end
    local key, stop = string_at(text, from)
    stop = skip(text, stop)
    if text:sub(stop, stop) ~= ":" then fail(text, stop, "expected :") end
    result[key], stop = value_at(text, skip(text, stop + 1))
    return stop
  end)
end

function value_at(text, at)
  local mark = text:sub(at, at)
  if mark == "{" then return object_at(text, at) end
  if mark == "[" then return array_at(text, at) end
  if mark == '"' then return string_at(text, at) end
  local word = text:match("^%a+", at)
  if word == "null" then return nil, at + 4 end
  if word and words[word] ~= nil then return words[word], at + #word end
  local number = text:match("^-?%d+%.?%d*[eE]?[-+]?%d*", at)
  if not number then fail(text, at, "expected a value") end
  return tonumber(number), at + #number
end

--- The value of a JSON text; an error says where one is not JSON.
-- Nothing at all, which `ip -json` prints for "none", is an empty array.
function json.decode(text)
  local at = skip(text, 1)
  if at > #text then return {} end
  local value, stop = value_at(text, at)
  stop = skip(text, stop)
  if stop <= #text then fail(text, stop, "more after the value") end
  return value
end

return json
