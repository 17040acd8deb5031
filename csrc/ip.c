/* ip.c - IP addresses for Lua: as text, and as bytes to count with. */
#include <arpa/inet.h>
#include <string.h>

#include "fields.h"
#include "netns.h"

/* core.ip_bytes(text): the 4 or 16 bytes of an address, and the length of its
   prefix if it has one. */
static int ip_bytes(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  nn_prefix prefix;
  int err = nn_parse_prefix(text, len, &prefix);
  if (err != 0)
    return nn_fail(L, err, "address \"%s\"", text);
  lua_pushlstring(L, (const char *)prefix.bytes, (size_t)prefix.size);
  if (memchr(text, '/', len) == NULL)
    return 1;
  lua_pushinteger(L, prefix.len);
  return 2;
}

/* core.ip_text(bytes): the text of an address, as those of the kernel are
   written here. */
static int ip_text(lua_State *L) {
  char text[INET6_ADDRSTRLEN];
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, size == 4 || size == 16, 1, "4 or 16 bytes expected");
  lua_pushstring(
      L, inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text));
  return 1;
}

void nn_open_ip(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"ip_bytes", ip_bytes}, {"ip_text", ip_text}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
