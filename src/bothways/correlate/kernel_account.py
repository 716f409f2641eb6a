"""
From the traces of one or several kernels to one account: packets, deeds, partings.

>>> account(()).packets
()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bothways.correlate.kernel_clock import HostTimes, host_times, left_before
from bothways.correlate.kernel_deed import deeds_of
from bothways.correlate.kernel_identity import with_before
from bothways.correlate.kernel_life import Life
from bothways.correlate.kernel_packet import Grouped, group_events
from bothways.correlate.kernel_parting import partings_of
from bothways.correlate.kernel_provoked import provocations
from bothways.correlate.kernel_watch import watches_of
from bothways.facts.kernel_account import KernelAccount, TimedEvent, TracedPacket
from bothways.facts.kernel_event import KernelEvent
from bothways.facts.kernel_trace import KernelTrace, TraceStart

__all__ = ["account", "latencies", "same_kernel"]

_NONE: Final = (0, 0)


def account(traces: Iterable[KernelTrace]) -> KernelAccount:
    """Put the events of all traces together."""
    given = tuple(traces)
    runs = tuple(_distinct(given))
    book = group_events(runs)
    groups = book.groups
    times = host_times(runs, groups)
    provoked = provocations(groups, book.names)
    packets = tuple(
        TracedPacket(number, _events(group, times), provoked[number - 1], group.copies)
        for number, group in enumerate(groups, 1)
    )
    deeds = deeds_of(packets, watches_of(runs))
    return KernelAccount(
        packets,
        deeds,
        partings_of(packets, deeds),
        given,
        times.reference,
        times.clocks,
        times.problems,
    )


def _distinct(traces: Sequence[KernelTrace]) -> Iterator[KernelTrace]:
    """
    The traces without what a kernel told twice.

    Two names of one host, or namespaces that stand for hosts in a lab, are one kernel: it told the same to
    both.
    """
    kept: list[KernelTrace] = []
    for trace in traces:
        if not any(same_kernel(trace.start, other.start) and _together(trace, other) for other in kept):
            kept.append(trace)
            yield trace


def same_kernel(one: TraceStart | None, other: TraceStart | None) -> bool:
    """True if two hosts by name are one running kernel."""
    if one is None or other is None or one.host == other.host:
        return False
    return one.boot_id is not None and one.boot_id == other.boot_id


def _together(one: KernelTrace, other: KernelTrace) -> bool:
    """True if both ran at one time, by the clock of their kernel."""
    spans = [_span(one), _span(other)]
    return max(first for first, _ in spans) <= min(last for _, last in spans)


def _span(trace: KernelTrace) -> tuple[int, int]:
    ends = (trace.start, trace.stop)
    clocks = [end.clock for end in ends if end is not None and end.clock is not None]
    times = [*(clock.monotonic_ns for clock in clocks), *(event.time_ns for event in trace.events)]
    return min(times, default=0), max(times, default=0)


def _events(group: Grouped, times: HostTimes) -> tuple[TimedEvent, ...]:
    """
    The events of a packet in the order of its way.

    On one host the clock tells. Between hosts the headers do, as far as they can (a TTL that a router
    lowered), and then the clocks.
    """
    visits = _visits(group.lives)
    ordered: list[list[Life]] = []
    for visit in sorted(visits, key=lambda lives: _first(lives, times)):
        place = len(ordered)
        while place and _surely_before(visit, ordered[place - 1]):
            place -= 1
        ordered.insert(place, visit)
    timed: list[TimedEvent] = []
    previous: list[Life] | None = None
    shown: KernelEvent | None = None
    for visit in ordered:
        events = sorted(
            ((life, event) for life in visit for event in life.events),
            key=lambda each: (each[1].time_ns, each[1].number),
        )
        for number, (life, event) in enumerate(events):
            low, high = times.bounds(life.run, event)
            sure = True
            if not number and previous is not None:
                sure = _surely_before(previous, visit) or low > timed[-1].high_ns
            timed.append(TimedEvent(with_before(event, shown), low, high, sure))
            shown = event if event.packet is not None else shown
        previous = visit
    return tuple(timed)


def _visits(lives: Sequence[Life]) -> list[list[Life]]:
    """Lives that followed each other on one host, between two stays elsewhere."""
    visits: list[list[Life]] = []
    for life in lives:
        if visits and visits[-1][0].run == life.run:
            visits[-1].append(life)
        else:
            visits.append([life])
    return visits


def _first(lives: Sequence[Life], times: HostTimes) -> int:
    low, high = min((times.bounds(life.run, life.first) for life in lives), default=_NONE)
    return (low + high) // 2


def _surely_before(one: Sequence[Life], other: Sequence[Life]) -> bool:
    return left_before(one[0], other[0]) is True


def latencies(packet: TracedPacket) -> tuple[tuple[int, int], ...]:
    """
    For every event the time since the one before, in nanoseconds: least and most. (0, 0) for the first.

    On one host both are the same.
    """
    found = [_NONE]
    for before, after in zip(packet.events, packet.events[1:], strict=False):
        if before.event.host == after.event.host:
            gap = after.event.time_ns - before.event.time_ns
            found.append((gap, gap))
        else:
            found.append((after.low_ns - before.high_ns, after.high_ns - before.low_ns))
    return tuple(found[: len(packet.events)])
