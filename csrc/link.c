/***
link.c: links, as `ip link` has them.
@module netns
*/
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "link.h"
#include "netns.h"

/* --- reading ------------------------------------------------------------- */

/* What libnl is to see to, as it does not when it is asked for a value. */
static const struct nla_policy attrs_policy[NN_TYPE_MAX + 1] = {
    [IFLA_LINK] = {.type = NLA_U32}, [IFLA_LINK_NETNSID] = {.type = NLA_U32}};
static const struct nla_policy info_policy[IFLA_INFO_MAX + 1] = {
    [IFLA_INFO_KIND] = {.type = NLA_STRING},
    [IFLA_INFO_SLAVE_KIND] = {.type = NLA_STRING}};

static void push_stats(lua_State *L, const struct nlattr *attr) {
  struct rtnl_link_stats64 s;
  memset(&s, 0, sizeof s);
  memcpy(&s, nla_data(attr),
         (size_t)nla_len(attr) < sizeof s ? (size_t)nla_len(attr) : sizeof s);
  const struct {
    const char *name;
    uint64_t value;
  } rx[] = {{"bytes", s.rx_bytes},
            {"packets", s.rx_packets},
            {"errors", s.rx_errors},
            {"dropped", s.rx_dropped},
            {"over_errors", s.rx_over_errors},
            {"multicast", s.multicast}},
    tx[] = {{"bytes", s.tx_bytes},
            {"packets", s.tx_packets},
            {"errors", s.tx_errors},
            {"dropped", s.tx_dropped},
            {"carrier_errors", s.tx_carrier_errors},
            {"collisions", s.collisions}};
  lua_createtable(L, 0, 2);
  lua_createtable(L, 0, sizeof rx / sizeof *rx);
  for (size_t i = 0; i < sizeof rx / sizeof *rx; i++) {
    lua_pushinteger(L, (lua_Integer)rx[i].value);
    lua_setfield(L, -2, rx[i].name);
  }
  lua_setfield(L, -2, "rx");
  lua_createtable(L, 0, sizeof tx / sizeof *tx);
  for (size_t i = 0; i < sizeof tx / sizeof *tx; i++) {
    lua_pushinteger(L, (lua_Integer)tx[i].value);
    lua_setfield(L, -2, tx[i].name);
  }
  lua_setfield(L, -2, "tx");
  lua_setfield(L, -2, "stats");
}

/* What it sits on: for a veth its peer, for others another link, whose name is
   known if it is in the same namespace. */
static void push_lower(const nn_codec *codec, const struct nlattr *attr,
                       const struct nlattr *nsid, const char *kind) {
  lua_State *L = codec->L;
  unsigned index = nla_get_u32(attr);
  if (kind != NULL && strcmp(kind, "veth") == 0) {
    lua_pushinteger(L, index);
    lua_setfield(L, -2, "peer_index");
    if (nsid != NULL) {
      lua_pushinteger(L, nla_get_s32(nsid));
      lua_setfield(L, -2, "peer_nsid");
    }
  } else if (nsid != NULL) {
    lua_pushinteger(L, index);
    lua_setfield(L, -2, "link_index");
    lua_pushinteger(L, nla_get_s32(nsid));
    lua_setfield(L, -2, "link_netnsid");
  } else if (index != 0) {
    nn_link_push(codec, index);
    lua_setfield(L, -2, "link");
  }
}

/* As `ip` prints them. */
static void push_flags(lua_State *L, unsigned flags) {
  static const nn_name names[] = {{"LOOPBACK", IFF_LOOPBACK},
                                  {"BROADCAST", IFF_BROADCAST},
                                  {"POINTOPOINT", IFF_POINTOPOINT},
                                  {"MULTICAST", IFF_MULTICAST},
                                  {"NOARP", IFF_NOARP},
                                  {"ALLMULTI", IFF_ALLMULTI},
                                  {"PROMISC", IFF_PROMISC},
                                  {"MASTER", IFF_MASTER},
                                  {"SLAVE", IFF_SLAVE},
                                  {"DEBUG", IFF_DEBUG},
                                  {"DYNAMIC", IFF_DYNAMIC},
                                  {"AUTOMEDIA", IFF_AUTOMEDIA},
                                  {"PORTSEL", IFF_PORTSEL},
                                  {"NOTRAILERS", IFF_NOTRAILERS},
                                  {"UP", IFF_UP},
                                  {"LOWER_UP", IFF_LOWER_UP},
                                  {"DORMANT", IFF_DORMANT},
                                  {"ECHO", IFF_ECHO},
                                  {NULL, 0}};
  lua_Integer count = 0;
  lua_createtable(L, 4, 0);
  if ((flags & IFF_UP) && !(flags & IFF_RUNNING)) {
    lua_pushliteral(L, "NO-CARRIER");
    lua_rawseti(L, -2, ++count);
  }
  for (const nn_name *name = names; name->text != NULL; name++)
    if (flags & name->value) {
      lua_pushstring(L, name->text);
      lua_rawseti(L, -2, ++count);
    }
  lua_setfield(L, -2, "flags");
}

static const nn_field no_fields[] = {{.name = NULL}};

static const nn_field *fields_of(const nn_link_type *type) {
  return type != NULL ? type->fields : no_fields;
}

/* A tap is made as another kind, but is one of tun to the kernel. */
static void set_tun_kind(lua_State *L) {
  if (lua_getfield(L, -1, "type") == LUA_TSTRING &&
      strcmp(lua_tostring(L, -1), "tap") == 0) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "kind");
  }
  lua_pop(L, 1);
}

/* IFLA_LINKINFO: the kind, its fields beside those of every link, and as `port`
   what the link is to its master. Returns the kind, or NULL. */
static const char *push_info(const nn_codec *codec, struct nlattr *attr) {
  lua_State *L = codec->L;
  struct nlattr *info[IFLA_INFO_MAX + 1];
  if (attr == NULL ||
      nla_parse_nested(info, IFLA_INFO_MAX, attr, info_policy) < 0)
    return NULL;
  const char *kind = NULL;
  if (info[IFLA_INFO_KIND] != NULL) {
    kind = nla_get_string(info[IFLA_INFO_KIND]);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
  }
  nn_codec inner = *codec;
  inner.within = IFLA_LINKINFO;
  struct nlattr *data = info[IFLA_INFO_DATA];
  if (kind != NULL && data != NULL)
    nn_fields_read(&inner, fields_of(nn_link_kind(kind)), nla_data(data),
                   nla_len(data));
  if (kind != NULL && strcmp(kind, "tun") == 0)
    set_tun_kind(L);
  struct nlattr *port = info[IFLA_INFO_SLAVE_DATA];
  if (info[IFLA_INFO_SLAVE_KIND] != NULL && port != NULL) {
    const char *master = nla_get_string(info[IFLA_INFO_SLAVE_KIND]);
    lua_createtable(L, 0, 32);
    nn_fields_read(codec, fields_of(nn_port_kind(master)), nla_data(port),
                   nla_len(port));
    lua_setfield(L, -2, "port");
  }
  return kind;
}

/* What can be set of a link's flags, by the words of `ip link set`. */
static const struct flag {
  const char *name;
  unsigned bit;
  bool unset; /* the bit is that it is not so */
  bool plain; /* listed even if it is false */
} flags[] = {{"up", IFF_UP, false, true},
             {"arp", IFF_NOARP, true, true},
             {"multicast", IFF_MULTICAST, false, true},
             {"allmulticast", IFF_ALLMULTI, false, false},
             {"promisc", IFF_PROMISC, false, false},
             {"dynamic", IFF_DYNAMIC, false, false},
             {NULL, 0, false, false}};

static void push_settings(lua_State *L, unsigned bits) {
  for (const struct flag *flag = flags; flag->name != NULL; flag++) {
    const bool value = ((bits & flag->bit) != 0) != flag->unset;
    if (value || flag->plain) {
      lua_pushboolean(L, value);
      lua_setfield(L, -2, flag->name);
    }
  }
}

/* Whether the ends of the link are its hardware addresses. */
static bool of_tunnel(unsigned type) {
  return type == ARPHRD_TUNNEL || type == ARPHRD_TUNNEL6 ||
         type == ARPHRD_SIT || type == ARPHRD_IPGRE || type == ARPHRD_IP6GRE;
}

static bool same(const struct nlattr *a, const struct nlattr *b) {
  return a != NULL && b != NULL && nla_len(a) == nla_len(b) &&
         memcmp(nla_data(a), nla_data(b), (size_t)nla_len(a)) == 0;
}

static bool has_program(const struct nlattr *xdp) {
  const struct nlattr *attached =
      nla_find(nla_data(xdp), nla_len(xdp), IFLA_XDP_ATTACHED);
  return attached != NULL && nla_get_u8(attached) != XDP_ATTACHED_NONE;
}

bool nn_push_link(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct ifinfomsg *info = nlmsg_data(msg);
  struct nlattr *attrs[NN_TYPE_MAX + 1];
  nn_codec here = *codec;
  here.plain = !of_tunnel(info->ifi_type);
  nn_codec part = here;
  part.partial = true;
  lua_createtable(L, 0, 32);
  nn_head_read(codec, nn_link_head, info);
  push_flags(L, info->ifi_flags);
  push_settings(L, info->ifi_flags);
  lua_pushboolean(L, (info->ifi_flags & IFF_RUNNING) != 0);
  lua_setfield(L, -2, "running");
  if (nlmsg_parse((struct nlmsghdr *)msg, sizeof *info, attrs, NN_TYPE_MAX,
                  attrs_policy) < 0)
    return true;
  /* that of a new link is the one it got, and no news */
  if (same(attrs[IFLA_ADDRESS], attrs[IFLA_PERM_ADDRESS]))
    attrs[IFLA_PERM_ADDRESS] = NULL;
  if (attrs[IFLA_XDP] != NULL && !has_program(attrs[IFLA_XDP]))
    attrs[IFLA_XDP] = NULL;
  nn_fields_push(&here, nn_link_fields, attrs);
  nn_fields_push(&part, nn_link_families, attrs);
  /* it stays on what it was made on */
  here.foreign = attrs[IFLA_LINK_NETNSID] != NULL;
  const char *kind = push_info(&here, attrs[IFLA_LINKINFO]);
  if (attrs[IFLA_LINK] != NULL)
    push_lower(codec, attrs[IFLA_LINK], attrs[IFLA_LINK_NETNSID], kind);
  if (attrs[IFLA_STATS64] != NULL)
    push_stats(L, attrs[IFLA_STATS64]);
  return true;
}

/* Pushes RTM_GETLINK, for all links. */
static struct nl_msg *push_request(lua_State *L) {
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  struct nl_msg *msg = nn_msg_push(L, RTM_GETLINK, NLM_F_DUMP);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  return msg;
}

/* Rows also have these. */
static const nn_field row_fields[] = {
    {"kind", 0, NN_TEXT, NN_STATE, NULL},
    {"up", 0, NN_BOOL, NN_STATE, NULL},
    {"arp", 0, NN_BOOL, NN_STATE, NULL},
    {"multicast", 0, NN_BOOL, NN_STATE, NULL},
    {"allmulticast", 0, NN_BOOL, NN_STATE, NULL},
    {"promisc", 0, NN_BOOL, NN_STATE, NULL},
    {"dynamic", 0, NN_BOOL, NN_STATE, NULL},
    {"running", 0, NN_BOOL, NN_STATE, NULL},
    {"link", 0, NN_LINK, NN_STATE, NULL},
    {"link_index", 0, NN_U32, NN_STATE, NULL},
    {"link_netnsid", 0, NN_S32, NN_STATE, NULL},
    {"peer_index", 0, NN_U32, NN_STATE, NULL},
    {"peer_nsid", 0, NN_S32, NN_STATE, NULL},
    {.name = NULL}};

static nn_spelling spell_link(const nn_codec *codec, const char *key, int nth) {
  static const nn_field *const fields[] = {row_fields, NULL};
  if (key == NULL) {
    nn_filter_names(codec->L, fields);
    nn_link_names(codec->L);
    return NN_UNKNOWN;
  }
  const nn_field *field = nn_fields_find(fields, key, &nth);
  return nn_field_spell(codec, field != NULL ? field : nn_link_field(key, nth));
}

/* core.links(NS, filter): an array of links. */
static int link_list(lua_State *L) {
  nn_codec codec;
  lua_settop(L, 2);
  nn_ns *ns = nn_codec_open(L, "links", &codec);
  if (ns == NULL)
    return 3;
  if (!nn_filter_push(&codec, 2, spell_link)) {
    nn_ns_done(ns);
    return 3;
  }
  return nn_dump(&codec, ns, push_request(L), nn_push_link, 3);
}

/* Asks for the link that the value at `arg` names: the answer, good until the
   next request, or NULL and *ack. */
static const struct nlmsghdr *get_link(const nn_codec *codec, int arg,
                                       nn_ack *ack) {
  struct nl_msg *msg = nn_link_request(codec, arg);
  *ack = (nn_ack){.err = msg == NULL ? errno : 0};
  if (msg == NULL)
    return NULL;
  ack->err = nn_rtnl_send(codec->rtnl, nlmsg_hdr(msg));
  return ack->err == 0 ? nn_rtnl_next(codec->rtnl, ack) : NULL;
}

/* nil, message, errno about one link. */
static int fail(const nn_codec *codec, nn_ns *ns, const nn_ack *ack,
                const char *name) {
  nn_ns_done(ns);
  return nn_rtnl_fail(codec->L, ack, "%s %s: %s", codec->what,
                      nn_ns_label(codec->L, 1), name);
}

/* Sends the change unless `ok` says that a triple was pushed already. What was
   opened for the message is closed then. */
static int finish(const nn_codec *codec, nn_ns *ns, bool ok, struct nl_msg *msg,
                  const char *subject, nn_ns *place, nn_ns *peer_place) {
  int results = 3;
  if (ok)
    results = nn_change(codec, ns, msg, subject);
  else
    nn_ns_done(ns);
  if (place != NULL)
    nn_ns_done(place);
  if (peer_place != NULL)
    nn_ns_done(peer_place);
  return results;
}

static bool has_any(lua_State *L, int table, const nn_field *fields) {
  bool any = false;
  for (; fields->name != NULL && !any; fields++) {
    any = fields->role != NN_STATE &&
          lua_getfield(L, table, fields->name) != LUA_TNIL;
    if (fields->role != NN_STATE)
      lua_pop(L, 1);
  }
  return any;
}

/* Asks for the link called like the second argument, and pushes what `push`
   makes of it; or nil, message, errno. */
static int answer(lua_State *L, nn_push *push) {
  nn_codec codec;
  nn_ack ack;
  nn_arg_link(L, 2, "link");
  const char *name = luaL_tolstring(L, 2, NULL);
  nn_ns *ns = nn_codec_open(L, "link", &codec);
  if (ns == NULL)
    return 3;
  const struct nlmsghdr *msg = get_link(&codec, 2, &ack);
  if (msg == NULL)
    return fail(&codec, ns, &ack, name);
  push(&codec, msg);
  if (nn_rtnl_verdict(codec.rtnl, &ack) != 0)
    return fail(&codec, ns, &ack, name);
  nn_ns_done(ns);
  return 1;
}

/***
One link, by its name: `ip -n NAME -details -statistics link show dev LINK`.
@function link
@param NS
@tparam string|integer name also an alternative name or an index
@treturn[1] table
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV
*/
static int link_get(lua_State *L) {
  return answer(L, nn_push_link);
}

static bool push_running(const nn_codec *codec, const struct nlmsghdr *msg) {
  const struct ifinfomsg *info = nlmsg_data(msg);
  lua_pushboolean(codec->L, (info->ifi_flags & IFF_RUNNING) != 0);
  return true;
}

/* core.link_runs(NS, name): whether a link is running, for who asks it of many;
   or nil, message, errno. It asks for all of the link, since the kernel answers
   that only when it is not at work on one: ioctl(2) tells that a link runs a
   moment before it sends. */
static int link_runs(lua_State *L) {
  return answer(L, push_running);
}

/* --- writing ------------------------------------------------------------- */

/* A Lua error, if the table has one of the fields which a link may have, but
   which the kernel would here pass over in silence. */
static void check_without(const nn_codec *codec, int table,
                          const char *const *names) {
  for (; *names != NULL; names++) {
    if (lua_getfield(codec->L, table, *names) != LUA_TNIL)
      nn_raise(codec->L, "unknown key '%s' in '%s'", *names, codec->what);
    lua_pop(codec->L, 1);
  }
}

/* IFLA_NET_NS_FD for the field `ns` of the table at `table`, if it is there.
   The handle stays on the stack; *ns is for nn_ns_done. */
static bool put_ns(const nn_codec *codec, int table, struct nl_msg *msg,
                   nn_ns **ns) {
  lua_State *L = codec->L;
  *ns = NULL;
  if (lua_getfield(L, table, "ns") == LUA_TNIL)
    return true;
  const nn_ns *handle = nn_ns_test(L, -1);
  if (handle == NULL && !lua_isstring(L, -1))
    nn_wrong_type(codec, "ns", "handle, name, path or process id");
  if (handle != NULL && handle->fd < 0)
    nn_raise_arg(L, codec->what, "ns", "handle is closed");
  *ns = nn_ns_arg(L, lua_gettop(L), codec->what);
  if (*ns != NULL)
    nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)(*ns)->fd);
  return *ns != NULL;
}

/* The same, and then the fields of every link: a master is one of the namespace
   where the link goes, since that is where the kernel looks for it. */
static bool put_fields(const nn_codec *codec, const nn_field *fields, int table,
                       struct nl_msg *msg, nn_ns **ns) {
  lua_State *L = codec->L;
  nn_codec there = *codec;
  if (!put_ns(codec, table, msg, ns))
    return false;
  const int place = lua_gettop(L);
  if (lua_getfield(L, table, "master") != LUA_TNIL && *ns != NULL)
    there.rtnl = nn_rtnl_of(L, place, *ns, NETLINK_ROUTE);
  if (there.rtnl != NULL)
    return nn_fields_write(&there, fields, table, msg);
  nn_fail(L, errno, "%s %s", codec->what, nn_ns_label(L, place));
  return false;
}

/* The flags of the table, in the head of a message. */
static void put_flags(const nn_codec *codec, int table,
                      struct ifinfomsg *info) {
  for (const struct flag *flag = flags; flag->name != NULL; flag++) {
    if (lua_getfield(codec->L, table, flag->name) != LUA_TNIL) {
      info->ifi_change |= flag->bit;
      if (nn_boolean(codec, flag->name) != flag->unset)
        info->ifi_flags |= flag->bit;
    }
    lua_pop(codec->L, 1);
  }
}

/* What it sits on: in another namespace it has no name. */
static bool put_lower(const nn_codec *codec, int table, struct nl_msg *msg) {
  static const nn_field lower[] = {
      {"link", IFLA_LINK, NN_LINK, NN_SETTING, NULL}, {.name = NULL}};
  static const nn_field foreign[] = {
      {"link_index", IFLA_LINK, NN_U32, NN_SETTING, NULL},
      {"link_netnsid", IFLA_LINK_NETNSID, NN_S32, NN_SETTING, NULL},
      {.name = NULL}};
  const bool is_foreign = has_any(codec->L, table, foreign);
  return nn_fields_write(codec, is_foreign ? foreign : lower, table, msg);
}

/* The other end of a veth, which is made in its place at once. */
static bool put_peer(const nn_codec *codec, int table, struct nl_msg *msg,
                     nn_ns **ns) {
  static const char *const others[] = {"ns", NULL};
  static const char *const ignored[] = {"master", "alias", "proto_down",
                                        "inet6_addr_gen_mode", NULL};
  const nn_field *const fields[] = {nn_link_fields, NULL};
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  lua_State *L = codec->L;
  *ns = NULL;
  int type = lua_getfield(L, table, "peer");
  if (type == LUA_TNIL)
    return true;
  if (type != LUA_TTABLE)
    nn_wrong_type(codec, "peer", "table");
  int peer = lua_gettop(L);
  nn_fields_check(codec, peer, fields, others);
  check_without(codec, peer, ignored);
  struct nlattr *end = nla_nest_start(msg, VETH_INFO_PEER);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  if (!put_ns(codec, peer, msg, ns) ||
      !nn_fields_write(codec, nn_link_fields, peer, msg))
    return false;
  nla_nest_end(msg, end);
  return true;
}

/* The kind of a link and its fields: a part of IFLA_LINKINFO. `old` are the
   attributes that it has already, `len` bytes of them. */
static bool put_kind(const nn_codec *codec, int table, const nn_link_type *kind,
                     const void *old, size_t len, struct nl_msg *msg,
                     nn_ns **peer_ns) {
  nn_codec inner = *codec;
  nla_put_string(msg, IFLA_INFO_KIND, kind->name);
  struct nlattr *data = nla_nest_start(msg, IFLA_INFO_DATA);
  inner.start = nlmsg_hdr(msg)->nlmsg_len;
  if (len > 0) /* the kernel takes the last of two */
    nlmsg_append(msg, (void *)old, len, NLMSG_ALIGNTO);
  if (!nn_fields_write(&inner, kind->fields, table, msg) ||
      (peer_ns != NULL && !put_peer(codec, table, msg, peer_ns)))
    return false;
  nla_nest_end(msg, data);
  return true;
}

/* Fields that rows have besides those of the tables. */
#define ROW_FIELDS                                                             \
  "kind", "up", "arp", "multicast", "allmulticast", "promisc", "dynamic",      \
      "running", "flags", "stats", "peer_index", "peer_nsid", "link",          \
      "link_index", "link_netnsid", "ns"

/* core.link_add(NS, link): makes a link with what the kernel takes in one
   request; the fields that it would pass over in silence are unknown. */
static int link_add(lua_State *L) {
  static const char *const others[] = {ROW_FIELDS, NULL};
  static const char *const of_veth[] = {ROW_FIELDS, "peer", NULL};
  static const nn_field index[] = {{"index",
                                    offsetof(struct ifinfomsg, ifi_index),
                                    NN_S32, NN_SETTING, NULL},
                                   {.name = NULL}};
  static const char *const ignored[] = {"alias", "proto_down", "altnames",
                                        NULL};
  nn_codec codec;
  nn_ns *place = NULL, *peer_place = NULL;
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  lua_settop(L, 2);
  nn_arg_table(L, 2, "link_add", "link");
  lua_getfield(L, 2, "name");
  lua_getfield(L, 2, "kind");
  if (lua_type(L, 4) != LUA_TSTRING)
    return nn_raise_type(L, "link_add", "kind", "string", 4);
  const char *name = lua_tostring(L, 3), *kind = lua_tostring(L, 4);
  bool veth = strcmp(kind, "veth") == 0;
  const nn_link_type *known = nn_link_kind(kind);
  const nn_link_type of_kind = {kind, fields_of(known), false};
  const char *label = lua_pushfstring(L, "%s (%s)", name ? name : "?", kind);
  nn_ns *ns = nn_codec_open(L, "link_add", &codec);
  if (ns == NULL)
    return 3;
  const nn_field *const fields[] = {nn_link_fields, nn_link_head,
                                    of_kind.fields, NULL};
  nn_fields_check(&codec, 2, fields, veth ? of_veth : others);
  check_without(&codec, 2, ignored);
  struct nl_msg *msg = nn_msg_push(L, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  put_flags(&codec, 2, &info);
  bool ok = nn_head_write(&codec, index, 2, msg, &info);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  ok = ok && put_fields(&codec, nn_link_fields, 2, msg, &place) &&
       put_lower(&codec, 2, msg);
  struct nlattr *linkinfo = ok ? nla_nest_start(msg, IFLA_LINKINFO) : NULL;
  ok = ok &&
       put_kind(&codec, 2, &of_kind, NULL, 0, msg, veth ? &peer_place : NULL);
  if (ok)
    nla_nest_end(msg, linkinfo);
  return finish(&codec, ns, ok, msg, label, place, peer_place);
}

/* A port's fields, those of the link's master's kind: the other part. */
static bool put_port(const nn_codec *codec, int table, const char *kind,
                     struct nl_msg *msg) {
  lua_State *L = codec->L;
  int type = lua_getfield(L, table, "port");
  if (type == LUA_TNIL)
    return true;
  if (type != LUA_TTABLE)
    nn_wrong_type(codec, "port", "table");
  const nn_link_type *of_port = kind != NULL ? nn_port_kind(kind) : NULL;
  if (of_port == NULL) {
    nn_fail(L, EOPNOTSUPP, "%s %s: port: not that of a bridge or bond",
            codec->what, nn_ns_label(L, 1));
    return false;
  }
  const nn_field *const all[] = {of_port->fields, NULL};
  static const char *const none[] = {NULL};
  nn_fields_check(codec, lua_gettop(L), all, none);
  nla_put_string(msg, IFLA_INFO_SLAVE_KIND, kind);
  struct nlattr *data = nla_nest_start(msg, IFLA_INFO_SLAVE_DATA);
  if (!nn_fields_write(codec, of_port->fields, lua_gettop(L), msg))
    return false;
  nla_nest_end(msg, data);
  return true;
}

/* What is known of a link that is to be changed; the strings are on the stack,
   or NULL. */
typedef struct target {
  const char *kind, *master; /* the kinds of both */
  const char *data;          /* the attributes of its kind, if they have to be
                                repeated for a change */
  size_t len;                /* and their bytes */
  int index;
  int address_len; /* bytes of a hardware address */
} target;

/* IFLA_LINKINFO, both parts of it in one: the kernel takes the last. */
static bool put_info(const nn_codec *codec, const target *link,
                     const nn_link_type *of_kind, struct nl_msg *msg) {
  struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO);
  if ((of_kind != NULL && has_any(codec->L, 3, of_kind->fields) &&
       !put_kind(codec, 3, of_kind, link->data, link->len, msg, NULL)) ||
      !put_port(codec, 3, link->master, msg))
    return false;
  nla_nest_end(msg, info);
  return true;
}

/* The kernel cuts an address off that is too long. */
static bool check_address(const nn_codec *codec, const target *link, int type,
                          struct nl_msg *msg) {
  const struct nlattr *address =
      nlmsg_find_attr(nlmsg_hdr(msg), sizeof(struct ifinfomsg), type);
  if (address == NULL || nla_len(address) == link->address_len)
    return true;
  nn_fail(codec->L, EINVAL, "%s: %s is not of %d bytes", codec->what,
          type == IFLA_ADDRESS ? "address" : "broadcast", link->address_len);
  return false;
}

static void push_target(lua_State *L, const struct nlmsghdr *msg,
                        target *link) {
  struct nlattr *attrs[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
  *link =
      (target){.index = ((const struct ifinfomsg *)nlmsg_data(msg))->ifi_index};
  if (nlmsg_parse((struct nlmsghdr *)msg, sizeof(struct ifinfomsg), attrs,
                  IFLA_MAX, NULL) < 0)
    return;
  if (attrs[IFLA_ADDRESS] != NULL)
    link->address_len = nla_len(attrs[IFLA_ADDRESS]);
  if (attrs[IFLA_LINKINFO] == NULL ||
      nla_parse_nested(info, IFLA_INFO_MAX, attrs[IFLA_LINKINFO], info_policy) <
          0)
    return;
  if (info[IFLA_INFO_KIND] != NULL)
    link->kind = lua_pushstring(L, nla_get_string(info[IFLA_INFO_KIND]));
  const nn_link_type *kind =
      link->kind != NULL ? nn_link_kind(link->kind) : NULL;
  if (kind != NULL && kind->whole && info[IFLA_INFO_DATA] != NULL) {
    link->len = (size_t)nla_len(info[IFLA_INFO_DATA]);
    link->data = lua_pushlstring(L, nla_data(info[IFLA_INFO_DATA]), link->len);
  }
  if (info[IFLA_INFO_SLAVE_KIND] != NULL)
    link->master =
        lua_pushstring(L, nla_get_string(info[IFLA_INFO_SLAVE_KIND]));
}

/* Whether the changes at 3 are none but such as any link may have: then nothing
   has to be known of it but its index. */
static bool is_general(lua_State *L) {
  static const char *const names[] = {"up",     "mtu", "master", "group",
                                      "rename", "ns",  NULL};
  const int top = lua_gettop(L);
  bool general = !lua_getmetatable(L, 3); /* by which it may have more */
  for (lua_pushnil(L); general && lua_next(L, 3) != 0; lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    const char *const *name = names;
    while (*name != NULL && strcmp(*name, key) != 0)
      name++;
    general = *name != NULL;
  }
  lua_settop(L, top);
  return general;
}

/* What has to be known of the link that the second argument names, whose row it
   pushes, or nil where none is needed; false and *ack. */
static bool find_target(const nn_codec *codec, target *link, nn_ack *ack) {
  if (is_general(codec->L)) {
    *link = (target){.index = (int)nn_link_index(codec, 2)};
    *ack = (nn_ack){.err = link->index == 0 ? errno : 0};
    lua_pushnil(codec->L);
    return link->index != 0;
  }
  const struct nlmsghdr *answer = get_link(codec, 2, ack);
  if (answer != NULL) {
    push_target(codec->L, answer, link);
    nn_push_link(codec, answer);
  }
  return answer != NULL;
}

/* --- changes that are none ----------------------------------------------- */

/* Whether two values, one of which may be nil, have the same contents. */
static bool same_value(lua_State *L, int a, int b) {
  bool same = true;
  if (!lua_istable(L, a) || !lua_istable(L, b))
    return lua_rawequal(L, a, b);
  luaL_checkstack(L, 8, NULL);
  if (lua_rawlen(L, a) != lua_rawlen(L, b))
    return false;
  for (lua_pushnil(L); same && lua_next(L, a) != 0;) {
    lua_pushvalue(L, -2);
    lua_rawget(L, b);
    same = same_value(L, lua_gettop(L) - 1, lua_gettop(L));
    lua_pop(L, same ? 2 : 3);
  }
  return same;
}

static nn_spelling spell_port(const nn_codec *codec, const char *key, int nth) {
  return nn_field_spell(codec, nn_port_field(key, nth));
}

/* Whether the row at `row` has what the changes have under the key below the
   value on top. */
static bool has_already(const nn_codec *codec, int row, nn_speller *spell) {
  lua_State *L = codec->L;
  const int value = lua_gettop(L);
  lua_pushvalue(L, value - 1);
  lua_rawget(L, row);
  bool same = same_value(L, value, value + 1);
  lua_settop(L, value);
  if (!same && !lua_istable(L, value))
    same = nn_filter_holds(codec, row, spell);
  lua_settop(L, value);
  return same;
}

/* nil, message, errno for a key of the changes; always false. */
static bool refuse_change(const nn_codec *codec, const char *key, int err,
                          const char *problem) {
  nn_fail(codec->L, err, "%s %s: %s: %s", codec->what,
          nn_ns_label(codec->L, 1), key, problem);
  return false;
}

static bool is_in(const char *const *names, const char *name) {
  while (*names != NULL && name != NULL && strcmp(*names, name) != 0)
    names++;
  return *names != NULL && name != NULL;
}

static bool is_zero(lua_State *L) {
  return lua_isnumber(L, -1) ? lua_tonumber(L, -1) == 0 : !lua_toboolean(L, -1);
}

/* What a bridge tells of always, if the kernel knows it, and takes in silence
   if not. */
static bool is_lacking(lua_State *L, int row, const nn_field *fields,
                       const char *key) {
  static const char *const optional[] = {"backup_port", "backup_nhid", NULL};
  const nn_field *const lists[] = {fields, NULL};
  int skip = 0;
  const nn_field *field = nn_fields_find(lists, key, &skip);
  if (field == NULL || field->role != NN_SETTING || is_in(optional, key) ||
      is_zero(L))
    return false;
  const bool lacking = lua_getfield(L, row, key) == LUA_TNIL;
  lua_pop(L, 1);
  return lacking;
}

static bool is_bridge(const char *kind) {
  return kind != NULL && strcmp(kind, "bridge") == 0;
}

/* Copies the field whose key and value are on top to the table at `copy`. */
static void copy_field(lua_State *L, int copy) {
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -2);
  lua_rawset(L, copy);
}

/* Pushes a copy of the fields of a port, on top, without those that the row has
   already; false after a triple. */
static bool reduce_port(const nn_codec *codec, const target *link, int row) {
  lua_State *L = codec->L;
  const nn_link_type *of_port =
      link->master != NULL ? nn_port_kind(link->master) : NULL;
  const int changes = lua_gettop(L), port = changes + 1, copy = changes + 2;
  luaL_checkstack(L, 12, NULL);
  lua_getfield(L, row, "port");
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, changes) != 0; lua_pop(L, 1)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (!lua_istable(L, port) || nn_port_field(key, 0) == NULL) {
      copy_field(L, copy);
    } else if (!has_already(codec, port, spell_port)) {
      if (is_bridge(link->master) &&
          is_lacking(L, port, of_port->fields, key))
        return refuse_change(codec, key, EOPNOTSUPP,
                             "this kernel's bridges lack it");
      copy_field(L, copy);
    }
  }
  lua_remove(L, port);
  return true;
}

/* Whether the changes at 3 are those of another link than that of the row on
   top, by which they may have other keys: false after a triple. */
static bool check_identity(const nn_codec *codec) {
  static const struct {
    const char *key;
    int err;
    const char *problem;
  } keys[] = {{"index", ENODEV, "that is another link"},
              {"name", ENODEV, "that is another link"},
              {"kind", EINVAL, "a link keeps what it has"}};
  lua_State *L = codec->L;
  const int row = lua_gettop(L);
  luaL_checkstack(L, 12, NULL);
  for (size_t i = 0; !lua_isnil(L, row) && i < sizeof keys / sizeof *keys;
       i++) {
    lua_pushstring(L, keys[i].key);
    if (lua_getfield(L, 3, keys[i].key) != LUA_TNIL &&
        !has_already(codec, row, spell_link))
      return refuse_change(codec, keys[i].key, keys[i].err, keys[i].problem);
    lua_settop(L, row);
  }
  return true;
}

/* One field of the changes, whose key and value are on top: whether it is to be
   copied. false after a triple. */
static bool reduce_field(const nn_codec *codec, const target *link, int row,
                         const char *key, bool *copy) {
  static const char *const fixed[] = {
      "name",          "index", "kind",       "altnames",     "num_tx_queues",
      "num_rx_queues", "link",  "link_index", "link_netnsid", NULL};
  static const char *const fixed_vlan[] = {"id", "protocol", NULL};
  /* these may be refused even as they are; a bridge or a bond that is given its
     own address keeps it */
  static const char *const refused[] = {"proto_down", "inet6_addr_gen_mode",
                                        "linkmode",   "proto_down_reason",
                                        "xdp",        NULL};
  static const char *const keepers[] = {"bridge", "bond", "team", NULL};
  const nn_link_type *kind =
      link->kind != NULL ? nn_link_kind(link->kind) : NULL;
  const bool of_kind = nn_fields_have(fields_of(kind), key);
  const bool is_fixed =
      (is_in(fixed, key) && !of_kind) ||
      (kind != NULL && strcmp(kind->name, "vlan") == 0 &&
       is_in(fixed_vlan, key));
  *copy = true;
  const bool is_address =
      strcmp(key, "address") == 0 && !is_in(keepers, link->kind);
  if (!is_fixed && !of_kind && !is_address && !is_in(refused, key))
    return true;
  if (has_already(codec, row, spell_link)) {
    *copy = false;
    return true;
  }
  if (is_fixed)
    return refuse_change(codec, key, EINVAL, "a link keeps what it has");
  if (is_bridge(link->kind) && is_lacking(codec->L, row, kind->fields, key))
    return refuse_change(codec, key, EOPNOTSUPP,
                         "this kernel's bridges lack it");
  return true;
}

/* Replaces the changes at 3 by those that are some, as the row on top is: what a
   link cannot change may be given as it is, as in a row, and is not sent. false
   after a triple. */
static bool reduce(const nn_codec *codec, const target *link) {
  lua_State *L = codec->L;
  const int row = lua_gettop(L), copy = row + 1;
  bool keep;
  if (lua_isnil(L, row))
    return true;
  luaL_checkstack(L, 12, NULL);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1)) {
    const char *key = lua_tostring(L, -2);
    if (strcmp(key, "port") == 0 && lua_istable(L, -1)) {
      if (!reduce_port(codec, link, row))
        return false;
      lua_replace(L, -2);
      lua_pushnil(L);
      keep = lua_next(L, -2) != 0;
      if (keep)
        lua_pop(L, 2);
    } else if (!reduce_field(codec, link, row, key, &keep)) {
      return false;
    }
    if (keep)
      copy_field(L, copy);
  }
  lua_replace(L, 3);
  return true;
}

/* --- changing ------------------------------------------------------------ */

/* Changes the link that the second argument names, as the table says that is
   the third. `others` are the keys that no field has. */
static int change(lua_State *L, const char *what, const char *const *others) {
  static const nn_field renaming[] = {
      {"rename", IFLA_IFNAME, NN_IFNAME, NN_SETTING, NULL}, {.name = NULL}};
  static const nn_field carrier[] = {
      {"carrier", IFLA_CARRIER, NN_BOOL, NN_SETTING, NULL}, {.name = NULL}};
  nn_codec codec;
  nn_ack ack;
  nn_ns *place = NULL;
  target link;
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  lua_settop(L, 3);
  nn_arg_link(L, 2, what);
  nn_arg_table(L, 3, what, "changes");
  const char *name = luaL_tolstring(L, 2, NULL);
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  if (!find_target(&codec, &link, &ack))
    return fail(&codec, ns, &ack, name);
  info.ifi_index = link.index;
  const nn_link_type *kind = link.kind != NULL ? nn_link_kind(link.kind) : NULL;
  const nn_field *const fields[] = {nn_link_fields, nn_link_families,
                                    nn_link_head, fields_of(kind), NULL};
  if (!check_identity(&codec))
    return finish(&codec, ns, false, NULL, name, NULL, NULL);
  nn_fields_check(&codec, 3, fields, others);
  if (!reduce(&codec, &link))
    return finish(&codec, ns, false, NULL, name, NULL, NULL);
  struct nl_msg *msg = nn_msg_push(L, RTM_NEWLINK, 0);
  put_flags(&codec, 3, &info);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  bool ok = put_fields(&codec, nn_link_fields + 1, 3, msg, &place) &&
            check_address(&codec, &link, IFLA_ADDRESS, msg) &&
            check_address(&codec, &link, IFLA_BROADCAST, msg) &&
            nn_fields_write(&codec, nn_link_families, 3, msg) &&
            nn_fields_write(&codec, renaming, 3, msg) &&
            nn_fields_write(&codec, carrier, 3, msg) &&
            put_info(&codec, &link, kind, msg);
  return finish(&codec, ns, ok, msg, name, place, NULL);
}

/* Takes a row that is the second argument for the index of its link, or its
   name if it has none, and pushes the field `name`, or the row itself for
   NULL. Other arguments stay. */
static void take_row(lua_State *L, const char *what, const char *name) {
  if (!lua_istable(L, 2))
    return;
  lua_settop(L, 2);
  if (name != NULL)
    lua_getfield(L, 2, name);
  else
    lua_pushvalue(L, 2);
  if (lua_getfield(L, 2, "index") == LUA_TNIL) {
    lua_pop(L, 1);
    if (lua_getfield(L, 2, "name") == LUA_TNIL)
      nn_raise_type(L, what, "name", "string", lua_gettop(L));
  }
  lua_replace(L, 2);
}

/***
Changes a link: `ip -n NAME link set LINK …`. A row of @{links} alone makes its
link again what it was.
@function link_set
@param NS
@tparam string|integer|table name also an alternative name, an index, or a row,
which then is the changes, too
@tparam table changes `up`, `mtu`, `address`, `master`, `group`, `txqlen`, …,
the fields of its kind; `arp`, `multicast`, `allmulticast`, `promisc`,
`carrier`; `alias`; `rename`, a new name; `ns`, the namespace to move it to;
`master=false` takes it out of a bridge; `port`, a table of what it is to its
bridge (`isolated`, `hairpin`, `learning`, …) or bond (`queue_id`, `prio`). What
a link has for good, as its `kind`, may be given as it is.
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV, also for a row of which there is another link
now; EOPNOTSUPP, also for an option of a bridge that the kernel lacks
*/
static int link_set(lua_State *L) {
  static const char *const others[] = {ROW_FIELDS, "rename", "port", "carrier",
                                       NULL};
  take_row(L, "link_set", NULL);
  return change(L, "link_set", others);
}

/* core.link_complete(NS, name, fields): what link_add says of a link that has
   been made. */
static int link_complete(lua_State *L) {
  static const char *const others[] = {ROW_FIELDS, "port", "carrier", NULL};
  return change(L, "link_add", others);
}

/* core.link_lacks(NS, link): the option of a bridge in the table at 2 of which
   the bridge that was made tells nothing, since the kernel lacks it; nil for
   none; or nil, message, errno. */
static int link_lacks(lua_State *L) {
  const nn_field *bridge = nn_link_kind("bridge")->fields;
  nn_codec codec;
  nn_ack ack;
  lua_settop(L, 2);
  if (!has_any(L, 2, bridge))
    return 0;
  lua_getfield(L, 2, "name");
  nn_ns *ns = nn_codec_open(L, "link_add", &codec);
  if (ns == NULL)
    return 3;
  const struct nlmsghdr *answer = get_link(&codec, 3, &ack);
  if (answer == NULL)
    return fail(&codec, ns, &ack, lua_tostring(L, 3));
  nn_push_link(&codec, answer);
  nn_ns_done(ns);
  const int row = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1))
    if (is_lacking(L, row, bridge, lua_tostring(L, -2))) {
      lua_pushvalue(L, -2);
      return 1;
    }
  return 0;
}

/***
Takes a link away: `ip -n NAME link delete LINK`.
@function link_delete
@param NS
@tparam string|integer|table name also an alternative name, an index or a row
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV, also for a row of which there is another link
now; EOPNOTSUPP
*/
static int link_delete(lua_State *L) {
  nn_codec codec;
  nn_ack ack = {.err = 0};
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  lua_settop(L, 2);
  take_row(L, "link_delete", "name");
  lua_settop(L, 3);
  nn_arg_link(L, 2, "link_delete");
  const char *name = luaL_tolstring(L, 2, NULL);
  nn_ns *ns = nn_codec_open(L, "link_delete", &codec);
  if (ns == NULL)
    return 3;
  info.ifi_index = (int)nn_link_index(&codec, 2);
  ack.err = info.ifi_index == 0 ? errno : 0;
  if (info.ifi_index != 0 && !lua_isnil(L, 3)) { /* the name of a row */
    nn_link_push(&codec, (unsigned)info.ifi_index);
    if (!lua_rawequal(L, -1, 3))
      ack.err = ENODEV;
    name = lua_tostring(L, 3);
  }
  if (ack.err != 0)
    return fail(&codec, ns, &ack, name);
  struct nl_msg *msg = nn_msg_push(L, RTM_DELLINK, 0);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  return nn_change(&codec, ns, msg, name);
}

/* Adds alternative names to a link, or takes them away. */
static int change_altnames(lua_State *L, const char *what, int type,
                           int how) {
  nn_codec codec;
  nn_ack ack;
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  lua_settop(L, 3);
  nn_arg_link(L, 2, what);
  if (lua_type(L, 3) == LUA_TSTRING) {
    lua_newtable(L);
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, 1);
    lua_replace(L, 3);
  }
  if (!lua_istable(L, 3))
    nn_raise_type(L, what, "altname", "string or array of strings", 3);
  const char *name = luaL_tolstring(L, 2, NULL);
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  info.ifi_index = (int)nn_link_index(&codec, 2);
  ack = (nn_ack){.err = info.ifi_index == 0 ? errno : 0};
  if (ack.err != 0)
    return fail(&codec, ns, &ack, name);
  struct nl_msg *msg = nn_msg_push(L, type, how);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  lua_pushvalue(L, 3);
  return finish(&codec, ns, nn_link_put_altnames(&codec, msg), msg, name, NULL,
                NULL);
}

/***
Gives a link alternative names: `ip -n NAME link property add dev LINK altname
NAME`. They name it wherever a name does.
@function altname_add
@param NS
@tparam string|integer link a name or an index
@tparam string|{string,...} altname of 1 to 127 bytes
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST, ENODEV, EINVAL
*/
static int altname_add(lua_State *L) {
  return change_altnames(L, "altname_add", RTM_NEWLINKPROP,
                         NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND);
}

/***
Takes alternative names of a link away: `ip -n NAME link property del dev LINK
altname NAME`.
@function altname_delete
@param NS
@tparam string|integer link a name or an index
@tparam string|{string,...} altname
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EINVAL if it has no such name, ENODEV
*/
static int altname_delete(lua_State *L) {
  return change_altnames(L, "altname_delete", RTM_DELLINKPROP, 0);
}

void nn_open_link(lua_State *L) {
  static const luaL_Reg functions[] = {{"link", link_get},
                                       {"link_set", link_set},
                                       {"link_delete", link_delete},
                                       {"altname_add", altname_add},
                                       {"altname_delete", altname_delete},
                                       {NULL, NULL}};
  lua_pushcfunction(L, link_list);
  lua_setfield(L, -2, "links");
  lua_pushcfunction(L, link_runs);
  lua_setfield(L, -2, "link_runs");
  lua_pushcfunction(L, link_add);
  lua_setfield(L, -2, "link_add");
  lua_pushcfunction(L, link_complete);
  lua_setfield(L, -2, "link_complete");
  lua_pushcfunction(L, link_lacks);
  lua_setfield(L, -2, "link_lacks");
  nn_ns_functions(L, functions);
}
