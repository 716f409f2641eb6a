"""
Walk one connection: SYN, SYN/ACK, ACK and data both ways, until its fate is known.

Where the walk starts: before the connection's first packet. Entries of its tuple are taken out of the
seeded conntrack tables, all others stay. Time is virtual; only retransmissions make it pass.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Final

from bothways.facts.address import Endpoint, Mac
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.conntrack import Entry
from bothways.facts.diagnosis import Fate
from bothways.facts.packet import Flag, Packet
from bothways.facts.prediction import Prediction, TrackerEvent, Walk
from bothways.facts.question import Question
from bothways.facts.snapshot import Netns, Snapshot
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.events import ConntrackEvents
from bothways.model.world.complaint import REFUSED, pathless, told_by
from bothways.model.world.delivery import Delivery
from bothways.model.world.endpoint import End, EndState, Heard, Reaction, heard
from bothways.model.world.journal import Draft
from bothways.model.world.network import Network
from bothways.model.world.observed import Observed
from bothways.model.world.replay import Replay
from bothways.model.world.retransmission import RETRANSMIT_NS, syn_times
from bothways.model.world.wiring import At

__all__ = ["HORIZON_NS", "predict", "walk"]

MS: Final = 1_000_000
#: How long a client waits for the server to speak first before it speaks itself.
SPEAK_NS: Final = 400 * MS
#: Virtual time at which a walk ends whatever happened.
HORIZON_NS: Final = 2_500 * MS
#: Outcomes of one connection beyond which the rest is left out and said to be.
OUTCOMES: Final = 48
EPHEMERAL_PORT: Final = 49152
_SPEECH: Final = 21


def predict(snapshot: Snapshot, question: Question, observed: Observed | None = None) -> Prediction:
    """
    Walk a connection for every way in which the network is free to choose.

    The first walk takes what dumps and captures recorded at every choice.
    """
    seen = observed or Observed()
    pending: list[dict[str, str]] = [{}]
    walks: list[Walk] = []
    while pending and len(walks) < OUTCOMES:
        replay = Replay(pending.pop(0))
        walks.append(walk(snapshot, question, replay, seen))
        pending.extend(replay.alternatives())
    return Prediction(question, tuple(walks), complete=not pending)


def walk(snapshot: Snapshot, question: Question, replay: Replay, observed: Observed) -> Walk:
    """Walk a connection once, with the choices that *replay* makes."""
    if question.protocol != "tcp" or question.destination_port is None:
        why = f"only TCP connections to a port are walked, not {question}"
        return Walk((), Fate.UNKNOWN, why, (), unknown=(why,))
    return _Conversation(snapshot, question, replay, observed).hold()


class _Conversation:
    """Two ends that talk over one network."""

    def __init__(self, snapshot: Snapshot, question: Question, replay: Replay, observed: Observed) -> None:
        self._question = question
        self._replay = replay
        self._observed = observed
        self._network = Network(snapshot, replay, observed)
        self._ends: dict[tuple[Endpoint, Endpoint], tuple[End, At | None]] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._return: dict[Endpoint, tuple[At, Mac, Mac]] = {}
        self._tracker_events: list[TrackerEvent] = []

    def hold(self) -> Walk:
        """Let the client connect and follow what happens."""
        question = self._question
        port = question.source_port or EPHEMERAL_PORT
        local = Endpoint(question.source, port)
        peer = Endpoint(question.destination, question.destination_port)
        home = self._home(question)
        if home is None and self._observed.entrance is None:
            why = f"where {question.source} lives: no collected namespace holds this address"
            return Walk((), Fate.UNKNOWN, why, (), unknown=(why,))
        self._forget(question)
        client = End("client", local, peer, EndState.SYN_SENT, seq=1_000_000)
        self._ends[local, peer] = (client, home)
        if home is None and self._observed.entrance is not None:
            entrance = self._observed.entrance
            self._return[local] = (entrance.at, entrance.mac, entrance.gateway)
        stack = None if home is None else self._network.stack(home.host, home.netns)
        if stack is not None:
            stack.connect(local, peer)
        self._say(client, Flag.SYN)
        kernel = None if home is None else self._network.snapshot.hosts[home.host].kernel
        for moment in syn_times(None if stack is None else stack.netns, kernel, HORIZON_NS):
            self._after(moment, lambda: self._repeat(client, EndState.SYN_SENT))
        while self._timers and not self._works():
            self._network.now_ns, _, action = heapq.heappop(self._timers)
            if self._network.now_ns > HORIZON_NS:
                break
            action()
        return self._conclude(client)

    def _home(self, question: Question) -> At | None:
        owners = list(self._network.snapshot.owners_of(question.source))
        if len(owners) > 1:
            names = ", ".join(f"{netns.label}:{device.name}" for netns, device, _ in owners)
            self._replay.assume(
                Assumption(f"{question.source} is held by {names}; the client is the first of them")
            )
        return At(owners[0][0].host, owners[0][0].name, "") if owners else None

    def _forget(self, question: Question) -> None:
        """Take the connection's own entries out, also those that know it by translated ends only."""
        known: set[frozenset[Endpoint]] = set()

        def ours(entry: Entry) -> bool:
            pairs = {frozenset((one.source, one.destination)) for one in (entry.original, entry.reply)}
            ends = {entry.original.src, entry.original.dst, entry.reply.src, entry.reply.dst}
            ports = {entry.original.sport, entry.reply.dport}
            asked = {question.source, question.destination} <= ends and (
                question.source_port is None or question.source_port in ports
            )
            if asked or pairs & known:
                known.update(pairs)
                return True
            return False

        before = -1
        while before < len(known):
            before = len(known)
            for stack in self._network.stacks().values():
                stack.conntrack.forget(ours)
            for tracker in self._network.trackers():
                tracker.forget(ours)
        for stack in self._network.stacks().values():
            table = stack.conntrack
            table.events = ConntrackEvents(table.connections(), partial(self._tracked, stack.netns))

    def _tracked(self, netns: Netns, kind: str, entry: Entry, now_ns: int) -> None:
        self._tracker_events.append(TrackerEvent(netns.host, netns.name, kind, entry, now_ns))

    # -- talking ------------------------------------------------------------------------------------

    def _say(self, end: End, flags: Flag, length: int = 0) -> None:
        self._transmit(end, end.segment(flags, length))

    def _transmit(self, end: End, packet: Packet) -> None:
        way = Way.ORIGINAL if end.name == "client" else Way.REPLY
        tcp = packet.tcp
        name = heard(tcp).value if tcp is not None else ""
        _, home = self._ends[end.local, end.peer]
        if home is None:
            at, mac, gateway = self._return[end.local]
            draft = Draft(name, way, end.name, packet.with_macs(mac, gateway), self._network.now_ns)
            self._network.inject(at, draft)
        else:
            draft = Draft(name, way, end.name, packet, self._network.now_ns)
            self._network.send(home.host, home.netns, draft)
            told = pathless(draft.trails)
            if told is not None and end.state is EndState.SYN_SENT:
                end.state, end.told = EndState.CLOSED, told
        self._hear()

    def _repeat(self, end: End, state: EndState) -> None:
        """Send the first segment of an end once more if it is still unanswered."""
        if end.state is state:
            end.seq = (end.seq - 1) & 0xFFFFFFFF
            self._say(end, Flag.SYN if state is EndState.SYN_SENT else Flag.SYN | Flag.ACK)

    def _speak(self, end: End) -> None:
        if end.state is EndState.ESTABLISHED and end.data_end is None:
            self._say(end, Flag.PSH | Flag.ACK, _SPEECH)

    def _after(self, delay_ns: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._network.now_ns + delay_ns, next(self._order), action))

    # -- listening ----------------------------------------------------------------------------------

    def _hear(self) -> None:
        while self._network.deliveries:
            delivery = self._network.deliveries.pop(0)
            packet = delivery.packet
            local, peer = packet.destination, packet.source
            if packet.tcp is None or local is None or peer is None:
                self._complained(packet)
                continue
            found = self._ends.get((local, peer))
            if found is not None:
                self._react(found[0], packet)
            elif heard(packet.tcp) is Heard.SYN:
                self._accept(delivery, local, peer)

    def _complained(self, packet: Packet) -> None:
        """An ICMP error about a SYN ends the attempt (``tcp_v4_err``); later ones a connection outlives."""
        told = told_by(packet)
        about = None if packet.icmp is None else packet.icmp.inner
        if told is None or about is None or about.source is None or about.destination is None:
            return
        found = self._ends.get((about.source, about.destination))
        if found is not None and found[0].state is EndState.SYN_SENT:
            found[0].state, found[0].told = EndState.CLOSED, told
            self._close(found[0])

    def _accept(self, delivery: Delivery, local: Endpoint, peer: Endpoint) -> None:
        tcp, at = delivery.packet.tcp, delivery.at
        if tcp is None or (delivery.outside and not self._listens(local)):
            return
        server = End("server", local, peer, EndState.SYN_RECV, seq=5_000_000)
        server.ack = ((tcp.seq or 0) + 1) & 0xFFFFFFFF
        self._ends[local, peer] = (server, None if delivery.outside else at)
        if delivery.outside:
            ethernet = delivery.packet.ethernet
            self._return[local] = (at, ethernet.dst, ethernet.src)
        stack = None if delivery.outside else self._network.stack(at.host, at.netns)
        if stack is not None:
            stack.connect(local, peer)
        self._after(RETRANSMIT_NS, lambda: self._repeat(server, EndState.SYN_RECV))
        self._say(server, Flag.SYN | Flag.ACK)

    def _listens(self, local: Endpoint) -> bool:
        yes, no = f"{local} accepts connections", f"{local} does not accept connections"
        known = self._observed.accepts.get(local)
        options = [yes, no]
        recorded = None if known is None else options[not known]
        return (
            self._replay.choose(f"listener {local}", options, freedom=Freedom.UNKNOWN, recorded=recorded)
            == yes
        )

    def _react(self, end: End, packet: Packet) -> None:
        tcp = packet.tcp
        if tcp is None:
            return
        before = end.state
        reaction = end.react(tcp)
        if reaction in (Reaction.OPEN, Reaction.ACK, Reaction.DATA):
            self._say(end, Flag.ACK)
        elif reaction is Reaction.SYNACK:
            end.seq = (end.seq - 1) & 0xFFFFFFFF
            self._say(end, Flag.SYN | Flag.ACK)
        if end.state is EndState.CLOSED and before is not EndState.CLOSED:
            self._close(end)
        if end.state is EndState.ESTABLISHED and before is not EndState.ESTABLISHED:
            self._after(MS if end.name == "server" else SPEAK_NS, lambda: self._speak(end))
        elif reaction is Reaction.DATA and end.name == "client":
            self._after(MS, lambda: self._speak(end))

    def _close(self, end: End) -> None:
        # An answer to what this end just said may have closed it already.
        _, home = self._ends.get((end.local, end.peer), (end, None))
        stack = None if home is None else self._network.stack(home.host, home.netns)
        if stack is not None:
            stack.close(end.local, end.peer)
            del self._ends[end.local, end.peer]

    # -- the end ------------------------------------------------------------------------------------

    def _works(self) -> bool:
        talking = [end for end, _ in self._ends.values() if end.got_data]
        return {"client", "server"} <= {end.name for end in talking}

    def _conclude(self, client: End) -> Walk:
        bypassed = self._network.bypassed()
        doubts = tuple(dict.fromkeys((*bypassed, *self._network.unknown)))
        fate, why = self._fate(client)
        if doubts and fate in (Fate.TIMEOUT, Fate.STALL):
            fate, why = Fate.UNKNOWN, f"{why}, on a way where something is unknown: {doubts[0]}"
        return Walk(
            self._replay.choices,
            fate,
            why,
            tuple(draft.journey() for draft in self._network.drafts),
            self._replay.assumptions,
            doubts,
            self._network.crossings.all(),
            bypassed,
            tuple(self._tracker_events),
        )

    def _fate(self, client: End) -> tuple[Fate, str]:
        if client.told is not None:
            refused = client.told == REFUSED
            fate = Fate.REFUSED if refused else Fate.ICMP_ERROR
            teller = self._teller()
            own = f"({client.told})" in teller
            return fate, teller if own else f"the client is told at once ({client.told}): {teller}"
        if client.ended is not None:
            fate = Fate.RESET if client.ended is Reaction.RESET else Fate.REFUSED
            return fate, f"the client received a RST {self._blame()}"
        if self._works():
            return Fate.WORKS, "handshake and data pass both ways"
        if client.state is EndState.SYN_SENT:
            reason = self._stranger(client) or self._last_drop(Way.REPLY, Way.ORIGINAL)
            return Fate.TIMEOUT, f"the client gets no SYN/ACK that it can use: {reason}"
        return (
            Fate.STALL,
            f"the client is connected, data does not pass: {self._last_drop(Way.ORIGINAL, Way.REPLY)}",
        )

    def _blame(self) -> str:
        for draft in self._network.drafts:
            if draft.name == "RST" and draft.way is Way.REPLY:
                return f"made by {draft.sender}"
        return "from the network"

    def _teller(self) -> str:
        """Why the last ICMP error was sent, or why the client's own stack had no way."""
        for draft in reversed(self._network.drafts):
            for trail in draft.trails if draft.way is Way.ORIGINAL else ():
                last = trail[-1] if trail else None
                if last is not None and last.did in (Did.ANSWERED, Did.DROPPED):
                    return f"{last.reason} ({last.place})"
        return "by an ICMP error"

    def _stranger(self, client: End) -> str | None:
        """An answer that reached the client's own namespace in the name of somebody it had not asked."""
        _, home = self._ends.get((client.local, client.peer), (client, None))
        for draft in self._network.drafts:
            for trail in draft.trails if draft.name == Heard.SYNACK else ():
                step = next((s for s in trail if s.did is Did.ANSWERED), None)
                if step is None:
                    continue
                source = step.before.source
                if source != client.peer and At(step.place.host, step.place.netns, "") == home:
                    return f"it comes from {source}, whom the client did not ask ({step.place})"
        return None

    def _last_drop(self, *ways: Way) -> str:
        """The last reason for which a packet of the connection ended, first *ways* first."""
        for way in ways:
            for draft in reversed(self._network.drafts):
                ends = [trail[-1] for trail in draft.trails if trail and draft.way is way]
                for step in ends:
                    if step.did in (Did.DROPPED, Did.UNKNOWN):
                        return f"{step.reason} ({step.place})"
        return "no reason found in the walk"
