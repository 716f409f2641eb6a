"""
Tables of OVSDB in columns: ``-f table``, which ``ovsdb-client dump`` prints by itself, and ``-f csv``.

Each table is a line of headings (above it in a dump its name, as ``Bridge table``) and a row a line; in the
form ``table`` dashes under the headings tell where columns begin. Values are written as in lists: atoms,
``[a, b]``, ``{key=value}``. Source: ``table_print`` of ``lib/table.c``, ``ovsdb_datum_to_string``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bothways.facts.span import Span
from bothways.parse.openflow_lex import cut
from bothways.parse.ovsdb_record import Record

__all__ = ["in_columns", "rows_in_columns", "value_of"]

_DASHES: Final = re.compile(r"-+(?: -+)*\s*\Z")
_DASH: Final = re.compile(r"-+")
_CAPTION: Final = re.compile(r"[A-Za-z]\w* table\s*\Z")
_HEADINGS: Final = re.compile(r"_uuid,[a-z_]+(?:,[a-z_]+)*\s*\Z")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_INTEGER: Final = re.compile(r"-?\d{1,20}\Z")


def in_columns(given: Sequence[Span]) -> bool:
    """True if a text has headings over columns, or between commas."""
    return any(_DASHES.match(span.text) or _HEADINGS.match(span.text) for span in given[:6])


def rows_in_columns(given: Iterable[Span]) -> Iterator[tuple[Span, Record | None]]:
    """Every line, with the row that it holds; None for captions, headings, dashes and what is no row."""
    names: list[str] = []
    places: list[tuple[int, int | None]] = []
    before = ""
    for span in given:
        text = span.text
        if _DASHES.match(text) and before:
            starts = [found.start() for found in _DASH.finditer(text)]
            places = list(zip(starts, [*[start - 1 for start in starts[1:]], None], strict=True))
            names = [before[start:end].strip() for start, end in places]
            yield span, None
        elif _HEADINGS.match(text):
            names, places = text.strip().split(","), []
            yield span, None
        elif not text.strip() or _CAPTION.match(text) or not names:
            names = [] if not text.strip() or _CAPTION.match(text) else names
            yield span, None
        else:
            cells = [text[start:end].strip() for start, end in places] if places else _between_commas(text)
            whole = len(cells) == len(names)
            columns = (
                {name: value_of(cell) for name, cell in zip(names, cells, strict=whole)} if whole else {}
            )
            yield span, Record(columns, span) if whole and _is_row(columns) else None
        before = text


def _between_commas(text: str) -> list[str]:
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return []


def _is_row(columns: dict[str, object]) -> bool:
    """The next table's headings follow its caption; what has no row's id is none."""
    uuid = columns.get("_uuid")
    return "_uuid" not in columns or (isinstance(uuid, list) and uuid[:1] == ["uuid"])


def value_of(text: str) -> object:
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
