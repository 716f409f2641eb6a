"""
A recorded segment as octets on a wire, and as the packet that the model knows.

The model is given what a capture would show, and the acknowledgement field also where no ACK flag is set: the
kernel looks at it for a RST. A sound segment is turned into its packet directly, for speed; one with a
damaged header or with raw options takes the long way: it is put on the wire and read back by ``capture``.
A test holds both roads against each other.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from bothways.capture.layers import Layers
from bothways.capture.network_layer import decode_ip_by_version
from bothways.conform.recording import Segment
from bothways.facts.address import IPAddress, address
from bothways.facts.once import once
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp, TcpOptions

__all__ = [
    "DPORT", "FLOATING", "LETTERS", "SPORT", "A", "B",
    "header_options", "ip_octets", "options_octets", "packet_of", "segment_octets",
]  # fmt: skip

A: Final = address("10.9.1.2")
B: Final = address("10.9.2.2")
#: The router's own address that it translates to B.
FLOATING: Final = address("192.168.111.223")
SPORT: Final = 1025
DPORT: Final = 22
#: Letters of a recording, in the order in which it writes them.
LETTERS: Final = {
    "F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH,
    "A": Flag.ACK, "U": Flag.URG, "E": Flag.ECE, "C": Flag.CWR,
}  # fmt: skip
_WORD: Final = 0xFFFFFFFF
_NO_OPTIONS: Final = TcpOptions(size=0)
_ETHERNET: Final = Ethernet()
#: (A sends, nat) -> IP header.
_IP: Final = {
    (True, False): Ip(A, B, TCP),
    (True, True): Ip(A, FLOATING, TCP),
    (False, False): Ip(B, A, TCP),
    (False, True): Ip(B, A, TCP),
}
_WRONG: Final = 0x1234  # what a bad checksum differs by


def packet_of(segment: Segment, *, nat: bool) -> Packet:
    """
    Return the packet of a segment between A:1025 and B:22.

    The acknowledgement is the field itself, ACK or not: the kernel looks at it for a RST.
    """
    options, sound = _NO_OPTIONS, True
    if len(segment) > _PLAIN:
        if _long_way(segment):
            return _read_back(segment, nat=nat)
        sound = not segment.get("badcsum")
        if "opts" in segment:
            options = _options(segment)
    forth = segment["dir"] == "A"
    sport, dport = (SPORT, DPORT) if forth else (DPORT, SPORT)
    tcp = Tcp(
        sport,
        dport,
        _flags(segment["flags"]),
        segment["seq"],
        segment["ack"],
        segment["win"],
        segment["len"],
        options,
        False,  # noqa: FBT003 (by place, as it is quicker: the numbers are absolute)
        sound,
        True,  # noqa: FBT003 (by place: the header is sound)
    )
    return Packet(_ETHERNET, _IP[forth, nat], None, tcp)


_PLAIN: Final = 6


def _long_way(segment: Segment) -> bool:
    return "trunc" in segment or "doff" in segment or "raw" in segment.get("opts", ())


@once
def _flags(letters: str) -> Flag:
    flags = Flag(0)
    for letter in letters:
        flags |= LETTERS[letter]
    return flags


def _options(segment: Segment) -> TcpOptions:
    said = segment["opts"]
    if not said:
        return _NO_OPTIONS
    stamp = said.get("ts")
    return TcpOptions(
        said.get("mss"),
        said.get("wscale"),
        bool(said.get("sackok")),
        None if stamp is None else (stamp[0], stamp[1]),
        tuple((left, right) for left, right in said.get("sack", ())),
        sum(4 for name in ("mss", "wscale", "sackok") if name in said)
        + (0 if stamp is None else 12)
        + (4 + 8 * len(said["sack"]) if "sack" in said else 0),
    )


def options_octets(segment: Segment) -> bytes:
    """Return the options as octets, padded to whole words."""
    said = segment.get("opts") or {}
    octets: bytes = b""
    if "mss" in said:
        octets += struct.pack("!BBH", 2, 4, said["mss"])
    if "wscale" in said:
        octets += struct.pack("!BBBB", 1, 3, 3, said["wscale"])
    if said.get("sackok"):
        octets += b"\x01\x01\x04\x02"
    if "ts" in said:
        octets += struct.pack("!BBBBII", 1, 1, 8, 10, *said["ts"])
    if "sack" in said:
        octets += struct.pack("!BBBB", 1, 1, 5, 2 + 8 * len(said["sack"]))
        for left, right in said["sack"]:
            octets += struct.pack("!II", left, right)
    if "raw" in said:
        octets += bytes.fromhex(said["raw"])
    padded: bytes = octets + bytes(-len(octets) % 4)
    return padded


def header_options(segment: Segment) -> bytes:
    """Return what lies between the first 20 octets and the data, by the data offset that the header tells."""
    sound = options_octets(segment)
    size: int = segment["doff"] * 4 - _HEADER if "doff" in segment else len(sound)
    following: bytes = sound + b"x" * segment["len"]
    return following[: max(0, size)]


def segment_octets(segment: Segment, ends: tuple[IPAddress, IPAddress], ports: tuple[int, int]) -> bytes:
    """Return TCP header and payload, with the damage that the recording asks for."""
    options = options_octets(segment)
    flags = _flags(segment["flags"])
    doff = segment.get("doff", 5 + len(options) // 4)
    numbers = (segment["seq"] & _WORD, segment["ack"] & _WORD, doff << 4, int(flags), segment["win"])
    head = struct.pack("!HHIIBBHHH", *ports, *numbers, 0, 1 if flags & Flag.URG else 0)
    whole: bytes = head + options + b"x" * segment["len"]
    total = _sum(ends[0].packed + ends[1].packed + struct.pack("!HH", TCP, len(whole)) + whole)
    if segment.get("badcsum"):
        total ^= _WRONG
    whole = whole[:16] + struct.pack("!H", total) + whole[18:]
    return whole[: segment["trunc"]] if "trunc" in segment else whole


def ip_octets(ends: tuple[IPAddress, IPAddress], body: bytes, ident: int = 0) -> bytes:
    """Put an IPv4 header before *body*: don't fragment, 64 hops."""
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), ident, 0x4000, 64, TCP, 0, ends[0].packed, ends[1].packed
    )
    return header[:10] + struct.pack("!H", _sum(header)) + header[12:] + body


def _sum(octets: bytes) -> int:
    """RFC 1071: the sum of 16-bit words is the number modulo 0xffff."""
    total = int.from_bytes(octets + bytes(len(octets) % 2)) % 0xFFFF
    return ~total & 0xFFFF


def _read_back(segment: Segment, *, nat: bool) -> Packet:
    ip = _IP[segment["dir"] == "A", nat]
    ends = (ip.src, ip.dst)
    ports = (SPORT, DPORT) if segment["dir"] == "A" else (DPORT, SPORT)
    body = segment_octets(segment, ends, ports)
    raw = ip_octets(ends, body)
    layers = decode_ip_by_version(raw, len(raw))
    if isinstance(layers, Layers):
        seen = layers.packet.tcp
        if seen is None:
            return layers.packet
        size = (body[12] >> 4) * 4 - _HEADER  # a capture need not tell it
        options = replace(seen.options, size=size)
        tcp = replace(seen, ack=segment["ack"], options=options, header_ok=True)
        return replace(layers.packet, tcp=tcp)
    if len(body) < _HEADER:
        return Packet(_ETHERNET, ip)
    numbers = (segment["seq"], segment["ack"], segment["win"])
    tcp = Tcp(*ports, _flags(segment["flags"]), *numbers, header_ok=False)
    return Packet(_ETHERNET, ip, None, tcp)


_HEADER: Final = 20
