"""
What is probed: the events, and for each the ways to see it, best first.

Numbers are those in ``bpf/tracepoints.h``: a record carries the number of its probe.
"""

from typing import NamedTuple, Optional, Tuple

__all__ = ["BY_NUMBER", "PROBES", "Probe", "Way"]

_RAW = "raw_tracepoint"


class Way(NamedTuple):
    """
    One way to see an event.

    ``programs`` of the object are all attached to ``target``: a tracepoint's name, or a function's. A program
    whose name ends in ``*`` is there for each position that the packet may have among the arguments.
    """

    tier: str
    programs: Tuple[str, ...]
    target: Optional[str] = None


class Probe(NamedTuple):
    """
    One place in the kernel.

    ``event`` is the word of its events; ``always``: attached in any case, as packets are told apart by it;
    ``function`` is the kernel function that it stands for, None where several fire it.
    """

    number: int
    name: str
    event: str
    ways: Tuple[Way, ...]
    always: bool = False
    function: Optional[str] = None


def _point(
    number: int, name: str, event: str, *, always: bool = False, function: Optional[str] = None
) -> Probe:
    """Make a probe of a tracepoint, whose program has the tracepoint's name."""
    short = name.split(":")[1]
    return Probe(number, name, event, (Way(_RAW, (short,), short),), always=always, function=function)


PROBES: Tuple[Probe, ...] = (
    _point(1, "skb:kfree_skb", "drop", always=True),
    _point(2, "skb:consume_skb", "consume", always=True),
    _point(3, "net:net_dev_queue", "queue", always=True),
    _point(4, "net:net_dev_start_xmit", "xmit"),
    _point(5, "net:net_dev_xmit", "xmit"),
    _point(6, "net:netif_receive_skb", "receive", always=True),
    _point(8, "tcp:tcp_send_reset", "rst-sent"),
    _point(9, "tcp:tcp_receive_reset", "rst-received"),
    _point(10, "tcp:tcp_bad_csum", "socket"),
    _point(11, "tcp:tcp_retransmit_skb", "socket"),
    _point(12, "tcp:tcp_probe", "socket"),
    _point(13, "skb:skb_copy_datagram_iovec", "socket"),
    _point(14, "sock:inet_sock_set_state", "socket"),
    _point(15, "sock:inet_sk_error_report", "socket"),
    _point(16, "icmp:icmp_send", "icmp-sent"),
    _point(17, "fib:fib_table_lookup", "fib"),
    _point(18, "fib6:fib6_table_lookup", "fib"),
    _point(19, "neigh:neigh_update", "neigh"),
    _point(20, "neigh:neigh_event_send_done", "neigh"),
    _point(21, "bridge:br_fdb_update", "bridge"),
    _point(22, "openvswitch:ovs_do_execute_action", "ovs-action"),
    _point(23, "openvswitch:ovs_dp_upcall", "ovs-upcall"),
)

BY_NUMBER = {probe.number: probe for probe in PROBES}
