"""
The tracker and its NAT, held to what a Linux 6.18 did with the same segments.

A line of a recording is one sequence between A (10.9.1.2) and B (10.9.2.2) through a router that tracks
them and tells, segment by segment, what it made of it. With ``nat`` the router translates 192.168.111.223,
an address of its own, to B and back. Compared are ctstate, direction, whether the segment was forwarded or
delivered to the router itself, the entry's state, time, status bits and originator, addresses behind NAT,
the RST that the router answered with, scales and flags of both windows, and the kernel's words for what
it refused or ignored, with their numbers.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conntrack_samples import SECOND, Told, namespace

from bothways.facts.address import IPAddress, address
from bothways.facts.choice import Oracle
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import NO_FLAGS, TCP, Ethernet, Flag, Ip, Packet, Tcp, TcpOptions
from bothways.facts.snapshot import Netns
from bothways.model.linux.conntrack.entry import Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat import NatTarget, translate

HERE = Path(__file__).parent
SHARED = Path(__file__).parents[4] / "shared" / "oracles" / "conntrack"
SAMPLE = HERE / "data" / "conntrack-6.18.jsonl.gz"

A, B, FLOATING = address("10.9.1.2"), address("10.9.2.2"), address("192.168.111.223")
SPORT, DPORT = 1025, 22
LETTERS = {
    "F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH,
    "A": Flag.ACK, "U": Flag.URG, "E": Flag.ECE, "C": Flag.CWR,
}  # fmt: skip
NO_LINK, NO_OPTIONS = Ethernet(), TcpOptions(size=0)
Case = dict[str, Any]


def read(path: Path) -> Iterator[Case]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def packet(segment: Case, *, nat: bool) -> Packet:
    """The facts of a segment that the recorder sent; see ``frame`` there."""
    forth = segment["dir"] == "A"
    there = FLOATING if nat else B
    ip = Ip(A, there, TCP) if forth else Ip(B, A, TCP)
    if "trunc" in segment:
        return Packet(NO_LINK, ip=ip)
    options, size = carried(segment.get("opts"))
    header = 4 * segment.get("doff", 5 + size // 4)
    length = 20 + size + segment["len"] - header
    if header != 20 + size:
        options, _ = carried({"raw": "78" * max(0, header - 20)})
    tcp = Tcp(
        *((SPORT, DPORT) if forth else (DPORT, SPORT)),
        FLAGS[segment["flags"]],
        segment["seq"],
        segment["ack"],
        segment["win"],
        max(0, length),
        options,
        checksum_ok=not segment.get("badcsum"),
        header_ok=length >= 0 and header >= 20,
    )
    return Packet(NO_LINK, ip=ip, tcp=tcp)


def carried(said: Case | None) -> tuple[TcpOptions, int]:
    """Options as the recorder writes them, and how many bytes they take."""
    if not said:
        return NO_OPTIONS, 0
    if "raw" in said:
        return raw_options(bytes.fromhex(said["raw"]))
    sack = tuple((left, right) for left, right in said.get("sack", ()))
    size = 4 * ("mss" in said) + 4 * ("wscale" in said) + 4 * bool(said.get("sackok"))
    size += 12 * ("ts" in said) + (4 + 8 * len(sack) if "sack" in said else 0)
    stamp = tuple(said["ts"]) if "ts" in said else None
    sack_ok = bool(said.get("sackok"))
    return TcpOptions(said.get("mss"), said.get("wscale"), sack_ok, stamp, sack, size), size


def raw_options(octets: bytes) -> tuple[TcpOptions, int]:
    octets += bytes(-len(octets) % 4)
    wscale, sack_ok, at = None, False, 0
    while at < len(octets) and octets[at]:
        if octets[at] == 1:
            at += 1
            continue
        taken = octets[at + 1] if at + 1 < len(octets) else 0
        if taken < 2 or at + taken > len(octets):
            break
        if octets[at] == 3 and taken == 3:
            wscale = octets[at + 2]
        sack_ok = sack_ok or (octets[at] == 4 and taken == 2)
        at += taken
    return TcpOptions(wscale=wscale, sack_ok=sack_ok, size=len(octets)), len(octets)


class _Flags(dict[str, Flag]):
    def __missing__(self, letters: str) -> Flag:
        flags = NO_FLAGS
        for letter in letters:
            flags |= LETTERS[letter]
        self[letters] = flags
        return flags


FLAGS = _Flags()


@dataclass
class Router:
    """The hooks of a router as far as tracking and NAT go; *nat* as the recorder had it."""

    nat: bool
    table: ConntrackTable
    oracle: Oracle

    def rules(self, hook: Hook, one: Packet) -> NatTarget | None:
        if not self.nat or one.ip is None:
            return None
        if hook is Hook.PREROUTING and one.ip.dst == FLOATING:
            return NatTarget("DNAT", (AddressRange(B, B),))
        if hook is Hook.POSTROUTING and one.ip.src == B:
            return NatTarget("SNAT", (AddressRange(FLOATING, FLOATING),))
        return None

    def receive(self, segment: Case, now_ns: int) -> Case:
        """What the recorder would write down for a segment."""
        one = packet(segment, nat=self.nat)
        tracking = self.table.track(one, now_ns)
        told: Case = {"verdict": str(tracking.state), "log": [tracking.log]}
        if tracking.way is not None:
            told["ctdir"] = str(tracking.way)
        one = self.translate(tracking, Hook.PREROUTING, one)
        local = _to(one) == FLOATING
        one = self.translate(tracking, Hook.INPUT if local else Hook.POSTROUTING, one)
        assert self.table.confirm(tracking, now_ns) is None
        told["delivery"] = "local" if local else "forwarded"
        if local:
            answer = reset(one)
            if answer is not None:
                told["answered"] = described(answer)
                told["log"].append(self.table.track(answer, now_ns, hook=Hook.OUTPUT).log)
        elif self.nat and one.ip is not None:
            told["src"], told["dst"] = str(one.ip.src), str(one.ip.dst)
        told["log"] = [
            line.removeprefix("nf_ct_proto_6: ") for words in told["log"] for line in words.splitlines()
        ]
        told.update(self.entry(now_ns))
        return told

    def translate(self, tracking: Tracking, hook: Hook, one: Packet) -> Packet:
        if not self.nat:
            return one
        step = translate(
            tracking,
            hook,
            one,
            table=self.table,
            oracle=self.oracle,
            rules=lambda each: self.rules(hook, each),
        )
        return step.packet

    def entry(self, now_ns: int) -> Case:
        entries = self.table.connections()
        assert len(entries) <= 1
        for entry in entries:
            assert entry.tcp is not None
            assert entry.expires_ns is not None
            return {
                "state": entry.tcp.state.value,
                "status": entry.status,
                "orig": "A" if entry.original.src == A else "B",
                "timeout": (entry.expires_ns - now_ns) // SECOND,
                "wscale": [entry.tcp.original.scale, entry.tcp.reply.scale],
                "tcpflags": [list(entry.tcp.original.flags), list(entry.tcp.reply.flags)],
            }
        return {"state": None}


def _to(one: Packet) -> IPAddress | None:
    return None if one.ip is None else one.ip.dst


def reset(one: Packet) -> Packet | None:
    """The RST of a stack without a socket, RFC 9293 section 3.10.7.1; a RST is not answered."""
    tcp, source, destination = one.tcp, one.source, one.destination
    if tcp is None or one.ip is None or source is None or destination is None or tcp.flags & Flag.RST:
        return None
    if tcp.flags & Flag.ACK:
        answer = replace(tcp, flags=Flag.RST, seq=tcp.ack, ack=0)
    else:
        taken = (tcp.length or 0) + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
        answer = replace(tcp, flags=Flag.RST | Flag.ACK, seq=0, ack=((tcp.seq or 0) + taken) % (1 << 32))
    return (
        replace(one, tcp=replace(answer, length=0, checksum_ok=True))
        .with_source(destination)
        .with_destination(source)
    )


def described(one: Packet) -> Case:
    assert one.tcp is not None
    assert one.ip is not None
    letters = "".join(letter for letter, flag in LETTERS.items() if one.tcp.flags & flag)
    return {
        "src": str(one.ip.src),
        "dst": str(one.ip.dst),
        "flags": letters,
        "seq": one.tcp.seq,
        "ack": one.tcp.ack,
    }


FIELDS = (
    "verdict",
    "ctdir",
    "delivery",
    "answered",
    "src",
    "dst",
    "state",
    "orig",
    "log",
    "timeout",
    "wscale",
    "tcpflags",
)
#: What an absent field means.
ABSENT: Case = {"log": [], "wscale": [0, 0], "tcpflags": [[], []]}


def disagreement(case: Case, done: Counter[str]) -> str | None:
    """Replay one sequence; the first segment that comes out otherwise, None if none does."""
    oracle = Told()
    table = ConntrackTable(tuned(tuple(case["sysctl"].items())), oracle=oracle, kernel="6.18.44")
    router = Router(case["nat"], table, oracle)
    done["sequences"] += 1
    for index, (segment, result) in enumerate(zip(case["segments"], case["results"], strict=True)):
        told = router.receive(segment, index)
        done["segments"] += 1
        for field in FIELDS:
            ours, theirs = told.get(field, ABSENT.get(field)), result.get(field, ABSENT.get(field))
            if ours != theirs and not (field == "timeout" and near(ours, theirs)):
                return f"{case['id']} segment {index}: {field} {ours}, recorded {theirs}"
        ours, theirs = set(told.get("status", ())), set(result.get("status", ()))
        if ours != theirs:
            return f"{case['id']} segment {index}: status {sorted(ours)}, recorded {sorted(theirs)}"
    return None


@cache
def tuned(sysctls: tuple[tuple[str, int], ...]) -> Netns:
    return namespace(dict(sysctls))


def near(ours: object, theirs: object) -> bool:
    """Times pass while the recorder reads."""
    if not isinstance(ours, int) or not isinstance(theirs, int):
        return False
    return abs(ours - theirs) <= 1


def hold(path: Path) -> tuple[list[str], Counter[str]]:
    """Every disagreement of a recording, and what was compared."""
    done: Counter[str] = Counter()
    told = (disagreement(case, done) for case in read(path))
    return [each for each in told if each is not None], done


def test_the_sample_agrees() -> None:
    wrong, done = hold(SAMPLE)

    assert wrong == []
    assert done["sequences"] > 3_000
    assert done["segments"] > 15_000


def test_a_sample_that_is_changed_disagrees() -> None:
    """The comparison itself can fail, in each field."""
    found = set()
    for case in read(SAMPLE):
        for field in ("verdict", "delivery", "state", "src", "answered"):
            if field in case["results"][0] and field not in found:
                changed = json.loads(json.dumps(case))
                changed["results"][0][field] = "another"
                if disagreement(changed, Counter()) is not None:
                    found.add(field)
    assert found == {"verdict", "delivery", "state", "src", "answered"}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "sequences", "segments"),
    [("truth.jsonl.gz", 11_714, 65_796), ("exhaustive-length-4.jsonl.gz", 55_575, 219_033)],
)
def test_the_whole_recording_agrees(name: str, sequences: int, segments: int) -> None:
    wrong, done = hold(SHARED / name)

    assert wrong[:5] == []
    assert (done["sequences"], done["segments"]) == (sequences, segments)
