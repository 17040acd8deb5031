-- Addresses: what is said is checked, and what is not said worked out. A
-- segment has the subnets of the addresses that are said in it, or else the
-- next of each pool; an interface of which nothing is said gets the next
-- address of each.

local ip = require "netns.topology.ip"
local mistake = require "netns.topology.model".mistake

local addresses = {}

local FAMILIES = { "inet", "inet6" }
local KEY = { inet = "ipv4", inet6 = "ipv6" }
local EACH = { inet = 24, inet6 = 64 } -- the subnet of a segment, from a pool

local function each_interface(self, fn)
  for _, node in ipairs(self.nodes) do
    for _, interface in ipairs(node.interfaces) do fn(interface) end
  end
end

-- No two interfaces have the same address; lo may, as anycast has it.
local function check_unique(self)
  local owner = {}
  each_interface(self, function(interface)
    for _, address in ipairs(interface.addresses) do
      local other = owner[address.bytes]
      if other and interface.name ~= "lo" then
        mistake(self, address.path, "%s is that of %s, too", address.plain,
          other)
      end
      owner[address.bytes] = interface.name ~= "lo" and address.path or other
    end
  end)
end

-- The subnets that are said in a segment, of one family.
local function subnets_of(segment, family)
  local list, seen = {}, {}
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      local subnet = ip.subnet(address)
      local text = ip.text(subnet.bytes, subnet.length)
      if address.family == family and subnet.length < ip.bits(family)
        and not seen[text] then
        seen[text] = true
        list[#list + 1] = subnet
      end
    end
  end
  return list
end

local function is_in(address, interface)
  for _, other in ipairs(interface.addresses) do
    if ip.inside(address.bytes, ip.subnet(other)) then return true end
  end
end

-- What is said of an interface has to be of the segment's subnet, if that is
-- said, or else one address of it in the subnet of another.
local function check_place(self, segment, interface, family)
  local first, fits, others
  for _, address in ipairs(interface.addresses) do
    if address.family == family and address.length < ip.bits(family) then
      first = first or address
      local subnet = segment.said[family]
      if subnet then
        others = ip.text(subnet.bytes, subnet.length)
        fits = fits or ip.inside(address.bytes, subnet)
      end
      for _, other in ipairs(segment.interfaces) do
        local has = #subnets_of({ interfaces = { other } }, family) > 0
        if not subnet and other ~= interface and has then
          others = others or other.path
          fits = fits or is_in(address, other)
        end
      end
    end
  end
  if first and others and not fits then
    mistake(self, first.path, "%s is not in the subnet of %s",
      ip.text(first.bytes, first.length), others)
  end
end

-- How long a prefix may be, for so many interfaces.
local function length_for(count, family)
  local length = EACH[family]
  if family == "inet" then -- without the subnet itself, and broadcast
    while 2 ^ (32 - length) - 2 < count do length = length - 1 end
  end
  return length
end

-- The next subnet of a pool that overlaps none that is used; nil if it is
-- exhausted. A pool that is smaller than a subnet is one.
local function next_subnet(pool, count, used)
  local length = math.max(length_for(count, pool.family), pool.length)
  if length > EACH[pool.family] and 2 ^ (ip.bits(pool.family) - length) - 2
    < count then
    return nil
  end
  local from = pool.next or pool.bytes
  -- larger ones begin where they may
  local bytes = ip.network(from, length)
  if bytes ~= from then bytes = ip.add(bytes, 1, length) end
  while bytes and ip.inside(bytes, pool) do
    local subnet = { bytes = bytes, length = length, family = pool.family }
    local behind = ip.add(bytes, 1, length)
    local free = true
    for _, other in ipairs(used) do
      free = free and not ip.overlap(subnet, other)
    end
    if free then
      pool.next = behind or ("\255"):rep(#bytes)
      return subnet
    end
    bytes = behind
  end
end

local function is_any_said(segment)
  for _, interface in ipairs(segment.interfaces) do
    if interface.said then return true end
  end
end

-- Decides on the subnet of a segment; false for none.
local function choose(self, segment, family, used)
  local subnet = segment.said[family]
  if subnet ~= nil then return subnet end
  if is_any_said(segment) then
    return subnets_of(segment, family)[1] or false
  end
  local pool = self.pools[family]
  if not pool or #segment.interfaces == 0 then return false end
  subnet = next_subnet(pool, #segment.interfaces, used)
  if not subnet then
    mistake(self, segment.path, "no subnet is left of %s = %q", KEY[family],
      ip.text(pool.bytes, pool.length))
    return false
  end
  return subnet
end

-- Gives the interfaces of which nothing is said the next addresses.
local function number(self, segment, subnet)
  local taken = {}
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      taken[address.bytes] = true
    end
  end
  -- the subnet itself is no host's, nor the broadcast address
  local size = 2 ^ (ip.bits(subnet.family) - subnet.length)
  local n, last = 1, size - 1
  if subnet.family == "inet" and size > 2 then last = size - 2 end
  if size <= 2 then n, last = 0, size - 1 end
  for _, interface in ipairs(segment.interfaces) do
    if not interface.said then
      local bytes = ip.add(subnet.bytes, n)
      while n <= last and taken[bytes] do
        n = n + 1
        bytes = ip.add(subnet.bytes, n)
      end
      if n > last then
        return mistake(self, segment.path, "%s has no more addresses",
          ip.text(subnet.bytes, subnet.length))
      end
      local address = ip.parse(ip.text(bytes, subnet.length))
      address.path = interface.path
      interface.addresses[#interface.addresses + 1] = address
      n = n + 1
    end
  end
end

--- Checks what is said, and completes what is not.
function addresses.complete(self)
  check_unique(self)
  local used = {}
  each_interface(self, function(interface)
    for _, address in ipairs(interface.addresses) do
      used[#used + 1] = ip.subnet(address)
    end
  end)
  for _, segment in ipairs(self.segments) do
    for _, family in ipairs(FAMILIES) do
      if segment.said[family] then used[#used + 1] = segment.said[family] end
      for _, interface in ipairs(segment.interfaces) do
        check_place(self, segment, interface, family)
      end
    end
  end
  for _, segment in ipairs(self.segments) do
    for _, family in ipairs(FAMILIES) do
      local subnet = choose(self, segment, family, used)
      if subnet then number(self, segment, subnet) end
    end
  end
end

return addresses
