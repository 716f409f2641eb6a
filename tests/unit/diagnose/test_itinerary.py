"""Which copy of a packet is followed, and that a copy's past is its own."""

from __future__ import annotations

import pytest

from bothways.diagnose.itinerary import itinerary
from bothways.facts.packet import Packet
from bothways.facts.prediction import Branch, Journey
from bothways.facts.step import Did, Place, Step
from bothways.facts.trajectory import Way
from bothways.model.world.journal import Draft, Frame

PACKET = Packet()


def step(name: str, did: Did = Did.MATCHED) -> Step:
    return Step(Place("h", "root", name), "f", did, PACKET, PACKET, "")


def journey(*branches: Branch) -> Journey:
    return Journey("SYN", Way.ORIGINAL, "client", PACKET, branches)


def names(*branches: Branch) -> str:
    return "".join(each.place.device for each in itinerary(journey(*branches)))


TRUNK = Branch((step("a"), step("b"), step("c", Did.DROPPED)))


@pytest.mark.parametrize(
    ("branches", "followed"),
    [
        pytest.param((), "", id="nothing"),
        pytest.param((TRUNK,), "abc", id="the only one"),
        pytest.param(
            (TRUNK, Branch((step("d", Did.DELIVERED),), (0, 2))), "abd", id="delivered after a fork"
        ),
        pytest.param((TRUNK, Branch((step("d", Did.IGNORED),), (0, 2))), "abc", id="nobody's frame"),
        pytest.param((TRUNK, Branch((step("d"), step("e", Did.DROPPED)), (0, 2))), "abde", id="went further"),
        pytest.param(
            (
                TRUNK,
                Branch((step("d"), step("x", Did.IGNORED)), (0, 1)),
                Branch((step("e", Did.DELIVERED),), (1, 1)),
            ),
            "ade",
            id="a copy of a copy",
        ),
        pytest.param((Branch((step("a", Did.DELIVERED),), (0, 9)),), "a", id="a branch of itself ends"),
    ],
)
def test_the_copy_that_somebody_took_is_followed_from_the_sender_on(
    branches: tuple[Branch, ...], followed: str
) -> None:
    assert names(*branches) == followed


def test_the_journal_says_where_a_copy_split_off() -> None:
    draft = Draft("SYN", Way.ORIGINAL, "client", PACKET)
    trunk = Frame.of(draft)
    trunk.note(Place("h", "root", "a"), "f", Did.SENT, "")
    first, second = trunk.copies([(PACKET, (step("b"),)), (PACKET, (step("c"),))])
    first.note(Place("h", "root", "d"), "f", Did.DROPPED, "")
    late = second.another()
    second.note(Place("h", "root", "e"), "f", Did.DROPPED, "")
    late.note(Place("h", "root", "f"), "f", Did.DELIVERED, "")

    branches = draft.journey().branches
    assert [branch.split for branch in branches] == [None, (0, 1), (1, 1)]
    assert names(*branches) == "acf"


def test_a_trail_that_stayed_empty_hands_its_beginning_down() -> None:
    draft = Draft("SYN", Way.ORIGINAL, "client", PACKET)
    trunk = Frame.of(draft)
    trunk.note(Place("h", "root", "a"), "f", Did.SENT, "")
    copy = trunk.another().another()
    copy.note(Place("h", "root", "b"), "f", Did.DELIVERED, "")

    assert [branch.split for branch in draft.journey().branches] == [None, (0, 1)]
    assert names(*draft.journey().branches) == "ab"
