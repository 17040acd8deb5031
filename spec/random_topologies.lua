-- Descriptions of topologies, each made of a seed, the same on every machine
-- and with every Lua: random.description(seed, wild). Those that are wild have
-- what is likely to be wrong; the others are mostly right.

local random = {}

-- A generator of numbers whose products are exact in doubles.
local function generator(seed)
  local state = seed * 7919 % 2147483646 + 1
  local self = {}
  function self.upto(n)
    state = state * 16807 % 2147483647
    return state % n + 1
  end
  function self.one_of(list) return list[self.upto(#list)] end
  function self.chance(percent) return self.upto(100) <= percent end
  for _ = 1, 5 do self.upto(2) end
  return self
end

local WILD = {
  subnets = { "10.5.0.0/24", "10.5.0.0/16", "10.5.7.0/24", "10.0.0.0/24",
    "192.0.2.0/30", "192.0.2.0/31", "192.0.2.0/32", "240.1.2.0/24",
    "0.1.2.0/24", "0.0.0.0/24", "255.255.255.0/24", "224.0.0.0/24",
    "10.0.0.0/8", "127.0.0.0/24", "128.0.0.0/1", false },
  subnets6 = { "fd00::/64", "fd00::/48", "2001:db8::/64", "2001:db8::/126",
    "2001:db8::/127", "2001:db8::/128", "fe80::/64", "ff02::/64", "::/64",
    "2001:db8::/32", false },
  addresses = { "10.5.0.1/24", "10.5.0.1/16", "10.5.0.2/24", "10.5.7.1/24",
    "10.5.7.1/32", "10.5.0.255/24", "10.5.0.0/24", "10.0.0.1/24",
    "10.0.0.1/8", "192.0.2.0/31", "240.1.2.1/24", "0.1.2.17/24", "0.0.0.1/24",
    "224.0.0.1/24", "127.0.0.1/8", "255.255.255.255/32", "fd00::1/64",
    "fd00::2/64", "fd00::/64", "fd00::1/48", "2001:db8::/126", "fe80::1/64",
    "fe80::2/64", "::1/128", "ff02::1/64", "2001:db8::1/128", "10.5.0.1",
    "10.0.0.1/0", "fd00::1/0" },
  lo = { "10.5.0.1/32", "10.5.0.9/24", "192.0.2.9/32", "127.0.0.5/8",
    "2001:db8::9/128", "fd00::9/64", "10.5.0.255/24", "0.0.0.7/32" },
  mtus = { 68, 576, 1279, 1280, 1500, 65535 },
  routes = { "default", "0.0.0.0/0", "::/0", "10.5.0.0/24", "10.0.0.0/8",
    "192.0.2.9/32", "192.0.2.9", "2001:db8::/32", "2001:DB8::/32",
    "2001:db8::9", "10.5.0.1/24", "10.5.0.1" },
  hops = { "10.5.0.1", "10.5.0.2", "10.0.0.1", "10.0.0.2", "fd00::1",
    "fd00::2", "10.5.0.0", "10.5.0.255", "fe80::1%eth0", "fe80::1",
    "192.0.2.1" },
}

local TAME = {
  subnets = { "192.0.2.0/24", "198.51.100.0/28", "240.1.2.0/24", "0.1.2.0/24",
    "203.0.113.0/30", "172.16.5.0/31", "192.168.0.0/16", false },
  subnets6 = { "2001:db8:1::/64", "2001:db8:2::/126", "2001:db8:3::/127",
    false },
  addresses = {},
  lo = { "192.0.2.200/32", "198.18.0.1/24", "2001:db8:ffff::1/128",
    "127.0.0.5/8" },
  mtus = { 576, 1280, 1400, 9000 },
  routes = {}, hops = {},
}

local SYSCTLS = {
  { "net.ipv4.tcp_ecn", 1 }, { "net.ipv4.conf.all.rp_filter", 2 },
  { "net/ipv4/conf/eth0/arp_ignore", "1" }, { "net.ipv4.ip_forward", true },
  { "net.ipv4.ip_local_reserved_ports", "9148,8080" },
  { "net.ipv4.tcp_rmem", "4096 131072 6291456\n" },
  { "net.ipv6.conf.all.forwarding", 1.0 },
}

-- A subnet is that of a switch, or of a link between nodes.
local function options(self, from, t, has_subnet)
  if self.chance(20) then t.mtu = self.one_of(from.mtus) end
  if has_subnet then
    if self.chance(15) then t.ipv4 = self.one_of(from.subnets) end
    if self.chance(15) then t.ipv6 = self.one_of(from.subnets6) end
  end
  if self.chance(15) then
    t.rate = self.one_of { "10mbit", 500, "1gbit", "200kbit" }
  end
  return t
end

local function several(self, list, most)
  local chosen = {}
  for i = 1, self.upto(most) do chosen[i] = self.one_of(list) end
  return chosen
end

local function describe_node(self, from, node, wild)
  if self.chance(20) then node.lo = several(self, from.lo, wild and 2 or 1) end
  if self.chance(15) then
    local entry = self.one_of(SYSCTLS)
    node.sysctl = { [entry[1]] = entry[2] }
  end
  for i = 0, 1 do
    local eth = ("eth%d"):format(i)
    if wild and self.chance(25) then
      node[eth] = several(self, from.addresses, 3)
    elseif self.chance(5) then
      node[eth] = {}
    end
  end
  if wild and self.chance(25) then
    node.routes = {}
    for _ = 1, self.upto(3) do
      node.routes[self.one_of(from.routes)] = self.one_of(from.hops)
    end
  end
end

--- A description of a seed.
function random.description(seed, wild)
  local self, from = generator(seed), wild and WILD or TAME
  local description = { routers = {}, switches = {}, links = {}, nodes = {} }
  local names, count, hubs = {}, 1 + self.upto(7), {}
  for i = 1, count do
    names[i] = ("%s%d"):format(self.one_of { "h", "h", "r", "s" }, i)
    local kind = names[i]:sub(1, 1)
    if kind == "s" then
      description.switches[names[i]] = options(self, from, {}, true)
    elseif kind == "r" then
      table.insert(description.routers, names[i])
    end
    if kind ~= "h" then hubs[#hubs + 1] = names[i] end
  end
  local used = {}
  for i = 2, count + (self.chance(40) and self.upto(3) or 0) do
    local a = names[i] or self.one_of(names)
    local b = names[self.upto(math.min(i - 1, count))]
    if self.chance(60) and hubs[1] then b = self.one_of(hubs) end
    local both = a:sub(1, 1) == "s" and b:sub(1, 1) == "s"
    if a ~= b and not (both and used[a .. b]) then
      used[a .. b], used[b .. a] = true, true
      local link = self.chance(50) and { a, b }
        or { ("%s -- %s"):format(a, b) }
      local any = a:sub(1, 1) == "s" or b:sub(1, 1) == "s"
      table.insert(description.links, options(self, from, link, not any))
      used[a], used[b] = true, true
    end
  end
  for _, name in ipairs(names) do
    local is_switch = name:sub(1, 1) == "s"
    if not is_switch and self.chance(40) then
      local node = {}
      describe_node(self, from, node, wild)
      description.nodes[name] = node
    elseif not is_switch and not used[name] then
      description.nodes[name] = {}
    end
  end
  if self.chance(10) then
    description.ipv4 = self.one_of { "172.16.0.0/12", "10.0.0.0/23",
      "10.5.0.0/16", "192.0.2.0/31", false }
  end
  if self.chance(10) then
    description.ipv6 = self.one_of { "2001:db8::/32", "fd00::/126", false }
  end
  return description
end

return random
