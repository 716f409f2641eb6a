"""A change that does not fit the snapshot."""

from __future__ import annotations

__all__ = ["NothingToChangeError"]


class NothingToChangeError(ValueError):
    """
    What the change names is not there, or the dump that would show it was not collected.

    The message is the sentence that the user reads; *hint* says what to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
