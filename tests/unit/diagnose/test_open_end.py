"""A connection that went well as far as it was seen: when that is enough, and when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from seen_samples import CLIENT, WIRE, talk

from bothways.bundle import Bundle
from bothways.correlate import Correlation
from bothways.diagnose.case import Case
from bothways.diagnose.evidence import Ages
from bothways.diagnose.open_end import open_end
from bothways.diagnose.owners import owners_of
from bothways.diagnose.pick import question_of
from bothways.diagnose.symptom import read_story
from bothways.facts.address import Mac
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.diagnosis import Fate
from bothways.facts.dump import Dump
from bothways.facts.prediction import Prediction, Walk
from bothways.facts.sighting import Capture
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span
from bothways.model.world import Observed

TALK = ("> S", "< S.", "> .", "< P. 21", "> .", "> P. 30", "< .")
CLOSED = (*TALK, "> F.", "< F.", "> .")


def case(*said: str, at_client: bool = True, predicted: Fate = Fate.WORKS) -> Case:
    """A connection, captured whole at the client or on the wire, that the model lets end in a fate."""
    seen = talk(*said)
    story = read_story(seen)
    span = Span("hosts/net/netns/root/addr.json", line=1)
    held = InterfaceAddress(CLIENT.address, 24, span)
    device = Device("eth0", 2, Mac("02:00:00:00:00:01"), span, addresses=(held,))
    host = "net" if at_client else "elsewhere"
    snapshot = Snapshot({host: Host(host, {"root": Netns(host, "root", Dump((device,), file=""))})})
    sightings = tuple(s for t in seen.trajectories for s in t.sightings)
    capture = Capture(WIRE, sightings, "eth0.pcap", captured=len(sightings), dropped=0)
    question = question_of(story)
    return Case(
        Bundle("case", "case", question, snapshot, (capture,)),
        question,
        Correlation((seen,), (), (), "net"),
        Observed(),
        Prediction(question, (Walk((), predicted, "", ()),)),
        Ages(),
        owners_of(snapshot, question.destination),
        story,
    )


def with_capture(one: Case, **changes: int | None) -> Case:
    captures = tuple(replace(c, **changes) for c in one.bundle.captures)  # type: ignore[arg-type] # counts
    return replace(one, bundle=replace(one.bundle, captures=captures))


def test_a_whole_capture_at_the_client_of_what_the_model_lets_live_is_enough() -> None:
    assert open_end(case(*TALK)) is None


def test_what_closed_in_order_needs_no_more() -> None:
    assert open_end(with_capture(case(*CLOSED, at_client=False), captured=None, dropped=None)) is None


@pytest.mark.parametrize("changes", [{"captured": 9}, {"captured": None}, {"dropped": 2}, {"dropped": None}])
def test_a_capture_that_may_lack_packets_leaves_the_end_open(changes: dict[str, int | None]) -> None:
    assert "may lack what came after" in str(open_end(with_capture(case(*TALK), **changes)))


def test_what_the_client_received_must_be_seen() -> None:
    assert "no capture shows what the client received" in str(open_end(case(*TALK, at_client=False)))


def test_a_walk_that_fails_leaves_the_end_open() -> None:
    assert "predict reset" in str(open_end(case(*TALK, predicted=Fate.RESET)))


def test_captures_without_the_connection_leave_it_open() -> None:
    one = replace(case(*TALK), story=None)

    assert "do not show the connection" in str(open_end(one))
    assert open_end(replace(one, bundle=replace(one.bundle, captures=()))) is None
