"""``bothways trace [FILTER] [-- CMD]``, ``trace diff`` and ``trace devices``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from bothways.cli.ending import CommandError, ExitCode

__all__ = ["command"]

#: Verb below `trace` -> the module that holds it as `command`, and what it does.
_BELOW: Final = {
    "devices": (
        "bothways.cli.trace_devices",
        "Namespaces, their devices, and the function that transmits for each.",
    ),
    "diff": ("bothways.cli.trace_diff", "Say where the call stacks of two packets part."),
}
_EPILOG: Final = """\b
Examples:
  bothways trace 'tcp port 22' -- nc -zv 192.0.2.1 22
  bothways trace --profile drop --netns qrouter-1 -o case/
  bothways trace --host host1 --host host5 'host 192.0.2.1' --timeout 30
"""
_SIZES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class _Trace(click.Group):
    """A command of its own that has verbs below it: a first word that is one of them is called."""

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Choose between the trace itself and a verb below it."""
        if args and args[0] in _BELOW:
            below = self.get_command(None, args[0])
            return below.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return click.Command.make_context(self, info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut off what follows `--`: it is the user's own command."""
        own, cut, theirs = args, False, []
        if "--" in args:
            at = args.index("--")
            own, cut, theirs = args[:at], True, args[at + 1 :]
        if cut and not theirs:
            message = "a command is expected behind `--`"
            raise CommandError(message, "bothways trace 'tcp port 22' -- ssh HOST", ExitCode.WRONG_USAGE)
        ctx.obj = tuple(theirs)
        return click.Command.parse_args(self, ctx, own)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the trace itself."""
        return click.Command.invoke(self, ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs below, those that are built."""
        del ctx
        return [name for name in _BELOW if _there(name)]

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command:
        """Load a verb below."""
        del ctx
        verb: click.Command = import_module(_BELOW[cmd_name][0]).command
        return verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs below without loading them."""
        with formatter.section("Verbs below"):
            formatter.write_dl([(name, _BELOW[name][1]) for name in self.list_commands(ctx)])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the form of the trace itself."""
        return [*click.Command.collect_usage_pieces(self, ctx), "[-- CMD…]"]


def _there(name: str) -> bool:
    return Path(__file__).with_name(f"trace_{name}.py").exists()


class _Size(click.ParamType[int]):
    """Octets, with k, M or G behind them."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number = str(value).strip().lower().removesuffix("b").removesuffix("i")
        unit = number[-1:] if number[-1:] in _SIZES else ""
        try:
            octets = int(float(number.removesuffix(unit)) * _SIZES[unit])
        except (ValueError, OverflowError):
            self.fail(f"`{value}` is no size such as 16M", param, ctx)
        if octets <= 0:
            self.fail(f"`{value}` is no size such as 16M", param, ctx)
        return octets


@click.command(
    "trace",
    cls=_Trace,
    no_args_is_help=False,
    subcommand_metavar="",
    epilog=_EPILOG,
    short_help="Say what the kernel does to packets, as it does it.",
)
@click.argument("words", metavar="[FILTER]", nargs=-1)
@click.option(
    "--host",
    "hosts",
    metavar="[USER@]HOST",
    multiple=True,
    help="Over ssh; more than one; `local` is this machine.",
)
@click.option(
    "--ssh-config",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Configuration of ssh, in place of your own.",
)
@click.option("--netns", metavar="NAME|PATH|inode:N", multiple=True, help="Packets in this namespace only.")
@click.option("--device", metavar="GLOB", multiple=True, help="Packets at these devices only: 'qg-*'.")
@click.option(
    "--profile",
    metavar="NAME|FILE.toml",
    default="reset",
    show_default=True,
    help="What is looked at: reset, drop, nat, ovs, all.",
)
@click.option(
    "--stack",
    type=click.Choice(["all", "drop", "rst", "xmit", "none"]),
    help="When a call stack is taken; the profile says it otherwise.",
)
@click.option(
    "--follow-nat/--no-follow-nat",
    default=True,
    help="Packets also under their names beyond NAT (the default).",
)
@click.option("-c", "--count", metavar="N", type=click.IntRange(min=1), help="End after so many events.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), help="End after so long."
)
@click.option("--ring-size", type=_Size(), help="Memory for events on each host, 16M otherwise.")
@click.option(
    "--tier",
    type=click.Choice(["fentry", "kprobe", "raw_tracepoint", "tracefs"]),
    help="Ask the kernel this way only.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print bothways/trace/1, one JSON object a line, and no account."
)
@click.option(
    "-o",
    "--output",
    metavar="BUNDLE",
    type=click.Path(path_type=Path),
    help="Keep all lines in this bundle, a new one or one that is there.",
)
@click.option("--rotate", type=_Size(), help="With -o: begin a new file after so many bytes.")
@click.option(
    "--pcapng",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a capture file as well, comments say what the kernel did.",
)
@click.option("--list", "listing", is_flag=True, help="List the probes, and why one cannot run here.")
@click.option(
    "--allow-system-changes",
    is_flag=True,
    help="Let it switch on the kernel's own timing of programs while it runs.",
)
@click.pass_context
def command(ctx: click.Context, /, words: tuple[str, ...], **given: Any) -> int:
    """
    Say what the kernel does to packets, as it does it: who sends a RST, who drops, and why.

    FILTER is that of tcpdump: 'host 192.0.2.1 and tcp port 22'. A packet is followed through address
    translation, namespaces, copies and tunnels, on this machine or on several hosts at once; nothing is
    installed there, and nothing is changed. Each event is one line below its packet. At the end an account
    says who did what: host, namespace, device, kernel function, reason, and which packet provoked it.

    With CMD the trace ends when the command ends. A line on standard error that begins with `ready:` says
    that nothing is missed from here on.

    Needs root, or CAP_BPF with CAP_PERFMON and CAP_SYSLOG. Exit 0 when it ran, 4 if a host could not be
    traced.
    """
    # the rooms that a trace needs are loaded when one is wanted
    from bothways.cli.trace_run import run_trace  # noqa: PLC0415
    from bothways.cli.trace_wanted import Wanted  # noqa: PLC0415

    return run_trace(Wanted(filter=" ".join(words), argv=ctx.obj or (), **given))
