"""
How long an entry lives in each state, and which sysctl says so.

``DEFAULTS`` holds what Linux starts with (``net/netfilter/nf_conntrack_proto_*.c``, their tables of
timeouts; kernel documentation ``networking/nf_conntrack-sysctl``), in seconds, by the name of the sysctl
below ``net.netfilter.``. The tables name the sysctl for each state; ``tcp_limit`` holds the exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bothways.facts.packet import ICMP, ICMP6, Flag, Tcp
from bothways.model.linux.conntrack.tcp import TcpState

__all__ = ["DEFAULTS", "GENERIC", "ICMP_TIMEOUTS", "SYN_SENT2_S", "TCP_TIMEOUTS", "tcp_limits"]

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


def tcp_limits(state: TcpState, tcp: Tcp, *, seen_reply: bool) -> tuple[str, ...]:
    """
    The sysctls of which the smallest is the time that a valid segment gives; empty for SYN_SENT2.

    ``nf_conntrack_tcp_packet``: a RST gives the time of CLOSE in any state; a window of zero at most
    that of retransmissions; a connection picked up midway, and not answered yet, at most that of
    unacknowledged data. Retransmissions and unacknowledged data are not counted here.
    """
    if tcp.flags & Flag.RST:
        return (TCP_TIMEOUTS[TcpState.CLOSE],)
    limits = [TCP_TIMEOUTS[state]] if state in TCP_TIMEOUTS else []
    if tcp.window == 0 and limits:
        limits.append("nf_conntrack_tcp_timeout_max_retrans")
    if state is TcpState.ESTABLISHED and not seen_reply:
        limits.append("nf_conntrack_tcp_timeout_unacknowledged")
    return tuple(limits)
