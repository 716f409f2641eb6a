"""A change that cannot be read."""

from __future__ import annotations

__all__ = ["ChangeError"]


class ChangeError(ValueError):
    """
    A change that cannot be read, or not be applied.

    :param column: 1-based place in what the user typed, None if it is the whole.
    :param hint: what to write instead.
    """

    def __init__(self, message: str, column: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint
