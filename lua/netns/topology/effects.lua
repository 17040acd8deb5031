-- What a cable does to packets, as the queue at each of its ends.

local effects = {}

-- A rate alone needs no netem, which not every kernel has.
local function is_rate_alone(of)
  for name in pairs(of) do
    if name ~= "rate" then return false end
  end
  return of.rate ~= nil
end

--- The queue, as for @{netns.qdisc_add}; nil if there is no effect.
function effects.queue(of)
  if next(of) == nil then return nil end
  if is_rate_alone(of) then
    -- ten milliseconds of it at once, and fifty that wait; the kernel counts in
    -- 32 bits
    local burst = math.max(math.floor(of.rate / 800), 16384)
    return {
      kind = "tbf", rate = of.rate, burst = math.min(burst, 2 ^ 30),
      latency = math.min(0.05, 2 ^ 30 * 8 / of.rate),
    }
  end
  local queue = { kind = "netem" }
  for name, value in pairs(of) do queue[name] = value end
  return queue
end

--- Has an interface treat what it sends so. `had` says whether there is such a
-- queue already.
function effects.apply(ns, interface, of, had)
  local queue = effects.queue(of)
  if queue then return ns:qdisc_set(interface, queue) end
  if had then return ns:qdisc_delete(interface) end
  return true
end

return effects
