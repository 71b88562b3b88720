/* What the bindings are generated from. Nothing here decides anything: includes, constants that bindgen
 * cannot read out of function-like macros, and one-line accessors for what C reaches through thread-local
 * storage or through members whose nesting changed between DPDK releases. */
#ifndef DPDK_SYS_WRAPPER_H
#define DPDK_SYS_WRAPPER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_version.h>
#include <rte_eal.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* Octet offsets into struct rte_mbuf. From 24.03 on several members sit inside anonymous unions, so their
 * Rust paths differ between releases while their offsets and types do not. */
enum dpdk_sys_mbuf_offset {
	DPDK_SYS_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	DPDK_SYS_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	DPDK_SYS_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	DPDK_SYS_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	DPDK_SYS_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	DPDK_SYS_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	DPDK_SYS_MBUF_VLAN_TCI = offsetof(struct rte_mbuf, vlan_tci),
	DPDK_SYS_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	DPDK_SYS_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	DPDK_SYS_MBUF_NEXT = offsetof(struct rte_mbuf, next),
};

#define DPDK_SYS_MBUF_MEMBER(member, size)                                                    \
	_Static_assert(sizeof(((struct rte_mbuf *)0)->member) == (size), "rte_mbuf." #member)
DPDK_SYS_MBUF_MEMBER(buf_addr, sizeof(void *));
DPDK_SYS_MBUF_MEMBER(data_off, 2);
DPDK_SYS_MBUF_MEMBER(nb_segs, 2);
DPDK_SYS_MBUF_MEMBER(ol_flags, 8);
DPDK_SYS_MBUF_MEMBER(pkt_len, 4);
DPDK_SYS_MBUF_MEMBER(data_len, 2);
DPDK_SYS_MBUF_MEMBER(vlan_tci, 2);
DPDK_SYS_MBUF_MEMBER(buf_len, 2);
DPDK_SYS_MBUF_MEMBER(pool, sizeof(void *));
DPDK_SYS_MBUF_MEMBER(next, sizeof(void *));

static const uint64_t DPDK_SYS_MBUF_F_RX_VLAN = RTE_MBUF_F_RX_VLAN;
static const uint64_t DPDK_SYS_MBUF_F_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t DPDK_SYS_MBUF_F_TX_VLAN = RTE_MBUF_F_TX_VLAN;
static const uint64_t DPDK_SYS_MBUF_F_INDIRECT = RTE_MBUF_F_INDIRECT;
static const uint64_t DPDK_SYS_MBUF_F_EXTERNAL = RTE_MBUF_F_EXTERNAL;
static const uint32_t DPDK_SYS_MBUF_MAX_NB_SEGS = RTE_MBUF_MAX_NB_SEGS;
static const uint16_t DPDK_SYS_PKTMBUF_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const uint16_t DPDK_SYS_MAX_ETHPORTS = RTE_MAX_ETHPORTS;
static const uint32_t DPDK_SYS_MEMPOOL_CACHE_MAX_SIZE = RTE_MEMPOOL_CACHE_MAX_SIZE;
static const uint32_t DPDK_SYS_LCORE_ID_ANY = LCORE_ID_ANY;
static const int DPDK_SYS_SOCKET_ID_ANY = SOCKET_ID_ANY;
static const uint64_t DPDK_SYS_ETH_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t DPDK_SYS_ETH_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t DPDK_SYS_ETH_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t DPDK_SYS_ETH_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t DPDK_SYS_ETH_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint32_t DPDK_SYS_ETH_SPEED_NUM_NONE = RTE_ETH_SPEED_NUM_NONE;
static const uint32_t DPDK_SYS_ETH_SPEED_NUM_UNKNOWN = RTE_ETH_SPEED_NUM_UNKNOWN;

/* Thread-local: extern TLS is out of reach for stable Rust. */
static inline int dpdk_sys_errno(void) { return rte_errno; }

/* Bit-fields that moved into an anonymous union. */
static inline uint32_t dpdk_sys_link_speed(const struct rte_eth_link *link) { return link->link_speed; }
static inline int dpdk_sys_link_full_duplex(const struct rte_eth_link *link) { return link->link_duplex; }
static inline int dpdk_sys_link_up(const struct rte_eth_link *link) { return link->link_status; }

#endif
