"""
Actions that run on a copy of the packet: ``clone``, and what stands behind ``check_pkt_larger``.

``clone_xlate_actions`` and ``xlate_check_pkt_larger`` of ``ofproto/ofproto-dpif-xlate.c``, as Open vSwitch
3.1.0 does it: the copy takes stack and action set along and executes its set at its end; what it changes is
not seen by the packet. An ``exit`` in it, though, ends the packet's translation too.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.openflow import Action
from bothways.model.openflow import action_set
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.frame import Frame
from bothways.model.openflow.run import Run
from bothways.model.openflow.writing import number_of

__all__ = ["IN_DATAPATH", "check_larger", "clone", "reversible", "run_copy"]

#: bytes that a copy in the datapath takes among its actions, with what is set before and after, at most
IN_DATAPATH: Final = 804
#: actions that need a copy in the datapath
_IRREVERSIBLE: Final = frozenset({"ct", "meter", "encap", "decap", "dec_nsh_ttl"})


def clone(run: Run, action: Action) -> None:
    """``clone(ACTION,…)``."""
    inner = action.args.get("actions")
    run_copy(run, inner if isinstance(inner, tuple) else (), "a copy of the packet")


def run_copy(run: Run, actions: tuple[Action, ...], cell: str) -> None:
    """Execute actions on a copy of the packet, and then its action set."""
    key, tracked, steps, base, cleared = run.key, run.tracked, list(run.steps), run.base, run.cleared
    stack, gathered = list(run.stack), list(run.actions_of_set)
    frame = run.frame
    run.key, run.base = key.copy(), len(run.frames)
    text, level = f"{frame.cell}: {cell}", frame.level
    if not reversible(actions):
        run.beside += IN_DATAPATH
    run.open(Frame(frame.table, actions, frame.evidence, text, frame.depth, len(run.steps), level=level))
    run.drain()
    action_set.finish(run, frame.depth, frame.origin)
    if reversible(actions):
        run.lose_sight(key.left_behind(run.key))
    else:
        run.tracked, run.cleared = tracked, cleared
    run.key, run.base = key, base
    run.steps[:] = steps
    if not run.failed:
        run.stack[:], run.actions_of_set[:] = stack, gathered


def reversible(actions: tuple[Action, ...]) -> bool:
    """
    Whether a switch copies the packet for itself only, as it can undo all that these actions do.

    ``reversible_actions`` of ``ofproto/ofproto-dpif-xlate.c`` looks at this list, not at what it leads to.
    """
    return not any(each.name in _IRREVERSIBLE or _cuts(each) for each in actions)


def _cuts(action: Action) -> bool:
    return action.name in ("output", "local", "in_port") and "max_len" in action.args and "(" in action.text


def check_larger(run: Run, action: Action) -> None:
    """
    ``check_pkt_larger(SIZE)->FIELD[a]``: whether the packet is longer than SIZE bytes.

    A switch whose datapath can tell translates the rest of the list, and the action set, twice: for a packet
    that is, then for one that is not. The second time stack and set are as the first time left them; whether
    the translation ends is said by the first. Then it leaves the list. Here, too, both are walked, and what
    comes of one is kept.
    """
    frame, name, bit = run.frame, str(action.args["field"]), 1 << number_of(action, "low")
    length, size = run.key.packet.length, number_of(action, "size")
    if length is None:
        run.doubt(f"whether {run.where} is longer than {size} bytes: its length is not known")
    larger = length is not None and length > size
    rest = frame.actions[frame.at :]
    frame.at = len(frame.actions)
    key, stack, gathered = run.key, list(run.stack), list(run.actions_of_set)
    exited = False
    for branch in (True, False):
        kept = (
            len(run.outputs),
            len(run.frozen),
            len(run.losses),
            len(run.visited),
            dict(run.unknown),
            run.blind,
        )
        run.key = key.copy()
        run.key.put(name, (bit if branch else 0, KNOWN), bit)
        told = "longer" if branch else "not longer"
        _branch(run, rest, f"the packet is {told} than {size} bytes")
        run.key = key
        if run.failed:
            return
        exited, run.exited = (run.exited, False) if branch else (exited, exited)
        if branch is not larger:
            _forget(run, *kept)
    run.stack[:], run.actions_of_set[:] = stack, gathered


def _branch(run: Run, actions: tuple[Action, ...], cell: str) -> None:
    tracked, steps, base, frame, cleared = run.tracked, list(run.steps), run.base, run.frame, run.cleared
    run.base = len(run.frames)
    text, level = f"{frame.cell}: {cell}", frame.level
    run.beside += IN_DATAPATH
    run.open(Frame(frame.table, actions, frame.evidence, text, frame.depth, len(run.steps), level=level))
    run.drain()
    action_set.finish(run, frame.depth, frame.origin)
    run.tracked, run.base, run.cleared = tracked, base, cleared
    run.steps[:] = steps


def _forget(
    run: Run,
    outputs: int,
    frozen: int,
    losses: int,
    visited: int,
    unknown: dict[str, None],
    blind: bool,  # noqa: FBT001
) -> None:
    del run.outputs[outputs:], run.frozen[frozen:], run.losses[losses:], run.visited[visited:]
    run.unknown.clear()
    run.unknown.update(unknown)
    run.blind = blind
