-- A pattern looked for in a text that grows: where the next search may begin,
-- so that all searches together look at each byte a few times only.
--
-- A match can begin at a place where none was found before only if an attempt
-- there came to the end of the text. That is so if the beginning of the
-- pattern, up to one of its items, matches all from that place to the end.
-- `resume` looks for the first such place. Only patterns that go on to the end
-- from wherever they begin, such as "a.*b" after an "a", have to be tried again
-- from there.

local search = {}

local unpack = table.unpack or unpack -- luacheck: ignore 113 143

local MAX_CAPTURES = 32 -- of Lua

local REPEATED = { ["*"] = true, ["+"] = true, ["-"] = true }

local function malformed(problem)
  error({ problem = problem }, 0)
end

-- Where the set that begins at `at` ends.
local function end_of_set(pattern, at)
  local stop = pattern:match("^%[%^?()", at)
  repeat -- a bracket in the first place belongs to the set
    if pattern:sub(stop, stop) == "%" then stop = stop + 1 end
    stop = stop + 1
    if stop > #pattern then malformed "missing ']'" end
  until pattern:sub(stop, stop) == "]"
  return stop
end

-- The item that begins at `at`: the text of what is matched, what repeats it,
-- and the place of the next item.
local function item_at(pattern, at)
  local char, after = pattern:match("^(.)(.?)", at)
  if char == "(" or char == ")" then
    return { text = char, capture = char == "(" and 1 or -1 }, at + 1
  elseif char == "%" and after == "" then
    malformed "ends with '%'"
  elseif char == "%" and after == "b" then
    if at + 3 > #pattern then malformed "missing arguments to '%b'" end
    local bracket = pattern:sub(at + 2, at + 2):gsub("%W", "%%%0")
    return { text = pattern:sub(at, at + 3), opening = bracket }, at + 4
  elseif char == "%" and after == "f" then
    if pattern:sub(at + 2, at + 2) ~= "[" then
      malformed "missing '[' after '%f'"
    end
    local stop = end_of_set(pattern, at + 2)
    return { text = pattern:sub(at, stop), frontier = true }, stop + 1
  elseif char == "%" and after:find "%d" then
    return { text = pattern:sub(at, at + 1), opening = "" }, at + 2
  end
  local stop = char == "[" and end_of_set(pattern, at)
    or char == "%" and at + 1 or at
  local sign = pattern:match("^[*+?-]", stop + 1)
  return { text = pattern:sub(at, stop), sign = sign },
    stop + 1 + (sign and 1 or 0)
end

-- Keeps account of captures: those that are open, and which are closed.
local function note_captures(captures, item)
  if item.capture == 1 then
    captures.count = captures.count + 1
    captures[#captures + 1] = captures.count
    if captures.count > MAX_CAPTURES then malformed "too many captures" end
  elseif item.capture then
    local last = table.remove(captures) or malformed "invalid pattern capture"
    captures.closed[last] = true
  elseif item.opening == "" and not captures.closed[tonumber(item.text:sub(2))]
  then
    malformed "invalid capture index"
  end
end

-- The items of a pattern, without its anchors.
local function items_of(pattern)
  local items, at = {}, pattern:match "^%^?()"
  local captures = { count = 0, closed = {} }
  while at <= #pattern and not (at == #pattern and pattern:find("^%$", at)) do
    items[#items + 1], at = item_at(pattern, at)
    note_captures(captures, items[#items])
  end
  if captures[1] then malformed "unfinished capture" end
  return items
end

-- What is known of a pattern:
-- - `anchored`  whether it is only looked for at the start of the text
-- - `bound`     how many bytes a match has at most before an item that may have
--               any number of them, or in all
-- - `begins`    the pattern up to that item; nil if there is none
-- - `partial`   for each item on which a text may end the pattern up to it,
--               which then matches to the end of the text
-- - `lines`     how many line ends a match can have; nil for any number
local function analyse(pattern)
  local it = {
    anchored = pattern:sub(1, 1) == "^", bound = 0, partial = {}, lines = 0,
  }
  local items = items_of(pattern)
  local before, open = it.anchored and "^" or "", 0
  for i, item in ipairs(items) do
    local any = item.opening or REPEATED[item.sign]
    local closing = (")"):rep(open)
    if any and not it.begins then
      it.begins = before .. (item.sign == "+" and item.text or "") .. closing
    end
    if not any and not it.begins and not item.capture then
      it.bound = it.bound + 1 -- a frontier looks at one, too
    end
    if item.opening then
      it.lines = nil
      it.partial[#it.partial + 1] = before .. item.opening .. ".*" .. closing
        .. "$"
    elseif not item.capture and not item.frontier then
      if ("\n"):find("^" .. item.text .. "$") then
        it.lines = not any and it.lines and it.lines + 1 or nil
      end
      if i < #items then
        it.partial[#it.partial + 1] = before .. item.text
          .. (any and "*" or item.sign or "") .. closing .. "$"
      end
    end
    before = before .. item.text .. (item.sign or "")
    open = open + (item.capture or 0)
  end
  return it
end

-- Where the last line but `count` begins, not before `init`.
local function line_start(text, count, init)
  local at = #text + 1
  for _ = 0, count do
    at = text:sub(init, at - 1):match "^.*()\n"
    if not at then return init end
    at = at + init - 1
  end
  return at + 1
end

-- The first place from `init` on where a match may begin when there is more of
-- the text; nil if it can be at none.
local function resume(it, text, init)
  if it.anchored then
    for _, partial in ipairs(it.partial) do
      if text:find(partial) then return 1 end
    end
    return #text == 0 and 1 or nil
  end
  if not it.begins then return math.max(#text - it.bound + 2, init) end
  local last = math.max(#text - it.bound + 1, init)
  local from = init
  if it.lines then from = line_start(text, it.lines, init) end
  from = text:find(it.begins, from)
  from = from and math.min(from, last) or last
  local first = #text + 1
  for _, partial in ipairs(it.partial) do
    first = math.min(first, text:find(partial, from) or first)
  end
  return first
end

--- A search for a pattern; nil and what is wrong with one that is malformed.
-- `from` is where it goes on, counted from 1 at the start of the whole text;
-- nil if there is no such place.
function search.new(pattern)
  local ok, about = pcall(analyse, pattern)
  if ok then return { pattern = pattern, from = 1, about = about } end
  return nil, type(about) == "table" and about.problem or about
end

local function pack(...)
  return { n = select("#", ...), ... }
end

--- What is in an array of `go`.
function search.unpack(found)
  return unpack(found, 1, found.n)
end

--- Searches a text that begins at the place `start` of the whole, which is not
-- behind `self.from`. An array with what string.match returns, and `n`; or nil.
function search.go(self, text, start)
  local init = self.from - start + 1
  local found = pack(text:find(self.pattern, init))
  if found[1] then
    self.from = found[1] + start - 1
    if found.n == 2 then
      found = pack(text:sub(found[1], found[2]))
    else
      found = pack(unpack(found, 3, found.n))
    end
    for i = 1, found.n do -- a number is a place in the text
      if type(found[i]) == "number" then found[i] = found[i] + start - 1 end
    end
    return found
  end
  local place = resume(self.about, text, init)
  self.from = place and place + start - 1
end

return search
