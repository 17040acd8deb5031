--- Programs in a namespace.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"
local log = require "netns.log"
local processes = require "netns.process"

local programs = {}

-- The options of each way to start a program, and their kinds.
local function known(more)
  more.env, more.cwd, more.detach = "environment", "path", "boolean"
  more.mounts, more.timeout = "mounts", "seconds"
  return more
end

--- The options of `exec` and `capture`, for those that build on them.
-- @local
programs.EXEC = known {
  stdin = "input", stdout = "output", stderr = "error", input = "string",
  check = "boolean",
}
--- @local
programs.CAPTURE = known {
  stdin = "input", stdout = "output or pipe", stderr = "error or pipe",
  input = "string", check = "boolean",
}

local SPAWN = known {
  stdin = "input or pipe", stdout = "output or pipe", stderr = "error or pipe",
  log = "log",
}

-- The environment as execve(2) wants it, in a certain order.
local function environment(env)
  if not env then return nil end
  local list = {}
  for name, value in pairs(env) do
    list[#list + 1] = name .. "=" .. check.text(value)
  end
  table.sort(list)
  return list
end

--- What core.spawn wants, made of checked arguments; nobody else changes it.
-- @local
function programs.job(argv, opts)
  local mounts = opts.mounts
  if mounts ~= "shared" then mounts = mounts ~= false and "own" or nil end
  return {
    argv = argv, env = environment(opts.env),
    path = opts.env and check.text(opts.env.PATH),
    cwd = opts.cwd, mounts = mounts, detach = opts.detach,
    stdin = opts.input and "pipe" or opts.stdin,
    stdout = opts.stdout, stderr = opts.stderr,
    input = opts.input, timeout = opts.timeout,
    foreground = not opts.timeout,
  }
end

--- The same for a program whose output is wanted.
-- @local
function programs.capture_job(argv, opts)
  local job = programs.job(argv, opts)
  job.stdout = job.stdout or "pipe"
  job.stderr = job.stderr or "pipe"
  return job
end

local LINES, BYTES = 10, 1000 -- of what a program has written, in a message

-- The last lines of a text that are not empty, with what separates them from a
-- message before.
local function last_lines(text)
  local lines = {}
  for line in text:sub(-BYTES):gmatch "[^\n]*%S" do lines[#lines + 1] = line end
  if #text > BYTES and lines[2] then table.remove(lines, 1) end -- not whole
  local from = math.max(#lines - LINES + 1, 1)
  if not lines[1] then return "" end
  return (lines[from + 1] and ":\n" or ": ")
    .. table.concat(lines, "\n", from)
end

--- Notes in a table what a program has written, and how it has ended, which it
-- returns as processes.outcome does. With `check` the message of a failure ends
-- with the last lines of its stderr.
-- @local
function programs.collect(process, job, result, check_it)
  local outcome = processes.outcome(process)
  if job.stdout == "pipe" then result.stdout = process.child:output(1) end
  if job.stderr == "pipe" then result.stderr = process.child:output(2) end
  result.ok, result.how, result.code = outcome.ok, outcome.how, outcome.code
  if check_it and not outcome.ok then
    local errors = job.stderr == "stdout" and result.stdout or result.stderr
    outcome.message = outcome.message .. last_lines(errors or "")
  end
  return outcome
end

--- Runs a program in a namespace and waits for it: `ip netns exec NAME CMD …`.
-- It gets a mount namespace of its own with a `/sys` that shows the namespace,
-- and the files of `/etc/netns/NAME/` bound over those of `/etc`. It does not
-- outlive the process that started it.
-- @function exec
-- @param NS
-- @tparam {string,...} argv the program, looked up in `PATH`, and its arguments
-- @tparam[opt] table opts
--
-- - `env`: table from names to values that replaces the environment; a `PATH`
--   in it is where the program is looked up
-- - `cwd`: the directory to change to
-- - `stdin`, `stdout`, `stderr`: `"inherit"`, `"null"`, a Lua file, or a
--   descriptor, an integer; `stderr="stdout"`
-- - `input`: a string to feed to it
-- - `timeout`: seconds, after which all of its process group is ended: by
--   TERM, and a second later KILL
-- - `mounts`: `false` for the network namespace alone; `"shared"` for a copy of
--   mounts that are made once a handle, which does not slow down with the
--   number of names
-- - `detach=true`: it may outlive this process
-- - `check`: a boolean, see @{capture}; `exec` fails with and without it
-- @treturn[1] boolean true if it exited with 0
-- @treturn[1] string `exit`
-- @treturn[1] integer 0
-- @return[2] nil if it failed
-- @treturn[2] string message: `exec "vpn": nft: exited with status 1`, or
-- `killed by SIGKILL`
-- @treturn[2] string `exit` or `signal`
-- @treturn[2] integer the exit status, or the number of the signal
-- @return[3] nil if it could not be started, ran out of time, or its end is not
-- known
-- @treturn[3] string message, which names the step that failed
-- @treturn[3] integer errno; ETIMEDOUT if its time was up
function programs.exec(NS, argv, opts)
  check.namespace("exec", NS)
  argv = check.argv("exec", argv)
  opts = check.options("exec", opts, programs.EXEC)
  local process, message, errno =
    processes.start("exec", NS, programs.job(argv, opts))
  if not process then return nil, message, errno end
  processes.run(process)
  local outcome = processes.outcome(process)
  processes.release(process)
  return processes.results(outcome)
end

--- Runs a program in a namespace, and keeps what it writes.
-- @function capture
-- @param NS
-- @tparam {string,...} argv
-- @tparam[opt] table opts as for @{exec}; `stdout` and `stderr` are `"pipe"`
-- by default; with `check=true` a program that failed is a failure of `capture`
-- @treturn[1] table `{ ok=, how=, code=, stdout=, stderr= }`: `ok` is true if
-- the program exited with 0, else false; `how` is `exit`, `signal`, or
-- `timeout` if its time was up; `code` is the exit status or the number of the
-- signal, nil after `timeout`; and what was written
-- @return[2] nil with `check`, if it failed
-- @treturn[2] string message as of @{exec}, and the last lines of stderr
-- @treturn[2] string|integer `exit` or `signal`; ETIMEDOUT if its time was up
-- @treturn[2] integer|nil the exit status, or the number of the signal
-- @treturn[2] table as without `check`
-- @return[3] nil if it could not be started, its end is not known, or a part of
-- what it wrote is lost
-- @treturn[3] string message
-- @treturn[3] integer errno
function programs.capture(NS, argv, opts)
  check.namespace("capture", NS)
  argv = check.argv("capture", argv)
  opts = check.options("capture", opts, programs.CAPTURE)
  local job = programs.capture_job(argv, opts)
  local process, message, errno = processes.start("capture", NS, job)
  if not process then return nil, message, errno end
  processes.run(process)
  local result = {}
  local outcome = programs.collect(process, job, result, opts.check)
  processes.release(process)
  if outcome.ok or outcome.how and not opts.check then return result end
  local _, how, code
  _, message, how, code = processes.results(outcome)
  return nil, message, how, code, result
end

--- Starts a program in a namespace, and does not wait for it.
-- @function spawn
-- @param NS
-- @tparam {string,...} argv
-- @tparam[opt] table opts as for @{exec}, but no `input`; the streams may be
-- `"pipe"`, too; `log` keeps what it writes to stdout and stderr in memory, for
-- its methods `log` and `wait_log`: `true` all of it, a number the last so many
-- bytes. What is older is given back whenever the library starts a program or
-- waits for one, or is asked for the log
-- @treturn[1] netns.process which has `pid`, and `stdin`, `stdout`, `stderr`
-- for the streams that are pipes: Lua files
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function programs.spawn(NS, argv, opts)
  check.namespace("spawn", NS)
  argv = check.argv("spawn", argv)
  opts = check.options("spawn", opts, SPAWN)
  local job = programs.job(argv, opts)
  job.foreground = false
  local message, errno
  if opts.log then
    job.log, message, errno = log.new("spawn " .. core.label(NS),
      opts.log ~= true and opts.log or nil)
    if not job.log then return nil, message, errno end
    job.stdout, job.stderr = job.log:writer(), "stdout"
  end
  local process
  process, message, errno = processes.start("spawn", NS, job)
  if job.log then job.log:started() end
  if not process then
    if job.log then job.log:close() end
    return nil, message, errno
  end
  return processes.open_streams(process, job)
end

return programs
