"""
Compose a diagnosis: evidence in, verdict out.

Observed and predicted are laid side by side. Where they agree the prediction explains; where they part,
that is the finding. A cause is asked only for a fate that was observed, or predicted from dumps alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from bothways.bundle import Bundle
from bothways.diagnose.case import Case
from bothways.diagnose.causes import EXPLAIN, FIND
from bothways.diagnose.consistency import contradictions
from bothways.diagnose.cut_short import cut_short
from bothways.diagnose.gather import NoConnectionError, gather
from bothways.diagnose.illustrate import illustrated
from bothways.diagnose.ladder import ladder_of
from bothways.diagnose.open_end import open_end
from bothways.diagnose.outcomes import outcomes_of
from bothways.diagnose.pick import question_of
from bothways.diagnose.refuted import refuted
from bothways.diagnose.remedies import remedies_of
from bothways.diagnose.symptom import symptoms
from bothways.diagnose.verdict import Explanation
from bothways.diagnose.wanted import wanted
from bothways.facts.diagnosis import (
    Accounted,
    Author,
    Basis,
    Diagnosis,
    Fate,
    Ladder,
    Link,
    Next,
    Status,
)
from bothways.facts.packet import Flag
from bothways.facts.prediction import Prediction
from bothways.facts.question import Question
from bothways.facts.step import Did

__all__ = ["diagnose", "predict"]


def predict(bundle: Bundle, question: Question | None = None) -> Prediction:
    """
    Walk a connection through the dumps of a bundle, for every way the network can choose.

    Captures, if there are any, only mark which choice was observed.

    :raises NoConnectionError: if neither the argument nor the bundle names a connection.
    """
    case, _ = gather(bundle, question)
    if case is None:
        raise NoConnectionError
    return case.prediction


def diagnose(bundle: Bundle, question: Question | None = None, *, remedies: bool = True) -> Diagnosis:
    """
    Say why a connection of a bundle failed, or that it is healthy, or what is missing to tell.

    :param remedies: False leaves out what takes most of the time: to walk the connection again after every
        change that might repair it.
    """
    case, others = gather(bundle, question)
    if case is None:
        return _nothing(bundle)
    asked = () if case.undecided or case.bypassed else EXPLAIN
    explanation = next((e for e in (explain(case) for explain in asked) if e is not None), None)
    findings = tuple(f for f in (find(case) for find in FIND) if f is not None)
    status = _status(case, explanation)
    unknown, commands = wanted(case, explanation, status)
    verdict = Diagnosis(
        status,
        case.question,
        title=bundle.title,
        symptoms=() if case.story is None else symptoms(case.story, case.ages),
        cause=None if explanation is None else explanation.cause,
        also=findings if status is Status.EXPLAINED else (),
        latent=findings if _waits(case, status) else (),
        chain=explanation.chain if explanation is not None else (*_chain(case), *_told(case)),
        authors=tuple(_authors(case, explanation)),
        culprits=() if explanation is None else explanation.culprits,
        remedies=remedies_of(case, explanation) if remedies and explanation is not None else (),
        outcomes=outcomes_of(case),
        clocks=case.correlation.clocks,
        ruled_out=() if explanation is None else refuted(case, explanation),
        assumptions=_assumptions(case),
        accounted=_accounted(case),
        unknown=unknown,
        next=commands,
        others=tuple(f"{question_of(s)}: {s.fate}" for s in others),
        problems=(
            *bundle.problems,
            *case.correlation.problems,
            *contradictions(bundle.snapshot, None if case.story is None else case.story.connection),
        ),
        ladder=Ladder() if case.story is None else ladder_of(case.story.connection, case.correlation),
    )
    return illustrated(verdict, case)


def _status(case: Case, explanation: Explanation | None) -> Status:
    if explanation is not None:
        return Status.EXPLAINED
    if case.fate is not Fate.WORKS or cut_short(case) or open_end(case):
        return Status.UNDETERMINED
    seen = case.story is not None and case.story.fate is Fate.WORKS
    sure = seen or not (case.walk.unknown or case.undecided)
    return Status.HEALTHY if sure else Status.UNDETERMINED


def _waits(case: Case, status: Status) -> bool:
    """True if what stands beside a working connection can break it with another choice of the network."""
    if status is Status.EXPLAINED or case.fate is not Fate.WORKS:
        return status is Status.UNDETERMINED
    return any(walk.fate is not Fate.WORKS for walk in case.prediction.walks) or not case.prediction.walks


def _authors(case: Case, explanation: Explanation | None) -> Iterator[Author]:
    """
    Who sent the RST, or dropped a packet: kernels that say so first, then the cause, then captures.

    What a kernel was seen to do outranks what is concluded of the same answer.
    """
    told = () if case.testimony is None else case.testimony.authors()
    yield from told
    known = {author.what for author in told}
    yield from (author for author in _concluded(case, explanation) if author.what not in known)


def _told(case: Case) -> tuple[Link, ...]:
    """What kernels told of the connection, where no cause has put it into its chain."""
    return () if case.testimony is None else tuple(case.testimony.links())


def _concluded(case: Case, explanation: Explanation | None) -> Iterator[Author]:
    """Who sent the RST: named by the cause, else by captures, if it cannot only have passed it on."""
    if explanation is not None and explanation.author is not None:
        yield explanation.author
        return
    origin = case.origin
    if origin is None:
        return
    frame = case.ages.of(origin.sighting.span)
    if not origin.sure:
        yield Author("rst", frame, None, None, None, None, "capture")
        return
    function = _function(case)
    basis = "capture" if function is None else "model"
    yield Author("rst", frame, origin.host, origin.netns, origin.device, function, basis)


def _function(case: Case) -> str | None:
    """The function that made the RST, if the replayed namespace makes one too."""
    for visit in case.hop.visits if case.hop is not None else ():
        for step in visit.steps:
            if step.did is Did.ANSWERED and step.function:
                return step.function
    return None


def _chain(case: Case) -> tuple[Link, ...]:
    """Without a cause: who sent the RST and what the model makes of the packet that drew it."""
    origin = case.origin
    if origin is None:
        return ()
    if not origin.sure:
        claim = f"who made the RST is not certain: {origin.why}"
    elif origin.host is None:
        claim = f"the RST came from a station outside the evidence: {origin.why}"
    else:
        where = origin.host if origin.netns in (None, "root") else f"{origin.host}/{origin.netns}"
        claim = f"the RST came from {where}:{origin.device}: {origin.why}"
    links = [Link(claim, Basis.OBSERVED, case.ages.all(origin.sighting))]
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
        and t is not case.story.rst
        and t.flags & (Flag.SYN | Flag.RST)
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
