/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs for raw tracepoints of sockets: what a connection says of itself. */
#ifndef BOTHWAYS_SOCKETS_H
#define BOTHWAYS_SOCKETS_H

#include "tracepoints.h"

/* The connection of a socket, its local end as source. 0 if it has none. */
static __always_inline int read_socket(struct sock *sk, struct packet *p)
{
	u16 family = 0;

	__builtin_memset(p, 0, sizeof(*p));
	if (bpf_core_read(&family, sizeof(family), &sk->__sk_common.skc_family))
		return 0;
	p->ends.protocol = BPF_CORE_READ(sk, sk_protocol);
	p->ends.source_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	/* A socket that closes has given its port back before it sends its RST; what it sends from is still there. */
	if (!p->ends.source_port)
		p->ends.source_port = swap16(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	p->ends.destination_port = swap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == 10) {
		bpf_core_read(p->ends.source, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(p->ends.destination, 16, &sk->__sk_common.skc_v6_daddr);
		p->ends.family = 6;
		/* ::ffff:a.b.c.d is IPv4 */
		if (p->ends.destination[0] == 0 && (u32)p->ends.destination[1] == 0xffff0000U) {
			p->ends.source[0] = p->ends.source[1] >> 32;
			p->ends.destination[0] = p->ends.destination[1] >> 32;
			p->ends.source[1] = p->ends.destination[1] = 0;
			p->ends.family = 4;
		}
		return 1;
	}
	if (family != 2)
		return 0;
	p->ends.source[0] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	p->ends.destination[0] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	p->ends.family = 4;
	return 1;
}

/* A socket's connection is asked for in either direction, or under a name that was learned. */
static __noinline int socket_event(void *ctx, struct sock *sk, u8 flags, const struct occasion *o)
{
	struct packet p;
	struct plain of = { .packet = &p, .parts = OF_SOCKET };

	count(SEEN);
	if (!sk || !read_socket(sk, &p))
		return nought();
	of.now = bpf_ktime_get_ns();
	p.flags = flags;
	if (!either_way(&p.ends, flags) && !(config.follow_nat && is_learned(&p.ends, of.now)))
		return nought();
	of.netns = namespace_of_socket(sk);
	plain_event(ctx, o, &of);
	return nought();
}

/* (socket, skb, reason since 6.10): one of both may be missing. Two programs, as one that hands a packet on may call no functions. */
static __always_inline struct occasion reset_sent(u64 *ctx)
{
	struct occasion o = { .probe = TCP_SEND_RESET, .stacks = STACK_RST, .hook = 255 };

	if (bpf_core_type_exists(enum sk_rst_reason))
		o.reason = (u32)ctx[2];
	return o;
}

SEC("raw_tp/tcp_send_reset")
int tcp_send_reset(u64 *ctx)
{
	struct occasion o = reset_sent(ctx);

	return ctx[1] ? packet_handed(ctx, (void *)ctx[1], &o) : 0;
}

SEC("raw_tp/tcp_send_reset")
int tcp_send_reset_alone(u64 *ctx)
{
	struct occasion o = reset_sent(ctx);

	return ctx[1] ? 0 : socket_event(ctx, (void *)ctx[0], RST, &o);
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

#endif
