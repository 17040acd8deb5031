/* events.c - links, addresses and routes as they change: sockets that are
   subscribed to it, and what they tell. What is made of that is in
   lua/netns/watch.lua. */
#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <netlink/msg.h>

#include "fields.h"
#include "netns.h"

/* --- subjects ------------------------------------------------------------ */

typedef struct subject {
  int groups[2];
  uint16_t get, add, remove;
  uint8_t head; /* the size of a message's head, which begins with a family */
  nn_push *push;
} subject;

static const char *const names[] = {"link", "addr", "route", NULL};

static const subject subjects[] = {{{RTNLGRP_LINK, RTNLGRP_LINK},
                                    RTM_GETLINK,
                                    RTM_NEWLINK,
                                    RTM_DELLINK,
                                    sizeof(struct ifinfomsg),
                                    nn_push_link},
                                   {{RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR},
                                    RTM_GETADDR,
                                    RTM_NEWADDR,
                                    RTM_DELADDR,
                                    sizeof(struct ifaddrmsg),
                                    nn_push_addr},
                                   {{RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE},
                                    RTM_GETROUTE,
                                    RTM_NEWROUTE,
                                    RTM_DELROUTE,
                                    sizeof(struct rtmsg),
                                    nn_push_route}};

#define SUBJECTS (sizeof subjects / sizeof *subjects)

/* What a message is about; SUBJECTS for something else. Those of the family
   AF_BRIDGE are about a link, too, see push_event. */
static size_t subject_of(const struct nlmsghdr *msg) {
  size_t i = 0;
  while (i < SUBJECTS && msg->nlmsg_type != subjects[i].add &&
         msg->nlmsg_type != subjects[i].remove)
    i++;
  if (i == SUBJECTS || !nlmsg_valid_hdr(msg, subjects[i].head))
    return SUBJECTS;
  const struct rtgenmsg *head = nlmsg_data(msg);
  bool is_link = subjects[i].add == RTM_NEWLINK;
  const int family = head->rtgen_family;
  bool known = is_link ? family == AF_UNSPEC || family == AF_BRIDGE
                       : family == AF_INET || family == AF_INET6;
  return known ? i : SUBJECTS;
}

/* --- events -------------------------------------------------------------- */

/* core.net_listen(rtnl, what, "link"|"addr"|"route"…): subscribes to what
   happens to them from now on; the descriptor to poll. */
static int net_listen(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  const char *what = luaL_checkstring(L, 2);
  const int room = 4 << 20; /* a thousand events may come at once */
  if (setsockopt(rtnl->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    setsockopt(rtnl->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  for (int arg = 3; arg <= lua_gettop(L); arg++) {
    const int *groups = subjects[luaL_checkoption(L, arg, NULL, names)].groups;
    for (int i = 0; i < 2; i++)
      if (setsockopt(rtnl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
                     sizeof groups[i]) != 0)
        return nn_fail(L, errno, "%s", what);
  }
  lua_pushinteger(L, rtnl->fd);
  return 1;
}

/* core.net_wait(rtnl, what, timeout): waits for an event, and forgets all that
   there are, for one who looks himself. True also if the time was over or a
   signal came, for whose handlers the caller's loop gives Lua a turn. */
static int net_wait(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  const char *what = luaL_checkstring(L, 2);
  struct pollfd ready = {.fd = rtnl->fd, .events = POLLIN};
  int timeout = nn_opttimeout(L, 3), len = 1;
  poll(&ready, 1, timeout);
  /* not for ever, as they may come as fast as they are read */
  for (int n = 0; n < 1024 && len != 0; n++) {
    len = nn_rtnl_poll(rtnl);
    if (len < 0 && len != -ENOBUFS && len != -EMSGSIZE)
      return nn_fail(L, -len, "%s", what);
  }
  lua_pushboolean(L, true);
  return 1;
}

/* Whether a message is of a port of a bridge: its settings, of which the kernel
   sends no other message while the link is down, or an RTM_DELLINK when it
   leaves the bridge. It has a part of what belongs to the link. */
static bool is_port(const struct nlmsghdr *msg) {
  const struct ifinfomsg *head = nlmsg_data(msg);
  return (msg->nlmsg_type == RTM_NEWLINK || msg->nlmsg_type == RTM_DELLINK) &&
         head->ifi_family == AF_BRIDGE;
}

/* What an event does to its object: a flag tells of a route that takes another's
   place. */
static const char *action_of(const struct nlmsghdr *msg, const subject *about) {
  if (is_port(msg))
    return "look";
  if (msg->nlmsg_type == about->remove)
    return "delete";
  return msg->nlmsg_flags & NLM_F_REPLACE ? "change" : "add";
}

/* Addresses and routes have the indexes of their links: the names are those of
   the time of the message, which only a monitor knows. */
static nn_codec codec_of(lua_State *L, nn_rtnl *rtnl, const char *what,
                         const subject *about) {
  return (nn_codec){.L = L,
                    .rtnl = rtnl,
                    .what = what,
                    .foreign = about->add != RTM_NEWLINK};
}

/* Pushes the table of an event's object; of a link to look at only the index. */
static bool push_event(const nn_codec *codec, const subject *about,
                       const struct nlmsghdr *msg) {
  const struct ifinfomsg *head = nlmsg_data(msg);
  if (!is_port(msg))
    return about->push(codec, msg);
  lua_createtable(codec->L, 0, 1);
  lua_pushinteger(codec->L, head->ifi_index);
  lua_setfield(codec->L, -2, "index");
  return true;
}

/* core.net_events(rtnl, what): the events of one datagram, as an array of
   action ("add", "change", "delete", "look"), name and table of the object, by
   turns; false if there is none; and whether events were lost. */
static int net_events(lua_State *L) {
  nn_rtnl *rtnl = nn_rtnl_check(L, 1);
  const char *what = luaL_checkstring(L, 2);
  const struct nlmsghdr *msg;
  lua_Integer n = 0;
  int len = nn_rtnl_poll(rtnl);
  bool lost = len == -ENOBUFS || len == -EMSGSIZE;
  if (len < 0 && !lost)
    return nn_fail(L, -len, "%s", what);
  if (len == 0) {
    lua_pushboolean(L, false);
    return 1;
  }
  lua_newtable(L);
  while ((msg = nn_rtnl_event(rtnl)) != NULL) {
    size_t i = subject_of(msg);
    if (i == SUBJECTS)
      continue;
    const nn_codec codec = codec_of(L, rtnl, what, &subjects[i]);
    if (!push_event(&codec, &subjects[i], msg))
      continue;
    lua_rawseti(L, -2, n + 3);
    lua_pushstring(L, action_of(msg, &subjects[i]));
    lua_rawseti(L, -2, n + 1);
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, n + 2);
    n += 3;
  }
  lua_pushboolean(L, lost);
  return 2;
}

/* core.net_look(rtnl, index): the link that has it; false for none. */
static int net_look(lua_State *L) {
  const nn_codec codec = {.L = L, .rtnl = nn_rtnl_check(L, 1), .what = "link"};
  const struct ifinfomsg head = {
      .ifi_family = AF_UNSPEC, .ifi_index = (int)nn_checkint(L, 2, 1, INT_MAX)};
  const struct nlmsghdr *msg = NULL;
  nn_ack ack = {0};
  struct nl_msg *request = nn_msg_push(L, RTM_GETLINK, 0);
  nlmsg_append(request, (void *)&head, sizeof head, NLMSG_ALIGNTO);
  ack.err = nn_rtnl_send(codec.rtnl, nlmsg_hdr(request));
  if (ack.err == 0)
    msg = nn_rtnl_next(codec.rtnl, &ack);
  if (ack.err != 0 && ack.err != ENODEV)
    return nn_rtnl_fail(L, &ack, "link %d", head.ifi_index);
  if (msg == NULL)
    lua_pushboolean(L, false);
  else
    nn_push_link(&codec, msg);
  return 1;
}

/* core.net_scan(rtnl, what, "link"|"addr"|"route"): an array of all there
   are. */
static int net_scan(lua_State *L) {
  const subject *about = &subjects[luaL_checkoption(L, 3, NULL, names)];
  const nn_codec codec =
      codec_of(L, nn_rtnl_check(L, 1), luaL_checkstring(L, 2), about);
  nn_ack ack;
  struct nl_msg *request = nn_msg_push(L, about->get, NLM_F_DUMP);
  nlmsg_reserve(request, about->head, NLMSG_ALIGNTO); /* all zero */
  return nn_dump_list(&codec, request, about->push, 0, &ack) == 0
             ? 1
             : nn_rtnl_fail(L, &ack, "%s", codec.what);
}

void nn_open_events(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"net_listen", net_listen}, {"net_wait", net_wait},
      {"net_events", net_events}, {"net_scan", net_scan},
      {"net_look", net_look},     {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
