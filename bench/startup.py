"""
Measures what a user waits for: `bothways --help`, and the incident from folder to verdict.

Each run is paired with an empty Python started right before it, so that a busy or slow machine shows in
both; the ratio of a pair travels between machines, milliseconds do not. The limits are those that the
project promises on one core. Exit 1 if one is missed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COMMAND = str(Path(sys.executable).with_name("bothways"))
EMPTY = (sys.executable, "-c", "pass")
PAIRS = 11
CAUSE_FOUND = 1


class Subject(NamedTuple):
    """One command line, the longest that it may take (seconds), and the exit code that is right."""

    name: str
    argv: tuple[str, ...]
    limit: float
    exit_code: int


SUBJECTS = (
    Subject("bothways --help", (COMMAND, "--help"), 0.3, 0),
    Subject(
        "bothways diagnose examples/incident", (COMMAND, "diagnose", "examples/incident"), 2.0, CAUSE_FOUND
    ),
    Subject(
        "bothways diagnose examples/dual-l3", (COMMAND, "diagnose", "examples/dual-l3"), 2.0, CAUSE_FOUND
    ),
)


def seconds(argv: tuple[str, ...], exit_code: int = 0) -> float:
    """Wall time of one run on one core, seconds. Raises RuntimeError if the run went wrong."""
    start = time.perf_counter()
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    passed = time.perf_counter() - start
    if result.returncode != exit_code:
        said = result.stderr.decode(errors="replace")
        raise RuntimeError(f"{' '.join(argv)}: exit {result.returncode}, expected {exit_code}\n{said}")
    return passed


def main() -> int:
    """Print one line per subject: medians of both sides of the pairs, and the median ratio."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{PAIRS} pairs each, on one core, Python {sys.version.split()[0]}; medians")
    missed = 0
    for subject in SUBJECTS:
        seconds(subject.argv, subject.exit_code)  # bytecode is written once
        pairs = [(seconds(EMPTY), seconds(subject.argv, subject.exit_code)) for _ in range(PAIRS)]
        empty, took = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        verdict = "ok" if took < subject.limit else "MISSED"
        missed += verdict == "MISSED"
        times = f"{took * 1000:6.0f} ms, {ratio:5.1f} x an empty Python ({empty * 1000:.0f} ms)"
        print(f"  {subject.name:36} {times}, limit {subject.limit * 1000:.0f} ms: {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
