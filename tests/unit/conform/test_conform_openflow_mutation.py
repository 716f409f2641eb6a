"""
Changing what any one action does must be found by a replay.

The recording is our own: random pipelines through Open vSwitch 3.1.0 (``conform openflow --live --record``),
picked so that every action decides somewhere. An action that the model does not follow yet has no entry in
``ACTIONS``; with its entry it gets its row here by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import pytest

from bothways.conform.openflow_bridges import BuiltSwitch, built
from bothways.conform.openflow_case import Setting, TraceCase
from bothways.conform.openflow_recording import read_traces
from bothways.conform.openflow_replay import hold_trace, replay_traces
from bothways.facts.openflow import Action
from bothways.model.openflow.actions import ACTIONS
from bothways.model.openflow.run import Run

SAMPLE = Path(__file__).parent / "data" / "openflow-traces.jsonl.gz"
Execute = Callable[[Run, Action], None]
#: what leaves no trace in fields, copies and look-ups
WITHOUT_EFFECT = frozenset(
    {
        "any", "conjunction", "controller", "drop", "enqueue", "fin_timeout", "learn", "meter", "none",
        "note", "pop_queue", "sample", "set_queue", "table",
    }
)  # fmt: skip
#: no pipeline of the recording holds them: OpenFlow 1.5 dumps them as other actions (``LOCAL`` is an output)
NEVER_DUMPED = frozenset(
    {"apply_actions", "load", "local", "set_vlan_vid", "set_vlan_pcp", "strip_vlan", "debug_recirc"}
)


def nothing(_original: Execute) -> Execute:
    return lambda _run, _action: None


def twice(original: Execute) -> Execute:
    def both(run: Run, action: Action) -> None:
        original(run, action)
        original(run, action)

    return both


def without(argument: str) -> Callable[[Execute], Execute]:
    """The action, deaf to one of its arguments."""

    def change(original: Execute) -> Execute:
        def deaf(run: Run, action: Action) -> None:
            args = {name: value for name, value in action.args.items() if name != argument}
            original(run, replace(action, args=args))

        return deaf

    return change


#: what is changed, beside leaving each action out
CHANGES: tuple[tuple[str, str, Callable[[Execute], Execute]], ...] = (
    ("dec_ttl", "counts two", twice),
    ("output", "sends twice", twice),
    ("resubmit", "without its port", without("port")),
    ("set_field", "without its mask", without("mask")),
)
MUTATIONS = [
    *((name, "left out", nothing) for name in sorted(ACTIONS) if name not in WITHOUT_EFFECT | NEVER_DUMPED),
    *((name, how, change) for name, how, change in CHANGES if name in ACTIONS),
]


@cache
def recorded() -> tuple[tuple[TraceCase, BuiltSwitch], ...]:
    switches: dict[int, BuiltSwitch] = {}
    kept: list[Setting] = []  # an identity is only good as long as its object lives
    found = []
    for case in read_traces(SAMPLE):
        if id(case.setting) not in switches:
            switches[id(case.setting)] = built(case.setting)
            kept.append(case.setting)
        found.append((case, switches[id(case.setting)]))
    return tuple(found)


def agreeing(name: str) -> Iterator[tuple[TraceCase, BuiltSwitch]]:
    """Cases in which the model hits a flow or group with the action, and says what the switch says."""
    for case, switch in recorded():
        texts = [text for record in case.setting.bridges.values() for text in (*record.flows, *record.groups)]
        if any(name in text.lower() for text in texts):
            verdict = hold_trace(case, switch)
            if verdict.difference is None and not verdict.unknown:
                yield case, switch


def test_the_recording_holds_without_a_disagreement() -> None:
    outcome = replay_traces(case for case, _ in recorded())

    assert outcome.cases == len(recorded()) > 150
    assert [each.case.name for each in outcome.first] == []


@pytest.mark.parametrize(("name", "how", "change"), MUTATIONS, ids=[f"{m[0]} {m[1]}" for m in MUTATIONS])
def test_a_changed_action_is_noticed(
    name: str, how: str, change: Callable[[Execute], Execute], monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = list(agreeing(name))
    actions = cast("dict[str, Execute]", ACTIONS)
    monkeypatch.setitem(actions, name, change(actions[name]))

    assert any(hold_trace(case, switch).difference is not None for case, switch in cases), how
