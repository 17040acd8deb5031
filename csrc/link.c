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
  struct nlattr *data = info[IFLA_INFO_DATA];
  const nn_link_type *of_kind = kind != NULL ? nn_link_kind(kind) : NULL;
  if (of_kind != NULL && data != NULL)
    nn_fields_read(codec, of_kind->fields, nla_data(data), nla_len(data));
  struct nlattr *port = info[IFLA_INFO_SLAVE_DATA];
  const nn_link_type *of_port =
      info[IFLA_INFO_SLAVE_KIND] != NULL
          ? nn_port_kind(nla_get_string(info[IFLA_INFO_SLAVE_KIND]))
          : NULL;
  if (of_port != NULL && port != NULL) {
    lua_createtable(L, 0, 32);
    nn_fields_read(codec, of_port->fields, nla_data(port), nla_len(port));
    lua_setfield(L, -2, "port");
  }
  return kind;
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

bool nn_push_link(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct ifinfomsg *info = nlmsg_data(msg);
  struct nlattr *attrs[NN_TYPE_MAX + 1];
  nn_codec here = *codec;
  here.plain = !of_tunnel(info->ifi_type);
  here.partial = true;
  lua_createtable(L, 0, 32);
  nn_head_read(codec, nn_link_head, info);
  push_flags(L, info->ifi_flags);
  lua_pushboolean(L, (info->ifi_flags & IFF_UP) != 0);
  lua_setfield(L, -2, "up");
  lua_pushboolean(L, (info->ifi_flags & IFF_RUNNING) != 0);
  lua_setfield(L, -2, "running");
  if (nlmsg_parse((struct nlmsghdr *)msg, sizeof *info, attrs, NN_TYPE_MAX,
                  attrs_policy) < 0)
    return true;
  /* that of a new link is the one it got, and no news */
  if (same(attrs[IFLA_ADDRESS], attrs[IFLA_PERM_ADDRESS]))
    attrs[IFLA_PERM_ADDRESS] = NULL;
  nn_fields_push(&here, nn_link_fields, attrs);
  /* it stays on what it was made on */
  here.foreign = attrs[IFLA_LINK_NETNSID] != NULL;
  const char *kind = push_info(&here, attrs[IFLA_LINKINFO]);
  if (attrs[IFLA_LINK] != NULL)
    push_lower(codec, attrs[IFLA_LINK], attrs[IFLA_LINK_NETNSID], kind);
  if (attrs[IFLA_STATS64] != NULL)
    push_stats(L, attrs[IFLA_STATS64]);
  return true;
}

/* Pushes RTM_GETLINK, for the link called `name` or for all. */
static struct nl_msg *push_request(lua_State *L, const char *name) {
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  struct nl_msg *msg =
      nn_msg_push(L, RTM_GETLINK, name == NULL ? NLM_F_DUMP : 0);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  if (name != NULL)
    nla_put_string(msg, IFLA_IFNAME, name);
  return msg;
}

/* Rows also have these. */
static const nn_field row_fields[] = {
    {"kind", 0, NN_TEXT, NN_STATE, NULL},
    {"up", 0, NN_BOOL, NN_STATE, NULL},
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
  return nn_dump(&codec, ns, push_request(L, NULL), nn_push_link, 3);
}

/* The name of a link; a number is none. */
static const char *check_name(lua_State *L, const char *what) {
  return nn_arg_string(L, 2, what, "name", NULL);
}

/* Asks for the link that the value at `arg` names: the answer, good until the
   next request, or NULL and *ack. */
static const struct nlmsghdr *get_link(const nn_codec *codec, int arg,
                                       nn_ack *ack) {
  size_t len;
  const char *name = nn_arg_string(codec->L, arg, codec->what, "name", &len);
  ack->text[0] = '\0';
  ack->err = len < IFNAMSIZ ? EINVAL : ENODEV;
  if (len == 0 || len >= IFNAMSIZ || memchr(name, '\0', len) != NULL)
    return NULL;
  ack->err = nn_rtnl_send(codec->rtnl, nlmsg_hdr(push_request(codec->L, name)));
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
  const char *name = check_name(L, "link");
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
@tparam string name
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

/* What is to be up, and what is said of that in the message's head. */
static void put_up(const nn_codec *codec, int table, struct ifinfomsg *info) {
  if (lua_getfield(codec->L, table, "up") != LUA_TNIL) {
    info->ifi_change = IFF_UP;
    info->ifi_flags = nn_boolean(codec, "up") ? IFF_UP : 0;
  }
  lua_pop(codec->L, 1);
}

/* What it sits on. */
static bool put_lower(const nn_codec *codec, int table, struct nl_msg *msg) {
  static const nn_field fields[] = {
      {"link", IFLA_LINK, NN_LINK, NN_SETTING, NULL}, {.name = NULL}};
  return nn_fields_write(codec, fields, table, msg);
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

/***
Makes a link: `ip -n NAME link add …`.
@function link_add
@param NS
@tparam table link `name`; `kind`; the fields of that kind; `up`, `mtu`,
`address`, `master`, `group`, `txqlen`; `link`, what it sits on; `ns`, another
namespace for it to be in, with its `master`; for a veth `peer`, a table with
`name`, `ns`, `address`, `mtu`, `group`, `txqlen` for the other end
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST, ENODEV, EINVAL; EOPNOTSUPP if the kernel
lacks the kind
*/
static int link_add(lua_State *L) {
  static const char *const others[] = {"kind", "up", "link", "ns", NULL};
  static const char *const of_veth[] = {"kind", "up",   "link",
                                        "ns",   "peer", NULL};
  static const char *const ignored[] = {"alias", "proto_down",
                                        "inet6_addr_gen_mode", NULL};
  nn_codec codec;
  nn_ack ack = {.err = EOPNOTSUPP};
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
  const nn_link_type *of_kind = nn_link_kind(kind);
  const char *label = lua_pushfstring(L, "%s (%s)", name ? name : "?", kind);
  nn_ns *ns = nn_codec_open(L, "link_add", &codec);
  if (ns == NULL)
    return 3;
  if (of_kind == NULL)
    return fail(&codec, ns, &ack, label);
  const nn_field *const fields[] = {nn_link_fields, of_kind->fields, NULL};
  nn_fields_check(&codec, 2, fields, veth ? of_veth : others);
  check_without(&codec, 2, ignored);
  struct nl_msg *msg = nn_msg_push(L, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  put_up(&codec, 2, &info);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  bool ok = put_fields(&codec, nn_link_fields, 2, msg, &place) &&
            put_lower(&codec, 2, msg);
  struct nlattr *linkinfo = ok ? nla_nest_start(msg, IFLA_LINKINFO) : NULL;
  ok = ok &&
       put_kind(&codec, 2, of_kind, NULL, 0, msg, veth ? &peer_place : NULL);
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

/* What has to be known of the link called like the second argument; false and
 *ack. */
static bool find_target(const nn_codec *codec, target *link, nn_ack *ack) {
  if (is_general(codec->L)) {
    *link = (target){.index = (int)nn_link_index(codec, 2)};
    *ack = (nn_ack){.err = link->index == 0 ? errno : 0};
    return link->index != 0;
  }
  const struct nlmsghdr *answer = get_link(codec, 2, ack);
  if (answer != NULL)
    push_target(codec->L, answer, link);
  return answer != NULL;
}

/* Changes the link called like the second argument, as the table says that is
   the third. */
static int change(lua_State *L, const char *what, const char *const *ignored) {
  static const char *const others[] = {"up", "ns", "rename", "port", NULL};
  static const nn_field no_fields[] = {{.name = NULL}};
  static const nn_field renaming[] = {
      {"rename", IFLA_IFNAME, NN_IFNAME, NN_SETTING, NULL}, {.name = NULL}};
  nn_codec codec;
  nn_ack ack;
  nn_ns *place = NULL;
  const char *name = check_name(L, what);
  target link;
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  lua_settop(L, 3);
  nn_arg_table(L, 3, what, "changes");
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  if (!find_target(&codec, &link, &ack))
    return fail(&codec, ns, &ack, name);
  info.ifi_index = link.index;
  const nn_link_type *kind = link.kind != NULL ? nn_link_kind(link.kind) : NULL;
  const nn_field *const fields[] = {
      nn_link_fields + 1, kind != NULL ? kind->fields : no_fields, NULL};
  nn_fields_check(&codec, 3, fields, others);
  check_without(&codec, 3, ignored);
  struct nl_msg *msg = nn_msg_push(L, RTM_NEWLINK, 0);
  put_up(&codec, 3, &info);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  bool ok = put_fields(&codec, nn_link_fields + 1, 3, msg, &place) &&
            check_address(&codec, &link, IFLA_ADDRESS, msg) &&
            check_address(&codec, &link, IFLA_BROADCAST, msg) &&
            nn_fields_write(&codec, renaming, 3, msg) &&
            put_info(&codec, &link, kind, msg);
  return finish(&codec, ns, ok, msg, name, place, NULL);
}

/***
Changes a link: `ip -n NAME link set LINK …`.
@function link_set
@param NS
@tparam string name
@tparam table changes as for @{link_add}, and `alias`; `rename`, a new name;
`ns`, the namespace to move it to; `master=false` takes it out of a bridge;
`port`, a table of what it is to its bridge (`isolated`, `hairpin`, `learning`,
…) or bond (`queue_id`, `prio`)
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int link_set(lua_State *L) {
  static const char *const ignored[] = {"num_tx_queues", "num_rx_queues", NULL};
  return change(L, "link_set", ignored);
}

/* core.tun_set(NS, name, fields): what link_add says of a link that tun_add has
   made. */
static int tun_set(lua_State *L) {
  static const char *const ignored[] = {
      "num_tx_queues", "num_rx_queues", "alias", "rename", "port", NULL};
  return change(L, "link_add", ignored);
}

/***
Takes a link away: `ip -n NAME link delete LINK`.
@function link_delete
@param NS
@tparam string name
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV, EOPNOTSUPP
*/
static int link_delete(lua_State *L) {
  nn_codec codec;
  nn_ack ack = {.err = 0};
  const char *name = check_name(L, "link_delete");
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  nn_ns *ns = nn_codec_open(L, "link_delete", &codec);
  if (ns == NULL)
    return 3;
  info.ifi_index = (int)nn_link_index(&codec, 2);
  if (info.ifi_index == 0) {
    ack.err = errno;
    return fail(&codec, ns, &ack, name);
  }
  struct nl_msg *msg = nn_msg_push(L, RTM_DELLINK, 0);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  return nn_change(&codec, ns, msg, name);
}

void nn_open_link(lua_State *L) {
  static const luaL_Reg functions[] = {{"link", link_get},
                                       {"link_add", link_add},
                                       {"link_set", link_set},
                                       {"link_delete", link_delete},
                                       {NULL, NULL}};
  lua_pushcfunction(L, link_list);
  lua_setfield(L, -2, "links");
  lua_pushcfunction(L, link_runs);
  lua_setfield(L, -2, "link_runs");
  lua_pushcfunction(L, tun_set);
  lua_setfield(L, -2, "tun_set");
  nn_ns_functions(L, functions);
}
