"""
The action ``group``: each kind of group, and which buckets live.

``xlate_group_action`` and what it calls, in ``ofproto/ofproto-dpif-xlate.c``. A bucket is an action set on a
copy of the packet. Which bucket of a ``select`` group takes a packet is computed where the switch hashes it
itself (``selection_method=hash``); where the datapath does it, it is a choice.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.choice import Freedom
from bothways.facts.openflow import Action, Bucket, Group
from bothways.facts.step import Did
from bothways.model.openflow import action_set
from bothways.model.openflow.egress import may_enable, port_of
from bothways.model.openflow.frame import Frame
from bothways.model.openflow.hashing import hash_of_fields, hash_of_selection, hash_words
from bothways.model.openflow.run import Run
from bothways.model.openflow.visit import may_visit
from bothways.model.openflow.writing import number_of

__all__ = ["group"]

#: links of groups that watch each other
_CHAIN: Final = 128
_CONTROLLER: Final = 0xFFFFFFFD
#: values of a datapath's hash, at most
_MOST_HASHED: Final = 256


def group(run: Run, action: Action) -> None:
    """``group:N``."""
    number = number_of(action, "group")
    if not may_visit(run, run.frame.depth):
        return
    where = f"{run.bridge.host} {run.bridge.name}"
    if run.groups is None:
        run.doubt(
            f"what `{action.text}` does to {run.where}: "
            f"`ovs-ofctl dump-groups {run.bridge.name}` was not collected",
            blind=True,
        )
        return
    found = run.groups.get(number)
    if found is None:
        run.lose(f"{where} has no group {number}")
        run.frames.pop()
        return
    if found.unread:
        run.doubt(f"what group {number} of {where} does: `{found.unread[0]}` is not modelled", blind=True)
        return
    if found.kind in ("all", "indirect"):
        for bucket in found.buckets:
            _enter(run, found, bucket)
    elif found.kind == "fast_failover":
        live = next((bucket for bucket in found.buckets if _lives(run, found, bucket)), None)
        _take(run, found, live)
    else:
        _select(run, found)


def _take(run: Run, found: Group, bucket: Bucket | None) -> None:
    if bucket is None:
        run.lose(f"no bucket of group {found.number} lives")
    else:
        _enter(run, found, bucket)


def _enter(run: Run, found: Group, bucket: Bucket) -> None:
    """Execute a bucket on a copy; the stack and the packet's own set stay what actions in it make of them."""
    if run.failed:
        return
    key, base, frame, steps = run.key, run.base, run.frame, list(run.steps)
    tracked, cleared = run.tracked, run.cleared
    run.key, run.base = key.copy(), len(run.frames)
    actions = tuple(action for action, _ in action_set.in_order([(a, found.span) for a in bucket.actions]))
    number = found.buckets.index(bucket) if bucket.identity is None else bucket.identity
    cell = f"group {found.number} bucket {number}"
    depth, level = frame.depth + 1, frame.level
    run.open(Frame(frame.table, actions, (found.span,), cell, depth, len(run.steps), level=level))
    run.drain()
    run.lose_sight(key.left_behind(run.key, labels=False))
    run.key, run.base, run.tracked, run.cleared = key, base, tracked, cleared
    run.steps[:] = steps
    run.exited = run.failed


# -- which bucket ----------------------------------------------------------------------------------------


def _select(run: Run, found: Group) -> None:
    if run.key.unread:
        run.freeze(again=True)
        return
    live = [bucket for bucket in found.buckets if _lives(run, found, bucket)]
    method = found.selection_method
    if method == "hash" and not found.selection_fields:
        method = "l4"
    elif method in (None, "dp_hash"):
        method = "dp_hash" if _datapath_hashes(found) else "l4"
    if method == "dp_hash":
        _by_datapath(run, found, live)
        return
    if method == "l4":
        basis = hash_of_fields(run.key, "symmetric_l4", 0)
    else:
        basis = hash_of_selection(run.key, found.selection_fields, found.selection_param)
    if basis is None:
        _by_choice(run, found, live)
        return
    best, score = None, 0
    for index, bucket in enumerate(found.buckets):
        number = index if bucket.identity is None else bucket.identity
        if bucket in live:
            own = (hash_words((number, basis)) & 0xFFFF) * _weight(bucket)
            if own >= score:
                best, score = bucket, own
    _take(run, found, best)


def _datapath_hashes(found: Group) -> bool:
    """
    Whether a switch leaves the choice to the datapath, if it may.

    ``group_setup_dp_hash_table`` of ``ofproto-dpif.c``: if some bucket has a weight, and few enough values of
    a hash tell the buckets apart.
    """
    weights = [_weight(bucket) for bucket in found.buckets]
    least = min((weight for weight in weights if weight), default=0)
    if not least:
        return False
    slots = max(-(-sum(weights) // least), min(4 * len(weights), _MOST_HASHED), 16)
    return 1 << (slots - 1).bit_length() <= _MOST_HASHED


def _weight(bucket: Bucket) -> int:
    return 1 if bucket.weight is None else bucket.weight


def _by_datapath(run: Run, found: Group, live: list[Bucket]) -> None:
    """The datapath computes a hash and gives the packet back; then the hash chooses."""
    if not run.hashed:
        run.freeze(again=True, hashed=True)
        return
    _by_choice(run, found, live)


def _by_choice(run: Run, found: Group, live: list[Bucket]) -> None:
    if len(live) <= 1:
        _take(run, found, live[0] if live else None)
        return
    where = f"{run.bridge.host} {run.bridge.name} group {found.number}"
    options = {f"{where}: bucket {index} ({bucket.text})": bucket for index, bucket in enumerate(live)}
    taken = run.oracle.choose(where, list(options), freedom=Freedom.FREE, evidence=(found.span,))
    run.note(Did.MATCHED, f"group {found.number} chooses by a hash", (found.span,), f"group {found.number}")
    _enter(run, found, options[taken])


# -- which buckets live ----------------------------------------------------------------------------------


def _lives(run: Run, found: Group, bucket: Bucket, depth: int = 0) -> bool:
    """``bucket_is_alive``: one of what is watched suffices, and what watches nothing lives."""
    if depth >= _CHAIN or (found.kind == "select" and _weight(bucket) == 0):
        return False
    watched = bucket.watch_port, bucket.watch_port_name, bucket.watch_group
    if watched == (None, None, None):
        return True
    if bucket.watch_port == _CONTROLLER:
        return True
    if _port_lives(run, bucket):
        return True
    other = None if bucket.watch_group is None else (run.groups or {}).get(bucket.watch_group)
    return other is not None and any(_lives(run, other, each, depth + 1) for each in other.buckets)


def _port_lives(run: Run, bucket: Bucket) -> bool:
    number = bucket.watch_port
    if number is None:
        port = run.bridge.ports.get(bucket.watch_port_name or "")
    else:
        port = port_of(run.bridge, number)
    return port is not None and may_enable(port)
