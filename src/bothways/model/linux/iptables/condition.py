"""What all conditions of rules share: three values, ``!``, and ranges."""

from __future__ import annotations

from collections.abc import Callable

from bothways.facts.iptables import Match, Rule
from bothways.model.linux.iptables.probe import Probe

__all__ = ["Fulfils", "maybe", "within"]

#: A row: does a packet fulfil a match of a rule? None if that cannot be told.
Fulfils = Callable[[Probe, Match, Rule], bool | None]


def maybe(answer: bool | None, match: Match) -> bool | None:  # noqa: FBT001 - three-valued
    """The answer with the rule's ``!`` applied."""
    return None if answer is None else answer is not match.negate


def within(number: int, span: object) -> bool | None:
    """Whether a number is in ``(low, high)``, both ends included; None if that is no span."""
    if not isinstance(span, tuple) or len(span) != 2:  # noqa: PLR2004 - low and high
        return None
    low, high = span
    return bool(low <= number <= high)
