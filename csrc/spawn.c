/* spawn.c - starts a program in a namespace: everything that is prepared for
   the child, and the clone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"
#include "spawn.h"

#define STACK 32768

static const char *step_text(int step) {
  switch (step) {
  case NN_STEP_KEEPER:
    return "cannot join the programs of the topology";
  case NN_STEP_LIFELINE:
    return "cannot tie the program to this process";
  case NN_STEP_STREAMS:
    return "cannot set up the standard streams";
  case NN_STEP_CLOSE:
    return "cannot close descriptors";
  case NN_STEP_VRF:
    return "cannot leave the VRF";
  case NN_STEP_ENTER:
    return "cannot enter the network namespace";
  case NN_STEP_UNSHARE:
    return "cannot make a mount namespace";
  case NN_STEP_PROPAGATION:
    return "cannot make / a slave mount";
  case NN_STEP_SYSFS:
    return "cannot mount /sys";
  case NN_STEP_TEMPLATE:
    return "cannot copy the shared mount namespace";
  case NN_STEP_KEEP:
    return "cannot keep the shared mount namespace";
  case NN_STEP_CWD:
    return "cannot change the directory to";
  default:
    return "cannot start a process";
  }
}

/* What to do for a step that fails with this errno for one reason; "" if there
   are several. */
static const char *step_advice(int step, int err) {
  if (err == EINVAL && step == NN_STEP_PROPAGATION)
    return " (the root directory is not a mount point, as in a chroot: before "
           "the chroot, bind the directory to itself with mount --bind; or "
           "give mounts = false)";
  if (err == EINVAL && step == NN_STEP_CLONE)
    return " (qemu-user does not emulate clone(2) with CLONE_PIDFD: run this "
           "program on a machine of its architecture, or in an emulated one)";
  return "";
}

/* Memory that lives as long as its place on the Lua stack. */
static void *alloc(lua_State *L, size_t count, size_t size) {
  return memset(lua_newuserdata(L, count * size), 0, count * size);
}

char **nn_push_strings(lua_State *L, size_t extra) {
  int array = lua_gettop(L);
  size_t count = lua_rawlen(L, array);
  char **strings = alloc(L, count + extra + 1, sizeof *strings);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, array, (lua_Integer)i + 1);
    strings[i + extra] = (char *)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return strings;
}

const char **nn_push_programs(lua_State *L, const char *program,
                              const char *path) {
  size_t count = 1, i = 0;
  if (path == NULL)
    path = secure_getenv("PATH"); /* not that of who starts a set-uid host */
  if (path == NULL)
    path = "/bin:/usr/bin";
  if (strchr(program, '/') != NULL || program[0] == '\0')
    path = NULL; /* no search */
  for (const char *c = path; c != NULL && *c != '\0'; c++)
    count += *c == ':';
  const char **programs = alloc(L, count + 1, sizeof *programs);
  luaL_checkstack(L, (int)count + 8, "PATH is too long");
  if (path == NULL) {
    programs[0] = program;
    return programs;
  }
  for (const char *dir = path;; dir++) {
    size_t len = strcspn(dir, ":");
    lua_pushlstring(L, dir, len);
    programs[i++] = lua_pushfstring(L, "%s%s%s", lua_tostring(L, -1),
                                    len > 0 ? "/" : "", program);
    lua_remove(L, -2);
    dir += len;
    if (*dir == '\0')
      return programs;
  }
}

/* What /etc/netns/NAME has to be bound over /etc. */
static const nn_bind *push_binds(lua_State *L, const char *name) {
  nn_dir *dir = nn_dir_push(L);
  const char *etc = lua_pushfstring(L, NN_ETC_DIR "/%s", name);
  if (name[0] != '\0')
    nn_dir_read(dir, etc); /* not there: nothing to bind */
  nn_bind *binds = alloc(L, dir->count + 1, sizeof *binds);
  luaL_checkstack(L, (int)dir->count * 3 + 8, "too many files to bind");
  for (size_t i = 0; i < dir->count; i++) {
    binds[i].source = lua_pushfstring(L, "%s/%s", etc, dir->names[i]);
    binds[i].target = lua_pushfstring(L, "/etc/%s", dir->names[i]);
    binds[i].complaint = lua_pushfstring(
        L, "Bind %s -> %s failed: ", binds[i].source, binds[i].target);
  }
  nn_dir_close(dir);
  return binds;
}

/* A field of the table at `job`; NULL if it is not there. */
static const char *string_field(lua_State *L, int job, const char *name) {
  lua_getfield(L, job, name);
  const char *value = lua_tostring(L, -1);
  lua_pop(L, 1); /* the table keeps it */
  return value;
}

static bool flag_field(lua_State *L, int job, const char *name) {
  lua_getfield(L, job, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* --- the clone ----------------------------------------------------------- */

int nn_start(int (*child)(void *), void *job, int flags, int *pidfd) {
  char stack[STACK] __attribute__((aligned(16)));
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | flags,
                  job, pidfd);
  int err = errno;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = err;
  return pid;
}

/* The wait(2) status of a child that no kind of wait but ours knows; -1 and
   errno if there is none. */
static int reap_helper(int pid) {
  int status = 0;
  while (pid >= 0 && waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
    ;
  return pid < 0 ? -1 : status;
}

int nn_helper(int (*child)(void *), void *arg, int flags) {
  return reap_helper(nn_start(child, arg, flags, NULL));
}

/* How to start a child in the PID namespace of a keeper. */
typedef struct kept_job {
  int (*child)(void *);
  nn_job *job;
  int flags, *pidfd;
  char *stack; /* the end of one for the child */
  int pid;     /* of it; -1 with job->err */
} kept_job;

/* Runs in between. What it starts is no child of its own, but of the host, whom
   it shares its descriptors with, to leave the pidfd. */
CHILD static int go_between(void *arg) {
  kept_job *self = arg;
  nn_job *job = self->job;
  job->step = NN_STEP_KEEPER;
  if (setns(job->keeper, CLONE_NEWPID) == 0) {
    job->step = NN_STEP_CLONE;
    self->pid = clone(self->child, self->stack,
                      CLONE_VM | CLONE_VFORK | CLONE_PARENT | self->flags, job,
                      self->pidfd);
  }
  if (self->pid < 0)
    job->err = errno;
  _exit(0);
}

/* As nn_start, for a job whose child begins in the PID namespace of its keeper.
   A thread that has its children begin there cannot have them back here, if
   this is a user namespace which does not own ours: so it is not for a thread
   of the host to do. */
static int start_kept(int (*child)(void *), nn_job *job, int flags,
                      int *pidfd) {
  char stack[STACK] __attribute__((aligned(16)));
  kept_job kept = {child, job, flags, pidfd, stack + sizeof stack, -1};
  if (job->keeper < 0)
    return nn_start(child, job, flags, pidfd);
  if (nn_helper(go_between, &kept, CLONE_FILES | (flags & CSIGNAL)) < 0)
    return -1;
  errno = job->err;
  return kept.pid;
}

/* Runs the prepared job. What went wrong is then in job->step and job->err. */
static void run(nn_job *job, nn_process *process) {
  job->step = NN_STEP_CLONE;
  if (job->group != NN_GROUP_SESSION)
    job->err = nn_lifeline_open(process->lifeline);
  if (job->err != 0)
    return;
  memcpy(job->lifeline, process->lifeline, sizeof job->lifeline);
  process->group = job->group;
  process->pid =
      start_kept(nn_child, job, CLONE_PIDFD | SIGCHLD, &process->pidfd);
  if (process->pid < 0) {
    job->err = errno;
    process->pidfd = -1;
  }
  for (int fd = 0; fd < 3; fd++)
    nn_close(&process->theirs[fd]);
  if (job->err != 0 && process->pidfd >= 0)
    nn_process_reap(process);
}

/* The template of a handle: made when it is first wanted. Its maker shares our
   descriptors, to leave some. */
static void make_template(lua_State *L, nn_job *job, nn_ns *ns) {
  if (ns->template >= 0)
    return;
  job->binds = push_binds(L, nn_ns_name(ns));
  if (reap_helper(start_kept(nn_template_child, job, CLONE_FILES, NULL)) < 0)
    job->err = errno;
  if (job->err != 0)
    return;
  ns->template = job->kept[0];
  ns->root = job->kept[1];
  job->step = NN_STEP_KEEP;
  job->err = nn_move_up(&ns->template);
  if (job->err == 0)
    job->err = nn_move_up(&ns->root);
  if (job->err == 0)
    return;
  nn_close(&ns->template);
  nn_close(&ns->root);
}

/* --- from Lua ------------------------------------------------------------ */

/* Whether this process is in the foreground of a terminal, and so has to be a
   program that it waits for: in the background it would be stopped. */
static bool has_terminal(void) {
  pid_t group = getpgrp();
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (tcgetpgrp(fd) == group)
      return true;
  return false;
}

/* The program, its arguments and environment; the strings stay in the table at
   `table`, the rest on the stack. */
static void prepare_program(lua_State *L, int table, nn_job *job) {
  lua_getfield(L, table, "argv");
  job->argv = nn_push_strings(L, 0);
  lua_getfield(L, table, "argv");
  job->shell = nn_push_strings(L, 1);
  job->shell[0] = (char *)"/bin/sh";
  job->env = environ;
  lua_getfield(L, table, "env");
  if (!lua_isnil(L, -1))
    job->env = nn_push_strings(L, 0);
  job->programs =
      nn_push_programs(L, job->argv[0], string_field(L, table, "path"));
  job->cwd = string_field(L, table, "cwd");
  if (flag_field(L, table, "detach"))
    job->group = NN_GROUP_SESSION;
  else if (flag_field(L, table, "foreground") && has_terminal())
    job->group = NN_GROUP_CALLER;
}

/* `base` is room for the working directory, which only has to be returned to
   from another mount namespace. */
static void prepare_mounts(lua_State *L, int table, nn_job *job, nn_ns *ns,
                           char *base) {
  const char *mounts = string_field(L, table, "mounts");
  if (mounts == NULL)
    return;
  job->label = ns->name[0] != '\0' ? ns->name : "netns";
  job->mounts = strcmp(mounts, "shared") != 0;
  if (job->mounts) {
    job->binds = push_binds(L, nn_ns_name(ns));
    return;
  }
  make_template(L, job, ns);
  job->template = ns->template;
  job->root = ns->root;
  if (job->err != 0 || (job->cwd != NULL && job->cwd[0] == '/'))
    return;
  job->base = base;
  job->step = NN_STEP_CWD;
  if (syscall(SYS_getcwd, strcpy(base, "."), PATH_MAX) < 0)
    job->err = errno;
  else if (base[0] != '/') /* "(unreachable)": outside of the root */
    job->err = ENOENT;
}

/* The name of the stream that could not be opened, or NULL. */
static const char *prepare_streams(lua_State *L, int table, nn_job *job,
                                   nn_process *process) {
  static const char *const names[] = {"stdin", "stdout", "stderr"};
  lua_getfield(L, table, "input");
  process->input = lua_tolstring(L, -1, &process->left);
  for (int fd = 0; fd < 3; fd++) {
    lua_getfield(L, table, names[fd]);
    job->err = nn_stream_open(L, process, fd, &job->streams[fd]);
    lua_pop(L, 1);
    if (job->err != 0)
      return names[fd];
  }
  return NULL;
}

static int start_failed(lua_State *L, const nn_job *job, const char *what,
                        const char *stream) {
  const char *label = nn_ns_label(L, 2), *detail = "";
  if (stream != NULL)
    return nn_fail(L, job->err, "%s %s: %s", what, label, stream);
  if (job->step == NN_STEP_EXEC)
    return nn_fail(L, job->err, "%s %s: %s", what, label, job->argv[0]);
  if (job->step == NN_STEP_CWD)
    detail = lua_pushfstring(L, " \"%s\"", job->cwd ? job->cwd : job->base);
  nn_fail(L, job->err, "%s %s: %s%s", what, label, step_text(job->step),
          detail);
  lua_pushfstring(L, "%s%s", lua_tostring(L, -2),
                  step_advice(job->step, job->err));
  lua_replace(L, -3);
  return 3;
}

/* core.spawn(what, NS, job): starts a program; a netns.process. `job`, whose
   values have been checked and do not change, is a table:
     argv    an array of strings; env: an array of NAME=VALUE, or nil
     path    where the program is looked for, as PATH has it, or nil
     cwd     a directory, or nil
     mounts  "own", "shared", or nil
     keeper  of core.keeper, or nil
     detach, foreground
             booleans; foreground only counts on a terminal
     stdin, stdout, stderr
             "null", "pipe", "stdout", a file, a descriptor, or else inherited
     input   for stdin, if that is "pipe": the caller keeps it */
static int spawn_spawn(lua_State *L) {
  char vrf[4096], base[PATH_MAX];
  nn_job job = {
      .template = -1, .root = -1, .lifeline = {-1, -1}, .kept = {-1, -1}};
  const char *what = luaL_checkstring(L, 1), *stream = NULL;
  lua_settop(L, 3);
  nn_ns *ns = nn_ns_arg(L, 2, what);
  if (ns == NULL)
    return 3;
  nn_process *process = nn_process_push(L);
  job.ns = ns->fd;
  lua_getfield(L, 3, "keeper");
  job.keeper = nn_keeper_fd(L, lua_gettop(L));
  job.vrf = nn_vrf_exit(L, vrf, sizeof vrf) ? vrf : NULL;
  prepare_program(L, 3, &job);
  prepare_mounts(L, 3, &job, ns, base);
  if (job.err == 0)
    stream = prepare_streams(L, 3, &job, process);
  if (job.err == 0)
    run(&job, process);
  nn_ns_done(ns);
  if (job.err != 0) {
    nn_process_close(process);
    return start_failed(L, &job, what, stream);
  }
  lua_settop(L, 4);
  return 1;
}

void nn_open_spawn(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", spawn_spawn}, {NULL, NULL}};
  nn_open_process(L);
  nn_open_await(L);
  nn_open_keeper(L);
  nn_open_log(L);
  luaL_setfuncs(L, functions, 0);
}
