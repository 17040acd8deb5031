/* read.c - messages as the kernel sends them, with attributes that are cut off
   or unknown: no crash, nothing read behind the message, and tables, or an
   error, come out.

   The input: what is listed, a flag, and the payload of one message. */
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fields.h"
#include "kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct list {
  const char *name; /* the function */
  uint16_t type;    /* of a message of the answer */
  uint8_t head;     /* bytes that there are always */
  nn_push *push;    /* NULL if it is static */
} list;

static const list lists[] = {
    {"links", RTM_NEWLINK, sizeof(struct ifinfomsg), nn_push_link},
    {"addrs", RTM_NEWADDR, sizeof(struct ifaddrmsg), nn_push_addr},
    {"routes", RTM_NEWROUTE, sizeof(struct rtmsg), nn_push_route},
    {"neighs", RTM_NEWNEIGH, sizeof(struct ndmsg), NULL},
    {"rules", RTM_NEWRULE, sizeof(struct fib_rule_hdr), NULL},
    {"qdiscs", RTM_NEWQDISC, sizeof(struct tcmsg), NULL},
    {"classes", RTM_NEWTCLASS, sizeof(struct tcmsg), NULL},
    {"link", RTM_NEWLINK, sizeof(struct ifinfomsg), NULL},
    {"link_set", RTM_NEWLINK, sizeof(struct ifinfomsg), NULL},
    {"route_get", RTM_NEWROUTE, sizeof(struct rtmsg), NULL},
    {"sockets", SOCK_DIAG_BY_FAMILY, sizeof(struct inet_diag_msg), NULL}};

#define LISTS (sizeof lists / sizeof *lists)

/* Everything that was told has to be a plain value. */
static void check_table(lua_State *L, int depth) {
  fuzz_need(depth < 8, "tables too deep");
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    const int type = lua_type(L, -1);
    fuzz_need(type == LUA_TSTRING || type == LUA_TNUMBER ||
                  type == LUA_TBOOLEAN || type == LUA_TTABLE,
              "a value of type %s", lua_typename(L, type));
    if (type == LUA_TTABLE)
      check_table(L, depth + 1);
    lua_pop(L, 1);
  }
}

/* As the listing functions call it; the message is at 1. */
static int push_alone(lua_State *L) {
  const list *which = lua_touserdata(L, 1);
  const struct nlmsghdr *msg = lua_touserdata(L, 2);
  nn_rtnl rtnl = {.fd = 0};
  const nn_codec codec = {.L = L, .rtnl = &rtnl, .what = "fuzz"};
  const bool pushed = which->push(&codec, msg);
  fuzz_need(lua_gettop(L) == 2 + pushed, "the Lua stack is not balanced");
  lua_pushboolean(L, true);
  return 1;
}

static void check_push(lua_State *L, const list *which, struct nlmsghdr *msg) {
  lua_pushcfunction(L, push_alone);
  lua_pushlightuserdata(L, (void *)which);
  lua_pushlightuserdata(L, msg);
  fuzz_need(fuzz_call(L, 2), "an error: %s", lua_tostring(L, -1));
  lua_settop(L, 2);
}

static void check_list(lua_State *L, const list *which, bool all) {
  int count = 1;
  lua_getfield(L, 1, which->name);
  lua_pushvalue(L, 2);
  if (which->type == RTM_NEWTCLASS || strncmp(which->name, "link", 5) == 0 ||
      strcmp(which->name, "link_set") == 0) {
    lua_pushstring(L, "eth0");
    count = 2;
  }
  if (strcmp(which->name, "route_get") == 0) {
    lua_pushstring(L, "192.0.2.1");
    count = 2;
  }
  if (which->type == SOCK_DIAG_BY_FAMILY) {
    lua_newtable(L);
    lua_pushstring(L, all ? "tcp" : "udp");
    lua_pushstring(L, all ? "inet6" : "inet");
    count = 4;
  }
  if (strcmp(which->name, "link_set") == 0) {
    lua_newtable(L);
    lua_pushstring(L, "52:54:00:12:34:56");
    lua_setfield(L, -2, "address");
    count = 3;
  } else if (all && which->type == RTM_NEWNEIGH) {
    lua_newtable(L);
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "proxy");
    count = 2;
  }
  if (fuzz_call(L, count) && lua_istable(L, 3))
    check_table(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  const list *which = &lists[data[0] % LISTS];
  const bool all = data[1] & 1;
  data += 2;
  size -= 2;
  if (size > 16384)
    return 0;
  const size_t payload = size < which->head ? which->head : size;
  struct nlmsghdr *msg = calloc(1, NLMSG_LENGTH(payload));
  msg->nlmsg_len = (uint32_t)NLMSG_LENGTH(payload);
  msg->nlmsg_type = which->type;
  if (size > 0)
    memcpy(NLMSG_DATA(msg), data, size);
  if (strcmp(which->name, "route_get") == 0) /* as was asked for */
    *(unsigned char *)NLMSG_DATA(msg) = AF_INET;
  lua_State *L = fuzz_open();
  fuzz_kernel.answer = msg;
  if (which->push != NULL)
    check_push(L, which, msg);
  check_list(L, which, all);
  fuzz_close(L);
  free(msg);
  return 0;
}
