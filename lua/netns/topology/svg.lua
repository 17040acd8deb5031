-- A plan as an SVG picture, laid out here: no other program is needed.

local draw = require "netns.topology.drawing"
local lay_out = require "netns.topology.layout"

local styles = [[
text { font-family: "DejaVu Sans", Verdana, sans-serif; font-size: 10px;
  text-anchor: middle; fill: #333 }
.name { font-size: 13px; font-weight: bold; fill: #111 }
.link { fill: none; stroke: #8a8f98; stroke-width: 1.5 }
.paper { fill: #fff }
.host { fill: #e3effb; stroke: #3b73b9; stroke-width: 1.5 }
.router { fill: #fdebd3; stroke: #c9782b; stroke-width: 1.5 }
.switch { fill: #e8e8ea; stroke: #63666d; stroke-width: 1.5 }
.middle { fill: #fff8d6; stroke: #d3b94a; stroke-width: 0.75 }
.strong { font-weight: bold }
]]

local LINE = 12       -- the height of a line of small text
local NAME_LINE = 17  -- that of a name

-- Widths in DejaVu Sans, which is broad, in thousandths of its size; others
-- are narrower, so what fits it fits them.
local widths = { [" "] = 318, ["."] = 318, [","] = 318, ["-"] = 361,
  ["/"] = 337, [":"] = 337, _ = 500, ["%"] = 950, f = 352, i = 278, j = 278,
  l = 278, r = 411, t = 392, k = 579, s = 521, c = 550, z = 525, m = 974,
  w = 818, I = 295, J = 295, M = 863, W = 989, O = 787, Q = 787, N = 748,
  D = 770, G = 775, H = 752, ["@"] = 1000, ["±"] = 838 }

local function width(text, size, bold)
  local sum = 0
  for char in text:gmatch "[%z\1-\127\192-\255][\128-\191]*" do
    sum = sum + (widths[char] or char:find "%u" and 700 or 640)
  end
  return sum / 1000 * size * (bold and 1.15 or 1)
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;" }

local function escaped(text)
  return (text:gsub('[&<>"]', entities))
end

-- Without "-0", and with a point in every locale.
local function number(value)
  local tenths = math.floor(value * 10 + 0.5)
  local whole = ("%.0f"):format(math.floor(math.abs(tenths) / 10))
  local rest = math.abs(tenths) % 10
  return (tenths < 0 and "-" or "") .. whole
    .. (rest > 0 and (".%.0f"):format(rest) or "")
end

-- Sizes of a label with some lines, the first of them strong or not.
local function label(lines, strong)
  local it = { w = 0, h = #lines * LINE, lines = lines, strong = strong }
  for i, text in ipairs(lines) do
    it.w = math.max(it.w, width(text, 10, strong and i == 1) + 6)
  end
  return it
end

local function end_label(which)
  local lines, interface = {}, which.interface
  if interface then
    lines[1] = interface.name
    for _, address in ipairs(interface.addresses) do
      lines[#lines + 1] = address
    end
  end
  return label(lines, true)
end

-- Impairments side by side take little height, one below the other little
-- width: two in a line.
local function middle_label(texts)
  local lines = {}
  for i = 1, #texts, 2 do
    lines[#lines + 1] = table.concat(texts, ", ", i, math.min(i + 1, #texts))
  end
  local it = label(lines)
  if #lines > 0 then it.w, it.h = it.w + 4, it.h + 4 end
  return it
end

-- Interfaces that are in no link are named in the node: loopback, say.
local function node_box(node)
  local lines = {}
  for _, interface in ipairs(node.interfaces) do
    if not interface.linked then
      for _, address in ipairs(interface.addresses) do
        lines[#lines + 1] = interface.name .. " " .. address
      end
      if #interface.addresses == 0 and interface.name ~= "lo" then
        lines[#lines + 1] = interface.name
      end
    end
  end
  local it = label(lines)
  it.w = math.max(it.w, width(node.name, 13, true)) + 20
  it.h = NAME_LINE + #lines * LINE + 11
  it.name, it.kind = node.name, node.kind
  return it
end

local function graph_of(drawing)
  local graph = { nodes = {}, edges = {} }
  for i, node in ipairs(drawing.nodes) do graph.nodes[i] = node_box(node) end
  for i, edge in ipairs(drawing.edges) do
    graph.edges[i] = { a = edge.a.node, b = edge.b.node,
      tail = end_label(edge.a), head = end_label(edge.b),
      middle = middle_label(edge.impairments) }
  end
  return graph
end

local function put(out, template, ...)
  local values = { ... }
  for i = 1, #values do
    if type(values[i]) == "number" then values[i] = number(values[i]) end
  end
  local i = 0
  out[#out + 1] = template:gsub("%%s", function()
    i = i + 1
    return values[i]
  end)
end

local function put_text(out, class, x, y, text)
  put(out, '<text%s x="%s" y="%s">%s</text>\n',
    class and (' class="%s"'):format(class) or "", x, y, escaped(text))
end

local function put_lines(out, it, top)
  for i, text in ipairs(it.lines) do
    put_text(out, it.strong and i == 1 and "strong" or nil, it.x,
      top + i * LINE - 2.5, text)
  end
end

local function put_box(out, class, it, radius)
  put(out, '<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"/>\n',
    class, it.x - it.w / 2, it.y - it.h / 2, it.w, it.h, radius)
end

local function put_path(out, path)
  local words = { ("M%s %s"):format(number(path[1][1]), number(path[1][2])) }
  for i = 2, #path do
    local segment, numbers = path[i], {}
    for k = 1, #segment do numbers[k] = number(segment[k]) end
    words[i] = (#segment == 2 and "L" or "C") .. table.concat(numbers, " ")
  end
  put(out, '<path class="link" d="%s"/>\n', table.concat(words))
end

local function put_label(out, it, class)
  if it.w == 0 then return end
  put_box(out, class, it, class == "middle" and 5 or 0)
  put_lines(out, it, it.y - #it.lines * LINE / 2)
end

local function put_node(out, node)
  local radius = ({ host = 5, router = 14, switch = 0 })[node.kind]
  put_box(out, node.kind, node, radius)
  if node.kind == "switch" then -- a second frame
    put(out, '<path class="link" d="M%s %sv%sM%s %sv%s"/>\n',
      node.x - node.w / 2 + 4, node.y - node.h / 2, node.h,
      node.x + node.w / 2 - 4, node.y - node.h / 2, node.h)
  end
  local top = node.y - (NAME_LINE + #node.lines * LINE) / 2
  put_text(out, "name", node.x, top + 13, node.name)
  put_lines(out, node, top + NAME_LINE)
end

local function counted(count, what)
  return ("%.0f %s%s"):format(count, what, count == 1 and "" or "s")
end

--- The text of the picture: valid XML with nothing outside of it.
-- @function svg
-- @tparam table plan a complete plan
-- @treturn string the same for the same plan, to the byte
return function(plan)
  local graph = graph_of(draw(plan))
  lay_out(graph)
  local out = {}
  put(out, '<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" '
    .. 'viewBox="0 0 %s %s" role="img">\n', graph.w, graph.h, graph.w, graph.h)
  put(out, "<title>Network topology</title>\n<desc>%s, %s</desc>\n",
    counted(#graph.nodes, "node"), counted(#graph.edges, "link"))
  out[#out + 1] = "<style>\n" .. styles .. "</style>\n"
  put(out, '<rect class="paper" width="%s" height="%s"/>\n', graph.w, graph.h)
  for _, edge in ipairs(graph.edges) do put_path(out, edge.path) end
  for _, edge in ipairs(graph.edges) do
    put_label(out, edge.tail, "paper")
    put_label(out, edge.head, "paper")
    put_label(out, edge.middle, "middle")
  end
  for _, node in ipairs(graph.nodes) do put_node(out, node) end
  out[#out + 1] = "</svg>\n"
  return table.concat(out)
end
