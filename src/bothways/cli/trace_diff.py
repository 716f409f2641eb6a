"""``bothways trace diff A B``: where the call stacks of two packets part."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import colour, say, say_data
from bothways.correlate.kernel_account import account
from bothways.correlate.kernel_deed import came_in
from bothways.correlate.kernel_stack_diff import compare_stacks
from bothways.facts.filter_tree import admits, unknown_parts
from bothways.facts.kernel_account import KernelAccount, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.parse.filter import parse_filter
from bothways.parse.kernel_event import parse_kernel_trace
from bothways.parse.kernel_stack import parse_kernel_stacks
from bothways.parse.kernel_trace import runs_of
from bothways.parse.predicted_stack import is_predicted, parse_predicted_stacks
from bothways.report.json import render_json
from bothways.report.kernel_lines import packet_words
from bothways.report.kernel_stack_text import NamedStack, render_stack_diff, stack_diff_json
from bothways.report.words import plain, shorten

__all__ = ["command", "read_stack"]

_EPILOG: Final = """\b
A and B:
  trace.jsonl#3            packet 3 of a trace, as the account numbers it
  trace.jsonl#tcp-syn      the packets of a filter, as FILTER of trace
  trace.jsonl#3@qrouter-1  only its events at places with this in their name
  dmesg.txt, dmesg.txt#2   pasted stacks: dmesg, ftrace, perf, bpftrace
  walk.txt#'ACK qrouter'   `bothways predict --as stack`: words of its packet and place
"""
_MOST_NAMED: Final = 12
_ENDS: Final = frozenset({Happening.RST_SENT, Happening.DROP, Happening.ICMP_SENT})
_STDIN: Final = "-"


@click.command("diff", epilog=_EPILOG, short_help="Say where the call stacks of two packets part.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print bothways/stack-diff/1 instead of text.")
def command(first: str, second: str, *, as_json: bool) -> int:
    """
    Say where the call stacks of two packets part.

    A and B are files, with a selector behind `#` where a file holds several stacks:

    A lone `-` is standard input. Functions are compared from the outside in; what compilers inlined or turned
    into jumps is no difference. Exit 0 whether they part or not.
    """
    one, other = read_stack(first), read_stack(second)
    diff = compare_stacks(one.frames, other.frames)
    if as_json:
        say_data(render_json(stack_diff_json(one, other, diff)) + "\n")
    else:
        say(render_stack_diff(one, other, diff, colour=colour()))
    return ExitCode.DONE


def read_stack(operand: str) -> NamedStack:
    """
    Read the stack that an operand names.

    :raises CommandError: if it cannot be read, holds none, or if it does not say which.
    """
    name, text, selector = _read(operand)
    if text.lstrip("\ufeff \n").startswith("{"):
        return _of_trace(name, text, selector)
    if is_predicted(text):
        stacks = parse_predicted_stacks(text, file=name).rows
    else:
        stacks = parse_kernel_stacks(text, file=name).rows
    named = [NamedStack(stack.title, stack.functions) for stack in stacks if stack.functions]
    return _chosen(name, named, selector)


def _read(operand: str) -> tuple[str, str, str]:
    """Name, text and selector. A file may have `#` in its name."""
    path, cut, selector = operand, "", ""
    if operand != _STDIN and not Path(operand).exists():
        path, cut, selector = operand.partition("#")
    if path == _STDIN:
        return "standard input", sys.stdin.read(), selector
    try:
        return path, Path(path).read_bytes().decode(errors="replace"), selector
    except OSError as error:
        hint = "a file is expected, as FILE or FILE#SELECTOR" if not cut else ""
        raise CommandError(f"`{path}` cannot be read: {reason(error)}", hint) from error


def _chosen(name: str, stacks: Sequence[NamedStack], selector: str) -> NamedStack:
    if not stacks:
        message = f"`{name}` holds no call stack"
        raise CommandError(message, "frames such as `ip_rcv+0x10/0x80` are expected, one a line")
    if selector.isdigit():
        number = int(selector)
        if not 1 <= number <= len(stacks):
            raise CommandError(f"`{name}` has no stack {number}", _listed(name, stacks), ExitCode.WRONG_USAGE)
        fitting = [stacks[number - 1]]
    else:
        words = selector.lower().split()
        fitting = [stack for stack in stacks if all(word in stack.name.lower() for word in words)]
        # `ACK` means the ACK before it means the SYN/ACK.
        most = max((_whole(words, stack.name) for stack in fitting), default=0)
        fitting = [stack for stack in fitting if _whole(words, stack.name) == most]
    if len(fitting) != 1:
        found = "no stack" if not fitting else f"{len(fitting)} stacks"
        wanted = f" with `{selector}` in its title" if selector else ""
        raise CommandError(
            f"`{name}` has {found}{wanted}", _listed(name, fitting or stacks), ExitCode.WRONG_USAGE
        )
    title = fitting[0].name
    return NamedStack(f"{name}: {title}" if title else name, fitting[0].frames)


def _whole(words: Sequence[str], title: str) -> int:
    """How many words stand in a title by themselves."""
    there = title.lower().split()
    return sum(word in there for word in words)


def _listed(name: str, stacks: Sequence[NamedStack]) -> str:
    shown = [
        f"{name}#{number} ({shorten(plain(stack.name) or stack.frames[0], 60)})"
        for number, stack in enumerate(stacks[:_MOST_NAMED], 1)
    ]
    return f"choose one: {', '.join(shown)}{' …' if len(stacks) > _MOST_NAMED else ''}"


def _of_trace(name: str, text: str, selector: str) -> NamedStack:
    parsed = parse_kernel_trace(text, file=name)
    told = account(runs_of(parsed.rows, file=name))
    what, _, place = selector.partition("@")
    packets = list(_packets(told, what.strip()))
    if not packets:
        wanted = f"no packet `{what.strip()}`" if what.strip() else "no packet"
        raise CommandError(f"`{name}` has {wanted}", _packets_listed(name, told), ExitCode.WRONG_USAGE)
    for packet in packets:
        found = _stack_of(packet, place.strip())
        if found is not None:
            event, frames = found
            words = packet_words(packet.headers)
            return NamedStack(f"{name}: #{packet.number} {words}, {event.happening} at {event.place}", frames)
    where = f" at a place with `{place.strip()}` in its name" if place else ""
    numbers = ", ".join(f"#{packet.number}" for packet in packets[:_MOST_NAMED])
    raise CommandError(
        f"`{name}`: no event of {numbers} has a call stack{where}",
        "trace with --stack xmit or --stack all",
    )


def _packets(told: KernelAccount, what: str) -> Iterator[TracedPacket]:
    if re.fullmatch(r"\d{1,9}", what):
        yield from (packet for packet in told.packets if packet.number == int(what))
        return
    tree = parse_filter(_spelt(what))
    if unknown_parts(tree):
        message = f"`{what}` is neither a packet's number nor a filter"
        raise CommandError(message, "as in FILE#3, or FILE#'tcp port 22'", ExitCode.WRONG_USAGE)
    for packet in told.packets:
        forms = [each.event.packet.carried.packet for each in packet.events if each.event.packet is not None]
        if any(admits(tree, form) for form in forms):
            yield packet


def _spelt(what: str) -> str:
    """Flags alone are a filter that people think of: ``tcp-syn`` is a segment with SYN and without ACK."""
    flags = {
        "tcp-syn": "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
        "tcp-synack": "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)",
        "tcp-ack": "tcp[tcpflags] & (tcp-syn|tcp-ack|tcp-rst) == tcp-ack",
        "tcp-rst": "tcp[tcpflags] & tcp-rst != 0",
    }
    return flags.get(what, what)


def _packets_listed(name: str, told: KernelAccount) -> str:
    shown = [f"#{each.number} {packet_words(each.headers)}" for each in told.packets[:_MOST_NAMED]]
    more = " …" if len(told.packets) > _MOST_NAMED else ""
    return f"`{name}` has {'; '.join(shown)}{more}" if shown else "the trace holds no packet"


def _stack_of(packet: TracedPacket, place: str) -> tuple[KernelEvent, tuple[str, ...]] | None:
    """The stack that says most of a packet: that of its end, else the deepest one below an arrival."""
    events = [each.event for each in packet.events if each.event.stack and place in each.event.place]
    if not events:
        return None
    best = max(
        events, key=lambda event: (event.happening in _ENDS, not came_in(event), len(event.stack or ()))
    )
    return best, best.stack or ()
