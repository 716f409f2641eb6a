"""A listener whose queue is full says nothing; what did not happen does."""

from __future__ import annotations

import pytest

from bothways.correlate.kernel_account import account
from bothways.facts.kernel_account import DeedKind
from kernel_trace_samples import CLIENT, DPORT, SERVER, SPORT, Story, headers

SYN = headers(CLIENT, SERVER, "S")
ANSWER = {"source_port": DPORT, "destination_port": SPORT}
SYN_ACK = {**headers(SERVER, CLIENT, "S.", seq=5000, ack=1001), **ANSWER}
LISTENER = "tcp_rcv_state_process+0x809"


def inferred(story: Story) -> list[tuple[DeedKind, str | None, str | None, str]]:
    made = account(story.stop().traces())
    return [(d.kind, d.function, d.event.netns, d.event.place) for d in made.deeds if d.inferred]


def test_a_syn_that_is_freed_unanswered_was_swallowed() -> None:
    story = Story().start().event("receive", 1, "vm", "eth0", SYN)
    story.event("consume", 1, "vm", "eth0", SYN, location=LISTENER)

    assert inferred(story) == [(DeedKind.DROP, "tcp_conn_request", "vm", "h1/vm:eth0")]


def test_one_that_was_answered_first_was_not() -> None:
    story = Story().start().event("receive", 1, "vm", "eth0", SYN)
    story.event("xmit", 2, "vm", "eth0", SYN_ACK).event("consume", 1, "vm", "eth0", SYN, location=LISTENER)

    assert inferred(story) == []


@pytest.mark.parametrize(
    ("packet", "location"),
    [
        (SYN, None),  # a kernel that does not say where
        (SYN, "packet_recvmsg+0x10"),  # a switch in user space read it
        (headers(CLIENT, SERVER, "."), LISTENER),
    ],
    ids=("no location", "read by a process", "an ACK"),
)
def test_what_proves_nothing_accuses_nobody(packet: dict[str, object], location: str | None) -> None:
    story = Story().start().event("receive", 1, "vm", "eth0", packet)
    story.event("consume", 1, "vm", "eth0", packet, location=location)

    assert inferred(story) == []


@pytest.mark.parametrize(
    "only", [{"device": ["eth0"]}, {"events": ["receive", "consume"]}], ids=lambda only: next(iter(only))
)
def test_a_trace_that_would_not_have_shown_the_answer_proves_nothing(only: dict[str, object]) -> None:
    story = Story().start(only=only).event("receive", 1, "vm", "eth0", SYN)
    story.event("consume", 1, "vm", "eth0", SYN, location=LISTENER)

    assert inferred(story) == []


def test_the_listeners_namespace_alone_is_enough() -> None:
    story = Story().start(only={"netns": [4026533560]}).event("receive", 1, "vm", "eth0", SYN)
    story.event("consume", 1, "vm", "eth0", SYN, location=LISTENER)

    assert inferred(story) == [(DeedKind.DROP, "tcp_conn_request", "vm", "h1/vm:eth0")]
