"""Bridges of a bundle's Open vSwitch, with the flows as they were dumped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bothways.facts.openflow import Bridge as Dumped
from bothways.facts.openflow import Port as DumpedPort
from bothways.facts.snapshot import Host
from bothways.lab.site import ROOT, Bridge, Port

__all__ = ["bridges_of"]

#: First words of a reply's header, which is no flow.
_HEADERS: Final = ("OFPST_", "NXST_")


def bridges_of(host: Host, text_of: Callable[[str], str | None], missing: list[str]) -> list[Bridge]:
    """Give a host the bridges that its switch has; what a dump does not say is named."""
    if host.switch is None:
        return []
    out = []
    for bridge in host.switch.bridges.values():
        flows = None
        if bridge.flows is None:
            missing.append(f"{host.name} {bridge.name}: its flows, which were not collected")
        else:
            if not bridge.flows.whole:
                missing.append(
                    f"{host.name} {bridge.name}: flows that the view `{bridge.flows.partial}` hides"
                )
            flows = _rows(text_of(bridge.flows.file))
        groups = None
        if bridge.groups is not None:
            groups = _rows(text_of(bridge.groups.file)) or None
        local = bridge.ports.get(bridge.name)
        out.append(
            Bridge(
                host=host.name,
                name=bridge.name,
                ports=tuple(_port(host, each) for each in bridge.ports.values() if each.name != bridge.name),
                flows=flows,
                groups=groups,
                fail_mode=bridge.fail_mode,
                mac=_mac(bridge, local, host),
            )
        )
        if bridge.datapath == "system":
            missing.append(f"{host.name} {bridge.name}: its datapath in the kernel: here it is in userspace")
    return out


def _mac(bridge: Dumped, local: DumpedPort | None, host: Host) -> str | None:
    root = host.netns.get(ROOT)
    device = root.device(bridge.name) if root is not None else None
    if device is not None:
        return str(device.mac)
    return str(local.mac) if local is not None and local.mac is not None else None


def _port(host: Host, port: DumpedPort) -> Port:
    kind = port.kind or ""
    netns = None
    if kind == "internal":
        netns = next(
            (each.name for each in host.netns.values() if each.name != ROOT and each.device(port.name)), None
        )
    return Port(
        name=port.name,
        kind="" if kind == "system" else kind,
        number=port.number if port.number is not None and 0 < port.number < 0xFF00 else None,  # noqa: PLR2004 - OFPP_MAX
        netns=netns,
        options=dict(port.options),
        tag=port.tag,
        trunks=tuple(port.trunks),
        vlan_mode=port.vlan_mode,
        external_ids=dict(port.external_ids),
    )


def _rows(text: str | None) -> str:
    """Rows of a dump as ``ovs-ofctl`` takes them back: counters and ages do not disturb it, a header does."""
    lines = [line.strip() for line in (text or "").splitlines()]
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(_HEADERS))
