"""Cut match and action lists into pieces that know their column; brackets and quotes are kept whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from bothways.facts.quick import quick

__all__ = ["Piece", "assigned", "cut", "end_of_actions", "keyed", "plain_words"]

_OPEN = "([{"
_CLOSE = ")]}"
_MARKED = re.compile(r'["()\[\]{}\s]')
#: one element, brackets at most two deep, and what ends it; possessive, so that it never tries twice
_TOP = re.compile(
    r"""((?:[^,()\[\]{}"\s]++|\((?:[^()\[\]{}"\s]++|[(\[][^()\[\]{}"\s]*+[)\]])*+\)|\[[^()\[\]{}"\s]*+\])*+)"""
    r"(?:,|\Z)"
)
_KEY = re.compile(r"([\w.-]*)([:=(])")


@quick
@dataclass(frozen=True, slots=True)
class Piece:
    """One element of a list and its 1-based column in the line."""

    text: str
    column: int


def cut(text: str, column: int, separators: str = ",") -> list[Piece]:
    """
    Split *text*, which starts at *column*, at separators outside brackets and quotes, without blank pieces.

    >>> [p.text for p in cut("ct(commit,zone=1), 3", 1)]
    ['ct(commit,zone=1)', '3']
    """
    if separators == ",":
        plain = _plain_pieces(text, column)
        if plain is not None:
            return plain
    pieces: list[Piece] = []
    depth = start = 0
    quoted = False
    for found in _marks(separators).finditer(text):
        char = found[0]
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0:
            index = found.start()
            _keep(pieces, text, start, index, column)
            start = index + 1
    _keep(pieces, text, start, len(text), column)
    return pieces


def _plain_pieces(text: str, column: int) -> list[Piece] | None:
    """Pieces of a list without blanks, quotes and deep nesting, as nearly all are; None for others."""
    words = plain_words(text)
    if words is None:
        return None
    pieces: list[Piece] = []
    for word in words:
        if word:
            pieces.append(Piece(word, column))
        column += len(word) + 1
    return pieces


def plain_words(text: str) -> list[str] | None:
    """
    The words between commas of a list without blanks, quotes and deep nesting, empty ones too; else None.

    >>> plain_words("load:0x1->NXM_NX_REG1[],resubmit(,10)")
    ['load:0x1->NXM_NX_REG1[]', 'resubmit(,10)', '']
    """
    if _MARKED.search(text) is None:
        return text.split(",")
    found: list[str] = _TOP.findall(text)
    # What the pattern could not hold is missing from the words, so they do not make up the text again.
    return found if ",".join(found) == text or ",".join(found[:-1]) == text else None


@cache
def _marks(separators: str) -> re.Pattern[str]:
    """What a list is cut at, and what keeps a separator from being one."""
    return re.compile(rf'["()\[\]{{}}{re.escape(separators)}]')


def _keep(pieces: list[Piece], text: str, start: int, end: int, column: int) -> None:
    raw = text[start:end]
    stripped = raw.strip()
    if stripped:
        pieces.append(Piece(stripped, column + start + len(raw) - len(raw.lstrip())))


def end_of_actions(text: str) -> int:
    """
    Where the action list that *text* starts with ends: at white space that does not follow a comma.

    What stands behind it is a remark of the person who pasted the row.
    """
    depth = 0
    quoted = False
    last = ","
    for index, char in enumerate(text):
        if char.isspace() and depth == 0 and not quoted:
            rest = text[index:].lstrip()
            if last != "," and not rest.startswith(","):
                return index
            continue
        if char == '"':
            quoted = not quoted
        elif not quoted and char in _OPEN:
            depth += 1
        elif not quoted and char in _CLOSE:
            depth = max(0, depth - 1)
        last = char
    return len(text)


def assigned(text: str) -> tuple[str, bool, str]:
    """
    Name, whether it has a value, and value of ``nw_dst=10.0.0.1``; ``ovs-ofctl`` also writes ``cookie:0x1``.

    >>> assigned("dl_src=52:54:00:00:00:01")
    ('dl_src', True, '52:54:00:00:00:01')
    """
    name, equals, value = text.partition("=")
    if not equals:
        name, equals, value = text.partition(":")
    return name.strip(), bool(equals), value.strip()


def keyed(piece: Piece) -> tuple[str, Piece | None]:
    """
    Split ``name:value``, ``name=value`` or ``name(value)`` into name and value; value None for a bare name.

    >>> keyed(Piece("resubmit(,10)", 5))
    ('resubmit', Piece(text=',10', column=14))
    """
    text = piece.text
    found = _KEY.match(text)
    if found is None:
        return text, None
    end = found.end()
    inner = text[end:]
    if found[2] == "(":
        inner = inner.removesuffix(")")
    return found[1].strip(), Piece(inner, piece.column + end)
