"""``bothways conform conntrack|openflow|netfilter [FILE] [--live]``."""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import say, say_data, tell
from bothways.conform.conformance import Conformance
from bothways.conform.nat_share import NatShare, share_of
from bothways.conform.recording import Case, RecordingError, line_of, read_recording
from bothways.conform.replay import SHOWN, replay
from bothways.conform.words import conformance_json, conformance_text

__all__ = ["command"]

_SUBJECTS: Final = ("conntrack", "openflow", "netfilter")


@click.command("conform", short_help="Hold the model against a kernel, recorded or running.")
@click.argument("subject", metavar="conntrack|openflow|netfilter", type=click.Choice(_SUBJECTS))
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Ask the running kernel, or a private Open vSwitch. Needs root.")
@click.option(
    "--count",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Fresh sequences or packets with --live.",
)
@click.option("--seed", type=int, help="The same seed asks the same; a new one if left out.")
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Keep what --live asked and heard."
)
@click.option("--show", type=click.IntRange(0), default=SHOWN, show_default=True, help="Disagreements shown.")
@click.option(
    "--kernel",
    metavar="RELEASE",
    help="Release that FILE was recorded on; the newest if left out.",
)
@click.option(
    "--hz",
    type=click.IntRange(1),
    default=250,
    show_default=True,
    help="conntrack: CONFIG_HZ of that kernel, in which its log counts a shortened time.",
)
@click.option(
    "--pipelines",
    type=click.Path(path_type=Path, dir_okay=False),
    help="openflow: the pipelines of FILE's traces; looked for beside FILE if left out.",
)
@click.option(
    "--shrunk",
    type=click.Path(path_type=Path, dir_okay=False),
    help="openflow, netfilter: keep shrunk disagreements here.  [default: SUBJECT-disagreements.jsonl]",
)
@click.option(
    "--strict",
    is_flag=True,
    help="openflow, netfilter: what the model does not know counts as a disagreement.",
)
@click.option("--json", "as_json", is_flag=True, help="Print bothways/conformance/1 instead of text.")
def command(  # noqa: PLR0913, PLR0917 (click hands over each option)
    subject: str,
    file: Path | None,
    count: int,
    seed: int | None,
    record: Path | None,
    show: int,
    kernel: str | None,
    hz: int,
    pipelines: Path | None,
    shrunk: Path | None,
    *,
    strict: bool,
    live: bool,
    as_json: bool,
) -> int:
    """
    Hold the model against what a Linux kernel or Open vSwitch does with the same packets.

    conntrack: FILE is a recording, .jsonl or .jsonl.gz, one sequence of segments on a line with what the
    kernel made of each: verdict, direction, delivery, entry, translated addresses, the kernel's own words.

    openflow: FILE holds packets that `ofproto/trace` followed, with the flows of the switch. Compared are the
    copies that go out, the packet at the end, and the flow of each table.

    netfilter: FILE holds rulesets with routes, sysctls and packets. Compared are what comes out of which
    device with which headers, what is delivered or answered, and the tracker's entries.

    \b
      bothways conform conntrack FILE.jsonl.gz
      sudo bothways conform conntrack --live --count 20000 --record fresh.jsonl.gz
      bothways conform openflow TRACES.json.gz
      sudo bothways conform openflow --live --count 20000
      sudo bothways conform netfilter --live --count 20000

    With --live the running kernel is asked, with fresh random sequences or with those of FILE; for openflow a
    private Open vSwitch, with random pipelines and packets. It happens in network namespaces that are made
    for it and removed afterwards; nothing else on the machine is touched.

    Exit 0 only if nothing disagrees, 1 if something does, 4 if it could not run. What the model does not know
    is counted by itself, and is a disagreement only with --strict.
    """  # noqa: D301 (click wants the control character)
    if file is None and not live:
        raise CommandError(
            "a recording is expected, or --live", f"`bothways conform {subject} --live`", ExitCode.WRONG_USAGE
        )
    if record is not None and not live:
        raise CommandError("--record keeps what --live asks", "add --live", ExitCode.WRONG_USAGE)
    if file is not None and live and subject != "conntrack":
        raise CommandError(
            f"{subject} takes FILE or --live, not both", "leave one of them out", ExitCode.WRONG_USAGE
        )
    if file is not None:
        _expect_recording(file, subject)
    if subject == "netfilter":
        # what the other subjects do not need
        from bothways.cli.conform_netfilter import (  # noqa: PLC0415
            NETFILTER_DISAGREEMENTS,
            NetfilterWishes,
            conform_netfilter,
        )

        asked_for = NetfilterWishes(
            file, show, strict, as_json, count, seed, record, shrunk or NETFILTER_DISAGREEMENTS, kernel
        )
        return conform_netfilter(asked_for)
    if subject == "openflow":
        # what the other subject does not need
        from bothways.cli.conform_openflow import (  # noqa: PLC0415
            DISAGREEMENTS,
            OpenflowWishes,
            conform_openflow,
        )

        wishes = OpenflowWishes(
            file, pipelines, show, strict, as_json, count, seed, record, shrunk or DISAGREEMENTS
        )
        return conform_openflow(wishes)
    try:
        outcome = _live(file, count, seed, record, show, hz) if live else _replayed(file, kernel, show, hz)
    except RecordingError as error:
        raise CommandError(str(error), "one JSON object is expected on each line") from error
    except OSError as error:
        raise CommandError(f"{error.filename or file}: {reason(error)}") from error
    if as_json:
        say_data(json.dumps(conformance_json(outcome), indent=2) + "\n")
    else:
        say(conformance_text(outcome, classes=live))
    nat = 0 if outcome.nat is None else outcome.nat.disagreements
    return ExitCode.CAUSE_FOUND if outcome.disagreements or nat else ExitCode.DONE


def _expect_recording(file: Path, subject: str) -> None:
    try:
        there = file.exists()
    except OSError as error:
        hint = "name a file that you may read"
        raise CommandError(f"{file}: {reason(error)}", hint) from error
    if file.is_dir():
        inside = sorted(file.glob("*.json*"))
        hint = f"name one of its files, as {inside[0]}" if inside else "name a file"
        raise CommandError(f"{file}: a recording is expected, and this is a folder", hint)
    if not there:
        hint = f"`bothways conform {subject} --live --record {file}` makes one"
        raise CommandError(f"{file}: no such file or folder", hint)


def _replayed(file: Path | None, kernel: str | None, show: int, hz: int) -> Conformance:
    share = NatShare(kernel=kernel, keep=show)
    # A sequence leaves no circles behind, and to look for some takes a tenth of the time.
    gc.disable()
    try:
        outcome = replay(_read(file, share), kernel=kernel, keep=show, ticks=hz)
    finally:
        gc.enable()
    outcome.nat = share.outcome
    return outcome


def _read(file: Path | None, share: NatShare) -> Iterator[Case]:
    if file is not None:
        yield from read_recording(file, share.recorded)


def _live(
    file: Path | None, count: int, seed: int | None, record: Path | None, show: int, hz: int
) -> Conformance:
    from bothways.conform.generation import fresh_cases  # noqa: PLC0415 (sockets are loaded only to be used)
    from bothways.conform.live import CannotAskError, asked  # noqa: PLC0415

    release = platform.release()
    if file is None:
        seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        tell(f"bothways: asking Linux {release}, seed {seed}")
    share = NatShare(kernel=release, keep=show)
    cases = fresh_cases(seed or 0, count) if file is None else _read(file, share)
    try:
        with asked(cases) as answered:
            outcome = replay(_kept(answered, record), kernel=release, keep=show, ticks=hz)
    except CannotAskError as error:
        raise CommandError(str(error), error.hint) from error
    if file is None:
        if shutil.which("iptables-restore", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            share.fresh(share_of(count), seed or 0, record)
        else:
            tell("bothways: no NAT rulesets were asked: `iptables` is not installed")
    outcome.nat = share.outcome
    return outcome


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
