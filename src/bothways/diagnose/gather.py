"""From a bundle to a case: which connection is meant, what was observed of it, what the model predicts."""

from __future__ import annotations

from dataclasses import replace

from bothways.bundle import Bundle
from bothways.correlate import Correlation, correlate
from bothways.correlate.kernel_sighting import captures_of
from bothways.diagnose.admission import admission
from bothways.diagnose.author import Origin, origin_of
from bothways.diagnose.case import Case
from bothways.diagnose.evidence import Ages
from bothways.diagnose.hop import Hop, replay
from bothways.diagnose.owners import owners_of
from bothways.diagnose.pick import pick, question_of
from bothways.diagnose.seen import observe
from bothways.diagnose.symptom import Story
from bothways.diagnose.testimony import hear
from bothways.facts.question import Question
from bothways.facts.snapshot import Netns
from bothways.model.world import predict

__all__ = ["NoConnectionError", "gather"]


class NoConnectionError(ValueError):
    """Nobody named a connection, and no capture shows one."""

    def __init__(self) -> None:
        super().__init__("no connection is named: neither a FLOW nor a [question] nor a capture names one")


def gather(bundle: Bundle, question: Question | None) -> tuple[Case | None, tuple[Story, ...]]:
    """
    Put together what is known of one connection; the stories of all others stand beside it, worst first.

    :param question: None takes the bundle's own, or the worst broken connection of the captures.
    :return: no case if no connection is named and captures show none.
    """
    captured = (capture.tap for capture in bundle.captures)
    captures = (*bundle.captures, *captures_of(bundle.traces, captured))
    correlation = correlate(captures, snapshot=bundle.snapshot, admits=admission())
    asked = question or bundle.question
    story, others = pick(correlation.connections, asked)
    # The port and the name that the client really used are known once the connection was seen.
    settled = asked if story is None else question_of(story)
    if settled is None:
        return None, others
    return _case(bundle, correlation, settled, story), others


def _case(bundle: Bundle, correlation: Correlation, question: Question, story: Story | None) -> Case:
    observed = observe(None if story is None else story.connection, bundle.snapshot)
    case = Case(
        bundle,
        question,
        correlation,
        observed,
        predict(bundle.snapshot, question, observed),
        _ages(story),
        owners_of(bundle.snapshot, question.destination),
        story,
        _origin(story, bundle),
        testimony=hear(bundle.traces, question, None if story is None else story.connection),
    )
    return replace(case, hop=_hop(case))


def _ages(story: Story | None) -> Ages:
    trajectory = None if story is None else story.rst or story.syn
    first = trajectory.sightings[0] if trajectory is not None and trajectory.sightings else None
    return Ages(None if first is None or first.clock_only else first.time_ns / 1e9)


def _origin(story: Story | None, bundle: Bundle) -> Origin | None:
    if story is None or story.made is None:
        return None
    return origin_of(story.made, story.connection, bundle.snapshot)


def _hop(case: Case) -> Hop | None:
    """Replay the namespace that the RST came out of, if captures show what it received."""
    origin = case.origin
    if origin is None or origin.host is None or origin.netns is None or case.story is None:
        return None
    netns = case.bundle.snapshot.netns(origin.host, origin.netns) or Netns(origin.host, origin.netns)
    hop = replay(netns, case.story.connection, kernel=case.kernel)
    return hop if hop.visits else None
