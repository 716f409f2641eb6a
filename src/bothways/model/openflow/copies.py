"""
Actions that run on a copy of the packet: ``clone``, and what stands behind ``check_pkt_larger``.

``clone_xlate_actions`` and ``xlate_check_pkt_larger`` of ``ofproto/ofproto-dpif-xlate.c``, as Open vSwitch
3.1.0 does it: the copy takes stack and action set along and executes its set at its end; what it changes is
not seen by the packet. An ``exit`` in it, though, ends the packet's translation too.
"""

from __future__ import annotations

from bothways.facts.openflow import Action
from bothways.model.openflow import action_set
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.frame import Frame
from bothways.model.openflow.run import Run
from bothways.model.openflow.writing import number_of

__all__ = ["check_larger", "clone", "run_copy"]


def clone(run: Run, action: Action) -> None:
    """``clone(ACTION,…)``."""
    inner = action.args.get("actions")
    run_copy(run, inner if isinstance(inner, tuple) else (), "a copy of the packet")


def run_copy(run: Run, actions: tuple[Action, ...], cell: str) -> None:
    """Execute actions on a copy of the packet, and then its action set."""
    key, tracked, steps, base = run.key, run.tracked, list(run.steps), run.base
    stack, gathered = list(run.stack), list(run.actions_of_set)
    frame = run.frame
    run.key, run.base = key.copy(), len(run.frames)
    run.open(
        Frame(frame.table, actions, frame.evidence, f"{frame.cell}: {cell}", frame.depth, len(run.steps))
    )
    run.drain()
    action_set.finish(run, frame.depth)
    more = bool(gathered) or any(waiting.actions[waiting.at :] for waiting in run.frames)
    if run.traced and more and run.key.bare and not key.bare and not run.exited:
        # 3.1.0 takes the packet itself for one without labels then, and its trace ends; others do not.
        run.doubt(f"where ofproto/trace ends for {run.where}: a clone of it has lost its last MPLS label")
    run.key, run.tracked, run.base = key, tracked, base
    run.steps[:] = steps
    if not run.failed:
        run.stack[:], run.actions_of_set[:] = stack, gathered


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
    tracked, steps, base, frame = run.tracked, list(run.steps), run.base, run.frame
    run.base = len(run.frames)
    run.open(
        Frame(frame.table, actions, frame.evidence, f"{frame.cell}: {cell}", frame.depth, len(run.steps))
    )
    run.drain()
    action_set.finish(run, frame.depth)
    run.tracked, run.base = tracked, base
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
