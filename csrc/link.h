/* link.h - the fields of links: link_fields.c. */
#ifndef NETNS_LINK_H
#define NETNS_LINK_H

#include "fields.h"

extern const nn_field nn_link_fields[];         /* of every link */
const nn_field *nn_link_kind(const char *kind); /* of one kind; NULL: unknown */
const nn_field *nn_port_kind(const char *kind); /* of what has such a master */

#endif
