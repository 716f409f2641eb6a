"""
What stands between the bytes of an archive and the tar in it: a compression, and a bound on what comes out.

zstd is not in the standard library; the package ``zstandard`` is imported only when such a file is opened.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
from collections.abc import Callable, Mapping
from typing import IO, Any, BinaryIO, Final, cast

from bothways.bundle.error import BundleError

__all__ = ["COMPRESSIONS", "Bounded", "TooMuchError"]

#: Zeros, headers and what is skipped count too: a compressed tar is not unpacked beyond this.
_LARGEST_STREAM: Final = 2 << 30
_BLOCK: Final = 512


class TooMuchError(Exception):
    """The archive unpacks to more than is read."""


class Bounded:
    """A stream that gives up where more comes out of it than an archive of evidence can hold."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _LARGEST_STREAM
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        """Read like a file; raises where the archive is too large."""
        data = self._stream.read(size if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchError(f"it unpacks to more than {_LARGEST_STREAM >> 20} MiB")
        self._tail = (self._tail + data)[-_BLOCK:]
        return data

    @property
    def ended(self) -> bool:
        """True if what was read last is the block of zeros with which a tar ends."""
        return self._tail == bytes(_BLOCK)


def _gzip(stream: BinaryIO) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))


def _bzip2(stream: BinaryIO) -> IO[bytes]:
    return cast("IO[bytes]", bz2.BZ2File(stream))


def _xz(stream: BinaryIO) -> IO[bytes]:
    return cast("IO[bytes]", lzma.LZMAFile(stream))


def _zstd(stream: BinaryIO) -> IO[bytes]:
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError as error:
        raise BundleError(
            "a zstd archive needs the package `zstandard`, which is not installed",
            "pip install 'bothways[zst]', or unpack it with `tar --zstd -xf FILE` and name the folder",
        ) from error
    return _Zstd(zstandard, stream)  # type: ignore[return-value] # read() is all that is asked of it


class _Zstd:
    """A zstd stream whose errors are those of a damaged file."""

    def __init__(self, zstandard: Any, stream: BinaryIO) -> None:
        self._error = zstandard.ZstdError
        self._stream = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)

    def read(self, size: int = -1) -> bytes:
        """Read like a file."""
        try:
            return cast("bytes", self._stream.read(size))
        except self._error as error:
            raise OSError(str(error)) from error


#: First bytes -> how the tar behind them is unpacked.
COMPRESSIONS: Final[Mapping[bytes, Callable[[BinaryIO], IO[bytes]]]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\0": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
}
