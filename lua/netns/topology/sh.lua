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

local function quote(text)
  if text:find "^[%w_./:@%%+-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function mtu_of(cable)
  return cable.mtu and ("mtu %d "):format(cable.mtu) or ""
end

local function add_node(say, node)
  say("ip netns add %s", node.name)
  for _, entry in ipairs(sysctls.of(node.kind)) do
    say("ip netns exec %s sh -c 'echo %s >/proc/sys/%s'", node.name,
      entry.value, (entry.key:gsub("%.", "/")))
  end
  if node.kind == "switch" then
    say("ip -n %s link add name %s type bridge", node.name, BRIDGE)
    say("ip -n %s link set dev %s up", node.name, BRIDGE)
  end
end

local function add_cable(say, cable)
  local a, b = cable.ends[1], cable.ends[2]
  say("ip -n %s link add name %s %stype veth peer name %s %snetns %s",
    a.node.name, quote(a.name), mtu_of(cable), quote(b.name), mtu_of(cable),
    b.node.name)
  for _, port in ipairs(cable.ends) do
    if port.node.kind == "switch" then
      say("ip -n %s link set dev %s master %s up", port.node.name,
        quote(port.name), BRIDGE)
    end
  end
end

local function sysctl_path(key)
  return key:find("/", 1, true) and key or key:gsub("%.", "/")
end

local function configure(say, node)
  for _, entry in ipairs(node.sysctl) do
    say("ip netns exec %s sh -c %s", node.name,
      quote(("echo %s >%s"):format(quote(tostring(entry.value)),
        quote("/proc/sys/" .. sysctl_path(entry.key)))))
  end
  say("ip -n %s link set dev lo up", node.name)
  for _, interface in ipairs(node.interfaces) do
    for _, address in ipairs(interface.addresses) do
      say("ip -n %s address add %s dev %s", node.name,
        ip.text(address.bytes, address.length), quote(interface.name))
    end
    say("ip -n %s link set dev %s up", node.name, quote(interface.name))
  end
end

local function add_routes(say, node)
  for _, interface in ipairs(node.interfaces) do
    for _, route in ipairs(node.routes) do
      if routes.leave_by(route, interface) then
        say("ip -n %s route add %s via %s dev %s", node.name,
          routes.text(route), route.via.plain, quote(interface.name))
      end
    end
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
  local queue = effects.queue(interface.cable.effects)
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
  say("tc -n %s qdisc add dev %s root %s %s", interface.node.name,
    quote(interface.name), queue.kind, table.concat(words, " "))
end

--- A script for a model.
return function(model)
  local lines = { HEAD }
  local function say(text, ...)
    lines[#lines + 1] = text:format(...)
  end
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
