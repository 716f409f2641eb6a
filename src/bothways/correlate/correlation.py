"""
Correlate captures: the same packet at all taps, the connections that packets make up, the hosts' clocks.

========== =====================================================================================
episodes   each capture cut into connections, as it names them
grouping   episodes that numbers, or else time and the NAT map, show to be one connection
flights    sightings that are one transmission of one packet
legs       the parts of its way between routers and translators, which need no clock
passing    what arrives cannot have left later: bounds for each host's clock
path       the order of the sightings
unseen     the taps that should have shown it
========== =====================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bothways.correlate.align import rough_offsets
from bothways.correlate.atlas import Atlas, read_atlas
from bothways.correlate.clock import bound_clocks, middle_ns
from bothways.correlate.days import on_one_day
from bothways.correlate.episode import Episode, episodes_of
from bothways.correlate.findings import find_gaps, find_misplaced
from bothways.correlate.flight import Flight
from bothways.correlate.gather import flights_of
from bothways.correlate.grouping import Grouping
from bothways.correlate.join_exact import join_exact
from bothways.correlate.join_inferred import join_same_names, join_translated
from bothways.correlate.legs import legs_of, rank_names
from bothways.correlate.observation import Route, observe_all
from bothways.correlate.passing import Bearings, Differences, compare_hosts
from bothways.correlate.path import Road, learn_habits, order_path
from bothways.correlate.roles import clients_of, read_listening
from bothways.correlate.sheaf import Sheaf, sheaves_of
from bothways.correlate.trajectories import trajectories_of
from bothways.correlate.translations import Names, Translations, read_translations
from bothways.correlate.unseen import Admits, Watch
from bothways.facts.address import Endpoint
from bothways.facts.diagnosis import Clock
from bothways.facts.sighting import Capture
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Problem, Span
from bothways.facts.trajectory import Connection, Way

__all__ = ["Correlation", "correlate"]


@dataclass(frozen=True, slots=True)
class Correlation:
    """
    What captures say together.

    :param connections: in order of their first packets.
    :param clocks: bounds for every host with packets but the reference.
    :param reference: the host on whose clock corrected times are given, "" without packets.
    """

    connections: tuple[Connection, ...]
    clocks: tuple[Clock, ...]
    problems: tuple[Problem, ...]
    reference: str


@dataclass(slots=True)
class _Draft:
    """One connection in the making."""

    protocol: int
    flights: list[Flight]
    names: dict[Route, Names]
    legs: list[list[int]]
    bearings: Bearings


def correlate(captures: Sequence[Capture], *, snapshot: Snapshot, admits: Admits) -> Correlation:
    """
    Correlate all captures of a case.

    :param snapshot: what the dumps say; translations, owners and listeners in it settle what packets leave
        open.
    :param admits: whether the filter of a capture admits a packet as it would look there; None = cannot be
        told.
    """
    captures = on_one_day(captures)
    recorded = observe_all(captures)
    episodes = episodes_of(recorded)
    places = {s.tap.host: s.span for c in reversed(captures) for s in reversed(c.sightings[:1])}
    busy = Counter(e.host for e in episodes for _ in e.observations)
    hosts = [h for h in dict.fromkeys(c.tap.host for c in captures) if busy[h]]
    if not hosts:
        return Correlation((), (), (), "")
    known, atlas = read_translations(snapshot), read_atlas(snapshot)
    drafts, differences, rough = _drafts(_grouped(episodes, known), snapshot, known, atlas)
    base = max(hosts, key=lambda h: busy[h])
    _order(drafts, atlas, _offsets(differences, hosts, base, places, rough))
    reference = _reference(drafts, hosts, base)
    clocks, problems = bound_clocks(differences, hosts, reference, places)
    offsets = _offsets(differences, hosts, reference, places, rough)
    if reference != base:
        for draft in drafts:
            draft.legs = _legs(draft.flights, draft.names)
        _order(drafts, atlas, offsets)
    by_tap = {c.tap: c for c in reversed(captures)}
    watch = Watch(by_tap, admits, offsets)
    connections = sorted(
        (_connection(draft, offsets, watch) for draft in drafts), key=lambda c: _begun(c, offsets)
    )
    return Correlation(
        tuple(connections),
        clocks,
        (
            *problems,
            *find_gaps(connections, by_tap, admits),
            *find_misplaced(connections, snapshot),
        ),
        reference,
    )


def _grouped(episodes: list[Episode], known: Translations) -> list[list[Episode]]:
    grouping = Grouping(episodes)
    join_exact(grouping, episodes)
    join_same_names(grouping, episodes)
    join_translated(grouping, episodes, known)
    return grouping.groups()


def _drafts(
    groups: list[list[Episode]], snapshot: Snapshot, known: Translations, atlas: Atlas
) -> tuple[list[_Draft], Differences, dict[str, int]]:
    listening = read_listening(snapshot)
    sheaves: list[list[Sheaf]] = [sheaves_of(group, clients_of(group, listening)) for group in groups]
    rough = rough_offsets(sheaf for made in sheaves for sheaf in made)
    differences = Differences()
    drafts = []
    for group, made in zip(groups, sheaves, strict=True):
        flights = flights_of(made, rough)
        names = rank_names(flights, known)
        legs = _legs(flights, names)
        bearings = compare_hosts(flights, legs, atlas, differences)
        drafts.append(_Draft(group[0].protocol, flights, names, legs, bearings))
    return drafts, differences, rough


def _legs(flights: list[Flight], names: dict[Route, Names]) -> list[list[int]]:
    ranks = {route: rank for rank, route in enumerate(names)}
    return [legs_of(flight, ranks) for flight in flights]


def _offsets(
    differences: Differences,
    hosts: Sequence[str],
    base: str,
    places: dict[str, Span],
    rough: dict[str, int],
) -> dict[str, int]:
    """Each host's clock less the base's: the middle of its bounds, else the rough difference inside them."""
    clocks, _ = bound_clocks(differences, hosts, base, places)
    offsets = {base: 0}
    for clock in clocks:
        if clock.low_ns is not None and clock.high_ns is not None:
            offsets[clock.host] = middle_ns(clock)
        elif clock.host in rough and base in rough:
            guess = rough[clock.host] - rough[base]
            guess = guess if clock.low_ns is None else max(guess, clock.low_ns)
            offsets[clock.host] = guess if clock.high_ns is None else min(guess, clock.high_ns)
    return offsets


def _order(drafts: Sequence[_Draft], atlas: Atlas, offsets: dict[str, int]) -> None:
    for draft in drafts:
        road = Road(atlas, draft.bearings, offsets, learn_habits(draft.flights, draft.legs))
        for flight, legs in zip(draft.flights, draft.legs, strict=True):
            order_path(flight, legs, road)


def _reference(drafts: Sequence[_Draft], hosts: Sequence[str], base: str) -> str:
    """The host that most clients' first packets pass first; the busiest if there is no such packet."""
    first: Counter[str] = Counter()
    for draft in drafts:
        sent = [f for f in draft.flights if f.way is Way.ORIGINAL]
        if sent:
            first[max(sent, key=lambda f: len(f.hosts())).observations[0].host] += 1
    most = max(first.values(), default=0)
    leading = [host for host in hosts if first[host] == most]
    return base if base in leading else leading[0]


def _connection(draft: _Draft, offsets: dict[str, int], watch: Watch) -> Connection:
    names = list(draft.names.values())
    clients: list[Endpoint] = list(dict.fromkeys(client for client, _ in names))
    servers: list[Endpoint] = list(dict.fromkeys(server for _, server in names))
    flights = sorted(draft.flights, key=lambda flight: flight.start_ns(offsets))
    trajectories = watch.complete(flights, trajectories_of(flights), names)
    return Connection(
        draft.protocol,
        clients[0],
        servers[0],
        trajectories,
        tuple(clients),
        tuple(servers),
        sum(len(t.sightings) for t in trajectories),
    )


def _begun(connection: Connection, offsets: dict[str, int]) -> int:
    return min(s.time_ns - offsets.get(s.tap.host, 0) for t in connection.trajectories for s in t.sightings)
