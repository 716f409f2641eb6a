"""Recorded sequences through the model: it must say what the kernel said."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from bothways.conform.comparison import compare
from bothways.conform.conformance import Conformance, Disagreement
from bothways.conform.mixed_router import MixedRouter
from bothways.conform.recording import Case, Result
from bothways.conform.router import ModelRouter
from bothways.model.linux.conntrack.settings import TICKS

__all__ = ["SHOWN", "hold", "replay"]

#: Disagreements that are kept whole, if nothing else is asked for.
SHOWN: Final = 5


def hold(case: Case, *, kernel: str | None = None, ticks: int = TICKS) -> tuple[int, Disagreement | None]:
    """
    Run the model through one sequence.

    :return: how many segments were compared, and the disagreement that ended it.
    """
    router: ModelRouter | MixedRouter
    router = (MixedRouter if case.mixed else ModelRouter)(case, kernel=kernel, ticks=ticks)
    told: list[Result] = []
    for index, (segment, result) in enumerate(zip(case.segments, case.results, strict=True)):
        ours = router.receive(segment)
        told.append(ours)
        if result == ours:
            continue
        difference = compare(result, ours)
        if difference is not None:
            return index + 1, Disagreement(case, index, difference, tuple(told))
    return len(case.segments), None


def replay(
    cases: Iterable[Case], *, kernel: str | None = None, keep: int = SHOWN, ticks: int = TICKS
) -> Conformance:
    """
    Hold the model against recorded sequences.

    :param kernel: release whose behaviour is wanted; None takes the newest.
    :param keep: how many disagreements are kept whole.
    :param ticks: of a second, in which that kernel's log counts time (``CONFIG_HZ``).
    """
    outcome = Conformance()
    start = time.process_time()
    collecting = gc.isenabled()
    gc.disable()  # nothing here refers in circles, and looking for them takes a tenth of the time
    try:
        _hold_all(cases, outcome, kernel=kernel, keep=keep, ticks=ticks)
    finally:
        if collecting:
            gc.enable()
    outcome.seconds = time.process_time() - start
    return outcome


def _hold_all(
    cases: Iterable[Case], outcome: Conformance, *, kernel: str | None, keep: int, ticks: int
) -> None:
    for case in _some_at_a_time(cases):
        checked, disagreement = hold(case, kernel=kernel, ticks=ticks)
        outcome.cases += 1
        outcome.checks += checked
        outcome.kinds[case.kind] += 1
        if disagreement is not None:
            outcome.disagreements += 1
            outcome.fields[disagreement.difference.field] += 1
            if len(outcome.first) < keep:
                outcome.first.append(disagreement)


def _some_at_a_time(cases: Iterable[Case]) -> Iterator[Case]:
    """Read a few sequences, then hold them: to take turns for each one costs a tenth of the time."""
    waiting = iter(cases)
    while some := list(islice(waiting, _SOME)):
        yield from some


_SOME: Final = 32
