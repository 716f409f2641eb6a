"""
``nft list ruleset`` and ``nft -j list ruleset``: native tables, and what passes round the model.

Tables that ``iptables-nft`` manages are read from ``iptables-save`` and are irrelevant here. All others
become rows, of whatever family. A table with a chain on a hook that bothways does not know is not modelled.
Sources: nft(8), iptables-nft's table names.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from bothways.facts.nft import NftTable
from bothways.facts.parsed import Parsed
from bothways.facts.snapshot import IngressDrop
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.nft_json import is_json, json_tables
from bothways.parse.nft_lex import END
from bothways.parse.nft_table import FAMILIES, HOOKS, Blocks, line_spans
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_nft", "parse_nft_whole"]

_WARNING: Final = re.compile(
    r"#\s*Warning:\s*table\s+(?P<family>\S+)\s+(?P<name>\S+)\s+is managed by iptables-nft"
)
_IPTABLES_FAMILIES: Final = frozenset({"ip", "ip6"})
_IPTABLES_TABLES: Final = frozenset({"filter", "nat", "mangle", "raw", "security"})
_IPTABLES_CHAINS: Final = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


def _managed(table: NftTable) -> bool:
    """True if iptables-nft writes a table, by its name and those of its base chains."""
    named = table.family in _IPTABLES_FAMILIES and table.name in _IPTABLES_TABLES
    hooked = [chain.name for chain in table.chains.values() if chain.hook is not None]
    return named and all(name in _IPTABLES_CHAINS for name in hooked)


def parse_nft(text: str, *, file: str, read_at: float | None = None) -> Parsed[IngressDrop | Span | NftTable]:
    """
    Read ``nft list ruleset``, in words or as JSON.

    An :class:`NftTable` per native table; an :class:`IngressDrop` per device for the netdev chains that
    drop all that it receives (its span is the ``type … hook`` line); a :class:`Span`, the ``table`` line, per
    table that bothways cannot evaluate. Tables of ``iptables-nft`` are left out.
    """
    return _parsed(text, file, read_at, every=False)


def parse_nft_whole(
    text: str, *, file: str, read_at: float | None = None
) -> Parsed[IngressDrop | Span | NftTable]:
    """As :func:`parse_nft`, with the tables that look like those of ``iptables-nft``; they say so."""
    return _parsed(text, file, read_at, every=True)


def _parsed(
    text: str, file: str, read_at: float | None, *, every: bool
) -> Parsed[IngressDrop | Span | NftTable]:
    reading: Reading[IngressDrop | Span | NftTable] = Reading()
    if is_json(text):
        _json(text, reading, file=file, read_at=read_at, every=every)
        return reading.done()
    text = text.removeprefix("\ufeff")
    warned: set[tuple[str, str]] = set()
    for line in lines(text, file=file, read_at=read_at):
        reading.skip()
        warning = _WARNING.match(line.text.strip())
        if warning:
            warned.add((warning["family"], warning["name"]))
    blocks = Blocks(text, line_spans(text, file, read_at))
    while True:
        blocks.pass_ends()
        if blocks.done:
            break
        known = len(blocks.troubles)
        table = _table(blocks, reading)
        if table is None:
            continue
        if (table.family, table.name) in warned or _managed(table) or table.dormant:
            # What it holds is read elsewhere, or does nothing: only a cut file is worth a word.
            blocks.troubles[known:] = [t for t in blocks.troubles[known:] if t.kind is Kind.MALFORMED]
            if table.dormant:
                reading.rows.append(table)
            elif every:
                _judge(replace(table, by_iptables=True), Reading(reading.rows))
            continue
        _judge(table, reading)
    for trouble in blocks.troubles:
        span = blocks.span(trouble.token, trouble.token)
        reading.problems.append(Problem(trouble.kind, span, trouble.message, trouble.hint))
    return reading.done()


def _table(blocks: Blocks, reading: Reading[IngressDrop | Span | NftTable]) -> NftTable | None:
    first = blocks.words[blocks.at]
    head = [t.text for t in blocks.words[blocks.at : blocks.at + 4]]
    opened = head.index("{") if "{" in head else 0
    if head[0] != "table" or opened not in (2, 3) or (opened == 3 and head[1] not in FAMILIES):  # noqa: PLR2004
        span = blocks.span(first, first)
        reading.malformed(span, f"expected a table, found {quoted(span.text)}")
        while not blocks.done and blocks.peek() not in END:
            blocks.at += 1
        return None
    blocks.at += opened
    family = head[1] if opened == 3 else "ip"  # noqa: PLR2004 (table, family, name)
    return blocks.table(family, head[opened - 1], first)


def _json(
    text: str,
    reading: Reading[IngressDrop | Span | NftTable],
    *,
    file: str,
    read_at: float | None,
    every: bool,
) -> None:
    heard: Reading[object] = Reading()
    for table, notes in json_tables(text, heard, file=file, read_at=read_at):
        if table.dormant:
            reading.rows.append(table)
        elif _managed(table):
            if every:
                _judge(replace(table, by_iptables=True), Reading(reading.rows))
        else:
            for span, message in notes:
                reading.unmodelled(span, message)
            _judge(table, reading)
    reading.problems.extend(heard.problems)
    reading.irrelevant += heard.irrelevant


def _judge(table: NftTable, reading: Reading[IngressDrop | Span | NftTable]) -> None:
    opaque = False
    for chain in table.chains.values():
        if chain.hook is None or (not chain.rules and chain.policy == "accept"):
            continue
        if chain.hook not in HOOKS.get(table.family, ()) or chain.priority is None:
            opaque = True
        elif chain.hook == "ingress" and not chain.rules and chain.policy == "drop":
            reading.rows.extend(IngressDrop(device, chain.span) for device in chain.devices)
    if opaque:
        reading.rows.append(table.span)
        reading.unmodelled(
            table.span, f"the native nftables table {quoted(table.span.text)} is not evaluated"
        )
    elif table.family != "netdev" or any(chain.rules for chain in table.chains.values()):
        reading.rows.append(table)
