/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From an sk_buff at a probe to a record in the ring: found in its life, filtered, placed, reported. */
#ifndef BOTHWAYS_REPORT_H
#define BOTHWAYS_REPORT_H

#include "identity.h"

#define NAMESPACE_NUMBERS 0xeffffff0U /* the least inode number of a namespace: what is less is no namespace, so its device is none */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} stats SEC(".maps");

enum stat { SEEN, SENT, LOST };

/* An atomic addition, though the counter is this CPU's: an interrupt may count in the midst of it. */
static __always_inline void count(u32 which)
{
	u64 *value = bpf_map_lookup_elem(&stats, &which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* What a probe knows beside the packet. All of it is constant or an argument of the probed function. */
struct occasion {
	u64 location;
	struct sock *sk;    /* says the namespace where the packet's device is gone */
	u32 reason;
	s32 verdict;
	u32 detail[3];
	u16 probe;
	u8 stacks;          /* enum stacks: when its stack is wanted */
	u8 at_data;         /* the IP header is where the data begin: the packet comes fresh from a device */
	u8 ends;            /* the packet is released */
	u8 no_device;       /* in a queue of its socket: what stands for the device is something else */
	u8 blob;            /* `blob` is to be copied over the second packet */
	u8 hook, pf;
	u8 not_of_reset;    /* a RST is not answered, though the function is called for it */
	u8 silent;          /* only keeps the packet's story */
	u8 if_changed;      /* told where the packet's ends are others than before */
	const void *blob_from;
};

/* One packet at one probe. It is too large for the stack of kernels before 6.13, where five functions share 512 octets: so it stands in a place
 * of this CPU, one for each depth of interrupts that come in between. Pointers that programs follow cannot stand there. */
struct scene {
	struct sk_buff *skb;
	struct place at;
	u64 now;
	u8 kept;      /* namespace and device are those of the last event */
	u8 changed;   /* the packet's ends are not those of the last event */
	struct headers h;
};

#define DEEPEST 16

struct work {
	u64 skb;
	struct occasion occasion;
	struct scene scene;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DEEPEST);
	__type(key, u32);
	__type(value, struct work);
} works SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} depths SEC(".maps");

/* How many places of this CPU are taken. */
static __always_inline u32 *places_taken(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&depths, &zero);
}

static __always_inline struct work *place_at(u32 depth)
{
	return bpf_map_lookup_elem(&works, &depth);
}

static __always_inline u32 namespace_of(struct net_device *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, ns.inum);
}

static __always_inline int is_quiet(u16 probe)
{
	return config.quiet[(probe >> 6) & 1] >> (probe & 63) & 1;
}

static __always_inline void read_connection(struct sk_buff *skb, struct event *e)
{
	unsigned long word = 0, status = 0;
	struct conntrack *c = &e->conntrack;
	struct nf_conn *ct;

	if (!bpf_core_type_exists(struct nf_conn) || !bpf_core_field_exists(skb->_nfct))
		return;
	if (bpf_core_read(&word, sizeof(word), &skb->_nfct) || !word)
		return;
	ct = (void *)(word & ~7UL);
	c->info = word & 7;
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

static __always_inline u32 namespace_of_socket(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* Where the packet is: its device if it has one, else its socket, else its route, else where it was. */
static __noinline int find_place(struct scene *s, const struct occasion *o, struct life *life)
{
	struct sk_buff *skb = s->skb;
	struct net_device *dev = 0;
	struct sock *sk = o->sk;
	u32 netns = 0;

	if (!o->no_device)
		bpf_core_read(&dev, sizeof(dev), &skb->dev);
	if (dev && (u64)dev == life->dev)
		return nought();
	if (dev) {
		netns = namespace_of(dev);
		if (netns >= NAMESPACE_NUMBERS) {
			bpf_core_read(&life->ifindex, sizeof(life->ifindex), &dev->ifindex);
			bpf_core_read(life->device, sizeof(life->device), &dev->name);
			life->netns = netns;
			life->dev = (u64)dev;
			return nought();
		}
	}
	netns = sk ? namespace_of_socket(sk) : 0;
	if (netns < NAMESPACE_NUMBERS) {
		sk = BPF_CORE_READ(skb, sk);
		netns = sk ? namespace_of_socket(sk) : 0;
	}
	if (netns < NAMESPACE_NUMBERS && !o->no_device) {
		struct dst_entry *dst = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~1UL);

		netns = dst ? BPF_CORE_READ(dst, dev, nd_net.net, ns.inum) : 0;
	}
	if (netns < NAMESPACE_NUMBERS)
		netns = 0;
	if (!netns || netns == life->netns) {
		s->kept = 1;
		return nought();
	}
	life->netns = netns;
	life->dev = 0;
	life->ifindex = 0;
	__builtin_memset(life->device, 0, sizeof(life->device));
	return nought();
}

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
	life = bpf_map_lookup_elem(&lives, &key);
	if (life) {
		if (same_content(&life->content, &content) && !began_again(s, o, life)) {
			s->changed = !same_ends(&life->last.ends, &p->ends);
			if (s->changed && config.follow_nat && s->h.part != HAS_INNER)
				learn(&p->ends, s->now);
			return life;
		}
		bpf_map_delete_elem(&lives, &key);
	}
	asked = asked_for(s->skb, &s->h);
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

/* A record of the size that is wanted. `big` is a constant on each of both ways, so that the verifier knows what belongs together. */
static __noinline int write_record(void *ctx, struct scene *s, const struct occasion *o, struct life *life)
{
	struct sk_buff *skb = s->skb;
	struct event *e;
	u64 big; /* not 32 bits: before 6.8 the verifier forgets what such a number was, once it stands on the stack */

	big = config.stacks & o->stacks;
	if (config.stacks & STACK_RST && o->stacks & STACK_XMIT && (s->h.pair[0].flags & RST || s->h.part == HAS_QUOTED))
		big = 1;
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
	e->time = s->now;
	e->life = life->id;
	e->provoked_by = life->provoked_by;
	e->clone_of = life->clone_of;
	e->skb = (u64)skb;
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
	e->second = s->h.pair[1];
	e->before = life->last;
	e->parts = HAS_PACKET | s->h.part | (s->changed ? HAS_BEFORE : 0) | (s->kept ? KEPT_PLACE : 0);
	bpf_core_read(&e->length, sizeof(e->length), &skb->len);
	bpf_core_read(&e->mark, sizeof(e->mark), &skb->mark);
	read_connection(skb, e);
	if (big) {
		long got = bpf_get_stack(ctx, ((struct event_with_stack *)e)->stack, FRAMES * 8, 0);

		e->frames = got > 0 ? got / 8 : 0;
	}
	count(SENT);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return nought();
}

static __always_inline int look(void *ctx, struct sk_buff *skb, const struct occasion *o, struct scene *s)
{
	struct life *life;
	u64 key = (u64)skb;
	u8 *ip;

	if (!find_headers(skb, &s->at))
		return nought();
	if (o->at_data || s->at.network_header == 0 || s->at.network_header == 0xffff)
		ip = s->at.data;
	else
		ip = s->at.head + s->at.network_header;
	if (!is_ip(s->at.protocol)) {
		if (s->at.protocol != swap16(0x8100) && s->at.protocol != swap16(0x88a8))
			return nought();
		if (o->at_data)
			ip += 4;
	}
	if (!read_headers(ip, &s->h))
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
		bpf_map_delete_elem(&lives, &key);
	else
		life->last = s->h.pair[0];
	return nought();
}

static __noinline int packet_event(void *ctx, struct sk_buff *skb, const struct occasion *o)
{
	u32 *taken = places_taken(), depth;
	struct work *work;

	count(SEEN);
	if (!skb || !taken)
		return nought();
	depth = *taken;
	work = place_at(depth);
	if (!work) {
		count(LOST);
		return nought();
	}
	*taken = depth + 1;
	look(ctx, skb, o, &work->scene);
	*taken = depth;
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

/* The connection of a socket, its local end as source. 0 if it has none. */
static __always_inline int read_socket(struct sock *sk, struct packet *p)
{
	u16 family = 0;

	__builtin_memset(p, 0, sizeof(*p));
	if (bpf_core_read(&family, sizeof(family), &sk->__sk_common.skc_family))
		return 0;
	p->ends.protocol = BPF_CORE_READ(sk, sk_protocol);
	p->ends.source_port = BPF_CORE_READ(sk, __sk_common.skc_num);
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

#endif
