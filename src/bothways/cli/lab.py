"""``bothways lab up|run|down|list|status|shell|scenarios``."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.lab_choice import (
    FREE,
    all_scenarios,
    check,
    chosen_winner,
    doubt,
    hold,
    known_labs,
    naming_of,
    need_root,
    progress,
    rebuilt_from,
    scenario_of,
    stage_of,
)
from bothways.cli.screen import say, tell

if TYPE_CHECKING:
    from bothways.lab import Naming, Outcome, Scenario

__all__ = ["command"]


_seed = click.option(
    "--renumber",
    "seed",
    type=int,
    metavar="SEED",
    help="Other addresses, MACs, VNIs and names; the same for a seed.",
)
_winner = click.option(
    "--arp-winner",
    "winner",
    metavar="NAME",
    help="Who answers for a contested address, as the scenario names it; `free` lets them race.",
)
_l3 = click.option(
    "--l3",
    type=click.Choice(["template", "neutron"]),
    default="template",
    show_default=True,
    help="Who programs Neutron's routers: our template, or the real neutron-l3-agent.",
)
_as = click.option("--as", "name", metavar="LAB", help="Name of the lab; that of the scenario if left out.")


@click.group("lab", short_help="Rebuild a scenario in namespaces, and try its connection for real.")
def command() -> None:
    """
    Rebuild a scenario in namespaces, with the real kernel, Open vSwitch, iptables and sockets.

    SCENARIO is a name that `bothways lab scenarios` lists, a folder with `scenario.toml`, or such a file.
    Everything is made in network namespaces whose names begin with `bw-`; nothing else on the machine is
    touched. Needs root, except with --plan.
    """


_from = click.option(
    "--from",
    "bundle",
    type=click.Path(path_type=Path, exists=True),
    metavar="BUNDLE",
    help="Rebuild the site of a bundle in place of a scenario.",
)


@command.command("scenarios", short_help="List the scenarios that come with bothways.")
def _scenarios() -> int:
    """List the scenarios that come with bothways, each with what must become of its connection."""
    for path in all_scenarios():
        scenario = scenario_of(str(path), None)
        wanted = scenario.expectation
        if wanted is not None:
            say(f"{scenario.name:30} {wanted.fate:8} {wanted.cause or '-':6} {scenario.site.title}\n")
    return ExitCode.DONE


@command.command("up", short_help="Build a scenario and leave it standing.")
@click.argument("scenario", required=False)
@_from
@_as
@_seed
@_winner
@_l3
@click.option("--plan", "plan_only", is_flag=True, help="Print every command in place of running it.")
def _up(
    scenario: str | None,
    bundle: Path | None,
    name: str | None,
    seed: int | None,
    winner: str | None,
    l3: str,
    *,
    plan_only: bool,
) -> int:
    """Build a scenario and leave it standing: look around with `bothways lab shell`, end it with `down`."""
    from bothways.lab import plan, printed  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab import up as build_up  # noqa: PLC0415

    read = _chosen(scenario, bundle, seed)
    naming = naming_of(name or read.name)
    chosen = chosen_winner(read, winner)
    agent = l3 == "neutron"
    if plan_only:
        say(printed(plan(read.site, naming, agent=agent)))
        return ExitCode.DONE
    check(read, naming, agent=agent)
    with hold(naming):
        seconds = build_up(
            read.site,
            naming,
            scenario=str(read.path),
            seed=seed,
            winner=chosen,
            agent=agent,
            tell=progress,
            doubt=doubt,
        )
    total = sum(seconds.values())
    say(f"{naming.lab} is up after {total:.1f} s: {len(read.site.spaces)} namespaces\n")
    for place in read.site.spaces:
        say(f"  {place}\n")
    say(f"look around: bothways lab shell {naming.lab} {next(iter(read.site.spaces))}\n")
    say(f"end it:      bothways lab down {naming.lab}\n")
    return ExitCode.DONE


@command.command("run", short_help="Build, try the connection, keep the evidence, remove.")
@click.argument("scenario", required=False)
@_from
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Where the bundle goes.")
@_as
@_seed
@_winner
@_l3
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, help="How often, each from nothing."
)
@click.option("--plan", "plan_only", is_flag=True, help="Print every command in place of running it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line for each run.")
def _run(  # noqa: PLR0913 (click hands over each option)
    scenario: str | None,
    bundle: Path | None,
    folder: Path | None,
    name: str | None,
    seed: int | None,
    winner: str | None,
    l3: str,
    repeat: int,
    *,
    plan_only: bool,
    as_json: bool,
) -> int:
    """
    Build a scenario, try its connection with captures at every tap, keep the evidence as a bundle, remove it.

    Exit 0 if the connection's fate is the one that the scenario expects, 1 if not. What the evidence says,
    `bothways diagnose BUNDLE` tells. With --repeat and `--arp-winner free` the share of each winner is told.
    """
    from bothways.lab import plan, printed  # noqa: PLC0415 (loaded when it is needed)

    read = _chosen(scenario, bundle, seed)
    naming = naming_of(name or read.name)
    chosen = chosen_winner(read, winner)
    agent = l3 == "neutron"
    if plan_only:
        say(printed(plan(read.site, naming, agent=agent)))
        return ExitCode.DONE
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(
            f"{folder}: there is something already", "name a new folder with -o", ExitCode.WRONG_USAGE
        )
    check(read, naming, agent=agent)
    right, seen = True, Counter[str]()
    for number in range(1, repeat + 1):
        outcome = _once(read, naming, _folder(folder, number, repeat), chosen, seed, agent=agent)
        wanted = read.expectation
        right = right and (wanted is None or outcome.attempt.fate == wanted.fate or winner == FREE)
        right = right and all(tried.fate == each.fate for each, tried in outcome.checks)
        seen[f"{outcome.attempt.winner or '-'}: {outcome.attempt.fate}"] += 1
        _say_outcome(outcome, read, as_json=as_json)
    if repeat > 1 and not as_json:
        for words, count in seen.most_common():
            say(f"{count:4} of {repeat}  {words}\n")
    if folder is not None and not as_json:
        say(f"the evidence: bothways diagnose {folder}{'/1' if repeat > 1 else ''}\n")
    return ExitCode.DONE if right else ExitCode.CAUSE_FOUND


@command.command("verify", short_help="Try a change for real, in a fresh copy of a bundle's site.")
@click.argument("words", nargs=-1, required=True, metavar="BUNDLE [FLOW]")
@click.option(
    "--change",
    "changes",
    metavar="'[HOST[/NETNS]: ]COMMAND'",
    multiple=True,
    required=True,
    help="A command as one would type it; more than one in their order.",
)
@_as
@click.option("--json", "as_json", is_flag=True, help="Print bothways/lab-verify/1 instead of text.")
def _verify(words: tuple[str, ...], changes: tuple[str, ...], name: str | None, *, as_json: bool) -> int:
    """
    Try a change for real, in a fresh copy of a bundle's site, and say whether reality agrees with the model.

    Exit 0 if both say the same, 1 if they do not, 3 if the model does not know.
    """
    from bothways.cli.lab_verify import verified  # noqa: PLC0415 (loaded when it is needed)

    return verified(words, changes, name, as_json=as_json)


@command.command("down", short_help="Remove labs, up or left over.")
@click.argument("names", nargs=-1, metavar="[LAB]…")
@click.option("--all", "every", is_flag=True, help="Every lab of this machine.")
def _down(names: tuple[str, ...], *, every: bool) -> int:
    """Remove labs: their processes, namespaces and files. Also what a crash left over."""
    from bothways.lab import clear, labs, read_record  # noqa: PLC0415 (loaded when it is needed)

    chosen = labs() if every else tuple(naming_of(name) for name in names)
    if not chosen and not every:
        raise CommandError("a lab is expected, or --all", known_labs(), ExitCode.WRONG_USAGE)
    if chosen:
        need_root()
    for naming in chosen:
        if read_record(naming) is None and not naming.folder.exists():
            raise CommandError(f"no lab `{naming.lab}`", known_labs(), ExitCode.WRONG_USAGE)
        with hold(naming):
            clear(naming)
        say(f"{naming.lab} is removed\n")
    return ExitCode.DONE


@command.command("list", short_help="List the labs of this machine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line for each.")
def _list_labs(*, as_json: bool) -> int:
    """List the labs of this machine: up, being built, or left over from a crash."""
    from bothways.lab import labs, read_record  # noqa: PLC0415 (loaded when it is needed)

    for naming in labs():
        record = read_record(naming)
        stage = stage_of(naming, record)
        if as_json:
            row = {"lab": naming.lab, "state": stage, "title": record.title if record else None}
            say(json.dumps({**row, "namespaces": sorted(record.spaces) if record else []}) + "\n")
        else:
            say(f"{naming.lab:24} {stage:10} {record.title if record else ''}\n")
    return ExitCode.DONE


@command.command("status", short_help="Say what one lab is made of.")
@click.argument("name", metavar="LAB")
def _status(name: str) -> int:
    """Say what one lab is made of: its namespaces, and what runs in them."""
    from bothways.lab import read_record  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab.teardown import processes  # noqa: PLC0415

    naming = naming_of(name)
    record = read_record(naming)
    if record is None:
        raise CommandError(f"no lab `{name}`", known_labs(), ExitCode.WRONG_USAGE)
    say(f"{naming.lab}: {stage_of(naming, record)}\n{record.title}\nbuilt from {record.scenario}\n")
    for space, place in record.spaces.items():
        running = ", ".join(sorted({each for _, each in processes([space])})) or "nothing runs"
        say(f"  {place:40} {running}\n")
    return ExitCode.DONE


@command.command("shell", short_help="Open a shell, or run a command, inside a lab.")
@click.argument("name", metavar="LAB")
@click.argument("place", metavar="HOST[/NETNS]")
@click.argument("words", nargs=-1, metavar="[COMMAND]…", type=click.UNPROCESSED)
def _shell(name: str, place: str, words: tuple[str, ...]) -> NoReturn:
    """Open a shell in a namespace of a lab, or run a command: `bothways lab shell LAB host1 -- ip addr`."""
    from bothways.lab import read_record  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab.site import Place  # noqa: PLC0415

    naming = naming_of(name)
    record = read_record(naming)
    if record is None:
        raise CommandError(f"no lab `{name}`", known_labs(), ExitCode.WRONG_USAGE)
    space = naming.space(Place.read(place))
    if space not in record.spaces:
        there = ", ".join(
            each.removesuffix("/root") for each in record.spaces.values() if not each.startswith("-")
        )
        raise CommandError(f"no namespace `{place}` in {name}", f"there are {there}", ExitCode.WRONG_USAGE)
    need_root()
    host = Place.read(place).host
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    if naming.switch(host).is_dir():
        environment["OVS_RUNDIR"] = str(naming.switch(host))
        environment["OVS_DBDIR"] = str(naming.switch(host))
    argv = ("ip", "netns", "exec", space, *(words or (os.environ.get("SHELL", "/bin/sh"),)))
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the user's own command, in place of this process


def _chosen(scenario: str | None, bundle: Path | None, seed: int | None) -> Scenario:
    """Read the scenario, or the bundle in its place."""
    if (scenario is None) == (bundle is None):
        raise CommandError(
            "a SCENARIO is expected, or --from BUNDLE",
            "`bothways lab scenarios` lists those that come with bothways",
            ExitCode.WRONG_USAGE,
        )
    if bundle is not None:
        if seed is not None:
            message = "--renumber gives a scenario other numbers, and a bundle has its own"
            raise CommandError(message, "", ExitCode.WRONG_USAGE)
        return rebuilt_from(bundle)
    return scenario_of(str(scenario), seed)


def _once(
    read: Scenario, naming: Naming, folder: Path | None, winner: str | None, seed: int | None, *, agent: bool
) -> Outcome:
    """Run once; a lab that fails is told in one sentence."""
    from bothways.collect.captures import CaptureError  # noqa: PLC0415 (loaded when it is needed)
    from bothways.lab import LabError, run_once  # noqa: PLC0415
    from bothways.lab.build import BuildError  # noqa: PLC0415

    scratch = None if folder is not None else tempfile.mkdtemp(prefix="bothways-lab-")
    target = folder if folder is not None else Path(str(scratch))
    try:
        with hold(naming):
            return run_once(
                read.site,
                naming,
                target,
                scenario=str(read.path),
                winner=winner,
                seed=seed,
                agent=agent,
                tell=progress,
                doubt=doubt,
            )
    except LabError as error:
        raise CommandError(str(error), error.hint) from None
    except (BuildError, CaptureError) as error:
        raise CommandError(str(error), "the lab is removed") from None
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _say_outcome(outcome: Outcome, read: Scenario, *, as_json: bool) -> None:
    attempt = outcome.attempt
    wanted = read.expectation.fate if read.expectation is not None else None
    for gap in outcome.gaps:
        tell(f"not collected: {gap}")
    if as_json:
        row: dict[str, Any] = {
            "schema": "bothways/lab-run/1",
            "scenario": read.name,
            "fate": attempt.fate,
            "expected": wanted,
            "stage": attempt.stage,
            "error": attempt.error,
            "winner": attempt.winner,
            "checks": [{"fate": tried.fate, "expected": each.fate} for each, tried in outcome.checks],
            "seconds": {key: round(value, 3) for key, value in outcome.seconds.items()},
        }
        say(json.dumps(row) + "\n")
        return
    verdict = "" if wanted is None else f": {wanted} was expected"
    verdict = ": as expected" if attempt.fate == wanted else verdict
    who = f", {attempt.winner} answered ARP" if attempt.winner else ""
    times = ", ".join(f"{key} {value:.1f} s" for key, value in outcome.seconds.items())
    say(f"{read.name}: {attempt.text}{who}{verdict} ({times})\n")
    for each, tried in outcome.checks:
        to = f"{each.question.at} > {each.question.destination}:{each.question.destination_port}"
        right = "as expected" if tried.fate == each.fate else f"{each.fate} was expected"
        say(f"  also {to}: {tried.text}: {right}\n")


def _folder(folder: Path | None, number: int, repeat: int) -> Path | None:
    return folder if folder is None or repeat == 1 else folder / str(number)
