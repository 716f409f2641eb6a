"""
Expressions in nft's words, to the shape that ``nft -j`` gives them.

A selector is found by its words, longest first. Operators bind as in C: shifts, ``&``, ``^``, ``|``; a dot
joins what stands beside it. Source: nft(8), *Expressions*; libnftables-json(5) for the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.parse import nft_fields as fields
from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_types import duration
from bothways.parse.reading import NotModelledError

__all__ = ["begins", "expression", "map_data", "set_elements", "verdict"]

Shape = dict[str, object]

_JOINED: Final = {"and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>"}
#: Operators from the loosest to the tightest.
_LEVELS: Final = (("|",), ("^",), ("&",), ("<<", ">>"))
_BASES: Final = frozenset({"@ll", "@nh", "@th", "@ih"})
_ARP: Final = frozenset({"saddr", "daddr"})
_CONDITIONAL: Final = frozenset({"exists", "missing"})
_PLAIN_VERDICTS: Final = frozenset({"accept", "drop", "continue", "return"})
_DEPTH: Final = 20


# -- selectors ---------------------------------------------------------------------------------------------


def _payload(cursor: Cursor) -> Shape:
    protocol, field = cursor.take(), cursor.take()
    if protocol == "arp" and field in _ARP:
        field = f"{field} {cursor.take()}"
    return {"payload": {"protocol": protocol, "field": field}}


def _raw(cursor: Cursor) -> Shape:
    base = cursor.take()[1:]
    cursor.need(",")
    offset = cursor.number()
    cursor.need(",")
    return {"payload": {"base": base, "offset": offset, "len": cursor.number()}}


def _meta(cursor: Cursor) -> Shape:
    cursor.skip("meta")
    return {"meta": {"key": cursor.take()}}


def _ct(cursor: Cursor) -> Shape:
    cursor.take()
    side = cursor.take() if cursor.peek() in ("original", "reply") else None
    key = cursor.take()
    if key in ("ip", "ip6"):
        key = f"{key} {cursor.take()}"
    return {"ct": {"key": key} if side is None else {"key": key, "dir": side}}


def _rt(cursor: Cursor) -> Shape:
    cursor.take()
    if cursor.peek() in ("ip", "ip6"):
        family = cursor.take()
        return {"rt": {"key": cursor.take(), "family": family}}
    return {"rt": {"key": cursor.take()}}


def _socket(cursor: Cursor) -> Shape:
    cursor.take()
    key = cursor.take()
    if cursor.skip("level"):
        cursor.take()
    return {"socket": {"key": key}}


def _fib(cursor: Cursor) -> Shape:
    cursor.take()
    flags = [cursor.take()]
    while cursor.skip("."):
        flags.append(cursor.take())
    return {"fib": {"result": cursor.take(), "flags": flags}}


def _numgen(cursor: Cursor) -> Shape:
    cursor.take()
    mode = cursor.take()
    cursor.need("mod")
    found: Shape = {"mode": mode, "mod": cursor.number()}
    if cursor.skip("offset"):
        found["offset"] = cursor.number()
    return {"numgen": found}


def _jhash(cursor: Cursor) -> Shape:
    cursor.take()
    key = expression(cursor)
    cursor.need("mod")
    found: Shape = {"expr": key, "mod": cursor.number()}
    for word in ("seed", "offset"):
        if cursor.skip(word):
            found[word] = cursor.number()
    return {"jhash": found}


def _symhash(cursor: Cursor) -> Shape:
    cursor.take()
    cursor.need("mod")
    found: Shape = {"mod": cursor.number()}
    if cursor.skip("offset"):
        found["offset"] = cursor.number()
    return {"symhash": found}


def _option(words: int, kind: str, known: Mapping[str, tuple[str, ...]]) -> Callable[[Cursor], Shape]:
    """A header by name, and a field of it if one of its fields follows."""

    def read(cursor: Cursor) -> Shape:
        cursor.at += words
        name = cursor.take()
        if name.startswith("@"):
            cursor.need(",")
            offset = cursor.number()
            cursor.need(",")
            return {kind: {"base": int(name[1:]), "offset": offset, "len": cursor.number()}}
        if name.isdigit():
            return {kind: {"base": int(name), "offset": 0, "len": 8}}
        found: Shape = {"name": _SPELT.get(name, name)}
        if cursor.peek() in known.get(name, ()):
            found["field"] = cursor.take()
        return {kind: found}

    return read


_SPELT: Final = {"sack-permitted": "sack-perm", "mss": "maxseg", "noop": "nop"}
_IP_OPTION: Final = dict.fromkeys(("lsrr", "ra", "rr", "ssrr"), ("type", "length", "value", "ptr", "addr"))
_EXTHDR: Final = _option(0, "exthdr", fields.EXTHDR)


def _routing(cursor: Cursor) -> Shape:
    """``rt`` is the routing header where a field of it follows, and else the route."""
    return (
        _EXTHDR(cursor) if cursor.ahead(2)[1:] and cursor.ahead(2)[1] in fields.EXTHDR["rt"] else _rt(cursor)
    )


def _opening() -> dict[tuple[str, ...], Callable[[Cursor], Shape]]:
    found: dict[tuple[str, ...], Callable[[Cursor], Shape]] = {
        ("ct",): _ct,
        ("rt",): _routing,
        ("socket",): _socket,
        ("fib",): _fib,
        ("numgen",): _numgen,
        ("jhash",): _jhash,
        ("symhash",): _symhash,
        ("tcp", "option"): _option(2, "tcp option", fields.TCP_OPTION),
        ("ip", "option"): _option(2, "ip option", _IP_OPTION),
        ("exthdr",): _option(1, "exthdr", {}),
        **{("meta", key): _meta for key in fields.META},
        **{(key,): _meta for key in fields.BARE_META},
        **{(name,): _EXTHDR for name in fields.EXTHDR if name != "rt"},
    }
    for protocol, known in fields.PAYLOAD.items():
        found.update({(protocol, name.split()[0]): _payload for name in known})
    return found


_OPENING: Final[Mapping[tuple[str, ...], Callable[[Cursor], Shape]]] = _opening()


def begins(cursor: Cursor) -> bool:
    """True if a selector stands here."""
    return _selector(cursor) is not None


def _selector(cursor: Cursor) -> Callable[[Cursor], Shape] | None:
    words = cursor.ahead(2)
    if words and words[0] in _BASES and words[1:] == (",",):
        return _raw
    return _OPENING.get(words) or _OPENING.get(words[:1])


# -- trees -------------------------------------------------------------------------------------------------


def expression(cursor: Cursor, depth: int = 0) -> object:
    """
    One expression, up to the word that does not belong to it.

    :raises ValueError: where none stands; ``NotModelledError`` for what is not evaluated.
    """
    if depth > _DEPTH:
        raise NotModelledError("parentheses this deep are not evaluated")
    parts = [_binary(cursor, 0, depth)]
    while cursor.skip("."):
        parts.append(_binary(cursor, 0, depth))
    found = parts[0] if len(parts) == 1 else {"concat": parts}
    if cursor.skip("map"):
        return {"map": {"key": found, "data": map_data(cursor, depth)}}
    return found


def _operator(cursor: Cursor) -> str:
    word = cursor.peek()
    return _JOINED.get(word, word)


def _binary(cursor: Cursor, level: int, depth: int) -> object:
    if level == len(_LEVELS):
        return _primary(cursor, depth)
    found = _binary(cursor, level + 1, depth)
    while not cursor.done and _operator(cursor) in _LEVELS[level]:
        operator = _operator(cursor)
        cursor.at += 1
        found = {operator: [found, _binary(cursor, level + 1, depth)]}
    return found


def _primary(cursor: Cursor, depth: int) -> object:
    if cursor.skip("("):
        found = expression(cursor, depth + 1)
        cursor.need(")")
        return found
    if cursor.peek() == "{":
        return {"set": set_elements(cursor, depth)}
    reader = _selector(cursor)
    if reader is not None:
        return reader(cursor)
    quoted_word = not cursor.done and cursor.tokens[cursor.at].quoted
    word = cursor.take()
    if quoted_word:
        # nft prints a range of quoted words as "10:00"-"12:00".
        if cursor.peek() == "-":
            cursor.at += 1
            return {"range": [word, cursor.take()]}
        return word
    if word.startswith("$"):
        raise NotModelledError("variables are not evaluated")
    if word in _CONDITIONAL:
        return word == "exists"
    return word


def set_elements(cursor: Cursor, depth: int = 0) -> list[object]:
    """What stands between braces: elements, or pairs where a colon follows a key."""
    cursor.need("{")
    found: list[object] = []
    while not cursor.skip("}"):
        found.append(_element(cursor, depth))
        if not cursor.skip(","):
            cursor.need("}")
            break
    return found


def _element(cursor: Cursor, depth: int) -> object:
    key = _key(cursor, depth)
    extra = _extra(cursor)
    value: object = None
    paired = cursor.skip(":")
    if paired:
        value = verdict(cursor)
        if value is None:
            value = _list(cursor, depth)
        extra |= _extra(cursor)
    item = {"elem": {"val": key, **extra}} if extra else key
    return [item, value] if paired else item


def _key(cursor: Cursor, depth: int) -> object:
    if cursor.peek() == "*":
        cursor.at += 1
        return "*"
    return _list(cursor, depth)


def _list(cursor: Cursor, depth: int) -> object:
    return expression(cursor, depth + 1)


def _extra(cursor: Cursor) -> Shape:
    """What an element carries along: times, counters, a comment."""
    found: Shape = {}
    while not cursor.done:
        word = cursor.peek()
        if word in ("timeout", "expires"):
            cursor.at += 1
            found[word] = duration(cursor.take())
        elif word == "comment":
            cursor.at += 1
            found[word] = cursor.take()
        elif word == "counter":
            cursor.at += 1
            if cursor.skip("packets"):
                cursor.take()
                cursor.need("bytes")
                cursor.take()
            found[word] = True
        elif word in ("limit", "quota", "last", "ct"):
            found[word] = True
            while not cursor.done and cursor.peek() not in (",", "}", ":", "timeout", "expires", "comment"):
                cursor.at += 1
        else:
            break
    return found


def map_data(cursor: Cursor, depth: int = 0) -> object:
    """A map by name or in braces."""
    if cursor.peek().startswith("@"):
        return cursor.take()
    return {"set": set_elements(cursor, depth)}


def verdict(cursor: Cursor) -> Shape | None:
    """A verdict, None if none stands here."""
    word = cursor.peek()
    if word in _PLAIN_VERDICTS:
        cursor.at += 1
        return {word: None}
    if word in ("jump", "goto"):
        cursor.at += 1
        if cursor.peek() == "{":
            raise NotModelledError("a chain that is written into the rule is not evaluated")
        return {word: {"target": cursor.take()}}
    return None
