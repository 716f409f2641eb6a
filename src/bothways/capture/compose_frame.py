"""
A packet as the bytes of a frame: the way back from what the decoders of this room read.

Layouts are those of RFC 826, 791, 8200, 9293, 768, 792, 4443 and 7348; checksums are right (RFC 1071). What a
packet does not know is written as zero, payload is zero bytes, and a TCP header gets the options that the
packet names, in the order in which Linux writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from bothways.capture.icmp_details import compose_details
from bothways.facts.address import Mac, mac_to_int
from bothways.facts.packet import (
    ETH_ARP,
    ETH_IP,
    ETH_IP6,
    ICMP6,
    Arp,
    Icmp,
    Ip,
    Packet,
    Tcp,
    TcpOptions,
    Udp,
)
from bothways.facts.packet import UDP as UDP_PROTOCOL

__all__ = ["compose_cooked", "compose_frame", "compose_tunnelled"]

_WORD: Final = 0xFFFFFFFF
_VLAN: Final = 0x8100
_V4: Final = 4
#: Octets of the offending packet that an ICMP error carries behind its IP header, RFC 792.
_QUOTED: Final = 8
_SLL2: Final = struct.Struct("!HHIHBB8s")
_ETHERNET_DEVICE: Final = 1
_VXLAN_VALID: Final = 0x08000000


def compose_frame(packet: Packet) -> bytes:
    """
    Compose an Ethernet frame.

    A packet without IP and ARP gives a link header and nothing behind it.
    """
    ethernet = packet.ethernet
    kind, content = _network(packet)
    tag = b"" if ethernet.vlan is None else struct.pack("!HH", _VLAN, ethernet.vlan)
    return _mac(ethernet.dst) + _mac(ethernet.src) + tag + struct.pack("!H", kind) + content


def compose_cooked(frame: bytes, *, ifindex: int, packet_type: int) -> bytes:
    """
    Turn an Ethernet frame into what a capture of all devices holds: LINKTYPE_LINUX_SLL2.

    :param packet_type: 0 to this host, 1 broadcast, 2 multicast, 3 to another station, 4 sent.
    """
    kind = int.from_bytes(frame[12:14])
    return _SLL2.pack(kind, 0, ifindex, _ETHERNET_DEVICE, packet_type, 6, frame[6:12]) + frame[14:]


def compose_tunnelled(packet: Packet, outer: Packet, vni: int) -> bytes:
    """
    Compose a frame that carries another one in VXLAN.

    :param outer: link, IP and UDP header around it; their lengths follow from what they carry.
    """
    payload = struct.pack("!II", _VXLAN_VALID, vni << 8) + compose_frame(packet)
    if outer.ip is None or outer.udp is None:
        return compose_frame(packet)
    # RFC 7348 and Linux leave the outer UDP checksum of IPv4 zero.
    header = struct.pack("!HHHH", outer.udp.sport, outer.udp.dport, 8 + len(payload), 0)
    if outer.ip.src.version != _V4:
        header = _summed(header + payload, outer.ip, 6)[:8]
    kind, content = _ip(outer.ip, header + payload)
    return _mac(outer.ethernet.dst) + _mac(outer.ethernet.src) + struct.pack("!H", kind) + content


def _mac(value: Mac) -> bytes:
    return mac_to_int(value).to_bytes(6)


def _network(packet: Packet) -> tuple[int, bytes]:
    if packet.arp is not None:
        return ETH_ARP, _arp(packet.arp)
    if packet.ip is None:
        return packet.ethernet.type, b""
    return _ip(packet.ip, _transport(packet, packet.ip))


def _arp(arp: Arp) -> bytes:
    ends = _mac(arp.sha) + arp.spa.packed + _mac(arp.tha) + arp.tpa.packed
    return struct.pack("!HHBBH", 1, ETH_IP, 6, 4, arp.op) + ends


def _ip(ip: Ip, body: bytes) -> tuple[int, bytes]:
    ttl, tos = ip.ttl or 0, ip.tos or 0
    if ip.src.version == _V4:
        fragment = (0x4000 if ip.df else 0) | (0x2000 if ip.more else 0) | ip.offset // 8
        fields = (0x45, tos, 20 + len(body), ip.id or 0, fragment, ttl, ip.protocol)
        header = struct.pack("!BBHHHBBH", *fields, 0) + ip.src.packed + ip.dst.packed
        return ETH_IP, header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + body
    header = struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), ip.protocol, ttl)
    return ETH_IP6, header + ip.src.packed + ip.dst.packed + body


def _transport(packet: Packet, ip: Ip) -> bytes:
    if packet.tcp is not None:
        return _tcp(packet.tcp, ip)
    if packet.udp is not None:
        return _udp(packet.udp, ip)
    if packet.icmp is not None:
        return _icmp(packet.icmp, ip)
    return b""


def _tcp(tcp: Tcp, ip: Ip) -> bytes:
    options = _options(tcp.options)
    offset = (20 + len(options)) // 4 << 4
    numbers = (tcp.seq or 0) & _WORD, (tcp.ack or 0) & _WORD
    header = struct.pack(
        "!HHIIBBHHH", tcp.sport, tcp.dport, *numbers, offset, int(tcp.flags), tcp.window or 0, 0, 0
    )
    return _summed(header + options + bytes(tcp.length or 0), ip, 16)


def _udp(udp: Udp, ip: Ip) -> bytes:
    payload = bytes(udp.length or 0)
    return _summed(struct.pack("!HHHH", udp.sport, udp.dport, 8 + len(payload), 0) + payload, ip, 6)


def _icmp(icmp: Icmp, ip: Ip) -> bytes:
    quoted = b"" if icmp.inner is None else _quoted(icmp.inner)
    details = compose_details(icmp, ip.protocol)
    rest = struct.pack("!HH", icmp.id or 0, icmp.seq or 0) if details is None else details
    body = struct.pack("!BBH", icmp.type, icmp.code, 0) + rest + quoted
    if ip.protocol == ICMP6:
        return _summed(body, ip, 2)
    return body[:2] + struct.pack("!H", _checksum(body)) + body[4:]


def _quoted(packet: Packet) -> bytes:
    if packet.ip is None:
        return b""
    content = _network(packet)[1]
    header = 20 if packet.ip.src.version == _V4 else 40
    return content[: header + _QUOTED]


def _summed(segment: bytes, ip: Ip, at: int) -> bytes:
    """The segment with its checksum at an offset: pseudo header of RFC 9293 3.1 or RFC 8200 8.1."""
    pseudo = ip.src.packed + ip.dst.packed + struct.pack("!II", len(segment), ip.protocol)
    total = _checksum(pseudo + segment)
    if ip.protocol == UDP_PROTOCOL:
        total = total or 0xFFFF  # zero stands for "no checksum"
    return segment[:at] + struct.pack("!H", total) + segment[at + 2 :]


def _checksum(data: bytes) -> int:
    padded = data + b"\0" if len(data) % 2 else data
    total = int.from_bytes(padded) % 0xFFFF
    return 0xFFFF - total if total or not any(padded) else 0


_OPTIONS: Final[Mapping[str, Callable[[TcpOptions], bytes]]] = {
    "mss": lambda o: b"" if o.mss is None else struct.pack("!BBH", 2, 4, o.mss),
    "sack_ok": lambda o: b"\4\2" if o.sack_ok else b"",
    "timestamp": lambda o: b"" if o.timestamp is None else struct.pack("!BBII", 8, 10, *o.timestamp),
    "wscale": lambda o: b"" if o.wscale is None else struct.pack("!BBB", 3, 3, o.wscale),
    "sack": lambda o: _sack(o.sack),
}


def _options(options: TcpOptions) -> bytes:
    written = b"".join(write(options) for write in _OPTIONS.values())
    return b"\1" * (-len(written) % 4) + written


def _sack(blocks: tuple[tuple[int, int], ...]) -> bytes:
    if not blocks:
        return b""
    return struct.pack("!BB", 5, 2 + 8 * len(blocks)) + b"".join(struct.pack("!II", *each) for each in blocks)
