-- Forked children that have no privilege left, while their parent lives on.

local netns = require "netns"
local t = require "spec.support"

-- A namespace whose lists come in several datagrams, and what to ask of it.
local WORK = [[
  local netns = require "netns"
  local ns = assert(netns.open %q)
  local LINKS = %d
  assert(#assert(ns:links()) == LINKS)
  assert(ns:sockets())
  local function work(rounds)
    for i = 1, rounds do
      local links, message = ns:links()
      if not links then error("links: " .. message) end
      if #links ~= LINKS then error("links: " .. #links) end
      for _, link in ipairs { "lo", "v1", "v2" } do
        local found, problem = ns:link(link)
        if not found then error("link: " .. problem) end
        if found.name ~= link then error("link: " .. found.name) end
      end
      local sockets, problem = ns:sockets()
      if not sockets then error("sockets: " .. problem) end
    end
  end
  local function child(rounds, drop)
    local pid = host.fork()
    if pid > 0 then return pid end
    local ok, problem = pcall(function()
      if drop then host.drop() end
      work(rounds)
    end)
    if not ok then print(problem) end
    os.exit(ok and 0 or 1, true)
  end
]]

local function run(text)
  local name, count = t.name(), 40
  local ns = assert(netns.add(name))
  t.keep { close = function()
    ns:close()
    assert(netns.delete(name))
  end }
  for i = 1, count, 2 do
    assert(ns:link_add { name = "v" .. i, kind = "veth",
      peer = { name = "v" .. i + 1 } })
  end
  return (t.script(WORK:format(name, count + 1) .. text,
    "env ASAN_OPTIONS=detect_leaks=0", t.host .. " 0")) -- it wants /proc
end

describe("a forked child without privileges", function()
  t.guard(before_each, after_each)

  it("has its answers while its parent asks as well", function()
    assert.equal("0", run(([[
      local pid = child(%d, true)
      work(%d)
      print(host.wait(pid))
    ]]):format(t.many(500), t.many(500))))
  end)

  it("has its answers beside others of its kind", function()
    assert.equal("0000", run(([[
      local pids = {}
      for i = 1, 4 do pids[i] = child(%d, true) end
      work(%d)
      for _, pid in ipairs(pids) do io.write(host.wait(pid)) end
    ]]):format(t.many(200), t.many(200))))
  end)

  it("has its answers when its parent is killed while it asks", function()
    -- the parent is a child, too; the grandchild writes what it comes to
    assert.equal("yes done", run(([[
      local path = os.tmpname()
      local parent = host.fork()
      if parent == 0 then
        local grandchild = host.fork()
        if grandchild == 0 then
          local file = assert(io.open(path, "w"))
          file:setvbuf "no"
          file:write "yes "
          host.drop()
          local ok, problem = pcall(work, %d)
          file:write(ok and "done" or problem)
          os.exit(ok, true)
        end
        while true do work(1) end
      end
      local function await(pattern)
        while true do
          local file = assert(io.open(path))
          local text = file:read "*a"
          file:close()
          if text:find(pattern) then return text end
        end
      end
      await "yes"
      os.execute("kill -9 " .. parent)
      host.wait(parent)
      print(await "yes .")
      os.remove(path)
    ]]):format(t.many(500))))
  end)

  it("leaves its parent's turn alone when it ends without having asked",
    function()
      assert.equal("", run(([[
        for i = 1, %d do
          local pid = child(0, true)
          work(5)
          assert(host.wait(pid) == 0)
        end
      ]]):format(t.many(50))))
    end)

  it("with privileges opens sockets of its own", function()
    assert.equal("0", run(([[
      local pid = child(%d, false)
      work(%d)
      print(host.wait(pid))
    ]]):format(t.many(100), t.many(100))))
  end)
end)
