"""What conntrack-tools and the kernel's log say of tracked connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import Endpoint, IPAddress
from bothways.facts.quick import quick
from bothways.facts.span import Span

__all__ = ["ConntrackCounters", "ConntrackEvent", "Entry", "InvalidLog", "Tuple"]


@quick
@dataclass(frozen=True, slots=True, order=True)
class Tuple:
    """
    One direction of a connection, as the tracker stores it.

    For ICMP *sport* is the id and *dport* packs nothing (0); ``icmp_type`` and ``icmp_code`` are set.
    """

    protocol: int
    src: IPAddress
    dst: IPAddress
    sport: int = 0
    dport: int = 0
    icmp_type: int | None = None
    icmp_code: int | None = None

    def __hash__(self) -> int:
        """From numbers: an address takes four times as long to hash. ICMP types seldom tell two apart."""
        return hash((self.protocol, int(self.src), int(self.dst), self.sport, self.dport))

    @property
    def source(self) -> Endpoint:
        """Sender."""
        return Endpoint(self.src, self.sport)

    @property
    def destination(self) -> Endpoint:
        """Receiver."""
        return Endpoint(self.dst, self.dport)

    def __str__(self) -> str:
        """``src > dst``."""
        return f"{self.source} > {self.destination}"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One tracked connection.

    :param state: TCP state (``SYN_SENT`` …), None for other protocols.
    :param timeout: seconds left when it was read, None if not shown.
    :param status: flags in the brackets: ``UNREPLIED``, ``ASSURED``, ``OFFLOAD`` …
    """

    original: Tuple
    reply: Tuple
    span: Span
    state: str | None = None
    timeout: int | None = None
    status: frozenset[str] = frozenset()
    mark: int = 0
    zone: int = 0
    id: int | None = None
    label: int = 0


@dataclass(frozen=True, slots=True)
class ConntrackEvent:
    """One line of ``conntrack -E``. *time* is the reader's clock, seconds since the epoch."""

    kind: str
    entry: Entry
    span: Span
    time: float | None = None


@dataclass(frozen=True, slots=True)
class InvalidLog:
    """
    One packet that conntrack called INVALID, in the kernel's own words.

    :param reason: the log prefix, such as ``nf_ct_proto_6: invalid new`` or ``nf_ct_tcp: invalid state``.
    :param state: TCP state of the entry where the words name it (``SYN_SENT``).
    :param direction: 0 original, 1 reply, where the words name it.
    """

    reason: str
    span: Span
    source: Endpoint | None = None
    destination: Endpoint | None = None
    flags: int | None = None
    seq: int | None = None
    ack: int | None = None
    time: float | None = None
    state: str | None = None
    direction: int | None = None


@dataclass(frozen=True, slots=True)
class ConntrackCounters:
    """One CPU's row of ``conntrack -S``."""

    cpu: int
    values: Mapping[str, int] = field(default_factory=dict)
    span: Span | None = None
