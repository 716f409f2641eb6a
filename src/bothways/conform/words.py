"""The outcome as text, kernel and model side by side, and as ``bothways/conformance/1``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from bothways.conform.conformance import Conformance, Disagreement
from bothways.conform.recording import Result, Segment
from bothways.conform.schema import SCHEMA

__all__ = ["conformance_json", "conformance_text"]

_COLUMN: Final = 52
_IPV6: Final = 6


def conformance_json(outcome: Conformance) -> dict[str, object]:
    """Return the outcome; its form is ``docs/reference/conformance.schema.json``."""
    nat = outcome.nat
    told: dict[str, object] = {
        "schema": SCHEMA,
        "subject": outcome.subject,
        "cases": outcome.cases + (0 if nat is None else nat.cases),
        "checks": outcome.checks + (0 if nat is None else nat.checks),
        "disagreements": outcome.disagreements + (0 if nat is None else nat.disagreements),
        "seconds": round(outcome.seconds, 3),
        "fields": dict(sorted((outcome.fields + (Counter() if nat is None else nat.fields)).items())),
        "first": [_disagreement(each) for each in outcome.first],
    }
    classes = {"class": dict(sorted(outcome.kinds.items()))} if outcome.kinds else {}
    if nat is None or not nat.cases:
        return told | ({"reach": classes} if classes else {})
    from bothways.conform.netfilter_words import netfilter_json  # noqa: PLC0415 (NAT alone needs it)

    ours = netfilter_json(nat)
    told["first"] = [*map(_disagreement, outcome.first), *ours["first"]]
    return told | {name: ours[name] for name in ("unknown", "reasons")} | {"reach": ours["reach"] | classes}


def _disagreement(each: Disagreement) -> dict[str, object]:
    stop = each.index + 1
    return {
        "id": each.case.name,
        "class": each.case.kind,
        "nat": each.case.nat,
        "family": each.case.family,
        "sysctl": dict(each.case.sysctls),
        "segment": each.index,
        "field": each.difference.field,
        "kernel": each.difference.kernel,
        "model": each.difference.model,
        "segments": list(each.case.segments[:stop]),
        "results": list(each.case.results[:stop]),
        "told": list(each.told),
    }


def conformance_text(outcome: Conformance, *, classes: bool = False) -> str:
    """
    Return the outcome for people: the numbers, then the first disagreements side by side.

    :param classes: tell how many sequences of which class there were.
    """
    rate = f", {outcome.checks / outcome.seconds:,.0f} a second" if outcome.seconds else ""
    where = f" ({_fields(outcome.fields)})" if outcome.fields else ""
    held = f"{outcome.subject}: {outcome.cases:,} sequences, {outcome.checks:,} segments{rate}"
    lines = [
        f"{held}\n{outcome.disagreements:,} disagreements{where}{_classes(outcome.kinds) if classes else ''}"
    ]
    if outcome.nat is not None and outcome.nat.cases:
        from bothways.conform.netfilter_words import netfilter_text  # noqa: PLC0415 (NAT alone needs it)

        lines.append(netfilter_text(outcome.nat, subject="NAT").rstrip("\n"))
    lines += [_side_by_side(each) for each in outcome.first]
    left = outcome.disagreements - len(outcome.first)
    if outcome.first and left > 0:
        lines.append(f"{left:,} more disagree")
    return "\n\n".join(lines) + "\n"


def _classes(kinds: Mapping[str, int]) -> str:
    """How many sequences of which class, the most frequent first."""
    most = sorted(kinds.items(), key=lambda each: (-each[1], each[0]))[:_MOST_CLASSES]
    rest = "" if len(most) == len(kinds) else f" and {len(kinds) - len(most)} more"
    return f"\nclasses ({len(kinds)}): " + ", ".join(f"{name} {count:,}" for name, count in most) + rest


_MOST_CLASSES: Final = 20


def _fields(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(fields.items(), key=lambda each: -each[1]))


def _side_by_side(each: Disagreement) -> str:
    case, difference = each.case, each.difference
    settings = ", ".join(f"{name}={value}" for name, value in case.sysctls)
    what = f"kernel {_word(difference.kernel)}, model {_word(difference.model)}"
    over = f"{', NAT' * case.nat}{', IPv6' * (case.family == _IPV6)}"
    lines = [
        f"{case.name} ({case.kind}{over}{'; ' if settings else ''}{settings})",
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
    """``A PA 1000:1010 ack 5 win 9``, or for other protocols what the segment holds."""
    if "seq" not in segment:
        proto = segment.get("proto", "tcp")
        return f"{segment['dir']} {proto if isinstance(proto, str) else f'protocol {proto}'}{_rest(segment)}"
    seq = f"{segment['seq']}" + (f"+{segment['len']}" if segment["len"] else "")
    ack = f" ack {segment['ack']}" if "A" in segment["flags"] else ""
    more = _rest({key: value for key, value in segment.items() if key not in _NUMBERS})
    return f"{segment['dir']} {segment['flags'] or 'none'} {seq}{ack} win {segment['win']}{more}"


def _rest(segment: Segment) -> str:
    told = " ".join(f"{key} {value}" for key, value in segment.items() if key not in _SAID)
    about = segment.get("quote")
    return f" {told}" * bool(told) + (f" about ({_sent(about)})" if about else "")


_NUMBERS: Final = frozenset({"flags", "seq", "ack", "win", "len", "opts"})
_SAID: Final = frozenset({"dir", "proto", "quote"})


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
