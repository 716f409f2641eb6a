"""The outcome as text, kernel and model one above the other, and as ``bothways/conformance/1``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bothways.conform.netfilter_case import Sent
from bothways.conform.netfilter_comparison import decoded
from bothways.conform.netfilter_conformance import NetfilterConformance, NetfilterDisagreement
from bothways.conform.schema import SCHEMA

__all__ = ["netfilter_json", "netfilter_text"]

_REASONS: Final = 10
_SHOWN_PACKETS: Final = 8
_LONGEST: Final = 40
#: kind of what was reached -> heading
_KINDS: Final = {
    "match": "matches of iptables", "target": "targets of iptables", "nft": "words of nft",
    "sysctl": "sysctls",
    "fate": "fates",
}  # fmt: skip


def netfilter_json(outcome: NetfilterConformance) -> dict[str, Any]:
    """Return the outcome; its form is ``docs/reference/conformance.schema.json``."""
    return {
        "schema": SCHEMA,
        "subject": outcome.subject,
        "cases": outcome.cases,
        "checks": outcome.checks,
        "disagreements": outcome.disagreements,
        "agree": outcome.checks - outcome.disagreements,
        "unknown": outcome.unknown,
        "seconds": round(outcome.seconds, 3),
        "fields": dict(sorted(outcome.fields.items())),
        "reasons": dict(outcome.reasons.most_common()),
        "reach": {
            kind: {name: count for (of, name), count in outcome.reach.most_common() if of == kind}
            for kind in _KINDS
        },
        "first": [_disagreement(each) for each in outcome.first],
    }


def _disagreement(each: NetfilterDisagreement) -> dict[str, Any]:
    case = each.case
    return {
        "id": case.name,
        "packet": each.index,
        "field": each.held.field,
        "kernel": list(each.held.kernel),
        "model": list(each.held.model),
        "sent": [_sent(sent) for sent in case.sent[: each.index + 1]],
        "steps": list(_steps(each)),
        "dumps": dict(case.dumps),
    }


def netfilter_text(outcome: NetfilterConformance, *, subject: str = "netfilter") -> str:
    """Return the outcome for people: the numbers, the reach, then the first disagreements."""
    rate = f", {outcome.packets / outcome.seconds:,.0f} a second" if outcome.seconds else ""
    kinds = ", ".join(f"{name} {count:,}" for name, count in outcome.fields.most_common())
    where = f" ({kinds})" if kinds else ""
    lines = [
        f"{subject}: {outcome.cases:,} rulesets, {outcome.packets:,} packets{rate}",
        f"{outcome.checks:,} compared, {outcome.disagreements:,} disagree{where}",
        f"{outcome.unknown:,} unknown, {outcome.skipped:,} skipped behind those",
    ]
    if outcome.draws:
        lines.append(f"{outcome.draws:,} ports that the kernel drew lie in the model's sets")
    if outcome.reasons:
        lines.append("unknown because:")
        lines += [f"  {count:6,}  {reason}" for reason, count in outcome.reasons.most_common(_REASONS)]
        left = len(outcome.reasons) - _REASONS
        lines += [f"          and {left:,} other reasons"] if left > 0 else []
    lines += _reach(outcome)
    text = "\n".join(lines)
    return "\n\n".join([text, *map(_shown, outcome.first)]) + "\n"


def _reach(outcome: NetfilterConformance) -> Iterator[str]:
    for kind, heading in _KINDS.items():
        found = [f"{name} {count:,}" for (of, name), count in outcome.reach.most_common() if of == kind]
        if found:
            yield f"{heading} that decided ({len(found)}): " + ", ".join(found)


def _shown(each: NetfilterDisagreement) -> str:
    case = each.case
    lines = [f"{case.name}, packet {each.index}: {each.held.field}"]
    for file in ("iptables-save.txt", "ip6tables-save.txt", "nft.txt"):
        text = [line for line in case.dumps.get(file, "").splitlines() if line.strip() and line[0] != "#"]
        if text and len(text) <= _LONGEST:
            lines += [f"  {file}:", *(f"    {line}" for line in text)]
        elif text:
            lines.append(f"  {file}: {len(text)} lines, see the recording")
    first = max(0, each.index + 1 - _SHOWN_PACKETS)
    if first:
        lines.append(f"  … {first} packets before")
    lines += [f"  sent {_sent(sent)}" for sent in case.sent[first : each.index + 1]]
    lines += [f"  kernel  {text}" for text in each.held.kernel or ("nothing more",)]
    lines += [f"  model   {text}" for text in each.held.model or ("nothing more",)]
    lines += [f"    {text}" for text in _steps(each)]
    return "\n".join(lines)


def _steps(each: NetfilterDisagreement) -> Iterator[str]:
    for step in each.held.steps:
        where = step.evidence[0] if step.evidence else None
        place = (
            f"  [{where.file.rpartition('/')[2]}:{where.line}]" if where is not None and where.line else ""
        )
        yield f"{step.function}: {step.did}: {step.reason}{place}"


def _sent(sent: Sent) -> str:
    packet = decoded(sent.frame)
    if packet is None or packet.ip is None:
        return f"{sent.into or 'own'}: {sent.frame.hex()}"
    ip = packet.ip
    return f"{sent.into or 'own'}: {packet} ttl {ip.ttl} tos {ip.tos}"
