"""
What an nft rule may read: every field with its data type.

Payload fields by protocol, keys of ``meta``, ``ct``, ``rt`` and ``socket``. Source: nft(8), *Payload
expressions*, *Meta expressions*, *Conntrack expressions*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["BARE_META", "CT", "CT_SIDED", "EXTHDR", "META", "PAYLOAD", "RT", "SOCKET", "TCP_OPTION"]

_PORTS: Final = {"sport": "inet_service", "dport": "inet_service"}
_NUMBER: Final = "integer"


def _numbers(words: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), _NUMBER)


#: protocol -> field -> type
PAYLOAD: Final[Mapping[str, Mapping[str, str]]] = {
    "ether": {"saddr": "ether_addr", "daddr": "ether_addr", "type": "ether_type"},
    "vlan": {**_numbers("id pcp dei cfi"), "type": "ether_type"},
    "arp": {
        **_numbers("htype hlen plen"),
        "ptype": "ether_type",
        "operation": "arp_op",
        "saddr ether": "ether_addr",
        "daddr ether": "ether_addr",
        "saddr ip": "ipv4_addr",
        "daddr ip": "ipv4_addr",
    },
    "ip": {
        **_numbers("version hdrlength length id frag-off ttl checksum"),
        "dscp": "dscp",
        "ecn": "ecn",
        "protocol": "inet_proto",
        "saddr": "ipv4_addr",
        "daddr": "ipv4_addr",
    },
    "ip6": {
        **_numbers("version flowlabel length hoplimit"),
        "dscp": "dscp",
        "ecn": "ecn",
        "nexthdr": "inet_proto",
        "saddr": "ipv6_addr",
        "daddr": "ipv6_addr",
    },
    "icmp": {
        **_numbers("checksum id sequence mtu"),
        "type": "icmp_type",
        "code": "icmp_code",
        "gateway": "ipv4_addr",
    },
    "icmpv6": {
        **_numbers("checksum parameter-problem packet-too-big id sequence max-delay mtu"),
        "type": "icmpv6_type",
        "code": "icmpv6_code",
        "taddr": "ipv6_addr",
        "daddr": "ipv6_addr",
    },
    "igmp": {**_numbers("checksum mrt"), "type": "igmp_type", "group": "ipv4_addr"},
    "tcp": {
        **_PORTS,
        **_numbers("sequence ackseq doff reserved window checksum urgptr"),
        "flags": "tcp_flag",
    },
    "udp": {**_PORTS, **_numbers("length checksum")},
    "udplite": {**_PORTS, **_numbers("csumcov checksum")},
    "sctp": {**_PORTS, **_numbers("vtag checksum")},
    "dccp": {**_PORTS, **_numbers("type")},
    "th": _PORTS,
    "esp": _numbers("spi sequence"),
    "ah": {**_numbers("hdrlength reserved spi sequence"), "nexthdr": "inet_proto"},
    "comp": {**_numbers("flags cpi"), "nexthdr": "inet_proto"},
    "gre": {**_numbers("flags version"), "protocol": "ether_type"},
}

#: key of ``meta`` -> type
META: Final[Mapping[str, str]] = {
    **_numbers("length cpu cgroup skuid skgid secmark nftrace rtclassid random ibrpvid broute"),
    "protocol": "ether_type",
    "nfproto": "nf_proto",
    "l4proto": "inet_proto",
    "priority": "priority",
    "mark": "mark",
    "iif": "iface_index",
    "oif": "iface_index",
    "sdif": "iface_index",
    "iifname": "ifname",
    "oifname": "ifname",
    "sdifname": "ifname",
    "ibrname": "ifname",
    "obrname": "ifname",
    "ibriport": "ifname",
    "obriport": "ifname",
    "ibrvproto": "ether_type",
    "ibrhwaddr": "ether_addr",
    "iifkind": "ifkind",
    "oifkind": "ifkind",
    "iiftype": "iface_type",
    "oiftype": "iface_type",
    "iifgroup": "devgroup",
    "oifgroup": "devgroup",
    "pkttype": "pkt_type",
    "ipsec": "boolean",
    "secpath": "boolean",
    "time": "clock",
    "day": "day",
    "hour": "hour",
}
#: Keys that may stand without ``meta``.
BARE_META: Final = frozenset(
    {
        "mark", "iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "iifgroup", "oifgroup", "skuid",
        "skgid", "nftrace", "rtclassid", "ibriport", "obriport", "ibrname", "obrname", "pkttype", "cpu",
        "cgroup", "sdif", "sdifname",
    }
)  # fmt: skip

#: key of ``ct`` -> type, without a direction
CT: Final[Mapping[str, str]] = {
    "state": "ct_state",
    "direction": "ct_dir",
    "status": "ct_status",
    "mark": "mark",
    "expiration": "time",
    "helper": "string",
    "label": "ct_label",
    "l3proto": "nf_proto",
    "protocol": "inet_proto",
    "zone": _NUMBER,
    "id": _NUMBER,
    "event": "ct_event",
    "secmark": _NUMBER,
    **_numbers("bytes packets avgpkt"),
}
#: key of ``ct original`` and ``ct reply`` -> type
CT_SIDED: Final[Mapping[str, str]] = {
    "ip saddr": "ipv4_addr",
    "ip daddr": "ipv4_addr",
    "ip6 saddr": "ipv6_addr",
    "ip6 daddr": "ipv6_addr",
    "l3proto": "nf_proto",
    "protocol": "inet_proto",
    "proto-src": "inet_service",
    "proto-dst": "inet_service",
    "zone": _NUMBER,
    **_numbers("bytes packets avgpkt"),
}
RT: Final[Mapping[str, str]] = {
    "classid": _NUMBER,
    "mtu": _NUMBER,
    "ipsec": "boolean",
    "ip nexthop": "ipv4_addr",
    "ip6 nexthop": "ipv6_addr",
}
SOCKET: Final[Mapping[str, str]] = {"transparent": _NUMBER, "wildcard": _NUMBER, "mark": "mark"}
#: name of an extension header -> fields
EXTHDR: Final[Mapping[str, tuple[str, ...]]] = {
    "hbh": ("nexthdr", "hdrlength"),
    "frag": ("nexthdr", "reserved", "frag-off", "reserved2", "more-fragments", "id"),
    "dst": ("nexthdr", "hdrlength"),
    "mh": ("nexthdr", "hdrlength", "type", "reserved", "checksum"),
    "srh": ("flags", "tag", "sid", "seg-left"),
    "rt": ("nexthdr", "hdrlength", "type", "seg-left"),
    "rt0": ("addr",),
    "rt2": ("addr",),
    "rt4": ("last-entry", "flags", "tag", "sid"),
}
TCP_OPTION: Final[Mapping[str, tuple[str, ...]]] = {
    "eol": ("kind",),
    "nop": ("kind",),
    "noop": ("kind",),
    "maxseg": ("kind", "length", "size"),
    "mss": ("kind", "length", "size"),
    "window": ("kind", "length", "count"),
    "sack-perm": ("kind", "length"),
    "sack-permitted": ("kind", "length"),
    "sack": ("kind", "length", "left", "right"),
    "sack0": ("kind", "length", "left", "right"),
    "sack1": ("kind", "length", "left", "right"),
    "sack2": ("kind", "length", "left", "right"),
    "sack3": ("kind", "length", "left", "right"),
    "timestamp": ("kind", "length", "tsval", "tsecr"),
    "fastopen": ("kind", "length"),
    "md5sig": ("kind", "length"),
    "mptcp": ("kind", "length", "subtype"),
}
