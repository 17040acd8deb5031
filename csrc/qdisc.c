/***
qdisc.c: queues and their classes, as `tc qdisc` and `tc class` have them.

Quantities are strings as `tc` spells them, `"20ms"`, `"10mbit"` (`"kbps"` are
bytes), `"32k"`, `"1%"`, or plain numbers in seconds, bits a second, bytes and
fractions; what is read are plain numbers.
@module netns
*/
#include <ctype.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "netns.h"
#include "qdisc.h"
#include "units.h"

/* --- values -------------------------------------------------------------- */

/* Times are the kernel's 32 bits of microseconds, or less than that. */
static const struct {
  const char *expected;
  int measure; /* how strings are understood; -1: not at all */
  double min, max;
} units[] = {
    [NN_SECONDS] = {"time", NN_TIME, 0, UINT32_MAX / 1e6},
    [NN_BITS] = {"rate", NN_RATE, 0, 1e18},
    [NN_SOME_BITS] = {"rate", NN_RATE, 8, 1e18},
    [NN_BYTES] = {"size", NN_SIZE, 0, UINT32_MAX},
    [NN_FRACTIONS] = {"fraction", NN_FRACTION, 0, 1},
    [NN_COUNT] = {"integer", -1, 0, UINT32_MAX},
};

static void wrong_type(lua_State *L, const char *what, const char *name,
                       const char *expected) {
  nn_raise_type(L, what, name, expected, -1);
}

/* nil, message, errno for the value on top. */
static bool refuse(lua_State *L, const char *what, const char *name, int err) {
  const char *value = luaL_tolstring(L, -1, NULL);
  nn_fail(L, err, "%s: %s \"%s\"", what, name, value);
  return false;
}

/* The string on top; NULL if it has a NUL byte, which nothing has. */
static const char *get_text(lua_State *L) {
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  return strlen(text) == len ? text : NULL;
}

/* A handle or class, which is the field `name`; 0 if it is not there. */
static bool get_handle(lua_State *L, const char *what, int table,
                       const char *name, uint32_t *handle) {
  int type = lua_getfield(L, table, name);
  *handle = TC_H_UNSPEC;
  if (type != LUA_TNIL && type != LUA_TSTRING)
    wrong_type(L, what, name, "string");
  if (type == LUA_TSTRING) {
    const char *text = get_text(L);
    if (text == NULL || !nn_parse_handle(text, handle))
      return refuse(L, what, name, EINVAL);
  }
  lua_pop(L, 1);
  return true;
}

/* "10" or "0x10": what comes after the colon. */
static bool get_minor(lua_State *L, const char *what, const char *name,
                      double *value) {
  char class[8];
  uint32_t handle;
  if (lua_type(L, -1) != LUA_TSTRING)
    wrong_type(L, what, name, "string");
  const char *text = get_text(L);
  if (text == NULL)
    return refuse(L, what, name, EINVAL);
  if (strncmp(text, "0x", 2) == 0)
    text += 2;
  snprintf(class, sizeof class, "0:%s", text);
  if (*text == '\0' || strlen(text) > 4 || !nn_parse_handle(class, &handle))
    return refuse(L, what, name, EINVAL);
  *value = handle;
  return true;
}

static bool get_distribution(lua_State *L, const char *what, const char *name,
                             double *value) {
  if (lua_type(L, -1) != LUA_TSTRING)
    wrong_type(L, what, name, "string");
  const char *text = get_text(L);
  if (text == NULL ||
      (strcasecmp(text, "uniform") != 0 && strcasecmp(text, "normal") != 0))
    return refuse(L, what, name, EINVAL);
  *value = tolower((unsigned char)*text) == 'n' ? NN_NORMAL : NN_UNIFORM;
  return true;
}

/* A quantity: a number or a string on top. */
static bool get_quantity(lua_State *L, const char *what,
                         const nn_option *option, double *value) {
  const int measure = units[option->unit].measure, type = lua_type(L, -1);
  const char *text;
  if (type != LUA_TNUMBER && (type != LUA_TSTRING || measure < 0))
    wrong_type(L, what, option->name, units[option->unit].expected);
  if (type == LUA_TNUMBER)
    *value = lua_tonumber(L, -1);
  else if ((text = get_text(L)) == NULL ||
           !nn_parse_unit((nn_measure)measure, text, value))
    return refuse(L, what, option->name, EINVAL);
  if (isnan(*value))
    return refuse(L, what, option->name, EINVAL);
  if (option->unit == NN_BITS && *value > 0 && *value < 8)
    return refuse(L, what, option->name, ERANGE); /* it would be none */
  if (*value < units[option->unit].min || *value > units[option->unit].max)
    return refuse(L, what, option->name, ERANGE);
  if (option->unit == NN_COUNT && *value != (double)(uint32_t)*value)
    return refuse(L, what, option->name, EINVAL);
  if (option->unit == NN_BYTES)
    *value = (double)(uint32_t)*value; /* "0.001g" */
  return true;
}

static bool get_value(lua_State *L, const char *what, const nn_option *option,
                      double *value) {
  switch (option->unit) {
  case NN_ON:
    *value = nn_boolean(&(nn_codec){.L = L, .what = what}, option->name);
    return true;
  case NN_DISTRIBUTION:
    return get_distribution(L, what, option->name, value);
  case NN_MINOR:
    return get_minor(L, what, option->name, value);
  default:
    return get_quantity(L, what, option, value);
  }
}

/* The values of a table's options; false after nil, message, errno. */
static bool get_values(lua_State *L, const char *what, int table,
                       const nn_queue *queue, double *values) {
  for (int i = 0; queue->options[i].name != NULL; i++) {
    const nn_option *option = &queue->options[i];
    values[i] = (double)NAN;
    if (lua_getfield(L, table, option->name) != LUA_TNIL) {
      if (!get_value(L, what, option, &values[i]))
        return false;
    } else if (option->required) {
      wrong_type(L, what, option->name, units[option->unit].expected);
    }
    lua_pop(L, 1);
  }
  const char *problem = queue->problem(values);
  if (problem == NULL)
    return true;
  nn_fail(L, EINVAL, "%s (%s): %s", what, queue->kind, problem);
  return false;
}

static void push_value(lua_State *L, nn_unit unit, double value) {
  lua_Integer whole;
  char minor[16];
  switch (unit) {
  case NN_ON:
    lua_pushboolean(L, value != 0);
    break;
  case NN_MINOR:
    snprintf(minor, sizeof minor, "%#x", (unsigned)value);
    lua_pushstring(L, minor);
    break;
  case NN_SECONDS:
  case NN_FRACTIONS:
    lua_pushnumber(L, value);
    break;
  default:
    if (lua_numbertointeger(value, &whole))
      lua_pushinteger(L, whole);
    else
      lua_pushnumber(L, value);
  }
}

/* A Lua error for a field that none of the queue's nor of `others` is, of which
   there are less than OTHERS. */
#define OTHERS 12
static void check_names(lua_State *L, const char *what, int table,
                        const nn_queue *queue, const char *const *others) {
  const nn_field *const fields[] = {queue->fields, NULL};
  const nn_codec codec = {.L = L, .what = what};
  const char *names[NN_OPTIONS + OTHERS];
  size_t count = 0;
  while (*others != NULL)
    names[count++] = *others++;
  for (int i = 0; queue->options[i].name != NULL; i++)
    names[count++] = queue->options[i].name;
  names[count] = NULL;
  nn_fields_check(&codec, table, fields, names);
}

/* --- reading ------------------------------------------------------------- */

/* As `tc` writes it. */
static void push_handle(lua_State *L, uint32_t handle) {
  char text[16];
  if (TC_H_MIN(handle) == 0)
    snprintf(text, sizeof text, "%x:", TC_H_MAJ(handle) >> 16);
  else
    snprintf(text, sizeof text, "%x:%x", TC_H_MAJ(handle) >> 16,
             TC_H_MIN(handle));
  lua_pushstring(L, text);
}

static void set_handle(lua_State *L, const char *name, uint32_t handle) {
  push_handle(L, handle);
  lua_setfield(L, -2, name);
}

/* The options of a queue, and what else its kernel tells of it. */
static void push_options(const nn_codec *codec, const nn_queue *queue,
                         const struct nlattr *options) {
  lua_State *L = codec->L;
  nn_codec inner = *codec;
  double values[NN_OPTIONS];
  for (int i = 0; i < NN_OPTIONS; i++)
    values[i] = (double)NAN;
  const int more = queue->read(options, values);
  for (int i = 0; queue->options[i].name != NULL; i++)
    if (!isnan(values[i])) {
      push_value(L, queue->options[i].unit, values[i]);
      lua_setfield(L, -2, queue->options[i].name);
    }
  if (nla_len(options) < queue->head)
    return;
  const struct nlattr *attrs =
      (const void *)((const char *)nla_data(options) + queue->head);
  const int len = nla_len(options) - queue->head;
  inner.within = TCA_OPTIONS;
  nn_fields_read(&inner, queue->fields, attrs, len);
  if (more != 0)
    nn_fields_unknown(&inner, nla_find(attrs, len, more));
}

/* What has passed, and what waits. */
static void push_stats(const nn_codec *codec, struct nlattr *attr) {
  static const nn_field basic[] = {
      {"bytes", offsetof(struct gnet_stats_basic, bytes), NN_U64, NN_STATE,
       NULL},
      {"packets", offsetof(struct gnet_stats_basic, packets), NN_U32, NN_STATE,
       NULL},
      {.name = NULL}};
  static const nn_field queue[] = {
      {"drops", offsetof(struct gnet_stats_queue, drops), NN_U32, NN_STATE,
       NULL},
      {"overlimits", offsetof(struct gnet_stats_queue, overlimits), NN_U32,
       NN_STATE, NULL},
      {"requeues", offsetof(struct gnet_stats_queue, requeues), NN_U32,
       NN_STATE, NULL},
      {"backlog", offsetof(struct gnet_stats_queue, backlog), NN_U32, NN_STATE,
       NULL},
      {"qlen", offsetof(struct gnet_stats_queue, qlen), NN_U32, NN_STATE, NULL},
      {.name = NULL}};
  /* where those of 32 bits are not enough */
  static const nn_field wide[] = {
      {"packets", TCA_STATS_PKT64, NN_U64, NN_STATE, NULL}, {.name = NULL}};
  struct nlattr *attrs[TCA_STATS_MAX + 1];
  if (nla_parse_nested(attrs, TCA_STATS_MAX, attr, NULL) < 0 ||
      attrs[TCA_STATS_BASIC] == NULL) /* not every class counts */
    return;
  lua_createtable(codec->L, 0, 8);
  if (nla_len(attrs[TCA_STATS_BASIC]) >= (int)sizeof(struct gnet_stats_basic))
    nn_head_read(codec, basic, nla_data(attrs[TCA_STATS_BASIC]));
  if (attrs[TCA_STATS_QUEUE] != NULL &&
      nla_len(attrs[TCA_STATS_QUEUE]) >= (int)sizeof(struct gnet_stats_queue))
    nn_head_read(codec, queue, nla_data(attrs[TCA_STATS_QUEUE]));
  nn_fields_pick(codec, wide, nla_data(attr), nla_len(attr));
  lua_setfield(codec->L, -2, "stats");
}

/* What queues and classes have in common, and the options of its
   kind. */
static bool push_head(const nn_codec *codec, const struct nlmsghdr *msg,
                      const nn_queue *kinds) {
  lua_State *L = codec->L;
  const struct tcmsg *head = nlmsg_data(msg);
  static const struct nla_policy policy[NN_TYPE_MAX + 1] = {
      [TCA_KIND] = {.type = NLA_STRING}};
  /* all that are read otherwise, or tell nothing */
  static const nn_field attributes[] = {
      {"kind", TCA_KIND, NN_OTHER, NN_STATE, NULL},
      {"options", TCA_OPTIONS, NN_OTHER, NN_STATE, NULL},
      {"stats", TCA_STATS, NN_OTHER, NN_STATE, NULL},
      {"stats2", TCA_STATS2, NN_OTHER, NN_STATE, NULL},
      {"xstats", TCA_XSTATS, NN_OTHER, NN_STATE, NULL},
      {"pad", TCA_PAD, NN_OTHER, NN_STATE, NULL},
      {"offload", TCA_HW_OFFLOAD, NN_OTHER, NN_STATE, NULL},
      {"invisible", TCA_DUMP_INVISIBLE, NN_OTHER, NN_STATE, NULL},
      {.name = NULL}};
  struct nlattr *attrs[NN_TYPE_MAX + 1];
  if (nlmsg_parse((struct nlmsghdr *)msg, sizeof *head, attrs, NN_TYPE_MAX,
                  policy) < 0 ||
      attrs[TCA_KIND] == NULL)
    return false;
  lua_createtable(L, 0, 8);
  nn_link_push(codec, (unsigned)head->tcm_ifindex);
  lua_setfield(L, -2, "link");
  lua_pushstring(L, nla_get_string(attrs[TCA_KIND]));
  lua_setfield(L, -2, "kind");
  if (head->tcm_parent == TC_H_ROOT) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "root");
  } else if (head->tcm_parent != TC_H_UNSPEC) {
    set_handle(L, "parent", head->tcm_parent);
  }
  nn_fields_push(codec, attributes, attrs);
  const nn_queue *queue = nn_queue_kind(kinds, nla_get_string(attrs[TCA_KIND]));
  if (queue != NULL && attrs[TCA_OPTIONS] != NULL)
    push_options(codec, queue, attrs[TCA_OPTIONS]);
  else if (attrs[TCA_OPTIONS] != NULL && nla_len(attrs[TCA_OPTIONS]) > 0)
    nn_fields_unknown(codec, attrs[TCA_OPTIONS]);
  if (attrs[TCA_STATS2] != NULL)
    push_stats(codec, attrs[TCA_STATS2]);
  return true;
}

static bool push_qdisc(const nn_codec *codec, const struct nlmsghdr *msg) {
  const struct tcmsg *head = nlmsg_data(msg);
  if (!push_head(codec, msg, nn_qdisc_kinds))
    return false;
  set_handle(codec->L, "handle", head->tcm_handle);
  return true;
}

static bool push_class(const nn_codec *codec, const struct nlmsghdr *msg) {
  const struct tcmsg *head = nlmsg_data(msg);
  if (!push_head(codec, msg, nn_class_kinds))
    return false;
  set_handle(codec->L, "classid", head->tcm_handle);
  if (head->tcm_info != 0)
    set_handle(codec->L, "leaf", head->tcm_info);
  return true;
}

/* What a handle in a filter is in rows. */
static nn_spelling spell_handle(const nn_codec *codec, const char *key) {
  lua_State *L = codec->L;
  uint32_t handle;
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
    lua_pushboolean(L, false);
    return NN_SPELT;
  }
  if (lua_type(L, -1) != LUA_TSTRING)
    wrong_type(L, codec->what, key, "string");
  const char *text = get_text(L);
  if (text == NULL || !nn_parse_handle(text, &handle)) {
    refuse(L, codec->what, key, EINVAL);
    return NN_REFUSED;
  }
  push_handle(L, handle);
  return NN_SPELT;
}

/* The same for an option. */
static nn_spelling spell_option(const nn_codec *codec,
                                const nn_option *option) {
  double value;
  if (!get_value(codec->L, codec->what, option, &value))
    return NN_REFUSED;
  push_value(codec->L, option->unit, nn_unit_round(option->unit, value));
  return NN_SPELT;
}

/* The option called `key` of all kinds after *skip others; NULL, and less to
   skip, if there is none. The kernel does not tell which distribution a netem
   has. */
static const nn_option *find_option(const nn_queue *kinds, const char *key,
                                    int *skip) {
  for (; kinds->kind != NULL; kinds++)
    for (const nn_option *option = kinds->options; option->name != NULL;
         option++)
      if (option->unit != NN_DISTRIBUTION && strcmp(option->name, key) == 0 &&
          (*skip)-- == 0)
        return option;
  return NULL;
}

/* The nth field, from 0, called `key` of all kinds; NULL: there are less. */
static const nn_field *find_field(const nn_queue *kinds, const char *key,
                                  int nth) {
  const nn_field *found = NULL;
  for (; kinds->kind != NULL && found == NULL; kinds++) {
    const nn_field *const fields[] = {kinds->fields, NULL};
    found = nn_fields_find(fields, key, &nth);
  }
  return found;
}

static void add_names(lua_State *L, const nn_queue *kinds,
                      const char *const *handles) {
  for (; *handles != NULL; handles++) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, *handles);
  }
  for (; kinds->kind != NULL; kinds++) {
    const nn_field *const fields[] = {kinds->fields, NULL};
    nn_filter_names(L, fields);
    for (const nn_option *option = kinds->options; option->name != NULL;
         option++)
      if (option->unit != NN_DISTRIBUTION) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, option->name);
      }
  }
}

/* `handles` are the names of the fields that are some, and end with NULL. */
static nn_spelling spell_queue(const nn_codec *codec, const nn_queue *kinds,
                               const char *const *handles, const char *key,
                               int nth) {
  static const nn_field fields[] = {{"link", 0, NN_LINK, NN_STATE, NULL},
                                    {"kind", 0, NN_TEXT, NN_STATE, NULL},
                                    {"root", 0, NN_BOOL, NN_STATE, NULL},
                                    {.name = NULL}};
  static const nn_field *const lists[] = {fields, NULL};
  int skip = nth;
  if (key == NULL) {
    add_names(codec->L, kinds, handles);
    return nn_fields_spell(codec, lists, key, nth);
  }
  const nn_field *field = nn_fields_find(lists, key, &skip);
  if (field != NULL)
    return nn_field_spell(codec, field);
  for (; nth == 0 && *handles != NULL; handles++)
    if (strcmp(*handles, key) == 0)
      return spell_handle(codec, key);
  const nn_option *option = find_option(kinds, key, &nth);
  return option != NULL ? spell_option(codec, option)
                        : nn_field_spell(codec, find_field(kinds, key, nth));
}

static nn_spelling spell_qdisc(const nn_codec *codec, const char *key,
                               int nth) {
  static const char *const handles[] = {"handle", "parent", NULL};
  return spell_queue(codec, nn_qdisc_kinds, handles, key, nth);
}

static nn_spelling spell_class(const nn_codec *codec, const char *key,
                               int nth) {
  static const char *const handles[] = {"classid", "parent", "leaf", NULL};
  return spell_queue(codec, nn_class_kinds, handles, key, nth);
}

/* Pushes the filter at `filter`, in which `parent = "root"` is `root = true` of
   rows; false after a triple. */
static bool push_filter(const nn_codec *codec, int filter, nn_speller *spell) {
  static const char *const none[] = {NULL};
  lua_State *L = codec->L;
  nn_filter_copy(L, filter, none);
  const int copy = lua_gettop(L);
  if (lua_getfield(L, copy, "parent") == LUA_TSTRING &&
      strcasecmp(lua_tostring(L, -1), "root") == 0) {
    lua_pushnil(L);
    lua_setfield(L, copy, "parent");
    lua_pushboolean(L, true);
    lua_setfield(L, copy, "root");
  }
  lua_settop(L, copy);
  return nn_filter_push(codec, copy, spell);
}

/***
The queues of a namespace: `tc -n NAME qdisc`.
@function qdiscs
@param NS
@tparam[opt] table filter fields that a queue has to have, such as
`{ link = "eth0", kind = "netem" }`
@treturn[1] {table,...} with the names of `tc -json qdisc`: `link`, `kind`,
`handle` (`"8001:"`), `root=true` or `parent` (`"1:10"`), and for the kinds that
@{qdisc_add} knows its options, but those of netem that are 0; in `stats` what
has passed through it (`bytes`, `packets`), what has not (`drops`,
`overlimits`, `requeues`), and what waits (`backlog` in bytes, `qlen` in
packets)
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int qdisc_list(lua_State *L) {
  const struct tcmsg head = {.tcm_family = AF_UNSPEC};
  nn_codec codec;
  lua_settop(L, 2);
  if (!lua_isnil(L, 2))
    nn_arg_table(L, 2, "qdiscs", "filter");
  nn_ns *ns = nn_codec_open(L, "qdiscs", &codec);
  if (ns == NULL)
    return 3;
  if (!push_filter(&codec, 2, spell_qdisc)) {
    nn_ns_done(ns);
    return 3;
  }
  struct nl_msg *msg = nn_msg_push(L, RTM_GETQDISC, NLM_F_DUMP);
  nlmsg_append(msg, (void *)&head, sizeof head, NLMSG_ALIGNTO);
  return nn_dump(&codec, ns, msg, push_qdisc, 4);
}

/* The link that the second argument names; false after nil, message, errno,
   with *ns done. */
static bool get_link(const nn_codec *codec, nn_ns *ns, struct tcmsg *head) {
  head->tcm_ifindex = (int)nn_link_index(codec, 2);
  if (head->tcm_ifindex != 0)
    return true;
  int err = errno;
  nn_ns_done(ns);
  nn_fail(codec->L, err, "%s %s: %s", codec->what, nn_ns_label(codec->L, 1),
          luaL_tolstring(codec->L, 2, NULL));
  return false;
}

/* core.classes(NS, link, filter): an array of the classes of a link. */
static int class_list(lua_State *L) {
  struct tcmsg head = {.tcm_family = AF_UNSPEC};
  nn_codec codec;
  lua_settop(L, 3);
  nn_arg_link(L, 2, "classes");
  nn_ns *ns = nn_codec_open(L, "classes", &codec);
  if (ns == NULL)
    return 3;
  if (!push_filter(&codec, 3, spell_class)) {
    nn_ns_done(ns);
    return 3;
  }
  if (!get_link(&codec, ns, &head))
    return 3;
  struct nl_msg *msg = nn_msg_push(L, RTM_GETTCLASS, NLM_F_DUMP);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  return nn_dump(&codec, ns, msg, push_class, 5);
}

/* --- writing ------------------------------------------------------------- */

/* What follows the errno in a message about a kind of queues that Linux does not
   have, with that which was probably meant, in ack->text. */
static bool check_kind(lua_State *L, const char *kind, nn_ack *ack) {
  if (nn_queue_exists(L, kind))
    return true;
  const char *meant = lua_tostring(L, -1);
  ack->err = EINVAL;
  snprintf(ack->text, sizeof ack->text, "no kind of queue%s%.20s%s",
           meant != NULL ? "; did you mean \"" : "", meant != NULL ? meant : "",
           meant != NULL ? "\"?" : "");
  return false;
}

/* nil, message, errno about the link at 2; `subject` may be NULL. */
static int fail(const nn_codec *codec, const nn_ack *ack,
                const char *subject) {
  lua_State *L = codec->L;
  return nn_rtnl_fail(L, ack, "%s %s: %s%s%s%s", codec->what,
                      nn_ns_label(L, 1), luaL_tolstring(L, 2, NULL),
                      subject != NULL ? " (" : "",
                      subject != NULL ? subject : "",
                      subject != NULL ? ")" : "");
}

/* Sends the request on the stack's top; `kind` may be NULL. The results of the
   Lua function. */
static int change(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg,
                  const char *kind) {
  lua_State *L = codec->L;
  nn_ack ack;
  nn_rtnl_change(codec->rtnl, nlmsg_hdr(msg), &ack);
  nn_ns_done(ns);
  if (ack.err == 0) {
    lua_pushboolean(L, true);
    return 1;
  }
  /* "Specified qdisc kind is unknown": other things are not found either */
  if (ack.err == ENOENT && strncmp(ack.text, "Specified qdisc", 15) == 0) {
    ack.err = EOPNOTSUPP;
    if (kind != NULL)
      check_kind(L, kind, &ack);
  }
  return fail(codec, &ack, kind);
}

/* The field `kind`, which stays on the stack. */
static const char *get_kind(lua_State *L, const char *what, int table) {
  if (lua_getfield(L, table, "kind") != LUA_TSTRING)
    wrong_type(L, what, "kind", "string");
  return lua_tostring(L, -1);
}

/* Where a queue is to be, if nothing is said: the root of its link. */
static void put_place(const char *kind, struct tcmsg *head) {
  if (strcmp(kind, "ingress") == 0 || strcmp(kind, "clsact") == 0) {
    head->tcm_parent = TC_H_INGRESS; /* their place, and their handle */
    head->tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
  } else if (head->tcm_parent == TC_H_UNSPEC) {
    head->tcm_parent = TC_H_ROOT;
  }
}

/* `parent`, or `root`, as rows have it. */
static bool get_parent(lua_State *L, const char *what, int table,
                       struct tcmsg *head) {
  const nn_codec codec = {.L = L, .what = what};
  if (!get_handle(L, what, table, "parent", &head->tcm_parent))
    return false;
  if (head->tcm_parent == TC_H_UNSPEC && nn_flag_get(&codec, table, "root"))
    head->tcm_parent = TC_H_ROOT;
  return true;
}

/* Takes a row that is the second argument for its link and the third. */
static void take_row(lua_State *L) {
  if (lua_istable(L, 2) && lua_isnoneornil(L, 3)) {
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_getfield(L, 2, "link");
    lua_replace(L, 2);
  }
  lua_settop(L, 3);
}

/* Whether the table at 3 has keys besides these. */
static bool has_more(lua_State *L, const char *const *names) {
  bool more = false;
  for (lua_pushnil(L); !more && lua_next(L, 3) != 0; lua_pop(L, 1)) {
    const char *const *name = names;
    while (*name != NULL && (lua_type(L, -2) != LUA_TSTRING ||
                             strcmp(*name, lua_tostring(L, -2)) != 0))
      name++;
    more = *name == NULL;
    if (more)
      lua_pop(L, 1);
  }
  return more;
}

/* Makes a queue or a class out of the table at 3. One of a kind that is not
   known here has no options. */
static int make(lua_State *L, const char *what, int type, int flags) {
  const bool is_class = type == RTM_NEWTCLASS;
  const char *id = is_class ? "classid" : "handle";
  const char *const others[] = {"kind", "parent", "root", "link",
                                "stats", id,       "leaf", NULL};
  struct tcmsg head = {.tcm_family = AF_UNSPEC};
  double values[NN_OPTIONS];
  nn_codec codec = {.L = L, .what = what};
  nn_ack ack = {.err = 0};
  take_row(L);
  nn_arg_link(L, 2, what);
  nn_arg_table(L, 3, what, is_class ? "class" : "qdisc");
  const char *kind = get_kind(L, what, 3);
  const nn_queue *queue =
      nn_queue_kind(is_class ? nn_class_kinds : nn_qdisc_kinds, kind);
  if (queue == NULL) {
    queue = &nn_plain_queue;
    if (has_more(L, others) && !check_kind(L, kind, &ack)) {
      nn_ns *ns = nn_ns_arg(L, 1, what);
      if (ns != NULL)
        nn_ns_done(ns);
      return ns != NULL ? fail(&codec, &ack, kind) : 3;
    }
  }
  check_names(L, what, 3, queue, others);
  if (!nn_fields_known(&codec, 3) || !get_parent(L, what, 3, &head) ||
      !get_handle(L, what, 3, id, &head.tcm_handle) ||
      !get_values(L, what, 3, queue, values))
    return 3;
  if (!is_class)
    put_place(kind, &head);
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL || !get_link(&codec, ns, &head))
    return 3;
  struct nl_msg *msg = nn_msg_push(L, type, NLM_F_CREATE | flags);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  nla_put_string(msg, TCA_KIND, kind);
  struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);
  queue->write(values, msg);
  if (!nn_fields_write(&codec, queue->fields, 3, msg)) {
    nn_ns_done(ns);
    return 3;
  }
  nla_nest_end(msg, options);
  return change(&codec, ns, msg, kind);
}

/***
Adds a queue to a link: `tc -n NAME qdisc add dev LINK …`.
@function qdisc_add
@param NS
@tparam string link
@tparam table queue `kind`; `parent`, a class such as `"1:10"` (default: the
root of the link); `handle`, such as `"1:"` (default: the kernel's choice); and
by kind:

- `netem`: `seed` (an integer of 64 bits), `ecn`, `delay`, `jitter`, `delay_correlation`, `distribution` (of the
jitter:
`"uniform"` or `"normal"`; the kernel does not tell it again), `loss`,
`loss_correlation`, `duplicate`, `duplicate_correlation`, `corrupt`,
`corrupt_correlation`, `reorder`, `reorder_correlation`, `gap` (every so many
packets), `rate`, `limit` (packets, default 1000)
- `tbf`: `rate`, `burst`, and either `limit` (bytes) or `latency`; `peakrate`
together with `minburst`
- `htb`: `default`, the class of what is not classified, in hexadecimal as `tc`
has it (`"10"`, `"0x10"`); `r2q`; `direct_qlen`. See @{class_add}
- `fq_codel`: `limit` (packets), `flows`, `target`, `interval`, `quantum`, `ecn`,
`ce_threshold`, `memory_limit` (bytes), `drop_batch`
- `ingress`

A kind that is not known here is made without options. A row of @{qdiscs} alone
makes the like again; its options that are not known here are in `unknown`, and
refused.
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV, EEXIST, EINVAL and ERANGE for a value;
EOPNOTSUPP if the kernel lacks the kind, EINVAL if Linux does
@usage
vpn:qdisc_add("eth0", { kind = "netem", delay = "20ms", loss = "1%" })
*/
static int qdisc_add(lua_State *L) {
  return make(L, "qdisc_add", RTM_NEWQDISC, NLM_F_EXCL);
}

/***
Changes a queue, or puts one in the place of what is there: `tc -n NAME qdisc
replace dev LINK …`. What the table does not tell gets its default, but that the
kernel keeps the `distribution` of a netem.
@function qdisc_set
@param NS
@tparam string link
@tparam table queue as for @{qdisc_add}
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: as for @{qdisc_add}
*/
static int qdisc_set(lua_State *L) {
  return make(L, "qdisc_set", RTM_NEWQDISC, NLM_F_REPLACE);
}

/***
Takes a queue away: `tc -n NAME qdisc del dev LINK …`.
@function qdisc_delete
@param NS
@tparam string|integer|table link a name or an index; or a row of @{qdiscs}
alone
@tparam[opt] table which `parent` (`"1:10"`; `"ingress"`; default `"root"`), and
`handle` and `kind` to be sure that it is this one; a row has all of them
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENODEV, ENOENT
*/
static int qdisc_delete(lua_State *L) {
  static const char *const names[] = {"parent", "root",  "handle", "kind",
                                      "link",   "stats", NULL};
  static const char what[] = "qdisc_delete";
  struct tcmsg head = {.tcm_family = AF_UNSPEC};
  const char *kind = NULL;
  nn_codec codec;
  take_row(L);
  nn_arg_link(L, 2, what);
  nn_opt_table(L, 3, what, "which");
  if (lua_getfield(L, 3, "kind") != LUA_TNIL) /* of a row */
    kind = get_kind(L, what, 3);
  const nn_queue *queue =
      kind != NULL ? nn_queue_kind(nn_qdisc_kinds, kind) : NULL;
  check_names(L, what, 3, queue != NULL ? queue : &nn_plain_queue, names);
  if (!get_parent(L, what, 3, &head) ||
      !get_handle(L, what, 3, "handle", &head.tcm_handle))
    return 3;
  if (head.tcm_parent == TC_H_UNSPEC)
    head.tcm_parent = TC_H_ROOT;
  nn_ns *ns = nn_codec_open(L, what, &codec);
  if (ns == NULL || !get_link(&codec, ns, &head))
    return 3;
  struct nl_msg *msg = nn_msg_push(L, RTM_DELQDISC, 0);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  if (kind != NULL)
    nla_put_string(msg, TCA_KIND, kind);
  return change(&codec, ns, msg, NULL);
}

/***
Adds a class to a queue: `tc -n NAME class add dev LINK …`.
@function class_add
@param NS
@tparam string link
@tparam table class `kind`, which is `"htb"`; `parent`, the queue or class that
it divides (`"1:"`); `classid` (`"1:10"`); `rate`, `ceil` (default: the rate),
`burst`, `cburst`, `prio`, `quantum` (bytes)
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int class_add(lua_State *L) {
  return make(L, "class_add", RTM_NEWTCLASS, NLM_F_EXCL);
}

/***
Changes a class, or adds it if it is not there: `tc -n NAME class replace dev
LINK …`. What passes through it goes on, at its new rate. What the table does
not tell gets its default.
@function class_set
@param NS
@tparam string link
@tparam table class as for @{class_add}
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: as for @{class_add}
@usage
vpn:class_set("eth0", { kind = "htb", parent = "1:", classid = "1:10",
  rate = "5mbit" })
*/
static int class_set(lua_State *L) {
  return make(L, "class_set", RTM_NEWTCLASS, NLM_F_REPLACE);
}

/***
Takes a class away: `tc -n NAME class del dev LINK classid CLASS`.
@function class_delete
@param NS
@tparam string|integer|table link a name or an index; or a row of @{classes}
alone
@tparam string|table classid or a row
@treturn[1] boolean true
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENOENT; EBUSY if there is something below it
*/
static int class_delete(lua_State *L) {
  struct tcmsg head = {.tcm_family = AF_UNSPEC};
  nn_codec codec;
  take_row(L);
  nn_arg_link(L, 2, "class_delete");
  if (lua_istable(L, 3)) { /* a row */
    lua_getfield(L, 3, "classid");
    lua_replace(L, 3);
  }
  nn_arg_string(L, 3, "class_delete", "classid", NULL);
  const char *text = get_text(L);
  if (text == NULL || !nn_parse_handle(text, &head.tcm_handle)) {
    refuse(L, "class_delete", "classid", EINVAL);
    return 3;
  }
  nn_ns *ns = nn_codec_open(L, "class_delete", &codec);
  if (ns == NULL || !get_link(&codec, ns, &head))
    return 3;
  struct nl_msg *msg = nn_msg_push(L, RTM_DELTCLASS, 0);
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  return change(&codec, ns, msg, text);
}

/* core.quantity(measure, text): what a text tells as a number; nothing if it is
   not understood. */
static int quantity(lua_State *L) {
  static const char *const names[] = {[NN_TIME] = "time",
                                      [NN_RATE] = "rate",
                                      [NN_SIZE] = "size",
                                      [NN_FRACTION] = "fraction",
                                      [4] = NULL};
  const int measure = luaL_checkoption(L, 1, NULL, names);
  double value;
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  const char *text = get_text(L);
  if (text == NULL || !nn_parse_unit((nn_measure)measure, text, &value))
    return 0;
  lua_pushnumber(L, value);
  return 1;
}

void nn_open_qdisc(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"qdiscs", qdisc_list},         {"qdisc_add", qdisc_add},
      {"qdisc_set", qdisc_set},       {"qdisc_delete", qdisc_delete},
      {"class_add", class_add},       {"class_set", class_set},
      {"class_delete", class_delete}, {NULL, NULL}};
  lua_pushcfunction(L, class_list);
  lua_setfield(L, -2, "classes");
  lua_pushcfunction(L, quantity);
  lua_setfield(L, -2, "quantity");
  nn_ns_functions(L, functions);
}
