"""
Times of several hosts on one clock, as far as that can be known.

Each host stamps events with its own clocks. Bounds come from the measurement at start and end (``clock``
lines) and from packets: none arrives before it left. What lies within these bounds stays open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bothways.correlate.clock import bound_clocks
from bothways.correlate.kernel_life import Life, wall_offset
from bothways.correlate.kernel_packet import Grouped
from bothways.correlate.passing import Differences
from bothways.facts.diagnosis import Clock
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.span import Problem, Span

__all__ = ["HostTimes", "host_times", "left_before"]

_OUT = frozenset(
    {Happening.XMIT, Happening.VXLAN_ENCAP, Happening.OVS_ACTION, Happening.RST_SENT, Happening.ICMP_SENT}
)
_IN = frozenset({Happening.RECEIVE, Happening.OVS_RECEIVE, Happening.IP_RECEIVE, Happening.VXLAN_DECAP})


@dataclass(frozen=True, slots=True)
class HostTimes:
    """
    How events are put on the clock of the reference host.

    :param walls: run -> what to add to its monotonic times to get seconds since the epoch on its own clock.
    :param clocks: of all hosts but the reference.
    """

    reference: str
    walls: Mapping[int, int] = field(default_factory=dict)
    clocks: tuple[Clock, ...] = ()
    problems: tuple[Problem, ...] = ()

    def bounds(self, run: int, event: KernelEvent) -> tuple[int, int]:
        """Earliest and latest moment of an event on the reference host's wall clock."""
        there = event.time_ns + self.walls.get(run, 0)
        clock = next((c for c in self.clocks if c.host == event.host), None)
        if clock is None:
            return there, there
        low, high = clock.low_ns, clock.high_ns
        if low is None and high is None:
            return there, there
        # An open side is taken for the other one: the bound that there is beats none.
        early = there - (high if high is not None else low or 0)
        late = there - (low if low is not None else high or 0)
        return early, late


def host_times(traces: Sequence[KernelTrace], groups: Sequence[Grouped]) -> HostTimes:
    """Bound the clocks of all hosts that told something."""
    walls = {
        run: wall_offset(trace.start, next(iter(trace.events), None)) for run, trace in enumerate(traces)
    }
    hosts = list(dict.fromkeys(trace.host for trace in traces if trace.events or trace.start is not None))
    if not hosts:
        return HostTimes("")
    measured = [clock for trace in traces for clock in trace.clocks]
    reference = next((clock.relative_to for clock in measured if clock.relative_to in hosts), hosts[0])
    if len(hosts) == 1:
        return HostTimes(reference, walls)
    differences = Differences()
    for number, clock in enumerate(measured):
        if clock.high_ns is not None:
            differences.note(clock.relative_to, clock.host, clock.high_ns, -1 - number)
        if clock.low_ns is not None:
            differences.note(clock.host, clock.relative_to, -clock.low_ns, -1 - number)
    for number, group in enumerate(groups):
        _note_packet(differences, group, walls, number)
    every = list(dict.fromkeys([*hosts, *(clock.relative_to for clock in measured)]))
    places = {host: _place(host, traces) for host in every}
    clocks, problems = bound_clocks(differences, every, reference, places)
    return HostTimes(reference, walls, tuple(c for c in clocks if c.host in hosts), problems)


def _place(host: str, traces: Iterable[KernelTrace]) -> Span:
    for trace in traces:
        if trace.host == host:
            if trace.start is not None:
                return trace.start.span
            if trace.events:
                return trace.events[0].span
    return Span("")


def left_before(one: Life, other: Life) -> bool | None:
    """
    Whether a packet was on the first life's host before it came to the other's. None = headers do not tell.

    A router lowers the TTL. Where it is the same, a life that only sends comes before one that receives.
    """
    leaving, arriving = _ttl(one), _ttl(other)
    if leaving is not None and arriving is not None and leaving != arriving:
        return leaving > arriving
    sends, takes = _began_here(one), _began_here(other)
    return None if sends is takes else sends


def _began_here(life: Life) -> bool:
    """True if a life did not come in from a device."""
    return life.first.happening not in _IN


def _ttl(life: Life) -> int | None:
    packet = life.first.packet
    ip = None if packet is None else packet.carried.packet.ip
    return None if ip is None else ip.ttl


def _note_packet(differences: Differences, group: Grouped, walls: Mapping[int, int], number: int) -> None:
    """One inequality for each two hosts that a packet passed one after the other."""
    for one in group.lives:
        for other in group.lives:
            if one.host == other.host or left_before(one, other) is not True:
                continue
            left = [e.time_ns for e in one.events if e.happening in _OUT]
            came = [e.time_ns for e in other.events]
            if left:
                # The first moment at which it may have left is surely not later than it arrived.
                difference = min(came) + walls[other.run] - (min(left) + walls[one.run])
                differences.note(one.host, other.host, difference, number)
