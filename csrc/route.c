/***
route.c: routes, as `ip route` has them.
@module netns
*/
#include <errno.h>
#include <linux/icmpv6.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "netns.h"

#define END                                                                    \
  { .name = NULL }

/* --- the fields ---------------------------------------------------------- */

static const nn_name types[] = {
    {"unicast", RTN_UNICAST},     {"local", RTN_LOCAL},
    {"broadcast", RTN_BROADCAST}, {"anycast", RTN_ANYCAST},
    {"multicast", RTN_MULTICAST}, {"blackhole", RTN_BLACKHOLE},
    {"prohibit", RTN_PROHIBIT},   {"unreachable", RTN_UNREACHABLE},
    {"throw", RTN_THROW},         {NULL, 0}};

static const nn_name scopes[] = {
    {"global", RT_SCOPE_UNIVERSE}, {"site", RT_SCOPE_SITE},
    {"link", RT_SCOPE_LINK},       {"host", RT_SCOPE_HOST},
    {"nowhere", RT_SCOPE_NOWHERE}, {NULL, 0}};

static const nn_name selectable_tables[] = {{"all", RT_TABLE_UNSPEC},
                                            {"default", RT_TABLE_DEFAULT},
                                            {"main", RT_TABLE_MAIN},
                                            {"local", RT_TABLE_LOCAL},
                                            {NULL, 0}};

static const nn_name preferences[] = {{"low", ICMPV6_ROUTER_PREF_LOW},
                                      {"medium", ICMPV6_ROUTER_PREF_MEDIUM},
                                      {"high", ICMPV6_ROUTER_PREF_HIGH},
                                      {NULL, 0}};

/* in struct rtmsg */
static const nn_field head_fields[] = {
    {"type", offsetof(struct rtmsg, rtm_type), NN_NAME8, NN_SETTING, types},
    {"protocol", offsetof(struct rtmsg, rtm_protocol), NN_NAME8, NN_SETTING,
     nn_protocols},
    {"scope", offsetof(struct rtmsg, rtm_scope), NN_NAME8, NN_SETTING, scopes},
    END};

/* the same for what a single packet meets, which was made by nobody */
static const nn_field type_field[] = {
    {"type", offsetof(struct rtmsg, rtm_type), NN_NAME8, NN_SETTING, types},
    END};

static const nn_field route_fields[] = {
    {"table", RTA_TABLE, NN_NAME32, NN_SETTING, nn_tables},
    {"link", RTA_OIF, NN_LINK, NN_SETTING, NULL},
    {"metric", RTA_PRIORITY, NN_U32, NN_SETTING, NULL},
    {"pref", RTA_PREF, NN_NAME8, NN_SETTING, preferences},
    END};

/* in RTA_METRICS */
static const nn_field metric_fields[] = {
    {"mtu", RTAX_MTU, NN_U32, NN_SETTING, NULL}, END};

/* in struct rtnexthop */
static const nn_field hop_fields[] = {{"link",
                                       offsetof(struct rtnexthop, rtnh_ifindex),
                                       NN_LINK, NN_SETTING, NULL},
                                      END};

/* what a table of a route may have */
static const nn_field *const known[] = {head_fields, route_fields,
                                        metric_fields, NULL};
static const char *const unlisted[] = {"to",     "via",      "src",
                                       "family", "nexthops", "onlink",
                                       "dead",   "linkdown", NULL};

/* --- reading ------------------------------------------------------------- */

static const char *family_name(int family) {
  return family == AF_INET6 ? "inet6" : "inet";
}

static int family_bits(int family) {
  return family == AF_INET6 ? 128 : 32;
}

static void push_address(lua_State *L, int family, const void *bytes) {
  char text[INET6_ADDRSTRLEN];
  lua_pushstring(L, inet_ntop(family, bytes, text, sizeof text));
}

/* Whether an attribute is an address of a family, `offset` bytes into it. */
static bool is_address(const struct nlattr *attr, int family, int offset) {
  return attr != NULL && nla_len(attr) >= offset + family_bits(family) / 8;
}

static void push_to(lua_State *L, const struct rtmsg *head,
                    const struct nlattr *attr) {
  if (is_address(attr, head->rtm_family, 0)) {
    push_address(L, head->rtm_family, nla_data(attr));
    if (head->rtm_dst_len != family_bits(head->rtm_family)) {
      lua_pushfstring(L, "/%d", head->rtm_dst_len);
      lua_concat(L, 2);
    }
  } else {
    lua_pushliteral(L, "default");
  }
  lua_setfield(L, -2, "to");
}

/* The gateway, which may be of another family than the route. */
static void push_via(lua_State *L, int family, struct nlattr *const *attrs) {
  const struct nlattr *attr = attrs[RTA_GATEWAY];
  if (is_address(attr, family, 0)) {
    push_address(L, family, nla_data(attr));
    lua_setfield(L, -2, "via");
    return;
  }
  attr = attrs[RTA_VIA];
  if (attr == NULL || nla_len(attr) < (int)sizeof(struct rtvia))
    return;
  const struct rtvia *via = nla_data(attr);
  family = via->rtvia_family;
  if ((family == AF_INET || family == AF_INET6) &&
      is_address(attr, family, sizeof *via)) {
    push_address(L, family, via->rtvia_addr);
    lua_setfield(L, -2, "via");
  }
}

static void push_flags(lua_State *L, unsigned flags) {
  static const nn_name all[] = {{"dead", RTNH_F_DEAD},
                                {"linkdown", RTNH_F_LINKDOWN},
                                {"onlink", RTNH_F_ONLINK},
                                {NULL, 0}};
  for (const nn_name *flag = all; flag->text != NULL; flag++)
    if (flags & flag->value) {
      lua_pushboolean(L, true);
      lua_setfield(L, -2, flag->text);
    }
}

static void push_hop(const nn_codec *codec, int family,
                     struct rtnexthop *head) {
  lua_State *L = codec->L;
  struct nlattr *attrs[RTA_MAX + 1];
  lua_newtable(L);
  nn_head_read(codec, hop_fields, head);
  lua_pushinteger(L, head->rtnh_hops + 1);
  lua_setfield(L, -2, "weight");
  push_flags(L, head->rtnh_flags);
  if (nla_parse(attrs, RTA_MAX, (struct nlattr *)(void *)RTNH_DATA(head),
                head->rtnh_len - (int)sizeof *head, NULL) >= 0)
    push_via(L, family, attrs);
}

static void push_hops(const nn_codec *codec, int family,
                      const struct nlattr *attr) {
  struct rtnexthop *hop = nla_data(attr);
  int left = nla_len(attr);
  lua_Integer count = 0;
  lua_newtable(codec->L);
  while (left >= (int)sizeof *hop && RTNH_OK(hop, left)) {
    push_hop(codec, family, hop);
    lua_rawseti(codec->L, -2, ++count);
    left -= (int)RTNH_ALIGN(hop->rtnh_len);
    hop = RTNH_NEXT(hop);
  }
  lua_setfield(codec->L, -2, "nexthops");
}

/* Passes over the routes of families that are none of ours. */
bool nn_push_route(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct rtmsg *head = nlmsg_data(msg);
  struct nlattr *attrs[RTA_MAX + 1];
  if ((head->rtm_family != AF_INET && head->rtm_family != AF_INET6) ||
      nlmsg_parse((struct nlmsghdr *)msg, sizeof *head, attrs, RTA_MAX, NULL) <
          0)
    return false;
  lua_createtable(L, 0, 16);
  lua_pushstring(L, family_name(head->rtm_family));
  lua_setfield(L, -2, "family");
  nn_head_read(codec, head->rtm_flags & RTM_F_CLONED ? type_field : head_fields,
               head);
  push_flags(L, head->rtm_flags);
  nn_fields_pick(codec, route_fields, nlmsg_attrdata(msg, sizeof *head),
                 nlmsg_attrlen(msg, sizeof *head));
  push_to(L, head, attrs[RTA_DST]);
  push_via(L, head->rtm_family, attrs);
  if (is_address(attrs[RTA_PREFSRC], head->rtm_family, 0)) {
    push_address(L, head->rtm_family, nla_data(attrs[RTA_PREFSRC]));
    lua_setfield(L, -2, "src");
  }
  if (attrs[RTA_METRICS] != NULL)
    nn_fields_pick(codec, metric_fields, nla_data(attrs[RTA_METRICS]),
                   nla_len(attrs[RTA_METRICS]));
  if (attrs[RTA_MULTIPATH] != NULL)
    push_hops(codec, head->rtm_family, attrs[RTA_MULTIPATH]);
  return true;
}

/* --- values of Lua ------------------------------------------------------- */

typedef struct address {
  int family; /* AF_UNSPEC: none */
  int size;
  unsigned char bytes[16];
} address;

/* A string that the table at `table` keeps; NULL if it has none. What has a
   NUL inside is no address, and so comes out as "". */
static const char *get_text(const nn_codec *codec, int table,
                            const char *name) {
  size_t len;
  int type = lua_getfield(codec->L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    nn_wrong_type(codec, name, "string");
  const char *text =
      type == LUA_TNIL ? NULL : lua_tolstring(codec->L, -1, &len);
  if (text != NULL && strlen(text) != len)
    text = "";
  lua_pop(codec->L, 1);
  return text;
}

static bool has(lua_State *L, int table, const char *name) {
  bool there = lua_getfield(L, table, name) != LUA_TNIL;
  lua_pop(L, 1);
  return there;
}

static bool parse_address(const char *text, address *result) {
  result->size = nn_parse_ip(text, result->bytes);
  result->family = result->size == 0   ? AF_UNSPEC
                   : result->size == 4 ? AF_INET
                                       : AF_INET6;
  return result->size != 0;
}

static bool get_address(const nn_codec *codec, int table, const char *name,
                        address *result) {
  const char *text = get_text(codec, table, name);
  *result = (address){.family = AF_UNSPEC};
  return text == NULL || parse_address(text, result) ||
         nn_refuse(codec, EINVAL, name, text);
}

/* AF_UNSPEC if the table does not tell. */
static bool get_family(const nn_codec *codec, int table, int *family) {
  const char *text = get_text(codec, table, "family");
  *family = text == NULL                 ? AF_UNSPEC
            : strcmp(text, "inet") == 0  ? AF_INET
            : strcmp(text, "inet6") == 0 ? AF_INET6
                                         : AF_MAX;
  return *family != AF_MAX || nn_refuse(codec, EINVAL, "family", text);
}

/* --- listing ------------------------------------------------------------- */

/* What rows have besides. */
static const nn_field row_fields[] = {
    {"to", 0, NN_PREFIX, NN_STATE, "default"},
    {"via", 0, NN_IP, NN_STATE, NULL},
    {"src", 0, NN_IP, NN_STATE, NULL},
    {"family", 0, NN_NAME8, NN_STATE, nn_families},
    {"onlink", 0, NN_BOOL, NN_STATE, NULL},
    {"dead", 0, NN_BOOL, NN_STATE, NULL},
    {"linkdown", 0, NN_BOOL, NN_STATE, NULL},
    END};

static nn_spelling spell_route(const nn_codec *codec, const char *key,
                               int nth) {
  static const nn_field *const lists[] = {head_fields, route_fields,
                                          metric_fields, row_fields, NULL};
  return nn_fields_spell(codec, lists, key, nth);
}

/***
The routes of a namespace: `ip -n NAME -details route`, of IPv4 and IPv6.
@function routes
@param NS
@tparam[opt] table filter `table` (a number, `"main"`, `"local"`, `"default"` or
`"all"`; by default `"main"`), and fields that a route has to have, such as
`{ family = "inet6", link = "eth0" }`
@treturn[1] {table,...} in the kernel's order, IPv4 first, each with `to` (a
prefix, an address or `"default"`), `via`, `link`, `src`, `metric`, `table`,
`type`, `protocol`, `scope`, `mtu` in bytes, `pref` (IPv6), `family` (`"inet"`,
`"inet6"`), if so `onlink=true`, `linkdown=true`, `dead=true`, and, if there are
several ways, `nexthops`: an array of tables with `via`, `link`, `weight` and
these flags
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int route_list(lua_State *L) {
  static const nn_field selector[] = {
      {"table", RTA_TABLE, NN_NAME32, NN_SETTING, selectable_tables}, END};
  static const char *const prefixes[] = {"to", "src", NULL};
  struct rtmsg head = {.rtm_family = AF_UNSPEC};
  nn_codec codec;
  lua_settop(L, 2);
  nn_opt_table(L, 2, "routes", "filter");
  nn_ns *ns = nn_codec_open(L, "routes", &codec);
  if (ns == NULL)
    return 3;
  nn_filter_copy(L, 2, prefixes);
  if (!has(L, 3, "table"))
    head.rtm_table = RT_TABLE_MAIN;
  struct nl_msg *msg = nn_msg_push(L, RTM_GETROUTE, NLM_F_DUMP);
  /* of all families: of one, the kernel complains of a table that it lacks */
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  bool ok = nn_fields_write(&codec, selector, 3, msg);
  if (ok) { /* the kernel has selected by it */
    lua_pushnil(L);
    lua_setfield(L, 3, "table");
  }
  if (!ok || !nn_filter_push(&codec, 3, spell_route)) {
    nn_ns_done(ns);
    return 3;
  }
  return nn_dump(&codec, ns, msg, nn_push_route, lua_gettop(L));
}

/***
The route that a packet to an address takes: `ip -n NAME route get ADDRESS`.
@function route_get
@param NS
@tparam string address
@treturn[1] table as in @{routes}
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENETUNREACH, EHOSTUNREACH, EACCES, or EINVAL, as the
kernel has it for no route, "unreachable", "prohibit" and "blackhole"
*/
static int route_get(lua_State *L) {
  nn_codec codec;
  nn_ack ack;
  address to;
  size_t len;
  const char *text = nn_arg_string(L, 2, "route_get", "address", &len);
  nn_ns *ns = nn_codec_open(L, "route_get", &codec);
  if (ns == NULL)
    return 3;
  if (strlen(text) != len || !parse_address(text, &to)) {
    nn_refuse(&codec, EINVAL, "address", text);
    nn_ns_done(ns);
    return 3;
  }
  const struct rtmsg head = {
      .rtm_family = (unsigned char)to.family,
      .rtm_dst_len = (unsigned char)(to.size * 8),
      /* IPv6 tells the table unasked, and does not take the flag */
      .rtm_flags = to.family == AF_INET ? RTM_F_LOOKUP_TABLE : 0};
  struct nl_msg *msg = nn_msg_push(L, RTM_GETROUTE, 0);
  nlmsg_append(msg, (void *)&head, sizeof head, NLMSG_ALIGNTO);
  nla_put(msg, RTA_DST, to.size, to.bytes);
  ack = (nn_ack){.err = nn_rtnl_send(codec.rtnl, nlmsg_hdr(msg))};
  const struct nlmsghdr *answer =
      ack.err == 0 ? nn_rtnl_next(codec.rtnl, &ack) : NULL;
  const bool found = answer != NULL && nn_push_route(&codec, answer);
  nn_ns_done(ns);
  return found ? 1
               : nn_rtnl_fail(L, &ack, "route_get %s: %s", nn_ns_label(L, 1),
                              text);
}

/* --- writing ------------------------------------------------------------- */

static bool too_large(const nn_codec *codec) {
  nn_fail(codec->L, EMSGSIZE, "%s", codec->what);
  return false;
}

/* A gateway of the route's family, or of another. */
static bool put_via(const nn_codec *codec, const address *via, int family,
                    struct nl_msg *msg) {
  if (via->family == AF_UNSPEC)
    return true;
  if (via->family == family)
    return nla_put(msg, RTA_GATEWAY, via->size, via->bytes) == 0 ||
           too_large(codec);
  struct nlattr *attr =
      nla_reserve(msg, RTA_VIA, (int)sizeof(struct rtvia) + via->size);
  if (attr == NULL)
    return too_large(codec);
  struct rtvia *other = nla_data(attr);
  other->rtvia_family = (__kernel_sa_family_t)via->family;
  memcpy(other->rtvia_addr, via->bytes, (size_t)via->size);
  return true;
}

static bool get_weight(const nn_codec *codec, int table, unsigned char *hops) {
  int type = lua_getfield(codec->L, table, "weight");
  if (type != LUA_TNIL && type != LUA_TNUMBER)
    nn_wrong_type(codec, "weight", "integer");
  lua_Integer weight = type == LUA_TNIL ? 1 : lua_tointeger(codec->L, -1);
  if (weight < 1 || weight > 256)
    return nn_refuse(codec, ERANGE, "weight",
                     luaL_tolstring(codec->L, -1, NULL));
  *hops = (unsigned char)(weight - 1);
  lua_pop(codec->L, 1);
  return true;
}

/* The nexthop on top of the stack. */
static bool put_hop(const nn_codec *codec, int family, struct nl_msg *msg) {
  static const char *const others[] = {"via",      "weight", "onlink",
                                       "linkdown", "dead",   NULL};
  const nn_field *const fields[] = {hop_fields, NULL};
  const int table = lua_gettop(codec->L);
  address via;
  nn_fields_check(codec, table, fields, others);
  struct rtnexthop *head = nlmsg_reserve(msg, sizeof *head, NLMSG_ALIGNTO);
  if (head == NULL)
    return too_large(codec);
  *head = (struct rtnexthop){.rtnh_flags = 0};
  if (nn_flag_get(codec, table, "onlink"))
    head->rtnh_flags |= RTNH_F_ONLINK;
  if (!nn_head_write(codec, hop_fields, table, msg, head) ||
      !get_weight(codec, table, &head->rtnh_hops) ||
      !get_address(codec, table, "via", &via) ||
      !put_via(codec, &via, family, msg))
    return false;
  head->rtnh_len = (unsigned short)((const char *)nlmsg_tail(nlmsg_hdr(msg)) -
                                    (const char *)head);
  return true;
}

/* Pushes the array of nexthops, or nil; their number. */
static lua_Integer push_nexthops(const nn_codec *codec, int table) {
  int type = lua_getfield(codec->L, table, "nexthops");
  if (type != LUA_TNIL && type != LUA_TTABLE)
    nn_wrong_type(codec, "nexthops", "table");
  lua_Integer count =
      type == LUA_TNIL ? 0 : (lua_Integer)lua_rawlen(codec->L, -1);
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_rawgeti(codec->L, -1, i) != LUA_TTABLE)
      nn_raise(codec->L,
               "bad argument 'nexthops' to '%s' (element %d: table expected, "
               "got %s)",
               codec->what, (int)i, luaL_typename(codec->L, -1));
    lua_pop(codec->L, 1);
  }
  return count;
}

static bool put_hops(const nn_codec *codec, int table, int family,
                     struct nl_msg *msg) {
  lua_Integer count = push_nexthops(codec, table);
  if (lua_isnil(codec->L, -1))
    return true;
  if (count == 0)
    return nn_refuse(codec, EINVAL, "nexthops", "{}");
  struct nlattr *hops = nla_nest_start(msg, RTA_MULTIPATH);
  if (hops == NULL)
    return too_large(codec);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(codec->L, -1, i);
    if (!put_hop(codec, family, msg))
      return false;
    lua_pop(codec->L, 1);
  }
  nla_nest_end(msg, hops);
  lua_pop(codec->L, 1);
  return true;
}

static bool put_metrics(const nn_codec *codec, int table, struct nl_msg *msg) {
  struct nlattr *metrics = nla_nest_start(msg, RTA_METRICS);
  if (metrics == NULL)
    return too_large(codec);
  if (!nn_fields_write(codec, metric_fields, table, msg))
    return false;
  nla_nest_end(msg, metrics); /* takes it away again if it is empty */
  return true;
}

/* Of the first nexthop that has a gateway. */
static bool hops_family(const nn_codec *codec, int table, int *family) {
  address via;
  lua_Integer count = push_nexthops(codec, table);
  for (lua_Integer i = 1; i <= count && *family == AF_UNSPEC; i++) {
    lua_rawgeti(codec->L, -1, i);
    if (!get_address(codec, lua_gettop(codec->L), "via", &via))
      return false;
    *family = via.family;
    lua_pop(codec->L, 1);
  }
  lua_pop(codec->L, 1);
  return true;
}

/* Where it leads, and so the route's family: what is said, or that of the
   first address there is; that of the gateway is the last as it may be of
   another. */
static bool put_addresses(const nn_codec *codec, int table, struct nl_msg *msg,
                          struct rtmsg *head) {
  nn_prefix to = {.family = AF_UNSPEC};
  address src, via;
  int family;
  const char *prefix = get_text(codec, table, "to");
  if (prefix == NULL) {
    lua_pushnil(codec->L);
    return nn_wrong_type(codec, "to", "string");
  }
  /* the default route is of no family */
  int err = strcmp(prefix, "default") != 0
                ? nn_parse_prefix(prefix, strlen(prefix), &to)
                : 0;
  if (err != 0)
    return nn_refuse(codec, err, "to", prefix);
  head->rtm_dst_len = (unsigned char)to.len;
  if (!get_family(codec, table, &family) ||
      !get_address(codec, table, "src", &src) ||
      !get_address(codec, table, "via", &via))
    return false;
  if (family == AF_UNSPEC)
    family = to.family ? to.family : src.family ? src.family : via.family;
  if (family == AF_UNSPEC && !hops_family(codec, table, &family))
    return false;
  if (family == AF_UNSPEC)
    family = AF_INET;
  head->rtm_family = (unsigned char)family;
  if (to.family != AF_UNSPEC && to.family != family)
    return nn_refuse(codec, EINVAL, "to", prefix);
  if (src.family != AF_UNSPEC && src.family != family)
    return nn_refuse(codec, EINVAL, "src", get_text(codec, table, "src"));
  if (to.size != 0)
    nla_put(msg, RTA_DST, to.size, to.bytes);
  if (src.size != 0)
    nla_put(msg, RTA_PREFSRC, src.size, src.bytes);
  return put_via(codec, &via, family, msg);
}

/* What `ip route` takes for the table and the scope that are not given. */
static void put_defaults(lua_State *L, int table, struct rtmsg *head,
                         bool adding) {
  const unsigned char type = head->rtm_type;
  const bool link_only = type == RTN_BROADCAST || type == RTN_ANYCAST ||
                         type == RTN_MULTICAST ||
                         (adding && type == RTN_UNICAST &&
                          !has(L, table, "via") && !has(L, table, "nexthops"));
  head->rtm_table =
      type == RTN_LOCAL || type == RTN_BROADCAST || type == RTN_ANYCAST
          ? RT_TABLE_LOCAL
          : RT_TABLE_MAIN;
  if (has(L, table, "scope"))
    return;
  if (head->rtm_family == AF_INET6)
    head->rtm_scope = RT_SCOPE_UNIVERSE;
  else if (type == RTN_LOCAL)
    head->rtm_scope = RT_SCOPE_HOST;
  else if (link_only)
    head->rtm_scope = RT_SCOPE_LINK;
  else if (!adding)
    head->rtm_scope = RT_SCOPE_NOWHERE; /* any */
}

/* Sends the table at 2 as a request: true, or nil, message, errno. */
static int change(lua_State *L, const char *what, int type, int flags) {
  const bool adding = type == RTM_NEWROUTE;
  const struct rtmsg start = {.rtm_type = adding ? RTN_UNICAST : RTN_UNSPEC,
                              .rtm_protocol =
                                  adding ? RTPROT_BOOT : RTPROT_UNSPEC};
  nn_codec codec;
  nn_arg_table(L, 2, what, "route");
  lua_settop(L, 2);
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  nn_fields_check(&codec, 2, known, unlisted);
  struct nl_msg *msg = nn_msg_push(L, type, flags);
  nlmsg_append(msg, (void *)&start, sizeof start, NLMSG_ALIGNTO);
  struct rtmsg *head = nlmsg_data(nlmsg_hdr(msg));
  if (nn_flag_get(&codec, 2, "onlink"))
    head->rtm_flags |= RTNH_F_ONLINK;
  bool ok = put_addresses(&codec, 2, msg, head) &&
            nn_head_write(&codec, head_fields, 2, msg, head) &&
            nn_fields_write(&codec, route_fields, 2, msg) &&
            put_metrics(&codec, 2, msg) &&
            put_hops(&codec, 2, head->rtm_family, msg);
  if (!ok) {
    nn_ns_done(ns);
    return 3;
  }
  put_defaults(L, 2, head, adding);
  return nn_change(&codec, ns, msg, get_text(&codec, 2, "to"));
}

/***
Makes a route: `ip -n NAME route add …`.
@function route_add
@param NS
@tparam table route `to`, a prefix (`"192.0.2.0/24"`), an address or
`"default"`; `via`, the gateway; `link`; `metric`; `table` (a number, `"main"`,
`"local"`, `"default"`); `type` (`"unicast"`, `"blackhole"`, `"unreachable"`,
`"prohibit"`, `"throw"`, …); `src`; `scope`; `protocol`; `mtu` in bytes;
`onlink`; `pref`; `nexthops`, an array of tables with `via`, `link`, `weight`
(1 to 256) and `onlink`; `family` (`"inet"`, `"inet6"`), if no address tells. A
table of @{routes} will do.
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST, ENETUNREACH, EHOSTUNREACH, ENODEV, EINVAL
@usage vpn:route_add { to = "default", via = "192.0.2.1" }
*/
static int route_add(lua_State *L) {
  return change(L, "route_add", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
}

/***
Takes a route away: `ip -n NAME route delete …`. It is the first one that has
all that is said.
@function route_delete
@param NS
@tparam table route as for @{route_add}
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ESRCH if there is none, ENODEV, EINVAL
*/
static int route_delete(lua_State *L) {
  return change(L, "route_delete", RTM_DELROUTE, 0);
}

void nn_open_route(lua_State *L) {
  static const luaL_Reg functions[] = {{"routes", route_list},
                                       {"route_add", route_add},
                                       {"route_delete", route_delete},
                                       {"route_get", route_get},
                                       {NULL, NULL}};
  nn_ns_functions(L, functions);
}
