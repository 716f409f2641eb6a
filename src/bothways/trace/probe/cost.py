"""What tracing costs the traced host: runs of each program, and the time spent in them."""

import os
import struct
from typing import Dict, List, Optional

from bothways.trace.probe.syscall import OBJ_GET_INFO_BY_FD, address, bpf

__all__ = ["Accounting", "spent"]

_SWITCH = "/proc/sys/kernel/bpf_stats_enabled"
_ENABLE_STATS = 32  # bpf(2), BPF_ENABLE_STATS, kernel 5.8
_INFORMATION_SIZE = 232
_RUN_TIME = 192  # bpf_prog_info.run_time_ns; the number of runs follows


class Accounting:
    """
    The kernel's own accounting of programs, switched on for as long as this process lives.

    BPF_ENABLE_STATS counts as long as its descriptor is open, so nothing has to be restored, however the
    process ends.

    :raises OSError: where the kernel has no such command, or forbids it.
    """

    def __init__(self) -> None:
        self._descriptor: Optional[int] = bpf(_ENABLE_STATS, struct.pack("<I", 0))

    def close(self) -> None:
        """Switch it off, unless somebody else has it on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def spent(programs: Dict[str, List[int]]) -> List[Dict[str, object]]:
    """
    Ask how often programs ran and how long, by the probe that they serve.

    :param programs: descriptors, by the probe's name.
    """
    rows = []
    for probe, descriptors in programs.items():
        runs = nanoseconds = 0
        for descriptor in descriptors:
            answer = bytearray(_INFORMATION_SIZE)
            bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", descriptor, len(answer), address(answer)))
            time_ns, count = struct.unpack_from("<QQ", answer, _RUN_TIME)
            runs, nanoseconds = runs + count, nanoseconds + time_ns
        rows.append({"probe": probe, "runs": runs, "ns": nanoseconds})
    return rows
