"""A prediction as ``bothways/prediction/1``, described by ``docs/reference/prediction.schema.json``."""

from __future__ import annotations

from typing import Final

from bothways.facts.choice import Assumption
from bothways.facts.diagnosis import Evidence
from bothways.facts.packet import Packet
from bothways.facts.prediction import Branch, Journey, Prediction, Walk
from bothways.facts.step import Place, Step
from bothways.report.json import JsonObject, evidence_json, question_json

__all__ = ["SCHEMA", "prediction_json", "recorded"]

SCHEMA: Final = "bothways/prediction/1"


def prediction_json(prediction: Prediction) -> JsonObject:
    """Return every outcome; keys are in the order of the contract."""
    return {
        "schema": SCHEMA,
        "question": question_json(prediction.question),
        "outcomes": [_walk(walk) for walk in prediction.walks],
        "complete": prediction.complete,
    }


def recorded(walk: Walk) -> bool:
    """True if dumps say that every choice of this walk was taken so; without a choice nothing is recorded."""
    return bool(walk.choices) and all(choice.recorded == choice.taken for choice in walk.choices)


def _walk(walk: Walk) -> JsonObject:
    return {
        "choices": [choice.taken for choice in walk.choices],
        "fate": str(walk.fate),
        "why": walk.why,
        "observed": recorded(walk),
        "journeys": [_journey(journey) for journey in walk.journeys],
        "assumptions": [_assumption(assumption) for assumption in walk.assumptions],
        "unknown": list(walk.unknown),
    }


def _assumption(assumption: Assumption) -> JsonObject:
    return {"text": assumption.text, "missing": assumption.missing}


def _journey(journey: Journey) -> JsonObject:
    return {
        "name": journey.name,
        "way": None if journey.way is None else str(journey.way),
        "sender": journey.sender,
        "packet": _packet(journey.packet),
        "at_ns": journey.at_ns,
        "branches": [_branch(branch) for branch in journey.branches],
    }


def _branch(branch: Branch) -> JsonObject:
    return {"steps": [_step(step) for step in branch.steps]}


def _step(step: Step) -> JsonObject:
    return {
        "place": _place(step.place),
        "function": step.function,
        "did": str(step.did),
        "before": _packet(step.before),
        "after": None if step.after is None else _packet(step.after),
        "reason": step.reason,
        "cell": step.cell,
        "evidence": [evidence_json(Evidence(span)) for span in step.evidence],
    }


def _place(place: Place) -> JsonObject:
    return {"host": place.host, "netns": place.netns, "device": place.device, "port": place.port}


def _packet(packet: Packet) -> JsonObject:
    return {
        "text": str(packet),
        "src_mac": packet.ethernet.src or None,
        "dst_mac": packet.ethernet.dst or None,
        "ttl": None if packet.ip is None else packet.ip.ttl,
    }
