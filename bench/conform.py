"""
Measures how fast recorded sequences go through the model, file reading included.

The recording that comes with the tests is replayed on one core, in pairs with a plain reading of the same
JSON, so that a busy or slow machine shows in both: the ratio of a pair travels between machines, segments
per second do not. The limit is what the project promises: 25,000 segments per processor second. Exit 1 if
it is missed, or if something disagrees. Another recording may be named: ``bench/conform.py FILE``.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import sys
import time
from pathlib import Path

from bothways.conform.recording import read_recording
from bothways.conform.replay import replay

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "tests" / "unit" / "model" / "data" / "conntrack-6.18.jsonl.gz"
PAIRS = 5
LIMIT = 25_000


def reading(path: Path) -> float:
    """Processor seconds that unpacking the file and reading its JSON takes."""
    start = time.process_time()
    with gzip.open(path, "rb") as lines:
        for line in lines:
            json.loads(line)
    return time.process_time() - start


def replaying(path: Path) -> tuple[float, int, int]:
    """Processor seconds of a replay, segments, and disagreements."""
    outcome = replay(read_recording(path))
    return outcome.seconds, outcome.checks, outcome.disagreements


def main() -> int:
    """Print one line: medians of both sides of the pairs, and the median ratio."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    _, checks, disagreements = replaying(path)
    pairs = [(reading(path), replaying(path)[0]) for _ in range(PAIRS)]
    read, took = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    rate = checks / took
    verdict = "ok" if rate >= LIMIT and not disagreements else "MISSED"
    print(f"{PAIRS} pairs, on one core, Python {sys.version.split()[0]}; medians")
    print(
        f"  {path.name}: {checks} segments, {disagreements} disagreements, {rate:,.0f} segments a second, "
        f"{ratio:.1f} x reading the file ({read * 1000:.0f} ms), limit {LIMIT:,}: {verdict}"
    )
    return 0 if verdict == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
