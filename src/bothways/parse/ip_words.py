"""
Values that routes and policy rules name by words: protocols, TOS, code points.

Numbers are printed in hexadecimal (``tos 0x10``) or by the names of ``/etc/iproute2/rt_dsfield`` and
``/etc/protocols``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["code_point", "protocol_number", "type_of_service"]

_PROTOCOLS: Final[Mapping[str, int]] = {
    "icmp": 1, "igmp": 2, "ipip": 4, "ipencap": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47,
    "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "ospf": 89, "vrrp": 112, "sctp": 132, "udplite": 136,
}  # fmt: skip
#: Code points of RFC 2474, RFC 2597, RFC 3246 and RFC 5865 as six bits.
_CODE_POINTS: Final[Mapping[str, int]] = {
    "default": 0, **{f"CS{n}": n << 3 for n in range(8)}, "EF": 46, "VOICE-ADMIT": 44, "LE": 1,
    **{f"AF{c}{d}": (c << 3) | (d << 1) for c in range(1, 5) for d in range(1, 4)},
}  # fmt: skip
#: Names that ``rt_dsfield`` had for TOS before there were code points.
_OLD_NAMES: Final[Mapping[str, int]] = {
    "lowdelay": 0x10, "throughput": 0x08, "reliability": 0x04, "mincost": 0x02,
}  # fmt: skip


def protocol_number(text: str | None) -> int | None:
    """
    Number of an IP protocol.

    :raises ValueError: if the name is not known.

    >>> protocol_number("tcp")
    6
    """
    if text is None:
        return None
    return _PROTOCOLS[text] if text in _PROTOCOLS else int(text.removeprefix("ipproto-")[:4], 0)


def type_of_service(text: str | None) -> int | None:
    """
    The eight bits of TOS or traffic class.

    :raises ValueError: if the word is not known.

    >>> type_of_service("0x10"), type_of_service("AF11")
    (16, 40)
    """
    if text is None:
        return None
    if text in _OLD_NAMES:
        return _OLD_NAMES[text]
    return _CODE_POINTS[text] << 2 if text in _CODE_POINTS else int(text[:6], 16)


def code_point(text: str | None) -> int | None:
    """
    The six bits of a code point.

    :raises ValueError: if the word is not known.

    >>> code_point("EF")
    46
    """
    if text is None:
        return None
    return _CODE_POINTS[text] if text in _CODE_POINTS else int(text[:4], 0)
