-- What a cable does to packets, as the queue at each of its ends.

local effects = {}

-- A rate alone needs no netem, which not every kernel has.
local function is_rate_alone(of)
  for name in pairs(of) do
    if name ~= "rate" then return false end
  end
  return of.rate ~= nil
end

-- The header of a frame, with a tag: a queue counts it.
local HEADER = 18

--- The queue of a cable, { effects =, mtu = }, as for @{netns.qdisc_add}; nil
-- if there is no effect.
function effects.queue(cable)
  local of = cable.effects
  if next(of) == nil then return nil end
  if is_rate_alone(of) then
    -- ten milliseconds of it at once, and at least a frame, else it passes
    -- none; and fifty that wait; the kernel counts in 32 bits
    local least = math.max(16384, (cable.mtu or 0) + HEADER)
    local burst = math.max(math.floor(of.rate / 800), least)
    return {
      kind = "tbf", rate = of.rate, burst = math.min(burst, 2 ^ 30),
      latency = math.min(0.05, 2 ^ 30 * 8 / of.rate),
    }
  end
  local queue = { kind = "netem" }
  for name, value in pairs(of) do queue[name] = value end
  return queue
end

--- Has an interface treat what it sends as a cable does. `had` says whether
-- there is such a queue already.
function effects.apply(ns, interface, cable, had)
  local queue = effects.queue(cable)
  if queue then return ns:qdisc_set(interface, queue) end
  if had then return ns:qdisc_delete(interface) end
  return true
end

return effects
