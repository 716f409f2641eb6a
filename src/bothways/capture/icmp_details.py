"""
What stands behind the first eight bytes' common part of an ICMP message, read and written.

What fits (RFC 1191, RFC 4443 section 3.2), the gateway of a redirect (RFC 792), and neighbour discovery
with its options (RFC 4861 sections 4.3 to 4.6): the MACs of who asks and of who is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import Mac, mac_from_int, mac_to_int
from bothways.facts.packet import ICMP, ICMP6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, Icmp

__all__ = ["compose_details", "read_details"]

_TOO_BIG4: Final = (3, 4)
_TOO_BIG6: Final = 2
_REDIRECT4: Final = 5
_REDIRECT6: Final = 137
_DISCOVERY: Final = frozenset({NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT})
_TARGET: Final = slice(8, 24)
_SOURCE_LINK, _TARGET_LINK = 1, 2
_MAC: Final = 6
#: Router, solicited and override: what a Linux host sets when it answers.
_ANSWER: Final = 0x60000000


def read_details(icmp: Icmp, protocol: int, body: bytes) -> Icmp:
    """The message with what its body says beyond type and code; a cut body says less."""
    if protocol == ICMP:
        if (icmp.type, icmp.code) == _TOO_BIG4 and len(body) >= 8:  # noqa: PLR2004 (the whole header)
            return replace(icmp, mtu=int.from_bytes(body[6:8]) or None)
        if icmp.type == _REDIRECT4 and len(body) >= 8:  # noqa: PLR2004 (the same)
            return replace(icmp, gateway=IPv4Address(body[4:8]))
        return icmp
    if icmp.type == _TOO_BIG6 and len(body) >= 8:  # noqa: PLR2004 (the same)
        return replace(icmp, mtu=int.from_bytes(body[4:8]) or None)
    if len(body) < _TARGET.stop:
        return icmp
    if icmp.type == _REDIRECT6:
        return replace(icmp, gateway=IPv6Address(body[_TARGET]))
    if icmp.type in _DISCOVERY:
        links = dict(_links(body[_TARGET.stop :]))
        return replace(
            icmp,
            target=IPv6Address(body[_TARGET]),
            source_link=links.get(_SOURCE_LINK),
            target_link=links.get(_TARGET_LINK),
        )
    return icmp


def _links(options: bytes) -> Iterator[tuple[int, Mac]]:
    while len(options) >= 2 + _MAC and options[1]:
        kind, size = options[0], options[1] * 8
        if kind in (_SOURCE_LINK, _TARGET_LINK) and size == 2 + _MAC:
            yield kind, mac_from_int(int.from_bytes(options[2 : 2 + _MAC]))
        options = options[size:]


def compose_details(icmp: Icmp, protocol: int) -> bytes | None:
    """Everything behind the checksum of such a message, None for another one."""
    if protocol == ICMP:
        if icmp.type == _REDIRECT4 and icmp.gateway is not None:
            return icmp.gateway.packed
        return struct.pack("!HH", 0, icmp.mtu or 0) if (icmp.type, icmp.code) == _TOO_BIG4 else None
    if protocol != ICMP6:
        return None
    if icmp.type == _TOO_BIG6:
        return struct.pack("!I", icmp.mtu or 0)
    if icmp.target is None or icmp.type not in _DISCOVERY:
        return None
    flags = _ANSWER if icmp.type == NEIGHBOUR_ADVERTISEMENT else 0
    body = struct.pack("!I", flags) + icmp.target.packed
    for kind, link in ((_SOURCE_LINK, icmp.source_link), (_TARGET_LINK, icmp.target_link)):
        if link:
            body += bytes((kind, 1)) + mac_to_int(link).to_bytes(_MAC)
    return body
