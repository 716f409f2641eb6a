"""
Quoted lines and frames, as a page shows them.

A place is quoted in full where it first comes up, with what stands around it; from then on a link leads back
there, and from there to every other use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.diagnosis import Diagnosis, Evidence
from bothways.facts.span import Span
from bothways.report.words import age, plain, shorten

__all__ = ["Line", "Quote", "Quotes", "Use"]

#: letters of a line that stand open; the whole line is one click away
SUMMARY: Final = 138
#: letters of a line that has to stand whole; a dump printed as one line of JSON would fill the page
WHOLE: Final = 600
#: letters of a neighbour: it only shows where one is
NEIGHBOUR: Final = 300
#: what ends the part of a line that a column points at
_ENDS: Final = " ,;\t\"'"


@dataclass(frozen=True, slots=True)
class Use:
    """Where a place is quoted: the id of that part of the page, and how to call it."""

    anchor: str
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of an excerpt.

    :param before: the line up to what matters; *mark* is what matters, *after* the rest.
    :param quoted: True for the line that the excerpt is about.
    """

    number: int | None
    before: str
    mark: str = ""
    after: str = ""
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """
    One quoted line or frame.

    :param anchor: id of the first quotation of this place on the page.
    :param summary: the line, shortened to what stands open.
    :param whole: the line as it stands where it has to be read whole.
    :param lines: the line with its neighbours.
    :param unit: ``line`` or ``frame``.
    :param again: True if the same place was quoted further up.
    :param uses: where else it is quoted, if it is.
    """

    anchor: str
    place: str
    age: str
    summary: str
    whole: str
    lines: tuple[Line, ...]
    unit: str
    again: bool
    uses: tuple[Use, ...]


@dataclass(slots=True)
class Quotes:
    """Numbers the places of one page in the order in which it quotes them."""

    diagnosis: Diagnosis
    anchors: dict[Span, str] = field(default_factory=dict)
    _around: dict[Span, tuple[tuple[Span, ...], tuple[Span, ...]]] = field(default_factory=dict)
    _uses: dict[Span, dict[Use, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look up neighbours and uses once."""
        for excerpt in self.diagnosis.excerpts:
            self._around[excerpt.span] = (excerpt.before, excerpt.after)
        for use, span in _uses(self.diagnosis):
            self._uses.setdefault(span, {})[use] = None

    def __call__(self, evidence: Evidence) -> Quote:
        """Return the quotation of one piece of evidence."""
        span = evidence.span
        again = span in self.anchors
        anchor = self.anchors.setdefault(span, f"e{len(self.anchors) + 1}")
        uses = tuple(self._uses.get(span, ()))
        return Quote(
            anchor,
            plain(str(span)),
            age(evidence),
            shorten(span.text, SUMMARY, span.column),
            shorten(span.text, WHOLE, span.column),
            () if again else tuple(self._lines(span)),
            "line" if span.frame is None else "frame",
            again,
            uses if len(uses) > 1 else (),
        )

    def of_span(self, span: Span) -> Quote:
        """Return the quotation of a place whose age is unknown."""
        return self(Evidence(span))

    def _lines(self, span: Span) -> Iterator[Line]:
        above, below = self._around.get(span, ((), ()))
        yield from (_neighbour(each) for each in above)
        yield Line(span.line if span.frame is None else span.frame, *_marked(span), quoted=True)
        yield from (_neighbour(each) for each in below)


def _neighbour(span: Span) -> Line:
    return Line(span.line if span.frame is None else span.frame, shorten(span.text, NEIGHBOUR))


def _uses(diagnosis: Diagnosis) -> Iterator[tuple[Use, Span]]:
    """Tell every quotation of a page: where it stands, and what it quotes."""
    for number, author in enumerate(diagnosis.authors, 1):
        if author.frame is not None:
            yield Use(f"author{number}", "who did it"), author.frame.span
    parts = (
        ("symptom", "what was felt", [each.evidence for each in diagnosis.symptoms]),
        ("link", "link", [each.evidence for each in diagnosis.chain]),
        ("also", "also wrong", [each.evidence for each in diagnosis.also]),
        ("latent", "latent", [each.evidence for each in diagnosis.latent]),
        ("refuted", "ruled out", [each.evidence for each in diagnosis.ruled_out]),
    )
    for prefix, words, quoted in parts:
        for number, several in enumerate(quoted, 1):
            for evidence in several:
                yield Use(f"{prefix}{number}", f"{words} {number}"), evidence.span
    for number, culprit in enumerate(diagnosis.culprits, 1):
        if culprit.evidence is not None:
            yield Use(f"culprit{number}", f"culprit {number}"), culprit.evidence.span


def _marked(span: Span) -> tuple[str, str, str]:
    """Split a line around the part that its column points at."""
    text = span.text
    if span.column is None or not 0 < span.column <= len(text):
        return plain(text.strip()), "", ""
    start = span.column - 1
    end = min((place for mark in _ENDS if (place := text.find(mark, start + 1)) > 0), default=len(text))
    return plain(text[:start].lstrip()), plain(text[start:end]), plain(text[end:].rstrip())
