"""
Capture filters as people give them to tcpdump: pcap-filter(7) to a tree (``facts.filter_tree``).

A primitive is ``[protocol] [direction] [type] id``. An id alone takes over the qualifiers of the one before
(``port 22 or 80``). ``and`` and ``or`` bind equally and from the left, ``not`` binds tightest. What is not
understood becomes an ``Unknown`` part, which admits nobody knows what; a filter that does not parse is one
``Unknown``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import address, mac, network
from bothways.facts.filter_tree import (
    All,
    Any,
    Everything,
    HardwareAddress,
    Hosts,
    Length,
    Node,
    Not,
    Ports,
    Protocol,
    Side,
    TcpFlags,
    Unknown,
    Vlan,
)
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6, ICMP, ICMP6, TCP, UDP, Flag
from bothways.parse.ports import port_number, port_range

__all__ = ["parse_filter"]

_TOKEN: Final = re.compile(
    r"""
    \s*(
        \w+\[[^\]]*\] (?:\s*&\s*(?:\([^()]*\)|[\w-]+))? \s*(?:!=|==|=|<=|>=|<|>)\s* (?:\([^()]*\)|[\w-]+)
      | len\s*(?:!=|==|=|<=|>=|<|>)\s*\d+
      | && | \|\| | [()!] | [^\s()!&|]+ | [&|]
    )""",
    re.VERBOSE,
)
_RELATION: Final = re.compile(
    r"tcp\[(?:tcpflags|13)\]\s*(?:&\s*(?P<mask>\([^()]*\)|[\w-]+))?\s*(?P<sign>!=|==?)\s*(?P<value>\([^()]*\)|[\w-]+)\Z"
)
_LENGTH: Final = re.compile(r"len\s*(?P<sign>==?|<=|>=|<|>)\s*(?P<value>\d{1,9})\Z")
_RARP: Final = 0x8035
_V4: Final = frozenset({ETH_IP})
_V6: Final = frozenset({ETH_IP6})

_AND: Final = frozenset({"and", "&&"})
_OR: Final = frozenset({"or", "||"})
_NOT: Final = frozenset({"not", "!"})
_OPERATORS: Final = _AND | _OR | _NOT | {")", "("}

#: Protocol words: EtherTypes (empty = IPv4 and IPv6) and IP protocol.
_PROTOCOLS: Final[Mapping[str, tuple[frozenset[int], int | None]]] = {
    "ip": (_V4, None),
    "ip6": (_V6, None),
    "arp": (frozenset({ETH_ARP}), None),
    "rarp": (frozenset({_RARP}), None),
    "tcp": (frozenset(), TCP),
    "udp": (frozenset(), UDP),
    "sctp": (frozenset(), 132),
    "icmp": (_V4, ICMP),
    "icmp6": (_V6, ICMP6),
    "igmp": (_V4, 2),
    "igrp": (_V4, 9),
    "pim": (frozenset(), 103),
    "vrrp": (_V4, 112),
    "ah": (frozenset(), 51),
    "esp": (frozenset(), 50),
}
_PORTED: Final = frozenset({"tcp", "udp", "sctp"})
_ADDRESSED: Final = frozenset({"ip", "ip6", "arp", "rarp", "ether"})
_TYPES: Final = frozenset({"host", "net", "port", "portrange", "proto"})
_ETHER: Final = "ether"
#: Words that are filters of their own and cannot be evaluated; the value says whether a number may follow.
_OPAQUE: Final[Mapping[str, bool]] = {
    "broadcast": False, "multicast": False, "inbound": False, "outbound": False, "mpls": True,
    "pppoed": False, "pppoes": True, "geneve": True, "vxlan": True, "ifname": True, "on": True,
    "gateway": True, "protochain": True, "ifindex": True, "stp": False, "llc": False,
}  # fmt: skip
_FLAG_WORDS: Final = {
    "tcp-fin": Flag.FIN, "tcp-syn": Flag.SYN, "tcp-rst": Flag.RST, "tcp-push": Flag.PSH, "tcp-ack": Flag.ACK,
    "tcp-urg": Flag.URG, "tcp-ece": Flag.ECE, "tcp-cwr": Flag.CWR,
}  # fmt: skip
#: Deeper than any filter that a person writes; the tree is walked by recursion.
_DEEPEST: Final = 60
_OCTETS: Final = 4


class _SyntaxError(ValueError):
    """The text is no filter."""


@dataclass(frozen=True, slots=True)
class _Qualifiers:
    protocol: str = ""
    side: Side | None = None
    type: str = ""

    @property
    def words(self) -> str:
        return " ".join(word for word in (self.protocol, self.side or "", self.type) if word)


def parse_filter(text: str) -> Node:
    """Read a capture filter; empty text is :class:`Everything`. Never raises."""
    if not text.strip():
        return Everything()
    try:
        return _Parser(_tokens(text)).whole()
    except (ValueError, RecursionError):
        return Unknown(text)


def _tokens(text: str) -> list[str]:
    tokens = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        found = _TOKEN.match(stripped, position)
        if found is None:
            raise _SyntaxError(stripped[position:])
        tokens.append(found[1])
        position = found.end()
    return tokens


class _Parser:
    """Recursive descent over the words of one filter."""

    __slots__ = ("_at", "_depth", "_last", "_words")

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0
        self._last = _Qualifiers()

    def whole(self) -> Node:
        tree = self._expression()
        if self._at < len(self._words):
            raise _SyntaxError(self._words[self._at])
        return tree

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._words[place] if place < len(self._words) else ""

    def _take(self) -> str:
        word = self._peek()
        self._at += 1
        return word

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _SyntaxError("too deep")

    def _expression(self) -> Node:
        tree = self._term()
        while self._peek() in _AND | _OR:
            kind = All if self._take() in _AND else Any
            part = self._term()
            if isinstance(tree, kind):
                tree = kind((*tree.parts, part))
            else:
                self._deeper()
                tree = kind((tree, part))
        return tree

    def _term(self) -> Node:
        negated = False
        while self._peek() in _NOT:
            self._take()
            negated = not negated
        part = self._group() if self._peek() == "(" else self._primitive()
        return Not(part) if negated else part

    def _group(self) -> Node:
        self._take()
        self._deeper()
        tree = self._expression()
        if self._take() != ")":
            raise _SyntaxError("a parenthesis does not close")
        return tree

    def _primitive(self) -> Node:
        special = self._special()
        if special is not None:
            return special
        given = self._qualifiers()
        if given == _Qualifiers():
            return self._operand(self._last)
        following = self._peek()
        if following in _NOT | {"("} and (given.side or given.type):
            self._last = given
            return self._term()
        if following == "" or following in _OPERATORS:
            return self._bare(given)
        self._last = given
        return self._operand(given)

    def _special(self) -> Node | None:
        word = self._peek()
        if word in ("", ")") or word in _AND | _OR:
            raise _SyntaxError(word)
        if word == "vlan":
            self._take()
            return Vlan(int(self._take()) if _number(self._peek()) else None)
        if word in ("less", "greater"):
            self._take()
            return _bounded(word, self._take())
        if "[" in word or word.startswith("len"):
            self._take()
            return _relation(word)
        opaque = 1 if word in ("ether", "ip", "ip6") and self._peek(1) in _OPAQUE else 0
        if self._peek(opaque) not in _OPAQUE:
            return None
        text = " ".join(self._take() for _ in range(opaque + 1))
        if _OPAQUE[text.rpartition(" ")[2]] and self._peek() not in _OPERATORS | {""}:
            text += f" {self._take()}"
        return Unknown(text)

    def _qualifiers(self) -> _Qualifiers:
        given = _Qualifiers()
        if self._peek() in _PROTOCOLS or self._peek() == _ETHER:
            given = replace(given, protocol=self._take())
        if self._peek() in ("src", "dst"):
            given = replace(given, side=self._side())
        if self._peek() in _TYPES:
            given = replace(given, type=self._take())
        return given

    def _side(self) -> Side:
        first = self._take()
        other = "dst" if first == "src" else "src"
        if self._peek() in _AND | _OR and self._peek(1) == other:
            both = self._take() in _AND
            self._take()
            return Side.BOTH if both else Side.EITHER
        return Side(first)

    def _bare(self, given: _Qualifiers) -> Node:
        if given.side or given.type or given.protocol == _ETHER:
            raise _SyntaxError(given.words)
        types, number = _PROTOCOLS[given.protocol]
        return Protocol(types, number)

    def _operand(self, given: _Qualifiers) -> Node:
        word = self._take()
        if word == "" or word in _OPERATORS:
            raise _SyntaxError(word)
        mask = ""
        if self._peek() == "mask" and given.type == "net":
            self._take()
            mask = self._take()
        try:
            return _decode(given, word, mask)
        except ValueError:
            return Unknown(f"{given.words} {word}{' mask ' if mask else ''}{mask}".strip())


def _decode(given: _Qualifiers, word: str, mask: str) -> Node:
    side = given.side or Side.EITHER
    match given.type:
        case "port" | "portrange":
            return _ports(given, side, word)
        case "proto":
            return _proto(given, word)
        case "net":
            return Hosts(side, network(f"{_padded(word)}/{mask}" if mask else _prefixed(word)), _types(given))
        case _:
            if given.protocol == _ETHER:
                return HardwareAddress(side, mac(word))
            return Hosts(side, network(word if "/" in word else str(address(word))), _types(given))


def _types(given: _Qualifiers) -> frozenset[int]:
    if given.protocol and given.protocol not in _ADDRESSED:
        raise _SyntaxError(given.words)
    return _PROTOCOLS[given.protocol][0] if given.protocol in _PROTOCOLS else frozenset()


def _ports(given: _Qualifiers, side: Side, word: str) -> Ports:
    low, high = port_range(word, "-") if given.type == "portrange" else (port_number(word),) * 2
    if given.protocol in _PORTED:
        number = _PROTOCOLS[given.protocol][1]
        return Ports(side, low, high, frozenset() if number is None else frozenset({number}))
    return Ports(side, low, high, frozenset(), _types(given))


def _proto(given: _Qualifiers, word: str) -> Protocol:
    name = word.removeprefix("\\")
    if given.protocol == _ETHER:
        ethers = _PROTOCOLS[name][0] if name in _PROTOCOLS else frozenset({int(name, 0)})
        return Protocol(ethers)
    number = _PROTOCOLS[name][1] if name in _PROTOCOLS else int(name, 0)
    if number is None or given.side is not None:
        raise _SyntaxError(word)
    return Protocol(_types(given), number)


def _padded(word: str) -> str:
    """``10.1`` is the network ``10.1.0.0``."""
    parts = word.split(".")
    if len(parts) >= _OCTETS or ":" in word:
        return word
    return ".".join(parts + ["0"] * (_OCTETS - len(parts)))


def _prefixed(word: str) -> str:
    bare, slash, length = word.partition("/")
    padded = _padded(bare)
    if slash:
        return f"{padded}/{length}"
    return padded if padded == bare else f"{padded}/{8 * len(bare.split('.'))}"


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9  # noqa: PLR2004 (32 bits)


def _bounded(word: str, text: str) -> Node:
    if not _number(text):
        raise _SyntaxError(text)
    return Length(high=int(text)) if word == "less" else Length(low=int(text))


def _relation(text: str) -> Node:
    length = _LENGTH.match(text)
    if length is not None:
        value = int(length["value"])
        return _LENGTH_SIGNS[length["sign"]](value)
    found = _RELATION.match(text)
    if found is None:
        return Unknown(text)
    try:
        mask = _flags(found["mask"]) if found["mask"] else 0xFF
        return TcpFlags(mask, _flags(found["value"]), equal=found["sign"] != "!=")
    except ValueError:
        return Unknown(text)


_LENGTH_SIGNS: Final = {
    "=": lambda n: Length(n, n),
    "==": lambda n: Length(n, n),
    "<=": lambda n: Length(high=n),
    ">=": lambda n: Length(low=n),
    "<": lambda n: Length(high=n - 1),
    ">": lambda n: Length(low=n + 1),
}


def _flags(text: str) -> int:
    value = 0
    for word in re.split(r"[|+]", text.strip("()")):
        name = word.strip()
        value |= _FLAG_WORDS[name] if name in _FLAG_WORDS else int(name, 0)
    return value
