"""The same site in another numbering: the same verdict, in the other names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from numbering import Numbering
from renumber import numbering_of, renumber
from truth import BUNDLES
from verdicts import told, told_of_whole

Essence = dict[str, Any]

#: Each case in one other numbering, and the incident in several.
NUMBERINGS = [(name, seed) for seed, name in enumerate(BUNDLES, start=100)]
NUMBERINGS += [(name, seed) for name in ("incident", "dual-l3", "neutron-l3-only") for seed in (1, 2)]


@pytest.mark.parametrize(("name", "seed"), NUMBERINGS)
def test_the_verdict_does_not_depend_on_numbers(name: str, seed: int, tmp_path: Path) -> None:
    numbering = numbering_of(BUNDLES[name], seed)
    renumber(BUNDLES[name], tmp_path, numbering)
    answer = told(tmp_path)

    assert essence(answer, Numbering()) == essence(told_of_whole(name), numbering)
    # one line of JSON holds many rows, each is quoted alone
    assert [e for e in evidence(answer) if e.get("line") and e["text"] not in line(tmp_path, e)] == []


def essence(answer: Mapping[str, Any], numbering: Numbering) -> Essence:
    """What a verdict says beyond its wording, with every name translated."""
    cause = answer["cause"]
    return {
        "status": answer["status"],
        "symptoms": [symptom["code"] for symptom in answer["symptoms"]],
        "cause": cause and (cause["code"], cause["confidence"]),
        "beside": [[finding["code"] for finding in answer[key]] for key in ("also", "latent")],
        "authors": [
            (author["what"], author["function"], author["basis"], *station(author, numbering))
            for author in answer["authors"]
        ],
        "culprits": sorted((c["kind"], *places([c["evidence"]], numbering)) for c in answer["culprits"]),
        "outcomes": sorted((outcome["fate"], outcome["observed"]) for outcome in answer["outcomes"]),
        "chain": [(link["basis"], places(link["evidence"], numbering)) for link in answer["chain"]],
        "clocks": sorted(
            (numbering.hosts.get(c["host"], c["host"]), c["low_ns"], c["high_ns"]) for c in answer["clocks"]
        ),
        "accounted": (answer["accounted"]["packets"], len(answer["accounted"]["unexplained"])),
        "unknown": len(answer["unknown"]),
    }


def station(author: Mapping[str, Any], numbering: Numbering) -> list[str | None]:
    names = [author[key] and numbering.named(author[key]) for key in ("netns", "device")]
    return [numbering.hosts.get(author["host"], author["host"]), *names]


def line(bundle: Path, place: Mapping[str, Any]) -> str:
    return (bundle / str(place["file"])).read_text().splitlines()[int(place["line"]) - 1]


def places(found: list[Any], numbering: Numbering) -> list[str]:
    return sorted(f"{numbering.path(e['file'])}:{e.get('line') or e.get('frame')}" for e in found if e)


def evidence(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every place that an answer quotes."""
    if isinstance(node, dict):
        if {"file", "text"} <= node.keys():
            yield node
        for child in node.values():
            yield from evidence(child)
    elif isinstance(node, list):
        for child in node:
            yield from evidence(child)
