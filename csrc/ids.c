/* ids.c - the ids that namespaces have for one another, one request each. What
   is made of them is in lua/netns/ids.lua. */
#include <errno.h>
#include <limits.h>
#include <linux/net_namespace.h>
#include <poll.h>
#include <sys/socket.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "netns.h"

/* An RTM_*NSID message. Built on the stack, because a list of names sends one
   for each of them. */
struct request {
  struct nlmsghdr header;
  struct rtgenmsg family;
  uint8_t zero[3]; /* the kernel looks at the padding */
  struct {
    struct nlattr header;
    int32_t value;
  } attrs[2];
};

static struct request new_request(int type, int flags) {
  return (struct request){
      .header = {.nlmsg_len = offsetof(struct request, attrs),
                 .nlmsg_type = (uint16_t)type,
                 .nlmsg_flags = (uint16_t)flags},
      .family = {.rtgen_family = AF_UNSPEC}};
}

/* Adds an attribute; there is room for two. */
static void put(struct request *request, int type, int value) {
  bool second = request->header.nlmsg_len > offsetof(struct request, attrs);
  request->attrs[second].header =
      (struct nlattr){sizeof request->attrs[0], (uint16_t)type};
  request->attrs[second].value = value;
  request->header.nlmsg_len += sizeof request->attrs[0];
}

/* -1 where there is none. */
struct answer {
  int id, current;
};

static struct answer read_answer(const struct nlmsghdr *msg) {
  struct answer answer = {-1, -1};
  struct nlattr *attrs[NETNSA_MAX + 1];
  if (nlmsg_parse((struct nlmsghdr *)msg, sizeof(struct rtgenmsg), attrs,
                  NETNSA_MAX, NULL) < 0)
    return answer;
  if (attrs[NETNSA_NSID] != NULL)
    answer.id = nla_get_s32(attrs[NETNSA_NSID]);
  if (attrs[NETNSA_CURRENT_NSID] != NULL)
    answer.current = nla_get_s32(attrs[NETNSA_CURRENT_NSID]);
  return answer;
}

/* RTM_GETNSID for what the attribute `by` says. */
static int ask(nn_rtnl *rtnl, int by, int value, int target,
               struct answer *answer, nn_ack *ack) {
  struct request request = new_request(RTM_GETNSID, 0);
  put(&request, by, value);
  if (target >= 0)
    put(&request, NETNSA_TARGET_NSID, target);
  *answer = (struct answer){-1, -1};
  ack->text[0] = '\0';
  ack->err = nn_rtnl_send(rtnl, &request.header);
  if (ack->err != 0)
    return ack->err;
  const struct nlmsghdr *reply = nn_rtnl_next(rtnl, ack);
  if (reply != NULL)
    *answer = read_answer(reply);
  return ack->err;
}

int nn_id_of(nn_rtnl *rtnl, int fd, int *id, nn_ack *ack) {
  struct answer answer;
  ask(rtnl, NETNSA_FD, fd, -1, &answer, ack);
  *id = answer.id;
  return ack->err;
}

/* The target id at `arg`; -1 if there is none. */
static int opt_target(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? -1 : (int)nn_checkint(L, arg, 0, INT_MAX);
}

/* Pushes an id and the current id, nil for none; or the failure. */
static int push_answer(lua_State *L, const struct answer *answer,
                       const nn_ack *ack, const char *text) {
  if (ack->err != 0)
    return nn_rtnl_fail(L, ack, "%s", text);
  lua_settop(L, 0);
  if (answer->id >= 0)
    lua_pushinteger(L, answer->id);
  else
    lua_pushboolean(L, false);
  if (answer->current >= 0)
    lua_pushinteger(L, answer->current);
  return lua_gettop(L);
}

/* core.id_of(rtnl, NS, target|nil, what): the id of a namespace for the
   viewpoint of the socket, or for the target; false if none is assigned. With
   a target also the viewpoint's own id. */
static int ids_of(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  int target = opt_target(L, 3);
  const char *what = luaL_checkstring(L, 4);
  struct answer answer;
  nn_ack ack;
  nn_ns *ns = nn_ns_arg(L, 2, what);
  if (ns == NULL)
    return 3;
  ask(rtnl, NETNSA_FD, ns->fd, target, &answer, &ack);
  nn_ns_done(ns);
  return push_answer(L, &answer, &ack,
                     lua_pushfstring(L, "%s %s", what, nn_ns_label(L, 2)));
}

/* core.id_at(rtnl, nsid, target|nil, what): the same for the namespace that
   has the id `nsid`. */
static int ids_at(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  int nsid = (int)nn_checkint(L, 2, 0, INT_MAX);
  int target = opt_target(L, 3);
  struct answer answer;
  nn_ack ack;
  ask(rtnl, NETNSA_NSID, nsid, target, &answer, &ack);
  return push_answer(L, &answer, &ack, luaL_checkstring(L, 4));
}

/* core.id_set(rtnl, NS, id): -1 lets the kernel choose, which then does not
   say what it chose. */
static int ids_set(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  int id = (int)nn_checkint(L, 3, -1, INT_MAX);
  nn_ack ack;
  nn_ns *ns = nn_ns_arg(L, 2, "set");
  if (ns == NULL)
    return 3;
  struct request request = new_request(RTM_NEWNSID, NLM_F_ACK);
  put(&request, NETNSA_NSID, id);
  put(&request, NETNSA_FD, ns->fd);
  ack.text[0] = '\0';
  ack.err = nn_rtnl_send(rtnl, &request.header);
  if (ack.err == 0)
    nn_rtnl_next(rtnl, &ack);
  nn_ns_done(ns);
  if (ack.err != 0)
    return nn_rtnl_fail(L, &ack, "set %s", nn_ns_label(L, 2));
  lua_pushboolean(L, true);
  return 1;
}

/* core.id_dump(rtnl, target|nil, what): what the kernel lists, in the order of
   the ids: an array of ids, an array of the current ids (false for none), and
   whether all came in one datagram, of which only the kernel knows if it had
   room for more. */
static int ids_dump(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  int target = opt_target(L, 2);
  const char *what = luaL_checkstring(L, 3);
  lua_Integer n = 0;
  unsigned datagrams = 0;
  nn_ack ack = {0};
  const struct nlmsghdr *reply;
  struct request request = new_request(RTM_GETNSID, NLM_F_DUMP);
  if (target >= 0)
    put(&request, NETNSA_TARGET_NSID, target);
  ack.err = nn_rtnl_send(rtnl, &request.header);
  if (ack.err != 0)
    return nn_rtnl_fail(L, &ack, "%s", what);
  lua_newtable(L);
  lua_newtable(L);
  while ((reply = nn_rtnl_next(rtnl, &ack)) != NULL) {
    struct answer answer = read_answer(reply);
    datagrams = rtnl->datagrams;
    lua_pushinteger(L, answer.id);
    lua_rawseti(L, -3, ++n);
    if (answer.current >= 0)
      lua_pushinteger(L, answer.current);
    else
      lua_pushboolean(L, false);
    lua_rawseti(L, -2, n);
  }
  if (ack.err != 0)
    return nn_rtnl_fail(L, &ack, "%s", what);
  lua_pushboolean(L, datagrams <= 1);
  return 3;
}

/* core.id_probe(rtnl, first, last, misses, found): asks for ids one by one,
   from `first` to `last`, and gives up after so many in a row that are not
   assigned. Appends what is there to the array `found`. */
static int ids_probe(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  lua_Integer id = nn_checkint(L, 2, 0, INT_MAX);
  lua_Integer last = nn_checkint(L, 3, 0, INT_MAX);
  lua_Integer misses = nn_checkint(L, 4, 1, INT_MAX), row = 0;
  luaL_checktype(L, 5, LUA_TTABLE);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 5);
  struct answer answer;
  nn_ack ack;
  for (; id <= last && row < misses; id++) {
    ask(rtnl, NETNSA_NSID, (int)id, -1, &answer, &ack);
    if (ack.err == ENOENT) {
      row++;
      continue;
    }
    if (ack.err != 0)
      return nn_rtnl_fail(L, &ack, "list_id");
    row = 0;
    lua_pushinteger(L, id);
    lua_rawseti(L, 5, ++n);
  }
  lua_pushboolean(L, true);
  return 1;
}

/* core.id_listen(rtnl): subscribes to the ids that come and go from now on. */
static int ids_listen(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  const int group = RTNLGRP_NSID, room = 4 << 20;
  /* a thousand events may come at once */
  if (setsockopt(rtnl->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    setsockopt(rtnl->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (setsockopt(rtnl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                 sizeof group) != 0)
    return nn_fail(L, errno, "id events");
  lua_pushinteger(L, rtnl->fd);
  return 1;
}

/* core.id_events(rtnl, timeout): waits for the first event if there is none
   yet; then all there are, as an array of ids with the sign of what happened:
   id for one that came, -1 - id for one that went. And whether events were
   lost. A signal ends the waiting. */
static int ids_events(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  struct pollfd ready = {.fd = rtnl->fd, .events = POLLIN};
  int timeout = nn_opttimeout(L, 2), left;
  bool overflow = false;
  lua_Integer n = 0;
  lua_newtable(L);
  if (poll(&ready, 1, timeout) < 0 && errno != EINTR)
    return nn_fail(L, errno, "id events");
  while ((left = nn_rtnl_poll(rtnl)) != 0) {
    const struct nlmsghdr *msg;
    if (left == -ENOBUFS)
      overflow = true;
    else if (left < 0)
      return nn_fail(L, -left, "id events");
    while ((msg = nn_rtnl_event(rtnl)) != NULL) {
      int id = read_answer(msg).id;
      if (id < 0)
        continue;
      lua_pushinteger(L, msg->nlmsg_type == RTM_NEWNSID ? id : -1 - id);
      lua_rawseti(L, -2, ++n);
    }
  }
  lua_pushboolean(L, overflow);
  return 2;
}

void nn_open_ids(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"id_of", ids_of},         {"id_at", ids_at},
      {"id_set", ids_set},       {"id_dump", ids_dump},
      {"id_probe", ids_probe},   {"id_listen", ids_listen},
      {"id_events", ids_events}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
