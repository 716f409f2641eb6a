"""
One run of the tracer: probes on one or several hosts, their lines merged as they come.

Each probe is read by a thread of its own. Events of several hosts are held back for a moment, so that those
of one packet come in the order of time as far as the clocks are known; what is later than that comes late.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from platform import node
from typing import Final, Protocol

import orjson

from bothways.correlate.kernel_identity import Translations, ends_of
from bothways.correlate.kernel_life import wall_offset
from bothways.facts.kernel_event import KernelEvent
from bothways.facts.kernel_trace import TraceLine, TraceReady, TraceStart, TraceStop
from bothways.facts.span import Problem, Span
from bothways.parse.kernel_event import TraceReader
from bothways.trace.filter_plan import FilterPlan

__all__ = ["Behind", "Ended", "Probe", "Said", "Session"]

#: How often what came is handed on, and how long events of several hosts wait for each other.
_PERIOD_S: Final = 0.05
_HOLD_S: Final = 0.2
#: Packets whose life is remembered by the filter behind the kernel part.
_MOST_REMEMBERED: Final = 200_000
#: How the line of an event begins.
_EVENT: Final = '{"type":"event"'
#: Lines that wait for those of other hosts; the last line of a host must not overtake its events.
_WAITS: Final = (KernelEvent, TraceStop)


class Ended(Protocol):
    """How a probe ended: 0 or a word, and sentences for the user."""

    @property
    def status(self) -> int | str:
        """0 if all went well."""
        ...

    @property
    def text(self) -> str:
        """What went wrong."""
        ...

    @property
    def hint(self) -> str:
        """What to do about it."""
        ...


class Probe(Protocol):
    """What runs on one host: a child process, or a connection."""

    host: str

    def lines(self) -> Iterator[str]:
        """Every line, until it ends."""
        ...

    def stop(self) -> None:
        """Ask for the end."""
        ...

    def clock(self) -> tuple[int, int] | None:
        """Bounds of its wall clock less ours, nanoseconds."""
        ...

    def end(self) -> None:
        """End it, if it has not ended by itself."""
        ...

    def ending(self) -> Ended:
        """How it ended, once there are no more lines."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """
    One line of one probe.

    :param run: index of the probe.
    :param text: the line as it is kept.
    :param line: what it says; None of an event that nobody here reads.
    :param moment_ns: when it happened on its host's wall clock, for an event; else when the event before it
        did.
    """

    run: int
    text: str
    line: TraceLine | None
    moment_ns: int = 0


@dataclass(slots=True)
class _Run:
    """What is known of one probe while it runs."""

    probe: Probe
    reader: TraceReader = field(default_factory=TraceReader)
    count: int = 0
    start: TraceStart | None = None
    offset: int | None = None
    ready: bool = False
    ended: bool = False
    host: str = ""
    latest: int = 0
    bounds: tuple[int, int] | None = None


@dataclass(slots=True)
class Behind:
    """
    The filter behind the kernel part: remembers which packets passed, so that all their events do.

    A packet passes if one of its events does, under any name that it has, and what a passing packet provoked
    passes. Events before the first passing one do not.
    """

    plan: FilterPlan
    _passed: dict[tuple[int, int], None] = field(default_factory=dict)
    _names: Translations = field(default_factory=Translations)

    def admits(self, run: int, event: KernelEvent) -> bool:
        """Whether an event passes."""
        if self.plan.exact:
            return True
        self._names.note(event)
        ids = [n for n in (event.packet_id, event.provoked_by, event.clone_of) if n is not None]
        ends = None if event.packet is None else ends_of(event.packet)
        names = () if ends is None else self._names.names.get(ends, ())
        passes = any((run, n) in self._passed for n in ids) or self.plan.admits(event, names)
        if passes and event.packet_id is not None:
            self._passed[run, event.packet_id] = None
            if len(self._passed) > _MOST_REMEMBERED:
                for old in list(self._passed)[: _MOST_REMEMBERED // 2]:
                    del self._passed[old]
        return passes


class Session:
    """
    Reads probes until all of them have ended.

    :param plan: the filter; what the kernel part could not take is filtered here.
    :param unread: hand events on as they are where nothing asks for more: several times as fast.
    """

    def __init__(self, probes: Sequence[Probe], plan: FilterPlan, *, unread: bool = False) -> None:
        self._unread = unread and plan.exact and len(probes) == 1
        self._runs = [_Run(probe) for probe in probes]
        self._behind = Behind(plan)
        self._queue: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self._held: list[tuple[float, Said]] = []
        self.left_out = 0

    @property
    def ready(self) -> bool:
        """True once every probe that still runs is attached."""
        return all(run.ready or run.ended for run in self._runs) and any(run.ready for run in self._runs)

    @property
    def over(self) -> bool:
        """True once all probes have ended."""
        return all(run.ended for run in self._runs)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Lines that were not understood."""
        return tuple(problem for run in self._runs for problem in run.reader.reading.problems)

    def stop(self) -> None:
        """Ask all probes to detach."""
        for run in self._runs:
            run.probe.stop()

    def batches(self) -> Iterator[list[Said]]:
        """
        What was said since the last batch, events in the order of time; possibly nothing.

        The lists end when all probes have ended.
        """
        for number, run in enumerate(self._runs):
            threading.Thread(target=self._follow, args=(number, run.probe), daemon=True).start()
        while not self.over:
            said = list(self._taken(_PERIOD_S))
            yield self._in_order(said, final=self.over)
        yield self._in_order([], final=True)

    def _follow(self, number: int, probe: Probe) -> None:
        """Read one probe, in a thread of its own."""
        try:
            for line in probe.lines():
                self._queue.put((number, line))
        finally:
            self._queue.put((number, None))

    def _taken(self, seconds: float) -> Iterator[Said]:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                number, text = self._queue.get(timeout=left)
            except queue.Empty:
                return
            run = self._runs[number]
            if text is None:
                run.ended = True
                yield from self._clock(number, run)
                if self.over:
                    return
            else:
                yield from self._read(number, run, text)

    def _read(self, number: int, run: _Run, text: str) -> Iterator[Said]:
        run.count += 1
        if self._unread and text.startswith(_EVENT):
            yield Said(number, text, None)
            return
        named = self._named(run, text)
        line = run.reader.read(Span("", line=run.count, text=named))
        run.reader.reading.rows.clear()
        if line is None:
            return
        if isinstance(line, KernelEvent):
            if run.offset is None:
                run.offset = wall_offset(run.start, line)
            if self._behind.admits(number, line):
                run.latest = max(run.latest, line.time_ns + run.offset)
                yield Said(number, named, line, line.time_ns + run.offset)
            else:
                self.left_out += 1
            return
        if isinstance(line, TraceStart):
            run.start, run.host = line, line.host
        yield Said(number, named, line, run.latest)
        if isinstance(line, TraceReady):
            run.ready = True
            yield from self._clock(number, run)

    def _named(self, run: _Run, text: str) -> str:
        """
        The line with its host: that by which the user named it.

        Hosts may think the same of their names (two of a lab do), and lines of several go into one stream.
        """
        given = run.probe.host
        if not given and (run.host == "" or len(self._runs) == 1):
            return text
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
        if not isinstance(said, dict):
            return text
        said["host"] = given or run.host
        return orjson.dumps(said).decode()

    def _clock(self, number: int, run: _Run) -> Iterator[Said]:
        """A line with the bounds of a host's clock, whenever more is known of it."""
        bounds = run.probe.clock()
        if bounds is None or bounds == run.bounds:
            return
        run.bounds = bounds
        row = {"type": "clock", "host": run.probe.host, "relative_to": node() or "here"}
        text = orjson.dumps({**row, "low_ns": bounds[0], "high_ns": bounds[1]}).decode()
        line = run.reader.read(Span("", line=run.count, text=text))
        if line is not None:
            yield Said(number, text, line)

    def _in_order(self, said: list[Said], *, final: bool) -> list[Said]:
        """Lines that may be handed on: all but events at once, events of several hosts after a moment."""
        now = time.monotonic()
        if len(self._runs) == 1:
            # The order of lines is that of their times but for what happened on several CPUs at once.
            return sorted(said, key=lambda each: each.moment_ns) if _only_events(said) else said
        out = [each for each in said if not isinstance(each.line, _WAITS)]
        self._held.extend((now, each) for each in said if isinstance(each.line, _WAITS))
        due = [each for since, each in self._held if final or now - since >= _HOLD_S]
        self._held = [] if final else [row for row in self._held if now - row[0] < _HOLD_S]
        return [*out, *sorted(due, key=lambda each: each.moment_ns - self._middle(each.run))]

    def _middle(self, run: int) -> int:
        bounds = self._runs[run].bounds
        return 0 if bounds is None else (bounds[0] + bounds[1]) // 2


def _only_events(said: Sequence[Said]) -> bool:
    return all(isinstance(each.line, KernelEvent) for each in said)
