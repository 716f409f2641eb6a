/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs for raw tracepoints of packets. Arguments stand in ctx in the order of the tracepoint's prototype. */
#ifndef BOTHWAYS_TRACEPOINTS_H
#define BOTHWAYS_TRACEPOINTS_H

#include "probes.h"
#include "report.h"

/* These programs do the same once they know the occasion: one does it for all, so that it is verified once and not a dozen times. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} packet_programs SEC(".maps"); /* the loader puts its one program in */

/* Calls no function of its own: programs that do may not go over into others before Linux 5.10 (arm64: 6.0). */
static __always_inline int packet_handed(u64 *ctx, void *skb, const struct occasion *o)
{
	struct work *work = take_work(ctx);

	if (!work)
		return 0;
	work->skb = (u64)skb;
	work->occasion = *o;
	bpf_tail_call(ctx, &packet_programs, 0);
	give_back(work);
	return 0;
}

SEC("raw_tp")
int packet_program(u64 *ctx)
{
	struct work *work = taken_work(ctx);

	if (!work)
		return 0;
	packet_at_work(ctx, (void *)work->skb, &work->occasion, work);
	give_back(work);
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
	life = life_of(key);
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

/* (socket, skb): a segment has come to an established connection. */
SEC("raw_tp/tcp_probe")
int tcp_probe(u64 *ctx)
{
	struct occasion o = { .probe = TCP_PROBE, .stacks = STACK_OTHER, .hook = 255 };

	o.sk = (void *)ctx[0];
	return packet_handed(ctx, (void *)ctx[1], &o);
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
