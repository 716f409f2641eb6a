"""Episodes that are one connection: a partition that only ever grows together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bothways.correlate.episode import Ends, Episode, gap_ns

__all__ = ["Grouping", "near"]

_DAY_NS = 86_400_000_000_000
_WORD = 1 << 32
#: Clocks of two hosts are not trusted to be closer than this where numbers prove that the packets are the
#: same.
_SAME_RUN_NS = 12 * 3_600_000_000_000
#: … and where nothing but flags and time say so.
_INFERRED_NS = 60_000_000_000
#: On one clock a connection that is silent for longer is not joined by guess.
_ONE_CLOCK_NS = 60_000_000_000
#: Sequence numbers of one end in two captures of the same connection lie closer than this.
_NUMBERS_APART = 1 << 26


class Grouping:
    """
    A partition of episodes, by union-find.

    :param episodes: ``episodes[n].number == n``.
    """

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = episodes
        self._parent = list(range(len(episodes)))
        self._members: dict[int, list[Episode]] = {e.number: [e] for e in episodes}

    def root(self, number: int) -> int:
        """The representative of an episode's group."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def members(self, number: int) -> list[Episode]:
        """All episodes of the group that an episode belongs to."""
        return self._members[self.root(number)]

    def join(self, one: int, two: int) -> None:
        """Make two groups one."""
        kept, gone = self.root(one), self.root(two)
        if kept == gone:
            return
        if len(self._members[kept]) < len(self._members[gone]):
            kept, gone = gone, kept
        self._parent[gone] = kept
        self._members[kept].extend(self._members.pop(gone))

    def groups(self) -> list[list[Episode]]:
        """The groups, each in order of its episodes, in order of their first episodes."""
        found = [sorted(members, key=lambda e: e.number) for members in self._members.values()]
        return sorted(found, key=lambda members: members[0].number)

    def roots(self, episodes: Iterable[Episode]) -> list[int]:
        """The groups of some episodes, each once, in order."""
        return list(dict.fromkeys(self.root(e.number) for e in episodes))

    def contradict(self, one: int, two: int) -> bool:
        """
        True if two groups cannot be one connection.

        One capture would hold it twice under the same names, or the ends' sequence numbers are others.
        """
        first, second = self.members(one), self.members(two)
        places = {(e.capture, e.ends) for e in first}
        if any((e.capture, e.ends) in places for e in second):
            return True
        starts = {e.initial[e.client] for e in first if e.client in e.initial}
        others = {e.initial[e.client] for e in second if e.client in e.initial}
        if starts and others and not starts & others:
            return True
        numbers = {end: n for e in reversed(first) for end, n in e.numbers.items()}
        return any(
            end in numbers and _apart(number, numbers[end]) > _NUMBERS_APART
            for e in second
            for end, number in e.numbers.items()
        )

    def distance_ns(self, one: int, two: int, ends: Ends | None = None) -> int | None:
        """
        Least time between two groups on raw clocks, None if they are too far apart to be guessed together.

        :param ends: look at the episodes with these ends only.
        """
        gaps = [
            gap
            for a in self.members(one)
            for b in self.members(two)
            if (ends is None or (a.ends == ends and b.ends == ends))
            and (gap := near(a, b, exact=False)) is not None
        ]
        return min(gaps, default=None)


def near(one: Episode, two: Episode, *, exact: bool) -> int | None:
    """
    Time between two episodes on raw clocks, None if they cannot be of one run.

    A time of day may be on either side of midnight on two hosts. A date and a time of day cannot be compared:
    then only numbers can join.
    """
    gap = gap_ns(one, two)
    if one.clock_only != two.clock_only:
        return 0 if exact else None
    if one.host == two.host:
        return gap if gap <= _ONE_CLOCK_NS else None
    if one.clock_only:
        gap = min(gap, abs(_DAY_NS - gap))
        return gap if exact or gap <= _INFERRED_NS else None
    return gap if gap <= (_SAME_RUN_NS if exact else _INFERRED_NS) else None


def _apart(one: int, two: int) -> int:
    difference = (one - two) % _WORD
    return min(difference, _WORD - difference)
