"""
Where the tracefs tier looks: for each probe the ways to place it, and which kernel function stands behind it.

A tracepoint (``events/GROUP/NAME``) is there in every kernel, and mostly shows no headers; a kprobe
(``kprobe_events``) fetches them, where the kernel has kprobes. Positions of arguments are those of the
functions' declarations; where the kernel has BTF it is asked instead.
"""

from typing import NamedTuple, Tuple

__all__ = ["TAPS", "Tap", "Way", "symbols_of"]


class Way(NamedTuple):
    """
    One way to place a probe.

    ``kind`` is ``tracepoint``, ``kprobe`` or ``return`` (of the function that the kprobe before it enters).
    ``skb`` is the position of the packet among the arguments, from 0, or -1 for none; ``indirect`` says
    that the argument points to the pointer. ``extra`` names what else is fetched: ``hook-state`` (argument
    1 of nf_hook_slow and its like), ``reason``, ``icmp``, ``pointer`` (the value of a return is an
    address).
    """

    kind: str
    target: str
    skb: int = 0
    indirect: bool = False
    extra: str = ""


class Tap(NamedTuple):
    """
    One probe: its name in lists, the event it makes, its ways, and which policy asks for its call stacks.

    An event of "" is a glimpse: it makes no event of its own, and only tells the headers of the packet.
    """

    probe: str
    event: str
    ways: Tuple[Way, ...]
    stack: str = ""


def _point(name: str) -> Way:
    return Way("tracepoint", name)


def _enter(function: str, skb: int = 0, extra: str = "", *, indirect: bool = False) -> Way:
    return Way("kprobe", function, skb, indirect, extra)


def _leave(function: str, extra: str = "") -> Way:
    return Way("return", function, -1, extra=extra)


TAPS: Tuple[Tap, ...] = (
    Tap(
        "dev_hard_start_xmit",
        "xmit",
        (_enter("dev_hard_start_xmit"), _point("net/net_dev_start_xmit")),
        "xmit",
    ),
    Tap(
        "__netif_receive_skb_core",
        "receive",
        (_enter("__netif_receive_skb_core", indirect=True), _point("net/netif_receive_skb")),
    ),
    Tap("ip_rcv", "ip-receive", (_enter("ip_rcv"),)),
    Tap("ipv6_rcv", "ip-receive", (_enter("ipv6_rcv"),)),
    Tap("ip_forward", "forward", (_enter("ip_forward"),)),
    Tap("ip6_forward", "forward", (_enter("ip6_forward"),)),
    Tap("ip_local_deliver", "local-deliver", (_enter("ip_local_deliver"),)),
    Tap("ip6_input", "local-deliver", (_enter("ip6_input"),)),
    Tap("tcp_v4_rcv", "socket", (_enter("tcp_v4_rcv"),)),
    Tap("tcp_v6_rcv", "socket", (_enter("tcp_v6_rcv"),)),
    Tap("udp_rcv", "socket", (_enter("udp_rcv"),)),
    Tap("nf_hook_slow", "", (_enter("nf_hook_slow", extra="hook-state"),)),
    Tap("nf_hook_slow", "hook", (_leave("nf_hook_slow"),)),
    Tap("nf_conntrack_in", "", (_enter("nf_conntrack_in", extra="hook-state"),)),
    Tap("nf_conntrack_in", "conntrack", (_leave("nf_conntrack_in"),)),
    Tap("nf_conntrack_tcp_packet", "", (_enter("nf_conntrack_tcp_packet", 1),)),
    Tap("nf_conntrack_tcp_packet", "conntrack", (_leave("nf_conntrack_tcp_packet"),)),
    Tap("nf_nat_inet_fn", "nat", (_enter("nf_nat_inet_fn", 1), _enter("nf_nat_ipv4_fn", 1))),
    Tap("skb_clone", "", (_enter("skb_clone"),)),
    Tap("skb_clone", "clone", (_leave("skb_clone", "pointer"),)),
    Tap("br_handle_frame", "bridge", (_enter("br_handle_frame", indirect=True),)),
    Tap("vxlan_xmit", "vxlan-encap", (_enter("vxlan_xmit"),)),
    Tap("vxlan_rcv", "vxlan-decap", (_enter("vxlan_rcv", 1),)),
    Tap("ovs_vport_receive", "ovs-receive", (_enter("ovs_vport_receive", 1),)),
    Tap(
        "ovs_execute_actions",
        "ovs-action",
        (_enter("ovs_execute_actions", 1), _point("openvswitch/ovs_do_execute_action")),
    ),
    Tap("ovs_ct_execute", "ovs-conntrack", (_enter("ovs_ct_execute", 1),)),
    Tap("ovs_dp_upcall", "ovs-upcall", (_enter("ovs_dp_upcall", 1), _point("openvswitch/ovs_dp_upcall"))),
    Tap("tcp_v4_send_reset", "rst-sent", (_enter("tcp_v4_send_reset", 1, "reason"),), "rst"),
    Tap("tcp_v6_send_reset", "rst-sent", (_enter("tcp_v6_send_reset", 1, "reason"),), "rst"),
    Tap("nf_send_reset", "rst-sent", (_enter("nf_send_reset", 2),), "rst"),
    Tap("nf_send_reset6", "rst-sent", (_enter("nf_send_reset6", 2),), "rst"),
    Tap("tcp:tcp_send_reset", "rst-sent", (_point("tcp/tcp_send_reset"),), "rst"),
    Tap("tcp:tcp_receive_reset", "rst-received", (_point("tcp/tcp_receive_reset"),)),
    Tap("__icmp_send", "icmp-sent", (_enter("__icmp_send", 0, "icmp"), _point("icmp/icmp_send")), "rst"),
    Tap("icmp6_send", "icmp-sent", (_enter("icmp6_send", 0, "icmp"),), "rst"),
    Tap("sock:inet_sock_set_state", "socket", (_point("sock/inet_sock_set_state"),)),
    Tap("fib:fib_table_lookup", "fib", (_point("fib/fib_table_lookup"),)),
    Tap("fib6:fib6_table_lookup", "fib", (_point("fib6/fib6_table_lookup"),)),
    Tap(
        "sk_skb_reason_drop",
        "",
        (_enter("sk_skb_reason_drop", 1), _enter("kfree_skb_reason"), _enter("kfree_skb")),
    ),
    Tap("skb:kfree_skb", "drop", (_point("skb/kfree_skb"),), "drop"),
    Tap("skb:consume_skb", "consume", (_point("skb/consume_skb"),)),
)

_SUFFIXES = ("", ".constprop.0", ".isra.0", ".constprop.0.isra.0")


def symbols_of(function: str) -> Tuple[str, ...]:
    """Names that a compiler gives a function: its own, and those of its optimised copies."""
    return tuple(function + suffix for suffix in _SUFFIXES)
