/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The filter: up to eight terms, one of which must hold; namespaces; devices. */
#ifndef BOTHWAYS_FILTER_H
#define BOTHWAYS_FILTER_H

#include "packet.h"

/* 0 if an address (two words) is the wanted one under its mask. */
static __always_inline u64 differs(u64 a0, u64 a1, const volatile u64 *wanted, const volatile u64 *mask)
{
	return ((a0 ^ wanted[0]) & mask[0]) | ((a1 ^ wanted[1]) & mask[1]);
}

/* Not 0 if neither is 0. */
static __always_inline u64 both(u64 a, u64 b)
{
	return ((a | -a) & (b | -b)) >> 63;
}

/* 1 if a port is not within lowest … lowest + span. */
static __always_inline u64 outside(u64 port, u64 lowest, u64 span)
{
	u64 above = span - ((port - lowest) & 0xffff);

	asm volatile("" : "+r"(above)); /* or the compiler makes a branch of it */
	return above >> 63;
}

static __always_inline int has_ports(u8 protocol)
{
	return protocol == TCP || protocol == UDP || protocol == UDPLITE || protocol == SCTP || protocol == DCCP;
}

/* Let what was computed so far be done with: else all is loaded first, onto a stack that is short. */
#define SETTLE(value) asm volatile("" : "+r"(value) : : "memory")

/* Whether a term holds. A function of its own that takes numbers only: the verifier looks at it once, and not at every way to it.
 * `rest`: ports of source and destination, protocol, family, flags of TCP, from the lowest bit on. */
__noinline int term_holds(u64 s0, u64 s1, u64 d0, u64 d1, u64 rest)
{
	u64 sp = rest & 0xffff, dp = rest >> 16 & 0xffff;
	u32 what = rest >> 32 & 0xffffff;

	what |= (u32)has_ports(what) << 24;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < TERMS; i++) {
		const volatile struct term *term = &config.terms[i];
		u64 bad;

		if (i >= config.n_terms)
			break;
		bad = (what & term->what_mask) ^ term->what;
		bad |= differs(s0, s1, term->source, term->source_mask);
		SETTLE(bad);
		bad |= differs(d0, d1, term->destination, term->destination_mask);
		SETTLE(bad);
		bad |= both(differs(s0, s1, term->host[0], term->host_mask[0]), differs(d0, d1, term->host[0], term->host_mask[0]));
		SETTLE(bad);
		bad |= both(differs(s0, s1, term->host[1], term->host_mask[1]), differs(d0, d1, term->host[1], term->host_mask[1]));
		SETTLE(bad);
		bad |= outside(sp, term->source_port, term->source_span);
		SETTLE(bad);
		bad |= outside(dp, term->destination_port, term->destination_span);
		SETTLE(bad);
		bad |= outside(sp, term->port[0], term->port_span[0]) & outside(dp, term->port[0], term->port_span[0]);
		SETTLE(bad);
		bad |= outside(sp, term->port[1], term->port_span[1]) & outside(dp, term->port[1], term->port_span[1]);
		SETTLE(bad);
		if (!bad)
			return 1;
	}
	return 0;
}

/* The tuple as it stands, or its answer, is asked for. */
static __always_inline int admits(const struct tuple *t, int turned, u8 flags)
{
	u64 rest = (u64)flags << 48 | (u64)t->family << 40 | (u64)t->protocol << 32;

	if (!config.n_terms)
		return 1;
	if (turned)
		return term_holds(t->destination[0], t->destination[1], t->source[0], t->source[1],
				  rest | (u32)t->source_port << 16 | t->destination_port);
	return term_holds(t->source[0], t->source[1], t->destination[0], t->destination[1],
			  rest | (u32)t->destination_port << 16 | t->source_port);
}

static __always_inline void reverse(const struct tuple *t, struct tuple *out)
{
	out->source[0] = t->destination[0];
	out->source[1] = t->destination[1];
	out->destination[0] = t->source[0];
	out->destination[1] = t->source[1];
	out->source_port = t->destination_port;
	out->destination_port = t->source_port;
	out->protocol = t->protocol;
	out->family = t->family;
	out->pad = 0;
}

/* Not 0 if a term's side asks for another address, or for none. */
static __always_inline u64 names_other(u64 a0, u64 a1, const volatile u64 *wanted, const volatile u64 *mask)
{
	return differs(a0, a1, wanted, mask) | !(mask[0] | mask[1]);
}

/* Some term asks for this very address, or there is no term: neighbours have no more than that. */
static __always_inline int names_address(const u64 *address)
{
	u64 a0 = address[0], a1 = address[1];

	if (!config.n_terms)
		return 1;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < TERMS; i++) {
		const volatile struct term *term = &config.terms[i];
		u64 bad;

		/* One pointer: else the compiler keeps one for each member, on a stack that is short. */
		asm volatile("" : "+r"(term));

		if (i >= config.n_terms)
			break;
		bad = both(names_other(a0, a1, term->source, term->source_mask),
			   names_other(a0, a1, term->destination, term->destination_mask));
		bad = both(bad, both(names_other(a0, a1, term->host[0], term->host_mask[0]),
				     names_other(a0, a1, term->host[1], term->host_mask[1])));
		if (!bad)
			return 1;
	}
	return 0;
}

static __always_inline int wanted_namespace(u32 netns)
{
	if (!config.n_netns)
		return 1;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < NAMESPACES; i++) {
		if (i >= config.n_netns)
			break;
		if (config.netns[i] == netns)
			return 1;
	}
	return 0;
}

/* By what stands before the first star or question mark; Python asks the rest of a glob. */
static __always_inline int wanted_device(const char *name)
{
	u64 n0 = *(const u64 *)name, n1 = *(const u64 *)(name + 8);

	if (!config.n_globs)
		return 1;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < GLOBS; i++) {
		if (i >= config.n_globs)
			break;
		if (!differs(n0, n1, config.globs[i].prefix, config.globs[i].mask))
			return 1;
	}
	return 0;
}

#endif
