"""
What a packet meets beside the hooks, routes and rules that are walked.

VRFs, tc, XDP and foreign handlers stand at devices (``do_xdp_generic``, ``sch_handle_ingress``,
``__netif_receive_skb_core``), flowtables too; IPVS, IPsec and foreign hooks inside the stack
(``ip_vs_in_hook``, ``xfrm_policy_check``). What they do is not modelled: a walk goes on as if they did
nothing, and writes down a step whose cell begins with ``bypass/``. What rests on such a walk is undetermined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bothways.facts.address import IPNetwork
from bothways.facts.bypass import Bypass, BypassKind, Selector, Side
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.nft_action import Divert
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did, Place, Step
from bothways.model.linux.hook import Hook

__all__ = ["CELL", "Bypasses", "bypasses_of", "meant"]

#: How the cell of a step begins that tells of one.
CELL: Final = "bypass/"
_FUNCTIONS: Final[Mapping[tuple[BypassKind, Side], str]] = {
    (BypassKind.TC, Side.IN): "sch_handle_ingress",
    (BypassKind.TC, Side.OUT): "sch_handle_egress",
    (BypassKind.XDP, Side.IN): "do_xdp_generic",
    (BypassKind.HANDLER, Side.IN): "deliver_skb",
    (BypassKind.FLOWTABLE, Side.IN): "nf_flow_offload_ip_hook",
    (BypassKind.XFRM, Side.IN): "xfrm_policy_check",
    (BypassKind.XFRM, Side.OUT): "xfrm_lookup",
    (BypassKind.XFRM, Side.FORWARD): "xfrm_policy_check",
    (BypassKind.SHARED, Side.IN): "macvlan_handle_frame",
    (BypassKind.SHARED, Side.OUT): "macvlan_queue_xmit",
    (BypassKind.VRF, Side.IN): "l3mdev_ip_rcv",
    (BypassKind.VRF, Side.OUT): "l3mdev_ip_out",
    (BypassKind.IPVS, Side.ANY): "ip_vs_in_hook",
}
#: Hook -> on which side IPsec's policies are asked there.
_SIDES: Final[Mapping[Hook, frozenset[Side]]] = {
    Hook.INPUT: frozenset({Side.IN}),
    Hook.FORWARD: frozenset({Side.FORWARD, Side.OUT}),
    Hook.OUTPUT: frozenset({Side.OUT}),
}
_IPVS_HOOKS: Final = frozenset({Hook.INPUT, Hook.FORWARD, Hook.OUTPUT})


class Bypasses:
    """Everything of the kind in one namespace, asked by device and by hook. False if there is nothing."""

    def __init__(self, netns: Netns) -> None:
        """:param netns: what was collected of it."""
        self._place = (netns.host, netns.name)
        self._label = netns.label
        rows = [row for row in bypasses_of(netns) if not row.harmless]
        within = (BypassKind.IPVS, BypassKind.XFRM, BypassKind.HOOK, BypassKind.BPF)
        self._devices = [row for row in rows if row.kind not in within]
        self._inside = [row for row in rows if row.kind in within]

    def __bool__(self) -> bool:
        """True if there is anything."""
        return bool(self._devices or self._inside)

    def at_device(self, device: str, side: Side, packet: Packet) -> Iterator[Step]:
        """Steps of a packet that comes in at a device, or goes out."""
        for row in self._devices:
            here = row.device in ("", device) and row.side in (Side.ANY, side)
            if here and meant(row.only, packet):
                yield self._step(row, side, device, packet)

    def at_hook(self, hook: Hook, device: str, mark: int, packet: Packet) -> Iterator[Step]:
        """Steps of a packet at a hook."""
        for row in self._inside:
            if row.device not in ("", device) or row.mark not in (None, mark):
                continue
            if _stands(row, hook) and meant(row.only, packet):
                yield self._step(row, row.side, device, packet)

    def _step(self, row: Bypass, side: Side, device: str, packet: Packet) -> Step:
        function = _FUNCTIONS.get((row.kind, side), "nf_hook_slow")
        why = f"{self._label}: {row.does}: this goes round the model and is not evaluated"
        place = Place(*self._place, device)
        return Step(place, function, Did.MATCHED, packet, packet, why, (row.span,), f"{CELL}{row.kind}")


def _stands(row: Bypass, hook: Hook) -> bool:
    if row.kind is BypassKind.XFRM:
        return row.side in _SIDES.get(hook, frozenset())
    if row.kind is BypassKind.IPVS:
        return hook in _IPVS_HOOKS
    return row.hook in ("", hook.lower())


def bypasses_of(netns: Netns) -> Iterator[Bypass]:
    """All rows of a namespace, harmless ones too: of its dumps, its devices and its flowtables."""
    for dump in (netns.tc, netns.bpf, netns.ipvs, netns.xfrm, netns.handlers, netns.hooks):
        yield from dump or ()
    yield from _unseen_filters(netns.tc)
    if netns.ipvs is None:
        for row in netns.hooks or ():
            if row.kind is BypassKind.IPVS:
                yield Bypass(row.kind, f"{row.does} (its services were not collected)", row.span)
                break
    for device in netns.devices or ():
        programs = device.info.get("xdp")
        if programs:
            does = f"an XDP program at {device.name} ({programs})"
            yield Bypass(BypassKind.XDP, does, device.span, device.name, Side.IN)
    rings = {device.name for device in netns.devices or () if device.kind == "vrf"}
    for device in netns.devices or ():
        if device.master in rings:
            does = f"the VRF {device.master} that {device.name} belongs to"
            yield Bypass(BypassKind.VRF, does, device.span, device.name)
    for table in netns.nft or ():
        yield from _flowtables(table)


def _unseen_filters(dump: Dump[Bypass] | None) -> Iterator[Bypass]:
    """What holds filters, where none were collected; one filter of a device shows that it was asked."""
    rows = tuple(dump or ())
    asked = {row.device for row in rows if "filter" in row.does or "program" in row.does}
    for row in rows:
        if row.opens and row.device not in asked and "" not in asked:
            does = f"{row.does}, whose filters (`tc filter show dev {row.device} ingress`) were not collected"
            yield Bypass(row.kind, does, row.span, row.device, row.side)


def _flowtables(table: NftTable) -> Iterator[Bypass]:
    """Flowtables that a rule adds connections to: these pass by all hooks once they are established."""
    used = set(_added(table))
    for (kind, name), row in table.objects.items():
        if kind == "flowtable" and name in used and not table.dormant:
            for device in row.devices or ("",):
                does = (
                    f"the flowtable {name} of table {table.family} {table.name} at {device or 'its devices'}"
                )
                yield Bypass(BypassKind.FLOWTABLE, does, row.span, device.strip('"'), Side.IN)


def _added(table: NftTable) -> Iterator[str]:
    for chain in table.chains.values():
        for rule in chain.rules:
            for statement in rule.statements:
                does = statement.does
                if isinstance(does, Divert) and does.kind == "flow":
                    yield from (value for key, value in does.terms if key == "flowtable")


def meant(only: Selector, packet: Packet) -> bool:
    """False if a packet surely is none of those that a selector means."""
    ip = packet.ip
    if only.ethertype is not None and packet.ethernet.type and only.ethertype != packet.ethernet.type:
        return False
    if ip is None:
        return only.protocol is None and only.source is None and only.destination is None and not only.touches
    if only.protocol is not None and only.protocol != ip.protocol:
        return False
    transport = packet.tcp or packet.udp
    ports = (None, None) if transport is None else (transport.sport, transport.dport)
    if only.ports and None not in ports and only.ports.isdisjoint(ports):
        return False
    wanted = (only.source_ports, only.destination_ports)
    if any(not _within(port, span) for port, span in zip(ports, wanted, strict=True)):
        return False
    both: Iterable[tuple[object, IPNetwork | None]] = ((ip.src, only.source), (ip.dst, only.destination))
    if any(span is not None and one not in span for one, span in both):
        return False
    return not only.touches or bool(only.touches & {ip.src, ip.dst})


def _within(port: int | None, span: tuple[int, int] | None) -> bool:
    return port is None or span is None or span[0] <= port <= span[1]
