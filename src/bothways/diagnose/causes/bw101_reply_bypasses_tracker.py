"""
BW101 reply-bypasses-tracker.

Finds a namespace that tracked a connection's SYN and translated it, did not see the SYN/ACK because
that took another way, called the client's next packet INVALID, therefore did not translate it,
found itself to be the destination, and answered with a RST in the machine's name.

Needs: packets or dumps of that namespace; a sighting of the SYN/ACK elsewhere. Refuted by: a SYN/ACK
inside the namespace, or an entry there that is past SYN_SENT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bothways.diagnose.bypass import Bypass, bypass_of
from bothways.diagnose.case import Case
from bothways.diagnose.counted import counted_by, counters_shown, too_young
from bothways.diagnose.culprits import culprits_of
from bothways.diagnose.gaps import gaps_of_sight, gaps_of_walk
from bothways.diagnose.hop import with_reply
from bothways.diagnose.mechanism import Mechanism, in_hop, in_walk
from bothways.diagnose.testimony import Testimony
from bothways.diagnose.verdict import Explanation
from bothways.facts.choice import Freedom
from bothways.facts.diagnosis import Author, Basis, Cause, Confidence, Culprit, Fate, Link
from bothways.facts.span import Span
from bothways.facts.step import Step

__all__ = ["CODE", "NAME", "explain"]

CODE: Final = "BW101"
NAME: Final = "reply-bypasses-tracker"


def explain(case: Case) -> Explanation | None:
    """Return the explanation if this is the cause, None if it is not."""
    if case.fate is not Fate.RESET:
        return None
    observed = None if case.hop is None else in_hop(case.hop)
    predicted = in_walk(case.walk) if case.walk.fate is Fate.RESET else None
    mechanism = observed or predicted
    if mechanism is None or _another_author(case, mechanism):
        return None
    if observed is not None and not _lives_with_reply(case):
        return None
    bypass = bypass_of(case, mechanism)
    if bypass is None:
        return None
    culprits = culprits_of(case, mechanism, bypass)
    if observed is None and not culprits:
        return None
    gaps = _gaps(case, mechanism, bypass, culprits, observed=observed, predicted=predicted)
    confidence = Confidence.SUPPORTED if gaps else Confidence.PROVED
    return Explanation(
        Cause(CODE, NAME, confidence, _summary(mechanism, bypass, case)),
        _chain(case, mechanism, bypass),
        _author(case, mechanism),
        culprits,
        gaps,
        (mechanism.host, mechanism.netns),
    )


def _another_author(case: Case, mechanism: Mechanism) -> bool:
    """True if kernels or captures name another sender of the RST than the mechanism does."""
    told = () if case.testimony is None else case.testimony.authors()
    # A host that nobody collected may be one of the bundle's under another name: it refutes nothing.
    senders = {
        (author.host, author.netns)
        for author in told
        if author.what == "rst" and author.host in case.bundle.snapshot.hosts
    }
    if senders:
        return (mechanism.host, mechanism.netns) not in senders
    origin = case.origin
    if origin is None or origin.host is None:
        return origin is not None and origin.host is None and bool(origin.sighting.packet.ethernet.src)
    return (origin.host, origin.netns) != (mechanism.host, mechanism.netns) and origin.sure


def _lives_with_reply(case: Case) -> bool:
    """The flip: the same packets, but the SYN/ACK passes the namespace. No RST may come of it."""
    if case.hop is None or case.story is None:
        return False
    flipped = with_reply(case.hop.netns, case.story.connection, kernel=case.kernel)
    if flipped is None:
        return False
    return not any(visit.answered for visit in flipped.visits)


def _gaps(
    case: Case,
    mechanism: Mechanism,
    bypass: Bypass,
    culprits: tuple[Culprit, ...],
    *,
    observed: Mechanism | None,
    predicted: Mechanism | None,
) -> tuple[str, ...]:
    """Say what keeps the cause from being proved; nothing, if it is."""
    gaps = gaps_of_sight(case)
    if case.story is not None and case.story.reset is None:
        gaps.append("no capture shows the RST that the client received")
    if observed is None and case.story is not None:
        gaps.append(f"no capture inside {mechanism.label} shows the packet that was refused")
    if case.hop is not None and observed is not None:
        gaps.extend(f"inferred from captures, not read from a dump: {text}" for text in case.hop.inferred)
        unknown = [c for c in case.hop.choices if c.freedom is Freedom.UNKNOWN]
        gaps.extend(f"not known: {choice.options[0]}" for choice in unknown)
    if predicted is None:
        gaps.append(f"the whole way could not be walked: {case.walk.why}")
    elif (predicted.host, predicted.netns) != (mechanism.host, mechanism.netns):
        gaps.append(f"the model expects the RST from {predicted.label}")
    else:
        gaps.extend(gaps_of_walk(case))
    gaps.extend(too_young(case, bypass.flows))
    if not culprits:
        gaps.append("no single rule or flow was found without which the connection lives")
    if case.story is not None and not bypass.certain:
        gaps.append(
            f"that the SYN/ACK did not pass {mechanism.label} rests on captures that may have lost it"
        )
    return tuple(dict.fromkeys(gaps))


def _author(case: Case, mechanism: Mechanism) -> Author:
    origin = case.origin
    device = mechanism.reset.place.device or None
    function = mechanism.reset.function or None
    if origin is not None and origin.host is not None:
        return Author(
            "rst",
            case.ages.of(origin.sighting.span),
            mechanism.host,
            mechanism.netns,
            origin.device or device,
            function,
            "model",
        )
    frame = None if origin is None else case.ages.of(origin.sighting.span)
    ingress = mechanism.invalid.place.device or device
    return Author("rst", frame, mechanism.host, mechanism.netns, ingress, function, "model")


def _stacked(case: Case, *functions: str) -> tuple[Span, ...]:
    """
    Frames of recorded call stacks that show a function.

    Stacks carry the time since boot, captures that of the day: nothing ties them to the same packet. They
    illustrate a link, whose basis stays what it is without them.
    """
    return tuple(
        frame.span
        for stack in case.bundle.stacks
        for frame in stack.frames
        if frame.certain and frame.function in functions
    )


def _summary(mechanism: Mechanism, bypass: Bypass, case: Case) -> str:
    address = case.question.destination
    return (
        f"{mechanism.label} saw the client's SYN but not the SYN/ACK, which {bypass.way}; so it called "
        f"the client's ACK INVALID, did not translate {address}, took it for its own and answered with a RST"
    )


def _chain(case: Case, mechanism: Mechanism, bypass: Bypass) -> tuple[Link, ...]:
    ages = case.ages
    seen = mechanism.visits
    opened, refused = (seen[0], seen[1]) if seen else (None, None)
    observed = Basis.OBSERVED if seen else Basis.PREDICTED
    events = _events(case, mechanism)
    forwarded = _stacked(case, "ip_forward")
    delivered = _stacked(case, "ip_local_deliver", "ip_local_deliver_finish")
    answered = _stacked(case, "tcp_v4_send_reset", "tcp_v6_send_reset")
    invalid_log = (*_invalid_log(case, mechanism), *_heard(case, mechanism, Testimony.invalid_in))
    told = {
        name: _heard(case, mechanism, ask)
        for name, ask in (
            ("translated", Testimony.translated_in),
            ("untranslated", Testimony.untranslated_in),
            ("delivered", Testimony.delivered_in),
        )
    }
    reset = None if case.testimony is None else case.testimony.reset_in(mechanism.host, mechanism.netns)
    translated = mechanism.translated
    links = [
        Link(
            f"the SYN was tracked in {mechanism.label}"
            + (
                ""
                if translated is None or translated.after is None
                else f" and translated to {translated.after.destination}"
            )
            + _another_run(forwarded),
            Basis.OBSERVED if told["translated"] else observed,
            ages.all(
                None if opened is None else opened.entered,
                None if opened is None else opened.left,
                told["translated"],
                events,
                () if translated is None else translated.evidence,
                forwarded,
            ),
        ),
        Link(
            f"the SYN/ACK bypassed {mechanism.label}: it {bypass.way}{counted_by(case, bypass)}",
            bypass.basis,
            ages.all(bypass.evidence, counters_shown(case, bypass)),
        ),
        Link(
            f"the client's ACK was INVALID there, in state SYN_SENT: {mechanism.invalid.reason}",
            Basis.OBSERVED if invalid_log else Basis.PREDICTED,
            ages.all(None if refused is None else refused.entered, invalid_log, mechanism.invalid.evidence),
        ),
        Link(
            _untranslated(mechanism, case),
            Basis.OBSERVED
            if told["untranslated"]
            else observed
            if refused is not None and refused.left is None
            else Basis.PREDICTED,
            ages.all(
                None if refused is None else refused.entered,
                told["untranslated"],
                () if mechanism.untranslated is None else mechanism.untranslated.evidence,
            ),
        ),
        Link(
            f"{case.question.destination} is an address of {mechanism.label} itself: "
            f"the packet was delivered locally{_another_run(delivered)}",
            Basis.OBSERVED if told["delivered"] else Basis.CONFIG,
            ages.all(told["delivered"], _local(case, mechanism), delivered),
        ),
        Link(
            f"no connection there matched, so {mechanism.reset.function} answered with a RST"
            f"{_another_run(answered)}",
            Basis.PREDICTED if case.origin is None and reset is None else Basis.OBSERVED,
            ages.all(
                None if case.origin is None else case.origin.sighting,
                None if reset is None else reset.event.span,
                answered,
                () if case.origin is not None else mechanism.reset.evidence,
            ),
        ),
    ]
    return tuple(links)


def _heard(
    case: Case, mechanism: Mechanism, ask: Callable[[Testimony, str, str], tuple[Span, ...]]
) -> tuple[Span, ...]:
    """What the kernel of the mechanism's namespace told of this connection."""
    return () if case.testimony is None else ask(case.testimony, mechanism.host, mechanism.netns)


def _another_run(stacks: tuple[Span, ...]) -> str:
    return " (a call stack of another run shows the same)" if stacks else ""


def _untranslated(mechanism: Mechanism, case: Case) -> str:
    rule = "the DNAT rule was not asked" if mechanism.untranslated is not None else "NAT was not applied"
    return f"an INVALID packet gets no NAT: {rule}, the ACK kept the address {case.question.destination}"


def _local(case: Case, mechanism: Mechanism) -> tuple[Span, ...]:
    owners = [
        o.span
        for o in case.owners.namespaces
        if (o.netns.host, o.netns.name) == (mechanism.host, mechanism.netns)
    ]
    step: Step | None = mechanism.local
    return tuple(owners) or (() if step is None else step.evidence)


def _events(case: Case, mechanism: Mechanism) -> tuple[Span, ...]:
    """Conntrack events and entries of this connection that show it unreplied."""
    netns = case.bundle.snapshot.netns(mechanism.host, mechanism.netns)
    question = case.question
    rows = [] if netns is None else [event.entry for event in netns.conntrack_events or ()]
    rows += [] if netns is None else list(netns.conntrack or ())
    return tuple(
        entry.span
        for entry in rows
        if entry.original.src == question.source
        and entry.original.dst == question.destination
        and (question.source_port is None or entry.original.sport == question.source_port)
        and "UNREPLIED" in entry.status
    )


def _invalid_log(case: Case, mechanism: Mechanism) -> tuple[Span, ...]:
    netns = case.bundle.snapshot.netns(mechanism.host, mechanism.netns)
    question = case.question
    return tuple(
        row.span
        for row in (netns.invalid_log if netns is not None else None) or ()
        if row.source is not None
        and row.destination is not None
        and row.source.address == question.source
        and row.destination.address == question.destination
        and (question.source_port is None or row.source.port == question.source_port)
    )
