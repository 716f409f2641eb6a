"""The outcome as text, switch and model side by side, and as ``bothways/conformance/1``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from bothways.conform.openflow_conformance import TraceConformance, TraceDisagreement
from bothways.conform.openflow_walk import Walked
from bothways.conform.schema import SCHEMA
from bothways.model.openflow.match import words

__all__ = ["trace_json", "trace_text"]

_COLUMN: Final = 60
_REASONS: Final = 12
#: look-ups of one packet that are shown, and flows of a bridge that are
_LONGEST: Final = 24
_FEW_FLOWS: Final = 12


def trace_json(outcome: TraceConformance) -> dict[str, Any]:
    """Return the outcome; its form is ``docs/reference/conformance.schema.json``."""
    return {
        "schema": SCHEMA,
        "subject": "openflow",
        "cases": outcome.cases,
        "checks": outcome.checks,
        "disagreements": outcome.disagreements,
        "agree": outcome.agree,
        "unknown": outcome.unknown,
        "seconds": round(outcome.seconds, 3),
        "fields": dict(sorted(outcome.fields.items())),
        "reasons": dict(outcome.reasons.most_common()),
        "reach": {kind: dict(counts.most_common()) for kind, counts in outcome.reach.items()},
        "first": [_disagreement(each) for each in outcome.first],
        "first_unknown": [
            {
                "id": case.name,
                "class": case.kind,
                "place": case.place,
                "args": list(case.args),
                "reason": reason,
            }
            for case, reason in outcome.first_unknown
        ],
    }


def _disagreement(each: TraceDisagreement) -> dict[str, Any]:
    case = each.case
    return {
        "id": case.name,
        "class": case.kind,
        "place": case.place,
        "args": list(case.args),
        "field": each.difference.field,
        "switch": each.difference.switch,
        "model": each.difference.model,
        "tables": list(case.tables or ()),
        "told": _looked_up(each.walked, several=len(case.setting.bridges) > 1),
        "datapath_actions": [told.actions for told in case.told],
        "final_flow": [told.final or "unchanged" for told in case.told],
    }


def trace_text(outcome: TraceConformance, *, reach: bool = False) -> str:
    """
    Return the outcome for people: the numbers, then the first disagreements side by side.

    :param reach: also say which actions and fields decided how often.
    """
    rate = f", {outcome.cases / outcome.seconds:,.0f} a second" if outcome.seconds else ""
    share = f" ({100 * outcome.agree / outcome.cases:.1f} %)" if outcome.cases else ""
    kinds = ", ".join(f"{name} {count:,}" for name, count in outcome.fields.most_common())
    where = f" ({kinds})" if kinds else ""
    held = f"openflow: {outcome.cases:,} traced packets, {outcome.checks:,} checks{rate}"
    found = f"{outcome.disagreements:,} disagree{where}, {outcome.unknown:,} unknown"
    lines = [f"{held}\n{outcome.agree:,} agree{share}, {found}"]
    if outcome.reasons:
        lines.append(_reasons(outcome.reasons))
    if reach:
        lines += [_reach(kind, counts) for kind, counts in outcome.reach.items()]
    lines += [_side_by_side(each) for each in outcome.first]
    left = outcome.disagreements - len(outcome.first)
    if outcome.first and left > 0:
        lines.append(f"{left:,} more disagree")
    return "\n\n".join(lines) + "\n"


def _reasons(reasons: Counter[str]) -> str:
    rows = [f"  {count:6,}  {reason}" for reason, count in reasons.most_common(_REASONS)]
    left = sum(reasons.values()) - sum(count for _, count in reasons.most_common(_REASONS))
    if left:
        rows.append(f"  {left:6,}  for other reasons")
    return "\n".join(["unknown, because the model says that it does not know:", *rows])


def _reach(kind: str, counts: Counter[str]) -> str:
    told = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    return f"{kind} of the flows that were hit: {told or 'none'}"


def _side_by_side(each: TraceDisagreement) -> str:
    case = each.case
    several = len(case.setting.bridges) > 1
    first = case.setting.bridges[case.start]
    flows = [*first.groups, *first.flows]
    lines = [
        f"{case.name} ({case.kind}) {case.place}",
        f"  ofproto/trace {' '.join(arg.strip() for arg in case.args)}",
        *([f"  {line}" for line in flows] if len(flows) <= _FEW_FLOWS else ()),
        f"  {each.difference.field}:",
        f"    switch  {each.difference.switch}",
        f"    model   {each.difference.model}",
        f"  {'switch':{_COLUMN}} model",
    ]
    lines += _rows(case.tables or (), _looked_up(each.walked, several=several), _parting(each))
    for told in case.told:
        lines.append(f"  datapath actions: {told.actions}")
        lines.append(f"  final flow: {told.final or 'unchanged'}")
    sent = ", ".join(str(copy.port) for copy in each.walked.copies)
    lines.append(f"  the model sends to: {sent or 'nowhere'}")
    return "\n".join(lines)


def _parting(each: TraceDisagreement) -> int:
    """The look-up at which the two part; the last one if they do not."""
    theirs = [None if text.endswith("No match.") else text for text in each.case.tables or ()]
    ours = each.walked.visited
    for index, (one, (_, table, flow)) in enumerate(zip(theirs, ours, strict=False)):
        if one is not None and not one.startswith(f"{table}. "):
            return index
        if (one is None) != (flow is None) or (one and flow and not _hits(one, flow.priority)):
            return index
    return min(len(theirs), len(ours))


def _hits(text: str, priority: int) -> bool:
    return f"priority {priority}" in text


def _rows(theirs: Sequence[str], ours: Sequence[str], parting: int) -> Iterator[str]:
    """Both columns, without the middle of a long way that is the same."""
    rows = list(zip_longest(theirs, ours, fillvalue=""))
    if len(rows) <= _LONGEST:
        shown = range(len(rows))
    else:
        around = range(max(0, parting - _LONGEST // 2), min(len(rows), parting + _LONGEST // 2))
        shown = around if len(around) > 0 else range(_LONGEST)
    if shown.start:
        yield f"  … {shown.start} look-ups alike …"
    for index in shown:
        one, other = rows[index]
        yield f"{'>' if index == parting else ' '} {one[:_COLUMN]:{_COLUMN}} {other}".rstrip()
    if shown.stop < len(rows):
        yield f"  … {len(rows) - shown.stop} more …"


def _looked_up(walked: Walked, *, several: bool) -> list[str]:
    return [
        f"{f'{bridge} ' if several else ''}{table}. {'No match.' if flow is None else words(flow)}"
        for bridge, table, flow in walked.visited
    ]
