"""The bytes of a pcap in another numbering: addresses, ports, VNI and indexes, checksums adjusted."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Numbers", "renumber_pcap"]

_ETHERNET, _SLL, _SLL2 = 1, 113, 276
_VXLAN: Final = 4789
#: ICMP errors: they quote the packet that they are about.
_QUOTES: Final = frozenset({3, 5, 11, 12})


class Numbers(Protocol):
    """What is renumbered in a frame; addresses are numbers of 32 and 48 bits."""

    def address(self, value: int) -> int: ...
    def mac(self, value: int) -> int: ...
    def tcp_port(self, value: int) -> int: ...
    def vni(self, value: int) -> int: ...
    def index(self, value: int) -> int: ...


def renumber_pcap(data: bytes, numbers: Numbers) -> bytes:
    """Rewrite a pcap file of microseconds and little endian, as tcpdump writes it here."""
    magic, link = struct.unpack_from("<I16xI", data)
    if magic != 0xA1B2C3D4:
        raise ValueError("not a pcap of this machine's kind")
    out, at = [data[:24]], 24
    while at + 16 <= len(data):
        (kept,) = struct.unpack_from("<8xI", data, at)
        frame = data[at + 16 : at + 16 + kept]
        out += [data[at : at + 16], _LINKS[link](frame, numbers)]
        at += 16 + kept
    return b"".join(out)


def _ethernet(frame: bytes, numbers: Numbers) -> bytes:
    if len(frame) < 14:
        return frame
    head = _mac(frame[:6], numbers) + _mac(frame[6:12], numbers)
    (kind,) = struct.unpack_from("!H", frame, 12)
    return head + frame[12:14] + _payload(kind, frame[14:], numbers)


def _sll(frame: bytes, numbers: Numbers) -> bytes:
    (kind,) = struct.unpack_from("!H", frame, 14)
    return frame[:6] + _mac(frame[6:12], numbers) + frame[12:16] + _payload(kind, frame[16:], numbers)


def _sll2(frame: bytes, numbers: Numbers) -> bytes:
    kind, index, size = struct.unpack_from("!HxxIxxxB", frame)
    address = _mac(frame[12:18], numbers) if size == 6 else frame[12:18]
    head = frame[:4] + struct.pack("!I", numbers.index(index)) + frame[8:12] + address + frame[18:20]
    return head + _payload(kind, frame[20:], numbers)


_LINKS: Final[dict[int, Callable[[bytes, Numbers], bytes]]] = {
    _ETHERNET: _ethernet,
    _SLL: _sll,
    _SLL2: _sll2,
}


def _payload(kind: int, data: bytes, numbers: Numbers) -> bytes:
    rewrite = {0x0800: _ipv4, 0x0806: _arp}.get(kind)
    return data if rewrite is None else rewrite(data, numbers)


def _mac(data: bytes, numbers: Numbers) -> bytes:
    return numbers.mac(int.from_bytes(data)).to_bytes(6)


def _address(data: bytes, numbers: Numbers) -> bytes:
    return numbers.address(int.from_bytes(data)).to_bytes(4)


def _arp(data: bytes, numbers: Numbers) -> bytes:
    if len(data) < 28:
        return data
    pairs = [_mac(data[at : at + 6], numbers) + _address(data[at + 6 : at + 10], numbers) for at in (8, 18)]
    return data[:8] + b"".join(pairs) + data[28:]


def _ipv4(data: bytes, numbers: Numbers) -> bytes:
    if len(data) < 20:
        return data
    size = (data[0] & 15) * 4
    total, fragment, protocol, checksum = struct.unpack_from("!2xH2xHxBH", data)
    ends = _address(data[12:16], numbers) + _address(data[16:20], numbers)
    checksum = _adjusted(checksum, data[12:20], ends)
    head = data[:10] + struct.pack("!H", checksum) + ends + data[20:size]
    rewrite = {1: _icmp, 6: _tcp, 17: _udp}.get(protocol)
    body = data[size:]
    if rewrite is not None and not fragment & 0x1FFF:
        pseudo = struct.pack("!HH", protocol, total - size)
        body = rewrite(body, numbers, data[12:20] + pseudo, ends + pseudo)
    return head + body


def _tcp(data: bytes, numbers: Numbers, old: bytes, new: bytes) -> bytes:
    if len(data) < 4:
        return data
    ports = [numbers.tcp_port(port) for port in struct.unpack_from("!HH", data)]
    head = struct.pack("!HH", *ports)
    if len(data) < 18:
        return head + data[4:]
    (checksum,) = struct.unpack_from("!H", data, 16)
    left_to_hardware = checksum == _sum(old)  # only the pseudo header is summed up
    checksum = _sum(new) if left_to_hardware else _adjusted(checksum, old + data[:4], new + head)
    return head + data[4:16] + struct.pack("!H", checksum) + data[18:]


def _udp(data: bytes, numbers: Numbers, old: bytes, new: bytes) -> bytes:
    if len(data) < 8:
        return data
    port, checksum = struct.unpack_from("!2xH2xH", data)
    body = data[8:]
    if port == _VXLAN and len(body) >= 8:
        (word,) = struct.unpack_from("!I", body, 4)
        vni = struct.pack("!I", numbers.vni(word >> 8) << 8 | word & 0xFF)
        body = body[:4] + vni + _ethernet(body[8:], numbers)
    if checksum:
        checksum = _adjusted(checksum, old + data[8:], new + body) or 0xFFFF
    return data[:6] + struct.pack("!H", checksum) + body


def _icmp(data: bytes, numbers: Numbers, _old: bytes, _new: bytes) -> bytes:
    if len(data) < 8 or data[0] not in _QUOTES:
        return data
    (checksum,) = struct.unpack_from("!H", data, 2)
    quoted = _ipv4(data[8:], numbers)
    return data[:2] + struct.pack("!H", _adjusted(checksum, data[8:], quoted)) + data[4:8] + quoted


def _sum(data: bytes) -> int:
    """The sum of all 16-bit words in ones' complement."""
    words = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _adjusted(checksum: int, old: bytes, new: bytes) -> int:
    """The checksum after *old* became *new* (RFC 1624, equation 3); a wrong one stays as wrong."""
    total = ((~checksum & 0xFFFF) - _sum(old) + _sum(new)) % 0xFFFF
    return ~(total or 0xFFFF) & 0xFFFF
