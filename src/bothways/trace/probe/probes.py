"""
What is probed: the events, and for each the ways to see it, best first.

A record carries the number of its probe. Numbers are those in ``bpf/tracepoints.h`` and ``bpf/functions.h``;
what has none there gets its number from the loader.
"""

from typing import NamedTuple, Optional, Tuple

__all__ = ["BY_NUMBER", "PROBES", "Probe", "Way"]

_RAW = "raw_tracepoint"
_WITH_RESETS = "sk_rst_reason"


class Way(NamedTuple):
    """
    One way to see an event.

    ``programs`` of the object are all attached to ``target``: a tracepoint's name, or a function's, or what
    stands behind an ``@`` in the program's name. A program whose name ends in ``*`` is there for each
    position that the packet may have among the arguments. ``needs``: the enum without which the kernel does
    not tell what is wanted. ``alone``: only where functions cannot be probed.
    """

    tier: str
    programs: Tuple[str, ...]
    target: Optional[str] = None
    needs: Optional[str] = None
    alone: bool = False


class Probe(NamedTuple):
    """
    One place in the kernel.

    ``event`` is the word of its events; ``always``: attached in any case, as packets are told apart by it;
    ``function`` is the kernel function that it stands for, None where several fire it. ``unless``: not
    needed on kernels that have this enum, as a tracepoint tells it there.
    """

    number: int
    name: str
    event: str
    ways: Tuple[Way, ...]
    always: bool = False
    function: Optional[str] = None
    unless: Optional[str] = None


def _point(
    number: int, name: str, event: str, *, always: bool = False, function: Optional[str] = None
) -> Probe:
    """Make a probe of a tracepoint, whose program has the tracepoint's name."""
    short = name.split(":")[1]
    return Probe(number, name, event, (Way(_RAW, (short,), short),), always=always, function=function)


def _function(number: int, function: str, event: str, program: str = "passes*") -> Probe:
    """Make a probe of a function that the packet passes."""
    ways = (Way("fentry", (program,), function), Way("kprobe", ("kprobe_" + program,), function))
    return Probe(number, function, event, ways, function=function)


_RESET = _function(45, "tcp_v4_send_reset", "rst-sent", "resets")
_RESET6 = _function(46, "tcp_v6_send_reset", "rst-sent", "resets")
_RESETS = Way(_RAW, ("tcp_send_reset", "tcp_send_reset_alone"), "tcp_send_reset", needs=_WITH_RESETS)
_ICMP = _function(16, "__icmp_send", "icmp-sent", "errors")

PROBES: Tuple[Probe, ...] = (
    _point(1, "skb:kfree_skb", "drop", always=True),
    _point(2, "skb:consume_skb", "consume", always=True),
    _point(3, "net:net_dev_queue", "queue", always=True),
    _point(4, "net:net_dev_start_xmit", "xmit"),
    _point(5, "net:net_dev_xmit", "xmit"),
    _point(6, "net:netif_receive_skb", "receive", always=True),
    # Before Linux 6.10 the tracepoint misses resets that no socket is behind.
    Probe(8, "tcp:tcp_send_reset", "rst-sent", (_RESETS, _RESETS._replace(needs=None, alone=True))),
    _point(9, "tcp:tcp_receive_reset", "rst-received"),
    _point(10, "tcp:tcp_bad_csum", "socket"),
    _point(11, "tcp:tcp_retransmit_skb", "socket"),
    _point(12, "tcp:tcp_probe", "socket"),
    _point(13, "skb:skb_copy_datagram_iovec", "socket"),
    _point(14, "sock:inet_sock_set_state", "socket"),
    _point(15, "sock:inet_sk_error_report", "socket"),
    _point(16, "icmp:icmp_send", "icmp-sent")._replace(
        ways=(Way(_RAW, ("icmp_send",), "icmp_send"), *_ICMP.ways), function="__icmp_send"
    ),
    _point(17, "fib:fib_table_lookup", "fib"),
    _point(18, "fib6:fib6_table_lookup", "fib"),
    _point(19, "neigh:neigh_update", "neigh"),
    _point(20, "neigh:neigh_event_send_done", "neigh"),
    _point(21, "bridge:br_fdb_update", "bridge"),
    _point(22, "openvswitch:ovs_do_execute_action", "ovs-action"),
    _point(23, "openvswitch:ovs_dp_upcall", "ovs-upcall"),
    _function(32, "ip_rcv", "ip-receive"),
    _function(33, "ipv6_rcv", "ip-receive"),
    _function(34, "ip_forward", "forward"),
    _function(35, "ip6_forward", "forward"),
    _function(36, "ip_local_deliver", "local-deliver"),
    _function(37, "ip6_input", "local-deliver"),
    _function(38, "vxlan_xmit", "vxlan-encap"),
    _function(39, "vxlan_rcv", "vxlan-decap"),
    _function(40, "ovs_vport_receive", "ovs-receive"),
    _function(41, "ovs_ct_execute", "ovs-conntrack"),
    _function(42, "br_handle_frame_finish", "bridge"),
    _function(43, "nf_send_reset", "rst-sent", "rejects*"),
    _function(44, "nf_send_reset6", "rst-sent", "rejects*"),
    _RESET._replace(unless=_WITH_RESETS),
    _RESET6._replace(unless=_WITH_RESETS),
    _function(47, "icmp6_send", "icmp-sent", "errors"),
    Probe(
        48,
        "nf_conntrack_in",
        "conntrack",
        (
            Way("fentry", ("tracks@nf_conntrack_tcp_packet", "conntrack_in"), "nf_conntrack_in"),
            Way("fentry", ("conntrack_in",), "nf_conntrack_in"),
        ),
        function="nf_conntrack_in",
    ),
    Probe(
        49,
        "nf_hook_slow",
        "hook",
        (Way("fentry", ("hook_in", "hook_out"), "nf_hook_slow"),),
        function="nf_hook_slow",
    ),
    Probe(
        50, "nf_nat_inet_fn", "nat", (Way("fentry", ("nat",), "nf_nat_inet_fn"),), function="nf_nat_inet_fn"
    ),
)

BY_NUMBER = {probe.number: probe for probe in PROBES}
