local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

-- All events there are, as "action name-or-id" lines.
local function events(mon, timeout)
  local list = {}
  while true do
    local event = mon:read(timeout or 0.05)
    if not event then return list end
    list[#list + 1] = event.name and event.nsid
      and ("%s %d %s"):format(event.action, event.nsid, event.name)
      or event.action .. " " .. (event.name or event.nsid or "")
  end
end

-- Both ways to hear of mounts: the one of new kernels, and that of older ones.
local ways = { fanotify = true, mountinfo = false }

local function has_fanotify()
  local gate = assert(core.gate "test")
  local watch = assert(core.watch(gate, true))
  local found = false
  for _, fd in ipairs(core.readdir "/proc/self/fd") do
    local link = core.readlink("/proc/self/fd/" .. fd) or ""
    found = found or link:find "fanotify" ~= nil
  end
  watch:close()
  gate:close()
  return found
end

for way, fanotify in pairs(ways) do
  describe("monitor by " .. way, function()
    t.guard(before_each, after_each)

    -- A test with a monitor that uses this way.
    local function test(title, opts, body)
      it(title, function()
        if fanotify and not has_fanotify() then
          return pending "the kernel has no fanotify events of mounts (6.15)"
        end
        local watch = core.watch
        core.watch = function(gate) return watch(gate, fanotify) end
        local ok, mon = pcall(netns.monitor, opts)
        core.watch = watch
        assert(ok, mon)
        body(mon)
        mon:close()
      end)
    end

    test("tells of what ip adds and deletes", nil, function(mon)
      local name = t.name()
      assert.same({}, events(mon))
      t.must("ip netns add %s", name)
      assert.same({ "add " .. name }, events(mon))
      t.must("ip netns delete %s", name)
      assert.same({ "delete " .. name }, events(mon))
    end)

    test("tells of what we add, attach and delete", nil, function(mon)
      local one, two = t.name(), t.name()
      local ns = t.keep(assert(netns.add(one)))
      assert(netns.attach(two, ns)):close()
      assert.same({ "add " .. one, "add " .. two }, events(mon))
      netns.delete(one)
      netns.delete(two)
      assert.same({ "delete " .. one, "delete " .. two }, events(mon))
    end)

    test("reports a name when it can be opened, and not before", nil,
      function(mon)
        local name = t.name()
        t.must("touch /run/netns/%s", name)
        assert.same({}, events(mon))
        t.must("mount --bind /proc/self/ns/net /run/netns/%s", name)
        assert.same({ "add " .. name }, events(mon))
        netns.open(name):close()
        t.must("umount /run/netns/%s", name)
        assert.same({ "delete " .. name }, events(mon))
        t.must("rm /run/netns/%s", name)
        assert.same({}, events(mon))
      end)

    test("opens every name it reports, while they come fast", nil,
      function(mon)
        local pid = t.start "for i in $(seq 40); do ip netns add fast$i; done"
        for _ = 1, 40 do
          local event = assert(mon:read(60))
          assert.equal("add", event.action)
          assert(netns.open(event.name)):close()
        end
        t.eventually(function()
          return not t.runs(pid)
        end)
        netns.all.delete { only = "^fast" }
        assert.equal(40, #events(mon))
      end)

    test("keeps in step with many who add and delete at once", nil,
      function(mon)
        local prefix = t.name()
        local writers = {}
        for i = 1, 3 do
          writers[i] = t.background(([[
            local netns = require "netns"
            math.randomseed(%d)
            for _ = 1, 100 do
              local name = %q .. math.random(4)
              local ns = netns.add(name)
              if ns then ns:close() else netns.delete(name) end
            end
            assert(netns.add(%q)):close()
          ]]):format(i, prefix, prefix .. "-end" .. i))
        end
        local there, count, running = {}, 0, 3
        for event in function() return mon:read(running > 0 and 60 or 1) end do
          count = count + 1
          -- never twice the same of a name
          assert.not_equal(event.action == "add", there[event.name] or false)
          there[event.name] = event.action == "add"
          if event.name:find "%-end" then running = running - 1 end
        end
        for _, writer in ipairs(writers) do assert(writer:close()) end
        local left = {}
        for name, is in pairs(there) do
          if is then left[#left + 1] = name end
        end
        table.sort(left)
        assert.same(left, netns.names())
        assert.is_true(count > 20)
        netns.all.delete()
        assert.equal(#left, #events(mon))
      end)

    test("does not report a leftover that comes and goes", nil, function(mon)
      local name = t.name()
      t.must("touch /run/netns/%s; rm /run/netns/%s", name, name)
      assert.same({}, events(mon))
      t.must("touch /run/netns/%s", name)
      assert.same({}, events(mon))
      netns.delete(name)
      assert.same({}, events(mon))
    end)

    test("tells a symbolic link to a name from the name", nil, function(mon)
      local name, alias = t.name(), t.name()
      assert(netns.add(name)):close()
      t.must("ln -s /run/netns/%s /run/netns/%s", name, alias)
      assert.same({ "add " .. name, "add " .. alias }, events(mon))
      assert(netns.delete(alias))
      assert.same({ "delete " .. alias }, events(mon))
      t.must("umount /run/netns/%s", name)
      assert.same({ "delete " .. name }, events(mon))
      assert(netns.delete(name))
    end)

    test("reports what came and went before it was read", nil, function(mon)
      local name = t.name()
      for _ = 1, 3 do
        assert(netns.add(name)):close()
        assert(netns.delete(name))
      end
      local cycle = { "add " .. name, "delete " .. name }
      assert.same({ cycle[1], cycle[2], cycle[1], cycle[2], cycle[1],
        cycle[2] }, events(mon))
    end)

    test("reports what it has seen only when it was no longer mounted", nil,
      function(mon)
        local name = t.name()
        t.must("touch /run/netns/%s", name)
        t.must("mount --bind /proc/self/ns/net /run/netns/%s", name)
        t.must("umount /run/netns/%s", name)
        assert.same({}, events(mon))
        t.must("rm /run/netns/%s", name)
        assert.same({ "add " .. name, "delete " .. name }, events(mon))
      end)

    test("misses nothing that happens while it reads", nil, function(mon)
      -- a name comes and goes between the reading of files and of mounts
      local name = t.name()
      local sources = getmetatable(mon.watch).__index
      local files = sources.files
      sources.files = function(watch)
        sources.files = files
        local list = files(watch)
        assert(netns.add(name)):close()
        assert(netns.delete(name))
        return list
      end
      local first = assert(mon:read(60))
      assert.same({ "add", name }, { first.action, first.name })
      assert.same({ "delete " .. name }, events(mon))
    end)

    it("reports what exists, when asked", function()
      local names = { t.name(), t.name() }
      for i, name in ipairs(names) do
        assert(netns.add(name)):close()
        assert(netns.set(name, 40 + i))
      end
      t.must "touch /run/netns/leftover"
      local mon = assert(netns.monitor { existing = true, ids = true })
      assert.same({
        "add " .. names[1], "add " .. names[2],
        "add-id 41 " .. names[1], "add-id 42 " .. names[2],
      }, events(mon))
      mon:close()
      for _, result in ipairs(netns.all.delete { wait = 60 }) do
        assert.is_true(result.ok, result.message)
      end
    end)

    test("tells of ids, with the names it knows", { ids = true },
      function(mon)
        local name = t.name()
        local ns = assert(netns.add(name))
        t.must("ip netns set %s 31", name)
        local new = assert(netns.new())
        assert(netns.set(new, 32))
        assert.same({ "add " .. name, "add-id 31 " .. name, "add-id 32" },
          events(mon))
        new:close()
        assert(mon:read(60))
        ns:close()
        netns.delete(name)
        local list = { assert(mon:read(60)), assert(mon:read(60)) }
        table.sort(list, function(a, b) return a.action < b.action end)
        assert.same({
          { action = "delete", name = name },
          { action = "delete-id", nsid = 31, name = name },
        }, list)
      end)

    test("resyncs when the kernel drops events", nil, function(mon)
      -- the queue of inotify holds fs.inotify.max_queued_events
      local one, two, three = t.name(), t.name(), t.name()
      assert(netns.add(one)):close()
      assert(netns.add(two)):close()
      assert.equal(2, #events(mon))
      for _, name in ipairs(netns.names()) do
        assert.is_truthy(name == one or name == two)
      end
      local limit = tonumber(
        t.must "cat /proc/sys/fs/inotify/max_queued_events")
      t.must("cd /run/netns && seq -f flood%%.0f %d | xargs touch && "
        .. "seq -f flood%%.0f %d | xargs rm", limit, limit)
      assert(netns.delete(one))
      assert(netns.delete(two))
      assert(netns.add(two)):close()
      assert(netns.add(three)):close()
      local list = events(mon)
      local state = {}
      local resynced = false
      for _, line in ipairs(list) do
        local action, name = line:match "^(%S+) (.*)$"
        resynced = resynced or action == "resync"
        if action ~= "resync" then state[name] = action end
      end
      assert.is_true(resynced)
      assert.same({ [one] = "delete", [two] = "add", [three] = "add" }, state)
      netns.all.delete()
      assert.same({ "delete " .. two, "delete " .. three }, events(mon))
    end)

    test("is one descriptor to poll, readable while there are events",
      { ids = true }, function(mon)
        -- polled by another epoll set, whose own sources are read first
        local outer = core.gate "test"
        local sources = core.watch(outer, fanotify)
        assert(outer:add(mon:fd(), "test"))
        local function readable()
          local result
          for _ = 1, 3 do
            sources:files()
            sources:mounts()
            result = outer:wait(0)
          end
          return result
        end
        assert.is_false(readable())
        local name, other = t.name(), t.name()
        assert(netns.add(name)):close()
        assert(netns.add(other)):close()
        assert.is_true(readable())
        assert.equal("add", mon:read(0).action)
        assert.is_true(readable()) -- the second waits in the queue
        assert.equal("add", mon:read(0).action)
        assert.is_nil(mon:read(0))
        assert.is_false(readable())
        netns.all.delete()
        assert.equal(2, #events(mon))
        sources:close()
        outer:close()
      end)

    test("ends when nothing happens for its timeout", { timeout = 0.05 },
      function(mon)
        local name = t.name()
        assert(netns.add(name)):close()
        local list = {}
        for event in mon do list[#list + 1] = event.action end
        assert.same({ "add" }, list)
        local nothing, message, code = mon:read()
        assert.is_nil(nothing)
        assert.matches("^monitor: no event", message)
        assert.equal(errno.ETIMEDOUT, code)
        assert(netns.delete(name))
      end)

    it("works before there is a directory, and over another's coming",
      function()
        local output = t.script(([[
          local netns = require "netns"
          local core = require "netns.core"
          local watch = core.watch
          core.watch = function(gate) return watch(gate, %s) end
          local mon = assert(netns.monitor { timeout = 0.3 })
          os.execute "ip netns add first"
          for event in mon do print(event.action, event.name) end
          -- rootless covers the directory, or its parent, with a tmpfs
          os.execute "mount -t tmpfs x /run/netns"
          os.execute "ip netns add second"
          for event in mon do print(event.action, event.name) end
          mon:close()
        ]]):format(tostring(fanotify)), t.no_names)
        assert.equal("add\tfirst\ndelete\tfirst\nadd\tsecond", output)
      end)
  end)
end

describe("monitor", function()
  t.guard(before_each, after_each)

  it("does not spin while it waits", function()
    local mon = assert(netns.monitor { ids = true })
    local before = os.clock()
    assert.is_nil(mon:read(1))
    assert.is_true(os.clock() - before < 0.5)
    mon:close()
  end)

  it("resyncs when events of ids are lost", function()
    -- the first receiving after the id is assigned made to fail
    local output = t.script([[
      local netns = require "netns"
      local mon = assert(netns.monitor { ids = true, timeout = 0 })
      mon:read()
      local ns = assert(netns.new())
      assert(netns.set(ns, 5))
      for event in mon do print(event.action, event.nsid) end
    ]], "unshare -n " .. t.failing("recvfrom", "ENOBUFS", 4))
    assert.matches("resync\tnil", output)
    assert.matches("add%-id\t5", output)
  end)

  it("closes twice, and with the loop that uses it", function()
    local fds = #core.readdir "/proc/self/fd"
    if t.version >= 5.4 then
      for _ in netns.monitor { timeout = 0 } do break end -- luacheck: ignore
      assert.equal(fds, #core.readdir "/proc/self/fd")
    end
    local mon = assert(netns.monitor())
    assert.is_true(mon:close())
    assert.is_true(mon:close())
    assert.error_matches(function() mon:read(0) end, "monitor is closed")
    assert.error_matches(function() mon:fd() end, "monitor is closed")
  end)

  it("refuses unknown options", function()
    assert.error_matches(function() netns.monitor { id = true } end,
      "unknown key 'id' in 'monitor'")
    assert.error_matches(function() netns.monitor { timeout = -1 } end,
      "bad argument 'timeout' to 'monitor'")
  end)
end)
