/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which packet is this? An sk_buff's address names a packet only until it is released, and many releases are not told: then the address
 * comes back with another packet. So a *life* is kept for each address, with what cannot change while a packet is translated, forwarded
 * or put into a tunnel: its protocol, IP id and numbers (of the inner packet, if there is a tunnel). Another content is another life. */
#ifndef BOTHWAYS_IDENTITY_H
#define BOTHWAYS_IDENTITY_H

#include "filter.h"

#define NAT_DONE 0x30            /* IPS_SRC_NAT | IPS_DST_NAT of a connection */
#define FORGET 300000000000ULL   /* a learned tuple that nobody used for so long (ns) may be another connection's */
#define SAME_PASS 1000000ULL     /* a packet seen again where its life began, later than this (ns), was sent again */
#define ANSWERED 5000000000ULL   /* an RST or ICMP error that was announced may wait so long (ns) for a neighbour's address */
#define AT_WORK 2000000ULL       /* what a CPU handled last is taken for what it is handling, so long (ns) */

struct content {
	u32 seq;
	u32 ack;
	u16 ip_id;
	u16 fragment;
	u8 protocol;
	u8 flags;
	u16 pad;
};

struct life {
	u64 id;
	u64 clone_of;
	u64 provoked_by;
	u64 time;          /* of the last event */
	u64 dev;           /* of the last event, with its name: most events of a packet come in pairs at one device */
	u32 netns;
	u32 ifindex;
	char device[16];
	u64 began;         /* probe, device and TTL of the first event */
	struct content content;
	struct packet last;
};

/* One buffer of headers, and the packet that was found in it first: a clone shares it. */
struct owner {
	u64 skb;
	u64 life;
	u64 time;
	struct content content;
};

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
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct life);
} lives SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct life);
} blank SEC(".maps");                /* a life of zeroes: one on the stack would leave no room for the rest */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct owner);
} heads SEC(".maps");

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

static __always_inline void take_content(const struct packet *p, struct content *c)
{
	c->seq = p->seq;
	c->ack = p->ack;
	c->ip_id = p->ip_id;
	c->fragment = p->fragment & 0x3fff;
	c->protocol = p->ends.protocol;
	c->flags = p->flags & (SYN | RST);
	c->pad = 0;
}

static __always_inline int same_content(const struct content *a, const struct content *b)
{
	return a->seq == b->seq && a->ack == b->ack && a->ip_id == b->ip_id && a->fragment == b->fragment &&
	       a->protocol == b->protocol && a->flags == b->flags;
}

static __always_inline int same_ends(const struct tuple *a, const struct tuple *b)
{
	return a->source[0] == b->source[0] && a->source[1] == b->source[1] && a->destination[0] == b->destination[0] &&
	       a->destination[1] == b->destination[1] && a->source_port == b->source_port &&
	       a->destination_port == b->destination_port && a->protocol == b->protocol;
}

static __always_inline int opposite_ends(const struct tuple *a, const struct tuple *b)
{
	return a->source[0] == b->destination[0] && a->source[1] == b->destination[1] && a->destination[0] == b->source[0] &&
	       a->destination[1] == b->source[1] && a->source_port == b->destination_port && a->destination_port == b->source_port &&
	       a->protocol == b->protocol;
}

/* An entry for a packet that is seen for the first time; everything in it is 0 but its number. */
static __noinline struct life *new_life(u64 skb, u64 now)
{
	u32 zero = 0;
	struct life *life = bpf_map_lookup_elem(&blank, &zero);

	if (!life || bpf_map_update_elem(&lives, &skb, life, BPF_ANY))
		return 0;
	life = bpf_map_lookup_elem(&lives, &skb);
	if (life)
		life->id = (now << 9) ^ bpf_get_smp_processor_id();
	return life;
}

/* Another life has the same buffer and the same content, and began just now, or is at work still: this one is its clone. */
static __noinline int find_clone(u64 head, u64 skb, struct life *life, u64 now, int ends)
{
	struct owner *owner = bpf_map_lookup_elem(&heads, &head);
	struct owner mine = { .skb = skb, .life = life->id, .time = now, .content = life->content };

	if (owner && owner->skb != skb && same_content(&owner->content, &life->content)) {
		struct life *other = bpf_map_lookup_elem(&lives, &owner->skb);
		u64 time = owner->time;

		if (other && other->id == owner->life)
			time = other->time;
		if (now - time < AT_WORK) {
			life->clone_of = owner->life;
			return nought();
		}
	}
	if (!ends) /* what is first seen as it is released was itself the clone */
		bpf_map_update_elem(&heads, &head, &mine, BPF_ANY);
	return nought();
}

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
static __noinline int asked_for(struct sk_buff *skb, const struct headers *h)
{
	struct nf_conn *ct = 0;
	struct tuple t = h->pair[0].ends;
	unsigned long word = 0;
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

			if (!config.follow_nat || !bpf_core_type_exists(struct nf_conn) || !bpf_core_field_exists(skb->_nfct))
				return 0;
			if (bpf_core_read(&word, sizeof(word), &skb->_nfct))
				return 0;
			ct = (void *)(word & ~7UL);
			if (!ct || bpf_core_read(&status, sizeof(status), &ct->status) || !(status & NAT_DONE))
				return 0;
		}
		if (i >= 2) {
			/* the first tuple as it stands names packets of the original direction, the second one answers */
			turned = ((word & 7) >= 3) ^ (i & 1); /* IP_CT_IS_REPLY */
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
