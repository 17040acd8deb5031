--- A lab: a topology that is built, until it is closed.
-- @classmod netns.topology.lab

local build = require "netns.topology.build"
local check = require "netns.check"
local compare = require "netns.topology.compare"
local core = require "netns.core"
local eventually = require "netns.topology.eventually"
local link = require "netns.topology.link"
local names = require "netns.names"
local node = require "netns.topology.node"
local plan = require "netns.topology.plan"
local processes = require "netns.process"
local reach = require "netns.topology.reach"

local lab = {}

local Lab = {}
Lab.__index = Lab
Lab.__name = "netns.lab"

-- What is behind a lab:
--   model   with what was changed since by its links
--   of      the handle of each node of the model, switches too
--   keeper  of its programs, once there is one
--   named   the inodes of the namespaces, by their names
--   tried   whether these were to be taken away once
local INSIDE = {} -- a key that nobody else has

-- Programs --------------------------------------------------------------------

-- Takes a name away that is still one of the lab: true; or nil, message, errno.
-- A file that is no namespace may be what is left of it when that was `tried`
-- before; else it is another's.
local function unname(name, inode, tried)
  local found, message, errno = core.inode(name)
  local leftover = errno == core.errno.EINVAL
  if found == inode or leftover and tried then
    found, message, errno = names.delete(name)
    leftover = false
  end
  if found or leftover or errno == core.errno.ENOENT then return true end
  return nil, message, errno
end

-- The same for all names of the lab.
local function unname_all(inside)
  local ok, message, errno = true, nil, nil
  for name, inode in pairs(inside.named) do
    local fine, why, number = unname(name, inode, inside.tried)
    if fine then
      inside.named[name] = nil
    else
      ok, message, errno = nil, why, number
    end
  end
  inside.tried = true
  return ok, message, errno
end

-- What the keeper of a lab with names does when its starter has ended without
-- closing it: the same. Its arguments are pairs of an inode and a name. Of a
-- name that was just being made or taken away a plain file may be left; a file
-- at which others have mounted something cannot be removed.
local SCRIPT = [[
read -r line
cd "$1" || exit
shift
while [ $# -gt 1 ]; do
  [ "$(stat -L -c %i "$2" 2>/dev/null)" = "$1" ] && umount -l "$2"
  rm -f "$2"
  shift 2
done
]]

local function start_keeper(inside, what)
  local argv = { "sh", "-c", "read -r line" }
  if next(inside.named) then
    argv = { "sh", "-c", SCRIPT, "netns-lab", core.run_dir }
    for name, inode in pairs(inside.named) do
      argv[#argv + 1] = ("%.0f"):format(inode)
      argv[#argv + 1] = name
    end
  end
  local message, errno
  inside.keeper, message, errno = core.keeper(argv, what)
  if not inside.keeper then return nil, message, errno end
  return inside.keeper
end

-- For each program: the keeper is started when the first is.
local function keep_of(inside)
  return function(what)
    if inside.keeper then return inside.keeper end
    return start_keeper(inside, what)
  end
end

-- Returns true; or nil, message, errno. The handles go first, and so leave
-- descriptors for what follows. Then the names: as long as there are any, the
-- keeper is to take them away if this process is killed, and does it now if
-- this process cannot. In a forked child they are the parent's.
local function close(inside)
  for _, ns in pairs(inside.of) do ns:close() end
  local keeper = inside.keeper
  if not keeper or not keeper:ours() then return true end
  local unnamed = unname_all(inside)
  local ok, message, errno =
    processes.end_keeper(keeper, unnamed, "close the lab")
  if not ok then return nil, message, errno end
  return unname_all(inside)
end

-- Building --------------------------------------------------------------------

local function name_all(inside)
  for _, model in ipairs(inside.model.nodes) do
    inside.named[model.name] = inside.of[model]:inode()
  end
  local named = inside.named
  build.try("lab", start_keeper(inside, "build"))
  inside.named = {}
  for _, model in ipairs(inside.model.nodes) do
    build.try(model.place, core.attach(model.name, inside.of[model])):close()
    inside.named[model.name] = named[model.name]
  end
end

local function build_all(inside)
  local keep = keep_of(inside)
  build.namespaces(inside, core.new, function(ns, model)
    return node.make(ns, model, keep)
  end)
  if inside.model.named then name_all(inside) end
  build.network(inside)
end

--- Builds a model: a lab; or nil, message, errno, and nothing is left.
-- @local
function lab.build(model)
  local inside = { model = model, of = {}, named = {} }
  local ok, failure = pcall(build_all, inside)
  if not ok then
    local closed, message = close(inside)
    if type(failure) ~= "table" then error(failure, 0) end
    return nil, ("%s: %s%s"):format(failure.place, failure.message,
      closed and "" or "; " .. message), failure.errno
  end
  local self = { [INSIDE] = inside, nodes = {}, plan = plan.say(model) }
  for _, of in ipairs(model.nodes) do
    self.nodes[of.name] = inside.of[of]
    self[of.name] = inside.of[of]
  end
  return setmetatable(self, Lab)
end

local function open(self, what)
  local inside = self[INSIDE]
  if inside.closed then
    check.problem(what, "lab", "lab is closed")
  end
  return inside
end

--- Takes everything away: programs, names, namespaces, links. Closing twice
-- does no harm.
-- @treturn[1] boolean true
-- @return[2] nil, if a name is left or a program goes on; then it may be closed
-- again
-- @treturn[2] string message
-- @treturn[2] integer errno: of the name; ETIMEDOUT for programs
function Lab:close()
  local inside = self[INSIDE]
  if inside.closed then return true end
  local ok, message, errno = close(inside)
  if not ok then return nil, message, errno end
  inside.closed = true
  return true
end

function Lab:__tostring()
  local inside = self[INSIDE]
  return ("netns.lab (%s)"):format(inside.closed and "closed"
    or ("%d nodes"):format(#inside.model.nodes))
end

-- Working in it ---------------------------------------------------------------

local function name_of(value, name)
  local model = node.model(value)
  if model then return model.name end
  if type(value) == "string" then return value end
  check.expected("link", name, "node or name", value)
end

local function matches(interface, name)
  return interface.node.name == name
    or ("%s:%s"):format(interface.node.name, interface.name) == name
end

--- The link between two nodes; the first, if there are more and no interface is
-- said.
-- @param a a node, its name, or `"client:eth0"`
-- @param b likewise; a switch has a name, too
-- @treturn[1] netns.topology.link
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ENOENT
function Lab:link(a, b)
  local inside = open(self, "link")
  a, b = name_of(a, "a"), name_of(b, "b")
  for _, cable in ipairs(inside.model.cables) do
    local x, y = cable.ends[1], cable.ends[2]
    if matches(x, a) and matches(y, b) or matches(x, b) and matches(y, a) then
      return link.of(inside, cable)
    end
  end
  return nil, ("link: there is none between %s and %s"):format(a, b),
    core.errno.ENOENT
end

local REACH = { family = "ip family", count = "count", timeout = "seconds" }

--- Who reaches whom, by echo requests from each host and router to each other,
-- over every family of which both have an address, and to every address of a
-- node until one answers. The neighbours that it brings are forgotten if there
-- are many; others stay.
-- @tparam[opt] table opts `family`: `"inet"` or `"inet6"`, this one alone;
-- `timeout`: seconds to wait for those that do not answer (1); `count`: how
-- many times each address is asked at most, 0.2 seconds apart, by default as
-- many as there is time for
-- @treturn[1] table from the name of each to a table from the name of each
-- other to the seconds of the round trip, or false if no address answers; its
-- text is a matrix. Besides it has, though not for `pairs`, `ok`, true if each
-- reaches each other over each of these families, and `failures`, an array of
-- `{ from=, to=, family=, message=, errno= }`: ETIMEDOUT if there is no reply,
-- EADDRNOTAVAIL (without `family`) if there is no address to ask
-- @return[2] nil if something could not be asked: without CAP_NET_RAW, say, or
-- for want of descriptors
-- @treturn[2] string message
-- @treturn[2] integer errno
function Lab:reach(opts)
  local inside = open(self, "reach")
  return reach(inside, check.options("reach", opts, REACH))
end

local SHOWN = 10 -- of the failures in a message

--- Whether each reaches each other, for `assert`.
-- @tparam[opt] table opts those of @{lab:reach}
-- @treturn[1] boolean true
-- @return[2] nil
-- @treturn[2] string message, with the failures of @{lab:reach}
-- @treturn[2] integer errno of the first of them
function Lab:reaches(opts)
  local inside = open(self, "reaches")
  opts = check.options("reaches", opts, REACH)
  local matrix, message, errno = reach(inside, opts)
  if not matrix then return nil, message, errno end
  local result = getmetatable(matrix).__index -- a node may be called "ok"
  if result.ok then return true end
  local texts = {}
  for i, failure in ipairs(result.failures) do
    if i <= SHOWN then texts[i] = failure.message end
  end
  local more = #result.failures - #texts
  if more > 0 then texts[#texts + 1] = ("and %d more"):format(more) end
  return nil, table.concat(texts, "; "), result.failures[1].errno
end

--- What is there against what was asked for, by the description and by changes
-- of links since.
-- @treturn[1] {string,...} a difference each, with its place; empty if there is
-- none
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function Lab:diff()
  return compare.diff(open(self, "diff"))
end

--- Tries a function until it returns something true, woken by changes of links,
-- addresses and routes in any of the nodes, and twenty times a second.
-- @tparam function fn
-- @tparam[opt=5] number timeout seconds
-- @return[1] what `fn` returned
-- @return[2] nil
-- @treturn[2] string message, with what `fn` said last after nil or false
-- @treturn[2] integer errno: ETIMEDOUT
function Lab:eventually(fn, timeout)
  local inside = open(self, "eventually")
  check.callable("eventually", fn)
  check.seconds("eventually", timeout)
  local handles = {}
  for _, ns in pairs(inside.of) do handles[#handles + 1] = ns end
  return eventually(handles, fn, timeout or 5)
end

Lab.__close = Lab.close

check.methods(Lab, "lab", {
  close = 0, link = 2, reach = 1, diff = 0, eventually = 2,
})

return lab
