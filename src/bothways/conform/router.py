"""
The model in the recorder's place: one router, its tracker and its NAT, and what it says of each segment.

The hooks as far as a router with these two rules needs them: PREROUTING, then POSTROUTING, or INPUT where
the destination is its own. What INPUT gets has no socket, so it is answered with a RST.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from bothways.conform.recording import Case, Result, Segment
from bothways.conform.segment import FLOATING, LETTERS, A, B, packet_of
from bothways.conform.signature import gets_no_reset
from bothways.facts.address import IPAddress, number
from bothways.facts.choice import FirstOption
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange
from bothways.facts.once import once
from bothways.facts.packet import Flag, Ip, Packet, Tcp, TcpOptions
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.model.linux.conntrack.entry import TrackedConnection, Tracking
from bothways.model.linux.conntrack.settings import TICKS, Settings
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.variant import is_since
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat import NatTarget, translate

__all__ = ["ModelRouter", "letters", "reset_of"]

_SECOND: Final = 1_000_000_000
_WORD: Final = 1 << 32
_PREFIX: Final = "nf_ct_proto_6: "
_PREROUTING, _INPUT, _POSTROUTING = Hook.PREROUTING, Hook.INPUT, Hook.POSTROUTING
_DNAT: Final = NatTarget("DNAT", (AddressRange(B, B),))
_SNAT: Final = NatTarget("SNAT", (AddressRange(FLOATING, FLOATING),))


class ModelRouter:
    """
    One router for one sequence.

    :param case: its settings count, not its results.
    :param kernel: release whose behaviour is wanted; None takes the newest.
    :param ticks: of a second, in which that kernel's log counts time.
    """

    def __init__(self, case: Case, *, kernel: str | None = None, ticks: int = TICKS) -> None:
        self._nat = case.nat
        self._refuses_damage = is_since(kernel, (6, 7))
        netns, settings = _namespace(case.sysctls, ticks)
        self._table = ConntrackTable(netns, oracle=_ORACLE, kernel=kernel, settings=settings)
        self._entry: TrackedConnection | None = None
        self._originator = ""
        self._status: set[str] = set()
        self._listed: list[str] = []
        self._now_ns = 0  # a sequence is over before any time counts

    def receive(self, segment: Segment) -> Result:
        """Return what the recorder would write down for a segment."""
        one = packet_of(segment, nat=self._nat)
        tracking = self._table.track(one, self._now_ns)
        log = tracking.log
        passed: Result | None = None
        if self._nat:
            passed = {}
            log = self._pass_translated(tracking, one, passed, segment)
        connection = tracking.connection
        dropped = (
            connection is not None
            and "CONFIRMED" not in connection.status
            and self._table.confirm(tracking, self._now_ns) is not None
        )
        told = self._told(tracking)
        if passed:
            told.update(passed)
        if dropped:
            told["delivery"] = "none"
        if tracking.way is not None:
            told["ctdir"] = tracking.way
        if log:
            told["log"] = _lines(log)
        return told

    def _pass_translated(self, tracking: Tracking, one: Packet, told: Result, segment: Segment) -> str:
        """Pass the hooks that translate; return what the kernel prints for the packet and for its answer."""
        one = self._translate(tracking, _PREROUTING, one)
        local = one.ip is not None and number(one.ip.dst) == _FLOATING
        one = self._translate(tracking, _INPUT if local else _POSTROUTING, one)
        if not local:
            if one.ip is not None:
                told["src"], told["dst"] = _shown(one.ip.src), _shown(one.ip.dst)
            return tracking.log
        told["delivery"] = "local"
        answer = reset_of(one)
        if answer is None or answer.tcp is None or answer.ip is None:
            return tracking.log
        if gets_no_reset(segment, refuses_damage=self._refuses_damage):
            return tracking.log
        told["answered"] = {
            "src": _shown(answer.ip.src),
            "dst": _shown(answer.ip.dst),
            "flags": letters(answer.tcp.flags),
            "seq": answer.tcp.seq,
            "ack": answer.tcp.ack,
        }
        words = self._table.track(answer, self._now_ns, hook=Hook.OUTPUT).log
        return "\n".join(each for each in (tracking.log, words) if each)

    def _translate(self, tracking: Tracking, hook: Hook, one: Packet) -> Packet:
        return translate(tracking, hook, one, table=self._table, oracle=_ORACLE, rules=_RULES[hook]).packet

    def _told(self, tracking: Tracking) -> Result:
        """What became of the packet, the entry as it is now, and what became of the one before."""
        before = self._entry
        now = tracking.connection or before
        if now is not None and ("DYING" in now.status or "CONFIRMED" not in now.status):
            now = None
        if now is None or now.tcp is None:
            told: Result = {"verdict": tracking.state, "delivery": "forwarded", "state": None}
            if before is not None:
                told["events"], self._entry = ["destroy"], None
            return told
        memory, expires_ns = now.tcp, now.expires_ns
        if self._status != now.status:
            self._status = now.status.copy()
            self._listed = _listed(frozenset(self._status))
        # written down at once: to put one key behind another into a dictionary takes longer
        told = {
            "verdict": tracking.state,
            "delivery": "forwarded",
            "state": memory.state,
            "status": self._listed,
            "orig": self._originator,
            "timeout": None if expires_ns is None else (expires_ns - self._now_ns) // _SECOND,
        }
        if now is not before:
            told["events"] = ["new"] if before is None else ["destroy", "new"]
            self._entry = now
            self._originator = told["orig"] = "A" if now.original.src == A else "B"
        original, reply = memory.original, memory.reply
        if original.scale or reply.scale:
            told["wscale"] = [original.scale, reply.scale]
        flags = _listed_flags(memory.shown_flags)
        if flags is not None:
            told["tcpflags"] = flags
        return told


def _dnat(one: Packet) -> NatTarget | None:
    return _DNAT if one.ip is not None and number(one.ip.dst) == _FLOATING else None


def _snat(one: Packet) -> NatTarget | None:
    return _SNAT if one.ip is not None and number(one.ip.src) == _B else None


def _no_rule(one: Packet) -> None:
    del one


#: What stands in the recorder's nat table.
_RULES: Final = {Hook.PREROUTING: _dnat, Hook.INPUT: _no_rule, Hook.POSTROUTING: _snat}


def reset_of(one: Packet) -> Packet | None:
    """The RST of a stack without a socket, RFC 9293 section 3.10.7.1; RST and damage are not answered."""
    ip, tcp = one.ip, one.tcp
    if ip is None or tcp is None or tcp.checksum_ok is False or tcp.header_ok is False:
        return None
    flags = int(tcp.flags)
    if flags & Flag.RST.value:
        return None
    answered = flags & Flag.ACK.value
    taken = (tcp.length or 0) + (flags >> 1 & 1) + (flags & 1)
    answer = Tcp(
        tcp.dport,
        tcp.sport,
        _RST if answered else _RST_ACK,
        tcp.ack if answered else 0,
        0 if answered else ((tcp.seq or 0) + taken) % _WORD,
        window=0,
        length=0,
        options=TcpOptions(size=0),
        checksum_ok=True,
    )
    return Packet(one.ethernet, Ip(ip.dst, ip.src, ip.protocol), None, answer)


_RST, _RST_ACK = Flag.RST, Flag.RST | Flag.ACK


@once
def letters(flags: Flag) -> str:
    """The flags as a recording writes them."""
    return "".join(letter for letter, flag in LETTERS.items() if flags & flag)


#: Order in which a recording lists status bits: that of the kernel's numbers.
_BITS: Final = ("SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SRC_NAT_DONE", "DST_NAT_DONE")


@lru_cache(maxsize=4096)
def _lines(log: str) -> list[str]:
    return [words.removeprefix(_PREFIX) for words in log.split("\n")]


@once
def _listed_flags(sides: tuple[tuple[str, ...], tuple[str, ...]]) -> list[list[str]] | None:
    return [list(side) for side in sides] if any(sides) else None


@once
def _listed(status: frozenset[str]) -> list[str]:
    return [bit for bit in _BITS if bit in status] + sorted(status.difference(_BITS))


def _shown(one: IPAddress) -> str:
    return _WRITTEN[number(one)]


#: An address takes four times as long to hash, to compare and to write as its number.
_WRITTEN: Final = {number(one): str(one) for one in (A, B, FLOATING)}
_FLOATING: Final = number(FLOATING)
_B: Final = number(B)


@lru_cache(maxsize=256)
def _namespace(sysctls: tuple[tuple[str, int], ...], ticks: int) -> tuple[Netns, Settings]:
    span = Span("sysctl")
    rows = tuple(Sysctl(f"net.netfilter.{name}", str(value), span) for name, value in sysctls)
    netns = Netns("router", "root", sysctls=Dump(rows, "sysctl"))
    return netns, Settings(netns, _ORACLE, ticks=ticks)


_ORACLE: Final = FirstOption()
