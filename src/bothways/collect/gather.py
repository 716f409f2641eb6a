"""Run the commands of a bundle and write what they print, with a record of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bothways.collect.commands import Command

__all__ = ["Gatherer", "Source"]

_PATIENCE: Final = 60


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where a command runs, and under which names its output is filed.

    :param host: the bundle's host; *netns* its namespace, ``root`` for its own.
    :param space: the machine's name of the namespace, None for that of this process.
    """

    host: str
    netns: str
    space: str | None


class Gatherer:
    """
    One bundle in the making.

    :param folder: where it goes; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}

    def netns(self, source: Source, commands: Iterable[Command]) -> None:
        """Ask a namespace."""
        for command in commands:
            self._keep(source, command, self.folder / "hosts" / source.host / "netns" / source.netns)

    def switch(self, source: Source, commands: Iterable[Command], words: Mapping[str, str]) -> None:
        """Ask a switch; *words* fill the commands in."""
        for command in commands:
            self._keep(source, command.filled(words), self.folder / "hosts" / source.host / "ovs")

    def kernel(self, host: str) -> None:
        """Write the release of the kernel."""
        self.write(Path("hosts") / host / "kernel.txt", os.uname().release + "\n")

    def write(self, file: Path, text: str) -> None:
        """Write a file of the bundle."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _keep(self, source: Source, command: Command, folder: Path) -> None:
        if not shutil.which(command.argv[0], path=self._env["PATH"]):
            self.failed.append(f"{source.host}/{source.netns}: `{command.argv[0]}` is not installed")
            return
        around = () if source.space is None else ("ip", "netns", "exec", source.space)
        start, began = time.time(), time.monotonic()
        try:
            done = subprocess.run(
                (*around, *command.argv), env=self._env, capture_output=True, check=False, timeout=_PATIENCE
            )
            code, out, error = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            code, out, error = -1, b"", f"no answer within {_PATIENCE} s".encode()
        self._record(source, command.argv, start, time.monotonic() - began, code, out, error)
        if code == 0:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / command.file).write_bytes(out)
        else:
            said = error.decode(errors="replace").strip().splitlines()
            words = said[-1] if said else f"exit {code}"
            self.failed.append(f"{source.host}/{source.netns}: {' '.join(command.argv)}: {words}")

    def _record(
        self,
        source: Source,
        argv: tuple[str, ...],
        start: float,
        seconds: float,
        code: int,
        out: bytes,
        error: bytes,
    ) -> None:
        line = {
            "host": source.host,
            "netns": source.netns,
            "argv": list(argv),
            "start": round(start, 6),
            "seconds": round(seconds, 6),
            "exit": code,
            "bytes": len(out),
            "stderr": error.decode(errors="replace")[:2000],
        }
        with (self.folder / "collection.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
