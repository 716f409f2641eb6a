"""
What an expression of nft gives for a packet.

Mostly one value. Several where the kernel picks one (``numgen``), or where what decides is not known and only
few values are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from bothways.facts.nft_expression import (
    Concat,
    Draw,
    Expression,
    Fib,
    Field,
    Interval,
    Mapped,
    Operation,
    Verdict,
    Word,
)
from bothways.model.linux.nftables.element import elements_of, lookup
from bothways.model.linux.nftables.fib import fib
from bothways.model.linux.nftables.image import raw
from bothways.model.linux.nftables.meta import META
from bothways.model.linux.nftables.payload import PAYLOAD
from bothways.model.linux.nftables.view import BREAK, Value, View

__all__ = ["MODELLED", "Outcomes", "datum", "keys", "outcomes"]

_WORD: Final = 0xFFFFFFFF
#: More values than these are not walked one by one.
_MOST: Final = 32
MODELLED: Final[Mapping[str, Callable[[View], Value]]] = {**PAYLOAD, **META}
_OPERATORS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b & _WORD if b < 32 else 0,  # noqa: PLR2004 (bits of a register)
    ">>": lambda a, b: a >> b,
}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """
    What an expression may give: one tuple of parts for each value.

    :param free: the kernel picks, so each can happen; else something is not known.
    """

    values: tuple[tuple[Value, ...], ...]
    free: bool = False

    @property
    def only(self) -> tuple[Value, ...] | None:
        """The value, if there is but one."""
        return self.values[0] if len(self.values) == 1 else None


_ENDS: Final = Outcomes(((BREAK,),))
_OPEN: Final = Outcomes(((None,),))


def _one(value: Value) -> Outcomes:
    return Outcomes(((value,),))


def outcomes(expression: Expression, view: View) -> Outcomes:
    """Everything that an expression may give."""
    match expression:
        case Field(name, _):
            if name.startswith("@"):
                return _one(raw(name, view))
            reader = MODELLED.get(name)
            return _OPEN if reader is None else _one(reader(view))
        case Interval(low, high):
            return _one(low if low == high else expression)
        case Word(text):
            return _one(text)
        case Fib():
            return _one(fib(expression, view))
        case Draw():
            return _drawn(expression, view)
        case Concat(parts):
            return _joined([outcomes(part, view) for part in parts])
        case Operation():
            return _computed(expression, view)
        case Mapped(key, data):
            return _mapped(outcomes(key, view), Mapped(key, data), view)
        case _:
            return _OPEN


def keys(expression: Expression, view: View) -> Outcomes:
    """The keys that an expression may give, those that end the rule as one."""
    found = outcomes(expression, view)
    if all(BREAK in value for value in found.values):
        return _ENDS
    return found


def datum(found: object, view: View) -> Outcomes:
    """What the data of an element gives; a verdict gives nothing here."""
    if found is None:
        return _ENDS
    if isinstance(found, Verdict):
        return _OPEN
    return outcomes(found, view)  # type: ignore[arg-type] # data are a verdict or an expression


def _drawn(draw: Draw, view: View) -> Outcomes:
    if draw.key is not None and BREAK in (outcomes(draw.key, view).only or ()):
        return _ENDS
    if draw.modulus > _MOST:
        return _OPEN
    return Outcomes(
        tuple((number,) for number in range(draw.offset, draw.offset + max(draw.modulus, 1))),
        draw.modulus > 1,
    )


def _joined(parts: list[Outcomes]) -> Outcomes:
    found = tuple(
        tuple(each for part in parts_ for each in part) for parts_ in product(*(p.values for p in parts))
    )
    several = [part for part in parts if len(part.values) > 1]
    if len(found) > _MOST:
        return Outcomes(((None,) * len(parts),))
    return Outcomes(found, bool(several) and all(part.free for part in several))


def _computed(operation: Operation, view: View) -> Outcomes:
    both = _joined([outcomes(operation.left, view), outcomes(operation.right, view)])
    compute = _OPERATORS[operation.operator]
    values: list[tuple[Value, ...]] = []
    for pair in both.values:
        if BREAK in pair or len(pair) != 2:  # noqa: PLR2004 (two operands)
            values.append((BREAK,))
            continue
        left, right = pair
        known = isinstance(left, int) and isinstance(right, int)
        values.append((compute(left, right) if known else None,))  # type: ignore[arg-type] # both are numbers
    return Outcomes(tuple(dict.fromkeys(values)), both.free)


def _mapped(key: Outcomes, mapped: Mapped, view: View) -> Outcomes:
    values: list[tuple[Value, ...]] = []
    certain = True
    for value in key.values:
        if BREAK in value:
            values.append((BREAK,))
            continue
        found = lookup(value, elements_of(mapped.data, view.table, view.memory))
        certain = certain and found.certain
        if not found.known:
            values.append((None,))
        for each in found.elements:
            values.extend(datum(None if each is None else each.data, view).values)
    distinct = tuple(dict.fromkeys(values))
    if len(distinct) > _MOST:
        return _OPEN
    return Outcomes(distinct, certain and key.free)
