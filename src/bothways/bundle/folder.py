"""
The files of a bundle: found in a fixed order, read as bytes or text, never outside the folder.

A symbolic link counts as the file that it leads to if that lies inside the folder; any other link, and
anything that is neither file nor folder, is refused with a problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bothways.bundle.error import BundleError
from bothways.facts.span import Kind, Problem, Span

__all__ = ["Folder", "open_folder"]


@dataclass(slots=True)
class Folder:
    """
    One folder.

    :param files: path inside the folder (with ``/``) -> where it is, sorted by path.
    :param problems: what was refused, and what is found while reading.
    :param used: files that were read.
    """

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """True if the bundle holds this file."""
        return name in self.files

    def data(self, name: str) -> bytes | None:
        """The bytes of a file; None if it is not there or cannot be read, which is then a problem."""
        path = self.files.get(name)
        if path is None:
            return None
        self.used.add(name)
        try:
            return path.read_bytes()
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            self.problem(Kind.UNREADABLE, Span(name), f"the file cannot be read: {reason}")
            return None

    def text(self, name: str) -> str | None:
        """A file as UTF-8 text; bytes that are none are replaced, and the first of them is a problem."""
        data = self.data(name)
        if data is None:
            return None
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            text = data.decode(errors="replace")
            shown = text.split("\n")[line - 1].removesuffix("\r")
            bad = data[error.start]
            sign = "`\N{REPLACEMENT CHARACTER}`"
            message = f"byte 0x{bad:02x} is not UTF-8; it and others like it are read as {sign}"
            self.problem(Kind.MALFORMED, Span(name, line=line, text=shown), message)
            return text

    def problem(self, kind: Kind, span: Span, message: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, span, message, hint))

    def below(self, *parts: str) -> list[str]:
        """Names directly below a place: of files, and of folders that hold files."""
        prefix = "/".join((*parts, ""))
        names = (name[len(prefix) :].partition("/")[0] for name in self.files if name.startswith(prefix))
        return list(dict.fromkeys(names))


def open_folder(root: Path) -> Folder:
    """
    Find every file below a folder.

    :raises BundleError: if *root* is no folder or cannot be listed.
    """
    if not root.exists():
        raise BundleError(f"`{root}` does not exist")
    if not root.is_dir():
        raise BundleError(f"`{root}` is a file, a bundle is a folder or an archive of one")
    folder = Folder(root)
    try:
        _walk(folder, root, root.resolve(), "")
    except OSError as error:
        raise BundleError(
            f"`{root}` cannot be listed: {(error.strerror or 'unknown reason').lower()}"
        ) from error
    folder.files = dict(sorted(folder.files.items(), key=lambda item: item[0].split("/")))
    return folder


def _walk(folder: Folder, place: Path, root: Path, prefix: str) -> None:
    for path in sorted(place.iterdir()):
        name = _printable(f"{prefix}{path.name}")
        if path.is_symlink():
            _follow(folder, path, root, name)
        elif path.is_dir():
            try:
                _walk(folder, path, root, f"{name}/")
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
                folder.problem(Kind.UNREADABLE, Span(name), f"the folder cannot be listed: {reason}")
        elif path.is_file():
            folder.files[name] = path
        else:
            folder.problem(Kind.UNREADABLE, Span(name), "neither a file nor a folder; it is left out")


def _printable(name: str) -> str:
    """File names are bytes; those that are not UTF-8 are shown with escapes."""
    return name.encode(errors="backslashreplace").decode()


def _follow(folder: Folder, path: Path, root: Path, name: str) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        folder.problem(Kind.UNREADABLE, Span(name), "a symbolic link that leads nowhere; it is left out")
        return
    if not target.is_relative_to(root):
        message = "a symbolic link that leaves the bundle; it is not followed"
        folder.problem(Kind.UNREADABLE, Span(name), message, "put a copy of the file in its place")
    elif target.is_file():
        folder.files[name] = target
    else:
        folder.problem(Kind.UNREADABLE, Span(name), "a symbolic link to a folder; it is not followed")
