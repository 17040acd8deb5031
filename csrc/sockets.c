/* sockets.c - the sockets of a namespace, over sock_diag(7). The kernel tells
   them by protocol and family; lua/netns/sockets.lua puts them together. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "netns.h"

#define END                                                                    \
  { .name = NULL }
/* Those that ss(8) knows; newer ones are only told to those who ask. */
#define ALL_STATES ((1U << (TCP_CLOSING + 1)) - 1)

/* As ss has them in its filters, but for the one that it also calls LISTEN. */
static const nn_name states[] = {
    {"established", TCP_ESTABLISHED}, {"syn-sent", TCP_SYN_SENT},
    {"syn-recv", TCP_SYN_RECV},       {"fin-wait-1", TCP_FIN_WAIT1},
    {"fin-wait-2", TCP_FIN_WAIT2},    {"time-wait", TCP_TIME_WAIT},
    {"unconnected", TCP_CLOSE},       {"close-wait", TCP_CLOSE_WAIT},
    {"last-ack", TCP_LAST_ACK},       {"listen", TCP_LISTEN},
    {"closing", TCP_CLOSING},         {NULL, 0}};

static const nn_name timers[] = {
    {"on", 1}, {"keepalive", 2}, {"timewait", 3}, {"persist", 4}, {NULL, 0}};

/* --- reading ------------------------------------------------------------- */

#define HEAD(field) offsetof(struct inet_diag_msg, field)

static const nn_field head_fields[] = {
    {"family", HEAD(idiag_family), NN_NAME8, NN_STATE, nn_families},
    {"state", HEAD(idiag_state), NN_NAME8, NN_STATE, states},
    {"link", HEAD(id.idiag_if), NN_LINK, NN_STATE, NULL},
    {"recv_queue", HEAD(idiag_rqueue), NN_U32, NN_STATE, NULL},
    {"send_queue", HEAD(idiag_wqueue), NN_U32, NN_STATE, NULL},
    END};

/* Of the file that it is, if it is one. */
static const nn_field owner_fields[] = {
    {"uid", HEAD(idiag_uid), NN_U32, NN_STATE, NULL},
    {"inode", HEAD(idiag_inode), NN_U32, NN_STATE, NULL},
    END};

static const nn_field timer_fields[] = {
    {"timer", HEAD(idiag_timer), NN_NAME8, NN_STATE, timers},
    {"retransmits", HEAD(idiag_retrans), NN_U8, NN_STATE, NULL},
    END};

static const nn_field fields[] = {
    {"v6only", INET_DIAG_SKV6ONLY, NN_BOOL, NN_STATE, NULL},
    {"congestion", INET_DIAG_CONG, NN_TEXT, NN_STATE, NULL},
    END};

/* Sets an address and its port, which is 0 for none. */
static void set_end(lua_State *L, const char *address, const char *port,
                    int family, const void *ip, uint16_t number) {
  char text[INET6_ADDRSTRLEN];
  lua_pushstring(L, inet_ntop(family, ip, text, sizeof text));
  lua_setfield(L, -2, address);
  if (number != 0) {
    lua_pushinteger(L, ntohs(number));
    lua_setfield(L, -2, port);
  }
}

static void set_ends(lua_State *L, int family,
                     const struct inet_diag_sockid *id) {
  static const char none[sizeof id->idiag_dst];
  const size_t size = family == AF_INET ? 4 : sizeof none;
  set_end(L, "address", "port", family, id->idiag_src, id->idiag_sport);
  if (id->idiag_dport != 0 || memcmp(id->idiag_dst, none, size) != 0)
    set_end(L, "peer_address", "peer_port", family, id->idiag_dst,
            id->idiag_dport);
}

static bool push_socket(const nn_codec *codec, const struct nlmsghdr *msg,
                        const char *protocol) {
  lua_State *L = codec->L;
  const struct inet_diag_msg *head = nlmsg_data(msg);
  lua_createtable(L, 0, 16);
  lua_pushstring(L, protocol);
  lua_setfield(L, -2, "protocol");
  nn_head_read(codec, head_fields, head);
  set_ends(L, head->idiag_family, &head->id);
  lua_pushinteger(L, (lua_Integer)((uint64_t)head->id.idiag_cookie[1] << 32 |
                                   head->id.idiag_cookie[0]));
  lua_setfield(L, -2, "cookie");
  if (head->idiag_inode != 0)
    nn_head_read(codec, owner_fields, head);
  if (head->idiag_timer != 0) {
    nn_head_read(codec, timer_fields, head);
    lua_pushnumber(L, (lua_Number)head->idiag_expires / 1000);
    lua_setfield(L, -2, "expires");
  }
  nn_fields_pick(codec, fields, nlmsg_attrdata(msg, sizeof *head),
                 nlmsg_attrlen(msg, sizeof *head));
  return true;
}

static bool push_tcp(const nn_codec *codec, const struct nlmsghdr *msg) {
  return push_socket(codec, msg, "tcp");
}

static bool push_udp(const nn_codec *codec, const struct nlmsghdr *msg) {
  return push_socket(codec, msg, "udp");
}

static bool push_raw(const nn_codec *codec, const struct nlmsghdr *msg) {
  return push_socket(codec, msg, "raw");
}

/* --- asking -------------------------------------------------------------- */

typedef struct request {
  struct inet_diag_req_v2 head;
  uint8_t state; /* 0: all of them */
} request;

/* What the kernel looks at itself, so that its answer is short. */
static const nn_field request_fields[] = {
    {"state", offsetof(request, state), NN_NAME8, NN_SETTING, states},
    {"port", offsetof(request, head.id.idiag_sport), NN_BE16, NN_SETTING, NULL},
    {"peer_port", offsetof(request, head.id.idiag_dport), NN_BE16, NN_SETTING,
     NULL},
    END};

static const nn_name protocols[] = {{"tcp", IPPROTO_TCP},
                                    {"udp", IPPROTO_UDP},
                                    {"raw", IPPROTO_RAW},
                                    {NULL, 0}};

/* What tables of sockets have besides. */
static const nn_field row_fields[] = {
    {"protocol", 0, NN_NAME8, NN_STATE, protocols},
    {"address", 0, NN_IP, NN_STATE, NULL},
    {"peer_address", 0, NN_IP, NN_STATE, NULL},
    {"cookie", 0, NN_U64, NN_STATE, NULL},
    {"expires", 0, NN_NUMBER, NN_STATE, NULL},
    END};

static nn_spelling spell_socket(const nn_codec *codec, const char *key,
                                int nth) {
  static const nn_field *const lists[] = {request_fields, head_fields,
                                          owner_fields,   timer_fields,
                                          fields,         row_fields,
                                          NULL};
  return nth > 0 ? NN_UNKNOWN : nn_fields_spell(codec, lists, key, nth);
}

/* Puts what the filter at 2 says into the request, and pushes the filter as
   rows have it; false after a triple. */
static bool put_filter(const nn_codec *codec, struct nl_msg *msg,
                       request *asked) {
  if (!lua_isnil(codec->L, 2) &&
      !nn_head_write(codec, request_fields, 2, msg, asked))
    return false;
  if (asked->state != 0)
    asked->head.idiag_states = 1U << asked->state % 32;
  return nn_filter_push(codec, 2, spell_socket);
}

/* core.sockets(NS, filter, protocol, family): those of one protocol and one
   family; the filter is as for the function in Lua, of which the protocol and
   the family are not looked at. */
static int sockets_list(lua_State *L) {
  static const char *const words[] = {"tcp", "udp", "raw", NULL};
  static nn_push *const pushes[] = {push_tcp, push_udp, push_raw};
  static const char *const families[] = {"inet", "inet6", NULL};
  const int protocol = luaL_checkoption(L, 3, NULL, words);
  const int family = luaL_checkoption(L, 4, NULL, families);
  request asked = {.head = {.sdiag_family = family == 0 ? AF_INET : AF_INET6,
                            .sdiag_protocol =
                                (uint8_t)protocols[protocol].value,
                            .idiag_ext = 1 << (INET_DIAG_CONG - 1),
                            .idiag_states = ALL_STATES}};
  nn_codec codec;
  nn_ack ack;
  nn_ns *ns = nn_codec_open_by(L, "sockets", NETLINK_SOCK_DIAG, &codec);
  if (ns == NULL)
    return 3;
  struct nl_msg *msg = nn_msg_push(L, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  if (!put_filter(&codec, msg, &asked)) {
    nn_ns_done(ns);
    return 3;
  }
  nlmsg_append(msg, &asked.head, sizeof asked.head, NLMSG_ALIGNTO);
  int err = nn_dump_list(&codec, msg, pushes[protocol], lua_gettop(L), &ack);
  nn_ns_done(ns);
  if (err == 0)
    return 1;
  if (err == ENOENT) /* a kernel that has no such dump */
    ack.err = EOPNOTSUPP;
  return nn_rtnl_fail(L, &ack, "sockets %s: %s", nn_ns_label(L, 1),
                      words[protocol]);
}

void nn_open_sockets(lua_State *L) {
  static const luaL_Reg functions[] = {{"sockets", sockets_list}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
