/* kernel.h - what the fuzzers of messages share: a kernel that says what it is
   told to, and Lua with the library inside. */
#ifndef NETNS_FUZZ_KERNEL_H
#define NETNS_FUZZ_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <linux/netlink.h>
#include <lua.h>

/* What it answers, and the last change that it was asked for. */
typedef struct kernel {
  const void *answer; /* to a question: a message, or NULL for none */
  int error;          /* to a change: 0, or an errno */
  size_t asked;       /* bytes of: */
  union {
    struct nlmsghdr head;
    unsigned char bytes[65536];
  } change;
} kernel;

extern kernel fuzz_kernel;

/* Stops the fuzzer, which has found something. */
_Noreturn void fuzz_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
#define fuzz_need(is, ...)                                                     \
  do {                                                                         \
    if (!(is))                                                                 \
      fuzz_fail(__VA_ARGS__);                                                  \
  } while (0)

/* A state with the library's table at 1, and a handle of the namespace at 2;
   always the same. */
lua_State *fuzz_open(void);
void fuzz_close(lua_State *L); /* ends what a run has left */
/* Calls the function below `count` arguments on the stack with the library's
   promises: its results, or an error, which is text, take their place. Whether
   it returned something truthy. */
bool fuzz_call(lua_State *L, int count);

#endif
