-- What differs between Lua 5.1 to 5.4 and LuaJIT.

local netns = require "netns"
local t = require "spec.support"

local LUAS = { "5.1", "5.2", "5.3", "5.4", "luajit" }

local function program_of(lua)
  return lua == "luajit" and lua or "lua" .. lua
end

local function is_there(command)
  return select(2, t.sh(command)) == 0
end

-- Lua 5.1 and LuaJIT look for libraries in the same directories.
local function fits(build, lua)
  local function abi(name) return name == "luajit" and "5.1" or name end
  return abi(build) == abi(lua)
end

describe("what is built for one Lua", function()
  t.guard(before_each, after_each)

  local script = [[
    local ok, netns = pcall(require, "netns")
    if not ok then
      print(type(netns) == "string" and "an error" or type(netns))
      return
    end
    local ns = assert(netns.new())
    local process = assert(ns:spawn({ "cat" },
      { stdin = "pipe", stdout = "pipe" }))
    process.stdin:write "through\n"
    process.stdin:close()
    print(process.stdout:read "*l", io.type(process.stdin),
      io.type(process.stdout))
    assert(process:wait())
    process:close()
    assert(not pcall(netns.open)) -- an error from C gets to where it should
    print(ns == netns.open(ns), (ns:exec { "true" }))
  ]]

  for _, build in ipairs(LUAS) do
    local dir = "build/" .. build
    it(("%s works there, and is an error elsewhere"):format(build), function()
      if not is_there(("test -e %s/netns.so"):format(dir)) then
        return pending(dir .. "/netns.so is not built")
      end
      for _, lua in ipairs(LUAS) do
        local program = program_of(lua)
        if not is_there("command -v " .. program) then
          print(("\nskipped: there is no %s"):format(program))
        else
          local output, code = t.script(
            ("package.cpath = %q\n"):format(dir .. "/?.so") .. script, "",
            program)
          local place = ("%s in %s"):format(build, program)
          assert.equal(fits(build, lua)
            and "through\tclosed file\tfile\ntrue\ttrue" or "an error",
            output, place)
          assert.equal(0, code, place)
        end
      end
    end)
  end
end)

describe("an integer of 64 bits", function()
  t.guard(before_each, after_each)

  -- Compiles C against csrc/compat.h; the path of what comes out.
  local function compile(text)
    local dir = t.must "mktemp -d"
    finally(function() t.must("rm -r %s", dir) end)
    t.write(dir .. "/code.c", text)
    t.must("cc -D_GNU_SOURCE -shared -fPIC -o %s/code.so %s/code.c %s", dir,
      dir, t.cflags)
    return dir .. "/code.so"
  end

  it("goes to Lua exactly, as a string where a number cannot hold it",
    function()
      local push = assert(package.loadlib(compile [[
        #include <stdlib.h>
        #include "compat.h"
        int push(lua_State *L) {
          lua_pushinteger(L, strtoll(lua_tostring(L, 1), NULL, 10));
          return 1;
        }
      ]], "push"))
      local exact = math.type ~= nil
      for digits, fits_double in pairs {
        ["0"] = true, ["-1"] = true, ["4026531840"] = true,
        ["99999999999999"] = true,
        ["9007199254740993"] = false, ["9007199254740994"] = false,
        ["-9007199254740993"] = false,
        ["9223372036854775807"] = false, ["-9223372036854775808"] = false,
      } do
        local value = push(digits)
        assert.equal(digits, tostring(value))
        assert.equal((exact or fits_double) and "number" or "string",
          type(value))
      end
      assert.equal("number", type(push "9007199254740992")) -- is 2^53
      assert.equal(2 ^ 53, push "9007199254740992")
    end)

  it("comes from Lua exactly, or is refused", function()
    local take = assert(package.loadlib(compile [[
      #include <stdio.h>
      #include "compat.h"
      int take(lua_State *L) {
        char digits[24];
        int is;
        snprintf(digits, sizeof digits, "%lld",
                 (long long)lua_tointegerx(L, 1, &is));
        lua_pushboolean(L, is);
        lua_pushstring(L, digits);
        lua_pushinteger(L, luaL_checkinteger(L, 1));
        return 3;
      }
    ]], "take"))
    for digits, value in pairs {
      ["0"] = 0, ["-1"] = -1, ["3"] = 3.0, ["4294967296"] = 2 ^ 32,
      ["9007199254740992"] = 2 ^ 53, ["-9223372036854775808"] = -2 ^ 63,
    } do
      local is, text, again = take(value)
      assert.is_true(is)
      assert.equal(digits, text)
      assert.is_true(tonumber(again) == value)
    end
    for _, value in ipairs { 0.5, -1e-9, 2 ^ 63, -2 ^ 64, 1 / 0, -1 / 0,
      0 / 0 } do
      assert.error_matches(function() take(value) end,
        "number has no integer representation")
    end
    assert.error_matches(function() take {} end, "number expected")
  end)

  it("such as a cookie is not taken for its neighbour", function()
    local path = compile [[
      #include <stdarg.h>
      #include <sys/syscall.h>
      #include <unistd.h>
      #include "kernel.h"
      int ioctl(int fd, unsigned long request, ...) {
        static uint64_t cookie = 9007199254740991;
        va_list args;
        va_start(args, request);
        void *arg = va_arg(args, void *);
        va_end(args);
        if (request != NN_NS_GET_ID)
          return (int)syscall(SYS_ioctl, fd, request, arg);
        *(uint64_t *)arg = ++cookie;
        return 0;
      }
    ]]
    local output = t.script([[
      local ns = assert(require "netns".new())
      local a, b, c = ns:cookie(), ns:cookie(), ns:cookie()
      print(a == b, b == c, tostring(b), tostring(c))
    ]], "env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" .. path)
    assert.equal("false\tfalse\t9007199254740993\t9007199254740994", output)
  end)
end)

describe("without an io library", function()
  t.guard(before_each, after_each)

  it("programs run, and pipes are files or refused", function()
    local output = t.script [[
      local core = require "netns.core"
      local netns = require "netns"
      local type_of, stdout = io.type, io.stdout
      local ns = assert(netns.new())
      ns:spawn({ "true" }):close() -- what is kept for the next one
      local before = #core.readdir "/proc/self/fd"
      io.open = nil
      local process, message, errno =
        ns:spawn({ "cat" }, { stdin = "pipe", stdout = "pipe" })
      if process then
        process.stdin:write "text"
        process.stdin:close()
        print(process.stdout:read "*a")
        process:close()
      else
        print(message:match ": (.*)", errno)
      end
      print(ns:capture({ "echo", "text" }).stdout)
      print(#core.readdir "/proc/self/fd" - before)
    ]]
    local piped = t.version > 5.1 and "text"
      or "Function not implemented\t38"
    assert.equal(piped .. "\ntext\n\n0", output)
  end)
end)

describe("a dropped process", function()
  t.guard(before_each, after_each)

  -- So that a collection comes wherever one may come.
  it("is reaped, whenever it is collected", function()
    local ns = t.keep(assert(netns.new()))
    for i = 1, t.many(300) do
      ns:spawn({ "true" }, { mounts = false })
      if i % 7 == 0 then collectgarbage "step" end
    end
    t.eventually(function()
      collectgarbage()
      assert(ns:exec({ "true" }, { mounts = false })) -- reaps on the way
      return t.read "/proc/thread-self/children" == ""
    end)
  end)
end)
