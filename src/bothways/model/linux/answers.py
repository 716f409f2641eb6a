"""
Packets that a stack makes by itself: RST, ICMP errors, redirects, echo replies.

RFC 9293 section 3.10.7.1 (a segment for nobody), RFC 792 and RFC 4443, RFC 1122 section 3.2.2 (what no
error may answer). ``tcp_v4_send_reset``, ``nf_send_reset``, ``icmp_send`` and ``icmp6_send`` of the kernel
fill in the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from bothways.facts.address import IPAddress, is_group
from bothways.facts.packet import (
    ETH_IP,
    ETH_IP6,
    ICMP,
    ICMP6,
    TCP,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    TcpOptions,
)
from bothways.model.linux.conntrack.tuple import is_icmp_error

__all__ = [
    "KINDS",
    "REJECTIONS",
    "Trouble",
    "echo_reply",
    "error_tos",
    "ethertype",
    "icmp_error",
    "is_echo_request",
    "reset",
]

_TTL: Final = 64
_WORD: Final = 1 << 32
_IPV4: Final = 4
#: Ethernet, IP and TCP without options, by IP version.
_HEADERS: Final = {4: 54, 6: 74}
_LINK: Final = 14
#: Longest ICMP error and its own headers, RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4.
_LONGEST: Final = {4: (576, 28), 6: (1280, 48)}
#: ``RT_TOS`` of what is answered, and ``IPTOS_PREC_INTERNETCONTROL``.
_ECN: Final = 0x03
_TOS_MASK: Final = 0x1E
_INTERNET_CONTROL: Final = 0xC0


class Trouble(StrEnum):
    """Why a packet goes no further, as an ICMP error tells its sender."""

    NO_ROUTE = "none"
    REFUSED = "unreachable"
    PROHIBITED = "prohibit"
    NO_PORT = "port unreachable"
    NO_PROTOCOL = "protocol unreachable"
    NO_NEIGHBOUR = "neighbour unreachable"
    TOO_BIG = "too big"
    EXPIRED = "hop limit"
    BEYOND_SCOPE = "beyond scope"
    REDIRECT = "redirect"


#: Trouble -> ICMP type and code by IP version (``ip_error``, ``ip6_pkt_drop`` …). A route that says
#: ``unreachable`` and no route at all are the same to IPv6; ``blackhole`` answers nothing.
KINDS: Final[Mapping[int, Mapping[str, tuple[int, int]]]] = {
    4: {
        Trouble.NO_ROUTE: (3, 0),
        Trouble.REFUSED: (3, 1),
        Trouble.PROHIBITED: (3, 13),
        Trouble.NO_PORT: (3, 3),
        Trouble.NO_PROTOCOL: (3, 2),
        Trouble.NO_NEIGHBOUR: (3, 1),
        Trouble.TOO_BIG: (3, 4),
        Trouble.EXPIRED: (11, 0),
        Trouble.REDIRECT: (5, 1),
    },
    6: {
        Trouble.NO_ROUTE: (1, 0),
        Trouble.REFUSED: (1, 0),
        Trouble.PROHIBITED: (1, 1),
        Trouble.NO_PORT: (1, 4),
        Trouble.NO_PROTOCOL: (4, 1),
        Trouble.NO_NEIGHBOUR: (1, 3),
        Trouble.TOO_BIG: (2, 0),
        Trouble.EXPIRED: (3, 0),
        Trouble.BEYOND_SCOPE: (1, 2),
        Trouble.REDIRECT: (137, 0),
    },
}

#: ``--reject-with`` -> ICMP type and code, iptables-extensions(8); ``tcp-reset`` is no ICMP. Names of IPv4
#: stand under IPv6 for nft's ``icmpx``, which says the same of both (``nft_reject_icmpv6_code``).
REJECTIONS: Final[Mapping[int, Mapping[str, tuple[int, int]]]] = {
    4: {
        "icmp-net-unreachable": (3, 0),
        "icmp-host-unreachable": (3, 1),
        "icmp-proto-unreachable": (3, 2),
        "icmp-port-unreachable": (3, 3),
        "icmp-net-prohibited": (3, 9),
        "icmp-host-prohibited": (3, 10),
        "icmp-admin-prohibited": (3, 13),
    },
    6: {
        **dict.fromkeys(("icmp6-no-route", "no-route", "icmp-net-unreachable"), (1, 0)),
        **dict.fromkeys(("icmp6-adm-prohibited", "adm-prohibited", "icmp-admin-prohibited"), (1, 1)),
        **dict.fromkeys(("icmp6-addr-unreachable", "addr-unreach", "icmp-host-unreachable"), (1, 3)),
        **dict.fromkeys(("icmp6-port-unreachable", "port-unreach", "icmp-port-unreachable"), (1, 4)),
        **dict.fromkeys(("icmp6-policy-fail", "policy-fail"), (1, 5)),
        **dict.fromkeys(("icmp6-reject-route", "reject-route"), (1, 6)),
    },
}

#: Echo request and reply, by IP version.
_ECHO: Final = {4: (8, 0), 6: (128, 129)}


def ethertype(address: IPAddress) -> int:
    """What the link header says of a packet with this address."""
    return ETH_IP if address.version == _IPV4 else ETH_IP6


def reset(packet: Packet, *, by_rule: bool = False) -> Packet | None:
    """
    The RST that answers a segment nobody waits for; None if none may be sent.

    A segment with ACK is answered with the number that it asks for; one without gets its own acknowledged.
    Numbers that the evidence does not show stay open. The stack gives it the type of service that the segment
    has, less the bits of ECN (``ip_send_unicast_reply``).

    :param by_rule: True for that of a REJECT rule, whose type of service is 0 (``nf_reject_iphdr_put``).
    """
    ip, tcp = packet.ip, packet.tcp
    if ip is None or tcp is None or tcp.flags & Flag.RST or ip.offset:
        return None
    if by_rule and ip.src.version != _IPV4 and not (_single(ip.src) and _single(ip.dst)):
        return None
    numbers: tuple[Flag, int | None, int | None]
    if tcp.flags & Flag.ACK:
        numbers = Flag.RST, tcp.ack, 0
    else:
        taken = (tcp.length or 0) + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
        number = None if tcp.seq is None else (tcp.seq + taken) % _WORD
        numbers = Flag.RST | Flag.ACK, 0, number
    flags, seq, acked = numbers
    options = TcpOptions(size=0)
    answer = Tcp(tcp.dport, tcp.sport, flags, seq, acked, 0, 0, options, checksum_ok=True)
    version = ip.src.version
    tos = 0 if by_rule else None if ip.tos is None else ip.tos & ~_ECN
    header = Ip(ip.dst, ip.src, TCP, ttl=_TTL, tos=tos, df=True if version == _IPV4 else None)
    return Packet(Ethernet(type=ethertype(ip.src)), ip=header, tcp=answer, length=_HEADERS[version])


def _single(address: IPAddress) -> bool:
    """``IPV6_ADDR_UNICAST``, which the RST of a REJECT rule asks of both ends (``nf_send_reset6``)."""
    return not address.is_unspecified and not address.is_multicast


def error_tos(ip: Ip) -> int | None:
    """The type of service of an ICMP error of IPv4 about a packet (``__icmp_send``)."""
    return None if ip.tos is None else (ip.tos & _TOS_MASK) | _INTERNET_CONTROL


def icmp_error(
    packet: Packet,
    kind: tuple[int, int],
    source: IPAddress,
    *,
    mtu: int | None = None,
    gateway: IPAddress | None = None,
) -> Packet | None:
    """
    The ICMP error about a packet; None for packets that no error may answer.

    :param mtu: what fits, of *too big*.
    :param gateway: whom to ask instead, of a redirect.
    """
    ip = packet.ip
    if ip is None or ip.offset or is_icmp_error(packet) or is_group(packet.ethernet.dst):
        return None
    if int(ip.src) == 0 or ip.src.is_multicast:
        return None
    if ip.dst.is_multicast and (ip.src.version == _IPV4 or kind != KINDS[6][Trouble.TOO_BIG]):
        return None
    error = Icmp(
        kind[0], kind[1], inner=replace(packet, ethernet=Ethernet(type=ethertype(ip.src))),
        mtu=mtu, gateway=gateway,
    )  # fmt: skip
    if ip.src.version == _IPV4:
        header = Ip(source, ip.src, ICMP, ttl=_TTL, tos=error_tos(ip))
    else:
        header = Ip(source, ip.src, ICMP6, ttl=_TTL, tos=0)
    return Packet(Ethernet(type=ethertype(ip.src)), ip=header, icmp=error, length=_error_length(packet, ip))


def _error_length(packet: Packet, ip: Ip) -> int | None:
    """Length of an error with its link header; it quotes as much of a packet as fits 576 or 1280 bytes."""
    if packet.length is None:
        return None
    whole, headers = _LONGEST[ip.src.version]
    return _LINK + headers + min(packet.length - _LINK, whole - headers)


def is_echo_request(packet: Packet) -> bool:
    """True for a ping."""
    ip, icmp = packet.ip, packet.icmp
    return ip is not None and icmp is not None and icmp.type == _ECHO[ip.src.version][0]


def echo_reply(packet: Packet) -> Packet | None:
    """The answer to a ping; None if the packet is none."""
    ip, icmp = packet.ip, packet.icmp
    if ip is None or icmp is None or not is_echo_request(packet):
        return None
    return replace(
        packet,
        ethernet=Ethernet(type=ethertype(ip.src)),
        ip=Ip(ip.dst, ip.src, ip.protocol, ttl=_TTL, tos=ip.tos),
        icmp=replace(icmp, type=_ECHO[ip.src.version][1]),
    )
