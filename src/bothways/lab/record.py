"""
What a lab made on the machine, written down before it is made, so that any later ``down`` can undo it.

``LAB/record.json`` names every namespace of the plan; it stands before the first of them does. ``LAB.lock``
is held while somebody builds, tries or removes the lab, and by nobody after a crash: the kernel lets go.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from bothways.lab.naming import Naming, home

__all__ = ["BusyError", "Record", "held", "labs", "read_record", "write_record"]

_FILE: Final = "record.json"


class BusyError(Exception):
    """Another process works at this lab."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    One lab on this machine.

    :param stage: ``building``, ``up`` or ``going``. Anything but ``up`` without a holder is left over.
    :param scenario: path of the scenario, or of the bundle, that it was built from.
    :param spaces: the machine's names of its namespaces -> ``HOST/NETNS`` in the scenario.
    """

    lab: str
    stage: str
    title: str
    scenario: str
    began: float
    spaces: dict[str, str]
    seed: int | None = None

    def at(self, stage: str) -> Record:
        """The same lab, further on."""
        return replace(self, stage=stage)


def write_record(naming: Naming, record: Record) -> None:
    """Write it down, and be sure that it is on disk: a crash comes without warning."""
    naming.folder.mkdir(parents=True, exist_ok=True)
    scratch = naming.folder / f"{_FILE}.new"
    with scratch.open("w", encoding="utf-8") as out:
        json.dump(asdict(record), out)
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(naming.folder / _FILE)


def read_record(naming: Naming) -> Record | None:
    """Return what is known of a lab; None if there is none of that name."""
    try:
        return Record(**json.loads((naming.folder / _FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def labs() -> tuple[Naming, ...]:
    """Every lab of this machine, up or left over."""
    try:
        return tuple(Naming.of(each.name) for each in sorted(home().iterdir()) if each.is_dir())
    except FileNotFoundError:
        return ()


@contextmanager
def held(naming: Naming) -> Iterator[None]:
    """
    Hold a lab, so that nobody else builds or removes it meanwhile.

    :raises BusyError: if somebody does.
    """
    naming.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(f"{naming.folder}.lock").open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(naming.lab) from None
        yield
    finally:
        lock.close()
