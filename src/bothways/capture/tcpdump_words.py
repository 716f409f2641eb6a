"""
A decoded frame in tcpdump's words, as ``tcpdump -nS`` prints it without ``-v``.

Reports quote frames this way because readers know it. Wording follows the output of tcpdump 4.99 (tested
against the installed one). Left out on purpose: the contents of UDP datagrams, of TCP payloads and of rare
options, and what is inside protocols that are not followed. Time is UTC. A tunnelled packet follows the words
of its tunnel on the same line, where tcpdump starts a new one; port 8472 is VXLAN here, to tcpdump it is OTV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.capture.layers import Layers
from bothways.capture.transport_layer import tcp_options
from bothways.facts.address import IPAddress
from bothways.facts.packet import (
    ETH_IP6,
    ICMP,
    ICMP6,
    TCP,
    UDP,
    Arp,
    ArpOp,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    flags_text,
)

__all__ = ["clock_words", "frame_words", "packet_words"]

_NANOSECONDS: Final = 1_000_000_000
_NULL_MAC: Final = "00:00:00:00:00:00"
_NUMBERED: Final = int(Flag.SYN | Flag.FIN | Flag.RST)
_URGENT: Final = int(Flag.URG)
_ACK: Final = int(Flag.ACK)
_V6: Final = 6


@lru_cache(maxsize=4096)
def _address(address: IPAddress) -> str:
    return str(address)


@lru_cache(maxsize=256)
def _flags(flags: Flag) -> str:
    return flags_text(flags)


@lru_cache(maxsize=64)
def _clock(second: int) -> str:
    hours, rest = divmod(second, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"


def clock_words(time_ns: int) -> str:
    """Time of day in UTC, to the microsecond."""
    second, fraction = divmod(time_ns, _NANOSECONDS)
    return f"{_clock(second % 86400)}.{fraction // 1000:06d}"


def _arp(arp: Arp, length: int) -> str:
    if arp.op == ArpOp.REQUEST:
        asked = f" ({arp.tha})" if arp.tha != _NULL_MAC else ""
        words = f"Request who-has {arp.tpa}{asked} tell {arp.spa}"
    elif arp.op == ArpOp.REPLY:
        words = f"Reply {arp.spa} is-at {arp.sha}"
    else:
        words = f"Unknown ({arp.op})"
    return f"ARP, {words}, length {length}"


def _mss(value: bytes) -> str:
    return f"mss {int.from_bytes(value)}"


def _wscale(value: bytes) -> str:
    return f"wscale {int.from_bytes(value[:1])}"


def _sack(value: bytes) -> str:
    edges = [int.from_bytes(value[at : at + 4]) for at in range(0, len(value) - 3, 4)]
    blocks = "".join(f"{{{left}:{right}}}" for left, right in zip(edges[::2], edges[1::2], strict=False))
    return f"sack {len(edges) // 2} {blocks}"


def _timestamp(value: bytes) -> str:
    return f"TS val {int.from_bytes(value[:4])} ecr {int.from_bytes(value[4:8])}"


_OPTION_WORDS: Final[Mapping[int, Callable[[bytes], str]]] = {
    0: lambda _: "eol",
    1: lambda _: "nop",
    2: _mss,
    3: _wscale,
    4: lambda _: "sackOK",
    5: _sack,
    8: _timestamp,
}


def _option(kind: int, value: bytes) -> str:
    words = _OPTION_WORDS.get(kind)
    if words is not None:
        return words(value)
    return f"unknown-{kind} 0x{value.hex()}" if value else f"unknown-{kind}"


def _tcp(tcp: Tcp, body: bytes) -> str:
    flags = int(tcp.flags)
    parts = [f"Flags [{_flags(tcp.flags)}]"]
    if tcp.seq is not None and (tcp.length or flags & _NUMBERED):
        end = f":{tcp.seq + tcp.length & 0xFFFFFFFF}" if tcp.length else ""
        parts.append(f"seq {tcp.seq}{end}")
    if tcp.ack is not None and flags & _ACK:
        parts.append(f"ack {tcp.ack}")
    parts.append(f"win {tcp.window}")
    if flags & _URGENT:
        parts.append(f"urg {int.from_bytes(body[18:20])}")
    header = (body[12] >> 4) * 4
    options = ",".join(_option(kind, value) for kind, value in tcp_options(body[20:header]))
    if options:
        parts.append(f"options [{options}]")
    parts.append(f"length {tcp.length}")
    return ", ".join(parts)


#: ICMP destination unreachable: code -> words after "unreachable", and what stands before the address.
_UNREACHABLE: Final[Mapping[int, tuple[str, str]]] = {
    0: ("net ", ""),
    1: ("host ", ""),
    5: ("", " - source route failed"),
    6: ("net ", " - unknown"),
    7: ("host ", " - unknown"),
    8: ("", " - source host isolated"),
    9: ("net ", " - admin prohibited"),
    10: ("host ", " - admin prohibited"),
    11: ("net ", " - tos prohibited"),
    12: ("host ", " - tos prohibited"),
    13: ("host ", " - admin prohibited filter"),
    14: ("host ", " - host precedence violation"),
    15: ("host ", " - precedence cutoff"),
}
_PORTS: Final[Mapping[int, str]] = {TCP: "tcp", UDP: "udp"}
_PROTOCOL_UNREACHABLE: Final = 2
_PORT_UNREACHABLE: Final = 3
_NEED_TO_FRAG: Final = 4


def _refused_port(inner: Packet) -> str | None:
    """``10.0.0.2 udp port 53`` of a quoted packet, None if its ports are not quoted."""
    end = inner.destination
    if inner.ip is None or end is None or end.port is None:
        return None
    return f"{end.address} {_PORTS[inner.ip.protocol]} port {end.port}"


def _unreachable(icmp: Icmp, body: bytes) -> str:
    inner = icmp.inner
    if inner is None or inner.ip is None:
        return f"destination unreachable, code {icmp.code}"
    quoted = inner.ip
    if icmp.code == _PROTOCOL_UNREACHABLE:
        return f"{quoted.dst} protocol {quoted.protocol} unreachable"
    if icmp.code == _PORT_UNREACHABLE:
        refused = _refused_port(inner) or f"{quoted.dst} protocol {quoted.protocol} port 0"
        return f"{refused} unreachable"
    if icmp.code == _NEED_TO_FRAG:
        mtu = int.from_bytes(body[6:8])
        limit = f" (mtu {mtu})" if mtu else ""
        return f"{quoted.dst} unreachable - need to frag{limit}"
    what, why = _UNREACHABLE.get(icmp.code, ("", f" - #{icmp.code}"))
    return f"{what}{quoted.dst} unreachable{why}"


#: Code of an ICMP redirect (RFC 792) -> word, what is redirected.
_REDIRECTS: Final[Mapping[int, tuple[str, str]]] = {
    0: ("redirect", "net"),
    1: ("redirect", "host"),
    2: ("redirect-tos", "net"),
    3: ("redirect-tos", "host"),
}


def _redirect(icmp: Icmp, body: bytes) -> str:
    if icmp.inner is None or icmp.inner.ip is None or len(body) < 8:  # noqa: PLR2004 - size of the header
        return "redirect"
    word, kind = _REDIRECTS.get(icmp.code, ("redirect", "host"))
    return f"{word} {icmp.inner.ip.dst} to {kind} {IPv4Address(body[4:8])}"


def _echo(word: str) -> Callable[[Icmp, bytes], str]:
    return lambda icmp, _: f"echo {word}, id {icmp.id}, seq {icmp.seq}"


def _exceeded(icmp: Icmp, _: bytes) -> str:
    return "time exceeded in-transit" if icmp.code == 0 else "ip reassembly time exceeded"


_ICMP_WORDS: Final[Mapping[int, Callable[[Icmp, bytes], str]]] = {
    0: _echo("reply"),
    3: _unreachable,
    4: lambda _icmp, _body: "source quench",
    5: _redirect,
    8: _echo("request"),
    11: _exceeded,
}


def _target(body: bytes) -> str:
    return str(IPv6Address(body[8:24])) if len(body) >= 24 else "?"  # noqa: PLR2004 - header and address


_UNREACHABLE_6: Final[Mapping[int, str]] = {
    0: "unreachable route",
    1: " unreachable prohibited",
    3: "unreachable address",
}
_PORT_UNREACHABLE_6: Final = 4


def _unreachable_6(icmp: Icmp, _: bytes) -> str:
    inner = icmp.inner
    if inner is None or inner.ip is None:
        return f"destination unreachable, code {icmp.code}"
    if icmp.code == _PORT_UNREACHABLE_6 and _refused_port(inner) is not None:
        return f"destination unreachable, unreachable port, {_refused_port(inner)}"
    what = _UNREACHABLE_6.get(icmp.code, f"code {icmp.code}")
    return f"destination unreachable, {what} {inner.ip.dst}"


def _exceeded_6(icmp: Icmp, _: bytes) -> str:
    quoted = "" if icmp.inner is None or icmp.inner.ip is None else f" for {icmp.inner.ip.dst}"
    return f"time exceeded in-transit{quoted}"


_ICMP6_WORDS: Final[Mapping[int, Callable[[Icmp, bytes], str]]] = {
    1: _unreachable_6,
    2: lambda _icmp, body: f"packet too big, mtu {int.from_bytes(body[4:8])}",
    3: _exceeded_6,
    128: _echo("request"),
    129: _echo("reply"),
    133: lambda _icmp, _body: "router solicitation",
    134: lambda _icmp, _body: "router advertisement",
    135: lambda _icmp, body: f"neighbor solicitation, who has {_target(body)}",
    136: lambda _icmp, body: f"neighbor advertisement, tgt is {_target(body)}",
    143: lambda _icmp, body: f"multicast listener report v2, {int.from_bytes(body[6:8])} group record(s)",
}


def _icmp(icmp: Icmp, ip: Ip, layers: Layers) -> str:
    if ip.protocol == ICMP6:
        name, table = "ICMP6, ", _ICMP6_WORDS
    else:
        name, table = "ICMP ", _ICMP_WORDS
    words = table.get(icmp.type)
    said = f"type-#{icmp.type}" if words is None else words(icmp, layers.body)
    return f"{name}{said}, length {layers.body_length}"


#: Protocols that tcpdump has a name for and that are not followed further.
_NAMES: Final[Mapping[int, str]] = {2: "igmp", 50: "ESP", 51: "AH", 89: "OSPF", 132: "sctp"}


def _above_ip(layers: Layers, ip: Ip) -> str:
    packet = layers.packet
    if packet.tcp is not None:
        return _tcp(packet.tcp, layers.body)
    if packet.udp is not None:
        return f"UDP, length {packet.udp.length}"
    if packet.icmp is not None:
        return _icmp(packet.icmp, ip, layers)
    if ip.offset:
        return f"ip-proto-{ip.protocol}"
    if ip.protocol in {TCP, UDP, ICMP, ICMP6}:
        return f"[|{_PORTS.get(ip.protocol, 'icmp')}]"
    return f"{_NAMES.get(ip.protocol, f'ip-proto-{ip.protocol}')} {layers.body_length}"


def _ends(packet: Packet, ip: Ip, extensions: tuple[str, ...], body_length: int) -> str:
    name = "IP6" if packet.ethernet.type == ETH_IP6 or ip.src.version == _V6 else "IP"
    src, dst = _address(ip.src), _address(ip.dst)
    transport = packet.tcp or packet.udp
    if extensions:
        words = " ".join(
            f"frag ({ip.offset}|{body_length})" if word == "frag" else word for word in extensions
        )
        ports = f" {transport.sport} > {transport.dport}:" if transport else ""
        return f"{name} {src} > {dst}: {words}{ports}"
    if transport:
        return f"{name} {src}.{transport.sport} > {dst}.{transport.dport}:"
    return f"{name} {src} > {dst}:"


def packet_words(layers: Layers) -> str:
    """One packet, the tunnel before it if there is one; without time."""
    packet = layers.packet
    if packet.arp is not None:
        words = _arp(packet.arp, layers.body_length)
    elif packet.ip is None:
        words = f"ethertype 0x{packet.ethernet.type:04x}"
    elif packet.ip.offset and layers.extensions:
        words = _ends(packet, packet.ip, layers.extensions, layers.body_length)
    else:
        ends = _ends(packet, packet.ip, layers.extensions, layers.body_length)
        words = f"{ends} {_above_ip(layers, packet.ip)}"
    if layers.outer is None or layers.outer.packet.ip is None or layers.tunnel is None:
        return words
    carrier = _ends(layers.outer.packet, layers.outer.packet.ip, layers.outer.extensions, 0)
    flags = layers.outer.body[8]
    return f"{carrier} VXLAN, flags [I] (0x{flags:02x}), vni {layers.tunnel.vni} {words}"


def frame_words(layers: Layers, time_ns: int, *, device: str | None, way: str) -> str:
    """
    One line of tcpdump.

    :param device: device of a cooked frame, None if unknown (tcpdump prints ``?``).
    :param way: ``In``, ``Out``, ``P``, ``B``, ``M``, or "" for a frame that was not cooked.
    """
    cooked = f"{device or '?':<5} {way:<3} " if way else ""
    return f"{clock_words(time_ns)} {cooked}{packet_words(layers)}"
