"""Packets that wait for a neighbour when the trace ends."""

from __future__ import annotations

import pytest

from bothways.correlate.kernel_account import account
from bothways.report.kernel_account import render_account
from kernel_trace_samples import CLIENT, NAME, ROUTER, Story, headers

SYN = headers(CLIENT, NAME, "S")
NEXT_HOP = "10.0.0.4"


def held_up(state: str = "INCOMPLETE") -> Story:
    story = Story().start().event("receive", 1, ROUTER, "qr-1", SYN)
    story.event("consume", 1, ROUTER, "qg-1", SYN)
    return story.event("neigh", 1, ROUTER, "qg-1", None, detail={"address": NEXT_HOP, "state": state})


def told(story: Story) -> str:
    return render_account(account(story.stop().traces()), width=200, colour=False)


def test_the_answer_that_makes_an_address_known_waits_for_nothing() -> None:
    story = Story().start().event("receive", 1, ROUTER, "qg-1", SYN)
    detail = {"address": NEXT_HOP, "state": "INCOMPLETE", "to": "REACHABLE"}
    assert "Waiting" not in told(story.event("neigh", 1, ROUTER, "qg-1", None, detail=detail))


def test_what_a_neighbour_learns_meanwhile_is_no_answer() -> None:
    detail = {"address": CLIENT, "state": "REACHABLE", "to": "STALE"}
    assert "Waiting" in told(held_up().event("neigh", 1, "vm", "eth0", None, detail=detail))
    answer = {"address": NEXT_HOP, "state": "INCOMPLETE", "to": "REACHABLE"}
    assert "Waiting" not in told(held_up().event("neigh", 1, ROUTER, "qg-1", None, detail=answer))


def test_a_packet_that_waits_says_for_whom() -> None:
    sheet = told(held_up())
    assert "Waiting at the end" in sheet
    (line,) = [each for each in sheet.splitlines() if "link-layer address" in each]
    assert line.strip().startswith("#1 ")
    assert line.endswith(f"at h1/{ROUTER}:qg-1, for the link-layer address of {NEXT_HOP}")


@pytest.mark.parametrize(
    "story",
    [
        held_up("REACHABLE"),
        held_up().event("xmit", 1, ROUTER, "qg-1", SYN),
        held_up().event(
            "drop", 1, ROUTER, "qg-1", SYN, reason="NEIGH_FAILED", location="neigh_invalidate+0x1"
        ),
    ],
    ids=["known", "sent", "dropped"],
)
def test_a_packet_that_went_on_or_ended_does_not_wait(story: Story) -> None:
    assert "Waiting" not in told(story)
