"""
Where Open vSwitch ends a translation, what copies leave behind, and where its trace parts from a datapath.

The recording is our own: small pipelines through Open vSwitch 3.1.0, each for one rule. Most began as a
disagreement over a random pipeline.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bothways.conform.openflow_bridges import built
from bothways.conform.openflow_case import TraceCase
from bothways.conform.openflow_recording import read_traces
from bothways.conform.openflow_replay import hold_trace, replay_traces
from bothways.model.openflow import copies, pipeline, visit
from bothways.model.openflow.key import Key

DATA = Path(__file__).parent / "data"
RECORDED = DATA / "openflow-limits.jsonl.gz"
#: random pipelines in a bridge with mirrors
MIRRORED = DATA / "openflow-mirrors.jsonl.gz"
with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
    NAMES = [json.loads(line)["id"] for line in lines]


@cache
def cases() -> dict[str, TraceCase]:
    return {case.name: case for case in read_traces(RECORDED)}


def wrong(*names: str) -> Iterator[str]:
    """Cases of these names that the model does not say as the switch does."""
    for name, case in cases().items():
        if name.startswith(names):
            verdict = hold_trace(case, built(case.setting))
            if verdict.difference is not None or verdict.unknown:
                yield name


@pytest.mark.parametrize("name", NAMES)
def test_the_model_ends_where_the_switch_does(name: str) -> None:
    case = cases()[name]
    verdict = hold_trace(case, built(case.setting))

    assert (verdict.difference, verdict.unknown) == (None, ())


def test_mirrors_copy_what_those_of_the_switch_do() -> None:
    outcome = replay_traces(read_traces(MIRRORED))

    assert outcome.cases > 50
    assert ([each.case.name for each in outcome.first], outcome.unknown) == ([], 0)


def test_mirrors_that_copy_nothing_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "mirror_ingress", lambda _run: None)
    before = replay_traces(read_traces(MIRRORED)).disagreements
    monkeypatch.setattr(pipeline, "mirror_output", lambda _run, _port: None)

    assert 0 < before < replay_traces(read_traces(MIRRORED)).disagreements


def test_a_flood_in_one_order_only_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "flood_order", lambda _run, copies: [port for port, _ in copies])
    outcome = replay_traces(read_traces(MIRRORED))

    assert {each.difference.field for each in outcome.first} == {"outputs"}


@pytest.mark.parametrize(("limit", "name"), [("_DEPTH", "patch-loop"), ("_LOOKUPS", "misses-count")])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_limit_that_is_off_by_one_is_noticed(
    limit: str, name: str, off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, limit, getattr(visit, limit) + off)

    assert list(wrong(name))


def test_a_copy_that_leaves_nothing_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Key, "left_behind", lambda *_args, **_options: None)

    assert set(wrong("clone-", "bucket-", "patch-leaks")) == {
        "clone-leaks-nat/0", "clone-leaks-beside-what-is-set/0", "bucket-leaks-nat/0", "patch-leaks-nat/0",
        "clone-loses-label/0", "clone-loses-label-2/0",
    }  # fmt: skip


def test_a_copy_of_the_datapath_that_leaves_something_behind_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copies, "reversible", lambda _actions: True)

    assert list(wrong("clone-of-datapath")) == ["clone-of-datapath/0"]
