"""Variables of an object (``.rodata``, ``.data``, ``.bss``), set by their names and types."""

import struct
from typing import Any, Dict, Tuple

from bothways.trace.probe.btf import Btf
from bothways.trace.probe.btf_kinds import ARRAY, COMPOSITE, ENUMS, INT, VAR
from bothways.trace.probe.elf import Elf, Malformed

__all__ = ["Variables"]

_PREFIXES = (".rodata", ".data", ".bss")


class Variables:
    """
    The sections of data of one object, as bytes that can be changed before (and read while) programs run.

    :param types: the types of the object.
    """

    def __init__(self, elf: Elf, types: Btf) -> None:
        self._types = types
        self.sections = {
            section.name: bytearray(elf.contents(section.name))
            for section in elf.sections
            if section.size and section.name.startswith(_PREFIXES)
        }
        self._where: Dict[str, Tuple[str, int, int]] = {}
        for symbol in elf.symbols:
            if symbol.name and not symbol.function and symbol.section < len(elf.sections):
                section = elf.sections[symbol.section].name
                if section in self.sections:
                    self._where[symbol.name] = (section, symbol.value, symbol.size)

    def names(self) -> "list[str]":
        """List the variables that have a name."""
        return sorted(self._where)

    def place(self, name: str) -> Tuple[str, int, int]:
        """
        Where a variable is: section, offset, size.

        :raises Malformed: where the object has none of that name.
        """
        if name not in self._where:
            raise Malformed("the object has no variable {}".format(name))
        return self._where[name]

    def set(self, name: str, value: Any) -> None:
        """
        Set a variable.

        :param value: bytes as they are; or a number, a list for an array, a mapping of member names for a
            struct. Bytes may
            also stand for an array of characters. What is left out keeps its value.
        :raises Malformed: for a name that the object does not have, or a value that does not fit.
        """
        section, offset, size = self.place(name)
        if isinstance(value, (bytes, bytearray)):
            if len(value) > size:
                raise Malformed("{} has {} bytes, not {}".format(name, size, len(value)))
            self.sections[section][offset : offset + len(value)] = value
            return
        for number in self._types.find(name, frozenset({VAR})):
            self._put(self.sections[section], offset, self._types.type(number).refers, value, name)
            return
        raise Malformed("the object does not say of which type {} is".format(name))

    def _put(self, data: bytearray, offset: int, number: int, value: Any, name: str) -> None:
        types = self._types
        each = types.plain(number)
        size = types.size(each.id) or 0
        if each.kind in COMPOSITE and isinstance(value, dict):
            members = {member.name: member for member in types.members(each.id)}
            for key, inner in value.items():
                if key not in members:
                    raise Malformed("{} has no member {}".format(name, key))
                member = members[key]
                if member.bit_size or member.bit_offset % 8:
                    raise Malformed("{}.{} is a bit field, which is not set here".format(name, key))
                self._put(
                    data, offset + member.bit_offset // 8, member.type, inner, "{}.{}".format(name, key)
                )
        elif isinstance(value, (bytes, bytearray)) and len(value) <= size:
            data[offset : offset + size] = bytes(value).ljust(size, b"\0")
        elif each.kind == ARRAY and isinstance(value, (list, tuple)):
            inside = types.array(each.id)
            if inside is None or len(value) > inside.length:
                raise Malformed("{} has no room for {} values".format(name, len(value)))
            step = types.size(inside.type) or 0
            for index, inner in enumerate(value):
                self._put(data, offset + index * step, inside.type, inner, "{}[{}]".format(name, index))
        elif each.kind in ENUMS | {INT} and isinstance(value, int):
            self._put_number(data, offset, each.id, value, name)
        else:
            raise Malformed("{} cannot be set to {!r}".format(name, value))

    def _put_number(self, data: bytearray, offset: int, number: int, value: int, name: str) -> None:
        size = self._types.size(number) or 0
        code = {1: "b", 2: "h", 4: "i", 8: "q"}.get(size)
        if code is None:
            raise Malformed("{} is a number of {} bytes".format(name, size))
        signed = self._types.signed(number)
        try:
            struct.pack_into("<" + (code if signed or value < 0 else code.upper()), data, offset, value)
        except struct.error as error:
            raise Malformed("{} has no room for {}".format(name, value)) from error
