-- Addresses: a row is the address that it was, and no other.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno

-- Told apart by a single attribute: prefix, peer, link.
local ADDRS = {
  { "e0", "10.0.0.1/24" }, { "e0", "10.0.0.1/25" }, { "e1", "10.0.0.1/24" },
  { "e0", "10.9.0.1", { peer = "10.9.0.2" } },
  { "e0", "10.9.0.1", { peer = "10.9.0.3" } },
  { "e0", "10.8.0.1/24", { broadcast = "+", label = "e0:one", metric = 7 } },
  { "e0", "fd00::1/64", { nodad = true, valid_life_time = 5000,
    preferred_life_time = 0 } },
  { "e1", "fd00::1/64", { nodad = true, noprefixroute = true } },
  { "e0", "fd00::2", { nodad = true, peer = "fd00::3" } },
}

-- What tells rows apart, without lifetimes, which run.
local function named(row)
  local words = {}
  for key, value in pairs(row) do
    if key ~= "secondary" and (not key:find "life_time" or value == 0) then
      words[#words + 1] = key .. "=" .. tostring(value)
    end
  end
  table.sort(words)
  return table.concat(words, " ")
end

local function all(ns)
  local list = {}
  for i, row in ipairs(assert(ns:addrs())) do list[i] = named(row) end
  table.sort(list)
  return list
end

describe("a listed address", function()
  local ns

  t.guard(before_each, after_each)

  before_each(function()
    ns = t.keep(assert(netns.new()))
    assert(ns:sysctl("net.ipv6.conf.default.addr_gen_mode", "1"))
    -- else those that are secondary go with the first
    assert(ns:sysctl("net.ipv4.conf.default.promote_secondaries", "1"))
    assert(ns:link_add { name = "e0", kind = "veth", peer = { name = "e1" } })
    for _, addr in ipairs(ADDRS) do
      assert(ns:addr_add(addr[1], addr[2], addr[3]))
    end
  end)

  it("is the one that is deleted, and is added again as it was", function()
    local before = all(ns)
    assert.equal(#ADDRS, #before)
    for _, row in ipairs(assert(ns:addrs())) do
      assert.is_true(assert(ns:addr_delete(row)))
      local left = all(ns)
      assert.equal(#before - 1, #left)
      for _, other in ipairs(left) do
        assert.is_not.equal(named(row), other)
      end
      assert.equal(errno.EADDRNOTAVAIL, select(3, ns:addr_delete(row)))
      assert.is_true(assert(ns:addr_add(row)))
      assert.same(before, all(ns))
    end
  end)

  it("with what is unknown is refused, but for a deletion", function()
    local row = ns:addrs { ["local"] = "10.8.0.1" }[1]
    row.unknown = { [99] = "00" }
    assert(ns:addr_delete(row))
    local ok, message, code = ns:addr_add(row)
    assert.is_nil(ok)
    assert.equal(errno.EOPNOTSUPP, code)
    assert.matches("99", message)
  end)

  it("raises for what a row does not have", function()
    for key, value in pairs { ["local"] = 5, prefixlen = "24", link = true,
      colour = "red" } do
      local row = { link = "e0", ["local"] = "10.7.0.1", prefixlen = 24 }
      row[key] = value
      assert.error_matches(function() ns:addr_add(row) end,
        ("'%s'"):format(key))
    end
  end)
end)
