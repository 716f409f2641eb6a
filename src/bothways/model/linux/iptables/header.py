"""
Conditions on the headers of a packet: addresses, ports, flags, lengths.

Sources: ``ip_packet_match`` of ``net/ipv4/netfilter/ip_tables.c``, ``net/netfilter/xt_tcpudp.c``,
``xt_multiport.c``, ``xt_iprange.c`` and the other ``xt_*.c`` of the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import IPNetwork
from bothways.facts.iptables import AddressRange, Match, Rule
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Packet, TcpOptions
from bothways.model.linux.iptables.condition import Fulfils, maybe, within
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.rewrites import CLASSES, masked

__all__ = ["HEADER"]

_ETHERNET: Final = 14


def _address(*, source: bool) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        ip, wanted = probe.packet.ip, match.value
        if ip is None or not isinstance(wanted, IPNetwork):
            return None
        address = ip.src if source else ip.dst
        return maybe(address.version == wanted.version and address in wanted, match)

    return row


def _range(*, source: bool) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        ip, wanted = probe.packet.ip, match.value
        if ip is None or not isinstance(wanted, AddressRange) or wanted.low is None or wanted.high is None:
            return None
        address = ip.src if source else ip.dst
        inside = address.version == wanted.low.version and int(wanted.low) <= int(address) <= int(wanted.high)
        return maybe(inside, match)

    return row


def _device(*, incoming: bool) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        name, wanted = probe.device_in if incoming else probe.device_out, match.value
        if not isinstance(wanted, str):
            return None
        same = name.startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted
        return maybe(same, match)

    return row


def _protocol(probe: Probe, match: Match, _: Rule) -> bool | None:
    ip = probe.packet.ip
    return None if ip is None else maybe(ip.protocol == match.value, match)


def _fragment(probe: Probe, match: Match, _: Rule) -> bool | None:
    ip = probe.packet.ip
    return None if ip is None else maybe(ip.offset > 0, match)


def _later_fragment(packet: Packet) -> bool:
    """Later fragments have no ports: matches that need some fail, with and without ``!``."""
    return packet.ip is not None and packet.ip.offset > 0


def _ports_of(packet: Packet, *protocols: int) -> tuple[int, int] | bool | None:
    """Ports, False for a packet of another kind, None where the evidence cut them off."""
    if packet.ip is None:
        return None
    if packet.ip.protocol not in protocols or _later_fragment(packet):
        return False
    transport = packet.tcp or packet.udp
    return None if transport is None else (transport.sport, transport.dport)


def _port(protocol: int, *, source: bool) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        ports = _ports_of(probe.packet, protocol)
        if not isinstance(ports, tuple):
            return ports
        return maybe(within(ports[0 if source else 1], match.value), match)

    return row


def _multiport(*sides: int) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        ports = _ports_of(probe.packet, TCP, UDP)
        if not isinstance(ports, tuple):
            return ports
        spans = match.value if isinstance(match.value, tuple) else ()
        return maybe(any(within(ports[side], span) for side in sides for span in spans), match)

    return row


def _tcp_flags(probe: Probe, match: Match, _: Rule) -> bool | None:
    packet = probe.packet
    ports = _ports_of(packet, TCP)
    if not isinstance(ports, tuple) or packet.tcp is None:
        return False if ports is False else None
    if not isinstance(match.value, tuple):
        return None
    mask, wanted = match.value
    return maybe(packet.tcp.flags.value & mask == wanted, match)


def _mss(probe: Probe, match: Match, _: Rule) -> bool | None:
    tcp = probe.packet.tcp
    if tcp is None:
        return False
    if tcp.options.mss is None:
        return None if tcp.options.size is None else match.negate
    return maybe(within(tcp.options.mss, match.value), match)


def _icmp(protocol: int) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        packet = probe.packet
        if packet.ip is not None and (packet.ip.protocol != protocol or _later_fragment(packet)):
            return False
        if packet.icmp is None or not isinstance(match.value, tuple):
            return None
        kind, code = match.value
        return maybe(packet.icmp.type == kind and code in (None, packet.icmp.code), match)

    return row


def _ttl(compare: Callable[[int, int], bool]) -> Fulfils:
    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        ip = probe.packet.ip
        if ip is None or ip.ttl is None or not isinstance(match.value, int):
            return None
        return maybe(compare(ip.ttl, match.value), match)

    return row


def _tos(probe: Probe, match: Match, _: Rule) -> bool | None:
    ip, wanted = probe.packet.ip, masked(match.value)
    if ip is None or ip.tos is None or wanted is None:
        return None
    value, mask = wanted
    return maybe(ip.tos & mask == value, match)


def _ect(probe: Probe, match: Match, _: Rule) -> bool | None:
    ip = probe.packet.ip
    return None if ip is None or ip.tos is None else maybe(ip.tos & _ECN == match.value, match)


def _tcp_flag(flag: Flag) -> Fulfils:
    """A flag of ECN; packets that are no TCP fail, whatever ``!`` says."""

    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        tcp = probe.packet.tcp
        return False if tcp is None else maybe(bool(tcp.flags & flag), match)

    return row


def _tcp_option(probe: Probe, match: Match, _: Rule) -> bool | None:
    ports = _ports_of(probe.packet, TCP)
    tcp = probe.packet.tcp
    if not isinstance(ports, tuple) or tcp is None:
        return False if ports is False else None
    row = _OPTIONS.get(match.value) if isinstance(match.value, int) else None
    if row is None or tcp.options.size is None:
        return None
    return maybe(row(tcp.options), match)


#: kind of a TCP option -> whether a header has it
_OPTIONS: Final[Mapping[int, Callable[[TcpOptions], bool]]] = {
    2: lambda options: options.mss is not None,
    3: lambda options: options.wscale is not None,
    4: lambda options: options.sack_ok,
    5: lambda options: bool(options.sack),
    8: lambda options: options.timestamp is not None,
}
_ECN: Final = 3


def _length(probe: Probe, match: Match, _: Rule) -> bool | None:
    length = probe.packet.length
    return None if length is None else maybe(within(length - _ETHERNET, match.value), match)


def _dscp(probe: Probe, match: Match, _: Rule) -> bool | None:
    ip = probe.packet.ip
    wanted = CLASSES.get(match.value.upper()) if isinstance(match.value, str) else match.value
    return None if ip is None or ip.tos is None or wanted is None else maybe(ip.tos >> 2 == wanted, match)


#: match name of ``parse.iptables`` -> row
HEADER: Final[Mapping[str, Fulfils]] = {
    "source": _address(source=True),
    "destination": _address(source=False),
    "in-interface": _device(incoming=True),
    "out-interface": _device(incoming=False),
    "protocol": _protocol,
    "fragment": _fragment,
    "tcp.sport": _port(TCP, source=True),
    "tcp.dport": _port(TCP, source=False),
    "tcp.tcp-flags": _tcp_flags,
    "tcpmss.mss": _mss,
    "udp.sport": _port(UDP, source=True),
    "udp.dport": _port(UDP, source=False),
    "multiport.sports": _multiport(0),
    "multiport.dports": _multiport(1),
    "multiport.ports": _multiport(0, 1),
    "icmp.icmp-type": _icmp(ICMP),
    "icmp6.icmpv6-type": _icmp(ICMP6),
    "icmpv6.icmpv6-type": _icmp(ICMP6),
    "iprange.src-range": _range(source=True),
    "iprange.dst-range": _range(source=False),
    "ttl.ttl-eq": _ttl(lambda have, wanted: have == wanted),
    "ttl.ttl-gt": _ttl(lambda have, wanted: have > wanted),
    "ttl.ttl-lt": _ttl(lambda have, wanted: have < wanted),
    "length.length": _length,
    "hl.hl-eq": _ttl(lambda have, wanted: have == wanted),
    "hl.hl-gt": _ttl(lambda have, wanted: have > wanted),
    "hl.hl-lt": _ttl(lambda have, wanted: have < wanted),
    "dscp.dscp": _dscp,
    "dscp.dscp-class": _dscp,
    "tos.tos": _tos,
    "ecn.ecn-ip-ect": _ect,
    "ecn.ecn-tcp-ece": _tcp_flag(Flag.ECE),
    "ecn.ecn-tcp-cwr": _tcp_flag(Flag.CWR),
    "tcp.tcp-option": _tcp_option,
}
