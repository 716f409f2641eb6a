"""
Words of a command as a shell splits them, with their columns.

Quotes of both kinds and the backslash are known; ``<<< WORD`` gives the word as standard input; a pipe, a
redirection or a second command on the line is refused, as it would change what the first one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.parse.change.error import ChangeError
from bothways.parse.iptables_words import Word

__all__ = ["Command", "command_words"]

_OPERATORS: Final = frozenset("|&;<>()`")


@dataclass(frozen=True, slots=True)
class Command:
    """
    One command line.

    :param text: as typed, from the first word of the command itself.
    :param stdin: what ``<<<`` feeds to it, None if nothing.
    """

    text: str
    words: tuple[Word, ...]
    stdin: Word | None = None

    def after(self, count: int) -> Command:
        """The command without its first words (``sudo``, ``ip netns exec NS``)."""
        rest = self.words[count:]
        start = rest[0].column - self.words[0].column if rest else len(self.text)
        return Command(self.text[start:], rest, self.stdin)


def command_words(text: str, column: int = 1) -> Command:
    """
    Split a command; *column* is where it begins in what the user typed.

    :raises ChangeError: for a quote that does not close and for shell operators other than ``<<<``.
    """
    pieces, operators = _split(text, column)
    words: list[Word] = []
    stdin: Word | None = None
    position = 0
    while position < len(pieces):
        piece = pieces[position]
        if position in operators and piece.text == "<<<":
            if position + 1 == len(pieces):
                raise ChangeError(
                    "nothing stands behind `<<<`", piece.column, "expected the text for the command"
                )
            stdin = pieces[position + 1]
            position += 2
            continue
        if position in operators:
            raise ChangeError(
                f"`{piece.text}` is for a shell, a change is one command",
                piece.column,
                "give every command with a `--change` of its own",
            )
        words.append(piece)
        position += 1
    return Command(text.strip(), tuple(words), stdin)


def _split(text: str, column: int) -> tuple[list[Word], frozenset[int]]:
    """Words and operators in order, and the places of the operators."""
    words: list[Word] = []
    operators: set[int] = set()
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        start = position
        if text[position] in _OPERATORS:
            while position < len(text) and text[position] in _OPERATORS:
                position += 1
            operators.add(len(words))
            words.append(Word(text[start:position], column + start))
            continue
        letters: list[str] = []
        quoted = False
        while position < len(text) and not text[position].isspace() and text[position] not in _OPERATORS:
            char = text[position]
            if char in "'\"":
                inside, position = _quoted(text, position, column)
                letters.append(inside)
                quoted = True
            elif char == "\\" and position + 1 < len(text):
                letters.append(text[position + 1])
                position += 2
            else:
                letters.append(char)
                position += 1
        words.append(Word("".join(letters), column + start, quoted))
    return words, frozenset(operators)


def _quoted(text: str, position: int, column: int) -> tuple[str, int]:
    """The text inside the quote that opens at *position*, and the place behind it."""
    quote = text[position]
    letters: list[str] = []
    at = position + 1
    while at < len(text):
        if text[at] == quote:
            return "".join(letters), at + 1
        if quote == '"' and text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            at += 1
        letters.append(text[at])
        at += 1
    raise ChangeError("a quote does not close", column + position, f"add the missing {quote}")
