/* link.h - the fields of links: link_fields.c. */
#ifndef NETNS_LINK_H
#define NETNS_LINK_H

#include "fields.h"

typedef struct nn_link_type {
  const char *name;
  const nn_field *fields;
  bool whole; /* the kernel takes what a change does not mention for 0 */
} nn_link_type;

extern const nn_field nn_link_fields[];             /* of every link */
extern const nn_field nn_link_families[];           /* and in IFLA_AF_SPEC */
extern const nn_field nn_link_head[];               /* of struct ifinfomsg */
const nn_link_type *nn_link_kind(const char *name); /* NULL: unknown */
const nn_link_type *
nn_port_kind(const char *name); /* of what has such a master */
/* Adds the names of fields that a link of some kind has, but for those that are
   tables, to the set on top. */
void nn_link_names(lua_State *L);
/* The nth field, from 0, that links of some kind have under a name, and that is
   no table; NULL: there are not so many. */
const nn_field *nn_link_field(const char *name, int nth);
const nn_field *nn_port_field(const char *name, int nth); /* of its port */
/* Appends the alternative names in the array on top; false after nil, message,
   errno. */
bool nn_link_put_altnames(const nn_codec *codec, struct nl_msg *msg);

#endif
