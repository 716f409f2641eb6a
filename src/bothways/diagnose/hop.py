"""
Replay one stateful hop: feed a namespace what was captured on its way in, and see what it makes of it.

The namespace's stack runs in the model; its input is observed, so nothing has to be known about the
rest of the site. What it forwards, answers or drops is then laid beside what was captured coming out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bothways.diagnose.infer import Completed, complete, sightings_in
from bothways.facts.choice import Assumption, Choice
from bothways.facts.packet import Flag, Packet, Tcp
from bothways.facts.sighting import Direction, Sighting
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did, Step
from bothways.facts.trajectory import Connection, Trajectory, Way
from bothways.model.linux.stack import Stack
from bothways.model.world import Replay

__all__ = ["Hop", "Visit", "replay", "with_opening", "with_reply"]


@dataclass(frozen=True, slots=True)
class Visit:
    """
    One observed packet and what the model's namespace made of it.

    :param entered: the sighting it came in with.
    :param left: the last sighting of it inside the namespace if it came out again, else None.
    """

    trajectory: Trajectory
    entered: Sighting
    left: Sighting | None
    steps: tuple[Step, ...]
    forwarded: tuple[Packet, ...]
    answers: tuple[Packet, ...]

    @property
    def answered(self) -> bool:
        """True if the namespace answered the packet itself."""
        return bool(self.answers)

    def step(self, did: Did) -> Step | None:
        """The first step in which something happened."""
        return next((s for s in self.steps if s.did is did), None)


@dataclass(frozen=True, slots=True)
class Hop:
    """A namespace with every visit of the connection, in time order."""

    netns: Netns
    visits: tuple[Visit, ...]
    inferred: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    choices: tuple[Choice, ...]


def replay(
    netns: Netns, connection: Connection, *, kernel: str | None, snapshot_of: Completed | None = None
) -> Hop:
    """Replay the connection's observed packets through a namespace."""
    completed = snapshot_of or complete(netns, connection)
    entering = _entering(completed, connection)
    return _run(completed, entering, kernel)


def with_reply(netns: Netns, connection: Connection, *, kernel: str | None) -> Hop | None:
    """
    The same, but the reply passes this hop: each SYN/ACK that went round is fed in as well.

    It comes in where the translated SYN left, from the address that the SYN was translated to. None if
    no SYN was seen to pass.
    """
    completed = complete(netns, connection)
    entering = _entering(completed, connection)
    syn = next((e for e in entering if e[0].flags & (Flag.SYN | Flag.ACK) == Flag.SYN), None)
    if syn is None:
        return None
    hop = _run(completed, entering[:1], kernel)
    out = next((p for visit in hop.visits for p in visit.forwarded), None)
    passed = next((v for v in hop.visits if v.forwarded), None)
    if out is None or passed is None or out.tcp is None or out.ip is None:
        return None
    device = _left_by(passed)
    reply = _synack(out, entering)
    if device is None or reply is None:
        return None
    at = entering.index(syn) + 1
    marker = (replace(syn[0], way=Way.REPLY, flags=Flag.SYN | Flag.ACK), syn[1], device, reply)
    return _run(completed, [*entering[:at], marker, *entering[at:]], kernel)


def with_opening(netns: Netns, connection: Connection, *, kernel: str | None) -> Hop | None:
    """
    The same, but the connection's first packet passes this hop before everything else.

    It comes in where the reply was seen to leave, as the client sent it. None if no SYN and no such place
    were captured.
    """
    completed = complete(netns, connection)
    entering = _entering(completed, connection)
    syn = next((t for t in connection.trajectories if t.flags & (Flag.SYN | Flag.ACK) == Flag.SYN), None)
    hop = _run(completed, entering, kernel)
    device = next((_left_by(visit) for visit in hop.visits if visit.forwarded), None)
    if syn is None or not syn.sightings or device is None:
        return None
    held = completed.netns.device(device)
    first = syn.sightings[0]
    packet = first.packet.with_destination(connection.server).with_source(connection.client)
    if held is not None:
        packet = packet.with_macs(packet.ethernet.src, held.mac)
    opening = (syn, first, device, _Numbers().fill(packet, Way.ORIGINAL))
    return _run(completed, [opening, *entering], kernel)


_Entering = tuple[Trajectory, Sighting, str, Packet]


def _entering(completed: Completed, connection: Connection) -> list[_Entering]:
    """
    Packets that came into the namespace from outside, in the order of its own clock.

    A frame whose receiver the capture does not show is taken to be for the device that it was seen at.
    """
    netns = completed.netns
    entering: list[_Entering] = []
    numbers = _Numbers()
    for index, inside in sightings_in(connection, netns.host, netns.name):
        trajectory = connection.trajectories[index]
        first = inside[0]
        made_here = trajectory.sightings[0] is first and _makes(first, netns, trajectory)
        if made_here or first.device is None:
            continue
        device = netns.device(first.device)
        packet = first.packet
        if device is not None and (completed.stand_ins or not packet.ethernet.dst):
            packet = packet.with_macs(packet.ethernet.src, device.mac)
        entering.append((trajectory, first, first.device, packet))
    entering.sort(key=lambda e: (e[1].time_ns, e[1].position))
    return [(t, s, d, numbers.fill(p, t.way)) for t, s, d, p in entering]


def _makes(first: Sighting, netns: Netns, trajectory: Trajectory) -> bool:
    """True if the first sighting of a packet is its birth in this namespace."""
    ip = first.packet.ip
    device = None if first.device is None else netns.device(first.device)
    mac = first.packet.ethernet.src
    if mac and device is not None:
        return mac == device.mac
    if first.direction is not None:
        return first.direction is Direction.OUT
    return ip is not None and netns.owner_of(ip.src) is not None and trajectory.way is Way.REPLY


def _run(completed: Completed, entering: list[_Entering], kernel: str | None) -> Hop:
    oracle = Replay()
    stack = Stack(completed.netns, oracle=oracle, kernel=kernel)
    stack.conntrack.forget(lambda _: True)
    visits = []
    start = entering[0][1].time_ns if entering else 0
    for trajectory, sighting, device, packet in entering:
        passage = stack.receive(device, packet, max(sighting.time_ns - start, 0))
        answered = any(s.did is Did.ANSWERED for s in passage.steps)
        sent = tuple(t.packet for t in passage.transmissions)
        visits.append(
            Visit(
                trajectory,
                sighting,
                _leaving(trajectory, sighting),
                passage.steps,
                () if answered else sent,
                sent if answered else (),
            )
        )
    return Hop(completed.netns, tuple(visits), completed.inferred, oracle.assumptions, oracle.choices)


def _leaving(trajectory: Trajectory, entered: Sighting) -> Sighting | None:
    tap = entered.tap
    inside = [
        s
        for s in trajectory.sightings
        if (s.tap.host, s.tap.netns) == (tap.host, tap.netns) and s.device not in (None, entered.device)
    ]
    return inside[-1] if inside else None


def _left_by(visit: Visit) -> str | None:
    sent = next(
        (s for s in reversed(visit.steps) if s.place.device and s.place.device != visit.entered.device), None
    )
    if visit.left is not None and visit.left.device is not None:
        return visit.left.device
    return None if sent is None else sent.place.device


def _synack(out: Packet, entering: list[_Entering]) -> Packet | None:
    """The SYN/ACK that answers a forwarded SYN; numbers fit what the client acknowledged."""
    if out.tcp is None or out.source is None or out.destination is None:
        return None
    acked = next(
        (p.tcp.ack for _, _, _, p in entering if p.tcp is not None and p.tcp.ack and p.tcp.flags & Flag.ACK),
        None,
    )
    seq = ((acked or 1) - 1) & 0xFFFFFFFF
    tcp = Tcp(
        out.tcp.dport,
        out.tcp.sport,
        Flag.SYN | Flag.ACK,
        seq=seq,
        ack=((out.tcp.seq or 0) + 1) & 0xFFFFFFFF,
        window=64240,
        length=0,
        checksum_ok=True,
    )
    swapped = replace(out, tcp=tcp)
    swapped = swapped.with_source(out.destination).with_destination(out.source)
    return swapped.with_macs(out.ethernet.dst, out.ethernet.src)


class _Numbers:
    """Sequence numbers for packets whose text does not show them: a plausible, consistent set."""

    def __init__(self) -> None:
        self._next = {Way.ORIGINAL: 1_000, Way.REPLY: 5_000}

    def fill(self, packet: Packet, way: Way) -> Packet:
        """Fill what is missing; what the evidence shows stays."""
        tcp = packet.tcp
        if tcp is None or (tcp.seq is not None and (tcp.ack is not None or not tcp.flags & Flag.ACK)):
            return packet
        other = Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL
        opening = bool(tcp.flags & Flag.SYN)
        base = self._next[way] + (0 if opening else 1)
        ack = self._next[other] + 1 if tcp.flags & Flag.ACK else 0
        return replace(
            packet, tcp=replace(tcp, seq=base, ack=ack, length=tcp.length or 0, window=tcp.window or 64240)
        )
