/* write.c - calls with whatever values: each succeeds, returns nil, message and
   errno, or raises an error that is text; and what was asked of the kernel, if
   it tells it again, can be asked for with what is read then.

   The input is text. Its first line is the function, the kinds of the link that
   the kernel shows and of its master, and the errno that it answers a change
   with. Each further line is an argument after the namespace:

     "text          what is between the quote and the end of the line
     12  0x10  1.5  numbers, as Lua has them
     true false nil nan handle function
     { to }         a table: in it lines are `key=value`

   and whatever else is text too. */
#include <errno.h>
#include <math.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 4
#define ARGUMENTS 4
#define WORDS 4

/* A function, and what reads again that it was asked for. */
typedef struct target {
  const char *name, *list;
} target;

static const target targets[] = {
    {"link_add", "links"},    {"link_set", NULL},      {"link_delete", NULL},
    {"addr_add", "addrs"},    {"addr_delete", NULL},   {"addr_flush", NULL},
    {"addrs", NULL},          {"route_add", "routes"}, {"route_delete", NULL},
    {"route_get", NULL},      {"routes", NULL},        {"neigh_add", "neighs"},
    {"neigh_delete", NULL},   {"neighs", NULL},        {"rule_add", "rules"},
    {"rule_delete", NULL},    {"rules", NULL},         {"qdisc_add", "qdiscs"},
    {"qdisc_set", NULL},      {"qdisc_delete", NULL},  {"qdiscs", NULL},
    {"class_add", "classes"}, {"class_delete", NULL}};

#define TARGETS (sizeof targets / sizeof *targets)

/* --- the input ----------------------------------------------------------- */

typedef struct input {
  const char *at, *end;
} input;

/* The next line, without its end; false after the last. */
static bool next_line(input *in, const char **line, size_t *len) {
  if (in->at >= in->end)
    return false;
  const char *newline = memchr(in->at, '\n', (size_t)(in->end - in->at));
  *line = in->at;
  *len = (size_t)((newline != NULL ? newline : in->end) - in->at);
  in->at = newline != NULL ? newline + 1 : in->end;
  return true;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

static void push_table(lua_State *L, input *in, int depth);

static void push_value(lua_State *L, input *in, const char *text, size_t len,
                       int depth) {
  luaL_checkstack(L, 8, NULL);
  const char *word = lua_pushlstring(L, text, len);
  if (len > 0 && *word == '"') {
    lua_pushlstring(L, word + 1, len - 1);
  } else if (strcmp(word, "{") == 0 && depth < DEPTH) {
    push_table(L, in, depth + 1);
  } else if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
    lua_pushboolean(L, *word == 't');
  } else if (strcmp(word, "nil") == 0) {
    lua_pushnil(L);
  } else if (strcmp(word, "nan") == 0) {
    lua_pushnumber(L, (lua_Number)NAN);
  } else if (strcmp(word, "handle") == 0) {
    lua_pushvalue(L, 2);
  } else if (strcmp(word, "function") == 0) {
    lua_pushcfunction(L, nothing);
  } else if (lua_stringtonumber(L, word) == 0) {
    return; /* it is text */
  }
  lua_remove(L, -2);
}

static void push_key(lua_State *L, const char *text, size_t len) {
  const char *word = lua_pushlstring(L, text, len);
  if (lua_stringtonumber(L, word) == 0)
    return;
  if (lua_tonumber(L, -1) != lua_tonumber(L, -1)) {
    lua_pop(L, 1); /* not a key */
    return;
  }
  lua_remove(L, -2);
}

static void push_table(lua_State *L, input *in, int depth) {
  const char *line;
  size_t len;
  lua_newtable(L);
  while (next_line(in, &line, &len) && !(len == 1 && *line == '}')) {
    const char *equals = memchr(line, '=', len);
    if (equals == NULL)
      continue;
    push_key(L, line, (size_t)(equals - line));
    push_value(L, in, equals + 1, (size_t)(line + len - equals - 1), depth);
    lua_settable(L, -3);
  }
}

/* --- what the kernel says ------------------------------------------------ */

/* A link of some kind, with a master of some kind. */
static struct nl_msg *make_link(const char *kind, const char *master) {
  static const unsigned char address[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
  struct ifinfomsg head = {.ifi_index = 2};
  struct nl_msg *msg = nlmsg_alloc();
  nlmsg_put(msg, 0, 0, RTM_NEWLINK, 0, 0);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  nla_put(msg, IFLA_ADDRESS, sizeof address, address);
  struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO);
  if (*kind != '\0')
    nla_put_string(msg, IFLA_INFO_KIND, kind);
  if (*master != '\0')
    nla_put_string(msg, IFLA_INFO_SLAVE_KIND, master);
  nla_nest_end(msg, info);
  return msg;
}

/* --- what is read again -------------------------------------------------- */

/* The kernel never tells of a link that is none. */
static void clean_link(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  if (lua_isinteger(L, -1) && lua_tointeger(L, -1) <= 0) {
    lua_pushnil(L);
    lua_setfield(L, table, name);
  }
  lua_pop(L, 1);
}

static void clean_links(lua_State *L, int table) {
  clean_link(L, table, "link");
  clean_link(L, table, "master");
  clean_link(L, table, "active_slave");
  if (lua_getfield(L, table, "nexthops") == LUA_TTABLE)
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
      clean_link(L, lua_gettop(L), "link");
      lua_pop(L, 1);
    }
  lua_settop(L, table);
}

/* Lists what was asked for last, as if the kernel told it: pushes the one table
   that there is, or returns false. */
static bool read_back(lua_State *L, const target *to) {
  const size_t len = fuzz_kernel.asked;
  void *message = malloc(len);
  memcpy(message, fuzz_kernel.change.bytes, len);
  fuzz_kernel.answer = message;
  const int top = lua_gettop(L);
  int count = 1;
  lua_getfield(L, 1, to->list);
  lua_pushvalue(L, 2);
  if (strcmp(to->list, "classes") == 0) {
    lua_pushstring(L, "eth0");
    count = 2;
  } else if (strcmp(to->list, "routes") == 0) {
    lua_newtable(L);
    lua_pushstring(L, "all");
    lua_setfield(L, -2, "table");
    count = 2;
  }
  fuzz_need(fuzz_call(L, count), "not listed: %s", lua_tostring(L, -2));
  free(message);
  fuzz_kernel.answer = NULL;
  lua_settop(L, top + 1);
  const bool told = lua_rawgeti(L, -1, 1) == LUA_TTABLE;
  lua_remove(L, -2);
  if (told)
    clean_links(L, top + 1);
  else
    lua_pop(L, 1);
  return told;
}

static void take_away(lua_State *L, int table, const char *const *names) {
  for (; *names != NULL; names++) {
    lua_pushnil(L);
    lua_setfield(L, table, *names);
  }
}

/* "192.0.2.1/24" of two fields of the table. */
static void push_prefix(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  lua_pushliteral(L, "/");
  lua_getfield(L, table, "prefixlen");
  lua_concat(L, 3);
}

/* Pushes link, address and options of an address. */
static void push_address(lua_State *L, int table) {
  static const char *const told[] = {
      "index",     "link",      "family",  "prefixlen", "local", "address",
      "secondary", "tentative", "dynamic", "dadfailed", NULL};
  lua_pushstring(L, "eth0");
  const bool peer = lua_getfield(L, table, "address") != LUA_TNIL;
  lua_pop(L, 1);
  if (peer) {
    push_prefix(L, table, "address");
    lua_setfield(L, table, "peer");
    lua_getfield(L, table, "local");
  } else {
    push_prefix(L, table, "local");
  }
  lua_pushvalue(L, table);
  take_away(L, lua_gettop(L), told);
}

static int push_arguments(lua_State *L, const target *to, int table) {
  static const char *const of_links[] = {"index",     "up",         "running",
                                         "link",      "peer_index", "flags",
                                         "link_type", NULL};
  static const char *const of_queues[] = {"link", "root", "latency", "leaf",
                                          NULL};
  const int top = lua_gettop(L);
  lua_pushvalue(L, 2);
  if (strcmp(to->name, "link_add") == 0) {
    take_away(L, table, of_links);
  } else if (strcmp(to->name, "addr_add") == 0) {
    push_address(L, table);
    return lua_gettop(L) - top;
  } else if (strcmp(to->list, "qdiscs") == 0 ||
             strcmp(to->list, "classes") == 0) {
    take_away(L, table, of_queues);
    lua_pushstring(L, "eth0");
  }
  lua_pushvalue(L, table);
  return lua_gettop(L) - top;
}

/* Whether two values are equal, tables by what is in them. */
static bool same(lua_State *L, int a, int b) {
  luaL_checkstack(L, 8, NULL);
  if (lua_type(L, a) != LUA_TTABLE || lua_type(L, b) != LUA_TTABLE)
    return lua_rawequal(L, a, b);
  for (int turn = 0; turn < 2; turn++) {
    lua_pushnil(L);
    while (lua_next(L, turn == 0 ? a : b) != 0) {
      lua_pushvalue(L, -2);
      lua_rawget(L, turn == 0 ? b : a);
      const bool equal = same(L, lua_gettop(L) - 1, lua_gettop(L));
      if (!equal) {
        fprintf(stderr, "field %s: %s, then %s\n", luaL_tolstring(L, -3, NULL),
                luaL_tolstring(L, -3, NULL), luaL_tolstring(L, -3, NULL));
        return false;
      }
      lua_pop(L, 2);
    }
  }
  return true;
}

/* What is read of the change that was asked for can be asked for, and is the
   same when it is read. */
static void check_again(lua_State *L, const target *to) {
  lua_settop(L, 2);
  luaL_checkstack(L, 32, NULL);
  if (to->list == NULL || !read_back(L, to))
    return;
  lua_getfield(L, 1, to->name);
  const int count = push_arguments(L, to, 3);
  fuzz_need(fuzz_call(L, count), "%s is refused: %s", to->name,
            lua_tostring(L, lua_gettop(L) > 5 ? -2 : -1));
  lua_settop(L, 3);
  fuzz_need(read_back(L, to), "%s is not told again", to->name);
  push_arguments(L, to, 4); /* which takes away the same from this one */
  lua_settop(L, 4);
  /* bursts are told in another unit, and limits computed with them */
  if (strcmp(to->list, "qdiscs") != 0 && strcmp(to->list, "classes") != 0)
    fuzz_need(same(L, 3, 4), "%s is told otherwise", to->name);
}

/* --- one input ----------------------------------------------------------- */

/* The words of the first line, which the others are "" after. */
static bool read_words(input *in, char words[WORDS][16]) {
  const char *line;
  size_t len;
  memset(words, 0, WORDS * sizeof words[0]);
  if (!next_line(in, &line, &len))
    return false;
  for (size_t i = 0, word = 0, used = 0; i < len && word < WORDS; i++)
    if (line[i] == ' ') {
      word++;
      used = 0;
    } else if (used < sizeof words[0] - 1) {
      words[word][used++] = line[i];
    }
  return true;
}

static const target *find(const char *name) {
  for (size_t i = 0; i < TARGETS; i++)
    if (strcmp(targets[i].name, name) == 0)
      return &targets[i];
  return NULL;
}

static int read_arguments(lua_State *L, input *in) {
  const char *line;
  size_t len;
  int count = 0;
  for (; count < ARGUMENTS && next_line(in, &line, &len); count++)
    push_value(L, in, line, len, 0);
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {(const char *)data, (const char *)data + size};
  char words[WORDS][16];
  const target *to;
  if (!read_words(&in, words) || (to = find(words[0])) == NULL)
    return 0;
  struct nl_msg *link = make_link(words[1], words[2]);
  lua_State *L = fuzz_open();
  fuzz_kernel.error = atoi(words[3]) & 127;
  if (strcmp(to->name, "link_set") == 0)
    fuzz_kernel.answer = nlmsg_hdr(link);
  lua_getfield(L, 1, to->name);
  lua_pushvalue(L, 2);
  const int count = read_arguments(L, &in) + 1;
  const bool ok = fuzz_call(L, count);
  fuzz_need(!ok || fuzz_kernel.error == 0 || fuzz_kernel.asked == 0,
            "the kernel's error is lost");
  if (ok && fuzz_kernel.asked > 0)
    check_again(L, to);
  fuzz_close(L);
  nlmsg_free(link);
  return 0;
}
