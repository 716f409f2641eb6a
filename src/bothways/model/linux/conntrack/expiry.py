"""An entry that was over when it was met: it goes then, and the packet before it is told so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import TrackedConnection

__all__ = ["NOTHING_GONE", "Found", "Gone"]


@dataclass(frozen=True, slots=True)
class Gone:
    """An entry that was over; without a sentence, none was."""

    why: str = ""
    evidence: tuple[Span, ...] = ()

    def then(self, why: str) -> str:
        """The sentence about a packet, behind the one about the entry that was over."""
        return f"{self.why}; {why}" if self.why else why


NOTHING_GONE: Final = Gone()
#: What a look-up gives: what went, and the connection with the direction in which it was found.
Found = tuple[Gone, tuple[TrackedConnection, Way] | None]
