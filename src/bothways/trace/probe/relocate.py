"""
Where a field is on the running kernel: relocations of an object, resolved against the kernel's own types.

A compiler that is told ``preserve_access_index`` writes down, for each access, the type and the path to the
field as the object knew it. The rules by which a field of the running kernel is taken for the same one are
those that libbpf and the kernel share (``tools/lib/bpf/relo_core.c``), restated: same name of the type up to
a suffix ``___…``, same names of the members through anonymous structs and unions, kinds that fit. Nothing is
asked of the kernel, so a kernel too old for it does as well.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from bothways.trace.probe.btf import Btf, Type
from bothways.trace.probe.btf_kinds import (
    ARRAY,
    COMPOSITE,
    ENUMS,
    FLOAT,
    FUNC,
    FUNC_PROTO,
    FWD,
    INT,
    POINTER,
    TYPEDEF,
)
from bothways.trace.probe.elf import Malformed
from bothways.trace.probe.extension import FieldRelocation
from bothways.trace.probe.kernel import Found, Kernel

__all__ = ["Missing", "Relocator", "Value", "essential"]

# Kinds of relocation, uapi/linux/bpf.h, enum bpf_core_relo_kind.
BYTE_OFFSET = 0
BYTE_SIZE = 1
FIELD_EXISTS = 2
SIGNED = 3
LEFT_SHIFT = 4
RIGHT_SHIFT = 5
TYPE_LOCAL = 6
TYPE_TARGET = 7
TYPE_EXISTS = 8
TYPE_SIZE = 9
VALUE_EXISTS = 10
VALUE = 11
TYPE_MATCHES = 12
_OF_FIELDS = frozenset(range(BYTE_OFFSET, RIGHT_SHIFT + 1))
_OF_TYPES = frozenset({TYPE_LOCAL, TYPE_TARGET, TYPE_EXISTS, TYPE_SIZE, TYPE_MATCHES})
_ASK_WHETHER = frozenset({FIELD_EXISTS, TYPE_EXISTS, VALUE_EXISTS, TYPE_MATCHES})

_SUFFIXED = re.compile(r"(.*[^_])___[^_]")
_MANY_BITS = 64
_DEEPEST = 32


class Missing(Exception):  # noqa: N818  an answer, and no error: code that asks first is never run
    """The running kernel has no such field, type or value."""


class _Step(NamedTuple):
    """One step from a type to a field: into a member (by name) or an element (by number)."""

    name: str
    element: int
    type: int


class _Place(NamedTuple):
    """Where a field is in a type, and what it is."""

    bit_offset: int
    type: int
    bit_size: int


class Value(NamedTuple):
    """
    What goes into an instruction.

    ``width`` is how many bytes the field has on this kernel, where it had another number in the object; 0
    where it had the same. A load may then be changed to it, if ``adaptable``: a signed number would lose its
    sign.
    """

    number: int
    width: int = 0
    adaptable: bool = False


def essential(name: str) -> str:
    """Cut a suffix such as ``___old`` off, by which an object names another shape of the same type."""
    found = _SUFFIXED.match(name)
    return found.group(1) if found else name


class Relocator:
    """
    Resolves relocations of one object on one kernel; answers are kept, as one field is read in many places.

    :param local: the types of the object.
    """

    def __init__(self, local: Btf, kernel: Kernel) -> None:
        self._local = local
        self._kernel = kernel
        self._candidates: Dict[int, List[Found]] = {}
        self._known: Dict[Tuple[int, str, int], Optional[Value]] = {}

    def value(self, relocation: FieldRelocation) -> Value:
        """
        Resolve one relocation.

        :raises Missing: where the kernel has not what the instruction needs.
        :raises Malformed: for a relocation that no compiler writes.
        """
        key = relocation[1:]
        if key not in self._known:
            self._known[key] = self._resolve(relocation)
        known = self._known[key]
        if known is None:
            raise Missing(self.spelled(relocation))
        return known

    def spelled(self, relocation: FieldRelocation) -> str:
        """Spell what a relocation is about, as C would: ``sk_buff.network_header``."""
        root = self._local.type(relocation.type)
        name = essential(root.name) or "?"
        if relocation.kind in _OF_TYPES:
            return name
        if relocation.kind not in _OF_FIELDS:
            return "{}.{}".format(name, self._enumerator(relocation)[0])
        path = [step.name or "[{}]".format(step.element) for step in self._steps(relocation)[1:]]
        return ".".join([name] + [part for part in path if part]).replace(".[", "[")

    def _resolve(self, relocation: FieldRelocation) -> Optional[Value]:
        kind = relocation.kind
        if kind == TYPE_LOCAL:
            return Value(relocation.type)
        if kind in _OF_FIELDS:
            answers = [self._field(relocation, each) for each in self._targets(relocation.type)]
        elif kind in _OF_TYPES:
            answers = [self._type(relocation, each) for each in self._targets(relocation.type)]
        elif kind in {VALUE, VALUE_EXISTS}:
            answers = [self._value(relocation, each) for each in self._targets(relocation.type)]
        else:
            raise Malformed("a relocation of kind {}, which is not known".format(kind))
        found = {answer for answer in answers if answer is not None}
        if kind in _ASK_WHETHER:
            return Value(int(Value(1) in found))
        # Two types of one name that differ: neither is known to be the one.
        return found.pop() if len(found) == 1 else None

    def _targets(self, number: int) -> List[Found]:
        """Types of the kernel that may be the object's type: of the same name and kind."""
        if number not in self._candidates:
            local = self._local.type(number)
            kinds = ENUMS if local.kind in ENUMS else frozenset({local.kind})
            name = essential(local.name)
            self._candidates[number] = self._kernel.find(name, kinds) if name else []
        return self._candidates[number]

    # Fields

    def _steps(self, relocation: FieldRelocation) -> List[_Step]:
        """Read the path of a relocation (``0:3:1``) in the object; the first number indexes the root."""
        try:
            numbers = [int(part) for part in relocation.access.split(":")]
        except ValueError as error:
            raise Malformed("a relocation with the path {!r}".format(relocation.access)) from error
        steps = [_Step("", numbers[0], relocation.type)]
        at = relocation.type
        for number in numbers[1:]:
            each = self._local.plain(at)
            inside = self._local.array(each.id)
            if each.kind in COMPOSITE and number < each.length:
                member = self._local.members(each.id)[number]
                at = member.type
                # An anonymous member is only passed through: the kernel may have it elsewhere, or not at all.
                if member.name:
                    steps.append(_Step(member.name, 0, member.type))
            elif inside is not None:
                at = inside.type
                steps.append(_Step("", number, at))
            else:
                raise Malformed("a relocation with the path {} into {}".format(relocation.access, each.name))
        return steps

    def _local_place(self, relocation: FieldRelocation) -> _Place:
        place = self._follow(self._local, relocation.type, self._steps(relocation))
        if place is None:
            raise Malformed("a relocation with the path {}, which leads nowhere".format(relocation.access))
        return place

    def _follow(self, image: Btf, root: int, steps: List[_Step]) -> Optional[_Place]:
        """Go the steps in the types of *image*; None where one is not there, or leads to another kind."""
        place = _Place(0, root, 0)
        for position, step in enumerate(steps):
            if step.name:
                found = self._member(image, image.plain(place.type), step, 0)
                if found is None:
                    return None
                place = _Place(place.bit_offset + found.bit_offset, found.type, found.bit_size)
                continue
            if position:
                each = image.plain(place.type)
                inside = image.array(each.id)
                # An array of length 0 ends its struct, and is as long as memory says.
                if inside is None or (inside.length and step.element >= inside.length):
                    return None
                place = _Place(place.bit_offset, inside.type, 0)
            if step.element:
                size = image.size(place.type)
                if size is None:
                    return None
                place = _Place(place.bit_offset + step.element * size * 8, place.type, 0)
        return place

    def _member(self, image: Btf, each: Type, step: _Step, depth: int) -> Optional[_Place]:
        if each.kind not in COMPOSITE or depth > _DEEPEST:
            return None
        for member in image.members(each.id):
            if member.name == step.name:
                if not self._fields_fit(image, member.type, step.type):
                    return None
                return _Place(member.bit_offset, member.type, member.bit_size)
            if not member.name:
                inner = self._member(image, image.plain(member.type), step, depth + 1)
                if inner is not None:
                    return _Place(member.bit_offset + inner.bit_offset, inner.type, inner.bit_size)
        return None

    def _fields_fit(self, image: Btf, target: int, local: int) -> bool:
        """Whether a member's type on the kernel may be read as the object reads it; widths may differ."""
        for _ in range(_DEEPEST):
            theirs, ours = image.plain(target), self._local.plain(local)
            if theirs.kind in COMPOSITE and ours.kind in COMPOSITE:
                return True
            if theirs.kind in ENUMS and ours.kind in ENUMS:
                return _same_name(theirs, ours)
            if theirs.kind != ours.kind:
                return False
            if theirs.kind in {POINTER, FLOAT, INT}:
                return True
            if theirs.kind == FWD:
                return _same_name(theirs, ours)
            inside, within = image.array(theirs.id), self._local.array(ours.id)
            if inside is None or within is None:
                return False
            target, local = inside.type, within.type
        return False

    def _field(self, relocation: FieldRelocation, target: Found) -> Optional[Value]:
        place = self._follow(target.image, target.type, self._steps(relocation))
        if relocation.kind == FIELD_EXISTS:
            return Value(int(place is not None))
        if place is None:
            return None
        width = target.image.size(place.type) or 0
        bits = place.bit_size or width * 8
        offset = _byte_offset(place, width)
        if offset is None:
            return None
        start, width = offset
        if relocation.kind == BYTE_OFFSET:
            return self._offset(relocation, target, place, start, width)
        if relocation.kind == BYTE_SIZE:
            return Value(width)
        if relocation.kind == SIGNED:
            return Value(int(target.image.signed(place.type)))
        left = _MANY_BITS - (bits + place.bit_offset - start * 8)
        return Value(left if relocation.kind == LEFT_SHIFT else _MANY_BITS - bits)

    def _offset(
        self, relocation: FieldRelocation, target: Found, place: _Place, start: int, width: int
    ) -> Value:
        """Where the field is, and whether a load of it has to change its width."""
        local = self._local_place(relocation)
        if place.bit_size or local.bit_size or self._local.size(local.type) == width:
            return Value(start)
        theirs, ours = target.image.plain(place.type), self._local.plain(local.type)
        numbers = theirs.kind in ENUMS | {INT} and ours.kind in ENUMS | {INT}
        unsigned = numbers and not target.image.signed(place.type) and not self._local.signed(local.type)
        return Value(start, width, unsigned or theirs.kind == ours.kind == POINTER)

    # Types and values

    def _type(self, relocation: FieldRelocation, target: Found) -> Optional[Value]:
        if relocation.kind == TYPE_MATCHES:
            raise Malformed("a relocation that asks whether a type matches; ask whether its fields exist")
        if not self._types_fit(target.image, target.type, relocation.type, 0):
            return None
        if relocation.kind == TYPE_EXISTS:
            return Value(1)
        if relocation.kind == TYPE_SIZE:
            size = target.image.size(target.type)
            return None if size is None else Value(size)
        return Value(target.type)

    def _types_fit(self, image: Btf, target: int, local: int, depth: int) -> bool:
        """Whether a type of the kernel is of the object's kind; names count at the root alone."""
        theirs, ours = image.plain(target), self._local.plain(local)
        if theirs.kind in ENUMS and ours.kind in ENUMS:
            return True
        if theirs.kind != ours.kind or depth > _DEEPEST:
            return False
        if theirs.kind in {POINTER, FUNC}:
            return self._types_fit(image, theirs.refers, ours.refers, depth + 1)
        if theirs.kind == ARRAY:
            inside, within = image.array(theirs.id), self._local.array(ours.id)
            return bool(inside and within and self._types_fit(image, inside.type, within.type, depth + 1))
        if theirs.kind == FUNC_PROTO:
            given, taken = image.parameters(theirs.id), self._local.parameters(ours.id)
            pairs = [(theirs.refers, ours.refers)] + [(a.type, b.type) for a, b in zip(given, taken)]
            return len(given) == len(taken) and all(self._types_fit(image, a, b, depth + 1) for a, b in pairs)
        return theirs.kind in COMPOSITE | {FWD, INT, FLOAT, TYPEDEF, 0}

    def _enumerator(self, relocation: FieldRelocation) -> Tuple[str, int]:
        names = list(self._local.enumerators(self._local.plain(relocation.type).id).items())
        if not relocation.access.isdigit() or int(relocation.access) >= len(names):
            raise Malformed("a relocation of the value {!r} of an enum".format(relocation.access))
        return names[int(relocation.access)]

    def _value(self, relocation: FieldRelocation, target: Found) -> Optional[Value]:
        wanted = essential(self._enumerator(relocation)[0])
        for name, value in target.image.enumerators(target.image.plain(target.type).id).items():
            if essential(name) == wanted:
                return Value(1 if relocation.kind == VALUE_EXISTS else value)
        return Value(0) if relocation.kind == VALUE_EXISTS else None


def _same_name(theirs: Type, ours: Type) -> bool:
    """Whether two types have the same name; one that has none fits any."""
    return not theirs.name or not ours.name or essential(theirs.name) == essential(ours.name)


def _byte_offset(place: _Place, width: int) -> Optional[Tuple[int, int]]:
    """Where a load of the field starts and how wide it is, bytes: wider than its type for some bit fields."""
    if not place.bit_size:
        return place.bit_offset // 8, width
    if not width:
        return None
    start = place.bit_offset // 8 // width * width
    while place.bit_offset + place.bit_size - start * 8 > width * 8:
        if width >= _MANY_BITS // 8:
            return None
        width *= 2
        start = place.bit_offset // 8 // width * width
    return start, width
