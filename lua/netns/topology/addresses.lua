-- Addresses: what is said is checked, and what is not said worked out. A
-- segment has the subnets of the addresses that are said in it, or else the
-- next of each pool; an interface of which nothing is said gets the next
-- address of each.
--
-- What is not allowed is that one place means two things: an address that two
-- have on one segment, or subnets that overlap, on one segment with another
-- length, or at one node on two segments. Parts of a network that no node joins
-- may use the same subnets.

local ip = require "netns.topology.ip"
local reader = require "netns.topology.reader"
local subnets = require "netns.topology.subnets"

local mistake, conflict = reader.mistake, reader.conflict

local addresses = {}

local FAMILIES = { "inet", "inet6" }
local KEY = { inet = "ipv4", inet6 = "ipv6" }
local EACH = { inet = 24, inet6 = 64 } -- the subnet of a segment, from a pool

local function text_of(subnet) return ip.text(subnet.bytes, subnet.length) end

-- The subnet of an address that others share: an address alone has none, and
-- those that are of one link are in the same everywhere.
local function shared_subnet(address)
  if address.length == ip.bits(address.family) or ip.is_link_local(address)
  then
    return nil
  end
  return ip.subnet(address)
end

-- Subnets of a segment --------------------------------------------------------

-- The subnets of the addresses in a segment, of one family: an array of
-- { bytes, length, family, text, path, interfaces }, and each by its text.
local function subnets_of(segment, family)
  local list = {}
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      local subnet = address.family == family and shared_subnet(address)
      local text = subnet and text_of(subnet)
      if text and not list[text] then
        subnet.text, subnet.path, subnet.interfaces = text, address.path, {}
        list[#list + 1], list[text] = subnet, subnet
      end
      local members = text and list[text].interfaces
      if text and members[#members] ~= interface then
        members[#members + 1] = interface
      end
    end
  end
  return list
end

-- Subnets that overlap have one length. True if there is a mistake.
local function check_lengths(self, segment, family, list)
  local all, wrong = {}, false
  for i, subnet in ipairs(list) do all[i] = subnet end
  local said = segment.said[family]
  if said and not list[text_of(said)] then
    local copy = ip.subnet(said)
    copy.text, copy.path = text_of(said), said.path
    all[#all + 1] = copy
  end
  subnets.each_overlap(all, function(outer, inner)
    wrong = true
    local text = "the subnet is %s, and %s at %s, on one link"
    conflict(self, outer.path, inner.path,
      text:format(outer.text, inner.text, inner.path),
      text:format(inner.text, outer.text, outer.path))
  end)
  return wrong
end

-- The first interface of a segment that has a subnet, and is not this one.
local function other_than(interface, list)
  for _, subnet in ipairs(list) do
    for i = 1, 2 do
      local other = subnet.interfaces[i]
      if other and other ~= interface then return other end
    end
  end
end

-- What is said of an interface has to be of the segment's subnet, if that is
-- said, or else one address of it in the subnet of another.
local function check_place(self, segment, family, list)
  local said = segment.said[family]
  local said_text = said and text_of(said)
  for _, interface in ipairs(segment.interfaces) do
    local first, fits
    for _, address in ipairs(interface.addresses) do
      local subnet = address.family == family and shared_subnet(address)
      if subnet then
        local text = text_of(subnet)
        first = first or address
        if said then
          fits = fits or text == said_text
        else
          fits = fits or #list[text].interfaces > 1
        end
      end
    end
    local other = first and not said and other_than(interface, list)
    if first and not fits and (said or other) then
      mistake(self, first.path, "%s is not in the subnet of %s",
        ip.text(first.bytes, first.length), said and said_text or other.path)
    end
  end
end

-- Numbers ---------------------------------------------------------------------

-- How long a prefix may be, for so many interfaces.
local function length_for(count, family)
  local length = EACH[family]
  while ip.capacity(family, length) < count do length = length - 1 end
  return length
end

-- The next subnet of a pool that overlaps none that is used; nil if it is
-- exhausted. A pool that is smaller than a subnet is one.
local function next_subnet(pool, count, used)
  local length = math.max(length_for(count, pool.family), pool.length)
  if ip.capacity(pool.family, length) < count then return nil end
  local from = pool.next or pool.bytes
  -- larger ones begin where they may
  local bytes = ip.network(from, length)
  if bytes ~= from then bytes = ip.add(bytes, 1, length) end
  while bytes and ip.inside(bytes, pool) do
    local subnet = { bytes = bytes, length = length, family = pool.family }
    local other = subnets.overlapping(used, subnet)
    local behind = ip.add(bytes, 1, length)
    if not other then
      pool.next = behind or ("\255"):rep(#bytes)
      subnet.by_default = pool.by_default
      return subnet
    elseif other.length < length then
      behind = ip.add(other.bytes, 1, other.length)
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
local function choose(self, segment, family, list, used)
  local subnet = segment.said[family]
  if subnet ~= nil then return subnet end
  if is_any_said(segment) then return list[1] or false end
  local pool = self.pools[family]
  if not pool or #segment.interfaces == 0 then return false end
  subnet = next_subnet(pool, #segment.interfaces, used)
  if not subnet then
    mistake(self, segment.path, "no subnet is left of %s = %q", KEY[family],
      text_of(pool))
    return false
  end
  return subnet
end

-- The addresses that nobody else on a segment may get.
local function taken_on(segment)
  local taken = {}
  for _, interface in ipairs(segment.interfaces) do
    local lo = interface.node.interface.lo
    for _, address in ipairs(interface.addresses) do
      taken[address.bytes] = true
    end
    for _, address in ipairs(lo and lo.addresses or {}) do
      taken[address.bytes] = true
    end
  end
  return taken
end

-- Gives the interfaces of which nothing is said the next addresses.
local function number(self, segment, subnet)
  local taken, bits = taken_on(segment), ip.bits(subnet.family)
  local n, size = 0, 2 ^ (bits - subnet.length)
  -- the first of larger ones means the subnet itself
  if size > 2 then n = 1 end
  for _, interface in ipairs(segment.interfaces) do
    local address
    while not interface.said and not address do
      if n >= size then
        return mistake(self, segment.path, "%s has no more addresses",
          text_of(subnet))
      end
      local bytes = ip.add(subnet.bytes, n)
      address = not taken[bytes] and ip.address(bytes, subnet.length)
      if address and ip.problem(address, interface.name) then address = nil end
      n = n + 1
    end
    if address then
      address.path = segment.said[subnet.family] and subnet.path
        or interface.path
      address.by_default = subnet.by_default
      table.insert(interface.addresses, address)
    end
  end
end

-- After numbering -------------------------------------------------------------

local function twice(self, a, b)
  local text = "%s is that of %s, too"
  conflict(self, a.path, b.path, text:format(a.plain, b.path),
    text:format(b.plain, a.path))
end

-- No two interfaces on a segment have the same address, and no node has one
-- elsewhere that another has there: it would not reach it. Of those that are in
-- a subnet, check_node finds that the subnets overlap.
local function check_unique(self, segment)
  local owner = {}
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      local other = owner[address.bytes]
      if other then twice(self, other.address, address) end
      owner[address.bytes] = { address = address, node = interface.node }
    end
  end
  for _, interface in ipairs(segment.interfaces) do
    for _, elsewhere in ipairs(interface.node.interfaces) do
      local apart = elsewhere.name ~= "lo" and elsewhere.segment ~= segment
      for _, address in ipairs(apart and elsewhere.addresses or {}) do
        local other = owner[address.bytes]
        if other and other.node ~= interface.node
          and address.length == ip.bits(address.family)
          and not ip.is_link_local(address) then
          twice(self, other.address, address)
        end
      end
    end
  end
end

-- The first address of a subnet of IPv6 is that of all its routers.
local function check_anycast(self, segment)
  local routers = {}
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      local subnet = interface.node.kind == "router"
        and address.family == "inet6" and shared_subnet(address)
      local text = subnet and text_of(subnet)
      if text then
        routers[text] = routers[text] or {}
        table.insert(routers[text], interface)
      end
    end
  end
  for _, interface in ipairs(segment.interfaces) do
    for _, address in ipairs(interface.addresses) do
      local subnet = address.family == "inet6" and address.length < 127
        and shared_subnet(address)
      local is_first = subnet and subnet.bytes == address.bytes
      for i = 1, is_first and 2 or 0 do
        local router = (routers[text_of(subnet)] or {})[i]
        if router and router.node ~= interface.node then
          mistake(self, address.path,
            "%s means the routers of its subnet, as %s",
            ip.text(address.bytes, address.length), router.node.name)
        end
      end
    end
  end
end

-- The subnets of a node's interfaces are apart, but of those on one segment.
-- No two interfaces have the same address; but lo may, as anycast has it.
local function check_node(self, node)
  local owner, lists = {}, { inet = {}, inet6 = {} }
  for _, interface in ipairs(node.interfaces) do
    local place = interface.segment or interface
    for _, address in ipairs(interface.addresses) do
      local other = not ip.is_link_local(address) and owner[address.bytes]
      local is_lo = interface.name == "lo"
      if other and (other.interface.name == "lo") == is_lo
        and (is_lo or other.interface.segment ~= interface.segment) then
        twice(self, other.address, address)
      end
      owner[address.bytes] = { address = address, interface = interface }
      local subnet = shared_subnet(address)
      if subnet then
        subnet.path, subnet.at = address.path, place
        table.insert(lists[address.family], subnet)
      end
    end
  end
  for _, family in ipairs(FAMILIES) do
    subnets.each_overlap(lists[family], function(outer, inner)
      if outer.at ~= inner.at then
        local a, b = text_of(outer), text_of(inner)
        local text = "%s overlaps %s at %s, and %s is in both"
        conflict(self, outer.path, inner.path,
          text:format(a, b, inner.path, node.name),
          text:format(b, a, outer.path, node.name))
      end
    end)
  end
end

-- All ------------------------------------------------------------------------

-- The subnets that are not to be had of a pool.
local function used_by(self)
  local lists = { inet = {}, inet6 = {} }
  for _, node in ipairs(self.nodes) do
    for _, interface in ipairs(node.interfaces) do
      for _, address in ipairs(interface.addresses) do
        if not ip.is_link_local(address) then
          table.insert(lists[address.family], ip.subnet(address))
        end
      end
    end
  end
  for _, segment in ipairs(self.segments) do
    for family, subnet in pairs(segment.said) do
      if subnet then table.insert(lists[family], subnet) end
    end
  end
  return { inet = subnets.set(lists.inet), inet6 = subnets.set(lists.inet6) }
end

--- Checks what is said, and completes what is not.
function addresses.complete(self)
  local used = used_by(self)
  for _, segment in ipairs(self.segments) do
    for _, family in ipairs(FAMILIES) do
      local list = subnets_of(segment, family)
      if not check_lengths(self, segment, family, list) then
        check_place(self, segment, family, list)
      end
      local subnet = choose(self, segment, family, list, used[family])
      if subnet then number(self, segment, subnet) end
    end
  end
  for _, segment in ipairs(self.segments) do
    check_unique(self, segment)
    check_anycast(self, segment)
  end
  for _, node in ipairs(self.nodes) do check_node(self, node) end
end

return addresses
