"""
Packets that a stack makes by itself: RST, ICMP errors, echo replies.

RFC 9293 section 3.10.7.1 (a segment for nobody), RFC 792, RFC 1122 section 3.2.2 (what no error may answer).
``tcp_v4_send_reset``, ``nf_send_reset`` and ``icmp_send`` of the kernel fill in the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.address import IPAddress, is_group
from bothways.facts.packet import ICMP, TCP, Ethernet, Flag, Icmp, Ip, Packet, Tcp
from bothways.model.linux.conntrack.tuple import is_icmp_error

__all__ = [
    "ECHO_REQUEST",
    "FRAGMENTATION_NEEDED",
    "PORT_UNREACHABLE",
    "REJECTIONS",
    "TIME_EXCEEDED",
    "UNREACHABLE",
    "echo_reply",
    "icmp_error",
    "reset",
]

_TTL: Final = 64
_WORD: Final = 1 << 32
_HEADERS: Final = 54  # Ethernet, IPv4 and TCP without options
ECHO_REQUEST: Final = 8

TIME_EXCEEDED: Final = (11, 0)
PORT_UNREACHABLE: Final = (3, 3)
FRAGMENTATION_NEEDED: Final = (3, 4)

#: What a route without a way answers with (``ip_error``); ``blackhole`` answers nothing.
UNREACHABLE: Final[Mapping[str, tuple[int, int]]] = {
    "none": (3, 0),
    "unreachable": (3, 1),
    "prohibit": (3, 13),
}

#: ``--reject-with`` -> ICMP type and code, iptables-extensions(8); ``tcp-reset`` is no ICMP.
REJECTIONS: Final[Mapping[str, tuple[int, int]]] = {
    "icmp-net-unreachable": (3, 0),
    "icmp-host-unreachable": (3, 1),
    "icmp-proto-unreachable": (3, 2),
    "icmp-port-unreachable": (3, 3),
    "icmp-net-prohibited": (3, 9),
    "icmp-host-prohibited": (3, 10),
    "icmp-admin-prohibited": (3, 13),
}


def reset(packet: Packet) -> Packet | None:
    """
    The RST that answers a segment nobody waits for; None if none may be sent.

    A segment with ACK is answered with the number that it asks for; one without gets its own acknowledged.
    Numbers that the evidence does not show stay open.
    """
    ip, tcp = packet.ip, packet.tcp
    if ip is None or tcp is None or tcp.flags & Flag.RST or ip.offset:
        return None
    if tcp.flags & Flag.ACK:
        answer = Tcp(tcp.dport, tcp.sport, Flag.RST, tcp.ack, 0, window=0, length=0, checksum_ok=True)
    else:
        taken = (tcp.length or 0) + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
        acked = None if tcp.seq is None else (tcp.seq + taken) % _WORD
        answer = Tcp(
            tcp.dport, tcp.sport, Flag.RST | Flag.ACK, 0, acked, window=0, length=0, checksum_ok=True
        )
    return Packet(Ethernet(), ip=Ip(ip.dst, ip.src, TCP, ttl=_TTL, df=True), tcp=answer, length=_HEADERS)


def icmp_error(packet: Packet, kind: tuple[int, int], source: IPAddress) -> Packet | None:
    """The ICMP error about a packet; None for packets that no error may answer."""
    ip = packet.ip
    if ip is None or ip.offset or is_icmp_error(packet) or is_group(packet.ethernet.dst):
        return None
    if ip.dst.is_multicast or int(ip.src) == 0 or ip.src.is_multicast:
        return None
    error = Icmp(kind[0], kind[1], inner=replace(packet, ethernet=Ethernet()))
    return Packet(Ethernet(), ip=Ip(source, ip.src, ICMP, ttl=_TTL), icmp=error)


def echo_reply(packet: Packet) -> Packet | None:
    """The answer to a ping; None if the packet is none."""
    ip, icmp = packet.ip, packet.icmp
    if ip is None or icmp is None or icmp.type != ECHO_REQUEST:
        return None
    return replace(
        packet, ethernet=Ethernet(), ip=Ip(ip.dst, ip.src, ICMP, ttl=_TTL), icmp=replace(icmp, type=0)
    )
