"""``bothways explain CODE``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

import click

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import say
from bothways.diagnose.causes import CAUSES

__all__ = ["command"]

_PACKAGE: Final = Path(__file__).resolve().parent.parent
#: where the pages of the causes lie: in a wheel, and in the source tree
_PLACES: Final = (_PACKAGE / "_docs" / "causes", _PACKAGE.parents[1] / "docs" / "causes")


@click.command("explain", short_help="Print the page of a cause.")
@click.argument("code", metavar="[CODE]", required=False)
def command(code: str | None) -> int:
    """
    Print the page of a cause: what it finds, why connections die of it, what refutes it, how to fix it.

    CODE is that of a verdict, such as BW101, or the cause's name. Left out, all causes are listed.
    """
    if code is None:
        say("".join(f"{each}  {name}\n" for each, name in CAUSES))
        return ExitCode.DONE
    say(_page(_found(code)))
    return ExitCode.DONE


def _found(code: str) -> str:
    """
    Return the code of a cause that is named by its code or its name.

    :raises CommandError: if there is none.
    """
    wanted = code.strip().lower()
    for each, name in CAUSES:
        if wanted in (each.lower(), name):
            return each
    known = {word.lower(): word for cause in CAUSES for word in cause}
    close = difflib.get_close_matches(wanted, known, n=1)
    hint = f"did you mean `{known[close[0]]}`?" if close else "`bothways explain` lists them"
    raise CommandError(f"no cause `{code}` is known", hint, ExitCode.WRONG_USAGE)


def _page(code: str) -> str:
    path = next((place / f"{code}.md" for place in _PLACES if (place / f"{code}.md").is_file()), None)
    if path is None:
        places = " or ".join(f"`{place}`" for place in _PLACES)
        raise CommandError(
            f"the page of {code} is missing, it was expected in {places}", "install bothways again"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"`{path}` cannot be read: {why}", "install bothways again") from error
