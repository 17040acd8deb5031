local netns = require "netns"
local stdnse = require "stdnse"
local string = require "string"
local table = require "table"

description = [[
Lists the network namespaces of this machine that have a name, and for each its
links with their addresses, and the sockets that listen in it. It asks the
kernel, and sends nothing to anybody.

Needs the library netns, built for the Lua that nmap -V tells of, on LUA_PATH
and LUA_CPATH; and CAP_SYS_ADMIN, to look into namespaces.
]]

---
-- @usage
-- nmap --script ./netns-inventory.nse
-- nmap --script ./netns-inventory.nse --script-args netns-inventory.only=^vpn
--
-- @args netns-inventory.only A Lua pattern: only names that it is found in.
--
-- @output
-- Pre-scan script results:
-- | netns-inventory:
-- |   vpn
-- |     link lo (up): 127.0.0.1/8 ::1/128
-- |     link eth0 (veth, up): 10.0.0.2/24
-- |_    listens tcp 10.0.0.2:80
--
-- @xmloutput
-- <table key="vpn">
--   <table key="links">
--     <table>
--       <elem key="name">eth0</elem>
--       <elem key="kind">veth</elem>
--       <elem key="up">true</elem>
--       <elem key="mtu">1500</elem>
--       <elem key="mac">02:00:00:00:00:01</elem>
--       <table key="addresses"><elem>10.0.0.2/24</elem></table>
--     </table>
--   </table>
--   <table key="listening">
--     <table>
--       <elem key="protocol">tcp</elem>
--       <elem key="address">10.0.0.2</elem>
--       <elem key="port">80</elem>
--     </table>
--   </table>
-- </table>

author = "the authors of netns"
license = "MIT"
categories = { "discovery", "safe" }

local function links_of(ns)
  local links, by_index = {}, {}
  for _, link in ipairs(assert(ns:links())) do
    local entry = stdnse.output_table()
    entry.name = link.name -- one by one: the table keeps their order
    entry.kind = link.kind
    entry.up = link.up
    entry.mtu = link.mtu
    entry.mac = link.address
    entry.addresses = {}
    links[#links + 1], by_index[link.index] = entry, entry
  end
  for _, addr in ipairs(assert(ns:addrs())) do
    local entry = by_index[addr.index] -- not one that came meanwhile
    if entry then
      table.insert(entry.addresses,
        ("%s/%d"):format(addr["local"], addr.prefixlen))
    end
  end
  return links
end

-- Those that wait for whoever comes: of TCP those that listen, of UDP those
-- that are bound and have no peer.
local function listening_in(ns)
  local list = {}
  for protocol, state in pairs { tcp = "listen", udp = "unconnected" } do
    local filter = { protocol = protocol, state = state }
    for _, socket in ipairs(assert(ns:sockets(filter))) do
      if socket.port then
        local entry = stdnse.output_table()
        entry.protocol = protocol
        entry.address = socket.address
        entry.port = socket.port
        entry.link = socket.link
        list[#list + 1] = entry
      end
    end
  end
  table.sort(list, function(a, b)
    if a.protocol ~= b.protocol then return a.protocol < b.protocol end
    if a.port ~= b.port then return a.port < b.port end
    return a.address < b.address
  end)
  return list
end

local function look(name)
  local result = stdnse.output_table()
  local ns, message = netns.open(name)
  if not ns then -- a leftover, say
    result.error = message
    return result
  end
  local ok, problem = pcall(function()
    result.links = links_of(ns)
    result.listening = listening_in(ns)
  end)
  ns:close()
  if not ok then result.error = problem end
  return result
end

-- What the normal output shows.
local function lines_of(name, result)
  local lines = { name = name }
  for _, link in ipairs(result.links or {}) do
    lines[#lines + 1] = ("link %s (%s%s): %s"):format(link.name,
      link.kind and link.kind .. ", " or "", link.up and "up" or "down",
      table.concat(link.addresses, " "))
  end
  for _, socket in ipairs(result.listening or {}) do
    local address = socket.address
    if address:find ":" then address = "[" .. address .. "]" end
    lines[#lines + 1] = ("listens %s %s:%d"):format(socket.protocol, address,
      socket.port)
  end
  lines[#lines + 1] = result.error
  return lines
end

prerule = function() return true end

action = function()
  local only = stdnse.get_script_args(SCRIPT_NAME .. ".only") or ""
  local all, text = stdnse.output_table(), {}
  local names, message = netns.names()
  if not names then return stdnse.format_output(false, message) end
  for _, name in ipairs(names) do
    if string.find(name, only) then
      all[name] = look(name)
      text[#text + 1] = lines_of(name, all[name])
    end
  end
  if not text[1] then return nil end
  return all, stdnse.format_output(true, text)
end
