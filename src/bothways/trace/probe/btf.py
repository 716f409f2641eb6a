"""
Types of the kernel, a module or an object, as BTF describes them (kernel: ``Documentation/bpf/btf.rst``).

An image of a kernel has some 130,000 types. It is walked once, for the place of each type and no more; a
name is found by searching the bytes of the strings and then of the name offsets, which costs less than a
table of all names.
"""

import struct
from array import array
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional

__all__ = [
    "ARRAY",
    "COMPOSITE",
    "CONST",
    "DATASEC",
    "ENUM",
    "ENUM64",
    "ENUMS",
    "FLOAT",
    "FUNC",
    "FUNC_PROTO",
    "FWD",
    "INT",
    "POINTER",
    "STRUCT",
    "TYPEDEF",
    "UNION",
    "VAR",
    "Array",
    "Btf",
    "Member",
    "Parameter",
    "Placement",
    "Type",
    "Unreadable",
]

# Kinds, uapi/linux/btf.h.
INT = 1
POINTER = 2
ARRAY = 3
STRUCT = 4
UNION = 5
ENUM = 6
FWD = 7
TYPEDEF = 8
VOLATILE = 9
CONST = 10
RESTRICT = 11
FUNC = 12
FUNC_PROTO = 13
VAR = 14
DATASEC = 15
FLOAT = 16
DECL_TAG = 17
TYPE_TAG = 18
ENUM64 = 19
COMPOSITE = frozenset({STRUCT, UNION})
ENUMS = frozenset({ENUM, ENUM64})
_SEE_THROUGH = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_POINTER_SIZE = 8
_WORD = 4
_DEEPEST = 64  # a chain of typedefs or arrays that is longer goes in a circle

#: words of a type: always, and for each of its members
_FIXED = [3] * 32
_EACH = [0] * 32
for _kind, _words in ((INT, 1), (VAR, 1), (DECL_TAG, 1), (ARRAY, 3)):
    _FIXED[_kind] += _words
for _kind, _words in ((STRUCT, 3), (UNION, 3), (ENUM, 2), (FUNC_PROTO, 2), (DATASEC, 3), (ENUM64, 3)):
    _EACH[_kind] = _words


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
    :raises Unreadable: for bytes that are no BTF of this machine's order.
    """

    def __init__(self, data: bytes, base: Optional["Btf"] = None, name: str = "vmlinux") -> None:
        self.name = name
        self.base = base
        try:
            magic, _, _, header, types, types_length, strings, strings_length = _HEADER.unpack_from(data)
        except struct.error as error:
            raise Unreadable("{}: too short for BTF".format(name)) from error
        if magic != _MAGIC:
            raise Unreadable("{}: not BTF in little-endian order".format(name))
        self._strings = data[header + strings : header + strings + strings_length]
        raw = data[header + types : header + types + types_length]
        if len(raw) != types_length or len(self._strings) != strings_length or types_length % _WORD:
            raise Unreadable("{}: the types run beyond the end of the BTF".format(name))
        self._words = array("I")
        self._words.frombytes(raw)
        self._first = base.count if base else 1
        self._strings_from = base.strings_end if base else 0
        self._starts = self._walk()
        self._names = array("I", map(self._words.__getitem__, self._starts)).tobytes()
        self._found: Dict[str, List[int]] = {}
        self._members: Dict[int, List[Member]] = {}

    @property
    def count(self) -> int:
        """The first type number that is not taken, by the image or by what it continues."""
        return self._first + len(self._starts)

    @property
    def strings_end(self) -> int:
        """The first string offset that is not taken, by the image or by what it continues."""
        return self._strings_from + len(self._strings)

    def _walk(self) -> List[int]:
        """Where each type starts, in words."""
        words, fixed, each = self._words, _FIXED, _EACH
        starts: List[int] = []
        append = starts.append
        at, end = 0, len(words)
        try:
            while at < end:
                append(at)
                information = words[at + 1]
                kind = information >> 24 & 31
                at += fixed[kind] + each[kind] * (information & 0xFFFF)
        except IndexError:
            at = -1
        if at != end:
            raise Unreadable("{}: the last type is cut short".format(self.name))
        return starts

    def string(self, offset: int) -> str:
        """Read the string at an offset, of this image or of what it continues; empty where there is none."""
        if self.base is not None and offset < self._strings_from:
            return self.base.string(offset)
        start = offset - self._strings_from
        end = self._strings.find(b"\0", start)
        return self._strings[start:end].decode("utf-8", "replace")

    def string_offset(self, name: str) -> Optional[int]:
        """Where a string is written, in this image or in what it continues; None where it is in neither."""
        wanted = name.encode("utf-8") + b"\0"
        if self.base is None:
            found = self._strings.find(b"\0" + wanted)
            return found + 1 if found >= 0 else None
        continued = self.base.string_offset(name)
        if continued is not None:
            return continued
        if self._strings.startswith(wanted):
            return self._strings_from
        found = self._strings.find(b"\0" + wanted)
        return self._strings_from + found + 1 if found >= 0 else None

    def find(self, name: str, kinds: FrozenSet[int]) -> List[int]:
        """The numbers of all types of that name and of one of these kinds, in this image alone."""
        if name not in self._found:
            self._found[name] = list(self._search(name))
        return [number for number in self._found[name] if self.kind(number) in kinds]

    def _search(self, name: str) -> Iterator[int]:
        offset = self.string_offset(name)
        if offset is None or not name:
            return
        wanted = struct.pack("<I", offset)
        at = self._names.find(wanted)
        while at >= 0:
            if at % _WORD == 0:
                yield self._first + at // _WORD
            at = self._names.find(wanted, at + 1)

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
            if self.kind(number) not in _SEE_THROUGH:
                return self.type(number)
            number = self.type(number).refers
        raise Unreadable("{}: type {} refers to itself".format(self.name, number))

    def _rows(self, each: Type, width: int) -> Iterator["array[int]"]:
        image, at = self._place(each.id)
        first = at + _FIXED[each.kind]
        for row in range(first, first + width * each.length, width):
            yield image._words[row : row + width]  # noqa: SLF001  the same class

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
        words = self._words[:]
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
        head = _HEADER.pack(_MAGIC, 1, 0, _HEADER.size, 0, len(raw), len(raw), len(self._strings))
        return head + raw + self._strings

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
            elif each.kind not in _SEE_THROUGH or each.kind == TYPEDEF:
                return " ".join(part for part in (each.name or "?", stars) if part)
            number = each.refers
        return "?"
