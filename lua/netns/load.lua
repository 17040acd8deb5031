-- Loads the library's C, and explains why that is not possible.

-- The whole of a file; "" if it cannot be read.
local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text or ""
end

-- What to do about a message of `require`; nil if that is not known.
local function advice(message)
  local symbol = message:match "undefined symbol: (lua[%w_]+)"
    or message:match "(lua[%w_]+): symbol not found"
  local path = message:match "from file '([^']+)'"
  local built = path
    and read(path):match "netns%.core was built for (Lua %d%.%d)"
  if built and built ~= _VERSION then
    return ("%s was built for %s, and this is %s: build it by make LUA=%s, "
      .. "or have package.cpath find the one that was")
      :format(path, built, _VERSION, _VERSION:match "[%d.]+$")
  elseif not symbol then
    return nil
  end
  local lua = read "/proc/self/maps":match "(/[^\n]*/liblua[^\n/]*%.so[^\n/ ]*)"
  return "this program keeps the functions of its Lua to itself, where no "
    .. "library in C finds them: " .. (lua
    and ("it has loaded them with RTLD_LOCAL. Start it with LD_PRELOAD=%s")
      :format(lua)
    or "it has to be linked with -Wl,--export-dynamic")
end

local ok, core = pcall(require, "netns.core")
if ok then return core end
local help = advice(tostring(core))
error(help and ("%s\n\t%s"):format(core, help) or core, 0)
