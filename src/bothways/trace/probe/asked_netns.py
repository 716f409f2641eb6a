"""Network namespaces as people name them: by number, by the path of a file, or by a name of this host."""

import fcntl
import os
from typing import List

from bothways.trace.probe.hostns import Namespace, namespaces

__all__ = ["NoNamespace", "inode_of"]

_SHOWN = 8
# uapi/linux/nsfs.h and sched.h
_NS_GET_NSTYPE, _NETWORK = 0xB703, 0x40000000


class NoNamespace(Exception):  # noqa: N818  a sentence for the user
    """There is no such namespace; the text says what there is."""


def inode_of(text: str) -> int:
    """
    Find the number of a namespace.

    :param text: ``inode:4026531840``, a path (``/proc/17/ns/net``), or a name: ``root`` is that of the host.
    :raises NoNamespace: where this host has none.
    """
    kind, _, number = text.partition(":")
    if kind == "inode" and number.isdigit():
        return int(number)
    if "/" in text:
        return _inode_of_file(text)
    known = namespaces()
    for each in known:
        if each.name == text:
            return each.inode
    raise NoNamespace(_why_none(text, known))


def _inode_of_file(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NoNamespace("{}: {}".format(path, error.strerror)) from error
    try:
        if fcntl.ioctl(descriptor, _NS_GET_NSTYPE) != _NETWORK:
            raise NoNamespace("{} is a namespace of another kind, and not of the network".format(path))
        return os.fstat(descriptor).st_ino
    except OSError as error:
        raise NoNamespace("{} is no file of a network namespace".format(path)) from error
    finally:
        os.close(descriptor)


def _why_none(text: str, known: List[Namespace]) -> str:
    import difflib  # noqa: PLC0415  for a mistake only

    names = sorted(each.name for each in known if "[" not in each.name)
    near = difflib.get_close_matches(text, names, 3)
    if near:
        return "this host has no network namespace {}; near it: {}".format(text, ", ".join(near))
    more = ", …" if len(names) > _SHOWN else ""
    return "this host has no network namespace {}; it has {}{}".format(text, ", ".join(names[:_SHOWN]), more)
