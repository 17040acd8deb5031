-- "Could not look" is never an answer: calls that find something out, while
-- system calls fail.

local netns = require "netns"
local t = require "spec.support"

-- Puts itself in the place of what the library calls in libc. arm(name, n, err)
-- has the nth call of `name` from then on fail; with `err` nil none does.
-- fired() is how often that has happened. With a negative n every call fails
-- from the nth on.
local SHIM = [[
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include "compat.h"
static char armed[32];
static int countdown, error, fired;
static bool always;
static bool hit(const char *name) {
  if (error == 0 || strcmp(name, armed) != 0)
    return false;
  if (countdown > 1) {
    countdown--;
    return false;
  }
  if (countdown == 1 || always) {
    countdown = 0;
    fired++;
    errno = error;
    return true;
  }
  return false;
}
#define REAL(type) \
  static type next; \
  if (next == NULL) next = (type)dlsym(RTLD_NEXT, __func__); \
  if (hit(__func__)) return -1
#define PLAIN(name, params, args) \
  __attribute__((visibility("default"))) long name params { \
    typedef int (*type) params; \
    REAL(type); \
    return next args; \
  }
#define LONG(name, params, args) \
  __attribute__((visibility("default"))) long name params { \
    typedef long (*type) params; \
    REAL(type); \
    return next args; \
  }
#define VARIADIC(name, first, pass) \
  __attribute__((visibility("default"))) int name(first, ...) { \
    typedef int (*type)(first, ...); \
    va_list args; \
    va_start(args, b); \
    long last = va_arg(args, long); \
    va_end(args); \
    REAL(type); \
    return next pass; \
  }
#define COMMA ,
VARIADIC(open, const char *a COMMA int b, (a, b, (int)last))
VARIADIC(fcntl, int a COMMA int b, (a, b, last))
VARIADIC(ioctl, int a COMMA unsigned long b, (a, b, last))
__attribute__((visibility("default")))
int openat(int a, const char *b, int c, ...) {
  typedef int (*type)(int, const char *, int, ...);
  va_list args;
  va_start(args, c);
  int mode = va_arg(args, int);
  va_end(args);
  REAL(type);
  return next(a, b, c, mode);
}
__attribute__((visibility("default"))) long syscall(long number, ...) {
  typedef long (*type)(long, ...);
  va_list args;
  long v[6];
  va_start(args, number);
  for (int i = 0; i < 6; i++)
    v[i] = va_arg(args, long);
  va_end(args);
  REAL(type);
  return next(number, v[0], v[1], v[2], v[3], v[4], v[5]);
}
LONG(readlink, (const char *a, char *b, size_t c), (a, b, c))
LONG(readlinkat, (int a, const char *b, char *c, size_t d), (a, b, c, d))
PLAIN(stat, (const char *a, void *b), (a, b))
PLAIN(lstat, (const char *a, void *b), (a, b))
PLAIN(fstat, (int a, void *b), (a, b))
PLAIN(fstatat, (int a, const char *b, void *c, int d), (a, b, c, d))
PLAIN(statfs, (const char *a, void *b), (a, b))
PLAIN(fstatfs, (int a, void *b), (a, b))
PLAIN(poll, (void *a, unsigned long b, int c), (a, b, c))
PLAIN(ppoll, (void *a, unsigned long b, const void *c, const void *d),
      (a, b, c, d))
PLAIN(epoll_create1, (int a), (a))
PLAIN(epoll_ctl, (int a, int b, int c, void *d), (a, b, c, d))
PLAIN(epoll_wait, (int a, void *b, int c, int d), (a, b, c, d))
PLAIN(eventfd, (unsigned a, int b), (a, b))
PLAIN(inotify_init1, (int a), (a))
PLAIN(inotify_add_watch, (int a, const char *b, unsigned c), (a, b, c))
PLAIN(fanotify_init, (unsigned a, unsigned b), (a, b))
PLAIN(socket, (int a, int b, int c), (a, b, c))
PLAIN(connect, (int a, const void *b, unsigned c), (a, b, c))
PLAIN(setsockopt, (int a, int b, int c, const void *d, unsigned e),
      (a, b, c, d, e))
LONG(send, (int a, const void *b, size_t c, int d), (a, b, c, d))
LONG(sendto, (int a, const void *b, size_t c, int d, const void *e, unsigned f),
     (a, b, c, d, e, f))
LONG(recv, (int a, void *b, size_t c, int d), (a, b, c, d))
LONG(recvfrom, (int a, void *b, size_t c, int d, void *e, void *f),
     (a, b, c, d, e, f))
LONG(recvmsg, (int a, void *b, int c), (a, b, c))
LONG(read, (int a, void *b, size_t c), (a, b, c))
LONG(write, (int a, const void *b, size_t c), (a, b, c))
PLAIN(pipe2, (int *a, int b), (a, b))
PLAIN(mount, (const char *a, const char *b, const char *c, unsigned long d,
              const void *e), (a, b, c, d, e))
PLAIN(umount2, (const char *a, int b), (a, b))
PLAIN(unlink, (const char *a), (a))
PLAIN(flock, (int a, int b), (a, b))
static int arm(lua_State *L) {
  strcpy(armed, luaL_checkstring(L, 1));
  countdown = (int)luaL_checkinteger(L, 2);
  always = countdown < 0;
  countdown = always ? -countdown : countdown;
  fired = 0;
  error = (int)luaL_optinteger(L, 3, 0);
  return 0;
}
static int get_fired(lua_State *L) {
  error = 0;
  lua_pushinteger(L, fired);
  return 1;
}
__attribute__((visibility("default"))) int luaopen_shim(lua_State *L) {
  lua_pushcfunction(L, arm);
  lua_setglobal(L, "arm");
  lua_pushcfunction(L, get_fired);
  lua_setglobal(L, "fired");
  return 0;
}
]]

-- What the scripts have: `sweep` tries a call while each system call in turn
-- fails, and prints what is neither the true answer nor a failure with message
-- and errno.
local PRELUDE = [[
local netns = require "netns"
local core = require "netns.core"
local topology = require "netns.topology"
assert(package.loadlib(os.getenv "LD_PRELOAD", "luaopen_shim"))()
local errno = netns.errno
local CALLS = {
  "open", "openat", "fcntl", "ioctl", "syscall", "readlink", "readlinkat",
  "stat", "lstat", "fstat", "fstatat", "statfs", "fstatfs", "poll", "ppoll",
  "epoll_create1", "epoll_ctl", "epoll_wait", "eventfd", "inotify_init1",
  "inotify_add_watch", "fanotify_init", "socket", "connect", "setsockopt",
  "send", "sendto", "recv", "recvfrom", "recvmsg", "read", "write", "pipe2",
  "mount", "umount2", "unlink", "flock",
}
local ERRORS = { "EACCES", "EMFILE", "EINTR", "ENOMEM", "EIO" }
local function text(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for k, v in pairs(value) do
    parts[#parts + 1] = tostring(k) .. "=" .. text(v)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, " ") .. "}"
end
local function descriptors()
  collectgarbage()
  collectgarbage()
  return table.concat(core.readdir "/proc/self/fd", " ")
end
local tried = 0
-- `answer` makes a text of the results of `call`, `problem` what is wrong after
-- it, and `again` puts everything back.
local function sweep(what, call, answer, problem, again)
  answer = answer or text
  local truth = answer(call())
  if again then again() end
  local home = core.readlink "/proc/thread-self/ns/net"
  local before = descriptors()
  for _, name in ipairs(CALLS) do
    for _, err in ipairs(ERRORS) do
      local n = 1
      repeat
        arm(name, n, errno[err])
        local ok, a, b, c = pcall(call)
        local hits = fired()
        local told = ok and answer(a) or "error: " .. tostring(a)
        local failed = ok and a == nil and type(b) == "string"
          and type(c) == "number"
        local wrong = problem and problem(a)
        if told ~= truth and not failed or wrong then
          print(what, name, err, n, told, b, c, wrong)
        end
        if again then again() end
        tried = tried + 1
        n = n < 20 and n + 1 or n + 13
      until hits == 0
    end
  end
  if descriptors() ~= before then print(what, "descriptors", before) end
  if core.readlink "/proc/thread-self/ns/net" ~= home then
    print(what, "the thread is away")
  end
end
]]

local function run(script)
  return t.with_calls(SHIM, PRELUDE .. script
    .. "\nassert(tried > 20, tried) print 'done'")
end

describe("a call that could not look #novalgrind", function()
  t.guard(before_each, after_each)

  it("fails, or tells the truth: names and ids", function()
    local a, b, stale = t.name(), t.name(), t.name()
    t.keep(assert(netns.add(a)))
    t.keep(assert(netns.add(b)))
    assert(netns.set(a, 7))
    t.must("touch /run/netns/%s", stale)
    assert.equal("done", (run(([[
      local a = %q
      sweep("list", netns.list)
      sweep("names", netns.names)
      sweep("names of one", function() return netns.names(a) end)
      sweep("identify", function()
        return netns.identify("/run/netns/" .. a)
      end)
      sweep("identify the thread", netns.identify)
      sweep("list_id", netns.list_id)
      sweep("list_id one", function() return netns.list_id { nsid = 7 } end)
      sweep("id", function() return netns.id(a) end)
      sweep("inode", function() return netns.inode(a) end)
      sweep("cookie", function() return netns.cookie(a) end)
      sweep("sysctl", function()
        return netns.sysctl(a, "net.ipv4.ip_forward")
      end)
      sweep("mount_of", function() return core.mount_of(a) end)
      sweep("mount_of stale", function() return core.mount_of(%q) end)
    ]]):format(a, stale))))
    for _, name in ipairs { a, b, stale } do assert(netns.delete(name)) end
  end)

  it("fails, or tells the truth: processes", function()
    local name = t.name()
    assert(netns.add(name)):close()
    local pid = t.sleeper("/run/netns/" .. name)
    assert.equal("done", (run(([[
      local name = %q
      sweep("pids", function() return netns.pids(name) end)
      sweep("all.pids", netns.all.pids)
    ]]):format(name))))
    t.stop(pid)
    assert(netns.delete(name))
  end)

  it("fails, or tells the truth: ids behind a dump that is cut", function()
    local names = {}
    for i = 1, 70 do
      names[i] = t.name()
      t.keep(assert(netns.add(names[i])))
      assert(netns.set(names[i], 100 * i))
    end
    local output = run [[
      CALLS = { "readlink", "readlinkat", "stat", "statfs", "openat", "poll",
        "syscall" }
      ERRORS = { "EACCES" }
      sweep("list_id", netns.list_id)
    ]]
    for _, name in ipairs(names) do assert(netns.delete(name)) end
    assert.equal("done", output)
  end)

  it("fails, or tells the truth: links, addresses, routes, sockets", function()
    local ns = t.keep(assert(netns.new()))
    assert(ns:link_set("lo", { up = true }))
    local sock = t.keep(assert(ns:socket("inet", "stream")))
    assert.equal("number", type(sock:fd()))
    assert.equal("done", (run [[
      local home = assert(netns.new())
      assert(home:link_set("lo", { up = true }))
      for _, what in ipairs { "links", "addrs", "routes", "rules", "neighs",
        "qdiscs", "sockets" } do
        sweep(what, function()
          local NS = "/proc/self/fd/" .. home:fd()
          local rows, message, number = netns[what](NS)
          return rows and #rows, message, number
        end)
      end
    ]]))
  end)

  it("fails, or tells the truth: programs", function()
    assert.equal("done", (run [[
      local ns = assert(netns.new())
      local input = ("x"):rep(10000)
      for _, mounts in ipairs { false, true } do
        sweep("capture", function()
          return ns:capture({ "cat" }, { input = input, mounts = mounts })
        end)
      end
      sweep("exec", function()
        return ns:exec({ "true" }, { mounts = false })
      end)
    ]]))
  end)

  it("fails, or tells the truth: events", function()
    local name = t.name()
    assert(netns.add(name)):close()
    assert.equal("done", (run [[
      sweep("monitor", function()
        local monitor, message, number =
          netns.monitor { existing = true, ids = true }
        if not monitor then return nil, message, number end
        local seen = {}
        repeat
          local event
          event, message, number = monitor:read(0)
          -- events that were lost are told again
          if event and event.action ~= "resync" then
            seen[#seen + 1] = event.action .. " " .. event.name
          end
        until not event
        monitor:close()
        if number ~= errno.ETIMEDOUT then return nil, message, number end
        return seen
      end)
    ]]))
    assert(netns.delete(name))
  end)

  it("fails, or tells the truth: labs", function()
    assert.equal("done", (run [[
      local lab = assert(topology.build { links = { "a -- b" } })
      local function who(matrix)
        return type(matrix) == "table"
          and tostring(matrix) .. tostring(matrix.ok) or tostring(matrix)
      end
      assert(lab:reach())
      -- EACCES of sendto is also what a route of the type prohibit gives
      ERRORS = { "EMFILE", "EINTR", "ENOMEM", "EIO" }
      sweep("reach", function() return lab:reach { timeout = 5 } end, who)
      sweep("ping", function()
        local result, message, number = lab.a:ping(lab.b, { timeout = 5 })
        return result and result.received, message, number
      end)
      sweep("diff", function() return lab:diff() end)
      lab:close()
    ]]))
  end)

  it("has not deleted a name, or has", function()
    assert.equal("done", (run [[
      local function mounts()
        local count = 0
        for line in io.lines "/proc/self/mountinfo" do
          if line:find "/run/netns/gone " then count = count + 1 end
        end
        return count
      end
      local function again()
        netns.delete "gone"
        local ns = assert(netns.add "gone")
        ns:close()
      end
      again()
      local function problem(ok)
        local entry, there = assert(netns.list())[1], mounts()
        local expected = ok and 0 or entry and 1 or 0
        if ok and entry or there ~= expected or entry and entry.stale then
          return ("%s, with %d mounts"):format(tostring(ok), there)
        end
      end
      for _, opts in ipairs { {}, { wait = 5 }, { kill = true } } do
        sweep("delete", function() return netns.delete("gone", opts) end, nil,
          problem, again)
      end
      netns.delete "gone"
    ]]))
  end)
end)
