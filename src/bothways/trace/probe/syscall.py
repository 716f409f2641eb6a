"""
System calls that Python does not have: bpf(2) and perf_event_open(2).

The layouts of their arguments are those of bpf(2), perf_event_open(2) and the kernel's ``uapi/linux/bpf.h``.
A shorter argument than the kernel's own is padded with zeros by the kernel, a longer one is fine as long as
the rest is zero.
"""

import ctypes
import errno
import os
from typing import Union

__all__ = [
    "BTF_GET_FD_BY_ID",
    "BTF_GET_NEXT_ID",
    "BTF_LOAD",
    "MAP_CREATE",
    "MAP_DELETE_ELEM",
    "MAP_FREEZE",
    "MAP_GET_NEXT_KEY",
    "MAP_LOOKUP_ELEM",
    "MAP_UPDATE_ELEM",
    "OBJ_GET_INFO_BY_FD",
    "PROG_LOAD",
    "RAW_TRACEPOINT_OPEN",
    "Buffer",
    "Unsupported",
    "address",
    "bpf",
    "padded_name",
    "perf_event_open",
]

# Commands of bpf(2), uapi/linux/bpf.h, enum bpf_cmd.
MAP_CREATE = 0
MAP_LOOKUP_ELEM = 1
MAP_UPDATE_ELEM = 2
MAP_DELETE_ELEM = 3
MAP_GET_NEXT_KEY = 4
PROG_LOAD = 5
OBJ_GET_INFO_BY_FD = 15
RAW_TRACEPOINT_OPEN = 17
BTF_LOAD = 18
BTF_GET_FD_BY_ID = 19
MAP_FREEZE = 22
BTF_GET_NEXT_ID = 23

#: machine -> numbers of bpf and perf_event_open (arch/*/…/syscall*.tbl, asm-generic/unistd.h)
_NUMBERS = {
    "x86_64": (321, 298),
    "i686": (357, 336),
    "aarch64": (280, 241),
    "riscv64": (280, 241),
    "loongarch64": (280, 241),
    "armv7l": (386, 364),
    "ppc64le": (361, 319),
}

_NAME_LENGTH = 16  # BPF_OBJ_NAME_LEN, the terminating zero included
_LONGEST = 128  # as much of the union as any command here fills

Buffer = Union[bytes, bytearray, "ctypes.Array[ctypes.c_char]"]


class Unsupported(Exception):  # noqa: N818  what it says is a sentence for the user, and no error of the probe
    """No tracing by BPF on this machine; the text says why, in a sentence for the user."""


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(*arguments: object) -> int:
    result = int(_libc.syscall(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _number(which: int) -> int:
    machine = os.uname().machine
    if machine not in _NUMBERS:
        raise Unsupported("the numbers of bpf(2) are not known for {}".format(machine))
    return _NUMBERS[machine][which]


def address(buffer: Buffer) -> int:
    """Where the bytes of *buffer* start; the caller keeps it alive while the kernel reads or writes it."""
    if isinstance(buffer, bytearray):
        return ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if buffer else 0
    if isinstance(buffer, bytes):
        return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
    return ctypes.addressof(buffer)


def padded_name(name: str) -> bytes:
    """A name as the kernel takes it: at most 15 characters of ``[A-Za-z0-9_.]``, zero-terminated."""
    kept = "".join(letter if letter.isalnum() or letter in "_." else "_" for letter in name)
    return kept.encode("ascii", "replace")[: _NAME_LENGTH - 1].ljust(_NAME_LENGTH, b"\0")


def bpf(command: int, attribute: Union[bytes, bytearray]) -> int:
    """
    Make the kernel do one thing of BPF; returns what it returns: a descriptor, or 0.

    :param attribute: the argument; where it is a bytearray, the kernel's answer is written back into it.
    :raises OSError: with the kernel's errno.
    :raises Unsupported: on a machine whose system call number is not known.
    """
    buffer = ctypes.create_string_buffer(bytes(attribute), max(len(attribute), _LONGEST))
    number, size = ctypes.c_long(_number(0)), ctypes.c_ulong(len(buffer))
    while True:
        try:
            result = _call(number, ctypes.c_long(command), ctypes.byref(buffer), size)
        except OSError as error:
            # A signal that arrives while a program is verified ends the call (kernel/bpf/verifier.c,
            # do_check).
            if command == PROG_LOAD and error.errno in {errno.EAGAIN, errno.EINTR}:
                continue
            raise
        if isinstance(attribute, bytearray):
            attribute[:] = buffer.raw[: len(attribute)]
        return result


def perf_event_open(attribute: bytes, cpu: int) -> int:
    """
    Open a perf event on all processes of *cpu*; returns its descriptor.

    :raises OSError: with the kernel's errno.
    """
    buffer = ctypes.create_string_buffer(attribute, len(attribute))
    close_on_exec = 8  # PERF_FLAG_FD_CLOEXEC
    every_process = no_group = ctypes.c_long(-1)
    return _call(
        ctypes.c_long(_number(1)),
        ctypes.byref(buffer),
        every_process,
        ctypes.c_long(cpu),
        no_group,
        ctypes.c_ulong(close_on_exec),
    )
