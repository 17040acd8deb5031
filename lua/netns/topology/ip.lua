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

-- What no interface of a host can have: by prefix, and its length.
local SPECIAL = {
  { "0.0.0.0", 8 }, { "224.0.0.0", 3 }, { "::", 128 }, { "ff00::", 8 },
}
local LOOPBACK = { { "127.0.0.0", 8 }, { "::1", 128 } }

local function is_among(bytes, prefixes)
  for _, prefix in ipairs(prefixes) do
    local subnet = { bytes = core.ip_bytes(prefix[1]), length = prefix[2] }
    if ip.inside(bytes, subnet) then return true end
  end
end

--- Whether an interface of this name may have an address.
function ip.is_usable(bytes, interface)
  return not is_among(bytes, SPECIAL)
    and (interface == "lo" or not is_among(bytes, LOOPBACK))
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
