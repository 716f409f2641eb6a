"""TCP options for which a kernel sends no RST: signatures, and since 6.7 options that do not add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.conform.recording import read_recording
from bothways.conform.replay import replay
from bothways.conform.signature import gets_no_reset

RECORDED = Path(__file__).parent / "data" / "signature-6.18.jsonl.gz"
SIGNED = "1312" + "ab" * 16


def test_what_a_kernel_answered_is_what_the_model_answers() -> None:
    outcome = replay(read_recording(RECORDED))

    assert outcome.cases == 90
    assert [each.difference for each in outcome.first] == []


def test_a_kernel_before_6_7_answers_damaged_options() -> None:
    assert replay(read_recording(RECORDED), kernel="6.6").fields == {"answered": 30}


@pytest.mark.parametrize(
    ("raw", "silent", "silent_before"),
    [
        (SIGNED + "0000", True, True),
        (SIGNED + SIGNED, True, True),  # once is enough before, twice is too often since
        (SIGNED + "0101" + "78ff" + "00" * 16, True, True),
        ("7801" + SIGNED, True, False),
        ("1311" + "00" * 18, True, False),
        ("78120000" + "00" * 16, False, False),
        ("0101" + "78" * 14, False, False),  # too short for a signature: nobody looks
        ("00" + SIGNED + "00", False, False),
    ],
)
def test_which_options_keep_a_stack_silent(raw: str, *, silent: bool, silent_before: bool) -> None:
    segment = {"dir": "A", "flags": "FA", "seq": 1, "ack": 1, "win": 1, "len": 0, "opts": {"raw": raw}}

    assert gets_no_reset(segment, refuses_damage=True) is silent
    assert gets_no_reset(segment, refuses_damage=False) is silent_before


def test_options_that_the_header_does_not_count_are_none() -> None:
    segment = {
        "dir": "A",
        "flags": "FA",
        "seq": 1,
        "ack": 1,
        "win": 1,
        "len": 0,
        "doff": 5,
        "opts": {"raw": SIGNED},
    }

    assert not gets_no_reset(segment, refuses_damage=True)
