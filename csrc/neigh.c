/***
neigh.c: neighbours, as `ip neigh` has them.
@module netns
*/
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "netns.h"

/* What is known of where the neighbour is, so that there has to be an lladdr.
 */
#define NUD_LLADDR                                                             \
  (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY |         \
   NUD_PROBE)

/* As `ip neigh add … nud` takes them. */
static const nn_name states[] = {{"none", NUD_NONE},
                                 {"incomplete", NUD_INCOMPLETE},
                                 {"reachable", NUD_REACHABLE},
                                 {"stale", NUD_STALE},
                                 {"delay", NUD_DELAY},
                                 {"probe", NUD_PROBE},
                                 {"failed", NUD_FAILED},
                                 {"noarp", NUD_NOARP},
                                 {"permanent", NUD_PERMANENT},
                                 {NULL, 0}};

/* <linux/neighbour.h> of Linux 5.16, 6.1 and 6.17 has them */
enum { FLAG_EXT_MANAGED = 1, FLAG_EXT_LOCKED = 2, FLAG_EXT_VALIDATED = 4 };

#define EXT_FLAG(name, bit, role)                                              \
  {                                                                            \
    name, NDA_FLAGS_EXT, NN_PART, role,                                        \
        &(const nn_part){.size = 4, .mask = (bit)}                             \
  }

static const nn_field fields[] = {
    {"dst", NDA_DST, NN_IP, NN_KEY, NULL},
    {"lladdr", NDA_LLADDR, NN_HW, NN_SETTING, NULL},
    {"protocol", NDA_PROTOCOL, NN_NAME8, NN_SETTING, nn_protocols},
    EXT_FLAG("managed", FLAG_EXT_MANAGED, NN_SETTING),
    EXT_FLAG("extern_valid", FLAG_EXT_VALIDATED, NN_SETTING),
    {"probes", NDA_PROBES, NN_OTHER, NN_STATE, NULL},
    {"times", NDA_CACHEINFO, NN_OTHER, NN_STATE, NULL},
    /* of forwarding, not of neighbours */
    {"vlan", NDA_VLAN, NN_U16, NN_SHOWN, NULL},
    {"port", NDA_PORT, NN_BE16, NN_SHOWN, NULL},
    {"vni", NDA_VNI, NN_U32, NN_SHOWN, NULL},
    {"via", NDA_IFINDEX, NN_LINK, NN_SHOWN, NULL},
    {"nhid", NDA_NH_ID, NN_U32, NN_SHOWN, NULL},
    {.name = NULL}};

static const nn_field head_fields[] = {
    {"family", offsetof(struct ndmsg, ndm_family), NN_NAME8, NN_KEY,
     nn_families},
    {"state", offsetof(struct ndmsg, ndm_state), NN_NAME16, NN_SETTING, states},
    {.name = NULL}};

static const nn_field link_field[] = {
    {"link", offsetof(struct ndmsg, ndm_ifindex), NN_LINK, NN_KEY, NULL},
    {.name = NULL}};

/* In the head. The first tells a proxy from a neighbour; the kernel does not
   list the last. */
static const struct flag {
  const char *name;
  uint8_t bit;
  bool state; /* the kernel's */
} flags[] = {{"proxy", NTF_PROXY, false},
             {"router", NTF_ROUTER, false},
             {"extern_learn", NTF_EXT_LEARNED, false},
             {"offloaded", NTF_OFFLOADED, true},
             {"use", NTF_USE, false},
             {NULL, 0, false}};

static const nn_field *const known[] = {fields, head_fields, link_field, NULL};

/* What a filter may have besides. */
static const nn_field row_fields[] = {
    {"index", 0, NN_U32, NN_STATE, NULL},
    {"proxy", 0, NN_BOOL, NN_STATE, NULL},
    {"router", 0, NN_BOOL, NN_STATE, NULL},
    {"extern_learn", 0, NN_BOOL, NN_STATE, NULL},
    {"offloaded", 0, NN_BOOL, NN_STATE, NULL},
    {.name = NULL}};

/* --- reading ------------------------------------------------------------- */

static bool push_neigh(const nn_codec *codec, const struct nlmsghdr *msg) {
  lua_State *L = codec->L;
  const struct ndmsg *head = nlmsg_data(msg);
  lua_createtable(L, 0, 8);
  nn_head_read(codec, head_fields, head);
  if (head->ndm_ifindex != 0) { /* a proxy may be one for all links */
    nn_head_read(codec, link_field, head);
    lua_pushinteger(L, head->ndm_ifindex);
    lua_setfield(L, -2, "index");
  }
  for (const struct flag *flag = flags; flag->name != NULL; flag++)
    if (head->ndm_flags & flag->bit) {
      lua_pushboolean(L, true);
      lua_setfield(L, -2, flag->name);
    }
  nn_fields_read(codec, fields, nlmsg_attrdata(msg, sizeof *head),
                 nlmsg_attrlen(msg, sizeof *head));
  return true;
}

/* Proxies have no state. */
static bool push_proxy(const nn_codec *codec, const struct nlmsghdr *msg) {
  push_neigh(codec, msg);
  lua_pushnil(codec->L);
  lua_setfield(codec->L, -2, "state");
  return true;
}

/* Passes over what `ip neigh` does not show when no state is asked for: those
   that the kernel makes for addresses that need no resolution, as multicast,
   and those that it knows nothing of. */
static bool push_resolved(const nn_codec *codec, const struct nlmsghdr *msg) {
  const struct ndmsg *head = nlmsg_data(msg);
  return ((head->ndm_state & ~NUD_NOARP) != 0 ||
          (head->ndm_flags & NTF_EXT_LEARNED) != 0) &&
         push_neigh(codec, msg);
}

static nn_spelling spell_neigh(const nn_codec *codec, const char *key,
                               int nth) {
  static const nn_field *const lists[] = {fields, head_fields, link_field,
                                          row_fields, NULL};
  return nn_fields_spell(codec, lists, key, nth);
}

/***
The neighbours that a namespace knows: `ip -n NAME neigh`.
@function neighs
@param NS
@tparam[opt] table filter fields that a neighbour has to have, such as
`{ link = "eth0", state = "reachable" }`. As with `ip neigh`, the proxies are
listed with `{ proxy = true }` and only then, and neighbours in the states
`noarp` and `none` only with `{ state = … }`.
@treturn[1] {table,...} with the names of `ip -json neigh`: `dst`, `link`, its
`index`, `lladdr`, `state` (one of `permanent`, `reachable`, `stale`, `delay`,
`probe`, `incomplete`, `failed`, `noarp`, `none`), `family` (`inet`, `inet6`),
`protocol`, and, if so, `router=true`, `extern_learn=true`, `managed=true`,
`offloaded=true`, `proxy=true`
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int neigh_list(lua_State *L) {
  struct ndmsg head = {.ndm_family = AF_UNSPEC};
  nn_push *push = push_resolved;
  nn_codec codec;
  lua_settop(L, 2);
  if (!lua_isnil(L, 2))
    nn_arg_table(L, 2, "neighs", "filter");
  nn_ns *ns = nn_codec_open(L, "neighs", &codec);
  if (ns == NULL)
    return 3;
  if (!nn_filter_push(&codec, 2, spell_neigh)) {
    nn_ns_done(ns);
    return 3;
  }
  if (!lua_isnil(L, 2)) {
    if (lua_getfield(L, 2, "state") != LUA_TNIL)
      push = push_neigh;
    if (nn_flag_get(&codec, 2, "proxy")) {
      head.ndm_flags = NTF_PROXY;
      push = push_proxy;
    }
  }
  struct nl_msg *msg = nn_msg_push(L, RTM_GETNEIGH, NLM_F_DUMP);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  return nn_dump(&codec, ns, msg, push, 3);
}

/* --- writing ------------------------------------------------------------- */

static void need(const nn_codec *codec, int table, const char *name) {
  if (lua_getfield(codec->L, table, name) == LUA_TNIL)
    nn_wrong_type(codec, name, "string");
  lua_pop(codec->L, 1);
}

/* The family is that of the address, whatever `family` says, unless it says
   another. */
static bool put_family(const nn_codec *codec, struct nl_msg *msg,
                       struct ndmsg *head) {
  const struct nlattr *dst =
      nlmsg_find_attr(nlmsg_hdr(msg), sizeof *head, NDA_DST);
  const uint8_t family = nla_len(dst) == 4 ? AF_INET : AF_INET6;
  if (head->ndm_family != AF_UNSPEC && head->ndm_family != family) {
    nn_fail(codec->L, EINVAL, "%s: dst of another family", codec->what);
    return false;
  }
  head->ndm_family = family;
  return true;
}

/* Writes the neighbour at 2 into a message; false after a triple. */
static bool put_neigh(const nn_codec *codec, struct nl_msg *msg,
                      struct ndmsg **head) {
  const struct ndmsg none = {.ndm_family = AF_UNSPEC};
  need(codec, 2, "dst");
  if (!nn_flag_get(codec, 2, "proxy")) /* which may be one for all links */
    need(codec, 2, "link");
  nlmsg_append(msg, (void *)&none, sizeof none, NLMSG_ALIGNTO);
  *head = nlmsg_data(nlmsg_hdr(msg));
  for (const struct flag *flag = flags; flag->name != NULL; flag++)
    if (!flag->state && nn_flag_get(codec, 2, flag->name))
      (*head)->ndm_flags |= flag->bit;
  return nn_head_write(codec, head_fields, 2, msg, *head) &&
         nn_head_write(codec, link_field, 2, msg, *head) &&
         nn_fields_write(codec, fields, 2, msg) &&
         put_family(codec, msg, *head);
}

/* What messages call the neighbour at 2. */
static const char *subject(lua_State *L) {
  lua_getfield(L, 2, "dst");
  if (lua_getfield(L, 2, "link") == LUA_TNIL)
    return lua_tostring(L, -2);
  const char *link = luaL_tolstring(L, -1, NULL);
  return lua_pushfstring(L, "%s %s", lua_tostring(L, -3), link);
}

/* An entry is for good, unless something else is said, or the kernel is to find
   out. Without a `lladdr` the
   kernel would refuse it too, but leave an entry that then is in the way. */
static void put_state(const nn_codec *codec, struct ndmsg *head) {
  if (lua_getfield(codec->L, 2, "state") == LUA_TNIL)
    head->ndm_state = nn_flag_get(codec, 2, "managed") ||
                              nn_flag_get(codec, 2, "use")
                          ? NUD_NONE
                          : NUD_PERMANENT;
  if (!(head->ndm_flags & NTF_PROXY) && (head->ndm_state & NUD_LLADDR) != 0)
    need(codec, 2, "lladdr");
}

/* Sends the neighbour at 2 as a request: true, or nil, message, errno. */
static int change(lua_State *L, const char *what, int type) {
  static const char *const others[] = {"replace",   "index",        "proxy",
                                       "router",    "extern_learn", "use",
                                       "offloaded", NULL};
  const bool adding = type == RTM_NEWNEIGH;
  int how = 0;
  nn_codec codec;
  struct ndmsg *head;
  lua_settop(L, 2);
  nn_arg_table(L, 2, what, "neigh");
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL)
    return 3;
  nn_fields_check(&codec, 2, known, adding ? others : others + 1);
  codec.keys = !adding;
  if (adding)
    how = NLM_F_CREATE |
          (nn_flag_get(&codec, 2, "replace") ? NLM_F_REPLACE : NLM_F_EXCL);
  struct nl_msg *msg = nn_msg_push(L, type, how);
  if (!put_neigh(&codec, msg, &head)) {
    nn_ns_done(ns);
    return 3;
  }
  if (adding)
    put_state(&codec, head);
  return nn_change(&codec, ns, msg, subject(L));
}

/***
Tells a namespace of a neighbour: `ip -n NAME neigh add …`.
@function neigh_add
@param NS
@tparam table neigh `dst`, an address; `link`; `lladdr`; `state`, by default
`permanent`; `router`, `extern_learn`, `protocol`; `managed=true`, to have the
kernel keep it reachable, or `use=true`, to have it look once, both without a
state; or `proxy=true`, to answer for `dst` on that link. `replace=true` changes
what is there (`ip neigh replace`). A row of @{neighs} will do; its `index` and
`offloaded` are passed over.
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EEXIST (but for a proxy, which may be added again),
ENODEV, EINVAL
*/
static int neigh_add(lua_State *L) {
  return change(L, "neigh_add", RTM_NEWNEIGH);
}

/***
Forgets a neighbour: `ip -n NAME neigh delete …`.
@function neigh_delete
@param NS
@tparam table neigh `dst`; `link`; `proxy=true` for a proxy. What else
@{neighs} tells is ignored.
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENOENT, ENODEV, EINVAL
*/
static int neigh_delete(lua_State *L) {
  return change(L, "neigh_delete", RTM_DELNEIGH);
}

void nn_open_neigh(lua_State *L) {
  static const luaL_Reg functions[] = {{"neighs", neigh_list},
                                       {"neigh_add", neigh_add},
                                       {"neigh_delete", neigh_delete},
                                       {NULL, NULL}};
  nn_ns_functions(L, functions);
}
