"""Remove a lab: every process in its namespaces, the namespaces, its folder. It works after any crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bothways.lab.build import environment
from bothways.lab.naming import PREFIX, Naming
from bothways.lab.record import Record

__all__ = ["processes", "remove"]

_NAMESPACES: Final = Path("/run/netns")
_PATIENCE: Final = 10.0


def remove(naming: Naming, record: Record | None) -> tuple[str, ...]:
    """
    Remove a lab, and say what could not be removed.

    Only namespaces that the record names, and whose names are a lab's, are touched, and only processes that
    live in them.
    """
    spaces = [each for each in (record.spaces if record else {}) if each.startswith(PREFIX)]
    _end(spaces)
    left = []
    for space in spaces:
        if not (_NAMESPACES / space).exists():
            continue
        done = subprocess.run(
            ("ip", "netns", "del", space), env=environment(), capture_output=True, text=True, check=False
        )
        if (_NAMESPACES / space).exists():
            # Killed between the file and its mount: what is left is an empty file.
            with suppress(OSError):
                (_NAMESPACES / space).unlink()
        if (_NAMESPACES / space).exists():
            left.append(f"{space}: {done.stderr.strip()}")
    if not left:
        shutil.rmtree(naming.folder, ignore_errors=True)
        with suppress(FileNotFoundError):
            Path(f"{naming.folder}.lock").unlink()
    return tuple(left)


def _end(spaces: list[str]) -> None:
    """End every process of the namespaces, and wait until all are gone."""
    deadline = time.monotonic() + _PATIENCE
    while running := processes(spaces):
        for pid, _ in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)


def processes(spaces: list[str]) -> set[tuple[int, str]]:
    """Return pid and name of every process whose network namespace is one of these."""
    wanted = set()
    for space in spaces:
        with suppress(OSError):
            at = (_NAMESPACES / space).stat()
            if _NAMESPACES.stat().st_dev != at.st_dev:
                wanted.add(at.st_ino)
    if not wanted:
        return set()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if (entry / "ns/net").stat().st_ino in wanted and _alive(entry):
                    found.add((int(entry.name), (entry / "comm").read_text().strip()))
    return found


def _alive(entry: Path) -> bool:
    """Whether a process still runs: one that has ended and was not waited for has nothing open."""
    return not (entry / "stat").read_text().rpartition(")")[2].lstrip().startswith("Z")
