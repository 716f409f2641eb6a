"""
The model in the recorder's place: one router, its tracker and its NAT, and what it says of each segment.

The hooks as far as a router with these two rules needs them: PREROUTING, then POSTROUTING, or INPUT where
the destination is its own. What INPUT gets has no socket, so it is answered with a RST.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import Final

from bothways.conform.recording import Case, Result, Segment
from bothways.conform.segment import FLOATING, LETTERS, A, B, packet_of
from bothways.facts.choice import FirstOption
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import Flag, Packet
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.model.linux.conntrack.entry import TrackedConnection, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat import NatTarget, translate

__all__ = ["ModelRouter"]

_SECOND: Final = 1_000_000_000
_WORD: Final = 1 << 32
_PREFIX: Final = "nf_ct_proto_6: "
_DNAT: Final = NatTarget("DNAT", (AddressRange(B, B),))
_SNAT: Final = NatTarget("SNAT", (AddressRange(FLOATING, FLOATING),))


class ModelRouter:
    """
    One router for one sequence.

    :param case: its settings count, not its results.
    :param kernel: release whose behaviour is wanted; None takes the newest.
    """

    def __init__(self, case: Case, *, kernel: str | None = None) -> None:
        self._nat = case.nat
        self._table = ConntrackTable(_namespace(case.sysctls), oracle=_ORACLE, kernel=kernel)
        self._entry: TrackedConnection | None = None
        self._now_ns = 0  # a sequence is over before any time counts

    def receive(self, segment: Segment) -> Result:
        """Return what the recorder would write down for a segment."""
        one = packet_of(segment, nat=self._nat)
        tracking = self._table.track(one, self._now_ns)
        told: Result = {"verdict": tracking.state.value, "delivery": "forwarded"}
        if tracking.way is not None:
            told["ctdir"] = tracking.way.value
        log = [tracking.log] if tracking.log else []
        if self._nat:
            self._pass_translated(tracking, one, told, log)
        if self._table.confirm(tracking, self._now_ns) is not None:
            told["delivery"] = "none"
        if log:
            told["log"] = [words.removeprefix(_PREFIX) for lines in log for words in lines.split("\n")]
        self._note(tracking, told)
        return told

    def _pass_translated(self, tracking: Tracking, one: Packet, told: Result, log: list[str]) -> None:
        one = self._translate(tracking, Hook.PREROUTING, one)
        local = one.ip is not None and one.ip.dst == FLOATING
        one = self._translate(tracking, Hook.INPUT if local else Hook.POSTROUTING, one)
        if not local:
            if one.ip is not None:
                told["src"], told["dst"] = str(one.ip.src), str(one.ip.dst)
            return
        told["delivery"] = "local"
        answer = _reset(one)
        if answer is not None and answer.tcp is not None and answer.ip is not None:
            told["answered"] = {
                "src": str(answer.ip.src),
                "dst": str(answer.ip.dst),
                "flags": "".join(letter for letter, flag in LETTERS.items() if answer.tcp.flags & flag),
                "seq": answer.tcp.seq,
                "ack": answer.tcp.ack,
            }
            words = self._table.track(answer, self._now_ns, hook=Hook.OUTPUT).log
            if words:
                log.append(words)

    def _translate(self, tracking: Tracking, hook: Hook, one: Packet) -> Packet:
        return translate(
            tracking, hook, one, table=self._table, oracle=_ORACLE, rules=_RULES.get(hook, _no_rule)
        ).packet

    def _note(self, tracking: Tracking, told: Result) -> None:
        """Tell the entry as it is now, and what became of the one before."""
        before = self._entry
        now = tracking.connection or before
        if now is not None and ("DYING" in now.status or "CONFIRMED" not in now.status):
            now = None
        events = []
        if before is not None and now is not before:
            events.append("destroy")
        if now is not None and now is not before:
            events.append("new")
        if events:
            told["events"] = events
        self._entry = now
        if now is None or now.tcp is None:
            told["state"] = None
            return
        told["state"] = now.tcp.state.value
        told["status"] = _listed(frozenset(now.status))
        told["orig"] = "A" if now.original.src == A else "B"
        told["timeout"] = None if now.expires_ns is None else (now.expires_ns - self._now_ns) // _SECOND


def _dnat(one: Packet) -> NatTarget | None:
    return _DNAT if one.ip is not None and one.ip.dst == FLOATING else None


def _snat(one: Packet) -> NatTarget | None:
    return _SNAT if one.ip is not None and one.ip.src == B else None


def _no_rule(one: Packet) -> None:
    del one


#: What stands in the recorder's nat table.
_RULES: Final = {Hook.PREROUTING: _dnat, Hook.POSTROUTING: _snat}


def _reset(one: Packet) -> Packet | None:
    """The RST of a stack without a socket, RFC 9293 section 3.10.7.1; RST and damage are not answered."""
    tcp, source, destination = one.tcp, one.source, one.destination
    if tcp is None or source is None or destination is None or tcp.flags & Flag.RST:
        return None
    if tcp.checksum_ok is False or tcp.header_ok is False:
        return None
    if tcp.flags & Flag.ACK:
        answer = replace(tcp, flags=Flag.RST, seq=tcp.ack, ack=0)
    else:
        taken = (tcp.length or 0) + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
        answer = replace(tcp, flags=Flag.RST | Flag.ACK, seq=0, ack=((tcp.seq or 0) + taken) % _WORD)
    bare = replace(one, tcp=replace(answer, length=0, checksum_ok=True))
    return bare.with_source(destination).with_destination(source)


#: Order in which a recording lists status bits: that of the kernel's numbers.
_BITS: Final = ("SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SRC_NAT_DONE", "DST_NAT_DONE")


@cache
def _listed(status: frozenset[str]) -> list[str]:
    return [bit for bit in _BITS if bit in status] + sorted(status.difference(_BITS))


@lru_cache(maxsize=256)
def _namespace(sysctls: tuple[tuple[str, int], ...]) -> Netns:
    span = Span("sysctl")
    rows = tuple(Sysctl(f"net.netfilter.{name}", str(value), span) for name, value in sysctls)
    return Netns("router", "root", sysctls=Dump(rows, "sysctl"))


_ORACLE: Final = FirstOption()
