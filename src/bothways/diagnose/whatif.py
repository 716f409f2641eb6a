"""
The same connection before and after a change.

The change is made to the snapshot, and the walk is repeated. What captures showed of neighbours is kept,
as long as the change did not touch it: an entry that was set, flushed or lost its station says more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bothways.bundle import Bundle
from bothways.diagnose.case import Case
from bothways.diagnose.gather import NoConnectionError, gather
from bothways.diagnose.outcomes import decisive, outcomes_of
from bothways.facts.address import IPAddress, Mac
from bothways.facts.change import NeighbourEdit, PlacedChange
from bothways.facts.choice import Choice
from bothways.facts.diagnosis import Change, Fate, Outcome
from bothways.facts.prediction import Journey, Walk
from bothways.facts.question import Question
from bothways.facts.snapshot import Netns, Snapshot
from bothways.facts.step import Step
from bothways.facts.whatif import ChangeVerdict, Departure, WhatIf
from bothways.model.change import Applied, apply_change
from bothways.model.world import At, Observed, predict

__all__ = ["judge", "what_if", "what_if_case"]


def what_if(bundle: Bundle, changes: Sequence[PlacedChange], question: Question | None = None) -> WhatIf:
    """
    Walk a connection of a bundle before and after changes, which are made in order.

    :raises NoConnectionError: if no connection is named; ``NothingToChangeError`` if a change fits nowhere.
    """
    case, _ = gather(bundle, question)
    if case is None:
        raise NoConnectionError
    return what_if_case(case, changes)


def what_if_case(case: Case, changes: Sequence[PlacedChange]) -> WhatIf:
    """
    The same for a case that was gathered already.

    :raises NothingToChangeError: if a change fits nowhere.
    """
    snapshot, observed = case.bundle.snapshot, case.observed
    made: list[Applied] = []
    for change in changes:
        applied = apply_change(snapshot, change)
        observed = _still_observed(observed, snapshot, applied, change)
        snapshot = applied.snapshot
        made.append(applied)
    after = predict(snapshot, case.question, observed).walks
    before = case.prediction.walks
    recorded = _recorded(case, after)
    verdict, why = judge(before, after, recorded)
    return WhatIf(
        case.question,
        tuple(Change(a.host, c.command, a.netns or "root") for a, c in zip(made, changes, strict=True)),
        outcomes_of(case),
        _outcomes(after, recorded),
        verdict,
        why,
        tuple(_departures(case.walk, recorded)),
        tuple(dict.fromkeys(note for applied in made for note in applied.notes)),
        tuple(dict.fromkeys((*_unevaluated(made), *(text for walk in after for text in walk.unknown)))),
    )


def _unevaluated(made: Iterable[Applied]) -> Iterator[str]:
    return (text for applied in made for text in applied.unknown)


def judge(before: Sequence[Walk], after: Sequence[Walk], recorded: Walk) -> tuple[ChangeVerdict, str]:
    """
    What a change does.

    :param recorded: the walk of *after* with the choices that dumps or captures recorded.
    :return: the verdict, and one sentence.
    """
    if recorded.fate is Fate.UNKNOWN:
        return ChangeVerdict.UNKNOWN, recorded.why
    if recorded.fate is not Fate.WORKS:
        return ChangeVerdict.FAILS, f"{recorded.fate}: {recorded.why}"
    others = [walk for walk in after if walk is not recorded and walk.fate is not Fate.WORKS]
    for walk in others:
        worked = any(old.fate is Fate.WORKS for old in before if _alike(old, walk))
        if worked and walk.fate is Fate.UNKNOWN:
            return ChangeVerdict.UNKNOWN, f"it works as recorded; {_if(walk, recorded)} {walk.why}"
        if worked:
            why = f"{_if(walk, recorded)} it worked before and fails now, {walk.fate}: {walk.why}"
            return ChangeVerdict.DEPENDS, f"it works as recorded; {why}"
    if others:
        walk = others[0]
        return ChangeVerdict.WORKS, f"{recorded.why}; {_if(walk, recorded)} it still fails, {walk.fate}"
    return ChangeVerdict.WORKS, recorded.why


def _recorded(case: Case, after: tuple[Walk, ...]) -> Walk:
    """The walk after the change that keeps to what was recorded, else to what was observed."""
    taken = {choice.key: choice.taken for choice in case.walk.choices}

    def keeps(choice: Choice) -> bool:
        if choice.recorded is not None:
            return choice.taken == choice.recorded
        wanted = taken.get(choice.key)
        return wanted is None or wanted not in choice.options or choice.taken == wanted

    return next((walk for walk in after if all(keeps(c) for c in walk.choices)), after[0])


def _alike(old: Walk, new: Walk) -> bool:
    """True if two walks take the same choices, as far as both have them."""
    taken = {choice.key: choice.taken for choice in old.choices}
    return all(taken.get(choice.key, choice.taken) == choice.taken for choice in new.choices)


def _if(walk: Walk, recorded: Walk) -> str:
    """``if CHOICE``: what sets a walk apart."""
    usual = {choice.key: choice.taken for choice in recorded.choices}
    apart = [choice.taken for choice in walk.choices if usual.get(choice.key) != choice.taken]
    return f"if {' and '.join(apart)}," if apart else "with another choice"


def _outcomes(walks: tuple[Walk, ...], recorded: Walk) -> tuple[Outcome, ...]:
    """Outcomes that differ by a choice; the recorded one is marked."""
    keys = decisive(walks)
    found: dict[tuple[str, ...], Outcome] = {}
    for walk in walks:
        said = tuple(choice.taken for choice in walk.choices if choice.key in keys)
        if said not in found or walk is recorded:
            found[said] = Outcome(said, walk.fate, observed=walk is recorded, why=walk.why)
    return tuple(found.values())


# -- what captures showed ----------------------------------------------------------------------------------


def _still_observed(observed: Observed, before: Snapshot, applied: Applied, change: PlacedChange) -> Observed:
    gone = _stations(before) - _stations(applied.snapshot)
    touched = set(_touched(observed, before, applied, change))
    neighbours = {
        key: mac for key, mac in observed.neighbours.items() if key not in touched and mac not in gone
    }
    return replace(observed, neighbours=neighbours, forwarders=observed.forwarders - gone)


def _touched(
    observed: Observed, before: Snapshot, applied: Applied, change: PlacedChange
) -> Iterator[tuple[str, IPAddress]]:
    """Neighbours that captures showed and that the change sets or forgets."""
    edits = [edit for edit in change.edits if isinstance(edit, NeighbourEdit)]
    old, new = (s.netns(applied.host, applied.netns) for s in (before, applied.snapshot))
    if old is None or new is None or not edits:
        return
    for label, address in observed.neighbours:
        for edit in edits:
            named = None if edit.neighbour is None else edit.neighbour.address
            devices = (edit.device,) if edit.device is not None else tuple(_names(old))
            meant = address == named or (named is None and (edit.network is None or address in edit.network))
            if meant and label in {str(At(old.host, old.name, device)) for device in devices}:
                yield label, address


def _names(netns: Netns) -> Iterator[str]:
    return (device.name for device in netns.devices or ())


def _stations(snapshot: Snapshot) -> set[Mac]:
    return {device.mac for netns in snapshot.namespaces() for device in netns.devices or () if device.mac}


# -- where the ways part -----------------------------------------------------------------------------------


def _departures(before: Walk, after: Walk) -> Iterator[Departure]:
    """The first step that differs, packet by packet; a packet that goes the same way is not told."""
    old = _first_journeys(before.journeys)
    new = _first_journeys(after.journeys)
    for name in dict.fromkeys((*old, *new)):
        was, now = _steps(old.get(name)), _steps(new.get(name))
        at = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if not _same(a, b)), None)
        if at is None and len(was) == len(now):
            continue
        place = min(len(was), len(now)) if at is None else at
        yield Departure(name, _told(was, place), _told(now, place))


def _first_journeys(journeys: Iterable[Journey]) -> dict[str, Journey]:
    found: dict[str, Journey] = {}
    for journey in journeys:
        if journey.way is not None:  # who was asked by ARP is told by the choices
            found.setdefault(f"{journey.name} from {journey.sender}", journey)
    return found


def _steps(journey: Journey | None) -> tuple[Step, ...]:
    """The steps of the copy that went furthest."""
    if journey is None or not journey.branches:
        return ()
    return max((branch.steps for branch in journey.branches), key=len)


def _same(one: Step, other: Step) -> bool:
    return (one.place, one.function, one.did, one.reason) == (
        other.place,
        other.function,
        other.did,
        other.reason,
    )


def _told(steps: tuple[Step, ...], at: int) -> str:
    if not steps:
        return ""
    step = steps[min(at, len(steps) - 1)]
    return f"{step.place} {step.function}, {step.did}: {step.reason}"
