"""
``ovs-vsctl list bridge``, ``list port`` and ``list interface``: rows of OVSDB as people ask for them.

One column a line, ``name : value``; a blank line ends a row. Its columns tell which table a row is of. Values
are atoms, ``[a, b]`` and ``{key=value}``; strings stand in quotes where they could be something else. Source:
ovs-vsctl(8), OVSDB's ``ovsdb_datum_to_string``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.openflow import Bridge, Port
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_lex import cut
from bothways.parse.ovsdb_record import Record, assemble, port_of
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["OvsRow", "listed_bridges", "listed_ports", "parse_vsctl_list"]

_COLUMN: Final = re.compile(r"\s*(?P<key>[A-Za-z_]\w{0,60})\s*: ?(?P<value>.*)\Z")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_INTEGER: Final = re.compile(r"-?\d{1,20}\Z")
#: Table -> columns that only it has.
_TABLES: Final[Mapping[str, frozenset[str]]] = {
    "Interface": frozenset({"ofport", "mac_in_use", "admin_state", "ifindex"}),
    "Port": frozenset({"interfaces", "bond_mode", "vlan_mode", "tag"}),
    "Bridge": frozenset({"ports", "datapath_type", "fail_mode", "flow_tables"}),
}


@dataclass(frozen=True, slots=True)
class OvsRow:
    """One row, and the table that it is of."""

    table: str
    record: Record


@dataclass(slots=True)
class _Draft:
    """A row while its lines are read."""

    span: Span | None = None
    columns: dict[str, object] = field(default_factory=dict)


def parse_vsctl_list(text: str, *, file: str, read_at: float | None = None) -> Parsed[OvsRow]:
    """Read rows of any of the three tables; rows of other tables are irrelevant. A row's span is its name."""
    reading: Reading[OvsRow] = Reading()
    draft = _Draft()
    for span in lines(text, file=file, read_at=read_at):
        found = _COLUMN.match(span.text)
        if not span.text.strip():
            reading.skip()
            _close(draft, reading)
            draft = _Draft()
        elif found is not None:
            key, value = found["key"], found["value"].strip()
            if key == "_uuid" and draft.columns:
                _close(draft, reading)
                draft = _Draft()
            draft.columns[key] = _value(value)
            if draft.span is None or key == "name":
                draft.span = span
        elif is_prompt(span.text) or span.text.startswith("#"):
            reading.skip()
        else:
            reading.malformed(span, f"expected `column : value`, found {quoted(span.text)}")
    _close(draft, reading)
    return reading.done()


def _close(draft: _Draft, reading: Reading[OvsRow]) -> None:
    if draft.span is None:
        return
    table = next((name for name, own in _TABLES.items() if own & draft.columns.keys()), None)
    if table is None:
        reading.skip()
    else:
        reading.rows.append(OvsRow(table, Record(draft.columns, draft.span)))


def _value(text: str) -> object:
    """A value in the form that RFC 7047 gives it."""
    if text.startswith("[") and text.endswith("]"):
        return ["set", [_atom(part.text) for part in cut(text[1:-1], 1) if part.text.strip()]]
    if text.startswith("{") and text.endswith("}"):
        pairs = (_pair(part.text) for part in cut(text[1:-1], 1) if part.text.strip())
        return ["map", [[_atom(key), _atom(value)] for key, value in pairs]]
    return _atom(text)


def _pair(text: str) -> tuple[str, str]:
    """Key and value around the first ``=`` that stands outside of quotes."""
    quoting = False
    for at, letter in enumerate(text):
        if letter == '"':
            quoting = not quoting
        elif letter == "=" and not quoting:
            return text[:at], text[at + 1 :]
    return text, ""


def _atom(text: str) -> object:
    bare = text.strip()
    if bare.startswith('"'):
        try:
            return json.loads(bare)
        except ValueError:
            return bare.strip('"')
    if _UUID.match(bare):
        return ["uuid", bare]
    if _INTEGER.match(bare):
        return int(bare)
    return {"true": True, "false": False}.get(bare, bare)


def listed_bridges(rows: Iterable[OvsRow]) -> Parsed[Bridge]:
    """
    The bridges that the rows describe as a whole: with their ports and interfaces.

    Only if rows of all three tables are there; what is missing then is a contradiction. ``Bridge.host`` is
    empty.
    """
    tables: dict[str, dict[str, Record]] = {name: {} for name in _TABLES}
    for row in rows:
        tables[row.table][row.record.uuid] = row.record
    reading: Reading[Bridge] = Reading()
    if all(tables.values()):
        assemble(tables["Bridge"], tables["Port"], tables["Interface"], reading)
    return reading.done()


def listed_ports(rows: Iterable[OvsRow]) -> Iterator[Port]:
    """Ports of no known bridge, as their Interface and, where it is there, their Port row describe them."""
    given = tuple(rows)
    owners = {
        inner: row.record
        for row in given
        if row.table == "Port"
        for inner in row.record.references("interfaces")
    }
    for row in given:
        name = row.record.text("name")
        if row.table == "Interface" and name is not None:
            owner = owners.get(row.record.uuid, Record({}, row.record.span))
            yield port_of(name, row.record, owner)
