/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs for functions of the kernel. Most serve many functions: the loader clones them onto each, by the position of the packet among
 * its arguments, and puts the probe's number in. Arguments of fentry and fexit stand in ctx, the returned value behind them. */
#ifndef BOTHWAYS_FUNCTIONS_H
#define BOTHWAYS_FUNCTIONS_H

#include "report.h"

/* Numbers of probes that have a program of their own: as in trace/probe/probes.py. */
enum {
	CONNTRACK_IN = 48,
	HOOK,
	NAT,
};

#define ACCEPTED 1

/* The number that the loader puts in: the text is "probe id". */
static __always_inline u16 probe_number(void)
{
	u64 number;

	asm volatile("%0 = 0x70726f6265206964 ll" : "=r"(number));
	return number;
}

static __always_inline int passes(void *ctx, u64 skb)
{
	struct occasion o = { .probe = probe_number(), .stacks = STACK_OTHER, .hook = 255 };

	return packet_event(ctx, (void *)skb, &o);
}

/* A RST or ICMP error is being made for this packet. Called for resets too, which are never answered. */
static __always_inline int answers(void *ctx, u64 skb, u32 reason, u32 type, u32 code)
{
	struct occasion o = { .probe = probe_number(), .stacks = STACK_RST, .hook = 255, .not_of_reset = 1 };

	o.reason = reason;
	o.detail[0] = type;
	o.detail[1] = code;
	return packet_event(ctx, (void *)skb, &o);
}

#define AT_ENTRY(n)                                        \
	SEC("fentry/ip_rcv")                               \
	int passes##n(u64 *ctx) { return passes(ctx, ctx[n]); }
AT_ENTRY(0)
AT_ENTRY(1)
AT_ENTRY(2)
AT_ENTRY(3)

/* (socket, packet, reason since 6.10), of IPv4 and IPv6 */
SEC("fentry/tcp_v4_send_reset")
int resets(u64 *ctx)
{
	return answers(ctx, ctx[1], bpf_core_type_exists(enum sk_rst_reason) ? (u32)ctx[2] : 0, 0, 0);
}

/* nf_send_reset(namespace, socket since 5.10, packet, hook), of IPv4 and IPv6 */
#define REJECTS(n)                                         \
	SEC("fentry/nf_send_reset")                        \
	int rejects##n(u64 *ctx) { return answers(ctx, ctx[n], 0, 0, 0); }
REJECTS(1)
REJECTS(2)

/* __icmp_send(packet, type, code, ...) and icmp6_send */
SEC("fentry/__icmp_send")
int errors(u64 *ctx)
{
	return answers(ctx, ctx[0], 0, (u8)ctx[1], (u8)ctx[2]);
}

/* The same by kprobes. Arguments stand in registers, which the loader looks up in the kernel's types. */
static __always_inline u64 argument(void *registers, u32 n)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), registers + config.register_offset[n]);
	return value;
}

#define BY_KPROBE(n)                                       \
	SEC("kprobe")                                      \
	int kprobe_passes##n(void *ctx) { return passes(ctx, argument(ctx, n)); }
BY_KPROBE(0)
BY_KPROBE(1)
BY_KPROBE(2)
BY_KPROBE(3)

SEC("kprobe")
int kprobe_resets(void *ctx)
{
	return answers(ctx, argument(ctx, 1), bpf_core_type_exists(enum sk_rst_reason) ? (u32)argument(ctx, 2) : 0, 0, 0);
}

#define REJECTS_BY_KPROBE(n)                               \
	SEC("kprobe")                                      \
	int kprobe_rejects##n(void *ctx) { return answers(ctx, argument(ctx, n), 0, 0, 0); }
REJECTS_BY_KPROBE(1)
REJECTS_BY_KPROBE(2)

SEC("kprobe")
int kprobe_errors(void *ctx) { return answers(ctx, argument(ctx, 0), 0, (u8)argument(ctx, 1), (u8)argument(ctx, 2)); }

/* What this CPU's tracker of TCP found before it looked at a packet. */
struct tracked {
	u64 skb;
	u32 state;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tracked);
} tracked SEC(".maps");

/* (connection, packet, ...) */
SEC("fentry/nf_conntrack_tcp_packet")
int tracks(u64 *ctx)
{
	u32 zero = 0;
	struct tracked *t = bpf_map_lookup_elem(&tracked, &zero);
	struct nf_conn *ct = (void *)ctx[0];
	u8 state = 255;

	if (!t || !bpf_core_type_exists(struct nf_conn))
		return nought();
	bpf_core_read(&state, sizeof(state), &ct->proto.tcp.state);
	t->skb = ctx[1];
	t->state = state;
	return nought();
}

static __always_inline void read_hook(struct nf_hook_state *state, struct occasion *o)
{
	o->hook = BPF_CORE_READ(state, hook);
	o->pf = BPF_CORE_READ(state, pf);
}

/* (packet, hook) -> verdict. What the tracker says is what the packet carries afterwards: nothing is INVALID. */
SEC("fexit/nf_conntrack_in")
int conntrack_in(u64 *ctx)
{
	struct occasion o = { .probe = CONNTRACK_IN, .stacks = STACK_OTHER };
	u32 zero = 0;
	struct tracked *t = bpf_map_lookup_elem(&tracked, &zero);

	read_hook((void *)ctx[1], &o);
	o.verdict = (s32)ctx[2];
	if (t && t->skb == ctx[0]) {
		o.detail[0] = t->state + 1;
		t->skb = 0;
	}
	return packet_event(ctx, (void *)ctx[0], &o);
}

/* Packets that are in a hook, as they were when they came in: a packet that was dropped there is gone at the end. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct life);
} hooked SEC(".maps");

static __noinline int remember(u64 skb)
{
	struct life *life = life_of(skb);

	if (life)
		bpf_map_update_elem(&hooked, &skb, life, BPF_ANY);
	return nought();
}

/* nf_hook_slow(packet, hook, entries, first) */
SEC("fentry/nf_hook_slow")
int hook_in(u64 *ctx)
{
	struct occasion o = { .probe = HOOK, .hook = 255, .silent = 1 };

	packet_event(ctx, (void *)ctx[0], &o);
	return remember(ctx[0]);
}

static __noinline int gone_in_hook(void *ctx, u64 skb, const struct occasion *o)
{
	struct life *life = bpf_map_lookup_elem(&hooked, &skb);
	struct plain of = {};
	struct packet p;

	if (!life)
		return nought();
	p = life->last;
	of.packet = &p;
	of.life = life->id;
	of.now = bpf_ktime_get_ns();
	of.netns = life->netns;
	of.ifindex = life->ifindex;
	of.device = life->device;
	plain_event(ctx, o, &of);
	return nought();
}

/* … -> 1: go on; less than 0: dropped; 0: somebody else has it */
SEC("fexit/nf_hook_slow")
int hook_out(u64 *ctx)
{
	struct occasion o = { .probe = HOOK, .stacks = STACK_OTHER };
	u64 skb = ctx[0];

	read_hook((void *)ctx[1], &o);
	o.verdict = (s32)ctx[4];
	if (o.verdict == ACCEPTED)
		packet_event(ctx, (void *)skb, &o);
	else
		gone_in_hook(ctx, skb, &o);
	bpf_map_delete_elem(&hooked, &skb);
	return nought();
}

/* nf_nat_inet_fn(private, packet, hook) -> verdict: told where the packet has other ends afterwards */
SEC("fexit/nf_nat_inet_fn")
int nat(u64 *ctx)
{
	struct occasion o = { .probe = NAT, .stacks = STACK_OTHER, .if_changed = 1 };

	read_hook((void *)ctx[2], &o);
	o.verdict = (s32)ctx[3];
	if (o.verdict != ACCEPTED)
		return nought();
	return packet_event(ctx, (void *)ctx[1], &o);
}

#endif
