/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Is this packet asked for? As it stands, by what it carries, by its connection's other name, or because it answers one that is. */
#ifndef BOTHWAYS_IDENTITY_H
#define BOTHWAYS_IDENTITY_H

#include "filter.h"
#include "life.h"

#define NAT_DONE 0x30            /* IPS_SRC_NAT | IPS_DST_NAT of a connection */
#define FORGET 300000000000ULL   /* a learned tuple that nobody used for so long (ns) may be another connection's */
#define SAME_PASS 1000000ULL     /* a packet seen again where its life began, later than this (ns), was sent again */
#define ANSWERED 5000000000ULL   /* an RST or ICMP error that was announced may wait so long (ns) for a neighbour's address */

/* What this CPU is working on: the packet that an RST or ICMP error, sent now, would answer. */
struct cause {
	u64 life;
	u64 skb;
	u64 dev;
	u64 time;
	struct packet packet;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tuple);
	__type(value, u64);
} learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} learning SEC(".maps");             /* whether `learned` holds anything */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct cause);
} causes SEC(".maps");

enum cause_kind { AT_HAND, IS_ANSWERED };

static __always_inline struct cause *cause_of(u32 kind)
{
	return bpf_map_lookup_elem(&causes, &kind);
}

static __always_inline struct cause *at_work(void)
{
	return cause_of(AT_HAND);
}

/* RST: one of its numbers was taken from the packet that it answers, and so were the ends unless they were translated since. */
static __always_inline int reset_answers(const struct packet *p, const struct packet *q)
{
	u32 next = q->seq + q->payload + (q->flags & SYN ? 1 : 0) + (q->flags & FIN ? 1 : 0);

	if (q->ends.protocol != TCP || q->flags & RST)
		return 0;
	if (q->flags & ACK ? p->seq != q->ack : p->ack != next)
		return 0;
	return (q->flags & ACK ? p->seq : p->ack) != 0 || opposite_ends(&p->ends, &q->ends);
}

static __always_inline int quote_answers(const struct packet *quoted, const struct packet *q)
{
	if (quoted->ends.protocol != q->ends.protocol || quoted->ip_id != q->ip_id)
		return 0;
	if (quoted->ends.protocol == TCP)
		return quoted->seq == q->seq;
	return quoted->ends.source_port == q->ends.source_port || quoted->ends.destination_port == q->ends.destination_port;
}

static __always_inline int is_answered(const struct headers *h, const struct cause *c)
{
	if (!c->life)
		return 0;
	return h->part == HAS_QUOTED ? quote_answers(&h->pair[1], &c->packet) : reset_answers(&h->pair[0], &c->packet);
}

/* The life that the packet answers, if it is an RST or ICMP error: of what this CPU works on, or of what the kernel said it answers. */
static __noinline u64 provoked(const struct headers *h, u64 skb, u64 now)
{
	const struct packet *p = &h->pair[0];
	struct cause *c;

	if (h->part != HAS_QUOTED && !(p->ends.protocol == TCP && p->flags & RST))
		return 0;
	c = cause_of(AT_HAND);
	if (c && c->skb != skb && is_answered(h, c))
		return c->life;
	c = cause_of(IS_ANSWERED);
	if (c && now - c->time < ANSWERED && is_answered(h, c))
		return c->life;
	return 0;
}

static __noinline int is_learned(const struct tuple *t, u64 now)
{
	u32 zero = 0;
	u64 *any = bpf_map_lookup_elem(&learning, &zero), *used;

	if (!any || !*any)
		return 0;
	used = bpf_map_lookup_elem(&learned, t);
	if (!used || now - *used > FORGET)
		return 0;
	*used = now;
	return 1;
}

static __noinline int learn(const struct tuple *t, u64 now)
{
	u32 zero = 0;
	u64 *any = bpf_map_lookup_elem(&learning, &zero);

	if (!config.learn || !has_ports(t->protocol))
		return nought();
	if (any)
		*any = 1;
	bpf_map_update_elem(&learned, t, &now, BPF_ANY);
	if (config.learn_reverse) {
		struct tuple back;

		reverse(t, &back);
		bpf_map_update_elem(&learned, &back, &now, BPF_ANY);
	}
	return nought();
}

#define tuple_offset(field) bpf_core_field_offset(struct nf_conntrack_tuple, field)

/* One tuple of a connection, so many octets behind its first one, as the kernel has it: two addresses of 16 octets with what names their end. 0 if it cannot be read. */
static __always_inline int read_tuple(const struct nf_conntrack_tuple *first, long further, struct tuple *t)
{
	u32 *w = (u32 *)t, ports;

	if (tuple_offset(src.u3) != 0 || tuple_offset(src.u) != 16 || tuple_offset(src.l3num) != 18 || tuple_offset(dst.u3) != 20 ||
	    tuple_offset(dst.u) != 36 || tuple_offset(dst.protonum) != 38)
		return 0;
	if (bpf_probe_read_kernel(t, sizeof(*t), (const u8 *)first + further))
		return 0;
	/* words: 0-3 source, 4 its port and family, 5-8 destination, 9 its port and protocol -> the order of struct tuple */
	ports = w[4];
	w[4] = w[5];
	w[5] = w[6];
	w[6] = w[7];
	w[7] = w[8];
	t->source_port = swap16((u16)ports);
	t->destination_port = swap16((u16)w[9]);
	t->protocol = w[9] >> 16;
	t->family = ports >> 16 == 2 ? 4 : 6;
	t->pad = 0;
	if (t->protocol == ICMP || t->protocol == ICMPV6)
		t->destination_port = t->source_port;
	return 1;
}

/* The packet is asked for: as it stands, by what it carries, or under another name of its connection, which was translated.
 * 0: no; 1: as it stands; 2: by its connection. */
static __noinline int asked_for(u64 nfct, const struct headers *h)
{
	struct nf_conn *ct = 0;
	struct tuple t = h->pair[0].ends;
	u8 flags = h->pair[0].flags;
	int turned = 0;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 4; i++) {
		if (i == 1) {
			if (!h->part)
				continue;
			t = h->pair[1].ends;
			flags = h->pair[1].flags;
		} else if (i == 2) {
			u32 status = 0;

			if (!config.follow_nat || !bpf_core_type_exists(struct nf_conn))
				return 0;
			ct = (void *)(nfct & ~7UL);
			if (!ct || bpf_core_read(&status, sizeof(status), &ct->status) || !(status & NAT_DONE))
				return 0;
		}
		if (i >= 2) {
			/* the first tuple as it stands names packets of the original direction, the second one answers */
			turned = ((nfct & 7) >= 3) ^ (i & 1); /* IP_CT_IS_REPLY */
			if (!read_tuple(&ct->tuplehash[0].tuple, (long)(i & 1) * bpf_core_type_size(struct nf_conntrack_tuple_hash), &t))
				return 0;
		}
		if (admits(&t, turned, flags))
			return i < 2 ? 1 : 2;
	}
	return 0;
}

/* As it stands or as its answer. */
static __noinline int either_way(const struct tuple *t, u8 flags)
{
#pragma clang loop unroll(disable)
	for (u32 turned = 0; turned < 2; turned++)
		if (admits(t, turned, flags))
			return 1;
	return 0;
}

#endif
