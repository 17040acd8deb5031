/* link_fields.c - what links of each kind are made of. The names are those of
   `ip -details -json link`, the attributes those of <linux/if_link.h>. */
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <string.h>

#include "link.h"

#define END                                                                    \
  { .name = NULL }

static const nn_name operstates[] = {
    {"UNKNOWN", 0}, {"NOTPRESENT", 1}, {"DOWN", 2}, {"LOWERLAYERDOWN", 3},
    {"TESTING", 4}, {"DORMANT", 5},    {"UP", 6},   {NULL, 0}};

static const nn_name linkmodes[] = {{"DEFAULT", 0}, {"DORMANT", 1}, {NULL, 0}};

static const nn_name groups[] = {{"default", 0}, {NULL, 0}};

const nn_field nn_link_fields[] = {
    {"name", IFLA_IFNAME, NN_IFNAME, false, NULL},
    {"address", IFLA_ADDRESS, NN_HW, false, NULL},
    {"broadcast", IFLA_BROADCAST, NN_HW, false, NULL},
    {"permaddr", IFLA_PERM_ADDRESS, NN_HW, true, NULL},
    {"mtu", IFLA_MTU, NN_U32, false, NULL},
    {"min_mtu", IFLA_MIN_MTU, NN_U32, true, NULL},
    {"max_mtu", IFLA_MAX_MTU, NN_U32, true, NULL},
    {"master", IFLA_MASTER, NN_LINK, false, NULL},
    {"alias", IFLA_IFALIAS, NN_TEXT, false, NULL},
    {"group", IFLA_GROUP, NN_NAME32, false, groups},
    {"txqlen", IFLA_TXQLEN, NN_U32, false, NULL},
    {"qdisc", IFLA_QDISC, NN_TEXT, true, NULL},
    {"operstate", IFLA_OPERSTATE, NN_NAME8, true, operstates},
    {"linkmode", IFLA_LINKMODE, NN_NAME8, true, linkmodes},
    {"promiscuity", IFLA_PROMISCUITY, NN_U32, true, NULL},
    {"allmulti", IFLA_ALLMULTI, NN_U32, true, NULL},
    {"num_tx_queues", IFLA_NUM_TX_QUEUES, NN_U32, false, NULL},
    {"num_rx_queues", IFLA_NUM_RX_QUEUES, NN_U32, false, NULL},
    {"gso_max_size", IFLA_GSO_MAX_SIZE, NN_U32, false, NULL},
    {"gso_max_segs", IFLA_GSO_MAX_SEGS, NN_U32, false, NULL},
    {"gro_max_size", IFLA_GRO_MAX_SIZE, NN_U32, false, NULL},
    {"tso_max_size", IFLA_TSO_MAX_SIZE, NN_U32, true, NULL},
    {"tso_max_segs", IFLA_TSO_MAX_SEGS, NN_U32, true, NULL},
    END};

/* --- kinds --------------------------------------------------------------- */

static const nn_field no_fields[] = {END};

/* of the network's byte order */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const nn_name vlan_protocols[] = {
    {"802.1Q", 0x0081}, {"802.1ad", 0xa888}, {NULL, 0}};
#else
static const nn_name vlan_protocols[] = {
    {"802.1Q", 0x8100}, {"802.1ad", 0x88a8}, {NULL, 0}};
#endif

static const nn_field bridge_fields[] = {
    {"forward_delay", IFLA_BR_FORWARD_DELAY, NN_U32, false, NULL},
    {"hello_time", IFLA_BR_HELLO_TIME, NN_U32, false, NULL},
    {"max_age", IFLA_BR_MAX_AGE, NN_U32, false, NULL},
    {"ageing_time", IFLA_BR_AGEING_TIME, NN_U32, false, NULL},
    {"stp_state", IFLA_BR_STP_STATE, NN_U32, false, NULL},
    {"priority", IFLA_BR_PRIORITY, NN_U16, false, NULL},
    {"vlan_filtering", IFLA_BR_VLAN_FILTERING, NN_U8, false, NULL},
    {"vlan_default_pvid", IFLA_BR_VLAN_DEFAULT_PVID, NN_U16, false, NULL},
    {"vlan_protocol", IFLA_BR_VLAN_PROTOCOL, NN_NAME16, false, vlan_protocols},
    {"vlan_stats_enabled", IFLA_BR_VLAN_STATS_ENABLED, NN_U8, false, NULL},
    {"vlan_stats_per_port", IFLA_BR_VLAN_STATS_PER_PORT, NN_U8, false, NULL},
    {"root_port", IFLA_BR_ROOT_PORT, NN_U16, true, NULL},
    {"root_path_cost", IFLA_BR_ROOT_PATH_COST, NN_U32, true, NULL},
    {"topology_change", IFLA_BR_TOPOLOGY_CHANGE, NN_U8, true, NULL},
    {"topology_change_detected", IFLA_BR_TOPOLOGY_CHANGE_DETECTED, NN_U8, true,
     NULL},
    {"group_addr", IFLA_BR_GROUP_ADDR, NN_HW, false, NULL},
    {"mcast_snooping", IFLA_BR_MCAST_SNOOPING, NN_U8, false, NULL},
    {"mcast_router", IFLA_BR_MCAST_ROUTER, NN_U8, false, NULL},
    {"mcast_querier", IFLA_BR_MCAST_QUERIER, NN_U8, false, NULL},
    {"mcast_query_use_ifaddr", IFLA_BR_MCAST_QUERY_USE_IFADDR, NN_U8, false,
     NULL},
    {"mcast_hash_elasticity", IFLA_BR_MCAST_HASH_ELASTICITY, NN_U32, false,
     NULL},
    {"mcast_hash_max", IFLA_BR_MCAST_HASH_MAX, NN_U32, false, NULL},
    {"mcast_last_member_cnt", IFLA_BR_MCAST_LAST_MEMBER_CNT, NN_U32, false,
     NULL},
    {"mcast_startup_query_cnt", IFLA_BR_MCAST_STARTUP_QUERY_CNT, NN_U32, false,
     NULL},
    {"mcast_last_member_intvl", IFLA_BR_MCAST_LAST_MEMBER_INTVL, NN_U64, false,
     NULL},
    {"mcast_membership_intvl", IFLA_BR_MCAST_MEMBERSHIP_INTVL, NN_U64, false,
     NULL},
    {"mcast_querier_intvl", IFLA_BR_MCAST_QUERIER_INTVL, NN_U64, false, NULL},
    {"mcast_query_intvl", IFLA_BR_MCAST_QUERY_INTVL, NN_U64, false, NULL},
    {"mcast_query_response_intvl", IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, NN_U64,
     false, NULL},
    {"mcast_startup_query_intvl", IFLA_BR_MCAST_STARTUP_QUERY_INTVL, NN_U64,
     false, NULL},
    {"mcast_stats_enabled", IFLA_BR_MCAST_STATS_ENABLED, NN_U8, false, NULL},
    {"mcast_igmp_version", IFLA_BR_MCAST_IGMP_VERSION, NN_U8, false, NULL},
    {"mcast_mld_version", IFLA_BR_MCAST_MLD_VERSION, NN_U8, false, NULL},
    {"nf_call_iptables", IFLA_BR_NF_CALL_IPTABLES, NN_U8, false, NULL},
    {"nf_call_ip6tables", IFLA_BR_NF_CALL_IP6TABLES, NN_U8, false, NULL},
    {"nf_call_arptables", IFLA_BR_NF_CALL_ARPTABLES, NN_U8, false, NULL},
    END};

static const nn_name port_states[] = {{"disabled", 0}, {"listening", 1},
                                      {"learning", 2}, {"forwarding", 3},
                                      {"blocking", 4}, {NULL, 0}};

static const nn_field bridge_port_fields[] = {
    {"state", IFLA_BRPORT_STATE, NN_NAME8, false, port_states},
    {"priority", IFLA_BRPORT_PRIORITY, NN_U16, false, NULL},
    {"cost", IFLA_BRPORT_COST, NN_U32, false, NULL},
    {"hairpin", IFLA_BRPORT_MODE, NN_BOOL, false, NULL},
    {"guard", IFLA_BRPORT_GUARD, NN_BOOL, false, NULL},
    {"root_block", IFLA_BRPORT_PROTECT, NN_BOOL, false, NULL},
    {"fastleave", IFLA_BRPORT_FAST_LEAVE, NN_BOOL, false, NULL},
    {"learning", IFLA_BRPORT_LEARNING, NN_BOOL, false, NULL},
    {"flood", IFLA_BRPORT_UNICAST_FLOOD, NN_BOOL, false, NULL},
    {"designated_port", IFLA_BRPORT_DESIGNATED_PORT, NN_U16, true, NULL},
    {"designated_cost", IFLA_BRPORT_DESIGNATED_COST, NN_U16, true, NULL},
    {"topology_change_ack", IFLA_BRPORT_TOPOLOGY_CHANGE_ACK, NN_U8, true, NULL},
    {"config_pending", IFLA_BRPORT_CONFIG_PENDING, NN_U8, true, NULL},
    {"proxy_arp", IFLA_BRPORT_PROXYARP, NN_BOOL, false, NULL},
    {"proxy_arp_wifi", IFLA_BRPORT_PROXYARP_WIFI, NN_BOOL, false, NULL},
    {"multicast_router", IFLA_BRPORT_MULTICAST_ROUTER, NN_U8, false, NULL},
    {"mcast_flood", IFLA_BRPORT_MCAST_FLOOD, NN_BOOL, false, NULL},
    {"bcast_flood", IFLA_BRPORT_BCAST_FLOOD, NN_BOOL, false, NULL},
    {"mcast_to_unicast", IFLA_BRPORT_MCAST_TO_UCAST, NN_BOOL, false, NULL},
    {"neigh_suppress", IFLA_BRPORT_NEIGH_SUPPRESS, NN_BOOL, false, NULL},
    {"vlan_tunnel", IFLA_BRPORT_VLAN_TUNNEL, NN_BOOL, false, NULL},
    {"isolated", IFLA_BRPORT_ISOLATED, NN_BOOL, false, NULL},
    {"locked", IFLA_BRPORT_LOCKED, NN_BOOL, false, NULL},
    END};

static const nn_field vlan_fields[] = {
    {"id", IFLA_VLAN_ID, NN_U16, false, NULL},
    {"protocol", IFLA_VLAN_PROTOCOL, NN_NAME16, false, vlan_protocols},
    END};

static const uint16_t vxlan_remote6 = IFLA_VXLAN_GROUP6;
static const uint16_t vxlan_local6 = IFLA_VXLAN_LOCAL6;

static const nn_name vxlan_dfs[] = {{"unset", VXLAN_DF_UNSET},
                                    {"set", VXLAN_DF_SET},
                                    {"inherit", VXLAN_DF_INHERIT},
                                    {NULL, 0}};

/* `dstport`, as `ip link add` calls it: a `port` is what a link is to its
   bridge, and a vxlan may have both. */
static const nn_field vxlan_fields[] = {
    {"id", IFLA_VXLAN_ID, NN_U32, false, NULL},
    {"remote", IFLA_VXLAN_GROUP, NN_IP, false, &vxlan_remote6},
    {"remote", IFLA_VXLAN_GROUP6, NN_IP, true, NULL},
    {"local", IFLA_VXLAN_LOCAL, NN_IP, false, &vxlan_local6},
    {"local", IFLA_VXLAN_LOCAL6, NN_IP, true, NULL},
    {"link", IFLA_VXLAN_LINK, NN_LINK, false, NULL},
    {"dstport", IFLA_VXLAN_PORT, NN_BE16, false, NULL},
    {"ttl", IFLA_VXLAN_TTL, NN_U8, false, NULL},
    {"tos", IFLA_VXLAN_TOS, NN_U8, false, NULL},
    {"learning", IFLA_VXLAN_LEARNING, NN_BOOL, false, NULL},
    {"ageing", IFLA_VXLAN_AGEING, NN_U32, false, NULL},
    {"limit", IFLA_VXLAN_LIMIT, NN_U32, false, NULL},
    {"proxy", IFLA_VXLAN_PROXY, NN_BOOL, false, NULL},
    {"rsc", IFLA_VXLAN_RSC, NN_BOOL, false, NULL},
    {"l2miss", IFLA_VXLAN_L2MISS, NN_BOOL, false, NULL},
    {"l3miss", IFLA_VXLAN_L3MISS, NN_BOOL, false, NULL},
    {"df", IFLA_VXLAN_DF, NN_NAME8, false, vxlan_dfs},
    {"udp_csum", IFLA_VXLAN_UDP_CSUM, NN_BOOL, false, NULL},
    {"udp_zero_csum6_tx", IFLA_VXLAN_UDP_ZERO_CSUM6_TX, NN_BOOL, false, NULL},
    {"udp_zero_csum6_rx", IFLA_VXLAN_UDP_ZERO_CSUM6_RX, NN_BOOL, false, NULL},
    {"external", IFLA_VXLAN_COLLECT_METADATA, NN_BOOL, false, NULL},
    {"gbp", IFLA_VXLAN_GBP, NN_FLAG, false, NULL},
    {"gpe", IFLA_VXLAN_GPE, NN_FLAG, false, NULL},
    END};

static const nn_name macvlan_modes[] = {
    {"private", MACVLAN_MODE_PRIVATE}, {"vepa", MACVLAN_MODE_VEPA},
    {"bridge", MACVLAN_MODE_BRIDGE},   {"passthru", MACVLAN_MODE_PASSTHRU},
    {"source", MACVLAN_MODE_SOURCE},   {NULL, 0}};

static const nn_field macvlan_fields[] = {
    {"mode", IFLA_MACVLAN_MODE, NN_NAME32, false, macvlan_modes},
    {"bcqueuelen", IFLA_MACVLAN_BC_QUEUE_LEN, NN_U32, false, NULL},
    {"usedbcqueuelen", IFLA_MACVLAN_BC_QUEUE_LEN_USED, NN_U32, true, NULL},
    {"macaddr_count", IFLA_MACVLAN_MACADDR_COUNT, NN_U32, true, NULL},
    END};

static const nn_name ipvlan_modes[] = {{"l2", IPVLAN_MODE_L2},
                                       {"l3", IPVLAN_MODE_L3},
                                       {"l3s", IPVLAN_MODE_L3S},
                                       {NULL, 0}};

static const nn_field ipvlan_fields[] = {
    {"mode", IFLA_IPVLAN_MODE, NN_NAME16, false, ipvlan_modes}, END};

static const nn_field vrf_fields[] = {
    {"table", IFLA_VRF_TABLE, NN_U32, false, NULL}, END};

static const nn_name bond_modes[] = {{"balance-rr", 0},  {"active-backup", 1},
                                     {"balance-xor", 2}, {"broadcast", 3},
                                     {"802.3ad", 4},     {"balance-tlb", 5},
                                     {"balance-alb", 6}, {NULL, 0}};

static const nn_field bond_fields[] = {
    {"mode", IFLA_BOND_MODE, NN_NAME8, false, bond_modes},
    {"active_slave", IFLA_BOND_ACTIVE_SLAVE, NN_LINK, false, NULL},
    {"miimon", IFLA_BOND_MIIMON, NN_U32, false, NULL},
    {"updelay", IFLA_BOND_UPDELAY, NN_U32, false, NULL},
    {"downdelay", IFLA_BOND_DOWNDELAY, NN_U32, false, NULL},
    END};

static const nn_name tun_types[] = {
    {"tun", IFF_TUN}, {"tap", IFF_TAP}, {NULL, 0}};

static const nn_field tun_fields[] = {
    {"type", IFLA_TUN_TYPE, NN_NAME8, true, tun_types},
    {"pi", IFLA_TUN_PI, NN_BOOL, true, NULL},
    {"vnet_hdr", IFLA_TUN_VNET_HDR, NN_BOOL, true, NULL},
    {"persist", IFLA_TUN_PERSIST, NN_BOOL, true, NULL},
    {"multi_queue", IFLA_TUN_MULTI_QUEUE, NN_BOOL, true, NULL},
    {"numqueues", IFLA_TUN_NUM_QUEUES, NN_U32, true, NULL},
    {"numdisabled", IFLA_TUN_NUM_DISABLED_QUEUES, NN_U32, true, NULL},
    END};

/* --- by name ------------------------------------------------------------- */

typedef struct kind {
  const char *name;
  const nn_field *fields;
} kind;

static const nn_field *find(const kind *kinds, const char *name) {
  while (kinds->name != NULL && strcmp(kinds->name, name) != 0)
    kinds++;
  return kinds->fields;
}

const nn_field *nn_link_kind(const char *name) {
  static const kind kinds[] = {{"bond", bond_fields},
                               {"bridge", bridge_fields},
                               {"dummy", no_fields},
                               {"ifb", no_fields},
                               {"ipvlan", ipvlan_fields},
                               {"macvlan", macvlan_fields},
                               {"macvtap", macvlan_fields},
                               {"tun", tun_fields},
                               {"veth", no_fields},
                               {"vlan", vlan_fields},
                               {"vrf", vrf_fields},
                               {"vxlan", vxlan_fields},
                               {NULL, NULL}};
  return find(kinds, name);
}

const nn_field *nn_port_kind(const char *name) {
  static const kind kinds[] = {{"bridge", bridge_port_fields}, {NULL, NULL}};
  return find(kinds, name);
}
