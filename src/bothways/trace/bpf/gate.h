/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What nobody asked for leaves here, and on a busy host that is nearly everything: two or three reads, and no lookup in a hash map. */
#ifndef BOTHWAYS_GATE_H
#define BOTHWAYS_GATE_H

#include "scene.h"

/* A packet under a name of its connection that was translated, or under one that was learned. */
static __always_inline int has_other_name(u64 nfct, const struct tuple *t)
{
	unsigned long status = 0;
	struct nf_conn *ct = (void *)(nfct & ~7UL);
	u32 zero = 0;
	u64 *any;

	if (bpf_core_type_exists(struct nf_conn) && ct)
		if (bpf_core_read(&status, sizeof(status), &ct->status) || status & NAT_DONE)
			return 1;
	any = bpf_map_lookup_elem(&learning, &zero);
	return any && *any && bpf_map_lookup_elem(&learned, t);
}

enum { NOT_ASKED, PERHAPS, ASKED };

/* NOT_ASKED: surely nobody asked for a packet; PERHAPS: it is looked at properly then. Plain TCP, UDP and ICMP are decided; what may carry or
 * quote another packet, or answer one, is not. */
static __noinline int may_concern(struct sk_buff *skb, u32 at_data, struct scene *s)
{
	u32 flags, echo; /* as if it was TCP, and as if it was an echo of ICMP */
	u32 *w = s->first;
	struct tuple t;

	if (!read_place(skb, &s->at, s->block))
		return NOT_ASKED;
	s->ip = find_header(&s->at, at_data);
	if (!s->ip || bpf_probe_read_kernel(w, FIRST, s->ip))
		return NOT_ASKED;
	if (!config.n_terms)
		return ASKED;
	if (place_of((u64)skb))
		return PERHAPS;
	t.source[1] = t.destination[1] = 0;
	t.pad = 0;
	if ((w[0] & 0xff) == 0x45 && !(w[1] & swap32(0x3fff))) {
		t.family = 4;
		t.protocol = w[2] >> 8;
		t.source[0] = w[3];
		t.destination[0] = w[4];
		t.source_port = swap16((u16)w[5]);
		t.destination_port = swap16((u16)(w[5] >> 16));
		echo = swap16((u16)w[6]);
		flags = w[8] >> 8 & 0xff;
	} else if ((w[0] & 0xf0) == 0x60) {
		t.family = 6;
		t.protocol = w[1] >> 16;
		t.source[0] = *(u64 *)(w + 2);
		t.source[1] = *(u64 *)(w + 4);
		t.destination[0] = *(u64 *)(w + 6);
		t.destination[1] = *(u64 *)(w + 8);
		t.source_port = swap16((u16)w[10]);
		t.destination_port = swap16((u16)(w[10] >> 16));
		echo = swap16((u16)w[11]);
		flags = w[13] >> 8 & 0xff;
	} else {
		return (w[0] & 0xf0) == 0x40 ? PERHAPS : NOT_ASKED;
	}
	if (t.protocol == ICMP || t.protocol == ICMPV6) {
		u32 type = swap16(t.source_port) & 0xff;

		if (is_error(t.protocol, type))
			return PERHAPS;
		t.source_port = t.destination_port = is_echo(t.protocol, type) ? echo : 0;
		flags = 0;
	} else if (t.protocol == UDP) {
		if (is_tunnel_port(t.destination_port))
			return PERHAPS;
		flags = 0;
	} else if (t.protocol != TCP || flags & RST) {
		return PERHAPS;
	}
	if (admits(&t, 0, flags))
		return ASKED;
	return config.follow_nat && has_other_name(s->at.nfct, &t) ? PERHAPS : NOT_ASKED;
}

#endif
