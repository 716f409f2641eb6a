"""
VLANs of a bridge that filters them: which VLAN a frame belongs to, and which ports it may leave by.

``__allowed_ingress``, ``br_allowed_egress`` and ``br_handle_vlan`` of ``net/bridge/br_vlan.c``. A frame
without a tag belongs to the VLAN that is the port's PVID; without one it is dropped. The bridge device is a
port like any other. What a port takes part in, ``bridge vlan`` shows.
"""

from __future__ import annotations

from dataclasses import replace

from bothways.facts.device import Device, PortVlan
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span

__all__ = ["BridgeVlans"]


class BridgeVlans:
    """The VLANs of all bridges of a namespace."""

    def __init__(self, netns: Netns) -> None:
        self.known = netns.vlans is not None
        self._rows: dict[str, list[PortVlan]] = {}
        for row in netns.vlans or ():
            self._rows.setdefault(row.device, []).append(row)

    @staticmethod
    def filters(bridge: Device) -> bool:
        """True if a bridge looks at VLANs."""
        return bridge.info.get("vlan_filtering") in (1, True)

    def of_frame(self, port: str, packet: Packet) -> tuple[int | None, tuple[Span, ...]]:
        """The VLAN that a frame belongs to at a port where it comes in, None if the port does not take it."""
        tag = packet.ethernet.vlan
        if not tag:
            row = next((row for row in self._rows.get(port, ()) if row.pvid), None)
            return (None, ()) if row is None else (row.first, (row.span,))
        row = self._row(port, tag)
        return (None, ()) if row is None else (tag, (row.span,))

    def leaves(self, port: str, vlan: int) -> bool:
        """True if frames of a VLAN may leave by a port."""
        return self._row(port, vlan) is not None

    def tagged(self, port: str, vlan: int, packet: Packet) -> Packet:
        """A frame of a VLAN as it leaves by a port: with its tag, or without."""
        row = self._row(port, vlan)
        tag = None if row is None or row.untagged else vlan
        if packet.ethernet.vlan == tag:
            return packet
        return replace(packet, ethernet=replace(packet.ethernet, vlan=tag))

    def _row(self, port: str, vlan: int) -> PortVlan | None:
        return next((row for row in self._rows.get(port, ()) if row.first <= vlan <= row.last), None)
