/* spawn.c - netns.process: a program started in a namespace, and its status. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"
#include "spawn.h"

#define PROCESS "netns.process"
#define STACK 32768

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char **environ;

typedef struct nn_process {
  int pidfd; /* -1 when closed */
  pid_t pid;
  bool ended, exited; /* exited: not killed by a signal */
  int code;           /* the exit status, or the number of the signal */
} nn_process;

static const char *step_text(int step) {
  switch (step) {
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
  default:
    return "cannot start a process";
  }
}

/* Memory that lives as long as its place on the Lua stack. */
static void *alloc(lua_State *L, size_t count, size_t size) {
  return memset(lua_newuserdata(L, count * size), 0, count * size);
}

/* The argv at `arg`, an array of strings, which keeps them. */
static char **push_argv(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t count = lua_rawlen(L, arg);
  luaL_argcheck(L, count > 0, arg, "empty");
  char **argv = alloc(L, count + 1, sizeof *argv);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, arg, "not all strings");
    argv[i] = (char *)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return argv;
}

/* The paths where `program` may be, as execvp(3) looks for it. */
static const char **push_programs(lua_State *L, const char *program) {
  const char *path = getenv("PATH");
  size_t count = 1, i = 0;
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

/* Starts the child, with all signals blocked until it has reset them. 0 and
 *pidfd, or an errno. Returns when the program runs or the child is gone. */
static int start(nn_job *job, nn_process *process, int *pidfd) {
  char stack[STACK] __attribute__((aligned(16)));
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int pid = clone(nn_child, stack + sizeof stack,
                  CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, job, pidfd);
  int err = pid < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  process->pid = pid;
  return err;
}

/* Takes the status of a process that has ended; 0 or an errno. If somebody
   else has reaped it, or the host ignores SIGCHLD, the kernel still knows
   (from Linux 6.15 on). */
static int take_status(nn_process *process) {
  siginfo_t info;
  struct nn_pidfd_info exit = {.mask = NN_PIDFD_INFO_EXIT};
  int err = 0;
  while (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED) != 0)
    if (errno != EINTR) {
      err = errno;
      break;
    }
  if (err == 0) {
    process->exited = info.si_code == CLD_EXITED;
    process->code = info.si_status;
  } else if (ioctl(process->pidfd, NN_PIDFD_GET_INFO, &exit) == 0 &&
             exit.mask & NN_PIDFD_INFO_EXIT) {
    process->exited = WIFEXITED(exit.exit_code);
    process->code = process->exited ? WEXITSTATUS(exit.exit_code)
                                    : WTERMSIG(exit.exit_code);
  } else {
    return err;
  }
  process->ended = true;
  return 0;
}

/* Runs the prepared job. 0, or an errno with the step where it failed. */
static int run(nn_job *job, nn_process *process, int *step) {
  nn_report report;
  int ends[2];
  ssize_t n;
  *step = NN_STEP_CLONE;
  if (pipe2(ends, O_CLOEXEC) != 0)
    return errno;
  /* above what the child takes for its standard streams */
  job->report = fcntl(ends[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  nn_close(&ends[1]);
  if (job->report < 0) {
    nn_close(&ends[0]);
    return errno;
  }
  int err = start(job, process, &process->pidfd);
  nn_close(&job->report);
  do
    n = err == 0 ? read(ends[0], &report, sizeof report) : 0;
  while (n < 0 && errno == EINTR);
  nn_close(&ends[0]);
  if (n != (ssize_t)sizeof report)
    return err;
  take_status(process);
  nn_close(&process->pidfd);
  *step = report.step;
  return report.err;
}

/* core.spawn(NS, argv, mounts): starts a program; a netns.process. The argv has
   been checked. */
static int spawn_spawn(lua_State *L) {
  int step;
  char vrf[4096];
  nn_job job = {.mounts = lua_toboolean(L, 3), .env = environ};
  job.parent = getpid();
  lua_settop(L, 3);
  job.argv = push_argv(L, 2);
  nn_ns *ns = nn_ns_arg(L, 1, "exec");
  if (ns == NULL)
    return 3;
  job.ns = ns->fd;
  job.label = ns->name[0] != '\0' ? ns->name : "netns";
  job.vrf = nn_vrf_exit(vrf, sizeof vrf) ? vrf : NULL;
  job.binds = push_binds(L, job.mounts ? ns->name : "");
  job.programs = push_programs(L, job.argv[0]);
  size_t count = 0;
  while (job.argv[count] != NULL)
    count++;
  job.shell = alloc(L, count + 2, sizeof *job.shell);
  job.shell[0] = (char *)"/bin/sh";
  memcpy(job.shell + 2, job.argv + 1, count * sizeof *job.shell);
  nn_process *process = lua_newuserdata(L, sizeof *process);
  *process = (nn_process){.pidfd = -1};
  luaL_setmetatable(L, PROCESS);
  int err = run(&job, process, &step);
  nn_ns_done(ns);
  if (err == 0)
    return 1;
  if (step == NN_STEP_EXEC)
    return nn_fail(L, err, "exec %s: %s", nn_ns_label(L, 1), job.argv[0]);
  return nn_fail(L, err, "exec %s: %s", nn_ns_label(L, 1), step_text(step));
}

static nn_process *check_process(lua_State *L) {
  nn_process *process = luaL_checkudata(L, 1, PROCESS);
  luaL_argcheck(L, process->pidfd >= 0 || process->ended, 1,
                "process is closed");
  return process;
}

/* process:wait([timeout]): true|nil, "exit"|"signal", code, as os.execute. */
static int process_wait(lua_State *L) {
  nn_process *process = check_process(L);
  int64_t deadline = nn_deadline(nn_opttimeout(L, 2));
  struct pollfd ready = {.fd = process->pidfd, .events = POLLIN};
  while (!process->ended) {
    int n = poll(&ready, 1, nn_remaining(deadline));
    int err = n == 0 ? ETIMEDOUT : n < 0 ? errno : take_status(process);
    if (err != 0 && err != EINTR)
      return nn_fail(L, err, "wait for process %d", (int)process->pid);
  }
  if (process->exited && process->code == 0)
    lua_pushboolean(L, true);
  else
    lua_pushnil(L);
  lua_pushstring(L, process->exited ? "exit" : "signal");
  lua_pushinteger(L, process->code);
  return 3;
}

static int process_close(lua_State *L) {
  nn_process *process = luaL_checkudata(L, 1, PROCESS);
  nn_close(&process->pidfd);
  lua_pushboolean(L, true);
  return 1;
}

void nn_open_spawn(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", spawn_spawn}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"wait", process_wait}, {"close", process_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", process_close}, {"__close", process_close}, {NULL, NULL}};
  nn_newtype(L, PROCESS, methods, meta);
  luaL_setfuncs(L, functions, 0);
}
