"""
``nft list ruleset``, as far as it says what passes round the model.

Three kinds of tables. Those that ``iptables-nft`` manages are read from ``iptables-save`` and are irrelevant
here. A netdev ingress chain without rules whose policy drops takes a device away from the stack. Every other
table with a chain that hooks into the packet path and does something is not modelled. Sources: nft(8),
iptables-nft's table names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.parsed import Parsed
from bothways.facts.snapshot import IngressDrop
from bothways.facts.span import Span
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_nft"]

_TABLE: Final = re.compile(r"\s*table\s+(?:(?P<family>ip|ip6|inet|arp|bridge|netdev)\s+)?(?P<name>\S+)\s*\{")
_BLOCK: Final = re.compile(
    r"\s*(?P<kind>chain|set|map|flowtable|counter|quota|limit|ct|secmark|synproxy)\b[^{]*\{"
)
_CHAIN: Final = re.compile(r"\s*chain\s+(?P<name>\S+)\s*\{")
_HOOK: Final = re.compile(r"type\s+\S+\s+hook\s+(?P<hook>\w+)(?P<rest>.*)")
_POLICY: Final = re.compile(r"\bpolicy\s+(\w+)")
_DEVICES: Final = re.compile(r"\bdevices?\s*=?\s*(?:\{(?P<many>[^}]*)\}|(?P<one>\"[^\"]*\"|[^\s;{]+))")
_WARNING: Final = re.compile(
    r"#\s*Warning:\s*table\s+(?P<family>\S+)\s+(?P<name>\S+)\s+is managed by iptables-nft"
)

_IPTABLES_FAMILIES: Final = frozenset({"ip", "ip6"})
_IPTABLES_TABLES: Final = frozenset({"filter", "nat", "mangle", "raw", "security"})
_IPTABLES_CHAINS: Final = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


@dataclass(slots=True)
class _Chain:
    name: str
    hook: str | None = None
    policy: str = "accept"
    devices: tuple[str, ...] = ()
    rules: int = 0
    span: Span | None = None


@dataclass(slots=True)
class _Table:
    family: str
    name: str
    span: Span
    dormant: bool = False
    chains: list[_Chain] = field(default_factory=list)

    def managed(self, warned: frozenset[tuple[str, str]]) -> bool:
        """True if iptables-nft writes it: by nft's word, or by the names of it and of its base chains."""
        if (self.family, self.name) in warned:
            return True
        named = self.family in _IPTABLES_FAMILIES and self.name in _IPTABLES_TABLES
        return named and all(
            chain.name in _IPTABLES_CHAINS for chain in self.chains if chain.hook is not None
        )


def parse_nft(text: str, *, file: str, read_at: float | None = None) -> Parsed[IngressDrop | Span]:
    """
    Read ``nft list ruleset``.

    An :class:`IngressDrop` per device for the chains that drop all that it receives (its span is the
    ``type … hook`` line); a :class:`Span`, the ``table`` line, per table that bothways cannot evaluate.
    """
    reading: Reading[IngressDrop | Span] = Reading()
    warned: set[tuple[str, str]] = set()
    tables = list(_tables(text, file, read_at, reading, warned))
    for table in tables:
        if not table.managed(frozenset(warned)) and not table.dormant:
            _judge(table, reading)
    return reading.done()


def _tables(
    text: str,
    file: str,
    read_at: float | None,
    reading: Reading[IngressDrop | Span],
    warned: set[tuple[str, str]],
) -> Iterator[_Table]:
    table: _Table | None = None
    chain: _Chain | None = None
    depth = 0
    for span in lines(text, file=file, read_at=read_at):
        reading.skip()
        line = span.text.strip()
        warning = _WARNING.match(line)
        if warning:
            warned.add((warning["family"], warning["name"]))
        if not line or line.startswith("#"):
            continue
        if depth == 0:
            table, chain = _open_table(span, reading), None
        elif depth == 1 and table is not None:
            chain = _open_chain(line, table)
        elif chain is not None and line != "}":
            _chain_line(line, span, chain)
        depth = max(0, depth + _braces(line))
        if depth == 0 and table is not None:
            yield table
            table = None
    if table is not None:
        reading.malformed(table.span, f"{quoted(table.span.text)} does not end", "the file was cut off")
        yield table


def _open_table(span: Span, reading: Reading[IngressDrop | Span]) -> _Table | None:
    found = _TABLE.match(span.text)
    if found is None:
        reading.malformed(span, f"expected a table, found {quoted(span.text)}")
        return None
    return _Table(found["family"] or "ip", found["name"], span)


def _open_chain(line: str, table: _Table) -> _Chain | None:
    found = _CHAIN.match(line)
    if found is not None:
        table.chains.append(_Chain(found["name"]))
        return table.chains[-1]
    if line.startswith("flags") and "dormant" in line and not _BLOCK.match(line):
        table.dormant = True
    return None


def _chain_line(line: str, span: Span, chain: _Chain) -> None:
    hook = _HOOK.match(line)
    if hook is not None:
        chain.hook = hook["hook"]
        chain.span = span
        chain.devices = tuple(_devices(hook["rest"]))
        policy = _POLICY.search(hook["rest"])
        chain.policy = policy[1] if policy else "accept"
    elif line.startswith("policy "):
        policy = _POLICY.search(line)
        chain.policy = policy[1] if policy else chain.policy
    elif not line.startswith("comment "):
        chain.rules += 1


def _devices(text: str) -> Iterator[str]:
    found = _DEVICES.search(text)
    if found is None:
        return
    for word in (found["many"] if found["many"] is not None else found["one"]).split(","):
        name = word.strip().strip('"')
        if name:
            yield name


def _braces(line: str) -> int:
    bare = re.sub(r'"[^"]*"', "", line).partition("#")[0]
    return bare.count("{") - bare.count("}")


def _judge(table: _Table, reading: Reading[IngressDrop | Span]) -> None:
    opaque = False
    for chain in table.chains:
        if chain.hook is None or (not chain.rules and chain.policy == "accept"):
            continue
        whole_device = (
            table.family == "netdev" and chain.hook == "ingress" and chain.devices and not chain.rules
        )
        if whole_device and chain.policy == "drop":
            span = chain.span or table.span
            reading.rows.extend(IngressDrop(device, span) for device in chain.devices)
        else:
            opaque = True
    if opaque:
        reading.rows.append(table.span)
        reading.unmodelled(
            table.span, f"the native nftables table {quoted(table.span.text)} is not evaluated"
        )
