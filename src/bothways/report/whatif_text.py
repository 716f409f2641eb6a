"""A change walked, for a terminal: the verdict, both sets of outcomes, and where the ways part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.facts.diagnosis import Change, Fate, Outcome
from bothways.facts.whatif import ChangeVerdict, WhatIf
from bothways.report.paper import Sheet
from bothways.report.words import counted, question_words

__all__ = ["render_whatif_text"]

_VERDICTS: Final = {
    ChangeVerdict.WORKS: "bold green",
    ChangeVerdict.FAILS: "bold red",
    ChangeVerdict.DEPENDS: "bold yellow",
    ChangeVerdict.UNKNOWN: "bold yellow",
}
_FATES: Final = {Fate.WORKS: "bold green", Fate.UNKNOWN: "bold yellow"}
#: departures that are shown; later packets only follow the first ones
_MOST: Final = 4


def render_whatif_text(found: WhatIf, *, width: int, colour: bool) -> str:
    """
    Return the whole answer, ending with a newline.

    :param width: columns of the terminal.
    :param colour: False for text without any escape sequence.
    """
    sheet = Sheet(width, colour)
    sheet.item((("WHAT IF: ", "bold"), (str(found.verdict), _VERDICTS[found.verdict])), "", indent=0)
    sheet.line((question_words(found.question), ""))
    sheet.paragraph(found.why, indent=0)
    sheet.heading("Change")
    if not found.change:
        sheet.paragraph("none: both walks are the same")
    for change in found.change:
        sheet.line((f"{_place(change)}: {change.command}", ""), indent=2)
    for note in found.notes:
        sheet.paragraph(note, hang=2)
    _outcomes(sheet, "Before", found.before)
    _outcomes(sheet, "After", found.after)
    if found.departures:
        sheet.heading("Where the ways part")
        for departure in found.departures[:_MOST]:
            sheet.line((departure.packet, "bold"), indent=2)
            sheet.item((("before: ", ""),), departure.before or "not sent", indent=4)
            sheet.item((("after:  ", ""),), departure.after or "not sent", indent=4)
        more = len(found.departures) - _MOST
        if more > 0:
            sheet.paragraph(f"and {counted(more, 'more packet')}; `bothways predict` shows every step before")
    if found.unknown:
        sheet.heading("Not known")
        for unknown in found.unknown:
            sheet.item((("- ", ""),), unknown)
    return sheet.text()


def _outcomes(sheet: Sheet, title: str, outcomes: Iterable[Outcome]) -> None:
    sheet.heading(title)
    for outcome in outcomes:
        seen = ", as recorded" if outcome.observed else ""
        choices = " and ".join(outcome.choices)
        label = ((f"{outcome.fate}", _FATES.get(outcome.fate, "bold red")), (f"{seen}: ", ""))
        sheet.item(label, outcome.why or "no reason found", hang=2)
        if choices:
            sheet.item((("if ", ""),), choices, indent=4)


def _place(change: Change) -> str:
    return change.host if change.netns in ("", "root") else f"{change.host}/{change.netns}"
