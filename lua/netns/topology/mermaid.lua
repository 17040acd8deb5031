-- A plan as a flowchart for Mermaid, as GitHub and others show it in Markdown.

local draw = require "netns.topology.drawing"

local shapes = {
  host = { "(", ")" }, router = { "{{", "}}" }, switch = { "[[", "]]" },
}

-- Nothing but letters, digits and what is in addresses goes in as it is: the
-- rest could be markup of Mermaid, Markdown or HTML.
local function escaped(text)
  return (text:gsub("[^%w ./:%-\128-\255]", function(char)
    return ("#%d;"):format(char:byte())
  end))
end

local function quoted(lines)
  local safe = {}
  for i, line in ipairs(lines) do safe[i] = escaped(line) end
  return '"' .. table.concat(safe, "<br/>") .. '"'
end

-- Edges have one label, so addresses are with their nodes.
local function node_line(node)
  local lines = { node.name }
  for _, interface in ipairs(node.interfaces) do
    local words = { interface.name }
    for _, address in ipairs(interface.addresses) do
      words[#words + 1] = address
    end
    lines[#lines + 1] = table.concat(words, " ")
  end
  local shape = shapes[node.kind]
  return ("  n%d%s%s%s\n")
    :format(node.index, shape[1], quoted(lines), shape[2])
end

local function edge_line(edge)
  local ends, lines = {}, {}
  for _, which in ipairs { edge.a, edge.b } do
    if which.interface then ends[#ends + 1] = which.interface.name end
  end
  if #ends > 0 then lines[1] = table.concat(ends, " – ") end
  for _, text in ipairs(edge.impairments) do lines[#lines + 1] = text end
  local label = #lines > 0 and "|" .. quoted(lines) .. "|" or ""
  return ("  n%d ---%s n%d\n"):format(edge.a.node, label, edge.b.node)
end

--- The text for a Markdown block of Mermaid.
-- @function mermaid
-- @tparam table plan a complete plan
-- @treturn string the same for the same plan, to the byte
return function(plan)
  local drawing = draw(plan)
  local text = { "graph LR\n" }
  for _, node in ipairs(drawing.nodes) do text[#text + 1] = node_line(node) end
  for _, edge in ipairs(drawing.edges) do text[#text + 1] = edge_line(edge) end
  return table.concat(text)
end
