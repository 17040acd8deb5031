--- Who answers from where: echo requests, as ping(8) sends them.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local ping = {}

local E = core.errno

local SEQUENCE = 65536 -- where the sequence numbers begin again
local SIZE = 56

-- A prober sends requests from one namespace. It has
--   icmp     its sockets
--   title    what messages begin with
--   seq      the sequence number of the next request
--   waiting  the requests without an answer, by sequence number: with their
--            `address` and `time` as they come in the answer, and `subject`,
--            which they are about

local function open_prober(NS, gate, size, family)
  local icmp, message, errno = core.icmp(NS, "ping", size, family)
  if not icmp then return nil, message, errno end
  local title = "ping " .. core.label(NS)
  for _, fd in ipairs { icmp:fds() } do
    local ok
    ok, message, errno = gate:add(fd, title)
    if not ok then
      icmp:close()
      return nil, message, errno
    end
  end
  return { icmp = icmp, title = title, seq = 0, waiting = {} }
end

-- Sends a request; or nil, text, errno.
local function send(prober, address, subject)
  local seq = prober.seq
  prober.seq = (seq + 1) % SEQUENCE
  prober.waiting[seq] = nil
  local time, canonical, errno = prober.icmp:send(address, seq)
  if not time then return nil, canonical, errno end
  prober.waiting[seq] = { address = canonical, time = time, subject = subject }
  return true
end

-- Takes all that has come: true; or nil, message, errno. What becomes of a
-- request is told once, as heard(subject, rtt) or heard(subject, rtt, text,
-- errno): others may send us what they like, and replies may come twice.
local function hear(prober, heard)
  while true do
    local seq, address, time, text, errno = prober.icmp:receive()
    if seq == nil then
      return nil, ("%s: %s"):format(prober.title, address), time
    elseif not seq then
      return true
    end
    local request = prober.waiting[seq]
    if request and request.address == address then
      prober.waiting[seq] = nil
      heard(request.subject, math.max(time - request.time, 0), text, errno)
    end
  end
end

local function failure(prober, address, text)
  return ("%s: %s: %s"):format(prober.title, address, text)
end

-- What the network answers to a request that is sent. With any other errno it
-- could not be sent, and nothing is known of the one that was to be asked.
local ANSWERS = {}
for _, name in ipairs {
  "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "ECONNREFUSED",
  "EMSGSIZE", "EADDRNOTAVAIL",
  "EACCES", "EINVAL", -- by a route of the type prohibit, or blackhole
  "EPERM", -- by a firewall
} do
  ANSWERS[E[name]] = true
end

-- Of a request that was not sent: there is no room for it now. (The kernel has
-- no more than net.ipv4.neigh.default.gc_thresh3 neighbours in all namespaces.)
-- Nor is there if a signal came.
local CROWDED =
  { [E.EAGAIN] = true, [E.ENOBUFS] = true, [E.EINTR] = true }

--- Whether a ping that failed with an errno was one that nobody answered, or to
-- which the network said no; else it could not be sent.
-- @local
function ping.is_answer(errno)
  return errno == E.ETIMEDOUT or ANSWERS[errno] == true
end

local function silence(timeout)
  return ("no reply within %g s"):format(timeout)
end

-- One host --------------------------------------------------------------------

local function note(job, rtt, text, errno)
  if text then
    job.text, job.errno = text, errno
  elseif rtt <= job.timeout then
    job.received = job.received + 1
    job.total = job.total + rtt
    job.min = math.min(job.min, rtt)
    job.max = math.max(job.max, rtt)
  end
end

-- Hears what there is, and then waits for more; true, or nil, message, errno.
local function attend(job, left)
  local ok, message, errno = hear(job.prober, note)
  if ok then ok, message, errno = job.gate:wait(left) end
  if ok == nil then return nil, message, errno end
  return hear(job.prober, note)
end

-- Sends all, each in its time. One to which the network says no is lost; if it
-- is the first, the others would fare no better.
local function send_all(job)
  local start = core.now()
  for i = 1, job.count do
    local at = start + (i - 1) * job.interval
    local ok, message, errno = true, nil, nil
    while ok and core.now() < at do
      ok, message, errno = attend(job, math.max(at - core.now(), 0))
    end
    if not ok then return nil, message, errno end
    ok, message, errno = send(job.prober, job.target, job)
    if not ok and (i == 1 or not (ANSWERS[errno] or CROWDED[errno])) then
      return nil, failure(job.prober, job.target, message), errno
    elseif not ok then
      job.text, job.errno = message, errno
    end
  end
  return true
end

-- Waits for the last of those without an answer, none of which was sent later.
local function await_rest(job)
  local last = job.count
  local ok, message, errno = attend(job, 0)
  while ok and last > 0 do
    local request = job.prober.waiting[(last - 1) % SEQUENCE]
    if request then
      local left = request.time + job.timeout - core.now()
      if left <= 0 then return true end
      ok, message, errno = attend(job, left)
    else
      last = last - 1
    end
  end
  return ok, message, errno
end

local function run(job)
  local ok, message, errno = send_all(job)
  if ok then ok, message, errno = await_rest(job) end
  if not ok then return nil, message, errno end
  if job.received == 0 then
    local text = job.text or silence(job.timeout)
    return nil, failure(job.prober, job.target, text), job.errno or E.ETIMEDOUT
  end
  return {
    address = job.target, sent = job.count, received = job.received,
    loss = (job.count - job.received) / job.count,
    rtt = { min = job.min, avg = job.total / job.received, max = job.max },
  }
end

--- Asks a host for an echo: `ip netns exec NAME ping ADDRESS`, in process.
-- @function ping
-- @param NS
-- @tparam string target the IPv4 or IPv6 address of a host; one that is
-- link-local with its link: `fe80::1%eth0`
-- @tparam[opt] table opts `count`: how many times (1); `interval`: seconds
-- between them (0.2); `timeout`: seconds to wait for each reply (1); `size`:
-- bytes of payload (56)
-- @treturn[1] table if there was a reply: `address`, `sent`, `received`, `loss`
-- (a fraction), and `rtt` with `min`, `avg` and `max` in seconds
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ETIMEDOUT if nothing came; what was wrong with a
-- request, as this host or one on the way says: ENETUNREACH, EHOSTUNREACH, …;
-- EINVAL for an address that does not parse, or is of more than one host
function ping.ping(NS, target, opts)
  check.namespace("ping", NS)
  check.string("ping", "target", target)
  opts = check.options("ping", opts, {
    count = "count", interval = "seconds", timeout = "seconds", size = "size",
  })
  local gate, prober, message, errno
  gate, message, errno = core.gate "ping"
  if not gate then return nil, message, errno end
  prober, message, errno = open_prober(NS, gate, opts.size or SIZE)
  local result
  if prober then
    result, message, errno = run {
      gate = gate, prober = prober, target = target, count = opts.count or 1,
      interval = opts.interval or 0.2, timeout = opts.timeout or 1,
      received = 0, total = 0, min = math.huge, max = 0,
    }
    prober.icmp:close()
  end
  gate:close()
  if result then return result end
  return nil, message, errno
end

-- Many at once ----------------------------------------------------------------

-- A request or its reply may be lost for no lasting reason: while a neighbour
-- is looked for, only so many packets are kept for it. So each is asked again
-- after this time, in seconds.
local AGAIN = 0.2

-- A prober hears what has come after so many requests, lest it is too much.
local BATCH = 64

-- matrix.probers  all of them
-- matrix.of       the prober of a probe
-- matrix.open     the probes that are not settled: what kept the last request
--                 from being sent, or an empty table
-- matrix.left     the number of those
-- matrix.sent     how many times each has been asked

local SENT = {}

local function settle(matrix, probe, rtt, message, errno)
  if not matrix.open[probe] then return end
  matrix.open[probe] = nil
  matrix.left = matrix.left - 1
  probe.rtt, probe.message, probe.errno = rtt, message, errno
end

-- The same for one of which nothing is known.
local function give_up(matrix, probe, message, errno)
  probe.unasked = true
  settle(matrix, probe, nil, message, errno)
end

local function hear_all(matrix)
  for _, prober in ipairs(matrix.probers) do
    local ok, message, errno = hear(prober, prober.heard)
    if not ok then return nil, message, errno end
  end
  return true
end

-- The prober of a namespace, if it can be had, and what became of its probes.
local function add_prober(matrix, NS, family)
  local prober, message, errno = open_prober(NS, matrix.gate, SIZE, family)
  if not prober then return { message = message, errno = errno } end
  function prober.heard(probe, rtt, text, number)
    if text then
      settle(matrix, probe, nil, failure(prober, probe.address, text), number)
    else
      settle(matrix, probe, rtt)
    end
  end
  matrix.probers[#matrix.probers + 1] = prober
  return prober
end

-- True; or nil, message, errno if nothing can be heard.
local function send_probe(matrix, probe)
  local prober = matrix.of[probe]
  if not prober.icmp then
    give_up(matrix, probe, prober.message, prober.errno)
    return true
  end
  local ok, text, errno = send(prober, probe.address, probe)
  if ok then
    matrix.open[probe] = SENT
    matrix.sent[probe] = (matrix.sent[probe] or 0) + 1
  elseif CROWDED[errno] then
    matrix.open[probe] = { text = text, errno = errno }
  elseif ANSWERS[errno] then
    settle(matrix, probe, nil, failure(prober, probe.address, text), errno)
  else
    give_up(matrix, probe, failure(prober, probe.address, text), errno)
  end
  if prober.seq % BATCH ~= 0 then return true end
  return hear(prober, prober.heard)
end

local function send_open(matrix, probes, count)
  for _, probe in ipairs(probes) do
    if matrix.open[probe] and (matrix.sent[probe] or 0) < count then
      local ok, message, errno = send_probe(matrix, probe)
      if not ok then return nil, message, errno end
    end
  end
  return hear_all(matrix)
end

-- What has not been answered when the time is up.
local function settle_rest(matrix, probes, timeout)
  for _, probe in ipairs(probes) do
    local open = matrix.open[probe]
    if open then
      local title = matrix.of[probe]
      if open.errno then
        give_up(matrix, probe, failure(title, probe.address, open.text),
          open.errno)
      else
        settle(matrix, probe, nil,
          failure(title, probe.address, silence(timeout)), E.ETIMEDOUT)
      end
    end
  end
end

-- Until all are settled or the time is up: true; or nil, message, errno.
local function probe_all(matrix, probes, timeout, count)
  local deadline = core.now() + timeout
  repeat
    local again = math.min(core.now() + AGAIN, deadline)
    local ok, message, errno = send_open(matrix, probes, count)
    while ok and matrix.left > 0 and core.now() < again do
      ok, message, errno = matrix.gate:wait(math.max(again - core.now(), 0))
      if ok ~= nil then ok, message, errno = hear_all(matrix) end
    end
    if not ok then return nil, message, errno end
  until matrix.left == 0 or core.now() >= deadline
  settle_rest(matrix, probes, timeout)
  return true
end

--- Asks many hosts at once, from many namespaces. Each is asked again while
-- there is time and neither a reply nor an error has come.
-- @param probes an array of tables with `ns`, `address`, perhaps `family`, and
-- from then on `rtt` in seconds, or `message` and `errno`; `unasked` if nothing
-- is known of that one, as it could not be asked
-- @param timeout seconds for all
-- @param[opt] count how many times at most each is asked
-- @return true; or nil, message, errno
-- @local
function ping.all(probes, timeout, count)
  local gate, message, errno = core.gate "ping"
  if not gate then return nil, message, errno end
  local matrix =
    { gate = gate, probers = {}, of = {}, open = {}, sent = {}, left = #probes }
  local by_ns = { inet = {}, inet6 = {}, any = {} }
  for _, probe in ipairs(probes) do
    local NS, family = probe.ns, probe.family or "any"
    local known = by_ns[family]
    known[NS] = known[NS] or add_prober(matrix, NS, family)
    matrix.of[probe], matrix.open[probe] = known[NS], SENT
    probe.rtt, probe.message, probe.errno, probe.unasked = nil, nil, nil, nil
  end
  local ok
  ok, message, errno = probe_all(matrix, probes, timeout, count or math.huge)
  for _, prober in ipairs(matrix.probers) do prober.icmp:close() end
  gate:close()
  if ok then return true end
  return nil, message, errno
end

return ping
