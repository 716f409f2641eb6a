"""
One recorded ruleset through the model, packet by packet: it must say what the kernel did.

The router is read from its dumps as a user's bundle is read, so that parsers and model are held together.
What the model does not know ends the comparison until the tracker was emptied again: what follows rests on
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bothways.bundle.ages import Ages
from bothways.bundle.dumps import DumpReader, read_netns
from bothways.bundle.folder import Folder
from bothways.conform.netfilter_case import Heard, NetfilterCase, Sent
from bothways.conform.netfilter_comparison import Frame, compared, decoded, entry_words, modelled_entry, told
from bothways.conform.netfilter_oracle import Follower
from bothways.facts.address import IPAddress
from bothways.facts.packet import ICMP, TCP, ArpOp, Ethernet, Flag, Ip, Packet, TcpOptions
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did, Step
from bothways.model.linux.conntrack.tuple import is_icmp_error
from bothways.model.linux.stack import Passage, Stack

__all__ = ["Held", "Holder", "read_router"]

_HOST, _NAME = "kernel", "router"
#: Functions in which a packet goes to a receiver of the router itself.
_LOCAL: Final = frozenset({"ip_local_deliver_finish", "ip6_protocol_deliver_rcu"})
_OPENED: Final = Flag.SYN | Flag.ACK
#: How many other choices of the kernel are tried for one packet.
_TRIES: Final = 24
#: MTU of the legs, the longest packet, and headers by IP version.
_MTU: Final = 1500
_LONGEST: Final = 65535
_HEADERS: Final = {4: 40, 6: 60}


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
    :param past: what was held since the tracker was emptied.
    :param script: what to take where the kernel is free (``numgen``, a route of several next hops).
    """

    netns: Netns
    kernel: str | None
    stack: Stack | None = None
    oracle: Follower = field(default_factory=Follower)
    lost: bool = False
    asked: set[str] = field(default_factory=set)
    past: list[tuple[Sent, Heard]] = field(default_factory=list)
    script: Sequence[str] = ()

    @classmethod
    def of_case(cls, case: NetfilterCase, *, kernel: str | None = None) -> Holder:
        """A holder for a recorded case."""
        return cls(read_router(case.dumps)[0], kernel or case.kernel)

    def __post_init__(self) -> None:
        """Take from the dumps who was asked for already."""
        self.asked |= {f"{row.device} {row.address}" for row in self.netns.neighbours or () if not row.mac}

    def hold(self, sent: Sent, heard: Heard) -> Held:
        """
        Walk one packet, and hold it against what the kernel made of it.

        Where the kernel was free and did something else, its other choices are tried.
        """
        if heard.afresh or self.stack is None:
            self.past.clear()
        before = 0 if heard.afresh else len(self.oracle.free)
        held = self._held(sent, heard)
        self.past.append((sent, heard))
        if not held.field or len(self.oracle.free) == before:
            return held
        pending = deque(_others(self.oracle.free, before))
        for _ in range(_TRIES):
            if not pending:
                break
            script = pending.popleft()
            other, again = self._again(script)
            if again.agrees:
                self.stack, self.oracle, self.asked = other.stack, other.oracle, other.asked
                self.lost = False
                return again
            pending.extend(_others(other.oracle.free, len(script)))
        return held

    def _again(self, script: Sequence[str]) -> tuple[Holder, Held]:
        """Hold everything since the tracker was emptied with other choices, up to where it disagrees."""
        other = Holder(self.netns, self.kernel, script=script)
        held = Held(skipped=True)
        for sent, heard in self.past:
            held = other._held(sent, heard)
            if not held.agrees:
                break
        return other, held

    def _held(self, sent: Sent, heard: Heard) -> Held:
        if heard.afresh or self.stack is None:
            self.oracle = Follower(script=self.script)
            self.stack = Stack(self.netns, oracle=self.oracle, kernel=self.kernel)
            self.lost = False
        if self.lost:
            return Held(skipped=True)
        packet = _read(sent)
        if packet is None:
            return self._end(("a frame that bothways does not read",))
        out = [(leg, each, frame) for leg, frame in heard.out if (each := decoded(frame)) is not None]
        self.oracle.follow(
            heard.entries,
            frozenset(leg for leg, _, _ in out),
            limited=heard.limited,
            # One that the router told itself is not seen, but counts as delivered.
            told=any(_is_error(each) for _, each, _ in out) or bool(heard.local),
        )
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
            answer = _opening(delivered, out, self.netns)
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


def _others(free: Sequence[tuple[tuple[str, ...], str]], start: int) -> Iterator[list[str]]:
    """What else may have been taken, with one change at a choice from *start* on; the last choice first."""
    taken = [each for _, each in free]
    for at in range(len(free) - 1, start - 1, -1):
        yield from ([*taken[:at], other] for other in free[at][0] if other != taken[at])


def _is_error(packet: Packet) -> bool:
    """True of an ICMP error of IPv4 that says that a destination is not reached."""
    return packet.ip is not None and packet.ip.protocol == ICMP and is_icmp_error(packet)


def _question(leg: str, packet: Packet) -> str:
    """Who is asked for by ARP, in the words of those who wait; of no other packet."""
    arp = packet.arp
    return "" if arp is None or arp.op != ArpOp.REQUEST else f"{leg} {arp.tpa}"


def _read(sent: Sent) -> Packet | None:
    packet = decoded(sent.frame)
    if packet is None or packet.ip is None:
        return None
    return packet if sent.into else packet.with_macs(Ethernet().src, Ethernet().dst)


def _opening(delivered: Packet, out: Sequence[Packet], netns: Netns) -> Packet | None:
    """
    The SYN/ACK by which a listener answers; its first number is the kernel's, where it was seen.

    Where it was not, it offers the segments that the device takes by which it leaves (``tcp_make_synack``).
    """
    ip, tcp = delivered.ip, delivered.tcp
    if ip is None or tcp is None or tcp.flags & (Flag.SYN | Flag.ACK | Flag.RST) != Flag.SYN:
        return None
    wanted = ((tcp.seq or 0) + 1 + (tcp.length or 0)) % (1 << 32)
    whole = next((p for p in out if p.tcp is not None and _answers(p, wanted)), None)
    seen = None if whole is None else whole.tcp
    made = replace(tcp, options=_offered(tcp.options, ip, netns)) if seen is None else seen
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


def _offered(asked: TcpOptions, ip: Ip, netns: Netns) -> TcpOptions:
    """A segment size, and of the rest no more than the SYN offers, which is nothing here."""
    device = "lo" if netns.owner_of(ip.src) is not None else ""
    found = netns.device(device)
    mtu = _MTU if found is None or found.mtu is None else found.mtu
    headers = _HEADERS[ip.src.version]
    return replace(asked, mss=min(mtu, _LONGEST) - headers, size=4)


def _answers(packet: Packet, wanted: int) -> bool:
    tcp = packet.tcp
    return tcp is not None and tcp.flags & _OPENED == _OPENED and tcp.ack == wanted
