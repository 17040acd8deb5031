local netns = require "netns"
local t = require "spec.support"

-- A host with a handle that it has used, which forks; the child goes on.
local prelude = [[
  local netns = require "netns"
  local core = require "netns.core"
  local function sockets()
    local list = {}
    for _, fd in ipairs(core.readdir "/proc/self/fd") do
      local link = core.readlink("/proc/self/fd/" .. fd) or ""
      if link:find "^socket:" then list[#list + 1] = link end
    end
    table.sort(list)
    return table.concat(list, " ")
  end
  local function wait_for_end(pid)
    while core.readlink(("/proc/%%d/ns/net"):format(pid)) do
      core.pause(0.001)
    end
  end
  local function self()
    return tonumber((core.readlink "/proc/self"))
  end
  local ns = assert(netns.open %q)
  local COUNT = #assert(ns:links())
  assert(ns:sockets())
  local function look()
    assert(#assert(ns:links()) == COUNT)
    assert(ns:link "lo".name == "lo")
    assert(#assert(ns:sockets()) == 0)
  end
  local mine, parent = sockets(), self()
]]

describe("a forked child", function()
  t.guard(before_each, after_each)

  local function run(text)
    local name = t.name()
    local ns = assert(netns.add(name))
    t.keep { close = function()
      ns:close()
      assert(netns.delete(name))
    end }
    for i = 1, 100 do
      assert(ns:link_add { name = "v" .. i, kind = "veth" })
    end
    -- what the child prints belongs to it, too; the leak sanitizer wants /proc
    return t.script(prelude:format(name) .. text,
      "env ASAN_OPTIONS=detect_leaks=0",
      ("timeout -s KILL 60 sh -c '%s 0 $1 | cat' -"):format(t.host))
  end

  it("goes on with the sockets of a parent that has ended", function()
    assert.equal("same", (run [[
      if host.fork() > 0 then os.exit(0) end
      wait_for_end(parent)
      look()
      print(sockets() == mine and "same" or "others")
    ]]))
  end)

  it("goes on with those of a parent that has become another program",
    function()
      assert.equal("same", (run [[
        if host.fork() > 0 then host.execute("sleep", "1") end
        local path = ("/proc/%d/exe"):format(parent)
        local before = core.readlink(path)
        while core.readlink(path) == before do core.pause(0.001) end
        look()
        print(sockets() == mine and "same" or "others")
        wait_for_end(parent)
      ]]))
    end)

  it("reads none of the answers that were for the parent", function()
    for _ = 1, 10 do
      assert.matches("%f[%a]same%f[%A]", (run [[
        if host.fork() > 0 then
          while true do ns:links() end
        end
        core.pause(0.05)
        os.execute("kill -9 " .. parent) -- most likely in the midst of a list
        wait_for_end(parent)
        look()
        print(sockets() == mine and "same" or "others")
      ]]))
    end
  end)

  it("needs neither privilege nor file system for it", function()
    assert.equal("refused\nright", (run [[
      local pid = host.fork()
      if pid == 0 then
        host.drop()
        -- the parent has them yet, and there is no way to others
        local list, message, errno = ns:links()
        print(list == nil and errno and "refused" or message)
        io.stdout:flush()
        os.exit(0)
      end
      host.wait(pid)
      if host.fork() > 0 then os.exit(0) end
      wait_for_end(parent)
      host.drop()
      look()
      print "right"
    ]]))
  end)
end)
