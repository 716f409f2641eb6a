"""The tracker stepped by hand, for a terminal: one paragraph for each segment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.model.linux.conntrack.entry import CtState
from bothways.model.linux.conntrack.stepping import HandStep
from bothways.model.linux.conntrack.tcp import TcpState
from bothways.report.paper import Sheet

__all__ = ["render_conntrack_text"]

_LOOKS: Final = {CtState.INVALID: "bold red", None: "bold yellow"}
_NO_ENTRY: Final = "no entry"


def render_conntrack_text(steps: Iterable[HandStep], *, kernel: str, width: int, colour: bool) -> str:
    """
    Return all steps, ending with a newline.

    :param kernel: name of the variant whose behaviour is shown.
    """
    sheet = Sheet(width, colour)
    sheet.line((f"nf_conntrack of Linux {kernel}, TCP", "bold"))
    for number, step in enumerate(steps, 1):
        sheet.space()
        _step(sheet, number, step)
    return sheet.text()


def _step(sheet: Sheet, number: int, step: HandStep) -> None:
    segment = step.segment
    if segment.after_s:
        sheet.line((f"after {segment.after_s} s", "dim"), indent=5)
    change = f"{_name(step.before)} -> {_name(step.after)}"
    sheet.line(
        (f"{number:>2}  ", ""),
        (f"{segment.text:<8} ", "bold"),
        (f"{change:<28} ", ""),
        (_verdict(step), _LOOKS.get(step.verdict, "bold green")),
    )
    sheet.item((), step.why, indent=5, tail=step.cell)
    if step.log:
        sheet.item((("log: ", "dim"),), step.log, indent=5)
    if step.after is not TcpState.NONE and step.verdict is not None:
        lives = "" if step.expires_s is None else f", lives {step.expires_s} s on"
        bits = ", ".join(step.status) or "no answer seen"
        sheet.item((("entry: ", "dim"),), f"{bits}{lives}", indent=5)


def _verdict(step: HandStep) -> str:
    if step.verdict is None:
        return "not seen"
    if step.verdict is CtState.INVALID:
        return "INVALID: not translated"
    return f"{step.verdict}" if step.moved else f"{step.verdict}, only let through"


def _name(state: TcpState) -> str:
    return _NO_ENTRY if state is TcpState.NONE else str(state)
