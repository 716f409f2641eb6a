"""Cut match and action lists into pieces that know their column; brackets and quotes are kept whole."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Piece", "assigned", "cut", "end_of_actions", "keyed"]

_OPEN = "([{"
_CLOSE = ")]}"


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
    pieces: list[Piece] = []
    depth = start = 0
    quoted = False
    for index, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0 and char in separators:
            _keep(pieces, text, start, index, column)
            start = index + 1
    _keep(pieces, text, start, len(text), column)
    return pieces


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
    for index, char in enumerate(text):
        if char in ":=(":
            inner = text[index + 1 :]
            if char == "(":
                inner = inner.removesuffix(")")
            return text[:index].strip(), Piece(inner, piece.column + index + 1)
        if not (char.isalnum() or char in "_-."):
            break
    return text, None
