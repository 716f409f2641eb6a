"""A bundle that cannot be opened at all."""

from __future__ import annotations

__all__ = ["BundleError"]


class BundleError(Exception):
    """
    A folder that cannot be used as a bundle. Damaged or missing evidence inside one is a problem, not this.

    :param message: one lower-case sentence; names file and line where it can.
    :param hint: what to do about it, "" if nothing can be done.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, the hint on a line of its own."""
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message
