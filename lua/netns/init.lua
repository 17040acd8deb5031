--- Network namespaces, as `ip netns` has them, in process.
--
-- A call that fails because of the system or of a value returns
-- `nil, message, errno`; one that is wrong as a program raises an error.
-- Wherever a namespace is expected (`NS`), a handle, a name, a path (a string
-- with a slash) or a process id will do. After any call the calling thread is
-- in the network and mount namespace where it was.
-- @module netns

local core = require "netns.core"
local ids = require "netns.ids"
local names = require "netns.names"
local programs = require "netns.programs"

local netns = {
  --- The directory of the names, `/run/netns`.
  run_dir = core.run_dir,

  --- The numbers of the errnos that the library returns itself, and of the
  -- common ones of the kernel: `netns.errno.EEXIST`.
  errno = core.errno,

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

  monitor = require "netns.monitor",
  all = require "netns.all",
}

-- What a handle can do is about its own namespace; the ids are as it sees them.
local methods = core.methods
methods.exec = programs.exec
methods.capture = programs.capture
methods.spawn = programs.spawn
methods.set = ids.set
methods.id = ids.id
methods.list_id = ids.list

return netns
