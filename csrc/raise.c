/* raise.c - errors of the programmer, in one dialect and with the position of
   the program's own line, however many functions of the library are between. */
#include <stdarg.h>
#include <string.h>

#include "netns.h"

/* The key in the registry of the set of sources, as lua_Debug has them, of the
   library's Lua files. */
static const char own = 'o';

/* Pushes that set. */
static void push_own(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &own) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &own);
}

/* Pushes "FILE:LINE: " of the innermost Lua function that is none of the
   library's; "" if no such function is running in this coroutine, or if it was
   stripped of its lines. */
static void push_position(lua_State *L) {
  lua_Debug frame;
  push_own(L);
  for (int level = 0; lua_getstack(L, level, &frame) != 0; level++) {
    if (lua_getinfo(L, "Sl", &frame) == 0 || frame.currentline <= 0)
      continue; /* C, a tail call, or stripped */
    lua_pushstring(L, frame.source);
    lua_rawget(L, -2);
    bool ours = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (ours)
      continue;
    lua_pop(L, 1);
    lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
    return;
  }
  lua_pop(L, 1);
  lua_pushliteral(L, "");
}

/* Closes what the running function has opened for its own time: see nn_ns_arg.
 */
static void close_temporary(lua_State *L) {
  for (int i = lua_gettop(L); i > 0; i--) {
    nn_ns *ns = nn_ns_test(L, i);
    if (ns != NULL)
      nn_ns_done(ns);
  }
}

/* Raises the message on top. */
static int raise_top(lua_State *L) {
  close_temporary(L);
  push_position(L);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}

int nn_raise(lua_State *L, const char *text, ...) {
  va_list args;
  luaL_checkstack(L, 8, NULL);
  va_start(args, text);
  lua_pushvfstring(L, text, args);
  va_end(args);
  return raise_top(L);
}

int nn_raise_again(lua_State *L) {
  close_temporary(L);
  return lua_error(L);
}

int nn_raise_arg(lua_State *L, const char *what, const char *name,
                 const char *problem) {
  return nn_raise(L, "bad argument '%s' to '%s' (%s)", name, what, problem);
}

const char *nn_typename(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? "nil" : luaL_typename(L, arg);
}

int nn_raise_type(lua_State *L, const char *what, const char *name,
                  const char *expected, int arg) {
  if (lua_type(L, arg) == LUA_TNUMBER && strncmp(expected, "integer", 7) == 0)
    return nn_raise(L, "bad argument '%s' to '%s' (%s expected, got %s)", name,
                    what, expected, lua_tostring(L, arg));
  return nn_raise(L, "bad argument '%s' to '%s' (%s expected, got %s)", name,
                  what, expected, nn_typename(L, arg));
}

/* --- unknown keys -------------------------------------------------------- */

#define WORD_MAX 40 /* bytes of a key that are compared, or shown */

/* Words of ip(8) and of its -json, and what they are called here; if there are
   several, the first that the table may have. */
static const struct {
  const char *theirs, *ours;
} words[] = {
    {"dev", "link"},        {"ifname", "name"},         {"ifname", "link"},
    {"ifindex", "index"},   {"gateway", "via"},         {"gw", "via"},
    {"dst", "to"},          {"prefsrc", "src"},         {"src", "from"},
    {"priority", "metric"}, {"preference", "metric"},   {"metric", "priority"},
    {"pref", "priority"},   {"preference", "priority"}, {"lookup", "table"},
    {"proto", "protocol"},  {"info_kind", "kind"},      {"type", "kind"},
    {"mac", "lladdr"},      {"mac", "address"},         {"hwaddr", "address"},
    {"netns", "ns"},        {"nud", "state"},           {"local", "address"},
    {"qlen", "txqueuelen"}, {"txqlen", "txqueuelen"},   {"parentbus", "parent"},
    {"class", "classid"}};

/* Whether the table at `known` has the string `key` as a key. */
static bool knows(lua_State *L, int known, const char *key) {
  lua_pushstring(L, key);
  lua_rawget(L, known);
  bool has = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return has;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* How many bytes are to be added, removed, changed, or swapped with the next,
   to make one word of the other (Damerau, Levenshtein). */
static size_t distance(const char *a, size_t a_len, const char *b,
                       size_t b_len) {
  size_t rows[3][WORD_MAX + 1];
  size_t *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b_len; j++)
    last[j] = before[j] = j;
  for (size_t i = 1; i <= a_len; i++) {
    row[0] = i;
    for (size_t j = 1; j <= b_len; j++) {
      row[j] = least(least(last[j], row[j - 1]) + 1,
                     last[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = least(row[j], before[j - 2] + 1);
    }
    size_t *oldest = before;
    before = last;
    last = row;
    row = oldest;
  }
  return last[b_len];
}

bool nn_nearest(lua_State *L, int known, const char *key, size_t len) {
  size_t best = len < 6 ? 1 : len / 3;
  bool found = false;
  lua_pushnil(L); /* the nearest so far */
  for (lua_pushnil(L); lua_next(L, known) != 0; lua_pop(L, 1)) {
    size_t size;
    if (lua_type(L, -2) != LUA_TSTRING)
      continue;
    const char *word = lua_tolstring(L, -2, &size);
    if (len > WORD_MAX || size > WORD_MAX)
      continue;
    const bool shortened = len > 2 && strncmp(key, word, len) == 0;
    const size_t far = shortened ? 1 : distance(key, len, word, size);
    if (far >= len || far > best ||
        (found && far == best && strcmp(word, lua_tostring(L, -3)) > 0))
      continue;
    best = far;
    found = true;
    lua_pushvalue(L, -2);
    lua_replace(L, -4);
  }
  if (!found)
    lua_pop(L, 1);
  return found;
}

/* Pushes, between `before` and `after`, how the key at `key` is called here, or
   which one was probably meant; or "". */
static void push_hint(lua_State *L, int key, int known, const char *before,
                      const char *after) {
  size_t len;
  if (lua_type(L, key) != LUA_TSTRING) {
    lua_pushliteral(L, "");
    return;
  }
  const char *text = lua_tolstring(L, key, &len);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(words[i].theirs, text) == 0 && knows(L, known, words[i].ours)) {
      lua_pushfstring(L, "%shere it is '%s'%s", before, words[i].ours, after);
      return;
    }
  if (nn_nearest(L, known, text, len))
    lua_pushfstring(L, "%sdid you mean '%s'?%s", before, lua_tostring(L, -1),
                    after);
  else
    lua_pushliteral(L, "");
}

/* Pushes a key of any type as messages show it. */
static void push_key(lua_State *L, int key) {
  char text[WORD_MAX + sizeof "..."];
  size_t len;
  switch (lua_type(L, key)) {
  case LUA_TSTRING: {
    const char *bytes = lua_tolstring(L, key, &len);
    size_t shown = least(len, WORD_MAX);
    memcpy(text, bytes, shown);
    for (size_t i = 0; i < shown; i++)
      if ((unsigned char)text[i] < ' ')
        text[i] = '?';
    strcpy(text + shown, len > shown ? "..." : "");
    lua_pushfstring(L, "'%s'", text);
    break;
  }
  case LUA_TNUMBER: /* a copy: lua_next wants the key to stay a number */
    lua_pushvalue(L, key);
    lua_pushfstring(L, "'%s'", lua_tostring(L, -1));
    break;
  case LUA_TBOOLEAN:
    lua_pushstring(L, lua_toboolean(L, key) ? "'true'" : "'false'");
    break;
  default:
    lua_pushfstring(L, "of type %s", luaL_typename(L, key));
  }
}

int nn_raise_key(lua_State *L, const char *what, int key, int known) {
  luaL_checkstack(L, 12, NULL);
  push_key(L, key);
  const char *shown = lua_tostring(L, -1);
  push_hint(L, key, known, " (", ")");
  return nn_raise(L, "unknown key %s in '%s'%s", shown, what,
                  lua_tostring(L, -1));
}

/* --- checked arguments --------------------------------------------------- */

const char *nn_arg_string(lua_State *L, int arg, const char *what,
                          const char *name, size_t *len) {
  if (lua_type(L, arg) != LUA_TSTRING)
    nn_raise_type(L, what, name, "string", arg);
  return lua_tolstring(L, arg, len);
}

void nn_arg_table(lua_State *L, int arg, const char *what, const char *name) {
  if (lua_type(L, arg) != LUA_TTABLE)
    nn_raise_type(L, what, name, "table", arg);
}

void nn_arg_link(lua_State *L, int arg, const char *what) {
  if (lua_type(L, arg) != LUA_TSTRING && lua_type(L, arg) != LUA_TNUMBER)
    nn_raise_type(L, what, "link", "name or index", arg);
}

void nn_opt_table(lua_State *L, int arg, const char *what, const char *name) {
  if (lua_gettop(L) < arg)
    lua_settop(L, arg);
  if (lua_isnil(L, arg)) {
    lua_newtable(L);
    lua_replace(L, arg);
  }
  nn_arg_table(L, arg, what, name);
}

lua_Integer nn_arg_integer(lua_State *L, int arg, const char *what,
                           const char *name, lua_Integer min, lua_Integer max) {
  int is;
  const lua_Integer n = lua_tointegerx(L, arg, &is);
  if (lua_type(L, arg) != LUA_TNUMBER || !is)
    nn_raise_type(L, what, name, "integer", arg);
  if (n < min || n > max)
    nn_raise_arg(L, what, name, "out of range");
  return n;
}

int nn_arg_word(lua_State *L, int arg, const char *what, const char *name,
                const char *const *words_of) {
  const char *word = nn_arg_string(L, arg, what, name, NULL);
  for (int i = 0; words_of[i] != NULL; i++)
    if (strcmp(words_of[i], word) == 0)
      return i;
  lua_newtable(L);
  for (int i = 0; words_of[i] != NULL; i++) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, words_of[i]);
  }
  push_key(L, arg);
  const char *shown = lua_tostring(L, -1);
  push_hint(L, arg, lua_gettop(L) - 1, ", ", "");
  return nn_raise(L, "bad argument '%s' to '%s' (invalid option %s%s)", name,
                  what, shown, lua_tostring(L, -1));
}

/* --- for Lua ------------------------------------------------------------- */

/* core.raise(message) */
static int raise_message(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  return raise_top(L);
}

/* core.raise_key(what, key, known): for a key that the table `known` has not.
 */
static int raise_key(lua_State *L) {
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  return nn_raise_key(L, luaL_checkstring(L, 1), 2, 3);
}

/* Adds the source of the Lua function on top, which is popped, to the set at
   `set`. */
static void note_function(lua_State *L, int set) {
  lua_Debug function;
  if (lua_getinfo(L, ">S", &function) == 0 || *function.what == 'C')
    return;
  lua_pushstring(L, function.source);
  lua_pushboolean(L, true);
  lua_rawset(L, set);
}

/* The same for the functions in the value on top, which stays: a module, or a
   table of one. */
static void note_value(lua_State *L, int set, int depth) {
  luaL_checkstack(L, 8, NULL);
  if (lua_isfunction(L, -1)) {
    lua_pushvalue(L, -1);
    note_function(L, set);
  } else if (lua_istable(L, -1) && depth > 0) {
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
      note_value(L, set, depth - 1);
  }
}

/* core.own(function): its file is one of the library's. core.own(): so are
   those of the caller and of the functions of the modules netns.* that are
   loaded. Exact sources, not a folder: a program may be stored beside the
   library, and a host may have the library's files from elsewhere than from a
   folder. */
static int raise_own(lua_State *L) {
  static const char prefix[] = "netns.";
  lua_Debug caller;
  lua_settop(L, 1);
  push_own(L);
  lua_insert(L, 1);
  if (lua_isfunction(L, 2)) {
    note_function(L, 1);
    return 0;
  }
  lua_settop(L, 1);
  if (lua_getstack(L, 1, &caller) != 0 && lua_getinfo(L, "f", &caller) != 0)
    note_function(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (!lua_istable(L, 2))
    return 0;
  for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING &&
        strncmp(lua_tostring(L, -2), prefix, sizeof prefix - 1) == 0)
      note_value(L, 1, 3);
  return 0;
}

/* core.owns(source): whether this source is one of the library's. */
static int raise_owns(lua_State *L) {
  lua_settop(L, 1);
  push_own(L);
  lua_insert(L, 1);
  lua_rawget(L, 1);
  lua_pushboolean(L, lua_toboolean(L, -1));
  return 1;
}

/* core.nearest(word, set): the key of the set that is the most like the word;
   nothing if none is. */
static int raise_nearest(lua_State *L) {
  size_t len;
  const char *word = luaL_checklstring(L, 1, &len);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  return nn_nearest(L, 2, word, len) ? 1 : 0;
}

/* core.hint(key, known): what is to be said of a string that is none of the keys
   of `known`: that it is called otherwise here, or which one was probably
   meant; "" if none is much like it. */
static int raise_hint(lua_State *L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TTABLE);
  push_hint(L, 1, 2, "", "");
  return 1;
}

void nn_open_raise(lua_State *L) {
  static const luaL_Reg functions[] = {{"raise", raise_message},
                                       {"raise_key", raise_key},
                                       {"nearest", raise_nearest},
                                       {"hint", raise_hint},
                                       {"own", raise_own},
                                       {"owns", raise_owns},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
