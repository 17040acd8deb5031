/***
handle.c: netns.ns, a network namespace held open by a descriptor.
@module netns
*/
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"

/* A key that the metatables of handles have: one for all, and one of its own
   for each handle that was extended. */
static const char mark = 'n';

nn_ns *nn_ns_test(lua_State *L, int arg) {
  nn_ns *ns = lua_touserdata(L, arg);
  if (ns == NULL || !lua_getmetatable(L, arg))
    return NULL;
  bool marked = lua_rawgetp(L, -1, &mark) == LUA_TBOOLEAN;
  lua_pop(L, 2);
  return marked ? ns : NULL;
}

/* A handle, open or not, or a Lua error. */
static nn_ns *check_any(lua_State *L, int arg, const char *what) {
  nn_ns *ns = nn_ns_test(L, arg);
  if (ns == NULL)
    nn_raise_type(L, what, "NS", "handle", arg);
  return ns;
}

nn_ns *nn_ns_push(lua_State *L) {
  nn_ns *ns = lua_newuserdata(L, sizeof *ns);
  memset(ns, 0, sizeof *ns);
  ns->fd = ns->template = ns->root = -1;
  luaL_setmetatable(L, NN_NS);
  return ns;
}

static void close_all(nn_ns *ns) {
  nn_close(&ns->fd);
  nn_close(&ns->template);
  nn_close(&ns->root);
  if (ns->rtnl != NULL)
    nn_rtnl_close(ns->rtnl);
  if (ns->diag != NULL)
    nn_rtnl_close(ns->diag);
}

nn_ns *nn_ns_check(lua_State *L, int arg, const char *what) {
  nn_ns *ns = check_any(L, arg, what);
  if (ns->fd < 0)
    nn_raise_arg(L, what, "NS", "handle is closed");
  return ns;
}

const char *nn_ns_name(const nn_ns *ns) {
  return ns->nameless ? "" : ns->name;
}

int nn_ns_adopt(nn_ns *ns, int fd, const char *name) {
  struct stat st;
  int err = nn_move_up(&fd);
  if (err == 0 && fstat(fd, &st) != 0)
    err = errno;
  if (err != 0) {
    nn_close(&fd);
    return err;
  }
  ns->fd = fd;
  ns->dev = st.st_dev;
  ns->ino = st.st_ino;
  snprintf(ns->name, sizeof ns->name, "%s", name);
  return 0;
}

/* Whether a file that may not be opened is on nsfs at all; true, too, if that
   cannot be told. A leftover has no permissions. */
static bool may_be_ns(int dir, const char *path) {
  struct statfs fs;
  int fd = openat(dir, path, O_PATH | O_CLOEXEC);
  bool other = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type != NSFS_MAGIC;
  nn_close(&fd);
  return !other;
}

int nn_open_at(int dir, const char *path) {
  struct stat st;
  struct statfs fs;
  int fd;
  /* A device may do things when it is opened; nsfs files look regular. */
  if (fstatat(dir, path, &st, 0) != 0)
    return -1;
  if (!S_ISREG(st.st_mode)) {
    errno = NN_ENOTNS;
    return -1;
  }
  fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    bool refused = errno == EACCES && may_be_ns(dir, path);
    errno = errno != EACCES ? errno : refused ? EACCES : NN_ENOTNS;
    return -1;
  }
  if (fstatfs(fd, &fs) != 0) {
    nn_close(&fd);
    return -1;
  }
  int type = fs.f_type == NSFS_MAGIC ? ioctl(fd, NN_NS_GET_NSTYPE) : 0;
  if (type == CLONE_NEWNET)
    return fd;
  if (type >= 0)
    errno = NN_ENOTNS;
  nn_close(&fd);
  return -1;
}

/* The name that `path` gives a namespace: what is below the directory of the
   names. */
static const char *name_of_path(const char *path) {
  size_t len = strlen(NN_RUN_DIR "/");
  if (strncmp(path, NN_RUN_DIR "/", len) != 0 || strchr(path + len, '/'))
    return "";
  return strlen(path + len) <= NN_NAME_MAX ? path + len : "";
}

/* Opens the NS at `arg`, which is no handle, into `ns`. */
static int open_value(lua_State *L, int arg, nn_ns *ns) {
  char path[sizeof NN_RUN_DIR + 1 + NN_NAME_MAX];
  const char *target = path, *name = "";
  bool is_pid = lua_type(L, arg) == LUA_TNUMBER;
  if (is_pid) {
    lua_Integer pid = lua_tointeger(L, arg);
    if (pid < 1 || pid > INT_MAX)
      return EINVAL;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
  } else {
    size_t len;
    const char *s = lua_tolstring(L, arg, &len);
    if (memchr(s, '\0', len))
      return EINVAL;
    if (strchr(s, '/')) {
      target = s;
      name = name_of_path(s);
    } else {
      if (!nn_name_valid(s, len))
        return EINVAL;
      snprintf(path, sizeof path, NN_RUN_DIR "/%s", s);
      name = s;
    }
  }
  int fd = nn_open_at(AT_FDCWD, target);
  if (fd >= 0)
    return nn_ns_adopt(ns, fd, name);
  if (errno == NN_ENOTNS && name[0] != '\0')
    return NN_ESTALENAME;
  /* a process that is gone is what ENOENT means, as long as /proc is there */
  if (errno == ENOENT && is_pid && access("/proc/self/ns", F_OK) == 0)
    return ESRCH;
  return errno;
}

const char *nn_ns_label(lua_State *L, int arg) {
  nn_ns *ns = nn_ns_test(L, arg);
  if (lua_type(L, arg) == LUA_TNUMBER)
    return lua_pushfstring(L, "process %s", luaL_tolstring(L, arg, NULL));
  if (ns == NULL || ns->name[0] != '\0') {
    size_t len;
    const char *name = ns == NULL ? lua_tolstring(L, arg, &len) : ns->name;
    name = nn_printable(L, name, ns == NULL ? len : strlen(name));
    return lua_pushfstring(L, ns != NULL && ns->nameless ? "%s" : "\"%s\"",
                           name);
  }
  return nn_format(L, "net:[%ju]", (uintmax_t)ns->ino);
}

/* Pushes a handle for the NS at `arg`, or returns NULL after the three results
   of the failure. */
static nn_ns *push_opened(lua_State *L, int arg, const char *what) {
  nn_ns *ns = nn_ns_push(L);
  int err = open_value(L, arg, ns);
  if (err == 0)
    return ns;
  nn_fail(L, err, "%s %s", what, nn_ns_label(L, arg));
  return NULL;
}

/* What is wrong with the type of a NS argument; NULL if nothing is. */
static const char *type_problem(lua_State *L, int arg) {
  int type = lua_type(L, arg), integer = 1;
  if (type == LUA_TNUMBER)
    lua_tointegerx(L, arg, &integer);
  if (!integer)
    return lua_pushfstring(L, "process id expected, got %f",
                           lua_tonumber(L, arg));
  if (type == LUA_TSTRING || type == LUA_TNUMBER)
    return NULL;
  nn_ns *ns = nn_ns_test(L, arg);
  if (ns == NULL)
    return lua_pushfstring(L,
                           "namespace (handle, name, path or process id) "
                           "expected, got %s",
                           nn_typename(L, arg));
  return ns->fd < 0 ? "handle is closed" : NULL;
}

/* core.ns_problem(value): the same for Lua; nil if nothing is wrong. */
static int handle_problem(lua_State *L) {
  lua_settop(L, 1);
  lua_pushstring(L, type_problem(L, 1));
  return 1;
}

nn_ns *nn_ns_arg(lua_State *L, int arg, const char *what) {
  const char *problem = type_problem(L, arg);
  if (problem != NULL)
    nn_raise_arg(L, lua_pushlstring(L, what, strcspn(what, " ")), "NS",
                 problem);
  if (lua_type(L, arg) == LUA_TUSERDATA)
    return lua_touserdata(L, arg);
  nn_ns *ns = push_opened(L, arg, what);
  if (ns != NULL) {
    ns->temporary = true;
    lua_replace(L, arg);
  }
  return ns;
}

void nn_ns_done(nn_ns *ns) {
  if (ns->temporary)
    close_all(ns);
}

/***
Opens a namespace, as `ip -n NAME` does.
@function open
@param NS a handle, a name, a path or a process id
@treturn[1] ns a new handle, whose descriptor is its own
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ENOENT, ESRCH, EINVAL if it is no network namespace
*/
static int handle_open(lua_State *L) {
  nn_ns *from = nn_ns_arg(L, 1, "open");
  if (from == NULL)
    return 3;
  if (from->temporary) {
    from->temporary = false;
    lua_settop(L, 1);
    return 1;
  }
  nn_ns *ns = nn_ns_push(L);
  int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
  int err = fd < 0 ? errno : nn_ns_adopt(ns, fd, nn_ns_name(from));
  return err == 0 ? 1 : nn_fail(L, err, "open %s", nn_ns_label(L, 1));
}

/***
The namespace the calling thread is in.
@function current
@treturn[1] ns a handle
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int handle_current(lua_State *L) {
  nn_ns *ns = nn_ns_push(L);
  int fd = nn_home(L);
  int err = fd < 0 ? errno : nn_ns_adopt(ns, fd, "");
  return err == 0 ? 1 : nn_fail(L, err, "current");
}

/***
A new namespace without a name, alive as long as a handle, a process or a
socket is in it. Needs CAP_SYS_ADMIN. See unshare(2).
@function new
@treturn[1] ns a handle
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: EPERM; ENOSPC at the limit of namespaces
*/
static int handle_new(lua_State *L) {
  nn_ns *ns = nn_ns_push(L);
  int err = nn_create(L, ns);
  return err == 0 ? 1 : nn_fail(L, err, "new");
}

/***
The handle's descriptor, which stays the handle's.
@function ns:fd
@treturn integer
*/
static int ns_fd(lua_State *L) {
  lua_pushinteger(L, nn_ns_check(L, 1, "fd")->fd);
  return 1;
}

/***
The name the namespace was opened, added or attached by.
@function ns:name
@treturn string|nil nil if that was by other means: @{names} looks
*/
static int ns_name(lua_State *L) {
  const char *name = nn_ns_name(nn_ns_check(L, 1, "name"));
  if (name[0] != '\0')
    lua_pushstring(L, name);
  else
    lua_pushnil(L);
  return 1;
}

/***
The inode number, which with the device tells a namespace from others.
@function inode
@param NS
@treturn[1] integer as in `readlink /proc/self/ns/net`
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int ns_inode(lua_State *L) {
  nn_ns *ns = nn_ns_arg(L, 1, "inode");
  if (ns == NULL)
    return 3;
  lua_pushinteger(L, (lua_Integer)ns->ino);
  nn_ns_done(ns);
  return 1;
}

/* Before Linux 6.18 only a socket knows the cookie of its namespace. */
static int cookie_of_socket(void *cookie) {
  socklen_t len = sizeof(uint64_t);
  int err = 0, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 ||
      getsockopt(fd, SOL_SOCKET, NN_SO_NETNS_COOKIE, cookie, &len) != 0)
    err = errno;
  nn_close(&fd);
  return err;
}

/***
The kernel's unique number of a namespace, never used again as inodes are.
@function cookie
@param NS
@treturn[1] integer|string 64 bits; where Lua has no integers (before 5.3), one
that a number cannot hold is a string of its decimal digits
@return[2] nil where the kernel has none (before Linux 5.14)
@treturn[2] string message
@treturn[2] integer errno: ENOPROTOOPT
*/
static int ns_cookie(lua_State *L) {
  uint64_t cookie = 0;
  nn_ns *ns = nn_ns_arg(L, 1, "cookie");
  int err = 0;
  if (ns == NULL)
    return 3;
  if (ioctl(ns->fd, NN_NS_GET_ID, &cookie) != 0)
    err = nn_inside(L, ns->fd, cookie_of_socket, &cookie);
  nn_ns_done(ns);
  if (err != 0)
    return nn_fail(L, err, "cookie %s", nn_ns_label(L, 1));
  lua_pushinteger(L, (lua_Integer)cookie);
  return 1;
}

/***
Closes the descriptor. A namespace without name, process, socket or other
handle ends with it. Closing twice does no harm.
@function ns:close
@treturn boolean true
*/
static int ns_close(lua_State *L) {
  close_all(check_any(L, 1, "close"));
  lua_pushboolean(L, true);
  return 1;
}

static int ns_eq(lua_State *L) {
  nn_ns *a = nn_ns_test(L, 1), *b = nn_ns_test(L, 2);
  lua_pushboolean(L, a && b && a->fd >= 0 && b->fd >= 0 && a->dev == b->dev &&
                         a->ino == b->ino);
  return 1;
}

static int ns_tostring(lua_State *L) {
  nn_ns *ns = check_any(L, 1, "tostring");
  if (ns->fd < 0)
    lua_pushliteral(L, "netns.ns (closed)");
  else
    nn_format(L, "netns.ns (%s%sfd %d, net:[%ju])", ns->name,
              ns->name[0] != '\0' ? ", " : "", ns->fd, (uintmax_t)ns->ino);
  return 1;
}

/* A handle has no fields to set. */
static int ns_newindex(lua_State *L) {
  lua_settop(L, 3);
  lua_newtable(L);
  return nn_raise_key(L, "handle", 2, 4);
}

/* core.extend(handle, name, fields): has the handle look up its methods in
   `fields`, and messages call it by this name if it has none. */
static int handle_extend(lua_State *L) {
  nn_ns *ns = nn_ns_check(L, 1, "extend");
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_argcheck(L, len <= NN_NAME_MAX, 2, "too long");
  lua_settop(L, 3);
  lua_newtable(L);
  luaL_getmetatable(L, NN_NS);
  /* the same functions: before Lua 5.2, only then do two have one __eq */
  for (lua_pushnil(L); lua_next(L, 5); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 4);
  }
  lua_settop(L, 4);
  lua_pushvalue(L, 3);
  lua_setfield(L, 4, "__index");
  lua_setmetatable(L, 1);
  if (nn_ns_name(ns)[0] == '\0') {
    memcpy(ns->name, name, len + 1);
    ns->nameless = true;
  }
  lua_settop(L, 1);
  return 1;
}

/* core.label(NS): how messages call it. */
static int handle_label(lua_State *L) {
  luaL_checkany(L, 1);
  nn_ns_label(L, 1);
  return 1;
}

void nn_ns_functions(lua_State *L, const luaL_Reg *functions) {
  luaL_setfuncs(L, functions, 0);
  luaL_getmetatable(L, NN_NS);
  lua_getfield(L, -1, "__index");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 2);
}

void nn_open_handle(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", handle_open},
                                       {"current", handle_current},
                                       {"new", handle_new},
                                       {"extend", handle_extend},
                                       {"label", handle_label},
                                       {"ns_problem", handle_problem},
                                       {NULL, NULL}};
  static const luaL_Reg shared[] = {
      {"inode", ns_inode}, {"cookie", ns_cookie}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"fd", ns_fd}, {"name", ns_name}, {"close", ns_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", ns_close},
                                  {"__close", ns_close},
                                  {"__eq", ns_eq},
                                  {"__newindex", ns_newindex},
                                  {"__tostring", ns_tostring},
                                  {NULL, NULL}};
  nn_newtype(L, NN_NS, methods, meta);
  luaL_getmetatable(L, NN_NS);
  lua_pushboolean(L, true);
  lua_rawsetp(L, -2, &mark);
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
  nn_ns_functions(L, shared);
  luaL_getmetatable(L, NN_NS);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "methods"); /* the facade adds its own */
  lua_pop(L, 1);
}
