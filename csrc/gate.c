/* gate.c - what a monitor is waited for by: one descriptor that is readable
   when one of its sources is, or while events that were made of them wait in
   Lua. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "netns.h"

#define TYPE "netns.gate"

/* Both are -1 when closed. */
typedef struct nn_gate {
  int epoll;   /* the sources, and */
  int pending; /* an eventfd, readable while events wait */
  pid_t user;  /* a forked child must not take the events away */
} nn_gate;

/* `what` is the method of the monitor. */
static nn_gate *check_gate(lua_State *L, int arg, const char *what) {
  nn_gate *gate = luaL_checkudata(L, arg, TYPE);
  if (gate->epoll < 0)
    nn_raise_arg(L, what, "monitor", "monitor is closed");
  if (gate->user != getpid())
    nn_raise_arg(L, what, "monitor",
                 "monitor belongs to the process that opened it");
  return gate;
}

static int add(const nn_gate *gate, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  return epoll_ctl(gate->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int nn_gate_add(lua_State *L, int arg, int fd, uint32_t events) {
  return add(check_gate(L, arg, "read"), fd, events);
}

static int gate_close(lua_State *L) {
  nn_gate *gate = luaL_checkudata(L, 1, TYPE);
  nn_close(&gate->pending);
  nn_close(&gate->epoll);
  return 0;
}

/* core.gate(what) */
static int gate_open(lua_State *L) {
  const char *what = luaL_checkstring(L, 1);
  nn_gate *gate = lua_newuserdata(L, sizeof *gate);
  *gate = (nn_gate){-1, -1, getpid()};
  luaL_setmetatable(L, TYPE);
  int err = 0;
  if ((gate->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
      (gate->pending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
    err = errno;
  else
    err = add(gate, gate->pending, EPOLLIN);
  if (err == 0)
    return 1;
  nn_close(&gate->pending);
  nn_close(&gate->epoll);
  return nn_fail(L, err, "%s", what);
}

/* gate:add(fd, what): one more source. */
static int gate_add(lua_State *L) {
  const int fd = (int)luaL_checkinteger(L, 2);
  const char *what = luaL_checkstring(L, 3);
  int err = nn_gate_add(L, 1, fd, EPOLLIN);
  if (err != 0)
    return nn_fail(L, err, "%s", what);
  lua_pushboolean(L, true);
  return 1;
}

/* gate:fd(what) */
static int gate_fd(lua_State *L) {
  lua_pushinteger(L, check_gate(L, 1, luaL_checkstring(L, 2))->epoll);
  return 1;
}

/* gate:wait(timeout): true if there may be events, false if the time was over
   or a signal came, for whose handlers the caller's loop gives Lua a turn; nil,
   message, errno if there is no waiting. */
static int gate_wait(lua_State *L) {
  struct epoll_event event;
  const nn_gate *gate = check_gate(L, 1, "read");
  int n = epoll_wait(gate->epoll, &event, 1, nn_opttimeout(L, 2));
  if (n < 0 && errno != EINTR)
    return nn_fail(L, errno, "cannot wait for events");
  lua_pushboolean(L, n > 0);
  return 1;
}

/* gate:pending(boolean): whether the descriptor is to be readable although all
   sources are read. */
static int gate_pending(lua_State *L) {
  const nn_gate *gate = check_gate(L, 1, "read");
  uint64_t value = 1;
  ssize_t ignored = lua_toboolean(L, 2)
                        ? write(gate->pending, &value, sizeof value)
                        : read(gate->pending, &value, sizeof value);
  (void)ignored; /* EAGAIN: it was so already */
  return 0;
}

void nn_open_gate(lua_State *L) {
  static const luaL_Reg functions[] = {{"gate", gate_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"add", gate_add},         {"fd", gate_fd},       {"wait", gate_wait},
      {"pending", gate_pending}, {"close", gate_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", gate_close}, {NULL, NULL}};
  nn_newtype(L, TYPE, methods, meta);
  luaL_setfuncs(L, functions, 0);
}
