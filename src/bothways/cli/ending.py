"""How a run ends: exit codes, and errors that say what was expected and what to do."""

from __future__ import annotations

import errno
import traceback
from enum import IntEnum
from pathlib import Path
from typing import Final

import click

__all__ = ["CommandError", "ExitCode", "bug", "reason", "usage"]

_PACKAGE: Final = Path(__file__).resolve().parent.parent


class ExitCode(IntEnum):
    """What the shell is told. The page is ``docs/reference/exit-codes.md``."""

    DONE = 0
    CAUSE_FOUND = 1
    WRONG_USAGE = 2
    UNDETERMINED = 3
    COULD_NOT_RUN = 4
    INTERRUPTED = 130  # as shells report SIGINT


class CommandError(click.ClickException):
    """
    A run that cannot go on.

    :param message: one lower-case sentence that says what was expected and where.
    :param hint: what to do about it, "" if nothing can be done.
    """

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.COULD_NOT_RUN) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


def usage(error: click.ClickException) -> CommandError:
    """Turn what click says of a wrong call into the house's form."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "bothways"
    message = error.format_message().strip().removesuffix(".")
    return CommandError(
        f"{message[:1].lower()}{message[1:]}", f"`{command} --help` shows the form", ExitCode.WRONG_USAGE
    )


def bug(error: Exception) -> CommandError:
    """Say in one line that an unexpected exception is a bug, and where it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)] or frames
    place = ""
    if ours:
        path = Path(ours[-1].filename)
        name = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else path.name
        place = f" at {name}:{ours[-1].lineno}"
    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    hint = "please report it with the bundle; BOTHWAYS_DEBUG=1 shows the whole traceback"
    return CommandError(f"this is a bug in bothways: {what[:300]}{place}", hint)


def reason(error: OSError) -> str:
    """Why the system refused, in lower case: ``no space left on device``."""
    if error.errno == errno.ENOENT:
        return "no such file or folder"
    return (error.strerror or type(error).__name__).lower()
