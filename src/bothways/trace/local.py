"""The probe as a child process of this machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

import bothways
from bothways.trace.probe.privileges import lacking

__all__ = ["CannotStart", "Ending", "LocalProbe", "ask_local", "start_local"]

_START = """
import sys
sys.path.insert(0, {!r})
from bothways.trace.probe.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
#: The probe needs nothing that is installed, so Python does not look for it: it starts the sooner.
_PROBE = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    _START.format(str(Path(bothways.__file__).parent.parent)),
)

#: How long a probe may take to detach before it is ended.
_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a probe ended.

    :param status: 0, or a word or number that says what went wrong.
    :param text: a sentence for the user, "" if all went well; *hint* what to do.
    """

    status: int | str
    text: str = ""
    hint: str = ""


class CannotStart(Exception):  # noqa: N818  what it says is a sentence for the user
    """The system does not let the probe be started; ``hint`` says what to do."""

    def __init__(self, error: OSError) -> None:
        why = f"`{sys.executable}`: {(error.strerror or type(error).__name__).lower()}"
        lacks = lacking()
        super().__init__(
            f"the probe cannot be started: {why}"
            + (f"; and this process lacks {' and '.join(lacks)}" if lacks else "")
        )
        self.hint = (
            "run it as root, or with CAP_BPF, CAP_PERFMON and CAP_SYSLOG, and by a Python that it may run"
            if lacks
            else "let it run that Python"
        )


class LocalProbe:
    """
    A probe that runs here. Its end is asked for by closing its standard input.

    :raises CannotStart: where the system refuses.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.host = ""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._problem = "", ""
        # In a session of its own, so that an interrupt from the terminal reaches it in order: through us.
        try:
            self._process = subprocess.Popen(
                [*_PROBE, "trace", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStart(error) from error

    def lines(self) -> Iterator[str]:
        """Every line that it prints, until it ends."""
        for line in self._process.stdout or ():
            text = line.decode(errors="replace").rstrip("\n")
            if '"problem"' in text:
                self._remember(text)
            yield text
        self._process.wait()

    def stop(self) -> None:
        """Ask it to detach; what it has gathered still comes."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def end(self) -> None:
        """End it if it has not ended by itself."""
        self.stop()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def clock(self) -> tuple[int, int] | None:
        """Our own clock needs no bounds."""
        return None

    def ending(self) -> Ending:
        """How it ended, once there are no more lines."""
        status = self._process.wait()
        if status == 0:
            return Ending(0)
        text, hint = self._problem
        if not text:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines()
            text = f"the probe ended with status {status}" + (f": {said[-1]}" if said else "")
        return Ending(status, text, hint)

    def _remember(self, text: str) -> None:
        with suppress(orjson.JSONDecodeError, AttributeError):
            said = orjson.loads(text)
            if said.get("type") == "problem":
                self._problem = str(said.get("text") or ""), str(said.get("hint") or "")


def start_local(arguments: Sequence[str]) -> LocalProbe:
    """Start a probe here; *arguments* are those of its verb ``trace``."""
    return LocalProbe([*arguments, "--stdin-close-stops"])


def ask_local(arguments: Sequence[str]) -> tuple[list[dict[str, Any]], Ending]:
    """Run another verb of the probe to its end; return the objects that it printed, and how it ended."""
    try:
        run = subprocess.run(
            [*_PROBE, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        refused = CannotStart(error)
        return [], Ending("not-started", str(refused), refused.hint)
    rows: list[dict[str, Any]] = []
    for line in run.stdout.splitlines():
        with suppress(orjson.JSONDecodeError):
            said = orjson.loads(line)
            rows.extend([said] if isinstance(said, dict) else [])
    told = next((row for row in rows if row.get("type") == "problem"), None)
    if run.returncode == 0:
        return rows, Ending(0)
    if told is not None:
        return rows, Ending(run.returncode, str(told.get("text") or ""), str(told.get("hint") or ""))
    last = run.stderr.decode(errors="replace").strip().splitlines()
    text = f"the probe ended with status {run.returncode}" + (f": {last[-1]}" if last else "")
    return rows, Ending(run.returncode, text)
