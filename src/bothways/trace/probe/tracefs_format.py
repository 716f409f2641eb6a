"""
What the records of one trace event hold: the text of its ``format`` file, read by the kernel's own names.

So a field that moved, or that a release does not have yet, needs no table of releases: it is asked for by
name, and what is not there is None. The words of ``__print_symbolic`` are taken too: they name reasons
where the kernel has no BTF.
"""

import re
import struct
from typing import Callable, Dict, NamedTuple, Optional, Union

__all__ = ["Field", "Format", "read_format"]

Value = Union[int, str, bytes, None]

_FIELD = re.compile(
    r"^\tfield:(?P<what>[^;]+);\toffset:(?P<offset>\d+);\tsize:(?P<size>\d+);(?:\tsigned:(?P<signed>\d);)?"
)
_NAME = re.compile(r"^(?P<type>.*?)\s*\b(?P<name>\w+)\s*(?P<array>\[[^\]]*\])?$")
_PRINTED = re.compile(r"__print_symbolic\(REC->(?P<field>\w+),(?P<pairs>(?:\s*\{[^{}]*\},?)*)\s*\)")
_PAIR = re.compile(r"\{\s*(?P<value>-?(?:0x[0-9a-fA-F]+|[1-9]\d*|0))\s*,\s*\"(?P<name>[^\"]*)\"\s*\}")
_INTEGERS = {
    (1, False): "<B",
    (1, True): "<b",
    (2, False): "<H",
    (2, True): "<h",
    (4, False): "<I",
    (4, True): "<i",
    (8, False): "<Q",
    (8, True): "<q",
}


class Field(NamedTuple):
    """
    Where a field stands in a record (bytes), and what it is.

    ``integer``, ``bytes``, ``text`` or ``dynamic`` text.
    """

    offset: int
    size: int
    kind: str
    code: str


class Format(NamedTuple):
    """
    One event.

    Its number in records, its fields by name, and by field the words that its values are printed with.
    """

    name: str
    id: int
    fields: Dict[str, Field]
    words: Dict[str, Dict[int, str]]

    def has(self, *names: str) -> bool:
        """Whether records of this kernel have all these fields."""
        return all(name in self.fields for name in names)

    def value(self, data: bytes, name: str) -> Value:
        """
        Read a field from a record.

        None where this kernel's event has no such field, or the record is cut short.
        """
        field = self.fields.get(name)
        if field is None or field.offset + field.size > len(data):
            return None
        return _READ[field.kind](data, field)

    def number(self, data: bytes, name: str) -> Optional[int]:
        """Read a field that is a number."""
        value = self.value(data, name)
        return value if isinstance(value, int) else None

    def text(self, data: bytes, name: str) -> Optional[str]:
        """Read a field that is text."""
        value = self.value(data, name)
        return value if isinstance(value, str) else None

    def octets(self, data: bytes, name: str) -> Optional[bytes]:
        """Read a field that is an array of bytes."""
        value = self.value(data, name)
        return value if isinstance(value, bytes) else None

    def word(self, data: bytes, name: str) -> Optional[str]:
        """The word that the kernel prints for a field's value; None where it has none."""
        value = self.number(data, name)
        return None if value is None else self.words.get(name, {}).get(value)


def _integer(data: bytes, field: Field) -> Value:
    return int(struct.unpack_from(field.code, data, field.offset)[0])


def _bytes(data: bytes, field: Field) -> Value:
    return data[field.offset : field.offset + field.size]


def _text(data: bytes, field: Field) -> Value:
    return _until_zero(data[field.offset : field.offset + field.size])


def _dynamic(data: bytes, field: Field) -> Value:
    """Read text whose place stands in the record: the low half is the offset, the high half the length."""
    (where,) = struct.unpack_from("<I", data, field.offset)
    start, length = where & 0xFFFF, where >> 16
    return _until_zero(data[start : start + length])


def _until_zero(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


_READ: Dict[str, Callable[[bytes, Field], Value]] = {
    "integer": _integer,
    "bytes": _bytes,
    "text": _text,
    "dynamic": _dynamic,
}


def read_format(text: str) -> Optional[Format]:
    """
    Read the text of a ``format`` file.

    None for a text that is none. What it does not understand it leaves out.
    """
    name = ""
    number: Optional[int] = None
    fields: Dict[str, Field] = {}
    for line in text.splitlines():
        if line.startswith("name:"):
            name = line[len("name:") :].strip()
        elif line.startswith("ID:") and line[len("ID:") :].strip().isdigit():
            number = int(line[len("ID:") :])
        else:
            _take_field(line, fields)
    if number is None or not name:
        return None
    return Format(name, number, fields, _words(text))


def _take_field(line: str, fields: Dict[str, Field]) -> None:
    matched = _FIELD.match(line)
    named = _NAME.match(matched.group("what").strip()) if matched else None
    if matched is None or named is None:
        return
    size, signed = int(matched.group("size")), matched.group("signed") == "1"
    kind = named.group("type")
    code = _INTEGERS.get((size, signed and "*" not in kind), "")
    if "__data_loc" in kind:
        shape = "dynamic"
    elif named.group("array"):
        shape = "text" if re.match(r"(const )?char$", kind) else "bytes"
    else:
        shape = "integer" if code else "bytes"
    fields[named.group("name")] = Field(int(matched.group("offset")), size, shape, code)


def _words(text: str) -> Dict[str, Dict[int, str]]:
    found: Dict[str, Dict[int, str]] = {}
    for matched in _PRINTED.finditer(text):
        # A value that is an enumerator's name is left out: this kernel does not say its number here.
        found[matched.group("field")] = {
            int(pair.group("value"), 0): pair.group("name") for pair in _PAIR.finditer(matched.group("pairs"))
        }
    return found
