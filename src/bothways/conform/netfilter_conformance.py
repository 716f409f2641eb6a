"""The outcome of holding the model's hooks and routes against many packets, and what it reached."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bothways.conform.netfilter_case import NetfilterCase
from bothways.conform.netfilter_replay import Held, Holder
from bothways.facts.step import Did, Step

__all__ = ["NetfilterConformance", "NetfilterDisagreement", "hold_netfilter", "reach_of"]

#: Words of a rule of iptables that name something: ``-m NAME``, ``-j NAME``, ``-g``, and plain options.
_WORD: Final = re.compile(
    r"(?:^|\s)(?:-m (?P<match>\S+)|-j (?P<target>\S+)|-g (?P<goto>\S+)|(?P<plain>-[sdiopf])(?=\s))"
)
_OPTIONS: Final = {
    "-s": "source", "-d": "destination", "-i": "in-interface", "-o": "out-interface", "-p": "protocol",
    "-f": "fragment",
}  # fmt: skip
_SYSCTL: Final = re.compile(r"^net\.[\w.-]*?(?P<name>[\w-]+) = ")
#: What the nft words of a rule begin with, the longest first.
_NATIVE: Final = re.compile(
    r"ct (?:state|mark|status|direction|original|reply|zone)|meta \w+|ip6? \w+|tcp (?:dport|sport|flags)|"
    r"udp [ds]port|th [ds]port|icmp type|icmpv6 type|ether \w+|fib|iifname|oifname|iif|oif|vmap|map|@\w+|"
    r"jump|goto|accept|drop|return|reject|notrack|[sd]nat|masquerade|redirect|log|counter|limit|set"
)
_JUMP_FREE: Final = frozenset({"ACCEPT", "DROP", "RETURN", "QUEUE"})
#: Steps that decide where a packet goes or whether it lives.
_FATES: Final = frozenset(
    {Did.DROPPED, Did.IGNORED, Did.ANSWERED, Did.ROUTED, Did.DELIVERED, Did.SENT, Did.UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class NetfilterDisagreement:
    """
    One packet on which kernel and model disagree.

    :param index: of the packet in its case, from 0.
    """

    case: NetfilterCase
    index: int
    held: Held


@dataclass(slots=True)
class NetfilterConformance:
    """
    What was held.

    :param cases: rulesets; *checks* packets that were compared; *packets* all that were sent.
    :param disagreements: packets that disagree; *first* holds some of them.
    :param unknown: packets of which the model does not say what happens; *reasons*: how often each.
    :param skipped: packets that were not compared, because one before them was unknown or disagreed.
    :param fields: how many disagree first in which field.
    :param reach: kind (``match``, ``target``, ``nft``, ``sysctl``, ``fate``) and name -> how many packets it
        decided.
    :param draws: ports that the kernel drew and the model's set held.
    """

    subject: str = "netfilter"
    cases: int = 0
    packets: int = 0
    checks: int = 0
    disagreements: int = 0
    unknown: int = 0
    skipped: int = 0
    draws: int = 0
    seconds: float = 0.0
    first: list[NetfilterDisagreement] = field(default_factory=list)
    fields: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    reach: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, case: NetfilterCase, index: int, held: Held, *, keep: int) -> None:
        """Count one packet; keep a disagreement whole if fewer than *keep* are."""
        self.packets += 1
        self.draws += held.draws
        if held.skipped:
            self.skipped += 1
            return
        self.reach.update(set(reach_of(held.steps)))
        if held.unknown:
            self.unknown += 1
            self.reasons.update(sorted({_reason(text) for text in held.unknown}))
            return
        self.checks += 1
        if held.field:
            self.disagreements += 1
            self.fields[held.field] += 1
            if len(self.first) < keep:
                self.first.append(NetfilterDisagreement(case, index, held))


def hold_netfilter(
    cases: Iterable[NetfilterCase], *, kernel: str | None = None, keep: int = 5
) -> NetfilterConformance:
    """
    Hold the model against recorded cases.

    :param kernel: release whose behaviour the model takes; None for the one that each case names.
    :param keep: how many disagreements are kept whole.
    """
    outcome, start = NetfilterConformance(), time.process_time()
    for case in cases:
        holder = Holder.of_case(case, kernel=kernel)
        outcome.cases += 1
        for index, (sent, heard) in enumerate(zip(case.sent, case.heard, strict=True)):
            outcome.count(case, index, holder.hold(sent, heard), keep=keep)
    outcome.seconds = time.process_time() - start
    return outcome


def reach_of(steps: tuple[Step, ...]) -> Iterator[tuple[str, str]]:
    """Kind and name of all that took part in deciding about a packet, by the lines that its steps quote."""
    for step in steps:
        if step.did in _FATES:
            yield "fate", f"{step.function} {step.did}"
        for span in step.evidence:
            file = span.file.rpartition("/")[2]
            if "tables-save" in file:
                yield from _of_iptables(span.text)
            elif file == "nft.txt":
                yield from (("nft", found) for found in _NATIVE.findall(span.text))
            elif file == "sysctl.txt" and (named := _SYSCTL.match(span.text)):
                yield "sysctl", named["name"]


def _of_iptables(text: str) -> Iterator[tuple[str, str]]:
    for found in _WORD.finditer(text):
        if found["match"]:
            yield "match", found["match"]
        elif found["plain"]:
            yield "match", _OPTIONS[found["plain"]]
        elif found["goto"]:
            yield "target", "goto"
        elif found["target"]:
            name = found["target"]
            known = name in _JUMP_FREE or not name.isupper() or _is_target(name)
            yield "target", name if known else "jump"
    if " ! " in text:
        yield "match", "!"


def _is_target(name: str) -> bool:
    from bothways.model.linux.iptables.targets import TARGETS  # noqa: PLC0415 (a table of the model, looked at once)

    return name in TARGETS


def _reason(text: str) -> str:
    """A reason without the place and the rule that it was met in, so that equal ones count together."""
    return re.sub(r": `.*`?$", "", text.removeprefix("kernel/router: "), flags=re.DOTALL)
