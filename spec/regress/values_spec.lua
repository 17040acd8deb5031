-- Values as callers write them.

local netns = require "netns"
local t = require "spec.support"

describe("a value", function()
  t.guard(before_each, after_each)

  it("that is an integral float is an integer for a sysctl", function()
    local ns = t.keep(assert(netns.new()))
    assert(ns:sysctl("net.ipv4.tcp_fin_timeout", 2 ^ 4))
    assert.equal("16", ns:sysctl "net.ipv4.tcp_fin_timeout")
  end)
end)
