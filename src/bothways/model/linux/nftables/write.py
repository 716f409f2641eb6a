"""
What rules of nft write: into headers, marks, the connection.

``nft_payload_set_eval`` (checksums follow), ``nft_meta_set_eval``, ``nft_ct_set_eval``. A packet without the
header ends the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import Endpoint, IPAddress, Mac
from bothways.facts.packet import Arp, Flag, Packet
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.targets import Effect
from bothways.model.linux.nftables.payload import PAYLOAD
from bothways.model.linux.nftables.view import BREAK, Break, View

__all__ = ["write"]

#: Fields that are written without the checksum of their header.
_UNSUMMED: Final = frozenset({"th sport", "th dport"})
_TYPES: Final = ("host", "broadcast", "multicast", "other")
_PORT: Final = 0xFFFF
#: Fields of which no later rule, route or peer of the model asks.
_IDLE: Final = frozenset(
    {
        "meta nftrace", "meta priority", "meta secmark", "meta rtclassid", "ct label", "ct event",
        "ct secmark", "ip checksum", "tcp checksum", "udp checksum", "icmp checksum", "tcp window",
        "ip6 flowlabel", "vlan pcp", "meta cgroup", "meta broute",
    }
)  # fmt: skip


def write(name: str, value: int, view: View) -> Effect | Break:
    """
    Write a number into a field.

    :return: the effect; BREAK if the packet does not have the field.
    """
    if name in _IDLE:
        return Effect()
    meta = _META.get(name)
    if meta is not None:
        return meta(value, view)
    row = _HEADERS.get(name)
    if row is None:
        return Effect(doubt=f"what `{name} set` writes is not modelled")
    reads = PAYLOAD.get(name)
    if (view.packet.tcp is None) if reads is None else (reads(view) is BREAK):
        return BREAK
    before = view.packet
    view.buffer.packet = row(before, value)
    if view.buffer.packet == before:
        return Effect()
    if name in _UNSUMMED and not view.buffer.mine:
        return _crooked(name, value, view)
    return Effect(did=Did.CHANGED, reason=f"a rule without a tracker writes {name} {_shown(name, value)}")


def _crooked(name: str, value: int, view: View) -> Effect:
    """
    A port that is written without its checksum.

    nft knows no checksum of ``th``. A packet whose checksum a device is to fill in stays right, any other is
    wrong from here on; which of them it is, a dump does not say.
    """
    packet = view.packet
    tcp, udp = packet.tcp, packet.udp
    view.buffer.packet = replace(
        packet,
        tcp=None if tcp is None else replace(tcp, checksum_ok=None),
        udp=None if udp is None else replace(udp, checksum_ok=None),
    )
    why = f"a rule without a tracker writes {name} {value}, and leaves the checksum as it was"
    doubt = f"whether the checksum is still right behind `{name} set`, which does not write it"
    return Effect(did=Did.CHANGED, reason=why, doubt=doubt)


def _shown(name: str, value: int) -> str:
    if name.startswith("ether") or name.endswith("ether"):
        return _mac(value)
    if name.endswith(("saddr", "daddr", " ip")):
        return str(_address(name, value))
    return str(value)


def _address(name: str, value: int) -> IPAddress:
    return IPv6Address(value) if name.startswith("ip6") else IPv4Address(value & 0xFFFFFFFF)


def _mac(value: int) -> Mac:
    digits = f"{value & 0xFFFFFFFFFFFF:012x}"
    return Mac(":".join(digits[at : at + 2] for at in range(0, 12, 2)))


# -- headers -----------------------------------------------------------------------------------------------

Row = Callable[[Packet, int], Packet]


def _end(name: str) -> Row:
    source = name.endswith("saddr")

    def row(packet: Packet, value: int) -> Packet:
        end = Endpoint(_address(name, value), None)
        return packet.with_source(end) if source else packet.with_destination(end)

    return row


def _port(*, source: bool) -> Row:
    def row(packet: Packet, value: int) -> Packet:
        end = packet.source if source else packet.destination
        if end is None or end.port is None:
            return packet
        new = replace(end, port=value & _PORT)
        return packet.with_source(new) if source else packet.with_destination(new)

    return row


def _hardware(*, source: bool) -> Row:
    def row(packet: Packet, value: int) -> Packet:
        link = packet.ethernet
        return packet.with_macs(_mac(value), link.dst) if source else packet.with_macs(link.src, _mac(value))

    return row


def _time_to_live(packet: Packet, value: int) -> Packet:
    return packet.with_ttl(value & 0xFF)


def _service(packet: Packet, value: int) -> Packet:
    ip = packet.ip
    return (
        packet if ip is None else replace(packet, ip=replace(ip, tos=value << 2 & 0xFC | (ip.tos or 0) & 3))
    )


def _congestion(packet: Packet, value: int) -> Packet:
    ip = packet.ip
    return packet if ip is None else replace(packet, ip=replace(ip, tos=(ip.tos or 0) & 0xFC | value & 3))


def _identifier(packet: Packet, value: int) -> Packet:
    return packet if packet.ip is None else replace(packet, ip=replace(packet.ip, id=value & 0xFFFF))


def _flags(packet: Packet, value: int) -> Packet:
    tcp = packet.tcp
    return packet if tcp is None else replace(packet, tcp=replace(tcp, flags=Flag(value & 0xFF)))


def _tag(packet: Packet, value: int) -> Packet:
    return replace(packet, ethernet=replace(packet.ethernet, vlan=value & 0xFFF))


def _arp(change: Callable[[Arp, int], Arp]) -> Row:
    return lambda packet, value: (
        packet if packet.arp is None else replace(packet, arp=change(packet.arp, value))
    )


def _segment_size(packet: Packet, value: int) -> Packet:
    """It is only ever lowered (``nft_exthdr_tcp_set_eval``), and not added."""
    tcp = packet.tcp
    if tcp is None or tcp.options.mss is None or tcp.options.mss <= value & _PORT:
        return packet
    return replace(packet, tcp=replace(tcp, options=replace(tcp.options, mss=value & _PORT)))


_HEADERS: Final[Mapping[str, Row]] = {
    "tcp option maxseg size": _segment_size,
    **{name: _end(name) for name in ("ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr")},
    **{f"{name} sport": _port(source=True) for name in ("tcp", "udp", "th")},
    **{f"{name} dport": _port(source=False) for name in ("tcp", "udp", "th")},
    "ether saddr": _hardware(source=True),
    "ether daddr": _hardware(source=False),
    "ip ttl": _time_to_live,
    "ip6 hoplimit": _time_to_live,
    "ip dscp": _service,
    "ip6 dscp": _service,
    "ip ecn": _congestion,
    "ip6 ecn": _congestion,
    "ip id": _identifier,
    "tcp flags": _flags,
    "vlan id": _tag,
    "arp operation": _arp(lambda arp, value: replace(arp, op=value)),
    "arp saddr ip": _arp(lambda arp, value: replace(arp, spa=IPv4Address(value))),
    "arp daddr ip": _arp(lambda arp, value: replace(arp, tpa=IPv4Address(value))),
    "arp saddr ether": _arp(lambda arp, value: replace(arp, sha=_mac(value))),
    "arp daddr ether": _arp(lambda arp, value: replace(arp, tha=_mac(value))),
}


# -- what goes with the packet -----------------------------------------------------------------------------


def _mark(value: int, view: View) -> Effect:
    old, view.buffer.mark = view.buffer.mark, value
    if old == value:
        return Effect()
    return Effect(did=Did.CHANGED, reason=f"the packet's mark {old:#x} becomes {value:#x}")


def _packet_type(value: int, view: View) -> Effect:
    word = _TYPES[value] if value < len(_TYPES) else "other"
    old, view.buffer.packet_type = view.buffer.packet_type, word
    return (
        Effect()
        if old == word
        else Effect(did=Did.CHANGED, reason=f"a rule says that the frame is for {word}")
    )


def _connection_mark(value: int, view: View) -> Effect:
    connection = view.connection
    if connection is None or connection.mark == value:
        return Effect()
    old, connection.mark = connection.mark, value
    return Effect(did=Did.CHANGED, reason=f"the connection's mark {old:#x} becomes {value:#x}")


def _zone(half: Way | None) -> Callable[[int, View], Effect]:
    def row(value: int, view: View) -> Effect:
        buffer = view.buffer
        if view.tracking is not None or buffer.untracked or buffer.zone or not value:
            return Effect()  # the first one holds (``nft_ct_set_zone_eval``)
        if view.hook not in (Hook.PREROUTING, Hook.OUTPUT):
            return Effect()
        buffer.zone, buffer.half = value, half
        of = "" if half is None else f", of which the {half} direction alone stands there"
        return Effect(did=Did.CHANGED, reason=f"the packet is tracked in zone {value}{of}")

    return row


_META: Final[Mapping[str, Callable[[int, View], Effect]]] = {
    "meta mark": _mark,
    "meta pkttype": _packet_type,
    "ct mark": _connection_mark,
    "ct zone": _zone(None),
    "ct original zone": _zone(Way.ORIGINAL),
    "ct reply zone": _zone(Way.REPLY),
}
