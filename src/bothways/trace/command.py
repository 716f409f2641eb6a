"""The user's own command, run while a trace goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

__all__ = ["Command", "start_command"]


class Command:
    """A command that runs beside the trace."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs; negative for a signal."""
        return self._process.poll()

    def end(self) -> None:
        """Ask it to end, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def start_command(argv: Sequence[str], *, aside: bool) -> Command:
    """
    Start a command.

    :param aside: send its output to standard error, where ours is for programs.
    :raises OSError: if it cannot be started.
    """
    return Command(subprocess.Popen(list(argv), stdout=sys.stderr if aside else None))
