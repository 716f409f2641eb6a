"""The verdict for a terminal: who did it and why first, what is unsure after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import zip_longest
from typing import Final

from bothways.facts.diagnosis import (
    Author,
    Clock,
    Culprit,
    Diagnosis,
    Evidence,
    Finding,
    Outcome,
    Remedy,
    Status,
)
from bothways.facts.span import Kind
from bothways.report.paper import Sheet
from bothways.report.words import (
    author_basis,
    author_sentence,
    author_verb,
    counted,
    question_words,
    tolerance,
)

__all__ = ["headline", "render_text"]

_COLOURS: Final = {
    Status.EXPLAINED: "bold red",
    Status.HEALTHY: "bold green",
    Status.UNDETERMINED: "bold yellow",
}
_FATES: Final = {"works": "green", "unknown": "yellow"}
#: how many other connections are named before the rest is counted
MOST_OTHERS: Final = 5
#: how many unknowns and commands stand behind a verdict that is decided
MOST_SENTENCES: Final = 10


def render_text(diagnosis: Diagnosis, *, width: int, colour: bool) -> str:
    """
    Return the verdict, ending with a newline.

    :param width: columns of the terminal.
    :param colour: False for text without any escape sequence.
    """
    sheet = Sheet(width, colour)
    for section in _SECTIONS[diagnosis.status]:
        section(sheet, diagnosis)
    return sheet.text()


def headline(diagnosis: Diagnosis) -> str:
    """Return status, code, name and confidence in one line without the status' capitals."""
    cause = diagnosis.cause
    if cause is None:
        said = {
            Status.HEALTHY: "nothing stands in the way of this connection",
            Status.EXPLAINED: "explained",
            Status.UNDETERMINED: "the evidence does not decide what becomes of this connection",
        }
        return said[diagnosis.status]
    return f"{cause.code} {cause.name} ({cause.confidence})"


def _verdict(sheet: Sheet, diagnosis: Diagnosis) -> None:
    lead = "suspicion: " if diagnosis.status is Status.UNDETERMINED and diagnosis.cause else ""
    status = str(diagnosis.status).upper()
    sheet.item(
        ((f"{status}: ", _COLOURS[diagnosis.status]),),
        lead + headline(diagnosis),
        indent=0,
        style="bold",
    )
    title = f"  ({diagnosis.title})" if diagnosis.title else ""
    sheet.line((question_words(diagnosis.question), ""), (title, "dim"))
    if diagnosis.cause is not None and diagnosis.cause.summary:
        sheet.space()
        sheet.paragraph(diagnosis.cause.summary)


def _authors(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if diagnosis.authors:
        sheet.space()
    for author in diagnosis.authors:
        _author(sheet, author)


def _author(sheet: Sheet, author: Author) -> None:
    sheet.item(
        ((author_verb(author.what) + " ", "bold red"),),
        author_sentence(author),
        indent=0,
        hang=5,
        style="bold",
        tail=author_basis(author),
    )
    if author.frame is not None:
        sheet.quote(author.frame)


def _symptoms(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.symptoms:
        return
    sheet.heading("What was felt")
    for symptom in diagnosis.symptoms:
        sheet.item(((f"{symptom.code}: ", "bold"),), symptom.text, hang=3)
        sheet.quotes(symptom.evidence)


def _chain(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.chain:
        return
    sheet.heading("Why, link by link")
    for number, link in enumerate(diagnosis.chain, 1):
        sheet.item(((f"{number}. ".rjust(3), "bold"),), link.claim, tail=str(link.basis))
        sheet.quotes(link.evidence)


def _culprits(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.culprits:
        return
    groups = (
        ("without any one of them, it lives", [c for c in diagnosis.culprits if not c.together]),
        ("without all of these together, it lives", [c for c in diagnosis.culprits if c.together]),
    )
    for words, group in groups:
        if group:
            sheet.heading(f"Culprits: {words}")
            for culprit in group:
                _culprit(sheet, culprit)


def _culprit(sheet: Sheet, culprit: Culprit) -> None:
    said = culprit.text if culprit.evidence is None or not _same(culprit) else ""
    where = f"{culprit.host} {culprit.where}".strip()
    sheet.item(((f"{culprit.kind}: ", "bold"),), f"{where}: {said}" if said else where, hang=3)
    if culprit.evidence is not None:
        sheet.quote(culprit.evidence, whole=True)


def _same(culprit: Culprit) -> bool:
    """Tell whether the culprit's own words only repeat the line that is quoted below it."""
    return culprit.evidence is not None and culprit.text.strip() in culprit.evidence.span.text


def _remedies(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.remedies:
        return
    sheet.heading("What was tried in the model")
    for remedy in diagnosis.remedies:
        _remedy(sheet, remedy)


def _remedy(sheet: Sheet, remedy: Remedy) -> None:
    sheet.item(((f"{remedy.verdict}: ", "bold"),), remedy.why, hang=3)
    for change in remedy.change:
        inside = "" if change.netns == "root" else f"/{change.netns}"
        sheet.line((f"{change.host}{inside}: ", "cyan"), (change.command, ""), indent=5)
    for broken in remedy.breaks:
        sheet.item((("breaks: ", "yellow"),), broken, indent=5)


def _outcomes(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.outcomes:
        return
    amount = len(diagnosis.outcomes)
    sheet.heading("The one outcome" if amount == 1 else f"{amount} outcomes, the network chooses")
    longest = max(len(_fate(outcome)) for outcome in diagnosis.outcomes)
    for outcome in diagnosis.outcomes:
        label = (_fate(outcome) + ":").ljust(longest + 2)
        style = _FATES.get(str(outcome.fate), "red")
        sheet.item(((label, f"bold {style}"),), "; ".join(outcome.choices) or "the network has no choice")
        if outcome.why:
            sheet.paragraph(outcome.why, indent=2 + longest + 2, style="dim")


def _fate(outcome: Outcome) -> str:
    return f"{outcome.fate} (observed)" if outcome.observed else str(outcome.fate)


def _findings(title: str, pick: Callable[[Diagnosis], tuple[Finding, ...]]) -> _Section:
    def section(sheet: Sheet, diagnosis: Diagnosis) -> None:
        found = pick(diagnosis)
        if not found:
            return
        sheet.heading(title)
        for finding in found:
            sheet.item(((f"{finding.code}: ", "bold yellow"),), finding.summary, hang=3)
            sheet.quotes(finding.evidence, most=4)

    return section


def _clocks(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.clocks:
        return
    sheet.heading("Clocks")
    for clock in diagnosis.clocks:
        words = f"against {clock.relative_to} {tolerance(clock.low_ns, clock.high_ns)}"
        # Clocks that may agree move no packet, so nobody has to judge what was assumed.
        tail = "" if _may_agree(clock) else clock.assumption
        sheet.item(((f"{clock.host} ", "bold"),), words, hang=3, tail=tail)


def _may_agree(clock: Clock) -> bool:
    return (clock.low_ns is None or clock.low_ns <= 0) and (clock.high_ns is None or clock.high_ns >= 0)


def _ruled_out(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.ruled_out:
        return
    sheet.heading("Ruled out")
    for refuted in diagnosis.ruled_out:
        sheet.item(((f"{refuted.cause}: ", "bold"),), refuted.why, hang=3)
        sheet.quotes(refuted.evidence, most=2)


def _sentences(title: str, pick: Callable[[Diagnosis], tuple[str, ...]]) -> _Section:
    def section(sheet: Sheet, diagnosis: Diagnosis) -> None:
        said = pick(diagnosis)
        if not said:
            return
        sheet.heading(title)
        most = len(said) if diagnosis.status is Status.UNDETERMINED else MOST_SENTENCES
        for each in said[:most]:
            sheet.item((("- ", ""),), each)
        if len(said) > most:
            sheet.line((f"… and {len(said) - most} more in --json", "dim"), indent=2)

    return section


def _next(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.next:
        return
    sheet.heading("To know more, run")
    most = len(diagnosis.next) if diagnosis.status is Status.UNDETERMINED else MOST_SENTENCES
    shown = diagnosis.next[:most]
    for step, after in zip_longest(shown, shown[1:]):
        sheet.line((f"{step.host}# ", "cyan"), (step.command, "bold"), indent=2)
        if step.why and (after is None or after.why != step.why):
            sheet.paragraph(step.why, indent=5, style="dim")
    if len(diagnosis.next) > most:
        sheet.line((f"… and {len(diagnosis.next) - most} more in --json", "dim"), indent=2)


def _others(sheet: Sheet, diagnosis: Diagnosis) -> None:
    if not diagnosis.others:
        return
    amount = len(diagnosis.others)
    sheet.heading(f"{counted(amount, 'other connection')} in the captures (--all diagnoses them)")
    for other in diagnosis.others[:MOST_OTHERS]:
        sheet.line((other, ""), indent=2)
    if amount > MOST_OTHERS:
        sheet.line((f"… and {amount - MOST_OTHERS} more in --json", "dim"), indent=2)


def _account(sheet: Sheet, diagnosis: Diagnosis) -> None:
    accounted = diagnosis.accounted
    missed = len(accounted.unexplained)
    if accounted.packets:
        sheet.space()
        seen = f"Its packets were seen {counted(accounted.packets, 'time')}"
        said = f"{missed} not explained:" if missed else "all explained"
        sheet.line((f"{seen}, {said}", "yellow" if missed else "dim"))
        sheet.quotes((Evidence(span) for span in accounted.unexplained), most=4)
    if diagnosis.problems:
        if not accounted.packets:
            sheet.space()
        kinds = Counter(str(problem.kind) for problem in diagnosis.problems)
        shares = ", ".join(_share(kind, amount) for kind, amount in kinds.most_common())
        total = counted(len(diagnosis.problems), "problem")
        sheet.line((f"{total} in the evidence: {shares}", "dim"))


def _share(kind: str, amount: int) -> str:
    """Kinds are adjectives, one is a noun."""
    return counted(amount, kind) if kind == Kind.CONTRADICTION else f"{amount} {kind}"


_Section = Callable[[Sheet, Diagnosis], None]

_also: Final = _findings("Also wrong", lambda diagnosis: diagnosis.also)
_latent: Final = _findings("Latent: works now, may fail later", lambda diagnosis: diagnosis.latent)
_lurking: Final = _findings("Latent: may make it fail", lambda diagnosis: diagnosis.latent)
_assumptions: Final = _sentences("Taken for granted", lambda diagnosis: diagnosis.assumptions)
_unknown: Final = _sentences("Not known", lambda diagnosis: diagnosis.unknown)

#: status -> its sections in order. Where nothing is decided, what would decide it comes before the detail.
_SECTIONS: Final[dict[Status, tuple[_Section, ...]]] = {
    Status.EXPLAINED: (
        _verdict, _authors, _symptoms, _chain, _culprits, _remedies, _outcomes, _also, _latent,
        _clocks, _ruled_out, _assumptions, _unknown, _next, _others, _account,
    ),
    Status.UNDETERMINED: (
        _verdict, _authors, _unknown, _next, _symptoms, _chain, _culprits, _remedies, _outcomes, _also,
        _lurking, _clocks, _ruled_out, _assumptions, _others, _account,
    ),
    Status.HEALTHY: (_verdict, _authors, _outcomes, _also, _latent, _assumptions, _others, _account),
}  # fmt: skip
