"""What a packet may meet in a namespace beside hooks, routes and rules: tc, XDP, IPVS, IPsec, modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bothways.facts.address import IPAddress, IPNetwork
from bothways.facts.span import Span

__all__ = ["Bypass", "BypassKind", "Selector", "Side"]


class BypassKind(StrEnum):
    """Which part of the kernel takes packets past what is modelled."""

    TC = "tc"
    XDP = "XDP"
    BPF = "bpf"
    FLOWTABLE = "flowtable"
    IPVS = "IPVS"
    XFRM = "xfrm"
    HOOK = "netfilter hook"
    HANDLER = "packet handler"
    VRF = "VRF"
    SHARED = "shared device"


class Side(StrEnum):
    """Where a packet meets it."""

    IN = "in"  # coming in at a device, or delivered
    OUT = "out"  # going out
    FORWARD = "forward"  # passed on
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Selector:
    """
    Which packets are meant, as far as the dump tells; None or empty = all.

    :param ethertype: of the frame.
    :param protocol: IP protocol number.
    :param source_ports: ``(low, high)``, as *destination_ports*.
    :param touches: addresses of which one has to be the sender's or the receiver's.
    :param ports: ports of which one has to be the sender's or the receiver's.
    """

    ethertype: int | None = None
    protocol: int | None = None
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    touches: frozenset[IPAddress] = frozenset()
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bypass:
    """
    One row of such a dump.

    :param does: what it is and does, as a sentence goes on: ``a tc filter at the ingress of eth0 …``.
    :param device: where it stands, "" for the whole namespace, or where the dump does not tell.
    :param harmless: True if packets pass it as they are (a queue, a usual handler).
    :param opens: True for what only holds others, whose dump tells more (``clsact``).
    :param mark: the packet mark that it asks for, None for any.
    :param hook: for netfilter: the hook in lower case.
    """

    kind: BypassKind
    does: str
    span: Span
    device: str = ""
    side: Side = Side.ANY
    only: Selector = field(default_factory=Selector)
    harmless: bool = False
    opens: bool = False
    mark: int | None = None
    hook: str = ""
