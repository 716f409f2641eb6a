"""
The other end of a patch port: there the translation goes on, and comes back.

``patch_port_output`` of ``ofproto/ofproto-dpif-xlate.c``. The packet loses registers, metadata, tunnel and
what a tracker found; its way counts on, in depth and in look-ups; its actions run on a copy, with a stack and
an action set of their own. However it ends there, the bridge that sent it goes on.
"""

from __future__ import annotations

from bothways.facts.openflow import Port
from bothways.model.openflow import action_set
from bothways.model.openflow.copies import IN_DATAPATH, reversible
from bothways.model.openflow.key import of_arrival
from bothways.model.openflow.passage import Output
from bothways.model.openflow.run import Run
from bothways.model.openflow.visit import visit

__all__ = ["cross", "refusal"]


def cross(run: Run, output: Output) -> None:
    """Translate a copy in the bridge at the other end, then go on here."""
    peer = None if run.peers is None else run.peers(run.bridge, output.port)
    if peer is None or peer.ingress is None or peer.ingress.number is None:
        run.lose(f"{output.port.name} of {run.bridge.name} has no other end")
        return
    refused = refusal(peer.ingress)
    if refused:
        run.lose(refused)
        return
    kept, cleared = (run.here, run.key, run.tracked, run.base, run.patched), run.cleared
    mirrored, run.mirrored = run.mirrored, frozenset() if peer.bridge is not run.bridge else run.mirrored
    stack, gathered, steps = list(run.stack), list(run.actions_of_set), list(run.steps)
    arrival = output.through_patch(peer.ingress.number)
    run.here = peer
    run.key, run.tracked, run.base, run.patched = (
        of_arrival(arrival, peer.ingress),
        None,
        len(run.frames),
        arrival.depth,
    )
    run.stack[:], run.actions_of_set[:] = [], []
    visit(run, 0, depth=arrival.depth, deeper=True)
    behind = run.frames[run.base].actions if len(run.frames) > run.base else ()
    if not reversible(behind):
        run.beside += IN_DATAPATH
    run.drain()
    action_set.finish(run, arrival.depth)
    if reversible(behind):
        before = kept[1].packet
        run.lose_sight(kept[1].left_behind(run.key, labels=False))
        if run.unordered and kept[1].packet != before:
            run.doubt(
                f"which copies of {run.where} are translated by what one of them met: a flood has no order"
            )
    run.here, run.key, run.tracked, run.base, run.patched = kept
    run.cleared = cleared
    run.stack[:], run.actions_of_set[:], run.steps[:] = stack, gathered, steps
    run.exited, run.failed = False, False
    if peer.bridge is not run.bridge:
        run.mirrored = mirrored


def refusal(port: Port) -> str:
    """Why a port takes no packets, empty if it does (``may_receive``)."""
    if "NO_RECV" in port.config:
        return f"{port.name} is configured NO_RECV"
    if port.state & {"STP_BLOCK", "STP_LISTEN"}:
        return f"{port.name} does not forward in the spanning tree"
    return ""
