local netns = require "netns"
local guests = require "spec.guests"
local t = require "spec.support"

-- What each of them does once: it makes a namespace with a link, enters it,
-- runs programs in it, waits for them, and takes it away. It prints what was
-- not as it should be, and then a line.
local TRIAL = [[
  local netns = require "netns"
  local name = %q
  local function check(what, ok, message)
    if not ok then print("wrong: " .. what, message) end
    return ok
  end
  local home = netns.current()
  local ns = check("add", netns.add(name))
  check("link_add", ns:link_add { name = "br0", kind = "bridge" })
  check("links", #ns:links() == 2)
  check("sockets", #ns:sockets() == 0)
  check("call", ns:call(function() return netns.current() == ns end))
  check("home", netns.current() == home)
  local ok, message, how, code = ns:exec { "sh", "-c", "exit 3" }
  check("exec", not ok and how == "exit" and code == 3, message)
  for i = 1, 20 do
    local result = ns:capture({ "sh", "-c", "echo hello; exit " .. i })
    check("capture", result and result.stdout == "hello\n" and result.code == i)
    local process = check("spawn", ns:spawn({ "sh", "-c", "kill -9 $$" }))
    ok, message, how, code = process:wait(60)
    check("wait", not ok and how == "signal" and code == 9, message)
    process:close()
  end
  ns:close()
  check("delete", netns.delete(name))
  print("done in " .. _VERSION)
]]

local function file_with(text)
  local path = os.tmpname()
  t.write(path, text)
  t.must("chmod 644 %s", path)
  t.keep { close = function() os.remove(path) end }
  return path
end

local function trial()
  return file_with(TRIAL:format(t.name()))
end

-- A test that wants a program, and the library for the Lua that it has.
local function it_has(title, program, lua, fn)
  it(title, function()
    local env
    local problem = guests.lacks(program)
    if not problem then env, problem = guests.env(lua) end
    if problem then return pending(problem) end
    fn(env .. " timeout -s KILL 60")
  end)
end

describe("the library runs in", function()
  t.guard(before_each, after_each)

  it_has("neovim", "nvim", "luajit", function(env)
    local output, code = t.sh("%s nvim --headless -u NONE -c 'luafile %s' -c q",
      env, trial())
    assert.equal(0, code, output)
    assert.equal("done in Lua 5.1", output)
  end)

  it_has("neovim, whose loop waits for a program", "nvim", "luajit",
    function(env)
      local path = file_with([[
        local netns = require "netns"
        local ns = assert(netns.new())
        local process = assert(ns:spawn { "sh", "-c", "sleep 0.1; exit 3" })
        local result
        local poll = vim.loop.new_poll(process:fd())
        poll:start("r", function()
          poll:stop()
          result = { process:wait(0) }
        end)
        vim.wait(10000, function() return result end)
        print(result[3], result[4])
        process:close()
        ns:close()
      ]])
      local output, code = t.sh(
        "%s nvim --headless -u NONE -c 'luafile %s' -c q", env, path)
      assert.equal(0, code, output)
      assert.equal("exit 3", output)
    end)

  it_has("tshark", "tshark", "5.2", function(env)
    local pcap = file_with("\212\195\178\161\2\0\4\0" .. ("\0"):rep(8)
      .. "\0\0\4\0\1\0\0\0") -- a capture without a packet
    local output, code = t.sh("%s tshark -X lua_script:%s -r %s", env,
      trial(), pcap)
    assert.equal(0, code, output)
    assert.matches("done in Lua 5.2", output, 1, true)
    assert.is_nil(output:find("wrong", 1, true), output)
  end)

  it_has("a daemon that reaps its children itself, by posix", "lua5.3", "5.3",
    function(env)
      if select(2, t.sh "lua5.3 -e 'require [[posix.signal]]'") ~= 0 then
        return pending "lua-posix is not installed (make deps GROUPS=hosts)"
      end
      if t.kernel() < 6.15 then
        return pending "this kernel does not tell the status of what was reaped"
      end
      local text = [[
        local signal = require "posix.signal"
        local unistd = require "posix.unistd"
        local wait = require "posix.sys.wait"
        local reaped = 0
        signal.signal(signal.SIGCHLD, function()
          while (wait.wait(-1, wait.WNOHANG) or 0) > 0 do
            reaped = reaped + 1
          end
        end)
        if unistd.fork() > 0 then unistd._exit(0) end
        unistd.setpid("s")
        unistd.chdir "/"
        if unistd.fork() == 0 then unistd._exit(0) end -- one of its own
        ]] .. TRIAL:format(t.name()) .. [[
        print(reaped > 0 and "and its own is reaped" or "its own is not")
      ]]
      local output, code = t.sh("%s sh -c 'lua5.3 %s | cat'", env,
        file_with(text))
      assert.equal(0, code, output)
      assert.equal("done in Lua 5.3\nand its own is reaped", output)
    end)

  -- Debian's wants a LuaJIT that excludes the one which the specs are run with.
  local MODULE = "/usr/lib/nginx/modules/ngx_http_lua_module.so"

  -- nginx in a namespace of its own; what its page says.
  local function nginx(env, user, page)
    local ns = t.keep(assert(netns.new()))
    assert(ns:link_set("lo", { up = true }))
    local dir = t.must "mktemp -d"
    t.keep { close = function() t.must("rm -r %s", dir) end }
    t.must("chmod 755 %s", dir)
    local path = file_with(([[
      load_module /usr/lib/nginx/modules/ndk_http_module.so;
      load_module %s;
      daemon off;
      worker_processes 2;
      user %s;
      pid %s/pid;
      error_log stderr;
      env LUA_PATH;
      env LUA_CPATH;
      events {}
      http {
        access_log off;
        init_by_lua_block { require "netns" }
        server {
          listen 127.0.0.1:8099;
          location / { content_by_lua_block { %s } }
        }
      }
    ]]):format(MODULE, user, dir, page))
    local process = assert(ns:spawn({ "sh", "-c",
      ("exec %s nginx -p %s -e stderr -c %s"):format(env, dir, path) },
      { log = true, mounts = false }))
    t.keep(process)
    assert(ns:wait_listen(8099, 30), process:log())
    local result = assert(ns:capture({ "python3", "-c",
      "import urllib.request as r;"
      .. "print(r.urlopen('http://127.0.0.1:8099/').read().decode(), end='')" },
      { mounts = false, timeout = 60 }))
    assert.is_true(result.ok, result.stderr .. process:log())
    process:kill "QUIT"
    process:wait(10)
    return result.stdout
  end

  local function it_has_nginx(title, fn)
    it_has(title, "nginx", "luajit", function(env)
      if select(2, t.sh("test -e %s", MODULE)) ~= 0 then
        return pending(MODULE .. " is not installed")
      end
      fn(env)
    end)
  end

  it_has_nginx("a worker of nginx", function(env)
    assert.equal("done in Lua 5.1\n", nginx(env, "root",
      "local print = ngx.say " .. TRIAL:format(t.name())))
  end)

  it_has_nginx("a worker of nginx without privileges, to read names",
    function(env)
      local name = t.name()
      assert(netns.add(name)):close()
      t.keep { close = function() assert(netns.delete(name)) end }
      assert.equal(("%s\nnil EPERM\n"):format(name), nginx(env, "www-data", [[
        local netns = require "netns"
        ngx.say(table.concat(netns.names(), " "))
        local ns, message, errno = netns.new()
        ngx.say(tostring(ns), " ", errno == netns.errno.EPERM and "EPERM"
          or message)
      ]]))
    end)
end)
