local netns = require "netns"
local json = require "spec.json"
local t = require "spec.support"

local errno = netns.errno

-- A namespace with a veth, v0 and v1, both ends in it.
local function pair()
  local name = t.name()
  local ns = assert(netns.add(name))
  assert(ns:link_add { name = "v0", kind = "veth", peer = { name = "v1" } })
  return ns, name
end

-- Ends it within the test, which leaves nothing.
local function finish(ns, name)
  ns:close()
  assert(netns.delete(name))
end

-- Skips the test on a kernel that lacks the kind.
local function needs(kind)
  local name = t.name()
  t.must("ip netns add %s", name)
  local output = t.sh("tc -n %s qdisc add dev lo root %s", name, kind)
  t.must("ip netns delete %s", name)
  if output:find "kind is unknown" then
    print("\nskipped: this kernel has no " .. kind)
    pending("this kernel has no " .. kind)
  end
end

local function tc(name, ...)
  return t.must("tc -n %s %s", name, (...):format(select(2, ...)))
end

-- What `tc -j qdisc` says of the link v0, as an array.
local function tc_qdiscs(name)
  return json.decode(tc(name, "-j qdisc show dev v0"))
end

-- Without what packets change, and sees that it was there.
local function quiet(list)
  for _, queue in ipairs(list) do
    assert.is_true(t.is_integer(queue.stats.packets))
    queue.stats = nil
  end
  return list
end

-- The only queue of v0 as the library has it.
local function only(ns)
  local list = assert(ns:qdiscs { link = "v0" })
  assert.equal(1, #list)
  return quiet(list)[1]
end

-- Bursts are times to the kernel, which tc rounds to microseconds before
-- iproute2 6.15, and to ticks of 64 ns from then on; its latencies follow.
local ROUNDED = { burst = 2, cburst = 2, minburst = 2, lat = 2,
  latency = 2e-6 }

-- That two values are the same but for how bursts are rounded, and for the seed
-- that the kernel has chosen.
local function alike(expected, value, key)
  if key == "seed" then return end
  if type(expected) == "table" and type(value) == "table" then
    for name in pairs(value) do
      if expected[name] == nil then assert.same(expected, value) end
    end
    for name, field in pairs(expected) do alike(field, value[name], name) end
  elseif ROUNDED[key] and type(value) == "number" then
    assert.is_true(math.abs(expected - value)
      <= ROUNDED[key] + expected * 0.01,
      ("%s: %s is not %s"):format(key, value, expected))
  else
    assert.equal(expected, value, key)
  end
end

-- What tc prints, without what it rounds.
local function rough(text)
  return (text:gsub("burst [^%s/]+", "burst"):gsub("lat %S+", "lat")
    :gsub("%[%x+%]", "[]"))
end

-- Makes the same queue with the library and with tc, which then prints the same
-- of both; what the library reads of tc's.
local function both_ways(queue, words)
  local ns, name = pair()
  queue.handle = "5:"
  assert(ns:qdisc_add("v0", queue))
  local ours, details = tc_qdiscs(name), tc(name, "-d qdisc show dev v0")
  local read = only(ns)
  assert(ns:qdisc_delete("v0"))
  assert.same({}, tc_qdiscs(name))
  tc(name, "qdisc add dev v0 root handle 5: %s", words)
  alike(tc_qdiscs(name), ours)
  assert.equal(rough(tc(name, "-d qdisc show dev v0")), rough(details))
  alike(only(ns), read)
  finish(ns, name)
  assert.equal(queue.kind, read.kind)
  assert.equal("5:", read.handle)
  assert.equal("v0", read.link)
  assert.is_true(read.root)
  assert.is_nil(read.parent)
  return read, ours[1].options
end

local function near(expected, value, tolerance)
  assert.is_true(math.abs(expected - value) <= (tolerance or 1e-9),
    ("%s is not %s"):format(value, expected))
end

describe("units", function()
  t.guard(before_each, after_each)

  -- What a tbf reads back when one of its options is `value`.
  local function option(ns, field, value)
    local queue = { kind = "tbf", rate = 8e6, burst = 10000, limit = 20000 }
    queue[field] = value
    if field == "latency" then queue.limit = nil end
    local ok, message, code = ns:qdisc_set("v0", queue)
    if not ok then return nil, message, code end
    return only(ns)[field]
  end

  it("are understood in all the spellings of tc #anykernel", function()
    local ns, name = pair()
    local spellings = {
      rate = {
        ["8000000"] = 8e6, ["8000000bit"] = 8e6, ["1e6bit"] = 1e6,
        ["2e+09"] = 2e9, ["8000kbit"] = 8e6, ["8mbit"] = 8e6,
        ["8Mbit"] = 8e6, ["8MBIT"] = 8e6, ["1.5mbit"] = 15e5,
        [".5gbit"] = 5e8, ["1gbit"] = 1e9, ["0.01tbit"] = 1e10,
        ["1000000bps"] = 8e6, ["1000kbps"] = 8e6, ["1mbps"] = 8e6,
        ["1gbps"] = 8e9, ["0.001tbps"] = 8e9, ["1000kibit"] = 1024000,
        ["1mibit"] = 1048576, ["1gibit"] = 1073741824,
        ["0.0078125tibit"] = 8589934592, ["1000kibps"] = 8192000,
        ["1mibps"] = 8388608, ["0.5gibps"] = 4294967296,
        ["0.0009765625tibps"] = 8589934592,
      },
      burst = {
        ["10000"] = 10000, ["10000b"] = 10000, ["16k"] = 16384,
        ["16kb"] = 16384, ["16K"] = 16384, ["16Kb"] = 16384,
        ["1m"] = 1048576, ["1mb"] = 1048576, ["0.001g"] = 1073741,
        ["0.001gb"] = 1073741, ["80kbit"] = 10240, ["1mbit"] = 131072,
        ["0.001gbit"] = 134217,
      },
      latency = {
        ["1s"] = 1, ["1sec"] = 1, ["2secs"] = 2, ["50ms"] = .05,
        ["50msec"] = .05, ["50msecs"] = .05, ["1500us"] = .0015,
        ["1500usec"] = .0015, ["1500usecs"] = .0015, ["50MS"] = .05,
        ["1.5s"] = 1.5, ["1500000ns"] = .0015,
        ["1" .. ("0"):rep(400) .. "e-402s"] = .01,
      },
    }
    for field, texts in pairs(spellings) do
      for text, value in pairs(texts) do
        local got = assert(option(ns, field, text), text)
        near(value, got, value * 1e-6 + 1e-6)
        if not text:find "^%d+$" and not text:find "ns$" then
          -- the same words mean the same to tc
          local words = { rate = "8mbit", burst = "10000", limit = "20000" }
          words[field] = text
          if field == "latency" then words.limit = nil end
          local line = ""
          for key, word in pairs(words) do
            line = ("%s %s %s"):format(line, key, word)
          end
          local ours = tc_qdiscs(name)
          tc(name, "qdisc replace dev v0 root tbf %s", line)
          alike(tc_qdiscs(name), ours)
        end
      end
    end
    finish(ns, name)
  end)

  it("may be plain numbers: seconds, bits a second, bytes", function()
    local ns, name = pair()
    assert.equal(3000000, option(ns, "rate", 3e6))
    assert.equal(16384, option(ns, "burst", 16384))
    near(0.05, option(ns, "latency", 0.05))
    finish(ns, name)
  end)

  it("that are not understood give EINVAL, naming the field", function()
    local ns, name = pair()
    local function refused(field, value, code)
      local nothing, message, got = option(ns, field, value)
      assert.is_nil(nothing)
      assert.equal(("qdisc_set: %s %q"):format(field, tostring(value)),
        message:match '^(.-"):')
      assert.equal(errno[code], got)
    end
    for _, text in ipairs { "", " ", "fast", "mbit", "10 mbit", "10mbits",
      "1,5mbit", "0x10mbit", "1e", "1ebit", "inf", "nan", "1..5mbit", "--1",
      "10mbit ", "+5", "10mbit\0", "1%" } do
      if not text:find "\0" then refused("rate", text, "EINVAL") end
    end
    assert.equal(errno.EINVAL, select(3, option(ns, "rate", "10mbit\0")))
    for _, text in ipairs { "20", "ms", "20mss", "20m", "1%" } do
      refused("latency", text, "EINVAL") -- tc means microseconds by "20"
    end
    for _, text in ipairs { "10kbps", "10q", "k" } do
      refused("burst", text, "EINVAL")
    end
    refused("rate", 0, "ERANGE")
    refused("rate", "0bit", "ERANGE")
    refused("rate", -1, "ERANGE")
    refused("rate", "-1mbit", "ERANGE")
    refused("rate", math.huge, "ERANGE")
    refused("rate", "1e999", "ERANGE")
    refused("rate", "0e999", "ERANGE")
    refused("latency", "-1ms", "ERANGE")
    refused("latency", "2e6s", "ERANGE")
    refused("burst", "5g", "ERANGE")
    assert.equal(errno.EINVAL, select(3, option(ns, "rate", 0 / 0)))
    assert.same({}, assert(ns:qdiscs()))
    finish(ns, name)
  end)

  it("of netem are percentages, and fractions of 1", function()
    local ns, name = pair()
    local function refused(value, code)
      local ok, message, got =
        ns:qdisc_add("v0", { kind = "netem", loss = value })
      assert.is_nil(ok)
      assert.equal(("qdisc_add: loss %q"):format(tostring(value)),
        message:match '^(.-"):')
      assert.equal(errno[code], got)
    end
    for _, value in ipairs { "101%", "-1%", 1.5, -0.5, "1e9%" } do
      refused(value, "ERANGE")
    end
    -- tc means 1 % by "1", and a number 1 is all of it
    for _, value in ipairs { "1", "%", "1%%", "1 %", "10ms", "0/0" } do
      refused(value, "EINVAL")
    end
    finish(ns, name)
  end)

  it("are of ticks that are as long as the kernel says", function()
    local us, ticks, second =
      t.read "/proc/net/psched":match "^(%x+) (%x+) (%x+)"
    us, ticks = tonumber(us, 16), tonumber(ticks, 16)
    assert.equal(1000000, tonumber(second, 16)) -- else `us` has other units
    assert.equal(64e-9, ticks / us / 1e6)
  end)
end)

describe("qdisc_add", function()
  t.guard(before_each, after_each)

  it("makes a tbf as tc does", function()
    for _, case in ipairs {
      { { rate = "1mbit", burst = "32k", latency = "50ms" },
        "rate 1mbit burst 32k latency 50ms" },
      { { rate = 3e6, burst = 5003, limit = 30000 },
        "rate 3mbit burst 5003 limit 30000" },
      { { rate = "7mbit", burst = 1540, latency = .0123 },
        "rate 7mbit burst 1540 latency 12300us" },
      { { rate = "1mbit", burst = "32k", latency = "50ms",
          peakrate = "2mbit", minburst = 1540 },
        "rate 1mbit burst 32k latency 50ms peakrate 2mbit minburst 1540" },
      { { rate = "50gbit", burst = "1mb", limit = "10mb" },
        "rate 50gbit burst 1mb limit 10mb" },
    } do
      local queue, words = t.unpack(case)
      queue.kind = "tbf"
      local read, theirs = both_ways(queue, "tbf " .. words)
      assert.equal(theirs.rate * 8, read.rate)
      near(theirs.burst, read.burst, theirs.rate * 1e-6 + 1)
      near(theirs.lat * 1e-6, read.latency, 1.1e-6)
      if queue.limit == 30000 then assert.equal(30000, read.limit) end
      if queue.peakrate then
        assert.equal(2000000, read.peakrate)
        assert.equal(theirs.minburst, read.minburst)
      end
    end
  end)

  it("makes an htb as tc does", function()
    local read, theirs =
      both_ways({ kind = "htb", default = "1f", r2q = 20 },
        "htb default 1f r2q 20")
    assert.equal(theirs.default, read.default)
    assert.equal("0x1f", read.default)
    assert.equal(20, read.r2q)
    read = both_ways({ kind = "htb" }, "htb")
    assert.equal("0", read.default)
    assert.equal(10, read.r2q)
    both_ways({ kind = "htb", default = "0x10" }, "htb default 0x10")
  end)

  it("makes an ingress as tc does, which qdisc_delete takes away", function()
    local ns, name = pair()
    assert(ns:qdisc_add("v0", { kind = "ingress" }))
    local ours, read = tc_qdiscs(name), only(ns)
    assert.same({ link = "v0", kind = "ingress", handle = "ffff:",
      parent = "ffff:fff1" }, read)
    assert(ns:qdisc_delete("v0", { parent = "ingress" }))
    assert.same({}, tc_qdiscs(name))
    tc(name, "qdisc add dev v0 ingress")
    assert.same(ours, tc_qdiscs(name))
    assert.same(read, only(ns))
    assert(ns:qdisc_delete("v0", { parent = "ffff:fff1", handle = "ffff:" }))
    assert.same({}, tc_qdiscs(name))
    finish(ns, name)
  end)

  it("makes a netem as tc does", function()
    needs "netem"
    for _, case in ipairs {
      { { delay = "20ms" }, "delay 20ms", { delay = .02 } },
      { { delay = .02, jitter = "2ms", delay_correlation = "25%" },
        "delay 20ms 2ms 25%", { delay = .02, jitter = .002,
          delay_correlation = .25 } },
      { { loss = "1%" }, "loss 1%", { loss = .01 } },
      { { loss = .003, loss_correlation = .3, duplicate = "1%",
          duplicate_correlation = "5%", corrupt = "0.1%",
          corrupt_correlation = "7%" },
        "loss 0.3% 30% duplicate 1% 5% corrupt 0.1% 7%",
        { loss = .003, loss_correlation = .3, duplicate = .01,
          duplicate_correlation = .05, corrupt = .001,
          corrupt_correlation = .07 } },
      { { delay = "10ms", reorder = "25%", reorder_correlation = "50%" },
        "delay 10ms reorder 25% 50%",
        { delay = .01, reorder = .25, reorder_correlation = .5, gap = 1 } },
      { { delay = "10ms", reorder = 1, gap = 5 },
        "delay 10ms reorder 100% gap 5",
        { delay = .01, reorder = 1, gap = 5 } },
      { { rate = "10mbit", limit = 77 }, "rate 10mbit limit 77",
        { rate = 10000000, limit = 77 } },
      { { rate = "50gbit" }, "rate 50gbit", { rate = 50000000000 } },
      { { loss = "100%" }, "loss 100%", { loss = 1 } },
      { {}, "", {} },
    } do
      local queue, words, expected = t.unpack(case)
      queue.kind = "netem"
      local read = both_ways(queue, "netem " .. words)
      expected.kind, expected.handle = "netem", "5:"
      expected.link, expected.root = "v0", true
      expected.limit = expected.limit or 1000
      assert.same(expected, read)
    end
  end)

  it("makes an fq_codel as tc does", function()
    needs "fq_codel"
    local read, theirs = both_ways({ kind = "fq_codel", limit = 1000,
      flows = 64, target = "2ms", interval = "40ms", quantum = 300,
      ecn = false }, "fq_codel limit 1000 flows 64 target 2ms interval 40ms "
        .. "quantum 300 noecn")
    assert.equal(theirs.limit, read.limit)
    assert.equal(theirs.flows, read.flows)
    assert.equal(theirs.quantum, read.quantum)
    near(theirs.target * 1e-6, read.target)
    near(theirs.interval * 1e-6, read.interval)
    assert.is_false(read.ecn)
    read = both_ways({ kind = "fq_codel" }, "fq_codel")
    assert.is_true(read.ecn)
    assert.equal(1024, read.flows)
  end)

  it("says EOPNOTSUPP, and the name, of what there is not", function()
    local ns, name = pair()
    local ok, message, code = ns:qdisc_add("v0", { kind = "nonsense" })
    assert.is_nil(ok)
    assert.equal("qdisc_add: kind \"nonsense\": Operation not supported",
      message)
    assert.equal(errno.EOPNOTSUPP, code)
    local options = { netem = { kind = "netem" },
      fq_codel = { kind = "fq_codel" } }
    for kind, queue in pairs(options) do
      ok, message, code = ns:qdisc_add("v0", queue)
      if not ok then -- this kernel lacks it
        assert.equal(errno.EOPNOTSUPP, code)
        assert.truthy(message:find("v0 (" .. kind .. "): ", 1, true))
        assert.equal("Error: Specified qdisc kind is unknown.",
          (t.sh("tc -n %s qdisc add dev v0 root %s", name, kind)))
      else
        assert(ns:qdisc_delete "v0")
      end
    end
    finish(ns, name)
  end)

  it("refuses what the kernel refuses, with its words", function()
    local ns, name = pair()
    local queue = { kind = "tbf", rate = "1mbit", burst = "5k", limit = "9k" }
    assert(ns:qdisc_add("v0", queue))
    local ok, message, code = ns:qdisc_add("v0", queue)
    assert.is_nil(ok)
    assert.truthy(message:find "^qdisc_add .*: v0 %(tbf%): File exists %(.+%)$")
    assert.equal(errno.EEXIST, code)
    queue.parent = "7:1"
    ok, message, code = ns:qdisc_add("v0", queue)
    assert.is_nil(ok)
    assert.truthy(message:find "No such file or directory")
    assert.equal(errno.ENOENT, code)
    queue.parent = nil
    ok, message, code = ns:qdisc_add("v9", queue)
    assert.is_nil(ok)
    assert.truthy(message:find "v9: No such device$")
    assert.equal(errno.ENODEV, code)
    finish(ns, name)
  end)

  it("raises an error for what is wrong as a program", function()
    local ns, name = pair()
    local function bad(queue, message)
      local ok, text = pcall(ns.qdisc_add, ns, "v0", queue)
      assert.is_false(ok)
      assert.equal(message, (text:gsub("^%S+:%d+: ", "")))
    end
    bad({}, "bad argument 'kind' to 'qdisc_add' (string expected, got nil)")
    bad({ kind = "tbf", burst = 1, limit = 1 },
      "bad argument 'rate' to 'qdisc_add' (rate expected, got nil)")
    bad({ kind = "tbf", rate = true, burst = 1, limit = 1 },
      "bad argument 'rate' to 'qdisc_add' (rate expected, got boolean)")
    bad({ kind = "netem", speed = 1 },
      "unknown key 'speed' in 'qdisc_add'")
    bad({ kind = "netem", limit = "12" },
      "bad argument 'limit' to 'qdisc_add' (integer expected, got string)")
    bad({ kind = "fq_codel", ecn = 2 },
      "bad argument 'ecn' to 'qdisc_add' (boolean expected, got number)")
    bad({ kind = "htb", default = 10 },
      "bad argument 'default' to 'qdisc_add' (string expected, got number)")
    bad({ kind = "htb", handle = 10 },
      "bad argument 'handle' to 'qdisc_add' (string expected, got number)")
    assert.same({}, assert(ns:qdiscs()))
    finish(ns, name)
  end)

  it("refuses values that contradict each other, and bad handles", function()
    local ns, name = pair()
    local function refused(queue, message)
      local ok, text, code = ns:qdisc_add("v0", queue)
      assert.is_nil(ok)
      assert.equal(message .. ": Invalid argument", text)
      assert.equal(errno.EINVAL, code)
    end
    local limits = "qdisc_add (tbf): either limit or latency is wanted"
    refused({ kind = "tbf", rate = 8e6, burst = 9000 }, limits)
    refused({ kind = "tbf", rate = 8e6, burst = 9000, limit = 1, latency = 1 },
      limits)
    refused({ kind = "tbf", rate = 8e6, burst = 9000, limit = 1,
      peakrate = 9e6 }, "qdisc_add (tbf): peakrate and minburst go together")
    refused({ kind = "netem", reorder = "5%" },
      "qdisc_add (netem): reorder without delay")
    refused({ kind = "netem", delay = 1, distribution = "normal" },
      "qdisc_add (netem): distribution without jitter")
    refused({ kind = "netem", distribution = "odd" },
      'qdisc_add: distribution "odd"')
    refused({ kind = "netem", delay = 1, gap = 5 },
      "qdisc_add (netem): gap without reorder")
    refused({ kind = "netem", gap = 1.5 }, 'qdisc_add: gap "1.5"')
    for _, handle in ipairs { "", ":", "x:", "10000:", "1:2:3", "1:10000",
      "1: ", "-1:" } do
      refused({ kind = "htb", handle = handle },
        ("qdisc_add: handle %q"):format(handle))
    end
    for _, minor in ipairs { "", "0x", "x", "1:1", "10000", "0x10000" } do
      refused({ kind = "htb", default = minor },
        ("qdisc_add: default %q"):format(minor))
    end
    finish(ns, name)
  end)

  it("works on names and ids of processes, without a handle", function()
    local ns, name = pair()
    assert(netns.qdisc_add(name, "v1", { kind = "ingress" }))
    assert.equal("v1", netns.qdiscs(name)[1].link)
    assert(netns.qdisc_delete(name, "v1", { parent = "ingress" }))
    assert.same({}, netns.classes(name))
    local nothing, _, code = netns.qdiscs(t.name())
    assert.is_nil(nothing)
    assert.equal(errno.ENOENT, code)
    finish(ns, name)
  end)
end)

describe("qdisc_set", function()
  t.guard(before_each, after_each)

  it("puts a queue where there is none, changes it, and replaces it",
    function()
      local ns, name = pair()
      local queue = { kind = "tbf", rate = "1mbit", burst = "5k",
        limit = "9k" }
      assert(ns:qdisc_set("v0", queue))
      local handle = only(ns).handle
      queue.rate = "2mbit"
      assert(ns:qdisc_set("v0", queue))
      assert.equal(2000000, only(ns).rate)
      assert.equal(250000, tc_qdiscs(name)[1].options.rate)
      assert.equal(handle, only(ns).handle)
      assert(ns:qdisc_set("v0", { kind = "htb" }))
      assert.equal("htb", only(ns).kind)
      finish(ns, name)
    end)

  it("forgets what a netem had before", function()
    needs "netem"
    local ns, name = pair()
    assert(ns:qdisc_add("v0", { kind = "netem", delay = "20ms",
      jitter = "1ms", delay_correlation = "10%", corrupt = "1%",
      rate = "50gbit", reorder = "5%", duplicate = "1%" }))
    local before = only(ns)
    assert(ns:qdisc_set("v0", { kind = "netem", loss = "100%" }))
    assert.same({ kind = "netem", link = "v0", root = true,
      handle = before.handle, limit = 1000, loss = 1 }, only(ns))
    before.link, before.root = nil, nil
    assert(ns:qdisc_set("v0", before)) -- what was read can be written
    before.link, before.root = "v0", true
    assert.same(before, only(ns))
    finish(ns, name)
  end)
end)

describe("qdisc_delete", function()
  t.guard(before_each, after_each)

  it("takes what tc made, and says ENOENT of what is not there", function()
    local ns, name = pair()
    tc(name, "qdisc add dev v0 root handle 1: htb")
    tc(name, "class add dev v0 parent 1: classid 1:1 htb rate 1mbit")
    tc(name, "qdisc add dev v0 parent 1:1 handle 2: tbf rate 1mbit burst 5k "
      .. "limit 9k")
    assert.equal(2, #ns:qdiscs())
    assert(ns:qdisc_delete("v0", { parent = "1:1", handle = "2:" }))
    assert.equal(1, #tc_qdiscs(name))
    assert(ns:qdisc_delete("v0"))
    assert.same({}, tc_qdiscs(name))
    local ok, message, code = ns:qdisc_delete("v0")
    assert.is_nil(ok)
    assert.truthy(message:find "^qdisc_delete .*: v0: No such file")
    assert.equal(errno.ENOENT, code)
    ok, message, code = ns:qdisc_delete("v0", { parent = "zzz" })
    assert.is_nil(ok)
    assert.truthy(message:find '^qdisc_delete: parent "zzz": Invalid')
    assert.equal(errno.EINVAL, code)
    assert.is_false(pcall(ns.qdisc_delete, ns, "v0", { kind = "htb" }))
    finish(ns, name)
  end)
end)

describe("qdiscs", function()
  t.guard(before_each, after_each)

  it("lists those of all links, and those a filter wants", function()
    local ns, name = pair()
    assert.same({}, ns:qdiscs())
    assert(ns:link_set("lo", { up = true })) -- with noqueue, then
    tc(name, "qdisc add dev v0 root handle 1: htb")
    tc(name, "qdisc add dev v0 ingress")
    tc(name, "qdisc add dev v1 root handle 2: tbf rate 1mbit burst 5k "
      .. "limit 9k")
    local list, theirs = ns:qdiscs(), json.decode(tc(name, "-j qdisc"))
    assert.equal(4, #list)
    assert.equal(#theirs, #list)
    for i, qdisc in ipairs(list) do
      assert.equal(theirs[i].dev, qdisc.link)
      for _, key in ipairs { "kind", "handle", "root", "parent" } do
        assert.equal(theirs[i][key], qdisc[key])
      end
    end
    assert.equal(2, #ns:qdiscs { link = "v0" })
    assert.equal("v1", ns:qdiscs { kind = "tbf" }[1].link)
    assert.same({}, ns:qdiscs { kind = "tbf", link = "v0" })
    assert.is_false(pcall(ns.qdiscs, ns, "v0"))
    finish(ns, name)
  end)
end)

describe("classes", function()
  t.guard(before_each, after_each)

  -- What `tc class` prints, without what packets change.
  local function tc_classes(name)
    return tc(name, "-d class show dev v0")
  end

  it("of an htb are made as tc makes them", function()
    for _, case in ipairs {
      { { rate = "10mbit" }, "rate 10mbit" },
      { { rate = "3mbit", ceil = "7mbit", prio = 3 },
        "rate 3mbit ceil 7mbit prio 3" },
      { { rate = 1e6, ceil = 2e6, burst = "15k", cburst = 3000 },
        "rate 1mbit ceil 2mbit burst 15k cburst 3000" },
      { { rate = "10kbps", burst = "10kb" }, "rate 10kbps burst 10kb" },
      { { rate = "50gbit", burst = "100mb" }, "rate 50gbit burst 100mb" },
    } do
      local class, words = t.unpack(case)
      local ns, name = pair()
      class.kind, class.parent, class.classid = "htb", "1:", "1:1f"
      assert(ns:qdisc_add("v0", { kind = "htb", handle = "1:" }))
      assert(ns:class_add("v0", class))
      local ours, read = tc_classes(name), quiet(ns:classes())
      assert(ns:class_delete("v0", "1:1f"))
      assert.equal("", tc_classes(name))
      tc(name, "class add dev v0 parent 1: classid 1:1f htb %s", words)
      assert.equal(rough(tc_classes(name)), rough(ours))
      alike(quiet(ns:classes()), read)
      finish(ns, name)
    end
  end)

  it("are listed with their numbers in plain units", function()
    local ns, name = pair()
    tc(name, "qdisc add dev v0 root handle 1: htb")
    tc(name, "class add dev v0 parent 1: classid 1:1 htb rate 10mbit")
    tc(name, "class add dev v0 parent 1:1 classid 1:10 htb rate 1mbit "
      .. "ceil 2mbit burst 15k cburst 2000 prio 2")
    tc(name, "qdisc add dev v0 parent 1:10 handle 20: tbf rate 1mbit "
      .. "burst 5k limit 9k")
    assert.same({ { link = "v0", kind = "htb", classid = "1:10",
      parent = "1:1", leaf = "20:", rate = 1000000, ceil = 2000000,
      burst = 15360, cburst = 2000, prio = 2 } },
      quiet(ns:classes { classid = "1:10" }))
    local root = ns:classes { link = "v0", root = true }[1]
    assert.equal("1:1", root.classid)
    assert.equal(10000000, root.rate)
    assert.equal(10000000, root.ceil)
    assert.is_nil(root.prio)
    assert.equal("20:1", ns:classes { kind = "tbf" }[1].classid)
    assert.same({}, ns:classes { link = "v1" })
    local nothing, _, code = ns:classes { link = "v9" }
    assert.is_nil(nothing)
    assert.equal(errno.ENODEV, code)
    finish(ns, name)
  end)

  it("are changed, or made, by class_set as by tc", function()
    local ns, name = pair()
    assert(ns:qdisc_add("v0", { kind = "htb", handle = "1:" }))
    local class = { kind = "htb", parent = "1:", classid = "1:1f",
      rate = "1mbit", ceil = "2mbit", prio = 3 }
    assert(ns:class_set("v0", class))
    class.rate, class.ceil, class.prio = "5mbit", nil, nil
    assert(ns:class_set("v0", class))
    local ours = tc_classes(name)
    assert.equal(5000000, ns:classes()[1].ceil)
    assert.equal(1, #ns:classes())
    tc(name, "class replace dev v0 parent 1: classid 1:1f htb rate 1mbit")
    assert.equal(1000000, ns:classes()[1].rate)
    tc(name, "class change dev v0 parent 1: classid 1:1f htb rate 5mbit")
    assert.equal(tc_classes(name), ours)
    local ok, message, code = ns:class_set("v0", { kind = "htb",
      parent = "1:", classid = "1:1f", rate = "x" })
    assert.is_nil(ok)
    assert.equal('class_set: rate "x": Invalid argument', message)
    assert.equal(errno.EINVAL, code)
    ok, message, code = ns:class_set("v0", { kind = "htb", parent = "7:",
      classid = "7:1", rate = "1mbit" })
    assert.is_nil(ok)
    assert.truthy(message:find "^class_set .*: v0 %(htb%): ")
    assert.equal(errno.ENOENT, code)
    assert.equal(tc_classes(name), ours)
    finish(ns, name)
  end)

  it("are refused with the words of the kernel", function()
    local ns, name = pair()
    local class = { kind = "htb", parent = "1:", classid = "1:1",
      rate = "1mbit" }
    local ok, _, code = ns:class_add("v0", class)
    assert.is_nil(ok)
    assert.equal(errno.ENOENT, code)
    assert(ns:qdisc_add("v0", { kind = "htb", handle = "1:" }))
    assert(ns:class_add("v0", class))
    ok, _, code = ns:class_add("v0", class)
    assert.is_nil(ok)
    assert.equal(errno.EEXIST, code)
    assert(ns:class_add("v0", { kind = "htb", parent = "1:1",
      classid = "1:2", rate = "1mbit" }))
    local message
    ok, message, code = ns:class_delete("v0", "1:1")
    assert.is_nil(ok)
    assert.truthy(message:find "v0 %(1:1%): Device or resource busy")
    assert.equal(errno.EBUSY, code)
    ok, _, code = ns:class_delete("v0", "1:99")
    assert.is_nil(ok)
    assert.equal(errno.ENOENT, code)
    ok, _, code = ns:class_delete("v0", "x")
    assert.is_nil(ok)
    assert.equal(errno.EINVAL, code)
    ok, message, code = ns:class_add("v0", { kind = "hfsc" })
    assert.is_nil(ok)
    assert.equal('class_add: kind "hfsc": Operation not supported', message)
    assert.equal(errno.EOPNOTSUPP, code)
    assert.is_false(pcall(ns.class_add, ns, "v0", { kind = "htb" }))
    finish(ns, name)
  end)
end)

describe("a queue", function()
  t.guard(before_each, after_each)

  -- A link between two namespaces.
  local function connect(a, b)
    assert(a:link_add { name = "v0", kind = "veth", up = true,
      peer = { name = "v0", ns = b } })
    assert(b:link_set("v0", { up = true }))
    assert(a:link_set("lo", { up = true }))
    assert(a:exec { "ip", "addr", "add", "192.0.2.1/24", "dev", "v0" })
    assert(b:exec { "ip", "addr", "add", "192.0.2.2/24", "dev", "v0" })
  end

  -- Seconds that a transfer of so many bytes over TCP takes, from a to b.
  local function transfer(a, b, bytes)
    local server = t.keep(assert(b:spawn({ "python3", "-c", ([[
import socket, sys, time
s = socket.create_server(("192.0.2.2", 5000))
print("ready", flush=True)
c, _ = s.accept()
start, n = time.monotonic(), 0
c.send(b"now")
while n < %d: n += len(c.recv(65536)) or sys.exit(1)
print(time.monotonic() - start)]]):format(bytes) }, { stdout = "pipe" })))
    assert.equal("ready", server.stdout:read "*l")
    assert(a:exec { "python3", "-c", ([[
import socket
s = socket.create_connection(("192.0.2.2", 5000))
s.recv(3)
s.sendall(bytes(%d))
s.close()]]):format(bytes) })
    local seconds = tonumber(server.stdout:read "*l")
    server.stdout:close()
    assert(server:wait())
    return seconds
  end

  -- That of the fastest of three: a machine that is busy slows it down.
  local function fastest(a, b, bytes)
    return math.min(transfer(a, b, bytes), transfer(a, b, bytes),
      transfer(a, b, bytes))
  end

  it("of a rate limits it #anykernel", function()
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    connect(a, b)
    local bytes = 200000
    local free = fastest(a, b, bytes)
    assert(a:qdisc_add("v0", { kind = "tbf", rate = "1mbit", burst = "10k",
      latency = "100ms" }))
    local limited = transfer(a, b, bytes)
    local least = (bytes - 10240) * 8 / 1e6
    assert.is_true(limited >= least * .95, limited)
    assert.is_true(limited < least * 5, limited)
    assert.is_true(free < least / 3, free)
  end)

  it("of an htb class limits it, also at a new rate #anykernel", function()
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    connect(a, b)
    local class = { kind = "htb", parent = "1:", classid = "1:10",
      rate = "1mbit", burst = "10k" }
    assert(a:qdisc_add("v0", { kind = "htb", handle = "1:", default = "10" }))
    assert(a:class_add("v0", class))
    local bytes = 200000
    local slow = transfer(a, b, bytes)
    class.rate = "20mbit"
    assert(a:class_set("v0", class))
    local fast = fastest(a, b, bytes)
    -- it may be ahead by what is sent at once, 64 kB
    assert.is_true(slow >= (bytes - 10240 - 65536) * 8 / 1e6, slow)
    assert.is_true(fast < slow / 3, fast)
  end)

  it("counts what passes and what it drops, as tc does", function()
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    connect(a, b)
    assert(a:qdisc_add("v0", { kind = "htb", handle = "1:", default = "10" }))
    assert(a:class_add("v0", { kind = "htb", parent = "1:",
      classid = "1:10", rate = "1gbit" }))
    assert(a:qdisc_add("v0", { kind = "tbf", parent = "1:10", handle = "2:",
      rate = "64kbit", burst = "2k", limit = "4k" }))
    a:exec({ "ping", "-q", "-c", "20", "-i", "0.002", "-s", "1000",
      "-W", "1", "192.0.2.2" }, { stdout = "null" })
    t.eventually(function()
      return a:qdiscs { handle = "2:" }[1].stats.qlen == 0
    end)
    local lists = {
      qdisc = function() return a:qdiscs { link = "v0" } end,
      class = function() return a:classes { kind = "htb" } end,
    }
    for what, read in pairs(lists) do
      local list, text, again
      repeat -- the kernel sends packets of its own now and then
        list = read()
        text = a:capture { "tc", "-s", what, "show", "dev", "v0" }.stdout
        again = read()
      until pcall(assert.same, list, again)
      local n = 0
      for sent, waiting in text:gmatch " (Sent [^\n]*)\n backlog ([^\n]*)" do
        n = n + 1
        local stats = list[n].stats
        assert.equal(("Sent %d bytes %d pkt (dropped %d, overlimits %d "
          .. "requeues %d) "):format(stats.bytes, stats.packets, stats.drops,
          stats.overlimits, stats.requeues), sent)
        assert.equal(("%db %dp"):format(stats.backlog, stats.qlen),
          waiting:match "^%d+b %d+p")
      end
      assert.equal(#list, n, text)
    end
    assert.is_nil(a:classes { kind = "tbf" }[1].stats) -- it does not count
    local stats = a:qdiscs { handle = "2:" }[1].stats
    assert.is_true(stats.drops > 0 and stats.overlimits > 0)
    assert.is_true(stats.packets > 0 and stats.bytes > stats.packets)
  end)

  it("of netem delays, then loses, and is then as it was", function()
    needs "netem"
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    connect(a, b)
    local function ping()
      local result = assert(a:capture { "ping", "-c", "5", "-i", "0.2",
        "-W", "1", "-q", "192.0.2.2" })
      return tonumber(result.stdout:match "= [%d.]+/([%d.]+)/"), result.code
    end
    ping() -- finds the neighbour
    local without = ping()
    assert(a:qdisc_add("v0", { kind = "netem", delay = "100ms" }))
    assert(b:qdisc_add("v0", { kind = "netem", delay = .05 }))
    local with = ping()
    assert.is_true(with >= 150 and with < 150 + without + 50, with)
    assert(a:qdisc_set("v0", { kind = "netem", loss = "100%" }))
    local none, code = ping()
    assert.is_nil(none)
    assert.equal(1, code)
    assert(a:qdisc_set("v0", { kind = "netem", delay = "100ms" }))
    with = ping()
    assert.is_true(with >= 150 and with < 150 + without + 50, with)
  end)

  it("of netem has jitter of the distribution that is wanted", function()
    needs "netem"
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    connect(a, b)
    assert(a:exec({ "ping", "-c1", "192.0.2.2" }, { stdout = "null" }))
    local queue = { kind = "netem", delay = .3, jitter = .1 }
    -- The part of the delays that differ by more than the jitter.
    local function outside(distribution)
      queue.distribution = distribution
      assert(a:qdisc_set("v0", queue))
      local result = assert(a:capture { "ping", "-c", "200", "-i", "0.02",
        "192.0.2.2" })
      local n, far, sum = 0, 0, 0
      for text in result.stdout:gmatch "time=([%d.]+)" do
        local ms = tonumber(text)
        n, sum = n + 1, sum + ms
        if ms < 190 or ms > 410 then far = far + 1 end
      end
      assert.equal(200, n)
      near(300, sum / n, 40)
      return far / n
    end
    near(0, outside(nil), 0.05)
    near(0.27, outside "normal", 0.15)
    near(0.27, outside(nil), 0.15)
    near(0, outside "uniform", 0.05)
  end)
end)
