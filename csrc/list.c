/***
list.c: the names are read: names, list, identify.
@module netns
*/
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "netns.h"

/* Reads the directory of the names; one that is not there has none. */
static nn_dir *push_names(lua_State *L, int *err) {
  nn_dir *dir = nn_dir_push(L);
  *err = nn_dir_read(dir, NN_RUN_DIR);
  if (*err == ENOENT)
    *err = 0;
  return dir;
}

/* Leaves in `dir` the names of `ns` alone. */
static void keep_names_of(nn_dir *dir, const nn_ns *ns) {
  struct stat st;
  size_t kept = 0;
  for (size_t i = 0; i < dir->count; i++)
    if (fstatat(dir->fd, dir->names[i], &st, 0) == 0 && st.st_ino == ns->ino &&
        st.st_dev == ns->dev)
      dir->names[kept++] = dir->names[i];
  dir->count = kept;
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
    keep_names_of(dir, ns);
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

/* Whether the entry `name` is still there, whatever it is. */
static bool exists(const nn_dir *dir, const char *name) {
  struct stat st;
  return fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Opens an entry if it is on `nsfs`, the device of all namespaces. What is no
   regular file, a symbolic link say, is only opened if it leads there; for the
   others that look is saved. The kernel tells a network namespace from others
   when it is asked for the id. */
static int open_entry(const nn_dir *dir, const char *name, dev_t nsfs,
                      struct stat *st) {
  errno = EINVAL;
  if (!nn_dir_regular(name) &&
      (fstatat(dir->fd, name, st, 0) != 0 || st->st_dev != nsfs))
    return -1;
  int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 && (fstat(fd, st) != 0 || st->st_dev != nsfs))
    nn_close(&fd);
  return fd;
}

/* Pushes { name=, inode=, id=, stale= } for an entry of the directory. Pushes
   nothing and returns 0 if it has gone meanwhile; -1 if the kernel failed. */
static int push_entry(lua_State *L, const nn_dir *dir, const char *name,
                      dev_t nsfs, nn_rtnl *rtnl, nn_ack *ack) {
  struct stat st;
  int fd = open_entry(dir, name, nsfs, &st);
  if (fd < 0 && nn_exhausted(errno)) {
    ack->err = errno;
    return -1;
  }
  if (fd < 0 && !exists(dir, name))
    return 0;
  int id = -1;
  bool stale = fd < 0;
  if (!stale && nn_id_of(rtnl, fd, &id, ack) != 0)
    stale = ack->err == EINVAL;
  nn_close(&fd);
  if (!stale && ack->err != 0)
    return -1;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  if (stale) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "stale");
    return 1;
  }
  lua_pushinteger(L, (lua_Integer)st.st_ino);
  lua_setfield(L, -2, "inode");
  if (id >= 0) {
    lua_pushinteger(L, id);
    lua_setfield(L, -2, "id");
  }
  return 1;
}

/***
All names with what they name: `ip netns list`.
@function list
@treturn[1] {table,...} sorted by name: `name`; `inode`; `id` as the calling
thread's namespace knows it, if one is assigned; `stale=true` for what is no
network namespace
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int list_list(lua_State *L) {
  dev_t nsfs = 0;
  int err;
  nn_ack ack = {0};
  lua_Integer n = 0;
  nn_dir *dir = push_names(L, &err);
  nn_rtnl *rtnl = nn_rtnl_push(L);
  if (err == 0 && (nsfs = nn_nsfs(L)) == 0)
    err = errno;
  if (err != 0) {
    nn_dir_close(dir);
    return nn_fail(L, err, "list: " NN_RUN_DIR);
  }
  nn_dir_sort(dir);
  lua_createtable(L, (int)dir->count, 0);
  if (dir->count > 0)
    err = nn_rtnl_open(rtnl);
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    int pushed = push_entry(L, dir, dir->names[i], nsfs, rtnl, &ack);
    if (pushed < 0)
      err = ack.err;
    else if (pushed > 0)
      lua_rawseti(L, -2, ++n);
  }
  nn_dir_close(dir);
  nn_rtnl_close(rtnl);
  return err == 0 ? 1 : nn_fail(L, err, "list");
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
