-- Queues and classes: a row is the queue that it was, and no other.

local netns = require "netns"
local t = require "spec.support"

local errno = netns.errno

local QUEUES = {
  { kind = "tbf", rate = "1mbit", burst = "10k", limit = "20k" },
  { kind = "htb", default = "10", direct_qlen = 5 },
  { kind = "ingress" },
  { kind = "netem", delay = "10ms", jitter = "1ms", loss = "1%", ecn = true },
  { kind = "fq_codel", target = "5ms", ce_threshold = "1ms",
    memory_limit = 1000000 },
}

local function settings(row)
  local copy = {}
  for key, value in pairs(row) do
    if key ~= "stats" then copy[key] = value end
  end
  return copy
end

local function link()
  local ns = t.keep(assert(netns.new()))
  assert(ns:link_add { name = "e0", kind = "veth", peer = { name = "e1" } })
  return ns
end

describe("a listed queue", function()
  t.guard(before_each, after_each)

  for _, queue in ipairs(QUEUES) do
    it("is deleted, and added again as it was: " .. queue.kind, function()
      local ns = link()
      local ok, message, code = ns:qdisc_add("e0", queue)
      if code == errno.EOPNOTSUPP then
        return pending("this kernel has no " .. queue.kind)
      end
      assert(ok, message)
      local row = assert(ns:qdiscs { link = "e0", kind = queue.kind })[1]
      assert.is_nil(row.unknown)
      assert(ns:qdisc_delete(row))
      assert.same({}, ns:qdiscs { link = "e0", kind = queue.kind })
      assert(ns:qdisc_add(row))
      local again = ns:qdiscs { link = "e0", kind = queue.kind }[1]
      assert.same(settings(row), settings(again))
    end)
  end

  it("is not another one in its place", function()
    local ns = link()
    assert(ns:qdisc_add("e0", { kind = "htb", handle = "1:" }))
    local row = ns:qdiscs { link = "e0" }[1]
    assert(ns:qdisc_delete(row))
    for _, other in ipairs {
      { kind = "htb", handle = "2:" },
      { kind = "tbf", handle = "1:", rate = "1mbit", burst = "10k",
        limit = "20k" },
    } do
      assert(ns:qdisc_add("e0", other))
      assert.is_nil((ns:qdisc_delete(row)))
      assert.equal(1, #ns:qdiscs { link = "e0", kind = other.kind })
      assert(ns:qdisc_delete("e0"))
    end
  end)

  it("of a kind that is not known here is refused by its attribute",
    function()
      local ns = link()
      local ok, message, code = ns:qdisc_add("e0", { kind = "pfifo" })
      assert(ok, message)
      assert.is_nil(code)
      local row = ns:qdiscs { link = "e0" }[1]
      assert.is_string(row.unknown[2])
      assert(ns:qdisc_delete(row))
      ok, message, code = ns:qdisc_add(row)
      assert.is_nil(ok)
      assert.equal(errno.EOPNOTSUPP, code)
      assert.matches("attribute 2", message)
    end)

  it("has a limit and a latency that agree", function()
    local ns = link()
    local ok, message, code = ns:qdisc_add("e0", { kind = "tbf",
      rate = "1mbit", burst = "10k", limit = "20k", latency = "9s" })
    assert.is_nil(ok)
    assert.equal(errno.EINVAL, code)
    assert.matches("limit and latency differ", message)
  end)
end)

describe("a listed class", function()
  t.guard(before_each, after_each)

  it("is deleted, and added again as it was", function()
    local ns = link()
    assert(ns:qdisc_add("e0", { kind = "htb", handle = "1:" }))
    for _, class in ipairs {
      { parent = "1:", classid = "1:1", rate = "10mbit" },
      { parent = "1:1", classid = "1:10", rate = "1mbit", prio = 3,
        quantum = 2000 },
      { parent = "1:1", classid = "1:11", rate = "1mbit", ceil = "2mbit" },
    } do
      class.kind = "htb"
      assert(ns:class_add("e0", class))
    end
    for _, id in ipairs { "1:10", "1:11" } do
      local row = ns:classes { classid = id }[1]
      assert.is_nil(row.unknown)
      assert(ns:class_delete(row))
      assert.equal(2, #ns:classes())
      assert.same({}, ns:classes { classid = id })
      assert(ns:class_add(row))
      assert.same(settings(row), settings(ns:classes { classid = id }[1]))
    end
  end)
end)

describe("a kind of queue", function()
  t.guard(before_each, after_each)

  it("that Linux does not have is EINVAL, with the one that was meant",
    function()
      local ns = link()
      for kind, meant in pairs { fqcodel = "fq_codel", netme = "netem",
        ingres = "ingress" } do
        for _, limit in ipairs { false, 5 } do
          local ok, message, code = ns:qdisc_add("e0", { kind = kind,
            limit = limit or nil })
          assert.is_nil(ok)
          assert.equal(errno.EINVAL, code)
          assert.matches(("%q"):format(meant), message)
        end
      end
    end)

  it("netem has no rate under 8 bits a second", function()
    local ns = link()
    for _, rate in ipairs { 1, 7.9, "5bit" } do
      local ok, message, code = ns:qdisc_add("e0", { kind = "netem",
        rate = rate })
      assert.is_nil(ok)
      assert.equal(errno.ERANGE, code)
      assert.matches("rate", message)
    end
  end)

  it("has the burst that was given, and keeps it when it is given back",
    function()
      local ns = link()
      assert(ns:qdisc_add("e0", { kind = "htb", handle = "1:" }))
      for _, rate in ipairs { 1e6, 7e6, 1e9, 10e9, 50e9 } do
        for _, burst in ipairs { 1000, 1600, 5003, 100000 } do
          local tick = rate / 8 * 64e-9 -- in bytes
          assert(ns:class_add("e0", { kind = "htb", parent = "1:",
            classid = "1:1", rate = rate, burst = burst, cburst = burst }))
          local row = ns:classes()[1]
          for _, key in ipairs { "burst", "cburst" } do
            assert.is_true(row[key] >= burst and row[key] < burst + tick + 1,
              ("%s %s of %s at %s"):format(key, row[key], burst, rate))
          end
          assert(ns:class_delete(row))
          assert(ns:class_add(row))
          local again = ns:classes()[1]
          assert.equal(row.burst, again.burst)
          assert.equal(row.cburst, again.cburst)
          assert(ns:class_delete(again))
        end
      end
    end)
end)
