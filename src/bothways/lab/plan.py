"""A site -> the commands that build it, in order."""

from __future__ import annotations

from bothways.lab.act import Act
from bothways.lab.naming import Naming
from bothways.lab.plan_namespaces import namespaces, settings
from bothways.lab.plan_neutron import neutron_routers
from bothways.lab.plan_services import announcements, pings, services
from bothways.lab.plan_switches import bridges, daemons, flows, moves
from bothways.lab.plan_wires import devices, wires
from bothways.lab.site import Site

__all__ = ["plan", "spaces_of"]


def plan(site: Site, naming: Naming, *, agent: bool = False) -> tuple[Act, ...]:
    """
    Return every command that builds *site*; nothing is run.

    :param agent: whether routers are programmed by the real ``neutron-l3-agent``, not by their template.
    """
    by_agent = neutron_routers(site, naming) if agent else ()
    return (
        *namespaces(site, naming),
        *daemons(site, naming),
        *wires(site, naming),
        *devices(site, naming),
        *bridges(site, naming),
        *moves(site, naming),
        *settings(site, naming, without_routers=agent),
        *by_agent,
        *flows(site, naming),
        *services(site, naming),
        *announcements(site, naming),
        *pings(site, naming),
    )


def spaces_of(site: Site, naming: Naming) -> tuple[str, ...]:
    """Names of all namespaces that the plan makes on the machine."""
    return (*(naming.space(place) for place in site.spaces), naming.wires)
