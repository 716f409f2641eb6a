"""Hand-made documents fit the schemas of `docs/reference`, and spoilt ones do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from report_samples import HEALTHY, INCIDENT, PREDICTION, UNDETERMINED, hostile

from bothways.report.json import diagnosis_json
from bothways.report.prediction_json import prediction_json

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"


def errors(name: str, document: object) -> list[str]:
    schema = json.loads((REFERENCE / f"{name}.schema.json").read_text("utf-8"))
    return [error.message for error in Draft202012Validator(schema).iter_errors(document)]


def plain(document: object) -> Any:
    return json.loads(json.dumps(document))


@pytest.mark.parametrize("diagnosis", [INCIDENT, HEALTHY, UNDETERMINED, hostile()])
def test_a_diagnosis_fits(diagnosis: Any) -> None:
    assert errors("diagnosis", plain(diagnosis_json(diagnosis))) == []


def test_a_prediction_fits() -> None:
    assert errors("prediction", plain(prediction_json(PREDICTION))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "fine"),
        ("schema", "bothways/diagnosis/2"),
        ("cause", None),
        ("cause/confidence", "certain"),
        ("cause/code", "101"),
        ("chain", []),
        ("chain/0/basis", "guessed"),
        ("chain/0/evidence/0/line", 0),
        ("chain/0/evidence/0/frame", 1),
        ("authors/0/what", "syn"),
        ("authors/0/function", "tcp_v4_send_reset"),
        ("culprits/0/kind", "weather"),
        ("outcomes/0/fate", "sad"),
        ("outcomes/0/observed", "yes"),
        ("question/destination_port", 70000),
        ("question/protocol", "sctp"),
        ("remedies/0/verdict", "maybe"),
        ("symptoms/0/code", "odd"),
        ("clocks/0/low_ns", 1.5),
        ("accounted/packets", -1),
    ],
)
def test_a_spoilt_diagnosis_does_not_fit(path: str, value: object) -> None:
    document = plain(diagnosis_json(INCIDENT))
    *way, last = path.split("/")
    place = document
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value

    assert errors("diagnosis", document)


def objects(document: object) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        return [document, *(each for value in document.values() for each in objects(value))]
    if isinstance(document, list):
        return [each for value in document for each in objects(value)]
    return []


@pytest.mark.parametrize(
    ("name", "document"),
    [("diagnosis", diagnosis_json(INCIDENT)), ("prediction", prediction_json(PREDICTION))],
)
def test_every_object_is_closed_and_every_key_is_needed(name: str, document: object) -> None:
    whole = plain(document)
    for each in objects(whole):
        each["invented"] = 1
        assert errors(name, whole), f"{each} may hold anything"
        del each["invented"]
        for key in [key for key in each if key != "source_port"]:
            value = each.pop(key)
            assert errors(name, whole), f"{key} may be missing"
            each[key] = value
    assert errors(name, whole) == []
