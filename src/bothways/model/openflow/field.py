"""
How each field of the flow key is read from a packet, and written back.

A value is a pair of bits and of the bits that are known (``KNOWN``: all of them). What a packet of this
kind does not have (a port in ARP) reads as zero, as it does in Open vSwitch (``miniflow_extract`` of
``lib/flow.c``); what it has and the evidence does not hold is not known. *needs* is the field's
prerequisite: an action on a packet that does not meet it does nothing (``mf_are_prereqs_ok``).
Names are those of ``parse.openflow_fields``. Source: ovs-fields(7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import UNKNOWN_MAC, Mac, mac_from_int, mac_to_int
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6, ICMP, ICMP6, TCP, UDP, Arp, Ethernet, Ip, Packet
from bothways.facts.step import Did

__all__ = ["FIELDS", "KNOWN", "VLAN_PRESENT", "Bits", "Field", "eth_type"]

Bits = tuple[int, int]

#: every bit is known
KNOWN: Final = -1
VLAN_PRESENT: Final = 0x1000
_ABSENT: Final[Bits] = (0, KNOWN)
_NOT_HELD: Final[Bits] = (0, 0)
_SCTP: Final = 132
_IPV4, _IPV6 = 4, 6
_NEIGHBOUR_DISCOVERY: Final = frozenset({135, 136})
_MPLS: Final = frozenset({0x8847, 0x8848})

Read = Callable[[Packet], Bits]
Write = Callable[[Packet, int, int], Packet | None]


@dataclass(frozen=True, slots=True)
class Field:
    """
    One field of a packet.

    :param width: in bits.
    :param write: packet, bits and known bits -> packet, or None if a packet cannot say it. There is none if
        nothing writes the field, or if ``facts.packet`` has no place for it.
    :param label: what the person on call calls it.
    :param did: what a flow did that changed it.
    """

    width: int
    read: Read
    write: Write | None
    needs: Callable[[Packet], bool]
    label: str
    show: Callable[[int], str] = hex
    did: Did = Did.CHANGED


def eth_type(packet: Packet) -> int:
    """The Ethernet type behind VLAN tags; that of the header which the packet holds, if it holds one."""
    if packet.arp is not None:
        return ETH_ARP
    if packet.ip is not None:
        return ETH_IP if packet.ip.src.version == _IPV4 else ETH_IP6
    return packet.ethernet.type


def _always(_packet: Packet) -> bool:
    return True


def _is_ip(packet: Packet) -> bool:
    return packet.ip is not None


def _is_ipv4(packet: Packet) -> bool:
    return packet.ip is not None and packet.ip.src.version == _IPV4


def _is_ipv6(packet: Packet) -> bool:
    return packet.ip is not None and packet.ip.src.version == _IPV6


def _is_arp(packet: Packet) -> bool:
    return packet.arp is not None


def _carries(packet: Packet, *protocols: int) -> bool:
    """True if a transport header stands behind the IP header: not in later fragments."""
    return packet.ip is not None and packet.ip.protocol in protocols and packet.ip.offset == 0


def _has_ports(packet: Packet) -> bool:
    return _carries(packet, TCP, UDP, _SCTP)


def _is_tcp(packet: Packet) -> bool:
    return _carries(packet, TCP)


def _is_icmp(packet: Packet) -> bool:
    return _carries(packet, ICMP if _is_ipv4(packet) else ICMP6)


def _is_of_icmp(packet: Packet) -> bool:
    """True of later fragments as well: a switch writes type and code where their payload begins."""
    return packet.ip is not None and packet.ip.protocol == (ICMP if _is_ipv4(packet) else ICMP6)


def _is_neighbour_discovery(packet: Packet) -> bool:
    if not (_is_ipv6(packet) and _is_icmp(packet)):
        return False
    return packet.icmp is None or (packet.icmp.type in _NEIGHBOUR_DISCOVERY and packet.icmp.code == 0)


def _is_mpls(packet: Packet) -> bool:
    return eth_type(packet) in _MPLS


def _held(value: int | None) -> Bits:
    return _NOT_HELD if value is None else (value, KNOWN)


# -- Ethernet ------------------------------------------------------------------------------------------


def _mac_bits(mac: Mac) -> Bits:
    return (mac_to_int(mac), KNOWN) if mac else _NOT_HELD


def _written_mac(value: int, known: int) -> Mac:
    whole = 0xFFFFFFFFFFFF
    return mac_from_int(value) if known & whole == whole else UNKNOWN_MAC


def _on_ethernet(name: str) -> tuple[Read, Write]:
    def read(packet: Packet) -> Bits:
        return _mac_bits(packet.ethernet.src if name == "src" else packet.ethernet.dst)

    def write(packet: Packet, value: int, known: int) -> Packet:
        mac, ethernet = _written_mac(value, known), packet.ethernet
        changed = replace(ethernet, src=mac) if name == "src" else replace(ethernet, dst=mac)
        return replace(packet, ethernet=changed)

    return read, write


def _read_vlan(packet: Packet) -> Bits:
    """The tag; its priority is not held by a packet."""
    vlan = packet.ethernet.vlan
    return _ABSENT if vlan is None else (VLAN_PRESENT | vlan, VLAN_PRESENT | 0xFFF)


def _write_vlan(packet: Packet, value: int, known: int) -> Packet | None:
    if not known & VLAN_PRESENT:
        return None
    vlan = None
    if value & VLAN_PRESENT:
        if known & 0xFFF != 0xFFF:  # noqa: PLR2004 - the twelve bits of the VLAN ID
            return None
        vlan = value & 0xFFF
    old: Ethernet = packet.ethernet
    grown = 4 * ((vlan is not None) - (old.vlan is not None))
    length = None if packet.length is None else packet.length + grown
    return replace(packet, ethernet=replace(old, vlan=vlan), length=length)


# -- ARP -----------------------------------------------------------------------------------------------


def _on_arp(
    take: Callable[[Arp], Bits], put: Callable[[Arp, int, int], Arp], whole: int
) -> tuple[Read, Write]:
    """Reader and writer of a part of the ARP header; *whole*: bits that must be known to write it, if any."""

    def read(packet: Packet) -> Bits:
        return _ABSENT if packet.arp is None else take(packet.arp)

    def write(packet: Packet, value: int, known: int) -> Packet | None:
        if packet.arp is None or known & whole != whole:
            return None
        return replace(packet, arp=put(packet.arp, value, known))

    return read, write


# -- IP ------------------------------------------------------------------------------------------------


def _on_ip(take: Callable[[Ip], Bits], put: Callable[[Ip, int, int], Ip | None]) -> tuple[Read, Write]:
    def read(packet: Packet) -> Bits:
        return _ABSENT if packet.ip is None else take(packet.ip)

    def write(packet: Packet, value: int, known: int) -> Packet | None:
        ip = None if packet.ip is None else put(packet.ip, value, known)
        return None if ip is None else replace(packet, ip=ip)

    return read, write


def _address(version: int, *, sending: bool) -> tuple[Read, Write]:
    kind: type[IPv4Address | IPv6Address] = IPv4Address if version == _IPV4 else IPv6Address
    whole = (1 << (32 if version == _IPV4 else 128)) - 1

    def take(ip: Ip) -> Bits:
        address = ip.src if sending else ip.dst
        return (int(address), KNOWN) if address.version == version else _ABSENT

    def put(ip: Ip, value: int, known: int) -> Ip | None:
        if known & whole != whole:
            return None
        return replace(ip, src=kind(value)) if sending else replace(ip, dst=kind(value))

    return _on_ip(take, put)


def _read_frag(packet: Packet) -> Bits:
    ip = packet.ip
    if ip is None:
        return _ABSENT
    return int(ip.more or ip.offset > 0) | (2 if ip.offset else 0), KNOWN


def _read_protocol(packet: Packet) -> Bits:
    return _ABSENT if packet.ip is None else (packet.ip.protocol, KNOWN)


def _read_label(packet: Packet) -> Bits:
    return _NOT_HELD if _is_ipv6(packet) else _ABSENT


def _octet(value: int, known: int) -> int | None:
    return value if known & 0xFF == 0xFF else None  # noqa: PLR2004 - eight bits


# -- transport -----------------------------------------------------------------------------------------


def _port(*, sending: bool) -> tuple[Read, Write]:
    def read(packet: Packet) -> Bits:
        if not _has_ports(packet):
            return _ABSENT
        header = packet.tcp or packet.udp
        return _NOT_HELD if header is None else _held(header.sport if sending else header.dport)

    def write(packet: Packet, value: int, known: int) -> Packet | None:
        if known & 0xFFFF != 0xFFFF:  # noqa: PLR2004 - sixteen bits
            return None
        tcp, udp = packet.tcp, packet.udp
        if tcp is not None:
            return replace(packet, tcp=replace(tcp, sport=value) if sending else replace(tcp, dport=value))
        if udp is not None:
            return replace(packet, udp=replace(udp, sport=value) if sending else replace(udp, dport=value))
        return packet if _carries(packet, _SCTP) else None  # kept in the flow key

    return read, write


def _icmp(*, kind: bool) -> tuple[Read, Write]:
    def read(packet: Packet) -> Bits:
        if not _is_icmp(packet):
            return _ABSENT
        return _NOT_HELD if packet.icmp is None else _held(packet.icmp.type if kind else packet.icmp.code)

    def write(packet: Packet, value: int, known: int) -> Packet | None:
        icmp = packet.icmp
        if known & 0xFF != 0xFF:  # noqa: PLR2004 - eight bits
            return None
        if icmp is None:
            return None if _is_icmp(packet) else packet  # a later fragment: kept in the flow key
        return replace(packet, icmp=replace(icmp, type=value) if kind else replace(icmp, code=value))

    return read, write


def _read_tcp_flags(packet: Packet) -> Bits:
    """The flags; the four bits above CWR are reserved and taken for zero."""
    if not _is_tcp(packet):
        return _ABSENT
    return _NOT_HELD if packet.tcp is None else (int(packet.tcp.flags), KNOWN)


def _outside(needs: Callable[[Packet], bool]) -> Read:
    """Reader of a field for which a packet has no place."""
    return lambda packet: _NOT_HELD if needs(packet) else _ABSENT


def _kept(packet: Packet, _value: int, _known: int) -> Packet:
    """Writer of a field for which a packet has no place: it stays in the flow key."""
    return packet


def _show_mac(value: int) -> str:
    return mac_from_int(value)


def _show_ipv4(value: int) -> str:
    return str(IPv4Address(value))


def _show_ipv6(value: int) -> str:
    return str(IPv6Address(value))


def _show_vlan(value: int) -> str:
    return str(value & 0xFFF) if value & VLAN_PRESENT else "none"


_OP = _on_arp(lambda a: (a.op, KNOWN), lambda a, value, _: replace(a, op=value), 0xFFFF)
_SHA = _on_arp(lambda a: _mac_bits(a.sha), lambda a, v, k: replace(a, sha=_written_mac(v, k)), 0)
_THA = _on_arp(lambda a: _mac_bits(a.tha), lambda a, v, k: replace(a, tha=_written_mac(v, k)), 0)
_SPA = _on_arp(
    lambda a: (int(a.spa), KNOWN), lambda a, value, _: replace(a, spa=IPv4Address(value)), 0xFFFFFFFF
)
_TPA = _on_arp(
    lambda a: (int(a.tpa), KNOWN), lambda a, value, _: replace(a, tpa=IPv4Address(value)), 0xFFFFFFFF
)
_TTL = _on_ip(lambda ip: _held(ip.ttl), lambda ip, value, known: replace(ip, ttl=_octet(value, known)))
_TOS = _on_ip(lambda ip: _held(ip.tos), lambda ip, value, known: replace(ip, tos=_octet(value, known)))

#: field -> how it is read and written
FIELDS: Final[Mapping[str, Field]] = {
    "eth_src": Field(48, *_on_ethernet("src"), _always, "source MAC", _show_mac),
    "eth_dst": Field(48, *_on_ethernet("dst"), _always, "destination MAC", _show_mac),
    "eth_type": Field(16, lambda p: (eth_type(p), KNOWN), None, _always, "Ethernet type"),
    "vlan_tci": Field(16, _read_vlan, _write_vlan, _always, "VLAN", _show_vlan),
    "nw_src": Field(32, *_address(4, sending=True), _is_ipv4, "source", _show_ipv4, Did.TRANSLATED),
    "nw_dst": Field(32, *_address(4, sending=False), _is_ipv4, "destination", _show_ipv4, Did.TRANSLATED),
    "ipv6_src": Field(128, *_address(6, sending=True), _is_ipv6, "source", _show_ipv6, Did.TRANSLATED),
    "ipv6_dst": Field(128, *_address(6, sending=False), _is_ipv6, "destination", _show_ipv6, Did.TRANSLATED),
    "ip_proto": Field(8, _read_protocol, None, _is_ip, "IP protocol", str),
    "nw_ttl": Field(8, *_TTL, _is_ip, "TTL", str),
    "nw_tos": Field(8, *_TOS, _is_ip, "TOS"),
    "nw_frag": Field(2, _read_frag, None, _is_ip, "fragment"),
    "ipv6_label": Field(20, _read_label, _kept, _is_ipv6, "flow label"),
    "tp_src": Field(16, *_port(sending=True), _has_ports, "source port", str, Did.TRANSLATED),
    "tp_dst": Field(16, *_port(sending=False), _has_ports, "destination port", str, Did.TRANSLATED),
    "tcp_flags": Field(12, _read_tcp_flags, None, _is_tcp, "TCP flags"),
    "icmp_type": Field(8, *_icmp(kind=True), _is_of_icmp, "ICMP type", str),
    "icmp_code": Field(8, *_icmp(kind=False), _is_of_icmp, "ICMP code", str),
    "arp_op": Field(16, *_OP, _is_arp, "ARP operation", str),
    "arp_spa": Field(32, *_SPA, _is_arp, "ARP sender", _show_ipv4),
    "arp_tpa": Field(32, *_TPA, _is_arp, "ARP target", _show_ipv4),
    "arp_sha": Field(48, *_SHA, _is_arp, "ARP sender MAC", _show_mac),
    "arp_tha": Field(48, *_THA, _is_arp, "ARP target MAC", _show_mac),
    **{
        name: Field(width, _outside(_is_neighbour_discovery), _kept, _is_neighbour_discovery, name)
        for name, width in (
            ("nd_target", 128), ("nd_sll", 48), ("nd_tll", 48), ("nd_reserved", 32), ("nd_options_type", 8),
        )
    },
    **{
        name: Field(width, _outside(_is_mpls), _kept, _is_mpls, name)
        for name, width in (("mpls_label", 20), ("mpls_tc", 3), ("mpls_bos", 1), ("mpls_ttl", 8))
    },
}  # fmt: skip
