"""Open vSwitch of every host that has bridges: daemons of its own, bridges, ports, flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.lab.act import Act
from bothways.lab.naming import Naming
from bothways.lab.site import Bridge, Place, Port, Site

__all__ = ["bridges", "daemons", "flows", "moves"]

_SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"
_PROTOCOLS: Final = "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"


def daemons(site: Site, naming: Naming) -> Iterator[Act]:
    """Start a database and a switch in the host's own namespace, with a run directory of their own."""
    for host in site.hosts:
        if not site.bridges_of(host):
            continue
        folder, space = naming.switch(host), naming.space(Place(host))
        env = tuple(
            f"{name}={folder}" for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        )
        common = (f"--log-file={folder}/log", "-vconsole:off", "--detach", "--no-chdir")
        yield Act("switches", ("mkdir", "-p", str(folder)))
        yield Act("switches", ("ovsdb-tool", "create", f"{folder}/conf.db", _SCHEMA))
        yield Act(
            "switches",
            (
                "env",
                *env,
                "ovsdb-server",
                f"{folder}/conf.db",
                f"--remote=punix:{folder}/db.sock",
                f"--unixctl={folder}/ovsdb-server.ctl",
                f"--pidfile={folder}/ovsdb-server.pid",
                *common,
            ),
            space,
        )
        yield Act("switches", (*_vsctl(naming, host), "--no-wait", "init"), space)
        yield Act(
            "switches",
            (
                "env",
                *env,
                "ovs-vswitchd",
                naming.database(host),
                f"--unixctl={naming.control(host)}",
                f"--pidfile={folder}/ovs-vswitchd.pid",
                "--disable-system",
                *common,
            ),
            space,
        )


def bridges(site: Site, naming: Naming) -> Iterator[Act]:
    """Make the bridges of a host and their ports in one transaction."""
    for host in site.hosts:
        if site.bridges_of(host):
            words = [word for bridge in site.bridges_of(host) for word in _bridge(bridge)]
            yield Act("switches", (*_vsctl(naming, host), *words), naming.space(Place(host)))
            lines = "".join(f"link set dev {bridge.name} up\n" for bridge in site.bridges_of(host))
            yield Act("switches", ("ip", "-batch", "-"), naming.space(Place(host)), given=lines)


def moves(site: Site, naming: Naming) -> Iterator[Act]:
    """
    Move internal ports into their namespaces.

    MAC and MTU are set behind the move: the switch no longer finds the device then, and says so in its log.
    """
    for bridge in site.bridges:
        for port in bridge.ports:
            if port.kind != "internal" or port.netns is None:
                continue
            place = Place(bridge.host, port.netns)
            target = naming.space(place)
            words = ("ip", "link", "set", "dev", port.name, "netns", target)
            yield Act("switches", words, naming.space(Place(bridge.host)))
            space = site.spaces[place]
            lines = []
            if mac := space.macs.get(port.name):
                lines.append(f"link set dev {port.name} address {mac}")
            if mtu := space.mtus.get(port.name):
                lines.append(f"link set dev {port.name} mtu {mtu}")
            lines.append(f"link set dev {port.name} up")
            yield Act("switches", ("ip", "-batch", "-"), target, given="\n".join(lines) + "\n")


def flows(site: Site, naming: Naming) -> Iterator[Act]:
    """Put the flows in, in place of the one that every new bridge without ``secure`` has."""
    for bridge in site.bridges:
        target, space = naming.management(bridge.host, bridge.name), naming.space(Place(bridge.host))
        if bridge.groups is not None:
            yield Act(
                "flows",
                ("ovs-ofctl", "-O", "OpenFlow15", "add-groups", target, "-"),
                space,
                given=bridge.groups,
            )
        if bridge.flows is not None:
            # OpenFlow 1.3, so that the switch keeps `load` as it is written.
            words = ("ovs-ofctl", "-O", "OpenFlow13", "replace-flows", target, "-")
            yield Act("flows", words, space, given=bridge.flows)


def _vsctl(naming: Naming, host: str) -> tuple[str, ...]:
    return ("ovs-vsctl", f"--db={naming.database(host)}", "--timeout=20")


def _bridge(bridge: Bridge) -> list[str]:
    name = bridge.name
    words = ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", _PROTOCOLS]
    words += [f"fail-mode={bridge.fail_mode}"] if bridge.fail_mode else []
    words += [f'other-config:hwaddr="{bridge.mac}"'] if bridge.mac else []
    for port in bridge.ports:
        words += _port(name, port)
    return words


def _port(bridge: str, port: Port) -> list[str]:
    words = ["--", "add-port", bridge, port.name]
    words += [f"tag={port.tag}"] if port.tag is not None else []
    words += [f"trunks={','.join(map(str, port.trunks))}"] if port.trunks else []
    words += [f"vlan_mode={port.vlan_mode}"] if port.vlan_mode else []
    columns = [f"type={port.kind}"] if port.kind else []
    columns += [f"ofport_request={port.number}"] if port.number is not None else []
    columns += [f'options:{key}="{value}"' for key, value in port.options.items()]
    columns += [f'external_ids:{key}="{value}"' for key, value in port.external_ids.items()]
    return [*words, "--", "set", "interface", port.name, *columns] if columns else words
