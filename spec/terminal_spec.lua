local netns = require "netns"
local t = require "spec.support"

local plain = t.plain_lua
-- The sanitizers' host does nothing about Ctrl-C, which so ends it.
local catches = t.lua == plain
-- What the terminal shows when the host was interrupted, whose script goes on
-- if it can; the shell does not, if its job has died of Ctrl-C.
local INTERRUPTED = catches and "false%s.*interrupted!\nstatus 0\nouter>$"
  or "%^C\nouter>$"

-- What the terminal shows of the results of exec, printed after "ended:".
local function exited(status)
  return ("ended:%%s+nil%%s+exec [^\n]*: exited with status %d%%s+exit%%s+%d")
    :format(status, status)
end

-- A terminal of 100 columns and 30 rows, which belongs to nobody else, with an
-- interactive shell in it.
local Terminal = {}
Terminal.__index = Terminal

local function open_terminal()
  local self = setmetatable({ dir = t.must "mktemp -d", scripts = 0 }, Terminal)
  self.tmux = ("tmux -S %s/socket"):format(self.dir)
  t.must("%s -f /dev/null new-session -d -x 100 -y 30 "
    .. "'PS1=\"outer>\" exec bash --norc --noprofile'", self.tmux)
  self.server = t.must("%s display-message -p '#{pid}'", self.tmux)
  return self
end

function Terminal:close()
  t.sh("%s kill-server", self.tmux)
  t.eventually(function() return not t.runs(self.server) end)
  t.must("rm -r %s", self.dir)
end

Terminal.__close = Terminal.close

function Terminal:screen()
  return t.must("%s capture-pane -p -J -S -500", self.tmux)
    :gsub("[ \t]*\n", "\n"):gsub("%s+$", "")
end

-- Waits until the screen shows the pattern; its captures.
function Terminal:shows(pattern)
  local found
  local ok = pcall(t.eventually, function()
    found = t.pack(self:screen():match(pattern))
    return found[1]
  end)
  if not ok then
    error(("%q is not on the screen:\n%s"):format(pattern, self:screen()), 2)
  end
  return t.unpack(found, 1, found.n)
end

function Terminal:keys(...)
  t.must("%s send-keys %s", self.tmux, table.concat({ ... }, " "))
end

function Terminal:type(text)
  t.must("%s send-keys -l -- %s", self.tmux, t.quote(text))
  self:keys "Enter"
end

-- Runs a Lua script as a job of the shell.
function Terminal:run(script)
  self.scripts = self.scripts + 1
  local path = ("%s/%d.lua"):format(self.dir, self.scripts)
  t.write(path, ("package.path, package.cpath = %q, %q\n")
    :format(package.path, package.cpath) .. [[
    local netns = require "netns"
    local ns = assert(netns.new())
    local function sh(script, opts)
      return ns:exec({ "sh", "-c", script }, opts)
    end
  ]] .. script)
  self:type(("%s %s; echo status $?"):format(t.lua, path))
end

-- What the kernel says of a process: its state, its process group, and the one
-- in the foreground of its terminal. Nothing if it is gone.
local function process(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  local state, group, foreground =
    text:match "%) (%a) %d+ (%d+) %d+ %d+ (%-?%d+)"
  return state, tonumber(group), tonumber(foreground)
end

local function gone(pid)
  t.eventually(function() return not t.runs(pid) end)
end

describe("in a terminal #novalgrind", function()
  t.guard(before_each, after_each)

  local function test(title, body)
    it(title, function()
      local terminal = t.keep(open_terminal())
      terminal:shows "outer>$"
      terminal:type "ulimit -c 0"
      body(terminal)
    end)
  end

  test("exec gives an interactive shell its job control", function(terminal)
    terminal:run [[
      print("ended:", ns:exec { "env", "PS1=inner>", "bash", "--norc",
        "--noprofile" })
    ]]
    terminal:shows "inner>$"
    assert.not_matches("job control", terminal:screen())
    terminal:type "echo in: $(readlink /proc/self/ns/net)"
    assert.not_equal(t.must "readlink /proc/self/ns/net",
      terminal:shows "in: (net:%[%d+%])\n")
    terminal:type "sleep 1000 & jobs"
    terminal:shows "%[1%]%+%s+Running%s+sleep 1000"
    terminal:type "fg; echo left: $?"
    terminal:shows "\nsleep 1000$"
    terminal:keys "C-z"
    terminal:shows "%[1%]%+%s+Stopped%s+sleep 1000"
    terminal:type "bg; kill -9 %1; wait %1; echo \"<$?>\""
    terminal:shows "<137>\n.*inner>$"
    -- what was in front of the inner shell alone gets the keys
    terminal:type "sh -c 'echo front; exec sleep 1000'; echo \"<$?>\""
    terminal:shows "\nfront$"
    terminal:keys "C-c"
    terminal:type "echo \"<$?>\""
    terminal:shows "<130>"
    terminal:type "exit 5"
    terminal:shows("\n" .. exited(5) .. "\nstatus 0\nouter>$")
  end)

  -- neither can give the terminal back to the host's process group
  for who, shell in pairs {
    ["a shell in a lab"] = [[
      local topology = require "netns.topology"
      ns = assert(topology.build { links = { "a -- b" } }).a]],
    ["a shell that is killed"] = "",
  } do
    test(who .. " leaves the terminal to the host", function(terminal)
      terminal:run(shell .. [[

        print("ended:", ns:exec { "env", "PS1=inner>", "bash", "--norc",
          "--noprofile" })
        io.write "say> "
        print("heard", io.read())
      ]])
      terminal:shows "inner>$"
      terminal:type "sh -c 'echo front; exec sleep 1000'"
      terminal:shows "\nfront$"
      terminal:keys "C-z"
      terminal:shows "Stopped.*inner>$"
      terminal:type "kill -9 %1; exit; kill -9 $$; exit"
      terminal:shows "ended:.*say>$"
      terminal:type "hello"
      terminal:shows "\nheard%s+hello\nstatus 0\nouter>$"
    end)
  end

  test("a program sees the size of the window, and its changes",
    function(terminal)
      terminal:run [[
        sh "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
      ]]
      terminal:shows "\n30 100$"
      t.must("%s resize-window -x 90 -y 20", terminal.tmux)
      terminal:shows "\n20 90$"
      terminal:keys "C-c"
      terminal:shows "outer>$"
    end)

  test("Ctrl-C is the program's, if it lives on", function(terminal)
    terminal:run [[
      print("ended:", sh [=[
        trap 'echo caught' INT
        echo ready
        until [ "$x" = end ]; do read x; done # which Ctrl-C may interrupt
        exit 3
      ]=])
      for _ = 1, 1e6 do end -- here it would come, if it came too late
      print("lives on:", sh "exit 4")
    ]]
    terminal:shows "\nready$"
    terminal:keys "C-c"
    terminal:shows "caught"
    terminal:type "end"
    terminal:shows(exited(3) .. "\n")
    terminal:shows "lives on:%s+nil%s+exit%s+4\nstatus 0\n"
  end)

  test("Ctrl-C and Ctrl-\\ at an interactive Lua leave the host alone",
    function(terminal)
      terminal:run(([[
        print("ended:", ns:exec { %q, "-i" })
        print("ended:", sh "trap 'exit 6' QUIT; echo ready; read x")
      ]]):format(plain))
      terminal:shows "\n>$"
      -- (no hook gets into a loop that LuaJIT has compiled)
      terminal:type("if jit then jit.off() end "
        .. "io.write('loop' .. 'ing\\n') while true do end")
      terminal:shows "\nlooping$"
      terminal:keys "C-c"
      terminal:shows "interrupted!.*\n>$"
      terminal:type "os.exit(7)"
      terminal:shows(exited(7) .. "\nready$")
      terminal:keys "C-\\\\"
      terminal:shows(exited(6) .. "\nstatus 0\nouter>$")
    end)

  test("Ctrl-C at a program that dies of it is an error in the host",
    function(terminal)
      terminal:run [[
        print(pcall(sh, "echo pid $$ runs; exec sleep 1000"))
        print("lives on:", sh "exit 4")
      ]]
      local pid = terminal:shows "pid (%d+) runs"
      terminal:keys "C-c"
      if catches then
        terminal:shows "\n^Cfalse%s.*interrupted!\nlives on:%s+nil%s+exit%s+4\n"
        terminal:shows "status 0\nouter>$"
      else
        terminal:shows(INTERRUPTED)
      end
      gone(pid)
    end)

  test("Ctrl-C at a capture is an error too, and Ctrl-\\ ends the host",
    function(terminal)
      terminal:run [[
        print(pcall(ns.capture, ns,
          { "sh", "-c", "echo pid $$ runs >&2; exec sleep 1000" },
          { stderr = "inherit" }))
      ]]
      local pid = terminal:shows "pid (%d+) runs"
      terminal:keys "C-c"
      terminal:shows(INTERRUPTED)
      gone(pid)
      terminal:run [[
        print(pcall(sh, "echo second $$ runs; exec sleep 1000"))
      ]]
      pid = terminal:shows "second (%d+) runs"
      terminal:keys "C-\\\\"
      terminal:shows "status 131\nouter>$"
      gone(pid)
    end)

  test("Ctrl-Z stops host and program together, and fg goes on with them",
    function(terminal)
      terminal:run [[
        print("ended:", sh "echo $PPID runs $$ here; read x; echo got $x")
      ]]
      local host, program = terminal:shows "(%d+) runs (%d+) here"
      local _, group, foreground = process(program)
      assert.equal(foreground, group)
      for _ = 1, 2 do
        terminal:keys "C-z"
        terminal:shows "Stopped[^\n]*\n.-outer>$"
        assert.equal("T", (process(host)))
        assert.equal("T", (process(program)))
        terminal:type "fg"
        t.eventually(function()
          return process(host) == "S" and process(program) == "S"
        end)
      end
      terminal:type "hello"
      terminal:shows "got hello\nended:%s+true%s+exit%s+0\n"
    end)

  test("top runs, and leaves the terminal as it was", function(terminal)
    terminal:type(("stty -a >%s/before"):format(terminal.dir))
    terminal:run [[print("ended:", ns:exec { "top" })]]
    terminal:shows "[Ll]oad average"
    terminal:keys "q"
    terminal:shows "ended:%s+true%s+exit%s+0\nstatus 0\nouter>$"
    terminal:type(("stty -a | diff %s/before - && echo the same")
      :format(terminal.dir))
    terminal:shows "\nthe same\n"
  end)

  test("capture leaves the program the terminal's input", function(terminal)
    terminal:run [[
      local result = ns:capture({ "sh", "-c", "echo ask >&2; read x; echo $x" },
        { stderr = "inherit" })
      print(("answer: %q"):format(result.stdout))
    ]]
    terminal:shows "\nask$"
    terminal:type "word"
    terminal:shows "answer: \"word\\\n\"\nstatus 0"
  end)

  test("spawn starts a background job", function(terminal)
    terminal:run [[
      local function spawn(script) return ns:spawn { "sh", "-c", script } end
      local sleeper = spawn "echo sleeper $$ runs; exec sleep 1000"
      io.read()
      local reader = spawn "echo reader $$ runs; exec cat"
      io.read()
      print("after that:", sh [=[
        trap 'echo caught' INT
        echo ready
        until [ "$x" = end ]; do read x; done # which Ctrl-C may interrupt
      ]=])
      print("still:", sleeper:wait(0))
      print("still:", reader:wait(0))
      reader:close()
      sleeper:close()
    ]]
    local sleeper = terminal:shows "sleeper (%d+) runs"
    terminal:keys "Enter"
    local reader = terminal:shows "reader (%d+) runs"
    t.eventually(function() return process(reader) == "T" end)
    for _, pid in ipairs { sleeper, reader } do
      local _, group, foreground = process(pid)
      assert.equal(tonumber(pid), group)
      assert.not_equal(tonumber(pid), foreground)
    end
    terminal:keys "Enter" -- the terminal is still the host's
    terminal:shows "\nready$"
    terminal:keys "C-c"
    terminal:shows "caught"
    terminal:type "end"
    terminal:shows "after that:%s+true%s+exit%s+0\n"
    local _, still = terminal:screen():gsub("still:%s+nil[^\n]*still runs", "")
    assert.equal(2, still)
    terminal:shows "status 0\n"
    gone(sleeper)
    gone(reader)
  end)

  test("exec with a timeout is a background job, too", function(terminal)
    terminal:run [[
      local script = "echo pid $$ runs; exec %s"
      print("ended:", sh(script:format "sleep 1000", { timeout = 0.5 }))
      print("ended:", sh(script:format "cat", { timeout = 0.5 }))
      print("ended:", sh("exit 9", { timeout = 100 }))
      print("ended:", io.read())
    ]]
    local first, second = terminal:shows(
      "pid (%d+) runs\nended:%s+nil%s+exec [^\n]*ended after 0.5 s%s+110\n"
      .. "pid (%d+) runs\nended:%s+nil%s+exec [^\n]*ended after 0.5 s%s+110\n"
      .. exited(9) .. "$")
    gone(first)
    gone(second)
    terminal:type "typed"
    terminal:shows "ended:%s+typed\nstatus 0\nouter>$"
  end)

  test("Ctrl-C ends what a timeout would have ended", function(terminal)
    terminal:run [[
      print(pcall(sh, "sleep 1000 & echo pids $$ $! run; wait",
        { timeout = 1000 }))
    ]]
    local program, child = terminal:shows "pids (%d+) (%d+) run"
    local host = t.must("ps -o ppid= -p %d", program)
    t.eventually(function() return process(host) == "S" end)
    terminal:keys "C-c"
    terminal:shows(INTERRUPTED)
    gone(program)
    gone(child)
  end)

  test("a program ends with its terminal, even one that ignores it",
    function(terminal)
      terminal:run [[sh "trap '' HUP; echo pid $$ runs; exec sleep 1000"]]
      local pid = terminal:shows "pid (%d+) runs"
      t.must("%s kill-server", terminal.tmux)
      gone(pid)
    end)

  -- Namespaces for a test of all of them.
  local function names(count)
    local list = {}
    for i = 1, count do
      list[i] = t.name()
      assert(netns.add(list[i])):close()
    end
    return list
  end

  test("all.exec lets one after the other read", function(terminal)
    names(2)
    terminal:run [[
      local results = netns.all.exec { "sh", "-c", "read x; echo got $x" }
      print("ended:", results[1].ok, results[2].ok)
    ]]
    terminal:shows "\nnetns: [^\n]+$"
    terminal:type "one"
    terminal:shows "got one\n\nnetns: [^\n]+$"
    terminal:type "two"
    terminal:shows "got two\nended:%s+true%s+true\n"
    netns.all.delete()
  end)

  for jobs = 1, 3 do
    test(("Ctrl-C ends all of all.exec, %d at a time"):format(jobs),
      function(terminal)
        names(4)
        terminal:run(([[
          print(pcall(netns.all.exec,
            { "sh", "-c", "echo pid $$ runs; exec sleep 1000" },
            { jobs = %d, quiet = true }))
        ]]):format(jobs))
        terminal:shows(("pid %d+ runs[^p]+"):rep(jobs):sub(1, -6))
        local host = t.must("pgrep -f '^%s %s/1.lua'",
          t.lua:gsub("%.", "[.]"), terminal.dir)
        t.eventually(function() return process(host) == "S" end)
        terminal:keys "C-c"
        terminal:shows(INTERRUPTED)
        local count = 0
        for pid in terminal:screen():gmatch "pid (%d+) runs" do
          count = count + 1
          gone(pid)
        end
        assert.equal(jobs, count)
        netns.all.delete()
      end)
  end

  test("Ctrl-C ends all that run at once, though one has an answer to it",
    function(terminal)
      local list = names(3)
      -- as ping has: the first to end does so by itself
      terminal:run(([[
        print(pcall(netns.all.exec, { "sh", "-c", "case $(ip netns identify $$)"
          .. " in %s) trap 'exit 0' INT; echo runs; while :; do sleep 0.05;"
          .. " done;; *) trap 'sleep 0.5; trap - INT; kill -INT $$' INT;"
          .. " echo runs; while :; do sleep 0.05; done;; esac" },
          { jobs = 2, quiet = true }))
      ]]):format(list[1]))
      terminal:shows "runs\nruns$"
      terminal:keys "C-c"
      terminal:shows(INTERRUPTED)
      local _, count = terminal:screen():gsub("\nruns", "")
      assert.equal(2, count)
      netns.all.delete()
    end)
end)
