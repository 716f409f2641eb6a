"""
Linux bridges of one namespace: where a frame goes, by MAC and by VLAN.

``br_handle_frame_finish`` of ``net/bridge/br_input.c``, ``br_forward.c`` and ``br_fdb.c``: a known MAC gets
one port, an unknown or group MAC all others that flood; the bridge's own MAC, and that of a port, go up to
the namespace's own stack. Ports are the devices whose ``master`` is the bridge. Entries are those of
``bridge fdb`` and what the walk itself shows. Multicast snooping is not followed: groups are flooded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.address import BROADCAST, Mac, is_group
from bothways.facts.choice import Assumption, Oracle
from bothways.facts.device import Device
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.bridge_vlan import BridgeVlans
from bothways.model.linux.settings import Settings, command

__all__ = ["Bridges", "Spread"]

#: Groups of the link itself, which a bridge does not pass on (IEEE 802.1D, ``br_handle_frame``).
_LINK_GROUPS: Final = "01:80:c2:00:00:0"
#: Ethernet and one VLAN tag, which the MTU does not count.
_LINK_HEADER: Final = 18
#: Flags of a port that answer or hold back frames in a way that is not followed.
_UNFOLLOWED: Final = ("neigh_suppress", "proxy_arp", "proxy_arp_wifi", "locked", "vlan_tunnel")


@dataclass(frozen=True, slots=True)
class Spread:
    """
    Where a bridge sends a frame.

    :param up: True if the namespace's own stack gets it, at the bridge device.
    :param unknown: what was not modelled, one sentence each.
    :param frames: the frame as it leaves, by port, where a VLAN's tag comes on or off; the bridge's own name
        stands for its stack.
    """

    ports: tuple[str, ...]
    up: bool
    function: str
    reason: str
    evidence: tuple[Span, ...] = ()
    unknown: tuple[str, ...] = ()
    frames: Mapping[str, Packet] = field(default_factory=dict)

    def leaving(self, port: str, packet: Packet) -> Packet:
        """The frame as it leaves by a port."""
        found = self.frames.get(port)
        if found is None:
            return packet
        return packet if found.ethernet.vlan == packet.ethernet.vlan else found


class Bridges:
    """The bridges of a namespace, with what they learn during one walk."""

    def __init__(self, netns: Netns, oracle: Oracle) -> None:
        self._netns = netns
        self._oracle = oracle
        self._vlans = BridgeVlans(netns)
        self._learned: dict[tuple[str, int, Mac], str] = {}

    def of_port(self, device: Device) -> Device | None:
        """The bridge that a device is a port of."""
        master = None if device.master is None else self._netns.device(device.master)
        return master if master is not None and master.kind == "bridge" else None

    def forward(self, bridge: Device, port: Device | None, packet: Packet) -> Spread:
        """
        Spread a frame.

        :param port: where it came in; None for a frame that the bridge device itself sends.
        """
        refused = self._refused(bridge, port, packet)
        if refused is not None:
            return refused
        unknown = tuple(self._unmodelled(bridge, port))
        vlan = 0
        seen: tuple[Span, ...] = ()
        if self._vlans.filters(bridge) and self._vlans.known:
            entry = bridge.name if port is None else port.name
            found, seen = self._vlans.of_frame(entry, packet)
            if found is None:
                tag = packet.ethernet.vlan
                what = f"VLAN {tag}" if tag else "frames without a tag (it has no PVID)"
                why = f"{entry} takes no part in {what}"
                return Spread((), up=False, function="br_allowed_ingress", reason=why, unknown=unknown)
            vlan = found
        spread = self._spread(bridge, port, packet, vlan, unknown)
        if not vlan:
            return spread
        return self._in_vlan(bridge, spread, packet, vlan, seen)

    def _refused(self, bridge: Device, port: Device | None, packet: Packet) -> Spread | None:
        """Why a bridge takes no frame at all."""
        if not bridge.up:
            why, evidence = f"the bridge {bridge.name} is down", (bridge.span,)
            return Spread((), up=False, function="br_handle_frame", reason=why, evidence=evidence)
        if port is not None and not _forwards(port):
            why = f"port {port.name} does not forward (STP)"
            return Spread((), up=False, function="br_handle_frame", reason=why)
        if port is not None and packet.ethernet.dst.startswith(_LINK_GROUPS):
            mask = bridge.info.get("group_fwd_mask")
            bits = int(str(mask), 0) if str(mask or "0").replace("x", "").isalnum() and mask else 0
            if not bits >> int(packet.ethernet.dst[-1], 16) & 1:
                why = f"{packet.ethernet.dst} is a group of the link itself (group_fwd_mask)"
                return Spread((), up=True, function="br_handle_local_finish", reason=why)
        return None

    def _in_vlan(
        self, bridge: Device, spread: Spread, packet: Packet, vlan: int, seen: tuple[Span, ...]
    ) -> Spread:
        """What is left of a spread where ports that are not in the VLAN do not count."""
        ports = tuple(name for name in spread.ports if self._vlans.leaves(name, vlan))
        up = spread.up and self._vlans.leaves(bridge.name, vlan)
        frames = {name: self._vlans.tagged(name, vlan, packet) for name in (*ports, bridge.name)}
        missing = [name for name in spread.ports if name not in ports]
        if spread.up and not up:
            missing.append(bridge.name)
        reason = f"in VLAN {vlan}: {spread.reason}"
        if missing:
            reason += f"; {', '.join(missing)} takes no part in VLAN {vlan}"
        evidence = tuple(dict.fromkeys((*seen, *spread.evidence)))
        function = spread.function if ports or up else "br_allowed_egress"
        return Spread(ports, up, function, reason, evidence, spread.unknown, frames)

    def _spread(
        self, bridge: Device, port: Device | None, packet: Packet, vlan: int, unknown: tuple[str, ...]
    ) -> Spread:
        source, target = packet.ethernet.src, packet.ethernet.dst
        if port is not None and source and not is_group(source) and _flag(port, "learning", default=True):
            self._learned[bridge.name, vlan, source] = port.name
        if port is not None and target in self.own(bridge):
            why = f"{target} is the bridge's own MAC"
            return Spread((), up=True, function="br_pass_frame_up", reason=why, unknown=unknown)
        if is_group(target):
            kind = "bcast_flood" if target == BROADCAST else "mcast_flood"
            outputs = self._outputs(bridge, port, kind)
            why = f"a frame for everybody goes to {_names(outputs)}"
            return Spread(outputs, port is not None, "br_flood", why, unknown=unknown)
        known, evidence = self._port_of(bridge, target, vlan)
        if known is not None:
            return self._to_port(port, target, known, evidence, unknown)
        outputs = self._outputs(bridge, port, "flood")
        if self._netns.fdb is None:
            text = f"{bridge.name} of {self._netns.label} has not learned where {target} is, and floods"
            self._oracle.assume(Assumption(text, command(self._netns, "bridge -j fdb")))
        why = f"nothing tells where {target} is: flooded to {_names(outputs)}"
        return Spread(outputs, up=False, function="br_flood", reason=why, unknown=unknown)

    def _to_port(
        self,
        port: Device | None,
        target: Mac,
        known: str,
        evidence: tuple[Span, ...],
        unknown: tuple[str, ...],
    ) -> Spread:
        """Spread a frame to the one port behind which its receiver is (``br_forward``)."""
        found = self._netns.device(known)
        why = f"{target} is behind {known}"
        ports: tuple[str, ...] = (known,)
        if port is not None and known == port.name and not _flag(port, "hairpin"):
            why, ports = f"{target} is behind {known}, where the frame came from", ()
        elif found is not None and not _forwards(found):
            why, ports = f"{target} is behind {known}, which does not forward (STP)", ()
        elif found is not None and port is not None and _flag(port, "isolated") and _flag(found, "isolated"):
            why, ports = f"{target} is behind {known}, and both ports are isolated", ()
        return Spread(ports, up=False, function="br_forward", reason=why, evidence=evidence, unknown=unknown)

    def _outputs(self, bridge: Device, port: Device | None, kind: str) -> tuple[str, ...]:
        """The ports to which a frame is flooded; what the bridge sends itself counts as unicast alone."""
        ports = [d for d in self._netns.devices or () if d.master == bridge.name and d.up and _forwards(d)]
        return tuple(
            d.name
            for d in ports
            if (d is not port or _flag(d, "hairpin"))
            and not (port is not None and _flag(port, "isolated") and _flag(d, "isolated"))
            and (_flag(d, kind, default=True) or (port is None and kind != "flood"))
        )

    def too_long(self, port: str, packet: Packet) -> str | None:
        """Why a frame does not leave by a port, None if it fits (``is_skb_forwardable``)."""
        device = self._netns.device(port)
        if device is None or device.mtu is None or packet.length is None:
            return None
        if packet.length <= device.mtu + _LINK_HEADER:
            return None
        return (
            f"a frame of {packet.length} bytes does not fit {port} (MTU {device.mtu}): dropped without a word"
        )

    def own(self, bridge: Device) -> frozenset[Mac]:
        """The MACs of a bridge: its own and those of its ports."""
        ports = (d.mac for d in self._netns.devices or () if d.master == bridge.name)
        return frozenset({bridge.mac, *ports}) - {Mac("")}

    def _port_of(self, bridge: Device, target: Mac, vlan: int) -> tuple[str | None, tuple[Span, ...]]:
        """The port behind which a MAC is: what the walk learned, else what the dump says."""
        rows = [
            row
            for row in self._netns.fdb or ()
            if row.mac == target
            and (row.master == bridge.name)
            and "self" not in row.flags
            and (not vlan or row.vlan in (None, vlan))
        ]
        fixed = next((row for row in rows if row.state in ("static", "permanent")), None)
        learned = self._learned.get((bridge.name, vlan, target))
        if fixed is None and learned is not None:
            return learned, ()
        row = fixed or next(iter(rows), None)
        return (None, ()) if row is None else (row.device, (row.span,))

    def _unmodelled(self, bridge: Device, port: Device | None) -> list[str]:
        label, found = self._netns.label, []
        if self._vlans.filters(bridge) and not self._vlans.known:
            what = command(self._netns, "bridge -j vlan")
            found.append(
                f"which VLANs the ports of {bridge.name} of {label} take: `{what}` was not collected"
            )
        ports = [d for d in self._netns.devices or () if d.master == bridge.name]
        found.extend(
            f"what {name} of port {each.name} of {label} does: it is not modelled"
            for each in ports
            for name in _UNFOLLOWED
            if _flag(each, name) and (name != "locked" or each is port)
        )
        setting = Settings(self._netns).value("net.bridge.bridge-nf-call-iptables")
        if setting is None and any(
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


def _flag(port: Device, name: str, *, default: bool = False) -> bool:
    return bool(_slave(port).get(name, default))


def _names(ports: tuple[str, ...]) -> str:
    return ", ".join(ports) or "no other port"
