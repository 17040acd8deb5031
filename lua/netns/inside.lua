-- What is done in a namespace in several steps is done in one, also when its
-- name becomes another's meanwhile.

local core = require "netns.core"

--- Calls `fn` with a handle, and returns its first result if that is true, else
-- nil and two more; what cannot be opened is told in the words of `what`.
return function(NS, what, fn)
  if type(NS) == "userdata" then return fn(NS) end
  local ns, message, errno = core.open(NS)
  if not ns then return nil, message:gsub("^open", what, 1), errno end
  local fine, result
  fine, result, message, errno = pcall(fn, ns)
  ns:close()
  if not fine then error(result, 0) end
  if result then return result end
  return nil, message, errno
end
