"""
Actions that choose by a hash of the packet: ``multipath``, ``bundle``, ``bundle_load``.

``multipath_execute`` of ``lib/multipath.c`` and ``bundle_execute`` of ``lib/bundle.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.openflow import Action
from bothways.model.openflow.egress import may_enable, port_of
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.hashing import hash_of_fields, hash_words
from bothways.model.openflow.run import Run
from bothways.model.openflow.sending import output_number
from bothways.model.openflow.writing import number_of

__all__ = ["bundle", "bundle_load", "multipath"]

_NONE: Final = 0xFFFF
#: members that are always able: reserved ports but the controller
_ALWAYS: Final = frozenset({0xFFF8, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFF})
_MOST_WEIGHTS: Final = 64


def multipath(run: Run, action: Action) -> None:
    """``multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD[a..b])``: writes the number of a link."""
    fields = str(action.args.get("fields"))
    links = number_of(action, "links")
    value = hash_of_fields(run.key, fields, number_of(action, "basis"))
    low, high = number_of(action, "low"), number_of(action, "high")
    mask = ((1 << (high - low + 1)) - 1) << low
    if value is None:
        run.write(str(action.args["field"]), (0, 0), mask)
        run.doubt(f"which link `{action.text}` takes for {run.where}: what it hashes is not known")
        return
    link = _ALGORITHMS[str(action.args.get("algorithm"))](value, links, number_of(action, "argument"))
    run.write(str(action.args["field"]), (link << low, KNOWN), mask)


def _threshold(value: int, links: int, _argument: int) -> int:
    return 0 if links == 1 else value // (0xFFFFFFFF // links + 1)


def _highest_weight(value: int, links: int, _argument: int) -> int:
    if links > _MOST_WEIGHTS:
        return _iterated(value, links, 0)
    return max(range(links), key=lambda link: (hash_words((value, link)), -link))


def _iterated(value: int, links: int, modulo: int) -> int:
    if modulo < links or modulo // 2 > links:
        modulo = 1 << (links - 1).bit_length()
    number = 0
    while True:
        link = hash_words((value, number)) % modulo
        if link < links:
            return link
        number += 1


_ALGORITHMS: Final[Mapping[str, Callable[[int, int, int], int]]] = {
    "modulo_n": lambda value, links, _: value % links,
    "hash_threshold": _threshold,
    "hrw": _highest_weight,
    "iter_hash": _iterated,
}


def bundle(run: Run, action: Action) -> None:
    """``bundle(…)``: sends to the member that is chosen, if one is able."""
    member = _member(run, action)
    if member is None:
        run.doubt(f"which port `{action.text}` takes for {run.where}: what decides is not known", blind=True)
    elif member == _NONE:
        run.lose(f"no member of `{action.text}` is up")
    else:
        output_number(run, member, action)


def bundle_load(run: Run, action: Action) -> None:
    """``bundle_load(…)``: writes the number of the member that is chosen."""
    low, high = number_of(action, "low"), number_of(action, "high")
    mask = ((1 << (high - low + 1)) - 1) << low
    member = _member(run, action)
    if member is None:
        run.doubt(f"which port `{action.text}` takes for {run.where}: what decides is not known")
    bits = (0, 0) if member is None else (member << low, KNOWN)
    run.write(str(action.args["field"]), bits, mask)


def _member(run: Run, action: Action) -> int | None:
    """The number of the chosen port, that of no port if none is able, None if nobody knows."""
    members = action.args.get("members")
    given = members if isinstance(members, tuple) else ()
    numbers = [_number(run, member) for member in given]
    able = [
        (place, number)
        for place, number in enumerate(numbers)
        if number is not None and _is_able(run, number)
    ]
    if None in numbers:
        return None
    if action.args.get("algorithm") == "active_backup" or not able:
        return able[0][1] if able else _NONE
    value = hash_of_fields(run.key, str(action.args.get("fields")), number_of(action, "basis"))
    if value is None:
        return None
    return max(able, key=lambda each: (hash_words((each[0], value)), -each[0]))[1]


def _number(run: Run, member: object) -> int | None:
    if isinstance(member, int):
        return member & 0xFFFF
    port = run.bridge.ports.get(str(member))
    return None if port is None or port.number is None else port.number & 0xFFFF


def _is_able(run: Run, number: int) -> bool:
    if number in _ALWAYS:
        return True
    port = port_of(run.bridge, 0xFFFFFFFE if number == 0xFFFE else number)  # noqa: PLR2004 - LOCAL
    return port is not None and may_enable(port)
