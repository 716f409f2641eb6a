"""
Events of the tracer, one readable line each, below the packet that they belong to.

``#3 IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [.], ack 5001`` is a packet's line, in tcpdump's words.
Below it stand its events: time, place, what happened, and what the kernel said of it. Times are of the wall
clock for the first event and the distance from the event before for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.capture.tcpdump_words import clock_words
from bothways.correlate.kernel_deed import maker_in
from bothways.correlate.kernel_identity import ends_of
from bothways.correlate.kernel_stack_diff import MEANINGS
from bothways.facts.kernel_account import DeedKind
from bothways.facts.kernel_event import Happening, KernelEvent, KernelPacket, function_name, stack_functions
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Packet
from bothways.report.words import ELLIPSIS, plain, shorten_name

__all__ = [
    "WORDS",
    "chain_words",
    "event_line",
    "event_words",
    "packet_line",
    "packet_words",
    "since",
    "socket_words",
]

#: Event -> what a person calls it.
WORDS: Final[Mapping[Happening, str]] = {
    Happening.QUEUE: "queued",
    Happening.XMIT: "sent",
    Happening.RECEIVE: "received",
    Happening.IP_RECEIVE: "taken by IP",
    Happening.FORWARD: "routed on",
    Happening.LOCAL_DELIVER: "delivered to this namespace",
    Happening.HOOK: "hook",
    Happening.CONNTRACK: "tracker",
    Happening.NAT: "translation",
    Happening.OVS_RECEIVE: "taken by Open vSwitch",
    Happening.OVS_ACTION: "Open vSwitch action",
    Happening.OVS_CONNTRACK: "Open vSwitch tracker",
    Happening.OVS_UPCALL: "Open vSwitch asks user space",
    Happening.BRIDGE: "bridge",
    Happening.VXLAN_ENCAP: "put into VXLAN",
    Happening.VXLAN_DECAP: "taken out of VXLAN",
    Happening.SOCKET: "socket",
    Happening.RST_SENT: "RST SENT",
    Happening.RST_RECEIVED: "RST taken",
    Happening.DROP: "DROPPED",
    Happening.CONSUME: "freed",
    Happening.ICMP_SENT: "ICMP ERROR SENT",
    Happening.CLONE: "copied",
    Happening.FIB: "route",
    Happening.NEIGH: "neighbour",
}
_PROTOCOLS: Final = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp6"}
_LOUD: Final = frozenset({Happening.RST_SENT, Happening.DROP, Happening.ICMP_SENT})
_QUIET: Final = frozenset({Happening.CONSUME, Happening.CLONE})
#: Escape sequences of ECMA-48: bold red, dim, cyan, off.
_RED, _DIM, _CYAN, _OFF = "\x1b[1;31m", "\x1b[2m", "\x1b[36m", "\x1b[0m"
#: What functions of every packet that leaves or is answered mean: it tells nothing of this one.
_PLAIN: Final = frozenset(
    name for name, meant in MEANINGS.items() if meant in (MEANINGS["ip_output"], MEANINGS["ip_local_deliver"])
)
#: Functions that free a packet for whoever called them.
_FREES: Final = frozenset(
    {"sk_skb_reason_drop", "kfree_skb_reason", "kfree_skb", "kfree_skb_list_reason", "__kfree_skb_reason"}
)
_MOST_FRAMES: Final = 6
_MICROSECOND: Final = 1_000
_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000
#: Columns of place and of what happened, where they are short enough to stand under each other.
_PLACE: Final = 34


def packet_words(packet: KernelPacket | None) -> str:
    """A packet in tcpdump's words; what a tunnel carries comes first."""
    if packet is None:
        return "a packet whose headers were not read"
    carried = packet.carried
    if carried.packet.ip is None:
        return "a packet without an IP header"
    words = str(carried.packet)
    tcp = carried.packet.tcp
    if tcp is not None and not tcp.flags and tcp.seq is None:
        # Tracepoints of sockets tell addresses and nothing else.
        words = f"{words.partition(': Flags')[0]}: TCP"
    icmp = carried.packet.icmp
    if icmp is not None and icmp.inner is not None:
        words += f", about {_quoted(icmp.inner)}"
    if (
        carried.packet.tcp is not None
        and not carried.packet.tcp.length
        and carried.packet.tcp.seq is not None
    ):
        words = words.replace(", length 0", "")
    if packet.inner is not None:
        around = packet.packet
        ends = "" if around.ip is None else f" {around.ip.src} > {around.ip.dst}"
        words += f" (in a tunnel{'' if packet.vni is None else f' with VNI {packet.vni}'}:{ends})"
    return words


def _quoted(packet: Packet) -> str:
    """What an error is about: of the transport header it shows the ports and hardly more."""
    if packet.ip is None:
        return "a packet without an IP header"
    name = _PROTOCOLS.get(packet.ip.protocol, f"protocol {packet.ip.protocol}")
    number = "" if packet.tcp is None or packet.tcp.seq is None else f" seq {packet.tcp.seq}"
    return f"{name} {packet.source} > {packet.destination}{number}"


def packet_line(number: int, first: KernelEvent, answers: int | None, *, colour: bool = False) -> str:
    """
    The line of a packet, without a newline.

    :param first: its first event. What is told of a socket without a buffer is no packet.
    :param answers: number of the packet that made the kernel send this one.
    """
    answer = "" if answers is None else f"  (answers #{answers})"
    words = plain(f"#{number} {packet_words(first.packet) if first.buffer else socket_words(first)}")
    return f"{_CYAN}{words}{_OFF}{answer}" if colour else f"{words}{answer}"


def socket_words(event: KernelEvent) -> str:
    """The socket that an event without a packet tells of."""
    ends = None if event.packet is None else ends_of(event.packet)
    if ends is None:
        return "a socket"
    # A socket that connects has no port of its own yet.
    source = ends[0] if ends[0].port else ends[0].address
    return f"the socket {source} > {ends[1]}"


def since(nanoseconds: int) -> str:
    """
    A distance in time.

    >>> since(1_500), since(2_000_000), since(-30), since(3_200_000_000)
    ('+1.5 µs', '+2.000 ms', '-0.0 µs', '+3.200 s')
    """
    sign = "-" if nanoseconds < 0 else "+"
    amount = abs(nanoseconds)
    if amount < _MILLISECOND:
        return f"{sign}{amount / _MICROSECOND:.1f} µs"
    return f"{sign}{amount / _MILLISECOND:.3f} ms" if amount < _SECOND else f"{sign}{amount / _SECOND:.3f} s"


def event_line(
    event: KernelEvent, before: KernelEvent | None, *, width: int, colour: bool = False, sure: bool = True
) -> str:
    """
    One event as one line, without a newline.

    :param before: the event of the same packet that stands above it, None for the first.
    :param width: columns; a line is cut in the middle where it is longer. 0 = never.
    :param sure: False if it may have been before the event that stands above it.
    """
    if before is None or before.host != event.host:
        moment = event.wall_ns
        stamp = "?" if moment is None else clock_words(moment)
    else:
        stamp = since(event.time_ns - before.time_ns)
    doubt = "" if sure else "~"
    place = plain(event.place) if not width else shorten_name(event.place, max(_PLACE, width // 3))
    text = f"  {doubt + stamp:>16}  {place:<{_PLACE}}  {plain(event_words(event))}"
    if width and len(text) > width:
        text = f"{text[: width - 1].rstrip()}{ELLIPSIS}"
    if not colour:
        return text
    if event.happening in _LOUD:
        return f"{_RED}{text}{_OFF}"
    return f"{_DIM}{text}{_OFF}" if event.happening in _QUIET else text


def event_words(event: KernelEvent) -> str:
    """What happened, with all that the kernel said of it."""
    parts = [WORDS[event.happening]]
    special = _SAID.get(event.happening)
    if special is not None and (said := special(event)):
        parts.append(said)
    changed = _changed(event)
    if changed:
        parts.append(changed)
    if event.happening not in (Happening.CONNTRACK, Happening.NAT) and (entry := _entry(event)):
        parts.append(entry)
    if event.rule:
        parts.append(_rule(event.rule))
    where = _where(event)
    if where:
        parts.append(where)
    return "  ".join(parts)


def _where(event: KernelEvent) -> str:
    """The functions that ended a packet; of other events the one in their stack that decided."""
    if event.happening in _LOUD:
        if event.stack:
            return chain_words(event.stack)
        return "" if event.location is not None else event.where or ""
    maker = maker_in(DeedKind.RST, event.stack) or maker_in(DeedKind.ICMP, event.stack)
    if maker is not None:
        return f"by {maker}"
    deciding = (name for frame in event.stack or () if (name := function_name(frame)) in MEANINGS)
    return next((f"by {name}" for name in deciding if name not in _PLAIN), "")


def _reason(event: KernelEvent) -> str:
    if event.reason is None:
        return "the kernel gave no reason" if event.happening is Happening.DROP else ""
    owner = event.subsystem
    return event.reason if owner in (None, "core", "rst") else f"{event.reason} ({owner})"


def _hook(event: KernelEvent) -> str:
    said = " ".join(word for word in (event.hook, event.verdict) if word)
    return f"{said} {_reason(event)}".strip()


def _tracked(event: KernelEvent) -> str:
    return _entry(event) or (
        "no entry: INVALID or untracked, this tier does not tell which" if _told(event) else ""
    )


def _told(event: KernelEvent) -> bool:
    return event.conntrack is not None and event.conntrack.info is None


def _entry(event: KernelEvent) -> str:
    entry = event.conntrack
    if entry is None:
        return ""
    words = [word for word in (entry.info, entry.state) if word]
    status = [word for word in entry.status if word in ("SRC_NAT", "DST_NAT", "SEEN_REPLY", "ASSURED")]
    text = " ".join([*words, f"[{','.join(status)}]"] if status else words)
    if entry.zone:
        text += f" zone {entry.zone}"
    return f"ct {text}" if text else ""


def _changed(event: KernelEvent) -> str:
    """``192.0.2.100:22 → 10.0.0.4:22``: what became of the addresses since the packet's last event."""
    if event.before is None or event.packet is None:
        return ""
    before, after = ends_of(event.before), ends_of(event.packet)
    if before is None or after is None:
        return ""
    pairs = [
        f"{name} {old} → {new}"
        for name, old, new in zip(("source", "destination"), before, after, strict=True)
        if old != new
    ]
    if pairs:
        return ", ".join(pairs)
    old_ip, new_ip = event.before.carried.packet.ip, event.packet.carried.packet.ip
    if old_ip is None or new_ip is None or old_ip.ttl == new_ip.ttl:
        return ""
    return f"TTL {old_ip.ttl} → {new_ip.ttl}"


def _rule(rule: Mapping[str, object]) -> str:
    text = rule.get("text")
    if isinstance(text, str) and text:
        return f"by rule {text}"
    named = [f"{rule[key]}" for key in ("family", "table", "chain") if rule.get(key)]
    named += [f"{key} {rule[key]}" for key in ("handle", "number") if rule.get(key)]
    return f"by rule {' '.join(named)}" if named else ""


def chain_words(
    stack: tuple[str, ...] | None, most: int = _MOST_FRAMES, *, beginning: str | None = None
) -> str:
    """
    The innermost functions of a stack without those that only free: ``tcp_v4_send_reset < tcp_v4_rcv``.

    :param beginning: leave out what this function called, if it is there.
    """
    names = list(stack_functions(stack or ()))
    if beginning in names:
        names = names[names.index(beginning) :]
    while len(names) > 1 and names[0] in _FREES:
        names.pop(0)
    return " < ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _detail(event: KernelEvent) -> str:
    """``state from CLOSE to SYN_SENT``: what is said beside; the value of ``what`` without its name."""
    words = []
    for key, value in (event.detail or {}).items():
        if key != "of" and isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            words.append(str(value) if key == "what" else f"{key} {value}")
    return " ".join(words)


_SAID: Final[Mapping[Happening, Callable[[KernelEvent], str]]] = {
    Happening.DROP: lambda e: f"{_reason(e)}{f' at {e.location}' if e.location else ''}",
    Happening.RST_SENT: _reason,
    Happening.RST_RECEIVED: _reason,
    Happening.ICMP_SENT: lambda e: _reason(e) or _detail(e),
    Happening.HOOK: _hook,
    Happening.CONNTRACK: _tracked,
    Happening.NAT: _entry,
    Happening.OVS_ACTION: _detail,
    Happening.OVS_CONNTRACK: lambda e: _tracked(e) or _detail(e),
    Happening.OVS_UPCALL: _detail,
    Happening.BRIDGE: _detail,
    Happening.SOCKET: _detail,
    Happening.FIB: _detail,
    Happening.NEIGH: _detail,
}
