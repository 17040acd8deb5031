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

#include <linux/magic.h>
#include <linux/sockios.h>

#include "netns.h"

/* The inode of the network namespace of a process; 0 if it has none (a zombie)
   or must not be looked at. Reading the link is a tenth to a quarter faster
   than stat(2). */
static ino_t net_of(int proc, const char *pid) {
  static const char prefix[] = "net:[";
  char path[64], text[64];
  strcpy(stpcpy(path, pid), "/ns/net"); /* see is_pid: it fits */
  ssize_t len = readlinkat(proc, path, text, sizeof text - 1);
  if (len < 0)
    return 0;
  text[len] = '\0';
  if (strncmp(text, prefix, sizeof prefix - 1) != 0)
    return 0;
  return (ino_t)strtoul(text + sizeof prefix - 1, NULL, 10);
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
The processes that are in a namespace: `ip netns pids NAME`. Those whose
namespace the caller may not see (CAP_SYS_PTRACE) are left out.
@function pids
@param NS
@treturn[1] {integer,...} ascending
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int procs_pids(lua_State *L) {
  lua_Integer n = 0;
  nn_ns *ns = nn_ns_arg(L, 1, "pids");
  if (ns == NULL)
    return 3;
  nn_dir *dir = nn_dir_push(L);
  int err = read_processes(dir);
  lua_newtable(L);
  for (size_t i = 0; i < dir->count; i++)
    if (net_of(dir->fd, dir->names[i]) == ns->ino) {
      lua_pushinteger(L, atoi(dir->names[i]));
      lua_rawseti(L, -2, ++n);
    }
  nn_dir_close(dir);
  nn_ns_done(ns);
  return err == 0 ? 1 : nn_fail(L, err, "pids %s: /proc", nn_ns_label(L, 1));
}

struct named {
  ino_t ino;
  const char *name;
};

static int by_inode(const void *a, const void *b) {
  ino_t x = ((const struct named *)a)->ino, y = ((const struct named *)b)->ino;
  return (x > y) - (x < y);
}

/* Fills `named` from the directory of names and pushes { name = {} }. */
static size_t push_named(lua_State *L, const nn_dir *names,
                         struct named *named) {
  struct stat st;
  size_t count = 0;
  lua_createtable(L, 0, (int)names->count);
  for (size_t i = 0; i < names->count; i++) {
    if (fstatat(names->fd, names->names[i], &st, 0) != 0)
      continue;
    if (st.st_dev != nn_nsfs(L))
      st.st_ino = 0; /* a leftover has no processes */
    named[count++] = (struct named){st.st_ino, names->names[i]};
    lua_newtable(L);
    lua_setfield(L, -2, names->names[i]);
  }
  qsort(named, count, sizeof *named, by_inode);
  return count;
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
@return[2] nil
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
  size_t count = push_named(L, names, named);
  for (size_t i = 0; i < dir->count; i++) {
    ino_t ino = net_of(dir->fd, dir->names[i]);
    if (ino != 0)
      add_pid(L, atoi(dir->names[i]), ino, named, count);
  }
  nn_dir_close(names);
  nn_dir_close(dir);
  return 1;
}

/* core.net_inodes(): from the inode of every namespace that has a process to
   one of the processes. */
static int procs_net_inodes(lua_State *L) {
  nn_dir *dir = nn_dir_push(L);
  int err = read_processes(dir);
  if (err != 0)
    return nn_fail(L, err, "/proc");
  lua_newtable(L);
  for (size_t i = 0; i < dir->count; i++) {
    ino_t ino = net_of(dir->fd, dir->names[i]);
    if (ino == 0)
      continue;
    lua_pushinteger(L, (lua_Integer)ino);
    lua_pushinteger(L, atoi(dir->names[i]));
    lua_rawset(L, -3);
  }
  nn_dir_close(dir);
  return 1;
}

/* Whether `pid` must not be killed to empty a namespace: the caller himself,
   and the process that the machine, or the container, lives by. */
static bool is_vital(int pid) {
  return pid == 1 || pid == getpid();
}

/* Whether the numbers in /proc are those that system calls take from us: it may
   be of another process namespace. */
static bool is_our_proc(int proc) {
  char link[32];
  ssize_t len = readlinkat(proc, "self", link, sizeof link - 1);
  link[len < 0 ? 0 : len] = '\0';
  return atoi(link) == getpid();
}

/* Sends SIGKILL to a process if it is in namespace `ino`, without a chance to
   hit another that has got its number meanwhile. *fd becomes a pidfd of it, -1
   if it is not there any more. 0 or an errno. */
static int kill_in(int proc, const char *pid, ino_t ino, int *fd) {
  *fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
  if (*fd < 0)
    return errno == ESRCH ? 0 : errno;
  int err = 0;
  if (net_of(proc, pid) == ino) {
    if (syscall(SYS_pidfd_send_signal, *fd, SIGKILL, NULL, 0) == 0)
      return 0;
    err = errno == ESRCH ? 0 : errno;
  }
  nn_close(fd);
  return err;
}

/* One round of the killing, and waiting for one of the killed to end. Sets
 *found to how many there were. 0 or an errno. */
static int kill_round(nn_dir *dir, ino_t ino, int64_t deadline, int *found) {
  struct pollfd last = {.fd = -1, .events = POLLIN};
  int err = read_processes(dir);
  *found = 0;
  for (size_t i = 0; err == 0 && i < dir->count; i++) {
    int fd;
    if (net_of(dir->fd, dir->names[i]) != ino)
      continue;
    if (is_vital(atoi(dir->names[i]))) {
      err = EBUSY;
      break;
    }
    err = kill_in(dir->fd, dir->names[i], ino, &fd);
    if (fd < 0)
      continue;
    nn_close(&last.fd);
    last.fd = fd;
    ++*found;
  }
  if (err == 0 && *found > 0 && poll(&last, 1, nn_remaining(deadline)) == 0)
    err = ETIMEDOUT;
  nn_close(&last.fd);
  return err;
}

/* core.kill(NS, timeout): ends all processes in a namespace, also those that
   start while it is at it. Refuses, before anything is killed, if the caller
   or process 1 is among them. */
static int procs_kill(lua_State *L) {
  int found = 1, err = 0;
  int64_t deadline = nn_deadline(nn_opttimeout(L, 2));
  nn_ns *ns = nn_ns_arg(L, 1, "kill");
  if (ns == NULL)
    return 3;
  nn_dir *dir = nn_dir_push(L);
  err = read_processes(dir);
  if (err == 0 && !is_our_proc(dir->fd))
    err = EXDEV;
  for (size_t i = 0; err == 0 && i < dir->count; i++)
    if (is_vital(atoi(dir->names[i])) &&
        net_of(dir->fd, dir->names[i]) == ns->ino)
      err = EBUSY;
  while (err == 0 && found > 0) {
    nn_dir_close(dir);
    err = kill_round(dir, ns->ino, deadline, &found);
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

/* The inode of the network namespace of another process's socket, as
   pidfd_getfd(2) lets one see it; 0 if it does not. */
static ino_t socket_inode(int pid, int fd) {
  struct stat st = {.st_ino = 0};
  int sock = -1, ns = -1, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd >= 0)
    sock = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  if (sock >= 0)
    ns = ioctl(sock, SIOCGSKNS);
  if (ns >= 0)
    fstat(ns, &st);
  nn_close(&ns);
  nn_close(&sock);
  nn_close(&pidfd);
  return st.st_ino;
}

/* core.held(pid, fd): the inode of the namespace that a descriptor of a
   process holds, and how: "descriptor" or "socket"; nothing if it holds none.
   (The text of its link does not tell: it may be a path.) */
static int procs_held(lua_State *L) {
  char path[64];
  struct stat st;
  struct statfs fs;
  int pid = (int)luaL_checkinteger(L, 1), fd = (int)luaL_checkinteger(L, 2);
  snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
  if (stat(path, &st) != 0)
    return 0;
  bool socket = S_ISSOCK(st.st_mode);
  if (socket)
    st.st_ino = socket_inode(pid, fd);
  else if (statfs(path, &fs) != 0 || fs.f_type != NSFS_MAGIC)
    return 0;
  if (st.st_ino == 0)
    return 0;
  lua_pushinteger(L, (lua_Integer)st.st_ino);
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
