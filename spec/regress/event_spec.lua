-- Events: each names what it is about.

local netns = require "netns"
local t = require "spec.support"

describe("an event of a route", function()
  t.guard(before_each, after_each)

  it("has the index of its link, and the name that it had then", function()
    local ns = t.keep(assert(netns.new()))
    assert(ns:link_add { name = "a", kind = "bridge" })
    assert(ns:link_set("a", { up = true }))
    local index = assert(ns:link "a").index
    local monitor = t.keep(assert(ns:monitor_links()))
    assert(ns:route_add { to = "192.0.2.0/24", link = "a" })
    assert(ns:link_set("a", { up = false }))
    assert(ns:link_set("a", { rename = "b" }))
    assert(ns:link_add { name = "a", kind = "bridge" })
    local event
    repeat event = assert(monitor:read(9 * t.slow))
    until event.type == "route" and event.route.to == "192.0.2.0/24"
    assert.equal("add", event.action)
    assert.equal("a", event.route.link)
    assert.equal(index, event.route.index)
  end)
end)
