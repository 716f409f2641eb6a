"""``bothways/diagnosis/1``: every fact of a diagnosis has its place in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from report_samples import HEALTHY, INCIDENT, UNDETERMINED, hostile

from bothways.facts.address import address
from bothways.facts.diagnosis import Diagnosis, Evidence
from bothways.facts.question import Question
from bothways.facts.span import Span
from bothways.report.json import diagnosis_json, evidence_json, question_json, render_json

KEYS = [
    "schema", "status", "question", "symptoms", "cause", "also", "latent", "chain", "authors", "culprits",
    "remedies", "outcomes", "clocks", "ruled_out", "assumptions", "accounted", "unknown", "next", "others",
    "problems",
]  # fmt: skip


def told(diagnosis: Diagnosis) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_json(diagnosis_json(diagnosis)))
    return document


@pytest.mark.parametrize("diagnosis", [INCIDENT, HEALTHY, UNDETERMINED, hostile()])
def test_every_key_is_there_in_the_order_of_the_contract(diagnosis: Diagnosis) -> None:
    assert list(told(diagnosis)) == KEYS


def test_the_incident_in_full() -> None:
    document = told(INCIDENT)

    assert document["schema"] == "bothways/diagnosis/1"
    assert document["status"] == "explained"
    assert document["cause"] == {
        "code": "BW101",
        "name": "reply-bypasses-tracker",
        "confidence": "proved",
        "summary": INCIDENT.cause.summary if INCIDENT.cause else "",
    }
    assert [link["basis"] for link in document["chain"]] == [str(link.basis) for link in INCIDENT.chain]
    assert [culprit["where"] for culprit in document["culprits"]] == [
        "br-int table 100",
        "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f nat neutron-l3-agent-PREROUTING",
    ]
    assert document["authors"][0]["frame"]["frame"] == 5
    assert [(o["fate"], o["observed"]) for o in document["outcomes"]] == [("reset", True), ("works", False)]
    assert document["clocks"][0]["low_ns"] == -25_271_000
    assert document["accounted"] == {"packets": 31, "unexplained": []}
    assert document["problems"][1].endswith("is not modelled (hint: it is not on the way)")


def test_quoted_lines_are_never_shortened() -> None:
    culprit = told(INCIDENT)["culprits"][0]

    assert culprit["evidence"]["text"] == INCIDENT.culprits[0].text


def test_healthy_has_no_cause() -> None:
    assert told(HEALTHY)["cause"] is None


@pytest.mark.parametrize(
    ("evidence", "document"),
    [
        (Evidence(Span("a", line=3, text="x"), 1.5), {"file": "a", "line": 3, "text": "x", "age_s": 1.5}),
        (Evidence(Span("a", frame=3, text="x")), {"file": "a", "frame": 3, "text": "x", "age_s": None}),
        (Evidence(Span("a")), {"file": "a", "line": None, "text": "", "age_s": None}),
    ],
)
def test_a_place(evidence: Evidence, document: dict[str, object]) -> None:
    assert evidence_json(evidence) == document


def test_the_source_port_stands_only_where_it_is_known() -> None:
    question = Question("tcp", address("192.0.2.1"), address("2001:db8::1"), 22)

    assert question_json(question) == {
        "protocol": "tcp",
        "source": "192.0.2.1",
        "destination": "2001:db8::1",
        "destination_port": 22,
    }
    assert question_json(replace(question, source_port=7))["source_port"] == 7


def test_one_line_is_one_line_whatever_the_evidence_holds() -> None:
    line = render_json(diagnosis_json(hostile()), indent=None)

    assert "\n" not in line
    assert json.loads(line) == told(hostile())
