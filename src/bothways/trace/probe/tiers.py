"""
Ways in which a kernel lets itself be watched, best first, and which of them this one allows.

The kernel's version says little: distributions port back, switch off and forbid. So each tier is tried with
a program of two instructions, and what the kernel answers is what the user reads.
"""

import errno
import os
from typing import Callable, Dict, List, NamedTuple, Optional

from bothways.trace.probe.attach import Link, attach_kprobe, attach_tracepoint, attach_tracing
from bothways.trace.probe.btf import Unreadable
from bothways.trace.probe.btf_kinds import FUNC
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.privileges import unlock_memory
from bothways.trace.probe.program import (
    KPROBE,
    RAW_TRACEPOINT,
    TRACING,
    Loading,
    Refused,
    Target,
    load_program,
)
from bothways.trace.probe.syscall import Unsupported

__all__ = ["TIERS", "Tier", "judge"]

#: best first
TIERS = ("fentry", "kprobe", "raw_tracepoint")

_ENTRY = 24  # BPF_TRACE_FENTRY
_RETURN_ZERO = bytes.fromhex("b700000000000000" + "9500000000000000")
_LICENSE = b"Dual BSD/GPL\0"
#: a function that every kernel with a network stack has under this name, and that no packet passes
_FUNCTION = "register_netdevice"
_TRACEPOINT = "kfree_skb"


class Tier(NamedTuple):
    """A tier, and why it cannot be used here; None where it can."""

    name: str
    why_not: Optional[str]

    def as_json(self) -> Dict[str, object]:
        """Write it as the start line has it."""
        return {"tier": self.name, "usable": self.why_not is None, "why_not": self.why_not}


def judge(kernel: Kernel) -> List[Tier]:
    """Try all tiers that need BPF, best first."""
    try:
        kernel.btf  # noqa: B018  without it no program finds a field
    except (Unsupported, Unreadable) as error:
        return [Tier(name, str(error)) for name in TIERS]
    unlock_memory()
    return [Tier(name, _why_not(_TRIALS[name], kernel)) for name in TIERS]


def _why_not(trial: Callable[[Kernel], Link], kernel: Kernel) -> Optional[str]:
    try:
        trial(kernel).close()
    except (Refused, Unsupported, Unreadable) as error:
        return str(error)
    return None


def _try_fentry(kernel: Kernel) -> Link:
    # A policy that forbids it does so before it looks at the function: finding that takes time.
    try:
        _attached(TRACING, Target(_ENTRY, 0), attach_tracing)
    except Refused as refused:
        if refused.number == errno.EPERM:
            raise
    found = kernel.btf.find(_FUNCTION, frozenset({FUNC}))
    if not found:
        raise Refused("this kernel's BTF describes no functions", 0)
    return _attached(TRACING, Target(_ENTRY, found[0]), attach_tracing)


def _try_kprobe(_: Kernel) -> Link:
    return _attached(KPROBE, None, lambda program: attach_kprobe(program, _FUNCTION))


def _try_tracepoint(_: Kernel) -> Link:
    return _attached(RAW_TRACEPOINT, None, lambda program: attach_tracepoint(program, _TRACEPOINT))


def _attached(kind: int, target: Optional[Target], attach: Callable[[int], Link]) -> Link:
    program = load_program(Loading("bothways_trial", kind, bytearray(_RETURN_ZERO), _LICENSE, target))
    try:
        return attach(program)
    except OSError as error:
        os.close(program)
        if isinstance(error, FileNotFoundError) and error.filename:
            raise Refused("this kernel has no kprobes ({} is missing)".format(error.filename), 0) from error
        raise Refused("attachment refused: {}".format(error.strerror), error.errno or 0) from error


_TRIALS: Dict[str, Callable[[Kernel], Link]] = {
    "fentry": _try_fentry,
    "kprobe": _try_kprobe,
    "raw_tracepoint": _try_tracepoint,
}
