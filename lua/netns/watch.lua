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

-- self.known.link   index -> link, as it was reported last
-- self.known.addr   key -> address
-- self.known.route  key -> text -> route: those that were reported; the kernel
--                   may have removed some without a word
-- self.behind       true if events were lost, and the objects that there are
--                   were not yet compared with those that are known

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

-- Notes how an object is.
local function note(self, what, object, except)
  local known, key = self.known[what], key_of(what, object)
  local before = known[key]
  known[key] = object
  if not before then
    emit(self, "add", what, object)
  elseif not equal(before, object, except) then
    emit(self, "change", what, object)
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

-- The kernel names the link of an address or a route by its index. Gives an
-- object the name that the link has in `links`, else now, and leaves the index
-- if there is none: true, or nil, message, errno if that is not known.
local function name_link(self, object, links)
  local index = object.link
  if type(index) ~= "number" then return true end
  local link, message, errno = links[index]
  if not link then
    link, message, errno = core.net_look(self.query, index)
    if link == nil then return nil, message, errno end
  end
  if link then object.link = link.name end
  return true
end

-- The text of a value but for what changes without an event: of equal routes it
-- is equal.
local CHANGING = { dead = true, linkdown = true, expires = true }

local function text_of(value)
  if type(value) ~= "table" then return tostring(value) end
  local texts = {}
  for key, field in pairs(value) do
    if not CHANGING[key] then
      texts[#texts + 1] = tostring(key) .. "=" .. text_of(field)
    end
  end
  table.sort(texts)
  return "{" .. table.concat(texts, " ") .. "}"
end

-- What the routes that take each other's place have in common.
local function place_of(route)
  return ("%s %s %s %s %s %s"):format(route.family, route.table, route.to,
    route.from or "", route.tos or "", route.metric or "")
end

-- The place and the text of a route as the kernel sends it, which stay when
-- links get other names; then it gets those.
local function take_route(self, route, links)
  local place, text = place_of(route), text_of(route)
  if type(route.link) == "number" then route.index = route.link end
  local ok, message, errno = name_link(self, route, links)
  for _, hop in ipairs(route.nexthops or {}) do
    if ok then ok, message, errno = name_link(self, hop, links) end
  end
  if not ok then return nil, message, errno end
  return place, text
end

-- Remembers what an event means for the routes in one place.
local function note_route(self, action, route, place, text)
  local known = self.known.route
  local there = known[place] or {}
  if action == "delete" then
    there[text] = nil
  elseif action == "change" then
    there = { [text] = route } -- which of several it replaces is not known
  else
    there[text] = route
  end
  known[place] = next(there) and there
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Reports the routes that are not there any more. What is left in their place
-- is forgotten, too, so that it is reported after it: a listener may know of
-- one route in a place only.
local function forget_missing_routes(self, there)
  local known = self.known.route
  for _, place in ipairs(sorted_keys(known)) do
    local now, gone = there[place] or {}, false
    for _, text in ipairs(sorted_keys(known[place])) do
      if not now[text] then
        gone = true
        emit(self, "delete", "route", known[place][text])
      end
    end
    if gone then known[place] = nil end
  end
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

-- Gives what is listed the names of the links that are listed. The routes are
-- returned by their places and texts, and in the order of the kernel.
local function name_links(self, lists)
  local links, order, places = {}, {}, {}
  for _, link in ipairs(lists.link) do links[link.index] = link end
  for _, addr in ipairs(lists.addr) do
    local ok, message, errno = name_link(self, addr, links)
    if not ok then return nil, message, errno end
  end
  for i, route in ipairs(lists.route or {}) do
    local place, text, errno = take_route(self, route, links)
    if not place then return nil, text, errno end
    places[place] = places[place] or {}
    places[place][text] = route
    order[i] = { place = place, text = text, route = route }
  end
  return places, order
end

-- Reports how the objects that there are differ from those that are known: a
-- route goes before its address, that before its link, and they come after it.
local function compare(self, lists)
  local places, order, errno = name_links(self, lists)
  if not places then return nil, order, errno end
  if lists.route then forget_missing_routes(self, places) end
  forget_missing(self, "addr", lists.addr)
  forget_missing(self, "link", lists.link)
  for _, link in ipairs(lists.link) do note(self, "link", link, RUNNING) end
  for _, addr in ipairs(lists.addr) do note(self, "addr", addr, RUNNING) end
  for _, it in ipairs(order) do
    local there = self.known.route[it.place]
    if not (there and there[it.text]) then
      emit(self, "add", "route", it.route)
      note_route(self, "add", it.route, it.place, it.text)
    end
  end
  return true
end

-- The first end of a veth is told before it has another, and then no more. The
-- kernel answers when it has.
local function complete(self, object)
  if object.peer_index ~= 0 then return object end
  local link, message, errno = core.net_look(self.query, object.index)
  if link == nil then return nil, message, errno end
  return link or object
end

-- Whether a value, or one in a table, is this name.
local function mentions(value, name)
  if type(value) ~= "table" then return value == name end
  for _, field in pairs(value) do
    if mentions(field, name) then return true end
  end
  return false
end

-- Reports how a link is now, unless it has gone.
local function look_at(self, index)
  local link, message, errno = core.net_look(self.query, index)
  if link == nil then return nil, message, errno end
  if link then note(self, "link", link, COUNTERS) end
  return true
end

-- When a link has another name the kernel does not tell of all that name it:
-- its addresses, and links on it.
local function spread_name(self, link, old)
  for _, index in ipairs(sorted_keys(self.known.link)) do
    if index ~= link.index and mentions(self.known.link[index], old) then
      local ok, message, errno = look_at(self, index)
      if not ok then return nil, message, errno end
    end
  end
  for _, key in ipairs(sorted_keys(self.known.addr)) do
    local addr = self.known.addr[key]
    if addr.index == link.index then
      local renamed = {}
      for name, value in pairs(addr) do renamed[name] = value end
      renamed.link = link.name
      note(self, "addr", renamed, COUNTERS)
    end
  end
  return true
end

-- Makes out what an event of a link means.
local function apply_link(self, action, link)
  if action == "look" then return look_at(self, link.index) end
  if action == "delete" then
    forget(self, "link", link.index)
    return true
  end
  -- of what has gone by now there is only the index, but its name is known here
  local other = self.known.link[link.link]
  if other then link.link = other.name end
  local before = self.known.link[link.index]
  local whole, message, errno = complete(self, link)
  if not whole then return nil, message, errno end
  note(self, "link", whole, COUNTERS)
  if before and before.name ~= whole.name then
    return spread_name(self, whole, before.name)
  end
  return true
end

-- The same of any event.
local function apply(self, action, what, object)
  if what == "link" then return apply_link(self, action, object) end
  if what == "route" then
    local place, text, errno = take_route(self, object, self.known.link)
    if not place then return nil, text, errno end
    note_route(self, action, object, place, text)
    emit(self, action, what, object)
    return true
  end
  local ok, message, errno = name_link(self, object, self.known.link)
  if not ok then return nil, message, errno end
  if action == "delete" then
    forget(self, what, key_of(what, object))
  else
    note(self, what, object, COUNTERS)
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
  emit(self, "resync")
  local ok
  ok, message, errno = compare(self, lists)
  if not ok then return nil, message, errno end
  self.behind = false
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
  ok, message, errno = compare(self, lists)
  if not ok then return nil, message, errno end
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
-- listener up to date with all objects, as they are then; but for lifetimes of
-- addresses that were changed meanwhile.
--
-- Events of routes, of all tables, are those of the kernel: one may come twice,
-- and the kernel removes IPv4 routes with their link or their address without a
-- word. After a `"resync"` those that have gone are reported as `"delete"`, and
-- those that were not reported yet as `"add"`. The `link` of a route has the
-- name that it had at the time of the event; its `index` stays the same.
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
    timeout = opts.timeout, known = { link = {}, addr = {}, route = {} },
    behind = false,
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
