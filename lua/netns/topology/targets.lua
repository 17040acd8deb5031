-- The addresses by which a node of a lab is asked for an echo.

local core = require "netns.core"
local ip = require "netns.topology.ip"

local targets = {}

--- In the order in which they are asked.
targets.FAMILIES = { "inet", "inet6" }

-- Whether its link is up, as far as lab:link has a say in it.
local function is_up(interface)
  return not (interface.cable and interface.cable.down)
end

local function shares_subnet(address, model)
  for _, interface in ipairs(model.interfaces) do
    if interface.name ~= "lo" and is_up(interface) then
      for _, own in ipairs(interface.addresses) do
        if ip.inside(address.bytes, ip.subnet(own)) then return true end
      end
    end
  end
  return false
end

-- What is of this host alone, or of one link.
local LOCAL = {}
for i, prefix in ipairs {
  { "127.0.0.0", 8 }, { "169.254.0.0", 16 }, { "::1", 128 }, { "fe80::", 10 },
} do
  LOCAL[i] = { bytes = core.ip_bytes(prefix[1]), length = prefix[2] }
end

local function is_local(bytes)
  for _, prefix in ipairs(LOCAL) do
    if ip.inside(bytes, prefix) then return true end
  end
  return false
end

--- What a node has, as by DHCP, whose handle is `ns`: an array of addresses; or
-- nil, message, errno.
function targets.found(ns)
  local addrs, message, errno = ns:addrs()
  if not addrs then return nil, message, errno end
  local found = {}
  for _, addr in ipairs(addrs) do
    local bytes = addr.scope == "global" and core.ip_bytes(addr["local"])
    if bytes and not is_local(bytes) then
      found[#found + 1] = { family = addr.family, text = core.ip_text(bytes) }
    end
  end
  return found
end

local function add(list, known, family, address)
  if known[address.text] then return end
  known[address.text] = true
  address.place = #list[family] + 1
  list[family][address.place] = address
end

--- All addresses of a node by which another may reach it: for each family an
-- array, those of the description first. `found` is what the node has.
function targets.of(model, found)
  local list, known = { inet = {}, inet6 = {} }, {}
  for _, interface in ipairs(model.interfaces) do
    for _, address in ipairs(interface.addresses) do
      if not is_local(address.bytes) then
        add(list, known, address.family,
          { text = address.plain, said = address, interface = interface })
      end
    end
  end
  for _, address in ipairs(found) do
    add(list, known, address.family, { text = address.text })
  end
  return list
end

-- How good an address is to be asked by: those of the description and of links
-- that are up first, and of these those of a subnet that both nodes have.
local function rank(address, from)
  if not address.said then return -1 end
  return (is_up(address.interface) and 2 or 0)
    + (shares_subnet(address.said, from) and 1 or 0)
end

--- Such an array as the node of the model `from` is to go through it: the texts
-- of the addresses, the best first.
function targets.order(list, from)
  local texts, ordered, ranks = {}, list, {}
  if list[2] then
    ordered = {}
    for i, address in ipairs(list) do
      ordered[i], ranks[address] = address, rank(address, from)
    end
    table.sort(ordered, function(a, b)
      if ranks[a] ~= ranks[b] then return ranks[a] > ranks[b] end
      return a.place < b.place
    end)
  end
  for i, address in ipairs(ordered) do texts[i] = address.text end
  return texts
end

return targets
