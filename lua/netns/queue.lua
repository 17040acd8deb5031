-- Events that wait to be read: what the monitors of names and of links have in
-- common. Such an object has a `gate`, one descriptor for all that it listens
-- to, which is kept readable while events wait, and a `timeout` or nil.

local core = require "netns.core"

local queue = {}

--- Gives an object an empty queue.
function queue.init(self)
  self.queue, self.first, self.last, self.pending = {}, 1, 0, false
  return self
end

function queue.emit(self, event)
  self.last = self.last + 1
  self.queue[self.last] = event
end

--- Makes the descriptor say whether events wait.
function queue.signal(self)
  local pending = self.first <= self.last
  if pending ~= self.pending then
    self.gate:pending(pending)
    self.pending = pending
  end
end

local function take(self)
  local event = self.queue[self.first]
  if event then
    self.queue[self.first] = nil
    self.first = self.first + 1
  end
  queue.signal(self)
  return event
end

--- The next event, waiting for it. drain(self) makes events of what there is to
-- be heard: true if there may be more, false if not, nil, message, errno.
function queue.read(self, timeout, drain, what)
  timeout = timeout or self.timeout
  local deadline = timeout and core.now() + timeout
  self.gate:fd "read" -- an error if it is closed
  while true do
    local event = take(self)
    if event then return event end
    local more, message, errno = drain(self)
    if more == nil then return nil, message, errno end
    if not more and self.first > self.last then
      local left = deadline and deadline - core.now()
      if left and left <= 0 then
        return nil, what .. ": no event", core.errno.ETIMEDOUT
      end
      local ready
      ready, message, errno = self.gate:wait(left)
      if ready == nil then return nil, what .. ": " .. message, errno end
    end
  end
end

--- For the generic `for`: no event within the timeout ends the loop.
function queue.iterate(self)
  local event, message, errno = self:read()
  if not event and errno ~= core.errno.ETIMEDOUT then core.raise(message) end
  return event
end

return queue
