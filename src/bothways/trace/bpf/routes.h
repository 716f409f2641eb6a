/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs for raw tracepoints of route lookups, neighbours and tables of bridges. */
#ifndef BOTHWAYS_ROUTES_H
#define BOTHWAYS_ROUTES_H

#include "probes.h"
#include "report.h"

/* What a lookup of a route was for: the packet that this CPU works on, if the addresses are its. */
static __always_inline int is_for(const struct cause *c, const struct tuple *t, u64 now)
{
	const struct tuple *of = &c->packet.ends;

	if (!c->life || now - c->time > AT_WORK || of->family != t->family)
		return 0;
	return (of->destination[0] == t->destination[0] && of->destination[1] == t->destination[1]) ||
	       (of->source[0] == t->destination[0] && of->source[1] == t->destination[1] && of->destination[0] == t->source[0] &&
		of->destination[1] == t->source[1]);
}

/* What the rest of a route lookup says, in the place of the second packet. */
struct route {
	u64 gateway[2];
	u32 table, iif, oif, mark;
	char device[16];
	s32 error;
	u32 gateway_family;
	u32 type;
	u32 pad;
};

/* Of a flow that is looked up, at once: a call costs more than the octets. What is further behind is read alone. */
#define FLOW 96
#define READ_FIELD(out, block, type, from, field)                                                     \
	do {                                                                                          \
		u32 offset = bpf_core_field_offset(type, field);                                      \
		if (offset + sizeof(out) <= FLOW)                                                     \
			__builtin_memcpy(&(out), (u8 *)(block) + offset, sizeof(out));                \
		else                                                                                  \
			bpf_core_read(&(out), sizeof(out), &(from)->field);                           \
	} while (0)

/* Whether a lookup is told: it is for the packet that this CPU works on, or its addresses are asked for. */
static __noinline int is_route_asked(const struct tuple *t, struct plain *of)
{
	struct cause *c = at_work();

	count(SEEN);
	of->now = bpf_ktime_get_ns();
	if (c && is_for(c, t, of->now)) {
		of->life = c->life;
		of->netns = namespace_of((void *)c->dev);
		return 1;
	}
	return admits(t, 0, 0);
}

static __noinline int route_event(void *ctx, const struct occasion *o, struct plain *of, struct route *r, struct net_device *dev)
{
	if (dev) {
		bpf_core_read(r->device, sizeof(r->device), &dev->name);
		of->netns = namespace_of(dev);
	}
	if (of->netns < NAMESPACE_NUMBERS)
		of->netns = 0;
	plain_event(ctx, o, of);
	return nought();
}

/* (table, flow, next hop, error) */
SEC("raw_tp/fib_table_lookup")
int fib_table_lookup(u64 *ctx)
{
	struct occasion o = { .probe = FIB_LOOKUP, .stacks = STACK_OTHER, .hook = 255 };
	struct flowi4 *flow = (void *)ctx[1];
	struct fib_nh_common *hop = (void *)ctx[2];
	struct net_device *dev = 0;
	struct packet p = {};
	struct route r = {};
	struct plain of = { .packet = &p, .blob = &r, .parts = OF_SOCKET };
	u64 block[FLOW / 8];
	u32 address;
	u16 port;

	if (bpf_probe_read_kernel(block, FLOW, flow))
		return 0;
	p.ends.family = 4;
	READ_FIELD(address, block, struct flowi4, flow, saddr);
	p.ends.source[0] = address;
	READ_FIELD(address, block, struct flowi4, flow, daddr);
	p.ends.destination[0] = address;
	READ_FIELD(p.ends.protocol, block, struct flowi4, flow, __fl_common.flowic_proto);
	if (has_ports(p.ends.protocol)) {
		READ_FIELD(port, block, struct flowi4, flow, uli.ports.sport);
		p.ends.source_port = swap16(port);
		READ_FIELD(port, block, struct flowi4, flow, uli.ports.dport);
		p.ends.destination_port = swap16(port);
	}
	if (!is_route_asked(&p.ends, &of))
		return 0;
	r.table = (u32)ctx[0];
	r.error = (s32)ctx[3];
	READ_FIELD(r.iif, block, struct flowi4, flow, __fl_common.flowic_iif);
	READ_FIELD(r.oif, block, struct flowi4, flow, __fl_common.flowic_oif);
	READ_FIELD(r.mark, block, struct flowi4, flow, __fl_common.flowic_mark);
	if (hop) {
		dev = BPF_CORE_READ(hop, nhc_dev);
		r.gateway_family = BPF_CORE_READ(hop, nhc_gw_family);
		if (r.gateway_family)
			bpf_core_read(r.gateway, 16, &hop->nhc_gw);
	}
	route_event(ctx, &o, &of, &r, dev);
	return 0;
}

/* (namespace, result, table, flow) */
SEC("raw_tp/fib6_table_lookup")
int fib6_table_lookup(u64 *ctx)
{
	struct occasion o = { .probe = FIB6_LOOKUP, .stacks = STACK_OTHER, .hook = 255 };
	struct fib6_result *result = (void *)ctx[1];
	struct fib6_table *table = (void *)ctx[2];
	struct flowi6 *flow = (void *)ctx[3];
	struct fib6_nh *hop;
	struct net_device *dev = 0;
	struct packet p = {};
	struct route r = {};
	struct plain of = { .packet = &p, .blob = &r, .parts = OF_SOCKET };
	u64 block[FLOW / 8];
	u16 port;

	if (bpf_probe_read_kernel(block, FLOW, flow))
		return 0;
	p.ends.family = 6;
	READ_FIELD(p.ends.source, block, struct flowi6, flow, saddr);
	READ_FIELD(p.ends.destination, block, struct flowi6, flow, daddr);
	READ_FIELD(p.ends.protocol, block, struct flowi6, flow, __fl_common.flowic_proto);
	if (has_ports(p.ends.protocol)) {
		READ_FIELD(port, block, struct flowi6, flow, uli.ports.sport);
		p.ends.source_port = swap16(port);
		READ_FIELD(port, block, struct flowi6, flow, uli.ports.dport);
		p.ends.destination_port = swap16(port);
	}
	if (!is_route_asked(&p.ends, &of))
		return 0;
	hop = BPF_CORE_READ(result, nh);
	r.table = BPF_CORE_READ(table, tb6_id);
	r.type = BPF_CORE_READ(result, fib6_type);
	READ_FIELD(r.iif, block, struct flowi6, flow, __fl_common.flowic_iif);
	READ_FIELD(r.oif, block, struct flowi6, flow, __fl_common.flowic_oif);
	READ_FIELD(r.mark, block, struct flowi6, flow, __fl_common.flowic_mark);
	if (hop) {
		dev = BPF_CORE_READ(hop, nh_common.nhc_dev);
		r.gateway_family = BPF_CORE_READ(hop, nh_common.nhc_gw_family);
		if (r.gateway_family)
			bpf_core_read(r.gateway, 16, &hop->nh_common.nhc_gw);
	}
	route_event(ctx, &o, &of, &r, dev);
	return 0;
}

/* What is told of a neighbour. */
struct neighbour_told {
	u64 address[2];
	u8 hardware[8];
	u32 family;
	u32 state;
	u32 new_state;
	u32 error;
	char device[16];
	u32 pad[2];
};

static __noinline int neighbour_event(void *ctx, struct neighbour *n, const struct occasion *o)
{
	struct neighbour_told told = {};
	struct plain of = { .blob = &told };
	struct net_device *dev;
	struct cause *c = at_work();
	int family;

	count(SEEN);
	family = BPF_CORE_READ(n, tbl, family);
	told.family = family == 2 ? 4 : family == 10 ? 6 : 0;
	if (!told.family)
		return nought();
	bpf_core_read(told.address, told.family == 4 ? 4 : 16, &n->primary_key);
	of.now = bpf_ktime_get_ns();
	dev = BPF_CORE_READ(n, dev);
	if (c && c->life && of.now - c->time < AT_WORK)
		of.life = c->life;
	else if (!names_address(told.address))
		return nought();
	told.state = BPF_CORE_READ(n, nud_state);
	told.new_state = o->detail[0];
	bpf_core_read(told.hardware, 8, &n->ha);
	if (dev) {
		of.netns = namespace_of(dev);
		of.ifindex = BPF_CORE_READ(dev, ifindex);
		bpf_core_read(told.device, sizeof(told.device), &dev->name);
		of.device = told.device;
	}
	plain_event(ctx, o, &of);
	return nought();
}

/* (neighbour, hardware address, new state, flags, process) */
SEC("raw_tp/neigh_update")
int neigh_update(u64 *ctx)
{
	struct occasion o = { .probe = NEIGH_UPDATE, .stacks = STACK_OTHER, .hook = 255 };

	o.detail[0] = (u8)ctx[2];
	return neighbour_event(ctx, (void *)ctx[0], &o);
}

/* (neighbour, 1 if the packet waits for the address): neigh_event_send has looked at it. */
SEC("raw_tp/neigh_event_send_done")
int neigh_event_send_done(u64 *ctx)
{
	struct occasion o = { .probe = NEIGH_EVENT_SEND_DONE, .stacks = STACK_OTHER, .hook = 255 };

	o.detail[1] = (u32)ctx[1];
	return neighbour_event(ctx, (void *)ctx[0], &o);
}

/* (bridge, port, address, VLAN, flags): a bridge learns where a sender is, from the packet at work. */
SEC("raw_tp/br_fdb_update")
int br_fdb_update(u64 *ctx)
{
	struct occasion o = { .probe = BR_FDB_UPDATE, .stacks = STACK_OTHER, .hook = 255 };
	struct net_bridge_port *port = (void *)ctx[1];
	struct net_device *dev = BPF_CORE_READ(port, dev);
	struct plain of = {};
	struct packet p;
	struct cause *c = at_work();
	char device[16];

	count(SEEN);
	of.now = bpf_ktime_get_ns();
	if (!c || !c->life || c->dev != (u64)dev || of.now - c->time > AT_WORK)
		return 0;
	p = c->packet;
	of.packet = &p;
	of.life = c->life;
	of.netns = namespace_of(dev);
	of.ifindex = BPF_CORE_READ(dev, ifindex);
	bpf_core_read(device, sizeof(device), &dev->name);
	of.device = device;
	bpf_probe_read_kernel(o.detail, 6, (void *)ctx[2]);
	o.detail[2] = (u16)ctx[3];
	return plain_event(ctx, &o, &of);
}

#endif
