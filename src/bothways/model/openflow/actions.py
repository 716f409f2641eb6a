"""
What each action does to a translation.

``ACTIONS`` maps an action's name (``parse.openflow_actions``) to a function of the run and the action. What
is not in it is not modelled, and is said. Source: ovs-actions(7); ``do_xlate_actions`` of
``ofproto/ofproto-dpif-xlate.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.choice import Assumption
from bothways.facts.openflow import Action
from bothways.model.openflow import action_set
from bothways.model.openflow.balancing import bundle, bundle_load, multipath
from bothways.model.openflow.copies import check_larger, clone
from bothways.model.openflow.ct import ct, ct_clear
from bothways.model.openflow.groups import group
from bothways.model.openflow.learning import learn
from bothways.model.openflow.mpls import dec_mpls_ttl, needs_packet_anew, pop_mpls, push_mpls
from bothways.model.openflow.run import Run
from bothways.model.openflow.sending import controller, drop, flood, in_port, local, normal, output
from bothways.model.openflow.visit import visit
from bothways.model.openflow.vlans import pop_vlan, push_vlan, set_vlan_pcp, set_vlan_vid
from bothways.model.openflow.writing import dec_ttl, load, move, number_of, pop, push, set_field

__all__ = ["ACTIONS", "execute"]

Execute = Callable[[Run, Action], None]


def execute(run: Run, action: Action) -> None:
    """Let an action act."""
    act = ACTIONS.get(action.name) if action.modelled else None
    if act is None:
        run.doubt(f"what `{action.text or action.name}` does to {run.where}: it is not modelled", blind=True)
    elif (run.key.bare or run.key.misread) and needs_packet_anew(action):
        run.freeze(again=True)
    else:
        act(run, action)


def _goto_table(run: Run, action: Action) -> None:
    frame = run.frames.pop()
    visit(run, number_of(action, "table"), depth=frame.depth)


def _resubmit(run: Run, action: Action) -> None:
    frame, port = run.frame, action.args.get("port")
    table = action.args.get("table")
    target = table if isinstance(table, int) else frame.origin
    if "port_name" in action.args and not isinstance(port, int):
        run.doubt(f"what `{action.text}` does to {run.where}: the port's number is not known", blind=True)
        return
    original = bool(action.args.get("ct"))
    if original and not _tracked(run):
        run.lose("resubmit to the original direction of a packet that was not tracked")
        return
    deeper = target <= frame.origin
    given = port if isinstance(port, int) else None
    visit(run, target, given, depth=frame.depth + deeper, deeper=deeper, original=original)


def _tracked(run: Run) -> bool:
    protocol, known = run.key.part("ct_nw_proto", 0, 7)
    return run.key.packet.ip is not None and bool(protocol or not known)


def _exit(run: Run, _action: Action) -> None:
    """
    End the translation of this copy.

    Open vSwitch 3.1 keeps the action for a copy that comes back, as if it had waited for one: where the
    translation goes on, behind a bucket or a patch port, the next copy for a tracker ends when it is back
    (``ctx_first_frozen_action`` of ``ofproto/ofproto-dpif-xlate.c``).
    """
    run.left_exit = True
    run.stop()


def _recirculate(run: Run, _action: Action) -> None:
    run.freeze()


def _write_actions(run: Run, action: Action) -> None:
    action_set.gather(run, action)


def _clear_actions(run: Run, _action: Action) -> None:
    action_set.clear(run)


def _apply_actions(run: Run, action: Action) -> None:
    inner = action.args.get("actions")
    frame = run.frame
    if isinstance(inner, tuple):
        frame.actions = (*inner, *frame.actions[frame.at :])
        frame.at = 0


def _meter(run: Run, action: Action) -> None:
    """Let the packet pass: it is dropped or remarked above a rate only, which no dump tells."""
    bridge = run.bridge
    text = f"meter {number_of(action, 'meter')} of {bridge.host} {bridge.name} lets the packet pass"
    run.oracle.assume(Assumption(text, f"ovs-ofctl -O OpenFlow13 meter-stats {bridge.name}"))


def _nothing(_run: Run, _action: Action) -> None:
    """Let an action be that does not touch where and how a packet goes."""


#: action -> what it does
ACTIONS: Final[Mapping[str, Execute]] = {
    "output": output,
    "local": local,
    "in_port": in_port,
    "flood": flood,
    "all": flood,
    "normal": normal,
    "controller": controller,
    "table": _nothing,  # of a packet-out only
    "none": _nothing,
    "any": _nothing,
    "drop": drop,
    "goto_table": _goto_table,
    "resubmit": _resubmit,
    "exit": _exit,
    "group": group,
    "clone": clone,
    "check_pkt_larger": check_larger,
    "ct": ct,
    "ct_clear": ct_clear,
    "conjunction": _nothing,  # looked at where the table is looked up
    "learn": learn,
    "multipath": multipath,
    "bundle": bundle,
    "bundle_load": bundle_load,
    "set_field": set_field,
    "load": load,
    "move": move,
    "push": push,
    "pop": pop,
    "dec_ttl": dec_ttl,
    "push_vlan": push_vlan,
    "pop_vlan": pop_vlan,
    "set_vlan_vid": set_vlan_vid,
    "set_vlan_pcp": set_vlan_pcp,
    "push_mpls": push_mpls,
    "pop_mpls": pop_mpls,
    "dec_mpls_ttl": dec_mpls_ttl,
    "write_actions": _write_actions,
    "clear_actions": _clear_actions,
    "apply_actions": _apply_actions,
    "debug_recirc": _recirculate,
    "meter": _meter,
    "set_queue": _nothing,
    "pop_queue": _nothing,
    "note": _nothing,
    "fin_timeout": _nothing,
    "sample": _nothing,
}
