/***
enter.c: the calling thread leaves its network namespace and comes back:
call, socket, sysctl, and the making of new namespaces.
@module netns
*/
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "netns.h"

/* A pidfd of the thread that loaded the library, kept because asking it for
   the thread's namespace takes a third of the time that a walk through /proc
   takes, and goes on working after a chroot. It pins a number, no process and
   no namespace. Another thread, or a forked child, does without. */
#define SELF "netns.self"

typedef struct nn_self {
  int pidfd;
  pid_t tid;
  dev_t nsfs; /* the device of all namespaces, once it is known */
} nn_self;

static pid_t thread_id(void) {
  return (pid_t)syscall(SYS_gettid);
}

static void open_self(lua_State *L) {
  nn_self *self = lua_newuserdata(L, sizeof *self);
  self->pidfd = -1;
  self->nsfs = 0;
  luaL_setmetatable(L, SELF);
  self->tid = thread_id();
  self->pidfd = (int)syscall(SYS_pidfd_open, self->tid, NN_PIDFD_THREAD);
  if (self->pidfd >= 0)
    nn_move_up(&self->pidfd); /* it stays */
  lua_rawsetp(L, LUA_REGISTRYINDEX, (const void *)nn_home);
}

static int self_gc(lua_State *L) {
  nn_self *self = luaL_checkudata(L, 1, SELF);
  nn_close(&self->pidfd);
  return 0;
}

static nn_self *get_self(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, (const void *)nn_home);
  nn_self *self = lua_touserdata(L, -1);
  lua_pop(L, 1); /* the registry keeps it */
  return self;
}

dev_t nn_nsfs(lua_State *L) {
  nn_self *self = get_self(L);
  struct stat st;
  if (self->nsfs == 0) {
    int home = nn_home(L);
    if (home >= 0 && fstat(home, &st) == 0)
      self->nsfs = st.st_dev;
    nn_close(&home);
  }
  return self->nsfs;
}

int nn_home(lua_State *L) {
  int fd = -1;
  nn_self *self = get_self(L);
  if (self->pidfd >= 0 && self->tid == thread_id())
    fd = ioctl(self->pidfd, NN_PIDFD_GET_NET_NAMESPACE, 0);
  if (fd < 0)
    fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  return fd;
}

uint64_t nn_cgroup(lua_State *L) {
  struct nn_pidfd_info info = {.mask = NN_PIDFD_INFO_CGROUPID};
  nn_self *self = get_self(L);
  if (self->pidfd >= 0 && self->tid == thread_id() &&
      ioctl(self->pidfd, NN_PIDFD_GET_INFO, &info) == 0 &&
      info.mask & NN_PIDFD_INFO_CGROUPID)
    return info.cgroupid;
  return 0;
}

static int enter(lua_State *L, int fd, int *home) {
  *home = nn_home(L);
  if (*home >= 0 && setns(fd, CLONE_NEWNET) == 0)
    return 0;
  int err = errno;
  nn_close(home);
  return err;
}

static int leave(int home) {
  int err = setns(home, CLONE_NEWNET) == 0 ? 0 : errno;
  nn_close(&home);
  return err;
}

static int lost(lua_State *L, int err) {
  lua_settop(L, 0); /* there may be no room for more */
  return nn_raise(L,
                  "this thread could not be brought back to its network "
                  "namespace and is in another one now: %s",
                  strerror(err));
}

/* Has the error on top say what to do, if a function that `call` runs yields. */
static void explain_yield(lua_State *L) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (strstr(text, "attempt to yield across") == NULL)
    return;
  lua_pushfstring(L,
                  "%s (a function that 'call' runs cannot yield, because the "
                  "thread is in another namespace meanwhile: make the socket "
                  "inside, and wait for it outside)",
                  text);
  lua_replace(L, -2);
}

int nn_inside(lua_State *L, int fd, int (*job)(void *), void *arg) {
  int home;
  int err = enter(L, fd, &home);
  if (err != 0)
    return err;
  err = job(arg);
  int away = leave(home);
  if (away != 0)
    lost(L, away);
  return err;
}

int nn_create(lua_State *L, nn_ns *ns) {
  int home = nn_home(L);
  /* The way home is tried first: it is closed to a user namespace that does
     not own the network namespace it was started in. */
  if (home < 0 || setns(home, CLONE_NEWNET) != 0 ||
      unshare(CLONE_NEWNET) != 0) {
    int err = errno;
    nn_close(&home);
    return err;
  }
  int fd = nn_home(L);
  int err = fd < 0 ? errno : nn_ns_adopt(ns, fd, "");
  int away = leave(home);
  if (away != 0)
    lost(L, away);
  return err;
}

static bool is_callable(lua_State *L, int arg) {
  if (lua_isfunction(L, arg))
    return true;
  if (luaL_getmetafield(L, arg, "__call") == LUA_TNIL)
    return false;
  lua_pop(L, 1);
  return true;
}

/* core.callable(value): whether it is a function, or like one. */
static int enter_callable(lua_State *L) {
  lua_settop(L, 1);
  lua_pushboolean(L, is_callable(L, 1));
  return 1;
}

/***
Runs a function on this thread inside a namespace. Sockets it makes stay in
the namespace. It cannot yield. The thread is back whether it returns or
raises an error, which is raised again; if it cannot be brought back, an error
says so. See setns(2).
@function call
@param NS
@tparam function fn
@param ... arguments for `fn`
@return what `fn` returns
@return[2] nil if the namespace could not be entered
@treturn[2] string message
@treturn[2] integer errno
*/
static int enter_call(lua_State *L) {
  if (!is_callable(L, 2))
    nn_raise_type(L, "call", "fn", "function", 2);
  nn_ns *ns = nn_ns_arg(L, 1, "call");
  if (ns == NULL)
    return 3;
  int home;
  int err = enter(L, ns->fd, &home);
  nn_ns_done(ns);
  if (err != 0)
    return nn_fail(L, err, "call %s", nn_ns_label(L, 1));
  int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  int away = leave(home);
  if (away != 0)
    return lost(L, away);
  if (status != LUA_OK) {
    explain_yield(L);
    return lua_error(L);
  }
  return lua_gettop(L) - 1;
}

#define SOCKET "netns.socket"

static const char *const families[] = {"inet",    "inet6",  "unix",
                                       "netlink", "packet", NULL};
static const int family_numbers[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK,
                                     AF_PACKET};
static const char *const types[] = {"stream", "dgram", "raw", NULL};
static const int type_numbers[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};

struct socket_job {
  int family, type, protocol;
  int *fd;
};

static int make_socket(void *arg) {
  struct socket_job *job = arg;
  *job->fd = socket(job->family, job->type | SOCK_CLOEXEC, job->protocol);
  return *job->fd < 0 ? errno : 0;
}

/***
Makes a socket that lives in a namespace, wherever the thread goes. See
socket(2).
@function socket
@param NS
@tparam string family `inet`, `inet6`, `unix`, `netlink` or `packet`
@tparam string type `stream`, `dgram` or `raw`
@tparam[opt=0] integer protocol a protocol number; for `packet` an ethertype
@treturn[1] socket with `:fd()`, `:detach()` and `:close()`
@return[2] nil
@treturn[2] string message
@treturn[2] integer errno
*/
static int enter_socket(lua_State *L) {
  struct socket_job job = {
      .family = family_numbers[nn_arg_word(L, 2, "socket", "family", families)],
      .type = type_numbers[nn_arg_word(L, 3, "socket", "type", types)],
      .protocol =
          lua_isnoneornil(L, 4)
              ? 0
              : (int)nn_arg_integer(L, 4, "socket", "protocol", 0, 65535)};
  if (job.family == AF_PACKET)
    job.protocol = htons((uint16_t)job.protocol);
  nn_ns *ns = nn_ns_arg(L, 1, "socket");
  if (ns == NULL)
    return 3;
  job.fd = lua_newuserdata(L, sizeof *job.fd);
  *job.fd = -1;
  luaL_setmetatable(L, SOCKET);
  int err = nn_inside(L, ns->fd, make_socket, &job);
  nn_ns_done(ns);
  return err == 0 ? 1 : nn_fail(L, err, "socket %s", nn_ns_label(L, 1));
}

static int *check_any_socket(lua_State *L, const char *what) {
  int *sock = luaL_testudata(L, 1, SOCKET);
  if (sock == NULL)
    nn_raise_type(L, what, "socket", "socket", 1);
  return sock;
}

static int *check_socket(lua_State *L, const char *what) {
  int *sock = check_any_socket(L, what);
  if (*sock < 0)
    nn_raise_arg(L, what, "socket", "socket is closed");
  return sock;
}

/***
The socket's descriptor, which stays the socket's.
@function socket:fd
@treturn integer
*/
static int socket_fd(lua_State *L) {
  lua_pushinteger(L, *check_socket(L, "fd"));
  return 1;
}

/***
Hands the descriptor over: the caller closes it, the socket is closed.
@function socket:detach
@treturn integer
*/
static int socket_detach(lua_State *L) {
  int *sock = check_socket(L, "detach");
  lua_pushinteger(L, *sock);
  *sock = -1;
  return 1;
}

/***
Closes the socket. Closing twice does no harm.
@function socket:close
@treturn boolean true
*/
static int socket_close(lua_State *L) {
  nn_close(check_any_socket(L, "close"));
  lua_pushboolean(L, true);
  return 1;
}

static int socket_tostring(lua_State *L) {
  int *sock = check_any_socket(L, "tostring");
  if (*sock < 0)
    lua_pushliteral(L, "netns.socket (closed)");
  else
    lua_pushfstring(L, "netns.socket (fd %d)", *sock);
  return 1;
}

/* The path of a sysctl as sysctl(8) spells them: net.ipv4.ip_forward, or with
   slashes where an interface's name has dots. Only what is below net belongs
   to the namespace. */
static bool sysctl_path(const char *key, size_t len, char *path, size_t size) {
  static const char root[] = "/proc/sys/";
  const size_t at = sizeof root - 1;
  bool dotted = strchr(key, '/') == NULL;
  if (strlen(key) != len || len + sizeof root > size ||
      strncmp(key, dotted ? "net." : "net/", 4) != 0)
    return false;
  memcpy(path, root, at);
  memcpy(path + at, key, len + 1);
  for (char *c = path + at; dotted && *c != '\0'; c++)
    if (*c == '.')
      *c = '/';
  return strstr(path, "//") == NULL && strstr(path, "/../") == NULL &&
         path[at + len - 1] != '/';
}

/* The kernel writes a value by one read(2), whatever its length. */
#define SYSCTL_MAX 131072

struct sysctl_job {
  const char *path;
  const char *value; /* to write, or NULL to read into the buffer */
  char *buffer;
  size_t len;
};

/* The kernel takes a page at a time, as from `cat`. */
static int write_all(int fd, const char *value, size_t len) {
  do {
    ssize_t n = write(fd, value, len);
    if (n < 0)
      return errno;
    value += n;
    len -= (size_t)n;
  } while (len > 0);
  return 0;
}

/* Inside throughout: some sysctls look at the namespace of the writer. */
static int sysctl_io(void *arg) {
  struct sysctl_job *job = arg;
  int err = 0;
  int fd = open(job->path, (job->value ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
  if (fd < 0)
    return errno;
  if (job->value != NULL) {
    err = write_all(fd, job->value, job->len);
  } else {
    ssize_t n = read(fd, job->buffer, SYSCTL_MAX);
    err = n < 0 ? errno : n == SYSCTL_MAX ? EOVERFLOW : 0;
    job->len = n < 0 ? 0 : (size_t)n;
  }
  nn_close(&fd);
  return err;
}

/***
Reads or writes a sysctl of a namespace.
@function sysctl
@param NS
@tparam string key `net.ipv4.ip_forward`; with slashes where a name has dots:
`net/ipv4/conf/eth0.1/forwarding`
@tparam[opt] string|number value what to write
@treturn[1] string the value read, as sysctl(8) prints it
@treturn[2] boolean true after writing
@return[3] nil
@treturn[3] string message
@treturn[3] integer errno: EINVAL for a key outside of `net` or a value that
the kernel refuses, ENOENT if there is none of that name
*/
static int enter_sysctl(lua_State *L) {
  char path[512];
  size_t len;
  const char *key = nn_arg_string(L, 2, "sysctl", "key", &len);
  bool valid = sysctl_path(key, len, path, sizeof path);
  struct sysctl_job job = {.path = path};
  if (!lua_isnoneornil(L, 3) && !lua_isstring(L, 3))
    nn_raise_type(L, "sysctl", "value", "string or number", 3);
  if (!lua_isnoneornil(L, 3))
    job.value = lua_tolstring(L, 3, &job.len);
  nn_ns *ns = nn_ns_arg(L, 1, "sysctl");
  if (ns == NULL)
    return 3;
  if (job.value == NULL)
    job.buffer = lua_newuserdata(L, SYSCTL_MAX);
  int err = valid ? nn_inside(L, ns->fd, sysctl_io, &job) : EINVAL;
  nn_ns_done(ns);
  if (err != 0)
    return nn_fail(L, err, "sysctl %s \"%s\"", nn_ns_label(L, 1), key);
  if (job.value != NULL) {
    lua_pushboolean(L, true);
    return 1;
  }
  while (job.len > 0 && job.buffer[job.len - 1] == '\n')
    job.len--;
  lua_pushlstring(L, job.buffer, job.len);
  return 1;
}

void nn_open_enter(lua_State *L) {
  static const luaL_Reg functions[] = {{"call", enter_call},
                                       {"socket", enter_socket},
                                       {"sysctl", enter_sysctl},
                                       {NULL, NULL}};
  static const luaL_Reg module[] = {{"callable", enter_callable}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"fd", socket_fd},
                                     {"detach", socket_detach},
                                     {"close", socket_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", socket_close},
                                  {"__close", socket_close},
                                  {"__tostring", socket_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg self_meta[] = {{"__gc", self_gc}, {NULL, NULL}};
  nn_newtype(L, SOCKET, methods, meta);
  nn_newtype(L, SELF, none, self_meta);
  open_self(L);
  luaL_setfuncs(L, module, 0);
  nn_ns_functions(L, functions);
}
