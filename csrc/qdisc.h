/* qdisc.h - the options of queues and their classes: qdisc_kinds.c. */
#ifndef NETNS_QDISC_H
#define NETNS_QDISC_H

#include <stdbool.h>

#include "fields.h"

/* What the value of an option is, in Lua and in `double`. */
typedef enum nn_unit {
  NN_SECONDS,
  NN_BITS,      /* a second */
  NN_SOME_BITS, /* at least one byte a second */
  NN_BYTES,
  NN_FRACTIONS,
  NN_COUNT,
  NN_ON,           /* boolean */
  NN_DISTRIBUTION, /* a string: one of those below */
  NN_MINOR         /* of a class, as `tc` has it: "0x10" */
} nn_unit;

enum { NN_UNIFORM, NN_NORMAL };

typedef struct nn_option {
  const char *name;
  nn_unit unit;
  bool required;
} nn_option;

#define NN_OPTIONS 16 /* of one kind, at most */

/* A kind of queue, or of its classes. Values are in the order of the options,
   in plain units; NAN for what is not there. */
typedef struct nn_queue {
  const char *kind;
  const nn_option *options; /* ends with one without a name */
  const nn_field *fields;   /* the attributes in TCA_OPTIONS: settings that are
                               no options, and as NN_OTHER those that are */
  int head;                 /* bytes of TCA_OPTIONS before them */
  /* What is wrong with values that are good one by one; NULL: nothing. */
  const char *(*problem)(const double *values);
  /* Appends the payload of TCA_OPTIONS. */
  void (*write)(const double *values, struct nl_msg *msg);
  /* The type of the attribute in TCA_OPTIONS that has more than the options
     tell; 0: none. */
  int (*read)(const struct nlattr *options, double *values);
} nn_queue;

/* They end with one without a kind. */
extern const nn_queue nn_qdisc_kinds[], nn_class_kinds[];
extern const nn_queue nn_plain_queue; /* of a kind that is none of them */
const nn_queue *nn_queue_kind(const nn_queue *kinds,
                              const char *kind); /* NULL: unknown */
/* Whether Linux has queues of that kind; pushes the kind that was probably meant
   if not, or nil. */
bool nn_queue_exists(lua_State *L, const char *kind);
/* The value that is read where this one was written. */
double nn_unit_round(nn_unit unit, double value);

#endif
