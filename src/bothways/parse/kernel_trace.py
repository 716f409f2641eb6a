"""The lines of the tracer, put together: one run on one host is one :class:`KernelTrace`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bothways.facts.kernel_event import KernelEvent
from bothways.facts.kernel_trace import (
    HostClock,
    KernelTrace,
    TraceLine,
    TraceNote,
    TraceStart,
    TraceStop,
)

__all__ = ["joined", "runs_of"]


@dataclass(slots=True)
class _Run:
    """What is known of a run while its lines are read."""

    host: str
    start: TraceStart | None = None
    stop: TraceStop | None = None
    events: list[KernelEvent] = field(default_factory=list)
    notes: list[TraceNote] = field(default_factory=list)
    clocks: list[HostClock] = field(default_factory=list)

    def done(self, file: str) -> KernelTrace:
        """Return the run; one that broke off does not know what it lost."""
        lost = None if self.stop is None else self.stop.lost
        return KernelTrace(
            self.host,
            file,
            tuple(self.events),
            self.start,
            self.stop,
            lost,
            tuple(self.notes),
            tuple(self.clocks),
        )


def runs_of(lines: Iterable[TraceLine], *, file: str, host: str | None = None) -> tuple[KernelTrace, ...]:
    """
    Sort the lines of a file by host and run.

    A line that names no host belongs to the run whose line stood before it.

    :param host: the host under which the file lies in a bundle; what the lines say themselves does not count
        then.
    """
    runs: list[_Run] = []
    open_runs: dict[str, _Run] = {}
    latest: _Run | None = None
    for line in lines:
        name = host or getattr(line, "host", None)
        if name is None:
            name = "" if latest is None else latest.host
        run = open_runs.get(name)
        if run is None or (isinstance(line, TraceStart) and (run.start is not None or run.events)):
            run = open_runs[name] = _Run(name)
            runs.append(run)
        latest = run
        _put(line, run)
    return tuple(run.done(file) for run in runs)


def _put(line: TraceLine, run: _Run) -> None:
    match line:
        case KernelEvent():
            run.events.append(line if line.host == run.host else replace(line, host=run.host))
        case TraceStart():
            run.start = line
        case TraceStop():
            run.stop = line
        case TraceNote():
            run.notes.append(line)
        case HostClock():
            run.clocks.append(line)
        case _:
            pass


def joined(runs: Iterable[KernelTrace]) -> tuple[KernelTrace, ...]:
    """
    Put together what lies in several files because a trace was rotated: runs that began at the same moment.

    The packets of such files are numbered in one row.
    """
    found: dict[object, KernelTrace] = {}
    for number, run in enumerate(runs):
        start = run.start
        key: object = number
        if start is not None and start.clock is not None:
            key = run.host, start.boot_id, start.clock.monotonic_ns
        known = found.get(key)
        found[key] = run if known is None else _together(known, run)
    return tuple(found.values())


def _together(one: KernelTrace, other: KernelTrace) -> KernelTrace:
    stop = other.stop or one.stop
    return replace(
        one,
        events=(*one.events, *other.events),
        stop=stop,
        lost=None if stop is None else stop.lost,
        notes=(*one.notes, *other.notes),
        clocks=(*one.clocks, *other.clocks),
    )
