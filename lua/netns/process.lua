--- A program that runs, or has run, in a namespace: what @{netns.spawn} gives.
-- @classmod netns.process

local check = require "netns.check"
local core = require "netns.core"
local log = require "netns.log"
local signals = require "netns.signals"

local Process = {} -- what the user has
Process.__index = Process

local processes = {} -- what the rest of the library does with them

-- Seconds that a program has for its own end, between TERM and KILL; and then
-- the kernel, which does not end one that waits for a device, say.
local GRACE, PATIENCE = 1, 10

local MAX_SIGNAL = 64

-- What core.spawn gives, until it is closed, with the job it was started by,
-- to whose input it points. It is held here because a collection that finds an
-- object dropped would finalize its child too, and with it what ties the
-- program to this process.
local held = {}

-- The keepers of those that have one. It is not held: the end of a lab that
-- nobody has any more is that of its keeper, and so of its programs.
local keepers = setmetatable({}, { __mode = "kv" })

-- Those whose object was dropped while they ran, to be reaped in time. First
-- they are noted in a set, since a collection may come between any two steps of
-- what is done with the array.
local dropped, abandoned = {}, {}

local function release(child)
  held[child] = nil
  child:close()
end

-- Lets a program, or what is left of its group, live on.
local function leave(child)
  if child:running() then
    dropped[child] = true
  else
    child:cut()
    release(child)
  end
end

local function abandon(self)
  local child = self.child
  self.child = nil
  if child then leave(child) end
end

local function sweep()
  log.trim()
  local child = next(dropped)
  while child do
    dropped[child] = nil
    abandoned[#abandoned + 1] = child
    child = next(dropped)
  end
  while abandoned[1] do
    local i = core.await(abandoned, 0)
    if not i then return end
    leave(table.remove(abandoned, i))
  end
end

-- What messages about it begin with.
local function title(self)
  return ("%s %s: %s"):format(self.what, self.label,
    core.printable(self.program))
end

-- Ends the whole process group: first so that it may clean up, then for good.
local function press(self)
  local signal = self.pressed and "KILL" or "TERM"
  self.child:doom(core.signals[signal])
  self.deadline = core.now() + (self.pressed and PATIENCE or GRACE)
  self.pressed, self.stuck = signal, nil
end

-- Its time is up, unless it has ended and only its output is waited for.
local function expire(self)
  if not self.child:running() then
    self.deadline = nil
  elseif self.pressed == "KILL" then
    self.deadline, self.stuck = nil, true
  else
    self.overdue = self.overdue or not self.pressed
    press(self)
  end
end

-- Whether it is over as far as anybody can do something for it.
local function is_stuck(self)
  return self.stuck and self.child:running()
end

--- Waits until one of the processes is over, ending those whose time is up. One
-- that KILL does not end counts as over after a while.
-- @param list
-- @param limit when to stop waiting, a time of core.now()
-- @param keys whether the terminal's keys are for the program, see await.c
-- @return its place in the array; nil if that is not so at the time `limit`
-- @local
function processes.first(list, limit, keys)
  local children = {}
  for i, process in ipairs(list) do children[i] = process.child end
  while true do
    local deadline = limit or math.huge
    for _, process in ipairs(list) do
      deadline = is_stuck(process) and 0
        or math.min(deadline, process.deadline or math.huge)
    end
    local left = deadline < math.huge and math.max(deadline - core.now(), 0)
    local i = core.await(children, left or nil, keys)
    log.trim()
    if i then return i end
    local now = core.now()
    if limit and limit <= now then return nil end
    for place, process in ipairs(list) do
      if process.deadline and process.deadline <= now then expire(process) end
      if is_stuck(process) then return place end
    end
  end
end

-- One that KILL has not ended, as a result.
local function stuck(self)
  return { ok = false, how = "timeout", errno = core.errno.ETIMEDOUT,
    message = ("%s: SIGKILL does not end it"):format(title(self)) }
end

--- Ends all of these processes at once, waits for it, and closes them: true; or
-- nil, message, errno, if one does not end.
-- @local
function processes.finish(list)
  local rest, left = {}, nil
  for _, process in ipairs(list) do
    if process.child:running() then
      rest[#rest + 1] = process
      if not process.pressed or process.stuck then press(process) end
    end
  end
  while rest[1] do table.remove(rest, processes.first(rest)) end
  for _, process in ipairs(list) do
    if is_stuck(process) then
      left = stuck(process)
    else
      release(process.child)
    end
  end
  if left then return nil, left.message, left.errno end
  return true
end

--- Waits for one; an error in between, as Ctrl-C raises it, ends the program.
-- @local
function processes.run(process)
  local ok, err = pcall(processes.first, { process }, nil, true)
  if ok then return end
  processes.finish { process }
  error(err, 0)
end

--- How a process that is over has ended: a table with `ok`, `how` (`exit`,
-- `signal` or `timeout`), `code` unless that is `timeout`, and if it is not ok
-- `message`, and `errno` if it ran out of time. A process whose end is not
-- known has no `how`, but an `errno`.
-- @local
function processes.outcome(process)
  local child, begin = process.child, title(process)
  if is_stuck(process) then return stuck(process) end
  if process.overdue then
    return { ok = false, how = "timeout", errno = core.errno.ETIMEDOUT,
      message = ("%s: ended after %s s")
        :format(begin, check.text(process.timeout)) }
  end
  local how, code, errno = child:status()
  if not how then
    return { ok = false, message = ("%s: %s"):format(begin, code),
      errno = errno }
  end
  local ok, message = how == "exit" and code == 0, nil
  if not ok then
    message = how == "exit" and ("exited with status %d"):format(code)
      or "killed by " .. signals.name(code)
    message = ("%s: %s"):format(begin, message)
  end
  return { ok = ok, how = how, code = code, message = message }
end

--- The same as results, see @{Process:wait}.
-- @local
function processes.results(outcome)
  if outcome.ok then return true, outcome.how, outcome.code end
  if outcome.errno then return nil, outcome.message, outcome.errno end
  return nil, outcome.message, outcome.how, outcome.code
end

--- Closes one that is over, and leaves what it has left behind alone.
-- @local
function processes.release(process)
  leave(process.child)
end

--- Ends a keeper, and all programs that were started with it in their job: at
-- once with `kill`, or when it has done what it does at its end. Returns true;
-- or nil, message, errno.
-- @local
function processes.end_keeper(keeper, kill, what)
  keeper:stop(kill)
  local deadline = core.now() + PATIENCE
  for child in pairs(held) do
    if keepers[child] == keeper and child:running() then
      core.await({ child }, math.max(deadline - core.now(), 0))
    end
  end
  local ok, message, errno = keeper:wait(what)
  sweep()
  return ok, message, errno
end

--- Starts a program. `job` is what core.spawn wants, and `timeout`. In a node
-- of a topology it is one of those that end with it.
-- @local
function processes.start(what, NS, job)
  sweep()
  local message, errno
  local keep = type(NS) == "userdata" and NS.keep
  if keep then
    job.keeper, message, errno = keep(("%s %s"):format(what, core.label(NS)))
    if not job.keeper then return nil, message, errno end
  end
  -- made first, so that nothing is left that could fail once the program runs
  local self = setmetatable({
    child = false, pid = 0, detach = job.detach,
    timeout = job.timeout, deadline = false, output = job.log,
    what = what, label = core.label(NS), program = job.argv[1],
    node = keep and NS, -- whose lab is not dropped before
  }, Process)
  self.drop = core.drop(abandon, self)
  local child
  child, message, errno = core.spawn(what, NS, job)
  if not child then return nil, message, errno end
  held[child], keepers[child] = job, job.keeper
  job.keeper = nil
  self.child, self.pid = child, child:pid()
  self.deadline = job.timeout and core.now() + job.timeout
  return self
end

local STREAMS = { stdin = 0, stdout = 1, stderr = 2 }

--- Makes Lua files of the pipes that were asked for.
-- @local
function processes.open_streams(process, job)
  for name, fd in pairs(STREAMS) do
    if job[name] == "pipe" then
      local message, errno
      process[name], message, errno = process.child:file(fd)
      if not process[name] then
        process:close()
        return nil, message, errno
      end
    end
  end
  return process
end

local function child_of(self, what)
  return self.child or check.problem(what, "process", "process is closed")
end

--- A pidfd, which stays the process's: readable when the program has ended.
-- @treturn integer
function Process:fd()
  return child_of(self, "fd"):fd()
    or check.problem("fd", "process", "process is closed")
end

--- Waits for the end of the program. If it was started with a `timeout`, which
-- counts from its start, that ends it.
-- @tparam[opt] number timeout seconds to wait; 0 to look
-- @treturn[1] boolean true if it exited with 0
-- @treturn[1] string `exit`
-- @treturn[1] integer 0
-- @return[2] nil if it failed
-- @treturn[2] string message, which ends with `exited with status 3` or
-- `killed by SIGTERM`
-- @treturn[2] string `exit` or `signal`
-- @treturn[2] integer the exit status, or the number of the signal
-- @return[3] nil
-- @treturn[3] string message
-- @treturn[3] integer errno: ETIMEDOUT if it still runs, or if its own time was
-- up; ECHILD if another part of the host has taken its status (before Linux
-- 6.15)
function Process:wait(timeout)
  check.seconds("wait", timeout)
  child_of(self, "wait")
  if not processes.first({ self }, timeout and core.now() + timeout) then
    return nil, ("%s: still runs"):format(title(self)), core.errno.ETIMEDOUT
  end
  return processes.results(processes.outcome(self))
end

local KILL = { group = "boolean" }

--- Sends a signal to the program, though not to its children.
-- @tparam[opt="TERM"] string|integer signal `TERM`, `SIGTERM`, `RTMIN+1`, or
-- its number
-- @tparam[opt] table opts `group=true`: to all of its process group, of which
-- something may be left when the program itself has ended (Linux 6.9)
-- @treturn[1] boolean true
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ESRCH if it has ended; EINVAL, EPERM; ECHILD in a
-- forked child of the process that started it
function Process:kill(signal, opts)
  opts = check.options("kill", opts, KILL)
  signal = signal or "TERM"
  local number = signal
  if type(signal) == "string" then
    number = signals.number(signal)
  elseif type(signal) ~= "number" or signal % 1 ~= 0 then
    check.expected("kill", "signal", "name or number", signal)
  elseif signal < 0 or signal > MAX_SIGNAL then
    number = nil
  end
  if not number then
    return nil, ("kill: no signal %s"):format(signal), core.errno.EINVAL
  end
  local child = child_of(self, "kill")
  core.await({ child }, 0) -- a zombie would take any signal
  return child:signal(number, opts.group)
end

local function log_of(self, what)
  return self.output
    or check.problem(what, "process",
      "a process of spawn with 'log' expected")
end

--- What the program has written to its stdout and stderr until now, also after
-- it was closed. It must have been started by @{netns.spawn} with `log`; if
-- that is a number, these are the last bytes, so many at most.
-- @treturn[1] string
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno
function Process:log()
  return log_of(self, "log"):text()
end

--- Waits until a pattern is found in what the program has written since its
-- start, or in what is kept of it, driven by events. A match may extend over
-- several lines, and over what was written at different times; what it matches
-- is what is there when it is found, so `"port (%d+)\n"` waits for the whole
-- number. `^` is the start of all, `$` the end of what there is.
--
-- All searches for one pattern together take a time that grows with the length
-- of what is written, as each begins where the last one could not decide. Only
-- for patterns that match on to the end from wherever they begin, such as
-- `"started.*ready"` after `started`, is that far back; these are tried again
-- for a tenth of the time at most, and so are found a little later.
-- @tparam string pattern as `string.match` takes it
-- @tparam[opt] number timeout seconds, without it for ever
-- @return[1] what `string.match` returns: the captures, or the whole match
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ETIMEDOUT; ESRCH if it has ended without
function Process:wait_log(pattern, timeout)
  local output = log_of(self, "wait_log")
  check.string("wait_log", "pattern", pattern)
  check.seconds("wait_log", timeout)
  local finder, problem = output:search(pattern)
  if not finder then
    check.problem("wait_log", "pattern", "malformed pattern: %s", problem)
  end
  local deadline = timeout and core.now() + timeout
  return output:wait(finder, deadline, child_of(self, "wait_log"), title(self))
end

--- Ends the program, unless it was started with `detach`: TERM to all of its
-- process group, and a second later KILL. If the program has ended before, KILL
-- to what is left of its group. Closes the streams, too. Closing twice does no
-- harm.
-- @treturn[1] boolean true
-- @return[2] nil, and it is not closed
-- @treturn[2] string message
-- @treturn[2] integer errno: ETIMEDOUT if the kernel has not ended it ten
-- seconds after KILL
function Process:close()
  if self.detach then abandon(self) end
  if self.child then
    if not self.child:running() then self.child:doom(core.signals.KILL) end
    local ok, message, errno = processes.finish { self }
    if not ok then return nil, message, errno end
  end
  if self.output then self.output:close() end
  -- last, since what is left in a buffer would wait for a program that lives
  for name in pairs(STREAMS) do
    if io.type(self[name]) == "file" then self[name]:close() end
  end
  return true
end

Process.__close = Process.close

check.methods(Process, "process", {
  fd = 0, wait = 1, kill = 2, log = 0, wait_log = 2, close = 0,
})

function Process:__tostring()
  local state = "closed"
  if self.child then
    core.await({ self.child }, 0)
    local how, code = self.child:status()
    state = how and ("%s %d"):format(how, code) or code or "running"
  end
  return ("netns.process (%d, %s)"):format(self.pid, state)
end

return processes
