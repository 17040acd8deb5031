-- Arguments and tables of options, checked the same way everywhere: a wrong
-- type or an unknown key is a mistake in the program, so it raises an error
-- that names the argument or the key, at the line of the program that made it:
-- see raise.c. Tables are read without their metamethods.

local core = require "netns.core"

local check = {}

local function raise(text, ...)
  core.raise(text:format(...))
end

local function wrong(name, what, problem, ...)
  raise("bad argument '%s' to '%s' (%s)", name, what, problem:format(...))
end

-- Types of Lua, of which a message gives the one that it got.
local PLAIN = {
  string = true, table = true, boolean = true, ["function"] = true,
  integer = true, number = true,
}

-- How a message shows a value where `expected` was expected.
local function shown(value, expected)
  if type(value) == "number"
    and (not PLAIN[expected] or expected == "integer") then
    return ("%.14g"):format(value)
  elseif type(value) == "string" and not PLAIN[expected] and #value <= 40 then
    return (("%q"):format(value):gsub("\\\n", "\\n"))
  end
  return type(value)
end

--- Raises an error about an argument, or a key of a table of options.
-- @param what the public function
-- @param name of the argument or key
-- @param expected a type, or a description of it
-- @param value
function check.expected(what, name, expected, value)
  wrong(name, what, "%s expected, got %s", expected, shown(value, expected))
end

--- The same with the problem in words.
function check.problem(what, name, problem, ...)
  wrong(name, what, problem, ...)
end

--- A namespace: a handle that is open, a name, a path or a process id.
function check.namespace(what, value)
  local problem = core.ns_problem(value)
  if problem then wrong("NS", what, "%s", problem) end
end

function check.string(what, name, value)
  if type(value) ~= "string" then
    check.expected(what, name, "string", value)
  end
end

function check.table(what, name, value)
  if type(value) ~= "table" then check.expected(what, name, "table", value) end
end

function check.boolean(what, name, value)
  if type(value) ~= "boolean" then
    check.expected(what, name, "boolean", value)
  end
end

function check.name(what, value)
  check.string(what, "name", value)
end

function check.callable(what, value)
  if not core.callable(value) then
    check.expected(what, "fn", "function", value)
  end
end

-- How many keys a table has; each must be a place in an array.
local function count(what, name, list)
  local n = 0
  for key in next, list do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 then
      core.raise_key(("%s' of '%s"):format(name, what), key, {})
    end
    n = n + 1
  end
  return n
end

--- A string, or a number as one whatever the locale; nil for what is neither.
-- An integral number has no fraction.
function check.text(value)
  if type(value) == "string" then return value end
  if type(value) ~= "number" then return nil end
  if value % 1 == 0 and math.abs(value) < 2 ^ 53 then
    return ("%.0f"):format(value)
  end
  return (tostring(value):gsub(",", "."))
end

--- The command line of a program: a copy, which nobody else changes.
function check.argv(what, argv)
  check.table(what, "argv", argv)
  local copy, n = {}, count(what, "argv", argv)
  if n == 0 then wrong("argv", what, "a program expected") end
  for i = 1, n do
    local value = rawget(argv, i)
    local word = check.text(value)
    if not word then
      wrong("argv", what, "element %d: string or number expected, got %s", i,
        type(value))
    elseif word:find("\0", 1, true) then
      wrong("argv", what, "element %d has a NUL byte", i)
    end
    copy[i] = word
  end
  return copy
end

local function is_seconds(value)
  return type(value) == "number" and value >= 0 -- false for NaN, too
end

--- Seconds to wait, or nil.
function check.seconds(what, value)
  if value ~= nil and not is_seconds(value) then
    check.expected(what, "timeout", "seconds", value)
  end
end

--- Fields that what is listed has to have, or nil.
function check.filter(what, value)
  if value ~= nil then check.table(what, "filter", value) end
end

--- The object that a method was called with: a table with this metatable.
function check.self(what, name, value, class)
  if type(value) ~= "table" or getmetatable(value) ~= class then
    check.expected(what, name, name, value)
  end
end

--- Raises an error if there are more than `most` arguments; nil is none.
local function check_number(what, most, ...)
  for i = most + 1, select("#", ...) do
    if select(i, ...) ~= nil then
      raise("too many arguments to '%s' (at most %d expected, got %d)", what,
        most, select("#", ...))
    end
  end
end

--- Has functions refuse arguments that they do not know.
-- @param prefix what their public names begin with
-- @param functions a table from names to functions
-- @param most a table from some of the names to the number of arguments
function check.numbers(prefix, functions, most)
  for name, number in pairs(most) do
    local fn, what = functions[name], prefix .. name
    core.own(fn)
    functions[name] = function(...)
      if select("#", ...) > number then check_number(what, number, ...) end
      return fn(...)
    end
  end
end

--- Has each method of a class check the object that it is called with, and the
-- number of its arguments. Metamethods are left as they are.
-- @param class whose objects have it as their metatable
-- @param name what messages call such an object
-- @param most a table from the names of the methods to the number of arguments
-- besides the object
function check.methods(class, name, most)
  for what, number in pairs(most) do
    local method = class[what]
    core.own(method)
    class[what] = function(self, ...)
      check.self(what, name, self, class)
      if select("#", ...) > number then check_number(what, number, ...) end
      return method(self, ...)
    end
  end
end

local function is_text(value)
  return type(value) == "string" and not value:find("\0", 1, true)
end

local function is_environment(env)
  if type(env) ~= "table" then return false end
  for name, value in next, env do
    if not is_text(name) or name == "" or name:find("=", 1, true) then
      return false, ("%q is no name of a variable"):format(tostring(name))
    elseif not check.text(value) then
      return false, ("'%s': string or number expected, got %s")
        :format(name, type(value))
    elseif not is_text(check.text(value)) then
      return false, ("'%s' has a NUL byte"):format(name)
    end
  end
  return true
end

local function is_integer(value, min)
  return type(value) == "number" and value % 1 == 0 and value >= min
    and value <= 0x7fffffff
end

-- What a standard stream of a program may be, besides these words.
local function stream(...)
  local words, texts = {}, {}
  for i, word in ipairs { "inherit", "null", ... } do
    words[word], texts[i] = true, ("%q"):format(word)
  end
  texts[#texts + 1] = "file or descriptor"
  return table.concat(texts, ", "), function(value)
    return words[value] or io.type(value) == "file" or is_integer(value, 0)
  end
end

-- What is more than a type of Lua: how it is called, and how it is told.
local kinds = {
  selector = { "pattern or function", function(value)
    return type(value) == "string" or type(value) == "function"
  end },
  seconds = { "seconds", is_seconds },
  link = { "name or index", function(value)
    return type(value) == "string" or is_integer(value, 1)
  end },
  id = { "id", function(value) return is_integer(value, 0) end },
  ["ip family"] = { "\"inet\" or \"inet6\"", function(value)
    return value == "inet" or value == "inet6"
  end },
  count = { "positive integer", function(value)
    return is_integer(value, 1)
  end },
  size = { "non-negative integer", function(value)
    return is_integer(value, 0)
  end },
  path = { "string without NUL", is_text },
  environment = { "table from names to strings", is_environment },
  log = { "boolean or positive integer", function(value)
    return type(value) == "boolean" or type(value) == "number"
      and value % 1 == 0 and value >= 1 and value <= 2^53
  end },
  mounts = { "boolean or \"shared\"", function(value)
    return type(value) == "boolean" or value == "shared"
  end },
  input = { stream() },
  ["input or pipe"] = { stream "pipe" },
  output = { stream() },
  ["output or pipe"] = { stream "pipe" },
  error = { stream "stdout" },
  ["error or pipe"] = { stream("stdout", "pipe") },
}

--- Raises an error if the table has a key that `known`, a table, has not.
function check.keys(what, value, known)
  for key in next, value do
    if known[key] == nil then core.raise_key(what, key, known) end
  end
end

-- Keys of a table of options that cannot both be there.
local function exclusive(what, opts, one, other)
  if opts[one] and opts[other] then
    raise("keys '%s' and '%s' in '%s' exclude each other", one, other, what)
  end
end

--- Returns a copy of `opts`, or an empty table for nil, with every key known to
-- `known`, a table from keys to kinds.
function check.options(what, opts, known)
  if opts == nil then return {} end
  check.table(what, "opts", opts)
  check.keys(what, opts, known)
  local copy = {}
  for key, value in next, opts do
    local kind = known[key]
    local special = kinds[kind]
    if kind == "boolean" and (value == 0 or value == 1) then
      value = value == 1
    end
    local is, problem = type(value) == kind, nil
    if special then is, problem = special[2](value) end
    if problem then
      check.problem(what, key, "%s", problem)
    elseif not is then
      check.expected(what, key, special and special[1] or kind, value)
    end
    copy[key] = value
  end
  exclusive(what, copy, "input", "stdin")
  exclusive(what, copy, "log", "stdout")
  exclusive(what, copy, "log", "stderr")
  return copy
end

return check
