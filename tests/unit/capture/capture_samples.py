"""Frames built byte by byte, as a kernel would put them on the wire, and pcap files that hold them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.capture.layers import Layers
from bothways.capture.link_layer import decode_ethernet
from bothways.capture.pcap import read_pcap
from bothways.facts.packet import Packet
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Problem

__all__ = [
    "CLIENT",
    "CLIENT6",
    "LITTLE",
    "MAC1",
    "MAC2",
    "OPTIONS",
    "SERVER",
    "SERVER6",
    "TAP",
    "arp",
    "checksum",
    "decoded",
    "ether",
    "icmp",
    "icmp6",
    "ip4",
    "ip6",
    "packet_of",
    "pcap",
    "record",
    "seen",
    "sll",
    "sll2",
    "tcp",
    "tcp6",
    "udp",
    "vxlan",
]

TAP: Final = Tap("host1", "root", "eth0")
MAC1: Final = "02:00:00:00:00:01"
MAC2: Final = "02:00:00:00:00:02"
CLIENT: Final = "192.0.2.1"
SERVER: Final = "198.51.100.22"
CLIENT6: Final = "2001:db8::1"
SERVER6: Final = "2001:db8::22"
#: byte order and magic of the usual file
LITTLE: Final = ("<", 0xA1B2C3D4)
#: mss 1460, sackOK, TS val 7 ecr 8, nop, wscale 7
OPTIONS: Final = bytes.fromhex("020405b4 0402 080a 00000007 00000008 01 030307")


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _address(text: str) -> bytes:
    return IPv6Address(text).packed if ":" in text else IPv4Address(text).packed


def checksum(data: bytes) -> int:
    """RFC 1071, word by word and unlike the code that is tested."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(
    payload: bytes,
    kind: int = 0x0800,
    *,
    src: str = MAC1,
    dst: str = MAC2,
    tags: Iterable[tuple[int, int]] = (),
) -> bytes:
    """:param tags: (tag type, tag control word) from the outside in."""
    header = _mac(dst) + _mac(src)
    for tag, control in tags:
        header += struct.pack("!HH", tag, control)
    return header + struct.pack("!H", kind) + payload


def ip4(
    payload: bytes,
    *,
    src: str = CLIENT,
    dst: str = SERVER,
    protocol: int = 6,
    ttl: int = 64,
    ident: int = 0x1234,
    tos: int = 0,
    fragment: int = 0x4000,
    options: bytes = b"",
    total: int | None = None,
) -> bytes:
    size = 20 + len(options)
    total = size + len(payload) if total is None else total
    first = 0x40 | size // 4
    header = struct.pack(
        "!BBHHHBBH4s4s",
        first, tos, total, ident, fragment, ttl, protocol, 0, _address(src), _address(dst),
    ) + options  # fmt: skip
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ip6(
    payload: bytes,
    *,
    src: str = CLIENT6,
    dst: str = SERVER6,
    following: int = 6,
    hops: int = 64,
    tclass: int = 0,
    length: int | None = None,
) -> bytes:
    size = len(payload) if length is None else length
    return (
        struct.pack("!IHBB", 0x60000000 | tclass << 20, size, following, hops)
        + _address(src)
        + _address(dst)
        + payload
    )


def _pseudo(src: str, dst: str, protocol: int, segment: bytes) -> bytes:
    return _address(src) + _address(dst) + struct.pack("!II", len(segment), protocol) + segment


def tcp(
    payload: bytes = b"",
    *,
    src: str = CLIENT,
    dst: str = SERVER,
    sport: int = 17350,
    dport: int = 22,
    flags: int = 0x02,
    seq: int = 1000,
    ack: int = 0,
    window: int = 64240,
    options: bytes = b"",
    offset: int | None = None,
    urgent: int = 0,
    broken: bool = False,
) -> bytes:
    """A segment with a right checksum, or with one bit of it flipped."""
    words = (20 + len(options)) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, window, 0, urgent)
    segment = head + options + payload
    total = checksum(_pseudo(src, dst, 6, segment)) ^ broken
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def tcp6(payload: bytes = b"", *, flags: int = 0x02, broken: bool = False) -> bytes:
    """The same between the IPv6 addresses of this page."""
    return tcp(payload, src=CLIENT6, dst=SERVER6, flags=flags, broken=broken)


def udp(
    payload: bytes = b"",
    *,
    src: str = CLIENT,
    dst: str = SERVER,
    sport: int = 40000,
    dport: int = 53,
    length: int | None = None,
) -> bytes:
    size = 8 + len(payload) if length is None else length
    datagram = struct.pack("!HHHH", sport, dport, size, 0) + payload
    total = checksum(_pseudo(src, dst, 17, datagram)) or 0xFFFF
    return datagram[:6] + struct.pack("!H", total) + datagram[8:]


def icmp(kind: int, code: int = 0, rest: bytes = b"\0\0\0\0", payload: bytes = b"") -> bytes:
    message = struct.pack("!BBH", kind, code, 0) + rest + payload
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmp6(
    kind: int,
    code: int = 0,
    rest: bytes = b"\0\0\0\0",
    payload: bytes = b"",
    *,
    src: str = CLIENT6,
    dst: str = SERVER6,
) -> bytes:
    message = struct.pack("!BBH", kind, code, 0) + rest + payload
    return message[:2] + struct.pack("!H", checksum(_pseudo(src, dst, 58, message))) + message[4:]


def arp(
    op: int = 1, *, sha: str = MAC1, spa: str = CLIENT, tha: str = "00:" * 5 + "00", tpa: str = SERVER
) -> bytes:
    return struct.pack(
        "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, op, _mac(sha), _address(spa), _mac(tha), _address(tpa)
    )


def vxlan(
    frame: bytes,
    *,
    vni: int = 0x43E,
    flags: int = 0x08,
    dport: int = 4789,
    src: str = "10.1.0.11",
    dst: str = "10.1.0.15",
) -> bytes:
    """A whole outer frame."""
    header = struct.pack("!II", flags << 24, vni << 8)
    datagram = udp(header + frame, src=src, dst=dst, sport=51234, dport=dport)
    return ether(ip4(datagram, src=src, dst=dst, protocol=17))


def sll(payload: bytes, kind: int = 0x0800, *, way: int = 0, hardware: int = 1, src: str = MAC1) -> bytes:
    return struct.pack("!HHH8sH", way, hardware, 6, _mac(src) + b"\0\0", kind) + payload


def sll2(
    payload: bytes, kind: int = 0x0800, *, ifindex: int = 2, way: int = 0, hardware: int = 1, src: str = MAC1
) -> bytes:
    return struct.pack("!HHIHBB8s", kind, 0, ifindex, hardware, way, 6, _mac(src) + b"\0\0") + payload


def record(
    frame: bytes,
    *,
    seconds: int = 1_700_000_000,
    fraction: int = 0,
    wire: int | None = None,
    order: str = "<",
    captured: int | None = None,
) -> bytes:
    kept = len(frame) if captured is None else captured
    return struct.pack(f"{order}IIII", seconds, fraction, kept, len(frame) if wire is None else wire) + frame


def pcap(
    *frames: bytes,
    link: int = 1,
    kind: tuple[str, int] = LITTLE,
    fractions: Iterable[int] = (),
    snaplen: int = 262144,
) -> bytes:
    """One record a frame, a millisecond apart unless *fractions* says otherwise; cut at *snaplen*."""
    order, magic = kind
    given = list(fractions) or [number * 1000 for number in range(len(frames))]
    records = [
        record(frame[:snaplen], fraction=fraction, wire=len(frame), order=order)
        for frame, fraction in zip(frames, given, strict=True)
    ]
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, link) + b"".join(records)


def seen(
    data: bytes, *, tap: Tap = TAP, names: Mapping[int, str] | None = None
) -> tuple[tuple[Sighting, ...], tuple[Problem, ...]]:
    return read_pcap(data, tap=tap, file="hosts/host1/captures/root/eth0.pcap", names=names)


def decoded(frame: bytes) -> Layers:
    """The layers of an Ethernet frame that must be decodable."""
    layers = decode_ethernet(frame, len(frame))
    assert isinstance(layers, Layers), layers
    return layers


def packet_of(frame: bytes) -> Packet:
    """The packet of an Ethernet frame that must be decodable."""
    return decoded(frame).packet
