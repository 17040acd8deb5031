/* drop.c - the end of a Lua object that nobody has closed: tables have no __gc
   in Lua 5.1 and LuaJIT. */
#include "netns.h"

#define DROP "netns.drop"

/* core.drop(fn, value): a userdata that calls fn(value) when it is collected.
   If it is a field of `value` alone, that is when `value` is not used any more.
   Errors are dropped as well. */
static int drop_drop(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_newuserdata(L, 1);
  lua_createtable(L, 2, 0);
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, DROP);
  return 1;
}

static int drop_gc(lua_State *L) {
  luaL_checkudata(L, 1, DROP);
  if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE)
    return 0;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_pcall(L, 1, 0, 0);
  return 0;
}

void nn_open_drop(lua_State *L) {
  static const luaL_Reg functions[] = {{"drop", drop_drop}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", drop_gc}, {NULL, NULL}};
  nn_newtype(L, DROP, none, meta);
  luaL_setfuncs(L, functions, 0);
}
