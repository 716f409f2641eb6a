"""Evidence of the incident grafted onto cases with another truth: what lies beside is not what happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mutilate import write_kept
from truth import BUNDLES, QROUTER, TRUTHS
from verdicts import told, wrongs

#: Another cause than the incident's, or none; all in the same numbering as the incident.
HOSTS = (
    "vm-application-resets",
    "vm-refuses",
    "reject-established",
    "reject-data",
    "no-dnat",
    "unrelated-invalid",
)
ROUTER = f"hosts/host1/netns/{QROUTER}"
TRACKER = [
    f"{ROUTER}/{name}" for name in ("conntrack-invalid-log.txt", "conntrack-events.txt", "conntrack.txt")
]
FLOWS = ["hosts/host5/ovs/br-int.flows.txt"]


@pytest.mark.parametrize("name", HOSTS)
def test_invalid_packets_in_the_log_accuse_nobody(name: str, tmp_path: Path) -> None:
    graft(name, TRACKER, tmp_path)

    assert wrongs(TRUTHS[name], told(tmp_path)) == []


@pytest.mark.parametrize("name", HOSTS)
def test_a_bypass_that_could_be_taken_explains_nothing_that_it_did_not_do(name: str, tmp_path: Path) -> None:
    graft(name, FLOWS, tmp_path)

    # the flows are a second owner now, which may stand beside
    assert wrongs(replace(TRUTHS[name], owners=True), told(tmp_path)) == []


def graft(name: str, files: list[str], target: Path) -> None:
    write_kept(BUNDLES[name], target, lambda _: True)
    for file in files:
        (target / file).write_bytes((BUNDLES["dual-l3"] / file).read_bytes())
