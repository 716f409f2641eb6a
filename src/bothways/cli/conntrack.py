"""``bothways conntrack 'S> S.< .>'``."""

from __future__ import annotations

import re
from typing import Final

import click

from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import colour, say, say_data, width
from bothways.model.linux.conntrack.stepping import step_by_hand
from bothways.model.linux.conntrack.variant import variant_of
from bothways.parse.segments import SegmentsError, parse_segments
from bothways.report.conntrack_json import conntrack_json
from bothways.report.json import render_json

__all__ = ["command"]

_RELEASE: Final = re.compile(r"\d{1,3}\.\d{1,4}")


@click.command("conntrack", short_help="Step the TCP tracker by hand: state, verdict, reason.")
@click.argument("segments", metavar="SEGMENTS", nargs=-1, required=True)
@click.option(
    "--loose",
    type=click.IntRange(0, 1),
    default=1,
    show_default=True,
    help="nf_conntrack_tcp_loose: may a connection be picked up midway.",
)
@click.option(
    "--ignore-invalid-rst",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    help="nf_conntrack_tcp_ignore_invalid_rst: a RST that is too old is not refused.",
)
@click.option(
    "--be-liberal",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    help="nf_conntrack_tcp_be_liberal: what is outside the window is taken all the same.",
)
@click.option(
    "--kernel", metavar="RELEASE", help="Behave as this release does, such as 5.4; the newest if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print bothways/conntrack/1 instead of text.")
def command(
    segments: tuple[str, ...],
    loose: int,
    ignore_invalid_rst: int,
    be_liberal: int,
    kernel: str | None,
    *,
    as_json: bool,
) -> int:
    """
    Step Linux' TCP connection tracker by hand.

    SEGMENTS are written as tcpdump prints flags, in quotes: 'S> S.< .> P.>:21'. A `>` is sent by the client,
    `<` by the server, `:21` is the payload in bytes, `none>` has no flag. Brackets stand around what did not
    pass the tracker: 'S> (S.<) .>' is a reply that bypasses it. `+10` lets ten seconds pass.

    For each segment: the entry's state before and after, the ctstate, the cell of the state table, the
    reason, and what the kernel logs. Both ends number their bytes, acknowledge all that they got, and give a
    window of 64,240 bytes without scaling; a segment lies outside a window where the tracker missed others.
    """
    text = " ".join(segments)
    if kernel is not None and _RELEASE.search(kernel) is None:
        message = f"`{kernel}` is not a kernel release"
        raise CommandError(message, "write it like `--kernel 5.4`", ExitCode.WRONG_USAGE)
    try:
        written = parse_segments(text)
    except SegmentsError as error:
        raise CommandError(f"column {error.column}: {error}", error.hint, ExitCode.WRONG_USAGE) from error
    sysctls = {
        "nf_conntrack_tcp_loose": loose,
        "nf_conntrack_tcp_ignore_invalid_rst": ignore_invalid_rst,
        "nf_conntrack_tcp_be_liberal": be_liberal,
    }
    steps = step_by_hand(written, sysctls=sysctls, kernel=kernel)
    name = variant_of(kernel).name
    if as_json:
        say_data(render_json(conntrack_json(steps, kernel=name, sysctls=sysctls)) + "\n")
    else:
        from bothways.report.conntrack_text import render_conntrack_text  # noqa: PLC0415 (rich, only for text)

        say(render_conntrack_text(steps, kernel=name, width=width(), colour=colour()))
    return ExitCode.DONE
