"""What who started the probe says to it afterwards: ``ping N``, and the end of the input."""

import os
import threading
from typing import Any, Callable, Dict, Optional

from bothways.trace.probe.clock import read_clock
from bothways.trace.probe.lines import Lines, ReaderGone

__all__ = ["listen"]


def listen(descriptor: int, lines: Lines, ended: Optional[Callable[[], None]]) -> None:
    """
    Answer pings in a thread of its own; the clocks of two hosts are bounded by how long an answer took.

    :param ended: called when the input ends; None where that means nothing.
    """

    def answer() -> None:
        try:
            with os.fdopen(descriptor, "rb", 0, closefd=False) as stream:
                for line in stream:
                    word, _, number = line.strip().partition(b" ")
                    if word == b"ping" and number.isdigit():
                        lines.now(_pong(int(number)))
        except (OSError, ValueError, ReaderGone):
            pass
        if ended is not None:
            ended()

    threading.Thread(target=answer, name="listen", daemon=True).start()


def _pong(number: int) -> Dict[str, Any]:
    clock = read_clock()
    return {"type": "pong", "ping": number, "wall_ns": clock.wall_ns, "monotonic_ns": clock.monotonic_ns}
