"""
Spans of a piece of text, led back to the file that it was cut from.

A piece is read under a name and in lines of its own (cleaned of markup, without the rest of the file). What
was read from it then quotes the file as it stands: its name, the whole line, the column in that line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from bothways.facts.dump import Dump
from bothways.facts.span import Span
from bothways.parse.piece import Piece

__all__ = ["Original", "requote"]

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Original:
    """
    Where a text came from.

    :param file: the file as a user named it.
    :param lines: its lines.
    :param piece: what was cut out of it, None if the whole file was read.
    """

    file: str
    lines: tuple[str, ...]
    piece: Piece | None = None

    def span(self, span: Span) -> Span:
        """The place in the file."""
        if span.line is None or not 0 < span.line <= len(self.lines):
            return replace(span, file=self.file)
        moved = 0 if self.piece is None or span.column is None else self.piece.shift(span.line)
        column = None if span.column is None else max(1, span.column + moved)
        return replace(span, file=self.file, text=self.lines[span.line - 1], column=column)


def requote(value: Value, originals: Mapping[str, Original]) -> Value:
    """The value with every span of a piece led back; what holds none stays the same object."""
    return cast("Value", _led_back(value, originals))


def _led_back(value: Any, originals: Mapping[str, Original]) -> Any:
    if isinstance(value, Span):
        original = originals.get(value.file)
        return value if original is None else original.span(value)
    if isinstance(value, tuple):
        items = tuple(_led_back(item, originals) for item in value)
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if isinstance(value, Mapping):
        rows = {key: _led_back(item, originals) for key, item in value.items()}
        return value if all(rows[key] is item for key, item in value.items()) else rows
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    for field in fields(value):
        old = getattr(value, field.name)
        new = _led_back(old, originals)
        if new is not old:
            changed[field.name] = new
    if isinstance(value, Dump) and value.file in originals:
        changed["file"] = originals[value.file].file
    return replace(value, **changed) if changed else value
