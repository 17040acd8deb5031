-- A plan as a graph for Graphviz.

local draw = require "netns.topology.drawing"

-- Interfaces and addresses are rows of their nodes, and edges end at the rows:
-- Graphviz finds no room for labels of heads and tails, and prints them over
-- one another.
-- Hosts are rounded, routers ruled, switches solid.
local tables = {
  host = [[BORDER="1" CELLBORDER="0"
      STYLE="ROUNDED" BGCOLOR="#e3effb"]],
  router = [[BORDER="2" CELLBORDER="1"
      BGCOLOR="#fdebd3"]],
}

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

-- Graphviz does not like all that is XML: "]]", say.
local function html(text)
  return (text:gsub("[^%w ./:_-]", function(char)
    return ("&#%d;"):format(char:byte())
  end))
end

local function row(interface, port)
  local lines = { html(interface.name) }
  for _, address in ipairs(interface.addresses) do
    lines[#lines + 1] = html(address)
  end
  return ('      <TR><TD PORT="%s">%s</TD></TR>\n')
    :format(port, table.concat(lines, "<BR/>"))
end

local function port(node, interface)
  for i, candidate in ipairs(node.interfaces) do
    if candidate == interface then return (":i%d"):format(i) end
  end
  return ""
end

local solid = 'shape=box3d style=filled fillcolor="#e6e6e6" fontsize=12'

local function node_line(node)
  local name = quoted(node.name)
  if node.kind == "switch" then
    return ("  %s [%s];\n"):format(name, solid)
  end
  local rows = {
    ('      <TR><TD><FONT POINT-SIZE="12"><B>%s</B></FONT></TD></TR>\n')
      :format(html(node.name)),
  }
  for i, interface in ipairs(node.interfaces) do
    rows[i + 1] = row(interface, ("i%d"):format(i))
  end
  return ('  %s [label=<\n    <TABLE CELLSPACING="0" CELLPADDING="4" %s>\n'
    .. "%s    </TABLE>>];\n")
    :format(name, tables[node.kind], table.concat(rows))
end

local function end_of_edge(nodes, which)
  local node = nodes[which.node]
  return quoted(node.name) .. port(node, which.interface)
end

local function edge_line(nodes, edge)
  local label = ""
  if #edge.impairments > 0 then
    label = (" [label=%s]"):format(quoted(table.concat(edge.impairments, ", ")))
  end
  return ("  %s -- %s%s;\n"):format(end_of_edge(nodes, edge.a),
    end_of_edge(nodes, edge.b), label)
end

--- The text for Graphviz: `dot -Tsvg`.
-- @function dot
-- @tparam table plan a complete plan
-- @treturn string the same for the same plan, to the byte
return function(plan)
  local drawing = draw(plan)
  local text = { "graph topology {\n",
    "  graph [rankdir=LR ranksep=0.8 nodesep=0.3 overlap=false];\n",
    '  node [shape=plain fontname="sans-serif" fontsize=10];\n',
    '  edge [fontname="sans-serif" fontsize=10];\n' }
  for _, node in ipairs(drawing.nodes) do text[#text + 1] = node_line(node) end
  for _, edge in ipairs(drawing.edges) do
    text[#text + 1] = edge_line(drawing.nodes, edge)
  end
  text[#text + 1] = "}\n"
  return table.concat(text)
end
