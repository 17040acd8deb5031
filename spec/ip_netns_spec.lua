-- examples/ip-netns.lua against `ip`: the same command lines on the same state,
-- made by one and by the other, must print the same, return the same status and
-- leave the same state behind. What differs on purpose has tests of its own.

local netns = require "netns"
local json = require "dkjson"
local t = require "spec.support"

local tools -- how to start each of the two
local dir -- for the output of what runs

local function read(name)
  return t.read(dir .. "/" .. name)
end

local function write(name, text)
  t.write(dir .. "/" .. name, text)
  return dir .. "/" .. name
end

-- Runs a tool; what it did.
local function run(tool, argv, input)
  local words = { tools[tool] }
  for i, arg in ipairs(argv) do words[i + 1] = t.quote(arg) end
  -- the shell stays, and says 128 + N for the signal N, and that to nobody
  local _, how, status = t.execute(
    ("exec 2>&-; (exec %s <%s >%s/out 2>%s/err); exit $?")
      :format(table.concat(words, " "), write("in", input or ""), dir, dir))
  assert(how == "exit")
  return { status = status, out = read "out", err = read "err" }
end

-- Must succeed.
local function must(tool, argv, input)
  local did = run(tool, argv, input)
  if did.status ~= 0 or did.err ~= "" then
    error(("%s %s: status %d: %s")
      :format(tool, table.concat(argv, " "), did.status, did.err), 2)
  end
  return did.out
end

local function sorted(text)
  local lines = {}
  for line in text:gmatch "[^\n]*\n?" do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines)
end

-- A test's own names stand for @a, @b, @c and @d.
local names

local function expand(text)
  return (text:gsub("@(%l)", function(letter)
    names[letter] = names[letter] or t.name()
    return names[letter]
  end))
end

-- The words of a command line written as one string, or as a table if there are
-- odd ones.
local function words_of(line)
  local words = {}
  if type(line) == "table" then
    for i, word in ipairs(line) do words[i] = expand(word) end
  else
    for word in line:gmatch "%S+" do words[#words + 1] = expand(word) end
  end
  return words
end

-- Takes all names away, and waits until the kernel has forgotten their ids.
local function clean()
  for _, name in ipairs(assert(netns.names())) do assert(netns.delete(name)) end
  t.eventually(function() return #assert(netns.list_id()) == 0 end)
end

-- Runs command lines that a semicolon separates: those without options in one
-- batch, which is faster.
local function make(tool, lines)
  local batch = {}
  for line in lines:gmatch "[^;]+" do
    if line:find "^netns" then
      batch[#batch + 1] = expand(line) .. "\n"
    else
      must(tool, { "-b", "-" }, table.concat(batch))
      must(tool, words_of(line))
      batch = {}
    end
  end
  must(tool, { "-b", "-" }, table.concat(batch))
end

-- Sets the state up with one tool, runs the line with the other, and looks with
-- `ip` at what there is then.
local function outcome(maker, tool, case)
  if case.given then make(maker, case.given) end
  local did = run(tool, words_of(case[1]), case.input and expand(case.input))
  if case.out then did.out = case.out(did.out) end
  -- names are in no order; ids, and what programs print, are
  local line = table.concat(words_of(case[1]), " ") .. (case.input or "")
  if not line:find "list%-id" and not case.ordered then
    did.out = sorted(did.out)
  end
  did.state = sorted(must("ip", { "-b", "-" }, "netns list\nnetns list-id"))
    :gsub("nsid %d+ \n", "") -- deleted just now: the kernel forgets it in time
  clean()
  return did
end

local function check(case)
  local expected = outcome("ip", "ip", case)
  assert.equal(case.status or 0, expected.status) -- of ip itself
  if expected.status ~= 0 and not case.silent then
    assert.not_equal("", expected.err)
  end
  local got = outcome("ip", "ours", case)
  if case.err == "other" then -- another text for the same thing
    assert.not_equal("", got.err)
    got.err = expected.err
  end
  assert.same(expected, got)
  if case.given then
    assert.same(expected, outcome("ours", "ip", case), "ip, on what ours made")
  end
end

local function title(case)
  local line = case[1]
  if type(line) == "table" then line = table.concat(line, "|") end
  return (line:gsub("[%c\128-\255]", "."):gsub(("n"):rep(200) .. "n*", "n…"))
    .. (case.given and " after " .. case.given or "")
    .. (case.input and (" with %q"):format(case.input):gsub("\\?\n", "\\n")
      or "")
end

-- JSON whose array is in no order.
local function by_name(text)
  local array, at = json.decode(text)
  assert(array and text:sub(at) == "\n", text)
  table.sort(array, function(a, b) return a.name < b.name end)
  local objects = {}
  for i, object in ipairs(array) do
    objects[i] = json.encode(object, { keyorder = { "name", "id" } })
  end
  return table.concat(objects, "\n")
end

local TWO = "netns add @a;netns add @b"
local IDS = TWO .. ";netns set @a 5;netns set @b 7"
-- @a knows itself by 13 and @b by 12, and @c which we do not know by 14
local FOO = "netns add @a;netns add @b;netns add @c;"
  .. "-n @a netns set @b 12;-n @a netns set @a 13;netns set @b 31;"
  .. "netns set @a 12"

local LONG = ("n"):rep(254)

local GROUPS = {
  { "list", {
    { "netns" }, { "netns", given = TWO }, { "netns", given = IDS },
    { "netns list", given = IDS }, { "netns show", given = IDS },
    { "netns lst", given = IDS }, { "netns list @c more", given = IDS },
    { "-j netns", given = "netns add @a" },
    { "-j netns", given = "netns add @a;netns set @a 0" },
    { "-j -p netns", given = "netns add @a;netns set @a 0" },
    { "-p netns", given = IDS }, { "-all netns", given = IDS },
    { "-j netns", given = IDS, out = by_name },
    { "-j -p netns", given = IDS, out = by_name },
    { "-j netns list", given = "netns add @a;netns del @a" },
    { "-j -p netns list", given = "netns add @a;netns del @a" },
    { "netns list a/b", status = 255 },
    { { "netns", "list", "" }, status = 255 },
  } },
  { "add", {
    { "netns add @a" }, { "netns add @a @b" }, { "netns add -a" },
    { { "netns", "add", "with space" } }, { { "netns", "add", "ünïcode" } },
    { { "netns", "add", "tab\there" } }, { { "netns", "add", "$'\"\\ ;" } },
    { { "netns", "add", "\255" } }, { { "netns", "add", LONG .. "n" } },
    { { "netns", "add", LONG .. "nn" }, status = 255 },
    { "netns add", status = 1 },
    { "netns add @a", given = "netns add @a", status = 1 },
    { { "netns", "add", "" }, status = 255 },
    { "netns add .", status = 255 }, { "netns add ..", status = 255 },
    { "netns add a/b", status = 255 }, { "netns add /", status = 255 },
    { "-all netns add a/b", status = 1, err = "other" },
    { "-all netns add", status = 1 }, { "-all netns add @a" },
  } },
  { "delete", {
    { "netns delete @a", given = TWO }, { "netns del @a @b", given = TWO },
    { "netns delete", status = 1 }, { "netns delete @c", status = 1 },
    { "netns delete a/b", status = 255 }, { "-all netns del", given = IDS },
    { "-all netns delete" }, { "-all netns del @a", given = TWO },
    { { "netns", "del", "-x y" }, given = "netns add @a;netns add -x",
      status = 1 },
  } },
  { "set", {
    { "netns set @a 5", given = TWO }, { "netns set @a auto", given = TWO },
    { "netns set @a 0", given = TWO }, { "netns set @a 9 8", given = TWO },
    { "netns set @a 2147483647", given = TWO },
    { "netns set @a 0x1F", given = TWO }, { "netns set @a 010", given = TWO },
    { "netns set @a +3", given = TWO }, { "netns set @a 00", given = TWO },
    { { "netns", "set", "@a", " 3" }, given = TWO },
    { { "netns", "set", "@a", "3 " }, given = TWO, status = 255 },
    { { "netns", "set", "@a", "" }, given = TWO, status = 255 },
    { "netns set @a 2147483648", given = TWO, status = 255 },
    { "netns set @a 18446744073709551617", given = TWO, status = 255 },
    { "netns set @a 0xfffffffffffffffff", given = TWO, status = 255 },
    { "netns set @a -1", given = TWO, status = 255 },
    { "netns set @a x", given = TWO, status = 255 },
    { "netns set @a 08", given = TWO, status = 255 },
    { "netns set @a 0x", given = TWO, status = 255 },
    { "netns set @a 1.5", given = TWO, status = 255 },
    { "netns set @a 1e2", given = TWO, status = 255 },
    { "netns set @c 1", given = TWO, status = 1 },
    { "netns set", status = 1 }, { "netns set @a", status = 1 },
    { "netns set a/b 1", status = 255 },
    { "netns set @a 6", given = IDS, status = 2 },
    { "netns set @a 5", given = IDS, status = 2 },
    { "netns set @a auto", given = IDS, status = 2 },
    { "netns set @b 5", given = TWO .. ";netns set @a 5", status = 2 },
  } },
  { "list-id", {
    { "netns list-id" }, { "netns list-id", given = TWO },
    { "netns list-id", given = IDS }, { "-j netns list-id", given = IDS },
    { "-j netns list-id" }, { "-j -p netns list-id" },
    { "-j -p netns list-id", given = IDS },
    { "netns list-id nsid 5", given = IDS },
    { "netns list-id nsid 0x5", given = IDS },
    { "-j netns list-id nsid 5", given = IDS },
    { "netns list-id nsid 6", given = IDS, status = 2 },
    { "-j netns list-id nsid 6", given = IDS, status = 2 },
    { "netns list-id target-nsid 12", given = FOO },
    { "-j netns list-id target-nsid 12", given = FOO },
    { "-j -p netns list-id target-nsid 12", given = FOO },
    { "netns list-id target-nsid 12 nsid 31", given = FOO },
    { "netns list-id nsid 31 target-nsid 12", given = FOO },
    { "-j netns list-id target-nsid 12 nsid 31", given = FOO },
    { "netns list-id target-nsid 12 nsid 12", given = FOO },
    { "netns list-id target-nsid 12 nsid 5", given = FOO, status = 2 },
    { "netns list-id target-nsid 31", given = FOO },
    { "netns list-id target-nsid 31 nsid 12", given = FOO },
    { "-j netns list-id target-nsid 31 nsid 12", given = FOO },
    { "-n @a netns list-id", given = FOO },
    { "-n @a -j netns list-id", given = FOO },
    { "-n @a netns list-id nsid 13", given = FOO },
    { "-n @b netns list-id", given = FOO },
    { "-n @a netns list-id target-nsid 13 nsid 12", given = FOO },
    -- the kernel's words come with the end of the dump
    { "netns list-id target-nsid 77", given = IDS, status = 1 },
    { "netns list-id nsid 77 target-nsid 78", given = IDS, status = 2 },
    { "netns list-id nsid", status = 255 },
    { "netns list-id target-nsid", status = 255 },
    { "netns list-id nsid 1 target-nsid", status = 255 },
    { "netns list-id nsid x", status = 255 },
    { "netns list-id target-nsid x", status = 255 },
    { "netns list-id nsid -1", status = 255, err = "other" }, -- ip: (null)
    { "netns list-id target-nsid -1", status = 255, err = "other" },
    { "netns list-id nsid 1 nsid 2", status = 255 },
    { "netns list-id target-nsid 1 target-nsid 1", status = 255 },
    { "netns list-id bogus", status = 255, err = "other" },
    { "netns list-id ns 1", status = 255, err = "other" },
    { "netns list-id a/b", status = 255 },
  } },
  { "identify", {
    { "netns identify" }, { "netns identify 1" },
    { "netns identify 1", given = "netns attach @a 1" },
    { "netns identify", given = "netns attach @a 1" },
    { "-n @a netns identify", given = TWO },
    { "-n @a netns identify 1", given = TWO },
    { "-j netns identify", given = "netns attach @a 1" },
    { "netns identify 99999999", status = 1, err = "other" },
    { "netns identify 99999999999999999999", status = 1, err = "other" },
    { "netns identify 0", status = 1, err = "other" },
    { "netns identify x", status = 1 }, { "netns identify -1", status = 1 },
    { "netns identify 1 2", status = 1 },
    { { "netns", "identify", "" }, status = 255 },
    { { "-all", "netns", "identify", "" }, status = 1, err = "other" },
  } },
  { "pids", {
    { "netns pids @a", given = TWO }, { "netns pids", status = 1 },
    { "netns pids @c", given = TWO, status = 1 },
    { "netns pids @a @b", given = TWO, status = 1 },
    { "netns pids a/b", status = 255 }, { "-all netns pids a/b", status = 1 },
  } },
  { "exec", {
    { "netns exec @a ip netns identify", given = TWO },
    { "netns exec @a readlink /proc/self/ns/net",
      given = "netns attach @a 1" },
    { "netns exec @a true", given = TWO },
    { "netns exec @a false", given = TWO, status = 1, silent = true },
    { { "netns", "exec", "@a", "sh", "-c", "echo o; echo e >&2; exit 42" },
      given = TWO, status = 42 },
    { { "netns", "exec", "@a", "sh", "-c", "exit 255" }, given = TWO,
      status = 255, silent = true },
    { { "netns", "exec", "@a", "sh", "-c", "kill -9 $$" }, given = TWO,
      status = 137, silent = true },
    { { "netns", "exec", "@a", "sh", "-c", "kill -15 $$" }, given = TWO,
      status = 143, silent = true },
    { { "netns", "exec", "@a", "cat" }, given = TWO, input = "fed\n" },
    { { "netns", "exec", "@a", "printf", "<%s>", "", "a b", "'", "\\" },
      given = TWO },
    { "netns exec @a ls /sys/class/net", given = TWO },
    { "netns exec @a cat /proc/net/dev", given = TWO },
    { "netns exec @a no-such-program", given = TWO, status = 1 },
    { { "netns", "exec", "@a", "" }, given = TWO, status = 1 },
    { "netns exec @a /etc/passwd", given = TWO, status = 1 },
    { "netns exec @a /etc", given = TWO, status = 1 },
    { "netns exec @a -- true", given = TWO, status = 1 },
    { "netns exec @c true", given = TWO, status = 255 },
    { "netns exec @a", given = TWO, status = 1 },
    { "netns exec", status = 1 }, { "netns exec a/b true", status = 255 },
    { "-j netns exec @a echo x", given = TWO },
    { "-n @b netns exec @a ip netns identify", given = TWO },
    { "-n @b netns exec @c true", given = TWO, status = 255 },
    { "-all netns exec ip netns identify", given = TWO },
    { "-all netns exec false", given = TWO },
    { "-all netns exec no-such-program", given = TWO },
    { { "-all", "netns", "exec", "sh", "-c", "echo $0; exit 3" },
      given = TWO },
    { "-all netns exec true" }, { "-all netns exec", status = 1 },
    { "-n @a -all netns exec ip netns identify", given = TWO },
    { { "netns", "exec", LONG, "ip", "netns", "identify" },
      given = "netns add " .. LONG },
  } },
  { "attach", {
    { "netns attach @a 1" }, { "netns attach @a 0x1 more" },
    { { "netns", "attach", "@a", " +1" } },
    { "netns attach @a", status = 1 }, { "netns attach", status = 1 },
    { "netns attach @a x", status = 1 }, { "netns attach @a 0", status = 1 },
    { { "netns", "attach", "@a", "" }, status = 1 },
    { "netns attach @a 99999999999", status = 1 },
    { "netns attach @a 99999999", status = 1, err = "other" },
    { "netns attach @a -1", status = 1, err = "other" },
    { "netns attach @a 1", given = "netns add @a", status = 1 },
    { "netns attach a/b 1", status = 255 },
  } },
  { "help and what is unknown", {
    { "netns help", status = 255, err = "other" },
    { "netns help a/b", status = 255 },
    { "netns bogus", status = 255 }, { "netns lists", status = 255 },
    { "netns List", status = 255 }, { { "netns", "" }, status = 255 },
    { "netns bogus a/b", status = 255 },
    { "netns --help", status = 255 },
    { "", status = 255, err = "other" },
    { "-all", status = 255, err = "other" },
    { "--", status = 255, err = "other" },
    { "help", status = 255, err = "other" },
    { "he", status = 255, err = "other" }, { "bogus", status = 1 },
    { "netnsx", status = 1 }, { { "" }, status = 1 },
    { "net", given = TWO }, { "netn list", given = TWO },
    { "-- netns", given = TWO },
  } },
  { "the options", {
    { "-x netns", status = 255 }, { "-na netns", status = 255 },
    { "---n @a netns", given = TWO, status = 255 },
    { "-n=@a netns", given = TWO, status = 255, err = "other" },
    { "-A netns", status = 255 },
    { "-help netns", status = 255, err = "other" },
    { "-n", status = 255, err = "other" },
    { "-b", status = 255, err = "other" },
    { "-f", status = 255, err = "other" },
    { "-", status = 255, err = "other" },
    { "-n @c netns", given = TWO, status = 255 },
    { { "-n", "", "netns" }, status = 255, err = "other" },
    { "-n . netns", status = 255, err = "other" },
    { "-n /run/netns/@a netns", given = TWO, status = 255, err = "other" },
    { "-n @c -x", given = TWO, status = 255 },
    { "-n @a netns identify", given = TWO },
    { "-ne @a netns identify", given = TWO },
    { "-net @a netns identify", given = TWO },
    { "-netn @a netns identify", given = TWO },
    { "-netns @a netns identify", given = TWO },
    { "--n @a netns identify", given = TWO },
    { "--netns @a netns identify", given = TWO },
    { "-n @a -n @b netns identify", given = TWO },
    { "-n @a netns", given = FOO }, { "-n @a netns", given = IDS },
    { "-n @a netns set @b 3", given = TWO },
    { "-n @a netns set @b 31", given = FOO, status = 2 },
    { "-n @a netns delete @b", given = TWO },
    { "-n @a -all netns delete", given = TWO },
    { "-all netns exec true", given = TWO },
    { "-al netns exec true", given = TWO },
    { "-a netns exec true", given = TWO },
    { "--all netns exec true", given = TWO },
    { "-js netns list-id", given = IDS }, { "-jso netns list-id", given = IDS },
    { "--json netns list-id", given = IDS },
    { "-json -pretty netns list-id", given = IDS },
    { "-j -pr netns list-id", given = IDS },
    { "-force netns", given = IDS }, { "-fo netns", given = IDS },
    { "-f inet netns", given = IDS }, { "-l 3 netns", given = IDS },
    { "-4 netns", given = IDS }, { "-6 netns", given = IDS },
    { "-0 -M -B netns", given = IDS }, { "-h -iec -s -d netns", given = IDS },
    { "-o -r -t -ts netns", given = IDS }, { "-br -N netns", given = IDS },
    { "-rc 4096 netns", given = IDS }, { "-echo netns", given = IDS },
    { "-c netns", given = IDS }, { "-c=never netns", given = IDS },
    { "-color=always netns", given = IDS },
  } },
  { "-batch", {
    { "-batch -", input = "netns add @a\nnetns set @a 4\nnetns\n" },
    { "-b -", input = "netns", given = TWO },
    { "-ba -", input = "" }, { "--batch -", input = "\n \t\n" },
    { "-b -", input = "# c\n\n netns \t list # d\r\n#", given = TWO },
    { "-b -", input = "netns add @a\nnetns add @b", given = TWO, status = 1 },
    { "-b -", input = "netns\nnetns add @a\nnetns", given = TWO, status = 1 },
    { "-force -b -", input = "netns add @a\nnetns", given = TWO, status = 1 },
    { "-b - -force", input = "netns add @a\nnetns del @c\nnetns\n",
      given = TWO, status = 1 },
    { "-b - netns bogus", input = "netns", given = TWO },
    { "-b -", input = 'netns add "@a b"\nnetns add \'c "\'\nnetns' },
    { "-b -", input = 'netns add a"b\nnetns exec a"b echo "c"d "" \'\'' },
    { "-b -", input = "netns add @a\\\nnetns\nnetns" },
    { "-b -", input = "netns \\\nadd \\\n@a\nnetns add @a", status = 1 },
    { "-b -", input = "netns add @a#b\nnetns" },
    { "-b -", input = 'netns add "@a#b"\nnetns', status = 1 },
    { "-force -b -", input = "netns add 'x\nnetns", status = 1 },
    { "-b -", input = "netns \\", status = 255 },
    { "-b -", input = "netns \\\n", err = "other" },
    { "-b -", input = "netns # \\\nlist", given = TWO, status = 1 },
    { "-b -", input = "netns add @a\nnetns \\\n" },
    { "-force -b -", input = "netns add a/b\nnetns add @a", status = 255 },
    { "-force -b -", input = "netns bogus\nnetns add @a", status = 255 },
    { "-force -b -", input = "netns set @a x\nnetns add @a", status = 255 },
    { "-force -b -", input = "bogus\nnetns add @a", status = 1 },
    { "-force -b -", input = "netns help\nnetns add @a", status = 255,
      err = "other" },
    { "-force -b -", input = "netns list-id nsid 9\nnetns list-id",
      given = IDS, status = 1 },
    { "-force -b -", input = "netns exec @a false\nnetns exec @a echo x",
      given = TWO, status = 1 },
    { "-b -", input = "netns exec @a sh -c 'exit 3'\nnetns exec @a echo x",
      given = TWO, status = 1 },
    { "-b -", input = "netns exec @a no-such\nnetns exec @a echo x",
      given = TWO, status = 1 },
    { "-b -", input = "netns exec @a", given = TWO, status = 1 },
    { "-b -", input = "netns exec @a echo 2\nnetns exec @a echo 1",
      given = TWO, ordered = true },
    { "-b -", input = "netns list-id\nnetns exec @a echo 1\nnetns list-id",
      given = IDS },
    { "-j -b -", input = "netns list-id\nnetns list-id", given = IDS },
    { "-n @a -b -", input = "netns identify\nnetns list-id", given = FOO },
    { "-all -b -", input = "netns exec true\nnetns del", given = TWO },
    { "-b /no/such/file", status = 1 }, { "-b /tmp" },
  } },
}

describe("ip-netns.lua prints and does what ip does:", function()
  setup(function()
    dir = t.must "mktemp -d"
    tools = {
      ip = "ip",
      ours = ("env LUA_PATH=%s LUA_CPATH=%s %s examples/ip-netns.lua")
        :format(t.quote(package.path), t.quote(package.cpath), t.lua),
    }
  end)

  teardown(function() t.must("rm -r %s", dir) end)

  before_each(function()
    collectgarbage()
    names = {}
    -- `-all` and `clean` would take them away
    assert(#assert(netns.names()) == 0, "there are names of somebody else")
    t.eventually(function() return #assert(netns.list_id()) == 0 end)
  end)

  after_each(clean)

  t.guard(before_each, after_each)

  for _, group in ipairs(GROUPS) do
    describe(group[1], function()
      for _, case in ipairs(group[2]) do
        it(title(case), function() check(case) end)
      end
    end)
  end

  -- every command with the status that it has without arguments, in the order
  -- in which ip tries them
  local COMMANDS = {
    { "list", 0 }, { "show", 0 }, { "lst", 0 }, { "list-id", 0 },
    { "help", 255 }, { "add", 1 }, { "set", 1 }, { "delete", 1 },
    { "identify", 0 }, { "pids", 1 }, { "exec", 1 }, { "attach", 1 },
  }

  local function bare_status(short)
    for _, command in ipairs(COMMANDS) do
      if command[1]:sub(1, #short) == short then return command[2] end
    end
  end

  describe("abbreviations", function()
    for _, command in ipairs(COMMANDS) do
      for length = 1, #command[1] do
        local short = command[1]:sub(1, length)
        local case = { "netns " .. short, given = IDS,
          status = bare_status(short) }
        if case.status == 255 then case.err = "other" end
        it(title(case), function() check(case) end)
      end
      local longer = { "netns " .. command[1] .. "x", status = 255 }
      it(title(longer), function() check(longer) end)
    end

    for length = 1, #"monitor" do
      local line = "netns " .. ("monitor"):sub(1, length)
      it(line, function()
        for _, tool in ipairs { "ip", "ours" } do
          local output, status =
            t.sh("timeout 0.1 %s %s", tools[tool], line)
          assert.equal(124, status) -- it was waiting
          assert.equal("", output)
        end
      end)
    end
  end)

  it("n and ne are short for what only ip has", function()
    make("ip", TWO)
    for _, line in ipairs { "n", "ne list" } do
      assert.equal("", must("ip", words_of(line))) -- no neighbours
      local did = run("ours", words_of(line))
      assert.equal("", did.out)
      assert.equal(1, did.status)
      assert.truthy(did.err:find "is unknown")
    end
  end)

  it("the example of the man page", function()
    make("ours", "netns add @f;netns add @b;netns set @f 12;netns set @b 13;"
      .. "-n @f netns set @f 22;-n @f netns set @b 23;"
      .. "-n @b netns set @f 32;-n @b netns set @b 33")
    for _, tool in ipairs { "ip", "ours" } do
      assert.equal(expand "nsid 22 current-nsid 12 (iproute2 netns name: @f)\n"
        .. expand "nsid 23 current-nsid 13 (iproute2 netns name: @b)\n",
        must(tool, words_of "netns list-id target-nsid 12"))
      assert.equal(expand "nsid 23 current-nsid 13 (iproute2 netns name: @b)\n",
        must(tool, words_of "netns list-id target-nsid 12 nsid 13"))
    end
  end)

  it("pids", function()
    make("ours", TWO)
    local pid = t.sleeper(expand "/run/netns/@a")
    finally(function() t.stop(pid) end)
    for _, tool in ipairs { "ip", "ours" } do
      assert.equal(pid .. "\n", must(tool, words_of "netns pids @a"))
      assert.equal("", must(tool, words_of "netns pids @b"))
      -- the tool is inside itself
      local both = must(tool, words_of "-n @a netns pids @a")
      assert.truthy(both:find(("^%d\n%%d+\n$"):format(pid)), both)
      -- and so is what it runs
      both = must(tool, words_of "netns exec @a ip netns pids @a")
      assert.truthy(both:find(("^%d\n%%d+\n$"):format(pid)), both)
      assert.equal(expand "@a\n",
        must(tool, words_of("netns identify " .. pid)))
    end
  end)

  it("monitor", function()
    local pids = {}
    finally(function()
      for _, pid in pairs(pids) do t.stop(pid) end
    end)
    for _, name in ipairs { "ip", "ours" } do
      pids[name] = t.start(("exec %s %s netns monitor >%s/%s.events")
        -- ip writes into a file by the block
        :format(name == "ip" and "stdbuf -oL" or "", tools[name], dir, name))
    end
    -- What it told, but for the name @w.
    local function told(name)
      local events = {}
      for event, about in read(name .. ".events"):gmatch "(%l+ ([^\n]+))\n" do
        if about ~= expand "@w" then events[#events + 1] = event end
      end
      return table.concat(events, "\n")
    end
    t.eventually(function() -- both are watching
      make("ip", "netns add @w;netns delete @w")
      return read("ip.events"):find "delete"
        and read("ours.events"):find "delete"
    end)
    local expected = {}
    local function both_told(normal)
      local text = table.concat(expected, "\n")
      return normal(told "ip") == normal(text)
        and normal(told "ours") == normal(text)
    end
    for _, step in ipairs {
      { "ip", "netns add @a", "add @a" }, { "ours", "netns add @b", "add @b" },
      { "ip", "netns attach @c 1", "add @c" },
      { "ip", "netns delete @a", "delete @a" },
      { "ours", "netns add -x", "add -x" }, { "ip", "netns add @a", "add @a" },
      { "ours", "netns del @c", "delete @c" },
    } do
      make(step[1], step[2])
      expected[#expected + 1] = expand(step[3])
      t.eventually(function() return both_told(tostring) end)
    end
    make("ours", "-all netns del")
    for _, name in ipairs { "@a", "@b", "-x" } do
      expected[#expected + 1] = expand("delete " .. name)
    end
    t.eventually(function() -- in the order of the directory
      return both_told(function(text) return sorted(text .. "\n") end)
    end)
  end)

  it("a batch in a file, with its name in the complaint", function()
    local path = write("batch", "netns add @b\n\nnetns del @x\n")
    local expected = run("ip", { "-b", path })
    clean()
    local got = run("ours", { "-b", path })
    assert.same(expected, got)
    assert.equal(1, got.status)
    assert.truthy(got.err:find(("Command failed %s:3\n"):format(path), 1, true))
  end)

  it("programs see /etc/netns/NAME over /etc", function()
    make("ours", TWO)
    local etc = expand "/etc/netns/@a"
    t.must("mkdir -p %s && echo mine >%s/hosts && echo no >%s/no-such-thing",
      etc, etc, etc)
    local expected = run("ip", words_of "netns exec @a cat /etc/hosts")
    local got = run("ours", words_of "netns exec @a cat /etc/hosts")
    t.must("rm -r %s", etc)
    assert.same(expected, got)
    assert.equal("mine\n", got.out)
    assert.truthy(got.err:find("no-such-thing", 1, true))
  end)

  it("a user without rights", function()
    make("ip", IDS)
    tools.ip_user = "setpriv --reuid 65534 --clear-groups ip"
    tools.our_user = "setpriv --reuid 65534 --clear-groups " .. tools.ours
    t.must("chmod 755 %s", dir)
    for _, line in ipairs {
      "netns", "netns list-id", "netns add @c", "netns attach @c 1",
      "netns delete @a", "netns set @a 3", "netns exec @a true",
      "-n @a netns", "netns pids @a", "-all netns delete",
    } do
      local expected = run("ip_user", words_of(line))
      local got = run("our_user", words_of(line))
      assert.equal(expected.status, got.status, line)
      assert.equal(sorted(expected.out), sorted(got.out), line)
      assert.equal(expected.err == "", got.err == "", line)
    end
  end)

  describe("where ip is wrong:", function()
    it("JSON is always JSON", function()
      make("ip", "netns add @a")
      must("ip", { "netns", "add", "\1\27\127'\\\"" })
      local text = must("ours", { "-j", "netns" })
      assert.truthy(text:find([["\u0001\u001b\u007f'\\\""]],
        1, true), text)
      assert.equal("\1\27\127'\\\"", json.decode(text)[1].name)
    end)

    it("JSON of no names at all is an empty array", function()
      local command = t.no_names .. " " .. tools.ours
      assert.equal("[]", t.must("%s -j netns", command))
      assert.equal("", t.must("%s netns", command))
    end)

    it("identify has all the names", function()
      make("ip", "netns attach @a 1;netns attach @b 1;netns add @c")
      assert.equal(expand "@a\n@b\n", must("ours", words_of "netns identify"))
      assert.equal(expand "@a\n@b\n", must("ours", words_of "netns identify 1"))
    end)

    it("list-id is complete", function()
      local lines, commands = {}, {}
      for i = 1, 300 do
        local name = t.name()
        lines[i] = ("nsid %d (iproute2 netns name: %s)\n"):format(i + 6, name)
        commands[#commands + 1] = ("netns add %s\nnetns set %s %d\n")
          :format(name, name, i + 6)
      end
      must("ours", { "-b", "-" }, table.concat(commands))
      assert.equal(table.concat(lines), must("ours", { "netns", "list-id" }))
    end)

    -- @t knows @u by an id that is another's here
    local TARGET = "netns add @t;netns add @u;netns add @v;"
      .. "netns set @t 0;netns set @v 1;-n @t netns set @u 1"

    it("list-id has the right name behind a target", function()
      make("ip", TARGET)
      assert.equal(
        expand "nsid 1 current-nsid unassigned (iproute2 netns name: @u)\n",
        must("ours", words_of "netns list-id target-nsid 0"))
      assert.equal(expand '[{"nsid":1,"name":"@u"}]\n',
        must("ours", words_of "-j netns list-id target-nsid 0"))
    end)

    it("list-id has its target in a batch too", function()
      make("ip", FOO)
      assert.equal(must("ip", words_of "netns list-id target-nsid 12"),
        must("ours", { "-b", "-" }, "netns list-id target-nsid 12"))
      local wrong = run("ours", { "-force", "-b", "-" },
        "netns list-id target-nsid 99\nnetns")
      assert.equal(1, wrong.status)
      assert.equal("", wrong.out)
    end)

    it("-all exec goes on after a signal, and tells with its status", function()
      make("ip", TWO)
      local argv = words_of "-all netns exec sh -c"
      argv[#argv + 1] = "ip netns identify; kill -9 $$"
      local did = run("ours", argv)
      assert.equal(expand "\nnetns: @a\n@a\n\nnetns: @b\n@b\n", did.out)
      assert.equal(1, did.status)
    end)

    it("-force -batch goes on after a signal", function()
      make("ip", TWO)
      local did = run("ours", { "-force", "-b", "-" },
        expand "netns exec @a sh -c 'kill -9 $$'\nnetns exec @a echo next")
      assert.equal("next\n", did.out)
      assert.equal("Command failed -:1\n", did.err)
      assert.equal(1, did.status)
    end)

    it("-batch does each line once, also after a name that is not", function()
      make("ip", TWO)
      local did = run("ours", { "-force", "-b", "-" },
        expand "netns exec @c true\nnetns exec @a echo next")
      assert.equal("next\n", did.out)
      assert.equal(1, did.status)
    end)

    it("-n NAME add makes a namespace, and delete takes it away", function()
      make("ours", "netns add @a;-n @a netns add @b;-n @a netns attach @c 1;"
        .. "netns exec @b true;netns exec @c true")
      assert.equal(expand "@a\n@b\n@c\n",
        sorted(must("ip", { "netns", "list" })))
      make("ours", "-n @a netns del @b;-n @a -all netns del")
      assert.equal("", must("ip", { "netns", "list" }))
    end)

    it("a leftover is told from a namespace", function()
      make("ip", "netns add @a")
      t.must(": >%s", expand "/run/netns/@x")
      local did = run("ours", { "netns" })
      assert.equal(expand "@a\n@x\n", did.out)
      assert.equal(expand '"/run/netns/@x" is not a network namespace\n',
        did.err)
      assert.equal(0, did.status)
      for line, status in pairs {
        ["netns set @x 3"] = 2, ["netns exec @x true"] = 255,
        ["netns pids @x"] = 1, ["-n @x netns"] = 255,
      } do
        did = run("ours", words_of(line))
        assert.equal(status, did.status, line)
        assert.equal("", did.out)
        assert.not_equal("", did.err)
      end
      did = run("ours", words_of "-all netns exec echo x")
      assert.equal(expand "\nnetns: @a\nx\n\nnetns: @x\n", did.out)
      must("ours", words_of "netns delete @x")
      assert.equal(expand "@a\n", must("ip", { "netns" }))
    end)

    it("a name of 255 bytes is one like others", function()
      local name = LONG .. "n"
      must("ip", { "netns", "add", name })
      must("ours", { "netns", "set", name, "5" })
      for line, output in pairs {
        ["netns"] = name .. " (id: 5)\n",
        ["netns list-id"] = ("nsid 5 (iproute2 netns name: %s)\n"):format(name),
        ["-n " .. name .. " netns identify"] = name .. "\n",
        ["netns pids " .. name] = "",
        ["netns exec " .. name .. " ip netns identify"] = name .. "\n",
      } do
        assert.equal(output, must("ours", words_of(line)))
      end
      must("ours", { "netns", "delete", name })
    end)
  end)
end)
