"""
Actions that choose by a hash of the packet: ``multipath``, ``bundle``, ``bundle_load``.

They give *fields* (what is hashed), *basis*, *algorithm*; ``multipath`` also *links*, *argument* and the bits
that are written, *field*, *low* and *high*; the others *members*, a tuple of port numbers (or names), and
``bundle_load`` the bits too. Source: ovs-actions(7); ``lib/multipath.c``, ``lib/bundle.c``.
"""

from __future__ import annotations

from typing import Final

from bothways.parse.openflow_fields import subfield
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_values import number, port_number, unquoted

__all__ = ["bundle", "check_larger", "multipath"]

Args = dict[str, object]

_HASHED: Final = frozenset(
    {"eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "symmetric_l3", "nw_src", "nw_dst"}
)
_LINKS: Final = frozenset({"modulo_n", "hash_threshold", "hrw", "iter_hash"})
_MEMBERS: Final = frozenset({"hrw", "active_backup"})


def multipath(_reader: object, name: str, value: Piece) -> tuple[str, Args]:
    """``multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD[a..b])``."""
    fields, basis, algorithm, links, argument, target = _words(value, 6)
    part = subfield(target)
    return name, {
        **_hash(fields, basis, algorithm, _LINKS),
        "links": _positive(links),
        "argument": number(argument),
        "field": part.name,
        "low": part.low,
        "high": part.high,
    }


def bundle(_reader: object, name: str, value: Piece) -> tuple[str, Args]:
    """``bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT,…)``; ``bundle_load`` has bits before members."""
    pieces = cut(value.text, value.column)
    first = next(
        (i for i, piece in enumerate(pieces) if keyed(piece)[0] in ("members", "slaves")), len(pieces)
    )
    head = [piece.text for piece in pieces[:first]]
    if first == len(pieces) or len(head) != (5 if name == "bundle_load" else 4) or head[3] != "ofport":
        raise ValueError(value.text)
    inner = keyed(pieces[first])[1]
    texts = ["" if inner is None else inner.text, *(piece.text for piece in pieces[first + 1 :])]
    members = tuple(_member(text.strip("[]")) for text in texts if text.strip("[]"))
    args: Args = {**_hash(head[0], head[1], head[2], _MEMBERS), "members": members}
    if name == "bundle_load":
        part = subfield(head[4])
        args |= {"field": part.name, "low": part.low, "high": part.high}
    return name, args


def check_larger(_reader: object, name: str, value: Piece) -> tuple[str, Args]:
    """``check_pkt_larger(SIZE)->FIELD[a]``: *size* and the bit that is written."""
    size, arrow, target = value.text.partition(")->")
    part = subfield(target)
    if not arrow or part.width != 1:
        raise ValueError(value.text)
    return name, {"size": number(size), "field": part.name, "low": part.low, "high": part.high}


def _words(value: Piece, count: int) -> list[str]:
    words = [piece.text for piece in cut(value.text, value.column)]
    if len(words) != count:
        raise ValueError(value.text)
    return words


def _hash(fields: str, basis: str, algorithm: str, able: frozenset[str]) -> Args:
    if fields not in _HASHED or algorithm not in able:
        raise ValueError(f"{fields},{algorithm}")
    return {"fields": fields, "basis": number(basis), "algorithm": algorithm}


def _positive(text: str) -> int:
    value = number(text)
    if not value:
        raise ValueError(text)
    return value


def _member(text: str) -> int | str:
    port = port_number(text)
    return unquoted(text) if port is None else port
