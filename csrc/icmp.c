/* icmp.c - echo requests from a namespace, and what becomes of them: raw
   sockets that live there, one or two. Whom to ask, and for how long, is made
   out in lua/netns/ping.lua. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/icmp.h>

#include "netns.h"

#define TYPE "netns.icmp"

/* An echo request, and a reply, of either family: type, code, checksum (2),
   identifier (2), sequence number (2), and a payload, which comes back. */
#define ID_AT 4
#define SEQ_AT 6
#define HEADER 8
#define COOKIE 8         /* of the payload: what tells ours, if there is room */
#define SIZE_LIMIT 65527 /* of a payload that IPv6 can carry */

enum { V4, V6, FAMILIES };

static const struct family {
  int number, protocol, level, recverr;
  uint8_t request, reply;
} families[] = {
    {AF_INET, IPPROTO_ICMP, SOL_IP, IP_RECVERR, ICMP_ECHO, ICMP_ECHOREPLY},
    {AF_INET6, IPPROTO_ICMPV6, SOL_IPV6, IPV6_RECVERR, ICMP6_ECHO_REQUEST,
     ICMP6_ECHO_REPLY}};

typedef struct nn_icmp {
  int fds[FAMILIES];    /* -1: closed, not wanted, or not to be had, */
  int errors[FAMILIES]; /* for this reason */
  bool wanted[FAMILIES];
  size_t size;
  unsigned char packet[]; /* of that size, but for type, checksum, sequence */
} nn_icmp;

typedef union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} address;

/* --- opening ------------------------------------------------------------- */

/* Only echo replies: errors come by the error queue, whatever the filter. */
static int set_filter(int fd, int family) {
  if (family == V4) {
    const struct icmp_filter filter = {~(1U << ICMP_ECHOREPLY)};
    return setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
  }
  struct icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
  return setsockopt(fd, SOL_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
}

static void set_room(int fd, int option, int forced) {
  const int room = 1 << 20; /* for a thousand replies that come at once */
  if (setsockopt(fd, SOL_SOCKET, forced, &room, sizeof room) != 0)
    setsockopt(fd, SOL_SOCKET, option, &room, sizeof room);
}

static void open_family(nn_icmp *icmp, int i) {
  const struct family *family = &families[i];
  const int on = 1;
  int fd = socket(family->number, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                  family->protocol);
  if (fd < 0 || set_filter(fd, i) != 0 ||
      setsockopt(fd, family->level, family->recverr, &on, sizeof on) != 0) {
    icmp->errors[i] = errno;
    nn_close(&fd);
    return;
  }
  set_room(fd, SO_RCVBUF, SO_RCVBUFFORCE);
  set_room(fd, SO_SNDBUF, SO_SNDBUFFORCE); /* they wait for a neighbour */
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  icmp->fds[i] = fd;
}

/* A job for nn_inside. There may be no IPv6 in this kernel: of two families one
   will do. */
static int open_sockets(void *arg) {
  nn_icmp *icmp = arg;
  for (int i = 0; i < FAMILIES; i++)
    if (icmp->wanted[i])
      open_family(icmp, i);
  if (icmp->fds[V4] >= 0 || icmp->fds[V6] >= 0)
    return 0;
  return icmp->errors[icmp->wanted[V4] ? V4 : V6];
}

/* The identifier is chance, and so is the cookie: of several who ask in one
   namespace each hears the replies to all. */
static bool fill_packet(nn_icmp *icmp) {
  const size_t payload = icmp->size - HEADER;
  const size_t cookie = payload < COOKIE ? payload : COOKIE;
  memset(icmp->packet, 0, icmp->size);
  return getrandom(icmp->packet + ID_AT, 2, 0) == 2 &&
         getrandom(icmp->packet + HEADER, cookie, 0) == (ssize_t)cookie;
}

/* core.icmp(NS, what, size [, family]): sockets for requests with a payload of
   so many bytes, of one family, or of those there are. */
static int icmp_open(lua_State *L) {
  static const char *const names[] = {"inet", "inet6", "any", NULL};
  const char *what = luaL_checkstring(L, 2);
  const lua_Integer size = nn_checkint(L, 3, 0, INT_MAX);
  const int only = luaL_checkoption(L, 4, "any", names);
  nn_ns *ns = nn_ns_arg(L, 1, what);
  if (ns == NULL)
    return 3;
  int err = size > SIZE_LIMIT ? EMSGSIZE : 0;
  const size_t packet = err != 0 ? HEADER : HEADER + (size_t)size;
  nn_icmp *icmp = lua_newuserdata(L, sizeof *icmp + packet);
  icmp->fds[V4] = icmp->fds[V6] = -1;
  icmp->errors[V4] = icmp->errors[V6] = EAFNOSUPPORT;
  icmp->wanted[V4] = only != V6;
  icmp->wanted[V6] = only != V4;
  icmp->size = packet;
  luaL_setmetatable(L, TYPE);
  if (err == 0 && !fill_packet(icmp))
    err = errno;
  if (err == 0)
    err = nn_inside(L, ns->fd, open_sockets, icmp);
  nn_ns_done(ns);
  return err == 0 ? 1 : nn_fail(L, err, "%s %s", what, nn_ns_label(L, 1));
}

static nn_icmp *check_icmp(lua_State *L) {
  nn_icmp *icmp = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, icmp->fds[V4] >= 0 || icmp->fds[V6] >= 0, 1,
                "icmp is closed");
  return icmp;
}

/* icmp:fds(): the descriptors to poll, one or two. */
static int icmp_fds(lua_State *L) {
  const nn_icmp *icmp = check_icmp(L);
  int n = 0;
  for (int i = 0; i < FAMILIES; i++)
    if (icmp->fds[i] >= 0) {
      lua_pushinteger(L, icmp->fds[i]);
      n++;
    }
  return n;
}

static int icmp_close(lua_State *L) {
  nn_icmp *icmp = luaL_checkudata(L, 1, TYPE);
  for (int i = 0; i < FAMILIES; i++)
    nn_close(&icmp->fds[i]);
  return 0;
}

/* --- sending ------------------------------------------------------------- */

/* Whether it can be of one host, from which alone a reply would come. */
static bool is_host(const address *to) {
  if (to->any.sa_family == AF_INET6)
    return !IN6_IS_ADDR_UNSPECIFIED(&to->v6.sin6_addr) &&
           !IN6_IS_ADDR_MULTICAST(&to->v6.sin6_addr);
  const in_addr_t host = ntohl(to->v4.sin_addr.s_addr);
  return host != INADDR_ANY && host != INADDR_BROADCAST && !IN_MULTICAST(host);
}

/* The index of a link of the namespace that the socket is in. */
static int find_link(int fd, const char *name, uint32_t *index) {
  struct ifreq request = {.ifr_ifindex = 0};
  const size_t len = strlen(name);
  if (len == 0 || len >= sizeof request.ifr_name)
    return EINVAL;
  memcpy(request.ifr_name, name, len);
  if (ioctl(fd, SIOCGIFINDEX, &request) != 0)
    return errno;
  *index = (uint32_t)request.ifr_ifindex;
  return 0;
}

/* 10.0.0.1, fd00::1, or fe80::1%eth0 where the link has to be said. */
static int parse(const nn_icmp *icmp, const char *text, size_t len,
                 address *to) {
  char host[INET6_ADDRSTRLEN] = "";
  const char *link = memchr(text, '%', len);
  const size_t part = link == NULL ? len : (size_t)(link - text);
  if (strlen(text) != len || part >= sizeof host)
    return EINVAL;
  memcpy(host, text, part);
  memset(to, 0, sizeof *to);
  if (inet_pton(AF_INET, host, &to->v4.sin_addr) == 1)
    to->any.sa_family = AF_INET;
  else if (inet_pton(AF_INET6, host, &to->v6.sin6_addr) == 1)
    to->any.sa_family = AF_INET6;
  else
    return EINVAL;
  if (!is_host(to))
    return EINVAL;
  if (link == NULL)
    return 0;
  if (to->any.sa_family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&to->v6.sin6_addr))
    return EINVAL;
  if (icmp->fds[V6] < 0)
    return icmp->errors[V6];
  return find_link(icmp->fds[V6], link + 1, &to->v6.sin6_scope_id);
}

/* RFC 1071, over bytes as they go. That of ICMPv6 is the kernel's work. */
static void set_checksum(unsigned char *packet, size_t size) {
  uint32_t sum = 0;
  packet[2] = packet[3] = 0;
  for (size_t i = 0; i < size; i++)
    sum += i % 2 == 0 ? (uint32_t)packet[i] << 8 : packet[i];
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  packet[2] = (unsigned char)(~sum >> 8);
  packet[3] = (unsigned char)~sum;
}

static double seconds(const struct timespec *time) {
  return (double)time->tv_sec + (double)time->tv_nsec / 1e9;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return seconds(&time);
}

/* A raw socket does not tell here of an earlier request's error. */
static int send_packet(const nn_icmp *icmp, int family, const address *to,
                       double *time) {
  const socklen_t len = family == V4 ? sizeof to->v4 : sizeof to->v6;
  *time = now();
  ssize_t sent =
      sendto(icmp->fds[family], icmp->packet, icmp->size, 0, &to->any, len);
  return sent < 0 ? errno : 0;
}

/* The text of an address, without its link; NULL if it is of neither family. */
static const char *push_address(lua_State *L, const address *it) {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = it->any.sa_family == AF_INET;
  const void *bytes = v4 ? (const void *)&it->v4.sin_addr : &it->v6.sin6_addr;
  return lua_pushstring(L,
                        inet_ntop(it->any.sa_family, bytes, text, sizeof text));
}

/* icmp:send(address, seq): sends a request. When that was, in seconds, and the
   address as it comes in what is heard of it; or nil, text, errno. */
static int icmp_send(lua_State *L) {
  nn_icmp *icmp = check_icmp(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  const lua_Integer seq = nn_checkint(L, 3, 0, UINT16_MAX);
  address to;
  double time = 0;
  int err = parse(icmp, text, len, &to);
  const int family = err == 0 && to.any.sa_family == AF_INET6 ? V6 : V4;
  if (err == 0 && icmp->fds[family] < 0)
    err = icmp->errors[family];
  if (err == 0) {
    icmp->packet[0] = families[family].request;
    icmp->packet[SEQ_AT] = (unsigned char)(seq >> 8);
    icmp->packet[SEQ_AT + 1] = (unsigned char)seq;
    set_checksum(icmp->packet, icmp->size);
    err = send_packet(icmp, family, &to, &time);
  }
  if (err != 0) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(err));
    lua_pushinteger(L, err);
    return 3;
  }
  lua_pushnumber(L, (lua_Number)time);
  push_address(L, &to);
  return 2;
}

/* --- receiving ----------------------------------------------------------- */

typedef struct nn_news {
  unsigned char data[128]; /* as far as we look */
  size_t len;
  address peer;                   /* who replied; of an error, who was asked */
  double time;                    /* when it came */
  struct sock_extended_err error; /* ee_errno 0: a reply */
  address offender;               /* who says so */
} nn_news;

/* When it came, by our clock. The kernel stamps by the wall clock, which may be
   set: only how long it has waited in the queue is taken by that. The two are
   to be read at once, so again if the program was stopped in between. */
static double came_at(const struct timespec *stamp) {
  struct timespec wall;
  double before, after = now();
  int tries = 0;
  do {
    before = after;
    clock_gettime(CLOCK_REALTIME, &wall);
    after = now();
  } while (after - before > 50e-6 && ++tries < 10);
  wall.tv_sec -= stamp->tv_sec;
  wall.tv_nsec -= stamp->tv_nsec;
  const double age = seconds(&wall);
  return age < 0 ? after : after - age;
}

static void read_error(const unsigned char *data, size_t len, nn_news *news) {
  if (len < sizeof news->error)
    return;
  memcpy(&news->error, data, sizeof news->error);
  len -= sizeof news->error;
  memcpy(&news->offender, data + sizeof news->error,
         len < sizeof news->offender ? len : sizeof news->offender);
}

static void read_control(struct msghdr *msg, int family, nn_news *news) {
  for (struct cmsghdr *control = CMSG_FIRSTHDR(msg); control != NULL;
       control = CMSG_NXTHDR(msg, control)) {
    const unsigned char *data = CMSG_DATA(control);
    const size_t len = control->cmsg_len - CMSG_LEN(0);
    struct timespec stamp;
    if (control->cmsg_level == families[family].level &&
        control->cmsg_type == families[family].recverr) {
      read_error(data, len, news);
    } else if (control->cmsg_level == SOL_SOCKET &&
               control->cmsg_type == SCM_TIMESTAMPNS && len >= sizeof stamp) {
      memcpy(&stamp, data, sizeof stamp);
      news->time = came_at(&stamp);
    }
  }
}

/* Takes what is first in one of a socket's queues; false and errno. */
static bool take(const nn_icmp *icmp, int family, int queue, nn_news *news) {
  unsigned char control[512] __attribute__((aligned(16)));
  struct iovec part = {news->data, sizeof news->data};
  memset(news, 0, sizeof *news);
  struct msghdr msg = {.msg_name = &news->peer,
                       .msg_namelen = sizeof news->peer,
                       .msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
  const ssize_t len = recvmsg(icmp->fds[family], &msg, queue | MSG_DONTWAIT);
  if (len < 0)
    return false;
  news->len = (size_t)len;
  news->time = now();
  read_control(&msg, family, news);
  return true;
}

/* Where the request or the reply begins: IPv4 gives a reply with its head. */
static size_t header_at(const nn_news *news, int family) {
  if (family == V6 || news->error.ee_errno != 0 || news->len == 0)
    return 0;
  return (size_t)(news->data[0] & 15) * 4;
}

/* Whether it is of a request of ours; then its sequence number. A router need
   not give back all of a request that it complains of, a host does. */
static bool is_ours(const nn_icmp *icmp, const nn_news *news, int family,
                    int *seq) {
  const size_t at = header_at(news, family);
  const bool failed = news->error.ee_errno != 0;
  if (news->len < at + HEADER)
    return false;
  const unsigned char *echo = news->data + at;
  size_t left = news->len - at;
  size_t known = icmp->size < HEADER + COOKIE ? icmp->size : HEADER + COOKIE;
  if (failed && left < known)
    known = left;
  *seq = echo[SEQ_AT] << 8 | echo[SEQ_AT + 1];
  return echo[0] ==
             (failed ? families[family].request : families[family].reply) &&
         left >= known && memcmp(echo + ID_AT, icmp->packet + ID_AT, 2) == 0 &&
         memcmp(echo + HEADER, icmp->packet + HEADER, known - HEADER) == 0;
}

/* The next that is of ours: 0, EAGAIN if there is none, or an errno if the
   queues cannot be read. But not for ever, as others' may come as fast as they
   are read. An errno that is not EAGAIN belongs to an error that has come since
   its queue was looked at, unless it comes again and again. */
static int next(const nn_icmp *icmp, int family, nn_news *news, int *seq) {
  int failures = 0;
  for (int n = 0; n < 1024; n++) {
    if (take(icmp, family, MSG_ERRQUEUE, news)) {
      failures = 0;
      if (news->error.ee_errno != 0 && is_ours(icmp, news, family, seq))
        return 0;
    } else if (take(icmp, family, 0, news)) {
      failures = 0;
      if (is_ours(icmp, news, family, seq))
        return 0;
    } else if (errno == EAGAIN || ++failures > 16) {
      return errno;
    }
  }
  return EAGAIN;
}

/* "No route to host (from 10.0.0.1)". */
static void push_reason(lua_State *L, const nn_news *news) {
  const struct sock_extended_err *error = &news->error;
  const bool exceeded = error->ee_origin == SO_EE_ORIGIN_ICMP6
                            ? error->ee_type == ICMP6_TIME_EXCEEDED
                            : error->ee_type == ICMP_TIME_EXCEEDED;
  const char *reason =
      exceeded ? "Time to live exceeded" : strerror((int)error->ee_errno);
  const char *from = push_address(L, &news->offender);
  if (from == NULL)
    lua_pushstring(L, reason);
  else
    lua_pushfstring(L, "%s (from %s)", reason, from);
  lua_remove(L, -2);
}

/* icmp:receive(): the next that has come of a request: its sequence number, the
   address that replied, and when that was; or of one that failed, its sequence
   number, the address that was asked, when that was heard, what is the matter,
   and the errno. False if nothing has come; or nil, message, errno. */
static int icmp_receive(lua_State *L) {
  const nn_icmp *icmp = check_icmp(L);
  nn_news news;
  int seq = 0, err = EAGAIN;
  for (int i = 0; err == EAGAIN && i < FAMILIES; i++)
    if (icmp->fds[i] >= 0)
      err = next(icmp, i, &news, &seq);
  if (err == EAGAIN) {
    lua_pushboolean(L, false);
    return 1;
  }
  if (err != 0)
    return nn_fail(L, err, "cannot receive");
  lua_pushinteger(L, seq);
  push_address(L, &news.peer);
  lua_pushnumber(L, (lua_Number)news.time);
  if (news.error.ee_errno == 0)
    return 3;
  push_reason(L, &news);
  lua_pushinteger(L, (lua_Integer)news.error.ee_errno);
  return 5;
}

void nn_open_icmp(lua_State *L) {
  static const luaL_Reg functions[] = {{"icmp", icmp_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"fds", icmp_fds},
                                     {"send", icmp_send},
                                     {"receive", icmp_receive},
                                     {"close", icmp_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", icmp_close}, {NULL, NULL}};
  nn_newtype(L, TYPE, methods, meta);
  luaL_setfuncs(L, functions, 0);
}
