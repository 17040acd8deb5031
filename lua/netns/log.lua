-- What a program has written, kept for whoever asks: what `log=true` of spawn
-- gives a process.

local core = require "netns.core"

local Log = {}
Log.__index = Log

local log = {}

--- A new one, whose file is for the program's stdout and stderr.
function log.new(what)
  local file, message, errno = core.log(what)
  if not file then return nil, message, errno end
  return setmetatable({ file = file, kept = "" }, Log)
end

function Log:writer() return self.file:writer() end

function Log:started() self.file:started() end

--- All that was written until now, also after the end.
function Log:text()
  if self.file then self.kept = self.kept .. self.file:text(#self.kept) end
  return self.kept
end

function Log:close()
  if not self.file then return end
  self:text()
  self.file:close()
  self.file = nil
end

-- The last line, which mostly says what went wrong, as part of a message.
local function last_line(text)
  local line = text:sub(-300):match "([^\n]*%S)%s*$"
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

--- Waits until a pattern is found in it, and returns what string.match does.
-- `child` is the program's, `deadline` a time of core.now() or nil.
function Log:wait(pattern, deadline, child, what)
  local gate, message, errno
  if self.file then
    gate, message, errno = watch(self, child, what)
    if not gate then return nil, message, errno end
  end
  while not self:text():find(pattern) do
    local left = deadline and deadline - core.now()
    if not child:running() then
      message, errno = "it has ended without", core.errno.ESRCH
    elseif left and left <= 0 then
      message, errno = "timed out waiting for", core.errno.ETIMEDOUT
    end
    if errno then break end
    gate:wait(left)
    self.file:events(what) -- taken before the text is looked at again
    core.await({ child }, 0) -- it may have ended: then what it wrote is there
  end
  if gate then gate:close() end
  if errno then
    return nil, ("%s: %s %q%s"):format(what, message, pattern,
      last_line(self:text())), errno
  end
  return self:text():match(pattern)
end

return log
