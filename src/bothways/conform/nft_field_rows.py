"""
Fields of headers, connections and routes that native rules seldom read or write: one line for each.

``nft_rows`` draws them as one kind. Every value is one that some of the packets have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["READ", "READ_BEHIND", "WRITTEN", "WRITTEN_EARLY"]

#: IP version -> conditions; ``{!}`` is where a negation goes, braces are doubled.
_BY_VERSION: Final[Mapping[int, tuple[str, ...]]] = {
    4: (
        "ip version {!}4", "ip hdrlength {!}5", "ip ecn {!}{{ not-ect, ect1 }}", "ip length {!}20-44",
        "ip id {!}1", "ip frag-off & 0x4000 == 0x4000", "ip frag-off & 0x1fff {!}0",
        "ip protocol {!}{{ tcp, icmp }}", "icmp code {!}{{ 0, 3 }}",
        "icmp type {{ echo-request, echo-reply }} icmp id {!}{{ 1, 2 }}",
        "icmp type {{ echo-request, echo-reply }} icmp sequence {!}1",
        "meta protocol {!}ip", "ct original l3proto {!}ipv4", "ct reply l3proto {!}ipv4",
        "ct reply ip daddr {!}{{ 10.91.1.10, 10.91.2.10, 10.91.3.10 }}",
    ),
    6: (
        "ip6 version {!}6", "ip6 ecn {!}{{ not-ect, ect1 }}", "ip6 flowlabel {!}0", "ip6 length {!}8-24",
        "ip6 nexthdr {!}{{ tcp, ipv6-icmp }}", "icmpv6 code {!}{{ 0, 4 }}",
        "icmpv6 type {{ echo-request, echo-reply }} icmpv6 id {!}{{ 1, 2 }}",
        "icmpv6 type {{ echo-request, echo-reply }} icmpv6 sequence {!}1",
        "meta protocol {!}ip6", "ct original l3proto {!}ipv6", "ct reply l3proto {!}ipv6",
        "ct reply ip6 daddr {!}{{ fd91:1::10, fd91:2::10, fd91:3::10 }}",
        "ct original ip6 saddr {!}{{ fd91:1::10, fd91:2::10 }}",
        "ct reply ip6 saddr {!}{{ fd91:1::10, fd91:3::10 }}",
    ),
}  # fmt: skip
_ANY: Final = (
    "tcp sequence > 0x7fffffff", "tcp ackseq {!}0", "tcp window {!}64240", "tcp doff {!}6",
    "tcp reserved {!}0", "tcp urgptr {!}0", "tcp sport {!}40000-40020", "udp sport {!}40000-40020",
    "udp length {!}8-12", "meta l4proto {{ tcp, udp }} th sport {!}40000-40020",
    "meta l4proto tcp ct original proto-src {!}40000-40020",
    "meta l4proto {{ tcp, udp }} ct original proto-dst {!}{{ 22, 80, 8080 }}",
    "meta l4proto {{ tcp, udp }} ct reply proto-dst {!}40000-40020",
    "ct original protocol {!}tcp", "ct reply protocol {!}udp", "ct protocol {!}udp",
    "ct zone {!}0", "ct original zone {!}0", "ct reply zone {!}3",
    "tcp option maxseg exists", "tcp option maxseg size {!}1460", "tcp option window missing",
    "tcp option sack-perm exists", "tcp option timestamp missing", "tcp option fastopen missing",
    "meta iifgroup {!}0", "sctp dport {!}22", "dccp sport {!}40001", "udplite dport {!}53",
    "esp spi {!}1", "ah spi {!}1", "comp cpi {!}1", "igmp type {!}17", "meta ipsec missing",
    "meta secpath missing",
    "vlan id {!}5",
)  # fmt: skip
READ: Final[Mapping[int, tuple[str, ...]]] = {
    version: (*fields, *_ANY) for version, fields in _BY_VERSION.items()
}
#: Those that know where a packet leaves.
READ_BEHIND: Final = (
    'meta oif {!}"nfb"', "meta oifgroup {!}0", "rt mtu {!}1460", "rt mtu > 1000", "rt ipsec missing",
)  # fmt: skip

#: IP version -> what is written.
WRITTEN: Final[Mapping[int, tuple[str, ...]]] = {
    4: ("ip id set 7", "ip ecn set ect0", "udp sport set 40007", "tcp sport set 40007"),
    6: ("ip6 flowlabel set 5", "ip6 ecn set ect0", "udp sport set 40007", "tcp sport set 40007"),
}
#: Before the tracker.
WRITTEN_EARLY: Final = (
    "ct zone set 3", "ct original zone set 3", "ct reply zone set 3", "meta pkttype set host",
    "meta pkttype set other",
)  # fmt: skip
