-- What a program has written, kept for whoever asks: what `log` of spawn gives
-- a process.

local core = require "netns.core"
local search = require "netns.search"

local Log = {}
Log.__index = Log

local log = {}

-- Bytes beyond those to keep, which are given back at once.
local SPARE = 65536

-- The share of the time that goes into searching again and again what a pattern
-- that may begin far back leaves to be searched.
local SHARE = 0.1

-- Those that keep a part, and are not closed.
local partial = setmetatable({}, { __mode = "k" })

--- A new one, whose file is for the program's stdout and stderr. `keep` is how
-- many of the last bytes there will be; nil for all.
function log.new(what, keep)
  local file, message, errno = core.log(what)
  if not file then return nil, message, errno end
  local self = setmetatable({
    file = file, keep = keep, what = what,
    dropped = 0,   -- bytes whose memory was given back
    kept = "",     -- the text when it was last asked for, and
    upto = 0,      -- how many bytes had been written then
    searches = {}, -- by their patterns: so that none begins again
  }, Log)
  if keep then partial[self] = true end
  return self
end

function Log:writer() return self.file:writer() end

function Log:started() self.file:started() end

-- How many bytes were written, and how many of those are not kept.
local function extent(self)
  local size, message, errno = self.file:size(self.what)
  if not size then return nil, message, errno end
  return size, math.max(self.keep and size - self.keep or 0, 0)
end

-- Gives memory back. What fails is tried again.
local function trim(self)
  local size, lost = extent(self)
  if not size or lost - self.dropped < SPARE then return end
  if self.file:drop(self.what, lost) then self.dropped = lost end
end

--- The same for all whose programs write on while the library does other work.
function log.trim()
  for self in pairs(partial) do trim(self) end
end

--- All that is kept of what was written until now, also after the end.
function Log:text()
  if not self.file then return self.kept end
  local size, lost, errno = extent(self)
  if not size then return nil, lost, errno end
  if size == self.upto then return self.kept end
  local from = math.max(self.upto, lost)
  local text, message
  text, message, errno = self.file:text(self.what, from, size)
  if not text then return nil, message, errno end
  self.kept, self.upto = self.kept .. text, size
  if self.keep then self.kept = self.kept:sub(-self.keep) end
  trim(self)
  return self.kept
end

function Log:close()
  if not self.file then return end
  self:text()
  partial[self] = nil
  self.file:close()
  self.file = nil
end

-- The last line, which mostly says what went wrong, as part of a message.
local function last_line(text)
  local line = text and text:sub(-300):match "([^\n]*%S)%s*$"
  return line and "; it wrote last: " .. line or ""
end

-- One descriptor for what is written and for the end of the program.
local function watch(self, child, what)
  local gate, message, errno = core.gate(what)
  if not gate then return nil, message, errno end
  local events, ok
  events, message, errno = self.file:events(what)
  if events then ok, message, errno = gate:add(events, what) end
  if ok then ok, message, errno = gate:add(child:fd(), what) end
  if ok then return gate end
  gate:close()
  return nil, message, errno
end

-- Searches what is kept from where the last search of the pattern has come to:
-- an array of what string.match returns; false if it is not there; or nil,
-- message, errno. A match that was found is found there again.
local function look(self, finder)
  if not finder.from then return false end
  local size, lost, text, message, errno = self.upto, self.upto - #self.kept
  if self.file then
    size, lost, errno = extent(self)
    if not size then return nil, lost, errno end
  end
  if lost >= finder.from then -- it is gone
    if finder.about.anchored then return false end
    finder.from = lost + 1
  end
  -- one byte before belongs to it: a frontier looks back
  local start = math.max(finder.from - 2, lost)
  if self.file then
    text, message, errno = self.file:text(self.what, start, size)
    if not text then return nil, message, errno end
    trim(self)
  else
    text = self.kept:sub(start - lost + 1)
  end
  return search.go(finder, text, start + 1) or false
end

-- Waits until there may be more to search. When the last search took long it is
-- not repeated at once, but when the program has ended.
local function pause(self, wait, left, took)
  local rest = took / SHARE
  if rest > 0.001 then
    core.await({ wait.child }, left and math.min(left, rest) or rest)
    if left and left <= rest or not wait.child:running() then return end
    left = left and left - rest
  end
  wait.gate:wait(left)
  self.file:events(wait.what) -- taken before the text is looked at again
  core.await({ wait.child }, 0) -- if it has ended, what it wrote is there
end

-- Looks until it is found: as `look`, or nil, message, errno.
local function await(self, finder, wait)
  while true do
    local running = not self.file or wait.child:running()
    local from = core.now()
    local found, message, errno = look(self, finder)
    if found or found == nil then return found, message, errno end
    local left = wait.deadline and wait.deadline - core.now()
    if not self.file or not running then
      message, errno = "it has ended without", core.errno.ESRCH
    elseif left and left <= 0 then
      message, errno = "timed out waiting for", core.errno.ETIMEDOUT
    end
    if errno then
      return nil, ("%s: %s %q%s"):format(wait.what, message, finder.pattern,
        last_line(self:text())), errno
    end
    pause(self, wait, left, core.now() - from)
  end
end

--- The search for a pattern; nil and what is wrong with it.
function Log:search(pattern)
  local finder, problem = self.searches[pattern], nil
  if not finder then finder, problem = search.new(pattern) end
  self.searches[pattern] = finder
  return finder, problem
end

--- Waits until a pattern is found in it, and returns what string.match does.
-- `finder` is of `search`, `child` the program's, `deadline` a time of
-- core.now() or nil.
function Log:wait(finder, deadline, child, what)
  local wait = { deadline = deadline, child = child, what = what }
  local message, errno
  if self.file then
    wait.gate, message, errno = watch(self, child, what)
    if not wait.gate then return nil, message, errno end
  end
  local found
  found, message, errno = await(self, finder, wait)
  if wait.gate then wait.gate:close() end
  if not found then return nil, message, errno end
  return search.unpack(found)
end

return log
