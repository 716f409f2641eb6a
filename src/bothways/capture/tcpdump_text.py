"""
What people paste from a terminal that ran tcpdump.

Lines that begin with a time stamp are packets; prompts, prose, hex dumps and tcpdump's own messages are not,
and give nothing. A line that looks like a packet and cannot be read is a problem with that line as its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.capture.layers import Refused
from bothways.capture.tcp_numbers import Conversations
from bothways.capture.tcpdump_line import LinkWords, Stamp, read_link, read_packet, read_stamp, unfinished
from bothways.facts.packet import Packet, Tunnel
from bothways.facts.sighting import Direction, Sighting, Tap
from bothways.facts.span import Kind, Problem, Span

__all__ = ["TcpdumpText", "read_tcpdump_text"]

_ANY: Final = "any"
_DAY_NS: Final = 86_400_000_000_000
_COUNT: Final = re.compile(r"\s*(\d{1,18}) packets? (captured|received by filter|dropped by kernel)\b")
#: What only the beginning and the end of a run print, and the command itself in a pasted prompt.
_RUN: Final = re.compile(r"\btcpdump\b|\blistening on |\bpackets? captured\b")
_SNAPLEN: Final = re.compile(r"\blistening on .*(?:snapshot length|capture size) (\d{1,9}) bytes")
#: The carrier's own ends; what is behind the next ones is another tunnel's business.
_CARRIER: Final = re.compile(r"\S+ > \S+: ")
_TUNNEL: Final = re.compile(
    # Port 8472 is OTV's to tcpdump, whose header has the same shape.
    r"(?:\[[^\]]*\] )*(?:VXLAN|OTV), flags \[[^\]]*\] \(0x[0-9a-f]+\), "
    r"(?:vni|overlay \d+, instance) (\d{1,8})\b:?\s*"
)
#: Longest line that is taken for a packet, which also bounds the numbers in it.
_LONGEST: Final = 4000
_SHOWN: Final = 300
_NO_TIME: Final = re.compile(r"\s*IP6? \S+ > \S+: Flags \[")
#: -ttt and -ttttt count from the packet before or from the first, which then stands at zero behind a blank.
_FROM_ZERO: Final = re.compile(r"\s+00:00:00\.0{6,9}\s")
_DIFFERENCES: Final = "its time stamps are differences and no times of day"
_HINTS: Final[dict[str, str]] = {
    "an address or port that is no number": "capture with tcpdump -n",
    _DIFFERENCES: "capture without -ttt and -ttttt, with -tttt for the date",
    "TCP without flags (tcpdump -q) says too little": "capture without -q",
}


@dataclass(frozen=True, slots=True)
class TcpdumpText:
    """
    One text, read.

    :param captured: sum of tcpdump's ``packets captured`` lines, None if there is none; *received* and
        *dropped* are those of ``received by filter`` and ``dropped by kernel``.
    :param snaplen: as the ``listening on`` line says, None if there is none.
    :param irrelevant: lines that are no packets.
    """

    sightings: tuple[Sighting, ...] = ()
    problems: tuple[Problem, ...] = ()
    captured: int | None = None
    received: int | None = None
    dropped: int | None = None
    snaplen: int | None = None
    irrelevant: int = 0


@dataclass(slots=True)
class _Reading:
    """Where the reading of one text stands."""

    tap: Tap
    file: str
    read_at: float | None
    lines: list[str]
    at: int = 0
    days: int = 0
    last_clock: int | None = None
    begun: bool = False
    relative: bool = False
    irrelevant: int = 0
    snaplen: int | None = None
    unmodelled: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    conversations: Conversations = field(default_factory=Conversations)
    sightings: list[Sighting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def span(self, index: int) -> Span:
        return Span(self.file, line=index + 1, text=self.lines[index], read_at=self.read_at)

    def refuse(self, refused: Refused, index: int) -> None:
        """Note a line that gives no sighting; of those not modelled the first with each reason."""
        if refused.kind is None:
            self.irrelevant += 1
            return
        if refused.kind is Kind.UNMODELLED:
            if refused.reason in self.unmodelled:
                return
            self.unmodelled.add(refused.reason)
        shown = self.lines[index].strip()
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} …"
        message = f"packet line cannot be read, {refused.reason}: `{shown}`"
        self.problems.append(Problem(refused.kind, self.span(index), message, _HINTS.get(refused.reason, "")))

    def continuation(self) -> str | None:
        """The next line if it belongs to this packet; it is consumed."""
        if self.at + 1 >= len(self.lines):
            return None
        line = self.lines[self.at + 1]
        if len(line) > _LONGEST or not line.strip() or read_stamp(line) is not None:
            return None
        self.at += 1
        return line.strip()

    def time(self, stamp: Stamp) -> int:
        """Nanoseconds, a day later after each midnight that a clock without date passes."""
        if not stamp.clock_only:
            return stamp.time_ns
        if self.last_clock is not None:
            change = stamp.time_ns - self.last_clock
            # Across midnight the clock falls by nearly a day; a record out of place may go back across it.
            self.days += (change < -_DAY_NS // 2) - (change > _DAY_NS // 2 and self.days > 0)
        self.last_clock = stamp.time_ns
        return stamp.time_ns + self.days * _DAY_NS

    def other(self, line: str) -> None:
        """A line without time stamp."""
        if _RUN.search(line):
            self.conversations = Conversations()
            self.begun = self.relative = False
        count = _COUNT.match(line)
        if count:
            self.counts[count[2]] = self.counts.get(count[2], 0) + int(count[1])
            return
        snaplen = _SNAPLEN.search(line)
        if snaplen:
            self.snaplen = int(snaplen[1])
        elif _NO_TIME.match(line):
            message = f"packet line without a time stamp: `{line.strip()}`"
            self.problems.append(
                Problem(Kind.UNMODELLED, self.span(self.at), message, "capture without tcpdump -t")
            )
        else:
            self.irrelevant += 1

    def packet(self, line: str, stamp: Stamp) -> None:
        """A line with a time stamp, and the lines that belong to it."""
        first = self.at
        if not self.begun:
            self.begun, self.relative = True, _FROM_ZERO.match(line) is not None
        if self.relative:
            self.refuse(Refused(_DIFFERENCES, Kind.UNMODELLED), first)
            return
        link = read_link(line[stamp.end :].rstrip())
        if unfinished(link):
            rest = self.continuation()
            link = replace(link, body=f"{link.body} {rest or ''}".rstrip())
        packet = read_packet(link)
        if isinstance(packet, Refused):
            self.refuse(packet, first)
            return
        tunnel = None
        ends = _CARRIER.search(link.body) if packet.udp else None
        carrier = _TUNNEL.match(link.body, ends.end()) if ends else None
        if carrier and packet.ip:
            inner = self.inner(link, carrier)
            if inner is not None:
                tunnel = Tunnel("vxlan", int(carrier[1]), packet.ip.src, packet.ip.dst)
                packet = replace(inner, length=packet.length)
        self.see(link, self.settle(packet), self.time(stamp), stamp, tunnel)

    def inner(self, link: LinkWords, carrier: re.Match[str]) -> Packet | None:
        """The packet in a tunnel: behind the VNI, or on the next line. None if it is not shown."""
        kept = self.at
        text: str | None = link.body[carrier.end() :] or self.continuation()
        if text is None:
            return None
        inside = read_link(text)
        if unfinished(inside):
            inside = replace(inside, body=f"{inside.body} {self.continuation() or ''}".rstrip())
        packet = read_packet(inside)
        if isinstance(packet, Refused):
            self.at = kept
            return None
        return packet

    def settle(self, packet: Packet) -> Packet:
        source, destination = packet.source, packet.destination
        if packet.tcp is None or source is None or destination is None:
            return packet
        return replace(packet, tcp=self.conversations.settle(source, destination, packet.tcp))

    def see(self, link: LinkWords, packet: Packet, time_ns: int, stamp: Stamp, tunnel: Tunnel | None) -> None:
        device = link.device if self.tap.device == _ANY else link.device or self.tap.device
        direction: Direction | None = link.direction
        self.sightings.append(
            Sighting(
                self.tap,
                device,
                direction,
                time_ns,
                packet,
                self.span(self.at),
                len(self.sightings),
                tunnel,
                stamp.clock_only,
            )
        )


def read_tcpdump_text(text: str, *, tap: Tap, file: str, read_at: float | None = None) -> TcpdumpText:
    """
    Read the text of one tcpdump run.

    :param read_at: when the text was collected, seconds since the epoch.
    :returns: sightings in the order of the lines. The span is the line that shows the packet itself: for
        ``-v`` and for tunnels that is the last line of the record. TCP numbers are absolute where the text
        tells, see :mod:`bothways.capture.tcp_numbers`.
    """
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    reading = _Reading(tap, file, read_at, lines)
    if reading.lines and not reading.lines[-1]:
        reading.lines.pop()
    while reading.at < len(reading.lines):
        line = reading.lines[reading.at]
        stamp = read_stamp(line)
        if len(line) > _LONGEST:
            refused = Refused(f"it has {len(line)} characters")
            reading.refuse(refused if stamp else Refused("a long line", kind=None), reading.at)
        elif stamp is None:
            reading.other(line)
        elif isinstance(stamp, Refused):
            reading.refuse(stamp, reading.at)
        else:
            reading.packet(line, stamp)
        reading.at += 1
    return TcpdumpText(
        tuple(reading.sightings),
        tuple(reading.problems),
        reading.counts.get("captured"),
        reading.counts.get("received by filter"),
        reading.counts.get("dropped by kernel"),
        reading.snaplen,
        reading.irrelevant,
    )
