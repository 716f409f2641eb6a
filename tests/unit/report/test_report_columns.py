"""Columns: `any` stands where its devices stand, and detours stand before the tap where they come back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_samples import ANSWER, ASKED, ASKED_FIXED, LADDER, TAPS, rung, sighting

from bothways.facts.diagnosis import Ladder, Rung
from bothways.facts.packet import Packet
from bothways.facts.sighting import Sighting, Tap
from bothways.report.columns import arrange, passages, seat
from bothways.report.ladder import draw

ANY = Tap("a", "root", "any")
ONE, TWO, THREE, SIDE = (Tap("a", "root", name) for name in ("one", "two", "three", "side"))


def at(tap: Tap, device: str | None = None, packet: Packet = ASKED, micros: int = 0) -> Sighting:
    return replace(sighting(tap, micros, packet, 1), device=device or tap.device)


def way(*seen: Sighting, missing: tuple[tuple[Tap, str], ...] = ()) -> Rung:
    return Rung("packet", seen, tuple(each.time_ns for each in seen), missing)


@pytest.mark.parametrize(
    ("tap", "device", "column"),
    [
        (ONE, "one", ONE),
        (ANY, "one", ONE),
        (ANY, "any", ANY),
        (ANY, None, ANY),
    ],
)
def test_any_stands_at_the_device_that_it_names(tap: Tap, device: str | None, column: Tap) -> None:
    assert seat(replace(at(tap), device=device)) == column


@pytest.mark.parametrize(
    ("seen", "groups"),
    [
        ([at(ANY, "one"), at(ONE)], ((0, 1),)),
        ([at(ONE), at(ANY, "one")], ((0, 1),)),
        ([at(ONE), at(ONE)], ((0,), (1,))),  # the same capture twice: it passed twice
        ([at(ANY, "one"), at(ANY, "one")], ((0,), (1,))),
        ([at(ANY, "one"), at(ONE, packet=ASKED_FIXED)], ((0,), (1,))),  # renamed in between
        ([at(ANY, "one"), at(TWO), at(ONE)], ((0,), (1,), (2,))),  # not neighbours
        ([], ()),
    ],
)
def test_one_passage_seen_by_two_captures_is_one(
    seen: list[Sighting], groups: tuple[tuple[int, ...], ...]
) -> None:
    assert passages(seen) == groups


@pytest.mark.parametrize(
    ("ways", "order"),
    [
        ([[ONE, TWO]], [ONE, TWO]),
        ([[ONE, TWO], [TWO, ONE]], [ONE, TWO]),
        ([[ONE, TWO], [TWO, SIDE, ONE]], [ONE, SIDE, TWO]),
        ([[ONE, TWO, THREE], [THREE, SIDE, ONE]], [ONE, TWO, SIDE, THREE]),
        ([[ONE, TWO], [ONE, SIDE]], [ONE, SIDE, TWO]),
        ([[ONE], [SIDE]], [ONE, SIDE]),
        ([[ONE, TWO, ONE]], [ONE, TWO]),
    ],
)
def test_the_order_of_the_columns(ways: list[list[Tap]], order: list[Tap]) -> None:
    ladder = Ladder((), tuple(way(*(at(tap) for tap in taps)) for taps in ways))

    assert list(arrange(ladder).order) == order


def test_an_order_that_was_right_stays() -> None:
    assert arrange(LADDER).order == TAPS


def test_taps_that_saw_nothing_stand_at_the_end() -> None:
    assert arrange(Ladder((TWO,), (way(at(ONE)),))).order == (ONE, TWO)


def test_two_captures_of_one_device_give_one_dot_that_names_both() -> None:
    (block,) = draw(Ladder((), (way(at(ANY, "one"), at(ONE, micros=9), at(TWO, micros=20)),))).blocks

    assert len(block.dots) == 2
    assert "a:any at +0.000" in block.dots[0].title
    assert "a:one at +0.009" in block.dots[0].title
    assert block.times == ("+0.000", "+0.009", "+0.020")


def test_a_packet_that_any_missed_is_missing_at_its_first_device_once() -> None:
    first = way(at(ANY, "one"), at(ANY, "two"), at(TWO))
    second = way(at(THREE, packet=ANSWER), missing=((ANY, "it ran"), (ONE, "it ran")))
    drawing = draw(Ladder((), (first, second)))

    assert [column.device for column in drawing.columns] == ["one", "two", "three"]
    assert [gap.title for gap in drawing.blocks[1].gaps] == ["packet was not seen at a:one: it ran"]


def test_a_name_does_not_repeat_the_addresses_below_it() -> None:
    named = replace(rung("x", (ONE, 0, ASKED, 1)), name="SYN [S] 192.168.111.210:17350 > 192.168.111.223:22")
    (block,) = draw(Ladder((), (named,))).blocks

    assert (block.name, block.source) == ("SYN [S]", "192.168.111.210:17350")
