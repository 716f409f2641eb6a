"""One flow held against a key."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from bothways.facts.openflow import LOCAL, Flow, Term
from bothways.model.openflow.key import Key
from bothways.model.openflow.options import OTHERS, presence

__all__ = ["Fit", "fit", "open_terms", "words"]

_LONGEST: Final = 100
#: words of flows that were hit; walks hit the same ones again and again
_KEPT: Final = 1 << 14
_WORDS: Final[dict[int, tuple[Flow, str]]] = {}


class Fit(Enum):
    """Whether a flow matches."""

    YES = auto()
    NO = auto()
    UNKNOWN = auto()  # a term is not modelled, or the packet does not hold a field


def fit(flow: Flow, key: Key) -> Fit:
    """
    Hold a flow against a key.

    A term that fails decides, whatever is not known about the others.
    """
    found = Fit.YES
    for term in flow.match:
        answer = _term(term, key)
        if answer is Fit.NO:
            return Fit.NO
        if answer is Fit.UNKNOWN:
            found = Fit.UNKNOWN
    return found


def _term(term: Term, key: Key) -> Fit:
    if term.value is None:
        return Fit.UNKNOWN
    if term.field.startswith(OTHERS):
        there, sure = key.part(presence(term.field), 0, 0)
        if not there:
            return Fit.NO if sure else Fit.UNKNOWN
    value, known = key.seen(term.field)
    mask = -1 if term.mask is None else term.mask
    wanted = term.value & 0xFFFF if term.field == "in_port" and term.value >= LOCAL else term.value
    if (value ^ wanted) & mask & known:
        return Fit.NO
    return Fit.UNKNOWN if mask & ~known else Fit.YES


def open_terms(flow: Flow, key: Key) -> str:
    """The terms for which a match could not be decided, as printed."""
    return ",".join(dict.fromkeys(t.text for t in flow.match if _term(t, key) is Fit.UNKNOWN))


def words(flow: Flow) -> str:
    """Priority and match of a flow as it was printed, shortened."""
    kept = _WORDS.get(id(flow))
    if kept is not None and kept[0] is flow:
        return kept[1]
    text = ",".join([f"priority={flow.priority}", *dict.fromkeys(term.text for term in flow.match)])
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    if len(_WORDS) >= _KEPT:
        _WORDS.clear()
    _WORDS[id(flow)] = flow, text
    return text
