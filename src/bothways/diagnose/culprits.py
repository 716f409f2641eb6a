"""
Name what the connection would live without.

Every candidate is taken out of the snapshot and the whole connection is walked again, with the same
choices where they still exist. Where the site is too little known to be walked, the flip is made at the
hop alone: the reply passes it, and the packet that drew the RST is forwarded.
"""

from __future__ import annotations

from dataclasses import replace

from bothways.diagnose.bypass import Bypass, FlowAt
from bothways.diagnose.case import Case
from bothways.diagnose.flip import Flip, without_address, without_flow
from bothways.diagnose.mechanism import Mechanism
from bothways.diagnose.owners import NetnsOwner
from bothways.facts.diagnosis import Culprit, Fate
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
    for owner in case.owners.namespaces:
        if (owner.netns.host, owner.netns.name) != (mechanism.host, mechanism.netns):
            continue
        flip = without_address(case.bundle.snapshot, owner.netns, owner.device, case.owners.address)
        if not walked or _lives(case, flip, dropped=owner):
            found.extend(_owner_culprits(case, owner, mechanism))
    return tuple(found)


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
