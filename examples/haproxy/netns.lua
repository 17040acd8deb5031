-- For haproxy: see haproxy.cfg beside.

local netns = require "netns"

local PAUSE = 100 -- milliseconds from one look at a server to the next

-- JSON ------------------------------------------------------------------------

-- A few lines instead of lua-cjson, which cannot tell an empty array from an
-- empty object. Here a table is an array unless it has a string as a key.

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(char)
    return ESCAPES[char] or ("\\u%04x"):format(char:byte())
  end):gsub("[\128-\255]+", function(bytes) -- UTF-8, or the text \xHH
    return (netns.printable(bytes):gsub("\\", "\\\\"))
  end) .. '"'
end

local function encode(value)
  if type(value) == "string" then return quote(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts, keys = {}, {}
  for key in pairs(value) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    parts[i] = quote(key) .. ":" .. encode(value[key])
  end
  if keys[1] then return "{" .. table.concat(parts, ",") .. "}" end
  for i, item in ipairs(value) do parts[i] = encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- What is opened at load time -------------------------------------------------

-- The first call of a kind opens its socket in the namespace, which the handle
-- keeps. So they go on working without privilege, and without a file system.
-- A namespace that cannot be opened, because it is not there yet, has gone just
-- now or is a leftover, is left out until haproxy is reloaded: nil, message.
local function open(name)
  local ns, message = netns.open(name)
  local ok = ns ~= nil
  if ok then ok, message = ns:links() end
  if ok then
    ok, message = ns:sockets { protocol = "tcp", state = "listen" }
  end
  if ok then return ns end
  if ns then ns:close() end
  return nil, message
end

local names, spaces, problems = {}, {}, {}
for _, name in ipairs(assert(netns.names())) do
  spaces[name], problems[name] = open(name)
  if spaces[name] then names[#names + 1] = name end
end

-- The inventory ---------------------------------------------------------------

local function links_of(ns)
  local links, by_index = {}, {}
  for i, link in ipairs(assert(ns:links())) do
    links[i] = {
      name = link.name, kind = link.kind, up = link.up, mtu = link.mtu,
      mac = link.address, addresses = {},
    }
    by_index[link.index] = links[i]
  end
  for _, addr in ipairs(assert(ns:addrs())) do
    local link = by_index[addr.index] -- not one that came meanwhile
    if link then
      table.insert(link.addresses,
        ("%s/%d"):format(addr["local"], addr.prefixlen))
    end
  end
  return links
end

local function listening_in(ns)
  local list = {}
  for _, filter in ipairs {
    { protocol = "tcp", state = "listen" },
    { protocol = "udp", state = "unconnected" },
  } do
    for _, socket in ipairs(assert(ns:sockets(filter))) do
      list[#list + 1] = {
        protocol = socket.protocol, address = socket.address,
        port = socket.port,
      }
    end
  end
  return list
end

local function describe(name)
  local ns = spaces[name]
  return {
    name = name, inode = ns:inode(), links = links_of(ns),
    listening = listening_in(ns),
  }
end

local function inventory(path)
  local name = path:match "^/namespaces/([^/]+)$"
  if name then
    if not spaces[name] then return 404, { error = "no such namespace" } end
    local ok, result = pcall(describe, name)
    if not ok then return 500, { error = tostring(result) } end
    return 200, result
  end
  if path ~= "/namespaces" then return 404, { error = "no such page" } end
  local list = {}
  for i, each in ipairs(names) do -- one that cannot be asked is no other's harm
    local ok, result = pcall(describe, each)
    list[i] = ok and result or { name = each, error = tostring(result) }
  end
  return 200, list
end

core.register_service("netns", "http", function(applet)
  local status, value = inventory(applet.path)
  local body = encode(value) .. "\n"
  applet:set_status(status)
  applet:add_header("content-type", "application/json")
  applet:add_header("content-length", tostring(#body))
  applet:start_response()
  applet:send(body)
end)

-- The health of servers -------------------------------------------------------

-- Has haproxy think of a server what is so: it is up while somebody listens on
-- its port, on whatever address. While that cannot be found out it stays as it
-- is, and the reason is logged once.
local function watch(server, ns, port)
  local was, problem
  while true do
    local list, message =
      ns:sockets { protocol = "tcp", state = "listen", port = port }
    if list and (list[1] ~= nil) ~= was then
      was = list[1] ~= nil
      if was then server:check_force_up() else server:check_force_down() end
    end
    message = not list and message or nil
    if message and message ~= problem then core.Alert(message) end
    problem = message
    core.msleep(PAUSE)
  end
end

-- A server whose namespace is missing is down.
local function watch_server(text)
  local backend, server, name, port = text:match "^(.-)/(.-)=(.+):(%d+)$"
  if not backend then
    error("NETNS_SERVERS wants BACKEND/SERVER=NAMESPACE:PORT, not " .. text, 0)
  end
  local ns = spaces[name]
  if not ns then
    core.Alert(("%s is down: %s"):format(netns.printable(text),
      problems[name] or "there is no such namespace"))
  end
  core.register_task(function()
    local there = core.backends[backend]
    there = there and there.servers[server]
    if not there then
      core.Alert("there is no server " .. netns.printable(text))
    elseif ns then
      watch(there, ns, tonumber(port))
    else
      there:check_force_down()
    end
  end)
end

-- 0: the Lua of all threads; else one for each, of which the first does it.
if core.thread <= 1 then
  local servers = os.getenv "NETNS_SERVERS" or ""
  for text in servers:gmatch "%S+" do watch_server(text) end
end
