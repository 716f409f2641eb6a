"""What becomes of a connection after a change that nobody made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.facts.diagnosis import Change, Outcome
from bothways.facts.question import Question

__all__ = ["ChangeVerdict", "Departure", "WhatIf"]


class ChangeVerdict(StrEnum):
    """
    What a change does to a connection.

    ``works``: it works with the choices that were recorded, and no choice that worked before fails now.
    ``fails``: it fails with the choices that were recorded.
    ``depends``: it works as recorded, but another choice of the network that worked before fails now.
    ``unknown``: the evidence does not say what it does.
    """

    WORKS = "works"
    FAILS = "fails"
    DEPENDS = "depends"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Departure:
    """
    The first step of one packet that differs after the change.

    :param packet: as a prediction names it: ``SYN``, ``SYN/ACK`` …, with its way.
    :param before: place, function and reason; "" if the packet was not sent.
    """

    packet: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """
    A connection before and after changes, both walked.

    :param change: where each command would be run, in order.
    :param before: outcomes by the choices of the network; *after* the same with the change.
    :param departures: where the recorded outcome leaves its way of before.
    :param notes: what goes with the change, one sentence each.
    """

    question: Question
    change: tuple[Change, ...]
    before: tuple[Outcome, ...]
    after: tuple[Outcome, ...]
    verdict: ChangeVerdict
    why: str
    departures: tuple[Departure, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
