"""What is known of another host's clock: bounds, from answers to pings."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClockBounds"]


@dataclass(slots=True)
class ClockBounds:
    """
    Bounds of the other clock less ours, nanoseconds.

    Each answer bounds it: the other clock was read after we asked and before we heard. All of them together
    are narrower, as long as both clocks run alike; where two of them exclude each other one clock has
    moved, and what holds for the whole time is as wide as both.
    """

    interval: tuple[int, int] | None = None
    moved: bool = False

    def add(self, asked_ns: int, read_ns: int, heard_ns: int) -> None:
        """Take one answer: our clock when we asked, theirs when they read it, ours when we heard."""
        low, high = read_ns - heard_ns, read_ns - asked_ns
        if low > high:
            return  # our own clock was set back meanwhile
        if self.interval is None:
            self.interval = (low, high)
            return
        known_low, known_high = self.interval
        if self.moved or low > known_high or high < known_low:
            self.moved = True
            self.interval = (min(low, known_low), max(high, known_high))
        else:
            self.interval = (max(low, known_low), min(high, known_high))
