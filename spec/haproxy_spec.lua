local netns = require "netns"
local core = require "netns.core"
local guests = require "spec.guests"
local json = require "spec.json"
local t = require "spec.support"

local problem = guests.lacks("haproxy", "python3")
local env
if not problem then
  env, problem =
    guests.env(guests.version("haproxy -vv", "Lua version : Lua (%d+%.%d+)"))
end

local it_has = guests.it(it, pending, problem)

local PORT = 8099
local THREADS = 4 -- as the configuration has it

-- A client: connections that send requests, one after the other. It prints how
-- many were answered, and each answer once.
local CLIENT = [[
import socket, sys, threading
path, connections, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
request = f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
answers, count, lock = set(), 0, threading.Lock()
def run():
    global count
    stream = socket.create_connection(("127.0.0.1", %d), 30).makefile("rwb")
    mine, done = set(), 0
    for _ in range(requests):
        stream.write(request)
        stream.flush()
        status, length = stream.readline().split()[1], 0
        while (line := stream.readline()) not in (b"\r\n", b""):
            key, _, value = line.lower().partition(b":")
            if key == b"content-length": length = int(value)
        mine.add(status + b" " + stream.read(length))
        done += 1
    with lock:
        answers.update(mine)
        count += done
threads = [threading.Thread(target=run) for _ in range(connections)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(count)
for answer in answers: print(answer.decode().strip())
]]

-- A namespace with a name behind another one, where haproxy is going to run.
-- Nothing leads out of the two.
local function lab()
  local front, name = t.keep(assert(netns.new())), t.name()
  local back = assert(netns.add(name))
  t.keep { close = function()
    back:close()
    assert(netns.delete(name))
  end }
  for _, ns in ipairs { front, back } do -- whose addresses come and change late
    assert(ns:sysctl("net.ipv6.conf.default.disable_ipv6", 1))
  end
  assert(front:link_add { name = "eth0", kind = "veth",
    peer = { name = "eth0", ns = back } })
  for ns, address in pairs { [front] = "10.0.0.1/24", [back] = "10.0.0.2/24" }
  do
    assert(ns:addr_add("eth0", address))
    assert(ns:link_set("lo", { up = true }))
    assert(ns:link_set("eth0", { up = true }))
  end
  assert(back:wait_link("eth0", { running = true, timeout = 9 }))
  return { front = front, back = back, name = name }
end

-- Writes the example's configuration, for this namespace, changed by `edit`.
local function configure(name, edit)
  local text = t.read "examples/haproxy/haproxy.cfg"
    :gsub("=vpn:", "=" .. name:gsub("%%", "%%%%") .. ":")
  local path = os.tmpname()
  t.write(path, edit and edit(text) or text)
  t.keep { close = function() os.remove(path) end }
  return path
end

local function all_threads(text)
  local edited, count = text:gsub("\tlua%-load%-per%-thread ", "\tlua-load ")
  assert.equal(1, count)
  return edited
end

-- The process of haproxy that serves, and has dropped all that it can; not the
-- old one.
local function serving(where, old)
  for _, pid in ipairs(where.front:pids()) do
    if pid ~= old
      and core.readlink(("/proc/%d/root"):format(pid)) == "/var/lib/haproxy"
      and t.read(("/proc/%d/status"):format(pid)):find "\nCapPrm:%s*0+\n"
    then
      return pid
    end
  end
end

-- Starts haproxy; the process that serves.
local function start(where, mode, edit)
  local command = ("exec %s PORT=%d haproxy %s -f %s")
    :format(env, PORT, mode, configure(where.name, edit))
  local process = t.keep(assert(where.front:spawn({ "sh", "-c", command },
    { log = true, mounts = false })))
  t.keep { close = function() -- a daemon is not in its process group
    for _, pid in ipairs(assert(where.front:pids())) do
      if pid ~= process.pid then t.sh("kill -9 %d", pid) end
    end
    process:close()
    t.eventually(function() return not where.front:pids()[1] end)
  end }
  assert(where.front:wait_listen(PORT, 30), process:log())
  local worker
  t.eventually(function()
    worker = serving(where)
    return worker
      and #core.readdir(("/proc/%d/task"):format(worker)) >= THREADS
  end)
  return worker, process
end

local function ask(where, path, connections, requests)
  return assert(where.front:spawn({ "python3", "-c", CLIENT:format(PORT),
    path, tostring(connections or 1), tostring(requests or 1) },
    { log = true, mounts = false }))
end

local function answer(client)
  local ok = client:wait(120)
  local text = client:log()
  client:close()
  assert.is_true(ok, text)
  return text:match "^(%d+)\n(.*)\n$"
end

-- The status of a page, and what it says.
local function get(where, path)
  local _, text = answer(ask(where, path))
  return tonumber(text:sub(1, 3)), text:sub(5)
end

-- Every thread of a process is in this namespace; how many they are.
local function threads_in(pid, ns)
  local tasks = assert(core.readdir(("/proc/%d/task"):format(pid)))
  for _, task in ipairs(tasks) do
    assert.equal(("net:[%d]"):format(ns:inode()),
      core.readlink(("/proc/%d/task/%s/ns/net"):format(pid, task)))
  end
  return #tasks
end

-- What the inventory has to say of a namespace.
local function expected(where)
  local links = {}
  for i, link in ipairs(where.back:links()) do
    local addresses = {}
    for _, addr in ipairs(where.back:addrs { link = link.name }) do
      addresses[#addresses + 1] =
        ("%s/%d"):format(addr["local"], addr.prefixlen)
    end
    links[i] = {
      name = link.name, kind = link.kind, up = link.up, mtu = link.mtu,
      mac = link.address, addresses = addresses,
    }
  end
  return {
    name = where.name, inode = where.back:inode(), links = links,
    listening = { { protocol = "tcp", address = "10.0.0.2", port = 80 } },
  }
end

-- Has a program listen in the namespace behind.
local function serve(where, port)
  local process = t.keep(assert(where.back:spawn({ "python3", "-c", ([[
import socket
s = socket.create_server(("10.0.0.2", %d))
while True:
    c = s.accept()[0]
    c.recv(65536)
    c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
    c.close()
]]):format(port) }, { mounts = false })))
  assert(where.back:wait_listen(port, 20))
  return process
end

describe("haproxy", function()
  t.guard(before_each, after_each)

  for title, edit in pairs {
    ["one Lua for all threads"] = all_threads,
    ["a Lua for each thread"] = tostring,
  } do
    it_has("answers 10000 requests with " .. title, function()
      local where = lab()
      serve(where, 80)
      local worker = start(where, "-W", edit)
      local client = ask(where, "/namespaces/" .. where.name, 20, 500)
      local looks = 0
      repeat
        assert.is_true(threads_in(worker, where.front) >= THREADS)
        looks = looks + 1
      until select(3, client:wait(0.05)) ~= core.errno.ETIMEDOUT
      local count, text = answer(client)
      assert.equal("10000", count)
      assert.is_true(looks > 3)
      assert.equal("200", text:match "^%d+") -- and one answer for all
      assert.same(expected(where), json.decode(text:sub(5)))
      assert.is_true(threads_in(worker, where.front) >= THREADS)
    end)
  end

  for mode, what in pairs {
    ["-db"] = "in the foreground", ["-D"] = "as a daemon",
    ["-W"] = "as a worker",
  } do
    it_has("asks " .. what .. ", without privilege or file system", function()
      local where = lab()
      serve(where, 80)
      for _, edit in ipairs { tostring, all_threads } do
        local worker, process = start(where, mode, edit)
        local status, text = get(where, "/namespaces")
        assert.equal(200, status)
        local list = json.decode(text)
        assert.equal(1, #list)
        assert.same(expected(where), list[1])
        assert.equal(404, (get(where, "/namespaces/none")))
        t.sh("kill %d %d", worker, process.pid)
        t.eventually(function() return not where.front:pids()[1] end)
      end
    end)
  end

  it_has("sees what changes in a namespace", function()
    local where = lab()
    start(where, "-W")
    assert(where.back:link_set("eth0", { mtu = 1400 }))
    local _, text = get(where, "/namespaces/" .. where.name)
    local there = json.decode(text)
    assert.equal(1400, there.links[2].mtu)
    assert.same({}, there.listening)
    assert.matches('"listening":[]', text, 1, true) -- not {}
  end)

  -- The server answers all the time: it is the other port that matters.
  for title, edit in pairs {
    ["one Lua"] = all_threads, ["a Lua for each thread"] = tostring,
  } do
    it_has("has a server up while somebody listens inside, with " .. title,
      function()
        local where = lab()
        serve(where, 80)
        local worker = start(where, "-W", function(text)
          return (edit(text):gsub(":80\n", ":81\n", 1))
        end)
        t.eventually(function() return get(where, "/") == 503 end)
        local other = serve(where, 81)
        t.eventually(function() return get(where, "/") == 200 end)
        local _, text = get(where, "/")
        assert.equal("hello", text)
        other:close()
        t.eventually(function() return get(where, "/") == 503 end)
        assert.is_true(threads_in(worker, where.front) >= THREADS)
      end)
  end

  it_has("loads past a leftover, and has a server down whose namespace is none",
    function()
      local where = lab()
      local stale = t.name()
      t.write(netns.run_dir .. "/" .. stale, "")
      t.keep { close = function() assert(netns.delete(stale)) end }
      for _, name in ipairs { stale, "none" } do
        local _, process = start(where, "-W", function(text)
          return (text:gsub("=[^=:]+:80\n", "=" .. name .. ":80\n", 1))
        end)
        local _, text = get(where, "/namespaces")
        assert.equal(1, #json.decode(text))
        t.eventually(function() return get(where, "/") == 503 end)
        assert.matches(("app/inside=%s:80 is down: "):format(name),
          process:log(), 1, true)
        process:close()
      end
    end)

  it_has("goes on when a namespace that it serves loses its name", function()
    local where = lab()
    serve(where, 80)
    start(where, "-W")
    t.eventually(function() return get(where, "/") == 200 end)
    assert(netns.delete(where.name))
    t.keep { close = function() -- for what deletes it at the end
      assert(netns.attach(where.name, where.back)):close()
    end }
    assert.equal(200, (get(where, "/namespaces/" .. where.name)))
    assert.equal(200, (get(where, "/")))
  end)

  it_has("refuses servers that are not described", function()
    local where = lab()
    local path = configure(where.name, function(text)
      return (text:gsub("app/inside=[^\n]*", "app inside", 1))
    end)
    local result = assert(where.front:capture({ "sh", "-c",
      ("%s PORT=%d haproxy -db -f %s"):format(env, PORT, path) },
      { timeout = 30, mounts = false }))
    assert.is_false(result.ok)
    assert.matches("NETNS_SERVERS wants BACKEND/SERVER=NAMESPACE:PORT, not app",
      result.stderr, 1, true)
  end)

  -- Clients that connect for each request, until their standard input ends, and
  -- then print how many answers of each status there were.
  local CONNECTING = [[
import collections, socket, sys, threading
counts, lock, stop = collections.Counter(), threading.Lock(), threading.Event()
def run():
    while not stop.is_set():
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", %d), 30) as s:
                s.sendall(b"GET %s HTTP/1.0\r\n\r\n")
                while part := s.recv(65536): answer += part
        except OSError: continue # of a listener that closes
        if answer:
            with lock: counts[answer.split()[1].decode()] += 1
threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads: thread.start()
sys.stdin.read()
stop.set()
for thread in threads: thread.join()
print(*(f"{status}:{count}" for status, count in counts.items()))
]]

  -- The child serves before its parent, which has opened the sockets, has
  -- ended, and it has no privilege for sockets of its own.
  it_has("answers every request while it is reloaded as a daemon", function()
    local where = lab()
    serve(where, 80)
    local worker = start(where, "-D")
    local path = configure(where.name)
    local client = t.keep(assert(where.front:spawn({ "python3", "-c",
      CONNECTING:format(PORT, "/namespaces/" .. where.name) },
      { log = true, stdin = "pipe", mounts = false })))
    for _ = 1, 5 do
      assert(where.front:exec({ "sh", "-c", ("exec %s PORT=%d "
        .. "haproxy -D -f %s -sf %d"):format(env, PORT, path, worker) },
        { mounts = false, stdout = "null", stderr = "null" }))
      local old = worker
      t.eventually(function()
        worker = serving(where, old)
        return worker and not t.runs(old)
      end)
    end
    client.stdin:close()
    assert(client:wait(60 * t.slow))
    assert.matches("^200:%d+\n$", client:log())
  end)
end)
