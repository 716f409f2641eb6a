"""The outcome of holding the tables of the model against many traced packets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bothways.conform.openflow_case import TraceCase
from bothways.conform.openflow_comparison import TraceDifference
from bothways.conform.openflow_walk import Walked

__all__ = ["TraceConformance", "TraceDisagreement", "TraceVerdict"]


@dataclass(frozen=True, slots=True)
class TraceVerdict:
    """
    What became of one case: neither *difference* nor *unknown* means that they agree.

    :param checks: how many things were compared.
    :param unknown: why the model does not claim to know what happens.
    """

    checks: int
    walked: Walked | None = None
    difference: TraceDifference | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceDisagreement:
    """One packet of which switch and model say different things."""

    case: TraceCase
    difference: TraceDifference
    walked: Walked


@dataclass(slots=True)
class TraceConformance:
    """
    What was held, and what disagreed.

    :param cases: traced packets; *checks* things that were compared.
    :param unknown: packets of which the model said that it does not know what happens. They are not counted
        as disagreements, as nothing false was said, and they do not agree either.
    :param reasons: how many of those for which reason, numbers and names left out.
    :param reach: what decided how often: actions, and fields of matches.
    :param seconds: processor time.
    """

    cases: int = 0
    checks: int = 0
    disagreements: int = 0
    unknown: int = 0
    seconds: float = 0.0
    first: list[TraceDisagreement] = field(default_factory=list)
    first_unknown: list[tuple[TraceCase, str]] = field(default_factory=list)
    fields: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    reach: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def agree(self) -> int:
        """Packets of which both say the same."""
        return self.cases - self.disagreements - self.unknown
