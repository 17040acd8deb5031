-- Sysctls: keys as sysctl(8) prints them, and values that are written.

local netns = require "netns"
local t = require "spec.support"

local E = netns.errno

describe("a sysctl", function()
  t.guard(before_each, after_each)

  local ns
  before_each(function() ns = t.keep(assert(netns.new())) end)

  it("is emptied by an empty string, or refused by the kernel", function()
    local key = "net.ipv4.ip_local_reserved_ports"
    assert(ns:sysctl(key, "8080,9148"))
    assert.is_true(ns:sysctl(key, ""))
    assert.equal("", ns:sysctl(key))
    assert.equal(E.EINVAL, select(3, ns:sysctl("net.ipv4.ip_forward", "")))
  end)

  it("of a number without a fraction has its digits", function()
    for _, value in ipairs { 16, 2 ^ 4, 32 / 2 } do
      assert.is_true(ns:sysctl("net.ipv4.tcp_fin_timeout", value))
      assert.equal("16", ns:sysctl "net.ipv4.tcp_fin_timeout")
    end
    assert.equal(E.EINVAL,
      select(3, ns:sysctl("net.ipv4.tcp_fin_timeout", 1.5)))
  end)

  it("has a slash in its key for a dot in a name, as sysctl(8) has it",
    function()
      assert(ns:link_add { name = "br0.10", kind = "bridge" })
      for _, key in ipairs { "net.ipv4.conf.br0/10.forwarding",
        "net/ipv4/conf/br0.10/forwarding" } do
        assert.is_true(ns:sysctl(key, 1))
        assert.equal("1", ns:sysctl(key))
        assert.is_true(ns:sysctl(key, 0))
      end
      assert.equal(E.ENOENT,
        select(3, ns:sysctl "net.ipv4.conf.br0.10.forwarding"))
    end)

  it("is below net, whatever its key is made of", function()
    for _, key in ipairs { "net/..", "net/../kernel/hostname", "net/./ipv4",
      "net.ipv4/../../kernel/hostname", "net..x", "net//x", "net", "net.",
      "net./..ipv4", "kernel.hostname", "", "/", ".", "net/ipv4/",
      ("net."):rep(200) } do
      assert.equal(E.EINVAL, select(3, ns:sysctl(key)), key)
      assert.equal(E.EINVAL, select(3, ns:sysctl(key, "x")), key)
    end
  end)

  it("that has its value already is no hindrance where none can be written",
    function()
      local output = t.script([[
        local netns = require "netns"
        local ns = assert(netns.new())
        local key = "net.ipv4.tcp_ecn"
        local value = ns:sysctl(key)
        print(ns:sysctl(key, value))
        print(select(3, ns:sysctl(key, value == "1" and 0 or 1)))
      ]], "unshare -m sh -c 'mount --bind /proc/sys /proc/sys && mount -o "
        .. "remount,ro,bind /proc/sys && exec \"$@\"' -")
      assert.equal(("true\n%d"):format(E.EROFS), output)
    end)
end)
