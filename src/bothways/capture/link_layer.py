"""
Link headers: Ethernet with 802.1Q tags, and the cooked headers of an ``any`` capture.

Layouts are those of the tcpdump project's link-layer registry: LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL,
LINKTYPE_LINUX_SLL2, LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6, LINKTYPE_NULL and LINKTYPE_LOOP. A cooked
header has no destination MAC.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.capture.layers import Layers, Refused
from bothways.capture.network_layer import decode_ip_by_version, decode_network
from bothways.capture.octets import mac_of
from bothways.facts.address import BROADCAST, UNKNOWN_MAC, Mac
from bothways.facts.packet import Ethernet
from bothways.facts.sighting import Direction
from bothways.facts.span import Kind

__all__ = ["LINK_TYPES", "Link", "decode_ethernet"]

_ETHERNET: Final = struct.Struct("!6s6sH")
_TAG: Final = struct.Struct("!HH")
_SLL: Final = struct.Struct("!HHH8sH")
_SLL2: Final = struct.Struct("!HHIHBB8s")
_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
_LONGEST_LENGTH: Final = 0x600
_MAC_SIZE: Final = 6
#: ARPHRD values whose frames carry no ethertype: radiotap and netlink (if_arp.h). GRE's protocol type is one.
_NO_ETHERTYPE: Final = frozenset({803, 824})
#: ARPHRD values of devices that have a 14-byte Ethernet header on the wire: Ethernet and loopback.
_ETHERNET_LIKE: Final = frozenset({1, 772})

#: Control protocols of the link that say nothing about an IP packet.
_CONTROL: Final = frozenset({0x8809, 0x888E, 0x88CC, 0x88F7, 0x8902, 0x9000, 0x893A, 0x8899, 0x88E1, 0x6558})

#: Packet type of a cooked header -> (tcpdump's word, direction).
_WAYS: Final[Mapping[int, tuple[str, Direction | None]]] = {
    0: ("In", Direction.IN),
    1: ("B", Direction.IN),
    2: ("M", Direction.IN),
    3: ("P", Direction.IN),
    4: ("Out", Direction.OUT),
}
_BROADCAST_TYPE: Final = 1


@dataclass(frozen=True, slots=True)
class Link:
    """
    One frame and what its link header says of the device.

    :param ifindex: SLL2 only.
    :param direction: cooked headers only.
    :param way: tcpdump's word for the packet type, "" where tcpdump prints none (all but SLL2).
    """

    content: Layers | Refused
    ifindex: int | None = None
    direction: Direction | None = None
    way: str = ""


def _tagged(ethernet: Ethernet, raw: bytes, wire: int, length: int) -> Layers | Refused:
    """Strip VLAN tags (the outermost VID is kept) and decode what they carry; *length* is the frame's."""
    at = 0
    while ethernet.type in _TAGS:
        if len(raw) < at + _TAG.size:
            return Refused("a VLAN tag that ends after the frame")
        tci, kind = _TAG.unpack_from(raw, at)
        vlan = tci & 0x0FFF if ethernet.vlan is None else ethernet.vlan
        ethernet = replace(ethernet, type=kind, vlan=vlan)
        at += _TAG.size
    decoded = decode_network(ethernet, raw[at:] if at else raw, wire - at, length)
    if decoded is not None:
        return decoded
    known = ethernet.type < _LONGEST_LENGTH or ethernet.type in _CONTROL
    return Refused(f"ethertype 0x{ethernet.type:04x}", kind=None if known else Kind.UNMODELLED)


def decode_ethernet(raw: bytes, wire: int) -> Layers | Refused:
    """
    Decode an Ethernet frame.

    :param wire: its length on the wire; ``packet.length`` of the result.
    """
    if len(raw) < _ETHERNET.size:
        return Refused(f"an Ethernet header of {len(raw)} bytes, 14 are needed")
    dst, src, kind = _ETHERNET.unpack_from(raw)
    ethernet = Ethernet(mac_of(src), mac_of(dst), kind)
    return _tagged(ethernet, raw[_ETHERNET.size :], wire - _ETHERNET.size, wire)


def _ethernet(raw: bytes, wire: int) -> Link:
    return Link(decode_ethernet(raw, wire))


def _cooked(header: tuple[int, int, int, int, bytes], raw: bytes, wire: int) -> Layers | Refused:
    packet_type, hardware, kind, size, sender = header
    if hardware in _NO_ETHERTYPE:
        return Refused(f"a frame of ARPHRD type {hardware}", kind=None)
    src = mac_of(sender[:_MAC_SIZE]) if size == _MAC_SIZE else UNKNOWN_MAC
    dst: Mac = BROADCAST if packet_type == _BROADCAST_TYPE else UNKNOWN_MAC
    length = wire + (_ETHERNET.size if hardware in _ETHERNET_LIKE else 0)
    return _tagged(Ethernet(src, dst, kind), raw, wire, length)


def _sll(raw: bytes, wire: int) -> Link:
    if len(raw) < _SLL.size:
        return Link(Refused(f"a cooked header of {len(raw)} bytes, 16 are needed"))
    packet_type, hardware, size, sender, kind = _SLL.unpack_from(raw)
    header = (packet_type, hardware, kind, size, sender)
    content = _cooked(header, raw[_SLL.size :], wire - _SLL.size)
    return Link(content, direction=_WAYS.get(packet_type, ("?", None))[1])


def _sll2(raw: bytes, wire: int) -> Link:
    if len(raw) < _SLL2.size:
        return Link(Refused(f"a cooked header of {len(raw)} bytes, 20 are needed"))
    kind, _, ifindex, hardware, packet_type, size, sender = _SLL2.unpack_from(raw)
    header = (packet_type, hardware, kind, size, sender)
    content = _cooked(header, raw[_SLL2.size :], wire - _SLL2.size)
    word, direction = _WAYS.get(packet_type, ("?", None))
    return Link(content, ifindex, direction, word)


def _raw(raw: bytes, wire: int) -> Link:
    return Link(decode_ip_by_version(raw, wire))


#: Address families for IP, as Linux and the BSDs number them.
_FAMILIES: Final = frozenset({2, 10, 24, 28, 30})
_FAMILY_SIZE: Final = 4


def _family(raw: bytes, wire: int) -> Link:
    """NULL and LOOP: the address family, in the byte order of the machine that captured, and the packet."""
    if len(raw) < _FAMILY_SIZE:
        return Link(Refused(f"a loopback header of {len(raw)} bytes, 4 are needed"))
    family = min(int.from_bytes(raw[:_FAMILY_SIZE], "big"), int.from_bytes(raw[:_FAMILY_SIZE], "little"))
    if family not in _FAMILIES:
        return Link(Refused(f"a frame of address family {family}", kind=None))
    return Link(decode_ip_by_version(raw[_FAMILY_SIZE:], wire - _FAMILY_SIZE))


#: LINKTYPE value -> decoder. 12 and 14 are what some systems write for RAW.
LINK_TYPES: Final[Mapping[int, Callable[[bytes, int], Link]]] = {
    0: _family,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _family,
    113: _sll,
    228: _raw,
    229: _raw,
    276: _sll2,
}
