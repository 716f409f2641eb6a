"""Programs in the kernel: how one is loaded, and what the kernel's refusal means."""

import ctypes
import errno
import os
import re
import struct
from typing import Dict, NamedTuple, Optional

from bothways.trace.probe.privileges import lacking, locked_down
from bothways.trace.probe.syscall import PROG_LOAD, address, bpf, padded_name

__all__ = ["KPROBE", "RAW_TRACEPOINT", "TRACING", "Loading", "Refused", "Target", "load_program", "refusal"]

# Types of programs and of attachments, uapi/linux/bpf.h.
KPROBE = 2
RAW_TRACEPOINT = 17
TRACING = 26

_LOAD = struct.Struct("<IIQQIIQII16sIIIIQIIQIIIIQQ")
_LOG_SIZE = 1 << 20
_MISSING_HELPER = re.compile(r"invalid func unknown#(\d+)")


class Refused(Exception):  # noqa: N818  a sentence for the user
    """
    The kernel did not take a program or its attachment; the text is a sentence for the user.

    ``number`` is the kernel's errno, ``log`` what its verifier wrote.
    """

    def __init__(self, text: str, number: int, log: str = "") -> None:
        super().__init__(text)
        self.number = number
        self.log = log


class Target(NamedTuple):
    """What a program is verified against: a type of the kernel, or of a module whose descriptor is given."""

    attach: int
    type: int
    image: int = 0


class Loading(NamedTuple):
    """One program, ready for the kernel."""

    name: str
    type: int
    instructions: bytearray
    license: bytes
    target: Optional[Target] = None
    types: int = 0  # descriptor of the object's BTF
    functions: bytes = b""  # which function has which type, where the program has several
    missing: Optional[Dict[int, str]] = None


def load_program(loading: Loading) -> int:
    """
    Load a program; returns its descriptor.

    The log is asked for after a failure only: writing it costs the verifier time.

    :raises Refused: with the reason.
    """
    try:
        return _load(loading, None)
    except OSError:
        log = ctypes.create_string_buffer(_LOG_SIZE)
        try:
            return _load(loading, log)
        except OSError as error:
            text = log.value.decode("utf-8", "replace")
            raise Refused(_why(loading, error, text), error.errno or 0, text) from error


def _load(loading: Loading, log: "Optional[ctypes.Array[ctypes.c_char]]") -> int:
    target = loading.target or Target(0, 0)
    function_size = 8
    return bpf(
        PROG_LOAD,
        _LOAD.pack(
            loading.type,
            len(loading.instructions) // 8,
            address(loading.instructions),
            address(loading.license),
            0 if log is None else 1,
            0 if log is None else len(log),
            0 if log is None else address(log),
            0,
            0,
            padded_name(loading.name),
            0,
            target.attach,
            loading.types,
            function_size if loading.functions else 0,
            address(loading.functions) if loading.functions else 0,
            len(loading.functions) // function_size,
            0,
            0,
            0,
            target.type,
            target.image,
            0,
            0,
            0,
        ),
    )


def _why(loading: Loading, error: OSError, log: str) -> str:
    """Say in one sentence why the kernel did not take a program."""
    missing = _MISSING_HELPER.search(log)
    if missing and loading.missing and int(missing.group(1)) in loading.missing:
        return "this kernel has no {}".format(loading.missing[int(missing.group(1))])
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    if error.errno == errno.EPERM:
        return "{} at BPF_PROG_LOAD: {}".format(name, refusal(log))
    last = [
        line
        for line in log.splitlines()
        if line.strip() and not line.startswith(("processed ", "verification time", "stack depth"))
    ]
    text = "{} at BPF_PROG_LOAD of {}: {}".format(name, loading.name, os.strerror(error.errno or 0))
    return "{} ({})".format(text, last[-1].strip()) if last else text


def refusal(log: str = "") -> str:
    """Say why the kernel may answer EPERM: a capability, a lock, or a policy that it does not name."""
    wanted = lacking()
    if wanted:
        return "this process lacks {}".format(" and ".join(wanted))
    lock = locked_down()
    if lock:
        return "the kernel is locked down ({})".format(lock)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else "this kernel forbids it even to a process with all capabilities"
