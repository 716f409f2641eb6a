"""A TCP segment as a person writes it down: flags, direction, length."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.packet import Flag
from bothways.facts.trajectory import Way

__all__ = ["WrittenSegment"]


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """
    One segment of a connection that nobody captured.

    :param way: ORIGINAL for a segment of the client.
    :param length: bytes of payload.
    :param seen: False for a segment that its receiver got and the tracker did not see.
    :param after_s: seconds that pass before it.
    :param text: as it was written, *column* where, from 1.
    """

    flags: Flag
    way: Way
    length: int = 0
    seen: bool = True
    after_s: int = 0
    text: str = ""
    column: int = 1
