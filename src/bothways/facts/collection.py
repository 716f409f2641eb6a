"""What was run to gather a bundle."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.span import Span

__all__ = ["CommandRun"]


@dataclass(frozen=True, slots=True)
class CommandRun:
    """
    One command of ``collection.jsonl``. A value that the record does not hold is None.

    :param start: seconds since the epoch on the host's clock.
    :param seconds: how long it ran.
    :param exit: exit status.
    :param octets: size of what it printed.
    """

    host: str
    netns: str
    argv: tuple[str, ...]
    span: Span
    start: float | None = None
    seconds: float | None = None
    exit: int | None = None
    octets: int | None = None
    stderr: str = ""
