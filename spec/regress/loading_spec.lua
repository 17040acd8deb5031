-- Hosts in which the library cannot work, and the words that say what to do.

local netns = require "netns"
local t = require "spec.support"

-- A host that loads its Lua from this file, with RTLD_LOCAL, and runs a script.
local HOST = [[
  #include <dlfcn.h>
  #include <stdio.h>
  #include <lua.h>
  #define GET(name) \
    __typeof__(&name) p_##name = (__typeof__(&name))dlsym(so, #name)
  lua_State *luaL_newstate(void);
  void luaL_openlibs(lua_State *);
  int luaL_loadstring(lua_State *, const char *);
  int main(int argc, char **argv) {
    void *so = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (so == NULL || argc < 3) { puts(dlerror()); return 2; }
    GET(luaL_newstate); GET(luaL_openlibs); GET(luaL_loadstring);
    GET(lua_tolstring);
    lua_State *L = p_luaL_newstate();
    p_luaL_openlibs(L);
  #if LUA_VERSION_NUM >= 502
    GET(lua_pcallk);
    int bad = p_luaL_loadstring(L, argv[2])
      || p_lua_pcallk(L, 0, 0, 0, 0, NULL);
  #else
    GET(lua_pcall);
    int bad = p_luaL_loadstring(L, argv[2]) || p_lua_pcall(L, 0, 0, 0);
  #endif
    if (bad) puts(p_lua_tolstring(L, -1, NULL));
    return bad;
  }
]]

describe("a host", function()
  t.guard(before_each, after_each)

  it("that has loaded its Lua with RTLD_LOCAL is told how to start it",
    function()
      local name = t.luajit and "libluajit-5.1.so.2"
        or ("liblua%s.so.0"):format(_VERSION:match "%d%.%d")
      local so = t.sh("ldconfig -p"):match("=> ([^\n]*/" ..
        name:gsub("%p", "%%%0") .. ")\n")
      if not so then return pending("there is no " .. name) end
      local dir = t.must "mktemp -d"
      t.keep { close = function() t.must("rm -r %s", dir) end }
      t.write(dir .. "/host.c", HOST)
      t.must("cc -D_GNU_SOURCE -o %s/host %s/host.c %s -ldl", dir, dir,
        t.cflags)
      local function run(before)
        return t.sh("%s %s/host %s %s", before, dir, so, t.quote((
          "package.path, package.cpath = %q, %q "
          .. "print(require 'netns'.run_dir)")
            :format(package.path, package.cpath)))
      end
      local output, code = run ""
      assert.equal(1, code, output)
      local preload = output:match "Start it with (LD_PRELOAD=%S+)$"
      assert.is_string(preload, output)
      assert.equal("/run/netns", (run("env " .. preload)))
    end)

  it("with another Lua than the library was built for is told which", function()
    local other = _VERSION == "Lua 5.3" and "5.4" or "5.3"
    if select(2, t.sh("command -v lua%s", other)) ~= 0 then
      return pending("there is no lua" .. other)
    end
    local output, code = t.script("require 'netns'", "", "lua" .. other)
    assert.equal(1, code)
    assert.matches(("netns.so was built for %s, and this is Lua %s: build it "
      .. "by make LUA=%s, or have package.cpath find the one that was")
      :format(_VERSION, other, other), output, 1, true)
  end)

  it("with no library at all is told what require says", function()
    local output = t.script([[
      package.cpath = "/nowhere/?.so"
      print(pcall(require, "netns"))
    ]])
    assert.matches("^false%s+[^\n]*module 'netns.core' not found:", output)
    assert.is_nil(output:find("built for", 1, true))
  end)

  it("in a chroot whose root is no mount point is told of it", function()
    local dir = t.must "mktemp -d"
    t.keep { close = function() t.must("rm -r %s", dir) end }
    local output = t.script(([[
      local netns = require "netns"
      local ns, dir = assert(netns.new()), %q
      assert(os.execute("mkdir " .. dir .. "/proc && mount -t proc proc "
        .. dir .. "/proc"))
      host.chroot(dir)
      for _, mounts in ipairs { true, "shared" } do
        local _, message, errno = ns:exec({ "true" }, { mounts = mounts })
        print(errno == netns.errno.EINVAL, message:match ": (cannot.*)")
      end
      print(select(3, ns:exec({ "/none" }, { mounts = false })))
    ]]):format(dir), "env ASAN_OPTIONS=detect_leaks=0 unshare -m",
      t.host .. " 0")
    local line = "true\tcannot make / a slave mount: Invalid argument (the "
      .. "root directory is not a mount point, as in a chroot: before the "
      .. "chroot, bind the directory to itself with mount --bind; or give "
      .. "mounts = false)\n"
    assert.equal(line .. line .. netns.errno.ENOENT, output)
  end)

  it("whose function yields in call is told what to do instead", function()
    local ns = t.keep(assert(netns.new()))
    local home = t.keep(assert(netns.current()))
    local ok, message = coroutine.resume(coroutine.create(function()
      ns:call(coroutine.yield)
    end))
    assert.is_false(ok)
    assert.matches("attempt to yield across .*a function that 'call' runs "
      .. "cannot yield, .*: make the socket inside, and wait for it outside%)$",
      message)
    assert.is_true(netns.current() == home)
    -- its own coroutines may
    assert.equal(1, ns:call(coroutine.wrap(function() coroutine.yield(1) end)))
  end)

  it("under qemu-user, which cannot clone as it has to, is told so", function()
    local output = t.with_calls([[
      #include <errno.h>
      #include <sched.h>
      int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) {
        if (flags & CLONE_PIDFD) { errno = EINVAL; return -1; }
        return -1;
      }
    ]], [[
      local netns = require "netns"
      local ok, message, errno =
        netns.exec(netns.current(), { "true" }, { mounts = false })
      print(ok, errno == netns.errno.EINVAL, message:match ": (cannot.*)")
    ]])
    assert.equal("nil\ttrue\tcannot start a process: Invalid argument ("
      .. "qemu-user does not emulate clone(2) with CLONE_PIDFD: run this "
      .. "program on a machine of its architecture, or in an emulated one)",
      output)
  end)
end)
