"""
Walk frames through namespaces, switches, wires and tunnels until every copy has met its fate.

This file moves frames. What a stack makes of one is in ``model.linux``, what a bridge makes of it is
in ``model.openflow``, what is at the other end of a wire is in ``wiring``, who answers ARP is in
``neighbours``, and what lies outside the evidence is in ``outside``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bothways.facts.bypass import Side
from bothways.facts.choice import Oracle
from bothways.facts.openflow import LOCAL, Switch
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Snapshot
from bothways.facts.step import Did, Place, Step
from bothways.facts.trajectory import Way
from bothways.model.linux.bypass import CELL
from bothways.model.linux.stack import Passage, Stack, Transmission
from bothways.model.openflow.learned import LearnedFlows
from bothways.model.openflow.pipeline import Arrival, MacTable, Output, process
from bothways.model.openflow.tracker import Tracker
from bothways.model.world.crossings import Crossings
from bothways.model.world.delivery import Delivery
from bothways.model.world.journal import Draft, Frame, passed_on
from bothways.model.world.kernel_tunnel import KernelTunnels
from bothways.model.world.neighbours import Neighbours, Reply
from bothways.model.world.observed import Observed
from bothways.model.world.outside import Handling, Outside
from bothways.model.world.sharers import sharing_namespaces
from bothways.model.world.side_walk import ask, carry
from bothways.model.world.switch_underlay import SwitchUnderlay
from bothways.model.world.trackers import Trackers
from bothways.model.world.tunnel_ports import arrival_at, refusal, takers
from bothways.model.world.wiring import At, SwitchPort, Wiring

__all__ = ["Network"]

#: More moves than this for one packet is a loop: the longest real path has about forty.
MOVES: Final = 400


@dataclass(frozen=True, slots=True)
class _Move:
    frame: Frame
    at: At | None = None
    port: SwitchPort | None = None
    host: str = ""
    arrival: Arrival | None = None
    transmit: bool = False


class Network:
    """Stacks and switches of one snapshot in one state, walked by one oracle."""

    def __init__(self, snapshot: Snapshot, oracle: Oracle, observed: Observed) -> None:
        self.snapshot = snapshot
        self.wiring = Wiring(snapshot)
        self.now_ns = 0
        self.drafts: list[Draft] = []
        self.deliveries: list[Delivery] = []
        self.unknown: dict[str, None] = {}
        self.crossings = Crossings(snapshot, self.wiring)
        self._oracle = oracle
        self._macs = MacTable()
        self._learned = LearnedFlows()
        for host in snapshot.hosts.values():
            for bridge in (host.switch or Switch(host.name)).bridges.values():
                self._macs.seed(bridge)
        self._stacks: dict[tuple[str, str], Stack] = {
            (n.host, n.name): Stack(n, oracle=oracle, kernel=snapshot.hosts[n.host].kernel)
            for n in sharing_namespaces(snapshot)
            if n.devices is not None
        }
        self._trackers = Trackers(snapshot, self._stacks, oracle)
        self._neighbours = Neighbours(partial(ask, self), oracle, observed)
        self._outside = Outside(snapshot, self.wiring, oracle, observed)
        self._tunnels = KernelTunnels(snapshot, self._stacks, partial(carry, self))
        self._underlay = SwitchUnderlay(snapshot)
        self._queue: deque[_Move] = deque()
        self.replies: list[Reply] = []

    def stack(self, host: str, netns: str) -> Stack | None:
        """The stack of a namespace whose devices are known."""
        return self._stacks.get((host, netns))

    def stacks(self) -> dict[tuple[str, str], Stack]:
        """All stacks by (host, namespace)."""
        return self._stacks

    def trackers(self) -> list[Tracker]:
        """The connection trackers that switches ask."""
        return self._trackers.all()

    def doubt(self, text: str) -> None:
        """Note something that is not collected or not modelled on a way that was walked."""
        self.unknown.setdefault(text)

    def bypassed(self) -> tuple[str, ...]:
        """What went round the model on the ways that packets took, one sentence each."""
        found = (s for draft in self.drafts for s in draft.mattering() if s.cell.startswith(CELL))
        return tuple(dict.fromkeys(step.reason for step in found))

    def send(self, host: str, netns: str, draft: Draft) -> None:
        """Let the stack of a namespace send a packet of its own, and walk it to its end."""
        self.drafts.append(draft)
        frame = Frame.of(draft)
        passage = self._stacks[host, netns].send(draft.packet, self.now_ns)
        self._after_stack(frame, host, netns, passage, draft.packet)
        self.run()

    def inject(self, at: At, draft: Draft) -> None:
        """Let a frame come in from outside the evidence at a device, and walk it to its end."""
        self.drafts.append(draft)
        frame = Frame.of(draft)
        self.arrive(at, frame)
        for other in self.wiring.others(at):
            if self.wiring.device(other) is not None:
                self.arrive(other, frame.another())
        self.run()

    def arrive(self, at: At, frame: Frame) -> None:
        """Queue a frame that comes in at a device."""
        self._queue.append(_Move(frame, at=at))

    def transmit(self, at: At, frame: Frame) -> None:
        """Queue a frame that goes out of a device."""
        self._queue.append(_Move(frame, at=at, transmit=True))

    def run(self) -> None:
        """Move every queued frame until none is left."""
        moves = 0
        while self._queue:
            moves += 1
            move = self._queue.popleft()
            if moves > MOVES:
                self._queue.clear()
                self.doubt(
                    "the packet was still circling after 400 moves: a forwarding loop, or a wire joined twice"
                )
                move.frame.note(Place(move.host), "loop", Did.UNKNOWN, "still circling after 400 moves")
                return
            if move.arrival is not None and move.port is not None:
                self._switch(move.frame, move.host, move.port, move.arrival)
            elif move.at is not None and move.transmit:
                self._transmit(move.frame, move.at)
            elif move.at is not None:
                self._arrive(move.frame, move.at)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Set aside what waits and what was heard, for a packet that is walked by itself."""
        waiting, self._queue = self._queue, deque()
        heard, self.replies = self.replies, []
        delivered, self.deliveries = self.deliveries, []
        yield
        self._queue, self.replies, self.deliveries = waiting, heard, delivered

    # -- one move ---------------------------------------------------------------------------------

    def _arrive(self, frame: Frame, at: At) -> None:
        self.crossings.comes_in(at, frame.packet, self._journey(frame), self.now_ns)
        end = self.wiring.switch_port(at)
        if end is None or end.internal:
            self._into_stack(frame, at)
            return
        stack = self._stacks.get((at.host, at.netns))
        if stack is not None:
            frame.trail.extend(stack.beside(at.device, Side.IN, frame.packet))
        if end.netdev and stack is not None:
            # The userspace datapath reads a copy from a packet socket; the host's own stack gets the
            # frame as well, unless an ingress hook drops it there.
            self._into_switch(frame, at.host, end)
            self._into_stack(frame.another(), at)
            return
        self._into_switch(frame, at.host, end)

    def _into_stack(self, frame: Frame, at: At) -> None:
        stack = self._stacks.get((at.host, at.netns))
        if stack is None:
            self.doubt(f"what {at} does with a packet: its addresses and devices were not collected")
            frame.note(
                Place(at.host, at.netns, at.device), "", Did.UNKNOWN, "the namespace was not collected"
            )
            return
        passage = stack.receive(at.device, frame.packet, self.now_ns)
        for device, reply in passage.heard:
            home = At(at.host, at.netns, device)
            if reply.arp is not None:
                self.replies.append(Reply(home, reply.arp.spa, reply.arp.sha, tuple(frame.trail)))
            elif reply.icmp is not None and reply.icmp.target is not None:
                mac = reply.icmp.target_link or reply.ethernet.src
                self.replies.append(Reply(home, reply.icmp.target, mac, tuple(frame.trail)))
        self.crossings.taken(at, passage.steps, self._journey(frame), self.now_ns)
        self._after_stack(frame, at.host, at.netns, passage, frame.packet)

    def _journey(self, frame: Frame) -> int:
        return next(number for number, draft in enumerate(self.drafts) if draft is frame.draft)

    def _after_stack(self, frame: Frame, host: str, netns: str, passage: Passage, given: Packet) -> None:
        """Continue with what a stack forwards, answers and delivers."""
        for text in passage.unknown:
            self.doubt(text)
        answered = next((i for i, s in enumerate(passage.steps) if s.did is Did.ANSWERED), None)
        onward = [t for t in passage.transmissions if answered is None or passed_on(t.packet, given)]
        answers = [t for t in passage.transmissions if t not in onward]
        cut = len(passage.steps) if answered is None or not answers else answered + 1
        frame.trail.extend(passage.steps[:cut])
        for packet in passage.delivered:
            self.deliveries.append(Delivery(At(host, netns, ""), packet))
        packets: list[tuple[Packet, tuple[Step, ...]]] = [(t.packet, ()) for t in onward]
        for copy, transmission in zip(frame.copies(packets), onward, strict=True):
            self._out(copy, host, netns, transmission)
        for transmission in answers:
            answer = self._answer(host, netns, transmission.packet, frame)
            answer.trail.extend(passage.steps[cut:])
            self._out(answer, host, netns, transmission)

    def _answer(self, host: str, netns: str, packet: Packet, cause: Frame) -> Frame:
        """Start the journey of a packet that a stack or rule made by itself."""
        if packet.arp is not None or (packet.icmp is not None and packet.icmp.target is not None):
            trail: list[Step] = list(cause.trail)
            cause.draft.trails.append(trail)
            return Frame(cause.draft, packet, trail)
        names = {True: "RST", False: "ICMP"}
        way = None
        if cause.draft.way is not None:
            way = Way.REPLY if cause.draft.way is Way.ORIGINAL else Way.ORIGINAL
        sender = host if netns == "root" else f"{host}/{netns}"
        draft = Draft(names[packet.tcp is not None], way, sender, packet, self.now_ns)
        self.drafts.append(draft)
        return Frame.of(draft)

    def _out(self, frame: Frame, host: str, netns: str, transmission: Transmission) -> None:
        at = At(host, netns, transmission.device)
        packet = transmission.packet
        if transmission.next_hop is not None:
            source = None if packet.ip is None else packet.ip.src
            resolved = self._neighbours.resolve(self._stacks[host, netns], at, transmission.next_hop, source)
            device = self.wiring.device(at)
            if resolved is None or device is None:
                asked = "ARP" if transmission.next_hop.version == 4 else "neighbour discovery"  # noqa: PLR2004 - IPv4
                self.doubt(
                    f"which MAC {transmission.next_hop} has for {at}: nobody in the evidence answers for it"
                )
                frame.note(
                    Place(host, netns, at.device),
                    "neigh_resolve_output",
                    Did.UNKNOWN,
                    f"nobody in the evidence answers {asked} for {transmission.next_hop}",
                )
                return
            packet = packet.with_macs(device.mac, resolved)
        frame.packet = packet
        self.transmit(at, frame)

    def _transmit(self, frame: Frame, at: At) -> None:
        place = Place(at.host, at.netns, at.device)
        self.crossings.goes_out(at, frame.packet, self._journey(frame), self.now_ns)
        stack = self._stacks.get((at.host, at.netns))
        if stack is not None:
            frame.trail.extend(stack.beside(at.device, Side.OUT, frame.packet))
        frame.note(place, "dev_hard_start_xmit", Did.SENT, f"goes out of {at.device}")
        end = self.wiring.switch_port(at)
        if end is not None and end.internal:
            self._into_switch(frame, at.host, end)
            return
        if self._through_lower_devices(frame, at):
            return
        tunnel = self._tunnels.carries(at)
        if tunnel is not None:
            for copy, there in self._tunnels.send(frame, at, tunnel, self.doubt):
                self.arrive(there, copy)
            return
        ends = self.wiring.others(at)
        known = [other for other in ends if self.wiring.device(other) is not None]
        copies = frame.copies([(frame.packet, ()) for _ in known])
        for copy, other in zip(copies, known, strict=True):
            self.arrive(other, copy)
        self._leave_evidence(frame, at, heard=bool(known))

    def _through_lower_devices(self, frame: Frame, at: At) -> bool:
        """True if the device stands on others (bridge, VLAN, bond), which have the frame now."""
        stack = self._stacks.get((at.host, at.netns))
        if stack is None:
            return False
        passage = stack.transmit(at.device, frame.packet)
        if [t.device for t in passage.transmissions] == [at.device]:
            return False
        self._after_stack(frame, at.host, at.netns, passage, frame.packet)
        return True

    def _leave_evidence(self, frame: Frame, at: At, *, heard: bool) -> None:
        """Ask what a station outside the evidence does with a frame that went out of a device."""
        verdict = self._outside.handle(frame.packet, at, heard=heard)
        place = Place(at.host, at.netns, at.device)
        if verdict.handling is Handling.NOBODY:
            return
        copy = frame.another()
        if verdict.handling is Handling.LOST:
            copy.note(place, "", Did.UNKNOWN, verdict.reason)
        elif verdict.handling is Handling.DELIVERED:
            copy.note(place, "", Did.DELIVERED, verdict.reason)
            self.deliveries.append(Delivery(at, copy.packet, outside=True))
        elif verdict.packet is not None:
            copy.note(place, "", Did.ROUTED, verdict.reason, verdict.packet)
            copy.packet = verdict.packet
            for other in (at, *self.wiring.others(at)):
                if self.wiring.device(other) is not None:
                    self.arrive(other, copy.another())

    def _into_switch(self, frame: Frame, host: str, end: SwitchPort, patched: Output | None = None) -> None:
        if end.number is None:
            self.doubt(f"the OpenFlow port number of {end.port.name} on {host} {end.bridge.name}")
            place = Place(host, "", end.bridge.name, end.port.name)
            frame.note(place, "", Did.UNKNOWN, "port number unknown")
            return
        arrival = Arrival(end.number, frame.packet) if patched is None else patched.through_patch(end.number)
        self._queue.append(_Move(frame, port=end, host=host, arrival=arrival))

    def _switch(self, frame: Frame, host: str, end: SwitchPort, arrival: Arrival) -> None:
        tracker = self._trackers.of(end.bridge)
        result = process(
            end.bridge, arrival, self._macs, self._oracle, tracker, self.now_ns, learned=self._learned
        )
        for text in result.unknown:
            self.doubt(text)
        whole = frame.another() if result.outputs and result.steps else frame  # only mirrors have a copy
        frame.trail.extend(result.steps)
        copies = whole.copies([(output.packet, output.steps) for output in result.outputs])
        for copy, output in zip(copies, result.outputs, strict=True):
            self._leave_switch(copy, host, SwitchPort(end.bridge, output.port), output)

    def _leave_switch(self, frame: Frame, host: str, end: SwitchPort, output: Output) -> None:
        if output.mirror and self.wiring.home_of(host, end.port.name) is None:
            place = Place(host, "", end.bridge.name, end.port.name)
            frame.note(place, "", Did.SENT, f"what mirror {output.mirror} copies leaves the evidence")
        elif end.tunnel:
            self._through_tunnel(frame, host, end, output)
        elif end.port.kind == "patch":
            peer = self.wiring.patch_peer(host, end)
            if isinstance(peer, SwitchPort):
                self._into_switch(frame, host, peer, output)
                return
            text = peer or f"which peer patch port {end.port.name} of {host} has: `ovs-vsctl show` is missing"
            if peer is None:
                self.doubt(text)
            place = Place(host, "", end.bridge.name, end.port.name)
            frame.note(place, "patch", Did.UNKNOWN if peer is None else Did.DROPPED, text)
        else:
            at = self.wiring.home_of(host, end.bridge.name if end.number == LOCAL else end.port.name)
            if at is None:
                self._leave_evidence(frame, At(host, "root", end.port.name), heard=False)
            elif end.internal:
                self.crossings.comes_in(at, frame.packet, self._journey(frame), self.now_ns)
                self._into_stack(frame, at)
            else:
                self.transmit(at, frame)

    def _through_tunnel(self, frame: Frame, host: str, end: SwitchPort, output: Output) -> None:
        remote = output.tun_dst
        place = Place(host, "", end.bridge.name, end.port.name)
        vni = output.tun_id
        ends = [] if remote is None else takers(self.wiring, end, host, remote, vni)
        refused = "" if remote is None else refusal(self.snapshot, self.wiring, end, remote, vni)
        if not ends and refused:
            frame.note(place, end.port.kind or "tunnel", Did.DROPPED, refused)
            return
        if remote is None or not ends:
            self.doubt(f"who takes what {host} sends into tunnel {end.port.name} ({remote}): not collected")
            nobody = f"no collected host takes tunnel packets for {remote}"
            frame.note(place, end.port.kind or "tunnel", Did.UNKNOWN, nobody)
            return
        way = f"goes to {remote} as {end.port.kind} VNI {vni:#x}" if vni else f"goes to {remote}"
        frame.note(place, f"{end.port.kind}_xmit", Did.ENCAPSULATED, way)
        for (other, there), copy in zip(ends, frame.copies([(frame.packet, ()) for _ in ends]), strict=True):
            tunnel = ((host, end), (other, there))
            lost = self._underlay.loss(tunnel, remote, copy.packet)
            if lost is not None:
                copy.trail.append(lost)
                continue
            sent = replace(output, packet=copy.packet)
            arrival = arrival_at((end, there), sent, self._oracle, self.doubt)
            if arrival is None:
                continue
            self.crossings.tunnelled(tunnel, remote, vni, copy.packet, self._journey(copy), self.now_ns)
            copy.note(
                Place(other, "", there.bridge.name, there.port.name),
                f"{there.port.kind}_rcv",
                Did.DECAPSULATED,
                f"taken out of the tunnel at {other}",
            )
            self._queue.append(_Move(copy, port=there, host=other, arrival=arrival))
