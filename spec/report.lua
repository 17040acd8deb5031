-- For busted's --output: prints what busted prints by itself, then a block of
-- lines for spec/sum:
--
--   skipped: REASON        for each reason why tests were skipped, once
--   failed: FILE           for each spec file with a failure
--   N passed, N failed, N skipped
--
-- A test that is skipped without a reason counts as a failure.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.plainTerminal"(options)
  local reasons, files, unexplained = {}, {}, 0

  -- An array that is a set, too.
  local function insert(set, value)
    if not set[value] then
      set[value] = true
      set[#set + 1] = value
    end
  end

  local function fail(element)
    while element and element.descriptor ~= "file" do
      element = busted.parent(element)
    end
    if element then insert(files, element.name) end
    return nil, true
  end

  busted.subscribe({ "failure" }, fail)
  busted.subscribe({ "error" }, fail)
  busted.subscribe({ "suite", "end" }, function()
    for _, skip in ipairs(handler.pendings) do
      local reason = type(skip.message) == "string" and skip.message or ""
      reason = reason:gsub("^[^:%s]+:%d+: ", ""):gsub("%s+", " ")
      if reason:find "%S" then
        insert(reasons, reason)
      else
        unexplained = unexplained + 1
        print("skipped without a reason: " .. skip.name)
        insert(files, skip.trace.short_src)
      end
    end
    for _, reason in ipairs(reasons) do print("skipped: " .. reason) end
    for _, file in ipairs(files) do print("failed: " .. file) end
    print(("%d passed, %d failed, %d skipped"):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount + unexplained,
      handler.pendingsCount - unexplained))
    io.stdout:flush()
    return nil, true
  end)

  return handler
end
