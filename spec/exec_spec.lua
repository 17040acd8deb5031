local netns = require "netns"
local core = require "netns.core"
local t = require "spec.support"

local errno = core.errno

-- Runs a shell command in a namespace; what it printed.
local function inside(NS, command, ...)
  local file = os.tmpname()
  netns.exec(NS, { "sh", "-c", "exec >" .. file .. " 2>&1; "
    .. command:format(...) })
  local input = assert(io.open(file))
  local text = input:read "*a":gsub("\n$", "")
  input:close()
  os.remove(file)
  return text
end

local function ip_inside(name, command)
  return (t.sh("ip netns exec %s sh -c %s", name, t.quote(command)))
end

describe("exec", function()
  t.guard(before_each, after_each)

  it("tells an end as os.execute does, after a message", function()
    local ns = t.keep(assert(netns.new()))
    for _, command in ipairs {
      "exit 0", "exit 1", "exit 255", "kill -9 $$", "kill -TERM $$",
    } do
      assert.same({ t.execute(command) },
        { t.ended(ns:exec { "sh", "-c", command }) })
    end
  end)

  it("runs in the network namespace and a mount namespace of its own",
    function()
      local name = t.name()
      local ns = t.keep(assert(netns.add(name)))
      assert.equal(("net:[%d]"):format(ns:inode()),
        inside(name, "readlink /proc/self/ns/net"))
      assert.not_equal(core.readlink "/proc/self/ns/mnt",
        inside(ns, "readlink /proc/self/ns/mnt"))
      assert(netns.delete(name))
    end)

  it("shows a /sys of the namespace, as ip does #novalgrind", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    t.must("ip -n %s link add veth0 type veth peer name veth1", name)
    local command = "ls /sys/class/net; grep ' /sys ' /proc/mounts"
    assert.equal(ip_inside(name, command), inside(name, command))
    -- between them may be what the drivers of tunnels and bonds have there
    local seen = "\n" .. inside(ns, command)
    assert.matches("\nlo\n", seen)
    assert.matches("\nveth0\nveth1\n", seen)
    assert.matches("\n" .. name:gsub("%-", "%%-") .. " /sys", seen)
    assert(netns.delete(name))
  end)

  it("keeps a read-only /sys read-only", function()
    local output = t.script([[
      local netns = require "netns"
      netns.new():exec { "grep", " /sys sysfs", "/proc/mounts" }
    ]], "unshare -m sh -c 'mount -o remount,ro,bind /sys; exec \"$@\"' -")
    assert.matches("^netns /sys sysfs ro", output)
  end)

  it("keeps the old /sys where the kernel refuses a new one", function()
    -- it does in a user namespace from which no whole sysfs is to be seen
    local output = t.script([[
      local netns = require "netns"
      print(netns.exec("/proc/self/ns/net", { "cat", "/sys/old" }))
    ]], "unshare -m sh -c 'umount -l /sys; mount -t tmpfs x /sys; "
      .. "echo kept >/sys/old; exec \"$@\"' - unshare -Urmn")
    assert.equal("kept\ntrue\texit\t0", output)
  end)

  it("propagates no mount back", function()
    local ns = t.keep(assert(netns.new()))
    assert.is_true(ns:exec { "mount", "-t", "tmpfs", "x", "/mnt" })
    assert.not_matches(" /mnt ", t.must "cat /proc/self/mountinfo")
  end)

  it("lets a name be deleted while the program runs", function()
    local name = t.name()
    local other = t.keep(assert(netns.new()))
    assert(netns.add(name)):close()
    local ok = other:exec { "sh", "-c", ("ip netns delete %s"):format(name) }
    assert.is_true(ok)
    assert.same({}, assert(netns.names()))
  end)

  it("binds the files and directories of /etc/netns/NAME, as ip does",
    function()
      local name = t.name()
      local dir = "/etc/netns/" .. name
      assert(netns.add(name)):close()
      t.must("mkdir -p %s/dir /etc/dir; echo 'nameserver 192.0.2.1' "
        .. ">%s/resolv.conf; touch /etc/resolv.conf /etc/dir/outside; "
        .. "echo x >%s/dir/inside", dir, dir, dir)
      local before = t.must "cat /etc/resolv.conf"
      local command = "cat /etc/resolv.conf; ls /etc/dir"
      assert.equal("nameserver 192.0.2.1\ninside", inside(name, command))
      assert.equal(ip_inside(name, command), inside(name, command))
      assert.equal(before, t.must "cat /etc/resolv.conf")
      -- a handle goes by its name, also when the name was given later
      local ns = t.keep(assert(netns.new()))
      assert.equal("outside", inside(ns, "ls /etc/dir"))
      t.must("rm -r %s /etc/dir", dir)
      assert(netns.delete(name))
    end)

  it("reports a file without counterpart as ip does, and binds the rest",
    function()
      local name = t.name()
      local dir = "/etc/netns/" .. name
      assert(netns.add(name)):close()
      t.must("mkdir -p %s; for f in a b c; do echo $f >%s/netns-$f; done; "
        .. "touch /etc/netns-a /etc/netns-c", dir, dir)
      local ours = t.script(([[
        local netns = require "netns"
        print(netns.exec(%q, { "sh", "-c", "cat /etc/netns-*" }))
      ]]):format(name))
      assert.equal(("Bind %s/netns-b -> /etc/netns-b failed: No such file or "
        .. "directory\na\nc\ntrue\texit\t0"):format(dir), ours)
      assert.matches("Bind " .. dir:gsub("%-", "%%-")
        .. "/netns%-b %-> /etc/netns%-b failed: No such file or directory",
        (t.sh("ip netns exec %s true", name)))
      t.must("rm -r %s /etc/netns-a /etc/netns-c", dir)
      assert(netns.delete(name))
    end)

  it("enters only the network with mounts=false", function()
    local ns = t.keep(assert(netns.new()))
    local ok, message = ns:exec({ "sh", "-c", ([[
      test $(readlink /proc/self/ns/mnt) = %s || exit 1
      test $(readlink /proc/self/ns/net) = 'net:[%d]' || exit 2
    ]]):format(t.quote(core.readlink "/proc/self/ns/mnt"), ns:inode()) },
      { mounts = false })
    assert.is_true(ok, message)
  end)

  it("leaves the VRF of the caller, as ip does", function()
    local root = t.sh "findmnt -nt cgroup2 -o TARGET | head -1"
    if root == "" then
      root = "/tmp/cgroup2-" .. t.name()
      t.must("mkdir %s && mount -t cgroup2 none %s", root, root)
    end
    local own = t.must "grep ^0:: /proc/self/cgroup":sub(4)
    local group = (root .. own .. "/" .. t.name()):gsub("//+", "/")
    t.must("mkdir -p %s/vrf/red", group)
    -- what is run behind this is in the VRF first
    local joined = ("sh -c 'echo $$ >%s/vrf/red/cgroup.procs; exec \"$@\"' -")
      :format(group)
    local look = "grep ^0:: /proc/self/cgroup"
    assert.matches("/vrf/red$", t.must(joined .. " " .. look))
    local name = t.name()
    assert(netns.add(name)):close()
    local ip = t.must("%s ip netns exec %s %s", joined, name, look)
    assert.not_matches("/vrf/red", ip)
    assert.equal(ip, (t.script(([[
      require "netns".exec(%q, { "grep", "^0::", "/proc/self/cgroup" })
    ]]):format(name), joined)))
    -- also one that was joined after a program was run outside of it
    local later = t.script(([[
      local netns = require "netns"
      local argv = { "grep", "^0::", "/proc/self/cgroup" }
      netns.exec(%q, argv)
      local procs = assert(io.open("%s/vrf/red/cgroup.procs", "w"))
      procs:write "0"
      procs:close()
      netns.exec(%q, argv)
    ]]):format(name, group, name))
    assert.equal("0::" .. own .. "\n" .. ip, later)
    assert(netns.delete(name))
    t.eventually(function() -- a process leaves its cgroup after its end
      return select(2, t.sh(
        "find %s -depth -type d -exec rmdir {} ';'; test ! -e %s",
        group, group)) == 0
    end)
    if root:find "^/tmp" then
      t.must("umount %s && rmdir %s", root, root)
    end
  end)

  it("looks the program up in PATH, as execvp does", function()
    local ns = t.keep(assert(netns.new()))
    local dir = t.must "mktemp -d"
    t.must("printf 'echo script $1\\n' >%s/noshebang; chmod 755 %s/noshebang; "
      .. "touch %s/notexecutable; mkdir %s/directory", dir, dir, dir, dir)
    assert.is_true(ns:exec { "true" })
    assert.is_true(ns:exec { "/bin/true" })
    assert.equal("script x",
      inside(ns, "cd %s && ./noshebang x && exit", dir))
    local script = ([[
      local netns = require "netns"
      local ns = assert(netns.new())
      print(ns:exec { "noshebang", "argument" })
      print(select(3, ns:exec { "notexecutable" }))
      print(select(3, ns:exec { "directory" }))
    ]])
    local output = t.script(script, ("env PATH=/no/such:%s:$PATH"):format(dir))
    assert.equal("script argument\ntrue\texit\t0\n13\n13", output)
    t.must("rm -r %s", dir)
  end)

  it("goes on behind what is no directory in PATH", function()
    local output = t.script([[
      print(require "netns".exec("/proc/self/ns/net", { "true" }))
    ]], ("env PATH=%s:/etc/passwd::$PATH"):format(("/long"):rep(1000)))
    assert.equal("true\texit\t0", output)
  end)

  it("works where children go to a process namespace of their own", function()
    local output = t.script([[
      print(require "netns".exec("/proc/self/ns/net", { "true" }))
    ]], "env ASAN_OPTIONS=detect_leaks=0 unshare --pid") -- leaks: it clones
    assert.equal("true\texit\t0", output)
  end)

  it("says what could not be started #novalgrind", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    for program, code in pairs {
      ["no-such-program"] = errno.ENOENT, ["/no/such"] = errno.ENOENT,
      ["/etc/passwd"] = errno.EACCES, ["/"] = errno.EACCES, [""] = errno.ENOENT,
      ["/etc/passwd/x"] = errno.ENOENT,
    } do
      local nothing, message, number = ns:exec { program }
      assert.is_nil(nothing)
      assert.equal(('exec "%s": %s: '):format(name, program),
        message:sub(1, #name + #program + 11))
      assert.equal(code, number)
    end
    assert(netns.delete(name))
    local nothing, message, number = netns.exec(name, { "true" })
    assert.is_nil(nothing)
    assert.equal(('exec "%s": No such file or directory'):format(name), message)
    assert.equal(errno.ENOENT, number)
  end)

  it("names the step that failed", function()
    for call, step in pairs {
      setns = "cannot enter the network namespace",
      unshare = "cannot make a mount namespace",
      mount = "cannot make / a slave mount",
      fsopen = "cannot mount /sys",
    } do
      local output = t.script([[
        local netns = require "netns"
        print(select(2, netns.exec("/proc/self/ns/net", { "true" })))
      ]], t.failing(call, "ENOMEM"))
      assert.matches("^exec net:%[%d+%]: " .. step
        .. ": Cannot allocate memory\t12$", output)
    end
  end)

  it("gives the program 0, 1 and 2, default signals, and an empty mask",
    function()
      local ns = t.keep(assert(netns.new()))
      local leak = t.keep(assert(io.open "/dev/null"))
      assert.is_truthy(leak)
      assert.equal("0\n1\n2", inside(ns, "ls /proc/self/fd | head -3"))
      assert.equal("0\n1\n2\n3", (inside(ns, "ls /proc/self/fd")))
      -- a host that ignores and blocks signals
      local output = t.script([[
        require "netns".exec("/proc/self/ns/net",
          { "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status" })
      ]], "env --ignore-signal=PIPE,CHLD,HUP,USR1 --block-signal=TERM,USR2")
      assert.equal("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000",
        output)
    end)

  it("has the status also where SIGCHLD is ignored", function()
    if t.kernel() < 6.15 then
      return pending "needs PIDFD_INFO_EXIT of Linux 6.15"
    end
    local output = t.script([[
      local netns = require "netns"
      local self = "/proc/self/ns/net"
      print(select(3, netns.exec(self, { "sh", "-c", "exit 7" })))
      print(select(3, netns.exec(self, { "sh", "-c", "kill -9 $$" })))
    ]], "env --ignore-signal=CHLD")
    assert.equal("exit\t7\nsignal\t9", output)
  end)

  it("sees a Ctrl-C that comes just before it waits", function()
    local dir = t.must "mktemp -d"
    local source = assert(io.open(dir .. "/preload.c", "w"))
    source:write [[
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <poll.h>
      #include <signal.h>
      int ppoll(struct pollfd *slots, nfds_t count, const struct timespec *time,
                const sigset_t *mask) {
        int (*next)(struct pollfd *, nfds_t, const struct timespec *,
                    const sigset_t *) = dlsym(RTLD_NEXT, "ppoll");
        static int raised;
        if (!raised++)
          raise(SIGINT);
        return next(slots, count, time, mask);
      }
    ]]
    source:close()
    t.must("cc -shared -fPIC -o %s/preload.so %s/preload.c", dir, dir)
    local output, code = t.script(([[
      require "netns".exec("/proc/self/ns/net",
        { "sh", "-c", "sleep 5; touch %s/late" })
    ]]):format(dir), ("env --default-signal=INT "
      .. "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=%s/preload.so")
      :format(dir))
    assert.not_equal(0, code)
    if t.lua:find "lua" then assert.matches("interrupted!", output) end
    assert.equal("preload.c\npreload.so", t.must("ls %s", dir))
    t.must("rm -r %s", dir)
  end)

  it("does not let the program outlive the process", function()
    local file = os.tmpname()
    t.script(([[
      require "netns".exec("/proc/self/ns/net",
        { "sh", "-c", "echo $$ >%s; kill -9 $PPID; exec sleep 1000" })
    ]]):format(file))
    local pid = io.open(file):read "*n"
    os.remove(file)
    assert.is_number(pid)
    t.eventually(function()
      return not t.runs(pid)
    end)
  end)

  it("keeps the working directory and the environment", function()
    local ns = t.keep(assert(netns.new()))
    assert.equal(t.must "pwd", inside(ns, "pwd"))
    assert.equal(os.getenv "PATH", inside(ns, "echo $PATH"))
  end)

  it("raises an error for a wrong argument", function()
    local ns = t.keep(assert(netns.new()))
    for argv, expected in pairs {
      [{}] = "a program expected", [{ true }] = "element 1: string or",
      [{ "true", {} }] = "element 2: string or number expected",
      [{ "a\0b" }] = "NUL byte",
    } do
      assert.error_matches(function() ns:exec(argv) end, expected)
    end
    assert.has_error(function() ns:exec "true" end)
    assert.has_error(function() ns:exec() end)
    assert.error_matches(function() ns:exec({ "true" }, { shell = true }) end,
      "unknown key 'shell' in 'exec'")
    assert.error_matches(function() ns:exec({ "true" }, { mounts = 1 }) end,
      "bad argument 'mounts' to 'exec' %(boolean or \"shared\" expected, "
      .. "got 1%)")
  end)

  it("runs many programs without leaving anything", function()
    local ns = t.keep(assert(netns.new()))
    for _ = 1, t.many(1000) do
      assert(ns:exec({ "true" }, { mounts = false }))
    end
  end)
end)
