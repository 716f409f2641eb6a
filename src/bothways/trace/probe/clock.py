"""The clocks of the traced host: the one that events carry, and the one that people read."""

import time
from typing import Dict, NamedTuple

__all__ = ["Clock", "read_clock"]

_TRIES = 5


class Clock(NamedTuple):
    """
    One reading of both clocks, nanoseconds: the monotonic one, and the wall's at the same time.

    ``width_ns`` is how far apart they may have been read.
    """

    monotonic_ns: int
    wall_ns: int
    width_ns: int

    def wall(self, monotonic_ns: int) -> int:
        """Tell the wall's time of an event by its monotonic time."""
        return self.wall_ns + monotonic_ns - self.monotonic_ns

    def as_json(self) -> Dict[str, int]:
        """Write it as lines of the start and the stop have it."""
        return {"monotonic_ns": self.monotonic_ns, "wall_ns": self.wall_ns, "width_ns": self.width_ns}


def read_clock() -> Clock:
    """Read both clocks, several times, and keep the reading whose ends lie nearest."""
    best = None
    for _ in range(_TRIES):
        before = _now(time.CLOCK_MONOTONIC)
        wall = _now(time.CLOCK_REALTIME)
        after = _now(time.CLOCK_MONOTONIC)
        if best is None or after - before < best.width_ns:
            best = Clock((before + after) // 2, wall, after - before)
    assert best is not None  # noqa: S101  there was at least one try
    return best


if hasattr(time, "clock_gettime_ns"):

    def _now(clock: int) -> int:
        return time.clock_gettime_ns(clock)

else:  # Python 3.6; a float of the wall's seconds is exact to a quarter of a microsecond

    def _now(clock: int) -> int:
        return int(time.clock_gettime(clock) * 1_000_000_000)
