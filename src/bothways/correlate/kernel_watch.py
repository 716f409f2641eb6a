"""
What one host's trace would have shown: from what does not stand in it something follows only then.

A profile, ``--netns`` and ``--device`` leave events out, a ring that was full loses some, and ``-c`` ends a
trace in the middle of what goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.kernel_event import Happening
from bothways.facts.kernel_trace import KernelTrace, TraceStart

__all__ = ["Watch", "watches_of"]

#: The tier that notes how every packet ends, and tells it to those who ask for it only.
_NOTES_ENDS: Final = "tracefs"
#: Members of the start line's ``only`` that leave places out.
_PLACES: Final = ("netns", "device")
#: Devices of at least two namespaces at which a trace saw something that was not narrowed to one of them.
_MANY: Final = 3


@dataclass(frozen=True, slots=True)
class Watch:
    """
    What is told of one host.

    :param events: kinds of events of which at least one probe was attached, and that were asked for.
    :param whole: every one of these events is there that happened in a namespace of which any is told.
    :param everywhere: all namespaces are told of.
    :param until_ns: up to when, by the host's monotonic clock; None if nothing says so.
    """

    events: frozenset[str] = frozenset()
    whole: bool = False
    everywhere: bool = False
    until_ns: int | None = None

    def shows(self, *happenings: Happening, elsewhere: bool = True) -> bool:
        """
        Whether none of these kinds of events can have happened without being told.

        :param elsewhere: also in namespaces of which nothing was seen.
        """
        whole = self.whole and (self.everywhere or not elsewhere)
        return whole and self.events.issuperset(happenings)

    def went_on(self, time_ns: int, least_ns: int) -> bool:
        """Whether the host was watched for so long after a moment."""
        return self.until_ns is not None and self.until_ns - time_ns >= least_ns


def watches_of(traces: Iterable[KernelTrace]) -> dict[str, Watch]:
    """By host. Of a host with several traces nothing can be said: they may not join."""
    found: dict[str, Watch] = {}
    for trace in traces:
        found[trace.host] = Watch() if trace.host in found else _watch(trace)
    return found


def _watch(trace: KernelTrace) -> Watch:
    start = trace.start
    if start is None:
        return Watch(until_ns=_until(trace))
    only = start.only
    events = {probe.event for probe in start.probes if probe.attached}
    if only is None:
        # An older tracer does not tell what it was asked for; some probes are attached in any case.
        events &= {event.happening for event in trace.events} | _asked_alone(start)
    elif only.get("events"):
        events &= _words(only, "events")
    elif start.tier == _NOTES_ENDS:
        events.discard(Happening.CONSUME)
    many = only is None and _many_places(trace)
    narrowed = {key: not many if only is None else bool(only.get(key)) for key in _PLACES}
    return Watch(
        frozenset(events),
        whole=trace.lost == 0 and not narrowed["device"],
        everywhere=not narrowed["netns"],
        until_ns=_until(trace),
    )


def _asked_alone(start: TraceStart) -> set[str]:
    """Kinds of events whose probes are attached only where they are asked for."""
    always = {Happening.DROP, Happening.CONSUME, Happening.QUEUE, Happening.RECEIVE}
    return {probe.event for probe in start.probes} - always


def _many_places(trace: KernelTrace) -> bool:
    """Whether events of so many places are there that they were not narrowed down to one of them."""
    places = {(event.netns, event.device) for event in trace.events if event.device is not None}
    return len({netns for netns, _ in places}) > 1 and len(places) >= _MANY


def _words(only: Mapping[str, object], key: str) -> set[str]:
    value = only.get(key)
    return {str(each) for each in value} if isinstance(value, list | tuple) else set()


def _until(trace: KernelTrace) -> int | None:
    """
    When the trace ended.

    One that ended at a number of events, and one of which some were cut off behind the probe, ended with its
    last event.
    """
    stop = trace.stop
    if stop is None or stop.clock is None:
        return None
    only = {} if trace.start is None or trace.start.only is None else trace.start.only
    counted = only.get("count") is not None and only.get("count") == stop.events
    if not counted and stop.events in (None, len(trace.events)):
        return stop.clock.monotonic_ns
    return max((event.time_ns for event in trace.events), default=None)
