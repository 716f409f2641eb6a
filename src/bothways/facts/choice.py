"""Where the network is free to choose, and what was taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bothways.facts.span import Span

__all__ = ["Assumption", "Choice", "FirstOption", "Freedom", "Oracle"]


class Freedom(StrEnum):
    """Why more than one thing can happen."""

    FREE = "free"  # the network decides: who answers ARP first, ECMP, a free port
    UNKNOWN = "unknown"  # a fact decides that is not collected or not modelled


@dataclass(frozen=True, slots=True)
class Choice:
    """
    One point where a walk forks.

    :param key: stable name of the point, the same in every walk of one snapshot.
    :param options: what can happen, as sentences the user reads; the first is the likeliest.
    :param taken: the option that this walk took.
    :param recorded: the option that a dump says was taken (a neighbour entry), None if none does.
    """

    key: str
    freedom: Freedom
    options: tuple[str, ...]
    taken: str
    recorded: str | None = None
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Assumption:
    """
    A default that no dump shows.

    :param missing: the command that would show it.
    """

    text: str
    missing: str = ""


class Oracle(Protocol):
    """What a walk asks when the snapshot alone does not decide."""

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Return one of *options* (at least one); the walk is repeated for the others."""

    def assume(self, assumption: Assumption) -> None:
        """Note a default that was taken for granted."""


class FirstOption:
    """An oracle for walks in which nothing is free: it takes the first option and notes nothing."""

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Take the first."""
        del key, freedom, recorded, evidence
        return options[0]

    def assume(self, assumption: Assumption) -> None:
        """Leave it: whoever asks knows that the defaults hold."""
