-- Signals by their names: HUP, SIGHUP, RTMIN+1.

local core = require "netns.core"

local signals = {}

-- SIGIO and SIGPOLL are one number; the other pairs differ.
local names = {}
for name, number in pairs(core.signals) do
  if name ~= "POLL" then names[number] = "SIG" .. name end
end

local RTMIN, RTMAX = core.signals.RTMIN, core.signals.RTMAX

--- Returns the number of the signal with this name, in either case, with or
-- without SIG; nil for none.
function signals.number(name)
  name = name:upper():gsub("^SIG", "")
  local from, sign, offset = name:match "^(RTM%u+)([+-])(%d+)$"
  local number = core.signals[from or name]
  if not from or not number then return number end
  number = number + tonumber(sign .. offset)
  return number >= RTMIN and number <= RTMAX and number or nil
end

--- Returns the name of a signal, with SIG; "signal 33" for one without.
function signals.name(number)
  if names[number] then return names[number] end
  if number > RTMIN and number < RTMAX then
    return ("SIGRTMIN+%d"):format(number - RTMIN)
  end
  return ("signal %d"):format(number)
end

return signals
