"""
The kernel's own conntrack scripts for packetdrill, as a Linux 6.18 ran them.

Recorded were the packets of one host, events of its tracker, and how many packets of each ctstate passed
PREROUTING and OUTPUT. A capture may have stopped before the last packets of a script: then states are those
up to there, and no counter is higher than the recorded one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.capture.capture_file import read_capture_file
from bothways.facts.choice import FirstOption
from bothways.facts.sighting import Direction, Sighting, Tap
from bothways.facts.snapshot import Netns
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook

PLACE = Path(__file__).parents[4] / "shared" / "oracles" / "packetdrill"
SCRIPTS = ("ack_loss_stall", "inexact_rst", "rst_invalid", "syn_challenge_ack", "synack_old", "synack_reuse")
EVENT = re.compile(
    r"\[(?P<time>\d+\.\d+)\]\s+\[(?P<kind>NEW|UPDATE|DESTROY)\].*?tcp +6 \d+ (?P<state>[A-Z_0-9]+) src"
)
HOOKS = {Direction.IN: ("pre", Hook.PREROUTING), Direction.OUT: ("out", Hook.OUTPUT)}

pytestmark = pytest.mark.shared


@cache
def runs() -> dict[tuple[str, str], dict[str, Any]]:
    said = json.loads((PLACE / "packetdrill_runs.json").read_text("utf-8"))
    return {
        (each["script"].removeprefix("conntrack_").removesuffix(".pkt"), each["ip"]): each for each in said
    }


def packets(run: dict[str, Any]) -> tuple[Sighting, ...]:
    path = PLACE / run["pcap"]
    captures, problems = read_capture_file(
        path.read_bytes(), tap=Tap("host", "root", "any"), file=path.name, names=None
    )
    assert [each for each in problems if "no addr.json names them" not in each.message] == []
    return tuple(each for each in captures[0].sightings if each.packet.tcp is not None)


def counters(run: dict[str, Any]) -> Counter[tuple[str, str]]:
    """(chain, ctstate) -> packets."""
    found: Counter[tuple[str, str]] = Counter()
    for each in run["ct_state_counters"]["nftables"]:
        rule = each.get("rule", {"expr": []})
        count = next((part["counter"]["packets"] for part in rule["expr"] if "counter" in part), None)
        if count is not None:
            found[rule["chain"], rule["expr"][0]["match"]["right"]] += count
    return found


def states(run: dict[str, Any]) -> list[str]:
    """What the events say of the entry: its states; NEW begins another one."""
    found: list[str] = []
    for line in run["events"]:
        event = EVENT.search(line)
        if event is None or event["kind"] == "DESTROY":
            continue
        if event["kind"] == "NEW":
            found.append(f"NEW {event['state']}")
        elif event["state"] != found[-1].removeprefix("NEW "):
            found.append(event["state"])
    return found


def replayed(
    seen: tuple[Sighting, ...],
) -> tuple[list[str], Counter[tuple[str, str]], TrackedConnection | None]:
    table = ConntrackTable(Netns("host", "root"), oracle=FirstOption(), kernel="6.18")
    told: list[str] = []
    counted: Counter[tuple[str, str]] = Counter()
    before: TrackedConnection | None = None
    for each in seen:
        assert each.direction is not None
        chain, hook = HOOKS[each.direction]
        now_ns = each.time_ns - seen[0].time_ns
        tracking = table.track(each.packet, now_ns, hook=hook)
        assert table.confirm(tracking, now_ns) is None
        counted[chain, tracking.state.lower()] += 1
        entry = next(iter(table.connections()), None)
        if entry is not None and entry.tcp is not None:
            state = entry.tcp.state.value
            if entry is not before:
                told.append(f"NEW {state}")
            elif state != told[-1].removeprefix("NEW "):
                told.append(state)
        before = entry
    return told, counted, before


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_states_and_counters_are_the_recorded_ones(script: str, family: str) -> None:
    run = runs()[script, family]
    seen = packets(run)
    told, counted, _ = replayed(seen)
    recorded = counters(run)

    assert len(told) >= 3
    assert told == states(run)[: len(told)]
    assert {key: count for key, count in counted.items() if count > recorded[key]} == {}
    if len(seen) == recorded.total():
        assert told == states(run)
        assert counted == +recorded


#: script -> refused packets that the capture holds. What the scripts are about.
REFUSED = {"ack_loss_stall": 0, "inexact_rst": 0, "rst_invalid": 3, "syn_challenge_ack": 0, "synack_old": 1}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("script", REFUSED)
def test_what_a_script_is_about_is_refused_or_not(script: str, family: str) -> None:
    _, counted, entry = replayed(packets(runs()[script, family]))

    refused = sum(count for (_, state), count in counted.items() if state == "invalid")
    assert refused == REFUSED[script]
    assert entry is not None


#: Words of a script's ``conntrack -L … | grep``: states, and what stands in brackets.
WORDS = re.compile(r"[A-Z][A-Z_]+")
#: script -> how many of its asserted listings lie before the end of the capture, and how many there are.
ASSERTED = {"inexact_rst": (1, 2), "rst_invalid": (5, 6), "syn_challenge_ack": (2, 2), "synack_old": (3, 3)}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("script", ASSERTED)
def test_what_a_script_asserts_of_the_table_comes_in_its_order(script: str, family: str) -> None:
    run = runs()[script, family]
    wanted = [set(WORDS.findall(each.partition("8080")[2])) for each in run["asserts"] if "-L" in each]
    shown = iter(listings(packets(run)))
    met = sum(any(words <= listing for listing in shown) for words in wanted)

    assert (met, len(wanted)) == ASSERTED[script]


def listings(seen: tuple[Sighting, ...]) -> list[set[str]]:
    """State and brackets of the entry, as ``conntrack -L`` shows them after each packet."""
    table = ConntrackTable(Netns("host", "root"), oracle=FirstOption(), kernel="6.18")
    told = []
    for each in seen:
        assert each.direction is not None
        now_ns = each.time_ns - seen[0].time_ns
        table.confirm(table.track(each.packet, now_ns, hook=HOOKS[each.direction][1]), now_ns)
        told += [{entry.state or "", *entry.status} for entry in table.entries()]
    return told


def test_some_captures_are_whole() -> None:
    whole = [key for key, run in runs().items() if len(packets(run)) == counters(run).total()]

    assert len(whole) >= 3
