"""What the verbs of ``bothways lab`` share: scenarios by name, labs by name, and what must be there first."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import tell

if TYPE_CHECKING:
    from bothways.facts.question import Question
    from bothways.lab import Naming, Record, Scenario

__all__ = [
    "FREE",
    "all_scenarios",
    "check",
    "chosen_winner",
    "doubt",
    "hold",
    "known_labs",
    "naming_of",
    "need_root",
    "progress",
    "rebuilt_from",
    "scenario_of",
    "stage_of",
    "text_below",
    "unpacked",
]

_PACKAGE: Final = Path(__file__).resolve().parent.parent
#: where scenarios lie: in a wheel, and in the source tree
_PLACES: Final = (_PACKAGE / "_scenarios", _PACKAGE.parents[1] / "scenarios")
#: As a winner: nobody is pinned.
FREE: Final = "free"
_ROOT: Final = "network namespaces need root: use sudo; `bothways predict` walks a bundle without it"
_LONGEST: Final = 40


def all_scenarios() -> tuple[Path, ...]:
    """Return the scenario files that come with bothways."""
    for place in _PLACES:
        if place.is_dir():
            return tuple(sorted(place.glob("*/scenario.toml")))
    return ()


def scenario_of(word: str, seed: int | None) -> Scenario:
    """Find a scenario by name, folder or file, and read it."""
    from bothways.lab import ScenarioError, read_scenario  # noqa: PLC0415 (loaded when it is needed)

    candidates = [
        Path(word),
        Path(word) / "scenario.toml",
        *(place / word / "scenario.toml" for place in _PLACES),
    ]
    path = next((each for each in candidates if each.is_file()), None)
    if path is None:
        names = ", ".join(each.parent.name for each in all_scenarios())
        raise CommandError(f"no scenario `{word}`", f"there are {names}", ExitCode.WRONG_USAGE)
    try:
        return read_scenario(path, seed)
    except ScenarioError as error:
        raise CommandError(str(error), "docs/reference/scenario.md says what a scenario may hold") from None


def rebuilt_from(path: Path, question: Question | None = None) -> Scenario:
    """Read a bundle as a scenario; what namespaces cannot rebuild of it is told."""
    from bothways.cli.case import open_case  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab import Scenario as Read  # noqa: PLC0415
    from bothways.lab.rebuild import RECORDED, rebuild  # noqa: PLC0415

    case = open_case(path)
    with unpacked(path) as folder:
        rebuilt = rebuild(case.snapshot, question or case.question, text_below(folder), case.title)
    for each in rebuilt.missing:
        tell(f"not rebuilt: {each}")
    name = "".join(letter if letter.isalnum() else "-" for letter in path.resolve().name).strip("-")
    name = "-".join(part for part in name.split("-") if part)[:_LONGEST].strip("-")
    pinned = RECORDED if RECORDED in rebuilt.site.winners else None
    return Read(name or "bundle", path, rebuilt.site, None, pinned)


def text_below(folder: Path) -> Callable[[str], str | None]:
    """Return what reads a file of a bundle by its name there, None if it is not there."""

    def read(name: str) -> str | None:
        file = folder / name
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None

    return read


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the folder of a bundle, unpacked for a while if it is an archive."""
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bothways-lab-") as scratch:
        try:
            shutil.unpack_archive(path, scratch, filter="data")
        except (shutil.ReadError, ValueError, OSError) as error:
            hint = "unpack it and name its folder"
            raise CommandError(f"{path}: it cannot be unpacked here: {error}", hint) from None
        found = next(iter(sorted(Path(scratch).rglob("bundle.toml"))), None)
        yield Path(scratch) if found is None else found.parent


def chosen_winner(read: Scenario, winner: str | None) -> str | None:
    """Return the winner to pin, None to let the stations race."""
    if winner is None:
        return read.pinned
    if winner == FREE:
        return None
    if winner not in read.site.winners:
        names = ", ".join((*read.site.winners, FREE))
        message = (
            f"no winner `{winner}`" if read.site.winners else "nobody contests an address in this scenario"
        )
        raise CommandError(message, f"there are {names}" if read.site.winners else "", ExitCode.WRONG_USAGE)
    return winner


def naming_of(name: str) -> Naming:
    """Return the names of a lab, if it can be called so."""
    from bothways.lab import Naming as Names  # noqa: PLC0415 (loaded when it is needed)

    if not name.replace("-", "").replace("_", "").isalnum() or len(name) > _LONGEST or "--" in name:
        hint = "letters, digits, single `-` and `_`, at most 40"
        raise CommandError(f"`{name}` cannot be the name of a lab", hint, ExitCode.WRONG_USAGE)
    return Names.of(name)


@contextmanager
def hold(naming: Naming) -> Iterator[None]:
    """Hold a lab; errors of it become one sentence with a hint."""
    from bothways.lab import BusyError, LabError, held  # noqa: PLC0415 (loaded when it is needed)

    try:
        with held(naming):
            yield
    except BusyError:
        raise CommandError(
            f"somebody else works at the lab `{naming.lab}`", "choose another name with --as"
        ) from None
    except LabError as error:
        raise CommandError(str(error), error.hint) from None


def check(read: Scenario, naming: Naming, *, agent: bool = False) -> None:
    """Say what is missing before anything is made; *agent*: Neutron's is to program routers."""
    from bothways.lab import plan  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab.build import missing_programs  # noqa: PLC0415

    need_root()
    if agent:
        _need_neutron(read)
    missing = missing_programs(plan(read.site, naming, agent=agent))
    if missing:
        raise CommandError(
            f"this scenario needs {', '.join(missing)}", f"apt-get install -y {' '.join(missing)}"
        )


def _need_neutron(read: Scenario) -> None:
    from bothways.lab.build import has_module  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab.plan_neutron import neutron_python  # noqa: PLC0415

    if not any(space.router is not None for space in read.site.spaces.values()):
        message = f"{read.name} has no router of Neutron that an agent could program"
        raise CommandError(message, "leave --l3 out", ExitCode.WRONG_USAGE)
    if not has_module(neutron_python(), "neutron"):
        hint = "pip install 'bothways[neutron]' somewhere; BOTHWAYS_NEUTRON_PYTHON names the Python there"
        raise CommandError(f"{neutron_python()} has no Neutron", hint)


def need_root() -> None:
    """End here without root."""
    if os.geteuid() != 0:
        raise CommandError("not root", _ROOT)


def stage_of(naming: Naming, record: Record | None) -> str:
    """Return ``up``, ``left over``, or what somebody does with the lab right now."""
    from bothways.lab import BusyError, held  # noqa: PLC0415 (loaded when it is needed)

    if record is not None and record.stage == "up":
        return "up"
    try:
        with held(naming):
            return "left over"
    except (BusyError, OSError):
        return record.stage if record is not None else "building"


def known_labs() -> str:
    """Return the labs of this machine as a hint."""
    from bothways.lab import labs  # noqa: PLC0415 (loaded when it is needed)

    names = ", ".join(each.lab for each in labs())
    return f"there are {names}" if names else "no lab is up"


def progress(stage: str) -> None:
    """Tell a stage, if somebody watches."""
    if sys.stderr.isatty():
        tell(f"  {stage} …")


def doubt(text: str) -> None:
    """Tell what went wrong and did not end the build."""
    tell(f"went wrong, went on: {text}")
