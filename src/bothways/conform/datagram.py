"""
Segments beyond TCP over IPv4: any protocol, both families, as octets on a wire and as the model's packet.

A segment with ``proto``, or one of a sequence with ``family`` 6, is put together here. Its keys:

``proto`` (``tcp``, ``udp``, ``udplite``, ``icmp`` or a number), ``flow`` (0 to 3: which of A's ports or
identifiers), ``len`` (bytes behind the header), ``wait`` (seconds that pass before it), ``zone``, ``half``
(``original`` or ``reply``: the only direction for which the zone holds), ``notrack``; ``badcsum`` and
``trunc`` as for TCP; of UDP ``ulen`` (a length field that is not the true one) and ``nosum`` (no checksum);
of ICMP ``type``, ``code``, ``quote`` (the segment that an error quotes, as its sender sees it), ``hop`` (a
router on the way sent it) and ``astray`` (it goes to another host than it should).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from bothways.conform.recording import Segment
from bothways.conform.segment import FLOATING, A, B, packet_of, segment_octets
from bothways.facts.address import IPAddress, address
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Icmp, Ip, Packet, Tcp, Udp

__all__ = ["ENDS", "FLOWS", "UDPLITE", "Ends", "ip_header", "number_of", "octets_of", "sum_of"]

UDPLITE: Final = 136
#: How many ports or identifiers a sequence may use.
FLOWS: Final = 4
_NUMBERS: Final = {"tcp": TCP, "udp": UDP, "udplite": UDPLITE}
#: B's port, by protocol.
_PORTS: Final = {TCP: 22, UDP: 53, UDPLITE: 53}
_QUOTED: Final = 64
_WRONG: Final = 0x1234  # what a bad checksum differs by
_HEADER: Final = 8


class Ends:
    """
    The addresses of a family: A, B, the router's own that is translated to B, a host beside each end.

    :param version: 4 or 6.
    """

    def __init__(self, version: int, *, a: str, b: str, floating: str, hops: Mapping[str, str]) -> None:
        self.version = version
        self.of: dict[str, IPAddress] = {"A": address(a), "B": address(b)}
        self.floating = address(floating)
        #: A router on the side of A, and of B; also the host to which an error goes astray.
        self.beside: dict[str, IPAddress] = {side: address(text) for side, text in hops.items()}

    def there(self, side: str, *, nat: bool) -> IPAddress:
        """Whom a side talks to."""
        if side == "B":
            return self.of["A"]
        return self.floating if nat else self.of["B"]


ENDS: Final[Mapping[int, Ends]] = MappingProxyType(
    {
        4: Ends(4, a=str(A), b=str(B), floating=str(FLOATING), hops={"A": "10.9.1.3", "B": "10.9.2.3"}),
        6: Ends(
            6, a="fd09:1::2", b="fd09:2::2", floating="fd09:f::df", hops={"A": "fd09:1::3", "B": "fd09:2::3"}
        ),
    }
)


def number_of(segment: Segment, version: int) -> int:
    """The IP protocol of a segment."""
    proto = segment.get("proto", "tcp")
    if proto == "icmp":
        return ICMP if version == 4 else ICMP6  # noqa: PLR2004
    return proto if isinstance(proto, int) else _NUMBERS[proto]


def _addressed(segment: Segment, ends: Ends, *, nat: bool, seen_by: str = "") -> tuple[IPAddress, IPAddress]:
    """Source and destination of a segment; of a quoted one as *seen_by* A or B, who sends the error."""
    side = segment["dir"]
    if seen_by and side != seen_by:
        return ends.there(seen_by, nat=nat), ends.of[seen_by]
    src, dst = ends.of[side], ends.there(side, nat=nat)
    if segment.get("hop"):
        src = ends.beside[side]
    if segment.get("astray"):
        dst = ends.beside["B" if side == "A" else "A"]
    return src, dst


def _ports(segment: Segment, protocol: int, base: int) -> tuple[int, int]:
    ours, theirs = base + segment.get("flow", 0), _PORTS.get(protocol, 0)
    return (ours, theirs) if segment["dir"] == "A" else (theirs, ours)


def octets_of(
    segment: Segment, ends: Ends, base: int, *, nat: bool, seen_by: str = ""
) -> tuple[bytes, Packet]:
    """
    What follows the IP header of a segment, and its packet as the model knows it.

    :param base: the port, or identifier, of flow 0.
    """
    protocol = number_of(segment, ends.version)
    src, dst = _addressed(segment, ends, nat=nat, seen_by=seen_by)
    ip = Ip(src, dst, protocol, 64)
    if protocol == TCP:
        return _tcp(segment, ip, _ports(segment, protocol, base), quoted=bool(seen_by))
    if protocol in {UDP, UDPLITE}:
        return _udp(segment, ip, _ports(segment, protocol, base))
    if protocol in {ICMP, ICMP6}:
        return _icmp(segment, ip, ends, base, nat=nat)
    return b"x" * segment.get("len", 0), Packet(ip=ip)


def _tcp(segment: Segment, ip: Ip, ports: tuple[int, int], *, quoted: bool) -> tuple[bytes, Packet]:
    body = segment_octets(segment, (ip.src, ip.dst), ports)
    packet = packet_of({key: segment[key] for key in _OF_TCP if key in segment}, nat=False)
    tcp = None if packet.tcp is None else replace(packet.tcp, sport=ports[0], dport=ports[1])
    if tcp is None and quoted and len(body) >= _PORTS_END:
        tcp = Tcp(*ports, Flag(0), header_ok=len(body) >= _HEADER)
    return body, Packet(ip=ip, tcp=tcp)


_OF_TCP: Final = ("dir", "flags", "seq", "ack", "win", "len", "opts", "badcsum", "trunc", "doff")


def _udp(segment: Segment, ip: Ip, ports: tuple[int, int]) -> tuple[bytes, Packet]:
    length = segment.get("len", 0)
    claimed = segment.get("ulen", _HEADER + length)
    whole = struct.pack("!HHHH", *ports, claimed, 0) + b"x" * length
    total = sum_of(_pseudo(ip, min(claimed, len(whole))) + whole) or 0xFFFF
    if segment.get("badcsum"):
        total = total ^ _WRONG or 0xFFFF
    if segment.get("nosum"):
        total = 0
    whole = whole[:6] + struct.pack("!H", total) + whole[8:]
    left = whole[: segment["trunc"]] if "trunc" in segment else whole
    if len(left) < _PORTS_END:
        return left, Packet(ip=ip)
    short = len(left) < _HEADER
    malformed = not _HEADER <= claimed <= len(left)
    sound = bool(segment.get("nosum")) or not segment.get("badcsum")
    udp = Udp(*ports, None if short else length, sound, header_ok=not (short or malformed))
    return left, Packet(ip=ip, udp=udp)


_LINK: Final = 14  # bytes of Ethernet
_PORTS_END: Final = 4  # of the header, this is all that a tuple needs


def _icmp(segment: Segment, ip: Ip, ends: Ends, base: int, *, nat: bool) -> tuple[bytes, Packet]:
    kind, code, ident = segment["type"], segment.get("code", 0), base + segment.get("flow", 0)
    inner, quoted = b"", None
    if "quote" in segment:
        inner, quoted = _quoted(segment["quote"], ends, base, nat=nat, seen_by=segment["dir"])
    whole = struct.pack("!BBHHH", kind, code, 0, ident, 0) + inner + b"x" * segment.get("len", 0)
    total = sum_of((_pseudo(ip, len(whole)) if ip.protocol == ICMP6 else b"") + whole)
    if segment.get("badcsum"):
        total ^= _WRONG
    whole = whole[:2] + struct.pack("!H", total) + whole[4:]
    left = whole[: segment["trunc"]] if "trunc" in segment else whole
    if len(left) < _HEADER:
        return left, Packet(ip=ip)
    icmp = Icmp(kind, code, ident, 0, quoted, checksum_ok=not segment.get("badcsum"))
    return left, Packet(ip=ip, icmp=icmp, length=_LINK + len(left) + (20 if ends.version == 4 else 40))  # noqa: PLR2004 (IPv4)


def _quoted(quote: Segment, ends: Ends, base: int, *, nat: bool, seen_by: str) -> tuple[bytes, Packet]:
    body, packet = octets_of(quote, ends, base, nat=nat, seen_by=seen_by)
    ip = packet.ip
    if ip is None:
        raise ValueError(quote)
    return ip_header(ip, len(body)) + body[:_QUOTED], packet


def ip_header(ip: Ip, length: int, ident: int = 0, traffic_class: int = 0) -> bytes:
    """
    Return an IP header before *length* bytes: don't fragment, 64 hops.

    :param ident: stands in IPv4's identification, in IPv6's flow label.
    """
    if ip.src.version == 6:  # noqa: PLR2004
        first = 6 << 28 | traffic_class << 20 | ident
        return struct.pack("!IHBB", first, length, ip.protocol, 64) + ip.src.packed + ip.dst.packed
    head = struct.pack("!BBHHHBB", 0x45, traffic_class, 20 + length, ident, 0x4000, 64, ip.protocol)
    ends = ip.src.packed + ip.dst.packed
    return head + struct.pack("!H", sum_of(head + ends)) + ends


def _pseudo(ip: Ip, length: int) -> bytes:
    return ip.src.packed + ip.dst.packed + struct.pack("!II", length, ip.protocol)


def sum_of(octets: bytes) -> int:
    """RFC 1071: the sum of 16-bit words is the number modulo 0xffff."""
    total = int.from_bytes(octets + bytes(len(octets) % 2)) % 0xFFFF
    return ~total & 0xFFFF
