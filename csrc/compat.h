/* compat.h - what csrc uses of the API of Lua 5.4, for Lua 5.3, 5.2, 5.1 and
   LuaJIT. Of 5.1 only what LuaJIT has too is used, and of LuaJIT only what 5.1
   has: the one loads what was built for the other, as they share a directory.

   Integers have 64 bits everywhere. Where Lua has none, one that its numbers
   cannot hold is a string of decimal digits, see lua_pushinteger. */
#ifndef NETNS_COMPAT_H
#define NETNS_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#if LUA_VERSION_NUM < 504

/* --- one user value of a userdata, of any type --------------------------- */

#if LUA_VERSION_NUM == 503

static inline void compat_setuservalue(lua_State *L, int arg) {
  lua_setuservalue(L, arg);
}

static inline int compat_getuservalue(lua_State *L, int arg) {
  return lua_getuservalue(L, arg);
}

#elif LUA_VERSION_NUM == 502 /* a table, or nil */

static inline void compat_setuservalue(lua_State *L, int arg) {
  arg = lua_absindex(L, arg);
  lua_createtable(L, 1, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  lua_setuservalue(L, arg);
}

static inline int compat_getuservalue(lua_State *L, int arg) {
  lua_getuservalue(L, arg);
  if (!lua_isnil(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  return lua_type(L, -1);
}

#else /* an environment, which is a table, and perhaps that of others */

/* The key of the value in the environment. */
#define COMPAT_VALUE "netns.value"

/* The new environment has, behind the value, what the old one has: __close of a
   file. */
static inline void compat_setuservalue(lua_State *L, int arg) {
  lua_pushvalue(L, arg);
  lua_insert(L, -2);
  lua_newtable(L);
  lua_insert(L, -2);
  lua_pushliteral(L, COMPAT_VALUE);
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_newtable(L);
  lua_getfenv(L, -3);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfenv(L, -2);
  lua_pop(L, 1);
}

static inline int compat_getuservalue(lua_State *L, int arg) {
  lua_getfenv(L, arg);
  lua_pushliteral(L, COMPAT_VALUE);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  return lua_type(L, -1);
}

#endif

#define lua_setiuservalue(L, arg, n) compat_setuservalue(L, arg)
#define lua_getiuservalue(L, arg, n) compat_getuservalue(L, arg)

#endif /* before 5.4 */

#if LUA_VERSION_NUM < 503

/* --- integers ------------------------------------------------------------ */

#define lua_Integer int64_t
#undef LUA_MAXINTEGER
#define LUA_MAXINTEGER INT64_MAX

/* Up to this a double tells an integer from its neighbours. */
#define COMPAT_EXACT (INT64_C(1) << 53)

#undef lua_numbertointeger
#define lua_numbertointeger(n, p)                                              \
  ((n) >= (lua_Number)INT64_MIN && (n) < -(lua_Number)INT64_MIN &&             \
   (*(p) = (int64_t)(n), 1))

static inline void compat_pushinteger(lua_State *L, int64_t n) {
  char digits[24];
  if (n >= -COMPAT_EXACT && n <= COMPAT_EXACT) {
    lua_pushnumber(L, (lua_Number)n);
  } else {
    snprintf(digits, sizeof digits, "%lld", (long long)n);
    lua_pushstring(L, digits);
  }
}

static inline int64_t compat_tointegerx(lua_State *L, int arg, int *is) {
  lua_Number number = lua_tonumber(L, arg); /* 0 if it is none */
  int64_t n = 0;
  bool integer = lua_isnumber(L, arg) && lua_numbertointeger(number, &n) &&
                 (lua_Number)n == number;
  if (is != NULL)
    *is = integer;
  return integer ? n : 0;
}

static inline int64_t compat_checkinteger(lua_State *L, int arg) {
  int is;
  luaL_checknumber(L, arg);
  int64_t n = compat_tointegerx(L, arg, &is);
  luaL_argcheck(L, is, arg, "number has no integer representation");
  return n;
}

#undef lua_tointeger
#undef luaL_checkinteger
#define lua_pushinteger compat_pushinteger
#define lua_tointegerx compat_tointegerx
#define lua_tointeger(L, arg) compat_tointegerx(L, arg, NULL)
#define luaL_checkinteger compat_checkinteger

/* --- the type of what was fetched ---------------------------------------- */

static inline int compat_getfield(lua_State *L, int table, const char *key) {
  lua_getfield(L, table, key);
  return lua_type(L, -1);
}

static inline int compat_rawgeti(lua_State *L, int table, int64_t n) {
  lua_rawgeti(L, table, (int)n);
  return lua_type(L, -1);
}

/* The same place, with one more on the stack. */
static inline int compat_below(int arg) {
  return arg < 0 && arg > LUA_REGISTRYINDEX ? arg - 1 : arg;
}

static inline int compat_rawgetp(lua_State *L, int table, const void *key) {
  lua_pushlightuserdata(L, (void *)(intptr_t)key);
  lua_rawget(L, compat_below(table));
  return lua_type(L, -1);
}

static inline void compat_rawsetp(lua_State *L, int table, const void *key) {
  lua_pushlightuserdata(L, (void *)(intptr_t)key);
  lua_insert(L, -2);
  lua_rawset(L, compat_below(table));
}

#define lua_getfield compat_getfield
#define lua_rawgeti compat_rawgeti
#define lua_rawseti(L, table, n) lua_rawseti(L, table, (int)(n))
#define lua_rawgetp compat_rawgetp
#define lua_rawsetp compat_rawsetp

#endif /* before 5.3 */

#if LUA_VERSION_NUM < 502

/* --- strings ------------------------------------------------------------- */

static inline const char *compat_pushstring(lua_State *L, const char *text) {
  lua_pushstring(L, text);
  return lua_tostring(L, -1);
}

static inline const char *compat_pushlstring(lua_State *L, const char *text,
                                             size_t size) {
  lua_pushlstring(L, text, size);
  return lua_tostring(L, -1);
}

static inline const char *compat_tolstring(lua_State *L, int arg, size_t *len) {
  if (luaL_callmeta(L, arg, "__tostring"))
    return lua_tolstring(L, -1, len);
  switch (lua_type(L, arg)) {
  case LUA_TNUMBER:
  case LUA_TSTRING:
    lua_pushvalue(L, arg);
    break;
  case LUA_TBOOLEAN:
    lua_pushstring(L, lua_toboolean(L, arg) ? "true" : "false");
    break;
  case LUA_TNIL:
    lua_pushliteral(L, "nil");
    break;
  default:
    lua_pushfstring(L, "%s: %p", luaL_typename(L, arg), lua_topointer(L, arg));
  }
  return lua_tolstring(L, -1, len);
}

#define lua_pushstring compat_pushstring
#define lua_pushlstring compat_pushlstring
#undef lua_pushliteral
#define lua_pushliteral(L, text) compat_pushstring(L, "" text)
#define luaL_tolstring compat_tolstring

/* --- userdata, libraries, files ------------------------------------------ */

static inline void compat_setmetatable(lua_State *L, const char *type) {
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
}

static inline void *compat_testudata(lua_State *L, int arg, const char *type) {
  void *data = lua_touserdata(L, arg);
  if (data == NULL || !lua_getmetatable(L, arg))
    return NULL;
  luaL_getmetatable(L, type);
  if (!lua_rawequal(L, -1, -2))
    data = NULL;
  lua_pop(L, 2);
  return data;
}

static inline void compat_setfuncs(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name != NULL; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

static inline int compat_absindex(lua_State *L, int arg) {
  return arg > 0 || arg <= LUA_REGISTRYINDEX ? arg : lua_gettop(L) + arg + 1;
}

#define lua_absindex compat_absindex
#define lua_rawlen lua_objlen
#define luaL_setmetatable compat_setmetatable
#define luaL_testudata compat_testudata
#undef luaL_setfuncs
#define luaL_setfuncs(L, functions, upvalues) compat_setfuncs(L, functions)
#undef luaL_newlib
#define luaL_newlib(L, functions)                                              \
  (lua_newtable(L), compat_setfuncs(L, functions))
#undef luaL_checkversion
#define luaL_checkversion(L) ((void)(L)) /* others lack lua_setfenv */

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* What files start with; see stream.c. */
#define luaL_Stream compat_stream
typedef struct compat_stream {
  FILE *f;
} compat_stream;

#endif /* before 5.2 */

#endif
