"""
The ring buffer through which programs send records, read through shared memory.

Its layout: kernel ``Documentation/bpf/ringbuf.rst``. The kernel maps the data twice in a row, so what is
there is copied out in one piece, however it lies; records are told apart later, when there is time.
"""

import mmap
import select
import struct
from typing import Iterator, Optional

from bothways.trace.probe.maps import Map

__all__ = ["Ring", "records"]

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_LENGTH = _DISCARDED - 1
_HEADER = 8
_WORD = 4


class Ring:
    """
    The reading end of a ring buffer.

    :raises OSError: where the kernel refuses to map it.
    """

    def __init__(self, ring: Map) -> None:
        page = mmap.PAGESIZE
        size = ring.shape.entries
        self._mask = size - 1
        self._consumer_pages = mmap.mmap(
            ring.descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        )
        self._producer_pages = mmap.mmap(
            ring.descriptor, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._views = [memoryview(self._consumer_pages), memoryview(self._producer_pages)]
        self._consumed = self._views[0].cast("Q")
        self._produced = self._views[1][:8].cast("Q")
        self._data = self._views[1][page:]
        self._lengths = self._data.cast("I")
        self._poll = select.epoll()
        self._poll.register(ring.descriptor, select.EPOLLIN)

    @property
    def filled(self) -> int:
        """How many bytes wait to be read."""
        return int(self._produced[0] - self._consumed[0])

    def wait(self, seconds: float) -> None:
        """Wait for a record whose sender asked to wake the reader, or for the time to pass."""
        self._poll.poll(seconds)

    def drain(self, most: int) -> Optional[bytes]:
        """
        Take out at most *most* bytes of finished records, in the order of their reservation; None for none.

        A record that is reserved and not yet finished holds up those behind it: the next call gets them.
        """
        start = at = self._consumed[0]
        end = self._produced[0]
        mask, lengths = self._mask, self._lengths
        stop = min(end, start + most)
        while at < stop:
            length = lengths[(at & mask) >> 2]
            if length & _BUSY:
                break
            following = at + ((length & _LENGTH) + _HEADER + 7 & ~7)
            if following > stop:
                break
            at = following
        if at == start:
            return None
        offset = start & mask
        taken = bytes(self._data[offset : offset + at - start])
        self._consumed[0] = at
        return taken

    def close(self) -> None:
        """Give the shared memory back."""
        self._poll.close()
        for view in (self._consumed, self._produced, self._lengths, self._data, *self._views):
            view.release()
        self._consumer_pages.close()
        self._producer_pages.close()


def records(taken: bytes) -> Iterator[memoryview]:
    """Tell the records of what was taken out apart; those that their sender discarded are left out."""
    view = memoryview(taken)
    at = 0
    while at < len(taken):
        (length,) = struct.unpack_from("<I", taken, at)
        start = at + _HEADER
        if not length & _DISCARDED:
            yield view[start : start + (length & _LENGTH)]
        at = start + ((length & _LENGTH) + 7 & ~7)
