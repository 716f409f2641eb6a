"""
A mesh of VXLAN between hosts, written once: ``[mesh.NAME]`` becomes what every host of it needs.

As an overlay network of Kubernetes does it (flannel's backend ``vxlan``): each host has a device that sends
to all others, a route to the network behind each of them, the MAC of each one's device, and where that MAC
is. Nothing is learned and nobody is asked.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["spread"]

#: RFC 7348.
_PORT: Final = 4789


def spread(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of a scenario with every mesh laid over its hosts; what a host says itself stays."""
    out = copy.deepcopy(dict(said))
    hosts = out.setdefault("hosts", {})
    for name, mesh in (out.pop("mesh", None) or {}).items():
        for host, member in mesh["members"].items():
            others = [each for other, each in mesh["members"].items() if other != host]
            _join(hosts.setdefault(host, {}), mesh.get("device", name), mesh, member, others)
    return out


def _join(
    host: dict[str, Any],
    device: str,
    mesh: Mapping[str, Any],
    member: Mapping[str, Any],
    others: list[Mapping[str, Any]],
) -> None:
    kind = f"vxlan id {mesh['vni']} local {member['underlay']} dstport {mesh.get('port', _PORT)}"
    host.setdefault("devices", {}).setdefault(device, {"type": f"{kind} dev {member['via']} nolearning"})
    host.setdefault("addresses", {}).setdefault(device, f"{member['overlay']}/32")
    host.setdefault("macs", {}).setdefault(device, member["mac"])
    for other in others:
        overlay, mac = other["overlay"], other["mac"]
        host.setdefault("routes", []).append(f"{other['subnet']} via {overlay} dev {device} onlink")
        host.setdefault("neighbours", []).append(f"{overlay} lladdr {mac} dev {device} nud permanent")
        host.setdefault("fdb", []).append(f"{mac} dev {device} dst {other['underlay']}")
