"""A packet before a connection's tracker, what the tracker decides, and the time that it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.packet import Packet
from bothways.facts.quick import quick
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.settings import Settings
from bothways.model.linux.conntrack.tcp_judge import Judgement
from bothways.model.linux.conntrack.variant import Variant
from bothways.model.linux.hook import Hook

__all__ = ["Arrival", "Ruled", "refresh"]

_SECOND: Final = 1_000_000_000


@quick
@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet before a connection's tracker, with all that it may ask for."""

    packet: Packet
    way: Way
    hook: Hook
    now_ns: int
    settings: Settings
    variant: Variant


@quick
@dataclass(frozen=True, slots=True)
class Ruled:
    """
    What a tracker decided.

    :param why: for what it refuses or ignores, a sentence; else "".
    :param log: what the kernel prints, one line or two.
    :param evidence: lines of sysctls that decided.
    """

    valid: bool
    why: str = ""
    log: str = ""
    judgement: Judgement | None = None
    evidence: tuple[Span, ...] = ()


def refresh(connection: TrackedConnection, arrival: Arrival, *limits: str) -> None:
    """Give the connection the smallest of the times that the sysctls name; one of a fixed time keeps it."""
    if "FIXED_TIMEOUT" in connection.status:
        return
    name = min(limits, key=arrival.settings.value)
    connection.limit = name
    connection.expires_ns = arrival.now_ns + arrival.settings.value(name) * _SECOND
