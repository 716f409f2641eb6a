"""
Name what the connection would live without.

Every candidate is taken out of the snapshot and the whole connection is walked again, with the same
choices where they still exist. Where the site is too little known to be walked, the flip is made at the
hop alone: the reply passes it, and the packet that drew the RST is forwarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bothways.diagnose.bypass import Bypass, FlowAt, trunk
from bothways.diagnose.case import Case
from bothways.diagnose.flip import Flip, without_address, without_flow, without_nft_rules
from bothways.diagnose.mechanism import Mechanism
from bothways.diagnose.owners import NetnsOwner
from bothways.facts.diagnosis import Culprit, Fate
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.facts.trajectory import Way
from bothways.model.linux.nftables import FUNCTION
from bothways.model.world import Observed, Replay, walk

__all__ = ["culprits_of"]


def culprits_of(case: Case, mechanism: Mechanism, bypass: Bypass) -> tuple[Culprit, ...]:
    """The flows that lead the reply round the namespace, and the namespace's own claim to the address."""
    walked = case.walk.fate is Fate.RESET
    found: list[Culprit] = []
    for at in bypass.flows:
        flip = without_flow(case.bundle.snapshot, at.host, at.bridge, at.flow)
        if not walked or _lives(case, flip):
            found.append(_flow_culprit(case, at))
    if walked:
        found.extend(_native_culprits(case, list(_native_steps(case, mechanism))))
    for owner in case.owners.namespaces:
        if (owner.netns.host, owner.netns.name) != (mechanism.host, mechanism.netns):
            continue
        if not walked:  # it cannot be tried; without the only owner that is known, nothing would answer
            found.extend(_owner_culprits(case, owner, mechanism) if case.owners.two else ())
            continue
        flip = without_address(case.bundle.snapshot, owner.netns, owner.device, case.owners.address)
        if _lives(case, flip, dropped=owner):
            found.extend(_owner_culprits(case, owner, mechanism))
    return tuple(found)


def _native_steps(case: Case, mechanism: Mechanism) -> Iterator[Step]:
    """Where native nft rules changed the reply on its way round the namespace; each rule once."""
    seen: set[Span] = set()
    for journey in case.walk.journeys:
        if journey.way is not Way.REPLY or journey.name != "SYN/ACK":
            continue
        for step in trunk(journey):
            here = (step.place.host, step.place.netns) == (mechanism.host, mechanism.netns)
            if (
                step.function == FUNCTION
                and step.did is Did.CHANGED
                and not here
                and seen.isdisjoint(step.evidence)
            ):
                seen.update(step.evidence)
                yield step


def _native_culprits(case: Case, steps: list[Step]) -> Iterator[Culprit]:
    """The rules without which the connection lives; if none of them alone, all of one namespace together."""
    alone = [
        (step, span)
        for step in steps
        for span in step.evidence
        if _lives(case, without_nft_rules(case.bundle.snapshot, step.place.host, step.place.netns, [span]))
    ]
    for step, span in alone:
        yield _native_culprit(case, step, span)
    places = {} if alone else {(step.place.host, step.place.netns): None for step in steps}
    for host, netns in places:
        mine = [s for s in steps if (s.place.host, s.place.netns) == (host, netns)]
        spans = [span for step in mine for span in step.evidence]
        if len(spans) > 1 and _lives(case, without_nft_rules(case.bundle.snapshot, host, netns, spans)):
            others = " (only together with the other nft rules named here)"
            yield from (_native_culprit(case, step, span, others) for step in mine for span in step.evidence)


def _native_culprit(case: Case, step: Step, span: Span, note: str = "") -> Culprit:
    netns = "" if step.place.netns == "root" else f"{step.place.netns} "
    where = f"{netns}{step.cell}{note}"
    return Culprit("nft", step.place.host, where, span.text.strip(), case.ages.of(span), together=bool(note))


def _lives(case: Case, flip: Flip, dropped: NetnsOwner | None = None) -> bool:
    script = {c.key: c.taken for c in case.walk.choices}
    observed = case.observed
    if dropped is not None:
        observed = _unlearned(observed, dropped)
    return walk(flip.snapshot, case.question, Replay(script), observed).fate is Fate.WORKS


def _unlearned(observed: Observed, owner: NetnsOwner) -> Observed:
    """Without the owner nobody can have sent frames for the address to its MAC."""
    kept = {key: mac for key, mac in observed.neighbours.items() if mac != owner.device.mac}
    return replace(observed, neighbours=kept)


def _flow_culprit(case: Case, at: FlowAt) -> Culprit:
    return Culprit(
        "openflow",
        at.host,
        f"{at.bridge} table {at.flow.table}",
        at.flow.span.text.strip(),
        case.ages.of(at.flow.span),
    )


def _owner_culprits(case: Case, owner: NetnsOwner, mechanism: Mechanism) -> list[Culprit]:
    """The claim to the address: where it is held, and the rules that the SYN met and the ACK did not."""
    where = f"{owner.netns.name} {owner.device.name}" if owner.netns.name != "root" else owner.device.name
    address = Culprit(
        "address",
        owner.netns.host,
        where,
        f"{case.owners.address} on {owner.device.name}",
        case.ages.of(owner.span),
    )
    asked = {
        span
        for step in (mechanism.translated, mechanism.untranslated)
        for span in (() if step is None else step.evidence)
    }
    rules = [rule for rule in owner.rules if rule.span in asked]
    return [
        address,
        *(
            Culprit(
                "iptables",
                owner.netns.host,
                f"{owner.netns.name} {rule.table} {rule.chain}",
                rule.span.text.strip(),
                case.ages.of(rule.span),
            )
            for rule in rules
        ),
    ]
