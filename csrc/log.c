/* log.c - what a program writes and nobody reads yet: a file in memory, which
   does not make it wait as a pipe does when it is full. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns.h"
#include "spawn.h"

#define LOG "netns.log"

typedef struct nn_log {
  int file;   /* -1 when closed */
  int writer; /* another opening of it, at its end: the program's */
  int events; /* inotify(7): it was written to; -1 until it is wanted */
} nn_log;

static nn_log *check_log(lua_State *L) {
  nn_log *log = luaL_checkudata(L, 1, LOG);
  luaL_argcheck(L, log->file >= 0, 1, "log is closed");
  return log;
}

static int log_close(lua_State *L) {
  nn_log *log = luaL_checkudata(L, 1, LOG);
  nn_close(&log->events);
  nn_close(&log->writer);
  nn_close(&log->file);
  return 0;
}

/* A way to it besides the descriptor that memfd_create(2) gives, which writes
   where it reads and of whose writing inotify is not told. */
static void path_of(const nn_log *log, char path[64]) {
  snprintf(path, 64, "/proc/thread-self/fd/%d", log->file);
}

/* core.log(what) */
static int log_open(lua_State *L) {
  const char *what = luaL_checkstring(L, 1);
  char path[64];
  nn_log *log = lua_newuserdata(L, sizeof *log);
  *log = (nn_log){-1, -1, -1};
  luaL_setmetatable(L, LOG);
  log->file = memfd_create("netns log", MFD_CLOEXEC);
  path_of(log, path);
  if (log->file >= 0)
    log->writer = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (log->writer < 0) {
    int err = errno;
    nn_close(&log->file);
    return nn_fail(L, err, "%s: log", what);
  }
  return 1;
}

/* log:writer(): the descriptor for the program. */
static int log_writer(lua_State *L) {
  lua_pushinteger(L, check_log(L)->writer);
  return 1;
}

/* log:started(): the program has it. */
static int log_started(lua_State *L) {
  nn_close(&check_log(L)->writer);
  return 0;
}

/* log:events(what): a descriptor that is readable when something was written
   since it was asked for last. */
static int log_events(lua_State *L) {
  struct inotify_event event;
  char path[64];
  nn_log *log = check_log(L);
  const char *what = luaL_checkstring(L, 2);
  if (log->events < 0) {
    path_of(log, path);
    log->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (log->events < 0 ||
        inotify_add_watch(log->events, path, IN_MODIFY) < 0) {
      int err = errno;
      nn_close(&log->events);
      return nn_fail(L, err, "%s", what);
    }
  }
  while (read(log->events, &event, sizeof event) > 0)
    ; /* equal ones are told but once */
  lua_pushinteger(L, log->events);
  return 1;
}

/* log:size(what): how many bytes were written. */
static int log_size(lua_State *L) {
  struct stat st;
  if (fstat(check_log(L)->file, &st) != 0)
    return nn_fail(L, errno, "%s", luaL_checkstring(L, 2));
  lua_pushinteger(L, st.st_size);
  return 1;
}

/* log:text(what, from, to): what was written after `from` bytes, up to the
   number `to`. */
static int log_text(lua_State *L) {
  nn_log *log = check_log(L);
  const char *what = luaL_checkstring(L, 2);
  const off_t from = (off_t)nn_checkint(L, 3, 0, INT64_MAX);
  const size_t size = (size_t)(nn_checkint(L, 4, from, INT64_MAX) - from);
  size_t done = 0;
  char *text = lua_newuserdata(L, size + 1);
  while (done < size) {
    ssize_t n = pread(log->file, text + done, size - done, from + (off_t)done);
    if (n < 0 && errno != EINTR)
      return nn_fail(L, errno, "%s", what);
    if (n == 0)
      break; /* the program has made it shorter */
    done += n < 0 ? 0 : (size_t)n;
  }
  lua_pushlstring(L, text, done);
  return 1;
}

/* log:drop(what, to): gives the memory of the first `to` bytes back, but for a
   part of a page. */
static int log_drop(lua_State *L) {
  nn_log *log = check_log(L);
  const off_t to = (off_t)nn_checkint(L, 3, 1, INT64_MAX);
  if (fallocate(log->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, to) !=
      0)
    return nn_fail(L, errno, "%s", luaL_checkstring(L, 2));
  lua_pushboolean(L, true);
  return 1;
}

void nn_open_log(lua_State *L) {
  static const luaL_Reg functions[] = {{"log", log_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"writer", log_writer}, {"started", log_started}, {"events", log_events},
      {"size", log_size},     {"text", log_text},       {"drop", log_drop},
      {"close", log_close},   {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", log_close}, {NULL, NULL}};
  nn_newtype(L, LOG, methods, meta);
  luaL_setfuncs(L, functions, 0);
}
