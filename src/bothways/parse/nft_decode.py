"""
Expressions of nft, from the shape of ``nft -j`` to typed trees.

The reader of the text form builds the same shape, so there is one place that knows what a value means: here.
A word is read by the data type of what it is compared with. Source: libnftables-json(5), *EXPRESSIONS*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bothways.facts.nft_expression import (
    Concat,
    Draw,
    Element,
    Expression,
    Fib,
    Field,
    Interval,
    Mapped,
    NamedSet,
    Operation,
    SetOf,
    Verdict,
    Word,
)
from bothways.parse import nft_fields as fields
from bothways.parse.nft_types import between, duration, literal, prefix
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["VERDICTS", "cases", "decode", "element", "folded", "types_of", "verdict"]

#: Types of a value, one per part of a concatenation; empty where nothing says.
Types = tuple[str, ...]

VERDICTS: Final = frozenset({"accept", "drop", "continue", "return", "jump", "goto"})
_OPERATORS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
}
_SHIFTS: Final = frozenset({"<<", ">>"})
_FIB: Final = {"oif": "iface_index", "oifname": "ifname", "type": "fib_addrtype"}
_BASES: Final = frozenset({"ll", "nh", "th", "ih"})
_MOST_BITS: Final = 256


def decode(given: object, types: Types, family: str) -> Expression:
    """
    One expression.

    :param types: what its literals are read as.
    :param family: of the table; it says which addresses ``ct original saddr`` means.
    :raises ValueError: for what is no expression; ``NotModelledError`` for what is not evaluated.
    """
    if isinstance(given, list):
        return _flags(given, types, family)
    if isinstance(given, dict):
        name = next(iter(given), "")
        if len(given) != 1:
            raise ValueError("an expression with one member was expected")
        if name in _OPERATORS:
            return _operation(name, given[name], types, family)
        reader = _READERS.get(name)
        if reader is None:
            raise NotModelledError(f"the expression {quoted(name)} is not evaluated")
        return reader(given[name], types, family)
    if isinstance(given, str) and given.startswith("@"):
        return NamedSet(given[1:])
    return literal(types[0] if types else "integer", given)


def types_of(found: Expression) -> Types:
    """The data types of what an expression gives."""
    match found:
        case Field(_, kind):
            return (kind,)
        case Fib(_, result):
            return (_FIB[result],)
        case Concat(parts):
            return tuple(kind for part in parts for kind in types_of(part)[:1] or ("integer",))
        case Operation(_, left, _):
            return types_of(left)
        case _:
            return ("integer",)


# -- fields ------------------------------------------------------------------------------------------------


def _member(given: object, name: str) -> object:
    return given.get(name) if isinstance(given, dict) else None


def _text(given: object, name: str) -> str:
    found = _member(given, name)
    if not isinstance(found, str):
        raise ValueError(f"`{name}` is missing")  # noqa: TRY004 (evidence, not a bug)
    return found


def _number(given: object, name: str, default: int | None = None) -> int:
    found = _member(given, name)
    if found is None and default is not None:
        return default
    if isinstance(found, str):
        found = int(found, 0)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ValueError(f"`{name}` is not a number")
    return found


def _payload(given: object, _: Types, __: str) -> Expression:
    if _member(given, "base") is not None:
        base, offset, length = _text(given, "base"), _number(given, "offset"), _number(given, "len")
        if base not in _BASES or not 0 < length <= _MOST_BITS:
            raise NotModelledError(f"the payload @{base},{offset},{length} is not evaluated")
        return Field(f"@{base},{offset},{length}", "integer")
    protocol, name = _text(given, "protocol"), _text(given, "field")
    kind = fields.PAYLOAD.get(protocol, {}).get(name)
    if kind is None:
        raise NotModelledError(f"the field {quoted(f'{protocol} {name}')} is not evaluated")
    return Field(f"{protocol} {name}", kind)


def _meta(given: object, _: Types, __: str) -> Expression:
    key = _text(given, "key")
    if key not in fields.META:
        raise NotModelledError(f"{quoted(f'meta {key}')} is not evaluated")
    return Field(f"meta {key}", fields.META[key])


def _ct(given: object, _: Types, family: str) -> Expression:
    key, side = _text(given, "key"), _member(given, "dir")
    if side is None:
        if key not in fields.CT:
            raise NotModelledError(f"{quoted(f'ct {key}')} is not evaluated")
        return Field(f"ct {key}", fields.CT[key])
    if key in ("saddr", "daddr"):
        key = f"{'ip6' if family == 'ip6' else 'ip'} {key}"
    if side not in ("original", "reply") or key not in fields.CT_SIDED:
        raise NotModelledError(f"{quoted(f'ct {side} {key}')} is not evaluated")
    return Field(f"ct {side} {key}", fields.CT_SIDED[key])


def _rt(given: object, _: Types, family: str) -> Expression:
    key = _text(given, "key")
    if key == "nexthop":
        key = f"{_member(given, 'family') or ('ip6' if family == 'ip6' else 'ip')} nexthop"
    if key not in fields.RT:
        raise NotModelledError(f"{quoted(f'rt {key}')} is not evaluated")
    return Field(f"rt {key}", fields.RT[key])


def _socket(given: object, _: Types, __: str) -> Expression:
    key = _text(given, "key")
    return Field(f"socket {key}", fields.SOCKET.get(key, "integer"))


def _named(kind: str) -> Callable[[object, Types, str], Expression]:
    """``tcp option``, ``ip option``, ``exthdr``, ``sctp chunk``: a header by name, and a field of it."""

    def read(given: object, _: Types, __: str) -> Expression:
        if _member(given, "base") is not None:
            place = f"@{_number(given, 'base')},{_number(given, 'offset')},{_number(given, 'len')}"
            return Field(f"{kind} {place}", "integer")
        name, part = _text(given, "name"), _member(given, "field")
        return Field(f"{kind} {name}" + (f" {part}" if part else ""), "integer" if part else "boolean")

    return read


def _fib(given: object, _: Types, __: str) -> Expression:
    result, flags = _text(given, "result"), _member(given, "flags")
    words = (flags,) if isinstance(flags, str) else tuple(map(str, flags if isinstance(flags, list) else ()))
    if result not in _FIB:
        raise NotModelledError(f"{quoted(f'fib {result}')} is not evaluated")
    return Fib(words, result)


def _numgen(given: object, _: Types, __: str) -> Expression:
    return Draw(f"numgen {_text(given, 'mode')}", _number(given, "mod"), _number(given, "offset", 0))


def _jhash(given: object, _: Types, family: str) -> Expression:
    seed = None if _member(given, "seed") is None else _number(given, "seed")
    key = decode(_member(given, "expr"), (), family)
    return Draw("jhash", _number(given, "mod"), _number(given, "offset", 0), seed, key)


def _symhash(given: object, _: Types, __: str) -> Expression:
    return Draw("symhash", _number(given, "mod"), _number(given, "offset", 0))


# -- values ------------------------------------------------------------------------------------------------


def _each(given: object) -> Sequence[object]:
    if not isinstance(given, list) or not given:
        raise ValueError("a list was expected")
    return given


def _flags(given: list[object], types: Types, family: str) -> Expression:
    """A list of flags: all their bits."""
    found = decode(_each(given)[0], types, family)
    for word in given[1:]:
        found = folded("|", found, decode(word, types, family))
    return found


def folded(operator: str, left: Expression, right: Expression) -> Expression:
    """An operation; of two numbers, its result."""
    if isinstance(left, Interval) and isinstance(right, Interval):
        far = operator in _SHIFTS and right.low > _MOST_BITS
        if left.low != left.high or right.low != right.high or far:
            raise NotModelledError("an operation on a range is not evaluated")
        result = _OPERATORS[operator](left.low, right.low)
        return Interval(result, result)
    return Operation(operator, left, right)


def _operation(operator: str, given: object, types: Types, family: str) -> Expression:
    operands = _each(given)
    found = decode(operands[0], types, family)
    kinds = types_of(found) if not isinstance(found, Interval) else types
    for operand in operands[1:]:
        right = decode(operand, ("integer",) if operator in _SHIFTS else kinds, family)
        found = folded(operator, found, right)
    return found


def _concat(given: object, types: Types, family: str) -> Expression:
    parts = _each(given)
    kinds = types if len(types) == len(parts) else ("",) * len(parts)
    return Concat(tuple(decode(p, (k,) if k else (), family) for p, k in zip(parts, kinds, strict=True)))


def _end(given: object, kind: str) -> int:
    found = literal(kind, given)
    if not isinstance(found, Interval):
        raise NotModelledError(f"a range of {kind} is not evaluated")
    return found.low


def _prefix(given: object, types: Types, _: str) -> Expression:
    kind = types[0] if types else "integer"
    return prefix(kind, _end(_member(given, "addr"), kind), _number(given, "len"))


def _range(given: object, types: Types, _: str) -> Expression:
    ends = _each(given)
    kind = types[0] if types else "integer"
    if len(ends) != 2:  # noqa: PLR2004 (both ends)
        raise ValueError("a range of two ends was expected")
    return between(_end(ends[0], kind), _end(ends[1], kind))


def _set(given: object, types: Types, family: str) -> Expression:
    if given is None or given == []:
        return SetOf(())
    items = given if isinstance(given, list) else [given]
    return SetOf(tuple(element(item, types, (), family) for item in items))


def _map(given: object, types: Types, family: str) -> Expression:
    key = decode(_member(given, "key"), (), family)
    return Mapped(key, cases(_member(given, "data"), types_of(key), types, family))


def cases(given: object, key: Types, data: Types, family: str) -> SetOf | NamedSet:
    """What a map or verdict map holds."""
    if isinstance(given, str) and given.startswith("@"):
        return NamedSet(given[1:])
    pairs = _each(_member(given, "set"))
    return SetOf(tuple(element(pair, key, data, family) for pair in pairs))


def element(given: object, key: Types, data: Types, family: str) -> Element:
    """One element of a set, or a pair of a map."""
    value: object = None
    paired = isinstance(given, list) and len(given) == 2  # noqa: PLR2004 (key and value)
    if isinstance(given, list) and paired:
        given, value = given
    timeout, comment = None, ""
    inner = _member(given, "elem")
    if inner is not None:
        given = _member(inner, "val")
        raw = _member(inner, "timeout")
        timeout = duration(str(raw)) if raw is not None else None
        comment = str(_member(inner, "comment") or "")
    parts = _parts(given, key, family)
    return Element(parts, _datum(value, data, family) if paired else None, timeout, comment)


def _parts(given: object, key: Types, family: str) -> tuple[Interval | Word, ...]:
    if given == "*":
        return ()
    members = _member(given, "concat")
    items = members if isinstance(members, list) else [given]
    kinds = key if len(key) == len(items) else key[:1] * len(items) if len(items) == 1 else ()
    if len(kinds) != len(items):
        raise NotModelledError("an element with more parts than its set is not evaluated")
    found = [decode(item, (kind,), family) for item, kind in zip(items, kinds, strict=True)]
    good = tuple(part for part in found if isinstance(part, Interval | Word))
    if len(good) != len(found):
        raise NotModelledError("an element that is no value is not evaluated")
    return good


def _datum(given: object, data: Types, family: str) -> Expression | Verdict:
    found = verdict(given)
    return decode(given, data, family) if found is None else found


def verdict(given: object) -> Verdict | None:
    """``{"jump": {"target": …}}`` and its like; None for anything else."""
    if not isinstance(given, dict) or len(given) != 1:
        return None
    kind = next(iter(given))
    if kind not in VERDICTS:
        return None
    inner = given[kind]
    return Verdict(kind, _text(inner, "target") if kind in ("jump", "goto") else "")


_READERS: Final[Mapping[str, Callable[[object, Types, str], Expression]]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "rt": _rt,
    "socket": _socket,
    "fib": _fib,
    "numgen": _numgen,
    "jhash": _jhash,
    "symhash": _symhash,
    "tcp option": _named("tcp option"),
    "ip option": _named("ip option"),
    "exthdr": _named("exthdr"),
    "sctp chunk": _named("sctp chunk"),
    "concat": _concat,
    "prefix": _prefix,
    "range": _range,
    "set": _set,
    "map": _map,
}
