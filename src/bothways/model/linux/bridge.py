"""
Linux bridges of one namespace: where a frame goes, by MAC.

``br_handle_frame_finish`` of ``net/bridge/br_input.c`` and ``br_fdb.c``: a known MAC gets one port, an
unknown or group MAC all others; the bridge's own MAC, and that of a port, go up to the namespace's own
stack. Ports are the devices whose ``master`` is the bridge. Entries are those of ``bridge fdb`` and what
the walk itself shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.facts.address import Mac, is_group
from bothways.facts.choice import Assumption, Oracle
from bothways.facts.device import Device
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.settings import Settings, command

__all__ = ["Bridges", "Spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """
    Where a bridge sends a frame.

    :param up: True if the namespace's own stack gets it, at the bridge device.
    :param unknown: what was not modelled, one sentence each.
    """

    ports: tuple[str, ...]
    up: bool
    function: str
    reason: str
    evidence: tuple[Span, ...] = ()
    unknown: tuple[str, ...] = ()


class Bridges:
    """The bridges of a namespace, with what they learn during one walk."""

    def __init__(self, netns: Netns, oracle: Oracle) -> None:
        self._netns = netns
        self._oracle = oracle
        self._learned: dict[tuple[str, Mac], str] = {}

    def of_port(self, device: Device) -> Device | None:
        """The bridge that a device is a port of."""
        master = None if device.master is None else self._netns.device(device.master)
        return master if master is not None and master.kind == "bridge" else None

    def forward(self, bridge: Device, port: Device | None, packet: Packet) -> Spread:
        """
        Spread a frame.

        :param port: where it came in; None for a frame that the bridge device itself sends.
        """
        source, target = packet.ethernet.src, packet.ethernet.dst
        unknown = tuple(self._unmodelled(bridge))
        if port is not None and not _forwards(port):
            return Spread(
                (), up=False, function="br_handle_frame", reason=f"port {port.name} does not forward (STP)"
            )
        if port is not None and source and not is_group(source):
            self._learned[bridge.name, source] = port.name
        outputs = self._outputs(bridge, port)
        if port is not None and target in self.own(bridge):
            why = f"{target} is the bridge's own MAC"
            return Spread((), up=True, function="br_pass_frame_up", reason=why, unknown=unknown)
        if is_group(target):
            why = f"a frame for everybody goes to {_names(outputs)}"
            return Spread(outputs, port is not None, "br_flood", why, unknown=unknown)
        known, evidence = self._port_of(bridge, target)
        if known is not None:
            if port is not None and known == port.name and not _flag(port, "hairpin"):
                why = f"{target} is behind {known}, where the frame came from"
                return Spread(
                    (), up=False, function="br_forward", reason=why, evidence=evidence, unknown=unknown
                )
            why = f"{target} is behind {known}"
            return Spread(
                (known,), up=False, function="br_forward", reason=why, evidence=evidence, unknown=unknown
            )
        if self._netns.fdb is None:
            text = f"{bridge.name} of {self._netns.label} has not learned where {target} is, and floods"
            self._oracle.assume(Assumption(text, command(self._netns, "bridge -j fdb")))
        why = f"nothing tells where {target} is: flooded to {_names(outputs)}"
        return Spread(outputs, up=False, function="br_flood", reason=why, unknown=unknown)

    def _outputs(self, bridge: Device, port: Device | None) -> tuple[str, ...]:
        ports = [d for d in self._netns.devices or () if d.master == bridge.name and d.up and _forwards(d)]
        return tuple(
            d.name
            for d in ports
            if (d is not port or _flag(d, "hairpin"))
            and not (port is not None and _flag(port, "isolated") and _flag(d, "isolated"))
        )

    def own(self, bridge: Device) -> frozenset[Mac]:
        """The MACs of a bridge: its own and those of its ports."""
        ports = (d.mac for d in self._netns.devices or () if d.master == bridge.name)
        return frozenset({bridge.mac, *ports}) - {Mac("")}

    def _port_of(self, bridge: Device, target: Mac) -> tuple[str | None, tuple[Span, ...]]:
        """The port behind which a MAC is: what the walk learned, else what the dump says."""
        rows = [
            row
            for row in self._netns.fdb or ()
            if row.mac == target and (row.master == bridge.name) and "self" not in row.flags
        ]
        fixed = next((row for row in rows if row.state in ("static", "permanent")), None)
        learned = self._learned.get((bridge.name, target))
        if fixed is None and learned is not None:
            return learned, ()
        row = fixed or next(iter(rows), None)
        return (None, ()) if row is None else (row.device, (row.span,))

    def _unmodelled(self, bridge: Device) -> list[str]:
        label, found = self._netns.label, []
        if bridge.info.get("vlan_filtering") in (1, True):
            found.append(f"what VLAN filtering of {bridge.name} of {label} does: it is not modelled")
        setting = Settings(self._netns).value("net.bridge.bridge-nf-call-iptables")
        if setting is not None and setting.value:
            text = f"what iptables does to frames that {bridge.name} of {label} bridges"
            found.append(f"{text}: bridge-nf-call-iptables=1 is not modelled")
        elif setting is None and any(
            len(chain.rules) for t in self._netns.iptables or () for chain in t.chains.values()
        ):
            why = "bridge-nf-call-iptables=0"
            text = f"frames that {bridge.name} of {label} bridges do not pass iptables ({why})"
            self._oracle.assume(Assumption(text, "sysctl net.bridge.bridge-nf-call-iptables"))
        return found


def _slave(port: Device) -> Mapping[str, object]:
    data = port.info.get("info_slave_data")
    return data if isinstance(data, Mapping) else {}


def _forwards(port: Device) -> bool:
    return _slave(port).get("state", "forwarding") in ("forwarding", 3)


def _flag(port: Device, name: str) -> bool:
    return bool(_slave(port).get(name))


def _names(ports: tuple[str, ...]) -> str:
    return ", ".join(ports) or "no other port"
