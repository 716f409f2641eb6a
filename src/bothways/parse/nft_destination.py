"""
Where a translation of nft leads: ``to ADDRESS[:PORT]``, of which either may be an expression.

Source: nft(8), *NAT statements*, *Tproxy statement*.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_lex import Token
from bothways.parse.nft_phrase import begins, expression

__all__ = ["destination", "nat"]

Shape = dict[str, object]

_NAT_FLAGS: Final = frozenset({"random", "fully-random", "persistent"})
_END: Final = re.compile(r"(?P<address>\[[^\]]+\](?:-\[[^\]]+\])?|[^:\[]+)(?::(?P<port>.*))?\Z")


def nat(kind: str) -> Callable[[Cursor], Shape]:
    """A statement that translates."""

    def read(cursor: Cursor) -> Shape:
        found: Shape = {}
        if cursor.peek() in ("ip", "ip6") and cursor.ahead(2)[1:] in (
            ("to",),
            ("prefix",),
            ("addr",),
            ("interval",),
        ):
            found["family"] = cursor.take()
        if cursor.skip("addr"):
            cursor.need(".")
            cursor.need("port")
        flags = ["netmap"] if cursor.skip("prefix") else []
        cursor.skip("interval")
        if cursor.skip("to") or cursor.peek().startswith(":"):
            destination(cursor, found)
        while cursor.peek() in _NAT_FLAGS:
            flags.append(cursor.take())
            cursor.skip(",")
        if flags:
            found["flags"] = flags
        return {kind: found or None}

    return read


def destination(cursor: Cursor, found: Shape) -> None:
    """``ADDRESS[:PORT]``, of which either may be an expression."""
    if cursor.peek() == ":":
        cursor.at += 1
        found["port"] = expression(cursor)
        return
    word = cursor.peek()
    if begins(cursor) or word in ("{", "(") or cursor.ahead(2)[1:] == (".",):
        found["addr"] = expression(cursor)
        if cursor.peek().startswith(":"):
            _port(cursor, cursor.take()[1:], found)
        return
    word = cursor.take()
    if word.startswith(":"):
        _port(cursor, word[1:], found)
        return
    # An IPv6 address without brackets has no port.
    split = None if "[" not in word and word.count(":") > 1 else _END.match(word)
    if split is None:
        found["addr"] = word
        return
    found["addr"] = split["address"].replace("[", "").replace("]", "")
    if split["port"] is not None:
        _port(cursor, split["port"], found)


def _port(cursor: Cursor, word: str, found: Shape) -> None:
    """A port behind its colon: the rest of the word, or an expression that begins with it."""
    if not word:
        found["port"] = expression(cursor)
        return
    last = cursor.tokens[cursor.at - 1]
    rest = Cursor((Token(word, last.start, last.end), *cursor.tokens[cursor.at :]), cursor.text)
    found["port"] = expression(rest)
    cursor.at += rest.at - 1
