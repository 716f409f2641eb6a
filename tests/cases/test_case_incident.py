"""What is promised of the four examples, read from the JSON as a user would."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.report.json import diagnosis_json, render_json

EXAMPLES = Path(__file__).parents[2] / "examples"
QROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"


@cache
def verdict(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(render_json(diagnosis_json(diagnose(open_bundle(EXAMPLES / name)))))
    return answer


def test_dual_l3_is_proved() -> None:
    told = verdict("dual-l3")

    assert told["status"] == "explained"
    assert (told["cause"]["code"], told["cause"]["confidence"]) == ("BW101", "proved"), told["unknown"]
    author = told["authors"][0]
    assert (author["what"], author["host"], author["netns"]) == ("rst", "host1", QROUTER)
    assert author["device"].startswith("qg-")


def test_dual_l3_names_both_owners_with_their_lines() -> None:
    culprits = verdict("dual-l3")["culprits"]
    flow = next(c for c in culprits if c["kind"] == "openflow")
    owned = [c for c in culprits if c["kind"] in ("address", "iptables")]

    assert (flow["host"], flow["where"]) == ("host5", "br-int table 100")
    assert "table=100" in flow["evidence"]["text"]
    assert flow["evidence"]["file"] == "hosts/host5/ovs/br-int.flows.txt"
    lines = (EXAMPLES / "dual-l3" / flow["evidence"]["file"]).read_text().splitlines()
    assert lines[flow["evidence"]["line"] - 1] == flow["evidence"]["text"]
    assert owned
    assert all(c["host"] == "host1" and "192.168.111.223" in c["text"] for c in owned)


def test_dual_l3_chain_is_in_order_and_each_link_has_evidence() -> None:
    chain = verdict("dual-l3")["chain"]
    words = ["SYN was tracked", "bypass", "INVALID", "NAT", "locally", "RST"]

    assert len(chain) == len(words)
    for link, word in zip(chain, words, strict=True):
        assert word in link["claim"]
        assert link["evidence"], link["claim"]


def test_dual_l3_knows_both_arp_winners() -> None:
    outcomes = verdict("dual-l3")["outcomes"]

    assert {(o["fate"], o["observed"]) for o in outcomes} == {("reset", True), ("works", False)}
    (reset,) = [o for o in outcomes if o["fate"] == "reset"]
    assert any("fa:16:3e:e3:66:3c" in choice for choice in reset["choices"])


@pytest.mark.parametrize("name", ["neutron-l3-only", "odl-l3-only"])
def test_one_owner_is_healthy_and_nobody_is_accused(name: str) -> None:
    told = verdict(name)

    assert told["status"] == "healthy"
    assert told["cause"] is None
    assert [told[key] for key in ("culprits", "authors", "latent", "also", "symptoms")] == [
        [],
        [],
        [],
        [],
        [],
    ]


def test_the_incident_is_explained_from_pasted_text() -> None:
    told = verdict("incident")

    assert told["status"] == "explained"
    assert told["cause"]["code"] == "BW101"
    assert told["cause"]["confidence"] in ("supported", "suspected")
    assert told["authors"][0]["device"] == "qg-5d88ef18-33"
    assert told["authors"][0]["netns"] == QROUTER


def test_the_incident_says_what_is_missing() -> None:
    unknown = " ".join(verdict("incident")["unknown"])

    assert "iptables" in unknown
    assert "conntrack" in unknown
    assert "filtered view" in unknown
    assert verdict("incident")["next"]


def test_the_incident_allows_for_the_arp_race_without_having_seen_it() -> None:
    told = verdict("incident")

    assert any(f["code"] == "BW201" and "possible, not observed" in f["summary"] for f in told["also"])
    assert [o["observed"] for o in told["outcomes"]].count(True) == 1
    assert any(not o["observed"] for o in told["outcomes"])


def test_the_incident_lists_what_contradicts_itself() -> None:
    problems = verdict("incident")["problems"]

    assert any(
        "hosts/host5/captures/root/any.txt" in p and "backwards" in p and "twice" in p for p in problems
    )
    assert any("table=40 counts 0" in p and "table=100 counts 2" in p for p in problems)


def test_the_incident_bounds_the_clock() -> None:
    (clock,) = [c for c in verdict("incident")["clocks"] if c["host"] == "host5"]

    assert (clock["relative_to"], clock["low_ns"], clock["high_ns"]) == ("host1", -25_271_000, -25_063_000)
    assert clock["assumption"]


@pytest.mark.parametrize("name", ["dual-l3", "incident", "neutron-l3-only", "odl-l3-only"])
def test_every_quoted_line_reads_as_in_the_file(name: str) -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "file" in node and node.get("line"):
                lines = (EXAMPLES / name / node["file"]).read_text().splitlines()
                line = lines[node["line"] - 1]
                assert node["text"] == line or node["text"] in line or node["file"].endswith(".json")
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(verdict(name))
