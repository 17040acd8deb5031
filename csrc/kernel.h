/* kernel.h - numbers and structures of the kernel's interface that are newer
   than the headers of a system we build on: Debian 12 (Linux 6.1), or Alpine,
   whose musl leaves more to others. */
#ifndef NN_KERNEL_H
#define NN_KERNEL_H

#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

/* ioctls of an nsfs descriptor: ioctl_ns(2) */
#define NN_NS_GET_USERNS _IO(0xb7, 0x1)
#define NN_NS_GET_NSTYPE _IO(0xb7, 0x3)
#define NN_NS_GET_ID _IOR(0xb7, 13, uint64_t) /* 6.18 */

/* pidfd_open(2), ioctls of a pidfd: pidfd(7) is not written yet */
#define NN_PIDFD_THREAD 0200                      /* 6.9, O_EXCL */
#define NN_PIDFD_GET_NET_NAMESPACE _IO(0xff, 4)   /* 6.11 */
#define NN_PIDFD_SIGNAL_PROCESS_GROUP 4U          /* 6.9 */
#define NN_PIDFD_INFO_CGROUPID (UINT64_C(1) << 2) /* 6.13 */
#define NN_PIDFD_INFO_EXIT (UINT64_C(1) << 3)     /* 6.15 */

struct nn_pidfd_info {
  uint64_t mask, cgroupid;
  uint32_t pid, tgid, ppid;
  uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code; /* a wait status */
};
#define NN_PIDFD_GET_INFO _IOWR(0xff, 11, struct nn_pidfd_info)

/* socket(7): the cookie of the network namespace of a socket, 5.14 */
#define NN_SO_NETNS_COOKIE 71

/* statx(2) and statmount(2): what a mount is, without reading mountinfo */
#define NN_STATX_INO 0x100U
#define NN_STATX_MNT_ID_UNIQUE 0x4000U   /* 6.8 */
#define NN_STATX_ATTR_MOUNT_ROOT 0x2000U /* 5.8 */
#define NN_SYS_STATMOUNT 457             /* 6.8 */
#define NN_STATMOUNT_MNT_BASIC 2U

struct nn_statx {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, spare;
  uint64_t ino, size, blocks, attributes_mask;
  uint64_t times[8];
  uint32_t rdev[2], dev[2];
  uint64_t mnt_id, rest[13];
};
_Static_assert(sizeof(struct nn_statx) == 256, "as the kernel has it");

struct nn_mnt_id_req {
  uint32_t size, spare;
  uint64_t mnt_id, param;
};

struct nn_statmount {
  uint32_t size, mnt_opts;
  uint64_t mask;
  uint32_t sb_dev_major, sb_dev_minor;
  uint64_t sb_magic;
  uint32_t sb_flags, fs_type;
  uint64_t mnt_id, mnt_parent_id;
  uint32_t mnt_id_old, mnt_parent_id_old;
  uint64_t mnt_attr, mnt_propagation, mnt_peer_group, mnt_master;
  uint64_t rest[60];
};

/* fanotify(7): events of a mount namespace, 6.15 */
#define NN_FAN_REPORT_MNT 0x4000U
#define NN_FAN_MARK_MNTNS 0x110U
#define NN_FAN_MNT_ATTACH 0x01000000U
#define NN_FAN_MNT_DETACH 0x02000000U
#define NN_FAN_EVENT_INFO_TYPE_MNT 7

/* fsopen(2), fsconfig(2), fsmount(2), move_mount(2): 5.2 */
#define NN_FSOPEN_CLOEXEC 1
#define NN_FSCONFIG_SET_STRING 1
#define NN_FSCONFIG_CMD_CREATE 6
#define NN_FSMOUNT_CLOEXEC 1
#define NN_MOUNT_ATTR_RDONLY 1
#define NN_MOVE_MOUNT_F_EMPTY_PATH 4

/* open_tree(2): 5.2 */
#define NN_OPEN_TREE_CLONE 1
#define NN_OPEN_TREE_CLOEXEC O_CLOEXEC
#define NN_AT_RECURSIVE 0x8000

/* rtnetlink(7): attributes of policy rules, 6.14 and 6.15 */
#define NN_FRA_DSCP 25
#define NN_FRA_FLOWLABEL 26
#define NN_FRA_FLOWLABEL_MASK 27
#define NN_FRA_SPORT_MASK 28
#define NN_FRA_DPORT_MASK 29
#define NN_FRA_DSCP_MASK 30

/* <linux/if_link.h>: attributes of links, with the Linux that has them first */
enum {
  NN_IFLA_DEVLINK_PORT = 62,           /* 6.2 */
  NN_IFLA_GSO_IPV4_MAX_SIZE,           /* 6.3 */
  NN_IFLA_GRO_IPV4_MAX_SIZE,           /* 6.3 */
  NN_IFLA_DPLL_PIN,                    /* 6.7 */
  NN_IFLA_MAX_PACING_OFFLOAD_HORIZON,  /* 6.13 */
  NN_IFLA_NETNS_IMMUTABLE,             /* 6.15 */
  NN_IFLA_HEADROOM,                    /* 6.17 */
  NN_IFLA_TAILROOM,                    /* 6.17 */
  NN_IFLA_BR_FDB_N_LEARNED = 48,       /* 6.7 */
  NN_IFLA_BR_FDB_MAX_LEARNED,          /* 6.7 */
  NN_IFLA_BRPORT_MAB = 40,             /* 6.2 */
  NN_IFLA_BRPORT_MCAST_N_GROUPS,       /* 6.3 */
  NN_IFLA_BRPORT_MCAST_MAX_GROUPS,     /* 6.3 */
  NN_IFLA_BRPORT_NEIGH_VLAN_SUPPRESS,  /* 6.4 */
  NN_IFLA_BRPORT_BACKUP_NHID,          /* 6.6 */
  NN_IFLA_VXLAN_LOCALBYPASS = 31,      /* 6.5 */
  NN_IFLA_VXLAN_LABEL_POLICY,          /* 6.8 */
  NN_IFLA_VXLAN_RESERVED_BITS,         /* 6.14 */
  NN_IFLA_VXLAN_MC_ROUTE,              /* 6.16 */
  NN_IFLA_GENEVE_PORT_RANGE = 15,      /* 6.16 */
  NN_IFLA_MACVLAN_BC_CUTOFF = 9,       /* 6.4 */
  NN_IFLA_BOND_COUPLED_CONTROL = 32,   /* 6.9 */
  NN_IFLA_BOND_BROADCAST_NEIGH,        /* 6.17 */
  NN_IFLA_BOND_SLAVE_ACTOR_PORT_PRIO = 10, /* 6.18 */
  NN_IFLA_INET6_RA_MTU = 9,            /* 5.16 */
};

/* bits of IFLA_BR_MULTI_BOOLOPT */
#define NN_BR_MDB_OFFLOAD_FAIL 3U /* 6.16 */
#define NN_BR_FDB_LOCAL_VLAN_0 4U /* 6.17 */

/* close_range(2): 5.11 */
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#endif
