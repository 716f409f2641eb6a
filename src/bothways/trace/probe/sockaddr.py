"""Addresses as tracepoints carry them: a ``sockaddr`` of 28 bytes, or fields for each family."""

import socket
import struct
from typing import NamedTuple, Optional

from bothways.trace.probe.packet import Packet, blank
from bothways.trace.probe.tracefs_format import Format

__all__ = ["Ends", "connection", "ends"]

_INET, _INET6 = 2, 10


class Ends(NamedTuple):
    """Both ends of what a tracepoint is about, as it prints them; a port is None where it has none."""

    family: int
    source: str
    source_port: Optional[int]
    destination: str
    destination_port: Optional[int]

    def turned(self) -> "Ends":
        """The other direction."""
        return Ends(self.family, self.destination, self.destination_port, self.source, self.source_port)


def ends(form: Format, data: bytes) -> Optional[Ends]:
    """Read both ends from a record; None where it has none, or is of another family."""
    source, destination = form.octets(data, "saddr"), form.octets(data, "daddr")
    if source is None or destination is None:
        return _routed(form, data)
    if len(source) == 28 and len(destination) == 28:
        return _sockaddrs(source, destination)
    family = form.number(data, "family")
    if family == _INET6:
        source, destination = form.octets(data, "saddr_v6"), form.octets(data, "daddr_v6")
    return _plain(
        family or _INET, source, destination, form.number(data, "sport"), form.number(data, "dport")
    )


def _routed(form: Format, data: bytes) -> Optional[Ends]:
    source, destination = form.octets(data, "src"), form.octets(data, "dst")
    family = _INET6 if source is not None and len(source) == 16 else _INET
    return _plain(family, source, destination, form.number(data, "sport"), form.number(data, "dport"))


def _plain(
    family: int,
    source: Optional[bytes],
    destination: Optional[bytes],
    source_port: Optional[int],
    destination_port: Optional[int],
) -> Optional[Ends]:
    kinds = {_INET: (socket.AF_INET, 4), _INET6: (socket.AF_INET6, 16)}
    if family not in kinds or source is None or destination is None:
        return None
    kind, size = kinds[family]
    if len(source) < size or len(destination) < size:
        return None
    return Ends(
        4 if family == _INET else 6,
        socket.inet_ntop(kind, source[:size]),
        source_port or None,
        socket.inet_ntop(kind, destination[:size]),
        destination_port or None,
    )


def _sockaddrs(source: bytes, destination: bytes) -> Optional[Ends]:
    (family,) = struct.unpack_from("<H", source)
    ports = [struct.unpack_from("!H", each, 2)[0] for each in (source, destination)]
    start, size = (8, 16) if family == _INET6 else (4, 4)
    return _plain(family, source[start : start + size], destination[start : start + size], ports[0], ports[1])


def connection(found: Optional[Ends], protocol: Optional[str]) -> Optional[Packet]:
    """A packet of which no more than the ends are known."""
    if found is None:
        return None
    packet = blank(found.family)
    packet.update(found._asdict(), protocol=protocol)
    return packet
