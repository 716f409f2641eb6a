"""
Changing any one row of the state table must be found by a replay.

For each row recorded sequences are looked up that pass it, the row is changed, and one of them must
disagree. Rows that no packet reaches are left out, see ``reached``.
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
from bothways.facts.packet import NO_FLAGS
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tcp import CELLS, Cell, Go, Invalid, Segment, TcpState, cell_name, segment

SAMPLE = Path(__file__).parents[1] / "model" / "data" / "conntrack-6.18.jsonl.gz"
Row = tuple[TcpState, Way, Segment]
#: How many sequences are tried for a row at most; mostly the first one disagrees.
TRIES = 200


def reached(row: Row) -> bool:
    """Without an entry there is no reply, and no segment without flags gets as far as the table."""
    state, way, seg = row
    return seg is not Segment.BARE and not (state is TcpState.NONE and way is Way.REPLY)


ROWS = [row for row in CELLS if reached(row)]


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


def test_every_row_is_tried_or_cannot_be_reached() -> None:
    assert len(ROWS) == len(CELLS) - 2 * len(TcpState) - 5
    assert set(ROWS) <= passing().keys()
