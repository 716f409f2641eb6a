"""What the program says of a bundle, held against what really happened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from truth import BUNDLES, Truth

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.report.json import diagnosis_json, render_json

__all__ = ["told", "told_of_whole", "wrongs"]

STATUSES = frozenset({"explained", "healthy", "undetermined"})


def told(bundle: Path) -> dict[str, Any]:
    """Diagnose a bundle and read the answer as a user would; its remedies are looked at elsewhere."""
    diagnosis = diagnose(open_bundle(bundle), remedies=False)
    answer: dict[str, Any] = json.loads(render_json(diagnosis_json(diagnosis)))
    return answer


@cache
def told_of_whole(name: str) -> dict[str, Any]:
    """Diagnose one of the recorded bundles as it is; these do not change, so once is enough."""
    return told(BUNDLES[name])


def wrongs(truth: Truth, answer: Mapping[str, Any], *, dumps_alone: bool = False) -> list[str]:
    """
    Every sentence of an answer that is not true, however little evidence it was given.

    To know less than the whole bundle tells is right; to accuse somebody else, or nobody, is not.

    :param dumps_alone: no capture was left, so that what only captures show cannot be known.
    """
    return [
        *_status(truth, answer, dumps_alone=dumps_alone),
        *_accused(truth, answer),
        *_beside(truth, answer),
    ]


def _status(truth: Truth, answer: Mapping[str, Any], *, dumps_alone: bool) -> Iterator[str]:
    status = answer["status"]
    if status not in STATUSES:
        yield f"no status: {status}"
    if status == "explained" and truth.code is None:
        yield f"explained by {answer['cause']['code']}, but {truth.story}"
    looks_healthy = truth.fate == "works" or (dumps_alone and not truth.in_dumps)
    if status == "healthy" and not looks_healthy:
        yield f"healthy, but {truth.story}"
    if status == "healthy" and (answer["authors"] or answer["culprits"] or answer["cause"]):
        yield "healthy, and yet somebody is accused"


def _accused(truth: Truth, answer: Mapping[str, Any]) -> Iterator[str]:
    cause = answer["cause"]
    if cause is not None and cause["code"] != truth.code:
        yield f"{cause['code']} ({cause['confidence']}), but {truth.story}"
    for author in answer["authors"]:
        named = (author["host"], author["netns"], author["device"])
        is_he = truth.author is not None and all(
            have in (None, want) for have, want in zip(named, truth.author, strict=True)
        )
        if author["host"] is not None and not is_he:
            yield f"{author['what']} by {named}, but it was {truth.author}"
    for culprit in answer["culprits"]:
        line = (culprit["evidence"] or {}).get("text", "")
        if not any(
            re.search(pattern, f"{culprit['host']} {culprit['text']} {line}") for pattern in truth.guilty
        ):
            yield f"accused: {culprit['kind']} {culprit['where']} {culprit['text']}"


def _beside(truth: Truth, answer: Mapping[str, Any]) -> Iterator[str]:
    for finding in (*answer["also"], *answer["latent"]):
        if finding["code"] != "BW201" or not truth.owners:
            yield f"beside: {finding['code']} {finding['summary']}"
