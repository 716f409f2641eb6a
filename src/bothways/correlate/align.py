"""
Put the hosts' clocks roughly beside each other, by a vote, to match what has no numbers.

Each packet that two hosts saw proposes a difference; the difference that most agree on is taken. It orders
and matches only: what is certain about clocks is said by :mod:`bothways.correlate.clock`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from bothways.correlate.sheaf import Passage, Sheaf

__all__ = ["Offsets", "rough_offsets"]

#: Each host's clock less that of the host it was compared with first; hosts without common packets are
#: missing.
Offsets = dict[str, int]

#: Votes this close agree: what the way between two hosts takes.
_WINDOW_NS: Final = 50_000_000
#: A packet with numbers that both hosts saw once counts as so many guesses.
_PROOF: Final = 8
#: Packets that look alike more often than this say nothing.
_FEW: Final = 25
_MOST_VOTES: Final = 4000

_Vote = tuple[int, int]


def rough_offsets(sheaves: Iterable[Sheaf]) -> Offsets:
    """
    Each host's clock less that of the host that shares most packets with others, which is 0.

    :returns: hosts that share packets only; several such sets of hosts each have one with 0.
    """
    votes: dict[tuple[str, str], list[_Vote]] = {}
    for sheaf in sheaves:
        for one, two in combinations(sorted(sheaf.passages), 2):
            cast = votes.setdefault((one, two), [])
            if len(cast) < _MOST_VOTES:
                cast.extend(_votes(sheaf.passages[one], sheaf.passages[two], numbered=sheaf.numbered))
    settled = {pair: _settle(cast) for pair, cast in votes.items() if cast}
    return _spread(settled)


def _votes(one: Sequence[Passage], two: Sequence[Passage], *, numbered: bool) -> list[_Vote]:
    if len(one) * len(two) > _FEW:
        return []
    weight = _PROOF if numbered and len(one) == len(two) == 1 else 1
    return [
        (b.first_ns - a.first_ns, weight)
        for a in one
        for b in two
        if a.observations[0].sighting.clock_only == b.observations[0].sighting.clock_only
    ]


def _settle(votes: list[_Vote]) -> tuple[int, int]:
    """The difference most votes lie around, and their weight; of equals the one nearest to zero."""
    votes = sorted(votes)
    best, kept = (-1, 0), (0, 0)
    start = weight = 0
    for end, (difference, counts) in enumerate(votes):
        weight += counts
        while difference - votes[start][0] > _WINDOW_NS:
            weight -= votes[start][1]
            start += 1
        middle = votes[(start + end) // 2][0]
        if (weight, -abs(middle)) > best:
            best, kept = (weight, -abs(middle)), (middle, weight)
    return kept


def _spread(settled: Mapping[tuple[str, str], tuple[int, int]]) -> Offsets:
    """Add up differences along the pairs that most packets vouch for."""
    weights: dict[str, int] = {}
    for (one, two), (_, weight) in settled.items():
        weights[one] = weights.get(one, 0) + weight
        weights[two] = weights.get(two, 0) + weight
    offsets: Offsets = {}
    strongest = sorted(settled.items(), key=lambda item: (-item[1][1], item[0]))
    for base in sorted(weights, key=lambda host: (-weights[host], host)):
        if base in offsets:
            continue
        offsets[base] = 0
        grown = True
        while grown:
            grown = False
            for (one, two), (difference, _) in strongest:
                if (one in offsets) == (two in offsets):
                    continue
                if one in offsets:
                    offsets[two] = offsets[one] + difference
                else:
                    offsets[one] = offsets[two] - difference
                grown = True
                break
    return offsets
