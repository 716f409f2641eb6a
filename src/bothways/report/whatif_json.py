"""A change walked, as ``bothways/whatif/1``, described by ``docs/reference/whatif.schema.json``."""

from __future__ import annotations

from typing import Final

from bothways.facts.diagnosis import Outcome
from bothways.facts.whatif import WhatIf
from bothways.report.json import JsonObject, question_json

__all__ = ["SCHEMA", "whatif_json"]

SCHEMA: Final = "bothways/whatif/1"


def whatif_json(found: WhatIf) -> JsonObject:
    """Return both walks and the verdict; keys are in the order of the contract."""
    return {
        "schema": SCHEMA,
        "question": question_json(found.question),
        "change": [
            {"host": change.host, "netns": change.netns, "command": change.command} for change in found.change
        ],
        "before": [_outcome(outcome) for outcome in found.before],
        "after": [_outcome(outcome) for outcome in found.after],
        "verdict": str(found.verdict),
        "why": found.why,
        "unknown": list(found.unknown),
    }


def _outcome(outcome: Outcome) -> JsonObject:
    return {
        "choices": list(outcome.choices),
        "fate": str(outcome.fate),
        "why": outcome.why,
        "observed": outcome.observed,
    }
