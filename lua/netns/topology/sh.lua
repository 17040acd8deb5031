-- The same network as commands of ip(8) and tc(8), for a shell.

local effects = require "netns.topology.effects"
local ip = require "netns.topology.ip"
local BRIDGE = require "netns.topology.model".BRIDGE
local routes = require "netns.topology.routes"
local sysctls = require "netns.topology.sysctls"

local HEAD = [[
#!/bin/sh
# The nodes are namespaces of these names; "ip netns delete" takes them away.
set -e]]

-- A word as a shell takes it: whatever is in it, nothing but the word.
local function quote(word)
  if word:find "^[%w_./:@%%+-]+$" and not word:find "[\128-\255]" then
    return word
  end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- All lines are made by this: a command is an array of words.
local function command(say, ...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = quote(tostring(word)) end
  say(table.concat(words, " "))
end

-- Each array of words one after the other.
local function join(...)
  local words = {}
  for _, list in ipairs { ... } do
    for _, word in ipairs(list) do words[#words + 1] = word end
  end
  return words
end

local unpack = table.unpack or unpack -- luacheck: ignore 113 143

local function mtu_of(cable)
  return cable.mtu and { "mtu", ("%d"):format(cable.mtu) } or {}
end

-- A value, and the file that it goes to.
local WRITE = [[printf "%s\n" "$1" >"$2"]]
-- The same where there is this file: a kernel may have no IPv6.
local WRITE_IF_THERE = [[if [ -e "$2" ]; then printf "%s\n" "$1" >"$2"; fi]]

local function write(say, node, script, value, path)
  command(say, "ip", "netns", "exec", node.name, "sh", "-c", script, "sh",
    value, path)
end

local function add_node(say, node)
  command(say, "ip", "netns", "add", node.name)
  for _, entry in ipairs(sysctls.of(node.kind)) do
    write(say, node, WRITE_IF_THERE, entry.value, entry.path)
  end
  if node.kind == "switch" then
    command(say, "ip", "-n", node.name, "link", "add", "name", BRIDGE, "type",
      "bridge")
    command(say, "ip", "-n", node.name, "link", "set", "dev", BRIDGE, "up")
  end
end

local function add_cable(say, cable)
  local a, b = cable.ends[1], cable.ends[2]
  command(say, unpack(join(
    { "ip", "-n", a.node.name, "link", "add", "name", a.name }, mtu_of(cable),
    { "type", "veth", "peer", "name", b.name }, mtu_of(cable),
    { "netns", b.node.name })))
  for _, port in ipairs(cable.ends) do
    if port.node.kind == "switch" then
      command(say, "ip", "-n", port.node.name, "link", "set", "dev", port.name,
        "master", BRIDGE, "up")
    end
  end
end

local function configure(say, node)
  for _, entry in ipairs(node.sysctl) do
    write(say, node, WRITE, sysctls.text(entry.value), entry.path)
  end
  command(say, "ip", "-n", node.name, "link", "set", "dev", "lo", "up")
  for _, interface in ipairs(node.interfaces) do
    for _, address in ipairs(interface.addresses) do
      command(say, "ip", "-n", node.name, "address", "add",
        ip.text(address.bytes, address.length), "dev", interface.name)
    end
    command(say, "ip", "-n", node.name, "link", "set", "dev", interface.name,
      "up")
  end
end

local function add_routes(say, node)
  for _, route in ipairs(node.routes) do
    local to = routes.text(route)
    local family = route.via.family == "inet6" and "-6" or "-4"
    command(say, "ip", family, "-n", node.name, "route", "add", to, "via",
      route.via.plain, "dev", route.interface.name)
  end
end

local function seconds(value) return ("%.0fus"):format(value * 1e6) end
local function percent(value) return ("%.10g%%"):format(value * 100) end

-- In the order in which tc wants them.
local OPTIONS = {
  netem = {
    { "limit", "%.0f" }, { "delay", seconds }, { "jitter", seconds },
    { "loss", percent }, { "corrupt", percent }, { "duplicate", percent },
    { "reorder", percent }, { "rate", "%.0fbit" },
  },
  tbf = {
    { "rate", "%.0fbit" }, { "burst", "%.0fb" }, { "latency", seconds },
  },
}

local function add_queue(say, interface)
  local queue = effects.queue(interface.cable)
  if not queue then return end
  local words = {}
  for _, option in ipairs(OPTIONS[queue.kind]) do
    local name, value = option[1], queue[option[1]]
    if value then
      if name ~= "jitter" then words[#words + 1] = name end -- it follows delay
      words[#words + 1] = type(option[2]) == "string"
        and option[2]:format(value) or option[2](value)
    end
  end
  command(say, unpack(join({ "tc", "-n", interface.node.name, "qdisc", "add",
    "dev", interface.name, "root", queue.kind }, words)))
end

--- A script for a model.
return function(model)
  local lines = { HEAD }
  local function say(line) lines[#lines + 1] = line end
  for _, node in ipairs(model.nodes) do add_node(say, node) end
  for _, cable in ipairs(model.cables) do add_cable(say, cable) end
  for _, node in ipairs(model.nodes) do
    if node.kind ~= "switch" then configure(say, node) end
  end
  for _, node in ipairs(model.nodes) do add_routes(say, node) end
  for _, cable in ipairs(model.cables) do
    for _, interface in ipairs(cable.ends) do add_queue(say, interface) end
  end
  return table.concat(lines, "\n") .. "\n"
end
