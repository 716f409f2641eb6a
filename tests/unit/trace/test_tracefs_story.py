"""
Events told of recorded trace buffers.

Two recordings of the same four connections through a router: Debian's 6.1 with kprobes, and 6.18 without.
They hold the buffers' records as they are, the formats of their events, and the names of their addresses.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bothways.trace.probe.fetch import Layout
from bothways.trace.probe.reasons import Reasons
from bothways.trace.probe.symbols import cut
from bothways.trace.probe.tracefs_event import Placed, Sight
from bothways.trace.probe.tracefs_format import read_format
from bothways.trace.probe.tracefs_story import Story
from bothways.trace.probe.tracefs_tap import Tap, Way

RECORDED = Path(__file__).parent / "recorded"
Event = dict[str, Any]


@dataclass
class Told:
    """The events of one recording."""

    events: list[Event]

    def of(self, event: str, *, port: int | None = None, **wanted: object) -> list[Event]:
        """Events of that word, of packets to or from that port, with these values."""
        return [
            each
            for each in self.events
            if each["event"] == event
            and (port is None or port in ports(each))
            and all(each[key] == value for key, value in wanted.items())
        ]


def ports(event: Event) -> tuple[object, ...]:
    packet = event["packet"]
    return (packet["source_port"], packet["destination_port"]) if packet else ()


def tell(release: str) -> Told:
    with gzip.open(RECORDED / f"tracefs-{release}.json.gz") as file:
        recording = json.load(file)
    placed = {}
    for number, each in recording["placed"].items():
        form = read_format(each["format"])
        assert form is not None
        tap = Tap(each["probe"], each["event"], (), each["stack"])
        placed[int(number)] = Placed(tap, Way(*each["way"]), each["symbol"], form)

    def symbol(address: int) -> str | None:
        name: str | None = recording["symbols"].get(hex(address))
        return name

    layout = Layout(recording["layout"]) if recording["layout"] else None
    story = Story(layout, symbol, recording["devices"], Reasons(None), str)
    events = []
    for time, cpu, number, data, stack in recording["sights"]:
        sight = Sight(time, cpu, placed[number], bytes.fromhex(data), tuple(stack) if stack else None)
        for event, _ in story.tell(sight):
            frames = event["stack"] if isinstance(event["stack"], list) else []
            event["stack"] = [name.partition("+")[0] for name in cut(frames)]
            events.append(event)  # not a copy: a later record may complete it
    return Told(events)


@pytest.fixture(scope="module")
def kprobes() -> Told:
    return tell("6.1")


@pytest.fixture(scope="module")
def points() -> Told:
    return tell("6.18")


def test_a_reset_has_its_author(kprobes: Told) -> None:
    (reset,) = kprobes.of("rst-sent", port=9)
    assert reset["function"] == "tcp_v4_send_reset"
    assert (reset["device"], reset["stack"][:2]) == ("g3vs0", ["tcp_v4_send_reset", "tcp_v4_rcv"])
    assert reset["packet"]["flags"] == "S"


def test_the_incidents_ack_is_invalid_and_delivered_locally(kprobes: Told) -> None:
    (reset,) = kprobes.of("rst-sent", port=17350)
    ack = reset["packet_id"]
    assert reset["device"] == "qr-g3v"
    (tracked,) = kprobes.of("conntrack", packet_id=ack, device="qr-g3v")
    assert tracked["conntrack"]["info"] == "INVALID"
    assert tracked["hook"] == "PREROUTING"
    assert tracked["verdict"] == "ACCEPT"
    assert kprobes.of("local-deliver", packet_id=ack)
    assert not kprobes.of("forward", packet_id=ack)
    assert {each["packet"]["destination"] for each in kprobes.events if each["packet_id"] == ack} == {
        "10.88.1.100"
    }


def test_the_reset_is_linked_to_the_ack(kprobes: Told) -> None:
    (reset,) = kprobes.of("rst-sent", port=17350)
    sent = [each for each in kprobes.of("xmit", port=17350) if each["packet"]["flags"] == "R"]
    assert {each["provoked_by"] for each in sent} == {reset["packet_id"]}
    assert {each["packet_id"] for each in sent}.isdisjoint({reset["packet_id"]})


def test_a_forwarded_packet_stays_one(kprobes: Told) -> None:
    sent = [each for each in kprobes.of("xmit", port=9) if each["packet"]["flags"] == "S"]
    assert [each["device"] for each in sent] == ["g3vc0", "qg-g3v"]
    assert len({each["packet_id"] for each in sent}) == 1
    (forwarded,) = [each for each in kprobes.of("forward", port=9) if each["packet"]["flags"] == "S"]
    entry = forwarded["conntrack"]
    assert (entry["info"], entry["state"]) == ("NEW", "SYN_SENT")
    assert (entry["original"]["source"], entry["reply"]["source"]) == ("10.88.1.2", "10.88.2.2")


def test_the_tracker_s_answer_is_what_the_packet_carries_next(kprobes: Told) -> None:
    (opening,) = [
        each for each in kprobes.of("conntrack", port=7777, device="qr-g3v") if each["hook"] == "PREROUTING"
    ]
    assert (opening["conntrack"]["info"], opening["conntrack"]["state"]) == ("NEW", "SYN_SENT")


def test_a_copy_says_of_what(kprobes: Told) -> None:
    copies = kprobes.of("clone", port=17350)
    assert copies
    assert all(each["clone_of"] and each["clone_of"] != each["packet_id"] for each in copies)


def test_a_rule_that_rejects_drops_too(kprobes: Told) -> None:
    (reset,) = kprobes.of("rst-sent", port=7777)
    assert (reset["function"], reset["device"]) == ("nf_send_reset", "qr-g3v")
    (dropped,) = kprobes.of("drop", packet_id=reset["packet_id"])
    assert (dropped["reason"], dropped["device"]) == ("NETFILTER_DROP", "qr-g3v")
    (hook,) = kprobes.of("hook", packet_id=reset["packet_id"], verdict="DROP")
    assert hook["hook"] == "FORWARD"
    (answer,) = {each["packet_id"] for each in kprobes.of("xmit", port=7777, provoked_by=reset["packet_id"])}
    assert answer != reset["packet_id"]


def test_without_headers_the_author_is_told_all_the_same(points: Told) -> None:
    for port, device in ((9, "g3vs0"), (17350, "qr-g3v")):
        (reset,) = points.of("rst-sent", port=port)
        assert (reset["device"], reset["reason"]) == (device, "NO_SOCKET")
        assert reset["stack"][:2] == ["tcp_v4_send_reset", "tcp_v4_rcv"]
        assert reset["packet"]["flags"] is None
        (dropped,) = points.of("drop", packet_id=reset["packet_id"])
        assert (dropped["function"], dropped["reason"]) == ("tcp_v4_rcv", "NO_SOCKET")


def test_without_headers_the_stack_links_an_answer(points: Told) -> None:
    (reset,) = points.of("rst-sent", port=9)
    (answer,) = [each for each in points.of("xmit") if "tcp_v4_send_reset" in each["stack"]][:1]
    assert answer["provoked_by"] == reset["packet_id"]
    assert answer["packet"] is None


def test_without_headers_the_stack_proves_netfilters_reset(points: Told) -> None:
    (reset,) = [each for each in points.of("rst-sent") if each["function"] == "nf_send_reset"]
    assert reset["detail"] == {"of": "stack"}
    assert reset["device"] == "qr-g3v"
    assert reset["reason"] is None


def test_a_tier_without_the_trackers_answer_says_nothing_of_it(points: Told) -> None:
    assert not points.of("conntrack")
    assert all(each["conntrack"] is None for each in points.events)


@pytest.mark.parametrize("release", ["6.1", "6.18"])
def test_numbers_of_packets_are_never_used_twice(release: str) -> None:
    seen: dict[int, set[tuple[object, ...]]] = {}
    for each in tell(release).events:
        packet = each["packet"]
        if packet and each["packet_id"] and packet["seq"] is not None:
            seen.setdefault(each["packet_id"], set()).add(
                (packet["protocol"], packet["ip_id"], packet["seq"])
            )
    assert all(len(identities) == 1 for identities in seen.values())
