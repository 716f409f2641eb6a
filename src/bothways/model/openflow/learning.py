"""
The action ``learn``: the flow that it adds, made of the packet.

``learn_execute`` of ``lib/learn.c``. The new flow carries the place of the flow that it was learned from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Action, Flow, LearnSpec, Term
from bothways.facts.step import Did
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.run import Run
from bothways.model.openflow.writing import number_of

__all__ = ["learn"]

#: ports that a learned flow may send to: real ones, and these
_RESERVED: Final = {0xFFF8: "in_port", 0xFFFB: "flood", 0xFFFC: "all", 0xFFFE: "local"}
_LARGEST: Final = 0xFF00
_LABEL: Final = "learn"


def learn(run: Run, action: Action) -> None:
    """``learn(…)`` (``xlate_learn_action``, ``ofproto_flow_mod_learn``)."""
    if run.learned.still:
        return
    given = action.args.get("rules")
    rules = [rule for rule in given if isinstance(rule, LearnSpec)] if isinstance(given, tuple) else []
    settings = action.args.get("settings")
    text = settings if isinstance(settings, dict) else {}
    terms: list[Term] = []
    actions: list[Action] = []
    for rule in rules:
        value = _value(run, rule)
        if value is None:
            run.doubt(f"what `{action.text}` learns from {run.where}: {rule.source} is not known")
            return
        if rule.does == "match" and rule.field is not None:
            terms.append(_term(rule, value))
        elif rule.does == "load" and rule.field is not None:
            args: dict[str, object] = {
                "field": rule.field, "low": rule.low, "high": rule.high, "value": value,
            }  # fmt: skip
            actions.append(Action("load", args, f"load:{value:#x}->{rule.field}", action.column))
        elif rule.does == "output":
            actions += _output(rule, value, action.column)
    span = replace(run.frame.evidence[0], column=action.column)
    flow = Flow(
        number_of(action, "table"),
        number_of(action, "priority"),
        tuple(terms),
        tuple(actions) or (Action("drop", {}, "", action.column),),
        span,
        cookie=_number(text.get("cookie")),
        idle_timeout=_number(text.get("idle_timeout")),
        hard_timeout=_number(text.get("hard_timeout")),
    )
    below = _is_below(run, flow, number_of(action, "limit") if "limit" in action.args else 0)
    if below is None:
        missing = f"flows of table {flow.table} were not all collected"
        run.doubt(f"whether `{action.text}` learns from {run.where}: {missing}")
        return
    if "field" in action.args:
        bit = 1 << number_of(action, "low")
        run.key.put(str(action.args["field"]), (bit if below else 0, KNOWN), bit)
    if not below:
        why = f"no flow is learned: table {flow.table} has as many of cookie {flow.cookie:#x} as it may"
        run.note(Did.MATCHED, why, run.frame.evidence[:1], _LABEL)
        return
    run.learned.add(run.bridge, flow)
    matched = ",".join(term.text for term in terms)
    run.note(
        Did.MATCHED,
        f"a flow is learned in table {flow.table}: priority={flow.priority},{matched}",
        run.frame.evidence[:1],
        _LABEL,
    )


def _is_below(run: Run, flow: Flow, limit: int) -> bool | None:
    """Whether the table takes one more flow of this cookie; None if not all of them are known."""
    if not limit:
        return True
    held = run.bridge.flows
    if held is None or not held.whole:
        return None
    return run.learned.fits(run.bridge, flow, limit)


def _number(text: object) -> int:
    try:
        return int(str(text), 0)
    except ValueError:
        return 0


def _value(run: Run, rule: LearnSpec) -> int | None:
    if rule.source is None:
        return rule.value
    value, known = run.key.part(rule.source, rule.source_low, rule.source_high)
    whole = (1 << (rule.source_high - rule.source_low + 1)) - 1
    return value if known & whole == whole else None


def _term(rule: LearnSpec, value: int) -> Term:
    mask = ((1 << (rule.high - rule.low + 1)) - 1) << rule.low
    name = rule.field or ""
    return Term(name, value << rule.low, mask, f"{name}={value << rule.low:#x}", rule.column)


def _output(rule: LearnSpec, value: int, column: int) -> Iterator[Action]:
    name = _RESERVED.get(value)
    if name is not None:
        yield Action(name, {}, rule.text, column)
    elif value < _LARGEST:
        yield Action("output", {"port": value}, f"output:{value}", column)
