"""
Pipelines of what is rarer: what they draw, and what they once found.

The recording is our own: shrunk pipelines through Open vSwitch 3.1.0, over which model and switch disagreed.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from bothways.conform.openflow_generation import fresh_pipelines
from bothways.conform.openflow_pipeline import DrawnPacket, Pipeline
from bothways.conform.openflow_recording import read_traces
from bothways.conform.openflow_replay import replay_traces
from bothways.conform.openflow_tunnels import tunnel_pipeline
from bothways.conform.openflow_wide import wide_pipeline
from bothways.facts.span import Span
from bothways.model.openflow.key import Key
from bothways.parse.openflow import read_flow

Draws = Callable[[str], tuple[Pipeline, list[DrawnPacket]]]
DRAWN: tuple[tuple[Draws, str], ...] = ((wide_pipeline, "wide"), (tunnel_pipeline, "tunnels"))
RECORDED = Path(__file__).parent / "data" / "openflow-wide.jsonl.gz"
with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
    KINDS = Counter(json.loads(line)["class"] for line in lines)


def test_what_was_found_is_said_as_the_switch_says_it_or_not_at_all() -> None:
    outcome = replay_traces(read_traces(RECORDED))
    assert (outcome.disagreements, outcome.unknown) == (0, KINDS["unknown"])


def test_the_recording_holds_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the addresses that tables go on seeing, more than one case ends otherwise."""
    monkeypatch.setattr(Key, "unseen", lambda _key: {})
    assert replay_traces(read_traces(RECORDED)).disagreements >= 2


@pytest.mark.parametrize(("draw", "kind"), DRAWN)
def test_a_name_draws_the_same_pipeline_again(draw: Draws, kind: str) -> None:
    assert draw(f"7/3/{kind}") == draw(f"7/3/{kind}")
    assert draw(f"7/3/{kind}") != draw(f"7/4/{kind}")


def test_three_kinds_of_pipelines_take_turns() -> None:
    names = [pipeline.name for pipeline, _ in islice(fresh_pipelines(7), 4)]
    assert names == ["7/0", "7/0/wide", "7/0/tunnels", "7/1"]


@pytest.mark.parametrize(("draw", "kind"), DRAWN)
def test_what_is_drawn_is_read_whole(draw: Draws, kind: str) -> None:
    for number in range(12):
        pipeline, packets = draw(f"9/{number}/{kind}")
        assert packets
        for flow in pipeline.flows:
            read, problems = read_flow(Span("drawn", 1, text=str(flow)))
            assert read is not None
            assert problems == []
