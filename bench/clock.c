/* clock.c - a clock for ours.lua: os.clock has the processor's time, and
   os.time whole seconds. */
#include <lauxlib.h>
#include <lua.h>
#include <time.h>

static int microseconds(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec * 1e6 +
                        (lua_Number)now.tv_nsec / 1e3);
  return 1;
}

int luaopen_clock(lua_State *L) {
  lua_pushcfunction(L, microseconds);
  return 1;
}
