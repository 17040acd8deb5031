local netns = require "netns"
local t = require "spec.support"

local EAGAIN = 11

describe("a kernel", function()
  t.guard(before_each, after_each)

  -- Seconds pass whenever one looks at the clock.
  local clock = [[
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    #include <errno.h>
    #include <poll.h>
    #include <stdlib.h>
    static int hours;
    static int on(void) { return getenv("BROKEN") != NULL; }
    int clock_gettime(clockid_t id, struct timespec *now) {
      long result = syscall(SYS_clock_gettime, id, now);
      now->tv_sec += hours;
      if (on()) hours++;
      return (int)result;
    }
  ]]

  -- What one wants to set in one's own environment.
  local prelude = [[
    local netns = require "netns"
    local setenv = assert(package.loadlib(os.getenv "LD_PRELOAD", "setenv_lua"))
  ]]

  local setenv = [[
    #include <lua.h>
    int setenv_lua(lua_State *L) {
      if (lua_toboolean(L, 1)) setenv("BROKEN", "1", 1);
      else unsetenv("BROKEN");
      return 0;
    }
  ]]

  it("that does not answer is not waited for for ever", function()
    local output, code = t.with_calls(clock .. setenv .. [[
      ssize_t recvfrom(int fd, void *data, size_t size, int flags,
                       __SOCKADDR_ARG from, socklen_t *len) {
        if (on()) { errno = EAGAIN; return -1; }
        return syscall(SYS_recvfrom, fd, data, size, flags,
                       from.__sockaddr__, len);
      }
      int poll(struct pollfd *fds, nfds_t n, int timeout) {
        if (on()) return 0;
        struct timespec time = {timeout / 1000, timeout % 1000 * 1000000};
        return (int)syscall(SYS_ppoll, fds, n, timeout < 0 ? NULL : &time,
                            NULL, 0);
      }
    ]], prelude .. [[
      local ns = assert(netns.new())
      assert(#assert(ns:links()) == 1)
      local monitor = assert(ns:monitor_links())
      for _, call in ipairs {
        function() return ns:links() end,
        function() return ns:link "lo" end,
        function() return ns:addrs() end,
        function() return ns:route_get "127.0.0.1" end,
        function() return ns:sockets { protocol = "udp" } end,
        function() return ns:wait_listen(80) end,
        function() return ns:link_set("lo", { mtu = 1400 }) end,
        function() return ns:addr_add("lo", "10.0.0.1/8") end,
      } do
        setenv(true)
        local result, message, errno = call()
        setenv(false)
        assert(result == nil and errno == netns.errno.ETIMEDOUT, message)
        print(message)
        -- a socket of its own, on which nothing of before comes
        assert(ns:link "lo".name == "lo")
      end
      -- the kernel has got the last two
      print(ns:link "lo".mtu, ns:addrs { family = "inet" }[1]["local"])
      print(monitor:read(10).action, monitor:read(10) ~= nil)
    ]])
    local label = "net:%[%d+%]"
    assert.equal(0, code, output)
    assert.matches(("^links L: Connection timed out\n"
      .. "link L: lo: Connection timed out\n"
      .. "addrs L: Connection timed out\n"
      .. "route_get L: 127.0.0.1: Connection timed out\n"
      .. "sockets L: udp: Connection timed out\n"
      .. "wait_listen: sockets L: tcp: Connection timed out\n"
      .. "link_set L: lo: Connection timed out\n"
      .. "addr_add L: lo 10.0.0.1/8: Connection timed out\n"
      .. "1400\t10.0.0.1\nchange\ttrue$"):gsub("L", (label:gsub("%%", "%%%%"))),
      output)
  end)

  it("that interrupts each list is not asked for ever", function()
    local output, code = t.with_calls(clock .. setenv .. [==[
      #include <linux/netlink.h>
      static int lists;
      int count(lua_State *L) {
        lua_pushinteger(L, lists);
        lists = 0;
        return 1;
      }
      ssize_t recvfrom(int fd, void *data, size_t size, int flags,
                       __SOCKADDR_ARG from, socklen_t *len) {
        struct nlmsghdr *msg = data;
        ssize_t n = syscall(SYS_recvfrom, fd, data, size, flags,
                            from.__sockaddr__, len);
        /* a few times only, if that is wanted */
        if (n > 0 && on() && (getenv("BROKEN")[0] == '1' || lists < 3)) {
          lists++;
          msg->nlmsg_flags |= NLM_F_DUMP_INTR;
        }
        return n;
      }
      int few(lua_State *L) { return setenv("BROKEN", "few", 1); }
    ]==], prelude .. [==[
      local so = os.getenv "LD_PRELOAD"
      local count = assert(package.loadlib(so, "count"))
      local few = assert(package.loadlib(so, "few"))
      local ns = assert(netns.new())
      local none = { routes = true, sockets = true }
      for _, what in ipairs { "links", "addrs", "routes", "rules", "sockets" }
      do
        assert(ns:link_set("lo", { up = true }))
        few()
        assert(#assert(ns[what](ns)) >= (none[what] and 0 or 1))
        print(what, count() >= 3)
        setenv(true)
        local result, message, errno = ns[what](ns)
        setenv(false)
        print(result, message, errno, count() > 3)
        assert(ns[what](ns))
      end
      few()
      print(ns:addr_flush "lo", #ns:addrs())
      assert(ns:addr_add("lo", "10.0.0.1/8"))
      setenv(true)
      print(ns:addr_flush "lo")
      print(ns:monitor_links())
      setenv(false)
      print(#ns:addrs())
    ]==])
    assert.equal(0, code, output)
    local lines = {}
    for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
    local words = ("Resource temporarily unavailable (it changed whenever it "
      .. "was read)\t%d"):format(EAGAIN)
    for i, what in ipairs { "links", "addrs", "routes", "rules", "sockets" } do
      assert.equal(what .. "\ttrue", lines[2 * i - 1], output)
      assert.equal(("nil\t%s net:[N]: %s%s\ttrue"):format(what,
        what == "sockets" and "tcp: " or "", words),
        (lines[2 * i]:gsub("%[%d+%]", "[N]")
          :gsub("N%]: raw", "N]: tcp"))) -- where the kernel lists those
    end
    assert.matches("^[12]\t0$", lines[11])
    assert.equal("nil\taddr_flush net:[N]: lo: " .. words,
      (lines[12]:gsub("%[%d+%]", "[N]")))
    assert.equal("nil\tmonitor_links: " .. words, lines[13])
    assert.equal("1", lines[14])
    assert.equal(14, #lines)
  end)
end)

describe("a host without privileges and files", function()
  t.guard(before_each, after_each)

  it("lists and asks on, and is told why it may not change", function()
    local name = t.name()
    local ns = t.keep(assert(netns.add(name)))
    for _, command in ipairs {
      "ip link add v0 type veth peer name v1", "ip link set v0 up",
      "ip addr add 10.0.0.1/24 dev v0", "ip link set v1 up",
      "ip route add 10.9.0.0/16 via 10.0.0.2",
      "ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0",
      "ip rule add priority 5 table 7",
      "tc qdisc add dev v0 root handle 1: htb",
      "tc class add dev v0 parent 1: classid 1:1 htb rate 1mbit",
    } do
      t.must("ip netns exec %s %s", name, command)
    end
    local listener = assert(ns:spawn({ "python3", "-c", "import socket, time; "
      .. "s = socket.create_server(('', 80)); time.sleep(1000)" },
      { mounts = false }))
    finally(function() listener:close() end)
    assert(ns:wait_listen(80, 60))
    local dir = t.must "mktemp -d"
    local so = t.compile(dir, [[
      #include <lua.h>
      #include <sys/stat.h>
      #include <unistd.h>
      int confine(lua_State *L) {
        const char *dir = lua_tostring(L, 1);
        lua_pushboolean(L, chdir(dir) == 0 && mkdir("empty", 0755) == 0 &&
                               chroot("empty") == 0 && chdir("/") == 0 &&
                               setgid(65534) == 0 && setuid(65534) == 0);
        return 1;
      }
    ]])
    local output = t.script(([==[
      local netns = require "netns"
      local ns, unused = assert(netns.open %q), assert(netns.open %q)
      assert(ns:link "lo") -- opens the socket
      assert(ns:sockets { port = 1 }) -- and the one for these
      local monitor = assert(ns:monitor_links { existing = true })
      assert(assert(package.loadlib(%q, "confine"))(%q))
      assert(not io.open "/proc/self/ns/net" and not io.open "/etc/passwd")
      print(#ns:links(), ns:link "v0".kind, ns:addrs { link = "v0",
        family = "inet" }[1]["local"], ns:routes { to = "10.9.0.0/16" }[1].via,
        ns:route_get "10.9.9.9".via, ns:neighs { link = "v0",
        state = "permanent" }[1].lladdr, ns:rules { priority = 5 }[1].table,
        ns:qdiscs { link = "v0" }[1].kind, ns:classes()[1].classid)
      print(monitor:read(0).action)
      print(#ns:sockets { protocol = "tcp" }, ns:sockets { state = "listen" }[1]
        .address, ns:wait_listen(80, 0).uid, ns:wait_listen(81, 0.1))
      print(netns.errno.EPERM)
      for _, call in ipairs {
        { "link_add", { name = "x", kind = "ifb" } },
        { "link_set", "v0", { mtu = 1400 } }, { "link_delete", "v0" },
        { "addr_add", "v0", "10.0.0.9/24" },
        { "addr_delete", "v0", "10.0.0.1/24" }, { "addr_flush", "v0" },
        { "route_add", { to = "10.8.0.0/16", via = "10.0.0.2" } },
        { "route_delete", { to = "10.9.0.0/16" } },
        { "neigh_add", { dst = "10.0.0.3", link = "v0",
          lladdr = "02:00:00:00:00:03" } },
        { "neigh_delete", { dst = "10.0.0.2", link = "v0" } },
        { "rule_add", { priority = 6, table = 7 } },
        { "rule_delete", { priority = 5 } },
        { "qdisc_add", "v1", { kind = "htb" } },
        { "qdisc_set", "v0", { kind = "htb", handle = "1:" } },
        { "qdisc_delete", "v0" },
        { "class_add", "v0", { kind = "htb", parent = "1:", classid = "1:2",
          rate = 1e6 } },
        { "class_set", "v0", { kind = "htb", parent = "1:", classid = "1:1",
          rate = 1e6 } },
        { "class_delete", "v0", "1:1" },
      } do
        print(call[1], ns[call[1]](ns, call[2], call[3], call[4]))
      end
      -- what has no socket yet gets none
      print("unused", unused:links())
      print("unused", unused:sockets())
      print("waiting", ns:wait_link("v0", { timeout = 1, up = false }))
    ]==]):format(name, name, so, dir), "env ASAN_OPTIONS=detect_leaks=0")
    t.must("rm -r %s", dir)
    local lines = {}
    for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("3\tveth\t10.0.0.1\t10.0.0.2\t10.0.0.2\t02:00:00:00:00:02\t7"
      .. "\thtb\t1:1", lines[1], output)
    assert.equal("add", lines[2])
    assert.equal(("1\t0.0.0.0\t0\tnil\twait_listen \"%s\": 81/tcp: timed "
      .. "out, nothing listens\t110"):format(name), lines[3])
    assert.equal("1", lines[4])
    for i = 5, 22 do
      local call = lines[i]:match "^%S+"
      local words = '^%s\tnil\t%s "%s": .*: Operation not permitted.*\t1$'
      assert.matches(words:format(call, call, (name:gsub("%-", "%%-"))),
        lines[i])
    end
    for i = 23, 25 do
      assert.matches("^%l+\tnil\t.*: .*\t%d+$", lines[i])
    end
    assert.equal(25, #lines, output)
    -- nothing has changed
    assert.equal(1500, ns:link "v0".mtu)
    assert.equal(1, #ns:addrs { family = "inet" })
    assert.equal(1, #ns:classes())
    ns:close()
    assert(netns.delete(name))
  end)
end)

describe("functions in C", function()
  it("are named when what they get is no namespace", function()
    for _, call in ipairs {
      "addrs", "routes", "neighs", "rules", "qdiscs", "open", "inode", "cookie",
    } do
      assert.error_matches(function() return netns[call](true) end,
        "bad argument 'NS' to '" .. call .. "' %(namespace %(handle, name, "
        .. "path or process id%) expected, got boolean%)$")
    end
    local closed = assert(netns.new())
    closed:close()
    assert.error_matches(function() return closed:addrs() end,
      "bad argument 'NS' to 'addrs' %(handle is closed%)$")
  end)
end)
