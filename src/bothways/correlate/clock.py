"""
What is certain about the hosts' clocks.

A packet cannot arrive before it leaves. One that went from host A to host B says that B's clock less A's is
at most the difference of its two time stamps; one that came back bounds it from the other side. No
assumption is made about delay, load or symmetry of the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Final

from bothways.correlate.passing import Differences
from bothways.facts.diagnosis import Clock
from bothways.facts.sighting import Sighting
from bothways.facts.span import Kind, Problem, Span

__all__ = ["bound_clocks", "corrected_ns", "middle_ns"]

#: Time stamps of one host are wrong against each other by this much without anything being amiss.
_JITTER_NS: Final = 200_000

_ASSUMPTION: Final = (
    "a packet does not arrive before it leaves, and neither clock was set or drifted while the captures ran; "
    "where a capture shows a packet twice before it left, the earlier time counts"
)
_UNBOUND: Final = "no packet that both hosts saw tells which of them it passed first"

_Most = dict[tuple[str, str], int]


def bound_clocks(
    differences: Differences, hosts: Sequence[str], reference: str, places: Mapping[str, Span]
) -> tuple[tuple[Clock, ...], tuple[Problem, ...]]:
    """
    Bounds of each host's clock less the reference's.

    :param places: for each host a place in its evidence, for problems.
    :returns: a clock for each host but the reference, unbounded where nothing tells; and a problem for each
        pair of hosts that no constant difference fits. What such a pair says is left out.
    """
    most: _Most = {pair: passing.least_ns for pair, passing in differences.passed.items()}
    problems = list(_contradictions(most, places))
    widened = _shortest(most, hosts)
    if any(widened.get((host, host), 0) < 0 for host in hosts):
        # Several hosts contradict each other in a ring although each two agree: only direct packets count.
        widened = most
    clocks = [_clock(host, reference, widened, differences) for host in hosts if host != reference]
    return tuple(clocks), tuple(problems)


def _clock(host: str, reference: str, most: _Most, differences: Differences) -> Clock:
    high, below = most.get((reference, host)), most.get((host, reference))
    if high is None and below is None:
        return Clock(host, reference, None, None, _UNBOUND)
    there = differences.passed.get((reference, host))
    back = differences.passed.get((host, reference))
    counted = f"{0 if there is None else there.packets} to {host}, {0 if back is None else back.packets} back"
    return Clock(host, reference, None if below is None else -below, high, f"{_ASSUMPTION} ({counted})")


def _contradictions(most: _Most, places: Mapping[str, Span]) -> Iterable[Problem]:
    """Drop or widen pairs that no constant difference fits, in place."""
    for one, two in [pair for pair in most if pair[0] < pair[1] and pair[::-1] in most]:
        forth, back = most[one, two], most[two, one]
        if forth + back >= 0:
            continue
        if forth + back >= -_JITTER_NS:
            most[one, two], most[two, one] = -back, -forth
            continue
        del most[one, two], most[two, one]
        wrong = _milliseconds(-(forth + back))
        yield Problem(
            Kind.CONTRADICTION,
            places[two],
            f"the clocks of {one} and {two} contradict each other by {wrong} ms: "
            "packets arrive before they left, whatever the difference is",
            "a clock was set or drifted while the captures ran, or they are of different runs; "
            "times of the two hosts are not compared",
        )


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3f}"


def _shortest(most: _Most, hosts: Sequence[str]) -> _Most:
    """Differences add up along other hosts: the least sum of each pair (Floyd and Warshall)."""
    least = dict(most)
    for middle in hosts:
        for one, two in permutations(hosts, 2):
            if middle in (one, two):
                continue
            first, second = least.get((one, middle)), least.get((middle, two))
            if first is not None and second is not None:
                known = least.get((one, two))
                least[one, two] = first + second if known is None else min(known, first + second)
    for one, two in permutations(hosts, 2):
        forth, back = least.get((one, two)), least.get((two, one))
        if forth is not None and back is not None and forth + back < 0:
            least[one, one] = forth + back
    return least


def middle_ns(clock: Clock) -> int:
    """The best single value: the middle of the bounds, or the bound there is; 0 if there is none."""
    low, high = clock.low_ns, clock.high_ns
    if low is not None and high is not None:
        return (low + high) // 2
    if low is not None:
        return low
    return 0 if high is None else high


def corrected_ns(sighting: Sighting, clocks: Iterable[Clock]) -> int:
    """
    When a packet was seen, on the reference host's clock.

    :param clocks: those of one correlation, all relative to the same host.
    """
    clock = next((c for c in clocks if c.host == sighting.tap.host), None)
    return sighting.time_ns if clock is None else sighting.time_ns - middle_ns(clock)
