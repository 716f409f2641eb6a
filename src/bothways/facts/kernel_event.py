"""
What the kernel itself said of one packet at one moment, as ``bothways trace`` records it.

The form on disk is ``bothways/trace/1`` (``docs/reference/trace.md``). What a tier could not know is None:
tracepoints see neither a verdict nor what the tracker thought, so None there is no statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bothways.facts.address import Endpoint
from bothways.facts.packet import Packet
from bothways.facts.quick import quick
from bothways.facts.span import Span

__all__ = [
    "Happening",
    "KernelConntrack",
    "KernelEvent",
    "KernelPacket",
    "KernelTuple",
    "function_name",
    "stack_functions",
]


class Happening(StrEnum):
    """What happened to the packet. A closed set: the word ``event`` of a line."""

    QUEUE = "queue"  # put into the queue of a device
    XMIT = "xmit"  # handed to a device for transmission
    RECEIVE = "receive"  # a device gave it to the stack
    IP_RECEIVE = "ip-receive"
    FORWARD = "forward"
    LOCAL_DELIVER = "local-deliver"
    HOOK = "hook"  # a netfilter hook gave its verdict
    CONNTRACK = "conntrack"
    NAT = "nat"
    OVS_RECEIVE = "ovs-receive"
    OVS_ACTION = "ovs-action"
    OVS_CONNTRACK = "ovs-conntrack"
    OVS_UPCALL = "ovs-upcall"
    BRIDGE = "bridge"
    VXLAN_ENCAP = "vxlan-encap"
    VXLAN_DECAP = "vxlan-decap"
    SOCKET = "socket"
    RST_SENT = "rst-sent"
    RST_RECEIVED = "rst-received"
    DROP = "drop"
    CONSUME = "consume"  # freed in peace
    ICMP_SENT = "icmp-sent"
    CLONE = "clone"
    FIB = "fib"  # a route was looked up
    NEIGH = "neigh"


@quick
@dataclass(frozen=True, slots=True)
class KernelPacket:
    """
    The headers of a packet as they were at an event.

    :param packet: what stands first in the buffer: the outer packet of a tunnel.
    :param length: octets of the IP packet, header included; None = not known.
    :param vni: of the tunnel header, None if there is none.
    :param inner: what a tunnel carries.
    """

    packet: Packet
    length: int | None = None
    vni: int | None = None
    inner: KernelPacket | None = None

    @property
    def carried(self) -> KernelPacket:
        """The innermost packet: the one that people ask about."""
        return self if self.inner is None else self.inner.carried


@dataclass(frozen=True, slots=True)
class KernelTuple:
    """One direction of an entry of the tracker."""

    source: Endpoint
    destination: Endpoint
    protocol: str = ""

    def reversed(self) -> KernelTuple:
        """The tuple of a packet that goes the other way."""
        return KernelTuple(self.destination, self.source, self.protocol)

    def __str__(self) -> str:
        """``192.0.2.1:17350 > 192.0.2.2:22``."""
        return f"{self.source} > {self.destination}"


@dataclass(frozen=True, slots=True)
class KernelConntrack:
    """
    The tracker's entry that hung on the packet.

    :param info: ``NEW``, ``ESTABLISHED`` … as the kernel's enum names it, ``INVALID`` or ``UNTRACKED``; None
        if the tier cannot tell.
    """

    info: str | None = None
    status: tuple[str, ...] = ()
    state: str | None = None
    mark: int | None = None
    zone: int | None = None
    original: KernelTuple | None = None
    reply: KernelTuple | None = None


@quick
@dataclass(frozen=True, slots=True)
class KernelEvent:
    """
    One event of a packet in one kernel.

    :param number: ``n`` of its line, counted by the host.
    :param time_ns: the host's monotonic clock; *wall_ns* the same moment since the epoch, None = not told.
    :param tier: how the kernel was asked: ``fentry``, ``kprobe``, ``raw_tracepoint`` or ``tracefs``. It
        bounds what can be known.
    :param function: the kernel function, without offset; None where a tracepoint does not tell.
    :param netns: ``root``, the name of ``ip netns``, or ``inode:N``.
    :param packet_id: one life of a buffer on this host; the same buffer gets another number for another
        packet.
    :param provoked_by: *packet_id* of the packet that made the kernel send this one.
    :param clone_of: *packet_id* of the packet whose data this one shares.
    :param before: the headers at the packet's previous event, only if they changed.
    :param hook: ``PREROUTING`` …; *verdict* what the hook said.
    :param reason: why it was dropped or reset, in the kernel's words; *subsystem* whose words these are.
    :param location: where it was freed, with offset.
    :param rule: what is known of the rule that decided.
    :param stack: functions with offsets, innermost first; None if no stack was taken.
    """

    span: Span
    host: str
    number: int
    time_ns: int
    happening: Happening
    tier: str
    probe: str
    wall_ns: int | None = None
    cpu: int | None = None
    task: str | None = None
    function: str | None = None
    netns: str | None = None
    netns_inode: int | None = None
    device: str | None = None
    ifindex: int | None = None
    skb: str | None = None
    packet_id: int | None = None
    provoked_by: int | None = None
    clone_of: int | None = None
    mark: int | None = None
    length: int | None = None
    packet: KernelPacket | None = None
    before: KernelPacket | None = None
    conntrack: KernelConntrack | None = None
    hook: str | None = None
    verdict: str | None = None
    reason: str | None = None
    subsystem: str | None = None
    location: str | None = None
    rule: Mapping[str, object] | None = field(default=None, hash=False)
    stack: tuple[str, ...] | None = None
    detail: Mapping[str, object] | None = field(default=None, hash=False)

    @property
    def place(self) -> str:
        """``host/netns:device``; the host's own namespace is left out, and so is what is not known."""
        where = self.host if self.netns in (None, "root") else f"{self.host}/{self.netns}"
        return where if self.device is None else f"{where}:{self.device}"

    @property
    def buffer(self) -> bool:
        """True if it tells of a packet in a buffer; a socket's state is told of without one."""
        return self.packet_id is not None or self.skb is not None

    @property
    def where(self) -> str | None:
        """The function that did it: the one that was probed, or else the one that freed the packet."""
        if self.function is not None:
            return self.function
        return None if self.location is None else function_name(self.location)


def function_name(frame: str) -> str:
    """
    The function of a stack's frame, without offset, size, module and suffixes of the compiler.

    >>> function_name("nft_do_chain+0x91/0x5a0 [nf_tables]"), function_name("ip_rcv_core.isra.0+0x1")
    ('nft_do_chain', 'ip_rcv_core')
    """
    bare = frame.strip().partition("+")[0].partition(" ")[0]
    for suffix in (".isra", ".part", ".constprop", ".cold", ".llvm"):
        bare = bare.partition(suffix)[0]
    return bare


def stack_functions(frames: Iterable[str]) -> tuple[str, ...]:
    """
    The functions of a stack without those of tracing itself.

    A function that is traced stands there twice, around a trampoline.

    >>> stack_functions(["ip_rcv+0x1", "bpf_trampoline_64+0x5", "ip_rcv+0x0", "process_backlog+0x85"])
    ('ip_rcv', 'process_backlog')
    """
    names: list[str] = []
    for frame in frames:
        name = function_name(frame)
        if not name.startswith(("bpf_trampoline", "bpf_prog_")) and name not in names[-1:]:
            names.append(name)
    return tuple(names)
