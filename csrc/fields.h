/* fields.h - kernel objects as tables of fields: each attribute is described
   once, for reading and for writing. */
#ifndef NETNS_FIELDS_H
#define NETNS_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "netns.h"

struct nl_msg;
struct nlattr;

/* What the payload of an attribute is, and the Lua value of it. */
enum nn_kind {
  NN_U8, /* integers of the host's byte order */
  NN_U16,
  NN_U32,
  NN_U64,
  NN_S32,
  NN_S64,
  NN_BE16, /* of the network's: a port */
  NN_BE32,
  NN_BE64,
  NN_BOOL,   /* an u8 of 0 or 1: boolean; with a `detail`, false is not written
              */
  NN_BOOL32, /* an u32 of 0 or 1, which are taken, too: boolean */
  NN_FLAG,   /* nothing, but there or not: boolean */
  NN_TEXT,   /* a string */
  NN_IFNAME, /* the name of a link: 1 to 15 bytes, no slash, colon or space */
  NN_ALTNAME, /* an alternative one: 1 to 127 bytes, the same */
  NN_HW,     /* a hardware address: "52:54:00:12:34:56"; of 4 or 16
                bytes, as tunnels have, it is an IP address */
  NN_IP,     /* of 4 or 16 bytes: "192.0.2.1"; for the latter, `detail` may be
                another type of attribute */
  NN_IP4,    /* of 4 bytes; "any" for zeros */
  NN_IP6,    /* of 16 bytes; "any" for zeros */
  NN_QUAD,   /* an u32 of the network's order: "0.0.0.7", or the integer 7 */
  NN_LINK,   /* an u32, the index of a link: its name */
  NN_NAME8,  /* integers with names: `detail` is an array of them */
  NN_NAME16,
  NN_NAME32,
  NN_RANGE16, /* two integers: 80 if they are equal, else "1000-2000" */
  NN_RANGE32,
  NN_REALMS, /* an u32 of two realms: 3, or with that of the source "1/3" */
  NN_WORDS,  /* an u32 of bits: an array of their names, as of NN_NAME32 */
  NN_NEST,   /* `detail` are the fields of a table */
  NN_INSIDE, /* a nest, but its fields are of the same table */
  NN_GROUP,  /* no nest, but its fields are of a table of their own, which is
                there if this attribute is not 0 */
  NN_LIST,   /* a nest: an array of what the field in `detail` tells; their
                types are their places if that has none */
  NN_STRUCT, /* `detail` are the fields of a struct, as for nn_head_read */
  NN_PART,   /* some bits of an integer, one of several fields: nn_part */
  NN_IF,     /* counts only if another attribute says so: nn_if */
  NN_EACH,   /* written only: a value for each of the fields in `detail` */
  NN_TIMER,  /* an u64 of hundredths: seconds */
  NN_HEX,    /* 8 bytes: "0xf7ffffff000000ff" */
  NN_NUMBER, /* of filters only: not an integer */
  NN_PREFIX, /* of filters only: an address or prefix; `detail` is the word of
                rows for the one that every address has */
  NN_DURATION, /* an u32, `detail` of which are a second: seconds, or a text
                 with a unit */
  NN_BRIDGE, /* the id of a bridge: "8000.52:54:0:12:34:56" */
  NN_OTHER   /* read and written by the caller, or shown by another attribute:
                no field, and not listed as unknown */
};

/* What a field is to its object (API.md, "What a list shows can be given
   back"). */
enum nn_role {
  NN_SETTING,
  NN_KEY,   /* which object it is: a deletion writes it too */
  NN_STATE, /* the kernel's: listed, and passed over when it is given back */
  NN_SHOWN  /* a setting that is listed and cannot be written: refused when it
               is given back, except for a deletion */
};

/* A name of a value; the array ends with one without text. */
typedef struct nn_name {
  const char *text;
  uint32_t value;
} nn_name;

extern const nn_name nn_families[];  /* inet, inet6 */
extern const nn_name nn_tables[];    /* those that every kernel has */
extern const nn_name nn_protocols[]; /* who made it: iproute2's rt_protos */

typedef struct nn_field {
  const char *name;
  uint16_t type; /* of the attribute */
  uint8_t kind;
  uint8_t role; /* enum nn_role */
  const void *detail;
} nn_field;

/* The bits of `mask` in an integer. */
typedef struct nn_part {
  uint8_t size; /* bytes of it: 2 or 4; 8: an u32, then the mask of the bits
                   that are meant */
  bool network; /* of the network's byte order */
  bool number;  /* their value, not a boolean */
  uint32_t mask;
} nn_part;

/* A field that counts if a bit of another attribute is set (or is not): writing
   it sees to that, and so does false. */
typedef struct nn_if {
  nn_field field;
  uint16_t type; /* of the other attribute */
  bool unset;
  nn_part part;
} nn_if;

/* What is needed besides: the socket of the namespace, which also knows the
   names of links. */
typedef struct nn_codec {
  lua_State *L;
  nn_rtnl *rtnl;
  const char *what; /* what messages begin with */
  bool plain;       /* no hardware address is that of a tunnel's end */
  bool foreign;     /* links are of another namespace: indexes, no names */
  bool partial;     /* the fields are some of the attributes; the others are not
                       unknown */
  bool keys;        /* only the fields that are keys are written */
  uint16_t within;  /* the attribute of the table that these attributes are in;
                       0: they are attributes of the table */
  uint32_t start;   /* bytes of the message before these attributes, if some
                       have been written already, else 0 */
} nn_codec;

/* For the NS at the first argument, which ends with nn_ns_done. NULL after
   pushing nil, message, errno. */
nn_ns *nn_codec_open(lua_State *L, const char *what, nn_codec *codec);
/* The same over another protocol of netlink than that of routes. */
nn_ns *nn_codec_open_by(lua_State *L, const char *what, int protocol,
                        nn_codec *codec);

/* No attribute that is described has a type above this. */
#define NN_TYPE_MAX 127
/* Sets a field of the table on top for each attribute that is described, by
   fields that are static, as their address is remembered; all others become
   `unknown` of the table, { [type] = hex }, unless the codec is partial. Of
   several attributes of one type the last is read, the others are unknown. What
   is unknown in a nest whose fields are of the same table is listed by the type
   of the nest, as the attributes with their heads. The second takes the
   attributes parsed, by types up to NN_TYPE_MAX. */
void nn_fields_read(const nn_codec *codec, const nn_field *fields,
                    const struct nlattr *attrs, int len);
void nn_fields_push(const nn_codec *codec, const nn_field *fields,
                    struct nlattr *const *attrs);
/* The same for fields that are some of the attributes. */
void nn_fields_pick(const nn_codec *codec, const nn_field *fields,
                    const struct nlattr *attrs, int len);
/* Appends an attribute for each field that the table at `table` has, by their
   roles. False after pushing nil, message, errno, if a value is not understood
   or cannot be written (`unknown`, NN_SHOWN); a Lua error if one is of a wrong
   type. */
bool nn_fields_write(const nn_codec *codec, const nn_field *fields, int table,
                     struct nl_msg *msg);
/* Appends the value on top as the attribute of a field, whatever its role; false
   after nil, message, errno. */
bool nn_field_put(const nn_codec *codec, const nn_field *field,
                  struct nl_msg *msg);
/* The same for fields in a message's head, or another struct: `type` is their
   offset in it. Writing passes through the end of `msg`, which stays as it was;
   what the table lacks is left alone. */
void nn_head_read(const nn_codec *codec, const nn_field *fields,
                  const void *head);
bool nn_head_write(const nn_codec *codec, const nn_field *fields, int table,
                   struct nl_msg *msg, void *head);
/* A Lua error, if the table has a key that is none of the fields' names, nor
   one of `others`, which ends with NULL, nor `unknown`. */
void nn_fields_check(const nn_codec *codec, int table,
                     const nn_field *const *fields, const char *const *others);

/* Adds an attribute to `unknown` of the table on top. */
void nn_fields_unknown(const nn_codec *codec, const struct nlattr *attr);
/* Whether the table lists no attribute as `unknown`; false after pushing nil,
   message, errno. */
bool nn_fields_known(const nn_codec *codec, int table);
/* Whether one of the fields is called so. */
bool nn_fields_have(const nn_field *fields, const char *name);

/* nil, message, errno for the value of a field that is of the right type;
   always false. */
bool nn_refuse(const nn_codec *codec, int err, const char *name,
               const char *value);
/* A Lua error for the value on top, which is of a wrong one. */
int nn_wrong_type(const nn_codec *codec, const char *name,
                  const char *expected);
/* The boolean on top, for which 0 and 1 do, too; it is the field `name`. */
bool nn_boolean(const nn_codec *codec, const char *name);
/* The boolean that is the field `name`; nil is false. */
bool nn_flag_get(const nn_codec *codec, int table, const char *name);

/* A filter is a table of values as they are written, which nn_filter_push turns
   into one of the values that rows have. */
typedef enum nn_spelling { NN_UNKNOWN, NN_SPELT, NN_REFUSED } nn_spelling;
/* For the value on top, which a filter has for `key`: pushes the value that rows
   have there (NN_SPELT), or nil, message, errno for one that cannot be. `nth`
   counts from 0 the ways in which the key may be meant, as fields of different
   kinds of links have the same name, up to the first that is not known. A Lua
   error if the value is of a wrong type. For the key NULL: adds the names of all
   keys to the set on top. */
typedef nn_spelling nn_speller(const nn_codec *codec, const char *key, int nth);
/* The same for a field, NULL for one that is unknown. */
nn_spelling nn_field_spell(const nn_codec *codec, const nn_field *field);
/* All of that for the fields in these arrays, which end with NULL. */
nn_spelling nn_fields_spell(const nn_codec *codec,
                            const nn_field *const *fields, const char *key,
                            int nth);
/* Adds the names of these fields, but for those that are tables, to the set on
   top. */
void nn_filter_names(lua_State *L, const nn_field *const *fields);
/* The field called `name` in these arrays, after *skip
   others of that name; those that are tables do not count. NULL, and less to
   skip, if there is none. */
const nn_field *nn_fields_find(const nn_field *const *fields, const char *name,
                               int *skip);
/* Pushes a copy of the filter at `filter`, an empty table for nil, to which it
   adds the family of the prefixes that it has under these names, which end with
   NULL, unless it has one. */
void nn_filter_copy(lua_State *L, int filter, const char *const *names);
/* Pushes what nn_dump takes for the filter at `filter`, a table or nil; false
   after nil, message, errno. A Lua error for an unknown key or a wrong type. */
bool nn_filter_push(const nn_codec *codec, int filter, nn_speller *spell);
/* Whether the row at `row` has what a filter has, of which a key and its value
   are on top; what can be in no row is not there. */
bool nn_filter_holds(const nn_codec *codec, int row, nn_speller *spell);

/* Pushes the table that a message of a dump tells; false, and nothing pushed,
   for one to pass over. */
typedef bool nn_push(const nn_codec *codec, const struct nlmsghdr *msg);
/* Sends `msg`, which asks for a dump, and pushes an array of the tables, those
   whose fields are equal to those of the filter at `filter` (nn_filter_push;
   false is also what is not there), or all of them for nil or 0. A dump that a change
   interrupts is asked for again, but not for ever: EAGAIN. Returns ack->err. */
int nn_dump_list(const nn_codec *codec, struct nl_msg *msg, nn_push *push,
                 int filter, nn_ack *ack);
/* The results of a Lua function that does so: the array, or nil, message,
   errno. Ends with nn_ns_done. */
int nn_dump(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg, nn_push *push,
            int filter);
/* The same for a change: true, or nil, message, errno about the `subject`. */
int nn_change(const nn_codec *codec, nn_ns *ns, struct nl_msg *msg,
              const char *subject);

/* The table that a message tells, for their events: link.c, addr.c, route.c */
nn_push nn_push_link, nn_push_addr, nn_push_route;

/* The bytes of an IP address, 4 or 16; 0 if it is none. */
int nn_parse_ip(const char *text, unsigned char *bytes);

/* An IP address and the length of its prefix: addr.c. */
typedef struct nn_prefix {
  unsigned char bytes[16];
  int family; /* AF_INET or AF_INET6 */
  int size;   /* of the address: 4 or 16 */
  int len;    /* 0 to 32 or 128 */
} nn_prefix;

/* Parses "192.0.2.1/24"; without a length it is 32 or 128. 0, EINVAL, or ERANGE
   for a length that is too large. */
int nn_parse_prefix(const char *text, size_t size, nn_prefix *prefix);

/* The index of the link that the value at `arg` (a name, an alternative name or
   an index) tells; 0 and errno if there is none. */
unsigned nn_link_index(const nn_codec *codec, int arg);
/* The request for that link, which asks over the socket of rtnetlink; NULL and
   errno if no link can be called so. */
struct nl_msg *nn_link_request(const nn_codec *codec, int arg);
/* Pushes the name of a link, or its index if it has none here. */
void nn_link_push(const nn_codec *codec, unsigned index);

#endif
