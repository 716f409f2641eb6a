"""
What the kernel's functions are called for IPv4 and for IPv6.

The walk names functions as ``net/ipv4`` does; a packet of IPv6 meets their siblings of ``net/ipv6``. A name
that is not in the table serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["in_family"]

_OF_IPV6: Final[Mapping[str, str]] = {
    "ip_rcv": "ipv6_rcv",
    "ip_rcv_core": "ip6_rcv_core",
    "ip_rcv_finish": "ip6_rcv_finish",
    "ip_route_input_slow": "ip6_route_input",
    "ip_local_deliver_finish": "ip6_protocol_deliver_rcu",
    "ip_error": "ip6_pkt_drop",
    "ip_forward": "ip6_forward",
    "ip_output": "ip6_output",
    "ip_fragment": "ip6_fragment",
    "ip_route_output_flow": "ip6_route_output_flags",
    "ip_route_me_harder": "ip6_route_me_harder",
    "ip_rt_send_redirect": "ndisc_send_redirect",
    "tcp_v4_rcv": "tcp_v6_rcv",
    "tcp_v4_send_reset": "tcp_v6_send_reset",
    "tcp_v4_err": "tcp_v6_err",
    "tcp_v4_conn_request": "tcp_v6_conn_request",
    "__udp4_lib_rcv": "__udp6_lib_rcv",
    "icmp_rcv": "icmpv6_rcv",
    "icmp_echo": "icmpv6_echo_reply",
    "icmp_redirect": "ndisc_redirect_rcv",
    "icmp_unreach": "icmpv6_notify",
    "nf_send_reset": "nf_send_reset6",
    "nf_send_unreach": "nf_send_unreach6",
    "reject_tg": "reject_tg6",
    "ipt_do_table": "ip6t_do_table",
    "ipv4_conntrack_in": "ipv6_conntrack_in",
    "ipv4_conntrack_local": "ipv6_conntrack_local",
    "iptable_nat_ipv4_in": "ip6table_nat_in",
    "iptable_nat_ipv4_fn": "ip6table_nat_fn",
    "iptable_nat_ipv4_local_fn": "ip6table_nat_local_fn",
    "iptable_nat_ipv4_out": "ip6table_nat_out",
}


def in_family(function: str, version: int) -> str:
    """
    A function by the name that it has for an IP version.

    >>> in_family("ip_rcv", 6), in_family("nf_conntrack_in", 6)
    ('ipv6_rcv', 'nf_conntrack_in')
    """
    return function if version == 4 else _OF_IPV6.get(function, function)  # noqa: PLR2004 - IPv4
