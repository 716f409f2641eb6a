"""
The output of ``predict --as stack``: functions of a packet in each namespace, innermost first.

What Open vSwitch did is no stack of a kernel, and is passed over.
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.kernel_stack import KernelStack, StackFrame
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, lines

__all__ = ["is_predicted", "parse_predicted_stacks"]

_FIRST: Final = re.compile(r"# [^\n]*\n# outcome \d+ of \d+")
_PACKET: Final = re.compile(r"(?P<title>\S.{0,80}? from .{1,200}?): (?:IP|IP6|ARP|ethertype)\b")
_FRAME: Final = re.compile(r"    (?P<name>[A-Za-z_][\w.]*)(?:\s{2,}(?:at (?P<device>[^;\s]+))?.*)?\Z")
_PLACE: Final = re.compile(r"  (?P<place>\S[^:]*)\Z")


def is_predicted(text: str) -> bool:
    """True for the output of ``predict --as stack``."""
    return _FIRST.match(text.lstrip("\ufeff\n ")) is not None


def parse_predicted_stacks(text: str, *, file: str, read_at: float | None = None) -> Parsed[KernelStack]:
    """Read every stack; its title names packet and namespace: ``SYN from client at host1/qrouter-…``."""
    reading: Reading[KernelStack] = Reading()
    packet, place, device = "", "", None
    frames: list[StackFrame] = []

    def close() -> None:
        if frames:
            title = f"{packet} at {place}".strip()
            reading.rows.append(KernelStack(place.partition("/")[0] or None, tuple(frames), title, device))
            frames.clear()

    for span in lines(text, file=file, read_at=read_at):
        frame = _FRAME.match(span.text)
        if frame is not None and place:
            device = frame["device"] if not frames else device
            frames.append(_frame(frame["name"], span))
            continue
        close()
        reading.skip()
        headed, placed = _PACKET.match(span.text), _PLACE.match(span.text)
        if headed is not None:
            packet, place = headed["title"], ""
        elif placed is not None and not placed["place"].startswith("copy "):
            place = placed["place"]
    close()
    return reading.done()


def _frame(name: str, span: Span) -> StackFrame:
    return StackFrame(name, span)
