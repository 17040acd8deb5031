#!/usr/bin/env lua5.4
-- A drop-in for the command line of `ip netns`, made of the library alone:
--
--   ip-netns.lua [-n NAME] [-all] [-json [-pretty]] netns [COMMAND …]
--   ip-netns.lua [-force] -batch FILE
--
-- It prints and returns what `ip` of iproute2 6.1 does, and differs where that
-- one is wrong:
-- * `list` is sorted. JSON is always valid: control characters are
--   escaped, bytes that are not UTF-8 are the text \xHH, and a machine without
--   names has `[]`.
-- * `list-id` is complete (`ip` stops after the kernel's first answer, which on
--   Linux 6.10 and later is a part), has the right names behind a target, and
--   does not forget the target in a batch.
-- * `identify` prints every name of the namespace, not the last it came across.
-- * Control characters of names, and bytes that are not UTF-8, reach neither a
--   terminal nor a reader of lines: they are printed as \xHH.
-- * What is in the directory but is no namespace is named as such.
-- * `-all exec` and `-force -batch` go on when a program is killed.
-- * `-n NAME` changes the network namespace alone. With `ip` it is also a new
--   mount namespace, in which what `add` and `attach` mount is lost.
-- `ip` turns into the program of `exec`. This waits for it, and exits with what
-- a shell makes of its status: 128 + N for the signal N.

local netns = require "netns"

local unpack = table.unpack or unpack -- luacheck: ignore 113 143

local NAMELESS = "No netns name specified"
local COMMANDLESS = "No command specified"
local NOT_OPENED = "Cannot open network namespace"

local settings = {} -- what the options say, by their names

-- Says it on stderr, and gives a status, so that commands `return fail(…)`.
local function fail(text, ...)
  io.stderr:write(netns.printable(text:format(...)), "\n")
  return 1
end

-- For what is wrong with the command line itself: it ends a batch too.
local function die(text, ...)
  fail(text, ...)
  os.exit(255)
end

-- The reason at the end of a message of the library.
local function reason(message)
  return message:match ".*: (.*)$" or message
end

-- The kernel's own words at the end of a message, or else the reason.
local function answer(message)
  local words = message:match "%((.*)%)$"
  if words then return ("Error: %s."):format((words:gsub("%.$", ""))) end
  return "RTNETLINK answers: " .. reason(message)
end

local function file_of(name)
  return netns.run_dir .. "/" .. name
end

-- An int of C, in the forms that strtol(3) takes.
local function integer(text)
  local sign, digits = text:match "^%s*([-+]?)(%w+)$"
  if not digits then return nil end
  local base = digits:find "^0[xX]" and 16 or digits:find "^0" and 8 or 10
  digits = digits:gsub("^0[xX]", ""):gsub("^0+(.)", "%1")
  -- in base 10 some Luas would take more than digits
  local valid = #digits <= 11 and (base > 10 or digits:find "^%d+$")
  local value = valid and tonumber(digits, base)
  if sign == "-" then value = value and -value end
  return value and value >= -2^31 and value < 2^31 and value or nil
end

local ESCAPES = {
  ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r", ["\f"] = "\\f",
  ["\b"] = "\\b", ["\\"] = "\\\\", ['"'] = '\\"',
}

local function json(value)
  if type(value) ~= "string" then return value end
  return '"' .. value:gsub('[%c\\"]', function(char)
    return ESCAPES[char] or ("\\u%04x"):format(char:byte())
  end):gsub("[\128-\255]+", function(text)
    return (netns.printable(text):gsub("\\", "\\\\"))
  end) .. '"'
end

-- The forms of an array, an object and a member, and what is between members.
local PLAIN = { "[%s]\n", "{%s}", "%s:%s", "," }
local PRETTY = { "[ %s]\n", "{\n%s\n    }", "        %s: %s", ",\n" }

-- Writes every entry as a line, or all as JSON with the fields that it has.
local function show(entries, keys, fields, line_of)
  local array, object, member, comma =
    unpack(settings.pretty and PRETTY or PLAIN)
  local objects = {}
  for i, entry in ipairs(entries) do
    local members = {}
    for k, field in ipairs(fields) do
      local text = entry[field]
        and member:format(json(keys[k]), json(entry[field]))
      members[#members + 1] = text
    end
    objects[i] = object:format(table.concat(members, comma))
    if not settings.json then
      io.write(netns.printable(line_of(entry)), "\n")
    end
  end
  local text = table.concat(objects, ",")
  if settings.pretty and objects[1] then text = text .. " " end
  if settings.json then io.write((array:format(text))) end
  return 0
end

local function list()
  local entries, message = netns.list()
  if not entries then return fail("%s", message) end
  for _, entry in ipairs(entries) do
    if entry.stale then
      fail('"%s" is not a network namespace', file_of(entry.name))
    end
  end
  return show(entries, { "name", "id" }, { "name", "id" }, function(entry)
    return entry.name .. (entry.id and (" (id: %d)"):format(entry.id) or "")
  end)
end

local usage

-- The arguments of list-id, as options of netns.list_id.
local function list_id_options(...)
  local keys = { ["target-nsid"] = "target_nsid", nsid = "nsid" }
  local opts, words = {}, { ... }
  for i = 1, #words, 2 do
    local word, value = words[i], words[i + 1]
    local key = keys[word] or usage()
    if opts[key] then
      die('Error: duplicate "%s": "%s" is the second value.', word, word)
    elseif not value then
      die 'Command line is not complete. Try option "help"'
    end
    local wrong = 'Error: argument "%s" is wrong: "%s" value '
    local id = integer(value) or die(wrong .. "is invalid", value, word)
    if id < 0 then die(wrong .. "should be >= 0", value, word) end
    opts[key] = id
  end
  return opts
end

local function list_id(...)
  local opts = list_id_options(...)
  local entries, message = netns.list_id(opts)
  if not entries then
    fail("%s", answer(message))
    return opts.nsid and 2 or os.exit(fail "Dump terminated")
  end
  local keys = { "nsid", "current-nsid", "name" }
  local fields = { "nsid", "current_nsid", "name" }
  return show(entries, keys, fields, function(entry)
    local line = "nsid " .. (entry.nsid or "unassigned") .. " "
    if opts.target_nsid then
      line = line .. "current-nsid " .. (entry.current_nsid or "unassigned")
        .. " "
    end
    return line .. (entry.name
      and ("(iproute2 netns name: %s)"):format(entry.name) or "")
  end)
end

-- What add and attach give back, as a status.
local function named(name, ns, message, errno)
  if ns then
    ns:close()
    return 0
  elseif errno == netns.errno.EEXIST then
    return fail('Cannot create namespace file "%s": %s', file_of(name),
      reason(message))
  end
  return fail("%s", message)
end

local function add(name)
  if not name then return fail(NAMELESS) end
  return named(name, netns.add(name))
end

local function attach(name, pid)
  if not pid then return fail "No netns name and PID specified" end
  local number = integer(pid) or 0
  if number == 0 then return fail("Invalid PID: %s", pid) end
  return named(name, netns.attach(name, number))
end

local function set(name, id)
  if not name then return fail(NAMELESS) end
  if not id then return fail "No nsid specified" end
  local wrong = 'Error: argument "%s" is wrong: '
  local number = id == "auto" and id or integer(id)
    or die(wrong .. 'Invalid "netnsid" value', id)
  if number ~= "auto" and number < 0 then
    die(wrong .. '"netnsid" value should be >= 0', id)
  end
  local ok, message, errno = netns.set(name, number)
  if ok then
    return 0
  elseif errno == netns.errno.ENOENT then
    return fail('%s "%s": %s', NOT_OPENED, name, reason(message))
  end
  fail("%s", answer(message))
  return 2
end

local function not_removed(name, message)
  return fail('Cannot remove namespace file "%s": %s', file_of(name),
    reason(message))
end

-- As with `ip`, what cannot be removed is told and does not count.
local function delete_all()
  local results, message = netns.all.delete()
  if not results then return fail("%s", message) end
  for _, result in ipairs(results) do
    if not result.ok then not_removed(result.name, result.message) end
  end
  return 0
end

local function delete(name)
  if settings.all then return delete_all() end
  if not name then return fail(NAMELESS) end
  local ok, message = netns.delete(name)
  return ok and 0 or not_removed(name, message)
end

local function identify(pid, extra)
  if extra then return fail "extra arguments specified" end
  if pid and pid:find "%D" then
    return fail("Specified string '%s' is not a pid", pid)
  end
  local number = pid and (tonumber(pid) or 0)
  if number and number >= 2 ^ 31 then number = 0 end -- no process
  local names, message = netns.identify(number)
  if not names then return fail("%s: %s", NOT_OPENED, reason(message)) end
  for i, name in ipairs(names) do names[i] = netns.printable(name) end
  io.write(table.concat(names, "\n"), "\n")
  return 0
end

local function pids(name, extra)
  if not name then return fail(NAMELESS) end
  if extra then return fail "extra arguments specified" end
  local found, message = netns.pids(name)
  if not found then return fail("%s: %s", NOT_OPENED, reason(message)) end
  for _, pid in ipairs(found) do io.write(pid, "\n") end
  return 0
end

-- Tells why a program could not be started: because of the program (status 1),
-- or of the namespace (status 255).
local function not_started(name, message, program)
  if message:find(": " .. netns.printable(program) .. ": ", 1, true) then
    return fail('exec of "%s" failed: %s', program, reason(message))
  end
  fail('%s "%s": %s', NOT_OPENED, name,
    message:sub(#'exec "": ' + #netns.printable(name) + 1))
  return 255
end

-- As with `ip`, that a program fails is no failure; that it is killed is.
local function exec_all(...)
  if not ... then return fail(COMMANDLESS) end
  local status = 0
  local results, message = netns.all.exec { ... }
  if not results then return fail("%s", message) end
  for _, result in ipairs(results) do
    if result.how == "signal" then
      status = 1
    elseif not result.how then -- it did not even start
      not_started(result.name, result.message, ...)
    end
  end
  return status
end

local function exec(name, ...)
  if settings.all then return exec_all(name, ...) end
  if not name then return fail(NAMELESS) end
  if not ... then return fail(COMMANDLESS) end
  io.stdout:flush() -- the program writes to it, too
  local ok, message, how, code = netns.exec(name, { ... })
  if ok then
    return 0
  elseif how == "exit" then
    return code
  elseif how == "signal" then
    return 128 + code
  end
  return not_started(name, message, ...)
end

local function monitor()
  local events, message = netns.monitor()
  if not events then return fail("%s", message) end
  for event in events do
    if event.name then -- "resync" has none
      io.write(event.action, " ", netns.printable(event.name), "\n")
      io.stdout:flush()
    end
  end
end

-- In the order of `ip`: of what an abbreviation fits, the first is meant.
local COMMANDS = {
  { "list", list, "" },
  { "show", list },
  { "lst", list },
  { "list-id", list_id, "[target-nsid POSITIVE-INT] [nsid POSITIVE-INT]" },
  { "help", function() usage() end },
  { "add", add, "NAME" },
  { "set", set, "NAME { auto | POSITIVE-INT }" },
  { "delete", delete, "NAME (or all, with -all)" },
  { "identify", identify, "[PID]" },
  { "pids", pids, "NAME" },
  { "exec", exec, "NAME COMMAND … (or COMMAND … in all, with -all)" },
  { "monitor", monitor, "" },
  { "attach", attach, "NAME PID" },
}

function usage()
  io.stderr:write "Usage: ip-netns.lua [OPTIONS] netns [COMMAND]\n"
  for _, command in ipairs(COMMANDS) do
    local name, _, arguments = unpack(command)
    if arguments then io.stderr:write("  ", name, " ", arguments, "\n") end
  end
  die("OPTIONS: -n[etns] NAME | -a[ll] | -j[son] | -p[retty] | -fo[rce]"
    .. " | -b[atch] FILE")
end

local function begins(whole, start)
  return start ~= "" and whole:sub(1, #start) == start
end

local function invalid(name)
  return name == "" or #name > 255 or name:find "/" or name == "."
    or name == ".."
end

-- Runs one command line; its status.
local function run(object, word, ...)
  if begins("help", object) then usage() end
  -- `n` and `ne` are short for neighbour
  if not begins("netns", object) or #object < 3 then
    return fail('Object "%s" is unknown, try "ip help".', object)
  end
  if not word then return list() end
  if ... and not settings.all and invalid(...) then
    die('Invalid netns name "%s"', ...)
  end
  for _, command in ipairs(COMMANDS) do
    if begins(command[1], word) then return command[2](...) end
  end
  die('Command "%s" is unknown, try "ip netns help".', word)
end

-- The words of a line of a batch. A quote counts at the start of a word only,
-- and the closing one ends the word.
local function words_of(line)
  local words, at = {}, line:find "%S"
  while at do
    local quote, word, stop = line:match("^(['\"])(.-)%1()", at)
    if not quote then word, stop = line:match("^([^'\"]%S*)()", at) end
    if not word then return nil end
    words[#words + 1], at = word, line:find("%S", stop)
  end
  return words
end

-- The lines of a batch without their comments. A line that is continued has
-- the number of its end.
local function lines_of(file)
  local number = 0
  local function read() -- with its end, for which Lua 5.1 has no format
    local chars = {}
    repeat
      local char = file:read(1)
      chars[#chars + 1] = char
    until not char or char == "\n"
    return chars[1] and table.concat(chars)
  end
  return function()
    local whole = ""
    for line in read do
      number = number + 1
      local text, continued = line:gsub("#.*", ""):gsub("\\\n$", "")
      whole = whole .. text
      if continued == 0 then return number, whole end
    end
    if whole ~= "" then fail "Missing continuation line" end
  end
end

local function batch(path)
  local file, message = io.stdin, nil
  if path ~= "-" then file, message = io.open(path) end
  if not file then
    return fail('Cannot open file "%s" for reading: %s', path, reason(message))
  end
  local status = 0
  for number, line in lines_of(file) do
    local words = words_of(line) or os.exit(fail "Unterminated quoted string")
    if words[1] and run(unpack(words)) ~= 0 then
      status = fail("Command failed %s:%d", path, number)
      if not settings.force then break end
    end
  end
  return status
end

-- The options of `ip` in its order, for they are abbreviated like commands; a
-- colon means an argument. Those without a meaning here are read over.
local OPTIONS = [[loops: family: 4 6 0 M B human-readable iec stats
  statistics details resolve oneline timestamp tshort Version force batch: brief
  json pretty rcvbuf: color help netns: Numeric all echo]]

local ACTIONS = {
  help = function() usage() end,
  Version = function()
    print "ip-netns.lua, on netns for Lua"
    os.exit(0)
  end,
  netns = function(name) -- at once: the last one counts, but all must be there
    local ns, message = nil, "Invalid argument"
    if not invalid(name) then ns, message = netns.open(name) end
    settings.netns = ns
      or die('%s "%s": %s', NOT_OPENED, name, reason(message))
  end,
}

local function option_of(word)
  -- a dash or two; colours may be =always, =never and the like
  local short = word:match "^%-%-?(.*)$":gsub("^(c%l*)=%l+$", "%1")
  for name, colon in OPTIONS:gmatch "([%w-]+)(:?)" do
    -- a lone dash is short for the first, with `ip` too
    if short == "" or begins(name, short) then return name, colon == ":" end
  end
  die('Option "-%s" is unknown, try "ip -help".', short)
end

-- Reads the options; where the words after them begin.
local function read_options(words)
  local at = 1
  while words[at] and words[at]:find "^%-" do
    if words[at] == "--" then return at + 1 end
    local name, has_argument = option_of(words[at])
    if has_argument then at = at + 1 end
    local value = words[at] or usage()
    settings[name] = has_argument and value or true
    if ACTIONS[name] then ACTIONS[name](value) end
    at = at + 1
  end
  return at
end

local function main(words)
  local at = read_options(words)
  local function work()
    if settings.batch then return batch(settings.batch) end
    if not words[at] then usage() end
    return run(unpack(words, at))
  end
  if not settings.netns then return work() end
  -- inside, so that everything is as seen from there: ids, and who one is
  local status, message = settings.netns:call(work)
  return status or die("%s", message)
end

os.exit(main(arg))
