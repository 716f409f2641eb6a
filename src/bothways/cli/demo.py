"""``bothways demo``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import click

from bothways.bundle import Bundle
from bothways.cli.case import open_case, tell_problems
from bothways.cli.diagnose import say_verdict, write_page
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import colour, say, width
from bothways.diagnose import diagnose, lay_beside
from bothways.facts.diagnosis import Diagnosis

__all__ = ["command"]

_PACKAGE: Final = Path(__file__).resolve().parent.parent
#: where the examples lie: in a wheel, and in the source tree
_PLACES: Final = (_PACKAGE / "_examples", _PACKAGE.parents[1] / "examples")
_INCIDENT: Final = "incident"
#: the same cloud rebuilt, with all its dumps
_REBUILT: Final = "dual-l3"
_PAGE: Final = Path("bothways-demo.html")


@click.command("demo", short_help="Diagnose the incident that bothways was born from.")
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"Where the page goes; {_PAGE} in the current folder if left out.",
)
def command(html: Path | None) -> int:
    """
    Diagnose the incident that bothways was born from.

    It is `bothways diagnose` on the evidence that its author published: SSH to a floating IP of an OpenStack
    cloud was reset at once. Then what was recorded is laid beside what the dumps predict, tap by tap: for the
    incident, and for the same cloud rebuilt. The verdict is also written as an HTML page; the path of the
    page is the last line of the output.
    """
    case = open_case(_example(_INCIDENT))
    verdict = diagnose(case)
    say_verdict(verdict)
    tell_problems(verdict.problems)
    _say_beside(case, "the incident")
    _say_beside(open_case(_example(_REBUILT)), "the same cloud, rebuilt")
    page = _written(verdict, html)
    say(f"\nThe same as a page, with the ladder of packets:\n{page.resolve()}\n")
    return ExitCode.DONE


def _say_beside(case: Bundle, title: str) -> None:
    """Print what was recorded beside what is predicted."""
    from bothways.report.side_by_side import render_side_by_side  # noqa: PLC0415 (rich is loaded late)

    beside = render_side_by_side(lay_beside(case), title=title, width=width(), colour=colour())
    say(f"\n{beside}")


def _example(name: str) -> Path:
    """Return the folder of an example's evidence."""
    found = next((place / name for place in _PLACES if (place / name / "bundle.toml").is_file()), None)
    if found is None:
        places = " or ".join(f"`{place / name}`" for place in _PLACES)
        message = f"the {name}'s evidence is missing, it was expected in {places}"
        raise CommandError(message, "install bothways again")
    return found


def _written(verdict: Diagnosis, path: Path | None) -> Path:
    """Write the page where it was asked for, else into the current folder, else where everybody may write."""
    if path is not None:
        write_page(verdict, path)
        return path
    try:
        write_page(verdict, _PAGE)
    except CommandError:
        elsewhere = Path(tempfile.mkdtemp(prefix="bothways-")) / _PAGE
        write_page(verdict, elsewhere)
        return elsewhere
    return _PAGE
