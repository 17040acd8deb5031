--- Policy rules; what else concerns them is in C.
-- @module netns

local check = require "netns.check"
local core = require "netns.core"

local rules = {}

-- What the kernel works out.
local STATE = { unresolved = true, iif_detached = true, oif_detached = true }

-- The fields that the kernel compares when it looks for the rule to delete,
-- where they are not the value that means none. It compares neither `invert`
-- nor `target`, nor `realms` where it is built without.
local SELECTORS = {
  "action", "table", "from", "to", "tos", "fwmark", "fwmask", "iif", "oif",
  "ipproto", "sport", "dport", "uidrange", "suppress_prefixlength",
  "suppress_ifgroup", "protocol", "tun_id", "l3mdev", "dscp", "flowlabel",
}
local NONE = { all = true, unspec = true, [0] = true }

-- Whether a table is a row of `rules`, which is one rule and no other.
local function is_row(rule)
  return type(rule) == "table" and rule.family and rule.priority
    and rule.action and rule.protocol and rule.from and rule.to and true
end

local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not STATE[key] and not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if not STATE[key] and a[key] == nil then return false end
  end
  return true
end

-- Whether the kernel could take `other` for the rule.
local function agrees(rule, other)
  for _, field in ipairs(SELECTORS) do
    local value = rule[field]
    if value ~= nil and not NONE[value] and value ~= other[field] then
      return false
    end
  end
  return true
end

-- The place of the rule in the list, and whether the kernel takes another one
-- for it that stands before.
local function find(list, rule)
  local hidden = false
  for i, other in ipairs(list) do
    if equal(rule, other) then return i, hidden end
    hidden = hidden or agrees(rule, other)
  end
end

local function restore(NS, list, except)
  for i, rule in ipairs(list) do
    if i ~= except then
      local ok, message, errno = core.rule_add(NS, rule, true)
      if not ok then return nil, message, errno end
    end
  end
  return true
end

-- Deletes all the rules of one priority, in their order, so that each is the
-- first of its priority when it goes, and adds them again but for one.
local function delete_hidden(NS, list, index)
  for _, rule in ipairs(list) do
    if rule.unknown then
      return nil, ("rule_delete %s: another rule of priority %d comes first, "
        .. "and has an attribute that cannot be written")
        :format(core.label(NS), rule.priority), core.errno.EOPNOTSUPP
    end
  end
  local gone = {}
  for i, rule in ipairs(list) do
    local ok, message, errno = core.rule_delete(NS, rule)
    if not ok then
      restore(NS, gone)
      return nil, message, errno
    end
    gone[i] = rule
  end
  return restore(NS, list, index)
end

-- What kernels before 6.14 or 6.15 pass over without an error, and the masks
-- that leave nothing out, which are not listed.
local NEWER = { "dscp", "flowlabel", "sport_mask", "dport_mask", "dscp_mask",
  "flowlabel_mask" }
local ALL = { sport_mask = 0xffff, dport_mask = 0xffff, dscp_mask = 0x3f,
  flowlabel_mask = 0xfffff }

-- The newer field of the rule that the row lacks.
local function passed_over(rule, row)
  for _, field in ipairs(NEWER) do
    local value = rule[field]
    if value ~= nil and value ~= ALL[field] and row[field] ~= value then
      return field
    end
  end
end

-- Looks whether the kernel has taken all of a rule that was added; if not, the
-- rule is deleted again.
local function verify(NS, rule, added)
  local priority = added == true and rule.priority or added
  local list, message, errno = core.rules(NS, { priority = priority })
  if not list then return nil, message, errno end
  local row = list[#list]
  local field = row and passed_over(rule, row)
  if not field then return added end
  local ok
  ok, message, errno = rules.rule_delete(NS, row)
  if not ok then return nil, message, errno end
  return nil, ("rule_add %s: this kernel has no rules with '%s'")
    :format(core.label(NS), field), core.errno.EOPNOTSUPP
end

-- Adds a row of `rules`, unless it is there. The kernel would take one that has
-- more selectors for it.
local function add_row(NS, rule)
  local list, message, errno =
    core.rules(NS, { family = rule.family, priority = rule.priority })
  if not list then return nil, message, errno end
  if find(list, rule) then
    return nil, ("rule_add %s: priority %s: it is there already"):format(
      core.label(NS), tostring(rule.priority)), core.errno.EEXIST
  end
  return core.rule_add(NS, rule, true)
end

--- Adds a policy rule: `ip -n NAME rule add …`.
-- @function rule_add
-- @param NS
-- @tparam table rule `from`, `to`, `fwmark` (an integer, or with a mask
-- `"1/0xff"`), `iif`, `oif`, `table` (default `"main"`), `priority` (default:
-- the kernel chooses one before all others but the first), and every other
-- field that @{rules} lists; `family` is by default that of the addresses, or
-- `inet`. The fields that the kernel works out (`unresolved`, `iif_detached`,
-- `oif_detached`) are passed over.
-- @treturn[1] boolean|integer true, or the priority that the kernel has chosen
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: EEXIST; EINVAL, also for a rule without any field
-- but `family`, which would match every packet; EOPNOTSUPP for a field that
-- this kernel does not have, and for a row with `unknown`
function rules.rule_add(NS, rule)
  check.namespace("rule_add", NS)
  local add = is_row(rule) and add_row or core.rule_add
  local added, message, errno = add(NS, rule)
  if not added then return nil, message, errno end
  for _, field in ipairs(NEWER) do
    if rule[field] ~= nil then return verify(NS, rule, added) end
  end
  return added
end

--- Deletes a policy rule: `ip -n NAME rule delete …`.
-- @function rule_delete
-- @param NS
-- @tparam table rule a row of @{rules}, which deletes that rule and no other;
-- or fields as for @{rule_add}, which delete the first rule that matches every
-- given field. A field that is not given, or whose value means none (`"all"`,
-- a `fwmark` of 0), matches every rule, and so do `invert` and `target`, which
-- the kernel does not compare. Where the kernel would take another rule of the
-- same priority for the row, the rules of that priority are deleted and added
-- again, in their order.
-- @treturn[1] boolean true
-- @return[2] nil
-- @treturn[2] string message
-- @treturn[2] integer errno: ENOENT; EINVAL if every rule would match;
-- EOPNOTSUPP if a rule that has to be added again cannot be
function rules.rule_delete(NS, rule)
  check.namespace("rule_delete", NS)
  if not is_row(rule) then return core.rule_delete(NS, rule) end
  local list, message, errno =
    core.rules(NS, { family = rule.family, priority = rule.priority })
  if not list then return nil, message, errno end
  local index, hidden = find(list, rule)
  if not index then
    return nil, ("rule_delete %s: priority %s: no such rule"):format(
      core.label(NS), tostring(rule.priority)), core.errno.ENOENT
  end
  if not hidden then return core.rule_delete(NS, list[index]) end
  return delete_hidden(NS, list, index)
end

return rules
