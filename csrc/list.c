/***
list.c: the names are read: names, list, identify.
@module netns
*/
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "kernel.h"
#include "netns.h"

/* Reads the directory of the names; one that is not there has none. */
static nn_dir *push_names(lua_State *L, int *err) {
  nn_dir *dir = nn_dir_push(L);
  *err = nn_dir_read(dir, NN_RUN_DIR);
  if (*err == ENOENT)
    *err = 0;
  return dir;
}

/* Leaves in `dir` the names of `ns` alone; 0 or an errno. */
static int keep_names_of(nn_dir *dir, const nn_ns *ns) {
  struct stat st;
  size_t kept = 0;
  for (size_t i = 0; i < dir->count; i++) {
    if (fstatat(dir->fd, dir->names[i], &st, 0) != 0) {
      if (!nn_missing(errno))
        return errno;
    } else if (st.st_ino == ns->ino && st.st_dev == ns->dev) {
      dir->names[kept++] = dir->names[i];
    }
  }
  dir->count = kept;
  return 0;
}

static void push_sorted(lua_State *L, nn_dir *dir) {
  nn_dir_sort(dir);
  lua_createtable(L, (int)dir->count, 0);
  for (size_t i = 0; i < dir->count; i++) {
    lua_pushstring(L, dir->names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* The names of `ns`, or all for NULL; frees what `ns` holds for the call. */
static int return_names(lua_State *L, nn_ns *ns, const char *what) {
  int err;
  nn_dir *dir = push_names(L, &err);
  if (err == 0 && ns != NULL)
    err = keep_names_of(dir, ns);
  if (err == 0)
    push_sorted(L, dir);
  nn_dir_close(dir);
  if (ns != NULL)
    nn_ns_done(ns);
  return err == 0 ? 1 : nn_fail(L, err, "%s: " NN_RUN_DIR, what);
}

/***
All names, sorted; without arguments the cheapest look at them, which does not
tell a namespace from a leftover. With a NS (or as a method) the names of that
namespace.
@function names
@param[opt] NS
@treturn[1] {string,...}
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int list_names(lua_State *L) {
  nn_ns *ns = NULL;
  if (!lua_isnone(L, 1) && (ns = nn_ns_arg(L, 1, "names")) == NULL)
    return 3;
  return return_names(L, ns, "names");
}

/* Opens an entry if it is on `nsfs`, the device of all namespaces, of which the
   kernel tells a network namespace from others when it is asked for the id.
   Nothing else is opened, as that may have an effect, or block: a FIFO may be
   bound over the file. 0, NN_ENOTNS, ENOENT for an entry that has gone, or
   another errno if it cannot be looked at. */
static int open_entry(const nn_dir *dir, const char *name, dev_t nsfs,
                      struct stat *st, int *fd) {
  *fd = -1;
  if (fstatat(dir->fd, name, st, 0) != 0) {
    if (!nn_missing(errno))
      return errno;
    /* it has gone, or it is a symbolic link that leads nowhere */
    return fstatat(dir->fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 ? NN_ENOTNS
                                                                : errno;
  }
  if (st->st_dev != nsfs)
    return NN_ENOTNS;
  *fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (*fd < 0)
    return errno;
  int err = fstat(*fd, st) != 0 ? errno : st->st_dev != nsfs ? NN_ENOTNS : 0;
  if (err != 0)
    nn_close(fd);
  return err;
}

/* What `name` is: 0 and its id, or an errno as from open_entry. */
static int look_at(const nn_dir *dir, const char *name, dev_t nsfs,
                   nn_rtnl *rtnl, struct stat *st, int *id) {
  nn_ack ack;
  int fd, err = open_entry(dir, name, nsfs, st, &fd);
  *id = -1;
  if (err == 0)
    err = nn_id_of(rtnl, fd, id, &ack);
  if (err == EINVAL && fd >= 0) { /* so says the kernel of other namespaces */
    int type = ioctl(fd, NN_NS_GET_NSTYPE);
    err = type < 0 ? errno : type == CLONE_NEWNET ? EINVAL : NN_ENOTNS;
  }
  nn_close(&fd);
  return err;
}

/* Pushes { name=, inode=, id=, stale= } for an entry of the directory; 0, or an
   errno with nothing pushed, ENOENT if it has gone. */
static int push_entry(lua_State *L, const nn_dir *dir, const char *name,
                      dev_t nsfs, nn_rtnl *rtnl) {
  struct stat st;
  int id, err = look_at(dir, name, nsfs, rtnl, &st, &id);
  if (err != 0 && err != NN_ENOTNS)
    return err;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  if (err == NN_ENOTNS) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "stale");
    return 0;
  }
  lua_pushinteger(L, (lua_Integer)st.st_ino);
  lua_setfield(L, -2, "inode");
  if (id >= 0) {
    lua_pushinteger(L, id);
    lua_setfield(L, -2, "id");
  }
  return 0;
}

/***
All names with what they name: `ip netns list`.
@function list
@treturn[1] {table,...} sorted by name: `name`; `inode`; `id` as the calling
thread's namespace knows it, if one is assigned; `stale=true` for a file that
is known to be no network namespace
@return[2] nil, if one of them cannot be looked at
@treturn[2] string message
@treturn[2] integer errno
*/
static int list_list(lua_State *L) {
  dev_t nsfs = 0;
  int err;
  const char *at = NN_RUN_DIR;
  lua_Integer n = 0;
  nn_dir *dir = push_names(L, &err);
  nn_rtnl *rtnl = nn_rtnl_push(L);
  if (err == 0 && (nsfs = nn_nsfs(L)) == 0)
    err = errno;
  if (err == 0 && dir->count > 0)
    err = nn_rtnl_open(rtnl);
  if (err == 0)
    nn_dir_sort(dir);
  lua_createtable(L, (int)dir->count, 0);
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    at = dir->names[i];
    err = push_entry(L, dir, at, nsfs, rtnl);
    if (err == 0)
      lua_rawseti(L, -2, ++n);
    else if (err == ENOENT)
      err = 0;
  }
  if (err != 0)
    nn_fail(L, err, "list: %s", at);
  nn_dir_close(dir);
  nn_rtnl_close(rtnl);
  return err == 0 ? 1 : 3;
}

/***
The names of a process's namespace, all of them: `ip netns identify [PID]`.
@function identify
@param[opt] NS the process; the calling thread if there is none
@treturn[1] {string,...} sorted
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno: ESRCH
*/
static int list_identify(lua_State *L) {
  nn_ns *ns;
  if (lua_isnoneornil(L, 1)) {
    ns = nn_ns_push(L);
    int fd = nn_home(L);
    int err = fd < 0 ? errno : nn_ns_adopt(ns, fd, "");
    if (err != 0)
      return nn_fail(L, err, "identify");
    ns->temporary = true;
  } else if ((ns = nn_ns_arg(L, 1, "identify")) == NULL) {
    return 3;
  }
  return return_names(L, ns, "identify");
}

void nn_open_list(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"list", list_list}, {"identify", list_identify}, {NULL, NULL}};
  static const luaL_Reg shared[] = {{"names", list_names}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  nn_ns_functions(L, shared);
}
