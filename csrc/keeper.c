/* keeper.c - what ends all programs of a topology with it: a PID namespace, and
   its process 1, the keeper. Whatever a program does - fork twice, setsid,
   change its user - it cannot leave that namespace, and when the keeper ends
   the kernel kills all that is in it. The keeper is a shell that reads its
   stdin, a pipe whose other end nobody but this process holds: so it ends with
   this process, whatever ends that.

   It is /bin/sh, which needs no PATH, and not a function of ours: a child that
   executes nothing would either share our memory, or have a copy of it, whose
   making takes 20 ms for each GB of the host, and hold its mapped files. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"
#include "spawn.h"

#define KEEPER "netns.keeper"
#define SHELL "/bin/sh"
#define PATIENCE 5000 /* milliseconds for the kernel to kill what it keeps */

typedef struct nn_keeper {
  int pidfd; /* -1 when closed */
  int line;  /* our end of its stdin; -1 when it has been asked to end */
  pid_t starter;
} nn_keeper;

/* What the children need, and leave behind; they share our memory. */
typedef struct keeper_job {
  char **argv, **env;
  int input, null; /* what becomes its 0, and its 1 and 2 */
  char *stack;     /* the end of one for the keeper */
  int pidfd, err;
} keeper_job;

CHILD static _Noreturn void fail(keeper_job *job) {
  job->err = errno;
  _exit(127);
}

/* Process 1 of the new namespace. It ignores SIGCHLD, also after exec, so that
   the kernel reaps what is orphaned; it does not hold our directory, and is out
   of reach of the terminal's keys. */
CHILD static int keeper(void *arg) {
  keeper_job *job = arg;
  sigset_t none;
  nn_reset_signals();
  signal(SIGCHLD, SIG_IGN);
  setsid();
  if (dup2(job->input, 0) < 0 || dup2(job->null, 1) < 0 ||
      dup2(job->null, 2) < 0 || chdir("/") != 0 ||
      syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    fail(job);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(SHELL, job->argv, job->env);
  fail(job);
}

/* Starts the keeper and is gone, so that it is no child of ours: nobody has to
   reap it, nor sees it. Shares our descriptors, to leave the pidfd. */
CHILD static int starter(void *arg) {
  keeper_job *job = arg;
  const int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWPID | CLONE_PIDFD;
  if (clone(keeper, job->stack, flags | SIGCHLD, job, &job->pidfd) < 0)
    fail(job);
  _exit(0);
}

static nn_keeper *check_keeper(lua_State *L, int arg) {
  nn_keeper *self = luaL_checkudata(L, arg, KEEPER);
  luaL_argcheck(L, self->pidfd >= 0, arg, "keeper is closed");
  return self;
}

int nn_keeper_fd(lua_State *L, int arg) {
  return lua_isnil(L, arg) ? -1 : check_keeper(L, arg)->pidfd;
}

/* Opens what the keeper starts with; 0 or an errno. */
static int open_streams(nn_keeper *self, keeper_job *job) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return errno;
  job->input = ends[0];
  self->line = ends[1];
  job->null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int err = job->null < 0 ? errno : 0;
  if (err == 0) /* the streams are put in place one after the other */
    err = nn_move_up(&job->input);
  if (err == 0)
    err = nn_move_up(&job->null);
  if (err == 0)
    err = nn_move_up(&self->line);
  return err;
}

static int start_keeper(nn_keeper *self, keeper_job *job) {
  nn_stack stack;
  int err = nn_stack_map(&stack);
  if (err != 0)
    return err;
  job->stack = stack.top;
  err = open_streams(self, job);
  if (err == 0)
    err = nn_helper(starter, job, CLONE_FILES) < 0 ? errno : job->err;
  nn_stack_unmap(&stack);
  nn_close(&job->input);
  nn_close(&job->null);
  if (err == 0) {
    self->pidfd = job->pidfd;
    err = nn_move_up(&self->pidfd);
  } else {
    nn_close(&job->pidfd);
  }
  if (err != 0)
    nn_close(&self->line); /* which ends it */
  return err;
}

/* Where the shell looks for programs: not only where the host does. */
static const char *push_path(lua_State *L) {
  const char *path = secure_getenv("PATH");
  return lua_pushfstring(L, "PATH=/usr/sbin:/usr/bin:/sbin:/bin%s%s",
                         path != NULL ? ":" : "", path != NULL ? path : "");
}

/* core.keeper(argv, what): starts one, by the arguments of its shell, which has
   to read its stdin. `what` begins the message of a failure. */
static int keeper_start(lua_State *L) {
  keeper_job job = {.input = -1, .null = -1, .pidfd = -1};
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *what = luaL_checkstring(L, 2);
  nn_keeper *self = lua_newuserdata(L, sizeof *self);
  *self = (nn_keeper){-1, -1, getpid()};
  luaL_setmetatable(L, KEEPER);
  int at = lua_gettop(L);
  lua_pushvalue(L, 1);
  job.argv = nn_push_strings(L, 0);
  char *env[] = {(char *)push_path(L), NULL};
  job.env = env;
  int err = start_keeper(self, &job);
  if (err != 0)
    return nn_fail(L, err, "%s: cannot start " SHELL " to keep the programs",
                   what);
  lua_settop(L, at);
  return 1;
}

static bool is_ours(const nn_keeper *self) { /* not those of a parent */
  return self->starter == getpid();
}

/* keeper:ours(): whether this process has started it. */
static int keeper_ours(lua_State *L) {
  lua_pushboolean(L, is_ours(luaL_checkudata(L, 1, KEEPER)));
  return 1;
}

/* keeper:stop(kill): ends it and all that it keeps, at once, or when it has
   done what it does at its end. The line works where the signal is refused. */
static int keeper_stop(lua_State *L) {
  nn_keeper *self = luaL_checkudata(L, 1, KEEPER);
  if (is_ours(self) && self->pidfd >= 0 && lua_toboolean(L, 2))
    syscall(SYS_pidfd_send_signal, self->pidfd, SIGKILL, NULL, 0);
  nn_close(&self->line);
  return 0;
}

/* keeper:wait(what): waits for the end of one that was stopped and of all that
   it kept, and closes it: true; or nil, message, errno: ETIMEDOUT. The kernel
   waits, too: for us to reap those that are our children. */
static int keeper_wait(lua_State *L) {
  nn_keeper *self = luaL_checkudata(L, 1, KEEPER);
  const char *what = luaL_checkstring(L, 2);
  struct pollfd gone = {.fd = self->pidfd, .events = POLLIN};
  int64_t deadline = nn_deadline(PATIENCE);
  int ready = 1;
  while (is_ours(self) && self->pidfd >= 0 && (ready = poll(&gone, 1, nn_remaining(deadline))) < 0 &&
         errno == EINTR)
    ;
  if (ready <= 0)
    return nn_fail(L, ready < 0 ? errno : ETIMEDOUT,
                   "%s: what keeps the programs does not end", what);
  nn_close(&self->pidfd);
  lua_pushboolean(L, true);
  return 1;
}

static int keeper_gc(lua_State *L) {
  nn_keeper *self = luaL_checkudata(L, 1, KEEPER);
  nn_close(&self->line);
  nn_close(&self->pidfd);
  return 0;
}

void nn_open_keeper(lua_State *L) {
  static const luaL_Reg functions[] = {{"keeper", keeper_start}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"ours", keeper_ours},
                                     {"stop", keeper_stop},
                                     {"wait", keeper_wait},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", keeper_gc}, {NULL, NULL}};
  nn_newtype(L, KEEPER, methods, meta);
  luaL_setfuncs(L, functions, 0);
}
