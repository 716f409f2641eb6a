/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Headers of a packet: IPv4 with options, IPv6 with extension headers, TCP, UDP, SCTP, DCCP, ICMP and what its errors quote,
 * the packet within VXLAN, Geneve, GRE and IP-in-IP. Everything is read with one helper call where the header is a plain one. */
#ifndef BOTHWAYS_PACKET_H
#define BOTHWAYS_PACKET_H

#include "event.h"

#ifndef CONFIG
#define CONFIG {}
#endif
const volatile struct config config = CONFIG;

#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)

enum protocol {
	ICMP = 1, IPIP = 4, TCP = 6, UDP = 17, DCCP = 33, SIT = 41, ROUTING = 43, FRAGMENT = 44, GRE = 47, AUTH = 51, ICMPV6 = 58,
	NO_NEXT = 59, OPTIONS = 60, SCTP = 132, MOBILITY = 135, UDPLITE = 136,
};

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* Programs return 0. A constant would be taken out of a function that is not inlined, which then returns what happens to be there. */
static __always_inline int nought(void)
{
	int value = 0;

	asm volatile("" : "+r"(value));
	return value;
}

/* What an sk_buff says of itself. */
struct place {
	u8 *head;
	u8 *data;
	u64 nfct;           /* address of the tracker's entry, and the packet's relation to it in the low three bits; 0: none */
	u32 len;
	u32 mark;
	u16 protocol;       /* wire order */
	u16 network_header;
};

#define BLOCK 112
#define offset_of(field) bpf_core_field_offset(struct sk_buff, field)
#define within(field, size) (offset_of(field) >= first && offset_of(field) + size <= first + BLOCK)

/* These fields are neighbours in every kernel so far, so they are read at once: a call costs more than the octets. `block` is room. */
static __always_inline int read_place(struct sk_buff *skb, struct place *at, u64 *block)
{
	/* From a multiple of 8 on, as before Linux 6.18 the stack is read at natural boundaries only. */
	u32 first = (bpf_core_field_exists(skb->_nfct) ? offset_of(_nfct) : offset_of(len)) & ~7U;
	u8 *octets = (u8 *)block;

	if (within(len, 4) && within(mark, 4) && within(protocol, 2) && within(network_header, 2) && within(head, 8) && within(data, 8)) {
		if (bpf_probe_read_kernel(octets, BLOCK, (u8 *)skb + first))
			return 0;
		at->nfct = bpf_core_field_exists(skb->_nfct) ? *(u64 *)octets : 0;
		at->len = *(u32 *)(octets + (offset_of(len) - first));
		at->mark = *(u32 *)(octets + (offset_of(mark) - first));
		at->protocol = *(u16 *)(octets + (offset_of(protocol) - first));
		at->network_header = *(u16 *)(octets + (offset_of(network_header) - first));
		at->head = *(u8 **)(octets + (offset_of(head) - first));
		at->data = *(u8 **)(octets + (offset_of(data) - first));
		return 1;
	}
	at->nfct = 0;
	if (bpf_core_field_exists(skb->_nfct))
		at->nfct = BPF_CORE_READ(skb, _nfct);
	at->len = BPF_CORE_READ(skb, len);
	at->mark = BPF_CORE_READ(skb, mark);
	at->protocol = BPF_CORE_READ(skb, protocol);
	at->network_header = BPF_CORE_READ(skb, network_header);
	at->head = BPF_CORE_READ(skb, head);
	at->data = BPF_CORE_READ(skb, data);
	return at->head != 0;
}

static __always_inline int is_ip(u16 protocol)
{
	return protocol == swap16(0x0800) || protocol == swap16(0x86dd);
}

/* Where the IP header is: `at_data` says that the packet comes fresh from a device, and its data begin with it. 0: it is no IP packet. */
static __always_inline u8 *find_header(const struct place *at, u32 at_data)
{
	u8 *ip = at->head + at->network_header;

	if (at_data || at->network_header == 0 || at->network_header == 0xffff)
		ip = at->data;
	if (is_ip(at->protocol))
		return ip;
	if (at->protocol != swap16(0x8100) && at->protocol != swap16(0x88a8))
		return 0;
	return at_data ? ip + 4 : ip;
}

static __always_inline int is_echo(u8 protocol, u8 type)
{
	return protocol == ICMP ? type == 8 || type == 0 : protocol == ICMPV6 && (type & 0xfe) == 128;
}

static __always_inline int is_error(u8 protocol, u8 type)
{
	if (protocol == ICMP)
		return type < 13 && 1 << type & (1 << 3 | 1 << 4 | 1 << 5 | 1 << 11 | 1 << 12);
	return protocol == ICMPV6 && type >= 1 && type <= 4;
}

/* The transport header: its first 20 octets, as five words. */
static __always_inline void read_transport(const u32 *t, struct packet *p)
{
	u16 length = p->length - p->transport;
	u8 protocol = p->ends.protocol;

	if (protocol == TCP) {
		u32 word = swap32(t[3]);

		p->ends.source_port = swap16((u16)t[0]);
		p->ends.destination_port = swap16((u16)(t[0] >> 16));
		p->seq = swap32(t[1]);
		p->ack = swap32(t[2]);
		p->flags = word >> 16;
		p->window = word;
		p->payload = length - ((word >> 28) << 2);
	} else if (protocol == UDP || protocol == UDPLITE || protocol == SCTP || protocol == DCCP) {
		p->ends.source_port = swap16((u16)t[0]);
		p->ends.destination_port = swap16((u16)(t[0] >> 16));
		p->seq = t[2];
		p->ack = t[3];
		p->payload = length - 8;
	} else if (protocol == ICMP || protocol == ICMPV6) {
		p->icmp_type = t[0];
		p->icmp_code = t[0] >> 8;
		p->seq = t[1];
		p->ack = t[2];
		p->payload = length - 8;
		if (is_echo(protocol, p->icmp_type)) {
			p->ends.source_port = p->ends.destination_port = swap16((u16)t[1]);
			p->seq &= 0xffff0000; /* translation may change the identifier */
		}
	}
}

/* An extension header of IPv6 that is walked over. */
static __always_inline int is_extension(u8 next)
{
	return (next < 64 && (1ULL << OPTIONS | 1ULL << AUTH | 1ULL << FRAGMENT | 1ULL << ROUTING | 1ULL) >> next & 1) || next == MOBILITY;
}

/* Over the extension headers of IPv6 behind the one at `at`, of which `next` is the first. 0 if they cannot be read; else, from the
 * lowest bit on, octets to what follows (16), its protocol (8), fragment as in struct packet (16), identification (16).
 * A function of its own that takes numbers only: the verifier looks at it once, and not at every way to it. */
__noinline u64 walk_extensions(u64 at, u32 next)
{
	u32 header = 40, fragment = 0, ip_id = 0;

	next &= 0xff;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 6; i++) {
		u32 e[2], is_fragment = next == FRAGMENT, length, offset;

		if (!is_extension(next) || fragment & 0x1fff)
			break;
		if (bpf_probe_read_kernel(e, 8, (u8 *)at + header))
			return 0;
		offset = swap16((u16)(e[0] >> 16));
		fragment |= ((offset >> 3) | (offset & 1) << 13) & -is_fragment;
		ip_id |= swap32(e[1]) & -is_fragment;
		length = (e[0] >> 8 & 0xff) & (is_fragment - 1);
		header += next == AUTH ? (length + 2) << 2 : (length + 1) << 3;
		next = e[0] & 0xff;
	}
	return header | (u64)next << 16 | (u64)(u16)fragment << 24 | (u64)(u16)ip_id << 40;
}

#define FIRST 60 /* octets that are read of a packet: IPv6 and TCP */

/* An IP packet at `at`, whose first octets are in `w`. 0 if there is none. All of p is written. */
static __always_inline int read_packet(const u8 *at, u32 *w, struct packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	if ((w[0] & 0xf0) == 0x40) {
		u32 header = (w[0] & 15) << 2;

		if (header < 20)
			return 0;
		p->ends.family = 4;
		p->ends.protocol = w[2] >> 8;
		p->ends.source[0] = w[3];
		p->ends.destination[0] = w[4];
		p->length = swap16((u16)(w[0] >> 16));
		p->ip_id = swap16((u16)w[1]);
		p->fragment = swap16((u16)(w[1] >> 16));
		p->ttl = w[2];
		p->transport = header;
		if (header != 20 && bpf_probe_read_kernel(w + 5, 20, at + header))
			return 0;
		if (!(p->fragment & 0x1fff))
			read_transport(w + 5, p);
		return 1;
	}
	if ((w[0] & 0xf0) == 0x60) {
		p->ends.family = 6;
		__builtin_memcpy(p->ends.source, w + 2, 16);
		__builtin_memcpy(p->ends.destination, w + 6, 16);
		p->length = swap16((u16)w[1]) + 40;
		p->ttl = w[1] >> 24;
		p->ends.protocol = w[1] >> 16;
		p->transport = 40;
		if (is_extension(p->ends.protocol)) {
			u64 walked = walk_extensions((u64)at, p->ends.protocol);

			p->transport = walked;
			p->ends.protocol = walked >> 16;
			p->fragment = walked >> 24;
			p->ip_id = walked >> 40;
			if (!walked || bpf_probe_read_kernel(w + 10, 20, at + p->transport))
				return 0;
		}
		if (!(p->fragment & 0x1fff))
			read_transport(w + 10, p);
		return 1;
	}
	return 0;
}

/* Where the IP header is in an Ethernet frame at `at`, a VLAN tag admitted; 0 if there is none. */
static __always_inline const u8 *in_frame(const u8 *at)
{
	u16 type[3];

	if (bpf_probe_read_kernel(type, 6, at + 12))
		return 0;
	if (is_ip(type[0]))
		return at + 14;
	if ((type[0] == swap16(0x8100) || type[0] == swap16(0x88a8)) && is_ip(type[2]))
		return at + 18;
	return 0;
}

static __always_inline int is_tunnel_port(u16 port)
{
	return port && (port == config.tunnel_ports[0] || port == config.tunnel_ports[1] || port == config.tunnel_ports[2] ||
			port == config.tunnel_ports[3]);
}

/* Where the packet within p begins (HAS_INNER: a tunnel's, HAS_QUOTED: of an ICMP error), p standing at `at`; 0 if there is none. */
static __always_inline const u8 *find_second(const u8 *at, const struct packet *p, u32 *part, u32 *vni)
{
	const u8 *behind = at + p->transport;
	u8 protocol = p->ends.protocol;
	u32 h[2];

	if (protocol == TCP || p->fragment & 0x1fff)
		return 0;
	if (is_error(protocol, p->icmp_type)) {
		*part = HAS_QUOTED;
		return behind + 8;
	}
	*part = HAS_INNER;
	if (protocol == UDP) {
		if (!is_tunnel_port(p->ends.destination_port) || bpf_probe_read_kernel(h, 8, behind + 8))
			return 0;
		/* VXLAN: flag I of the first octet, 24 bits of VNI in the second word. Geneve: version 0, length of options, 0x6558. */
		*vni = swap32(h[1]) >> 8;
		if ((h[0] & 0xc0) == 0 && (h[0] >> 16) == swap16(0x6558))
			return in_frame(behind + 16 + ((h[0] & 0x3f) << 2));
		return h[0] & 8 ? in_frame(behind + 16) : 0;
	}
	if (protocol == IPIP || protocol == SIT)
		return behind;
	if (protocol == GRE) {
		u32 header = 4;

		if (bpf_probe_read_kernel(h, 4, behind))
			return 0;
		header += (h[0] & 0x80 ? 4 : 0) + (h[0] & 0x20 ? 4 : 0) + (h[0] & 0x10 ? 4 : 0);
		if (is_ip(h[0] >> 16))
			return behind + header;
		if ((h[0] >> 16) == swap16(0x6558))
			return in_frame(behind + header);
	}
	return 0;
}

/* A packet, and what it carries. */
struct headers {
	struct packet pair[2];
	u32 part;   /* HAS_INNER or HAS_QUOTED: pair[1] is there, and what it is */
	u32 vni;
};

/* The packet at `at`, whose first octets are in `w`, and the one within it if there is one. 0 if there is no IP header.
 * `h` stands in a map and not on the stack: so the verifier does not know what is in it, and follows one way instead of fifty. */
static __noinline int read_headers(const u8 *at, u32 *w, struct headers *h)
{
	u32 i = 0;

	h->part = 0;
	h->vni = 0;
#pragma clang loop unroll(disable)
	do {
		struct packet *p = &h->pair[i & 1];
		u32 part = 0, vni = 0;

		if (!read_packet(at, w, p)) {
			h->part = 0;
			return i;
		}
		if (i)
			return 1;
		at = find_second(at, p, &part, &vni);
		if (!at || bpf_probe_read_kernel(w, FIRST, at))
			return 1;
		h->part = part;
		h->vni = vni;
		i++;
		/* A loop goes round by a jump with a condition: kernels before 6.3 take no other. */
		asm volatile("" : "+r"(i));
	} while (i < 2);
	return 1;
}

#endif
