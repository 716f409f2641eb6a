"""A kernel call stack as dmesg, ftrace or a person's module prints it."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.span import Span

__all__ = ["KernelStack", "StackFrame"]


@dataclass(frozen=True, slots=True)
class StackFrame:
    """
    One function, innermost first. *certain* is False for ``?`` frames.

    :param time: seconds since boot as dmesg prints them, None if absent.
    """

    function: str
    span: Span
    certain: bool = True
    module: str | None = None
    time: float | None = None


@dataclass(frozen=True, slots=True)
class KernelStack:
    """
    One call stack, innermost frame first.

    :param title: the line of prose or comment above it, "" if none.
    :param device: the device that the file or title names, None if none.
    """

    host: str | None
    frames: tuple[StackFrame, ...]
    title: str = ""
    device: str | None = None

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the certain frames, innermost first."""
        return tuple(f.function for f in self.frames if f.certain)
