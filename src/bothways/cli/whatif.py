"""``bothways whatif BUNDLE [FLOW] --change 'HOST[/NETNS]: COMMAND'``."""

from __future__ import annotations

from typing import Final

import click

from bothways.cli.case import evidence_arguments, no_connection, open_case, read_words, tell_problems
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import colour, say, say_data, width
from bothways.diagnose import NoConnectionError
from bothways.diagnose.whatif import what_if
from bothways.facts.change import PlacedChange
from bothways.model.change import NothingToChangeError
from bothways.parse.change import ChangeError, parse_change
from bothways.report.json import render_json
from bothways.report.whatif_json import whatif_json

__all__ = ["command", "read_change"]

_HINT: Final = "changes are made to what the dumps show: see hosts/ in the bundle"


@click.command("whatif", short_help="Walk a connection before and after a change, made on paper only.")
@evidence_arguments
@click.option(
    "--change",
    "changes",
    metavar="CHANGE",
    multiple=True,
    required=True,
    help="HOST[/NETNS]: COMMAND. May be given several times; they are made in order.",
)
@click.option("--json", "as_json", is_flag=True, help="Print bothways/whatif/1 instead of text.")
@click.option("--problems", is_flag=True, help="List every problem in the evidence, not only the first 10.")
def command(
    words: tuple[str, ...],
    taps: tuple[str, ...],
    places: tuple[str, ...],
    changes: tuple[str, ...],
    *,
    as_json: bool,
    problems: bool,
) -> int:
    """
    Walk a connection of BUNDLE before and after a change. Nothing is changed on any host.

    CHANGE is a command as you would type it: ip, iptables, nft, sysctl, conntrack, ovs-ofctl or ovs-vsctl.
    HOST and NETNS say where; left out, the one place where it fits is meant:

    \b
      bothways whatif CASE --change 'host1/qrouter: iptables -I FORWARD -j ACCEPT'
      bothways whatif CASE --change 'ip netns exec qrouter sysctl -w net.ipv4.ip_forward=1'
      bothways whatif CASE --change "host1: nft -f - <<< 'table ip t { … }'"

    works: it works as recorded, and no other choice of the network gets worse. fails: it fails as recorded.
    depends: it works as recorded, but another choice that worked before fails now. Exit 0 whatever the
    verdict: the walk was done.
    """  # noqa: D301 (click wants the control character)
    paths, question = read_words(words)
    read = [read_change(text) for text in changes]
    case = open_case(paths, taps, places)
    try:
        found = what_if(case, read, question)
    except NoConnectionError as error:
        raise no_connection("whatif", paths, " --change …") from error
    except NothingToChangeError as error:
        raise CommandError(f"the change cannot be made: {error}", error.hint or _HINT) from error
    if as_json:
        say_data(render_json(whatif_json(found)) + "\n")
    else:
        # rich is loaded only where text is wanted
        from bothways.report.whatif_text import render_whatif_text  # noqa: PLC0415

        say(render_whatif_text(found, width=width(), colour=colour()))
    tell_problems(case.problems, every=problems)
    return ExitCode.DONE


def read_change(text: str) -> PlacedChange:
    """Read one change, or end with what was expected."""
    try:
        return parse_change(text)
    except ChangeError as error:
        place = "" if error.column is None else f" (column {error.column})"
        raise CommandError(
            f"the change `{text}` cannot be read: {error}{place}", error.hint, ExitCode.WRONG_USAGE
        ) from error
