"""
Statements in nft's words, to the shape that ``nft -j`` gives them.

What begins with none of the words of ``STATEMENTS`` begins with an expression: a condition, a change
(``… set``) or a verdict map (``… vmap``). Source: nft(8), *Statements*; libnftables-json(5) for the shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_destination import destination, nat
from bothways.parse.nft_phrase import begins, expression, map_data, verdict
from bothways.parse.nft_types import duration
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["NOTHING", "starts", "statement"]

Shape = dict[str, object]

#: What a statement gives that is no statement in the JSON form: a comment.
NOTHING: Final[Shape] = {}
_ORDER: Final = frozenset({"==", "!=", "<", ">", "<=", ">=", "!"})
_NAMED_ORDER: Final = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}
_SIZES: Final = frozenset({"bytes", "kbytes", "mbytes", "packets"})
_RATE: Final = re.compile(r"(?P<number>\d+)?(?:(?P<unit>bytes|kbytes|mbytes|packets))?/(?P<per>[a-z]+)\Z")
_LOGGED: Final = frozenset({"prefix", "level", "group", "snaplen", "queue-threshold", "flags"})
_SYNPROXY: Final = frozenset({"mss", "wscale", "timestamp", "sack-perm", "name"})


def statement(cursor: Cursor) -> Shape:
    """
    One statement.

    :raises ValueError: where none stands; ``NotModelledError`` for what is not evaluated.
    """
    found = verdict(cursor)
    if found is not None:
        return found
    reader = _reader(cursor)
    if reader is not None:
        words, read = reader
        cursor.at += words
        return read(cursor)
    if not begins(cursor) and cursor.peek() not in ("(", "{"):
        raise NotModelledError(f"{quoted(cursor.peek() or cursor.take())} is not evaluated")
    return _relation(cursor)


def starts(cursor: Cursor) -> bool:
    """True if a statement that is known may begin here."""
    return (
        cursor.peek() in ("accept", "drop", "continue", "return", "jump", "goto")
        or _reader(cursor) is not None
        or begins(cursor)
    )


def _reader(cursor: Cursor) -> tuple[int, Callable[[Cursor], Shape]] | None:
    words = cursor.ahead(3)
    for length in range(len(words), 0, -1):
        read = _STATEMENTS.get(words[:length])
        if read is not None:
            return length, read
    return None


# -- conditions, changes, verdict maps ---------------------------------------------------------------------


def _relation(cursor: Cursor) -> Shape:
    left = expression(cursor)
    if cursor.skip("vmap"):
        return {"vmap": {"key": left, "data": map_data(cursor)}}
    if cursor.skip("set"):
        return {"mangle": {"key": left, "value": _listed(cursor)}}
    operator: str | None = None
    word = _NAMED_ORDER.get(cursor.peek(), cursor.peek())
    if word in _ORDER:
        cursor.at += 1
        operator = word
    right = _listed(cursor)
    if cursor.ahead(2) == ("[invalid", "type]"):  # what nft 1.0 prints behind a port of ``ct reply``
        cursor.at += 2
    if cursor.skip("/"):
        mask = _listed(cursor)
        return {"match": {"op": operator or "==", "left": {"&": [left, mask]}, "right": right}}
    return {"match": {"op": operator, "left": left, "right": right}}


def _listed(cursor: Cursor) -> object:
    """A value, or flags with commas between."""
    found = [expression(cursor)]
    while cursor.skip(","):
        found.append(expression(cursor))
    return found[0] if len(found) == 1 else found


# -- other actions -----------------------------------------------------------------------------------------


def _reject(cursor: Cursor) -> Shape:
    if not cursor.skip("with"):
        return {"reject": None}
    family = cursor.take()
    if family == "tcp":
        cursor.need("reset")
        return {"reject": {"type": "tcp reset"}}
    cursor.skip("type")
    return {"reject": {"type": family, "expr": cursor.take()}}


def _log(cursor: Cursor) -> Shape:
    while cursor.peek() in _LOGGED:
        cursor.take()
        cursor.take()
        while cursor.skip(","):
            cursor.take()
        if cursor.peek() in ("seq", "options", "sequence"):
            cursor.take()
    return {"log": None}


def _counter(cursor: Cursor) -> Shape:
    if cursor.skip("packets"):
        cursor.take()
        cursor.need("bytes")
        cursor.take()
    elif cursor.skip("name"):
        expression(cursor)
    return {"counter": None}


def _last(cursor: Cursor) -> Shape:
    if cursor.skip("used"):
        cursor.take()
    return {"last": None}


def _named(kind: str, cursor: Cursor) -> Shape:
    found = expression(cursor)
    return {kind: found}


def _limit(cursor: Cursor) -> Shape:
    if cursor.skip("name"):
        return _named("limit", cursor)
    cursor.need("rate")
    found: Shape = {}
    if cursor.skip("over"):
        found["inv"] = True
    else:
        cursor.skip("until")
    word = cursor.take()
    unit = "packets"
    if cursor.peek().partition("/")[0] in _SIZES:
        word += cursor.take()
    parts = _RATE.match(word)
    if parts is None or parts["number"] is None:
        raise ValueError(f"{quoted(word)} is no rate")
    unit = parts["unit"] or unit
    found |= {"rate": int(parts["number"]), "per": parts["per"]}
    if unit != "packets":
        found["rate_unit"] = unit
    if cursor.skip("burst"):
        found["burst"] = cursor.number()
        if cursor.peek() in _SIZES:
            size = cursor.take()
            if size != "packets":
                found["burst_unit"] = size
    return {"limit": found}


def _quota(cursor: Cursor) -> Shape:
    if cursor.skip("name"):
        return _named("quota", cursor)
    found: Shape = {}
    if cursor.skip("over"):
        found["inv"] = True
    else:
        cursor.skip("until")
    found |= {"val": cursor.number(), "val_unit": cursor.take()}
    if cursor.skip("used"):
        cursor.take()
        cursor.take()
    return {"quota": found}


def _connections(cursor: Cursor) -> Shape:
    found: Shape = {}
    if cursor.skip("over"):
        found["inv"] = True
    return {"ct count": {**found, "val": cursor.number()}}


def _queue(cursor: Cursor) -> Shape:
    found: Shape = {}
    flags: list[str] = []
    if cursor.skip("flags"):
        flags = _commas(cursor)
    if cursor.skip("num"):
        found["num"] = cursor.take()
    elif cursor.skip("to"):
        found["num"] = str(expression(cursor))
    while cursor.peek() in ("bypass", "fanout"):
        flags += _commas(cursor)
    if flags:
        found["flags"] = flags
    return {"queue": found}


def _commas(cursor: Cursor) -> list[str]:
    found = [cursor.take()]
    while cursor.skip(","):
        found.append(cursor.take())
    return found


def _tproxy(cursor: Cursor) -> Shape:
    found: Shape = {}
    if cursor.peek() in ("ip", "ip6") and cursor.ahead(2)[1:] == ("to",):
        found["family"] = cursor.take()
    cursor.need("to")
    destination(cursor, found)
    return {"tproxy": found}


def _dup(cursor: Cursor) -> Shape:
    found: Shape = {"addr": expression(cursor)}
    if cursor.skip("device"):
        found["dev"] = expression(cursor)
    return {"dup": found}


def _fwd(cursor: Cursor) -> Shape:
    if cursor.peek() in ("ip", "ip6") and cursor.ahead(2)[1:] == ("to",):
        family = cursor.take()
        cursor.need("to")
        address = expression(cursor)
        cursor.need("device")
        return {"fwd": {"family": family, "addr": address, "dev": expression(cursor)}}
    cursor.need("to")
    return {"fwd": {"dev": expression(cursor)}}


def _synproxy(cursor: Cursor) -> Shape:
    while cursor.peek() in _SYNPROXY:
        if cursor.take() in ("mss", "wscale", "name"):
            cursor.take()
    return {"synproxy": None}


def _flow(cursor: Cursor) -> Shape:
    return {"flow": {"op": "add", "flowtable": cursor.take()}}


def _update(operation: str) -> Callable[[Cursor], Shape]:
    """``add @set { KEY [timeout T] [limit …] [: DATA] }``."""

    def read(cursor: Cursor) -> Shape:
        name = cursor.take()
        if not name.startswith("@"):
            raise ValueError(f"a set is expected, found {quoted(name)}")
        return {"set": {"op": operation, "set": name, **_entry(cursor)}}

    return read


def _entry(cursor: Cursor) -> Shape:
    cursor.need("{")
    key = expression(cursor)
    found: Shape = {}
    inner: Shape = {}
    gates: list[Shape] = []
    while not cursor.done and cursor.peek() != "}":
        if cursor.skip("timeout"):
            inner["timeout"] = duration(cursor.take())
        elif cursor.skip("comment"):
            cursor.take()
        elif cursor.skip(":"):
            found["data"] = expression(cursor)
        else:
            gates.append(statement(cursor))
    cursor.need("}")
    found["elem"] = {"elem": {"val": key, **inner}} if inner else key
    if gates:
        found["stmt"] = gates
    return found


def _meter(cursor: Cursor) -> Shape:
    name = cursor.take()
    if cursor.skip("size"):
        cursor.take()
    entry = _entry(cursor)
    gates = entry.get("stmt")
    first = gates[0] if isinstance(gates, list) and gates else {"counter": None}
    return {"meter": {"name": name, "key": entry["elem"], "stmt": first}}


def _assign(kind: str) -> Callable[[Cursor], Shape]:
    return lambda cursor: {kind: expression(cursor)}


def _xt(cursor: Cursor) -> Shape:
    kind = cursor.take()
    return {"xt": {"type": kind, "name": "" if cursor.done else cursor.take()}}


def _comment(cursor: Cursor) -> Shape:
    cursor.take()
    return NOTHING


#: first words of a statement -> what reads the rest
_STATEMENTS: Final[Mapping[tuple[str, ...], Callable[[Cursor], Shape]]] = {
    ("counter",): _counter,
    ("log",): _log,
    ("last",): _last,
    ("comment",): _comment,
    ("limit",): _limit,
    ("quota",): _quota,
    ("ct", "count"): _connections,
    ("reject",): _reject,
    ("snat",): nat("snat"),
    ("dnat",): nat("dnat"),
    ("masquerade",): nat("masquerade"),
    ("redirect",): nat("redirect"),
    ("notrack",): lambda _: {"notrack": None},
    ("queue",): _queue,
    ("tproxy",): _tproxy,
    ("dup", "to"): _dup,
    ("fwd",): _fwd,
    ("synproxy",): _synproxy,
    ("flow", "add"): _flow,
    ("flow", "offload"): _flow,
    ("add",): _update("add"),
    ("update",): _update("update"),
    ("delete",): _update("delete"),
    ("meter",): _meter,
    ("ct", "helper", "set"): _assign("ct helper"),
    ("ct", "timeout", "set"): _assign("ct timeout"),
    ("ct", "expectation", "set"): _assign("ct expectation"),
    ("xt",): _xt,
}
