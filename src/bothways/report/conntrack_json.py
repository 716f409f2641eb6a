"""The tracker stepped by hand as ``bothways/conntrack/1``, see ``docs/reference/conntrack.schema.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bothways.facts.packet import flags_text
from bothways.model.linux.conntrack.stepping import HandStep
from bothways.report.json import JsonObject

__all__ = ["SCHEMA", "conntrack_json"]

SCHEMA: Final = "bothways/conntrack/1"


def conntrack_json(steps: Iterable[HandStep], *, kernel: str, sysctls: Mapping[str, int]) -> JsonObject:
    """Return all steps; keys are in the order of the contract."""
    return {
        "schema": SCHEMA,
        "kernel": kernel,
        "sysctls": {f"net.netfilter.{name}": value for name, value in sysctls.items()},
        "steps": [_step(step) for step in steps],
    }


def _step(step: HandStep) -> JsonObject:
    segment = step.segment
    return {
        "segment": segment.text,
        "flags": flags_text(segment.flags),
        "sender": "client" if segment.way == "original" else "server",
        "length": segment.length,
        "after_s": segment.after_s,
        "seen": segment.seen,
        "before": str(step.before),
        "after": str(step.after),
        "verdict": None if step.verdict is None else str(step.verdict),
        "way": None if step.way is None else str(step.way),
        "moved": step.moved,
        "cell": step.cell,
        "why": step.why,
        "log": step.log,
        "status": list(step.status),
        "expires_s": step.expires_s,
    }
