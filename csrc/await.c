/* await.c - waits for programs: for the first of some to end, while what goes
   through the pipes of all is fed and kept. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "netns.h"
#include "spawn.h"

#define CHUNK 65536 /* as much as a pipe holds */
/* A program whose output others still hold when it has ended, as a daemon does
   that it started, is waited for no longer than this: milliseconds. */
#define PATIENCE 250

/* --- pipes --------------------------------------------------------------- */

static void feed(nn_process *process) {
  ssize_t n = 0;
  if (process->left > 0)
    n = nn_write(process->streams[0], process->input, process->left);
  if (n > 0) {
    process->input += n;
    process->left -= (size_t)n;
  }
  bool failed = n < 0 && errno != EAGAIN && errno != EINTR;
  if (failed && errno != EPIPE) /* which a program may not want to read */
    process->lost = errno;
  if (process->left == 0 || failed)
    nn_close(&process->streams[0]);
}

static bool grow(nn_buffer *buffer) {
  if (buffer->size - buffer->length >= CHUNK)
    return true;
  size_t size = buffer->size * 2 + CHUNK;
  char *data = realloc(buffer->data, size);
  if (data == NULL)
    return false;
  buffer->data = data;
  buffer->size = size;
  return true;
}

/* The end of a stream is that of the pipe, or a failure, which has lost what
   would have come. */
static void drain(nn_process *process, int fd) {
  nn_buffer *buffer = &process->output[fd - 1];
  ssize_t n = -1;
  if (grow(buffer))
    n = read(process->streams[fd], buffer->data + buffer->length,
             buffer->size - buffer->length);
  else
    errno = ENOMEM;
  if (n > 0)
    buffer->length += (size_t)n;
  else if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  else if (n < 0)
    process->lost = errno;
  if (n <= 0)
    nn_close(&process->streams[fd]);
}

/* Takes what is in the pipe now, and no more: others may go on writing. */
static void finish_stream(nn_process *process, int fd) {
  int left = 0;
  if (fd != 0 && process->streams[fd] >= 0 &&
      ioctl(process->streams[fd], FIONREAD, &left) != 0)
    process->lost = errno;
  while (left > 0 && process->streams[fd] >= 0) {
    size_t before = process->output[fd - 1].length;
    drain(process, fd);
    left -= (int)(process->output[fd - 1].length - before);
  }
  nn_close(&process->streams[fd]);
}

/* --- waiting ------------------------------------------------------------- */

#define SLOTS 4 /* of poll(2), for a process: its streams and itself */

/* Adds what to wait for, and returns the end: poll(2) takes no more slots than
   the process may have descriptors, so there are none without one. */
static struct pollfd *fill_slots(const nn_process *process,
                                 struct pollfd *slot) {
  for (int fd = 0; fd < 3; fd++)
    if (process->streams[fd] >= 0)
      *slot++ = (struct pollfd){.fd = process->streams[fd],
                                .events = fd == 0 ? POLLOUT : POLLIN};
  if (!process->ended)
    *slot++ = (struct pollfd){.fd = process->pidfd, .events = POLLIN};
  return slot;
}

/* Whether a process has ended, asked without poll(2); also if somebody else has
   reaped it. */
static bool has_ended(const nn_process *process) {
  siginfo_t info = {.si_pid = 0};
  if (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info,
             WEXITED | WNOHANG | WNOWAIT) == 0)
    return info.si_pid != 0;
  return syscall(SYS_pidfd_send_signal, process->pidfd, 0, NULL, 0) != 0 &&
         errno == ESRCH;
}

/* The same walk where poll(2) has failed, for want of memory, or because the
   host has lowered its limit of descriptors: after a pause, all streams are
   tried, which does not block. */
static void guess(nn_process *const *list, size_t count, struct pollfd *slot) {
  const struct timespec pause = {0, 5000000};
  nanosleep(&pause, NULL);
  for (size_t i = 0; i < count; i++) {
    for (int fd = 0; fd < 3; fd++)
      if (list[i]->streams[fd] >= 0)
        (slot++)->revents = POLLIN;
    if (!list[i]->ended)
      (slot++)->revents = has_ended(list[i]) ? POLLIN : 0;
  }
}

/* The same walk, to serve what is ready. */
static const struct pollfd *read_slots(nn_process *process,
                                       const struct pollfd *slot) {
  bool late = process->ended && nn_now() >= process->patience;
  for (int fd = 0; fd < 3; fd++)
    if (process->streams[fd] >= 0) {
      if ((slot++)->revents != 0) {
        if (fd == 0)
          feed(process);
        else
          drain(process, fd);
      }
      if (late)
        finish_stream(process, fd);
    }
  if (!process->ended && (slot++)->revents != 0) {
    if (process->doomed) /* what is left of its group */
      nn_process_signal(process, SIGKILL, true);
    nn_process_reap(process);
    nn_close(&process->streams[0]);
    process->patience = nn_now() + PATIENCE;
  }
  return slot;
}

static bool is_over(const nn_process *process) {
  return process->ended && process->streams[1] < 0 && process->streams[2] < 0;
}

/* The keys of the terminal are for the program in the foreground, and Ctrl-C
   need not mean its end. So the thread that waits for it holds them back, and
   forgets them unless the program has died of them, as shells do. */
typedef struct terminal_keys {
  sigset_t set, old;
  bool held;
} terminal_keys;

static void hold_keys(terminal_keys *keys) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGQUIT);
  sigaddset(&set, SIGTTOU); /* for take_terminal() */
  pthread_sigmask(SIG_BLOCK, &set, &keys->old);
  sigemptyset(&keys->set);
  for (int key = SIGINT; key <= SIGQUIT; key++)
    if (!sigismember(&keys->old, key))
      sigaddset(&keys->set, key);
  keys->held = true;
}

/* A shell has given the terminal to a process group of its own, and cannot give
   it back from another PID namespace, as that of a topology, nor when it was
   killed. A group that is there is left alone: that of the host's own shell. */
static void take_terminal(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    pid_t group = tcgetpgrp(fd);
    if (group > 0 && kill(-group, 0) != 0 && errno == ESRCH)
      tcsetpgrp(fd, getpgrp());
  }
}

static void release_keys(terminal_keys *keys, const nn_process *process) {
  const struct timespec now = {0, 0};
  if (!keys->held)
    return;
  if (process != NULL)
    take_terminal();
  bool died = process != NULL && !process->exited &&
              (process->code == SIGINT || process->code == SIGQUIT);
  if (process != NULL && !died)
    while (sigtimedwait(&keys->set, NULL, &now) > 0 || errno == EINTR)
      ;
  pthread_sigmask(SIG_SETMASK, &keys->old, NULL);
  keys->held = false;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* A handler of the host, as that of lua(1) for Ctrl-C, may have set a hook that
   raises an error: a call lets it run. */
static bool run_hooks(lua_State *L) {
  lua_pushcfunction(L, nothing);
  return lua_pcall(L, 0, 0, 0) == LUA_OK;
}

/* poll(2), for so many milliseconds at most, for ever if negative; false if a
   hook has raised an error, which is on the stack. Sets *err to 0 or an errno.
   Signals are blocked in between, lest one comes after the hooks were looked at
   and before we wait. */
static bool wait_for(lua_State *L, struct pollfd *slots, nfds_t count, int ms,
                     int *err) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool ok = run_hooks(L);
  if (ok)
    *err = ppoll(slots, count, ms < 0 ? NULL : &time, &old) < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return ok;
}

static nn_process **push_list(lua_State *L, int arg, size_t count) {
  nn_process **list = /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
      lua_newuserdata(L, (count + 1) * sizeof *list);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    list[i] = nn_process_check(L, -1);
    lua_pop(L, 1);
  }
  return list;
}

/* core.await(processes [, timeout [, keys]]): waits until one of an array of
   processes is over, serving the pipes of all; its place in the array, or nil.
   With `keys`, those of the terminal are for a program in the foreground. */
static int await_await(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t count = lua_rawlen(L, 1);
  int64_t deadline = nn_deadline(nn_opttimeout(L, 2));
  nn_process **list = push_list(L, 1, count);
  struct pollfd *slots =
      lua_newuserdata(L, (count * SLOTS + 1) * sizeof *slots);
  terminal_keys keys = {.held = false};
  bool foreground = false;
  for (size_t i = 0; i < count; i++)
    foreground |= lua_toboolean(L, 3) && list[i]->group == NN_GROUP_CALLER;
  if (foreground)
    hold_keys(&keys);
  for (bool last = false;; last = nn_now() >= deadline) {
    int64_t until = deadline;
    struct pollfd *end = slots;
    for (size_t i = 0; i < count; i++) {
      if (is_over(list[i])) {
        release_keys(&keys, list[i]);
        lua_pushinteger(L, (lua_Integer)i + 1);
        return 1;
      }
      end = fill_slots(list[i], end);
      if (list[i]->ended && list[i]->patience < until)
        until = list[i]->patience;
    }
    if (last)
      break;
    int err;
    if (!wait_for(L, slots, (nfds_t)(end - slots), nn_remaining(until), &err)) {
      release_keys(&keys, NULL);
      return lua_error(L);
    }
    if (err == EINTR)
      continue;
    if (err != 0)
      guess(list, count, slots);
    const struct pollfd *slot = slots;
    for (size_t i = 0; i < count; i++)
      slot = read_slots(list[i], slot);
  }
  release_keys(&keys, NULL);
  return 0;
}

void nn_open_await(lua_State *L) {
  static const luaL_Reg functions[] = {{"await", await_await}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
