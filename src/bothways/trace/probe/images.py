"""Types that the kernel holds for BPF: descriptors of a module's, and the object's own brought in."""

import ctypes
import os
import struct
import threading
from typing import Dict

from bothways.trace.probe.btf import Btf
from bothways.trace.probe.elf import Elf
from bothways.trace.probe.program import Refused
from bothways.trace.probe.syscall import (
    BTF_GET_FD_BY_ID,
    BTF_GET_NEXT_ID,
    BTF_LOAD,
    OBJ_GET_INFO_BY_FD,
    address,
    bpf,
)

__all__ = ["image_descriptor", "load_types"]

_INFORMATION = struct.Struct("<QIIQII")
_NAME_ROOM = 64
_known: Dict[str, int] = {}
_opening = threading.Lock()  # programs are loaded by several threads


def image_descriptor(module: str) -> int:
    """
    Open the types of a loaded module as the kernel holds them; once, and the descriptor stays open.

    :raises Refused: where the kernel does not hold them, or shows them to those with CAP_SYS_ADMIN alone.
    """
    with _opening:
        if module not in _known:
            _known[module] = _opened(module)
        return _known[module]


def _opened(module: str) -> int:
    number = 0
    while True:
        attribute = bytearray(struct.pack("<III", number, 0, 0))
        try:
            bpf(BTF_GET_NEXT_ID, attribute)
            _, number, _ = struct.unpack("<III", attribute)
            descriptor = bpf(BTF_GET_FD_BY_ID, struct.pack("<III", number, 0, 0))
        except FileNotFoundError:
            # Either the last number was reached, or what had it is gone.
            if struct.unpack("<III", attribute)[1] == 0:
                raise Refused("the kernel holds no types of the module {}".format(module), 2) from None
            continue
        except PermissionError as error:
            text = "functions of the module {} need CAP_SYS_ADMIN".format(module)
            raise Refused(text, error.errno or 0) from error
        if _name(descriptor) == module:
            return descriptor
        os.close(descriptor)


def _name(descriptor: int) -> str:
    """Read whose types a descriptor holds: ``vmlinux``, a module, or empty for a program's."""
    room = ctypes.create_string_buffer(_NAME_ROOM)
    answer = ctypes.create_string_buffer(
        _INFORMATION.pack(0, 0, 0, address(room), len(room), 0), _INFORMATION.size
    )
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", descriptor, len(answer), address(answer)))
    return room.value.decode("ascii", "replace") if _INFORMATION.unpack(answer.raw)[5] else ""


def load_types(types: Btf, elf: Elf) -> int:
    """
    Bring the object's types into the kernel; returns their descriptor, or -1 where it is too old.

    A compiler leaves open how long sections are and where variables stand in them: a linker does that, and so
    does this.
    """
    sizes = {section.name: section.size for section in elf.sections}
    offsets = {symbol.name: symbol.value for symbol in elf.symbols if symbol.name and not symbol.function}
    image = types.placed(sizes, offsets)
    try:
        return bpf(BTF_LOAD, struct.pack("<QQIIII", address(image), 0, len(image), 0, 0, 0))
    except OSError:
        return -1
