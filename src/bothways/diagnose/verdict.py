"""What one cause has to say of a case."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.diagnosis import Author, Cause, Culprit, Link

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    A cause with all that carries it.

    :param gaps: what keeps it from being proved, one sentence each.
    :param place: host and namespace where it goes wrong, None if it is no namespace.
    """

    cause: Cause
    chain: tuple[Link, ...]
    author: Author | None
    culprits: tuple[Culprit, ...]
    gaps: tuple[str, ...] = ()
    place: tuple[str, str] | None = None
