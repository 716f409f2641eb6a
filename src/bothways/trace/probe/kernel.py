"""Types of the running kernel: its own BTF and that of its modules, each read when it is first asked for."""

import os
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from bothways.trace.probe.btf import Btf, Unreadable
from bothways.trace.probe.btf_kinds import ENUMS, FUNC, POINTER, TYPEDEF
from bothways.trace.probe.syscall import Unsupported

__all__ = ["Argument", "Found", "Kernel"]

_FOLDER = "/sys/kernel/btf"


class Argument(NamedTuple):
    """One argument of a function or tracepoint: its name (may be empty) and its type as C spells it."""

    name: str
    type: str


class Found(NamedTuple):
    """A type and the image that it is in."""

    image: Btf
    type: int


class Kernel:
    """
    What the running kernel and its modules are made of.

    :param vmlinux: the kernel's BTF; None reads that of the running kernel, at first use.
    :param modules: BTF of modules by name; None reads those of the running kernel, at first use.
    """

    def __init__(self, vmlinux: Optional[bytes] = None, modules: Optional[Dict[str, bytes]] = None) -> None:
        self._bytes = vmlinux
        self._modules = modules
        self._btf: Optional[Btf] = None
        self._images: Dict[str, Optional[Btf]] = {}
        self._read: Dict[str, bytes] = {}
        self._names: Optional[List[str]] = None

    @property
    def btf(self) -> Btf:
        """
        The types of the kernel itself.

        :raises Unsupported: where it shows none.
        """
        if self._btf is None:
            if self._bytes is None:
                self._bytes = _read("vmlinux")
            self._btf = Btf(self._bytes, at_once=False)
        return self._btf

    def module_names(self) -> List[str]:
        """Names of the modules that describe their types."""
        if self._names is None:
            try:
                listed = os.listdir(_FOLDER) if self._modules is None else list(self._modules)
            except OSError:
                listed = []
            self._names = sorted(name for name in listed if name != "vmlinux")
        return self._names

    def module(self, name: str) -> Optional[Btf]:
        """Read the types of a module; None where it is not loaded, or describes none."""
        if name not in self._images:
            data = self._module_bytes(name) if "/" not in name else b""
            try:
                self._images[name] = Btf(data, self.btf, name) if data else None
            except Unreadable:
                self._images[name] = None
        return self._images[name]

    def find(self, name: str, kinds: "frozenset[int]") -> List[Found]:
        """
        Find types by name: those of the kernel, and only where it has none those of modules.

        A kernel that knows a module's type by name alone has a forward declaration, which is of another kind.
        """
        own = [Found(self.btf, number) for number in self.btf.find(name, kinds)]
        if own:
            return own
        found: List[Found] = []
        for image in self._naming(name):
            found.extend(Found(image, number) for number in image.find(name, kinds))
        return found

    def _naming(self, name: str) -> Iterator[Btf]:
        """Those modules whose bytes can hold a name: there may be hundreds, and most need not be walked."""
        offset = self.btf.string_offset(name)  # a name that the kernel has as well is not written again
        wanted = b"\0" + name.encode("utf-8") + b"\0" if offset is None else struct.pack("<I", offset)
        for module in self.module_names():
            image = self.module(module) if wanted in self._module_bytes(module) else None
            if image is not None:
                yield image

    def _module_bytes(self, name: str) -> bytes:
        if self._modules is not None:
            return self._modules.get(name, b"")
        if name not in self._read:
            try:
                self._read[name] = _read(name)
            except Unsupported:  # unloaded meanwhile
                self._read[name] = b""
        return self._read[name]

    def enumerators(self, enum: str, module: Optional[str] = None) -> Optional[Dict[int, str]]:
        """
        Read the names of an enum's values; None where this kernel has no such enum.

        :param module: take the enum of this module.
        """
        image = self.btf if module is None else self.module(module)
        numbers = image.find(enum, ENUMS) if image is not None else []
        if image is None or (not numbers and module is not None):
            return None
        found = [Found(image, number) for number in numbers] or self.find(enum, ENUMS)
        if not found:
            return None
        return {value: name for name, value in found[0].image.enumerators(found[0].type).items()}

    def function(self, name: str) -> Optional[List[Argument]]:
        """List the arguments of a function; None where no image describes it."""
        for each in self.find(name, frozenset({FUNC})):
            return _arguments(each.image, each.type)
        return None

    def function_place(self, name: str) -> Optional[Tuple[Btf, int]]:
        """Where a function is described: the image and the number of its type."""
        for each in self.find(name, frozenset({FUNC})):
            return each.image, each.type
        return None

    def tracepoint(self, name: str, *, named: bool = True) -> Optional[List[Argument]]:
        """
        List the arguments of a tracepoint as a BPF program gets them; None where there is no such tracepoint.

        The typedef ``btf_trace_NAME`` has types alone, so names come from ``__traceiter_NAME`` where that is
        described.

        :param named: False does without the names, which takes less time: functions are described last.
        """
        place = self.tracepoint_place(name)
        if place is None:
            return None
        image, number = place
        prototype = image.plain(number)
        if prototype.kind == POINTER:
            prototype = image.plain(prototype.refers)
        arguments = _arguments(image, prototype.id)[1:]
        for iterator in image.find("__traceiter_" + name, frozenset({FUNC})) if named else ():
            with_names = _arguments(image, iterator)[1:]
            if [each.type for each in with_names] == [each.type for each in arguments]:
                return with_names
        return arguments

    def tracepoint_place(self, name: str) -> Optional[Tuple[Btf, int]]:
        """Where a tracepoint is described: the image and the number of its typedef."""
        for each in self.find("btf_trace_" + name, frozenset({TYPEDEF})):
            return each.image, each.type
        return None


def _arguments(image: Btf, number: int) -> List[Argument]:
    return [Argument(each.name, image.spelled(each.type)) for each in image.parameters(number)]


def _read(name: str) -> bytes:
    try:
        with open(os.path.join(_FOLDER, name), "rb") as file:
            return file.read()
    except OSError as error:
        if name != "vmlinux":
            raise Unsupported("{}: {}".format(name, error.strerror)) from error
        raise Unsupported(
            "the kernel does not describe its types: {}/{}: {}; it needs CONFIG_DEBUG_INFO_BTF".format(
                _FOLDER, name, error.strerror
            )
        ) from error
