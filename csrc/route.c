/***
route.c: routes, as `ip route` has them.
@module netns
*/
#include <errno.h>
#include <linux/icmpv6.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
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

static const nn_name encaps[] = {{"mpls", LWTUNNEL_ENCAP_MPLS},
                                 {"ip", LWTUNNEL_ENCAP_IP},
                                 {"ila", LWTUNNEL_ENCAP_ILA},
                                 {"ip6", LWTUNNEL_ENCAP_IP6},
                                 {"seg6", LWTUNNEL_ENCAP_SEG6},
                                 {"bpf", LWTUNNEL_ENCAP_BPF},
                                 {"seg6local", LWTUNNEL_ENCAP_SEG6_LOCAL},
                                 {"rpl", LWTUNNEL_ENCAP_RPL},
                                 {"ioam6", LWTUNNEL_ENCAP_IOAM6},
                                 {"xfrm", 10 /* as of Linux 6.1 */},
                                 {NULL, 0}};

static const nn_name features[] = {{"ecn", RTAX_FEATURE_ECN},
                                   {"sack", RTAX_FEATURE_SACK},
                                   {"timestamp", RTAX_FEATURE_TIMESTAMP},
                                   {"allfrag", RTAX_FEATURE_ALLFRAG},
                                   {"tcp_usec_ts", 1 << 4 /* Linux 6.7 */},
                                   {NULL, 0}};

#define LOCK(metric) ((uint32_t)1 << (metric))
static const nn_name locks[] = {
    {"mtu", LOCK(RTAX_MTU)},
    {"window", LOCK(RTAX_WINDOW)},
    {"rtt", LOCK(RTAX_RTT)},
    {"rttvar", LOCK(RTAX_RTTVAR)},
    {"ssthresh", LOCK(RTAX_SSTHRESH)},
    {"cwnd", LOCK(RTAX_CWND)},
    {"advmss", LOCK(RTAX_ADVMSS)},
    {"reordering", LOCK(RTAX_REORDERING)},
    {"hoplimit", LOCK(RTAX_HOPLIMIT)},
    {"initcwnd", LOCK(RTAX_INITCWND)},
    {"features", LOCK(RTAX_FEATURES)},
    {"rto_min", LOCK(RTAX_RTO_MIN)},
    {"initrwnd", LOCK(RTAX_INITRWND)},
    {"quickack", LOCK(RTAX_QUICKACK)},
    {"congctl", LOCK(RTAX_CC_ALGO)},
    {"fastopen_no_cookie", LOCK(RTAX_FASTOPEN_NO_COOKIE)},
    {NULL, 0}};

static const nn_name ip_protocols[] = {
    {"icmp", IPPROTO_ICMP},        {"tcp", IPPROTO_TCP},
    {"udp", IPPROTO_UDP},          {"ipv6-icmp", IPPROTO_ICMPV6},
    {"sctp", IPPROTO_SCTP},        {NULL, 0}};

/* The role of almost all is NN_KEY: what tells two routes apart is all of
   them. */

/* in struct rtmsg */
static const nn_field head_fields[] = {
    {"type", offsetof(struct rtmsg, rtm_type), NN_NAME8, NN_KEY, types},
    {"protocol", offsetof(struct rtmsg, rtm_protocol), NN_NAME8, NN_KEY,
     nn_protocols},
    {"scope", offsetof(struct rtmsg, rtm_scope), NN_NAME8, NN_KEY, scopes},
    END};

/* the same for what a single packet meets, which was made by nobody */
static const nn_field type_field[] = {
    {"type", offsetof(struct rtmsg, rtm_type), NN_NAME8, NN_KEY, types}, END};

/* written, and listed unless it is 0 */
static const nn_field tos_field[] = {
    {"tos", offsetof(struct rtmsg, rtm_tos), NN_U8, NN_KEY, NULL}, END};

/* units of the kernel's in a second */
static const uint32_t rtt_unit = 8000, rttvar_unit = 4000, rto_unit = 1000;

/* in RTA_METRICS */
static const nn_field metric_fields[] = {
    {"lock", RTAX_LOCK, NN_WORDS, NN_KEY, locks},
    {"mtu", RTAX_MTU, NN_U32, NN_KEY, NULL},
    {"window", RTAX_WINDOW, NN_U32, NN_KEY, NULL},
    {"rtt", RTAX_RTT, NN_DURATION, NN_KEY, &rtt_unit},
    {"rttvar", RTAX_RTTVAR, NN_DURATION, NN_KEY, &rttvar_unit},
    {"ssthresh", RTAX_SSTHRESH, NN_U32, NN_KEY, NULL},
    {"cwnd", RTAX_CWND, NN_U32, NN_KEY, NULL},
    {"advmss", RTAX_ADVMSS, NN_U32, NN_KEY, NULL},
    {"reordering", RTAX_REORDERING, NN_U32, NN_KEY, NULL},
    {"hoplimit", RTAX_HOPLIMIT, NN_U32, NN_KEY, NULL},
    {"initcwnd", RTAX_INITCWND, NN_U32, NN_KEY, NULL},
    {"features", RTAX_FEATURES, NN_WORDS, NN_KEY, features},
    {"rto_min", RTAX_RTO_MIN, NN_DURATION, NN_KEY, &rto_unit},
    {"initrwnd", RTAX_INITRWND, NN_U32, NN_KEY, NULL},
    {"quickack", RTAX_QUICKACK, NN_BOOL32, NN_KEY, NULL},
    {"congctl", RTAX_CC_ALGO, NN_TEXT, NN_KEY, NULL},
    {"fastopen_no_cookie", RTAX_FASTOPEN_NO_COOKIE, NN_BOOL32, NN_KEY, NULL},
    END};

static const nn_field route_fields[] = {
    {"table", RTA_TABLE, NN_NAME32, NN_KEY, nn_tables},
    {"metric", RTA_PRIORITY, NN_U32, NN_KEY, NULL},
    {"realms", RTA_FLOW, NN_REALMS, NN_KEY, NULL},
    {"nhid", RTA_NH_ID, NN_U32, NN_KEY, NULL},
    {"pref", RTA_PREF, NN_NAME8, NN_SETTING, preferences},
    {"ttl_propagate", RTA_TTL_PROPAGATE, NN_BOOL, NN_SHOWN, NULL},
    {"index", RTA_OIF, NN_U32, NN_STATE, NULL},
    {"iif", RTA_IIF, NN_LINK, NN_STATE, NULL},
    {"mark", RTA_MARK, NN_U32, NN_STATE, NULL},
    {"uid", RTA_UID, NN_U32, NN_STATE, NULL},
    {"metrics", RTA_METRICS, NN_INSIDE, NN_KEY, metric_fields},
    {"to", RTA_DST, NN_OTHER, NN_KEY, NULL},
    {"from", RTA_SRC, NN_OTHER, NN_KEY, NULL},
    {"src", RTA_PREFSRC, NN_OTHER, NN_KEY, NULL},
    {"via", RTA_GATEWAY, NN_OTHER, NN_KEY, NULL},
    {"via", RTA_VIA, NN_OTHER, NN_KEY, NULL},
    {"link", RTA_OIF, NN_OTHER, NN_KEY, NULL},
    {"nexthops", RTA_MULTIPATH, NN_OTHER, NN_KEY, NULL},
    {"encap", RTA_ENCAP, NN_OTHER, NN_KEY, NULL},
    {"encap", RTA_ENCAP_TYPE, NN_OTHER, NN_KEY, NULL},
    {"expires", RTA_CACHEINFO, NN_OTHER, NN_KEY, NULL},
    {"expires", RTA_EXPIRES, NN_OTHER, NN_KEY, NULL},
    {"", RTA_PAD, NN_OTHER, NN_KEY, NULL},
    END};

/* which a route over a nexthop object is listed with, and has not itself */
static const nn_field link_field[] = {
    {"link", RTA_OIF, NN_LINK, NN_KEY, NULL}, END};

/* in struct rtnexthop */
static const nn_field hop_fields[] = {{"link",
                                       offsetof(struct rtnexthop, rtnh_ifindex),
                                       NN_LINK, NN_KEY, NULL},
                                      END};

/* the attributes after that */
static const nn_field hop_attributes[] = {
    {"realms", RTA_FLOW, NN_REALMS, NN_KEY, NULL},
    {"via", RTA_GATEWAY, NN_OTHER, NN_KEY, NULL},
    {"via", RTA_VIA, NN_OTHER, NN_KEY, NULL},
    {"encap", RTA_ENCAP, NN_OTHER, NN_KEY, NULL},
    {"encap", RTA_ENCAP_TYPE, NN_OTHER, NN_KEY, NULL},
    {"", RTA_PAD, NN_OTHER, NN_KEY, NULL},
    END};

/* in RTA_ENCAP */
static const nn_field ip_encap[] = {
    {"id", LWTUNNEL_IP_ID, NN_BE64, NN_KEY, NULL},
    {"dst", LWTUNNEL_IP_DST, NN_IP, NN_KEY, NULL},
    {"src", LWTUNNEL_IP_SRC, NN_IP, NN_KEY, NULL},
    {"ttl", LWTUNNEL_IP_TTL, NN_U8, NN_KEY, NULL},
    {"tos", LWTUNNEL_IP_TOS, NN_U8, NN_KEY, NULL},
    {"flags", LWTUNNEL_IP_FLAGS, NN_BE16, NN_KEY, NULL},
    {"", LWTUNNEL_IP_PAD, NN_OTHER, NN_KEY, NULL},
    END};

static const nn_field ip6_encap[] = {
    {"id", LWTUNNEL_IP6_ID, NN_BE64, NN_KEY, NULL},
    {"dst", LWTUNNEL_IP6_DST, NN_IP, NN_KEY, NULL},
    {"src", LWTUNNEL_IP6_SRC, NN_IP, NN_KEY, NULL},
    {"hoplimit", LWTUNNEL_IP6_HOPLIMIT, NN_U8, NN_KEY, NULL},
    {"tc", LWTUNNEL_IP6_TC, NN_U8, NN_KEY, NULL},
    {"flags", LWTUNNEL_IP6_FLAGS, NN_BE16, NN_KEY, NULL},
    {"", LWTUNNEL_IP6_PAD, NN_OTHER, NN_KEY, NULL},
    END};

/* The flags of a route and of a nexthop; all but the first are state. */
static const nn_name flag_names[] = {{"onlink", RTNH_F_ONLINK},
                                     {"dead", RTNH_F_DEAD},
                                     {"pervasive", RTNH_F_PERVASIVE},
                                     {"offload", RTNH_F_OFFLOAD},
                                     {"linkdown", RTNH_F_LINKDOWN},
                                     {"unresolved", RTNH_F_UNRESOLVED},
                                     {"trap", RTNH_F_TRAP},
                                     {"rt_offload", RTM_F_OFFLOAD},
                                     {"rt_trap", RTM_F_TRAP},
                                     {"rt_offload_failed",
                                      RTM_F_OFFLOAD_FAILED},
                                     {NULL, 0}};

#define FLAG_NAMES                                                             \
  "onlink", "dead", "pervasive", "offload", "linkdown", "unresolved", "trap",  \
      "rt_offload", "rt_trap", "rt_offload_failed"

/* what a table of a route may have */
static const nn_field *const known[] = {head_fields, tos_field, route_fields,
                                        link_field, NULL};
static const char *const unlisted[] = {
    "to",       "from",  "via",     "src",      "family",
    "nexthops", "encap", "expires", FLAG_NAMES, NULL};

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

/* A prefix, or an address; nothing if there is none. */
static void push_prefix(lua_State *L, const char *name, int family, int len,
                        const struct nlattr *attr) {
  if (!is_address(attr, family, 0))
    return;
  push_address(L, family, nla_data(attr));
  if (len != family_bits(family)) {
    lua_pushfstring(L, "/%d", len);
    lua_concat(L, 2);
  }
  lua_setfield(L, -2, name);
}

static void push_to(lua_State *L, const struct rtmsg *head,
                    const struct nlattr *attr) {
  lua_pushliteral(L, "default");
  lua_setfield(L, -2, "to");
  push_prefix(L, "to", head->rtm_family, head->rtm_dst_len, attr);
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
  for (const nn_name *flag = flag_names; flag->text != NULL; flag++)
    if (flags & flag->value) {
      lua_pushboolean(L, true);
      lua_setfield(L, -2, flag->text);
    }
}

static void push_hex(lua_State *L, const void *data, int len) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = data;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (int i = 0; i < len; i++) {
    luaL_addchar(&buffer, digits[bytes[i] >> 4]);
    luaL_addchar(&buffer, digits[bytes[i] & 15]);
  }
  luaL_pushresult(&buffer);
}

/* What a packet is wrapped in: a table with its `type`, and its fields or, of
   types whose fields have no names here, `data` in hexadecimal. */
static void push_encap(const nn_codec *codec, struct nlattr *const *attrs) {
  static const nn_field type_of[] = {
      {"type", RTA_ENCAP_TYPE, NN_NAME16, NN_KEY, encaps}, END};
  lua_State *L = codec->L;
  const struct nlattr *encap = attrs[RTA_ENCAP], *type = attrs[RTA_ENCAP_TYPE];
  if (type == NULL)
    return;
  nn_codec part = *codec;
  part.partial = true;
  lua_newtable(L);
  nn_fields_push(&part, type_of, attrs);
  const int number = nla_len(type) >= 2 ? nla_get_u16(type) : 0;
  if (encap != NULL && number == LWTUNNEL_ENCAP_IP) {
    nn_fields_read(codec, ip_encap, nla_data(encap), nla_len(encap));
  } else if (encap != NULL && number == LWTUNNEL_ENCAP_IP6) {
    nn_fields_read(codec, ip6_encap, nla_data(encap), nla_len(encap));
  } else if (encap != NULL) {
    push_hex(L, nla_data(encap), nla_len(encap));
    lua_setfield(L, -2, "data");
  }
  lua_setfield(L, -2, "encap");
}

static void push_hop(const nn_codec *codec, int family,
                     struct rtnexthop *head) {
  lua_State *L = codec->L;
  struct nlattr *attrs[NN_TYPE_MAX + 1];
  struct nlattr *first = (struct nlattr *)(void *)RTNH_DATA(head);
  const int len = head->rtnh_len - (int)sizeof *head;
  lua_newtable(L);
  nn_head_read(codec, hop_fields, head);
  lua_pushinteger(L, head->rtnh_hops + 1);
  lua_setfield(L, -2, "weight");
  push_flags(L, head->rtnh_flags);
  if (nla_parse(attrs, NN_TYPE_MAX, first, len, NULL) < 0)
    return;
  nn_fields_read(codec, hop_attributes, first, len);
  push_via(L, family, attrs);
  push_encap(codec, attrs);
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

/* The seconds until the kernel removes the route, which has hundredths. */
static void push_expires(lua_State *L, const struct nlattr *attr) {
  struct rta_cacheinfo info;
  if (attr == NULL || nla_len(attr) < (int)sizeof info)
    return;
  memcpy(&info, nla_data(attr), sizeof info);
  if (info.rta_expires <= 0)
    return;
  lua_pushnumber(L, (lua_Number)info.rta_expires / 100);
  lua_setfield(L, -2, "expires");
}

/* Passes over the routes of families that are none of ours. */
bool nn_push_route(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct rtmsg *head = nlmsg_data(msg);
  struct nlattr *attrs[NN_TYPE_MAX + 1];
  const struct nlattr *first = nlmsg_attrdata(msg, sizeof *head);
  const int len = nlmsg_attrlen(msg, sizeof *head);
  const int family = head->rtm_family;
  if ((family != AF_INET && family != AF_INET6) ||
      nla_parse(attrs, NN_TYPE_MAX, (struct nlattr *)first, len, NULL) < 0)
    return false;
  luaL_checkstack(L, 16, NULL);
  lua_createtable(L, 0, 16);
  lua_pushstring(L, family_name(family));
  lua_setfield(L, -2, "family");
  nn_head_read(codec, head->rtm_flags & RTM_F_CLONED ? type_field : head_fields,
               head);
  if (head->rtm_tos != 0)
    nn_head_read(codec, tos_field, head);
  push_flags(L, head->rtm_flags);
  nn_fields_read(codec, route_fields, first, len);
  nn_fields_pick(codec, link_field, first, len);
  push_to(L, head, attrs[RTA_DST]);
  push_prefix(L, "from", family, head->rtm_src_len, attrs[RTA_SRC]);
  push_via(L, family, attrs);
  push_prefix(L, "src", family, family_bits(family), attrs[RTA_PREFSRC]);
  push_encap(codec, attrs);
  push_expires(L, attrs[RTA_CACHEINFO]);
  if (attrs[RTA_MULTIPATH] != NULL)
    push_hops(codec, family, attrs[RTA_MULTIPATH]);
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
    {"from", 0, NN_PREFIX, NN_STATE, "any"},
    {"expires", 0, NN_NUMBER, NN_STATE, NULL},
    {"via", 0, NN_IP, NN_STATE, NULL},
    {"src", 0, NN_IP, NN_STATE, NULL},
    {"family", 0, NN_NAME8, NN_STATE, nn_families},
    {"onlink", 0, NN_BOOL, NN_STATE, NULL},
    {"dead", 0, NN_BOOL, NN_STATE, NULL},
    {"pervasive", 0, NN_BOOL, NN_STATE, NULL},
    {"offload", 0, NN_BOOL, NN_STATE, NULL},
    {"linkdown", 0, NN_BOOL, NN_STATE, NULL},
    {"unresolved", 0, NN_BOOL, NN_STATE, NULL},
    {"trap", 0, NN_BOOL, NN_STATE, NULL},
    {"rt_offload", 0, NN_BOOL, NN_STATE, NULL},
    {"rt_trap", 0, NN_BOOL, NN_STATE, NULL},
    {"rt_offload_failed", 0, NN_BOOL, NN_STATE, NULL},
    END};

static nn_spelling spell_route(const nn_codec *codec, const char *key,
                               int nth) {
  static const nn_field *const lists[] = {head_fields, tos_field,
                                          route_fields, link_field,
                                          row_fields, NULL};
  return nn_fields_spell(codec, lists, key, nth);
}

/***
The routes of a namespace: `ip -n NAME -details route`, of IPv4 and IPv6.
@function routes
@param NS
@tparam[opt] table filter `table` (a number, `"main"`, `"local"`, `"default"` or
`"all"`; by default `"main"`), and fields that a route has to have, such as
`{ family = "inet6", link = "eth0" }`
@treturn[1] {table,...} in the kernel's order, IPv4 first, each with the fields
of @{route_add} that it has, of them always `to`, `family`, `type`, `protocol`,
`scope` and `table`; with `index`, the one of `link`; and, if so, `dead=true`,
`linkdown=true`, `offload=true`, `trap=true`, `pervasive=true`,
`unresolved=true`, `rt_offload=true`, `rt_trap=true`, `rt_offload_failed=true`.
A route with an `nhid` also shows the nexthops of that. What packets are wrapped
in is `encap`, a table with `type` (`"mpls"`, `"ip"`, `"ip6"`, `"seg6"`, …) and,
for `"ip"` and `"ip6"`, `id`, `dst`, `src`, `ttl` or `hoplimit`, `tos` or `tc`,
and `flags`, for others `data` in hexadecimal. An attribute without a name here
is in `unknown`, a table from its number to its bytes in hexadecimal
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int route_list(lua_State *L) {
  static const nn_field selector[] = {
      {"table", RTA_TABLE, NN_NAME32, NN_KEY, selectable_tables}, END};
  static const char *const prefixes[] = {"to", "from", "src", NULL};
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

/* Writes what a packet is like, at 3, for route_get. */
static bool put_packet(const nn_codec *codec, struct nl_msg *msg,
                       struct rtmsg *head) {
  static const nn_field fields[] = {
      {"iif", RTA_IIF, NN_LINK, NN_SETTING, NULL},
      {"oif", RTA_OIF, NN_LINK, NN_SETTING, NULL},
      {"mark", RTA_MARK, NN_U32, NN_SETTING, NULL},
      {"uid", RTA_UID, NN_U32, NN_SETTING, NULL},
      {"sport", RTA_SPORT, NN_BE16, NN_SETTING, NULL},
      {"dport", RTA_DPORT, NN_BE16, NN_SETTING, NULL},
      {"ipproto", RTA_IP_PROTO, NN_NAME8, NN_SETTING, ip_protocols},
      END};
  static const nn_field *const all[] = {fields, tos_field, NULL};
  static const char *const others[] = {"from", "fibmatch", NULL};
  address from;
  nn_fields_check(codec, 3, all, others);
  if (!get_address(codec, 3, "from", &from))
    return false;
  if (from.family != AF_UNSPEC && from.family != head->rtm_family)
    return nn_refuse(codec, EINVAL, "from", get_text(codec, 3, "from"));
  if (from.family != AF_UNSPEC) {
    head->rtm_src_len = (unsigned char)(from.size * 8);
    nla_put(msg, RTA_SRC, from.size, from.bytes);
  }
  if (nn_flag_get(codec, 3, "fibmatch"))
    head->rtm_flags |= RTM_F_FIB_MATCH;
  return nn_head_write(codec, tos_field, 3, msg, head) &&
         nn_fields_write(codec, fields, 3, msg);
}

/***
The route that a packet to an address takes: `ip -n NAME route get ADDRESS`.
@function route_get
@param NS
@tparam string address
@tparam[opt] table opts what the packet is like: `from`, an address; `iif`, the
link that it came in by; `oif`, the link that it has to leave by; `mark`, `tos`,
`uid`; `ipproto` (`"tcp"`, `"udp"`, `"icmp"`, … or a number), `sport`, `dport`;
`fibmatch=true` asks for the route as it is listed, not for what becomes of the
packet
@treturn[1] table as in @{routes}, if the kernel tells it with `iif`, `mark` and
`uid`
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENETUNREACH, EHOSTUNREACH, EACCES, or EINVAL, as the
kernel has it for no route, "unreachable", "prohibit" and "blackhole"
@usage vpn:route_get("198.51.100.1", { mark = 7, ipproto = "tcp", dport = 443 })
*/
static int route_get(lua_State *L) {
  nn_codec codec;
  nn_ack ack;
  address to;
  size_t len;
  lua_settop(L, 3);
  const char *text = nn_arg_string(L, 2, "route_get", "address", &len);
  nn_opt_table(L, 3, "route_get", "opts");
  nn_ns *ns = nn_codec_open(L, "route_get", &codec);
  if (ns == NULL)
    return 3;
  if (strlen(text) != len || !parse_address(text, &to)) {
    nn_refuse(&codec, EINVAL, "address", text);
    nn_ns_done(ns);
    return 3;
  }
  const struct rtmsg start = {
      .rtm_family = (unsigned char)to.family,
      .rtm_dst_len = (unsigned char)(to.size * 8),
      /* IPv6 tells the table unasked, and does not take the flag */
      .rtm_flags = to.family == AF_INET ? RTM_F_LOOKUP_TABLE : 0};
  struct nl_msg *msg = nn_msg_push(L, RTM_GETROUTE, 0);
  nlmsg_append(msg, (void *)&start, sizeof start, NLMSG_ALIGNTO);
  nla_put(msg, RTA_DST, to.size, to.bytes);
  if (!put_packet(&codec, msg, nlmsg_data(nlmsg_hdr(msg)))) {
    nn_ns_done(ns);
    return 3;
  }
  ack = (nn_ack){.err = nn_rtnl_send(codec.rtnl, nlmsg_hdr(msg))};
  const struct nlmsghdr *answer =
      ack.err == 0 ? nn_rtnl_next(codec.rtnl, &ack) : NULL;
  const bool found = answer != NULL && nn_push_route(&codec, answer) &&
                     nn_rtnl_verdict(codec.rtnl, &ack) == 0;
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

/* False after pushing nil, message, errno for an encapsulation to write. */
static bool refuse_encap(const nn_codec *codec, int table) {
  if (codec->keys || !has(codec->L, table, "encap"))
    return true;
  nn_fail(codec->L, EOPNOTSUPP, "%s: encap, which can only be listed",
          codec->what);
  return false;
}

/* The nexthop on top of the stack. */
static bool put_hop(const nn_codec *codec, int family, struct nl_msg *msg) {
  static const char *const others[] = {"via", "weight", "encap", FLAG_NAMES,
                                       NULL};
  const nn_field *const fields[] = {hop_fields, hop_attributes, NULL};
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
      !put_via(codec, &via, family, msg) || !refuse_encap(codec, table) ||
      !nn_fields_write(codec, hop_attributes, table, msg))
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

/* A prefix that may be absent; "default" is of no family. */
static bool get_prefix(const nn_codec *codec, int table, const char *name,
                       nn_prefix *result) {
  const char *text = get_text(codec, table, name);
  *result = (nn_prefix){.family = AF_UNSPEC};
  if (text == NULL || strcmp(text, "default") == 0)
    return true;
  const int err = nn_parse_prefix(text, strlen(text), result);
  return err == 0 || nn_refuse(codec, err, name, text);
}

/* Refuses the field `name` of a route of another family than that to which it
   belongs. */
static bool check_family(const nn_codec *codec, int table, const char *name,
                         int family, int wanted) {
  if (family == wanted || !has(codec->L, table, name))
    return true;
  nn_fail(codec->L, EINVAL, "%s: %s, which only routes of %s have", codec->what,
          name, family_name(wanted));
  return false;
}

/* Where it leads, and so the route's family: the given one, or that of the
   first address there is; that of the gateway is the last as it may be of
   another. */
static bool put_addresses(const nn_codec *codec, int table, struct nl_msg *msg,
                          struct rtmsg *head) {
  nn_prefix to, from;
  address src, via;
  int family;
  const char *prefix = get_text(codec, table, "to");
  if (prefix == NULL) {
    lua_pushnil(codec->L);
    return nn_wrong_type(codec, "to", "string");
  }
  if (!get_prefix(codec, table, "to", &to) ||
      !get_family(codec, table, &family) ||
      !get_prefix(codec, table, "from", &from) ||
      !get_address(codec, table, "src", &src) ||
      !get_address(codec, table, "via", &via))
    return false;
  head->rtm_dst_len = (unsigned char)to.len;
  head->rtm_src_len = (unsigned char)from.len;
  if (family == AF_UNSPEC)
    family = to.family     ? to.family
             : from.family ? from.family
             : src.family  ? src.family
                           : via.family;
  if (family == AF_UNSPEC && !hops_family(codec, table, &family))
    return false;
  if (family == AF_UNSPEC)
    family = AF_INET;
  head->rtm_family = (unsigned char)family;
  if (to.family != AF_UNSPEC && to.family != family)
    return nn_refuse(codec, EINVAL, "to", prefix);
  if (src.family != AF_UNSPEC && src.family != family)
    return nn_refuse(codec, EINVAL, "src", get_text(codec, table, "src"));
  if (from.family != AF_UNSPEC && from.family != family)
    return nn_refuse(codec, EINVAL, "from", get_text(codec, table, "from"));
  if (!check_family(codec, table, "from", family, AF_INET6) ||
      !check_family(codec, table, "expires", family, AF_INET6) ||
      !check_family(codec, table, "realms", family, AF_INET))
    return false;
  if (to.size != 0)
    nla_put(msg, RTA_DST, to.size, to.bytes);
  if (from.size != 0)
    nla_put(msg, RTA_SRC, from.size, from.bytes);
  if (src.size != 0)
    nla_put(msg, RTA_PREFSRC, src.size, src.bytes);
  return true;
}

/* Whether the table is as one that is listed, so that it has all the fields of
   its route. */
static bool is_complete(lua_State *L, int table) {
  return has(L, table, "family") && has(L, table, "type") &&
         has(L, table, "protocol") && has(L, table, "scope") &&
         has(L, table, "table");
}

/* The link of the first nexthop. */
static bool put_first_link(const nn_codec *codec, int table,
                           struct nl_msg *msg) {
  const bool some = push_nexthops(codec, table) > 0;
  if (some) {
    lua_rawgeti(codec->L, -1, 1);
    if (!nn_fields_write(codec, link_field, lua_gettop(codec->L), msg))
      return false;
    lua_pop(codec->L, 1);
  }
  lua_pop(codec->L, 1);
  return true;
}

/* The nexthops; none if a nexthop object has them. Of IPv6 the kernel deletes
   each hop as if it were a route, and all of a route's hops only if no gateway
   is given; without one a gateway of zeros tells that there is none. */
static bool put_ways(const nn_codec *codec, int table, struct nl_msg *msg,
                     const struct rtmsg *head) {
  const int family = head->rtm_family;
  const bool listed = codec->keys && is_complete(codec->L, table);
  address via;
  if (has(codec->L, table, "nhid"))
    return true;
  if (family == AF_INET6 && listed && has(codec->L, table, "nexthops"))
    return put_first_link(codec, table, msg);
  if (!get_address(codec, table, "via", &via))
    return false;
  if (family == AF_INET6 && listed && via.family == AF_UNSPEC)
    via = (address){.family = AF_INET6, .size = 16};
  return refuse_encap(codec, table) && put_via(codec, &via, family, msg) &&
         nn_fields_write(codec, link_field, table, msg) &&
         put_hops(codec, table, family, msg);
}

/* The seconds until the kernel removes the route: whole ones, rounded up. */
static bool put_expires(const nn_codec *codec, int table, struct nl_msg *msg) {
  lua_State *L = codec->L;
  const int type = lua_getfield(L, table, "expires");
  if (type != LUA_TNIL && type != LUA_TNUMBER)
    nn_wrong_type(codec, "expires", "seconds");
  const double seconds = type == LUA_TNIL ? 1 : lua_tonumber(L, -1);
  if (!(seconds > 0 && seconds <= INT32_MAX / 100))
    return nn_refuse(codec, ERANGE, "expires", luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
  if (type == LUA_TNIL || codec->keys)
    return true;
  const uint32_t whole = (uint32_t)seconds;
  return nla_put_u32(msg, RTA_EXPIRES, whole + (whole < seconds)) == 0 ||
         too_large(codec);
}

/* What `ip route` takes for the table and the scope that are not given. */
static void put_defaults(lua_State *L, int table, struct rtmsg *head,
                         bool adding) {
  const unsigned char type = head->rtm_type;
  const bool link_only = type == RTN_BROADCAST || type == RTN_ANYCAST ||
                         type == RTN_MULTICAST ||
                         (adding && type == RTN_UNICAST &&
                          !has(L, table, "via") && !has(L, table, "nhid") &&
                          !has(L, table, "nexthops"));
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

/* Writes the table at 2 as a request. */
static bool put_route(const nn_codec *codec, struct nl_msg *msg) {
  lua_State *L = codec->L;
  const bool adding = !codec->keys;
  const struct rtmsg start = {.rtm_type = adding ? RTN_UNICAST : RTN_UNSPEC,
                              .rtm_protocol =
                                  adding ? RTPROT_BOOT : RTPROT_UNSPEC};
  nlmsg_append(msg, (void *)&start, sizeof start, NLMSG_ALIGNTO);
  struct rtmsg *head = nlmsg_data(nlmsg_hdr(msg));
  const bool over = has(L, 2, "nhid");
  if (nn_flag_get(codec, 2, "onlink") && !over)
    head->rtm_flags |= RTNH_F_ONLINK;
  if (!put_addresses(codec, 2, msg, head) ||
      !nn_head_write(codec, head_fields, 2, msg, head) ||
      !nn_head_write(codec, tos_field, 2, msg, head) ||
      !nn_fields_write(codec, route_fields, 2, msg) ||
      !put_expires(codec, 2, msg) || !put_ways(codec, 2, msg, head))
    return false;
  put_defaults(L, 2, head, adding);
  /* a nexthop object that is a blackhole is listed as the route's type */
  if (over && !adding)
    head->rtm_type = RTN_UNSPEC;
  return true;
}

/* Sends the table at 2 as a request: true, or nil, message, errno. */
static int change(lua_State *L, const char *what, int flags) {
  nn_codec codec;
  nn_arg_table(L, 2, what, "route");
  lua_settop(L, 2);
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  nn_fields_check(&codec, 2, known, unlisted);
  struct nl_msg *msg = nn_msg_push(L, RTM_NEWROUTE, flags);
  if (!put_route(&codec, msg)) {
    nn_ns_done(ns);
    return 3;
  }
  return nn_change(&codec, ns, msg, get_text(&codec, 2, "to"));
}

/***
Makes a route: `ip -n NAME route add …`.
@function route_add
@param NS
@tparam table route `to`, a prefix (`"192.0.2.0/24"`), an address or
`"default"`; `from`, the prefix of packets' sources (IPv6); `via`, the gateway;
`link`; `metric`; `tos` (IPv4); `table` (a number, `"main"`, `"local"`,
`"default"`); `type` (`"unicast"`, `"blackhole"`, `"unreachable"`, `"prohibit"`,
`"throw"`, …); `src`; `scope`; `protocol`; `onlink`; `pref` (IPv6); `realms`
(IPv4), a number or `"1/3"`; `expires` in seconds (IPv6); `nexthops`, an array
of tables with `via`, `link`, `weight` (1 to 256), `realms` and `onlink`;
`nhid`, the id of a nexthop object: then `via`, `link`, `onlink` and `nexthops`
are passed over; the metrics `mtu` in bytes, `window`, `rtt`, `rttvar` and
`rto_min` in seconds or as `"40ms"`, `ssthresh`, `cwnd`, `advmss`, `reordering`,
`hoplimit`, `initcwnd`, `initrwnd`, `features` (`{ "ecn" }`), `quickack`,
`congctl`, `fastopen_no_cookie`; `lock`, an array of the names of metrics that
the kernel does not change (`{ "mtu" }`); `family` (`"inet"`, `"inet6"`), if no
address tells. A table of @{routes} will do, unless it has `unknown`, `encap` or
`ttl_propagate`, which are refused
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST, ENETUNREACH, EHOSTUNREACH, ENODEV, EINVAL,
EOPNOTSUPP for what can only be listed
@usage vpn:route_add { to = "default", via = "192.0.2.1" }
*/
static int route_add(lua_State *L) {
  return change(L, "route_add", NLM_F_CREATE | NLM_F_EXCL);
}

/***
Makes a route behind those of the same prefix, `tos` and `metric`: `ip -n NAME
route append …`. Of IPv6 it becomes another nexthop of such a route.
@function route_append
@param NS
@tparam table route as for @{route_add}
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST if the same route is there
*/
static int route_append(lua_State *L) {
  return change(L, "route_append", NLM_F_CREATE | NLM_F_APPEND);
}

/* --- deleting ------------------------------------------------------------ */

/* Whether a field of a listed route does not tell it from others; `over` a
   nexthop object are its nexthops, too. */
static bool is_state(const char *name, bool over) {
  static const char *const state[] = {"expires", "index", "iif", "mark", "uid",
                                      NULL};
  static const char *const derived[] = {"via",    "link",  "nexthops",
                                        "onlink", "encap", NULL};
  for (const nn_name *flag = flag_names + 1; flag->text != NULL; flag++)
    if (strcmp(flag->text, name) == 0)
      return true;
  for (int i = 0; state[i] != NULL; i++)
    if (strcmp(state[i], name) == 0)
      return true;
  for (int i = 0; over && derived[i] != NULL; i++)
    if (strcmp(derived[i], name) == 0)
      return true;
  return false;
}

static bool is_same(lua_State *L, int a, int b, bool over);

/* Whether the table at `b` has all that the one at `a` has. */
static bool has_all(lua_State *L, int a, int b, bool over) {
  luaL_checkstack(L, 8, NULL);
  lua_pushnil(L);
  while (lua_next(L, a) != 0) {
    const int top = lua_gettop(L);
    bool same = lua_type(L, -2) == LUA_TSTRING &&
                is_state(lua_tostring(L, -2), over);
    if (!same) {
      lua_pushvalue(L, -2);
      lua_rawget(L, b);
      same = is_same(L, top, top + 1, over);
      lua_settop(L, top);
    }
    lua_pop(L, 1);
    if (!same) {
      lua_pop(L, 1);
      return false;
    }
  }
  return true;
}

/* Whether two values of listed routes are equal; false is what is not there. */
static bool is_same(lua_State *L, int a, int b, bool over) {
  if (lua_istable(L, a) && lua_istable(L, b))
    return has_all(L, a, b, over) && has_all(L, b, a, over);
  return lua_rawequal(L, a, b) ||
         (!lua_toboolean(L, a) && !lua_toboolean(L, b));
}

/* Copies the nexthops without the flags that are the kernel's. */
static void copy_hops(struct nl_msg *msg, const struct nlattr *attr) {
  struct nlattr *copy = nla_reserve(msg, RTA_MULTIPATH, nla_len(attr));
  if (copy == NULL)
    return;
  memcpy(nla_data(copy), nla_data(attr), (size_t)nla_len(attr));
  struct rtnexthop *hop = nla_data(copy);
  int left = nla_len(copy);
  while (left >= (int)sizeof *hop && RTNH_OK(hop, left)) {
    hop->rtnh_flags &= RTNH_F_ONLINK;
    left -= (int)RTNH_ALIGN(hop->rtnh_len);
    hop = RTNH_NEXT(hop);
  }
}

/* Whether an attribute of a deleted route has no part in a request for it. */
static bool is_left_out(int type, bool over) {
  switch (type) {
  case RTA_CACHEINFO:
  case RTA_PAD:
    return true;
  case RTA_OIF:
  case RTA_GATEWAY:
  case RTA_VIA:
  case RTA_MULTIPATH:
  case RTA_FLOW:
  case RTA_ENCAP:
  case RTA_ENCAP_TYPE:
    return over;
  default:
    return false;
  }
}

/* Pushes a request that makes the route which a message tells, before those of
   the same prefix, tos and metric. */
static void push_restore(lua_State *L, const struct nlmsghdr *deleted) {
  struct rtmsg head = *(const struct rtmsg *)nlmsg_data(deleted);
  struct nl_msg *msg = nn_msg_push(L, RTM_NEWROUTE, NLM_F_CREATE);
  const struct nlattr *attr = nlmsg_attrdata(deleted, sizeof head);
  int left = nlmsg_attrlen(deleted, sizeof head);
  const bool over = nla_find(attr, left, RTA_NH_ID) != NULL;
  head.rtm_flags &= over ? 0 : RTNH_F_ONLINK;
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  for (; nla_ok(attr, left); attr = nla_next(attr, &left)) {
    struct rta_cacheinfo info;
    if (nla_type(attr) == RTA_CACHEINFO && head.rtm_family == AF_INET6 &&
        nla_len(attr) >= (int)sizeof info) {
      memcpy(&info, nla_data(attr), sizeof info);
      if (info.rta_expires > 0)
        nla_put_u32(msg, RTA_EXPIRES, (uint32_t)(info.rta_expires + 99) / 100);
    }
    if (is_left_out(nla_type(attr), over))
      continue;
    if (nla_type(attr) == RTA_MULTIPATH)
      copy_hops(msg, attr);
    else
      nla_put(msg, nla_type(attr), nla_len(attr), nla_data(attr));
  }
}

/* Sends a request for a deletion, and adds to the array `others` requests that
   make the deleted routes again, unless it is the listed one at 2: 1 then, 0 if
   it was another, -1 for an error. */
static int delete_first(const nn_codec *codec, struct nl_msg *msg, int others,
                        nn_ack *ack) {
  lua_State *L = codec->L;
  const struct nlmsghdr *echo;
  int result = -1;
  nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK | NLM_F_ECHO;
  *ack = (nn_ack){.err = nn_rtnl_send(codec->rtnl, nlmsg_hdr(msg))};
  while (ack->err == 0 && (echo = nn_rtnl_next(codec->rtnl, ack)) != NULL) {
    const int top = lua_gettop(L);
    if (echo->nlmsg_type != RTM_DELROUTE || !nn_push_route(codec, echo))
      continue;
    if (is_same(L, 2, top + 1, has(L, 2, "nhid") && has(L, top + 1, "nhid"))) {
      result = 1;
    } else {
      push_restore(L, echo);
      lua_rawseti(L, others, (int)lua_rawlen(L, others) + 1);
      result = result == 1 ? 1 : 0;
    }
    lua_settop(L, top);
  }
  if (ack->err == 0 && result < 0)
    *ack = (nn_ack){ENOBUFS, "which route was deleted is not known"};
  return ack->err == 0 ? result : -1;
}

/* Makes again what `others` has, the last one first, as each gets before the
   others; ack->err of the first failure. */
static int restore(const nn_codec *codec, int others, nn_ack *ack) {
  lua_State *L = codec->L;
  nn_ack failure = {.err = 0};
  for (int i = (int)lua_rawlen(L, others); i > 0; i--) {
    lua_rawgeti(L, others, i);
    struct nl_msg *msg = *(struct nl_msg **)lua_touserdata(L, -1);
    nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
    if (nn_rtnl_change(codec->rtnl, nlmsg_hdr(msg), ack) != 0 &&
        failure.err == 0)
      failure = *ack;
    lua_pop(L, 1);
  }
  *ack = failure;
  return ack->err;
}

/* Deletes the listed route at 2. The kernel deletes the first route that has
   what a request has, and a request cannot tell everything: of IPv4 not that
   there is no `src`, say, nor the weights. So it tells what it has deleted, and
   where that was another route the next one is tried, until it is the right
   one; then the others are made again. */
static int delete_listed(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg) {
  lua_State *L = codec->L;
  nn_ack ack, verdict;
  int result;
  lua_newtable(L);
  const int others = lua_gettop(L);
  do
    result = delete_first(codec, msg, others, &verdict);
  while (result == 0);
  const int err = restore(codec, others, &ack);
  nn_ns_done(ns);
  const char *to = get_text(codec, 2, "to");
  if (err != 0)
    return nn_rtnl_fail(L, &ack,
                        "%s %s: %s: another route that was deleted could not "
                        "be restored",
                        codec->what, nn_ns_label(L, 1), to);
  if (result < 0)
    return nn_rtnl_fail(L, &verdict, "%s %s: %s", codec->what,
                        nn_ns_label(L, 1), to);
  lua_pushboolean(L, true);
  return 1;
}

/***
Takes a route away: `ip -n NAME route delete …`. A table of @{routes} is that
route and no other; any other table deletes the first route that matches every
given field which the kernel compares (of IPv6 neither `src`, `type` nor
metrics but `metric`).
@function route_delete
@param NS
@tparam table route as for @{route_add}
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ESRCH if there is none, ENODEV, EINVAL
*/
static int route_delete(lua_State *L) {
  nn_codec codec;
  nn_arg_table(L, 2, "route_delete", "route");
  lua_settop(L, 2);
  nn_ns *ns = nn_codec_open(L, "route_delete", &codec);
  if (ns == NULL)
    return 3;
  codec.keys = true;
  nn_fields_check(&codec, 2, known, unlisted);
  struct nl_msg *msg = nn_msg_push(L, RTM_DELROUTE, 0);
  if (!put_route(&codec, msg)) {
    nn_ns_done(ns);
    return 3;
  }
  return is_complete(L, 2)
             ? delete_listed(&codec, ns, msg)
             : nn_change(&codec, ns, msg, get_text(&codec, 2, "to"));
}

void nn_open_route(lua_State *L) {
  static const luaL_Reg functions[] = {{"routes", route_list},
                                       {"route_add", route_add},
                                       {"route_append", route_append},
                                       {"route_delete", route_delete},
                                       {"route_get", route_get},
                                       {NULL, NULL}};
  nn_ns_functions(L, functions);
}
