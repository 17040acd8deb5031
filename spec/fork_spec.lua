local t = require "spec.support"

-- Every script starts with these: what is in the child has to come to its end
-- without an error, and so does the closing of the child's Lua state.
local prelude = [[
  local netns = require "netns"
  local core = require "netns.core"
  local host = host
  local function in_child(what, fn)
    io.stdout:flush()
    local pid = host.fork()
    if pid > 0 then
      local code = host.wait(pid)
      if code ~= 0 then print(what, "exit", code) end
      return
    end
    local ok, message = pcall(fn)
    if not ok then print(what, message) end
    os.exit(ok and 0 or 1, true)
  end
  local function collect()
    collectgarbage()
    collectgarbage()
  end
  -- The ways of a child to be rid of an object; `drop` forgets it.
  local function be_rid(object, drop)
    in_child("end", function() end)
    in_child("close", function() assert(object:close()) end)
    in_child("collect", function()
      object = nil
      drop()
      collect()
    end)
  end
  local function refused(message, fn, ...)
    local ok, text = pcall(fn, ...)
    assert(not ok and text:find(message, 1, true), text)
  end
]]

-- Runs a script in the main thread of a host, and in another one; what it
-- printed.
local function run(text)
  for _, threads in ipairs { 0, 1 } do
    -- the leak sanitizer looks for the threads, which a child does not have
    local before = threads == 1 and "env ASAN_OPTIONS=detect_leaks=0" or ""
    local output, code = t.script(prelude .. text,
      before .. " timeout -s KILL 200", ("%s %d"):format(t.host, threads))
    if code ~= 0 or output ~= "" then
      return ("%d threads, exit status %d: %s"):format(threads, code, output)
    end
  end
  return ""
end

describe("a forked child", function()
  t.guard(before_each, after_each)

  it("takes no event from the parent's monitor", function()
    local name = t.name()
    assert.equal("", run(("local NAME = %q\n"):format(name) .. [[
      local ns = assert(netns.new())
      local function use(monitor)
        local foreign = "monitor belongs to the process that opened it"
        refused(foreign, monitor.read, monitor, 0)
        refused(foreign, monitor.read, monitor)
        refused(foreign, monitor.fd, monitor)
        refused(foreign, function() for _ in monitor do break end end)
      end
      local function expect(monitor, action)
        local event = assert(monitor:read(60))
        assert(event.action == action and event.name == NAME, event.action)
      end
      local monitor = assert(netns.monitor { ids = true })
      in_child("nothing to read", function() use(monitor) end)
      assert(netns.add(NAME)):close() -- told to none yet
      in_child("an event to read", function() use(monitor) end)
      be_rid(monitor, function() monitor = nil end)
      assert(monitor.gate:wait(60))
      expect(monitor, "add")
      assert(not monitor.gate:wait(0))
      be_rid(monitor, function() monitor = nil end)
      assert(netns.delete(NAME))
      assert(monitor.gate:wait(60), "asleep")
      expect(monitor, "delete")
      local id = assert(netns.set(ns, "auto"))
      in_child("an id", function() use(monitor) end)
      local event
      repeat event = assert(monitor:read(60)) until event.nsid == id
      assert(event.action == "add-id")
      ns:close()
      -- which takes a while, and would come to the monitor of the next run
      repeat event = assert(monitor:read(60)) until event.nsid == id
      assert(event.action == "delete-id")
      monitor:close()

      -- events that wait in Lua
      assert(netns.add(NAME)):close()
      monitor = assert(netns.monitor { existing = true })
      be_rid(monitor, function() monitor = nil end)
      in_child("waiting", function() use(monitor) end)
      assert(monitor.gate:wait(0))
      repeat until assert(monitor:read(0)).name == NAME
      monitor:close()
      assert(netns.delete(NAME))
    ]]))
  end)

  it("takes no event from the parent's link monitor", function()
    assert.equal("", run [[
      local ns = assert(netns.new())
      local monitor = assert(ns:monitor_links())
      local function use()
        local foreign = "monitor belongs to the process that opened it"
        refused(foreign, monitor.read, monitor, 0)
        refused(foreign, monitor.fd, monitor)
        refused(foreign, function() for _ in monitor do break end end)
      end
      for _, name in ipairs { "v0", "v1" } do
        in_child("use", use)
        be_rid(monitor, function() monitor = nil end)
        assert(ns:link_add { name = name, kind = "veth",
          peer = { name = name .. "p" } })
        in_child("use", use)
        be_rid(monitor, function() monitor = nil end)
        assert(monitor.gate:wait(60), "asleep")
        local seen = {}
        repeat
          local event = assert(monitor:read(60))
          if event.link then seen[event.link.name] = true end
        until seen[name] and seen[name .. "p"]
        while monitor:read(0) do end
      end
      monitor:close()
      ns:close()
    ]])
  end)

  it("has monitors of its own", function()
    local name = t.name()
    assert.equal("", run(("local NAME = %q\n"):format(name) .. [[
      local ns = assert(netns.new())
      local monitor = assert(netns.monitor())
      in_child("own", function()
        local own = assert(netns.monitor())
        local links = assert(ns:monitor_links())
        assert(netns.add(NAME)):close()
        assert(netns.delete(NAME))
        assert(own:read(60).action == "add")
        assert(own:read(60).action == "delete")
        assert(ns:link_set("lo", { up = true }))
        assert(links:read(60))
      end)
      assert(monitor:read(60).action == "add")
      assert(monitor:read(60).action == "delete")
      monitor:close()
      ns:close()
    ]]))
  end)

  it("uses a handle of the parent's, and leaves it as it was", function()
    assert.equal("", run [[
      local home = assert(netns.current())
      local ns = assert(netns.new()) -- there by this handle alone
      assert(ns:exec({ "true" }, { mounts = "shared" }))
      assert(#ns:links() > 0) -- has its socket
      local fds = #core.readdir "/proc/self/fd"
      local function use()
        for i = 1, 20 do
          assert(ns:call(function() return netns.current() == ns end))
          assert(netns.current() == home)
          assert(ns:link_set("lo", { mtu = 1000 + i }))
          assert(ns:link "lo".mtu == 1000 + i)
          assert(ns:wait_link("lo", { timeout = 60 }))
          assert(ns:exec({ "true" }, { mounts = "shared" }))
        end
      end
      in_child("use", use)
      use()
      be_rid(ns, function() ns = nil end)
      use()
      -- forked inside
      ns:call(function()
        local pid = host.fork()
        assert(netns.current() == ns)
        if pid == 0 then return end
        assert(host.wait(pid) == 0)
      end)
      assert(netns.current() == home)
      if not ns:link "lo" then print "lost" end
      collect()
      assert(#core.readdir "/proc/self/fd" == fds)
      ns:close()
    ]])
  end)

  it("leaves the parent's socket open", function()
    assert.equal("", run [[
      local ns = assert(netns.new())
      local socket = assert(ns:socket("inet", "dgram"))
      local path = "/proc/self/fd/" .. socket:fd()
      local before = assert(core.readlink(path))
      be_rid(socket, function() socket = nil end)
      in_child("detach", function() socket:detach() end)
      assert(core.readlink(path) == before)
      socket:close()
      ns:close()
    ]])
  end)

  it("does not signal the parent's program", function()
    assert.equal("", run [[
      local ECHILD, ETIMEDOUT = core.errno.ECHILD, core.errno.ETIMEDOUT
      local ns = assert(netns.new())
      local process = assert(ns:spawn({ "sleep", "1000" }, { mounts = false }))
      in_child("kill", function()
        for _, signal in ipairs { "TERM", "KILL", "USR1", 0 } do
          local ok, message, errno = process:kill(signal)
          assert(ok == nil and errno == ECHILD, message)
          assert(message:find "No child processes")
        end
        assert(select(3, process:wait(0)) == ETIMEDOUT)
        assert(tostring(process):find "running")
        assert(process:fd())
      end)
      be_rid(process, function() process = nil end)
      assert(select(3, process:wait(0.1)) == ETIMEDOUT)
      assert(process:kill "USR1")
      local _, _, how, code = process:wait()
      assert(how == "signal" and code == core.signals.USR1)
      process:close()
      ns:close()
    ]])
  end)

  it("says nothing to the parent's program", function()
    assert.equal("", run [[
      local ns = assert(netns.new())
      local process = assert(ns:spawn({ "cat" },
        { stdin = "pipe", stdout = "pipe", mounts = false }))
      process.stdin:write "once " -- waits in the buffer for the line's end
      be_rid(process, function() process = nil end)
      in_child("close", function() process.stdin:close() end)
      in_child("flush", function()
        local ok, _, errno = process.stdin:flush()
        assert(not ok and errno == core.errno.EBADF)
      end)
      in_child("write", function() process.stdin:write "more\n" end)
      assert(process.stdin:write "and for all\n")
      process.stdin:close()
      local text = process.stdout:read "*a"
      if text ~= "once and for all\n" then print(text) end
      assert(process:wait())
      process:close()
      ns:close()
    ]])
  end)

  it("leaves the parent's lab, its names and its programs", function()
    local name = t.name()
    assert.equal("", run(("local NAME = %q\n"):format(name) .. [[
      local topology = require "netns.topology"
      local lab = assert(topology.build {
        named = true, links = { NAME .. "-a -- " .. NAME .. "-b" } })
      local a = lab[NAME .. "-a"]
      local process = assert(a:spawn { "sleep", "1000" })
      be_rid(lab, function() lab, a, process = nil, nil, nil end)
      assert(#netns.names() == 2)
      assert(a:ping(lab[NAME .. "-b"]))
      local ok, _, errno = process:wait(0)
      assert(not ok and errno == core.errno.ETIMEDOUT)
      lab:close()
      assert(#netns.names() == 0)
      local _, _, how = process:wait()
      assert(how == "signal")
      process:close()
    ]]))
  end)
end)
