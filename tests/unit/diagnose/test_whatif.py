"""The verdict of a change: walks before and after, held against each other."""

from __future__ import annotations

import pytest

from bothways.diagnose.whatif import judge
from bothways.facts.choice import Choice, Freedom
from bothways.facts.diagnosis import Fate
from bothways.facts.prediction import Walk
from bothways.facts.whatif import ChangeVerdict

WORKS, RESET, TIMEOUT, UNKNOWN = Fate.WORKS, Fate.RESET, Fate.TIMEOUT, Fate.UNKNOWN


def walk(fate: Fate, taken: str = "", key: str = "who answers") -> Walk:
    choices = (Choice(key, Freedom.FREE, ("a", "b"), taken, recorded="a"),) if taken else ()
    return Walk(choices, fate, f"because {fate}", ())


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        # one way only
        ([walk(RESET)], [walk(WORKS)], "works"),
        ([walk(RESET)], [walk(RESET)], "fails"),
        ([walk(WORKS)], [walk(TIMEOUT)], "fails"),
        ([walk(RESET)], [walk(UNKNOWN)], "unknown"),
        # two ways; the first is recorded
        ([walk(RESET, "a"), walk(WORKS, "b")], [walk(WORKS, "a"), walk(WORKS, "b")], "works"),
        ([walk(RESET, "a"), walk(WORKS, "b")], [walk(WORKS, "a"), walk(TIMEOUT, "b")], "depends"),
        ([walk(RESET, "a"), walk(WORKS, "b")], [walk(RESET, "a"), walk(WORKS, "b")], "fails"),
        ([walk(RESET, "a"), walk(RESET, "b")], [walk(WORKS, "a"), walk(RESET, "b")], "works"),
        ([walk(WORKS, "a"), walk(RESET, "b")], [walk(WORKS, "a"), walk(RESET, "b")], "works"),
        ([walk(RESET, "a"), walk(WORKS, "b")], [walk(WORKS, "a"), walk(UNKNOWN, "b")], "unknown"),
        # the change takes the choice away, or brings one
        ([walk(RESET, "a"), walk(WORKS, "b")], [walk(WORKS)], "works"),
        ([walk(WORKS)], [walk(WORKS, "a"), walk(RESET, "b")], "depends"),
        ([walk(RESET)], [walk(WORKS, "a"), walk(RESET, "b")], "works"),
    ],
)
def test_the_verdict_of_a_change(before: list[Walk], after: list[Walk], verdict: str) -> None:
    found, why = judge(before, after, after[0])

    assert found is ChangeVerdict(verdict)
    assert why


def test_what_still_fails_is_said() -> None:
    _, why = judge(
        [walk(RESET, "a"), walk(RESET, "b")], [walk(WORKS, "a"), walk(RESET, "b")], walk(WORKS, "a")
    )

    assert "if b," in why
    assert "still fails, reset" in why


def test_what_works_no_more_is_said() -> None:
    after = [walk(WORKS, "a"), walk(TIMEOUT, "b")]
    _, why = judge([walk(RESET, "a"), walk(WORKS, "b")], after, after[0])

    assert why == "it works as recorded; if b, it worked before and fails now, timeout: because timeout"
