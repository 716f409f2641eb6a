/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs for raw tracepoints. Arguments stand in ctx in the order of the tracepoint's prototype. */
#ifndef BOTHWAYS_TRACEPOINTS_H
#define BOTHWAYS_TRACEPOINTS_H

#include "report.h"

/* Numbers of probes: as in trace/probe/probes.py. */
enum {
	KFREE_SKB = 1,
	CONSUME_SKB,
	NET_DEV_QUEUE,
	NET_DEV_START_XMIT,
	NET_DEV_XMIT,
	NETIF_RECEIVE_SKB,
	NAPI_GRO_RECEIVE,
	TCP_SEND_RESET,
	TCP_RECEIVE_RESET,
	TCP_BAD_CSUM,
	TCP_RETRANSMIT_SKB,
	TCP_PROBE,
	SKB_COPY_DATAGRAM,
	SOCK_SET_STATE,
	SOCK_ERROR,
	ICMP_SEND,
	FIB_LOOKUP,
	FIB6_LOOKUP,
	NEIGH_UPDATE,
	NEIGH_EVENT_SEND_DONE,
	BR_FDB_UPDATE,
	OVS_ACTION,
	OVS_UPCALL,
};

/* Twelve programs do the same once they know the occasion: one does it for all, so that it is verified once and not twelve times. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} packet_programs SEC(".maps"); /* the loader puts its one program in */

static __always_inline int packet_handed(u64 *ctx, void *skb, const struct occasion *o)
{
	u32 *taken = places_taken(), depth;
	struct work *work;

	if (!taken)
		return 0;
	depth = *taken;
	work = place_at(depth);
	if (!work) {
		count(LOST);
		return 0;
	}
	*taken = depth + 1;
	work->skb = (u64)skb;
	work->occasion = *o;
	bpf_tail_call(ctx, &packet_programs, 0);
	*taken = depth;
	return 0;
}

SEC("raw_tp")
int packet_program(u64 *ctx)
{
	u32 *taken = places_taken(), depth;
	struct work *work;

	if (!taken)
		return 0;
	depth = *taken - 1;
	work = place_at(depth);
	if (work)
		packet_event(ctx, (void *)work->skb, &work->occasion);
	*taken = depth;
	return 0;
}

/* (skb, location, reason since 5.17, receiving socket since 6.12) */
SEC("raw_tp/kfree_skb")
int kfree_skb(u64 *ctx)
{
	struct occasion o = { .probe = KFREE_SKB, .stacks = STACK_DROP, .ends = 1, .hook = 255 };

	o.location = ctx[1];
	if (bpf_core_type_exists(enum skb_drop_reason))
		o.reason = (u32)ctx[2];
	return packet_handed(ctx, (void *)ctx[0], &o);
}

#define ON_PACKET(name, number, when, arg, ...)                                               \
	SEC("raw_tp/" #name)                                                                  \
	int name(u64 *ctx)                                                                    \
	{                                                                                     \
		struct occasion o = { .probe = number, .stacks = when, .hook = 255, __VA_ARGS__ }; \
		return packet_handed(ctx, (void *)ctx[arg], &o);                               \
	}

/* Set by the loader where the tracepoint says who consumes the packet (since 6.3). */
const volatile u8 consumer_is_told = 0;

/* (skb, location since 6.3) */
SEC("raw_tp/consume_skb")
int consume_skb(u64 *ctx)
{
	struct occasion o = { .probe = CONSUME_SKB, .stacks = STACK_OTHER, .ends = 1, .hook = 255 };

	if (consumer_is_told)
		o.location = ctx[1];
	return packet_handed(ctx, (void *)ctx[0], &o);
}

ON_PACKET(net_dev_queue, NET_DEV_QUEUE, STACK_XMIT, 0)
ON_PACKET(net_dev_start_xmit, NET_DEV_START_XMIT, STACK_XMIT, 0)
ON_PACKET(netif_receive_skb, NETIF_RECEIVE_SKB, STACK_OTHER, 0, .at_data = 1)
ON_PACKET(napi_gro_receive_entry, NAPI_GRO_RECEIVE, STACK_OTHER, 0, .at_data = 1)
ON_PACKET(tcp_bad_csum, TCP_BAD_CSUM, STACK_DROP, 0)
ON_PACKET(skb_copy_datagram_iovec, SKB_COPY_DATAGRAM, STACK_OTHER, 0, .no_device = 1)

/* (skb, rc, dev, length). After a transmission that went well the packet is somebody else's. */
SEC("raw_tp/net_dev_xmit")
int net_dev_xmit(u64 *ctx)
{
	u64 key = ctx[0];
	struct occasion o = { .probe = NET_DEV_XMIT, .stacks = STACK_XMIT, .hook = 255 };
	struct plain of = {};
	struct packet p;
	struct life *life;

	if ((s32)ctx[1] == 0)
		return 0;
	count(SEEN);
	life = bpf_map_lookup_elem(&lives, &key);
	if (!life)
		return 0;
	p = life->last;
	o.verdict = (s32)ctx[1];
	of.packet = &p;
	of.life = life->id;
	of.now = bpf_ktime_get_ns();
	of.netns = life->netns;
	of.ifindex = life->ifindex;
	of.device = life->device;
	plain_event(ctx, &o, &of);
	return 0;
}

/* (skb, type, code) */
SEC("raw_tp/icmp_send")
int icmp_send(u64 *ctx)
{
	struct occasion o = { .probe = ICMP_SEND, .stacks = STACK_RST, .hook = 255 };

	o.detail[0] = (u32)ctx[1];
	o.detail[1] = (u32)ctx[2];
	return packet_handed(ctx, (void *)ctx[0], &o);
}

/* (socket, skb, reason since 6.10): one of both may be missing. */
SEC("raw_tp/tcp_send_reset")
int tcp_send_reset(u64 *ctx)
{
	struct occasion o = { .probe = TCP_SEND_RESET, .stacks = STACK_RST, .hook = 255 };
	struct sock *sk = (void *)ctx[0];

	if (bpf_core_type_exists(enum sk_rst_reason))
		o.reason = (u32)ctx[2];
	if (ctx[1]) /* not handed on: before 5.10 no program may do that and call functions too */
		return packet_event(ctx, (void *)ctx[1], &o);
	return socket_event(ctx, sk, RST, &o);
}

SEC("raw_tp/tcp_receive_reset")
int tcp_receive_reset(u64 *ctx)
{
	struct occasion o = { .probe = TCP_RECEIVE_RESET, .stacks = STACK_RST, .hook = 255 };

	return socket_event(ctx, (void *)ctx[0], RST, &o);
}

/* (socket, skb): the segment stands in the socket's queue, without headers and without a device. */
SEC("raw_tp/tcp_retransmit_skb")
int tcp_retransmit_skb(u64 *ctx)
{
	struct occasion o = { .probe = TCP_RETRANSMIT_SKB, .stacks = STACK_OTHER, .hook = 255 };
	struct sock *sk = (void *)ctx[0];

	o.detail[0] = sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : 0;
	return socket_event(ctx, sk, 0, &o);
}

/* (socket, skb): a segment has come to an established connection. */
SEC("raw_tp/tcp_probe")
int tcp_probe(u64 *ctx)
{
	struct occasion o = { .probe = TCP_PROBE, .stacks = STACK_OTHER, .hook = 255 };

	o.sk = (void *)ctx[0];
	return packet_handed(ctx, (void *)ctx[1], &o);
}

/* (socket, old state, new state) */
SEC("raw_tp/inet_sock_set_state")
int inet_sock_set_state(u64 *ctx)
{
	struct occasion o = { .probe = SOCK_SET_STATE, .stacks = STACK_OTHER, .hook = 255 };

	o.detail[0] = (u32)ctx[1];
	o.detail[1] = (u32)ctx[2];
	return socket_event(ctx, (void *)ctx[0], 0, &o);
}

SEC("raw_tp/inet_sk_error_report")
int inet_sk_error_report(u64 *ctx)
{
	struct occasion o = { .probe = SOCK_ERROR, .stacks = STACK_OTHER, .hook = 255 };
	struct sock *sk = (void *)ctx[0];

	o.detail[0] = sk ? BPF_CORE_READ(sk, sk_err) : 0;
	return socket_event(ctx, sk, 0, &o);
}

/* What a lookup of a route was for: the packet that this CPU works on, if the addresses are its. */
static __always_inline int is_for(const struct cause *c, const struct tuple *t, u64 now)
{
	const struct tuple *of = &c->packet.ends;

	if (!c->life || now - c->time > AT_WORK || of->family != t->family)
		return 0;
	return (of->destination[0] == t->destination[0] && of->destination[1] == t->destination[1]) ||
	       (of->source[0] == t->destination[0] && of->source[1] == t->destination[1] && of->destination[0] == t->source[0] &&
		of->destination[1] == t->source[1]);
}

/* What the rest of a route lookup says, in the place of the second packet. */
struct route {
	u64 gateway[2];
	u32 table, iif, oif, mark;
	char device[16];
	s32 error;
	u32 gateway_family;
	u32 type;
	u32 pad;
};

static __noinline int route_event(void *ctx, const struct occasion *o, const struct packet *p, struct route *r, struct net_device *dev)
{
	struct plain of = { .packet = p, .blob = r, .parts = OF_SOCKET };
	struct cause *c = at_work();

	count(SEEN);
	of.now = bpf_ktime_get_ns();
	if (c && is_for(c, &p->ends, of.now)) {
		of.life = c->life;
		of.netns = namespace_of((void *)c->dev);
	} else if (!admits(&p->ends, 0, 0)) {
		return nought();
	}
	if (dev) {
		bpf_core_read(r->device, sizeof(r->device), &dev->name);
		of.netns = namespace_of(dev);
	}
	if (of.netns < NAMESPACE_NUMBERS)
		of.netns = 0;
	plain_event(ctx, o, &of);
	return nought();
}

/* (table, flow, next hop, error) */
SEC("raw_tp/fib_table_lookup")
int fib_table_lookup(u64 *ctx)
{
	struct occasion o = { .probe = FIB_LOOKUP, .stacks = STACK_OTHER, .hook = 255 };
	struct flowi4 *flow = (void *)ctx[1];
	struct fib_nh_common *hop = (void *)ctx[2];
	struct net_device *dev = 0;
	struct packet p = {};
	struct route r = {};

	p.ends.family = 4;
	p.ends.source[0] = BPF_CORE_READ(flow, saddr);
	p.ends.destination[0] = BPF_CORE_READ(flow, daddr);
	p.ends.protocol = BPF_CORE_READ(flow, __fl_common.flowic_proto);
	if (has_ports(p.ends.protocol)) {
		p.ends.source_port = swap16(BPF_CORE_READ(flow, uli.ports.sport));
		p.ends.destination_port = swap16(BPF_CORE_READ(flow, uli.ports.dport));
	}
	r.table = (u32)ctx[0];
	r.error = (s32)ctx[3];
	r.iif = BPF_CORE_READ(flow, __fl_common.flowic_iif);
	r.oif = BPF_CORE_READ(flow, __fl_common.flowic_oif);
	r.mark = BPF_CORE_READ(flow, __fl_common.flowic_mark);
	if (hop) {
		dev = BPF_CORE_READ(hop, nhc_dev);
		r.gateway_family = BPF_CORE_READ(hop, nhc_gw_family);
		if (r.gateway_family)
			bpf_core_read(r.gateway, 16, &hop->nhc_gw);
	}
	return route_event(ctx, &o, &p, &r, dev);
}

/* (namespace, result, table, flow) */
SEC("raw_tp/fib6_table_lookup")
int fib6_table_lookup(u64 *ctx)
{
	struct occasion o = { .probe = FIB6_LOOKUP, .stacks = STACK_OTHER, .hook = 255 };
	struct fib6_result *result = (void *)ctx[1];
	struct fib6_table *table = (void *)ctx[2];
	struct flowi6 *flow = (void *)ctx[3];
	struct fib6_nh *hop = BPF_CORE_READ(result, nh);
	struct net_device *dev = 0;
	struct packet p = {};
	struct route r = {};

	p.ends.family = 6;
	bpf_core_read(p.ends.source, 16, &flow->saddr);
	bpf_core_read(p.ends.destination, 16, &flow->daddr);
	p.ends.protocol = BPF_CORE_READ(flow, __fl_common.flowic_proto);
	if (has_ports(p.ends.protocol)) {
		p.ends.source_port = swap16(BPF_CORE_READ(flow, uli.ports.sport));
		p.ends.destination_port = swap16(BPF_CORE_READ(flow, uli.ports.dport));
	}
	r.table = BPF_CORE_READ(table, tb6_id);
	r.type = BPF_CORE_READ(result, fib6_type);
	r.iif = BPF_CORE_READ(flow, __fl_common.flowic_iif);
	r.oif = BPF_CORE_READ(flow, __fl_common.flowic_oif);
	r.mark = BPF_CORE_READ(flow, __fl_common.flowic_mark);
	if (hop) {
		dev = BPF_CORE_READ(hop, nh_common.nhc_dev);
		r.gateway_family = BPF_CORE_READ(hop, nh_common.nhc_gw_family);
		if (r.gateway_family)
			bpf_core_read(r.gateway, 16, &hop->nh_common.nhc_gw);
	}
	return route_event(ctx, &o, &p, &r, dev);
}

/* What is told of a neighbour. */
struct neighbour_told {
	u64 address[2];
	u8 hardware[8];
	u32 family;
	u32 state;
	u32 new_state;
	u32 error;
	char device[16];
	u32 pad[2];
};

static __noinline int neighbour_event(void *ctx, struct neighbour *n, const struct occasion *o)
{
	struct neighbour_told told = {};
	struct plain of = { .blob = &told };
	struct net_device *dev;
	struct cause *c = at_work();
	int family;

	count(SEEN);
	family = BPF_CORE_READ(n, tbl, family);
	told.family = family == 2 ? 4 : family == 10 ? 6 : 0;
	if (!told.family)
		return nought();
	bpf_core_read(told.address, told.family == 4 ? 4 : 16, &n->primary_key);
	of.now = bpf_ktime_get_ns();
	dev = BPF_CORE_READ(n, dev);
	if (c && c->life && of.now - c->time < AT_WORK)
		of.life = c->life;
	else if (!names_address(told.address))
		return nought();
	told.state = BPF_CORE_READ(n, nud_state);
	told.new_state = o->detail[0];
	bpf_core_read(told.hardware, 8, &n->ha);
	if (dev) {
		of.netns = namespace_of(dev);
		of.ifindex = BPF_CORE_READ(dev, ifindex);
		bpf_core_read(told.device, sizeof(told.device), &dev->name);
		of.device = told.device;
	}
	plain_event(ctx, o, &of);
	return nought();
}

/* (neighbour, hardware address, new state, flags, process) */
SEC("raw_tp/neigh_update")
int neigh_update(u64 *ctx)
{
	struct occasion o = { .probe = NEIGH_UPDATE, .stacks = STACK_OTHER, .hook = 255 };

	o.detail[0] = (u8)ctx[2];
	return neighbour_event(ctx, (void *)ctx[0], &o);
}

/* (neighbour, error): a packet waits for the address, or goes without. */
SEC("raw_tp/neigh_event_send_done")
int neigh_event_send_done(u64 *ctx)
{
	struct occasion o = { .probe = NEIGH_EVENT_SEND_DONE, .stacks = STACK_OTHER, .hook = 255 };

	o.detail[1] = (u32)ctx[1];
	return neighbour_event(ctx, (void *)ctx[0], &o);
}

/* (bridge, port, address, VLAN, flags): a bridge learns where a sender is, from the packet at work. */
SEC("raw_tp/br_fdb_update")
int br_fdb_update(u64 *ctx)
{
	struct occasion o = { .probe = BR_FDB_UPDATE, .stacks = STACK_OTHER, .hook = 255 };
	struct net_bridge_port *port = (void *)ctx[1];
	struct net_device *dev = BPF_CORE_READ(port, dev);
	struct plain of = {};
	struct packet p;
	struct cause *c = at_work();
	char device[16];

	count(SEEN);
	of.now = bpf_ktime_get_ns();
	if (!c || !c->life || c->dev != (u64)dev || of.now - c->time > AT_WORK)
		return 0;
	p = c->packet;
	of.packet = &p;
	of.life = c->life;
	of.netns = namespace_of(dev);
	of.ifindex = BPF_CORE_READ(dev, ifindex);
	bpf_core_read(device, sizeof(device), &dev->name);
	of.device = device;
	bpf_probe_read_kernel(o.detail, 6, (void *)ctx[2]);
	o.detail[2] = (u16)ctx[3];
	return plain_event(ctx, &o, &of);
}

/* (datapath, skb, key, action, rest) and (datapath, skb, key, upcall): of the module openvswitch. */
struct nlattr {
	u16 nla_len;
	u16 nla_type;
};

SEC("raw_tp/ovs_do_execute_action")
int ovs_do_execute_action(u64 *ctx)
{
	struct occasion o = { .probe = OVS_ACTION, .stacks = STACK_OTHER, .hook = 255 };
	struct nlattr a = {};

	bpf_probe_read_kernel(&a, sizeof(a), (void *)ctx[3]);
	o.detail[0] = a.nla_type & 0x3fff;
	bpf_probe_read_kernel(&o.detail[1], sizeof(o.detail[1]), (u8 *)ctx[3] + sizeof(a));
	return packet_handed(ctx, (void *)ctx[1], &o);
}

SEC("raw_tp/ovs_dp_upcall")
int ovs_dp_upcall(u64 *ctx)
{
	struct occasion o = { .probe = OVS_UPCALL, .stacks = STACK_OTHER, .hook = 255 };

	return packet_handed(ctx, (void *)ctx[1], &o);
}

#endif
