"""
``ovs-vsctl list bridge``, ``list port`` and ``list interface``: rows of OVSDB as people ask for them.

As a rule one column a line, ``name : value``; a blank line ends a row. ``--format=table``, ``csv`` and
``json`` are read as well. Its columns tell which table a row is of. Values are atoms, ``[a, b]`` and
``{key=value}``; strings stand in quotes where they could be something else. Source: ovs-vsctl(8), OVSDB's
``ovsdb_datum_to_string``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.openflow import Bridge, Port
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.ovsdb_columns import in_columns, rows_in_columns, value_of
from bothways.parse.ovsdb_json import begins_json, records_in_json
from bothways.parse.ovsdb_record import Record, assemble, port_of
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["OvsRow", "listed_bridges", "listed_ports", "parse_rows", "parse_vsctl_list"]

_COLUMN: Final = re.compile(r"\s*(?P<key>[A-Za-z_]\w{0,60})\s*: ?(?P<value>.*)\Z")
_CAPTION: Final = re.compile(r"[A-Za-z]\w* table\s*\Z")
#: Table -> columns that only it has.
_TABLES: Final[Mapping[str, frozenset[str]]] = {
    "Interface": frozenset({"ofport", "mac_in_use", "admin_state", "ifindex"}),
    "Port": frozenset({"interfaces", "bond_mode", "vlan_mode", "tag"}),
    "Bridge": frozenset({"ports", "datapath_type", "fail_mode", "flow_tables"}),
}
#: those that a dump of the whole database has as well
_BESIDE: Final[Mapping[str, frozenset[str]]] = {
    "Mirror": frozenset({"select_all", "select_src_port", "output_vlan"}),
    "Controller": frozenset({"connection_mode", "controller_burst_limit"}),
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
    parsed = parse_rows(text, file=file, read_at=read_at)
    kept = tuple(row for row in parsed.rows if row.table in _TABLES)
    return Parsed(kept, parsed.problems, parsed.irrelevant + len(parsed.rows) - len(kept))


def parse_rows(text: str, *, file: str, read_at: float | None = None) -> Parsed[OvsRow]:
    """Read rows of the three tables, and of mirrors and controllers, in any form but HTML."""
    reading: Reading[OvsRow] = Reading()
    given = list(lines(text, file=file, read_at=read_at))
    if begins_json(text):
        for record in records_in_json(text, given, reading):
            _keep(record, reading)
    elif in_columns(given):
        for _, row in rows_in_columns(given):
            if row is None:
                reading.skip()
            else:
                _keep(row, reading)
    else:
        _listed(given, reading)
    return reading.done()


def _listed(given: Iterable[Span], reading: Reading[OvsRow]) -> None:
    draft = _Draft()
    for span in given:
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
            draft.columns[key] = value_of(value)
            if draft.span is None or key == "name":
                draft.span = span
        elif is_prompt(span.text) or span.text.startswith("#") or _CAPTION.match(span.text):
            reading.skip()
        else:
            reading.malformed(span, f"expected `column : value`, found {quoted(span.text)}")
    _close(draft, reading)


def _close(draft: _Draft, reading: Reading[OvsRow]) -> None:
    if draft.span is not None:
        _keep(Record(draft.columns, draft.span), reading)


def _keep(record: Record, reading: Reading[OvsRow]) -> None:
    tables = {**_TABLES, **_BESIDE}
    table = next((name for name, own in tables.items() if own & record.columns.keys()), None)
    if table is None:
        reading.skip()
    else:
        reading.rows.append(OvsRow(table, record))


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
