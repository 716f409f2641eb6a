"""``bothways demo``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import click

from bothways.cli.case import open_case, tell_problems
from bothways.cli.diagnose import say_verdict, write_page
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import say
from bothways.diagnose import diagnose
from bothways.facts.diagnosis import Diagnosis

__all__ = ["command"]

_PACKAGE: Final = Path(__file__).resolve().parent.parent
#: where the incident lies: in a wheel, and in the source tree
_PLACES: Final = (_PACKAGE / "_examples" / "incident", _PACKAGE.parents[1] / "examples" / "incident")
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
    cloud was reset at once. The verdict is printed, and written as an HTML page; the path of the page is the
    last line of the output.
    """
    verdict = diagnose(open_case(_incident()))
    say_verdict(verdict)
    tell_problems(verdict.problems)
    page = _written(verdict, html)
    say(f"\nThe same as a page, with the ladder of packets:\n{page.resolve()}\n")
    return ExitCode.DONE


def _incident() -> Path:
    """Return the folder of the incident's evidence."""
    found = next((place for place in _PLACES if (place / "bundle.toml").is_file()), None)
    if found is None:
        places = " or ".join(f"`{place}`" for place in _PLACES)
        message = f"the incident's evidence is missing, it was expected in {places}"
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
