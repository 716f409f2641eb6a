"""
Where everything on the ladder stands.

One column per tap, one block per packet; in a block every sighting has a row of its own, so the eye
follows the packet downwards even where it goes back and forth. The drawing holds numbers and words only;
the template turns them into SVG. Lengths are in CSS pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from textwrap import wrap
from typing import Final

from bothways.facts.address import Endpoint
from bothways.facts.diagnosis import Author, Ladder, Rung
from bothways.facts.packet import Flag, Packet
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Span
from bothways.report.columns import Columns, arrange, follow, passages, seat
from bothways.report.words import milliseconds, plain, shorten_name

__all__ = ["Arrow", "Block", "Column", "Dot", "Drawing", "Gap", "draw"]

#: left margin: the packet's name and addresses, then the times
GUTTER: Final = 268
TIMES: Final = 258
HEADER: Final = 80
STEP: Final = 18
TOP: Final = 24
BOTTOM: Final = 16
SHORTEST_BLOCK: Final = 84
NOTE: Final = 15
#: what one letter of the small monospaced labels takes
LETTER: Final = 6.1
#: up to so many columns -> (from one to the next, letters of a host or namespace); more stand closest
PITCHES: Final = {7: (138, 18), 9: (112, 16)}
CLOSEST: Final = (88, 13)
#: letters of a device; where two neighbours are longer than a column is wide, every other one stands lower
DEVICE_LENGTH: Final = 18
DEVICE_Y: Final = 53
LOWER: Final = 14
NAME_LENGTH: Final = 22
LABEL_LENGTH: Final = 30
#: letters of a note beside the times
NOTE_LENGTH: Final = 28
HEAD: Final = 7


@dataclass(frozen=True, slots=True)
class Column:
    """
    One tap. *author* marks the one where the RST was made.

    :param device_y: where the device's name stands.
    """

    x: int
    device_y: int
    host: str
    netns: str
    device: str
    title: str
    author: bool


@dataclass(frozen=True, slots=True)
class Dot:
    """
    One sighting.

    :param where: host and device, for a reader without room for columns.
    :param label: names that changed since the sighting before, "" if none did.
    :param anchor: SVG's ``text-anchor`` of the label, which stands at *label_x*, *label_y*.
    """

    x: int
    y: int
    time: str
    title: str
    label: str
    label_x: int
    label_y: int
    anchor: str
    author: bool
    where: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one tap to the next."""

    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A tap that should have seen the packet and did not, with the dashed arrow to it."""

    x: int
    y: int
    arrow: Arrow
    title: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """
    One packet: its name and addresses in the margin, its way to the right of them.

    :param dots: one for each passage of a device; two captures may have seen the same.
    :param times: one for each sighting.
    """

    y: int
    height: int
    name: str
    source: str
    destination: str
    note: tuple[str, ...]
    reset: bool
    dots: tuple[Dot, ...]
    arrows: tuple[Arrow, ...]
    gaps: tuple[Gap, ...]
    times: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """
    The whole ladder.

    :param timed: False if the model drew it: its packets have no times.
    """

    width: int
    height: int
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    times_x: int = TIMES
    header: int = HEADER
    timed: bool = True


def draw(ladder: Ladder, authors: Sequence[Author] = (), *, beside: Ladder | None = None) -> Drawing:
    """
    Place every tap, sighting and gap.

    :param beside: the ladder whose columns are taken over, so that both can be compared.
    """
    columns = arrange(ladder) if beside is None else follow(arrange(beside), arrange(ladder))
    taps = columns.order
    pitch, letters = next((PITCHES[most] for most in PITCHES if len(taps) <= most), CLOSEST)
    places = {tap: GUTTER + pitch // 2 + pitch * number for number, tap in enumerate(taps)}
    way = tuple(dict.fromkeys(seat(s) for s in ladder.rungs[0].sightings)) if ladder.rungs else ()
    made = frozenset(author.frame.span for author in authors if author.frame is not None)
    moments = [moment for rung in ladder.rungs for moment in _times(rung)]
    pen = _Pen(places, columns, way, made, min(moments, default=0))
    blocks: list[Block] = []
    y = HEADER
    for rung in ladder.rungs:
        blocks.append(pen.block(rung, y))
        y += blocks[-1].height
    labelled = [
        dot.label_x + round(len(dot.label) * LETTER)
        for block in blocks
        for dot in block.dots
        if dot.label and dot.anchor == "start"
    ]
    width = max([GUTTER + pitch * len(taps), *labelled]) + 8
    return Drawing(
        width,
        y + 8,
        tuple(
            _column(tap, x, letters, authors, lower=pitch == CLOSEST[0] and number % 2 == 1)
            for number, (tap, x) in enumerate(places.items())
        ),
        tuple(blocks),
        timed=not ladder.supposed,
    )


def _times(rung: Rung) -> list[int]:
    pairs = zip_longest(rung.sightings, rung.corrected_ns[: len(rung.sightings)])
    return [sighting.time_ns if moment is None else moment for sighting, moment in pairs]


def _column(tap: Tap, x: int, letters: int, authors: Sequence[Author], *, lower: bool) -> Column:
    here = (tap.host, tap.netns, tap.device)
    author = any((each.host, each.netns, each.device) == here for each in authors)
    netns = "" if tap.netns == "root" else shorten_name(tap.netns, letters - 1)
    return Column(
        x,
        DEVICE_Y + LOWER * lower,
        shorten_name(tap.host, letters - 1),
        netns,
        shorten_name(tap.device, DEVICE_LENGTH),
        plain(str(tap)),
        author,
    )


@dataclass(frozen=True, slots=True)
class _Pen:
    places: dict[Tap, int]
    columns: Columns
    way: tuple[Tap, ...]
    made: frozenset[Span]
    start_ns: int

    @property
    def leftmost(self) -> int:
        return min(self.places.values(), default=0)

    def block(self, rung: Rung, y: int) -> Block:
        dots: list[Dot] = []
        row = y + TOP
        times = _times(rung)
        groups = passages(rung.sightings)
        seen = [[(rung.sightings[each], times[each]) for each in group] for group in groups]
        xs = [self.places[seat(passage[0][0])] for passage in seen]
        for number, passage in enumerate(seen):
            before = seen[number - 1][-1][0] if number else None
            dots.append(self._dot(passage, before, row, xs[max(0, number - 1) : number + 2]))
            row += STEP
        arrows = tuple(_arrow(one.x, one.y, two.x, two.y) for one, two in pairwise(dots))
        gaps = self._gaps(rung, dots, row)
        row += STEP * len(gaps)
        first = rung.sightings[0].packet if rung.sightings else None
        tcp = None if first is None else first.tcp
        note = tuple(wrap(plain(rung.note), NOTE_LENGTH))
        least = SHORTEST_BLOCK + NOTE * len(note)
        return Block(
            y,
            max(row - y - STEP + TOP + BOTTOM, least),
            shorten_name(_packet_name(rung, first), NAME_LENGTH),
            _end(None if first is None else first.source),
            _end(None if first is None else first.destination),
            note,
            tcp is not None and bool(tcp.flags & Flag.RST),
            tuple(dots),
            arrows,
            gaps,
            tuple(self._time(moment) for moment in times),
        )

    def _time(self, moment: int) -> str:
        return milliseconds(moment - self.start_ns, sign=True)

    def _dot(
        self,
        passage: Sequence[tuple[Sighting, int]],
        before: Sighting | None,
        y: int,
        around: Sequence[int],
    ) -> Dot:
        sighting, moment = passage[0]
        x = self.places[seat(sighting)]
        author = any(each.span in self.made for each, _ in passage)
        words = [*(["made here"] if author else []), *_renamed(before, sighting)]
        # The label stands on the side and at the height where neither arrow of the dot passes.
        from_left = before is not None and around[0] < x
        from_right = before is not None and around[0] > x
        to_left = around[-1] < x if len(around) > (before is not None) + 1 else False
        left = (from_right and not from_left) or (to_left and not from_left)
        if left and x == self.leftmost:
            label_x, label_y, anchor = x + 9, y + 14, "start"
        else:
            label_x, label_y, anchor = (x - 9, y - 5, "end") if left else (x + 9, y - 5, "start")
        titles = [_title(s, self._time(at)) for s, at in passage]
        title = plain("; ".join(titles))
        where = _where(seat(sighting))
        return Dot(x, y, self._time(moment), title, " ".join(words), label_x, label_y, anchor, author, where)

    def _gaps(self, rung: Rung, dots: Sequence[Dot], row: int) -> tuple[Gap, ...]:
        name = _packet_name(rung, rung.sightings[0].packet if rung.sightings else None)
        seats = [seat(rung.sightings[group[0]]) for group in passages(rung.sightings)]
        passed = {tap: (dot.x, dot.y) for tap, dot in zip(seats, dots, strict=True)}
        gaps: list[Gap] = []
        for tap, why in self._ordered(rung):
            x = self.places[tap]
            origin = self._origin(tap, tuple(passed))
            start = (x, row - STEP) if origin is None else passed[origin]
            title = plain(f"{name} was not seen at {tap}: {why}")
            gaps.append(Gap(x, row, _arrow(*start, x, row), title, _where(tap)))
            passed[tap] = (x, row)
            row += STEP
        return tuple(gaps)

    def _ordered(self, rung: Rung) -> list[tuple[Tap, str]]:
        """Return missing taps in the order in which the packet should have passed them."""
        seen = [seat(sighting) for sighting in rung.sightings]
        way = self._travelled(seen)
        found: dict[Tap, str] = {}
        for tap, why in rung.missing:
            stand = [each for each in self.columns.stands_for(tap) if each not in seen]
            if stand and not found.keys() & set(stand):
                found[min(stand, key=lambda each: way.index(each) if each in way else len(way))] = why
        known = [each for each in found.items() if each[0] in way]
        rest = [each for each in found.items() if each[0] not in way]
        return sorted(known, key=lambda each: way.index(each[0])) + rest

    def _travelled(self, seen: Sequence[Tap]) -> tuple[Tap, ...]:
        """Return the usual way in this packet's direction."""
        on_way = [self.way.index(tap) for tap in seen if tap in self.way]
        back = len(on_way) > 1 and on_way[0] > on_way[-1]
        return tuple(reversed(self.way)) if back else self.way

    def _origin(self, tap: Tap, seen: Sequence[Tap]) -> Tap | None:
        """Return the tap from which the packet should have come, the nearest column if that is unknown."""
        way = self._travelled(seen)
        if tap in way:
            passed = [each for each in way[: way.index(tap)] if each in seen]
            if passed:
                return passed[-1]
        here = self.places[tap]
        return min(seen, key=lambda each: abs(self.places[each] - here), default=None)


def _where(tap: Tap) -> str:
    return f"{plain(tap.host)} {plain(tap.device)}"


def _title(sighting: Sighting, time: str) -> str:
    if not sighting.span.file:
        return f"{sighting.tap}: {sighting.packet} (predicted)"
    return f"{sighting.tap} at {time} ms: {sighting.packet} ({sighting.span})"


def _arrow(x1: int, y1: int, x2: int, y2: int) -> Arrow:
    """Keep clear of both dots, so that arrow heads can be told from them."""
    if x1 == x2:
        return Arrow(x1, y1 + 4, x2, y2 - HEAD + 1)
    side = 1 if x2 > x1 else -1
    return Arrow(x1 + side * 4, y1, x2 - side * HEAD, y2)


def _packet_name(rung: Rung, first: Packet | None) -> str:
    """Leave out the addresses, which stand below the name."""
    if first is None:
        return rung.name
    return rung.name.partition(f" {first.source} > ")[0]


def _renamed(before: Sighting | None, now: Sighting) -> list[str]:
    """Name the ends that a translation changed between two taps."""
    if before is None:
        return []
    pairs = (
        ("src", before.packet.source, now.packet.source),
        ("dst", before.packet.destination, now.packet.destination),
    )
    return [f"{name} {_end(new)}" for name, old, new in pairs if old != new and new is not None]


def _end(end: Endpoint | None) -> str:
    return "" if end is None else shorten_name(str(end), LABEL_LENGTH)
