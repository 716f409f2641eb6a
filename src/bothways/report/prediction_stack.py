"""
A walk as call stacks: for every packet and namespace the functions that met it, innermost first.

That is how the kernel prints a stack, so one can be held against a recorded one. The walk names the functions
that decide; a kernel prints those between them as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from bothways.facts.prediction import Branch, Prediction
from bothways.facts.step import Did, Step
from bothways.report.prediction_tcpdump import outcome_line
from bothways.report.words import counted, plain

__all__ = ["render_prediction_stack"]

_QUIET = frozenset({Did.RECEIVED, Did.SENT, Did.ROUTED, Did.MATCHED})


def render_prediction_stack(prediction: Prediction, number: int) -> str:
    """
    Return the stacks of one outcome, ending with a newline.

    :param number: the outcome, from 1.
    """
    walk = prediction.walks[number - 1]
    parts = [outcome_line(prediction, number)]
    for journey in walk.journeys:
        parts.append(f"\n{plain(journey.name)} from {plain(journey.sender)}: {plain(str(journey.packet))}\n")
        for copy, branch in enumerate(journey.branches, 1):
            if copy > 1:
                parts.append(f"  copy {copy} of {counted(len(journey.branches), 'copy', 'copies')}\n")
            parts.extend(_branch(branch))
    return "".join(parts)


def _branch(branch: Branch) -> Iterator[str]:
    for (host, netns, bridge), group in groupby(branch.steps, _where):
        steps = tuple(group)
        if not netns:
            tables = [step.function for step in steps if step.function]
            yield f"  {plain(f'{host} {bridge}')}: {plain(', '.join(dict.fromkeys(tables)))}\n"
            continue
        label = host if netns == "root" else f"{host}/{netns}"
        yield f"  {plain(label)}\n"
        yield from (f"    {plain(line)}\n" for line in _stack(steps))


def _where(step: Step) -> tuple[str, str, str]:
    place = step.place
    return place.host, place.netns, "" if place.netns else place.device


def _stack(steps: tuple[Step, ...]) -> Iterator[str]:
    """Functions innermost first; one that decided says what it did."""
    calls = [tuple(group) for _, group in groupby(steps, lambda step: step.function)]
    width = max((len(call[0].function) for call in calls), default=0)
    for call in reversed(calls):
        told = [f"{step.did} [{step.cell}]" if step.cell else str(step.did) for step in call if _tells(step)]
        devices = dict.fromkeys(step.place.device for step in call if step.place.device)
        name = call[0].function or "?"
        said = "; ".join([*(f"at {device}" for device in devices), *dict.fromkeys(told)])
        yield f"{name:<{width}}  {said}".rstrip()


def _tells(step: Step) -> bool:
    return step.did not in _QUIET or bool(step.cell)
