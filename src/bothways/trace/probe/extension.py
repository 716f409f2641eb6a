"""
Records beside the types of an object, in its section ``.BTF.ext``: relocations, and types of functions.

Layout: kernel ``Documentation/bpf/btf.rst`` (".BTF.ext section") and ``Documentation/bpf/llvm_reloc.rst``.
"""

import struct
from typing import Callable, Dict, List, NamedTuple, Tuple

from bothways.trace.probe.elf import Malformed

__all__ = ["Extension", "FieldRelocation", "FunctionType"]

_HEADER = struct.Struct("<HBBI")
_PARTS = struct.Struct("<IIIIII")
_MAGIC = 0xEB9F
_FUNCTION = struct.Struct("<II")
_RELOCATION = struct.Struct("<IIII")


class FieldRelocation(NamedTuple):
    """A place in a section's instructions that depends on the running kernel's types (CO-RE)."""

    offset: int
    type: int
    access: str
    kind: int


class FunctionType(NamedTuple):
    """The type of the function that starts at an offset of a section."""

    offset: int
    type: int


class Extension:
    """
    The records of one object, by the name of the section that they belong to, each list ordered by offset.

    :param string: reads a string of the object's BTF.
    :raises Malformed: for bytes that are no such section.
    """

    def __init__(self, data: bytes, string: Callable[[int], str]) -> None:
        try:
            magic, _, _, header = _HEADER.unpack_from(data)
            parts = _PARTS.unpack_from(data, _HEADER.size)
            if magic != _MAGIC:
                raise Malformed(".BTF.ext does not start with its magic number")
            functions, relocations = parts[0:2], parts[4:6]
            if header < _HEADER.size + _PARTS.size:  # clang before 10 has no relocations here
                relocations = (0, 0)
            self.functions: Dict[str, List[FunctionType]] = {}
            for section, row in _records(data, header, functions, _FUNCTION, string):
                self.functions.setdefault(section, []).append(FunctionType(*row))
            self.relocations: Dict[str, List[FieldRelocation]] = {}
            for section, row in _records(data, header, relocations, _RELOCATION, string):
                offset, number, access, kind = row
                record = FieldRelocation(offset, number, string(access), kind)
                self.relocations.setdefault(section, []).append(record)
        except struct.error as error:
            raise Malformed(".BTF.ext is cut short: {}".format(error)) from error
        for rows in self.relocations.values():
            rows.sort(key=lambda row: row.offset)


def _records(
    data: bytes, header: int, part: Tuple[int, ...], layout: struct.Struct, string: Callable[[int], str]
) -> "List[Tuple[str, Tuple[int, ...]]]":
    """Unpack one part: a block of records for each section; a record may be longer than known here."""
    found: List[Tuple[str, Tuple[int, ...]]] = []
    at = header + part[0]
    end = at + part[1]
    if not part[1]:
        return found
    (width,) = struct.unpack_from("<I", data, at)
    if width < layout.size:
        raise Malformed(".BTF.ext has records of {} bytes".format(width))
    at += 4
    while at < end:
        section, count = struct.unpack_from("<II", data, at)
        at += 8
        name = string(section)
        for _ in range(count):
            found.append((name, layout.unpack_from(data, at)))
            at += width
    return found
