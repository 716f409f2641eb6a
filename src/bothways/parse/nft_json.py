"""
``nft -j list ruleset``: the same tables as the text form gives.

A rule's span is the place of its object; its text is the rule in nft's words, as the JSON of a rule does not
read well. Source: libnftables-json(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.nft import NftChain, NftObject, NftRule, NftSet, NftTable
from bothways.facts.span import Span
from bothways.parse.json_objects import Document, Record
from bothways.parse.nft_rule import NftNote, read_nft_json_rule
from bothways.parse.nft_set import read_json_set
from bothways.parse.reading import Reading, quoted

__all__ = ["is_json", "json_tables"]

_HEAD: Final = re.compile(r"\s*\{\s*\"nftables\"\s*:\s*")
_TAIL: Final = re.compile(r"\}\s*\Z")
_SILENT: Final = frozenset({"metainfo"})


def is_json(text: str) -> bool:
    """True if a dump is what ``nft -j`` prints, whole or cut."""
    return _HEAD.match(text.removeprefix("\ufeff")) is not None


@dataclass(slots=True)
class _Table:
    """A table while its objects come."""

    family: str
    name: str
    span: Span
    dormant: bool = False
    chains: dict[str, NftChain] = field(default_factory=dict)
    sets: dict[str, NftSet] = field(default_factory=dict)
    objects: dict[tuple[str, str], NftObject] = field(default_factory=dict)
    notes: list[tuple[Span, str]] = field(default_factory=list)

    def done(self) -> NftTable:
        return NftTable(self.family, self.name, self.chains, self.span, self.dormant, self.sets, self.objects)


def json_tables(
    text: str, reading: Reading[object], *, file: str, read_at: float | None = None
) -> list[tuple[NftTable, list[tuple[Span, str]]]]:
    """
    Every table of a dump, with what was not understood of it.

    What stands before a broken object is kept; that it is broken is told to *reading*.
    """
    document = Document(_bare(text), file=file, read_at=read_at)
    tables: dict[tuple[str, str], _Table] = {}
    for record in document.objects(reading):
        kind = next(iter(record.members), "")
        if kind in _SILENT:
            reading.skip()
            continue
        try:
            _take(record, kind, tables)
        except (ValueError, RecursionError) as error:
            reading.malformed(record.span, str(error))
    return [(each.done(), each.notes) for each in tables.values()]


def _bare(text: str) -> str:
    """The array inside of ``{"nftables": …}``, at its place."""
    head = _HEAD.match(text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text)
    if head is None:
        return text
    spared = re.sub(r"[^\n]", " ", text[: head.end()])
    rest = text[head.end() :]
    tail = _TAIL.search(rest)
    # The brace that closes the whole is no part of the array; a cut dump has none.
    if tail is not None and rest[: tail.start()].rstrip().endswith("]"):
        rest = rest[: tail.start()] + " " + rest[tail.start() + 1 :]
    return spared + rest


def _take(record: Record, kind: str, tables: dict[tuple[str, str], _Table]) -> None:
    inner = record.members.get(kind)
    if kind in ("add", "insert", "create") and isinstance(inner, dict):  # a script, not a dump
        kind = next(iter(inner), "")
        inner = inner.get(kind)
    if not isinstance(inner, dict):
        raise ValueError(f"an object was expected behind {quoted(kind)}")  # noqa: TRY004 (evidence, not a bug)
    given = Record(inner, record.span)
    family = given.need("family")
    if kind == "table":
        flags = given.members.get("flags")
        name = given.need("name")
        dormant = flags == "dormant" or (isinstance(flags, list) and "dormant" in flags)
        tables[family, name] = _Table(
            family, name, replace(record.span, text=f"table {family} {name} {{"), dormant
        )
        return
    table = tables.get((family, given.need("table")))
    if table is None:
        name = given.need("table")
        table = tables[family, name] = _Table(family, name, record.span)
    _PARTS.get(kind, _object(kind))(given, table)


def _chain(given: Record, table: _Table) -> None:
    name, hook = given.need("name"), given.text("hook")
    devices = given.members.get("dev")
    listed = devices if isinstance(devices, list) else [devices] if isinstance(devices, str) else []
    kind, priority, policy = given.text("type"), given.number("prio"), given.text("policy")
    head = f"type {kind} hook {hook} priority {priority}; policy {policy or 'accept'};"
    span = replace(given.span, text=f"chain {name} {{" if hook is None else head)
    table.chains[name] = NftChain(
        name, (), span, kind, hook, priority, (policy or "accept") if hook else None, tuple(map(str, listed))
    )


def _rule(given: Record, table: _Table) -> None:
    statements, notes, words = read_nft_json_rule(given.members.get("expr"), table.family)
    comment = given.text("comment") or ""
    span = replace(given.span, text=words + (f' comment "{comment}"' if comment else ""))
    rule = NftRule(statements, span, given.number("handle"), comment)
    name = given.need("chain")
    chain = table.chains.get(name) or NftChain(name, (), given.span)
    table.chains[name] = replace(chain, rules=(*chain.rules, rule))
    _note(notes, span, table)


def _set(given: Record, table: _Table) -> None:
    span = replace(given.span, text=f"set {given.need('name')} {{")
    found, notes = read_json_set(given.members, table.family, span)
    table.sets[found.name] = found
    _note(notes, span, table)


def _note(notes: tuple[NftNote, ...], span: Span, table: _Table) -> None:
    table.notes.extend((span, note.message) for note in notes)


def _object(kind: str) -> Callable[[Record, _Table], None]:
    def read(given: Record, table: _Table) -> None:
        name = given.text("name")
        if name is None:
            raise ValueError(f"{quoted(kind)} is not known")
        devices = given.members.get("dev")
        listed = devices if isinstance(devices, list) else [devices] if isinstance(devices, str) else []
        span = replace(given.span, text=f"{kind} {name} {{")
        table.objects[kind, name] = NftObject(kind, name, span, (), tuple(map(str, listed)))

    return read


_PARTS: Final[Mapping[str, Callable[[Record, _Table], None]]] = {
    "chain": _chain,
    "rule": _rule,
    "set": _set,
    "map": _set,
    "meter": _set,
}
