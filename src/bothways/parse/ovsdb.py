"""
OVSDB as ``ovsdb-client dump`` prints it: as JSON (``-f json``), one object per table, or as text.

Read are the tables ``Bridge``, ``Port``, ``Interface``, ``Mirror`` and ``Controller`` (``ovsdb_record``).
``Bridge.host`` is empty: ``ovs_assemble.merge_bridge`` knows it. Text is read as ``ovs_list`` reads it.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.openflow import Bridge
from bothways.facts.parsed import Parsed
from bothways.parse.ovs_list import parse_rows
from bothways.parse.ovsdb_json import begins_json, rows_of, tables_in_json
from bothways.parse.ovsdb_record import Record, assemble
from bothways.parse.reading import Reading, lines

__all__ = ["parse_ovsdb"]

_TABLES: Final = ("Bridge", "Port", "Interface", "Mirror", "Controller")


def parse_ovsdb(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bridge]:
    """Read an OVSDB dump; one row per bridge, ports with the numbers that the switch gave them."""
    reading: Reading[Bridge] = Reading()
    tables: dict[str, dict[str, Record]] = {name: {} for name in _TABLES}
    if begins_json(text):
        _of_json(text, file, read_at, tables, reading)
    else:
        parsed = parse_rows(text, file=file, read_at=read_at)
        reading.problems += parsed.problems
        reading.irrelevant += parsed.irrelevant
        for row in parsed.rows:
            tables[row.table][row.record.uuid] = row.record
    bridges, ports, interfaces, mirrors, controllers = (tables[name] for name in _TABLES)
    assemble(bridges, ports, interfaces, reading, mirrors, controllers)
    return reading.done()


def _of_json(
    text: str,
    file: str,
    read_at: float | None,
    tables: dict[str, dict[str, Record]],
    reading: Reading[Bridge],
) -> None:
    given = list(lines(text, file=file, read_at=read_at))
    for line, table in tables_in_json(text, given, reading):
        caption = table.get("caption")
        if not isinstance(caption, str):
            reading.unmodelled(line, "a table without caption", "dump it with `ovsdb-client dump -f json`")
            continue
        name = caption.removesuffix(" table")
        if name in tables:
            tables[name].update({record.uuid: record for record in rows_of(line, table, reading)})
        else:
            reading.skip()
