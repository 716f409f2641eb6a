"""
What stands around the quoted lines and frames.

The neighbours are taken from the facts that were read: every fact carries its line. Lines that no parser
understood are missing between them, and the numbers show it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from bothways.bundle import Bundle
from bothways.facts.conntrack import ConntrackEvent
from bothways.facts.device import Device
from bothways.facts.diagnosis import Diagnosis, Evidence, Excerpt
from bothways.facts.dump import Dump
from bothways.facts.iptables import Table
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Span

__all__ = ["excerpts_of"]

#: lines or frames shown on either side
AROUND: Final = 3

#: kind of row -> the spans in it, where they are more than its own
_INSIDE: Final[Mapping[type, Callable[[Any], Iterator[Span]]]] = {
    Span: lambda row: iter((row,)),
    Table: lambda row: (
        span for chain in row.chains.values() for span in (chain.span, *(rule.span for rule in chain.rules))
    ),
    ConntrackEvent: lambda row: iter((row.entry.span,)),
    Device: lambda row: iter((row.span, *(held.span for held in row.addresses))),
}


def excerpts_of(diagnosis: Diagnosis, bundle: Bundle) -> tuple[Excerpt, ...]:
    """Return an excerpt for every place that a diagnosis quotes, and whose neighbours are known."""
    cited = tuple(dict.fromkeys(_cited(diagnosis)))
    wanted = {span.file for span in cited}
    lines: dict[str, dict[int, Span]] = {}
    for span in _read(bundle, wanted):
        number = _number(span)
        if number is not None and span.file in wanted:
            lines.setdefault(span.file, {}).setdefault(number, span)
    ordered = {file: sorted(found) for file, found in lines.items()}
    excerpts = []
    for span in cited:
        number = _number(span)
        numbers = ordered.get(span.file)
        if number is None or not numbers:
            continue
        found = lines[span.file]
        above = numbers[max(0, bisect_left(numbers, number) - AROUND) : bisect_left(numbers, number)]
        below = numbers[bisect_right(numbers, number) :][:AROUND]
        if above or below:
            excerpts.append(
                Excerpt(span, tuple(found[each] for each in above), tuple(found[each] for each in below))
            )
    return tuple(excerpts)


def _number(span: Span) -> int | None:
    return span.line if span.frame is None else span.frame


def _cited(diagnosis: Diagnosis) -> Iterator[Span]:
    """Tell every place that is quoted; the same one may come several times."""
    quoted: list[Evidence] = [] if diagnosis.cause is None else [*diagnosis.cause.evidence]
    quoted += [author.frame for author in diagnosis.authors if author.frame is not None]
    quoted += [culprit.evidence for culprit in diagnosis.culprits if culprit.evidence is not None]
    quoted += [each for link in diagnosis.chain for each in link.evidence]
    quoted += [each for symptom in diagnosis.symptoms for each in symptom.evidence]
    quoted += [each for finding in (*diagnosis.also, *diagnosis.latent) for each in finding.evidence]
    quoted += [each for refuted in diagnosis.ruled_out for each in refuted.evidence]
    yield from (evidence.span for evidence in quoted)
    yield from diagnosis.accounted.unexplained


def _read(bundle: Bundle, wanted: set[str]) -> Iterator[Span]:
    """Tell the place of every fact of the files that are quoted."""
    for dump in _dumps(bundle.snapshot):
        first = next((span for row in dump for span in _spans(row)), None)
        if first is not None and first.file in wanted:
            yield from (span for row in dump for span in _spans(row))
    for capture in bundle.captures:
        if capture.source in wanted or any(s.span.file in wanted for s in capture.sightings[:1]):
            yield from (sighting.span for sighting in capture.sightings)
    yield from (frame.span for stack in bundle.stacks for frame in stack.frames)


def _spans(row: object) -> Iterator[Span]:
    inside = _INSIDE.get(type(row))
    if inside is not None:
        yield from inside(row)
        return
    span = getattr(row, "span", None)
    if isinstance(span, Span):
        yield span


def _dumps(snapshot: Snapshot) -> Iterator[Dump[Any]]:
    for host in snapshot.hosts.values():
        holders: Iterable[Any] = host.netns.values()
        if host.switch is not None:
            holders = (*holders, host.switch, *host.switch.bridges.values())
        for holder in holders:
            for each in fields(holder):
                value = getattr(holder, each.name)
                if isinstance(value, Dump):
                    yield value
