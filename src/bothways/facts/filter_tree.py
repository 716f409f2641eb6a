"""
A capture filter (pcap-filter(7)) as a tree, and whether it admits a packet.

A capture filter sees the *outer* frame: ``tcp port 22`` does not admit TCP port 22 inside VXLAN, ``udp port
4789`` does. Three answers: True, False, and None where the packet does not hold the field or the tree holds
what is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bothways.facts.address import IPAddress, IPNetwork, Mac
from bothways.facts.packet import (
    ETH_ARP,
    ETH_IP,
    ETH_IP6,
    TCP,
    UDP,
    Ethernet,
    Ip,
    Packet,
    Tunnel,
    Udp,
)

__all__ = [
    "All",
    "Any",
    "Everything",
    "HardwareAddress",
    "Hosts",
    "Length",
    "Node",
    "Not",
    "Ports",
    "Protocol",
    "Side",
    "TcpFlags",
    "Unknown",
    "Vlan",
    "admits",
    "unknown_parts",
]

GRE: Final = 47
SCTP: Final = 132
#: IP protocol and destination port of tunnels: RFC 7348, RFC 8926, RFC 2784.
_TUNNELS: Final = {"vxlan": (UDP, 4789), "geneve": (UDP, 6081), "gre": (GRE, None)}
#: Tunnels choose their source port among the ephemeral ones; nobody configures those below this.
_LOWEST_EPHEMERAL: Final = 1024


class Side(StrEnum):
    """Which end of a packet a primitive looks at."""

    SOURCE = "src"
    DESTINATION = "dst"
    EITHER = "src or dst"
    BOTH = "src and dst"


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty filter."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """
    ``tcp``, ``ip proto 47``, ``arp``.

    :param ether_types: EtherTypes that are admitted, empty = IPv4 and IPv6.
    :param number: IP protocol, None = any.
    """

    ether_types: frozenset[int] = frozenset()
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Hosts:
    """``host``, ``net``: an address of the IP header, or of ARP. *ether_types* empty = IP and ARP."""

    side: Side
    network: IPNetwork
    ether_types: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Ports:
    """``port``, ``portrange``, both ends included. *protocols* empty = TCP, UDP and SCTP."""

    side: Side
    low: int
    high: int
    protocols: frozenset[int] = frozenset()
    ether_types: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class HardwareAddress:
    """``ether host``."""

    side: Side
    mac: Mac


@dataclass(frozen=True, slots=True)
class Vlan:
    """``vlan [id]``."""

    id: int | None = None


@dataclass(frozen=True, slots=True)
class Length:
    """``less``, ``greater``: length of the frame, both ends included, None = no bound."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class TcpFlags:
    """``tcp[tcpflags] & mask == value``, or ``!=`` where *equal* is False. IPv4 only, as in libpcap."""

    mask: int
    value: int
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A part that bothways keeps as text and cannot evaluate."""

    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    part: Node


@dataclass(frozen=True, slots=True)
class All:
    """Every part (``and``)."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part (``or``)."""

    parts: tuple[Node, ...]


Node = (
    Everything | Protocol | Hosts | Ports | HardwareAddress | Vlan | Length | TcpFlags | Unknown | Not | All |
    Any
)  # fmt: skip


def unknown_parts(tree: Node) -> tuple[str, ...]:
    """The texts that could not be understood, in order."""
    match tree:
        case Unknown(text):
            return (text,)
        case Not(part):
            return unknown_parts(part)
        case All(parts) | Any(parts):
            return tuple(text for part in parts for text in unknown_parts(part))
        case _:
            return ()


def admits(tree: Node, packet: Packet, tunnel: Tunnel | None = None) -> bool | None:
    """
    Whether a capture with this filter keeps the packet. None = cannot be told.

    :param packet: the inner packet where *tunnel* is given; then the filter is held against the tunnel's
        own frame, as far as the tunnel header tells it.
    """
    outer = packet if tunnel is None else _outer(tunnel)
    tagged = tunnel is None and packet.ethernet.vlan is not None
    return _holds(tree, outer, _Wire(tunnel, tagged=tagged))[0]


@dataclass(frozen=True, slots=True)
class _Wire:
    """
    How the packet travels, and how far the filter was read.

    :param passed: how many ``vlan`` stood before, whatever joins them: each moves what follows it behind one
        more tag, in the whole rest of the filter (pcap-filter(7)).
    """

    tunnel: Tunnel | None
    tagged: bool = False
    passed: int = 0

    @property
    def hidden(self) -> bool:
        """
        True if the filter looks elsewhere than the packet is.

        Whether a tag is in the frame or beside it, and so what is seen, depends on device and libpcap; the
        evidence does not say.
        """
        return self.tagged is not (self.passed > 0)


def _outer(tunnel: Tunnel) -> Packet:
    kind = _TUNNELS.get(tunnel.kind)
    if tunnel.src is None or tunnel.dst is None or kind is None:
        return Packet()
    number, port = kind
    ether = ETH_IP6 if tunnel.src.version == 6 else ETH_IP  # noqa: PLR2004 (IPv6)
    frame = Packet(ethernet=Ethernet(type=ether), ip=Ip(tunnel.src, tunnel.dst, number))
    return frame if port is None else replace(frame, udp=Udp(0, port))


def _holds(tree: Node, packet: Packet, wire: _Wire) -> tuple[bool | None, _Wire]:
    """Whether the part admits the packet, and how the rest of the filter is to be read."""
    match tree:
        case Not(part):
            inner, wire = _holds(part, packet, wire)
            return None if inner is None else not inner, wire
        case All(parts) | Any(parts):
            answers = []
            for part in parts:
                answer, wire = _holds(part, packet, wire)
                answers.append(answer)
            return (_every(answers) if isinstance(tree, All) else _some(answers)), wire
        case Vlan():
            return _vlan(tree, packet, wire), replace(wire, passed=wire.passed + 1)
        case _:
            return _PRIMITIVES[type(tree)](tree, packet, wire), wire


def _every(answers: Iterable[bool | None]) -> bool | None:
    given = list(answers)
    if False in given:
        return False
    return None if None in given else True


def _some(answers: Iterable[bool | None]) -> bool | None:
    given = list(answers)
    if True in given:
        return True
    return None if None in given else False


def _sides(side: Side, *, source: bool | None, destination: bool | None) -> bool | None:
    match side:
        case Side.SOURCE:
            return source
        case Side.DESTINATION:
            return destination
        case Side.EITHER:
            return _some((source, destination))
        case Side.BOTH:
            return _every((source, destination))


def _ether_type(packet: Packet) -> int | None:
    if packet.arp is not None:
        return ETH_ARP
    if packet.ip is not None:
        return ETH_IP6 if packet.ip.src.version == 6 else ETH_IP  # noqa: PLR2004 (IPv6)
    return None


def _is_type(types: frozenset[int], packet: Packet, wire: _Wire) -> bool | None:
    if wire.hidden:
        return None
    ether = _ether_type(packet)
    if ether is None:
        return None if wire.tunnel is not None else packet.ethernet.type in types
    return ether in types


def _everything(_tree: object, _packet: Packet, _wire: _Wire) -> bool | None:
    return True


def _protocol(tree: Protocol, packet: Packet, wire: _Wire) -> bool | None:
    typed = _is_type(tree.ether_types or frozenset({ETH_IP, ETH_IP6}), packet, wire)
    if tree.number is None or not typed:
        return typed
    return None if packet.ip is None else packet.ip.protocol == tree.number


def _hosts(tree: Hosts, packet: Packet, wire: _Wire) -> bool | None:
    typed = _is_type(tree.ether_types or frozenset({ETH_IP, ETH_IP6, ETH_ARP}), packet, wire)
    if not typed:
        return typed
    ends = _ends(packet)
    if ends is None:
        return None
    return _sides(tree.side, source=ends[0] in tree.network, destination=ends[1] in tree.network)


def _ends(packet: Packet) -> tuple[IPAddress, IPAddress] | None:
    if packet.arp is not None:
        return packet.arp.spa, packet.arp.tpa
    return None if packet.ip is None else (packet.ip.src, packet.ip.dst)


def _ports(tree: Ports, packet: Packet, wire: _Wire) -> bool | None:
    typed = _is_type(tree.ether_types or frozenset({ETH_IP, ETH_IP6}), packet, wire)
    if not typed:
        return typed
    if packet.ip is None:
        return None
    # Later fragments carry no ports, so libpcap's filter passes over them.
    if packet.ip.protocol not in (tree.protocols or frozenset({TCP, UDP, SCTP})) or packet.ip.offset:
        return False
    transport = packet.tcp or packet.udp
    if transport is None:
        return None
    source: bool | None = tree.low <= transport.sport <= tree.high
    destination: bool | None = tree.low <= transport.dport <= tree.high
    if wire.tunnel is not None:
        # The header of a tunnel does not tell its ports: the source is some ephemeral one, and
        # sites may send VXLAN elsewhere (Linux's own default is 8472).
        source = None if tree.high >= _LOWEST_EPHEMERAL else False
        destination = destination or source
    return _sides(tree.side, source=source, destination=destination)


def _hardware(tree: HardwareAddress, packet: Packet, wire: _Wire) -> bool | None:
    if wire.tunnel is not None:
        return None
    source, destination = packet.ethernet.src, packet.ethernet.dst
    return _sides(
        tree.side,
        source=source == tree.mac if source else None,
        destination=destination == tree.mac if destination else None,
    )


def _vlan(tree: Vlan, packet: Packet, wire: _Wire) -> bool | None:
    if wire.tunnel is not None:
        return None
    tag = packet.ethernet.vlan
    if tag is not None and wire.passed:
        return None  # a second tag, which the packet does not keep
    return tag is not None and tree.id in (None, tag)


def _length(tree: Length, packet: Packet, wire: _Wire) -> bool | None:
    if packet.length is None or wire.tunnel is not None:
        return None
    return (tree.low is None or packet.length >= tree.low) and (
        tree.high is None or packet.length <= tree.high
    )


def _tcp_flags(tree: TcpFlags, packet: Packet, wire: _Wire) -> bool | None:
    typed = _is_type(frozenset({ETH_IP}), packet, wire)
    if not typed:
        return typed
    if packet.ip is None or packet.ip.protocol != TCP or packet.ip.offset:
        return None if packet.ip is None else False
    if packet.tcp is None:
        return None
    return ((packet.tcp.flags & tree.mask) == tree.value) is tree.equal


def _unknown(_tree: object, _packet: Packet, _wire: _Wire) -> bool | None:
    return None


_PRIMITIVES: Final[dict[type, Callable[..., bool | None]]] = {
    Everything: _everything,
    Protocol: _protocol,
    Hosts: _hosts,
    Ports: _ports,
    HardwareAddress: _hardware,
    Length: _length,
    TcpFlags: _tcp_flags,
    Unknown: _unknown,
}
