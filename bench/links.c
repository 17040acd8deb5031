/* links.c - the floor for links: what raw rtnetlink costs, in plain C and with
   no library at all. As floor.c it trusts what is there: it gives the links
   their indexes and so looks none up, and it reads of an answer only whether
   all is well; but its descriptors are close-on-exec, and the thread comes home
   after each namespace that it makes.

   See worker.h for how it is driven. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/membarrier.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker.h"

#define MAX 1000          /* hosts */
#define FIRST 100         /* index of the first link we make in a namespace */
#define LOOPBACK 1        /* index of lo */
#define GROUP 7           /* of the links that are listed, to delete them by */
#define PIDFD_THREAD 0200 /* pidfd_open(2), 6.9 */
#define PIDFD_GET_NET_NAMESPACE _IO(0xff, 4) /* 6.11 */

static void check(int failed, const char *what) {
  if (failed)
    err(1, "links: %s", what);
}

/* --- requests ------------------------------------------------------------ */

struct request {
  struct nlmsghdr header;
  char room[512];
};

static void append(struct request *r, const void *data, size_t len) {
  memcpy((char *)r + r->header.nlmsg_len, data, len);
  r->header.nlmsg_len += NLMSG_ALIGN((unsigned)len);
}

static void put(struct request *r, int type, const void *data, size_t len) {
  const struct rtattr attr = {(unsigned short)RTA_LENGTH(len),
                              (unsigned short)type};
  append(r, &attr, sizeof attr);
  append(r, data, len);
}

static void put_text(struct request *r, int type, const char *text) {
  put(r, type, text, strlen(text) + 1);
}

static void put_number(struct request *r, int type, uint32_t number) {
  put(r, type, &number, sizeof number);
}

/* Returns where it begins, for `end`. */
static unsigned begin(struct request *r, int type) {
  const unsigned at = r->header.nlmsg_len;
  put(r, type, NULL, 0);
  return at;
}

static void end(struct request *r, unsigned at) {
  struct rtattr *attr = (void *)((char *)r + at);
  attr->rta_len = (unsigned short)(r->header.nlmsg_len - at);
}

static struct request start(int type, int flags, const void *head, size_t len) {
  struct request r = {.header = {NLMSG_HDRLEN, (unsigned short)type,
                                 (unsigned short)(NLM_F_REQUEST | flags), 0,
                                 0}};
  append(&r, head, len);
  return r;
}

static struct request new_link(int index, unsigned flags, const char *name) {
  const struct ifinfomsg info = {
      .ifi_index = index, .ifi_flags = flags, .ifi_change = flags};
  struct request r = start(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                           &info, sizeof info);
  put_text(&r, IFLA_IFNAME, name);
  return r;
}

static char answer[32768];

static void change(int sock, const struct request *r) {
  const struct nlmsghdr *reply = (const void *)answer;
  const struct nlmsgerr *error = NLMSG_DATA(reply);
  check(send(sock, r, r->header.nlmsg_len, 0) < 0 ||
            recv(sock, answer, sizeof answer, 0) < 0,
        "netlink");
  errno = -error->error;
  check(reply->nlmsg_type != NLMSG_ERROR || error->error != 0, "request");
}

static int netlink(void) {
  int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  check(sock < 0, "netlink");
  return sock;
}

/* --- what is asked for --------------------------------------------------- */

static void add_bridge(int sock, unsigned flags) {
  struct request r = new_link(FIRST, flags, "br0");
  unsigned info = begin(&r, IFLA_LINKINFO);
  put_text(&r, IFLA_INFO_KIND, "bridge");
  end(&r, info);
  change(sock, &r);
}

/* One end of a veth. For an index of 0 the kernel takes the next, and for the
   other end too if one of them is. */
struct veth {
  int index;
  char name[IFNAMSIZ];
};

/* `port` is up and a port of the bridge, `peer` in namespace `peer_ns`, or here
   for -1. */
static void add_veth(int sock, const struct veth *port, const struct veth *peer,
                     int peer_ns, uint32_t group) {
  const struct ifinfomsg other = {.ifi_index = peer->index};
  struct request r = new_link(port->index, IFF_UP, port->name);
  put_number(&r, IFLA_MASTER, FIRST);
  put_number(&r, IFLA_GROUP, group);
  unsigned info = begin(&r, IFLA_LINKINFO);
  put_text(&r, IFLA_INFO_KIND, "veth");
  unsigned data = begin(&r, IFLA_INFO_DATA);
  unsigned end_of_peer = begin(&r, VETH_INFO_PEER);
  append(&r, &other, sizeof other);
  put_text(&r, IFLA_IFNAME, peer->name);
  if (peer_ns >= 0)
    put_number(&r, IFLA_NET_NS_FD, (uint32_t)peer_ns);
  end(&r, end_of_peer);
  end(&r, data);
  end(&r, info);
  change(sock, &r);
}

static void add_address(int sock, int family, int prefixlen, const void *bytes,
                        size_t len) {
  const struct ifaddrmsg info = {.ifa_family = (uint8_t)family,
                                 .ifa_prefixlen = (uint8_t)prefixlen,
                                 .ifa_index = FIRST};
  struct request r = start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                           &info, sizeof info);
  put(&r, IFA_LOCAL, bytes, len);
  put(&r, IFA_ADDRESS, bytes, len);
  change(sock, &r);
}

static void add_inet(int sock, uint32_t address, int prefixlen) {
  address = htonl(address);
  add_address(sock, AF_INET, prefixlen, &address, sizeof address);
}

static void set_up(int sock, int index) {
  const struct ifinfomsg info = {
      .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  const struct request r = start(RTM_NEWLINK, NLM_F_ACK, &info, sizeof info);
  change(sock, &r);
}

/* --- a lab: namespaces, each with a veth to one bridge ------------------- */

static int self = -1; /* a pidfd of this thread, which is the only one */

static int home(void) {
  int fd = self < 0 ? -1 : ioctl(self, PIDFD_GET_NET_NAMESPACE, 0);
  return fd >= 0 ? fd : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* A namespace without a name, and a socket in it. */
struct place {
  int ns, sock;
};

/* `sysctl`, a path, is set to `value` in it, or NULL. */
static struct place new_place(const char *sysctl, const char *value) {
  struct place place;
  int back = home();
  check(back < 0 || unshare(CLONE_NEWNET) != 0, "unshare");
  place.ns = home();
  if (sysctl != NULL) {
    int fd = open(sysctl, O_WRONLY | O_CLOEXEC);
    check(fd < 0 || write(fd, value, 1) != 1, sysctl);
    close(fd);
  }
  place.sock = netlink();
  check(place.ns < 0 || setns(back, CLONE_NEWNET) != 0, "return");
  close(back);
  return place;
}

static void end_place(struct place *place) {
  close(place->ns);
  close(place->sock);
}

static struct place hosts[MAX], lan;

static long lab(int i, const char *argument) {
  const struct veth eth0 = {FIRST, "eth0"};
  struct veth port = {.index = FIRST + 1 + i};
  (void)argument;
  if (i == 0) {
    lan = new_place(NULL, NULL);
    add_bridge(lan.sock, IFF_UP);
  }
  hosts[i] = new_place(NULL, NULL);
  snprintf(port.name, sizeof port.name, "p%d", i);
  add_veth(lan.sock, &port, &eth0, hosts[i].ns, 0);
  add_inet(hosts[i].sock, 0x0a000001U + (uint32_t)i, 16);
  set_up(hosts[i].sock, FIRST);
  return 0;
}

static long lab_down(int i, const char *argument) {
  (void)argument;
  end_place(&hosts[i]);
  if (i == total - 1)
    end_place(&lan);
  return 0;
}

/* --- a switch: the same with all that netns.topology gives each host ------ */

#define CONF "/proc/sys/net/ipv6/conf/"

static struct in6_addr inet6_of(int i) {
  struct in6_addr address = {.s6_addr = {0xfd}};
  address.s6_addr[14] = (uint8_t)((i + 1) >> 8);
  address.s6_addr[15] = (uint8_t)(i + 1);
  return address;
}

/* Sends a question, and returns the head of what the answer tells. */
static const void *ask(int sock, const struct request *r, int type) {
  const struct nlmsghdr *reply = (const void *)answer;
  check(send(sock, r, r->header.nlmsg_len, 0) < 0 ||
            recv(sock, answer, sizeof answer, 0) < 0,
        "netlink");
  check(reply->nlmsg_type != type, "answer");
  return NLMSG_DATA(reply);
}

/* The kernel answers this when it is not at work on a link; what ioctl(2) tells
   is so a moment before the link sends. */
static int is_running(int sock, int index) {
  const struct ifinfomsg info = {.ifi_index = index};
  struct request r = start(RTM_GETLINK, 0, &info, sizeof info);
  put_number(&r, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return ((const struct ifinfomsg *)ask(sock, &r, RTM_NEWLINK))->ifi_flags &
         IFF_RUNNING;
}

static int is_tentative(int sock, struct in6_addr address) {
  const struct ifaddrmsg info = {.ifa_family = AF_INET6, .ifa_index = FIRST};
  struct request r = start(RTM_GETADDR, 0, &info, sizeof info);
  put(&r, IFA_ADDRESS, &address, sizeof address);
  return ((const struct ifaddrmsg *)ask(sock, &r, RTM_NEWADDR))->ifa_flags &
         IFA_F_TENTATIVE;
}

/* Both ends of all links run, and all addresses can be used. The kernel has
   almost always done by then what it does later, so this hardly ever waits. */
static void await_usable(void) {
  for (int i = 0; i < total; i++)
    while (!is_running(lan.sock, FIRST + 1 + i) ||
           !is_running(hosts[i].sock, FIRST) ||
           is_tentative(hosts[i].sock, inet6_of(i)))
      usleep(100);
}

static long make_switch(int i, const char *argument) {
  const struct veth eth0 = {FIRST, "eth0"};
  const struct in6_addr address = inet6_of(i);
  struct veth port = {.index = FIRST + 1 + i};
  (void)argument;
  if (i == 0) {
    lan = new_place(CONF "all/disable_ipv6", "1"); /* and of "default" */
    add_bridge(lan.sock, 0);
  }
  hosts[i] = new_place(CONF "default/accept_dad", "0");
  snprintf(port.name, sizeof port.name, "port%d", i + 1);
  add_veth(lan.sock, &port, &eth0, hosts[i].ns, 0);
  set_up(hosts[i].sock, LOOPBACK);
  add_inet(hosts[i].sock, 0x0a000001U + (uint32_t)i, 24);
  add_address(hosts[i].sock, AF_INET6, 64, &address, sizeof address);
  set_up(hosts[i].sock, FIRST);
  if (i < total - 1)
    return 0;
  /* up before, it would bring all hosts what each sends as it comes up */
  set_up(lan.sock, FIRST);
  await_usable();
  return 0;
}

/* --- waiting for the kernel ----------------------------------------------- */

/* A namespace is let go, and the kernel tells of it. */
static void let_go(void) {
  const int group = RTNLGRP_NSID;
  const struct nlmsghdr *event = (const void *)answer;
  const char head[NLMSG_ALIGN(sizeof(struct rtgenmsg))] = {AF_UNSPEC};
  struct place place = new_place(NULL, NULL);
  int sock = netlink();
  struct request r = start(RTM_NEWNSID, NLM_F_ACK, head, sizeof head);
  put_number(&r, NETNSA_FD, (uint32_t)place.ns);
  put_number(&r, NETNSA_NSID, UINT32_MAX); /* the next */
  change(sock, &r);
  check(setsockopt(sock, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof group) != 0,
        "membership");
  end_place(&place);
  do
    check(recv(sock, answer, sizeof answer, 0) < 0, "event");
  while (event->nlmsg_type != RTM_DELNSID);
  close(sock);
}

/* settle 1: returns when the kernel has taken down what was let go before. It
   frees sockets after a grace period of RCU, and then takes namespaces down by
   the batch, one batch after another, and tells at the start of a batch: so the
   second one let go tells that the first one's batch is done. */
static long settle(int i, const char *argument) {
  (void)i, (void)argument;
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
  let_go();
  let_go();
  return 0;
}

/* --- many links in one namespace, this one ------------------------------- */

/* ports COUNT: a bridge, and as many pairs of which one end is a port. */
static long make_port(int i, const char *argument) {
  struct veth port = {.index = 0}, peer = {.index = 0};
  int sock = netlink();
  (void)argument;
  if (i == 0)
    add_bridge(sock, IFF_UP);
  snprintf(port.name, sizeof port.name, "p%d", i);
  snprintf(peer.name, sizeof peer.name, "q%d", i);
  add_veth(sock, &port, &peer, -1, GROUP);
  close(sock);
  return 0;
}

/* unports 1: takes them away. */
static long delete_ports(int i, const char *argument) {
  const struct ifinfomsg none = {.ifi_index = 0}, bridge = {.ifi_index = FIRST};
  int sock = netlink();
  (void)i, (void)argument;
  struct request r = start(RTM_DELLINK, NLM_F_ACK, &none, sizeof none);
  put_number(&r, IFLA_GROUP, GROUP);
  change(sock, &r);
  r = start(RTM_DELLINK, NLM_F_ACK, &bridge, sizeof bridge);
  change(sock, &r);
  close(sock);
  return 0;
}

/* Receives what the library does, and looks at nothing but the ends. */
static long list(int i, const char *argument) {
  const struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  const struct request r = start(RTM_GETLINK, NLM_F_DUMP, &info, sizeof info);
  int sock = netlink();
  long count = 0;
  (void)i, (void)argument;
  check(send(sock, &r, r.header.nlmsg_len, 0) < 0, "netlink");
  for (;;) {
    ssize_t left = recv(sock, answer, sizeof answer, 0);
    check(left < 0, "netlink");
    for (const struct nlmsghdr *msg = (const void *)answer; NLMSG_OK(msg, left);
         msg = NLMSG_NEXT(msg, left)) {
      if (msg->nlmsg_type == NLMSG_DONE) {
        close(sock);
        return count;
      }
      count++;
    }
  }
}

int main(void) {
  static const struct op ops[] = {{"lab", lab},
                                  {"lab-down", lab_down},
                                  {"settle", settle},
                                  {"ports", make_port},
                                  {"unports", delete_ports},
                                  {"links", list},
                                  {"switch", make_switch},
                                  {"switch-down", lab_down},
                                  {NULL, NULL}};
  self = (int)syscall(SYS_pidfd_open, getpid(), PIDFD_THREAD);
  return serve(ops);
}
