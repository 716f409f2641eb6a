"""
Data types of nft: a word of a rule to the number that the kernel compares.

Source: nft(8), *Data types*, and ``nft describe TYPE`` for the words of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import address
from bothways.facts.nft_expression import Interval, Word
from bothways.parse import iptables_values as value
from bothways.parse.ports import SERVICES
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["BITMASKS", "KINDS", "NAMES", "between", "duration", "literal", "prefix", "width"]

#: Types of which one value is a set of bits: without an operator a comparison asks for any of them.
BITMASKS: Final = frozenset({"ct_state", "ct_status", "ct_label", "ct_event", "tcp_flag"})
#: Types whose values stay names.
NAMES: Final = frozenset({"ifname", "iface_index", "string", "object", "devgroup", "ifkind", "clock"})

_BITS: Final[Mapping[str, int]] = {
    "ipv4_addr": 32, "ipv6_addr": 128, "ether_addr": 48, "inet_service": 16, "inet_proto": 8, "mark": 32,
    "ether_type": 16, "tcp_flag": 8, "ct_state": 32, "ct_status": 32, "dscp": 6, "ecn": 2, "icmp_type": 8,
    "icmp_code": 8, "icmpv6_type": 8, "icmpv6_code": 8, "nf_proto": 8, "pkt_type": 8, "arp_op": 16,
    "boolean": 1, "ct_dir": 8, "fib_addrtype": 32,
}  # fmt: skip
#: All types whose words are read.
KINDS: Final = frozenset({*_BITS, *NAMES})
_LONGEST: Final = 128

_PROTOCOLS: Final = {
    "ip": 0, "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47,
    "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "comp": 108, "ipcomp": 108, "sctp": 132,
    "udplite": 136,
}  # fmt: skip
_ICMP_TYPES: Final = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
}  # fmt: skip
_ICMP_CODES: Final = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3,
    "frag-needed": 4, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip
_ICMPV6_TYPES: Final = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
    "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
    "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
    "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
}  # fmt: skip
_ICMPV6_CODES: Final = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5,
    "reject-route": 6,
}  # fmt: skip
_DSCP: Final = {
    **{f"cs{n}": n << 3 for n in range(8)}, "df": 0, "be": 0, "lephb": 1, "va": 44, "ef": 46,
    **{f"af{c}{d}": (c << 3) | (d << 1) for c in range(1, 5) for d in range(1, 4)},
}  # fmt: skip
_ETHER_TYPES: Final = {
    "ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "vlan": 0x8100, "8021q": 0x8100, "8021ad": 0x88A8,
    "qinq": 0x88A8,
}  # fmt: skip
_FIB_TYPES: Final = {
    "unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
    "unreachable": 7, "prohibit": 8,
}  # fmt: skip

#: type -> word -> number
_WORDS: Final[Mapping[str, Mapping[str, int]]] = {
    "inet_proto": _PROTOCOLS,
    "inet_service": SERVICES,
    "icmp_type": _ICMP_TYPES,
    "icmp_code": _ICMP_CODES,
    "icmpv6_type": _ICMPV6_TYPES,
    "icmpv6_code": _ICMPV6_CODES,
    "igmp_type": {
        "membership-query": 0x11, "membership-report-v1": 0x12, "membership-report-v2": 0x16,
        "leave-group": 0x17, "membership-report-v3": 0x22,
    },
    "dscp": _DSCP,
    "ecn": {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3},
    "ether_type": _ETHER_TYPES,
    "fib_addrtype": _FIB_TYPES,
    "ct_state": {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64},
    "ct_status": {
        "expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512,
    },
    "ct_dir": {"original": 0, "reply": 1},
    "ct_event": {
        "new": 1, "related": 2, "destroy": 4, "reply": 8, "assured": 16, "protoinfo": 32, "helper": 64,
        "mark": 128, "seqadj": 256, "secmark": 512, "label": 1024,
    },
    "tcp_flag": {
        "fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128,
    },
    "nf_proto": {"ipv4": 2, "ipv6": 10},
    "pkt_type": {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3},
    "arp_op": {
        "request": 1, "reply": 2, "rrequest": 3, "rreply": 4, "inrequest": 8, "inreply": 9, "nak": 10,
    },
    "iface_type": {"ether": 1, "ppp": 512, "ipip": 768, "ipip6": 769, "loopback": 772, "sit": 776},
    "boolean": {"exists": 1, "missing": 0},
    "priority": {"none": 0},
    "day": {
        "sunday": 0, "monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6,
    },
}  # fmt: skip
#: What nft 1.0 prints behind a port of ``ct reply``.
_UNTYPED: Final = " [invalid type]"
_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION: Final = re.compile(r"(?:\d{1,9}(?:ms|[dhms]))+\Z")
_PART: Final = re.compile(r"(\d+)(ms|[dhms])")
_HOUR: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\Z")
_DIGITS: Final = 40


def width(kind: str) -> int:
    """How many bits a type has; one that nobody knows has as many as the longest."""
    return _BITS.get(kind, _LONGEST)


def duration(text: str) -> int:
    """
    ``1h30m`` or a bare number, in seconds, as nft's JSON counts them.

    :raises ValueError: if it is neither.
    """
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
        return int(text)
    if not _DURATION.match(text):
        raise ValueError(f"{quoted(text)} is not a time")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text)) // 1000


def literal(kind: str, given: object) -> Interval | Word:
    """
    One word, number, range or prefix of a type.

    :param given: a word of the text, or a string or number of the JSON form.
    :raises ValueError: for what the type does not have; ``NotModelledError`` for words that it may have.
    """
    if isinstance(given, bool):
        return Interval(int(given), int(given))
    if isinstance(given, int):
        if kind in NAMES and given:
            return Word(str(given))
        return Interval(given, given)
    if not isinstance(given, str):
        raise NotModelledError(f"a value of type {type(given).__name__} is not evaluated")
    given = given.removesuffix(_UNTYPED)
    if kind in NAMES:
        return Interval(0, 0) if given in ("0", "missing") else Word(given)
    found = _point(kind, given)
    if found is not None:
        return Interval(found, found)
    return _span(kind, given)


def _span(kind: str, given: str) -> Interval:
    base, slash, length = given.partition("/")
    if slash and length.isdigit():
        low = _need(kind, base)
        return prefix(kind, low, int(length))
    for at in (at for at, letter in enumerate(given) if letter == "-" and at):
        low_, high = _point(kind, given[:at]), _point(kind, given[at + 1 :])
        if low_ is not None and high is not None:
            return between(low_, high)
    raise NotModelledError(f"{quoted(given)} is no value of the type {kind} that is evaluated")


def prefix(kind: str, low: int, length: int) -> Interval:
    """All values that share the first *length* bits with one."""
    bits = width(kind)
    if not 0 <= length <= bits:
        raise ValueError(f"a prefix of {length} bits does not fit the type {kind}")
    rest = (1 << (bits - length)) - 1
    return Interval(low & ~rest, low | rest)


def between(low: int, high: int) -> Interval:
    """A range; ``ValueError`` if it runs backwards."""
    if low > high:
        raise ValueError(f"the range {low}-{high} runs backwards")
    return Interval(low, high)


def _need(kind: str, word: str) -> int:
    found = _point(kind, word)
    if found is None:
        raise NotModelledError(f"{quoted(word)} is no value of the type {kind} that is evaluated")
    return found


def _point(kind: str, word: str) -> int | None:
    reader = _READERS.get(kind)
    known = _WORDS.get(kind, {}).get(word.lower() if kind in ("day", "ecn") else word)
    if known is not None:
        return known
    return _number(word) if reader is None else reader(word)


def _number(word: str) -> int | None:
    if len(word) > _DIGITS:
        return None
    try:
        return int(word, 0)
    except ValueError:
        pass
    return int(word) if word.isascii() and word.isdigit() else None


def _address(version: int) -> Callable[[str], int | None]:
    def read(word: str) -> int | None:
        try:
            found = address(word.removeprefix("[").removesuffix("]"))
        except ValueError:
            return None
        return int(found) if found.version == version else None

    return read


def _mac(word: str) -> int | None:
    try:
        return int(value.mac_address(word).replace(":", ""), 16)
    except ValueError:
        return None


def _protocol(word: str) -> int | None:
    """A protocol by number, or by the names of ``/etc/protocols``."""
    try:
        found = value.protocol(word)
    except ValueError:
        return _number(word)
    return found if isinstance(found, int) else _number(word)


def _time(word: str) -> int | None:
    try:
        return duration(word)
    except ValueError:
        return None


def _hour(word: str) -> int | None:
    found = _HOUR.match(word)
    return None if found is None else int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)


def _class(word: str) -> int | None:
    major, colon, minor = word.partition(":")
    if not colon:
        return _number(word)
    try:
        return int(major or "0", 16) << 16 | int(minor or "0", 16)
    except ValueError:
        return None


_READERS: Final[Mapping[str, Callable[[str], int | None]]] = {
    "ipv4_addr": _address(4),
    "ipv6_addr": _address(6),
    "ether_addr": _mac,
    "inet_proto": _protocol,
    "time": _time,
    "hour": _hour,
    "priority": _class,
}
