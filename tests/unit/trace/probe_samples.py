"""Images of types, as a kernel or an object has them, written for a test."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from bothways.trace.probe import btf_kinds

HEADER = 24


class Types:
    """
    Writes BTF; each method adds a type and returns its number.

    :param after: the image that this one continues.
    """

    def __init__(self, after: Types | None = None) -> None:
        self.after = after
        self.strings = bytearray(b"" if after else b"\0")
        self.types = bytearray()
        self.first: int = after.next if after else 1
        self.next: int = self.first
        self.strings_from: int = after.strings_from + len(after.strings) if after else 0

    def text(self, name: str) -> int:
        if not name and not self.strings_from:
            return 0
        known = self.after.known(name) if self.after else None
        if known is not None:
            return known
        at = self.strings.find(b"\0" + name.encode() + b"\0")
        if name and at >= 0:
            return self.strings_from + at + 1
        at = len(self.strings)
        self.strings += name.encode() + b"\0"
        return self.strings_from + at

    def known(self, name: str) -> int | None:
        """Find a string that is written already: what continues an image does not write it again."""
        at = self.strings.find(b"\0" + name.encode() + b"\0")
        return self.strings_from + at + 1 if at >= 0 else None

    def add(
        self,
        name: str,
        kind: int,
        refers: int,
        words: Sequence[int] = (),
        *,
        length: int = 0,
        flag: bool = False,
    ) -> int:
        information = kind << 24 | length | flag << 31
        self.types += struct.pack("<III", self.text(name), information, refers)
        self.types += struct.pack(f"<{len(words)}I", *(word & 0xFFFFFFFF for word in words))
        self.next += 1
        return self.next - 1

    def integer(self, name: str, size: int, *, signed: bool = False) -> int:
        return self.add(name, btf_kinds.INT, size, [size * 8 | signed << 24])

    def pointer(self, to: int) -> int:
        return self.add("", btf_kinds.POINTER, to)

    def typedef(self, name: str, of: int) -> int:
        return self.add(name, btf_kinds.TYPEDEF, of)

    def const(self, of: int) -> int:
        return self.add("", btf_kinds.CONST, of)

    def array(self, of: int, length: int) -> int:
        return self.add("", btf_kinds.ARRAY, 0, [of, of, length])

    def struct(
        self, name: str, size: int, members: Sequence[tuple[str, int, int]], *, kind: int = btf_kinds.STRUCT
    ) -> int:
        """Members are a name, a type and an offset in bytes."""
        words = [word for member, type_, offset in members for word in (self.text(member), type_, offset * 8)]
        return self.add(name, kind, size, words, length=len(members))

    def bits(self, name: str, size: int, members: Sequence[tuple[str, int, int, int]]) -> int:
        """Members are a name, a type, an offset in bits and a number of bits."""
        words = [
            word
            for member, type_, offset, width in members
            for word in (self.text(member), type_, offset | width << 24)
        ]
        return self.add(name, btf_kinds.STRUCT, size, words, length=len(members), flag=True)

    def enum(self, name: str, values: Mapping[str, int], *, size: int = 4) -> int:
        signed = any(value < 0 for value in values.values())
        if size == 8:
            words = [word for key, value in values.items() for word in (self.text(key), value, value >> 32)]
            return self.add(name, btf_kinds.ENUM64, size, words, length=len(values), flag=signed)
        words = [word for key, value in values.items() for word in (self.text(key), value)]
        return self.add(name, btf_kinds.ENUM, size, words, length=len(values), flag=signed)

    def prototype(self, parameters: Sequence[tuple[str, int]], *, returns: int = 0) -> int:
        words = [word for name, type_ in parameters for word in (self.text(name), type_)]
        return self.add("", btf_kinds.FUNC_PROTO, returns, words, length=len(parameters))

    def function(self, name: str, parameters: Sequence[tuple[str, int]], *, returns: int = 0) -> int:
        return self.add(name, btf_kinds.FUNC, self.prototype(parameters, returns=returns))

    def image(self) -> bytes:
        head = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, HEADER, 0, len(self.types), len(self.types), len(self.strings)
        )
        return head + bytes(self.types) + bytes(self.strings)


R_BPF_64_64, R_BPF_64_32 = 1, 10


def extension(types: Types, records: Sequence[tuple[str, int, int, str, int]]) -> bytes:
    """
    Write the section ``.BTF.ext`` of an object.

    :param records: section, offset of the instruction, type, access, kind; their strings go into *types*.
    """
    sections: dict[str, list[bytes]] = {}
    for section, offset, number, access, kind in records:
        row = struct.pack("<IIII", offset, number, types.text(access), kind)
        sections.setdefault(section, []).append(row)
    body = b"".join(
        struct.pack("<II", types.text(section), len(rows)) + b"".join(rows)
        for section, rows in sections.items()
    )
    relocations = struct.pack("<I", 16) + body
    functions = lines = struct.pack("<I", 8)
    parts = [0, len(functions), len(functions), len(lines), len(functions) + len(lines), len(relocations)]
    return struct.pack("<HBBI6I", 0xEB9F, 1, 0, 32, *parts) + functions + lines + relocations


def elf(
    sections: Mapping[str, bytes],
    symbols: Sequence[tuple[str, str, int, int, bool]],
    relocations: Mapping[str, Sequence[tuple[int, int, str]]] | None = None,
) -> bytes:
    """
    Write an object file.

    :param symbols: name, section, offset, size, whether it is a function.
    :param relocations: by section, the place, the kind, and the symbol's name.
    """
    names = bytearray(b"\0")

    def text(name: str) -> int:
        names.extend(name.encode() + b"\0")
        return len(names) - len(name) - 1

    order = ["", *sections]
    table = bytes(24) + b"".join(
        struct.pack(
            "<IBBHQQ", text(name), 0x10 | (2 if function else 1), 0, order.index(section), offset, size
        )
        for name, section, offset, size, function in symbols
    )
    number = {name: index for index, (name, *_) in enumerate(symbols, 1)}
    code = {name for name, section, *_, function in symbols if function for name in [section]}
    rows = [(0, 0, 0, b"", 0, 0)]
    rows += [(text(name), 1, 4 if name in code else 0, data, 0, 0) for name, data in sections.items()]
    rows.append((text(".symtab"), 2, 0, table, len(rows) + 1, 0))
    symtab = len(rows) - 1
    rows.append((text(".strtab"), 3, 0, b"", 0, 0))
    strtab = len(rows) - 1
    for section, each in (relocations or {}).items():
        data = b"".join(struct.pack("<QQ", at, number[name] << 32 | kind) for at, kind, name in each)
        rows.append((text(".rel" + section), 9, 0, data, symtab, order.index(section)))
    rows[strtab] = (*rows[strtab][:3], bytes(names), 0, 0)
    body = bytearray(64)
    headers = bytearray()
    for name, kind, flags, data, link, info in rows:
        headers += struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, len(body), len(data), link, info, 8, 0)
        body += data
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        1,
        247,
        1,
        0,
        0,
        len(body),
        0,
        64,
        0,
        0,
        64,
        len(rows),
        strtab,
    )
    body[:64] = head
    return bytes(body + headers)
