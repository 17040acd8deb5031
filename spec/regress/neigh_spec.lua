-- Neighbours: a row is the neighbour that it was, and no other.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno
local MAC = "02:00:00:00:00:01"

-- Told apart by a single attribute: link, address, being a proxy.
local NEIGHS = {
  { dst = "10.0.0.2", link = "e0", lladdr = MAC, state = "permanent" },
  { dst = "10.0.0.2", link = "e1", lladdr = MAC, state = "permanent" },
  { dst = "10.0.0.2", link = "e0", proxy = true },
  { dst = "10.0.0.2", link = "e1", proxy = true },
  { dst = "fd00::2", link = "e0", lladdr = MAC, router = true,
    state = "noarp" },
  { dst = "10.0.0.3", link = "e0", lladdr = MAC, state = "stale" },
  { dst = "10.0.0.4", link = "e0", lladdr = MAC, extern_learn = true,
    state = "noarp", protocol = "bgp" },
}

local function named(row)
  local words = {}
  for key, value in pairs(row) do
    words[#words + 1] = key .. "=" .. tostring(value)
  end
  table.sort(words)
  return table.concat(words, " ")
end

local function rows(ns)
  local list = {}
  for _, filter in ipairs { {}, { proxy = true }, { state = "noarp",
    extern_learn = false, dst = "fd00::2" } } do
    for _, row in ipairs(assert(ns:neighs(filter))) do
      list[#list + 1] = row
    end
  end
  return list
end

local function all(ns)
  local list = {}
  for i, row in ipairs(rows(ns)) do list[i] = named(row) end
  table.sort(list)
  return list
end

describe("a listed neighbour", function()
  local ns

  t.guard(before_each, after_each)

  before_each(function()
    ns = t.keep(assert(netns.new()))
    assert(ns:link_add { name = "e0", kind = "veth", peer = { name = "e1" } })
    assert(ns:link_set("e0", { up = true, arp = true }))
    assert(ns:link_set("e1", { up = true }))
  end)

  it("is the one that is deleted, and is added again as it was", function()
    for _, neigh in ipairs(NEIGHS) do assert(ns:neigh_add(neigh)) end
    local before = all(ns)
    assert.equal(#NEIGHS, #before)
    for _, row in ipairs(rows(ns)) do
      assert.is_nil(row.unknown)
      assert.is_true(assert(ns:neigh_delete(row)))
      local left = all(ns)
      assert.equal(#before - 1, #left)
      for _, other in ipairs(left) do
        assert.is_not.equal(named(row), other)
      end
      assert.is_true(assert(ns:neigh_add(row)))
      assert.same(before, all(ns))
    end
  end)

  it("has its state in the word that it is written with", function()
    for _, state in ipairs { "permanent", "noarp", "reachable", "stale" } do
      assert(ns:neigh_add { dst = "10.0.0.9", link = "e0", lladdr = MAC,
        state = state:upper(), replace = true })
      local list = assert(ns:neighs { state = state, dst = "10.0.0.9" })
      assert.equal(1, #list, state)
      assert.equal(state, list[1].state)
    end
  end)

  it("may be one that the kernel keeps reachable", function()
    assert(ns:addr_add("e0", "10.0.0.1/24"))
    assert(ns:neigh_add { dst = "10.0.0.9", link = "e0", managed = true })
    local list = assert(ns:neighs { dst = "10.0.0.9" })
    if not list[1] then
      return pending "this kernel has no managed neighbours"
    end
    assert.is_true(list[1].managed)
    assert(ns:neigh_delete(list[1]))
    assert(ns:neigh_add(list[1]))
    assert.is_true(ns:neighs { dst = "10.0.0.9" }[1].managed)
  end)

  it("with what is unknown is refused, but for a deletion", function()
    assert(ns:neigh_add(NEIGHS[1]))
    local row = ns:neighs { dst = "10.0.0.2" }[1]
    row.unknown = { [99] = "00" }
    assert(ns:neigh_delete(row))
    local ok, message, code = ns:neigh_add(row)
    assert.is_nil(ok)
    assert.equal(errno.EOPNOTSUPP, code)
    assert.matches("99", message)
  end)
end)
