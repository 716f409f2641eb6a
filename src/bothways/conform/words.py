"""The outcome as text, kernel and model side by side, and as ``bothways/conformance/1``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bothways.conform.conformance import Conformance, Disagreement
from bothways.conform.recording import Result, Segment

__all__ = ["SCHEMA", "conformance_json", "conformance_text"]

SCHEMA: Final = "bothways/conformance/1"
_COLUMN: Final = 52


def conformance_json(outcome: Conformance) -> dict[str, object]:
    """Return the outcome; its form is ``docs/reference/conformance.schema.json``."""
    return {
        "schema": SCHEMA,
        "subject": outcome.subject,
        "cases": outcome.cases,
        "checks": outcome.checks,
        "disagreements": outcome.disagreements,
        "seconds": round(outcome.seconds, 3),
        "fields": dict(sorted(outcome.fields.items())),
        "first": [_disagreement(each) for each in outcome.first],
    }


def _disagreement(each: Disagreement) -> dict[str, object]:
    stop = each.index + 1
    return {
        "id": each.case.name,
        "class": each.case.kind,
        "nat": each.case.nat,
        "sysctl": dict(each.case.sysctls),
        "segment": each.index,
        "field": each.difference.field,
        "kernel": each.difference.kernel,
        "model": each.difference.model,
        "segments": list(each.case.segments[:stop]),
        "results": list(each.case.results[:stop]),
        "told": list(each.told),
    }


def conformance_text(outcome: Conformance) -> str:
    """Return the outcome for people: the numbers, then the first disagreements side by side."""
    rate = f", {outcome.checks / outcome.seconds:,.0f} a second" if outcome.seconds else ""
    where = f" ({_fields(outcome.fields)})" if outcome.fields else ""
    held = f"{outcome.subject}: {outcome.cases:,} sequences, {outcome.checks:,} segments{rate}"
    lines = [f"{held}\n{outcome.disagreements:,} disagreements{where}"]
    lines += [_side_by_side(each) for each in outcome.first]
    left = outcome.disagreements - len(outcome.first)
    if outcome.first and left > 0:
        lines.append(f"{left:,} more disagree")
    return "\n\n".join(lines) + "\n"


def _fields(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(fields.items(), key=lambda each: -each[1]))


def _side_by_side(each: Disagreement) -> str:
    case, difference = each.case, each.difference
    settings = ", ".join(f"{name}={value}" for name, value in case.sysctls)
    what = f"kernel {_word(difference.kernel)}, model {_word(difference.model)}"
    lines = [
        f"{case.name} ({case.kind}{', NAT' if case.nat else ''}{'; ' if settings else ''}{settings})",
        f"  segment {each.index}: {difference.field}: {what}",
        f"{'':41} {'kernel':{_COLUMN}} model",
    ]
    for index, told in enumerate(each.told):
        mark = ">" if index == each.index else " "
        sent = _sent(case.segments[index])
        left, right = _columns(case.results[index]), _columns(told)
        for row in range(max(len(left), len(right))):
            one, other = (rows[row] if row < len(rows) else "" for rows in (left, right))
            place = f"{mark} {index:2} {sent:36}" if row == 0 else f"{'':41}"
            lines.append(f"{place} {one:{_COLUMN}} {other}".rstrip())
    return "\n".join(lines)


def _sent(segment: Segment) -> str:
    """``A PA 1000:1010 ack 5 win 9``."""
    seq = f"{segment['seq']}" + (f"+{segment['len']}" if segment["len"] else "")
    ack = f" ack {segment['ack']}" if "A" in segment["flags"] else ""
    return f"{segment['dir']} {segment['flags'] or 'none'} {seq}{ack} win {segment['win']}"


def _columns(result: Result) -> list[str]:
    """Return one result as short lines: verdict and state first, the kernel's words last."""
    way = f" {result['ctdir']}" if "ctdir" in result else ""
    rows = [f"{result['verdict']}{way} {result.get('delivery', '')}"]
    state = result.get("state")
    if state is not None:
        status = " ".join(sorted(set(result.get("status") or ()) - {"CONFIRMED"}))
        rows.append(f"  {state} {result.get('timeout')}s {status}".rstrip())
    else:
        rows.append("  no entry")
    rows += [f"  {words}" for words in result.get("log", ())]
    answer = result.get("answered")
    if answer:
        rows.append(f"  answered {answer.get('flags')} seq {answer.get('seq')}")
    return rows


def _word(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
