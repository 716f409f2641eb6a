"""Try every remedy in the model: for the failing connection, and for those beside it."""

from __future__ import annotations

from collections.abc import Iterable

from bothways.diagnose.bystanders import REACHED, Bystander, bystanders_of
from bothways.diagnose.case import Case
from bothways.diagnose.remedies.attempt import Attempt
from bothways.diagnose.remedies.candidates import candidates_of
from bothways.diagnose.remedies.popular import popular_attempts
from bothways.diagnose.verdict import Explanation
from bothways.diagnose.whatif import what_if_case
from bothways.facts.change import PlacedChange
from bothways.facts.diagnosis import Fate, Remedy
from bothways.facts.snapshot import Snapshot
from bothways.facts.whatif import ChangeVerdict
from bothways.model.change import NothingToChangeError, apply_change
from bothways.model.world import predict
from bothways.parse.change import ChangeError, parse_change

__all__ = ["remedies_of"]

#: what is offered first
_ORDER = (ChangeVerdict.WORKS, ChangeVerdict.DEPENDS, ChangeVerdict.UNKNOWN, ChangeVerdict.FAILS)


def remedies_of(case: Case, explanation: Explanation) -> tuple[Remedy, ...]:
    """
    Walk every remedy that the case suggests, and those that people try.

    None is offered where the failing connection itself could not be walked: then nothing can be said of a
    change either. What works stands first, what breaks the fewest others before the rest.
    """
    if case.walk.fate in (Fate.UNKNOWN, Fate.WORKS):
        return ()
    attempts = [*candidates_of(case), *_popular(case, explanation)]
    beside = _reached(case.bundle.snapshot, bystanders_of(case))
    tried = [t for t in (_try(case, attempt, beside) for attempt in attempts) if t is not None]
    tried.sort(key=lambda remedy: (_ORDER.index(ChangeVerdict(remedy.verdict)), len(remedy.breaks)))
    return tuple(tried)


def _popular(case: Case, explanation: Explanation) -> Iterable[Attempt]:
    place = explanation.place
    if place is None:
        return ()
    host, netns = place
    owner = next((o for o in case.owners.namespaces if (o.netns.host, o.netns.name) == (host, netns)), None)
    return () if owner is None else popular_attempts(host, netns, owner.device.name, case.owners.address)


def _try(case: Case, attempt: Attempt, beside: tuple[Bystander, ...]) -> Remedy | None:
    """One remedy, walked; None if it cannot be made to this snapshot at all."""
    try:
        changes = tuple(parse_change(command) for command in attempt.commands)
        told = what_if_case(case, changes)
    except (ChangeError, NothingToChangeError):
        return None
    why = f"it {attempt.does}: {told.why}"
    if told.verdict is ChangeVerdict.FAILS and attempt.fails_because:
        why = f"it {attempt.does}; {attempt.fails_because} ({told.why})"
    broken: tuple[str, ...] = ()
    if told.verdict in (ChangeVerdict.WORKS, ChangeVerdict.DEPENDS):
        broken = _broken(_after(case.bundle.snapshot, changes), beside)
    return Remedy(told.change, str(told.verdict), why, broken)


def _after(snapshot: Snapshot, changes: tuple[PlacedChange, ...]) -> Snapshot:
    for change in changes:
        snapshot = apply_change(snapshot, change).snapshot
    return snapshot


def _reached(snapshot: Snapshot, beside: tuple[Bystander, ...]) -> tuple[Bystander, ...]:
    """Those that get there and back as the site stands, with what is recorded at every choice."""
    return tuple(b for b in beside if predict(snapshot, b.question).walks[0].fate in REACHED)


def _broken(snapshot: Snapshot, beside: tuple[Bystander, ...]) -> tuple[str, ...]:
    found = []
    for bystander in beside:
        walk = predict(snapshot, bystander.question).walks[0]
        if walk.fate not in REACHED:
            found.append(f"{bystander.name}: {walk.fate}, {walk.why}")
    return tuple(found)
