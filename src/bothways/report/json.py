"""
A diagnosis as ``bothways/diagnosis/1``.

The form is a contract: ``docs/reference/diagnosis.schema.json`` describes it, and nothing is added to or
taken from it without another number. Quoted text is the evidence's own, unshortened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from bothways.facts.diagnosis import (
    Author,
    Cause,
    Clock,
    Culprit,
    Diagnosis,
    Evidence,
    Finding,
    Outcome,
    Remedy,
)
from bothways.facts.question import Question
from bothways.facts.span import Span
from bothways.report.words import problem_line

__all__ = [
    "SCHEMA",
    "JsonObject",
    "diagnosis_json",
    "evidence_json",
    "question_json",
    "render_json",
]

SCHEMA: Final = "bothways/diagnosis/1"

JsonObject = dict[str, object]


def render_json(document: JsonObject, *, indent: int | None = 2) -> str:
    """Write a document of this room as text without a final newline; ``indent=None`` gives one line."""
    return json.dumps(document, ensure_ascii=False, indent=indent)


def diagnosis_json(diagnosis: Diagnosis) -> JsonObject:
    """Return the whole answer; keys are in the order of the contract."""
    return {
        "schema": SCHEMA,
        "status": str(diagnosis.status),
        "question": None if diagnosis.question is None else question_json(diagnosis.question),
        "symptoms": [
            {"code": symptom.code, "text": symptom.text, "evidence": _all(symptom.evidence)}
            for symptom in diagnosis.symptoms
        ],
        "cause": None if diagnosis.cause is None else _cause(diagnosis.cause),
        "also": [_finding(finding) for finding in diagnosis.also],
        "latent": [_finding(finding) for finding in diagnosis.latent],
        "chain": [
            {"claim": link.claim, "basis": str(link.basis), "evidence": _all(link.evidence)}
            for link in diagnosis.chain
        ],
        "authors": [_author(author) for author in diagnosis.authors],
        "culprits": [_culprit(culprit) for culprit in diagnosis.culprits],
        "remedies": [_remedy(remedy) for remedy in diagnosis.remedies],
        "outcomes": [_outcome(outcome) for outcome in diagnosis.outcomes],
        "clocks": [_clock(clock) for clock in diagnosis.clocks],
        "ruled_out": [
            {"cause": refuted.cause, "why": refuted.why, "evidence": _all(refuted.evidence)}
            for refuted in diagnosis.ruled_out
        ],
        "assumptions": list(diagnosis.assumptions),
        "accounted": {
            "packets": diagnosis.accounted.packets,
            "unexplained": [_span(span, None) for span in diagnosis.accounted.unexplained],
        },
        "unknown": list(diagnosis.unknown),
        "next": [{"host": step.host, "command": step.command, "why": step.why} for step in diagnosis.next],
        "others": list(diagnosis.others),
        "problems": [problem_line(problem) for problem in diagnosis.problems],
    }


def question_json(question: Question) -> JsonObject:
    """Return the connection that was asked about; ``source_port`` stands only if it is known."""
    document: JsonObject = {"protocol": question.protocol, "source": str(question.source)}
    if question.source_port is not None:
        document["source_port"] = question.source_port
    document["destination"] = str(question.destination)
    document["destination_port"] = question.destination_port
    return document


def evidence_json(evidence: Evidence) -> JsonObject:
    """Return one quoted line or frame, E in the contract."""
    return _span(evidence.span, evidence.age_s)


def _span(span: Span, age_s: float | None) -> JsonObject:
    # A span of a whole file (collected, and empty) has neither line nor frame: its line is null.
    place: JsonObject = {"line": span.line} if span.frame is None else {"frame": span.frame}
    return {"file": span.file, **place, "text": span.text, "age_s": age_s}


def _all(evidence: Iterable[Evidence]) -> list[JsonObject]:
    return [evidence_json(item) for item in evidence]


def _cause(cause: Cause) -> JsonObject:
    return {
        "code": cause.code,
        "name": cause.name,
        "confidence": str(cause.confidence),
        "summary": cause.summary,
    }


def _finding(finding: Finding) -> JsonObject:
    return {"code": finding.code, "summary": finding.summary, "evidence": _all(finding.evidence)}


def _author(author: Author) -> JsonObject:
    return {
        "what": author.what,
        "frame": None if author.frame is None else evidence_json(author.frame),
        "host": author.host,
        "netns": author.netns,
        "device": author.device,
        "function": author.function,
        "basis": author.basis,
    }


def _culprit(culprit: Culprit) -> JsonObject:
    return {
        "kind": culprit.kind,
        "host": culprit.host,
        "where": culprit.where,
        "text": culprit.text,
        "evidence": None if culprit.evidence is None else evidence_json(culprit.evidence),
    }


def _remedy(remedy: Remedy) -> JsonObject:
    return {
        "change": [
            {"host": change.host, "netns": change.netns, "command": change.command}
            for change in remedy.change
        ],
        "verdict": remedy.verdict,
        "why": remedy.why,
        "breaks": list(remedy.breaks),
    }


def _outcome(outcome: Outcome) -> JsonObject:
    return {"choices": list(outcome.choices), "fate": str(outcome.fate), "observed": outcome.observed}


def _clock(clock: Clock) -> JsonObject:
    return {
        "host": clock.host,
        "relative_to": clock.relative_to,
        "low_ns": clock.low_ns,
        "high_ns": clock.high_ns,
        "assumption": clock.assumption,
    }
