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
    return isinstance(kernel, int) and isinstance(model, int) and abs(kernel - model) <= 1


def _bits(kernel: object, model: object) -> bool:
    return isinstance(kernel, list | tuple) and isinstance(model, list | tuple) and set(kernel) == set(model)


def _if_told(kernel: object, model: object) -> bool:
    """Memory of the tracker that later segments hang on: a recording need not hold it."""
    del model
    return kernel is None


#: A field -> when two different values of it agree; None: never.
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
    "quoted": None,
    "answered": None,
    "events": None,
    "log": None,
    "wscale": _if_told,
    "tcpflags": _if_told,
}
#: Names of what is compared. A difference of ``log`` is told as ``reason``, or ``bound`` if it is a number.
FIELDS: Final = (*(name for name in _AGREE if name != "log"), "reason", "bound")
_TABLE: Final = tuple(_AGREE.items())
_NUMBER: Final = re.compile(r"\b\d{2,}\b|(?<=bound )\d+|\d+(?= bytes)")


def compare(kernel: Result, model: Result) -> Difference | None:
    """Return the first field on which a kernel's result and the model's differ."""
    if kernel == model:
        return None
    for name, agree in _TABLE:
        theirs, ours = kernel.get(name), model.get(name)
        if theirs == ours or (agree is not None and agree(theirs, ours)):
            continue
        return Difference(_kind(theirs, ours) if name == "log" else name, theirs, ours)
    return None


def _kind(theirs: object, ours: object) -> str:
    return "bound" if _NUMBER.sub("N", str(theirs)) == _NUMBER.sub("N", str(ours)) else "reason"
