/* netns.h - what the rooms of netns.so share.

   Invariants:
   - A userdata is born closed, with its metatable; only then does it get its
     resource. So a Lua error at any point leaks nothing.
   - Between a setns(2) away and the one home no Lua code runs, except in
     enter.c, which runs it protected.
   - There is no mutable static: two Lua states in two threads share this
     object. */
#ifndef NETNS_H
#define NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compat.h"

#define NN_RUN_DIR "/run/netns" /* where `ip netns` keeps the names */
#define NN_ETC_DIR "/etc/netns"
#define NN_NAME_MAX 255

#define NN_MODULE __attribute__((visibility("default")))

/* raise.c: errors of the programmer. Each begins with the position of the
   innermost line that is not the library's, and never returns; what was opened
   for the running function, see nn_ns_arg, is closed. `what` is the
   public name of the function, `name` that of an argument or a key. */

int nn_raise(lua_State *L, const char *text, ...); /* as lua_pushfstring */
/* Raises the error on top, which was caught, once more. */
int nn_raise_again(lua_State *L);
/* bad argument 'NAME' to 'WHAT' (PROBLEM) */
int nn_raise_arg(lua_State *L, const char *what, const char *name,
                 const char *problem);
/* bad argument 'NAME' to 'WHAT' (EXPECTED expected, got TYPE), of the value at
   `arg` */
const char *nn_typename(lua_State *L, int arg); /* "nil" for none, too */
int nn_raise_type(lua_State *L, const char *what, const char *name,
                  const char *expected, int arg);
/* unknown key 'KEY' in 'WHAT', with the one that was probably meant. `key` is
   the index of a value that the table at `known` lacks as a key; both absolute.
 */
int nn_raise_key(lua_State *L, const char *what, int key, int known);
/* Arguments of public functions; `len` may be NULL. The second replaces nil by
   an empty table, the last returns the place of a word in an array that ends
   with NULL. */
void nn_arg_link(lua_State *L, int arg, const char *what); /* name or index */
const char *nn_arg_string(lua_State *L, int arg, const char *what,
                          const char *name, size_t *len);
void nn_opt_table(lua_State *L, int arg, const char *what, const char *name);
void nn_arg_table(lua_State *L, int arg, const char *what, const char *name);
lua_Integer nn_arg_integer(lua_State *L, int arg, const char *what,
                           const char *name, lua_Integer min, lua_Integer max);
int nn_arg_word(lua_State *L, int arg, const char *what, const char *name,
                const char *const *words_of);

/* util.c: results, arguments, descriptors */

/* Pushes the results of a failure: nil, "<text>: <strerror(err)>", err, where
   the text is made printable. */
int nn_fail(lua_State *L, int err, const char *text, ...)
    __attribute__((format(printf, 3, 4)));
/* Pushes text as printf(3) makes it, which lua_pushfstring does in parts: at
   most 1023 bytes. */
const char *nn_format(lua_State *L, const char *text, ...)
    __attribute__((format(printf, 2, 3)));
/* printable.c: pushes text without control characters, nor bytes that are not
   UTF-8: they are "\xHH". */
const char *nn_printable(lua_State *L, const char *text, size_t len);
void nn_close(int *fd); /* closes and forgets; keeps errno */
/* Gives a descriptor another number if it has one of the standard streams',
   which are free in a host that has closed them. 0, or an errno with it closed.
 */
#define NN_FIRST_FD 3
int nn_move_up(int *fd);
/* Whether an errno tells of this process or the machine, not of the file. */
bool nn_exhausted(int err);
lua_Integer nn_checkint(lua_State *L, int arg, lua_Integer min,
                        lua_Integer max);
/* Seconds at `arg` (none, nil: -1, for ever) as milliseconds, rounded up. */
int nn_opttimeout(lua_State *L, int arg);
int64_t nn_now(void);               /* milliseconds, CLOCK_MONOTONIC */
int64_t nn_deadline(int timeout);   /* of milliseconds; INT64_MAX: never */
int nn_remaining(int64_t deadline); /* as poll(2) takes it */
/* Makes a metatable with `methods` as its __index, and `meta` in itself. */
void nn_newtype(lua_State *L, const char *type, const luaL_Reg *methods,
                const luaL_Reg *meta);

/* handle.c: a namespace held open */

#define NN_NS "netns.ns"

struct nn_rtnl;

typedef struct nn_ns {
  int fd;         /* -1 when closed */
  bool temporary; /* opened for one call, see nn_ns_arg */
  int template;   /* a mount namespace for programs, see spawn.c; -1: none */
  int root;       /* and its root directory */
  /* its sockets, which its user value holds, each once it is wanted */
  struct nn_rtnl *rtnl, *diag;
  dev_t dev;
  ino_t ino;
  char name[NN_NAME_MAX + 1]; /* the name it goes by, or "" */
  bool nameless;              /* only messages call it so, see core.extend */
} nn_ns;

/* Adds functions whose first argument is a NS to the module, the table on top,
   and to the methods of handles. */
void nn_ns_functions(lua_State *L, const luaL_Reg *functions);
nn_ns *nn_ns_push(lua_State *L);           /* a closed handle */
nn_ns *nn_ns_test(lua_State *L, int arg);  /* NULL for what is no handle */
/* An open one, or a Lua error. */
nn_ns *nn_ns_check(lua_State *L, int arg, const char *what);
const char *nn_ns_name(const nn_ns *ns);   /* below the directory, or "" */
/* Adopts `fd`, which must be a network namespace. 0, or an errno with `fd`
   closed and the handle still closed. */
int nn_ns_adopt(nn_ns *ns, int fd, const char *name);
/* A NS argument (API.md): a handle as it is, else one opened for this call,
   which replaces the argument. NULL: nil, message, errno have been pushed,
   the message beginning with `what`. Ends with nn_ns_done. */
nn_ns *nn_ns_arg(lua_State *L, int arg, const char *what);
void nn_ns_done(nn_ns *ns);
/* How a message calls the NS at `arg`: "vpn", process 12, net:[4026532281]. */
const char *nn_ns_label(lua_State *L, int arg);

/* names.c, dir.c: the directory of names */

bool nn_name_valid(const char *name, size_t len);
/* Opens a namespace by its path below `dir`, O_CLOEXEC. A file that is not a
   network namespace is refused with EINVAL, and never opened if that could
   have an effect. */
int nn_open_at(int dir, const char *path);

/* A directory read whole, in the kernel's order, without "." and "..". The
   userdata on the Lua stack owns it; nn_dir_close frees it early. */
typedef struct nn_dir {
  int fd; /* of the directory, for what is done with the entries */
  size_t count;
  const char **names;
  char *block; /* what `names` point into */
} nn_dir;

nn_dir *nn_dir_push(lua_State *L);
int nn_dir_read(nn_dir *dir, const char *path); /* 0 or an errno */
void nn_dir_sort(nn_dir *dir);                  /* by bytes */
bool nn_dir_regular(const char *name);          /* one of dir->names */
void nn_dir_close(nn_dir *dir);

/* enter.c: leaving the thread's namespace, and coming back. If the thread
   cannot come back, the last three raise the error that says so. */

/* A descriptor of the namespace the calling thread is in, or -1 and errno. */
int nn_home(lua_State *L);
/* The device that all namespaces are on; 0 and errno if it cannot be told. */
dev_t nn_nsfs(lua_State *L);
/* The id of the calling thread's cgroup (v2), which is never used again; 0 if
   it cannot be told. */
uint64_t nn_cgroup(lua_State *L);
/* Runs `job`, which is C and returns 0 or an errno, inside namespace `fd`. */
int nn_inside(lua_State *L, int fd, int (*job)(void *), void *arg);
/* Makes a new network namespace, for the closed handle `ns`; 0 or an errno. */
int nn_create(lua_State *L, nn_ns *ns);

/* rtnl.c: one netlink socket, of rtnetlink if nothing else is said */

struct nlmsghdr;

typedef struct nn_rtnl {
  int fd;       /* -1 when closed */
  int protocol; /* NETLINK_ROUTE, or that of sock_diag(7) */
  uint32_t seq; /* of the last request */
  char *buffer; /* the datagram received last */
  struct nlmsghdr *cursor;
  int left;           /* bytes of it from the cursor on */
  unsigned datagrams; /* of the answer, so far */
  bool single, done;
  bool interrupted; /* the dump is not of one moment */
  pid_t user;       /* of one that is kept: the process that uses it, and */
  struct nn_shared *shared; /* what that has in common with others; rtnl.c */
} nn_rtnl;

/* The kernel's verdict: its errno, and its words ("" when it had none). */
typedef struct nn_ack {
  int err;
  char text[160];
} nn_ack;

nn_rtnl *nn_rtnl_push(lua_State *L); /* closed, on the Lua stack */
/* Perhaps one that is closed, on which nothing works: EBADF. */
nn_rtnl *nn_rtnl_check(lua_State *L, int arg);
/* In the thread's namespace; 0 or an errno. A job for nn_inside. */
int nn_rtnl_open(void *rtnl);
void nn_rtnl_close(nn_rtnl *rtnl);
/* The socket of a namespace, for NETLINK_ROUTE or NETLINK_SOCK_DIAG, which is
   kept with its handle, the userdata at `arg`. NULL and errno. */
nn_rtnl *nn_rtnl_of(lua_State *L, int arg, nn_ns *ns, int protocol);
/* Sends a request; 0 or an errno. */
int nn_rtnl_send(nn_rtnl *rtnl, struct nlmsghdr *msg);
/* The next message of the answer; NULL after the last, with *ack filled. A
   message is good until the next call. ETIMEDOUT if the kernel does not answer:
   the socket is then closed, and that of a handle opened again when it is
   wanted. */
const struct nlmsghdr *nn_rtnl_next(nn_rtnl *rtnl, nn_ack *ack);
/* Sends a request for a change, and waits for the verdict: ack->err. */
int nn_rtnl_change(nn_rtnl *rtnl, struct nlmsghdr *msg, nn_ack *ack);
/* A message on the Lua stack, with room for all that we write. */
struct nl_msg;
struct nl_msg *nn_msg_push(lua_State *L, int type, int flags);
/* For a socket that has subscribed to events. Receives a datagram if there is
   one: its length, 0 for none, or -errno (ENOBUFS: events were lost). Then
   nn_rtnl_event gives its messages, and NULL after the last. */
int nn_rtnl_poll(nn_rtnl *rtnl);
const struct nlmsghdr *nn_rtnl_event(nn_rtnl *rtnl);
/* As nn_fail, with the kernel's words after. */
int nn_rtnl_fail(lua_State *L, const nn_ack *ack, const char *text, ...)
    __attribute__((format(printf, 3, 4)));

/* gate.c: has the gate at `arg` wait for one more descriptor; 0 or an errno. */
int nn_gate_add(lua_State *L, int arg, int fd, uint32_t events);

/* ids.c: the id of namespace `fd` for the namespace of `rtnl`; -1 for none.
   Returns ack->err. */
int nn_id_of(nn_rtnl *rtnl, int fd, int *id, nn_ack *ack);

/* vrf.c: the file to write "0" to, to leave the VRF that the thread is in;
   false if it is in none. */
bool nn_vrf_exit(lua_State *L, char *path, size_t size);

/* The rooms: each pushes nothing, and adds its functions to the table on top
   of the stack. */
void nn_open_raise(lua_State *L);
void nn_open_handle(lua_State *L);
void nn_open_names(lua_State *L);
void nn_open_list(lua_State *L);
void nn_open_enter(lua_State *L);
void nn_open_ids(lua_State *L);
void nn_open_procs(lua_State *L);
void nn_open_spawn(lua_State *L);
void nn_open_gate(lua_State *L);
void nn_open_watch(lua_State *L);
void nn_open_dir(lua_State *L);
void nn_open_rtnl(lua_State *L);
void nn_open_link(lua_State *L);
void nn_open_tun(lua_State *L);
void nn_open_qdisc(lua_State *L);
void nn_open_ip(lua_State *L);
void nn_open_addr(lua_State *L);
void nn_open_route(lua_State *L);
void nn_open_neigh(lua_State *L);
void nn_open_rule(lua_State *L);
void nn_open_events(lua_State *L);
void nn_open_drop(lua_State *L);
void nn_open_icmp(lua_State *L);
void nn_open_sockets(lua_State *L);
void nn_open_rootless(lua_State *L);
void nn_open_printable(lua_State *L);

#endif
