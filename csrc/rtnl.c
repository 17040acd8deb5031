/* rtnl.c - one netlink socket: ask, and hear the kernel's own words.

   Messages are taken apart with libnl. Sending and receiving are done
   here, because libnl 3.7 merges errnos (ENOENT with ESRCH, EEXIST with
   EADDRINUSE), does not read extended acks, copies every message, and makes
   twice the system calls for a socket. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "netns.h"

#define TYPE "netns.rtnl"
#define MSG "netns.msg"
/* The largest datagram that the kernel makes for a dump; it makes them this
   large only for one who has shown that he can take them. */
#define BUFFER 32768
#define PATIENCE 5000 /* milliseconds without an answer */
/* Datagrams of other senders than the kernel that one call discards. */
#define FORGED_LIMIT 1024

nn_rtnl *nn_rtnl_push(lua_State *L) {
  nn_rtnl *rtnl = lua_newuserdata(L, sizeof *rtnl);
  memset(rtnl, 0, sizeof *rtnl);
  rtnl->fd = -1;
  rtnl->done = true;
  luaL_setmetatable(L, TYPE);
  return rtnl;
}

nn_rtnl *nn_rtnl_check(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, TYPE);
}

/* --- one socket for several processes ------------------------------------ */

/* A forked child has the sockets that its parent keeps, and may have no
   privilege left to open its own, while the parent goes on with them: so both
   use them, by turns of a request and its answer. This is in memory that the
   processes share. */
typedef struct nn_shared {
  atomic_int holder;     /* the process whose turn it is; 0: none */
  atomic_uint seq;       /* of the last request of any */
  atomic_uint datagrams; /* received by any: answers go on */
} nn_shared;

/* How often a turn is asked for at once, before that is done once a ms. */
#define TURN_SPINS 100

/* Makes it for a socket that is to be kept; 0 or an errno. */
static int share(nn_rtnl *rtnl) {
  void *memory = mmap(NULL, sizeof(nn_shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return errno;
  rtnl->shared = memory; /* all zero */
  rtnl->user = getpid();
  return 0;
}

static void drain(nn_rtnl *rtnl);

/* Has the turn pass from `holder`, 0 for none, to this process. */
static bool pass_turn(nn_rtnl *rtnl, int *holder) {
  return atomic_compare_exchange_strong(&rtnl->shared->holder, holder,
                                        rtnl->user);
}

/* Whether a holder has died, or has received nothing for so long that it will
   not. */
static bool is_lost(nn_rtnl *rtnl, int holder, unsigned *datagrams,
                    int64_t *deadline) {
  const unsigned now = atomic_load(&rtnl->shared->datagrams);
  if (*deadline == 0 || now != *datagrams)
    *deadline = nn_deadline(PATIENCE);
  *datagrams = now;
  return (kill(holder, 0) != 0 && errno == ESRCH) ||
         nn_remaining(*deadline) == 0;
}

/* Waits for the turn. From a holder that is lost it is taken away, and what was
   for that is discarded. */
static void take_turn(nn_rtnl *rtnl) {
  unsigned datagrams = 0;
  int64_t deadline = 0;
  for (int tries = 0;; tries++) {
    int holder = 0;
    if (pass_turn(rtnl, &holder) || holder == rtnl->user)
      return;
    if (tries < TURN_SPINS) {
      sched_yield();
    } else if (!is_lost(rtnl, holder, &datagrams, &deadline)) {
      poll(NULL, 0, 1);
    } else if (pass_turn(rtnl, &holder)) {
      drain(rtnl);
      return;
    }
  }
}

/* Begins a request, which gets the number that is returned. */
static uint32_t begin(nn_rtnl *rtnl) {
  if (rtnl->shared == NULL)
    return ++rtnl->seq;
  take_turn(rtnl);
  return rtnl->seq = atomic_fetch_add(&rtnl->shared->seq, 1) + 1;
}

/* The answer is complete, or there is none: the turn is over. */
static void finish(nn_rtnl *rtnl) {
  int self = rtnl->user;
  rtnl->done = true;
  if (rtnl->shared != NULL)
    atomic_compare_exchange_strong(&rtnl->shared->holder, &self, 0);
}

/* --- opening, receiving -------------------------------------------------- */

void nn_rtnl_close(nn_rtnl *rtnl) {
  nn_close(&rtnl->fd);
  free(rtnl->buffer);
  rtnl->buffer = NULL;
  rtnl->left = 0;
  rtnl->done = true;
  if (rtnl->shared == NULL)
    return;
  if (rtnl->user == getpid()) /* else the turn is that of the parent */
    finish(rtnl);
  munmap(rtnl->shared, sizeof *rtnl->shared);
  rtnl->shared = NULL;
}

int nn_rtnl_open(void *arg) {
  nn_rtnl *rtnl = arg;
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  const int on = 1;
  rtnl->buffer = malloc(BUFFER);
  if (rtnl->buffer == NULL)
    return ENOMEM;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, rtnl->protocol);
  /* The kernel picks an address: events pass over a socket that has none. It
     then refuses datagrams of other sockets to that address, though not those
     to a group that the socket has joined, see receive. */
  if (fd < 0 ||
      connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) != 0) {
    int err = errno;
    nn_close(&fd);
    nn_rtnl_close(rtnl);
    return err;
  }
  rtnl->fd = fd;
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  /* without this the kernel ignores the target of an nsid dump */
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return 0;
}

/* Receives one datagram of the kernel's, and sets the cursor to its start; its
   length, or -errno. It never waits. Datagrams of other senders are discarded:
   a process with CAP_NET_ADMIN can send to the groups of events. They may come
   as fast as they are read, so their number is limited. */
static int receive(nn_rtnl *rtnl) {
  struct sockaddr_nl sender;
  ssize_t n;
  int forged = 0;
  do {
    socklen_t size = sizeof sender;
    sender.nl_pid = 0;
    n = recvfrom(rtnl->fd, rtnl->buffer, BUFFER, MSG_TRUNC | MSG_DONTWAIT,
                 (struct sockaddr *)&sender, &size);
    if (n >= 0 && sender.nl_pid != 0) {
      n = -1;
      errno = ++forged < FORGED_LIMIT ? EINTR : EAGAIN;
    }
  } while (n < 0 && errno == EINTR);
  rtnl->left = 0;
  if (n < 0)
    return -errno;
  if (n > BUFFER)
    return -EMSGSIZE;
  rtnl->cursor = (struct nlmsghdr *)(void *)rtnl->buffer;
  return rtnl->left = (int)n;
}

/* Whether the thread is in the namespace: then nothing has to be entered, which
   an ordinary user may not. */
static bool is_home(lua_State *L, const nn_ns *ns) {
  struct stat st;
  int home = nn_home(L);
  bool same = home >= 0 && fstat(home, &st) == 0 && st.st_dev == ns->dev &&
              st.st_ino == ns->ino;
  nn_close(&home);
  return same;
}

/* Opens one in a namespace; 0 or an errno. */
static int open_in(lua_State *L, const nn_ns *ns, nn_rtnl *rtnl) {
  return is_home(L, ns) ? nn_rtnl_open(rtnl)
                        : nn_inside(L, ns->fd, nn_rtnl_open, rtnl);
}

/* Discards all that there is to receive. */
static void drain(nn_rtnl *rtnl) {
  int len;
  do
    len = receive(rtnl);
  while (len > 0 || len == -ENOBUFS || len == -EMSGSIZE);
  rtnl->left = 0;
}

/* Makes a closed socket that the handle at `arg` keeps, in a table that is its
   user value. */
static nn_rtnl *push_kept(lua_State *L, int arg, const nn_ns *ns,
                          int protocol) {
  if (ns->rtnl == NULL && ns->diag == NULL) {
    lua_newtable(L);
    lua_setiuservalue(L, arg, 1);
  }
  lua_getiuservalue(L, arg, 1);
  nn_rtnl *rtnl = nn_rtnl_push(L);
  rtnl->protocol = protocol;
  lua_rawseti(L, -2, protocol + 1);
  lua_pop(L, 1);
  return rtnl;
}

/* Opens a socket of this process, which takes the place of the one that is
   kept; 0, or an errno with that as it was. */
static int replace(lua_State *L, nn_ns *ns, nn_rtnl *kept) {
  nn_rtnl *own = nn_rtnl_push(L);
  own->protocol = kept->protocol;
  int err = open_in(L, ns, own);
  if (err == 0)
    err = share(own);
  if (err == 0) {
    nn_rtnl_close(kept);
    *kept = *own;
    own->fd = -1;
    own->buffer = NULL;
    own->shared = NULL;
  }
  nn_rtnl_close(own);
  lua_pop(L, 1);
  return err;
}

/* Has this process use a socket of the process that it was forked from. */
static void join(nn_rtnl *rtnl) {
  rtnl->user = getpid();
  rtnl->left = 0; /* what that was about to read is not for us */
  rtnl->done = true;
}

nn_rtnl *nn_rtnl_of(lua_State *L, int arg, nn_ns *ns, int protocol) {
  nn_rtnl **kept = protocol == NETLINK_ROUTE ? &ns->rtnl : &ns->diag;
  if (*kept == NULL)
    *kept = push_kept(L, arg, ns, protocol);
  nn_rtnl *rtnl = *kept;
  if (rtnl->fd >= 0 && rtnl->user == getpid())
    return rtnl;
  int err = replace(L, ns, rtnl);
  if (err == 0)
    return rtnl;
  if (rtnl->fd >= 0) {
    join(rtnl);
    return rtnl;
  }
  errno = err;
  return NULL;
}

/* Takes the errno and the words out of an NLMSG_ERROR, which repeats the
   request before its attributes, or out of an NLMSG_DONE, which does not. */
static void read_ack(const struct nlmsghdr *msg, nn_ack *ack) {
  const struct nlmsgerr *error = nlmsg_data(msg);
  int payload = sizeof error->error;
  if (nlmsg_datalen(msg) < payload) {
    ack->err = 0;
    return;
  }
  ack->err = -error->error;
  if (!(msg->nlmsg_flags & NLM_F_ACK_TLVS))
    return;
  if (msg->nlmsg_type == NLMSG_ERROR)
    payload += msg->nlmsg_flags & NLM_F_CAPPED ? (int)sizeof error->msg
                                               : (int)error->msg.nlmsg_len;
  payload = NLMSG_ALIGN(payload);
  const struct nlattr *words =
      nla_find((const void *)((const char *)error + payload),
               nlmsg_datalen(msg) - payload, NLMSGERR_ATTR_MSG);
  if (words != NULL)
    nla_strlcpy(ack->text, words, sizeof ack->text);
}

/* The same for an answer. The kernel has answered by the time that a request is
   sent, and goes on with a dump when it is received, so that there is hardly
   ever something to wait for. A socket on which nothing comes is closed: what
   comes late is not to be waited for again. */
static int receive_answer(nn_rtnl *rtnl) {
  struct pollfd ready = {.fd = rtnl->fd, .events = POLLIN};
  int len = receive(rtnl);
  if (len != -EAGAIN)
    return len;
  for (int64_t deadline = nn_deadline(PATIENCE); len == -EAGAIN;) {
    const int left = nn_remaining(deadline);
    if (left == 0) {
      nn_rtnl_close(rtnl);
      return -ETIMEDOUT;
    }
    poll(&ready, 1, left);
    len = receive(rtnl);
  }
  return len;
}

int nn_rtnl_send(nn_rtnl *rtnl, struct nlmsghdr *msg) {
  nn_ack ignored;
  /* what a Lua error has left; the kernel makes one dump at a time */
  while (nn_rtnl_next(rtnl, &ignored) != NULL)
    ;
  /* a question has one answer; a dump ends with DONE, a change with an ack */
  rtnl->single = !(msg->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP));
  rtnl->left = 0;
  rtnl->datagrams = 0;
  rtnl->interrupted = false;
  msg->nlmsg_flags |= NLM_F_REQUEST;
  msg->nlmsg_seq = begin(rtnl);
  rtnl->done = send(rtnl->fd, msg, msg->nlmsg_len, 0) < 0;
  int err = rtnl->done ? errno : 0;
  if (err != 0)
    finish(rtnl);
  return err;
}

const struct nlmsghdr *nn_rtnl_next(nn_rtnl *rtnl, nn_ack *ack) {
  ack->err = 0;
  ack->text[0] = '\0';
  while (!rtnl->done) {
    struct nlmsghdr *msg = rtnl->cursor;
    if (!nlmsg_ok(msg, rtnl->left)) {
      int len = receive_answer(rtnl);
      if (len < 0) {
        ack->err = -len;
        finish(rtnl);
      }
      rtnl->datagrams++;
      if (rtnl->shared != NULL)
        atomic_fetch_add(&rtnl->shared->datagrams, 1);
      continue;
    }
    rtnl->cursor = nlmsg_next(msg, &rtnl->left);
    if (msg->nlmsg_seq != rtnl->seq)
      continue; /* of a request that was given up */
    rtnl->interrupted |= (msg->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (msg->nlmsg_type == NLMSG_ERROR || msg->nlmsg_type == NLMSG_DONE) {
      read_ack(msg, ack);
      finish(rtnl);
      continue;
    }
    if (rtnl->single)
      finish(rtnl);
    return msg;
  }
  return NULL;
}

int nn_rtnl_change(nn_rtnl *rtnl, struct nlmsghdr *msg, nn_ack *ack) {
  msg->nlmsg_flags |= NLM_F_ACK;
  ack->text[0] = '\0';
  ack->err = nn_rtnl_send(rtnl, msg);
  while (ack->err == 0 && nn_rtnl_next(rtnl, ack) != NULL)
    ;
  return ack->err;
}

struct nl_msg *nn_msg_push(lua_State *L, int type, int flags) {
  struct nl_msg **msg = lua_newuserdata(L, sizeof(struct nl_msg *));
  *msg = NULL;
  luaL_setmetatable(L, MSG);
  *msg = nlmsg_alloc_size(BUFFER);
  if (*msg == NULL ||
      nlmsg_put(*msg, 0, 0, type, 0, NLM_F_REQUEST | flags) == NULL)
    luaL_error(L, "not enough memory");
  return *msg;
}

static int msg_gc(lua_State *L) {
  nlmsg_free(*(struct nl_msg **)luaL_checkudata(L, 1, MSG));
  return 0;
}

int nn_rtnl_poll(nn_rtnl *rtnl) {
  int len = receive(rtnl);
  return len == -EAGAIN ? 0 : len;
}

const struct nlmsghdr *nn_rtnl_event(nn_rtnl *rtnl) {
  struct nlmsghdr *msg = rtnl->cursor;
  if (!nlmsg_ok(msg, rtnl->left))
    return NULL;
  rtnl->cursor = nlmsg_next(msg, &rtnl->left);
  return msg;
}

int nn_rtnl_fail(lua_State *L, const nn_ack *ack, const char *text, ...) {
  char buffer[512];
  va_list args;
  va_start(args, text);
  vsnprintf(buffer, sizeof buffer, text, args);
  va_end(args);
  nn_fail(L, ack->err, "%s", buffer);
  if (ack->text[0] != '\0') {
    lua_pushfstring(L, "%s (%s)", lua_tostring(L, -2),
                    nn_printable(L, ack->text, strlen(ack->text)));
    lua_replace(L, -4);
    lua_pop(L, 1);
  }
  return 3;
}

/* core.rtnl(NS|nil, what): an open socket in a namespace, in the thread's own
   for nil. */
static int rtnl_open(lua_State *L) {
  const char *what = luaL_checkstring(L, 2);
  nn_ns *ns = NULL;
  if (!lua_isnil(L, 1) && (ns = nn_ns_arg(L, 1, what)) == NULL)
    return 3;
  nn_rtnl *rtnl = nn_rtnl_push(L);
  int err = ns == NULL ? nn_rtnl_open(rtnl) : open_in(L, ns, rtnl);
  if (ns != NULL)
    nn_ns_done(ns);
  return err == 0 ? 1 : nn_fail(L, err, "%s", what);
}

static int rtnl_close(lua_State *L) {
  nn_rtnl_close(luaL_checkudata(L, 1, TYPE));
  return 0;
}

void nn_open_rtnl(lua_State *L) {
  static const luaL_Reg functions[] = {{"rtnl", rtnl_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", rtnl_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", rtnl_close}, {"__close", rtnl_close}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg msg[] = {{"__gc", msg_gc}, {NULL, NULL}};
  nn_newtype(L, TYPE, methods, meta);
  nn_newtype(L, MSG, none, msg);
  luaL_setfuncs(L, functions, 0);
}
