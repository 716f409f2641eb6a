"""
Changing any one row of the state table must be found by a replay.

For each row recorded sequences are looked up that pass it, the row is changed, and one of them must
disagree. Two kinds of rows are in no recording:

* An entry in the state NONE answers only if somebody made it by hand, for what a packet makes has a state
  before the next packet comes. Those rows are tried with such an entry.
* A segment without SYN, ACK, FIN and RST never reaches the table, whatever the sysctls, the entry and the
  direction: the kernel refuses its flags first (``tcp_error``). That is tried with all flag bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import cast

import pytest

from bothways.conform.recording import Case, Result, read_recording
from bothways.conform.replay import hold
from bothways.conform.segment import LETTERS
from bothways.facts.address import address
from bothways.facts.choice import FirstOption
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.dump import Dump
from bothways.facts.packet import NO_FLAGS, TCP, Flag, Ip, Packet, Tcp, TcpOptions
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tcp import (
    CELLS,
    Cell,
    Go,
    Invalid,
    Row,
    Segment,
    TcpState,
    cell_name,
    segment,
)
from bothways.model.linux.conntrack.tcp_judge import possible_flags

SAMPLE = Path(__file__).parents[1] / "model" / "data" / "conntrack-6.18.jsonl.gz"
#: How many sequences are tried for a row at most; mostly the first one disagrees.
TRIES = 200


#: Rows that no segment reaches.
UNREACHED = [row for row in CELLS if row[2] is Segment.BARE]
#: Rows that an entry made by hand reaches.
BY_HAND = [row for row in CELLS if row[:2] == (TcpState.NONE, Way.REPLY) and row not in UNREACHED]
#: Rows that recorded sequences reach.
ROWS = [row for row in CELLS if row not in UNREACHED and row not in BY_HAND]


@cache
def passing() -> dict[Row, list[Case]]:
    """Row -> recorded sequences that pass it."""
    return passes(read_recording(SAMPLE))


def passes(cases: Iterable[Case]) -> dict[Row, list[Case]]:
    """Find by the recording alone, without the model, which sequences pass which rows."""
    found: defaultdict[Row, list[Case]] = defaultdict(list)
    for case in cases:
        before: Result = {"state": None}
        for each, result in zip(case.segments, case.results, strict=True):
            state = TcpState(before["state"] or "NONE")
            forth = state is TcpState.NONE or before["orig"] == each["dir"]
            flags = reduce(or_, (LETTERS[letter] for letter in each["flags"]), NO_FLAGS)
            passed = found[state, Way.ORIGINAL if forth else Way.REPLY, segment(flags)]
            if len(passed) < TRIES:
                passed.append(case)
            before = result
    return found


def changed(cell: Cell) -> Cell:
    """Another verdict: what was refused is taken, what was taken leads elsewhere, what was ignored is not."""
    if isinstance(cell, Go):
        return Go(TcpState.CLOSE if cell.state is not TcpState.CLOSE else TcpState.ESTABLISHED)
    if isinstance(cell, Invalid):
        return Go(TcpState.FIN_WAIT)
    return Invalid("changed by a test")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: cell_name(*row))
def test_a_row_that_is_changed_is_found(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = passing().get(row, [])
    assert cases, "no recorded sequence passes this row"

    monkeypatch.setitem(cast("dict[Row, Cell]", CELLS), row, changed(CELLS[row]))

    assert any(hold(case)[1] is not None for case in cases)


FLAGS_OF = {
    Segment.SYN: Flag.SYN,
    Segment.SYNACK: Flag.SYN | Flag.ACK,
    Segment.FIN: Flag.FIN | Flag.ACK,
    Segment.ACK: Flag.ACK,
    Segment.RST: Flag.RST,
}


def answered(seg: Segment) -> Tracking:
    """What an answer is to a table with one entry that was made by hand."""
    there = Tuple(TCP, address("192.0.2.1"), address("192.0.2.2"), 1025, 22)
    back = Tuple(TCP, there.dst, there.src, 22, 1025)
    row = Entry(there, back, Span("conntrack.txt", 1), state="NONE", timeout=600)
    table = ConntrackTable(
        Netns("host", "root", conntrack=Dump((row,), "conntrack.txt")), oracle=FirstOption(), kernel=None
    )
    tcp = Tcp(22, 1025, FLAGS_OF[seg], 1, 1, 512, 0, TcpOptions(size=0))
    return table.track(Packet(ip=Ip(there.dst, there.src, TCP), tcp=tcp), 0)


@pytest.mark.parametrize("row", BY_HAND, ids=lambda row: cell_name(*row))
def test_a_row_of_an_entry_made_by_hand_is_found(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answered(row[2])
    assert before.state is CtState.INVALID
    assert before.cell == cell_name(*row)

    monkeypatch.setitem(cast("dict[Row, Cell]", CELLS), row, changed(CELLS[row]))

    assert answered(row[2]).state is not CtState.INVALID


@pytest.mark.parametrize("octet", range(256))
def test_a_segment_without_flags_reaches_no_row(octet: int) -> None:
    flags = Flag(octet)

    assert segment(flags) is not Segment.BARE or not possible_flags(flags)


def test_every_row_is_tried_or_cannot_be_reached() -> None:
    assert (len(UNREACHED), len(BY_HAND), len(ROWS)) == (2 * len(TcpState), 5, 95)
    assert set(ROWS) <= passing().keys()
