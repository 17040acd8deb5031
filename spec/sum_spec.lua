-- The specs of what counts the specs: spec/report.lua, spec/sum and spec/suite.

local t = require "spec.support"

local dir, count

-- The path of a new log with some text.
local function log(text)
  count = count + 1
  local path = ("%s/%d"):format(dir, count)
  t.write(path, text)
  return path
end

-- What spec/sum prints of logs of these texts, and its exit status.
local function sum(...)
  local paths = {}
  for i = 1, select("#", ...) do paths[i] = log((select(i, ...))) end
  return t.sh("spec/sum %s", table.concat(paths, " "))
end

-- The block at the end of what busted prints of a spec file with this text.
local function report(text)
  local path = dir .. "/some_spec.lua"
  t.write(path, text)
  local output, code = t.sh(
    "%s /usr/bin/busted --output=spec/report.lua %s", t.plain_lua, path)
  return output:match "[^\n]*%S[^\n]*$", code, output:gsub(dir .. "/", "")
end

describe("the sum of the specs", function()
  t.guard(before_each, after_each)
  before_each(function() dir, count = t.must "mktemp -d", 0 end)
  after_each(function() t.must("rm -r %s", dir) end)

  it("adds what the runs have counted", function()
    local output, code = sum(
      "3 passed, 0 failed, 1 skipped\nstatus 0 a_spec.lua\n",
      "40 passed, 0 failed, 0 skipped\nstatus 0 b_spec.lua\n")
    assert.equal("43 passed, 0 failed, 1 skipped", output)
    assert.equal(0, code)
  end)

  it("names reasons of skips and failed files once each", function()
    local output, code = sum(
      "skipped: no ip\nskipped: no tc\nfailed: a_spec.lua\n"
      .. "3 passed, 2 failed, 2 skipped\nstatus 2 a_spec.lua\n",
      "skipped: no ip\nfailed: a_spec.lua\nfailed: b_spec.lua\n"
      .. "1 passed, 3 failed, 1 skipped\nstatus 3 a_spec.lua b_spec.lua\n")
    assert.equal("skipped: no ip\nskipped: no tc\nfailed: a_spec.lua\n"
      .. "failed: b_spec.lua\n4 passed, 5 failed, 3 skipped", output)
    assert.equal(1, code)
  end)

  it("counts a run that crashed, was killed or left nothing", function()
    for _, text in ipairs {
      "++Segmentation fault\nstatus 139 a_spec.lua\n",
      "++\nstatus 0 a_spec.lua\n", -- os.exit in a test
      "0 passed, 0 failed, 0 skipped\nstatus 1 a_spec.lua\n", -- at its end
    } do
      local output, code = sum(text,
        "1 passed, 0 failed, 0 skipped\nstatus 0 b_spec.lua\n")
      assert.equal("failed: a_spec.lua\n1 passed, 1 failed, 0 skipped", output)
      assert.equal(1, code)
    end
    for _, text in ipairs { "", "2 passed, 0 failed, 0 skipped\n" } do
      local output, code = sum(text)
      assert.matches("^failed: /[^\n]*/%d+\n%d passed, 1 failed, 0 skipped$",
        output)
      assert.equal(1, code)
    end
    local output, code = t.sh("spec/sum %s/missing", dir)
    assert.equal(("failed: %s/missing\n0 passed, 1 failed, 0 skipped")
      :format(dir), output)
    assert.equal(1, code)
  end)

  it("names every file of a run that ended early", function()
    assert.equal("failed: a_spec.lua\nfailed: b_spec.lua\n"
      .. "0 passed, 1 failed, 0 skipped",
      (sum "no machine\nstatus 125 a_spec.lua b_spec.lua\n"))
  end)

  it("is not deceived by what tests print", function()
    local output, code = sum(
      "failed: c_spec.lua\n7 passed, 7 failed, 7 skipped\n"
      .. "skipped: for fun\nstatus 9\nand more\n"
      .. "status 0 passed, 0 failed\n 1 passed, 0 failed, 0 skipped\n"
      .. "3 passed, 0 failed, 0 skipped\nstatus 0 a_spec.lua\n")
    assert.equal("3 passed, 0 failed, 0 skipped", output)
    assert.equal(0, code)
  end)

  it("fails if nothing was run", function()
    assert.same({ "0 passed, 0 failed, 0 skipped", 1 }, { t.sh "spec/sum" })
    assert.same({ "0 passed, 0 failed, 0 skipped", 1 },
      { sum "0 passed, 0 failed, 0 skipped\nstatus 0 a_spec.lua\n" })
    local output, code = t.sh "spec/suite </dev/null"
    assert.matches("0 passed, 1 failed, 0 skipped$", output)
    assert.equal(1, code)
  end)

  it("is a log that can be added up again", function()
    local block = sum("skipped: no ip\nfailed: a_spec.lua\n"
      .. "3 passed, 2 failed, 2 skipped\nstatus 2 a_spec.lua\n")
    assert.equal(block, (sum(block .. "\nstatus 1 a_spec.lua\n")))
  end)

  it("takes a failure that did not come again for unsteady", function()
    local function again(first, second)
      local path = log(first)
      t.write(path .. ".again", second)
      return t.sh("spec/sum %s", path)
    end

    local first = "skipped: no ip\nfailed: a_spec.lua\nfailed: b_spec.lua\n"
      .. "30 passed, 3 failed, 2 skipped\nstatus 1 test\n"
    local output, code = again(first,
      "9 passed, 0 failed, 0 skipped\nstatus 0 a_spec.lua b_spec.lua\n")
    assert.equal("skipped: no ip\nunsteady: a_spec.lua\n"
      .. "unsteady: b_spec.lua\n33 passed, 0 failed, 2 skipped", output)
    assert.equal(0, code)
    output, code = again(first, "failed: b_spec.lua\n8 passed, 1 failed, "
      .. "0 skipped\nstatus 1 a_spec.lua b_spec.lua\n")
    assert.equal("skipped: no ip\nunsteady: a_spec.lua\nfailed: b_spec.lua\n"
      .. "32 passed, 1 failed, 2 skipped", output)
    assert.equal(1, code)
    output, code = again(first, -- worse than before
      "failed: a_spec.lua\nfailed: b_spec.lua\n1 passed, 8 failed, "
      .. "0 skipped\nstatus 1 a_spec.lua b_spec.lua\n")
    assert.equal("skipped: no ip\nfailed: a_spec.lua\nfailed: b_spec.lua\n"
      .. "30 passed, 8 failed, 2 skipped", output)
    assert.equal(1, code)
    for _, second in ipairs { -- not a run, or a run that is no proof
      "", "0 passed, 0 failed, 0 skipped\nstatus 0 a_spec.lua b_spec.lua\n",
      "9 passed, 0 failed, 0 skipped\n",
      "9 passed, 0 failed, 0 skipped\nstatus 139 a_spec.lua b_spec.lua\n",
    } do
      output, code = again(first, second)
      assert.matches("\nfailed: .* failed, 2 skipped$", output)
      assert.is_nil(output:find " 0 failed")
      assert.equal(1, code)
    end
    -- another run changes nothing where nothing failed
    output, code = again("3 passed, 0 failed, 0 skipped\nstatus 0 test\n",
      "0 passed, 1 failed, 0 skipped\nstatus 1 a_spec.lua\n")
    assert.equal("3 passed, 0 failed, 0 skipped", output)
    assert.equal(0, code)
    -- and unsteady files are named in sums of sums
    assert.equal("unsteady: a_spec.lua\n3 passed, 0 failed, 0 skipped", (sum(
      "unsteady: a_spec.lua\n3 passed, 0 failed, 0 skipped\nstatus 0\n")))
  end)

  it("comes from busted: passed, failed, errors, skipped", function()
    local last, code, output = report [[
      describe("some", function()
        it("pass", function() assert.is_true(true) end)
        it("pass, too", function() end)
        it("fail", function() assert.is_true(false) end)
        it("raise", function() error "no" end)
        it("are skipped", function() pending "no\n ip" end)
        it("are skipped, too", function() return pending "no ip" end)
      end)
    ]]
    assert.equal("2 passed, 2 failed, 2 skipped", last)
    assert.not_equal(0, code)
    assert.matches("\nskipped: no ip\nfailed: some_spec.lua\n2 passed", output)
    assert.is_nil(output:find "skipped: .*skipped: ")
  end)

  it("counts what goes wrong around tests, and without any", function()
    for text, expected in pairs {
      ["it('x', function() end) after_each(function() error 'late' end)"] =
        "^%d passed, 1 failed, 0 skipped$",
      ["error 'at once'"] = "^0 passed, 1 failed, 0 skipped$",
      ["no Lua"] = "^0 passed, 1 failed, 0 skipped$",
    } do
      local last, code, output = report(text)
      assert.matches(expected, last)
      assert.not_equal(0, code)
      assert.matches("\nfailed: some_spec.lua\n[^\n]*$", output)
    end
  end)

  it("takes a skip without a reason for a failure", function()
    local last, _, output = report [[
      it("say nothing", function() pending "" end)
      pending("are to be written")
    ]]
    assert.equal("0 passed, 2 failed, 0 skipped", last)
    assert.matches("skipped without a reason: say nothing\n", output)
    assert.matches("\nfailed: some_spec.lua\n", output)
  end)

  it("is of all runs of a suite, of which some crash", function()
    t.write(dir .. "/one_spec.lua", "it('passes', function() end)")
    t.write(dir .. "/two_spec.lua", "it('ends', function() os.exit(0) end)")
    t.write(dir .. "/three_spec.lua", "it('ends', function()"
      .. " os.execute('kill -9 $PPID') end)")
    local lines = ""
    for _, name in ipairs { "one", "two", "three" } do
      lines = lines .. ("%s /usr/bin/busted --output=spec/report.lua %s\n")
        :format(t.plain_lua, dir .. "/" .. name .. "_spec.lua")
    end
    local output, code = t.sh("printf %%s %s | spec/suite 2", t.quote(lines))
    assert.equal(1, code)
    assert.equal("1 passed, 2 failed, 0 skipped", output:match "[^\n]*$")
    for _, name in ipairs { "two", "three" } do
      assert.is_truthy(output:find(("\nfailed: %s/%s_spec.lua\n")
        :format(dir, name), 1, true), output)
    end
    assert.is_nil(output:find("failed: " .. dir .. "/one_spec", 1, true))
  end)
end)
