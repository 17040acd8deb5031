-- Calls every public function and method (spec/calls.lua) with arguments of
-- every type. Whatever they are, a call returns something true; or nil, a
-- message, and an errno or how a program ended; or it raises an error whose
-- message begins with the position of the caller, which is here.
--
-- The seed is fixed, and each failure prints that of its call.
-- NETNS_FUZZ_SEED=N tries another, NETNS_FUZZ_SECONDS=N one after another for
-- that long.

local calls = require "spec.calls"
local core = require "netns.core"
local netns = require "netns"
local t = require "spec.support"

local SEED = tonumber(os.getenv "NETNS_FUZZ_SEED") or 1
local SECONDS = tonumber(os.getenv "NETNS_FUZZ_SECONDS")
local ROUNDS = t.many(200) -- of each call

-- What the arguments that can raise an error raise.
local OURS = "an error of an argument"

-- Numbers of our own, the same in every Lua.
local state

local function seed(n) state = n % 2147483647 + 1 end

local function random(n) -- from 1 to n
  state = state * 16807 % 2147483647
  return state % n + 1
end

local function one_of(list) return list[random(#list)] end

-- Values ----------------------------------------------------------------------

local function raise() error(OURS, 0) end

-- What raises an error as soon as somebody looks at it.
local THORNY = {}
for event in ("index newindex call len eq lt le concat unm add tostring pairs "
  .. "ipairs name close mode"):gmatch "%a+" do
  THORNY["__" .. event] = raise
end
THORNY.__name, THORNY.__mode = nil, nil

local function cyclic()
  local list = {}
  list[1], list.link, list.opts = list, list, list
  return list
end

local closed_file = assert(io.open "/dev/null")
closed_file:close()
local closed_handle = assert(netns.current())
closed_handle:close()

-- A process of such a number is not there: those that are could be ended.
local NUMBERS = {
  0, -1, 1.5, -1.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 22 + 1, 2 ^ 31, 2 ^ 32, 2 ^ 53,
  -2 ^ 63, 2 ^ 64, 1e300, 1e-300, 255, 256, 65536,
}

local WORDS = {
  "", "lo", "c1", "x", "veth", "bridge", "tbf", "inet", "inet6", "tcp",
  "10.9.0.1/24", "10.9.0.1", "::1", "default", "10mbit", "1:", "1:1", "auto",
  "0", "-1", "1.5", "true", "null", "pipe", "TERM", "%d+", "[", "a -- r",
  "a", "a:eth0", "net.ipv4.ip_forward", "/", "/dev/null", "../x", ".", "..",
  "a\0b", "\255\254", "%s%n%p", ("x"):rep(255), ("x"):rep(256),
  ("/x"):rep(3000), ("x"):rep(100000),
}

local KEYS = {
  "name", "kind", "link", "up", "mtu", "address", "to", "via", "src", "table",
  "metric", "family", "timeout", "wait", "existing", "ids", "only", "jobs",
  "env", "cwd", "stdin", "stdout", "stderr", "input", "mounts", "check", "log",
  "quiet", "count", "interval", "size", "dst", "lladdr", "state", "priority",
  "from", "parent", "handle", "classid", "rate", "burst", "limit", "port",
  "protocol", "peer", "ns", "nexthops", "type", "scope", "label", "master",
  "group", "rename", "nsid", "target_nsid", "links", "nodes", "switches",
  "routers", "named", "ipv4", "ipv6", "delay", "loss", "local", "id",
}

local value

local function table_of(depth)
  local list = {}
  for _ = 1, random(3) do
    local key = one_of {
      one_of(KEYS), one_of(KEYS), one_of(KEYS), 1, 2, 1.5, true, "no_such_key",
      function() end, {},
    }
    list[key] = value(depth + 1)
  end
  return list
end

-- A value of any type; `depth` of the tables around it.
function value(depth)
  local kind = random(20)
  if kind <= 4 then return one_of(NUMBERS) end
  if kind <= 8 then return one_of(WORDS) end
  if kind <= 12 and depth < 3 then return table_of(depth) end
  if kind == 13 then return setmetatable({}, THORNY) end
  if kind == 14 then return cyclic() end
  if kind == 15 then return one_of { raise, function() end } end
  if kind == 16 then return coroutine.create(raise) end
  if kind == 17 then return closed_handle end
  if kind == 18 then return one_of { closed_file, io.stderr } end
  if kind == 19 then return random(2) == 1 end
  return nil
end

-- Arguments -------------------------------------------------------------------

local function copy(from)
  local list = {}
  for key, each in next, from do list[key] = each end
  return list
end

-- A good argument, changed in a key if it is a plain table.
local function vary(argument)
  if type(argument) ~= "table" or getmetatable(argument) then
    return value(0)
  end
  local list = copy(argument)
  list[random(3) > 1 and one_of(KEYS) or next(list) or "link"] = value(1)
  return list
end

-- Where a call has its time, or options with it: it must not wait.
local TIMES = {
  ["monitor:read"] = 2, ["link_monitor:read"] = 2, ["process:wait"] = 2,
  ["process:wait_log"] = 3, ["lab:eventually"] = 3,
  ["netns.wait_listen"] = 3, ["ns:wait_listen"] = 3,
}
local OPTIONS = {
  ["netns.wait_link"] = 3, ["ns:wait_link"] = 3, ["netns.wait_addr"] = 3,
  ["ns:wait_addr"] = 3, ["netns.ping"] = 3, ["ns:ping"] = 3,
  ["node:ping"] = 3, ["lab:reach"] = 2, ["netns.delete"] = 2,
  ["all.delete"] = 1, ["ns:delete"] = 2,
}

local function is_short(time) -- it is refused, or none at all
  return time ~= nil and (type(time) ~= "number" or time < 0 or time ~= time)
end

local function hurry(name, arguments)
  local place = TIMES[name]
  if place then
    if not is_short(arguments[place]) then arguments[place] = 0 end
    arguments.n = math.max(arguments.n, place)
  end
  place = OPTIONS[name]
  local options = place and arguments[place]
  if place and options == nil then
    arguments[place] = { [name:find "delete" and "wait" or "timeout"] = 0 }
    arguments.n = math.max(arguments.n, place)
  elseif type(options) == "table" and not getmetatable(options) then
    for _, key in ipairs { "timeout", "wait", "interval" } do
      if rawget(options, key) and not is_short(options[key]) then
        options[key] = 0
      end
    end
    if not name:find "delete" and options.timeout == nil then
      options.timeout = 0
    end
    if options.kill then options.kill = nil end
  end
end

-- The arguments that `good` has, some of them replaced, and perhaps more.
local function mutate(name, good)
  local arguments = { n = good.n }
  for i = 1, good.n do
    local how = random(10)
    if how <= 6 then
      arguments[i] = good[i]
    elseif how <= 8 then
      arguments[i] = vary(good[i])
    else
      arguments[i] = value(0)
    end
    if type(arguments[i]) == "table" and not getmetatable(arguments[i]) then
      arguments[i] = copy(arguments[i])
    end
  end
  for _ = 1, math.max(random(4) - 2, 0) do
    arguments.n = arguments.n + 1
    arguments[arguments.n] = random(3) == 1 and value(0) or table_of(0)
  end
  hurry(name, arguments)
  return arguments
end

-- The rule --------------------------------------------------------------------

local function show(argument)
  if type(argument) == "string" then
    return #argument < 60 and ("%q"):format(argument)
      or ("a string of %d bytes"):format(#argument)
  elseif type(argument) == "table" and not getmetatable(argument) then
    local parts = {}
    for key, each in next, argument do
      parts[#parts + 1] = ("[%s] = %s"):format(
        type(key) == "string" and ("%q"):format(key) or type(key),
        type(each) == "table" and "table" or show(each))
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
  elseif type(argument) == "table" then
    return "an object"
  end
  return tostring(argument)
end

local WRONG = {
  "attempt to", "bad argument #", "table index is", "lua/netns/", "stack over",
  "unprotected", "stripped",
}

-- What is wrong with a message, or nil.
local function fault_of(message)
  if type(message) ~= "string" then
    return "is no string but a " .. type(message)
  end
  for _, words in ipairs(WRONG) do
    if message:find(words, 1, true) then return ("has %q"):format(words) end
  end
end

-- What returns nil or false as an answer.
local ANSWERS = {
  ["ns:name"] = true, ["netns.call"] = true, ["ns:call"] = true,
}

-- What is wrong with the results of a call, or nil.
local function judge(name, ok, result, message, how)
  if not ok then
    if result == OURS then return nil end
    local fault = fault_of(result)
    if not fault and not result:find "^%.?/?spec/[%w_/]+%.lua:%d+: " then
      fault = "has no position here"
    end
    return fault and ("the error %s: %s"):format(fault, tostring(result))
  end
  if result or ANSWERS[name] then return nil end
  local fault = fault_of(message)
  if not fault and not t.is_integer(how) and how ~= "exit" and how ~= "signal"
  then
    fault = "comes with " .. tostring(how)
  end
  return fault and ("the message %s: %s"):format(fault, tostring(message))
end

-- Closes what a call has given, unless it is one of its arguments.
local function close(results, arguments)
  for i = 2, math.min(results.n, 2) do
    local object, given = results[i], false
    for k = 1, arguments.n do
      given = given or rawequal(object, arguments[k])
    end
    local kind = type(object)
    if not given and (kind == "userdata" or kind == "table")
      and io.type(object) == nil and getmetatable(object) ~= THORNY
      and object.close
    then
      object:close()
    end
  end
end

local function describe_call(name, arguments)
  local parts = {}
  for i = 1, arguments.n do parts[i] = show(arguments[i]) end
  return ("%s(%s)"):format(name, table.concat(parts, ", "))
end

local function count_descriptors() return #core.readdir "/proc/self/fd" end

-- One call with the arguments of this seed.
local function try(name, fn, good, number)
  seed(number)
  local arguments = mutate(name, good)
  local text = ("seed %d: %s"):format(number, describe_call(name, arguments))
  local before = count_descriptors()
  local results = t.pack(pcall(fn, t.unpack(arguments, 1, arguments.n)))
  local fault = judge(name, t.unpack(results, 1, 4))
  if not fault and not results[1] and results[2] ~= OURS
    and name:find "^netns%." and type(arguments[1]) == "string"
    and count_descriptors() > before
  then -- a handle keeps its sockets
    fault = "an error leaves a descriptor: " .. results[2]
  end
  if fault then error(("%s\n%s"):format(text, fault), 0) end
  close(results, arguments)
end

-- Calls fn(name, call, good arguments) for each of the list; what was wrong.
local function for_each(fn)
  local names = {}
  for name in pairs(calls.list) do names[#names + 1] = name end
  table.sort(names)
  local faults = {}
  for place, name in ipairs(names) do
    local fixture = calls.fixture()
    local call, good = calls.prepare(fixture, name)
    faults[#faults + 1] = fn(name, call, good, place)
    fixture:close()
    for _, each in ipairs(assert(netns.all.delete())) do
      assert(each.ok, each.message)
    end
  end
  assert(not faults[1], table.concat(faults, "\n\n"))
end

describe("whatever the arguments are", function()
  it("a call returns, or fails in words, or raises an error at its caller",
    function()
      local deadline = SECONDS and core.now() + SECONDS
      local number = SEED
      repeat
        for_each(function(name, fn, good, place)
          if name == "socket:detach" then return end -- nobody closes its own
          for round = 1, ROUNDS do
            local ok, fault =
              pcall(try, name, fn, good, (number * 1000 + place) * 1000 + round)
            if not ok then return fault end
          end
        end)
        number = number + 1
      until not deadline or core.now() >= deadline
    end)

  it("an argument too many is refused", function()
    local any = { ["netns.call"] = true, ["ns:call"] = true,
      ["socket:fd"] = true, ["socket:close"] = true, ["socket:detach"] = true }
    for_each(function(name, fn, good)
      if any[name] then return end
      local arguments = { n = good.n + 8 }
      for i = 1, arguments.n do
        arguments[i] = i > good.n and "more" or good[i]
      end
      local ok, message =
        pcall(fn, t.unpack(arguments, 1, arguments.n))
      if ok or not message:find "^%.?/?spec/.*: too many arguments to '" then
        return ("%s: %s"):format(name, tostring(message))
      end
    end)
  end)
end)
