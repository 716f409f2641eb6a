"""
A program as the kernel takes it: instructions of an object with maps, field offsets and functions put in.

Instruction format and the pseudo source registers: kernel
``Documentation/bpf/standardization/instruction-set.rst`` and ``uapi/linux/bpf.h``.
"""

import struct
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from bothways.trace.probe.elf import Elf, Malformed, Relocation, Symbol
from bothways.trace.probe.extension import Extension, FieldRelocation
from bothways.trace.probe.relocate import Missing, Relocator, Value

__all__ = ["Linked", "Linker", "Reference", "with_constants"]

_SIZE = 8
_EXECUTABLE = 4  # SHF_EXECINSTR
_INSTRUCTION = struct.Struct("<BBhi")
_WIDE_LOAD = 0x18
_CALL = 0x85
_OF_MAP, _OF_MAP_VALUE, _OF_FUNCTION = 1, 2, 4  # source registers of a wide load
_OF_PROGRAM = 1  # source register of a call of a function of the same program
_ARITHMETIC = frozenset({4, 7})  # classes BPF_ALU and BPF_ALU64
_LOAD_STORE = frozenset({1, 2, 3})  # classes BPF_LDX, BPF_ST and BPF_STX
_WIDTH_BITS = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}

#: a helper that no kernel has: the verifier stops there, if it gets there at all
_NO_HELPER = 0x0BAD2310


class Reference(NamedTuple):
    """What a wide load refers to: a map (no offset), or a place in a section of data, which is a map too."""

    descriptor: int
    value: bool


class _Where(NamedTuple):
    """Where a function stands: a section, and the offset in it."""

    section: str
    offset: int


class _Function(NamedTuple):
    """Its instructions, and where in them which function is called."""

    code: bytes
    calls: List[Tuple[int, _Where]]


class Linked(NamedTuple):
    """
    Instructions of one program and of the functions that it calls, appended.

    ``functions`` says where each starts (in instructions) and at which offset of which section it stood;
    ``missing`` what a call of a helper that does not exist stands for, by the helper's number.
    """

    instructions: bytearray
    functions: List[Tuple[int, str, int]]
    missing: Dict[int, str]


class Linker:
    """
    Puts programs of one object together.

    :param refer: what a symbol of a map or of data refers to.
    """

    def __init__(
        self, elf: Elf, extension: Extension, relocator: Relocator, refer: Callable[[Symbol], Reference]
    ) -> None:
        self._elf = elf
        self._extension = extension
        self._relocator = relocator
        self._refer = refer
        self._relocations = elf.relocations()
        self._functions = {
            _Where(elf.sections[symbol.section].name, symbol.value): symbol
            for symbol in elf.symbols
            if symbol.function and symbol.section < len(elf.sections)
        }
        self._built: Dict[_Where, _Function] = {}
        self._missing: Dict[int, str] = {}

    def link(self, symbol: Symbol) -> Linked:
        """
        Put one program together.

        :raises Malformed: for an object that no compiler writes, or that needs what is not built here.
        """
        instructions = bytearray()
        functions: List[Tuple[int, _Where]] = []
        placed: Dict[_Where, int] = {}
        wanted = [_Where(self._elf.sections[symbol.section].name, symbol.value)]
        calls: List[Tuple[int, _Where]] = []
        while wanted:
            where = wanted.pop(0)
            if where in placed:
                continue
            function = self._function(where)
            at = len(instructions)
            placed[where] = at // _SIZE
            functions.append((at // _SIZE, where))
            instructions.extend(function.code)
            for inside, callee in function.calls:
                calls.append((at + inside, callee))
                wanted.append(callee)
        for at, callee in calls:
            _set_immediate(instructions, at, _distance(at, placed[callee]))
        return Linked(instructions, [(start, *where) for start, where in functions], dict(self._missing))

    def _function(self, where: _Where) -> _Function:
        """Put one function together, but for its calls; many programs call the same ones."""
        if where not in self._built:
            self._built[where] = self._build(where)
        return self._built[where]

    def _build(self, where: _Where) -> _Function:
        section, start = where
        symbol = self._functions.get(where)
        if symbol is None:
            raise Malformed("a call of what is no function: {}+{:#x}".format(*where))
        end = start + symbol.size
        code = bytearray(self._elf.contents(section)[start:end])
        for record in self._extension.relocations.get(section, ()):
            if start <= record.offset < end:
                self._put_field(code, record.offset - start, record)
        calls: List[Tuple[int, _Where]] = []
        relocated = set()
        for relocation in self._relocations.get(self._elf.index(section), ()):
            if start <= relocation.offset < end:
                at = relocation.offset - start
                relocated.add(at)
                callee = self._put_symbol(code, at, relocation)
                if callee is not None:
                    calls.append((at, callee))
        for at in range(0, len(code), _SIZE):
            # Functions of one section call each other without a relocation.
            if code[at] == _CALL and code[at + 1] >> 4 == _OF_PROGRAM and at not in relocated:
                distance = _INSTRUCTION.unpack_from(code, at)[3]
                calls.append((at, _Where(section, start + at + (distance + 1) * _SIZE)))
        return _Function(bytes(code), calls)

    def _put_symbol(self, code: bytearray, at: int, relocation: Relocation) -> Optional[_Where]:
        """Put what a symbol stands for into an instruction; returns the function, where it is one."""
        operation, _, _, immediate = _INSTRUCTION.unpack_from(code, at)
        symbol = relocation.symbol
        if symbol.section == 0 or symbol.section >= len(self._elf.sections):
            raise Malformed(
                "{} is not in the object, and symbols of the kernel are not looked up".format(symbol.name)
            )
        section = self._elf.sections[symbol.section]
        if operation == _CALL:
            # A section's own symbol: the immediate says how far in, in instructions, less one.
            offset = symbol.value if symbol.function else symbol.value + (immediate + 1) * _SIZE
            return _Where(section.name, offset)
        if operation != _WIDE_LOAD:
            raise Malformed("a relocation of instruction {:#x}".format(operation))
        if section.flags & _EXECUTABLE:
            _set_source(code, at, _OF_FUNCTION)
            return _Where(section.name, symbol.value + (0 if symbol.function else immediate))
        reference = self._refer(symbol)
        _set_source(code, at, _OF_MAP_VALUE if reference.value else _OF_MAP)
        _set_immediate(code, at, reference.descriptor)
        if reference.value:
            _set_immediate(code, at + _SIZE, symbol.value + immediate)
        return None

    def _put_field(self, code: bytearray, at: int, record: FieldRelocation) -> None:
        try:
            _patch(code, at, self._relocator.value(record))
        except Missing:
            number = _NO_HELPER + len(self._missing)
            self._missing[number] = self._relocator.spelled(record)
            for place in [at, at + _SIZE] if code[at] == _WIDE_LOAD else [at]:
                _INSTRUCTION.pack_into(code, place, _CALL, 0, 0, number)


def with_constants(instructions: bytearray, constants: Dict[int, int]) -> bytearray:
    """
    Copy a program with other numbers where its source marks some: so one program serves many probes.

    :param constants: numbers of 64 bits, as they stand in the program, and what each becomes.
    """
    changed = bytearray(instructions)
    for old, new in constants.items():
        low, high = struct.pack("<I", old & 0xFFFFFFFF), struct.pack("<I", old >> 32)
        for at in range(0, len(changed) - _SIZE, _SIZE):
            plain = changed[at] == _WIDE_LOAD and changed[at + 1] >> 4 == 0
            if plain and changed[at + 4 : at + 8] == low and changed[at + 12 : at + 16] == high:
                struct.pack_into("<I", changed, at + 4, new & 0xFFFFFFFF)
                struct.pack_into("<I", changed, at + 12, new >> 32)
    return changed


def _distance(at: int, target: int) -> int:
    """How far a call, or the address of a function, goes: in instructions, counted from the next one."""
    return target - at // _SIZE - 1


def _set_source(code: bytearray, at: int, source: int) -> None:
    code[at + 1] = code[at + 1] & 15 | source << 4


def _set_immediate(code: bytearray, at: int, value: int) -> None:
    struct.pack_into("<i", code, at + 4, value)


def _patch(code: bytearray, at: int, value: Value) -> None:
    """
    Put a relocation's answer into one instruction.

    :raises Missing: where the field has a width on this kernel that the instruction cannot take.
    """
    operation, _, _, _ = _INSTRUCTION.unpack_from(code, at)
    if operation == _WIDE_LOAD:
        struct.pack_into("<I", code, at + 4, value.number & 0xFFFFFFFF)
        struct.pack_into("<I", code, at + _SIZE + 4, value.number >> 32 & 0xFFFFFFFF)
    elif operation & 7 in _ARITHMETIC:
        struct.pack_into("<I", code, at + 4, value.number & 0xFFFFFFFF)
    elif operation & 7 in _LOAD_STORE:
        if not -0x8000 <= value.number <= 0x7FFF:
            raise Missing
        struct.pack_into("<h", code, at + 2, value.number)
        if value.width:
            if not value.adaptable or value.width not in _WIDTH_BITS:
                raise Missing
            code[at] = operation & ~0x18 | _WIDTH_BITS[value.width]
    else:
        raise Malformed("a relocation of a field in instruction {:#x}".format(operation))
