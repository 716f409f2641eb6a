"""
What Open vSwitch's datapath took and did not send on: told since Linux 6.6, inferred before.

The recordings are those of `tools/vm/story.py` (story `ovs-drop`: a SYN, sent again after a second, to a port
whose flow drops it), without the packets of other stories.
"""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.correlate.kernel_account import account
from bothways.facts.kernel_account import Deed
from bothways.parse.kernel_event import parse_kernel_trace
from bothways.parse.kernel_trace import runs_of
from kernel_trace_samples import CLIENT, SERVER, Story, headers

RECORDED = Path(__file__).parent / "recorded" / "ovs-drop.json.gz"
SYN = headers(CLIENT, SERVER, "S")
DATAPATH = ("xmit", "receive", "consume", "ovs-receive", "ovs-upcall")
Lines = list[dict[str, Any]]


@cache
def _all() -> dict[str, Lines]:
    told: dict[str, Lines] = json.loads(gzip.decompress(RECORDED.read_bytes()))
    return told


def recorded(name: str) -> Lines:
    return deepcopy(_all()[name])


def deeds(lines: Lines) -> list[Deed]:
    parsed = parse_kernel_trace("".join(json.dumps(line) + "\n" for line in lines), file="t")
    assert parsed.problems == ()
    return [deed for deed in account(runs_of(parsed.rows, file="t")).deeds if not deed.aside]


def said(lines: Lines) -> list[tuple[str | None, str | None, bool]]:
    return [(deed.function, deed.event.device, deed.inferred) for deed in deeds(lines)]


@pytest.mark.parametrize("tier", ["fentry", "kprobe", "tracefs"])
def test_linux_6_1_does_not_tell_and_it_follows(tier: str) -> None:
    assert said(recorded(f"6.1 {tier}")) == [("do_execute_actions", "bwva0p", True)]


def test_who_does_not_see_the_datapath_take_it_infers_nothing() -> None:
    assert said(recorded("6.1 raw_tracepoint")) == []


@pytest.mark.parametrize("tier", ["fentry", "kprobe", "raw_tracepoint", "tracefs"])
def test_linux_6_12_tells_and_nothing_is_inferred(tier: str) -> None:
    assert said(recorded(f"6.12 {tier}")) == [("do_execute_actions", "bwva0p", False)]


@pytest.mark.parametrize(
    "only",
    [
        {"device": ["bwva*"]},
        {"netns": [4026531840]},
        {"events": ["receive", "ovs-receive", "ovs-upcall", "consume"]},
    ],
    ids=lambda only: next(iter(only)),
)
@pytest.mark.parametrize("tier", ["fentry", "tracefs"])
def test_a_trace_that_would_not_have_shown_an_output_proves_nothing(tier: str, only: dict[str, Any]) -> None:
    lines = recorded(f"6.1 {tier}")
    lines[0]["only"] = only

    assert said(lines) == []


@pytest.mark.parametrize("tier", ["fentry", "tracefs"])
def test_nor_does_one_that_lost_something_or_broke_off(tier: str) -> None:
    lost, broken = recorded(f"6.1 {tier}"), recorded(f"6.1 {tier}")
    lost[-1]["lost"] = 1

    assert said(lost) == []
    assert said(broken[:-1]) == []


@pytest.mark.parametrize("tier", ["fentry", "tracefs"])
def test_nor_one_that_ended_with_a_number_of_events(tier: str) -> None:
    lines = recorded(f"6.1 {tier}")
    last = max(
        n
        for n, line in enumerate(lines)
        if line.get("event") in {"consume", "ovs-action"} and line["packet_id"]
    )
    cut = [*lines[: last + 1], lines[-1]]
    count = sum(line["type"] == "event" for line in cut)
    cut[0]["only"] = {"count": count}
    cut[-1]["events"] = count

    assert said(cut) == []


@pytest.mark.parametrize("word", ["xmit", "ovs-upcall", "receive"])
def test_a_probe_that_could_not_be_attached_may_be_the_one_that_would_have_told(word: str) -> None:
    lines = recorded("6.1 fentry")
    for probe in lines[0]["probes"]:
        probe["attached"] = probe["attached"] and probe["event"] != word

    assert said(lines) == []


def test_an_older_file_tells_by_its_events_what_was_asked_for() -> None:
    lines = recorded("6.1 fentry")
    del lines[0]["only"]
    assert said(lines) == []  # events at two devices only: --device may have been given

    another = deepcopy(next(line for line in lines if line.get("event") == "xmit"))
    another.update(n=900, device="bwvb0", netns="bwvb", netns_inode=7, skb="0xffff7", packet_id=900)
    another["packet"].update(source="10.9.9.9", seq=4, ip_id=4)
    lines.insert(1, another)
    lines[-1]["events"] += 1
    assert said(lines) == [("do_execute_actions", "bwva0p", True)]


def taken() -> Story:
    story = Story(tier="fentry", watched=DATAPATH).start()
    return story.event("receive", 1, "root", "p1", SYN).event("ovs-receive", 1, "root", "p1", SYN)


def ended(story: Story) -> Lines:
    clock = {"monotonic_ns": story.at + 2_000_000_000, "wall_ns": story.wall, "width_ns": 0}
    return story.stop(clock=clock).lines


def test_the_packet_itself_was_freed() -> None:
    assert said(ended(taken().event("consume", 1, "root", "p1", SYN))) == [("do_execute_actions", "p1", True)]


def test_a_tracker_that_it_was_shown_to_is_no_output() -> None:
    story = taken().event("ovs-conntrack", 1, "root", "p1", SYN).event("conntrack", 1, "root", "p1", SYN)

    assert said(ended(story.event("consume", 1, "root", "p1", SYN))) == [("do_execute_actions", "p1", True)]


@pytest.mark.parametrize(
    ("word", "life", "more"),
    [
        ("xmit", 1, {}),  # sent itself, and freed by the card
        ("ovs-upcall", 1, {}),  # to user space
        ("receive", 1, {"netns": "vm"}),  # by an internal port
        ("xmit", 2, {"clone_of": 1}),  # a copy, the packet itself is left over
        ("receive", 2, {}),  # a copy that nobody saw being made
        ("xmit", 2, {"clone_of": 1, "packet": None}),  # a copy whose headers cannot be read
        ("drop", 2, {"clone_of": 1, "reason": "NOT_SPECIFIED", "location": "do_output+0x1"}),
    ],
    ids=(
        "sent",
        "user space",
        "internal port",
        "copy",
        "copy by its headers",
        "copy without headers",
        "lost",
    ),
)
def test_what_came_out_in_any_form_is_no_loss_here(word: str, life: int, more: dict[str, Any]) -> None:
    story = taken()
    place = {"netns": "root", "packet": SYN, **more}
    story.event(word, life, place.pop("netns"), "p2", place.pop("packet"), **place)

    assert [
        f for f, _, inferred in said(ended(story.event("consume", 1, "root", "p1", SYN))) if inferred
    ] == []


def test_a_copy_for_tcpdump_is_no_output() -> None:
    story = taken().event("consume", 2, "root", "p1", SYN, clone_of=1, location="packet_rcv+0x1")

    assert said(ended(story.event("consume", 1, "root", "p1", SYN))) == [("do_execute_actions", "p1", True)]


def test_another_function_than_the_datapaths_freed_it() -> None:
    story = taken().event("consume", 1, "root", "p1", SYN, location="nf_ct_frag6_gather+0x1")

    assert said(ended(story)) == []


def test_copies_of_a_packet_without_headers_would_not_be_known() -> None:
    story = Story(tier="fentry", watched=DATAPATH).start()
    story.event("ovs-receive", 1, "root", "p1", None).event("consume", 1, "root", "p1", None)

    assert said(ended(story)) == []


def test_copies_that_were_sent_before_the_last_action_are_the_packet() -> None:
    story = taken().event("xmit", 2, "root", "p2", SYN, clone_of=1)
    story.event(
        "drop", 1, "root", "p1", SYN, reason="LAST_ACTION", reason_subsystem="openvswitch",
        location="do_execute_actions+0xb8",
    )  # fmt: skip

    assert said(ended(story)) == []


def test_without_them_it_is_a_drop() -> None:
    story = taken().event(
        "drop", 1, "root", "p1", SYN, reason="LAST_ACTION", reason_subsystem="openvswitch",
        location="do_execute_actions+0xb8",
    )  # fmt: skip

    assert said(ended(story)) == [("do_execute_actions", "p1", False)]
