/* link_fields.c - what links of each kind are made of. The names are those of
   `ip -details -json link`, the attributes those of <linux/if_link.h>. */
#include <netinet/in.h> /* before the kernel's, which then leave it be */

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/if_tunnel.h>
#include <linux/if_vlan.h>
#include <linux/ip6_tunnel.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>

#include "kernel.h"
#include "link.h"

#define END                                                                    \
  { .name = NULL }

/* A detail of NN_PART; the names of its kinds tell the integer's size. */
#define PART(...) (&(const nn_part){__VA_ARGS__})
#define BIT16(bit) PART(.size = 2, .mask = (bit))
#define BIT32(bit) PART(.size = 4, .mask = (bit))
#define MASKED(bit) PART(.size = 8, .mask = (bit))

static const nn_name operstates[] = {
    {"unknown", 0}, {"notpresent", 1}, {"down", 2}, {"lowerlayerdown", 3},
    {"testing", 4}, {"dormant", 5},    {"up", 6},   {NULL, 0}};

static const nn_name linkmodes[] = {{"default", 0}, {"dormant", 1}, {NULL, 0}};

static const nn_name groups[] = {{"default", 0}, {NULL, 0}};

static const nn_name gen_modes[] = {{"eui64", IN6_ADDR_GEN_MODE_EUI64},
                                    {"none", IN6_ADDR_GEN_MODE_NONE},
                                    {"stable_secret", 2},
                                    {"random", IN6_ADDR_GEN_MODE_RANDOM},
                                    {NULL, 0}};

static const nn_field inet6_fields[] = {{"inet6_addr_gen_mode",
                                         IFLA_INET6_ADDR_GEN_MODE, NN_NAME8,
                                         NN_SETTING, gen_modes},
                                        END};

/* Some of them: there are counters and sysctls besides. */
static const nn_field family_fields[] = {
    {"inet6", AF_INET6, NN_INSIDE, NN_SETTING, inet6_fields}, END};

const nn_field nn_link_families[] = {
    {"families", IFLA_AF_SPEC, NN_INSIDE, NN_SETTING, family_fields}, END};

static const nn_field altname = {"altname", IFLA_ALT_IFNAME, NN_ALTNAME,
                                 NN_STATE, NULL};

static const nn_field reason_fields[] = {
    {"proto_down_reason", IFLA_PROTO_DOWN_REASON_VALUE, NN_U32, NN_SHOWN, NULL},
    END};

static const nn_field xdp_fields[] = {
    {"attached", IFLA_XDP_ATTACHED, NN_U8, NN_STATE, NULL},
    {"id", IFLA_XDP_PROG_ID, NN_U32, NN_STATE, NULL},
    {"driver", IFLA_XDP_DRV_PROG_ID, NN_U32, NN_STATE, NULL},
    {"generic", IFLA_XDP_SKB_PROG_ID, NN_U32, NN_STATE, NULL},
    {"hardware", IFLA_XDP_HW_PROG_ID, NN_U32, NN_STATE, NULL},
    END};

const nn_field nn_link_fields[] = {
    {"name", IFLA_IFNAME, NN_IFNAME, NN_SETTING, NULL},
    {"address", IFLA_ADDRESS, NN_HW, NN_SETTING, NULL},
    {"broadcast", IFLA_BROADCAST, NN_HW, NN_SETTING, NULL},
    {"permaddr", IFLA_PERM_ADDRESS, NN_HW, NN_STATE, NULL},
    {"mtu", IFLA_MTU, NN_U32, NN_SETTING, NULL},
    {"min_mtu", IFLA_MIN_MTU, NN_U32, NN_STATE, NULL},
    {"max_mtu", IFLA_MAX_MTU, NN_U32, NN_STATE, NULL},
    {"master", IFLA_MASTER, NN_LINK, NN_SETTING, NULL},
    {"alias", IFLA_IFALIAS, NN_TEXT, NN_SETTING, NULL},
    {"group", IFLA_GROUP, NN_NAME32, NN_SETTING, groups},
    {"txqlen", IFLA_TXQLEN, NN_U32, NN_SETTING, NULL},
    {"qdisc", IFLA_QDISC, NN_TEXT, NN_STATE, NULL},
    {"operstate", IFLA_OPERSTATE, NN_NAME8, NN_STATE, operstates},
    {"linkmode", IFLA_LINKMODE, NN_NAME8, NN_SETTING, linkmodes},
    {"promiscuity", IFLA_PROMISCUITY, NN_U32, NN_STATE, NULL},
    {"allmulti", IFLA_ALLMULTI, NN_U32, NN_STATE, NULL},
    {"num_tx_queues", IFLA_NUM_TX_QUEUES, NN_U32, NN_SETTING, NULL},
    {"num_rx_queues", IFLA_NUM_RX_QUEUES, NN_U32, NN_SETTING, NULL},
    {"gso_max_size", IFLA_GSO_MAX_SIZE, NN_U32, NN_SETTING, NULL},
    {"gso_max_segs", IFLA_GSO_MAX_SEGS, NN_U32, NN_SETTING, NULL},
    {"gro_max_size", IFLA_GRO_MAX_SIZE, NN_U32, NN_SETTING, NULL},
    {"gso_ipv4_max_size", NN_IFLA_GSO_IPV4_MAX_SIZE, NN_U32, NN_SETTING, NULL},
    {"gro_ipv4_max_size", NN_IFLA_GRO_IPV4_MAX_SIZE, NN_U32, NN_SETTING, NULL},
    {"tso_max_size", IFLA_TSO_MAX_SIZE, NN_U32, NN_STATE, NULL},
    {"tso_max_segs", IFLA_TSO_MAX_SEGS, NN_U32, NN_STATE, NULL},
    {"proto_down", IFLA_PROTO_DOWN, NN_BOOL, NN_SETTING, NULL},
    {"altnames", IFLA_PROP_LIST, NN_LIST, NN_STATE, &altname},
    {"parentbus", IFLA_PARENT_DEV_BUS_NAME, NN_TEXT, NN_STATE, NULL},
    {"parentdev", IFLA_PARENT_DEV_NAME, NN_TEXT, NN_STATE, NULL},
    {"netns_immutable", NN_IFLA_NETNS_IMMUTABLE, NN_BOOL, NN_STATE, NULL},
    {"phys_port_name", IFLA_PHYS_PORT_NAME, NN_TEXT, NN_STATE, NULL},
    {"phys_port_id", IFLA_PHYS_PORT_ID, NN_HW, NN_STATE, NULL},
    {"phys_switch_id", IFLA_PHYS_SWITCH_ID, NN_HW, NN_STATE, NULL},
    {"reason", IFLA_PROTO_DOWN_REASON, NN_INSIDE, NN_SHOWN, reason_fields},
    {"xdp", IFLA_XDP, NN_NEST, NN_SHOWN, xdp_fields},
    /* link.c reads these */
    {"families", IFLA_AF_SPEC, NN_OTHER, NN_STATE, NULL},
    {"link", IFLA_LINK, NN_OTHER, NN_STATE, NULL},
    {"link_netnsid", IFLA_LINK_NETNSID, NN_OTHER, NN_STATE, NULL},
    {"info", IFLA_LINKINFO, NN_OTHER, NN_STATE, NULL},
    {"stats64", IFLA_STATS64, NN_OTHER, NN_STATE, NULL},
    /* the same once more, or counters, or of hardware alone */
    {"stats", IFLA_STATS, NN_OTHER, NN_STATE, NULL},
    {"map", IFLA_MAP, NN_OTHER, NN_STATE, NULL},
    {"carrier", IFLA_CARRIER, NN_OTHER, NN_STATE, NULL},
    {"changes", IFLA_CARRIER_CHANGES, NN_OTHER, NN_STATE, NULL},
    {"ups", IFLA_CARRIER_UP_COUNT, NN_OTHER, NN_STATE, NULL},
    {"downs", IFLA_CARRIER_DOWN_COUNT, NN_OTHER, NN_STATE, NULL},
    {"event", IFLA_EVENT, NN_OTHER, NN_STATE, NULL},
    {"new_netnsid", IFLA_NEW_NETNSID, NN_OTHER, NN_STATE, NULL},
    {"new_ifindex", IFLA_NEW_IFINDEX, NN_OTHER, NN_STATE, NULL},
    {"pad", IFLA_PAD, NN_OTHER, NN_STATE, NULL},
    {"wireless", IFLA_WIRELESS, NN_OTHER, NN_STATE, NULL},
    {"num_vf", IFLA_NUM_VF, NN_OTHER, NN_STATE, NULL},
    {"devlink", NN_IFLA_DEVLINK_PORT, NN_OTHER, NN_STATE, NULL},
    {"dpll", NN_IFLA_DPLL_PIN, NN_OTHER, NN_STATE, NULL},
    {"pacing", NN_IFLA_MAX_PACING_OFFLOAD_HORIZON, NN_OTHER, NN_STATE, NULL},
    {"headroom", NN_IFLA_HEADROOM, NN_OTHER, NN_STATE, NULL},
    {"tailroom", NN_IFLA_TAILROOM, NN_OTHER, NN_STATE, NULL},
    END};

static const nn_name link_types[] = {{"ether", ARPHRD_ETHER},
                                     {"loopback", ARPHRD_LOOPBACK},
                                     {"none", ARPHRD_NONE},
                                     {"void", ARPHRD_VOID},
                                     {"ipip", ARPHRD_TUNNEL},
                                     {"tunnel6", ARPHRD_TUNNEL6},
                                     {"sit", ARPHRD_SIT},
                                     {"gre", ARPHRD_IPGRE},
                                     {"gre6", ARPHRD_IP6GRE},
                                     {"ppp", ARPHRD_PPP},
                                     {"infiniband", ARPHRD_INFINIBAND},
                                     {"ieee802.11", ARPHRD_IEEE80211},
                                     {"can", ARPHRD_CAN},
                                     {"netlink", ARPHRD_NETLINK},
                                     {NULL, 0}};

const nn_field nn_link_head[] = {
    {"index", offsetof(struct ifinfomsg, ifi_index), NN_U32, NN_STATE, NULL},
    {"link_type", offsetof(struct ifinfomsg, ifi_type), NN_NAME16, NN_STATE,
     link_types},
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

/* A boolean in an option that bridges call 0 or 1. */
#define OPTION(bit) PART(.size = 8, .number = true, .mask = 1u << (bit))

static const nn_field querier_fields[] = {
    {"mcast_querier_ipv4_addr", BRIDGE_QUERIER_IP_ADDRESS, NN_IP, NN_STATE,
     NULL},
    {"mcast_querier_ipv4_port", BRIDGE_QUERIER_IP_PORT, NN_LINK, NN_STATE,
     NULL},
    {"mcast_querier_ipv4_other_timer", BRIDGE_QUERIER_IP_OTHER_TIMER, NN_TIMER,
     NN_STATE, NULL},
    {"mcast_querier_ipv6_addr", BRIDGE_QUERIER_IPV6_ADDRESS, NN_IP, NN_STATE,
     NULL},
    {"mcast_querier_ipv6_port", BRIDGE_QUERIER_IPV6_PORT, NN_LINK, NN_STATE,
     NULL},
    {"mcast_querier_ipv6_other_timer", BRIDGE_QUERIER_IPV6_OTHER_TIMER,
     NN_TIMER, NN_STATE, NULL},
    {"pad", BRIDGE_QUERIER_PAD, NN_OTHER, NN_STATE, NULL},
    END};

static const nn_field bridge_fields[] = {
    {"forward_delay", IFLA_BR_FORWARD_DELAY, NN_U32, NN_SETTING, NULL},
    {"hello_time", IFLA_BR_HELLO_TIME, NN_U32, NN_SETTING, NULL},
    {"max_age", IFLA_BR_MAX_AGE, NN_U32, NN_SETTING, NULL},
    {"ageing_time", IFLA_BR_AGEING_TIME, NN_U32, NN_SETTING, NULL},
    {"stp_state", IFLA_BR_STP_STATE, NN_U32, NN_SETTING, NULL},
    {"priority", IFLA_BR_PRIORITY, NN_U16, NN_SETTING, NULL},
    {"vlan_filtering", IFLA_BR_VLAN_FILTERING, NN_U8, NN_SETTING, NULL},
    {"vlan_default_pvid", IFLA_BR_VLAN_DEFAULT_PVID, NN_U16, NN_SETTING, NULL},
    {"vlan_protocol", IFLA_BR_VLAN_PROTOCOL, NN_NAME16, NN_SETTING,
     vlan_protocols},
    {"vlan_stats_enabled", IFLA_BR_VLAN_STATS_ENABLED, NN_U8, NN_SETTING, NULL},
    {"vlan_stats_per_port", IFLA_BR_VLAN_STATS_PER_PORT, NN_U8, NN_SETTING,
     NULL},
    {"no_linklocal_learn", IFLA_BR_MULTI_BOOLOPT, NN_PART, NN_SETTING,
     OPTION(BR_BOOLOPT_NO_LL_LEARN)},
    {"mcast_vlan_snooping", IFLA_BR_MULTI_BOOLOPT, NN_PART, NN_SETTING,
     OPTION(BR_BOOLOPT_MCAST_VLAN_SNOOPING)},
    {"mst_enabled", IFLA_BR_MULTI_BOOLOPT, NN_PART, NN_SETTING,
     OPTION(BR_BOOLOPT_MST_ENABLE)},
    {"mdb_offload_fail_notification", IFLA_BR_MULTI_BOOLOPT, NN_PART,
     NN_SETTING, OPTION(NN_BR_MDB_OFFLOAD_FAIL)},
    {"fdb_local_vlan_0", IFLA_BR_MULTI_BOOLOPT, NN_PART, NN_SETTING,
     OPTION(NN_BR_FDB_LOCAL_VLAN_0)},
    {"group_fwd_mask", IFLA_BR_GROUP_FWD_MASK, NN_U16, NN_SETTING, NULL},
    {"bridge_id", IFLA_BR_BRIDGE_ID, NN_BRIDGE, NN_STATE, NULL},
    {"root_id", IFLA_BR_ROOT_ID, NN_BRIDGE, NN_STATE, NULL},
    {"hello_timer", IFLA_BR_HELLO_TIMER, NN_TIMER, NN_STATE, NULL},
    {"tcn_timer", IFLA_BR_TCN_TIMER, NN_TIMER, NN_STATE, NULL},
    {"topology_change_timer", IFLA_BR_TOPOLOGY_CHANGE_TIMER, NN_TIMER, NN_STATE,
     NULL},
    {"gc_timer", IFLA_BR_GC_TIMER, NN_TIMER, NN_STATE, NULL},
    {"root_port", IFLA_BR_ROOT_PORT, NN_U16, NN_STATE, NULL},
    {"root_path_cost", IFLA_BR_ROOT_PATH_COST, NN_U32, NN_STATE, NULL},
    {"topology_change", IFLA_BR_TOPOLOGY_CHANGE, NN_U8, NN_STATE, NULL},
    {"topology_change_detected", IFLA_BR_TOPOLOGY_CHANGE_DETECTED, NN_U8,
     NN_STATE, NULL},
    {"fdb_n_learned", NN_IFLA_BR_FDB_N_LEARNED, NN_U32, NN_STATE, NULL},
    {"fdb_max_learned", NN_IFLA_BR_FDB_MAX_LEARNED, NN_U32, NN_SETTING, NULL},
    {"querier", IFLA_BR_MCAST_QUERIER_STATE, NN_INSIDE, NN_STATE,
     querier_fields},
    {"group_addr", IFLA_BR_GROUP_ADDR, NN_HW, NN_SETTING, NULL},
    {"mcast_snooping", IFLA_BR_MCAST_SNOOPING, NN_U8, NN_SETTING, NULL},
    {"mcast_router", IFLA_BR_MCAST_ROUTER, NN_U8, NN_SETTING, NULL},
    {"mcast_querier", IFLA_BR_MCAST_QUERIER, NN_U8, NN_SETTING, NULL},
    {"mcast_query_use_ifaddr", IFLA_BR_MCAST_QUERY_USE_IFADDR, NN_U8,
     NN_SETTING, NULL},
    {"mcast_hash_elasticity", IFLA_BR_MCAST_HASH_ELASTICITY, NN_U32, NN_SETTING,
     NULL},
    {"mcast_hash_max", IFLA_BR_MCAST_HASH_MAX, NN_U32, NN_SETTING, NULL},
    {"mcast_last_member_cnt", IFLA_BR_MCAST_LAST_MEMBER_CNT, NN_U32, NN_SETTING,
     NULL},
    {"mcast_startup_query_cnt", IFLA_BR_MCAST_STARTUP_QUERY_CNT, NN_U32,
     NN_SETTING, NULL},
    {"mcast_last_member_intvl", IFLA_BR_MCAST_LAST_MEMBER_INTVL, NN_U64,
     NN_SETTING, NULL},
    {"mcast_membership_intvl", IFLA_BR_MCAST_MEMBERSHIP_INTVL, NN_U64,
     NN_SETTING, NULL},
    {"mcast_querier_intvl", IFLA_BR_MCAST_QUERIER_INTVL, NN_U64, NN_SETTING,
     NULL},
    {"mcast_query_intvl", IFLA_BR_MCAST_QUERY_INTVL, NN_U64, NN_SETTING, NULL},
    {"mcast_query_response_intvl", IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, NN_U64,
     NN_SETTING, NULL},
    {"mcast_startup_query_intvl", IFLA_BR_MCAST_STARTUP_QUERY_INTVL, NN_U64,
     NN_SETTING, NULL},
    {"mcast_stats_enabled", IFLA_BR_MCAST_STATS_ENABLED, NN_U8, NN_SETTING,
     NULL},
    {"mcast_igmp_version", IFLA_BR_MCAST_IGMP_VERSION, NN_U8, NN_SETTING, NULL},
    {"mcast_mld_version", IFLA_BR_MCAST_MLD_VERSION, NN_U8, NN_SETTING, NULL},
    {"nf_call_iptables", IFLA_BR_NF_CALL_IPTABLES, NN_U8, NN_SETTING, NULL},
    {"nf_call_ip6tables", IFLA_BR_NF_CALL_IP6TABLES, NN_U8, NN_SETTING, NULL},
    {"nf_call_arptables", IFLA_BR_NF_CALL_ARPTABLES, NN_U8, NN_SETTING, NULL},
    {"pad", IFLA_BR_PAD, NN_OTHER, NN_STATE, NULL},
    END};

static const nn_name port_states[] = {{"disabled", 0}, {"listening", 1},
                                      {"learning", 2}, {"forwarding", 3},
                                      {"blocking", 4}, {NULL, 0}};

static const nn_field bridge_port_fields[] = {
    {"state", IFLA_BRPORT_STATE, NN_NAME8, NN_SETTING, port_states},
    {"priority", IFLA_BRPORT_PRIORITY, NN_U16, NN_SETTING, NULL},
    {"cost", IFLA_BRPORT_COST, NN_U32, NN_SETTING, NULL},
    {"hairpin", IFLA_BRPORT_MODE, NN_BOOL, NN_SETTING, NULL},
    {"guard", IFLA_BRPORT_GUARD, NN_BOOL, NN_SETTING, NULL},
    {"root_block", IFLA_BRPORT_PROTECT, NN_BOOL, NN_SETTING, NULL},
    {"fastleave", IFLA_BRPORT_FAST_LEAVE, NN_BOOL, NN_SETTING, NULL},
    {"learning", IFLA_BRPORT_LEARNING, NN_BOOL, NN_SETTING, NULL},
    {"flood", IFLA_BRPORT_UNICAST_FLOOD, NN_BOOL, NN_SETTING, NULL},
    {"id", IFLA_BRPORT_ID, NN_U16, NN_STATE, NULL},
    {"no", IFLA_BRPORT_NO, NN_U16, NN_STATE, NULL},
    {"bridge_id", IFLA_BRPORT_BRIDGE_ID, NN_BRIDGE, NN_STATE, NULL},
    {"root_id", IFLA_BRPORT_ROOT_ID, NN_BRIDGE, NN_STATE, NULL},
    {"hold_timer", IFLA_BRPORT_HOLD_TIMER, NN_TIMER, NN_STATE, NULL},
    {"message_age_timer", IFLA_BRPORT_MESSAGE_AGE_TIMER, NN_TIMER, NN_STATE,
     NULL},
    {"forward_delay_timer", IFLA_BRPORT_FORWARD_DELAY_TIMER, NN_TIMER, NN_STATE,
     NULL},
    {"group_fwd_mask", IFLA_BRPORT_GROUP_FWD_MASK, NN_U16, NN_SETTING, NULL},
    {"designated_port", IFLA_BRPORT_DESIGNATED_PORT, NN_U16, NN_STATE, NULL},
    {"designated_cost", IFLA_BRPORT_DESIGNATED_COST, NN_U16, NN_STATE, NULL},
    {"topology_change_ack", IFLA_BRPORT_TOPOLOGY_CHANGE_ACK, NN_U8, NN_STATE,
     NULL},
    {"config_pending", IFLA_BRPORT_CONFIG_PENDING, NN_U8, NN_STATE, NULL},
    {"proxy_arp", IFLA_BRPORT_PROXYARP, NN_BOOL, NN_SETTING, NULL},
    {"proxy_arp_wifi", IFLA_BRPORT_PROXYARP_WIFI, NN_BOOL, NN_SETTING, NULL},
    {"multicast_router", IFLA_BRPORT_MULTICAST_ROUTER, NN_U8, NN_SETTING, NULL},
    {"mcast_flood", IFLA_BRPORT_MCAST_FLOOD, NN_BOOL, NN_SETTING, NULL},
    {"bcast_flood", IFLA_BRPORT_BCAST_FLOOD, NN_BOOL, NN_SETTING, NULL},
    {"mcast_to_unicast", IFLA_BRPORT_MCAST_TO_UCAST, NN_BOOL, NN_SETTING, NULL},
    {"neigh_suppress", IFLA_BRPORT_NEIGH_SUPPRESS, NN_BOOL, NN_SETTING, NULL},
    {"vlan_tunnel", IFLA_BRPORT_VLAN_TUNNEL, NN_BOOL, NN_SETTING, NULL},
    {"isolated", IFLA_BRPORT_ISOLATED, NN_BOOL, NN_SETTING, NULL},
    {"locked", IFLA_BRPORT_LOCKED, NN_BOOL, NN_SETTING, NULL},
    {"mab", NN_IFLA_BRPORT_MAB, NN_BOOL, NN_SETTING, NULL},
    {"mcast_n_groups", NN_IFLA_BRPORT_MCAST_N_GROUPS, NN_U32, NN_STATE, NULL},
    {"mcast_max_groups", NN_IFLA_BRPORT_MCAST_MAX_GROUPS, NN_U32, NN_SETTING,
     NULL},
    {"neigh_vlan_suppress", NN_IFLA_BRPORT_NEIGH_VLAN_SUPPRESS, NN_BOOL,
     NN_SETTING, NULL},
    {"backup_port", IFLA_BRPORT_BACKUP_PORT, NN_LINK, NN_SETTING, NULL},
    {"backup_nhid", NN_IFLA_BRPORT_BACKUP_NHID, NN_U32, NN_SETTING, NULL},
    {"mcast_eht_hosts_limit", IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT, NN_U32,
     NN_SETTING, NULL},
    {"mcast_eht_hosts_cnt", IFLA_BRPORT_MCAST_EHT_HOSTS_CNT, NN_U32, NN_STATE,
     NULL},
    {"mrp_ring_open", IFLA_BRPORT_MRP_RING_OPEN, NN_BOOL, NN_STATE, NULL},
    {"mrp_in_open", IFLA_BRPORT_MRP_IN_OPEN, NN_BOOL, NN_STATE, NULL},
    {"pad", IFLA_BRPORT_PAD, NN_OTHER, NN_STATE, NULL},
    END};

#define QOS(member) offsetof(struct ifla_vlan_qos_mapping, member)
static const nn_field vlan_qos_fields[] = {
    {"from", QOS(from), NN_U32, NN_SETTING, NULL},
    {"to", QOS(to), NN_U32, NN_SETTING, NULL},
    END};

static const nn_field vlan_qos = {"qos", IFLA_VLAN_QOS_MAPPING, NN_STRUCT,
                                  NN_SETTING, vlan_qos_fields};

/* The flags by the names that `ip link add` has for them. */
static const nn_field vlan_fields[] = {
    {"id", IFLA_VLAN_ID, NN_U16, NN_SETTING, NULL},
    {"protocol", IFLA_VLAN_PROTOCOL, NN_NAME16, NN_SETTING, vlan_protocols},
    {"reorder_hdr", IFLA_VLAN_FLAGS, NN_PART, NN_SETTING,
     MASKED(VLAN_FLAG_REORDER_HDR)},
    {"gvrp", IFLA_VLAN_FLAGS, NN_PART, NN_SETTING, MASKED(VLAN_FLAG_GVRP)},
    {"loose_binding", IFLA_VLAN_FLAGS, NN_PART, NN_SETTING,
     MASKED(VLAN_FLAG_LOOSE_BINDING)},
    {"mvrp", IFLA_VLAN_FLAGS, NN_PART, NN_SETTING, MASKED(VLAN_FLAG_MVRP)},
    {"bridge_binding", IFLA_VLAN_FLAGS, NN_PART, NN_SETTING,
     MASKED(VLAN_FLAG_BRIDGE_BINDING)},
    {"ingress_qos", IFLA_VLAN_INGRESS_QOS, NN_LIST, NN_SETTING, &vlan_qos},
    {"egress_qos", IFLA_VLAN_EGRESS_QOS, NN_LIST, NN_SETTING, &vlan_qos},
    END};

static const uint16_t vxlan_remote6 = IFLA_VXLAN_GROUP6;
static const uint16_t vxlan_local6 = IFLA_VXLAN_LOCAL6;

static const nn_name vxlan_dfs[] = {{"unset", VXLAN_DF_UNSET},
                                    {"set", VXLAN_DF_SET},
                                    {"inherit", VXLAN_DF_INHERIT},
                                    {NULL, 0}};

static const nn_name label_policies[] = {
    {"fixed", 0}, {"inherit", 1}, {NULL, 0}};

#define RANGE(member) offsetof(struct ifla_vxlan_port_range, member)
static const nn_field port_range[] = {
    {"low", RANGE(low), NN_BE16, NN_SETTING, NULL},
    {"high", RANGE(high), NN_BE16, NN_SETTING, NULL},
    END};

/* `dstport`, as `ip link add` calls it: a `port` is what a link is to its
   bridge, and a vxlan may have both. */
static const nn_field vxlan_fields[] = {
    {"id", IFLA_VXLAN_ID, NN_U32, NN_SETTING, NULL},
    {"remote", IFLA_VXLAN_GROUP, NN_IP, NN_SETTING, &vxlan_remote6},
    {"remote", IFLA_VXLAN_GROUP6, NN_IP, NN_STATE, NULL},
    {"local", IFLA_VXLAN_LOCAL, NN_IP, NN_SETTING, &vxlan_local6},
    {"local", IFLA_VXLAN_LOCAL6, NN_IP, NN_STATE, NULL},
    {"link", IFLA_VXLAN_LINK, NN_LINK, NN_SETTING, NULL},
    {"dstport", IFLA_VXLAN_PORT, NN_BE16, NN_SETTING, NULL},
    {"port_range", IFLA_VXLAN_PORT_RANGE, NN_STRUCT, NN_SETTING, port_range},
    {"ttl", IFLA_VXLAN_TTL, NN_U8, NN_SETTING, NULL},
    {"tos", IFLA_VXLAN_TOS, NN_U8, NN_SETTING, NULL},
    {"learning", IFLA_VXLAN_LEARNING, NN_BOOL, NN_SETTING, NULL},
    {"ageing", IFLA_VXLAN_AGEING, NN_U32, NN_SETTING, NULL},
    {"limit", IFLA_VXLAN_LIMIT, NN_U32, NN_SETTING, NULL},
    {"proxy", IFLA_VXLAN_PROXY, NN_BOOL, NN_SETTING, NULL},
    {"rsc", IFLA_VXLAN_RSC, NN_BOOL, NN_SETTING, NULL},
    {"l2miss", IFLA_VXLAN_L2MISS, NN_BOOL, NN_SETTING, NULL},
    {"l3miss", IFLA_VXLAN_L3MISS, NN_BOOL, NN_SETTING, NULL},
    {"df", IFLA_VXLAN_DF, NN_NAME8, NN_SETTING, vxlan_dfs},
    {"udp_csum", IFLA_VXLAN_UDP_CSUM, NN_BOOL, NN_SETTING, NULL},
    {"udp_zero_csum6_tx", IFLA_VXLAN_UDP_ZERO_CSUM6_TX, NN_BOOL, NN_SETTING,
     NULL},
    {"udp_zero_csum6_rx", IFLA_VXLAN_UDP_ZERO_CSUM6_RX, NN_BOOL, NN_SETTING,
     NULL},
    {"external", IFLA_VXLAN_COLLECT_METADATA, NN_BOOL, NN_SETTING, NULL},
    {"gbp", IFLA_VXLAN_GBP, NN_FLAG, NN_SETTING, NULL},
    {"gpe", IFLA_VXLAN_GPE, NN_FLAG, NN_SETTING, NULL},
    {"remcsum_tx", IFLA_VXLAN_REMCSUM_TX, NN_BOOL, NN_SETTING, NULL},
    {"remcsum_rx", IFLA_VXLAN_REMCSUM_RX, NN_BOOL, NN_SETTING, NULL},
    {"remcsum_nopartial", IFLA_VXLAN_REMCSUM_NOPARTIAL, NN_FLAG, NN_SETTING,
     NULL},
    {"label", IFLA_VXLAN_LABEL, NN_BE32, NN_SETTING, NULL},
    {"label_policy", NN_IFLA_VXLAN_LABEL_POLICY, NN_NAME32, NN_SETTING,
     label_policies},
    {"ttl_inherit", IFLA_VXLAN_TTL_INHERIT, NN_FLAG, NN_SETTING, NULL},
    {"vnifilter", IFLA_VXLAN_VNIFILTER, NN_BOOL, NN_SETTING, NULL},
    {"localbypass", NN_IFLA_VXLAN_LOCALBYPASS, NN_BOOL, NN_SETTING, NULL},
    {"reserved_bits", NN_IFLA_VXLAN_RESERVED_BITS, NN_HEX, NN_SETTING, NULL},
    {"mc_route", NN_IFLA_VXLAN_MC_ROUTE, NN_BOOL, NN_SETTING, NULL},
    END};

static const nn_name macvlan_modes[] = {
    {"private", MACVLAN_MODE_PRIVATE}, {"vepa", MACVLAN_MODE_VEPA},
    {"bridge", MACVLAN_MODE_BRIDGE},   {"passthru", MACVLAN_MODE_PASSTHRU},
    {"source", MACVLAN_MODE_SOURCE},   {NULL, 0}};

static const nn_field macaddr = {"macaddr", IFLA_MACVLAN_MACADDR, NN_HW,
                                 NN_STATE, NULL};

static const nn_field macvlan_fields[] = {
    {"mode", IFLA_MACVLAN_MODE, NN_NAME32, NN_SETTING, macvlan_modes},
    {"bcqueuelen", IFLA_MACVLAN_BC_QUEUE_LEN, NN_U32, NN_SETTING, NULL},
    {"usedbcqueuelen", IFLA_MACVLAN_BC_QUEUE_LEN_USED, NN_U32, NN_STATE, NULL},
    {"macaddr_data", IFLA_MACVLAN_MACADDR_DATA, NN_LIST, NN_STATE, &macaddr},
    {"macaddr_count", IFLA_MACVLAN_MACADDR_COUNT, NN_U32, NN_STATE, NULL},
    {"nopromisc", IFLA_MACVLAN_FLAGS, NN_PART, NN_SETTING,
     BIT16(MACVLAN_FLAG_NOPROMISC)},
    {"nodst", IFLA_MACVLAN_FLAGS, NN_PART, NN_SETTING,
     BIT16(MACVLAN_FLAG_NODST)},
    {"bclim", NN_IFLA_MACVLAN_BC_CUTOFF, NN_S32, NN_SETTING, NULL},
    END};

static const nn_name ipvlan_modes[] = {{"l2", IPVLAN_MODE_L2},
                                       {"l3", IPVLAN_MODE_L3},
                                       {"l3s", IPVLAN_MODE_L3S},
                                       {NULL, 0}};

static const nn_field ipvlan_fields[] = {
    {"mode", IFLA_IPVLAN_MODE, NN_NAME16, NN_SETTING, ipvlan_modes},
    {"private", IFLA_IPVLAN_FLAGS, NN_PART, NN_SETTING,
     BIT16(IPVLAN_F_PRIVATE)},
    {"vepa", IFLA_IPVLAN_FLAGS, NN_PART, NN_SETTING, BIT16(IPVLAN_F_VEPA)},
    END};

static const nn_field vrf_fields[] = {
    {"table", IFLA_VRF_TABLE, NN_U32, NN_SETTING, NULL}, END};

static const nn_name bond_modes[] = {{"balance-rr", 0},  {"active-backup", 1},
                                     {"balance-xor", 2}, {"broadcast", 3},
                                     {"802.3ad", 4},     {"balance-tlb", 5},
                                     {"balance-alb", 6}, {NULL, 0}};

static const nn_name bond_validates[] = {
    {"none", 0},   {"active", 1},        {"backup", 2},        {"all", 3},
    {"filter", 4}, {"filter_active", 5}, {"filter_backup", 6}, {NULL, 0}};

static const nn_name bond_targets[] = {{"any", 0}, {"all", 1}, {NULL, 0}};

static const nn_name bond_reselects[] = {
    {"always", 0}, {"better", 1}, {"failure", 2}, {NULL, 0}};

static const nn_name bond_macs[] = {
    {"none", 0}, {"active", 1}, {"follow", 2}, {NULL, 0}};

static const nn_name bond_policies[] = {
    {"layer2", 0},   {"layer3+4", 1},    {"layer2+3", 2}, {"encap2+3", 3},
    {"encap3+4", 4}, {"vlan+srcmac", 5}, {NULL, 0}};

static const nn_name bond_actives[] = {{"off", 0}, {"on", 1}, {NULL, 0}};

static const nn_name bond_rates[] = {{"slow", 0}, {"fast", 1}, {NULL, 0}};

static const nn_name bond_selects[] = {
    {"stable", 0}, {"bandwidth", 1}, {"count", 2}, {NULL, 0}};

static const nn_field bond_target = {"target", 0, NN_IP4, NN_SETTING, NULL};
static const nn_field bond_target6 = {"target", 0, NN_IP6, NN_SETTING, NULL};

static const nn_field ad_fields[] = {
    {"aggregator", IFLA_BOND_AD_INFO_AGGREGATOR, NN_U16, NN_STATE, NULL},
    {"num_ports", IFLA_BOND_AD_INFO_NUM_PORTS, NN_U16, NN_STATE, NULL},
    {"actor_key", IFLA_BOND_AD_INFO_ACTOR_KEY, NN_U16, NN_STATE, NULL},
    {"partner_key", IFLA_BOND_AD_INFO_PARTNER_KEY, NN_U16, NN_STATE, NULL},
    {"partner_mac", IFLA_BOND_AD_INFO_PARTNER_MAC, NN_HW, NN_STATE, NULL},
    END};

static const nn_field bond_fields[] = {
    {"mode", IFLA_BOND_MODE, NN_NAME8, NN_SETTING, bond_modes},
    {"active_slave", IFLA_BOND_ACTIVE_SLAVE, NN_LINK, NN_SETTING, NULL},
    {"miimon", IFLA_BOND_MIIMON, NN_U32, NN_SETTING, NULL},
    {"updelay", IFLA_BOND_UPDELAY, NN_U32, NN_SETTING, NULL},
    {"downdelay", IFLA_BOND_DOWNDELAY, NN_U32, NN_SETTING, NULL},
    {"peer_notify_delay", IFLA_BOND_PEER_NOTIF_DELAY, NN_U32, NN_SETTING, NULL},
    {"use_carrier", IFLA_BOND_USE_CARRIER, NN_U8, NN_SETTING, NULL},
    {"arp_interval", IFLA_BOND_ARP_INTERVAL, NN_U32, NN_SETTING, NULL},
    {"arp_missed_max", IFLA_BOND_MISSED_MAX, NN_U8, NN_SETTING, NULL},
    {"arp_ip_target", IFLA_BOND_ARP_IP_TARGET, NN_LIST, NN_SETTING,
     &bond_target},
    {"arp_validate", IFLA_BOND_ARP_VALIDATE, NN_NAME32, NN_SETTING,
     bond_validates},
    {"arp_all_targets", IFLA_BOND_ARP_ALL_TARGETS, NN_NAME32, NN_SETTING,
     bond_targets},
    {"primary", IFLA_BOND_PRIMARY, NN_LINK, NN_SETTING, NULL},
    {"primary_reselect", IFLA_BOND_PRIMARY_RESELECT, NN_NAME8, NN_SETTING,
     bond_reselects},
    {"fail_over_mac", IFLA_BOND_FAIL_OVER_MAC, NN_NAME8, NN_SETTING, bond_macs},
    {"xmit_hash_policy", IFLA_BOND_XMIT_HASH_POLICY, NN_NAME8, NN_SETTING,
     bond_policies},
    {"resend_igmp", IFLA_BOND_RESEND_IGMP, NN_U32, NN_SETTING, NULL},
    {"num_peer_notif", IFLA_BOND_NUM_PEER_NOTIF, NN_U8, NN_SETTING, NULL},
    {"all_slaves_active", IFLA_BOND_ALL_SLAVES_ACTIVE, NN_U8, NN_SETTING, NULL},
    {"min_links", IFLA_BOND_MIN_LINKS, NN_U32, NN_SETTING, NULL},
    {"lp_interval", IFLA_BOND_LP_INTERVAL, NN_U32, NN_SETTING, NULL},
    {"packets_per_slave", IFLA_BOND_PACKETS_PER_SLAVE, NN_U32, NN_SETTING,
     NULL},
    {"ad_lacp_active", IFLA_BOND_AD_LACP_ACTIVE, NN_NAME8, NN_SETTING,
     bond_actives},
    {"ad_lacp_rate", IFLA_BOND_AD_LACP_RATE, NN_NAME8, NN_SETTING, bond_rates},
    {"ad_select", IFLA_BOND_AD_SELECT, NN_NAME8, NN_SETTING, bond_selects},
    {"ad_info", IFLA_BOND_AD_INFO, NN_NEST, NN_STATE, ad_fields},
    {"ad_actor_sys_prio", IFLA_BOND_AD_ACTOR_SYS_PRIO, NN_U16, NN_SETTING,
     NULL},
    {"ad_user_port_key", IFLA_BOND_AD_USER_PORT_KEY, NN_U16, NN_SETTING, NULL},
    {"ad_actor_system", IFLA_BOND_AD_ACTOR_SYSTEM, NN_HW, NN_SETTING, NULL},
    {"tlb_dynamic_lb", IFLA_BOND_TLB_DYNAMIC_LB, NN_U8, NN_SETTING, NULL},
    {"ns_ip6_target", IFLA_BOND_NS_IP6_TARGET, NN_LIST, NN_SETTING,
     &bond_target6},
    {"coupled_control", NN_IFLA_BOND_COUPLED_CONTROL, NN_BOOL, NN_SETTING,
     NULL},
    {"broadcast_neighbor", NN_IFLA_BOND_BROADCAST_NEIGH, NN_BOOL, NN_SETTING,
     NULL},
    END};

static const nn_name slave_states[] = {{"active", 0}, {"backup", 1}, {NULL, 0}};

static const nn_name mii_states[] = {
    {"up", 0}, {"going_down", 1}, {"down", 2}, {"going_back", 3}, {NULL, 0}};

static const nn_field bond_port_fields[] = {
    {"state", IFLA_BOND_SLAVE_STATE, NN_NAME8, NN_STATE, slave_states},
    {"mii_status", IFLA_BOND_SLAVE_MII_STATUS, NN_NAME8, NN_STATE, mii_states},
    {"link_failure_count", IFLA_BOND_SLAVE_LINK_FAILURE_COUNT, NN_U32, NN_STATE,
     NULL},
    {"perm_hwaddr", IFLA_BOND_SLAVE_PERM_HWADDR, NN_HW, NN_STATE, NULL},
    {"queue_id", IFLA_BOND_SLAVE_QUEUE_ID, NN_U16, NN_SETTING, NULL},
    {"prio", IFLA_BOND_SLAVE_PRIO, NN_S32, NN_SETTING, NULL},
    {"ad_aggregator_id", IFLA_BOND_SLAVE_AD_AGGREGATOR_ID, NN_U16, NN_STATE,
     NULL},
    {"ad_actor_oper_port_state", IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE,
     NN_U8, NN_STATE, NULL},
    {"ad_partner_oper_port_state", IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE,
     NN_U16, NN_STATE, NULL},
    {"actor_port_prio", NN_IFLA_BOND_SLAVE_ACTOR_PORT_PRIO, NN_U16, NN_SETTING,
     NULL},
    END};

static const nn_field vrf_port_fields[] = {
    {"table", IFLA_VRF_PORT_TABLE, NN_U32, NN_STATE, NULL}, END};

/* --- tunnels ------------------------------------------------------------- */

static const nn_name encap_types[] = {{"none", TUNNEL_ENCAP_NONE},
                                      {"fou", TUNNEL_ENCAP_FOU},
                                      {"gue", TUNNEL_ENCAP_GUE},
                                      {NULL, 0}};

/* What is around the tunnel's packets. */
#define ENCAP(kind)                                                            \
  {"type", IFLA_##kind##_ENCAP_TYPE, NN_NAME16, NN_SETTING, encap_types},      \
      {"sport", IFLA_##kind##_ENCAP_SPORT, NN_BE16, NN_SETTING, NULL},         \
      {"dport", IFLA_##kind##_ENCAP_DPORT, NN_BE16, NN_SETTING, NULL},         \
      {"csum", IFLA_##kind##_ENCAP_FLAGS, NN_PART, NN_SETTING,                 \
       BIT16(TUNNEL_ENCAP_FLAG_CSUM)},                                         \
      {"csum6", IFLA_##kind##_ENCAP_FLAGS, NN_PART, NN_SETTING,                \
       BIT16(TUNNEL_ENCAP_FLAG_CSUM6)},                                        \
      {"remcsum", IFLA_##kind##_ENCAP_FLAGS, NN_PART, NN_SETTING,              \
       BIT16(TUNNEL_ENCAP_FLAG_REMCSUM)},                                      \
      END

static const nn_field gre_encap[] = {ENCAP(GRE)};
static const nn_field iptun_encap[] = {ENCAP(IPTUN)};

/* Bits of the head of GRE, and so of the network's byte order. */
enum { CSUM = 0x8000, KEY = 0x2000, SEQ = 0x1000 };

#define GRE_PART(bit) .size = 2, .network = true, .mask = (bit)

static const nn_if gre_ikey = {
    {"ikey", IFLA_GRE_IKEY, NN_QUAD, NN_SETTING, NULL},
    IFLA_GRE_IFLAGS,
    false,
    {GRE_PART(KEY)}};
static const nn_if gre_okey = {
    {"okey", IFLA_GRE_OKEY, NN_QUAD, NN_SETTING, NULL},
    IFLA_GRE_OFLAGS,
    false,
    {GRE_PART(KEY)}};

/* `key`, `csum` and `seq` are for both directions, as in `ip link add`. */
static const nn_field gre_keys[] = {
    {"key", IFLA_GRE_IKEY, NN_IF, NN_SETTING, &gre_ikey},
    {"key", IFLA_GRE_OKEY, NN_IF, NN_SETTING, &gre_okey},
    END};
static const nn_field gre_csums[] = {
    {"csum", IFLA_GRE_IFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(CSUM))},
    {"csum", IFLA_GRE_OFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(CSUM))},
    END};
static const nn_field gre_seqs[] = {
    {"seq", IFLA_GRE_IFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(SEQ))},
    {"seq", IFLA_GRE_OFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(SEQ))},
    END};

#define GRE_FIELDS(ip)                                                         \
  {"link", IFLA_GRE_LINK, NN_LINK, NN_SETTING, NULL},                          \
      {"key", 0, NN_EACH, NN_SETTING, gre_keys},                               \
      {"csum", 0, NN_EACH, NN_SETTING, gre_csums},                             \
      {"seq", 0, NN_EACH, NN_SETTING, gre_seqs},                               \
      {"icsum", IFLA_GRE_IFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(CSUM))},   \
      {"iseq", IFLA_GRE_IFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(SEQ))},     \
      {"ocsum", IFLA_GRE_OFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(CSUM))},   \
      {"oseq", IFLA_GRE_OFLAGS, NN_PART, NN_SETTING, PART(GRE_PART(SEQ))},     \
      {"ikey", IFLA_GRE_IKEY, NN_IF, NN_SETTING, &gre_ikey},                   \
      {"okey", IFLA_GRE_OKEY, NN_IF, NN_SETTING, &gre_okey},                   \
      {"local", IFLA_GRE_LOCAL, ip, NN_SETTING, NULL},                         \
      {"remote", IFLA_GRE_REMOTE, ip, NN_SETTING, NULL},                       \
      {"ttl", IFLA_GRE_TTL, NN_U8, NN_SETTING, NULL},                          \
      {"encap", IFLA_GRE_ENCAP_TYPE, NN_GROUP, NN_SETTING, gre_encap},         \
      {"external", IFLA_GRE_COLLECT_METADATA, NN_FLAG, NN_SETTING, NULL}, {    \
    "fwmark", IFLA_GRE_FWMARK, NN_U32, NN_SETTING, NULL                        \
  }

#define GRE4_FIELDS                                                            \
  GRE_FIELDS(NN_IP4), {"tos", IFLA_GRE_TOS, NN_U8, NN_SETTING, NULL},          \
      {"pmtudisc", IFLA_GRE_PMTUDISC, NN_BOOL, NN_SETTING, NULL}, {            \
    "ignore_df", IFLA_GRE_IGNORE_DF, NN_BOOL, NN_SETTING, NULL                 \
  }

static const nn_name directions[] = {{"ingress", 0}, {"egress", 1}, {NULL, 0}};

#define ERSPAN_FIELDS                                                          \
  {"erspan_ver", IFLA_GRE_ERSPAN_VER, NN_U8, NN_SETTING, NULL},                \
      {"erspan_index", IFLA_GRE_ERSPAN_INDEX, NN_U32, NN_SETTING, NULL},       \
      {"erspan_dir", IFLA_GRE_ERSPAN_DIR, NN_NAME8, NN_SETTING, directions}, { \
    "erspan_hwid", IFLA_GRE_ERSPAN_HWID, NN_U16, NN_SETTING, NULL              \
  }

static const nn_field erspan_fields[] = {GRE4_FIELDS, ERSPAN_FIELDS, END};

static const nn_field gre_fields[] = {GRE4_FIELDS, END};

/* What a flag of an IPv6 tunnel puts in the place of a field; writing the field
   takes the flag back. */
#define UNLESS(flags, flag, ...)                                               \
  {                                                                            \
    {__VA_ARGS__}, flags, true, {                                              \
      .size = 4, .mask = IP6_TNL_F_##flag                                      \
    }                                                                          \
  }
#define FLOWINFO(bits)                                                         \
  PART(.size = 4, .network = true, .number = true, .mask = (bits))

/* IPv6 tunnels of both sorts of attributes have these. */
#define IP6_UNLESS(kind)                                                       \
  static const nn_if kind##_limit =                                            \
      UNLESS(IFLA_##kind##_FLAGS, IGN_ENCAP_LIMIT, "encap_limit",              \
             IFLA_##kind##_ENCAP_LIMIT, NN_U8, NN_SETTING, NULL);              \
  static const nn_if kind##_tclass = UNLESS(                                   \
      IFLA_##kind##_FLAGS, USE_ORIG_TCLASS, "tclass", IFLA_##kind##_FLOWINFO,  \
      NN_PART, NN_SETTING, FLOWINFO(0xff00000));                               \
  static const nn_if kind##_label =                                            \
      UNLESS(IFLA_##kind##_FLAGS, USE_ORIG_FLOWLABEL, "flowlabel",             \
             IFLA_##kind##_FLOWINFO, NN_PART, NN_SETTING, FLOWINFO(0xfffff))

IP6_UNLESS(GRE);
IP6_UNLESS(IPTUN);

#define FLAG6(kind, name, flag)                                                \
  {                                                                            \
    "ip6_tnl_f_" name, IFLA_##kind##_FLAGS, NN_PART, NN_SETTING,               \
        BIT32(IP6_TNL_F_##flag)                                                \
  }
#define IP6_FIELDS(kind)                                                       \
  FLAG6(kind, "ign_encap_limit", IGN_ENCAP_LIMIT),                             \
      FLAG6(kind, "use_orig_tclass", USE_ORIG_TCLASS),                         \
      FLAG6(kind, "use_orig_flowlabel", USE_ORIG_FLOWLABEL),                   \
      FLAG6(kind, "mip6_dev", MIP6_DEV),                                       \
      FLAG6(kind, "rcv_dscp_copy", RCV_DSCP_COPY),                             \
      FLAG6(kind, "use_orig_fwmark", USE_ORIG_FWMARK),                         \
      FLAG6(kind, "allow_local_remote", ALLOW_LOCAL_REMOTE),                   \
      {"encap_limit", IFLA_##kind##_ENCAP_LIMIT, NN_IF, NN_SETTING,            \
       &kind##_limit},                                                         \
      {"tclass", IFLA_##kind##_FLOWINFO, NN_IF, NN_SETTING, &kind##_tclass}, { \
    "flowlabel", IFLA_##kind##_FLOWINFO, NN_IF, NN_SETTING, &kind##_label      \
  }

static const nn_field ip6gre_fields[] = {GRE_FIELDS(NN_IP6), IP6_FIELDS(GRE),
                                         END};

#define IPTUN_FIELDS(ip, protos)                                               \
  {"link", IFLA_IPTUN_LINK, NN_LINK, NN_SETTING, NULL},                        \
      {"local", IFLA_IPTUN_LOCAL, ip, NN_SETTING, NULL},                       \
      {"remote", IFLA_IPTUN_REMOTE, ip, NN_SETTING, NULL},                     \
      {"ttl", IFLA_IPTUN_TTL, NN_U8, NN_SETTING, NULL},                        \
      {"proto", IFLA_IPTUN_PROTO, NN_NAME8, NN_SETTING, protos},               \
      {"encap", IFLA_IPTUN_ENCAP_TYPE, NN_GROUP, NN_SETTING, iptun_encap},     \
      {"external", IFLA_IPTUN_COLLECT_METADATA, NN_FLAG, NN_SETTING, NULL}, {  \
    "fwmark", IFLA_IPTUN_FWMARK, NN_U32, NN_SETTING, NULL                      \
  }

static const nn_name ipip_protos[] = {
    {"any", 0}, {"ipip", IPPROTO_IPIP}, {"mplsip", IPPROTO_MPLS}, {NULL, 0}};
static const nn_name sit_protos[] = {{"any", 0},
                                     {"ipip", IPPROTO_IPIP},
                                     {"ip6ip", IPPROTO_IPV6},
                                     {"mplsip", IPPROTO_MPLS},
                                     {NULL, 0}};
static const nn_name ip6_protos[] = {
    {"any", 0}, {"ipip6", IPPROTO_IPIP}, {"ip6ip6", IPPROTO_IPV6}, {NULL, 0}};

#define IP4_FIELDS                                                             \
  {"tos", IFLA_IPTUN_TOS, NN_U8, NN_SETTING, NULL}, {                          \
    "pmtudisc", IFLA_IPTUN_PMTUDISC, NN_BOOL, NN_SETTING, NULL                 \
  }

static const nn_field ipip_fields[] = {IPTUN_FIELDS(NN_IP4, ipip_protos),
                                       IP4_FIELDS, END};
static const nn_field sit_fields[] = {
    IPTUN_FIELDS(NN_IP4, sit_protos),
    IP4_FIELDS,
    {"isatap", IFLA_IPTUN_FLAGS, NN_PART, NN_SETTING,
     PART(.size = 2, .network = true, .mask = SIT_ISATAP)},
    /* 6RD */
    {"prefix", IFLA_IPTUN_6RD_PREFIX, NN_IP, NN_SETTING, NULL},
    {"prefixlen", IFLA_IPTUN_6RD_PREFIXLEN, NN_U16, NN_SETTING, NULL},
    {"relay_prefix", IFLA_IPTUN_6RD_RELAY_PREFIX, NN_IP, NN_SETTING, NULL},
    {"relay_prefixlen", IFLA_IPTUN_6RD_RELAY_PREFIXLEN, NN_U16, NN_SETTING,
     NULL},
    END};
static const nn_field ip6tnl_fields[] = {IPTUN_FIELDS(NN_IP6, ip6_protos),
                                         IP6_FIELDS(IPTUN), END};

static const uint16_t geneve_remote6 = IFLA_GENEVE_REMOTE6;

/* `dstport` as of vxlan. */
static const nn_field geneve_fields[] = {
    {"id", IFLA_GENEVE_ID, NN_U32, NN_SETTING, NULL},
    {"remote", IFLA_GENEVE_REMOTE, NN_IP, NN_SETTING, &geneve_remote6},
    {"remote", IFLA_GENEVE_REMOTE6, NN_IP, NN_STATE, NULL},
    {"dstport", IFLA_GENEVE_PORT, NN_BE16, NN_SETTING, NULL},
    {"ttl", IFLA_GENEVE_TTL, NN_U8, NN_SETTING, NULL},
    {"tos", IFLA_GENEVE_TOS, NN_U8, NN_SETTING, NULL},
    {"label", IFLA_GENEVE_LABEL, NN_BE32, NN_SETTING, NULL},
    {"df", IFLA_GENEVE_DF, NN_NAME8, NN_SETTING, vxlan_dfs},
    {"udp_csum", IFLA_GENEVE_UDP_CSUM, NN_BOOL, NN_SETTING, NULL},
    {"udp_zero_csum6_tx", IFLA_GENEVE_UDP_ZERO_CSUM6_TX, NN_BOOL, NN_SETTING,
     NULL},
    {"udp_zero_csum6_rx", IFLA_GENEVE_UDP_ZERO_CSUM6_RX, NN_BOOL, NN_SETTING,
     NULL},
    {"external", IFLA_GENEVE_COLLECT_METADATA, NN_FLAG, NN_SETTING, NULL},
    {"inner_proto_inherit", IFLA_GENEVE_INNER_PROTO_INHERIT, NN_FLAG,
     NN_SETTING, NULL},
    /* the kernel would pass over the ttl */
    {"ttl_inherit", IFLA_GENEVE_TTL_INHERIT, NN_BOOL, NN_SETTING, "true"},
    {"port_range", NN_IFLA_GENEVE_PORT_RANGE, NN_STRUCT, NN_SETTING,
     port_range},
    END};

/* --- tun ----------------------------------------------------------------- */

static const nn_name tun_types[] = {
    {"tun", IFF_TUN}, {"tap", IFF_TAP}, {NULL, 0}};

/* Settings for tun.c, which makes such links. */
static const nn_field tun_fields[] = {
    {"type", IFLA_TUN_TYPE, NN_NAME8, NN_STATE, tun_types},
    {"pi", IFLA_TUN_PI, NN_BOOL, NN_SHOWN, NULL},
    {"vnet_hdr", IFLA_TUN_VNET_HDR, NN_BOOL, NN_SHOWN, NULL},
    {"persist", IFLA_TUN_PERSIST, NN_BOOL, NN_STATE, NULL},
    {"multi_queue", IFLA_TUN_MULTI_QUEUE, NN_BOOL, NN_SHOWN, NULL},
    {"numqueues", IFLA_TUN_NUM_QUEUES, NN_U32, NN_STATE, NULL},
    {"numdisabled", IFLA_TUN_NUM_DISABLED_QUEUES, NN_U32, NN_STATE, NULL},
    {"user", IFLA_TUN_OWNER, NN_U32, NN_SHOWN, NULL},
    {"user_group", IFLA_TUN_GROUP, NN_U32, NN_SHOWN, NULL},
    END};

/* --- by name ------------------------------------------------------------- */

static const nn_link_type kinds[] = {{"bond", bond_fields, false},
                                     {"bridge", bridge_fields, false},
                                     {"dummy", no_fields, false},
                                     {"erspan", erspan_fields, true},
                                     {"geneve", geneve_fields, false},
                                     {"gre", gre_fields, true},
                                     {"gretap", gre_fields, true},
                                     {"ifb", no_fields, false},
                                     {"ip6gre", ip6gre_fields, true},
                                     {"ip6gretap", ip6gre_fields, true},
                                     {"ip6tnl", ip6tnl_fields, true},
                                     {"ipip", ipip_fields, true},
                                     {"ipvlan", ipvlan_fields, true},
                                     {"macvlan", macvlan_fields, false},
                                     {"macvtap", macvlan_fields, false},
                                     {"sit", sit_fields, true},
                                     {"tun", tun_fields, false},
                                     {"veth", no_fields, false},
                                     {"vlan", vlan_fields, false},
                                     {"vrf", vrf_fields, false},
                                     {"vxlan", vxlan_fields, false},
                                     {"wireguard", no_fields, false},
                                     {NULL, NULL, false}};

static const nn_link_type ports[] = {{"bond", bond_port_fields, false},
                                     {"bridge", bridge_port_fields, false},
                                     {"vrf", vrf_port_fields, false},
                                     {NULL, NULL, false}};

static const nn_link_type *find(const nn_link_type *kind, const char *name) {
  while (kind->name != NULL && strcmp(kind->name, name) != 0)
    kind++;
  return kind->name != NULL ? kind : NULL;
}

const nn_link_type *nn_link_kind(const char *name) {
  return find(kinds, name);
}

const nn_link_type *nn_port_kind(const char *name) {
  return find(ports, name);
}

const nn_field *nn_port_field(const char *name, int nth) {
  const nn_field *found = NULL;
  for (const nn_link_type *port = ports; port->name != NULL && found == NULL;
       port++) {
    const nn_field *const fields[] = {port->fields, NULL};
    found = nn_fields_find(fields, name, &nth);
  }
  return found;
}

bool nn_link_put_altnames(const nn_codec *codec, struct nl_msg *msg) {
  static const nn_field altnames = {"altname", IFLA_PROP_LIST, NN_LIST,
                                    NN_SETTING, &altname};
  return nn_field_put(codec, &altnames, msg);
}

void nn_link_names(lua_State *L) {
  const nn_field *const every[] = {nn_link_fields, nn_link_families,
                                   nn_link_head, NULL};
  nn_filter_names(L, every);
  for (const nn_link_type *kind = kinds; kind->name != NULL; kind++) {
    const nn_field *const fields[] = {kind->fields, NULL};
    nn_filter_names(L, fields);
  }
}

const nn_field *nn_link_field(const char *name, int nth) {
  const nn_field *const every[] = {nn_link_fields, nn_link_families,
                                   nn_link_head, NULL};
  const nn_field *found = nn_fields_find(every, name, &nth);
  for (const nn_link_type *kind = kinds; kind->name != NULL && found == NULL;
       kind++) {
    const nn_field *const fields[] = {kind->fields, NULL};
    found = nn_fields_find(fields, name, &nth);
  }
  return found;
}
