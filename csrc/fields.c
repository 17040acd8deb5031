/* fields.c - attributes of netlink to fields of Lua tables, and back. */
#include <arpa/inet.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "fields.h"
#include "units.h"

#define HW_MAX 32 /* bytes of a hardware address, as the kernel has it */
/* Bytes of a text: an alias' are the most that the kernel takes. With a limit
   nn_msg_push can promise room for all. */
#define TEXT_MAX 255
#define NN_ALTNAME_SIZE 128 /* of an alternative name, with its NUL */
#define PATIENCE 10000 /* milliseconds with a dump that changes interrupt */

nn_ns *nn_codec_open(lua_State *L, const char *what, nn_codec *codec) {
  return nn_codec_open_by(L, what, NETLINK_ROUTE, codec);
}

nn_ns *nn_codec_open_by(lua_State *L, const char *what, int protocol,
                        nn_codec *codec) {
  nn_ns *ns = nn_ns_arg(L, 1, what);
  if (ns == NULL)
    return NULL;
  *codec =
      (nn_codec){.L = L, .rtnl = nn_rtnl_of(L, 1, ns, protocol), .what = what};
  if (codec->rtnl != NULL)
    return ns;
  int err = errno;
  nn_ns_done(ns);
  nn_fail(L, err, "%s %s", what, nn_ns_label(L, 1));
  return NULL;
}

/* --- names of values ----------------------------------------------------- */

const nn_name nn_families[] = {
    {"inet", AF_INET}, {"inet6", AF_INET6}, {NULL, 0}};

const nn_name nn_tables[] = {{"default", RT_TABLE_DEFAULT},
                             {"main", RT_TABLE_MAIN},
                             {"local", RT_TABLE_LOCAL},
                             {NULL, 0}};

const nn_name nn_protocols[] = {
    {"unspec", 0}, {"redirect", 1}, {"kernel", 2},      {"boot", 3},
    {"static", 4}, {"gated", 8},    {"ra", 9},          {"mrt", 10},
    {"zebra", 11}, {"bird", 12},    {"dnrouted", 13},   {"xorp", 14},
    {"ntk", 15},   {"dhcp", 16},    {"keepalived", 18}, {"babel", 42},
    {"openr", 99}, {"bgp", 186},    {"isis", 187},      {"ospf", 188},
    {"rip", 189},  {"eigrp", 192},  {NULL, 0}};

/* --- links by name ------------------------------------------------------- */

/* The name of a link at `arg`; NULL and errno if none can be called so. */
static const char *link_name(lua_State *L, int arg, size_t *len) {
  const char *name = lua_tolstring(L, arg, len);
  errno = *len == 0 || memchr(name, '\0', *len) != NULL ? EINVAL : ENODEV;
  return errno == EINVAL || *len >= NN_ALTNAME_SIZE ? NULL : name;
}

/* The index at `arg`; 0 and errno if there is none like that. */
static unsigned link_number(lua_State *L, int arg) {
  int is_integer;
  const lua_Integer index = lua_tointegerx(L, arg, &is_integer);
  errno = is_integer ? ENODEV : EINVAL;
  return is_integer && index > 0 && index <= INT_MAX ? (unsigned)index : 0;
}

struct nl_msg *nn_link_request(const nn_codec *codec, int arg) {
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  const char *name = NULL;
  size_t len;
  if (lua_type(codec->L, arg) == LUA_TNUMBER)
    info.ifi_index = (int)link_number(codec->L, arg);
  else
    name = link_name(codec->L, arg, &len);
  if (info.ifi_index == 0 && name == NULL)
    return NULL;
  struct nl_msg *msg = nn_msg_push(codec->L, RTM_GETLINK, 0);
  nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO);
  if (name != NULL)
    nla_put_string(msg, len < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name);
  return msg;
}

/* The same for an alternative name that ioctl(2) is too small for. */
static unsigned ask_index(const nn_codec *codec, int arg) {
  const int top = lua_gettop(codec->L);
  nn_ack ack = {.err = ENODEV};
  unsigned index = 0;
  if (codec->rtnl->protocol == NETLINK_ROUTE) {
    struct nl_msg *msg = nn_link_request(codec, arg);
    ack.err = nn_rtnl_send(codec->rtnl, nlmsg_hdr(msg));
    const struct nlmsghdr *answer =
        ack.err == 0 ? nn_rtnl_next(codec->rtnl, &ack) : NULL;
    if (answer != NULL)
      index = (unsigned)((const struct ifinfomsg *)nlmsg_data(answer))
                  ->ifi_index;
  }
  lua_settop(codec->L, top);
  errno = ack.err;
  return index;
}

unsigned nn_link_index(const nn_codec *codec, int arg) {
  struct ifreq request = {.ifr_ifindex = 0};
  size_t len;
  arg = lua_absindex(codec->L, arg);
  if (lua_type(codec->L, arg) == LUA_TNUMBER)
    return link_number(codec->L, arg);
  const char *name = link_name(codec->L, arg, &len);
  if (name == NULL)
    return 0;
  if (len >= IFNAMSIZ || strchr(name, ':') != NULL) /* where ioctl(2) cuts */
    return ask_index(codec, arg);
  strcpy(request.ifr_name, name);
  if (ioctl(codec->rtnl->fd, SIOCGIFINDEX, &request) != 0)
    return 0;
  return (unsigned)request.ifr_ifindex;
}

void nn_link_push(const nn_codec *codec, unsigned index) {
  struct ifreq request = {.ifr_ifindex = (int)index};
  if (!codec->foreign && ioctl(codec->rtnl->fd, SIOCGIFNAME, &request) == 0) {
    lua_pushstring(codec->L, request.ifr_name);
    return;
  }
  if (!codec->foreign && errno != ENODEV) /* see nn_rtnl_verdict */
    codec->rtnl->unnamed = errno;
  lua_pushinteger(codec->L, index);
}

/* --- reading ------------------------------------------------------------- */

static void push_ip(lua_State *L, const void *data, int len) {
  char text[INET6_ADDRSTRLEN];
  int family = len == 4 ? AF_INET : AF_INET6;
  lua_pushstring(L, len == 4 || len == 16
                        ? inet_ntop(family, data, text, sizeof text)
                        : NULL);
}

/* Without printf(3), which took a tenth of the time of a list of links. */
static void push_hw(const nn_codec *codec, const struct nlattr *attr) {
  static const char digits[] = "0123456789abcdef";
  char text[HW_MAX * 3];
  const unsigned char *data = nla_data(attr);
  const int len = nla_len(attr);
  if (!codec->plain && (len == 4 || len == 16)) { /* of a tunnel's end */
    push_ip(codec->L, data, len);
    return;
  }
  char *end = text;
  for (int i = 0; i < len && i < HW_MAX; i++) {
    if (i > 0)
      *end++ = ':';
    *end++ = digits[data[i] >> 4];
    *end++ = digits[data[i] & 15];
  }
  lua_pushlstring(codec->L, text, (size_t)(end - text));
}

/* An address that is "any" if it is none. */
static void push_any(lua_State *L, const struct nlattr *attr) {
  static const char zeros[16];
  const int len = nla_len(attr);
  if (len <= (int)sizeof zeros && memcmp(nla_data(attr), zeros, len) == 0)
    lua_pushliteral(L, "any");
  else
    push_ip(L, nla_data(attr), len);
}

/* Bytes as one number. */
static void push_digits(lua_State *L, const struct nlattr *attr) {
  const unsigned char *bytes = nla_data(attr);
  uint64_t value = 0;
  for (int i = 0; i < nla_len(attr) && i < 8; i++)
    value = value << 8 | bytes[i];
  nn_format(L, "%#" PRIx64, value);
}

/* Two bytes of priority, and a hardware address; written as ip does. */
static void push_bridge(lua_State *L, const struct nlattr *attr) {
  char text[32];
  const unsigned char *id = nla_data(attr);
  if (nla_len(attr) == 8)
    snprintf(text, sizeof text, "%02x%02x.%x:%x:%x:%x:%x:%x", id[0], id[1],
             id[2], id[3], id[4], id[5], id[6], id[7]);
  lua_pushstring(L, nla_len(attr) == 8 ? text : NULL);
}

static void push_name(lua_State *L, const nn_name *names, uint32_t value) {
  for (; names->text != NULL; names++)
    if (names->value == value) {
      lua_pushstring(L, names->text);
      return;
    }
  lua_pushinteger(L, value);
}

/* Two integers, of 16 or of 32 bits. */
static void push_range(lua_State *L, const struct nlattr *attr) {
  uint32_t range[2] = {0, 0};
  uint16_t narrow[2];
  if (nla_len(attr) >= (int)sizeof range) {
    memcpy(range, nla_data(attr), sizeof range);
  } else if (nla_len(attr) == sizeof narrow) {
    memcpy(narrow, nla_data(attr), sizeof narrow);
    range[0] = narrow[0];
    range[1] = narrow[1];
  }
  if (range[0] == range[1])
    lua_pushinteger(L, range[0]);
  else
    nn_format(L, "%" PRIu32 "-%" PRIu32, range[0], range[1]);
}

/* The realm of the source, if there is one, and that of the destination. */
static void push_realms(lua_State *L, uint32_t realms) {
  if (realms >> 16 == 0)
    lua_pushinteger(L, realms);
  else
    nn_format(L, "%" PRIu32 "/%" PRIu32, realms >> 16, realms & UINT16_MAX);
}

/* The integer that is an attribute's payload, whatever its size. */
static uint64_t get_integer(const struct nlattr *attr) {
  switch (nla_len(attr)) {
  case 1:
    return nla_get_u8(attr);
  case 2:
    return nla_get_u16(attr);
  case 4:
    return nla_get_u32(attr);
  default:
    return nla_len(attr) >= 8 ? nla_get_u64(attr) : 0;
  }
}

/* The bytes of the payload, which is an integer. */
static int kind_size(int kind) {
  switch (kind) {
  case NN_U8:
  case NN_BOOL:
  case NN_NAME8:
    return 1;
  case NN_U16:
  case NN_BE16:
  case NN_NAME16:
    return 2;
  case NN_U64:
  case NN_BE64:
  case NN_S64:
  case NN_HEX:
    return 8;
  default:
    return 4;
  }
}

/* The integer of which `part` is a part, if it is there. */
static uint32_t get_part(const nn_part *part, const struct nlattr *attr) {
  uint32_t value = 0;
  if (attr == NULL || nla_len(attr) < part->size)
    return 0;
  if (part->size == 2)
    value = part->network ? ntohs(nla_get_u16(attr)) : nla_get_u16(attr);
  else if (nla_len(attr) >= 4) /* the first of the two */
    value = part->network ? ntohl(nla_get_u32(attr)) : nla_get_u32(attr);
  value &= part->mask;
  for (uint32_t mask = part->mask; value != 0 && !(mask & 1); mask >>= 1)
    value >>= 1;
  return value;
}

/* Whether the kernel knows the bits of a part, which it says where there is a
   mask. */
static bool has_part(const nn_part *part, const struct nlattr *attr) {
  uint32_t words[2];
  if (part->size != sizeof words || nla_len(attr) < (int)sizeof words)
    return true;
  memcpy(words, nla_data(attr), sizeof words);
  return (words[1] & part->mask) == part->mask;
}

static void push_part(lua_State *L, const nn_part *part,
                      const struct nlattr *attr) {
  const uint32_t value = get_part(part, attr);
  if (part->number)
    lua_pushinteger(L, value);
  else
    lua_pushboolean(L, value != 0);
}

/* An array of the names of bits; one without a name is an integer. */
static void push_words(lua_State *L, const nn_name *names, uint32_t bits) {
  lua_Integer count = 0;
  lua_newtable(L);
  for (int i = 0; i < 32; i++) {
    const uint32_t bit = (uint32_t)1 << i;
    if (bits & bit) {
      push_name(L, names, bit);
      lua_rawseti(L, -2, ++count);
    }
  }
}

static void push_value(const nn_codec *codec, const nn_field *field,
                       struct nlattr *attr);

static void push_list(const nn_codec *codec, const nn_field *field,
                      struct nlattr *nest) {
  struct nlattr *item;
  int left;
  lua_Integer count = 0;
  luaL_checkstack(codec->L, 8, NULL);
  lua_newtable(codec->L);
  nla_for_each_nested(item, nest, left) {
    push_value(codec, field->detail, item);
    lua_rawseti(codec->L, -2, ++count);
  }
}

static void push_nest(const nn_codec *codec, const nn_field *field,
                      const struct nlattr *attr) {
  nn_codec inner = *codec;
  inner.within = 0;
  lua_newtable(codec->L);
  nn_fields_read(&inner, field->detail, nla_data(attr), nla_len(attr));
}

static int struct_size(const nn_field *fields) {
  int size = 0;
  for (; fields->name != NULL; fields++)
    if (size < (int)fields->type + kind_size(fields->kind))
      size = (int)fields->type + kind_size(fields->kind);
  return size;
}

/* A table for a struct, if the payload is large enough for it. */
static void push_struct(const nn_codec *codec, const nn_field *field,
                        const struct nlattr *attr) {
  const nn_field *fields = field->detail;
  lua_newtable(codec->L);
  if (nla_len(attr) >= struct_size(fields))
    nn_head_read(codec, fields, nla_data(attr));
}

static void push_value(const nn_codec *codec, const nn_field *field,
                       struct nlattr *attr) {
  lua_State *L = codec->L;
  switch ((enum nn_kind)field->kind) {
  case NN_U8:
  case NN_U16:
  case NN_U32:
  case NN_U64:
  case NN_S64:
    lua_pushinteger(L, (lua_Integer)get_integer(attr));
    break;
  case NN_S32:
    lua_pushinteger(L, (int32_t)get_integer(attr));
    break;
  case NN_BE16:
    lua_pushinteger(L, ntohs((uint16_t)get_integer(attr)));
    break;
  case NN_BE32:
    lua_pushinteger(L, ntohl((uint32_t)get_integer(attr)));
    break;
  case NN_BE64:
    lua_pushinteger(L, (lua_Integer)be64toh(get_integer(attr)));
    break;
  case NN_BOOL:
    lua_pushboolean(L, get_integer(attr) != 0);
    break;
  case NN_BOOL32:
    if (get_integer(attr) > 1)
      lua_pushinteger(L, (lua_Integer)get_integer(attr));
    else
      lua_pushboolean(L, get_integer(attr) != 0);
    break;
  case NN_FLAG: /* some are told as an u8, and taken as nothing */
    lua_pushboolean(L, nla_len(attr) == 0 || get_integer(attr) != 0);
    break;
  case NN_TEXT:
  case NN_IFNAME:
  case NN_ALTNAME:
    lua_pushlstring(L, nla_data(attr),
                    strnlen(nla_data(attr), (size_t)nla_len(attr)));
    break;
  case NN_HW:
    push_hw(codec, attr);
    break;
  case NN_IP:
    push_ip(L, nla_data(attr), nla_len(attr));
    break;
  case NN_IP4:
  case NN_IP6:
    push_any(L, attr);
    break;
  case NN_QUAD:
    push_ip(L, nla_data(attr), nla_len(attr));
    break;
  case NN_LINK: /* none has index 0 */
    if (get_integer(attr) != 0)
      nn_link_push(codec, (unsigned)get_integer(attr));
    else
      lua_pushnil(L);
    break;
  case NN_NAME8:
  case NN_NAME16:
  case NN_NAME32:
    push_name(L, field->detail, (uint32_t)get_integer(attr));
    break;
  case NN_RANGE16:
  case NN_RANGE32:
    push_range(L, attr);
    break;
  case NN_REALMS:
    push_realms(L, (uint32_t)get_integer(attr));
    break;
  case NN_WORDS:
    push_words(L, field->detail, (uint32_t)get_integer(attr));
    break;
  case NN_NEST:
    push_nest(codec, field, attr);
    break;
  case NN_LIST:
    push_list(codec, field, attr);
    break;
  case NN_STRUCT:
    push_struct(codec, field, attr);
    break;
  case NN_PART:
    push_part(L, field->detail, attr);
    break;
  case NN_TIMER:
    lua_pushnumber(L, (lua_Number)get_integer(attr) / 100);
    break;
  case NN_NUMBER:
    lua_pushnumber(L, (lua_Number)get_integer(attr));
    break;
  case NN_DURATION:
    lua_pushnumber(L, (lua_Number)get_integer(attr) /
                          *(const uint32_t *)field->detail);
    break;
  case NN_BRIDGE:
    push_bridge(L, attr);
    break;
  case NN_HEX:
    push_digits(L, attr);
    break;
  case NN_INSIDE: /* more than a value, or none: nn_fields_push */
  case NN_GROUP:
  case NN_IF:
  case NN_EACH:
  case NN_OTHER:
  case NN_PREFIX:
    lua_pushnil(L);
    break;
  }
}

/* The value of an attribute, alone or with others; false if there is none. */
static bool push_field(const nn_codec *codec, const nn_field *field,
                       struct nlattr *const *attrs) {
  struct nlattr *attr = attrs[field->type];
  if (field->kind == NN_GROUP) {
    if (get_integer(attr) == 0)
      return false;
    nn_codec inner = *codec;
    inner.partial = true;
    lua_newtable(codec->L);
    nn_fields_push(&inner, field->detail, attrs);
    return true;
  }
  if (field->kind == NN_IF) {
    const nn_if *this = field->detail;
    if ((get_part(&this->part, attrs[this->type]) != 0) == this->unset)
      return false;
    field = &this->field;
  }
  if (field->kind == NN_PART && !has_part(field->detail, attr))
    return false;
  push_value(codec, field, attr);
  return true;
}

/* Pushes an array of the fields' names, which is made once: a name that is
   already a string of Lua's is set faster than one of C's. */
static void push_names(lua_State *L, const nn_field *fields) {
  luaL_checkstack(L, 8, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, fields) != LUA_TNIL)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  for (int i = 0; fields[i].name != NULL; i++) {
    lua_pushstring(L, fields[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, fields);
}

/* Types of attributes, as a set. */
typedef struct type_set {
  uint64_t bits[(NN_TYPE_MAX + 1) / 64];
} type_set;

static void add_type(type_set *set, unsigned type) {
  set->bits[type / 64] |= (uint64_t)1 << type % 64;
}

/* Adds all the types that a field describes. */
static void add_field(type_set *set, const nn_field *field) {
  add_type(set, field->type);
  if (field->kind == NN_GROUP || field->kind == NN_EACH)
    for (const nn_field *each = field->detail; each->name != NULL; each++)
      add_field(set, each);
  else if (field->kind == NN_IF)
    add_type(set, ((const nn_if *)field->detail)->type);
}

/* Appends bytes in hexadecimal to the text at `type` of the table on top. */
static void add_hex(lua_State *L, unsigned type, const void *data, int len) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = data;
  luaL_Buffer buffer;
  if (lua_rawgeti(L, -1, type) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushliteral(L, "");
  }
  luaL_buffinit(L, &buffer);
  for (int i = 0; i < len; i++) {
    luaL_addchar(&buffer, digits[bytes[i] >> 4]);
    luaL_addchar(&buffer, digits[bytes[i] & 15]);
  }
  luaL_pushresult(&buffer);
  lua_concat(L, 2);
  lua_rawseti(L, -2, type);
}

void nn_fields_unknown(const nn_codec *codec, const struct nlattr *attr) {
  lua_State *L = codec->L;
  luaL_checkstack(L, 8, NULL);
  if (lua_getfield(L, -1, "unknown") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "unknown");
  }
  if (codec->within != 0)
    add_hex(L, codec->within, attr, attr->nla_len);
  else
    add_hex(L, (unsigned)nla_type(attr), nla_data(attr), nla_len(attr));
  lua_pop(L, 1);
}

/* Those of the table that is on top. */
static void push_inside(const nn_codec *codec, const nn_field *field,
                        const struct nlattr *attr) {
  nn_codec inner = *codec;
  if (inner.within == 0)
    inner.within = field->type;
  nn_fields_read(&inner, field->detail, nla_data(attr), nla_len(attr));
}

void nn_fields_push(const nn_codec *codec, const nn_field *fields,
                    struct nlattr *const *attrs) {
  lua_State *L = codec->L;
  const int table = lua_gettop(L), names = table + 1;
  type_set known = {{0}};
  push_names(L, fields);
  for (int i = 0; fields[i].name != NULL; i++) {
    struct nlattr *attr = attrs[fields[i].type];
    if (attr == NULL)
      continue;
    add_field(&known, &fields[i]);
    if (fields[i].kind == NN_INSIDE) {
      lua_pushvalue(L, table);
      push_inside(codec, &fields[i], attr);
      lua_pop(L, 1);
    } else if (fields[i].kind != NN_EACH && fields[i].kind != NN_OTHER) {
      lua_rawgeti(L, names, i + 1);
      if (push_field(codec, &fields[i], attrs))
        lua_rawset(L, table);
      else
        lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  if (!codec->partial)
    for (unsigned type = 1; type <= NN_TYPE_MAX; type++)
      if (attrs[type] != NULL &&
          !(known.bits[type / 64] >> type % 64 & (uint64_t)1))
        nn_fields_unknown(codec, attrs[type]);
}

void nn_fields_read(const nn_codec *codec, const nn_field *fields,
                    const struct nlattr *attrs, int len) {
  struct nlattr *parsed[NN_TYPE_MAX + 1];
  const struct nlattr *attr = attrs;
  if (nla_parse(parsed, NN_TYPE_MAX, (struct nlattr *)attrs, len, NULL) != 0)
    return;
  nn_fields_push(codec, fields, parsed);
  if (codec->partial)
    return;
  for (; nla_ok(attr, len); attr = nla_next(attr, &len))
    if (nla_type(attr) > NN_TYPE_MAX || parsed[nla_type(attr)] != attr)
      nn_fields_unknown(codec, attr);
}

void nn_fields_pick(const nn_codec *codec, const nn_field *fields,
                    const struct nlattr *attrs, int len) {
  nn_codec part = *codec;
  part.partial = true;
  nn_fields_read(&part, fields, attrs, len);
}

void nn_head_read(const nn_codec *codec, const nn_field *fields,
                  const void *head) {
  struct {
    struct nlattr attr;
    char payload[8];
  } value;
  for (; fields->name != NULL; fields++) {
    const size_t size = (size_t)kind_size(fields->kind);
    value.attr.nla_len = (uint16_t)(NLA_HDRLEN + size);
    memcpy(value.payload, (const char *)head + fields->type, size);
    push_value(codec, fields, &value.attr);
    lua_setfield(codec->L, -2, fields->name);
  }
}

/* --- writing ------------------------------------------------------------- */

int nn_wrong_type(const nn_codec *codec, const char *name,
                  const char *expected) {
  return nn_raise_type(codec->L, codec->what, name, expected, -1);
}

static int wrong_type(const nn_codec *codec, const nn_field *field,
                      const char *expected) {
  return nn_wrong_type(codec, field->name, expected);
}

bool nn_refuse(const nn_codec *codec, int err, const char *name,
               const char *value) {
  nn_fail(codec->L, err, "%s: %s \"%s\"", codec->what, name, value);
  return false;
}

static bool refuse(const nn_codec *codec, const nn_field *field, int err) {
  return nn_refuse(codec, err, field->name, luaL_tolstring(codec->L, -1, NULL));
}

bool nn_boolean(const nn_codec *codec, const char *name) {
  if (lua_type(codec->L, -1) == LUA_TNUMBER) {
    const lua_Number number = lua_tonumber(codec->L, -1);
    if (number == 0 || number == 1)
      return number == 1;
  }
  if (lua_type(codec->L, -1) != LUA_TBOOLEAN)
    nn_wrong_type(codec, name, "boolean");
  return lua_toboolean(codec->L, -1);
}

bool nn_flag_get(const nn_codec *codec, int table, const char *name) {
  const bool flag = lua_getfield(codec->L, table, name) != LUA_TNIL &&
                    nn_boolean(codec, name);
  lua_pop(codec->L, 1);
  return flag;
}

static bool put(const nn_codec *codec, const nn_field *field, int type,
                struct nl_msg *msg, const void *data, int len) {
  return nla_put(msg, type, len, data) == 0 || refuse(codec, field, EMSGSIZE);
}

/* Puts the lowest `size` bytes. */
static bool put_integer(const nn_codec *codec, const nn_field *field,
                        struct nl_msg *msg, lua_Integer value, int size) {
  const uint8_t u8 = (uint8_t)value;
  const uint16_t u16 = (uint16_t)value;
  const uint32_t u32 = (uint32_t)value;
  const void *data = size == 1   ? (const void *)&u8
                     : size == 2 ? (const void *)&u16
                     : size == 4 ? (const void *)&u32
                                 : (const void *)&value;
  return put(codec, field, field->type, msg, data, size);
}

/* The integer on top, from `min` to `max`. */
static bool get_number(const nn_codec *codec, const nn_field *field,
                       lua_Integer min, lua_Integer max, lua_Integer *value) {
  int is_integer;
#if LUA_VERSION_NUM < 503 /* digits of one that a number cannot hold */
  if (kind_size(field->kind) == 8 && lua_type(codec->L, -1) == LUA_TSTRING) {
    char *end;
    errno = 0;
    *value = strtoll(lua_tostring(codec->L, -1), &end, 10);
    return (errno == 0 && *end == '\0' && *value >= min) ||
           refuse(codec, field, EINVAL);
  }
#endif
  if (lua_type(codec->L, -1) != LUA_TNUMBER)
    wrong_type(codec, field, "integer");
  *value = lua_tointegerx(codec->L, -1, &is_integer);
  if (is_integer && *value >= min && *value <= max)
    return true;
  return refuse(codec, field, is_integer ? ERANGE : EINVAL);
}

static bool put_number(const nn_codec *codec, const nn_field *field,
                       struct nl_msg *msg) {
  lua_Integer value = 0, min = 0, max = LUA_MAXINTEGER;
  int size = 8;
  switch ((enum nn_kind)field->kind) {
  case NN_U8:
    size = 1, max = UINT8_MAX;
    break;
  case NN_U16:
  case NN_BE16:
    size = 2, max = UINT16_MAX;
    break;
  case NN_U32:
  case NN_BOOL32:
  case NN_BE32:
    size = 4, max = UINT32_MAX;
    break;
  case NN_S32:
    size = 4, min = INT32_MIN, max = INT32_MAX;
    break;
  case NN_S64:
    min = INT64_MIN;
    break;
  default:
    break;
  }
  if (!get_number(codec, field, min, max, &value))
    return false;
  if (field->kind == NN_BE16)
    value = htons((uint16_t)value);
  else if (field->kind == NN_BE32)
    value = htonl((uint32_t)value);
  else if (field->kind == NN_BE64)
    value = (lua_Integer)htobe64((uint64_t)value);
  return put_integer(codec, field, msg, value, size);
}

int nn_parse_ip(const char *text, unsigned char *bytes) {
  if (inet_pton(AF_INET, text, bytes) == 1)
    return 4;
  return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

/* Pairs of digits with colons between them; their number, 0 if it is not so. */
static int parse_hw(const char *text, unsigned char *bytes) {
  for (int size = 0; size < HW_MAX;) {
    unsigned byte;
    if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
      return 0;
    sscanf(text, "%2x", &byte);
    bytes[size++] = (unsigned char)byte;
    text += 2;
    if (*text == '\0')
      return size;
    if (*text++ != ':')
      return 0;
  }
  return 0;
}

/* The kernel would pass over an empty one in silence. */
static bool valid_ifname(const char *name, size_t len, size_t size) {
  if (len == 0 || len >= size || strcmp(name, ".") == 0 ||
      strcmp(name, "..") == 0)
    return false;
  for (; *name != '\0'; name++)
    if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
      return false;
  return true;
}

static bool put_bytes(const nn_codec *codec, const nn_field *field,
                      struct nl_msg *msg) {
  unsigned char bytes[HW_MAX];
  size_t len;
  if (lua_type(codec->L, -1) != LUA_TSTRING)
    wrong_type(codec, field, "string");
  const char *text = lua_tolstring(codec->L, -1, &len);
  if (memchr(text, '\0', len) != NULL ||
      (field->kind == NN_IFNAME && !valid_ifname(text, len, IFNAMSIZ)) ||
      (field->kind == NN_ALTNAME &&
       !valid_ifname(text, len, NN_ALTNAME_SIZE)))
    return refuse(codec, field, EINVAL);
  if (len > TEXT_MAX)
    return refuse(codec, field, ERANGE);
  if (field->kind != NN_HW && field->kind != NN_IP) /* or the NUL alone */
    return put(codec, field, field->type, msg, text, len > 0 ? (int)len : 1);
  int size = field->kind == NN_HW ? parse_hw(text, bytes) : 0;
  if (size == 0)
    size = nn_parse_ip(text, bytes);
  if (size == 0)
    return refuse(codec, field, EINVAL);
  int type = field->type;
  if (size == 16 && field->detail != NULL)
    type = *(const uint16_t *)field->detail;
  return put(codec, field, type, msg, bytes, size);
}

/* The integer on top, of `size` bytes, or the one that the name tells. */
static bool get_named(const nn_codec *codec, const nn_field *field, int size,
                      lua_Integer *value) {
  const nn_name *name = field->detail;
  if (lua_type(codec->L, -1) == LUA_TSTRING) {
    size_t len;
    const char *text = lua_tolstring(codec->L, -1, &len);
    while (name->text != NULL && strcasecmp(name->text, text) != 0)
      name++;
    if (name->text == NULL || strlen(text) != len)
      return refuse(codec, field, EINVAL);
    *value = name->value;
    return true;
  }
  return get_number(codec, field, 0, UINT32_MAX >> (32 - 8 * size), value);
}

static bool put_named(const nn_codec *codec, const nn_field *field,
                      struct nl_msg *msg) {
  const int size = kind_size(field->kind);
  lua_Integer value;
  return get_named(codec, field, size, &value) &&
         put_integer(codec, field, msg, value, size);
}

/* The number at the start of *text, which is moved behind it. */
static bool parse_number(const char **text, uint32_t max, uint32_t *value) {
  char *end;
  if (!isdigit((unsigned char)**text))
    return false;
  errno = 0;
  unsigned long long number = strtoull(*text, &end, 10);
  *text = end;
  *value = (uint32_t)number;
  return errno == 0 && number <= max;
}

static bool put_range(const nn_codec *codec, const nn_field *field,
                      struct nl_msg *msg) {
  const uint32_t max = field->kind == NN_RANGE16 ? UINT16_MAX : UINT32_MAX;
  uint32_t range[2] = {0, 0};
  lua_Integer value;
  if (lua_type(codec->L, -1) == LUA_TSTRING) {
    size_t len;
    const char *start = lua_tolstring(codec->L, -1, &len), *text = start;
    bool ok = parse_number(&text, max, &range[0]);
    range[1] = range[0];
    if (ok && *text == '-') {
      text++;
      ok = parse_number(&text, max, &range[1]);
    }
    if (!ok || text != start + len || range[0] > range[1])
      return refuse(codec, field, EINVAL);
  } else {
    if (!get_number(codec, field, 0, max, &value))
      return false;
    range[0] = range[1] = (uint32_t)value;
  }
  const uint16_t narrow[2] = {(uint16_t)range[0], (uint16_t)range[1]};
  return field->kind == NN_RANGE16
             ? put(codec, field, field->type, msg, narrow, sizeof narrow)
             : put(codec, field, field->type, msg, range, sizeof range);
}

static bool put_realms(const nn_codec *codec, const nn_field *field,
                       struct nl_msg *msg) {
  uint32_t source = 0, realm;
  lua_Integer value;
  if (lua_type(codec->L, -1) == LUA_TSTRING) {
    size_t len;
    const char *start = lua_tolstring(codec->L, -1, &len), *text = start;
    bool ok = parse_number(&text, UINT16_MAX, &realm);
    if (ok && *text == '/') {
      text++;
      source = realm;
      ok = parse_number(&text, UINT16_MAX, &realm);
    }
    if (!ok || text != start + len)
      return refuse(codec, field, EINVAL);
  } else {
    if (!get_number(codec, field, 0, UINT16_MAX, &value))
      return false;
    realm = (uint32_t)value;
  }
  return put_integer(codec, field, msg, (lua_Integer)(source << 16 | realm), 4);
}

/* The array of names of bits, or of integers for those without a name. */
static bool put_words(const nn_codec *codec, const nn_field *field,
                      struct nl_msg *msg) {
  lua_State *L = codec->L;
  lua_Integer value, bits = 0;
  if (lua_type(L, -1) != LUA_TTABLE)
    wrong_type(codec, field, "array of names");
  luaL_checkstack(L, 8, NULL);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      wrong_type(codec, field, "array of names");
    if (!get_named(codec, field, 4, &value))
      return false;
    bits |= value;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return put_integer(codec, field, msg, bits, 4);
}

/* A number of seconds, or a text with a unit. */
static bool put_seconds(const nn_codec *codec, const nn_field *field,
                        struct nl_msg *msg) {
  lua_State *L = codec->L;
  double value = 0;
  const int type = lua_type(L, -1);
  if (type != LUA_TNUMBER && type != LUA_TSTRING)
    wrong_type(codec, field, "seconds");
  if (type == LUA_TNUMBER)
    value = lua_tonumber(L, -1);
  else if (!nn_parse_unit(NN_TIME, lua_tostring(L, -1), &value))
    return refuse(codec, field, EINVAL);
  value = value * *(const uint32_t *)field->detail + 0.5;
  if (!(value >= 0 && value < (double)UINT32_MAX + 1))
    return refuse(codec, field, ERANGE);
  return put_integer(codec, field, msg, (lua_Integer)value, 4);
}

static bool put_boolean(const nn_codec *codec, const nn_field *field,
                        struct nl_msg *msg) {
  if (field->kind == NN_BOOL32 && lua_type(codec->L, -1) == LUA_TNUMBER)
    return put_number(codec, field, msg);
  const bool value = nn_boolean(codec, field->name);
  if (field->kind == NN_BOOL && (value || field->detail == NULL))
    return put_integer(codec, field, msg, value, 1);
  if (field->kind == NN_BOOL32)
    return put_integer(codec, field, msg, value, 4);
  return !value || put(codec, field, field->type, msg, NULL, 0);
}

/* An address of one family, or "any". */
static bool put_any(const nn_codec *codec, const nn_field *field,
                    struct nl_msg *msg) {
  const int size = field->kind == NN_IP4 ? 4 : 16;
  unsigned char bytes[16] = {0};
  size_t len;
  if (lua_type(codec->L, -1) != LUA_TSTRING)
    wrong_type(codec, field, "string");
  const char *text = lua_tolstring(codec->L, -1, &len);
  if (strlen(text) != len ||
      (strcasecmp(text, "any") != 0 && nn_parse_ip(text, bytes) != size))
    return refuse(codec, field, EINVAL);
  return put(codec, field, field->type, msg, bytes, size);
}

/* 8 bytes as one number, in hexadecimal. */
static bool put_digits(const nn_codec *codec, const nn_field *field,
                       struct nl_msg *msg) {
  unsigned char bytes[8];
  size_t len;
  char *end;
  if (lua_type(codec->L, -1) != LUA_TSTRING)
    wrong_type(codec, field, "string");
  const char *text = lua_tolstring(codec->L, -1, &len);
  errno = 0;
  unsigned long long value = strtoull(text, &end, 16);
  if (!isxdigit((unsigned char)text[0]) || end != text + len)
    return refuse(codec, field, EINVAL);
  if (errno != 0)
    return refuse(codec, field, ERANGE);
  for (int i = 7; i >= 0; i--, value >>= 8)
    bytes[i] = (unsigned char)value;
  return put(codec, field, field->type, msg, bytes, sizeof bytes);
}

/* A number, or one that is written as an IPv4 address. */
static bool put_quad(const nn_codec *codec, const nn_field *field,
                     struct nl_msg *msg) {
  nn_field number = *field;
  number.kind = lua_type(codec->L, -1) == LUA_TSTRING ? NN_IP4 : NN_BE32;
  return number.kind == NN_IP4 ? put_any(codec, &number, msg)
                               : put_number(codec, &number, msg);
}

/* Changes the bits of a part in the attribute that has been written already, or
   appends one. */
static bool change_part(const nn_codec *codec, const nn_field *field, int type,
                        const nn_part *part, uint32_t value,
                        struct nl_msg *msg) {
  struct nlmsghdr *hdr = nlmsg_hdr(msg);
  struct nlattr *attr =
      nla_find((struct nlattr *)(void *)((char *)hdr + codec->start),
               (int)(hdr->nlmsg_len - codec->start), type);
  uint32_t words[2] = {0, 0};
  uint16_t word = 0;
  if (attr == NULL) {
    if (!put(codec, field, type, msg, words, part->size))
      return false;
    attr = nlmsg_tail(hdr);
    attr = (struct nlattr *)(void *)((char *)attr -
                                     NLA_ALIGN(NLA_HDRLEN + part->size));
  }
  for (uint32_t mask = part->mask; !(mask & 1); mask >>= 1)
    value <<= 1;
  if (part->size == 2) {
    const uint16_t mask =
        part->network ? htons((uint16_t)part->mask) : (uint16_t)part->mask;
    memcpy(&word, nla_data(attr), sizeof word);
    word &= (uint16_t)~mask;
    word |= part->network ? htons((uint16_t)value) : (uint16_t)value;
    memcpy(nla_data(attr), &word, sizeof word);
    return true;
  }
  const uint32_t mask = part->network ? htonl(part->mask) : part->mask;
  memcpy(words, nla_data(attr), part->size);
  words[0] = (words[0] & ~mask) | (part->network ? htonl(value) : value);
  words[1] |= mask;
  memcpy(nla_data(attr), words, part->size);
  return true;
}

static bool put_part(const nn_codec *codec, const nn_field *field,
                     struct nl_msg *msg) {
  const nn_part *part = field->detail;
  uint32_t max = part->mask;
  lua_Integer value;
  while (!(max & 1))
    max >>= 1;
  if (part->number) {
    if (!get_number(codec, field, 0, max, &value))
      return false;
  } else {
    value = nn_boolean(codec, field->name) ? max : 0;
  }
  return change_part(codec, field, field->type, part, (uint32_t)value, msg);
}

static bool put_value(const nn_codec *codec, const nn_field *field,
                      struct nl_msg *msg);

/* What makes it count, and then the value; false is that it does not count. */
static bool put_if(const nn_codec *codec, const nn_field *field,
                   struct nl_msg *msg) {
  const nn_if *this = field->detail;
  const bool none = lua_isboolean(codec->L, -1) && !lua_toboolean(codec->L, -1);
  return (none || put_value(codec, &this->field, msg)) &&
         change_part(codec, field, this->type, &this->part, none == this->unset,
                     msg);
}

static bool put_each(const nn_codec *codec, const nn_field *field,
                     struct nl_msg *msg) {
  for (const nn_field *each = field->detail; each->name != NULL; each++)
    if (!put_value(codec, each, msg))
      return false;
  return true;
}

/* A name or an index; false takes the link away, as a master. */
static bool put_link(const nn_codec *codec, const nn_field *field,
                     struct nl_msg *msg) {
  unsigned index = 0;
  int type = lua_type(codec->L, -1);
  if (type != LUA_TSTRING && type != LUA_TNUMBER &&
      !(type == LUA_TBOOLEAN && !lua_toboolean(codec->L, -1)))
    wrong_type(codec, field, "name, index or false");
  if (type != LUA_TBOOLEAN && (index = nn_link_index(codec, -1)) == 0)
    return refuse(codec, field, errno);
  return put_integer(codec, field, msg, index, 4);
}

static bool put_nest(const nn_codec *codec, const nn_field *field,
                     struct nl_msg *msg) {
  if (lua_type(codec->L, -1) != LUA_TTABLE)
    wrong_type(codec, field, "table");
  const nn_field *const fields[] = {field->detail, NULL};
  static const char *const none[] = {NULL};
  nn_fields_check(codec, lua_gettop(codec->L), fields, none);
  if (field->kind == NN_GROUP)
    return nn_fields_write(codec, field->detail, lua_gettop(codec->L), msg);
  nn_codec inner = *codec;
  inner.start = 0;
  inner.keys = false; /* a nest that is a key is one as a whole */
  struct nlattr *nest = nla_nest_start(msg, field->type);
  if (nest == NULL)
    return refuse(codec, field, EMSGSIZE);
  if (!nn_fields_write(&inner, field->detail, lua_gettop(codec->L), msg))
    return false;
  nla_nest_end(msg, nest);
  return true;
}

static bool put_struct(const nn_codec *codec, const nn_field *field,
                       struct nl_msg *msg) {
  unsigned char bytes[16] = {0};
  nn_codec inner = *codec;
  if (lua_type(codec->L, -1) != LUA_TTABLE)
    wrong_type(codec, field, "table");
  const nn_field *const fields[] = {field->detail, NULL};
  static const char *const none[] = {NULL};
  nn_fields_check(codec, lua_gettop(codec->L), fields, none);
  inner.keys = false;
  return nn_head_write(&inner, field->detail, lua_gettop(codec->L), msg,
                       bytes) &&
         put(codec, field, field->type, msg, bytes, struct_size(field->detail));
}

static bool put_list(const nn_codec *codec, const nn_field *field,
                     struct nl_msg *msg) {
  lua_State *L = codec->L;
  nn_field item = *(const nn_field *)field->detail;
  const bool places = item.type == 0;
  if (lua_type(L, -1) != LUA_TTABLE)
    wrong_type(codec, field, "table");
  item.name = field->name;
  struct nlattr *nest = nla_nest_start(msg, field->type);
  if (nest == NULL)
    return refuse(codec, field, EMSGSIZE);
  luaL_checkstack(L, 8, NULL);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    if (places)
      item.type = (uint16_t)(i - 1);
    if (!put_value(codec, &item, msg))
      return false;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  nla_nest_end_keep_empty(msg, nest);
  return true;
}

static bool put_value(const nn_codec *codec, const nn_field *field,
                      struct nl_msg *msg) {
  switch ((enum nn_kind)field->kind) {
  case NN_BOOL:
  case NN_BOOL32:
  case NN_FLAG:
    return put_boolean(codec, field, msg);
  case NN_TEXT:
  case NN_IFNAME:
  case NN_ALTNAME:
  case NN_HW:
  case NN_IP:
    return put_bytes(codec, field, msg);
  case NN_LINK:
    return put_link(codec, field, msg);
  case NN_NAME8:
  case NN_NAME16:
  case NN_NAME32:
    return put_named(codec, field, msg);
  case NN_RANGE16:
  case NN_RANGE32:
    return put_range(codec, field, msg);
  case NN_REALMS:
    return put_realms(codec, field, msg);
  case NN_WORDS:
    return put_words(codec, field, msg);
  case NN_DURATION:
    return put_seconds(codec, field, msg);
  case NN_NEST:
  case NN_GROUP:
    return put_nest(codec, field, msg);
  case NN_IP4:
  case NN_IP6:
    return put_any(codec, field, msg);
  case NN_QUAD:
    return put_quad(codec, field, msg);
  case NN_PART:
    return put_part(codec, field, msg);
  case NN_IF:
    return put_if(codec, field, msg);
  case NN_EACH:
    return put_each(codec, field, msg);
  case NN_LIST:
    return put_list(codec, field, msg);
  case NN_STRUCT:
    return put_struct(codec, field, msg);
  case NN_HEX:
    return put_digits(codec, field, msg);
  default:
    return put_number(codec, field, msg);
  }
}

/* A nest for fields of the same table, unless it has none of them. */
static bool put_inside(const nn_codec *codec, const nn_field *field, int table,
                       struct nl_msg *msg) {
  nn_codec inner = *codec;
  inner.start = 0;
  struct nlattr *nest = nla_nest_start(msg, field->type);
  if (nest == NULL)
    return refuse(codec, field, EMSGSIZE);
  if (!nn_fields_write(&inner, field->detail, table, msg))
    return false;
  nla_nest_end(msg, nest); /* or nothing, if it is empty */
  return true;
}

bool nn_fields_known(const nn_codec *codec, int table) {
  lua_State *L = codec->L;
  luaL_checkstack(L, 8, NULL);
  const int type = lua_getfield(L, table, "unknown");
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    return true;
  }
  if (type != LUA_TTABLE)
    nn_wrong_type(codec, "unknown", "table");
  lua_pushnil(L);
  if (lua_next(L, -2) == 0) {
    lua_pop(L, 1);
    return true;
  }
  nn_fail(L, EOPNOTSUPP, "%s: attribute %s, which is unknown", codec->what,
          luaL_tolstring(L, -2, NULL));
  return false;
}

/* Whether the field of that role has no part in what is written. */
static bool passed_over(const nn_codec *codec, const nn_field *field) {
  return field->kind == NN_OTHER || field->role == NN_STATE ||
         (codec->keys && field->role != NN_KEY);
}

bool nn_fields_write(const nn_codec *codec, const nn_field *fields, int table,
                     struct nl_msg *msg) {
  lua_State *L = codec->L;
  nn_codec here = *codec;
  if (here.start == 0)
    here.start = nlmsg_hdr(msg)->nlmsg_len;
  luaL_checkstack(L, 8, NULL);
  if (!codec->keys && !nn_fields_known(codec, table))
    return false;
  for (const nn_field *field = fields; field->name != NULL; field++) {
    if (passed_over(codec, field))
      continue;
    if (field->kind == NN_INSIDE) {
      if (!put_inside(codec, field, table, msg))
        return false;
      continue;
    }
    if (lua_getfield(L, table, field->name) != LUA_TNIL) {
      if (field->role == NN_SHOWN) {
        nn_fail(L, EOPNOTSUPP, "%s: %s, which can only be listed", codec->what,
                field->name);
        return false;
      }
      if (!put_value(&here, field, msg))
        return false;
    }
    lua_pop(L, 1);
  }
  return true;
}

bool nn_head_write(const nn_codec *codec, const nn_field *fields, int table,
                   struct nl_msg *msg, void *head) {
  lua_State *L = codec->L;
  struct nlmsghdr *hdr = nlmsg_hdr(msg);
  const uint32_t len = hdr->nlmsg_len;
  const struct nlattr *attr = nlmsg_tail(hdr);
  for (; fields->name != NULL; fields++) {
    if (passed_over(codec, fields))
      continue;
    if (lua_getfield(L, table, fields->name) != LUA_TNIL) {
      if (!put_value(codec, fields, msg))
        return false;
      memcpy((char *)head + fields->type, nla_data(attr),
             (size_t)nla_len(attr));
      hdr->nlmsg_len = len;
    }
    lua_pop(L, 1);
  }
  return true;
}

bool nn_fields_have(const nn_field *fields, const char *name) {
  for (; fields->name != NULL; fields++)
    if (fields->kind == NN_INSIDE
            ? nn_fields_have(fields->detail, name)
            : fields->kind != NN_OTHER && strcmp(fields->name, name) == 0)
      return true;
  return false;
}

/* Adds the names of the fields to the set on top. */
static void add_names(lua_State *L, const nn_field *fields) {
  for (; fields->name != NULL; fields++) {
    if (fields->kind == NN_INSIDE) {
      add_names(L, fields->detail);
    } else if (fields->kind != NN_OTHER) {
      lua_pushboolean(L, true);
      lua_setfield(L, -2, fields->name);
    }
  }
}

/* The error for the key at `key`, which is none of these. */
static void unknown_key(const nn_codec *codec, int key,
                        const nn_field *const *fields,
                        const char *const *others) {
  lua_State *L = codec->L;
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  for (; *others != NULL; others++) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, *others);
  }
  for (; *fields != NULL; fields++)
    add_names(L, *fields);
  nn_raise_key(L, codec->what, key, lua_gettop(L));
}

void nn_fields_check(const nn_codec *codec, int table,
                     const nn_field *const *fields, const char *const *others) {
  lua_State *L = codec->L;
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    bool known = key != NULL && strcmp(key, "unknown") == 0;
    for (const char *const *other = others; key && *other && !known; other++)
      known = strcmp(*other, key) == 0;
    for (const nn_field *const *list = fields; key && *list && !known; list++)
      known = nn_fields_have(*list, key);
    if (!known)
      unknown_key(codec, lua_gettop(L) - 1, fields, others);
    lua_pop(L, 1);
  }
}

/* --- filters ------------------------------------------------------------- */

/* Whether a row can be selected by such a field: those that are tables cannot
   be compared. */
static bool is_comparable(const nn_field *field) {
  switch ((enum nn_kind)field->kind) {
  case NN_NEST:
  case NN_INSIDE:
  case NN_GROUP:
  case NN_LIST:
  case NN_STRUCT:
  case NN_EACH:
  case NN_WORDS:
  case NN_OTHER:
    return false;
  default:
    return true;
  }
}

/* The field called `name` after *skip others of that name; NULL: there is none.
 */
static const nn_field *find_field(const nn_field *fields, const char *name,
                                  int *skip) {
  for (; fields->name != NULL; fields++) {
    const nn_field *found = NULL;
    if (fields->kind == NN_INSIDE)
      found = find_field(fields->detail, name, skip);
    else if (is_comparable(fields) && strcmp(fields->name, name) == 0 &&
             (*skip)-- == 0)
      found = fields;
    if (found != NULL)
      return found;
  }
  return NULL;
}

const nn_field *nn_fields_find(const nn_field *const *fields, const char *name,
                               int *skip) {
  const nn_field *found = NULL;
  while (found == NULL && *fields != NULL)
    found = find_field(*fields++, name, skip);
  return found;
}

static void check_type(const nn_codec *codec, const nn_field *field, int type,
                       const char *expected) {
  if (lua_type(codec->L, -1) != type)
    wrong_type(codec, field, expected);
}

/* The name of the link on top, as rows have it. A link that is not there is in
   no row. */
static bool spell_link(const nn_codec *codec, const nn_field *field) {
  lua_State *L = codec->L;
  const int type = lua_type(L, -1);
  unsigned index = 0;
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    wrong_type(codec, field, "name, index or false");
  if ((index = nn_link_index(codec, -1)) == 0 && errno != ENODEV)
    return refuse(codec, field, errno);
  if (index != 0)
    nn_link_push(codec, index);
  else
    lua_pushvalue(L, -1);
  return true;
}

/* A prefix as rows have it: without its length if that is all of it. */
static bool spell_prefix(const nn_codec *codec, const nn_field *field) {
  static const char *const words[] = {"default", "all", "any", NULL};
  lua_State *L = codec->L;
  nn_prefix prefix = {.len = 0};
  size_t len;
  int err = 0;
  check_type(codec, field, LUA_TSTRING, "string");
  const char *text = lua_tolstring(L, -1, &len);
  const char *const *word = words;
  while (*word != NULL && strcasecmp(*word, text) != 0)
    word++;
  if (*word == NULL)
    err = nn_parse_prefix(text, len, &prefix);
  if (err != 0)
    return refuse(codec, field, err);
  if (prefix.len == 0) {
    lua_pushstring(L, field->detail);
    return true;
  }
  push_ip(L, prefix.bytes, prefix.size);
  if (prefix.len < prefix.size * 8) {
    lua_pushfstring(L, "/%d", prefix.len);
    lua_concat(L, 2);
  }
  return true;
}

/* What the kernel would be sent for the value on top, read back. */
static bool spell_sent(const nn_codec *codec, const nn_field *field) {
  nn_codec here = *codec;
  struct nl_msg *msg = nn_msg_push(codec->L, 0, 0);
  here.start = nlmsg_hdr(msg)->nlmsg_len;
  lua_insert(codec->L, -2);
  if (!put_value(&here, field, msg))
    return false;
  push_value(&here, field, nlmsg_attrdata(nlmsg_hdr(msg), 0));
  return true;
}

/* Pushes the value that rows have, where a filter has the one on top. */
static bool spell_value(const nn_codec *codec, const nn_field *field) {
  lua_State *L = codec->L;
  const nn_if *conditional = field->detail;
  switch ((enum nn_kind)field->kind) {
  case NN_BOOL:
  case NN_FLAG:
    lua_pushboolean(L, nn_boolean(codec, field->name));
    return true;
  case NN_TEXT:
  case NN_IFNAME:
  case NN_ALTNAME:
  case NN_BRIDGE:
    check_type(codec, field, LUA_TSTRING, "string");
    lua_pushvalue(L, -1);
    return true;
  case NN_TIMER:
  case NN_NUMBER:
    check_type(codec, field, LUA_TNUMBER, "number");
    lua_pushvalue(L, -1);
    return true;
  case NN_LINK:
    return spell_link(codec, field);
  case NN_PREFIX:
    return spell_prefix(codec, field);
  case NN_IF:
    return spell_value(codec, &conditional->field);
#if LUA_VERSION_NUM < 503
  case NN_U64: /* one that a number cannot hold */
    if (lua_type(L, -1) == LUA_TSTRING) {
      lua_pushvalue(L, -1);
      return true;
    }
    return spell_sent(codec, field);
#endif
  default:
    return spell_sent(codec, field);
  }
}

nn_spelling nn_field_spell(const nn_codec *codec, const nn_field *field) {
  if (field == NULL)
    return NN_UNKNOWN;
  luaL_checkstack(codec->L, 8, NULL);
  if (lua_isboolean(codec->L, -1) && !lua_toboolean(codec->L, -1)) {
    lua_pushboolean(codec->L, false);
    return NN_SPELT;
  }
  return spell_value(codec, field) ? NN_SPELT : NN_REFUSED;
}

void nn_filter_names(lua_State *L, const nn_field *const *fields) {
  luaL_checkstack(L, 8, NULL);
  for (; *fields != NULL; fields++)
    for (const nn_field *field = *fields; field->name != NULL; field++) {
      if (field->kind == NN_INSIDE) {
        const nn_field *const inside[] = {field->detail, NULL};
        nn_filter_names(L, inside);
      } else if (is_comparable(field)) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, field->name);
      }
    }
}

/* The error for the key at `key`, which the filter does not know. */
static void unknown_filter_key(const nn_codec *codec, nn_speller *spell,
                               int key) {
  lua_newtable(codec->L);
  spell(codec, NULL, 0);
  nn_raise_key(codec->L, codec->what, key, lua_gettop(codec->L));
}

nn_spelling nn_fields_spell(const nn_codec *codec,
                            const nn_field *const *fields, const char *key,
                            int nth) {
  if (key == NULL) {
    nn_filter_names(codec->L, fields);
    return NN_UNKNOWN;
  }
  return nn_field_spell(codec, nn_fields_find(fields, key, &nth));
}

typedef struct filter_key {
  const nn_codec *codec;
  nn_speller *spell;
  const char *name;
  int nth;
  nn_spelling spelling;
} filter_key;

static int spell_protected(lua_State *L) {
  filter_key *key = lua_touserdata(L, 1);
  key->spelling = key->spell(key->codec, key->name, key->nth);
  return key->spelling == NN_SPELT ? 1 : key->spelling == NN_REFUSED ? 3 : 0;
}

/* Pushes an array of what the value on top, of the key below it, may be in
   rows. What is refused, or of a wrong type, in each way in which the key may
   be meant is so altogether: false after a triple, or a Lua error. */
static bool push_alternatives(const nn_codec *codec, nn_speller *spell) {
  lua_State *L = codec->L;
  const int value = lua_gettop(L), list = value + 1, problem = list + 1;
  lua_Integer count = 0;
  bool refused = false;
  filter_key key = {.codec = codec, .spell = spell};
  if (lua_type(L, value - 1) != LUA_TSTRING)
    unknown_filter_key(codec, spell, value - 1);
  key.name = lua_tostring(L, value - 1);
  lua_newtable(L);
  lua_settop(L, problem + 2); /* an error, or the triple */
  for (;; key.nth++) {
    key.spelling = NN_REFUSED;
    lua_pushcfunction(L, spell_protected);
    lua_pushlightuserdata(L, &key);
    lua_pushvalue(L, value);
    if (lua_pcall(L, 2, LUA_MULTRET, 0) != 0) {
      if (!refused)
        lua_replace(L, problem);
    } else if (key.spelling == NN_UNKNOWN) {
      break;
    } else if (key.spelling == NN_SPELT) {
      lua_rawseti(L, list, ++count);
    } else {
      for (int i = 2; i >= 0; i--)
        lua_replace(L, problem + i);
      refused = true;
    }
    lua_settop(L, problem + 2);
  }
  if (key.nth == 0)
    unknown_filter_key(codec, spell, value - 1);
  lua_settop(L, count > 0 ? list : refused ? problem + 2 : problem);
  if (count == 0 && !refused)
    nn_raise_again(L);
  return count > 0;
}

void nn_filter_copy(lua_State *L, int filter, const char *const *names) {
  nn_prefix prefix;
  size_t len;
  lua_newtable(L);
  const int copy = lua_gettop(L);
  if (lua_isnil(L, filter))
    return;
  lua_pushnil(L);
  while (lua_next(L, filter) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, copy);
  }
  for (; *names != NULL; names++) {
    if (lua_getfield(L, copy, "family") == LUA_TNIL &&
        lua_getfield(L, copy, *names) == LUA_TSTRING) {
      const char *text = lua_tolstring(L, -1, &len);
      if (nn_parse_prefix(text, len, &prefix) == 0) {
        lua_pushstring(L, prefix.family == AF_INET ? "inet" : "inet6");
        lua_setfield(L, copy, "family");
      }
    }
    lua_settop(L, copy);
  }
}

bool nn_filter_push(const nn_codec *codec, int filter, nn_speller *spell) {
  lua_State *L = codec->L;
  luaL_checkstack(L, 12, NULL);
  if (lua_isnil(L, filter)) {
    lua_pushnil(L);
    return true;
  }
  lua_newtable(L);
  const int result = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, filter) != 0) {
    if (!push_alternatives(codec, spell))
      return false;
    lua_pushvalue(L, -3);
    lua_insert(L, -2);
    lua_rawset(L, result);
    lua_pop(L, 1);
  }
  return true;
}

bool nn_field_put(const nn_codec *codec, const nn_field *field,
                  struct nl_msg *msg) {
  return put_value(codec, field, msg);
}

/* Whether the value on top is one of the array below it; false is also what is
   not there. */
static bool is_one_of(lua_State *L) {
  const int value = lua_gettop(L);
  bool same = false;
  for (lua_Integer i = 1;
       !same && lua_rawgeti(L, value - 1, i) != LUA_TNIL; i++)
    same = lua_rawequal(L, -1, value) ||
           (!lua_toboolean(L, -1) && !lua_toboolean(L, value));
  lua_settop(L, value);
  return same;
}

bool nn_filter_holds(const nn_codec *codec, int row, nn_speller *spell) {
  lua_State *L = codec->L;
  const int value = lua_gettop(L);
  bool holds = false;
  luaL_checkstack(L, 12, NULL);
  if (push_alternatives(codec, spell)) {
    lua_pushvalue(L, value - 1);
    lua_rawget(L, row);
    holds = is_one_of(L);
  }
  lua_settop(L, value);
  return holds;
}

/* Whether the row on top, which is taken away if not, has all that the filter
   at `filter` has. */
static bool matches(lua_State *L, int filter) {
  bool same = true;
  if (filter == 0 || lua_isnil(L, filter))
    return true;
  const int row = lua_gettop(L);
  lua_pushnil(L);
  while (same && lua_next(L, filter) != 0) {
    lua_pushvalue(L, -2);
    lua_rawget(L, row);
    same = is_one_of(L);
    lua_pop(L, 2);
  }
  lua_settop(L, same ? row : row - 1);
  return same;
}

/* --- requests ------------------------------------------------------------ */

/* Leaves the array of the dump on top; returns ack->err. */
static int dump_once(const nn_codec *codec, struct nl_msg *msg, nn_push *push,
                     int filter, nn_ack *ack) {
  lua_State *L = codec->L;
  const struct nlmsghdr *answer;
  lua_Integer count = 0;
  lua_newtable(L);
  const int list = lua_gettop(L);
  *ack = (nn_ack){.err = nn_rtnl_send(codec->rtnl, nlmsg_hdr(msg))};
  while (ack->err == 0 && (answer = nn_rtnl_next(codec->rtnl, ack)) != NULL) {
    if (push(codec, answer) && matches(L, filter))
      lua_rawseti(L, list, ++count);
    lua_settop(L, list);
  }
  return nn_rtnl_verdict(codec->rtnl, ack);
}

int nn_dump_list(const nn_codec *codec, struct nl_msg *msg, nn_push *push,
                 int filter, nn_ack *ack) {
  const int top = lua_gettop(codec->L);
  const int64_t deadline = nn_deadline(PATIENCE);
  while (dump_once(codec, msg, push, filter, ack) == 0 &&
         codec->rtnl->interrupted) {
    lua_settop(codec->L, top);
    if (nn_remaining(deadline) == 0)
      *ack = (nn_ack){EAGAIN, "it changed whenever it was read"};
    if (ack->err != 0)
      break;
  }
  return ack->err;
}

int nn_dump(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg, nn_push *push,
            int filter) {
  nn_ack ack;
  int err = nn_dump_list(codec, msg, push, filter, &ack);
  nn_ns_done(ns);
  if (err != 0)
    return nn_rtnl_fail(codec->L, &ack, "%s %s", codec->what,
                        nn_ns_label(codec->L, 1));
  return 1;
}

int nn_change(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg,
              const char *subject) {
  nn_ack ack;
  int err = nn_rtnl_change(codec->rtnl, nlmsg_hdr(msg), &ack);
  nn_ns_done(ns);
  if (err != 0)
    return nn_rtnl_fail(codec->L, &ack, "%s %s: %s", codec->what,
                        nn_ns_label(codec->L, 1), subject);
  lua_pushboolean(codec->L, true);
  return 1;
}
