"""Take the words of an nft rule one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.parse.nft_lex import Token
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["Cursor", "Sets"]

#: name of a set -> the words of its elements, with the commas between
Sets = Mapping[str, tuple[Token, ...]]
_MARKS: Final = frozenset({"{", "}", ";", ",", "(", ")", "=", "==", "!=", "<", ">", "&", "|", "^", "!"})


@dataclass(slots=True)
class Cursor:
    """A place in the words of one rule."""

    tokens: Sequence[Token]
    text: str
    sets: Sets
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
        if not token.quoted and token.text in _MARKS:
            raise ValueError(f"a value is expected, found {quoted(token.text)}")
        self.at += 1
        return token.text

    def skip(self, *words: str) -> bool:
        """Pass over the next word if it is one of these."""
        if self.peek() in words and not self.done:
            self.at += 1
            return True
        return False

    def slice(self, start: int) -> str:
        """The text from a word to here."""
        if start >= self.at:
            return ""
        return " ".join(self.text[self.tokens[start].start : self.tokens[self.at - 1].end].split())

    def elements(self) -> tuple[str, ...]:
        """
        A word, a list with commas, or a set in braces or by name.

        :raises ValueError: for anything else; maps and concatenations are not modelled.
        """
        if self.peek() == "{":
            end = next((i for i, t in enumerate(self.tokens[self.at :], self.at) if t.text == "}"), None)
            if end is None:
                raise ValueError("a set does not end")
            inside = self.tokens[self.at + 1 : end]
            self.at = end + 1
            return _elements(inside)
        if self.peek().startswith("@"):
            name = self.take()[1:]
            if name not in self.sets:
                raise NotModelledError(f"the set {quoted(name)} is not in the table")
            return _elements(self.sets[name])
        found = [self.take()]
        while self.skip(","):
            found.append(self.take())
        if any(word.startswith("$") for word in found) or self.peek() == ".":
            raise NotModelledError("variables and concatenations are not evaluated")
        return tuple(found)

    def joined(self) -> str:
        """Words with ``,`` or ``|`` between, in parentheses or bare, as one with commas."""
        closed = self.skip("(")
        found = [self.take()]
        while self.skip(",", "|"):
            found.append(self.take())
        if closed and not self.skip(")"):
            raise ValueError("a parenthesis does not close")
        return ",".join(found)


def _elements(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The first word of each element; what follows it (a timeout, a counter) decides nothing."""
    found: list[str] = []
    fresh = True
    for token in tokens:
        if not token.quoted and token.text in (":", ".", "{"):
            raise NotModelledError("maps and concatenations are not evaluated")
        if not token.quoted and token.text == ",":
            fresh = True
        elif fresh and token.text != "\n":
            found.append(token.text)
            fresh = False
    return tuple(found)
