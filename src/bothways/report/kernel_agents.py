"""
Whose decision a drop, a RST or an ICMP error was, in words: from the kernel's reason, or from a call stack.

Reasons are those of ``include/net/dropreason-core.h``; what each stands for is restated from there and from
the functions that give it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bothways.facts.kernel_account import Deed, DeedKind
from bothways.facts.kernel_event import function_name

__all__ = ["agent_of"]

_NO_NEIGHBOUR: Final = "nobody answers for the next hop's address (ARP, neighbour discovery)"
_ROUTING: Final = "by routing: no route, or one that refuses"
_XDP: Final = "by an XDP program of the device"
_CLASSIFIER: Final = "by a filter of tc"
_QUEUE: Final = (
    "by a queueing discipline: its queue is full, or it shapes, or the device does not take packets"
)
_TABLES: Final = "by a rule or a policy of"
_WRITER: Final = "by a process that writes packets itself: a switch in user space, or a tool"

#: Functions of a stack that name whose decision it was; the innermost counts.
_BY_FUNCTION: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (f"nft_reject_{family}_eval" for family in ("ipv4", "ipv6", "inet", "bridge", "netdev")),
        "by a reject rule of nftables",
    ),
    "reject_tg": "by a REJECT rule of iptables",
    "reject_tg6": "by a REJECT rule of ip6tables",
    "nft_do_chain": f"{_TABLES} nftables, which iptables-nft writes too",
    "ipt_do_table": f"{_TABLES} iptables",
    "ip6t_do_table": f"{_TABLES} ip6tables",
    "ebt_do_table": f"{_TABLES} ebtables",
    "ip_error": _ROUTING,
    "ip6_pkt_discard": _ROUTING,
    "ip6_pkt_prohibit": "by routing: a route that refuses",
    **dict.fromkeys(("arp_error_report", "ndisc_error_report"), _NO_NEIGHBOUR),
    **dict.fromkeys(("do_xdp_generic", "veth_xdp_rcv_skb", "veth_xdp_rcv_one", "tun_xdp_one"), _XDP),
    **dict.fromkeys(("tcf_classify", "tc_run", "tcf_action_exec"), _CLASSIFIER),
    "noop_enqueue": "by the device's queue, which takes nothing: the device is down, or has no carrier",
    **dict.fromkeys(("packet_sendmsg", "packet_snd", "tpacket_snd", "raw_sendmsg", "rawv6_sendmsg"), _WRITER),
}
_REFUSED_BY_PORT: Final = (
    "by the bridge: a port does not take it (its state, its VLANs), or it may not be sent on (isolated ports)"
)
_TOO_LONG_FOR_PORT: Final = "by the bridge: it is too long for the port (MTU)"
#: Functions that free what they decide themselves, where the kernel gives no reason of its own.
_BY_FREER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("br_handle_frame_finish", "br_forward", "__br_forward"), _REFUSED_BY_PORT),
    **dict.fromkeys(("br_dev_queue_push_xmit", "br_nf_dev_queue_xmit"), _TOO_LONG_FOR_PORT),
    "br_flood": "by the bridge: there is no other port to send it to",
}
#: Of a RST that a socket sent by itself.
_BY_CLOSE: Final[Mapping[str, str]] = {
    "__tcp_close": "by the application: it closed its socket with data unread",
    "tcp_disconnect": "by the application: it took its socket off the connection",
    "tcp_abort": "by somebody who ended the socket from outside (ss -K)",
    "tcp_keepalive_timer": "by the keepalive of the socket: the other end did not answer",
    "tcp_write_timeout": "by the socket, which gave up sending again",
}
_NOT_ACCEPTED: Final = "by the application: it closed its listener, and had not accepted the connection"
_LINGER: Final = "by the application: it closed its socket and asked for a RST (SO_LINGER with a time of 0)"
_ENDED: Final = "by the kernel, which closed what the process had open when it ended"
_KILLED: Final = "by the kernel, which closed what the process had open when a signal killed it"
#: Of a RST: ``include/net/rstreason.h``. What says no more than its name is left out.
_BY_RST_REASON: Final[Mapping[str, str]] = {
    "NO_SOCKET": "nobody listens there, and the stack knows no such connection",
    "TCP_TIMEWAIT_SOCKET": "the connection is closed there already (TIME-WAIT), the segment came late",
    "TCP_ABORT_ON_DATA": "the application has closed its socket, and data still came",
    "TCP_ABORT_ON_CLOSE": "by the application: it closed its socket with data unread",
    "TCP_ABORT_ON_LINGER": "the application has closed its socket, and no FIN of the other end is waited for",
    "TCP_ABORT_ON_MEMORY": "memory for closed sockets is used up (net.ipv4.tcp_max_orphans, tcp_mem)",
    "TCP_KEEPALIVE_TIMEOUT": "by the keepalive of the socket: the other end did not answer",
    "TCP_DISCONNECT_WITH_DATA": "by the application: it took its socket off the connection, with data unsent",
    "INVALID_SYN": "a SYN came in the middle of a connection",
    "TCP_INVALID_ACK_SEQUENCE": "it acknowledges what was never sent, while the connection opens",
    "TCP_RFC7323_PAWS": "its time stamp is older than that of a segment before it",
    "TCP_TOO_OLD_ACK": "it acknowledges what was acknowledged long ago",
    "TCP_ACK_UNSENT_DATA": "it acknowledges what was never sent",
    "TCP_OLD_ACK": "it acknowledges what was acknowledged before",
    "TCP_FLAGS": "its flags fit no state of the connection",
}
#: Reasons that say more than any function; those that tell all by their names are not repeated.
_BY_REASON: Final[Mapping[str, str]] = {
    "IP_INADDRERRORS": "forwarding is off here, and the address is not this host's",
    "IP_INNOROUTES": "there is no route to the address",
    "IP_OUTNOROUTES": "there is no route to the address",
    "NETFILTER_DROP": "by a rule or a policy of the firewall, or by the tracker",
    "IP_RPFILTER": "by rp_filter: the way back to the sender leads over another device",
    "IP_LOCAL_SOURCE": "it comes from outside with a source that is this host's own",
    "IP_INVALID_SOURCE": "no packet may have such a source",
    "IP_INVALID_DEST": "no packet may have such a destination",
    "IP_LOCALNET": "an address of 127.0.0.0/8 came in from outside",
    "IP_CSUM": "its IP checksum is wrong",
    "TCP_CSUM": "its checksum is wrong",
    "UDP_CSUM": "its checksum is wrong",
    "ICMP_CSUM": "its checksum is wrong",
    "IP_INHDR": "its header is not in order, or its TTL or hop limit has run out",
    "OTHERHOST": "its frame is for another MAC address than this device's",
    "UNHANDLED_PROTO": "nothing here takes such frames",
    "IP_NOPROTO": "nothing here takes this protocol",
    "SOCKET_RCVBUFF": "the socket's receive buffer is full: the process reads too slowly",
    "SOCKET_BACKLOG": "the socket's backlog is full: packets come faster than they are worked on",
    "SOCKET_FILTER": "by a filter that the process put on its socket",
    "PROTO_MEM": "the protocol's memory is used up (net.ipv4.udp_mem, tcp_mem)",
    "TCP_LISTEN_OVERFLOW": "the listener's queue is full",
    "XFRM_POLICY": "by an IPsec policy",
    "PKT_TOO_BIG": "it is larger than the way's MTU",
    "NEIGH_FAILED": _NO_NEIGHBOUR,
    "NEIGH_QUEUEFULL": "too many packets wait for the next hop's address (ARP, neighbour discovery)",
    "NEIGH_CREATEFAIL": "the table of neighbours is full (gc_thresh3)",
    "NEIGH_DEAD": "the entry of the next hop was just removed",
    "TC_INGRESS": _CLASSIFIER,
    "TC_EGRESS": _CLASSIFIER,
    "QDISC_DROP": _QUEUE,
    "QDISC_OVERLIMIT": _QUEUE,
    "QDISC_CONGESTED": _QUEUE,
    "CPU_BACKLOG": "this processor's queue of arrivals is full (net.core.netdev_max_backlog)",
    "FULL_RING": "the device's queue is full: who reads it is too slow",
    "XDP": _XDP,
    "DEV_READY": "the device is not ready: it is down, or its other end is",
    "TAP_FILTER": "by the filter of the TAP device",
    "BPF_CGROUP_EGRESS": "by a BPF program of the process's cgroup",
    "SECURITY_HOOK": "by a security module",
    "IPV6DISABLED": "IPv6 is switched off on the device",
    "VXLAN_VNI_NOT_FOUND": "no VXLAN device here has this VNI",
    "VXLAN_INVALID_HDR": "its VXLAN header is not in order",
    "LOCAL_MAC": "it comes from outside with a MAC address that is this device's own",
    "MAC_INVALID_SOURCE": "no frame may have such a source address",
    "BRIDGE_INGRESS_STP_STATE": "the bridge's port is not in forwarding or learning state (STP)",
    "NO_TX_TARGET": "the bridge or tunnel knows nowhere to send it, or may not send it there",
    "DUP_FRAG": "a fragment that has come already",
    "FRAG_REASM_TIMEOUT": "the other fragments did not come in time",
    "NOMEM": "memory is short",
}
_REASONS: Final[Mapping[DeedKind, Mapping[str, str]]] = {
    DeedKind.DROP: _BY_REASON,
    DeedKind.RST: _BY_RST_REASON,
}
#: The reason of one of these functions has a meaning of its own.
_SAID_THERE: Final = frozenset({"IP_INADDRERRORS", "IP_INNOROUTES"})


def agent_of(deed: Deed) -> str | None:
    """
    Say by whom or what, or why; None where neither reason nor stack tells.

    What netfilter dropped or a rule refused is told by the stack; elsewhere the kernel's reason knows best.
    """
    functions = [function_name(frame) for frame in deed.event.stack or ()]
    told = next((_BY_FUNCTION[name] for name in functions if name in _BY_FUNCTION), None)
    reason = deed.event.reason or ""
    if deed.kind is DeedKind.RST and "tcp_send_active_reset" in functions:
        return _of_socket(functions) or _BY_RST_REASON.get(reason) or told
    by_reason = _REASONS.get(deed.kind, {}).get(reason)
    if by_reason is not None and (told is None or reason in _SAID_THERE):
        return by_reason
    freer = _BY_FREER.get(deed.function or "") if deed.kind is DeedKind.DROP else None
    return told or by_reason or freer


def _of_socket(functions: Sequence[str]) -> str | None:
    """Say why a socket sent a RST by itself, by the call stack of it."""
    if "do_exit" in functions:
        return _KILLED if "get_signal" in functions else _ENDED
    if "inet_csk_listen_stop" in functions:
        return _NOT_ACCEPTED
    if "tcp_disconnect" in functions and "__tcp_close" in functions:
        return _LINGER
    return next((_BY_CLOSE[name] for name in functions if name in _BY_CLOSE), None)
