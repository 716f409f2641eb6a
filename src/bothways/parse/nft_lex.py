"""
Words and marks of an nft script.

Names, numbers and addresses are words: they hold dots, colons, dashes, slashes and a ``*`` at the end. A
quoted string is one word. Line ends and ``;`` separate; a backslash before the line end joins two lines;
``#`` begins a comment. Source: nft(8), *Input file formats*. nft 1.0.6 prints `` [invalid type]`` behind the
ports of a connection (``ct original proto-dst``): that is no part of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["END", "Token", "tokens"]

#: What separates rules.
END: Final = frozenset({";", "\n"})
_NOISE: Final = " [invalid type]"
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r]+|\\[ \t\r]*\n)"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<quoted>\"[^\"\n]*\"?)"
    r"|(?P<mark>\n|[{};,()]|[<>!=]=|<<|>>|[<>=&|^!])"
    r"|(?P<word>(?:[^\s{};,()<>=&|^!\"\#]+(?:[ ]\[invalid[ ]type\])?)+)"
    r"|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """
    One word or mark.

    :param text: a quoted string without its quotes.
    :param start: offset in the text, *end* behind the last letter.
    """

    text: str
    start: int
    end: int
    quoted: bool = False


def tokens(text: str) -> list[Token]:
    """
    Split a script; nothing is lost but blanks and comments.

    >>> [t.text for t in tokens('iifname "qr-*" tcp dport { 22, 80 } accept # why')]
    ['iifname', 'qr-*', 'tcp', 'dport', '{', '22', ',', '80', '}', 'accept']
    """
    found: list[Token] = []
    for piece in _TOKEN.finditer(text):
        if piece.lastgroup in ("space", "comment"):
            continue
        word = piece.group()
        if piece.lastgroup == "word":
            word = word.replace(_NOISE, "")
        quoted = piece.lastgroup == "quoted"
        found.append(
            Token(word[1:].removesuffix('"') if quoted else word, piece.start(), piece.end(), quoted)
        )
    return found
