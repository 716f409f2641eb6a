"""
An object of BPF programs, brought into the running kernel: maps, programs, attachments.

All that it makes are descriptors of this process: nothing is pinned, so the kernel takes everything away
when the process ends, however it ends.
"""

import errno
import os
import struct
import threading
from typing import Any, Dict, List, NamedTuple, Optional

from bothways.trace.probe.attach import Link, attach_kprobe, attach_tracepoint, attach_tracing
from bothways.trace.probe.btf import Btf
from bothways.trace.probe.btf_kinds import COMPOSITE, DATASEC, POINTER
from bothways.trace.probe.elf import Elf, Malformed, Symbol
from bothways.trace.probe.extension import Extension
from bothways.trace.probe.images import image_descriptor, load_types
from bothways.trace.probe.instructions import Linked, Linker, Reference, with_constants
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.maps import ARRAY_MAP, READ_ONLY, RING, Map, Shape
from bothways.trace.probe.privileges import unlock_memory
from bothways.trace.probe.program import (
    KPROBE,
    RAW_TRACEPOINT,
    TRACING,
    Loading,
    Refused,
    Target,
    load_program,
    refusal,
)
from bothways.trace.probe.relocate import Relocator
from bothways.trace.probe.variables import Variables

__all__ = ["Object", "Program"]

# Attach types, uapi/linux/bpf.h, enum bpf_attach_type.
_ATTACH = {"tp_btf": 23, "fentry": 24, "fexit": 25}
_TYPES = {
    "raw_tp": RAW_TRACEPOINT,
    "raw_tracepoint": RAW_TRACEPOINT,
    "kprobe": KPROBE,
    "kretprobe": KPROBE,
    "tp_btf": TRACING,
    "fentry": TRACING,
    "fexit": TRACING,
}
_DECLARED = ".maps"


class Program(NamedTuple):
    """One program of an object: its name, and what its section says it is for (``fentry/ip_rcv``)."""

    name: str
    kind: str
    target: str
    symbol: Symbol


class Object:
    """
    One object file and what was made of it.

    First variables are set and maps resized, then :meth:`create` makes the maps, then programs are loaded
    and attached.

    :raises Malformed: for an object that cannot be read.
    """

    def __init__(self, data: bytes, kernel: Kernel) -> None:
        self.kernel = kernel
        self._elf = Elf(data)
        self._types = Btf(self._elf.contents(".BTF"), name="object")
        self._extension = Extension(self._elf.contents(".BTF.ext"), self._types.string)
        self._license = self._elf.contents("license")
        self._linker = Linker(self._elf, self._extension, Relocator(self._types, kernel), self._refer)
        self._variables = Variables(self._elf, self._types)
        self.programs = self._read_programs()
        self._shapes = self._read_maps()
        self.maps: Dict[str, Map] = {}
        self._linked: Dict[str, Linked] = {}
        self._types_descriptor: Optional[int] = None
        self._preparing = threading.Lock()  # several threads load programs
        self.links: List[Link] = []

    def _read_programs(self) -> Dict[str, Program]:
        found = {}
        for symbol in self._elf.symbols:
            if symbol.function and symbol.section < len(self._elf.sections):
                kind, _, target = self._elf.sections[symbol.section].name.partition("/")
                if kind in _TYPES:
                    found[symbol.name] = Program(symbol.name, kind, target, symbol)
        return found

    def _read_maps(self) -> Dict[str, Shape]:
        """Read the maps that the object declares: structs that tell by their members' types."""
        shapes = {}
        for section in self._types.find(_DECLARED, frozenset({DATASEC})):
            for placement in self._types.placements(section):
                variable = self._types.type(placement.type)
                each = self._types.plain(variable.refers)
                if each.kind in COMPOSITE:
                    shapes[variable.name] = self._read_map(variable.name, each.id)
        return shapes

    def _read_map(self, name: str, declaration: int) -> Shape:
        types = self._types
        said: Dict[str, int] = {}
        for member in types.members(declaration):
            pointer = types.plain(member.type)
            inside = types.array(types.plain(pointer.refers).id) if pointer.kind == POINTER else None
            if member.name in {"key", "value"}:
                said[member.name + "_size"] = types.size(pointer.refers) or 0
            elif inside is not None:
                said[member.name] = inside.length  # a number is told as the length of an array
        unknown = set(said) - {"type", "key_size", "value_size", "max_entries", "map_flags"}
        if unknown or "type" not in said:
            raise Malformed(
                "the map {} is declared with {}".format(name, ", ".join(sorted(unknown)) or "no type")
            )
        return Shape(
            name,
            said["type"],
            said.get("key_size", 0),
            said.get("value_size", 0),
            said.get("max_entries", 0),
            said.get("map_flags", 0),
        )

    # Before create()

    def configure(self, variable: str, value: Any) -> None:
        """
        Set a variable by the names of its members; see :meth:`Variables.set`.

        :raises Malformed: for a name that the object does not have, or a value that does not fit.
        """
        self._variables.set(variable, value)

    def has_variable(self, variable: str) -> bool:
        """Whether the object has a variable of that name."""
        return variable in self._variables.names()

    def resize(self, name: str, entries: int) -> None:
        """Set how many entries a map has room for; bytes for a ring, a power of two and whole pages."""
        self._shapes[name] = self._shapes[name]._replace(entries=entries)

    def create(self) -> None:
        """
        Make the maps, those of the variables among them.

        :raises Refused: where the kernel does not take one.
        """
        unlock_memory()
        for shape in self._shapes.values():
            self.maps[shape.name] = self._create(shape)
        for section, data in self._variables.sections.items():
            constant = section.startswith(".rodata")
            shape = Shape(section, ARRAY_MAP, 4, len(data), 1, READ_ONLY if constant else 0)
            made = self.maps[section] = self._create(shape)
            made.update(struct.pack("<I", 0), bytes(data))
            if constant:
                made.freeze()

    @staticmethod
    def _create(shape: Shape) -> Map:
        try:
            return Map(shape)
        except OSError as error:
            raise Refused(_why_no_map(shape, error), error.errno or 0) from error

    def _refer(self, symbol: Symbol) -> Reference:
        section = self._elf.sections[symbol.section].name
        name = symbol.name if section == _DECLARED else section
        if name not in self.maps:
            raise Malformed("{} is used, and is no map of the object".format(name))
        return Reference(self.maps[name].descriptor, value=section != _DECLARED)

    # Programs

    def attach(
        self, name: str, target: Optional[str] = None, constants: Optional[Dict[int, int]] = None
    ) -> Link:
        """
        Load a program and attach it.

        :param target: the function or tracepoint, where it is not the one of the program's section.
        :param constants: numbers of 64 bits that stand in the program, and what is put in their place.
        :raises Refused: where the kernel does not take it; the text says why.
        """
        program = self.programs[name]
        where = target or program.target
        descriptor = self.load(name, where, constants)
        try:
            if program.kind in {"kprobe", "kretprobe"}:
                link = attach_kprobe(descriptor, where, at_return=program.kind == "kretprobe")
            elif program.kind in _ATTACH:
                link = attach_tracing(descriptor)
            else:
                link = attach_tracepoint(descriptor, where)
        except OSError as error:
            os.close(descriptor)
            raise Refused(_why_not_attached(name, where, error), error.errno or 0) from error
        self.links.append(link)
        return link

    def load(
        self, name: str, target: Optional[str] = None, constants: Optional[Dict[int, int]] = None
    ) -> int:
        """
        Load a program; returns its descriptor. The parameters are those of :meth:`attach`.

        :raises Refused: where the kernel does not take it; the text says why.
        """
        program = self.programs[name]
        where = target or program.target
        with self._preparing:
            if name not in self._linked:
                self._linked[name] = self._linker.link(program.symbol)
        linked = self._linked[name]
        if constants:
            linked = linked._replace(instructions=with_constants(linked.instructions, constants))
        types, functions = 0, b""
        if len(linked.functions) > 1:
            types, functions = self._function_types(linked)
        return load_program(
            Loading(
                name,
                _TYPES[program.kind],
                linked.instructions,
                self._license,
                self._verified_against(program, where) if program.kind in _ATTACH else None,
                types,
                functions,
                linked.missing,
            )
        )

    def _function_types(self, linked: Linked) -> "tuple[int, bytes]":
        """Tell the kernel the types of a program's functions; needed where one is passed to a helper."""
        with self._preparing:
            if self._types_descriptor is None:
                self._types_descriptor = load_types(self._types, self._elf)
        if self._types_descriptor < 0:
            return 0, b""
        rows = [
            struct.pack("<II", start, record.type)
            for start, section, offset in linked.functions
            for record in self._extension.functions.get(section, ())
            if record.offset == offset
        ]
        return (self._types_descriptor, b"".join(rows)) if len(rows) == len(linked.functions) else (0, b"")

    def _verified_against(self, program: Program, where: str) -> Target:
        if program.kind == "tp_btf":
            place = self.kernel.tracepoint_place(where)
        else:
            place = self.kernel.function_place(where)
        if place is None:
            what = "tracepoint" if program.kind == "tp_btf" else "function"
            raise Refused("this kernel has no {} {}, or its module is not loaded".format(what, where), 0)
        image, number = place
        return Target(
            _ATTACH[program.kind], number, 0 if image is self.kernel.btf else image_descriptor(image.name)
        )

    def detach(self, link: Optional[Link] = None) -> None:
        """Detach one program, or all of them; maps stay."""
        for each in self.links if link is None else [link]:
            each.close()
        self.links = [] if link is None else [each for each in self.links if each is not link]

    def close(self) -> None:
        """Take everything out of the kernel."""
        self.detach()
        for each in self.maps.values():
            os.close(each.descriptor)
        self.maps.clear()
        if self._types_descriptor is not None and self._types_descriptor >= 0:
            os.close(self._types_descriptor)
        self._types_descriptor = None


def _why_no_map(shape: Shape, error: OSError) -> str:
    if error.errno == errno.EPERM:
        return "EPERM at BPF_MAP_CREATE: {}".format(refusal())
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    if shape.type == RING and error.errno == errno.EINVAL:
        wanted = "a ring needs a kernel from 5.8 on, and a size that is a power of two"
        return "EINVAL at BPF_MAP_CREATE of {}: {}".format(shape.name, wanted)
    return "{} at BPF_MAP_CREATE of {}, {} entries: {}".format(
        name, shape.name, shape.entries, error.strerror
    )


def _why_not_attached(name: str, where: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        if error.filename is not None:
            return "this kernel has no kprobes ({})".format(error.filename)
        return "this kernel has no {}, or its module is not loaded".format(where)
    if error.errno == errno.EPERM:
        return "EPERM at the attachment to {}: {}".format(where, refusal())
    code = errno.errorcode.get(error.errno or 0, str(error.errno))
    return "{} at the attachment of {} to {}: {}".format(code, name, where, error.strerror)
