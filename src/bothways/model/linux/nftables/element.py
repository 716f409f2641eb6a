"""
Which element of a set a key meets.

``nft_lookup_eval``: an element meets a key if each of its parts holds that part of the key; ``*`` meets what
nothing else does. Where a part of the key is not known, several may.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bothways.facts.nft import NftTable
from bothways.facts.nft_expression import Element, Interval, NamedSet, SetOf, Unread, Word
from bothways.model.linux.nftables.view import Learned, Memory, Value

__all__ = ["Found", "elements_of", "lookup", "part_holds"]


@dataclass(frozen=True, slots=True)
class Found:
    """
    What a set says to a key.

    :param elements: that it meets, or may meet; None among them: it may meet none.
    :param known: False if the set itself is not in the dump, or holds what was not understood.
    """

    elements: tuple[Element | None, ...]
    known: bool = True

    @property
    def certain(self) -> bool:
        """True if there is one answer."""
        return self.known and len(self.elements) == 1


def elements_of(cases: SetOf | NamedSet, table: NftTable, memory: Memory) -> Iterable[Element] | None:
    """The elements of a set, with what rules put in and took out; None if the dump does not show it."""
    if isinstance(cases, SetOf):
        return cases.elements
    held = table.sets.get(cases.name)
    if held is None:
        return None
    learned = memory.get((table.family, table.name, cases.name))
    return held.elements if not learned else _with(held.elements, learned)


def _with(elements: tuple[Element, ...], learned: Learned) -> list[Element]:
    kept = [each for each in elements if each.key not in learned]
    return [*kept, *(each for each in learned.values() if each is not None)]


def lookup(key: tuple[Value, ...], elements: Iterable[Element] | None) -> Found:
    """Every element that a key meets or may meet."""
    if elements is None:
        return Found((None,), known=False)
    maybe: list[Element | None] = []
    fallback: Element | None = None
    known = True
    for each in elements:
        if not each.key:
            fallback = each
            continue
        answer = _holds(each, key)
        if answer is True and not maybe:
            return Found((each,))
        if answer is not False:
            maybe.append(each)
            known = known and not any(isinstance(part, Unread) for part in each.key)
            if answer is True:
                return Found(tuple(maybe), known)
    return Found((*maybe, fallback), known)


def _holds(each: Element, key: tuple[Value, ...]) -> bool | None:
    if len(each.key) != len(key):
        return None
    answers = [part_holds(value, part) for value, part in zip(key, each.key, strict=True)]
    if False in answers:
        return False
    return None if None in answers else True


def part_holds(value: Value, part: object) -> bool | None:
    """Whether one part of an element holds a value; None if that is not known."""
    if value is None:
        return None
    if isinstance(part, Interval):
        if isinstance(value, int):
            return part.low <= value <= part.high
        if isinstance(value, str):  # a device against 0 (``missing``) or 1 (``exists``)
            return bool(value) is bool(part.low)
        return None
    if isinstance(part, Word) and isinstance(value, str):
        text = part.text
        if text.endswith("*") and not text.endswith("\\*"):
            return value.startswith(text[:-1])
        return value == text.replace("\\*", "*")
    return None
