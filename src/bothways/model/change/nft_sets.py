"""
Sets, maps and objects of an nft table after a change.

An element says what it means only together with the types of its set: here both meet. Source: nft(8), *Sets*,
*Maps*; ``nf_tables_api.c`` (``nf_tables_newsetelem``, ``nf_tables_delsetelem``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bothways.facts.change import Act, NftEdit, WrittenElement
from bothways.facts.nft import NftSet, NftTable
from bothways.facts.nft_expression import Element, Interval, Word
from bothways.model.change.refusal import NothingToChangeError

__all__ = ["change_set", "grown_sets"]


def grown_sets(table: NftTable, added: NftTable) -> Mapping[str, NftSet]:
    """The sets of a table with those that are added; one that is there already gets the elements."""
    sets = dict(table.sets)
    for name, one in added.sets.items():
        known = sets.get(name)
        sets[name] = one if known is None else _with(known, one.elements)
    return sets


def change_set(table: NftTable, edit: NftEdit) -> NftTable:
    """
    Change the elements of a set or map, empty it, or take it or an object away.

    :raises NothingToChangeError: if it is not there, is used, or its elements do not fit.
    """
    name = edit.named or ""
    if edit.kind:
        if (edit.kind, name) not in table.objects:
            raise NothingToChangeError(
                f"the table {table.family} {table.name} has no {edit.kind} {name}",
                _known([named for kind, named in table.objects if kind == edit.kind]),
            )
        left = {key: each for key, each in table.objects.items() if key != (edit.kind, name)}
        return replace(table, objects=left)
    found = table.sets.get(name)
    if found is None:
        raise NothingToChangeError(
            f"the table {table.family} {table.name} has no set or map {name}", _known(list(table.sets))
        )
    if edit.act is Act.DELETE and not edit.elements:
        if any(f"@{name}" in rule.span.text for chain in table.chains.values() for rule in chain.rules):
            raise NothingToChangeError(
                f"the set {name} is used by a rule, so nft does not delete it",
                f"flush it: nft flush set {table.family} {table.name} {name}",
            )
        return replace(table, sets={key: each for key, each in table.sets.items() if key != name})
    if edit.act is Act.FLUSH:
        changed = replace(found, elements=())
    elif edit.act is Act.DELETE:
        changed = _without(found, edit.elements)
    else:
        changed = _with(found, tuple(_element(found, each) for each in edit.elements))
    return replace(table, sets={**table.sets, name: changed})


def _with(found: NftSet, elements: tuple[Element, ...]) -> NftSet:
    """An element that is there already stays as it is."""
    keys = {each.key for each in found.elements}
    fresh = tuple(each for each in elements if each.key not in keys)
    return replace(found, elements=(*found.elements, *fresh))


def _without(found: NftSet, elements: tuple[WrittenElement, ...]) -> NftSet:
    left = list(found.elements)
    for written in elements:
        key = _key(found, written)
        at = next((at for at, each in enumerate(left) if each.key == key), None)
        if at is None:
            raise NothingToChangeError(
                f"the set {found.name} holds no element {written.text}",
                "see `nft list ruleset` for its elements",
            )
        del left[at]
    return replace(found, elements=tuple(left))


def _key(found: NftSet, written: WrittenElement) -> tuple[Interval | Word, ...]:
    if written.parts and len(written.parts) != len(found.key):
        message = (
            f"{written.text} is of {len(written.parts)} parts, a key of {found.name} of {len(found.key)}"
        )
        raise NothingToChangeError(message, f"its type is {' . '.join(found.key)}")
    key: list[Interval | Word] = []
    for kind, readings in zip(found.key, written.parts, strict=False):
        value = readings.get(kind)
        if value is None:
            raise NothingToChangeError(
                f"{written.text} is no element of {found.name}", f"its type is {' . '.join(found.key)}"
            )
        key.append(value)
    return tuple(key)


def _element(found: NftSet, written: WrittenElement) -> Element:
    key = _key(found, written)
    if written.data is None and not found.data:
        return Element(key, None, written.timeout_s)
    data = None if written.data is None or len(found.data) != 1 else written.data.get(found.data[0])
    if data is None:
        kind = " . ".join(found.data)
        shown = f"{found.name} maps to {kind}" if found.data else f"{found.name} is a set and maps to nothing"
        raise NothingToChangeError(f"{written.text} is no element of {found.name}", shown)
    return Element(key, data, written.timeout_s)


def _known(names: list[str]) -> str:
    return f"it has {', '.join(names)}" if names else ""
