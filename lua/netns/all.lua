--- Every name at once: `ip -all netns …`. What fails for one name does not stop
-- the rest. The results are an array in the order of the names, a table each,
-- with `name`, `ok`, and if it failed `message`, and `errno` unless a program
-- has failed. The option `only`, a pattern or a function, selects names.
-- @module netns.all

local check = require "netns.check"
local core = require "netns.core"
local ids = require "netns.ids"
local names = require "netns.names"
local processes = require "netns.process"
local programs = require "netns.programs"

local all = {}

local function selected(only, name)
  if only == nil then return true end
  if type(only) == "function" then return only(name) end
  return name:find(only) ~= nil
end

-- Calls fn(name, result) for every selected name. It returns whether all went
-- well, and if not a message and an errno; it may add to the result.
local function each(only, fn)
  local list, err, number = core.names()
  if not list then return nil, err, number end
  local results = {}
  for _, name in ipairs(list) do
    if selected(only, name) then
      local result = { name = name }
      local ok, message, errno = fn(name, result)
      result.ok = ok and true or false
      if not ok then result.message, result.errno = message, errno end
      results[#results + 1] = result
    end
  end
  return results
end

-- Starts a program for every selected name, `jobs` at a time: start(name) gives
-- a process, and finish(process, result) takes its results. An error in
-- between, as Ctrl-C raises it, ends all that run.
local function run(opts, start, finish)
  local list, err, number = core.names()
  if not list then return nil, err, number end
  local results, running, of = {}, {}, {}
  local function reap()
    local process = table.remove(running, processes.first(running))
    finish(process, of[process])
    processes.release(process)
  end
  local function launch(name)
    if #running == (opts.jobs or 1) then reap() end
    local result = { name = name, ok = false }
    results[#results + 1] = result
    local process, message, errno = start(name)
    if process then
      of[process] = result
      running[#running + 1] = process
    else
      result.message, result.errno = message, errno
    end
  end
  local ok, problem = pcall(function()
    for _, name in ipairs(list) do
      if selected(opts.only, name) then launch(name) end
    end
    while running[1] do reap() end
  end)
  if not ok then
    processes.finish(running)
    error(problem, 0)
  end
  return results
end

-- How a program has ended, into its result.
local function note_end(outcome, result)
  for key, value in pairs(outcome) do result[key] = value end
end

-- The options of a program in one namespace, and those of all of them.
local function with(options, more)
  for key, kind in pairs(options) do more[key] = kind end
  more.only, more.jobs = "selector", "count"
  return more
end

local EXEC = with(programs.EXEC, { quiet = "boolean" })

--- Runs a program in every namespace: `ip -all netns exec CMD …`.
-- @function exec
-- @tparam {string,...} argv
-- @tparam[opt] table opts `only`; `jobs`: how many may run at once, by default
-- 1; `quiet=true`: does not print `netns: NAME` before each; and those of
-- @{netns.exec}
-- @treturn[1] {table,...} results, with `how` and `code` of the programs that
-- could be started
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function all.exec(argv, opts)
  argv = check.argv("all.exec", argv)
  opts = check.options("all.exec", opts, EXEC)
  local job = programs.job(argv, opts)
  local quiet = opts.quiet or (job.stdout or "inherit") ~= "inherit"
  return run(opts, function(name)
    if not quiet then
      io.stdout:write("\nnetns: ", core.printable(name), "\n")
      io.stdout:flush()
    end
    return processes.start("exec", name, job)
  end, function(process, result)
    note_end(processes.outcome(process), result)
  end)
end

local CAPTURE = with(programs.CAPTURE, {})

--- Runs a program in every namespace, and keeps what each has written.
-- @function capture
-- @tparam {string,...} argv
-- @tparam[opt] table opts `only`; `jobs`: how many may run at once, by default
-- 1; and those of @{netns.capture}
-- @treturn[1] {table,...} results, with `how` and `code` of the programs that
-- could be started, and their `stdout` and `stderr`
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function all.capture(argv, opts)
  argv = check.argv("all.capture", argv)
  opts = check.options("all.capture", opts, CAPTURE)
  local job = programs.capture_job(argv, opts)
  return run(opts, function(name)
    return processes.start("capture", name, job)
  end, function(process, result)
    note_end(programs.collect(process, job, result, opts.check), result)
  end)
end

local CALL = { only = "selector" }

--- Runs a function inside every namespace, with a handle as its argument that
-- is closed when it returns. An error in it is a failure of that name.
-- @function call
-- @tparam function fn
-- @tparam[opt] table opts `only`
-- @treturn[1] {table,...} results, with what `fn` returned at 1 to `n`
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function all.call(fn, opts)
  check.callable("all.call", fn)
  opts = check.options("all.call", opts, CALL)
  return each(opts.only, function(name, result)
    local NS, err, number = core.open(name)
    if not NS then return nil, err, number end
    local function finish(ok, ...)
      NS:close()
      if ok == nil then return nil, ... end -- the namespace was not entered
      if not ok then return nil, ... == nil and "nil" or (...) end
      result.n = select("#", ...)
      for i = 1, result.n do result[i] = (select(i, ...)) end
      return true
    end
    -- protected inside: an error of `call` itself, that the thread could not
    -- be brought back, must not be taken for one of the function's
    return finish(NS:call(pcall, fn, NS))
  end)
end

local DELETE = {
  only = "selector", kill = "boolean", wait = "seconds",
}

--- Takes all names away: `ip -all netns delete`.
-- @function delete
-- @tparam[opt] table opts `only`; `kill` and `wait` as for @{netns.delete}
-- @treturn[1] {table,...} results
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function all.delete(opts)
  opts = check.options("all.delete", opts, DELETE)
  return each(opts.only, function(name)
    return names.delete(name, { kill = opts.kill, wait = opts.wait })
  end)
end

--- Gives an id, of the kernel's choice, to every namespace that has none.
-- @function set
-- @tparam string id `"auto"`
-- @tparam[opt] table opts `only`
-- @treturn[1] {table,...} results, with `id`
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function all.set(id, opts)
  if id ~= "auto" then
    check.expected("all.set", "id", "\"auto\"", id)
  end
  opts = check.options("all.set", opts, CALL)
  return each(opts.only, function(name, result)
    local message, errno
    result.id, message, errno = ids.id(nil, name)
    if errno == core.errno.ENODATA then
      result.id, message, errno = ids.set(nil, name, "auto")
    end
    return result.id, message, errno
  end)
end

all.pids = core.all_pids -- documented where it is made

check.numbers("all.", all, {
  exec = 2, capture = 2, call = 2, delete = 1, set = 2, pids = 0,
})

return all
