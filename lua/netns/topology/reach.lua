-- Who reaches whom: a matrix.

local node = require "netns.topology.node"
local order = require "netns.topology.order"
local ping = require "netns.ping"

-- The kernel remembers no more than some 1000 neighbours in all namespaces
-- together (net.ipv4.neigh.default.gc_thresh3), and a pair that talks needs
-- two. So many probes are sent at once, both of a pair together; if there are
-- more, neighbours are forgotten in between.
local BATCH = 600

local Matrix = {}

function Matrix:__tostring()
  local list, width = order.names(self), #"yes"
  for _, name in ipairs(list) do width = math.max(width, #name) end
  local function cell(text) return ("%" .. width + 1 .. "s"):format(text) end
  local lines = { cell "" }
  for _, to in ipairs(list) do lines[1] = lines[1] .. cell(to) end
  for _, from in ipairs(list) do
    local line = cell(from)
    for _, to in ipairs(list) do
      local text = self[from][to] and "yes" or "-"
      line = line .. cell(from == to and "." or text)
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

local function make(inside, family)
  local matrix, probes = setmetatable({}, Matrix), {}
  local function probe(from, to)
    local address = node.address(from, to, inside.of[to], family)
    matrix[from.name][to.name] = false
    if address then
      probes[#probes + 1] = {
        ns = inside.of[from], address = address,
        from = from.name, to = to.name,
      }
    end
  end
  local others = {}
  for _, this in ipairs(inside.model.nodes) do
    if this.kind ~= "switch" then
      matrix[this.name] = {}
      for _, other in ipairs(others) do
        probe(other, this)
        probe(this, other)
      end
      others[#others + 1] = this
    end
  end
  return matrix, probes
end

local function forget_neighbours(inside)
  for _, ns in pairs(inside.of) do
    for _, neighbour in ipairs(ns:neighs() or {}) do
      if neighbour.state ~= "permanent" and neighbour.state ~= "noarp" then
        ns:neigh_delete { dst = neighbour.dst, link = neighbour.link }
      end
    end
  end
end

--- The matrix of a lab; or nil, message, errno.
return function(inside, family, timeout)
  local matrix, probes = make(inside, family)
  for first = 1, #probes, BATCH do
    local batch = {}
    for i = first, math.min(first + BATCH - 1, #probes) do
      batch[#batch + 1] = probes[i]
    end
    local ok, message, errno = ping.all(batch, timeout)
    if not ok then return nil, message, errno end
    for _, probe in ipairs(batch) do
      matrix[probe.from][probe.to] = probe.rtt or false
    end
    if #probes > BATCH then forget_neighbours(inside) end
  end
  return matrix
end
