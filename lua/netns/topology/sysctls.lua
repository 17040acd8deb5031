-- The sysctls of each kind of node. A new namespace inherits some of the
-- machine's; here it is the description that counts.

local sysctls = {}

local ALL = {
  { "net.ipv4.conf.all.rp_filter", host = "0" }, -- ways there and back differ
  { "net.ipv4.conf.default.rp_filter", host = "0" },
  { "net.ipv4.ip_forward", host = "0", router = "1" },
  { "net.ipv6.conf.all.forwarding", host = "0", router = "1" },
  { "net.ipv6.conf.all.disable_ipv6", host = "0", switch = "1" },
  { "net.ipv6.conf.default.disable_ipv6", host = "0", switch = "1" },
  -- nobody else is on the links: no duplicate address has to be looked for
  { "net.ipv6.conf.default.accept_dad", host = "0" },
  -- nor a router: what 1000 hosts on a switch ask of one comes to each of them,
  -- and overflows queues of the kernel that all namespaces share
  { "net.ipv6.conf.default.router_solicitations", host = "0" },
}

local of = {}
for _, kind in ipairs { "host", "router", "switch" } do
  of[kind] = {}
  for i, entry in ipairs(ALL) do
    of[kind][i] = { key = entry[1], value = entry[kind] or entry.host }
  end
end

--- An array of { key, value } for a kind of node.
function sysctls.of(kind) return of[kind] end

return sysctls
