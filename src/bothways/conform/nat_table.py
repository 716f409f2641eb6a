"""All entries of the running kernel's tracker, with their translation: by ctnetlink."""

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
_REQUEST, _ACK = 1, 4
_ERROR: Final = 2
_NESTED: Final = 0x8000
#: ``NF_NETLINK_CONNTRACK_NEW``: the kernel tells of each new entry.
_GROUP_NEW: Final = 1
_IPS: Final = (
    "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
    "DST_NAT_DONE",
)  # fmt: skip
#: ``enum tcp_conntrack``
_STATES: Final = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
    "SYN_SENT2",
)  # fmt: skip
#: ``CTA_PROTO_ICMP_ID`` and ``CTA_PROTO_ICMPV6_ID``; type and code follow.
_QUERIES: Final = (4, 7)


@dataclass(frozen=True, slots=True)
class KernelEntry:
    """
    One entry.

    :param status: the status bits that a model can be held against.
    :param state: of a TCP connection, as ``conntrack -L`` names it.
    """

    original: Tuple
    reply: Tuple
    status: frozenset[str]
    mark: int = 0
    zone: int = 0
    state: str = ""


class KernelTable:
    """
    The tracker's table of the namespace in which this is made.

    The kernel tells of each new entry, and then each is asked for: a dump would walk all buckets of a hash
    table that may have a quarter of a million of them.

    :param family: ``AF_INET``, or ``AF_UNSPEC`` for both IP versions.
    """

    def __init__(self, family: int = socket.AF_INET) -> None:
        self._family = family
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.bind((0, 0))
        self._news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._news.bind((0, _GROUP_NEW))
        self._news.setblocking(False)  # noqa: FBT003 (its only argument)
        #: what names each known entry to the kernel, as it goes into a request
        self._known: dict[bytes, int] = {}

    def entries(self) -> list[KernelEntry]:
        """All entries that were made since this was."""
        for family, body in self._heard():
            if self._family in (socket.AF_UNSPEC, family):
                self._known.setdefault(_name(body), family)
        found: list[KernelEntry] = []
        for name, family in list(self._known.items()):
            self._send(_GET, _REQUEST, name, family)
            for kind, body in _messages(self._socket.recv(1 << 16)):
                if kind == _ERROR:
                    del self._known[name]
                else:
                    found.append(_entry(dict(_attributes(body[4:]))))
        return found

    def _heard(self) -> Iterator[tuple[int, bytes]]:
        """Family and attributes of the entries that were made since the last time."""
        while True:
            try:
                octets = self._news.recv(1 << 16)
            except BlockingIOError:
                return
            for _, body in _messages(octets):
                yield body[0], body[4:]

    def flush(self) -> None:
        """Forget all entries."""
        self._send(_DELETE, _REQUEST | _ACK)
        self._socket.recv(8192)
        for _ in self._heard():
            pass
        self._known = {}

    def close(self) -> None:
        """Close the sockets."""
        self._socket.close()
        self._news.close()

    def _send(self, kind: int, flags: int, body: bytes = b"", family: int | None = None) -> None:
        head = struct.pack("!BBH", self._family if family is None else family, 0, 0) + body
        self._socket.send(struct.pack("=IHHII", 16 + len(head), _CT | kind, flags, 1, 0) + head)


def _name(attributes: bytes) -> bytes:
    """``CTA_TUPLE_ORIG`` and ``CTA_ZONE`` of an entry, as they were told."""
    said = dict(_attributes(attributes))
    return b"".join(
        struct.pack("=HH", 4 + len(said[kind]), kind | nested) + said[kind] + bytes(-len(said[kind]) % 4)
        for kind, nested in ((1, _NESTED), (18, 0))
        if kind in said
    )


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


def _entry(said: dict[int, bytes]) -> KernelEntry:
    """``CTA_TUPLE_ORIG``, ``_REPLY``, ``CTA_STATUS``, ``_PROTOINFO``, ``_MARK``, ``_ZONE``."""
    tcp = dict(_attributes(dict(_attributes(said.get(4, b""))).get(1, b"")))
    state = tcp.get(1)
    return KernelEntry(
        _tuple(said[1]),
        _tuple(said[2]),
        _status(said[3]),
        int.from_bytes(said.get(8, b"")),
        int.from_bytes(said.get(18, b"")),
        "" if state is None else _STATES[state[0]],
    )


def _tuple(octets: bytes) -> Tuple:
    """``CTA_TUPLE_IP`` and ``CTA_TUPLE_PROTO``; an ICMP id counts as the sender's port."""
    said = dict(_attributes(octets))
    ends, parts = dict(_attributes(said[1])), dict(_attributes(said[2]))

    def number(kind: int) -> int:
        return int.from_bytes(parts.get(kind, b""))

    if 3 in ends:  # noqa: PLR2004 - CTA_IP_V6_SRC
        src, dst = (address(socket.inet_ntop(socket.AF_INET6, ends[each])) for each in (3, 4))
    else:
        src, dst = (address(socket.inet_ntoa(ends[each])) for each in (1, 2))
    for query in _QUERIES:
        if query + 1 in parts:
            return Tuple(number(1), src, dst, number(query), 0, number(query + 1), number(query + 2))
    return Tuple(number(1), src, dst, number(2), number(3))


def _status(octets: bytes) -> frozenset[str]:
    value = int.from_bytes(octets)
    return frozenset(name for bit, name in enumerate(_IPS) if value >> bit & 1)
