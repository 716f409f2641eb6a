"""
Whether a comparison of nft holds for a packet.

``nft_cmp_eval``, ``nft_range_eval``, ``nft_lookup_eval``, ``nft_bitwise_eval``. A packet that lacks what is
read ends the rule, whatever the operator says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.nft_action import Compare
from bothways.facts.nft_expression import Expression, Interval, NamedSet, SetOf, Word
from bothways.model.linux.nftables.element import elements_of, lookup, part_holds
from bothways.model.linux.nftables.value import Outcomes, keys, outcomes
from bothways.model.linux.nftables.view import BREAK, Value, View

__all__ = ["Answer", "compare"]

_ORDER: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "in": lambda a, b: bool(a & b),
    "!": lambda a, b: not a & b,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Whether a condition holds.

    :param holds: None if it may or may not.
    :param free: for None: the kernel picks.
    """

    holds: bool | None
    free: bool = False


def compare(condition: Compare, view: View) -> Answer:
    """Hold a condition against a packet."""
    left = keys(condition.left, view)
    answers = {_holds(value, condition, view) for value in left.values}
    if len(answers) == 1:
        return Answer(answers.pop())
    return Answer(None, left.free and None not in answers)


def _holds(value: tuple[Value, ...], condition: Compare, view: View) -> bool | None:
    if BREAK in value:
        return False
    operator, right = condition.operator, condition.right
    if isinstance(right, SetOf | NamedSet):
        inside = _in_set(value, right, view)
        return None if inside is None else inside is (operator != "!=")
    if operator in _ORDER:
        return _ordered(value, operator, right, view)
    same = _same(value, right, view)
    return None if same is None else same is (operator != "!=")


def _in_set(value: tuple[Value, ...], cases: SetOf | NamedSet, view: View) -> bool | None:
    found = lookup(value, elements_of(cases, view.table, view.memory))
    if not found.known:
        return None
    answers = {each is not None for each in found.elements}
    return answers.pop() if len(answers) == 1 else None


def _ordered(value: tuple[Value, ...], operator: str, right: Expression, view: View) -> bool | None:
    wanted = outcomes(right, view).only
    if wanted is None or len(value) != 1 or len(wanted) != 1:
        return None
    (have,), (given,) = value, wanted
    if not isinstance(have, int) or not isinstance(given, int):
        return None
    return _ORDER[operator](have, given)


def _same(value: tuple[Value, ...], right: Expression, view: View) -> bool | None:
    if isinstance(right, Interval | Word) and len(value) == 1:
        return part_holds(value[0], right)
    wanted: Outcomes = outcomes(right, view)
    if wanted.only is None or len(wanted.only) != len(value):
        return None
    answers = [_equal(have, given) for have, given in zip(value, wanted.only, strict=True)]
    if False in answers:
        return False
    return None if None in answers else True


def _equal(have: Value, given: Value) -> bool | None:
    if have is None or given is None or BREAK in (have, given):
        return None
    if isinstance(given, Interval):
        return part_holds(have, given)
    return part_holds(have, Word(given)) if isinstance(given, str) else have == given
