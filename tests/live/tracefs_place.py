"""Where tests look at tracefs: where it is not mounted, the probe mounts it for itself alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bothways.trace.probe.tracefs_mount import find_tracefs

__all__ = ["instances", "seen_tracefs"]


@contextmanager
def seen_tracefs(folder: Path) -> Iterator[Path]:
    """Where tracefs is mounted; in *folder* if it is nowhere, until the end."""
    there = find_tracefs()
    if there is not None:
        yield Path(there)
        return
    subprocess.run(["mount", "-t", "tracefs", "tracefs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def instances(root: Path, pid: int) -> set[str]:
    """Instances of one probe: other tests may run probes of their own."""
    return {each.name for each in (root / "instances").glob("*bothways*") if str(pid) in each.name}
