-- Reads the tables of a description: what is of a wrong type is a mistake with
-- its place, whatever it is. Nothing of a table is called: its keys are taken
-- as they are, without metamethods, which may do anything.
--
-- A reader is a table with `mistakes`, an array of strings.

local core = require "netns.core"

local reader = {}

local TEXT_MAX = 80 -- bytes of a value that a mistake shows

-- Texts -----------------------------------------------------------------------

-- How many bytes from `i` on are one character of UTF-8 that is no control
-- character, invisible mark or change of direction; nil if there is none.
local function character(text, i)
  local a, b, c, d = text:byte(i, i + 3)
  local function follows(byte) return byte and byte >= 0x80 and byte < 0xc0 end
  if a >= 0xc2 and a < 0xe0 and follows(b) then
    return (a > 0xc2 or b >= 0xa0) and 2 or nil
  elseif a >= 0xe0 and a < 0xf0 and follows(b) and follows(c) then
    local code = (a % 16) * 4096 + (b % 64) * 64 + c % 64
    local is_mark = code >= 0x200b and code <= 0x200f
      or code >= 0x2028 and code <= 0x202e
      or code >= 0x2060 and code <= 0x206f
    local is_none = code < 0x800 or code >= 0xd800 and code < 0xe000
    return not is_mark and not is_none and 3 or nil
  elseif a >= 0xf0 and a < 0xf5 and follows(b) and follows(c) and follows(d)
  then
    return (a > 0xf0 or b >= 0x90) and (a < 0xf4 or b < 0x90) and 4 or nil
  end
end

local function escape(run)
  local out, i = {}, 1
  while i <= #run do
    local length = run:byte(i) >= 0x80 and character(run, i)
    out[#out + 1] = length and run:sub(i, i + length - 1)
      or ("\\x%02x"):format(run:byte(i))
    i = i + (length or 1)
  end
  return table.concat(out)
end

--- A text without what a terminal obeys: control characters, and bytes that
-- are no UTF-8, are escaped.
function reader.printable(text)
  return (text:gsub("[^\32-\126]+", escape))
end

--- A text in quotes, shortened if it is long.
function reader.quote(text)
  if #text > TEXT_MAX then text = text:sub(1, TEXT_MAX) .. "..." end
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

--- How a mistake shows a value.
function reader.describe(value)
  if type(value) == "string" then return reader.quote(value) end
  if value ~= value then return "nan" end
  if type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return type(value)
end

--- The place of a key in the place of its table.
function reader.place(path, key)
  if type(key) == "string" then return ("%s.%s"):format(path, key) end
  return ("%s[%s]"):format(path, reader.describe(key))
end

-- Mistakes --------------------------------------------------------------------

--- Notes a mistake, once.
function reader.mistake(self, path, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  text = reader.printable(("%s: %s"):format(path, text))
  self.noted = self.noted or {}
  if not self.noted[text] then
    self.noted[text] = true
    self.mistakes[#self.mistakes + 1] = text
  end
end

--- Notes one mistake of two places: that of each, with the other.
function reader.conflict(self, a, b, text_a, text_b)
  reader.mistake(self, a, "%s", text_a)
  reader.mistake(self, b, "%s", text_b)
end

function reader.expected(self, path, what, value)
  reader.mistake(self, path, "%s expected, got %s", what,
    reader.describe(value))
end

-- Values ----------------------------------------------------------------------

function reader.is_integer(value, min, max)
  return type(value) == "number" and value % 1 == 0 and value >= min
    and value <= max
end

--- Of a number without a fraction the integer, where Lua tells them apart.
function reader.integer(value) return math.floor(value) end

--- A copy of a table, of which nothing but this level is looked at; nil if it
-- is none. What hides its content behind a metatable (as a table that is
-- read-only may do) is refused: it would look empty.
function reader.table(self, path, value, what)
  if type(value) ~= "table" then
    return reader.expected(self, path, what or "a table", value)
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and (rawget(meta, "__pairs") ~= nil
    or rawget(meta, "__index") ~= nil and next(value) == nil) then
    return reader.mistake(self, path, "its content is behind a metatable, "
      .. "which is not looked into")
  end
  local copy = {}
  for key, content in next, value do copy[key] = content end
  return copy
end

--- Notes those keys of a table that are no strings and none of 1 to `max`.
function reader.check_array(self, path, t, max)
  local count = 0
  for key in pairs(t) do
    if type(key) ~= "string" then
      if reader.is_integer(key, 1, max or math.huge) then
        count = count + 1
      else
        reader.mistake(self, reader.place(path, key), "unexpected")
      end
    end
  end
  for i = 1, count do -- not #t, which may count holes
    if t[i] == nil then return reader.mistake(self, path, "has holes") end
  end
end

--- A copy of what is an array and nothing else.
function reader.list(self, path, value, what)
  local list = reader.table(self, path, value, what)
  if not list then return nil end
  reader.check_array(self, path, list)
  for key in pairs(list) do
    if type(key) == "string" then
      reader.mistake(self, reader.place(path, key), "unexpected")
    end
  end
  return list
end

--- What a mistake says of a key that is none of those of `known`: `text`, and
-- which was probably meant.
function reader.unknown(key, known, text)
  local hint = core.hint(key, known)
  return hint == "" and text or ("%s (%s)"):format(text, hint)
end

return reader
