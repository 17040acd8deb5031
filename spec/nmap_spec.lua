local netns = require "netns"
local guests = require "spec.guests"
local t = require "spec.support"

local problem = guests.lacks("nmap", "python3")
local env
if not problem then
  env, problem =
    guests.env(guests.version("nmap -V", "liblua%-(%d+%.%d+)"))
end

local it_has = guests.it(it, pending, problem)

-- The path of a new file with a script for nmap, which goes with the test.
local function script(text)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ".nse"
  t.write(path, 'local math, table = require "math", require "table"\n'
    .. 'description, categories = "", { "safe" }\n'
    .. "prerule = function() return true end\n" .. text)
  t.keep { close = function() os.remove(path) end }
  return path
end

-- Runs nmap without a target, but for what its scripts do; what it printed.
local function nmap(scripts, arguments, more)
  local output, code =
    t.sh("%s timeout -s KILL 120 nmap --script %s --script-args %s %s",
      env, scripts, t.quote(arguments or ""), more or "")
  assert.equal(0, code, output)
  assert.is_nil(output:find("NSE: failed", 1, true), output)
  return output
end

local INVENTORY = "examples/nmap/netns-inventory.nse"
local SCAN = "examples/nmap/netns-scan.nse"

-- What is in the table of a key in nmap's XML, up to its end.
local function section(xml, key)
  local _, at = xml:find(('<table key="%s">'):format(key), 1, true)
  assert.is_number(at, xml)
  local depth, rest = 1, xml:sub(at + 1)
  for slash, to in rest:gmatch "<(/?)table[^>]*>()" do
    depth = depth + (slash == "" and 1 or -1)
    if depth == 0 then return rest:sub(1, to - 1) end
  end
end

-- An array of tables below a key: what the elements of each say.
local function entries(xml, key)
  local list = {}
  for text in section(xml, key):gmatch "\n<table>\n(.-)\n</table>" do
    local entry = {}
    for name, value in text:gmatch '<elem key="(%w+)">([^<]*)</elem>' do
      entry[name] = value
    end
    list[#list + 1] = entry
  end
  return list
end

-- Namespaces with names, side by side on one bridge in one more, that has none.
-- Nothing leads out of them.
local function lab(count)
  local switch = t.keep(assert(netns.new()))
  assert(switch:link_add { name = "lan", kind = "bridge" })
  assert(switch:link_set("lan", { up = true }))
  local nodes = {}
  for i = 1, count do
    local name = t.name()
    local ns = assert(netns.add(name))
    t.keep { close = function()
      ns:close()
      assert(netns.delete(name))
    end }
    assert(switch:link_add { name = "p" .. i, kind = "veth",
      peer = { name = "eth0", ns = ns } })
    assert(switch:link_set("p" .. i, { master = "lan", up = true }))
    local address = "192.0.2." .. i
    assert(ns:addr_add("eth0", address .. "/24"))
    for _, link in ipairs { "lo", "eth0" } do
      assert(ns:link_set(link, { up = true }))
    end
    nodes[i] = { name = name, ns = ns, address = address }
  end
  for _, node in ipairs(nodes) do
    assert(node.ns:wait_link("eth0",
      { up = true, running = true, timeout = 9 }))
  end
  return nodes
end

-- Has a program listen in a node.
local function serve(node, port)
  t.keep(assert(node.ns:spawn({ "python3", "-c", ([[
import socket, time
s = socket.create_server(("%s", %d))
while True: s.accept()[0].close()]]):format(node.address, port) },
    { mounts = false })))
  assert(node.ns:wait_listen(port, 20))
end

describe("nmap", function()
  t.guard(before_each, after_each)

  it_has("loads the library, which declares no global", function()
    local output = nmap(script [[
      local known = {}
      for name in pairs(_G) do known[name] = true end
      local netns = require "netns"
      require "netns.topology"
      action = function()
        local new = {}
        for name in pairs(_G) do
          if not known[name] then new[#new + 1] = name end
        end
        -- and strict it is
        local ok = pcall(function() return no_such_global end)
        return ("%d names, %d new globals %s, strict %s")
          :format(#assert(netns.names()), #new, table.concat(new, " "),
            tostring(not ok))
      end
    ]])
    assert.matches("0 names, 0 new globals , strict true", output)
  end)

  it_has("lists the links, addresses and sockets of all names", function()
    local nodes = lab(2)
    serve(nodes[1], 8080)
    local output = nmap(INVENTORY, "", "-oX -")
    for i, node in ipairs(nodes) do
      local part = section(output, node.name)
      local links = entries(part, "links")
      assert.equal(#assert(node.ns:links()), #links)
      local eth0 = assert(node.ns:link "eth0")
      local found = {}
      for _, link in ipairs(links) do found[link.name] = link end
      assert.equal(eth0.address, found.eth0.mac)
      assert.equal("veth", found.eth0.kind)
      assert.equal("true", found.eth0.up)
      assert.equal(tostring(eth0.mtu), found.eth0.mtu)
      local addresses = section(part, "addresses")
      assert.matches("<elem>127.0.0.1/8</elem>", addresses, 1, true)
      assert.matches(("<elem>%s/24</elem>"):format(node.address), part, 1, true)
      assert.same(i == 1
        and { { protocol = "tcp", address = node.address, port = "8080" } }
        or {}, entries(part, "listening"))
    end
    output = nmap(INVENTORY)
    assert.matches(("|   %s\n|     link lo %%(up%%): 127.0.0.1/8 ::1/128\n"
      .. "|     link eth0 %%(veth, up%%): 192.0.2.1/24 [^\n]*\n"
      .. "|     listens tcp 192.0.2.1:8080\n")
      :format(nodes[1].name:gsub("%-", "%%-"), 1), output)
  end)

  it_has("lists those names that are asked for, and a leftover as what it is",
    function()
      local nodes = lab(1)
      local stale = t.name()
      t.write(netns.run_dir .. "/" .. stale, "")
      local output = nmap(INVENTORY,
        ("netns-inventory.only=%s$"):format(stale:gsub("%-", "%%-")))
      assert.matches(('open "%s": the name is stale'):format(stale), output, 1,
        true)
      assert.is_nil(output:find(nodes[1].name, 1, true))
      assert(netns.delete(stale))
    end)

  it_has("scans inside every namespace", function()
    local nodes = lab(2)
    serve(nodes[1], 8080)
    serve(nodes[2], 9090)
    local output = nmap(SCAN, "netns-scan.targets={192.0.2.1,192.0.2.2},"
      .. 'netns-scan.args="-n -p8080,9090"', "-oX -")
    for _, node in ipairs(nodes) do
      local part = section(output, node.name)
      local states = {}
      for host in part:gmatch '<elem key="address">(.-)\n</table>\n</table>' do
        local address = host:match "^[^<]+"
        for port, state in host:gmatch
          '<elem key="port">(%d+)</elem>.-<elem key="state">(%a+)</elem>' do
          states[address .. ":" .. port] = state
        end
      end
      assert.same({
        ["192.0.2.1:8080"] = "open", ["192.0.2.1:9090"] = "closed",
        ["192.0.2.2:8080"] = "closed", ["192.0.2.2:9090"] = "open",
      }, states)
    end
  end)

  it_has("scans what each has itself, if nothing else is said", function()
    local nodes = lab(2)
    serve(nodes[1], 8080)
    local output = nmap(SCAN)
    assert.matches(("|   %s\n|     192.0.2.1: up\n"
      .. "|       8080/tcp open http%%-proxy\n"
      .. "|   %s\n|_    192.0.2.2: up\n")
      :format(nodes[1].name:gsub("%-", "%%-"),
        (nodes[2].name:gsub("%-", "%%-"))), output)
  end)

  -- A script that runs beside: how many namespaces have a scan inside at once,
  -- and for how long it was not its turn.
  local TICKER = [[
    local netns = require "netns"
    local nmap = require "nmap"
    local stdnse = require "stdnse"
    action = function()
      local most, gap, begun, last = 0, 0, false, nmap.clock()
      local deadline = last + 60
      repeat
        local scans = 0
        for _, pids in pairs(assert(netns.all.pids())) do
          if pids[1] then scans = scans + 1 end
        end
        most, begun = math.max(most, scans), begun or scans > 0
        stdnse.sleep(0.02)
        local now = nmap.clock()
        gap, last = math.max(gap, now - last), now
      until begun and scans == 0 or now > deadline
      return ("scans %d gap %.3f"):format(most, gap)
    end
  ]]

  it_has("scans in parallel, and other scripts run meanwhile", function()
    lab(3)
    -- four closed ports, one a half second
    local output = nmap(SCAN .. "," .. script(TICKER),
      'netns-scan.args="-n -Pn -sT -p1-4 --scan-delay 500ms"')
    local most, gap = output:match "scans (%d+) gap ([%d.]+)"
    assert.equal("3", most, output)
    assert.is_true(tonumber(gap) < 1, output)
    local _, hosts = output:gsub("192%.0%.2%.%d: up", "")
    assert.equal(3, hosts, output)
  end)

  it_has("scans not more at a time than it is told", function()
    lab(3)
    local output = nmap(SCAN .. "," .. script(TICKER), "netns-scan.jobs=1,"
      .. 'netns-scan.args="-n -Pn -sT -p1-2 --scan-delay 500ms"')
    assert.equal("1", output:match "scans (%d+)", output)
    local _, hosts = output:gsub("192%.0%.2%.%d: up", "")
    assert.equal(3, hosts, output)
  end)

  it_has("says what became of a scan that failed or took too long", function()
    local nodes = lab(2)
    assert(nodes[2].ns:addr_flush "eth0")
    local output = nmap(SCAN, "netns-scan.timeout=1s,"
      .. 'netns-scan.args="-n -Pn -sT -p1-99 --scan-delay 1s"')
    assert.matches(nodes[1].name .. "\n|     it took too long\n", output, 1,
      true)
    assert.matches(nodes[2].name .. "\n|_    it has no address to scan\n",
      output, 1, true)
    assert.same({}, netns.pids(nodes[1].name))
    output = nmap(SCAN, "netns-scan.args=--no-such-option")
    assert.matches("nmap: exit 255: nmap: unrecognized option", output, 1, true)
  end)

  it_has("takes its scans with it when it is killed", function()
    local nodes = lab(2)
    local pid = t.start(("exec %s nmap --script %s --script-args %s")
      :format(env, SCAN, t.quote
        'netns-scan.args="-n -Pn -sT -p1-999 --scan-delay 1s"'))
    local function scans()
      return #assert(netns.pids(nodes[1].name))
        + #assert(netns.pids(nodes[2].name))
    end
    t.eventually(function() return scans() == 2 end)
    t.stop(pid)
    t.eventually(function() return scans() == 0 end)
  end)
end)
