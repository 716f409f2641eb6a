"""Turn spans into evidence with an age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bothways.facts.diagnosis import Evidence
from bothways.facts.sighting import Sighting
from bothways.facts.span import Span

__all__ = ["Ages"]


@dataclass(frozen=True, slots=True)
class Ages:
    """
    How old evidence is.

    :param packet_s: time of the packet that the case is about, seconds since the epoch; None if
        captures tell only the time of day.
    """

    packet_s: float | None = None

    def of(self, span: Span) -> Evidence:
        """One quoted line or frame."""
        if span.read_at is None or self.packet_s is None:
            return Evidence(span)
        return Evidence(span, round(span.read_at - self.packet_s, 3))

    def all(self, *spans: Span | Sighting | Iterable[Span] | None) -> tuple[Evidence, ...]:
        """Evidence of several places, each once, in order; None is passed over."""
        found: dict[Span, None] = {}
        for item in spans:
            if item is None:
                continue
            if isinstance(item, Span):
                found.setdefault(item)
            elif isinstance(item, Sighting):
                found.setdefault(item.span)
            else:
                for span in item:
                    found.setdefault(span)
        return tuple(self.of(span) for span in found)
