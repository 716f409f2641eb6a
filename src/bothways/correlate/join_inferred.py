"""
Join what flags, order, time and the NAT map say to be one connection, where numbers are missing.

Same names in two captures are one connection if they are near in time and nothing contradicts. Other names
are joined only if one end stays the same, and if on one host each packet of the poorer side appears under
the other name within moments; or if a dump names the translation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final

from bothways.correlate.episode import Ends, Episode
from bothways.correlate.grouping import Grouping
from bothways.correlate.observation import Observation
from bothways.correlate.translations import Names, Translations
from bothways.facts.address import Endpoint

__all__ = ["join_same_names", "join_translated"]

#: Between two taps of one host a packet is on its way no longer than this.
_CROSSING_NS: Final = 20_000_000
#: Share of the poorer side's packets that must appear under the other name.
_ENOUGH: Final = 0.7
#: Groups that share an end are compared each with the others up to this many, else with their neighbours in
#: time.
_MANY: Final = 40

_Flow = tuple[int, int | None]
_Kind = tuple[int, bool]
_Pair = tuple[int, int, int]


def join_same_names(grouping: Grouping, episodes: Sequence[Episode]) -> None:
    """Join captures of the same 5-tuple, nearest first; a capture joins one use of the ports only."""
    by_ends: dict[tuple[_Flow, Ends], list[Episode]] = {}
    for episode in episodes:
        by_ends.setdefault(((episode.protocol, episode.label), episode.ends), []).append(episode)
    for (_, ends), same in by_ends.items():
        roots = grouping.roots(same)
        pairs: list[_Pair] = []
        for one, two in _neighbours(grouping, roots):
            distance = grouping.distance_ns(one, two, ends)
            if distance is not None:
                pairs.append((distance, one, two))
        _join(grouping, pairs)


def join_translated(grouping: Grouping, episodes: Sequence[Episode], known: Translations) -> None:
    """Join names that differ by a translation."""
    pairs: list[_Pair] = []
    for one, two in dict.fromkeys(_candidates(grouping, episodes)):
        first, second = grouping.members(one), grouping.members(two)
        if all(e.numbered for e in (*first, *second)):
            continue
        distance = _crossing(first, second)
        if distance is None and not _share_host(first, second) and _dumps_tell(first, second, known):
            distance = grouping.distance_ns(one, two)
        if distance is not None:
            pairs.append((distance, one, two))
    _join(grouping, pairs)


def _join(grouping: Grouping, pairs: Iterable[_Pair]) -> None:
    for _, one, two in sorted(pairs):
        if grouping.root(one) != grouping.root(two) and not grouping.contradict(one, two):
            grouping.join(one, two)


def _neighbours(grouping: Grouping, roots: list[int]) -> Iterator[tuple[int, int]]:
    """All pairs of few groups; of many the pairs that begin near each other."""
    if len(roots) <= _MANY:
        yield from combinations(roots, 2)
        return
    ordered = sorted(roots, key=lambda r: min(e.first_ns for e in grouping.members(r)))
    for index, one in enumerate(ordered):
        for two in ordered[index + 1 : index + 1 + _MANY // 4]:
            yield one, two


def _candidates(grouping: Grouping, episodes: Sequence[Episode]) -> Iterator[tuple[int, int]]:
    """
    Pairs of groups that share one end while the other differs.

    A client's end is its own, whatever the other port becomes. A server's end is shared by many, so there the
    client's port must be the same.
    """
    by_end: dict[tuple[_Flow, Endpoint, int | None], list[Episode]] = {}
    by_client: dict[tuple[_Flow, Endpoint], list[Episode]] = {}
    for episode in episodes:
        flow = (episode.protocol, episode.label)
        for end in episode.ends:
            by_end.setdefault((flow, end, episode.other(end).port), []).append(episode)
        if episode.client is not None:
            by_client.setdefault((flow, episode.client), []).append(episode)
    for sharing in (*by_end.values(), *by_client.values()):
        if len({e.ends for e in sharing}) < 2:  # noqa: PLR2004 (a pair)
            continue
        yield from ((min(p), max(p)) for p in _neighbours(grouping, grouping.roots(sharing)))


def _share_host(first: list[Episode], second: list[Episode]) -> bool:
    return bool({e.host for e in first} & {e.host for e in second})


def _crossing(first: list[Episode], second: list[Episode]) -> int | None:
    """Time that a packet takes from one name to the other; None if the packets do not follow each other."""
    shared = _shared_end(first, second)
    if shared is None:
        return None
    best: int | None = None
    for host in {e.host for e in first} & {e.host for e in second}:
        one, two = _passing(first, host, shared), _passing(second, host, shared)
        found = max(_followed(one, two), _followed(two, one), key=lambda f: f[0])
        if found[0] < _ENOUGH:
            return None
        best = found[1] if best is None else min(best, found[1])
    return best


def _shared_end(first: list[Episode], second: list[Episode]) -> Endpoint | None:
    common = {end for e in first for end in e.ends} & {end for e in second for end in e.ends}
    if len(common) > 1:
        clients = {e.client for e in (*first, *second)}
        common = {end for end in common if end in clients} or common
    return min(common, key=lambda e: (int(e.address), e.port or 0)) if common else None


def _passing(episodes: list[Episode], host: str, shared: Endpoint) -> dict[_Kind, list[Observation]]:
    """A host's observations by flags and direction, in time order."""
    found: dict[_Kind, list[Observation]] = {}
    for episode in episodes:
        if episode.host == host:
            for observation in episode.observations:
                kind = (observation.bits, observation.source == shared)
                found.setdefault(kind, []).append(observation)
    for observations in found.values():
        observations.sort(key=lambda o: o.time_ns)
    return found


def _followed(
    poorer: dict[_Kind, list[Observation]], richer: dict[_Kind, list[Observation]]
) -> tuple[float, int]:
    """Share of packets that appear under the other name too, and the mean time between."""
    total, times = 0, []
    for kind, observations in poorer.items():
        others = richer.get(kind, [])
        moments = [o.time_ns for o in others]
        for observation in observations:
            total += 1
            nearest = _nearest(observation, others, moments)
            if nearest is not None:
                times.append(nearest)
    if not times:
        return 0.0, 0
    return len(times) / total, sum(times) // len(times)


def _nearest(observation: Observation, others: list[Observation], moments: list[int]) -> int | None:
    at = bisect_left(moments, observation.time_ns)
    gaps = [
        abs(moments[i] - observation.time_ns)
        for i in (at - 1, at)
        if 0 <= i < len(moments) and not _one_place(observation, others[i])
    ]
    gap = min(gaps, default=None)
    return gap if gap is not None and gap <= _CROSSING_NS else None


def _one_place(one: Observation, two: Observation) -> bool:
    """True if one device shows both names in one direction: then they are two packets."""
    first, second = one.sighting, two.sighting
    if first.tap != second.tap or first.device is None or first.device != second.device:
        return False
    sender, other = first.packet.ethernet.src, second.packet.ethernet.src
    told = (first.direction is not None) or bool(sender and other)
    return told and (first.direction, sender) == (second.direction, other)


def _dumps_tell(first: list[Episode], second: list[Episode], known: Translations) -> bool:
    """True if a dump names the translation and both groups show a packet of the same kind."""
    kinds = [{(o.bits, o.opens) for e in group for o in e.observations} for group in (first, second)]
    if not kinds[0] & kinds[1]:
        return False
    return any(known.order(one, two) for a in first for b in second for one in _names(a) for two in _names(b))


def _names(episode: Episode) -> Iterator[Names]:
    """The ends as client and server; both ways round if nobody knows which is which."""
    one, two = episode.ends
    if episode.client in (one, None):
        yield one, two
    if episode.client in (two, None):
        yield two, one
