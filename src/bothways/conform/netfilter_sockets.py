"""The sockets of `conform netfilter`: ends of wires, senders of packets, and what the router listens on."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

from bothways.conform.netfilter_place import Port

__all__ = ["listener", "raw4", "raw6", "wire"]

_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
_HDRINCL6: Final = 36


def wire(device: str, kind: int) -> socket.socket:
    """One end of a wire, which hears frames of a kind that come in there."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    made.bind((device, kind))
    made.setsockopt(*_IGNORE_OUTGOING, 1)
    made.setblocking(False)  # noqa: FBT003 (its only argument)
    return made


def raw4() -> socket.socket:
    """A socket that sends IPv4 packets as they are given."""
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def raw6() -> socket.socket:
    """A socket that sends IPv6 packets as they are given."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with suppress(OSError):
        made.setsockopt(socket.IPPROTO_IPV6, _HDRINCL6, 1)
    return made


def listener(port: Port) -> socket.socket:
    """A socket that takes what comes and answers nothing but SYN."""
    version = 6 if port.address is None or ":" in port.address else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if version == 6:  # noqa: PLR2004 - IPv6
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(port.address is not None))
    made.bind((port.address or "", port.number))
    if port.protocol == "tcp":
        made.listen(4096)
    return made
