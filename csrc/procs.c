/***
procs.c: the processes of namespaces, by a walk through /proc.
@module netns
*/
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/sockios.h>

#include "kernel.h"
#include "netns.h"

/* The link of the user namespace that the machine starts with: its number is
   fixed (PROC_USER_INIT_INO). */
#define INITIAL_USERNS "user:[4026531837]"

/* Whether a process that we may not look at (EACCES) is certainly not in a
   namespace `fd` (-1: in any that we know of): we are in a user namespace of
   our own, to which the network namespace belongs, and may look at all that is
   in it. What is outside could only have come in as root of the host. */
static bool is_outside(int fd) {
  char own[64];
  ssize_t len = readlink("/proc/thread-self/ns/user", own, sizeof own - 1);
  own[len < 0 ? 0 : len] = '\0';
  if (len < 0 || strcmp(own, INITIAL_USERNS) == 0 ||
      !nn_capable(CAP_SYS_PTRACE))
    return false;
  int owner = fd < 0 ? -1 : ioctl(fd, NN_NS_GET_USERNS);
  bool ours = fd < 0 || owner >= 0;
  nn_close(&owner);
  return ours;
}

/* Sets *ino to the inode of the network namespace of a process, to 0 if it has
   none: it has ended, or is_outside(ns). 0, or an errno if that cannot be told.
   Reading the link is a tenth to a quarter faster than stat(2). */
static int net_of(int proc, const char *pid, int ns, ino_t *ino) {
  static const char prefix[] = "net:[";
  char path[64], text[64];
  strcpy(stpcpy(path, pid), "/ns/net"); /* see is_pid: it fits */
  ssize_t len = readlinkat(proc, path, text, sizeof text - 1);
  *ino = 0;
  if (len < 0) {
    int err = errno;
    bool none = err == ENOENT || err == ESRCH;
    return none || (err == EACCES && is_outside(ns)) ? 0 : err;
  }
  text[len] = '\0';
  if (strncmp(text, prefix, sizeof prefix - 1) != 0)
    return EPROTO;
  *ino = (ino_t)strtoul(text + sizeof prefix - 1, NULL, 10);
  return 0;
}

static bool is_pid(const char *name) {
  size_t digits = strspn(name, "0123456789");
  return digits > 0 && digits < 12 && name[digits] == '\0';
}

/* Reads /proc and leaves the processes, ascending as the kernel lists them. */
static int read_processes(nn_dir *dir) {
  size_t kept = 0;
  int err = nn_dir_read(dir, "/proc");
  for (size_t i = 0; i < dir->count; i++)
    if (is_pid(dir->names[i]))
      dir->names[kept++] = dir->names[i];
  dir->count = kept;
  return err;
}

/***
The processes that are in a namespace: `ip netns pids NAME`. In a user namespace
of its own, as after @{rootless}, a process sees those of that one.
@function pids
@param NS
@treturn[1] {integer,...} ascending
@return[2] nil, if the namespace of a process cannot be told
@treturn[2] string message
@treturn[2] integer errno: EACCES without CAP_SYS_PTRACE
*/
static int procs_pids(lua_State *L) {
  lua_Integer n = 0;
  nn_ns *ns = nn_ns_arg(L, 1, "pids");
  if (ns == NULL)
    return 3;
  nn_dir *dir = nn_dir_push(L);
  int err = read_processes(dir);
  const char *at = "";
  lua_newtable(L);
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    ino_t ino;
    at = dir->names[i];
    err = net_of(dir->fd, at, ns->fd, &ino);
    if (err == 0 && ino == ns->ino) {
      lua_pushinteger(L, atoi(at));
      lua_rawseti(L, -2, ++n);
    }
  }
  if (err != 0)
    nn_fail(L, err, "pids %s: /proc/%s", nn_ns_label(L, 1), at);
  nn_dir_close(dir);
  nn_ns_done(ns);
  return err == 0 ? 1 : 3;
}

struct named {
  ino_t ino;
  const char *name;
};

static int by_inode(const void *a, const void *b) {
  ino_t x = ((const struct named *)a)->ino, y = ((const struct named *)b)->ino;
  return (x > y) - (x < y);
}

/* Fills `named` from the directory of names and pushes { name = {} }; 0 or an
   errno. */
static int push_named(lua_State *L, const nn_dir *names, struct named *named,
                      size_t *count) {
  struct stat st;
  const dev_t nsfs = nn_nsfs(L);
  *count = 0;
  lua_createtable(L, 0, (int)names->count);
  if (nsfs == 0)
    return errno;
  for (size_t i = 0; i < names->count; i++) {
    if (fstatat(names->fd, names->names[i], &st, 0) != 0) {
      if (!nn_missing(errno))
        return errno;
      continue; /* it has gone */
    }
    if (st.st_dev != nsfs)
      st.st_ino = 0; /* a leftover has no processes */
    named[(*count)++] = (struct named){st.st_ino, names->names[i]};
    lua_newtable(L);
    lua_setfield(L, -2, names->names[i]);
  }
  qsort(named, *count, sizeof *named, by_inode);
  return 0;
}

/* Adds a pid to each of the names of its namespace, in the table on top. */
static void add_pid(lua_State *L, int pid, ino_t ino, const struct named *named,
                    size_t count) {
  const struct named key = {.ino = ino};
  const struct named *hit =
      bsearch(&key, named, count, sizeof *named, by_inode);
  if (hit == NULL)
    return;
  while (hit > named && hit[-1].ino == ino)
    hit--;
  for (; hit < named + count && hit->ino == ino; hit++) {
    lua_getfield(L, -1, hit->name);
    lua_pushinteger(L, pid);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
  }
}

/***
The processes of every name, in one walk.
@function all.pids
@treturn[1] {[string]={integer,...},...} from each name to its processes
@return[2] nil, if the namespace of a process cannot be told
@treturn[2] string message
@treturn[2] integer errno
*/
static int procs_all_pids(lua_State *L) {
  nn_dir *names = nn_dir_push(L), *dir = nn_dir_push(L);
  int err = nn_dir_read(names, NN_RUN_DIR);
  if (err == 0 || err == ENOENT)
    err = read_processes(dir);
  if (err != 0) {
    nn_dir_close(names);
    nn_dir_close(dir);
    return nn_fail(L, err, "pids");
  }
  struct named *named = lua_newuserdata(L, (names->count + 1) * sizeof *named);
  size_t count;
  err = push_named(L, names, named, &count);
  if (err != 0)
    nn_fail(L, err, "pids: " NN_RUN_DIR);
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    ino_t ino;
    err = net_of(dir->fd, dir->names[i], -1, &ino);
    if (err != 0)
      nn_fail(L, err, "pids: /proc/%s", dir->names[i]);
    else if (ino != 0)
      add_pid(L, atoi(dir->names[i]), ino, named, count);
  }
  nn_dir_close(names);
  nn_dir_close(dir);
  return err == 0 ? 1 : 3;
}

/* core.net_inodes(): from the inode of every namespace that has a process to
   one of the processes. */
static int procs_net_inodes(lua_State *L) {
  nn_dir *dir = nn_dir_push(L);
  int err = read_processes(dir);
  const char *at = "";
  lua_newtable(L);
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    ino_t ino;
    at = dir->names[i];
    err = net_of(dir->fd, at, -1, &ino);
    if (ino == 0)
      continue;
    lua_pushinteger(L, (lua_Integer)ino);
    lua_pushinteger(L, atoi(at));
    lua_rawset(L, -3);
  }
  if (err != 0)
    nn_fail(L, err, "/proc/%s", at);
  nn_dir_close(dir);
  return err == 0 ? 1 : 3;
}

/* Whether `pid` must not be killed to empty a namespace: the caller himself,
   and the process that the machine, or the container, lives by. */
static bool is_vital(int pid) {
  return pid == 1 || pid == getpid();
}

/* Whether the numbers in /proc are those that system calls take from us: it may
   be of another process namespace (EXDEV). 0 or an errno. */
static int check_proc(int proc) {
  char link[32];
  ssize_t len = readlinkat(proc, "self", link, sizeof link - 1);
  if (len < 0 && errno != ENOENT) /* we are not in the namespace of /proc */
    return errno;
  link[len < 0 ? 0 : len] = '\0';
  return atoi(link) == getpid() ? 0 : EXDEV;
}

/* Sends SIGKILL to a process if it is in a namespace, without a chance to hit
   another that has got its number meanwhile. *fd becomes a pidfd of it, -1 if
   it is not there any more. 0 or an errno. */
static int kill_in(int proc, const char *pid, const nn_ns *ns, int *fd) {
  ino_t ino;
  *fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
  if (*fd < 0)
    return errno == ESRCH ? 0 : errno;
  int err = net_of(proc, pid, ns->fd, &ino);
  if (err == 0 && ino == ns->ino) {
    if (syscall(SYS_pidfd_send_signal, *fd, SIGKILL, NULL, 0) == 0)
      return 0;
    err = errno == ESRCH ? 0 : errno;
  }
  nn_close(fd);
  return err;
}

/* Waits for the end of a process; 0 or an errno. */
static int await_pidfd(int fd, int64_t deadline) {
  struct pollfd ended = {.fd = fd, .events = POLLIN};
  int ready;
  while ((ready = poll(&ended, 1, nn_remaining(deadline))) < 0)
    if (errno != EINTR)
      return errno;
  return ready == 0 ? ETIMEDOUT : 0;
}

/* One round of the killing, and waiting for one of the killed to end. Sets
 *found to how many there were. 0 or an errno. */
static int kill_round(nn_dir *dir, const nn_ns *ns, int64_t deadline,
                      int *found) {
  int last = -1, err = read_processes(dir);
  *found = 0;
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    int fd;
    ino_t ino;
    err = net_of(dir->fd, dir->names[i], ns->fd, &ino);
    if (err != 0 || ino != ns->ino)
      continue;
    if (is_vital(atoi(dir->names[i]))) {
      err = EBUSY;
      break;
    }
    err = kill_in(dir->fd, dir->names[i], ns, &fd);
    if (fd < 0)
      continue;
    nn_close(&last);
    last = fd;
    ++*found;
  }
  if (err == 0 && *found > 0)
    err = await_pidfd(last, deadline);
  nn_close(&last);
  return err;
}

/* EBUSY if the caller or process 1 is in the namespace; 0 or another errno. */
static int find_vital(nn_dir *dir, const nn_ns *ns) {
  ino_t ino;
  int err = read_processes(dir);
  if (err == 0)
    err = check_proc(dir->fd);
  for (size_t i = 0; err == 0 && i < dir->count; i++)
    if (is_vital(atoi(dir->names[i]))) {
      err = net_of(dir->fd, dir->names[i], ns->fd, &ino);
      if (err == 0 && ino == ns->ino)
        err = EBUSY;
    }
  return err;
}

/* core.kill(NS, timeout): ends all processes in a namespace, also those that
   start while it is at it. Refuses, before anything is killed, if the caller
   or process 1 is among them. */
static int procs_kill(lua_State *L) {
  int found = 1;
  int64_t deadline = nn_deadline(nn_opttimeout(L, 2));
  nn_ns *ns = nn_ns_arg(L, 1, "kill");
  if (ns == NULL)
    return 3;
  nn_dir *dir = nn_dir_push(L);
  int err = find_vital(dir, ns);
  while (err == 0 && found > 0) {
    nn_dir_close(dir);
    err = kill_round(dir, ns, deadline, &found);
  }
  nn_dir_close(dir);
  nn_ns_done(ns);
  if (err == EBUSY)
    return nn_fail(L, err, "kill %s: the caller or process 1 is in it",
                   nn_ns_label(L, 1));
  if (err == EXDEV)
    return nn_fail(L, err, "kill %s: /proc is of another process namespace",
                   nn_ns_label(L, 1));
  if (err != 0)
    return nn_fail(L, err, "kill %s", nn_ns_label(L, 1));
  lua_pushboolean(L, true);
  return 1;
}

/* Sets *ino to the inode of the network namespace of a process's socket, 0 if
   it has been closed; 0 or an errno. */
static int socket_inode(int pid, int fd, ino_t *ino) {
  struct stat st = {.st_ino = 0};
  int sock = -1, ns = -1, err = 0;
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd >= 0)
    sock = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  if (sock >= 0)
    ns = ioctl(sock, SIOCGSKNS);
  if (ns < 0 || fstat(ns, &st) != 0)
    err = errno;
  nn_close(&ns);
  nn_close(&sock);
  nn_close(&pidfd);
  *ino = st.st_ino;
  /* it was closed, or is another file, or its process has ended meanwhile */
  return err == EBADF || err == ENOTTY || err == ESRCH ? 0 : err;
}

/* Whether the errno of a look at a descriptor means that it is no namespace: it
   was closed meanwhile, or is of a file system that has no answer any more. */
static bool is_other(int err) {
  return nn_missing(err) || err == ESRCH || err == ENOTCONN || err == ESTALE;
}

/* Sets *ino to the inode of the namespace that a descriptor of a process holds,
   0 if it holds none; *socket says whether sockets are looked at, and then
   whether it is one. 0 or an errno. (The text of its link does not tell: it may
   be a path.) */
static int held_inode(int pid, int fd, ino_t *ino, bool *socket) {
  char path[64];
  struct stat st;
  struct statfs fs;
  bool wanted = *socket;
  *ino = 0;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
  if (stat(path, &st) != 0)
    return is_other(errno) ? 0 : errno;
  *socket = S_ISSOCK(st.st_mode);
  if (*socket)
    return wanted ? socket_inode(pid, fd, ino) : 0;
  if (!S_ISREG(st.st_mode))
    return 0;
  if (statfs(path, &fs) != 0)
    return is_other(errno) ? 0 : errno;
  if (fs.f_type == NSFS_MAGIC)
    *ino = st.st_ino;
  return 0;
}

/* core.held(pid, fd, sockets): the inode of the namespace that a descriptor of
   a process holds, and how: "descriptor", or if `sockets` is true also
   "socket"; false if it holds none; nil, message, errno if that cannot be told.
 */
static int procs_held(lua_State *L) {
  ino_t ino;
  bool socket = lua_toboolean(L, 3);
  int pid = (int)luaL_checkinteger(L, 1), fd = (int)luaL_checkinteger(L, 2);
  int err = held_inode(pid, fd, &ino, &socket);
  if (err != 0)
    return nn_fail(L, err, "/proc/%d/fd/%d", pid, fd);
  if (ino == 0) {
    lua_pushboolean(L, false);
    return 1;
  }
  lua_pushinteger(L, (lua_Integer)ino);
  lua_pushstring(L, socket ? "socket" : "descriptor");
  return 2;
}

void nn_open_procs(lua_State *L) {
  static const luaL_Reg functions[] = {{"all_pids", procs_all_pids},
                                       {"net_inodes", procs_net_inodes},
                                       {"kill", procs_kill},
                                       {"held", procs_held},
                                       {NULL, NULL}};
  static const luaL_Reg shared[] = {{"pids", procs_pids}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  nn_ns_functions(L, shared);
}
