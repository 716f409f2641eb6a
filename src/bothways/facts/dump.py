"""What one command printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Dump"]

Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Dump(Generic[Row_co]):
    """
    Rows of one dump, in the order of the file.

    A snapshot holds ``Dump | None``: None means that the command was not run.

    :param file: path inside the bundle.
    :param read_at: seconds since the epoch on the host's clock, None = unknown.
    :param partial: the filter of a filtered view (``grep 88.4``), None if the dump is whole.
        A row of a filtered view proves that it exists; that a row is not there proves nothing.
    """

    rows: tuple[Row_co, ...]
    file: str
    read_at: float | None = None
    partial: str | None = None

    def __iter__(self) -> Iterator[Row_co]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def whole(self) -> bool:
        """True if a row that is not here does not exist."""
        return self.partial is None
