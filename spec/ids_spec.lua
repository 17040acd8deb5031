local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

local function ids_of(list)
  local ids = {}
  for i, entry in ipairs(list) do ids[i] = entry.nsid end
  return ids
end

describe("ids", function()
  t.guard(before_each, after_each)

  it("are as in the example of the man page, by us and by ip", function()
    for _, by in ipairs { "netns", "ip" } do
      local foo = t.keep(assert(netns.add "foo"))
      local bar = t.keep(assert(netns.add "bar"))
      if by == "ip" then
        for _, args in ipairs {
          "netns set foo 12", "netns set bar 13", "-n foo netns set foo 22",
          "-n foo netns set bar 23", "-n bar netns set foo 32",
          "-n bar netns set bar 33",
        } do t.must("ip " .. args) end
      else
        assert.equal(12, netns.set("foo", 12))
        assert.equal(13, netns.set(bar, 13))
        assert.equal(22, foo:set(foo, 22))
        assert.equal(23, foo:set("bar", 23))
        assert.equal(32, bar:set("foo", 32))
        assert.equal(33, bar:set("bar", 33))
      end
      assert.same({
        { nsid = 22, current_nsid = 12, name = "foo" },
        { nsid = 23, current_nsid = 13, name = "bar" },
      }, assert(netns.list_id { target_nsid = 12 }))
      assert.same({ { nsid = 23, current_nsid = 13, name = "bar" } },
        assert(netns.list_id { target_nsid = 12, nsid = 13 }))
      assert.equal(
        "nsid 23 current-nsid 13 (iproute2 netns name: bar)",
        (t.must "ip netns list-id target-nsid 12 nsid 13":gsub("%s+$", "")))
      assert.same({
        { nsid = 12, name = "foo" }, { nsid = 13, name = "bar" },
      }, assert(netns.list_id()))
      assert.same({
        { nsid = 32, name = "foo" }, { nsid = 33, name = "bar" },
      }, assert(bar:list_id()))
      assert.same({ { nsid = 13, name = "bar" } },
        assert(netns.list_id { nsid = 13 }))
      assert.equal(12, netns.id(foo))
      assert.equal(23, foo:id(bar))
      assert.equal(33, bar:id(bar))
      assert(netns.delete "foo")
      assert(netns.delete "bar")
      foo:close()
      bar:close()
      t.eventually(function() return #netns.list_id() == 0 end)
    end
  end)

  it("are chosen by the kernel for \"auto\", and told", function()
    local ns = t.keep(assert(netns.new()))
    local id = assert(netns.set(ns, "auto"))
    assert.is_true(t.is_integer(id))
    assert.equal(id, netns.id(ns))
    ns:close()
    t.eventually(function() return #netns.list_id() == 0 end)
  end)

  it("are ENODATA where none is assigned", function()
    local ns = t.keep(assert(netns.new()))
    local nothing, message, code = netns.id(ns)
    assert.is_nil(nothing)
    assert.matches("^id net:%[%d+%]: ", message)
    assert.equal(errno.ENODATA, code)
  end)

  it("are refused in the kernel's own words", function()
    local a = t.keep(assert(netns.new()))
    local b = t.keep(assert(netns.new()))
    assert.equal(7, netns.set(a, 7))
    local nothing, message, code = netns.set(a, 8)
    assert.is_nil(nothing)
    assert.matches("File exists %(Peer netns already has a nsid assigned%)",
      message)
    assert.equal(errno.EEXIST, code)
    nothing, message, code = netns.set(b, 7)
    assert.is_nil(nothing)
    assert.matches("%(The specified nsid is already used%)", message)
    assert.equal(errno.EEXIST, code)
    assert.equal(errno.EEXIST, (select(3, netns.set(a, "auto"))))
    a:close()
    t.eventually(function() return #netns.list_id() == 0 end)
  end)

  it("are 0 to 2^31-1", function()
    local a = t.keep(assert(netns.new()))
    for _, id in ipairs { -1, -5, 0x80000000, 0x10000000000,
      -2 ^ 63 } do
      local nothing, message, code = netns.set(a, id)
      assert.is_nil(nothing)
      assert.matches("is not in 0 to 2147483647", message)
      assert.equal(errno.EINVAL, code)
    end
    for _, id in ipairs { "x", 1.5, {}, true } do
      assert.error_matches(function() netns.set(a, id) end,
        "bad argument 'id' to 'set' %(integer or \"auto\" expected")
    end
    assert.equal(0x7fffffff, netns.set(a, 0x7fffffff))
    assert.same({ 0x7fffffff }, ids_of(assert(netns.list_id())))
    a:close()
    t.eventually(function() return #netns.list_id() == 0 end)
    assert.has_error(function() netns.set("x") end)
  end)

  it("say which is not there", function()
    local nothing, message, code = netns.list_id { nsid = 99 }
    assert.is_nil(nothing)
    assert.matches("nsid 99: No such file.*Peer netns reference is invalid",
      message)
    assert.equal(errno.ENOENT, code)
    nothing, message, code = netns.list_id { target_nsid = 98 }
    assert.is_nil(nothing)
    assert.matches("target_nsid 98: Invalid argument "
      .. "%(Invalid target network namespace id%)", message)
    assert.equal(errno.EINVAL, code)
    assert.equal(errno.ENOENT, (select(3, netns.set(t.name(), 1))))
    assert.equal(errno.ENOENT, (select(3, netns.id(t.name()))))
    assert.error_matches(function() netns.list_id { id = 5 } end,
      "unknown key 'id' in 'list_id'")
    assert.error_matches(function() netns.list_id { nsid = -1 } end,
      "bad argument 'nsid' to 'list_id'")
    assert.error_matches(function() netns.list_id { nsid = "1" } end,
      "bad argument 'nsid' to 'list_id'")
  end)
end)

-- A third of the namespaces has no name and is held by a descriptor; some are
-- held by a process alone, or by a mount that is no name.
local many = [[
  local netns = require "netns"
  local count, step = %d, %d
  local held, want = {}, {}
  for i = 1, count do
    local ns
    if i %% 3 == 0 then
      ns = assert(netns.new())
      held[#held + 1] = ns
    else
      ns = assert(netns.add("m" .. i))
    end
    want[i] = { nsid = (i - 1) * step, name = i %% 3 ~= 0 and "m" .. i or nil }
    assert(netns.set(ns, want[i].nsid))
    if i %% 3 ~= 0 then ns:close() end
  end
  local function check(got, current)
    if #got ~= count then print("count", #got) return end
    for i, entry in ipairs(got) do
      if entry.nsid ~= want[i].nsid or entry.name ~= want[i].name
        or (current and entry.current_nsid ~= current(entry.nsid)) then
        print("wrong", i, entry.nsid, entry.name, entry.current_nsid)
        return
      end
    end
    print "all"
  end
  check(assert(netns.list_id()))
  local here = assert(netns.current())
  local other = assert(netns.new())
  assert(other:set(here, 99))
  other:call(function()
    -- the same, seen from another namespace
    check(assert(here:list_id()))
    check(assert(netns.list_id { target_nsid = 99 }))
  end)
  io.stdout:flush()
  os.exit(0) -- the names go with the mount namespace
]]

describe("list_id", function()
  t.guard(before_each, after_each)

  local function holds(count, step)
    local before = t.no_names .. " prlimit --nofile=20000 unshare -n"
    local output = t.script(many:format(count, step), before)
    assert.equal("all\nall\nall", output)
  end

  it("is complete with 600 ids, where ip is not", function()
    holds(600, 1)
  end)

  it("is complete with 600 ids seven apart", function()
    holds(600, 7)
  end)

  it("is complete with " .. t.many(3000) .. " ids", function()
    holds(t.many(3000), 1)
  end)

  it("is complete with " .. t.many(5000) .. " ids seven apart", function()
    holds(t.many(5000), 7)
  end)

  it("finds ids that are far from others if something leads to them",
    function()
      local output = t.script([[
        local netns = require "netns"
        local held = {}
        for i = 1, 1300 do
          held[i] = assert(netns.new())
          assert(netns.set(held[i], i < 1200 and i or i * 100000))
        end
        local list = assert(netns.list_id())
        print(#list, list[#list].nsid)
      ]], "prlimit --nofile=20000 unshare -n")
      assert.equal("1300\t130000000", output)
    end)
end)
