"""
Values of iptables options: text to typed values.

Every decoder takes the option's words and raises ``ValueError`` for text that the option cannot have, and
``NotModelledError`` for text that is right and that bothways has no value for.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import IPNetwork, Mac, address, mac, network
from bothways.facts.iptables import AddressRange
from bothways.parse.ports import port_number, port_range
from bothways.parse.reading import NotModelledError, quoted

__all__ = [
    "ALWAYS",
    "address_range",
    "dash_ports",
    "flag",
    "group",
    "icmp6_type",
    "icmp_type",
    "integer",
    "integer_range",
    "lower",
    "mac_address",
    "mark",
    "mask_only",
    "network_of",
    "network_or_address",
    "one_port",
    "or_mark",
    "port_list",
    "port_span",
    "protocol",
    "rate",
    "real",
    "set_reference",
    "short_range",
    "target_range",
    "tcp_flags",
    "text",
    "upper_set",
    "words",
    "xor_mark",
    "zone",
]

_WORD8: Final = 0xFF
_WORD16: Final = 0xFFFF
_WORD32: Final = 0xFFFFFFFF
#: Digits of the largest number of 64 bits.
_DIGITS: Final = 20

#: What a decoder returns for a condition that every packet fulfils; the match is then left out.
ALWAYS: Final = object()

#: IANA protocol numbers by the names of ``/etc/protocols`` and of iptables itself.
_PROTOCOLS: Final = {
    "icmp": 1, "igmp": 2, "ipencap": 4, "ipip": 4, "ipv4": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17,
    "dccp": 33, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50,
    "ipv6-crypt": 50, "ah": 51, "ipv6-auth": 51, "ipv6-icmp": 58, "icmpv6": 58, "icmp6": 58, "ipv6-nonxt": 59,
    "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "ospfigp": 89, "etherip": 97, "encap": 98, "pim": 103,
    "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobility-header": 135,
    "ipv6-mh": 135, "mh": 135, "udplite": 136, "mpls-in-ip": 137, "hip": 139,
}  # fmt: skip

_TCP_FLAGS: Final = {
    "FIN": 0x01, "SYN": 0x02, "RST": 0x04, "PSH": 0x08, "ACK": 0x10, "URG": 0x20, "ALL": 0x3F, "NONE": 0,
}  # fmt: skip

#: RFC 792 and the IANA registry, under the names of ``libipt_icmp``.
_ICMP: Final[dict[str, tuple[int, int | None]]] = {
    "echo-reply": (0, None), "pong": (0, None), "destination-unreachable": (3, None),
    "network-unreachable": (3, 0), "host-unreachable": (3, 1), "protocol-unreachable": (3, 2),
    "port-unreachable": (3, 3), "fragmentation-needed": (3, 4), "source-route-failed": (3, 5),
    "network-unknown": (3, 6), "host-unknown": (3, 7), "network-prohibited": (3, 9),
    "host-prohibited": (3, 10), "TOS-network-unreachable": (3, 11), "TOS-host-unreachable": (3, 12),
    "communication-prohibited": (3, 13), "host-precedence-violation": (3, 14), "precedence-cutoff": (3, 15),
    "source-quench": (4, None), "redirect": (5, None), "network-redirect": (5, 0), "host-redirect": (5, 1),
    "TOS-network-redirect": (5, 2), "TOS-host-redirect": (5, 3), "echo-request": (8, None), "ping": (8, None),
    "router-advertisement": (9, None), "router-solicitation": (10, None), "time-exceeded": (11, None),
    "ttl-exceeded": (11, None), "ttl-zero-during-transit": (11, 0), "ttl-zero-during-reassembly": (11, 1),
    "parameter-problem": (12, None), "ip-header-bad": (12, 0), "required-option-missing": (12, 1),
    "timestamp-request": (13, None), "timestamp-reply": (14, None), "address-mask-request": (17, None),
    "address-mask-reply": (18, None),
}  # fmt: skip
#: RFC 4443 and RFC 4861, under the names of ``libip6t_icmp6``.
_ICMP6: Final[dict[str, tuple[int, int | None]]] = {
    "destination-unreachable": (1, None), "no-route": (1, 0), "communication-prohibited": (1, 1),
    "beyond-scope": (1, 2), "address-unreachable": (1, 3), "port-unreachable": (1, 4),
    "failed-policy": (1, 5), "reject-route": (1, 6), "packet-too-big": (2, None), "time-exceeded": (3, None),
    "ttl-exceeded": (3, None), "ttl-zero-during-transit": (3, 0), "ttl-zero-during-reassembly": (3, 1),
    "parameter-problem": (4, None), "bad-header": (4, 0), "unknown-header-type": (4, 1),
    "unknown-option": (4, 2), "echo-request": (128, None), "ping": (128, None), "echo-reply": (129, None),
    "pong": (129, None), "mld-listener-query": (130, None), "mld-listener-report": (131, None),
    "mld-listener-done": (132, None), "mld-listener-reduction": (132, None),
    "router-solicitation": (133, None), "router-advertisement": (134, None),
    "neighbour-solicitation": (135, None), "neighbor-solicitation": (135, None),
    "neighbour-advertisement": (136, None), "neighbor-advertisement": (136, None), "redirect": (137, None),
}  # fmt: skip

_ANY_ICMP: Final = frozenset({"any", "255", "255/0:255"})
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TARGET: Final = re.compile(
    r"(?:\[(?P<low6>[^\]-]+)(?:\](?:-\[(?P<high6>[^\]]+)\])?|-(?P<inner6>[^\]]+)\])|(?P<plain>[^\[\]]*?))(?::(?P<ports>[^:]*))?\Z"
)


def flag() -> object:
    """An option without a value."""
    return True


def text(word: str) -> object:
    """A value that is kept as it reads."""
    return word


def lower(word: str) -> object:
    """A keyword in lower case."""
    return word.lower()


def upper_set(word: str) -> object:
    """A list of keywords, as a frozenset in upper case."""
    return frozenset(part.strip().upper() for part in word.split(",") if part.strip())


def integer(word: str) -> object:
    """A number, decimal or hexadecimal."""
    return int(word, 0) if len(word) <= _DIGITS and word.lower().startswith("0x") else _decimal(word)


def _decimal(word: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > _DIGITS:
        raise ValueError(f"{quoted(word)} is not a number")
    return int(word)


def integer_range(word: str) -> object:
    """``low[:high]``, both ends included; a single number is a range of one."""
    return _bounded(word, _WORD32)


def short_range(word: str) -> object:
    """The same for a field of 16 bits."""
    return _bounded(word, _WORD16)


def _bounded(word: str, limit: int) -> tuple[int, int]:
    low, colon, high = word.partition(":")
    first = _decimal(low or "0") if colon else _decimal(low)
    last = first if not colon else _decimal(high) if high else limit
    if not first <= last <= limit:
        raise ValueError(f"{quoted(word)} is not a range up to {limit}")
    return first, last


def words(*given: str) -> object:
    """Several words as a tuple."""
    return given


def real(word: str) -> object:
    """A probability."""
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,20})?", word):
        raise ValueError(f"{quoted(word)} is not a number")
    return float(word)


def network_of(word: str) -> object:
    """
    An address or prefix as ``IPNetwork``; the mask may be a length or dotted.

    :raises NotModelledError: for masks with holes, which iptables takes and prefixes cannot say, and for
    names.
    """
    host, slash, mask = word.partition("/")
    try:
        base = address(host)
    except ValueError:
        if re.fullmatch(r"[A-Za-z0-9.-]+", host) and re.search("[A-Za-z]", host):
            raise NotModelledError(f"the name {quoted(host)} is not resolved") from None
        raise
    if not slash or mask.isdigit():
        return network(word)
    bits = int(address(mask))
    width = base.max_prefixlen
    length = bits.bit_count()
    if bits != ((1 << length) - 1) << (width - length):
        raise NotModelledError(f"the mask {quoted(mask)} has holes")
    return network(f"{base}/{length}")


def protocol(word: str) -> object:
    """A protocol's number; ``all`` is :data:`ALWAYS`."""
    name = word.lower()
    number = _PROTOCOLS[name] if name in _PROTOCOLS else 0 if name == "all" else _decimal(name)
    if number > _WORD8:
        raise ValueError(f"{quoted(word)} is not a protocol")
    return number or ALWAYS


def port_span(word: str) -> object:
    """``22``, ``1024:65535``, ``1024:``, ``ssh`` as (low, high)."""
    return port_range(word)


def port_list(word: str) -> object:
    """``80,443,8000:8080`` as a tuple of (low, high)."""
    return tuple(port_range(part) for part in word.split(","))


def tcp_flags(mask: str, value: str) -> object:
    """``FIN,SYN,RST,ACK SYN`` as (mask, set) in the bits of the TCP header."""
    return _flag_bits(mask), _flag_bits(value)


def _flag_bits(word: str) -> int:
    bits = 0
    for name in word.split(","):
        if name.upper() in _TCP_FLAGS:
            bits |= _TCP_FLAGS[name.upper()]
        else:
            number = integer(name)
            bits |= number & 0xFF if isinstance(number, int) else 0
    return bits


def icmp_type(word: str) -> object:
    """``8``, ``3/4`` or a name as (type, code); code None = any. ``any`` is :data:`ALWAYS`."""
    return _icmp(word, _ICMP)


def icmp6_type(word: str) -> object:
    """The same for ICMPv6."""
    return _icmp(word, _ICMP6)


def _icmp(word: str, names: dict[str, tuple[int, int | None]]) -> object:
    if word.lower() in _ANY_ICMP:
        return ALWAYS
    if word in names or word.lower() in names:
        return names.get(word) or names[word.lower()]
    kind, slash, code = word.partition("/")
    pair = (_decimal(kind), _decimal(code) if slash else None)
    if pair[0] > _WORD8 or (pair[1] or 0) > _WORD8:
        raise ValueError(f"{quoted(word)} is not an ICMP type")
    return pair


def mark(word: str) -> object:
    """``value[/mask]`` as (value, mask); the mask is all ones where it is not given."""
    value, slash, mask = word.partition("/")
    return _mark_bits(value), _mark_bits(mask) if slash else _WORD32


def group(word: str) -> object:
    """A group of devices as (value, mask), or by a name of ``/etc/iproute2/group`` but that of 0."""
    if word == "default":
        return 0, _WORD32
    return mark(word) if word[:1].isdigit() else word


def mask_only(word: str) -> object:
    """``--and-mark bits`` as the ``--set-xmark`` that it stands for."""
    return 0, ~_mark_bits(word) & _WORD32


def or_mark(word: str) -> object:
    """``--or-mark bits`` as the ``--set-xmark`` that it stands for."""
    return _mark_bits(word), _mark_bits(word)


def xor_mark(word: str) -> object:
    """``--xor-mark bits`` as the ``--set-xmark`` that it stands for."""
    return _mark_bits(word), 0


def _mark_bits(word: str) -> int:
    number = integer(word)
    if not isinstance(number, int) or number > _WORD32:
        raise ValueError(f"{quoted(word)} is not a mark")
    return number


def mac_address(word: str) -> Mac:
    """A MAC."""
    try:
        return mac(word)
    except ValueError:
        raise ValueError(f"{quoted(word)} is not a MAC") from None


def rate(word: str) -> object:
    """``2/min`` as (packets, seconds)."""
    count, slash, unit = word.partition("/")
    seconds = _UNITS.get(unit[:1].lower(), 0) if slash else 1
    if not seconds:
        raise ValueError(f"{quoted(word)} is not a rate")
    return _decimal(count), seconds


def set_reference(name: str, directions: str) -> object:
    """``--match-set NAME src,dst`` as (name, directions)."""
    return name, tuple(directions.split(","))


def address_range(word: str) -> AddressRange:
    """``iprange``: ``low-high``."""
    low, dash, high = word.partition("-")
    first = address(low)
    last = address(high) if dash else first
    return _ordered(AddressRange(first, last))


def target_range(word: str) -> AddressRange:
    """
    What a NAT target rewrites to.

    ``address[-address][:port[-port[/base]]]``, IPv6 with ports in brackets (``[low-high]:port``).
    """
    plain6 = _plain_ipv6(word)
    if plain6 is not None:
        return plain6
    found = _TARGET.match(word)
    if found is None:
        raise ValueError(f"{quoted(word)} is not an address to translate to")
    ports, _, shift = (found["ports"] or "").partition("/")
    low, high = port_range(ports, "-") if ports else (None, None)
    base = port_number(shift) if shift else None
    if found["low6"]:
        first = address(found["low6"])
        last = address(found["high6"] or found["inner6"] or found["low6"])
    elif found["plain"]:
        start, _, end = found["plain"].partition("-")
        first = address(start)
        last = address(end or start)
    else:
        return AddressRange(None, None, low, high, base)
    return _ordered(AddressRange(first, last, low, high, base))


def _plain_ipv6(word: str) -> AddressRange | None:
    """``2001:db8::1`` and ``2001:db8::1-2001:db8::9``, which have no port."""
    low, _, high = word.partition("-")
    try:
        first, last = IPv6Address(low), IPv6Address(high or low)
    except ValueError:
        return None
    return _ordered(AddressRange(first, last))


def _ordered(given: AddressRange) -> AddressRange:
    low, high = given.low, given.high
    if isinstance(low, IPv4Address) is not isinstance(high, IPv4Address):
        raise ValueError(f"{low} and {high} are of two families")
    if low is not None and high is not None and int(low) > int(high):
        raise ValueError(f"the range {low}-{high} runs backwards")
    return given


def dash_ports(word: str) -> object:
    """``8080``, ``1024-65535`` as (low, high)."""
    return port_range(word, "-")


def one_port(word: str) -> object:
    """A single port."""
    return port_number(word)


def zone(word: str) -> object:
    """A conntrack zone; ``mark`` stays a word: the zone is then the packet's mark."""
    if word == "mark":
        return word
    number = integer(word)
    if not isinstance(number, int) or number > _WORD16:
        raise ValueError(f"{quoted(word)} is not a zone")
    return number


def network_or_address(word: str) -> IPNetwork:
    """``NETMAP``: the network that addresses are mapped to."""
    return network(word)
