"""
Where two call stacks part.

Stacks are held against each other from the outside in, by functions. Compilers inline functions and turn
calls into jumps, so a function that one stack lacks is no parting; where both go on with other functions,
there is one. Of several, the one counts in which the stack decides whose packet it is: that is what a
person asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Final

from bothways.facts.kernel_event import stack_functions

__all__ = ["MEANINGS", "StackDiff", "StackRow", "compare_stacks", "meaning_of"]

_LOCAL: Final = "taken for the namespace itself"
_ON: Final = "sent on"
_ROUTED: Final = "routed on"
_REFUSED: Final = "refused by routing"
#: Functions by which a stack shows what was decided. ``ip_rcv_finish`` calls ``dst_input``, which is one of
#: them.
MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ip_forward": _ROUTED,
        "ip_forward_finish": _ROUTED,
        "ip6_forward": _ROUTED,
        "ip6_forward_finish": _ROUTED,
        "ip_mr_input": "routed on as multicast",
        "ip_local_deliver": _LOCAL,
        "ip_local_deliver_finish": _LOCAL,
        "ip_protocol_deliver_rcu": _LOCAL,
        "ip6_input": _LOCAL,
        "ip6_input_finish": _LOCAL,
        "ip6_protocol_deliver_rcu": _LOCAL,
        "ip_error": _REFUSED,
        "ip6_pkt_discard": _REFUSED,
        "ip6_pkt_prohibit": _REFUSED,
        "br_handle_frame": "given to a bridge",
        "netdev_frame_hook": "given to Open vSwitch",
        "ovs_vport_receive": "given to Open vSwitch",
        "ip_output": _ON,
        "ip_finish_output2": _ON,
        "ip6_output": _ON,
        "ip6_finish_output2": _ON,
        "kfree_skb": "dropped",
        "kfree_skb_reason": "dropped",
        "sk_skb_reason_drop": "dropped",
    }
)


@dataclass(frozen=True, slots=True)
class StackRow:
    """Functions that both stacks have, or that only one of them has; outermost first."""

    both: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackDiff:
    """
    Two stacks beside each other.

    :param rows: from the outside in.
    :param parting: index of the row where they part, None if one of them only goes on further, or if they are
        the same.
    """

    rows: tuple[StackRow, ...]
    parting: int | None = None

    @property
    def last_common(self) -> str | None:
        """The last function of both before they part."""
        if self.parting is None:
            return None
        before = [row for row in self.rows[: self.parting] if row.both]
        return before[-1].both[-1] if before else None

    @property
    def parts(self) -> tuple[str, str] | None:
        """The functions in which they go on, the first stack's first; those that decide, if there are any."""
        if self.parting is None:
            return None
        row = self.rows[self.parting]
        return _decides(row.first) or row.first[0], _decides(row.second) or row.second[0]

    @property
    def meanings(self) -> tuple[str | None, str | None]:
        """What each of them decided there, None if the functions do not tell."""
        if self.parts is None:
            return None, None
        return MEANINGS.get(self.parts[0]), MEANINGS.get(self.parts[1])


def compare_stacks(first: Sequence[str], second: Sequence[str]) -> StackDiff:
    """
    Compare two stacks.

    :param first: frames with or without offsets, innermost first.
    """
    one, two = (tuple(reversed(stack_functions(stack))) for stack in (first, second))
    rows = []
    for tag, low, high, low2, high2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if tag == "equal":
            rows.append(StackRow(both=one[low:high]))
        else:
            rows.append(StackRow(first=one[low:high], second=two[low2:high2]))
    return StackDiff(tuple(rows), _parting(rows))


def meaning_of(functions: Sequence[str], *, received: bool) -> str | None:
    """
    What functions decided, None if they do not tell.

    :param received: True if they are of a packet that came in. One that goes out by ``ip_output`` below the
        function that took it was routed: ``ip_forward`` calls it last, and leaves no frame.
    """
    name = _decides(functions)
    if name is None:
        return None
    meant = MEANINGS[name]
    return _ROUTED if received and meant == _ON else meant


def _parting(rows: Sequence[StackRow]) -> int | None:
    apart = [number for number, row in enumerate(rows) if row.first and row.second]
    told = [n for n in apart if _decides(rows[n].first) and _decides(rows[n].second)]
    different = [
        n for n in told if MEANINGS[str(_decides(rows[n].first))] != MEANINGS[str(_decides(rows[n].second))]
    ]
    return next(iter((*different, *apart)), None)


def _decides(functions: Sequence[str]) -> str | None:
    return next((each for each in functions if each in MEANINGS), None)
