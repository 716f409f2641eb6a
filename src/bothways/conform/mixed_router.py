"""
The model as one router for sequences of any protocol and family, with pauses, zones and packets not tracked.

What ``router`` is for TCP over IPv4, which is kept apart because it must be quick. Time passes only where a
sequence waits. Events are not told of a sequence that waits: when the kernel removes an entry whose time is
over, nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bothways.conform.datagram import ENDS, Ends, octets_of
from bothways.conform.recording import Case, Result, Segment
from bothways.conform.router import letters, reset_of
from bothways.conform.signature import gets_no_reset
from bothways.facts.choice import FirstOption
from bothways.facts.conntrack import Tuple
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection, Tracking
from bothways.model.linux.conntrack.settings import TICKS, Settings
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tuple import inverse, tuple_of
from bothways.model.linux.conntrack.variant import is_since
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat import NatTarget, translate

__all__ = ["BASE", "MixedRouter", "looked_up"]

_SECOND: Final = 1_000_000_000
#: Port, or identifier, of the first flow in a recording.
BASE: Final = 1025
_ORACLE: Final = FirstOption()
_PREFIX: Final = "nf_ct_proto_6: "
_BITS: Final = ("SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SRC_NAT_DONE", "DST_NAT_DONE")


class MixedRouter:
    """
    One router for one sequence.

    :param case: its settings count, not its results.
    """

    def __init__(self, case: Case, *, kernel: str | None = None, ticks: int = TICKS) -> None:
        self._nat = case.nat
        self._refuses_damage = is_since(kernel, (6, 7))
        self._ends = ENDS[case.family]
        span = Span("sysctl")
        rows = tuple(Sysctl(f"net.netfilter.{name}", str(value), span) for name, value in case.sysctls)
        netns = Netns("router", "root", sysctls=Dump(rows, "sysctl"))
        settings = Settings(netns, _ORACLE, ticks=ticks)
        self._table = ConntrackTable(netns, oracle=_ORACLE, kernel=kernel, settings=settings)
        self._waits = any("wait" in each for each in case.segments)
        self._now_ns = 0
        self._known: set[TrackedConnection] = set()

    def receive(self, segment: Segment) -> Result:
        """Return what the recorder would write down for a segment."""
        self._now_ns += round(segment.get("wait", 0) * _SECOND)
        _, packet = octets_of(segment, self._ends, BASE, nat=self._nat)
        half = Way(segment["half"]) if "half" in segment else None
        zone = segment.get("zone", 0)
        tracking = self._table.track(
            packet, self._now_ns, zone=zone, half=half, notrack=bool(segment.get("notrack"))
        )
        told: Result = {"verdict": tracking.state, "delivery": "none"}
        if not tracking.dropped:
            self._pass(tracking, packet, told)
        if told["delivery"] == "none":
            told["verdict"] = "unknown"  # whoever waits at the other end cannot know it
        elif told["delivery"] == "forwarded" and tracking.way is not None:
            told["ctdir"] = str(tracking.way)
        if tracking.log and not tracking.dropped:
            told["log"] = [words.removeprefix(_PREFIX) for words in tracking.log.split("\n")]
        if told["delivery"] == "local":
            self._answer(packet, told, segment)
        self._note(packet, zone, half, told)
        return told

    def _answer(self, packet: Packet, told: Result, segment: Segment) -> None:
        """The RST of the router's own stack, which is tracked as well; other answers are not told."""
        answer = reset_of(packet)
        if answer is None or answer.tcp is None or answer.ip is None:
            return
        if gets_no_reset(segment, refuses_damage=self._refuses_damage):
            return
        ends = {"src": str(answer.ip.src), "dst": str(answer.ip.dst)}
        numbers = {"seq": answer.tcp.seq, "ack": answer.tcp.ack}
        told["answered"] = ends | {"flags": letters(answer.tcp.flags)} | numbers
        words = self._table.track(answer, self._now_ns, hook=Hook.OUTPUT).log
        if words:
            told["log"] = told.get("log", []) + [each.removeprefix(_PREFIX) for each in words.split("\n")]

    def _pass(self, tracking: Tracking, packet: Packet, told: Result) -> None:
        """Pass the hooks that translate, and the last one."""
        local = False
        if self._nat:
            for hook in (Hook.PREROUTING, Hook.POSTROUTING):
                last = Hook.INPUT if local and hook is Hook.POSTROUTING else hook
                done = translate(
                    tracking,
                    last,
                    packet,
                    table=self._table,
                    oracle=_ORACLE,
                    rules=_rules(last, self._ends),
                )
                packet = done.packet
                if done.did is not None and done.did.name == "DROPPED":
                    return
                local = packet.ip is not None and packet.ip.dst == self._ends.floating
        if self._table.confirm(tracking, self._now_ns) is not None:
            return
        told["delivery"] = "local" if local else "forwarded"
        if self._nat and not local and packet.ip is not None:
            told["src"], told["dst"] = str(packet.ip.src), str(packet.ip.dst)
            inner = None if packet.icmp is None else packet.icmp.inner
            if tracking.state is CtState.RELATED and inner is not None and inner.ip is not None:
                told["quoted"] = [str(inner.ip.src), str(inner.ip.dst)]

    def _note(self, packet: Packet, zone: int, half: Way | None, told: Result) -> None:
        """Tell the entry to which the segment belongs, and which came and went."""
        now = set(self._table.connections())
        if not self._waits:
            events = ["destroy"] * len(self._known - now) + ["new"] * len(now - self._known)
            if events:
                told["events"] = events
        self._known = now
        told["state"] = None
        wanted = looked_up(packet)
        entry = None if wanted is None else self._table.found_by(wanted, zone=zone, half=half)
        if entry is None:
            return
        told["state"] = "TRACKED" if entry.tcp is None else str(entry.tcp.state)
        told["status"] = [bit for bit in _BITS if bit in entry.status]
        told["status"] += sorted(entry.status.difference(_BITS))
        told["orig"] = "B" if entry.original.src == self._ends.of["B"] else "A"
        expires = entry.expires_ns
        told["timeout"] = None if expires is None else max(0, expires - self._now_ns) // _SECOND
        if entry.tcp is not None:
            scales = [entry.tcp.original.scale, entry.tcp.reply.scale]
            told |= {"wscale": scales} if any(scales) else {}
            flags = [list(side) for side in entry.tcp.shown_flags]
            told |= {"tcpflags": flags} if any(flags) else {}


def looked_up(packet: Packet) -> Tuple | None:
    """By which tuple the entry of a segment is looked up: its own, or that of its quote, turned round."""
    if packet.icmp is not None and packet.icmp.inner is not None:
        inner = tuple_of(packet.icmp.inner)
        return None if inner is None else inverse(inner)
    return tuple_of(packet)


def _rules(hook: Hook, ends: Ends) -> Callable[[Packet], NatTarget | None]:
    """What stands in the recorder's nat table."""
    to_b = NatTarget("DNAT", (AddressRange(ends.of["B"], ends.of["B"]),))
    from_b = NatTarget("SNAT", (AddressRange(ends.floating, ends.floating),))

    def rule(packet: Packet) -> NatTarget | None:
        if packet.ip is None:
            return None
        if hook is Hook.PREROUTING and packet.ip.dst == ends.floating:
            return to_b
        return from_b if hook is Hook.POSTROUTING and packet.ip.src == ends.of["B"] else None

    return rule
