"""
One packet's translation while it is written.

The lists of actions that are being executed stand on a stack of frames: ``resubmit`` puts a frame on top and
the frame below goes on when that one is done, ``goto_table`` replaces its frame; a copy of the packet
(``clone``, a bucket) has frames of its own above a *base*. Every flow that is hit writes one step, which
tells more as its actions change the packet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.choice import Oracle
from bothways.facts.openflow import Action, Bridge, Flow, Group, Mirror, Port
from bothways.facts.packet import ArpOp, Packet
from bothways.facts.span import Span
from bothways.facts.step import Did, Place, Step
from bothways.model.openflow.field import FIELDS, Bits
from bothways.model.openflow.frame import Frame, Stacked
from bothways.model.openflow.here import Here
from bothways.model.openflow.key import PIPELINE, Key
from bothways.model.openflow.learned import LearnedFlows
from bothways.model.openflow.mac_table import MacTable
from bothways.model.openflow.options import is_option
from bothways.model.openflow.passage import Output
from bothways.model.openflow.recirculation import Frozen
from bothways.model.openflow.tables import Tables
from bothways.model.openflow.tracker import Finding, Tracked, Tracker
from bothways.model.openflow.vlan_mode import Vlans

__all__ = ["Peers", "Run"]

#: the more a flow did, the higher
_RANK: Final[Mapping[Did, int]] = {Did.MATCHED: 0, Did.CHANGED: 1, Did.TRANSLATED: 2, Did.ANSWERED: 3}


#: the bridge and port at the other end of a patch port of a bridge, with the tracker there
Peers = Callable[[Bridge, Port], Here | None]


def _nobody(_run: Run, _action: Action) -> None:
    """Do nothing; whoever runs a translation says who executes its actions."""


@dataclass(slots=True)
class Run:
    """
    The state of one translation.

    :param came_to: underlay address that the packet came to through a tunnel; where a trace is followed, of
        one that comes back the one that it is to go to: ``ofproto/trace`` takes the one for the other.
    :param actions_of_set: what ``write_actions`` gathered, with the line that it stood in.
    :param losses: why something did not go out, and the step of an explicit ``drop``.
    :param blind: True if an action that may send the packet is not followed.
    :param tracker: what ``ct()`` asks, at the time *now_ns*; None: nobody knows.
    :param tracked: what the last ``ct()`` found for this packet.
    :param frozen: copies that will come back.
    :param execute: lets one action act.
    :param groups: by number; None: not collected.
    :param learned: flows that ``learn`` adds.
    :param base: frames below are those of the packet that the present one is a copy of.
    :param exited: True once an action has ended the translation.
    :param failed: True once the switch has given the packet up.
    :param hashed: True if the datapath has computed the packet's hash.
    :param traced: True if it ends where ``ofproto/trace`` does.
    :param earlier: how many outputs and frozen copies are of translations before this one.
    :param peers: gives the other end of a patch port, where the translation then goes on; None: copies go out
        of patch ports.
    :param patched: how deep the part of the translation that is at work came through a patch port; None: it
        did not. What goes wrong behind one ends that part only.
    :param beside: bytes that other datapath actions than outputs take at most.
    :param measured: how many outputs were measured, and how many bytes they take at most.
    :param mirror: lets mirrors copy what has gone out of a port; None: the bridge has none.
    :param unordered: True once a flood went on behind a patch port: the switch has an order of its own.
    :param left_exit: True if an ``exit`` waits for the next copy that comes back, which then ends with it.
    :param order: puts the ports of a flood, each with the tags of its copy, in their order; None: it does not
        matter.
    :param cleared: True once ``ct`` or ``ct_clear`` has taken what a tracker found: ``ct_clear`` then does
        nothing.
    :param spoiled: True once a copy behind a patch port waits for its hash: what 3.1.0 then restores of the
        next one that comes back from a tracker are actions that it forgot to clear.
    :param several: True while a flood goes into several tunnels.
    :param mirrored: destinations of mirrors that have had their copy; *mirror_of*: the mirror at work.
    """

    bridge: Bridge
    ingress: Port | None
    key: Key
    tables: Tables
    macs: MacTable
    oracle: Oracle
    came_to: Bits = (0, 0)
    frames: list[Frame] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    actions_of_set: list[tuple[Action, Span]] = field(default_factory=list)
    stack: list[Stacked] = field(default_factory=list)
    losses: list[tuple[str, int | None]] = field(default_factory=list)
    blind: bool = False
    controlled: bool = False
    lookups: int = 0
    finals: list[Mapping[str, Bits]] = field(default_factory=list)
    visited: list[tuple[str, int, Flow | None]] = field(default_factory=list)
    tracker: Tracker | None = None
    now_ns: int = 0
    tracked: Tracked | None = None
    frozen: list[Frozen] = field(default_factory=list)
    execute: Callable[[Run, Action], None] = _nobody
    groups: Mapping[int, Group] | None = None
    learned: LearnedFlows = field(default_factory=LearnedFlows)
    base: int = 0
    exited: bool = False
    failed: bool = False
    hashed: bool = False
    traced: bool = False
    earlier: tuple[int, int] = (0, 0)
    peers: Peers | None = None
    patched: int | None = None
    beside: int = 0
    measured: tuple[int, int] = (0, 0)
    mirror: Callable[[Run, Port], None] | None = None
    order: Callable[[Run, list[tuple[Port, Vlans]]], list[Port]] | None = None
    left_exit: bool = False
    unordered: bool = False
    mirrored: frozenset[object] = frozenset()
    mirror_of: Mirror | None = None
    cleared: bool = False
    spoiled: bool = False
    several: bool = False

    @property
    def place(self) -> Place:
        """The bridge and the ingress port."""
        port = "" if self.ingress is None else self.ingress.name
        return Place(self.bridge.host, "", self.bridge.name, port)

    @property
    def frame(self) -> Frame:
        """The list of actions that is being executed."""
        return self.frames[-1]

    @property
    def function(self) -> str:
        """The table of the last step, ``table=N``."""
        asked = (step.function for step in reversed(self.steps) if step.function.startswith("table="))
        return next(asked, "table=0")

    def doubt(self, text: str, *, blind: bool = False) -> None:
        """Note what is not known; *blind*: and because of it the packet may go where nobody looks."""
        self.unknown.setdefault(text)
        self.blind = self.blind or blind

    def lose(self, reason: str, step: int | None = None) -> None:
        """Note why a copy does not go out."""
        self.losses.append((reason, step))

    def lose_sight(self, names: tuple[str, ...]) -> None:
        """Note addresses that a copy has left behind so that nobody knows what they are now."""
        if names:
            why = "a tracker translated a copy of which a part was written"
            self.doubt(f"what {', '.join(names)} of {self.where} is: {why}")

    def emit(self, output: Output) -> None:
        """Let a copy go out."""
        if self.peers is not None:
            output = replace(output, bridge=self.bridge.name)
        if self.mirror_of is not None:
            output = replace(output, mirror=self.mirror_of.name)
        self.outputs.append(output)

    # -- lists of actions --------------------------------------------------------------------------

    def drain(self) -> None:
        """Execute until no list of actions above the base is left."""
        frames, execute = self.frames, self.execute
        while len(frames) > self.base and not self.exited:
            frame = frames[-1]
            if frame.at >= len(frame.actions):
                frames.pop()
                continue
            frame.at += 1
            execute(self, frame.actions[frame.at - 1])
        del frames[self.base :]

    def take_exit(self) -> bool:
        """Whether the copy that comes back next does nothing but end."""
        left, self.left_exit = self.left_exit, False
        return left

    def stop(self) -> None:
        """End the translation of this packet."""
        self.exited = True

    def freeze(self, *, again: bool = False, hashed: bool = False) -> None:
        """
        Let the datapath do what it has been told and give the packet back; the remaining actions wait for it.

        The action set goes along, and stays: where a bucket ends this way, it is executed behind the group
        as well.

        :param again: the action that is being executed is the first of them.
        """
        self.spoiled = self.spoiled or (hashed and self.traced and self.patched is not None)
        if again:
            self.frame.at -= 1
        waiting = tuple(
            replace(frame, changes=[], depth=0)
            for frame in self.frames[self.base :]
            if frame.actions[frame.at :]
        )
        self.frozen.append(
            Frozen(
                self.key.copy(),
                None,
                tuple(self.steps),
                tuple(self.actions_of_set),
                tuple(self.stack),
                self.tracked,
                waiting,
                hashed,
                self.here,
                self.mirrored,
                self.take_exit(),
            )
        )
        self.stop()

    # -- where it is -------------------------------------------------------------------------------

    @property
    def here(self) -> Here:
        """The bridge that the packet is in."""
        return Here(self.bridge, self.ingress, self.tables, self.groups, self.tracker)

    @here.setter
    def here(self, here: Here) -> None:
        self.bridge, self.ingress, self.tables = here.bridge, here.ingress, here.tables
        self.groups, self.tracker = here.groups, here.tracker

    def open(self, frame: Frame) -> None:
        """Put a list of actions on top, and write the step that it tells about."""
        self.frames.append(frame)
        self._write_step(frame, self.key.packet)

    # -- what the packet becomes -------------------------------------------------------------------

    def write(self, name: str, bits: Bits, mask: int) -> None:
        """Write bits of a field, unless the packet does not have it."""
        known = FIELDS.get(name)
        if known is not None and not known.needs(self.key.packet):
            return
        if (known is not None and known.write is None) or (known is None and not _inside(name)):
            self.doubt(f"what {self.where} becomes: writing {name} is not modelled")
            return
        before, old = self.key.packet, self.key.get(name)
        if not self.key.put(name, bits, mask):
            self.doubt(f"what {self.where} becomes: what is written to {name} is not known")
            return
        new = self.key.get(name)
        if new == old:
            return
        did = Did.CHANGED if known is None else known.did
        answered = name == "arp_op" and old[0] == ArpOp.REQUEST and new[0] == ArpOp.REPLY
        shown = "something unknown" if mask & ~new[1] else (hex if known is None else known.show)(new[0])
        if name == "arp_op":
            text = "the request becomes a reply" if answered else f"ARP operation becomes {shown}"
        else:
            label = "tunnel key" if name == "tun_id" else name if known is None else known.label
            text = f"{label} becomes {shown}"
        self.changed(before, Did.ANSWERED if answered else did, text)

    def changed(self, before: Packet, did: Did, text: str) -> None:
        """Tell in the step of the flow what it changed; in a new one if another flow acted since."""
        frame = self.frame
        if frame.step != len(self.steps) - 1:
            frame.step, frame.changes = len(self.steps), []
            self._write_step(frame, before)
        step = self.steps[frame.step]
        frame.changes.append(text)
        best = step.did if _RANK[step.did] >= _RANK[did] else did
        place = replace(step.place, port="") if best is Did.ANSWERED else step.place
        after = self.key.packet
        # Built field by field, as ``replace`` takes four times as long.
        self.steps[frame.step] = Step(
            place, step.function, best, step.before, after, _reason(frame), step.evidence, step.cell
        )

    def note(self, did: Did, reason: str, evidence: tuple[Span, ...] = (), cell: str = "") -> None:
        """Write a step that no change belongs to."""
        packet = self.key.packet
        after = None if did in (Did.DROPPED, Did.UNKNOWN) else packet
        self.steps.append(Step(self.place, self.function, did, packet, after, reason, evidence, cell))

    def tell(self, finding: Finding) -> None:
        """Write what a tracker did to the packet; it stands at the bridge, behind the flow that asked."""
        self.steps.append(
            Step(
                self.place,
                finding.function,
                finding.did,
                finding.before,
                finding.after,
                finding.reason,
                finding.evidence,
                finding.cell,
            )
        )

    def thaw(self, frozen: Frozen) -> Run:
        """
        Begin the translation of a copy that came back.

        What goes out of it, what is lost and what is not known are added to those of this one.
        """
        frames = [replace(frame) for frame in frozen.frames]
        again = replace(self, key=frozen.key, frames=frames, steps=list(frozen.steps), lookups=0, base=0)
        again.exited, again.failed, again.hashed, again.cleared = False, False, frozen.hashed, False
        again.earlier = len(self.outputs), len(self.frozen)
        again.key.uncover()
        if self.traced:
            again.came_to = frozen.key.get("tun_dst")
        again.actions_of_set = list(frozen.actions_of_set)
        again.stack = list(frozen.stack)
        again.tracked, again.mirrored = frozen.tracked, frozen.mirrored
        again.left_exit = again.unordered = again.spoiled = False
        again.patched, again.beside, again.measured = None, 0, (0, 0)
        if frozen.here is not None:
            again.here = frozen.here
        return again

    def _write_step(self, frame: Frame, before: Packet) -> None:
        packet = self.key.packet
        step = Step(
            self.place,
            f"table={frame.table}",
            Did.MATCHED,
            before,
            packet,
            _reason(frame),
            frame.evidence,
            frame.cell,
        )
        self.steps.append(step)

    @property
    def where(self) -> str:
        """The packet's place in words, for sentences about what is not known."""
        return f"a packet in {self.bridge.host} {self.bridge.name} {self.function}"


def _inside(name: str) -> bool:
    return name in PIPELINE or name.startswith(("xreg", "xxreg")) or is_option(name)


def _reason(frame: Frame) -> str:
    return "; ".join([f"{frame.cell} matches", *frame.changes])
