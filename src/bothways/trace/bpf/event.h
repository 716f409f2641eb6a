/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What crosses between the kernel part and Python: one record per event, one configuration. trace/probe/record.py and
 * trace/probe/config.py hold the same layout; a test compares the sizes and offsets with the object's BTF. */
#ifndef BOTHWAYS_EVENT_H
#define BOTHWAYS_EVENT_H

#include "kernel.h"

#define FRAMES 32   /* deepest stack that is kept */
#define TERMS 8     /* of the filter, joined by or */
#define NAMESPACES 8
#define GLOBS 8
#define TUNNEL_PORTS 4

/* Two ends. Addresses as they stand on the wire: IPv6 in both words, IPv4 in the low half of the first one. Ports are in the host's
 * order; of ICMP echoes both are the identifier, as conntrack has it. A key of maps: all octets count, pad is 0. */
struct tuple {
	u64 source[2];
	u64 destination[2];
	u16 source_port;
	u16 destination_port;
	u8 protocol;
	u8 family;        /* 4, 6 */
	u16 pad;
};

/* An IP header and what is known of the next one. Numbers are in the host's order; what a protocol does not have is 0. */
struct packet {
	struct tuple ends;
	u32 seq;          /* TCP; for others the first four octets that tell one datagram from the next */
	u32 ack;          /* TCP; for others the next four */
	u16 ip_id;        /* IPv6: of the fragment header, its low half */
	u16 window;
	u16 length;       /* of the whole IP packet, as its header says */
	u16 payload;      /* behind the transport header */
	u16 fragment;     /* offset in units of eight octets, 0x2000: more fragments, 0x4000: do not fragment */
	u16 transport;    /* octets from the IP header to the transport header */
	u8 flags;         /* TCP */
	u8 ttl;
	u8 icmp_type;
	u8 icmp_code;
};

struct conntrack {
	struct tuple original;
	struct tuple reply;
	u64 entry;        /* address of the nf_conn, a name for it only */
	u32 status;
	u32 mark;
	u16 zone;
	u8 info;          /* enum ip_conntrack_info */
	u8 state;         /* enum tcp_conntrack; 255: not TCP */
	u8 state_before;  /* the same, as the function was entered; 255: not known */
	u8 pad[3];
};

enum part {
	HAS_PACKET = 1,
	HAS_INNER = 2,      /* `second` is the packet within a tunnel */
	HAS_QUOTED = 4,     /* `second` is what an ICMP error quotes */
	HAS_BEFORE = 8,
	HAS_CONNTRACK = 16,
	OF_SOCKET = 32,     /* `packet` is the connection of a socket, source is the local end */
	HAS_BLOB = 64,      /* `second` holds what the probe's row in probes.py says */
	KEPT_PLACE = 128,   /* namespace and device are those of the packet's last event */
};

struct event {
	u64 time;           /* CLOCK_MONOTONIC */
	u64 life;           /* of the packet: one number from its first event to its release */
	u64 provoked_by;    /* life of the packet that this one answers (RST, ICMP error) */
	u64 clone_of;
	u64 skb;
	u64 location;       /* of code: where it was dropped */
	u32 netns;
	u32 ifindex;
	u32 length;
	u32 mark;
	u32 reason;
	u32 vni;
	u16 probe;          /* number in probes.py */
	u16 cpu;
	u8 parts;
	u8 frames;
	u8 hook;            /* 255: none */
	u8 pf;
	s32 verdict;
	u32 detail[3];
	char device[16];
	char task[16];
	struct packet packet;
	struct conntrack conntrack;   /* from here on only where `parts` say that it is there */
	struct packet second;
	struct packet before;
};

struct event_with_stack {
	struct event event;
	u64 stack[FRAMES];
};

/* One term: everything in it must hold. A mask of zeroes admits every address, a span of 65535 every port. */
struct term {
	u64 source[2], source_mask[2];
	u64 destination[2], destination_mask[2];
	u64 host[2][2], host_mask[2][2];     /* two hosts, each to be found on either side */
	u16 source_port, source_span;        /* lowest, and how many above it */
	u16 destination_port, destination_span;
	u16 port[2], port_span[2];
	u32 what, what_mask;                 /* bits 0-7 protocol, 8-15 family, 16-23 flags of TCP, 24 has ports */
};

/* What a device's name begins with. */
struct glob {
	u64 prefix[2], mask[2];
};

enum stacks {
	STACK_DROP = 1,
	STACK_RST = 2,      /* RST and ICMP errors: the event that says so, and their transmission */
	STACK_XMIT = 4,
	STACK_OTHER = 8,
};

struct config {
	struct term terms[TERMS];
	struct glob globs[GLOBS];
	u32 netns[NAMESPACES];
	u16 tunnel_ports[TUNNEL_PORTS];
	u8 n_terms;
	u8 n_globs;
	u8 n_netns;
	u8 stacks;          /* enum stacks */
	u8 follow_nat;
	u8 learn;           /* translated tuples may be learned: no term asks for flags of TCP */
	u8 learn_reverse;   /* … and in the other direction too: no term asks for a direction */
	u8 quiet_releases;  /* packets that end well are not reported, only forgotten */
	u64 quiet[2];       /* bits, by number of probe: only keeps identity, reports nothing */
	u32 register_offset[8]; /* kprobes: where six arguments and the returned value stand in struct pt_regs */
};

#endif
