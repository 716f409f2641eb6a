"""
How long an entry lives in each state, and which sysctl says so.

``DEFAULTS`` holds what Linux starts with (``net/netfilter/nf_conntrack_proto_*.c``, their tables of
timeouts; kernel documentation ``networking/nf_conntrack-sysctl``), in seconds, by the name of the sysctl
below ``net.netfilter.``. The tables name the sysctl for each state; ``tcp_limit`` holds the exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bothways.facts.packet import ICMP, ICMP6
from bothways.model.linux.conntrack.tcp import TcpState

__all__ = ["DEFAULTS", "GENERIC", "ICMP_TIMEOUTS", "SYN_SENT2_S", "TCP_TIMEOUTS", "tcp_limit"]

#: sysctl -> seconds.
DEFAULTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "nf_conntrack_tcp_timeout_syn_sent": 120,
        "nf_conntrack_tcp_timeout_syn_recv": 60,
        "nf_conntrack_tcp_timeout_established": 432_000,
        "nf_conntrack_tcp_timeout_fin_wait": 120,
        "nf_conntrack_tcp_timeout_close_wait": 60,
        "nf_conntrack_tcp_timeout_last_ack": 30,
        "nf_conntrack_tcp_timeout_time_wait": 120,
        "nf_conntrack_tcp_timeout_close": 10,
        "nf_conntrack_tcp_timeout_max_retrans": 300,
        "nf_conntrack_tcp_timeout_unacknowledged": 300,
        "nf_conntrack_udp_timeout": 30,
        "nf_conntrack_udp_timeout_stream": 120,
        "nf_conntrack_icmp_timeout": 30,
        "nf_conntrack_icmpv6_timeout": 30,
        "nf_conntrack_gre_timeout": 30,
        "nf_conntrack_gre_timeout_stream": 180,
        "nf_conntrack_generic_timeout": 600,
    }
)

#: State -> sysctl. Two SYNs that crossed have a time of their own and no sysctl for it.
TCP_TIMEOUTS: Final[Mapping[TcpState, str]] = MappingProxyType(
    {
        TcpState.SYN_SENT: "nf_conntrack_tcp_timeout_syn_sent",
        TcpState.SYN_RECV: "nf_conntrack_tcp_timeout_syn_recv",
        TcpState.ESTABLISHED: "nf_conntrack_tcp_timeout_established",
        TcpState.FIN_WAIT: "nf_conntrack_tcp_timeout_fin_wait",
        TcpState.CLOSE_WAIT: "nf_conntrack_tcp_timeout_close_wait",
        TcpState.LAST_ACK: "nf_conntrack_tcp_timeout_last_ack",
        TcpState.TIME_WAIT: "nf_conntrack_tcp_timeout_time_wait",
        TcpState.CLOSE: "nf_conntrack_tcp_timeout_close",
    }
)
SYN_SENT2_S: Final = 120
ICMP_TIMEOUTS: Final[Mapping[int, str]] = MappingProxyType(
    {ICMP: "nf_conntrack_icmp_timeout", ICMP6: "nf_conntrack_icmpv6_timeout"}
)
#: Every protocol without a tracker of its own.
GENERIC: Final = "nf_conntrack_generic_timeout"


def tcp_limit(
    state: TcpState,
    value: Callable[[str], int],
    reset: bool,  # noqa: FBT001 (by place, as all that each segment passes: it is quicker)
    seen_reply: bool,  # noqa: FBT001
    retransmitted: bool,  # noqa: FBT001
    unacknowledged: bool,  # noqa: FBT001
    closed: bool,  # noqa: FBT001
) -> str:
    """
    The sysctl whose time a valid segment gives; "" for SYN_SENT2.

    ``nf_conntrack_tcp_packet``: the first that holds of too many retransmissions, a RST, data that is not
    acknowledged, a window of zero; the time of the state else. None but that of a RST makes it longer.
    A connection picked up midway, and not answered yet, gets at most that of unacknowledged data.

    :param value: seconds of a sysctl.
    :param closed: the last window that was given is zero.
    """
    name = TCP_TIMEOUTS.get(state, "")
    limit = value(name) if name else SYN_SENT2_S
    if retransmitted and limit > value(_RETRANSMITTED):
        name = _RETRANSMITTED
    elif reset:
        name = TCP_TIMEOUTS[TcpState.CLOSE]
    elif unacknowledged and limit > value(_UNACKNOWLEDGED):
        name = _UNACKNOWLEDGED
    elif closed and limit > value(_RETRANSMITTED):
        name = _RETRANSMITTED
    if state is TcpState.ESTABLISHED and not seen_reply and value(name) > value(_UNACKNOWLEDGED):
        name = _UNACKNOWLEDGED
    return name


_RETRANSMITTED: Final = "nf_conntrack_tcp_timeout_max_retrans"
_UNACKNOWLEDGED: Final = "nf_conntrack_tcp_timeout_unacknowledged"
