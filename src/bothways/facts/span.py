"""Where a fact was read, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.facts.quick import quick

__all__ = ["Kind", "Problem", "Span"]


@quick
@dataclass(frozen=True, slots=True, order=True)
class Span:
    """
    One place in the evidence.

    :param file: path inside the bundle, with ``/`` on every system.
    :param line: 1-based line of a text file, or None.
    :param frame: 1-based frame of a capture, as Wireshark counts, or None.
    :param text: the line as it reads in the file, or a packet in tcpdump's words.
    :param column: 1-based column of the part that matters, or None for the whole line.
    :param read_at: when the evidence was read, seconds since the epoch, None = unknown.
    """

    file: str
    line: int | None = None
    frame: int | None = None
    text: str = ""
    column: int | None = None
    read_at: float | None = None

    def __str__(self) -> str:
        """``file:line`` or ``file#frame``, as the report prints it."""
        if self.frame is not None:
            return f"{self.file}#{self.frame}"
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Kind(StrEnum):
    """What is wrong with a piece of evidence."""

    UNMODELLED = "not modelled"
    MALFORMED = "malformed"
    CONTRADICTION = "contradiction"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    Something in the evidence that was left out, or that does not fit the rest.

    :param message: one lower-case sentence with the offending text in backticks.
    :param hint: what to do about it; empty if nothing can be done.
    """

    kind: Kind
    span: Span
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """One line for a terminal, the hint on a line of its own."""
        text = f"{self.span}: {self.kind}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text
