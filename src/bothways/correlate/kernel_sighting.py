"""
Sightings that a trace holds: packets at devices, as a capture would have shown them.

What is joined, ordered and explained from captures is then from kernel events as well. Where a capture ran
at the same device, or in the whole namespace, it has the packets already, with their bytes, and counts. A
trace says nothing of packets that it does not show: its captures have no times at which they surely ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bothways.correlate.kernel_life import wall_offset
from bothways.facts.kernel_event import Happening, KernelEvent, KernelPacket
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.packet import Tunnel
from bothways.facts.sighting import Capture, Direction, Sighting, Tap

__all__ = ["captures_of"]

_DIRECTIONS: Final = {Happening.XMIT: Direction.OUT, Happening.RECEIVE: Direction.IN}
_ANY: Final = "any"
_TUNNELS: Final = {4789: "vxlan", 6081: "geneve"}

_Seen = tuple[int | str | None, Tap, Direction]


def captures_of(traces: Iterable[KernelTrace], captured: Iterable[Tap]) -> tuple[Capture, ...]:
    """
    One capture for each device at which a trace saw packets.

    :param captured: taps of real captures; nothing is added there.
    """
    there = set(captured)
    found: dict[tuple[str, Tap], list[Sighting]] = {}
    for trace in traces:
        for tap, sighting in _sightings(trace, there):
            found.setdefault((sighting.span.file, tap), []).append(sighting)
    return tuple(
        Capture(tap, tuple(_numbered(sightings)), file, textual=True)
        for (file, tap), sightings in found.items()
    )


def _sightings(trace: KernelTrace, captured: set[Tap]) -> Iterator[tuple[Tap, Sighting]]:
    offset = wall_offset(trace.start, next(iter(trace.events), None))
    seen: set[_Seen] = set()
    for event in sorted(trace.events, key=lambda each: (each.time_ns, each.number)):
        direction = _DIRECTIONS.get(event.happening)
        packet = event.packet
        if direction is None or packet is None or event.netns is None or event.device is None:
            continue
        if packet.carried.packet.ip is None:
            continue
        tap = Tap(event.host, event.netns, event.device)
        if tap in captured or Tap(event.host, event.netns, _ANY) in captured:
            continue
        once = _life(event), tap, direction
        if once in seen:
            # Several probes tell of one passage.
            continue
        seen.add(once)
        yield tap, _sighting(event, packet, tap, direction, event.time_ns + offset)


def _life(event: KernelEvent) -> int | str | None:
    if event.packet_id is not None:
        return event.packet_id
    return f"{event.skb} {event.time_ns}"


def _sighting(
    event: KernelEvent, packet: KernelPacket, tap: Tap, direction: Direction, moment_ns: int
) -> Sighting:
    tunnel = None
    outer = packet.packet
    if packet.inner is not None and packet.vni is not None:
        port = None if outer.udp is None else outer.udp.dport
        ip = outer.ip
        kind = _TUNNELS.get(port or 0, "vxlan")
        tunnel = Tunnel(kind, packet.vni, None if ip is None else ip.src, None if ip is None else ip.dst)
    return Sighting(tap, tap.device, direction, moment_ns, packet.carried.packet, event.span, 0, tunnel)


def _numbered(sightings: list[Sighting]) -> Iterator[Sighting]:
    """The same sightings with their place in the capture; spans keep the line of the trace."""
    for position, each in enumerate(sightings):
        yield Sighting(
            each.tap,
            each.device,
            each.direction,
            each.time_ns,
            each.packet,
            each.span,
            position,
            each.tunnel,
        )
