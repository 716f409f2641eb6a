"""What single probes tell beyond a packet."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.trace.probe.details import DETAILS, Raw
from bothways.trace.probe.probes import PROBES

NUMBER = {probe.name: probe.number for probe in PROBES}


def told(
    probe: str, verdict: int = 1, numbers: tuple[int, int, int] = (0, 0, 0), **event: Any
) -> dict[str, Any]:
    known: dict[str, Any] = {"conntrack": None, "verdict": None, "skb": "0x1", **event}
    DETAILS[NUMBER[probe]](known, Raw(verdict, numbers, b"", 4))
    return known


def test_a_packet_that_the_tracker_looked_at_and_left_without_an_entry_is_invalid() -> None:
    event = told("nf_conntrack_in", numbers=(1, 0, 0))
    assert event["conntrack"]["info"] == "INVALID"
    assert event["verdict"] == "ACCEPT"
    assert event["detail"] == {"state_before": "NONE"}


def test_a_packet_with_an_entry_keeps_it() -> None:
    entry = {"info": "NEW"}
    event = told("nf_conntrack_in", conntrack=entry)
    assert event["conntrack"] is entry
    assert "detail" not in event


@pytest.mark.parametrize(("answer", "verdict"), [(1, "ACCEPT"), (0, "STOLEN"), (-1, "DROP"), (-113, "DROP")])
def test_what_a_hook_answers(answer: int, verdict: str) -> None:
    assert told("nf_hook_slow", answer)["verdict"] == verdict


@pytest.mark.parametrize("probe", ["icmp:icmp_send", "icmp6_send"])
def test_an_icmp_error_says_its_type(probe: str) -> None:
    assert told(probe, numbers=(3, 13, 0))["detail"] == {"icmp_type": 3, "icmp_code": 13}


def test_a_rule_that_rejects_has_no_reason_of_the_kernel() -> None:
    event = told("nf_send_reset", reason="NOT_SPECIFIED", reason_subsystem="core")
    assert (event["reason"], event["reason_subsystem"]) == (None, None)
