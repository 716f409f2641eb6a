"""
JSON dumps, object by object, each with the place where it starts.

``ip -j`` and ``bridge -j`` print one array of objects, usually on one line. The standard decoder
forgets positions, so the outer array is walked here and each element is decoded on its own; what
stands before a broken element is kept.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from bothways.facts.address import IPAddress, Mac, address, mac
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, quoted

__all__ = ["Document", "Record", "read_objects", "take"]

Row = TypeVar("Row")

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[\s\ufeff]*")


@dataclass(frozen=True, slots=True)
class Record:
    """
    One JSON object with typed access to its members.

    A getter returns None for a missing or null member and raises ``ValueError`` for one of another type.
    """

    members: Mapping[str, object]
    span: Span
    start: int = 0
    end: int = 0

    def has(self, key: str) -> bool:
        """True if the member is there, whatever its value (``"not": null`` is a flag)."""
        return key in self.members

    def text(self, key: str) -> str | None:
        """A string; numbers are spelt out, as tools disagree on which of the two they print."""
        value = self.members.get(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise ValueError(f"`{key}` is {_kind(value)}, not a string")

    def number(self, key: str) -> int | None:
        """An integer; strings such as ``"0x10"`` are read as C would."""
        value = self.members.get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            try:
                return int(value, 0)
            except ValueError:
                pass
        raise ValueError(f"`{key}` is {_kind(value)}, not a number")

    def real(self, key: str) -> float | None:
        """A number of seconds."""
        value = self.members.get(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                pass
        raise ValueError(f"`{key}` is {_kind(value)}, not a number")

    def words(self, key: str) -> tuple[str, ...]:
        """A list of strings; missing is empty, one string is a list of one."""
        value = self.members.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ValueError(f"`{key}` is {_kind(value)}, not a list of words")

    def objects(self, key: str) -> tuple[Record, ...]:
        """A list of objects, at the place of this one; missing is empty."""
        value = self.members.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return tuple(Record(item, self.span) for item in value)
        raise ValueError(f"`{key}` is {_kind(value)}, not a list of objects")

    def inner(self, key: str) -> Record:
        """An object; missing is an object without members."""
        value = self.members.get(key)
        if value is None:
            return Record({}, self.span)
        if isinstance(value, dict):
            return Record(value, self.span)
        raise ValueError(f"`{key}` is {_kind(value)}, not an object")

    def address(self, key: str) -> IPAddress | None:
        """An IP address."""
        text = self.text(key)
        return None if text is None else address(text)

    def mac(self, key: str) -> Mac | None:
        """A MAC; None for link addresses of another kind, such as the IP address of a GRE device."""
        text = self.text(key)
        try:
            return None if text is None else mac(text)
        except ValueError:
            return None

    def shown(self, key: str) -> str:
        """The member as a message or a list of unmodelled parts names it: ``tos 0x10``, ``l3mdev``."""
        value = self.members.get(key)
        if value is None:
            return key
        return f"{key} {value}" if isinstance(value, str | int | float) else key

    def need(self, key: str) -> str:
        """
        A string that has to be there.

        :raises ValueError: if it is missing or empty.
        """
        text = self.text(key)
        if not text:
            raise ValueError(f"`{key}` is missing in {quoted(self.span.text)}")
        return text


def _kind(value: object) -> str:
    """A value as a message names it; containers by type, because they may be deep."""
    if isinstance(value, str):
        return quoted(value)
    return f"of type `{type(value).__name__}`"


def _compact(value: object, text: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return text


class Document:
    """A JSON text whose objects know where they stand."""

    __slots__ = ("_file", "_newlines", "_read_at", "_text")

    def __init__(self, text: str, *, file: str, read_at: float | None = None) -> None:
        self._text = text
        self._file = file
        self._read_at = read_at
        self._newlines = [m.start() for m in re.finditer("\n", text)]

    def span(self, start: int, end: int, value: object = None) -> Span:
        """The place of ``text[start:end]``; a value of several lines is quoted in compact form."""
        row = bisect_right(self._newlines, start - 1)
        column = start - (self._newlines[row - 1] + 1 if row else 0) + 1
        text = self._text[start:end]
        if "\n" in text and value is not None:
            text = _compact(value, text)
        return Span(
            self._file, line=row + 1, column=column, text=text.partition("\n")[0], read_at=self._read_at
        )

    def objects(self, reading: Reading[Row]) -> Iterator[Record]:
        """Objects of all arrays of the text (a file may hold those of ``-4`` and of ``-6``)."""
        position: int | None = self._skip(0)
        while position is not None and position < len(self._text):
            position = yield from self._array(position, reading)

    def _array(self, position: int, reading: Reading[Row]) -> Generator[Record, None, int | None]:
        """Yield the objects of one array; return where the next begins, None if this is broken."""
        if self._text[position : position + 1] != "[":
            reading.malformed(self._here(position), "a JSON array was expected here")
            return None
        position = self._skip(position + 1)
        while self._text[position : position + 1] != "]":
            try:
                value, end = _DECODER.raw_decode(self._text, position)
            except (ValueError, RecursionError):
                reading.malformed(self._here(position), "broken JSON", "the file was cut off or edited")
                return None
            span = self.span(position, end, value)
            if isinstance(value, dict):
                yield Record(value, span, position, end)
            else:
                reading.malformed(span, f"a JSON object was expected, not {quoted(span.text)}")
            position = self._skip(end)
            if self._text[position : position + 1] == ",":
                position = self._skip(position + 1)
            elif self._text[position : position + 1] != "]":
                place = self._here(position)
                reading.malformed(place, "the JSON array does not end", "the file was cut off or edited")
                return None
        return self._skip(position + 1)

    def member_array(self, record: Record, key: str) -> list[Record]:
        """Objects of the array member *key* of *record* with places of their own, where they can be told."""
        given = list(record.objects(key))
        found = re.compile(rf'"{re.escape(key)}"\s*:\s*(?=\[)').search(self._text, record.start, record.end)
        if found is None:
            return given
        unheard: Reading[Record] = Reading()
        placed = []
        for inner in self._array(found.end(), unheard):
            placed.append(inner)
            if len(placed) == len(given):
                break
        agree = [p.members for p in placed] == [g.members for g in given]
        return placed if agree else given

    def _skip(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        return found.end() if found else position

    def _here(self, position: int) -> Span:
        end = self._text.find("\n", position)
        return self.span(position, len(self._text) if end < 0 else end)


def read_objects(
    text: str,
    decode: Callable[[Record, Reading[Row]], Row | None],
    *,
    file: str,
    read_at: float | None = None,
) -> Parsed[Row]:
    """Decode every object of a JSON array; None from *decode* counts as irrelevant."""
    document = Document(text, file=file, read_at=read_at)
    reading: Reading[Row] = Reading()
    for record in document.objects(reading):
        take(record, decode, reading)
    return reading.done()


def take(record: Record, decode: Callable[[Record, Reading[Row]], Row | None], reading: Reading[Row]) -> None:
    """Decode one object into *reading*."""
    if not record.members:
        reading.skip()
        return
    try:
        row = decode(record, reading)
    except ValueError as error:
        reading.refuse(record.span, error)
        return
    if row is None:
        reading.skip()
    else:
        reading.rows.append(row)
