"""The tracker stepped by hand agrees with the table, and with the judgement below it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.packet import Flag
from bothways.facts.segment import WrittenSegment
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState
from bothways.model.linux.conntrack.stepping import HandStep, Numbering, step_by_hand
from bothways.model.linux.conntrack.tcp import TcpState
from bothways.model.linux.conntrack.tcp_judge import Ruling, judge, possible_flags
from bothways.model.linux.conntrack.tcp_memory import TcpMemory, TcpSettings

LETTERS = {"F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH, ".": Flag.ACK}
S = TcpState


def written(text: str) -> tuple[WrittenSegment, ...]:
    segments = []
    for word in text.split():
        seen = not word.startswith("(")
        bare = word.strip("()")
        flags = Flag(0)
        for letter in bare[:-1]:
            flags |= LETTERS[letter]
        way = Way.ORIGINAL if bare.endswith(">") else Way.REPLY
        segments.append(WrittenSegment(flags, way, seen=seen, text=word))
    return tuple(segments)


def steps(text: str, kernel: str | None = None, **sysctls: int) -> tuple[HandStep, ...]:
    return step_by_hand(written(text), sysctls=sysctls, kernel=kernel)


@pytest.mark.parametrize(
    ("text", "states", "verdicts"),
    [
        ("S> S.< .>", "SYN_SENT SYN_RECV ESTABLISHED", "NEW ESTABLISHED ESTABLISHED"),
        ("S> (S.<) .>", "SYN_SENT SYN_SENT SYN_SENT", "NEW - INVALID"),
        ("S> (S.<) R>", "SYN_SENT SYN_SENT NONE", "NEW - NEW"),
        ("S> S.< .> F.> .< F.< .>", "SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT",
         "NEW ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED"),
        ("S> S<", "SYN_SENT SYN_SENT2", "NEW ESTABLISHED"),
        ("S.<", "NONE", "INVALID"),
        (".<", "ESTABLISHED", "NEW"),
        ("FS>", "NONE", "INVALID"),
        ("S> S.< S>", "SYN_SENT SYN_RECV SYN_RECV", "NEW ESTABLISHED ESTABLISHED"),
    ],
)  # fmt: skip
def test_where_an_entry_ends(text: str, states: str, verdicts: str) -> None:
    told = steps(text)

    assert [str(step.after) for step in told] == states.split()
    assert [str(step.verdict or "-") for step in told] == verdicts.split()
    assert [step.before for step in told] == [S.NONE, *(step.after for step in told[:-1])]


def test_the_incident_in_three_segments() -> None:
    *_, ack = steps("S> (S.<) .>")

    assert ack.cell == "SYN_SENT/original/ACK"
    assert ack.log == "nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT"
    assert "no SYN/ACK did" in ack.why
    assert ack.way is None
    assert (ack.status, ack.expires_s) == ((), 120)


def test_kernels_before_5_14_log_in_other_words() -> None:
    assert steps("S> (S.<) .>", kernel="5.4")[-1].log == "nf_ct_tcp: invalid state"


def test_loose_is_what_picks_a_connection_up() -> None:
    assert steps(".>")[0].verdict is CtState.NEW
    (refused,) = steps(".>", nf_conntrack_tcp_loose=0)
    assert refused.verdict is CtState.INVALID
    assert "nf_conntrack_tcp_loose=0" in refused.why


def test_the_first_side_that_the_tracker_sees_is_the_original_one() -> None:
    picked_up, answer = steps(".< .>")

    assert (picked_up.way, answer.way) == (Way.ORIGINAL, Way.REPLY)


def test_a_segment_that_is_let_through_moves_nothing() -> None:
    *_, again = steps("S> S.< S>")

    assert not again.moved
    assert again.verdict is CtState.ESTABLISHED


def test_time_passes() -> None:
    syn, late = (
        WrittenSegment(Flag.SYN, Way.ORIGINAL),
        WrittenSegment(Flag.SYN | Flag.ACK, Way.REPLY, after_s=121),
    )

    *_, answer = step_by_hand((syn, late), sysctls={})

    assert answer.verdict is CtState.INVALID
    assert answer.before is S.NONE
    assert "first" not in answer.why or "expired" in answer.why


def test_a_closed_connection_is_opened_anew() -> None:
    *_, again = steps("S> S.< .> F.> .< F.< .> S>")

    assert (again.before, again.after, again.verdict) == (S.TIME_WAIT, S.SYN_SENT, CtState.NEW)
    assert "the entry in TIME_WAIT goes" in again.why


_SEGMENTS = st.builds(
    WrittenSegment,
    st.sampled_from(["S", "S.", "F.", ".", "P.", "R", "R."]).map(
        lambda letters: Flag(sum(LETTERS[letter] for letter in letters))
    ),
    st.sampled_from(list(Way)),
    st.sampled_from([0, 21]),
    st.booleans(),
)


@given(st.lists(_SEGMENTS, min_size=1, max_size=8))
def test_it_agrees_with_the_judgement_driven_directly(segments: list[WrittenSegment]) -> None:
    """Without the table: one memory, forgotten where a judgement says that the entry goes."""
    numbering = Numbering()
    memory, original, status = TcpMemory(), None, set[str]()
    for segment, step in zip(segments, step_by_hand(segments, sysctls={}), strict=True):
        tcp = numbering.tcp(segment)
        if not segment.seen:
            continue
        assert possible_flags(segment.flags)
        while True:
            way = Way.ORIGINAL if original in (None, segment.way) else Way.REPLY
            judged = judge(
                memory, way, tcp, TcpSettings(), seen_reply="SEEN" in status, assured="ASSURED" in status
            )
            if judged.ruling is not Ruling.REOPEN:
                break
            memory, original, status = TcpMemory(), None, set[str]()
        assert step.cell == judged.cell
        assert (step.verdict is CtState.INVALID) == (judged.ruling is Ruling.INVALID)
        if judged.ruling is Ruling.INVALID:
            assert step.why == judged.why
            continue
        original = original or segment.way
        status |= {"SEEN"} if way is Way.REPLY else set()
        status |= {"ASSURED"} if judged.assured else set()
        if judged.destroy:
            memory, original, status = TcpMemory(), None, set[str]()
        assert step.after is memory.state
