"""Inside a network namespace for a moment; and which devices are where."""

import ctypes
import os
import socket
from typing import Callable, Dict, List, Tuple, TypeVar

from bothways.trace.probe.hostns import namespaces

__all__ = ["devices_by_namespace", "inside", "lone_devices"]

_NETWORK = 0x40000000  # CLONE_NEWNET
_HERE = "/proc/thread-self/ns/net"

Result = TypeVar("Result")


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def inside(path: str, action: Callable[[], Result]) -> Result:
    """
    Do something inside a namespace, and come back; only the calling thread goes there.

    :raises OSError: where the namespace cannot be entered, or the action does.
    """
    if os.stat(path).st_ino == os.stat(_HERE).st_ino:
        return action()  # whoever may not go elsewhere may look around here
    home = os.open(_HERE, os.O_RDONLY)
    try:
        there = os.open(path, os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            return action()
        finally:
            _enter(home)
    finally:
        os.close(home)


def devices_by_namespace() -> Dict[int, Tuple[str, ...]]:
    """Names of devices by the namespace's inode; none of a namespace that cannot be entered."""
    return {each.inode: _devices(each.path) for each in namespaces()}


def lone_devices() -> Dict[str, int]:
    """Names of devices that only one namespace has, with its inode: there the name alone tells the place."""
    owners: Dict[str, List[int]] = {}
    for inode, names in devices_by_namespace().items():
        for name in names:
            owners.setdefault(name, []).append(inode)
    return {name: inodes[0] for name, inodes in owners.items() if len(inodes) == 1}


def _devices(path: str) -> Tuple[str, ...]:
    try:
        return inside(path, lambda: tuple(name for _, name in socket.if_nameindex()))
    except OSError:
        return ()
