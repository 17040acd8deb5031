/***
process.c: netns.process, a program that was started: its status and its end.
@module netns
*/
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"
#include "spawn.h"

#define PROCESS "netns.process"
#define LAST_PATIENCE 1000 /* milliseconds for the kernel to kill a program */

nn_process *nn_process_push(lua_State *L) {
  nn_process *process = lua_newuserdata(L, sizeof *process);
  *process = (nn_process){.pidfd = -1,
                          .lifeline = {-1, -1},
                          .streams = {-1, -1, -1},
                          .theirs = {-1, -1, -1},
                          .starter = getpid()};
  luaL_setmetatable(L, PROCESS);
  return process;
}

void nn_process_close(nn_process *process) {
  nn_lifeline_close(process->lifeline);
  nn_close(&process->pidfd);
  for (int i = 0; i < 3; i++) {
    nn_close(&process->streams[i]);
    nn_close(&process->theirs[i]);
  }
  for (int i = 0; i < 2; i++) {
    free(process->output[i].data);
    process->output[i] = (nn_buffer){NULL, 0, 0};
  }
}

/* --- status -------------------------------------------------------------- */

static void set_status(nn_process *process, bool exited, int code) {
  process->exited = exited;
  process->code = code;
}

/* What the kernel remembers when somebody else reaps the process, or the host
   ignores SIGCHLD: from Linux 6.15 on, and once it is gone, which POLLHUP
   tells. To a forked child of the host it is told only then. */
static bool ask_kernel(nn_process *process) {
  struct pollfd gone = {.fd = process->pidfd};
  int patience = process->starter == getpid() ? 1000 : 0;
  for (int tries = 0; tries < 10; tries++) {
    struct nn_pidfd_info info = {.mask = NN_PIDFD_INFO_EXIT};
    bool told = ioctl(process->pidfd, NN_PIDFD_GET_INFO, &info) == 0;
    if (told && info.mask & NN_PIDFD_INFO_EXIT) {
      bool exited = WIFEXITED(info.exit_code);
      set_status(process, exited,
                 exited ? WEXITSTATUS(info.exit_code)
                        : WTERMSIG(info.exit_code));
      return true;
    }
    if (!told && errno != ESRCH) /* which it is while it is being reaped */
      return false;
    poll(&gone, 1, patience);
  }
  return false;
}

void nn_process_reap(nn_process *process) {
  siginfo_t info;
  int err = 0;
  while (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED) != 0)
    if (errno != EINTR) {
      err = errno;
      break;
    }
  if (err == 0)
    set_status(process, info.si_code == CLD_EXITED, info.si_status);
  else if (!ask_kernel(process))
    process->lost = err;
  process->ended = true;
}

/* Whether its number cannot be that of another process: nobody has reaped it.
 */
static bool is_unreaped(const nn_process *process) {
  siginfo_t info;
  return !process->ended && waitid((idtype_t)P_PIDFD, (id_t)process->pidfd,
                                   &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* pidfd_send_signal(2) knows groups from Linux 6.9 on, and is not there under
   valgrind, or refused by a filter of system calls: then kill(2) does it, as
   long as that is safe. A group outlives its leader, which only a pidfd can
   still mean then. */
int nn_process_signal(nn_process *process, int signal, bool group) {
  if (process->starter != getpid())
    return ECHILD;
  group = group && process->group != NN_GROUP_CALLER;
  if (process->pidfd < 0 || (process->ended && !group))
    return ESRCH;
  unsigned flags = group ? NN_PIDFD_SIGNAL_PROCESS_GROUP : 0;
  if (syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, flags) == 0)
    return 0;
  bool refused = errno == ENOSYS || errno == EPERM || (group && errno == EINVAL);
  if (!refused)
    return errno;
  if (!is_unreaped(process))
    return ESRCH;
  return kill(group ? -process->pid : process->pid, signal) == 0 ? 0 : errno;
}

nn_process *nn_process_check(lua_State *L, int arg) {
  nn_process *process = luaL_checkudata(L, arg, PROCESS);
  luaL_argcheck(L, process->pidfd >= 0 || process->ended, arg,
                "process is closed");
  return process;
}

/* --- methods ------------------------------------------------------------- */

/* process:status(): "exit", its status; or "signal", its number; or if that is
   not known, or output is lost: nil, message, errno. Nothing while it runs. */
static int process_status(lua_State *L) {
  nn_process *process = nn_process_check(L, 1);
  if (!process->ended)
    return 0;
  if (process->lost != 0)
    return nn_fail(L, process->lost, "process %d: its status or output is lost",
                   (int)process->pid);
  lua_pushstring(L, process->exited ? "exit" : "signal");
  lua_pushinteger(L, process->code);
  return 2;
}

/* process:running(): whether this process has to wait for it; a forked child of
   the host has not. */
static int process_running(lua_State *L) {
  nn_process *process = luaL_checkudata(L, 1, PROCESS);
  lua_pushboolean(L, process->pidfd >= 0 && !process->ended &&
                         process->starter == getpid());
  return 1;
}

static int process_pid(lua_State *L) {
  lua_pushinteger(L, nn_process_check(L, 1)->pid);
  return 1;
}

/* process:fd(): the pidfd, or nothing when it is closed. */
static int process_fd(lua_State *L) {
  nn_process *process = luaL_checkudata(L, 1, PROCESS);
  if (process->pidfd < 0)
    return 0;
  lua_pushinteger(L, process->pidfd);
  return 1;
}

/* process:signal(number, group) */
static int process_signal(lua_State *L) {
  nn_process *process = nn_process_check(L, 1);
  bool group = lua_toboolean(L, 3);
  int err = nn_process_signal(process, (int)luaL_checkinteger(L, 2), group);
  if (err != 0)
    return nn_fail(L, err, "kill process %s%d", group ? "group " : "",
                   (int)process->pid);
  lua_pushboolean(L, true);
  return 1;
}

/* process:doom(number): signals the whole process group, none of which is left
   when the program has ended. The lifeline can end what we may not signal.
   Nothing for a forked child of the host. */
static int process_doom(lua_State *L) {
  nn_process *process = nn_process_check(L, 1);
  int signal = (int)nn_checkint(L, 2, 1, SIGRTMAX);
  process->doomed = true;
  int err = nn_process_signal(process, signal, true);
  if (signal == SIGKILL) /* it may have joined another group */
    err = nn_process_signal(process, signal, false);
  if (signal == SIGKILL && err != 0 && err != ECHILD)
    nn_lifeline_close(process->lifeline);
  return 0;
}

/* process:cut(): lets what is left of its group live on. */
static int process_cut(lua_State *L) {
  nn_process *process = luaL_checkudata(L, 1, PROCESS);
  if (process->starter == getpid())
    nn_lifeline_cut(process->lifeline);
  return 0;
}

/* process:file(fd): our end of the pipe to its 0, 1 or 2, as a Lua file. */
static int process_file(lua_State *L) {
  nn_process *process = nn_process_check(L, 1);
  int fd = (int)nn_checkint(L, 2, 0, 2);
  int err = nn_file_push(L, process->streams[fd], fd == 0);
  process->streams[fd] = -1; /* ours until then, should memory run out */
  return err == 0 ? 1 : nn_fail(L, err, "process %d", (int)process->pid);
}

/* process:output(fd): what was read from its 1 or 2. */
static int process_output(lua_State *L) {
  nn_process *process = nn_process_check(L, 1);
  nn_buffer *buffer = &process->output[nn_checkint(L, 2, 1, 2) - 1];
  lua_pushlstring(L, buffer->data != NULL ? buffer->data : "", buffer->length);
  free(buffer->data);
  *buffer = (nn_buffer){NULL, 0, 0};
  return 1;
}

/* process:close(): ends what is left of its group, unless that was cut. */
static int process_close(lua_State *L) {
  nn_process_close(luaL_checkudata(L, 1, PROCESS));
  return 0;
}

/* Only the end of the Lua state collects one that was not closed. So it is the
   end of a program that is tied to us, which is reaped here, for nobody else
   would. */
static int process_gc(lua_State *L) {
  nn_process *process = luaL_checkudata(L, 1, PROCESS);
  struct pollfd gone = {.fd = process->pidfd, .events = POLLIN};
  siginfo_t info;
  if (process->pidfd >= 0 && !process->ended && process->starter == getpid()) {
    if (process->group != NN_GROUP_SESSION) {
      nn_process_signal(process, SIGKILL, true);
      nn_process_signal(process, SIGKILL, false);
      nn_lifeline_close(process->lifeline);
      poll(&gone, 1, LAST_PATIENCE);
    }
    waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG);
  }
  nn_process_close(process);
  return 0;
}

static void set_signal(lua_State *L, const char *name, int number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, name);
}

/* The numbers of the signals by their names, without SIG. */
static void push_signals(lua_State *L) {
  static const struct {
    const char *name;
    int number;
  } signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT},
                 {"ILL", SIGILL},   {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},
                 {"BUS", SIGBUS},   {"FPE", SIGFPE},       {"KILL", SIGKILL},
                 {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},     {"USR2", SIGUSR2},
                 {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM},
                 {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP},
                 {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},
                 {"URG", SIGURG},   {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ},
                 {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
                 {"IO", SIGIO},     {"POLL", SIGPOLL},     {"PWR", SIGPWR},
                 {"SYS", SIGSYS}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    set_signal(L, signals[i].name, signals[i].number);
  set_signal(L, "RTMIN", SIGRTMIN); /* libc keeps those before for itself */
  set_signal(L, "RTMAX", SIGRTMAX);
  lua_setfield(L, -2, "signals");
}

void nn_open_process(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"status", process_status}, {"running", process_running},
      {"pid", process_pid},       {"fd", process_fd},
      {"signal", process_signal}, {"doom", process_doom},
      {"cut", process_cut},       {"file", process_file},
      {"output", process_output}, {"close", process_close},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", process_gc}, {NULL, NULL}};
  nn_newtype(L, PROCESS, methods, meta);
  push_signals(L);
}
