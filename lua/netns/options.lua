-- Tables of options, checked the same way everywhere: an unknown key or a wrong
-- type is a mistake in the program, so it raises an error that names the key.

local options = {}

local function problem(what, key, expected, value)
  -- level 4: the caller of the public function
  error(("bad option '%s' to '%s' (%s expected, got %s)")
    :format(key, what, expected, type(value)), 4)
end

-- What is more than a type of Lua: how it is called, and how it is told.
local checks = {
  ["pattern or function"] = function(value)
    return type(value) == "string" or type(value) == "function"
  end,
  seconds = function(value) return type(value) == "number" and value >= 0 end,
  id = function(value)
    return type(value) == "number" and value % 1 == 0 and value >= 0
      and value <= 0x7fffffff
  end,
}

--- Returns `opts`, or an empty table for nil, with every key known to `known`,
-- a table from keys to kinds.
function options.check(what, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then
    error(("bad options to '%s' (table expected, got %s)")
      :format(what, type(opts)), 3)
  end
  for key, value in pairs(opts) do
    local kind = known[key]
    if kind == nil then
      error(("unknown option '%s' to '%s'"):format(tostring(key), what), 3)
    end
    local check = checks[kind]
    if check and not check(value) or not check and type(value) ~= kind then
      problem(what, key, kind, value)
    end
  end
  return opts
end

return options
