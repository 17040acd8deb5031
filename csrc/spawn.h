/* spawn.h - what is prepared before a clone, for a child that shares our
   memory and so must not allocate, lock, or touch Lua. */
#ifndef NETNS_SPAWN_H
#define NETNS_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct nn_bind {
  const char *source, *target;
  const char *complaint; /* what is said on stderr before the reason */
} nn_bind;

/* Where a child failed; step_text in spawn.c says it in words. */
enum nn_step {
  NN_STEP_CLONE,
  NN_STEP_CLOSE,
  NN_STEP_VRF,
  NN_STEP_ENTER,
  NN_STEP_UNSHARE,
  NN_STEP_PROPAGATION,
  NN_STEP_SYSFS,
  NN_STEP_EXEC
};

typedef struct nn_job {
  int ns;                /* the network namespace */
  bool mounts;           /* a mount namespace of its own, /sys, /etc */
  const char *label;     /* the source that /sys is shown to come from */
  const char *vrf;       /* the cgroup.procs to join first, or NULL */
  const nn_bind *binds;  /* up to one without source */
  const char **programs; /* the paths to try, NULL after the last */
  char **argv;           /* of the program */
  char **shell;          /* for a script without #!: sh, <path>, arguments */
  char **env;
  int parent; /* the process that the child must not outlive */
  int report; /* the pipe for {step, errno}, closed by exec */
} nn_job;

/* What the child reports when it fails. */
typedef struct nn_report {
  int step, err;
} nn_report;

/* child.c: runs in the child, as clone(2) calls it; never returns. */
int nn_child(void *job);

#endif
