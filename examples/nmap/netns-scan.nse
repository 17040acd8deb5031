local netns = require "netns"
local nmap = require "nmap"
local stdnse = require "stdnse"
local string = require "string"

description = [[
Runs one scan inside every network namespace of this machine that has a name,
several at a time, and gathers what they find. Where no targets are given, each
namespace is scanned from inside at the addresses that it has itself: what it
offers there, however it is reached from outside.

The scans are programs, nmap itself, that the library netns starts inside. They
are waited for without holding up the scripts that run beside this one, and end
with this nmap, in whatever way it ends.

Needs the library netns, built for the Lua that nmap -V tells of, on LUA_PATH
and LUA_CPATH; and CAP_SYS_ADMIN, to enter namespaces.
]]

---
-- @usage
-- nmap --script ./netns-scan.nse
-- nmap --script ./netns-scan.nse --script-args
--   'netns-scan.targets={10.0.0.1,10.0.0.2},netns-scan.args="-sT -p80"'
--
-- @args netns-scan.targets What to scan, in each namespace: one target of nmap,
--       or several in braces. By default the IPv4 addresses that the namespace
--       has, but for those of its loopback.
-- @args netns-scan.args Arguments for the nmap inside. Default
--       <code>-n -Pn -F</code>.
-- @args netns-scan.only A Lua pattern: only names that it is found in.
-- @args netns-scan.jobs How many to run at a time. Default 8.
-- @args netns-scan.timeout How long each may take. Default <code>5m</code>.
--
-- @output
-- Pre-scan script results:
-- | netns-scan:
-- |   vpn
-- |     10.0.0.2: up
-- |_      80/tcp open http
--
-- @xmloutput
-- <table key="vpn">
--   <table key="hosts">
--     <table>
--       <elem key="address">10.0.0.2</elem>
--       <elem key="state">up</elem>
--       <table key="ports">
--         <table>
--           <elem key="port">80</elem>
--           <elem key="protocol">tcp</elem>
--           <elem key="state">open</elem>
--           <elem key="service">http</elem>
--         </table>
--       </table>
--     </table>
--   </table>
-- </table>

author = "the authors of netns"
license = "MIT"
categories = { "discovery" }

local PAUSE = 0.05 -- seconds from one look at the scans to the next

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

-- What to scan in a namespace: what was asked for, or its own addresses.
local function targets_in(ns, asked)
  if type(asked) == "string" then return words(asked) end
  if asked then return asked end
  local list = {}
  for _, addr in ipairs(assert(ns:addrs { family = "inet" })) do
    if addr.scope ~= "host" then list[#list + 1] = addr["local"] end
  end
  return list
end

local function command(targets, opts)
  local argv = { "nmap", "-oX", "-" }
  for _, word in ipairs(opts.args) do argv[#argv + 1] = word end
  for _, target in ipairs(targets) do argv[#argv + 1] = target end
  return argv
end

-- Starts a scan; nil and a message if it cannot be started.
local function start(name, opts)
  local ns, message = netns.open(name)
  if not ns then return nil, message end -- a leftover, say
  local process
  local targets = targets_in(ns, opts.targets)
  if targets[1] then
    process, message = ns:spawn(command(targets, opts),
      { log = true, stdin = "null" })
  else
    message = "it has no address to scan"
  end
  ns:close() -- the scan is inside by itself
  if not process then return nil, message end
  return { process = process, deadline = nmap.clock() + opts.timeout }
end

-- The value of an attribute in a tag of XML.
local function attribute(tag, key)
  local value = tag:match("%f[%w]" .. key .. '="([^"]*)"')
  return value and (value:gsub("&(%a+);",
    { lt = "<", gt = ">", quot = '"', apos = "'", amp = "&" }))
end

local function port_of(text)
  local port = stdnse.output_table()
  port.port = tonumber(attribute(text, "portid"))
  port.protocol = attribute(text, "protocol")
  port.state = attribute(text:match "<state [^>]*>", "state")
  local service = text:match "<service [^>]*>"
  port.service = service and attribute(service, "name")
  return port
end

-- The hosts that a scan has found, out of its XML.
local function hosts_of(xml)
  local hosts = {}
  for text in xml:gmatch "<host[ >].-</host>" do
    local host = stdnse.output_table()
    host.address = attribute(text:match "<address [^>]*>", "addr")
    host.state = attribute(text:match "<status [^>]*>", "state")
    host.ports = {}
    for port in text:gmatch "<port .-</port>" do
      host.ports[#host.ports + 1] = port_of(port)
    end
    hosts[#hosts + 1] = host
  end
  return hosts
end

-- What a scan that is over has to say; nil while it runs.
local function result_of(scan)
  local process, result = scan.process, stdnse.output_table()
  local ok, message, how = process:wait(0)
  if ok then
    result.hosts = hosts_of(process:log())
  elseif how == "exit" or how == "signal" then
    result.error = ("%s: %s"):format(message, process:log())
  elseif how ~= netns.errno.ETIMEDOUT then
    result.error = message
  elseif scan.deadline <= nmap.clock() then
    result.error = "it took too long"
  else
    return nil
  end
  process:close() -- which ends it
  return result
end

-- Keeps `jobs` of them running until all are over.
local function scan_all(names, opts)
  local results, running = {}, {}
  local next_name, count = 1, 0
  while next_name <= #names or count > 0 do
    while count < opts.jobs and next_name <= #names do
      local name = names[next_name]
      local scan, message = start(name, opts)
      next_name = next_name + 1
      if scan then
        running[name], count = scan, count + 1
      else
        results[name] = { error = message }
      end
    end
    for name, scan in pairs(running) do
      results[name] = result_of(scan)
      if results[name] then running[name], count = nil, count - 1 end
    end
    if count > 0 then stdnse.sleep(PAUSE) end -- others have their turn
  end
  return results
end

-- What the normal output shows.
local function lines_of(name, result)
  local lines = { name = name, result.error }
  for _, host in ipairs(result.hosts or {}) do
    local ports = { name = ("%s: %s"):format(host.address, host.state) }
    for _, port in ipairs(host.ports) do
      ports[#ports + 1] = ("%d/%s %s %s"):format(port.port, port.protocol,
        port.state, port.service or "")
    end
    lines[#lines + 1] = ports[1] and ports or ports.name
  end
  return lines
end

local function arguments()
  local function arg(key)
    return (stdnse.get_script_args(SCRIPT_NAME .. "." .. key))
  end
  return {
    only = arg "only" or "", targets = arg "targets",
    args = words(arg "args" or "-n -Pn -F"),
    jobs = tonumber(arg "jobs" or 8),
    timeout = stdnse.parse_timespec(arg "timeout" or "5m"),
  }
end

prerule = function() return true end

action = function()
  local opts = arguments()
  local names, message = netns.names()
  if not names then return stdnse.format_output(false, message) end
  local chosen = {}
  for _, name in ipairs(names) do
    if string.find(name, opts.only) then chosen[#chosen + 1] = name end
  end
  local results = scan_all(chosen, opts)
  local all, text = stdnse.output_table(), {}
  for _, name in ipairs(chosen) do
    all[name] = results[name]
    text[#text + 1] = lines_of(name, results[name])
  end
  if not text[1] then return nil end
  return all, stdnse.format_output(true, text)
end
