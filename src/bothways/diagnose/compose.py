"""
Compose a diagnosis: evidence in, verdict out.

Observed and predicted are laid side by side. Where they agree the prediction explains; where they part,
that is the finding. A cause is asked only for a fate that was observed, or predicted from dumps alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bothways.bundle import Bundle
from bothways.correlate import correlate
from bothways.diagnose.author import Origin, origin_of
from bothways.diagnose.case import Case
from bothways.diagnose.causes import EXPLAIN, FIND
from bothways.diagnose.consistency import contradictions
from bothways.diagnose.evidence import Ages
from bothways.diagnose.hop import Hop, replay
from bothways.diagnose.ladder import ladder_of
from bothways.diagnose.outcomes import outcomes_of
from bothways.diagnose.owners import owners_of
from bothways.diagnose.pick import pick, question_of
from bothways.diagnose.seen import observe
from bothways.diagnose.symptom import Story, symptoms
from bothways.diagnose.verdict import Explanation
from bothways.diagnose.wanted import missing_of, partial_views
from bothways.facts.diagnosis import (
    Accounted,
    Author,
    Basis,
    Confidence,
    Diagnosis,
    Fate,
    Ladder,
    Link,
    Next,
    Status,
)
from bothways.facts.filter_tree import admits
from bothways.facts.prediction import Prediction
from bothways.facts.question import Question
from bothways.facts.snapshot import Netns
from bothways.model.world import predict as walk_all

__all__ = ["diagnose", "predict"]


def predict(bundle: Bundle, question: Question | None = None) -> Prediction:
    """
    Walk a connection through the dumps of a bundle, for every way the network can choose.

    Captures, if there are any, only mark which choice was observed.

    :raises ValueError: if neither the argument nor the bundle names a connection.
    """
    case = _case(bundle, question)
    if case is None:
        raise ValueError("no connection is named")
    return case[0].prediction


def diagnose(bundle: Bundle, question: Question | None = None) -> Diagnosis:
    """Say why a connection of a bundle failed, or that it is healthy, or what is missing to tell."""
    found = _case(bundle, question)
    if found is None:
        return _nothing(bundle)
    case, others = found
    explanation = next((e for e in (explain(case) for explain in EXPLAIN) if e is not None), None)
    findings = tuple(f for f in (find(case) for find in FIND) if f is not None)
    status = _status(case, explanation)
    unknown, next_ = _unknown(case, explanation, status)
    waiting = _waits(case, status)
    return Diagnosis(
        status,
        case.question,
        title=bundle.title,
        symptoms=() if case.story is None else symptoms(case.story, case.ages),
        cause=None if explanation is None else explanation.cause,
        also=findings if status is Status.EXPLAINED else (),
        latent=findings if waiting else (),
        chain=explanation.chain if explanation is not None else _chain(case),
        authors=tuple(_authors(case, explanation)),
        culprits=() if explanation is None else explanation.culprits,
        outcomes=outcomes_of(case),
        clocks=case.correlation.clocks,
        assumptions=_assumptions(case),
        accounted=_accounted(case),
        unknown=unknown,
        next=next_,
        others=tuple(f"{question_of(s)}: {s.fate}" for s in others),
        problems=(
            *bundle.problems,
            *case.correlation.problems,
            *contradictions(bundle.snapshot, None if case.story is None else case.story.connection),
        ),
        ladder=Ladder() if case.story is None else ladder_of(case.story.connection, case.correlation),
    )


def _case(bundle: Bundle, question: Question | None) -> tuple[Case, tuple[Story, ...]] | None:
    correlation = correlate(
        bundle.captures,
        snapshot=bundle.snapshot,
        admits=lambda capture, sighting: admits(capture, sighting),
    )
    asked = question or bundle.question
    story, others = pick(correlation.connections, asked)
    if asked is None and story is None:
        return None
    if story is not None and asked is not None:
        # The port and the name that the client really used are known now.
        asked = question_of(story)
    settled = asked if asked is not None else question_of(story) if story is not None else None
    if settled is None:
        return None
    connection = None if story is None else story.connection
    observed = observe(connection, bundle.snapshot)
    origin = _origin(story, bundle)
    case = Case(
        bundle,
        settled,
        correlation,
        observed,
        walk_all(bundle.snapshot, settled, observed),
        _ages(story),
        owners_of(bundle.snapshot, settled.destination),
        story,
        origin,
    )
    return replace(case, hop=_hop(case)), others


def _ages(story: Story | None) -> Ages:
    trajectory = None if story is None else story.reset or story.syn
    first = trajectory.sightings[0] if trajectory is not None else None
    return Ages(None if first is None or first.clock_only else first.time_ns / 1e9)


def _origin(story: Story | None, bundle: Bundle) -> Origin | None:
    if story is None or story.reset is None:
        return None
    return origin_of(story.reset, bundle.snapshot)


def _hop(case: Case) -> Hop | None:
    """Replay the namespace that sent the RST, if captures show what it received."""
    origin = case.origin
    if origin is None or origin.host is None or origin.netns is None or case.story is None:
        return None
    netns = case.bundle.snapshot.netns(origin.host, origin.netns) or Netns(origin.host, origin.netns)
    hop = replay(netns, case.story.connection, kernel=case.kernel)
    return hop if hop.visits else None


def _status(case: Case, explanation: Explanation | None) -> Status:
    if explanation is not None:
        return Status.EXPLAINED
    if case.story is not None and case.story.fate is not Fate.UNKNOWN:
        return Status.HEALTHY if case.story.fate is Fate.WORKS else Status.UNDETERMINED
    return Status.HEALTHY if case.walk.fate is Fate.WORKS and not case.walk.unknown else Status.UNDETERMINED


def _waits(case: Case, status: Status) -> bool:
    """True if what stands beside a working connection can break it with another choice of the network."""
    if status is Status.EXPLAINED or case.fate is not Fate.WORKS:
        return status is Status.UNDETERMINED
    return any(walk.fate is not Fate.WORKS for walk in case.prediction.walks) or not case.prediction.walks


def _authors(case: Case, explanation: Explanation | None) -> Iterator[Author]:
    if explanation is not None and explanation.author is not None:
        yield explanation.author
        return
    origin = case.origin
    if origin is None:
        return
    function = _function(case)
    basis = "capture" if function is None else "model"
    yield Author(
        "rst", case.ages.of(origin.sighting.span), origin.host, origin.netns, origin.device, function, basis
    )


def _function(case: Case) -> str | None:
    """The function that made the RST, if the replayed namespace makes one too."""
    for visit in case.hop.visits if case.hop is not None else ():
        for step in visit.steps:
            if visit.answered and step.function and step.did.value == "answered":
                return step.function
    return None


def _chain(case: Case) -> tuple[Link, ...]:
    """Without a cause: who sent the RST and what the model makes of the packet that drew it."""
    origin = case.origin
    if origin is None:
        return ()
    sender = (
        "a station outside the evidence"
        if origin.host is None
        else f"{origin.host}/{origin.netns}:{origin.device}"
    )
    links = [
        Link(f"the RST came from {sender}: {origin.why}", Basis.OBSERVED, case.ages.all(origin.sighting))
    ]
    for visit in case.hop.visits if case.hop is not None else ():
        if visit.answered:
            links += [
                Link(
                    f"{step.place} {step.function}: {step.reason}",
                    Basis.PREDICTED,
                    case.ages.all(step.evidence),
                )
                for step in visit.steps
                if step.evidence
            ]
    return tuple(links)


def _assumptions(case: Case) -> tuple[str, ...]:
    texts = [a.text for a in case.walk.assumptions]
    texts += [a.text for a in case.hop.assumptions] if case.hop is not None else []
    return tuple(dict.fromkeys(texts))


def _unknown(
    case: Case, explanation: Explanation | None, status: Status
) -> tuple[tuple[str, ...], tuple[Next, ...]]:
    proved = explanation is not None and explanation.cause.confidence is Confidence.PROVED
    if proved or (status is Status.HEALTHY and case.story is not None):
        return (), ()
    texts: list[str] = list(explanation.gaps) if explanation is not None else list(case.walk.unknown)
    commands: list[Next] = []
    for netns in _concerned(case):
        for text, command in missing_of(netns, "the model needs it to walk the connection"):
            texts.append(text)
            commands.append(command)
    for text, command in partial_views(case.bundle.snapshot, str(case.question.destination)):
        texts.append(text)
        commands.append(command)
    if explanation is None and status is Status.UNDETERMINED:
        texts.append(_undecided(case))
        commands.extend(_ask_for_more(case))
    return tuple(dict.fromkeys(texts)), tuple(dict.fromkeys(commands))


def _concerned(case: Case) -> list[Netns]:
    """The namespace that sent the RST first, then every other one that captures were taken in."""
    places = [(case.origin.host, case.origin.netns)] if case.origin is not None else []
    places += [(c.tap.host, c.tap.netns) for c in case.bundle.captures]
    found = []
    for host, name in dict.fromkeys(places):
        if host is not None and name is not None:
            found.append(case.bundle.snapshot.netns(host, name) or Netns(host, name))
    return found


def _undecided(case: Case) -> str:
    seen = "" if case.story is None else f"observed: {case.story.fate}; "
    return (
        f"{seen}predicted: {case.walk.fate} ({case.walk.why}); no cause that bothways knows explains it yet"
    )


def _ask_for_more(case: Case) -> Iterator[Next]:
    origin = case.origin
    if origin is not None and origin.host is not None:
        prefix = "" if origin.netns in (None, "root") else f"ip netns exec {origin.netns} "
        filter_ = f"host {case.question.source} and port {case.question.destination_port}"
        yield Next(origin.host, f"{prefix}tcpdump -ni any '{filter_}'", "to see what drew the RST")
        yield Next(origin.host, f"{prefix}ss -tan", "to see whether a socket there sent it")
    elif not case.bundle.captures:
        filter_ = f"host {case.question.source} and port {case.question.destination_port}"
        for host in list(case.bundle.snapshot.hosts)[:3]:
            yield Next(host, f"tcpdump -ni any '{filter_}'", "no capture shows the connection")


def _accounted(case: Case) -> Accounted:
    if case.story is None:
        return Accounted(0)
    connection = case.story.connection
    predicted = {(j.way, j.flags) for j in case.walk.journeys}
    replayed = {v.trajectory for v in case.hop.visits} if case.hop is not None else set()
    stray = [
        t
        for t in connection.trajectories
        if case.walk.fate is case.story.fate
        and (t.way, t.flags) not in predicted
        and t not in replayed
        and t is not case.story.reset
        and t.flags.value & 0x07
    ]
    return Accounted(
        sum(len(t.sightings) for t in connection.trajectories), tuple(t.sightings[0].span for t in stray)
    )


def _nothing(bundle: Bundle) -> Diagnosis:
    """Neither a question nor a connection in a capture."""
    return Diagnosis(
        Status.UNDETERMINED,
        None,
        title=bundle.title,
        unknown=("which connection is meant: no capture shows a TCP connection and none was named",),
        next=(Next("", "bothways diagnose BUNDLE 'tcp SOURCE > DESTINATION:PORT'", "names the connection"),),
        problems=bundle.problems,
    )
