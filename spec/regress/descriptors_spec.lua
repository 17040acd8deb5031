-- What happens where a process may open no more descriptors.

local t = require "spec.support"

-- Runs a script in a process that may have 64 descriptors. Its `starve(n, fn,
-- ...)` calls a function with all but n of them open, and returns its results
-- with their number as `n`.
local function starving(text)
  return t.script([[
    local function starve(left, fn, ...)
      local function pack(...) return { n = select("#", ...), ... } end
      local files = {}
      collectgarbage()
      collectgarbage()
      repeat
        local file = io.open "/dev/null"
        files[#files + 1] = file
      until not file
      for _ = 1, left do table.remove(files):close() end
      local results = pack(pcall(fn, ...))
      for _, file in ipairs(files) do file:close() end
      if not results[1] then error(results[2], 0) end
      table.remove(results, 1)
      results.n = results.n - 1
      return results
    end
  ]] .. text, "timeout 900 prlimit --nofile=64")
end

describe("without a descriptor left #novalgrind", function()
  t.guard(before_each, after_each)

  it("every call returns what it is for, or nil, a message and an errno",
    function()
      assert.equal("all tried", (starving [[
        package.path = package.path .. ";./?.lua"
        local calls = require "spec.calls"
        local netns = require "netns"
        local function is_integer(value)
          return type(value) == "number" and value % 1 == 0
        end
        local function no_failure(message, third, code)
          if type(message) ~= "string" or message == "" then
            return "no message"
          end
          if is_integer(third) then return nil end
          if (third == "exit" or third == "signal") and is_integer(code) then
            return nil
          end
          return "no errno: " .. tostring(third)
        end
        local function problem(name, results)
          local ok, message, third, code = results[1], results[2], results[3],
            results[4]
          if ok == nil then return no_failure(message, third, code) end
          if not ok then return "false" end
          if not name:find "^all%." or name == "all.pids" then return nil end
          for _, result in ipairs(ok) do
            if result.ok == false then
              return no_failure(result.message, result.errno or result.how,
                result.code)
            end
            if result.ok ~= true then return "ok is no boolean" end
          end
        end
        local names = {}
        for name in pairs(calls.list) do names[#names + 1] = name end
        table.sort(names)
        for _, name in ipairs(names) do
          for left = 0, 8 do
            local fixture = calls.fixture()
            local fn, arguments = calls.prepare(fixture, name)
            local before = #netns.names()
            local unpack = table.unpack or unpack
            local ok, results = pcall(starve, left, fn,
              unpack(arguments, 1, arguments.n))
            local wrong = not ok and "raises " .. tostring(results)
              or problem(name, results)
            if wrong then print(name, left, wrong) end
            if not (ok and results[1]) and #netns.names() ~= before then
              print(name, left, "leaves or takes a name")
            end
            if os.getenv "SHOW" then
              print(name, left, ok and results[1], ok and results[2])
            end
            local result = ok and results[1]
            local closes = type(result) == "userdata" or type(result) == "table"
            if closes and result.close then result:close() end
            local fine, failure = pcall(fixture.close, fixture)
            if not fine then print(name, left, "afterwards", failure) end
            if result then break end -- and so with more
          end
        end
        print "all tried"
      ]]))
    end)

  it("a named lab is closed, and its names are gone", function()
    assert.equal("", (starving [[
      local netns = require "netns"
      local lab = assert(require "netns.topology".build {
        named = true, ipv6 = false, links = { "na -- nb" } })
      assert(#netns.names() == 2)
      local process = assert(lab.na:spawn { "sleep", "1000" })
      assert(starve(0, lab.close, lab)[1])
      assert(#netns.names() == 0)
      assert(select(3, process:wait(60)) == "signal")
      process:close()
      assert(lab:close())
    ]]))
  end)
end)
