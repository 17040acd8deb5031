/* rootless.c - an ordinary user's process becomes root of namespaces of its
   own: user, network and mount, with a private directory of names. The network
   namespace is one of them because setns(2) back to one that belongs to another
   user namespace is refused, so that nothing could return from anywhere.

   It cannot be undone. So a child goes all the way first, on whose way nothing
   is allocated (it shares our memory), and we go after it where it arrived. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"
#include "spawn.h"

#define PARENT "/run" /* of the directory of names */
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)

enum step {
  STEP_CLONE,
  STEP_THREADS,
  STEP_NAMESPACES,
  STEP_GROUPS,
  STEP_USER,
  STEP_GROUP,
  STEP_LOOPBACK,
  STEP_PROPAGATION,
  STEP_NAMES,
  STEP_ENTRY
};

/* What Lua tells the reasons of, and a message says of each step. */
static const struct {
  const char *kind, *text;
} steps[] = {
    [STEP_CLONE] = {"clone", "cannot start a process to try it in"},
    [STEP_THREADS] = {"threads", "cannot enter a user namespace"},
    [STEP_NAMESPACES] = {"namespaces",
                         "cannot make user, network and mount namespaces"},
    [STEP_GROUPS] = {"map", "cannot write /proc/self/setgroups"},
    [STEP_USER] = {"map", "cannot write /proc/self/uid_map"},
    [STEP_GROUP] = {"map", "cannot write /proc/self/gid_map"},
    [STEP_LOOPBACK] = {"root", "cannot bring lo up"},
    [STEP_PROPAGATION] = {"root", "cannot make / a slave mount"},
    [STEP_NAMES] = {"root", "cannot mount a private " NN_RUN_DIR},
    [STEP_ENTRY] = {"root", "cannot bring back " PARENT "/"},
};

typedef struct nn_entry {
  char user[32], group[32]; /* the maps */
  const nn_dir *run;        /* PARENT's entries if NN_RUN_DIR is not there */

  /* What came of it. */
  enum step step;
  int err;
  const char *entry; /* of `run`, the one at hand */
} nn_entry;

CHILD static bool write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  nn_close(&fd);
  return ok;
}

CHILD static bool raise_loopback(void) {
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
  nn_close(&fd);
  return ok;
}

/* Mounts of the host go on to appear here, and ours do not there. All of them
   become shared on the way, since an unbindable one could not be brought back
   to PARENT. */
CHILD static bool make_slaves(void) {
  return mount("", "/", "none", MS_SHARED | MS_REC, NULL) == 0 &&
         mount("", "/", "none", MS_SLAVE | MS_REC, NULL) == 0;
}

CHILD static bool cover(const char *path) {
  return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") == 0;
}

/* A file or directory to mount an entry of `old` on. O_PATH, because the
   entry's own file system may refuse to be asked, as FUSE does. */
CHILD static bool make_place(int old, int run, const char *name) {
  int fd = openat(old, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno != ENOTDIR)
    return false;
  bool directory = fd >= 0;
  nn_close(&fd);
  if (directory)
    return mkdirat(run, name, 0755) == 0;
  return mknodat(run, name, S_IFREG | 0644, 0) == 0;
}

/* An entry of the covered directory `old`, with all that is mounted below, in
   the new one. What is gone by now is no loss. */
CHILD static bool bring_back(int old, int run, const char *name) {
  char target[PATH_MAX];
  ssize_t len = readlinkat(old, name, target, sizeof target - 1);
  if (len >= 0) {
    target[len] = '\0';
    return symlinkat(target, run, name) == 0;
  }
  if (errno != EINVAL) /* what EINVAL says is no symbolic link */
    return errno == ENOENT;
  int tree =
      (int)syscall(SYS_open_tree, old, name,
                   NN_OPEN_TREE_CLONE | NN_OPEN_TREE_CLOEXEC | NN_AT_RECURSIVE |
                       AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
  if (tree < 0)
    return errno == ENOENT;
  bool ok =
      make_place(old, run, name) && syscall(SYS_move_mount, tree, "", run, name,
                                            NN_MOVE_MOUNT_F_EMPTY_PATH) == 0;
  nn_close(&tree);
  return ok;
}

CHILD static bool bring_back_all(nn_entry *job, int old, int run) {
  const char *names = strrchr(NN_RUN_DIR, '/') + 1;
  job->step = STEP_ENTRY;
  for (size_t i = 0; i < job->run->count; i++) {
    job->entry = job->run->names[i];
    if (strcmp(job->entry, names) != 0 && !bring_back(old, run, job->entry))
      return false;
  }
  return true;
}

/* Where there is no directory of names, its parent is made anew, since an
   ordinary user cannot add to it. */
CHILD static bool renew_parent(nn_entry *job) {
  int run = -1, old = open(PARENT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool ok = old >= 0 && cover(PARENT);
  if (ok)
    run = open(PARENT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  ok = ok && run >= 0 && mkdir(NN_RUN_DIR, 0755) == 0 &&
       bring_back_all(job, old, run);
  nn_close(&run);
  nn_close(&old);
  return ok;
}

CHILD static bool make_names(nn_entry *job) {
  job->step = STEP_NAMES;
  return job->run == NULL ? cover(NN_RUN_DIR) : renew_parent(job);
}

/* All that follows the new namespaces. */
CHILD static bool settle(nn_entry *job) {
  job->step = STEP_GROUPS;
  if (!write_file("/proc/self/setgroups", "deny"))
    return false;
  job->step = STEP_USER;
  if (!write_file("/proc/self/uid_map", job->user))
    return false;
  job->step = STEP_GROUP;
  if (!write_file("/proc/self/gid_map", job->group))
    return false;
  job->step = STEP_LOOPBACK;
  if (!raise_loopback())
    return false;
  job->step = STEP_PROPAGATION;
  return make_slaves() && make_names(job);
}

CHILD static int rehearse(void *arg) {
  nn_entry *job = arg;
  job->step = STEP_NAMESPACES;
  if (unshare(NAMESPACES) != 0 || !settle(job)) {
    job->err = errno;
    _exit(1);
  }
  _exit(0);
}

static int try_in_child(nn_entry *job) {
  job->step = STEP_CLONE;
  int status = nn_helper(rehearse, job, 0);
  if (status < 0)
    return errno;
  return status == 0 || job->err != 0 ? job->err : EPERM; /* killed: seccomp */
}

/* The kernel takes its time to count out the namespaces of the child, which
   may have been the last ones that the user's limit allows. */
static int unshare_all(void) {
  const int64_t deadline = nn_deadline(20000);
  while (unshare(NAMESPACES) != 0) {
    if (errno != ENOSPC || nn_remaining(deadline) == 0)
      return errno;
    usleep(1000);
  }
  return 0;
}

/* --- from Lua ------------------------------------------------------------ */

/* Whether an errno says that the process may not, as a security module or a
   filter of system calls puts it, rather than that the attempt went wrong. */
static bool is_refusal(int err) {
  return err == EPERM || err == EACCES || err == EROFS || err == ENOSYS;
}

/* Whether the process may do something, of whose attempt `err` is the errno, 0
   if it has succeeded. Otherwise *failure is set to what went wrong. */
static bool may(int err, int *failure) {
  if (err != 0 && !is_refusal(err))
    *failure = err;
  return err == 0;
}

static int try_return(lua_State *L) {
  int home = nn_home(L);
  int err = home >= 0 && setns(home, CLONE_NEWNET) == 0 ? 0 : errno;
  nn_close(&home);
  return err;
}

/* The mount that there is not comes after the question of rights. */
static int try_mount(void) {
  int err = mount(NULL, "/", NULL, MS_MOVE, NULL) == 0 ? 0 : errno;
  return err == EINVAL ? 0 : err;
}

static int try_write(const char *path) {
  return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

static int try_names(void) {
  int err = try_write(NN_RUN_DIR);
  return err == ENOENT ? try_write(PARENT) : err;
}

/* core.able(): whether the process can do already what it is to be able to do
   afterwards; nil, message, errno if that cannot be told. */
static int rootless_able(lua_State *L) {
  int failure = 0;
  bool able = nn_capable(CAP_NET_ADMIN) && may(try_return(L), &failure) &&
              may(try_names(), &failure) && may(try_mount(), &failure);
  if (failure != 0)
    return nn_fail(L, failure,
                   "rootless: cannot tell what this process may do");
  lua_pushboolean(L, able);
  return 1;
}

static int failed(lua_State *L, const nn_entry *job) {
  const char *kind = steps[job->step].kind;
  nn_fail(L, job->err, "rootless: %s%s", steps[job->step].text,
          job->step == STEP_ENTRY ? job->entry : "");
  if (strcmp(kind, "map") == 0 && prctl(PR_GET_DUMPABLE) != 1)
    kind = "not ours"; /* the files below /proc/self */
  lua_pushstring(L, kind);
  return 4;
}

/* As far as there is a way back. */
static int prepare(nn_entry *job, nn_dir *run) {
  job->step = STEP_THREADS;
  if (unshare(CLONE_THREAD) != 0 && errno == EINVAL) /* changes nothing */
    return EINVAL;
  job->step = STEP_NAMES;
  if (access(NN_RUN_DIR, F_OK) != 0) {
    if (errno != ENOENT)
      return errno;
    job->run = run;
    int err = nn_dir_read(run, PARENT);
    if (err != 0)
      return err;
  }
  int err = try_in_child(job);
  if (err != 0)
    return err;
  job->step = STEP_NAMESPACES;
  return unshare_all();
}

/* core.rootless(): true; or nil, message, errno, and at what kind of step, with
   the process as it was. An error if it is not. */
static int rootless_rootless(lua_State *L) {
  nn_entry job = {.err = 0};
  snprintf(job.user, sizeof job.user, "0 %u 1", (unsigned)geteuid());
  snprintf(job.group, sizeof job.group, "0 %u 1", (unsigned)getegid());
  nn_dir *run = nn_dir_push(L);
  job.err = prepare(&job, run);
  bool away = job.err == 0;
  if (away && !settle(&job))
    job.err = errno;
  int results = job.err != 0 ? failed(L, &job) : 1;
  nn_dir_close(run);
  if (job.err == 0)
    lua_pushboolean(L, true);
  else if (away)
    return nn_raise(L,
                    "%s; this process is in namespaces now that are not "
                    "ready",
                    lua_tostring(L, -3));
  return results;
}

void nn_open_rootless(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"able", rootless_able}, {"rootless", rootless_rootless}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
