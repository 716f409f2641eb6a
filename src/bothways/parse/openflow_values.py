"""
Values of OpenFlow fields as ``ovs-ofctl`` writes them, decoded to numbers.

Each form of ``FORMS`` is a decoder and a sentence that says what a good value looks like. A decoder returns
``(value, mask)``, mask None for an exact value, and raises ``ValueError`` for anything else. Addresses and
MACs become integers, most significant byte first. Source: ovs-fields(7), ovs-ofctl(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import mac, mac_to_int
from bothways.facts.openflow import LOCAL

__all__ = ["CT_STATE", "FORMS", "PORTS", "RESERVED", "TCP_FLAGS", "Form", "number", "port_number", "unquoted"]

Decoded = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Form:
    """
    How the values of a field are written.

    :param decode: text and width in bits of the field -> value and mask.
    :param expects: what a good value looks like, for hints.
    """

    decode: Callable[[str, int], Decoded]
    expects: str


#: connection states of ``ct_state`` by bit, ovs-fields(7)
CT_STATE: Final[Mapping[str, int]] = {
    "new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08, "inv": 0x10, "trk": 0x20, "snat": 0x40, "dnat": 0x80,
}  # fmt: skip
TCP_FLAGS: Final[Mapping[str, int]] = {
    "fin": 0x001, "syn": 0x002, "rst": 0x004, "psh": 0x008, "ack": 0x010, "urg": 0x020, "ece": 0x040,
    "cwr": 0x080, "ns": 0x100, "[200]": 0x200, "[400]": 0x400, "[800]": 0x800,
}  # fmt: skip
#: fragments: bit 0 is any fragment, bit 1 is not the first one
_FRAG: Final[Mapping[str, Decoded]] = {
    "no": (0, 3), "yes": (1, 1), "first": (1, 3), "later": (3, 3), "not_later": (0, 2),
}  # fmt: skip
#: OpenFlow 1.0 numbers of reserved ports; 1.1 and later have the upper 16 bits set as well
RESERVED: Final[Mapping[int, str]] = {
    0xFFF8: "in_port", 0xFFF9: "table", 0xFFFA: "normal", 0xFFFB: "flood", 0xFFFC: "all",
    0xFFFD: "controller", 0xFFFE: "local", 0xFFFF: "none",
}  # fmt: skip
_NUMBERS: Final = {**{name: value for value, name in RESERVED.items()}, "any": 0xFFFF}
#: names of reserved ports, lower case
PORTS: Final = frozenset({*RESERVED.values(), "any"})

_MAC: Final = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
_OCTET: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\Z")
_SIGNED: Final = re.compile(r"[+-][a-z\[\]0-9]+")
_LIMIT: Final = 256  # digits: tunnel metadata has 992 bits at most


def unquoted(text: str) -> str:
    """A name without the quotes that ``--names`` puts around it."""
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


def number(text: str) -> int:
    """
    A decimal or hexadecimal number of at most 256 digits, not negative.

    :raises ValueError: if it is not one.
    """
    if text.isdecimal() and text.isascii() and len(text) <= _LIMIT:
        return int(text)
    text = text.strip()
    if len(text) > _LIMIT or not text.isascii() or not text[:1].isdigit() or "_" in text:
        raise ValueError(text)
    # A bare `0x` is zero to C, and some sites print it.
    return int(text[2:] or "0", 16) if text[:2].lower() == "0x" else int(text, 10)


def port_number(text: str) -> int | None:
    """An OpenFlow port number with ``LOCAL`` and its 16-bit form made one, None for a name."""
    try:
        value = number(text)
    except ValueError:
        return LOCAL if unquoted(text).lower() == "local" else None
    return LOCAL if value in (LOCAL & 0xFFFF, LOCAL) else value


def _masked(value: int, mask: int | None, width: int) -> Decoded:
    full = (1 << width) - 1
    if value > full or (mask is not None and mask > full):
        raise ValueError(value)
    return (value, None) if mask is None or mask == full else (value & mask, mask)


def _number(text: str, width: int) -> Decoded:
    if "/" not in text:
        exact = number(text)
        if exact >> width:
            raise ValueError(text)
        return exact, None
    value, slash, mask = text.partition("/")
    return _masked(number(value), number(mask) if slash else None, width)


def _mac(text: str, width: int) -> Decoded:
    if _MAC.match(text):
        return int(text.replace(":", ""), 16), None
    value, slash, mask = text.partition("/")
    return _masked(mac_to_int(mac(value)), mac_to_int(mac(mask)) if slash else None, width)


def _address(text: str, width: int, kind: type[IPv4Address | IPv6Address]) -> Decoded:
    value, slash, mask = text.partition("/")
    if not slash:
        return int(kind(value)), None
    if mask.isascii() and mask.isdigit():
        length = number(mask)
        if length > width:
            raise ValueError(text)
        return _masked(int(kind(value)), (1 << width) - (1 << (width - length)), width)
    return _masked(int(kind(value)), int(kind(mask)), width)


def _ipv4(text: str, width: int) -> Decoded:
    found = _IPV4.match(text)
    if found is not None:
        a, b, c, d = found.groups()
        return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d), None
    return _address(text, width, IPv4Address)


def _ipv6(text: str, width: int) -> Decoded:
    return _address(text, width, IPv6Address)


def _flags(names: Mapping[str, int]) -> Callable[[str, int], Decoded]:
    def decode(text: str, width: int) -> Decoded:
        if text[:1].isdigit():
            return _number(text, width)
        if text[:1] in "+-" and text:
            signed = _SIGNED.findall(text)
            if "".join(signed) != text:
                raise ValueError(text)
            mask = _union(names, [sign[1:] for sign in signed])
            return _union(names, [sign[1:] for sign in signed if sign[0] == "+"]), mask
        return _union(names, text.split("|")), None

    return decode


def _union(names: Mapping[str, int], given: list[str]) -> int:
    bits = 0
    for name in given:
        if name not in names:
            raise ValueError(name)
        bits |= names[name]
    return bits


def _frag(text: str, width: int) -> Decoded:
    return _FRAG[text] if text in _FRAG else _number(text, width)


def _packet_type(text: str, _width: int) -> Decoded:
    space, comma, kind = text.strip("()").partition(",")
    if not comma:
        return number(text), None
    return _masked(number(space) << 16 | number(kind), None, 32)


def _port(text: str, width: int) -> Decoded:
    value = port_number(text)
    if value is None:
        value = _NUMBERS.get(text.lower())
    if value is None:
        raise ValueError(text)
    if "/" in text:
        return _number(text, width)
    return value, None


def _vlan_id(text: str, _width: int) -> Decoded:
    """What ``set_field`` writes to ``vlan_vid``: twelve bits, and the one that says that there is a tag."""
    value, mask = _number(text, 13)
    return value, 0x1FFF if mask is None else mask


def _action_set_port(text: str, width: int) -> Decoded:
    return (0xFFF7, None) if text.lower() == "unset" else _port(text, width)


#: form -> decoder and what a good value looks like
FORMS: Final[Mapping[str, Form]] = {
    "number": Form(_number, "a decimal or 0x number that fits the field, with /mask if only some bits count"),
    "mac": Form(_mac, "a MAC such as fa:16:3e:00:00:01, with /mask if only some bits count"),
    "ipv4": Form(_ipv4, "an IPv4 address, with /length or /mask for a network"),
    "ipv6": Form(_ipv6, "an IPv6 address, with /length or /mask for a network"),
    "port": Form(_port, "a port number, LOCAL, or the name of a port"),
    "vid": Form(_vlan_id, "a VLAN ID with bit 0x1000 set, with /mask if only some bits count"),
    "actset": Form(_action_set_port, "a port number or unset"),
    "ct_state": Form(_flags(CT_STATE), "states such as +trk-new, or 0x21/0x21"),
    "tcp_flags": Form(_flags(TCP_FLAGS), "flags such as +syn-ack or syn|ack, or 0x2/0x12"),
    "tun_flags": Form(_flags({"oam": 1}), "+oam or -oam"),
    "frag": Form(_frag, "no, yes, first, later or not_later"),
    "packet_type": Form(_packet_type, "(namespace,type) such as (1,0x800)"),
}
