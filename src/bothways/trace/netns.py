"""A namespace of this machine, as people name it, to the inode that the kernel part compares."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["NetnsError", "inode_of"]

#: Where ``ip netns`` and containers keep names of namespaces, ip-netns(8).
_PLACES: Final = (Path("/run/netns"), Path("/var/run/netns"), Path("/run/docker/netns"))
_HOST: Final = Path("/proc/1/ns/net")
_INODE: Final = re.compile(r"(?:inode|net):\[?(\d{1,20})\]?\Z")
_PID: Final = re.compile(r"\d{1,10}\Z")


class NetnsError(ValueError):
    """A namespace that is not there. The text says what was expected; *hint* what there is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def inode_of(text: str) -> int:
    """
    Find a namespace.

    :param text: ``inode:N``, a name of ``ip netns``, ``root``, or a path such as ``/proc/812/ns/net``.
    :raises NetnsError: if there is none.
    """
    found = _INODE.match(text)
    if found is not None:
        return int(found[1])
    if text == "root":
        paths = [_HOST]
    elif "/" in text:
        paths = [Path(text)]
    else:
        paths = [place / text for place in _PLACES]
        if _PID.match(text):
            paths.append(Path(f"/proc/{text}/ns/net"))
    for path in paths:
        try:
            return path.stat().st_ino
        except OSError:
            continue
    raise NetnsError(f"there is no namespace `{text}`", _there())


def _there() -> str:
    names = sorted({path.name for place in _PLACES if place.is_dir() for path in place.iterdir()})
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")  # noqa: PLR2004 (what a line holds)
    return (
        f"`ip netns` names {shown}"
        if names
        else "NAME of ip netns, PATH such as /proc/PID/ns/net, or inode:N"
    )
