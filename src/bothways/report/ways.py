"""
The way there and the way back, laid beside each other.

Both are merged into one list of places from the client down to the server. Where only one of the two passes a
place, the ways divide: a tracker that stands there sees one half of the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from bothways.facts.diagnosis import Author, Culprit
from bothways.facts.path import Path, Stop
from bothways.facts.trajectory import Way

__all__ = ["HostRows", "Row", "Track", "Ways", "lay_out"]


@dataclass(frozen=True, slots=True)
class Track:
    """
    One way in one row.

    :param stops: True if the packet passes this place, False if its line only leads by it.
    :param above: True if the line goes on upwards, *below* downwards.
    """

    stops: bool
    above: bool
    below: bool


@dataclass(frozen=True, slots=True)
class Row:
    """
    One place.

    :param tracks: the way there, then the way back; a way that is not known is left out.
    :param parted: True if only one of two ways passes.
    :param only: the packet that passes, if only one does.
    :param marks: why to look here: who made the RST, what is to blame.
    """

    name: str
    kind: str
    devices: str
    notes: tuple[str, ...]
    tracks: tuple[Track, ...]
    parted: bool
    only: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostRows:
    """Places of one host that follow each other."""

    host: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Ways:
    """
    The whole drawing.

    :param packets: the packet of each track.
    :param directions: ``there`` or ``back``, for each track.
    :param sentence: where the ways divide, in words; "" if they do not.
    """

    packets: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    hosts: tuple[HostRows, ...] = ()
    sentence: str = ""
    observed: bool = False


def lay_out(paths: Sequence[Path], authors: Sequence[Author] = (), culprits: Sequence[Culprit] = ()) -> Ways:
    """Merge the ways of two packets; with one of them there is one track, with none nothing."""
    shown = [path for path in paths if path.stops]
    if not shown:
        return Ways()
    columns = [path.stops if path.way is Way.ORIGINAL else path.stops[::-1] for path in shown]
    merged = _merge(columns[0], columns[1] if len(columns) > 1 else columns[0])
    if len(columns) == 1:
        merged = [pair[:1] for pair in merged]
    drawn = frozenset(each.place for path in shown for each in path.stops)
    tracks = list(zip(*(_tracks([pair[n] for pair in merged]) for n in range(len(columns))), strict=True))
    rows = [
        (stop.host, _row(pair, track, stop, shown, _marks(stop, authors, culprits, drawn)))
        for pair, track in zip(merged, tracks, strict=True)
        for stop in [next(each for each in pair if each is not None)]
    ]
    hosts = tuple(
        HostRows(host, tuple(row for _, row in group))
        for host, group in groupby(rows, key=lambda pair: pair[0])
    )
    return Ways(
        tuple(path.packet for path in shown),
        tuple("there" if path.way is Way.ORIGINAL else "back" for path in shown),
        hosts,
        _sentence(hosts, shown),
        all(path.observed for path in shown),
    )


def _merge(there: Sequence[Stop], back: Sequence[Stop]) -> list[tuple[Stop | None, ...]]:
    matcher = SequenceMatcher(None, [s.place for s in there], [s.place for s in back], autojunk=False)
    merged: list[tuple[Stop | None, ...]] = []
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if kind == "equal":
            merged += zip(there[start:end], back[begin:stop], strict=True)
            continue
        merged += [(each, None) for each in there[start:end]]
        merged += [(None, each) for each in back[begin:stop]]
    return merged


def _tracks(column: Sequence[Stop | None]) -> list[Track]:
    passed = [number for number, stop in enumerate(column) if stop is not None]
    first, last = passed[0], passed[-1]
    return [
        Track(stop is not None, first < number <= last, first <= number < last)
        for number, stop in enumerate(column)
    ]


def _row(
    pair: Sequence[Stop | None],
    tracks: tuple[Track, ...],
    stop: Stop,
    shown: Sequence[Path],
    marks: tuple[str, ...],
) -> Row:
    passing = [path.packet for path, each in zip(shown, pair, strict=True) if each is not None]
    devices = dict.fromkeys(device for each in pair if each is not None for device in each.devices)
    notes = [
        f"{path.packet}: {note}"
        for path, each in zip(shown, pair, strict=True)
        if each is not None
        for note in each.notes
    ]
    parted = len(passing) < len(shown)
    return Row(
        stop.bridge or ("" if stop.netns == "root" else stop.netns),
        "bridge" if stop.bridge else "namespace",
        ", ".join(devices),
        tuple(notes),
        tracks,
        parted,
        passing[0] if parted else "",
        marks,
    )


def _marks(
    stop: Stop, authors: Sequence[Author], culprits: Sequence[Culprit], drawn: frozenset[tuple[str, str, str]]
) -> tuple[str, ...]:
    marks = [
        f"{'RST' if author.what == 'rst' else author.what} made here"
        for author in authors
        if (author.host, author.netns) == (stop.host, stop.netns)
    ]
    marks += [f"culprit: {culprit.kind}" for culprit in culprits if _stands(culprit, stop, drawn)]
    return tuple(dict.fromkeys(marks))


def _stands(culprit: Culprit, stop: Stop, drawn: frozenset[tuple[str, str, str]]) -> bool:
    """Tell whether a culprit is at a stop; captures show no bridges, so its host has to do there."""
    if culprit.host != stop.host:
        return False
    name = culprit.where.split(" ", 1)[0]
    named = [place for place in drawn if place[0] == culprit.host and name in place[1:]]
    return stop.place in named if named else stop.netns == "root"


def _sentence(hosts: Sequence[HostRows], shown: Sequence[Path]) -> str:
    parts = []
    for path in shown:
        places = [
            f"{row.name} of {group.host}" if row.name else group.host
            for group in hosts
            for row in group.rows
            if row.only == path.packet
        ]
        if places:
            parts.append(f"only the {path.packet} passes {_listed(places)}")
    return "; ".join(parts)


def _listed(places: Sequence[str]) -> str:
    return places[0] if len(places) == 1 else f"{', '.join(places[:-1])} and {places[-1]}"
