"""
Raw bits of a header: ``@nh,96,32``.

A header is laid out from the fields that the evidence shows; a bit that it does not show is not known.
Sources: RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, IEEE 802.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.packet import ETH_ARP
from bothways.model.linux.nftables.payload import PAYLOAD, ether_type
from bothways.model.linux.nftables.view import BREAK, Value, View

__all__ = ["raw"]

#: (first bit, bits, field) of a header
Layout = tuple[tuple[int, int, str], ...]

_LINK: Final[Layout] = ((0, 48, "ether daddr"), (48, 48, "ether saddr"), (96, 16, "ether type"))
_IP: Final[Layout] = (
    (0, 4, "ip version"), (4, 4, "ip hdrlength"), (8, 6, "ip dscp"), (14, 2, "ip ecn"), (16, 16, "ip length"),
    (32, 16, "ip id"), (48, 16, "ip frag-off"), (64, 8, "ip ttl"), (72, 8, "ip protocol"),
    (80, 16, "ip checksum"), (96, 32, "ip saddr"), (128, 32, "ip daddr"),
)  # fmt: skip
_IP6: Final[Layout] = (
    (0, 4, "ip6 version"), (4, 6, "ip6 dscp"), (10, 2, "ip6 ecn"), (12, 20, "ip6 flowlabel"),
    (32, 16, "ip6 length"), (48, 8, "ip6 nexthdr"), (56, 8, "ip6 hoplimit"), (64, 128, "ip6 saddr"),
    (192, 128, "ip6 daddr"),
)  # fmt: skip
_ARP: Final[Layout] = (
    (0, 16, "arp htype"), (16, 16, "arp ptype"), (32, 8, "arp hlen"), (40, 8, "arp plen"),
    (48, 16, "arp operation"), (64, 48, "arp saddr ether"), (112, 32, "arp saddr ip"),
    (144, 48, "arp daddr ether"), (192, 32, "arp daddr ip"),
)  # fmt: skip
_TCP: Final[Layout] = (
    (0, 16, "tcp sport"), (16, 16, "tcp dport"), (32, 32, "tcp sequence"), (64, 32, "tcp ackseq"),
    (96, 4, "tcp doff"), (104, 8, "tcp flags"), (112, 16, "tcp window"), (128, 16, "tcp checksum"),
)  # fmt: skip
_UDP: Final[Layout] = (
    (0, 16, "udp sport"), (16, 16, "udp dport"), (32, 16, "udp length"), (48, 16, "udp checksum"),
)  # fmt: skip
_ICMP: Final[Layout] = (
    (0, 8, "icmp type"), (8, 8, "icmp code"), (16, 16, "icmp checksum"), (32, 16, "icmp id"),
    (48, 16, "icmp sequence"),
)  # fmt: skip
_ICMP6: Final[Layout] = tuple((a, b, name.replace("icmp", "icmpv6")) for a, b, name in _ICMP)
_TRANSPORT: Final[Mapping[int, Layout]] = {6: _TCP, 17: _UDP, 1: _ICMP, 58: _ICMP6}


def _network(view: View) -> Layout | None:
    if ether_type(view) == ETH_ARP:
        return _ARP
    ip = view.packet.ip
    return None if ip is None else _IP if ip.src.version == 4 else _IP6  # noqa: PLR2004 - IPv4


def _transport(view: View) -> Layout | None:
    ip = view.packet.ip
    if ip is None or ip.offset:
        return None
    return _TRANSPORT.get(ip.protocol, ())


def _nothing(_: View) -> Layout | None:
    return ()


_BASES: Final[Mapping[str, Callable[[View], Layout | None]]] = {
    "ll": lambda _: _LINK,
    "nh": _network,
    "th": _transport,
}


def raw(name: str, view: View) -> Value:
    """The bits that ``@BASE,OFFSET,LENGTH`` names; the rule ends where there is no such header."""
    base, offset, length = name[1:].split(",")
    layout = _BASES.get(base, _nothing)(view)
    if layout is None:
        return BREAK
    start, end = int(offset), int(offset) + int(length)
    found, at = 0, start
    for first, bits, field in layout:
        low, high = max(first, start), min(first + bits, end)
        if low >= high or low != at:
            continue
        value = PAYLOAD[field](view)
        if not isinstance(value, int):
            return None
        part = value >> (first + bits - high) & ((1 << (high - low)) - 1)
        found = found << (high - low) | part
        at = high
    return found if at == end else None
