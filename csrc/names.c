/***
names.c: names are given and taken away: add, attach, delete.
@module netns
*/
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"

bool nn_name_valid(const char *name, size_t len) {
  return len >= 1 && len <= NN_NAME_MAX && strlen(name) == len &&
         strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
         strcmp(name, "..") != 0;
}

/* The name at `arg`, a string; NULL after the three results of the failure. */
static const char *check_name(lua_State *L, int arg, const char *what) {
  size_t len;
  const char *name = nn_arg_string(L, arg, what, "name", &len);
  if (nn_name_valid(name, len))
    return name;
  nn_fail(L, EINVAL, "%s \"%s\"", what, name);
  return NULL;
}

/* The path of a name, which is valid. */
struct path {
  char text[sizeof NN_RUN_DIR + 1 + NN_NAME_MAX];
};

static struct path path_of(const char *name) {
  struct path path;
  snprintf(path.text, sizeof path.text, NN_RUN_DIR "/%s", name);
  return path;
}

/* Whether the directory is a shared mount already, asked without the cost of
   reading mountinfo or of walking over all the mounts below (which is what
   MS_SHARED|MS_REC does, also when there is nothing to change). False where
   the kernel cannot say (before 6.8). */
static bool is_shared(void) {
  struct nn_statx sx;
  struct nn_statmount sm;
  struct nn_mnt_id_req req = {.size = 24, .param = NN_STATMOUNT_MNT_BASIC};
  if (syscall(SYS_statx, AT_FDCWD, NN_RUN_DIR, 0, NN_STATX_MNT_ID_UNIQUE,
              &sx) != 0 ||
      !(sx.mask & NN_STATX_MNT_ID_UNIQUE) ||
      !(sx.attributes & NN_STATX_ATTR_MOUNT_ROOT))
    return false;
  req.mnt_id = sx.mnt_id;
  return syscall(NN_SYS_STATMOUNT, &req, &sm, sizeof sm, 0) == 0 &&
         (sm.mnt_propagation & MS_SHARED) != 0;
}

/* Makes the directory a shared mount of a peer group of its own, so that what
   is unmounted in one mount namespace goes from all of them. */
static int share(void) {
  if (mount("", NN_RUN_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
    return 0;
  if (errno != EINVAL) /* EINVAL: not a mount point yet */
    return errno;
  if (mount(NN_RUN_DIR, NN_RUN_DIR, "none", MS_BIND | MS_REC, NULL) != 0)
    return errno;
  if (mount("", NN_RUN_DIR, "none", MS_PRIVATE | MS_REC, NULL) != 0 ||
      mount("", NN_RUN_DIR, "none", MS_SHARED | MS_REC, NULL) != 0) {
    int err = errno;
    umount2(NN_RUN_DIR, MNT_DETACH); /* the bind of just now */
    return err;
  }
  return 0;
}

/* Opens the directory of the names and locks it, by flock(2) as current
   iproute2 does; -1 and errno. Two that bind the directory at once would stack
   mounts; two that delete a name at once would both have done it, or take away
   another one that a third has just added. */
static int lock_dir(void) {
  int dir = open(NN_RUN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (dir >= 0 && flock(dir, LOCK_EX) != 0)
    if (errno != EINTR)
      nn_close(&dir);
  return dir;
}

/* Closing is not enough: another thread may have forked meanwhile. */
static void unlock_dir(int dir) {
  flock(dir, LOCK_UN);
  nn_close(&dir);
}

/* The same for the directory that is made ready for names. */
static int prepare_dir(void) {
  if (mkdir(NN_RUN_DIR, 0755) != 0 && errno != EEXIST)
    return -1;
  int dir = lock_dir(), err = 0;
  if (dir < 0 || is_shared() || (err = share()) == 0)
    return dir;
  unlock_dir(dir);
  errno = err;
  return -1;
}

static int bind_fd(int fd, const char *path) {
  char source[64];
  snprintf(source, sizeof source, "/proc/thread-self/fd/%d", fd);
  return mount(source, path, "none", MS_BIND, NULL) == 0 ? 0 : errno;
}

/* A file, and the namespace bound over it. Nothing lies between the two, so
   that a process killed here hardly ever leaves the file alone. */
static int bind_name(const nn_ns *ns, const char *path) {
  int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
  if (fd < 0)
    return errno;
  int err = bind_fd(ns->fd, path);
  if (err != 0)
    unlink(path); /* if that fails as well, `err` still tells why */
  nn_close(&fd);
  return err;
}

/* Gives `ns` the name; 0 or an errno. */
static int give_name(nn_ns *ns, const char *name) {
  int dir = prepare_dir();
  if (dir < 0)
    return errno;
  int err = bind_name(ns, path_of(name).text);
  unlock_dir(dir);
  if (err == 0) {
    snprintf(ns->name, sizeof ns->name, "%s", name);
    ns->nameless = false;
  }
  return err;
}

/***
Makes a namespace and gives it a name: `ip netns add NAME`.
Needs CAP_SYS_ADMIN.
@function add
@tparam string name 1 to 255 bytes without a slash, not `.` nor `..`
@treturn[1] ns a handle
@return[2] nil, and nothing has changed
@treturn[2] string message
@treturn[2] integer errno: EEXIST, EINVAL, EPERM, ENOSPC …
*/
static int names_add(lua_State *L) {
  struct stat st;
  const char *name = check_name(L, 1, "add");
  if (name == NULL)
    return 3;
  nn_ns *ns = nn_ns_push(L);
  /* A namespace is dear: look first. O_EXCL is what decides. */
  int err = lstat(path_of(name).text, &st) == 0 ? EEXIST : nn_create(L, ns);
  if (err == 0)
    err = give_name(ns, name);
  if (err == 0)
    return 1;
  nn_close(&ns->fd);
  return nn_fail(L, err, "add \"%s\"", name);
}

/***
Gives a name to a namespace that exists: `ip netns attach NAME PID`.
A handle without a name, given as NS, goes by it from then on.
@function attach
@tparam string name
@param NS
@treturn[1] ns a new handle
@return[2] nil, and nothing has changed
@treturn[2] string message
@treturn[2] integer errno: EEXIST, EINVAL, ESRCH, EPERM …
*/
static int names_attach(lua_State *L) {
  const char *name = check_name(L, 1, "attach");
  if (name == NULL)
    return 3;
  lua_settop(L, 2);
  nn_ns *from = nn_ns_arg(L, 2, lua_pushfstring(L, "attach \"%s\"", name));
  if (from == NULL)
    return 3;
  nn_ns *ns = nn_ns_push(L);
  int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
  int err = fd < 0 ? errno : nn_ns_adopt(ns, fd, "");
  if (err == 0)
    err = give_name(ns, name);
  nn_ns_done(from);
  if (err != 0) {
    nn_close(&ns->fd);
    return nn_fail(L, err, "attach \"%s\"", name);
  }
  if (nn_ns_name(from)[0] == '\0') {
    snprintf(from->name, sizeof from->name, "%s", name);
    from->nameless = false;
  }
  return 1;
}

/* Unmounts what is on the path as long as that is a namespace: a raced set-up
   may have left several, which *count counts. Nothing else is ever unmounted.
   0 or an errno. */
static int unmount_name(const char *path, int *count) {
  struct statfs fs;
  int races = 0; /* lost to others who unmount it: then look again */
  for (;;) {
    if (statfs(path, &fs) != 0)
      return errno;
    if (fs.f_type != NSFS_MAGIC)
      return 0;
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
      ++*count;
    else if (errno != EINVAL || ++races > 3)
      return errno;
  }
}

/* Takes the file away, and the namespace that is bound over it; 0, or an errno
   with the name as it was. */
static int unbind_name(const char *path) {
  struct stat st;
  int unmounted = 0;
  if (lstat(path, &st) != 0)
    return errno;
  if (S_ISLNK(st.st_mode)) /* nothing is mounted on it */
    return unlink(path) == 0 ? 0 : errno;
  int fd = nn_open_at(AT_FDCWD, path); /* to bind it again */
  if (fd < 0 && errno != NN_ENOTNS)
    return errno;
  int err = unmount_name(path, &unmounted);
  if (err == 0 && unlink(path) != 0)
    err = errno;
  if (err != 0 && unmounted > 0 && fd >= 0)
    bind_fd(fd, path); /* if that fails as well, the first errno tells why */
  nn_close(&fd);
  return err;
}

/***
Takes a name away: `ip netns delete NAME`. The namespace itself goes with its
last process, socket and descriptor. A file that is no namespace, left by an
interrupted add, is removed as well.
@function remove
@tparam string name
@treturn[1] boolean true
@return[2] nil, and the name is still there
@treturn[2] string message
@treturn[2] integer errno: ENOENT, EINVAL, EPERM …
@local
*/
static int names_remove(lua_State *L) {
  const char *name = check_name(L, 1, "delete");
  if (name == NULL)
    return 3;
  int dir = lock_dir();
  int err = dir < 0 ? errno : unbind_name(path_of(name).text);
  if (dir >= 0)
    unlock_dir(dir);
  if (err != 0)
    return nn_fail(L, err, "delete \"%s\"", name);
  lua_pushboolean(L, true);
  return 1;
}

void nn_open_names(lua_State *L) {
  static const luaL_Reg functions[] = {{"add", names_add},
                                       {"attach", names_attach},
                                       {"remove", names_remove},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
