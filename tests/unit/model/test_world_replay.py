from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.choice import Assumption, Freedom
from bothways.model.world.replay import Replay


def outcomes(points: list[int], scripts: list[dict[str, str]]) -> Iterator[tuple[str, ...]]:
    """Walk a program that asks at every point; return what it was told, outcome by outcome."""
    while scripts:
        replay = Replay(scripts.pop())
        yield tuple(
            replay.choose(f"point {i}", [f"{o}" for o in range(options)], freedom=Freedom.FREE)
            for i, options in enumerate(points)
        )
        scripts.extend(replay.alternatives())


@given(st.lists(st.integers(1, 3), max_size=4))
def test_every_outcome_is_walked_once(points: list[int]) -> None:
    told = list(outcomes(points, [{}]))
    expected = 1
    for options in points:
        expected *= options

    assert len(told) == len(set(told)) == expected


def test_what_was_recorded_is_taken_first() -> None:
    replay = Replay()

    assert replay.choose("who", ["a", "b"], freedom=Freedom.FREE, recorded="b") == "b"
    assert list(replay.alternatives()) == [{"who": "a"}]


def test_the_script_outranks_the_record_and_a_stale_script_does_not() -> None:
    assert Replay({"who": "a"}).choose("who", ["a", "b"], freedom=Freedom.FREE, recorded="b") == "a"
    assert Replay({"who": "gone"}).choose("who", ["a", "b"], freedom=Freedom.FREE) == "a"


def test_a_single_option_is_no_choice() -> None:
    replay = Replay()
    replay.choose("who", ["a"], freedom=Freedom.FREE)

    assert replay.choices == ()


def test_the_same_point_answers_the_same_way() -> None:
    replay = Replay({"who": "b"})

    assert [replay.choose("who", ["a", "b"], freedom=Freedom.FREE) for _ in range(2)] == ["b", "b"]


def test_assumptions_are_noted_once() -> None:
    replay = Replay()
    for _ in range(2):
        replay.assume(Assumption("forwarding is on"))

    assert [a.text for a in replay.assumptions] == ["forwarding is on"]
