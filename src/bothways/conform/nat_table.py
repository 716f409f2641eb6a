"""All entries of the running kernel's tracker, with their translation: a dump by ctnetlink."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bothways.facts.address import address
from bothways.facts.conntrack import Tuple

__all__ = ["KernelEntry", "KernelTable"]

_NETFILTER: Final = 12
_CT: Final = 1 << 8
_GET, _DELETE = 1, 2
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_IPS: Final = (
    "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
    "DST_NAT_DONE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KernelEntry:
    """One entry. *status* holds the status bits that a model can be held against."""

    original: Tuple
    reply: Tuple
    status: frozenset[str]


class KernelTable:
    """The tracker's table of the namespace in which this is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.bind((0, 0))

    def entries(self) -> list[KernelEntry]:
        """All entries of IPv4."""
        self._send(_GET, _REQUEST | _DUMP)
        found: list[KernelEntry] = []
        while True:
            for kind, body in _messages(self._socket.recv(1 << 17)):
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "ctnetlink refuses a dump")
                said = dict(_attributes(body[4:]))
                found.append(KernelEntry(_tuple(said[1]), _tuple(said[2]), _status(said[3])))

    def flush(self) -> None:
        """Forget all entries."""
        self._send(_DELETE, _REQUEST | _ACK)
        self._socket.recv(8192)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, kind: int, flags: int) -> None:
        head = struct.pack("!BBH", socket.AF_INET, 0, 0)
        self._socket.send(struct.pack("=IHHII", 16 + len(head), _CT | kind, flags, 1, 0) + head)


def _messages(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 16 <= len(octets):
        length, kind = struct.unpack_from("=IH", octets, at)
        yield kind, octets[at + 16 : at + length]
        at += (length + 3) & ~3


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(octets):
        length, kind = struct.unpack_from("=HH", octets, at)
        yield kind & 0x3FFF, octets[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)


def _tuple(octets: bytes) -> Tuple:
    """``CTA_TUPLE_IP`` and ``CTA_TUPLE_PROTO``; an ICMP id counts as the sender's port."""
    said = dict(_attributes(octets))
    ends, parts = dict(_attributes(said[1])), dict(_attributes(said[2]))

    def number(kind: int) -> int:
        return int.from_bytes(parts.get(kind, b""))

    query = 5 in parts  # noqa: PLR2004 - CTA_PROTO_ICMP_TYPE
    src, dst = (address(socket.inet_ntoa(ends[each])) for each in (1, 2))
    if query:
        return Tuple(number(1), src, dst, number(4), 0, number(5), number(6))
    return Tuple(number(1), src, dst, number(2), number(3))


def _status(octets: bytes) -> frozenset[str]:
    value = int.from_bytes(octets)
    return frozenset(name for bit, name in enumerate(_IPS) if value >> bit & 1)
