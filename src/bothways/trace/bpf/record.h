/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Records in the ring: of a packet at a probe, and of what has no packet at hand. */
#ifndef BOTHWAYS_RECORD_H
#define BOTHWAYS_RECORD_H

#include "scene.h"

static __always_inline int is_quiet(u16 probe)
{
	return config.quiet[(probe >> 6) & 1] >> (probe & 63) & 1;
}

static __always_inline void read_connection(u64 nfct, struct event *e)
{
	unsigned long status = 0;
	struct conntrack *c = &e->conntrack;
	struct nf_conn *ct = (void *)(nfct & ~7UL);

	if (!bpf_core_type_exists(struct nf_conn))
		return;
	c->info = nfct & 7;
	c->state = c->state_before = 255;
	c->zone = 0;
	c->mark = 0;
	c->status = 0;
	c->entry = (u64)ct;
	c->original.family = c->reply.family = 0;
	e->parts |= HAS_CONNTRACK;
	if (!ct)
		return;
	bpf_core_read(&status, sizeof(status), &ct->status);
	c->status = status;
	if (bpf_core_field_exists(ct->mark))
		bpf_core_read(&c->mark, sizeof(c->mark), &ct->mark);
	if (bpf_core_field_exists(ct->zone))
		bpf_core_read(&c->zone, sizeof(c->zone), &ct->zone.id);
	read_tuple(&ct->tuplehash[0].tuple, 0, &c->original);
	read_tuple(&ct->tuplehash[0].tuple, bpf_core_type_size(struct nf_conntrack_tuple_hash), &c->reply);
	if (c->original.protocol == TCP)
		bpf_core_read(&c->state, sizeof(c->state), &ct->proto.tcp.state);
}

/* How long a record is: most packets carry nothing within, and are what they were. */
enum size { SHORT, TRACKED, WHOLE, WITH_STACK };
#define TO_PACKET __builtin_offsetof(struct event, conntrack)
#define TO_CONNTRACK __builtin_offsetof(struct event, second)

/* A record of the size that is wanted. `size` is a constant on each of the ways, so that the verifier knows what belongs together. */
static __noinline int write_record(void *ctx, struct scene *s, const struct occasion *o, struct life *life)
{
	u64 skb = (u64)s->skb, nfct = s->at.nfct;
	struct event *e;
	u64 size; /* not 32 bits: before 6.8 the verifier forgets what such a number was, once it stands on the stack */

	size = config.stacks & o->stacks;
	if (config.stacks & STACK_RST && o->stacks & STACK_XMIT && (s->h.pair[0].flags & RST || s->h.part == HAS_QUOTED))
		size = 1;
	if (size) {
		e = bpf_ringbuf_reserve(&events, sizeof(struct event_with_stack), 0);
		size = WITH_STACK;
	} else if (s->changed || s->h.part) {
		e = bpf_ringbuf_reserve(&events, sizeof(struct event), 0);
		size = WHOLE;
	} else if (nfct) {
		e = bpf_ringbuf_reserve(&events, TO_CONNTRACK, 0);
		size = TRACKED;
	} else {
		e = bpf_ringbuf_reserve(&events, TO_PACKET, 0);
		size = SHORT;
	}
	asm volatile("" : "+r"(size));
	if (!e) {
		count(LOST);
		return nought();
	}
	e->time = s->now;
	e->life = life->id;
	e->provoked_by = life->provoked_by;
	e->clone_of = life->clone_of;
	e->skb = skb;
	e->location = o->location;
	e->netns = life->netns;
	e->ifindex = life->ifindex;
	e->reason = o->reason;
	e->vni = s->h.vni;
	e->probe = o->probe;
	e->cpu = bpf_get_smp_processor_id();
	e->frames = 0;
	e->hook = o->hook;
	e->pf = o->pf;
	e->verdict = o->verdict;
	e->detail[0] = o->detail[0];
	e->detail[1] = o->detail[1];
	e->detail[2] = o->detail[2];
	__builtin_memcpy(e->device, life->device, sizeof(e->device));
	bpf_get_current_comm(e->task, sizeof(e->task));
	e->packet = s->h.pair[0];
	e->parts = HAS_PACKET | s->h.part | (s->changed ? HAS_BEFORE : 0) | (s->kept ? KEPT_PLACE : 0);
	e->length = s->at.len;
	e->mark = s->at.mark;
	if (size >= WHOLE) {
		e->second = s->h.pair[1];
		e->before = life->last;
	}
	if (size >= TRACKED && nfct)
		read_connection(nfct, e);
	if (size == WITH_STACK) {
		long got = bpf_get_stack(ctx, ((struct event_with_stack *)e)->stack, FRAMES * 8, 0);

		e->frames = got > 0 ? got / 8 : 0;
	}
	count(SENT);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return nought();
}

/* An event without an sk_buff at hand: of a socket, a route lookup, a neighbour, a bridge's table. `packet` may be 0; its life is
 * told where the caller knows it. `blob` is 64 octets, or 0. */
struct plain {
	const struct packet *packet;
	const void *blob;
	const char *device;
	u64 life;
	u64 now;
	u32 netns;
	u32 ifindex;
	u8 parts;
};

static __noinline int plain_event(void *ctx, const struct occasion *o, const struct plain *of)
{
	struct event *e;
	u64 big; /* not 32 bits: before 6.8 the verifier forgets what such a number was, once it stands on the stack */

	if (is_quiet(o->probe) || !wanted_namespace(of->netns))
		return nought();
	big = config.stacks & o->stacks;
	if (big) {
		e = bpf_ringbuf_reserve(&events, sizeof(struct event_with_stack), 0);
		big = 1;
	} else {
		e = bpf_ringbuf_reserve(&events, sizeof(struct event), 0);
		big = 0;
	}
	asm volatile("" : "+r"(big));
	if (!e) {
		count(LOST);
		return nought();
	}
	__builtin_memset(e, 0, __builtin_offsetof(struct event, packet));
	e->time = of->now;
	e->life = of->life;
	e->reason = o->reason;
	e->netns = of->netns;
	e->ifindex = of->ifindex;
	e->probe = o->probe;
	e->cpu = bpf_get_smp_processor_id();
	e->hook = o->hook;
	e->pf = o->pf;
	e->verdict = o->verdict;
	e->detail[0] = o->detail[0];
	e->detail[1] = o->detail[1];
	e->detail[2] = o->detail[2];
	e->parts = of->parts | (of->packet ? HAS_PACKET : 0) | (of->blob ? HAS_BLOB : 0);
	if (of->device)
		bpf_probe_read_kernel(e->device, sizeof(e->device), of->device);
	bpf_get_current_comm(e->task, sizeof(e->task));
	if (of->packet)
		e->packet = *of->packet;
	if (of->blob)
		bpf_probe_read_kernel(&e->second, sizeof(e->second), of->blob);
	if (big) {
		long got = bpf_get_stack(ctx, ((struct event_with_stack *)e)->stack, FRAMES * 8, 0);

		e->frames = got > 0 ? got / 8 : 0;
	}
	count(SENT);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return nought();
}

#endif
