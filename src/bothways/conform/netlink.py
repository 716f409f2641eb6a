"""
ctnetlink and NFLOG, as octets: what is asked of the running kernel, and what it answers.

Numbers are those of ``linux/netfilter/nfnetlink.h``, ``nfnetlink_conntrack.h`` and ``nfnetlink_log.h``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

from bothways.facts.conntrack import Tuple
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP

__all__ = ["Conntrack", "Events", "Log"]

_NETFILTER: Final = 12
_REQUEST, _ACK = 1, 4
_ERROR: Final = 2
_NESTED: Final = 0x8000
_CT, _ULOG = 1 << 8, 4 << 8
_GET, _DELETE = 1, 2
_NO_ENTRY: Final = -2
_STATES: Final = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
    "CLOSE", "SYN_SENT2",
)  # fmt: skip
_STATUS: Final = (
    "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
    "DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "NAT_CLASH", "HELPER", "OFFLOAD", "HW_OFFLOAD",
)  # fmt: skip
_FLAGS: Final = (
    "WINDOW_SCALE", "SACK_PERM", "CLOSE_INIT", "BE_LIBERAL", "DATA_UNACKNOWLEDGED", "MAXACK_SET",
    "CHALLENGE_ACK", "SIMULTANEOUS_OPEN",
)  # fmt: skip
_BIG: Final = 1 << 24
_RCVBUFFORCE: Final = 33


class Conntrack:
    """The tracker's table of the namespace in which this is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.bind((0, 0))
        self._number = 1

    def entry(self, ends: tuple[bytes, bytes], ports: tuple[int, int]) -> dict[str, Any] | None:
        """Return the entry with this original tuple in the words of a recording, None if there is none."""
        self._number += 1
        transport = (
            _nla(1, b"\x06") + _nla(2, struct.pack("!H", ports[0])) + _nla(3, struct.pack("!H", ports[1]))
        )
        one = _nla(1 | _NESTED, _nla(1, ends[0]) + _nla(2, ends[1])) + _nla(2 | _NESTED, transport)
        self._send(_CT | _GET, _REQUEST, _nla(1 | _NESTED, one))
        return self._answered()

    def find(self, one: Tuple, zone: int = 0) -> dict[str, Any] | None:
        """Return the entry that a tuple names in one of its directions, None if there is none."""
        self._number += 1
        six = one.src.version == 6  # noqa: PLR2004
        ends = _nla(3 if six else 1, one.src.packed) + _nla(4 if six else 2, one.dst.packed)
        body = _nla(1 | _NESTED, _nla(1 | _NESTED, ends) + _nla(2 | _NESTED, _transport(one)))
        if zone:
            body += _nla(18, struct.pack("!H", zone))
        self._send(_CT | _GET, _REQUEST, body, socket.AF_INET6 if six else socket.AF_INET)
        return self._answered()

    def _answered(self) -> dict[str, Any] | None:
        answer = self._socket.recv(16384)
        length, kind = struct.unpack_from("=IH", answer)
        if kind == _ERROR:
            error = struct.unpack_from("=i", answer, 16)[0]
            if error == _NO_ENTRY:
                return None
            raise OSError(-error, "ctnetlink refuses a look-up")
        return _entry(_attributes(answer[20:length]))

    def flush(self) -> None:
        """Forget all connections."""
        self._send(_CT | _DELETE, _REQUEST | _ACK, b"")
        self._socket.recv(8192)

    def _send(self, kind: int, flags: int, body: bytes, family: int = socket.AF_INET) -> None:
        whole = struct.pack("!BBH", family, 0, 0) + body
        self._socket.send(struct.pack("=IHHII", 16 + len(whole), kind, flags, self._number, 0) + whole)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Events:
    """New and destroyed connections of the namespace in which this is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BIG)
        self._socket.bind((0, 1 | 4))
        self._socket.setblocking(False)  # noqa: FBT003 (its only argument)

    def read(self, port: int | None) -> list[str]:
        """Return ``new`` and ``destroy`` of connections with this port that arrived; None drops all."""
        found = []
        for message in _messages(self._socket):
            if port is None:
                continue
            kind, body = message
            ports = _attributes(_attributes(_attributes(body)[1])[2])
            if port in (struct.unpack("!H", ports[2])[0], struct.unpack("!H", ports[3])[0]):
                found.append("destroy" if kind & 255 == _DELETE else "new")
        return found

    def read_any(self, first: int, count: int) -> list[str]:
        """
        Return ``new`` and ``destroy`` of connections that arrived, of any protocol.

        :param first: the lowest of *count* ports or identifiers that are ours; what has none is ours too.
        """
        found = []
        for kind, body in _messages(self._socket):
            transport = _attributes(_attributes(_attributes(body)[1])[2])
            numbers = [struct.unpack("!H", transport[each])[0] for each in _NUMBERS if each in transport]
            if not numbers or any(first <= each < first + count for each in numbers):
                found.append("destroy" if kind & 255 == _DELETE else "new")
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Log:
    """
    Group 0 of NFLOG in the namespace in which this is made: the tracker's words, and rules' prefixes.

    :param families: whose words.
    """

    def __init__(self, families: tuple[int, ...] = (socket.AF_INET,)) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BIG)
        self.socket.bind((0, 0))
        self._configure(0, _nla(1, b"\x04"))  # unbind whoever has IPv4, then bind it, then group 0
        for family in families:
            self._configure(family, _nla(1, b"\x03"))
        self._configure(socket.AF_INET, _nla(1, b"\x01"))
        self._configure(socket.AF_INET, _nla(2, struct.pack("!IBB", 0, 1, 0)))  # no octets of the packet
        self._configure(socket.AF_INET, _nla(5, struct.pack("!I", 1)))  # every packet at once
        self.socket.setblocking(False)  # noqa: FBT003 (its only argument)

    def _configure(self, family: int, body: bytes) -> None:
        whole = struct.pack("!BBH", family, 0, 0) + body
        self.socket.send(struct.pack("=IHHII", 16 + len(whole), _ULOG | 1, _REQUEST | _ACK, 1, 0) + whole)
        error = struct.unpack_from("=i", self.socket.recv(4096), 16)[0]
        if error:
            raise OSError(-error, "NFLOG refuses to be set up")

    def read(self) -> list[str]:
        """Return the words that arrived."""
        found = []
        for kind, body in _messages(self.socket):
            if kind == _ULOG:
                prefix = _attributes(body).get(10)
                if prefix is not None:
                    found.append(prefix.rstrip(b"\0").decode().strip())
        return found

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _messages(one: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        try:
            octets = one.recv(65536)
        except BlockingIOError:
            return
        except OSError:  # messages were lost: only a flush makes so many at once
            continue
        at = 0
        while at + 16 <= len(octets):
            length, kind = struct.unpack_from("=IH", octets, at)
            yield kind, octets[at + 20 : at + length]
            at += (length + 3) & ~3


def _nla(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(octets: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(octets):
        length, kind = struct.unpack_from("=HH", octets, at)
        if length < 4:  # noqa: PLR2004 - an attribute's own head
            break
        found[kind & 0x3FFF] = octets[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _transport(one: Tuple) -> bytes:
    """What a tuple has behind the addresses (CTA_PROTO_*)."""
    octets = _nla(1, bytes((one.protocol,)))
    if one.protocol in {TCP, UDP, _UDPLITE}:
        return octets + _nla(2, struct.pack("!H", one.sport)) + _nla(3, struct.pack("!H", one.dport))
    if one.icmp_type is not None:
        first = _ICMP_NUMBERS[one.protocol]
        octets += _nla(first, struct.pack("!H", one.sport))
        octets += _nla(first + 1, bytes((one.icmp_type,))) + _nla(first + 2, bytes((one.icmp_code or 0,)))
    return octets


_UDPLITE: Final = 136
#: CTA_PROTO_ICMP_ID and CTA_PROTO_ICMPV6_ID; type and code follow.
_ICMP_NUMBERS: Final = {ICMP: 4, ICMP6: 7}
#: Attributes that hold a port or an identifier.
_NUMBERS: Final = (2, 3, 4, 7)


def _bits(names: tuple[str, ...], value: int) -> list[str]:
    return [name for bit, name in enumerate(names) if value >> bit & 1]


#: CTA_IP_V4_SRC and CTA_IP_V6_SRC.
_SOURCES: Final = (1, 3)


def _entry(said: dict[int, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "status": _bits(_STATUS, int.from_bytes(said[3])),
        "timeout": int.from_bytes(said[7]) if 7 in said else None,  # noqa: PLR2004 - CTA_TIMEOUT
        "source": next(
            octets for kind, octets in _attributes(_attributes(said[1])[1]).items() if kind in _SOURCES
        ),
    }
    if 4 in said:  # noqa: PLR2004 - CTA_PROTOINFO
        tcp = _attributes(_attributes(said[4])[1])
        found["state"] = _STATES[tcp[1][0]]
        scales = [tcp[each][0] for each in (2, 3) if each in tcp]
        flags = [_bits(_FLAGS, tcp[each][0]) for each in (4, 5) if each in tcp]
        found |= {"wscale": scales} if any(scales) else {}
        found |= {"tcpflags": flags} if any(flags) else {}
    return found
