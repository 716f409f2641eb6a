"""Attachments of programs: each is a descriptor, and gone when it is closed."""

import fcntl
import os
import struct
from typing import List

from bothways.trace.probe.syscall import RAW_TRACEPOINT_OPEN, address, bpf, perf_event_open

__all__ = ["Link", "attach_kprobe", "attach_tracepoint", "attach_tracing"]

_OPEN = struct.Struct("<QI4x")
_PERF = struct.Struct("<IIQQQQQIIQQ")
# perf_event_open(2): requests.
_ENABLE = 0x2400
_SET_PROGRAM = 0x40042408


class Link:
    """
    One attached program.

    :param program: the program's descriptor.
    :param others: what keeps it attached.
    """

    def __init__(self, program: int, others: List[int]) -> None:
        self.program = program
        self._others = others

    def close(self) -> None:
        """Detach the program and take it out of the kernel."""
        for descriptor in self._others:
            os.close(descriptor)
        os.close(self.program)


def attach_tracepoint(program: int, name: str) -> Link:
    """
    Attach a program of type raw tracepoint.

    :raises OSError: ENOENT where the kernel has no such tracepoint.
    """
    text = name.encode("ascii", "replace") + b"\0"
    return Link(program, [bpf(RAW_TRACEPOINT_OPEN, _OPEN.pack(address(text), program))])


def attach_tracing(program: int) -> Link:
    """
    Attach a program that was verified against its tracepoint or function.

    :raises OSError: with the kernel's errno.
    """
    return Link(program, [bpf(RAW_TRACEPOINT_OPEN, _OPEN.pack(0, program))])


def attach_kprobe(program: int, function: str, *, at_return: bool = False) -> Link:
    """
    Attach a program to the entry of a function, or to its return.

    The event is of this process alone: unlike a line in ``kprobe_events``, it cannot be left behind.

    :raises OSError: ENOENT where the kernel has no kprobes, or no such function.
    """
    (kind,) = _numbers("/sys/bus/event_source/devices/kprobe/type")
    flags = 0
    if at_return:
        with open("/sys/bus/event_source/devices/kprobe/format/retprobe", encoding="ascii") as file:
            flags = 1 << int(file.read().strip().partition(":")[2])
    text = function.encode("ascii", "replace") + b"\0"
    attribute = _PERF.pack(kind, _PERF.size, flags, 0, 0, 0, 0, 0, 0, address(text), 0)
    event = perf_event_open(attribute, 0)
    try:
        fcntl.ioctl(event, _SET_PROGRAM, program)
        fcntl.ioctl(event, _ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return Link(program, [event])


def _numbers(path: str) -> List[int]:
    with open(path, encoding="ascii") as file:
        return [int(each) for each in file.read().split()]
