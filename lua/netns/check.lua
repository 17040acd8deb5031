-- Arguments and tables of options, checked the same way everywhere: a wrong
-- type or an unknown key is a mistake in the program, so it raises an error
-- that names the argument or the key, at the caller of the public function.

local core = require "netns.core"

local check = {}

local LEVEL = 4 -- raise, the check, the public function, its caller

local function raise(text, ...)
  error(text:format(...), LEVEL)
end

local function wrong(name, what, problem, ...)
  error(("bad argument '%s' to '%s' (%s)")
    :format(name, what, problem:format(...)), LEVEL)
end

--- A namespace: a handle that is open, a name, a path or a process id.
function check.namespace(what, value)
  local problem = core.ns_problem(value)
  if problem then wrong("NS", what, "%s", problem) end
end

function check.name(what, value)
  if type(value) ~= "string" then
    wrong("name", what, "string expected, got %s", type(value))
  end
end

function check.callable(what, value)
  if not core.callable(value) then
    wrong("fn", what, "function expected, got %s", type(value))
  end
end

--- The command line of a program: a copy, which nobody else changes.
function check.argv(what, argv)
  if type(argv) ~= "table" then
    wrong("argv", what, "table expected, got %s", type(argv))
  elseif #argv == 0 then
    wrong("argv", what, "a program expected")
  end
  local copy = {}
  for i = 1, #argv do
    local word = argv[i]
    if type(word) ~= "string" then
      wrong("argv", what, "element %d: string expected, got %s", i, type(word))
    elseif word:find("\0", 1, true) then
      wrong("argv", what, "element %d has a NUL byte", i)
    end
    copy[i] = word
  end
  return copy
end

function check.seconds(what, value)
  if type(value) ~= "number" or value ~= value or value < 0 then
    wrong("timeout", what, "seconds expected, got %s", type(value))
  end
end

--- Fields that what is listed has to have, or nil.
function check.filter(what, value)
  if value ~= nil and type(value) ~= "table" then
    wrong("filter", what, "table expected, got %s", type(value))
  end
end

local function is_text(value)
  return type(value) == "string" and not value:find("\0", 1, true)
end

local function is_environment(env)
  if type(env) ~= "table" then return false end
  for name, value in pairs(env) do
    if not is_text(name) or name == "" or name:find("=", 1, true)
      or not (is_text(value) or type(value) == "number") then
      return false
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
  seconds = { "seconds", function(value)
    return type(value) == "number" and value >= 0
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

--- Returns a copy of `opts`, or an empty table for nil, with every key known to
-- `known`, a table from keys to kinds.
function check.options(what, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then
    wrong("opts", what, "table expected, got %s", type(opts))
  end
  local copy = {}
  for key, value in pairs(opts) do
    local kind = known[key]
    if kind == nil then
      raise("unknown option '%s' to '%s'", tostring(key), what)
    end
    local special = kinds[kind]
    local is = special and special[2](value) or type(value) == kind
    if not is then
      raise("bad option '%s' to '%s' (%s expected, got %s)", key, what,
        special and special[1] or kind,
        type(value) == "string" and ("%q"):format(value) or type(value))
    end
    copy[key] = value
  end
  if opts.input and opts.stdin then
    raise("options 'input' and 'stdin' to '%s' exclude each other", what)
  end
  if opts.log and (opts.stdout or opts.stderr) then
    raise("options 'log' and 'stdout' or 'stderr' to '%s' exclude each other",
      what)
  end
  return copy
end

return check
