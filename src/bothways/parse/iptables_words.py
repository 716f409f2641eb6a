"""
Words of one ``iptables-save`` line.

``iptables-restore`` knows double quotes only; inside them a backslash takes the next character as it is,
outside it is an ordinary character (``iptables/xshared.c``, ``add_param_to_argv``).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Word", "WordsError", "split_words"]


class WordsError(ValueError):
    """A quote that does not close. Never leaves this room."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word; *column* is 1-based. A quoted word is never an option or a ``!``."""

    text: str
    column: int
    quoted: bool = False

    @property
    def option(self) -> bool:
        """True for ``-s``, ``--dport``; negative numbers are values."""
        return not self.quoted and len(self.text) > 1 and self.text[0] == "-" and not self.text[1].isdigit()

    @property
    def negation(self) -> bool:
        """True for ``!``."""
        return not self.quoted and self.text == "!"


def split_words(line: str) -> tuple[Word, ...]:
    """
    Split a line as ``iptables-restore`` does.

    :raises WordsError: if a quote does not close.
    """
    words: list[Word] = []
    text: list[str] = []
    start = -1
    inside = escaped = quoted = False
    for column, char in enumerate(line, start=1):
        if inside:
            if escaped:
                text.append(char)
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                inside = False
            else:
                text.append(char)
            continue
        if char.isspace():
            if start >= 0:
                words.append(Word("".join(text), start, quoted))
            text, start, quoted = [], -1, False
            continue
        start = column if start < 0 else start
        if char == '"':
            inside = quoted = True
        else:
            text.append(char)
    if inside:
        raise WordsError("a quote does not close")
    if start >= 0:
        words.append(Word("".join(text), start, quoted))
    return tuple(words)
