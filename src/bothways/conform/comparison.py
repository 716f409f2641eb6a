"""
What a kernel and the model say of one segment, held against each other field by field.

A time may differ by a second, because seconds pass while a recorder reads. Status bits have no order.
Everything else is compared to the letter: of the kernel's words that means the reason and the numeric bounds
in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.conform.recording import Result

__all__ = ["FIELDS", "Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One field on which the two disagree.

    :param field: a name of ``FIELDS``.
    :param kernel: what the kernel said, None if nothing; *model* likewise.
    """

    field: str
    kernel: object
    model: object


def _seconds(kernel: object, model: object) -> bool:
    return kernel == model or (isinstance(kernel, int) and isinstance(model, int) and abs(kernel - model) <= 1)


def _bits(kernel: object, model: object) -> bool:
    return set(kernel or ()) == set(model or ())  # type: ignore[call-overload]  # a list or a set of words


#: A field -> when two values of it agree; None means: when they are equal.
_AGREE: Final[Mapping[str, Callable[[object, object], bool] | None]] = {
    "verdict": None,
    "ctdir": None,
    "delivery": None,
    "state": None,
    "status": _bits,
    "timeout": _seconds,
    "orig": None,
    "src": None,
    "dst": None,
    "answered": None,
    "events": None,
    "log": None,
}
#: Names of what is compared. A difference of ``log`` is told as ``reason`` or, if only numbers differ, ``bound``.
FIELDS: Final = (*(name for name in _AGREE if name != "log"), "reason", "bound")
_TABLE: Final = tuple(_AGREE.items())
_NUMBER: Final = re.compile(r"\b\d{2,}\b|(?<=bound )\d+|\d+(?= bytes)")


def compare(kernel: Result, model: Result) -> Difference | None:
    """Return the first field on which a kernel's result and the model's differ."""
    for name, agree in _TABLE:
        theirs, ours = kernel.get(name), model.get(name)
        if theirs == ours or (agree is not None and agree(theirs, ours)):
            continue
        return Difference(_kind(theirs, ours) if name == "log" else name, _plain(theirs), _plain(ours))
    return None


def _kind(theirs: object, ours: object) -> str:
    return "bound" if _NUMBER.sub("N", str(theirs)) == _NUMBER.sub("N", str(ours)) else "reason"


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, set) else value
