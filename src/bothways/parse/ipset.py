"""
``ipset save``, ``ipset list`` and ``ipset list -o xml`` or ``-o save``.

Every member keeps its parts in the order of the set's type (ipset(8)). Ranges of addresses become networks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from itertools import product
from typing import Final

from bothways.facts.address import IPNetwork, mac, network
from bothways.facts.ipset import IpSet, Member, Part
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.ports import port_number
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_ipset"]

_PROTOCOLS: Final = {
    "tcp": 6, "udp": 17, "sctp": 132, "udplite": 136, "icmp": 1, "icmpv6": 58, "ipv6-icmp": 58, "esp": 50,
    "ah": 51, "gre": 47, "dccp": 33,
}  # fmt: skip
#: Options of members and of sets that stand without a value.
_FLAGS: Final = frozenset({"nomatch", "counters", "comment", "skbinfo", "forceadd"})
_VALUED: Final = frozenset({"comment"})
#: Lines of ``ipset list`` about a set.
_HEADS: Final = (
    "Revision:",
    "Size in memory:",
    "References:",
    "Number of entries:",
    "Header:",
    "Type:",
    "Name:",
)
_XML_SET: Final = re.compile(r'<ipset name="([^"]*)">')
_XML_TYPE: Final = re.compile(r"<type>([^<]*)</type>")
_XML_ELEMENT: Final = re.compile(r"<elem>(.*?)</elem>")
_XML_OPTION: Final = re.compile(r"<(family|netmask|markmask|bitmask|timeout)>([^<]*)</\1>")
_MOST: Final = 70_000


@dataclass(slots=True)
class _Draft:
    name: str
    span: Span
    method: str = ""
    types: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    whole: bool = True

    def typed(self, word: str) -> None:
        self.method, _, rest = word.partition(":")
        self.types = tuple(rest.split(","))

    def done(self) -> IpSet:
        return IpSet(
            self.name, self.method, self.types, tuple(self.members), self.span, self.options, self.whole
        )


def parse_ipset(text: str, *, file: str, read_at: float | None = None) -> Parsed[IpSet]:
    """One row a set. A member that cannot be read is a problem, and its set is not whole."""
    reading: Reading[IpSet] = Reading()
    drafts: dict[str, _Draft] = {}
    current: _Draft | None = None
    for span in lines(text, file=file, read_at=read_at):
        line = span.text.strip()
        words = line.split()
        if not words or line.startswith("#") or is_prompt(line) or line == "Members:":
            reading.skip()
        elif line.startswith("<"):
            current = _xml(line, span, current, drafts, reading)
        elif words[0] in _COMMANDS:
            _COMMANDS[words[0]](words, span, drafts, reading)
        elif line.startswith(_HEADS):
            current = _head(words, span, current, drafts)
        elif current is not None and current.method:
            _member(current, line, span, reading)
        else:
            reading.malformed(span, f"{quoted(line)} is no line of `ipset save` or `ipset list`")
    reading.rows.extend(draft.done() for draft in drafts.values())
    return reading.done()


def _head(words: list[str], span: Span, current: _Draft | None, drafts: dict[str, _Draft]) -> _Draft | None:
    if words[0] == "Name:" and len(words) > 1:
        return drafts.setdefault(words[1], _Draft(words[1], span))
    if current is not None and words[0] == "Type:" and len(words) > 1:
        current.typed(words[1])
    elif current is not None and words[0] == "Header:":
        current.options.update(_options(words[1:]))
    return current


def _create(words: list[str], span: Span, drafts: dict[str, _Draft], reading: Reading[IpSet]) -> None:
    if len(words) < 3:  # noqa: PLR2004 - name and type
        reading.malformed(span, f"{quoted(span.text)} names no set and type")
        return
    draft = drafts.setdefault(words[1], _Draft(words[1], span))
    draft.typed(words[2])
    draft.options.update(_options(words[3:]))


def _add(words: list[str], span: Span, drafts: dict[str, _Draft], reading: Reading[IpSet]) -> None:
    draft = drafts.get(words[1]) if len(words) > 2 else None  # noqa: PLR2004 - name and element
    if draft is None:
        reading.malformed(span, f"{quoted(span.text)} adds to a set that was not created above")
        return
    _member(draft, span.text.strip().split(None, 2)[2], span, reading)


def _xml(
    line: str, span: Span, current: _Draft | None, drafts: dict[str, _Draft], reading: Reading[IpSet]
) -> _Draft | None:
    """A line of XML, which ipset prints an element a line."""
    for found in _XML_SET.finditer(line):
        current = drafts.setdefault(found[1], _Draft(found[1], span))
    if current is None:
        reading.skip()
        return None
    for found in _XML_TYPE.finditer(line):
        current.typed(found[1])
    for found in _XML_OPTION.finditer(line):
        current.options[found[1]] = found[2]
    element = re.search(r"<elem>(.*?)</elem>", line)
    if element is not None:
        nomatch = " nomatch" if "<nomatch/>" in line else ""
        timeout = re.search(r"<timeout>(\d+)</timeout>", line)
        late = f" timeout {timeout[1]}" if timeout else ""
        _member(current, f"{element[1]}{late}{nomatch}", span, reading)
    return current


def _options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _FLAGS and not (word in _VALUED and following.startswith('"')):
            options[word] = ""
            at += 1
        else:
            options[word] = following
            at += 2
    return options


def _member(draft: _Draft, line: str, span: Span, reading: Reading[IpSet]) -> None:
    element, _, rest = line.partition(" ")
    options = _options(rest.split())
    if draft.method == "list":
        if "before" in options or "after" in options:
            draft.whole = False
        draft.members.append(Member((element,), options))
        return
    try:
        draft.members.extend(Member(parts, options) for parts in _parts(element, draft))
    except ValueError as error:
        draft.whole = False
        reading.refuse(span, error)


def _parts(element: str, draft: _Draft) -> Iterator[tuple[Part, ...]]:
    words = element.split(",")
    if len(words) != len(draft.types):
        missing = draft.types[len(words) :]
        if len(words) > len(draft.types) or set(missing) - {"mac"}:
            raise ValueError(f"{quoted(element)} has not the parts {', '.join(draft.types)}")
    decoded = [list(_one(kind, word)) for kind, word in zip(draft.types, words, strict=False)]
    number = 1
    for each in decoded:
        number *= len(each)
    if number > _MOST:
        raise ValueError(f"{quoted(element)} stands for too many members")
    yield from product(*decoded)


def _one(kind: str, word: str) -> Iterator[Part]:
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise ValueError(f"the type {quoted(kind)} is not known")
    yield from decoder(word)


def _networks(word: str) -> Iterator[IPNetwork]:
    """``10.0.0.1``, ``10.0.0.0/8``, ``10.0.0.1-10.0.0.9``; ipset keeps ``0.0.0.0/0`` as it is."""
    low, dash, high = word.partition("-")
    if not dash:
        yield network(word)
        return
    if ":" in word:
        yield from summarize_address_range(IPv6Address(low), IPv6Address(high))
    else:
        yield from summarize_address_range(IPv4Address(low), IPv4Address(high))


def _ports(word: str) -> Iterator[tuple[int, int, int]]:
    """``tcp:80``, ``80``, ``udp:1-9``, ``vrrp:0``, ``icmp:echo-request`` is ``icmp:8/0``."""
    name, colon, rest = word.rpartition(":")
    number = _PROTOCOLS.get(name.lower(), int(name) if name.isascii() and name.isdigit() else -1)
    if colon and number < 0:
        raise ValueError(f"{quoted(name)} is not a protocol that is known")
    if "/" in rest:
        kind, _, code = rest.partition("/")
        pair = int(kind) << 8 | int(code)
        yield number, pair, pair
        return
    low, dash, high = rest.partition("-")
    first = port_number(low)
    yield number if colon else 6, first, port_number(high) if dash else first


def _mark(word: str) -> Iterator[int]:
    yield int(word, 0)


def _iface(word: str) -> Iterator[str]:
    yield word


def _mac(word: str) -> Iterator[Part]:
    yield mac(word)


_DECODERS: Final[Mapping[str, Callable[[str], Iterator[Part]]]] = {
    "ip": _networks,
    "net": _networks,
    "port": _ports,
    "iface": _iface,
    "mark": _mark,
    "mac": _mac,
}
_COMMANDS: Final[Mapping[str, Callable[[list[str], Span, dict[str, _Draft], Reading[IpSet]], None]]] = {
    "create": _create,
    "-N": _create,
    "add": _add,
    "-A": _add,
}
