"""
Which events are at devices that were asked for.

The kernel part compares names up to the first wildcard; the rest of a glob is asked here. An event that is at
no device (a socket's, a packet that was just made) counts where it is in a namespace that has such a device.
"""

import fnmatch
from typing import Any, Callable, Dict, Iterable, List, Set, Tuple

from bothways.trace.probe.netns_devices import devices_by_namespace

__all__ = ["AskedDevices"]


class AskedDevices:
    """
    Globs of devices, and where there are such devices.

    :param there: asked once, and only if there are globs: the devices of each namespace, by its inode.
    """

    def __init__(
        self,
        globs: List[str],
        there: Callable[[], Dict[int, Tuple[str, ...]]] = devices_by_namespace,
    ) -> None:
        self._globs = globs
        self._known: Dict[str, bool] = {}
        self._namespaces: Set[int] = set()
        if globs:
            self._namespaces = {inode for inode, names in there().items() if self._any(names)}

    def takes(self, event: Dict[str, Any]) -> bool:
        """Whether an event is wanted."""
        if not self._globs:
            return True
        device, inode = event["device"], event["netns_inode"]
        if device is None:
            return inode in self._namespaces
        if not self._wanted(device):
            return False
        if inode is not None:
            self._namespaces.add(inode)  # the device, or the whole namespace, may have come later
        return True

    def _any(self, names: Iterable[str]) -> bool:
        return any(self._wanted(name) for name in names)

    def _wanted(self, device: str) -> bool:
        if device not in self._known:
            self._known[device] = any(fnmatch.fnmatchcase(device, glob) for glob in self._globs)
        return self._known[device]
