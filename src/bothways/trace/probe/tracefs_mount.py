"""
Where tracefs is, and what dead probes left in it.

Where it is not mounted, it is mounted for this process alone: in a mount namespace of its own, which ends
with it.
"""

import ctypes
import os
import re
from typing import Callable, List, Optional

__all__ = [
    "find_tracefs",
    "leftovers",
    "mount_privately",
    "read_text",
    "remove_kprobe",
    "usable",
    "write_text",
]

_PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
_RECURSIVE, _SLAVE = 16384, 1 << 19  # MS_REC, MS_SLAVE: what others mount is still seen here
_OURS = re.compile(r"bothways[-_](\d+)")


def read_text(path: str) -> str:
    """Read a file of tracefs."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_text(path: str, text: str, *, append: bool = False) -> None:
    """
    Write to a file of tracefs, in one write.

    :param append: for the lists of probes, which an ordinary write would empty.
    :raises OSError: with the kernel's answer.
    """
    descriptor = os.open(path, os.O_WRONLY | (os.O_APPEND if append else os.O_TRUNC))
    try:
        os.write(descriptor, text.encode("utf-8"))
    finally:
        os.close(descriptor)


def find_tracefs() -> Optional[str]:
    """Where tracefs is mounted; None where it is not."""
    return next((place for place in _PLACES if os.path.exists(os.path.join(place, "trace_clock"))), None)


def usable() -> Optional[str]:
    """Why this tier cannot run, as a sentence for the user; None where it can."""
    if os.geteuid() != 0:
        return "tracefs is for root alone"
    if find_tracefs() is not None:
        return None
    try:
        with open("/proc/filesystems", encoding="ascii", errors="replace") as file:
            known = any(line.split()[-1:] == ["tracefs"] for line in file)
    except OSError as error:
        return "/proc/filesystems: {}".format(error.strerror)
    return None if known else "this kernel has no tracefs (CONFIG_TRACING)"


def mount_privately() -> str:
    """
    Mount tracefs for this process and its children, and for nobody else.

    :raises OSError: with the kernel's answer.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_NEW_MOUNTS))
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE | _SLAVE), None))
    _check(libc.mount(b"tracefs", _PLACES[0].encode(), b"tracefs", ctypes.c_ulong(0), None))
    return _PLACES[0]


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def leftovers(root: str) -> List[str]:
    """Remove instances and kprobes of probes that are dead, as after kill -9; returns their names."""
    # An instance that somebody reads stays: a probe of another process namespace lives.
    removed = [
        name
        for name in _listed(os.path.join(root, "instances"))
        if _dead(name) and _tried(os.rmdir, os.path.join(root, "instances", name))
    ]
    return removed + _old_kprobes(root)


def _old_kprobes(root: str) -> List[str]:
    path = os.path.join(root, "kprobe_events")
    try:
        lines = read_text(path).splitlines()
    except OSError:
        return []
    events = [line.split(" ", 1)[0].partition(":")[2] for line in lines]
    # One that is enabled in an instance that lives stays as well.
    return [event for event in events if _dead(event) and remove_kprobe(root, event)]


def remove_kprobe(root: str, event: str) -> bool:
    """Remove a kprobe by ``GROUP/EVENT``; whether it went."""
    text = "-:{}\n".format(event)
    return _tried(lambda path: write_text(path, text, append=True), os.path.join(root, "kprobe_events"))


def _tried(action: Callable[[str], None], path: str) -> bool:
    try:
        action(path)
    except OSError:
        return False
    return True


def _dead(name: str) -> bool:
    matched = _OURS.match(name)
    return matched is not None and not os.path.exists("/proc/{}".format(matched.group(1)))


def _listed(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
