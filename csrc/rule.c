/***
rule.c: policy rules, as `ip rule` has them.
@module netns
*/
#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "kernel.h"
#include "netns.h"

static const nn_name actions[] = {{"lookup", FR_ACT_TO_TBL},
                                  {"goto", FR_ACT_GOTO},
                                  {"nop", FR_ACT_NOP},
                                  {"blackhole", FR_ACT_BLACKHOLE},
                                  {"unreachable", FR_ACT_UNREACHABLE},
                                  {"prohibit", FR_ACT_PROHIBIT},
                                  {NULL, 0}};

/* Those of /etc/protocols that one makes rules for. */
static const nn_name ipprotos[] = {{"icmp", IPPROTO_ICMP},
                                   {"igmp", IPPROTO_IGMP},
                                   {"tcp", IPPROTO_TCP},
                                   {"udp", IPPROTO_UDP},
                                   {"dccp", IPPROTO_DCCP},
                                   {"gre", IPPROTO_GRE},
                                   {"esp", IPPROTO_ESP},
                                   {"ah", IPPROTO_AH},
                                   {"sctp", IPPROTO_SCTP},
                                   {"ospf", 89},
                                   {"ipv6-icmp", IPPROTO_ICMPV6},
                                   {"udplite", IPPROTO_UDPLITE},
                                   {NULL, 0}};

/* The masks that leave nothing out. */
#define DSCP_ALL 0x3f
#define FLOWLABEL_ALL 0xfffff

static const nn_name groups[] = {{"default", 0}, {NULL, 0}};

static const nn_field fields[] = {
    {"priority", FRA_PRIORITY, NN_U32, NN_SETTING, NULL},
    {"fwmark", FRA_FWMARK, NN_U32, NN_STATE, NULL}, /* written by put_mark */
    {"fwmask", FRA_FWMASK, NN_U32, NN_SETTING, NULL},
    {"iif", FRA_IIFNAME, NN_IFNAME, NN_SETTING, NULL},
    {"oif", FRA_OIFNAME, NN_IFNAME, NN_SETTING, NULL},
    {"table", FRA_TABLE, NN_NAME32, NN_SETTING, nn_tables},
    {"target", FRA_GOTO, NN_U32, NN_SETTING, NULL},
    {"ipproto", FRA_IP_PROTO, NN_NAME8, NN_SETTING, ipprotos},
    {"sport", FRA_SPORT_RANGE, NN_RANGE16, NN_SETTING, NULL},
    {"dport", FRA_DPORT_RANGE, NN_RANGE16, NN_SETTING, NULL},
    {"uidrange", FRA_UID_RANGE, NN_RANGE32, NN_SETTING, NULL},
    {"suppress_prefixlength", FRA_SUPPRESS_PREFIXLEN, NN_S32, NN_SETTING, NULL},
    {"suppress_ifgroup", FRA_SUPPRESS_IFGROUP, NN_NAME32, NN_SETTING, groups},
    {"protocol", FRA_PROTOCOL, NN_NAME8, NN_SETTING, nn_protocols},
    {"realms", FRA_FLOW, NN_REALMS, NN_SETTING, NULL},
    {"tun_id", FRA_TUN_ID, NN_BE64, NN_SETTING, NULL},
    {"sport_mask", NN_FRA_SPORT_MASK, NN_U16, NN_SETTING, NULL},
    {"dport_mask", NN_FRA_DPORT_MASK, NN_U16, NN_SETTING, NULL},
    {"dscp", NN_FRA_DSCP, NN_U8, NN_SETTING, NULL},
    {"dscp_mask", NN_FRA_DSCP_MASK, NN_U8, NN_SETTING, NULL},
    {"flowlabel", NN_FRA_FLOWLABEL, NN_BE32, NN_SETTING, NULL},
    {"flowlabel_mask", NN_FRA_FLOWLABEL_MASK, NN_BE32, NN_SETTING, NULL},
    {"l3mdev", FRA_L3MDEV, NN_BOOL, NN_STATE, NULL}, /* by put_flags */
    {"from", FRA_SRC, NN_OTHER, NN_SETTING, NULL},
    {"to", FRA_DST, NN_OTHER, NN_SETTING, NULL},
    {"padding", FRA_PAD, NN_OTHER, NN_STATE, NULL},
    {.name = NULL}};

/* The kernel takes it for true only. */
static const nn_field l3mdev_field[] = {
    {"l3mdev", FRA_L3MDEV, NN_BOOL, NN_SETTING, NULL}, {.name = NULL}};

static const nn_field head_fields[] = {
    {"family", offsetof(struct fib_rule_hdr, family), NN_NAME8, NN_SETTING,
     nn_families},
    {"action", offsetof(struct fib_rule_hdr, action), NN_NAME8, NN_SETTING,
     actions},
    {.name = NULL}};

static const nn_field tos_field[] = {
    {"tos", offsetof(struct fib_rule_hdr, tos), NN_U8, NN_SETTING, NULL},
    {.name = NULL}};

static const nn_name flags[] = {{"invert", FIB_RULE_INVERT},
                                {"unresolved", FIB_RULE_UNRESOLVED},
                                {"iif_detached", FIB_RULE_IIF_DETACHED},
                                {"oif_detached", FIB_RULE_OIF_DETACHED},
                                {NULL, 0}};

/* Takes the names of the fields; `others` are those that are described by no
   table. */
static void check(const nn_codec *codec, int table) {
  static const nn_field *const known[] = {fields, head_fields, tos_field, NULL};
  static const char *const others[] = {
      "from",       "to",           "fwmark",       "invert",
      "unresolved", "iif_detached", "oif_detached", NULL};
  nn_fields_check(codec, table, known, others);
}

/* --- reading ------------------------------------------------------------- */

/* "all", "10.0.0.1" or "10.0.0.0/8", as the field `name`. */
static void push_prefix(lua_State *L, const struct nlmsghdr *msg, int type,
                        uint8_t len, const char *name) {
  char text[INET6_ADDRSTRLEN];
  const struct fib_rule_hdr *head = nlmsg_data(msg);
  const struct nlattr *attr =
      nlmsg_find_attr((struct nlmsghdr *)msg, sizeof *head, type);
  const int size = head->family == AF_INET ? 4 : 16;
  if (attr == NULL || nla_len(attr) != size) {
    lua_pushliteral(L, "all");
  } else {
    inet_ntop(head->family, nla_data(attr), text, sizeof text);
    if (len == size * 8)
      lua_pushstring(L, text);
    else
      lua_pushfstring(L, "%s/%d", text, (int)len);
  }
  lua_setfield(L, -2, name);
}

/* Takes a field away that has the value which means none. */
static void drop(lua_State *L, const char *name, lua_Integer none) {
  if (lua_getfield(L, -1, name) == LUA_TNUMBER &&
      lua_tointeger(L, -1) == none) {
    lua_pushnil(L);
    lua_setfield(L, -3, name);
  }
  lua_pop(L, 1);
}

static bool push_rule(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct fib_rule_hdr *head = nlmsg_data(msg);
  const struct nlattr *attrs = nlmsg_attrdata(msg, sizeof *head);
  const int len = nlmsg_attrlen(msg, sizeof *head);
  if (head->family != AF_INET && head->family != AF_INET6)
    return false; /* of multicast routing */
  lua_createtable(L, 0, 8);
  lua_pushinteger(L, 0); /* where the kernel says nothing */
  lua_setfield(L, -2, "priority");
  nn_head_read(codec, head_fields, head);
  if (head->tos != 0)
    nn_head_read(codec, tos_field, head);
  push_prefix(L, msg, FRA_SRC, head->src_len, "from");
  push_prefix(L, msg, FRA_DST, head->dst_len, "to");
  for (const nn_name *flag = flags; flag->text != NULL; flag++)
    if (head->flags & flag->value) {
      lua_pushboolean(L, true);
      lua_setfield(L, -2, flag->text);
    }
  if (nla_find(attrs, len, FRA_FWMASK) != NULL) {
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "fwmark");
  }
  nn_fields_read(codec, fields, attrs, len);
  drop(L, "table", RT_TABLE_UNSPEC);
  drop(L, "fwmask", UINT32_MAX);
  drop(L, "suppress_prefixlength", -1);
  drop(L, "sport_mask", UINT16_MAX);
  drop(L, "dport_mask", UINT16_MAX);
  drop(L, "dscp_mask", DSCP_ALL);
  drop(L, "flowlabel_mask", FLOWLABEL_ALL);
  return true;
}

/* The kernel resumes a dump of rules, as one of neighbours, by counting, and
   does not say that it was interrupted (Linux 6.18): of more than a datagram
   holds, some 250, one may be missing or there twice if rules come and go
   meanwhile. */

/* What rows have besides. */
static const nn_field row_fields[] = {
    {"from", 0, NN_PREFIX, NN_STATE, "all"},
    {"to", 0, NN_PREFIX, NN_STATE, "all"},
    {"invert", 0, NN_BOOL, NN_STATE, NULL},
    {"unresolved", 0, NN_BOOL, NN_STATE, NULL},
    {"iif_detached", 0, NN_BOOL, NN_STATE, NULL},
    {"oif_detached", 0, NN_BOOL, NN_STATE, NULL},
    {.name = NULL}};

static nn_spelling spell_rule(const nn_codec *codec, const char *key, int nth) {
  static const nn_field *const lists[] = {
      fields, l3mdev_field, head_fields, tos_field, row_fields, NULL};
  const nn_spelling spelling =
      nn_fields_spell(codec, lists, key, nth);
  if (spelling == NN_SPELT && strcmp(key, "fwmask") == 0 &&
      lua_tonumber(codec->L, -1) == UINT32_MAX)
    lua_pushboolean(codec->L, false); /* rows have no mask of all bits */
  return spelling;
}

/* The number that is all of `text` up to `end`, as C has them. */
static bool parse_mark(const char *text, const char *end, uint32_t *value) {
  char *stop;
  if (strchr("0123456789", text[0]) == NULL || text == end)
    return false;
  errno = 0;
  const unsigned long long number = strtoull(text, &stop, 0);
  *value = (uint32_t)number;
  return errno == 0 && number <= UINT32_MAX && stop == end;
}

/* Takes the text "1/0xff" in the filter on top apart. */
static bool split_mark(const nn_codec *codec) {
  lua_State *L = codec->L;
  const int filter = lua_gettop(L);
  uint32_t mark, mask = UINT32_MAX;
  size_t len;
  if (lua_getfield(L, filter, "fwmark") == LUA_TSTRING) {
    const char *text = lua_tolstring(L, -1, &len), *slash = strchr(text, '/');
    if (!parse_mark(text, slash != NULL ? slash : text + len, &mark) ||
        (slash != NULL && !parse_mark(slash + 1, text + len, &mask)))
      return nn_refuse(codec, EINVAL, "fwmark", text);
    lua_pushinteger(L, mark);
    lua_setfield(L, filter, "fwmark");
    if (slash != NULL) {
      lua_pushinteger(L, mask);
      lua_setfield(L, filter, "fwmask");
    }
  }
  lua_settop(L, filter);
  return true;
}

/***
The policy rules of a namespace: `ip -n NAME rule` and `ip -6 -n NAME rule`.
@function rules
@param NS
@tparam[opt] table filter fields that a rule has to have, such as
`{ family = "inet6", table = "main" }`
@treturn[1] {table,...} those of IPv4 and then those of IPv6, each in the order
of their priorities, with the words of `ip rule add`: `family` (`inet`,
`inet6`), `priority`, `from` and `to` (`"all"`, an address, or a prefix such as
`"10.0.0.0/8"`), `action` (`lookup`, `blackhole`, `unreachable`, `prohibit`,
`goto`, `nop`), `table` (`"local"`, `"main"`, `"default"` or a number),
`protocol`, and where the rule has them `fwmark` and `fwmask` (integers), `iif`,
`oif`, `tos`, `ipproto` (`"tcp"`, or a number), `sport`, `dport` and `uidrange`
(integers, or `"1000-2000"`), `suppress_prefixlength`, `suppress_ifgroup`,
`target` (the priority to go to), `l3mdev=true`, `invert=true` (`not`), `realms`
(an integer, or `"1/3"` with that of the source), `tun_id`, `dscp`, `flowlabel`,
and the masks `sport_mask`, `dport_mask`, `dscp_mask`, `flowlabel_mask` where
they leave something out; `iif_detached=true`, `oif_detached=true`,
`unresolved=true` for a link or a target that is not there; an attribute without
a name here is in `unknown`, by its number, in hexadecimal
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int rule_list(lua_State *L) {
  static const char *const prefixes[] = {"from", "to", NULL};
  struct fib_rule_hdr head = {.family = AF_UNSPEC};
  nn_codec codec;
  lua_settop(L, 2);
  if (!lua_isnil(L, 2))
    nn_arg_table(L, 2, "rules", "filter");
  nn_ns *ns = nn_codec_open(L, "rules", &codec);
  if (ns == NULL)
    return 3;
  nn_filter_copy(L, 2, prefixes);
  if (!split_mark(&codec) || !nn_filter_push(&codec, 3, spell_rule)) {
    nn_ns_done(ns);
    return 3;
  }
  struct nl_msg *msg = nn_msg_push(L, RTM_GETRULE, NLM_F_DUMP);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  return nn_dump(&codec, ns, msg, push_rule, 4);
}

/* --- writing ------------------------------------------------------------- */

/* The prefix in the field `name`, whose family is that of the rule. */
static bool put_prefix(const nn_codec *codec, const char *name, int type,
                       struct nl_msg *msg, struct fib_rule_hdr *head,
                       uint8_t *len) {
  lua_State *L = codec->L;
  nn_prefix prefix;
  size_t size;
  int is = lua_getfield(L, 2, name);
  if (is == LUA_TNIL)
    return true;
  if (is != LUA_TSTRING)
    nn_wrong_type(codec, name, "string");
  const char *text = lua_tolstring(L, -1, &size);
  if (size == 3 && strcmp(text, "all") == 0)
    return true;
  int err = nn_parse_prefix(text, size, &prefix);
  if (err == 0 && head->family != AF_UNSPEC && head->family != prefix.family)
    err = EINVAL;
  if (err != 0)
    return nn_refuse(codec, err, name, text);
  head->family = (uint8_t)prefix.family;
  *len = (uint8_t)prefix.len;
  return prefix.len == 0 || nla_put(msg, type, prefix.size, prefix.bytes) == 0;
}

/* `fwmark`: an integer, or text with a mask behind a slash. */
static bool put_mark(const nn_codec *codec, struct nl_msg *msg) {
  static const nn_field as_number[] = {
      {"fwmark", FRA_FWMARK, NN_U32, NN_SETTING, NULL}, {.name = NULL}};
  lua_State *L = codec->L;
  uint32_t mark, mask;
  size_t len;
  int is = lua_getfield(L, 2, "fwmark");
  if (is == LUA_TNIL || is == LUA_TNUMBER)
    return nn_fields_write(codec, as_number, 2, msg);
  if (is != LUA_TSTRING)
    nn_wrong_type(codec, "fwmark", "integer or string");
  const char *text = lua_tolstring(L, -1, &len), *slash = strchr(text, '/');
  if (!parse_mark(text, slash != NULL ? slash : text + len, &mark) ||
      (slash != NULL && !parse_mark(slash + 1, text + len, &mask)))
    return nn_refuse(codec, EINVAL, "fwmark", text);
  if (slash == NULL)
    return nla_put_u32(msg, FRA_FWMARK, mark) == 0;
  if (lua_getfield(L, 2, "fwmask") != LUA_TNIL)
    return nn_refuse(codec, EINVAL, "fwmark", text);
  return nla_put_u32(msg, FRA_FWMARK, mark) == 0 &&
         nla_put_u32(msg, FRA_FWMASK, mask) == 0;
}

/* Booleans: the flags, of which the kernel sets all but the first itself. */
static bool put_flags(const nn_codec *codec, struct nl_msg *msg,
                      struct fib_rule_hdr *head) {
  lua_State *L = codec->L;
  if (nn_flag_get(codec, 2, "invert"))
    head->flags |= FIB_RULE_INVERT;
  if (lua_getfield(L, 2, "l3mdev") == LUA_TBOOLEAN && !lua_toboolean(L, -1))
    return true;
  return nn_fields_write(codec, l3mdev_field, 2, msg);
}

/* Writes the rule at 2 into a message; false after a triple. */
static bool put_rule(const nn_codec *codec, struct nl_msg *msg,
                     struct fib_rule_hdr **head) {
  const struct fib_rule_hdr none = {.family = AF_UNSPEC};
  nlmsg_append(msg, (void *)&none, sizeof none, NLMSG_ALIGNTO);
  struct fib_rule_hdr *h = *head = nlmsg_data(nlmsg_hdr(msg));
  if (!nn_head_write(codec, head_fields, 2, msg, h) ||
      !nn_head_write(codec, tos_field, 2, msg, h) ||
      !put_prefix(codec, "from", FRA_SRC, msg, h, &h->src_len) ||
      !put_prefix(codec, "to", FRA_DST, msg, h, &h->dst_len) ||
      !put_mark(codec, msg) || !put_flags(codec, msg, h) ||
      !nn_fields_write(codec, fields, 2, msg))
    return false;
  if (h->family == AF_UNSPEC)
    h->family = AF_INET;
  return true;
}

/* What messages call the rule at 2: `priority 5 from 10.0.0.1`. */
static const char *subject(lua_State *L) {
  static const char *const words[] = {"priority", "from", "to",    "fwmark",
                                      "iif",      "oif",  "table", NULL};
  const char *text = lua_pushliteral(L, "");
  const int top = lua_gettop(L);
  for (const char *const *word = words; *word != NULL; word++) {
    if (lua_getfield(L, 2, *word) != LUA_TNIL) {
      text = lua_pushfstring(L, "%s%s%s %s", text, *text != '\0' ? " " : "",
                             *word, luaL_tolstring(L, -1, NULL));
      lua_replace(L, top);
    }
    lua_settop(L, top); /* as there is not room for all of them */
  }
  return *text != '\0' ? text : "a rule";
}

/* Whether the kernel, in search of a rule, compares it with this attribute. */
static bool tells(const struct nlattr *attr) {
  const char *bytes = nla_data(attr);
  switch (nla_type(attr)) {
  case FRA_PRIORITY:
  case FRA_UID_RANGE:
    return true;
  case FRA_GOTO:
    return false;
  case FRA_SUPPRESS_PREFIXLEN:
  case FRA_SUPPRESS_IFGROUP:
    return nla_get_s32((struct nlattr *)attr) != -1;
  default:
    for (int i = 0; i < nla_len(attr); i++)
      if (bytes[i] != 0)
        return true;
    return false;
  }
}

/* Whether anything tells the rule from the first one, by which a host reaches
   itself, and which the kernel would take away for a rule that says nothing. */
static bool tells_any(struct nl_msg *msg, const struct fib_rule_hdr *head) {
  const struct nlattr *attr = nlmsg_attrdata(nlmsg_hdr(msg), sizeof *head);
  int len = nlmsg_attrlen(nlmsg_hdr(msg), sizeof *head);
  bool any = head->tos != 0 || head->action != FR_ACT_UNSPEC;
  for (; !any && nla_ok(attr, len); attr = nla_next(attr, &len))
    any = tells(attr);
  return any;
}

/* What the kernel would take for a table that is empty. */
static void put_defaults(lua_State *L, struct nl_msg *msg,
                         struct fib_rule_hdr *head) {
  if (head->action == FR_ACT_UNSPEC)
    head->action = FR_ACT_TO_TBL;
  if (head->action == FR_ACT_TO_TBL &&
      lua_getfield(L, 2, "table") == LUA_TNIL &&
      nlmsg_find_attr(nlmsg_hdr(msg), sizeof *head, FRA_L3MDEV) == NULL)
    head->table = RT_TABLE_MAIN;
}

/* Whether the rule at 2 has a field besides its family. */
static bool has_field(lua_State *L) {
  const int top = lua_gettop(L);
  bool any = false;
  lua_pushnil(L);
  while (!any && lua_next(L, 2) != 0) {
    any = strcmp(lua_tostring(L, -2), "family") != 0; /* check() was here */
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return any;
}

/* Adds a rule whose priority the kernel chooses: that priority, or nil, message,
   errno. */
static int add_anywhere(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg,
                        const char *subject) {
  lua_State *L = codec->L;
  nn_ack ack = {.err = 0};
  uint32_t priority = 0; /* where the kernel tells none */
  struct nlmsghdr *request = nlmsg_hdr(msg), *echo;
  request->nlmsg_flags |= NLM_F_ACK | NLM_F_ECHO;
  ack.err = nn_rtnl_send(codec->rtnl, request);
  while (ack.err == 0 &&
         (echo = (struct nlmsghdr *)nn_rtnl_next(codec->rtnl, &ack)) != NULL) {
    const struct nlattr *attr =
        nlmsg_find_attr(echo, sizeof(struct fib_rule_hdr), FRA_PRIORITY);
    if (attr != NULL)
      priority = nla_get_u32(attr);
  }
  nn_ns_done(ns);
  if (ack.err != 0)
    return nn_rtnl_fail(L, &ack, "%s %s: %s", codec->what, nn_ns_label(L, 1),
                        subject);
  lua_pushinteger(L, priority);
  return 1;
}

/* Sends the rule at 2 as a request: true or what the kernel has chosen, or nil,
   message, errno. */
static int change(lua_State *L, const char *what, int type, int how) {
  nn_codec codec;
  struct fib_rule_hdr *head;
  lua_settop(L, 2);
  nn_arg_table(L, 2, what, "rule");
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  check(&codec, 2);
  struct nl_msg *msg = nn_msg_push(L, type, how);
  const bool adds = type == RTM_NEWRULE;
  bool ok = put_rule(&codec, msg, &head);
  if (ok && !(adds ? has_field(L) : tells_any(msg, head))) {
    nn_fail(L, EINVAL, "%s: any rule", what);
    ok = false;
  }
  if (!ok) {
    nn_ns_done(ns);
    return 3;
  }
  if (adds)
    put_defaults(L, msg, head);
  if (adds && nlmsg_find_attr(nlmsg_hdr(msg), sizeof *head, FRA_PRIORITY) ==
                  NULL)
    return add_anywhere(&codec, ns, msg, subject(L));
  return nn_change(&codec, ns, msg, subject(L));
}

/* core.rule_add(NS, rule [, known]): see rules.lua. `known`: it is not there, so
   that the kernel need not look; it takes a rule with more selectors for it. */
static int rule_add(lua_State *L) {
  const int excl = lua_toboolean(L, 3) ? 0 : NLM_F_EXCL;
  return change(L, "rule_add", RTM_NEWRULE, NLM_F_CREATE | excl);
}

/* core.rule_delete(NS, rule): the first that agrees, see rules.lua. */
static int rule_delete(lua_State *L) {
  return change(L, "rule_delete", RTM_DELRULE, 0);
}

void nn_open_rule(lua_State *L) {
  static const luaL_Reg functions[] = {{"rules", rule_list},
                                       {"rule_add", rule_add},
                                       {"rule_delete", rule_delete},
                                       {NULL, NULL}};
  nn_ns_functions(L, functions);
}
