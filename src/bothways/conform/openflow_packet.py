"""
A packet as ``ofproto/trace`` prints it (``tcp,in_port=1,nw_src=…``) -> what the model takes.

A field that is not printed is zero, as in the switch: what a ``Packet`` has no place for is handed over in
``Arrival.fields``, so nothing of the packet is unknown. The form is that of a match (ovs-fields(7)), and for
a packet with two VLAN tags or MPLS labels it has names such as ``dl_vlan1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import IPAddress, Mac, mac_from_int
from bothways.facts.openflow import LOCAL, Term
from bothways.facts.packet import (
    ETH_ARP,
    ETH_IP,
    ETH_IP6,
    ICMP,
    ICMP6,
    TCP,
    UDP,
    Arp,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    Udp,
)
from bothways.facts.span import Span
from bothways.model.openflow.field import FIELDS
from bothways.model.openflow.key import PIPELINE
from bothways.model.openflow.options import OTHERS, is_option, presence
from bothways.model.openflow.passage import Arrival
from bothways.parse.openflow_lex import Piece, cut
from bothways.parse.openflow_match import read_terms, renamed

__all__ = ["PacketTextError", "Printed", "arrival_of", "read_packet"]

_PRESENT: Final = 0x1000
_FIRST, _LATER = 1, 2
#: how a second tag or label is printed: the name with the level behind it
_INNER: Final = re.compile(
    r"(dl_vlan|dl_vlan_pcp|vlan_tci|mpls_label|mpls_tc|mpls_ttl|mpls_bos|mpls_lse)([1-9])=(\w+)"
)
#: fields of the tunnel's header that no flow matches
_OUTSIDE: Final = re.compile(r"(tun_tos|tun_ttl)=(\w+)")
_NOTHING: Final = re.compile(r"[0x:.,/]*|no|none|::")


class PacketTextError(ValueError):
    """A packet that cannot be read, or that says what the model has no field for."""


@dataclass(frozen=True, slots=True)
class Printed:
    """
    The fields of a printed packet; one that is not there is zero.

    :param unread: terms that could not be read and are not zero.
    """

    fields: Mapping[str, int]
    unread: tuple[str, ...] = ()


def read_packet(text: str, ports: Mapping[str, int] | None = None) -> Printed:
    """
    Read a printed packet.

    :param ports: numbers of ports by name, for ``in_port=NAME``.
    """
    found: dict[str, int] = {}
    unread: list[str] = []
    rest: list[str] = []
    for piece in cut(text.strip(), 1):
        inner = _INNER.fullmatch(piece.text)
        outside = _OUTSIDE.fullmatch(piece.text)
        if outside is not None:
            found[outside[1]] = int(outside[2], 0)
        elif piece.text.startswith("tun_flags=") and "oam" not in piece.text:
            continue
        elif inner is None:
            rest.append(piece.text)
        else:
            _put_inner(found, inner[1], int(inner[2]), int(inner[3], 0))
    read = [term for text in rest for term in _terms(text)]
    for term in renamed(read):
        value = term.value
        name, _, said = term.text.partition("=")
        if value is None and term.field == "in_port":
            value = (ports or {}).get(said.strip('"'), 0xFFFF if said == "ANY" else None)
        if value is not None:
            found[term.field] = found.get(term.field, 0) | value
        elif not _NOTHING.fullmatch(said) or not name:
            unread.append(term.text)
    return Printed(found, tuple(unread))


@lru_cache(maxsize=1 << 14)
def _terms(text: str) -> tuple[Term, ...]:
    """What one term says; packets of one recording have most of them in common."""
    return tuple(read_terms(Piece(text, 1), Span("trace", 1, text=text))[0])


def _put_inner(found: dict[str, int], name: str, level: int, value: int) -> None:
    """A second tag becomes ``vlan_tci1`` (``vlan_tci2`` …), a second label ``mpls_label1``."""
    if not name.startswith(("dl_vlan", "vlan_tci")):
        found[f"{name}{level}"] = value
        return
    bits = {"dl_vlan": _PRESENT | value, "dl_vlan_pcp": _PRESENT | value << 13, "vlan_tci": value}[name]
    if value or name == "dl_vlan":
        found[f"vlan_tci{level}"] = found.get(f"vlan_tci{level}", 0) | bits


def arrival_of(printed: Printed) -> Arrival:
    """
    Give a packet to the model, every field known.

    :raises PacketTextError: if a part of it was not read.
    """
    if printed.unread:
        raise PacketTextError(f"the packet has {', '.join(printed.unread)}")
    f = printed.fields
    packet = _packet(f)
    more = {name: value for name, value in f.items() if name not in FIELDS and name != "in_port"}
    more |= {name: f.get(name, 0) for name in PIPELINE if name.startswith("tun_") or name in _SENT_ALONG}
    more |= {name: f.get(name, 0) for name in ("mpls_lse1", "mpls_lse2")}
    more |= {OTHERS: 0, **{presence(name): 1 for name in f if is_option(name)}}
    for name, field in FIELDS.items():
        value, known = field.read(packet)
        whole = (1 << field.width) - 1
        if known & whole != whole or value != f.get(name, 0):
            more[name] = f.get(name, 0)
    tunnel = any(f.get(name) for name in ("tun_id", "tun_src", "tun_dst"))
    ends = (IPv4Address(f.get("tun_src", 0)), IPv4Address(f.get("tun_dst", 0))) if tunnel else (None, None)
    port = f.get("in_port", 0)
    return Arrival(
        LOCAL if port in (LOCAL, LOCAL & 0xFFFF) else port,
        packet,
        f.get("tun_id", 0) if tunnel else None,
        ends[0],
        ends[1],
        more,
    )


#: what comes with a packet from the datapath; a trace has zero where it prints nothing
_SENT_ALONG: Final = frozenset({"pkt_mark", "skb_priority", "dp_hash"})


def _packet(f: Mapping[str, int]) -> Packet:
    kind, tci = f.get("eth_type", 0), f.get("vlan_tci", 0)
    ethernet = Ethernet(
        Mac(mac_from_int(f.get("eth_src", 0))),
        Mac(mac_from_int(f.get("eth_dst", 0))),
        kind,
        tci & 0xFFF if tci & _PRESENT else None,
    )
    if kind == ETH_ARP:
        return Packet(ethernet, arp=_arp(f))
    if kind not in (ETH_IP, ETH_IP6):
        return Packet(ethernet)
    return _ip_packet(f, ethernet, kind)


def _arp(f: Mapping[str, int]) -> Arp:
    return Arp(
        f.get("arp_op", 0),
        mac_from_int(f.get("arp_sha", 0)),
        IPv4Address(f.get("arp_spa", 0)),
        mac_from_int(f.get("arp_tha", 0)),
        IPv4Address(f.get("arp_tpa", 0)),
    )


def _ip_packet(f: Mapping[str, int], ethernet: Ethernet, kind: int) -> Packet:
    source: IPAddress = IPv4Address(f.get("nw_src", 0))
    destination: IPAddress = IPv4Address(f.get("nw_dst", 0))
    if kind == ETH_IP6:
        source, destination = IPv6Address(f.get("ipv6_src", 0)), IPv6Address(f.get("ipv6_dst", 0))
    fragment, protocol = f.get("nw_frag", 0), f.get("ip_proto", 0)
    ip = Ip(
        source,
        destination,
        protocol,
        f.get("nw_ttl", 0),
        tos=f.get("nw_tos", 0),
        more=fragment == _FIRST,
        offset=8 if fragment & _LATER else 0,
    )
    sport, dport = f.get("tp_src", 0), f.get("tp_dst", 0)
    if fragment & _LATER:
        return Packet(ethernet, ip)
    if protocol == TCP:
        return Packet(ethernet, ip, tcp=Tcp(sport, dport, Flag(f.get("tcp_flags", 0) & 0xFF)))
    if protocol == UDP:
        return Packet(ethernet, ip, udp=Udp(sport, dport))
    if protocol == (ICMP if kind == ETH_IP else ICMP6):
        return Packet(ethernet, ip, icmp=Icmp(f.get("icmp_type", 0), f.get("icmp_code", 0)))
    return Packet(ethernet, ip)
