"""A prediction for a terminal: every outcome, every packet, every step."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

from bothways.facts.diagnosis import Evidence, Fate
from bothways.facts.prediction import Branch, Journey, Prediction, Walk
from bothways.facts.span import Span
from bothways.facts.step import Did, Place, Step
from bothways.report.paper import Sheet
from bothways.report.prediction_json import recorded
from bothways.report.words import counted, milliseconds, question_words, shorten

__all__ = ["render_prediction_text"]

#: what happened -> its colour; these steps decide, so they quote the line that they were read from
_DECISIVE: Final = {
    Did.INVALID: "bold red",
    Did.DROPPED: "bold red",
    Did.NOT_TRANSLATED: "bold red",
    Did.UNKNOWN: "bold yellow",
    Did.TRANSLATED: "bold cyan",
    Did.ANSWERED: "bold",
    Did.DELIVERED: "bold green",
}
_TABLE: Final = "table="
#: what ``ovs-ofctl dump-flows`` tells of a flow besides its match
_COOKIE: Final = re.compile(r"\bcookie=(0x[0-9a-f]+)")
_ACTIONS: Final = re.compile(r"\bactions=(.*)", re.DOTALL)
_FATES: Final = {Fate.WORKS: "bold green", Fate.UNKNOWN: "bold yellow"}


def render_prediction_text(prediction: Prediction, *, width: int, colour: bool) -> str:
    """
    Return all outcomes, ending with a newline.

    :param width: columns of the terminal.
    :param colour: False for text without any escape sequence.
    """
    sheet = Sheet(width, colour)
    fates = sorted({str(walk.fate) for walk in prediction.walks})
    sheet.item((("PREDICTED: ", "bold"),), " or ".join(fates) or "nothing, no way could be walked", indent=0)
    sheet.line((question_words(prediction.question), ""))
    if not prediction.complete:
        sheet.paragraph("The outcomes below are not all: there are more choices than were walked.", indent=0)
    for number, walk in enumerate(prediction.walks, 1):
        _walk(sheet, walk, number, len(prediction.walks))
    return sheet.text()


def _walk(sheet: Sheet, walk: Walk, number: int, total: int) -> None:
    seen = ", the choice that a dump recorded" if recorded(walk) else ""
    name = f"Outcome {number} of {total}" if total > 1 else "The one outcome"
    sheet.heading(f"{name}: {walk.fate}{seen}", _FATES.get(walk.fate, "bold red"))
    for choice in walk.choices:
        sheet.item((("if ", ""),), choice.taken)
    if walk.why:
        sheet.item((("then ", ""),), walk.why)
    for journey in walk.journeys:
        _journey(sheet, journey)
    for assumption in walk.assumptions:
        missing = f"`{assumption.missing}` would show it" if assumption.missing else ""
        sheet.item((("taken for granted: ", "yellow"),), assumption.text, hang=3, tail=missing)
    for unknown in walk.unknown:
        sheet.item((("not known: ", "yellow"),), unknown, hang=3)


def _journey(sheet: Sheet, journey: Journey) -> None:
    sheet.space()
    way = "" if journey.way is None else f", {journey.way} direction"
    when = f", after {milliseconds(journey.at_ns)} ms" if journey.at_ns else ""
    sheet.item(((journey.name, "bold"),), f" from {journey.sender}{way}{when}: {journey.packet}", hang=5)
    for number, branch in enumerate(journey.branches):
        if number:
            sheet.line(
                (f"copy {number + 1} of {counted(len(journey.branches), 'copy', 'copies')}", ""), indent=4
            )
        _branch(sheet, branch)


def _branch(sheet: Sheet, branch: Branch) -> None:
    here: Place | None = None
    for _, group in groupby(branch.steps, _alike):
        steps = tuple(group)
        if steps[0].place != here:
            here = steps[0].place
            sheet.line((str(here), "cyan"), indent=4)
        _step(
            sheet,
            steps[0],
            ", ".join([steps[0].function, *(each.function.removeprefix(_TABLE) for each in steps[1:])]),
        )


def _alike(step: Step) -> object:
    """Tell tables apart that a packet does not merely pass: those that say the same make one line."""
    if step.did is Did.MATCHED and step.function.startswith(_TABLE) and not _changed(step):
        return step.place, step.reason, step.cell
    return id(step)


def _step(sheet: Sheet, step: Step, function: str) -> None:
    label = ((function + "  ", ""), (f"{step.did}: ", _DECISIVE.get(step.did, "")))
    flow = _flow_of(step) if function == step.function else None
    known = "" if step.cell in step.reason else step.cell
    sheet.item(label, step.reason, indent=6, hang=3, tail=known or _cookie(flow))
    if flow is not None and step.did is not Did.DROPPED:
        sheet.line((_actions(flow, sheet.width - 9), "dim"), indent=9)
    for change in _changed(step):
        sheet.line((change, "bold"), indent=9)
    if step.did in _DECISIVE:
        sheet.quotes((Evidence(span) for span in step.evidence), indent=9, most=2)


def _flow_of(step: Step) -> Span | None:
    """The line of the flow that a step tells of, as ``ovs-ofctl`` printed it; None if of none."""
    if not step.function.startswith(_TABLE) or not step.reason.startswith(f"{step.cell} matches"):
        return None
    return next((span for span in step.evidence if _ACTIONS.search(span.text)), None)


def _cookie(flow: Span | None) -> str:
    found = None if flow is None else _COOKIE.search(flow.text)
    return "" if found is None or int(found[1], 16) == 0 else f"cookie {found[1]}"


def _actions(flow: Span, room: int) -> str:
    found = _ACTIONS.search(flow.text)
    return "" if found is None else shorten(f"actions={found[1].strip()}", room)


def _changed(step: Step) -> list[str]:
    """Say what a step rewrote: addresses, ports, MACs."""
    before, after = step.before, step.after
    if after is None:
        return []
    pairs = (
        ("source", before.source, after.source),
        ("destination", before.destination, after.destination),
        ("source MAC", before.ethernet.src or None, after.ethernet.src or None),
        ("destination MAC", before.ethernet.dst or None, after.ethernet.dst or None),
    )
    return [
        f"{name} {old} -> {new}"
        for name, old, new in pairs
        if old != new and old is not None and new is not None
    ]
