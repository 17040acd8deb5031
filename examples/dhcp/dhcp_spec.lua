-- A DHCP server under test: dnsmasq gives two clients on a switch their
-- addresses, and busybox's udhcpc is the client.
--
--   busted examples/dhcp
--
-- Wants dnsmasq-base and busybox, and root (or netns.rootless).

local netns = require "netns"
local topology = require "netns.topology"

-- An interface of which it is said that it has no addresses gets none.
local LAN = {
  nodes = {
    server = { eth0 = "192.0.2.1/24" },
    first = { eth0 = {} },
    second = { eth0 = {} },
  },
  switches = { lan = { "server", "first", "second" } },
}

local PATIENCE = 20 -- seconds for what takes one or two

-- What udhcpc calls with what it was told: an address, a default route.
local SCRIPT = [[
#!/bin/sh
[ "$1" = bound ] || exit 0
busybox ip address add "$ip/$mask" dev "$interface"
busybox ip route add default via "$router"
]]

-- Why the tests cannot run here, if they cannot.
local function find_obstacle()
  local lab, message, errno = topology.build(LAN)
  if errno == netns.errno.EPERM or errno == netns.errno.EOPNOTSUPP then
    return message
  end
  assert(lab, message)
  local found = assert(lab.server:capture { "sh", "-c",
    "command -v dnsmasq && busybox udhcpc --help" }).ok
  lab:close()
  return not found and "no dnsmasq, or no busybox with udhcpc" or nil
end

local obstacle = find_obstacle()

describe("dnsmasq", function()
  if obstacle then return pending(obstacle) end

  local lab, directory, server

  local function path(name) return directory .. "/" .. name end

  local function serve(...)
    server = assert(lab.server:spawn({
      "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0",
      "--interface=eth0", "--bind-interfaces", "--no-ping", "--log-dhcp",
      "--dhcp-leasefile=" .. path "leases", ...,
    }, { log = true }))
    assert(server:wait_log("DHCP, ", PATIENCE))
  end

  local function ask(client)
    return assert(client:spawn({
      "busybox", "udhcpc", "-f", "-t", "5", "-T", "1", "-i", "eth0",
      "-s", path "script",
    }, { log = true }))
  end

  before_each(function()
    lab = assert(topology.build(LAN))
    local pipe = assert(io.popen "mktemp -d")
    directory = pipe:read "*l"
    pipe:close()
    local file = assert(io.open(path "script", "w"))
    file:write(SCRIPT)
    file:close()
    assert(lab.server:exec { "chmod", "+x", path "script" })
  end)

  after_each(function()
    lab:close() -- the programs, too
    os.execute(("rm -r '%s'"):format(directory))
  end)

  it("gives a client an address and its default route", function()
    serve "--dhcp-range=192.0.2.100,192.0.2.100,2m"
    ask(lab.first)
    assert(lab.first:wait_addr("192.0.2.100", { timeout = PATIENCE }))
    assert(lab:eventually(function()
      return lab.first:route_get "198.51.100.1"
    end, PATIENCE))
    assert.equal("192.0.2.1", lab.first:route_get("198.51.100.1").via)
    assert(lab.first:ping(lab.server))
    assert(lab.server:ping(lab.first))
  end)

  it("knows a client by its address on the link", function()
    local address = lab.second:link("eth0").address
    serve("--dhcp-range=192.0.2.0,static,2m",
      ("--dhcp-host=%s,192.0.2.42"):format(address))
    ask(lab.second)
    assert(lab.second:wait_addr("192.0.2.42", { timeout = PATIENCE }))
    local stranger = ask(lab.first)
    assert(server:wait_log("DHCPDISCOVER.- "
      .. lab.first:link("eth0").address, PATIENCE))
    assert(server:wait_log("no address available", PATIENCE))
    assert.same({}, lab.first:addrs { family = "inet", link = "eth0" })
    assert(stranger:kill())
  end)

  it("has no address for the second when its range is one", function()
    serve "--dhcp-range=192.0.2.100,192.0.2.100,2m"
    ask(lab.first)
    assert(lab.first:wait_addr("192.0.2.100", { timeout = PATIENCE }))
    ask(lab.second)
    assert(server:wait_log("no address available", PATIENCE))
    assert(lab:reach().first.server)
    assert.is_false(lab:reach { timeout = 0.5 }.server.second)
  end)
end)
