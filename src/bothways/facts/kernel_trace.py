"""One run of the tracer on one host: how it asked, what it saw, what it lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.kernel_event import KernelEvent
from bothways.facts.span import Span

__all__ = [
    "HostClock",
    "KernelTrace",
    "Moment",
    "ProbeState",
    "ProgramCost",
    "Tier",
    "TraceLine",
    "TraceLost",
    "TraceNote",
    "TraceReady",
    "TraceStart",
    "TraceStop",
]


@dataclass(frozen=True, slots=True)
class Moment:
    """One host's clocks, read together: the wall clock lay within *width_ns* behind *wall_ns*."""

    monotonic_ns: int
    wall_ns: int
    width_ns: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """A way to ask the kernel, and why it cannot be used."""

    name: str
    usable: bool
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeState:
    """One probe: attached, or why not. Without a tier it could not be attached in any."""

    probe: str
    event: str
    attached: bool
    tier: str | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class TraceStart:
    """
    The first line of a run.

    :param only: what the run was narrowed to: ``events`` (words), ``netns``, ``device``, and ``count`` at
        which it ends; empty = nothing, None = not told.
    """

    span: Span
    host: str
    schema: str
    kernel: str | None = None
    machine: str | None = None
    boot_id: str | None = None
    tier: str | None = None
    tiers: tuple[Tier, ...] = ()
    probes: tuple[ProbeState, ...] = ()
    clock: Moment | None = None
    only: Mapping[str, object] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class TraceReady:
    """All probes are attached; what happens from here on is seen."""

    span: Span
    host: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TraceLost:
    """Events that the kernel could not hand over: *lost* since the last such line, *total* so far."""

    span: Span
    lost: int
    total: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class TraceNote:
    """What the probe itself complained about."""

    span: Span
    text: str
    hint: str = ""
    host: str | None = None


@dataclass(frozen=True, slots=True)
class HostClock:
    """Bounds of a host's wall clock less another's; None = not bounded on that side."""

    span: Span
    host: str
    relative_to: str
    low_ns: int | None = None
    high_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramCost:
    """What one program cost: runs, and nanoseconds in all of them."""

    probe: str
    runs: int
    ns: int


@dataclass(frozen=True, slots=True)
class TraceStop:
    """
    The last line of a run.

    :param seen: packets that programs looked at, also those that the filter left out.
    :param namespaces: inode -> name, of all that were met.
    :param cost: empty if it was not measured.
    """

    span: Span
    host: str | None = None
    events: int | None = None
    lost: int | None = None
    seen: int | None = None
    seconds: float | None = None
    namespaces: Mapping[str, str] = field(default_factory=dict)
    clock: Moment | None = None
    cost: tuple[ProgramCost, ...] = ()


TraceLine = TraceStart | TraceReady | KernelEvent | TraceLost | TraceNote | HostClock | TraceStop


@dataclass(frozen=True, slots=True)
class KernelTrace:
    """
    What one host told in one run.

    :param file: the file inside the bundle, "" of a run that goes on.
    :param lost: events that are known to be missing; None if nothing says how many, as the run broke off.
    :param clocks: bounds that were measured while it ran.
    """

    host: str
    file: str
    events: tuple[KernelEvent, ...] = ()
    start: TraceStart | None = None
    stop: TraceStop | None = None
    lost: int | None = None
    notes: tuple[TraceNote, ...] = ()
    clocks: tuple[HostClock, ...] = ()

    @property
    def tier(self) -> str | None:
        """How the kernel was asked, None if the first line is missing."""
        return None if self.start is None else self.start.tier
