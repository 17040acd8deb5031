/* util.c - the error triple, checked arguments, descriptors, deadlines. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "netns.h"

static const char *error_text(int err) {
  switch (err) {
  case NN_ENOTNS:
    return "it is not a network namespace";
  case NN_ESTALENAME:
    return "the name is stale, it is not a network namespace";
  case EMFILE:
    return "Too many open files, see ulimit -n";
  default:
    return strerror(err);
  }
}

int nn_fail(lua_State *L, int err, const char *text, ...) {
  char buffer[1024];
  va_list args;
  va_start(args, text);
  vsnprintf(buffer, sizeof buffer, text, args);
  va_end(args);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", nn_printable(L, buffer, strlen(buffer)),
                  error_text(err));
  lua_remove(L, -2);
  lua_pushinteger(L, err < NN_ENOTNS ? err : EINVAL);
  return 3;
}

const char *nn_format(lua_State *L, const char *text, ...) {
  char buffer[1024];
  va_list args;
  va_start(args, text);
  vsnprintf(buffer, sizeof buffer, text, args);
  va_end(args);
  return lua_pushstring(L, buffer);
}

void nn_close(int *fd) {
  int saved = errno;
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
  errno = saved;
}

int nn_move_up(int *fd) {
  if (*fd >= NN_FIRST_FD)
    return 0;
  int moved = fcntl(*fd, F_DUPFD_CLOEXEC, NN_FIRST_FD);
  int err = moved < 0 ? errno : 0;
  nn_close(fd);
  *fd = moved;
  return err;
}

bool nn_missing(int err) {
  return err == ENOENT || err == ENOTDIR || err == ELOOP;
}

bool nn_capable(int capability) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  return syscall(SYS_capget, &header, data) == 0 &&
         (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability));
}

lua_Integer nn_checkint(lua_State *L, int arg, lua_Integer min,
                        lua_Integer max) {
  lua_Integer n = luaL_checkinteger(L, arg);
  luaL_argcheck(L, n >= min && n <= max, arg, "out of range");
  return n;
}

int nn_opttimeout(lua_State *L, int arg) {
  lua_Number seconds;
  if (lua_isnoneornil(L, arg))
    return -1;
  seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds >= 0, arg, "seconds must not be negative");
  if (seconds >= INT_MAX / 1000)
    return INT_MAX;
  int ms = (int)(seconds * 1000);
  return ms < seconds * 1000 ? ms + 1 : ms;
}

int64_t nn_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t nn_deadline(int timeout) {
  return timeout < 0 ? INT64_MAX : nn_now() + timeout;
}

int nn_remaining(int64_t deadline) {
  if (deadline == INT64_MAX)
    return -1;
  int64_t left = deadline - nn_now();
  return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

void nn_newtype(lua_State *L, const char *type, const luaL_Reg *methods,
                const luaL_Reg *meta) {
  if (!luaL_newmetatable(L, type)) {
    lua_pop(L, 1);
    return;
  }
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
