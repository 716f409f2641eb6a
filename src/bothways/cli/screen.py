"""
Standard output and standard error.

A reader that has gone (``bothways diagnose CASE | head -3``) is no error: the rest goes nowhere, and the exit
code stays what the verdict says.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from typing import Final

import click

from bothways.cli.ending import CommandError, reason

__all__ = ["colour", "say", "say_data", "tell", "width"]

#: columns where the output is no terminal and ``COLUMNS`` says nothing
UNKNOWN_WIDTH: Final = 100
#: prose in longer lines than this is hard to read
WIDEST: Final = 120


def width() -> int:
    """Columns for a report: the terminal's, or ``COLUMNS``."""
    return min(shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns, WIDEST)


def colour() -> bool:
    """Colour is for terminals whose user did not set ``NO_COLOR``."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def say(text: str) -> None:
    """Write words for people to standard output; letters that it cannot show become ``?``."""
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        _write(text.encode(encoding))
    except UnicodeEncodeError:
        _write(text.replace("…", "...").encode(encoding, "replace"))


def say_data(text: str) -> None:
    """Write a document for programs to standard output: UTF-8 whatever the locale."""
    if sys.stdout is not None:
        _write(text.encode("utf-8", "backslashreplace"))


def tell(line: str) -> None:
    """Write a line to standard error; if nobody can read it, nobody is told."""
    with suppress(OSError):
        click.echo(line, err=True)


def _write(data: bytes) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _silence()
    except OSError as error:
        _silence()
        raise CommandError(f"standard output cannot be written: {reason(error)}") from error


def _silence() -> None:
    """Let what is still buffered go nowhere, or the interpreter complains when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
