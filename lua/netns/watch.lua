--- Links, addresses and routes as they change: waiting for one of them, and a
-- monitor of all, which is `ip monitor`.
-- @classmod netns.link_monitor

local check = require "netns.check"
local core = require "netns.core"
local inside = require "netns.inside"
local queue = require "netns.queue"

local watch = {}

--- A socket in a namespace that has subscribed to the events of `...`, and the
-- descriptor to poll.
-- @local
function watch.listen(NS, what, ...)
  local listener, message, errno = core.rtnl(NS, what)
  if not listener then return nil, message, errno end
  local fd
  fd, message, errno = core.net_listen(listener, what, ...)
  if fd then return listener, fd end
  listener:close()
  return nil, message, errno
end

-- Waiting ---------------------------------------------------------------------

-- Looks until there is what is waited for: `look()` returns it; or nil and what
-- it still lacks; or nil, message, errno, if there is nothing to wait for. It
-- looks again once it listens, and after every event: nothing happens unseen.
-- Events that were lost were events, too.
local function await(wait, look)
  local listener
  local deadline = wait.timeout and core.now() + wait.timeout
  local function stop(...)
    if listener then listener:close() end
    return ...
  end
  while true do
    local found, lack, errno = look(wait)
    if found then return stop(found) end
    if errno then return stop(nil, lack, errno) end
    local left = deadline and deadline - core.now()
    if left and left <= 0 then
      return stop(nil, ("%s: timed out, it %s"):format(wait.label, lack),
        core.errno.ETIMEDOUT)
    end
    local ok, message
    if listener then
      ok, message, errno = core.net_wait(listener, wait.what, left)
    else
      listener, message, errno =
        watch.listen(wait.ns, wait.what, wait.events)
      ok = listener
    end
    if not ok then return stop(nil, message, errno) end
  end
end

local function await_in(NS, wait, look)
  wait.label = ("%s %s: %s"):format(wait.what, core.label(NS),
    core.printable(wait.subject))
  return inside(NS, wait.what, function(ns)
    wait.ns = ns
    return await(wait, look)
  end)
end

local function look_for_link(wait)
  local link, message, errno = core.link(wait.ns, wait.subject)
  if errno == core.errno.ENODEV and #wait.subject < 16 then
    return nil, "is not there"
  elseif not link then
    return nil, "wait_link: " .. message, errno
  end
  local lacks = {}
  for _, field in ipairs { "up", "running" } do
    local wanted = wait[field]
    if wanted ~= nil and wanted ~= link[field] then
      lacks[#lacks + 1] = (wanted and "is not " or "is ") .. field
    end
  end
  if lacks[1] then return nil, table.concat(lacks, " and ") end
  return link
end

--- Waits until a link is there, and as it is asked to be. It sleeps until the
-- kernel tells of a change.
-- @function netns.wait_link
-- @param NS
-- @tparam string name
-- @tparam[opt] table opts `up`, `running`: true or false, as it shall be;
-- `timeout`: seconds, without it for ever
-- @treturn[1] table the link, as from @{netns.link}
-- @return[2] nil
-- @treturn[2] string message which says what it still lacks
-- @treturn[2] integer errno: ETIMEDOUT
function watch.wait_link(NS, name, opts)
  check.namespace("wait_link", NS)
  check.name("wait_link", name)
  local wait = check.options("wait_link", opts,
    { up = "boolean", running = "boolean", timeout = "seconds" })
  wait.what, wait.subject, wait.events = "wait_link", name, "link"
  return await_in(NS, wait, look_for_link)
end

-- Of several that have the address one has to be usable; those on which it was
-- found to be another's will not be.
local function look_for_addr(wait)
  local list, message, errno = core.addrs(wait.ns, { link = wait.link })
  if errno == core.errno.ENODEV then
    return nil, ("has no link %s"):format(wait.link)
  elseif not list then
    return nil, "wait_addr: " .. message, errno
  end
  local failed, tentative = false, false
  for _, addr in ipairs(list) do
    if addr["local"] == wait.address
      and (not wait.prefixlen or addr.prefixlen == wait.prefixlen) then
      if addr.dadfailed then
        failed = true
      elseif addr.tentative then
        tentative = true
      else
        return addr
      end
    end
  end
  if tentative then return nil, "is tentative" end
  if not failed then return nil, "is not there" end
  return nil, wait.label .. ": another on the link has it",
    core.errno.EADDRINUSE
end

--- Waits until an address is there and can be used: for IPv6, until duplicate
-- address detection is over. It sleeps until the kernel tells of a change.
-- @function netns.wait_addr
-- @param NS
-- @tparam string address with the length of its prefix, or without if any will
-- do
-- @tparam[opt] table opts `link`, the name or the index of the one that is to
-- have it, else any; `timeout`: seconds, without it for ever
-- @treturn[1] table the address, as from @{netns.addrs}
-- @return[2] nil
-- @treturn[2] string message which says what it still lacks
-- @treturn[2] integer errno: ETIMEDOUT; EADDRINUSE if another on the link was
-- found to have it; EINVAL
function watch.wait_addr(NS, address, opts)
  check.namespace("wait_addr", NS)
  check.string("wait_addr", "address", address)
  local wait = check.options("wait_addr", opts,
    { link = "link", timeout = "seconds" })
  local bytes, prefixlen, errno = core.ip_bytes(address)
  if not bytes then return nil, "wait_addr: " .. prefixlen, errno end
  wait.what, wait.subject, wait.events = "wait_addr", address, "addr"
  wait.address, wait.prefixlen = core.ip_text(bytes), prefixlen
  return await_in(NS, wait, look_for_addr)
end

-- Watching --------------------------------------------------------------------

local Monitor = {}
Monitor.__index = Monitor
Monitor.__name = "netns.link_monitor"

-- self.known.link  index -> link, as it was reported last
-- self.known.addr  key -> address
-- self.behind      true if events were lost, and it was not yet looked what is

local function emit(self, action, what, object)
  local event = { action = action, type = what }
  if what then event[what] = object end
  queue.emit(self, event)
end

-- What tells one object from the others: what cannot change.
local function key_of(what, object)
  if what == "link" then return object.index end
  if object.family == "inet6" then
    return ("%d %s"):format(object.index, object["local"])
  end
  return ("%d %s/%d %s"):format(object.index, object["local"],
    object.prefixlen, object.address or "")
end

local function equal(a, b, except)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not (except[key] or equal(value, b[key], except)) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil and not except[key] then return false end
  end
  return true
end

-- What is no change by itself: in an event, and when looking, since lifetimes
-- run.
local COUNTERS = { stats = true }
local RUNNING = {
  stats = true, valid_life_time = true, preferred_life_time = true,
}

-- Notes how an object is; true if it had another name before.
local function note(self, what, object, except)
  local known, key = self.known[what], key_of(what, object)
  local before = known[key]
  known[key] = object
  if not before then
    emit(self, "add", what, object)
  elseif not equal(before, object, except) then
    emit(self, "change", what, object)
    return before.name ~= object.name
  end
end

local function forget(self, what, key)
  local before = self.known[what][key]
  self.known[what][key] = nil
  if before then emit(self, "delete", what, before) end
end

local function forget_missing(self, what, list)
  local there, missing = {}, {}
  for _, object in ipairs(list) do there[key_of(what, object)] = true end
  for key in pairs(self.known[what]) do
    if not there[key] then missing[#missing + 1] = key end
  end
  table.sort(missing)
  for _, key in ipairs(missing) do forget(self, what, key) end
end

-- What there is: an array for each of `...`.
local function fetch(self, ...)
  local lists = {}
  for _, what in ipairs { ... } do
    local list, message, errno =
      core.net_scan(self.query, "monitor_links", what)
    if not list then return nil, message, errno end
    lists[what] = list
  end
  return lists
end

-- Reports how that differs from what is known: an address goes before its link,
-- and comes after it.
local function compare(self, lists)
  forget_missing(self, "addr", lists.addr)
  forget_missing(self, "link", lists.link)
  for _, link in ipairs(lists.link) do note(self, "link", link, RUNNING) end
  for _, addr in ipairs(lists.addr) do note(self, "addr", addr, RUNNING) end
  for _, route in ipairs(lists.route or {}) do
    emit(self, "add", "route", route)
  end
end

-- The first end of a veth is told before it has another, and then no more. The
-- kernel answers when it has.
local function complete(self, object)
  if object.peer_index ~= 0 then return object end
  local link, message, errno = core.net_look(self.query, object.index)
  if link == nil then return nil, message, errno end
  return link or object
end

-- Gives an object, or a hop of a route, the name that its link had when the
-- event was sent: events are read in their order, so that is the one that is
-- known here. The kernel sends the index only, and by now another link may have
-- the name.
local function name_link(self, object)
  local link = self.known.link[object.index or object.link]
  if link then object.link = link.name end
  for _, hop in ipairs(object.nexthops or {}) do name_link(self, hop) end
end

-- Makes out what an event means. When a link has another name now, the kernel
-- does not tell of all that name it.
local function apply(self, action, what, object)
  if what ~= "link" then name_link(self, object) end
  if what == "route" then
    emit(self, action, what, object)
    return true
  elseif action == "delete" then
    forget(self, what, key_of(what, object))
    return true
  end
  local whole, lists, message, errno
  whole, message, errno = complete(self, object)
  if not whole then return nil, message, errno end
  if note(self, what, whole, COUNTERS) then
    lists, message, errno = fetch(self, "link", "addr")
    if not lists then return nil, message, errno end
    compare(self, lists)
  end
  return true
end

-- Turns what there is to read into events: true if there was something. What
-- was lost is made good only when all is read: until then the kernel goes on
-- dropping events, and does not tell so again.
local function drain(self)
  local list, lost, errno = core.net_events(self.listener, "monitor_links")
  if list == nil then return nil, lost, errno end
  if list then
    self.behind = self.behind or lost
    for i = 1, #list, 3 do
      local ok, message
      ok, message, errno = apply(self, list[i], list[i + 1], list[i + 2])
      if not ok then
        self.behind = true
        return nil, message, errno
      end
    end
    return true
  end
  if not self.behind then return false end
  local lists, message
  lists, message, errno = fetch(self, "link", "addr", "route")
  if not lists then return nil, message, errno end
  self.behind = false
  emit(self, "resync")
  compare(self, lists)
  return true
end

--- Waits for the next event.
-- @tparam[opt] number timeout seconds; without it that of the monitor, else
-- for ever
-- @treturn[1] table `action`: `"add"`, `"change"` or `"delete"`, with `type`:
-- `"link"`, `"addr"` or `"route"`, and in a field of that name the table of it,
-- when it is deleted that which was reported last; or `"resync"`
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ETIMEDOUT
function Monitor:read(timeout)
  check.seconds("read", timeout)
  return queue.read(self, timeout, drain, "monitor_links")
end

--- A descriptor to poll: when it is readable, `read(0)` may have an event.
-- @treturn integer which stays the monitor's
function Monitor:fd()
  return self.gate:fd "fd"
end

--- Ends the watching. Closing twice does no harm.
-- @treturn boolean true
function Monitor:close()
  if self.gate then self.gate:close() end
  if self.query then self.query:close() end
  if self.listener then self.listener:close() end
  return true
end

Monitor.__close = Monitor.close

check.methods(Monitor, "monitor", { read = 1, fd = 0, close = 0 })

Monitor.__call = queue.iterate

-- Listens first and looks then, so that there is no gap between the two.
local function start(self, ns, opts)
  local what = "monitor_links"
  local fd, ok, lists, message, errno
  self.listener, fd, errno = watch.listen(ns, what, "link", "addr", "route")
  if not self.listener then return nil, fd, errno end
  self.query, message, errno = core.rtnl(ns, what)
  if not self.query then return nil, message, errno end
  self.gate, message, errno = core.gate(what)
  if not self.gate then return nil, message, errno end
  ok, message, errno = self.gate:add(fd, what)
  if not ok then return nil, message, errno end
  lists, message, errno =
    fetch(self, "link", "addr", opts.existing and "route" or nil)
  if not lists then return nil, message, errno end
  compare(self, lists)
  if not opts.existing then queue.init(self) end
  queue.signal(self)
  return true
end

--- Watches the links, addresses and routes of a namespace: `ip -n NAME monitor
-- link address route`. The monitor is an iterator for the generic `for`, which
-- ends when there is no event for `timeout` seconds, and an object. While it is
-- open the namespace lives.
--
-- An `"add"` is of what was not there, a `"change"` of something of which more
-- than its counters has changed, a `"delete"` of what was there. What the
-- kernel does not announce comes with the next event of the same object: the
-- alias of a link that is down, the place of a veth's other end. When the
-- kernel dropped events, a `"resync"` tells so, and what follows brings the
-- listener up to date with all links and addresses, as they are then; but for
-- lifetimes of addresses that were changed meanwhile.
--
-- Routes are not remembered, so of these it tells what the kernel tells, of all
-- tables: one may be told twice, and IPv4 routes that go with their link or
-- their address go without a word. After a `"resync"` every route that is there
-- follows as an `"add"`: who keeps routes forgets those he has when it comes.
-- @function netns.monitor_links
-- @param NS
-- @tparam[opt] table opts `existing=true`: first reports what is there, without
-- a gap between that and the watching; `timeout`: seconds
-- @treturn[1] netns.link_monitor
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function watch.monitor_links(NS, opts)
  check.namespace("monitor_links", NS)
  opts = check.options("monitor_links", opts,
    { existing = "boolean", timeout = "seconds" })
  local self = queue.init(setmetatable({
    timeout = opts.timeout, known = { link = {}, addr = {} }, behind = false,
  }, Monitor))
  local ok, message, errno = inside(NS, "monitor_links", function(ns)
    return start(self, ns, opts)
  end)
  if not ok then
    self:close()
    return nil, message, errno
  end
  return self, nil, nil, self -- the last for the generic `for`, which closes it
end

return watch
