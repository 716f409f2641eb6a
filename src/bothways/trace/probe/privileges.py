"""What this process may do: capabilities(7), and the lock beside them (kernel_lockdown(7))."""

import resource
from typing import List

__all__ = ["holds", "lacking", "locked_down", "unlock_memory"]

# Numbers of capabilities, uapi/linux/capability.h.
_NUMBERS = {"CAP_SYS_ADMIN": 21, "CAP_SYSLOG": 34, "CAP_PERFMON": 38, "CAP_BPF": 39}


def _effective() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def _last_known() -> int:
    try:
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def holds(capability: str) -> bool:
    """Whether this process has a capability, by its name (``CAP_BPF``), in its effective set."""
    return bool(_effective() >> _NUMBERS[capability] & 1)


def lacking() -> List[str]:
    """
    Name the capabilities that tracing by BPF needs and this process has not.

    CAP_SYS_ADMIN stands for both others; a kernel before 5.8 knows no others.
    """
    if holds("CAP_SYS_ADMIN"):
        return []
    if _last_known() < _NUMBERS["CAP_BPF"]:
        return ["CAP_SYS_ADMIN"]
    return [name for name in ("CAP_BPF", "CAP_PERFMON") if not holds(name)]


def locked_down() -> str:
    """Which lockdown the kernel is in; empty for none, or where it does not say."""
    try:
        with open("/sys/kernel/security/lockdown", encoding="ascii") as file:
            chosen = file.read().partition("[")[2].partition("]")[0]
    except OSError:
        return ""
    return "" if chosen == "none" else chosen


def unlock_memory() -> None:
    """
    Let this process lock as much memory as it may: kernels before 5.11 count maps and programs as locked.

    Where it may not, those kernels answer EPERM to what is too large, and the others do not care.
    """
    unlimited = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (unlimited, unlimited))
    except (OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
