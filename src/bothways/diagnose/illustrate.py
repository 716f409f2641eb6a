"""Add to a verdict what a page shows beside it: ladders of the model, the way, excerpts of the evidence."""

from __future__ import annotations

from dataclasses import replace

from bothways.diagnose.case import Case
from bothways.diagnose.excerpts import excerpts_of
from bothways.diagnose.paths import paths_of
from bothways.diagnose.predicted_ladder import expected_of, healthy_of
from bothways.facts.diagnosis import Diagnosis

__all__ = ["illustrated"]


def illustrated(diagnosis: Diagnosis, case: Case) -> Diagnosis:
    """Return the diagnosis with its pictures; the verdict itself does not change."""
    return replace(
        diagnosis,
        ladder=diagnosis.ladder if diagnosis.ladder.rungs else expected_of(case),
        healthy=healthy_of(case, diagnosis.culprits, diagnosis.ladder.taps),
        paths=paths_of(case),
        excerpts=excerpts_of(diagnosis, case.bundle),
    )
