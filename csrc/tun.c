/* tun.c - tun and tap links, which rtnetlink cannot make. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fields.h"
#include "netns.h"

typedef struct request {
  struct ifreq ifr;
  unsigned index; /* 0: the kernel's choice */
  bool has_user, has_group;
  unsigned user, group;
} request;

static int make(void *arg) {
  const request *asked = arg;
  struct ifreq ifr = asked->ifr;
  int err = 0, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return errno;
  if ((asked->index != 0 && ioctl(fd, TUNSETIFINDEX, &asked->index) != 0) ||
      ioctl(fd, TUNSETIFF, &ifr) != 0 ||
      (asked->has_user && ioctl(fd, TUNSETOWNER, asked->user) != 0) ||
      (asked->has_group && ioctl(fd, TUNSETGROUP, asked->group) != 0) ||
      ioctl(fd, TUNSETPERSIST, 1) != 0)
    err = errno;
  nn_close(&fd);
  return err;
}

/* A number of the table at 4; false: it is not there. */
static bool get_number(lua_State *L, const char *name, unsigned *value) {
  int is_integer;
  if (lua_getfield(L, 4, name) == LUA_TNIL)
    return false;
  const lua_Integer number = lua_tointegerx(L, -1, &is_integer);
  if (lua_type(L, -1) != LUA_TNUMBER || !is_integer || number < 0 ||
      number > UINT32_MAX)
    nn_raise_type(L, "link_add", name, "integer", -1);
  *value = (unsigned)number;
  return true;
}

static void get_flags(lua_State *L, struct ifreq *ifr) {
  static const struct {
    const char *name;
    int bit;
    bool unset;
  } names[] = {{"pi", IFF_NO_PI, true},
               {"vnet_hdr", IFF_VNET_HDR, false},
               {"multi_queue", IFF_MULTI_QUEUE, false}};
  const nn_codec codec = {.L = L, .what = "link_add"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (nn_flag_get(&codec, 4, names[i].name) != names[i].unset)
      ifr->ifr_flags = (short)(ifr->ifr_flags | names[i].bit);
}

/* core.tun_add(NS, name, kind, opts): makes a persistent link of kind "tun" or
   "tap". The name has been checked to be a string. */
static int tun_add(lua_State *L) {
  request asked = {.ifr = {.ifr_flags = IFF_TUN_EXCL}};
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  const char *kind = luaL_checkstring(L, 3);
  luaL_checktype(L, 4, LUA_TTABLE);
  asked.ifr.ifr_flags |= strcmp(kind, "tap") == 0 ? IFF_TAP : IFF_TUN;
  get_flags(L, &asked.ifr);
  get_number(L, "index", &asked.index);
  asked.has_user = get_number(L, "user", &asked.user);
  asked.has_group = get_number(L, "user_group", &asked.group);
  nn_ns *ns = nn_ns_arg(L, 1, "link_add");
  if (ns == NULL)
    return 3;
  int err = EINVAL;
  if (len > 0 && len < sizeof asked.ifr.ifr_name &&
      memchr(name, '\0', len) == NULL) {
    strcpy(asked.ifr.ifr_name, name);
    err = nn_inside(L, ns->fd, make, &asked);
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
