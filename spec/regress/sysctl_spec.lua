-- Sysctls: what was once told wrongly of them.

local netns = require "netns"
local t = require "spec.support"

describe("a sysctl", function()
  t.guard(before_each, after_each)

  it("that is set to an empty string is emptied, or refused", function()
    local ns = t.keep(assert(netns.new()))
    local key = "net.ipv4.ip_local_reserved_ports"
    assert(ns:sysctl(key, "8080,9148"))
    assert.is_true(ns:sysctl(key, ""))
    assert.equal("", ns:sysctl(key))
    local ok, message, code = ns:sysctl("net.ipv4.ip_forward", "")
    assert.is_nil(ok)
    assert.matches("Invalid argument$", message)
    assert.equal(netns.errno.EINVAL, code)
  end)
end)
