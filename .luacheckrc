std = "lua51+lua52+lua53+lua54"
max_line_length = 80
files["lua"] = { std = "min" } -- no Lua has more than the others there
files["examples"] = { std = "min" }
files["examples/*/*_spec.lua"] = { std = "min+busted" }
files["spec"] = { std = "+busted" }
files["*.rockspec"] = { std = "+rockspec" }
-- what nmap looks for in a script, and tells it
files["examples/nmap"] = {
  globals = {
    "action", "author", "categories", "description", "license", "prerule",
  },
  read_globals = { "SCRIPT_NAME" },
}
files["examples/haproxy"] = { read_globals = { "core" } } -- haproxy's
