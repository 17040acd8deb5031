/* tun.c - tun and tap links, which rtnetlink cannot make. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "netns.h"

static int make(void *request) {
  int err = 0, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return errno;
  if (ioctl(fd, TUNSETIFF, request) != 0 || ioctl(fd, TUNSETPERSIST, 1) != 0)
    err = errno;
  nn_close(&fd);
  return err;
}

/* core.tun_add(NS, name, kind): makes a persistent link of kind "tun" or "tap".
   The name has been checked. */
static int tun_add(lua_State *L) {
  struct ifreq request = {.ifr_flags = IFF_NO_PI | IFF_TUN_EXCL};
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  const char *kind = luaL_checkstring(L, 3);
  request.ifr_flags |= strcmp(kind, "tap") == 0 ? IFF_TAP : IFF_TUN;
  nn_ns *ns = nn_ns_arg(L, 1, "link_add");
  if (ns == NULL)
    return 3;
  int err = EINVAL;
  if (len > 0 && len < sizeof request.ifr_name &&
      memchr(name, '\0', len) == NULL) {
    strcpy(request.ifr_name, name);
    err = nn_inside(L, ns->fd, make, &request);
  }
  nn_ns_done(ns);
  if (err == EBUSY) /* as of other kinds */
    err = EEXIST;
  if (err != 0)
    return nn_fail(L, err, "link_add %s: %s (%s)", nn_ns_label(L, 1), name,
                   kind);
  lua_pushboolean(L, true);
  return 1;
}

void nn_open_tun(lua_State *L) {
  static const luaL_Reg functions[] = {{"tun_add", tun_add}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
