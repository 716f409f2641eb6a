"""
Named sets, maps and objects of an nft table, from words or from JSON.

An element that is not understood stays in the set as one that may hold anything. Source: nft(8), *Sets*,
*Maps*, *Stateful objects*; libnftables-json(5), *SET*, *MAP*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bothways.facts.nft import NftObject, NftSet
from bothways.facts.nft_expression import Element, Unread
from bothways.facts.span import Span
from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_decode import decode, element, types_of
from bothways.parse.nft_lex import END, Token
from bothways.parse.nft_phrase import expression, set_elements
from bothways.parse.nft_rule import NftNote
from bothways.parse.nft_types import duration
from bothways.parse.reading import quoted

__all__ = ["read_json_set", "read_object", "read_set"]

_OBJECTS: Final = frozenset({"counter", "quota", "limit", "synproxy", "secmark", "ct helper", "ct timeout"})


def read_set(
    name: str, inside: Sequence[Token], text: str, family: str, span: Span
) -> tuple[NftSet, tuple[NftNote, ...]]:
    """
    Read the block of a set, map or meter.

    :param inside: its words, without the braces.
    """
    key: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    flags: list[str] = []
    timeout: int | None = None
    raw: list[object] = []
    notes: list[NftNote] = []
    for words in _lines(inside):
        cursor = Cursor(words, text)
        try:
            match cursor.take():
                case "type":
                    key, data = _types(cursor)
                case "typeof":
                    key, data = _typeof(cursor, family)
                case "flags":
                    flags = [t.text for t in words[1:] if t.text != ","]
                case "timeout":
                    timeout = duration(cursor.take())
                case "elements":
                    cursor.need("=")
                    raw = set_elements(cursor)
                case _:
                    pass  # size, policy, comment, auto-merge, counter: they say nothing about a packet
        except ValueError as error:
            notes.append(NftNote(f"the set {quoted(name)}: {error}", words[0]))
            if words[0].text == "elements":
                raw = [None]
    found, unread = _elements(name, raw, key, data, family)
    made = NftSet(name, key, data, found, span, frozenset(flags), timeout)
    return made, (*notes, *unread)


def _lines(inside: Sequence[Token]) -> list[list[Token]]:
    """The statements of a block; line ends in braces do not end one."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in inside:
        text = "" if token.quoted else token.text
        depth += {"{": 1, "}": -1}.get(text, 0)
        if depth == 0 and text in END:
            found.append([])
        elif text != "\n":
            found[-1].append(token)
    return [words for words in found if words]


def _types(cursor: Cursor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sides: list[list[str]] = [[]]
    while not cursor.done:
        word = cursor.take()
        if word == ":":
            sides.append([])
        elif word not in (".", "interval"):
            sides[-1].append(word)
    data = sides[1] if len(sides) > 1 else []
    return tuple(sides[0]), tuple("object" if kind in _OBJECTS else kind for kind in data)


def _typeof(cursor: Cursor, family: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    key = types_of(decode(expression(cursor), (), family))
    if not cursor.skip(":"):
        return key, ()
    cursor.skip("interval")
    if cursor.peek() == "verdict" or cursor.peek() in _OBJECTS:
        return key, ("verdict" if cursor.take() == "verdict" else "object",)
    return key, types_of(decode(expression(cursor), (), family))


def _elements(
    name: str, raw: Sequence[object], key: tuple[str, ...], data: tuple[str, ...], family: str
) -> tuple[tuple[Element, ...], tuple[NftNote, ...]]:
    found: list[Element] = []
    notes: list[NftNote] = []
    for given in raw:
        try:
            found.append(element(given, key, data, family))
        except (ValueError, RecursionError) as error:
            found.append(Element((Unread("?"),) * max(len(key), 1), Unread("?") if data else None))
            notes.append(NftNote(f"an element of the set {quoted(name)}: {error}"))
    return tuple(found), tuple(notes)


def read_json_set(given: Mapping[str, object], family: str, span: Span) -> tuple[NftSet, tuple[NftNote, ...]]:
    """
    Read a ``set`` or ``map`` of ``nft -j``.

    :raises ValueError: if it has no name or type.
    """
    name = given.get("name")
    if not isinstance(name, str):
        raise ValueError("a set without a name")  # noqa: TRY004 (evidence, not a bug)
    key = _json_types(given.get("type"), family)
    data = tuple("object" if kind in _OBJECTS else kind for kind in _json_types(given.get("map"), family))
    raw = given.get("elem")
    found, notes = _elements(name, raw if isinstance(raw, list) else [], key, data, family)
    flags = given.get("flags")
    timeout = given.get("timeout")
    words = flags if isinstance(flags, list) else [flags] if isinstance(flags, str) else []
    return (
        NftSet(
            name,
            key,
            data,
            found,
            span,
            frozenset(map(str, words)),
            timeout if isinstance(timeout, int) else None,
        ),
        notes,
    )


def _json_types(given: object, family: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list):
        return tuple(map(str, given))
    if isinstance(given, dict):  # a typeof of newer releases
        inner = given.get("typeof", given)
        return types_of(decode(inner, (), family))
    return ()


def read_object(kind: str, name: str, inside: Sequence[Token], span: Span) -> NftObject:
    """A named counter, limit, helper, flowtable … with the words of its block."""
    devices: list[str] = []
    terms: list[tuple[str, str]] = []
    for words in _lines(inside):
        texts = [token.text for token in words]
        if texts[0] == "devices":
            devices = [word for word in texts[1:] if word not in ("=", "{", "}", ",")]
        else:
            terms.append((texts[0], " ".join(texts[1:])))
    return NftObject(kind, name, span, tuple(terms), tuple(devices))
