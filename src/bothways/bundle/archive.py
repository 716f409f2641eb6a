"""
A bundle in an archive: tar (plain, gzip, bzip2, xz, zstd) or zip, told by its first bytes, read into memory.

Archives are hostile input. A member whose path leaves the archive, a link that leaves it, a device, and what
would not fit are refused with a problem; the rest is used. Nothing is written. Where everything lies in one
folder, that folder is the bundle.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import IO, BinaryIO, Final, cast

from bothways.bundle.compression import COMPRESSIONS, Bounded, TooMuchError
from bothways.bundle.error import BundleError
from bothways.bundle.folder import Folder
from bothways.facts.span import Kind, Span

__all__ = ["Archive", "open_archive"]

#: Bytes of one member, bytes of all, and members that are read.
_LARGEST_MEMBER: Final = 512 << 20
_LARGEST: Final = 1 << 30
_MOST_MEMBERS: Final = 20_000
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = 257
_LINKS: Final = 16
_BUNDLE: Final = ("bundle.toml", "hosts")

#: What a damaged archive makes the standard library raise.
_DAMAGED: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
)
_ZIP_DAMAGED: Final = (*_DAMAGED, NotImplementedError, RuntimeError)


@dataclass(slots=True)
class Archive(Folder):
    """
    An archive as a folder whose files are in memory.

    :param contents: path inside the bundle -> bytes.
    :param links: path -> path that a symbolic or hard link leads to, both inside.
    :param left: bytes that may still be unpacked.
    :param members: members that were seen, also those that are left out.
    """

    contents: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left: int = 0
    members: int = 0

    def data(self, name: str) -> bytes | None:
        """The bytes of a file, None if it is not there."""
        if name not in self.files:
            return None
        self.used.add(name)
        return self.contents[name]

    def admit(self, name: str) -> str | None:
        """The path of a member inside the archive, None (and a problem) if it has none."""
        self.members += 1
        if self.members > _MOST_MEMBERS:
            raise TooMuchError(f"it holds more than {_MOST_MEMBERS} members")
        shown = name.encode(errors="backslashreplace").decode()
        path = PurePosixPath(shown)
        if path.parts[:1] == ("__MACOSX",) or path.name.startswith("._") or path.name == ".DS_Store":
            return None  # what a Mac packs beside the files
        if path.is_absolute() or ".." in path.parts or "\0" in shown or "\\" in shown or not path.parts:
            if shown.strip("./"):
                self.refuse(shown, "a path that leaves the archive")
            return None
        return path.as_posix()

    def refuse(self, name: str, why: str) -> None:
        """Note a member that is left out."""
        shown = name.replace("\n", "?")[:200]
        self.problem(Kind.UNREADABLE, Span(self.root.name), f"member `{shown}` is left out: {why}")

    def take(self, name: str, size: int, read: Callable[[int], bytes]) -> None:
        """
        Keep a file.

        :param size: what the archive claims.
        :param read: gives the content, at most as many bytes as it is asked for.
        """
        if size > _LARGEST_MEMBER:
            self.refuse(name, f"it is larger than {_LARGEST_MEMBER >> 20} MiB")
            return
        if size > self.left:
            raise TooMuchError(f"it unpacks to more than {_LARGEST >> 20} MiB")
        content = read(size + 1)
        if len(content) > size:
            self.refuse(name, "it is larger than the archive says")
            return
        self.left -= len(content)
        if name in self.contents:
            message = f"member `{name}` stands in the archive twice; the later one counts"
            self.problem(Kind.CONTRADICTION, Span(self.root.name), message)
        self.contents[name] = content

    def link(self, name: str, target: PurePosixPath) -> None:
        """Keep a link for later, or refuse one that leaves the archive."""
        parts: list[str] = []
        for part in target.parts:
            if part == "/" or (part == ".." and not parts):
                self.refuse(name, "a link that leaves the archive")
                return
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
        self.links[name] = "/".join(parts)

    def follow(self) -> None:
        """Give every link the content that it leads to."""
        for name in self.links:
            at = name
            for _ in range(_LINKS):
                if at not in self.links:
                    break
                at = self.links[at]
            if at in self.contents:
                self.contents[name] = self.contents[at]
            else:
                self.refuse(name, "a link that leads to no file of the archive")

    def settle(self) -> None:
        """Name the files from the bundle's own folder on, in the order of a folder on disk."""
        tops = {name.partition("/")[0] for name in self.contents}
        while len(tops) == 1 and not tops & set(_BUNDLE) and all("/" in name for name in self.contents):
            self.contents = {name.partition("/")[2]: data for name, data in self.contents.items()}
            tops = {name.partition("/")[0] for name in self.contents}
        names = sorted(self.contents, key=lambda name: name.split("/"))
        self.files = dict.fromkeys(names, self.root)


_ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")


def _read_tar(archive: Archive, stream: IO[bytes]) -> None:
    bounded = Bounded(stream)
    with tarfile.open(fileobj=cast("IO[bytes]", bounded), mode="r|") as tar:
        for member in tar:
            name = archive.admit(member.name)
            if name is None or member.isdir():
                continue
            if member.issym():
                archive.link(name, PurePosixPath(name).parent / member.linkname)
            elif member.islnk():
                archive.link(name, PurePosixPath(member.linkname))
            elif member.isreg():
                content = tar.extractfile(member)
                if content is not None:
                    archive.take(name, member.size, content.read)
            else:
                archive.refuse(name, "neither a file nor a folder")
    if not bounded.ended:
        raise tarfile.ReadError("it does not end like a tar: it was cut")


def _read_zip(archive: Archive, stream: BinaryIO) -> None:
    with zipfile.ZipFile(stream) as packed:
        for info in packed.infolist():
            name = archive.admit(info.filename)
            mode = info.external_attr >> 16
            if name is None or info.is_dir() or S_ISDIR(mode):
                continue
            try:
                _zip_member(archive, packed, info, name)
            except _ZIP_DAMAGED as error:
                archive.refuse(name, f"it cannot be read: {_reason(error)}")


def _zip_member(archive: Archive, packed: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
    mode = info.external_attr >> 16
    with packed.open(info) as content:
        if S_ISLNK(mode):
            target = content.read(4096).decode(errors="backslashreplace")
            archive.link(name, PurePosixPath(name).parent / target)
        elif mode == 0 or S_ISREG(mode) or mode < 0o10000:  # noqa: PLR2004 - permissions without a kind
            archive.take(name, info.file_size, content.read)
        else:
            archive.refuse(name, "neither a file nor a folder")


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).replace("\n", " ")[:200]


def open_archive(path: Path) -> Archive:
    """
    Read an archive.

    :raises BundleError: if the file cannot be read, is no archive, needs a package that is not installed, or
        unpacks to more than 1 GiB or 20 000 members.
    """
    archive = Archive(path, left=_LARGEST)
    try:
        with path.open("rb") as stream:
            _read(archive, stream)
    except TooMuchError as error:
        hint = "pack the evidence of this case alone, or unpack it and name the folder"
        raise BundleError(f"`{path}` is too large an archive: {error}", hint) from error
    except _ZIP_DAMAGED as error:
        if not archive.contents:
            raise BundleError(f"`{path}` cannot be read as an archive: {_reason(error)}") from error
        message = f"the archive is damaged, and what stands before that is used: {_reason(error)}"
        archive.problem(Kind.MALFORMED, Span(path.name), message)
    archive.follow()
    archive.settle()
    return archive


def _read(archive: Archive, stream: BinaryIO) -> None:
    head = stream.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    stream.seek(0)
    if head.startswith(_ZIP_MAGICS):
        _read_zip(archive, stream)
        return
    unpack = next((found for magic, found in COMPRESSIONS.items() if head.startswith(magic)), None)
    if unpack is None and head[_TAR_MAGIC_AT:] != _TAR_MAGIC:
        raise BundleError(
            f"`{archive.root}` is a file, a bundle is a folder or an archive of one",
            "tar, tar.gz, tar.bz2, tar.xz, tar.zst and zip are read",
        )
    _read_tar(archive, stream if unpack is None else unpack(stream))
