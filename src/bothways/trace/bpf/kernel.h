/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The fields of kernel structures that the programs read, and nothing else. Offsets are those of the running kernel: every access is
 * recorded in .BTF.ext and resolved by the loader. Names are the kernel's; order and sizes here mean nothing. */
#ifndef BOTHWAYS_KERNEL_H
#define BOTHWAYS_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define CORE __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} CORE;

struct net {
	struct ns_common ns;
} CORE;

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	possible_net_t nd_net;
} CORE;

struct in6_addr {
	u8 bytes[16];
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} CORE;

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	int sk_err;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
} CORE;

struct inet_sock {
	u16 inet_sport;
} CORE;

struct dst_entry {
	struct net_device *dev;
} CORE;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned long _nfct;
	unsigned int len;
	u32 mark;
	u16 protocol;
	u16 transport_header;
	u16 network_header;
	u16 mac_header;
	unsigned char *head;
	unsigned char *data;
} CORE;

struct flowi_common {
	int flowic_oif;
	int flowic_iif;
	u32 flowic_mark;
	u8 flowic_proto;
} CORE;

struct flowi_ports {
	u16 dport;
	u16 sport;
};

union flowi_uli {
	struct flowi_ports ports;
} CORE;

struct flowi4 {
	struct flowi_common __fl_common;
	u32 saddr;
	u32 daddr;
	union flowi_uli uli;
} CORE;

struct flowi6 {
	struct flowi_common __fl_common;
	struct in6_addr daddr;
	struct in6_addr saddr;
	union flowi_uli uli;
} CORE;

struct fib_nh_common {
	struct net_device *nhc_dev;
	u8 nhc_gw_family;
	union {
		u32 ipv4;
		struct in6_addr ipv6;
	} nhc_gw;
} CORE;

struct fib6_nh {
	struct fib_nh_common nh_common;
} CORE;

struct fib6_result {
	struct fib6_nh *nh;
	u8 fib6_type;
} CORE;

struct fib6_table {
	u32 tb6_id;
} CORE;

struct neigh_table {
	int family;
} CORE;

struct neighbour {
	struct neigh_table *tbl;
	struct net_device *dev;
	u8 nud_state;
	u8 ha[32];
	u8 primary_key[4];
} CORE;

struct net_bridge_port {
	struct net_device *dev;
} CORE;

struct nf_hook_state {
	u8 hook;
	u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct sock *sk;
	struct net *net;
} CORE;

union nf_inet_addr {
	u32 all[4];
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union {
		u16 all;
	} u;
	u16 l3num;
} CORE;

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			u16 all;
		} u;
		u8 protonum;
		u8 dir;
	} dst;
} CORE;

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} CORE;

struct nf_conntrack_zone {
	u16 id;
} CORE;

struct ip_ct_tcp {
	u8 state;
} CORE;

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
} CORE;

struct nf_conn {
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	u32 mark;
	union nf_conntrack_proto proto;
} CORE;

/* Asked for only whether they exist: they came with a release, and arguments of tracepoints with them. */
enum skb_drop_reason {
	SKB_DROP_REASON_ASKED___any = 1,
};
enum sk_rst_reason {
	SK_RST_REASON_ASKED___any = 1,
};

#endif
