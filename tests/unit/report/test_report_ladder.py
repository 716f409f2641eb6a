"""The drawing: a column per tap, an arrow per hop, a dashed one where a packet is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_samples import ASKED, INCIDENT, LADDER, QG, TAPS, hostile, rung

from bothways.facts.diagnosis import Ladder
from bothways.facts.sighting import Tap
from bothways.report.ladder import Block, Drawing, draw


def drawn() -> Drawing:
    return draw(LADDER, INCIDENT.authors)


def block(name: str) -> Block:
    (found,) = [each for each in drawn().blocks if each.name == name]
    return found


def test_one_column_per_tap_from_client_to_server() -> None:
    columns = drawn().columns

    assert [column.title for column in columns] == [str(tap) for tap in TAPS]
    assert [column.x for column in columns] == sorted({column.x for column in columns})


def test_the_column_of_the_author_is_marked() -> None:
    assert [column.device for column in drawn().columns if column.author] == [QG]


def test_times_are_on_one_clock_from_the_first_packet_on() -> None:
    assert [dot.time for dot in block("SYN").dots] == ["+0.000", "+0.305", "+0.535", "+2.912", "+2.928"]


def test_corrected_times_win_over_the_hosts_own() -> None:
    first, *rest = LADDER.rungs
    corrected = replace(first, corrected_ns=tuple(ns + 1_000_000 for ns in first.corrected_ns[:1]))
    late = draw(Ladder((), (corrected, *rest)))

    assert late.blocks[0].dots[0].time == "+0.695"
    assert late.blocks[0].dots[1].time == "+0.000"


def test_a_name_stands_where_it_changes_and_only_there() -> None:
    assert [dot.label for dot in block("SYN").dots] == ["", "", "dst 88.88.88.4:22", "", ""]
    assert [dot.label for dot in block("SYN/ACK").dots] == ["", "", "src 192.168.111.223:22", "", "", ""]


def test_an_arrow_leads_from_each_tap_to_the_next() -> None:
    syn = block("SYN")

    assert len(syn.arrows) == len(syn.dots) - 1
    for arrow, one, two in zip(syn.arrows, syn.dots, syn.dots[1:], strict=False):
        assert one.x < arrow.x1 < arrow.x2 < two.x
        assert (arrow.y1, arrow.y2) == (one.y, two.y)


def test_the_missing_reply_comes_from_where_it_was_last_seen_on_its_way() -> None:
    reply = block("SYN/ACK")
    at = {column.device: column.x for column in drawn().columns}
    first, second = reply.gaps

    assert (first.x, second.x) == (at["qr-dcedd015-a5"], at[QG])
    last_seen = next(dot for dot in reply.dots if dot.x == at["tap2d386740-3b"])
    assert (first.arrow.x1, first.arrow.y1) == (last_seen.x - 4, last_seen.y)
    assert first.arrow.x2 > first.x
    assert (second.arrow.x1, second.arrow.y1) == (first.x - 4, first.y)
    assert "was not seen at host1/qrouter" in first.title


def test_where_the_reset_was_made_is_said() -> None:
    reset = block("RST")

    assert reset.reset
    assert [(dot.label, dot.author) for dot in reset.dots] == [("made here", True), ("", False)]


def test_a_note_keeps_clear_of_the_times() -> None:
    reply = block("SYN/ACK")

    assert " ".join(reply.note) == "rewritten on host5, never in the tracker"
    assert max(len(line) for line in reply.note) <= 28


def test_blocks_do_not_overlap_and_hold_their_dots() -> None:
    drawing = drawn()

    for one, two in zip(drawing.blocks, drawing.blocks[1:], strict=False):
        assert one.y + one.height == two.y
    for each in drawing.blocks:
        marks = [*(dot.y for dot in each.dots), *(gap.y for gap in each.gaps)]
        assert all(each.y < y < each.y + each.height for y in marks)
        assert all(0 < dot.x < drawing.width for dot in each.dots)


def test_an_empty_ladder_is_no_error() -> None:
    assert draw(Ladder()).blocks == ()


def test_a_packet_that_nobody_saw_is_no_error() -> None:
    tap = Tap("h", "root", "eth0")

    (alone,) = draw(Ladder((tap,), (rung("ACK", missing=((tap, "it ran"),)),))).blocks
    assert (alone.dots, len(alone.gaps)) == ((), 1)


@pytest.mark.parametrize("known", [(), TAPS])
def test_a_tap_that_only_a_packet_knows_gets_a_column(known: tuple[Tap, ...]) -> None:
    tap = Tap("elsewhere", "root", "eth9")
    drawing = draw(Ladder(known, (rung("SYN", (tap, 0, ASKED, 1)),)))

    assert "elsewhere:eth9" in [column.title for column in drawing.columns]
    assert len(drawing.columns) == len(known) + 1


def test_hostile_names_are_spelt_out() -> None:
    for column in draw(hostile().ladder).columns:
        assert (column.host + column.netns + column.device + column.title).isprintable()
