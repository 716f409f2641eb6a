"""
``bothways`` itself.

The help is printed from the table below, so that it costs no import; a verb's module and the rooms that it
needs are loaded when the verb is called.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from bothways.cli.ending import CommandError, ExitCode, bug, usage
from bothways.cli.screen import tell

__all__ = ["Verbs", "main"]

#: verb -> what it does, one line. Its module is ``bothways.cli.VERB`` and holds it as ``command``.
_VERBS: Final = {
    "conform": "Hold the model against a kernel, recorded or running.",
    "conntrack": "Step the TCP tracker by hand: state, verdict, reason.",
    "demo": "Diagnose the incident that bothways was born from.",
    "diagnose": "Say why a connection failed, who did it, and what proves it.",
    "explain": "Print the page of a cause.",
    "lab": "Rebuild a scenario in namespaces, and try its connection for real.",
    "predict": "Walk a connection through the dumps, every outcome.",
    "show": "Say what is in a bundle, and what was understood of it.",
    "trace": "Say what the kernel does to packets, as it does it.",
    "whatif": "Walk a connection before and after a change, made on paper only.",
}
_EPILOG: Final = """\b
Examples:
  bothways demo
  bothways diagnose CASE
  bothways diagnose CASE 'tcp 192.0.2.1 > 192.0.2.2:22' --html verdict.html

Exit codes: 0 healthy or done, 1 cause found, 2 wrong usage, 3 undetermined, 4 could not run.
"""


class Verbs(click.Group):
    """The group of verbs; it answers every error with one sentence, a hint and an exit code."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a verb."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        verb: click.Command = import_module(f"bothways.cli.{cmd_name}").command
        return verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that the first word names."""
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            raise CommandError(*_no_verb(args[0]), ExitCode.WRONG_USAGE)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 (click calls it so)
        **extra: Any,
    ) -> NoReturn:
        """Run a command line and exit; no exception leaves."""
        del standalone_mode
        try:
            ended = super().main(args, prog_name or "bothways", complete_var, standalone_mode=False, **extra)
            code = ended if isinstance(ended, int) else ExitCode.DONE
        except CommandError as error:
            code = _refuse(error)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = ExitCode.WRONG_USAGE
        except click.Abort:
            tell("bothways: interrupted")
            code = ExitCode.INTERRUPTED
        except click.ClickException as error:
            code = _refuse(usage(error))
        except Exception as error:  # noqa: BLE001 (the last resort: a user must never meet a traceback)
            if os.environ.get("BOTHWAYS_DEBUG"):
                traceback.print_exc()
            code = _refuse(bug(error))
        sys.exit(int(code))


def _refuse(error: CommandError) -> int:
    tell(f"bothways: {_plain(error.message)}")
    if error.hint:
        tell(f"  hint: {_plain(error.hint)}")
    return error.code


def _plain(text: str) -> str:
    """Spell out what could move a terminal's cursor: names of files may hold anything."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _no_verb(word: str) -> tuple[str, str]:
    verbs = ", ".join(_VERBS)
    close = difflib.get_close_matches(word, _VERBS, n=1)
    if close:
        return f"no verb `{word}`, expected one of {verbs}", f"did you mean `bothways {close[0]}`?"
    if Path(word).exists():
        return f"a verb is expected before `{word}`", f"`bothways diagnose {word}` says what happened there"
    return f"no verb `{word}`, expected one of {verbs}", "`bothways --help` says what they do"


@click.group(
    "bothways",
    cls=Verbs,
    commands={name: click.Command(name, short_help=said) for name, said in _VERBS.items()},
    subcommand_metavar="VERB …",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(package_name="bothways", prog_name="bothways", message="%(prog)s %(version)s")
def main() -> None:
    """
    Say why a connection was reset, dropped or stalled, and prove it.

    From the captures and dumps that you already have: who did it (host, namespace, device), why, and which
    line of which dump proves it.
    """
