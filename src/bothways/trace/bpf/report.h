/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From an sk_buff at a probe to a record in the ring: found in its life, filtered, placed, reported. */
#ifndef BOTHWAYS_REPORT_H
#define BOTHWAYS_REPORT_H

#include "gate.h"
#include "record.h"

/* A packet where its life began, much later: the address has come back with the same content, as when TCP sends again. */
static __always_inline int began_again(const struct scene *s, const struct occasion *o, const struct life *life)
{
	struct sk_buff *skb = s->skb;
	struct net_device *dev = 0;

	if (o->ends || o->no_device || s->now - life->time < SAME_PASS)
		return 0;
	bpf_core_read(&dev, sizeof(dev), &skb->dev);
	return life->began == ((u64)dev ^ (u64)o->probe << 48 ^ (u64)s->h.pair[0].ttl << 56);
}

static __always_inline void keep_cause(struct cause *cause, const struct scene *s, const struct life *life)
{
	cause->life = life->id;
	cause->skb = (u64)s->skb;
	cause->dev = life->dev;
	cause->time = s->now;
	cause->packet = s->h.pair[0];
}

/* What an RST or ICMP error might answer from now on. Neither is ever answered by one. */
static __noinline int works_on(const struct scene *s, const struct occasion *o, const struct life *life)
{
	struct cause *cause;

	if (s->h.pair[0].flags & RST || s->h.part == HAS_QUOTED)
		return nought();
	cause = at_work();
	if (!cause)
		return nought();
	if (o->ends) {
		if (cause->skb == (u64)s->skb)
			cause->life = 0;
		return nought();
	}
	keep_cause(cause, s, life);
	if (o->stacks & STACK_RST) {
		cause = cause_of(IS_ANSWERED);
		if (cause)
			keep_cause(cause, s, life);
	}
	return nought();
}

/* The life of the packet at hand; 0 if nobody asked for it. */
static __noinline struct life *find_life(struct scene *s, const struct occasion *o)
{
	struct packet *p = &s->h.pair[0];
	struct content content;
	struct life *life;
	u64 key = (u64)s->skb, cause;
	int asked;

	take_content(s->h.part == HAS_INNER ? &s->h.pair[1] : p, &content);
	life = life_of(key);
	if (life) {
		if (same_content(&life->content, &content) && !began_again(s, o, life)) {
			s->changed = !same_ends(&life->last.ends, &p->ends);
			if (s->changed && config.follow_nat && s->h.part != HAS_INNER)
				learn(&p->ends, s->now);
			return life;
		}
		forget_life(key);
	}
	asked = s->asked == ASKED ? 1 : asked_for(s->at.nfct, &s->h);
	if (asked == 2)
		learn(&p->ends, s->now);
	if (!asked && config.follow_nat)
		asked = is_learned(&s->h.pair[s->h.part ? 1 : 0].ends, s->now);
	cause = provoked(&s->h, key, s->now);
	if (!asked && !cause)
		return 0;
	life = new_life(key, s->now);
	if (!life)
		return 0;
	life->provoked_by = cause;
	life->content = content;
	return life;
}

static __noinline int look(void *ctx, struct sk_buff *skb, const struct occasion *o, struct scene *s)
{
	struct life *life;
	u64 key = (u64)skb;

	if (!read_headers(s->ip, s->first, &s->h))
		return nought();
	if (o->not_of_reset && s->h.pair[0].flags & RST)
		return nought();
	s->skb = skb;
	s->now = bpf_ktime_get_ns();
	s->kept = 0;
	s->changed = 0;
	life = find_life(s, o);
	if (!life)
		return nought();
	find_place(s, o, life);
	if (!life->time) {
		life->began = life->dev ^ (u64)o->probe << 48 ^ (u64)s->h.pair[0].ttl << 56;
		find_clone((u64)s->at.head, key, life, s->now, o->ends);
	}
	life->time = s->now;
	works_on(s, o, life);
	if (!o->silent && (!o->if_changed || s->changed) && !is_quiet(o->probe) && wanted_namespace(life->netns) &&
	    (!life->dev || wanted_device(life->device)))
		write_record(ctx, s, o, life);
	if (o->ends)
		forget_life(key);
	else
		life->last = s->h.pair[0];
	return nought();
}

static __always_inline void packet_at_work(void *ctx, struct sk_buff *skb, const struct occasion *o, struct work *work)
{
	count(SEEN);
	if (!skb)
		return;
	work->scene.asked = may_concern(skb, o->at_data, &work->scene);
	if (work->scene.asked != NOT_ASKED)
		look(ctx, skb, o, &work->scene);
}

/* A packet at a probe, told if somebody asked for it. */
static __always_inline int packet_event(void *ctx, struct sk_buff *skb, const struct occasion *o)
{
	struct work *work = take_work(ctx);

	if (!work)
		return nought();
	packet_at_work(ctx, skb, o, work);
	give_back(work);
	return nought();
}

#endif
