"""Take the words of a command one after the other, and say where the wrong one stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bothways.parse.change.error import ChangeError
from bothways.parse.change.words import Command
from bothways.parse.iptables_words import Word

__all__ = ["Arguments", "abbreviated"]

Value = TypeVar("Value")


@dataclass(slots=True)
class Arguments:
    """A cursor over the words of one command."""

    command: Command
    at: int = 1

    @property
    def done(self) -> bool:
        """True if no word is left."""
        return self.at >= len(self.command.words)

    @property
    def column(self) -> int:
        """Where the next word stands, or the end of the command."""
        if not self.done:
            return self.command.words[self.at].column
        last = self.command.words[-1]
        return last.column + len(last.text)

    def peek(self) -> str:
        """The next word, "" at the end."""
        return "" if self.done else self.command.words[self.at].text

    def take(self, expected: str) -> Word:
        """
        The next word.

        :raises ChangeError: at the end; *expected* says what should stand there.
        """
        if self.done:
            name = self.command.words[0].text
            raise ChangeError(f"`{name}` ends too early", self.column, f"expected {expected}")
        self.at += 1
        return self.command.words[self.at - 1]

    def value(self, expected: str, decode: Callable[[str], Value]) -> Value:
        """The next word, decoded. Raises ChangeError with its column if it cannot be."""
        word = self.take(expected)
        try:
            return decode(word.text)
        except ValueError:
            raise ChangeError(f"cannot read `{word.text}`", word.column, f"expected {expected}") from None

    def skip(self, *words: str) -> bool:
        """Pass over the next word if it is one of these."""
        if self.peek() in words and not self.done:
            self.at += 1
            return True
        return False

    def rest(self) -> tuple[Word, ...]:
        """All words that are left."""
        left = self.command.words[self.at :]
        self.at = len(self.command.words)
        return left

    def refuse(self, expected: str) -> ChangeError:
        """The error for the next word, which is none of those that may stand there."""
        if self.done:
            name = self.command.words[0].text
            return ChangeError(f"`{name}` ends too early", self.column, f"expected {expected}")
        return ChangeError(f"`{self.peek()}` is not known here", self.column, f"expected {expected}")


def abbreviated(word: str, *names: str) -> str | None:
    """
    The first of *names* that *word* begins, as iproute2 and iptables take shortened words.

    >>> abbreviated("a", "address", "append")
    'address'
    """
    if not word:
        return None
    return next((name for name in names if name.startswith(word)), None)
