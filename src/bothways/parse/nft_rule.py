"""
One nft rule, from words or from JSON, to statements.

A statement that is not understood reaches to the next word that begins a known one, and stays as text: what
rests on it is unknown. Source: nft(8), *Rules*; libnftables-json(5), *RULE*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bothways.facts.nft import NftStatement
from bothways.facts.nft_action import Opaque
from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_does import action
from bothways.parse.nft_lex import Token, tokens
from bothways.parse.nft_sentence import NOTHING, starts, statement
from bothways.parse.nft_words import words_of
from bothways.parse.reading import quoted

__all__ = ["NftNote", "read_nft_json_rule", "read_nft_rule"]

#: Words behind which a selector is a value and begins no statement.
_JOINING: Final = frozenset({".", "to", "set", "map", "vmap", "&", "|", "^", "(", ",", "name", "/"})
_CONDITIONS: Final = frozenset({"match", "limit", "quota", "ct count", "connlimit", "counter", "log"})
#: Statements that, not understood, change something beside the packet's way.
_CHANGES: Final = frozenset({"mangle", "set", "map", "meter", "ct helper", "ct timeout", "secmark", "last"})


@dataclass(frozen=True, slots=True)
class NftNote:
    """A part of a rule that was not understood, and its first word."""

    message: str
    token: Token | None = None


def read_nft_rule(
    words: Sequence[Token], text: str, family: str = "ip"
) -> tuple[tuple[NftStatement, ...], tuple[NftNote, ...]]:
    """
    Read the words of one rule.

    :param text: the script that the words were cut out of.
    :param family: of the table.
    """
    cursor = Cursor(words, text)
    found: list[NftStatement] = []
    notes: list[NftNote] = []
    while not cursor.done:
        start = cursor.at
        try:
            shape = statement(cursor)
            if shape is NOTHING:
                continue
            found.append(NftStatement(action(shape, family), cursor.slice(start)))
        except (ValueError, RecursionError) as error:
            cursor.at = start
            decides = _pass(cursor)
            shown = cursor.slice(start)
            notes.append(NftNote(f"{quoted(shown)}: {error}", words[start]))
            found.append(NftStatement(Opaque(shown, decides), shown))
    return tuple(found), tuple(notes)


def _pass(cursor: Cursor) -> bool:
    """
    Pass over a statement that is not understood, to the next that may be known.

    :return: True if it may end the walk.
    """
    head = cursor.peek()
    if cursor.ahead(2) in (("xt", "target"), ("xt", "match")):
        target = cursor.ahead(2)[1] == "target"
        cursor.at = min(cursor.at + 3, len(cursor.tokens))
        return target
    condition = starts(cursor) and head not in _DECIDING
    depth = {"{": 1, "(": 1}.get(head, 0)
    changes = False
    verdicts = head in _DECIDING or (not starts(cursor))
    cursor.at += 1
    while not cursor.done:
        word, before = cursor.peek(), cursor.tokens[cursor.at - 1]
        if depth == 0 and (before.quoted or before.text not in _JOINING) and _next(cursor):
            break
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(word, 0)
        changes = changes or word == "set"
        if word in ("vmap", "map"):
            condition = condition and word != "vmap"
            verdicts = verdicts or word == "vmap"
        cursor.at += 1
    return verdicts and not condition and not changes


_DECIDING: Final = frozenset(
    {
        "jump", "goto", "snat", "dnat", "masquerade", "redirect", "queue", "tproxy", "fwd", "synproxy",
        "reject", "dup", "flow", "accept", "drop",
    }
)  # fmt: skip


def _next(cursor: Cursor) -> bool:
    return starts(cursor)


def read_nft_json_rule(
    given: object, family: str
) -> tuple[tuple[NftStatement, ...], tuple[NftNote, ...], str]:
    """
    Read the ``expr`` of a rule of ``nft -j``.

    :return: statements, what was not understood, and the rule in nft's words.
    """
    found: list[NftStatement] = []
    notes: list[NftNote] = []
    for each in given if isinstance(given, list) else []:
        if isinstance(each, str):
            # nft prints in words what it has no JSON for.
            inner, heard = read_nft_rule([t for t in tokens(each) if t.text != "\n"], each, family)
            found.extend(inner)
            notes.extend(NftNote(note.message) for note in heard)
            continue
        shown = words_of(each)
        try:
            found.append(NftStatement(action(each, family), shown))
        except (ValueError, RecursionError) as error:
            name = next(iter(each), "") if isinstance(each, dict) else ""
            decides = name not in _CONDITIONS | _CHANGES and not _matching(each)
            notes.append(NftNote(f"{quoted(shown)}: {error}"))
            found.append(NftStatement(Opaque(shown, decides), shown))
    return tuple(found), tuple(notes), " ".join(s.text for s in found)


def _matching(given: object) -> bool:
    """True for ``xt`` that only asks."""
    inner = given.get("xt") if isinstance(given, dict) else None
    return isinstance(inner, dict) and inner.get("type") == "match"
