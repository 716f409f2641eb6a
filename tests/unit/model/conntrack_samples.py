"""Packets, namespaces and an oracle for tests of the tracker and of NAT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bothways.facts.address import address
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.conntrack import Entry
from bothways.facts.dump import Dump
from bothways.facts.packet import (
    ICMP,
    ICMP6,
    NO_FLAGS,
    TCP,
    UDP,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    Udp,
)
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span

SECOND = 1_000_000_000
LETTERS = {
    "F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH,
    ".": Flag.ACK, "U": Flag.URG, "E": Flag.ECE, "W": Flag.CWR,
}  # fmt: skip


class Told:
    """An oracle that takes what a test says, else the first option, and keeps what it was told."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: dict[str, tuple[str, ...]] = {}
        self.assumed: list[Assumption] = []

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        assert freedom is Freedom.FREE
        assert recorded is None
        del evidence
        self.asked[key] = tuple(options)
        return next((answer for answer in self.answers.values() if answer in options), options[0])

    def assume(self, assumption: Assumption) -> None:
        self.assumed.append(assumption)

    @property
    def words(self) -> str:
        return "; ".join(each.text for each in self.assumed)


def flags(letters: str) -> Flag:
    """Flags as tcpdump prints them."""
    found = NO_FLAGS
    for letter in letters:
        found |= LETTERS[letter]
    return found


def tcp(
    source: str, destination: str, letters: str, *, seq: int | None = None, ack: int | None = None,
    checksum_ok: bool | None = None, window: int = 64240,
) -> Packet:  # fmt: skip
    """``tcp("192.0.2.1:1024", "192.0.2.2:22", "S.")``."""
    (src, sport), (dst, dport) = _end(source), _end(destination)
    segment = Tcp(sport, dport, flags(letters), seq, ack, window, 0, checksum_ok=checksum_ok)
    return Packet(Ethernet(), ip=Ip(address(src), address(dst), TCP), tcp=segment)


def udp(source: str, destination: str) -> Packet:
    (src, sport), (dst, dport) = _end(source), _end(destination)
    return Packet(Ethernet(), ip=Ip(address(src), address(dst), UDP), udp=Udp(sport, dport, 10))


def icmp(
    source: str, destination: str, kind: int, *, number: int | None = 7, inner: Packet | None = None
) -> Packet:
    """An ICMP message; *number* is the id of a query."""
    src, dst = address(source), address(destination)
    protocol = ICMP if src.version == 4 else ICMP6
    return Packet(Ethernet(), ip=Ip(src, dst, protocol), icmp=Icmp(kind, 0, number, 1, inner))


def other(source: str, destination: str, protocol: int) -> Packet:
    return Packet(Ethernet(), ip=Ip(address(source), address(destination), protocol))


def namespace(sysctls: Mapping[str, int] | None = None, rows: Sequence[Entry] | None = None) -> Netns:
    """A namespace with some sysctls (without ``net.netfilter.``) and entries; None = not collected."""
    dumped = None
    if sysctls is not None:
        dumped = Dump(
            tuple(
                Sysctl(f"net.netfilter.{name}", str(value), Span("sysctl.txt", line))
                for line, (name, value) in enumerate(sysctls.items(), 1)
            ),
            "sysctl.txt",
        )
    entries = None if rows is None else Dump(tuple(rows), "conntrack.txt")
    return Netns("router", "root", sysctls=dumped, conntrack=entries)


def _end(text: str) -> tuple[str, int]:
    where, _, port = text.rpartition(":")
    return where.strip("[]"), int(port)
