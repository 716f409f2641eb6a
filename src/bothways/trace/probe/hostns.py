"""
Network namespaces of this host, by inode number and by a name that its operator knows.

A namespace has no name of its own. It is called by the file that it is bound to (``/run/netns/NAME``, or
Docker's), else by the container or the process that lives in it, else by its inode number.
"""

import os
import re
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

__all__ = ["Namespace", "Namespaces", "namespaces"]

#: folders of files that namespaces are bound to, and what stands before their names
_FOLDERS = (
    ("/run/netns", ""),
    ("/var/run/netns", ""),
    ("/run/docker/netns", "docker:"),
    ("/var/run/docker/netns", "docker:"),
)

#: how a container shows in /proc/PID/cgroup: Docker, containerd, CRI-O, Podman, LXC, systemd-nspawn
_CONTAINER = re.compile(
    r"(?:(docker|libpod|cri-containerd|crio)-([0-9a-f]{12})[0-9a-f]{52}\.scope"
    r"|/(docker|libpod|kubepods)\S*/([0-9a-f]{12})[0-9a-f]{52}"
    r"|/(lxc)(?:\.payload\.|/)([^/\s]+)"
    r"|/machine\.slice/(machine|systemd-nspawn)[-@]([^/\s]+?)\.(?:scope|service))"
)
_PROC = "/proc"
_AGAIN = 0.2  # seconds: an unknown number makes the host be searched again, no more often than this


class Namespace(NamedTuple):
    """
    One network namespace.

    ``path`` can be opened for setns(2); ``pids`` are processes that live in it, ascending, as far as they
    may be seen.
    """

    inode: int
    name: str
    path: str
    pids: Tuple[int, ...]


def namespaces(proc: str = _PROC, folders: Iterable[Tuple[str, str]] = _FOLDERS) -> List[Namespace]:
    """
    Every network namespace of this host that has a file or a process, in the order of their numbers.

    What may not be read is left out. The namespace of process 1 (or of the kernel's threads) is ``root``.
    """
    pids = _pids(proc)
    bound: Dict[int, Tuple[str, str]] = {}
    for folder, before in folders:
        for entry in _names_in(folder):
            path = os.path.join(folder, entry)
            inode = _inode(path)
            if inode is not None:
                bound.setdefault(inode, (before + entry[:12] if before else entry, path))
    first = _first(proc)
    root = _inode("{}/{}/ns/net".format(proc, first))
    found = []
    for inode in sorted(set(bound) | set(pids)):
        lives = tuple(sorted(pids.get(inode, ())))
        if inode == root:
            name, path = "root", "{}/{}/ns/net".format(proc, first)
        elif inode in bound:
            name, path = bound[inode]
        else:
            name, path = _called_by(proc, lives), "{}/{}/ns/net".format(proc, lives[0])
        found.append(Namespace(inode, name, path, lives))
    return found


class Namespaces:
    """
    Names by inode number, for as long as the host is watched: a namespace that went away keeps its name.

    :param proc: where processes show; :param folders: of bound files, with what stands before their names.
    """

    def __init__(self, proc: str = _PROC, folders: Iterable[Tuple[str, str]] = _FOLDERS) -> None:
        self._proc = proc
        self._folders = tuple(folders)
        self._names: Dict[int, str] = {}
        self._searched: Optional[float] = None
        self.search()

    def search(self) -> List[Namespace]:
        """Look at the host again, and tell what is there now."""
        found = namespaces(self._proc, self._folders)
        for each in found:
            if each.inode not in self._names or "[" in self._names[each.inode] or not each.pids:
                self._names[each.inode] = each.name
        self._searched = time.monotonic()
        return found

    def name(self, inode: int) -> Optional[str]:
        """Name one namespace: ``inode:NUMBER`` where the host knows no other name, None for number 0."""
        if not inode:
            return None
        known = self._names.get(inode)
        if known is None:
            if self._searched is None or time.monotonic() - self._searched >= _AGAIN:
                self.search()
                known = self._names.get(inode)
            if known is None:
                return "inode:{}".format(inode)
        return known

    def known(self) -> Dict[int, str]:
        """Every name so far, also of namespaces that are gone."""
        return dict(self._names)


def _first(proc: str) -> int:
    """Process 1; where it may not be asked, the ancestor of the kernel's threads, which stay with it."""
    if _inode("{}/1/ns/net".format(proc)) is None and _read("{}/2/comm".format(proc)).strip() == "kthreadd":
        return 2
    return 1


def _names_in(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _inode(path: str) -> Optional[int]:
    """The number of the namespace that a file stands for, as stat(2) tells it."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _pids(proc: str) -> Dict[int, List[int]]:
    """Processes by the number of their namespace."""
    found: Dict[int, List[int]] = {}
    for entry in _names_in(proc):
        if entry.isdigit():
            inode = _inode("{}/{}/ns/net".format(proc, entry))
            if inode is not None:
                found.setdefault(inode, []).append(int(entry))
    return found


def _called_by(proc: str, pids: Tuple[int, ...]) -> str:
    """Name a namespace by the container, else by the first of its processes."""
    text = _read("{}/{}/cgroup".format(proc, pids[0]))
    match = _CONTAINER.search(text)
    if match:
        kind, ident = [each for each in match.groups() if each][:2]
        return "{}:{}".format(kind, ident)
    return "{}[{}]".format(_read("{}/{}/comm".format(proc, pids[0])).strip() or "process", pids[0])


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
