"""Take the words of an nft rule one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bothways.parse.nft_lex import Token
from bothways.parse.reading import quoted

__all__ = ["MARKS", "Cursor"]

#: What is no word.
MARKS: Final = frozenset(
    {"{", "}", ";", ",", "(", ")", "=", "==", "!=", "<", ">", "<=", ">=", "<<", ">>", "&", "|", "^", "!"}
)


@dataclass(slots=True)
class Cursor:
    """A place in the words of one rule."""

    tokens: Sequence[Token]
    text: str
    at: int = 0

    @property
    def done(self) -> bool:
        """True if no word is left."""
        return self.at >= len(self.tokens)

    def peek(self) -> str:
        """The next word, "" at the end and for a quoted string."""
        return "" if self.done or self.tokens[self.at].quoted else self.tokens[self.at].text

    def ahead(self, count: int) -> tuple[str, ...]:
        """The next words, quoted ones as ""."""
        return tuple("" if t.quoted else t.text for t in self.tokens[self.at : self.at + count])

    def take(self) -> str:
        """
        The next word, which is no mark.

        :raises ValueError: at the end, or for a mark.
        """
        if self.done:
            raise ValueError("the rule ends too early")
        token = self.tokens[self.at]
        if not token.quoted and token.text in MARKS:
            raise ValueError(f"a value is expected, found {quoted(token.text)}")
        self.at += 1
        return token.text

    def skip(self, *words: str) -> bool:
        """Pass over the next word if it is one of these."""
        if not self.done and self.peek() in words:
            self.at += 1
            return True
        return False

    def need(self, word: str) -> None:
        """
        Pass over a word that has to be there.

        :raises ValueError: if another is.
        """
        if not self.skip(word):
            found = "the end" if self.done else quoted(self.tokens[self.at].text)
            raise ValueError(f"{quoted(word)} is expected, found {found}")

    def number(self) -> int:
        """
        The next word as a number.

        :raises ValueError: if it is none.
        """
        word = self.take()
        try:
            return int(word, 0)
        except ValueError:
            raise ValueError(f"{quoted(word)} is not a number") from None

    def slice(self, start: int) -> str:
        """The text from a word to here."""
        if start >= self.at:
            return ""
        return " ".join(self.text[self.tokens[start].start : self.tokens[self.at - 1].end].split())
