/***
printable.c: text of others, for terminals: names of namespaces and links may
hold any byte.
@module netns
*/
#include "netns.h"

/* The length of the character of UTF-8 that `text` begins with; 0 for what is
   none, and for control characters. */
static size_t character(const unsigned char *text, size_t left) {
  const unsigned char first = text[0];
  if (first < 0x80)
    return first >= 0x20 && first != 0x7f;
  const size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || len > left)
    return 0;
  /* the second byte: neither U+0080 to U+009F, nor a form that is too long, a
     surrogate, or a number above U+10FFFF */
  const unsigned char low = first == 0xc2 || first == 0xe0 ? 0xa0
                            : first == 0xf0                ? 0x90
                                                           : 0x80;
  const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (text[1] < low || text[1] > high)
    return 0;
  for (size_t i = 2; i < len; i++)
    if ((text[i] & 0xc0) != 0x80)
      return 0;
  return len;
}

const char *nn_printable(lua_State *L, const char *text, size_t len) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = (const unsigned char *)text;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (size_t at = 0; at < len;) {
    const size_t size = character(bytes + at, len - at);
    if (size > 0) {
      luaL_addlstring(&buffer, text + at, size);
      at += size;
    } else {
      const char escape[] = {'\\', 'x', digits[bytes[at] >> 4],
                             digits[bytes[at] & 15]};
      luaL_addlstring(&buffer, escape, sizeof escape);
      at++;
    }
  }
  luaL_pushresult(&buffer);
  return lua_tostring(L, -1);
}

/***
Text as a terminal can be given it: control characters, and bytes that are not
UTF-8, are replaced by `\xHH`, their number in hexadecimal digits. The name of a
namespace or a link may hold them. Messages of this library have names so.
@function printable
@tparam string text
@treturn string
*/
static int printable_printable(lua_State *L) {
  size_t len;
  const char *text = nn_arg_string(L, 1, "printable", "text", &len);
  nn_printable(L, text, len);
  return 1;
}

void nn_open_printable(lua_State *L) {
  static const luaL_Reg functions[] = {{"printable", printable_printable},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
