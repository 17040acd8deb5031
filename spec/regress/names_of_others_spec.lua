-- Names with bytes that do something to a terminal, or that are no text; and
-- what else the library takes from people it should not trust.

local netns = require "netns"
local json = require "dkjson"
local t = require "spec.support"

-- Names that only root can give: a title for the window, C1 controls alone and
-- in UTF-8, a line of one's own, and what is no UTF-8.
local NAMES = {
  "\27]0;owned\7", "\155" .. "2J", "\194\155" .. "2J", "two\nlines", "\127",
  "caf\233", "\237\160\128", "\240\128\128\128", "\194",
}
local GOOD = { "naïve", "網路", "\\x41", "\240\159\144\167", "'\"" }

-- A text whose lines can be given to a terminal.
local function assert_clean(text)
  local line = text:gsub("\n", "")
  assert.equal(netns.printable(line), line)
end

local function with_names(fn)
  for _, list in ipairs { NAMES, GOOD } do
    for _, name in ipairs(list) do assert(netns.add(name)):close() end
  end
  t.keep { close = function()
    for _, name in ipairs(assert(netns.names())) do
      assert(netns.delete(name))
    end
  end }
  return fn()
end

local example = ("env LUA_PATH=%s LUA_CPATH=%s %s examples/%%s")
  :format(t.quote(package.path), t.quote(package.cpath), t.lua)
local tool = example:format "ip-netns.lua"

describe("a name", function()
  t.guard(before_each, after_each)

  it("is printable when control characters and what is no UTF-8 are replaced",
    function()
      for _, text in ipairs(GOOD) do
        assert.equal(text, netns.printable(text))
      end
      for text, printable in pairs {
        [""] = "",
        ["\0\t\n\r\27\31 \127"] =
          "\\x00\\x09\\x0a\\x0d\\x1b\\x1f \\x7f",
        ["\194\128\194\159\194\160"] = "\\xc2\\x80\\xc2\\x9f\194\160",
        ["a\255b\128"] = "a\\xffb\\x80", ["\195"] = "\\xc3",
        ["\224\159\191\224\160\128"] = "\\xe0\\x9f\\xbf\224\160\128",
        ["\237\159\191\237\160\128"] = "\237\159\191\\xed\\xa0\\x80",
        ["\240\143\191\191\240\144\128\128"] =
          "\\xf0\\x8f\\xbf\\xbf\240\144\128\128",
        ["\244\143\191\191\244\144\128\128"] =
          "\244\143\191\191\\xf4\\x90\\x80\\x80",
        ["\226\130a"] = "\\xe2\\x82a", ["\245\128\128\128"] =
          "\\xf5\\x80\\x80\\x80", ["\193\129"] = "\\xc1\\x81",
      } do
        assert.equal(printable, netns.printable(text))
      end
      assert.error_matches(function() netns.printable {} end,
        "bad argument 'text' to 'printable' %(string expected, got table%)")
    end)

  it("is printable in a message", function()
    for _, name in ipairs(NAMES) do
      for _, call in ipairs {
        function() return netns.open(name) end,
        function() return netns.delete(name) end,
        function() return netns.links(name) end,
        function() return netns.exec(name, { "true" }) end,
        function() return netns.wait_link(netns.current(), name:sub(1, 15),
          { timeout = 0 }) end,
        function() return netns.link(netns.current(), name:sub(1, 15)) end,
        function() return netns.exec(netns.current(), { name }) end,
      } do
        local result, message = call()
        assert.is_nil(result)
        assert_clean(message)
      end
    end
  end)

  it("is printable in what ip-netns.lua prints", function()
    with_names(function()
      assert(netns.set(NAMES[1], 5))
      assert(netns.attach("\27[1m" , 1))
      for _, line in ipairs {
        "netns", "netns list", "netns list-id", "netns identify",
        "-all netns exec true", "netns add $'\\e]0;owned\\a'",
        "netns delete $'\\e\\e'", "netns exec $'\\e\\e' true",
        "netns exec $'\\e]0;owned\\a' $'\\e\\e'", "$'\\e\\e'",
        "-n $'\\e\\e' netns",
      } do
        local text = t.sh("bash -c %s", t.quote(tool .. " " .. line))
        assert.not_equal("", text)
        assert_clean(text)
      end
      local text = t.must(tool .. " netns list")
      for _, name in ipairs(GOOD) do
        assert.matches("\n" .. name .. "\n", "\n" .. text .. "\n", 1, true)
      end
    end)
  end)

  it("is printable in what examples/monitor.lua prints", function()
    with_names(function()
      local text = t.must(example:format "monitor.lua" .. " 0.1")
      assert.matches("add%s+\\x1b%]0;owned\\x07", text)
      assert_clean((text:gsub("\t", " ")))
    end)
  end)

  it("makes no JSON that is none", function()
    with_names(function()
      local text = t.must(tool .. " -j netns")
      assert_clean(text)
      -- whoever is strict about UTF-8 takes it
      t.must("printf %%s %s | python3 -c 'import json, sys; "
        .. "json.loads(sys.stdin.buffer.read().decode(\"utf-8\"))'",
        t.quote(text))
      local found = {}
      for _, entry in ipairs(assert(json.decode(text))) do
        found[entry.name] = true
      end
      for _, name in ipairs(GOOD) do assert.is_true(found[name]) end
      for _, name in ipairs { NAMES[1], "two\nlines", "caf\\xe9" } do
        assert.is_true(found[name], name)
      end
    end)
  end)
end)

describe("a set-uid host", function()
  t.guard(before_each, after_each)

  it("looks for programs where nobody else says", function()
    local dir = t.must "mktemp -d /srv/set-uid.XXXXXX"
    t.keep { close = function() t.must("rm -r %s", dir) end }
    t.must("cp %s %s/host && chmod 4755 %s/host && chmod 755 %s", t.host, dir,
      dir, dir)
    t.write(dir .. "/true", "#!/bin/sh\necho the wrong program as $(id -u)\n")
    t.must("chmod 755 %s/true", dir)
    if t.must("findmnt -no OPTIONS -T %s", dir):find "nosuid" then
      return pending(dir .. " is on a file system without set-uid programs")
    end
    local script = [[
      local netns = require "netns"
      io.stdout:setvbuf "no"
      print(netns.exec("/proc/self/ns/net", { "true" }, { mounts = false }))
    ]]
    local path = ("env PATH=%s:$PATH"):format(dir)
    -- a host of root's own goes by its PATH
    assert.equal("the wrong program as 0\ntrue\texit\t0",
      (t.script(script, path, t.host .. " 0")))
    assert.equal("true\texit\t0",
      (t.script(script, t.nobody .. " " .. path, dir .. "/host 0")))
  end)
end)
