"""
The reasoning half, watched while it runs.

facts … report take values and return values. Imports are checked by import-linter; what a room *does* is
checked here with an audit hook: a test fails in which such a room opens a file, a socket or a process. Whose
doing it is, the call stack tells: the innermost frame that belongs to a room answers for it, so tests
themselves stay free to write what they need. `bundle` and `capture` may read evidence, and write below the
directory for temporary files.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

__all__ = ["GUARD", "Guard", "TouchedTheWorldError"]

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "bothways"

REASONING = frozenset(
    {"facts", "parse", "capture", "bundle", "correlate", "model", "diagnose", "report"},
)
READERS = frozenset({"bundle", "capture"})  # the two rooms that may open evidence

#: audit event, or family of events -> what to call it (Python 3.11 does not tell of threads and sleeping yet)
FORBIDDEN: Mapping[str, str] = {
    "socket": "opened a socket",
    "subprocess": "started a process",
    "os.system": "started a process",
    "os.exec": "started a process",
    "os.posix_spawn": "started a process",
    "os.fork": "started a process",
    "os.forkpty": "started a process",
    "pty.spawn": "started a process",
    "_thread.start_new_thread": "started a thread",
    "_thread.start_joinable_thread": "started a thread",
    "os.kill": "sent a signal",
    "os.killpg": "sent a signal",
    "os.putenv": "changed the environment",
    "os.unsetenv": "changed the environment",
    "os.chdir": "changed the working directory",
    "time.sleep": "slept",
    "ctypes.dlopen": "loaded a library",
    "urllib.Request": "opened a URL",
}
WRITES_PATH = frozenset(
    {
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
    },
)
READS_PATH = frozenset({"os.listdir", "os.scandir", "os.walk"})
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _roots(*paths: str | Path) -> tuple[str, ...]:
    return tuple(sorted({os.path.realpath(path) + os.sep for path in paths}))


#: installed packages, the standard library and the project's own code may read their own files
CODE = _roots(SOURCE, *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")))
SCRATCH = _roots(tempfile.gettempdir())
EVIDENCE = _roots(ROOT / "tests", ROOT / "examples", ROOT.parent / "shared", tempfile.gettempdir())


class TouchedTheWorldError(AssertionError):
    """A room of the reasoning half did what only the touching half may do."""


@dataclass(slots=True)
class Guard:
    """The switch of the audit hook. A hook cannot be removed, so there is one for the whole run."""

    thread: int | None = None
    seen: list[str] = field(default_factory=list)

    def arm(self) -> None:
        """Watch the calling thread from here on."""
        self.thread, self.seen = threading.get_ident(), []

    def disarm(self) -> list[str]:
        """Stop watching; what was seen, also where the room swallowed the error."""
        self.thread = None
        return self.seen

    def hook(self, event: str, args: tuple[object, ...]) -> None:
        """Judge one audit event; never costs more than a comparison while no test runs."""
        if self.thread != threading.get_ident():
            return
        what = FORBIDDEN.get(event) or FORBIDDEN.get(event.partition(".")[0])
        opens = event == "open" or event in WRITES_PATH or event in READS_PATH
        if not (what or opens):
            return
        room = _room()
        if room not in REASONING:
            return
        if opens:
            what = _judge(room, event, args)
        if what:
            sentence = f"bothways.{room} {what} ({event})"
            self.seen.append(sentence)
            raise TouchedTheWorldError(sentence)


def _room() -> str | None:
    """Name the room that the innermost frame of ours belongs to, None if there is none."""
    prefix = str(SOURCE) + os.sep
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  an audit hook has no other way to learn its caller
    while frame is not None:
        if frame.f_code.co_filename.startswith(prefix):
            return frame.f_code.co_filename[len(prefix) :].partition(os.sep)[0]
        frame = frame.f_back
    return None


def _judge(room: str, event: str, args: Sequence[object]) -> str | None:
    """Say what is wrong with an event that names a path as its first argument; None = allowed."""
    if not isinstance(args[0], str | bytes | os.PathLike):
        return (
            None  # a descriptor that is open already, or a listing of the working directory by the importer
        )
    path = os.path.realpath(os.fsdecode(args[0]))
    flags = args[2] if event == "open" and len(args) > 2 else 0
    writes = event in WRITES_PATH or (isinstance(flags, int) and bool(flags & WRITE_FLAGS))
    if writes:
        cached = f"{os.sep}__pycache__" in path and path.startswith(CODE)
        # The checkout itself is no scratch, also where it stands below the directory for temporary files.
        scratch = path.startswith(SCRATCH) and not path.startswith(str(ROOT) + os.sep)
        allowed = cached or (room in READERS and scratch)
        return None if allowed else f"wrote {path}"
    importing = event in READS_PATH and path in {os.path.realpath(entry) for entry in sys.path}
    allowed = importing or (path + os.sep).startswith(CODE) or (room in READERS and path.startswith(EVIDENCE))
    return None if allowed else f"read {path}"


GUARD = Guard()
sys.addaudithook(GUARD.hook)
