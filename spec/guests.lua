-- What the specs of other programs with a Lua inside share: whether they are
-- there, and the library built for their Lua.

local t = require "spec.support"

local guests = {}

-- Where the library is built, in all of it by its full name.
local root = t.must "pwd"

--- Nil if all of these programs are installed, else why a test is pending.
function guests.lacks(...)
  for _, program in ipairs { ... } do
    if select(2, t.sh("command -v %s", program)) ~= 0 then
      return program .. " is not installed (make deps GROUPS=hosts)"
    end
  end
end

--- The version of Lua that a program says it has.
function guests.version(command, pattern)
  local version = t.must(command):match(pattern)
  return version or error(command .. " tells no version of Lua", 2)
end

-- What make test-all or the sanitizers have set is not for this build, and two
-- suites may run at once.
local MAKE = "mkdir -p build && flock build "
  .. "env -u MAKEFLAGS -u MAKEOVERRIDES -u BUILD -u CFLAGS -u LUA "
  .. "make -s -j2 LUA=%s %s"

--- Builds a file of build/LUA for a Lua; its directory, or nil and why not.
function guests.build(lua, file)
  local name = lua == "luajit" and lua or "lua" .. lua
  if select(2, t.sh("pkg-config --exists %s", name)) ~= 0 then
    return nil, ("no headers of %s (make deps GROUPS=hosts)"):format(name)
  end
  t.must(MAKE, lua, ("build/%s/%s"):format(lua, file))
  return ("%s/build/%s"):format(root, lua)
end

--- In front of a command: has a program with this Lua find the library; nil and
-- why not if it cannot be built.
function guests.env(lua)
  local dir, problem = guests.build(lua, "netns.so")
  if not dir then return nil, problem end
  return ("env LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' "
    .. "LUA_CPATH='%s/?.so;;'"):format(root, root, dir)
end

--- As busted's `it`, which is given with its `pending`: with a problem that is
-- why a test is pending.
function guests.it(it, pending, problem)
  return function(title, fn)
    it(title, function()
      if problem then return pending(problem) end
      fn()
    end)
  end
end

return guests
