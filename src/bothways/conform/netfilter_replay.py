"""
One recorded ruleset through the model, packet by packet: it must say what the kernel did.

The router is read from its dumps as a user's bundle is read, so that parsers and model are held together.
What the model does not know ends the comparison until the tracker was emptied again: what follows rests on
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bothways.bundle.ages import Ages
from bothways.bundle.dumps import DumpReader, read_netns
from bothways.bundle.folder import Folder
from bothways.conform.netfilter_case import Heard, NetfilterCase, Sent
from bothways.conform.netfilter_comparison import Frame, compared, decoded, entry_words, modelled_entry, told
from bothways.conform.netfilter_oracle import Follower
from bothways.facts.address import IPAddress
from bothways.facts.packet import TCP, ArpOp, Ethernet, Flag, Ip, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did, Step
from bothways.model.linux.stack import Passage, Stack

__all__ = ["Held", "Holder", "read_router"]

_HOST, _NAME = "kernel", "router"
#: Functions in which a packet goes to a receiver of the router itself.
_LOCAL: Final = frozenset({"ip_local_deliver_finish", "ip6_protocol_deliver_rcu"})
_OPENED: Final = Flag.SYN | Flag.ACK


class _Texts(Folder):
    """Dumps in memory, as a folder that the bundle's readers take."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(Path(), {name: Path(name) for name in texts})
        self._texts = texts

    def data(self, name: str) -> bytes | None:
        """The bytes of a dump, None if it was not made."""
        text = self._texts.get(name)
        return None if text is None else text.encode()


def read_router(dumps: Mapping[str, str]) -> tuple[Netns, tuple[str, ...]]:
    """
    Read the router from its dumps, as a bundle is read.

    :return: the namespace, and what the readers did not understand.
    """
    place = f"hosts/{_HOST}/netns/{_NAME}"
    folder = _Texts({f"{place}/{file}": text for file, text in dumps.items()})
    netns = read_netns(DumpReader(folder, Ages()), _HOST, _NAME)
    return netns, tuple(f"{each.span.file.rpartition('/')[2]}: {each.message}" for each in folder.problems)


@dataclass(frozen=True, slots=True)
class Held:
    """
    One packet, held.

    :param field: what differs first: a field of a packet, ``device``, ``fate`` (one side lets out more),
        ``local``, ``entry``, ``port``; "" if nothing does.
    :param kernel: what the kernel has and the model has not; *model* the other way round.
    :param unknown: why the model does not say; then nothing was compared.
    :param skipped: True if nothing was compared because something before was unknown.
    :param steps: what the model says happened.
    :param draws: ports that were taken from the kernel.
    """

    field: str = ""
    kernel: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    skipped: bool = False
    steps: tuple[Step, ...] = ()
    draws: int = 0

    @property
    def agrees(self) -> bool:
        """True if something was compared and nothing differs."""
        return not (self.field or self.unknown or self.skipped)


@dataclass(slots=True)
class Holder:
    """
    A model of the router, which follows a kernel packet by packet.

    :param kernel: release whose behaviour is wanted.
    :param asked: for whom packets wait.
    """

    netns: Netns
    kernel: str | None
    stack: Stack | None = None
    oracle: Follower = field(default_factory=Follower)
    lost: bool = False
    asked: set[str] = field(default_factory=set)

    @classmethod
    def of_case(cls, case: NetfilterCase, *, kernel: str | None = None) -> Holder:
        """A holder for a recorded case."""
        return cls(read_router(case.dumps)[0], kernel or case.kernel)

    def __post_init__(self) -> None:
        """Take from the dumps who was asked for already."""
        self.asked |= {f"{row.device} {row.address}" for row in self.netns.neighbours or () if not row.mac}

    def hold(self, sent: Sent, heard: Heard) -> Held:
        """Walk one packet, and hold it against what the kernel made of it."""
        if heard.afresh or self.stack is None:
            self.oracle = Follower()
            self.stack = Stack(self.netns, oracle=self.oracle, kernel=self.kernel)
            self.lost = False
        if self.lost:
            return Held(skipped=True)
        packet = _read(sent)
        if packet is None:
            return self._end(("a frame that bothways does not read",))
        out = [(leg, each, frame) for leg, frame in heard.out if (each := decoded(frame)) is not None]
        self.oracle.follow(heard.entries, frozenset(leg for leg, _, _ in out))
        before = self.oracle.draws
        passages = self._walk(sent.into, packet, [each for _, each, _ in out], heard.at_ms * 1_000_000)
        unknown = tuple(dict.fromkeys(text for passage in passages for text in passage.unknown))
        unknown = unknown or tuple(self.oracle.open_)
        steps = tuple(step for passage in passages for step in passage.steps)
        if unknown:
            return self._end(unknown, steps)
        ours: list[Frame] = []
        asking: set[str] = set()
        for sending in (one for passage in passages for one in passage.transmissions):
            mac = self._mac(sending.device, sending.next_hop, sending.packet)
            if mac is None and sending.next_hop is not None:
                asking.add(f"{sending.device} {sending.next_hop}")  # it waits until that neighbour answers
            else:
                ours.append(told(sending.device, sending.packet, mac))
        # Who does not answer is asked again now and then, also for packets of the case before.
        self.asked |= asking
        theirs = [
            told(leg, each, each.ethernet.dst)
            for leg, each, _ in out
            if _question(leg, each) not in self.asked
        ]
        return self._compared(theirs, ours, heard, steps, self.oracle.draws - before)

    def _compared(
        self, theirs: list[Frame], ours: list[Frame], heard: Heard, steps: tuple[Step, ...], draws: int
    ) -> Held:
        name, left, more = compared(theirs, ours)
        if heard.quiet and not left and all("icmp" in each.fields for each in more):
            name, more = "", []
        kernel, model = [str(each) for each in left], [str(each) for each in more]
        local = sum(step.function in _LOCAL and step.did is Did.RECEIVED for step in steps)
        if local != heard.local:
            name = name or "local"
            kernel.append(f"{heard.local} delivered here")
            model.append(f"{local} delivered here")
        have = [modelled_entry(each) for each in self.stack.conntrack.connections()] if self.stack else []
        listed, expected = entry_words(heard.entries), entry_words(have)
        if listed != expected:
            name = name or "entry"
            kernel += [f"entry {each}" for each in listed if each not in expected]
            model += [f"entry {each}" for each in expected if each not in listed]
        if self.oracle.wrong:
            name = name or "port"
            model += self.oracle.wrong
        if name:
            self.lost = True
        return Held(name, tuple(kernel), tuple(model), steps=steps, draws=draws)

    def _end(self, unknown: tuple[str, ...], steps: tuple[Step, ...] = ()) -> Held:
        self.lost = True
        return Held(unknown=unknown, steps=steps)

    def _walk(self, leg: str, packet: Packet, out: Sequence[Packet], now_ns: int) -> list[Passage]:
        """What the stack makes of a packet, and of the SYN/ACK of a socket that it opened."""
        stack = self.stack
        if stack is None:
            return []
        # The router's own packets are given to a raw socket with their header.
        passages = [stack.receive(leg, packet, now_ns) if leg else stack.send(packet, now_ns, whole=True)]
        for delivered in passages[0].delivered:
            answer = _opening(delivered, out)
            if answer is not None:
                # What a listener opens with a link-local peer is bound to the device
                # (``inet_request_bound_dev_if``).
                near = answer.ip is not None and answer.ip.dst.is_link_local
                passages.append(stack.send(answer, now_ns, device=leg if near else ""))
        return passages

    def _mac(self, device: str, next_hop: IPAddress | None, packet: Packet) -> str | None:
        """The MAC that a frame must have: that of the neighbour; None where the model does not say."""
        if next_hop is None:
            return packet.ethernet.dst or None
        rows = self.netns.neighbours or ()
        found = (row.mac for row in rows if row.device == device and row.address == next_hop)
        return next(found, None) or None


def _question(leg: str, packet: Packet) -> str:
    """Who is asked for by ARP, in the words of those who wait; of no other packet."""
    arp = packet.arp
    return "" if arp is None or arp.op != ArpOp.REQUEST else f"{leg} {arp.tpa}"


def _read(sent: Sent) -> Packet | None:
    packet = decoded(sent.frame)
    if packet is None or packet.ip is None:
        return None
    return packet if sent.into else packet.with_macs(Ethernet().src, Ethernet().dst)


def _opening(delivered: Packet, out: Sequence[Packet]) -> Packet | None:
    """The SYN/ACK by which a listener answers; its first number is the kernel's, where it was seen."""
    ip, tcp = delivered.ip, delivered.tcp
    if ip is None or tcp is None or tcp.flags & (Flag.SYN | Flag.ACK | Flag.RST) != Flag.SYN:
        return None
    wanted = ((tcp.seq or 0) + 1 + (tcp.length or 0)) % (1 << 32)
    whole = next((p for p in out if p.tcp is not None and _answers(p, wanted)), None)
    seen = None if whole is None else whole.tcp
    made = tcp if seen is None else seen
    answer = type(tcp)(
        tcp.dport,
        tcp.sport,
        _OPENED,
        0 if seen is None else seen.seq,
        wanted if seen is None else seen.ack,
        made.window,
        0,
        made.options,
        checksum_ok=True,
    )
    length = None if whole is None else whole.length
    return Packet(Ethernet(), ip=Ip(ip.dst, ip.src, TCP, ttl=64, tos=0, df=True), tcp=answer, length=length)


def _answers(packet: Packet, wanted: int) -> bool:
    tcp = packet.tcp
    return tcp is not None and tcp.flags & _OPENED == _OPENED and tcp.ack == wanted
