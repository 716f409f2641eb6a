"""
Every change that was really made to a copy of the site with two owners, predicted as it happened.

``data/remedies.json``: where and as which commands, which station had won the ARP race, and whether three
probes in a row then worked. Two rows differ by that winner alone: without it the answer is `depends`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose.case import Case
from bothways.diagnose.gather import gather
from bothways.diagnose.whatif import what_if_case
from bothways.facts.change import PlacedChange
from bothways.facts.diagnosis import Fate
from bothways.facts.whatif import ChangeVerdict, WhatIf
from bothways.parse.change import parse_change

ROOT = Path(__file__).resolve().parents[2]
ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/remedies.json").read_text("utf-8"))
BY_NAME = {row["remedy"]: row for row in ROWS}
#: The half removal: it works for one winner and fails for the other, so the verdict is neither.
HALF = "remove ODL table100 SNAT only"
ODL_WINS = "host1: ip neigh replace 192.168.111.223 lladdr fa:16:3e:74:db:c7 nud reachable dev br-ex"


@cache
def dual() -> Case:
    case, _ = gather(open_bundle(ROOT / "examples/dual-l3"), None)
    assert case is not None
    return case


def changes_of(row: dict[str, Any]) -> list[PlacedChange]:
    commands = [f"{row['where']}: {command}" for command in row["commands"]]
    first = [ODL_WINS] if row["arp_winner"] == "odl" and ODL_WINS not in commands else []
    return [parse_change(text) for text in (*first, *commands)]


def walked(row: dict[str, Any]) -> WhatIf:
    return what_if_case(dual(), changes_of(row))


def test_the_rows_are_all_there() -> None:
    assert len(ROWS) == 22
    assert sorted(BY_NAME) == sorted(row["remedy"] for row in ROWS)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_change_does_what_it_did(name: str) -> None:
    row = BY_NAME[name]
    found = walked(row)

    recorded = [outcome for outcome in found.after if outcome.observed]
    assert len(recorded) == 1
    assert ("works" if recorded[0].fate is Fate.WORKS else "fails") == row["expect"]
    assert found.unknown == ()


@pytest.mark.parametrize("name", BY_NAME)
def test_the_verdict_is_what_happened_unless_it_hangs_on_the_winner(name: str) -> None:
    wanted = "depends" if name == HALF else BY_NAME[name]["expect"]

    assert walked(BY_NAME[name]).verdict == wanted


def test_the_two_rows_of_the_half_removal_together_depend() -> None:
    one, other = BY_NAME[HALF], BY_NAME["remove ODL table100 SNAT, ARP=odl"]
    assert one["commands"] == other["commands"]

    found = walked(one)

    assert found.verdict is ChangeVerdict.DEPENDS
    assert {outcome.fate for outcome in found.after} == {Fate.WORKS, Fate.TIMEOUT}
    assert "fa:16:3e:74:db:c7" in found.why


def test_without_a_change_nothing_changes() -> None:
    found = what_if_case(dual(), [])

    assert found.departures == ()
    assert [(o.choices, o.fate) for o in found.before] == [(o.choices, o.fate) for o in found.after]
    assert found.verdict is ChangeVerdict.FAILS


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("baseline", Fate.RESET),
        ("DROP INVALID in INPUT", Fate.STALL),
        ("DROP RST on qg egress", Fate.STALL),
        ("NOTRACK in qrouter", Fate.REFUSED),
        ("DROP INVALID in FORWARD", Fate.RESET),
        ("syn_sent timeout=0, loose=0", Fate.RESET),
    ],
)
def test_it_fails_as_it_failed(name: str, fate: Fate) -> None:
    """Connected and then nothing, refused at once, reset: the probes told them apart."""
    assert [outcome.fate for outcome in walked(BY_NAME[name]).after if outcome.observed] == [fate]


def test_the_way_back_is_said_to_change() -> None:
    found = walked(BY_NAME[HALF])

    parted = {departure.packet: departure for departure in found.departures}
    assert "priority=512" in parted["SYN/ACK from server"].before
    assert "priority=512" not in parted["SYN/ACK from server"].after
    assert parted["RST from host1/qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"].after == ""


def test_captured_frames_do_not_outlive_the_entry_that_they_show() -> None:
    """Captures show the MAC of the winner; who sets another entry must not be answered with the old one."""
    recorded = next(o for o in what_if_case(dual(), [parse_change(ODL_WINS)]).after if o.observed)

    assert recorded.fate is Fate.WORKS
    assert "fa:16:3e:74:db:c7" in recorded.choices[0]
