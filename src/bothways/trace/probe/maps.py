"""Maps: tables that programs in the kernel and the probe share (bpf(2), "eBPF maps")."""

import ctypes
import errno
import struct
from typing import Iterator, List, NamedTuple, Optional

from bothways.trace.probe.syscall import (
    MAP_CREATE,
    MAP_DELETE_ELEM,
    MAP_FREEZE,
    MAP_GET_NEXT_KEY,
    MAP_LOOKUP_ELEM,
    MAP_UPDATE_ELEM,
    address,
    bpf,
    padded_name,
)

__all__ = ["ARRAY_MAP", "READ_ONLY", "RING", "Map", "Shape", "possible_processors"]

# Types and flags, uapi/linux/bpf.h.
ARRAY_MAP = 2
RING = 27
READ_ONLY = 1 << 7  # BPF_F_RDONLY_PROG
_PER_CPU = frozenset({5, 6, 10})  # PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH

_CREATE = struct.Struct("<IIIIIII16sIIIII")
_ELEMENT = struct.Struct("<I4xQQQ")


class Shape(NamedTuple):
    """What a map is like before it is made."""

    name: str
    type: int
    key: int
    value: int
    entries: int
    flags: int = 0


class Map:
    """
    A map of the kernel, which is gone when its descriptor is closed and no program uses it.

    Keys and values are bytes of the map's sizes.

    :raises OSError: with the kernel's errno.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        attribute = _CREATE.pack(
            shape.type,
            shape.key,
            shape.value,
            shape.entries,
            shape.flags,
            0,
            0,
            padded_name(shape.name),
            0,
            0,
            0,
            0,
            0,
        )
        self.descriptor = bpf(MAP_CREATE, attribute)

    @property
    def _answer_size(self) -> int:
        """How long the kernel's answer is: a value for each processor there may be, in words of 8 bytes."""
        if self.shape.type not in _PER_CPU:
            return self.shape.value
        return (self.shape.value + 7) // 8 * 8 * possible_processors()

    def lookup(self, key: bytes) -> Optional[bytes]:
        """Look up the value of *key*, None where there is none; values by processor follow each other."""
        answer = ctypes.create_string_buffer(self._answer_size)
        try:
            bpf(MAP_LOOKUP_ELEM, _ELEMENT.pack(self.descriptor, address(key), address(answer), 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return answer.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value of *key*."""
        bpf(MAP_UPDATE_ELEM, _ELEMENT.pack(self.descriptor, address(key), address(value), 0))

    def delete(self, key: bytes) -> None:
        """Take *key* out; nothing happens where it is not in."""
        try:
            bpf(MAP_DELETE_ELEM, _ELEMENT.pack(self.descriptor, address(key), 0, 0))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def keys(self) -> Iterator[bytes]:
        """List the keys; those that come or go meanwhile may be missed."""
        key: Optional[bytes] = None
        following = ctypes.create_string_buffer(self.shape.key)
        for _ in range(self.shape.entries):
            try:
                attribute = _ELEMENT.pack(self.descriptor, address(key) if key else 0, address(following), 0)
                bpf(MAP_GET_NEXT_KEY, attribute)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return
                raise
            key = following.raw
            yield key

    def per_processor(self, key: bytes) -> List[bytes]:
        """Look up the values of *key*, one for each processor; empty where there is none."""
        answer = self.lookup(key)
        step = (self.shape.value + 7) // 8 * 8
        return [answer[at : at + self.shape.value] for at in range(0, len(answer), step)] if answer else []

    def counter(self, index: int) -> int:
        """Sum a counter (a number of 8 bytes in an array by processor) over all processors."""
        return sum(struct.unpack("<Q", each)[0] for each in self.per_processor(struct.pack("<I", index)))

    def freeze(self) -> None:
        """Let nobody change the map from here on: the verifier then takes its values for constants."""
        bpf(MAP_FREEZE, struct.pack("<I", self.descriptor))


_processors: List[int] = []


def possible_processors() -> int:
    """How many processors there may ever be, for which the kernel keeps values."""
    if not _processors:
        with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
            text = file.read().strip()
        _processors.append(1 + max(int(part.split("-")[-1]) for part in text.split(",")))
    return _processors[0]
