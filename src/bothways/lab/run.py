"""A lab from its scenario to its end: ``up``, ``run``, ``down``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bothways.lab.attempt import Attempt, settle, try_connection
from bothways.lab.build import BuildError, build
from bothways.lab.evidence import record_connection
from bothways.lab.naming import Naming
from bothways.lab.plan import plan
from bothways.lab.record import Record, read_record, write_record
from bothways.lab.site import ROOT, Check, Site
from bothways.lab.teardown import remove

__all__ = ["LabError", "Outcome", "clear", "run_once", "up"]


class LabError(Exception):
    """A lab that cannot be built; *hint* says what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    One run.

    :param seconds: of ``up``, the connection with its evidence, and ``down``.
    :param gaps: what could not be collected.
    :param checks: what became of the scenario's other connections, in its order.
    """

    attempt: Attempt
    gaps: tuple[str, ...]
    checks: tuple[tuple[Check, Attempt], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def up(
    site: Site,
    naming: Naming,
    *,
    scenario: str,
    seed: int | None = None,
    winner: str | None = None,
    agent: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    doubt: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """
    Build a site. What an earlier lab of the same name left over is removed first.

    :returns: seconds by stage.
    :raises LabError: if a lab of that name is up, or a command fails; what was made by then is removed.
    """
    old = read_record(naming)
    if old is not None:
        if old.stage == "up":
            raise LabError(f"a lab `{naming.lab}` is up already", f"bothways lab down {naming.lab}")
        clear(naming)
    acts = plan(site, naming, agent=agent)
    spaces = {naming.space(place): f"{place.host}/{place.netns}" for place in site.spaces}
    spaces[naming.wires] = f"-/{ROOT}"
    record = Record(naming.lab, "building", site.title, scenario, time.time(), spaces, seed)
    write_record(naming, record)
    try:
        seconds = build(acts, tell, doubt)
        settle(site, naming, winner)
    except BaseException as error:
        clear(naming)
        if isinstance(error, BuildError):
            raise LabError(f"{' '.join(error.act.words)}: {error}", _hint(str(error))) from None
        raise
    write_record(naming, record.at("up"))
    return seconds


def clear(naming: Naming) -> None:
    """
    Remove a lab, whatever state it is in.

    :raises LabError: if something could not be removed.
    """
    record = read_record(naming)
    if record is not None:
        write_record(naming, record.at("going"))
    left = remove(naming, record)
    if left:
        raise LabError(f"left over: {'; '.join(left)}", "the kernel may still use it: try again in a second")


def run_once(  # noqa: PLR0913 (each is a choice of the caller)
    site: Site,
    naming: Naming,
    folder: Path,
    *,
    scenario: str,
    winner: str | None,
    seed: int | None = None,
    agent: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    doubt: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Build, try the connection with captures running, collect, and remove; also when something fails."""
    seconds = {}
    began = time.monotonic()
    up(site, naming, scenario=scenario, seed=seed, winner=winner, agent=agent, tell=tell, doubt=doubt)
    seconds["up"] = time.monotonic() - began
    try:
        began = time.monotonic()
        tell("connection")
        attempt, gaps = record_connection(site, naming, folder, winner=winner)
        seconds["run"] = time.monotonic() - began
        checks = tuple((each, try_connection(site, naming, each.question)) for each in site.checks)
    except BaseException:
        with suppress(LabError):
            clear(naming)
        raise
    began = time.monotonic()
    tell("removal")
    clear(naming)
    seconds["down"] = time.monotonic() - began
    return Outcome(attempt, gaps, checks, seconds)


def _hint(said: str) -> str:
    if "Operation not permitted" in said:
        return "network namespaces need root; `bothways predict` walks a connection without it"
    return "`bothways lab up NAME --plan` prints every command"
