"""
One nft rule: its words to statements.

Two tables: ``SELECTORS`` (``nft_values``) for conditions, ``STATEMENTS`` (``nft_statements``) for actions.
What neither knows reaches to the next word that one of them knows, and becomes a statement that is not
modelled. Source: nft(8), *Expressions*, *Statements*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.iptables import Match, Target
from bothways.facts.nft import NftStatement
from bothways.parse.nft_cursor import Cursor, Sets
from bothways.parse.nft_lex import Token
from bothways.parse.nft_statements import STATEMENTS
from bothways.parse.nft_values import SELECTORS, compared, flags, number
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["NftNote", "read_nft_rule"]

_ALL: Final = 0xFFFFFFFF
_BITS: Final = 32
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
_AND: Final = frozenset({"and", "&"})
_MARKS: Final[Mapping[tuple[str, ...], str]] = {
    ("meta", "mark"): "mark.mark",
    ("mark",): "mark.mark",
    ("ct", "mark"): "connmark.mark",
}
#: Words behind which a selector is a value and begins no statement.
_JOINING: Final = frozenset({".", "to", "set", "map", "vmap"})
_MAPS: Final = frozenset({"map", "vmap"})
_LONGEST: Final = 4  # words of a selector
_OTHERS: Final = frozenset({("tcp", "flags"), ("limit", "rate")})


@dataclass(frozen=True, slots=True)
class NftNote:
    """A part of a rule that was not understood, and its first word."""

    message: str
    token: Token


def read_nft_rule(
    tokens: Sequence[Token], text: str, sets: Sets
) -> tuple[tuple[NftStatement, ...], tuple[NftNote, ...]]:
    """
    Read the words of one rule.

    :param text: the script that the words were cut out of.
    :param sets: named sets of the table, with the words of their elements.
    """
    cursor = Cursor(tokens, text, sets)
    found: list[NftStatement] = []
    notes: list[NftNote] = []
    while not cursor.done:
        start = cursor.at
        try:
            statement = _statement(cursor)
        except ValueError as error:
            cursor.at = start
            statement, note = _unknown(cursor, str(error))
            notes.append(note)
        found.append(replace(statement, text=cursor.slice(start)))
    return tuple(found), tuple(notes)


def _statement(cursor: Cursor) -> NftStatement:
    words = _known(cursor)
    cursor.at += len(words)
    if words in STATEMENTS:
        return NftStatement("", target=STATEMENTS[words](cursor))
    if words in _MARKS:
        return NftStatement("", (_mark(cursor, _MARKS[words]),))
    if words in SELECTORS:
        return NftStatement("", _condition(cursor, words))
    if words == ("tcp", "flags"):
        return NftStatement("", _tcp_flags(cursor))
    if words == ("limit", "rate"):
        return NftStatement("", (_limit(cursor),))
    raise NotModelledError(f"{quoted(cursor.peek())} is not evaluated")


# -- conditions ------------------------------------------------------------------------------------------


def _condition(cursor: Cursor, words: tuple[str, ...]) -> tuple[Match, ...]:
    decode = SELECTORS[words]
    if cursor.peek() in _ORDER and words[-1] in ("sport", "dport"):
        operator = cursor.peek()
        cursor.at += 1
        low, high = compared(operator, cursor.take())
        return (decode(f"{low}-{high}"),)
    negate = _turned(cursor)
    matches = tuple(replace(decode(element), negate=negate) for element in cursor.elements())
    if not matches:
        raise NotModelledError("an empty set is not evaluated")
    return _merged(matches)


def _turned(cursor: Cursor) -> bool:
    """True for ``!=``; passes over ``==``."""
    if cursor.skip("!="):
        return True
    cursor.skip("==")
    if cursor.peek() in _ORDER | _MAPS | _AND | {".", "|", "^"}:
        raise NotModelledError(f"{quoted(cursor.peek())} is not evaluated here")
    return False


def _merged(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    """Keywords of one selector as one match, as iptables lists them."""
    first = matches[0]
    if not all(isinstance(m.value, frozenset) and m.name == first.name for m in matches):
        return matches
    values: frozenset[object] = frozenset().union(
        *(m.value for m in matches if isinstance(m.value, frozenset))
    )
    return (replace(first, value=values),)


def _mark(cursor: Cursor, name: str) -> Match:
    mask = _ALL
    if cursor.peek() in _AND:
        cursor.at += 1
        mask = number(cursor.take())
    negate = _turned(cursor)
    elements = cursor.elements()
    if len(elements) != 1:
        raise NotModelledError("a set of marks is not evaluated")
    text, slash, prefix = elements[0].partition("/")
    if slash:
        mask = _ALL << (_BITS - min(number(prefix), _BITS)) & _ALL
    return Match(name, (number(text), mask), negate)


def _tcp_flags(cursor: Cursor) -> tuple[Match, ...]:
    """``syn`` (any of), ``syn / syn,ack`` and ``& (syn | ack) == syn``."""
    name = "tcp.tcp-flags"
    if cursor.peek() in _AND:
        cursor.at += 1
        mask = flags(cursor.joined())
        negate = _turned(cursor)
        text = cursor.joined()
        wanted = 0 if text in ("0x0", "0") else flags(text)
        return (Match(name, (mask, wanted), negate),)
    negate = _turned(cursor)
    braced = cursor.peek() == "{"
    given = cursor.elements()
    if cursor.skip("/"):
        return (Match(name, (flags(cursor.joined()), flags(",".join(given))), negate),)
    if braced or negate:
        raise NotModelledError("a set of TCP flags is not evaluated")
    return tuple(Match(name, (flags(flag), flags(flag))) for flag in given)


def _limit(cursor: Cursor) -> Match:
    """``limit rate 10/second burst 5 packets``: whether one packet passes cannot be told."""
    start = cursor.at
    name = "limit-over.limit" if cursor.skip("over") else "limit.limit"
    cursor.take()
    cursor.skip("bytes", "kbytes", "mbytes", "packets")
    while cursor.peek().startswith("/") or cursor.peek() in ("second", "minute", "hour", "day", "week"):
        cursor.take()
    if cursor.skip("burst"):
        cursor.take()
        cursor.skip("packets", "bytes", "kbytes", "mbytes")
    return Match(name, cursor.slice(start))


def _known(cursor: Cursor) -> tuple[str, ...]:
    """The words by which a known statement begins here, none if none does."""
    for length in range(_LONGEST, 0, -1):
        words = cursor.ahead(length)
        if words in STATEMENTS or words in _MARKS or words in SELECTORS or words in _OTHERS:
            return words
    return ()


# -- what is not known -------------------------------------------------------------------------------------


def _unknown(cursor: Cursor, reason: str) -> tuple[NftStatement, NftNote]:
    """What reaches from here to the next known word outside of braces; the whole is not modelled."""
    first, start = cursor.tokens[cursor.at], cursor.at
    known = _known(cursor)
    decides = known in STATEMENTS
    cursor.at += max(len(known), 1)
    depth = 0 if known else {"{": 1, "(": 1}.get(first.text, 0)
    while not cursor.done:
        token = cursor.tokens[cursor.at]
        if depth == 0 and cursor.tokens[cursor.at - 1].text not in _JOINING and _known(cursor):
            break
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(token.text, 0)
        decides = decides or (token.text in _MAPS and not token.quoted)
        cursor.at += 1
    text = cursor.slice(start)
    note = NftNote(f"{quoted(text)}: {reason}", first)
    if decides:
        return NftStatement(text, target=Target(text, modelled=False)), note
    return NftStatement(text, (Match(text, text, modelled=False),)), note
