"""
OVSDB as ``ovsdb-client dump -f json`` prints it: one JSON object per table and line.

Read are the tables ``Bridge``, ``Port``, ``Interface``, ``Mirror`` and ``Controller`` (``ovsdb_record``).
``Bridge.host`` is empty:
``ovs_assemble.merge_bridge`` knows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from bothways.facts.openflow import Bridge
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.ovsdb_record import Record, assemble
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_ovsdb"]

_TABLES: Final = ("Bridge table", "Port table", "Interface table", "Mirror table", "Controller table")


def parse_ovsdb(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bridge]:
    """Read an OVSDB dump; one row per bridge, ports with the numbers that the switch gave them."""
    reading: Reading[Bridge] = Reading()
    tables: dict[str, dict[str, Record]] = {caption: {} for caption in _TABLES}
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip():
            reading.skip()
            continue
        table = _table(line, reading)
        if table is None:
            continue
        caption, rows = table
        if caption in tables:
            tables[caption].update({record.uuid: record for record in _records(line, rows, reading)})
        else:
            reading.skip()
    bridges, ports, interfaces, mirrors, controllers = (tables[caption] for caption in _TABLES)
    assemble(bridges, ports, interfaces, reading, mirrors, controllers)
    return reading.done()


def _table(line: Span, reading: Reading[Bridge]) -> tuple[str, Mapping[str, object]] | None:
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        hint = "expected a line of `ovsdb-client dump -f json`"
        reading.malformed(line, f"not a JSON object: {quoted(line.text)}", hint)
        return None
    caption = value.get("caption")
    if not isinstance(caption, str):
        reading.unmodelled(line, "a table without caption", "dump it with `ovsdb-client dump -f json`")
        return None
    return caption, value


def _records(line: Span, table: Mapping[str, object], reading: Reading[Bridge]) -> Iterator[Record]:
    headings, data = table.get("headings"), table.get("data")
    if not isinstance(headings, list) or not isinstance(data, list):
        reading.malformed(line, f"the table {quoted(line.text)} lacks headings or data")
        return
    names = [str(heading) for heading in headings]
    for row in data:
        if isinstance(row, list) and len(row) == len(names):
            yield Record(dict(zip(names, row, strict=True)), _place(line, row))
        else:
            reading.malformed(line, "a row does not have as many values as there are headings")


def _place(line: Span, row: list[object]) -> Span:
    """The row's own part of the line."""
    text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
    start = line.text.find(text)
    column = None if start < 0 else start + 1
    return Span(line.file, line=line.line, text=text, column=column, read_at=line.read_at)
