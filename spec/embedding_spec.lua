local netns = require "netns"
local t = require "spec.support"

-- In front of a command: an ordinary user with these capabilities, which are
-- ambient, so that they outlive an exec, as systemd gives them. An empty set
-- is written "-all".
local function with(capabilities)
  local set = "-all"
  for capability in capabilities:gmatch "%S+" do
    set = set .. ",+" .. capability
  end
  local caps = t.quote(set)
  return ("setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "
    .. "--inh-caps %s --ambient-caps %s --bounding-set %s"):format(
      caps, caps, caps)
end

-- Tries everything once, and prints what it was allowed to do.
local TRIAL = [[
  local netns = require "netns"
  local core = require "netns.core"
  local name, sleeper, reachable = %q, %d, %q
  local errno = netns.errno
  local here = netns.current()
  local function try(what, ok, message, code)
    if ok then
      print(what)
    elseif code ~= errno.EPERM and code ~= errno.EACCES then
      print("wrong: " .. what, message, code)
    end
  end
  try("names", #netns.names() > 0)
  try("list", netns.list())
  try("open", netns.open(name))
  try("identify", netns.identify(name))
  local monitor, message, code = netns.monitor()
  try("monitor", monitor, message, code)
  monitor, message, code = here:monitor_links()
  try("own monitor_links", monitor, message, code)
  try("own links", here:links())
  try("own sockets", here:sockets())
  try("own exec", here:exec({ "true" }, { mounts = false }))
  try("own link_set", here:link_set("lo", { up = true }))
  local found = core.readlink(("/proc/%%d/ns/net"):format(sleeper))
  try("open pid", netns.open(sleeper))
  try("pids", found and #netns.pids(name) > 0, "", errno.EPERM)
  try("set", netns.set(name, "auto"))
  try("new", netns.new())
  try("call", netns.call(name, function() return true end))
  try("socket", netns.socket(name, "inet", "dgram"))
  try("raw socket", netns.socket(name, "inet", "raw", 1))
  try("exec", netns.exec(name, { "true" }))
  try("links", netns.links(name))
  try("sockets", netns.sockets(name))
  try("sysctl", netns.sysctl(name, "net.ipv4.ip_forward"))
  try("sysctl write", netns.sysctl(name, "net.ipv4.ip_forward", 1))
  try("link_set", netns.link_set(name, "lo", { up = true }))
  try("monitor_links", netns.monitor_links(name))
  try("add", netns.add(reachable))
  if netns.names()[2] then try("delete", netns.delete(reachable)) end
]]

local READING = {
  "names", "list", "open", "identify", "monitor", "own monitor_links",
  "own links", "own sockets",
}
local ENTERING = {
  "own exec", "new", "call", "socket", "exec", "links", "sockets", "sysctl",
  "monitor_links",
}

local function joined(...)
  local all = {}
  for _, list in ipairs { ... } do
    for _, what in ipairs(list) do all[#all + 1] = what end
  end
  table.sort(all)
  return all
end

describe("an ordinary user", function()
  t.guard(before_each, after_each)

  for capabilities, more in pairs {
    [""] = {},
    sys_admin = ENTERING,
    net_admin = { "own link_set", "set" },
    sys_ptrace = { "open pid", "pids" },
    ["sys_admin net_admin"] = joined(ENTERING,
      { "own link_set", "set", "sysctl write", "link_set" }),
    ["sys_admin net_raw"] = joined(ENTERING, { "raw socket" }),
    ["sys_admin dac_override"] = joined(ENTERING, { "add", "delete" }),
  } do
    it(("with %s may do what the README says"):format(capabilities == ""
      and "no capability" or capabilities), function()
      local name = t.name()
      assert(netns.add(name)):close()
      local pid = t.sleeper(netns.run_dir .. "/" .. name)
      local output = t.script(TRIAL:format(name, pid, t.name()),
        with(capabilities))
      local allowed = {}
      for line in output:gmatch "[^\n]+" do allowed[#allowed + 1] = line end
      table.sort(allowed)
      t.stop(pid)
      assert(netns.delete(name))
      assert.same(joined(READING, more), allowed)
    end)
  end

  it("hands ambient capabilities on to programs, but not a file's", function()
    local text = [[
      local ns = assert(require "netns".new())
      print((assert(ns:capture { "grep", "CapEff", "/proc/self/status" }).stdout
        :gsub("%s+", " ")))
    ]]
    assert.equal("CapEff: 0000000000200000 ",
      (t.script(text, with "sys_admin")))
    if select(2, t.sh "command -v setcap") ~= 0 then
      return pending "setcap is not installed"
    end
    local copy = os.tmpname()
    t.keep { close = function() os.remove(copy) end }
    local lua, more = t.lua:match "^(%S+)(.*)$"
    t.must("cp $(command -v %s) %s && chmod 755 %s", lua, copy, copy)
    t.must("setcap cap_sys_admin+ep %s", copy)
    local output = t.script(text,
      t.nobody .. " env ASAN_OPTIONS=detect_leaks=0", copy .. more)
    assert.equal("CapEff: 0000000000000000 ", output)
  end)
end)

describe("a host without privileges and file system", function()
  t.guard(before_each, after_each)

  it("goes on with what it has opened before", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    t.keep { close = function()
      ns:close()
      assert(netns.delete(name))
    end }
    local output = t.script(([[
      local netns = require "netns"
      local EPERM = netns.errno.EPERM
      local ns = assert(netns.open %q)
      assert(ns:links())
      assert(ns:sockets())
      local monitor = assert(ns:monitor_links())
      local process = assert(ns:spawn({ "sh", "-c", "read x; exit 3" },
        { stdin = "pipe" }))
      print "ready"
      io.stdout:flush()
      host.drop()
      print(#ns:links(), #ns:addrs(), #ns:sockets(), ns:link "lo".name)
      for _, list in ipairs { "routes", "neighs", "rules", "qdiscs" } do
        assert(ns[list](ns))
      end
      print(select(3, ns:link_set("lo", { up = true })) == EPERM)
      process.stdin:write "\n"
      process.stdin:close()
      print(process:wait(60))
      process:close()
      print(ns:socket("inet", "dgram"))
      print(monitor:read(60).link.name)
    ]]):format(name), "env ASAN_OPTIONS=detect_leaks=0", -- it wants /proc
      ("sh -c '%s 0 $1 | while read line; do "
      .. "[ \"$line\" != ready ] || ip -n %s link add br0 type bridge; "
      .. "echo \"$line\"; done' -"):format(t.host, name))
    local lines = {}
    for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("ready", lines[1], output)
    assert.matches("^[12]%s0%s0%slo$", lines[2])
    assert.equal("true", lines[3])
    assert.matches("^nil%sexit%s3$", lines[4])
    assert.matches("^nil%ssocket ", lines[5])
    assert.equal("br0", lines[6])
  end)
end)

describe("the end of a namespace", function()
  t.guard(before_each, after_each)

  it("is an event, which delete{wait=} need not be called for", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    local id = assert(netns.set(name, "auto"))
    local monitor = t.keep(assert(netns.monitor { ids = true, timeout = 60 }))
    assert(netns.delete(name))
    assert.equal("delete", monitor:read().action)
    assert.is_nil((monitor:read(0))) -- a handle is on it
    ns:close()
    local event = assert(monitor:read())
    assert.same({ "delete-id", id }, { event.action, event.nsid })
  end)
end)
