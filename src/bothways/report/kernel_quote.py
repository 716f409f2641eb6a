"""A line of a kernel trace as it is quoted to people: its JSON in words."""

from __future__ import annotations

from bothways.capture.tcpdump_words import clock_words
from bothways.facts.kernel_event import KernelEvent
from bothways.facts.span import Span
from bothways.parse.kernel_event import TraceReader
from bothways.report.kernel_lines import event_words, packet_words

__all__ = ["in_words"]


def in_words(text: str) -> str | None:
    """
    What an event says, None if the text is none.

    >>> in_words("table=100,actions=output:5")
    """
    if not text.startswith('{"type":'):
        return None
    line = TraceReader().read(Span("", text=text))
    if not isinstance(line, KernelEvent):
        return None
    moment = "" if line.wall_ns is None else f"{clock_words(line.wall_ns)} "
    packet = "" if line.packet is None else f"{packet_words(line.packet)}: "
    device = "" if line.device is None else f"{line.device} "
    return f"{moment}{device}{packet}{event_words(line)}"
