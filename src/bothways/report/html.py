"""
The verdict as one page that can be attached to a ticket.

The page refers to nothing outside itself and runs no script; a content security policy inside it says so to
the browser, so that not even a name out of a hostile dump could.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from bothways.facts.diagnosis import Diagnosis, Evidence, Status
from bothways.facts.span import Span
from bothways.report.ladder import draw
from bothways.report.text import headline
from bothways.report.words import (
    age,
    author_basis,
    author_sentence,
    author_verb,
    plain,
    problem_line,
    question_words,
    shorten,
    tolerance,
)

__all__ = ["Quote", "render_html"]

TEMPLATE: Final = "diagnosis.html.j2"
#: a line longer than this is folded; a dump printed as one line of JSON would fill the page
LONGEST_QUOTE: Final = 600
#: what ends the part of a line that a column points at
_ENDS: Final = " ,;\t\"'"


@dataclass(frozen=True, slots=True)
class Quote:
    """
    One quoted line or frame.

    :param anchor: id of the first quotation of this place on the page.
    :param before: the line up to what matters; *mark* is what matters, *after* the rest.
    :param folded: the shortened line if the whole one is too long to stand open, else "".
    :param again: True if the same place was quoted further up.
    """

    anchor: str
    place: str
    age: str
    before: str
    mark: str
    after: str
    folded: str
    again: bool


@dataclass(slots=True)
class _Quotes:
    """Numbers the places of one page in the order in which it quotes them."""

    anchors: dict[Span, str] = field(default_factory=dict)

    def __call__(self, evidence: Evidence) -> Quote:
        """Return the quotation of one piece of evidence."""
        span = evidence.span
        again = span in self.anchors
        anchor = self.anchors.setdefault(span, f"e{len(self.anchors) + 1}")
        before, mark, after = _marked(span)
        folded = shorten(span.text, LONGEST_QUOTE // 2, span.column) if len(span.text) > LONGEST_QUOTE else ""
        return Quote(anchor, plain(str(span)), age(evidence), before, mark, after, folded, again)

    def of_span(self, span: Span) -> Quote:
        """Return the quotation of a place whose age is unknown."""
        return self(Evidence(span))


def render_html(diagnosis: Diagnosis, *, version: str = "") -> str:
    """
    Return the page as text, to be stored as UTF-8.

    :param version: of bothways, for the page's foot.
    """
    quotes = _Quotes()
    return _template().render(
        diagnosis=diagnosis,
        status=str(diagnosis.status),
        undecided=diagnosis.status is Status.UNDETERMINED,
        headline=headline(diagnosis),
        question=question_words(diagnosis.question),
        drawing=draw(diagnosis.ladder, diagnosis.authors),
        problems=[problem_line(problem) for problem in diagnosis.problems],
        quote=quotes,
        quote_span=quotes.of_span,
        version=version,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("bothways.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters["tolerance"] = lambda clock: tolerance(clock.low_ns, clock.high_ns)
    environment.filters["author"] = author_sentence
    environment.filters["author_verb"] = lambda author: author_verb(author.what)
    environment.filters["author_basis"] = author_basis
    return environment.get_template(TEMPLATE)


def _shown(value: object) -> object:
    """Spell out control characters in whatever the template prints; markup of its own is no plain string."""
    return value if isinstance(value, Markup) else plain(str(value))


def _marked(span: Span) -> tuple[str, str, str]:
    """Split a line around the part that its column points at."""
    text = span.text
    if span.column is None or not 0 < span.column <= len(text):
        return plain(text.strip()), "", ""
    start = span.column - 1
    end = min((place for mark in _ENDS if (place := text.find(mark, start + 1)) > 0), default=len(text))
    return plain(text[:start].lstrip()), plain(text[start:end]), plain(text[end:].rstrip())
