/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is known of a packet at a probe, where the packet is, and room for both. */
#ifndef BOTHWAYS_SCENE_H
#define BOTHWAYS_SCENE_H

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
	u8 asked;     /* what the gate said of it */
	u8 kept;      /* namespace and device are those of the last event */
	u8 changed;   /* the packet's ends are not those of the last event */
	const u8 *ip;
	u64 block[BLOCK / 8];
	u32 first[(FIRST + 7) / 8 * 2];
	struct headers h;
};

#define DEEPEST 16

struct work {
	u64 busy;
	u64 ctx;      /* of the program that took it */
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

/* A place that nobody on this CPU uses. Interrupts come in between, and on kernels that are preemptible in full another task may: so whose
 * place it is is settled by who alone has added to it (the value of an addition itself is told from Linux 5.12 on only). */
static __always_inline struct work *take_work(void *ctx)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < DEEPEST; i++) {
		u32 key = i;
		struct work *work = bpf_map_lookup_elem(&works, &key);

		if (!work)
			break;
		if (work->busy)
			continue;
		__sync_fetch_and_add(&work->busy, 1);
		if (*(volatile u64 *)&work->busy == 1) {
			work->ctx = (u64)ctx;
			return work;
		}
		__sync_fetch_and_add(&work->busy, -1);
	}
	count(LOST);
	return 0;
}

/* The place that a program took which went over into this one. */
static __always_inline struct work *taken_work(void *ctx)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < DEEPEST; i++) {
		u32 key = i;
		struct work *work = bpf_map_lookup_elem(&works, &key);

		if (!work)
			break;
		if (work->busy && work->ctx == (u64)ctx)
			return work;
	}
	return 0;
}

static __always_inline void give_back(struct work *work)
{
	work->ctx = 0;
	__sync_fetch_and_add(&work->busy, -1);
}

static __always_inline u32 namespace_of(struct net_device *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, ns.inum);
}

static __always_inline u32 namespace_of_socket(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

#define device_offset(field) bpf_core_field_offset(struct net_device, field)
#define in_device(field, size) (device_offset(field) >= first && device_offset(field) + size <= first + BLOCK)

/* The device's namespace, number and name, with one read less for each that is near the first. 0 if it is none. `block` is room. */
static __always_inline int read_device(struct net_device *dev, struct life *life, u64 *block)
{
	u32 first = device_offset(ifindex) & ~7U, netns;
	u8 *octets = (u8 *)block;

	if (in_device(nd_net, 8) && in_device(name, 16)) {
		struct net *net;

		if (bpf_probe_read_kernel(octets, BLOCK, (u8 *)dev + first))
			return 0;
		net = *(struct net **)(octets + (device_offset(nd_net.net) - first));
		netns = BPF_CORE_READ(net, ns.inum);
		if (netns < NAMESPACE_NUMBERS)
			return 0;
		life->ifindex = *(u32 *)(octets + (device_offset(ifindex) - first));
		__builtin_memcpy(life->device, octets + (device_offset(name) - first), sizeof(life->device));
	} else {
		netns = namespace_of(dev);
		if (netns < NAMESPACE_NUMBERS)
			return 0;
		bpf_core_read(&life->ifindex, sizeof(life->ifindex), &dev->ifindex);
		bpf_core_read(life->device, sizeof(life->device), &dev->name);
	}
	life->netns = netns;
	life->dev = (u64)dev;
	return 1;
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
	if (dev && read_device(dev, life, s->block))
		return nought();
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

#endif
