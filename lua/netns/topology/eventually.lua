-- Tries a function until it is true.

local core = require "netns.core"
local watch = require "netns.watch"

local unpack = table.unpack or unpack -- luacheck: ignore 113 143

-- Not all that is waited for is told of by an event, so it looks again after
-- this time, in seconds.
local TICK = 0.05

local WHAT = "eventually"

local function pack(...) return { n = select("#", ...), ... } end

-- Listens to each of the namespaces. What was opened is in `watcher`, also when
-- it fails.
local function listen(watcher, handles)
  local message, errno
  watcher.gate, message, errno = core.gate(WHAT)
  if not watcher.gate then return nil, message, errno end
  for i, ns in ipairs(handles) do
    local listener, fd, ok
    listener, fd, errno = watch.listen(ns, WHAT, "link", "addr", "route")
    if not listener then return nil, fd, errno end
    watcher[i] = listener
    ok, message, errno = watcher.gate:add(fd, WHAT)
    if not ok then return nil, message, errno end
  end
  return true
end

local function stop(watcher)
  for _, listener in ipairs(watcher) do listener:close() end
  if watcher.gate then watcher.gate:close() end
end

-- What has happened does not matter, only that something has. True; or nil,
-- message, errno.
local function wait(watcher, seconds)
  local ready, message, errno = watcher.gate:wait(seconds)
  if ready == nil then return nil, message, errno end
  for _, listener in ipairs(watcher) do
    local events
    repeat
      events, message, errno = core.net_events(listener, WHAT)
      if events == nil then return nil, message, errno end
    until not events
  end
  return true
end

local function try(watcher, fn, timeout)
  local deadline = core.now() + timeout
  while true do
    local results = pack(fn())
    if results[1] then return results end
    local left = deadline - core.now()
    if left <= 0 then return { nil, results[2] } end
    local ok, message, errno = wait(watcher, math.min(left, TICK))
    if not ok then return { nil, message, errno = errno } end
  end
end

return function(handles, fn, timeout)
  local watcher = {}
  local ok, message, errno = listen(watcher, handles)
  local fine, results = true, nil
  if ok then fine, results = pcall(try, watcher, fn, timeout) end
  stop(watcher)
  if not ok then return nil, message, errno end
  if not fine then error(results, 0) end
  if results[1] then return unpack(results, 1, results.n) end
  if results.errno then return nil, results[2], results.errno end
  return nil, ("%s: not so after %g s%s"):format(WHAT, timeout,
    results[2] and (": %s"):format(tostring(results[2])) or ""),
    core.errno.ETIMEDOUT
end
