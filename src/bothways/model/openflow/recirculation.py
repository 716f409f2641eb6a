"""
A packet that comes back: what is kept of a translation while the datapath does something to the packet.

``compose_recirculate_and_fork`` and ``struct frozen_state`` of ``ofproto/ofproto-dpif-rid.h``: registers,
metadata, the ingress port, the tunnel's fields, the stack and the action set stay; the packet is read anew;
the tables of the translation that it left do not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.openflow import Action
from bothways.facts.span import Span
from bothways.facts.step import Step
from bothways.model.openflow.frame import Frame, Stacked
from bothways.model.openflow.here import Here
from bothways.model.openflow.key import Key
from bothways.model.openflow.tracker import Tracked

__all__ = ["Frozen"]


@dataclass(frozen=True, slots=True)
class Frozen:
    """
    One copy that will come back.

    :param key: its fields then, the tracker's among them.
    :param table: where it goes on; None: where it stopped, with the actions of *frames*.
    :param steps: its way up to here.
    :param hashed: True if the datapath computed a hash of it meanwhile.
    :param here: the bridge that it was in.
    :param mirrored: destinations of mirrors that have had their copy.
    :param ends: True if it does nothing when it comes back.
    """

    key: Key
    table: int | None
    steps: tuple[Step, ...]
    actions_of_set: tuple[tuple[Action, Span], ...]
    stack: tuple[Stacked, ...]
    tracked: Tracked | None
    frames: tuple[Frame, ...] = ()
    hashed: bool = False
    here: Here | None = None
    mirrored: frozenset[object] = frozenset()
    ends: bool = False
