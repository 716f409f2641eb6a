"""
The headers of a packet, from its bytes: what a tier without BPF programs fetches, and reads here.

IPv4 and IPv6 with extension headers, TCP, UDP, ICMP and ICMPv6 with the packet that an error quotes, and
VXLAN and Geneve with the packet inside. What the bytes do not reach is None: they are often only the first
hundred of a packet.
"""

import socket
import struct
from typing import Callable, Dict, Optional, Tuple

__all__ = ["FLAGS", "Packet", "blank", "ether_packet", "identity", "ip_packet"]

Packet = Dict[str, object]

#: letters of the TCP flags as tcpdump writes them, by bit
FLAGS = ((1, "F"), (2, "S"), (4, "R"), (8, "P"), (16, "."), (32, "U"), (64, "E"), (128, "W"))

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
_ERRORS = {"icmp": frozenset({3, 4, 5, 11, 12}), "icmpv6": frozenset({1, 2, 3, 4})}
_EXTENSIONS = frozenset(
    {0, 43, 60, 135}
)  # hop-by-hop, routing, destination options, mobility: length in 8-octet units
_FRAGMENT, _AUTHENTICATION = 44, 51
_VXLAN_PORTS, _GENEVE_PORT = frozenset({4789, 8472}), 6081
_DEEPEST = 2  # packets in packets
_ETHER = {0x0800: 4, 0x86DD: 6}
_TAGS = frozenset({0x8100, 0x88A8})


def blank(family: int) -> Packet:
    """Begin a packet of which nothing but the family is known."""
    return {
        "family": family,
        "protocol": None,
        "source": None,
        "source_port": None,
        "destination": None,
        "destination_port": None,
        "flags": None,
        "seq": None,
        "ack": None,
        "window": None,
        "ip_id": None,
        "ttl": None,
        "length": None,
        "icmp_type": None,
        "icmp_code": None,
        "quoted": None,
        "vni": None,
        "inner": None,
    }


def ether_packet(frame: bytes, depth: int = 0) -> Optional[Packet]:
    """
    Read the IP packet in an Ethernet frame, behind VLAN tags.

    None for another protocol, or too few bytes.
    """
    at = 12
    while len(frame) >= at + 2:
        (kind,) = struct.unpack_from("!H", frame, at)
        if kind not in _TAGS:
            return ip_packet(frame[at + 2 :], depth) if kind in _ETHER else None
        at += 4
    return None


def ip_packet(data: bytes, depth: int = 0) -> Optional[Packet]:
    """
    Read the packet that starts with an IPv4 or IPv6 header; None for bytes that are neither.

    :param depth: how many packets stand around this one.
    """
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        return _ipv4(data, depth)
    if version == 6 and len(data) >= 40:
        return _ipv6(data, depth)
    return None


def _ipv4(data: bytes, depth: int) -> Optional[Packet]:
    header = (data[0] & 15) * 4
    if header < 20:
        return None
    length, identifier, fragment = struct.unpack_from("!HHH", data, 2)
    packet = blank(4)
    packet.update(
        source=socket.inet_ntop(socket.AF_INET, data[12:16]),
        destination=socket.inet_ntop(socket.AF_INET, data[16:20]),
        ip_id=identifier,
        ttl=data[8],
        length=length,
        protocol=_PROTOCOLS.get(data[9], str(data[9])),
    )
    if fragment & 0x1FFF == 0:
        _transport(packet, data[9], data[header:length] if length >= header else data[header:], depth)
    if packet.get("payload") is not None:
        packet["payload"] = max(0, length - header - int(str(packet["payload"])))
    return packet


def _ipv6(data: bytes, depth: int) -> Optional[Packet]:
    payload, following, hops = struct.unpack_from("!HBB", data, 4)
    packet = blank(6)
    packet.update(
        source=socket.inet_ntop(socket.AF_INET6, data[8:24]),
        destination=socket.inet_ntop(socket.AF_INET6, data[24:40]),
        ttl=hops,
        length=40 + payload,
    )
    following, at = _behind_extensions(data, following, packet)
    packet["protocol"] = _PROTOCOLS.get(following, str(following))
    if at is not None:
        _transport(packet, following, data[at:], depth)
        if packet.get("payload") is not None:
            packet["payload"] = max(0, 40 + payload - at - int(str(packet["payload"])))
    return packet


def _behind_extensions(data: bytes, following: int, packet: Packet) -> Tuple[int, Optional[int]]:
    """
    Walk the extension headers.

    The protocol behind them, and where it starts (None in a later fragment).
    """
    at = 40
    while len(data) >= at + 8:
        if following in _EXTENSIONS:
            following, at = data[at], at + 8 + data[at + 1] * 8
        elif following == _AUTHENTICATION:
            following, at = data[at], at + 8 + data[at + 1] * 4
        elif following == _FRAGMENT:
            offset, identifier = struct.unpack_from("!HI", data, at + 2)
            packet["ip_id"] = identifier & 0xFFFF
            following, at = data[at], at + 8
            if offset & 0xFFF8:
                return following, None
        else:
            break
    return following, at


def _transport(packet: Packet, protocol: int, data: bytes, depth: int) -> None:
    reader = _READERS.get(protocol)
    if reader is not None:
        reader(packet, data, depth)


def _ports(packet: Packet, data: bytes) -> bool:
    if len(data) < 4:
        return False
    packet["source_port"], packet["destination_port"] = struct.unpack_from("!HH", data)
    return True


def _tcp(packet: Packet, data: bytes, _depth: int) -> None:
    if not _ports(packet, data) or len(data) < 16:
        if len(data) >= 8:
            (packet["seq"],) = struct.unpack_from("!I", data, 4)  # as much as an ICMP error has to quote
        return
    seq, ack, offset, flags, window = struct.unpack_from("!IIBBH", data, 4)
    letters = "".join(letter for bit, letter in FLAGS if flags & bit and letter != ".")
    packet.update(
        seq=seq,
        ack=ack,
        window=window,
        flags=letters + ("." if flags & 16 else "") if flags else "none",
        payload=(offset >> 4) * 4,
    )


def _udp(packet: Packet, data: bytes, depth: int) -> None:
    if not _ports(packet, data):
        return
    packet["payload"] = 8
    port = packet["destination_port"]
    if depth >= _DEEPEST or len(data) < 16:
        return
    if port in _VXLAN_PORTS and data[8] & 8:
        packet["vni"] = struct.unpack_from("!I", data, 12)[0] >> 8
        packet["inner"] = ether_packet(data[16:], depth + 1)
    elif port == _GENEVE_PORT and data[8] >> 6 == 0:
        packet["vni"] = struct.unpack_from("!I", data, 12)[0] >> 8
        packet["inner"] = ether_packet(data[16 + (data[8] & 63) * 4 :], depth + 1)


def _icmp(packet: Packet, data: bytes, depth: int) -> None:
    if len(data) < 4:
        return
    packet["icmp_type"], packet["icmp_code"] = data[0], data[1]
    if data[0] in _ERRORS[str(packet["protocol"])] and depth < _DEEPEST:
        packet["quoted"] = ip_packet(data[8:], depth + 1)


def _only_ports(packet: Packet, data: bytes, _depth: int) -> None:
    _ports(packet, data)


_READERS: Dict[int, Callable[[Packet, bytes, int], None]] = {
    1: _icmp,
    6: _tcp,
    17: _udp,
    58: _icmp,
    132: _only_ports,
    136: _only_ports,
}


def identity(packet: Packet) -> Tuple[object, ...]:
    """
    What stays the same in a packet that is translated and forwarded.

    All but addresses, ports and time to live.
    """
    return tuple(
        packet[key] for key in ("family", "protocol", "ip_id", "seq", "ack", "icmp_type", "icmp_code")
    )
