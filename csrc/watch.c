/* watch.c - what tells a monitor of the names, each source read without
   blocking when its gate says so. What the events mean together is made out in
   lua/netns/monitor.lua. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"

#define TYPE "netns.watch"

/* All descriptors are -1 when closed. */
typedef struct nn_watch {
  int inotify; /* files of the directory */
  int mounts;  /* fanotify on the mount namespace, or mountinfo */
  int changes; /* without fanotify: mountinfo once more, see watch_mounts */
  bool fanotify;
  int wd; /* of the directory, or of its parent while it is not there */
  bool parent;
} nn_watch;

static void close_watch(nn_watch *watch) {
  nn_close(&watch->inotify);
  nn_close(&watch->mounts);
  nn_close(&watch->changes);
}

static nn_watch *check_watch(lua_State *L) {
  nn_watch *watch = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, watch->inotify >= 0, 1, "monitor is closed");
  return watch;
}

/* Where the kernel has events of a mount namespace (6.15) they say which mount
   it was; needs CAP_SYS_ADMIN. */
static int open_fanotify(void) {
  int fd = fanotify_init(NN_FAN_REPORT_MNT | FAN_CLOEXEC | FAN_NONBLOCK, 0);
  int ns = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (fd >= 0 &&
      fanotify_mark(fd, FAN_MARK_ADD | NN_FAN_MARK_MNTNS,
                    NN_FAN_MNT_ATTACH | NN_FAN_MNT_DETACH, ns, NULL) != 0)
    nn_close(&fd);
  nn_close(&ns);
  return fd;
}

/* Watches the directory of names, or, while it is not there, its parent for it
   to come. Sets *changed if that is another one than before. */
static int watch_dir(nn_watch *watch, bool *changed) {
  bool parent = false;
  int wd = inotify_add_watch(watch->inotify, NN_RUN_DIR,
                             IN_ONLYDIR | IN_CREATE | IN_DELETE |
                                 IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF);
  if (wd < 0 && errno == ENOENT) {
    char path[] = NN_RUN_DIR;
    *strrchr(path, '/') = '\0';
    parent = true;
    wd = inotify_add_watch(watch->inotify, path,
                           IN_ONLYDIR | IN_CREATE | IN_MOVED_TO);
  }
  if (wd < 0)
    return errno;
  *changed = wd != watch->wd;
  if (*changed && watch->wd >= 0)
    inotify_rm_watch(watch->inotify, watch->wd);
  watch->wd = wd;
  watch->parent = parent;
  return 0;
}

/* Opens the sources, and has the gate at `arg` wait for them; 0 or an errno. */
static int open_sources(lua_State *L, int arg, nn_watch *watch, bool fanotify) {
  bool changed = false;
  watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watch->inotify < 0)
    return errno;
  int err = nn_gate_add(L, arg, watch->inotify, EPOLLIN);
  if (err == 0 && fanotify) {
    watch->mounts = open_fanotify();
    watch->fanotify = watch->mounts >= 0;
  }
  if (err == 0 && !watch->fanotify) {
    watch->mounts = open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
    watch->changes = open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (watch->mounts < 0 || watch->changes < 0)
      err = errno;
  }
  if (err == 0)
    err = nn_gate_add(L, arg, watch->mounts,
                      watch->fanotify ? EPOLLIN : EPOLLPRI);
  return err != 0 ? err : watch_dir(watch, &changed);
}

/* core.watch(gate, fanotify): `fanotify` false asks for the way of older
   kernels. */
static int watch_open(lua_State *L) {
  nn_watch *watch = lua_newuserdata(L, sizeof *watch);
  *watch = (nn_watch){-1, -1, -1, false, -1, false};
  luaL_setmetatable(L, TYPE);
  int err = open_sources(L, 1, watch, lua_toboolean(L, 2));
  if (err == 0)
    return 1;
  close_watch(watch);
  return nn_fail(L, err, "monitor " NN_RUN_DIR);
}

/* watch:follow(): watches the directory of names that is there now. True if
   that is another one than before. */
static int watch_follow(lua_State *L) {
  nn_watch *watch = check_watch(L);
  bool changed = false;
  int err = watch_dir(watch, &changed);
  if (err != 0)
    return nn_fail(L, err, "monitor " NN_RUN_DIR);
  lua_pushboolean(L, changed);
  return 1;
}

/* watch:files(): what happened in the directory, as an array of actions
   ("create", "delete", "overflow", "gone", "parent") each followed by a name,
   "" where there is none. */
static int watch_files(lua_State *L) {
  char buffer[16384] __attribute__((aligned(8)));
  nn_watch *watch = check_watch(L);
  const char *base = strrchr(NN_RUN_DIR, '/') + 1;
  lua_Integer n = 0;
  ssize_t len;
  lua_newtable(L);
  int table = lua_gettop(L);
  while ((len = read(watch->inotify, buffer, sizeof buffer)) > 0) {
    for (ssize_t at = 0; at < len;) {
      const struct inotify_event *event = (const void *)(buffer + at);
      const char *name = event->len > 0 ? event->name : "", *action = NULL;
      at += (ssize_t)(sizeof *event + event->len);
      if (event->mask & IN_Q_OVERFLOW)
        action = "overflow";
      else if (event->wd != watch->wd)
        continue; /* of a directory that was replaced */
      else if (event->mask & IN_IGNORED)
        action = "gone";
      else if (watch->parent)
        action = strcmp(name, base) == 0 ? "parent" : NULL;
      else if (event->mask & (IN_CREATE | IN_MOVED_TO))
        action = "create";
      else if (event->mask & (IN_DELETE | IN_MOVED_FROM))
        action = "delete";
      if (action == NULL)
        continue;
      if (event->mask & IN_IGNORED)
        watch->wd = -1;
      lua_pushstring(L, action);
      lua_rawseti(L, table, ++n);
      lua_pushstring(L, name);
      lua_rawseti(L, table, ++n);
    }
  }
  if (len < 0 && errno != EAGAIN) /* what was read is looked for again */
    return nn_fail(L, errno, "monitor " NN_RUN_DIR);
  return 1;
}

struct mnt_info { /* fanotify_event_info_mnt */
  struct fanotify_event_info_header header;
  uint64_t mnt_id;
};

/* 1 if mountinfo has changed since the last call, 0 if not, -1 and errno.
   Whoever polls a mountinfo takes the news away, so one is in the epoll set,
   which others may poll, and one is asked here alone. */
static int mounts_changed(nn_watch *watch) {
  struct pollfd change = {.fd = watch->changes, .events = POLLPRI};
  return poll(&change, 1, 0);
}

/* watch:mounts(): the ids of what was mounted, of what was unmounted, and
   whether events were lost. Where the kernel does not tell ids, only whether
   there was any change. */
static int watch_mounts(lua_State *L) {
  char buffer[8192] __attribute__((aligned(8)));
  nn_watch *watch = check_watch(L);
  bool overflow = false;
  lua_Integer attached = 0, detached = 0;
  ssize_t len;
  if (!watch->fanotify) {
    int changed = mounts_changed(watch);
    if (changed < 0)
      return nn_fail(L, errno, "monitor: mountinfo");
    lua_pushboolean(L, changed);
    return 1;
  }
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  while ((len = read(watch->mounts, buffer, sizeof buffer)) > 0) {
    const struct fanotify_event_metadata *event = (const void *)buffer;
    for (; FAN_EVENT_OK(event, len); event = FAN_EVENT_NEXT(event, len)) {
      const struct mnt_info *info = (const void *)(event + 1);
      if (event->mask & FAN_Q_OVERFLOW)
        overflow = true;
      if (event->event_len < sizeof *event + sizeof *info ||
          info->header.info_type != NN_FAN_EVENT_INFO_TYPE_MNT)
        continue;
      lua_pushinteger(L, (lua_Integer)info->mnt_id);
      if (event->mask & NN_FAN_MNT_ATTACH)
        lua_rawseti(L, 2, ++attached);
      else
        lua_rawseti(L, 3, ++detached);
    }
  }
  if (len < 0 && errno != EAGAIN)
    return nn_fail(L, errno, "monitor: mounts");
  lua_pushboolean(L, overflow);
  return 3;
}

/* core.mount_of(name): the inode of the namespace that a name opens, and the
   id of the mount that makes it so (0 where the kernel has no unique ids);
   false for a file that is no namespace, nil for none; nil, message, errno if
   there is no way to know. */
static int watch_mount_of(lua_State *L) {
  char path[sizeof NN_RUN_DIR + 1 + NN_NAME_MAX];
  struct nn_statx sx;
  snprintf(path, sizeof path, NN_RUN_DIR "/%s", luaL_checkstring(L, 1));
  int fd = nn_open_at(AT_FDCWD, path);
  bool failed =
      fd < 0 || syscall(SYS_statx, fd, "", AT_EMPTY_PATH,
                        NN_STATX_INO | NN_STATX_MNT_ID_UNIQUE, &sx) != 0;
  int err = errno;
  nn_close(&fd);
  if (failed) {
    struct stat st;
    bool leads_nowhere = nn_missing(err) && lstat(path, &st) == 0;
    if (nn_missing(err) && !leads_nowhere)
      err = errno;
    if (err == ENOENT && !leads_nowhere)
      lua_pushnil(L);
    else if (err == NN_ENOTNS || leads_nowhere)
      lua_pushboolean(L, false);
    else
      return nn_fail(L, err, "%s", path);
    return 1;
  }
  bool unique = (sx.mask & NN_STATX_MNT_ID_UNIQUE) != 0;
  lua_pushinteger(L, (lua_Integer)sx.ino);
  lua_pushinteger(L, unique ? (lua_Integer)sx.mnt_id : 0);
  return 2;
}

static int watch_close(lua_State *L) {
  close_watch(luaL_checkudata(L, 1, TYPE));
  lua_pushboolean(L, true);
  return 1;
}

void nn_open_watch(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"watch", watch_open}, {"mount_of", watch_mount_of}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"follow", watch_follow},
                                     {"files", watch_files},
                                     {"mounts", watch_mounts},
                                     {"close", watch_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", watch_close}, {NULL, NULL}};
  nn_newtype(L, TYPE, methods, meta);
  luaL_setfuncs(L, functions, 0);
}
