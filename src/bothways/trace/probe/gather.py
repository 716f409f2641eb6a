"""
What programs send, brought out of the kernel's ring at once and encoded when there is time.

A thread copies the ring into memory every few milliseconds, also while the main one waits for a slow reader.
Memory is bounded: beyond the bound the ring is left as it is and fills, and then the kernel's side counts,
exactly, what it could not keep.
"""

import threading
from collections import deque
from typing import Deque, Iterator

from bothways.trace.probe.ring import Ring, records

__all__ = ["Gatherer"]

_PERIOD = 0.01
_AT_ONCE = 4 << 20


class Gatherer:
    """
    Empties a ring into memory.

    :param most: how many bytes memory may hold.
    """

    def __init__(self, ring: Ring, most: int) -> None:
        self._ring = ring
        self._most = most
        self._taken: Deque[bytes] = deque()
        self._held = 0
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gather", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if not self._gather():
                self._ring.wait(_PERIOD)

    def _gather(self) -> bool:
        """Take one piece out of the ring; whether there may be more at once."""
        room = self._most - self._held
        piece = self._ring.drain(min(room, _AT_ONCE)) if room > 0 else None
        if piece is None:
            return False
        with self._lock:
            self._taken.append(piece)
            self._held += len(piece)
        self._arrived.set()
        return len(piece) > _AT_ONCE // 2

    def wait(self, seconds: float) -> None:
        """Wait until something was gathered, or the time is over."""
        self._arrived.wait(seconds)

    def pieces(self) -> Iterator[Iterator[memoryview]]:
        """The records of each piece that was gathered, oldest first, until there is none."""
        while True:
            with self._lock:
                if not self._taken:
                    self._arrived.clear()
                    return
                piece = self._taken.popleft()
            yield records(piece)
            with self._lock:
                self._held -= len(piece)

    def stop(self) -> None:
        """Take out what is left in the ring, and end."""
        self._stopped.set()
        self._thread.join()
        while self._gather():
            pass
        self._gather()

    def close(self) -> None:
        """Give the ring back; what was gathered is kept."""
        self._ring.close()
