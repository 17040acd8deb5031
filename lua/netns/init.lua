--- Network namespaces, as `ip netns` has them, in process.
--
-- A call that fails because of the system or of a value returns
-- `nil, message, errno`; one that is wrong as a program raises an error.
-- Wherever a namespace is expected (`NS`), a handle, a name, a path (a string
-- with a slash) or a process id will do. After any call the calling thread is
-- in the network and mount namespace where it was.
--
-- Lua 5.1 to 5.4 and LuaJIT. What `<close>`, and the generic `for`, close by
-- themselves in Lua 5.4 is closed by `:close()` elsewhere. Before Lua 5.3
-- numbers are doubles: an integer of 64 bits (a cookie, a counter) that one
-- cannot hold, beyond 2^53, is then a string of its decimal digits, so that it
-- never becomes equal to another.
-- @module netns

local core = require "netns.load" -- first: it says why there is none

local check = require "netns.check"
local ids = require "netns.ids"
local links = require "netns.links"
local names = require "netns.names"
local ping = require "netns.ping"
local programs = require "netns.programs"
local qdiscs = require "netns.qdiscs"
local rules = require "netns.rules"
local sockets = require "netns.sockets"
local watch = require "netns.watch"

local netns = {
  --- The directory of the names, `/run/netns`.
  run_dir = core.run_dir,

  --- The numbers of the errnos that the library returns itself, and of the
  -- common ones of the kernel: `netns.errno.EEXIST`.
  errno = core.errno,

  printable = core.printable,

  open = core.open,
  current = core.current,
  new = core.new,
  inode = core.inode,
  cookie = core.cookie,

  list = core.list,
  names = core.names,
  identify = core.identify,
  pids = core.pids,
  add = core.add,
  attach = core.attach,
  delete = names.delete,

  set = function(NS, id) return ids.set(nil, NS, id) end,
  id = function(NS) return ids.id(nil, NS) end,
  list_id = function(opts) return ids.list(nil, opts) end,

  call = core.call,
  socket = core.socket,
  sysctl = core.sysctl,
  exec = programs.exec,
  capture = programs.capture,
  spawn = programs.spawn,

  links = links.links,
  link = core.link,
  link_add = links.link_add,
  link_set = core.link_set,
  link_delete = core.link_delete,

  addrs = core.addrs,
  addr_add = core.addr_add,
  addr_delete = core.addr_delete,
  addr_flush = core.addr_flush,

  routes = core.routes,
  route_add = core.route_add,
  route_append = core.route_append,
  route_delete = core.route_delete,
  route_get = core.route_get,

  neighs = core.neighs,
  neigh_add = core.neigh_add,
  neigh_delete = core.neigh_delete,

  rules = core.rules,
  rule_add = rules.rule_add,
  rule_delete = rules.rule_delete,

  qdiscs = core.qdiscs,
  qdisc_add = core.qdisc_add,
  qdisc_set = core.qdisc_set,
  qdisc_delete = core.qdisc_delete,
  classes = qdiscs.classes,
  class_add = core.class_add,
  class_set = core.class_set,
  class_delete = core.class_delete,

  sockets = sockets.sockets,
  wait_listen = sockets.wait_listen,

  wait_link = watch.wait_link,
  wait_addr = watch.wait_addr,
  monitor_links = watch.monitor_links,

  ping = ping.ping,

  monitor = require "netns.monitor",
  all = require "netns.all",

  rootless = require "netns.rootless",
}

-- What a handle can do is about its own namespace; the ids are as it sees them.
local methods = core.methods
methods.exec = programs.exec
methods.capture = programs.capture
methods.spawn = programs.spawn
methods.links = links.links
methods.link_add = links.link_add
methods.classes = qdiscs.classes
methods.rule_add = rules.rule_add
methods.rule_delete = rules.rule_delete
methods.sockets = sockets.sockets
methods.wait_listen = sockets.wait_listen
methods.wait_link = watch.wait_link
methods.wait_addr = watch.wait_addr
methods.monitor_links = watch.monitor_links
methods.ping = ping.ping
methods.set = ids.set
methods.id = ids.id
methods.list_id = ids.list

-- How many arguments they take; `call` takes any number.
local NUMBERS = {
  open = 1, current = 0, new = 0, add = 1, attach = 2, delete = 2, list = 0,
  names = 1, identify = 1, set = 2, id = 1, list_id = 1, monitor = 1,
  rootless = 0, printable = 1,
}
local NUMBERS_OF_BOTH = { -- functions of the module and methods
  inode = 1, cookie = 1, pids = 1, socket = 4, sysctl = 3, exec = 3,
  capture = 3, spawn = 3, links = 2, link = 2, link_add = 2, link_set = 3,
  link_delete = 2, addrs = 2, addr_add = 4, addr_delete = 4, addr_flush = 2,
  routes = 2, route_add = 2, route_append = 2, route_delete = 2, route_get = 3,
  neighs = 2,
  neigh_add = 2, neigh_delete = 2, rules = 2, rule_add = 2, rule_delete = 2,
  qdiscs = 2, qdisc_add = 3, qdisc_set = 3, qdisc_delete = 3, classes = 2,
  class_add = 3, class_set = 3, class_delete = 3, sockets = 2,
  wait_listen = 3, wait_link = 3, wait_addr = 3, monitor_links = 2, ping = 3,
}
local NUMBERS_OF_METHODS = {
  fd = 1, name = 1, names = 1, close = 1, set = 3, id = 2, list_id = 2,
}
check.numbers("", netns, NUMBERS)
check.numbers("", netns, NUMBERS_OF_BOTH)
check.numbers("", methods, NUMBERS_OF_BOTH)
check.numbers("", methods, NUMBERS_OF_METHODS)

core.own() -- errors are those of the first line that is not the library's

return netns
