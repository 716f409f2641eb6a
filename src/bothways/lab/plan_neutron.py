"""
A router's namespace, programmed by the real ``neutron-l3-agent`` in place of its template.

The agent runs in one process without server, broker or database (``programs/neutron_l3.py``), with a Python
that has Neutron: this one, or the one that ``BOTHWAYS_NEUTRON_PYTHON`` names. It finds the devices standing,
and makes addresses, routes, settings and all rules itself.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

from bothways.lab.act import Act
from bothways.lab.naming import Naming
from bothways.lab.plan_services import program
from bothways.lab.site import Place, Site, Space

__all__ = ["neutron_python", "neutron_router", "neutron_routers"]

_STAGE: Final = "neutron-l3-agent"
#: Shows the router's namespace under the name that the agent looks for, to the agent alone.
_SCRIPT: Final = """\
mount --make-rprivate /
mkdir -p "$1/netns"
mount -t tmpfs none "$1/netns"
touch "$1/netns/$3"
mount --bind "/run/netns/$2" "$1/netns/$3"
mount --rbind "$1/netns" /run/netns
exec "$4" "$5" "$6" "$1/state"
"""


def neutron_python() -> str:
    """Return the Python that has Neutron."""
    return os.environ.get("BOTHWAYS_NEUTRON_PYTHON", sys.executable)


def neutron_routers(site: Site, naming: Naming) -> Iterator[Act]:
    """Let the agent program every namespace that a router's template would."""
    for space in site.spaces.values():
        if space.router is None:
            continue
        folder = naming.folder / "neutron" / space.place.netns
        document = folder / "router.json"
        yield Act(_STAGE, ("mkdir", "-p", str(folder)))
        yield Act(_STAGE, ("tee", str(document)), given=json.dumps([neutron_router(space)], indent=1) + "\n")
        words = (
            str(folder),
            naming.space(space.place),
            space.place.netns,
            neutron_python(),
            program("neutron_l3")[-1],
            str(document),
        )
        host = naming.space(Place(space.place.host))
        yield Act(_STAGE, ("unshare", "-m", "sh", "-ec", _SCRIPT, "sh", *words), host, patience=180)


def neutron_router(space: Space) -> dict[str, Any]:
    """Return a router as the agent's server would describe it (``L3PluginApi.get_routers``)."""
    said = space.router or {}
    external = str(said["external"])
    network = "11111111-0000-4000-8000-00000000000"
    return {
        "id": space.place.netns.removeprefix("qrouter-"),
        "name": space.place.netns,
        "status": "ACTIVE",
        "admin_state_up": True,
        "project_id": "lab",
        "tenant_id": "lab",
        "distributed": False,
        "ha": False,
        "ha_vr_id": 0,
        "enable_snat": True,
        "routes": [],
        "flavor_id": None,
        "gw_port_host": None,
        "gw_port_id": _port_id(external),
        "qos_policy_id": None,
        "external_gateway_info": {},
        "gw_port": _port(space, external, f"{network}1", "network:router_gateway"),
        "_interfaces": [
            _port(space, device, f"{network}{number}", "network:router_interface")
            for number, device in enumerate(said["internal"], 2)
        ],
        "_floatingips": [
            {
                "id": f"33333333-0000-4000-8000-{number:012}",
                "router_id": space.place.netns.removeprefix("qrouter-"),
                "floating_ip_address": address,
                "fixed_ip_address": fixed,
                "port_id": f"44444444-0000-4000-8000-{number:012}",
                "status": "ACTIVE",
                "fixed_ip_address_scope": None,
                "floating_network_id": f"{network}1",
                "host": "elsewhere",
                "qos_policy_id": None,
            }
            for number, (address, fixed) in enumerate(said["floating"].items(), 1)
        ],
        "_floatingip_agent_gateway_interfaces": [],
    }


def _port(space: Space, device: str, network: str, owner: str) -> dict[str, Any]:
    address, _, rest = space.addresses[device][0].partition("/")
    prefix = int(rest.split()[0])
    subnet = network.replace("11111111", "22222222")
    gateway = next((route.split()[2] for route in space.routes if route.startswith("default via ")), None)
    return {
        "id": _port_id(device),
        "network_id": network,
        "mac_address": space.macs[device],
        "device_owner": owner,
        "admin_state_up": True,
        "mtu": space.mtus.get(device, 1500),
        "fixed_ips": [{"subnet_id": subnet, "ip_address": address, "prefixlen": prefix}],
        "subnets": [
            {
                "id": subnet,
                "cidr": f"{address}/{prefix}",
                "gateway_ip": gateway if owner.endswith("gateway") else address,
                "dns_nameservers": [],
                "ipv6_ra_mode": None,
                "subnetpool_id": None,
            }
        ],
        "extra_subnets": [],
        "address_scopes": {"4": None, "6": None},
    }


def _port_id(device: str) -> str:
    """A port whose device is called so: ``qg-`` and the first eleven letters of its id."""
    return f"{device.partition('-')[2]}00-4000-8000-000000000000"
