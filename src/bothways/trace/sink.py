"""
Where the tracer's lines are kept: one file a host in a bundle, begun anew where it grows too large.

Every file can be read by itself: one that goes on from another begins with the same first line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bothways.facts.kernel_trace import TraceReady, TraceStart
from bothways.trace.session import Said

__all__ = ["BundleSink", "file_name"]

_MANIFEST: Final = "bundle.toml"


@dataclass(slots=True)
class _Open:
    """The file of one host that is written to."""

    folder: Path
    stem: str
    file: BinaryIO
    octets: int = 0
    number: int = 1
    head: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class BundleSink:
    """
    Writes ``hosts/HOST/trace/*.jsonl`` into a bundle, a new one or one that is there.

    :param limit: octets after which a file is begun anew, None = never.
    """

    bundle: Path
    title: str = "a kernel trace"
    limit: int | None = None
    _files: dict[int, _Open] = field(default_factory=dict)
    _waiting: dict[int, list[bytes]] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)

    def write(self, said: Said) -> None:
        """
        Keep a line. Lines before the one that names the host wait for it.

        :raises OSError: if it cannot be written.
        """
        data = said.text.encode() + b"\n"
        opened = self._files.get(said.run)
        if opened is None:
            if not isinstance(said.line, TraceStart):
                self._waiting.setdefault(said.run, []).append(data)
                return
            opened = self._files[said.run] = self._begin(said.line.host)
            opened.head.append(data)
        elif isinstance(said.line, TraceReady):
            opened.head.append(data)
        for waiting in self._waiting.pop(said.run, ()):
            self._put(opened, waiting)
        self._put(opened, data)

    def _begin(self, host: str) -> _Open:
        self._found()
        folder = self.bundle / "hosts" / file_name(host) / "trace"
        folder.mkdir(parents=True, exist_ok=True)
        stem = next(each for each in _stems() if not any(folder.glob(f"{each}.*")))
        return _Open(folder, stem, self._opened(folder / f"{stem}.jsonl"))

    def _found(self) -> None:
        """Make the bundle if it is not there. What somebody else put into it stays as it is."""
        self.bundle.mkdir(parents=True, exist_ok=True)
        manifest = self.bundle / _MANIFEST
        if not manifest.exists():
            title = self.title.replace("\\", "\\\\").replace('"', '\\"')
            text = "".join(letter if letter.isprintable() else " " for letter in title)
            manifest.write_text(f'format = "bothways-bundle/1"\ntitle = "{text}"\n', encoding="utf-8")

    def _opened(self, path: Path) -> BinaryIO:
        self.written.append(path)
        return path.open("xb")

    def _put(self, opened: _Open, data: bytes) -> None:
        if self.limit is not None and opened.octets + len(data) > self.limit and opened.octets:
            opened.file.close()
            opened.number += 1
            opened.file = self._opened(opened.folder / f"{opened.stem}.{opened.number}.jsonl")
            opened.octets = sum(opened.file.write(line) for line in opened.head)
        opened.octets += opened.file.write(data)

    def flush(self) -> None:
        """
        Let readers of the files see what was written.

        :raises OSError: if it cannot be written.
        """
        for opened in self._files.values():
            opened.file.flush()

    def close(self) -> None:
        """
        Close all files.

        :raises OSError: if the rest cannot be written.
        """
        for opened in self._files.values():
            opened.file.close()


def _stems() -> Iterator[str]:
    yield "trace"
    number = 2
    while True:
        yield f"trace-{number}"
        number += 1


def file_name(host: str) -> str:
    """A host's name as a folder: what a name could do to a path is taken out."""
    safe = "".join(letter if letter.isalnum() or letter in "-_.@" else "_" for letter in host)
    return safe if safe.strip(".") else "_"
