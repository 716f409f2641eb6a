"""
The action set: what ``write_actions`` gathers, and the order in which it is executed at the end.

OpenFlow 1.3.5 section 5.10; ``ofpacts_execute_action_set`` of ``lib/ofp-actions.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.facts.openflow import Action
from bothways.facts.span import Span
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.frame import Frame
from bothways.model.openflow.run import Run

__all__ = ["clear", "finish", "gather", "in_order"]

Entry = tuple[Action, Span]

#: actions of which the last one is executed, in this order
_ONCE: Final = (
    "pop_vlan", "pop_mpls", "decap", "encap", "push_mpls", "push_vlan", "dec_ttl", "dec_mpls_ttl",
    "dec_nsh_ttl",
)  # fmt: skip
#: actions that are all executed, as they were written
_ALL: Final = frozenset(
    {"set_field", "load", "move", "set_vlan_vid", "set_vlan_pcp", "set_queue",
     "set_mpls_label", "set_mpls_tc", "set_mpls_ttl"}
)  # fmt: skip
#: actions that send; the last one of the first kind that is there is executed, all others are not
_SENDING: Final = (
    frozenset({"group"}),
    frozenset({"output", "local", "in_port", "flood", "all", "normal", "controller", "none", "any", "table"}),
    frozenset({"resubmit"}),
    frozenset({"ct_clear"}),
    frozenset({"ct"}),
)
_KNOWN_NAMES: Final = frozenset(
    {*_ONCE, *_ALL, *(name for kind in _SENDING for name in kind), "drop", "note"}
)
_UNSET: Final = 0xFFF7


def gather(run: Run, action: Action) -> None:
    """Add the actions of ``write_actions`` to the set."""
    inner = action.args.get("actions")
    for written in inner if isinstance(inner, tuple) else ():
        if written.name not in _KNOWN_NAMES:
            run.doubt(
                f"what `{written.text}` in the action set does to {run.where}: it is not modelled", blind=True
            )
            continue
        run.actions_of_set.extend((written, span) for span in run.frame.evidence[:1])
    sending = _sending([entry for entry in run.actions_of_set if _counts(entry[0])])
    port = None if sending is None else sending[0].args.get("port")
    run.key.put("actset_output", (port if isinstance(port, int) else _UNSET, KNOWN), 0xFFFFFFFF)


def clear(run: Run) -> None:
    """Empty the set."""
    run.actions_of_set.clear()
    run.key.put("actset_output", (_UNSET, KNOWN), 0xFFFFFFFF)


def finish(run: Run, depth: int = 0, level: int = 0) -> None:
    """
    Execute the actions of the set in their order; none if none of them sends.

    :param depth: how deep the list of actions is that it follows: a group in the set counts on from there.
    :param level: table that ``resubmit`` in it starts from.
    """
    entries = in_order(run.actions_of_set)
    run.actions_of_set.clear()
    if not entries or run.exited:
        return
    spans = tuple(dict.fromkeys(span for _, span in entries))
    actions = tuple(action for action, _ in entries)
    run.open(Frame(_table_of(run), actions, spans, "the action set", depth, len(run.steps), level=level))
    run.drain()


def in_order(entries: list[Entry]) -> list[Entry]:
    """The actions of a set, as they are executed."""
    return list(_in_order(entries))


def _table_of(run: Run) -> int:
    number = run.function.partition("=")[2]
    return int(number) if number.isdigit() else 0


def _counts(action: Action) -> bool:
    """Whether an action has a place in a set: no output to a register or of a cut packet."""
    if action.name == "controller":
        return not set(action.args) - {"max_len"}
    return action.name != "output" or ("field" not in action.args and "(" not in action.text)


def _sending(entries: list[Entry]) -> Entry | None:
    """The one action of the set that sends."""
    return next(
        (found[-1] for kind in _SENDING if (found := [e for e in entries if e[0].name in kind])), None
    )


def _in_order(entries: list[Entry]) -> Iterator[Entry]:
    entries = [entry for entry in entries if _counts(entry[0])]
    sending = _sending(entries)
    if sending is None:
        return
    for name in _ONCE:
        yield from [entry for entry in entries if entry[0].name == name][-1:]
    yield from (entry for entry in entries if entry[0].name in _ALL)
    yield sending
