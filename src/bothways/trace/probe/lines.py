"""The probe's answer: JSON, one object a line, on standard output."""

import json
import json.encoder
import os
import threading
import time
from typing import Any, Callable, Dict, List

__all__ = ["Lines", "ReaderGone"]

_LONGEST_WAIT = 0.02
_MOST_BYTES = 1 << 16


def _encoder() -> Callable[[Dict[str, Any]], str]:
    """Make what writes an object as JSON: the library's own, without being made anew for every object."""
    made = getattr(json.encoder, "c_make_encoder", None)
    if made is None:
        return json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    unsorted = complete = numbers_only = False
    write = made(None, None, json.encoder.encode_basestring, None, ":", ",", unsorted, complete, numbers_only)
    return lambda value: "".join(write(value, 0))


_encode = _encoder()


class ReaderGone(Exception):  # noqa: N818  nothing is wrong: who asked has left
    """Nobody reads any more."""


class Lines:
    """
    Writes lines; they wait for each other for at most 20 ms, or until there are many.

    :param descriptor: where they go.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: List[str] = []
        self._bytes = 0
        self._since = 0.0
        self._lock = threading.RLock()  # answers to pings come from another thread

    def add(self, line: Dict[str, Any]) -> None:
        """
        Write an object, soon.

        :raises ReaderGone: where nobody reads any more.
        """
        text = _encode(line)
        with self._lock:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(text)
            self._bytes += len(text)
            if self._bytes >= _MOST_BYTES:
                self.flush()

    def now(self, line: Dict[str, Any]) -> None:
        """Write an object and all that wait."""
        self.add(line)
        self.flush()

    def tick(self) -> None:
        """Write what has waited long enough."""
        if self._waiting and time.monotonic() - self._since >= _LONGEST_WAIT:
            self.flush()

    def flush(self) -> None:
        """
        Write what waits.

        :raises ReaderGone: where nobody reads any more.
        """
        with self._lock:
            if not self._waiting:
                return
            data = memoryview(("\n".join(self._waiting) + "\n").encode("utf-8", "backslashreplace"))
            self._waiting.clear()
            self._bytes = 0
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except BrokenPipeError as error:
                raise ReaderGone from error
