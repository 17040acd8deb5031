-- Who reaches whom: a matrix.

local core = require "netns.core"
local order = require "netns.topology.order"
local ping = require "netns.ping"
local targets = require "netns.topology.targets"

-- The kernel remembers no more than some 1000 neighbours of a family in all
-- namespaces together (net.ipv4.neigh.default.gc_thresh3), and a pair that
-- talks needs two. So many probes of a family are sent at once, both of a pair
-- together; if there are more, neighbours are forgotten in between.
local BATCH = 600

-- A batch needs a socket for each namespace and family it asks from. So the
-- pairs are taken by squares of the matrix, of so many nodes, that have as many
-- pairs as a batch; and no batch has more sockets than this.
local SIDE = 17
local SOCKETS = 128

-- Seconds that the best address of each has to answer, if there are many: those
-- that do not are asked by all of their addresses, for all the time there is.
local QUICK = 0.3

-- The errno of a pair that has no address to ask.
local MISSING = core.errno.EADDRNOTAVAIL

-- Results ---------------------------------------------------------------------

-- A matrix is a table of the nodes' names alone, for pairs(). What else it has
-- comes from its metatable: `ok` and `failures`; `partial` has the family of
-- those that answer in one of two.
local function new_matrix()
  local partial = {}
  local result = { ok = true, failures = {}, partial = partial }
  return setmetatable({}, {
    __index = result,
    __tostring = function(self)
      local list, width = order.names(self), #"yes"
      if next(partial) then width = #"inet6" end
      for _, name in ipairs(list) do width = math.max(width, #name) end
      local form = ("%%%ds"):format(width + 1)
      local function cell(text) return form:format(text) end
      local lines = { cell "" }
      for _, to in ipairs(list) do lines[1] = lines[1] .. cell(to) end
      for _, from in ipairs(list) do
        local line = cell(from)
        for _, to in ipairs(list) do
          local text = self[from][to] and "yes" or "-"
          text = partial[from] and partial[from][to] or text
          line = line .. cell(from == to and "." or text)
        end
        lines[#lines + 1] = line
      end
      return table.concat(lines, "\n")
    end,
  }), result
end

local function fail(result, from, to, family, message, errno)
  result.ok = false
  result.failures[#result.failures + 1] = {
    from = from.name, to = to.name, family = family, errno = errno,
    message = ("%s does not reach %s: %s"):format(from.name, to.name, message),
  }
end

-- What is to be found out -----------------------------------------------------

-- The addresses of each node by family; or nil, message, errno.
local function addresses_of(inside, nodes)
  local of = {}
  for _, model in ipairs(nodes) do
    local found, message, errno = targets.found(inside.of[model])
    if not found then return nil, message, errno end
    of[model] = targets.of(model, found)
  end
  return of
end

-- fn(from, to) for each pair, in squares, both ways together.
local function each_pair(nodes, fn)
  for a = 1, #nodes, SIDE do
    for b = 1, a, SIDE do
      for i = a, math.min(a + SIDE - 1, #nodes) do
        for j = b, math.min(b + SIDE - 1, i - 1) do
          fn(nodes[j], nodes[i])
          fn(nodes[i], nodes[j])
        end
      end
    end
  end
end

-- The questions: one for each pair and each family that both have, with the
-- addresses to be tried. `rtt`, or `message` and `errno`, become the answer.
local function questions(asking)
  local list, of, inside = {}, asking.of, asking.inside
  each_pair(asking.nodes, function(from, to)
    for _, family in ipairs(asking.families) do
      if of[from][family][1] and of[to][family][1] then
        list[#list + 1] = {
          from = from, to = to, ns = inside.of[from], family = family,
          addresses = targets.order(of[to][family], from),
        }
      end
    end
  end)
  return list
end

-- Neighbours ------------------------------------------------------------------

-- What the kernel has learnt; what somebody has set has another state.
local LEARNT = {
  incomplete = true, reachable = true, stale = true, delay = true, probe = true,
  failed = true,
}

-- fn(neighbour, key) for all that the kernel has learnt; true, or nil, message,
-- errno.
local function each_learnt(ns, fn)
  local list, message, errno = ns:neighs()
  if not list then return nil, message, errno end
  for _, neighbour in ipairs(list) do
    local state = neighbour.state
    if type(state) == "string" and LEARNT[state:lower()] then
      fn(neighbour, neighbour.link .. "\0" .. neighbour.dst)
    end
  end
  return true
end

-- Those that are there before, by the handles of the nodes: they stay.
local function known_neighbours(inside, nodes)
  local known = {}
  for _, model in ipairs(nodes) do
    local of = {}
    local ok, message, errno = each_learnt(inside.of[model],
      function(_, key) of[key] = true end)
    if not ok then return nil, message, errno end
    known[inside.of[model]] = of
  end
  return known
end

-- Forgets what a batch has brought. One that cannot be forgotten has gone, or
-- is in use: if all stay, the next batch cannot be sent, which it reports.
local function forget(batch, known)
  for ns in pairs(batch.namespaces) do
    local ok, message, errno = each_learnt(ns, function(neighbour, key)
      if not known[ns][key] then
        ns:neigh_delete { dst = neighbour.dst, link = neighbour.link }
      end
    end)
    if not ok then return nil, message, errno end
  end
  return true
end

-- Asking ----------------------------------------------------------------------

local function new_batch(routers)
  local batch = {
    probes = {}, inet = 0, inet6 = 0, -- all of them, and how many of a family
    sockets = 0, asks = {}, -- families by the namespaces that they ask from
    namespaces = {}, -- all in which it brings neighbours
  }
  for _, ns in ipairs(routers) do batch.namespaces[ns] = true end
  return batch
end

local function is_full(batch)
  return batch.inet >= BATCH or batch.inet6 >= BATCH
    or batch.sockets >= SOCKETS
end

local function put(batch, inside, question, address)
  local ns, family = question.ns, question.family
  batch.probes[#batch.probes + 1] =
    { ns = ns, address = address, family = family, question = question }
  batch[family] = batch[family] + 1
  batch.asks[ns] = batch.asks[ns] or {}
  if not batch.asks[ns][family] then
    batch.asks[ns][family] = true
    batch.sockets = batch.sockets + 1
  end
  batch.namespaces[ns] = true
  batch.namespaces[inside.of[question.to]] = true
end

-- The batches of a round: of every question that is open its addresses from
-- `first` to `last`.
local function batches(asking, list, first, last)
  local all, batch = {}, nil
  for i, question in ipairs(list) do
    -- not between the two of a pair
    if not batch or is_full(batch) and list[i - 1].from ~= question.to then
      batch = new_batch(asking.routers)
      all[#all + 1] = batch
    end
    for k = first, math.min(last, #question.addresses) do
      put(batch, asking.inside, question, question.addresses[k])
    end
  end
  return all
end

-- The answer to a question is that of the first address that answers; if none
-- does, what became of the first.
local function note(probe)
  local question = probe.question
  if probe.rtt then
    question.rtt = question.rtt or probe.rtt
  elseif not question.message then
    question.message, question.errno = probe.message, probe.errno
  end
end

-- True; or nil, message, errno if something could not be asked.
local function ask_batch(batch, timeout, count)
  local ok, message, errno = ping.all(batch.probes, timeout, count)
  if not ok then return nil, message, errno end
  for _, probe in ipairs(batch.probes) do
    if probe.unasked then return nil, probe.message, probe.errno end
    note(probe)
  end
  return true
end

local function ask(asking, all, timeout)
  if all[2] and not asking.known then
    local message, errno
    asking.known, message, errno =
      known_neighbours(asking.inside, asking.nodes)
    if not asking.known then return nil, message, errno end
  end
  for _, batch in ipairs(all) do
    local ok, message, errno = ask_batch(batch, timeout, asking.count)
    if ok and asking.known then
      ok, message, errno = forget(batch, asking.known)
    end
    if not ok then return nil, message, errno end
  end
  return true
end

local function has_others(list)
  for _, question in ipairs(list) do
    if question.addresses[2] then return true end
  end
  return false
end

local function open_ones(list, anew)
  local open = {}
  for _, question in ipairs(list) do
    if not question.rtt then
      if anew then question.message, question.errno = nil, nil end
      open[#open + 1] = question
    end
  end
  return open
end

-- Asks by the best address first, and those that do not answer by all of them.
-- With `count` every address is asked in one round only.
local function ask_all(asking, list, timeout)
  local all = batches(asking, list, 1, 1)
  if not (all[2] or has_others(list)) then return ask(asking, all, timeout) end
  local counted = asking.count ~= nil
  local ok, message, errno =
    ask(asking, all, counted and timeout or math.min(timeout, QUICK))
  if not ok then return nil, message, errno end
  local open = open_ones(list, not counted)
  return ask(asking, batches(asking, open, counted and 2 or 1, math.huge),
    timeout)
end

-- The matrix ------------------------------------------------------------------

-- Of two that have no family in common.
local function why_missing(of, from, to, families)
  for _, model in ipairs { to, from } do
    local has = false
    for _, family in ipairs(families) do
      has = has or of[model][family][1] ~= nil
    end
    if not has then
      return ("%s has no address%s"):format(model.name,
        families[2] and "" or " of " .. families[1])
    end
  end
  return "they have no addresses of one family"
end

local function fill_pair(asking, result, from, to, answers)
  local rtt, partial
  for _, question in ipairs(answers or {}) do
    if question.rtt then
      rtt, partial = rtt or question.rtt, question.family
    else
      fail(result, from, to, question.family, question.message, question.errno)
    end
  end
  if not answers then
    fail(result, from, to, nil,
      why_missing(asking.of, from, to, asking.families), MISSING)
  elseif rtt and answers[2] and not (answers[1].rtt and answers[2].rtt) then
    result.partial[from.name] = result.partial[from.name] or {}
    result.partial[from.name][to.name] = partial
  end
  return rtt or false
end

local function fill(asking, list)
  local matrix, result = new_matrix()
  local answers = {}
  for _, question in ipairs(list) do
    local of = answers[question.from] or {}
    answers[question.from] = of
    of[question.to] = of[question.to] or {}
    table.insert(of[question.to], question)
  end
  for _, from in ipairs(asking.nodes) do
    local row, of = {}, answers[from] or {}
    for _, to in ipairs(asking.nodes) do
      if from ~= to then
        row[to.name] = fill_pair(asking, result, from, to, of[to])
      end
    end
    matrix[from.name] = row
  end
  return matrix
end

--- The matrix of a lab; or nil, message, errno if something could not be asked.
-- @param inside
-- @param opts those of lab:reach
return function(inside, opts)
  local asking = {
    inside = inside, count = opts.count, nodes = {}, routers = {},
    families = opts.family and { opts.family } or targets.FAMILIES,
  }
  for _, model in ipairs(inside.model.nodes) do
    if model.kind ~= "switch" then
      asking.nodes[#asking.nodes + 1] = model
      if model.kind == "router" then
        asking.routers[#asking.routers + 1] = inside.of[model]
      end
    end
  end
  local ok, message, errno
  asking.of, message, errno = addresses_of(inside, asking.nodes)
  ok = asking.of
  local list = ok and questions(asking)
  if ok then ok, message, errno = ask_all(asking, list, opts.timeout or 1) end
  if not ok then return nil, "reach: " .. message, errno end
  return fill(asking, list)
end
