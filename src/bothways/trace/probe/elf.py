"""
An object file as clang writes it for BPF: sections, symbols, relocations (ELF64, gABI chapters 4 and 5).

Only little-endian objects are read: the committed one is for machines of that order.
"""

import struct
from typing import Dict, List, NamedTuple

__all__ = ["Elf", "Malformed", "Relocation", "Section", "Symbol"]

_HEADER = 64
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_MAGIC = b"\x7fELF\x02\x01"
_EM_BPF = 247
_SHT_SYMTAB = 2
_SHT_NOBITS = 8
_SHT_REL = 9
_STT_FUNC = 2


class Malformed(ValueError):  # noqa: N818  what is wrong is the file
    """An object that is not what a compiler writes; the text says what is wrong with it."""


class Section(NamedTuple):
    """One section: its name, type, flags, and where its bytes are."""

    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int


class Symbol(NamedTuple):
    """One symbol: where it is (section index and offset in it) and how long."""

    name: str
    function: bool
    section: int
    value: int
    size: int


class Relocation(NamedTuple):
    """One place in a section's bytes that a symbol has to be put into."""

    offset: int
    type: int
    symbol: Symbol


class Elf:
    """
    An ELF64 object for BPF.

    :raises Malformed: for anything else.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        if len(data) < _HEADER or data[:6] != _MAGIC:
            raise Malformed("not an ELF object of 64 bits in little-endian order")
        if struct.unpack_from("<H", data, 18)[0] != _EM_BPF:
            raise Malformed("an ELF object, and not for BPF")
        try:
            self.sections = self._read_sections()
            self.symbols = self._read_symbols()
        except struct.error as error:
            raise Malformed("the object is cut short: {}".format(error)) from error
        self._by_name = {section.name: index for index, section in enumerate(self.sections)}

    def _text(self, table: int, offset: int) -> str:
        start = table + offset
        end = self._data.find(b"\0", start)
        if end < 0:
            raise Malformed("a name runs beyond the end of the object")
        return self._data[start:end].decode("utf-8", "replace")

    def _read_sections(self) -> List[Section]:
        start = struct.unpack_from("<Q", self._data, 40)[0]
        count, names = struct.unpack_from("<HH", self._data, 60)
        rows = [_SECTION.unpack_from(self._data, start + _SECTION.size * index) for index in range(count)]
        if names >= count:
            raise Malformed("the object has no section names")
        table = rows[names][4]
        return [
            Section(self._text(table, row[0]), row[1], row[2], row[4], row[5], row[6], row[7]) for row in rows
        ]

    def _read_symbols(self) -> List[Symbol]:
        symbols = []
        for section in self.sections:
            if section.type != _SHT_SYMTAB:
                continue
            if section.link >= len(self.sections):
                raise Malformed("the symbols have no names")
            names = self.sections[section.link].offset
            for offset in range(section.offset, section.offset + section.size, _SYMBOL.size):
                name, info, _, index, value, size = _SYMBOL.unpack_from(self._data, offset)
                symbols.append(Symbol(self._text(names, name), info & 15 == _STT_FUNC, index, value, size))
        return symbols

    def has(self, name: str) -> bool:
        """Whether there is a section of that name."""
        return name in self._by_name

    def index(self, name: str) -> int:
        """
        Look up a section's number.

        :raises Malformed: where there is none of that name.
        """
        if name not in self._by_name:
            raise Malformed("the object has no section {}".format(name))
        return self._by_name[name]

    def contents(self, name: str) -> bytes:
        """
        Take out the bytes of a section; zeros for one that takes no place in the file (``.bss``).

        :raises Malformed: where there is none of that name.
        """
        section = self.sections[self.index(name)]
        if section.type == _SHT_NOBITS:
            return bytes(section.size)
        found = self._data[section.offset : section.offset + section.size]
        if len(found) != section.size:
            raise Malformed("section {} runs beyond the end of the object".format(name))
        return found

    def relocations(self) -> Dict[int, List[Relocation]]:
        """All relocations, by the index of the section that they change, ordered by offset."""
        found: Dict[int, List[Relocation]] = {}
        for section in self.sections:
            if section.type != _SHT_REL:
                continue
            rows = found.setdefault(section.info, [])
            for offset, info in _RELOCATION.iter_unpack(self.contents(section.name)):
                if info >> 32 >= len(self.symbols):
                    raise Malformed("a relocation names a symbol that is not there")
                rows.append(Relocation(offset, info & 0xFFFFFFFF, self.symbols[info >> 32]))
            rows.sort(key=lambda row: row.offset)
        return found
