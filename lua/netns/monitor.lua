--- Names and ids as they come and go: `ip netns monitor`.
--
-- Three sources tell of it. inotify of the directory of names knows the names,
-- but not when they can be opened; fanotify or mountinfo of the mounts know
-- that something was mounted, but not under which name; rtnetlink knows the
-- ids. Here they are put together into events, which wait in a queue. While any
-- wait, the descriptor is kept readable.
-- @classmod netns.monitor

local check = require "netns.check"
local core = require "netns.core"
local ids = require "netns.ids"
local queue = require "netns.queue"

local emit = queue.emit

local Monitor = {}
Monitor.__index = Monitor
Monitor.__name = "netns.monitor"

-- self.known    name -> { inode=, mount= }: those that were reported
-- self.mounts   mount -> set of names, where mounts have unique ids
-- self.waiting  name -> whether its file was made while we watched, and so may
--               have been a namespace for a moment; it is none (yet), or gone
-- self.passing  mount -> true: of those mounted, not known, and there yet
-- self.passed   how many of those have gone: namespaces that came and went
-- self.ids      id -> name, or false
-- self.failure  message and errno of a look that was not possible
-- self.behind   true if something was not looked at the last time

local function forget(self, name)
  local mount = self.known[name].mount
  local names = self.mounts[mount]
  if names then
    names[name] = nil
    if not next(names) then self.mounts[mount] = nil end
  end
  self.known[name] = nil
  emit(self, { action = "delete", name = name })
end

-- Looks whether a name can be opened. `coming`: its file was made meanwhile.
local function look(self, name, coming)
  local inode, mount, errno = core.mount_of(name)
  if errno then
    self.failure = { mount, errno }
  elseif inode then
    self.waiting[name] = nil
    self.known[name] = { inode = inode, mount = mount }
    if mount ~= 0 then
      self.mounts[mount] = self.mounts[mount] or {}
      self.mounts[mount][name] = true -- several if one is a symbolic link
    end
    self.passing[mount] = nil
    emit(self, { action = "add", name = name })
  elseif inode == false then
    self.waiting[name] = coming
  else
    self.waiting[name] = coming or nil
  end
end

-- Looks at a name that was reported: it may be a leftover by now, or another.
local function look_again(self, name)
  local inode, mount, errno = core.mount_of(name)
  local known = self.known[name]
  if errno then
    self.failure = { mount, errno }
    return
  end
  if inode == known.inode and mount == known.mount then return end
  forget(self, name)
  look(self, name, false)
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Compares what is known with what is in the directory.
local function scan_names(self)
  local names, message, errno = core.names()
  if not names then return nil, message, errno end
  local there = {}
  for _, name in ipairs(names) do there[name] = true end
  for _, name in ipairs(sorted_keys(self.known)) do
    if there[name] then look_again(self, name) else forget(self, name) end
  end
  self.waiting = {}
  for _, name in ipairs(names) do
    if not self.known[name] then look(self, name, false) end
  end
  if self.failure then return nil, self.failure[1], self.failure[2] end
  return true
end

local function scan_ids(self)
  local list, message, errno = ids.all(self.query)
  if not list then return nil, message, errno end
  local there = {}
  for _, entry in ipairs(list) do there[entry.nsid] = entry.name or false end
  for _, nsid in ipairs(sorted_keys(self.ids)) do
    if there[nsid] == nil then
      local name = self.ids[nsid] or nil
      self.ids[nsid] = nil
      emit(self, { action = "delete-id", nsid = nsid, name = name })
    end
  end
  for _, entry in ipairs(list) do
    if self.ids[entry.nsid] == nil then
      self.ids[entry.nsid] = entry.name or false
      emit(self, { action = "add-id", nsid = entry.nsid, name = entry.name })
    end
  end
  return true
end

local files = {}

function files.create(self, name)
  if self.known[name] then
    look_again(self, name)
  else
    look(self, name, true)
  end
end

function files.delete(self, name)
  if self.known[name] then
    forget(self, name)
  else
    -- it may have been looked at too early, or between its unmount and this
    if self.waiting[name] and self.passed > 0 then
      self.passed = self.passed - 1
      emit(self, { action = "add", name = name })
      emit(self, { action = "delete", name = name })
    end
    self.waiting[name] = nil
  end
end

-- Something was mounted: files may have become namespaces.
local function look_at_waiting(self)
  for _, name in ipairs(sorted_keys(self.waiting)) do
    look(self, name, self.waiting[name])
  end
end

-- What has changed without the kernel saying what.
local function note_change(self)
  self.passed = math.huge -- anything that has gone may have been a namespace
  look_at_waiting(self)
  for _, name in ipairs(sorted_keys(self.known)) do look_again(self, name) end
end

local function note_mounts(self, mounted, unmounted)
  for _, mount in ipairs(mounted) do
    if not self.mounts[mount] then self.passing[mount] = true end
  end
  if mounted[1] then look_at_waiting(self) end
  for _, mount in ipairs(unmounted) do
    for _, name in ipairs(sorted_keys(self.mounts[mount] or {})) do
      look_again(self, name)
    end
    if self.passing[mount] then
      self.passing[mount] = nil
      self.passed = self.passed + 1
    end
  end
end

-- Reads the sources of names. The files first: what was mounted on a file that
-- is reported gone was mounted, and unmounted, before that.
local function read_names(self)
  local watch = self.watch
  local list, message, errno = watch:files()
  if not list then return nil, message, errno end
  local mounted, unmounted, lost = watch:mounts()
  if mounted == nil then return nil, unmounted, lost end
  local moved = false
  if unmounted then
    note_mounts(self, mounted, unmounted)
  elseif mounted then
    note_change(self)
  end
  for i = 1, #list, 2 do
    local action, name = list[i], list[i + 1]
    if files[action] then
      files[action](self, name)
    elseif action == "overflow" then
      lost = true
    else -- the directory came, or went
      moved = true
    end
  end
  local quiet = not mounted or unmounted and not mounted[1] and not unmounted[1]
  -- The files of what was mounted just now may be read only the next time.
  if quiet and not next(self.waiting) then
    self.passing, self.passed = {}, 0
  end
  if moved or not quiet then
    -- another directory may have been mounted over the one that is watched
    local other
    other, message, errno = watch:follow()
    if other == nil then return nil, message, errno end
    moved = moved or other
  end
  return true, moved, lost
end

-- The names of new ids, asked for once for all of them.
local function name_ids(self, new)
  local named = {}
  for _, name in pairs(self.ids) do
    if name then named[name] = true end
  end
  for name in pairs(self.known) do
    if not named[name] then
      local id, message, errno = ids.of_name(self.query, name, nil, "monitor")
      if id == nil then
        self.failure = { message, errno }
      elseif id and new[id] then
        self.ids[id] = name
      end
    end
  end
end

local function read_ids(self)
  local list, lost, errno = core.id_events(self.listener, 0)
  if not list then return nil, lost, errno end
  local new = {}
  for _, event in ipairs(list) do
    if event >= 0 then new[event] = true end
  end
  for id in pairs(new) do self.ids[id] = self.ids[id] or false end
  if next(new) then name_ids(self, new) end
  for _, event in ipairs(list) do
    local nsid = event >= 0 and event or -1 - event
    local name = self.ids[nsid] or nil
    emit(self, {
      action = event >= 0 and "add-id" or "delete-id", nsid = nsid, name = name,
    })
    if event < 0 then self.ids[nsid] = nil end
  end
  return true, lost
end

-- Turns what the sources have to say into events.
local function read_sources(self)
  local ok, moved, lost, message, errno
  local ids_lost = false
  ok, moved, lost = read_names(self)
  if not ok then return nil, moved, lost end
  if self.listener then
    ok, ids_lost, errno = read_ids(self)
    if not ok then return nil, ids_lost, errno end
  end
  if lost or ids_lost or self.behind then emit(self, { action = "resync" }) end
  if lost or moved or self.behind then
    ok, message, errno = scan_names(self)
    if not ok then return nil, message, errno end
  end
  if self.listener and (ids_lost or self.behind) then return scan_ids(self) end
  return true
end

-- The same; what could not be looked at, for want of a descriptor say, is made
-- good as if events had been lost.
local function drain(self)
  self.failure = nil
  local ok, message, errno = read_sources(self)
  if ok and self.failure then
    ok, message, errno = nil, self.failure[1], self.failure[2]
  end
  self.behind = not ok
  if not ok then return nil, message, errno end
  return false -- all was read
end

--- Waits for the next event.
-- @tparam[opt] number timeout seconds; without it that of the monitor, else
-- for ever
-- @treturn[1] table `action`: `"add"` or `"delete"`, with `name`; `"add-id"`
-- or `"delete-id"`, with `nsid` and, when it is known, `name`; or `"resync"`,
-- when the kernel dropped events: what follows brings the listener up to date
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ETIMEDOUT
function Monitor:read(timeout)
  check.seconds("read", timeout)
  return queue.read(self, timeout, drain, "monitor")
end

--- A descriptor to poll: when it is readable, `read(0)` may have an event.
-- @treturn integer which stays the monitor's
function Monitor:fd()
  return self.gate:fd "fd"
end

--- Ends the watching. Closing twice does no harm.
-- @treturn boolean true
function Monitor:close()
  self.gate:close()
  if self.watch then self.watch:close() end
  if self.listener then self.listener:close() end
  if self.query then self.query:close() end
  return true
end

Monitor.__close = Monitor.close

check.methods(Monitor, "monitor", { read = 1, fd = 0, close = 0 })

Monitor.__call = queue.iterate

local OPTIONS = { ids = "boolean", existing = "boolean", timeout = "seconds" }

-- Opens the sockets for ids: one that listens, and one that asks.
local function open_ids(self)
  local message, errno, fd
  self.listener, message, errno = core.rtnl(nil, "monitor")
  if not self.listener then return nil, message, errno end
  self.query, message, errno = core.rtnl(nil, "monitor")
  if not self.query then return nil, message, errno end
  fd, message, errno = core.id_listen(self.listener)
  if not fd then return nil, message, errno end
  return self.gate:add(fd, "monitor")
end

-- Watches first and looks then, so that there is no gap between the two.
local function start(self, opts)
  local ok, message, errno
  self.watch, message, errno = core.watch(self.gate, true)
  ok = self.watch
  if ok and opts.ids then ok, message, errno = open_ids(self) end
  if ok then ok, message, errno = scan_names(self) end
  if ok and opts.ids then ok, message, errno = scan_ids(self) end
  if not ok then return nil, message, errno end
  if not opts.existing then queue.init(self) end
  queue.signal(self)
  return true
end

--- Watches the names, and with `ids` the ids that the calling thread's
-- namespace has for others. The monitor is an iterator for the generic `for`,
-- which ends when there is no event for `timeout` seconds, and an object.
-- @function netns.monitor
-- @tparam[opt] table opts `ids=true`; `existing=true`: first reports what is
-- there, without a gap between that and the watching; `timeout`: seconds
-- @treturn[1] netns.monitor
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
return function(opts)
  opts = check.options("monitor", opts, OPTIONS)
  local gate, message, errno = core.gate "monitor"
  if not gate then return nil, message, errno end
  local self = queue.init(setmetatable({
    gate = gate, timeout = opts.timeout,
    known = {}, mounts = {}, waiting = {}, ids = {}, passing = {}, passed = 0,
  }, Monitor))
  local ok
  ok, message, errno = start(self, opts)
  if not ok then
    self:close()
    return nil, message, errno
  end
  return self, nil, nil, self -- the last for the generic `for`, which closes it
end
