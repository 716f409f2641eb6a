/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which packet is this? An sk_buff's address names a packet only until it is released, and many releases are not told: then the address
 * comes back with another packet. So a *life* is kept for each address, with what cannot change while a packet is translated, forwarded
 * or put into a tunnel: its protocol, IP id and numbers (of the inner packet, if there is a tunnel). Another content is another life. */
#ifndef BOTHWAYS_LIFE_H
#define BOTHWAYS_LIFE_H

#include "packet.h"

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
	u64 head;
	u64 skb;
	u64 life;
	u64 time;
	struct content content;
};

/* Tables of fixed places, and none of the kernel's hash maps: a packet is looked for in every run of every program, and a place that is
 * computed costs a tenth of a lookup, and a new entry a tenth of an insertion. An address has four places, its *set*; a fifth packet takes
 * the place of the set's eldest. Two processors that fill one set in the same nanoseconds may take one place; then one story is lost. */
#define WAYS 4
#define SET_BITS 14
#define OWNER_BITS 15

struct set {
	u64 skb[WAYS];
	u64 next;        /* the place that is taken next where none is free */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SET_BITS);
	__type(key, u32);
	__type(value, struct set);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WAYS << SET_BITS);
	__type(key, u32);
	__type(value, struct life);
} lives SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << OWNER_BITS);
	__type(key, u32);
	__type(value, struct owner);
} owners SEC(".maps");

/* The upper bits of a product with the golden ratio: neighbours among addresses are spread. Of the lower half, as the verifier takes
 * what programs on functions are given for a pointer, which may not be multiplied; half of it is a number. */
static __always_inline u32 spread(u64 address, u32 bits)
{
	u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((u32)address));
	return (low * 0x9e3779b9U) >> (32 - bits);
}

/* The number of its place + 1; 0: none. */
static __always_inline u32 place_of(u64 skb)
{
	u32 at = spread(skb, SET_BITS);
	struct set *set = bpf_map_lookup_elem(&sets, &at);

	if (!set)
		return 0;
	at = at * WAYS + 1;
	if (set->skb[0] == skb)
		return at;
	if (set->skb[1] == skb)
		return at + 1;
	if (set->skb[2] == skb)
		return at + 2;
	if (set->skb[3] == skb)
		return at + 3;
	return 0;
}

static __always_inline struct life *life_of(u64 skb)
{
	u32 place = place_of(skb);

	if (!place)
		return 0;
	place--;
	return bpf_map_lookup_elem(&lives, &place);
}

static __always_inline void forget_life(u64 skb)
{
	u32 place = place_of(skb), at = spread(skb, SET_BITS);
	struct set *set;

	if (!place)
		return;
	set = bpf_map_lookup_elem(&sets, &at);
	if (set)
		set->skb[(place - 1) % WAYS] = 0;
}

/* A place for a packet that is seen for the first time; everything in it is 0 but its number. */
static __noinline struct life *new_life(u64 skb, u64 now)
{
	u32 at = spread(skb, SET_BITS), way;
	struct set *set = bpf_map_lookup_elem(&sets, &at);
	struct life *life;

	if (!set)
		return 0;
	way = !set->skb[0] ? 0 : !set->skb[1] ? 1 : !set->skb[2] ? 2 : !set->skb[3] ? 3 : set->next++ % WAYS;
	at = at * WAYS + way;
	life = bpf_map_lookup_elem(&lives, &at);
	if (!life)
		return 0;
	__builtin_memset(life, 0, sizeof(*life));
	life->id = (now << 9) ^ bpf_get_smp_processor_id();
	set->skb[way % WAYS] = skb;
	return life;
}

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

/* Another life has the same buffer and the same content, and began just now, or is at work still: this one is its clone. */
static __noinline int find_clone(u64 head, u64 skb, struct life *life, u64 now, int ends)
{
	u32 at = spread(head, OWNER_BITS);
	struct owner *owner = bpf_map_lookup_elem(&owners, &at);

	if (!owner)
		return nought();
	if (owner->head == head && owner->skb != skb && same_content(&owner->content, &life->content)) {
		struct life *other = life_of(owner->skb);
		u64 time = owner->time;

		if (other && other->id == owner->life)
			time = other->time;
		if (now - time < AT_WORK) {
			life->clone_of = owner->life;
			return nought();
		}
	}
	if (ends) /* what is first seen as it is released was itself the clone */
		return nought();
	owner->head = head;
	owner->skb = skb;
	owner->life = life->id;
	owner->time = now;
	owner->content = life->content;
	return nought();
}

#endif
