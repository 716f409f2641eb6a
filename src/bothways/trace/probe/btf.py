"""
Types of the kernel, a module or an object, as BTF describes them (kernel: ``Documentation/bpf/btf.rst``).

An image of a kernel has some 130,000 types. It is walked for the place of each type and no more, and only as
far as somebody asks for: what the network stack is made of stands in the first third, functions behind it. A
name is found by searching the bytes of the strings and then of the types, which costs less than a table of
all names.
"""

import struct
import threading
from array import array
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from bothways.trace.probe.btf_kinds import (
    ARRAY,
    COMPOSITE,
    DATASEC,
    ENUM,
    ENUM64,
    ENUMS,
    FIXED,
    FLOAT,
    FUNC,
    FUNC_PROTO,
    INT,
    POINTER,
    SEE_THROUGH,
    STEPS,
    TYPEDEF,
)

__all__ = ["Array", "Btf", "Member", "Parameter", "Placement", "Type", "Unreadable"]

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_POINTER_SIZE = 8
_WORD = 4
_PIECE = 1 << 16  # words that are walked at once
_DEEPEST = 64  # a chain of typedefs or arrays that is longer goes in a circle


class Unreadable(ValueError):  # noqa: N818  what is wrong is the image
    """BTF that cannot be read; the text says why."""


class Type(NamedTuple):
    """
    One type. ``refers`` is its size in bytes where the kind has a size, and else the type that it refers to.

    ``flag`` is the kind's own: bit fields in a struct, signed values in an enum, a union for a forward
    declaration.
    """

    id: int
    name: str
    kind: int
    length: int
    flag: bool
    refers: int


class Member(NamedTuple):
    """A member of a struct or union; ``bit_size`` is 0 unless it is a bit field."""

    name: str
    type: int
    bit_offset: int
    bit_size: int


class Parameter(NamedTuple):
    """A parameter of a function, in order."""

    name: str
    type: int


class Array(NamedTuple):
    """What an array is made of."""

    type: int
    length: int


class Placement(NamedTuple):
    """A variable in a section of an object."""

    type: int
    offset: int
    size: int


class Btf:
    """
    The types of one image.

    :param data: the bytes: ``/sys/kernel/btf/vmlinux``, or the section ``.BTF`` of an object.
    :param base: the image that this one continues, for a module: the kernel's.
    :param at_once: walk it now; else what is wrong with it shows when it is asked. Several threads may ask:
        one of them walks.
    :raises Unreadable: for bytes that are no BTF of this machine's order.
    """

    def __init__(
        self, data: bytes, base: Optional["Btf"] = None, name: str = "vmlinux", *, at_once: bool = True
    ) -> None:
        self.name = name
        self.base = base
        try:
            magic, _, _, header, types, types_length, strings, strings_length = _HEADER.unpack_from(data)
        except struct.error as error:
            raise Unreadable("{}: too short for BTF".format(name)) from error
        if magic != _MAGIC:
            raise Unreadable("{}: not BTF in little-endian order".format(name))
        self._data = data
        self._types_at, self._strings_at = header + types, header + strings
        self._strings_length: int = strings_length
        size = len(data)
        if self._types_at + types_length > size or self._strings_at + strings_length > size:
            raise Unreadable("{}: the types run beyond the end of the BTF".format(name))
        if types_length % _WORD:
            raise Unreadable("{}: the last type is cut short".format(name))
        self._words: Sequence[int] = memoryview(data)[self._types_at : self._types_at + types_length].cast(
            "I"
        )
        self._first = base.count if base else 1
        self._strings_from = base.strings_end if base else 0
        self._starts: List[int] = []
        self._walked = 0
        self._walking = threading.RLock()
        self._names: List[Tuple[int, bytes]] = []
        self._found: Dict[Tuple[str, FrozenSet[int]], List[int]] = {}
        self._members: Dict[int, List[Member]] = {}
        if at_once:
            self._walk(len(self._words))

    @property
    def count(self) -> int:
        """The first type number that is not taken, by the image or by what it continues."""
        self._walk(len(self._words))
        return self._first + len(self._starts)

    @property
    def strings_end(self) -> int:
        """The first string offset that is not taken, by the image or by what it continues."""
        return self._strings_from + self._strings_length

    def _walk(self, words: int) -> None:
        """Find where the types start that begin in the next words; all, for as many words as there are."""
        with self._walking:
            first, end = len(self._starts), min(self._walked + words, len(self._words))
            self._walked = self._walk_to(end)
            if len(self._starts) > first:
                starts = self._starts[first:]
                self._names.append((first, array("I", map(self._words.__getitem__, starts)).tobytes()))

    def _walk_to(self, end: int) -> int:
        """Note the types up to a place, in words; returns where the last of them ends."""
        words, steps, length = self._words, STEPS, len(self._words)
        append, at = self._starts.append, self._walked
        try:
            while at < end:
                append(at)
                at += steps[words[at + 1]]
        except IndexError:
            at = length + 1
        if at > length:
            raise Unreadable("{}: the last type is cut short".format(self.name))
        return at

    def string(self, offset: int) -> str:
        """Read the string at an offset, of this image or of what it continues; empty where there is none."""
        if self.base is not None and offset < self._strings_from:
            return self.base.string(offset)
        start = offset - self._strings_from
        if not 0 <= start < self._strings_length:
            return ""
        start += self._strings_at
        end = self._data.find(b"\0", start, self._strings_at + self._strings_length)
        return self._data[start : end if end >= 0 else start].decode("utf-8", "replace")

    def string_offset(self, name: str) -> Optional[int]:
        """Where a string is written, in this image or in what it continues; None where it is in neither."""
        wanted = name.encode("utf-8") + b"\0"
        if self.base is not None:
            continued = self.base.string_offset(name)
            if continued is not None:
                return continued
            if self._data.startswith(wanted, self._strings_at):
                return self._strings_from
        begin = self._strings_at
        found = self._data.find(b"\0" + wanted, begin, begin + self._strings_length)
        return self._strings_from + found - begin + 1 if found >= 0 else None

    def find(self, name: str, kinds: FrozenSet[int]) -> List[int]:
        """
        Find the numbers of types of that name and of one of these kinds, in this image alone.

        An image that is walked as it is asked is not walked on, once some are found.
        """
        key = (name, kinds)
        if key not in self._found:
            self._found[key] = self._search(name, kinds)
        return list(self._found[key])

    def _search(self, name: str, kinds: FrozenSet[int]) -> List[int]:
        offset = self.string_offset(name)
        if offset is None or not name:
            return []
        wanted = struct.pack("<I", offset)
        for first, names in self._pieces():
            at = names.find(wanted)
            found = []
            while at >= 0:
                number = self._first + first + at // _WORD
                if at % _WORD == 0 and self.kind(number) in kinds:
                    found.append(number)
                at = names.find(wanted, at + 1)
            if found:
                return found
        return []

    def _pieces(self) -> Iterator[Tuple[int, bytes]]:
        """Tell names of all types, piece by piece, each with the index of its first type."""
        at = 0
        while True:
            with self._walking:
                if at == len(self._names):
                    self._walk(_PIECE)
                if at == len(self._names):
                    return
                piece = self._names[at]
            yield piece
            at += 1

    def kind(self, number: int) -> int:
        """The kind of a type; 0 for void."""
        if number == 0:
            return 0
        image, at = self._place(number)
        return image._words[at + 1] >> 24 & 31  # noqa: SLF001  the same class

    def _place(self, number: int) -> "tuple[Btf, int]":
        if self.base is not None and number < self._first:
            return self.base._place(number)  # noqa: SLF001  the same class
        index = number - self._first
        while index >= len(self._starts) and self._walked < len(self._words):
            self._walk(_PIECE)
        if not 0 <= index < len(self._starts):
            raise Unreadable("{}: there is no type {}".format(self.name, number))
        return self, self._starts[index]

    def type(self, number: int) -> Type:
        """Read one type; number 0 is void."""
        if number == 0:
            return Type(0, "void", 0, 0, flag=False, refers=0)
        image, at = self._place(number)
        offset, information, refers = image._words[at : at + 3]  # noqa: SLF001  the same class
        return Type(
            number,
            self.string(offset),
            information >> 24 & 31,
            information & 0xFFFF,
            flag=bool(information >> 31),
            refers=refers,
        )

    def plain(self, number: int) -> Type:
        """Read a type through what only names or qualifies it: typedef, const, volatile, restrict, tags."""
        for _ in range(_DEEPEST):
            if self.kind(number) not in SEE_THROUGH:
                return self.type(number)
            number = self.type(number).refers
        raise Unreadable("{}: type {} refers to itself".format(self.name, number))

    def _rows(self, each: Type, width: int) -> Iterator[Tuple[int, ...]]:
        image, at = self._place(each.id)
        first = at + FIXED[each.kind]
        for row in range(first, first + width * each.length, width):
            yield tuple(image._words[row : row + width])  # noqa: SLF001  the same class

    def members(self, number: int) -> List[Member]:
        """List the members of a struct or union, in order."""
        if number not in self._members:
            self._members[number] = self._read_members(self.type(number))
        return self._members[number]

    def _read_members(self, each: Type) -> List[Member]:
        if each.kind not in COMPOSITE:
            return []
        mask, shift = (0xFFFFFF, 24) if each.flag else (0xFFFFFFFF, 32)
        return [
            Member(self.string(name), kind, bits & mask, bits >> shift)
            for name, kind, bits in self._rows(each, 3)
        ]

    def parameters(self, number: int) -> List[Parameter]:
        """List the parameters of a function, or of its prototype, in order."""
        each = self.type(number)
        if each.kind == FUNC:
            each = self.type(each.refers)
        if each.kind != FUNC_PROTO:
            return []
        return [Parameter(self.string(name), kind) for name, kind in self._rows(each, 2)]

    def enumerators(self, number: int) -> Dict[str, int]:
        """List the names of an enum with their values, in order."""
        each = self.type(number)
        if each.kind == ENUM:
            pairs = [(name, value, 32) for name, value in self._rows(each, 2)]
        elif each.kind == ENUM64:
            pairs = [(name, low | high << 32, 64) for name, low, high in self._rows(each, 3)]
        else:
            return {}
        return {
            self.string(name): value - (1 << bits) if each.flag and value >> (bits - 1) else value
            for name, value, bits in pairs
        }

    def array(self, number: int) -> Optional[Array]:
        """What an array is made of; None for a type that is none."""
        if self.kind(number) != ARRAY:
            return None
        image, at = self._place(number)
        return Array(image._words[at + 3], image._words[at + 5])  # noqa: SLF001  the same class

    def placements(self, number: int) -> List[Placement]:
        """List the variables of a section."""
        each = self.type(number)
        return [Placement(*row) for row in self._rows(each, 3)] if each.kind == DATASEC else []

    def placed(self, sizes: Dict[str, int], offsets: Dict[str, int]) -> bytes:
        """
        The bytes of the image with the lengths of sections and the places of variables filled in.

        :param sizes: bytes of each section, by its name.
        :param offsets: where each variable is in its section, by its name.
        """
        words = array("I", self._words)
        for at in self._starts:
            if words[at + 1] >> 24 & 31 != DATASEC:
                continue
            words[at + 2] = sizes.get(self.string(words[at]), 0)
            rows = []
            for row in range(at + 3, at + 3 + 3 * (words[at + 1] & 0xFFFF), 3):
                variable = self.type(words[row])
                rows.append((offsets.get(variable.name, words[row + 1]), words[row], words[row + 2]))
            for index, (offset, number, size) in enumerate(sorted(rows)):
                words[at + 3 + 3 * index : at + 6 + 3 * index] = array("I", [number, offset, size])
        raw = words.tobytes()
        strings = self._data[self._strings_at : self._strings_at + self._strings_length]
        return _HEADER.pack(_MAGIC, 1, 0, _HEADER.size, 0, len(raw), len(raw), len(strings)) + raw + strings

    def signed(self, number: int) -> bool:
        """Whether an integer or enum is signed."""
        each = self.plain(number)
        if each.kind == INT:
            image, at = self._place(each.id)
            return bool(image._words[at + 3] >> 24 & 1)  # noqa: SLF001  the same class
        return each.kind in ENUMS and each.flag

    def size(self, number: int) -> Optional[int]:
        """How many bytes a value of the type takes; None for what has no size: void, a function."""
        times = 1
        for _ in range(_DEEPEST):
            each = self.plain(number)
            if each.kind == ARRAY:
                image, at = self._place(each.id)
                number, times = image._words[at + 3], times * image._words[at + 5]  # noqa: SLF001  the same class
            elif each.kind == POINTER:
                return times * _POINTER_SIZE
            elif each.kind in COMPOSITE or each.kind in ENUMS or each.kind in {INT, FLOAT}:
                return times * each.refers
            else:
                return None
        return None

    def spelled(self, number: int) -> str:
        """Spell a type shortly, as C would: ``sk_buff *``, ``unsigned int``."""
        stars = ""
        for _ in range(_DEEPEST):
            each = self.type(number)
            if each.kind == POINTER:
                stars += "*"
            elif each.kind not in SEE_THROUGH or each.kind == TYPEDEF:
                return " ".join(part for part in (each.name or "?", stars) if part)
            number = each.refers
        return "?"
