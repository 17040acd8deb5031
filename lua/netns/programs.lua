--- Programs in a namespace.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local programs = {}

local EXEC = { mounts = "boolean" }

--- Runs a program in a namespace and waits for it: `ip netns exec NAME CMD …`.
-- It gets a mount namespace of its own with a `/sys` that shows the namespace,
-- and the files of `/etc/netns/NAME/` bound over those of `/etc`; it is killed
-- if the thread that started it ends.
-- @function exec
-- @param NS
-- @tparam {string,...} argv the program, looked up in `PATH`, and its arguments
-- @tparam[opt] table opts `mounts=false`: only the network namespace
-- @treturn[1] boolean|nil true if it exited with 0, as `os.execute` has it
-- @treturn[1] string `exit` or `signal`
-- @treturn[1] integer the exit status, or the number of the signal
-- @return[2] nil if it could not be started
-- @treturn[2] string message, which names the step that failed
-- @treturn[2] integer errno
function programs.exec(NS, argv, opts)
  check.namespace("exec", NS)
  argv = check.argv("exec", argv)
  opts = check.options("exec", opts, EXEC)
  local process, message, errno = core.spawn(NS, argv, opts.mounts ~= false)
  if not process then return nil, message, errno end
  local ok, how, code = process:wait()
  process:close()
  return ok, how, code
end

return programs
