"""Every way the network can choose, as the report lists it."""

from __future__ import annotations

from bothways.diagnose.case import Case
from bothways.facts.diagnosis import Fate, Outcome
from bothways.facts.prediction import Walk

__all__ = ["decisive", "outcomes_of"]


def outcomes_of(case: Case) -> tuple[Outcome, ...]:
    """
    Outcomes that differ by a free choice; the observed one is marked.

    Where the site cannot be walked, what was observed is one outcome, and another owner of the address
    that might answer ARP is one that is possible.
    """
    known = [w for w in case.prediction.walks if w.fate is not Fate.UNKNOWN]
    if not known:
        return _from_captures(case)
    story = case.story
    happened = case.walk if story is not None and case.walk.fate is story.fate else None
    keys = decisive(case.prediction.walks)
    found: dict[tuple[str, ...], Outcome] = {}
    for walk in case.prediction.walks:
        said = tuple(c.taken for c in walk.choices if c.key in keys)
        seen = walk is happened
        if said not in found or seen:
            found[said] = Outcome(said, walk.fate, observed=seen, why=walk.why)
    return tuple(found.values())


def decisive(walks: tuple[Walk, ...]) -> set[str]:
    """Keys of choices that some two walks decide differently."""
    taken: dict[str, set[str]] = {}
    for walk in walks:
        for choice in walk.choices:
            taken.setdefault(choice.key, set()).add(choice.taken)
    return {key for key, options in taken.items() if len(options) > 1}


def _from_captures(case: Case) -> tuple[Outcome, ...]:
    story, owners = case.story, case.owners
    if story is None or not owners.two or not owners.namespaces:
        return ()
    owner = owners.namespaces[0]
    taken = f"{owners.address} answered by {owner.device.mac} ({owner.device.name})"
    other = (
        f"{owners.address} answered by {owners.switches[0].label}"
        if owners.switches
        else "answered by another owner"
    )
    return (
        Outcome((taken,), story.fate, observed=True, why="the client's packets were captured at this device"),
        Outcome(
            (other,),
            Fate.UNKNOWN,
            why="possible, not observed: no collected flow shows whether it answers ARP",
        ),
    )
