"""What an ICMP or ICMPv6 error says, in words (RFC 792, RFC 1812 section 5.2.7, RFC 4443)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.packet import ICMP6, Packet

__all__ = ["error_words"]

_PROHIBITED: Final = "communication is prohibited, by a rule or a route that refuses"
_REASSEMBLY: Final = "the other fragments did not come in time"
#: By type and code; a code of None holds for all others of its type.
_ICMP: Final[Mapping[tuple[int, int | None], str]] = {
    (3, 0): "the network cannot be reached: no route",
    (3, 1): "the host cannot be reached: no route, or nobody answers for its address",
    (3, 2): "nobody takes this protocol there",
    (3, 3): "nobody listens on this port",
    (3, 4): "too large for the next link, and not to be fragmented",
    (3, 9): _PROHIBITED,
    (3, 10): _PROHIBITED,
    (3, 13): _PROHIBITED,
    (3, None): "the destination cannot be reached",
    (4, None): "slow down (source quench, which nobody heeds)",
    (5, None): "there is a better way",
    (11, 0): "the TTL has run out: a loop, or a way that is too long",
    (11, 1): _REASSEMBLY,
    (12, None): "the header is not in order",
}
_ICMP6: Final[Mapping[tuple[int, int | None], str]] = {
    (1, 0): "there is no route",
    (1, 1): _PROHIBITED,
    (1, 2): "the sender's address does not reach so far",
    (1, 3): "nobody answers for the address",
    (1, 4): "nobody listens on this port",
    (1, 5): "the sender's address may not go this way",
    (1, 6): "a route refuses",
    (2, None): "too large for the next link",
    (3, 0): "the hop limit has run out: a loop, or a way that is too long",
    (3, 1): _REASSEMBLY,
    (4, None): "the header is not in order",
}


def error_words(packet: Packet) -> str | None:
    """Say what an error says; None for what is none, or has no meaning that is known."""
    if packet.icmp is None or packet.ip is None:
        return None
    table = _ICMP6 if packet.ip.protocol == ICMP6 else _ICMP
    return table.get((packet.icmp.type, packet.icmp.code)) or table.get((packet.icmp.type, None))
