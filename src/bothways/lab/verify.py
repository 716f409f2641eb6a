"""
A remedy, tried for real: a bundle's site is rebuilt, the connection tried, the change made, and tried again.

What the model foretold stands beside it. A model that is never held against reality is an opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bothways.facts.diagnosis import Change
from bothways.facts.whatif import ChangeVerdict
from bothways.lab.act import Act
from bothways.lab.attempt import Attempt, settle, try_connection
from bothways.lab.build import BuildError, run_act
from bothways.lab.naming import Naming
from bothways.lab.run import LabError, clear, up
from bothways.lab.site import Place, Site

__all__ = ["Verified", "verify"]


@dataclass(frozen=True, slots=True)
class Verified:
    """
    What reality said.

    :param before: the connection as recorded; *after* the same with the change made. In both the station that
        was recorded answers for a contested address.
    :param foretold: what the model says of the change.
    :param agrees: whether both say the same; None where the model does not know.
    """

    before: Attempt
    after: Attempt
    foretold: ChangeVerdict
    agrees: bool | None


def verify(
    site: Site,
    naming: Naming,
    changes: Sequence[Change],
    foretold: ChangeVerdict,
    *,
    scenario: str,
    winner: str | None,
    tell: Callable[[str], None] = lambda _: None,
    doubt: Callable[[str], None] = lambda _: None,
) -> Verified:
    """
    Try a change in a fresh lab, which is removed again.

    :raises LabError: if the site asks no question, cannot be built, or a command of the change fails.
    """
    question = site.question
    if question is None:
        raise LabError(
            "there is no connection to try in this bundle", "name one: 'tcp SOURCE > DESTINATION:PORT'"
        )
    up(site, naming, scenario=scenario, winner=winner, tell=tell, doubt=doubt)
    try:
        tell("connection, as recorded")
        before = try_connection(site, naming, question, source_port=0)
        tell("change")
        for change in changes:
            _make(change, naming)
        if _gone(site, naming, winner):
            # Whom the table names is no more; it would be asked for anew when the entry has aged.
            settle(site, naming, None)
        tell("connection, with the change")
        after = try_connection(site, naming, question, source_port=0)
    finally:
        clear(naming)
    return Verified(before, after, foretold, _agrees(after, foretold))


def _make(change: Change, naming: Naming) -> None:
    """Run one command where it belongs; a switch is found by its run directory, as on its host."""
    place = Place(change.host, change.netns or "root")
    switch = naming.switch(place.host)
    env = (f"OVS_RUNDIR={switch}", f"OVS_DBDIR={switch}")
    act = Act("change", ("env", *env, "bash", "-c", change.command), naming.space(place))
    try:
        run_act(act)
    except BuildError as error:
        raise LabError(
            f"`{change.command}` at {place}: {error}", "it must work there as it is typed"
        ) from None


def _gone(site: Site, naming: Naming, winner: str | None) -> bool:
    """Whether the station that answered for a contested address was a device, and is none any more."""
    mac = site.winners.get(winner) if winner is not None else None
    if mac is None or mac not in {each for space in site.spaces.values() for each in space.macs.values()}:
        return False
    return not any(
        mac in run_act(Act("winner", ("ip", "-br", "link"), naming.space(place))) for place in site.spaces
    )


def _agrees(after: Attempt, foretold: ChangeVerdict) -> bool | None:
    if foretold is ChangeVerdict.UNKNOWN:
        return None
    return (after.fate == "works") == (foretold in {ChangeVerdict.WORKS, ChangeVerdict.DEPENDS})
