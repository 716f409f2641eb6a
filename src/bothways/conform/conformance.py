"""The outcome of holding the model against many recorded or fresh sequences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bothways.conform.comparison import Difference
from bothways.conform.recording import Case, Result

if TYPE_CHECKING:
    from bothways.conform.netfilter_conformance import NetfilterConformance

__all__ = ["Conformance", "Disagreement"]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """
    One sequence, up to the first segment of which kernel and model say different things.

    :param index: of that segment, from 0.
    :param told: what the model said, segment by segment, up to and with that one.
    """

    case: Case
    index: int
    difference: Difference
    told: tuple[Result, ...]


@dataclass(slots=True)
class Conformance:
    """
    What was held, and what disagreed.

    :param subject: what of the model: ``conntrack``.
    :param cases: sequences; *checks* segments that were compared. A sequence is compared up to its first
        disagreement, because what follows it rests on another state.
    :param disagreements: sequences that disagree; *first* holds the first of them.
    :param fields: how many disagree first in which field.
    :param seconds: processor time.
    :param nat: NAT rulesets that were held beside the sequences; their numbers are not in the others.
    :param kinds: how many sequences of which class.
    """

    subject: str = "conntrack"
    cases: int = 0
    checks: int = 0
    disagreements: int = 0
    seconds: float = 0.0
    first: list[Disagreement] = field(default_factory=list)
    fields: Counter[str] = field(default_factory=Counter)
    nat: NetfilterConformance | None = None
    kinds: Counter[str] = field(default_factory=Counter)
