"""
The verdict as one page that can be attached to a ticket.

The page refers to nothing outside itself and runs no script; a content security policy inside it says so to
the browser, so that not even a name out of a hostile dump could.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from bothways.facts.diagnosis import Diagnosis, Remedy, Status
from bothways.report.ladder import draw
from bothways.report.quote import Quotes
from bothways.report.text import headline
from bothways.report.ways import lay_out
from bothways.report.words import (
    ELLIPSIS,
    author_basis,
    author_sentence,
    author_verb,
    plain,
    problem_line,
    question_words,
    tolerance,
)

__all__ = ["render_html"]

TEMPLATE: Final = "diagnosis.html.j2"
#: a name's long tail that tells a reader nothing: a UUID
_UUID: Final = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_VERDICTS: Final = ("works", "depends", "fails")

#: id of a section -> how the table of contents calls it, and whether the page has it
_SECTIONS: Final[Mapping[str, tuple[str, Callable[[Diagnosis], object]]]] = {
    "ways": ("The way", lambda d: any(path.stops for path in d.paths)),
    "ladder": ("Packets", lambda d: d.ladder.rungs),
    "symptoms": ("What was felt", lambda d: d.symptoms),
    "chain": ("Why", lambda d: d.chain),
    "culprits": ("Culprits", lambda d: d.culprits),
    "remedies": ("Repairs", lambda d: d.remedies),
    "outcomes": ("Outcomes", lambda d: d.outcomes),
    "also": ("Also wrong", lambda d: d.also),
    "latent": ("Latent", lambda d: d.latent),
    "refuted": ("Ruled out", lambda d: d.ruled_out),
    "assumptions": ("Taken for granted", lambda d: d.assumptions),
    "unknown": ("Not known", lambda d: d.unknown),
    "next": ("To know more", lambda d: d.next),
    "clocks": ("Clocks", lambda d: d.clocks),
    "others": ("Other connections", lambda d: d.others),
    "account": (
        "Coverage",
        lambda d: d.accounted.packets or d.accounted.unexplained or d.problems,
    ),
}
#: what comes first where nothing is decided
_FIRST: Final = ("unknown", "next")


def render_html(diagnosis: Diagnosis, *, version: str = "") -> str:
    """
    Return the page as text, to be stored as UTF-8.

    :param version: of bothways, for the page's foot.
    """
    quotes = Quotes(diagnosis)
    return _template().render(
        diagnosis=diagnosis,
        status=str(diagnosis.status),
        undecided=diagnosis.status is Status.UNDETERMINED,
        headline=headline(diagnosis),
        question=question_words(diagnosis.question),
        sections=tuple(_sections(diagnosis)),
        ways=lay_out(diagnosis.paths, diagnosis.authors, diagnosis.culprits),
        drawing=draw(diagnosis.ladder, diagnosis.authors),
        healthy=draw(diagnosis.healthy, beside=diagnosis.ladder),
        remedies=_by_verdict(diagnosis.remedies),
        problems=[problem_line(problem) for problem in diagnosis.problems],
        quote=quotes,
        quote_span=quotes.of_span,
        version=version,
    )


def _sections(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    """Tell the sections that the page has, in its order."""
    first = _FIRST if diagnosis.status is Status.UNDETERMINED else ()
    for anchor in (*first, *(each for each in _SECTIONS if each not in first)):
        title, has = _SECTIONS[anchor]
        if has(diagnosis):
            yield anchor, title


def _by_verdict(remedies: tuple[Remedy, ...]) -> Mapping[str, list[Remedy]]:
    """Group remedies; a verdict of another kind stands with those that do not help."""
    groups: dict[str, list[Remedy]] = {verdict: [] for verdict in _VERDICTS}
    for remedy in remedies:
        groups[remedy.verdict if remedy.verdict in groups else _VERDICTS[-1]].append(remedy)
    return groups


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
    environment.filters["brief"] = _brief
    return environment.get_template(TEMPLATE)


def _shown(value: object) -> object:
    """Spell out control characters in whatever the template prints; markup of its own is no plain string."""
    return value if isinstance(value, Markup) else plain(str(value))


def _brief(text: str) -> Markup:
    """Shorten the UUIDs in a sentence; quotations and commands keep them whole."""
    safe = str(escape(plain(text)))
    return Markup(_UUID.sub(rf'<abbr title="\g<0>">\1{ELLIPSIS}</abbr>', safe))  # noqa: S704 (escaped above)
