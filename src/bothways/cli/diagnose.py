"""``bothways diagnose BUNDLE [FLOW]``, and ``bothways diagnose FILE… [FLOW]``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from bothways.bundle import Bundle
from bothways.cli.case import evidence_arguments, open_case, read_words, tell_problems
from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import colour, say, say_data, tell, width
from bothways.diagnose import diagnose
from bothways.facts.diagnosis import Diagnosis, Status
from bothways.parse.flow import parse_flow
from bothways.report.json import diagnosis_json, render_json

__all__ = ["command", "exit_code", "say_verdict", "write_page"]

_CODES = {
    Status.HEALTHY: ExitCode.DONE,
    Status.EXPLAINED: ExitCode.CAUSE_FOUND,
    Status.UNDETERMINED: ExitCode.UNDETERMINED,
}


@click.command("diagnose", short_help="Say why a connection failed, who did it, and what proves it.")
@evidence_arguments
@click.option("--json", "as_json", is_flag=True, help="Print bothways/diagnosis/1 instead of text.")
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Write one HTML page as well.")
@click.option("--all", "every", is_flag=True, help="Diagnose the other connections of the captures too.")
@click.option("--strict", is_flag=True, help="Exit 1 if it works, but a latent cause waits.")
@click.option("--problems", is_flag=True, help="List every problem in the evidence, not only the first 10.")
def command(
    words: tuple[str, ...],
    taps: tuple[str, ...],
    places: tuple[str, ...],
    html: Path | None,
    *,
    as_json: bool,
    every: bool,
    strict: bool,
    problems: bool,
) -> int:
    """
    Say why a connection of BUNDLE failed, who did it, and what proves it.

    BUNDLE is a folder of evidence, or its archive; captures, dumps and pasted terminals are taken as well, in
    any number: places are read from prompts, commands and file names, and asked for where nothing tells. FLOW
    names the connection as its client would, in quotes: 'tcp 192.0.2.1 > 192.0.2.2:22', with a source port if
    you know it. Left out, the question in bundle.toml is taken, or the worst broken connection of the
    captures.

    The verdict goes to standard output, problems in the evidence to standard error. With --all and --json
    each connection is one line. Exit 0: healthy, 1: a cause was found, 3: undetermined; with --all 1 if any
    has a cause, else 3 if any is undetermined.
    """
    paths, question = read_words(words)
    case = open_case(paths, taps, places)
    verdicts = [diagnose(case, question)]
    if every:
        verdicts += _others(case, verdicts[0])
    for number, verdict in enumerate(verdicts):
        if as_json:
            say_data(render_json(diagnosis_json(verdict), indent=None if every else 2) + "\n")
        else:
            say(("\n" if number else "") * 2)
            say_verdict(verdict)
    tell_problems(verdicts[0].problems, every=problems)
    if html is not None:
        write_page(verdicts[0], html)
        tell(f"page: {html}")
    return _worst([exit_code(verdict, strict=strict) for verdict in verdicts])


def say_verdict(verdict: Diagnosis) -> None:
    """Print a verdict for people."""
    from bothways.report.text import render_text  # noqa: PLC0415 (rich is loaded only where text is wanted)

    say(render_text(verdict, width=width(), colour=colour()))


def write_page(verdict: Diagnosis, path: Path) -> None:
    """
    Write the page.

    :raises CommandError: if the file cannot be written.
    """
    from bothways.report.html import render_html  # noqa: PLC0415 (jinja2 is loaded only where HTML is wanted)

    page = render_html(verdict, version=version("bothways"))
    try:
        path.write_bytes(page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        hint = "name a file in a folder that exists and that you may write to"
        raise CommandError(f"the page `{path}` cannot be written: {reason(error)}", hint) from error


def exit_code(verdict: Diagnosis, *, strict: bool = False) -> ExitCode:
    """What the shell is told of one verdict."""
    code = _CODES[verdict.status]
    return ExitCode.CAUSE_FOUND if strict and code is ExitCode.DONE and verdict.latent else code


def _others(case: Bundle, verdict: Diagnosis) -> Iterator[Diagnosis]:
    for other in verdict.others:
        # "FLOW: fate", as the report prints it
        yield diagnose(case, parse_flow(other.rpartition(": ")[0] or other))


def _worst(codes: list[ExitCode]) -> ExitCode:
    return next(
        (code for code in (ExitCode.CAUSE_FOUND, ExitCode.UNDETERMINED) if code in codes), ExitCode.DONE
    )
