-- Addresses to count with. Their bytes are strings of 4 or 16, which compare
-- and serve as keys.

local core = require "netns.core"

local ip = {}

local BITS = { inet = 32, inet6 = 128 }

--- "10.0.0.1/24" as a table: `bytes`, `length` of the prefix (the whole address
-- if it has none), `family`, `plain` (without length). Nil if it is none.
function ip.parse(text)
  local bytes, length = core.ip_bytes(text)
  if not bytes then return nil end
  local family = #bytes == 4 and "inet" or "inet6"
  return {
    bytes = bytes, length = length or BITS[family], family = family,
    plain = core.ip_text(bytes), prefixed = length ~= nil,
  }
end

--- An address of bytes, as ip.parse gives it.
function ip.address(bytes, length)
  return {
    bytes = bytes, length = length, prefixed = true,
    family = #bytes == 4 and "inet" or "inet6", plain = core.ip_text(bytes),
  }
end

local function prefixes(...)
  local list = {}
  for i, text in ipairs { ... } do
    local bytes, length = core.ip_bytes(text)
    list[i] = { bytes = bytes, length = length }
  end
  return list
end

-- What no interface of a host can have, and what only lo can.
local SPECIAL = prefixes("0.0.0.0/32", "255.255.255.255/32", "224.0.0.0/4",
  "127.255.255.255/32", "::/128", "ff00::/8")
local LOOPBACK = prefixes("127.0.0.0/8", "::1/128")
local LINK_LOCAL = prefixes "fe80::/10"

local function is_among(bytes, list)
  for _, prefix in ipairs(list) do
    if ip.inside(bytes, prefix) then return true end
  end
  return false
end

--- Whether an address is IPv6's for one link only: each has the same subnet.
function ip.is_link_local(address)
  return is_among(address.bytes, LINK_LOCAL)
end

--- Whether it never leaves the node.
function ip.is_loopback(address)
  return is_among(address.bytes, LOOPBACK)
end

--- The address of all hosts of an IPv4 subnet; nil if it has none.
function ip.broadcast(subnet)
  if subnet.family ~= "inet" or subnet.length >= 31 then return nil end
  return ip.add(subnet.bytes, 2 ^ (32 - subnet.length) - 1)
end

--- Why an interface of this name cannot have an address; nil if it can.
function ip.problem(address, interface)
  local bytes, length = address.bytes, address.length
  local subnet = ip.subnet(address)
  if is_among(bytes, SPECIAL) then
    return "is not for a host"
  elseif interface == "lo" then -- all of its subnet is the node's own
    return nil
  elseif is_among(bytes, LOOPBACK) then
    return "is not for a host"
  elseif length == 0 then
    return "is in no subnet: a prefix of length 0 is all addresses"
  elseif address.family == "inet" and length < 31 and bytes == subnet.bytes then
    return "is the subnet itself"
  elseif bytes == ip.broadcast(subnet) then
    return "is the broadcast address of its subnet"
  elseif address.family == "inet" and length < 32
    and subnet.bytes == "\0\0\0\0" then
    return "is in a subnet to which Linux makes no route"
  end
end

--- Whether hosts can be in a subnet.
function ip.is_for_hosts(subnet)
  return subnet.length > 0 and not is_among(subnet.bytes, SPECIAL)
    and not is_among(subnet.bytes, LOOPBACK)
end

--- How many hosts can be in a subnet.
function ip.capacity(family, length)
  local bits = BITS[family] - length
  if bits < 2 then return 2 ^ bits end
  return 2 ^ bits - (family == "inet" and 2 or 1)
end

--- How a prefix is written.
function ip.text(bytes, length)
  return ("%s/%d"):format(core.ip_text(bytes), length)
end

function ip.bits(family) return BITS[family] end

--- The bytes with all bits behind the prefix 0.
function ip.network(bytes, length)
  local whole = math.floor(length / 8)
  local rest = length % 8
  local network = bytes:sub(1, whole)
  if rest > 0 then
    local byte = bytes:byte(whole + 1)
    network = network .. string.char(byte - byte % 2 ^ (8 - rest))
  end
  return network .. ("\0"):rep(#bytes - #network)
end

--- Whether an address, or all of a longer prefix, is inside a subnet.
function ip.inside(bytes, subnet)
  return #bytes == #subnet.bytes
    and ip.network(bytes, subnet.length) == subnet.bytes
end

function ip.overlap(a, b)
  return ip.inside(a.bytes, b) or ip.inside(b.bytes, a)
end

--- The subnet of an address.
function ip.subnet(address)
  return {
    bytes = ip.network(address.bytes, address.length),
    length = address.length, family = address.family,
  }
end

--- The address `n` further on, counted in units of the bit at `place` (from 1;
-- by default the last); nil behind the end of all.
function ip.add(bytes, n, place)
  local digits = { bytes:byte(1, -1) }
  local i = math.ceil((place or #bytes * 8) / 8)
  n = n * 2 ^ (i * 8 - (place or #bytes * 8))
  while n > 0 do
    if i == 0 then return nil end
    local sum = digits[i] + n
    digits[i] = sum % 256
    n = math.floor(sum / 256)
    i = i - 1
  end
  for k = 1, #digits do digits[k] = string.char(digits[k]) end
  return table.concat(digits)
end

return ip
