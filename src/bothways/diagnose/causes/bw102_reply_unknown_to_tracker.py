"""
BW102 reply-unknown-to-tracker.

Finds a namespace that got a connection's SYN/ACK without ever having seen its SYN, which went another way:
the tracker calls the answer INVALID, so it is not translated back, leaves with the address inside, and the
client, who never asked that address, does not take it. The mirror image of BW101.

Needs: the SYN/ACK at the namespace, captured or walked; its translation rules. Refuted by: the SYN at one of
the namespace's own taps, or the SYN/ACK leaving it with the address that the client asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.diagnose.bypass import FlowAt, translating_flows, trunk
from bothways.diagnose.case import Case
from bothways.diagnose.counted import counted_there, too_young
from bothways.diagnose.flip import Flip, forget_neighbour, without_flow
from bothways.diagnose.gaps import gaps_of_sight, gaps_of_walk
from bothways.diagnose.hop import replay, with_opening
from bothways.diagnose.stray import Stray, stray_in_hop, stray_in_walk, visited
from bothways.diagnose.verdict import Explanation
from bothways.facts.address import mac_from_int
from bothways.facts.diagnosis import Basis, Cause, Confidence, Culprit, Fate, Link
from bothways.facts.openflow import Flow
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.trajectory import Trajectory, Way
from bothways.model.world import Replay, walk

__all__ = ["CODE", "NAME", "explain"]

CODE: Final = "BW102"
NAME: Final = "reply-unknown-to-tracker"
#: every repeated SYN/ACK is refused and logged again: so many lines are quoted
_MOST_LOGGED: Final = 2


def explain(case: Case) -> Explanation | None:
    """Return the explanation if this is the cause, None if it is not."""
    if case.fate is not Fate.TIMEOUT:
        return None
    observed = _observed(case)
    predicted = stray_in_walk(case.walk) if case.walk.fate is Fate.TIMEOUT else None
    stray = observed or predicted
    if stray is None or (case.story is not None and case.story.synack is None):
        return None
    flows = _round(case)
    culprits = _culprits(case)
    if observed is None and not culprits:
        return None
    gaps = (*_gaps(case, stray, culprits, observed=observed, predicted=predicted), *too_young(case, flows))
    confidence = Confidence.SUPPORTED if gaps else Confidence.PROVED
    inside = stray.invalid.before.source
    summary = (
        f"{stray.label} never saw the client's SYN, which {_way(flows)}; so it called the server's SYN/ACK "
        f"INVALID and let it out as {inside}, whom the client had not asked"
    )
    chain = _chain(case, stray, flows)
    return Explanation(
        Cause(CODE, NAME, confidence, summary), chain, None, culprits, gaps, (stray.host, stray.netns)
    )


def _observed(case: Case) -> Stray | None:
    """Replay each namespace in which the answer was captured, not the SYN; keep what survives a flip."""
    if case.story is None:
        return None
    connection = case.story.connection
    for host, name in visited(connection, case.bundle.snapshot):
        netns = case.bundle.snapshot.netns(host, name) or Netns(host, name)
        known = case.bundle.snapshot.hosts.get(host)
        kernel = None if known is None else known.kernel
        found = stray_in_hop(replay(netns, connection, kernel=kernel))
        flipped = None if found is None else with_opening(netns, connection, kernel=kernel)
        if found is None or flipped is None:
            continue
        answers = [
            packet
            for visit in flipped.visits
            if visit.trajectory.way is Way.REPLY
            for packet in visit.forwarded
        ]
        if answers and answers[0].source == connection.server and _left_as_inside(found, connection.server):
            return found
    return None


def _left_as_inside(stray: Stray, asked: object) -> bool:
    """True unless the answer was captured leaving with the address that the client asked for."""
    left = None if stray.visit is None else stray.visit.left
    return left is None or left.packet.source != asked


def _round(case: Case) -> tuple[FlowAt, ...]:
    """The flows that translated the SYN on its way round the tracker."""
    for journey in case.walk.journeys:
        if journey.way is Way.ORIGINAL and journey.name == "SYN":
            return tuple(translating_flows(case, trunk(journey)))
    return tuple(FlowAt(o.host, o.bridge.name, f) for o in case.owners.switches for f in o.inbound)


def _way(flows: tuple[FlowAt, ...]) -> str:
    if not flows:
        return "reached the server another way"
    first = flows[0]
    return f"was translated by {first.host} {first.bridge} table={first.flow.table} and went round it"


def _culprits(case: Case) -> tuple[Culprit, ...]:
    """Each flow of the other owner without which the connection lives: its claim to the address."""
    found = []
    for owner in case.owners.switches:
        for flow in owner.flows:
            flip = _without(case, owner.host, owner.bridge.name, flow)
            if case.walk.fate is not Fate.TIMEOUT or not _lives(case, flip, flow):
                continue
            found.append(
                Culprit(
                    "openflow",
                    owner.host,
                    f"{owner.bridge.name} table {flow.table}",
                    flow.span.text.strip(),
                    case.ages.of(flow.span),
                )
            )
    return tuple(found)


def _announced(flow: Flow) -> list[int]:
    """MACs that an ARP responder announces."""
    return [
        value
        for action in flow.actions
        if action.args.get("field") == "arp_sha"
        for value in (action.args.get("value"),)
        if isinstance(value, int)
    ]


def _without(case: Case, host: str, bridge: str, flow: Flow) -> Flip:
    """The snapshot without a flow, and without what neighbours learned from it."""
    flip = without_flow(case.bundle.snapshot, host, bridge, flow)
    snapshot = flip.snapshot
    for value in _announced(flow):
        snapshot = forget_neighbour(snapshot, case.owners.address, mac_from_int(value))
    return replace(flip, snapshot=snapshot)


def _lives(case: Case, flip: Flip, flow: Flow) -> bool:
    gone = {mac_from_int(value) for value in _announced(flow)}
    kept = {key: mac for key, mac in case.observed.neighbours.items() if mac not in gone}
    script = {c.key: c.taken for c in case.walk.choices}
    again = walk(flip.snapshot, case.question, Replay(script), replace(case.observed, neighbours=kept))
    return again.fate is Fate.WORKS


def _gaps(
    case: Case,
    stray: Stray,
    culprits: tuple[Culprit, ...],
    *,
    observed: Stray | None,
    predicted: Stray | None,
) -> tuple[str, ...]:
    """Say what keeps the cause from being proved; nothing, if it is."""
    gaps = gaps_of_sight(case)
    if case.story is not None and observed is None:
        gaps.append(f"no capture inside {stray.label} shows the answer that was refused")
    if predicted is None:
        gaps.append(f"the whole way could not be walked to the same end: {case.walk.why}")
    elif (predicted.host, predicted.netns) != (stray.host, stray.netns):
        gaps.append(f"the model expects the answer to be refused by {predicted.label}")
    else:
        gaps.extend(gaps_of_walk(case))
    if not culprits:
        gaps.append("no single flow was found without which the connection lives")
    return tuple(dict.fromkeys(gaps))


def _chain(case: Case, stray: Stray, flows: tuple[FlowAt, ...]) -> tuple[Link, ...]:
    ages, story = case.ages, case.story
    syn = None if story is None else story.syn
    synack = None if story is None else story.synack
    seen = Basis.PREDICTED if story is None else Basis.OBSERVED
    visit = stray.visit
    log = _invalid_log(case, stray)
    inside, asked = stray.invalid.before.source, case.question.destination
    return (
        Link(
            f"the SYN went round {stray.label}: it {_way(flows)}{counted_there(case, flows)}",
            seen,
            ages.all(_ends(syn), tuple(f.flow.span for f in flows)),
        ),
        Link(
            f"the SYN/ACK came to {stray.label}, whose tracker does not know it: {stray.invalid.reason}",
            Basis.OBSERVED if log else Basis.PREDICTED,
            ages.all(None if visit is None else visit.entered, log, stray.invalid.evidence),
        ),
        Link(
            f"an INVALID packet gets no NAT: the SNAT rule was not asked, and it left as {inside}",
            Basis.OBSERVED if visit is not None and visit.left is not None else Basis.PREDICTED,
            ages.all(None if visit is None else visit.left, stray.untranslated.evidence),
        ),
        Link(
            f"the client asked {asked} and got an answer from {inside}: it is no answer to it",
            seen if synack is not None else Basis.PREDICTED,
            ages.all(
                None if synack is None else synack.sightings[-1],
                None if story is None or story.withdrawn is None else story.withdrawn.sightings[0],
                stray.left.evidence,
            ),
        ),
    )


def _ends(trajectory: Trajectory | None) -> tuple[Span, ...]:
    if trajectory is None:
        return ()
    return trajectory.sightings[0].span, trajectory.sightings[-1].span


def _invalid_log(case: Case, stray: Stray) -> tuple[Span, ...]:
    netns = case.bundle.snapshot.netns(stray.host, stray.netns)
    packet: Packet = stray.invalid.before
    rows = [
        row.span
        for row in (netns.invalid_log if netns is not None else None) or ()
        if (row.source, row.destination) == (packet.source, packet.destination)
    ]
    return tuple(rows[:_MOST_LOGGED])
