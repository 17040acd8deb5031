/* strict.h - included before every file of csrc when it is built for fuzzing:
   stops the program where csrc relies on what the sanitizers cannot see, as the
   Lua and the libnl of a distribution are not built with them:

   - more values on the Lua stack than the call was promised room for
   - attributes of netlink read past their end */
#ifndef NETNS_FUZZ_STRICT_H
#define NETNS_FUZZ_STRICT_H

#include <lauxlib.h>
#include <lua.h>
#include <netlink/attr.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many values the C function that runs may have on its stack: kernel.c. */
extern int fuzz_room;

#define FUZZ_NEED(is, text)                                                    \
  do {                                                                         \
    if (!(is)) {                                                               \
      fprintf(stderr, "==0== ERROR: %s\n", text);                              \
      abort();                                                                 \
    }                                                                          \
  } while (0)

static inline lua_State *fuzz_push(lua_State *L) {
  FUZZ_NEED(lua_gettop(L) < fuzz_room, "Lua stack overflow");
  return L;
}

static inline void fuzz_more(lua_State *L, int count) {
  if (fuzz_room < lua_gettop(L) + count)
    fuzz_room = lua_gettop(L) + count;
}

static inline const struct nlattr *fuzz_attr(const struct nlattr *attr,
                                             int size) {
  FUZZ_NEED(nla_len(attr) >= size, "attribute read past its end");
  return attr;
}

static inline const struct nlattr *fuzz_string(const struct nlattr *attr) {
  FUZZ_NEED(nla_len(attr) > 0 &&
                memchr(nla_data(attr), '\0', (size_t)nla_len(attr)) != NULL,
            "attribute read as a string, which it is not");
  return attr;
}

/* A macro is not expanded again inside itself. */
#define lua_pushnil(L) lua_pushnil(fuzz_push(L))
#define lua_pushvalue(L, i) lua_pushvalue(fuzz_push(L), i)
#define lua_pushboolean(L, b) lua_pushboolean(fuzz_push(L), b)
#define lua_pushinteger(L, n) lua_pushinteger(fuzz_push(L), n)
#define lua_pushnumber(L, n) lua_pushnumber(fuzz_push(L), n)
#define lua_pushstring(L, s) lua_pushstring(fuzz_push(L), s)
#define lua_pushlstring(L, s, n) lua_pushlstring(fuzz_push(L), s, n)
#define lua_pushfstring(L, ...) lua_pushfstring(fuzz_push(L), __VA_ARGS__)
#define lua_pushcclosure(L, f, n) lua_pushcclosure(fuzz_push(L), f, n)
#define lua_createtable(L, a, h) lua_createtable(fuzz_push(L), a, h)
#define lua_newuserdatauv(L, s, n) lua_newuserdatauv(fuzz_push(L), s, n)
#define lua_getfield(L, i, k) lua_getfield(fuzz_push(L), i, k)
#define lua_rawgeti(L, i, n) lua_rawgeti(fuzz_push(L), i, n)
#define lua_rawgetp(L, i, p) lua_rawgetp(fuzz_push(L), i, p)
#define lua_getiuservalue(L, i, n) lua_getiuservalue(fuzz_push(L), i, n)
#define lua_next(L, i) lua_next(fuzz_push(L), i)
#define luaL_tolstring(L, i, n) luaL_tolstring(fuzz_push(L), i, n)
#define lua_checkstack(L, n) (fuzz_more(L, n), lua_checkstack(L, n))
#define luaL_checkstack(L, n, s) (luaL_checkstack(L, n, s), fuzz_more(L, n))

#define nla_get_u8(a) nla_get_u8(fuzz_attr(a, 1))
#define nla_get_u16(a) nla_get_u16(fuzz_attr(a, 2))
#define nla_get_u32(a) nla_get_u32(fuzz_attr(a, 4))
#define nla_get_s32(a) nla_get_s32(fuzz_attr(a, 4))
#define nla_get_u64(a) nla_get_u64(fuzz_attr(a, 8))
#define nla_get_s64(a) nla_get_s64(fuzz_attr(a, 8))
#define nla_get_string(a) nla_get_string(fuzz_string(a))

#endif
