/* spawn.h - a program: what is prepared for it before the clone, for a child
   that shares our memory and so must not allocate, lock, or touch Lua; and what
   is known of it afterwards. */
#ifndef NETNS_SPAWN_H
#define NETNS_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netns.h"

typedef struct nn_bind {
  const char *source, *target;
  const char *complaint; /* what is said on stderr before the reason */
} nn_bind;

/* Where a child failed; step_text in spawn.c says it in words. */
enum nn_step {
  NN_STEP_CLONE,
  NN_STEP_ETC,
  NN_STEP_KEEPER,
  NN_STEP_GROUP,
  NN_STEP_LIFELINE,
  NN_STEP_STREAMS,
  NN_STEP_CLOSE,
  NN_STEP_VRF,
  NN_STEP_ENTER,
  NN_STEP_UNSHARE,
  NN_STEP_PROPAGATION,
  NN_STEP_SYSFS,
  NN_STEP_TEMPLATE,
  NN_STEP_KEEP,
  NN_STEP_CWD,
  NN_STEP_EXEC
};

/* The process group of a program. */
enum nn_group {
  NN_GROUP_OWN,
  NN_GROUP_CALLER, /* the program in the foreground of a terminal */
  NN_GROUP_SESSION /* a session of its own: no terminal, no lifeline */
};

typedef struct nn_job {
  int ns;                /* the network namespace */
  int keeper;            /* whose PID namespace it is to be in; -1: none */
  bool mounts;           /* a mount namespace of its own, /sys, /etc */
  int template, root;    /* or a copy of this one; -1: none */
  const char *label;     /* the source that /sys is shown to come from */
  const char *vrf;       /* the cgroup.procs to join first, or NULL */
  const nn_bind *binds;  /* up to one without source */
  int streams[3];        /* what becomes 0, 1 and 2, one after the other */
  const char *base;      /* the working directory to return to, or NULL */
  const char *cwd;       /* the one to change to then, or NULL */
  const char **programs; /* the paths to try, NULL after the last */
  char **argv;           /* of the program */
  char **shell;          /* for a script without #!: sh, <path>, arguments */
  char **env;
  enum nn_group group;
  int lifeline[2]; /* -1: none */

  /* What the child leaves behind in our memory. */
  int kept[2]; /* a template and its root, of nn_template_child */
  int step;    /* where it failed, if err is not 0 */
  int err;
} nn_job;

/* What runs in a child, on a stack that a sanitizer does not know. */
#define CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

/* spawn.c: runs `child` in a process that shares our memory, and with `flags`
   more, until it ends. It is of no kind that wait(2) or SIGCHLD tell the host
   of. Its wait status (0 if another thread has taken it), or -1 and errno. */
int nn_helper(int (*child)(void *), void *arg, int flags);

/* child.c: these run in the child, as clone(2) calls them. The first never
   returns, the second makes a template and ends. */
int nn_child(void *job);
int nn_template_child(void *job);
void nn_reset_signals(void); /* for others that are on their way to exec */

/* spawn.c: prepares a child and runs it. */
extern char **environ;
/* The array of strings at the top, which keeps them, with `extra` places free
   before them; and the paths where `program` may be, as execvp(3) looks for it
   (`path`: as PATH has it, or NULL). They live as long as their place on the
   Lua stack. */
char **nn_push_strings(lua_State *L, size_t extra);
const char **nn_push_programs(lua_State *L, const char *program,
                              const char *path);
/* A stack for a child: a mapping of its own, with a page below that nobody may
   touch, since the thread's own may be small. */
typedef struct nn_stack {
  char *base, *top;
  size_t size;
} nn_stack;

int nn_stack_map(nn_stack *stack); /* 0 or an errno */
void nn_stack_unmap(const nn_stack *stack);
/* Runs `child` with all signals blocked, which it resets. Its process id, or -1
   and errno. Returns when it has executed a program or is gone. */
int nn_start(int (*child)(void *), void *job, int flags, int *pidfd);

/* keeper.c: the descriptor of the keeper at `arg`; -1 for nil. */
int nn_keeper_fd(lua_State *L, int arg);

/* lifeline.c: the two ends of a pipe, which nobody but this process holds. When
   it ends, in whatever way, the kernel closes one of them first, and sends
   SIGKILL to the owner of the other: the program, and all that is in its
   process group. It asks neither for credentials that the program has changed,
   nor which thread has started it, as PR_SET_PDEATHSIG would. */
int nn_lifeline_open(int line[2]);                /* 0 or an errno */
bool nn_lifeline_tie(const int line[2], int who); /* as F_SETOWN takes it */
/* Lets the program live on: for the process that has opened it only, since a
   forked child has but a copy. */
void nn_lifeline_cut(int line[2]);
void nn_lifeline_close(int line[2]); /* ends it, if nobody has a copy */

/* process.c: a program that was started */

#ifndef P_PIDFD /* glibc has it in an enumeration, musl not yet */
#define P_PIDFD 3
#endif

typedef struct nn_buffer {
  char *data;
  size_t length, size;
} nn_buffer;

typedef struct nn_process {
  int pidfd; /* -1 when closed */
  pid_t pid, starter;
  enum nn_group group;
  bool doomed; /* its group is being ended */
  int lifeline[2];

  bool ended, exited; /* exited: not killed by a signal */
  int code;           /* the exit status, or the number of the signal */
  int lost;           /* an errno: neither is known, or output is lost */

  int streams[3];      /* our ends of its pipes; -1: none, or given away */
  int theirs[3];       /* the other ends, until it is started */
  int64_t patience;    /* when it has ended: how long we wait for more output */
  const char *input;   /* what is still to be fed */
  size_t left;         /* how much of it */
  nn_buffer output[2]; /* what 1 and 2 have given */
} nn_process;

nn_process *nn_process_push(lua_State *L);           /* a closed one */
nn_process *nn_process_check(lua_State *L, int arg); /* or a Lua error */
void nn_process_close(nn_process *process);
/* To the program, or to all of its process group if that is its own; 0 or an
   errno: ECHILD for a forked child of the host. */
int nn_process_signal(nn_process *process, int signal, bool group);
/* Takes the status of a process that has ended, whoever has reaped it. */
void nn_process_reap(nn_process *process);
/* These add to the module, the table on top. */
void nn_open_process(lua_State *L);
void nn_open_await(lua_State *L);  /* await.c */
void nn_open_keeper(lua_State *L); /* keeper.c */
void nn_open_log(lua_State *L);    /* log.c */

/* stream.c: standard streams */

/* Opens what the program's `fd` is to be, by the value on top of the stack, as
   core.spawn has it: *source is what the child makes it of. 0 or an errno; the
   process holds what was opened. */
int nn_stream_open(lua_State *L, nn_process *process, int fd, int *source);
/* Makes a Lua file of the descriptor, which is its own from then on. 0, or an
   errno with the descriptor closed and nothing pushed. */
int nn_file_push(lua_State *L, int fd, bool writes);
/* write(2) without SIGPIPE. */
ssize_t nn_write(int fd, const void *data, size_t length);

#endif
