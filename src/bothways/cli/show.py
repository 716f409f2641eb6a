"""``bothways show BUNDLE [WHAT]``, and ``bothways show BUNDLE flows``."""

from __future__ import annotations

from pathlib import Path

import click

from bothways.cli.case import open_case, place_options, tell_problems
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import colour, say, say_data, width
from bothways.report.flow_table import FilterError, flow_tables
from bothways.report.flow_table_json import flow_tables_json
from bothways.report.json import render_json
from bothways.report.show_json import show_json

__all__ = ["command"]

_WHAT = ("hosts", "captures", "stacks", "traces", "missing", "problems", "files")
_FLOWS = "flows"


@click.command("show", short_help="Say what is in a bundle, and what was understood of it.")
@click.argument("words", metavar="BUNDLE... [WHAT] [FILTER]", nargs=-1, required=True)
@place_options
@click.option("--bridge", metavar="[HOST:]BRIDGE", help="With flows: of this bridge only.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print bothways/show/1 instead of text, always all of it; with flows bothways/flows/1.",
)
def command(
    words: tuple[str, ...],
    taps: tuple[str, ...],
    places: tuple[str, ...],
    bridge: str | None,
    *,
    as_json: bool,
) -> int:
    """
    Say what is in a bundle, and what was understood of it.

    Hosts with their namespaces, devices, addresses and bridges; how many rows of each dump were read, and
    when; captures with their filters, times and losses; what was not collected; what was not understood.
    BUNDLE may be loose files, as for diagnose. WHAT is one of hosts, captures, stacks, traces, missing,
    problems, files; left out, all but the list of files is shown.

    With flows, the flow tables of Open vSwitch are shown, with counters, names of ports and lines. FILTER is
    terms between commas, all of which a flow must have: table=20, cookie=0xd1, priority=3, n_packets>0, or a
    piece of its match or actions as printed: 'table=20,dl_dst=fa:16:3e:4b:eb:3c', output:patch-tun.

    Exit 0 whatever is in it.
    """
    if _FLOWS in words[1:]:
        return _flows(words, taps, places, bridge or "", as_json=as_json)
    if bridge is not None:
        message = "--bridge goes with `flows`"
        raise CommandError(message, "bothways show BUNDLE flows --bridge br-int", ExitCode.WRONG_USAGE)
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


def _flows(
    words: tuple[str, ...], taps: tuple[str, ...], places: tuple[str, ...], bridge: str, *, as_json: bool
) -> int:
    """Show flow tables."""
    at = words.index(_FLOWS, 1)
    asked = ",".join(words[at + 1 :])
    case = open_case([Path(word) for word in words[:at]], taps, places)
    host, _, name = bridge.rpartition(":")
    bridges = [
        (site.name, each)
        for site in case.snapshot.hosts.values()
        for each in (() if site.switch is None else site.switch.bridges)
    ]
    if not any(host in ("", at) and name in ("", each) for at, each in bridges):
        message = f"no host has a bridge `{bridge}`" if bridge else "nothing of Open vSwitch was collected"
        known = ", ".join(f"{at}:{each}" for at, each in bridges)
        hint = f"there are {known}" if known else "`ovs-ofctl dump-flows BRIDGE` shows flows"
        raise CommandError(message, hint, ExitCode.WRONG_USAGE)
    try:
        tables = tuple(flow_tables(case, name, host, asked))
    except FilterError as error:
        hint = "table=20, cookie=0xd1/0xff, priority=3, n_packets>0, or a piece of a flow as printed"
        raise CommandError(str(error), hint, ExitCode.WRONG_USAGE) from error
    if asked:  # bridges without such a flow are of no interest
        tables = tuple(table for table in tables if table.rows or table.total is None) or tables
    if as_json:
        say_data(render_json(flow_tables_json(tables, bridge=name, host=host, asked=asked)) + "\n")
        return ExitCode.DONE
    # rich is loaded only where text is wanted
    from bothways.report.flow_table_text import render_flow_tables  # noqa: PLC0415

    say(render_flow_tables(tables, width=width(), colour=colour()))
    return ExitCode.DONE


def _told_apart(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Split WHAT from the files before it; a file of that name is a file."""
    sections = tuple(word for word in words[1:] if word in _WHAT and not Path(word).exists())
    paths = [Path(word) for word in words if word not in sections]
    last = paths[-1]
    if len(paths) > 1 and not last.exists() and last.suffix == "" and len(last.parts) == 1:
        message = f"`{last}` is neither a file nor a part of the report"
        raise CommandError(message, f"a part is one of {', '.join((*_WHAT, _FLOWS))}", ExitCode.WRONG_USAGE)
    return sections, tuple(paths)
