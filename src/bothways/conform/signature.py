"""
TCP options for which a stack without a socket sends no RST.

``tcp_v4_send_reset`` (``net/ipv4/tcp_ipv4.c``) looks for a signature (RFC 2385) before it answers: a signed
segment that no socket has a key for gets no answer. Since 6.7 options that do not add up, or two signatures,
get none either (``tcp_do_parse_auth_options``, ``net/ipv4/tcp_input.c``); before, such options counted as
unsigned. Options are read only while a signature would still fit into them.
"""

from __future__ import annotations

from typing import Final

from bothways.conform.recording import Segment
from bothways.conform.segment import header_options

__all__ = ["gets_no_reset"]

_END, _NOTHING, _SIGNATURE = 0, 1, 19
#: Octets of a signature with its kind and length; nothing shorter is looked at.
_SIGNED: Final = 18


def gets_no_reset(segment: Segment, *, refuses_damage: bool) -> bool:
    """
    Whether its options keep a segment from being answered with a RST.

    :param refuses_damage: True for kernels since 6.7.
    """
    if "doff" not in segment and "raw" not in segment.get("opts", ()):
        return False  # the options of any other segment are sound and unsigned
    octets, signatures, at = header_options(segment), 0, 0
    while len(octets) - at >= _SIGNED and octets[at] != _END:
        if octets[at] == _NOTHING:
            at += 1
            continue
        kind, size = octets[at], octets[at + 1]
        damaged = size < 2 or size > len(octets) - at or (kind == _SIGNATURE and size != _SIGNED)  # noqa: PLR2004 (kind and size)
        signatures += kind == _SIGNATURE and not damaged
        if damaged or signatures > 1:
            return refuses_damage or signatures > 0
        at += size
    return signatures > 0
