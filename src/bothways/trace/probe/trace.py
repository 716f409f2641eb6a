"""The verb ``trace``: attach, tell what happens, detach."""

import os
import signal
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from bothways.trace.probe.clock import Clock, read_clock
from bothways.trace.probe.lines import Lines, ReaderGone
from bothways.trace.probe.options import Options
from bothways.trace.probe.tiers import Tier

__all__ = ["SCHEMA", "Source", "Stop", "run", "start_line"]

SCHEMA = "bothways/trace/1"

_PERIOD = 0.02
_COUNT_LOST_EVERY = 0.5
_LOOK_UP_EVERY = 64  # events between two looks at the clock


class Source:
    """
    What tells events: attached programs, or the kernel's own tracing.

    ``tier`` is the best tier that is used, ``tiers`` what was tried, ``probes`` what was asked to attach and
    what became of it, as the start line has them.
    """

    tier: str
    tiers: Sequence[Tier]
    probes: Sequence[Dict[str, Any]]

    def events(self, seconds: float) -> Iterator[Dict[str, Any]]:
        """Tell what has happened, oldest first; waits for *seconds* where there is nothing."""
        raise NotImplementedError

    def counters(self) -> Dict[str, int]:
        """How often programs ran (``seen``), and how many events could not be kept (``lost``)."""
        raise NotImplementedError

    def detach(self) -> None:
        """Stop watching; what was gathered until then can still be told."""
        raise NotImplementedError

    def problems(self) -> List[Dict[str, Any]]:
        """What came up that the user should know, once each."""
        return []

    def cost(self) -> Optional[Dict[str, Any]]:
        """What it cost the host; None where it was not measured."""
        return None

    def namespaces(self) -> Dict[str, str]:
        """Names of the namespaces that were seen, by inode."""
        return {}

    def close(self) -> None:
        """Give back what is left."""


class Stop:
    """Why and when to end: a signal, the end of the input, or the time."""

    def __init__(self, timeout: Optional[float]) -> None:
        self._timeout = timeout
        self._deadline: Optional[float] = None
        self._asked = 0

    def begin(self) -> None:
        """Let the time run from now on."""
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout

    def ask(self, *_: object) -> None:
        """Ask for the end; the second time, for an end without telling what was gathered."""
        self._asked += 1

    def on_signals(self) -> None:
        """Let signals ask."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.ask)

    @property
    def asked(self) -> bool:
        """Whether to end."""
        return self._asked > 0 or (self._deadline is not None and time.monotonic() >= self._deadline)

    @property
    def at_once(self) -> bool:
        """Whether to leave what was gathered untold."""
        return self._asked > 1


class _Told(NamedTuple):
    events: int
    lost: int


def run(options: Options, source: Source, lines: Lines, stop: Stop, since: float) -> None:
    """
    Tell what *source* sees until asked to stop.

    :param source: attached already.
    :param since: when the process began, by the monotonic clock, seconds.
    """
    clock = read_clock()
    host = os.uname().nodename
    begun = time.monotonic()
    lines.add(dict(start_line(source, clock), only=options.only()))
    for problem in [*options.problems(), *source.problems()]:
        lines.add(dict(problem, type="problem"))
    lines.now({"type": "ready", "seconds": round(time.monotonic() - since, 3)})
    stop.begin()
    told = _Told(0, 0)
    try:
        told = _tell(options, source, lines, stop, _Header(host, clock))
    except ReaderGone:
        stop.ask()
    source.detach()
    clock = read_clock()
    try:
        told = _tell_rest(options, source, lines, stop, _Header(host, clock), told)
        lines.now(_stop_line(source, told, begun, clock))
    except ReaderGone:
        pass
    source.close()


class _Header(NamedTuple):
    host: str
    clock: Clock


def _tell(options: Options, source: Source, lines: Lines, stop: Stop, header: _Header) -> _Told:
    told = _Told(0, 0)
    next_count = time.monotonic() + _COUNT_LOST_EVERY
    while not stop.asked:
        for event in source.events(_PERIOD):
            told = told._replace(events=told.events + 1)
            lines.add(_numbered(event, told.events, header))
            if options.count is not None and told.events >= options.count:
                return told
            if told.events % _LOOK_UP_EVERY == 0:
                lines.tick()
                if stop.asked:
                    return told
                if time.monotonic() >= next_count:
                    break
        lines.tick()
        if time.monotonic() >= next_count:
            next_count = time.monotonic() + _COUNT_LOST_EVERY
            told = _tell_lost(source, lines, told)
            for problem in source.problems():
                lines.add(dict(problem, type="problem"))
    return told


def _tell_rest(
    options: Options, source: Source, lines: Lines, stop: Stop, header: _Header, told: _Told
) -> _Told:
    """Tell what was gathered before the end and not told yet."""
    full = options.count is not None and told.events >= options.count
    while not full and not stop.at_once:
        some = False
        for event in source.events(0):
            some = True
            told = told._replace(events=told.events + 1)
            lines.add(_numbered(event, told.events, header))
            full = options.count is not None and told.events >= options.count
            if full or stop.at_once:
                break
        if not some:
            break
    for problem in source.problems():
        lines.add(dict(problem, type="problem"))
    return _tell_lost(source, lines, told)


def _numbered(event: Dict[str, Any], number: int, header: _Header) -> Dict[str, Any]:
    event["type"] = "event"
    event["n"] = number
    event["host"] = header.host
    event["wall_ns"] = header.clock.wall(event["time_ns"])
    return event


def _tell_lost(source: Source, lines: Lines, told: _Told) -> _Told:
    lost = source.counters()["lost"]
    if lost > told.lost:
        lines.add({"type": "lost", "lost": lost - told.lost, "total": lost})
    return told._replace(lost=lost)


def start_line(source: Source, clock: Optional[Clock] = None) -> Dict[str, Any]:
    """Say what is attached, where, and what is not."""
    return {
        "type": "start",
        "schema": SCHEMA,
        "host": os.uname().nodename,
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "boot_id": _boot_id(),
        "tier": source.tier,
        "tiers": [tier.as_json() for tier in source.tiers],
        "probes": list(source.probes),
        "clock": (clock or read_clock()).as_json(),
    }


def _stop_line(source: Source, told: _Told, begun: float, clock: Clock) -> Dict[str, Any]:
    return {
        "type": "stop",
        "events": told.events,
        "lost": told.lost,
        "seen": source.counters()["seen"],
        "seconds": round(time.monotonic() - begun, 3),
        "namespaces": source.namespaces(),
        "clock": clock.as_json(),
        "cost": source.cost(),
    }


def _boot_id() -> Optional[str]:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
