/* kernel.c - what the library sees of the kernel when it is fuzzed: the calls
   are taken over by the linker (--wrap), so nothing of the machine is read or
   changed. */
#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel.h"
#include "netns.h"

int luaopen_netns_core(lua_State *L);

/* A call has to raise an error rather than use more than Lua promises. */
int fuzz_room = LUA_MINSTACK;

kernel fuzz_kernel;

/* The request that waits for its answer, whose type is 0 after the last. */
static struct nlmsghdr request;
static bool told; /* the one message of the answer */

void fuzz_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("==0== ERROR: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  abort();
}

/* --- the system calls ---------------------------------------------------- */

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags,
                        struct sockaddr *from, socklen_t *room);
int __wrap_ioctl(int fd, unsigned long what, void *arg);
int __real_ioctl(int fd, unsigned long what, void *arg);

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags) {
  (void)fd, (void)flags;
  fuzz_need(len >= sizeof request, "a request without a head");
  memcpy(&request, data, sizeof request);
  fuzz_need(request.nlmsg_len == len, "a request of another length");
  told = fuzz_kernel.answer == NULL;
  if (request.nlmsg_flags & NLM_F_ACK) {
    fuzz_need(len <= sizeof fuzz_kernel.change, "a request too large");
    memcpy(fuzz_kernel.change.bytes, data, len);
    fuzz_kernel.asked = len;
  }
  return (ssize_t)len;
}

static size_t verdict(struct nlmsghdr *answer, int type, int error) {
  answer->nlmsg_type = (uint16_t)type;
  answer->nlmsg_flags = 0;
  answer->nlmsg_len = NLMSG_LENGTH(sizeof(int));
  error = -error;
  memcpy(NLMSG_DATA(answer), &error, sizeof error);
  return answer->nlmsg_len;
}

static size_t answer(struct nlmsghdr *answer) {
  size_t len;
  if (request.nlmsg_flags & NLM_F_ACK) {
    len = verdict(answer, NLMSG_ERROR, fuzz_kernel.error);
  } else if (!told) {
    len = ((const struct nlmsghdr *)fuzz_kernel.answer)->nlmsg_len;
    memcpy(answer, fuzz_kernel.answer, len);
  } else {
    bool dump = (request.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    len = verdict(answer, dump ? NLMSG_DONE : NLMSG_ERROR, dump ? 0 : ENODEV);
  }
  told = true;
  answer->nlmsg_seq = request.nlmsg_seq;
  return len;
}

/* What is behind the answer is not to be read. The sender's port stays 0, as
   the caller has set it: that of the kernel. */
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags,
                        struct sockaddr *from, socklen_t *room) {
  (void)fd, (void)flags, (void)from, (void)room;
  if (request.nlmsg_type == 0) {
    errno = EAGAIN;
    return -1;
  }
  ASAN_UNPOISON_MEMORY_REGION(buffer, size);
  const size_t len = answer(buffer);
  ASAN_POISON_MEMORY_REGION((char *)buffer + len, size - len);
  return (ssize_t)len;
}

/* The names of links, which are asked for otherwise. */
int __wrap_ioctl(int fd, unsigned long what, void *arg) {
  static const char *const names[] = {"lo", "eth0", "br0"};
  struct ifreq *link = arg;
  if (what != SIOCGIFINDEX && what != SIOCGIFNAME)
    return __real_ioctl(fd, what, arg);
  for (int i = 0; i < 3; i++)
    if (what == SIOCGIFNAME && link->ifr_ifindex == i + 1) {
      strcpy(link->ifr_name, names[i]);
      return 0;
    } else if (what == SIOCGIFINDEX && strcmp(link->ifr_name, names[i]) == 0) {
      link->ifr_ifindex = i + 1;
      return 0;
    }
  errno = ENODEV;
  return -1;
}

/* --- Lua ----------------------------------------------------------------- */

static lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  fuzz_need(L != NULL, "no memory");
  fuzz_room = 2 + LUA_MINSTACK;
  luaL_requiref(L, "netns.core", luaopen_netns_core, 0);
  lua_getfield(L, 1, "current");
  fuzz_need(fuzz_call(L, 0), "no namespace");
  lua_settop(L, 2);
  return L;
}

lua_State *fuzz_open(void) {
  static lua_State *L;
  if (L == NULL)
    L = new_state();
  memset(&request, 0, sizeof request);
  memset(&fuzz_kernel, 0, offsetof(kernel, change));
  return L;
}

void fuzz_close(lua_State *L) {
  lua_settop(L, 2);
  lua_gc(L, LUA_GCCOLLECT);
}

bool fuzz_call(lua_State *L, int count) {
  const int bottom = lua_gettop(L) - count - 1;
  fuzz_room = count + LUA_MINSTACK;
  const bool ok = lua_pcall(L, count, LUA_MULTRET, 0) == LUA_OK;
  fuzz_room = INT_MAX; /* the fuzzer's own calls are made on a new stack */
  if (!ok) {
    fuzz_need(lua_type(L, -1) == LUA_TSTRING, "an error that is not text");
    return false;
  }
  fuzz_need(lua_gettop(L) > bottom, "no results");
  if (lua_toboolean(L, bottom + 1))
    return true;
  fuzz_need(lua_gettop(L) == bottom + 3 && lua_isnil(L, bottom + 1) &&
                lua_type(L, bottom + 2) == LUA_TSTRING &&
                lua_isinteger(L, bottom + 3),
            "results that are not nil, message, errno");
  fuzz_need(lua_tointeger(L, bottom + 3) != 0, "an errno of 0: %s",
            lua_tostring(L, bottom + 2));
  return false;
}
