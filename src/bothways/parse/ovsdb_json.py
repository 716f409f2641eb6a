"""
Tables of OVSDB in JSON: ``headings`` and ``data``, one object a table, on one line or ``--pretty``.

``ovsdb-client dump -f json`` gives each its ``caption``; ``ovs-vsctl --format=json list`` gives none.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from bothways.facts.span import Span
from bothways.parse.ovsdb_record import Record
from bothways.parse.reading import Reading, quoted

__all__ = ["begins_json", "records_in_json", "rows_of", "tables_in_json"]

_DECODER: Final = json.JSONDecoder()
_OBJECT: Final = re.compile(r"^[\s\ufeff]*\{", re.MULTILINE)
_SPACE: Final = re.compile(r"[\s\ufeff]*")


def begins_json(text: str) -> bool:
    """True if a line begins as an object does; in text no line does so."""
    return _OBJECT.search(text) is not None


def tables_in_json(
    text: str, given: Sequence[Span], reading: Reading[Any]
) -> Iterator[tuple[Span, Mapping[str, object]]]:
    """Every object of a text, with the line that it begins on; what is none is a problem."""
    if all(_one_object(span.text) for span in given if span.text.strip()):
        for span in given:
            if span.text.strip():
                yield span, json.loads(span.text)
            else:
                reading.skip()
        return
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    at = _end_of_space(text, 0)
    while at < len(text):
        span = given[bisect_right(starts, at) - 1]
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            hint = "expected what `ovsdb-client dump -f json` prints"
            reading.malformed(span, f"not a JSON object: {quoted(span.text)}", hint)
            newline = text.find("\n", at)
            at = len(text) if newline < 0 else newline
        else:
            if isinstance(value, dict):
                yield span, value
            else:
                reading.malformed(span, f"not a JSON object: {quoted(span.text)}")
        at = _end_of_space(text, at)


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _one_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def records_in_json(text: str, given: Sequence[Span], reading: Reading[Any]) -> Iterator[Record]:
    """The rows of every table of a text."""
    for span, table in tables_in_json(text, given, reading):
        yield from rows_of(span, table, reading)


def rows_of(line: Span, table: Mapping[str, object], reading: Reading[Any]) -> Iterator[Record]:
    """The rows of one table."""
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
