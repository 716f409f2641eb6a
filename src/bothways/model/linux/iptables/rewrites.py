"""
Targets that write into the header: TTL and hop limit, type of service, ECN, the MSS of a SYN.

``net/netfilter/xt_HL.c``, ``xt_DSCP.c`` (both targets), ``xt_TCPMSS.c``, ``net/ipv4/netfilter/ipt_ECN.c``.
Each takes a packet and the target's options and gives the packet as it is afterwards, with a sentence; None
where nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.iptables import Target
from bothways.facts.packet import Flag, Packet

__all__ = ["CLASSES", "REWRITES", "Rewrite", "masked", "with_mss"]

#: The packet afterwards and why, or None if it stays as it is.
Rewrite = Callable[[Packet, Target], tuple[Packet, str] | None]

#: Names of DSCP classes, iptables-extensions(8).
CLASSES: Final[Mapping[str, int]] = {
    "BE": 0, "EF": 46,
    **{f"CS{n}": 8 * n for n in range(8)},
    **{f"AF{x}{y}": 8 * x + 2 * y for x in range(1, 5) for y in range(1, 4)},
}  # fmt: skip
_TOS_NAMES: Final = {
    "minimize-delay": (0x10, 0x3F), "maximize-throughput": (0x08, 0x3F), "maximize-reliability": (0x04, 0x3F),
    "minimize-cost": (0x02, 0x3F), "normal-service": (0x00, 0x3F),
}  # fmt: skip
_MASKED: Final = re.compile(r"(0x[0-9a-f]+|\d+)(?:/(0x[0-9a-f]+|\d+))?$", re.IGNORECASE)
_OCTET: Final = 0xFF
_DSCP: Final = 0xFC
_NEW_OPTION: Final = 4
#: What a SYN without the option gets at most, RFC 9293 section 3.7.1 and RFC 8200 section 8.3.
_LARGEST_ADDED: Final = {4: 536, 6: 1220}
_LONGEST_OPTIONS: Final = 40


def masked(text: object) -> tuple[int, int] | None:
    """
    A value with its mask as ``--tos`` and ``--set-tos`` write them; None for any other text.

    >>> masked("0x10/0x3f"), masked("0x28")
    ((16, 63), (40, 255))
    """
    if not isinstance(text, str):
        return None
    named = _TOS_NAMES.get(text.lower())
    if named is not None:
        return named
    found = _MASKED.match(text)
    if found is None:
        return None
    return int(found[1], 0), _OCTET if found[2] is None else int(found[2], 0)


def _hops(word: str) -> Rewrite:
    """``TTL`` or ``HL``: set, add, take away; it stays between 0 and 255."""

    def row(packet: Packet, target: Target) -> tuple[Packet, str] | None:
        ip = packet.ip
        if ip is None or ip.ttl is None:
            return None
        old = new = ip.ttl
        for name, sign in ((f"{word}-set", None), (f"{word}-inc", 1), (f"{word}-dec", -1)):
            number = target.options.get(name)
            if isinstance(number, int):
                new = number if sign is None else max(0, min(_OCTET, old + sign * number))
        if new == old:
            return None
        name = "TTL" if word == "ttl" else "hop limit"
        return replace(packet, ip=replace(ip, ttl=new)), f"the {name} {old} becomes {new}"

    return row


def _with_tos(packet: Packet, value: int, mask: int) -> tuple[Packet, str] | None:
    """The bits of *mask* are cleared, those of *value* turned over."""
    ip = packet.ip
    if ip is None or ip.tos is None:
        return None
    new = (ip.tos & ~mask & _OCTET) ^ value
    if new == ip.tos:
        return None
    return replace(packet, ip=replace(ip, tos=new)), f"the type of service {ip.tos:#04x} becomes {new:#04x}"


def _dscp(packet: Packet, target: Target) -> tuple[Packet, str] | None:
    number, name = target.options.get("set-dscp"), target.options.get("set-dscp-class")
    dscp = number if isinstance(number, int) else CLASSES.get(str(name).upper())
    return None if dscp is None else _with_tos(packet, dscp << 2 & _DSCP, _DSCP)


def _tos(packet: Packet, target: Target) -> tuple[Packet, str] | None:
    given = masked(target.options.get("set-tos"))
    for name, made in (
        ("and-tos", lambda bits: (0, ~bits & _OCTET)),
        ("or-tos", lambda bits: (bits, bits)),
        ("xor-tos", lambda bits: (bits, 0)),
    ):
        bits = masked(target.options.get(name))
        given = given if bits is None else made(bits[0])
    return None if given is None else _with_tos(packet, *given)


def _ecn(packet: Packet, target: Target) -> tuple[Packet, str] | None:
    tcp = packet.tcp
    if tcp is None or not target.options.get("ecn-tcp-remove"):
        return None
    flags = tcp.flags & ~(Flag.ECE | Flag.CWR)
    if flags == tcp.flags:
        return None
    return replace(packet, tcp=replace(tcp, flags=flags)), "ECE and CWR are taken out of the TCP header"


def with_mss(packet: Packet, wanted: int) -> tuple[Packet, str] | None:
    """
    Lower the MSS of a segment; one without the option gets it (``tcpmss_mangle_packet``).

    A segment that carries data, or has no room for the option, stays as it is.
    """
    ip, tcp = packet.ip, packet.tcp
    if ip is None or tcp is None or ip.offset:
        return None
    old = tcp.options.mss
    if old is not None:
        if old <= wanted:
            return None
        new = replace(tcp, options=replace(tcp.options, mss=wanted))
        return replace(packet, tcp=new), f"the MSS {old} becomes {wanted}"
    size = tcp.options.size or 0
    if tcp.length or size + _NEW_OPTION > _LONGEST_OPTIONS:
        return None
    wanted = min(wanted, _LARGEST_ADDED[ip.src.version])
    options = replace(tcp.options, mss=wanted, size=size + _NEW_OPTION)
    length = None if packet.length is None else packet.length + _NEW_OPTION
    return replace(packet, tcp=replace(tcp, options=options), length=length), f"an MSS of {wanted} is added"


def _mss(packet: Packet, target: Target) -> tuple[Packet, str] | None:
    wanted = target.options.get("set-mss")
    return with_mss(packet, wanted) if isinstance(wanted, int) else None


#: target -> row
REWRITES: Final[Mapping[str, Rewrite]] = {
    "TTL": _hops("ttl"),
    "HL": _hops("hl"),
    "DSCP": _dscp,
    "TOS": _tos,
    "ECN": _ecn,
    "TCPMSS": _mss,
}
