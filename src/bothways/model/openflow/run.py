"""
One packet's translation while it is written.

The lists of actions that are being executed stand on a stack of frames: ``resubmit`` puts a frame on top and
the frame below goes on when that one is done, ``goto_table`` replaces its frame. Every flow that is hit
writes one step, which tells more as its actions change the packet. Limits are those of
``xlate_resubmit_resource_check`` in ``ofproto/ofproto-dpif-xlate.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.choice import Oracle
from bothways.facts.openflow import Action, Bridge, Flow, Port
from bothways.facts.packet import ArpOp, Packet
from bothways.facts.span import Span
from bothways.facts.step import Did, Place, Step
from bothways.model.openflow.field import FIELDS, Bits
from bothways.model.openflow.key import PIPELINE, Key
from bothways.model.openflow.match import words
from bothways.model.openflow.normal import MacTable
from bothways.model.openflow.passage import Output, Passage
from bothways.model.openflow.recirculation import Frozen
from bothways.model.openflow.tables import look_up
from bothways.model.openflow.tracker import Finding, Tracked, Tracker

__all__ = ["Frame", "Run"]

#: how often a packet may go back to the same or an earlier table, and how many look-ups it gets in all
_DEPTH: Final = 64
_LOOKUPS: Final = 4096
#: copies of one packet beyond which the model stops
_COPIES: Final = 1024
#: the more a flow did, the higher
_RANK: Final[Mapping[Did, int]] = {Did.MATCHED: 0, Did.CHANGED: 1, Did.TRANSLATED: 2, Did.ANSWERED: 3}


@dataclass(slots=True)
class Frame:
    """
    A list of actions that is being executed.

    :param at: the next action.
    :param depth: how often the way here went back to the same or an earlier table.
    :param step: index of the step that these actions write to.
    """

    table: int
    actions: tuple[Action, ...]
    evidence: tuple[Span, ...]
    cell: str
    depth: int
    step: int
    at: int = 0
    changes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """
    The state of one translation.

    :param came_to: underlay address that the packet came to through a tunnel.
    :param actions_of_set: what ``write_actions`` gathered, with the line that it stood in.
    :param losses: why something did not go out, and the step of an explicit ``drop``.
    :param blind: True if an action that may send the packet is not followed.
    :param tracker: what ``ct()`` asks, at the time *now_ns*; None: nobody knows.
    :param tracked: what the last ``ct()`` found for this packet.
    :param frozen: copies that will come back.
    """

    bridge: Bridge
    ingress: Port | None
    key: Key
    tables: Mapping[int, tuple[Flow, ...]]
    macs: MacTable
    oracle: Oracle
    came_to: Bits = (0, 0)
    frames: list[Frame] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    actions_of_set: list[tuple[Action, Span]] = field(default_factory=list)
    stack: list[Bits] = field(default_factory=list)
    losses: list[tuple[str, int | None]] = field(default_factory=list)
    blind: bool = False
    controlled: bool = False
    lookups: int = 0
    finals: list[Mapping[str, Bits]] = field(default_factory=list)
    visited: list[tuple[int, Flow | None]] = field(default_factory=list)
    tracker: Tracker | None = None
    now_ns: int = 0
    tracked: Tracked | None = None
    frozen: list[Frozen] = field(default_factory=list)

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

    def emit(self, output: Output) -> None:
        """Let a copy go out."""
        if len(self.outputs) < _COPIES:
            self.outputs.append(output)
        else:
            self.doubt(f"what becomes of {self.where}: it has more than {_COPIES} copies", blind=True)
            self.frames.clear()

    # -- tables ------------------------------------------------------------------------------------

    def enter(self, table: int, in_port: int | None = None, *, depth: int = 0, deeper: bool = False) -> None:
        """
        Look a table up and put the actions of the flow that is hit on top.

        :param in_port: ingress port that only this look-up sees, None = the packet's.
        :param depth: how often the way here went back, *deeper* if this very look-up does. The switch asks
            for the depth that it comes from (``xlate_resubmit_resource_check``).
        """
        self.lookups += 1
        if depth - deeper >= _DEPTH or self.lookups > _LOOKUPS:
            self._give_up(table, deep=depth - deeper >= _DEPTH)
            return
        port = self.key.in_port
        if in_port is not None:
            self.key.in_port = in_port
        found = look_up(self.bridge, self.tables, table, self.key, self.oracle)
        self.key.in_port = port
        for text in found.unknown:
            self.doubt(text)
        self.visited.append((table, found.flow))
        if found.flow is None:
            self._miss(table)
            return
        flow = found.flow
        frame = Frame(table, flow.actions, (flow.span,), words(flow), depth, len(self.steps))
        self.open(frame)

    def open(self, frame: Frame) -> None:
        """Put a list of actions on top, and write the step that it tells about."""
        self.frames.append(frame)
        self._write_step(frame, self.key.packet)

    def _give_up(self, table: int, *, deep: bool) -> None:
        why = "tables are entered again and again"
        if not deep:
            why = f"more than {_LOOKUPS} look-ups"
            self.doubt(f"what becomes of {self.where}: {why}", blind=True)
        self.frames.clear()
        self.outputs.clear()
        self.actions_of_set.clear()
        self.lose(f"Open vSwitch gives the packet up in table {table}: {why}")

    def _miss(self, table: int) -> None:
        flows = self.bridge.flows
        if flows is not None and not flows.whole:
            self.doubt(
                f"which flow of {self.bridge.host} {self.bridge.name} table {table} matches: "
                f"the dump is a filtered view ({flows.partial}), and none that it shows does",
                blind=True,
            )
        self.lose(f"no flow of table {table} matches")

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
        best = max(step.did, did, key=lambda d: _RANK[d])
        place = replace(step.place, port="") if best is Did.ANSWERED else step.place
        self.steps[frame.step] = replace(
            step, place=place, did=best, after=self.key.packet, reason=_reason(frame)
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
        The translation of a copy that came back.

        What goes out of it, what is lost and what is not known are added to those of this one.
        """
        again = replace(self, key=frozen.key, frames=[], steps=list(frozen.steps), lookups=0)
        again.actions_of_set = list(frozen.actions_of_set)
        again.stack = list(frozen.stack)
        again.tracked = frozen.tracked
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

    # -- the end -----------------------------------------------------------------------------------

    def passage(self) -> Passage:
        """The finished passage: copies that go out, or why none does."""
        if self.outputs:
            outputs = self.outputs
            if len(outputs) > 1:
                outputs = [self._as_copy(output) for output in outputs]
            return Passage(tuple(outputs), (), tuple(self.unknown), tuple(self.finals), tuple(self.visited))
        self._end()
        return Passage((), tuple(self.steps), tuple(self.unknown), tuple(self.finals), tuple(self.visited))

    def _as_copy(self, output: Output) -> Output:
        last = output.steps[-1] if output.steps else None
        reason = f"one of {len(self.outputs)} copies, out of {output.port.name}"
        function, evidence = ("", ()) if last is None else (last.function, last.evidence)
        step = Step(self.place, function, Did.COPIED, output.packet, output.packet, reason, evidence)
        return replace(output, steps=(*output.steps, step))

    def _end(self) -> None:
        """Write why nothing goes out."""
        evidence = self.steps[-1].evidence if self.steps else ()
        if self.blind:
            self.note(Did.UNKNOWN, next(reversed(self.unknown)), evidence)
            return
        if self.controlled:
            text = f"what the controller of {self.bridge.host} {self.bridge.name} does with a packet"
            self.doubt(text)
            self.note(Did.UNKNOWN, "goes to the controller only, which is outside the evidence", evidence)
            return
        reason, step = self.losses[-1] if self.losses else ("no action sends the packet out", None)
        last = len(self.steps) - 1
        if step is not None and step == last and self.steps[last].did is Did.MATCHED:
            old = self.steps[last]
            self.steps[last] = replace(old, did=Did.DROPPED, after=None, reason=f"{old.reason}; {reason}")
        else:
            self.note(Did.DROPPED, reason, evidence)


def _inside(name: str) -> bool:
    return name in PIPELINE or name.startswith(("xreg", "xxreg"))


def _reason(frame: Frame) -> str:
    return "; ".join([f"{frame.cell} matches", *frame.changes])
