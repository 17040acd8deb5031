/* core.c - luaopen: every room adds its functions to one table. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "netns.h"

/* What lua/netns/load.lua looks for in a file that could not be loaded. */
__attribute__((used)) static const char built_for[] =
    "netns.core was built for " LUA_VERSION;

/* The names of the errnos that callers compare with. */
static void push_errnos(lua_State *L) {
  static const struct {
    const char *name;
    int number;
  } errnos[] = {{"EPERM", EPERM},
                {"ENOENT", ENOENT},
                {"ESRCH", ESRCH},
                {"EACCES", EACCES},
                {"EBUSY", EBUSY},
                {"EEXIST", EEXIST},
                {"EINVAL", EINVAL},
                {"ERANGE", ERANGE},
                {"ENOSPC", ENOSPC},
                {"ENODATA", ENODATA},
                {"ETIMEDOUT", ETIMEDOUT},
                {"EOPNOTSUPP", EOPNOTSUPP},
                {"EUSERS", EUSERS},
                {"ENOSYS", ENOSYS},
                {"ECHILD", ECHILD},
                {"EMFILE", EMFILE},
                {"ENFILE", ENFILE},
                {"ENOMEM", ENOMEM},
                {"EBADF", EBADF},
                {"EPIPE", EPIPE},
                {"EHOSTUNREACH", EHOSTUNREACH},
                {"ENETUNREACH", ENETUNREACH},
                {"ENODEV", ENODEV},
                {"EADDRINUSE", EADDRINUSE},
                {"EADDRNOTAVAIL", EADDRNOTAVAIL},
                {"EAFNOSUPPORT", EAFNOSUPPORT},
                {"ECONNREFUSED", ECONNREFUSED},
                {"EMSGSIZE", EMSGSIZE},
                {"ENOBUFS", ENOBUFS},
                {"EAGAIN", EAGAIN}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
    lua_pushinteger(L, errnos[i].number);
    lua_setfield(L, -2, errnos[i].name);
  }
  lua_setfield(L, -2, "errno");
}

/* core.now(): seconds of a clock that only goes forward. */
static int core_now(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

/* core.pause(seconds): waits, for what the kernel has no event for. A signal
   ends it, so that the caller's loop gives Lua's handlers a turn. */
static int core_pause(lua_State *L) {
  const lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds <= 60, 1, "out of range");
  const struct timespec time = {
      .tv_sec = (time_t)seconds,
      .tv_nsec = (long)((seconds - (lua_Number)(time_t)seconds) * 1e9)};
  ppoll(NULL, 0, &time, NULL);
  return 0;
}

NN_MODULE int luaopen_netns_core(lua_State *L) {
  luaL_checkversion(L); /* an error, if it was built for another Lua */
  lua_newtable(L);
  nn_open_raise(L);
  nn_open_dir(L);
  nn_open_handle(L);
  nn_open_enter(L);
  nn_open_names(L);
  nn_open_rtnl(L);
  nn_open_ids(L);
  nn_open_list(L);
  nn_open_procs(L);
  nn_open_spawn(L);
  nn_open_gate(L);
  nn_open_watch(L);
  nn_open_link(L);
  nn_open_tun(L);
  nn_open_qdisc(L);
  nn_open_ip(L);
  nn_open_addr(L);
  nn_open_route(L);
  nn_open_neigh(L);
  nn_open_rule(L);
  nn_open_events(L);
  nn_open_drop(L);
  nn_open_icmp(L);
  nn_open_sockets(L);
  nn_open_rootless(L);
  nn_open_printable(L);
  lua_pushliteral(L, NN_RUN_DIR);
  lua_setfield(L, -2, "run_dir");
  lua_pushcfunction(L, core_now);
  lua_setfield(L, -2, "now");
  lua_pushcfunction(L, core_pause);
  lua_setfield(L, -2, "pause");
  push_errnos(L);
  return 1;
}

/* For a host that has only the .so on its cpath. */
NN_MODULE int luaopen_netns(lua_State *L) {
  return luaopen_netns_core(L);
}
