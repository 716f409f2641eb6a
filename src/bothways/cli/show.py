"""``bothways show BUNDLE [WHAT]``."""

from __future__ import annotations

from pathlib import Path

import click

from bothways.cli.case import open_case, place_options, tell_problems
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import colour, say, say_data, width
from bothways.report.json import render_json
from bothways.report.show_json import show_json

__all__ = ["command"]

_WHAT = ("hosts", "captures", "stacks", "missing", "problems", "files")


@click.command("show", short_help="Say what is in a bundle, and what was understood of it.")
@click.argument("words", metavar="BUNDLE... [WHAT]", nargs=-1, required=True)
@place_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print bothways/show/1 instead of text: always all of it."
)
def command(words: tuple[str, ...], taps: tuple[str, ...], places: tuple[str, ...], *, as_json: bool) -> int:
    """
    Say what is in a bundle, and what was understood of it.

    Hosts with their namespaces, devices, addresses and bridges; how many rows of each dump were read, and
    when; captures with their filters, times and losses; what was not collected; what was not understood.
    BUNDLE may be loose files, as for diagnose. WHAT is one of hosts, captures, stacks, missing, problems,
    files; left out, all but the list of files is shown.

    Exit 0 whatever is in it.
    """
    sections, paths = _told_apart(words)
    case = open_case(paths, taps, places)
    if as_json:
        say_data(render_json(show_json(case)) + "\n")
        return ExitCode.DONE
    # rich is loaded only where text is wanted
    from bothways.report.show_text import render_show_text  # noqa: PLC0415

    say(render_show_text(case, sections, width=width(), colour=colour()))
    if sections and "problems" not in sections:
        tell_problems(case.problems)
    return ExitCode.DONE


def _told_apart(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Split WHAT from the files before it; a file of that name is a file."""
    sections = tuple(word for word in words[1:] if word in _WHAT and not Path(word).exists())
    paths = [Path(word) for word in words if word not in sections]
    last = paths[-1]
    if len(paths) > 1 and not last.exists() and last.suffix == "" and len(last.parts) == 1:
        message = f"`{last}` is neither a file nor a part of the report"
        raise CommandError(message, f"a part is one of {', '.join(_WHAT)}", ExitCode.WRONG_USAGE)
    return sections, tuple(paths)
