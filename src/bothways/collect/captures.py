"""
tcpdump at many taps at once.

They all listen before anything happens, and what the kernel dropped is written beside each capture: a packet
that is not in a capture is a finding only if nothing was lost.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["CaptureError", "Captures", "Tap"]

_SNAPLEN: Final = 2048
_PATIENCE: Final = 10.0
_COUNTS: Final = re.compile(r"^(\d+) packets? (captured|received by filter|dropped by kernel)", re.MULTILINE)
_NAMES: Final = {"captured": "captured", "received by filter": "received", "dropped by kernel": "dropped"}


class CaptureError(Exception):
    """A capture that did not start; the text is tcpdump's."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A device of a namespace; *space* is the machine's name of it."""

    host: str
    netns: str
    device: str
    space: str | None


class Captures:
    """
    Captures of a bundle, from ``with`` to its end.

    :param folder: the bundle's.
    :param expression: pcap-filter(7).
    :param linger: seconds that they run on at the end, so that what is under way still arrives.
    """

    def __init__(self, folder: Path, taps: Sequence[Tap], expression: str, linger: float = 0.2) -> None:
        self._folder, self._taps, self._filter, self._linger = folder, taps, expression, linger
        self._running: list[tuple[Tap, subprocess.Popen[str], float]] = []
        self.lost: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            for tap in self._taps:
                self._start(tap)
            for tap, process, _ in self._running:
                _listens(tap, process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            time.sleep(self._linger)
        self._end()

    def _start(self, tap: Tap) -> None:
        file = self._file(tap)
        file.parent.mkdir(parents=True, exist_ok=True)
        around = () if tap.space is None else ("ip", "netns", "exec", tap.space)
        # A snapshot length keeps the ring's slots small: with -s 0 it holds so few that packets are lost.
        words = ("tcpdump", "-Z", "root", "-nn", "-U", "--immediate-mode", "-s", str(_SNAPLEN), "-B", "4096")
        argv = ("setpriv", "--pdeathsig", "KILL", "--", *around, *words, "-i", tap.device, "-w", str(file))
        env: Mapping[str, str] = {
            **os.environ,
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
            "LC_ALL": "C",
        }
        process = subprocess.Popen((*argv, self._filter), stderr=subprocess.PIPE, text=True, env=env)
        self._running.append((tap, process, _now()))

    def _end(self) -> None:
        for _, process, _ in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for tap, process, started in self._running:
            try:
                said = process.communicate(timeout=_PATIENCE)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                said = process.communicate()[1]
            counts = {_NAMES[what]: int(number) for number, what in _COUNTS.findall(said or "")}
            if counts.get("dropped"):
                self.lost[f"{tap.host}/{tap.netns}:{tap.device}"] = counts["dropped"]
            beside = {
                "filter": self._filter,
                "snaplen": _SNAPLEN,
                "started": started,
                "stopped": _now(),
                **counts,
            }
            self._file(tap).with_suffix(".capture.json").write_text(
                json.dumps(beside) + "\n", encoding="utf-8"
            )
        self._running.clear()

    def _file(self, tap: Tap) -> Path:
        return self._folder / "hosts" / tap.host / "captures" / tap.netns / f"{tap.device}.pcap"


def _listens(tap: Tap, process: subprocess.Popen[str]) -> None:
    """Wait until tcpdump says that it listens."""
    said = []
    for line in process.stderr or ():
        said.append(line.strip())
        if "listening on" in line:
            return
    words = said[-1] if said else "it said nothing"
    raise CaptureError(f"{tap.host}/{tap.netns}:{tap.device}: {words}")


def _now() -> float:
    return round(time.time(), 6)
