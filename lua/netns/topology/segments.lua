-- The segments of a network: what cables and switches join, so that all on it
-- hear each other.

local reader = require "netns.topology.reader"

local segments = {}

local mistake = reader.mistake

local FAMILIES = { ipv4 = "inet", ipv6 = "inet6" }
local KEYS = { "ipv4", "ipv6" } -- in their order
local MTU_IPV6 = 1280 -- what IPv6 needs of a link

-- Of switches that are linked one stands for all.
local function root_of(switch)
  while switch.joined do
    switch.joined = switch.joined.joined or switch.joined
    switch = switch.joined
  end
  return switch
end

-- Two switches that are linked are one; linked twice, packets would go round
-- for ever.
local function join_switches(self)
  for _, cable in ipairs(self.cables) do
    local a, b = cable.ends[1].node, cable.ends[2].node
    if a.kind == "switch" and b.kind == "switch" then
      local into, from = root_of(a), root_of(b)
      if into == from then
        mistake(self, cable.path, "it closes a ring of switches")
      else
        from.joined = into
      end
    end
  end
end

local function segment_of(self, switch)
  local root = root_of(switch)
  if not root.segment then
    root.segment = { interfaces = {}, said = {}, path = switch.path }
    self.segments[#self.segments + 1] = root.segment
  end
  return root.segment
end

-- The segment of a cable, with those of its ends that are of nodes.
local function plug_in(self, cable)
  local switch
  for _, interface in ipairs(cable.ends) do
    if interface.node.kind == "switch" then switch = interface.node end
  end
  if switch then
    cable.segment = segment_of(self, switch)
  else
    cable.segment = { interfaces = {}, said = cable.said, path = cable.path }
    self.segments[#self.segments + 1] = cable.segment
  end
  for _, interface in ipairs(cable.ends) do
    if interface.node.kind ~= "switch" then
      table.insert(cable.segment.interfaces, interface)
      interface.segment = cable.segment
    end
  end
  if switch and next(cable.said) ~= nil then
    mistake(self, cable.path, "a subnet is that of all on the switch: say it "
      .. "of %s", switch.name)
  end
end

local function make_segments(self)
  join_switches(self)
  for _, cable in ipairs(self.cables) do plug_in(self, cable) end
  for _, node in ipairs(self.nodes) do
    for _, key in ipairs(node.kind == "switch" and KEYS or {}) do
      local segment, subnet = segment_of(self, node), node.said[FAMILIES[key]]
      if subnet ~= nil and segment.said[FAMILIES[key]] ~= nil then
        mistake(self, ("%s.%s"):format(node.path, key),
          "another switch of the same segment has it, too")
      elseif subnet ~= nil then
        segment.said[FAMILIES[key]] = subnet
      end
    end
  end
end

local function check_mtu(self)
  local text = "IPv6 wants an MTU of %d at least"
  for _, cable in ipairs(self.cables) do
    if (cable.mtu or MTU_IPV6) < MTU_IPV6 then
      local said = cable.segment.said
      if said.inet6 == nil then
        said.inet6 = false
      elseif said.inet6 then
        mistake(self, said.inet6.path, text, MTU_IPV6)
      end
      for _, interface in ipairs(cable.ends) do
        for _, address in ipairs(interface.addresses) do
          if address.family == "inet6" then
            mistake(self, address.path, text, MTU_IPV6)
          end
        end
      end
    end
  end
end

--- Finds the segments of a model whose cables are plugged in.
function segments.make(self)
  make_segments(self)
  check_mtu(self)
end

return segments
