"""``bothways conform conntrack [FILE] [--live]``."""

from __future__ import annotations

import json
import platform
import random
from collections.abc import Iterator
from pathlib import Path

import click

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import say, say_data, tell
from bothways.conform.conformance import Conformance
from bothways.conform.recording import Case, RecordingError, line_of, read_recording
from bothways.conform.replay import SHOWN, replay
from bothways.conform.words import conformance_json, conformance_text

__all__ = ["command"]


@click.command("conform", short_help="Hold the model against a kernel, recorded or running.")
@click.argument("subject", metavar="conntrack", type=click.Choice(["conntrack"]))
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Ask the running kernel. Needs root, ip and nft.")
@click.option(
    "--count", type=click.IntRange(1), default=1000, show_default=True, help="Fresh sequences with --live."
)
@click.option("--seed", type=int, help="The same seed gives the same sequences; a new one if left out.")
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Keep what --live asked and heard."
)
@click.option("--show", type=click.IntRange(0), default=SHOWN, show_default=True, help="Disagreements shown.")
@click.option(
    "--kernel",
    metavar="RELEASE",
    help="Release that FILE was recorded on; the newest if left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print bothways/conformance/1 instead of text.")
def command(  # noqa: PLR0913 (click hands over each option)
    subject: str,
    file: Path | None,
    count: int,
    seed: int | None,
    record: Path | None,
    show: int,
    kernel: str | None,
    *,
    live: bool,
    as_json: bool,
) -> int:
    r"""
    Hold the model of connection tracking against what a Linux kernel does with the same segments.

    FILE is a recording, .jsonl or .jsonl.gz, one sequence of segments on a line with what the kernel made
    of each: verdict, direction, delivery, entry, translated addresses, the kernel's own words.

    \b
      bothways conform conntrack FILE.jsonl.gz
      sudo bothways conform conntrack --live --count 20000 --record fresh.jsonl.gz

    With --live the running kernel is asked, with fresh random sequences or with those of FILE. It happens in
    network namespaces that are made for it and removed afterwards; nothing else on the machine is touched.

    Exit 0 only if nothing disagrees, 1 if something does, 4 if it could not run.
    """
    del subject
    if file is None and not live:
        raise CommandError(
            "a recording is expected, or --live", "`bothways conform conntrack --live`", ExitCode.WRONG_USAGE
        )
    if record is not None and not live:
        raise CommandError("--record keeps what --live asks", "add --live", ExitCode.WRONG_USAGE)
    try:
        outcome = (
            _live(file, count, seed, record, show) if live else replay(_read(file), kernel=kernel, keep=show)
        )
    except RecordingError as error:
        raise CommandError(str(error), "one JSON object is expected on each line") from error
    except OSError as error:
        raise CommandError(f"{error.filename or file}: {reason(error)}") from error
    if as_json:
        say_data(json.dumps(conformance_json(outcome), indent=2) + "\n")
    else:
        say(conformance_text(outcome))
    return ExitCode.CAUSE_FOUND if outcome.disagreements else ExitCode.DONE


def _read(file: Path | None) -> Iterator[Case]:
    if file is not None:
        yield from read_recording(file)


def _live(file: Path | None, count: int, seed: int | None, record: Path | None, show: int) -> Conformance:
    from bothways.conform.generation import fresh_cases  # noqa: PLC0415 (sockets are loaded only to be used)
    from bothways.conform.live import CannotAskError, asked  # noqa: PLC0415

    release = platform.release()
    if file is None:
        seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        tell(f"bothways: asking Linux {release}, seed {seed}")
    cases = fresh_cases(seed or 0, count) if file is None else _read(file)
    try:
        with asked(cases) as answered:
            return replay(_kept(answered, record), kernel=release, keep=show)
    except CannotAskError as error:
        raise CommandError(str(error), error.hint) from error


def _kept(cases: Iterator[Case], record: Path | None) -> Iterator[Case]:
    """Pass sequences on, and keep them in a file if one is wanted."""
    if record is None:
        yield from cases
        return
    import gzip  # noqa: PLC0415

    with gzip.open(record, "wt") if record.suffix == ".gz" else record.open("w") as lines:
        for case in cases:
            lines.write(line_of(case))
            yield case
