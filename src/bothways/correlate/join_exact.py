"""
Join what numbers prove to be one connection, through any translation.

NAT keeps sequence numbers, acknowledgements and flags. Initial numbers are random (RFC 6528), so two
5-tuples that show the same one carry the same packet. Small numbers may be made by hand and prove less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.correlate.episode import Episode
from bothways.correlate.grouping import Grouping, near
from bothways.correlate.observation import Key, Observation
from bothways.facts.packet import TCP, Flag

__all__ = ["join_exact"]

_WORD: Final = 1 << 32
_SYN: Final = Flag.SYN.value
_ACK: Final = Flag.ACK.value
#: Below this a number is not taken for a random one.
_RANDOM: Final = 1 << 16
#: On one clock, two names of the same transmission are seen within this.
_PASSAGE_NS: Final = 5_000_000_000
#: How many groups that share a number are compared before the number is taken to say nothing.
_MOST: Final = 16
#: From how many acknowledging packets of an episode the expected numbers are taken.
_FIRST_ACKS: Final = 3


@dataclass(slots=True)
class _Holder:
    """An episode that showed a number, when, and how."""

    episode: Episode
    observation: Observation
    first_ns: int
    last_ns: int


def join_exact(grouping: Grouping, episodes: Sequence[Episode]) -> None:
    """Join episodes that share packets, and then those whose numbers continue each other."""
    packets: dict[Key, list[_Holder]] = {}
    expected: dict[int, list[_Holder]] = {}
    for episode in episodes:
        if episode.protocol != TCP:
            continue
        for observation in episode.observations:
            key = observation.key
            if key is not None:
                holders = packets.get(key)
                if holders is None:
                    packets[key] = [_Holder(episode, observation, observation.time_ns, observation.time_ns)]
                else:
                    _meet(grouping, holders, (key[1] or 0, key[2] or 0), episode, observation)
    for episode in episodes:
        for number, observation in _expected(episode):
            _meet(grouping, expected.setdefault(number, []), (number, 0), episode, observation)


def _meet(
    grouping: Grouping,
    holders: list[_Holder],
    numbers: tuple[int, int],
    episode: Episode,
    observation: Observation,
) -> None:
    time = observation.time_ns
    for holder in holders:
        if holder.episode is episode:
            holder.first_ns, holder.last_ns = min(holder.first_ns, time), max(holder.last_ns, time)
            return
    root = grouping.root(episode.number)
    for holder in holders:
        if grouping.root(holder.episode.number) == root:
            continue
        if _same(holder, episode, observation, numbers):
            grouping.join(holder.episode.number, episode.number)
            root = grouping.root(episode.number)
    if len(holders) < _MOST:
        holders.append(_Holder(episode, observation, time, time))


def _same(holder: _Holder, episode: Episode, observation: Observation, numbers: tuple[int, int]) -> bool:
    other = holder.episode
    if near(other, episode, exact=True) is None:
        return False
    if other.ends == episode.ends:
        return other.capture != episode.capture
    common = set(other.ends) & set(episode.ends)
    same_ports = sorted(_ports(other)) == sorted(_ports(episode))
    if max(numbers) >= _RANDOM:
        proved = min(numbers) >= _RANDOM or _same_stamp(holder.observation, observation)
        if not (common or same_ports or proved):
            return False
    elif not (common and same_ports) or other.capture == episode.capture:
        return False
    return not _two_packets(holder, other, episode, observation)


def _ports(episode: Episode) -> Iterator[int]:
    for end in episode.ends:
        yield -1 if end.port is None else end.port


def _same_stamp(one: Observation, two: Observation) -> bool:
    return one.mark[3] is not None and one.mark[3] == two.mark[3]


def _two_packets(holder: _Holder, other: Episode, episode: Episode, observation: Observation) -> bool:
    """
    True if the same number under two names cannot be one packet.

    On one clock both names follow each other closely. One device shows a packet in one direction once
    between two routers, so it cannot bear two names there with the same TTL and sender.
    """
    if other.host == episode.host and other.clock_only == episode.clock_only:
        time = observation.time_ns
        if not holder.first_ns - _PASSAGE_NS <= time <= holder.last_ns + _PASSAGE_NS:
            return True
    first, second = holder.observation.sighting, observation.sighting
    if first.tap != second.tap or first.device is None or first.device != second.device:
        return False
    one, two = first.packet, second.packet
    if one.ip is None or two.ip is None or one.ip.ttl is None or not one.ethernet.src:
        return False
    return (one.ip.ttl, one.ethernet.src, first.direction) == (two.ip.ttl, two.ethernet.src, second.direction)


def _expected(episode: Episode) -> Iterator[tuple[int, Observation]]:
    """Numbers that an end will use next, as its own packets or the other end's acknowledgements tell."""
    acks = 0
    for observation in episode.observations:
        tcp = observation.sighting.packet.tcp
        if tcp is None or tcp.relative:
            continue
        if observation.bits & _SYN and tcp.seq is not None:
            yield (tcp.seq + 1) % _WORD, observation
        if observation.bits & _ACK and acks < _FIRST_ACKS:
            acks += 1
            if tcp.ack is not None:
                yield tcp.ack, observation
            if tcp.seq is not None and not observation.bits & _SYN:
                yield tcp.seq, observation
        if acks >= _FIRST_ACKS:
            return
