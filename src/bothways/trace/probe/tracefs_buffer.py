"""One instance of the kernel's tracing: buffers of our own, one a CPU, which nobody else reads or fills."""

import contextlib
import errno
import os
import struct
from typing import Dict, Iterator, List, Tuple

from bothways.trace.probe.tracefs_event import Placed, Sight
from bothways.trace.probe.tracefs_mount import read_text, write_text
from bothways.trace.probe.tracefs_page import PageLayout, records, unread_layout

__all__ = ["Buffer"]

_STACK = 4  # the record type of a kernel stack, kernel/trace/trace.h; its format file says the same
_STACK_AT = 8  # where it starts behind the common fields: a length, and then the addresses
_MOST_PAGES = 256  # of one CPU in one reading: what is behind waits in the kernel
_SMALLEST = 64  # KiB of one CPU
_COUNTED = ("overrun", "commit overrun", "dropped events")


class Buffer:
    """
    An instance: made, filled, read and removed.

    :param folder: where it is, under ``instances``.
    :param stacks: whether each of its records is followed by one with the call stack.
    """

    def __init__(self, folder: str, *, stacks: bool) -> None:
        self._folder = folder
        self._stacks = stacks
        self._files: Dict[int, int] = {}
        self._layout = PageLayout(16, 8, 4096)
        self._waiting: Dict[int, List[Sight]] = {}
        self._lost = 0
        self._made = False

    def make(self, size: int) -> None:
        """
        Make the instance, with *size* bytes of buffers on all CPUs together.

        :raises OSError: with the kernel's answer.
        """
        os.mkdir(self._folder)
        self._made = True
        self._layout = unread_layout(read_text(os.path.join(self._folder, "events", "header_page")))
        self._write("trace_clock", "mono")
        each = max(_SMALLEST, size // 1024 // max(1, len(self._cpus())))
        self._write("buffer_size_kb", str(each))
        if self._stacks:
            self._write("options/stacktrace", "1")

    def _write(self, name: str, text: str) -> None:
        write_text(os.path.join(self._folder, name), text + "\n")

    def _cpus(self) -> List[int]:
        names = os.listdir(os.path.join(self._folder, "per_cpu"))
        return sorted(int(name[3:]) for name in names if name[3:].isdigit())

    def enable(self, event: str) -> None:
        """
        Let an event be recorded.

        :raises OSError: with the kernel's answer.
        """
        self._write(os.path.join("events", event, "enable"), "1")

    def open(self) -> None:
        """Open the buffers for reading."""
        for cpu in self._cpus():
            path = os.path.join(self._folder, "per_cpu", "cpu{}".format(cpu), "trace_pipe_raw")
            self._files[cpu] = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))

    def stop(self) -> None:
        """Record nothing from now on; what is there can still be read."""
        self._write("tracing_on", "0")

    def read(self, placed: Dict[int, Placed], *, last: bool = False) -> List[Sight]:
        """
        Take what the buffers hold now, in the order of time for each CPU.

        :param placed: probes by the number of their records.
        :param last: nothing follows: a record that waits for its stack waits in vain.
        """
        found: List[Sight] = []
        for cpu, file in self._files.items():
            before = len(self._waiting.get(cpu, ()))
            found.extend(self._sights(cpu, file, placed))
            waiting = self._waiting.get(cpu, [])
            # What has waited since the reading before this one waits in vain.
            given_up = len(waiting) if last else min(before, len(waiting))
            found.extend(waiting[:given_up])
            del waiting[:given_up]
        return found

    def _sights(self, cpu: int, file: int, placed: Dict[int, Placed]) -> Iterator[Sight]:
        """
        Pair records with the stacks behind them.

        An interrupt may come between the two and record something itself: a stack is that of the latest
        record that has none yet.
        """
        waiting = self._waiting.setdefault(cpu, [])
        for page in self._pages(file):
            for time, data in records(page, self._layout)[0]:
                (number,) = struct.unpack_from("<H", data)
                if number == _STACK:
                    if waiting:
                        yield waiting.pop()._replace(stack=_addresses(data))
                elif number in placed:
                    sight = Sight(time, cpu, placed[number], data, None)
                    if self._stacks:
                        waiting.append(sight)
                    else:
                        yield sight

    def _pages(self, file: int) -> Iterator[bytes]:
        for _ in range(_MOST_PAGES):
            try:
                page = os.read(file, self._layout.size)
            except OSError as error:
                if error.errno in {errno.EAGAIN, errno.EINTR}:
                    return
                raise
            if not page:
                return
            yield page

    def lost(self) -> int:
        """How many records were thrown away because a buffer was full, as the kernel counts them."""
        if self._files:
            self._lost = sum(self._counted(cpu) for cpu in self._files)
        return self._lost

    def _counted(self, cpu: int) -> int:
        text = read_text(os.path.join(self._folder, "per_cpu", "cpu{}".format(cpu), "stats"))
        pairs = (line.partition(":") for line in text.splitlines())
        return sum(int(value) for name, _, value in pairs if name in _COUNTED and value.strip().isdigit())

    def remove(self) -> None:
        """Close and remove the instance and all that was enabled in it; what was lost stays known."""
        with contextlib.suppress(OSError):
            self.lost()
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        if self._made:
            self._made = False
            try:
                os.rmdir(self._folder)
            except OSError:
                self._made = os.path.isdir(self._folder)


def _addresses(data: bytes) -> Tuple[int, ...]:
    """Return addresses of a stack, the innermost first."""
    (count,) = struct.unpack_from("<i", data, _STACK_AT)
    raw = data[_STACK_AT + 8 :]
    count = min(max(count, 0), len(raw) // 8)
    return struct.unpack_from("<{}Q".format(count), raw)
