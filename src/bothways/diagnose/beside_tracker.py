"""
The recorded lines of ``conntrack -E`` beside those that a walk promises, namespace by namespace.

Compared are kind, state, both tuples and the flags, in order, of the connection itself: not of the datagrams
of a tunnel that carries it, whose source port is a hash. A namespace whose events were not recorded is
left out; one whose tracker told nothing of the connection shows that it did not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

from bothways.facts.conntrack import ConntrackEvent, Entry
from bothways.facts.expected import TrackerComparison, TrackerRow
from bothways.facts.packet import TCP
from bothways.facts.prediction import TrackerEvent, Walk
from bothways.facts.question import Question
from bothways.facts.snapshot import Netns, Snapshot
from bothways.model.world.connection import HORIZON_NS

__all__ = ["trackers_beside"]

_SECOND: Final = 1_000_000_000


def trackers_beside(
    snapshot: Snapshot, question: Question, walk: Walk, *, ends: bool
) -> tuple[TrackerComparison, ...]:
    """
    Return a comparison for every namespace whose events were recorded, if one of both has a line.

    :param ends: True if the walk ends before the connection does: later lines are counted only.
    """
    found = []
    for host in snapshot.hosts.values():
        for netns in host.netns.values():
            if netns.conntrack_events is None:
                continue
            predicted = [
                each
                for each in walk.tracker_events
                if (each.host, each.netns) == (host.name, netns.name) and each.entry.original.protocol == TCP
            ]
            originals = {each.entry.original for each in predicted}
            recorded = [
                each
                for each in netns.conntrack_events
                if each.entry.original in originals or _asked(question, each.entry)
            ]
            if recorded or predicted:
                found.append(_compare(netns, recorded, predicted, ends=ends))
    return tuple(found)


def _asked(question: Question, entry: Entry) -> bool:
    """Whether an entry is the connection as its client names it."""
    one = entry.original
    return (
        one.protocol == TCP
        and (one.src, one.dst, one.dport)
        == (question.source, question.destination, question.destination_port)
        and question.source_port in (None, one.sport)
    )


def _compare(
    netns: Netns, recorded: Sequence[ConntrackEvent], predicted: Sequence[TrackerEvent], *, ends: bool
) -> TrackerComparison:
    rows = list(_aligned(recorded, predicted))
    covered = max((n for n, row in enumerate(rows, 1) if row.predicted is not None), default=0)
    tail, start = rows[covered:], recorded[0].time if recorded else None
    within = () if ends else tuple(row for row in tail if not _late(row, start))
    kept = (*rows[:covered], *within)
    return TrackerComparison(netns.host, netns.name, kept, len(tail) - len(within))


def _late(row: TrackerRow, start: float | None) -> bool:
    """Whether a line was recorded after the end of every walk."""
    time = None if row.recorded is None else row.recorded.time
    return time is not None and start is not None and (time - start) * _SECOND > HORIZON_NS


def _aligned(recorded: Sequence[ConntrackEvent], predicted: Sequence[TrackerEvent]) -> Iterator[TrackerRow]:
    one = [_key(each.kind, each.entry) for each in recorded]
    two = [_key(each.kind, each.entry) for each in predicted]
    for _, first, last, begin, end in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if one[first:last] == two[begin:end]:
            yield from (TrackerRow(*p) for p in zip(recorded[first:last], predicted[begin:end], strict=True))
        else:
            yield from (TrackerRow(each, None) for each in recorded[first:last])
            yield from (TrackerRow(None, each) for each in predicted[begin:end])


def _key(kind: str, entry: Entry) -> tuple[object, ...]:
    flags = entry.status & {"UNREPLIED", "ASSURED"}
    return kind, entry.state, entry.original, entry.reply, flags, entry.mark, entry.zone
