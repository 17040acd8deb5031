/***
addr.c: addresses, as `ip address` has them.
@module netns
*/
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "netns.h"

#define FOREVER UINT32_MAX /* a lifetime */
#define END                                                                    \
  { .name = NULL }

/* <linux/if_addr.h> of Linux 5.18 and later has them */
#define ADDR_PROTO 11
enum { PROTO_LO = 1, PROTO_RA, PROTO_LL };

/* --- what an address is made of ------------------------------------------ */

static const nn_name scopes[] = {
    {"global", RT_SCOPE_UNIVERSE}, {"site", RT_SCOPE_SITE},
    {"link", RT_SCOPE_LINK},       {"host", RT_SCOPE_HOST},
    {"nowhere", RT_SCOPE_NOWHERE}, {NULL, 0}};

static const nn_name protocols[] = {{"kernel_lo", PROTO_LO},
                                    {"kernel_ra", PROTO_RA},
                                    {"kernel_ll", PROTO_LL},
                                    {NULL, 0}};

static const nn_name lifetimes[] = {{"forever", FOREVER}, {NULL, 0}};

#define HEAD(member) offsetof(struct ifaddrmsg, member)

static const nn_field head_fields[] = {
    {"index", HEAD(ifa_index), NN_U32, NN_STATE, NULL},
    {"link", HEAD(ifa_index), NN_LINK, NN_STATE, NULL},
    {"family", HEAD(ifa_family), NN_NAME8, NN_STATE, nn_families},
    {"prefixlen", HEAD(ifa_prefixlen), NN_U8, NN_STATE, NULL},
    {"scope", HEAD(ifa_scope), NN_NAME8, NN_STATE, scopes},
    END};

/* `local` and `address` are keys, which get_prefixes writes. */
static const nn_field attributes[] = {
    {"local", IFA_LOCAL, NN_IP, NN_STATE, NULL},
    {"address", IFA_ADDRESS, NN_IP, NN_STATE, NULL},
    {"broadcast", IFA_BROADCAST, NN_IP, NN_STATE, NULL},
    {"anycast", IFA_ANYCAST, NN_IP, NN_SHOWN, NULL},
    {"multicast", IFA_MULTICAST, NN_IP, NN_SHOWN, NULL},
    {"label", IFA_LABEL, NN_TEXT, NN_SETTING, NULL},
    {"metric", IFA_RT_PRIORITY, NN_U32, NN_SETTING, NULL},
    {"protocol", ADDR_PROTO, NN_NAME8, NN_SETTING, protocols},
    {"flags", IFA_FLAGS, NN_OTHER, NN_STATE, NULL},
    {"times", IFA_CACHEINFO, NN_OTHER, NN_STATE, NULL},
    {"netnsid", IFA_TARGET_NETNSID, NN_OTHER, NN_STATE, NULL},
    END};

static const nn_field cacheinfo[] = {
    {"valid_life_time", offsetof(struct ifa_cacheinfo, ifa_valid), NN_U32,
     NN_STATE, NULL},
    {"preferred_life_time", offsetof(struct ifa_cacheinfo, ifa_prefered),
     NN_U32, NN_STATE, NULL},
    END};

typedef struct flag {
  const char *name;
  uint32_t bit;
  int family; /* that has it; AF_UNSPEC: both */
  bool fixed; /* told by the kernel, not set */
} flag;

static const flag flags[] = {
    {"secondary", IFA_F_SECONDARY, AF_INET, true},
    {"temporary", IFA_F_TEMPORARY, AF_INET6, true},
    {"nodad", IFA_F_NODAD, AF_INET6, false},
    {"optimistic", IFA_F_OPTIMISTIC, AF_INET6, false},
    {"dadfailed", IFA_F_DADFAILED, AF_INET6, true},
    {"home", IFA_F_HOMEADDRESS, AF_INET6, false},
    {"deprecated", IFA_F_DEPRECATED, AF_UNSPEC, true},
    {"tentative", IFA_F_TENTATIVE, AF_INET6, true},
    {"mngtmpaddr", IFA_F_MANAGETEMPADDR, AF_INET6, false},
    {"noprefixroute", IFA_F_NOPREFIXROUTE, AF_UNSPEC, false},
    {"autojoin", IFA_F_MCAUTOJOIN, AF_UNSPEC, false},
    {"stable-privacy", IFA_F_STABLE_PRIVACY, AF_INET6, true},
    {NULL, 0, 0, false}};

static bool has_flag(const struct ifaddrmsg *info, const flag *which) {
  return which->family == AF_UNSPEC || which->family == info->ifa_family;
}

/* --- reading ------------------------------------------------------------- */

/* The kernel tells two addresses, or for IPv6 one if there is no peer. In the
   table it is `local`, and `address` is its peer's. */
static void set_local(lua_State *L) {
  lua_getfield(L, -1, "address");
  if (lua_getfield(L, -2, "local") == LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_setfield(L, -4, "local");
  }
  if (lua_isnil(L, -1) || lua_rawequal(L, -1, -2)) {
    lua_pushnil(L);
    lua_setfield(L, -4, "address");
  }
  lua_pop(L, 2);
}

static void set_true(lua_State *L, const char *name) {
  lua_pushboolean(L, true);
  lua_setfield(L, -2, name);
}

/* Passes over the addresses of families that are none of ours. */
bool nn_push_addr(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct ifaddrmsg *info = nlmsg_data(msg);
  if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
    return false;
  const struct nlattr *attrs = nlmsg_attrdata(msg, sizeof *info);
  const int len = nlmsg_attrlen(msg, sizeof *info);
  lua_createtable(L, 0, 12);
  nn_head_read(codec, head_fields, info);
  nn_fields_read(codec, attributes, attrs, len);
  set_local(L);
  const struct nlattr *times = nla_find(attrs, len, IFA_CACHEINFO);
  if (times != NULL && nla_len(times) >= (int)sizeof(struct ifa_cacheinfo))
    nn_head_read(codec, cacheinfo, nla_data(times));
  const struct nlattr *all = nla_find(attrs, len, IFA_FLAGS);
  const uint32_t bits = all != NULL && nla_len(all) >= (int)sizeof bits
                            ? nla_get_u32(all)
                            : info->ifa_flags;
  for (const flag *each = flags; each->name != NULL; each++)
    if (bits & each->bit && has_flag(info, each))
      set_true(L, each->name);
  if (!(bits & IFA_F_PERMANENT))
    set_true(L, "dynamic");
  return true;
}

/* Only a link that is there has a name. */
static bool is_link(const nn_codec *codec, unsigned index) {
  nn_link_push(codec, index);
  const bool is = lua_type(codec->L, -1) == LUA_TSTRING;
  lua_pop(codec->L, 1);
  return is;
}

/* A lifetime, which is a number in rows, may be written as a word. */
static nn_spelling spell_lifetime(const nn_codec *codec, const char *key) {
  const nn_field field = {key, 0, NN_NAME32, NN_STATE, lifetimes};
  const nn_spelling spelling = nn_field_spell(codec, &field);
  if (spelling == NN_SPELT && lua_type(codec->L, -1) == LUA_TSTRING)
    lua_pushinteger(codec->L, FOREVER);
  return spelling;
}

static bool is_flag(const char *name) {
  const flag *each = flags;
  while (each->name != NULL && strcmp(each->name, name) != 0)
    each++;
  return each->name != NULL || strcmp(name, "dynamic") == 0;
}

static nn_spelling spell_addr(const nn_codec *codec, const char *key, int nth) {
  static const nn_field *const times[] = {cacheinfo, NULL};
  static const nn_field *const fields[] = {head_fields, attributes, NULL};
  const nn_field boolean = {key, 0, NN_BOOL, NN_STATE, NULL};
  int skip = nth;
  if (key == NULL) {
    nn_filter_names(codec->L, times);
    for (const flag *each = flags; each->name != NULL; each++)
      set_true(codec->L, each->name);
    set_true(codec->L, "dynamic");
    return nn_fields_spell(codec, fields, key, nth);
  }
  if (nth == 0 && nn_fields_find(times, key, &skip) != NULL)
    return spell_lifetime(codec, key);
  if (nth == 0 && is_flag(key))
    return nn_field_spell(codec, &boolean);
  return nn_fields_spell(codec, fields, key, nth);
}

/* After a triple was pushed. */
static int done(nn_ns *ns) {
  nn_ns_done(ns);
  return 3;
}

/***
The addresses of a namespace: `ip -n NAME address [show dev LINK]`.
@function addrs
@param NS
@tparam[opt] table filter fields that an address has to have, such as
`{ link = "eth0", family = "inet6" }`; `link` may be an index
@treturn[1] {table,...} IPv4 before IPv6, with the names of `ip -json address`:
`link`, `index`, `family`, `local`, `prefixlen`, `address` (the peer's, if there
is one), `broadcast`, `scope`, `label`, `metric`, `protocol`,
`valid_life_time` and `preferred_life_time` in seconds (4294967295: for ever),
and `true` for each flag that it has: `nodad`, `tentative`, `dadfailed`,
`deprecated`, `dynamic`, `secondary`, `temporary`, `noprefixroute`, …
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV if there is no such link
*/
static int addr_list(lua_State *L) {
  static const nn_field family[] = {
      {"family", HEAD(ifa_family), NN_NAME8, NN_SETTING, nn_families}, END};
  nn_codec codec;
  /* A link is not asked of the kernel: if it selects one, it does not tell that
     a dump was interrupted (as of Linux 6.18). */
  struct ifaddrmsg wanted = {.ifa_family = AF_UNSPEC};
  lua_settop(L, 2);
  nn_opt_table(L, 2, "addrs", "filter");
  nn_ns *ns = nn_codec_open(L, "addrs", &codec);
  if (ns == NULL)
    return 3;
  if (!nn_filter_push(&codec, 2, spell_addr))
    return done(ns);
  struct nl_msg *msg = nn_msg_push(L, RTM_GETADDR, NLM_F_DUMP);
  if (!nn_head_write(&codec, family, 2, msg, &wanted))
    return done(ns);
  if (lua_getfield(L, 2, "link") != LUA_TNIL && lua_toboolean(L, -1) &&
      !is_link(&codec, nn_link_index(&codec, -1))) {
    nn_refuse(&codec, ENODEV, "link", luaL_tolstring(L, -1, NULL));
    return done(ns);
  }
  nlmsg_append(msg, &wanted, sizeof wanted, NLMSG_ALIGNTO);
  return nn_dump(&codec, ns, msg, nn_push_addr, 3);
}

/* --- writing ------------------------------------------------------------- */

/* The decimal digits from `text` to `end`, up to *len, into it. */
static int parse_length(const char *text, const char *end, int *len) {
  int value = 0;
  if (text == end || (*text == '0' && end - text > 1))
    return EINVAL;
  for (; text < end; text++) {
    if (*text < '0' || *text > '9')
      return EINVAL;
    if (value <= *len)
      value = value * 10 + (*text - '0');
  }
  if (value > *len)
    return ERANGE;
  *len = value;
  return 0;
}

int nn_parse_prefix(const char *text, size_t size, nn_prefix *prefix) {
  char address[INET6_ADDRSTRLEN];
  const char *slash = memchr(text, '/', size);
  const size_t len = slash != NULL ? (size_t)(slash - text) : size;
  memset(prefix, 0, sizeof *prefix);
  if (len >= sizeof address || memchr(text, '\0', len) != NULL)
    return EINVAL;
  memcpy(address, text, len);
  address[len] = '\0';
  prefix->size = nn_parse_ip(address, prefix->bytes);
  if (prefix->size == 0)
    return EINVAL;
  prefix->family = prefix->size == 4 ? AF_INET : AF_INET6;
  prefix->len = prefix->size * 8;
  return slash == NULL ? 0 : parse_length(slash + 1, text + size, &prefix->len);
}

/* Pushes the field `name` of the options; NULL if it is nil. */
static const char *push_text(const nn_codec *codec, const char *name,
                             size_t *len) {
  lua_State *L = codec->L;
  const int type = lua_getfield(L, 4, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    nn_wrong_type(codec, name, "string");
  return lua_tolstring(L, -1, len);
}

/* The address, which is the third argument, and its peer: without one, the
   same. The length of the prefix is the peer's. */
static bool get_prefixes(const nn_codec *codec, nn_prefix *local,
                         nn_prefix *peer) {
  size_t len;
  const char *text = lua_tolstring(codec->L, 3, &len);
  int err = nn_parse_prefix(text, len, local);
  if (err != 0)
    return nn_refuse(codec, err, "address", text);
  *peer = *local;
  text = push_text(codec, "peer", &len);
  if (text == NULL)
    return true;
  err = nn_parse_prefix(text, len, peer);
  if (err == 0 && peer->family != local->family)
    err = EINVAL;
  return err == 0 || nn_refuse(codec, err, "peer", text);
}

/* "+": the prefix with all bits of the host set, if there are at least two. */
static bool put_broadcast(const nn_codec *codec, struct nl_msg *msg,
                          const nn_prefix *prefix) {
  unsigned char bytes[16];
  size_t len;
  const char *text = push_text(codec, "broadcast", &len);
  if (text == NULL)
    return true;
  if (prefix->family != AF_INET)
    return nn_refuse(codec, EINVAL, "broadcast", text);
  if (strcmp(text, "+") == 0) {
    memcpy(bytes, prefix->bytes, sizeof bytes);
    for (int bit = prefix->len; bit < 32; bit++)
      bytes[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
    return prefix->len > 30 || nla_put(msg, IFA_BROADCAST, 4, bytes) == 0;
  }
  if (strlen(text) != len || nn_parse_ip(text, bytes) != 4)
    return nn_refuse(codec, EINVAL, "broadcast", text);
  return nla_put(msg, IFA_BROADCAST, 4, bytes) == 0;
}

/* Those that the address's family does not have are passed over, as ip does. */
static bool put_flags(const nn_codec *codec, struct nl_msg *msg,
                      const struct ifaddrmsg *info) {
  uint32_t bits = 0;
  for (const flag *each = flags; each->name != NULL; each++)
    if (!each->fixed && nn_flag_get(codec, 4, each->name) &&
        has_flag(info, each))
      bits |= each->bit;
  return nla_put_u32(msg, IFA_FLAGS, bits) == 0;
}

/* The preferred one, if it is not said, is as long as the valid one. */
static bool put_lifetimes(const nn_codec *codec, struct nl_msg *msg) {
  static const nn_field valid[] = {{"valid_life_time",
                                    offsetof(struct ifa_cacheinfo, ifa_valid),
                                    NN_NAME32, NN_SETTING, lifetimes},
                                   END};
  static const nn_field preferred[] = {
      {"preferred_life_time", offsetof(struct ifa_cacheinfo, ifa_prefered),
       NN_NAME32, NN_SETTING, lifetimes},
      END};
  struct ifa_cacheinfo times = {.ifa_valid = FOREVER};
  if (!nn_head_write(codec, valid, 4, msg, &times))
    return false;
  times.ifa_prefered = times.ifa_valid;
  return nn_head_write(codec, preferred, 4, msg, &times) &&
         nla_put(msg, IFA_CACHEINFO, sizeof times, &times) == 0;
}

static bool put_scope(const nn_codec *codec, struct nl_msg *msg,
                      const nn_prefix *local, struct ifaddrmsg *info) {
  static const nn_field scope[] = {
      {"scope", HEAD(ifa_scope), NN_NAME8, NN_SETTING, scopes}, END};
  if (local->family == AF_INET && local->bytes[0] == 127)
    info->ifa_scope = RT_SCOPE_HOST;
  return nn_head_write(codec, scope, 4, msg, info);
}

/* Pushes the field `name` of the row at 2, an address, with the length of the
   prefix if it is to have one. */
static void push_address(lua_State *L, const char *what, const char *name,
                         bool whole) {
  if (lua_getfield(L, 2, name) != LUA_TSTRING)
    nn_raise_type(L, what, name, "string", -1);
  if (whole || lua_getfield(L, 2, "prefixlen") == LUA_TNIL)
    return;
  if (lua_type(L, -1) != LUA_TNUMBER)
    nn_raise_type(L, what, "prefixlen", "integer", -1);
  lua_pushfstring(L, "%s/%d", lua_tostring(L, -2),
                  (int)lua_tointeger(L, -1));
}

/* Takes a row that is the second argument apart: its link, its address, and as
   options the rest of it. */
static void take_row(lua_State *L, const char *what) {
  static const char *const keys[] = {"link",      "index",   "family", "local",
                                     "prefixlen", "address", NULL};
  static const char *const none[] = {NULL};
  lua_settop(L, 2);
  nn_filter_copy(L, 2, none);
  const int opts = lua_gettop(L);
  const bool has_peer = lua_getfield(L, 2, "address") != LUA_TNIL;
  if (has_peer) {
    push_address(L, what, "address", false);
    lua_setfield(L, opts, "peer");
  }
  for (const char *const *key = keys; *key != NULL; key++) {
    lua_pushnil(L);
    lua_setfield(L, opts, *key);
  }
  push_address(L, what, "local", has_peer);
  lua_insert(L, 3);
  lua_pushvalue(L, opts + 1);
  lua_insert(L, 4);
  lua_settop(L, 4);
  lua_getfield(L, 2, "link");
  lua_replace(L, 2);
}

/* The arguments from the second on: link, address, options; or a row. */
static void check_arguments(lua_State *L, const char *what) {
  if (lua_istable(L, 2) && lua_isnoneornil(L, 3))
    take_row(L, what);
  lua_settop(L, 4);
  nn_arg_link(L, 2, what);
  nn_arg_string(L, 3, what, "address", NULL);
  nn_opt_table(L, 4, what, "opts");
}

/* What may be in options: what is put besides `attributes`, and the state that
   rows have. */
static const char *const options[] = {"peer",
                                      "broadcast",
                                      "scope",
                                      "valid_life_time",
                                      "preferred_life_time",
                                      "nodad",
                                      "home",
                                      "mngtmpaddr",
                                      "noprefixroute",
                                      "optimistic",
                                      "autojoin",
                                      "dynamic",
                                      "secondary",
                                      "temporary",
                                      "dadfailed",
                                      "deprecated",
                                      "tentative",
                                      "stable-privacy",
                                      NULL};
static const nn_field *const known[] = {attributes, NULL};

/* nil, message, errno about a link; `address` may be "". */
static int fail(const nn_codec *codec, nn_ns *ns, const nn_ack *ack,
                const char *address) {
  lua_State *L = codec->L;
  nn_ns_done(ns);
  return nn_rtnl_fail(L, ack, "%s %s: %s%s%s", codec->what, nn_ns_label(L, 1),
                      luaL_tolstring(L, 2, NULL), address[0] ? " " : "",
                      address);
}

/* Adds the address, or takes it away: true, or nil, message, errno. */
static int change(const nn_codec *codec, nn_ns *ns, int type) {
  lua_State *L = codec->L;
  const char *address = lua_tostring(L, 3);
  const bool add = type == RTM_NEWADDR;
  nn_prefix local = {.size = 0}, peer = local;
  nn_ack ack = {.err = 0};
  struct ifaddrmsg info = {.ifa_index = nn_link_index(codec, 2)};
  if (info.ifa_index == 0) {
    ack.err = errno;
    return fail(codec, ns, &ack, "");
  }
  if (!get_prefixes(codec, &local, &peer))
    return done(ns);
  info.ifa_family = (uint8_t)local.family;
  info.ifa_prefixlen = (uint8_t)peer.len;
  struct nl_msg *msg =
      nn_msg_push(L, type, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  if (add && !put_scope(codec, msg, &local, &info))
    return done(ns);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  nla_put(msg, IFA_LOCAL, local.size, local.bytes);
  nla_put(msg, IFA_ADDRESS, peer.size, peer.bytes);
  if (add && !(put_broadcast(codec, msg, &peer) &&
               put_flags(codec, msg, &info) && put_lifetimes(codec, msg) &&
               nn_fields_write(codec, attributes, 4, msg)))
    return done(ns);
  if (nn_rtnl_change(codec->rtnl, nlmsg_hdr(msg), &ack) != 0)
    return fail(codec, ns, &ack, address);
  nn_ns_done(ns);
  lua_pushboolean(L, true);
  return 1;
}

/***
Gives a link an address: `ip -n NAME address add ADDRESS dev LINK …`.
@function addr_add
@param NS
@tparam string|integer|table link a name or an index; or a row of @{addrs}
alone, whose address is added again as it was
@tparam string address with the length of its prefix, `"10.0.0.1/24"`; without,
that is 32 or 128
@tparam[opt] table opts `peer`, the address of the other end, whose length of
prefix then counts; `broadcast`, an address or `"+"`; `scope`, a name or a
number; `label`; `metric`; `valid_life_time` and `preferred_life_time`, in whole
seconds or `"forever"`; `protocol`; `noprefixroute`, `autojoin`; and for IPv6,
while IPv4 passes over them, `nodad`, `home`, `mngtmpaddr`, `optimistic`
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST; ENODEV if there is no such link; EINVAL or
ERANGE for an address that is none; EPERM
*/
static int addr_add(lua_State *L) {
  nn_codec codec;
  check_arguments(L, "addr_add");
  nn_ns *ns = nn_codec_open(L, "addr_add", &codec);
  if (ns == NULL)
    return 3;
  nn_fields_check(&codec, 4, known, options);
  return change(&codec, ns, RTM_NEWADDR);
}

/***
Takes an address away: `ip -n NAME address delete ADDRESS dev LINK`.
@function addr_delete
@param NS
@tparam string|integer|table link a name or an index; or a row of @{addrs} alone
@tparam string address as for @{addr_add}
@tparam[opt] table opts `peer`, which belongs to an IPv4 address that has one;
what else @{addr_add} takes tells no two apart
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EADDRNOTAVAIL if the link does not have it; ENODEV,
EINVAL, ERANGE, EPERM
*/
static int addr_delete(lua_State *L) {
  nn_codec codec;
  check_arguments(L, "addr_delete");
  nn_ns *ns = nn_codec_open(L, "addr_delete", &codec);
  if (ns == NULL)
    return 3;
  nn_fields_check(&codec, 4, known, options);
  return change(&codec, ns, RTM_DELADDR);
}

/* What the kernel has said of an address, for saying it back. */
static bool push_payload(const nn_codec *codec, const struct nlmsghdr *msg) {
  const struct ifaddrmsg *info = nlmsg_data(msg);
  if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
    return false;
  lua_pushlstring(codec->L, nlmsg_data(msg), (size_t)nlmsg_datalen(msg));
  return true;
}

/* Takes away those of a link among the addresses in the array on top; how many
   there were, or -1. The last come first, so that none is secondary to one that
   goes. What went by itself meanwhile, as temporary addresses do with their
   origin, is well. */
static lua_Integer delete_all(const nn_codec *codec, unsigned index,
                              nn_ack *ack) {
  lua_State *L = codec->L;
  const int list = lua_gettop(L);
  lua_Integer count = 0;
  struct nl_msg *msg = nn_msg_push(L, RTM_DELADDR, 0);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, list); i > 0; i--) {
    struct ifaddrmsg info;
    size_t len;
    lua_rawgeti(L, list, i);
    const char *payload = lua_tolstring(L, -1, &len);
    memcpy(&info, payload, sizeof info);
    nlmsg_hdr(msg)->nlmsg_len = NLMSG_HDRLEN;
    nlmsg_append(msg, (void *)payload, len, NLMSG_ALIGNTO);
    lua_pop(L, 1);
    if (info.ifa_index != index)
      continue;
    count++;
    if (nn_rtnl_change(codec->rtnl, nlmsg_hdr(msg), ack) != 0 &&
        ack->err != EADDRNOTAVAIL)
      return -1;
  }
  return count;
}

/***
Takes all addresses of a link away, IPv4 and IPv6: `ip -n NAME address flush dev
LINK`.
@function addr_flush
@param NS
@tparam string|integer link a name or an index
@treturn[1] integer how many there were
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV, EPERM
*/
static int addr_flush(lua_State *L) {
  nn_codec codec;
  nn_ack ack;
  struct ifaddrmsg any = {.ifa_family = AF_UNSPEC};
  lua_settop(L, 2);
  nn_arg_link(L, 2, "addr_flush");
  nn_ns *ns = nn_codec_open(L, "addr_flush", &codec);
  if (ns == NULL)
    return 3;
  const unsigned index = nn_link_index(&codec, 2);
  ack = (nn_ack){.err = index == 0 ? errno : ENODEV};
  if (index == 0 || !is_link(&codec, index))
    return fail(&codec, ns, &ack, "");
  struct nl_msg *msg = nn_msg_push(L, RTM_GETADDR, NLM_F_DUMP);
  nlmsg_append(msg, &any, sizeof any, NLMSG_ALIGNTO);
  if (nn_dump_list(&codec, msg, push_payload, 0, &ack) != 0)
    return fail(&codec, ns, &ack, "");
  const lua_Integer count = delete_all(&codec, index, &ack);
  if (count < 0)
    return fail(&codec, ns, &ack, "");
  nn_ns_done(ns);
  lua_pushinteger(L, count);
  return 1;
}

void nn_open_addr(lua_State *L) {
  static const luaL_Reg functions[] = {{"addrs", addr_list},
                                       {"addr_add", addr_add},
                                       {"addr_delete", addr_delete},
                                       {"addr_flush", addr_flush},
                                       {NULL, NULL}};
  nn_ns_functions(L, functions);
}
