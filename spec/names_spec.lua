local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

local function listed(name)
  for _, entry in ipairs(assert(netns.list())) do
    if entry.name == name then return entry end
  end
end

local function ip_lists(name)
  for line in (t.must "ip netns list" .. "\n"):gmatch "(.-)\n" do
    if line == name or line:gsub(" %(id: %d+%)$", "") == name then
      return true
    end
  end
  return false
end

describe("add", function()
  t.guard(before_each, after_each)

  it("makes a namespace that ip sees, can enter and delete", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    assert.is_true(ip_lists(name))
    assert.equal(ns:inode(), tonumber(
      t.must("ip netns exec %s readlink /proc/self/ns/net", name)
        :match "net:%[(%d+)%]"))
    t.must("ip netns delete %s", name)
    assert.is_nil(listed(name))
  end)

  it("makes a namespace that is not the caller's and has only lo", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    local here = t.keep(assert(netns.current()))
    assert.is_false(ns == here)
    assert.equal("lo", t.must("ip netns exec %s ls /sys/class/net", name))
    assert(netns.delete(name))
  end)

  it("sees, opens and deletes what ip adds", function()
    local name = t.name()
    t.must("ip netns add %s", name)
    local entry = listed(name)
    local ns = t.keep(assert(netns.open(name)))
    assert.equal(entry.inode, ns:inode())
    assert.is_true(netns.delete(name))
    assert.is_false(ip_lists(name))
  end)

  it("refuses a name that exists, and changes nothing", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    local inode = ns:inode()
    local nothing, message, code = netns.add(name)
    assert.is_nil(nothing)
    assert.equal(('add "%s": File exists'):format(name), message)
    assert.equal(errno.EEXIST, code)
    assert.equal(inode, listed(name).inode)
    assert(netns.delete(name))
  end)

  it("takes every name of 1 to 255 bytes that ip takes", function()
    for _, name in ipairs {
      "x", ("n"):rep(255), "with space", "ünïcode-名前", "-leading", "--all",
      "a.b", "...", "tab\there", "quote\"'",
    } do
      local ns = t.keep(assert(netns.add(name)))
      assert.equal(name, ns:name())
      assert.is_truthy(listed(name), name)
      assert.is_true(ip_lists(name), name)
      assert.same({ name }, assert(ns:names()))
      assert.is_true(netns.delete(name))
    end
  end)

  it("refuses what is no name with EINVAL", function()
    for _, name in ipairs {
      "", ("n"):rep(256), "a/b", "/", "a\0b", "\0", ".", "..", "../x",
    } do
      for _, call in ipairs {
        netns.add, netns.delete,
        function(n) return netns.attach(n, netns.current()) end,
      } do
        local nothing, message, code = call(name)
        assert.is_nil(nothing)
        assert.is_string(message)
        assert.equal(errno.EINVAL, code)
      end
    end
  end)

  it("raises an error for what is no string", function()
    for _, value in ipairs { 5, true, {}, print } do
      assert.error_matches(function() netns.add(value) end,
        "bad argument 'name' to 'add' %(string expected")
      assert.error_matches(function() netns.delete(value) end,
        "bad argument 'name' to 'delete' %(string expected")
      assert.error_matches(function() netns.attach(value, 1) end,
        "bad argument 'name' to 'attach' %(string expected")
    end
    assert.has_error(function() netns.add() end)
  end)

  it("keeps the namespace while only the handle is left", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    assert(netns.delete(name))
    assert.same({}, assert(ns:names()))
    assert.is_true(ns:exec { "true" })
  end)
end)

describe("add that fails at a step", function()
  t.guard(before_each, after_each)

  -- Each system call of add made to fail by strace; nothing may be left and
  -- the thread must be home.
  local script = [[
    local netns = require "netns"
    local core = require "netns.core"
    local before = core.readlink "/proc/thread-self/ns/net"
    local fds = #core.readdir "/proc/self/fd"
    local ns, message, errno = netns.add "%s"
    print(ns, errno, #core.readdir "/proc/self/fd" - fds,
      core.readlink "/proc/thread-self/ns/net" == before, message)
  ]]

  for _, case in ipairs {
    { "unshare", "ENOSPC", errno.ENOSPC },
    { "mount", "EPERM", errno.EPERM },
    { "flock", "ENOLCK", 37 },
    { "mkdir", "EACCES", errno.EACCES },
  } do
    it(("rolls back when %s fails"):format(case[1]), function()
      local name = t.name()
      local output = t.script(script:format(name),
        t.failing(case[1], case[2]))
      assert.equal(("nil\t%d\t0\ttrue\tadd \"%s\":")
        :format(case[3], name), output:match "^.-:")
      assert.is_nil(listed(name))
    end)
  end

  it("says so when the thread cannot be brought back, and gives no name",
    function()
      local name = t.name()
      local output = t.script(([[
        print(pcall(require "netns".add, %q))
      ]]):format(name), t.failing("setns", "EPERM", 2))
      assert.matches("^false\t.*this thread could not be brought back", output)
      assert.is_nil(listed(name))
    end)

  it("leaves a directory alone whose bind cannot be made shared", function()
    -- a directory of names that is no mount yet, in a mount namespace
    local output = t.script([[
      local netns = require "netns"
      print(select(3, netns.add "x"))
      for line in io.lines "/proc/self/mountinfo" do
        if line:find "/run/netns" then print(line) end
      end
      for _, name in ipairs(netns.names()) do print(name) end
    ]], t.no_names .. " " .. t.failing("mount", "EPERM", 4))
    assert.equal("1", output)
  end)
end)

describe("the directory of names", function()
  t.guard(before_each, after_each)

  it("is set up once, however many race for it", function()
    -- twenty processes at once, half of them ip, half of them this script
    local output = t.script(("local lua = %q"):format(t.lua) .. [=[

      if arg[1] then
        assert(require "netns".add(arg[1]))
        return
      end
      os.execute(([[
        for i in 1 2 3 4 5 6 7 8 9 10; do
          ip netns add ip$i &
          %s %s lua$i &
        done
        wait
        ip netns list | wc -l
        grep -c ' /run/netns ' /proc/self/mountinfo
        grep ' /run/netns ' /proc/self/mountinfo | grep -c shared:
        for name in $(ip netns list); do ip netns delete $name; done
        ls /run/netns | wc -l
      ]]):format(lua, arg[0]))
    ]=], t.no_names)
    assert.equal("20\n1\n1\n0", output)
  end)

  it("lets names reach, and leave, other mount namespaces", function()
    local name = t.name()
    local pid = t.start "exec unshare -m --propagation slave sleep 1000"
    t.eventually(function()
      return core.readlink(("/proc/%d/ns/mnt"):format(pid))
        ~= core.readlink "/proc/self/ns/mnt"
    end)
    local inside = ("nsenter -t %d -m stat -fc %%T /run/netns/%s")
      :format(pid, name)
    assert(netns.add(name)):close()
    assert.equal("nsfs", (t.sh((inside:gsub("%%", "%%%%")))))
    assert(netns.delete(name, { wait = 60 }))
    assert.not_equal("nsfs", (t.sh((inside:gsub("%%", "%%%%")))))
    t.stop(pid)
  end)

  it("need not exist for reading", function()
    local output = t.script([[
      local netns = require "netns"
      print(#netns.names(), #netns.list(), #netns.identify(),
        next(netns.all.pids()), #netns.all.delete())
    ]], t.no_names)
    assert.equal("0\t0\t0\tnil\t0", output)
  end)
end)

describe("attach", function()
  t.guard(before_each, after_each)

  it("names the namespace of a process, as ip sees it", function()
    local name = t.name()
    local pid = t.start "exec unshare -n sleep 1000"
    t.eventually(function()
      return core.readlink(("/proc/%d/ns/net"):format(pid))
        ~= core.readlink "/proc/self/ns/net"
    end)
    local ns = t.keep(assert(netns.attach(name, pid)))
    assert.equal(tostring(pid), t.must("ip netns pids %s", name))
    assert.equal(name, t.must("ip netns identify %d", pid))
    assert.equal(name, ns:name())
    t.stop(pid)
    assert(netns.delete(name))
  end)

  it("gives a handle without a name one", function()
    local name = t.name()
    local ns = t.keep(assert(netns.new()))
    assert.is_nil(ns:name())
    local other = t.keep(assert(netns.attach(name, ns)))
    assert.is_true(ns == other)
    assert.equal(name, ns:name())
    assert.is_true(ip_lists(name))
    assert(netns.delete(name))
  end)

  it("gives a namespace a second name, and ns:names tells both", function()
    local one, two = t.name(), t.name()
    local ns = t.keep(assert(netns.add(one)))
    assert(netns.attach(two, one)):close()
    assert.same({ one, two }, assert(ns:names()))
    assert(netns.delete(one))
    assert.same({ two }, assert(ns:names()))
    assert.same({ two }, assert(netns.names(two)))
    assert(netns.delete(two))
  end)

  it("refuses what is no network namespace, and a name that exists",
    function()
      local name = t.name()
      assert.equal(errno.EINVAL,
        (select(3, netns.attach(name, "/proc/self/ns/mnt"))))
      assert.equal(errno.ESRCH, (select(3, netns.attach(name, 0x7ffffffe))))
      assert.equal(errno.ENOENT, (select(3, netns.attach(name, t.name()))))
      assert.is_nil(listed(name))
      assert(netns.add(name)):close()
      assert.equal(errno.EEXIST, (select(3, netns.attach(name, name))))
      assert(netns.delete(name))
      assert.has_error(function() netns.attach(name) end)
    end)
end)

describe("delete", function()
  t.guard(before_each, after_each)

  it("says so when there is no such name", function()
    local name = t.name()
    local nothing, message, code = netns.delete(name)
    assert.is_nil(nothing)
    assert.equal(('delete "%s": No such file or directory'):format(name),
      message)
    assert.equal(errno.ENOENT, code)
  end)

  it("removes a leftover, which is listed as stale", function()
    local name = t.name()
    t.must("touch /run/netns/%s", name)
    assert.same({ name = name, stale = true }, listed(name))
    assert.equal(errno.EINVAL, (select(3, netns.open(name))))
    assert.is_true(netns.delete(name))
    assert.is_nil(listed(name))
  end)

  it("removes a symbolic link and leaves what it leads to", function()
    local name = t.name()
    local ns = t.keep(assert(netns.current()))
    t.must("ln -s /proc/self/ns/net /run/netns/%s", name)
    assert.equal(ns:inode(), listed(name).inode)
    assert.is_true(netns.delete(name))
    assert.is_nil(listed(name))
  end)

  it("unmounts only namespaces", function()
    local name = t.name()
    t.must("mkdir /run/netns/%s && mount -t tmpfs x /run/netns/%s", name, name)
    local nothing, _, code = netns.delete(name)
    assert.is_nil(nothing)
    assert.is_truthy(code == 16 or code == 21, code) -- EBUSY, EISDIR
    assert.equal("tmpfs", t.must("stat -fc %%T /run/netns/%s", name))
    t.must("umount /run/netns/%s && rmdir /run/netns/%s", name, name)
  end)

  it("takes away all that are mounted on one name", function()
    local name = t.name()
    assert(netns.add(name)):close()
    t.must("mount --bind /proc/self/ns/net /run/netns/%s", name)
    assert.is_true(netns.delete(name))
    assert.is_nil(listed(name))
  end)

  it("loses nothing when the file cannot be removed", function()
    local output, status = t.script([[
      local netns = require "netns"
      local ns = assert(netns.add "kept")
      local inode = ns:inode()
      os.execute "mount -o remount,ro,bind /run/netns"
      local ok, message, errno = netns.delete "kept"
      print(ok, errno, netns.open "kept" == ns)
      os.execute "mount -o remount,rw,bind /run/netns"
      print(netns.delete "kept")
    ]], t.no_names)
    assert.equal(0, status)
    assert.equal("nil\t30\ttrue\ntrue", output)
  end)

  it("with kill ends the processes inside first #novalgrind", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local pids = {
      t.sleeper("/run/netns/" .. name), t.sleeper("/run/netns/" .. name),
    }
    table.sort(pids)
    assert.same(pids, assert(netns.pids(name)))
    assert.is_true(netns.delete(name, { kill = true, wait = 60 }))
    t.eventually(function()
      return not t.runs(pids[1])
        and not t.runs(pids[2])
    end)
  end)

  it("with kill refuses to kill the caller", function()
    local name = t.name()
    local here = t.keep(assert(netns.current()))
    assert(netns.attach(name, here)):close()
    local nothing, message, code = netns.delete(name, { kill = true })
    assert.is_nil(nothing)
    assert.matches("the caller", message)
    assert.equal(errno.EBUSY, code)
    assert.is_truthy(listed(name))
    assert(netns.delete(name))
  end)

  it("with wait returns when the namespace is gone", function()
    local name = t.name()
    local ns = assert(netns.add(name))
    local cookie = ns:cookie()
    ns:close()
    assert.is_true(netns.delete(name, { wait = 60 }))
    assert.is_number(cookie)
  end)

  it("with wait is not held up by a handle that nobody has", function()
    local name = t.name()
    assert(netns.add(name)) -- and dropped
    assert.is_true(netns.delete(name, { wait = 60 }))
  end)

  it("with wait names what still holds the namespace #novalgrind", function()
    local name = t.name()
    local other = t.name()
    assert(netns.add(name)):close()
    local pid = t.sleeper("/run/netns/" .. name)
    assert(netns.attach(other, name)):close()
    local ns = assert(netns.open(name))
    local sock = assert(ns:socket("inet", "dgram"))
    local fd, sock_fd = ns:fd(), sock:fd()
    local nothing, message, code = netns.delete(name, { wait = 0.05 })
    assert.is_nil(nothing)
    assert.equal(errno.ETIMEDOUT, code)
    assert.matches(("process %d %%(sleep%%)"):format(pid), message)
    assert.matches(("descriptor %d of process"):format(fd), message)
    assert.matches(("socket %d of process"):format(sock_fd), message)
    assert.matches("mount /run/netns/" .. other:gsub("%-", "%%-"), message)
    assert.is_nil(listed(name))
    ns:close()
    sock:close()
    t.stop(pid)
    assert.is_true(netns.delete(other, { wait = 60 }))
  end)

  it("with wait leaves no id behind", function()
    local before = #assert(netns.list_id())
    local name = t.name()
    assert(netns.add(name)):close()
    assert(netns.delete(name, { wait = 60 }))
    assert.equal(before, #assert(netns.list_id()))
  end)

  it("refuses unknown options and wrong types", function()
    assert.error_matches(function() netns.delete("x", { force = true }) end,
      "unknown key 'force' in 'delete'")
    assert.error_matches(function() netns.delete("x", { wait = "1" }) end,
      "bad argument 'wait' to 'delete'")
    assert.error_matches(function() netns.delete("x", { wait = -1 }) end,
      "bad argument 'wait' to 'delete'")
    assert.error_matches(function() netns.delete("x", 5) end,
      "bad argument 'opts' to 'delete' %(table expected, got number")
  end)
end)

describe("list and names", function()
  t.guard(before_each, after_each)

  it("agree with each other and with ip, sorted", function()
    local made = {}
    for i = 1, 30 do
      made[i] = t.name()
      assert(netns.add(made[i])):close()
    end
    t.must("ip netns set %s 77", made[3])
    table.sort(made)
    assert.same(made, assert(netns.names()))
    local names, with_id = {}, nil
    for i, entry in ipairs(assert(netns.list())) do
      names[i] = entry.name
      if entry.id then with_id = entry end
      assert.is_nil(entry.stale)
    end
    assert.same(made, names)
    assert.equal(77, with_id.id)
    assert.equal(("%s (id: 77)"):format(with_id.name),
      t.must "ip netns list | grep id")
    netns.all.delete()
  end)

  it("tell a namespace of another kind from a network one", function()
    local name = t.name()
    t.must("touch /run/netns/%s && mount --bind /proc/self/ns/uts "
      .. "/run/netns/%s", name, name)
    assert.same({ name = name, stale = true }, listed(name))
    assert.equal(errno.EINVAL, (select(3, netns.open(name))))
    assert.is_true(netns.delete(name))
  end)
end)

describe("a process without descriptors", function()
  t.guard(before_each, after_each)

  it("is told so, and takes no name for a leftover", function()
    local output = t.script([[
      local netns = require "netns"
      local E = netns.errno.EMFILE
      for i = 1, 3 do netns.add("v" .. i):close() end
      local mon = netns.monitor()
      local held = {}
      repeat held[#held + 1] = io.open "/dev/null" until #held == 60
        or not io.open "/dev/null"
      collectgarbage "stop"
      for free = 0, 9 do
        for i = 1, free do held[#held]:close() held[#held] = nil end
        local list, _, errno = netns.list()
        if list then
          for _, entry in ipairs(list) do assert(not entry.stale) end
        else
          assert(errno == E)
        end
        local ids, _, number = netns.list_id()
        assert(ids or number == E)
        local new, _, code = netns.monitor { existing = true }
        assert(new or code == E)
        for _ = 1, new and 3 or 0 do
          assert(assert(new:read(0)).action == "add")
        end
        if new then new:close() end
        for i = 1, free do held[#held + 1] = assert(io.open "/dev/null") end
      end
      local ok, _, errno = netns.delete("v1", { kill = true, wait = 1 })
      assert(not ok and errno == E)
      for _, file in ipairs(held) do file:close() end
      collectgarbage()
      print(#netns.list(), #netns.names(), mon:read(0))
    ]], t.no_names .. " prlimit --nofile=64 ")
    assert.matches("^3\t3\tnil\tmonitor: no event", output)
  end)
end)

describe("identify", function()
  t.guard(before_each, after_each)

  it("gives every name of a process's namespace", function()
    local one, two = t.name(), t.name()
    assert(netns.add(one)):close()
    assert(netns.attach(two, one)):close()
    local pid = t.sleeper("/run/netns/" .. one)
    assert.same({ one, two }, assert(netns.identify(pid)))
    assert.same({}, assert(netns.identify()))
    assert.same({ one, two }, netns.call(one, netns.identify))
    t.stop(pid)
    assert.equal(errno.ESRCH, (select(3, netns.identify(pid))))
    netns.all.delete()
  end)
end)

describe("pids", function()
  t.guard(before_each, after_each)

  it("agree with ip, ascending, for a name or a handle", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    assert.same({}, assert(ns:pids()))
    local pids = {}
    for i = 1, 3 do pids[i] = t.sleeper("/run/netns/" .. name) end
    table.sort(pids)
    assert.same(pids, assert(ns:pids()))
    assert.same(pids, assert(netns.pids(name)))
    assert.equal(table.concat(pids, "\n"), t.must("ip netns pids %s", name))
    assert.same({ [name] = pids }, assert(netns.all.pids()))
    for _, pid in ipairs(pids) do t.stop(pid) end
    assert(netns.delete(name))
    assert.equal(errno.ENOENT, (select(3, netns.pids(name))))
  end)
end)
