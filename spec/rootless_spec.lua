local netns = require "netns"
local t = require "spec.support"

-- Every script starts with these, and cannot undo what it does, so each has a
-- process of its own.
local prelude = [[
  local netns = require "netns"
  local core = require "netns.core"

  local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
  end
  local function count(list) return #assert(core.readdir(list)) end
  local function where()
    return table.concat({
      core.readlink "/proc/self/ns/user", core.readlink "/proc/self/ns/net",
      core.readlink "/proc/self/ns/mnt", read "/proc/self/mountinfo",
      read "/proc/self/status":match "\nUid:[^\n]*\nGid:[^\n]*",
      read "/proc/self/status":match "\nCapEff:[^\n]*",
      table.concat(core.readdir "/proc/self/fd", " "),
    }, "\n")
  end
  -- What is refused must leave the process as it was.
  local function refused()
    local before = where()
    local ok, message, errno = netns.rootless()
    assert(ok == nil and where() == before)
    print(message)
    for name, number in pairs(netns.errno) do
      if number == errno then print(name) end
    end
  end
  local function become() assert(netns.rootless() == true) end
]]

local function run(text, before, lua)
  return (t.script(prelude .. text, before or t.nobody, lua))
end

-- In front of a command, which then sees another value of a sysctl: the file is
-- covered, and the sysctl itself is as it was.
local function pretend(name, value)
  return ("unshare -m sh -c 'mount -t tmpfs sysctl /proc/sys/kernel; "
    .. "echo %s >/proc/sys/kernel/%s; exec \"$@\"' - "):format(value, name)
    .. t.nobody
end

-- The same in a user namespace where a limit is another one.
local function limited(kind, value)
  return t.nobody .. (" unshare -Ur sh -c 'echo %d >/proc/sys/user/"
    .. "max_%s_namespaces; exec \"$@\"' -"):format(value, kind)
end

-- In front of a command: a /run of its own, with something of each kind. `more`
-- is done there before.
local function with_run(more)
  return ("unshare -m sh -c 'mount -t tmpfs run /run; cd /run; mkdir a a/b c; "
    .. "echo in >a/b/file; echo file >plain; mkfifo fifo; mkdir -m 700 locked; "
    .. "touch locked/x \"a name\" over; ln -s a/b link; ln -s /nowhere dead; "
    .. "mount -t tmpfs sub c; echo sub >c/file; mkdir c/deep; "
    .. "mount -t tmpfs deep c/deep; mount --make-unbindable c/deep; "
    .. "echo deep >c/deep/file; mount --bind plain over; "
    .. "python3 -c \"import socket; socket.socket(1).bind(chr(115))\"; "
    .. "%s cd \"$OLDPWD\"; exec \"$@\"' - "):format(more or "") .. t.nobody
end

-- In front of a command: a root directory of its own, which is a mount or not.
local function in_chroot(mounted)
  return ("unshare -m sh -c 'mount -t tmpfs run /run; r=/run/r%s; mkdir -p $r; "
    .. "mkdir $r/tree; mount --bind . $r/tree; "
    .. "for d in bin etc lib lib64 usr proc tmp dev sys run; do "
    .. "if [ -d /$d ]; then mkdir $r/$d; mount --rbind /$d $r/$d; fi; done; "
    .. "exec chroot $r sh -c \"cd /tree && exec \\\"\\$@\\\"\" - \"$@\"' - ")
    :format(mounted and "; mkdir $r; mount -t tmpfs r $r" or "") .. t.nobody
end


describe("rootless #novalgrind", function()
  t.guard(before_each, after_each)

  it("makes a user's process root of namespaces of its own", function()
    assert.equal([[
true
true	true	true
0 65534 1
0 65534 1
deny
lo: <LOOPBACK,UP,LOWER_UP>
0 0
true]], run [[
      local kinds, before = { "user", "net", "mnt" }, {}
      for i, kind in ipairs(kinds) do
        before[i] = core.readlink("/proc/self/ns/" .. kind)
      end
      local descriptors = table.concat(core.readdir "/proc/self/fd", " ")
      print(netns.rootless())
      for i, kind in ipairs(kinds) do
        before[i] = core.readlink("/proc/self/ns/" .. kind) ~= before[i]
      end
      print(before[1], before[2], before[3])
      for _, file in ipairs { "uid_map", "gid_map" } do
        print((read("/proc/self/" .. file):gsub("%s+", " ")
          :match "^%s*(.-)%s*$"))
      end
      print((read "/proc/self/setgroups":gsub("\n", "")))
      io.stdout:flush()
      os.execute "ip -o link | cut -d ' ' -f 2-3; echo $(id -u) $(id -g)"
      print(#netns.names() == 0
        and table.concat(core.readdir "/proc/self/fd", " ") == descriptors
        and read "/proc/thread-self/children" == "")
    ]])
  end)

  it("lets it do all by name that root does", function()
    assert.equal([[
a b
3	0
true	exit	0
exit	7
HELLO
true	signal	15
shared	signal	15
false	signal	15
1
192.0.2.1
192.0.2.2
tbf
1	a	3
ETIMEDOUT
true
a	true
b	true
0]], run [[
      become()
      local a, b = assert(netns.add "a"), assert(netns.add "b")
      print(table.concat(netns.names(), " "))
      assert(netns.set(a, 3))
      print(netns.id "a", (netns.set("b", "auto")))
      print(a:exec { "sh", "-c", "test $(ls /sys/class/net) = lo" })
      print(select(3, a:exec { "sh", "-c", "exit 7" }))
      print(b:capture({ "tr", "a-z", "A-Z" }, { input = "hello" }).stdout)
      for _, mounts in ipairs { true, "shared", false } do
        local process = assert(a:spawn({ "sleep", "60" }, { mounts = mounts }))
        assert(process:kill())
        print(mounts, select(3, process:wait()))
        process:close()
      end
      assert(a:link_add { name = "v", kind = "veth",
        peer = { name = "v", ns = b } })
      for ns, address in pairs { [a] = "192.0.2.1/24", [b] = "192.0.2.2/24" } do
        assert(ns:addr_add("v", address))
        assert(ns:link_set("v", { up = true }))
      end
      assert(a:sysctl("net.ipv4.ip_forward", 1))
      print(a:sysctl "net.ipv4.ip_forward")
      print(a:addrs({ link = "v", family = "inet" })[1]["local"])
      assert(a:route_add { to = "default", via = "192.0.2.2" })
      print(a:route_get("198.51.100.1").via)
      assert(a:qdisc_add("v", { kind = "tbf", rate = "10mbit", burst = "10kb",
        latency = "50ms" }))
      print(a:qdiscs({ link = "v" })[1].kind)
      local sleeper = assert(a:spawn { "sleep", "60" })
      print(#a:pids(), netns.identify(sleeper.pid)[1],
        netns.list_id({ nsid = 3 })[1].nsid)
      local ok, _, errno = netns.delete("a", { wait = 0.1 })
      print(not ok and errno == core.errno.ETIMEDOUT and "ETIMEDOUT")
      assert(netns.attach("a", a)):close()
      a:close()
      print((netns.delete("a", { kill = true, wait = 20 })))
      sleeper:close()
      assert(netns.add "a"):close()
      b:close()
      for _, result in ipairs(netns.all.exec({ "true" }, { quiet = true })) do
        print(result.name, result.ok)
      end
      netns.all.delete()
      print(#netns.list())
    ]])
  end)

  it("binds the files of /etc/netns that root has put there", function()
    local output = t.must("mkdir -p /etc/netns/by-root; echo mine >/etc/netns/"
      .. "by-root/netns-x; echo theirs >/etc/netns-x")
      .. run [[
        become()
        local ns = assert(netns.add "by-root")
        for _, mounts in ipairs { true, "shared", false } do
          assert(ns:exec({ "cat", "/etc/netns-x" }, { mounts = mounts }))
        end
      ]]
    t.must "rm -r /etc/netns/by-root /etc/netns-x"
    assert.equal("mine\nmine\ntheirs", output)
  end)

  it("shows the programs that the process starts the same names", function()
    assert.equal("by-ip ours\nby-ip\ntrue\nby-ip", run [[
      become()
      assert(netns.add "ours"):close()
      os.execute "ip netns add by-ip"
      print(table.concat(netns.names(), " "))
      assert(netns.delete "ours")
      io.stdout:flush()
      os.execute "ip netns"
      print((netns.exec("by-ip", { "ip", "link", "set", "lo", "up" })))
      io.stdout:flush()
      netns.exec("by-ip", { "ip", "netns", "identify" })
    ]])
  end)

  it("keeps its names from the machine, whose names it does not see", function()
    local name, path = t.name(), os.tmpname()
    assert(netns.add(name)):close()
    local script = t.background(prelude .. ([[
      become()
      assert(netns.add "private"):close()
      print(table.concat(netns.names(), " "))
      io.stdout:flush()
      while core.readlink(%q) ~= "go" do os.execute "sleep 0.01" end
      print(table.concat(netns.names(), " "))
    ]]):format(path .. ".link"), t.nobody)
    assert.equal("private", script:read())
    assert.same({ name }, netns.names())
    local other = t.name() -- which comes while it is there
    assert(netns.add(other)):close()
    t.must("ln -s go %s.link", path)
    assert.equal("private", script:read())
    assert.is_true(script:close())
    t.must("rm %s %s.link", path, path)
    assert(netns.delete(name))
    assert(netns.delete(other))
  end)

  it("lets it monitor names, ids and links", function()
    assert.equal("add\tx\nadd-id\t4\ndelete\tx\nadd\tv", run [[
      become()
      local monitor = assert(netns.monitor { ids = true })
      local function tell()
        local event = assert(monitor:read(20))
        print(event.action, event.name ~= "x" and event.nsid or event.name)
      end
      local x = assert(netns.add "x")
      tell()
      assert(netns.set(x, 4))
      local event = assert(monitor:read(20))
      print(event.action, event.nsid)
      assert(netns.delete "x")
      tell()
      monitor:close()
      local links = assert(x:monitor_links { timeout = 20 })
      assert(x:link_add { name = "v", kind = "veth", peer = { name = "w" } })
      for change in links do
        if change.type == "link" and change.link.name == "v" then
          print(change.action, change.link.name)
          break
        end
      end
      links:close()
    ]])
  end)

  it("leaves the process where it is when it is called again", function()
    assert.equal("true\ttrue\ntrue", run [[
      become()
      local before = where()
      print(netns.rootless(), where() == before)
      print(assert(netns.new()):call(netns.rootless))
    ]])
  end)

  it("leaves root where it is, and its threads alone", function()
    assert.equal("true\ttrue", run([[
      local before = where()
      print(netns.rootless(), where() == before)
    ]], "env"))
    assert.equal("true\ntrue", run("print(netns.rootless())", "env",
      t.host .. " 2"))
  end)

  it("is also for who has a part of what it takes", function()
    for _, part in ipairs {
      "setpriv --bounding-set -net_admin", "setpriv --bounding-set -sys_admin",
      t.nobody .. " unshare -Ur", t.nobody .. " unshare -Urn",
      t.nobody .. " unshare -Urnm",
    } do
      assert.equal("true\tx\t0", run([[
        local before = core.readlink "/proc/self/ns/user"
        become()
        local x = assert(netns.add "x")
        print(core.readlink "/proc/self/ns/user" ~= before, netns.names()[1],
          select(3, x:exec { "true" }))
      ]], part), part)
    end
  end)

  it("leaves what was opened before where it was", function()
    assert.equal("true\tfalse\ntrue\ttrue\nEPERM\ttrue\nEPERM\nlo", run [[
      local EPERM = core.errno.EPERM
      local before = assert(netns.current())
      assert(before:link "lo") -- opens its socket
      become()
      local after = assert(netns.current())
      local new = assert(netns.new())
      print(new:call(function() return netns.current() == new end),
        before == after)
      print(netns.current() == after, core.readlink "/proc/self/ns/net"
        == ("net:[%d]"):format(after:inode()))
      local _, _, errno = before:call(print)
      print(errno == EPERM and "EPERM", netns.current() == after)
      _, _, errno = before:exec { "true" }
      print(errno == EPERM and "EPERM")
      print(before:link "lo".name)
    ]])
  end)

  it("keeps a working directory that the user may not enter", function()
    local dir, root = t.must "mktemp -d", t.must "pwd" -- of root, mode 700
    local paths = ("package.path, package.cpath = %q, %q\n"):format(
      root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua",
      root .. "/" .. t.host:match "(.*)/host" .. "/?.so")
    assert.equal(dir .. "\n" .. dir, (t.script(paths .. prelude .. [[
      print(core.readlink "/proc/self/cwd")
      become()
      print(core.readlink "/proc/self/cwd")
    ]], ("cd %s && %s"):format(dir, t.nobody),
      (t.lua:gsub("^[%w_-]+/", root .. "/%0")))))
    t.must("rmdir %s", dir)
  end)

  it("lets it make files of the user", function()
    local path = run [[
      become()
      print(os.tmpname())
    ]]
    assert.equal("65534 65534",
      t.must("stat -c '%%u %%g' %s; rm %s", path, path))
  end)

  it("leaves nothing behind in a host that does not wait for children",
    function()
      for _, behaviour in ipairs { "ignore", "nocldwait", "handler", "deaf" } do
        assert.equal("true\t\ntrue\t0", run([[
          print(netns.rootless(), read "/proc/thread-self/children")
          print(netns.new() ~= nil, #read "/proc/thread-self/children")
        ]], nil, ("%s %s 0"):format(t.host, behaviour)), behaviour)
      end
    end)
end)

describe("rootless #novalgrind keeps what is in /run", function()
  t.guard(before_each, after_each)

  local look = [[
    local function look()
      local pipe = io.popen("cd /run; find . -path ./netns -prune "
        .. "-o -path ./mount -prune -o -type l "
        .. "-printf '%p %l\n' -o -type d -printf '%p %D %i\n' "
        .. "-o -printf '%p %y %D %i %s %m\n' 2>&1 | grep -v '^[.] ' | sort; "
        .. "cat plain over a/b/file c/file c/deep/file link/file")
      local text = pipe:read "*a"
      pipe:close()
      return text
    end
    local before = look()
    become()
    assert(netns.add "x")
    local after = look()
    if after ~= before then print(before, after) end
    print(select(2, before:gsub("\n", "")), before:match "./s s",
      before:match "in\n$" and netns.names()[1])
  ]]

  it("when it makes the directory of names", function()
    assert.equal("22\t./s s\tx", run(look, with_run()))
  end)

  it("when that is there already", function()
    assert.equal("22\t./s s\tx", run(look, with_run "mkdir netns;"))
    assert.equal("22\t./s s\tx",
      run(look, with_run "mkdir netns; mount --bind netns netns;"))
  end)

  it("and what is mounted there later", function()
    local path = os.tmpname()
    assert.equal("later", run(([[
      become()
      os.remove(%q)
      local file
      repeat
        os.execute "sleep 0.01"
        file = io.open "/run/a/b/later"
      until file
      print "later"
    ]]):format(path), ("chown nobody %s; timeout 60 "):format(path)
      .. with_run(("mount --make-rshared /; { while [ -e %s ]; do sleep 0.01; "
        .. "done; mount -t tmpfs b /run/a/b; touch /run/a/b/later; } &")
        :format(path))))
  end)
end)

describe("rootless #novalgrind says why not, and changes nothing,", function()
  t.guard(before_each, after_each)

  local function says(expected, before, lua)
    assert.equal("rootless: " .. expected, run("refused()", before, lua))
  end

  it("in a process with threads", function()
    says("cannot enter a user namespace: Invalid argument (the process has 2 "
      .. "threads, and may have one)\nEINVAL", nil, t.host .. " 1")
  end)

  local cannot = "cannot make user, network and mount namespaces: "

  it("at a limit", function()
    for _, kind in ipairs { "user", "net", "mnt" } do
      says(cannot .. "No space left on device (user.max_" .. kind
        .. "_namespaces is 0)\nENOSPC", limited(kind, 0))
    end
    local output = run([[
      local holder = io.popen "exec unshare -U sh -c 'echo $$; exec sleep 60'"
      local pid = holder:read()
      refused()
      os.execute("kill " .. pid)
      holder:close()
    ]], limited("user", 1))
    assert.matches("No space left on device %(a limit is reached: "
      .. "user.max_user_namespaces = 1, user.max_net_namespaces = %d+, "
      .. "user.max_mnt_namespaces = %d+, or the depth of namespaces%)\nENOSPC$",
      output)
  end)

  it("but not at one that its own trial has reached", function()
    assert.equal("true", run("print(netns.rootless())", limited("net", 1)))
  end)

  it("in a chroot", function()
    says(cannot .. "Operation not permitted (the process is in a chroot)\n"
      .. "EPERM", in_chroot(false))
    says(cannot .. "Operation not permitted (a chroot or a security module "
      .. "forbids it)\nEPERM", in_chroot(true))
  end)

  it("where a setting of Debian's forbids it", function()
    says(cannot .. "Operation not permitted (kernel.unprivileged_userns_clone "
      .. "is 0)\nEPERM", pretend("unprivileged_userns_clone", 0) .. " "
      .. t.failing("unshare", "EPERM"))
  end)

  it("where AppArmor forbids it", function()
    local setting = "kernel.apparmor_restrict_unprivileged_userns"
    says("cannot bring lo up: Permission denied (" .. setting .. " is 1)\n"
      .. "EACCES", pretend(setting:match "%.(.*)", 1) .. " "
      .. t.failing("socket", "EACCES"))
  end)

  it("where seccomp forbids it", function()
    says(cannot .. "Function not implemented (a seccomp filter, as containers "
      .. "have, or a security module forbids it)\nENOSYS",
      t.nobody .. " --no-new-privs " .. t.failing("unshare", "ENOSYS"),
      t.host .. " old 0")
    says("cannot bring lo up: Operation not permitted (a chroot or a security "
      .. "module forbids it)\nEPERM", t.nobody
      .. " " .. t.failing("socket", "EPERM"):gsub("error=EPERM", "signal=KILL"))
  end)

  it("for a root without CAP_SETFCAP", function()
    says("cannot write /proc/self/uid_map: Operation not permitted (root needs "
      .. "CAP_SETFCAP for it)\nEPERM",
      "setpriv --bounding-set -sys_admin,-setfcap")
  end)

  it("in a process that is not dumpable", function()
    local output = run("print(select(2, netns.rootless()))", nil,
      t.host .. " hidden 0")
    assert.equal("rootless: cannot write /proc/self/setgroups: Permission "
      .. "denied (the process is not dumpable: it has changed its user, or its "
      .. "program may not be read; see PR_SET_DUMPABLE in prctl(2))\t13",
      output)
  end)

  it("when any step fails", function()
    local small_run = "unshare -m sh -c 'mount -t tmpfs run /run; "
      .. "mkdir /run/c; exec \"$@\"' - " .. t.nobody
    says("cannot start a process to try it in: Resource temporarily "
      .. "unavailable\nEAGAIN",
      t.nobody .. " " .. t.failing("clone", "EAGAIN"))
    for when, step in ipairs { "make / a slave mount", "make / a slave mount",
      "mount a private /run/netns" } do
      says("cannot " .. step .. ": Cannot allocate memory\nENOMEM",
        t.nobody .. " " .. t.failing("mount", "ENOMEM", when))
    end
    says("cannot bring back /run/c: Cannot allocate memory\nENOMEM",
      small_run .. " " .. t.failing("open_tree", "ENOMEM"))
    says("cannot bring back /run/c: Cannot allocate memory\nENOMEM",
      small_run .. " " .. t.failing("move_mount", "ENOMEM"))
  end)

  it("or raises an error if it has failed after the trial", function()
    assert.matches("rootless: cannot bring lo up: Cannot allocate memory; this"
      .. " process is in namespaces now that are not ready",
      run([[
        netns.current():links() -- so that the trial's socket is no second one
        netns.rootless()
      ]], t.nobody .. " " .. t.failing("socket", "ENOMEM", 2)))
  end)
end)
